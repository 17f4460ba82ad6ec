"""The lines that a task's body logs, kept for whoever looks at the run later.

`install` puts a hook where `logging` makes its records. A handler on the root logger would be the usual place, and
the wrong one:

- The handler of last resort, which prints warnings of programs that configured nothing, speaks only while no handler
  is found: ours would silence it.
- Records of loggers that do not propagate would never come by.
- ``logging.basicConfig`` does nothing where the root has a handler, and ``dictConfig`` removes handlers it does not
  know.

The hook sees each record that passes the level of its logger, changes none, and adds none. It looks at the context
variable of the running attempt, so records from outside of bodies cost one look.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from graflow.core._attempt import ATTEMPT
from graflow.engine.attempt import exact, said

#: The characters of a line that are kept; a line that someone reads is shorter.
MOST_CHARACTERS: Final = 10_000
#: The lines of one attempt that are kept, so that a body that logs in a loop does not fill the disk.
MOST_LINES: Final = 1_000


class LogLine(NamedTuple):
    """One record, as text: its arguments and its exception may change or refuse to travel."""

    at: float
    """Seconds since the epoch (UTC)."""
    level: str
    logger: str
    text: str


class LogLines:
    """The lines that one attempt logged: the first of them, and how many followed. May be used from any thread."""

    __slots__ = ("_guard", "_kept", "_last", "_most", "done", "dropped")

    def __init__(self, most: int = MOST_LINES) -> None:
        self._most = most
        self._kept: list[LogLine] = []
        self._last = 0.0
        self._guard = threading.RLock()  # not a plain lock: a signal may log while a line is added
        self.dropped = 0
        self.done = False

    def note(self, record: logging.LogRecord) -> None:
        """Keep a record as text, or count it if there are enough. Never raises."""
        if len(self._kept) < self._most:  # asked first, so that what is not kept is not made text
            self.keep(line_of(record))
        else:
            self.drop(1, record.created)

    def keep(self, line: LogLine) -> None:
        """Keep a line that is text already, as `note` does."""
        with self._guard:
            if len(self._kept) < self._most:
                self._kept.append(line)
            else:
                self.drop(1, line.at)

    def drop(self, count: int, at: float = 0.0) -> None:
        """That many more lines were logged and not kept, the last of them at this time if it is known."""
        with self._guard:
            self.dropped += count
            self._last = max(self._last, at)

    def after(self, count: int) -> list[LogLine]:
        """The lines that were kept after the first so many; while the attempt lasts, more may come."""
        with self._guard:
            return self._kept[count:]

    @property
    def lines(self) -> list[LogLine]:
        """What was kept, in the order it was logged; a last line says how many there were beyond that."""
        with self._guard:
            kept, dropped, last = list(self._kept), self.dropped, self._last
        if dropped:
            at = max(last, kept[-1].at) if kept else last
            text = f"{dropped:,} more lines were not kept: an attempt keeps the first {self._most:,}"
            kept.append(LogLine(at, "WARNING", "graflow", text))
        return kept


def line_of(record: logging.LogRecord) -> LogLine:
    """A record as text that any store can take, whatever the record's arguments do."""
    parts = [_message(record)]
    if record.exc_info and record.exc_info[1] is not None:
        parts.append(_traceback(record.exc_info[1]))
    if record.stack_info:
        parts.append(record.stack_info)
    text = "\n".join(parts)
    if len(text) > MOST_CHARACTERS:
        text = f"{text[:MOST_CHARACTERS]}... ({len(text):,} characters)"
    return LogLine(record.created, _storable(record.levelname), _storable(record.name), _storable(text))


def install() -> None:
    """Have every record that is logged inside a task's body noted by its attempt.

    Call it whenever a run that keeps lines begins. Does nothing if the hook is in its place; puts it there again if
    the program has set another factory meanwhile, and a record is noted once even if that one calls ours.
    """
    with _installing:
        factory = logging.getLogRecordFactory()
        if not isinstance(factory, _Hook):
            logging.setLogRecordFactory(_Hook(factory))


class _Hook:
    """A factory of records that shows each to the attempt whose body logs it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        attempt = ATTEMPT.get()
        if attempt is None or getattr(_making, "record", False):
            return self._make(*args, **kwargs)
        _making.record = True
        try:
            record = self._make(*args, **kwargs)
            if record.name is not None:  # None: an empty one of `logging.makeLogRecord`, which copies what was logged
                attempt.note(record)
        finally:
            _making.record = False
        return record


_installing = threading.Lock()
#: Whether this thread is inside a hook already: another factory may call the hook that was there before it, and what a
#: record holds may log when it is made text.
_making = threading.local()


def _message(record: logging.LogRecord) -> str:
    try:
        return exact(record.getMessage())
    except Exception as error:  # noqa: BLE001  # arguments that do not fit, and any __str__
        return f"{_text(record.msg)} (could not be formatted: {type(error).__name__}: {said(error)})"


def _text(value: object) -> str:
    try:
        return exact(str(value))
    except Exception as error:  # noqa: BLE001  # a __str__ may raise anything
        return f"<{type(value).__name__} whose __str__ raised {type(error).__name__}>"


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    except Exception:  # noqa: BLE001  # reads the notes, the causes and the source, all of which may be anything
        return f"{type(error).__name__}: {said(error)}"


def _storable(text: str) -> str:
    """Without half characters, as a file name can hold them: no database takes those."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
