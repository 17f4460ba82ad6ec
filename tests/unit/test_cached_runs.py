"""The cache as runs use it: what runs again after an edit, and what does not."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graflow import Cache, CacheKeyError, LocalRunner, RunFailedError, Task, Workflow
from graflow.stores import MemoryStore, SQLiteStore, Store
from graflow.testing import FakeClock

PROJECT = {
    "pipeline.py": """
        from graflow import LocalRunner, Workflow, task
        from clean import strip
        from prices import total

        @task(cache=True)
        def load() -> list[str]:
            return [" 1 ", "2 "]

        @task(cache=True)
        def stripped(rows: list[str]) -> list[str]:
            return [strip(row) for row in rows]

        @task(cache=True)
        def summed(rows: list[str]) -> float:
            return total(rows)

        @task(cache=True)
        def shown(total: float) -> str:
            return f"{total:.2f}"

        @task(cache=True)
        def counted(rows: list[str]) -> int:
            return len(rows)

        flow = (
            Workflow.builder("prices").add(load).add(stripped, load.out).add(summed, stripped.out)
            .add(shown, summed.out).add(counted, stripped.out).build(returns=shown)
        )

        if __name__ == "__main__":
            import json, sys
            run = LocalRunner(sys.argv[2], max_workers=2, store=sys.argv[1]).run(flow)
            print(json.dumps({"value": run.value, "tasks": {t.id: [t.source, t.reason] for t in run.tasks.values()}}))
    """,
    "clean.py": '''
        def strip(text):
            """Without spaces."""
            return text.strip()  # at both ends
    ''',
    "prices.py": """
        from rates import rate

        def total(rows):
            return sum(float(row) for row in rows) * rate()
    """,
    "rates.py": """
        RATE = 1.5

        def rate():
            return RATE
    """,
}


class Project:
    """A pipeline on disk, to be edited and run by programs of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in PROJECT.items():
            (folder / name).write_text(textwrap.dedent(text))

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert text.count(old) == 1
        (self.folder / name).write_text(text.replace(old, new))

    def run(self, executor: str = "threads") -> tuple[Any, dict[str, str], dict[str, str]]:
        """The value; what ran, with the reason; what came from the cache."""
        command = [sys.executable, "pipeline.py", "runs.db", executor]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        ran = {id: reason for id, (source, reason) in told["tasks"].items() if source == "run"}
        cached = {id: reason for id, (source, reason) in told["tasks"].items() if source == "cache"}
        return told["value"], ran, cached


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


ALL = {"load", "stripped", "summed", "shown", "counted"}


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_what_an_edit_runs_again(project: Project, executor: str) -> None:
    value, ran, cached = project.run(executor)
    assert (value, set(ran), cached) == ("4.50", ALL, {})
    assert set(ran.values()) == {"never cached before"}

    _, ran, cached = project.run(executor)
    assert (ran, set(cached)) == ({}, ALL)
    assert all(reason.startswith("cached ") for reason in cached.values())

    # A comment, a docstring, an empty line: nothing.
    project.edit("clean.py", "# at both ends", "# on the left and on the right\n")
    project.edit("clean.py", '"""Without spaces."""', '"""Spaces at both ends are gone."""')
    project.edit("rates.py", "RATE = 1.5", "\n# per hour\nRATE = 1.5")
    _, ran, cached = project.run(executor)
    assert (ran, set(cached)) == ({}, ALL)

    # A constant two calls away from `summed`: that, and what depends on its result.
    project.edit("rates.py", "RATE = 1.5", "RATE = 2.0")
    value, ran, cached = project.run(executor)
    assert value == "6.00"
    assert ran == {"summed": "constant 'rates.RATE' changed", "shown": "input 'total' changed"}
    assert set(cached) == {"load", "stripped", "counted"}

    # A helper that does the same by other means: its task runs again, and what follows finds the inputs it knows.
    project.edit("clean.py", "text.strip()", 'text.strip(" ")')
    value, ran, cached = project.run(executor)
    assert ran == {"stripped": "helper 'clean.strip' changed"}
    assert set(cached) == ALL - {"stripped"}

    # Back to what was: still known.
    project.edit("rates.py", "RATE = 2.0", "RATE = 1.5")
    value, ran, cached = project.run(executor)
    assert (value, ran) == ("4.50", {})


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "runs.db")
    yield made
    made.close()


