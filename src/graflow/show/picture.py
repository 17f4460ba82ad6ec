"""What every picture is drawn from: a small, neutral model of a workflow."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from graflow.errors import ConfigurationError
from graflow.show.text import duration, one_line

if TYPE_CHECKING:
    from graflow.core.plan import Plan
    from graflow.core.run import Run, TaskRecord
    from graflow.core.task import Task
    from graflow.core.workflow import Workflow


OUTCOME = " · outcome"
"""What an edge that passes an outcome says after the name of the parameter."""


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
    kind: Literal["task", "gate"] = "task"
    """A gate does no work: it stands for "all of these before all of those"."""
    critical: bool = False
    """Whether it lies on the longest path of the plan."""
    state: str | None = None
    """How it fared in a run; None where the picture shows a plan."""
    seconds: float | None = None
    """How long it took in that run."""
    source: str = ""
    """Where its function is defined, as ``file:line``."""

    @property
    def short_label(self) -> str:
        """What to write where the frame of its cluster names the cluster already; one line."""
        return one_line(self.label.removeprefix("".join(f"{name}/" for name in self.cluster)))

    @property
    def fared(self) -> str:
        """State and time in words, such as ``failed · 3.2 s``; empty where the picture shows a plan."""
        if self.state is None:
            return ""
        return one_line(self.state) + ("" if self.seconds is None else f" · {duration(self.seconds)}")


@dataclass(frozen=True, slots=True)
class Picture:
    """A workflow to draw.

    Attributes:
        name: the title.
        tasks: in an order in which every task comes after all its upstreams.
        edges: ``(upstream, downstream, parameter)`` with places in ``tasks``; the parameter is ``""`` where the edge
            orders without passing a value.
        outcomes: those of the edges that pass how the upstream ended, and not its result.

    Raises:
        ConfigurationError: an edge names a task that is not there, or leads back in the order of the tasks.
    """

    name: str
    tasks: tuple[PictureTask, ...]
    edges: tuple[tuple[int, int, str], ...]
    outcomes: frozenset[tuple[int, int, str]] = frozenset()

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

    def edge_label(self, edge: tuple[int, int, str]) -> str:
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
    tasks = _tasks(plan, records, plan.critical_path(seconds))
    links = list(plan.links())
    level = _levels(plan)
    order = sorted(range(len(tasks)), key=lambda i: (level[i], _counted(tasks[i].id)))
    place = {i: at for at, i in enumerate(order)}
    drawn = [((place[link.upstream], place[link.downstream], link.parameter), link.outcome) for link in links]
    # *args may take both the result and the outcome of one task: one line stands for the two
    outcomes = {edge for edge, outcome in drawn if outcome}.difference(edge for edge, outcome in drawn if not outcome)
    edges = sorted(edge for edge, _ in drawn)
    return Picture(plan.name, tuple(tasks[i] for i in order), tuple(edges), frozenset(outcomes))


def _tasks(plan: Plan, records: Mapping[str, TaskRecord], path: tuple[str, ...]) -> list[PictureTask]:
    """The tasks of a plan and then its gates, by index."""
    critical = {plan.index[id] for id in path}
    following = {plan.index[b]: plan.index[a] for a, b in pairwise(path)}
    tasks: list[PictureTask] = []
    for i, id in enumerate(plan.ids):
        record = records.get(id)
        tasks.append(
            PictureTask(
                id=id,
                label=id,
                detail=_signature(plan.task(i)),
                level=plan.levels[i],
                cluster=tuple(id.split("/")[:-1]),
                critical=i in critical,
                state=str(record.state) if record else None,
                seconds=record.duration if record else None,
                source=_site(plan.task(i)),
            )
        )
    for k, members in enumerate(plan.gates):
        gate = len(plan.ids) + k
        on_path = any(following.get(d) in members for d in plan.downstream[gate])
        tasks.append(PictureTask(f"&{k}", "", level=plan.levels[gate], kind="gate", critical=on_path))
    return tasks


def _levels(plan: Plan) -> list[int]:
    """The longest way to each index of a plan, gates counted too, so that a gate has a level of its own."""
    level = [0] * len(plan.upstream)
    for i in plan.order:
        level[i] = 1 + max((level[u] for u in plan.upstream[i]), default=-1)
    return level


def _counted(id: str) -> list[tuple[bool, int, str]]:
    """A sort key by which numbers in ids count as numbers."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", id)]


def _signature(task: Task[..., Any]) -> str:
    """Parameters and result, as far as the annotations tell: ``rows: list[Row], *, top: int -> list[Ranked]``."""
    from graflow.core._hints import describe

    shape, hints = task._definition.shape, task._definition.hints
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


def _site(task: Task[..., Any]) -> str:
    """Where the function is; relative to the current folder, because pictures travel."""
    site = task._definition.site
    here = os.path.join(os.getcwd(), "")
    return site.removeprefix(here)


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
            }
            for task in picture.tasks
        ],
        "edges": [
            {"from": a, "to": b, "parameter": parameter}
            | ({"outcome": True} if (a, b, parameter) in picture.outcomes else {})
            for a, b, parameter in picture.edges
        ],
    }


def to_json(picture: Picture, *, indent: int | None = 2) -> str:
    """The picture as JSON text, ASCII only, the same for equal pictures."""
    import json

    return json.dumps(to_data(picture), indent=indent, allow_nan=False)
