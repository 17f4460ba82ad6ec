"""Place boxes, clusters and edges: :mod:`graflow.show.layers`, once for every cluster, from the inside out.

A cluster is drawn first, as a picture of its own; in the picture around it, it is one item with that size.
So its tasks stay together and no foreign task can come to lie in it.
An edge that crosses the border of a cluster ends at a point on that border, and goes on from there on the other side.

Where clusters wait for each other in a circle (``a/x`` before ``b`` before ``a/y``), no such picture exists:
they are dissolved into what surrounds them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from graflow.show.grid import Item, Point, Wire
from graflow.show.layers import Flat, lay_out

TITLE = 26.0
"""Space for a cluster's title."""
TITLE_CHARACTER = 7.3
"""Width of a character of that title."""
PADDING = 16.0
"""Space between a cluster's border and what is in it, and around the whole picture."""
COMPONENT_GAP = 34.0
"""Space between parts of the picture that no edge joins."""
DEEPEST = 12
"""Clusters nested deeper than this are drawn as part of the one around them."""


@dataclass(frozen=True, slots=True)
class Box:
    """A task to place."""

    width: float
    height: float
    cluster: tuple[str, ...] = ()
    ports: tuple[float, ...] = (0.0,)
    """Where edges may enter on its left side, measured from its middle."""
    lead: float = 0.0
    """Space to keep free before it, for the labels of its edges."""
    stretch: bool = True
    """Whether to make it as wide as the other boxes of its column."""


@dataclass(frozen=True, slots=True)
class Rect:
    """Where something is."""

    left: float
    top: float
    width: float
    height: float


@dataclass(slots=True)
class Layout:
    """A finished drawing."""

    width: float = 0.0
    height: float = 0.0
    boxes: list[Rect] = field(default_factory=list)
    clusters: list[tuple[tuple[str, ...], Rect]] = field(default_factory=list)
    """Path and place of each cluster, outer ones first."""
    routes: list[list[Point]] = field(default_factory=list)
    """For each edge the points its line goes through, horizontally."""


class Edge(NamedTuple):
    """A line to draw from one box to a port of another."""

    source: int
    target: int
    port: int
    weight: float = 1.0
    """How much the line wants to be straight."""


@dataclass(slots=True)
class _Scope:
    """A cluster, or the whole picture, while it is being placed."""

    path: tuple[str, ...]
    items: list[int | _Scope] = field(default_factory=list)
    """Boxes and inner clusters, in order of first appearance."""
    place: dict[int, int] = field(default_factory=dict)
    """For each box inside, however deep: which of the items it is in."""
    inside: list[int] = field(default_factory=list)
    entering: list[int] = field(default_factory=list)
    leaving: list[int] = field(default_factory=list)
    """Edges by where their ends are, as places in the list of all edges."""
    width: float = 0.0
    height: float = 0.0
    corners: list[tuple[float, float, float]] = field(default_factory=list)
    """Left, top and width of each item."""
    entries: dict[Hashable, float] = field(default_factory=dict)
    exits: dict[Hashable, float] = field(default_factory=dict)
    """Per trunk the point on the left or right border where it crosses, measured from the middle."""
    routes: dict[int, list[Point]] = field(default_factory=dict)
    """Per edge the stretch between two items, or from an item to the right border."""
    arrivals: dict[int, list[Point]] = field(default_factory=dict)
    """Per edge the stretch from the left border to an item."""


def arrange(boxes: Sequence[Box], edges: Sequence[Edge]) -> Layout:
    """Place boxes from left to right, so that every edge leads to the right.

    Args:
        boxes: in topological order.
        edges: must lead forward in ``boxes``.

    Returns:
        Coordinates from (0, 0); boxes do not overlap, and a cluster holds its own boxes and no others.
    """
    if not boxes:
        return Layout(2 * PADDING, 2 * PADDING)
    return _Arranger(boxes, edges).layout()


