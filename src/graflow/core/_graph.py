"""Questions about graphs that rustworkx answers: cycles as paths, the critical path, what lies up- or downstream.

The only file that imports rustworkx, and only when one of these questions is asked: filling a graph object costs more
than the topological order itself, which `graflow.core._structure` finds on its own arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rustworkx


def _digraph(upstream: Sequence[Sequence[int]]) -> rustworkx.PyDiGraph[int, None]:
    import rustworkx

    graph: rustworkx.PyDiGraph[int, None] = rustworkx.PyDiGraph()
    graph.add_nodes_from(range(len(upstream)))
    graph.add_edges_from_no_data([(u, i) for i, ups in enumerate(upstream) for u in ups])
    return graph


def cycles(upstream: Sequence[Sequence[int]]) -> list[list[int]]:
    """One cycle for each set of indexes that wait for each other; each starts at its smallest index, sorted."""
    import rustworkx

    graph = _digraph(upstream)
    found: list[list[int]] = []
    for members in rustworkx.strongly_connected_components(graph):
        if len(members) == 1 and members[0] not in upstream[members[0]]:
            continue
        names = sorted(members)
        edges = rustworkx.digraph_find_cycle(graph.subgraph(names))
        cycle = [names[a] for a, _ in edges]
        smallest = cycle.index(min(cycle))
        found.append(cycle[smallest:] + cycle[:smallest])
    return sorted(found)


def longest_path(upstream: Sequence[Sequence[int]], weight: Callable[[int], float]) -> list[int]:
    """The path from a root to a leaf with the greatest sum of weights."""
    import rustworkx

    if not upstream:
        return []
    graph = _digraph(upstream)
    # A source before all roots, so that the weight of a root counts as well: weights lie on edges there.
    source = graph.add_node(-1)
    graph.add_edges_from_no_data([(source, i) for i, ups in enumerate(upstream) if not ups])
    path = rustworkx.dag_weighted_longest_path(graph, lambda _, into, __: weight(into))
    return [i for i in path if i != source]


def descendants(upstream: Sequence[Sequence[int]], start: Iterable[int]) -> set[int]:
    """These indexes and all that can be reached from them."""
    import rustworkx

    graph, found = _digraph(upstream), set(start)
    for i in sorted(found):
        found |= rustworkx.descendants(graph, i)
    return found


def ancestors(upstream: Sequence[Sequence[int]], start: Iterable[int]) -> set[int]:
    """These indexes and all from which one of them can be reached."""
    found = set(start)
    stack = sorted(found)
    while stack:
        for u in upstream[stack.pop()]:
            if u not in found:
                found.add(u)
                stack.append(u)
    return found
