"""The run machine against a naive model: random graphs, told random news in random order.

The model knows no gates, lanes or counters: it works out from what happened in which state every task must be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from graflow.core.run import RunState
from graflow.engine.machine import STATES, Machine

NEWS = ("succeeded", "failed_for_good", "gave_up")


@dataclass(frozen=True)
class Graph:
    """A random graph: ``upstream`` per index, gates last; ``needs`` per task, with gates replaced by their members."""

    tasks: int
    upstream: tuple[tuple[int, ...], ...]
    lanes: bytes

    @property
    def downstream(self) -> tuple[tuple[int, ...], ...]:
        below: list[list[int]] = [[] for _ in self.upstream]
        for i, ups in enumerate(self.upstream):
            for u in ups:
                below[u].append(i)
        return tuple(map(tuple, below))

    @property
    def needs(self) -> tuple[frozenset[int], ...]:
        return tuple(
            frozenset(m for u in ups for m in ((u,) if u < self.tasks else self.upstream[u]))
            for ups in self.upstream[: self.tasks]
        )

    def machine(self) -> Machine:
        return Machine(self.tasks, self.upstream, self.downstream, self.lanes)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Tasks in a random order, so that an upstream may have any index; edges and gates go forward in that order."""
    n = draw(st.integers(1, 9))
    order = draw(st.permutations(range(n)))
    upstream: list[set[int]] = [set() for _ in range(n)]
    for later in range(1, n):
        upstream[order[later]] |= {order[k] for k in draw(st.sets(st.integers(0, later - 1), max_size=3))}
    gates: list[tuple[int, ...]] = []
    if n > 1:
        for number in range(draw(st.integers(0, 3))):
            cut = draw(st.integers(1, n - 1))
            members = draw(st.sets(st.sampled_from(order[:cut]), min_size=1))
            gates.append(tuple(sorted(members)))
            for right in draw(st.sets(st.sampled_from(order[cut:]), min_size=1)):
                upstream[right].add(n + number)
    lanes = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    return Graph(n, (*(tuple(sorted(ups)) for ups in upstream), *gates), bytes(lanes))


@dataclass
class Model:
    """What must be so, worked out the slow way."""

    needs: tuple[frozenset[int], ...]
    state: dict[int, str] = field(init=False)
    cause: dict[int, int] = field(default_factory=dict)
    cancelled: bool = False

    def __post_init__(self) -> None:
        self.state = {i: "ready" if not ups else "waiting" for i, ups in enumerate(self.needs)}

    def settle(self, failed: int | None = None) -> set[int]:
        """Apply the rules until nothing changes; the tasks that were skipped or cancelled."""
        passive: set[int] = set()
        for _ in self.state:
            for i, ups in enumerate(self.needs):
                above = {self.state[u] for u in ups}
                if self.state[i] == "waiting" and above & {"failed", "skipped"}:
                    assert failed is not None
                    self.state[i], self.cause[i] = "skipped", failed
                    passive.add(i)
                elif self.state[i] == "waiting" and above <= {"succeeded"}:
                    self.state[i] = "ready"
                if self.state[i] in ("waiting", "ready") and self.cancelled:
                    self.state[i] = "cancelled"
                    passive.add(i)
        return passive

    def those(self, *states: str) -> list[int]:
        return [i for i, state in self.state.items() if state in states]

    @property
    def outcome(self) -> RunState:
        if self.those("waiting", "ready", "running"):
            return RunState.RUNNING
        if self.cancelled:
            return RunState.CANCELLED
        return RunState.FAILED if self.those("failed") else RunState.SUCCEEDED


def everything(machine: Machine) -> tuple[Any, ...]:
    return (
        bytes(machine.states),
        list(machine.attempts),
        [list(lane) for lane in machine.ready],
        machine.open,
        list(machine.failed),
        dict(machine.skipped_for),
        machine.cancel_reason,
        machine.outcome,
        machine.running(),
    )