class _Arranger:
    def __init__(self, boxes: Sequence[Box], edges: Sequence[Edge]) -> None:
        self.boxes = boxes
        self.edges = edges
        self.trunks = _trunks(edges)

    def layout(self) -> Layout:
        root = _scopes(self.boxes)
        root.inside = list(range(len(self.edges)))
        self._place(root)
        nothing = Rect(0, 0, 0, 0)
        layout = Layout(root.width, root.height, [nothing] * len(self.boxes), [], [[] for _ in self.edges])
        arrivals: list[list[Point]] = [[] for _ in self.edges]
        self._collect(root, 0.0, 0.0, layout, arrivals)
        for route, rest in zip(layout.routes, arrivals, strict=True):
            route.extend(rest)
        return layout

    def _place(self, scope: _Scope) -> None:
        """Give the scope a size and its items places, inner scopes first."""
        self._dissolve_circles(scope)
        self._hand_down(scope)
        for item in scope.items:
            if isinstance(item, _Scope):
                self._place(item)
        items = [self._item(item) for item in scope.items]
        if scope.path:
            self._place_cluster(scope, items)
        else:
            self._place_picture(scope, items)

    def _dissolve_circles(self, scope: _Scope) -> None:
        """Take apart the inner scopes that stand in a circle, until none does."""
        while True:
            scope.place = {i: at for at, item in enumerate(scope.items) for i in _inside(item)}
            circle = _circle(len(scope.items), self._pairs(scope))
            if not circle:
                return
            items: list[int | _Scope] = []
            for at, item in enumerate(scope.items):
                items.extend(item.items if isinstance(item, _Scope) and at in circle else [item])
            scope.items = items

    def _pairs(self, scope: _Scope) -> dict[tuple[int, int], None]:
        pairs = ((scope.place[self.edges[e].source], scope.place[self.edges[e].target]) for e in scope.inside)
        return dict.fromkeys(pair for pair in pairs if pair[0] != pair[1])

    def _hand_down(self, scope: _Scope) -> None:
        """Tell the inner scopes which edges are theirs."""
        for e in scope.inside:
            source, target = (scope.items[scope.place[end]] for end in self.edges[e][:2])
            if source is target:
                assert isinstance(source, _Scope), "an edge from a box to itself"
                source.inside.append(e)
                continue
            if isinstance(source, _Scope):
                source.leaving.append(e)
            if isinstance(target, _Scope):
                target.entering.append(e)
        for e in scope.entering:
            item = scope.items[scope.place[self.edges[e].target]]
            if isinstance(item, _Scope):
                item.entering.append(e)
        for e in scope.leaving:
            item = scope.items[scope.place[self.edges[e].source]]
            if isinstance(item, _Scope):
                item.leaving.append(e)

    def _item(self, item: int | _Scope) -> Item:
        if isinstance(item, _Scope):
            return Item(item.width, item.height, lead=10.0)
        box = self.boxes[item]
        return Item(box.width, box.height, stretch=box.stretch, lead=box.lead)

    def _source(self, scope: _Scope, e: int) -> tuple[int, float]:
        """The item an edge starts from in this scope, and the height of the point."""
        at = scope.place[self.edges[e].source]
        item = scope.items[at]
        return at, item.exits[self.trunks[e]] if isinstance(item, _Scope) else 0.0

    def _target(self, scope: _Scope, e: int) -> tuple[int, float]:
        edge = self.edges[e]
        at = scope.place[edge.target]
        item = scope.items[at]
        return at, item.entries[self.trunks[e]] if isinstance(item, _Scope) else self.boxes[edge.target].ports[
            edge.port
        ]

    def _wires(self, scope: _Scope) -> dict[int, Wire]:
        """The wires between the items of a scope, by edge."""
        wires: dict[int, Wire] = {}
        for e in scope.inside:
            edge = self.edges[e]
            if scope.place[edge.source] != scope.place[edge.target]:
                wires[e] = Wire(*self._source(scope, e), *self._target(scope, e), self.trunks[e], edge.weight)
        return wires

    def _place_cluster(self, scope: _Scope, items: list[Item]) -> None:
        """Lay out a cluster together with the points where trunks cross its border, and frame it."""
        wires = self._wires(scope)
        entries: dict[Hashable, int] = {}
        exits: dict[Hashable, int] = {}
        for e in scope.entering:
            trunk = self.trunks[e]
            if entries.setdefault(trunk, len(items)) == len(items):
                items.append(Item(0.0, 0.0, pin="left"))
            wires[e] = Wire(entries[trunk], 0.0, *self._target(scope, e), trunk, self.edges[e].weight)
        for e in scope.leaving:
            trunk = self.trunks[e]
            if exits.setdefault(trunk, len(items)) == len(items):
                items.append(Item(0.0, 0.0, pin="right"))
            wires[e] = Wire(*self._source(scope, e), exits[trunk], 0.0, trunk, self.edges[e].weight)
        flat = lay_out(items, list(wires.values()))
        before, after = 0.0 if entries else PADDING, 0.0 if exits else PADDING
        scope.width = max(before + flat.width + after, 2 * PADDING + TITLE_CHARACTER * len(scope.path[-1]))
        scope.height = TITLE + flat.height + PADDING
        scope.entries = {trunk: TITLE + flat.top[at] - scope.height / 2 for trunk, at in entries.items()}
        scope.exits = {trunk: TITLE + flat.top[at] - scope.height / 2 for trunk, at in exits.items()}
        scope.corners = [(0.0, 0.0, 0.0)] * len(scope.items)
        _take(scope, range(len(scope.items)), flat, wires, before, TITLE)
        scope.arrivals = {e: scope.routes.pop(e) for e in scope.entering}
        for e in scope.leaving:
            scope.routes[e].append(Point(scope.width, scope.routes[e][-1].y))

    def _place_picture(self, scope: _Scope, items: list[Item]) -> None:
        """Lay out each part of the picture that no edge joins to the others, and put the parts in rows."""
        wires = self._wires(scope)
        parts = _components(len(items), wires)
        flats: list[tuple[list[int], dict[int, Wire], Flat]] = []
        for members, edges in parts:
            place = {at: i for i, at in enumerate(members)}
            own = {e: replace(wires[e], source=place[wires[e].source], target=place[wires[e].target]) for e in edges}
            flats.append((members, own, lay_out([items[i] for i in members], list(own.values()))))
        area = sum((f.width + COMPONENT_GAP) * (f.height + COMPONENT_GAP) for _, _, f in flats)
        row_width = max(*(f.width for _, _, f in flats), 1.3 * math.sqrt(area))
        scope.corners = [(0.0, 0.0, 0.0)] * len(items)
        left, top, height = PADDING, PADDING, 0.0
        for members, own, flat in flats:
            if left > PADDING and left + flat.width > row_width + PADDING:
                left, top, height = PADDING, top + height + COMPONENT_GAP, 0.0
            _take(scope, members, flat, own, left, top)
            scope.width = max(scope.width, left + flat.width + PADDING)
            scope.height = max(scope.height, top + flat.height + PADDING)
            left, height = left + flat.width + COMPONENT_GAP, max(height, flat.height)

    def _collect(self, scope: _Scope, left: float, top: float, layout: Layout, arrivals: list[list[Point]]) -> None:
        """Turn places inside scopes into places in the picture.

        A route comes together from the inside out up to the scope that holds both ends, and from there inwards
        again; the second half gathers in ``arrivals``.
        """
        if scope.path:
            layout.clusters.append((scope.path, Rect(left, top, scope.width, scope.height)))
        for e, route in scope.arrivals.items():
            arrivals[e].extend(Point(left + x, top + y) for x, y in route)
        for item, (x, y, width) in zip(scope.items, scope.corners, strict=True):
            if isinstance(item, _Scope):
                self._collect(item, left + x, top + y, layout, arrivals)
            else:
                layout.boxes[item] = Rect(left + x, top + y, width, self.boxes[item].height)
        for e, route in scope.routes.items():
            layout.routes[e].extend(Point(left + x, top + y) for x, y in route)


