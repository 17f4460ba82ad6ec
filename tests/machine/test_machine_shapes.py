"""Conversations about runs that change their shape: maps that open, flags, tasks that go on, tasks that end the run.

States are letters; see `conversation.LETTERS`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.machine.conversation import (
    Edge,
    assert_lawful,
    begun,
    everything,
    gate,
    heard,
    lanes,
    made,
    states,
    take_all,
)

from graflow.core.requirement import at_least
from graflow.core.run import RunState
from graflow.engine.machine import Machine
from graflow.engine.rules import AGAIN, CANCELLED, FAILED, FINAL, IGNORED, SUCCEEDED, Rules
from graflow.errors import InternalError


def opened(count: int, *edges: Edge, tasks: int = 1, rules: Rules | None = None, **more: object) -> Machine:
    """A machine whose task 0 is a map that has just opened; the items come after the tasks."""
    machine = begun(tasks, *edges, maps=[0], **more)
    machine.take(0)
    assert machine.opened(0, 1, count, [rules] * count if rules is not None else []) == range(tasks, tasks + count)
    machine.validate()
    return machine


# ── maps ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_map_without_items_ends_when_its_caller_says_so() -> None:
    machine = opened(0, (0, 1), tasks=2)
    assert (states(machine), machine.items.settled, machine.items.end_of(0)) == ("UW", [], SUCCEEDED)
    assert (machine.running(), machine.items.of) == ([], {0: range(2, 2)})
    assert machine.succeeded(0, 1)
    assert (states(machine), lanes(machine)) == ("SR", [[1]])
    machine.validate()


def test_a_map_opens_once() -> None:
    machine = opened(2)
    before = everything(machine)
    assert machine.opened(0, 1, 5) is None
    assert machine.opened(0, 2, 5) is None
    assert everything(machine) == before


def test_a_map_that_does_not_run_does_not_open() -> None:
    machine = begun(2, (0, 1), maps=[0, 1])
    assert machine.opened(0, 0, 1) is None
    assert machine.opened(1, 0, 1) is None
    machine.take(0)
    machine.cancel("enough")
    machine.gave_up(0, 1)
    assert machine.opened(0, 1, 1) is None
    assert states(machine) == "CC"


def test_only_the_items_of_an_open_map_run() -> None:
    machine = begun(2, maps=[0, 1])
    assert (take_all(machine), machine.running()) == ([0, 1], [0, 1])
    machine.opened(1, 1, 2)
    assert machine.running() == [0]
    machine.opened(0, 1, 1)
    assert take_all(machine) == [2, 3, 4]
    assert machine.running() == [2, 3, 4]
    assert ([machine.items.owner(j) for j in (2, 3, 4)], [machine.items.number(j) for j in (2, 3, 4)]) == (
        [1, 1, 0],
        [0, 1, 0],
    )
    assert len(machine.items) == 3


def test_items_wait_in_the_lane_of_their_map_which_may_be_another() -> None:
    machine = begun(2, maps={0: 2}, lanes=[1, 0])
    machine.take(1)
    machine.opened(0, 1, 2)
    assert lanes(machine) == [[1], [], [2, 3]]
    assert [machine.lane_of(i) for i in range(4)] == [1, 0, 2, 2]


def test_items_come_after_everything_else_that_has_a_number() -> None:
    machine = made(2, *gate([0], 2, [1]), gates=1, maps=[0], first_item=6)
    machine.start()
    machine.validate()
    machine.take(0)
    assert machine.opened(0, 1, 2) == range(6, 8)
    assert states(machine) == "UWWSSSRR"
    machine.validate()
    for j in take_all(machine):
        machine.succeeded(j, 1)
    machine.succeeded(0, 1)
    assert states(machine) == "SRSSSSSS"
    machine.validate()


def test_a_failed_item_stops_no_other_item() -> None:
    machine = opened(3, (0, 1), tasks=2)
    told = heard(machine)
    take_all(machine)
    assert machine.failed_for_good(3, 1)
    assert (states(machine), machine.failed, machine.items.settled, told) == ("UWUFU", [], [], [])
    assert machine.succeeded(4, 1)
    assert machine.succeeded(2, 1)
    assert (machine.items.settled, machine.items.end_of(0)) == ([0], FAILED)
    assert machine.failed_for_good(0, 1)
    assert (states(machine), machine.failed, machine.outcome) == ("FKSFS", [0], RunState.FAILED)
    assert machine.skipped_for == {1: 0}
    machine.validate()


def test_who_takes_the_outcome_of_a_map_runs_after_a_failed_item() -> None:
    machine = opened(2, tasks=2, outcomes=[(0, 1)], stop=True)
    take_all(machine)
    machine.failed_for_good(2, 1)
    assert not machine.closed
    machine.succeeded(3, 1)
    assert machine.is_handled(0)
    machine.failed_for_good(0, 1)
    assert states(machine) == "FRFS"
    machine.validate()
    machine.succeeded(machine.take(0), 1)
    assert machine.outcome is RunState.SUCCEEDED


def test_an_item_has_attempts_of_its_own() -> None:
    machine = opened(2, rules=Rules(attempts=2, delay=lambda attempt: 5.0, timeout=10))
    take_all(machine, now=1.0)
    assert machine.next_due == 11.0
    assert machine.attempt_failed(2, 1, 2.0, again=True) == AGAIN
    assert (states(machine), machine.retry_at(2), machine.next_due) == ("UUT", 7.0, 7.0)
    machine.validate()
    machine.tick(7.0)
    assert machine.take(0, 8.0) == 2
    assert machine.attempt_failed(2, 2, 9.0, again=True) == FINAL
    assert (machine.tick(11.0), states(machine)) == ([1], "UUF")
    assert machine.attempts == [1, 1, 2]


def test_news_of_an_item_that_does_not_run_is_ignored() -> None:
    machine = opened(2)
    assert machine.take(0) == 1
    machine.succeeded(1, 1)
    before = everything(machine)
    for j, attempt in ((1, 1), (2, 0), (2, 1)):
        assert not machine.succeeded(j, attempt)
        assert not machine.failed_for_good(j, attempt)
        assert machine.attempt_failed(j, attempt, 0.0, again=True) == IGNORED
        assert machine.continued(j, attempt, 9, None) == IGNORED
    assert everything(machine) == before


def test_cancelling_ends_the_items_that_have_not_begun() -> None:
    machine = opened(3, rules=Rules(attempts=2, delay=lambda attempt: 5.0))
    told = heard(machine)
    machine.take(0)
    machine.take(0)
    machine.attempt_failed(2, 1, 0.0, again=True)
    machine.cancel("enough")
    assert (states(machine), told, machine.items.settled) == ("UUCC", [(2, "C"), (3, "C")], [])
    machine.validate()
    machine.succeeded(1, 1)
    assert (machine.items.settled, machine.items.end_of(0)) == ([0], CANCELLED)
    assert machine.gave_up(0, 1)
    assert (states(machine), machine.outcome) == ("CSCC", RunState.CANCELLED)
    machine.validate()


def test_a_failed_item_outweighs_cancelled_ones() -> None:
    machine = opened(3)
    machine.take(0)
    machine.cancel("enough")
    machine.failed_for_good(1, 1)
    assert machine.items.end_of(0) == FAILED


def test_a_map_that_opens_in_a_cancelled_run_starts_no_item() -> None:
    machine = begun(1, maps=[0])
    machine.take(0)
    machine.cancel("enough")
    told = heard(machine)
    assert machine.opened(0, 1, 2, earlier={1: (3, True)}) == range(1, 3)
    assert (states(machine), told, machine.items.settled) == ("UCS", [(1, "C")], [0])
    assert machine.items.end_of(0) == CANCELLED
    machine.validate()


def test_when_the_time_is_up_items_and_their_map_end() -> None:
    machine = opened(2)
    machine.take(0)
    told = heard(machine)
    assert machine.expire()
    assert (states(machine), machine.open, machine.outcome) == ("CCC", 0, RunState.TIMED_OUT)
    assert sorted(told) == [(0, "C"), (1, "C"), (2, "C")]
    assert machine.running() == []
    machine.validate()
    assert not machine.succeeded(1, 1)
    assert_lawful(machine, 3)


def test_the_time_can_be_up_after_the_run_was_cancelled_while_items_run() -> None:
    machine = opened(2)
    machine.take(0)
    machine.cancel("enough")
    assert machine.expire()
    assert (states(machine), machine.open) == ("CCC", 0)
    machine.validate()


def test_a_failed_item_stops_a_run_that_stops_at_failures() -> None:
    machine = opened(3, (0, 1), tasks=2, stop=True)
    assert [machine.take(0), machine.take(0)] == [2, 3]
    machine.failed_for_good(3, 1)
    assert (states(machine), machine.closed, machine.stopped_for) == ("UCUFC", True, 0)
    machine.validate()
    machine.succeeded(2, 1)
    assert (machine.items.settled, machine.items.end_of(0)) == ([0], FAILED)
    machine.failed_for_good(0, 1)
    assert (machine.outcome, machine.failed, machine.skipped_for) == (RunState.FAILED, [0], {})
    machine.validate()


def test_items_share_the_limit_of_their_map_with_others() -> None:
    limited = Rules(limit="db", attempts=2)
    machine = begun(2, maps=[0], rules={1: limited}, limits={"db": 2})
    assert take_all(machine) == [0, 1]
    machine.opened(0, 1, 3, [limited] * 3)
    assert (lanes(machine), machine._limits.parked) == ([[2]], [3, 4])
    machine.validate()
    machine.succeeded(1, 1)
    assert lanes(machine) == [[2, 3]]
    assert take_all(machine) == [2, 3]
    machine.attempt_failed(2, 1, 0.0, again=True)
    assert (lanes(machine), machine._limits.parked) == ([[4]], [2])
    machine.validate()


def test_a_limit_that_only_a_map_has_holds_for_its_items() -> None:
    machine = opened(3, rules=Rules(limit="db"), limits={"db": 1})
    for j in (1, 2, 3):
        assert lanes(machine) == [[j]]
        machine.succeeded(machine.take(0), 1)
        machine.validate()
    assert machine.items.settled == [0]


@pytest.mark.parametrize(("priority", "order"), [(2, [2, 3, 1]), (-2, [1, 2, 3]), (0, [1, 2, 3])])
def test_items_have_the_priority_of_their_map(priority: int, order: list[int]) -> None:
    # The map has the priority itself, because lanes have to know from the start whether anybody has one.
    machine = begun(2, maps=[0], rules={0: Rules(priority=priority)} if priority else {})
    machine.ready[0].remove(1)
    machine.take(0)
    machine.ready[0].append(1)
    machine.opened(0, 1, 2, [Rules(priority=priority)] * 2)
    machine.validate()
    assert take_all(machine) == order


def test_an_item_takes_the_place_of_a_task_that_matters_less() -> None:
    rules = {0: Rules(priority=5), 1: Rules(limit="db")}
    machine = begun(2, maps=[0], rules=rules, limits={"db": 1})
    assert machine.take(0) == 0
    machine.opened(0, 1, 1, [Rules(limit="db", priority=5)])
    assert (lanes(machine), machine._limits.parked) == ([[2]], [1])
    machine.validate()


def test_items_that_are_known_do_not_run_again() -> None:
    machine = begun(1, maps=[0])
    machine.take(0)
    rules = [Rules(attempts=2)] * 3
    assert machine.opened(0, 1, 3, rules, {0: (2, True), 2: (4, False)}) == range(1, 4)
    assert (states(machine), machine.attempts, lanes(machine)) == ("USRR", [1, 2, 0, 4], [[2, 3]])
    machine.validate()
    take_all(machine)
    assert machine.attempt_failed(3, 5, 0.0, again=True) == AGAIN  # earlier attempts take nothing from the budget
    machine.take(0)
    assert machine.attempt_failed(3, 6, 0.0, again=True) == FINAL


def test_a_map_of_which_every_item_is_known_has_settled() -> None:
    machine = begun(1, maps=[0])
    machine.take(0)
    machine.opened(0, 1, 2, earlier={0: (1, True), 1: (1, True)})
    assert (machine.items.settled, machine.items.end_of(0), lanes(machine)) == ([0], SUCCEEDED, [[]])
    machine.validate()


def test_a_map_that_is_known_does_not_open() -> None:
    machine = made(2, (0, 1), maps=[0])
    machine.known(0, 1)
    machine.start()
    assert (states(machine), lanes(machine)) == ("SR", [[1]])
    machine.validate()


# ── maps that never open ────────────────────────────────────────────────────────────────────────────────────────────


def test_who_takes_the_outcomes_of_a_map_that_never_opened_is_skipped() -> None:
    machine = begun(3, (1, 2), outcomes=[(0, 1)], maps=[0])
    told = heard(machine)
    machine.take(0)
    assert machine.failed_for_good(0, 1)
    assert (states(machine), told, machine.skipped_for) == ("FKK", [(1, "K"), (2, "K")], {1: 0, 2: 0})
    assert not machine.is_handled(0)
    assert machine.outcome is RunState.FAILED
    machine.validate()


def test_a_failure_above_a_map_is_not_handled_by_who_takes_the_outcomes_of_its_items() -> None:
    machine = begun(3, (0, 1), outcomes=[(1, 2)], maps=[1], stop=True)
    machine.take(0)
    machine.failed_for_good(0, 1)
    assert (states(machine), machine.stopped_for, machine.outcome) == ("FCC", 0, RunState.FAILED)
    machine.validate()


def test_a_failure_of_a_map_that_never_opened_is_handled_further_down() -> None:
    machine = begun(3, outcomes=[(0, 1), (1, 2)], maps=[0], stop=True)
    machine.take(0)
    machine.failed_for_good(0, 1)
    assert (states(machine), machine.closed) == ("FKR", False)
    machine.validate()
    machine.succeeded(machine.take(0), 1)
    assert machine.outcome is RunState.SUCCEEDED


def test_a_map_can_be_refused() -> None:
    machine = begun(3, (0, 1), outcomes=[(1, 2)], maps=[1])
    machine.take(0)
    assert machine.refused(1)
    machine.succeeded(0, 1)
    assert (states(machine), machine.skipped_for) == ("SKK", {1: 1, 2: 1})
    assert machine.outcome is RunState.SUCCEEDED  # nothing has failed
    machine.validate()


# ── flags ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_is_refused_before_the_start_never_starts() -> None:
    machine = made(4, (0, 1), outcomes=[(0, 2)])
    assert machine.refused(0)
    machine.start()
    assert (states(machine), lanes(machine), machine.skipped_for) == ("KKRR", [[2, 3]], {0: 0, 1: 0})
    machine.validate()


def test_who_is_undecided_before_the_start_never_starts() -> None:
    machine = made(3, (0, 1), outcomes=[(0, 2)])
    assert machine.undecided(0)
    machine.start()
    assert (states(machine), lanes(machine), machine.failed) == ("FKR", [[2]], [0])
    machine.validate()


def test_a_flag_that_is_no_bool_stops_a_run_that_stops_at_failures() -> None:
    machine = begun(3, (0, 1), (0, 2), stop=True)
    machine.take(0)
    machine.undecided(1)
    assert (states(machine), machine.stopped_for) == ("UFC", 1)
    machine.succeeded(0, 1)
    assert machine.outcome is RunState.FAILED
    machine.validate()


def test_who_is_refused_runs_no_more_when_its_upstream_ends() -> None:
    machine = begun(2, (0, 1))
    machine.take(0)
    machine.refused(1)
    machine.succeeded(0, 1)
    assert (states(machine), lanes(machine), machine.outcome) == ("SK", [[]], RunState.SUCCEEDED)
    machine.validate()


def test_a_refusal_goes_through_gates_and_wakes_who_takes_outcomes() -> None:
    machine = begun(4, *gate([0, 1], 4, [2]), outcomes=[(2, 3)], gates=1)
    told = heard(machine)
    machine.take(0)
    assert not machine.refused(0)  # it runs
    assert not machine.refused(1)  # it is ready: its flag was looked at before
    assert machine.refused(2)
    assert (states(machine), told) == ("URKRW", [(2, "K")])
    machine.validate()


def test_a_refusal_skips_through_a_gate() -> None:
    machine = begun(4, (0, 1), *gate([1], 4, [2]), outcomes=[(2, 3)], gates=1)
    machine.take(0)
    machine.refused(1)
    assert (states(machine), machine.skipped_for) == ("UKKRK", {1: 1, 2: 1})
    machine.validate()


@pytest.mark.parametrize("call", [Machine.refused, Machine.undecided])
def test_a_flag_counts_only_while_its_task_waits(call: Callable[..., bool]) -> None:
    machine = begun(3, (0, 1), (1, 2))
    machine.take(0)
    machine.cancel("enough")
    before = everything(machine)
    assert not call(machine, 0)
    assert not call(machine, 1)
    assert everything(machine) == before


def test_flags_that_say_no_at_once_leave_nobody_between_them() -> None:
    # 2 takes the outcome of 1, and would start if it were not refused with it.
    machine = begun(4, (0, 1), (0, 2), outcomes=[(1, 2), (2, 3)])
    told = heard(machine)
    machine.take(0)
    assert machine.refused(1, 2, 0)
    assert (states(machine), told) == ("UKKR", [(1, "K"), (2, "K")])
    assert machine.skipped_for == {1: 1, 2: 2}
    machine.validate()
    assert not machine.refused(1, 2)
    assert not machine.refused()


def test_of_flags_that_are_none_the_first_stops_the_run() -> None:
    machine = begun(3, (0, 1), (0, 2), stop=True)
    machine.take(0)
    assert machine.undecided(1, 2)
    assert (states(machine), machine.failed) == ("UFC", [1])
    machine.validate()


def test_flags_that_are_none_at_once_fail_each() -> None:
    machine = begun(4, (0, 1), (0, 2), (2, 3))
    machine.take(0)
    assert machine.undecided(2, 1)
    assert (states(machine), machine.failed, machine.skipped_for) == ("UFFK", [2, 1], {3: 2})
    machine.validate()


# ── going on ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_task_goes_on_so_often_and_no_more() -> None:
    machine = begun(2, (0, 1))
    answers = []
    for attempt in (1, 2, 3):
        machine.take(0)
        answers.append(machine.continued(0, attempt, 2, None))
        machine.validate()
    assert (answers, states(machine), machine.attempts) == ([AGAIN, AGAIN, FINAL], "UW", [3, 0])
    assert machine.failed_for_good(0, 3)
    assert states(machine) == "FK"


def test_news_of_a_turn_that_is_over_is_ignored() -> None:
    machine = begun(1)
    machine.take(0)
    machine.continued(0, 1, 9, None)
    before = everything(machine)
    assert machine.continued(0, 1, 9, None) == IGNORED
    assert not machine.succeeded(0, 1)
    assert everything(machine) == before
    machine.take(0)
    assert machine.continued(0, 1, 9, None) == IGNORED
    assert machine.succeeded(0, 2)


def test_each_turn_has_its_own_attempts_and_delays() -> None:
    delays: list[int] = []

    def delay(attempt: int) -> float:
        delays.append(attempt)
        return 0.0

    machine = begun(1, rules={0: Rules(attempts=2, delay=delay)})
    answers = []
    for attempt in range(1, 5):
        machine.take(0)
        if attempt == 2:
            answers.append(machine.continued(0, attempt, 9, None))
        else:
            answers.append(machine.attempt_failed(0, attempt, 0.0, again=True))
    assert (answers, delays, machine.attempts) == ([AGAIN, AGAIN, AGAIN, FINAL], [1, 1], [4])


def test_a_turn_may_ask_for_something_else() -> None:
    machine = begun(1, rules={0: Rules(timeout=3)})
    machine.take(0, 0.0)
    machine.continued(0, 1, 9, Rules(attempts=2, timeout=10))
    assert machine.take(0, 1.0) == 0
    assert (machine.next_due, machine.tick(3.0)) == (11.0, [])
    assert machine.attempt_failed(0, 2, 4.0, again=True) == AGAIN
    machine.take(0, 5.0)
    assert machine.attempt_failed(0, 3, 6.0, again=True) == FINAL


def test_between_turns_others_have_the_place_under_a_limit() -> None:
    machine = begun(2, rules={i: Rules(limit="db") for i in range(2)}, limits={"db": 1})
    machine.take(0)
    assert machine.continued(0, 1, 9, Rules(limit="db")) == AGAIN
    assert (lanes(machine), machine._limits.parked) == ([[1]], [0])
    machine.validate()
    machine.succeeded(machine.take(0), 1)
    assert lanes(machine) == [[0]]
    machine.succeeded(machine.take(0), 2)
    assert machine._limits._free == {"db": 1}
    machine.validate()


def test_an_item_may_go_on() -> None:
    machine = opened(2)
    machine.take(0)
    assert machine.continued(1, 1, 1, None) == AGAIN
    assert (states(machine), lanes(machine)) == ("URR", [[2, 1]])
    machine.validate()


def test_nobody_goes_on_in_a_run_that_was_called_off() -> None:
    machine = begun(2, (0, 1))
    machine.take(0)
    machine.cancel("enough")
    told = heard(machine)
    assert machine.continued(0, 1, 9, None) == AGAIN
    assert (states(machine), told, machine.open, machine.outcome) == ("CC", [(0, "C")], 0, RunState.CANCELLED)
    machine.validate()


def test_an_overdue_attempt_is_told_once_however_often_others_go_on() -> None:
    machine = begun(2, rules={0: Rules(timeout=10), 1: Rules(timeout=1000)})
    take_all(machine, now=0.0)
    assert machine.tick(10.0) == [0]
    for attempt in range(1, 300):
        machine.continued(1, attempt, 1000, None)
        machine.take(0, 10.0)
    assert machine.tick(11.0) == []
    assert len(machine._agenda._due) < 300  # what was planned for earlier turns does not pile up
    assert machine.next_due == 1010.0


# ── stopping ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_task_that_stops_the_run_ends_it_well() -> None:
    machine = begun(4, (0, 3))
    told = heard(machine)
    assert [machine.take(0), machine.take(0)] == [0, 1]
    assert machine.stopped(0, 1)
    assert (states(machine), machine.stopped_by, machine.closed) == ("SUCC", 0, True)
    assert told == [(2, "C"), (3, "C")]
    machine.validate()
    before = everything(machine)
    assert not machine.cancel("too late")
    assert everything(machine) == before
    machine.gave_up(1, 1)
    assert (states(machine), machine.outcome) == ("SCCC", RunState.SUCCEEDED)


@pytest.mark.parametrize("first", [True, False])
def test_a_run_that_was_stopped_succeeds_whatever_fails(first: bool) -> None:
    machine = begun(2)
    take_all(machine)
    if first:
        machine.failed_for_good(1, 1)
    machine.stopped(0, 1)
    machine.failed_for_good(1, 1)
    assert (states(machine), machine.outcome) == ("SF", RunState.SUCCEEDED)


def test_only_the_first_stops_the_run() -> None:
    machine = begun(2)
    take_all(machine)
    assert machine.stopped(1, 1)
    assert machine.stopped(0, 1)
    assert (machine.stopped_by, states(machine)) == (1, "SS")
    assert not machine.stopped(0, 1)


def test_nobody_stops_a_run_that_was_cancelled() -> None:
    machine = begun(2)
    take_all(machine)
    machine.cancel("enough")
    assert machine.stopped(0, 1)
    machine.succeeded(1, 1)
    assert (machine.stopped_by, machine.outcome) == (None, RunState.CANCELLED)


def test_the_time_can_be_up_after_the_run_was_stopped() -> None:
    machine = begun(2)
    take_all(machine)
    machine.stopped(0, 1)
    assert machine.expire()
    assert (states(machine), machine.outcome) == ("SC", RunState.TIMED_OUT)


def test_an_item_may_stop_the_run() -> None:
    machine = opened(3)
    machine.take(0)
    machine.take(0)
    assert machine.stopped(2, 1)
    assert (states(machine), machine.stopped_by, machine.items.settled) == ("UUSC", 2, [])
    machine.validate()
    machine.gave_up(1, 1)
    assert (machine.items.settled, machine.items.end_of(0)) == ([0], CANCELLED)
    machine.gave_up(0, 1)
    assert (states(machine), machine.outcome) == ("CCSC", RunState.SUCCEEDED)


# ── validate ────────────────────────────────────────────────────────────────────────────────────────────────────────


def forget_an_item(machine: Machine) -> None:
    machine.items.left[0] -= 1


def end_a_map_early(machine: Machine) -> None:
    machine.states[0] = SUCCEEDED
    machine.open -= 1
    machine._waiting[1] -= 1
    machine.ready[0].append(1)
    machine.states[1] = 1


def lose_an_item(machine: Machine) -> None:
    machine.ready[0].popleft()


def misjudge_a_map(machine: Machine) -> None:
    for j in take_all(machine):
        machine.succeeded(j, 1)
    machine.validate()
    machine.items._lost[0] = FAILED


def leave_a_gate_shut(machine: Machine) -> None:
    machine.states[2] = 1


@pytest.mark.parametrize("spoil", [forget_an_item, end_a_map_early, lose_an_item, misjudge_a_map, leave_a_gate_shut])
def test_validate_finds_a_broken_invariant(spoil: Callable[[Machine], None]) -> None:
    machine = made(2, (0, 1), (0, 2), gates=1, groups={2: at_least(1)}, maps=[0])
    machine.start()
    machine.take(0)
    machine.opened(0, 1, 2)
    machine.validate()
    spoil(machine)
    with pytest.raises(InternalError):
        machine.validate()
