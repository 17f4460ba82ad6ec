"""One run, several kinds of workers; and many runs at once."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from graflow import LocalRunner, RunState, Task, TaskState, Workflow, task, workflow

pytestmark = pytest.mark.timeout(60)


def where() -> tuple[int, str]:
    return os.getpid(), threading.current_thread().name


async def where_async(*_: Any) -> tuple[int, str]:
    await asyncio.sleep(0)
    return where()


def test_async_tasks_run_side_by_side(runner: LocalRunner) -> None:
    """Each waits for the other, so one after the other would never end."""
    seen: dict[str, asyncio.Event] = {}

    async def meet(own: str, other: str) -> str:
        seen.setdefault(own, asyncio.Event()).set()
        await asyncio.wait_for(seen.setdefault(other, asyncio.Event()).wait(), 30)
        return own

    pair = Task("meet", meet)
    built = Workflow.builder("w").add_all([pair("a", "b").named("a"), pair("b", "a").named("b")]).build()
    run = built.run(runner=runner)
    assert (run["a"], run["b"]) == ("a", "b")
    assert {record.worker for record in run.tasks.values()} == {"async"}


def test_plain_functions_may_give_a_coroutine(runner: LocalRunner) -> None:
    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    first = Task("first", lambda: later(1))
    second = Task("second", lambda x: later(x))
    run = Workflow.builder("w").add(first).add(second, first.out).build().run(runner=runner)
    assert (run["first"], run.value) == (2, 3)


def test_async_tasks_in_processes() -> None:
    @task(executor="processes")
    async def waits() -> tuple[int, str]:
        return await where_async()

    run = Workflow.builder("w").add(waits).build().run()
    assert run.value[0] != os.getpid()
    assert (run.tasks["waits"].worker or "").startswith("process-")


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
@pytest.mark.parametrize("workers", [1, 4])
def test_all_kinds_in_one_run(executor: Any, workers: int) -> None:
    def place(*_: Any) -> tuple[int, str]:
        return where()

    kinds = ("inline", "threads", "processes")
    tasks: dict[str, Any] = {
        f"{kind}_{k}": Task(f"{kind}_{k}", place, executor=kind) for kind in kinds for k in range(2)
    }
    tasks |= {f"async_{k}": Task(f"async_{k}", where_async) for k in range(2)}
    firsts = [one for id, one in tasks.items() if id.endswith("_0")]
    # Every kind waits for every kind: eight ways from one kind of worker to another, two layers deep.
    seconds = [one(*(first.out for first in firsts)) for id, one in tasks.items() if id.endswith("_1")]
    last = Task("last", lambda *given: len(given))(*(one.out for one in seconds))
    built = Workflow.builder("w").add_all([*firsts, *seconds, last]).build()
    run = built.run(runner=LocalRunner(executor, workers))
    assert run.value == 4
    mine = os.getpid()
    for k in range(2):
        assert run[f"inline_{k}"] == (mine, threading.current_thread().name)
        assert run[f"threads_{k}"][0] == run[f"async_{k}"][0] == mine
        assert run[f"processes_{k}"][0] != mine
        names = [run.tasks[f"{kind}_{k}"].worker for kind in (*kinds, "async")]
        assert names[0] == "inline"
        assert str(names[1]).startswith("thread-")
        assert names[2] == f"process-{run[f'processes_{k}'][0]}"
        assert names[3] == "async"


def test_a_task_that_fails_on_one_kind_of_worker_skips_those_on_the_others(runner: LocalRunner) -> None:
    def bad() -> None:
        raise ValueError("no luck")

    async def waits(x: Any) -> Any:
        return x

    failing = [Task(f"bad_{kind}", bad, executor=kind) for kind in ("inline", "threads", "processes")]
    needy = [
        one(failed.out).named(f"{one.id}_of_{failed.id}")
        for failed in failing
        for one in (
            Task("waits", waits),
            *(Task(kind, lambda x: x, executor=kind) for kind in ("inline", "threads", "processes")),
        )
    ]
    run = Workflow.builder("w").add_all([*failing, *needy]).build().run(runner=runner, check=False)
    assert {run.tasks[one.id].state for one in failing} == {TaskState.FAILED}
    assert {run.tasks[one.id].state for one in needy} == {TaskState.SKIPPED}


def test_no_more_workers_than_allowed() -> None:
    """Four threads meet, a fifth never comes: nobody but the workers can have more under way."""
    workers = 4
    lock, under_way, most = threading.Lock(), [0], [0]
    barrier = threading.Barrier(workers)

    def body() -> None:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        barrier.wait(30)  # only all four together get past
        with lock:
            under_way[0] -= 1

    tasks = [Task("body", body).named(f"body_{k}") for k in range(3 * workers)]
    Workflow.builder("w").add_all(tasks).build().run(runner=LocalRunner("threads", workers))
    assert most == [workers]


def test_processes_are_as_many_as_processors_unless_told_otherwise() -> None:
    """That is what the documentation of `LocalRunner` promises."""
    count = os.cpu_count() or 1
    tasks = [Task("pid", os.getpid).named(f"pid_{k}") for k in range(count + 4)]
    run = Workflow.builder("w").add_all(tasks).build().run(runner=LocalRunner("processes"))
    assert len({run[one] for one in tasks}) <= count


# ── many runs at once ───────────────────────────────────────────────────────────────────────────────────────────────


def diamond(n: int) -> Workflow[None, Any]:
    @task
    def top() -> int:
        return n

    @task
    def left(x: int) -> int:
        return x + 1

    @task
    async def right(x: int) -> int:
        await asyncio.sleep(0)
        return x * 2

    with workflow(f"diamond_{n}") as wf:

        @task
        def bottom() -> tuple[int, int]:
            return wf.get_result("left"), wf.get_result(right)

        top >> (left | right) >> bottom
    return wf.workflow


@pytest.mark.parametrize("keep", ["all", "returns"])
def test_many_runs_at_once_with_one_runner(near_runner: LocalRunner, keep: Any) -> None:
    runner = LocalRunner(near_runner.executor, near_runner.max_workers, keep=keep)
    built = [diamond(n) for n in range(4)]
    begin = threading.Barrier(8)

    def many(thread: int) -> list[Any]:
        begin.wait(30)
        runs = [built[(thread + k) % 4].run(runner=runner) for k in range(6)]
        assert len({run.id for run in runs}) == 6
        return [run.value for run in runs]

    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(many, range(8)))
    assert values == [[((t + k) % 4 + 1, (t + k) % 4 * 2) for k in range(6)] for t in range(8)]


def test_many_runs_in_processes_at_once() -> None:
    runner = LocalRunner("processes", 1)
    built = Workflow.builder("w").add(Task("square", lambda x: x * x), 7).build()
    with ThreadPoolExecutor(3) as pool:
        assert [run.value for run in pool.map(lambda _: built.run(runner=runner), range(3))] == [49] * 3


def test_handles_of_many_runs_do_not_mix(runner: LocalRunner) -> None:
    built = Workflow.builder("w").add(Task("one", lambda: 1)).build()
    handles = [runner.start(built) for _ in range(4)]
    assert len({handle.id for handle in handles}) == 4
    for handle in reversed(handles):
        run = handle.wait(30)
        assert (run.id, run.value, run.state) == (handle.id, 1, RunState.SUCCEEDED)