def _take(scope: _Scope, members: Sequence[int], flat: Flat, edges: Iterable[int], left: float, top: float) -> None:
    """Copy a finished drawing of some of the scope's items into the scope, at a place."""
    for i, at in enumerate(members):
        scope.corners[at] = (left + flat.left[i], top + flat.top[i], flat.widths[i])
    for e, route in zip(edges, flat.routes, strict=True):
        scope.routes[e] = [Point(left + x, top + y) for x, y in route]


def _scopes(boxes: Sequence[Box]) -> _Scope:
    """The tree of clusters."""
    root = _Scope(())
    scopes: dict[tuple[str, ...], _Scope] = {(): root}
    for i, box in enumerate(boxes):
        path = box.cluster[:DEEPEST]
        for depth in range(1, len(path) + 1):
            if path[:depth] not in scopes:
                scopes[path[:depth]] = _Scope(path[:depth])
                scopes[path[: depth - 1]].items.append(scopes[path[:depth]])
        scopes[path].items.append(i)
    return root


def _inside(item: int | _Scope) -> Iterator[int]:
    """The boxes in an item, however deep."""
    if isinstance(item, _Scope):
        for inner in item.items:
            yield from _inside(inner)
    else:
        yield item


def _trunks(edges: Sequence[Edge]) -> list[Hashable]:
    """For each edge the end that it shares its line with: the one where more edges come together."""
    leaving = Counter(edge.source for edge in edges)
    entering = Counter((edge.target, edge.port) for edge in edges)
    return [
        ("to", edge.target, edge.port)
        if entering[edge.target, edge.port] > leaving[edge.source]
        else ("from", edge.source)
        for edge in edges
    ]


def _circle(count: int, pairs: Iterable[tuple[int, int]]) -> set[int]:
    """The items on a circle or between two circles; empty if there is none."""
    left = set(range(count))
    joined = list(pairs)
    for here, there in ((0, 1), (1, 0)):
        waiting = Counter(pair[there] for pair in joined)
        after: dict[int, list[int]] = {}
        for pair in joined:
            after.setdefault(pair[here], []).append(pair[there])
        ready = [i for i in range(count) if i in left and not waiting[i]]
        while ready:
            at = ready.pop()
            left.discard(at)
            for other in after.get(at, ()):
                waiting[other] -= 1
                if not waiting[other]:
                    ready.append(other)
        joined = [pair for pair in joined if pair[0] in left and pair[1] in left]
    return left


def _components(count: int, wires: dict[int, Wire]) -> list[tuple[list[int], list[int]]]:
    """The parts that no wire joins: their items and their wires, in order of first appearance."""
    leader = list(range(count))

    def find(i: int) -> int:
        while leader[i] != i:
            leader[i] = leader[leader[i]]
            i = leader[i]
        return i

    for wire in wires.values():
        a, b = find(wire.source), find(wire.target)
        leader[max(a, b)] = min(a, b)
    parts: dict[int, tuple[list[int], list[int]]] = {}
    for i in range(count):
        parts.setdefault(find(i), ([], []))[0].append(i)
    for e, wire in wires.items():
        parts[find(wire.source)][1].append(e)
    return list(parts.values())
