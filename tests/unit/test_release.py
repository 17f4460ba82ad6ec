"""What a run keeps in memory: ``keep="returns"`` lets go of each result as soon as no task can read it any more."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from graflow import LocalRunner, ResultUnavailableError, RunState, Task, Workflow, task, workflow
from graflow.engine.events import TaskSucceeded

pytestmark = pytest.mark.timeout(60)

PATIENCE = 15


class Result:
    """A result that can be watched, and does not care who looks at it."""

    def __init__(self, name: str = "") -> None:
        self.name = name


class Watch:
    """Which of the results that were ever made are still alive."""

    def __init__(self) -> None:
        self._refs: dict[str, weakref.ref[Result]] = {}
        self.most = 0

    def make(self, name: str) -> Result:
        result = Result(name)
        self._refs[name] = weakref.ref(result)
        self.most = max(self.most, len(self.alive))
        return result

    @property
    def alive(self) -> list[str]:
        return [name for name, ref in list(self._refs.items()) if ref() is not None]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Nothing is collected meanwhile: what is let go of must die by itself."""
    gc.collect()
    gc.disable()
    yield Watch()
    gc.enable()


@pytest.fixture(params=["inline", "threads-1", "threads-4"])
def runner(request: pytest.FixtureRequest) -> LocalRunner:
    executor, _, workers = request.param.partition("-")
    return LocalRunner(executor, int(workers or 1), keep="returns")


async def in_a_loop(function: Any) -> Any:
    await asyncio.sleep(0)
    return function()


@pytest.mark.parametrize("how", ["position", "keyword", "list", "part", "order", "coroutine", "async"])
def test_a_result_dies_when_its_last_reader_has_ended(runner: LocalRunner, watch: Watch, how: str) -> None:
    make = Task("make", lambda: watch.make("result"))

    def read(given: Any = None, *, key: Any = None) -> list[str]:
        return watch.alive

    async def read_async(given: Any) -> list[str]:
        return await in_a_loop(lambda: watch.alive)

    reader: Any = {
        "position": Task("reader", read)(make.out),
        "keyword": Task("reader", read)(key=make.out),
        "list": Task("reader", read)([make.out, {"again": make.out}]),
        "part": Task("reader", read)(make.out.name),
        "order": Task("reader", read).after(make),
        "coroutine": Task("reader", lambda given: read_async(given))(make.out),
        "async": Task("reader", read_async)(make.out),
    }[how]
    after = Task("after", lambda during: (during, watch.alive))(reader.out)
    run = Workflow.builder("w").add(make).add(reader).add(after).build().run(runner=runner)
    assert run.value == (["result"], [])


def test_a_result_stays_until_the_last_of_its_readers(runner: LocalRunner, watch: Watch) -> None:
    make = Task("make", lambda: watch.make("result"))
    look = Task("look", lambda *_: list(watch.alive))
    first = look(make.out).named("first")
    second = look(make.out).named("second").after(first)
    third = look().named("third").after(second)
    last = Task("last", lambda *seen: seen)(first.out, second.out, third.out)
    run = Workflow.builder("w").add_all([make, first, second, third, last]).build().run(runner=runner)
    assert run.value == (["result"], ["result"], [])


def test_a_result_that_nobody_reads_dies_at_once(watch: Watch) -> None:
    done = threading.Event()

    @task
    def unread() -> Result:
        return watch.make("result")

    @task
    def watcher() -> None:
        for event in handle.events():
            if isinstance(event, TaskSucceeded) and event.task == "unread":
                done.set()
                return

    @task
    def look() -> list[str]:  # no edge leads here from the other
        assert done.wait(PATIENCE)
        return watch.alive

    built = Workflow.builder("w").add_all([unread, watcher, look]).build(returns=look)
    handle = LocalRunner("threads", 3, keep="returns").start(built)
    assert handle.wait(PATIENCE).value == []


def test_a_result_read_through_a_block_stays_until_then(runner: LocalRunner, watch: Watch) -> None:
    with workflow("w") as wf:

        @task
        def make() -> Result:
            return watch.make("result")

        @task
        def reader() -> str:
            return str(wf.get_result(make).name)

        @task
        def after(name: str) -> tuple[str, list[str]]:
            return name, watch.alive

        make >> reader >> after
    assert wf.execute(runner=runner).value == ("result", [])


def test_what_the_workflow_returns_stays(runner: LocalRunner, watch: Watch) -> None:
    @task
    def first() -> Result:
        return watch.make("first")

    @task
    def second(given: Result) -> Result:
        return watch.make("second")

    built = Workflow.builder("w").add(first).add(second, first.out).build(returns=first)
    run = built.run(runner=runner)
    assert run.value.name == "first"
    assert run[first] is run.value
    assert watch.alive == ["first"]
    with pytest.raises(ResultUnavailableError, match="the result of task 'second' was released"):
        run[second]


