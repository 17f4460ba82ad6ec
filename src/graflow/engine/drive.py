"""One run under way: workers advance it themselves, under one lock; there is no loop that hands tasks out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from graflow.engine import shapes
from graflow.engine._commits import Commits
from graflow.engine.events import Event, TaskProgress
from graflow.engine.history import history
from graflow.engine.rules import SUCCEEDED
from graflow.errors import TaskTimeoutError

if TYPE_CHECKING:
    pass

_LOOK_UP_SECONDS: Final = 0.2


class Execution(Commits):
    """The state of one run, shared by its workers; arguments and attributes: `graflow.engine._commits.Commits`."""

    def progressed(self, i: int, attempt: int, done: float, total: float | None) -> None:
        """A body told how far it is."""
        with self.lock:
            if self._listeners and self.is_current(i, attempt):
                at = self.epoch + self.clock.now()
                id, item = self.name(i)
                self._emit(TaskProgress(id, attempt, done, total, at, item))

    def add_worker(self, name: str) -> int:
        """Give a worker a number for the records."""
        with self.lock:
            self.workers.append(name)
            return len(self.workers) - 1

    def start(self) -> None:
        """Make the roots ready."""
        with self.lock:
            self.began = self.clock.now()
            self._attentive = self._attentive or bool(self._outcomes) or self.readers is not None
            if self.journal is not None:
                self._past = self.journal.past
            if self.readers is not None:  # what is known from before reads nothing any more
                self._release(*(i for i in range(len(self.plan.ids)) if self.machine.states[i] == SUCCEEDED))
            if self._attentive or self.journal is not None or self._is_growing:
                self.machine.listener = self._note_passive
            if self._is_growing:
                shapes.decide(self, sorted(self.plan.conditions), self.began)
            self.machine.start()
            self.follow(self.began)
            if not self.machine.open:
                self._finish(self.began)

    def give(self, i: int, value: Any) -> None:
        """Before the start: take this for the result of a task, in place of running it."""
        self.machine.known(i, 0)
        self.slots[i] = value
        if i in self._outcomes:
            self.slots[self._outcomes[i]] = self.success(i, value)

    def arrive(self, i: int, value: Any) -> bool:
        """A value has arrived for a signal. False if one has before, which counts."""
        with self.lock:
            if i in self.arrived:
                return False
            self.arrived[i] = value
            shapes.receive(self, i)
            self.wake()
            return True

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
            error = TaskTimeoutError(
                f"attempt {attempt} of task {self.ids[i]!r} took longer than its timeout of "
                f"{self.policies[i].timeout:g} s{self.overrun(i)}"
                if i not in self.plan.signals
                else f"signal {self.ids[i]!r} did not arrive within {self.policies[i].timeout:g} s"
            )
            self.commit_failure(i, attempt, error, now)
        self.follow(now)  # a signal whose next attempt is due waits again; nobody takes it from a lane
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
            self.grew = lambda i, count: None
            self.drop = lambda attempts: None
            self.awaits = lambda i: False
            self.wake = self.keep_time = lambda: None

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
