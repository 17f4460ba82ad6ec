"""What changed between two workflows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graflow.core._digest import digest_callable
from graflow.core._inputs import same_extra, same_input
from graflow.core.requirement import rule_key

if TYPE_CHECKING:
    from graflow.core._structure import Structure
    from graflow.core.task import Task
    from graflow.core.workflow import Workflow


@dataclass(frozen=True, slots=True)
class WorkflowDiff:
    """What has to change in one workflow to become another; each a tuple of task ids, sorted."""

    added: tuple[str, ...]
    """Only the other has them."""
    removed: tuple[str, ...]
    """Only the first has them."""
    rewired: tuple[str, ...]
    """Their inputs or upstreams differ."""
    code_changed: tuple[str, ...]
    """Their functions do something else; comments and places in the file do not count."""
    policies_changed: tuple[str, ...]
    """They ask something else of the runner."""

    def __bool__(self) -> bool:
        return any((self.added, self.removed, self.rewired, self.code_changed, self.policies_changed))

    def __str__(self) -> str:
        rows = [
            ("added", self.added),
            ("removed", self.removed),
            ("rewired", self.rewired),
            ("code changed", self.code_changed),
            ("policies changed", self.policies_changed),
        ]
        return "\n".join(f"{what}: {', '.join(ids)}" for what, ids in rows if ids) or "no difference"


def diff(a: Workflow[Any, Any], b: Workflow[Any, Any]) -> WorkflowDiff:
    """What has to change in ``a`` to become ``b``."""
    ours, theirs = a._structure, b._structure
    common = [id for id in ours.index if id in theirs.index]
    pairs = [(id, ours.tasks[ours.index[id]], theirs.tasks[theirs.index[id]]) for id in common]
    return WorkflowDiff(
        added=tuple(id for id in theirs.index if id not in ours.index),
        removed=tuple(id for id in ours.index if id not in theirs.index),
        rewired=tuple(
            id
            for id, x, y in pairs
            if not _same_inputs(x, y)
            or _upstream(ours, ours.index[id]) != _upstream(theirs, theirs.index[id])
            or _flags(ours, id) != _flags(theirs, id)
            or _rules(ours, id) != _rules(theirs, id)
        ),
        code_changed=tuple(
            id for id, x, y in pairs if x.fn is not y.fn and digest_callable(x.fn) != digest_callable(y.fn)
        ),
        policies_changed=tuple(id for id, x, y in pairs if x.policy != y.policy),
    )


def _upstream(structure: Structure, i: int) -> set[tuple[str, bool]]:
    """The ids of the upstreams of a task, each with whether the task runs even if that one failed."""
    tolerated = structure.tolerated.get(i, frozenset())
    return {(structure.tasks[u].id, u in tolerated) for u in structure.task_upstream(i)}


def _flags(structure: Structure, id: str) -> set[Any]:
    return {(one.spelling, one.wanted) for one in structure.conditions.get(structure.index[id], ())}


def _rules(structure: Structure, id: str) -> set[Any]:
    """The rules that a task waits for."""
    ups = structure.upstream[structure.index[id]]
    return {(rule_key(structure.rules[u][0]), structure.rules[u][1]) for u in ups if u in structure.rules}


def _same_inputs(x: Task[..., Any], y: Task[..., Any]) -> bool:
    """Do two tasks bind the same, where a reference counts by id alone, because the code upstream may have changed?"""
    return (
        type(x) is type(y)
        and len(x._bound) == len(y._bound)
        and all(same_input(p, q, by_id=True) for p, q in zip(x._bound, y._bound, strict=True))
        and same_extra(x._extra, y._extra, by_id=True)
    )
