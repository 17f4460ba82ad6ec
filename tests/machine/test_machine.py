"""Conversations with the run machine: tell it this, expect exactly that.

A state is written as one letter for each index, gates last: Waiting, Ready, rUnning, Succeeded, Failed, sKipped,
Cancelled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from graflow.core.run import RunState, TaskState
from graflow.engine import machine as machine_module
from graflow.engine.machine import CANCELLED, READY, RUNNING, SKIPPED, STATES, WAITING, Machine
from graflow.errors import InternalError

LETTERS = "WRUSFKC"


def made(tasks: int, *edges: tuple[int, int], gates: int = 0, lanes: Sequence[int] | None = None) -> Machine:
    """A machine that has not started; an edge goes from upstream to downstream, gates have the highest indexes."""
    total = tasks + gates
    upstream: list[list[int]] = [[] for _ in range(total)]
    downstream: list[list[int]] = [[] for _ in range(total)]
    for u, d in edges:
        upstream[d].append(u)
        downstream[u].append(d)
    return Machine(tasks, upstream, downstream, bytes(lanes if lanes is not None else [0] * tasks))


def begun(tasks: int, *edges: tuple[int, int], gates: int = 0, lanes: Sequence[int] | None = None) -> Machine:
    machine = made(tasks, *edges, gates=gates, lanes=lanes)
    machine.start()
    machine.validate()
    return machine


def states(machine: Machine) -> str:
    return "".join(LETTERS[state] for state in machine.states)


def everything(machine: Machine) -> tuple[Any, ...]:
    """All that can be seen of a machine."""
    return (
        states(machine),
        list(machine.attempts),
        [list(lane) for lane in machine.ready],
        machine.open,
        list(machine.failed),
        dict(machine.skipped_for),
        machine.cancel_reason,
        machine.outcome,
        machine.running(),
    )


def heard(machine: Machine) -> list[tuple[int, str]]:
    """What the listener is told from now on."""
    told: list[tuple[int, str]] = []
    machine.listener = lambda i, state: told.append((i, LETTERS[state]))
    return told


def take_all(machine: Machine, lane: int = 0) -> list[int]:
    return [machine.take(lane) for _ in range(len(machine.ready[lane]))]


# ── the table at the top of the module, row by row ──────────────────────────────────────────────────────────────────


def last_upstream_succeeds() -> None:
    machine = begun(3, (0, 2), (1, 2))
    assert states(machine) == "RRW"
    assert take_all(machine) == [0, 1]
    assert machine.succeeded(1, 1)
    assert states(machine) == "USW"
    assert machine.succeeded(0, 1)
    assert states(machine) == "SSR"


def upstream_fails() -> None:
    machine = begun(5, (0, 1), (1, 2), (2, 3))
    told = heard(machine)
    assert take_all(machine) == [0, 4]
    assert machine.failed_for_good(0, 1)
    assert states(machine) == "FKKKU"
    assert told == [(1, "K"), (2, "K"), (3, "K")]
    assert machine.skipped_for == {1: 0, 2: 0, 3: 0}


def cancelled_while_waiting() -> None:
    machine = begun(2, (0, 1))
    machine.take(0)
    assert machine.cancel("enough")
    assert states(machine) == "UC"


def worker_takes() -> None:
    machine = begun(1)
    assert list(machine.attempts) == [0]
    assert machine.take(0) == 0
    assert (states(machine), list(machine.attempts)) == ("U", [1])


def cancelled_while_ready() -> None:
    machine = begun(2)
    told = heard(machine)
    assert machine.cancel("enough")
    assert (states(machine), told, [len(lane) for lane in machine.ready]) == ("CC", [(0, "C"), (1, "C")], [0, 0])


def attempt_succeeds() -> None:
    machine = begun(3, (0, 1), (0, 2))
    told = heard(machine)
    machine.take(0)
    assert machine.succeeded(0, 1)
    assert (states(machine), machine.open, list(machine.ready[0])) == ("SRR", 2, [1, 2])
    assert told == []  # whoever brought the news knows it


def attempt_fails() -> None:
    machine = begun(2)
    take_all(machine)
    assert machine.failed_for_good(1, 1)
    assert (states(machine), machine.open, machine.failed) == ("UF", 1, [1])


def cancelled_while_running() -> None:
    for end, letter in ((Machine.succeeded, "S"), (Machine.failed_for_good, "F")):
        machine = begun(2, (0, 1))
        machine.take(0)
        machine.cancel("enough")
        assert (states(machine), machine.outcome) == ("UC", RunState.RUNNING)
        assert end(machine, 0, 1)
        assert (states(machine), machine.outcome) == (f"{letter}C", RunState.CANCELLED)


def gives_up() -> None:
    machine = begun(1)
    machine.take(0)
    told = heard(machine)
    assert not machine.gave_up(0, 1)  # nobody cancelled the run
    assert (states(machine), told) == ("U", [])
    machine.cancel("enough")
    assert machine.gave_up(0, 1)
    assert (states(machine), told, machine.open) == ("C", [(0, "C")], 0)


def news_of_another_attempt() -> None:
    machine = begun(2, (0, 1))
    machine.take(0)
    machine.cancel("enough")
    before = everything(machine)
    for call in (machine.succeeded, machine.failed_for_good, machine.gave_up):
        assert not call(0, 0)
        assert not call(0, 2)
        assert everything(machine) == before


ROWS: dict[tuple[str, str], Callable[[], None]] = {
    ("WAITING", "last upstream succeeded"): last_upstream_succeeds,
    ("WAITING", "an upstream failed"): upstream_fails,
    ("WAITING", "the run is cancelled"): cancelled_while_waiting,
    ("READY", "a worker takes it"): worker_takes,
    ("READY", "the run is cancelled"): cancelled_while_ready,
    ("RUNNING", "its attempt succeeded"): attempt_succeeds,
    ("RUNNING", "its attempt failed"): attempt_fails,
    ("RUNNING", "the run is cancelled"): cancelled_while_running,
    ("RUNNING", "it gives up, run cancelled"): gives_up,
    ("any", "news of another attempt"): news_of_another_attempt,
}


@pytest.mark.parametrize("row", ROWS.values(), ids=[f"{state}: {what}" for state, what in ROWS])
def test_row_of_the_table(row: Callable[[], None]) -> None:
    row()


def test_every_row_of_the_table_is_tested() -> None:
    _, head, body, _ = re.split(r"^=+ =+ =+$", machine_module.__doc__ or "", flags=re.MULTILINE)
    assert head.split() == ["state", "what", "happens", "what", "follows"]
    printed = [re.split(r" {2,}", line)[:2] for line in body.strip().splitlines()]
    assert [tuple(row) for row in printed] == list(ROWS)


def test_states_have_their_public_names() -> None:
    assert [state.name for state in STATES] == [
        "WAITING",
        "READY",
        "RUNNING",
        "SUCCEEDED",
        "FAILED",
        "SKIPPED",
        "CANCELLED",
    ]
    assert set(STATES) == set(TaskState)
    assert [getattr(machine_module, state.name) for state in STATES] == list(range(7))


# ── what the table leaves out does nothing ──────────────────────────────────────────────────────────────────────────


def in_state(letter: str) -> Machine:
    """A machine whose task 1 is in a state; task 0 is its upstream, 2 its downstream, 3 an independent that runs."""
    machine = begun(4, (0, 1), (1, 2))
    take_all(machine)
    if letter == "K":
        machine.failed_for_good(0, 1)
    elif letter in "RUSFG":
        machine.succeeded(0, 1)
        if letter != "R":
            machine.take(0)
        if letter == "S":
            machine.succeeded(1, 1)
        elif letter == "F":
            machine.failed_for_good(1, 1)
        elif letter == "G":  # gave up
            machine.cancel("enough")
            machine.gave_up(1, 1)
    elif letter == "C":
        machine.cancel("enough")
    machine.validate()
    assert states(machine)[1] == ("C" if letter == "G" else letter)
    return machine


@pytest.mark.parametrize("letter", [*"WRSFKC", "G"])
@pytest.mark.parametrize("call", [Machine.succeeded, Machine.failed_for_good, Machine.gave_up])
@pytest.mark.parametrize("attempt", [0, 1, 2])
def test_news_of_a_task_that_does_not_run_is_ignored(
    letter: str, call: Callable[[Machine, int, int], bool], attempt: int
) -> None:
    machine = in_state(letter)
    told, before = heard(machine), everything(machine)
    assert call(machine, 1, attempt) is False
    assert (everything(machine), told) == (before, [])
    machine.validate()


def test_taking_from_an_empty_lane_leaves_everything_as_it_was() -> None:
    machine = begun(2, (0, 1))
    machine.take(0)
    before = everything(machine)
    with pytest.raises(IndexError):
        machine.take(0)
    assert everything(machine) == before


# ── runs from start to end ──────────────────────────────────────────────────────────────────────────────────────────


def test_empty_run_has_succeeded() -> None:
    machine = made(0)
    machine.start()
    machine.validate()
    assert (machine.open, machine.outcome) == (0, RunState.SUCCEEDED)
    assert not machine.cancel("too late")


def test_before_the_start_nothing_is_ready() -> None:
    machine = made(2, (0, 1))
    assert states(machine) == "WW"
    assert not machine.ready[0]
    machine.start()
    assert states(machine) == "RW"


def test_diamond_joins_once_after_both() -> None:
    machine = begun(4, (0, 1), (0, 2), (1, 3), (2, 3))
    assert machine.take(0) == 0
    machine.succeeded(0, 1)
    assert take_all(machine) == [1, 2]
    machine.succeeded(2, 1)
    assert states(machine) == "SUSW"
    assert not machine.succeeded(2, 1)  # told twice, counted once
    assert states(machine) == "SUSW"
    machine.succeeded(1, 1)
    assert list(machine.ready[0]) == [3]
    assert machine.take(0) == 3
    machine.succeeded(3, 1)
    assert (states(machine), machine.outcome, list(machine.attempts)) == ("SSSS", RunState.SUCCEEDED, [1, 1, 1, 1])


def test_lanes_are_first_in_first_out_and_separate() -> None:
    machine = begun(6, (0, 4), (2, 5), lanes=[0, 1, 0, 1, 0, 1])
    assert [list(lane) for lane in machine.ready] == [[0, 2], [1, 3], []]
    assert machine.take(1) == 1
    assert machine.take(0) == 0
    machine.succeeded(0, 1)
    assert list(machine.ready[0]) == [2, 4]
    assert machine.take(0) == 2
    machine.succeeded(2, 1)
    assert list(machine.ready[1]) == [3, 5]


def test_a_failure_skips_what_needs_it_and_nothing_else() -> None:
    # 0 → 2 → 4 → 5, 1 → 3 → 4: the left branch fails, the right one goes on as far as it can.
    machine = begun(6, (0, 2), (1, 3), (2, 4), (3, 4), (4, 5))
    take_all(machine)
    machine.failed_for_good(0, 1)
    assert states(machine) == "FUKWKK"
    machine.succeeded(1, 1)
    assert states(machine) == "FSKRKK"
    assert machine.take(0) == 3
    machine.succeeded(3, 1)
    assert (states(machine), machine.outcome) == ("FSKSKK", RunState.FAILED)


def test_the_first_failure_is_why_a_task_was_skipped() -> None:
    machine = begun(3, (0, 2), (1, 2))
    told = heard(machine)
    take_all(machine)
    machine.failed_for_good(1, 1)
    machine.failed_for_good(0, 1)
    assert (machine.skipped_for, machine.failed, told) == ({2: 1}, [1, 0], [(2, "K")])


def test_cancelled_and_failed_is_cancelled() -> None:
    machine = begun(2)
    take_all(machine)
    machine.failed_for_good(0, 1)
    assert machine.cancel("enough")
    machine.succeeded(1, 1)
    assert (states(machine), machine.outcome, machine.cancel_reason) == ("FS", RunState.CANCELLED, "enough")


def test_cancelling_is_one_way_and_counts_once() -> None:
    machine = begun(2, (0, 1))
    machine.take(0)
    told = heard(machine)
    assert machine.cancel("first")
    assert not machine.cancel("second")
    assert (machine.cancel_reason, told) == ("first", [(1, "C")])
    machine.succeeded(0, 1)
    assert states(machine) == "SC"  # what was cancelled stays so, though all its upstreams succeeded now
    assert not machine.cancel("third")


def test_cancelling_a_run_that_has_ended_changes_nothing() -> None:
    machine = begun(1)
    machine.take(0)
    machine.succeeded(0, 1)
    assert not machine.cancel("too late")
    assert (machine.cancel_reason, machine.outcome) == (None, RunState.SUCCEEDED)


def test_cancelled_before_the_start_runs_nothing() -> None:
    machine = made(2, (0, 1))
    assert machine.cancel("never mind")
    assert (states(machine), machine.outcome) == ("CC", RunState.CANCELLED)
    machine.start()
    assert (states(machine), machine.outcome, [len(lane) for lane in machine.ready]) == (
        "CC",
        RunState.CANCELLED,
        [0, 0],
    )


def test_running_lists_what_runs_in_order_of_index() -> None:
    machine = begun(4, (0, 3), lanes=[1, 0, 0, 0])
    machine.take(0)
    machine.take(1)
    assert machine.running() == [0, 1]


# ── gates ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def gate(lefts: Iterable[int], number: int, rights: Iterable[int]) -> list[tuple[int, int]]:
    return [(left, number) for left in lefts] + [(number, right) for right in rights]


def test_a_gate_opens_when_all_its_upstreams_succeeded() -> None:
    machine = begun(4, *gate([0, 1], 4, [2, 3]), gates=1)
    told = heard(machine)
    assert (states(machine), machine.open) == ("RRWWW", 4)
    take_all(machine)
    machine.succeeded(0, 1)
    assert states(machine) == "SUWWW"
    machine.succeeded(1, 1)
    assert (states(machine), list(machine.ready[0]), told) == ("SSRRS", [2, 3], [])
    assert not machine.ready[-1]
    machine.validate()


def test_a_failure_skips_through_a_gate_and_tells_nobody_about_the_gate() -> None:
    machine = begun(4, *gate([0, 1], 4, [2, 3]), gates=1)
    told = heard(machine)
    take_all(machine)
    machine.failed_for_good(1, 1)
    assert (states(machine), machine.open, told) == ("UFKKK", 1, [(2, "K"), (3, "K")])
    assert machine.skipped_for == {2: 1, 3: 1}
    machine.succeeded(0, 1)
    assert (states(machine), machine.outcome) == ("SFKKK", RunState.FAILED)
    machine.validate()


def test_a_gate_that_opens_after_the_cancellation_wakes_nobody() -> None:
    machine = begun(3, *gate([0], 3, [1, 2]), gates=1)
    machine.take(0)
    machine.cancel("enough")
    assert states(machine)[:3] == "UCC"
    machine.succeeded(0, 1)
    assert (states(machine)[:3], [len(lane) for lane in machine.ready], machine.open) == ("SCC", [0, 0], 0)
    machine.validate()


def test_gates_in_a_row_open_in_one_go() -> None:
    machine = begun(2, (0, 2), (2, 3), (3, 1), gates=2)
    machine.take(0)
    machine.succeeded(0, 1)
    assert (states(machine), list(machine.ready[0])) == ("SRSS", [1])


def test_a_gate_has_no_lane_that_a_worker_could_see() -> None:
    machine = begun(2, *gate([0], 2, [1]), gates=1, lanes=[0, 2])
    machine.take(0)
    machine.succeeded(0, 1)
    assert [list(lane) for lane in machine.ready] == [[], [], [1], []]


# ── validate ────────────────────────────────────────────────────────────────────────────────────────────────────────


def spoil_open(machine: Machine) -> None:
    machine.open -= 1


def spoil_lane(machine: Machine) -> None:
    machine.ready[0].append(machine.ready[0][0])


def spoil_state(machine: Machine) -> None:
    machine.states[2] = RUNNING


def lose_a_wake_up(machine: Machine) -> None:
    machine.ready[0].clear()
    machine.states[1] = WAITING


def skip_without_reason(machine: Machine) -> None:
    machine.states[2] = SKIPPED
    machine.open -= 1


def forget_an_upstream(machine: Machine) -> None:
    machine._waiting[2] = 0


@pytest.mark.parametrize(
    "spoil", [spoil_open, spoil_lane, spoil_state, lose_a_wake_up, skip_without_reason, forget_an_upstream]
)
def test_validate_finds_a_broken_invariant(spoil: Callable[[Machine], None]) -> None:
    machine = begun(4, (0, 1), (1, 2), (1, 3))
    machine.take(0)
    machine.succeeded(0, 1)
    machine.validate()
    assert machine.states[1] == READY
    assert CANCELLED not in machine.states
    spoil(machine)
    with pytest.raises(InternalError):
        machine.validate()


# ── cost ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failure_at_the_head_of_a_long_chain_overflows_nothing() -> None:
    n = 50_000
    machine = begun(n, *((i, i + 1) for i in range(n - 1)))
    machine.take(0)
    machine.failed_for_good(0, 1)
    assert (machine.open, machine.outcome, states(machine)) == (0, RunState.FAILED, "F" + "K" * (n - 1))


def test_every_edge_is_looked_at_once() -> None:
    class Counted(list[int]):
        reads = 0

        def __iter__(self) -> Any:
            Counted.reads += len(self)
            return super().__iter__()

    width = 60
    lefts, rights = range(width), range(width, 2 * width)
    upstream: list[list[int]] = [[] for _ in lefts] + [list(lefts) for _ in rights]
    downstream = [Counted(rights) for _ in lefts] + [Counted() for _ in rights]
    machine = Machine(2 * width, upstream, downstream, bytes(2 * width))
    machine.start()
    while machine.open:
        machine.succeeded(machine.take(0), 1)
    assert Counted.reads == width * width
