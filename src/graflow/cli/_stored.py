"""What a store says of the tasks of a run, without its workflow and without reading a result."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import inf
from typing import NamedTuple

from graflow.core.run import TaskState
from graflow.runners._restore_items import LOST
from graflow.stores.journal import WENT_ON
from graflow.stores.store import ITEMS, AttemptRow, StoredRun

#: Of a task that no worker has begun yet.
_WAITING = str(TaskState.WAITING)
_LOST = "lost"
"""The state of an attempt whose process ended before it did."""
AWAITING = "awaiting"
"""The state of a signal that waits, whether a process runs its run or not."""
_INTERRUPTED = "interrupted"
"""The state of the wait for a signal during which a process ended."""
_CONTINUED = "continued"
"""The state of an attempt that went on with another task."""
_ARRIVED = "a value has arrived for it"
_ITEM = re.compile(r"(.*)\[(\d+)\]", re.DOTALL)


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
    items: Mapping[int, Sequence[AttemptRow]] = {}
    """Of a map, item → its rows, of those items that have begun or ended."""
    alive: bool = False
    """Whether a process runs its run."""

    @property
    def last(self) -> AttemptRow | None:
        """Its last attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def attempt(self) -> int:
        """The number of its last attempt; 0 if there was none."""
        return self.last.attempt if self.last is not None else 0

    @property
    def seconds(self) -> float | None:
        """How long the last attempt took."""
        return self.last.seconds if self.last is not None else None

    @property
    def error(self) -> str | None:
        """What the last attempt raised, in one line; None if the task did not fail."""
        return self.last.error_text or "" if self.last is not None and self.state == TaskState.FAILED else None


def tasks_of(stored: StoredRun, arrived: Collection[str] = ()) -> list[StoredTask]:
    """The tasks of a run and where each stands, in the order in which they were first begun.

    Args:
        stored: the run.
        arrived: the signals for which a value has arrived.
    """
    rows: dict[int, list[AttemptRow]] = {}
    items: dict[int, dict[int, list[AttemptRow]]] = {}
    for row in stored.attempts:
        if row.task < ITEMS:
            rows.setdefault(row.task, []).append(row)
        else:
            items.setdefault(row.task % ITEMS, {}).setdefault(row.task // ITEMS - 1, []).append(row)
    alive = stored.row.alive
    tasks = [
        _task(id, place, rows.get(place, ()), alive)._replace(items=items.get(place, {}), alive=alive)
        for place, id in enumerate(stored.ids)
    ]
    known = (
        task._replace(note=_ARRIVED) if task.id in arrived and task.state in (_WAITING, AWAITING) else task
        for task in tasks
    )
    return sorted(known, key=_begun)


def items_of(task: StoredTask) -> Iterator[StoredTask]:
    """Where each item of a map stands that has begun or ended, in their order."""
    for k, rows in sorted(task.items.items()):
        yield _task(f"{task.id}[{k}]", task.place + (k + 1) * ITEMS, rows, task.alive)


def place_of(id: str, places: Mapping[str, int]) -> int:
    """The number in the store of a task, or of an item of a map, such as ``score[17]``.

    Raises:
        KeyError: there is no such task.
    """
    found = _ITEM.fullmatch(id) if id not in places else None
    return places[id] if found is None else places[found[1]] + (int(found[2]) + 1) * ITEMS


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
    if not row.worker and (row.state == TaskState.RUNNING or row.note == LOST):
        # Nobody works at a signal, so nothing of it can be lost.
        return AWAITING if row.state == TaskState.RUNNING else _INTERRUPTED
    if row.note == WENT_ON:
        return _CONTINUED
    return _LOST if row.note == LOST or (row.state == TaskState.RUNNING and not alive) else row.state