class MachineAgainstModel(RuleBasedStateMachine):
    """Runs that workers, cancellation and late news push forward in any order."""

    # Cancelled runs are soon over, so most are let alone for a while.
    @initialize(graph=graphs(), patience=st.integers(0, 40))
    def start(self, graph: Graph, patience: int) -> None:
        self.graph = graph
        self.patience = patience
        self.machine = graph.machine()
        self.model = Model(graph.needs)
        self.told: list[tuple[int, int]] = []
        self.calls: list[tuple[str, tuple[Any, ...], Any]] = []
        self.machine.listener = lambda i, state: self.told.append((i, state))
        self.call("start")

    def call(self, name: str, *args: Any) -> Any:
        """Tell the machine something, and remember it for the replay; lanes never overtake."""
        queues = [list(lane) for lane in self.machine.ready]
        answer = getattr(self.machine, name)(*args)
        self.calls.append((name, args, answer))
        if name not in ("take", "cancel"):
            for before, now in zip(queues, self.machine.ready, strict=True):
                assert list(now)[: len(before)] == before
        return answer

    def expect_told(self, since: int, passive: set[int]) -> None:
        heard = [i for i, _ in self.told[since:]]
        assert sorted(heard) == sorted(passive)
        assert all(STATES[state].value == self.model.state[i] for i, state in self.told[since:])

    def expect_ignored(self, name: str, i: int, attempt: int) -> None:
        before, since = everything(self.machine), len(self.told)
        assert self.call(name, i, attempt) is False
        assert everything(self.machine) == before
        self.expect_told(since, set())

    # ── what may happen ─────────────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: self.model.those("ready"))
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        lane = data.draw(st.sampled_from(sorted({self.graph.lanes[i] for i in self.model.those("ready")})))
        first = self.machine.ready[lane][0]
        i = self.call("take", lane)
        assert i == first
        assert self.model.state[i] == "ready"
        assert all(self.model.state[u] == "succeeded" for u in self.graph.needs[i])
        self.model.state[i] = "running"

    @precondition(lambda self: self.model.those("running"))
    @rule(data=st.data(), good=st.booleans())
    def end(self, data: st.DataObject, good: bool) -> None:
        i = data.draw(st.sampled_from(self.model.those("running")))
        since = len(self.told)
        assert self.call("succeeded" if good else "failed_for_good", i, self.machine.attempts[i]) is True
        self.model.state[i] = "succeeded" if good else "failed"
        self.expect_told(since, self.model.settle(i))

    @precondition(lambda self: self.model.those("running") and (self.model.cancelled or len(self.calls) % 5 == 0))
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        i = data.draw(st.sampled_from(self.model.those("running")))
        if not self.model.cancelled:
            self.expect_ignored("gave_up", i, self.machine.attempts[i])
            return
        since = len(self.told)
        assert self.call("gave_up", i, self.machine.attempts[i]) is True
        self.model.state[i] = "cancelled"
        self.expect_told(since, {i})

    @precondition(lambda self: len(self.calls) > self.patience)
    @rule(reason=st.sampled_from(["enough", "interrupted"]))
    def cancel(self, reason: str) -> None:
        self.patience = len(self.calls) + 2
        before, since = everything(self.machine), len(self.told)
        counts = not self.model.cancelled and self.model.outcome is RunState.RUNNING
        assert self.call("cancel", reason) is counts
        if counts:
            self.model.cancelled = True
            self.expect_told(since, self.model.settle())
            assert self.machine.cancel_reason == reason
        else:
            assert everything(self.machine) == before

    @precondition(lambda self: self.model.those("running"))
    @rule(data=st.data(), news=st.sampled_from(NEWS), attempt=st.sampled_from([0, 2, 3]))
    def late_news_of_another_attempt(self, data: st.DataObject, news: str, attempt: int) -> None:
        self.expect_ignored(news, data.draw(st.sampled_from(self.model.those("running"))), attempt)

    @precondition(lambda self: len(self.model.those("running")) < self.graph.tasks)
    @rule(data=st.data(), news=st.sampled_from(NEWS))
    def news_of_a_task_that_does_not_run(self, data: st.DataObject, news: str) -> None:
        """It has not begun, or has ended: then the same news comes twice, or other news too late."""
        still = [i for i in self.model.state if self.model.state[i] != "running"]
        i = data.draw(st.sampled_from(still))
        self.expect_ignored(news, i, self.machine.attempts[i])

    # ── what must hold ──────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def own_invariants_hold(self) -> None:
        self.machine.validate()

    @invariant()
    def states_are_those_of_the_model(self) -> None:
        n = self.graph.tasks
        assert [STATES[state].value for state in self.machine.states[:n]] == [self.model.state[i] for i in range(n)]
        assert self.machine.outcome is self.model.outcome
        assert self.machine.open == len(self.model.those("waiting", "ready", "running"))
        assert self.machine.running() == self.model.those("running")
        assert self.machine.skipped_for == self.model.cause
        assert sorted(self.machine.failed) == self.model.those("failed")

    @invariant()
    def lanes_hold_the_ready_tasks_of_their_kind(self) -> None:
        for number, lane in enumerate(self.machine.ready):
            wanted = [i for i in self.model.those("ready") if self.graph.lanes[i] == number]
            assert sorted(lane) == wanted

    @invariant()
    def nothing_runs_twice(self) -> None:
        started = [args for name, args, _ in self.calls if name == "take"]
        assert len(started) == sum(self.machine.attempts)
        assert max(self.machine.attempts) <= 1

    @invariant()
    def a_run_that_has_not_ended_can_go_on(self) -> None:
        if self.machine.open:
            assert self.model.those("ready", "running")

    def teardown(self) -> None:
        if not hasattr(self, "machine"):
            return
        self.finish()
        self.replay()

    def finish(self) -> None:
        """Whatever happened before, workers that go on taking and ending bring every run to its end."""
        while self.machine.open:
            for number, lane in enumerate(self.machine.ready):
                while lane:
                    self.model.state[self.call("take", number)] = "running"
            running = self.model.those("running")
            assert running
            for i in running:
                assert self.call("succeeded", i, self.machine.attempts[i])
                self.model.state[i] = "succeeded"
                self.model.settle()
            self.states_are_those_of_the_model()
            self.own_invariants_hold()
        assert self.machine.outcome is not RunState.RUNNING
        assert not any(self.machine.ready)

    def replay(self) -> None:
        """The same calls give the same answers, the same state, and tell listeners the same."""
        again, told = self.graph.machine(), []
        again.listener = lambda i, state: told.append((i, state))
        for name, args, answer in self.calls:
            assert getattr(again, name)(*args) == answer
        assert everything(again) == everything(self.machine)
        assert told == self.told


TestMachineAgainstModel = MachineAgainstModel.TestCase
TestMachineAgainstModel.settings = settings(stateful_step_count=40)
