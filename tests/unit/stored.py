"""Rows for tests of stores, with nothing to say but what a test is about."""

from __future__ import annotations

from typing import Any

from graflow.stores import ITEMS, AttemptRow, CacheRow, LogRow, NewRun, Store, Successes

TASKS = ("extract", "clean", "load")


def new_run(id: str = "run-1", **changes: Any) -> NewRun:
    run = NewRun(
        id=id,
        workflow="nightly",
        created=1000.0,
        fingerprint="f-1",
        inputs_digest="i-1",
        inputs=b"inputs",
        code=b"code",
        ids=TASKS,
        fingerprints=("x", "y", "z"),
        options='{"timeout": null}',
        target=None,
    )
    return run._replace(**changes)


def row(task: int, attempt: int = 1, state: str = "succeeded", **changes: Any) -> AttemptRow:
    return AttemptRow(task, attempt, state, 1001.0, 0.5, "thread-1", None, None, None, None)._replace(**changes)


def successes(*of: tuple[int, int, bytes]) -> Successes:
    """Task, attempt and result of each."""
    tasks, attempts, results = (list(column) for column in zip(*of, strict=True))
    many = len(of)
    return Successes(tasks, attempts, [1001.0] * many, [0.5] * many, ["thread-1"] * many, results)


def item(map: int, k: int) -> int:
    """The number of an item."""
    return map + (k + 1) * ITEMS


def line(task: int, at: float, text: str, attempt: int = 1) -> LogRow:
    return LogRow(task, attempt, at, "INFO", "graflow", text)


def entry(key: str = "k", **changes: Any) -> CacheRow:
    return CacheRow(key, "nightly", "clean", 1000.0, None, '{"code": "c"}', b"cached")._replace(**changes)


def put(store: Store, id: str = "run-1", state: str | None = "succeeded", at: float = 1010.0, **changes: Any) -> None:
    """A run that has ended, or with state None one that was left."""
    claim = store.create(new_run(id, **changes))
    if state is None:
        store.release(claim)
    else:
        store.finish(claim, state, at, None)
