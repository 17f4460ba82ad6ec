"""The tables of an SQLite store, and which versions of them this graflow can read."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from graflow.stores._trouble import failed

VERSION: Final = 2
APPLICATION: Final = 0x67666C77
"""``gflw``: tells a store from a database of another program."""

# Small rows only in `runs`: it is written with every batch and read for every list. What is large lies in `blobs`,
# once for all runs that share it: code, task ids, fingerprints, inputs.
_FIRST: Final = """
CREATE TABLE blobs (
    blob INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL
);
CREATE TABLE runs (
    run INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    workflow TEXT NOT NULL,
    state TEXT NOT NULL,
    created REAL NOT NULL,
    ended REAL,
    touched REAL NOT NULL,
    fingerprint TEXT NOT NULL,
    inputs_digest TEXT NOT NULL,
    tasks INTEGER NOT NULL,
    succeeded INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    target TEXT,
    owner TEXT NOT NULL,
    options TEXT NOT NULL,
    inputs INTEGER NOT NULL,
    code INTEGER NOT NULL,
    ids INTEGER NOT NULL,
    fingerprints INTEGER NOT NULL
);
CREATE INDEX runs_by_time ON runs (created);
CREATE INDEX runs_by_workflow ON runs (workflow, created);
CREATE INDEX runs_by_state ON runs (state, created);
CREATE TABLE attempts (
    run INTEGER NOT NULL,
    task INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    state TEXT NOT NULL,
    started REAL,
    seconds REAL,
    worker TEXT,
    result BLOB,
    note TEXT,
    error BLOB,
    error_text TEXT,
    file TEXT,
    PRIMARY KEY (run, task, attempt)
) WITHOUT ROWID;
CREATE INDEX attempts_by_file ON attempts (file) WHERE file IS NOT NULL;
CREATE TABLE batches (
    batch INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX batches_by_run ON batches (run);
CREATE TABLE logs (
    log INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    task INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at REAL NOT NULL,
    level TEXT NOT NULL,
    logger TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX logs_by_task ON logs (run, task);
CREATE TABLE cache (
    key TEXT PRIMARY KEY,
    workflow TEXT NOT NULL,
    task TEXT NOT NULL,
    created REAL NOT NULL,
    expires REAL,
    parts TEXT NOT NULL,
    result BLOB,
    file TEXT
);
CREATE INDEX cache_by_task ON cache (workflow, task, created);
CREATE INDEX cache_by_file ON cache (file) WHERE file IS NOT NULL;
"""
_SECOND: Final = """
CREATE TABLE signals (
    run INTEGER NOT NULL,
    name TEXT NOT NULL,
    body BLOB NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE TABLE channels (
    run INTEGER NOT NULL,
    name TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (run, name)
) WITHOUT ROWID;
"""
_ADDED: Final = (_FIRST, _SECOND)
"""What each version added to the one before."""


def prepare(connection: sqlite3.Connection, path: Path, *, may_create: bool) -> None:
    """Check that a database is a store this graflow can use; make the tables if it is new, add those it lacks.

    The caller keeps other processes from doing the same.

    Raises:
        StoreError: it is the database of another program, of a newer graflow, or empty and must not be.
        sqlite3.Error: it cannot be read or written.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables and not application:
        if not may_create:
            raise failed("open", path, "it is empty", "name another file, or start a run to fill it")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # only before the first table; pruning gives disk back
        _add(connection, 0)
    elif application != APPLICATION:
        raise failed("open", path, "it is a database of another program", "name another file")
    elif version > VERSION:
        why = f"a newer graflow wrote it (version {version} of the store; this graflow knows {VERSION})"
        raise failed("open", path, why, "upgrade graflow, or name another store")
    elif version < 1:
        raise failed("open", path, f"its version {version} never existed: it is damaged", "restore it from a copy")
    elif version < VERSION:
        _add(connection, version)


def _add(connection: sqlite3.Connection, version: int) -> None:
    """Make the tables that a store of this version lacks; 0 has none."""
    tables = "".join(_ADDED[version:])
    connection.executescript(
        f"BEGIN IMMEDIATE; {tables} PRAGMA application_id={APPLICATION}; PRAGMA user_version={VERSION}; COMMIT;"
    )
