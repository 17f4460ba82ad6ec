"""What a machine knows; see `graflow.engine.machine`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from graflow.engine._agenda import Agenda
from graflow.engine._invariants import handled_failures, split_downstream
from graflow.engine._items import Items
from graflow.engine._queues import Lanes, Limits, Ready
from graflow.engine.rules import SKIPPED, SUCCEEDED, WAITING, Decide, Rules

#: Told of every change that follows from a rule: (index, new state). Gates are not reported.
Listener: TypeAlias = Callable[[int, int], None]


class MachineState:
    """The state of one run, and its graph.

    Args:
        tasks: how many indexes are tasks; the others are gates.
        upstream: per index, its distinct upstreams.
        downstream: per index, its distinct downstreams.
        lanes: per task, the number of its lane.
        rules: what tasks ask for, of those that ask for anything.
        limits: how many tasks may run at once under each limit.
        tolerated: reader → the upstreams of which it takes nothing but the outcome.
        returns: the task whose result is the run's value; its failure is never handled.
        stop_on_failure: call the run off at the first failure that is not handled.
        maps: map → the lane of its items.
        first_item: indexes from here on are items.
        deciders: gate → the rule that opens it, or says that it will not open; such a gate only watches its upstreams.
        unawaited: reader → the tolerated upstreams for which it does not wait, because such a gate does.

    Attributes:
        states: per index, its state.
        attempts: per index, how often it was started.
        ready: per lane, the tasks that can be taken.
        open: how many tasks have not ended.
        failed: the tasks that failed, in the order in which they did.
        skipped_for: skipped task → the failed task because of which it was skipped.
        closed: the run was called off: nothing more starts.
        cancel_reason: why the run was cancelled, or None.
        stopped_for: the failed task for which the run was called off, or None.
        stopped_by: the task that ended the run successfully before its time, or None.
        expired: the run's time was up.
        items: the items of maps.
        broken: tasks that failed without an attempt because the rule of a gate is broken, with the gate; as `dropped`.
        dropped: tasks that were called off because nobody needs them any more; emptied by who ends their attempts.
        listener: told of what follows from the rules.
    """

    __slots__ = (
        "_agenda",
        "_before",
        "_deciders",
        "_downstream",
        "_gates",
        "_handled",
        "_lanes",
        "_limits",
        "_maps",
        "_members",
        "_plain",
        "_returns",
        "_rules",
        "_said_no",
        "_stop",
        "_tasks",
        "_turns",
        "_waiting",
        "_watchers",
        "attempts",
        "broken",
        "cancel_reason",
        "closed",
        "dropped",
        "expired",
        "failed",
        "items",
        "listener",
        "open",
        "ready",
        "skipped_for",
        "states",
        "stopped_by",
        "stopped_for",
    )

    def __init__(
        self,
        tasks: int,
        upstream: Sequence[Sequence[int]],
        downstream: Sequence[Sequence[int]],
        lanes: bytes,
        *,
        rules: Mapping[int, Rules] | None = None,
        limits: Mapping[str, int] | None = None,
        tolerated: Mapping[int, frozenset[int]] | None = None,
        returns: int | None = None,
        stop_on_failure: bool = False,
        maps: Mapping[int, int] | None = None,
        first_item: int = 0,
        deciders: Mapping[int, Decide] | None = None,
        unawaited: Mapping[int, frozenset[int]] | None = None,
    ) -> None:
        total = len(upstream)
        self._tasks = tasks
        self._waiting = list(map(len, upstream))
        for i, ups in (unawaited or {}).items():
            self._waiting[i] -= len(ups)
        self._gates = total > tasks
        self._rules = dict(rules or {})
        self._returns, self._stop = returns, stop_on_failure
        self._maps, self._deciders = maps or {}, deciders or {}
        watched = {**(tolerated or {}), **{gate: frozenset(upstream[gate]) for gate in self._deciders}}
        self._members = {gate: upstream[gate] for gate in self._deciders}
        self._downstream, self._watchers = split_downstream(downstream, watched, unawaited or {})
        # A gate has a lane of its own after the others, emptied before anybody can see it.
        count = max((*lanes, *self._maps.values()), default=0) + 1
        self._lanes = bytearray(lanes) + bytes([count]) * (max(total, first_item) - tasks)
        priorities = {i: one.priority for i, one in self._rules.items() if one.priority}
        self.ready: Sequence[Ready] = Lanes(count + 1, priorities)
        self._limits = Limits(
            limits or {}, {i: one.limit for i, one in self._rules.items() if one.limit is not None}, priorities
        )
        self._plain = not (self._watchers or self._limits or self._maps)
        self.items = Items(max(total, first_item))
        # Lists rather than arrays: an access costs a third, and every task makes a dozen of them. What lies between
        # gates and items is nothing, and never ready.
        self.states: list[int] = [WAITING] * total + [SUCCEEDED] * (self.items.first - total)
        self.attempts: list[int] = [0] * self.items.first
        self.open = tasks
        self.failed: list[int] = []
        self.skipped_for: dict[int, int] = {}
        self.closed = False
        self.cancel_reason: str | None = None
        self.stopped_for: int | None = None
        self.stopped_by: int | None = None
        self.expired = False
        self.dropped: list[int] = []
        self.broken: list[tuple[int, int]] = []
        self.listener: Listener | None = None
        self._before: dict[int, int] = {}
        self._turns: dict[int, int] = {}
        self._handled: list[bool] | None = None
        self._said_no = False
        self._agenda = Agenda()

    def is_handled(self, i: int) -> bool:
        """Does every way down from this task end at one that takes an outcome, and may start?"""
        if not self._watchers:
            return False
        if self._handled is None:
            self._handled = handled_failures(self._downstream, self._watchers, self._returns)
        handled = self._handled
        if not handled[i] or not (self._deciders or self._maps):
            return handled[i]
        left, seen = [i], {i}
        while left:
            u = left.pop()
            if not handled[u]:
                return False
            below = [*self._downstream[u], *(d for d in self._watchers.get(u, ()) if self._is_lost_with(u, d))]
            left += [d for d in below if d not in seen]
            seen.update(below)
        return True

    def _is_lost_with(self, u: int, d: int) -> bool:
        """Does this not start, although it takes the outcome of that? Of a gate, the rule says."""
        if d in self._deciders:
            return self.states[d] == SKIPPED
        return u in self._maps and u not in self.items.of  # no items, no outcomes

    def lane_of(self, i: int) -> int:
        """The number of the lane of a task or an item."""
        return self._lanes[i]

    def _tell(self, i: int, state: int) -> None:
        if self.listener is not None:
            self.listener(i, state)

    def counted(self, i: int, attempts: int) -> None:
        """Before the start: this task was started so often in an earlier part of the run."""
        self.attempts[i] = self._before[i] = attempts
