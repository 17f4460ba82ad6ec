"""`Plan`: a compiled workflow, the only thing a runner takes.

Results, the workflow's inputs and all constants of one run live in one list, the *slots*: a task's index is the slot
of its result.
For most tasks the way to its arguments is then a tuple of slot numbers, worked out here once; the others have a
`Recipe`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graflow.core._definition import UNBOUND
from graflow.core._inputs import Template, plain, spelling
from graflow.core.placeholder import InputSource, Path, Placeholder, spelling_of_path

if TYPE_CHECKING:
    from pydantic import BaseModel

    from graflow.core._structure import Structure
    from graflow.core.task import Task
    from graflow.core.workflow import Workflow

#: Version of the JSON form; a reader refuses one it does not know.
JSON_FORMAT = 1
#: JSON shows constants up to this many bytes, and only the digest of larger ones.
MAX_SHOWN = 1024


class Projection(NamedTuple):
    """A part of what a slot holds."""

    slot: int
    path: Path


class Gather(NamedTuple):
    """A list, tuple, set or frozenset of slots."""

    kind: type
    slots: tuple[int, ...]


class Recipe(NamedTuple):
    """The arguments of a task whose inputs are more than plain slots by position."""

    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]

    def arguments(self, slots: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """What to call the function with."""
        return [_fill(part, slots) for part in self.args], {name: _fill(part, slots) for name, part in self.kwargs}


def _fill(part: Any, slots: Sequence[Any]) -> Any:
    # No closure that calls itself: each call would leave a cycle behind that keeps all results until a collection.
    cls = type(part)
    if cls is int:
        return slots[part]
    if cls is Gather:
        return part.kind([slots[slot] for slot in part.slots])
    if cls is Template:
        return part.filled(lambda inner: _fill(inner, slots))
    value = slots[part.slot]
    for kind, key in part.path:
        value = getattr(value, key) if kind == "attr" else value[key]
    return value


class Link(NamedTuple):
    """One edge of the plan, between indexes."""

    upstream: int
    downstream: int
    parameter: str
    """The parameter that the result feeds; empty where the edge is only an order."""


class Plan:
    """Order, indexes and recipes of a workflow. Equal workflows have equal plans.

    Attributes:
        workflow: what was compiled.
        name: of the workflow.
        ids: per index, the task's id; sorted.
        index: id → index.
        order: all indexes, gates included, every upstream before its downstreams.
        levels: per index, the longest way from a root.
        upstream: per index, the distinct upstreams, those first whose results are read.
        reads: per index, how many of its upstreams are read.
        downstream: per index, the distinct downstreams.
        gates: the members of each gate; gate k has index ``len(ids) + k``.
        functions: the distinct callables.
        is_async: per distinct callable, whether it gives a coroutine.
        function_of: per task, the number of its callable.
        policies: index → policy, of the tasks that have one.
        recipes: per task, slots of its arguments by position, or a `Recipe`.
        constants: what the slots after the inputs' slot hold.
        returns: the index of the task whose result is the run's value, or None.
        inputs_slot: the slot of the workflow's inputs; constants follow it.
    """

    __slots__ = (
        "constants",
        "downstream",
        "function_of",
        "functions",
        "gates",
        "ids",
        "index",
        "inputs_slot",
        "is_async",
        "levels",
        "name",
        "order",
        "policies",
        "reads",
        "recipes",
        "returns",
        "upstream",
        "workflow",
    )

    def __init__(self, workflow: Workflow[Any, Any]) -> None:
        structure = workflow._structure
        self.workflow = workflow
        self.name = workflow.name
        self.ids: tuple[str, ...] = tuple(structure.index)
        self.index: Mapping[str, int] = structure.index
        self.order: Sequence[int] = structure.order
        self.levels: Sequence[int] = structure.levels
        self.upstream: Sequence[tuple[int, ...]] = structure.upstream
        self.reads: Sequence[int] = structure.reads
        self.downstream: Sequence[Sequence[int]] = structure.downstream
        self.gates: Sequence[tuple[int, ...]] = structure.gates
        self.returns = structure.index[workflow.returns] if workflow.returns is not None else None
        self.inputs_slot = len(structure.upstream)
        self.functions, self.is_async, self.function_of = _functions(structure)
        self.policies = {i: task._policy for i, task in enumerate(structure.tasks) if task._policy is not None}
        self.constants: list[Any] = []
        self.recipes: list[tuple[int, ...] | Recipe] = _recipes(structure, self.inputs_slot, self.constants)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def inputs(self) -> type[BaseModel] | None:
        """The model of the workflow's inputs, or None."""
        return self.workflow.inputs

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the workflow."""
        return self.workflow.fingerprint

    def task(self, i: int) -> Task[..., Any]:
        """The task with this index."""
        return self.workflow._structure.tasks[i]

    def critical_path(self, seconds: Mapping[str, float] | None = None) -> tuple[str, ...]:
        """The ids along the longest way from a root to a leaf.

        Args:
            seconds: how long each task takes, by id; by default each counts as one.
        """
        from graflow.core._graph import longest_path

        n = len(self.ids)

        def weight(i: int) -> float:
            if i >= n:
                return 0.0
            return 1.0 if seconds is None else seconds.get(self.ids[i], 0.0)

        return tuple(self.ids[i] for i in longest_path(self.upstream, weight) if i < n)

    def links(self) -> Iterator[Link]:
        """All edges; an upstream that feeds several parameters has one for each."""
        structure = self.workflow._structure
        n = len(self.ids)
        for i, ups in enumerate(self.upstream):
            if i >= n:
                yield from (Link(u, i, "") for u in ups)
                continue
            data = self.reads[i]
            if i in structure.aliases:
                yield Link(structure.aliases[i], i, "result")
            else:
                for parameter, value in named_inputs(structure.tasks[i]):
                    for source in _sources(value):
                        yield Link(structure.index[source], i, parameter)
            yield from (Link(u, i, "") for u in ups[data:])

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: structure, functions by name, small constants; large ones by digest."""
        structure = self.workflow._structure
        tasks = []
        for i in self.order:
            if i >= len(self.ids):
                continue
            task = structure.tasks[i]
            tasks.append(
                {
                    "id": task.id,
                    "function": function_name(task.fn),
                    "level": self.levels[i],
                    "inputs": {name: _shown(value) for name, value in named_inputs(task)},
                    "after": [self.ids[u] for u in structure.task_upstream(i)[self.reads[i] :]],
                    "policy": task.policy.model_dump(mode="json", exclude_defaults=True),
                }
            )
        return {
            "format": JSON_FORMAT,
            "workflow": self.name,
            "fingerprint": self.fingerprint,
            "inputs": self.workflow.input_schema(),
            "returns": self.workflow.returns,
            "tasks": tasks,
        }

    def to_json(self) -> str:
        """`to_dict` as text; equal workflows give equal text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Plan):
            return NotImplemented
        return self.workflow == other.workflow

    def __hash__(self) -> int:
        return hash(self.workflow)

    def __repr__(self) -> str:
        return f"<plan of {self.name!r}, {len(self.ids)} tasks>"

    def __reduce__(self) -> tuple[Any, ...]:
        return compile_plan, (self.workflow,)


def compile_plan(workflow: Workflow[Any, Any]) -> Plan:
    """Compile a workflow; see `Workflow.compile`, which keeps the plan."""
    return Plan(workflow)


def passed_on(result: Any) -> Any:
    """The function of a nested workflow's task: the result of the inner task it returns."""
    return result


