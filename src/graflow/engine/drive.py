"""One run under way: the machine, the results, the times, and who listens.

Workers advance it themselves: each takes a task, runs it, and commits its end, under one lock. There is no loop that
hands tasks out.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final, Literal

from graflow.core.outcome import Failed, Ok, Skipped
from graflow.core.plan import Plan
from graflow.core.run import RunState, TaskRecord
from graflow.engine.attempt import said
from graflow.engine.events import (
    CancelRequested,
    Event,
    RunFinished,
    RunStarted,
    TaskCancelled,
    TaskFailed,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
)
from graflow.engine.machine import CANCELLED, FAILED, RUNNING, SKIPPED, STATES, SUCCEEDED, Machine
from graflow.errors import ResultUnavailableError

Keep = Literal["all", "returns"]


class _Released:
    __slots__ = ()

    def __repr__(self) -> str:
        return "RELEASED"


#: In the slot of a result that nobody can need any more.
RELEASED: Final = _Released()
#: In the slot of a result that does not exist yet.
PENDING: Final = object()

clock = time.perf_counter

_LOOK_UP_SECONDS: Final = 0.2


def owned(lock: Any) -> bool:
    """Does this thread hold the lock?

    `threading.Condition` asks a reentrant lock the same way; a plain lock cannot say whose it is, and after an
    interrupt that is the only thing that matters.
    """
    return bool(lock._is_owned())


class Execution:
    """The state of one run, shared by its workers.

    Args:
        plan: what runs.
        inputs: the workflow's inputs.
        lanes: per task, the number of the lane of workers that takes it.
        keep: ``all`` results until the end, or only those that are ``returns`` or still to be read.

    Attributes:
        lock: guards everything here.
        slots: results, inputs and constants; see `graflow.core.plan`.
        done: set when the run has ended.
        fatal: an error in graflow itself that ended the run before its time.
    """

    def __init__(self, plan: Plan, inputs: Any, lanes: bytes, keep: Keep) -> None:
        n = len(plan.ids)
        self.id = str(uuid.uuid4())
        self.plan = plan
        self.machine = Machine(n, plan.upstream, plan.downstream, lanes)
        self.lock = threading.RLock()
        self.done = threading.Event()
        self.slots: list[Any] = [PENDING] * plan.inputs_slot
        self.slots.append(inputs)
        self.slots.extend(plan.constants)
        self.errors: dict[int, BaseException] = {}
        self.started = [0.0] * n
        self.ended = [0.0] * n
        self.worker = [0] * n
        self.workers: list[str] = [""]
        self.epoch = time.time() - clock()
        self.began = clock()
        self.fatal: BaseException | None = None
        self.finished_at: float | None = None
        self.cancelled_at = 0.0
        self.readers: list[int] | None = _readers(plan) if keep == "returns" else None
        self.watched = False
        self._listeners: list[Callable[[Event | None], None]] = []
        self._on_end: list[Callable[[], None]] = []

    # ── what workers do; with the lock held ─────────────────────────────────────────────────────────────────────

    def commit(self, i: int, value: Any, now: float) -> None:
        """A task succeeded."""
        self.ended[i] = now
        self.slots[i] = value
        machine = self.machine
        counts = machine.succeeded(i, machine.attempts[i])
        if self.readers is not None and counts:
            self._release(i)
        if self._listeners:
            self._emit(TaskSucceeded(self.plan.ids[i], machine.attempts[i], self.epoch + now, now - self.started[i]))
        if not machine.open:
            self._finish(now)

    def commit_failure(self, i: int, error: BaseException, now: float) -> None:
        """A task failed for good."""
        self.ended[i] = now
        self.errors[i] = error
        machine = self.machine
        if self._listeners:  # before the machine skips what follows from it
            self._emit(self._failed_event(i))
        before = len(machine.skipped_for)
        machine.failed_for_good(i, machine.attempts[i])
        if self.readers is not None:
            self._release(i, *islice(reversed(machine.skipped_for), len(machine.skipped_for) - before))
        if not machine.open:
            self._finish(now)

    def commit_cancelled(self, i: int, now: float) -> None:
        """A running task gave up because the run was cancelled."""
        self.ended[i] = now
        self.machine.gave_up(i, self.machine.attempts[i])
        if self.readers is not None:
            self._release(i)
        if not self.machine.open:
            self._finish(now)

    def add_worker(self, name: str) -> int:
        """Give a worker a number for the records."""
        with self.lock:
            self.workers.append(name)
            return len(self.workers) - 1

    def announce(self, i: int) -> None:
        """Tell listeners that a task started."""
        self._emit(
            TaskStarted(
                self.plan.ids[i],
                self.machine.attempts[i],
                self.epoch + self.started[i],
                self.workers[self.worker[i]],
            )
        )

    def _finish(self, now: float) -> None:
        """Tell everybody that the run has ended. May be done again, for Ctrl-C can strike in the middle."""
        if self.finished_at is None:
            self._emit(RunFinished(self.id, self.machine.outcome, self.epoch + now))
            self.finished_at = now
        self.done.set()
        while self._listeners:
            self._listeners.pop()(None)
        for call in self._on_end:
            call()

    def _release(self, *ended: int) -> None:
        """Forget the results that nobody can read any more, now that these tasks have ended."""
        assert self.readers is not None
        for i in ended:
            for u in self.plan.workflow._structure.task_upstream(i):
                self.readers[u] -= 1
                if not self.readers[u] and self.slots[u] is not PENDING:
                    self.slots[u] = RELEASED
            if not self.readers[i] and self.slots[i] is not PENDING:
                self.slots[i] = RELEASED

    # ── starting, ending ────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Make the roots ready."""
        with self.lock:
            self.began = clock()
            self.machine.start()
            if not self.machine.open:
                self._finish(self.began)

    def cancel(self, reason: str) -> None:
        """Start nothing more."""
        with self.lock:
            now = clock()
            if not self.machine.open:
                self._finish(now)  # if it was interrupted half-way
                return
            if self.machine.cancel_reason is not None:
                return
            self.cancelled_at = now
            self._emit(CancelRequested(reason, self.epoch + now))
            self.machine.cancel(reason)
            if self.readers is not None:
                states = self.machine.states
                self._release(*(i for i in range(len(self.plan.ids)) if states[i] == CANCELLED))
            if not self.machine.open:
                self._finish(now)
            for call in self._on_end:
                call()

    def abort(self, fatal: BaseException) -> None:
        """Graflow itself failed: end the run with that, whatever state it is in."""
        self.fatal = fatal
        # Whoever failed may have held the lock and lost it; nobody must wait for it for ever.
        held = self.lock.acquire(timeout=1)
        try:
            self.machine.cancel(str(fatal))  # so that no worker waits for work that will not come
            self.done.set()
            while self._listeners:
                self._listeners.pop()(None)
            for call in self._on_end if held else ():
                call()
        finally:
            if held:
                self.lock.release()

    def dissolve(self) -> None:
        """Let go of whoever was told, once the run has ended: results should go with the last user of the run."""
        with self.lock:
            self._on_end.clear()
            self._listeners.clear()
            self.machine.listener = None

    def wait(self) -> None:
        """Wait for the end of the run.

        Looks up now and then: a Ctrl-C that arrives just before the thread falls asleep is not noticed until then.
        """
        while not self.done.wait(_LOOK_UP_SECONDS):
            pass

    def on_end(self, call: Callable[[], None]) -> None:
        """Have something called when the run ends or is cancelled; with the lock held."""
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
            for event in self._history():
                listener(event)
            if self.done.is_set():
                listener(None)
                return
            self._listeners.append(listener)
            self.machine.listener = self._tell
            self.watched = True

    def _tell(self, i: int, state: int) -> None:
        self._emit(self._passive_event(i, state))

    def _passive_event(self, i: int, state: int) -> Event:
        """A task ended without a result or an error of its own."""
        id, at = self.plan.ids[i], self.epoch + self._passive_end(i, state)
        return TaskSkipped(id, self.reason(i) or "", at) if state == SKIPPED else TaskCancelled(id, at)

    def _passive_end(self, i: int, state: int) -> float:
        if state == SKIPPED:
            return self.ended[self.machine.skipped_for[i]]
        return self.ended[i] if self.machine.attempts[i] else self.cancelled_at

    def _emit(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)

    def _failed_event(self, i: int) -> TaskFailed:
        end, start = self.ended[i], self.started[i]
        return TaskFailed(self.plan.ids[i], self.machine.attempts[i], self.epoch + end, end - start, self.errors[i])

    def _history(self) -> Iterator[Event]:
        # Sorted by time, and where the clock stood still by plan order: an upstream ends before its downstream starts.
        past: list[tuple[float, int, Event]] = [(self.began, -1, RunStarted(self.id, self.epoch + self.began))]
        machine, ids = self.machine, self.plan.ids
        for place, i in enumerate(self.plan.order):
            if i >= len(ids) or machine.states[i] < RUNNING:
                continue
            end, state, attempt = self.ended[i], machine.states[i], machine.attempts[i]
            start, worker = self.started[i], self.workers[self.worker[i]]
            if attempt:
                past.append((start, place, TaskStarted(ids[i], attempt, self.epoch + start, worker)))
            if state == SUCCEEDED:
                past.append((end, place, TaskSucceeded(ids[i], attempt, self.epoch + end, end - start)))
            elif state == FAILED:
                past.append((end, place, self._failed_event(i)))
            elif state != RUNNING:
                past.append((self._passive_end(i, state), place, self._passive_event(i, state)))
        if machine.cancel_reason is not None:
            at = self.cancelled_at
            past.append((at, -1, CancelRequested(machine.cancel_reason, self.epoch + at)))
        if self.finished_at is not None:
            at = self.finished_at
            past.append((at, len(self.plan.order), RunFinished(self.id, machine.outcome, self.epoch + at)))
        past.sort(key=lambda entry: entry[:2])
        return (event for _, _, event in past)

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def state(self) -> RunState:
        """Where the run stands."""
        return RunState.FAILED if self.fatal is not None else self.machine.outcome

    def record(self, i: int) -> TaskRecord:
        """What became of a task so far."""
        machine = self.machine
        state, ran = machine.states[i], machine.attempts[i] > 0
        ended = ran and state > RUNNING
        return TaskRecord(
            id=self.plan.ids[i],
            state=STATES[state],
            attempts=machine.attempts[i],
            started=self.epoch + self.started[i] if ran else None,
            duration=max(0.0, self.ended[i] - self.started[i]) if ended else None,
            worker=self.workers[self.worker[i]] if ran else None,
            error=self.errors.get(i),
            reason=self.reason(i),
        )

    def reason(self, i: int) -> str | None:
        """Why a task did not run."""
        state = self.machine.states[i]
        if state == SKIPPED:
            return f"task {self.plan.ids[self.machine.skipped_for[i]]!r} failed"
        if state == CANCELLED:
            return f"the run was cancelled: {self.machine.cancel_reason}"
        return None

    def result(self, i: int) -> Any:
        """The result of a task.

        Raises:
            ResultUnavailableError: there is none; says why.
        """
        id, state = self.plan.ids[i], self.machine.states[i]
        if state == SUCCEEDED:
            value = self.slots[i]
            if value is RELEASED:
                raise ResultUnavailableError(
                    f"the result of task {id!r} was released when nobody needed it any more; run with keep='all' to "
                    f"read it afterwards"
                )
            return value
        if state == FAILED:
            error = self.errors[i]
            raise ResultUnavailableError(
                f"task {id!r} has no result: it failed with {type(error).__name__}: {said(error)}"
            ) from error
        why = self.reason(i) or f"it is {STATES[state]}"
        raise ResultUnavailableError(f"task {id!r} has no result: {why}")

    def outcome(self, i: int) -> Ok[Any] | Failed | Skipped:
        """How a task ended, as a value."""
        state = self.machine.states[i]
        if state == FAILED:
            return Failed(self.errors[i])
        if state in (SKIPPED, CANCELLED):
            return Skipped(self.reason(i) or "")
        return Ok(self.result(i))


def _readers(plan: Plan) -> list[int]:
    """Per task, how many others may still read its result, as an input or by `Block.get_result`."""
    readers = [0] * len(plan.ids)
    for i in range(len(plan.ids)):
        for u in plan.workflow._structure.task_upstream(i):
            readers[u] += 1
    if plan.returns is not None:
        readers[plan.returns] += 1  # never read off, so never released
    return readers
