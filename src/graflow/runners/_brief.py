"""What became of the tasks of a run in brief, for who tells of very many: a record of each would take its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from graflow.core.run import Origin, TaskState
from graflow.engine.rules import FAILED, STATES, SUCCEEDED
from graflow.runners._handle import ItemRecords, LocalRun

if TYPE_CHECKING:
    from graflow.engine.drive import Execution


class Brief(NamedTuple):
    """The least of a `TaskRecord`, with the same words but one."""

    id: str
    state: TaskState
    attempts: int
    duration: float | None
    """Seconds from the start of its first attempt in this run to its end, with the waits between."""
    source: Origin


def briefs(run: LocalRun[Any]) -> list[Brief]:
    """What became of each task, in plan order."""
    books = run._execution
    machine, past, sources, ids = books.machine, books.past, books.sources, books.plan.ids
    states, attempts, started, ended = machine.states, machine.attempts, books.started, books.ended
    told: list[Brief] = []
    for i in books.plan.order:
        if i >= len(ids):
            continue
        state, seconds = states[i], None
        if i in past:
            seconds = _span(books, i)
        elif state >= SUCCEEDED and attempts[i]:
            seconds = max(0.0, ended[i] - books.begun.get(i, started[i]))
        told.append(Brief(ids[i], STATES[state], attempts[i], seconds, sources.get(i, "run")))
    return told


def _span(books: Execution, i: int) -> float | None:
    """How long a task took that was attempted more than once."""
    duration = books.record(i).duration
    here = [one.started for one in books.past[i] if one.started >= books.epoch + books.began]
    if duration is None or not here or books.machine.states[i] < SUCCEEDED:
        return duration
    return max(0.0, books.epoch + books.ended[i] - here[0])


def failed_ids(run: LocalRun[Any]) -> list[str]:
    """The tasks that failed, in plan order."""
    books = run._execution
    ids, states = books.plan.ids, books.machine.states
    return [ids[i] for i in books.plan.order if states[i] == FAILED and i < len(ids)]


def items_of(run: LocalRun[Any], map: str) -> ItemRecords:
    """The items of a map of the run, as what can count them."""
    books = run._execution
    return ItemRecords(books, books.plan.index[map])
