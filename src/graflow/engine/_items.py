"""The items of maps: indexes that a machine grows while it runs."""

from __future__ import annotations

from graflow.engine.rules import FAILED, SUCCEEDED


class Items:
    """Which indexes are items of which map, and how many of them have not ended.

    Attributes:
        first: indexes from here on are items.
        of: map → the indexes of its items, once it is open.
        left: map → how many of them have not ended.
        settled: maps all of whose items have ended, and that nobody has closed yet.
    """

    __slots__ = ("_lost", "_owners", "first", "left", "of", "settled")

    def __init__(self, first: int) -> None:
        self.first = first
        self.of: dict[int, range] = {}
        self.left: dict[int, int] = {}
        self.settled: list[int] = []
        self._owners: list[int] = []
        self._lost: dict[int, int] = {}

    def open(self, i: int, count: int) -> range:
        """A map has so many items; their indexes."""
        start = self.first + len(self._owners)
        self._owners += [i] * count
        self.of[i] = range(start, start + count)
        self.left[i] = count
        return self.of[i]

    def owner(self, j: int) -> int:
        """The map of an item."""
        return self._owners[j - self.first]

    def number(self, j: int) -> int:
        """The place of an item in its map."""
        return j - self.of[self.owner(j)].start

    def ended(self, j: int, state: int) -> None:
        """An item has ended so."""
        i = self.owner(j)
        if state != SUCCEEDED and self._lost.get(i) != FAILED:
            self._lost[i] = state
        self.left[i] -= 1
        if not self.left[i]:
            self.settled.append(i)

    def end_of(self, i: int) -> int:
        """How a map ends, all of whose items have: failed if one has, cancelled if one was, else it succeeded."""
        return self._lost.get(i, SUCCEEDED)

    def __len__(self) -> int:
        return len(self._owners)
