"""The run machine against a naive model: random graphs with random rules, told random news in random order.

The model knows no gates, lanes, counters or heaps: it works out from what happened in which state every task must be.
At the end of each run an oracle that knows the graph alone says how every task must have ended, and everything that
the machine was told is told once more to a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.machine.conversation import Noted, everything

from graflow.core.run import RunState
from graflow.engine.machine import Machine
from graflow.engine.rules import AGAIN, FINAL, IGNORED, STATES, TRANSITIONS, Rules

TABLE = {(row.before, row.after) for row in TRANSITIONS}
LIMITS = {"db": 1, "web": 2}
MOST = 8
"""How many tasks a run has at most."""
NEWS = ("succeeded", "failed_for_good", "gave_up", "attempt_failed")
PICK = st.integers(0, 2**16)
"""Which of those that could be meant, modulo how many there are: cheaper than to draw from what changes."""


# ── what is drawn ───────────────────────────────────────────────────────────────────────────────────────────────────


def pause(seconds: float) -> Callable[[int], float]:
    return lambda attempt: seconds * attempt


@dataclass(frozen=True)
class Case:
    """A random graph with random rules; ``upstream`` per index, gates last."""

    tasks: int
    upstream: tuple[tuple[int, ...], ...]
    tolerated: Mapping[int, frozenset[int]]
    lanes: bytes
    rules: Mapping[int, Rules]
    stop: bool
    known: frozenset[int]
    counted: frozenset[int]

    @cached_property
    def needs(self) -> tuple[frozenset[int], ...]:
        """Per task, the tasks without whose result it cannot run: gates are replaced by their members."""
        found = []
        for i, ups in enumerate(self.upstream[: self.tasks]):
            needed = {u for u in ups if u < self.tasks and u not in self.watches(i)}
            found.append(frozenset(needed.union(*(self.upstream[gate] for gate in ups if gate >= self.tasks))))
        return tuple(found)

    def watches(self, i: int) -> frozenset[int]:
        return self.tolerated.get(i, frozenset())

    def rule(self, i: int) -> Rules:
        return self.rules.get(i, Rules())

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
    for number in range(below(3) if n > 1 else 0):
        cut = 1 + below(n - 1)
        gates.append(tuple(sorted({order[cut - 1], *some(order[: cut - 1])})))
        for right in (order[cut], *some(order[cut + 1 :])):
            upstream[right].add(n + number)
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
    return Case(
        n,
        (*(tuple(sorted(ups)) for ups in upstream), *gates),
        tolerated,
        bytes(below(3) for _ in range(n)),
        {i: one for i, one in rules.items() if one != Rules()},
        bool(stop),
        known=frozenset(i for i in range(n) if past[i] == 1),
        counted=frozenset(i for i in range(n) if past[i] == 2),
    )


#: Of this length, because the largest case takes 127 bytes.
CASES = st.binary(min_size=128, max_size=128).map(case_of)


# ── what must be so ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Model:
    """What must be so after each piece of news, worked out the slow way."""

    case: Case
    state: dict[int, str] = field(init=False)
    cause: dict[int, int] = field(default_factory=dict)
    due: dict[int, float] = field(default_factory=dict)
    """When the pause of a task is over, or its attempt overdue."""
    called_off: bool = False
    stopped_for: int | None = None
    cancelled: bool = False
    expired: bool = False

    def __post_init__(self) -> None:
        n = self.case.tasks
        self.state = {i: "succeeded" if i in self.case.known else "waiting" for i in range(n)}
        self.settle()

    def settle(self, failed: int | None = None) -> set[int]:
        """Apply the rules until nothing changes; the tasks that were skipped or cancelled."""
        passive: set[int] = set()
        for _ in self.state:
            for i, state in self.state.items():
                needed = {self.state[u] for u in self.case.needs[i]}
                watched = {self.state[u] for u in self.case.watches(i)}
                if self.called_off and state in ("waiting", "ready", "retrying"):
                    self.state[i] = "cancelled"
                    passive.add(i)
                elif state == "waiting" and needed & {"failed", "skipped"}:
                    assert failed is not None
                    self.state[i], self.cause[i] = "skipped", failed
                    passive.add(i)
                elif state == "waiting" and needed <= {"succeeded"} and watched <= {"succeeded", "failed", "skipped"}:
                    self.state[i] = "ready"
        return passive

    def those(self, *states: str) -> list[int]:
        return [i for i, state in self.state.items() if state in states]

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
        unhandled = [i for i in self.those("failed") if not is_handled(self.case, i)]
        return RunState.FAILED if unhandled else RunState.SUCCEEDED


def is_handled(case: Case, i: int) -> bool:
    """Does every way down from a failure end at a task that takes an outcome?"""
    needing = [d for d in range(case.tasks) if i in case.needs[d]]
    watching = [d for d in range(case.tasks) if i in case.watches(d)]
    return bool(needing or watching) and all(is_handled(case, d) for d in needing)


def ends(case: Case, told: Mapping[int, str], harmless: frozenset[int]) -> list[str]:
    """How every task must have ended.

    Args:
        case: the graph.
        told: how those ended that were told to have ended.
        harmless: the failures that skipped nobody, because the run was called off by then.
    """

    @cache
    def end(i: int) -> str:
        if i in case.known:
            return "succeeded"
        if any(end(u) in ("failed", "skipped") and u not in harmless for u in case.needs[i]):
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
        self.taken = [0] * case.tasks
        self.told: dict[int, str] = {}
        self.harmless: set[int] = set()
        self.lanes: list[list[int]] = []
        self.lawful = 0
        self.before = [5 * (i in case.counted) + (i in case.known) for i in range(case.tasks)]
        self.machine.listener = lambda i, state: self.heard.append((i, state))
        for i in range(case.tasks):
            if i in case.known:
                self.call("known", i, 1)
            elif i in case.counted:
                self.call("counted", i, 5)
        self.call("start")

    def call(self, name: str, *args: Any, **named: Any) -> Any:
        """Tell the machine something, and remember it for the replay."""
        self.lanes = [list(lane) for lane in self.machine.ready]
        answer = getattr(self.machine, name)(*args, **named)
        self.calls.append((name, args, named, answer))
        return answer

    def expect_heard(self, since: int, passive: set[int]) -> None:
        heard = [i for i, _ in self.heard[since:]]
        assert sorted(heard) == sorted(passive)
        assert all(STATES[state].value == self.model.state[i] for i, state in self.heard[since:])

    def one_that_runs(self, pick: int) -> int | None:
        """A task that runs; one is taken if none does."""
        if not self.model.those("running"):
            self.take_one(pick)
        running = self.model.those("running")
        return running[pick % len(running)] if running else None

    def take_one(self, pick: int) -> bool:
        lanes = [number for number, lane in enumerate(self.machine.ready) if lane]
        if lanes:
            self.take_from(lanes[pick % len(lanes)])
        return bool(lanes)

    # ── what may happen ─────────────────────────────────────────────────────────────────────────────────────────

    @rule(pick=PICK)
    def take_or_succeed(self, pick: int) -> None:
        if not (pick % 3 and self.take_one(pick // 3)) and (i := self.one_that_runs(pick // 3)) is not None:
            self.end_well(i)

    def take_from(self, lane: int) -> None:
        queue = list(self.machine.ready[lane])
        i = self.call("take", lane, self.now)
        assert (i, list(self.machine.ready[lane])) == (queue[0], queue[1:])
        assert (self.model.state[i], self.case.lanes[i]) == ("ready", lane)
        self.model.state[i] = "running"
        self.taken[i] += 1
        timeout = self.case.rule(i).timeout
        self.model.due.pop(i, None)
        if timeout is not None:
            self.model.due[i] = self.now + timeout

    def end_well(self, i: int) -> None:
        since = len(self.heard)
        assert self.call("succeeded", i, self.machine.attempts[i]) is True
        self.model.state[i] = self.told[i] = "succeeded"
        self.expect_heard(since, self.model.settle())

    @rule(pick=PICK, again=st.sampled_from([True, False, None]))
    def fail(self, pick: int, again: bool | None) -> None:
        """None: the caller knows that there will be no other attempt."""
        if (i := self.one_that_runs(pick)) is not None:
            self.end_badly(i, again)

    def end_badly(self, i: int, again: bool | None) -> None:
        model, rules, since = self.model, self.case.rule(i), len(self.heard)
        attempt = self.machine.attempts[i]
        follows = bool(again) and not model.called_off and self.taken[i] < rules.attempts
        if again is None:
            assert self.call("failed_for_good", i, attempt) is True
        else:
            answer = self.call("attempt_failed", i, attempt, self.now, again=again)
            assert answer == (AGAIN if follows else FINAL)
        model.due.pop(i, None)
        if follows:
            delay = rules.delay(self.taken[i]) if rules.delay is not None else 0
            model.state[i] = "retrying" if delay else "ready"
            if delay:
                model.due[i] = self.now + delay
                assert self.machine.retry_at(i) == self.now + delay
            self.expect_heard(since, set())
            return
        if self.case.stop and not model.called_off and not is_handled(self.case, i):
            model.called_off, model.stopped_for = True, i
        model.state[i] = self.told[i] = "failed"
        if model.called_off:
            self.harmless.add(i)
        self.expect_heard(since, model.settle(i))

    @rule(pick=PICK)
    def give_up(self, pick: int) -> None:
        """What is told to have given up goes on, unless the run was called off."""
        i = self.one_that_runs(pick)
        if i is None:
            return
        if not self.model.called_off:
            self.expect_ignored("gave_up", i, self.machine.attempts[i])
            return
        since = len(self.heard)
        assert self.call("gave_up", i, self.machine.attempts[i]) is True
        self.model.state[i] = self.told[i] = "cancelled"
        self.expect_heard(since, {i})

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
    @rule(reason=st.sampled_from(["enough", "interrupted"]))
    def cancel(self, reason: str) -> None:
        self.patience = len(self.calls) + 2
        before, since = everything(self.machine), len(self.heard)
        counts = not self.model.cancelled and self.model.outcome is RunState.RUNNING
        assert self.call("cancel", reason) is counts
        if counts:
            self.model.cancelled = self.model.called_off = True
            self.expect_heard(since, self.model.settle())
            assert self.machine.cancel_reason == reason
        else:
            assert everything(self.machine) == before

    @precondition(lambda self: len(self.calls) > self.patience)
    @rule()
    def expire(self) -> None:
        self.patience = len(self.calls) + 2
        before, since = everything(self.machine), len(self.heard)
        counts = self.model.outcome is RunState.RUNNING
        assert self.call("expire") is counts
        if counts:
            running = self.model.those("running")
            self.model.expired = self.model.called_off = True
            for i in running:
                self.model.state[i] = self.told[i] = "cancelled"
            self.expect_heard(since, self.model.settle() | set(running))
        else:
            assert everything(self.machine) == before

    @rule(pick=PICK, news=st.sampled_from(NEWS))
    def old_news(self, pick: int, news: str) -> None:
        """News of an attempt that has ended or was never begun: late, twice, or by mistake."""
        i = pick % self.case.tasks
        attempt = self.machine.attempts[i] + (0, -1, 1, -2)[pick // MOST % 4]
        if self.model.state[i] == "running" and attempt == self.machine.attempts[i]:
            attempt -= 1
        self.expect_ignored(news, i, attempt)

    def expect_ignored(self, news: str, i: int, attempt: int) -> None:
        before, since = everything(self.machine), len(self.heard)
        if news == "attempt_failed":
            assert self.call(news, i, attempt, self.now, again=True) == IGNORED
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
        assert [STATES[state].value for state in machine.states[:n]] == [model.state[i] for i in range(n)]
        assert machine.outcome is model.outcome
        assert machine.open == len(model.those("waiting", "ready", "running", "retrying"))
        assert machine.running() == model.those("running")
        assert machine.skipped_for == model.cause
        assert sorted(machine.failed) == model.those("failed")
        assert machine.next_due == model.next_due
        assert (machine.closed, machine.stopped_for) == (model.called_off, model.stopped_for)
        if machine.open:  # it can go on: somebody works, somebody can be taken, or time helps
            assert model.those("running") or any(machine.ready) or machine.next_due is not None

    def check_changes(self) -> None:
        """Every change of a state stands in the table, and no task is started more often than it may be."""
        assert isinstance(self.machine.states, Noted)
        changes = self.machine.states.changes
        for i, before, after in changes[self.lawful :]:
            assert i >= self.case.tasks or (before, after) in TABLE
        self.lawful = len(changes)
        for i in range(self.case.tasks):
            assert self.taken[i] <= self.case.rule(i).attempts
            assert self.machine.attempts[i] == self.before[i] + self.taken[i]

    def check_lanes(self) -> None:
        """A lane is in order of priority, and among equals whoever was there stays before whoever comes."""
        for number, lane in enumerate(self.machine.ready):
            queue = list(lane)
            ranks = [-self.case.rule(i).priority for i in queue]
            assert ranks == sorted(ranks)
            assert all(self.case.lanes[i] == number for i in queue)
            stayed = [i for i in self.lanes[number] if i in queue] if self.lanes else []
            for rank in sorted(set(ranks)):
                equals = [i for i in queue if -self.case.rule(i).priority == rank]
                older = [i for i in stayed if i in equals]
                assert equals[: len(older)] == older

    def check_limits(self) -> None:
        """Under each limit no more are taken than it allows, and who waits, waits for nobody of a lower priority."""
        queued = [i for lane in self.machine.ready for i in lane]
        for i in self.model.those("ready"):
            rule = self.case.rule(i)
            if i in queued:
                continue
            assert rule.limit is not None
            ahead = [j for j in queued if self.case.rule(j).priority >= rule.priority]
            holders = [j for j in self.model.those("running") + ahead if self.case.rule(j).limit == rule.limit]
            assert len(holders) == LIMITS[rule.limit]
        for name, at_once in LIMITS.items():
            assert sum(self.case.rule(i).limit == name for i in self.model.those("running") + queued) <= at_once

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
            running = model.those("running")
            for i in running:
                if model.state[i] == "running":
                    self.ending, bad = divmod(self.ending, 2)
                    self.end_badly(i, again=True) if bad else self.end_well(i)
            if not running:
                assert machine.next_due is not None
                self.now = machine.next_due
                self.tick(prompt=True)
            self.check()
        assert machine.outcome is not RunState.RUNNING
        assert (any(machine.ready), machine._limits.parked, machine.next_due) == (False, [], None)
        expected = ends(self.case, self.told, frozenset(self.harmless))
        assert [STATES[state].value for state in machine.states[: self.case.tasks]] == expected

    def replay(self) -> None:
        """The same calls give the same answers, the same state, and tell listeners the same."""
        again, heard = self.case.machine(), []
        again.listener = lambda i, state: heard.append((i, state))
        for name, args, named, answer in self.calls:
            assert getattr(again, name)(*args, **named) == answer
        assert everything(again) == everything(self.machine)
        assert heard == self.heard


TestMachineAgainstModel = MachineAgainstModel.TestCase
# Few steps, because `finish` brings each run to its end anyhow.
TestMachineAgainstModel.settings = settings(max_examples=2000, stateful_step_count=15)
TestMachineAgainstModel.pytestmark = pytest.mark.timeout(600)
