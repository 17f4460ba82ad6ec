"""The graphs that the benchmarks measure, as plain tuples and as graflow workflows.

A graph is a list that has, per task, the indexes of the tasks it reads: every upstream lies before its downstreams.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graflow import Task, Workflow, task

Upstream = list[tuple[int, ...]]

WIDTH = 100
"""Tasks in one layer of a layered graph."""


def chain(n: int) -> Upstream:
    """Each task reads the one before it."""
    return [(i - 1,) if i else () for i in range(n)]


def fan(n: int) -> Upstream:
    """One task feeds all the others, and the last one reads a list of all those."""
    return [(), *[(0,)] * (n - 2), tuple(range(1, n - 1))]


def layered(n: int) -> Upstream:
    """Layers of 100; each task reads 3 of the layer before."""
    first = [()] * min(n, WIDTH)
    rest = [tuple((i // WIDTH - 1) * WIDTH + (i + k) % WIDTH for k in range(3)) for i in range(WIDTH, n)]
    return [*first, *rest]


SHAPES: dict[str, Callable[[int], Upstream]] = {"chain": chain, "fan": fan, "layered": layered}


# ── what the tasks do ───────────────────────────────────────────────────────────────────────────────────────────────


@task
def source() -> int:
    return 1


@task
def one(a: int) -> int:
    return a


@task
def three(a: int, b: int, c: int) -> int:
    return a


@task
def gather(parts: list[int]) -> int:
    return len(parts)


@task
async def async_source() -> int:
    return 1


@task
async def async_one(a: int) -> int:
    return a


@task
async def async_three(a: int, b: int, c: int) -> int:
    return a


@task
async def async_gather(parts: list[int]) -> int:
    return len(parts)


Bodies = tuple[Task[[], int], Task[[int], int], Task[[int, int, int], int], Task[[list[int]], int]]

PLAIN: Bodies = (source, one, three, gather)
ASYNC: Bodies = (async_source, async_one, async_three, async_gather)


def define(upstream: Upstream, bodies: Bodies = PLAIN) -> Workflow[None, int]:
    """The graph as a user of graflow writes it: tasks bound to the results they read, then named, then built."""
    nothing, single, triple, many = bodies
    tasks: list[Task[[], int]] = []
    for i, reads in enumerate(upstream):
        if not reads:
            bound = nothing
        elif len(reads) == 1:
            bound = single(tasks[reads[0]].out)
        elif len(reads) == 3:
            a, b, c = reads
            bound = triple(tasks[a].out, tasks[b].out, tasks[c].out)
        else:
            bound = many([tasks[u].out for u in reads])
        tasks.append(bound.named(f"t{i}"))
    return Workflow.builder("graph").add_all(tasks).build(returns=tasks[-1])


def functions(upstream: Upstream, bodies: Bodies = PLAIN) -> list[Callable[..., Any]]:
    """Per task the plain function that a floor calls with the results the task reads, one by one."""
    nothing, single, triple, many = (body.fn for body in bodies)

    def listed(*parts: int) -> Any:
        return many(list(parts))

    by_count: dict[int, Callable[..., Any]] = {0: nothing, 1: single, 3: triple}
    return [by_count.get(len(reads), listed) for reads in upstream]


def by_id(upstream: Upstream) -> dict[str, tuple[str, ...]]:
    """The graph as graphlib takes it, with the ids that graflow's tasks have."""
    ids = [f"t{i}" for i in range(len(upstream))]
    return {ids[i]: tuple(ids[u] for u in reads) for i, reads in enumerate(upstream)}


def downstream_of(upstream: Upstream) -> list[list[int]]:
    """Per task, who reads it."""
    downstream: list[list[int]] = [[] for _ in upstream]
    for i, reads in enumerate(upstream):
        for u in reads:
            downstream[u].append(i)
    return downstream
