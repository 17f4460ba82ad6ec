"""Filling the books of a run from what a store has of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graflow.core.run import TaskState
from graflow.engine.ledger import Stored
from graflow.engine.rebuild import rebuild
from graflow.engine.rules import CANCELLED, FAILED, SKIPPED, STATES, SUCCEEDED
from graflow.engine.shapes import STOPPED
from graflow.errors import RemoteError
from graflow.runners import _restore_items as _items
from graflow.runners._durable import Remainder, known_value
from graflow.runners._restore_items import LOST, error_of, loader, record_of, set_times
from graflow.stores.store import AttemptRow

if TYPE_CHECKING:
    from graflow.engine.drive import Execution
    from graflow.stores.store import Claim, Store, StoredRun


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
            execution.past[i] = [record_of(row) for row in rows]
            machine.counted(i, rows[-1].attempt)
            if i in plan.signals and (seconds := plan.policies[i].timeout if i in plan.policies else None) is not None:
                # Somebody is given that long, however often the run is stopped meanwhile.
                machine.limit_time(i, max(0.0, (rows[0].started or 0.0) + seconds - execution.clock.wall()))
            continue
        execution.past[i] = [record_of(row) for row in rows[:-1]]
        machine.known(i, rows[-1].attempt)
        execution.sources[i] = "resumed"
        set_times(execution, i, rows[-1])
        place = rest.places[i]
        value = values[i] if i in values else Stored(loader(store, claim.run_id, place, plan.ids[i]))
        execution.slots[i] = value
        if i in plan.outcome_slots and i in values:
            execution.slots[plan.outcome_slots[i]] = execution.success(i, value)
    for i, items in rest.items.items():
        # What comes from a source that runs again may be something else, or in another order.
        same_source = not any(runs[u] for u in plan.upstream[i] if u < n)
        if runs[i]:
            anew = i in rest.touched or not same_source
            corrections += _items.take_over(execution, i, items, store, claim.run_id, anew=anew)
        else:
            _items.read_back(execution, i, items, store, claim.run_id, rest.places[i])
    _open_empty(execution, rest)
    for id, payload in store.signals(claim.run_id).items():
        if (i := plan.index.get(id, -1)) in plan.signals and runs[i]:
            execution.arrived[i] = rebuild(payload)
    execution.channels.restore(store.channels(claim.run_id))
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
        execution.past[i] = [record_of(row) for row in rows if row is not last]
        if rows:
            machine.attempts[i] = rows[-1].attempt
        note = next((row.note for row in reversed(all_rows) if row.note), None)
        if note is not None:
            execution.notes[i] = note
        if last is not None:
            set_times(execution, i, last)
        elif all_rows and not all_rows[0].attempt:  # it ended without an attempt
            execution.ended[i] = (all_rows[0].started or stored.row.ended or stored.row.created) - execution.epoch
        if number == SUCCEEDED:
            execution.slots[i] = Stored(loader(store, stored.row.id, rest.places[i], plan.ids[i]))
        elif number == FAILED:
            failed = last if last is not None else all_rows[0]  # without an attempt, for its flag was none
            execution.errors[i] = error_of(failed) or RemoteError("unknown", "the store has no error")
            machine.failed.append(i)
        if note == STOPPED and number == SUCCEEDED:
            machine.stopped_by = i
    for i, items in sorted(rest.items.items()):
        _items.read_back(execution, i, items, store, stored.row.id, rest.places[i])
    _open_empty(execution, rest)
    execution.channels.restore(store.channels(stored.row.id))
    for gate, decider in execution.deciders.items():
        members = plan.upstream[gate]
        succeeded = [u for u in members if machine.states[u] == SUCCEEDED]
        opened = decider.decide(succeeded, [u for u in members if u not in succeeded])
        machine.states[gate] = SUCCEEDED if opened else SKIPPED
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


def _open_empty(execution: Execution, rest: Remainder) -> None:
    """Maps that succeeded and have no items, of which the store says nothing, had none."""
    machine = execution.machine
    for i in sorted(execution.plan.maps):
        if i not in rest.items and machine.states[i] == SUCCEEDED:
            machine.items.open(i, 0)


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
