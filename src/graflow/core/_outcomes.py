"""Which tasks run although an upstream failed: those that take nothing of it but its outcome."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from graflow.core._inputs import Template
from graflow.core.placeholder import Placeholder, takes_outcome
from graflow.core.task import Task

if TYPE_CHECKING:
    from graflow.core._structure import Structure


def weigh(structure: Structure) -> None:
    """Tell the upstreams that a reader of outcomes runs in spite of from those it needs all the same.

    Args:
        structure: with all its edges, and in ``outcomes`` whatever was met, in any order and any number of times.
    """
    n, index = len(structure.tasks), structure.index
    gates = {n + k: frozenset(members) for k, members in enumerate(structure.gates)}
    met, structure.outcomes = structure.outcomes, {}
    for i, taken in met.items():
        if i in structure.aliases:  # it passes a result on, whatever it was given
            continue
        task = structure.tasks[i]
        structure.outcomes[i] = sorted(set(taken))
        results = {index.get(id) for id in _results(task)}
        ordered = {index.get(edge._id) for edge in task._edges if isinstance(edge, Task)}
        through = [gates[u] for u in structure.upstream[i][structure.reads[i] :] if u in gates]
        only = [u for u in structure.outcomes[i] if u not in results]
        also_after = [u for u in only if u in ordered or any(u in members for members in through)]
        if also_after:
            structure.also_after[i] = tuple(also_after)
        if len(also_after) < len(only):
            structure.tolerated[i] = frozenset(only).difference(also_after)


def _results(task: Task[..., Any]) -> Iterator[str]:
    """The ids of the tasks of whose result a task takes at least a part."""
    surplus, named = task._extra if task._extra is not None else ((), ())
    for value in (*task._bound, *surplus, *(value for _, value in named)):
        for ref in value.refs if type(value) is Template else (value,):
            if type(ref) is Placeholder and not takes_outcome(ref):
                source = ref.__graflow_source__
                if isinstance(source, Task):
                    yield source._id
