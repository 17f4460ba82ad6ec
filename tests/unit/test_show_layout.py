"""The layered layout: nothing overlaps, every edge leads to the right, lines go around boxes, cost stays linear."""

from itertools import combinations, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from graflow.show.grid import Item, Point, Wire, build_grid, columns
from graflow.show.layers import lay_out
from graflow.show.layout import Box, Edge, Layout, Rect, arrange

CLUSTERS = st.sampled_from([(), (), ("a",), ("a", "b"), ("a", "b", "c"), ("d",)])


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Box], list[Edge]]:
    """Boxes of many sizes, some in nested clusters, some with several ports, with edges that lead forward."""
    boxes = draw(
        st.lists(
            st.builds(
                Box,
                st.floats(10, 200),
                st.floats(20, 60),
                CLUSTERS,
                st.sampled_from([(0.0,), (-8.0, 8.0)]),
                st.sampled_from([0.0, 30.0]),
                st.booleans(),
            ),
            min_size=1,
            max_size=14,
        )
    )
    pairs = st.sampled_from([*combinations(range(len(boxes)), 2), None])
    chosen = [pair for pair in draw(st.lists(pairs, max_size=25, unique=True)) if pair is not None]
    return boxes, [Edge(a, b, draw(st.integers(0, len(boxes[b].ports) - 1))) for a, b in chosen]


def overlap(a: Rect, b: Rect) -> bool:
    return (
        a.left < b.left + b.width - 0.01
        and b.left < a.left + a.width - 0.01
        and a.top < b.top + b.height - 0.01
        and b.top < a.top + a.height - 0.01
    )


def holds(outer: Rect, inner: Rect) -> bool:
    return (
        outer.left - 0.01 <= inner.left
        and outer.top - 0.01 <= inner.top
        and inner.left + inner.width <= outer.left + outer.width + 0.01
        and inner.top + inner.height <= outer.top + outer.height + 0.01
    )


def along(route: list[Point]) -> list[Point]:
    """Points on the drawn line: straight where two points have one height, an S between two heights."""
    points = []
    for a, b in pairwise(route):
        for part in range(11):
            t = part / 10
            bend = 3 * t * t - 2 * t**3
            points.append(Point(a.x + t * (b.x - a.x), a.y + bend * (b.y - a.y)))
    return points


@given(graphs())
@example(([Box(10, 20, ("a",)), Box(10, 20, ("d",)), Box(10, 20, ("a",))], [Edge(0, 1, 0), Edge(1, 2, 0)]))
def test_the_drawing_is_sound(graph: tuple[list[Box], list[Edge]]) -> None:
    boxes, edges = graph
    layout = arrange(boxes, edges)
    whole = Rect(0, 0, layout.width, layout.height)
    for rect, box in zip(layout.boxes, boxes, strict=True):
        assert rect.height == box.height
        assert rect.width >= box.width
        assert holds(whole, rect)
    for a, b in combinations(layout.boxes, 2):
        assert not overlap(a, b)
    check_clusters(layout, boxes)
    check_routes(layout, boxes, edges)
    assert arrange(boxes, edges) == layout


def check_clusters(layout: Layout, boxes: list[Box]) -> None:
    """A frame holds its own boxes and frames, and nothing else."""
    for path, frame in layout.clusters:
        for box, rect in zip(boxes, layout.boxes, strict=True):
            if box.cluster[: len(path)] == path:
                assert holds(frame, rect)
            else:
                assert not overlap(frame, rect)
        for other, inner in layout.clusters:
            assert (
                holds(frame, inner) if other[: len(path)] == path else not overlap(frame, inner) or holds(inner, frame)
            )


def check_routes(layout: Layout, boxes: list[Box], edges: list[Edge]) -> None:
    for edge, route in zip(edges, layout.routes, strict=True):
        source, target = layout.boxes[edge.source], layout.boxes[edge.target]
        assert abs(route[0].x - source.left - source.width) < 0.01
        assert abs(route[0].y - source.top - source.height / 2) < 0.01
        assert abs(route[-1].x - target.left) < 0.01
        assert abs(route[-1].y - target.top - target.height / 2 - boxes[edge.target].ports[edge.port]) < 0.01
        assert all(a.x <= b.x + 0.01 for a, b in pairwise(route))
        others = [rect for i, rect in enumerate(layout.boxes) if i not in edge[:2]]
        for x, y in along(route):
            for rect in others:
                inside_x = rect.left + 0.5 < x < rect.left + rect.width - 0.5
                assert not (inside_x and rect.top + 0.5 < y < rect.top + rect.height - 0.5)


def test_a_chain_is_a_straight_line() -> None:
    layout = arrange([Box(60, 34)] * 6, [Edge(i, i + 1, 0) for i in range(5)])
    assert len({rect.top for rect in layout.boxes}) == 1


def test_the_heavy_path_stays_straight_beside_a_light_detour() -> None:
    heavy = [Edge(i, i + 1, 0, 4.0) for i in range(4)]
    layout = arrange([Box(60, 34)] * 4 + [Box(60, 48, (), (-8.0, 8.0))], [*heavy, Edge(1, 4, 1)])
    assert len({route[0].y for route in layout.routes[:4]} | {route[-1].y for route in layout.routes[:4]}) == 1


def test_one_before_many_stands_beside_their_middle() -> None:
    layout = arrange([Box(60, 34)] * 6, [Edge(0, i, 0) for i in range(1, 6)])
    assert layout.boxes[0].top == layout.boxes[3].top


def test_parts_that_nothing_joins_share_rows() -> None:
    layout = arrange([Box(60, 34)] * 100, [])
    assert 0.5 < layout.width / layout.height < 3


def test_clusters_in_a_circle_are_dissolved() -> None:
    boxes = [Box(60, 34, ("a",)), Box(60, 34, ("b",)), Box(60, 34, ("a",)), Box(60, 34, ("c",))]
    layout = arrange(boxes, [Edge(0, 1, 0), Edge(1, 2, 0), Edge(2, 3, 0)])
    assert [path for path, _ in layout.clusters] == [("c",)]


def test_crossings_are_undone() -> None:
    # a ladder written down in reverse: a straight drawing exists
    items = [Item(60, 34)] * 12
    flat = lay_out(items, [Wire(i, 0.0, 11 - i, 0.0, i) for i in range(6)])
    assert sorted(range(6), key=flat.top.__getitem__) == sorted(range(6), key=lambda i: flat.top[11 - i])


def grid_size(count: int, wires: list[Wire]) -> int:
    items = [Item(60, 34)] * count
    return len(build_grid(items, wires, columns(items, wires)).heights)


def test_long_edges_to_one_task_share_their_way() -> None:
    chain = [Wire(i, 0.0, i + 1, 0.0, ("from", i)) for i in range(199)]
    to_last = [Wire(i, 0.0, 199, 0.0, ("to", 199)) for i in range(198)]
    assert grid_size(200, chain + to_last) < 2 * 200


def test_lines_beyond_the_budget_are_drawn_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graflow.show.grid.PLACES_PER_LINE", 1)
    chain = [Wire(i, 0.0, i + 1, 0.0, ("from", i)) for i in range(99)]
    far = [Wire(i, 0.0, i + 50, 0.0, ("far", i)) for i in range(50)]
    assert grid_size(100, chain + far) <= 100 + (100 + 149)
    layout = lay_out([Item(60, 34)] * 100, chain + far)
    for wire, route in zip(chain + far, layout.routes, strict=True):
        assert route[0].x == layout.left[wire.source] + 60
        assert route[-1].x == layout.left[wire.target]
