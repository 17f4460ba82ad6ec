"""The books of a run under way: what workers commit, and who is told of it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from graflow.core._attempt import ATTEMPT
from graflow.core._options import RunOptions
from graflow.core.plan import Plan
from graflow.core.run import AttemptRecord, Origin, TaskState
from graflow.engine import shapes
from graflow.engine.clock import Clock
from graflow.engine.events import CancelRequested, Event, RunFinished, TaskStarted, TaskSucceeded
from graflow.engine.history import failed_event, passive_end, passive_event, retrying_event
from graflow.engine.ledger import PENDING, RELEASED, Keep, Ledger, readers
from graflow.engine.machine import Machine
from graflow.engine.rules import AGAIN, FAILED, FINAL, RETRYING, SUCCEEDED, deciders_of, is_retried, rules_of
from graflow.errors import CancelRun, RunCancelledError

if TYPE_CHECKING:
    from graflow.engine.journal import Ended, Journal
    from graflow.engine.shapes import Earlier

_LOOK_UP_SECONDS: Final = 0.2


class Commits(Ledger):
    """The state of one run, as its workers change it; with the lock held.

    Args:
        plan: what runs.
        inputs: the workflow's inputs.
        lanes: per task, the number of the lane of workers that takes it.
        keep: ``all`` results until the end, or only those that are ``returns`` or still to be read.
        options: how to run it.
        clock: tells the time.
        item_lanes: map → the lane of its items.

    Attributes:
        lock: guards everything here.
        done: set when the run has ended.
        watched: somebody has to be told when a task starts.
        journal: keeps what happens; None where nobody does.
        isolates: bodies get copies of what they read.
        overrun: says of a task whose attempt took too long what becomes of it.
        grew: told that a map has so many items.
        drop: ends attempts that nobody needs any more, as far as they can be ended.
        keep_time: sees to timeouts and waits from now on.
        wake: gives ready tasks to workers.
        awaits: whether the body of a task is awaited.
        earlier: map → what an earlier part of the run knows of its items.
        arrived: signal → the value that arrived for it.
        around: the attempt in whose body this run is made; who calls that off calls off this.
        hands_up: this run is a part of that one: how its last task goes on is for that one to see to.
        opened: the gates with a rule that have been seen to.

    Raises:
        ConfigurationError: the policies of tasks contradict each other.
    """

    def __init__(
        self,
        plan: Plan,
        inputs: Any,
        lanes: bytes,
        keep: Keep = "all",
        options: RunOptions = RunOptions(),  # noqa: B008  # frozen
        clock: Clock | None = None,
        item_lanes: Mapping[int, int] | None = None,
    ) -> None:
        id = options.run_id or str(uuid.uuid4())
        rules, limits = rules_of(plan, id)
        slots = plan.inputs_slot + 1 + len(plan.constants)
        self.deciders = deciders_of(plan)
        machine = Machine(
            len(plan.ids),
            plan.upstream,
            plan.downstream,
            lanes,
            rules=rules,
            limits=limits,
            tolerated=plan.tolerated,
            returns=plan.returns,
            stop_on_failure=options.on_failure == "stop",
            maps=item_lanes,
            first_item=slots if plan.maps else 0,
            deciders=self.deciders,
            unawaited=plan.unawaited,
        )
        super().__init__(id, plan, inputs, machine)
        self.options = options
        self.clock = clock or Clock()
        self.lock = threading.RLock()
        self.done = threading.Event()
        self.epoch = self.clock.wall() - self.clock.now()
        self.began = self.clock.now()
        self.finished_at: float | None = None
        self.closed_at = 0.0
        self.readers: list[int] | None = readers(plan) if keep == "returns" else None
        self.watched = self._attentive = False
        self._past: list[Ended] | None = None
        self.journal: Journal | None = None
        self.isolates = False
        self.overrun: Callable[[int], str] = lambda i: ""
        self.grew: Callable[[int, int], None] = lambda i, count: None
        self.drop: Callable[[Sequence[tuple[int, int]]], None] = lambda attempts: None
        self.keep_time: Callable[[], None] = lambda: None
        self.wake: Callable[[], None] = lambda: None
        self.awaits: Callable[[int], bool] = lambda i: False
        self.item_lanes: Mapping[int, int] = item_lanes or {}
        self.earlier: dict[int, Earlier] = {}
        self.arrived: dict[int, Any] = {}
        self.opened: set[int] = set()
        self.around = ATTEMPT.get()
        self.hands_up = False
        self._flags = shapes.flags_of(plan)
        self._is_growing = bool(plan.maps or plan.conditions or plan.rules or plan.signals)
        self._outcomes: Mapping[int, int] = plan.outcome_slots
        self._passive: list[tuple[int, int]] = []
        self._listeners: list[Callable[[Event | None], None]] = []
        self._on_end: list[Callable[[], None]] = []

    def announce(self, i: int) -> None:
        """A task was taken; tell those who want to know."""
        if self._listeners:
            at, worker = self.epoch + self.started[i], self.workers[self.worker[i]]
            id, item = self.name(i)
            self._emit(TaskStarted(id, self.machine.attempts[i], at, worker, item))

    def commit(
        self,
        i: int,
        attempt: int,
        value: Any,
        now: float,
        payload: Any = None,
        source: Origin | None = None,
        *,
        stops: bool = False,
    ) -> None:
        """An attempt succeeded. News of an attempt that is not the current one changes nothing.

        Args:
            i: the task.
            attempt: its number.
            value: its result.
            now: the time.
            payload: the result's bytes, where somebody keeps them.
            source: where the result came from, if no body gave it.
            stops: the run ends with this.
        """
        machine = self.machine
        if self._flags and i in self._flags and not stops and self.is_current(i, attempt):
            self.slots[i] = value
            shapes.decide(self, self._flags[i], now, i)
        if not (machine.stopped(i, attempt) if stops else machine.succeeded(i, attempt)):
            return
        self.ended[i] = now
        self.slots[i] = value
        if stops:
            self.closed_at = now
        if self._attentive or source is not None:
            self._attend(i, attempt, value, now, payload, source)
        elif self._past is not None:
            self._past.append((i, attempt, SUCCEEDED, self.started[i], now, self.worker[i], payload, None))
        if self._is_growing or stops:
            self.follow(now)
            if stops:
                self._tell_passive()
                self._let_signals_go(now)
                self._call_ended()
        if not machine.open:
            self._finish(now)

    def _attend(self, i: int, attempt: int, value: Any, now: float, payload: Any, source: Origin | None) -> None:
        """Somebody has to be told of a success, beyond the machine."""
        if self._outcomes and i in self._outcomes:
            self.slots[self._outcomes[i]] = self.success(i, value)
        if source is not None:
            self.sources[i] = source
        if self.readers is not None and i < len(self.readers):
            self._release(i)
        if self.journal is not None:
            self.journal.past.append((i, attempt, SUCCEEDED, self.started[i], now, self.worker[i], payload, None))
        if self._listeners:
            took, at = now - self.started[i], self.epoch + now
            id, item = self.name(i)
            self._emit(TaskSucceeded(id, attempt, at, took, source or "run", item))

    def commit_failure(self, i: int, attempt: int, error: BaseException, now: float) -> None:
        """An attempt failed. News of an attempt that is not the current one changes nothing."""
        machine = self.machine
        if isinstance(error, CancelRun) and self.is_current(i, attempt):
            self.cancel(error.reason)
        if machine.closed and isinstance(
            error, RunCancelledError | CancelRun
        ):  # how a body says that it heeded the call
            self.commit_cancelled(i, attempt, now)
            return
        verdict = machine.attempt_failed(i, attempt, now, again=is_retried(self.policies.get(i), error))
        if verdict == AGAIN:
            self._again(i, attempt, error, now)
        elif verdict == FINAL:
            self._failed(i, attempt, error, now)

    def fail_for_good(self, i: int, attempt: int, error: BaseException, now: float) -> None:
        """An attempt failed, and no other will be better."""
        if self.machine.failed_for_good(i, attempt):
            self._failed(i, attempt, error, now)

    def _failed(self, i: int, attempt: int, error: BaseException, now: float) -> None:
        machine = self.machine
        self.ended[i] = now
        self.errors[i] = error
        if i in self.plan.signals:
            self.notes.pop(i, None)  # it waits no more
        if self._outcomes and i in self._outcomes:
            self.slots[self._outcomes[i]] = self.outcome(i)
        if machine.stopped_for is not None and not self.closed_at:
            self.closed_at = now
        self._write_down(i, attempt, FAILED, error)
        if self._listeners:
            self._emit(failed_event(self, i))
        self._tell_passive(i)
        if self._is_growing:
            self.follow(now)
        if not machine.open:
            self._finish(now)
        elif machine.stopped_for is not None:
            self._let_signals_go(now)
            self._call_ended()

    def commit_cancelled(self, i: int, attempt: int, now: float) -> None:
        """A running attempt gave up because the run was called off."""
        if self.is_current(i, attempt):
            self.ended[i] = now
            if i in self.plan.signals:
                self.notes.pop(i, None)
            self.machine.gave_up(i, attempt)
            self._tell_passive()
            self.follow(now)
        if not self.machine.open:
            self._finish(now)

    def cancel(self, reason: str) -> None:
        """Start nothing more."""
        with self.lock:
            now = self.clock.now()
            if not self.machine.open:
                self._finish(now)  # if it was interrupted half-way
                return
            if self.machine.cancel_reason is not None or self.machine.stopped_by is not None:
                return
            if not self.machine.closed:
                self.closed_at = now
            if self.machine.cancel(reason):
                self._emit(CancelRequested(reason, self.epoch + now))
            self._tell_passive()
            self._let_signals_go(now)
            self.follow(now)
            if not self.machine.open:
                self._finish(now)
            self._call_ended()

    def _again(self, i: int, attempt: int, error: BaseException, now: float) -> None:
        failed = AttemptRecord(
            attempt,
            TaskState.FAILED,
            self.epoch + self.started[i],
            max(0.0, now - self.started[i]),
            self.workers[self.worker[i]] or None,
            error,
        )
        self.past.setdefault(i, []).append(failed)
        self.ended[i] = now
        self._write_down(i, attempt, RETRYING, error)
        if self._listeners:
            due = self.machine.retry_at(i)
            self._emit(retrying_event(self, i, failed, now if due is None else due))
        self.ended[i] = 0.0

    def _write_down(self, i: int, attempt: int, state: int, error: BaseException | None) -> None:
        if self.journal is not None:
            times = self.started[i], self.ended[i]
            self.journal.past.append((i, attempt, state, *times, self.worker[i], None, error))

    def _tell_passive(self, *ended: int) -> None:
        """Tasks ended by the machine's rules alone: keep the books, and tell those who want to know."""
        passive, self._passive = self._passive, []
        for i, state in passive:
            if self._outcomes and i in self._outcomes:
                self.slots[self._outcomes[i]] = self.outcome(i)
            if i in self.machine.dropped:
                self.ended[i] = self.clock.now()
            if not self.ended[i]:
                self.ended[i] = passive_end(self, i, state)
            self._write_down(i, self.machine.attempts[i], state, None)
            if self._listeners:
                self._emit(passive_event(self, i, state))
        if self.readers is not None:
            self._release(*ended, *(i for i, _ in passive))

    def _finish(self, now: float) -> None:
        """Tell everybody that the run has ended. May be done again, for Ctrl-C can strike in the middle."""
        if self.finished_at is None:
            self._emit(RunFinished(self.id, self.machine.outcome, self.epoch + now))
            self.finished_at = now
        self.done.set()
        while self._listeners:
            self._listeners.pop()(None)
        self._call_ended()

    def follow(self, now: float) -> None:
        """See to what follows from what just happened, beyond the machine's rules. With the lock held."""
        if not self._is_growing:
            return
        for i in self.machine.dropped:
            self.notes[i] = shapes.NOT_NEEDED
        shapes.settle(self, now)
        shapes.open_gates(self, now)
        shapes.await_signals(self, now)
        if self.machine.closed and not self.closed_at:  # by a rule, in the course of something else
            self.closed_at = now
            self._let_signals_go(now)
            self._call_ended()
        if self.machine.dropped:
            self._tell_passive()
            dropped, self.machine.dropped = self.machine.dropped, []
            self.drop([(i, self.machine.attempts[i]) for i in dropped])
        elif self._passive:
            self._tell_passive()

    def _let_signals_go(self, now: float) -> None:
        """The run is called off: nobody waits for signals any more."""
        for i in sorted(self.plan.signals):
            self.commit_cancelled(i, self.machine.attempts[i], now)

    @property
    def is_heard(self) -> bool:
        """Does anybody listen?"""
        return bool(self._listeners)

    def tell(self, event: Event) -> None:
        """Tell those who listen. With the lock held."""
        if self._listeners:
            self._emit(event)

    def told_undecided(self, i: int, error: BaseException) -> None:
        """A task has failed without an attempt: its flag, or the rule before it, is of no use."""
        if self._outcomes and i in self._outcomes:
            self.slots[self._outcomes[i]] = self.outcome(i)
        self._write_down(i, 0, FAILED, error)
        if self._listeners:
            self._emit(failed_event(self, i))

    def _call_ended(self) -> None:
        for call in self._on_end:
            call()

    def _release(self, *ended: int) -> None:
        """Forget the results that nobody can read any more, now that these tasks have ended."""
        assert self.readers is not None
        for i in ended:
            if i >= len(self.readers):  # an item, which reads what its map does
                continue
            for u in self.plan.workflow._structure.task_upstream(i):
                self.readers[u] -= 1
                if not self.readers[u]:
                    self._forget(u)
            if not self.readers[i]:
                self._forget(i)

    def _forget(self, i: int) -> None:
        if i == self.machine.stopped_by:  # the value of the run
            return
        for slot in (i, self._outcomes.get(i)):
            if slot is not None and self.slots[slot] is not PENDING:
                self.slots[slot] = RELEASED

    def _note_passive(self, i: int, state: int) -> None:
        self._passive.append((i, state))

    def _emit(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)
