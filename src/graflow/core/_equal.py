"""When two workflows are equal."""

from __future__ import annotations

from typing import Any

from graflow.core._inputs import same_extra, same_input
from graflow.core._structure import Structure
from graflow.core.condition import Condition
from graflow.core.requirement import rule_key
from graflow.core.task import Task


def same_task(a: Task[..., Any], b: Task[..., Any]) -> bool:
    """Are two tasks of one id equal but for their edges?"""
    return a is b or (
        a._definition.fn is b._definition.fn
        and type(a) is type(b)
        and all(map(same_input, a._bound, b._bound))
        and same_extra(a._extra, b._extra)
        and a._policy == b._policy
    )


def same_order(a: Structure, b: Structure) -> bool:
    """Do two structures of the same tasks order them in the same way, and run them under the same conditions?"""
    if a.conditions.keys() != b.conditions.keys() or _required(a) != _required(b):
        return False
    if not all(_same_flags(one, b.conditions[i]) for i, one in a.conditions.items()):
        return False
    if a.upstream == b.upstream:
        return True
    # One may order through a gate what the other orders edge by edge.
    return all(set(a.task_upstream(i)) == set(b.task_upstream(i)) for i in range(len(a.tasks)))


def _same_flags(a: tuple[Condition, ...], b: tuple[Condition, ...]) -> bool:
    return {one.key for one in a} == {one.key for one in b}


def _required(structure: Structure) -> set[Any]:
    """Which task waits for which rule of which tasks."""
    n = len(structure.tasks)
    return {
        (i, structure.gates[gate - n], rule_key(rule))
        for gate, (rule, _) in structure.rules.items()
        for i in structure.downstream[gate]
    }
