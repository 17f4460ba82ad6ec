"""A workflow inside a workflow: the same tasks under longer ids, reading other inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from graflow.core import _ports
from graflow.core._definition import NESTED_ATTRIBUTE, UNBOUND
from graflow.core._inputs import Template, prepare, spelling
from graflow.core._structure import Structure
from graflow.core.condition import Condition
from graflow.core.group import Gate
from graflow.core.placeholder import InputSource, KnownSource, Placeholder, make_placeholder, takes_item
from graflow.core.requirement import Requirement
from graflow.core.task import Task, changed
from graflow.errors import WiringError

if TYPE_CHECKING:
    from graflow.core.workflow import Workflow

#: The inputs stay a placeholder: the surrounding workflow takes the same model.
KEEP: Any = object()


def moved(
    structure: Structure,
    prefix: str,
    inputs: Any = KEEP,
    *,
    after: Iterable[Any] = (),
    conditions: tuple[Condition, ...] = (),
) -> dict[str, Task[..., Any]]:
    """The tasks of a workflow under ``prefix/id``, by their old ids, every upstream before its downstreams.

    Args:
        structure: of the workflow.
        prefix: goes before each id.
        inputs: in place of the workflow's inputs: an instance of the model, or a placeholder for one.
        after: edges that each root gets.
        conditions: that each task gets.
    """
    new: dict[str, Task[..., Any]] = {}
    gates: dict[int, Gate | Requirement] = {}
    n = len(structure.tasks)
    after = tuple(after)

    def move(value: Any) -> Any:
        if type(value) is Placeholder:
            source = value.__graflow_source__
            if isinstance(source, InputSource):
                is_kept = inputs is KEEP or type(source) is KnownSource
                return value if is_kept else _substitute(inputs, value)
            return make_placeholder(new[source.id], value.__graflow_path__)
        return value.map(move) if type(value) is Template and value.refs else value

    def edge(u: int) -> Any:
        if u < n:
            return new[structure.tasks[u].id]
        if u not in gates:
            members = tuple(new[structure.tasks[m].id] for m in structure.gates[u - n])
            gates[u] = Requirement(members, *structure.rules[u]) if u in structure.rules else Gate(members)
        return gates[u]

    for i in structure.order:
        if i >= n:
            continue
        task = structure.tasks[i]
        extra = task._extra
        if extra is not None:
            extra = tuple(map(move, extra[0])), tuple((name, move(value)) for name, value in extra[1])
        # An order after what is also read says nothing, but for an outcome: the reader then needs its success.
        ordered = (*structure.upstream[i][structure.reads[i] :], *structure.also_after.get(i, ()))
        flags = {u for one in structure.conditions.get(i, ()) for u in structure.sources(one)}
        edges = tuple(edge(u) for u in ordered if u not in flags)
        own = tuple(one.moved(move) for one in structure.conditions.get(i, ()))
        new[task.id] = changed(
            task,
            id=f"{prefix}/{task.id}",
            bound=tuple(move(value) for value in task._bound),
            extra=extra,
            edges=(*edges, *(after if not structure.upstream[i] else ()), *own, *conditions),
        )
    return new


def _substitute(inputs: Any, placeholder: Placeholder) -> Any:
    path = placeholder.__graflow_path__
    if takes_item(placeholder) and type(inputs) is not Placeholder:
        return make_placeholder(KnownSource(inputs), path)
    if type(inputs) is Placeholder:
        return make_placeholder(inputs.__graflow_source__, (*inputs.__graflow_path__, *path))
    value = inputs
    for kind, key in path:
        value = getattr(value, key) if kind == "attr" else value[key]
    return prepare(value, "inputs", path[0][1] if path else "inputs")


def check_given(workflow: Workflow[Any, Any], given: Any, whose: str) -> None:
    """Refuse constant inputs of a nested workflow that are no instance of its model.

    Raises:
        WiringError: names the workflow and the model.
    """
    model = workflow.inputs
    if model is None or given is UNBOUND or given is KEEP or type(given) is Placeholder or isinstance(given, model):
        return
    raise WiringError(
        f"workflow {workflow.name!r}, which {whose} stands for, takes {model.__name__}, not {spelling(given)}; "
        f"pass an instance of it, or a placeholder for one"
    )


def nested_workflow(task: Task[..., Any]) -> Workflow[Any, Any] | None:
    """The workflow that a task stands for, if it was made by `Workflow.as_task`."""
    return getattr(task.fn, NESTED_ATTRIBUTE, None)


def expand(tasks: Iterable[Task[..., Any]]) -> tuple[list[Task[..., Any]], list[Task[..., Any]], dict[str, str]]:
    """Put the tasks of nested workflows beside the tasks that stand for them.

    Returns:
        the tasks themselves; the tasks of nested workflows, at any depth; and, by id of a task that stands for a
        workflow, the id of the task whose result it passes on.
    """
    own: list[Task[..., Any]] = []
    inner: list[Task[..., Any]] = []
    aliases: dict[str, str] = {}
    for task in tasks:
        workflow = nested_workflow(task) if task._definition.fn.__class__ is _FUNCTION and type(task) is Task else None
        if workflow is None:
            own.append(task)
            continue
        structure = workflow._structure
        check_given(workflow, task._bound[0] if task._bound else UNBOUND, f"task {task.id!r}")
        given = task._bound[0] if task._bound and task._bound[0] is not UNBOUND else KEEP
        source = given.__graflow_source__ if type(given) is Placeholder else None
        conditions = tuple(edge for edge in task._edges if isinstance(edge, Condition))
        upstream = tuple(edge for edge in task._edges if not isinstance(edge, Condition))
        if source is not None and not isinstance(source, InputSource):
            upstream = (*upstream, source)
        new = moved(structure, task.id, given, after=upstream, conditions=conditions)
        leaves = [new[structure.tasks[i].id] for i in range(len(structure.tasks)) if not structure.downstream[i]]
        own.append(changed(task, edges=(*task._edges, *leaves)))
        inner.extend(new.values())
        aliases.update({f"{task.id}/{outer}": f"{task.id}/{target}" for outer, target in workflow._aliases.items()})
        if workflow._returns is not None:
            aliases[task.id] = new[workflow._returns].id
    return own, inner, aliases


_FUNCTION: Callable[..., Any] | type = type(expand)


def as_function(workflow: Workflow[Any, Any]) -> Any:
    """A plain function that runs the workflow, for `Workflow.as_task` and for calling ``.fn``."""
    from graflow.core._wiring import result_type

    run_nested: Any
    if workflow._model is None:

        def run_without() -> Any:
            return _ports.run_nested(workflow, None)

        run_nested = run_without
    else:

        def run_with(inputs: Any) -> Any:
            return _ports.run_nested(workflow, inputs)

        run_with.__annotations__["inputs"] = workflow._model
        run_nested = run_with
    returned = workflow._structure.tasks[workflow._structure.index[workflow._returns]] if workflow._returns else None
    run_nested.__annotations__["return"] = result_type(returned) if returned is not None else type(None)
    run_nested.__name__ = run_nested.__qualname__ = workflow.name
    setattr(run_nested, NESTED_ATTRIBUTE, workflow)
    return run_nested
