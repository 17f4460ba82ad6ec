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


@dataclass(frozen=True, slots=True)
class TaskSucceeded:
    """An attempt gave the task's result."""

    task: str
    attempt: int
    at: float
    seconds: float
    source: Origin = "run"
    """Where the result came from: a body that ran, a cache, an earlier part of the run."""


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


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """A body told how far it is; see `graflow.Current.progress`. Told live only: it is not part of the past."""

    task: str
    attempt: int
    done: float
    total: float | None
    at: float


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """The task failed for good."""

    task: str
    attempt: int
    at: float
    seconds: float
    error: BaseException


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
    """The task will not run, because the run was cancelled."""

    task: str
    at: float


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
    | CancelRequested
    | TaskSkipped
    | TaskCancelled
    | RunFinished
)
