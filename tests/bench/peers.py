"""The same work done by other libraries, as far as they are installed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import graphs
import rows
from measure import Pair, paired, seconds


def dask_graph(upstream: graphs.Upstream) -> dict[str, Any]:
    """The graph in dask's plain form: a dictionary of tuples."""
    functions = graphs.functions(upstream)
    return {f"t{i}": (functions[i], *(f"t{u}" for u in reads)) for i, reads in enumerate(upstream)}


def dask_delayed(upstream: graphs.Upstream) -> Any:
    """The graph as users of dask write it."""
    from dask import delayed

    made: list[Any] = []
    for function, reads in zip(graphs.functions(upstream), upstream, strict=True):
        made.append(delayed(function)(*[made[u] for u in reads]))
    return made[-1]


def dask_inline(upstream: graphs.Upstream) -> Callable[[], Any]:
    """Run in the calling thread."""
    from dask.local import get_sync

    return partial(get_sync, dask_graph(upstream), f"t{len(upstream) - 1}")


def dask_threads(upstream: graphs.Upstream) -> Callable[[], Any]:
    """Run on 2 threads."""
    from dask.threaded import get

    return partial(get, dask_graph(upstream), f"t{len(upstream) - 1}", num_workers=rows.WORKERS)


#: Row → library → what it does on a graph.
ON_GRAPHS: dict[str, dict[str, Callable[[graphs.Upstream], Callable[[], Any]]]] = {
    "L1": {"dask": lambda upstream: partial(dask_delayed, upstream)},
    "L3": {"dask": dask_inline},
    "L4": {"dask": dask_threads},
}


def measure_peer(row: str, library: str, shape: str, n: int, turns: int) -> Pair:
    """Seconds per task of ours, of the peer, and the ratio."""
    upstream = graphs.SHAPES[shape](n)
    small = graphs.SHAPES[shape](200)
    for work in (rows.GRAPH_WORK[row](small)[0], ON_GRAPHS[row][library](small)):
        work()  # loads and looks up what is needed once
    ours, theirs = rows.GRAPH_WORK[row](upstream)[0], ON_GRAPHS[row][library](upstream)
    pair = paired(partial(seconds, ours), partial(seconds, theirs), turns)
    return Pair(pair.ours / n, pair.floor / n, pair.ratio)


def measure_loky(tasks: int, milliseconds: int, turns: int) -> Pair:
    """L7 of joblib: independent tasks that compute, on 2 processes that it keeps from one turn to the next."""
    from joblib import Parallel, delayed

    from graflow import LocalRunner, Workflow, task

    amount = rows.turns_for(milliseconds)
    several = [task(rows.spin)(amount).named(f"t{i}") for i in range(tasks)]
    workflow = Workflow.builder("spin").add_all(several).build(returns=several[-1])
    ours = partial(LocalRunner("processes", rows.WORKERS).run, workflow)

    def theirs() -> Any:
        return Parallel(n_jobs=rows.WORKERS)(delayed(rows.spin)(amount) for _ in range(tasks))

    return paired(partial(seconds, ours), partial(seconds, theirs), turns)


def installed(library: str) -> bool:
    """Whether a peer can be measured here."""
    return find_spec(library) is not None
