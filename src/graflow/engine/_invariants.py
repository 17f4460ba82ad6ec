"""What always holds of a machine, and what its graph alone says of failures."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from graflow.engine.rules import (
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
    queued = [i for lane in machine.ready for i in lane] + machine._limits.parked
    if sorted(queued) != [i for i in range(n) if states[i] == READY]:
        raise InternalError("the lanes do not hold exactly the ready tasks")
    machine._limits.validate({i for lane in machine.ready for i in lane} | set(machine.running()))
    upstream: list[list[tuple[int, bool]]] = [[] for _ in states]
    for u, below in enumerate(machine._downstream):
        for d in below:
            upstream[d].append((u, False))
    for u, watchers in machine._watchers.items():
        for d in watchers:
            upstream[d].append((u, True))
    for i, ups in enumerate(upstream):
        left = sum(not _served(states[u], watched) for u, watched in ups)
        if machine._waiting[i] != left:
            raise InternalError(f"task {i} waits for {left} upstreams, but {machine._waiting[i]} are counted")
        if states[i] in (READY, RUNNING, RETRYING, SUCCEEDED, FAILED) and left and i not in machine._before:
            raise InternalError(f"task {i} is {STATES[states[i]]} before its upstreams ended")
        if states[i] == WAITING and not left and (i < n or not machine.closed):
            raise InternalError(f"task {i} still waits, but all its upstreams ended")
        if states[i] == SKIPPED and all(states[u] not in (FAILED, SKIPPED) or watched for u, watched in ups):
            raise InternalError(f"task {i} was skipped without a failed upstream")


def _served(state: int, watched: bool) -> bool:
    """Does this state of an upstream serve a task that needs its result, or watches for its outcome?"""
    return state == SUCCEEDED or (watched and state in (FAILED, SKIPPED))


def split_downstream(
    downstream: Sequence[Sequence[int]], tolerated: Mapping[int, frozenset[int]]
) -> tuple[Sequence[Sequence[int]], dict[int, list[int]]]:
    """Tell apart, per index, the downstreams that need its result and those that take nothing but its outcome."""
    watchers: dict[int, list[int]] = {}
    for d in sorted(tolerated):
        for u in sorted(tolerated[d]):
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