class Counted:
    """A body that counts its calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __call__(self, n: int) -> int:
        self.calls.append(n)
        return n * n

    def __graflow_digest__(self) -> str:
        return "squares"


def cached_run(runner: LocalRunner, body: Any, n: Any, policy: Any = True) -> tuple[str, str | None]:
    workflow = Workflow.builder("w").add(Task("t", body, cache=policy), n).build()
    record = runner.run(workflow).tasks["t"]
    return record.source, record.reason


def test_a_result_expires(store: Store) -> None:
    clock = FakeClock()
    runner, body, policy = LocalRunner("inline", store=store, clock=clock), Counted(), Cache(ttl=60)
    assert cached_run(runner, body, 2, policy)[0] == "run"
    clock.advance(59)
    assert cached_run(runner, body, 2, policy) == ("cache", "cached 59 s ago")
    clock.advance(2)
    assert cached_run(runner, body, 2, policy) == ("run", "cached 1 min ago, expired 1 s ago")
    assert body.calls == [2, 2]


def test_a_result_of_the_future_is_not_served(store: Store) -> None:
    body = Counted()
    late, early = FakeClock(start=2_000_000_000), FakeClock(start=1_000_000_000)
    assert cached_run(LocalRunner("inline", store=store, clock=late), body, 2)[0] == "run"
    assert cached_run(LocalRunner("inline", store=store, clock=early), body, 2)[0] == "run"
    assert body.calls == [2, 2]


def test_another_version_is_another_result(store: Store) -> None:
    runner, body = LocalRunner(store=store), Counted()
    assert cached_run(runner, body, 2, Cache(version=1))[0] == "run"
    assert cached_run(runner, body, 2, Cache(version=2)) == ("run", "version changed from 1 to 2")
    assert cached_run(runner, body, 2, Cache(version=1))[0] == "cache"


def test_an_input_without_content_is_an_error_that_names_it(store: Store) -> None:
    import socket

    body = Counted()
    with socket.socket() as open_socket, pytest.raises(RunFailedError) as raised:
        cached_run(LocalRunner(store=store), body, open_socket)
    error = raised.value.failures["t"]
    assert isinstance(error, CacheKeyError)
    assert "task 't' cannot be cached: its input 'n' holds a socket.socket" in str(error)
    assert body.calls == []


def test_a_failure_is_not_cached(store: Store) -> None:
    calls: list[int] = []

    def fails(n: int) -> int:
        calls.append(n)
        raise ValueError(n)

    for _ in range(2):
        with pytest.raises(RunFailedError):
            cached_run(LocalRunner(store=store), fails, 1)
    assert calls == [1, 1]


def test_a_result_that_cannot_be_stored_runs_each_time_and_says_so(store: Store) -> None:
    def lock() -> Any:
        import threading

        return threading.Lock()

    workflow = Workflow.builder("w").add(Task("lock", lock, cache=True)).build()
    for _ in range(2):
        record = LocalRunner(store=store).run(workflow).tasks["lock"]
        assert record.source == "run"
        assert record.reason is not None
        assert "its result could not be cached: " in record.reason


def test_a_damaged_entry_is_worked_out_again(tmp_path: Path) -> None:
    import sqlite3

    path, body = tmp_path / "runs.db", Counted()
    first = SQLiteStore(path)
    assert cached_run(LocalRunner(store=first), body, 3)[0] == "run"
    first.close()
    with sqlite3.connect(path) as connection:
        ((key, result),) = connection.execute("SELECT key, result FROM cache").fetchall()
        damaged = bytes([*result[:-3], result[-3] ^ 1, *result[-2:]])
        connection.execute("UPDATE cache SET result = ? WHERE key = ?", (damaged, key))
    connection.close()
    again = SQLiteStore(path)
    assert cached_run(LocalRunner(store=again), body, 3)[0] == "run"
    assert cached_run(LocalRunner(store=again), body, 3)[0] == "cache"
    assert body.calls == [3, 3]
    again.close()


def test_async_tasks_are_cached_too(store: Store) -> None:
    AWAITED.clear()
    assert cached_run(LocalRunner(store=store), double, 4)[0] == "run"
    assert cached_run(LocalRunner(store=store), double, 4)[0] == "cache"
    assert AWAITED == [4]


AWAITED: list[int] = []


async def double(n: int) -> int:
    AWAITED.append(n)
    return 2 * n
