"""`Plan`: a compiled workflow, the only thing a runner takes.

Results, outcomes that somebody takes, the workflow's inputs and all constants of one run live in one list, the *slots*:
a task's index is the slot of its result.
For most tasks the way to its arguments is then a tuple of slot numbers, worked out here once; the others have a
`Recipe`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graflow.core._definition import UNBOUND
from graflow.core._inputs import Template
from graflow.core._recipes import MapPlan, Recipe, recipes_of
from graflow.core.placeholder import InputSource, Placeholder, takes_outcome
from graflow.core.signal import Signal
from graflow.core.turns import rows_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from graflow.core._structure import Structure
    from graflow.core.task import Task
    from graflow.core.workflow import Workflow


class Link(NamedTuple):
    """One edge of the plan, between indexes."""

    upstream: int
    downstream: int
    parameter: str
    """The parameter that the result feeds; empty where the edge is only an order."""
    outcome: bool = False
    """Whether what feeds it is only how the upstream ended."""


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
        outcome_slots: index → the slot of its `Outcome`, of the tasks whose outcome is taken.
        tolerated: index → those of its upstreams that may fail, because it takes nothing but their outcome.
        maps: index → how a map goes on once it is open; its own function only finds the items.
        conditions: index → the flags that decide whether the task runs.
        rules: gate → the rule that opens it, and what that calls the gate's members.
        unawaited: index → those of its tolerated upstreams that a rule waits for in its place.
        signals: the tasks whose result arrives from outside.
        inputs_slot: the slot of the workflow's inputs, after all results and outcomes; constants follow it.
    """

    __slots__ = (
        "_results_fingerprint",
        "_task_fingerprints",
        "conditions",
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
        "maps",
        "name",
        "order",
        "outcome_slots",
        "policies",
        "reads",
        "recipes",
        "returns",
        "rules",
        "signals",
        "tolerated",
        "unawaited",
        "upstream",
        "workflow",
    )

    def __init__(self, workflow: Workflow[Any, Any]) -> None:
        structure = workflow._structure
        self._task_fingerprints: tuple[str, ...] | None = None
        self._results_fingerprint: str | None = None
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
        self.tolerated: Mapping[int, frozenset[int]] = structure.tolerated
        self.conditions = structure.conditions
        self.rules = structure.rules
        self.unawaited = structure.unawaited
        self.signals = frozenset(i for i, task in enumerate(structure.tasks) if type(task) is Signal)
        taken = sorted({u for ups in structure.outcomes.values() for u in ups})
        self.outcome_slots: dict[int, int] = {u: len(structure.upstream) + k for k, u in enumerate(taken)}
        self.inputs_slot = len(structure.upstream) + len(taken)
        self.functions, self.is_async, self.function_of = _functions(structure)
        self.policies = {i: task._policy for i, task in enumerate(structure.tasks) if task._policy is not None}
        self.constants: list[Any] = []
        maps: dict[int, tuple[Recipe, tuple[str, ...]]] = {}
        self.recipes: list[tuple[int, ...] | Recipe] = recipes_of(
            structure, self.inputs_slot, self.outcome_slots, self.constants, maps
        )
        self.maps = {i: MapPlan(self.function_of[i], *how) for i, how in maps.items()}
        if maps:
            self.functions.append(rows_of)
            self.is_async.append(False)
            for i in maps:
                self.function_of[i] = len(self.functions) - 1

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

    @property
    def task_fingerprints(self) -> tuple[str, ...]:
        """Per task, a digest of what its code does and of what is bound to it; worked out once and kept."""
        if self._task_fingerprints is None:
            from graflow.core._fingerprint import task_fingerprints

            self._task_fingerprints = task_fingerprints(self.workflow._structure)
        return self._task_fingerprints

    @property
    def results_fingerprint(self) -> str:
        """A digest of everything that results depend on, but the workflow's inputs: `task_fingerprints` in one."""
        if self._results_fingerprint is None:
            from hashlib import sha256

            parts = (self.name, str(self.returns), *self.ids, *self.task_fingerprints)
            self._results_fingerprint = sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
        return self._results_fingerprint

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
                    for source, outcome in _sources(value).items():
                        yield Link(structure.index[source], i, parameter, outcome)
            yield from (Link(u, i, "") for u in (*ups[data:], *structure.also_after.get(i, ())))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: structure, functions by name, small constants; large ones by digest."""
        from graflow.core._plan_json import shown

        return shown(self)

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


def _sources(value: Any) -> dict[str, bool]:
    """The ids of the tasks that an input comes from, each with whether it takes no more of it than the outcome."""
    refs: tuple[Any, ...] = value.refs if type(value) is Template else (value,)
    found: dict[str, bool] = {}
    for ref in refs:
        if type(ref) is Placeholder and not isinstance(source := ref.__graflow_source__, InputSource):
            found[source.id] = found.get(source.id, True) and takes_outcome(ref)
    return found


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
