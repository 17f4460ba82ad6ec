"""`run`: a workflow with some of its tasks replaced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import islice
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from graflow.core._options import OnFailure, options
from graflow.core.map_task import MapTask
from graflow.core.outcome import Failed, Ok, Skipped
from graflow.core.run import Run
from graflow.core.signal import Signal
from graflow.core.task import Task
from graflow.core.workflow import Workflow
from graflow.errors import ConfigurationError, SignalError, UnknownTaskError
from graflow.runners.local import LocalRunner
from graflow.stores import MemoryStore
from graflow.testing._clock import FakeClock

if TYPE_CHECKING:
    from pydantic import BaseModel

R = TypeVar("R")
M = TypeVar("M", bound="BaseModel")

#: How many items of a container tell what it holds.
_LOOKED_AT: Final = 100
_DEEPEST: Final = 4


class _Raises:
    """The body of a task that is to fail."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self) -> Any:
        raise self.error


@overload
def run(
    workflow: Workflow[None, R],
    inputs: None = None,
    *,
    overrides: Mapping[Any, Any] | None = None,
    runner: LocalRunner | None = None,
    check: bool = True,
    on_failure: OnFailure = "continue",
    timeout: float | timedelta | None = None,
) -> Run[R]: ...
@overload
def run(
    workflow: Workflow[M, R],
    inputs: M,
    *,
    overrides: Mapping[Any, Any] | None = None,
    runner: LocalRunner | None = None,
    check: bool = True,
    on_failure: OnFailure = "continue",
    timeout: float | timedelta | None = None,
) -> Run[R]: ...
def run(
    workflow: Workflow[Any, Any],
    inputs: Any = None,
    *,
    overrides: Mapping[Any, Any] | None = None,
    runner: LocalRunner | None = None,
    check: bool = True,
    on_failure: OnFailure = "continue",
    timeout: float | timedelta | None = None,
) -> Run[Any]:
    """Run a workflow in the thread of the test, with some of its tasks replaced.

    Plain functions run where the debugger looks, and waits between attempts take no time.

    Args:
        workflow: what to run.
        inputs: an instance of the workflow's input model; None if it has none.
        overrides: by task or id, what it gives in place of running: a value, which must fit the annotation of what the
            task returns; ``Ok(value)`` for one that need not, such as a stand-in; ``Failed(error)`` to have every
            attempt at it raise that. A replaced workflow in the workflow goes with its tasks. A replaced map gives a
            list, and has no items. All other tasks run, those that come before a replaced one as well. Nobody can send
            a signal meanwhile, so one without a value here and without a timeout fails.
        runner: another runner than ``LocalRunner("inline", store=MemoryStore(), clock=FakeClock())``.
        check: as for `Runner.run`.
        on_failure: as for `Runner.run`.
        timeout: as for `Runner.run`.

    Returns:
        the run; a replaced task has 0 attempts, unless it is to fail.

    Raises:
        UnknownTaskError: a replaced task is not in the workflow; names those that are called nearly the same.
        ConfigurationError: a value that does not fit, or what `Runner.run` raises it for.
        RunFailedError: tasks failed, and ``check`` is True; likewise what else `Runner.run` raises.
    """
    chosen = runner if runner is not None else LocalRunner("inline", store=MemoryStore(), clock=FakeClock())
    if not isinstance(chosen, LocalRunner):
        raise ConfigurationError(f"graflow.testing.run replaces tasks on a LocalRunner only, not on {runner!r}")
    how = options(check, None, on_failure, timeout)
    outcomes = {_find(workflow, key): value for key, value in (overrides or {}).items()}
    values: dict[str, Any] = {}
    errors: dict[str, BaseException] = {}
    for id, value in outcomes.items():
        match value:
            case Failed(error=error):
                errors[id] = error
            case Ok(value=anything):
                _check_items(workflow, id, anything)
                values[id] = anything
            case Skipped():
                raise ConfigurationError(
                    f"overrides[{id!r}]: a task is skipped because another one failed; override that with Failed(...)"
                )
            case _:
                _check_items(workflow, id, value)
                _check_fits(workflow, id, value)
                values[id] = value
    if how.timeout is None:
        errors |= {id: _nobody_sends(id) for id in _endless_signals(workflow) if id not in outcomes}
    changed = _with_errors(_without_inner(workflow, outcomes), errors)
    index = changed.compile().index
    given = {index[id]: value for id, value in values.items() if id in index}
    handle = chosen.prepare(changed, inputs, how, given=given)
    handle.drive()
    return handle.wait()


def _find(workflow: Workflow[Any, Any], key: Task[..., Any] | str) -> str:
    """The id of a replaced task.

    Raises:
        UnknownTaskError: there is none, or it is another task of that id.
    """
    from graflow.core.checks import _close

    id = key.id if isinstance(key, Task) else key
    found = workflow._structure.index.get(id)
    if found is None:
        hint = _close(id, list(workflow._structure.index))
        raise UnknownTaskError(
            f"workflow {workflow.name!r} has no task {id!r} to override; {hint}look at workflow.tasks for those it has"
        )
    if isinstance(key, Task) and key.fn is not workflow._structure.tasks[found].fn:
        raise UnknownTaskError(
            f"workflow {workflow.name!r} has a task {id!r}, but with another function than the one to override, which "
            f"was defined at {key._definition.site}; override it by its id"
        )
    return id


