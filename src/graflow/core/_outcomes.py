"""Which tasks run although an upstream failed: those that take nothing of it but its outcome."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from graflow.core.map_task import references
from graflow.core.placeholder import takes_outcome
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
    ruled = {gate: gates.pop(gate) for gate in structure.rules}
    met, structure.outcomes = structure.outcomes, {}
    for i, taken in met.items():
        if i in structure.aliases:  # it passes a result on, whatever it was given
            continue
        task = structure.tasks[i]
        structure.outcomes[i] = sorted(set(taken))
        results = {index.get(id) for id in _results(task)}
        ordered = {index.get(edge._id) for edge in task._edges if isinstance(edge, Task)}
        ordered.update(u for one in structure.conditions.get(i, ()) for u in structure.sources(one))
        through = [gates[u] for u in structure.upstream[i][structure.reads[i] :] if u in gates]
        only = [u for u in structure.outcomes[i] if u not in results]
        also_after = [u for u in only if u in ordered or any(u in members for members in through)]
        if also_after:
            structure.also_after[i] = tuple(also_after)
        if len(also_after) < len(only):
            structure.tolerated[i] = frozenset(only).difference(also_after)
            enough = [ruled[u] for u in structure.upstream[i][structure.reads[i] :] if u in ruled]
            unawaited = structure.tolerated[i].intersection(u for members in enough for u in members)
            if unawaited:
                structure.unawaited[i] = unawaited


def _results(task: Task[..., Any]) -> Iterator[str]:
    """The ids of the tasks of whose result a task takes at least a part."""
    for ref in references(task._bound, task._extra):
        if not takes_outcome(ref) and isinstance(source := ref.__graflow_source__, Task):
            yield source._id
