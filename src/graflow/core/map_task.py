"""`MapTask`: a task that runs once for each item of something, and `first_of`: a choice between tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from graflow.core._definition import Extra
from graflow.core._inputs import Template
from graflow.core._recording import RECORDER
from graflow.core.placeholder import OUTCOME, Placeholder, make_placeholder, source_spelling, takes_item
from graflow.core.requirement import FirstOf, Requirement
from graflow.core.task import Task, changed, make_task
from graflow.errors import WiringError

if TYPE_CHECKING:
    from graflow.core.outcome import Outcome

R = TypeVar("R")
S = TypeVar("S")
A = TypeVar("A")
B = TypeVar("B")


class MapTask(Task[[], list[R]], Generic[R]):
    """A task that runs once for each item; what `Task.map` gives. Its result is a list."""

    __slots__ = ()

    @property
    def outcome(self) -> list[Outcome[R]]:  # type: ignore[override]  # an end for each item, where a task has one
        """A placeholder for how each item ends: a list of `Ok`, `Failed` or `Skipped`, in item order.

        A task that takes it runs although items failed. If the items are never known, because what is mapped over has
        no result, there is no such list, and the reader is skipped.
        """
        return cast("list[Outcome[R]]", make_placeholder(self, OUTCOME))


def references(bound: tuple[Any, ...], extra: Extra | None) -> Iterator[Placeholder]:
    """All placeholders in the inputs of a task."""
    surplus, named = extra if extra is not None else ((), ())
    for value in (*bound, *surplus, *(value for _, value in named)):
        for ref in value.refs if type(value) is Template else (value,):
            if type(ref) is Placeholder:
                yield ref


def check_mappable(task: Task[..., Any]) -> None:
    """Refuse what has no body to run for each item.

    Raises:
        WiringError: a map already, or a signal.
    """
    if type(task) is not Task:
        if not isinstance(task, MapTask):
            raise WiringError(f"signal {task.id!r} has no function to map")
        raise WiringError(f"task {task.id!r} is mapped already; map over its result in another task")


def mapped(task: Task[..., Any], bound: tuple[Any, ...], extra: Extra | None) -> MapTask[Any]:
    """The task as a map with these inputs.

    Raises:
        WiringError: no input is an item.
    """
    if not any(map(takes_item, references(bound, extra))):
        raise WiringError(
            f"{task.id}.map() has no input that is one item, such as {_example(task, bound)}; without one, call "
            f"{task.id}(...)"
        )
    new = make_task(task._id, task._definition, bound, extra, task._edges, task._policy, MapTask)
    recorder = RECORDER.get()
    if recorder is not None:
        recorder.made(new, task, "called")
    return cast("MapTask[Any]", new)


def _example(task: Task[..., Any], bound: tuple[Any, ...]) -> str:
    """An input that is an item: the first result that was given, if one was."""
    names = task._definition.shape.names
    for name, value in zip(names, bound, strict=True):
        if type(value) is Template and not value.refs:
            return f"{name}=each([...])"
        if type(value) is Placeholder:
            spelt = source_spelling(value)
            return f"{name}={spelt.removesuffix('.out')}.each" if spelt.endswith(".out") else f"{name}=each({spelt})"
    return f"{names[0]}=rows.each" if names else "rows.each"


@overload
def first_of(a: Task[..., R], b: Task[..., S], /, *, id: str | None = None) -> Task[[], R | S]: ...
@overload
def first_of(a: Task[..., R], b: Task[..., S], c: Task[..., A], /, *, id: str | None = None) -> Task[[], R | S | A]: ...
@overload
def first_of(
    a: Task[..., R], b: Task[..., S], c: Task[..., A], d: Task[..., B], /, *, id: str | None = None
) -> Task[[], R | S | A | B]: ...
@overload
def first_of(
    a: Task[..., Any],
    b: Task[..., Any],
    c: Task[..., Any],
    d: Task[..., Any],
    e: Task[..., Any],
    /,
    *more: Task[..., Any],
    id: str | None = None,
) -> Task[[], Any]: ...
def first_of(*tasks: Task[..., Any], id: str | None = None) -> Task[[], Any]:
    """A task whose result is that of the first of these, in this order, that has one; to join branches.

    It starts as soon as that is known, and is skipped if none of them succeeds. A failure of one of them is made up for
    by the success of another.

    Args:
        tasks: two or more.
        id: of the new task; ``first_of-`` and their ids by default.

    Raises:
        WiringError: no tasks, or fewer than two.
    """
    for one in tasks:
        if not isinstance(one, Task):
            raise WiringError(f"first_of() takes tasks, not {one!r}")
    if len({one.id for one in tasks}) < 2:
        raise WiringError("first_of() takes two or more tasks of different ids")
    made: Task[..., Any] = Task("-".join(["first_of", *(one.id.replace("/", ".") for one in tasks)]), first_result)
    if id is not None:
        made = made.named(id)
    bound = made(*(make_placeholder(one, OUTCOME) for one in tasks))
    rule = Requirement(tasks, FirstOf(tuple(one.id for one in tasks)))
    new = changed(bound, edges=(rule,))
    recorder = RECORDER.get()
    if recorder is not None:
        recorder.joined(*tasks)
        recorder.made(new, bound, "wired")
    return new


def first_result(*outcomes: Any) -> Any:
    """The function of `first_of`: the result of the first task that has one."""
    from graflow.core.outcome import Ok

    for one in outcomes:
        if isinstance(one, Ok):
            return one.value
        if isinstance(one, list) and all(isinstance(item, Ok) for item in one):  # of a map
            return [item.value for item in one]
    raise WiringError("none of these tasks has a result")  # not in a run: its rule does not let it start then
