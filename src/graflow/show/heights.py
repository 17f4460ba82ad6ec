"""How high everything stands: the vertical coordinates of a grid.

Every item wishes to stand level with its neighbours.
Inside one column, the least-squares answer under "keep the order, keep the distance" is an isotonic regression, which
one pass finds (pool adjacent violators).
Sweeps over the columns bring the whole grid near to rest; then chains are made exactly straight where there is room.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from graflow.show.grid import TRUNK_GAP, Grid, Link, distance

_HELD = 1e6
"""The weight of a wish that is not to give way."""


def set_heights(grid: Grid) -> None:
    """Give every item of the grid its height, in the order that its columns have."""
    for column in grid.columns:
        stack(grid, column)
        _settle(grid, column, {})
    turns = 10 if len(grid.heights) < 3000 else 4
    for turn in range(turns):
        _sweep(grid, forward=turn % 2 == 0, both=turn >= 2, held=frozenset())
    held = frozenset(_straighten(grid))
    for turn in range(2):
        _sweep(grid, forward=turn == 0, both=True, held=held)


def stack(grid: Grid, column: Sequence[int]) -> None:
    """Put a column's items one below the other, around zero."""
    at = 0.0
    for i in column:
        grid.y[i] = at + grid.heights[i] / 2
        at += grid.heights[i] + TRUNK_GAP
    for i in column:
        grid.y[i] -= at / 2


def _sweep(grid: Grid, *, forward: bool, both: bool, held: frozenset[int]) -> None:
    """Move items level with their neighbours in the column before, or in both; one column after the other."""
    last = len(grid.columns) - 1
    for c in range(last + 1) if forward else range(last, -1, -1):
        wishes: dict[int, list[tuple[float, float]]] = {}
        if c > 0 and (both or forward):
            for k in grid.links[c - 1]:
                wishes.setdefault(k.target, []).append((grid.y[k.source] + k.source_dy - k.target_dy, k.weight))
        if c < last and (both or not forward):
            for k in grid.links[c]:
                wishes.setdefault(k.source, []).append((grid.y[k.target] + k.target_dy - k.source_dy, k.weight))
        medians = {i: (grid.y[i], _HELD) if i in held else _median(grid, i, heights) for i, heights in wishes.items()}
        _settle(grid, grid.columns[c], medians)


def _median(grid: Grid, item: int, wishes: list[tuple[float, float]]) -> tuple[float, float]:
    """The height an item wishes for, and how much: exactly level with a neighbour, so that lines are straight.

    A box between two middle neighbours stands half-way.
    A line does not: a few bends read better than many.
    """
    wishes.sort()
    total = sum(weight for _, weight in wishes)
    so_far = 0.0
    for place, (y, weight) in enumerate(wishes):
        so_far += weight
        if so_far > total / 2:
            return y, total
        if so_far == total / 2:
            other = wishes[place + 1][0]
            if item < grid.real:
                return (y + other) / 2, total
            return min(max(grid.y[item], y), other), total
    raise AssertionError("the weights add up to their sum")


def _settle(grid: Grid, column: Sequence[int], wishes: dict[int, tuple[float, float]]) -> None:
    """Give each item the height it wishes, as nearly as order and distance allow (least squares).

    With the distances taken out, the heights may not decrease from one item to the next.
    Runs of items that would are pooled, and share the mean of their wishes.
    """
    offsets: list[float] = []
    pools: list[tuple[float, float, int]] = []  # weight, weighted sum, number of items
    offset = 0.0
    for place, i in enumerate(column):
        if place:
            above = column[place - 1]
            offset += distance(grid, above, i)
        offsets.append(offset)
        wish, weight = wishes.get(i, (grid.y[i], 0.01))
        total, count = weight * (wish - offset), 1
        while pools and pools[-1][1] * weight >= total * pools[-1][0]:
            more, sum_, members = pools.pop()
            weight, total, count = weight + more, total + sum_, count + members
        pools.append((weight, total, count))
    place = 0
    for weight, total, count in pools:
        for _ in range(count):
            grid.y[column[place]] = total / weight + offsets[place]
            place += 1


def _straighten(grid: Grid) -> list[int]:
    """Put the items of each chain level with each other, as far as the items above and below leave room.

    Returns:
        The items that are level with another one now.
    """
    held: list[int] = []
    place = {i: (c, p) for c, column in enumerate(grid.columns) for p, i in enumerate(column)}

    def room(i: int) -> tuple[float, float]:
        c, p = place[i]
        column = grid.columns[c]
        lowest, highest = -math.inf, math.inf
        if p > 0:
            lowest = grid.y[column[p - 1]] + distance(grid, column[p - 1], i)
        if p + 1 < len(column):
            highest = grid.y[column[p + 1]] - distance(grid, i, column[p + 1])
        return lowest, highest

    for _ in range(3):
        held.clear()
        for chain in _chains(grid):
            stretch: list[tuple[int, float]] = []
            low, high = -math.inf, math.inf
            for i, offset in chain:
                lowest, highest = room(i)
                if stretch and max(low, lowest - offset) > min(high, highest - offset):
                    held += _level(grid, stretch, low, high)
                    stretch, low, high = [], -math.inf, math.inf
                stretch.append((i, offset))
                low, high = max(low, lowest - offset), min(high, highest - offset)
            held += _level(grid, stretch, low, high)
    return held


def _level(grid: Grid, stretch: list[tuple[int, float]], low: float, high: float) -> list[int]:
    """Move items to one height between two limits, the one nearest to where most of them are."""
    heights = sorted(grid.y[i] - offset for i, offset in stretch)
    height = min(max(heights[len(heights) // 2], low), high)
    for i, offset in stretch:
        grid.y[i] = height + offset
    return [i for i, _ in stretch] if len(stretch) > 1 else []


def _chains(grid: Grid) -> list[list[tuple[int, float]]]:
    """Items from left to right that are each other's foremost neighbour, with their heights relative to the first."""
    leftward: dict[int, list[Link]] = {}
    rightward: dict[int, list[Link]] = {}
    for links in grid.links:
        for k in links:
            leftward.setdefault(k.target, []).append(k)
            rightward.setdefault(k.source, []).append(k)
    before = {i: _foremost(links, [grid.y[k.source] for k in links]) for i, links in leftward.items()}
    after = {i: _foremost(links, [grid.y[k.target] for k in links]) for i, links in rightward.items()}
    chains: list[list[tuple[int, float]]] = []
    for column in grid.columns:
        for i in column:
            link = before.get(i)
            if link is not None and after.get(link.source) is link:
                continue
            chain, at, offset = [(i, 0.0)], i, 0.0
            while (link := after.get(at)) is not None and before.get(link.target) is link:
                at, offset = link.target, offset + link.source_dy - link.target_dy
                chain.append((at, offset))
            if len(chain) > 1:
                chains.append(chain)
    return chains


def _foremost(links: list[Link], heights: list[float]) -> Link | None:
    """The link most worth to be straight: the heaviest, or the middle one of the heaviest if there is a middle."""
    most = max(link.weight for link in links)
    heaviest = sorted((y, at) for at, y in enumerate(heights) if links[at].weight == most)
    return links[heaviest[len(heaviest) // 2][1]] if len(heaviest) % 2 else None
