"""The run machine against a naive model: random graphs with random rules, told random news in random order.

The model knows no gates without a rule, lanes, counters or heaps: it works out from what happened in which state every
task and item must be. At the end of each run an oracle that knows the graph alone says how every task must have ended,
and everything that the machine was told is told once more to a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.machine.conversation import Noted, deciders_for, everything

from graflow.core.requirement import Critical, Every, FirstOf, GroupRule, Standing, at_least
from graflow.core.run import RunState
from graflow.engine.machine import Machine
from graflow.engine.rules import AGAIN, FINAL, IGNORED, SKIPPED, STATES, SUCCEEDED, TRANSITIONS, WAITING, Rules

TABLE = {(row.before, row.after) for row in TRANSITIONS}
LIMITS = {"db": 1, "web": 2}
MOST = 8
"""How many tasks a run has at most."""
NEWS = ("succeeded", "failed_for_good", "gave_up", "attempt_failed", "stopped", "continued", "opened")
PICK = st.integers(0, 2**16)
"""Which of those that could be meant, modulo how many there are: cheaper than to draw from what changes."""


# ── what is drawn ───────────────────────────────────────────────────────────────────────────────────────────────────


def pause(seconds: float) -> Callable[[int], float]:
    return lambda attempt: seconds * attempt


@dataclass(frozen=True)
class Named:
    """A rule that needs some, has enough of others before it decides, and may break.

    However many ends it hears of at once, and in whatever order, it comes to the same decision: the machine promises
    nothing about that. If one is lost that is needed but not fatal, it never decides.
    """

    needed: frozenset[str]
    fatal: frozenset[str]
    """Of those that are needed."""
    breaks: bool
    cancel_rest: bool

    def decide(self, standing: Standing) -> bool | None:
        if self.fatal & standing.lost:
            if self.breaks:
                raise ValueError("a broken rule")
            return False
        return True if self.needed <= standing.succeeded else None


@dataclass(frozen=True)
class Case:
    """A random graph with random rules; ``upstream`` per index, gates last.

    Of the members of gates in ``groups`` that a reader after the gate watches, it waits for none.
    """

    tasks: int
    upstream: tuple[tuple[int, ...], ...]
    tolerated: Mapping[int, frozenset[int]]
    lanes: bytes
    rules: Mapping[int, Rules]
    stop: bool
    known: frozenset[int]
    counted: frozenset[int]
    refused: frozenset[int]
    """Those whose flags say no before the start."""
    has_flags: bool
    returns: int | None
    maps: Mapping[int, int]
    """Map → the lane of its items."""
    item_rules: Mapping[int, Rules]
    groups: Mapping[int, GroupRule]

    @cached_property
    def needs(self) -> tuple[frozenset[int], ...]:
        """Per task, the tasks without whose result it cannot run: gates are replaced by their members."""
        found = []
        for i, ups in enumerate(self.upstream[: self.tasks]):
            needed = {u for u in ups if u < self.tasks and u not in self.tolerated.get(i, ())}
            plain = [gate for gate in ups if gate >= self.tasks and gate not in self.groups]
            found.append(frozenset(needed.union(*(self.upstream[gate] for gate in plain))))
        return tuple(found)

    @cached_property
    def requires(self) -> tuple[frozenset[int], ...]:
        """Per task, the gates whose rules have to say yes."""
        return tuple(frozenset(self.groups.keys() & ups) for ups in self.upstream[: self.tasks])

    @cached_property
    def unawaited(self) -> dict[int, frozenset[int]]:
        """Per task, those whose outcome it takes as it stands when a rule has enough."""
        found = {i: ups & self.members(i) for i, ups in self.tolerated.items()}
        return {i: ups for i, ups in found.items() if ups}

    def members(self, i: int) -> frozenset[int]:
        """All members of the groups before a task."""
        return frozenset(u for gate in self.requires[i] for u in self.upstream[gate])

    @cached_property
    def _watches(self) -> tuple[frozenset[int], ...]:
        return tuple(self.tolerated.get(i, frozenset()) - self.members(i) for i in range(self.tasks))

    def watches(self, i: int) -> frozenset[int]:
        """Those for whose outcome a task waits."""
        return self._watches[i]

    @cached_property
    def readers(self) -> tuple[frozenset[int], ...]:
        """Per task or gate, who cannot run without it."""
        without = [self.needs[d] | self.requires[d] for d in range(self.tasks)]
        return tuple(frozenset(d for d, ups in enumerate(without) if i in ups) for i in range(len(self.upstream)))

    @cached_property
    def watchers(self) -> tuple[frozenset[int], ...]:
        """Per task, the tasks and the gates with a rule that hear of its end, whatever it is."""
        tasks = [frozenset(d for d in range(self.tasks) if i in self.watches(d)) for i in range(self.tasks)]
        return tuple(tasks[i] | {gate for gate in self.groups if i in self.upstream[gate]} for i in range(self.tasks))

    def rule(self, i: int) -> Rules:
        return self.rules.get(i, Rules())

    @property
    def first_item(self) -> int:
        """Behind a gap, as there is one in runs."""
        return len(self.upstream) + 1

    def machine(self) -> Machine:
        """A machine that has not started."""
        downstream: list[list[int]] = [[] for _ in self.upstream]
        for i, ups in enumerate(self.upstream):
            for u in ups:
                downstream[u].append(i)
        machine = Machine(
            self.tasks,
            self.upstream,
            downstream,
            self.lanes,
            rules=self.rules,
            limits=LIMITS,
            tolerated=self.tolerated,
            stop_on_failure=self.stop,
            returns=self.returns,
            maps=self.maps,
            first_item=self.first_item,
            deciders=deciders_for(self.groups, self.upstream),
            unawaited=self.unawaited,
        )
        machine.states = Noted(machine.states)
        return machine


def case_of(tape: bytes) -> Case:
    """What a tape says, byte by byte; zeros stand for the simplest case, towards which hypothesis shrinks.

    The tasks come in a random order, so that an upstream may have any index; edges and gates go forward in that order.
    """
    rest = iter(tape)

    def below(most: int) -> int:
        return next(rest) % most

    def some(of: Sequence[int]) -> list[int]:
        return [i for i in of if below(2)]

    n = 1 + below(MOST)
    order = list(range(n))
    for k in range(1, n):
        place = below(k + 1)
        order[k], order[place] = order[place], order[k]
    has_outcomes, has_attempts, has_timeouts, has_priorities, has_limits, has_past, stop = (
        below(k) for k in (3, 3, 2, 4, 4, 2, 2)
    )
    has_groups, has_maps, has_flags = (below(k) for k in (3, 3, 3))
    upstream: list[set[int]] = [set() for _ in range(n)]
    tolerated: dict[int, frozenset[int]] = {}
    for later in range(1, n):
        kinds = [below(4) for _ in range(later)]
        needed = {order[k] for k, kind in enumerate(kinds) if kind == 1}
        watched = {order[k] for k, kind in enumerate(kinds) if kind == 2 and has_outcomes}
        upstream[order[later]] |= needed | watched
        if watched:
            tolerated[order[later]] = frozenset(watched)
    gates: list[tuple[int, ...]] = []
    groups: dict[int, GroupRule] = {}
    for number in range(below(3) if n > 1 else 0):
        cut = 1 + below(n - 1)
        gates.append(tuple(sorted({order[cut - 1], *some(order[: cut - 1])})))
        one = group_rule(below, gates[-1], breaks=not stop)
        if has_groups:
            groups[n + number] = one
        for right in (order[cut], *some(order[cut + 1 :])):
            upstream[right].add(n + number)
            outcomes = set(some(gates[-1])) - upstream[right]
            if has_groups and outcomes:
                upstream[right] |= outcomes
                tolerated[right] = tolerated.get(right, frozenset()) | outcomes
    rules: dict[int, Rules] = {}
    for i in range(n):
        attempts, delay, timeout, priority, limit = below(3), below(4), below(3), below(4), below(4)
        rules[i] = Rules(
            attempts=attempts + 1 if has_attempts else 1,
            delay=(None, pause(0), pause(2), pause(7))[delay] if has_attempts else None,
            timeout=(None, 3.0, 10.0)[timeout] if has_timeouts else None,
            priority=(0, 1, -1, 5)[priority] if has_priorities else 0,
            limit=(None, "db", "db", "web")[limit] if has_limits else None,
        )
    past = [below(4) if has_past else 0 for _ in range(n)]
    lanes = bytes(below(3) for _ in range(n))
    shapes = [(below(3) == 1, below(4), below(6) == 1) for _ in range(n)]
    maps = {i: lane for i, (is_map, lane, _) in enumerate(shapes) if is_map and has_maps}
    returns = below(n + 1)
    # A map has nothing but its priority, all else is for its items: with the limit itself, it would keep them waiting.
    item_rules = {i: rules[i] for i in maps}
    rules.update((i, Rules(priority=one.priority)) for i, one in item_rules.items())
    return Case(
        n,
        (*(tuple(sorted(ups)) for ups in upstream), *gates),
        tolerated,
        lanes,
        {i: one for i, one in rules.items() if one != Rules()},
        bool(stop),
        known=frozenset(i for i in range(n) if past[i] == 1),
        counted=frozenset(i for i in range(n) if past[i] == 2),
        refused=frozenset(i for i, (_, _, no) in enumerate(shapes) if no and has_flags == 2 and past[i] != 1),
        has_flags=bool(has_flags),
        returns=returns - 1 if returns else None,
        maps=maps,
        item_rules=item_rules,
        groups=groups,
    )


def group_rule(below: Callable[[int], int], members: Sequence[int], *, breaks: bool) -> GroupRule:
    """A rule for a gate with these members."""
    kind, count, cancel_rest = below(6), below(len(members)), bool(below(2))
    ids = [str(u) for u in members]
    some = [frozenset(id for id in ids if below(3)) for _ in range(2)]
    return (
        at_least(count + 1, cancel_rest=cancel_rest),
        Every(),
        FirstOf((*ids[count:], *ids[:count])),
        Critical(some[0]),
        Named(some[0], some[0] & some[1], False, cancel_rest),
        Named(some[0], some[0] & some[1], breaks, cancel_rest),
    )[kind]


#: Of this length, because the largest case takes 239 bytes.
CASES = st.binary(min_size=240, max_size=240).map(case_of)


# ── what must be so ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Model:
    """What must be so after each piece of news, worked out the slow way."""

    case: Case
    state: dict[int, str] = field(init=False)
    """Of tasks and items."""
    cause: dict[int, int] = field(default_factory=dict)
    due: dict[int, float] = field(default_factory=dict)
    """When the pause of a task is over, or its attempt overdue."""
    items: dict[int, range] = field(default_factory=dict)
    """Of the maps that have opened."""
    verdicts: dict[int, bool] = field(default_factory=dict)
    """What the rules of gates have decided."""
    asked: dict[int, list[int]] = field(default_factory=dict)
    """After the ends of which members a rule was asked last."""
    cracked: set[int] = field(default_factory=set)
    """Gates whose rule broke."""
    broken: list[int] = field(default_factory=list)
    """Tasks that failed for that."""
    dropped: set[int] = field(default_factory=set)
    failed: list[int] = field(default_factory=list)
    called_off: bool = False
    stopped_for: int | None = None
    stopped_by: int | None = None
    cancelled: bool = False
    expired: bool = False

    def __post_init__(self) -> None:
        n = self.case.tasks
        self.state = {i: "succeeded" if i in self.case.known else "waiting" for i in range(n)}
        for i in self.case.refused:
            self.state[i], self.cause[i] = "skipped", i

    def settle(self, machine: Machine, *causes: int) -> set[int]:
        """Apply the rules until nothing changes; those that were skipped or cancelled.

        Args:
            machine: where there may be several reasons for the same end, or several ends for different reasons, all of
                them good, this chooses one.
            causes: because of what anything can be skipped now.
        """
        passive = self.call_off() if self.called_off else set()
        before = set(self.verdicts), len(self.broken)
        changed = True
        while changed:
            changed = False
            for gate in self.case.groups:
                changed |= self.ask(gate, passive)
            for i in self.those("waiting"):
                end = self.what_follows(i, machine)
                if end is None:
                    continue
                self.state[i], changed = end, True
                if end == "failed":
                    self.failed.append(i)
                    self.broken.append(i)
                elif end == "skipped":
                    passive.add(i)
        shut = [gate for gate in self.verdicts if gate not in before[0]]
        for i in passive:
            if self.state[i] == "skipped":
                self.cause[i] = machine.skipped_for.get(i, -1)
                assert self.cause[i] in (*causes, *shut, *self.broken[before[1] :])
        self.stop_for(*reversed(self.failed))
        return passive | self.call_off() if self.called_off else passive

    def what_follows(self, i: int, machine: Machine) -> str | None:
        """What becomes of a task that waits; None if it goes on waiting."""
        case, state = self.case, self.state
        verdicts = [self.verdicts.get(gate) for gate in case.requires[i]]
        breaks = bool(self.cracked & case.requires[i])
        lacks = any(state[u] in ("failed", "skipped") for u in case.needs[i])
        lacks |= any(u in case.maps and self.is_empty(u) for u in case.watches(i))
        lacks |= any(verdicts[k] is False and gate not in self.cracked for k, gate in enumerate(case.requires[i]))
        if breaks and lacks:
            end = STATES[machine.states[i]].value
            assert end in ("failed", "skipped")
            return end
        if breaks or lacks:
            return "failed" if breaks else "skipped"
        ended = all(state[u] in ("succeeded", "failed", "skipped") for u in case.watches(i))
        has_all = all(state[u] == "succeeded" for u in case.needs[i])
        return "ready" if ended and has_all and all(verdicts) else None

    def ask(self, gate: int, passive: set[int]) -> bool:
        """Ask the rule of a gate, if another member has ended since. Whether it has decided."""
        members = self.case.upstream[gate]
        ended = [u for u in members if self.state[u] in ("succeeded", "failed", "skipped")]
        if gate in self.verdicts or self.asked.get(gate) == ended:
            return False
        self.asked[gate] = ended
        succeeded = frozenset(str(u) for u in members if self.state[u] == "succeeded")
        lost = frozenset(str(u) for u in members if self.state[u] in ("failed", "skipped", "cancelled"))
        try:
            verdict = self.case.groups[gate].decide(Standing(tuple(map(str, members)), succeeded, lost))
        except ValueError:
            verdict = False
            self.cracked.add(gate)
        if verdict is None and len(ended) < len(members):
            return False
        self.verdicts[gate] = bool(verdict)
        for u in members if verdict and getattr(self.case.groups[gate], "cancel_rest", False) else ():
            if self.case.readers[u] or self.case.watchers[u] != {gate} or u == self.case.returns:
                continue
            if not self.is_over(u):
                gone = [i for i in (u, *self.items.get(u, ())) if not self.is_over(i)]
                self.state.update(dict.fromkeys(gone, "cancelled"))
                self.dropped.update(gone)
                passive.update(gone)
        return True

    def call_off(self) -> set[int]:
        """Nothing more starts."""
        gone = self.those("waiting", "ready", "retrying")
        self.state.update(dict.fromkeys(gone, "cancelled"))
        return set(gone)

    def stop_for(self, *failed: int) -> None:
        """Call the run off for the first of these failures that is not handled."""
        for i in failed:
            if self.case.stop and not self.called_off and not self.is_handled(i):
                self.called_off, self.stopped_for = True, i

    def those(self, *states: str) -> list[int]:
        return [i for i, state in self.state.items() if state in states]

    def is_over(self, i: int) -> bool:
        return self.state[i] in ("succeeded", "failed", "skipped", "cancelled")

    def is_empty(self, i: int) -> bool:
        """Has a map ended, without a result and without items?"""
        return i not in self.items and self.state[i] in ("failed", "skipped")

    def working(self) -> list[int]:
        """Those that have an attempt under way."""
        return [i for i in self.those("running") if i not in self.items]

    def owner(self, j: int) -> int:
        """The map of an item; a task is its own."""
        return next((i for i, items in self.items.items() if j in items), j)

    @property
    def next_due(self) -> float | None:
        return min((at for i, at in self.due.items() if self.state[i] in ("running", "retrying")), default=None)

    @property
    def outcome(self) -> RunState:
        if self.those("waiting", "ready", "running", "retrying"):
            return RunState.RUNNING
        if self.expired:
            return RunState.TIMED_OUT
        if self.cancelled:
            return RunState.CANCELLED
        unhandled = [i for i in self.failed if not self.is_handled(i)]
        return RunState.FAILED if unhandled and self.stopped_by is None else RunState.SUCCEEDED

    def is_handled(self, i: int) -> bool:
        """Does every way down from a failure end at a task that takes an outcome, and has one to take?"""
        case = self.case
        if i == case.returns or not (case.readers[i] or case.watchers[i]):
            return False
        shut = [gate for gate in case.watchers[i] if gate in case.groups and self.verdicts.get(gate) is False]
        without = [d for gate in shut for d in case.readers[gate]]
        if i in case.maps and i not in self.items:
            without += [d for d in case.watchers[i] if d not in case.groups]
        return all(map(self.is_handled, (*case.readers[i], *without)))


def ends(
    case: Case, told: Mapping[int, str], chosen: Mapping[int, str], late: frozenset[int], opened: frozenset[int]
) -> list[str]:
    """How every task must have ended.

    Args:
        case: the graph.
        told: how those ended that were told to have ended.
        chosen: how those ended that ended without news of an attempt: for a flag or a broken rule, or as nobody needed
            them any more.
        late: those whose end meant nothing to others, because the run was called off by then.
        opened: the maps that have opened.
    """

    def lost(u: int) -> bool:
        return end(u) in ("failed", "skipped") and u not in late

    @cache
    def is_shut(gate: int) -> bool:
        ids = {str(u): u for u in case.upstream[gate]}
        good = frozenset(id for id, u in ids.items() if end(u) == "succeeded" and u not in late)
        bad = frozenset(id for id, u in ids.items() if lost(u))
        try:
            verdict = case.groups[gate].decide(Standing(tuple(ids), good, bad))
        except ValueError:
            return False  # then `chosen` tells of those after it
        return verdict is False or (verdict is None and len(good) + len(bad) == len(ids))

    @cache
    def end(i: int) -> str:
        if i in case.known or i in chosen:
            return chosen.get(i, "succeeded")
        is_without = any(u in case.maps and u not in opened and lost(u) for u in case.watches(i))
        if is_without or any(map(lost, case.needs[i])) or any(map(is_shut, case.requires[i])):
            return "skipped"
        return told.get(i, "cancelled")

    return [end(i) for i in range(case.tasks)]


# ── the play ────────────────────────────────────────────────────────────────────────────────────────────────────────


class MachineAgainstModel(RuleBasedStateMachine):
    """Runs that workers, time, cancellation and late news push forward in any order."""

    # Runs that were called off are soon over, so most are let alone for a while.
    @initialize(case=CASES, patience=st.integers(0, 25), ending=PICK)
    def start(self, case: Case, patience: int, ending: int) -> None:
        self.case, self.patience, self.ending = case, patience, ending
        self.machine = case.machine()
        self.model = Model(case)
        self.now = 0.0
        self.heard: list[tuple[int, int]] = []
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any], Any]] = []
        self.told: dict[int, str] = {}
        self.chosen = dict.fromkeys(case.refused, "skipped")
        self.late: set[int] = set()
        self.lanes: list[list[int]] = []
        self.lawful = 0
        #: Of tasks and items: what they ask for, how often they were started before, in all, and in this turn.
        self.asked_for = {i: case.rule(i) for i in range(case.tasks)}
        self.before = {i: 5 * (i in case.counted) + (i in case.known) for i in range(case.tasks)}
        self.taken = dict.fromkeys(range(case.tasks), 0)
        self.used = dict(self.taken)
        self.turns = dict(self.taken)
        self.machine.listener = lambda i, state: self.heard.append((i, state))
        for i in range(case.tasks):
            if i in case.known:
                self.call("known", i, 1)
            elif i in case.counted:
                self.call("counted", i, 5)
        self.call("refused", *sorted(case.refused))
        self.call("start")
        self.model.settle(self.machine, *case.refused)
        self.follow()

    def call(self, name: str, *args: Any, **named: Any) -> Any:
        """Tell the machine something, and remember it for the replay."""
        self.lanes = [list(lane) for lane in self.machine.ready]
        answer = attrgetter(name)(self.machine)(*args, **named)
        self.calls.append((name, args, named, answer))
        return answer

    def follow(self) -> None:
        """See to what is left to the caller: who was dropped, whose rule broke, and maps all of whose items ended."""
        machine, model = self.machine, self.model
        assert set(machine.dropped) == model.dropped
        assert sorted(reader for reader, _ in machine.broken) == sorted(model.broken)
        assert all(gate in model.cracked & self.case.requires[reader] for reader, gate in machine.broken)
        self.chosen.update(dict.fromkeys(model.broken, "failed") | dict.fromkeys(model.dropped, "cancelled"))
        self.call("dropped.clear")
        self.call("broken.clear")
        model.dropped.clear()
        model.broken.clear()
        while machine.items.settled:
            i = self.call("items.settled.pop")
            if model.state[i] == "running":
                self.close_map(i)
        for i, items in model.items.items():
            assert model.state[i] != "running" or not items or not all(map(model.is_over, items))

    def close_map(self, i: int) -> None:
        ends = {self.model.state[j] for j in self.model.items[i]}
        assert ends <= {"succeeded", "failed", "cancelled"}
        if "failed" in ends:
            self.end_badly(i, again=None)
        elif "cancelled" in ends:
            self.end_in_vain(i)
        else:
            self.end_well(i)

    def expect_heard(self, since: int, passive: set[int]) -> None:
        heard = [i for i, _ in self.heard[since:]]
        assert sorted(heard) == sorted(passive)
        assert all(STATES[state].value == self.model.state[i] for i, state in self.heard[since:])

    def one_that_runs(self, pick: int) -> int | None:
        """A task or an item that runs; one is taken if none does."""
        if not self.model.working():
            self.take_one(pick)
        running = self.model.working()
        return running[pick % len(running)] if running else None

    def take_one(self, pick: int) -> bool:
        lanes = [number for number, lane in enumerate(self.machine.ready) if lane]
        if lanes:
            self.take_from(lanes[pick % len(lanes)])
        return bool(lanes)

    def is_map(self, i: int) -> bool:
        """Does it find out what its items are?"""
        return i in self.case.maps and i not in self.model.items

    # ── what may happen ─────────────────────────────────────────────────────────────────────────────────────────

    @rule(pick=PICK)
    def take_or_succeed(self, pick: int) -> None:
        if not (pick % 3 and self.take_one(pick // 3)) and (i := self.one_that_runs(pick // 3)) is not None:
            self.open_map(i, pick // 9) if self.is_map(i) else self.end_well(i)

    def take_from(self, lane: int) -> None:
        queue = list(self.machine.ready[lane])
        i = self.call("take", lane, self.now)
        assert (i, list(self.machine.ready[lane])) == (queue[0], queue[1:])
        assert (self.model.state[i], self.lane(i)) == ("ready", lane)
        self.model.state[i] = "running"
        self.taken[i] += 1
        self.used[i] += 1
        timeout = self.asked_for[i].timeout
        self.model.due.pop(i, None)
        if timeout is not None:
            self.model.due[i] = self.now + timeout

    def lane(self, i: int) -> int:
        return self.case.lanes[i] if i < self.case.tasks else self.case.maps[self.model.owner(i)]

    def end_well(self, i: int, news: str = "succeeded") -> None:
        model, since = self.model, len(self.heard)
        assert self.call(news, i, self.machine.attempts[i]) is True
        model.state[i] = self.told[i] = "succeeded"
        if model.called_off:
            self.late.add(i)
        passive = model.settle(self.machine)
        if news == "stopped" and not model.called_off:
            model.called_off, model.stopped_by = True, i
            passive |= model.call_off()
        self.expect_heard(since, passive)
        self.follow()

    def open_map(self, i: int, pick: int) -> None:
        """So many items, some of them known from an earlier part of the run."""
        model, since, count = self.model, len(self.heard), pick % 4
        rules = self.case.item_rules[i]
        past = [pick // 4 // 4**k % 4 if self.case.counted or self.case.known else 0 for k in range(count)]
        earlier = {k: (3, kind == 1) for k, kind in enumerate(past) if kind in (1, 2)}
        attempt, first = self.machine.attempts[i], len(self.machine.states)
        given = [rules] * count if rules != Rules() else []
        items = range(first, first + count)
        assert self.call("opened", i, attempt, count, given, earlier) == items
        model.items[i] = items
        for k, j in enumerate(items):
            self.asked_for[j] = rules
            self.before[j], is_known = earlier.get(k, (0, False))
            self.taken[j] = self.used[j] = self.turns[j] = 0
            model.state[j] = "succeeded" if is_known else "ready"
        self.expect_heard(since, model.call_off() if model.called_off else set())
        if not count:
            self.call("items.settled.append", i)
        self.follow()

    @rule(pick=PICK, again=st.sampled_from([True, False, None]))
    def fail(self, pick: int, again: bool | None) -> None:
        """None: the caller knows that there will be no other attempt."""
        if (i := self.one_that_runs(pick)) is not None:
            self.end_badly(i, again)

    def end_badly(self, i: int, again: bool | None) -> None:
        model, rules, since = self.model, self.asked_for[i], len(self.heard)
        attempt = self.machine.attempts[i]
        follows = bool(again) and not model.called_off and self.used[i] < rules.attempts
        if again is None:
            assert self.call("failed_for_good", i, attempt) is True
        else:
            answer = self.call("attempt_failed", i, attempt, self.now, again=again)
            assert answer == (AGAIN if follows else FINAL)
        model.due.pop(i, None)
        if follows:
            delay = rules.delay(self.used[i]) if rules.delay is not None else 0
            model.state[i] = "retrying" if delay else "ready"
            if delay:
                model.due[i] = self.now + delay
                assert self.machine.retry_at(i) == self.now + delay
            self.expect_heard(since, set())
            return
        model.stop_for(model.owner(i))
        model.state[i] = self.told[i] = "failed"
        if model.called_off:
            self.late.add(i)
        if i < self.case.tasks:
            model.failed.append(i)
        self.expect_heard(since, model.settle(self.machine, i))
        self.follow()

    @rule(pick=PICK)
    def give_up(self, pick: int) -> None:
        """What is told to have given up goes on, unless the run was called off."""
        i = self.one_that_runs(pick)
        if i is not None:
            self.end_in_vain(i) if self.model.called_off else self.expect_ignored(
                "gave_up", i, self.machine.attempts[i]
            )

    def end_in_vain(self, i: int) -> None:
        since = len(self.heard)
        assert self.call("gave_up", i, self.machine.attempts[i]) is True
        self.model.state[i] = self.told[i] = "cancelled"
        self.expect_heard(since, {i})
        self.follow()

    @rule(pick=PICK, most=st.integers(0, 3), changed=st.sampled_from([None, (1, None), (3, 3.0), (2, 10.0)]))
    def go_on(self, pick: int, most: int, changed: tuple[int, float | None] | None) -> None:
        """A task goes on with another one, which has attempts of its own and may ask for something else."""
        i, model, since = self.one_that_runs(pick), self.model, len(self.heard)
        if i is None or self.is_map(i):
            return
        rules = self.asked_for[i]
        if changed is not None:
            rules = rules._replace(attempts=changed[0], timeout=changed[1])
        attempt = self.machine.attempts[i]
        answer = self.call("continued", i, attempt, most, rules if changed is not None else None)
        assert answer == (FINAL if self.turns[i] >= most else AGAIN)
        if answer == FINAL:
            assert model.state[i] == "running"
            self.end_badly(i, again=None)
            return
        model.due.pop(i, None)
        if model.called_off:
            model.state[i] = self.told[i] = "cancelled"
            self.expect_heard(since, {i})
        else:
            model.state[i], self.asked_for[i] = "ready", rules
            self.turns[i] += 1
            self.used[i] = 0
            self.expect_heard(since, set())
        self.follow()

    @precondition(lambda self: self.case.has_flags)
    @rule(pick=PICK, verdict=st.sampled_from(["refused", "undecided"]))
    def look_at_flag(self, pick: int, verdict: str) -> None:
        """The flag of a task says that it does not run, or is none. That comes too late for one that is ready."""
        model, since = self.model, len(self.heard)
        i = pick % self.case.tasks
        if model.state[i] != "waiting":
            before = everything(self.machine)
            assert self.call(verdict, i) is False
            assert everything(self.machine) == before
            return
        assert self.call(verdict, i) is True
        passive: set[int] = set()
        if verdict == "undecided":
            model.stop_for(i)
            model.state[i] = self.chosen[i] = "failed"
            model.failed.append(i)
            if model.called_off:
                self.late.add(i)
        else:
            model.state[i] = self.chosen[i] = "skipped"
            model.cause[i] = i
            passive.add(i)
        passive |= model.settle(self.machine, i)
        self.expect_heard(since, passive)
        self.follow()

    @rule(seconds=st.sampled_from([0, 1, 2, 3, 7, 1000]), prompt=st.booleans())
    def let_time_pass(self, seconds: int, prompt: bool) -> None:
        """The caller ends the attempts that took too long at once, or leaves that for later."""
        self.now += seconds
        self.tick(prompt)

    def tick(self, prompt: bool) -> None:
        model = self.model
        due = sorted((at, i) for i, at in model.due.items() if at <= self.now)
        late = [i for _, i in due if model.state[i] == "running"]
        assert self.call("tick", self.now) == late
        for _, i in due:
            del model.due[i]
            if model.state[i] == "retrying":
                model.state[i] = "ready"
        if prompt:
            for i in late:
                self.check()
                if model.state[i] == "running":
                    self.end_badly(i, again=True)

    @precondition(lambda self: len(self.calls) > self.patience)
    @rule(pick=PICK)
    def stop(self, pick: int) -> None:
        """A task ends the run well."""
        i = self.one_that_runs(pick)
        if i is not None and not self.is_map(i):
            self.patience = len(self.calls) + 2
            self.end_well(i, "stopped")

    @precondition(lambda self: len(self.calls) > self.patience)
    @rule(reason=st.sampled_from(["enough", "interrupted"]))
    def cancel(self, reason: str) -> None:
        self.patience = len(self.calls) + 2
        model, before, since = self.model, everything(self.machine), len(self.heard)
        counts = not model.cancelled and model.stopped_by is None and model.outcome is RunState.RUNNING
        assert self.call("cancel", reason) is counts
        if not counts:
            assert everything(self.machine) == before
            return
        model.cancelled = model.called_off = True
        self.expect_heard(since, model.call_off())
        assert self.machine.cancel_reason == reason
        self.follow()

    @precondition(lambda self: len(self.calls) > self.patience)
    @rule()
    def expire(self) -> None:
        self.patience = len(self.calls) + 2
        model, before, since = self.model, everything(self.machine), len(self.heard)
        counts = model.outcome is RunState.RUNNING
        assert self.call("expire") is counts
        if not counts:
            assert everything(self.machine) == before
            return
        running = model.those("running")
        model.expired = model.called_off = True
        for i in running:
            model.state[i] = self.told[i] = "cancelled"
        self.expect_heard(since, model.call_off() | set(running))
        self.follow()

    @rule(pick=PICK, news=st.sampled_from(NEWS))
    def old_news(self, pick: int, news: str) -> None:
        """News of an attempt that has ended or was never begun: late, twice, or by mistake."""
        known = list(self.model.state)
        i = known[pick % len(known)]
        attempt = self.machine.attempts[i] + (0, -1, 1, -2)[pick // MOST % 4]
        if self.model.state[i] == "running" and attempt == self.machine.attempts[i]:
            attempt -= 1
        self.expect_ignored(news, i, attempt)

    def expect_ignored(self, news: str, i: int, attempt: int) -> None:
        before, since = everything(self.machine), len(self.heard)
        if news == "attempt_failed":
            assert self.call(news, i, attempt, self.now, again=True) == IGNORED
        elif news == "continued":
            assert self.call(news, i, attempt, 5, None) == IGNORED
        elif news == "opened":
            assert self.call(news, i, attempt, 3) is None
        else:
            assert self.call(news, i, attempt) is False
        assert everything(self.machine) == before
        assert len(self.heard) == since

    # ── what must hold ──────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def check(self) -> None:
        self.machine.validate()
        self.check_states()
        self.check_changes()
        self.check_lanes()
        self.check_limits()

    def check_states(self) -> None:
        machine, model, n = self.machine, self.model, self.case.tasks
        assert {i: STATES[machine.states[i]].value for i in model.state} == model.state
        assert len(machine.states) == self.case.first_item + sum(map(len, model.items.values()))
        assert machine.outcome is model.outcome
        assert machine.open == sum(not model.is_over(i) for i in range(n))
        assert sorted(machine.running()) == model.working()
        assert machine.items.of == model.items
        assert machine.skipped_for == model.cause
        assert sorted(machine.failed) == sorted(model.failed)
        assert [machine.is_handled(i) for i in machine.failed] == [model.is_handled(i) for i in machine.failed]
        for gate in self.case.groups if not machine.closed else ():
            verdict = model.verdicts.get(gate)
            assert machine.states[gate] == (WAITING if verdict is None else SUCCEEDED if verdict else SKIPPED)
        assert machine.next_due == model.next_due
        assert (machine.closed, machine.stopped_for) == (model.called_off, model.stopped_for)
        assert machine.stopped_by == model.stopped_by
        if machine.open:  # it can go on: somebody works, somebody can be taken, or time helps
            assert model.working() or any(machine.ready) or machine.next_due is not None

    def check_changes(self) -> None:
        """Every change of a state stands in the table, and no task is started more often than it may be."""
        assert isinstance(self.machine.states, Noted)
        changes = self.machine.states.changes
        for i, before, after in changes[self.lawful :]:
            assert i in range(self.case.tasks, self.case.first_item) or (before, after) in TABLE
        self.lawful = len(changes)
        for i in self.model.state:
            assert self.used[i] <= self.asked_for[i].attempts
            assert self.machine.attempts[i] == self.before[i] + self.taken[i]

    def check_lanes(self) -> None:
        """A lane is in order of priority, and among equals whoever was there stays before whoever comes."""
        for number, lane in enumerate(self.machine.ready):
            queue = list(lane)
            ranks = [-self.asked_for[i].priority for i in queue]
            assert ranks == sorted(ranks)
            assert all(self.lane(i) == number for i in queue)
            stayed = [i for i in self.lanes[number] if i in queue] if self.lanes else []
            for rank in sorted(set(ranks)):
                equals = [i for i in queue if -self.asked_for[i].priority == rank]
                older = [i for i in stayed if i in equals]
                assert equals[: len(older)] == older

    def check_limits(self) -> None:
        """Under each limit no more are taken than it allows, and who waits, waits for nobody of a lower priority."""
        queued = [i for lane in self.machine.ready for i in lane]
        for i in self.model.those("ready"):
            rule = self.asked_for[i]
            if i in queued:
                continue
            assert rule.limit is not None
            ahead = [j for j in queued if self.asked_for[j].priority >= rule.priority]
            holders = [j for j in self.model.working() + ahead if self.asked_for[j].limit == rule.limit]
            assert len(holders) == LIMITS[rule.limit]
        for name, at_once in LIMITS.items():
            assert sum(self.asked_for[i].limit == name for i in self.model.working() + queued) <= at_once

    # ── how it ends ─────────────────────────────────────────────────────────────────────────────────────────────

    def teardown(self) -> None:
        if hasattr(self, "machine"):
            self.finish()
            self.replay()

    def finish(self) -> None:
        """Whatever happened before, workers that go on taking and ending bring every run to its end."""
        machine, model = self.machine, self.model
        while machine.open:
            for number in range(len(machine.ready)):
                while machine.ready[number]:
                    self.take_from(number)
            running = model.working()
            for i in running:
                if model.state[i] == "running":
                    self.ending, bad = divmod(self.ending, 2)
                    if bad:
                        self.end_badly(i, again=True)
                    else:
                        self.open_map(i, self.ending) if self.is_map(i) else self.end_well(i)
            if not running:
                assert machine.next_due is not None
                self.now = machine.next_due
                self.tick(prompt=True)
            self.check()
        assert machine.outcome is not RunState.RUNNING
        assert (any(machine.ready), machine._limits.parked, machine.next_due) == (False, [], None)
        expected = ends(self.case, self.told, self.chosen, frozenset(self.late), frozenset(model.items))
        assert [STATES[state].value for state in machine.states[: self.case.tasks]] == expected

    def replay(self) -> None:
        """The same calls give the same answers, the same state, and tell listeners the same."""
        again, heard = self.case.machine(), []
        again.listener = lambda i, state: heard.append((i, state))
        for name, args, named, answer in self.calls:
            assert attrgetter(name)(again)(*args, **named) == answer
        assert everything(again) == everything(self.machine)
        assert heard == self.heard


TestMachineAgainstModel = MachineAgainstModel.TestCase
# Few steps, because `finish` brings each run to its end anyhow.
TestMachineAgainstModel.settings = settings(max_examples=2000, stateful_step_count=15)
TestMachineAgainstModel.pytestmark = pytest.mark.timeout(600)
