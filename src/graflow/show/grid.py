"""The grid a flat graph is drawn on: its columns, and the way of every line from column to column."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

BOX_GAP = 18.0
"""Free space between two boxes of one column."""
TRUNK_GAP = 9.0
"""Free space between a line that passes a column and its neighbours there."""
PLACES_PER_LINE = 60
"""How many columns a line may pass, on average; further ones are drawn straight, past whatever is in the way."""


class Point(NamedTuple):
    """A place in the drawing, in pixels from the top left."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Item:
    """Something with a size to place: a box, a whole cluster, or the end of a line at the border (``pin``)."""

    width: float
    height: float
    pin: Literal["", "left", "right"] = ""
    stretch: bool = False
    """Whether to make it as wide as the widest stretching item of its column."""
    lead: float = 0.0
    """Space to keep free left of it, where lines run straight: for labels and arrow heads."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A line to draw from the right side of one item to the left side of another.

    ``source_dy`` and ``target_dy`` say where on that side, measured from the item's middle.
    Wires with equal ``trunk`` have one end in common.
    """

    source: int
    source_dy: float
    target: int
    target_dy: float
    trunk: Hashable
    weight: float = 1.0
    """How much the line wants to be straight."""


@dataclass(slots=True)
class Link:
    """A stretch of lines between neighbouring columns."""

    source: int
    source_dy: float
    target: int
    target_dy: float
    weight: float


@dataclass(slots=True)
class Grid:
    """The items by column, virtual ones included, and the links between neighbouring columns."""

    heights: list[float]
    real: int
    columns: list[list[int]]
    links: list[list[Link]]
    """``links[c]`` joins column ``c`` to column ``c + 1``."""
    paths: list[list[int]]
    """For each wire the items it visits, ends included."""
    y: list[float] = field(default_factory=list)
    """The height of the middle of each item."""


def columns(items: Sequence[Item], wires: Sequence[Wire]) -> list[int]:
    """The longest path from the left, per item; pinned items alone in the outermost columns."""
    first = 1 if any(item.pin == "left" for item in items) else 0
    column = [0 if item.pin == "left" else first for item in items]
    waiting = [0] * len(items)
    downstream: list[list[int]] = [[] for _ in items]
    for wire in wires:
        waiting[wire.target] += 1
        downstream[wire.source].append(wire.target)
    ready = deque(i for i, count in enumerate(waiting) if count == 0)
    while ready:
        at = ready.popleft()
        for target in downstream[at]:
            column[target] = max(column[target], column[at] + 1)
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    last = 1 + max((c for c, item in zip(column, items, strict=True) if item.pin != "right"), default=-1)
    return [last if item.pin == "right" else c for c, item in zip(column, items, strict=True)]


def build_grid(items: Sequence[Item], wires: Sequence[Wire], column_of: Sequence[int]) -> Grid:
    """Give every wire its way from column to column, through virtual items that wires of one trunk share."""
    columns: list[list[int]] = [[] for _ in range(1 + max(column_of))]
    for i, c in enumerate(column_of):
        columns[c].append(i)
    grid = Grid([item.height for item in items], len(items), columns, [[] for _ in columns], [])
    virtuals: dict[tuple[Hashable, int], int] = {}
    links: dict[tuple[int, float, int, float], Link] = {}
    budget = PLACES_PER_LINE * (len(items) + len(wires))
    for wire in wires:
        between = range(column_of[wire.source] + 1, column_of[wire.target])
        budget -= len(between)
        path = [wire.source]
        for c in between if budget >= 0 else ():
            at = virtuals.setdefault((wire.trunk, c), len(grid.heights))
            if at == len(grid.heights):
                grid.heights.append(0.0)
                columns[c].append(at)
            path.append(at)
        path.append(wire.target)
        grid.paths.append(path)
        _link(grid, wire, path, column_of[wire.source], links)
    grid.y = [0.0] * len(grid.heights)
    return grid


def _link(
    grid: Grid, wire: Wire, path: Sequence[int], column: int, links: dict[tuple[int, float, int, float], Link]
) -> None:
    """Record the stretches of one wire, each once however many wires of the trunk take it."""
    for c, (a, b) in enumerate(pairwise(path), column):
        source_dy = wire.source_dy if a == wire.source else 0.0
        target_dy = wire.target_dy if b == wire.target else 0.0
        link = links.get((a, source_dy, b, target_dy))
        if link is None:
            link = links[a, source_dy, b, target_dy] = Link(a, source_dy, b, target_dy, 0.0)
            grid.links[c].append(link)
        # a bend in the middle of a line looks worse than one at its end
        link.weight = max(link.weight, wire.weight * (1 + 2 * (a >= grid.real) + 2 * (b >= grid.real)))


def distance(grid: Grid, above: int, below: int) -> float:
    """How far apart the middles of two items of one column must be."""
    gap = BOX_GAP if above < grid.real and below < grid.real else TRUNK_GAP
    return (grid.heights[above] + grid.heights[below]) / 2 + gap
