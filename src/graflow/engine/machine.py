"""The rules of a run, and nothing else: no clock, no threads, no I/O, no randomness.

A runner tells the machine what happened; the machine decides what follows. The same calls in the same order give the
same answers, so a run can be replayed from what it was told. Time comes with the calls, as numbers that only have to
be comparable.

No task ever changes its state in a way that `graflow.engine.rules.TRANSITIONS` does not list. SUCCEEDED, FAILED,
SKIPPED and CANCELLED are final; the run ends when every task is in one of them. News of an attempt that is not the
current one is about the past, and ignored. Cancellation is one-way.

A failure *skips* what waits for the result, along every edge but one that takes an outcome: who takes an outcome runs
however the upstream ended. Where every way down from a failure ends at a task that takes an outcome, the failure is
*handled*, and does not fail the run; but nobody can handle that the run has no value.

Tasks are integer indexes. An index from ``tasks`` on is a *gate*: it runs nothing, and passes on that all its
upstreams succeeded, or what a rule decides of how they stand. A *map* runs to find out what it is mapped over; then it
is open, and grows *items*, indexes of their own that run and end as tasks do. It ends when they have.

Ready tasks wait in *lanes*, one for each kind of worker: first in, first out, unless tasks have
priorities. A task with a limit waits outside its lane until there is a place for it, so that it keeps nobody waiting.
"""

from __future__ import annotations

from graflow.core.run import RunState
from graflow.engine._growth import Growth
from graflow.engine._invariants import check
from graflow.engine.rules import (
    AGAIN,
    FINAL,
    IGNORED,
    RETRYING,
    RUNNING,
    SUCCEEDED,
    WAITING,
    Rules,
)


class Machine(Growth):
    """The rules of one run; arguments and attributes as for `graflow.engine._machine_state.MachineState`."""

    __slots__ = ()

    @property
    def outcome(self) -> RunState:
        """How the run stands."""
        if self.open or self.expired or self.cancel_reason is not None:
            return RunState.RUNNING if self.open else RunState.TIMED_OUT if self.expired else RunState.CANCELLED
        if self.stopped_by is not None:
            return RunState.SUCCEEDED
        return RunState.FAILED if any(not self.is_handled(i) for i in self.failed) else RunState.SUCCEEDED

    def running(self) -> list[int]:
        """The tasks and items that run now; of a map that is open, only its items do."""
        states, of = self.states, self.items.of
        own = [i for i in range(self._tasks) if states[i] == RUNNING and i not in of]
        return own + [j for i, items in of.items() if states[i] == RUNNING for j in items if states[j] == RUNNING]

    @property
    def next_due(self) -> float | None:
        """When `tick` has something to do; None if that depends on what happens until then."""
        return self._agenda.next(self.states, self.attempts)

    def retry_at(self, i: int) -> float | None:
        """When a task that failed is ready again; None if it does not wait for that."""
        return self._agenda.retry_at(i) if self.states[i] == RETRYING else None

    def known(self, i: int, attempts: int) -> None:
        """Before the start: the result of this task is known."""
        self.counted(i, attempts)
        self.states[i] = SUCCEEDED
        self.open -= 1
        for d in (*self._downstream[i], *self._watchers.get(i, ())):
            self._waiting[d] -= 1

    def limit_time(self, i: int, seconds: float) -> None:
        """Before the start: so much is left of what the next attempt at a task may take."""
        self._rules[i] = self._rules.get(i, Rules())._replace(timeout=seconds)

    def start(self) -> None:
        """The run begins: every task that waits for nothing is ready."""
        if self.closed:
            return
        for gate in self._deciders:
            if self._decide(gate):
                self._lose(gate, gate)
        for i, waiting in enumerate(self._waiting):
            if not waiting and self.states[i] == WAITING:
                self._make_ready(i)
        if self._gates:
            self._open_gates()

    def take(self, lane: int, now: float = 0.0) -> int:
        """A worker takes the first ready task of a lane, which must not be empty."""
        i = self.ready[lane].popleft()
        self.states[i] = RUNNING
        self.attempts[i] += 1
        if self._rules and i in self._rules:
            self._limits.taken(i)
            timeout = self._rules[i].timeout
            if timeout is not None:
                self._agenda.plan(now + timeout, i, self.attempts[i], RUNNING)
        return i

    def attempt_failed(self, i: int, attempt: int, now: float, *, again: bool) -> int:
        """An attempt ended with an error.

        Args:
            i: the task.
            attempt: its number.
            now: the time.
            again: the error is of a kind after which the task may be tried again.

        Returns:
            `IGNORED` for news of an attempt that is not the current one, `AGAIN` if another attempt follows, `FINAL`
            if the task has failed.
        """
        if self.states[i] != RUNNING or self.attempts[i] != attempt:
            return IGNORED
        rules = self._rules.get(i)
        if not again or self.closed or rules is None or attempt - self._before.get(i, 0) >= rules.attempts:
            self.failed_for_good(i, attempt)
            return FINAL
        self._give_back(i)
        delay = rules.delay(attempt - self._before.get(i, 0)) if rules.delay is not None else 0.0
        if delay > 0:
            self.states[i] = RETRYING
            self._agenda.retry(now + delay, i, attempt, RETRYING)
        else:
            self._make_ready(i)
        return AGAIN

    def failed_for_good(self, i: int, attempt: int) -> bool:
        """An attempt ended with an error, and there will be no other.

        Returns:
            whether it counts; False for news of an attempt that is not the current one.
        """
        if self.states[i] != RUNNING or self.attempts[i] != attempt:
            return False
        self._give_back(i)
        self._fail(i)
        return True

    def gave_up(self, i: int, attempt: int) -> bool:
        """A running attempt stopped because the run was called off, with neither a result nor an error of its own.

        Returns:
            whether it counts; False for another attempt, or if the run goes on.
        """
        if self.states[i] != RUNNING or self.attempts[i] != attempt or not self.closed:
            return False
        self._end_cancelled(i)
        return True

    def cancel(self, reason: str) -> bool:
        """Somebody cancels the run: what has not started will not start. Whether this changed anything."""
        if self.cancel_reason is not None or self.stopped_by is not None or not self.open:
            return False
        self.cancel_reason = reason
        self._call_off()
        return True

    def expire(self) -> bool:
        """The run's time is up: nothing more starts, and what runs counts no more. Whether this changed anything."""
        if not self.open:
            return False
        self.expired = True
        self._call_off()
        for i in (*self.running(), *(i for i in self.items.of if self.states[i] == RUNNING)):
            self._end_cancelled(i)
        return True

    def tick(self, now: float) -> list[int]:
        """Time has passed: tasks that waited for it are ready.

        Returns:
            the tasks whose attempt has taken too long; the caller ends those attempts and says so.
        """
        overdue: list[int] = []
        while (due := self.next_due) is not None and due <= now:
            i = self._agenda.take()
            if self.states[i] == RUNNING:
                overdue.append(i)
            else:
                self._make_ready(i)
        return overdue

    def validate(self) -> None:
        """Check the invariants.

        Raises:
            InternalError: one does not hold.
        """
        check(self)
