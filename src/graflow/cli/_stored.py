"""What a store says of the tasks of a run, without its workflow and without reading a result."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from graflow.core.run import TaskState
from graflow.runners._restore import LOST
from graflow.stores.store import AttemptRow, StoredRun

#: Of a task that no worker has begun yet.
_WAITING = str(TaskState.WAITING)
_LOST = "lost"
"""The state of an attempt whose process ended before it did."""


class StoredTask(NamedTuple):
    """A task of a stored run."""

    id: str
    place: int
    """Its index in the store."""
    state: str
    attempts: list[AttemptRow]
    """In order, without the row that says that it ended without one."""
    note: str
    """Why it did not run, or why it did."""

    @property
    def last(self) -> AttemptRow | None:
        """Its last attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def seconds(self) -> float | None:
        """How long the last attempt took."""
        return self.last.seconds if self.last is not None else None

    @property
    def error(self) -> str | None:
        """What the last attempt raised, in one line; None if the task did not fail."""
        return self.last.error_text or "" if self.last is not None and self.state == TaskState.FAILED else None


def tasks_of(stored: StoredRun) -> list[StoredTask]:
    """The tasks of a run and where each stands, in the order in which they were first begun."""
    rows: dict[int, list[AttemptRow]] = {}
    for row in stored.attempts:
        rows.setdefault(row.task, []).append(row)
    tasks = [_task(id, place, rows.get(place, ()), stored.row.alive) for place, id in enumerate(stored.ids)]
    return sorted(tasks, key=_begun)


def _begun(task: StoredTask) -> tuple[float, int]:
    started = task.attempts[0].started if task.attempts else None
    return inf if started is None else started, task.place


def _task(id: str, place: int, rows: Sequence[AttemptRow], alive: bool) -> StoredTask:
    attempts = [row._replace(state=state_of(row, alive)) for row in rows if row.attempt]
    without = next((row for row in rows if not row.attempt), None)
    last = attempts[-1] if attempts else None
    # A task may be called off between two attempts, and in a run that goes on may be tried again: the later row counts.
    if without is not None and (last is None or (without.started or 0.0) > (last.started or 0.0)):
        return StoredTask(id, place, without.state, attempts, without.note or "")
    return StoredTask(id, place, last.state if last is not None else _WAITING, attempts, (last and last.note) or "")


def state_of(row: AttemptRow, alive: bool) -> str:
    """The state of an attempt; one that was under way when its process ended is lost."""
    return _LOST if row.note == LOST or (row.state == TaskState.RUNNING and not alive) else row.state
