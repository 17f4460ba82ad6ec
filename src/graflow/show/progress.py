"""Progress of a run in a terminal, or as plain lines where there is none.

A `Board` adds up what the events of a run say; `Lines` and `Screen` tell it. A run with a thousand tasks takes no more
room than one with ten.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

from graflow.engine.events import (
    CancelRequested,
    Event,
    MapOpened,
    RunStarted,
    TaskCancelled,
    TaskFailed,
    TaskRetrying,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
)
from graflow.errors import RemoteError
from graflow.show.board import Again, Board, is_signal
from graflow.show.text import duration, one_line, shorten

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from graflow.core.run import RunHandle

REFRESHES = 10
"""How often a second a terminal is drawn at most."""
MOST_RUNNING = 8
"""How many running tasks a terminal shows at most."""
MOST_LINES = 100
"""Up to how many tasks each one that ends gets a line of its own; above that, every tenth of the run gets one.

Also how many retries get a line, in a run of any size, and how many failures in a larger one."""
MOST_ITEM_LINES = 10
"""How many failures and retries of items get a line, in a run of any size."""
_TENTHS = 10
_MOST_NAMED = 5
_ERROR_WIDTH = 200


class Progress(Protocol):
    """Something that tells how a run goes, while it is entered as a context."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def see(self, event: Event) -> None:
        """Tell what happened."""


