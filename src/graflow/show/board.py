"""What the events of a run add up to, for whoever tells how it goes."""

from __future__ import annotations

import threading
from typing import NamedTuple, assert_never, cast

from graflow.core.run import Origin, RunState, TaskState
from graflow.engine.events import (
    CancelRequested,
    Event,
    MapOpened,
    RunFinished,
    RunStarted,
    TaskCancelled,
    TaskContinued,
    TaskFailed,
    TaskProgress,
    TaskRetrying,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
)
from graflow.show.text import one_line


class Again(NamedTuple):
    """A task that waits for its next attempt."""

    task: str
    attempt: int
    """The number of that attempt."""
    due: float
    """When it may start, in seconds since the epoch."""
    error: BaseException
    """What the attempt before raised."""


class Tally:
    """How the items of a map stand. As large for a million of them as for one.

    Attributes:
        items: how many there are.
        ended: how many of them have ended, in whatever way.
        failed: how many of those failed.
        retries: how often one of them was, or is to be, tried again.
    """

    __slots__ = ("ended", "failed", "items", "retries")

    def __init__(self, items: int) -> None:
        self.items = items
        self.ended = self.failed = self.retries = 0

    def see(self, event: Event) -> None:
        """Take note of an event of one item."""
        kind = type(event)
        if kind is TaskSucceeded or kind is TaskCancelled:
            self.ended += 1
        elif kind is TaskFailed:
            self.ended += 1
            self.failed += 1
        elif kind is TaskRetrying:
            self.retries += 1

    def words(self) -> str:
        """The counts, such as ``340/100,000 items, 2 failed``."""
        words = f"{self.ended:,}/{self.items:,} item{'s' * (self.items != 1)}"
        words += f", {self.failed:,} failed" if self.failed else ""
        return words + (f", {self.retries:,} {'retry' if self.retries == 1 else 'retries'}" if self.retries else "")


