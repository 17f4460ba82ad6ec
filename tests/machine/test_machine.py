"""Conversations with the run machine: tell it this, expect exactly that.

A state is written as one letter for each index, gates last: Waiting, Ready, rUnning, reTrying, Succeeded, Failed,
sKipped, Cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.machine.conversation import (
    assert_lawful,
    begun,
    changes,
    everything,
    gate,
    heard,
    lanes,
    made,
    states,
    take_all,
)

from graflow.core.requirement import at_least
from graflow.core.run import RunState, TaskState
from graflow.engine import rules as rules_module
from graflow.engine.machine import Machine
from graflow.engine.rules import (
    AGAIN,
    CANCELLED,
    FAILED,
    FINAL,
    IGNORED,
    READY,
    RETRYING,
    RUNNING,
    SKIPPED,
    STATES,
    SUCCEEDED,
    TRANSITIONS,
    WAITING,
    Rules,
    Transition,
)
from graflow.errors import InternalError


def waiting(seconds: float) -> Callable[[int], float]:
    return lambda attempt: seconds


TWICE = Rules(attempts=2)
LATER = Rules(attempts=2, delay=waiting(5))

# ── the table of transitions, row by row ────────────────────────────────────────────────────────────────────────────


def known_from_before() -> Machine:
    machine = made(2, (0, 1))
    machine.known(0, 1)
    assert (states(machine), machine.open) == ("SW", 1)
    machine.start()
    assert (states(machine), lanes(machine)) == ("SR", [[1]])
    return machine


def last_upstream_ends() -> Machine:
    machine = begun(3, (0, 2), (1, 2))
    assert states(machine) == "RRW"
    assert take_all(machine) == [0, 1]
    assert machine.succeeded(1, 1)
    assert states(machine) == "USW"
    assert machine.succeeded(0, 1)
    assert states(machine) == "SSR"
    return machine


def upstream_has_no_result() -> Machine:
    machine = begun(5, (0, 1), (1, 2), (2, 3))
    told = heard(machine)
    assert take_all(machine) == [0, 4]
    assert machine.failed_for_good(0, 1)
    assert states(machine) == "FKKKU"
    assert told == [(1, "K"), (2, "K"), (3, "K")]
    assert machine.skipped_for == {1: 0, 2: 0, 3: 0}
    return machine


def flag_says_no() -> Machine:
    machine = begun(5, (0, 1), (1, 2), (0, 3), outcomes=[(2, 4)])
    told = heard(machine)
    machine.take(0)
    assert machine.refused(1)
    assert (states(machine), machine.open) == ("UKKWR", 3)
    assert told == [(1, "K"), (2, "K")]
    assert machine.skipped_for == {1: 1, 2: 1}
    assert machine.failed == []
    return machine


def flag_is_no_bool() -> Machine:
    machine = begun(4, (0, 1), (1, 2), (0, 3))
    told = heard(machine)
    machine.take(0)
    assert machine.undecided(1)
    assert (states(machine), machine.open, machine.attempts) == ("UFKW", 2, [1, 0, 0, 0])
    assert told == [(2, "K")]  # whoever looked at the flag knows
    assert (machine.skipped_for, machine.failed) == ({2: 1}, [1])
    return machine


def called_off_while_waiting() -> Machine:
    machine = begun(2, (0, 1))
    machine.take(0)
    assert machine.cancel("enough")
    assert states(machine) == "UC"
    return machine


def worker_takes() -> Machine:
    machine = begun(1)
    assert machine.attempts == [0]
    assert machine.take(0) == 0
    assert (states(machine), machine.attempts) == ("U", [1])
    return machine


def called_off_while_ready() -> Machine:
    machine = begun(2)
    told = heard(machine)
    assert machine.cancel("enough")
    assert (states(machine), told, lanes(machine)) == ("CC", [(0, "C"), (1, "C")], [[]])
    return machine


def attempt_succeeds() -> Machine:
    machine = begun(3, (0, 1), (0, 2))
    told = heard(machine)
    machine.take(0)
    assert machine.succeeded(0, 1)
    assert (states(machine), machine.open, lanes(machine)) == ("SRR", 2, [[1, 2]])
    assert told == []  # whoever brought the news knows it
    return machine


def items_succeed() -> Machine:
    machine = begun(3, (0, 1), maps=[0])
    told = heard(machine)
    machine.take(0)
    assert machine.opened(0, 1, 2) == range(3, 5)
    assert (states(machine), lanes(machine), machine.open) == ("UWRRR", [[2, 3, 4]], 3)
    for j in take_all(machine)[1:]:
        assert machine.items.settled == []
        assert machine.succeeded(j, 1)
    assert (states(machine), machine.open) == ("UWUSS", 3)  # who gathers the results says so
    assert machine.items.settled == [0]
    assert machine.items.end_of(0) == SUCCEEDED
    assert machine.succeeded(0, 1)
    assert (states(machine), machine.open, told) == ("SRUSS", 2, [])
    return machine


def goes_on_with_another() -> Machine:
    machine = begun(3, (0, 1))
    told = heard(machine)
    machine.take(0)
    assert machine.continued(0, 1, 5, None) == AGAIN
    assert (states(machine), lanes(machine), machine.open, told) == ("RWR", [[2, 0]], 3, [])
    return machine


def another_attempt_at_once() -> Machine:
    machine = begun(2, rules={0: TWICE})
    told = heard(machine)
    machine.take(0)
    assert machine.attempt_failed(0, 1, 3.0, again=True) == AGAIN
    assert (states(machine), lanes(machine), machine.next_due, told) == ("RR", [[1, 0]], None, [])
    return machine


def another_attempt_later() -> Machine:
    machine = begun(2, (0, 1), rules={0: LATER})
    told = heard(machine)
    machine.take(0)
    assert machine.attempt_failed(0, 1, 3.0, again=True) == AGAIN
    assert (states(machine), lanes(machine), machine.open, told) == ("TW", [[]], 2, [])
    assert (machine.next_due, machine.retry_at(0), machine.retry_at(1)) == (8.0, 8.0, None)
    return machine


def attempt_fails() -> Machine:
    machine = begun(2)
    take_all(machine)
    assert machine.attempt_failed(1, 1, 0.0, again=True) == FINAL
    assert (states(machine), machine.open, machine.failed) == ("UF", 1, [1])
    return machine


def gives_up() -> Machine:
    machine = begun(1)
    machine.take(0)
    told = heard(machine)
    assert not machine.gave_up(0, 1)  # nobody called the run off
    assert (states(machine), told) == ("U", [])
    machine.cancel("enough")
    assert (states(machine), machine.outcome) == ("U", RunState.RUNNING)
    assert machine.gave_up(0, 1)
    assert (states(machine), told, machine.open) == ("C", [(0, "C")], 0)
    return machine


def time_is_up() -> Machine:
    machine = begun(3, (0, 2))
    told = heard(machine)
    machine.take(0)
    assert machine.expire()
    assert (states(machine), machine.open, machine.outcome) == ("CCC", 0, RunState.TIMED_OUT)
    assert told == [(1, "C"), (2, "C"), (0, "C")]
    return machine


def group_has_enough() -> Machine:
    machine = begun(3, *gate([0, 1], 3, [2]), gates=1, groups={3: at_least(1, cancel_rest=True)})
    told = heard(machine)
    take_all(machine)
    assert machine.succeeded(1, 1)
    assert (states(machine), lanes(machine), machine.open, told) == ("CSRS", [[2]], 1, [(0, "C")])
    assert machine.dropped == [0]
    return machine


def time_has_come() -> Machine:
    machine = another_attempt_later()
    assert machine.tick(7.9) == []
    assert states(machine) == "TW"
    assert machine.tick(8.0) == []
    assert (states(machine), lanes(machine), machine.next_due) == ("RW", [[0]], None)
    assert (machine.take(0), machine.attempts[0]) == (0, 2)
    return machine


def called_off_while_retrying() -> Machine:
    machine = another_attempt_later()
    told = heard(machine)
    machine.cancel("enough")
    assert (states(machine), machine.open, machine.next_due, told) == ("CC", 0, None, [(0, "C"), (1, "C")])
    assert (machine.tick(8.0), states(machine), lanes(machine)) == ([], "CC", [[]])
    return machine


ROWS: dict[Transition, Callable[[], Machine]] = {
    Transition(WAITING, "its result is known from before", SUCCEEDED): known_from_before,
    Transition(WAITING, "every upstream it waits for has ended", READY): last_upstream_ends,
    Transition(WAITING, "an upstream whose result it needs has none", SKIPPED): upstream_has_no_result,
    Transition(WAITING, "its flag, or the rule of a group, says so", SKIPPED): flag_says_no,
    Transition(WAITING, "its flag is no bool", FAILED): flag_is_no_bool,
    Transition(WAITING, "the run is called off", CANCELLED): called_off_while_waiting,
    Transition(READY, "a worker takes it", RUNNING): worker_takes,
    Transition(READY, "the run is called off", CANCELLED): called_off_while_ready,
    Transition(RUNNING, "its attempt succeeds", SUCCEEDED): attempt_succeeds,
    Transition(RUNNING, "all items of the map have succeeded", SUCCEEDED): items_succeed,
    Transition(RUNNING, "it goes on with another task", READY): goes_on_with_another,
    Transition(RUNNING, "its attempt fails, another follows at once", READY): another_attempt_at_once,
    Transition(RUNNING, "its attempt fails, another follows later", RETRYING): another_attempt_later,
    Transition(RUNNING, "its attempt fails, no other follows", FAILED): attempt_fails,
    Transition(RUNNING, "it gives up, for the run is called off", CANCELLED): gives_up,
    Transition(RUNNING, "the run's time is up", CANCELLED): time_is_up,
    Transition(RUNNING, "a group has what it requires, and nobody else needs this", CANCELLED): group_has_enough,
    Transition(RETRYING, "its time has come", READY): time_has_come,
    Transition(RETRYING, "the run is called off", CANCELLED): called_off_while_retrying,
}


@pytest.mark.parametrize("row", ROWS, ids=[f"{STATES[row.before]}: {row.what}" for row in ROWS])
def test_row_of_the_table(row: Transition) -> None:
    machine = ROWS[row]()
    machine.validate()
    assert (row.before, row.after) in changes(machine, len(machine.states))


def test_every_row_of_the_table_is_tested() -> None:
    assert tuple(ROWS) == TRANSITIONS


def test_what_has_ended_stays_as_it_is() -> None:
    assert {row.before for row in TRANSITIONS} == {WAITING, READY, RUNNING, RETRYING}
    assert {row.after for row in TRANSITIONS} == {*range(len(STATES))} - {WAITING}


def test_states_have_their_public_names() -> None:
    assert [state.name for state in STATES] == [
        "WAITING",
        "READY",
        "RUNNING",
        "RETRYING",
        "SUCCEEDED",
        "FAILED",
        "SKIPPED",
        "CANCELLED",
    ]
    assert set(STATES) == set(TaskState)
    assert [getattr(rules_module, state.name) for state in STATES] == list(range(8))


# ── what the table leaves out does nothing ──────────────────────────────────────────────────────────────────────────


def in_state(case: str) -> Machine:
    """A machine whose task 1 is in a state; task 0 is its upstream, 2 its downstream, 3 an independent that runs."""
    machine = begun(4, (0, 1), (1, 2), rules={1: Rules(attempts=3, delay=waiting(5))})
    take_all(machine)
    if case == "K":
        machine.failed_for_good(0, 1)
    elif case == "C":
        machine.cancel("enough")
    elif case != "W":
        machine.succeeded(0, 1)
        if case != "R":
            machine.take(0)
        if case == "S":
            machine.succeeded(1, 1)
        elif case == "F":
            machine.failed_for_good(1, 1)
        elif case == "T":
            machine.attempt_failed(1, 1, 0.0, again=True)
        elif case == "A":  # ready again, for its second attempt
            machine.attempt_failed(1, 1, 0.0, again=True)
            machine.tick(5.0)
        elif case == "G":  # gave up
            machine.cancel("enough")
            machine.gave_up(1, 1)
        elif case == "X":  # ran when the time was up
            machine.expire()
    machine.validate()
    assert states(machine)[1] == {"X": "C", "A": "R", "G": "C"}.get(case, case)
    return machine


CALLS: dict[str, Callable[[Machine, int, int], object]] = {
    "succeeded": Machine.succeeded,
    "failed_for_good": Machine.failed_for_good,
    "gave_up": Machine.gave_up,
    "failed": lambda machine, i, attempt: machine.attempt_failed(i, attempt, 9.0, again=False),
    "failed, again": lambda machine, i, attempt: machine.attempt_failed(i, attempt, 9.0, again=True),
}


@pytest.mark.parametrize("case", [*"WRASFKTCXG"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("attempt", [0, 1, 2])
def test_news_of_a_task_that_does_not_run_is_ignored(
    case: str, call: Callable[[Machine, int, int], object], attempt: int
) -> None:
    machine = in_state(case)
    told, before = heard(machine), everything(machine)
    assert call(machine, 1, attempt) in (False, IGNORED)
    assert (everything(machine), told) == (before, [])
    machine.validate()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("called_off", [False, True])
@pytest.mark.parametrize("attempt", [0, 1, 3])
def test_news_of_another_attempt_is_ignored(
    call: Callable[[Machine, int, int], object], called_off: bool, attempt: int
) -> None:
    machine = begun(2, (0, 1), rules={0: Rules(attempts=9)})
    machine.take(0)
    machine.attempt_failed(0, 1, 0.0, again=True)
    machine.take(0)
    if called_off:
        machine.cancel("enough")
    told, before = heard(machine), everything(machine)
    assert call(machine, 0, attempt) in (False, IGNORED)
    assert (everything(machine), told) == (before, [])


@pytest.mark.parametrize("rules", [{}, {0: Rules(priority=1)}], ids=["plain", "ranked"])
def test_taking_from_an_empty_lane_leaves_everything_as_it_was(rules: dict[int, Rules]) -> None:
    machine = begun(2, (0, 1), rules=rules)
    machine.take(0)
    before = everything(machine)
    with pytest.raises(IndexError):
        machine.take(0)
    assert everything(machine) == before


@pytest.mark.parametrize("case", [*"WRUTSFKC"])
def test_cancelling_ends_what_has_not_begun_and_nothing_else(case: str) -> None:
    machine = in_state(case)
    before = states(machine)
    machine.cancel("stop it")
    expected = "".join("C" if letter in "WRT" else letter for letter in before)
    assert (states(machine), machine.closed, lanes(machine)) == (expected, True, [[]])
    machine.validate()
    assert_lawful(machine, 4)


@pytest.mark.parametrize("case", [*"WRUTSFKC"])
def test_when_the_time_is_up_everything_ends(case: str) -> None:
    machine = in_state(case)
    before = states(machine)
    assert machine.expire()
    expected = "".join("C" if letter in "WRUT" else letter for letter in before)
    assert (states(machine), machine.open, machine.outcome) == (expected, 0, RunState.TIMED_OUT)
    assert machine.next_due is None
    machine.validate()
    assert_lawful(machine, 4)


# ── runs from start to end ──────────────────────────────────────────────────────────────────────────────────────────


def test_empty_run_has_succeeded() -> None:
    machine = made(0)
    machine.start()
    machine.validate()
    assert (machine.open, machine.outcome) == (0, RunState.SUCCEEDED)
    assert not machine.cancel("too late")
    assert not machine.expire()


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
    assert lanes(machine) == [[3]]
    assert machine.take(0) == 3
    machine.succeeded(3, 1)
    assert (states(machine), machine.outcome, machine.attempts) == ("SSSS", RunState.SUCCEEDED, [1, 1, 1, 1])


def test_lanes_are_first_in_first_out_and_separate() -> None:
    machine = begun(6, (0, 4), (2, 5), lanes=[0, 1, 0, 1, 0, 1])
    assert lanes(machine) == [[0, 2], [1, 3]]
    assert machine.take(1) == 1
    assert machine.take(0) == 0
    machine.succeeded(0, 1)
    assert lanes(machine)[0] == [2, 4]
    assert machine.take(0) == 2
    machine.succeeded(2, 1)
    assert lanes(machine)[1] == [3, 5]


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


@pytest.mark.parametrize(("end", "letter"), [(Machine.succeeded, "S"), (Machine.failed_for_good, "F")])
def test_what_runs_when_the_run_is_cancelled_ends_as_it_ends(
    end: Callable[[Machine, int, int], bool], letter: str
) -> None:
    machine = begun(2, (0, 1))
    machine.take(0)
    machine.cancel("enough")
    assert (states(machine), machine.outcome) == ("UC", RunState.RUNNING)
    assert end(machine, 0, 1)
    assert (states(machine), machine.outcome) == (f"{letter}C", RunState.CANCELLED)


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
    before = everything(machine)
    assert not machine.cancel("too late")
    assert not machine.expire()
    assert everything(machine) == before


def test_cancelled_before_the_start_runs_nothing() -> None:
    machine = made(2, (0, 1))
    assert machine.cancel("never mind")
    assert (states(machine), machine.outcome) == ("CC", RunState.CANCELLED)
    machine.start()
    assert (states(machine), machine.outcome, lanes(machine)) == ("CC", RunState.CANCELLED, [[]])


def test_running_lists_what_runs_in_order_of_index() -> None:
    machine = begun(4, (0, 3), lanes=[1, 0, 0, 0])
    machine.take(0)
    machine.take(1)
    assert machine.running() == [0, 1]


# ── gates ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_gate_opens_when_all_its_upstreams_succeeded() -> None:
    machine = begun(4, *gate([0, 1], 4, [2, 3]), gates=1)
    told = heard(machine)
    assert (states(machine), machine.open) == ("RRWWW", 4)
    take_all(machine)
    machine.succeeded(0, 1)
    assert states(machine) == "SUWWW"
    machine.succeeded(1, 1)
    assert (states(machine), lanes(machine), told) == ("SSRRS", [[2, 3]], [])
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
    assert (states(machine)[:3], lanes(machine), machine.open) == ("SCC", [[]], 0)
    machine.validate()


def test_gates_in_a_row_open_in_one_go() -> None:
    machine = begun(2, (0, 2), (2, 3), (3, 1), gates=2)
    machine.take(0)
    machine.succeeded(0, 1)
    assert (states(machine), lanes(machine)) == ("SRSS", [[1]])


def test_a_gate_waits_for_no_place_under_a_limit() -> None:
    rules = {i: Rules(limit="db", priority=i) for i in range(3)}
    machine = begun(3, *gate([0, 1], 3, [2]), gates=1, rules=rules, limits={"db": 1})
    for i in (1, 0, 2):
        assert machine.take(0) == i
        machine.succeeded(i, 1)
        machine.validate()
    assert states(machine) == "SSSS"


def test_a_gate_has_no_lane_that_a_worker_could_see() -> None:
    machine = begun(2, *gate([0], 2, [1]), gates=1, lanes=[0, 2])
    machine.take(0)
    machine.succeeded(0, 1)
    assert [list(lane) for lane in machine.ready] == [[], [], [1], []]


# ── validate ────────────────────────────────────────────────────────────────────────────────────────────────────────


def spoil_open(machine: Machine) -> None:
    machine.open -= 1


def spoil_lane(machine: Machine) -> None:
    machine.ready[0].append(1)


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
    assert not machine.is_handled(0)


def test_every_edge_is_looked_at_once() -> None:
    class Counted(list[int]):
        reads = 0

        def __iter__(self) -> Iterator[int]:
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


def test_many_who_take_one_outcome_are_found_in_one_go() -> None:
    class Counted(int):
        compared = 0

        def __eq__(self, other: object) -> bool:
            Counted.compared += 1
            return super().__eq__(other)

        __hash__ = int.__hash__

    n = 200
    readers = [Counted(i) for i in range(1, n + 1)]
    upstream: list[list[int]] = [[], *([0] for _ in readers)]
    tolerated: dict[int, frozenset[int]] = {int(i): frozenset([0]) for i in readers}
    machine = Machine(n + 1, upstream, [readers, *([] for _ in readers)], bytes(n + 1), tolerated=tolerated)
    machine.start()
    machine.failed_for_good(machine.take(0), 1)
    assert len(machine.ready[0]) == n
    assert Counted.compared <= 10 * n
