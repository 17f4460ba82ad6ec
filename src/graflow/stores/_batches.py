"""Many attempts in one row: what a run of short tasks writes.

A row of its own for each of ten thousand attempts costs more than the attempts. So those that succeeded, and of which
nothing else is to be told, are packed column by column: one insert for all that came in together. Once a run is
claimed again its batches are unpacked into the table of attempts, so at any time a batch is newer than the table.
"""

from __future__ import annotations

import json
import sqlite3
import struct
import sys
from array import array
from collections.abc import Iterator
from typing import Any, Final
from zlib import crc32

from graflow.stores._rows import insert_attempts
from graflow.stores._trouble import DamagedError
from graflow.stores.store import ITEMS, AttemptRow, Successes

_HEAD: Final = struct.Struct("<III")  # a checksum of all that follows, how many attempts, how long the names are
_COLUMNS: Final = ("I", "I", "d", "d", "I", "I")  # task, attempt, started, seconds, number of worker, size of result
_WITH_ITEMS: Final = ("Q", *_COLUMNS[1:])
_WIDE: Final = 1 << 31
"""Set in the length of the names of a batch that has items: their numbers take eight bytes, others four."""


def pack(batch: Successes) -> bytes:
    """A batch as bytes."""
    names = list(dict.fromkeys(batch.workers))
    number = {name: k for k, name in enumerate(names)}
    workers, sizes = map(number.__getitem__, batch.workers), map(len, batch.results)
    columns = (batch.tasks, batch.attempts, batch.started, batch.seconds, workers, sizes)
    told = json.dumps(names).encode()
    wide = max(batch.tasks, default=0) >= ITEMS
    kinds = _WITH_ITEMS if wide else _COLUMNS
    arrays = [_turned(array(kind, column)).tobytes() for kind, column in zip(kinds, columns, strict=True)]
    body = b"".join((told, *arrays, *batch.results))
    head = _HEAD.pack(0, len(batch.tasks), len(told) | wide * _WIDE)[4:]
    return crc32(body, crc32(head)).to_bytes(4, "little") + head + body


def unpack(packed: Any, what: str) -> Iterator[AttemptRow]:
    """The rows that `pack` packed.

    Raises:
        DamagedError: they are not what they were; names ``what``.
    """
    if not isinstance(packed, bytes) or len(packed) < _HEAD.size:
        raise DamagedError(f"{what} is damaged")
    checksum, count, told = _HEAD.unpack_from(packed)
    if crc32(memoryview(packed)[4:]) != checksum:
        raise DamagedError(f"{what} is damaged")
    kinds = _WITH_ITEMS if told & _WIDE else _COLUMNS
    at = _HEAD.size + (told & ~_WIDE)
    names = json.loads(packed[_HEAD.size : at])
    columns: list[array[Any]] = []
    for kind in kinds:
        column = array(kind)
        end = at + count * column.itemsize
        column.frombytes(packed[at:end])
        columns.append(_turned(column))
        at = end
    for task, attempt, started, seconds, worker, size in zip(*columns, strict=True):
        result, at = packed[at : at + size], at + size
        yield AttemptRow(task, attempt, "succeeded", started, seconds, names[worker], result, None, None, None)


def _turned(column: array[Any]) -> array[Any]:
    """From this machine's order of bytes to the file's, or back."""
    if sys.byteorder == "big":
        column.byteswap()
    return column


def insert(sql: sqlite3.Connection, run: int, batch: Successes) -> None:
    """Write a batch."""
    sql.execute("INSERT INTO batches (run, body) VALUES (?, ?)", (run, pack(batch)))


def read(sql: sqlite3.Connection, run: int, after: int = 0) -> Iterator[tuple[int, AttemptRow]]:
    """The rows of the batches of a run, in the order in which they were written, each with its batch's number.

    Raises:
        DamagedError: one of them is damaged.
    """
    found = sql.execute("SELECT batch, body FROM batches WHERE run = ? AND batch > ? ORDER BY batch", (run, after))
    for batch, body in found.fetchall():
        for row in unpack(body, "what is written of some tasks"):
            yield batch, row


def settle(sql: sqlite3.Connection, run: int) -> None:
    """Unpack the batches of a run into the table, where later rows can replace theirs."""
    rows = [row for _, row in read(sql, run)]
    if rows:
        insert_attempts(sql, run, rows, {})
        sql.execute("DELETE FROM batches WHERE run = ?", (run,))


class Packed:
    """The batches of the run that was read last, unpacked: its results are asked for one by one."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._last = 0
        self._rows: dict[int, AttemptRow] = {}

    def get(self, sql: sqlite3.Connection, run: int) -> dict[int, AttemptRow]:
        """Task → its attempt that succeeded, of those that lie in batches."""
        (first,) = sql.execute("SELECT min(batch) FROM batches WHERE run = ?", (run,)).fetchone()
        if first != self._first:  # another run, or this one was claimed anew: its batches went into the table
            self._first, self._last, self._rows = first, 0, {}
        if first is not None:
            for batch, row in read(sql, run, self._last):
                self._last = batch
                self._rows[row.task] = row
        return self._rows
