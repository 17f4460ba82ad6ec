"""What is planned for later in a run: the ends of attempts that take too long, and of waits for another attempt."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import Final

_MOST_STALE: Final = 100


class Agenda:
    """Times at which something happens to a task, unless the task has gone on meanwhile."""

    __slots__ = ("_due", "_last", "_retries")

    def __init__(self) -> None:
        #: When, which task, which attempt, and the state it must still be in for this to mean anything.
        self._due: list[tuple[float, int, int, int]] = []
        self._last: dict[int, tuple[float, int, int, int]] = {}
        self._retries: dict[int, float] = {}

    def plan(self, at: float, i: int, attempt: int, state: int) -> None:
        """Something is to happen to a task, if it is still in this attempt and state then."""
        self._last[i] = entry = at, i, attempt, state
        heappush(self._due, entry)
        if len(self._due) > _MOST_STALE + 2 * len(self._last):  # a task that goes on a million times plans as often
            self._due = list(self._last.values())
            heapify(self._due)

    def retry(self, at: float, i: int, attempt: int, state: int) -> None:
        """A task is ready again then."""
        self._retries[i] = at
        self.plan(at, i, attempt, state)

    def retry_at(self, i: int) -> float:
        """When a task that waits for its next attempt is ready again."""
        return self._retries[i]

    def next(self, states: Sequence[int], attempts: Sequence[int]) -> float | None:
        """When something happens next; None if that depends on what happens until then."""
        due = self._due
        while due and (states[due[0][1]] != due[0][3] or attempts[due[0][1]] != due[0][2]):
            heappop(due)
        return due[0][0] if due else None

    def take(self) -> int:
        """The task to which something happens next; asked for by `next`, and planned no more."""
        entry = heappop(self._due)
        if self._last[entry[1]] is entry:
            del self._last[entry[1]]
        return entry[1]
