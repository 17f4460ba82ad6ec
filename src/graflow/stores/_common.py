"""What all stores have in common: how tasks are counted, what the errors say."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, Final

from graflow.errors import RunConflictError, StoreError
from graflow.stores.store import ITEMS, CacheRow, Successes

SHORTEST_PREFIX: Final = 4
"""Fewer characters of an id find nothing: they are more likely a slip than a choice."""
NEWEST: Final = 1000
"""Among so many runs an id that was misspelt is looked for."""

_OTHER, _SUCCEEDED, _FAILED, _NONE = range(4)
_KINDS: Final = {"succeeded": _SUCCEEDED, "failed": _FAILED}
_AT_ONCE: Final = 1 << 4 | 0b1100 | _SUCCEEDED
"""The mark of a task that succeeded with its first attempt; see `Tally`."""
_HEAD: Final = itemgetter(0, 1, 2)


class Tally:
    """How many tasks of a run succeeded and failed, kept up to date row by row; the items of maps do not count."""

    __slots__ = ("_counts", "_ended", "_marks")

    def __init__(self, tasks: int) -> None:
        # Per task: its highest attempt, two bits for the kind of its row of number 0, two for the kind of that attempt.
        # Of -1 the attempt is -1 and both kinds are _NONE.
        self._marks = array("q", [-1]) * tasks
        self._counts = [0, 0, 0, tasks]
        self._ended: set[int] = set()
        """The items whose row of number 0 counts: all that is to be known of items."""

    @property
    def succeeded(self) -> int:
        """Tasks whose last word is that they succeeded."""
        return self._counts[_SUCCEEDED]

    @property
    def failed(self) -> int:
        """Tasks whose last word is that they failed."""
        return self._counts[_FAILED]

    def grown(self, tasks: int) -> Tally:
        """A new tally with so many tasks."""
        new, more = Tally(0), tasks - len(self._marks)
        new._marks = self._marks + array("q", [-1]) * more
        new._counts = [*self._counts[:_NONE], self._counts[_NONE] + more]
        new._ended = self._ended.copy()
        return new

    def after(self, rows: Iterable[tuple[Any, ...]], many: Successes | None = None) -> tuple[Tally, list[int]]:
        """A new tally that counts these rows too, and the tasks and items whose row of number 0 counts no more.

        Args:
            rows: each begins with a task, an attempt and a state; in the order in which they were written.
            many: attempts written after them.
        """
        new = Tally(0)
        new._marks, new._counts, new._ended = self._marks[:], self._counts[:], self._ended.copy()
        marks, counts, ended = new._marks, new._counts, new._ended
        begun = new._count(rows)
        if many is not None:
            rest: list[tuple[int, int, str]] = []
            # Most are the first word of their task, and a run of ten thousand short tasks is ten thousand of these.
            for task, attempt in zip(many.tasks, many.attempts, strict=True):
                if attempt == 1 and task < ITEMS and marks[task] == -1:
                    marks[task] = _AT_ONCE
                else:
                    rest.append((task, attempt, "succeeded"))
            fresh = len(many.tasks) - len(rest)
            counts[_NONE] -= fresh
            counts[_SUCCEEDED] += fresh
            begun += new._count(rest)
        return new, [task for task in begun if (task not in ended if task >= ITEMS else marks[task] >> 2 & 3 == _NONE)]

    def _count(self, rows: Iterable[tuple[Any, ...]]) -> list[int]:
        """Count rows one by one; gives whatever got an attempt although its row of number 0 counted."""
        marks, counts, ended_items = self._marks, self._counts, self._ended
        begun: list[int] = []
        for task, attempt, state in map(_HEAD, rows):
            if task >= ITEMS:
                if not attempt:
                    ended_items.add(task)
                elif task in ended_items:
                    ended_items.remove(task)
                    begun.append(task)
                continue
            mark, kind = marks[task], _KINDS.get(state, _OTHER)
            ended = mark >> 2 & 3
            counts[mark & 3 if ended == _NONE else ended] -= 1
            if not attempt:
                mark = mark & ~0b1100 | kind << 2
            else:
                if ended != _NONE:
                    begun.append(task)
                mark = attempt << 4 | 0b1100 | kind if attempt >= mark >> 4 else mark | 0b1100
                kind = mark & 3
            marks[task] = mark
            counts[kind] += 1
        return begun


def this_process() -> str:
    """Who claims a run: ``host:pid``."""
    return f"{os.uname().nodename}:{os.getpid()}"


def rank(attempt: int) -> int:
    """What orders the rows of a task: that without an attempt is the last."""
    return attempt or 1 << 62


def holds(row: CacheRow, now: float) -> bool:
    """Whether a cache entry may be used at a time; see `Store.cached`."""
    return row.created <= now and (row.expires is None or now < row.expires)


def taken(run_id: str) -> RunConflictError:
    """The id of a new run exists."""
    return RunConflictError(f"there is a run {run_id!r} already: resume it, or choose another id")


def alive(run_id: str, owner: str) -> RunConflictError:
    """A living process holds the run."""
    return RunConflictError(f"process {owner} runs {run_id!r} now: wait until it has ended, or end it there")


def given_back(run_id: str) -> StoreError:
    """Somebody writes with a claim that is none any more."""
    return StoreError(f"run {run_id!r} is not claimed any more: claim it again before you write")


def unknown(where: str, run_id: str, newest: Sequence[str]) -> StoreError:
    """There is no such run; names what was meant, as far as the newest ids tell."""
    from difflib import get_close_matches

    longer = [id for id in newest if run_id and id.startswith(run_id)]
    close = longer[:3] or get_close_matches(run_id, newest, n=3)
    if close:
        hint = f"did you mean {' or '.join(map(repr, close))}?"
    elif newest:
        hint = f"the newest is {newest[0]!r}"
    else:
        hint = "it has no runs"
    return StoreError(f"there is no run {run_id!r} in {where}; {hint}")


def ambiguous(where: str, prefix: str, ids: Sequence[str]) -> StoreError:
    """Several ids begin with the characters given."""
    shown = ", ".join(map(repr, ids[:5])) + (", …" if len(ids) > 5 else "")
    return StoreError(f"{len(ids)} runs in {where} begin with {prefix!r}: {shown}; give more characters of the id")
