"""What may happen in a run: a closed union.

Event objects are made only for those who listen: a run without listeners makes none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from graflow.core.run import Origin, RunState


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run began."""

    run: str
    at: float
    """Seconds since the epoch (UTC); the same in all events."""


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """An attempt began."""

    task: str
    attempt: int
    at: float
    worker: str
    item: int | None = None
    """Of a map, which item; from 0."""


@dataclass(frozen=True, slots=True)
class TaskSucceeded:
    """An attempt gave the task's result."""

    task: str
    attempt: int
    at: float
    seconds: float
    source: Origin = "run"
    """Where the result came from: a body that ran, a cache, an earlier part of the run."""
    item: int | None = None
    """Of a map, which item; from 0."""


@dataclass(frozen=True, slots=True)
class TaskRetrying:
    """An attempt failed, and another one follows."""

    task: str
    attempt: int
    at: float
    seconds: float
    error: BaseException
    next_at: float
    """When the next attempt may start."""
    item: int | None = None
    """Of a map, which item; from 0."""


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """A body told how far it is; see `graflow.Current.progress`. Told live only: it is not part of the past."""

    task: str
    attempt: int
    done: float
    total: float | None
    at: float
    item: int | None = None
    """Of a map, which item; from 0."""


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """The task failed for good."""

    task: str
    attempt: int
    at: float
    seconds: float
    error: BaseException
    item: int | None = None
    """Of a map, which item; from 0."""


@dataclass(frozen=True, slots=True)
class MapOpened:
    """It is known what a map is mapped over."""

    task: str
    items: int
    """How many items there are."""
    at: float


@dataclass(frozen=True, slots=True)
class TaskContinued:
    """An attempt ended by going on with another task, whose result will be the task's own."""

    task: str
    attempt: int
    following: str
    """The id of the other one."""
    at: float
    item: int | None = None
    """Of a map, which item; from 0."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Somebody cancelled the run."""

    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class TaskSkipped:
    """The task will not run, because something it needs did not succeed."""

    task: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class TaskCancelled:
    """The task will not run, because the run was called off, or nobody needs it any more."""

    task: str
    at: float
    item: int | None = None
    """Of a map, which item; from 0."""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """Every task has ended; nothing more will happen."""

    run: str
    state: RunState
    at: float


Event: TypeAlias = (
    RunStarted
    | TaskStarted
    | TaskProgress
    | TaskSucceeded
    | TaskRetrying
    | TaskFailed
    | MapOpened
    | TaskContinued
    | CancelRequested
    | TaskSkipped
    | TaskCancelled
    | RunFinished
)
