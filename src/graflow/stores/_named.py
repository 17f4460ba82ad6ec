"""What goes by a name in a run, in an SQLite store: signals by the id of their task, values of channels by theirs."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Literal

from graflow.stores._rows import checked, seal, unseal


def put_signal(sql: sqlite3.Connection, run: int, task: str, payload: bytes, at: float) -> bool:
    """See `Store.put_signal`."""
    statement = "INSERT INTO signals (run, name, body, at) VALUES (?, ?, ?, ?) ON CONFLICT (run, name) DO NOTHING"
    return sql.execute(statement, (run, task, seal(payload, _owner(run, task)), at)).rowcount == 1


def put_channels(sql: sqlite3.Connection, run: int, values: Mapping[str, bytes]) -> None:
    """See `Store.put_channels`."""
    rows = [(run, name, seal(value, _owner(run, name))) for name, value in values.items()]
    sql.executemany("INSERT OR REPLACE INTO channels (run, name, body) VALUES (?, ?, ?)", rows)


def read(sql: sqlite3.Connection, table: Literal["signals", "channels"], run_id: str) -> dict[str, bytes] | None:
    """Name → what was put there, by name; None if there is no such run.

    Raises:
        DamagedError: some of it is not what was put there.
    """
    # One statement, so one state of the database: somebody may ask twice a second, and it locks nobody out.
    query = f"SELECT run, name, body FROM runs LEFT JOIN {table} USING (run) WHERE id = ? ORDER BY name"
    found = sql.execute(query, (run_id,)).fetchall()
    values: dict[str, bytes] = {}
    for run, name, body in found:
        if (name, body) != (None, None):  # what the join gives of a run that has none
            checked((name,), (str,), f"a name in the {table} of run {run_id!r}")
            values[name] = unseal(body, f"{name!r} in the {table} of run {run_id!r}", _owner(run, name))
    return values if found else None


def _owner(run: int, name: str) -> str:
    """Whose some bytes are: damage to a name must not hand one task the signal of another."""
    return f"{run} {name}"
