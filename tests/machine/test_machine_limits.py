"""Conversations about who goes first: limits and priorities.

States are letters; see `conversation.LETTERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.machine.conversation import begun, lanes, states, take_all

from graflow.engine.machine import Machine
from graflow.engine.rules import Rules
from graflow.errors import InternalError


def parked(machine: Machine) -> list[int]:
    """Who is ready and waits for a place."""
    return machine._limits.parked


def limited(*priorities: int, at_once: int = 1, others: int = 0, delay: float | None = None, **more: Any) -> Machine:
    """Tasks under one limit, with these priorities, and then tasks without a limit."""
    pause: Callable[[int], float] | None = None if delay is None else lambda attempt: delay
    rules = {i: Rules(attempts=3, delay=pause, priority=p, limit="db") for i, p in enumerate(priorities)}
    return begun(len(priorities) + others, rules=rules, limits={"db": at_once}, **more)


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_more_run_at_once_than_the_limit_allows() -> None:
    machine = limited(0, 0, 0, 0, 0, at_once=2)
    assert (states(machine), lanes(machine), parked(machine)) == ("RRRRR", [[0, 1]], [2, 3, 4])
    assert take_all(machine) == [0, 1]
    assert lanes(machine) == [[]]
    machine.succeeded(0, 1)
    assert lanes(machine) == [[2]]
    machine.succeeded(1, 1)
    assert lanes(machine) == [[2, 3]]
    machine.validate()


def test_who_waits_for_a_place_keeps_nobody_else_waiting() -> None:
    machine = limited(0, 0, 0, others=2)
    assert lanes(machine) == [[0, 3, 4]]
    assert take_all(machine) == [0, 3, 4]
    assert states(machine) == "URRUU"


def test_limits_are_counted_apart() -> None:
    rules = {i: Rules(limit=name) for i, name in enumerate(["db", "web", "db", "web"])}
    machine = begun(4, rules=rules, limits={"db": 1, "web": 2})
    assert (lanes(machine), parked(machine)) == ([[0, 1, 3]], [2])


def test_a_limit_holds_across_lanes() -> None:
    machine = limited(0, 0, 0, lanes=[0, 1, 1])
    assert lanes(machine) == [[0], []]
    machine.take(0)
    machine.succeeded(0, 1)
    assert lanes(machine) == [[], [1]]


def test_a_limit_without_tasks_bothers_nobody() -> None:
    assert lanes(begun(2, limits={"db": 1})) == [[0, 1]]


ENDS: dict[str, Callable[[Machine], object]] = {
    "success": lambda machine: machine.succeeded(0, 1),
    "failure": lambda machine: machine.attempt_failed(0, 1, 0.0, again=False),
    "failure for good": lambda machine: machine.failed_for_good(0, 1),
    "a pause": lambda machine: machine.attempt_failed(0, 1, 0.0, again=True),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_place_is_given_on_at_each_kind_of_end(end: Callable[[Machine], object]) -> None:
    machine = limited(0, 0, delay=5)
    machine.take(0)
    assert lanes(machine) == [[]]
    end(machine)
    assert (lanes(machine), states(machine)[1]) == ([[1]], "R")
    machine.validate()


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_place_that_nobody_waits_for_stays_free_until_somebody_does(end: Callable[[Machine], object]) -> None:
    # Task 2 needs 1, which has no limit; by then 0 has ended.
    machine = begun(
        3, (1, 2), rules={0: Rules(2, lambda attempt: 5, limit="db"), 2: Rules(limit="db")}, limits={"db": 1}
    )
    take_all(machine)
    end(machine)
    machine.succeeded(1, 1)
    assert lanes(machine) == [[2]]
    machine.validate()


def test_a_task_that_is_tried_again_at_once_lets_the_others_go_first() -> None:
    machine = limited(0, 0, 0)
    machine.take(0)
    machine.attempt_failed(0, 1, 0.0, again=True)
    assert (lanes(machine), parked(machine), states(machine)) == ([[1]], [2, 0], "RRR")


def test_a_task_whose_pause_is_over_waits_for_a_place_again() -> None:
    machine = limited(0, 0, 0, delay=5)
    machine.take(0)
    machine.attempt_failed(0, 1, 0.0, again=True)
    assert states(machine) == "TRR"
    machine.tick(5.0)
    assert (states(machine), lanes(machine), parked(machine)) == ("RRR", [[1]], [2, 0])


CALLED_OFF: dict[str, Callable[[Machine], object]] = {
    "cancel": lambda machine: machine.cancel("enough"),
    "expire": Machine.expire,
    "stop": lambda machine: machine.failed_for_good(0, 1),
}


@pytest.mark.parametrize("call", CALLED_OFF.values(), ids=CALLED_OFF)
def test_in_a_run_that_is_called_off_nobody_gets_a_place(call: Callable[[Machine], object]) -> None:
    machine = limited(0, 0, 0, 0, at_once=2, stop=True)
    take_all(machine)
    call(machine)
    for i in machine.running():
        machine.gave_up(i, 1)
    assert (machine.open, lanes(machine), parked(machine)) == (0, [[]], [])
    machine.validate()


def test_in_a_cancelled_run_the_end_of_what_runs_wakes_nobody() -> None:
    machine = limited(0, 0, 0)
    machine.take(0)
    machine.cancel("enough")
    machine.succeeded(0, 1)
    assert (states(machine), lanes(machine)) == ("SCC", [[]])


# ── limits and priorities ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_highest_priority_gets_the_next_place() -> None:
    machine = limited(9, 0, 5, 0, 5)
    taken = [machine.take(0)]
    while machine.running():
        machine.succeeded(taken[-1], 1)
        taken += take_all(machine)
    assert taken == [0, 2, 4, 1, 3]


def test_a_place_that_nobody_has_taken_goes_to_a_higher_priority() -> None:
    machine = limited(0, 1, 9, 1)
    assert (lanes(machine), parked(machine)) == ([[2]], [1, 3, 0])
    machine.take(0)
    assert machine.attempts == [0, 0, 1, 0]
    machine.succeeded(2, 1)
    assert lanes(machine) == [[1]]


def test_a_place_that_was_taken_is_kept() -> None:
    machine = begun(3, (1, 2), rules={0: Rules(limit="db"), 2: Rules(limit="db", priority=9)}, limits={"db": 1})
    assert take_all(machine) == [0, 1]
    machine.succeeded(1, 1)
    assert (states(machine), lanes(machine), parked(machine)) == ("USR", [[]], [2])


def test_the_last_to_come_yields_its_place_and_keeps_its_turn() -> None:
    rules = {i: Rules(limit="db") for i in range(3)} | {3: Rules(limit="db", priority=9), 4: Rules(priority=9)}
    machine = begun(5, (4, 3), rules=rules, limits={"db": 2})
    assert (lanes(machine), parked(machine)) == ([[4, 0, 1]], [2])
    machine.take(0)
    machine.succeeded(4, 1)
    assert (lanes(machine), parked(machine)) == ([[3, 0]], [1, 2])
    machine.validate()


def test_a_higher_priority_of_another_lane_gets_the_place_too() -> None:
    machine = limited(0, 9, lanes=[0, 1])
    assert (lanes(machine), parked(machine)) == ([[], [1]], [0])


def test_a_high_priority_does_not_wait_behind_strangers_for_a_place_that_a_lower_one_holds() -> None:
    # 0 would hold the place and be taken last, after both strangers: 3 would wait for all of them.
    rules = {
        0: Rules(limit="db"),
        1: Rules(priority=5),
        2: Rules(priority=5),
        3: Rules(limit="db", priority=9),
    }
    machine = begun(4, rules=rules, limits={"db": 1})
    assert (lanes(machine), parked(machine)) == ([[3, 1, 2]], [0])


# ── priorities ──────────────────────────────────────────────────────────────────────────────────────────────────────


def ranked(*priorities: int, **others: Any) -> Machine:
    """Tasks with these priorities."""
    rules = {i: Rules(attempts=2, priority=priority) for i, priority in enumerate(priorities)}
    return begun(len(priorities), rules=rules, **others)


def test_a_higher_priority_goes_first_and_equals_in_their_order() -> None:
    assert take_all(ranked(0, 5, -3, 5, 0, 9)) == [5, 1, 3, 0, 4, 2]


def test_a_task_without_rules_has_no_priority() -> None:
    assert take_all(begun(4, rules={1: Rules(priority=-1), 3: Rules(priority=1)})) == [3, 0, 2, 1]


def test_priorities_count_within_a_lane() -> None:
    assert lanes(ranked(0, 5, 9, lanes=[0, 0, 1])) == [[1, 0], [2]]


def test_who_becomes_ready_later_overtakes_lower_priorities_but_not_equals() -> None:
    rules = {0: Rules(priority=9), 2: Rules(priority=1), 3: Rules(priority=1), 4: Rules(priority=2)}
    machine = begun(5, (0, 3), (0, 4), rules=rules)
    assert lanes(machine) == [[0, 2, 1]]
    machine.take(0)
    machine.succeeded(0, 1)
    assert take_all(machine) == [4, 2, 3, 1]


def test_another_attempt_goes_by_its_priority() -> None:
    machine = ranked(5, 0, 5)
    machine.take(0)
    machine.attempt_failed(0, 1, 0.0, again=True)
    assert take_all(machine) == [2, 0, 1]


# ── validate ────────────────────────────────────────────────────────────────────────────────────────────────────────


def run_too_many(machine: Machine) -> None:
    following = machine._limits.leave(2)
    assert following is not None
    machine.ready[0].append(following)


def keep_a_place_free(machine: Machine) -> None:
    machine.ready[0].clear()
    machine._limits._park("db", 2)


def prefer_the_lower_priority(machine: Machine) -> None:
    machine.ready[0].clear()
    machine._limits.taken(2)
    machine.ready[0].append(machine._limits.leave(2) or 0)
    machine._limits._arrivals[2] = 9
    machine._limits._park("db", 2)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (run_too_many, "2 tasks run under limit 'db', which allows 1"),
        (keep_a_place_free, "a task waits for limit 'db', which has a place"),
        (prefer_the_lower_priority, "task 1 has a place under limit 'db' before one of a higher priority"),
    ],
)
def test_validate_finds_a_broken_limit(spoil: Callable[[Machine], None], why: str) -> None:
    machine = limited(0, 1, 2)
    assert (lanes(machine), parked(machine)) == ([[2]], [1, 0])
    machine.validate()
    spoil(machine)
    with pytest.raises(InternalError) as raised:
        machine.validate()
    assert str(raised.value) == why
