"""Conversations about time: more attempts, attempts that take too long, runs that take too long.

States are letters; see `conversation.LETTERS`.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.machine.conversation import begun, everything, lanes, made, states, take_all

from graflow.core.run import RunState
from graflow.engine.rules import AGAIN, FINAL, IGNORED, Rules


def waiting(seconds: float) -> Callable[[int], float]:
    return lambda attempt: seconds


TWICE = Rules(attempts=2)
LATER = Rules(attempts=2, delay=waiting(5))
SLOW = Rules(attempts=2, timeout=10)

# ── more attempts ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_task_is_tried_as_often_as_its_rules_say() -> None:
    machine = begun(2, (0, 1), rules={0: Rules(attempts=3)})
    answers = []
    for attempt in (1, 2, 3):
        assert machine.take(0) == 0
        answers.append(machine.attempt_failed(0, attempt, 0.0, again=True))
        machine.validate()
    assert (answers, machine.attempts, states(machine)) == ([AGAIN, AGAIN, FINAL], [3, 0], "FK")
    assert machine.outcome is RunState.FAILED


def test_a_later_attempt_may_succeed_and_then_nothing_has_failed() -> None:
    machine = begun(2, (0, 1), rules={0: TWICE})
    machine.take(0)
    machine.attempt_failed(0, 1, 0.0, again=True)
    machine.take(0)
    assert machine.succeeded(0, 2)
    machine.take(0)
    machine.succeeded(1, 1)
    assert (states(machine), machine.failed, machine.outcome) == ("SS", [], RunState.SUCCEEDED)


def test_an_error_of_another_kind_is_final() -> None:
    machine = begun(2, (0, 1), rules={0: Rules(attempts=9)})
    machine.take(0)
    assert machine.attempt_failed(0, 1, 0.0, again=False) == FINAL
    assert (states(machine), machine.skipped_for) == ("FK", {1: 0})


def test_the_delay_depends_on_the_number_of_the_attempt() -> None:
    machine = begun(1, rules={0: Rules(attempts=4, delay=lambda attempt: 10.0**attempt)})
    now = 0.0
    for attempt, delay in ((1, 10.0), (2, 100.0), (3, 1000.0)):
        machine.take(0, now)
        machine.attempt_failed(0, attempt, now, again=True)
        assert machine.retry_at(0) == machine.next_due == now + delay
        now += delay
        machine.tick(now)
        assert machine.retry_at(0) is None
    machine.take(0, now)
    assert machine.attempt_failed(0, 4, now, again=True) == FINAL


def test_a_delay_of_nothing_is_none() -> None:
    machine = begun(1, rules={0: Rules(attempts=2, delay=waiting(0))})
    machine.take(0)
    assert machine.attempt_failed(0, 1, 0.0, again=True) == AGAIN
    assert (states(machine), machine.next_due) == ("R", None)


def test_several_become_ready_in_the_order_in_which_they_are_due() -> None:
    delays = [3.0, 1.0, 2.0, 1.0, 9.0]
    machine = begun(5, rules={i: Rules(attempts=2, delay=waiting(delay)) for i, delay in enumerate(delays)})
    for i in take_all(machine):
        machine.attempt_failed(i, 1, 0.0, again=True)
    assert machine.next_due == 1.0
    machine.tick(3.0)
    assert (lanes(machine), states(machine), machine.next_due) == ([[1, 3, 2, 0]], "RRRRT", 9.0)


def test_a_cancelled_run_tries_nothing_again() -> None:
    machine = begun(1, rules={0: Rules(attempts=9)})
    machine.take(0)
    machine.cancel("enough")
    assert machine.attempt_failed(0, 1, 0.0, again=True) == FINAL
    assert (states(machine), machine.outcome) == ("F", RunState.CANCELLED)


def test_a_retry_neither_wakes_nor_skips_anybody() -> None:
    machine = begun(3, (0, 1), outcomes=[(0, 2)], rules={0: LATER})
    machine.take(0)
    machine.attempt_failed(0, 1, 0.0, again=True)
    assert states(machine) == "TWW"
    machine.tick(5.0)
    assert states(machine) == "RWW"
    machine.validate()


def test_earlier_attempts_are_counted_but_take_nothing_from_the_budget() -> None:
    delays: list[int] = []

    def delay(attempt: int) -> float:
        delays.append(attempt)
        return 1.0

    machine = made(1, rules={0: Rules(attempts=3, delay=delay)})
    machine.counted(0, 5)
    machine.start()
    assert (states(machine), machine.attempts) == ("R", [5])
    answers = []
    for attempt in (6, 7, 8):
        machine.take(0, 0.0)
        assert machine.attempts == [attempt]
        answers.append(machine.attempt_failed(0, attempt, 0.0, again=True))
        machine.tick(1.0)
    assert (answers, delays, states(machine)) == ([AGAIN, AGAIN, FINAL], [1, 2], "F")


def test_news_of_an_attempt_of_an_earlier_part_of_the_run_is_ignored() -> None:
    machine = made(2, (0, 1))
    machine.counted(0, 2)
    machine.start()
    machine.take(0)
    before = everything(machine)
    assert not machine.succeeded(0, 2)
    assert everything(machine) == before
    assert machine.succeeded(0, 3)


# ── attempts that take too long ─────────────────────────────────────────────────────────────────────────────────────


def test_an_attempt_that_takes_too_long_is_told_once_and_runs_until_somebody_ends_it() -> None:
    machine = begun(1, rules={0: SLOW})
    machine.take(0, 100.0)
    assert machine.next_due == 110.0
    assert machine.tick(109.9) == []
    assert machine.tick(110.0) == [0]
    assert (states(machine), machine.next_due) == ("U", None)
    assert machine.tick(1e9) == []
    assert machine.attempt_failed(0, 1, 110.0, again=True) == AGAIN


def test_an_attempt_in_time_leaves_nothing_to_wait_for() -> None:
    machine = begun(1, rules={0: SLOW})
    machine.take(0, 100.0)
    machine.succeeded(0, 1)
    assert machine.next_due is None
    assert machine.tick(110.0) == []


def test_the_result_of_an_attempt_that_timed_out_is_ignored_before_the_next_one() -> None:
    machine = begun(2, (0, 1), rules={0: SLOW})
    machine.take(0, 0.0)
    assert machine.tick(10.0) == [0]
    machine.attempt_failed(0, 1, 10.0, again=True)
    before = everything(machine)
    assert not machine.succeeded(0, 1)
    assert machine.attempt_failed(0, 1, 11.0, again=True) == IGNORED
    assert everything(machine) == before


def test_the_result_of_an_attempt_that_timed_out_is_ignored_during_the_next_one() -> None:
    machine = begun(2, (0, 1), rules={0: SLOW})
    machine.take(0, 0.0)
    assert machine.tick(10.0) == [0]
    machine.attempt_failed(0, 1, 10.0, again=True)
    machine.take(0, 12.0)
    before = everything(machine)
    assert not machine.succeeded(0, 1)
    assert machine.attempt_failed(0, 1, 13.0, again=True) == IGNORED
    assert everything(machine) == before
    assert machine.succeeded(0, 2)


def test_the_result_of_the_last_attempt_is_ignored_after_its_timeout() -> None:
    machine = begun(2, (0, 1), rules={0: Rules(timeout=10)})
    machine.take(0, 0.0)
    assert machine.tick(10.0) == [0]
    assert machine.attempt_failed(0, 1, 10.0, again=True) == FINAL
    assert not machine.succeeded(0, 1)
    assert (states(machine), machine.outcome) == ("FK", RunState.FAILED)


def test_the_deadline_of_an_earlier_attempt_does_not_end_a_later_one() -> None:
    machine = begun(1, rules={0: Rules(attempts=2, delay=waiting(1), timeout=10)})
    machine.take(0, 0.0)
    machine.attempt_failed(0, 1, 2.0, again=True)
    assert machine.next_due == 3.0
    machine.tick(3.0)
    machine.take(0, 4.0)
    assert machine.next_due == 14.0
    assert machine.tick(10.0) == []  # when the first attempt would have been overdue
    assert machine.tick(14.0) == [0]


def test_the_deadline_of_an_earlier_attempt_hidden_by_another_task_does_not_end_a_later_one() -> None:
    machine = begun(2, rules={0: Rules(attempts=2, delay=waiting(1), timeout=10), 1: Rules(timeout=6)})
    take_all(machine, now=0.0)
    machine.attempt_failed(0, 1, 2.0, again=True)
    machine.tick(3.0)
    machine.take(0, 4.0)
    assert machine.next_due == 6.0  # task 1; after it, task 0 at 10 and 14, of which the first means nothing
    machine.succeeded(1, 1)
    assert machine.next_due == 14.0
    assert machine.tick(13.0) == []


def test_the_deadline_of_an_attempt_does_not_end_the_pause_after_it() -> None:
    machine = begun(1, rules={0: Rules(attempts=2, delay=waiting(20), timeout=10)})
    machine.take(0, 0.0)
    machine.attempt_failed(0, 1, 2.0, again=True)
    assert machine.next_due == machine.retry_at(0) == 22.0
    assert (machine.tick(10.0), states(machine)) == ([], "T")
    assert (machine.tick(22.0), states(machine)) == ([], "R")


def test_a_long_jump_of_the_clock_tells_all_that_was_due_in_order() -> None:
    rules = {0: Rules(timeout=3), 1: Rules(timeout=1), 2: Rules(attempts=2, delay=waiting(2)), 3: Rules(timeout=1)}
    machine = begun(4, rules=rules)
    take_all(machine, now=0.0)
    machine.attempt_failed(2, 1, 0.0, again=True)
    assert machine.tick(1e6) == [1, 3, 0]
    assert (states(machine), lanes(machine), machine.next_due) == ("UURU", [[2]], None)


def test_a_timeout_counts_in_a_run_that_was_cancelled() -> None:
    machine = begun(1, rules={0: SLOW})
    machine.take(0, 0.0)
    machine.cancel("enough")
    assert machine.next_due == 10.0
    assert machine.tick(10.0) == [0]
    assert machine.attempt_failed(0, 1, 10.0, again=True) == FINAL


# ── the time of the run ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_whose_time_is_up_hears_no_more_news() -> None:
    machine = begun(3, (0, 1), rules={0: Rules(attempts=9, timeout=10)})
    take_all(machine, now=0.0)
    machine.expire()
    before = everything(machine)
    assert not machine.succeeded(0, 1)
    assert machine.attempt_failed(2, 1, 1.0, again=True) == IGNORED
    assert not machine.gave_up(2, 1)
    assert not machine.cancel("enough")
    assert not machine.expire()
    assert machine.tick(1e6) == []
    assert everything(machine) == before


def test_the_time_can_be_up_after_the_run_was_cancelled() -> None:
    machine = begun(2)
    machine.take(0)
    machine.cancel("enough")
    assert states(machine) == "UC"
    assert machine.expire()
    assert (states(machine), machine.outcome, machine.cancel_reason) == ("CC", RunState.TIMED_OUT, "enough")


def test_the_time_can_be_up_before_the_start() -> None:
    machine = made(2, (0, 1))
    assert machine.expire()
    machine.start()
    assert (states(machine), machine.outcome, lanes(machine)) == ("CC", RunState.TIMED_OUT, [[]])


def test_what_failed_before_the_time_was_up_stays_failed() -> None:
    machine = begun(3, (0, 1))
    take_all(machine)
    machine.failed_for_good(0, 1)
    machine.expire()
    assert (states(machine), machine.failed, machine.outcome) == ("FKC", [0], RunState.TIMED_OUT)
