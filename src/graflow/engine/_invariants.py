"""What always holds of a machine, and what its graph alone says of failures."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from graflow.engine.rules import (
    CANCELLED,
    FAILED,
    READY,
    RETRYING,
    RUNNING,
    SKIPPED,
    STATES,
    SUCCEEDED,
    WAITING,
)
from graflow.errors import InternalError

if TYPE_CHECKING:
    from graflow.engine.machine import Machine


def check(machine: Machine) -> None:
    """Check the invariants.

    Raises:
        InternalError: one does not hold.
    """
    n, states = machine._tasks, machine.states
    final = sum(state >= SUCCEEDED for state in states[:n])
    if machine.open != n - final:
        raise InternalError(f"{n - final} tasks have not ended, but {machine.open} are counted")
    items = range(machine.items.first, len(states))
    queued = [i for lane in machine.ready for i in lane] + machine._limits.parked
    if sorted(queued) != [i for i in (*range(n), *items) if states[i] == READY]:
        raise InternalError("the lanes do not hold exactly the ready tasks")
    if not machine.closed and READY in states[n : items.start]:
        raise InternalError("a gate may open, and is not open")
    machine._limits.validate({i for lane in machine.ready for i in lane} | set(machine.running()))
    for i, own in machine.items.of.items():
        _check_items(machine, i, [states[j] for j in own])
    for i, ups in enumerate(_edges(machine)):
        _check_waiting(machine, i, ups)


def _check_items(machine: Machine, i: int, items: Sequence[int]) -> None:
    left = sum(state < SUCCEEDED for state in items)
    if machine.items.left[i] != left:
        raise InternalError(f"{left} items of map {i} have not ended, but {machine.items.left[i]} are counted")
    if SKIPPED in items or WAITING in items:
        raise InternalError(f"an item of map {i} waits, or was skipped: it needs nothing but its map")
    if left and machine.states[i] != RUNNING:
        raise InternalError(f"map {i} is {STATES[machine.states[i]]} before its items ended")
    ends = [end for end in (FAILED, CANCELLED, SUCCEEDED) if end in items]
    if not left and machine.items.end_of(i) != (ends or [SUCCEEDED])[0]:
        raise InternalError(f"map {i} does not end as its items did")


def _edges(machine: Machine) -> list[list[tuple[int, bool]]]:
    """Per index, the upstreams that it waits for, and of which of them it takes nothing but the outcome.

    Whose outcome is taken without waiting for it is left out. A map without items has no outcomes.
    """
    upstream: list[list[tuple[int, bool]]] = [[] for _ in machine._waiting]
    for u, below in enumerate(machine._downstream):
        for d in below:
            upstream[d].append((u, False))
    for u, watchers in machine._watchers.items():
        has_none = u in machine._maps and u not in machine.items.of
        for d in watchers:
            upstream[d].append((u, d in machine._deciders or not has_none))
    return upstream


def _check_waiting(machine: Machine, i: int, ups: Sequence[tuple[int, bool]]) -> None:
    states, is_task = machine.states, i < machine._tasks
    state = states[i]
    without = is_task and machine._before.get(i, 0) == machine.attempts[i]
    left = sum(not _served(states[u], watched) for u, watched in ups)
    if machine._waiting[i] != left:
        raise InternalError(f"task {i} waits for {left} upstreams, but {machine._waiting[i]} are counted")
    if state == WAITING and not left and (is_task or not machine.closed):
        raise InternalError(f"task {i} still waits, but all its upstreams ended")
    if i in machine._deciders:
        return  # its rule may decide whenever it likes
    # Known from before, or failed for its flag or a broken rule: then without an attempt in this run.
    if left and (state in (READY, RUNNING, RETRYING) or (state in (SUCCEEDED, FAILED) and not without)):
        raise InternalError(f"task {i} is {STATES[state]} before its upstreams ended")
    is_refused = is_task and machine.skipped_for.get(i) == i
    if state == SKIPPED and not is_refused and all(states[u] not in (FAILED, SKIPPED) or seen for u, seen in ups):
        raise InternalError(f"task {i} was skipped without a failed upstream")


def _served(state: int, watched: bool) -> bool:
    """Does this state of an upstream serve a task that needs its result, or watches for its outcome?"""
    return state == SUCCEEDED or (watched and state in (FAILED, SKIPPED))


def split_downstream(
    downstream: Sequence[Sequence[int]],
    tolerated: Mapping[int, frozenset[int]],
    unawaited: Mapping[int, frozenset[int]],
) -> tuple[Sequence[Sequence[int]], dict[int, list[int]]]:
    """Tell apart, per index, the downstreams that need its result and those that take nothing but its outcome.

    Those that take its outcome as it stands then, without waiting for it, are among neither.
    """
    watchers: dict[int, list[int]] = {}
    for d in sorted(tolerated):
        for u in sorted(tolerated[d] - unawaited.get(d, frozenset())):
            watchers.setdefault(u, []).append(d)
    if not watchers:
        return downstream, watchers
    needing = list(downstream)
    for u in watchers:
        needing[u] = [d for d in downstream[u] if u not in tolerated.get(d, ())]
    return needing, watchers


def handled_failures(
    downstream: Sequence[Sequence[int]], watchers: Mapping[int, Sequence[int]], returns: int | None
) -> list[bool]:
    """Per index: do all ways down, if it has no result, end at one that takes an outcome?

    Readers that need the result are skipped, so they have to be handled themselves; and nobody can make up for the
    task whose result is the run's value.
    """
    handled = [False] * len(downstream)
    waiting = list(map(len, downstream))
    upstream: list[list[int]] = [[] for _ in downstream]
    for u, below in enumerate(downstream):
        for d in below:
            upstream[d].append(u)
    ended = deque(i for i, below in enumerate(downstream) if not below)
    while ended:
        i = ended.popleft()
        is_read = bool(downstream[i]) or i in watchers
        handled[i] = is_read and i != returns and all(handled[d] for d in downstream[i])
        for u in upstream[i]:
            waiting[u] -= 1
            if not waiting[u]:
                ended.append(u)
    return handled
