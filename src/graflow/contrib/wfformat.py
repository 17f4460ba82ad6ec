"""Workflows out of recorded runs: reads instances of the WfCommons format (WfFormat 1.0 to 1.6).

An instance says which tasks a scientific workflow had, which waited for which, and how long each took.
`load` makes a workflow of the same shape whose tasks only pass the time; `describe` counts what there is.
Of an instance these two read names, ids, ``parents``, ``children``, runtimes and the makespan. Files, commands, cores,
memory, priorities and machines are left alone, and no edge is guessed from files.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Final, Literal, cast, get_args

from graflow.contrib._wfinstance import FLAT, SPLIT, Instance, Source, read
from graflow.core._attempt import current
from graflow.core._recording import RECORDER
from graflow.core.checks import MAX_ID
from graflow.core.task import Task
from graflow.core.workflow import Workflow
from graflow.errors import ConfigurationError

__all__ = ["VERSIONS", "Body", "Description", "Source", "Timing", "describe", "load"]

Body = Literal["sleep", "spin"]
VERSIONS: Final = (*FLAT, *SPLIT)
"""The versions of WfFormat that can be read."""

#: Seconds until a body looks again whether its attempt was cancelled.
_SLICE: Final = 0.1
_LEGAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_ILLEGAL = re.compile(r"[^A-Za-z0-9_.-]")
#: Room for a number after an id that was cut.
_CUT: Final = MAX_ID - 10


@dataclass(frozen=True, slots=True)
class Timing:
    """The result of one task of a loaded instance."""

    id: str
    """The task's id in the instance."""
    asked: float
    """Seconds it had to pass: its runtime times the scale."""
    taken: float
    """Seconds that went by. Less than asked only if the attempt was cancelled."""


@dataclass(frozen=True, slots=True)
class Description:
    """What an instance holds; `str` gives it in four lines."""

    name: str
    version: str
    """Of the format."""
    tasks: int
    edges: int
    depth: int
    """Tasks on the longest chain."""
    width: int
    """Tasks on the widest level, where a task's level is the length of the longest chain that leads to it."""
    seconds: float
    """Of all tasks together: what one worker needs."""
    critical_seconds: float
    """Along the critical path: what no number of workers gets below."""
    critical_path: tuple[str, ...]
    """The ids, as the instance has them, along the chain that takes longest."""
    makespan: float | None
    """Seconds that the recorded run took, if the instance says so."""

    def __str__(self) -> str:
        recorded = "not recorded" if self.makespan is None else f"{self.makespan:,.1f} s"
        return (
            f"{self.name}, WfFormat {self.version}\n"
            f"tasks: {self.tasks:,}, edges: {self.edges:,}, depth: {self.depth:,}, width: {self.width:,}\n"
            f"work: {self.seconds:,.1f} s, critical path: {self.critical_seconds:,.1f} s\n"
            f"makespan when recorded: {recorded}"
        )


def load(
    source: Source,
    *,
    scale: float = 1.0,
    body: Body = "sleep",
    name: str | None = None,
    default_runtime: float | None = None,
) -> Workflow[None, Timing]:
    """Make a workflow in the shape of an instance, whose tasks pass the time that the recorded ones took.

    Edges only order: nothing but the time of its tasks and the runner's own work goes into a run.
    Ids that graflow allows stay as they are. In others each character it refuses becomes ``_``, and a number follows
    where that id is taken; the input ``id`` of the task, and its `Timing`, hold the id of the instance.
    The value of a run is the `Timing` of the last task on the critical path.

    Args:
        source: the path of a JSON file, or its content as a mapping.
        scale: what every runtime is multiplied with; 0 leaves nothing but the shape.
        body: ``sleep`` waits and leaves the processor alone; ``spin`` keeps it busy for as many seconds of processor
            time, so that tasks which share a core take longer. Threads of one process share one, in most builds of
            Python: spin in processes.
        name: of the workflow; by default the instance's own.
        default_runtime: seconds of a task whose runtime the instance does not say.

    Raises:
        ConfigurationError: the file cannot be read, or an argument is impossible.
        DefinitionError: the file is no JSON or no instance of a version that can be read, a key is missing or has a
            value it cannot have, a runtime is missing and there is no default, or ``parents`` and ``children`` (1.5
            and later) disagree. Names the file and the key.
        DuplicateTaskError: two tasks have one id.
        UnknownTaskError: ``parents``, ``children`` or ``workflow.execution`` names a task that is not there.
        CycleError: tasks wait for each other.
    """
    _check_seconds("scale", scale)
    if body not in get_args(Body):
        raise ConfigurationError(f"body={body!r} is unknown; choose 'sleep' or 'spin'")
    instance = _read(source, default_runtime)
    token = RECORDER.set(None)  # or a block around the call would take each task for one of its own
    try:
        return _workflow(instance, Task(body, _sleep if body == "sleep" else _spin), scale, name)
    finally:
        RECORDER.reset(token)


