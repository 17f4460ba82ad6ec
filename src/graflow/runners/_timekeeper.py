"""The thread that looks at the clock, for runs in which time matters: timeouts, and waits between attempts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graflow.runners._workers import Crew


class Timekeeper:
    """Tells the execution when something is due, and the crew which attempts to give up."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._execution = crew.execution
        self._condition = threading.Condition(self._execution.lock)
        self._planned: float | None = None
        self._execution.on_end(self._condition.notify)
        self._execution.clock.on_move(self._catch_up)

    def look(self) -> None:
        """Something has happened, so something may be due earlier than planned. With the lock held."""
        due = self._execution.next_due
        if self._execution.clock.leaps or (due is not None and (self._planned is None or due < self._planned)):
            self._planned = due
            self._condition.notify()

    def main(self) -> None:
        """Keep the time until the run ends."""
        execution, clock = self._execution, self._execution.clock
        with execution.lock:
            while not execution.done.is_set():
                self._catch_up()
                if not execution.done.is_set():
                    self._planned = execution.next_due
                    clock.wait(self._condition, self._planned, self._is_busy)

    def _catch_up(self) -> None:
        """Do what is due."""
        execution = self._execution
        with execution.lock:
            now = execution.clock.now()
            while not execution.done.is_set() and (due := execution.next_due) is not None and due <= now:
                self._crew.give_up(execution.tick(now))
                self._crew.spread(None)

    def _is_busy(self) -> bool:
        machine, signals = self._execution.machine, self._execution.plan.signals
        return any(i not in signals for i in machine.running()) or any(machine.ready)
