"""The cache in an SQLite store."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from graflow.stores import _rows
from graflow.stores._common import holds
from graflow.stores._database import Database
from graflow.stores._files import LARGE, ResultFiles
from graflow.stores._trouble import DamagedError, told
from graflow.stores.store import CacheRow

_COLUMNS: Final = "key, workflow, task, created, expires, parts"
_KINDS: Final = (str, str, str, float, (float, type(None)), str)


class Cache:
    """Results that other runs may use, by key.

    Args:
        database: that has the table.
        files: for large results.
    """

    def __init__(self, database: Database, files: ResultFiles) -> None:
        self._db = database
        self._files = files

    def get(self, key: str, now: float) -> CacheRow | None:
        """See `Store.cached`."""
        with self._db.reading() as sql:
            found = sql.execute(f"SELECT {_COLUMNS}, result, file FROM cache WHERE key = ?", (key,)).fetchone()
        if found is None:
            return None
        with told("read", self._db.path):
            try:
                row = _row(found[:-2])
                return row._replace(result=self._result(*found[-2:])) if holds(row, now) else None
            except DamagedError:
                pass
        self._drop(key)
        return None

    def put(self, row: CacheRow) -> None:
        """See `Store.keep`."""
        file, sealed = None, _rows.seal(row.result)
        if len(row.result) > LARGE:
            with told("write to", self._db.path):
                file, sealed = self._files.put(row.result), None
        with self._db.writing() as sql:
            if file is not None:
                self._files.ensure(file, row.result)
            sql.execute(
                f"INSERT OR REPLACE INTO cache ({_COLUMNS}, result, file) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*row[:-1], sealed, file),
            )

    def last(self, workflow: str, task: str) -> CacheRow | None:
        """See `Store.last_cached`."""
        with self._db.reading() as sql:
            found = sql.execute(
                f"SELECT {_COLUMNS} FROM cache WHERE workflow = ? AND task = ? "
                "ORDER BY created DESC, rowid DESC LIMIT 1",
                (workflow, task),
            ).fetchone()
            return None if found is None else _row(found)

    def _result(self, sealed: Any, file: Any) -> bytes:
        return _rows.unseal(sealed, "a cached result") if file is None else self._files.get(str(file))

    def _drop(self, key: str) -> None:
        with self._db.writing() as sql:
            sql.execute("DELETE FROM cache WHERE key = ?", (key,))


def drop_expired(connection: sqlite3.Connection, now: float) -> None:
    """Remove the entries that nobody may use any more."""
    connection.execute("DELETE FROM cache WHERE expires <= ?", (now,))


def _row(found: tuple[Any, ...]) -> CacheRow:
    _rows.checked(found, _KINDS, "a cache entry")
    return CacheRow._make((*found, b""))
