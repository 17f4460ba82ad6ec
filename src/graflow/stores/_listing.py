"""Lists of runs in an SQLite store, and which of them are alive."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Final

from graflow.stores._rows import checked
from graflow.stores.store import RunRow

_COLUMNS: Final = (
    "run, id, workflow, state, created, ended, fingerprint, inputs_digest, tasks, succeeded, failed, reason, target, "
    "owner"
)
_MAYBE_TEXT: Final = (str, type(None))
_KINDS: Final = (
    int, str, str, str, float, (float, type(None)), str, str, int, int, int, _MAYBE_TEXT, _MAYBE_TEXT, str
)  # fmt: skip


class Listing:
    """Reads rows of the table of runs.

    Args:
        is_alive: says whether a living process has claimed the run of a number.
    """

    def __init__(self, is_alive: Callable[[int], bool]) -> None:
        self._is_alive = is_alive

    def newest(
        self,
        sql: sqlite3.Connection,
        workflow: str | None,
        state: str | None,
        since: float | None,
        limit: int | None,
    ) -> list[RunRow]:
        """See `Store.runs`."""
        unsure = state in ("running", "interrupted")  # both are written as running; who is alive comes later
        wanted = {"workflow = ?": workflow, "state = ?": "running" if unsure else state, "created >= ?": since}
        given = {test: value for test, value in wanted.items() if value is not None}
        where = f"WHERE {' AND '.join(given)}" if given else ""
        most = -1 if limit is None or unsure else max(limit, 0)
        order = "ORDER BY created DESC, run DESC LIMIT ?"
        rows = self.rows(sql, f"{where} {order}", (*given.values(), most))
        if unsure:
            rows = [row for row in rows if row.state == state]
        return rows if limit is None else rows[: max(limit, 0)]

    def rows(self, sql: sqlite3.Connection, clause: str, values: Sequence[Any]) -> list[RunRow]:
        """The runs of a clause. The connection must not be in a transaction, for a run may end meanwhile."""
        found = sql.execute(f"SELECT {_COLUMNS} FROM runs {clause}", values).fetchall()
        return [row for one in found if (row := self._row(sql, one)) is not None]

    def _row(self, sql: sqlite3.Connection, found: tuple[Any, ...]) -> RunRow | None:
        alive = found[3] == "running" and self._is_alive(found[0])
        if found[3] == "running" and not alive:
            # A run is written as ended before its claim is given back: what it says now is what it ended as.
            found = sql.execute(f"SELECT {_COLUMNS} FROM runs WHERE run = ?", found[:1]).fetchone()
            if found is None:
                return None
        checked(found, _KINDS, "the entry of a run")
        _, id, workflow, state, *rest, owner = found
        state = "interrupted" if state == "running" and not alive else state
        return RunRow._make((id, workflow, state, *rest, alive, owner))
