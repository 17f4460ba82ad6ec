"""Where ready tasks wait: lanes for those that can be taken, limits for those that have to wait for a place."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush
from typing import Any, Protocol

from graflow.errors import InternalError


class Ready(Protocol):
    """Tasks in the order in which they are to be taken."""

    def append(self, i: int, /) -> None: ...
    def popleft(self) -> int: ...
    def remove(self, i: int, /) -> None: ...
    def clear(self) -> None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[int]: ...


class Ranked:
    """A queue in which a higher priority goes first, and among equals whoever came first."""

    __slots__ = ("_arrivals", "_count", "_heap", "_priorities")

    def __init__(self, priorities: Mapping[int, int]) -> None:
        self._priorities = priorities
        self._heap: list[tuple[int, int, int]] = []
        # Who is here, and since when: what was removed stays in the heap until it comes to the top.
        self._arrivals: dict[int, int] = {}
        self._count = 0

    def append(self, i: int) -> None:
        self._count += 1
        self._arrivals[i] = self._count
        heappush(self._heap, (-self._priorities.get(i, 0), self._count, i))

    def popleft(self) -> int:
        while True:
            _, arrival, i = heappop(self._heap)
            if self._arrivals.get(i) == arrival:
                del self._arrivals[i]
                return i

    def remove(self, i: int) -> None:
        del self._arrivals[i]

    def clear(self) -> None:
        self._heap.clear()
        self._arrivals.clear()

    def __len__(self) -> int:
        return len(self._arrivals)

    def __iter__(self) -> Iterator[int]:
        return (i for _, arrival, i in sorted(self._heap) if self._arrivals.get(i) == arrival)


def queue(priorities: Mapping[int, int]) -> Any:
    """An empty queue: a plain one where nobody has a priority, because that costs half."""
    return Ranked(priorities) if priorities else deque()


class Lanes(list[Ready]):
    """One queue for each kind of worker."""

    def __init__(self, count: int, priorities: Mapping[int, int]) -> None:
        super().__init__(queue(priorities) for _ in range(count))


class Limits:
    """How many tasks of a kind may be taken or run at once, and those that wait for a place.

    A task has its place from the moment it can be taken until its attempt has ended. As long as nobody has taken it, it
    yields its place to a task of a higher priority.
    """

    __slots__ = ("_arrivals", "_at_once", "_count", "_free", "_limit_of", "_parked", "_priorities", "_untaken")

    def __init__(self, at_once: Mapping[str, int], limit_of: dict[int, str], priorities: dict[int, int]) -> None:
        self._at_once = at_once
        self._limit_of = limit_of
        self._priorities = priorities
        self._free = dict(at_once)
        #: Per limit, who waits for a place: the highest priority first, and among equals whoever came first.
        self._parked: dict[str, list[tuple[int, int, int]]] = {name: [] for name in at_once}
        #: Per limit, who has a place and was not taken, the other way round; an entry may be out of date.
        self._untaken: dict[str, list[tuple[int, int, int]]] = {name: [] for name in at_once}
        #: When those came that are not taken.
        self._arrivals: dict[int, int] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._limit_of)

    def also(self, tasks: Iterable[int], name: str | None, priority: int) -> None:
        """These tasks have come up, and share a limit and a priority."""
        for i in tasks:
            if name is not None:
                self._limit_of[i] = name
            if priority:
                self._priorities[i] = priority

    def unpark(self, i: int) -> bool:
        """A ready task will not be taken. Did it wait here for a place? Else the caller takes its place back."""
        arrival, name = self._arrivals.pop(i, None), self._limit_of.get(i)
        if name is None or arrival is None:
            return False
        entry = -self._priorities.get(i, 0), arrival, i
        if entry not in self._parked[name]:
            return False
        self._parked[name].remove(entry)
        heapify(self._parked[name])
        return True

    def admit(self, i: int) -> int | None:
        """Find a place for a task that is ready.

        Returns:
            who has no place now, and waits here until `leave` names it: this task, or one of a lower priority that
            has to be called back; None if nobody has to wait.
        """
        name = self._limit_of.get(i)
        if name is None:
            return None
        self._count += 1
        self._arrivals[i] = self._count
        if self._free[name]:
            self._free[name] -= 1
            self._place(name, i)
            return None
        last = self._last(name)
        if last is None or self._priorities.get(last, 0) >= self._priorities.get(i, 0):
            self._park(name, i)
            return i
        heappop(self._untaken[name])
        self._place(name, i)
        self._park(name, last)
        return last

    def taken(self, i: int) -> None:
        """A worker has taken a task, which keeps its place now."""
        self._arrivals.pop(i, None)

    def leave(self, i: int) -> int | None:
        """Take a task's place back; the task that has it now, if one waited."""
        name = self._limit_of.get(i)
        if name is None:
            return None
        if self._parked[name]:
            following = heappop(self._parked[name])[2]
            self._place(name, following)
            return following
        self._free[name] += 1
        return None

    def clear(self) -> None:
        """Nobody waits any more."""
        for parked in self._parked.values():
            parked.clear()

    @property
    def parked(self) -> list[int]:
        """The tasks that wait for a place."""
        return [i for parked in self._parked.values() for _, _, i in sorted(parked)]

    def _park(self, name: str, i: int) -> None:
        heappush(self._parked[name], (-self._priorities.get(i, 0), self._arrivals[i], i))

    def _place(self, name: str, i: int) -> None:
        if self._priorities:
            heappush(self._untaken[name], (self._priorities.get(i, 0), -self._arrivals[i], i))

    def _last(self, name: str) -> int | None:
        """Who has a place under a limit, was not taken, and would go last."""
        untaken = self._untaken[name]
        while untaken and self._arrivals.get(untaken[0][2]) != -untaken[0][1]:
            heappop(untaken)
        return untaken[0][2] if untaken else None

    def validate(self, placed: Collection[int]) -> None:
        """Check that no more tasks have a place than there are, and that nobody waits for one without need.

        Raises:
            InternalError: one does not hold.
        """
        for name, at_once in self._at_once.items():
            have = [i for i in placed if self._limit_of.get(i) == name]
            if len(have) > at_once:
                raise InternalError(f"{len(have)} tasks run under limit {name!r}, which allows {at_once}")
            if not self._parked[name]:
                continue
            if len(have) < at_once:
                raise InternalError(f"a task waits for limit {name!r}, which has a place")
            last = self._last(name)
            if last is not None and self._priorities.get(last, 0) < -self._parked[name][0][0]:
                raise InternalError(f"task {last} has a place under limit {name!r} before one of a higher priority")