class Lines:
    """Plain lines: one for each task that ends, or in long runs one for each tenth of them, and for the first failures.

    A retry gets a line as well, as long as there are not too many of them. A map is one task; if it has many items, it
    gets a line for each tenth of them.

    Args:
        stream: where to write.
        name: of the workflow.
        total: how many tasks it has.
    """

    def __init__(self, stream: IO[str], name: str, total: int) -> None:
        self._board = Board(name, total)
        self._stream = stream
        self._width = len(f"{total:,}")
        self._is_large = total > MOST_LINES
        self._tenths = 0
        self._failures = 0
        self._retries = 0
        self._item_lines = 0
        self._item_tenths: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stream.flush()

    def see(self, event: Event) -> None:
        """Tell what happened."""
        self._board.see(event)
        if isinstance(event, TaskStarted) and not is_signal(event):
            return
        if isinstance(event, (TaskSucceeded, TaskFailed, TaskRetrying, TaskCancelled)) and event.item is not None:
            self._see_item(event, event.item)
            return
        if self._is_large and isinstance(event, TaskSucceeded):
            self._see_tenth(told=event.source != "resumed")
            return
        match event:
            case RunStarted() if kept := self._board.came_from("resumed"):
                self._write(f"{self._board.name}: kept {kept:,} of {self._board.total:,} tasks, which had succeeded")
            case TaskStarted(item=None) if is_signal(event):
                self._write(f"{event.task} waits for a signal")
            case MapOpened() if event.items > MOST_LINES:
                self._write(f"{event.task} has {event.items:,} items")
            case TaskRetrying() if self._board.has_begun:
                self._retry(event)
            case TaskSucceeded(source="resumed"):
                pass
            case TaskSucceeded(source="cache"):
                self._tell(f"{event.task} cached")
            case TaskSucceeded():
                self._tell(f"{event.task} succeeded in {duration(event.seconds)}")
            case TaskFailed():
                self._fail(event)
            case TaskSkipped() if not self._is_large:
                self._tell(f"{event.task} skipped: {one_line(event.reason)}")
            case CancelRequested():
                self._write(cancelling(event.reason, self._board.running))
            case _:
                pass
        if self._is_large:
            self._see_tenth(told=True)

    def _see_tenth(self, *, told: bool) -> None:
        tenths = self._board.ended * _TENTHS // self._board.total
        if told and tenths > self._tenths:
            self._write(f"{self._board.name}: {self._board.words()}")
        self._tenths = tenths

    def _see_item(self, event: TaskSucceeded | TaskFailed | TaskRetrying | TaskCancelled, item: int) -> None:
        """Tell of the first items that fail, and of each tenth of many."""
        if isinstance(event, TaskFailed | TaskRetrying) and self._board.has_begun:
            self._item_lines += 1
            if self._item_lines <= MOST_ITEM_LINES:
                self._write(_trouble_of(f"{event.task}[{item}]", event))
            elif self._item_lines == MOST_ITEM_LINES + 1:
                self._write("more items fail or are tried again, without a line each")
        tally = self._board.tally(event.task)
        if tally is None or tally.items <= MOST_LINES:
            return
        tenths = tally.ended * _TENTHS // tally.items
        if tenths > self._item_tenths.get(event.task, 0):
            self._item_tenths[event.task] = tenths
            self._write(f"{event.task}: {tally.words()}")

    def _fail(self, event: TaskFailed) -> None:
        self._failures += 1
        if self._failures <= MOST_LINES or not self._is_large:
            self._tell(_trouble_of(event.task, event))
        elif self._failures == MOST_LINES + 1:
            self._write("more tasks fail, without a line each")

    def _retry(self, event: TaskRetrying) -> None:
        self._retries += 1
        if self._retries <= MOST_LINES:
            self._write(_trouble_of(event.task, event))
        elif self._retries == MOST_LINES + 1:
            self._write("more retries follow, without a line each")

    def _tell(self, text: str) -> None:
        self._write(f"[{self._board.ended:>{self._width},}/{self._board.total:,}] {text}")

    def _write(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


def _trouble_of(name: str, event: TaskFailed | TaskRetrying) -> str:
    what = shorten(one_line(error_text(event.error)), _ERROR_WIDTH)
    if isinstance(event, TaskFailed):
        return f"{name} failed after {duration(event.seconds)}: {what}"
    return f"retry {name} (attempt {event.attempt + 1} in {duration(max(0.0, event.next_at - event.at))}): {what}"


class Screen:
    """A bar with counts, and the tasks that have been running longest; drawn in place, gone when the run ends.

    Args:
        console: the terminal.
        name: of the workflow.
        total: how many tasks it has.
        keep_prints: have what tasks print in this process appear above the bar.
    """

    def __init__(self, console: Console, name: str, total: int, *, keep_prints: bool = True) -> None:
        from rich.live import Live

        self._board = Board(name, total)
        self._console = console
        self._live = Live(
            get_renderable=self._drawn,
            console=console,
            refresh_per_second=REFRESHES,
            transient=True,
            redirect_stdout=keep_prints,
            redirect_stderr=keep_prints,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def see(self, event: Event) -> None:
        """Tell what happened; the drawing follows in its own time."""
        self._board.see(event)
        if isinstance(event, CancelRequested):
            self._console.print(cancelling(event.reason, self._board.running), markup=False, soft_wrap=True)

    def _drawn(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        now, board = time.time(), self._board
        head = Table.grid(padding=(0, 1))
        head.add_column(no_wrap=True, overflow="ellipsis")
        head.add_row(
            Text(shorten(board.name, 24), style="bold"),
            ProgressBar(total=board.total or 1, completed=board.ended, width=16),
            Text(f"{board.words()}, {duration(board.seconds(now))}", no_wrap=True, overflow="ellipsis"),
        )
        room = max(1, min(MOST_RUNNING, self._console.height - 3))
        running, awaited, retrying = board.running, board.awaited, board.retrying
        busy = islice(self._busy(running, awaited, retrying, now), room)
        lines = [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in busy]
        if (more := len(running) + len(awaited) + len(retrying) - room) > 0:
            lines.append(Text(f"  and {more:,} more", style="dim"))
        return Group(head, *lines)

    def _busy(
        self,
        running: list[tuple[str, float]],
        awaited: list[tuple[str, float]],
        retrying: list[Again],
        now: float,
    ) -> Iterator[str]:
        for task, at in running:
            far = f"  {told}" if (told := self._board.told(task)) else ""
            yield f"  {shorten(task, 60, keep_end=True)}{far}  {duration(max(0.0, now - at))}"
        for task, at in awaited:
            yield f"  {shorten(task, 60, keep_end=True)}  waits for a signal  {duration(max(0.0, now - at))}"
        for task, attempt, due, error in retrying:
            wait = f"in {duration(due - now)}" if due > now else "is due"
            yield f"  {shorten(task, 60, keep_end=True)}  attempt {attempt} {wait}: {one_line(error_text(error))}"


def progress_on(console: Console, name: str, total: int) -> Lines | Screen:
    """What suits a console: live on a terminal that can move its cursor, plain lines elsewhere.

    Args:
        console: where to tell it, which is most often standard error.
        name: of the workflow.
        total: how many tasks it has.
    """
    import sys

    if console.is_terminal and not console.is_dumb_terminal:
        return Screen(console, name, total, keep_prints=sys.stdout.isatty())
    return Lines(console.file, name, total)


def follow(handle: RunHandle[Any], progress: Progress) -> threading.Thread:
    """Tell the events of a run from a thread of its own, which ends when the run has ended.

    The thread does not keep the process alive.
    """

    def tell(events: Iterable[Event]) -> None:
        for event in events:
            progress.see(event)

    thread = threading.Thread(target=tell, args=(handle.events(),), name="graflow-progress", daemon=True)
    thread.start()
    return thread


def cancelling(reason: str, running: list[tuple[str, float]]) -> str:
    """Why a run ends early, what it still waits for, and how to wait no longer."""
    if not running:
        return one_line(reason)
    names = ", ".join(task for task, _ in running[:_MOST_NAMED])
    more = f" and {len(running) - _MOST_NAMED:,} more" if len(running) > _MOST_NAMED else ""
    them = "it" if len(running) == 1 else "them"
    return f"{one_line(reason)}: waiting for {names}{more} to end; press Ctrl-C again to abandon {them}"


def error_text(error: BaseException) -> str:
    """Type and message of an exception, whatever its ``__str__`` does."""
    try:
        message = str(error)
    except Exception as raised:  # noqa: BLE001 - a user's own __str__ may raise anything
        message = f"(its __str__ raised {type(raised).__name__})"
    if isinstance(error, RemoteError):  # its message begins with the type it stands for
        return message
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