def _check_fits(workflow: Workflow[Any, Any], id: str, value: Any) -> None:
    """Refuse a value that certainly is not what the task may return."""
    from graflow.core._forms import describe
    from graflow.core._subtyping import incompatible

    task = workflow._structure.tasks[workflow._structure.index[id]]
    returned = task._definition.hints.result
    if isinstance(task, MapTask):
        returned = GenericAlias(list, (returned,))
    if incompatible(_type_of(value), returned):
        raise ConfigurationError(
            f"overrides[{id!r}]: the task returns {describe(returned)}, and this is {describe(_type_of(value))}; give "
            f"a value that fits, or Ok(value) for a stand-in that does as well"
        )


def _check_items(workflow: Workflow[Any, Any], id: str, value: Any) -> None:
    """Refuse what cannot be the result of a map, though the task is one."""
    task = workflow._structure.tasks[workflow._structure.index[id]]
    if isinstance(task, MapTask) and not isinstance(value, list):
        raise ConfigurationError(
            f"overrides[{id!r}]: the result of a map is a list with one result for each item, not {value!r}"
        )


def _endless_signals(workflow: Workflow[Any, Any]) -> Iterator[str]:
    """The signals that would be waited for without an end."""
    for task in workflow._structure.tasks:
        if isinstance(task, Signal) and (task._policy is None or task._policy.timeout is None):
            yield task.id


def _nobody_sends(id: str) -> SignalError:
    return SignalError(
        f"signal {id!r} waits for a value, which nobody sends while graflow.testing.run lasts; give it one: "
        f"overrides={{{id!r}: ...}}"
    )


def _type_of(value: Any, depth: int = 0) -> Any:
    """The type of a value, with what is inside of plain containers as far as a look tells.

    A stand-in made with ``Mock(spec=...)`` says whose it is.
    """
    try:
        kind = value.__class__
    except Exception:  # noqa: BLE001  # a lazy proxy may answer as it likes: what it does not say is unknown
        return Any
    if kind not in (list, set, frozenset, tuple, dict) or not value or depth == _DEEPEST:
        return kind
    if kind is tuple and len(value) <= _LOOKED_AT:
        return GenericAlias(tuple, tuple(_type_of(item, depth + 1) for item in value))
    items = _types_of(value, depth)
    if kind is dict:
        return GenericAlias(dict, (items, _types_of(value.values(), depth)))
    return GenericAlias(kind, (items, ...) if kind is tuple else (items,))


def _types_of(items: Iterable[Any], depth: int) -> Any:
    from graflow.core._forms import either

    return either(dict.fromkeys(_type_of(item, depth + 1) for item in islice(items, _LOOKED_AT)))


def _without_inner(workflow: Workflow[Any, Any], replaced: Mapping[str, Any]) -> Workflow[Any, Any]:
    """The workflow without what runs only inside of nested workflows that are replaced."""
    from graflow.core._nesting import nested_workflow
    from graflow.core.task import changed
    from graflow.core.workflow import rebuilt

    structure = workflow._structure
    nested = tuple(f"{id}/" for id in replaced if nested_workflow(structure.tasks[structure.index[id]]) is not None)
    if not nested:
        return workflow
    gone: set[int] = set()
    n = len(structure.tasks)
    for i in reversed(structure.order):  # one that a task outside reads as well stays, and with it what it needs
        ends = (d in gone or (d < n and structure.tasks[d].id in replaced) for d in structure.downstream[i])
        if (i >= n or structure.tasks[i].id.startswith(nested)) and all(ends):
            gone.add(i)
    kept = {task.id: task for i, task in enumerate(structure.tasks) if i not in gone}
    for id in replaced:
        edges = kept[id]._edges if id in kept else ()
        left = tuple(edge for edge in edges if not isinstance(edge, Task) or edge.id in kept)
        if len(left) < len(edges):
            kept[id] = changed(kept[id], edges=left)
    aliases = {id: target for id, target in workflow._aliases.items() if id in kept and target in kept}
    return rebuilt(workflow.name, list(kept.values()), workflow.inputs, workflow.returns, aliases)


def _with_errors(workflow: Workflow[Any, Any], errors: Mapping[str, BaseException]) -> Workflow[Any, Any]:
    """The workflow with a plan in which these tasks raise; the tasks themselves stay what they are."""
    from graflow.core.plan import compile_plan
    from graflow.core.workflow import rebuilt

    if not errors:
        return workflow
    tasks = list(workflow._structure.tasks)
    copy = rebuilt(workflow.name, tasks, workflow.inputs, workflow.returns, workflow._aliases)
    plan = compile_plan(copy)
    for id, error in errors.items():
        if id not in plan.index:  # it went with the workflow around it
            continue
        i = plan.index[id]
        plan.function_of[i] = len(plan.functions)
        plan.functions.append(_Raises(error))
        plan.is_async.append(False)
        plan.recipes[i] = ()
        plan.signals -= {i}  # it fails by itself, and not because nothing arrives
    object.__setattr__(copy, "_plan", plan)
    return copy
