"""What every store can do, and the rows it takes and gives.

A store keeps bytes and never looks into them: what they mean is up to who writes them.
All times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

ITEMS: Final = 1 << 24
"""Tells the items of a map from tasks, which have smaller numbers: item ``k`` (from 0) of the map with index ``i`` has
the number ``i + (k + 1) * ITEMS``. Stores keep its attempts and logs as those of a task; no count of tasks includes it.
"""


class NewRun(NamedTuple):
    """A run as it begins."""

    id: str
    workflow: str
    """The name of the workflow."""
    created: float
    fingerprint: str
    """Of the workflow."""
    inputs_digest: str
    inputs: bytes
    code: bytes
    """The workflow itself; empty if `Store.set_code` is to bring it later. Runs of the same code share one copy."""
    ids: tuple[str, ...]
    """Task index → task id."""
    fingerprints: tuple[str, ...]
    """Task index → fingerprint of the task."""
    options: str
    """How it is to be run, as JSON."""
    target: str | None
    """What the command line loads to find the workflow again, as JSON; None if the run was not started there."""


class RunRow(NamedTuple):
    """A run, as a list of runs shows it."""

    id: str
    workflow: str
    state: str
    """A `RunState`; ``interrupted`` if it began, did not end, and no living process runs it."""
    created: float
    ended: float | None
    fingerprint: str
    inputs_digest: str
    tasks: int
    """How many it has."""
    succeeded: int
    """How many of them succeeded so far."""
    failed: int
    """How many of them failed in their last attempt."""
    reason: str | None
    """Why it ended as it did."""
    target: str | None
    alive: bool
    """A living process runs it now."""
    owner: str
    """Who claimed it last: ``host:pid``."""


class AttemptRow(NamedTuple):
    """One attempt at a task, or its end without one.

    Where the task stands is said by the row of number 0 if there is one, and else by the highest number.
    """

    task: int
    """Index of the task, or the number of an item of a map; see `ITEMS`."""
    attempt: int
    """Its number, from 1; 0 says that the task ended without an attempt: skipped, cancelled, from the cache."""
    state: str
    """A `TaskState`; ``running`` while under way, ``awaiting`` while a signal is to come."""
    started: float | None
    seconds: float | None
    worker: str | None
    result: bytes | None
    note: str | None
    """Why it was skipped or cancelled, where the result came from, or why it could not be stored."""
    error: bytes | None
    error_text: str | None
    """The error in one line, for lists."""


class Successes(NamedTuple):
    """Many attempts that succeeded, of which nothing else is to be told, column by column.

    A run of short tasks has thousands of them in a second, and a row for each would cost more than the tasks.
    """

    tasks: Sequence[int]
    """Indexes of the tasks, or numbers of items."""
    attempts: Sequence[int]
    """Their numbers, from 1."""
    started: Sequence[float]
    seconds: Sequence[float]
    workers: Sequence[str]
    results: Sequence[bytes]

    def rows(self) -> Iterator[AttemptRow]:
        """The same, row by row."""
        for task, attempt, started, seconds, worker, result in zip(*self, strict=True):
            yield AttemptRow(task, attempt, "succeeded", started, seconds, worker, result, None, None, None)


class LogRow(NamedTuple):
    """A line that a task logged."""

    task: int
    """Its index, or the number of an item."""
    attempt: int
    at: float
    level: str
    logger: str
    text: str


class CacheRow(NamedTuple):
    """A result that other runs may use."""

    key: str
    workflow: str
    """Who made it; the key alone says who may use it."""
    task: str
    created: float
    expires: float | None
    """From then on nobody may use it; None if it never expires."""
    parts: str
    """What the key was made of, as JSON."""
    result: bytes


class StoredRun(NamedTuple):
    """All that is known of a run, but results and logs."""

    row: RunRow
    inputs: bytes
    code: bytes
    ids: tuple[str, ...]
    fingerprints: tuple[str, ...]
    options: str
    attempts: list[AttemptRow]
    """All of them, by task and number, each without its result."""


class Claim:
    """The right to write a run, which one holder has at a time.

    Whoever gets a claim has to give it back, with `Store.finish` or `Store.release`.
    The death of its process frees it; the collector frees one that was lost.

    Attributes:
        run_id: the run's id.
        run: the run's number in its store.
    """

    __slots__ = ("__weakref__", "run", "run_id")

    def __init__(self, run_id: str, run: int) -> None:
        self.run_id = run_id
        self.run = run

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of run {self.run_id!r}>"


class Store(Protocol):
    """Keeps runs and a cache. Threads may share one.

    Every method raises `StoreError` if the store cannot be read or written; what it was to write is then not there,
    not even in part, and a claim that was held is still held.
    """

    def create(self, run: NewRun) -> Claim:
        """Begin a run, and claim it.

        Raises:
            RunConflictError: the id is taken.
        """
        ...

    def claim(self, run_id: str) -> Claim:
        """Claim a run that exists, to resume it or to read it undisturbed.

        Raises:
            RunConflictError: a living process holds it; it may be this one.
            StoreError: there is no such run; the message names ids that come close.
        """
        ...

    def write(
        self,
        claim: Claim,
        attempts: Sequence[AttemptRow],
        logs: Sequence[LogRow],
        successes: Successes | None = None,
    ) -> None:
        """Add what happened to tasks, all or nothing.

        A row replaces the earlier row of the same task and attempt, result included. The row of an attempt also
        takes away what an earlier row of number 0 said: a task that begins anew has not ended without an attempt.

        Raises:
            StoreError: also if the claim was given back.
        """
        ...

    def set_code(self, claim: Claim, code: bytes) -> None:
        """Write down the workflow of a run that was begun without; see `NewRun.code`."""
        ...

    def finish(self, claim: Claim, state: str, at: float, reason: str | None) -> None:
        """Write how the run ended, and give the claim back."""
        ...

    def reopen(
        self,
        claim: Claim,
        at: float,
        code: bytes,
        fingerprint: str,
        ids: tuple[str, ...],
        fingerprints: tuple[str, ...],
    ) -> None:
        """Set a run running again, with the code it goes on with.

        Args:
            claim: on the run.
            at: when.
            code: the workflow as it is now.
            fingerprint: of the workflow.
            ids: those the run had, in their places, and behind them those of new tasks.
            fingerprints: one for each id.
        """
        ...

    def release(self, claim: Claim) -> None:
        """Give the claim back and leave the run as it is written. Releasing twice is fine, also after `finish`."""
        ...

    def find(self, run_id: str, *, exact: bool = False) -> RunRow | None:
        """A run by its id, or by the first characters of its id: at least 4, which no other run's id begins with.

        Args:
            run_id: the id, or how it begins.
            exact: only the whole id will do.

        Raises:
            StoreError: several ids begin so; the message names them.
        """
        ...

    def runs(
        self,
        *,
        workflow: str | None = None,
        state: str | None = None,
        since: float | None = None,
        limit: int | None = None,
    ) -> list[RunRow]:
        """Runs, newest first.

        Args:
            workflow: only those of the workflow of this name.
            state: only those in this state; ``interrupted`` is a state too.
            since: only those created at this time or later.
            limit: at most so many.
        """
        ...

    def stored(self, run_id: str) -> StoredRun:
        """Read all of a run but results and logs.

        Raises:
            StoreError: there is no such run, or it is damaged.
        """
        ...

    def result(self, run_id: str, task: int) -> bytes | None:
        """The result of the attempt that succeeded; None if none did or its result was not stored.

        Args:
            run_id: the run.
            task: index of the task, or number of an item.

        Raises:
            StoreError: there is no such run, or the result is damaged: damaged bytes are never returned.
        """
        ...

    def logs(self, run_id: str, task: int | None = None) -> list[LogRow]:
        """The lines that the tasks of a run logged, or one of them, in order of time.

        Args:
            run_id: the run.
            task: only those of this task or item; those of a map are not those of its items.

        Raises:
            StoreError: there is no such run.
        """
        ...

    def put_signal(self, run_id: str, task: str, payload: bytes, at: float) -> bool:
        """Leave a signal for a task of a run, for whoever runs it to find with `signals`.

        Anybody may, with a claim or without, whoever holds it, also after the run ended: whether the signal is of use
        is for the caller to know. It goes with its run.

        Args:
            run_id: the run.
            task: id of the task.
            payload: what the signal brings.
            at: when.

        Returns:
            Whether this is the first signal for the task; the first counts, and a later one changes nothing.

        Raises:
            StoreError: there is no such run.
        """
        ...

    def signals(self, run_id: str) -> dict[str, bytes]:
        """The signals that came for a run: task id → payload, by id.

        Cheap enough to ask for again and again, and in nobody's way.

        Raises:
            StoreError: there is no such run, or a signal is damaged: damaged bytes are never returned.
        """
        ...

    def put_channels(self, claim: Claim, values: Mapping[str, bytes]) -> None:
        """Write what channels of a run hold now, all or nothing; those that are not named keep what they hold.

        Raises:
            StoreError: also if the claim was given back.
        """
        ...

    def channels(self, run_id: str) -> dict[str, bytes]:
        """What the channels of a run hold: name → value, by name.

        Raises:
            StoreError: there is no such run, or a value is damaged: damaged bytes are never returned.
        """
        ...

    def delete(self, run_id: str) -> None:
        """Forget a run. What the cache keeps of it stays.

        Raises:
            RunConflictError: a living process runs it.
            StoreError: there is no such run.
        """
        ...

    def prune(self, before: float) -> list[str]:
        """Forget every run that ended before that time, or was interrupted before it; give back the disk space.

        Cache entries that have expired by now go too.

        Returns:
            The ids of the runs that are gone, oldest first.
        """
        ...

    def cached(self, key: str, now: float) -> CacheRow | None:
        """The cache entry of a key that holds at a time; None if there is none that can be used.

        An entry made after ``now`` holds not: the clock went back, and nobody knows how old it is.
        A damaged entry is dropped.
        """
        ...

    def keep(self, row: CacheRow) -> None:
        """Put an entry into the cache, in place of the earlier one of this key."""
        ...

    def last_cached(self, workflow: str, task: str) -> CacheRow | None:
        """The newest cache entry that a task made, without its result: to say what changed since."""
        ...

    def close(self) -> None:
        """Let go of everything the store holds, claims included. Closing twice is fine; nothing else is, afterwards."""
        ...
