"""The store in a file: where it lies, damage, disks that are full, many processes, sudden death and forks."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from tests.unit.stored import entry, item, line, new_run, put, row, successes

from graflow import ConfigurationError, RunConflictError, StoreError
from graflow.stores import SQLiteStore, _claims, _database, _files, _schema

LARGE = bytes(range(256)) * 8192  # 2 MiB
REPO = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    with contextlib.closing(SQLiteStore(path)) as made:
        yield made


@contextlib.contextmanager
def by_hand(path: Path) -> Iterator[sqlite3.Connection]:
    """The database without the store."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def connection_of(store: SQLiteStore) -> sqlite3.Connection:
    connection = store._db._connection
    assert connection is not None
    return connection


def filled(path: Path, *, large: bool = False) -> None:
    """A store with one run that ended, and an entry in the cache."""
    with contextlib.closing(SQLiteStore(path)) as store:
        claim = store.create(new_run(inputs=b"in" * 500, code=b"code" * 2000))
        rows = [row(0, result=b"zero" * 50), row(1, 1, "failed", error=b"e" * 99, error_text="E: e")]
        store.write(claim, rows, [line(0, 1.0, "text")], successes((1, 2, LARGE if large else b"one")))
        store.put_signal("run-1", "load", b"go" * 50, 1.0)
        store.put_channels(claim, {"progress": b"half" * 50})
        store.finish(claim, "succeeded", 1010.0, None)
        store.keep(entry())


def folder_of(path: Path, what: str) -> Path:
    return Path(f"{path}.{what}")


