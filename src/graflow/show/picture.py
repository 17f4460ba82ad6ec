"""What every picture is drawn from: a small, neutral model of a workflow."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from graflow.core.placeholder import spelling_of_path
from graflow.core.plan import named_inputs
from graflow.core.requirement import AtLeast, Every, FirstOf, shown
from graflow.core.run import TaskState
from graflow.errors import ConfigurationError
from graflow.show.text import duration, one_line

if TYPE_CHECKING:
    from graflow.core._definition import Definition
    from graflow.core.condition import Condition
    from graflow.core.plan import Plan
    from graflow.core.requirement import GroupRule
    from graflow.core.run import Run, TaskRecord
    from graflow.core.workflow import Workflow


OUTCOME = " · outcome"
"""What an edge that passes an outcome says after the name of the parameter."""
_NUMBER = re.compile(r"(\d+)")
_NOT_RUN = (TaskState.SKIPPED, TaskState.CANCELLED)
Edge: TypeAlias = tuple[int, int, str]
"""``(upstream, downstream, parameter)``, with places in the tasks of a picture."""


@dataclass(frozen=True, slots=True)
class PictureTask:
    """One task, as far as a picture needs to know it."""

    id: str
    label: str
    """What to write in the box; most often the id."""
    detail: str = ""
    """The signature, such as ``rows: list[Row] -> int``."""
    level: int = 0
    """How many tasks lie on the longest way to it; tasks of one level could run at the same time."""
    cluster: tuple[str, ...] = ()
    """The workflows it is nested in, outermost first."""
    kind: Literal["task", "map", "signal", "gate"] = "task"
    """A map runs once for each of its items, a signal waits for a value from outside. A gate does no work: it stands
    for "all of these before all of those", or for the rule that is its label."""
    critical: bool = False
    """Whether it lies on the longest path of the plan."""
    state: str | None = None
    """How it fared in a run; None where the picture shows a plan."""
    seconds: float | None = None
    """How long it took in that run."""
    source: str = ""
    """Where its function is defined, as ``file:line``."""
    items: int | None = None
    """Of a map in a run, how many items it had; None before that is known."""
    failed_items: int = 0
    """How many of them failed."""
    condition: str = ""
    """What lets it run beside its edges, such as ``when inputs(Flags).deep``."""
    reason: str = ""
    """Why it did not run, in a run."""

    @property
    def mark(self) -> str:
        """What its label has at its end: for a map, that it runs once for each item; empty for the others."""
        if self.kind != "map":
            return ""
        return " × items" if self.items is None else f" × {self.items:,} item{'s' * (self.items != 1)}"

    @property
    def tooltip(self) -> str:
        """All that there is to say of it, line by line."""
        said = (self.id + self.mark, self.label if self.kind == "gate" else "", self.detail, self.condition)
        return "\n".join(part for part in (*said, self.reason, self.source) if part)

    @property
    def short_label(self) -> str:
        """What to write where the frame of its cluster names the cluster already; one line."""
        return one_line(self.label.removeprefix("".join(f"{name}/" for name in self.cluster)))

    @property
    def fared(self) -> str:
        """State and time in words, such as ``failed · 3.2 s``; empty where the picture shows a plan."""
        if self.state is None:
            return ""
        items = f" · {self.failed_items:,} item{'s' * (self.failed_items != 1)} failed" if self.failed_items else ""
        return one_line(self.state) + ("" if self.seconds is None else f" · {duration(self.seconds)}") + items


@dataclass(frozen=True, slots=True)
class Picture:
    """A workflow to draw.

    Attributes:
        name: the title.
        tasks: in an order in which every task comes after all its upstreams.
        edges: ``(upstream, downstream, parameter)`` with places in ``tasks``; the parameter is ``""`` where the edge
            orders without passing a value.
        outcomes: those of the edges that pass how the upstream ended, and not its result.
        flags: those of the edges that pass nothing, but decide whether the downstream runs. What stands in the place
            of their parameter begins with ``when`` or ``unless``.

    Raises:
        ConfigurationError: an edge names a task that is not there, or leads back in the order of the tasks.
    """

    name: str
    tasks: tuple[PictureTask, ...]
    edges: tuple[Edge, ...]
    outcomes: frozenset[Edge] = frozenset()
    flags: frozenset[Edge] = frozenset()

    def __post_init__(self) -> None:
        for upstream, downstream, _ in self.edges:
            if not 0 <= upstream < downstream < len(self.tasks):
                raise ConfigurationError(
                    f"cannot draw {self.name!r}: the edge ({upstream}, {downstream}) does not lead forward in its "
                    f"{len(self.tasks)} tasks; list the tasks so that each comes after its upstreams"
                )

    def critical_edges(self) -> frozenset[tuple[int, int]]:
        """The edges along the critical path: those that join one critical task to the next one."""
        critical = [i for i, task in enumerate(self.tasks) if task.critical]
        following = set(pairwise(critical))
        return frozenset((a, b) for a, b, _ in self.edges if (a, b) in following)

    def passes_result(self, edge: Edge) -> bool:
        """Whether it passes a result, rather than an outcome, a flag or nothing."""
        return bool(edge[2]) and edge not in self.outcomes and edge not in self.flags

    def edge_label(self, edge: Edge) -> str:
        """What to write at an edge: the parameter, and whether it gets an outcome; one line, empty for an order."""
        return parameter_label(edge[2], outcome=edge in self.outcomes)

    def levels(self) -> list[int]:
        """The length of the longest path to each task, as the edges tell it."""
        level = [0] * len(self.tasks)
        for upstream, downstream, _ in sorted(self.edges):
            level[downstream] = max(level[downstream], level[upstream] + 1)
        return level


def parameter_label(parameter: str, *, outcome: bool) -> str:
    """The name of a parameter, and that it gets the outcome of a task if it does: ``loaded · outcome``."""
    return one_line(parameter) + OUTCOME * outcome


def picture_of(workflow: Workflow[Any, Any] | Plan, run: Run[Any] | None = None) -> Picture:
    """The picture of a workflow, or of one of its runs.

    Args:
        workflow: a workflow or its plan.
        run: a run of it; adds how each task fared and how long it took, and makes the critical path the one that took
            longest.

    Returns:
        A picture with the tasks of each level together, in the order people count: ``batch_2`` before ``batch_10``.
    """
    from graflow.core.plan import Plan

    plan = workflow if isinstance(workflow, Plan) else workflow.compile()
    records: Mapping[str, TaskRecord] = run.tasks if run is not None else {}
    seconds = {id: record.duration or 0.0 for id, record in records.items()} or None
    tasks = _tasks(plan, run, records, plan.critical_path(seconds))
    level = _levels(plan)
    order = sorted(range(len(tasks)), key=lambda i: (level[i], _counted(tasks[i].id)))
    place = {i: at for at, i in enumerate(order)}

    def placed(edge: Edge) -> Edge:
        return place[edge[0]], place[edge[1]], edge[2]

    links, flags = list(plan.links()), {placed(edge) for edge in _flags(plan)}
    drawn = [(placed(link[:3]), link.outcome) for link in links]
    # *args may take both the result and the outcome of one task: one line stands for the two
    outcomes = {edge for edge, outcome in drawn if outcome}.difference(edge for edge, outcome in drawn if not outcome)
    orders = {(a, b, "") for a, b, _ in flags}  # a flag is waited for, too: one line says that as well
    edges = sorted(flags.union(edge for edge, _ in drawn if edge not in orders))
    return Picture(plan.name, tuple(tasks[i] for i in order), tuple(edges), frozenset(outcomes), frozenset(flags))


def _tasks(
    plan: Plan, run: Run[Any] | None, records: Mapping[str, TaskRecord], path: tuple[str, ...]
) -> list[PictureTask]:
    """The tasks of a plan and then its gates, by index."""
    critical = {plan.index[id] for id in path}
    following = {plan.index[b]: plan.index[a] for a, b in pairwise(path)}
    described = _descriptions(plan)
    tasks: list[PictureTask] = []
    for i, id in enumerate(plan.ids):
        record, (detail, source) = records.get(id), described[i]
        tasks.append(
            PictureTask(
                id=id,
                label=id,
                detail=detail,
                level=plan.levels[i],
                cluster=tuple(id.split("/")[:-1]) if "/" in id else (),
                kind="map" if i in plan.maps else "signal" if i in plan.signals else "task",
                critical=i in critical,
                state=str(record.state) if record else None,
                seconds=record.duration if record else None,
                source=source if i not in plan.signals else "",
                items=record.items if record else None,
                failed_items=item_counts(run, record).get(TaskState.FAILED, 0) if run is not None and record else 0,
                condition=_inputs_condition(plan, i) if i in plan.conditions else "",
                reason=(record.reason or "") if record and record.state in _NOT_RUN else "",
            )
        )
    for k, members in enumerate(plan.gates):
        gate = len(plan.ids) + k
        on_path = any(following.get(d) in members for d in plan.downstream[gate])
        label = _rule(plan.rules[gate][0], len(members)) if gate in plan.rules else ""
        tasks.append(PictureTask(f"&{k}", label, level=plan.levels[gate], kind="gate", critical=on_path))
    return tasks


def _flags(plan: Plan) -> Iterator[Edge]:
    """The edges from tasks that decide by their result whether others run."""
    for i, conditions in sorted(plan.conditions.items()):
        taken = {parameter for parameter, _ in named_inputs(plan.task(i))}
        for one in conditions:
            if one.source is not None:
                label = _condition(one)
                yield plan.index[one.source.id], i, f"{label} (flag)" if label in taken else label


def _inputs_condition(plan: Plan, i: int) -> str:
    """What a task asks of the inputs; an edge tells what it asks of a task."""
    return ", ".join(_condition(one) for one in plan.conditions[i] if one.source is None)


def _condition(condition: Condition) -> str:
    """``when``, and of what; the task that gives a flag is told by the edge."""
    flag = condition.spelling
    if condition.source is not None:
        flag = spelling_of_path(condition.flag.__graflow_path__)
    return f"{'when' if condition.wanted else 'unless'} {flag}".rstrip()


def _rule(rule: GroupRule, members: int) -> str:
    """The rule of a group of so many tasks: ``at least 2 of 3``."""
    text = shown(rule)
    return f"{text} of {members}" if isinstance(rule, AtLeast | Every | FirstOf) else text


def item_counts(run: Run[Any], record: TaskRecord) -> dict[TaskState, int]:
    """How many items of a map stand where in a run; empty for other tasks."""
    if not record.items:
        return {}
    if record.state is TaskState.SUCCEEDED:  # then they all have
        return {TaskState.SUCCEEDED: record.items}
    items = run.items(record.id)
    from graflow.runners._handle import ItemRecords

    return items.counts() if isinstance(items, ItemRecords) else Counter(item.state for item in items)


def _levels(plan: Plan) -> list[int]:
    """The longest way to each index of a plan, gates counted too, so that a gate has a level of its own."""
    level = [0] * len(plan.upstream)
    for i in plan.order:
        level[i] = 1 + max((level[u] for u in plan.upstream[i]), default=-1)
    return level


def _counted(id: str) -> list[tuple[bool, int, str]]:
    """A sort key by which numbers in ids count as numbers."""
    if not _NUMBER.search(id):
        return [(False, 0, id)]
    # Every second part is a number.
    return [(bool(k % 2), int(part) if k % 2 else 0, part) for k, part in enumerate(_NUMBER.split(id))]


def _descriptions(plan: Plan) -> list[tuple[str, str]]:
    """Of each task its signature and where its function is; worked out once for all tasks of one function."""
    here = os.path.join(os.getcwd(), "")
    known: dict[int, tuple[str, str]] = {}
    described: list[tuple[str, str]] = []
    for i in range(len(plan.ids)):
        definition = plan.task(i)._definition
        one = known.get(id(definition))
        if one is None:
            # Relative to the current folder, because pictures travel.
            one = known[id(definition)] = _signature(definition), definition.site.removeprefix(here)
        described.append(one)
    return described


def _signature(definition: Definition) -> str:
    """Parameters and result, as far as the annotations tell: ``rows: list[Row], *, top: int -> list[Ranked]``."""
    from graflow.core._hints import describe

    shape, hints = definition.shape, definition.hints
    parts: list[str] = []
    for k, name in enumerate([*shape.names, *(f"*{shape.varargs}" for _ in range(shape.varargs is not None))]):
        hint = hints.params.get(name.lstrip("*"), Any)
        if k == shape.positional < len(shape.names):
            parts.append("*")
        parts.append(name if hint is Any else f"{name}: {describe(hint)}")
    if shape.varkw is not None:
        parts.append(f"**{shape.varkw}")
    result = "" if hints.result is Any else f"-> {describe(hints.result)}"
    return " ".join(part for part in (", ".join(parts), result) if part)


def to_data(picture: Picture) -> dict[str, Any]:
    """The picture as plain data, ready for JSON."""
    return {
        "format": "graflow-picture/1",
        "name": picture.name,
        "tasks": [
            {
                "id": task.id,
                "label": task.label,
                "detail": task.detail,
                "level": task.level,
                "cluster": list(task.cluster),
                "kind": task.kind,
                "critical": task.critical,
                "state": task.state,
                "seconds": task.seconds,
                "source": task.source,
                **({"condition": task.condition} if task.condition else {}),
                **({"reason": task.reason} if task.reason else {}),
                **({"items": task.items, "failed_items": task.failed_items} if task.kind == "map" else {}),
            }
            for task in picture.tasks
        ],
        "edges": [
            {"from": a, "to": b, "parameter": parameter}
            | ({"outcome": True} if (a, b, parameter) in picture.outcomes else {})
            | ({"flag": True} if (a, b, parameter) in picture.flags else {})
            for a, b, parameter in picture.edges
        ],
    }


def to_json(picture: Picture, *, indent: int | None = 2) -> str:
    """The picture as JSON text, ASCII only, the same for equal pictures."""
    import json

    return json.dumps(to_data(picture), indent=indent, allow_nan=False)