def test_a_long_chain_holds_few_results_at_a_time(runner: LocalRunner, watch: Watch) -> None:
    step = Task("step", lambda number, given: watch.make(f"result_{number}"))
    chain = [step(0, None).named("s0")]
    for k in range(1, 200):
        chain.append(step(k, [chain[-1].out] if k % 2 else chain[-1].out).named(f"s{k}"))
    run = Workflow.builder("w").add_all(chain).build().run(runner=runner)
    assert run.value.name == "result_199"
    assert watch.most <= 3  # the one that is read, the one that is made, and one on its way out
    assert watch.alive == ["result_199"]


def test_a_fan_lets_go_behind_itself(runner: LocalRunner, watch: Watch) -> None:
    make = Task("make", lambda k: watch.make(f"r{k}"))
    fan = [make(k).named(f"m{k}") for k in range(30)]
    total = Task("total", lambda given: len(given))([one.out for one in fan])
    after = Task("after", lambda count: (count, watch.alive))(total.out)
    assert Workflow.builder("w").add_all([*fan, total, after]).build().run(runner=runner).value == (30, [])


def test_a_skipped_reader_reads_nothing_any_more(runner: LocalRunner, watch: Watch) -> None:
    make = Task("make", lambda: watch.make("result"))

    def fail() -> None:
        raise ValueError("no luck")

    bad = Task("bad", fail).after(make)
    reader = Task("reader", lambda given: given)(make.out).after(bad)
    built = Workflow.builder("w").add_all([make, bad, reader]).build(returns=reader)
    run = built.run(runner=runner, check=False)
    assert run.state is RunState.FAILED
    assert watch.alive == []


def test_a_cancelled_reader_reads_nothing_any_more(watch: Watch) -> None:
    make = Task("make", lambda: watch.make("result"))
    inside, go = threading.Event(), threading.Event()

    def stay() -> None:
        inside.set()
        assert go.wait(PATIENCE)

    door = Task("door", stay).after(make)
    reader = Task("reader", lambda given: given)(make.out).after(door)
    built = Workflow.builder("w").add_all([make, door, reader]).build(returns=reader)
    handle = LocalRunner(keep="returns").start(built, check=False)
    assert inside.wait(PATIENCE)
    handle.cancel()
    go.set()
    assert handle.wait(PATIENCE).state is RunState.CANCELLED
    assert watch.alive == []


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_results_of_processes_are_let_go_too(watch: Watch, executor: Any) -> None:
    make = Task("make", Result, executor="processes")
    # Here, on the way from one process to the next, the value passes through; a task in a thread has a look at it.
    seen: list[weakref.ref[Result]] = []
    look = Task("look", lambda given: seen.append(weakref.ref(given)), executor="threads")(make.out)
    use = Task("use", lambda given: given.name, executor=executor)(make.out).after(look)
    after = Task("after", lambda name: seen[0]() is None, executor="threads")(use.out)
    built = Workflow.builder("w").add_all([make("big"), look, use, after]).build()
    assert built.run(runner=LocalRunner("threads", 2, keep="returns")).value is True


@pytest.mark.parametrize("executor", ["inline", "threads"])
@pytest.mark.parametrize("keep", ["all", "returns"])
@pytest.mark.parametrize("ending", ["good", "bad"])
def test_a_run_that_is_forgotten_is_gone(executor: Any, keep: Any, ending: str, watch: Watch) -> None:
    """Results may be large, so nothing may depend on when the collector comes by."""

    def make() -> Result:
        return watch.make("result")

    def use(given: list[Result]) -> int:
        if ending == "bad":
            raise ValueError("no luck")
        return len(given)

    first = Task("first", make)
    built = Workflow.builder("w").add(first).add(Task("use", use), [first.out]).build(returns=first)
    run = built.run(runner=LocalRunner(executor, 2, keep=keep), check=False)
    assert run.value.name == "result"
    del run
    if ending == "bad":
        gc.collect()  # an exception and the frames in its traceback hold each other
    assert watch.alive == []


def test_an_exception_that_is_kept_does_not_keep_the_run(watch: Watch) -> None:
    """Logs and reports hold on to errors; the results of tasks that have nothing to do with them must not follow."""

    def fail() -> None:
        raise ValueError("no luck")

    built = Workflow.builder("w").add(Task("good", lambda: watch.make("result"))).add(Task("bad", fail)).build()
    run = built.run(runner=LocalRunner("threads", 1), check=False)
    error = run.tasks["bad"].error
    del run
    gc.collect()
    assert type(error) is ValueError
    assert watch.alive == []
