"""A store in one SQLite file: runs survive their process, and many processes write at once."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal
from weakref import WeakValueDictionary

from graflow.errors import ConfigurationError, StoreError
from graflow.stores import _attempts, _batches, _claims, _clearing, _named, _rows
from graflow.stores import _common as common
from graflow.stores._cache import Cache
from graflow.stores._database import Database, transaction
from graflow.stores._files import LARGE, ResultFiles
from graflow.stores._listing import Listing
from graflow.stores._trouble import failed, told
from graflow.stores.store import AttemptRow, CacheRow, Claim, LogRow, NewRun, RunRow, StoredRun, Successes

DEFAULT_PATH: Final = ".graflow/runs.db"

_LOG_KINDS: Final = (int, int, float, str, str, str)


class _RunClaim(Claim):
    """A claim and what goes with it while it is held."""

    __slots__ = ("lock", "tally")

    def __init__(self, run_id: str, run: int, lock: _claims.RunLock, tally: common.Tally) -> None:
        super().__init__(run_id, run)
        self.lock = lock
        self.tally = tally


class SQLiteStore:
    """Keeps runs in a file; see `Store` for what it can do.

    Threads may share a store, and so may processes that a fork makes. Beside the file lie a few others of the same
    name: SQLite's log, a lock, a folder of claims, and a folder of results above 1 MiB.
    All of them belong on a local disk.

    Args:
        path: the file. Its directory is made too; one that is called ``.graflow`` is hidden from git.
        must_exist: refuse to make the file: for who only reads.

    Raises:
        StoreError: the file cannot be opened, is no store, or was written by a newer graflow.
    """

    def __init__(self, path: str | os.PathLike[str] = DEFAULT_PATH, *, must_exist: bool = False) -> None:
        if os.fspath(path) == ":memory:":
            raise ConfigurationError("SQLiteStore keeps runs in a file; take MemoryStore() to keep them in memory")
        self._path = Path(os.path.abspath(path))  # the process may change its directory
        self._shown = os.fspath(path)
        self._db = Database(self._path, must_exist=must_exist)
        self._files = ResultFiles(self._beside("files"))
        self._cache = Cache(self._db, self._files)
        self._listing = Listing(self._is_alive)
        self._packed = _batches.Packed()
        self._claims: WeakValueDictionary[int, _RunClaim] = WeakValueDictionary()
        with told("open", self._path):
            self._beside("claims").mkdir(exist_ok=True)

    @property
    def path(self) -> Path:
        """Where it lies, absolute."""
        return self._path

    def __repr__(self) -> str:
        return f"SQLiteStore({self._shown!r})"

    def create(self, run: NewRun) -> Claim:
        """Begin a run, and claim it."""
        lock: _claims.RunLock | None = None
        try:
            with self._db.writing() as sql:
                if sql.execute("SELECT 1 FROM runs WHERE id = ?", (run.id,)).fetchone():
                    raise common.taken(run.id)
                number = _insert_run(sql, run)
                lock = _claims.take(self._claim_file(number))
                if lock is None:  # the database was deleted under a run that goes on
                    why = "a process still runs a run of the file that lay here before"
                    raise failed("write to", self._path, why, "wait until it has ended")
        except BaseException:
            if lock is not None:
                lock.drop()
            raise
        return self._claimed(run.id, number, lock, common.Tally(len(run.ids)))

    def claim(self, run_id: str) -> Claim:
        """Claim a run that exists, to resume it or to read it undisturbed."""
        with self._db.exclusive() as sql:
            number, owner = self._number(sql, run_id)
            lock = _claims.take(self._claim_file(number))
            if lock is None:
                raise common.alive(run_id, owner)
            try:
                with transaction(sql):
                    sql.execute("UPDATE runs SET owner = ? WHERE run = ?", (common.this_process(), number))
                    _batches.settle(sql, number)
                    tally = _attempts.tally(sql, number)
            except BaseException:
                lock.drop()
                raise
            return self._claimed(run_id, number, lock, tally)

    def write(
        self,
        claim: Claim,
        attempts: Sequence[AttemptRow],
        logs: Sequence[LogRow],
        successes: Successes | None = None,
    ) -> None:
        """Add what happened to tasks, all or nothing."""
        if successes is not None and max(map(len, successes.results), default=0) > LARGE:
            attempts, successes = [*attempts, *successes.rows()], None
        held = self._held(claim)
        large = {row[:2]: row.result for row in attempts if row.result is not None and len(row.result) > LARGE}
        with told("write to", self._path):  # before its turn to write: nobody else has to wait for this disk
            files = {key: self._files.put(result) for key, result in large.items()}
        with self._db.exclusive() as sql:
            tally, begun = held.tally.after(attempts, successes)
            with transaction(sql):
                for key, name in files.items():
                    self._files.ensure(name, large[key])
                _rows.insert_attempts(sql, held.run, attempts, files)
                if successes:
                    _batches.insert(sql, held.run, successes)
                _rows.insert_logs(sql, held.run, logs)
                ended = [(held.run, task) for task in begun]
                sql.executemany("DELETE FROM attempts WHERE run = ? AND task = ? AND attempt = 0", ended)
                sql.execute(
                    "UPDATE runs SET succeeded = ?, failed = ?, touched = ? WHERE run = ?",
                    (tally.succeeded, tally.failed, time.time(), held.run),
                )
            held.tally = tally

    def set_code(self, claim: Claim, code: bytes) -> None:
        """Write down the workflow of a run that was begun without."""
        held = self._held(claim)
        with self._db.writing() as sql:
            sql.execute("UPDATE runs SET code = ? WHERE run = ?", (_rows.put_blob(sql, code), held.run))

    def finish(self, claim: Claim, state: str, at: float, reason: str | None) -> None:
        """Write how the run ended, and give the claim back."""
        held = self._held(claim)
        with self._db.exclusive() as sql:
            with transaction(sql):
                sql.execute(
                    "UPDATE runs SET state = ?, ended = ?, touched = ?, reason = ? WHERE run = ?",
                    (state, at, at, None if reason is None else _rows.whole(reason), held.run),
                )
            held.lock.drop(remove=True)

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
        held = self._held(claim)
        with self._db.exclusive() as sql:
            tally = held.tally.grown(len(ids))
            bodies = (code, _rows.bytes_of(ids), _rows.bytes_of(fingerprints))
            with transaction(sql):
                blobs = [_rows.put_blob(sql, body) for body in bodies]
                sql.execute(
                    "UPDATE runs SET state = 'running', ended = NULL, reason = NULL, touched = ?, fingerprint = ?, "
                    "tasks = ?, code = ?, ids = ?, fingerprints = ? WHERE run = ?",
                    (at, fingerprint, len(ids), *blobs, held.run),
                )
            held.tally = tally

    def release(self, claim: Claim) -> None:
        """Give the claim back and leave the run as it is written."""
        if isinstance(claim, _RunClaim):
            claim.lock.drop()

    def find(self, run_id: str, *, exact: bool = False) -> RunRow | None:
        """A run by its id, or by the first characters of its id."""
        with self._db.reading() as sql:
            found = self._listing.rows(sql, "WHERE id = ?", (run_id,))
            if not found and not exact and len(run_id) >= common.SHORTEST_PREFIX:
                where = "WHERE id >= ? AND id < ? ORDER BY id"
                found = self._listing.rows(sql, where, (run_id, run_id + "\U0010ffff"))
            if len(found) > 1:
                raise common.ambiguous(self._shown, run_id, [row.id for row in found])
            return found[0] if found else None

    def runs(
        self,
        *,
        workflow: str | None = None,
        state: str | None = None,
        since: float | None = None,
        limit: int | None = None,
    ) -> list[RunRow]:
        """Runs, newest first."""
        with self._db.reading() as sql:
            return self._listing.newest(sql, workflow, state, since, limit)

    def stored(self, run_id: str) -> StoredRun:
        """Read all of a run but results and logs."""
        with self._db.reading() as sql:
            self._number(sql, run_id)
            # Outside the snapshot, which would not see that a run ended while it was asked whether it is alive.
            (row,) = self._listing.rows(sql, "WHERE id = ?", (run_id,))
        with self._db.reading(snapshot=True) as sql:
            number, _ = self._number(sql, run_id)
            query = "SELECT inputs, code, ids, fingerprints, options FROM runs WHERE run = ?"
            inputs, code, ids, fingerprints, options = sql.execute(query, (number,)).fetchone()
            _rows.checked((options,), (str,), f"the entry of run {run_id!r}")
            return StoredRun(
                row,
                _rows.get_blob(sql, inputs, f"the inputs of run {run_id!r} are"),
                _rows.get_blob(sql, code, f"the workflow of run {run_id!r} is"),
                _rows.texts(_rows.get_blob(sql, ids, f"the task ids of run {run_id!r} are")),
                _rows.texts(_rows.get_blob(sql, fingerprints, f"the fingerprints of run {run_id!r} are")),
                options,
                _attempts.read(sql, number),
            )

    def result(self, run_id: str, task: int) -> bytes | None:
        """The result of the attempt that succeeded; None if none did or its result was not stored."""
        with self._db.reading() as sql:
            number, _ = self._number(sql, run_id)
            packed = self._packed.get(sql, number).get(task)
            if packed is not None:
                return packed.result
            found = sql.execute(
                "SELECT result, file FROM attempts WHERE run = ? AND task = ? AND state = 'succeeded' "
                "ORDER BY attempt = 0 DESC, attempt DESC LIMIT 1",
                (number, task),
            ).fetchone()
            if found is None or found == (None, None):
                return None
            sealed, file = found
            if file is None:
                return _rows.unseal(sealed, f"the result of task {task} of run {run_id!r}")
        with told("read", self._path):
            return self._files.get(str(file))

    def logs(self, run_id: str, task: int | None = None) -> list[LogRow]:
        """The lines that the tasks of a run logged, or one of them, in order of time."""
        which, values = ("", ()) if task is None else ("AND task = ?", (task,))
        with self._db.reading() as sql:
            number, _ = self._number(sql, run_id)
            query = f"SELECT task, attempt, at, level, logger, text FROM logs WHERE run = ? {which} ORDER BY at, log"
            rows = sql.execute(query, (number, *values)).fetchall()
            for row in rows:
                _rows.checked(row, _LOG_KINDS, f"a log line of run {run_id!r}")
            return [LogRow._make(row) for row in rows]

    def put_signal(self, run_id: str, task: str, payload: bytes, at: float) -> bool:
        """Leave a signal for a task of a run; False if it has one."""
        with self._db.writing() as sql:
            return _named.put_signal(sql, self._number(sql, run_id)[0], task, payload, at)

    def signals(self, run_id: str) -> dict[str, bytes]:
        """The signals that came for a run: task id → payload."""
        return self._read_named("signals", run_id)

    def put_channels(self, claim: Claim, values: Mapping[str, bytes]) -> None:
        """Write what channels of a run hold now."""
        held = self._held(claim)
        with self._db.writing() as sql:
            _named.put_channels(sql, held.run, values)

    def channels(self, run_id: str) -> dict[str, bytes]:
        """What the channels of a run hold: name → value."""
        return self._read_named("channels", run_id)

    def delete(self, run_id: str) -> None:
        """Forget a run."""
        with self._db.exclusive() as sql:
            number, owner = self._number(sql, run_id)
            if self._is_alive(number):
                raise common.alive(run_id, owner)
            with transaction(sql):
                files = _clearing.delete_runs(sql, [number])
                _clearing.delete_unused_blobs(sql)
            self._claim_file(number).unlink(missing_ok=True)
            self._files.remove(files)

    def prune(self, before: float) -> list[str]:
        """Forget every run that ended before that time, or was interrupted before it, and expired cache entries."""
        gone: list[tuple[float, int, str]] = []
        last = 0
        while True:
            with self._db.exclusive() as sql:  # a slice at a time: others want to write
                found = _clearing.candidates(sql, before, last)
                if not found:
                    _clearing.give_back_space(sql, self._files, time.time())
                    return [id for _, _, id in sorted(gone)]
                last = found[-1][1]
                dead = [entry for entry in found if not self._is_alive(entry[1])]
                with transaction(sql):
                    _clearing.delete_runs(sql, [number for _, number, _ in dead])
                for _, number, _ in dead:
                    self._claim_file(number).unlink(missing_ok=True)
                gone += dead

    def cached(self, key: str, now: float) -> CacheRow | None:
        """The cache entry of a key that holds at a time; None if there is none that can be used."""
        return self._cache.get(key, now)

    def keep(self, row: CacheRow) -> None:
        """Put an entry into the cache, in place of the earlier one of this key."""
        self._cache.put(row)

    def last_cached(self, workflow: str, task: str) -> CacheRow | None:
        """The newest cache entry that a task made, without its result."""
        return self._cache.last(workflow, task)

    def close(self) -> None:
        """Close the file and give back all claims."""
        for claim in list(self._claims.values()):
            claim.lock.drop()
        self._db.close()

    def _beside(self, what: str) -> Path:
        return Path(f"{self._path}.{what}")

    def _claim_file(self, run: int) -> Path:
        return self._beside("claims") / str(run)

    def _is_alive(self, run: int) -> bool:
        return _claims.is_held(self._claim_file(run))

    def _claimed(self, run_id: str, run: int, lock: _claims.RunLock, tally: common.Tally) -> Claim:
        claim = self._claims[run] = _RunClaim(run_id, run, lock, tally)
        return claim

    def _held(self, claim: Claim) -> _RunClaim:
        held = self._claims.get(claim.run)
        if held is None or held is not claim or not held.lock.held:
            raise common.given_back(claim.run_id)
        return held

    def _read_named(self, table: Literal["signals", "channels"], run_id: str) -> dict[str, bytes]:
        with self._db.reading() as sql:
            found = _named.read(sql, table, run_id)
            if found is None:
                raise self._unknown(sql, run_id)
            return found

    def _number(self, sql: sqlite3.Connection, run_id: str) -> tuple[int, str]:
        """The number of a run, and who claimed it last."""
        found = sql.execute("SELECT run, owner FROM runs WHERE id = ?", (run_id,)).fetchone()
        if found is None:
            raise self._unknown(sql, run_id)
        number, owner = found
        return number, owner

    def _unknown(self, sql: sqlite3.Connection, run_id: str) -> StoreError:
        newest = sql.execute("SELECT id FROM runs ORDER BY created DESC, run DESC LIMIT ?", (common.NEWEST,))
        return common.unknown(self._shown, run_id, [id for (id,) in newest])


def _insert_run(sql: sqlite3.Connection, run: NewRun) -> int:
    values = {
        "id": run.id,
        "workflow": run.workflow,
        "state": "running",
        "created": run.created,
        "touched": run.created,
        "fingerprint": run.fingerprint,
        "inputs_digest": run.inputs_digest,
        "tasks": len(run.ids),
        "target": run.target,
        "owner": common.this_process(),
        "options": run.options,
        "inputs": _rows.put_blob(sql, run.inputs),
        "code": _rows.put_blob(sql, run.code),
        "ids": _rows.put_blob(sql, _rows.bytes_of(run.ids)),
        "fingerprints": _rows.put_blob(sql, _rows.bytes_of(run.fingerprints)),
    }
    statement = f"INSERT INTO runs ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"
    number = sql.execute(statement, list(values.values())).lastrowid
    assert number is not None
    return number
