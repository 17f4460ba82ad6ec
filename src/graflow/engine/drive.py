"""One run under way: workers advance it themselves, under one lock; there is no loop that hands tasks out."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from graflow.core._options import RunOptions
from graflow.core.outcome import Failed, Ok
from graflow.core.plan import Plan
from graflow.core.run import AttemptRecord, Origin, TaskState
from graflow.engine.clock import Clock
from graflow.engine.events import CancelRequested, Event, RunFinished, TaskProgress, TaskStarted, TaskSucceeded
from graflow.engine.history import failed_event, history, passive_end, passive_event, retrying_event
from graflow.engine.ledger import PENDING, RELEASED, Keep, Ledger, readers
from graflow.engine.machine import Machine
from graflow.engine.rules import AGAIN, FAILED, FINAL, RETRYING, SUCCEEDED, is_retried, rules_of
from graflow.errors import RunCancelledError, TaskTimeoutError

if TYPE_CHECKING:
    from graflow.engine.journal import Ended, Journal

_LOOK_UP_SECONDS: Final = 0.2


class Execution(Ledger):
    """The state of one run, shared by its workers.

    Args:
        plan: what runs.
        inputs: the workflow's inputs.
        lanes: per task, the number of the lane of workers that takes it.
        keep: ``all`` results until the end, or only those that are ``returns`` or still to be read.
        options: how to run it.
        clock: tells the time.

    Attributes:
        lock: guards everything here.
        done: set when the run has ended.
        watched: somebody has to be told when a task starts.
        journal: keeps what happens; None where nobody does.
        isolates: bodies get copies of what they read.
        overrun: says of a task whose attempt took too long what becomes of it.

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
    ) -> None:
        id = options.run_id or str(uuid.uuid4())
        rules, limits = rules_of(plan, id)
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
        self._outcomes: Mapping[int, int] = plan.outcome_slots
        self._passive: list[tuple[int, int]] = []
        self._listeners: list[Callable[[Event | None], None]] = []
        self._on_end: list[Callable[[], None]] = []

    # ── what workers do; with the lock held ─────────────────────────────────────────────────────────────────────

    def announce(self, i: int) -> None:
        """A task was taken; tell those who want to know."""
        if self._listeners:
            at, worker = self.epoch + self.started[i], self.workers[self.worker[i]]
            self._emit(TaskStarted(self.plan.ids[i], self.machine.attempts[i], at, worker))

    def commit(
        self, i: int, attempt: int, value: Any, now: float, payload: Any = None, source: Origin | None = None
    ) -> None:
        """An attempt succeeded. News of an attempt that is not the current one changes nothing."""
        machine = self.machine
        if not machine.succeeded(i, attempt):
            return
        self.ended[i] = now
        self.slots[i] = value
        if self._attentive or source is not None:
            self._attend(i, attempt, value, now, payload, source)
        elif self._past is not None:
            self._past.append((i, attempt, SUCCEEDED, self.started[i], now, self.worker[i], payload, None))
        if not machine.open:
            self._finish(now)

    def _attend(self, i: int, attempt: int, value: Any, now: float, payload: Any, source: Origin | None) -> None:
        """Somebody has to be told of a success, beyond the machine."""
        if self._outcomes and i in self._outcomes:
            self.slots[self._outcomes[i]] = Ok(value)
        if source is not None:
            self.sources[i] = source
        if self.readers is not None:
            self._release(i)
        if self.journal is not None:
            self.journal.past.append((i, attempt, SUCCEEDED, self.started[i], now, self.worker[i], payload, None))
        if self._listeners:
            took, at = now - self.started[i], self.epoch + now
            self._emit(TaskSucceeded(self.plan.ids[i], attempt, at, took, source or "run"))

    def commit_failure(self, i: int, attempt: int, error: BaseException, now: float) -> None:
        """An attempt failed. News of an attempt that is not the current one changes nothing."""
        machine = self.machine
        if machine.closed and isinstance(error, RunCancelledError):  # how a body says that it heeded the call
            self.commit_cancelled(i, attempt, now)
            return
        verdict = machine.attempt_failed(i, attempt, now, again=is_retried(self.plan.policies.get(i), error))
        if verdict == AGAIN:
            self._again(i, attempt, error, now)
        elif verdict == FINAL:
            self.ended[i] = now
            self.errors[i] = error
            if self._outcomes and i in self._outcomes:
                self.slots[self._outcomes[i]] = Failed(error)
            if machine.stopped_for == i:
                self.closed_at = now
            self._write_down(i, attempt, FAILED, error)
            if self._listeners:
                self._emit(failed_event(self, i))
            self._tell_passive(i)
            if not machine.open:
                self._finish(now)
            elif machine.stopped_for == i:
                self._call_ended()

    def commit_cancelled(self, i: int, attempt: int, now: float) -> None:
        """A running attempt gave up because the run was called off."""
        if self.is_current(i, attempt):
            self.ended[i] = now
            self.machine.gave_up(i, attempt)
            self._tell_passive()
        if not self.machine.open:
            self._finish(now)

    def progressed(self, i: int, attempt: int, done: float, total: float | None) -> None:
        """A body told how far it is."""
        with self.lock:
            if self._listeners and self.is_current(i, attempt):
                at = self.epoch + self.clock.now()
                self._emit(TaskProgress(self.plan.ids[i], attempt, done, total, at))

    def add_worker(self, name: str) -> int:
        """Give a worker a number for the records."""
        with self.lock:
            self.workers.append(name)
            return len(self.workers) - 1

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

    def _call_ended(self) -> None:
        for call in self._on_end:
            call()

    def _release(self, *ended: int) -> None:
        """Forget the results that nobody can read any more, now that these tasks have ended."""
        assert self.readers is not None
        for i in ended:
            for u in self.plan.workflow._structure.task_upstream(i):
                self.readers[u] -= 1
                if not self.readers[u]:
                    self._forget(u)
            if not self.readers[i]:
                self._forget(i)

    def _forget(self, i: int) -> None:
        for slot in (i, self._outcomes.get(i)):
            if slot is not None and self.slots[slot] is not PENDING:
                self.slots[slot] = RELEASED

    # ── starting, ending ────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Make the roots ready."""
        with self.lock:
            self.began = self.clock.now()
            self._attentive = self._attentive or bool(self._outcomes) or self.readers is not None
            if self.journal is not None:
                self._past = self.journal.past
            if self.readers is not None:  # what is known from before reads nothing any more
                self._release(*(i for i in range(len(self.plan.ids)) if self.machine.states[i] == SUCCEEDED))
            if self._attentive or self.journal is not None:
                self.machine.listener = self._note_passive
            self.machine.start()
            if not self.machine.open:
                self._finish(self.began)

    def give(self, i: int, value: Any) -> None:
        """Before the start: take this for the result of a task, in place of running it."""
        self.machine.known(i, 0)
        self.slots[i] = value
        if i in self._outcomes:
            self.slots[self._outcomes[i]] = Ok(value)

    def cancel(self, reason: str) -> None:
        """Start nothing more."""
        with self.lock:
            now = self.clock.now()
            if not self.machine.open:
                self._finish(now)  # if it was interrupted half-way
                return
            if self.machine.cancel_reason is not None:
                return
            if not self.machine.closed:
                self.closed_at = now
            self._emit(CancelRequested(reason, self.epoch + now))
            self.machine.cancel(reason)
            self._tell_passive()
            if not self.machine.open:
                self._finish(now)
            self._call_ended()

    @property
    def next_due(self) -> float | None:
        """When `tick` has something to do; None if nothing is planned. With the lock held."""
        due, timeout = self.machine.next_due, self.options.timeout
        if timeout is None:
            return due
        return min(self.began + timeout, due) if due is not None else self.began + timeout

    def tick(self, now: float) -> Sequence[tuple[int, int]]:
        """Time has passed. With the lock held.

        Returns:
            the attempts that count no more, (task, number), to be ended as far as that is possible.
        """
        machine, timeout = self.machine, self.options.timeout
        if timeout is not None and now >= self.began + timeout and machine.open:
            left = [(i, machine.attempts[i]) for i in machine.running()]
            self.closed_at = self.closed_at if machine.closed else now
            for i, _ in left:
                self.ended[i] = now
            machine.expire()
            self._tell_passive()
            self._finish(now)
            return left
        overdue = [(i, machine.attempts[i]) for i in machine.tick(now)]
        for i, attempt in overdue:
            seconds = self.plan.policies[i].timeout
            error = TaskTimeoutError(
                f"attempt {attempt} of task {self.plan.ids[i]!r} took longer than its timeout of {seconds:g} s"
                f"{self.overrun(i)}"
            )
            self.commit_failure(i, attempt, error, now)
        return overdue

    def give_up(self) -> Sequence[tuple[int, int]]:
        """End a run that was called off without waiting for what runs. With the lock held.

        Returns:
            as `tick`.
        """
        left = [(i, self.machine.attempts[i]) for i in self.machine.running()]
        for i, attempt in left:
            self.commit_cancelled(i, attempt, self.clock.now())
        return left

    def abort(self, fatal: BaseException) -> None:
        """Graflow itself failed: end the run with that, whatever state it is in."""
        if self.finished_at is None:  # else what failed is only the clearing up
            self.fatal = fatal
        # Whoever failed may have held the lock and lost it; nobody must wait for it for ever.
        held = self.lock.acquire(timeout=1)
        try:
            self.machine.cancel(str(fatal))  # so that no worker waits for work that will not come
            self.done.set()
            while self._listeners:
                self._listeners.pop()(None)
            if held:
                self._call_ended()
        finally:
            if held:
                self.lock.release()

    def dissolve(self) -> None:
        """Let go of whoever was told, once the run has ended: results should go with the last user of the run."""
        with self.lock:
            self._on_end.clear()
            self._listeners.clear()
            self.machine.listener = None
            self.journal = self._past = None
            self.overrun = lambda i: ""

    def unlisten(self, listener: Callable[[Event | None], None]) -> None:
        """Tell a listener nothing more."""
        with self.lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def wait(self) -> None:
        """Wait for the end of the run.

        Looks up now and then: a Ctrl-C that arrives just before the thread falls asleep is not noticed until then.
        """
        while not self.done.wait(_LOOK_UP_SECONDS):
            pass

    def on_end(self, call: Callable[[], None]) -> None:
        """Have something called when the run ends or is called off; with the lock held."""
        with self.lock:
            self._on_end.append(call)
            if self.done.is_set() or not self.machine.open:
                call()

    # ── listening ───────────────────────────────────────────────────────────────────────────────────────────────

    def listen(self, listener: Callable[[Event | None], None]) -> None:
        """Tell a listener everything from the start on, and None at the end.

        What has happened already is told from the records, in the order of its time.
        """
        with self.lock:
            for event in history(self):
                listener(event)
            if self.done.is_set():
                listener(None)
                return
            self._listeners.append(listener)
            self.machine.listener = self._note_passive
            self._attentive = self.watched = True

    def _note_passive(self, i: int, state: int) -> None:
        self._passive.append((i, state))

    def _emit(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)
