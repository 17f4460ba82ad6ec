"""What time it is, and how to wait for a time to come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Clock:
    """The clock of this machine. A test may give a runner another one; see `graflow.testing.FakeClock`."""

    #: Does it go on only when nothing else does? Then whoever waits for it has to hear of everything that happens.
    leaps = False

    def now(self) -> float:
        """Seconds since some moment; never goes back, whatever becomes of the clock on the wall."""
        return time.perf_counter()

    def wall(self) -> float:
        """Seconds since the epoch (UTC)."""
        return time.time()

    def on_move(self, call: Callable[[], None]) -> None:
        """Have a method called, as long as its object lives, whenever somebody moved the time from outside.

        Nobody moves the time of this machine.
        """

    def wait(self, condition: threading.Condition, until: float | None, busy: Callable[[], bool]) -> None:
        """Sleep until a moment, or until the condition is notified; the caller holds its lock.

        Args:
            condition: notified when there is something new.
            until: the moment, as `now` tells it; None if only the condition can end the sleep.
            busy: is anything going on that takes time of its own?
        """
        if until is None:
            condition.wait()
        elif (left := until - self.now()) > 0:
            condition.wait(min(left, threading.TIMEOUT_MAX))
