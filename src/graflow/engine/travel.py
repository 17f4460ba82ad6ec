"""Whether the tasks of a workflow can travel to another process, asked before any of them has to."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from graflow.core._inputs import ATOMS, Template
from graflow.core.placeholder import Placeholder
from graflow.core.plan import named_inputs
from graflow.errors import PortabilityWarning, SerializationError

if TYPE_CHECKING:
    from graflow.core.workflow import Workflow


def check_portable(workflow: Workflow[Any, Any]) -> None:
    """Check every distinct function and every constant input.

    Raises:
        SerializationError: lists each obstacle: the task, the path to the culprit, why, and the cure.

    Warns:
        PortabilityWarning: a task carries more than 1 MiB of captured variables.
    """
    found = complaints(workflow)
    if found:
        raise SerializationError(f"workflow {workflow.name!r} cannot travel to another process: " + "\n".join(found))


def complaints(workflow: Workflow[Any, Any]) -> list[str]:
    """What keeps the tasks of a workflow from travelling, one line each; warns as `check_portable` does."""
    from graflow.engine import portable

    lines: list[str] = []
    looked_at: set[int] = set()
    for task in workflow.tasks.values():
        if id(task.fn) not in looked_at:
            looked_at.add(id(task.fn))
            found = portable.obstacles(task.fn)
            lines += [f"task {task.id!r}: {portable.explain(obstacle)}" for obstacle in found]
            if not found:
                _warn_of_cargo(task.id, task.fn)
        for name, value in named_inputs(task):
            constant = _constant(value)
            if type(constant) not in ATOMS:
                found = portable.obstacles(constant, root=f"input {name!r}")
                lines += [f"task {task.id!r}: {portable.explain(obstacle)}" for obstacle in found]
    return lines


def _constant(value: Any) -> Any:
    """An input with nothing in place of the results to come."""
    if type(value) is Placeholder:
        return None
    return value.filled(_constant) if type(value) is Template else value


def _warn_of_cargo(id: str, fn: Any) -> None:
    from graflow.core.checks import caller_level
    from graflow.engine import portable

    for cargo in portable.cargo(fn):
        warnings.warn(
            f"task {id!r} carries {cargo.size / (1 << 20):.1f} MiB in {cargo.variable}; pass a path or the result of a "
            f"task instead",
            PortabilityWarning,
            stacklevel=caller_level(),
        )
