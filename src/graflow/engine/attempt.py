"""One attempt: its arguments, its context, and whether what it returned can be a result."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from types import CoroutineType
from typing import Any

from graflow.core._recipes import Recipe
from graflow.core.block import Block
from graflow.core.builder import WorkflowBuilder
from graflow.core.group import Group
from graflow.core.map_task import MapTask
from graflow.core.placeholder import Placeholder
from graflow.core.signal import Signal
from graflow.core.task import Task
from graflow.core.turns import Columns, Continuation, Stop
from graflow.errors import CancelRun, ResultUnavailableError, TaskResultError

#: What a task returns by mistake: the definition of work in place of its result.
DEFINITIONS: frozenset[type] = frozenset({Task, MapTask, Signal, Placeholder, Group, WorkflowBuilder, Block})
#: What a task returns to have the run take another turn.
TURNS: frozenset[type] = frozenset({Columns, Continuation, Stop})
#: Types of results that need a second look.
SPECIAL: frozenset[type] = DEFINITIONS | TURNS | {CoroutineType, CancelRun}


def result_error(id: str, value: Any) -> TaskResultError | None:
    """Why a value cannot be the result of a task; None if it can."""
    if type(value) is CancelRun:
        return TaskResultError(f"task {id!r} returned {value!r}, which is to be raised: raise CancelRun(...)")
    if type(value) not in DEFINITIONS:
        return None
    if isinstance(value, Task):
        what, cure = f"task {value.id!r}", "return its result, or wire the two tasks together"
    elif isinstance(value, Placeholder):
        what, cure = repr(value), "a placeholder stands for a result only while a workflow is defined"
    else:
        what, cure = repr(value), "return a value"
    return TaskResultError(f"task {id!r} returned {what}, which is the definition of work and not a result; {cure}")


def arguments(recipe: tuple[int, ...] | Recipe, slots: Sequence[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """What to call a task's function with."""
    if isinstance(recipe, Recipe):
        return recipe.arguments(slots)
    return [slots[slot] for slot in recipe], {}


def no_upstream(reader: str, id: str, *, known: bool) -> ResultUnavailableError:
    """Why a task's body cannot read this result."""
    if not known:
        return ResultUnavailableError(f"task {reader!r} reads the result of {id!r}, which is not in its workflow")
    return ResultUnavailableError(
        f"task {reader!r} reads the result of {id!r}, which is no direct upstream of it, so it may not have "
        f"run yet; draw the edge, {id} >> {reader}, or pass the result as an input"
    )


def noted(error: BaseException, id: str) -> BaseException:
    """The error with a note that names the task, unless its class refuses notes, as frozen dataclasses do.

    To be called in the frame that caught it: that frame leaves the traceback, for it is ours, and it would keep the
    whole run alive as long as somebody keeps the error.
    """
    if error.__traceback__ is not None:
        error.with_traceback(error.__traceback__.tb_next)
    with contextlib.suppress(Exception):
        error.add_note(f"in task {id!r}")
    return error


def said(error: BaseException) -> str:
    """The message of an exception, whatever its ``__str__`` does."""
    try:
        return exact(str(error))
    except Exception as other:  # noqa: BLE001  # a __str__ may raise anything
        return f"(its __str__ raised {type(other).__name__})"


def exact(text: str) -> str:
    """The text as a plain ``str``: a subclass may not be picklable."""
    return text if type(text) is str else "".join(list(text))
