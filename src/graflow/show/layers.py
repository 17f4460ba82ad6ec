"""Draw one flat graph in columns: which column, which order inside it, which coordinates.

The phases are the classic ones for layered drawings (Sugiyama, Tagawa and Toda, 1981):

1. **Columns**: an item stands one column to the right of its furthest upstream item.
2. **Trunks**: a wire that passes columns gets a virtual item in each of them, so that its line has room there.
   Wires of one trunk share these items; that keeps their number linear where wires fan out or in.
3. **Order**: barycentre sweeps to and fro; the order with the fewest crossings wins.
4. **Coordinates**: heights as level with the neighbours as order and distance allow, and columns wide enough.

Every phase is linear in items and wires, but for the sorting inside columns, and deterministic.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass

from graflow.show.grid import Grid, Item, Point, Wire, build_grid, columns
from graflow.show.heights import set_heights, stack

COLUMN_GAP = 44.0
"""The least free space between two columns, for the lines to turn in."""
ROUNDS = 12
"""How many times to reorder the columns of a small graph."""


@dataclass(frozen=True, slots=True)
class Flat:
    """The drawing of one flat graph, in its own coordinates."""

    width: float
    height: float
    left: list[float]
    top: list[float]
    widths: list[float]
    routes: list[list[Point]]
    """For each wire the points its line goes through."""


def lay_out(items: Sequence[Item], wires: Sequence[Wire]) -> Flat:
    """Place items and route wires.

    Args:
        items: what to place; at least one.
        wires: must not form a circle.

    Returns:
        Positions in which no two items overlap, and one route per wire.
    """
    column_of = columns(items, wires)
    grid = build_grid(items, wires, column_of)
    _order(grid)
    set_heights(grid)
    return _finish(items, wires, column_of, grid)


def _order(grid: Grid) -> None:
    """Reorder every column so that few lines cross."""
    rounds = ROUNDS if len(grid.heights) < 3000 else ROUNDS // 3
    for column in grid.columns:
        stack(grid, column)
    best = [list(column) for column in grid.columns]
    fewest = _crossings(grid)
    for turn in range(rounds):
        if fewest == 0:
            break
        _sweep(grid, forward=turn % 2 == 0)
        crossings = _crossings(grid)
        if crossings < fewest:
            best, fewest = [list(column) for column in grid.columns], crossings
    grid.columns = best


def _sweep(grid: Grid, *, forward: bool) -> None:
    """Sort each column by the mean height of what its items are joined to in the column before."""
    count = len(grid.columns)
    for c in range(1, count) if forward else range(count - 2, -1, -1):
        total: dict[int, float] = {}
        weight: dict[int, int] = {}
        for link in grid.links[c - 1] if forward else grid.links[c]:
            if forward:
                mine, wish = link.target, grid.y[link.source] + link.source_dy - link.target_dy
            else:
                mine, wish = link.source, grid.y[link.target] + link.target_dy - link.source_dy
            total[mine] = total.get(mine, 0.0) + wish
            weight[mine] = weight.get(mine, 0) + 1
        # a line beyond the budget joins columns that are not neighbours: it has no say here
        key = {i: total[i] / weight[i] if i in total else grid.y[i] for i in grid.columns[c]}
        grid.columns[c].sort(key=key.__getitem__)
        stack(grid, grid.columns[c])


def _crossings(grid: Grid) -> int:
    """How many pairs of links cross: inversions, counted link by link."""
    crossings = 0
    for links in grid.links:
        ends = sorted((grid.y[k.source] + k.source_dy, grid.y[k.target] + k.target_dy) for k in links)
        seen: list[float] = []
        for _, end in ends:
            crossings += len(seen) - bisect_right(seen, end)
            insort(seen, end)
    return crossings


def _finish(items: Sequence[Item], wires: Sequence[Wire], column_of: Sequence[int], grid: Grid) -> Flat:
    """Turn columns into x coordinates, and paths into points."""
    widths = [item.width for item in items]
    column_width, lead = [0.0] * len(grid.columns), [0.0] * len(grid.columns)
    for c, column in enumerate(grid.columns):
        real = [i for i in column if i < grid.real]
        uniform = max((widths[i] for i in real if items[i].stretch), default=0.0)
        for i in real:
            widths[i] = uniform if items[i].stretch else widths[i]
        column_width[c] = max((widths[i] for i in real), default=0.0)
        lead[c] = max((items[i].lead for i in real), default=0.0)
    x = [0.0]
    for c in range(1, len(grid.columns)):
        steepest = max((abs(grid.y[k.source] - grid.y[k.target]) for k in grid.links[c - 1]), default=0.0)
        turning = COLUMN_GAP + min(0.1 * steepest, 140.0)
        x.append(x[-1] + column_width[c - 1] + turning + lead[c])
    highest = min(grid.y[i] - grid.heights[i] / 2 for i in range(len(grid.heights)))
    lowest = max(grid.y[i] + grid.heights[i] / 2 for i in range(len(grid.heights)))
    y = [at - highest for at in grid.y]
    left = [x[c] + (column_width[c] - widths[i]) / 2 for i, c in enumerate(column_of)]
    routes: list[list[Point]] = []
    for wire, path in zip(wires, grid.paths, strict=True):
        start, end = column_of[wire.source], column_of[wire.target]
        source_y, target_y = y[wire.source] + wire.source_dy, y[wire.target] + wire.target_dy
        route = [Point(left[wire.source] + widths[wire.source], source_y)]
        route.append(Point(x[start] + column_width[start], source_y))
        for c, i in enumerate(path[1:-1], start + 1):
            route += [Point(x[c], y[i]), Point(x[c] + column_width[c], y[i])]
        route += [Point(x[end] - lead[end], target_y), Point(left[wire.target], target_y)]
        routes.append(route)
    top = [y[i] - item.height / 2 for i, item in enumerate(items)]
    return Flat(x[-1] + column_width[-1], lowest - highest, left, top, widths, routes)
