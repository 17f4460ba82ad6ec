"""Ids that name the inputs of their task: ``train-{lr}-{depth}``."""

from __future__ import annotations

from string import Formatter
from typing import TYPE_CHECKING, Any

from graflow.core._definition import UNBOUND
from graflow.core._inputs import ATOMS, spelling
from graflow.errors import InvalidTaskIdError

if TYPE_CHECKING:
    from graflow.core.task import Task


def check_id_type(id: object) -> None:
    """Refuse an id that is no text.

    Raises:
        InvalidTaskIdError: it is not.
    """
    if not isinstance(id, str):
        raise InvalidTaskIdError(f"a task's id is text, not {id!r}")


def filled(task: Task[..., Any], template: str) -> str:
    """The id that a template stands for.

    Raises:
        InvalidTaskIdError: no text; or it names what is no input of the task, has no value yet, or is no plain value.
    """
    check_id_type(template)
    shape = task._definition.shape
    inputs = {name: value for name, value in zip(shape.names, task._bound, strict=True) if value is not UNBOUND}
    inputs.update(task._extra[1] if task._extra is not None else ())
    try:
        names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise InvalidTaskIdError(f"the id template {template!r} cannot be read: {error}") from None
    for name in names:
        if name not in inputs:
            known = ", ".join(map(repr, inputs)) or "none"
            raise InvalidTaskIdError(
                f"the id template {template!r} names {name!r}, but of the inputs of task {task.id!r} these are bound: "
                f"{known}; bind it first, {task.id}({name or 'x'}=...).named(...)"
            )
        if type(inputs[name]) not in ATOMS:
            raise InvalidTaskIdError(
                f"the id template {template!r} names {name!r}, which is {spelling(inputs[name])} and no plain value; "
                f"name an input that is a number or a text"
            )
    return template.format_map(inputs)
