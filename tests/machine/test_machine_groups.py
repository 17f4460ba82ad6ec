"""Conversations about groups: gates that a rule opens, and members that nobody needs any more.

States are letters; see `conversation.LETTERS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from tests.machine.conversation import begun, gate, heard, lanes, made, states, take_all

from graflow.core.requirement import Critical, Every, FirstOf, GroupRule, Standing, at_least
from graflow.core.run import RunState
from graflow.engine.machine import Machine
from graflow.engine.rules import AGAIN, Rules

FIRST = at_least(1)
ENOUGH = at_least(1, cancel_rest=True)


@dataclass(frozen=True)
class Never:
    """A rule that cannot make up its mind."""

    def decide(self, standing: Standing) -> bool | None:
        return None


@dataclass(frozen=True)
class Broken:
    """A rule that raises as soon as somebody has ended."""

    def decide(self, standing: Standing) -> bool | None:
        if standing.pending != frozenset(standing.members):
            raise ValueError("no idea")
        return None


@dataclass(frozen=True)
class Strict:
    """No as soon as this one has succeeded."""

    id: str

    def decide(self, standing: Standing) -> bool | None:
        return False if self.id in standing.succeeded else None


def grouped(rule: GroupRule, lefts: int = 2, rights: int = 1, *, known: int = 0, **more: Any) -> Machine:
    """A group of tasks under a rule, and those after it; so many of them are known from before."""
    n = lefts + rights
    machine = made(n, *gate(range(lefts), n, range(lefts, n)), gates=1, groups={n: rule}, **more)
    for i in range(known):
        machine.known(i, 1)
    machine.start()
    machine.validate()
    return machine


# ── what a rule decides ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rule_may_open_its_gate_early() -> None:
    machine = grouped(FIRST, 3, 2)
    told = heard(machine)
    take_all(machine)
    machine.succeeded(1, 1)
    assert (states(machine), lanes(machine), told) == ("USURRS", [[3, 4]], [])
    machine.validate()
    take_all(machine)
    machine.succeeded(0, 1)
    machine.failed_for_good(2, 1)  # after the gate has opened, it wakes nobody a second time
    assert states(machine) == "SSFUUS"
    machine.validate()
    assert machine.is_handled(2)


def test_a_rule_may_wait_longer_than_for_the_first() -> None:
    machine = grouped(at_least(2), 3)
    take_all(machine)
    machine.succeeded(2, 1)
    machine.failed_for_good(0, 1)
    assert states(machine) == "FUSWW"
    machine.succeeded(1, 1)
    assert states(machine) == "FSSRS"
    machine.validate()


def test_a_rule_that_says_no_skips_who_comes_after() -> None:
    machine = grouped(Every(), 3, 2)
    told = heard(machine)
    take_all(machine)
    machine.failed_for_good(1, 1)
    assert (states(machine), told, machine.skipped_for) == ("UFUKKK", [(3, "K"), (4, "K")], {3: 1, 4: 1})
    machine.validate()
    machine.succeeded(0, 1)
    machine.succeeded(2, 1)
    assert (states(machine), machine.outcome) == ("SFSKKK", RunState.FAILED)


def test_a_rule_may_say_no_after_a_success() -> None:
    machine = grouped(Strict("0"))
    take_all(machine)
    machine.succeeded(0, 1)
    assert (states(machine), machine.skipped_for) == ("SUKK", {2: 3})  # because of the gate: nobody has failed
    machine.succeeded(1, 1)
    assert machine.outcome is RunState.SUCCEEDED
    machine.validate()


def test_a_rule_that_has_not_decided_when_all_have_ended_says_no() -> None:
    machine = grouped(Never())
    take_all(machine)
    machine.succeeded(1, 1)
    assert states(machine) == "USWW"
    machine.succeeded(0, 1)
    assert (states(machine), machine.skipped_for) == ("SSKK", {2: 3})
    machine.validate()


def test_a_rule_without_a_decision_says_no_after_a_failure_too() -> None:
    machine = grouped(Never())
    take_all(machine)
    machine.succeeded(1, 1)
    machine.failed_for_good(0, 1)
    assert (states(machine), machine.skipped_for, machine.outcome) == ("FSKK", {2: 0}, RunState.FAILED)
    machine.validate()


def test_a_rule_sees_who_was_skipped_as_lost() -> None:
    machine = begun(4, (0, 1), *gate([1, 2], 4, [3]), gates=1, groups={4: Every()})
    machine.take(0)
    machine.failed_for_good(0, 1)
    assert (states(machine), machine.skipped_for) == ("FKRKK", {1: 0, 3: 0})
    machine.validate()


def test_a_refused_member_is_lost() -> None:
    machine = begun(4, (0, 1), *gate([1, 2], 4, [3]), gates=1, groups={4: Critical(frozenset(["2"]))})
    take_all(machine)
    machine.succeeded(2, 1)
    assert states(machine) == "UWSWW"
    machine.refused(1)  # the last that was missing
    assert states(machine) == "UKSRS"
    machine.validate()


def test_a_member_that_is_tried_again_is_not_lost() -> None:
    machine = grouped(Every(), rules={0: Rules(attempts=2)})
    take_all(machine)
    assert machine.attempt_failed(0, 1, 0.0, again=True) == AGAIN
    assert states(machine) == "RUWW"
    machine.validate()


def test_the_first_in_order_that_is_not_lost_decides() -> None:
    machine = grouped(FirstOf(("0", "1")))
    take_all(machine)
    machine.succeeded(1, 1)
    assert states(machine) == "USWW"
    machine.failed_for_good(0, 1)
    assert (states(machine), machine.is_handled(0)) == ("FSRS", True)
    machine.validate()


def test_what_is_known_may_open_a_gate_at_the_start() -> None:
    machine = grouped(FIRST, known=1)
    assert (states(machine), lanes(machine)) == ("SRRS", [[1, 2]])


def test_what_is_known_may_shut_a_gate_at_the_start() -> None:
    machine = grouped(Strict("0"), known=1)
    assert (states(machine), lanes(machine), machine.skipped_for) == ("SRKK", [[1]], {2: 3})


def test_several_come_after_one_gate_and_one_comes_after_several() -> None:
    edges = [*gate([0, 1], 4, [2, 3]), *gate([1], 5, [3])]
    machine = begun(4, *edges, gates=2, groups={4: FIRST, 5: Every()})
    take_all(machine)
    machine.succeeded(0, 1)
    assert states(machine) == "SURWSW"
    machine.failed_for_good(1, 1)
    assert (states(machine), machine.skipped_for) == ("SFRKSK", {3: 1})
    machine.validate()


def test_who_comes_after_a_gate_may_need_more() -> None:
    machine = begun(4, (3, 2), *gate([0, 1], 4, [2]), gates=1, groups={4: FIRST})
    take_all(machine)
    machine.succeeded(0, 1)
    assert states(machine) == "SUWUS"
    machine.succeeded(3, 1)
    assert states(machine) == "SURSS"
    machine.validate()


# ── outcomes that nobody waits for ──────────────────────────────────────────────────────────────────────────────────


def test_a_reader_does_not_wait_for_outcomes_for_which_a_rule_does() -> None:
    machine = grouped(FIRST, unawaited=[(0, 2), (1, 2)])
    take_all(machine)
    assert states(machine) == "UUWW"
    machine.succeeded(1, 1)
    assert (states(machine), lanes(machine)) == ("USRS", [[2]])
    machine.validate()


def test_a_reader_waits_for_an_outcome_that_is_not_of_the_group() -> None:
    machine = begun(4, *gate([0, 1], 4, [3]), gates=1, groups={4: FIRST}, unawaited=[(0, 3)], outcomes=[(2, 3)])
    take_all(machine)
    machine.succeeded(1, 1)
    assert states(machine) == "USUWS"
    machine.failed_for_good(2, 1)
    assert states(machine) == "USFRS"
    machine.validate()


def test_an_outcome_is_taken_of_a_map_that_never_opened_if_a_rule_has_enough() -> None:
    machine = grouped(FIRST, unawaited=[(0, 2), (1, 2)], maps=[0])
    take_all(machine)
    machine.failed_for_good(0, 1)
    assert states(machine) == "FUWW"
    machine.succeeded(1, 1)
    assert (states(machine), machine.is_handled(0)) == ("FSRS", True)
    machine.validate()


# ── handled failures ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rule_that_says_no_leaves_the_failures_of_its_group_unhandled() -> None:
    machine = grouped(FIRST)
    take_all(machine)
    machine.failed_for_good(0, 1)
    assert machine.is_handled(0)
    machine.failed_for_good(1, 1)
    assert (machine.is_handled(0), machine.is_handled(1), machine.outcome) == (False, False, RunState.FAILED)


def test_a_failure_above_a_member_is_not_handled_if_the_rule_says_no() -> None:
    machine = begun(3, (0, 1), *gate([1], 3, [2]), gates=1, groups={3: FIRST})
    assert machine.is_handled(0)
    machine.take(0)
    machine.failed_for_good(0, 1)
    assert (states(machine), machine.is_handled(0), machine.outcome) == ("FKKK", False, RunState.FAILED)


def test_who_takes_the_outcome_of_who_was_skipped_by_a_rule_handles_the_failure() -> None:
    machine = begun(3, *gate([0], 3, [1]), gates=1, groups={3: FIRST}, outcomes=[(1, 2)], stop=True)
    machine.take(0)
    machine.failed_for_good(0, 1)
    assert (states(machine), machine.is_handled(0), machine.closed) == ("FKRK", True, False)
    machine.validate()
    machine.succeeded(machine.take(0), 1)
    assert machine.outcome is RunState.SUCCEEDED


def test_nobody_makes_up_for_the_value_of_the_run() -> None:
    machine = grouped(FIRST, returns=0)
    assert (machine.is_handled(0), machine.is_handled(1)) == (False, True)


def test_a_run_that_stops_at_failures_goes_on_while_a_rule_may_say_yes() -> None:
    machine = grouped(FIRST, 3, stop=True)
    assert [machine.take(0), machine.take(0)] == [0, 1]
    machine.failed_for_good(0, 1)
    machine.failed_for_good(1, 1)
    assert (states(machine), machine.closed) == ("FFRWW", False)
    assert machine.take(0) == 2
    machine.failed_for_good(2, 1)
    assert (states(machine), machine.closed, machine.stopped_for) == ("FFFKK", True, 2)
    machine.validate()


def test_a_refusal_may_stop_a_run_by_way_of_a_rule() -> None:
    # 1 fails, which does not matter as long as 2 may succeed; but the flag of 2 says no.
    machine = begun(5, (0, 2), *gate([1, 2], 5, [3]), gates=1, groups={5: FIRST}, stop=True)
    assert [machine.take(0), machine.take(0)] == [0, 1]
    machine.failed_for_good(1, 1)
    assert not machine.closed
    machine.refused(2)
    assert (states(machine), machine.stopped_for) == ("UFKKCK", 1)
    machine.succeeded(0, 1)
    assert machine.outcome is RunState.FAILED
    machine.validate()


# ── broken rules ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_broken_rule_fails_who_comes_after() -> None:
    machine = begun(6, *gate([0, 1], 6, [2, 3]), (2, 4), gates=1, groups={6: Broken()}, outcomes=[(3, 5)])
    told = heard(machine)
    take_all(machine)
    machine.succeeded(0, 1)
    assert (states(machine), machine.broken) == ("SUFFKRK", [(2, 6), (3, 6)])
    assert (machine.failed, machine.skipped_for, told) == ([2, 3], {4: 2}, [(4, "K")])
    machine.validate()
    machine.succeeded(1, 1)
    assert len(machine.broken) == 2  # it is asked no more
    machine.succeeded(machine.take(0), 1)
    assert (machine.is_handled(2), machine.is_handled(3), machine.outcome) == (False, True, RunState.FAILED)


def test_a_rule_that_decides_what_is_no_verdict_is_broken() -> None:
    class Wrong:
        def decide(self, standing: Standing) -> Any:
            return "maybe"

    machine = grouped(Wrong())
    assert (states(machine), machine.broken) == ("RRFK", [(2, 3)])


def test_a_broken_rule_stops_a_run_that_stops_at_failures() -> None:
    machine = grouped(Broken(), 3, 2, stop=True)
    assert machine.take(0) == 0
    machine.succeeded(0, 1)
    assert (states(machine), machine.stopped_for, machine.broken) == ("SCCFCK", 3, [(3, 5)])
    machine.validate()


def test_a_broken_rule_fails_nobody_who_was_skipped_before() -> None:
    machine = begun(3, (0, 2), *gate([0, 1], 3, [2]), gates=1, groups={3: Broken()})
    take_all(machine)
    machine.failed_for_good(0, 1)
    assert (states(machine), machine.broken) == ("FUKK", [])
    machine.validate()


# ── members that nobody needs any more ──────────────────────────────────────────────────────────────────────────────


def dropping(**more: Any) -> Machine:
    """Members that run (0), are ready (1), wait (2, for 6) and pause (3), one that has ended (4), and a reader (5)."""
    rules = {3: Rules(attempts=2, delay=lambda attempt: 5.0), 0: Rules(timeout=10)}
    edges = [(6, 2), *gate(range(5), 7, [5])]
    machine = begun(7, *edges, gates=1, groups={7: ENOUGH}, rules=rules, lanes=[0, 1, 0, 0, 0, 0, 0], **more)
    assert take_all(machine) == [0, 3, 4, 6]
    machine.attempt_failed(3, 1, 0.0, again=True)
    machine.validate()
    assert states(machine) == "URWTUWUW"
    return machine


def test_members_that_nobody_else_needs_are_called_off() -> None:
    machine = dropping()
    told = heard(machine)
    machine.succeeded(4, 1)
    assert (states(machine), lanes(machine), machine.open) == ("CCCCSRUS", [[5], []], 2)
    assert (told, machine.dropped) == ([(0, "C"), (1, "C"), (2, "C"), (3, "C")], [0, 1, 2, 3])
    assert (machine.next_due, machine.tick(100.0), machine.running()) == (None, [], [6])
    machine.validate()
    assert not machine.succeeded(0, 1)
    machine.succeeded(6, 1)
    machine.succeeded(machine.take(0), 1)
    assert (states(machine), machine.outcome) == ("CCCCSSSS", RunState.SUCCEEDED)


def test_members_that_others_need_are_not_called_off() -> None:
    # 1 is needed, of 2 somebody takes the outcome, 3 is in another group, 4 before a gate without a rule; 0 is alone.
    edges = [(1, 6), *gate(range(6), 10, [7]), *gate([3], 11, [8]), *gate([4], 12, [9])]
    groups = {10: ENOUGH, 11: FIRST}
    machine = begun(10, *edges, outcomes=[(2, 6)], gates=3, groups=groups)
    take_all(machine)
    machine.succeeded(5, 1)
    assert (states(machine), machine.dropped) == ("CUUUUSWRWWSWW", [0])
    machine.validate()


def test_the_value_of_the_run_is_not_called_off() -> None:
    machine = grouped(ENOUGH, returns=0)
    take_all(machine)
    machine.succeeded(1, 1)
    assert (states(machine), machine.dropped) == ("USRS", [])


def test_who_reads_outcomes_after_the_gate_does_not_need_them() -> None:
    machine = grouped(ENOUGH, unawaited=[(0, 2), (1, 2)])
    take_all(machine)
    machine.succeeded(1, 1)
    assert (states(machine), machine.dropped) == ("CSRS", [0])
    machine.validate()


def test_nobody_is_called_off_before_there_is_enough() -> None:
    machine = grouped(at_least(2, cancel_rest=True), 4)
    take_all(machine)
    machine.succeeded(0, 1)
    machine.failed_for_good(1, 1)
    assert machine.dropped == []
    machine.succeeded(2, 1)
    assert (states(machine), machine.dropped) == ("SFSCRS", [3])
    machine.validate()


def test_nobody_is_called_off_if_there_cannot_be_enough() -> None:
    machine = grouped(at_least(2, cancel_rest=True), 3)
    take_all(machine)
    machine.failed_for_good(0, 1)
    machine.failed_for_good(1, 1)
    assert (states(machine), machine.dropped) == ("FFUKK", [])
    machine.validate()


def test_what_is_known_may_be_enough_at_the_start() -> None:
    machine = grouped(ENOUGH, 3, known=1)
    assert (states(machine), lanes(machine), machine.dropped) == ("SCCRS", [[3]], [1, 2])


def test_the_places_of_members_that_are_called_off_are_given_on() -> None:
    # One place: 1 runs and has it, 2 and 3 wait for it. All three are called off, and 5, which is no member, has it.
    rules = {i: Rules(limit="db") for i in (1, 2, 3, 5)}
    machine = begun(6, *gate(range(4), 6, [4]), gates=1, groups={6: ENOUGH}, rules=rules, limits={"db": 1})
    assert take_all(machine) == [0, 1]
    assert machine._limits.parked == [2, 3, 5]
    machine.succeeded(0, 1)
    assert (states(machine), machine.dropped) == ("SCCCRRS", [1, 2, 3])
    assert (sorted(lanes(machine)[0]), machine._limits.parked) == ([4, 5], [])
    machine.validate()


def test_a_member_that_has_a_place_and_was_not_taken_is_called_off() -> None:
    rules = {i: Rules(limit="db", priority=1) for i in (1, 3)}
    machine = begun(
        4, *gate(range(2), 4, [2]), gates=1, groups={4: ENOUGH}, rules=rules, limits={"db": 1}, lanes=[1, 0, 0, 0]
    )
    machine.take(1)
    assert (lanes(machine), machine._limits.parked) == ([[1], []], [3])
    machine.succeeded(0, 1)
    assert (states(machine), lanes(machine)[0]) == ("SCRRS", [3, 2])
    machine.validate()


@pytest.mark.parametrize("has_opened", [True, False])
def test_a_map_is_called_off_with_its_items(has_opened: bool) -> None:
    rules = Rules(limit="db", attempts=2, delay=lambda attempt: 5.0)
    machine = grouped(ENOUGH, maps=[0], limits={"db": 2})
    assert take_all(machine) == [0, 1]
    if has_opened:
        machine.opened(0, 1, 5, [rules] * 5)
        assert take_all(machine) == [4, 5]
        machine.attempt_failed(4, 1, 0.0, again=True)
        machine.succeeded(5, 1)
        machine.take(0)
        assert states(machine) == "UUWWTSURR"
    machine.succeeded(1, 1)
    assert machine.dropped == ([4, 6, 7, 8, 0] if has_opened else [0])
    assert states(machine) == ("CSRSCSCCC" if has_opened else "CSRS")
    assert (lanes(machine), machine._limits._free, machine.running()) == ([[2]], {"db": 2}, [])
    machine.validate()
