"""What a store has of the items of a map: to go on with, and to be read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graflow.core.run import AttemptRecord, TaskState
from graflow.engine import codec
from graflow.engine.ledger import PENDING, Stored
from graflow.engine.rules import CANCELLED, FAILED, SKIPPED, STATES, SUCCEEDED
from graflow.engine.shapes import STOPPED, Earlier
from graflow.errors import RemoteError, ResultUnavailableError
from graflow.runners._durable import known_value
from graflow.stores.store import ITEMS, AttemptRow

if TYPE_CHECKING:
    from graflow.engine.drive import Execution
    from graflow.stores.store import Store

#: The note of an attempt at an item that is no more: its map is opened anew, and may have other items.
ANEW = "run again: what is mapped over may be something else"
#: The note of an attempt that was under way when its process ended.
LOST = "its process ended before it did"


def take_over(
    execution: Execution, i: int, items: Mapping[int, Sequence[AttemptRow]], store: Store, run_id: str, *, anew: bool
) -> list[AttemptRow]:
    """Before a run goes on: have a map take over the items that succeeded, once it is open; with ``anew``, none.

    Returns:
        the rows that say in the store what became of attempts that count no more.
    """
    attempts: dict[int, tuple[int, bool]] = {}
    values: dict[int, Any] = {}
    corrections: list[AttemptRow] = []
    for k, rows in items.items():
        last = rows[-1]
        usable, why = False, ""
        if anew:  # counted on all the same, so that no row of then is taken for one of now
            attempts[k] = last.attempt, False
            corrections += [row._replace(state="cancelled", note=ANEW, result=None) for row in rows]
            continue
        if last.state == "succeeded":
            usable, values[k], why = known_value(store, run_id, last.task)
        attempts[k] = last.attempt, usable
        if why:
            corrections.append(last._replace(state="cancelled", note=f"run again: {why}", result=None))
        elif last.state == "running":
            corrections.append(last._replace(state="cancelled", note=LOST))
    execution.earlier[i] = Earlier(attempts, values.__getitem__)
    return corrections


def read_back(
    execution: Execution, i: int, items: Mapping[int, Sequence[AttemptRow]], store: Store, run_id: str, place: int
) -> None:
    """Fill the books of a run that has ended with the items of a map."""
    items = {k: kept for k, rows in items.items() if (kept := [row for row in rows if row.note != ANEW])}
    if not items:
        return
    machine, count = execution.machine, max(items) + 1
    first = machine.recalled(i, count).start
    execution.recipes += [()] * count
    execution.function_of += [0] * count
    execution.grew(i, count)
    assert isinstance(execution.ids, list)
    execution.ids.extend([f"{execution.ids[i]}[{k}]" for k in range(count)])
    execution.slots.extend([PENDING] * count)
    execution.started.extend([0.0] * count)
    execution.ended.extend([0.0] * count)
    execution.worker.extend([0] * count)
    for k, rows in items.items():
        j, last = first + k, rows[0] if not rows[0].attempt else rows[-1]
        state = STATES.index(TaskState(last.state))
        machine.states[j] = state if state in (SUCCEEDED, FAILED, SKIPPED) else CANCELLED
        machine.attempts[j] = rows[-1].attempt
        execution.past[j] = [record_of(row) for row in rows if row.attempt and row is not last]
        set_times(execution, j, last)
        if last.note is not None:
            execution.notes[j] = last.note
        if state == SUCCEEDED:
            execution.slots[j] = Stored(loader(store, run_id, place + (k + 1) * ITEMS, execution.ids[j]))
            if last.note == STOPPED:
                machine.stopped_by = j
        elif state == FAILED:
            execution.errors[j] = error_of(last) or RemoteError("unknown", "the store has no error")


def set_times(execution: Execution, i: int, row: AttemptRow) -> None:
    """When an attempt started and ended, and where it ran."""
    started = (row.started or 0.0) - execution.epoch
    execution.started[i] = started
    execution.ended[i] = started + (row.seconds or 0.0)
    execution.workers.append(row.worker or "")
    execution.worker[i] = len(execution.workers) - 1


def record_of(row: AttemptRow) -> AttemptRecord:
    """What a store has of an attempt."""
    state = TaskState(row.state)
    if state is TaskState.RUNNING:
        state = TaskState.CANCELLED
    return AttemptRecord(row.attempt, state, row.started or 0.0, row.seconds, row.worker, error_of(row))


def error_of(row: AttemptRow) -> BaseException | None:
    """What an attempt raised."""
    return None if row.error is None else codec.load_exception(row.error)


def loader(store: Store, run_id: str, place: int, id: str) -> Callable[[], Any]:
    """How to fetch a result when somebody asks for it."""

    def load() -> Any:
        usable, value, why = known_value(store, run_id, place)
        if not usable:
            raise ResultUnavailableError(f"the result of task {id!r} cannot be had: {why}")
        return value

    return load
