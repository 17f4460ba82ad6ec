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
upstreams succeeded. Ready tasks wait in *lanes*, one for each kind of worker: first in, first out, unless tasks have
priorities. A task with a limit waits outside its lane until there is a place for it, so that it keeps nobody waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from typing import TypeAlias

from graflow.core.run import RunState
from graflow.engine._invariants import check, handled_failures, split_downstream
from graflow.engine._queues import Lanes, Limits, Ready
from graflow.engine.rules import (
    AGAIN,
    CANCELLED,
    FAILED,
    FINAL,
    IGNORED,
    READY,
    RETRYING,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    WAITING,
    Rules,
)

#: Told of every change that follows from a rule: (index, new state). Gates are not reported.
Listener: TypeAlias = Callable[[int, int], None]


class Machine:
    """The state of one run.

    Args:
        tasks: how many indexes are tasks; the others are gates.
        upstream: per index, its distinct upstreams.
        downstream: per index, its distinct downstreams.
        lanes: per task, the number of its lane.
        rules: what tasks ask for, of those that ask for anything.
        limits: how many tasks may run at once under each limit.
        tolerated: reader → the upstreams of which it takes nothing but the outcome.
        returns: the task whose result is the run's value; its failure is never handled.
        stop_on_failure: call the run off at the first failure that is not handled.

    Attributes:
        states: per index, its state.
        attempts: per index, how often it was started.
        ready: per lane, the tasks that can be taken.
        open: how many tasks have not ended.
        failed: the tasks that failed, in the order in which they did.
        skipped_for: skipped task → the failed task because of which it was skipped.
        closed: the run was called off: nothing more starts.
        cancel_reason: why the run was cancelled, or None.
        stopped_for: the failed task for which the run was called off, or None.
        expired: the run's time was up.
        listener: told of what follows from the rules.
    """

    __slots__ = (
        "_again_at",
        "_before",
        "_downstream",
        "_due",
        "_gates",
        "_handled",
        "_lanes",
        "_limits",
        "_plain",
        "_returns",
        "_rules",
        "_stop",
        "_tasks",
        "_waiting",
        "_watchers",
        "attempts",
        "cancel_reason",
        "closed",
        "expired",
        "failed",
        "listener",
        "open",
        "ready",
        "skipped_for",
        "states",
        "stopped_for",
    )

    def __init__(
        self,
        tasks: int,
        upstream: Sequence[Sequence[int]],
        downstream: Sequence[Sequence[int]],
        lanes: bytes,
        *,
        rules: Mapping[int, Rules] | None = None,
        limits: Mapping[str, int] | None = None,
        tolerated: Mapping[int, frozenset[int]] | None = None,
        returns: int | None = None,
        stop_on_failure: bool = False,
    ) -> None:
        total = len(upstream)
        self._tasks = tasks
        self._waiting = list(map(len, upstream))
        self._gates = total > tasks
        self._rules = rules or {}
        self._returns, self._stop = returns, stop_on_failure
        self._downstream, self._watchers = split_downstream(downstream, tolerated or {})
        # A gate has a lane of its own after the others, emptied before anybody can see it.
        count = max(lanes, default=0) + 1
        self._lanes = lanes + bytes([count]) * (total - tasks)
        priorities = {i: one.priority for i, one in self._rules.items() if one.priority}
        self.ready: Sequence[Ready] = Lanes(count + 1, priorities)
        self._limits = Limits(
            limits or {}, {i: one.limit for i, one in self._rules.items() if one.limit is not None}, priorities
        )
        self._plain = not self._watchers and not self._limits
        # Lists rather than arrays: an access costs a third, and every task makes a dozen of them.
        self.states = [WAITING] * total
        self.attempts = [0] * total
        self.open = tasks
        self.failed: list[int] = []
        self.skipped_for: dict[int, int] = {}
        self.closed = False
        self.cancel_reason: str | None = None
        self.stopped_for: int | None = None
        self.expired = False
        self.listener: Listener | None = None
        self._before: dict[int, int] = {}
        self._handled: list[bool] | None = None
        #: When, which task, which attempt, and the state it must still be in for this to mean anything.
        self._due: list[tuple[float, int, int, int]] = []
        self._again_at: dict[int, float] = {}

    @property
    def outcome(self) -> RunState:
        """How the run stands."""
        if self.open or self.expired or self.cancel_reason is not None:
            return RunState.RUNNING if self.open else RunState.TIMED_OUT if self.expired else RunState.CANCELLED
        return RunState.FAILED if any(not self.is_handled(i) for i in self.failed) else RunState.SUCCEEDED

    def is_handled(self, i: int) -> bool:
        """Does every way down from this task end at one that takes an outcome?"""
        if not self._watchers:
            return False
        if self._handled is None:
            self._handled = handled_failures(self._downstream, self._watchers, self._returns)
        return self._handled[i]

    def running(self) -> list[int]:
        """The tasks that run now."""
        return [i for i in range(self._tasks) if self.states[i] == RUNNING]

    @property
    def next_due(self) -> float | None:
        """When `tick` has something to do; None if that depends on what happens until then."""
        due, states = self._due, self.states
        while due and (states[due[0][1]] != due[0][3] or self.attempts[due[0][1]] != due[0][2]):
            heappop(due)
        return due[0][0] if due else None

    def retry_at(self, i: int) -> float | None:
        """When a task that failed is ready again; None if it does not wait for that."""
        return self._again_at[i] if self.states[i] == RETRYING else None

    def counted(self, i: int, attempts: int) -> None:
        """Before the start: this task was started so often in an earlier part of the run."""
        self.attempts[i] = self._before[i] = attempts

    def known(self, i: int, attempts: int) -> None:
        """Before the start: the result of this task is known."""
        self.counted(i, attempts)
        self.states[i] = SUCCEEDED
        self.open -= 1
        for d in (*self._downstream[i], *self._watchers.get(i, ())):
            self._waiting[d] -= 1

    def start(self) -> None:
        """The run begins: every task that waits for nothing is ready."""
        if self.closed:
            return
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
                heappush(self._due, (now + timeout, i, self.attempts[i], RUNNING))
        return i

    def succeeded(self, i: int, attempt: int) -> bool:
        """An attempt ended with a result.

        Returns:
            whether it counts; False for news of an attempt that is not the current one.
        """
        states, waiting = self.states, self._waiting
        if states[i] != RUNNING or self.attempts[i] != attempt:
            return False
        states[i] = SUCCEEDED
        self.open -= 1
        if self._plain:
            for d in self._downstream[i]:
                left = waiting[d] - 1
                waiting[d] = left
                if not left and not states[d]:
                    states[d] = READY
                    self.ready[self._lanes[d]].append(d)
        else:
            self._give_back(i)
            for d in (*self._downstream[i], *self._watchers.get(i, ())):
                self._one_less(d)
        if self._gates:
            self._open_gates()
        return True

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
            self._again_at[i] = now + delay
            heappush(self._due, (now + delay, i, attempt, RETRYING))
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
        self.states[i] = FAILED
        self.failed.append(i)
        self.open -= 1
        self._give_back(i)
        if self._stop and not self.closed and not self.is_handled(i):
            self.stopped_for = i
            self._call_off()
        ended = [i]
        while ended:
            u = ended.pop()
            for d in self._downstream[u]:
                if self.states[d] == WAITING:
                    self.states[d] = SKIPPED
                    ended.append(d)
                    if d < self._tasks:
                        self.open -= 1
                        self.skipped_for[d] = i
                        self._tell(d, SKIPPED)
            for d in self._watchers.get(u, ()):
                self._one_less(d)
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
        if self.cancel_reason is not None or not self.open:
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
        for i in self.running():
            self._end_cancelled(i)
        return True

    def tick(self, now: float) -> list[int]:
        """Time has passed: tasks that waited for it are ready.

        Returns:
            the tasks whose attempt has taken too long; the caller ends those attempts and says so.
        """
        overdue: list[int] = []
        while (due := self.next_due) is not None and due <= now:
            i = heappop(self._due)[1]
            if self.states[i] == RUNNING:
                overdue.append(i)
            else:
                self._make_ready(i)
        return overdue

    def _one_less(self, d: int) -> None:
        """An upstream that a task waits for has ended as it must."""
        self._waiting[d] -= 1
        if not self._waiting[d] and self.states[d] == WAITING:
            self._make_ready(d)

    def _make_ready(self, i: int) -> None:
        self.states[i] = READY
        parked = self._limits.admit(i) if self._limits else None
        if parked != i:
            self.ready[self._lanes[i]].append(i)
            if parked is not None:
                self.ready[self._lanes[parked]].remove(parked)

    def _give_back(self, i: int) -> None:
        """A task ran under a limit and has ended: the next one has its place."""
        if self._limits and (admitted := self._limits.leave(i)) is not None and not self.closed:
            self.ready[self._lanes[admitted]].append(admitted)

    def _open_gates(self) -> None:
        gates = self.ready[-1]
        while gates:
            gate = gates.popleft()
            self.states[gate] = SUCCEEDED
            for d in self._downstream[gate]:
                self._one_less(d)

    def _call_off(self) -> None:
        if self.closed:
            return
        self.closed = True
        for lane in self.ready:
            lane.clear()
        self._limits.clear()
        for i in range(self._tasks):
            if self.states[i] in (WAITING, READY, RETRYING):
                self._end_cancelled(i)

    def _end_cancelled(self, i: int) -> None:
        self.states[i] = CANCELLED
        self.open -= 1
        self._tell(i, CANCELLED)

    def _tell(self, i: int, state: int) -> None:
        if self.listener is not None:
            self.listener(i, state)

    def validate(self) -> None:
        """Check the invariants.

        Raises:
            InternalError: one does not hold.
        """
        check(self)
