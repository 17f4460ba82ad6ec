"""Where runs and tasks stand, and what happened to them: the words for it, and the records."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal


class RunState(enum.StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    """It passed its deadline."""
    INTERRUPTED = "interrupted"
    """Its process ended before it did; only a stored run can be found in this state, and it can be resumed."""


class TaskState(enum.StrEnum):
    """Where a task of a run stands."""

    WAITING = "waiting"
    """For its upstreams."""
    READY = "ready"
    """To be started as soon as a worker is free."""
    RUNNING = "running"
    RETRYING = "retrying"
    """An attempt failed, and the time for the next one has not come."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    """It did not run, because something it needs did not succeed."""
    CANCELLED = "cancelled"
    """The run was called off before it started, or while it ran."""


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """What happened in one attempt of a task."""

    number: int
    """Counted from 1."""
    state: TaskState
    """``running``, or how it ended."""
    started: float
    """Seconds since the epoch (UTC)."""
    duration: float | None
    """Seconds it took; None while it runs, or if its process died and nobody knows."""
    worker: str | None
    """Where it ran."""
    error: BaseException | None
    """What it raised."""


#: Where the result of a task came from: this run, a cache, or an earlier part of a run that was resumed.
Origin = Literal["run", "cache", "resumed"]


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What happened to one task in one run."""

    id: str
    state: TaskState
    attempts: int
    """How often it was started, which a look into the cache counts as."""
    started: float | None
    """Seconds since the epoch (UTC) at which the last attempt started; None if it did not."""
    duration: float | None
    """Seconds the last attempt took; None while it runs, or if it did not start."""
    worker: str | None
    """Where it ran: ``inline``, ``thread-2``, ``process-4711``, ``async``."""
    error: BaseException | None
    """What its last attempt raised."""
    reason: str | None
    """Why it did not run, or ran where a result was known."""
    history: tuple[AttemptRecord, ...] = ()
    """Its attempts in order, with those of earlier parts of a run that was resumed."""
    source: Origin = "run"
    """Where its result came from."""
    items: int | None = None
    """Of a map, how many items it has; None for other tasks, and before that is known. `Run.items` tells of them."""
