"""`WorkflowBuilder`: the fluent way to a `graflow.core.workflow.Workflow`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    NamedTuple,
    NoReturn,
    ParamSpec,
    Self,
    TypeVar,
    cast,
    overload,
)

from graflow.core._nesting import KEEP, check_given, moved
from graflow.core._recording import RECORDER
from graflow.core.checks import end_stage, legal_ids
from graflow.core.placeholder import make_placeholder
from graflow.core.task import Task, changed
from graflow.core.workflow import Workflow, build_workflow
from graflow.errors import ConfigurationError, WiringError

if TYPE_CHECKING:
    from pydantic import BaseModel

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
A = TypeVar("A")
In = TypeVar("In")
M = TypeVar("M", bound="BaseModel")


class _Many(NamedTuple):
    tasks: tuple[Task[..., Any], ...]


class _Order(NamedTuple):
    tasks: tuple[Task[..., Any], ...]


class _Include(NamedTuple):
    tasks: tuple[Task[..., Any], ...]
    aliases: Mapping[str, str]


class _BuilderFields:
    # Each builder holds the one before it and what it adds: a call costs the same however long the workflow is.
    __slots__ = ("_before", "_item", "_last", "_model", "_name")
    _name: str
    _model: type[BaseModel] | None
    _before: WorkflowBuilder[Any, Any] | None
    _item: Task[..., Any] | _Many | _Order | _Include | None
    _last: Task[..., Any] | None


class WorkflowBuilder(_BuilderFields, Generic[In, R]):
    """Collects tasks for a workflow. Immutable: each call gives a new builder, so a half-built one is a template."""

    __slots__ = ()

    def __init__(self) -> None:
        raise ConfigurationError("a builder starts with Workflow.builder(name)")

    def add(self, task: Task[P, S], *args: P.args, **kwargs: P.kwargs) -> WorkflowBuilder[In, S]:
        """Add a task, with inputs as its own function takes them.

        Raises:
            WiringError: the inputs do not fit the function's parameters.
        """
        _check_task(task, "add")
        bound = _bound(task, args, kwargs)
        return make_builder(self._name, self._model, self, bound, bound)

    def then(
        self: WorkflowBuilder[In, A], task: Task[Concatenate[A, Q], S], *args: Q.args, **kwargs: Q.kwargs
    ) -> WorkflowBuilder[In, S]:
        """Add a task whose first parameter takes the result of the task added last.

        Raises:
            WiringError: no task was added before, or the inputs do not fit.
        """
        _check_task(task, "then")
        if self._last is None:
            raise WiringError(f"then({task.id}) needs a task before it; start with .add({task.id}, ...)")
        bound = _bound(task, (make_placeholder(self._last), *args), kwargs)
        return make_builder(self._name, self._model, self, bound, bound)

    def map(self, task: Task[P, S], *args: P.args, **kwargs: P.kwargs) -> WorkflowBuilder[In, list[S]]:
        """Add a task that runs once for each item: short for ``add(task.map(...))``.

        Refer to its result by the map: ``scored = score.map(row=clean.each)``, ``scored.out``. To a type checker,
        ``score.out`` is the result for one item, although in this workflow it is the list.

        Raises:
            WiringError: as for `Task.map`.
        """
        _check_task(task, "map")
        bound = _unheard(lambda: task.map(*args, **kwargs))
        return make_builder(self._name, self._model, self, bound, bound)

    def add_all(self, tasks: Iterable[Task[[], Any]]) -> Self:
        """Add tasks whose inputs are bound already."""
        many = tuple(tasks)
        for task in many:
            _check_task(task, "add_all")
        return cast(Self, make_builder(self._name, self._model, self, _Many(many), many[-1] if many else self._last))

    def order(self, *tasks: Task[..., Any]) -> Self:
        """Run these one after the other, without passing results."""
        for task in tasks:
            _check_task(task, "order")
        return cast(Self, make_builder(self._name, self._model, self, _Order(tasks), self._last))

    @overload
    def include(self, other: Workflow[None, Any], *, prefix: str) -> Self: ...
    @overload
    def include(self, other: Workflow[M, Any], inputs: M, *, prefix: str) -> Self: ...
    def include(self, other: Workflow[Any, Any], inputs: Any = KEEP, *, prefix: str) -> Self:
        """Add all tasks of another workflow as ``prefix/id``.

        Args:
            other: the workflow.
            inputs: what it takes: an instance of its model, or a placeholder for one.
            prefix: one legal id.

        Refer to the included tasks by ``other.renamed(prefix).tasks["prefix/id"]``.

        Raises:
            InvalidTaskIdError: the prefix is not a legal id.
            WiringError: the other workflow takes inputs and got none.
        """
        if not isinstance(other, Workflow):
            raise WiringError(f"include() takes a workflow, not {other!r}; use .add() for a task")
        end_stage(self._name, legal_ids([prefix], self._name))
        if other._model is not None and inputs is KEEP:
            raise WiringError(
                f"workflow {other.name!r} takes {other._model.__name__}; "
                f"give it: .include(..., inputs, prefix={prefix!r})"
            )
        check_given(other, inputs, f"prefix {prefix!r}")
        tasks = moved(other._structure, prefix, inputs)
        aliases = {f"{prefix}/{outer}": f"{prefix}/{target}" for outer, target in other._aliases.items()}
        last = tasks[other._returns] if other._returns is not None else self._last
        item = _Include(tuple(tasks.values()), aliases)
        return cast(Self, make_builder(self._name, self._model, self, item, last))

    @overload
    def build(self, *, returns: Task[..., S], portable: bool = False) -> Workflow[In, S]: ...
    @overload
    def build(self, *, portable: bool = False) -> Workflow[In, R]: ...
    def build(self, *, returns: Task[..., Any] | None = None, portable: bool = False) -> Workflow[Any, Any]:
        """Check everything and freeze.

        Args:
            returns: the task whose result is the value of a run; by default the one added last.
            portable: also check that every task can travel to another process.

        Raises:
            DefinitionError: a check failed; see `graflow.core.checks` for the checks and their order.
            SerializationError: with ``portable``, a task cannot travel.
        """
        tasks: list[Task[..., Any]] = []
        included: list[Task[..., Any]] = []
        aliases: dict[str, str] = {}
        orders: list[_Order] = []
        for item in self._items():
            if isinstance(item, Task):
                tasks.append(item)
            elif isinstance(item, _Many):
                tasks.extend(item.tasks)
            elif isinstance(item, _Order):
                orders.append(item)
            else:
                included.extend(item.tasks)
                aliases.update(item.aliases)
        mentioned = list(dict.fromkeys(task for order in orders for task in order.tasks))
        if orders:
            tasks, included = _ordered(orders, tasks, included)
        return build_workflow(
            self._name,
            tasks,
            self._model,
            returns if returns is not None else self._last,
            included=included,
            aliases=aliases,
            mentioned=mentioned,
            portable=portable,
        )

    def _items(self) -> list[Task[..., Any] | _Many | _Order | _Include]:
        items: list[Any] = []
        builder: WorkflowBuilder[Any, Any] | None = self
        while builder is not None:
            if builder._item is not None:
                items.append(builder._item)
            builder = builder._before
        items.reverse()
        return items

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"the builder of {self._name!r} is frozen; its methods give a new builder")

    def __repr__(self) -> str:
        return f"<builder of workflow {self._name!r}, {len(self._items())} calls>"


def make_builder(name: str, model: Any, before: Any, item: Any, last: Any) -> WorkflowBuilder[Any, Any]:
    """A builder of its parts, nothing checked."""
    new = _BuilderFields()
    new._name = name
    new._model = model
    new._before = before
    new._item = item
    new._last = last
    new.__class__ = WorkflowBuilder
    return cast("WorkflowBuilder[Any, Any]", new)


def _bound(task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Task[..., Any]:
    """The task with inputs."""
    return _unheard(lambda: task(*args, **kwargs)) if args or kwargs else task


def _unheard(make: Callable[[], Task[..., Any]]) -> Task[..., Any]:
    """Make a task unheard by a block that may be open around the builder."""
    if RECORDER.get() is None:
        return make()
    token = RECORDER.set(None)
    try:
        return make()
    finally:
        RECORDER.reset(token)


def _check_task(task: object, method: str) -> None:
    if not isinstance(task, Task):
        raise WiringError(f"{method}() takes a task, not {task!r}; make one with @task")
    recorder = RECORDER.get()
    if recorder is not None:
        recorder.taken(task)


def _ordered(
    orders: list[_Order], tasks: list[Task[..., Any]], included: list[Task[..., Any]]
) -> tuple[list[Task[..., Any]], list[Task[..., Any]]]:
    """Give each task the edges that ``order`` drew; that it names the right tasks is checked with the references."""
    added = {task.id: task for task in (*tasks, *included)}
    after: dict[str, list[Task[..., Any]]] = {}
    for order in orders:
        for left, right in pairwise(order.tasks):
            if left.id in added:
                after.setdefault(right.id, []).append(added[left.id])

    def extended(task: Task[..., Any]) -> Task[..., Any]:
        return changed(task, edges=(*task._edges, *after[task.id])) if task.id in after else task

    return [extended(task) for task in tasks], [extended(task) for task in included]
