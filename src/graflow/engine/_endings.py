"""How tasks end, and what follows from that: what is ready, what is skipped, what is called off."""

from __future__ import annotations

from graflow.engine._machine_state import MachineState
from graflow.engine.rules import CANCELLED, FAILED, READY, RETRYING, RUNNING, SKIPPED, SUCCEEDED, WAITING


class Endings(MachineState):
    """The rules that a machine applies by itself."""

    __slots__ = ()

    def _one_less(self, d: int) -> None:
        """An upstream that a task waits for has ended as it must."""
        self._waiting[d] -= 1
        if not self._waiting[d] and self.states[d] == WAITING:
            self._make_ready(d)

    def _watched_end(self, d: int) -> None:
        """An upstream of which a task, or a gate with a rule, takes the outcome has ended."""
        if d not in self._deciders:
            self._one_less(d)
            return
        self._waiting[d] -= 1
        if self._decide(d):
            self._lose(d, d)

    def _decide(self, gate: int) -> bool:
        """Have the rule of a gate decide, if it has not. Whether it decided that the gate does not open."""
        if self.states[gate] != WAITING:
            return False
        states, upstream = self.states, self._members[gate]
        lost = [u for u in upstream if states[u] in (FAILED, SKIPPED, CANCELLED)]
        decider = self._deciders[gate]
        verdict = decider.decide([u for u in upstream if states[u] == SUCCEEDED], lost)
        if verdict:
            self._make_ready(gate)
            if decider.cancel_rest:
                dropped = -1
                while dropped < len(self.dropped):  # one that is called off may have been all that needed another
                    dropped = len(self.dropped)
                    for u in upstream:
                        self._drop(u, gate)
        elif verdict is not None or not self._waiting[gate]:
            states[gate] = SKIPPED
            self._said_no = True
            if decider.is_broken:
                for d in self._downstream[gate]:
                    if states[d] == WAITING:
                        self.broken.append((d, gate))
                        self._fail(d)
            return True
        return False

    def _drop(self, u: int, gate: int) -> None:
        """Call off a task that only a gate needed, and that no more; with a map, its items."""
        is_needed = self._watchers[u] != [gate] or any(self.states[d] < SUCCEEDED for d in self._downstream[u])
        if self.states[u] >= SUCCEEDED or is_needed or u == self._returns:
            return
        for i in (*self.items.of.get(u, ()), u):
            if self.states[i] < SUCCEEDED:
                self._withdraw(i)
                self.dropped.append(i)
                self._end_cancelled(i)

    def _withdraw(self, i: int) -> None:
        """Somebody who has not ended leaves its lane, and gives its place back."""
        state = self.states[i]
        if state == READY:
            if self._limits.unpark(i):
                return
            self.ready[self._lanes[i]].remove(i)
        if state in (READY, RUNNING):
            self._give_back(i)

    def _fail(self, i: int) -> None:
        """A task or an item has failed: skip what needs its result, and tell what takes its outcome."""
        self.states[i] = FAILED
        whose = i
        if i >= self.items.first:
            self.items.ended(i, FAILED)
            whose = self.items.owner(i)
        else:
            self.failed.append(i)
            self.open -= 1
        self._stop_for(whose)
        if i < self.items.first:
            self._lose(i, i)
        if self._gates:
            self._open_gates()

    def _stop_for(self, i: int) -> None:
        if self._stop and not self.closed and not self.is_handled(i):
            self.stopped_for = i
            self._call_off()

    def _lose(self, i: int, cause: int) -> None:
        """Something has ended without a result: skip what needs it, and what needs that, and tell who takes outcomes.

        Who takes the outcomes of the items of a map needs them: if the map never opened, it has none.
        """
        ended = [i]
        while ended:
            u = ended.pop()
            needing = self._downstream[u]
            watching = self._watchers.get(u, ())
            if u in self._maps and u not in self.items.of:
                needing, watching = (
                    [*needing, *(d for d in watching if d not in self._deciders)],
                    [d for d in watching if d in self._deciders],
                )
            for d in needing:
                if self.states[d] == WAITING:
                    self._skip(d, cause)
                    ended.append(d)
            for d in watching:
                if d not in self._deciders:
                    self._one_less(d)
                    continue
                self._waiting[d] -= 1
                if self._decide(d):
                    ended.append(d)

    def _skip(self, i: int, cause: int) -> None:
        self.states[i] = SKIPPED
        if i < self._tasks:
            self.open -= 1
            self.skipped_for[i] = cause
            self._tell(i, SKIPPED)

    def _make_ready(self, i: int) -> None:
        self.states[i] = READY
        parked = self._limits.admit(i) if self._limits else None
        if parked != i:
            self.ready[self._lanes[i]].append(i)
            if parked is not None:
                self.ready[self._lanes[parked]].remove(parked)

    def _give_back(self, i: int) -> None:
        """A task ran under a limit and has ended: the next one has its place."""
        if self._limits and (admitted := self._limits.leave(i)) is not None and not self.closed:
            self.ready[self._lanes[admitted]].append(admitted)

    def _open_gates(self) -> None:
        gates = self.ready[-1]
        while gates:
            gate = gates.popleft()
            self.states[gate] = SUCCEEDED
            for d in self._downstream[gate]:
                self._one_less(d)
        if self._said_no:  # what went before may be handled no longer
            self._said_no = False
            for i in reversed(self.failed):
                self._stop_for(i)

    def _call_off(self) -> None:
        if self.closed:
            return
        self.closed = True
        for lane in self.ready:
            lane.clear()
        self._limits.clear()
        for i in (*range(self._tasks), *range(self.items.first, len(self.states))):
            if self.states[i] in (WAITING, READY, RETRYING):
                self._end_cancelled(i)

    def _end_cancelled(self, i: int) -> None:
        self.states[i] = CANCELLED
        if i >= self.items.first:
            self.items.ended(i, CANCELLED)
        else:
            self.open -= 1
        self._tell(i, CANCELLED)

    def succeeded(self, i: int, attempt: int) -> bool:
        """An attempt ended with a result.

        Returns:
            whether it counts; False for news of an attempt that is not the current one.
        """
        states, waiting = self.states, self._waiting
        if states[i] != RUNNING or self.attempts[i] != attempt:
            return False
        states[i] = SUCCEEDED
        if self._maps and i >= self.items.first:
            self._give_back(i)
            self.items.ended(i, SUCCEEDED)
            return True
        self.open -= 1
        if self._plain:
            for d in self._downstream[i]:
                left = waiting[d] - 1
                waiting[d] = left
                if not left and not states[d]:
                    states[d] = READY
                    self.ready[self._lanes[d]].append(d)
        else:
            self._give_back(i)
            for d in self._downstream[i]:
                self._one_less(d)
            for d in self._watchers.get(i, ()):
                self._watched_end(d)
        if self._gates:
            self._open_gates()
        return True