def listed(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def sound(path: Path) -> bool:
    with by_hand(path) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


class TestThePlace:
    def test_is_made_and_hidden_from_git(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with contextlib.closing(SQLiteStore()) as store:
            assert store.path == tmp_path / ".graflow" / "runs.db"
            assert repr(store) == "SQLiteStore('.graflow/runs.db')"
            assert (tmp_path / ".graflow" / ".gitignore").read_text() == "*\n"
            (tmp_path / "elsewhere").mkdir()
            monkeypatch.chdir(tmp_path / "elsewhere")
            put(store)
        assert listed(tmp_path / "elsewhere") == []

    def test_that_was_there_is_left_as_it_was(self, tmp_path: Path) -> None:
        (tmp_path / ".graflow").mkdir()
        SQLiteStore(tmp_path / ".graflow" / "runs.db").close()
        SQLiteStore(tmp_path / "deep" / "down" / "runs.db").close()
        assert ".gitignore" not in [*listed(tmp_path / ".graflow"), *listed(tmp_path / "deep" / "down")]

    def test_must_exist_for_who_only_reads(self, path: Path) -> None:
        with pytest.raises(StoreError) as caught:
            SQLiteStore(path.parent / "no" / "runs.db", must_exist=True)
        assert str(caught.value) == (
            f"cannot open the store {path.parent}/no/runs.db: there is no such file; "
            "start a run with this store, or name another one"
        )
        assert listed(path.parent) == []
        path.touch()
        with pytest.raises(StoreError, match="it is empty; name another file, or start a run to fill it"):
            SQLiteStore(path, must_exist=True)
        filled(path)
        with contextlib.closing(SQLiteStore(path, must_exist=True)) as store:
            assert store.result("run-1", 0) == b"zero" * 50

    def test_cannot_be_memory(self) -> None:
        with pytest.raises(ConfigurationError, match=r"take MemoryStore\(\)"):
            SQLiteStore(":memory:")

    def test_that_cannot_be(self, path: Path) -> None:
        with pytest.raises(StoreError) as caught:
            SQLiteStore(path.parent)
        assert str(caught.value) == f"cannot open the store {path.parent}: it is a directory; name a file"
        path.write_text("not a directory")
        for below in (path / "runs.db", path / "deeper" / "runs.db"):
            with pytest.raises(StoreError, match="a part of its path is a file where a directory should be"):
                SQLiteStore(below)

    def test_of_something_else(self, path: Path) -> None:
        path.write_text("a text that is long enough to be no header of a database" * 10)
        before = path.read_bytes()
        with pytest.raises(StoreError, match=r"it is not a graflow store .*; name another file"):
            SQLiteStore(path)
        assert path.read_bytes() == before
        path.unlink()
        with by_hand(path) as connection:
            connection.execute("CREATE TABLE t (a)")
        before = path.read_bytes()
        with pytest.raises(StoreError) as caught:
            SQLiteStore(path)
        assert str(caught.value) == (
            f"cannot open the store {path}: it is a database of another program; name another file"
        )
        assert path.read_bytes() == before

    def test_of_a_newer_graflow(self, path: Path) -> None:
        filled(path)
        with by_hand(path) as connection:
            connection.execute("PRAGMA user_version=9")
        with pytest.raises(StoreError) as caught:
            SQLiteStore(path)
        assert str(caught.value) == (
            f"cannot open the store {path}: a newer graflow wrote it (version 9 of the store; this graflow knows "
            f"{_schema.VERSION}); upgrade graflow, or name another store"
        )

    def test_of_no_version_there_was(self, path: Path) -> None:
        filled(path)
        with by_hand(path) as connection:
            connection.execute("PRAGMA user_version=0")
        with pytest.raises(StoreError, match="its version 0 never existed: it is damaged; restore it from a copy"):
            SQLiteStore(path)

    def test_left_half_made_is_made_anew(self, path: Path) -> None:
        with by_hand(path) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        filled(path)
        assert sound(path)

    def test_whose_file_is_deleted_or_replaced_takes_no_more(self, path: Path) -> None:
        store = SQLiteStore(path)
        claim = store.create(new_run())
        path.rename(path.with_name("moved.db"))
        with pytest.raises(StoreError, match="the file was deleted; open the store anew"):
            store.write(claim, [row(0)], [])
        with contextlib.closing(SQLiteStore(path)) as other:
            with pytest.raises(StoreError, match="another file took its place; open the store anew"):
                store.write(claim, [row(0)], [])
            with pytest.raises(StoreError, match="a process still runs a run of the file that lay here before"):
                other.create(new_run())
            store.release(claim)
            other.release(other.create(new_run()))
        store.close()


# The tables of version 1 of the store, and one run in them; its batch holds one attempt, of task 1.
VERSION_1 = """
CREATE TABLE blobs (blob INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, body BLOB NOT NULL);
CREATE TABLE runs (
    run INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, workflow TEXT NOT NULL, state TEXT NOT NULL,
    created REAL NOT NULL, ended REAL, touched REAL NOT NULL, fingerprint TEXT NOT NULL, inputs_digest TEXT NOT NULL,
    tasks INTEGER NOT NULL, succeeded INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0, reason TEXT,
    target TEXT, owner TEXT NOT NULL, options TEXT NOT NULL, inputs INTEGER NOT NULL, code INTEGER NOT NULL,
    ids INTEGER NOT NULL, fingerprints INTEGER NOT NULL
);
CREATE INDEX runs_by_time ON runs (created);
CREATE INDEX runs_by_workflow ON runs (workflow, created);
CREATE INDEX runs_by_state ON runs (state, created);
CREATE TABLE attempts (
    run INTEGER NOT NULL, task INTEGER NOT NULL, attempt INTEGER NOT NULL, state TEXT NOT NULL, started REAL,
    seconds REAL, worker TEXT, result BLOB, note TEXT, error BLOB, error_text TEXT, file TEXT,
    PRIMARY KEY (run, task, attempt)
) WITHOUT ROWID;
CREATE INDEX attempts_by_file ON attempts (file) WHERE file IS NOT NULL;
CREATE TABLE batches (batch INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX batches_by_run ON batches (run);
CREATE TABLE logs (
    log INTEGER PRIMARY KEY, run INTEGER NOT NULL, task INTEGER NOT NULL, attempt INTEGER NOT NULL, at REAL NOT NULL,
    level TEXT NOT NULL, logger TEXT NOT NULL, text TEXT NOT NULL
);
CREATE INDEX logs_by_task ON logs (run, task);
CREATE TABLE cache (
    key TEXT PRIMARY KEY, workflow TEXT NOT NULL, task TEXT NOT NULL, created REAL NOT NULL, expires REAL,
    parts TEXT NOT NULL, result BLOB, file TEXT
);
CREATE INDEX cache_by_task ON cache (workflow, task, created);
CREATE INDEX cache_by_file ON cache (file) WHERE file IS NOT NULL;
INSERT INTO runs VALUES (
    1, 'run-1', 'nightly', 'running', 1000.0, NULL, 1000.0, 'f-1', 'i-1', 3, 2, 0, NULL, NULL, 'host:1', '{}', 1, 2, 3,
    4
);
PRAGMA application_id=1734765687;
PRAGMA user_version=1;
"""


def of_version_1(path: Path) -> None:
    body = b'["w"]' + struct.pack("<IIddII", 1, 1, 1001.0, 0.5, 0, 3) + b"one"
    head = struct.pack("<II", 1, 5)
    rows: dict[str, list[tuple[Any, ...]]] = {
        "INSERT INTO blobs VALUES (?, ?, ?)": [
            (number, sha256(blob).hexdigest(), blob)
            for number, blob in enumerate((b"inputs", b"code", b'["a","b","c"]', b'["x","y","z"]'), 1)
        ],
        "INSERT INTO attempts VALUES (1, 0, 1, 'succeeded', 1001.0, 0.5, 'w', ?, NULL, NULL, NULL, NULL)": [
            (crc32(b"zero").to_bytes(4, "big") + b"zero",)
        ],
        "INSERT INTO batches VALUES (1, 1, ?)": [(crc32(head + body).to_bytes(4, "little") + head + body,)],
    }
    with by_hand(path) as connection:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(VERSION_1)
        for statement, values in rows.items():
            connection.executemany(statement, values)


class TestAStoreOfTheVersionBefore:
    def test_is_read_and_written_as_any(self, path: Path) -> None:
        of_version_1(path)
        with contextlib.closing(SQLiteStore(path, must_exist=True)) as store:
            assert (store.signals("run-1"), store.channels("run-1")) == ({}, {})
            assert store.put_signal("run-1", "c", b"go", 1002.0)
            stored = store.stored("run-1")
            assert (stored.inputs, stored.code, stored.ids) == (b"inputs", b"code", ("a", "b", "c"))
            assert (stored.row.state, stored.attempts) == ("interrupted", [row(0, worker="w"), row(1, worker="w")])
            assert [store.result("run-1", task) for task in range(3)] == [b"zero", b"one", None]
            claim = store.claim("run-1")
            assert store.stored("run-1").attempts == stored.attempts
            assert [store.result("run-1", task) for task in range(3)] == [b"zero", b"one", None]
            store.write(claim, [], [], successes((item(2, 9), 1, b"item"), (2, 1, b"two")))
            store.put_channels(claim, {"progress": b"1"})
            store.finish(claim, "succeeded", 1010.0, None)
        with contextlib.closing(SQLiteStore(path)) as store:
            assert [store.result("run-1", task) for task in (1, 2, item(2, 9))] == [b"one", b"two", b"item"]
            assert (store.signals("run-1"), store.channels("run-1")) == ({"c": b"go"}, {"progress": b"1"})
            (found,) = store.runs()
            assert (found.state, found.succeeded) == ("succeeded", 3)
        assert sound(path)

    def test_has_the_tables_of_a_new_one(self, path: Path) -> None:
        of_version_1(path)
        SQLiteStore(path).close()
        SQLiteStore(path.with_name("new.db")).close()
        columns = "SELECT t.name, c.* FROM sqlite_master AS t, pragma_table_xinfo(t.name) AS c ORDER BY 1, 2"
        found = []
        for file in (path, path.with_name("new.db")):
            with by_hand(file) as connection:
                version = connection.execute("PRAGMA user_version").fetchone()
                found.append((version, connection.execute(columns).fetchall()))
        assert found[0] == found[1]

    def test_stays_as_it_was_if_its_new_tables_cannot_be_made(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        of_version_1(path)
        with monkeypatch.context() as patch:
            patch.setattr(_schema, "_ADDED", (*_schema._ADDED, "INSERT INTO no_such_table VALUES (1);"))
            with pytest.raises(StoreError, match="cannot open the store"):
                SQLiteStore(path)
        with by_hand(path) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)
            assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'signals'").fetchone() == (0,)
        with contextlib.closing(SQLiteStore(path)) as store:
            assert store.result("run-1", 1) == b"one"

    def test_is_brought_up_to_date_once_by_many_processes(self, path: Path) -> None:
        of_version_1(path)
        program = """
        sys.stdin.readline()
        store = SQLiteStore(sys.argv[1])
        assert store.put_signal('run-1', sys.argv[2], b'go', 1.0)
        """
        others = [start(program, path, i) for i in range(3)]
        for other in others:
            tell(other, "go")
        assert [ended(other) for other in others] == [0] * 3
        with contextlib.closing(SQLiteStore(path)) as store:
            assert list(store.signals("run-1")) == ["0", "1", "2"]


@contextlib.contextmanager
def unprivileged() -> Iterator[Path]:
    """A folder of somebody whom permissions bind, as they do not bind root."""
    folder = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)
        shutil.rmtree(folder)


class TestPermissions:
    def test_a_read_only_directory(self) -> None:
        with unprivileged() as folder:
            filled(folder / "runs.db")
            folder.chmod(0o500)
            with pytest.raises(StoreError) as caught:
                SQLiteStore(folder / "runs.db")
            assert str(caught.value) == (
                f"cannot open the store {folder}/runs.db: {folder} is read-only; "
                "make it writable, or name another store"
            )
            with pytest.raises(StoreError, match=r"its directory is read-only .*/deeper"):
                SQLiteStore(folder / "deeper" / "runs.db")

    def test_a_read_only_file(self) -> None:
        with unprivileged() as folder:
            filled(folder / "runs.db")
            (folder / "runs.db").chmod(0o400)
            with pytest.raises(StoreError, match=r"runs.db is read-only; make it writable, or name another store"):
                SQLiteStore(folder / "runs.db")

    def test_a_directory_that_becomes_read_only(self) -> None:
        with unprivileged() as folder:
            with contextlib.closing(SQLiteStore(folder / "runs.db")) as store:
                claim = store.create(new_run())
                folder.chmod(0o500)
                with pytest.raises(StoreError, match=r"cannot write to the store .* is read-only"):
                    store.write(claim, [row(0), row(1, result=LARGE)], [])
                assert store.stored("run-1").attempts == []
                folder.chmod(0o700)
                store.write(claim, [row(0), row(1, result=LARGE)], [])
                assert store.result("run-1", 1) == LARGE
                store.release(claim)

    def test_a_directory_nobody_may_enter(self) -> None:
        with unprivileged() as folder:
            (folder / "closed").mkdir()
            (folder / "closed").chmod(0)
            with pytest.raises(StoreError, match=r"cannot open the store .* is read-only"):
                SQLiteStore(folder / "closed" / "runs.db")
            (folder / "closed").chmod(0o700)


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


class TestAFullDisk:
    FULL = (
        r"cannot write to the store .*: the disk is full \(database or disk is full\); "
        "free some space, prune old runs, or name a store on another disk"
    )

    def limit(self, store: SQLiteStore, more: int) -> None:
        sql = connection_of(store)
        (pages,) = sql.execute("PRAGMA page_count").fetchone()
        sql.execute(f"PRAGMA max_page_count={pages + more}")

    def test_writes_all_or_nothing_and_goes_on_when_there_is_room(self, store: SQLiteStore) -> None:
        claim = store.create(new_run())
        store.write(claim, [row(0, result=b"kept")], [])
        self.limit(store, 5)
        rows = [row(0, 1, "cancelled"), row(1, result=b"x" * 500_000)]
        for _ in range(2):
            with pytest.raises(StoreError, match=self.FULL):
                store.write(claim, rows, [line(0, 1.0, "text")])
        assert store.stored("run-1").attempts == [row(0)]
        assert store.result("run-1", 0) == b"kept"
        assert store.logs("run-1") == []
        found = store.find("run-1")
        assert found is not None
        assert (found.succeeded, found.alive) == (1, True)
        self.limit(store, 1000)
        store.write(claim, rows, [])
        store.finish(claim, "succeeded", 1.0, None)
        assert [found.state for found in store.stored("run-1").attempts] == ["cancelled", "succeeded"]

    def test_leaks_no_claim(self, store: SQLiteStore, path: Path) -> None:
        store.finish(store.create(new_run("first")), "succeeded", 1.0, None)
        before = descriptors()
        self.limit(store, 5)
        with pytest.raises(StoreError, match=self.FULL):
            store.create(new_run(code=b"x" * 500_000))
        assert store.find("run-1") is None
        assert descriptors() == before
        self.limit(store, 1000)
        claim = store.create(new_run(code=b"x" * 500_000))
        assert len(store.stored("run-1").code) == 500_000
        store.finish(claim, "succeeded", 1.0, None)
        assert descriptors() == before
        assert listed(folder_of(path, "claims")) == []

    def test_leaves_nothing_of_a_result_file(
        self, store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        claim = store.create(new_run())

        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(StoreError, match="the disk is full; free some space"):
                store.write(claim, [row(0), row(1, result=LARGE)], [])
            with pytest.raises(StoreError, match="the disk is full; free some space"):
                store.keep(entry(result=LARGE))
        assert listed(folder_of(path, "files")) == []
        assert store.stored("run-1").attempts == []
        assert store.cached("k", 1000.0) is None

    def test_an_exception_of_any_kind_frees_the_claim(
        self, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(store, "old", None)
        before = descriptors()

        def strike(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(store, "_claimed", strike)
            for begin in (lambda: store.create(new_run("new")), lambda: store.claim("old")):
                with pytest.raises(KeyboardInterrupt):
                    begin()
        assert descriptors() == before
        for id in ("new", "old"):
            store.release(store.claim(id))


def test_another_program_that_locks_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_database, "BUSY_SECONDS", 0.01)
    with contextlib.closing(SQLiteStore(path)) as store, by_hand(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError) as caught:
            store.create(new_run())
        assert str(caught.value) == (
            f"cannot write to the store {path}: another program keeps it locked (database is locked); "
            "close whatever else has the file open, and try again"
        )
        connection.execute("ROLLBACK")
        store.release(store.create(new_run()))


def test_signals_are_read_while_somebody_writes(store: SQLiteStore, path: Path) -> None:
    put(store, state=None)
    store.put_signal("run-1", "load", b"go", 1.0)
    with by_hand(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE signals SET body = X'00'")
        assert store.signals("run-1") == {"load": b"go"}
        connection.execute("ROLLBACK")


def test_a_run_that_is_forgotten_leaves_no_row(store: SQLiteStore, path: Path) -> None:
    for forget in (lambda: store.delete("run-1"), lambda: store.prune(2000.0)):
        claim = store.create(new_run())
        store.write(claim, [row(0), row(item(1, 0))], [line(0, 1.0, "t")], successes((item(1, 1), 1, b"")))
        store.put_signal("run-1", "load", b"go", 1.0)
        store.put_channels(claim, {"progress": b"1"})
        store.finish(claim, "succeeded", 1010.0, None)
        forget()
        with by_hand(path) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            assert {"signals", "channels", "batches"} <= set(tables)
            for table in tables:
                if table != "sqlite_sequence":
                    assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


class TestDamage:
    def use(self, path: Path) -> Iterator[Callable[[SQLiteStore], Any]]:
        """What one can ask of a `filled` store; an answer that is given must be right."""

        def attempts(store: SQLiteStore) -> None:
            stored = store.stored("run-1")
            assert (stored.inputs, stored.code) == (b"in" * 500, b"code" * 2000)
            assert all(found.error in (None, b"e" * 99) for found in stored.attempts)

        def results(store: SQLiteStore) -> None:
            assert store.result("run-1", 0) in (b"zero" * 50, None)
            assert store.result("run-1", 1) in (b"one", LARGE, None)

        def named(store: SQLiteStore) -> None:
            assert store.signals("run-1") in ({}, {"load": b"go" * 50})
            assert store.channels("run-1") in ({}, {"progress": b"half" * 50})

        def cached(store: SQLiteStore) -> None:
            found = store.cached("k", 2000.0)
            assert found is None or found.result == b"cached"

        yield from (attempts, results, named, cached)
        yield from (lambda store: store.runs(), lambda store: store.logs("run-1"), lambda store: store.find("run-1"))
        yield lambda store: store.last_cached("nightly", "clean")
        yield lambda store: store.write(store.claim("run-1"), [row(2)], [])
        yield lambda store: store.prune(5.0)
        yield lambda store: store.delete("run-1")

    def survives(self, path: Path) -> list[str]:
        """The errors of all uses; anything but a `StoreError` fails the test."""
        errors = []
        for use in self.use(path):
            try:
                with contextlib.closing(SQLiteStore(path)) as store:
                    use(store)
            except StoreError as error:
                errors.append(str(error))
        return errors

    def test_a_file_that_was_cut_off(self, path: Path) -> None:
        filled(path)
        whole = path.read_bytes()
        for length in (10, 99, 100, 4096, 5000, len(whole) // 2, len(whole) - 4096, len(whole) - 1):
            path.write_bytes(whole[:length])
            errors = self.survives(path)
            assert errors, length
            assert all("cannot " in error and str(path) in error for error in errors)

    def test_bits_that_flipped(self, path: Path) -> None:
        filled(path)
        whole = path.read_bytes()
        generator = random.Random(7)
        told = 0
        for _ in range(60):
            garbled = bytearray(whole)
            for _ in range(20):
                garbled[generator.randrange(len(whole))] ^= 1 << generator.randrange(8)
            path.write_bytes(garbled)
            told += bool(self.survives(path))
        assert told > 30

    def test_pages_that_were_wiped(self, path: Path) -> None:
        filled(path)
        whole = path.read_bytes()
        for page in range(1, len(whole) // 4096):
            path.write_bytes(whole[: page * 4096] + bytes(4096) + whole[(page + 1) * 4096 :])
            self.survives(path)

    def test_a_database_that_is_malformed(self, path: Path) -> None:
        filled(path)
        whole = path.read_bytes()
        path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
        with contextlib.closing(SQLiteStore(path)) as store, pytest.raises(StoreError) as caught:
            store.stored("run-1")
        assert str(caught.value) == (
            f"cannot read the store {path}: the database is damaged (database disk image is malformed); "
            "restore it from a copy, or move it and what lies beside it away to begin anew"
        )

    @pytest.mark.parametrize(
        ("statement", "use", "what"),
        [
            (
                "UPDATE attempts SET result = CAST(X'00' || result AS BLOB)",
                "result",
                "the result of task 0 of run 'run-1' is damaged",
            ),
            ("UPDATE attempts SET result = 'text'", "result", "the result of task 0 of run 'run-1' is damaged"),
            (
                "UPDATE batches SET body = CAST(body || X'00' AS BLOB)",
                "stored",
                "what is written of some tasks is damaged",
            ),
            ("UPDATE batches SET body = X'00'", "claim", "what is written of some tasks is damaged"),
            ("UPDATE attempts SET error = X'0000'", "stored", "an error of task 0 is damaged"),
            ("UPDATE attempts SET started = 'soon'", "stored", "what is written of a task is damaged"),
            ("UPDATE attempts SET task = 99", "claim", "what is written of a task is damaged"),
            (
                "UPDATE blobs SET body = X'00' WHERE body = X'636F6465'",
                "stored",
                "the workflow of run 'run-1' is damaged",
            ),
            ("DELETE FROM blobs WHERE body = X'696E70757473'", "stored", "the inputs of run 'run-1' are damaged"),
            ("UPDATE runs SET owner = X'00'", "runs", "the entry of a run is damaged"),
            ("UPDATE runs SET workflow = CAST(X'ff' AS TEXT)", "runs", "the database is damaged"),
            ("UPDATE logs SET at = 'soon'", "logs", "a log line of run 'run-1' is damaged"),
            ("UPDATE signals SET body = X'00'", "signals", "'load' in the signals of run 'run-1' is damaged"),
            ("UPDATE signals SET name = 'clean'", "signals", "'clean' in the signals of run 'run-1' is damaged"),
            ("UPDATE signals SET name = X'00'", "signals", "a name in the signals of run 'run-1' is damaged"),
            ("UPDATE channels SET body = 'text'", "channels", "'progress' in the channels of run 'run-1' is damaged"),
        ],
    )
    def test_what_does_not_fit_is_told(
        self, store: SQLiteStore, path: Path, statement: str, use: str, what: str
    ) -> None:
        claim = store.create(new_run())
        store.write(claim, [row(0, result=b"r", error=b"e")], [line(0, 1.0, "t")], successes((1, 1, b"s")))
        store.put_signal("run-1", "load", b"go", 1.0)
        store.put_channels(claim, {"progress": b"1"})
        store.release(claim)
        with by_hand(path) as connection:
            assert connection.execute(statement).rowcount == 1
        arguments = {"result": ("run-1", 0), "runs": ()}.get(use, ("run-1",))
        with pytest.raises(StoreError) as caught:
            getattr(store, use)(*arguments)
        assert what in str(caught.value)
        assert "restore it from a copy" in str(caught.value)
        assert not _claims.is_held(folder_of(path, "claims") / "1")

    def test_a_damaged_entry_of_the_cache_is_dropped(self, store: SQLiteStore, path: Path) -> None:
        for spoil in (
            "UPDATE cache SET result = X'0000'",
            "UPDATE cache SET file = 'x'",
            f"UPDATE cache SET file = '{'0' * 64}'",
            "UPDATE cache SET created = 'soon'",
        ):
            store.keep(entry())
            with by_hand(path) as connection:
                connection.execute(spoil)
            assert store.cached("k", 2000.0) is None
            with by_hand(path) as connection:
                assert connection.execute("SELECT count(*) FROM cache").fetchone() == (0,)


class TestLargeResults:
    def file(self, path: Path) -> Path:
        (name,) = listed(folder_of(path, "files"))
        return folder_of(path, "files") / name

    def test_have_one_file_for_all_who_share_them(self, store: SQLiteStore, path: Path) -> None:
        claim = store.create(new_run())
        store.write(claim, [row(0, result=LARGE), row(1, result=LARGE), row(2, result=LARGE[: 1 << 20])], [])
        store.finish(claim, "succeeded", 1.0, None)
        store.keep(entry(result=LARGE))
        assert self.file(path).read_bytes() == LARGE
        assert path.stat().st_size < 1 << 20
        assert [store.result("run-1", task) for task in range(3)] == [LARGE, LARGE, LARGE[: 1 << 20]]
        assert store.cached("k", 1000.0) == entry(result=LARGE)
        store.delete("run-1")
        assert self.file(path).exists()
        store.keep(entry())
        claim = store.create(new_run())
        store.write(claim, [row(0, result=LARGE)], [])
        store.finish(claim, "succeeded", 1.0, None)
        store.delete("run-1")
        assert listed(folder_of(path, "files")) == []

    @pytest.mark.parametrize("how", ["cut", "flip", "gone"])
    def test_that_are_damaged_are_told(self, path: Path, how: str) -> None:
        filled(path, large=True)
        file = self.file(path)
        match how:
            case "cut":
                file.write_bytes(LARGE[:-1])
            case "flip":
                file.write_bytes(LARGE[:100] + b"?" + LARGE[101:])
            case _:
                file.unlink()
        with contextlib.closing(SQLiteStore(path)) as store:
            with pytest.raises(StoreError, match=f"the result file {file.name} is (damaged|gone); restore it"):
                store.result("run-1", 1)
            claim = store.claim("run-1")
            store.write(claim, [], [], successes((1, 2, LARGE)))
            assert store.result("run-1", 1) == LARGE

    def test_that_nobody_has_are_swept_when_they_are_old(self, store: SQLiteStore, path: Path) -> None:
        claim = store.create(new_run())
        store.write(claim, [row(0, result=LARGE)], [])
        store.keep(entry(result=LARGE + b"cached"))
        store.keep(entry("expired", expires=1.0, result=LARGE + b"expired"))
        folder = folder_of(path, "files")
        for name in ("a.part", "b.part"):
            (folder / name).touch()
        long_ago = time.time() - _files.GRACE - 1
        for file in folder.iterdir():
            if file.name != "b.part":
                os.utime(file, (long_ago, long_ago))
        store.prune(2000.0)
        assert len(listed(folder)) == 3
        assert "b.part" in listed(folder)
        assert store.result("run-1", 0) == LARGE
        assert store.cached("k", 2000.0) is not None
        store.finish(claim, "succeeded", 1.0, None)
        assert store.prune(2000.0) == ["run-1"]
        assert len(listed(folder)) == 2

    def test_that_were_swept_just_before_they_were_written_are_written_again(
        self, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        claim = store.create(new_run())
        put_file = _files.ResultFiles.put
        swept: list[str] = []

        def put_and_sweep(files: _files.ResultFiles, data: bytes) -> str:
            name = put_file(files, data)
            if len(swept) < 2:
                swept.append(name)
                files.remove([name])
            return name

        monkeypatch.setattr(_files.ResultFiles, "put", put_and_sweep)
        store.write(claim, [row(0, result=LARGE), row(1, result=LARGE + b"2")], [])
        assert len(swept) == 2
        assert store.result("run-1", 0) == LARGE
        assert store.result("run-1", 1) == LARGE + b"2"


class TestCost:
    def test_rows_take_few_statements(self, store: SQLiteStore) -> None:
        ids = tuple(map(str, range(1000)))
        claim = store.create(new_run(ids=ids, fingerprints=ids))
        statements: list[str] = []
        connection_of(store).set_trace_callback(statements.append)
        rows = [row(i, result=b"r" * 20) if i % 2 else row(i, 1, "failed", error_text="E") for i in range(1000)]
        store.write(claim, rows, [line(i, 1.0, "t") for i in range(1000)])
        assert len(statements) < 30

    def test_statements_keep_to_the_limit_of_sqlite(self, store: SQLiteStore) -> None:
        ids = tuple(map(str, range(1000)))
        connection_of(store).setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)
        claim = store.create(new_run(ids=ids, fingerprints=ids))
        store.write(claim, [row(i, note="n") for i in range(1000)], [])
        assert len(store.stored("run-1").attempts) == 1000

    def test_runs_of_one_workflow_share_it(self, store: SQLiteStore, path: Path) -> None:
        code = random.Random(1).randbytes(500_000)
        for i in range(10):
            put(store, f"run-{i}", code=code)
        store.close()
        assert path.stat().st_size < 1_000_000

    def test_pruning_gives_the_disk_back(self, store: SQLiteStore, path: Path) -> None:
        claim = store.create(new_run())
        store.write(claim, [row(0, result=b"x" * 1_000_000)], [])
        store.finish(claim, "succeeded", 1010.0, None)
        store.prune(2000.0)
        assert path.stat().st_size < 300_000
        assert Path(f"{path}-wal").stat().st_size == 0


def test_a_store_that_nobody_closes_is_closed_by_the_collector(path: Path) -> None:
    before = descriptors()
    store = SQLiteStore(path)
    claim = store.create(new_run())
    assert descriptors() > before
    del store, claim
    gc.collect()
    assert descriptors() == before
    assert not Path(f"{path}-wal").exists()


def test_a_store_that_cannot_be_opened_leaves_nothing_open(path: Path) -> None:
    path.write_text("no database " * 100)
    before = descriptors()
    for _ in range(3):
        with pytest.raises(StoreError):
            SQLiteStore(path)
    assert descriptors() == before


def test_results_that_another_process_replaces_are_seen(store: SQLiteStore, path: Path) -> None:
    claim = store.create(new_run())
    store.write(claim, [], [], successes((0, 1, b"zero"), (1, 1, b"one")))
    assert store.result("run-1", 0) == b"zero"
    store.release(claim)
    with contextlib.closing(SQLiteStore(path)) as other:
        claim = other.claim("run-1")
        other.write(claim, [row(0, 1, "cancelled")], [], successes((1, 2, b"new one")))
        assert [store.result("run-1", task) for task in range(2)] == [None, b"new one"]
        other.write(claim, [], [], successes((0, 2, b"new zero")))
        assert [store.result("run-1", task) for task in range(2)] == [b"new zero", b"new one"]
        other.finish(claim, "succeeded", 1.0, None)


class TestAliveOrNot:
    def test_a_run_that_ends_while_it_is_asked_for_is_no_interruption(
        self, store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with contextlib.closing(SQLiteStore(path)) as other:
            claim = other.create(new_run())
            is_held = _claims.is_held

            def ask_late(file: Path) -> bool:
                if claim.lock.held:  # type: ignore[attr-defined]
                    other.finish(claim, "succeeded", 1.0, None)
                return is_held(file)

            monkeypatch.setattr(_claims, "is_held", ask_late)
            assert [found.state for found in store.runs()] == ["succeeded"]

    def test_a_run_that_is_deleted_while_it_is_asked_for_is_none(
        self, store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with contextlib.closing(SQLiteStore(path)) as other:
            put(other, state=None)
            is_held = _claims.is_held
            asked = []

            def ask_late(file: Path) -> bool:
                asked.append(file)
                if len(asked) == 1:
                    other.delete("run-1")
                return is_held(file)

            monkeypatch.setattr(_claims, "is_held", ask_late)
            assert store.runs() == []

    def test_two_stores_of_one_process_hold_claims_against_each_other(self, store: SQLiteStore, path: Path) -> None:
        with contextlib.closing(SQLiteStore(path)) as other:
            claim = store.create(new_run())
            with pytest.raises(RunConflictError, match=f":{os.getpid()} runs 'run-1' now"):
                other.claim("run-1")
            found = other.find("run-1")
            assert found is not None
            assert found.alive
            store.release(claim)
            claim = other.claim("run-1")
            with pytest.raises(StoreError, match="not claimed any more"):
                store.write(claim, [row(0)], [])
            other.write(claim, [row(0)], [])
            other.release(claim)

    def test_who_asks_does_not_keep_others_from_claiming(self, store: SQLiteStore, path: Path) -> None:
        put(store, state=None)
        done = threading.Event()
        asked = []

        def ask() -> None:
            while not done.is_set():
                asked.append(_claims.is_held(path.parent / "runs.db.claims" / "1"))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(300):
                store.release(store.claim("run-1"))
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert asked


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """A process of its own, which has the store's names at hand."""
    names = "import os, sys, time\nfrom graflow.stores import SQLiteStore\nfrom tests.unit.stored import *\n"
    return subprocess.Popen(
        [sys.executable, "-c", names + textwrap.dedent(program), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPO,
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{text}\n")
    process.stdin.flush()


def ended(process: subprocess.Popen[str]) -> int:
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()
    return process.wait(60)


HOLD = """
store = SQLiteStore(sys.argv[1])
claim = store.create(new_run())
store.write(claim, [row(0, result=b'zero')], [])
print('written', flush=True)
sys.stdin.read()
"""


class TestProcesses:
    def test_a_claim_of_another_process(self, store: SQLiteStore, path: Path) -> None:
        other = start(HOLD, path)
        assert said(other) == "written"
        with pytest.raises(RunConflictError, match=f":{other.pid} runs 'run-1' now: wait until it has ended"):
            store.claim("run-1")
        with pytest.raises(RunConflictError):
            store.delete("run-1")
        assert store.prune(time.time() + 1000) == []
        (found,) = store.runs(state="running")
        assert (found.alive, found.succeeded) == (True, 1)
        other.kill()
        assert ended(other) == -signal.SIGKILL
        (found,) = store.runs(state="interrupted")
        assert not found.alive
        claim = store.claim("run-1")
        assert store.result("run-1", 0) == b"zero"
        store.finish(claim, "succeeded", 2000.0, None)
        assert listed(folder_of(path, "claims")) == []

    def test_a_signal_reaches_the_process_that_holds_the_run(self, store: SQLiteStore, path: Path) -> None:
        program = """
        store = SQLiteStore(sys.argv[1])
        claim = store.create(new_run())
        print('waiting', flush=True)
        while not (found := store.signals('run-1')):
            time.sleep(0.01)
        store.write(claim, [row(2, result=found['load'])], [])
        store.finish(claim, 'succeeded', 1.0, None)
        """
        other = start(program, path)
        assert said(other) == "waiting"
        assert store.put_signal("run-1", "load", b"go", 1.0)
        assert ended(other) == 0
        assert store.result("run-1", 2) == b"go"

    def test_of_two_who_signal_at_once_one_is_first(self, store: SQLiteStore, path: Path) -> None:
        put(store, state=None)
        program = """
        store = SQLiteStore(sys.argv[1])
        print('ready', flush=True)
        sys.stdin.readline()
        sent = [store.put_signal('run-1', f't{i:02}', sys.argv[2].encode(), 1.0) for i in range(50)]
        print(''.join(str(int(first)) for first in sent), flush=True)
        """
        others = [start(program, path, name) for name in ("one", "two")]
        assert [said(other) for other in others] == ["ready"] * 2
        for other in others:
            tell(other, "go")
        one, two = (said(other) for other in others)
        assert [ended(other) for other in others] == [0, 0]
        assert [first + second for first, second in zip(one, two, strict=True)].count("10") == one.count("1")
        assert one.count("1") + two.count("1") == 50
        who = [b"one" if first == "1" else b"two" for first in one]
        assert store.signals("run-1") == {f"t{i:02}": name for i, name in enumerate(who)}

    def test_sudden_death_in_the_middle_of_writing(self, path: Path) -> None:
        program = """
        store = SQLiteStore(sys.argv[1])
        names = tuple(map(str, range(1_000_000)))
        claim = store.create(new_run(sys.argv[2], ids=names, fingerprints=()))
        for i in range(0, 1_000_000, 50):
            rows = [row(task, result=b'%d' % task) for task in range(i, i + 50)]
            store.write(claim, rows, [line(i, float(i), 'text')])
            if i == 500: print('writing', flush=True)
        """
        for attempt in range(4):
            other = start(program, path, f"run-{attempt}")
            assert said(other) == "writing"
            other.kill()
            ended(other)
            assert sound(path)
            with contextlib.closing(SQLiteStore(path)) as store:
                claim = store.claim(f"run-{attempt}")
                attempts = store.stored(f"run-{attempt}").attempts
                assert len(attempts) >= 500
                assert len(attempts) % 50 == 0
                assert len(store.logs(f"run-{attempt}")) == len(attempts) // 50
                found = store.find(f"run-{attempt}")
                assert found is not None
                assert found.succeeded == len(attempts)
                last = attempts[-1].task
                assert store.result(f"run-{attempt}", last) == b"%d" % last
                store.write(claim, [row(last + 1)], [])
                store.release(claim)

    def test_many_begin_at_once_in_a_place_that_is_not_there(self, tmp_path: Path) -> None:
        program = """
        sys.stdin.readline()
        store = SQLiteStore(sys.argv[1])
        for i in range(20):
            claim = store.create(new_run(f'{sys.argv[2]}-{i}'))
            store.write(claim, [row(0, result=b'r')], [])
            store.finish(claim, 'succeeded', 1.0, None)
        store.close()
        """
        path = tmp_path / ".graflow" / "runs.db"
        others = [start(program, path, i) for i in range(4)]
        for other in others:
            tell(other, "go")
        assert [ended(other) for other in others] == [0] * 4
        with contextlib.closing(SQLiteStore(path)) as store:
            found = store.runs()
            assert len(found) == 80
            assert {(run.state, run.succeeded) for run in found} == {("succeeded", 1)}


def forked(body: Callable[[], None]) -> int:
    """Run a body in a fork of this process; 0 if it came to its end."""
    child = os.fork()
    if not child:
        code = 1
        try:
            body()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
class TestFork:
    def test_a_fork_has_the_store_and_not_the_claims(self, store: SQLiteStore) -> None:
        claim = store.create(new_run())
        store.write(claim, [row(0, result=b"zero")], [])

        def body() -> None:
            assert store.result("run-1", 0) == b"zero"
            with pytest.raises(StoreError, match="not claimed any more"):
                store.write(claim, [row(1)], [])
            with pytest.raises(RunConflictError):
                store.claim("run-1")
            store.release(claim)
            put(store, "run-2")
            store.close()

        assert forked(body) == 0
        store.write(claim, [row(1, result=b"one")], [])
        assert [found.id for found in store.runs()] == ["run-2", "run-1"]
        with pytest.raises(RunConflictError):
            store.claim("run-1")
        store.finish(claim, "succeeded", 1.0, None)

    def test_forks_while_other_threads_write_and_read(self, store: SQLiteStore, path: Path) -> None:
        claim = store.create(new_run())
        done = threading.Event()
        rounds = [0, 0]

        def write() -> None:
            while not done.is_set():
                store.write(claim, [row(0, result=b"%d" % rounds[0])], [])
                rounds[0] += 1

        def read() -> None:
            while not done.is_set():
                store.stored("run-1")
                rounds[1] += 1

        threads = [threading.Thread(target=write), threading.Thread(target=read)]
        for thread in threads:
            thread.start()
        try:
            for i in range(10):
                assert forked(lambda i=i: put(store, f"fork-{i}")) == 0  # type: ignore[misc]
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert min(rounds) > 0
        store.finish(claim, "succeeded", 1.0, None)
        assert [found.state for found in store.runs()] == ["succeeded"] * 11
        assert sound(path)

    def test_after_a_fork_no_run_is_written_into_another_file(self, path: Path) -> None:
        store = SQLiteStore(path)
        claim = store.create(new_run())
        assert forked(lambda: None) == 0
        path.rename(path.with_name("moved.db"))
        SQLiteStore(path).close()
        with pytest.raises(StoreError, match="another file took its place"):
            store.write(claim, [row(2)], [])
        path.unlink()
        with pytest.raises(StoreError, match="the file was deleted"):
            store.runs()
        store.close()

    def test_a_fork_that_ends_as_programs_do_closes_nothing(self, path: Path) -> None:
        program = """
        store = SQLiteStore(sys.argv[1])
        claim = store.create(new_run())
        if os.fork() == 0:
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
        store.write(claim, [row(0, result=b'zero')], [])
        store.finish(claim, 'succeeded', 1.0, None)
        """
        assert ended(start(program, path)) == 0
        assert sound(path)
        with contextlib.closing(SQLiteStore(path)) as store:
            assert store.result("run-1", 0) == b"zero"

    def test_a_fork_that_outlives_the_process_holds_no_claim(self, store: SQLiteStore, path: Path) -> None:
        program = """
        store = SQLiteStore(sys.argv[1])
        claim = store.create(new_run())
        if os.fork() == 0:
            print('forked', flush=True)
            sys.stdin.read()
            os._exit(0)
        os.wait()
        """
        other = start(program, path)
        assert said(other) == "forked"
        assert store.find("run-1") is not None
        with pytest.raises(RunConflictError):
            store.claim("run-1")
        other.kill()
        other.wait(60)
        store.release(store.claim("run-1"))
        ended(other)
