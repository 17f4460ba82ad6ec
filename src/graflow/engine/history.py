"""The past of a run, as the events that somebody who listened from the start would have been told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from graflow.core.run import AttemptRecord
from graflow.engine.events import (
    CancelRequested,
    Event,
    MapOpened,
    RunFinished,
    RunStarted,
    TaskCancelled,
    TaskFailed,
    TaskRetrying,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
)
from graflow.engine.rules import CANCELLED, FAILED, RUNNING, SKIPPED, SUCCEEDED

if TYPE_CHECKING:
    from graflow.engine._commits import Commits


def passive_event(run: Commits, i: int, state: int) -> Event:
    """A task ended without a result or an error of its own."""
    (id, item), at = run.name(i), run.epoch + passive_end(run, i, state)
    return TaskSkipped(id, run.reason(i) or "", at) if state == SKIPPED else TaskCancelled(id, at, item)


def passive_end(run: Commits, i: int, state: int) -> float:
    """When it did."""
    if state == SKIPPED and not run.ended[i]:
        cause = run.machine.skipped_for[i]
        if cause >= len(run.plan.ids):  # the rule of a gate decided when the last of its members ended
            return max(run.ended[u] for u in run.plan.upstream[cause])
        return run.ended[cause]
    return run.ended[i] or run.closed_at


def failed_event(run: Commits, i: int) -> TaskFailed:
    """A task failed for good."""
    (id, item), end, start = run.name(i), run.ended[i], run.started[i]
    return TaskFailed(id, run.machine.attempts[i], run.epoch + end, end - start, run.errors[i], item)


def retrying_event(run: Commits, i: int, attempt: AttemptRecord, next_at: float) -> TaskRetrying:
    """An attempt failed, and another one follows."""
    seconds = attempt.duration or 0.0
    assert attempt.error is not None
    id, item = run.name(i)
    return TaskRetrying(
        id, attempt.number, attempt.started + seconds, seconds, attempt.error, run.epoch + next_at, item
    )


def history(run: Commits) -> Iterator[Event]:
    """All that happened so far, in order of time.

    Where the clock stood still, in plan order: an upstream ends before its downstream starts.
    """
    began = run.epoch + run.began
    past: list[tuple[float, int, Event]] = [(began, -1, RunStarted(run.id, began))]
    machine = run.machine
    # Times that went through a store are rounded, so what began when another task ended may seem to have begun before.
    ends = [0.0] * len(run.plan.upstream)
    for place, i in enumerate(run.plan.order):
        ends[i] = max((ends[u] for u in run.plan.upstream[i]), default=0.0)
        if i >= len(run.plan.ids):
            continue
        if run.sources.get(i) == "resumed":  # of an earlier part of the run: told in short, and before this part
            seconds = run.ended[i] - run.started[i]
            known = TaskSucceeded(run.plan.ids[i], machine.attempts[i], began, seconds, "resumed")
            past.append((began, -2, known))
            continue
        own = _of_task(run, i)
        for k in range(len(own) - 2, -1, -1):  # an end as the sum of two floats can be later than what follows
            own[k] = min(own[k][0], own[k + 1][0]), own[k][1]
        if not own or not isinstance(own[0][1], TaskStarted):  # a task that did not run ends when that is decided
            ends[i] = 0.0
        for at, event in own:
            ends[i] = max(ends[i], at)
            past.append((ends[i], place, event))
            if isinstance(event, TaskStarted) and i in machine.items.of:
                past += _of_map(run, i, place)
    if machine.cancel_reason is not None:
        at = run.epoch + run.closed_at
        past.append((at, -1, CancelRequested(machine.cancel_reason, at)))
    past.sort(key=lambda entry: entry[:2])
    yield from (event for _, _, event in past)
    if run.finished_at is not None:  # the last, whatever rounding makes of times that went through a store
        yield RunFinished(run.id, machine.outcome, run.epoch + run.finished_at)


def _of_task(run: Commits, i: int) -> list[tuple[float, Event]]:
    """What happened to one task, in the order in which it did, each with its time."""
    machine, (id, item) = run.machine, run.name(i)
    state, attempt = machine.states[i], machine.attempts[i]
    past: list[tuple[float, Event]] = []
    began = run.epoch + run.began
    for earlier in run.past.get(i, ()):
        if earlier.started < began:
            continue
        begun, ended = earlier.started, earlier.started + (earlier.duration or 0.0)
        past.append((begun, TaskStarted(id, earlier.number, begun, earlier.worker or "", item)))
        if earlier.error is not None:
            past.append((ended, retrying_event(run, i, earlier, ended - run.epoch + _delay(run, i, earlier))))
    if state < RUNNING:
        return past
    start, end = run.epoch + run.started[i], run.epoch + run.ended[i]
    last = run.last_attempt(i)
    if last is not None and last.number == attempt and last not in run.past.get(i, ()):
        past.append((start, TaskStarted(id, attempt, start, last.worker or "", item)))
    if state == SUCCEEDED:
        seconds = run.ended[i] - run.started[i]
        past.append((end, TaskSucceeded(id, attempt, end, seconds, run.sources.get(i, "run"), item)))
    elif state == FAILED:
        past.append((end, failed_event(run, i)))
    elif state in (SKIPPED, CANCELLED):
        past.append((run.epoch + passive_end(run, i, state), passive_event(run, i, state)))
    return past


def _of_map(run: Commits, i: int, place: int) -> Iterator[tuple[float, int, Event]]:
    """That a map was opened, and what happened to its items."""
    items = run.machine.items.of[i]
    at = run.epoch + run.started[i]
    yield at, place, MapOpened(run.ids[i], len(items), at)
    for j in items:
        if run.sources.get(j) == "resumed":
            yield at, place, TaskSucceeded(run.ids[i], run.machine.attempts[j], at, 0.0, "resumed", j - items.start)
            continue
        last = at
        for when, event in _of_task(run, j):
            last = max(last, when)
            yield last, place, event


def _delay(run: Commits, i: int, attempt: AttemptRecord) -> float:
    """How long the next attempt had to wait after this one failed."""
    policy, number = run.policies.get(i), attempt.number - run.machine._before.get(i, 0)
    if policy is None or policy.retry is None or number < 1:
        return 0.0
    return policy.retry.backoff.delay(number, f"{run.id}/{run.ids[i]}")
