"""`FakeClock`: time for tests."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta
from math import inf
from typing import Final

from graflow.engine.clock import Clock
from graflow.errors import ConfigurationError

#: Midnight of 1 January 2000, UTC.
_START: Final = 946_684_800.0


class FakeClock(Clock):
    """A clock that stands still while tasks run, and leaps to what is planned next when nothing else is left to do.

    A run that waits an hour between two attempts then takes no time, and still tells the hour::

        clock = FakeClock()
        run = fetching.run(runner=LocalRunner("inline", clock=clock))
        assert clock.elapsed >= 3600

    For runs in this process, one at a time: what runs in other processes looks at another clock. May be used from any
    thread; a body that is to take long calls `advance`.

    Args:
        start: what the clock on the wall shows at first: seconds since the epoch (UTC), or an aware `datetime`.

    Raises:
        ConfigurationError: a start that is neither.
    """

    leaps = True

    def __init__(self, start: float | datetime = _START) -> None:
        if isinstance(start, datetime):
            if start.tzinfo is None:
                raise ConfigurationError(f"start={start!r} names no time zone; add tzinfo=UTC")
            start = start.timestamp()
        if type(start) not in (int, float) or not -inf < start < inf:
            raise ConfigurationError(f"start={start!r} is neither seconds since the epoch nor a datetime")
        self._start = float(start)
        self._elapsed = 0.0
        self._guard = threading.Lock()
        self._calls: list[weakref.WeakMethod[Callable[[], None]]] = []

    @property
    def elapsed(self) -> float:
        """Seconds that passed since the clock was made."""
        with self._guard:
            return self._elapsed

    def now(self) -> float:
        """Seconds since the clock was made."""
        return self.elapsed

    def wall(self) -> float:
        """What the clock on the wall shows, in seconds since the epoch (UTC)."""
        return self._start + self.elapsed

    def advance(self, seconds: float | timedelta) -> None:
        """Let time pass, and return when a run under way has done what is due by then.

        A body that takes longer than its timeout calls this, and is given up before it goes on.

        Raises:
            ConfigurationError: time cannot go back.
        """
        step = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        if type(step) not in (int, float) or not 0 <= step < inf:
            raise ConfigurationError(f"advance({seconds!r}) is not a number of seconds from 0 on")
        with self._guard:
            self._elapsed += step
            self._calls = [one for one in self._calls if one() is not None]
            calls = list(self._calls)
        for one in calls:
            if (call := one()) is not None:
                call()

    def on_move(self, call: Callable[[], None]) -> None:
        """Have a run told of each `advance`; see `Clock.on_move`."""
        with self._guard:
            self._calls.append(weakref.WeakMethod(call))

    def wait(self, condition: threading.Condition, until: float | None, busy: Callable[[], bool]) -> None:
        """Leap to a moment if nothing else is going on; otherwise sleep. See `Clock.wait`."""
        if until is not None:
            with self._guard:
                if until > self._elapsed and not busy():
                    self._elapsed = until
                if until <= self._elapsed:
                    return
        condition.wait()

    def __repr__(self) -> str:
        return f"<fake clock, {self.elapsed:g} s after its start>"
