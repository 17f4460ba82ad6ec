"""Tasks and all that they refer to, versions of one task added up: for `Workflow.of` and for blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from graflow.core._definition import UNBOUND
from graflow.core._inputs import Template, same_extra, same_input, spelling
from graflow.core.checks import duplicate_message, end_stage
from graflow.core.group import Gate, edge_key
from graflow.core.placeholder import InputSource, Placeholder
from graflow.core.task import Task, make_task
from graflow.errors import ConfigurationError, DefinitionError, DuplicateTaskError

AnyTask = Task[..., Any]


def referenced(task: AnyTask, gates: set[int] | None = None) -> Iterator[AnyTask]:
    """The tasks that a task mentions, in its inputs and edges.

    Args:
        task: the reader.
        gates: identities of the gates to leave out, because their members were given before; grows. Without it, asking
            all readers of a gate costs readers times members.
    """
    extra = task._extra
    more = (*extra[0], *(value for _, value in extra[1])) if extra is not None else ()
    for value in (*task._bound, *more):
        if type(value) is Placeholder:
            if not isinstance(source := value.__graflow_source__, InputSource):
                yield source
        elif type(value) is Template:
            for ref in value.refs:
                if not isinstance(source := ref.__graflow_source__, InputSource):
                    yield source
    for edge in task._edges:
        if isinstance(edge, Task):
            yield edge
        elif gates is None or not isinstance(edge, Gate):
            yield from edge.members
        elif id(edge) not in gates:
            gates.add(id(edge))
            yield from edge.members


def reachable(tasks: Iterable[AnyTask]) -> list[AnyTask]:
    """These tasks and all that they mention, each object once, in order of discovery."""
    seen: dict[int, AnyTask] = {}
    gates: set[int] = set()
    stack = list(tasks)[::-1]
    while stack:
        task = stack.pop()
        if not isinstance(task, Task):
            raise ConfigurationError(f"a workflow is made of tasks, not of {task!r}; make one with @task")
        if id(task) not in seen:
            seen[id(task)] = task
            stack.extend(referenced(task, gates))
    return list(seen.values())


def collect(name: str, tasks: Iterable[AnyTask]) -> dict[str, AnyTask]:
    """All tasks that are mentioned, by id, versions of one id merged.

    Raises:
        DuplicateTaskError: versions of one id contradict each other.
    """
    versions: dict[str, list[AnyTask]] = {}
    for task in reachable(tasks):
        versions.setdefault(task.id, []).append(task)
    return merge_all(name, versions)


def merge_all(name: str, versions: dict[str, list[AnyTask]]) -> dict[str, AnyTask]:
    """One task for each id; all contradictions are reported together."""
    errors: list[DefinitionError] = []
    merged: dict[str, AnyTask] = {}
    for id, same_id in versions.items():
        try:
            merged[id] = _merged(name, same_id)
        except DuplicateTaskError as error:
            errors.append(error)
    end_stage(name, errors)
    return merged


def _merged(name: str, versions: list[AnyTask]) -> AnyTask:
    first = versions[0]
    if len(versions) == 1:
        return first
    bound = list(first._bound)
    extra = first._extra
    edges = {edge_key(edge): edge for edge in first._edges}
    for other in versions[1:]:
        if other._definition.fn is not first._definition.fn:
            raise DuplicateTaskError(duplicate_message(name, first, other))
        for k, value in enumerate(other._bound):
            if bound[k] is UNBOUND:
                bound[k] = value
            elif value is not UNBOUND and not same_input(bound[k], value):
                raise DuplicateTaskError(_contradiction(name, first, k, bound[k], value))
        if extra is None:
            extra = other._extra
        elif other._extra is not None and not same_extra(extra, other._extra):
            raise DuplicateTaskError(duplicate_message(name, first, other))
        edges.update((edge_key(edge), edge) for edge in other._edges)
    if any(version._policy != first._policy for version in versions):
        raise DuplicateTaskError(
            f"task {first.id!r} is in workflow {name!r} with different policies (defined at "
            f"{first._definition.site}); give one of them another id, .named('...')"
        )
    # Where one version is a map, the task is: the others only add inputs, edges or a mention to it.
    kind = next((type(version) for version in versions if type(version) is not Task), Task)
    return make_task(first._id, first._definition, tuple(bound), extra, tuple(edges.values()), first._policy, kind)


def _contradiction(name: str, task: AnyTask, k: int, one: Any, other: Any) -> str:
    parameter = task._definition.shape.parameter(k)
    start = f"parameter {parameter!r} of task {task.id!r} is fed twice in workflow {name!r}: "
    values = f"{spelling(one)} and {spelling(other)}"
    if type(one) is Placeholder and type(other) is Placeholder:
        return f"{start}{values}; to give each result a parameter of its own write (a | b) >> {task.id}"
    return f"{start}{values}; give one of the two tasks another id, .named('...')"
