"""What a body may return in place of a result, to have the run take another turn.

`continue_with` goes on with another task, `stop_run` ends the run; both are plain values that only the runner
understands, so a body stays a function that can be tested: look at what it returns.
"""

from __future__ import annotations

import warnings
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from graflow.core._attempt import ATTEMPT
from graflow.core._collect import referenced
from graflow.core._definition import UNBOUND
from graflow.core._digest import digest_value
from graflow.core._inputs import Template
from graflow.core._nesting import nested_workflow
from graflow.core.map_task import MapTask
from graflow.core.signal import Signal
from graflow.core.task import Task
from graflow.errors import GraflowWarning, MapError, WiringError

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")

#: How often a task may go on with another one, if its policy ``max_continuations`` does not say.
MAX_CONTINUATIONS: Final = 1000
#: How many items a map may have, if its policy ``max_items`` does not say.
MAX_ITEMS: Final = 1_000_000


class Turn:
    """In place of a result: what is to happen instead."""

    __slots__ = ()


class _Returned(Turn):
    """A turn that means something only where a body returns it. Says so if nobody did.

    Attributes:
        is_taken: somebody sees to it.
    """

    __slots__ = ("is_taken",)

    def __init__(self) -> None:
        self.is_taken = False

    def __del__(self) -> None:
        if not self.is_taken and ATTEMPT.get() is not None:
            warnings.warn(f"{self!r} was made and not returned, so nothing comes of it; return it", GraflowWarning, 2)


class Continuation(_Returned):
    """What `continue_with` gives.

    Attributes:
        task: what comes next; all its inputs are bound.
    """

    __slots__ = ("task",)

    def __init__(self, task: Task[[], Any]) -> None:
        super().__init__()
        self.task = task

    def __reduce__(self) -> tuple[Any, ...]:
        self.is_taken = True
        return _copied, (Continuation, self.task)

    def __repr__(self) -> str:
        return f"<continue with {self.task!r}>"


class Stop(_Returned):
    """What `stop_run` gives.

    Attributes:
        value: the value of the run.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        self.is_taken = True
        return _copied, (Stop, self.value)

    def __repr__(self) -> str:
        return f"<stop the run with {self.value!r}>"


def _copied(kind: type[Continuation | Stop], what: Any) -> Continuation | Stop:
    """A copy of a turn that somebody sees to already."""
    turn = kind(what)
    turn.is_taken = True
    return turn


class Columns(Turn):
    """What opening a map gives: the items of everything it is mapped over, item by item.

    Attributes:
        rows: per item, one value for each thing that is mapped over.
    """

    __slots__ = ("rows",)

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self.rows = rows


def continue_with(task: Task[[], R]) -> R:
    """Return this from a body: the run goes on with ``task``, and its result is this task's result.

    The task may be the same one with other inputs, which makes a loop; one that reads the results of others, which run
    first; or a whole workflow, ``continue_with(workflow.as_task("inner")(inputs))``. It runs where this task runs. Its
    own ``retry`` and ``timeout`` count where it has them, for each turn anew. After ``max_continuations`` turns, 1000
    unless the task's policy says otherwise, the task fails.

    Args:
        task: with all inputs bound; its inputs are values, which are known now.

    Raises:
        WiringError: no task, one with an input missing, or a signal.
        DefinitionError: it reads the results of others, and they are no workflow together.
    """
    if not isinstance(task, Task):
        raise WiringError(f"continue_with() takes a task with its inputs, continue_with(step(n - 1)), not {task!r}")
    shape = task._definition.shape
    missing = [shape.names[k] for k in shape.required if task._bound[k] is UNBOUND]
    if missing:
        raise WiringError(
            f"continue_with({task.id}): parameter {missing[0]!r} has no input; bind it: {task.id}({missing[0]}=...)"
        )
    following: Task[[], Any] = task
    if task._edges or isinstance(task, MapTask) or next(iter(referenced(task)), None) is not None:
        # It is more than a call: what it reads comes first, it has items, or a flag. All that makes a workflow.
        from graflow.core.workflow import Workflow

        following = Workflow.of(task.id, task, returns=task).as_task(task.id)()
    nested = nested_workflow(following)
    inside = () if nested is None else nested.tasks.values()
    waiting = next((one for one in (following, *inside) if isinstance(one, Signal)), None)
    if waiting is not None:
        raise WiringError(
            f"continue_with({task.id}) would wait for signal {waiting.id!r}, which nobody can send there; put the "
            f"signal into the workflow of this task, and the rest after it"
        )
    return cast(R, Continuation(following))


def stop_run(value: R) -> R:
    """Return this from a body: the run ends here, successfully, with this as its value.

    What runs already is told (``current().cancelled``) and waited for; nothing more starts.
    """
    return cast(R, Stop(value))


def step_of(task: Task[..., Any]) -> tuple[Callable[..., Any], list[Any], dict[str, Any]]:
    """What to call for a task that another one goes on with: a function and its arguments."""

    def filled(value: Any) -> Any:
        return value.filled(filled) if type(value) is Template else value

    shape = task._definition.shape
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for k, value in enumerate(task._bound):
        if value is UNBOUND:
            continue
        if k == len(args) and k < shape.positional:
            args.append(filled(value))
        else:
            kwargs[shape.names[k]] = filled(value)
    if task._extra is not None:
        args.extend(map(filled, task._extra[0]))
        kwargs.update((name, filled(value)) for name, value in task._extra[1])
    return task._definition.fn, args, kwargs


def run_step(continuation: Continuation) -> Any:
    """The function of a task that goes on: the next one's, with its inputs."""
    function, args, kwargs = step_of(continuation.task)
    return function(*args, **kwargs)


