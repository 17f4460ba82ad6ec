"""Nothing stays behind after a run: no thread, no file descriptor, no process, however the run ended."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from graflow import LocalRunner, RunState, Task, Workflow

pytestmark = pytest.mark.timeout(90)

PATIENCE = 15
SELF = Path("/proc/self")


def descriptors() -> list[str]:
    """What is open; empty where the system does not say."""
    if not (SELF / "fd").exists():
        return []
    found = []
    for link in sorted((SELF / "fd").iterdir()):
        with suppress(FileNotFoundError):  # the one that listed the directory
            found.append(f"{link.name}: {os.readlink(link)}")
    return found


def children() -> list[int]:
    """The processes that this one started and that are still there, zombies too."""
    listing = SELF / "task"
    if not listing.exists():
        return []
    return sorted(int(pid) for thread in listing.iterdir() for pid in read(thread / "children").split())


def read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""


def everything() -> dict[str, Any]:
    return {
        "threads": sorted(one.name for one in threading.enumerate()),
        "descriptors": descriptors(),
        "children": children(),
    }


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    asyncio.run(asyncio.sleep(0))  # so that what asyncio opens once and for all is open already
    gc.collect()
    before = everything()
    yield
    assert everything() == before


def one(*_: Any) -> int:
    return 1


def fail(*_: Any) -> None:
    raise ValueError("no luck")


async def waits(*_: Any) -> int:
    await asyncio.sleep(0)
    return 1


def mixed(*more: Task[..., Any]) -> Workflow[None, Any]:
    """Tasks on every kind of worker, with edges between all kinds, and further tasks."""
    firsts: list[Any] = [
        Task("inline", one, executor="inline"),
        Task("thread", one, executor="threads"),
        Task("process", one, executor="processes"),
        Task("async", waits),
        Task("given", lambda: waits()),
    ]
    seconds = [task.named(f"{task.id}_2").after(*firsts) for task in firsts]
    return Workflow.builder("w").add_all([*firsts, *seconds, *more]).build()


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
@pytest.mark.parametrize("way", ["run", "start", "await"])
def test_after_a_run_that_succeeded(executor: Any, way: str) -> None:
    runner = LocalRunner(executor, 2)
    if way == "run":
        assert mixed().run(runner=runner).state is RunState.SUCCEEDED
    elif way == "start":
        assert runner.start(mixed()).wait(PATIENCE).state is RunState.SUCCEEDED
    else:

        async def main() -> RunState:
            return (await runner.start(mixed())).state

        assert asyncio.run(main()) is RunState.SUCCEEDED


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_after_a_run_that_failed(executor: Any) -> None:
    bad = [Task(f"bad_{kind}", fail, executor=kind) for kind in ("inline", "threads", "processes")]
    died = Task("died", lambda: os._exit(3), executor="processes")
    run = mixed(*bad, died).run(runner=LocalRunner(executor, 2), check=False)
    assert run.state is RunState.FAILED


@pytest.mark.parametrize("executor", ["inline", "threads"])
def test_after_a_run_that_was_cancelled(executor: Any) -> None:
    inside, go = threading.Event(), threading.Event()

    def stay() -> None:
        inside.set()
        assert go.wait(PATIENCE)

    async def stay_async() -> None:
        await asyncio.Event().wait()

    handle = LocalRunner(executor, 2).start(mixed(Task("aaa", stay), Task("stay_async", stay_async)), check=False)
    assert inside.wait(PATIENCE)
    handle.cancel()
    go.set()
    assert handle.wait(PATIENCE).state is RunState.CANCELLED


def test_after_a_run_that_was_cancelled_at_once() -> None:
    """Whatever was being set up at that moment."""
    for _ in range(20):
        handle = LocalRunner("threads", 2).start(
            Workflow.builder("w").add(Task("one", one)).then(Task("waits", waits)).add(Task("given", waits)).build(),
            check=False,
        )
        handle.cancel()
        handle.wait(PATIENCE)


def test_after_a_run_that_was_refused() -> None:
    lock = threading.Lock()
    built = Workflow.builder("w").add(Task("async", waits)).add(Task("bad", lambda: lock, executor="processes")).build()
    with pytest.raises(Exception, match="cannot run in a process"):
        built.run()


def test_after_a_wait_that_was_too_short() -> None:
    inside, go = threading.Event(), threading.Event()

    def stay() -> None:
        inside.set()
        assert go.wait(PATIENCE)

    handle = LocalRunner().start(Workflow.builder("w").add(Task("stay", stay)).build())
    assert inside.wait(PATIENCE)
    with pytest.raises(TimeoutError):
        handle.wait(0.001)
    go.set()
    handle.wait(PATIENCE)


def test_after_somebody_listened_and_somebody_stopped_listening() -> None:
    async def listen(handle: Any) -> int:
        return len([event async for event in handle.events()])

    handle = LocalRunner("threads", 2).start(mixed())
    assert any(True for _ in handle.events())
    assert asyncio.run(listen(handle)) == 22
    assert len(list(handle.events())) == 22
    handle.wait(PATIENCE)


@pytest.mark.parametrize(
    "body",
    [one, waits, lambda: waits(), fail],
    ids=["plain", "async", "given", "failing"],
)
def test_after_200_runs_in_a_row(body: Callable[..., Any]) -> None:
    built = Workflow.builder("w").add(Task("body", body)).then(Task("next", one)).add(Task("beside", one)).build()
    runner = LocalRunner("threads", 2)
    for _ in range(200):
        built.run(runner=runner, check=False)


def test_after_a_few_runs_with_processes_in_a_row() -> None:
    built = Workflow.builder("w").add(Task("one", one)).add(Task("bad", fail)).build()
    for _ in range(4):
        built.run(runner=LocalRunner("processes", 2), check=False)
