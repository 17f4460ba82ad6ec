"""A store that lives as long as its process: for tests, and for runs that nobody resumes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Final
from weakref import WeakValueDictionary

from graflow.errors import StoreError
from graflow.stores import _common as common
from graflow.stores.store import AttemptRow, CacheRow, Claim, LogRow, NewRun, RunRow, StoredRun, Successes

_WHERE: Final = "this store"


class _Entry:
    """All that is known of one run."""

    __slots__ = (
        "attempts",
        "channels",
        "ended",
        "logs",
        "new",
        "number",
        "owner",
        "reason",
        "signals",
        "state",
        "tally",
        "touched",
    )

    def __init__(self, number: int, new: NewRun) -> None:
        self.number = number
        self.new = new
        self.state = "running"
        self.ended: float | None = None
        self.touched = new.created
        self.reason: str | None = None
        self.owner = common.this_process()
        self.tally = common.Tally(len(new.ids))
        self.attempts: dict[int, dict[int, AttemptRow]] = {}
        self.logs: list[LogRow] = []
        self.signals: dict[str, bytes] = {}
        self.channels: dict[str, bytes] = {}


class MemoryStore:
    """Keeps runs in the memory of this process; see `Store` for what it can do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, _Entry] = {}
        self._claims: WeakValueDictionary[str, Claim] = WeakValueDictionary()
        self._cache: dict[str, CacheRow] = {}
        self._count = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._runs)} runs)"

    def create(self, run: NewRun) -> Claim:
        """Begin a run, and claim it."""
        with self._open():
            if run.id in self._runs:
                raise common.taken(run.id)
            self._count += 1
            self._runs[run.id] = _Entry(self._count, run)
            return self._claimed(run.id)

    def claim(self, run_id: str) -> Claim:
        """Claim a run that exists, to resume it or to read it undisturbed."""
        with self._open():
            entry = self._entry(run_id)
            if run_id in self._claims:
                raise common.alive(run_id, entry.owner)
            entry.owner = common.this_process()
            return self._claimed(run_id)

    def write(
        self,
        claim: Claim,
        attempts: Sequence[AttemptRow],
        logs: Sequence[LogRow],
        successes: Successes | None = None,
    ) -> None:
        """Add what happened to tasks, all or nothing."""
        if successes is not None:
            attempts = [*attempts, *successes.rows()]
        with self._open():
            entry = self._held(claim)
            entry.tally, begun = entry.tally.after(attempts)
            for row in attempts:
                entry.attempts.setdefault(row.task, {})[row.attempt] = row
            for task in begun:
                entry.attempts[task].pop(0, None)
            entry.logs += logs
            entry.touched = time.time()

    def set_code(self, claim: Claim, code: bytes) -> None:
        """Write down the workflow of a run that was begun without."""
        with self._open():
            entry = self._held(claim)
            entry.new = entry.new._replace(code=code)

    def finish(self, claim: Claim, state: str, at: float, reason: str | None) -> None:
        """Write how the run ended, and give the claim back."""
        with self._open():
            entry = self._held(claim)
            entry.state, entry.ended, entry.touched, entry.reason = state, at, at, reason
            del self._claims[claim.run_id]

    def reopen(
        self,
        claim: Claim,
        at: float,
        code: bytes,
        fingerprint: str,
        ids: tuple[str, ...],
        fingerprints: tuple[str, ...],
    ) -> None:
        """Set a run running again, with the code it goes on with."""
        with self._open():
            entry = self._held(claim)
            entry.new = entry.new._replace(code=code, fingerprint=fingerprint, ids=ids, fingerprints=fingerprints)
            entry.tally = entry.tally.grown(len(ids))
            entry.state, entry.ended, entry.touched, entry.reason = "running", None, at, None

    def release(self, claim: Claim) -> None:
        """Give the claim back and leave the run as it is written."""
        with self._lock:
            if self._claims.get(claim.run_id) is claim:
                del self._claims[claim.run_id]

    def find(self, run_id: str, *, exact: bool = False) -> RunRow | None:
        """A run by its id, or by the first characters of its id."""
        with self._open():
            if run_id in self._runs:
                return self._row(self._runs[run_id])
            if exact or len(run_id) < common.SHORTEST_PREFIX:
                return None
            ids = sorted(id for id in self._runs if id.startswith(run_id))
            if len(ids) > 1:
                raise common.ambiguous(_WHERE, run_id, ids)
            return self._row(self._runs[ids[0]]) if ids else None

    def runs(
        self,
        *,
        workflow: str | None = None,
        state: str | None = None,
        since: float | None = None,
        limit: int | None = None,
    ) -> list[RunRow]:
        """Runs, newest first."""
        with self._open():
            newest = sorted(self._runs.values(), key=lambda entry: (entry.new.created, entry.number), reverse=True)
            rows = [
                row
                for row in map(self._row, newest)
                if (workflow is None or row.workflow == workflow)
                and (state is None or row.state == state)
                and (since is None or row.created >= since)
            ]
            return rows if limit is None else rows[: max(limit, 0)]

    def stored(self, run_id: str) -> StoredRun:
        """Read all of a run but results and logs."""
        with self._open():
            entry = self._entry(run_id)
            new = entry.new
            attempts = [
                rows[attempt]._replace(result=None)
                for _, rows in sorted(entry.attempts.items())
                for attempt in sorted(rows)
            ]
            row = self._row(entry)
            return StoredRun(row, new.inputs, new.code, new.ids, new.fingerprints, new.options, attempts)

    def result(self, run_id: str, task: int) -> bytes | None:
        """The result of the attempt that succeeded; None if none did or its result was not stored."""
        with self._open():
            rows = self._entry(run_id).attempts.get(task, {}).values()
            succeeded = [row for row in rows if row.state == "succeeded"]
            return max(succeeded, key=lambda row: common.rank(row.attempt)).result if succeeded else None

    def logs(self, run_id: str, task: int | None = None) -> list[LogRow]:
        """The lines that the tasks of a run logged, or one of them, in order of time."""
        with self._open():
            lines = self._entry(run_id).logs
            return sorted((line for line in lines if task is None or line.task == task), key=attrgetter("at"))

    def put_signal(self, run_id: str, task: str, payload: bytes, at: float) -> bool:
        """Leave a signal for a task of a run; False if it has one."""
        with self._open():
            signals = self._entry(run_id).signals
            first = task not in signals
            signals.setdefault(task, payload)
            return first

    def signals(self, run_id: str) -> dict[str, bytes]:
        """The signals that came for a run: task id → payload."""
        with self._open():
            return dict(sorted(self._entry(run_id).signals.items()))

    def put_channels(self, claim: Claim, values: Mapping[str, bytes]) -> None:
        """Write what channels of a run hold now."""
        with self._open():
            self._held(claim).channels.update(values)

    def channels(self, run_id: str) -> dict[str, bytes]:
        """What the channels of a run hold: name → value."""
        with self._open():
            return dict(sorted(self._entry(run_id).channels.items()))

    def delete(self, run_id: str) -> None:
        """Forget a run."""
        with self._open():
            entry = self._entry(run_id)
            if run_id in self._claims:
                raise common.alive(run_id, entry.owner)
            del self._runs[run_id]

    def prune(self, before: float) -> list[str]:
        """Forget every run that ended before that time, or was interrupted before it, and expired cache entries."""
        with self._open():
            oldest = sorted(self._runs.items(), key=lambda item: (item[1].new.created, item[1].number))
            gone = [id for id, entry in oldest if id not in self._claims and entry.touched < before]
            for id in gone:
                del self._runs[id]
            now = time.time()
            self._cache = {key: row for key, row in self._cache.items() if row.expires is None or now < row.expires}
            return gone

    def cached(self, key: str, now: float) -> CacheRow | None:
        """The cache entry of a key that holds at a time; None if there is none that can be used."""
        with self._open():
            row = self._cache.get(key)
            return row if row is not None and common.holds(row, now) else None

    def keep(self, row: CacheRow) -> None:
        """Put an entry into the cache, in place of the earlier one of this key."""
        with self._open():
            self._cache.pop(row.key, None)  # so that of two made at one time the later one is the last
            self._cache[row.key] = row

    def last_cached(self, workflow: str, task: str) -> CacheRow | None:
        """The newest cache entry that a task made, without its result."""
        with self._open():
            made = [row for row in self._cache.values() if (row.workflow, row.task) == (workflow, task)]
            newest = max(reversed(made), key=attrgetter("created"), default=None)
            return newest and newest._replace(result=b"")

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._closed = True
            self._runs, self._cache = {}, {}
            self._claims.clear()

    @contextmanager
    def _open(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise StoreError("the store is closed: open another one")
            yield

    def _entry(self, run_id: str) -> _Entry:
        entry = self._runs.get(run_id)
        if entry is None:
            newest = sorted(self._runs, key=lambda id: self._runs[id].new.created, reverse=True)
            raise common.unknown(_WHERE, run_id, newest[: common.NEWEST])
        return entry

    def _claimed(self, run_id: str) -> Claim:
        claim = self._claims[run_id] = Claim(run_id, self._runs[run_id].number)
        return claim

    def _held(self, claim: Claim) -> _Entry:
        if self._claims.get(claim.run_id) is not claim:
            raise common.given_back(claim.run_id)
        return self._runs[claim.run_id]

    def _row(self, entry: _Entry) -> RunRow:
        new = entry.new
        alive = entry.state == "running" and new.id in self._claims
        return RunRow(
            id=new.id,
            workflow=new.workflow,
            state="interrupted" if entry.state == "running" and not alive else entry.state,
            created=new.created,
            ended=entry.ended,
            fingerprint=new.fingerprint,
            inputs_digest=new.inputs_digest,
            tasks=len(new.ids),
            succeeded=entry.tally.succeeded,
            failed=entry.tally.failed,
            reason=entry.reason,
            target=new.target,
            alive=alive,
            owner=entry.owner,
        )
