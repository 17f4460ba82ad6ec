"""What is written of the attempts of a run in an SQLite store, those in batches included."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from graflow.stores import _batches
from graflow.stores._common import Tally
from graflow.stores._rows import checked, unseal
from graflow.stores._trouble import DamagedError
from graflow.stores.store import ITEMS, AttemptRow

_COLUMNS: Final = "task, attempt, state, started, seconds, worker, NULL, note, error, error_text"
_MAYBE_TEXT: Final = (str, type(None))
_MAYBE_FLOAT: Final = (float, type(None))
_KINDS: Final = (
    int, int, str, _MAYBE_FLOAT, _MAYBE_FLOAT, _MAYBE_TEXT, object, _MAYBE_TEXT, object, _MAYBE_TEXT
)  # fmt: skip


def tally(sql: sqlite3.Connection, run: int) -> Tally:
    """The tally of a run that has no batches.

    Raises:
        DamagedError: what is written does not fit the run.
    """
    (tasks,) = sql.execute("SELECT tasks FROM runs WHERE run = ?", (run,)).fetchone()
    # A map may have a hundred thousand items, and of these no tally wants to know but the ends without an attempt.
    which = "run = ? AND (task < ? OR attempt = 0)"
    query = f"SELECT task, attempt, state FROM attempts WHERE {which} ORDER BY attempt = 0, attempt"
    try:
        return Tally(tasks).after(sql.execute(query, (run, ITEMS)))[0]
    except (IndexError, TypeError):
        raise DamagedError("what is written of a task is damaged") from None


def read(sql: sqlite3.Connection, run: int) -> list[AttemptRow]:
    """All of them, by task and number, without results.

    Raises:
        DamagedError: one of them is damaged.
    """
    rows = sql.execute(f"SELECT {_COLUMNS} FROM attempts WHERE run = ? ORDER BY task, attempt", (run,)).fetchall()
    for row in rows:
        checked(row, _KINDS, "what is written of a task")
    found = {row[:2]: AttemptRow._make(row) if row[8] is None else _with_error(row) for row in rows}
    settled = len(found)
    for _, row in _batches.read(sql, run):
        found.pop((row.task, 0), None)
        found[row.task, row.attempt] = row._replace(result=None)
    return list(found.values()) if len(found) == settled else [found[key] for key in sorted(found)]


def _with_error(row: tuple[Any, ...]) -> AttemptRow:
    return AttemptRow._make(row)._replace(error=unseal(row[8], f"an error of task {row[0]}"))