def describe(source: Source, *, default_runtime: float | None = None) -> Description:
    """Count what an instance holds.

    Args:
        source: as for `load`.
        default_runtime: as for `load`.

    Raises:
        ConfigurationError: as for `load`.
        DefinitionError: as for `load`.
    """
    instance = _read(source, default_runtime)
    levels: dict[str, int] = {}
    at: dict[int, int] = {}
    for id, upstream in instance.upstream.items():
        level = levels[id] = 1 + max((levels[one] for one in upstream), default=0)
        at[level] = at.get(level, 0) + 1
    path = _critical_path(instance)
    return Description(
        name=instance.name,
        version=instance.version,
        tasks=len(instance.upstream),
        edges=sum(map(len, instance.upstream.values())),
        depth=len(at),
        width=max(at.values()),
        seconds=sum(instance.seconds.values()),
        critical_seconds=sum(instance.seconds[id] for id in path),
        critical_path=path,
        makespan=instance.makespan,
    )


def _read(source: Source, default_runtime: float | None) -> Instance:
    if default_runtime is not None:
        _check_seconds("default_runtime", default_runtime)
    return read(source, default_runtime)


def _check_seconds(name: str, value: object) -> None:
    if type(value) not in (int, float) or not isfinite(cast(float, value)) or cast(float, value) < 0:
        raise ConfigurationError(f"{name}={value!r} is not a number from 0 on")


def _workflow(
    instance: Instance, template: Task[[str, float], Timing], scale: float, name: str | None
) -> Workflow[None, Timing]:
    ids = _legal_ids(instance.upstream)
    tasks: dict[str, Task[[], Timing]] = {}
    for id, upstream in instance.upstream.items():
        task = template.named(ids[id])(id, float(instance.seconds[id] * scale))
        tasks[id] = task.after(*(tasks[one] for one in upstream)) if upstream else task
    builder = Workflow.builder(instance.name if name is None else name).add_all(tasks.values())
    return builder.build(returns=tasks[_critical_path(instance)[-1]])


def _legal_ids(ids: Iterable[str]) -> Mapping[str, str]:
    """A legal id for each, no two the same: the same ids in the same order give the same."""
    legal = {id: id for id in ids if len(id) <= MAX_ID and _LEGAL.fullmatch(id)}
    taken = set(legal)
    numbers: dict[str, int] = {}
    for id in ids:
        if id in legal:
            continue
        plain = _ILLEGAL.sub("_", id)
        plain = f"_{plain}"[:_CUT] if plain[0] in ".-" else plain[:_CUT]
        new = plain
        while new in taken:
            numbers[plain] = numbers.get(plain, 1) + 1
            new = f"{plain}-{numbers[plain]}"
        taken.add(new)
        legal[id] = new
    return legal


def _critical_path(instance: Instance) -> tuple[str, ...]:
    """The ids along the chain that takes longest."""
    ends: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for id, upstream in instance.upstream.items():
        before[id] = max(upstream, key=ends.__getitem__, default=None)
        ends[id] = instance.seconds[id] + max((ends[one] for one in upstream), default=0.0)
    path: list[str] = []
    # Of the tasks that end last, the one that comes last: tasks of no seconds at the end still belong to the path.
    last: str | None = max(reversed(ends), key=ends.__getitem__)
    while last is not None:
        path.append(last)
        last = before[last]
    return tuple(reversed(path))


def _sleep(id: str, seconds: float) -> Timing:
    began = time.perf_counter()
    end = began + seconds
    while (left := end - time.perf_counter()) > 0:
        time.sleep(min(left, _SLICE))
        if left > _SLICE and current().cancelled:
            break
    return Timing(id, seconds, time.perf_counter() - began)


def _spin(id: str, seconds: float) -> Timing:
    began = time.perf_counter()
    end = time.thread_time() + seconds
    look = _SLICE
    while (left := end - time.thread_time()) > 0:
        sum(range(1000))  # some ten microseconds, so that the loop computes rather than asks for the time
        if seconds - left > look:
            look += _SLICE
            if current().cancelled:
                break
    return Timing(id, seconds, time.perf_counter() - began)