class Board:
    """What the events of a run add up to. Written by one thread and read by any.

    The items of a map count for themselves, in a `Tally`: to the run it is one task.

    Attributes:
        name: of the workflow.
        total: how many tasks it has.
    """

    def __init__(self, name: str, total: int) -> None:
        self.name = one_line(name)
        self.total = total
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(TaskState, 0)
        self._sources: dict[Origin, int] = {"run": 0, "cache": 0, "resumed": 0}
        self._done = 0
        self._running: dict[str, float] = {}
        self._retrying: dict[str, Again] = {}
        self._awaited: dict[str, float] = {}
        self._told: dict[str, str] = {}
        self._maps: dict[str, Tally] = {}
        self._began: float | None = None
        self._ended: float | None = None
        self._state = RunState.RUNNING

    def see(self, event: Event) -> None:
        """Take note of an event."""
        with self._lock:
            if getattr(event, "item", None) is not None:
                tally = self._maps.get(cast(TaskStarted, event).task)  # or another event of a task
                if tally is not None:
                    tally.see(event)
                return
            match event:  # the most frequent ones first
                case TaskStarted() if is_signal(event):
                    self._awaited[event.task] = event.at
                case TaskStarted():
                    self._retrying.pop(event.task, None)
                    self._running[event.task] = event.at
                case TaskSucceeded():
                    self._sources[event.source] += 1
                    self._end(event.task, TaskState.SUCCEEDED)
                case RunStarted():
                    self._began = event.at
                    # Of a run that was resumed, what came before is told first. Nothing of it goes on.
                    self._running.clear()
                    self._retrying.clear()
                case TaskProgress():
                    if event.task in self._running:
                        self._told[event.task] = amount(event.done, event.total)
                case TaskRetrying():
                    self._stop(event.task)
                    self._retrying[event.task] = Again(event.task, event.attempt + 1, event.next_at, event.error)
                case MapOpened():
                    self._maps[event.task] = Tally(event.items)
                case TaskContinued():
                    self._stop(event.task)
                case TaskFailed():
                    self._end(event.task, TaskState.FAILED)
                case TaskSkipped():
                    self._end(event.task, TaskState.SKIPPED)
                case TaskCancelled():
                    self._end(event.task, TaskState.CANCELLED)
                case CancelRequested():
                    self._state = RunState.CANCELLED
                case RunFinished():
                    self._ended, self._state = event.at, event.state
                case _:
                    assert_never(event)

    def _end(self, task: str, state: TaskState) -> None:
        self._stop(task)
        self._retrying.pop(task, None)
        self._counts[state] += 1
        self._done += 1

    def _stop(self, task: str) -> None:
        self._running.pop(task, None)
        self._awaited.pop(task, None)
        self._told.pop(task, None)

    @property
    def state(self) -> RunState:
        """Where the run stands; cancelled as soon as somebody asks for that."""
        return self._state

    @property
    def has_begun(self) -> bool:
        """Whether what is told happens now, and not in an earlier part of a run that was resumed."""
        return self._began is not None

    @property
    def ended(self) -> int:
        """How many tasks have ended, in whatever way."""
        return self._done

    def count(self, state: TaskState) -> int:
        """How many tasks ended in a state."""
        with self._lock:
            return self._counts[state]

    def came_from(self, source: Origin) -> int:
        """How many results came from there."""
        with self._lock:
            return self._sources[source]

    @property
    def running(self) -> list[tuple[str, float]]:
        """The running tasks with the time each started at, the earliest first."""
        with self._lock:
            return list(self._running.items())

    @property
    def awaited(self) -> list[tuple[str, float]]:
        """The signals that are waited for, with the time since when, the earliest first."""
        with self._lock:
            return list(self._awaited.items())

    @property
    def retrying(self) -> list[Again]:
        """The tasks that wait for their next attempt, the first to wait first."""
        with self._lock:
            return list(self._retrying.values())

    def told(self, task: str) -> str:
        """How far a running task is, such as ``340/1,000``, as it says or its items do; empty if nobody says."""
        with self._lock:
            tally = self._maps.get(task)
            return tally.words() if tally is not None else self._told.get(task, "")

    def tally(self, task: str) -> Tally | None:
        """How the items of a map stand; None if it is none, or has not been opened."""
        return self._maps.get(task)

    def seconds(self, now: float) -> float:
        """How long the run has been going, or took."""
        with self._lock:
            return 0.0 if self._began is None else max(0.0, (self._ended or now) - self._began)

    def words(self) -> str:
        """The counts, such as ``12 of 23 tasks (3 cached), 4 running, 1 failed``."""
        with self._lock:
            apart = aside(self._sources["cache"], self._sources["resumed"])
            parts = [f"{self._done:,} of {self.total:,} tasks{apart}"]
            live = (
                (len(self._running), "running"),
                (len(self._retrying), "retrying"),
                (len(self._awaited), "awaiting a signal"),
            )
            stopped = (TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED)
            counts: list[tuple[int, str]] = [*live, *((self._counts[state], state) for state in stopped)]
        return ", ".join([*parts, *(f"{count:,} {state}" for count, state in counts if count)])


def is_signal(event: TaskStarted) -> bool:
    """Whether what began is the wait for a signal, at which no worker works."""
    return not event.worker


def amount(done: float, total: float | None) -> str:
    """How far a body is: ``340/1,000``, or ``340`` if it does not know how far it has to go."""
    shown = [f"{value:,.0f}" if value == int(value) else f"{value:,.2f}" for value in (done, total or 0.0)]
    return "/".join(shown if total is not None else shown[:1])


def aside(cached: int, kept: int) -> str:
    """How many results nobody had to work out: `` (3 cached, 5 kept)``; empty if there are none."""
    parts = [f"{count:,} {word}" for count, word in ((cached, "cached"), (kept, "kept")) if count]
    return f" ({', '.join(parts)})" if parts else ""
