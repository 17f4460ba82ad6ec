"""What changes the shape of a run: maps that open, tasks that go on, flags that say no, tasks that end the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graflow.engine._endings import Endings
from graflow.engine.rules import AGAIN, CANCELLED, FINAL, IGNORED, RUNNING, SUCCEEDED, WAITING, Rules


class Growth(Endings):
    """What a machine is told of the shape of its run."""

    __slots__ = ()

    def opened(
        self,
        i: int,
        attempt: int,
        count: int,
        rules: Sequence[Rules | None] = (),
        earlier: Mapping[int, tuple[int, bool]] | None = None,
    ) -> range | None:
        """An attempt found out what a map is mapped over.

        Args:
            i: the map.
            attempt: its number.
            count: how many items there are; if there are none, the caller ends the map.
            rules: of the items, if they ask for anything.
            earlier: item → how often it was started in an earlier part of the run, and whether its result is known.

        Returns:
            the indexes of the items; None for news of an attempt that is not the current one.
        """
        if self.states[i] != RUNNING or self.attempts[i] != attempt or i in self.items.of:
            return None
        items = self.items.open(i, count)
        self.states += [WAITING] * count
        self.attempts += [0] * count
        self._lanes += bytes([self._maps[i]]) * count
        for j, (done, is_known) in ((items[k], what) for k, what in (earlier or {}).items()):
            self.counted(j, done)
            if is_known:
                self.states[j] = SUCCEEDED
                self.items.ended(j, SUCCEEDED)
        self._rules.update((j, one) for j, one in zip(items, rules, strict=False) if one is not None)
        if rules and rules[0] is not None:
            self._limits.also(items, rules[0].limit, rules[0].priority)
        for j in items:
            if self.states[j] == WAITING:
                self._end_cancelled(j) if self.closed else self._make_ready(j)
        return items

    def recalled(self, i: int, count: int) -> range:
        """A map that has ended had so many items; the caller knows how they ended. Their indexes."""
        items = self.items.open(i, count)
        self.states += [CANCELLED] * count
        self.attempts += [0] * count
        self._lanes += bytes([self._maps[i]]) * count
        return items

    def continued(self, i: int, attempt: int, most: int, rules: Rules | None) -> int:
        """An attempt ended by going on with another task, whose result will be this one's.

        Args:
            i: the task.
            attempt: its number.
            most: how often it may do that.
            rules: what it asks for from now on, if that changes.

        Returns:
            `IGNORED` for news of an attempt that is not the current one, `AGAIN` if the next one follows, `FINAL` if it
            has gone on too often: the caller says so with `failed_for_good`.
        """
        if self.states[i] != RUNNING or self.attempts[i] != attempt:
            return IGNORED
        turns = self._turns.get(i, 0)
        if turns >= most:
            return FINAL
        if self.closed:
            self._end_cancelled(i)
            return AGAIN
        self._turns[i] = turns + 1
        self._before[i] = attempt
        if rules is not None:
            self._rules[i] = rules
        self._give_back(i)
        self._make_ready(i)
        return AGAIN

    def stopped(self, i: int, attempt: int) -> bool:
        """An attempt ended with a result, and with it the run: nothing more starts. Whether it counts."""
        if not self.succeeded(i, attempt):
            return False
        if not self.closed:
            self.stopped_by = i
            self._call_off()
        return True

    def refused(self, *tasks: int) -> bool:
        """The flags of these tasks say that they do not run. Whether this changed anything."""
        waiting = [i for i in tasks if self.states[i] == WAITING]
        for i in waiting:  # all of them first: one may take the outcome of another
            self._skip(i, i)
        for i in waiting:
            self._lose(i, i)
        if self._gates:
            self._open_gates()
        return bool(waiting)

    def undecided(self, *tasks: int) -> bool:
        """The flags of these tasks are none: the tasks fail without an attempt. Whether this changed anything."""
        waiting = [i for i in tasks if self.states[i] == WAITING]
        for i in waiting:
            if self.states[i] == WAITING:  # else the first failure has stopped the run
                self._fail(i)
        return bool(waiting)
