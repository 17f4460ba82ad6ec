"""The rules of a run, and nothing else: no clock, no threads, no I/O, no randomness.

A runner tells the machine what happened; the machine decides what follows. The same calls in the same order give the
same answers, so a run can be replayed from what it was told.

========= ============================ ========================================================================
state     what happens                 what follows
========= ============================ ========================================================================
WAITING   last upstream succeeded      READY
WAITING   an upstream failed           SKIPPED, and so is every task that waits for it
WAITING   the run is cancelled         CANCELLED
READY     a worker takes it            RUNNING, attempt + 1
READY     the run is cancelled         CANCELLED
RUNNING   its attempt succeeded        SUCCEEDED; downstreams have one upstream less to wait for
RUNNING   its attempt failed           FAILED; everything downstream is SKIPPED
RUNNING   the run is cancelled         stays RUNNING; it ends as it ends
RUNNING   it gives up, run cancelled   CANCELLED
any       news of another attempt      ignored: it is about the past
========= ============================ ========================================================================

SUCCEEDED, FAILED, SKIPPED and CANCELLED are final. The run ends when every task is in one of them. Cancellation is
one-way.

Tasks are integer indexes. An index from ``tasks`` on is a *gate*: it runs nothing, and passes on that all its
upstreams succeeded.
Ready tasks wait in *lanes*, one for each kind of worker, first in, first out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from graflow.core.run import RunState, TaskState
from graflow.errors import InternalError

WAITING: Final = 0
READY: Final = 1
RUNNING: Final = 2
SUCCEEDED: Final = 3
FAILED: Final = 4
SKIPPED: Final = 5
CANCELLED: Final = 6

#: The public name of each state, by its number here.
STATES: Final = (
    TaskState.WAITING,
    TaskState.READY,
    TaskState.RUNNING,
    TaskState.SUCCEEDED,
    TaskState.FAILED,
    TaskState.SKIPPED,
    TaskState.CANCELLED,
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

    Attributes:
        states: per index, its state.
        attempts: per index, how often it was started.
        ready: per lane, the tasks that can be taken.
        open: how many tasks have not ended.
        skipped_for: skipped task → the failed task because of which it was skipped.
        cancel_reason: why the run was cancelled, or None.
        listener: told of what follows from the rules.
    """

    __slots__ = (
        "_downstream",
        "_gates",
        "_lanes",
        "_tasks",
        "_waiting",
        "attempts",
        "cancel_reason",
        "failed",
        "listener",
        "open",
        "ready",
        "skipped_for",
        "states",
    )

    def __init__(
        self, tasks: int, upstream: Sequence[Sequence[int]], downstream: Sequence[Sequence[int]], lanes: bytes
    ) -> None:
        total = len(upstream)
        self._tasks = tasks
        self._downstream = downstream
        self._waiting = list(map(len, upstream))
        self._gates = total > tasks
        # A gate has a lane of its own after the others, emptied before anybody can see it.
        count = max(lanes, default=0) + 1
        self._lanes = lanes + bytes([count]) * (total - tasks)
        self.ready: list[deque[int]] = [deque() for _ in range(count + 1)]
        # Lists rather than arrays: an access costs a third, and every task makes a dozen of them.
        self.states = [WAITING] * total
        self.attempts = [0] * total
        self.open = tasks
        self.failed: list[int] = []
        self.skipped_for: dict[int, int] = {}
        self.cancel_reason: str | None = None
        self.listener: Listener | None = None

    @property
    def outcome(self) -> RunState:
        """How the run stands."""
        if self.open:
            return RunState.RUNNING
        if self.cancel_reason is not None:
            return RunState.CANCELLED
        return RunState.FAILED if self.failed else RunState.SUCCEEDED

    def start(self) -> None:
        """The run begins: every root is ready."""
        for i, waiting in enumerate(self._waiting):
            if not waiting and self.states[i] == WAITING and self.cancel_reason is None:
                self.states[i] = READY
                self.ready[self._lanes[i]].append(i)
        if self._gates:
            self._open_gates()

    def take(self, lane: int) -> int:
        """A worker takes the first ready task of a lane, which must not be empty."""
        i = self.ready[lane].popleft()
        self.states[i] = RUNNING
        self.attempts[i] += 1
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
        for d in self._downstream[i]:
            left = waiting[d] - 1
            waiting[d] = left
            if not left and not states[d]:
                states[d] = READY
                self.ready[self._lanes[d]].append(d)
        if self._gates:
            self._open_gates()
        return True

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
        stack = [i]
        while stack:
            for d in self._downstream[stack.pop()]:
                if self.states[d] == WAITING:
                    self.states[d] = SKIPPED
                    stack.append(d)
                    if d < self._tasks:
                        self.open -= 1
                        self.skipped_for[d] = i
                        self._tell(d, SKIPPED)
        return True

    def cancel(self, reason: str) -> bool:
        """The run is cancelled: what has not started will not start.

        Returns:
            whether this changed anything; False if the run has ended or was cancelled before.
        """
        if self.cancel_reason is not None or not self.open:
            return False
        self.cancel_reason = reason
        for lane in self.ready:
            lane.clear()
        for i in range(self._tasks):
            if self.states[i] in (WAITING, READY):
                self.states[i] = CANCELLED
                self.open -= 1
                self._tell(i, CANCELLED)
        return True

    def gave_up(self, i: int, attempt: int) -> bool:
        """A running attempt stopped because the run was cancelled, neither with a result nor with an error of its own.

        Returns:
            whether it counts; False for another attempt, or if the run is not cancelled.
        """
        if self.states[i] != RUNNING or self.attempts[i] != attempt or self.cancel_reason is None:
            return False
        self.states[i] = CANCELLED
        self.open -= 1
        self._tell(i, CANCELLED)
        return True

    def running(self) -> list[int]:
        """The tasks that run now."""
        return [i for i in range(self._tasks) if self.states[i] == RUNNING]

    def validate(self) -> None:
        """Check the invariants.

        Raises:
            InternalError: one does not hold.
        """
        n = self._tasks
        final = sum(state >= SUCCEEDED for state in self.states[:n])
        if self.open != n - final:
            raise InternalError(f"{n - final} tasks have not ended, but {self.open} are counted")
        queued = [i for lane in self.ready for i in lane]
        if sorted(queued) != [i for i in range(n) if self.states[i] == READY]:
            raise InternalError("the lanes do not hold exactly the ready tasks")
        upstream: list[list[int]] = [[] for _ in self.states]
        for u, below in enumerate(self._downstream):
            for d in below:
                upstream[d].append(u)
        for i, ups in enumerate(upstream):
            left = sum(self.states[u] != SUCCEEDED for u in ups)
            if self._waiting[i] != left:
                raise InternalError(f"task {i} waits for {left} upstreams, but {self._waiting[i]} are counted")
            if self.states[i] in (READY, RUNNING, SUCCEEDED, FAILED) and left:
                raise InternalError(f"task {i} is {STATES[self.states[i]]} before its upstreams succeeded")
            if self.states[i] == WAITING and not left and (i < n or self.cancel_reason is None):
                raise InternalError(f"task {i} still waits, but all its upstreams succeeded")
            if self.states[i] == SKIPPED and all(self.states[u] not in (FAILED, SKIPPED) for u in ups):
                raise InternalError(f"task {i} was skipped without a failed upstream")

    def _open_gates(self) -> None:
        gates = self.ready[-1]
        while gates:
            gate = gates.popleft()
            self.states[gate] = SUCCEEDED
            for d in self._downstream[gate]:
                self._waiting[d] -= 1
                if not self._waiting[d] and self.states[d] == WAITING:
                    self.states[d] = READY
                    self.ready[self._lanes[d]].append(d)

    def _tell(self, i: int, state: int) -> None:
        if self.listener is not None:
            self.listener(i, state)