async def await_step(continuation: Continuation) -> Any:
    """`run_step` for tasks that run in the event loop; a plain function goes to a thread, for it may block."""
    import asyncio

    function, args, kwargs = step_of(continuation.task)
    if continuation.task._definition.is_async:
        return await function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)


def rows_of(names: tuple[str, ...], shared: tuple[bool, ...], most: int, *columns: Any) -> Columns:
    """The function of a map: take the items of everything it is mapped over.

    Args:
        names: how a user would write each of them, for messages.
        shared: which of them somebody else reads as well.
        most: how many items there may be.
        columns: what is mapped over.

    Raises:
        MapError: text, something without items, too many of them, or not the same number everywhere.
    """
    found: list[list[Any]] = []
    for name, is_shared, column in zip(names, shared, columns, strict=True):
        if isinstance(column, str | bytes | bytearray):
            raise MapError(
                f"{name} is text ({type(column).__name__}), and mapping over its characters is almost always a "
                f"mistake; return list(text) to mean it"
            )
        if is_shared and hasattr(column, "__next__"):
            raise MapError(
                f"{name} is an iterator ({type(column).__name__}), which can be read once, and more than one task "
                f"reads it; return a list"
            )
        if isinstance(column, set | frozenset):  # in an order that is the same in every process, for who resumes
            column = sorted(column, key=digest_value)
        try:
            items = iter(column)
        except TypeError:
            raise MapError(f"{name} is of type {type(column).__name__}, which has no items to map over") from None
        found.append(list(islice(items, most + 1)))
        if len(found[-1]) > most:
            raise MapError(
                f"{name} has more than {most:,} items; an endless iterator cannot be mapped over, and for more items "
                f"raise the limit with .with_policy(max_items=...)"
            )
    counts = list(map(len, found))
    if len(set(counts)) > 1:
        shown = ", ".join(f"{name} has {count:,}" for name, count in zip(names, counts, strict=True))
        raise MapError(f"what is mapped over side by side must have equally many items, but {shown}")
    return Columns(list(zip(*found, strict=True)))