def function_name(fn: Any) -> str:
    """``module:qualname`` of a callable, as far as it has one."""
    while (inner := getattr(fn, "func", None)) is not None and not hasattr(fn, "__qualname__"):
        fn = inner
    named = fn if hasattr(fn, "__qualname__") else type(fn)
    return f"{named.__module__}:{named.__qualname__}"


def named_inputs(task: Task[..., Any]) -> Iterator[tuple[str, Any]]:
    """The bound inputs of a task with the names of their parameters."""
    shape = task._definition.shape
    for name, value in zip(shape.names, task._bound, strict=True):
        if value is not UNBOUND:
            yield name, value
    if task._extra is not None:
        yield from ((f"*{shape.varargs}", value) for value in task._extra[0])
        yield from task._extra[1]


def _sources(value: Any) -> Iterator[str]:
    refs: tuple[Any, ...] = value.refs if type(value) is Template else (value,)
    seen = set()
    for ref in refs:
        if type(ref) is not Placeholder or isinstance(source := ref.__graflow_source__, InputSource):
            continue
        if source.id not in seen:
            seen.add(source.id)
            yield source.id


def _shown(value: Any) -> Any:
    if type(value) is Placeholder:
        source = value.__graflow_source__
        what = {"input": source.model.__name__} if isinstance(source, InputSource) else {"task": source.id}
        return {**what, "path": spelling_of_path(value.__graflow_path__)} if value.__graflow_path__ else what
    if type(value) is Template and value.refs:
        parts = [_shown(item) for item in value.items]
        if value.keys is None:
            return {value.kind.__name__: parts}
        return {"dict": dict(sorted((spelling(key), part) for key, part in zip(value.keys, parts, strict=True)))}
    from graflow.core._digest import digest_value

    constant = plain(value)
    try:
        text = json.dumps(constant, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError):  # nothing that JSON knows, or keys of several types
        text = None
    if text is not None and len(text) <= MAX_SHOWN and json.loads(text) == constant:
        return {"value": json.loads(text)}
    kind = type(constant)
    return {"type": f"{kind.__module__}.{kind.__qualname__}", "digest": digest_value(constant).hex()}


