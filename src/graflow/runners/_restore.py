"""Filling the books of a run from what a store has of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from graflow.core.outcome import Ok
from graflow.core.run import AttemptRecord, TaskState
from graflow.engine import codec
from graflow.engine.ledger import Stored
from graflow.engine.rules import CANCELLED, FAILED, SKIPPED, STATES, SUCCEEDED
from graflow.errors import RemoteError, ResultUnavailableError
from graflow.runners._durable import Remainder, known_value
from graflow.stores.store import AttemptRow

if TYPE_CHECKING:
    from graflow.engine.drive import Execution
    from graflow.stores.store import Claim, Store, StoredRun

#: The note of an attempt that was under way when its process ended.
LOST = "its process ended before it did"


def go_on(execution: Execution, store: Store, claim: Claim, rest: Remainder) -> list[AttemptRow]:
    """Before the start of a run that goes on: take over what succeeded.

    Returns:
        the rows that say in the store what became of attempts that count no more.
    """
    plan, machine, n = execution.plan, execution.machine, len(execution.plan.ids)
    runs = [True] * n
    values: dict[int, Any] = {}
    corrections: list[AttemptRow] = []
    # From the last task to the first, because a result is needed only where something that reads it runs.
    for i in reversed(plan.order):
        if i >= n:
            continue
        rows = rest.rows.get(i, [])
        reason: str | None = rest.again.get(i)
        if rows and rows[-1].state == "succeeded":
            if reason is None:
                needed = i == plan.returns or any(d < n and runs[d] for d in _readers(execution, i))
                if needed:
                    usable, values[i], reason = known_value(store, claim.run_id, rest.places[i])
                    runs[i] = not usable
                else:
                    runs[i] = False
            if runs[i]:
                execution.notes[i] = f"run again: {reason}"
                corrections.append(rows[-1]._replace(state="cancelled", note=execution.notes[i], result=None))
        elif rows and rows[-1].state == "running":
            corrections.append(rows[-1]._replace(state="cancelled", note=LOST))
    for i in range(n):
        rows = [row for row in rest.rows.get(i, []) if row.attempt]
        if not rows:
            continue
        if runs[i]:
            execution.past[i] = [_record(row) for row in rows]
            machine.counted(i, rows[-1].attempt)
            continue
        execution.past[i] = [_record(row) for row in rows[:-1]]
        machine.known(i, rows[-1].attempt)
        execution.sources[i] = "resumed"
        _set_times(execution, i, rows[-1])
        place = rest.places[i]
        value = values[i] if i in values else Stored(_loader(store, claim.run_id, place, plan.ids[i]))
        execution.slots[i] = value
        if i in plan.outcome_slots and i in values:
            execution.slots[plan.outcome_slots[i]] = Ok(value)
    return corrections


def read_back(execution: Execution, store: Store, stored: StoredRun, rest: Remainder) -> None:
    """Fill the books of a run that has ended."""
    plan, machine = execution.plan, execution.machine
    for i in range(len(plan.ids)):
        all_rows = rest.rows.get(i, [])
        rows = [row for row in all_rows if row.attempt]
        state = next((row.state for row in all_rows if not row.attempt), None) or (
            rows[-1].state if rows else "cancelled"
        )
        number = STATES.index(TaskState(state))
        machine.states[i] = number if number in (SUCCEEDED, FAILED, SKIPPED) else CANCELLED
        machine.open -= 1
        last = rows[-1] if rows and rows[-1].state == state else None
        execution.past[i] = [_record(row) for row in rows if row is not last]
        if rows:
            machine.attempts[i] = rows[-1].attempt
        note = next((row.note for row in reversed(all_rows) if row.note), None)
        if note is not None:
            execution.notes[i] = note
        if last is not None:
            _set_times(execution, i, last)
        elif all_rows and not all_rows[0].attempt:  # it ended without an attempt
            execution.ended[i] = (all_rows[0].started or stored.row.ended or stored.row.created) - execution.epoch
        if number == SUCCEEDED:
            execution.slots[i] = Stored(_loader(store, stored.row.id, rest.places[i], plan.ids[i]))
        elif number == FAILED:
            assert last is not None
            execution.errors[i] = _error(last) or RemoteError("unknown", "the store has no error")
            machine.failed.append(i)
    _find_causes(execution)
    row = stored.row
    machine.closed = True
    machine.expired = row.state == "timed_out"
    machine.cancel_reason = row.reason if row.state == "cancelled" else None
    execution.began = row.created - execution.epoch
    execution.finished_at = (row.ended if row.ended is not None else row.created) - execution.epoch
    called_off = [execution.ended[i] for i in range(len(plan.ids)) if machine.states[i] == CANCELLED]
    execution.closed_at = min(called_off, default=execution.finished_at)
    execution.done.set()


def _find_causes(execution: Execution) -> None:
    """For the failure of which task each skipped task was skipped."""
    plan, machine = execution.plan, execution.machine
    cause: dict[int, int] = {}
    for i in plan.order:
        if i < len(plan.ids) and machine.states[i] == FAILED:
            cause[i] = i
        elif i >= len(plan.ids) or machine.states[i] == SKIPPED:
            tolerated = plan.tolerated.get(i, frozenset())
            found = next((cause[u] for u in plan.upstream[i] if u in cause and u not in tolerated), None)
            if found is not None:
                cause[i] = found
                if i < len(plan.ids):
                    machine.skipped_for[i] = found


def _readers(execution: Execution, i: int) -> list[int]:
    """The tasks that may read a result, those behind gates included, because a body may read through its block."""
    plan, n = execution.plan, len(execution.plan.ids)
    found: list[int] = []
    for d in plan.downstream[i]:
        found.extend((d,) if d < n else plan.downstream[d])
    return found


def _set_times(execution: Execution, i: int, row: AttemptRow) -> None:
    started = (row.started or 0.0) - execution.epoch
    execution.started[i] = started
    execution.ended[i] = started + (row.seconds or 0.0)
    execution.workers.append(row.worker or "")
    execution.worker[i] = len(execution.workers) - 1


def _record(row: AttemptRow) -> AttemptRecord:
    state = TaskState(row.state)
    if state is TaskState.RUNNING:
        state = TaskState.CANCELLED
    return AttemptRecord(row.attempt, state, row.started or 0.0, row.seconds, row.worker, _error(row))


def _error(row: AttemptRow) -> BaseException | None:
    return None if row.error is None else codec.load_exception(row.error)


def _loader(store: Store, run_id: str, place: int, id: str) -> Callable[[], Any]:
    def load() -> Any:
        usable, value, why = known_value(store, run_id, place)
        if not usable:
            raise ResultUnavailableError(f"the result of task {id!r} cannot be had: {why}")
        return value

    return load
