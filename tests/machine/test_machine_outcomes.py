"""Conversations about failures: who takes an outcome, what stops a run, and what an earlier part of a run knows.

States are letters; see `conversation.LETTERS`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.machine.conversation import Edge, begun, heard, lanes, made, states, take_all

from graflow.core.run import RunState
from graflow.engine.machine import Machine
from graflow.engine.rules import FINAL, Rules

TWICE = Rules(attempts=2)

# ── who takes an outcome ────────────────────────────────────────────────────────────────────────────────────────────


def test_who_takes_an_outcome_runs_after_a_failure() -> None:
    machine = begun(2, outcomes=[(0, 1)])
    told = heard(machine)
    machine.take(0)
    machine.failed_for_good(0, 1)
    assert (states(machine), told, machine.skipped_for) == ("FR", [], {})
    machine.validate()
    machine.take(0)
    machine.succeeded(1, 1)
    assert machine.outcome is RunState.SUCCEEDED


def test_who_takes_an_outcome_runs_after_a_success() -> None:
    machine = begun(2, outcomes=[(0, 1)])
    machine.take(0)
    machine.succeeded(0, 1)
    assert (states(machine), lanes(machine)) == ("SR", [[1]])
    machine.validate()


def test_a_skip_wakes_who_takes_the_outcome_at_the_end_of_a_chain() -> None:
    machine = begun(5, (0, 1), (1, 2), outcomes=[(2, 3), (1, 4)])
    machine.take(0)
    machine.failed_for_good(0, 1)
    assert (states(machine), machine.skipped_for) == ("FKKRR", {1: 0, 2: 0})
    assert sorted(lanes(machine)[0]) == [3, 4]
    machine.validate()


def test_a_skip_through_a_gate_wakes_who_takes_the_outcome_behind_it() -> None:
    # 0 and 1 before 2, by a gate; 3 takes the outcome of 2.
    machine = begun(4, (0, 4), (1, 4), (4, 2), outcomes=[(2, 3)], gates=1)
    take_all(machine)
    machine.failed_for_good(0, 1)
    assert states(machine) == "FUKRK"
    machine.validate()


def test_who_takes_an_outcome_may_be_the_member_of_a_gate() -> None:
    machine = begun(3, (1, 3), (3, 2), outcomes=[(0, 1)], gates=1)
    machine.take(0)
    machine.failed_for_good(0, 1)
    assert states(machine) == "FRWW"
    machine.take(0)
    machine.succeeded(1, 1)
    assert states(machine) == "FSRS"
    machine.validate()


def test_who_takes_several_outcomes_waits_for_all_of_them() -> None:
    machine = begun(4, outcomes=[(0, 3), (1, 3), (2, 3)])
    take_all(machine)
    machine.failed_for_good(1, 1)
    machine.succeeded(0, 1)
    assert states(machine) == "SFUW"
    machine.failed_for_good(2, 1)
    assert states(machine) == "SFFR"
    machine.validate()


def test_who_takes_one_outcome_and_needs_another_result_is_skipped_without_it() -> None:
    machine = begun(3, (1, 2), outcomes=[(0, 2)])
    take_all(machine)
    machine.failed_for_good(0, 1)
    assert states(machine) == "FUW"
    machine.failed_for_good(1, 1)
    assert (states(machine), machine.skipped_for) == ("FFK", {2: 1})
    machine.validate()


def test_who_takes_an_outcome_and_needs_a_downstream_of_it_is_skipped_once() -> None:
    machine = begun(3, (0, 1), (1, 2), outcomes=[(0, 2)])
    told = heard(machine)
    machine.take(0)
    machine.failed_for_good(0, 1)
    assert (states(machine), told) == ("FKK", [(1, "K"), (2, "K")])
    machine.validate()


def test_who_takes_an_outcome_behind_a_gate_of_the_same_task_needs_it_to_succeed() -> None:
    machine = begun(2, (0, 2), (2, 1), outcomes=[(0, 1)], gates=1)
    machine.take(0)
    machine.failed_for_good(0, 1)
    assert (states(machine), machine.is_handled(0)) == ("FKK", False)
    machine.validate()


def test_nobody_takes_an_outcome_in_a_run_that_was_cancelled() -> None:
    machine = begun(2, outcomes=[(0, 1)])
    machine.take(0)
    machine.cancel("enough")
    machine.failed_for_good(0, 1)
    assert (states(machine), machine.outcome, lanes(machine)) == ("FC", RunState.CANCELLED, [[]])
    machine.validate()


def test_the_failure_of_who_took_an_outcome_is_a_failure_of_its_own() -> None:
    machine = begun(2, outcomes=[(0, 1)])
    machine.take(0)
    machine.failed_for_good(0, 1)
    machine.take(0)
    machine.failed_for_good(1, 1)
    assert (states(machine), machine.outcome) == ("FF", RunState.FAILED)


def test_one_failure_that_is_not_handled_fails_the_run() -> None:
    machine = begun(3, outcomes=[(0, 1)])
    take_all(machine)
    machine.failed_for_good(0, 1)
    machine.failed_for_good(2, 1)
    machine.take(0)
    machine.succeeded(1, 1)
    assert machine.outcome is RunState.FAILED


HANDLED: dict[str, tuple[int, list[Edge], list[Edge], int, str]] = {
    # how many tasks, edges, outcomes, how many gates, and for each index whether its failure is handled
    "nobody looks": (1, [], [], 0, "-"),
    "somebody needs it": (2, [(0, 1)], [], 0, "--"),
    "its outcome is taken": (2, [], [(0, 1)], 0, "+-"),
    "two take it": (3, [], [(0, 1), (0, 2)], 0, "+--"),
    "taken at the end of a chain": (4, [(0, 1), (1, 2)], [(2, 3)], 0, "+++-"),
    "taken at the head of a chain only": (3, [(0, 1)], [(0, 2)], 0, "---"),
    "taken at the head and at the end": (4, [(0, 1)], [(0, 2), (1, 3)], 0, "++--"),
    "one branch of two": (4, [(0, 1), (0, 2)], [(1, 3)], 0, "-+--"),
    "both branches": (4, [(0, 1), (0, 2)], [(1, 3), (2, 3)], 0, "+++-"),
    "taken, and needed by who takes it": (3, [(0, 1), (1, 2)], [(0, 2)], 0, "---"),
    "who takes it is taken": (3, [], [(0, 1), (1, 2)], 0, "++-"),
    "through a gate": (3, [(0, 3), (3, 1)], [(1, 2)], 1, "++-+"),
    "through a gate to two, one taken": (4, [(0, 4), (4, 1), (4, 2)], [(1, 3)], 1, "-+---"),
    "taken, but a gate leads on": (3, [(0, 3), (3, 2)], [(0, 1)], 1, "----"),
}


@pytest.mark.parametrize("case", HANDLED.values(), ids=HANDLED)
def test_a_failure_is_handled_where_every_way_down_ends_at_an_outcome(
    case: tuple[int, list[Edge], list[Edge], int, str],
) -> None:
    tasks, edges, outcomes, gates, expected = case
    machine = made(tasks, *edges, outcomes=outcomes, gates=gates)
    assert "".join("-+"[machine.is_handled(i)] for i in range(tasks + gates)) == expected


# ── a run that stops at the first failure ───────────────────────────────────────────────────────────────────────────


def test_the_first_failure_calls_the_run_off() -> None:
    machine = begun(5, (0, 3), (1, 4), stop=True)
    told = heard(machine)
    assert [machine.take(0), machine.take(0)] == [0, 1]
    machine.failed_for_good(0, 1)
    assert (states(machine), machine.stopped_for, machine.closed) == ("FUCCC", 0, True)
    assert (told, machine.skipped_for) == ([(2, "C"), (3, "C"), (4, "C")], {})
    machine.validate()
    machine.succeeded(1, 1)
    assert (states(machine), machine.outcome, machine.cancel_reason) == ("FSCCC", RunState.FAILED, None)


def test_a_second_failure_is_not_why_the_run_stopped() -> None:
    machine = begun(2, stop=True)
    take_all(machine)
    machine.failed_for_good(1, 1)
    machine.failed_for_good(0, 1)
    assert (machine.stopped_for, machine.failed, machine.outcome) == (1, [1, 0], RunState.FAILED)


def test_a_failure_after_the_run_was_cancelled_does_not_stop_it_once_more() -> None:
    machine = begun(1, stop=True)
    machine.take(0)
    machine.cancel("enough")
    machine.failed_for_good(0, 1)
    assert (machine.stopped_for, machine.outcome) == (None, RunState.CANCELLED)


def test_a_failure_that_is_tried_again_stops_nothing() -> None:
    machine = begun(3, rules={0: TWICE, 1: Rules(attempts=9)}, stop=True)
    machine.take(0)
    machine.take(0)
    machine.attempt_failed(0, 1, 0.0, again=True)
    assert not machine.closed
    assert take_all(machine) == [2, 0]
    assert machine.attempt_failed(0, 2, 0.0, again=True) == FINAL
    assert (states(machine), machine.stopped_for) == ("FUU", 0)
    assert machine.attempt_failed(1, 1, 0.0, again=True) == FINAL  # the run was called off: no other attempt


def test_a_handled_failure_stops_nothing() -> None:
    machine = begun(3, (0, 1), outcomes=[(1, 2)], stop=True)
    machine.take(0)
    machine.failed_for_good(0, 1)
    assert (states(machine), machine.stopped_for, machine.closed) == ("FKR", None, False)
    machine.take(0)
    machine.succeeded(2, 1)
    assert machine.outcome is RunState.SUCCEEDED


def test_a_failure_handled_on_one_way_only_stops_the_run_and_its_reader() -> None:
    machine = begun(3, (0, 1), outcomes=[(0, 2)], stop=True)
    machine.take(0)
    machine.failed_for_good(0, 1)
    assert (states(machine), machine.stopped_for, machine.outcome) == ("FCC", 0, RunState.FAILED)
    machine.validate()


CALLS: list[tuple[Callable[[Machine], object], RunState]] = [
    (lambda machine: machine.cancel("enough"), RunState.CANCELLED),
    (Machine.expire, RunState.TIMED_OUT),
]


@pytest.mark.parametrize(("call", "outcome"), CALLS, ids=["cancel", "expire"])
def test_a_run_that_stopped_can_still_be_cancelled_or_time_out(
    call: Callable[[Machine], object], outcome: RunState
) -> None:
    machine = begun(2, stop=True)
    take_all(machine)
    machine.failed_for_good(0, 1)
    assert call(machine)
    machine.gave_up(1, 1)
    assert (states(machine), machine.outcome) == ("FC", outcome)


def test_a_gate_after_the_failure_that_stopped_the_run_stays_shut() -> None:
    machine = begun(3, (0, 3), (1, 3), (3, 2), gates=1, stop=True)
    take_all(machine)
    machine.failed_for_good(0, 1)
    machine.succeeded(1, 1)
    assert (states(machine)[:3], machine.open) == ("FSC", 0)
    machine.validate()


# ── a run that goes on with what is known ───────────────────────────────────────────────────────────────────────────


def test_what_is_known_does_not_run_again() -> None:
    machine = made(4, (0, 1), (1, 2), (0, 3))
    machine.known(0, 1)
    machine.known(1, 2)
    machine.start()
    machine.validate()
    assert (states(machine), lanes(machine), machine.attempts, machine.open) == ("SSRR", [[2, 3]], [1, 2, 0, 0], 2)
    assert not machine.succeeded(1, 2)


def test_a_run_of_which_everything_is_known_has_ended() -> None:
    machine = made(2, (0, 1))
    machine.known(0, 1)
    machine.known(1, 1)
    machine.start()
    machine.validate()
    assert (machine.open, machine.outcome, lanes(machine)) == (0, RunState.SUCCEEDED, [[]])
    assert not machine.cancel("too late")


def test_a_gate_of_which_everything_is_known_opens_at_the_start() -> None:
    machine = made(4, (0, 4), (1, 4), (4, 2), (4, 3), gates=1)
    machine.known(0, 1)
    machine.known(1, 1)
    assert states(machine) == "SSWWW"
    machine.start()
    assert (states(machine), lanes(machine)) == ("SSRRS", [[2, 3]])
    machine.validate()


def test_a_gate_waits_for_what_is_not_known() -> None:
    machine = made(3, (0, 3), (1, 3), (3, 2), gates=1)
    machine.known(1, 1)
    machine.start()
    assert states(machine) == "RSWW"
    machine.take(0)
    machine.succeeded(0, 1)
    assert states(machine) == "SSRS"
    machine.validate()


def test_gates_in_a_row_open_at_the_start() -> None:
    machine = made(2, (0, 2), (2, 3), (3, 1), gates=2)
    machine.known(0, 1)
    machine.start()
    assert (states(machine), lanes(machine)) == ("SRSS", [[1]])


def test_a_gate_before_what_is_known_changes_nothing() -> None:
    machine = made(3, (0, 3), (3, 1), (3, 2), gates=1)
    machine.known(1, 1)
    machine.start()
    machine.validate()
    machine.take(0)
    machine.failed_for_good(0, 1)
    assert (states(machine), machine.skipped_for) == ("FSKK", {2: 0})
    machine.validate()


def test_the_outcome_of_what_is_known_can_be_taken() -> None:
    machine = made(2, outcomes=[(0, 1)])
    machine.known(0, 1)
    machine.start()
    assert states(machine) == "SR"
    machine.validate()


@pytest.mark.parametrize("good", [True, False])
def test_what_is_known_stays_so_whatever_becomes_of_its_upstream(good: bool) -> None:
    # The upstream runs again, because somebody else needs its result.
    machine = made(4, (0, 1), (0, 2), (1, 3))
    machine.known(1, 1)
    machine.start()
    machine.validate()
    assert states(machine) == "RSWR"
    take_all(machine)
    assert machine.succeeded(0, 1) if good else machine.failed_for_good(0, 1)
    assert states(machine) == ("SSRU" if good else "FSKU")
    machine.validate()
