"""What can be wrong with the references between tasks; noted while they are linked, told by `graflow.core.checks`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graflow.core._definition import UNBOUND
from graflow.core._inputs import Template, same_extra, same_input
from graflow.core.placeholder import InputSource, Placeholder
from graflow.core.task import Task

AnyTask = Task[..., Any]


class Reference(NamedTuple):
    """A mention of one task by another: ``parameter`` is empty for an edge without data."""

    reader: int
    parameter: str
    target: AnyTask
    outcome: bool = False
    """Whether it mentions how the other ended, and not its result."""


class Misfit(NamedTuple):
    """An input whose type certainly cannot feed its parameter, with the reason and the cure."""

    reader: int
    parameter: str
    source: Placeholder
    reason: str
    cure: str


@dataclass(slots=True)
class Problems:
    """What `link` found wrong, in the order of the readers' ids."""

    unknown: list[Reference] = field(default_factory=list)
    clashing: list[Reference] = field(default_factory=list)
    foreign_inputs: list[tuple[int, str, type[Any]]] = field(default_factory=list)
    unbound: list[tuple[int, int]] = field(default_factory=list)
    misfits: list[Misfit] = field(default_factory=list)


def compatible(reference: AnyTask, added: AnyTask) -> bool:
    """Does a reference mean the task that was added: same callable, and no input that differs from the added one's?"""
    if reference is added:
        return True
    return (
        reference._definition.fn is added._definition.fn
        and all(
            carried is UNBOUND or same_input(carried, own) or ("/" in added._id and _reads_inputs(carried))
            for carried, own in zip(reference._bound, added._bound, strict=True)
        )
        and (reference._extra is None or same_extra(reference._extra, added._extra))
    )


def _reads_inputs(value: Any) -> bool:
    """Does this stand for the inputs of a workflow? Where it was included, something else stands in their place."""
    refs = value.refs if type(value) is Template else (value,)
    return any(type(ref) is Placeholder and type(ref.__graflow_source__) is InputSource for ref in refs)