def _functions(structure: Structure) -> tuple[list[Callable[..., Any]], list[bool], list[int]]:
    functions: list[Callable[..., Any]] = []
    is_async: list[bool] = []
    numbers: dict[int, int] = {}
    number_of = [0] * len(structure.tasks)
    for i, task in enumerate(structure.tasks):
        fn = task._definition.fn if i not in structure.aliases else passed_on
        number = numbers.get(id(fn))
        if number is None:
            number = numbers[id(fn)] = len(functions)
            functions.append(fn)
            is_async.append(i not in structure.aliases and task._definition.is_async)
        number_of[i] = number
    return functions, is_async, number_of


def _recipes(structure: Structure, inputs_slot: int, constants: list[Any]) -> list[tuple[int, ...] | Recipe]:
    index, aliases = structure.index, structure.aliases
    first_constant = inputs_slot + 1
    recipes: list[tuple[int, ...] | Recipe] = []
    for i, task in enumerate(structure.tasks):
        bound = task._bound
        if i in aliases:
            recipes.append((aliases[i],))
            continue
        slots: list[int] = []
        for value in bound:
            cls = type(value)
            if cls is Placeholder:
                if value.__graflow_path__:
                    break
                source = value.__graflow_source__
                slots.append(inputs_slot if type(source) is InputSource else index[source._id])
            elif cls is Template or value is UNBOUND:
                break
            else:
                slots.append(first_constant + len(constants))
                constants.append(value)
        if task._extra is None and len(slots) == len(bound) == task._definition.shape.positional:
            ups = structure.upstream[i]
            recipe = tuple(slots)
            recipes.append(ups if ups == recipe else recipe)
        else:
            recipes.append(_recipe(task, index, inputs_slot, constants))
    return recipes


def _recipe(task: Task[..., Any], index: Mapping[str, int], inputs_slot: int, constants: list[Any]) -> Any:
    def part(value: Any) -> Any:
        if type(value) is Placeholder:
            source = value.__graflow_source__
            slot = inputs_slot if isinstance(source, InputSource) else index[source.id]
            return Projection(slot, value.__graflow_path__) if value.__graflow_path__ else slot
        if type(value) is Template:
            mapped = value.map(part)
            if mapped.keys is None and all(type(item) is int for item in mapped.items):
                return Gather(mapped.kind, mapped.items)
            return mapped
        constants.append(value)
        return inputs_slot + len(constants)

    shape = task._definition.shape
    args: list[Any] = []
    kwargs: list[tuple[str, Any]] = []
    for k, value in enumerate(task._bound):
        if value is UNBOUND:
            continue
        if k == len(args) and k < shape.positional:
            args.append(part(value))
        else:  # after a parameter that keeps its default
            kwargs.append((shape.names[k], part(value)))
    if task._extra is not None:
        args.extend(part(value) for value in task._extra[0])
        kwargs.extend((name, part(value)) for name, value in task._extra[1])
    if not kwargs and all(type(one) is int for one in args):
        return tuple(args)
    return Recipe(tuple(args), tuple(kwargs))
