"""Making room in an SQLite store."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from graflow.stores import _cache
from graflow.stores._database import transaction
from graflow.stores._files import ResultFiles

_SLICE: Final = 50
_UNUSED: Final = " AND ".join(
    f"blob NOT IN (SELECT {column} FROM runs)" for column in ("inputs", "code", "ids", "fingerprints")
)


def candidates(sql: sqlite3.Connection, before: float, last: int) -> list[tuple[float, int, str]]:
    """When created, number and id of runs after that number that nobody has written since that time: a slice."""
    query = "SELECT created, run, id FROM runs WHERE touched < ? AND run > ? ORDER BY run LIMIT ?"
    return sql.execute(query, (before, last, _SLICE)).fetchall()


def delete_runs(sql: sqlite3.Connection, runs: Sequence[int]) -> list[str]:
    """Delete all that is written of runs; returns the files that nobody refers to any more."""
    files: dict[str, None] = {}
    for run in runs:
        found = sql.execute("SELECT DISTINCT file FROM attempts WHERE run = ? AND file IS NOT NULL", (run,))
        files.update((file, None) for (file,) in found)
        for table in ("attempts", "batches", "logs", "signals", "channels", "runs"):
            sql.execute(f"DELETE FROM {table} WHERE run = ?", (run,))
    return [file for file in files if not _in_use(sql, file)]


def delete_unused_blobs(sql: sqlite3.Connection) -> None:
    """Delete the code, ids, fingerprints and inputs that no run has."""
    sql.execute(f"DELETE FROM blobs WHERE {_UNUSED}")


def give_back_space(sql: sqlite3.Connection, files: ResultFiles, now: float) -> None:
    """Drop whatever nobody refers to, and shrink the database. Nobody else may write meanwhile."""
    with transaction(sql):
        _cache.drop_expired(sql, now)
        delete_unused_blobs(sql)
    sql.executescript("PRAGMA incremental_vacuum")  # a page at each step, and execute() makes only one
    sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    files.sweep(lambda: _files_in_use(sql))


def _in_use(sql: sqlite3.Connection, file: str) -> bool:
    query = "SELECT 1 FROM attempts WHERE file = ? UNION ALL SELECT 1 FROM cache WHERE file = ? LIMIT 1"
    return sql.execute(query, (file, file)).fetchone() is not None


def _files_in_use(sql: sqlite3.Connection) -> frozenset[str]:
    query = "SELECT file FROM attempts WHERE file IS NOT NULL UNION SELECT file FROM cache WHERE file IS NOT NULL"
    return frozenset(file for (file,) in sql.execute(query))
