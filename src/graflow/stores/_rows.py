"""Rows on their way into and out of SQLite: many to a statement, and sealed against damage."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import chain
from typing import Any, Final
from zlib import crc32

from graflow.stores._trouble import DamagedError
from graflow.stores.store import AttemptRow

MOST_ROWS: Final = 512
"""Rows in one statement: each statement gives up the interpreter's lock, and may wait long to have it back."""

_STEM: Final = ("run", "task", "attempt", "state", "started", "seconds", "worker", "result")
_FULL: Final = (*_STEM, "note", "error", "error_text", "file")
_LOGS: Final = ("run", "task", "attempt", "at", "level", "logger", "text")


def seal(data: bytes | None, owner: str = "") -> bytes | None:
    """The bytes to store, with a checksum in front; None stays None.

    Args:
        data: what to store.
        owner: whose they are; nobody else can unseal them.
    """
    return None if data is None else crc32(data, crc32(owner.encode())).to_bytes(4, "big") + data


def unseal(sealed: Any, what: str, owner: str = "") -> bytes:
    """The bytes that were sealed.

    Raises:
        DamagedError: they are not what they were, or somebody else's; names ``what``.
    """
    if isinstance(sealed, bytes) and len(sealed) >= 4:
        checksum, data = int.from_bytes(sealed[:4], "big"), sealed[4:]
        if crc32(data, crc32(owner.encode())) == checksum:
            return data
    raise DamagedError(f"{what} is damaged")


def insert_attempts(
    connection: sqlite3.Connection, run: int, rows: Iterable[AttemptRow], files: Mapping[tuple[int, int], str]
) -> None:
    """Write rows of a run, each in place of the earlier one of its task and attempt.

    Args:
        connection: in a transaction.
        run: the number of the run.
        rows: what to write.
        files: task and attempt → the name of the file that its result has.
    """
    short: list[tuple[Any, ...]] = []
    full: dict[tuple[int, int], tuple[Any, ...]] = {}
    # A value that is NULL costs as much as any other, so most rows go short. Of two rows the later has to count, so
    # the short ones go first, and a full one that came before its short one does not go at all.
    for task, attempt, state, started, seconds, worker, result, note, error, text in rows:
        file = files.get((task, attempt)) if files else None
        sealed = None if result is None or file is not None else crc32(result).to_bytes(4, "big") + result
        row = (run, task, attempt, state, started, seconds, worker, sealed)
        if note is None and error is None and text is None and file is None:
            short.append(row)
            if full:
                full.pop((task, attempt), None)
        else:
            full[task, attempt] = (*row, note, seal(error), text, file)
    _insert(connection, "attempts", _STEM, short)
    _insert(connection, "attempts", _FULL, list(full.values()))


def insert_logs(connection: sqlite3.Connection, run: int, rows: Iterable[tuple[Any, ...]]) -> None:
    """Add lines to the log of a run."""
    _insert(connection, "logs", _LOGS, [(run, *row) for row in rows])


def _insert(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    # Powers of two: any number of rows takes few statements, and of these there are ten, which SQLite compiles once.
    size = min(MOST_ROWS, connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // len(columns))
    size = 1 << (size.bit_length() - 1)
    start = 0
    while start < len(rows):
        while size > len(rows) - start:
            size >>= 1
        values = list(chain.from_iterable(rows[start : start + size]))
        statement = _statement(table, columns, size)
        try:
            connection.execute(statement, values)
        except UnicodeEncodeError:  # half a character, as in a file name that is not UTF-8: SQLite cannot hold it
            connection.execute(statement, [_whole(value) for value in values])
        start += size


def _whole(value: Any) -> Any:
    return whole(value) if isinstance(value, str) else value


def whole(text: str) -> str:
    """A text with every half of a character spelt out."""
    return text.encode(errors="backslashreplace").decode()


def _statement(table: str, columns: Sequence[str], rows: int) -> str:
    one = f"({','.join('?' * len(columns))})"
    return f"INSERT OR REPLACE INTO {table} ({','.join(columns)}) VALUES {','.join([one] * rows)}"


def texts(body: bytes) -> tuple[str, ...]:
    """The texts that `bytes_of` wrote down."""
    return tuple(json.loads(body))


def bytes_of(items: Sequence[str]) -> bytes:
    """Texts, written down."""
    return json.dumps(items, separators=(",", ":")).encode()


def put_blob(connection: sqlite3.Connection, body: bytes) -> int:
    """Store bytes, once however often they come, and return their number."""
    digest = sha256(body).hexdigest()
    found = connection.execute("SELECT blob FROM blobs WHERE digest = ?", (digest,)).fetchone()
    if found is not None:
        return int(found[0])
    number = connection.execute("INSERT INTO blobs (digest, body) VALUES (?, ?)", (digest, body)).lastrowid
    assert number is not None
    return number


def get_blob(connection: sqlite3.Connection, number: int, what: str) -> bytes:
    """Read what `put_blob` stored.

    Raises:
        DamagedError: it is gone, or not what it was.
    """
    found = connection.execute("SELECT digest, body FROM blobs WHERE blob = ?", (number,)).fetchone()
    if found is None or not isinstance(found[1], bytes) or sha256(found[1]).hexdigest() != found[0]:
        raise DamagedError(f"{what} damaged")
    return found[1]


def checked(row: Sequence[Any], kinds: Sequence[Any], what: str) -> None:
    """Make sure that a row has the types it was written with: damage may change those too.

    Raises:
        DamagedError: it has not.
    """
    if not all(map(isinstance, row, kinds)):
        raise DamagedError(f"{what} is damaged")
