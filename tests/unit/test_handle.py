"""A run under way: waiting, awaiting, watching and cancelling it, from wherever one happens to be."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from graflow import (
    InternalError,
    LocalRunner,
    RunCancelledError,
    RunFailedError,
    RunHandle,
    RunState,
    Skipped,
    Task,
    TaskState,
    Workflow,
    task,
)
from graflow.core._options import RunOptions
from graflow.engine.drive import Execution
from graflow.engine.events import (
    CancelRequested,
    Event,
    RunFinished,
    RunStarted,
    TaskCancelled,
    TaskFailed,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
)
from graflow.runners._async_loop import AsyncLane

pytestmark = pytest.mark.timeout(60)

#: How long a test waits for what must happen; long enough for any machine, and reached only by a failing test.
PATIENCE = 15


@pytest.fixture(params=["inline", "threads"])
def runner(request: pytest.FixtureRequest) -> LocalRunner:
    return LocalRunner(request.param, 4)


class Door:
    """A task body that says it has come in, and stays until it is let out."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.open.wait(PATIENCE)
        return "through"

    def wait_inside(self) -> None:
        assert self.entered.wait(PATIENCE)


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.open.set()


def fail() -> None:
    raise ValueError("no luck")


def one(*_: Any) -> int:
    return 1


def behind(door: Door, **more: Callable[..., Any]) -> Workflow[None, Any]:
    """``door``, then ``next``; and further tasks beside them."""
    builder = Workflow.builder("w").add(Task("door", door)).then(Task("next", lambda x: x))
    return builder.add_all([Task(id, fn) for id, fn in more.items()]).build()


async def patient(what: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(what, PATIENCE)


async def awaited(handle: RunHandle[Any]) -> Any:
    return await handle


# ── starting and waiting ────────────────────────────────────────────────────────────────────────────────────────────


def test_start_returns_while_the_run_goes_on(runner: LocalRunner, door: Door) -> None:
    handle = runner.start(behind(door))
    door.wait_inside()
    assert handle.state is RunState.RUNNING
    states = {id: record.state for id, record in handle.tasks.items()}
    assert states == {"door": TaskState.RUNNING, "next": TaskState.WAITING}
    record = handle.tasks["door"]
    assert (record.attempts, record.duration) == (1, None)
    assert record.started is not None
    door.open.set()
    run = handle.wait(PATIENCE)
    assert (run.value, run.id, handle.state) == ("through", handle.id, RunState.SUCCEEDED)
    assert handle.tasks["door"].state is TaskState.SUCCEEDED


def test_waiting_too_short_says_so_and_harms_nothing(runner: LocalRunner, door: Door) -> None:
    handle = runner.start(behind(door))
    for timeout in (0, 0.001):
        with pytest.raises(TimeoutError, match=f"run {handle.id} has not ended within {timeout:g} s; it goes on"):
            handle.wait(timeout)
    assert handle.state is RunState.RUNNING
    door.open.set()
    assert handle.wait(PATIENCE).value == handle.wait(0).value == "through"


def test_waiting_raises_what_run_raises_each_time(runner: LocalRunner) -> None:
    handle = runner.start(Workflow.builder("w").add(Task("bad", fail)).build())
    for _ in range(2):
        with pytest.raises(RunFailedError) as caught:
            handle.wait(PATIENCE)
        assert type(caught.value.__cause__) is ValueError
    unchecked = runner.start(Workflow.builder("w").add(Task("bad", fail)).build(), check=False)
    assert unchecked.wait(PATIENCE).state is RunState.FAILED


def test_many_threads_wait_for_one_run(runner: LocalRunner, door: Door) -> None:
    handle = runner.start(behind(door))
    values: list[Any] = []
    threads = [threading.Thread(target=lambda: values.append(handle.wait(PATIENCE).value)) for _ in range(5)]
    for thread in threads:
        thread.start()
    door.open.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert values == ["through"] * 5


def test_many_threads_wait_for_many_runs_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them cleans up after the run while others may still be looking whether it has ended."""
    monkeypatch.setattr("graflow.engine.drive._LOOK_UP_SECONDS", 0)  # they look all the time
    built = Workflow.builder("w").add(Task("one", one)).build()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            for _ in range(40):
                handle = LocalRunner("threads", 1).start(built)
                waiting = [pool.submit(handle.wait) for _ in range(8)]
                assert [one.result(PATIENCE).value for one in waiting] == [1] * 8
    finally:
        sys.setswitchinterval(interval)


# ── cancelling ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_cancelling_lets_what_runs_end_and_starts_nothing_more(runner: LocalRunner, door: Door) -> None:
    handle = runner.start(behind(door), check=False)
    door.wait_inside()
    handle.cancel("enough")
    assert handle.state is RunState.RUNNING
    assert {id: str(record.state) for id, record in handle.tasks.items()} == {"door": "running", "next": "cancelled"}
    door.open.set()
    run = handle.wait(PATIENCE)
    assert (run.state, run["door"]) == (RunState.CANCELLED, "through")
    record = run.tasks["next"]
    assert (record.attempts, record.reason) == (0, "the run was cancelled: enough")
    assert run.outcome(Task("next", record_function(handle, "next"))) == Skipped("the run was cancelled: enough")


def record_function(handle: Any, id: str) -> Any:
    return handle._execution.plan.task(handle._execution.plan.index[id]).fn


def test_a_cancelled_run_raises_unless_told_not_to(runner: LocalRunner, door: Door) -> None:
    handle = runner.start(behind(door))
    door.wait_inside()
    handle.cancel("enough")
    door.open.set()
    with pytest.raises(RunCancelledError) as caught:
        handle.wait(PATIENCE)
    assert str(caught.value) == (
        f"run {handle.id} of workflow 'w' was cancelled (enough) with 1 of 2 tasks done; "
        f"run it with check=False to look at the others"
    )


def test_the_first_reason_counts_and_there_is_no_way_back(runner: LocalRunner, door: Door) -> None:
    handle = runner.start(behind(door), check=False)
    door.wait_inside()
    handle.cancel("first")
    handle.cancel("second")
    door.open.set()
    run = handle.wait(PATIENCE)
    handle.cancel("third")
    assert run.tasks["next"].reason == "the run was cancelled: first"
    assert handle.state is RunState.CANCELLED


def test_a_run_cancelled_before_it_begins_does_not_begin(runner: LocalRunner) -> None:
    ran: list[str] = []
    built = Workflow.builder("w").add(Task("first", ran.append), "first").then(Task("next", one)).build()
    handle = runner.prepare(built, options=RunOptions(check=False))
    handle.cancel("never mind")
    assert handle.state is RunState.CANCELLED
    handle.go()
    run = handle.wait(PATIENCE)
    assert {id: str(record.state) for id, record in run.tasks.items()} == {"first": "cancelled", "next": "cancelled"}
    assert not ran


def test_cancelling_after_the_end_changes_nothing(runner: LocalRunner) -> None:
    handle = runner.start(Workflow.builder("w").add(Task("one", one)).build())
    assert handle.wait(PATIENCE).value == 1
    handle.cancel()
    assert handle.state is RunState.SUCCEEDED
    assert handle.wait(PATIENCE).value == 1
    assert not [event for event in handle.events() if isinstance(event, CancelRequested)]


def test_a_task_may_cancel_its_own_run(runner: LocalRunner) -> None:
    begun = threading.Event()
    box: list[RunHandle[Any]] = []

    def stop() -> str:
        assert begun.wait(PATIENCE)
        box[0].cancel("seen enough")
        return "done"

    box.append(runner.start(Workflow.builder("w").add(Task("stop", stop)).then(Task("next", one)).build(), check=False))
    begun.set()
    run = box[0].wait(PATIENCE)
    assert (run["stop"], str(run.tasks["next"].state), run.state) == ("done", "cancelled", RunState.CANCELLED)


def test_a_failure_in_a_cancelled_run_is_kept(runner: LocalRunner, door: Door) -> None:
    def bad() -> None:
        door()
        fail()

    handle = runner.start(Workflow.builder("w").add(Task("bad", bad)).then(Task("next", one)).build(), check=False)
    door.wait_inside()
    handle.cancel()
    door.open.set()
    run = handle.wait(PATIENCE)
    assert (run.state, str(run.tasks["bad"].state), str(run.tasks["next"].state)) == (
        RunState.CANCELLED,
        "failed",
        "cancelled",
    )
    assert type(run.tasks["bad"].error) is ValueError


# ── cancelling async tasks ──────────────────────────────────────────────────────────────────────────────────────────


class AsyncDoor:
    """An async body that says it has come in and would stay for ever."""

    def __init__(self) -> None:
        self.entered, self.told = threading.Event(), threading.Event()

    async def __call__(self) -> None:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.told.set()
            raise


def test_async_tasks_under_way_are_cancelled() -> None:
    door = AsyncDoor()
    handle = LocalRunner().start(Workflow.builder("w").add(Task("door", door.__call__)).build(), check=False)
    assert door.entered.wait(PATIENCE)
    handle.cancel("enough")
    run = handle.wait(PATIENCE)
    assert door.told.is_set()
    record = run.tasks["door"]
    assert (str(record.state), record.attempts, record.error) == ("cancelled", 1, None)
    assert record.duration is not None
    assert record.reason == "the run was cancelled: enough"


def test_an_async_task_may_end_as_it_likes() -> None:
    entered = {end: threading.Event() for end in ("return", "fail", "cancel")}

    async def stubborn(end: str) -> str:
        try:
            entered[end].set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # what cleans up may wait
            if end == "fail":
                raise ValueError("on the way out") from None
            if end == "cancel":
                raise
        return end

    body = Task("stubborn", stubborn)
    built = Workflow.builder("w").add_all([body(end).named(end) for end in entered]).build()
    handle = LocalRunner().start(built, check=False)
    assert all(event.wait(PATIENCE) for event in entered.values())
    handle.cancel()
    run = handle.wait(PATIENCE)
    assert {end: str(run.tasks[end].state) for end in entered} == {
        "return": "succeeded",
        "fail": "failed",
        "cancel": "cancelled",
    }
    assert run.state is RunState.CANCELLED


def test_async_tasks_that_have_not_come_to_their_first_line_are_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cancellation arrives after the tasks were taken and before the event loop ran any of them."""
    handle: RunHandle[Any] | None = None
    begin = AsyncLane._begin
    given = threading.Event()

    def cancel_first(lane: AsyncLane, *args: Any) -> None:
        assert given.wait(PATIENCE)
        assert handle is not None
        handle.cancel()
        begin(lane, *args)

    monkeypatch.setattr(AsyncLane, "_begin", cancel_first)

    async def never() -> None:
        await asyncio.Event().wait()

    body = Task("never", never)
    built = Workflow.builder("w").add_all([body.named(f"never_{k}") for k in range(3)]).build()
    handle = LocalRunner().start(built, check=False)
    given.set()
    run = handle.wait(PATIENCE)
    assert {str(record.state) for record in run.tasks.values()} == {"cancelled"}


def test_a_thousand_async_tasks_cancelled_while_they_begin() -> None:
    async def never(k: int) -> None:
        await asyncio.Event().wait()

    body = Task("never", never)
    built = Workflow.builder("w").add_all([body(k).named(f"never_{k}") for k in range(1000)]).build()
    for _ in range(5):
        handle = LocalRunner().start(built, check=False)
        events = iter(handle.events())
        assert any(isinstance(event, TaskStarted) for event in events)
        handle.cancel()
        assert handle.wait(PATIENCE).state is RunState.CANCELLED


def test_a_coroutine_given_after_the_cancellation_is_cancelled_too(runner: LocalRunner, door: Door) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    def gives() -> Any:
        door()
        return never()

    handle = runner.start(Workflow.builder("w").add(Task("gives", gives)).build(), check=False)
    door.wait_inside()
    handle.cancel()
    door.open.set()
    assert str(handle.wait(PATIENCE).tasks["gives"].state) == "cancelled"


# ── awaiting ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_handle_can_be_awaited_by_several_and_again(runner: LocalRunner, door: Door) -> None:
    async def main() -> None:
        handle = runner.start(behind(door))
        waiting = [asyncio.create_task(awaited(handle)) for _ in range(3)]
        await asyncio.to_thread(door.wait_inside)
        assert not any(one.done() for one in waiting)  # and the loop is free meanwhile
        door.open.set()
        runs = await patient(asyncio.gather(*waiting))
        assert [run.value for run in runs] == ["through"] * 3
        assert (await patient(awaited(handle))).value == "through"

    asyncio.run(main())


def test_awaiting_raises_as_waiting_does(runner: LocalRunner, door: Door) -> None:
    async def main() -> None:
        handle = runner.start(behind(door, bad=fail))
        first, second = (asyncio.create_task(awaited(handle)) for _ in range(2))
        await asyncio.sleep(0)
        door.open.set()
        for waiting in (first, second, awaited(handle)):
            with pytest.raises(RunFailedError, match="'bad'"):
                await patient(asyncio.ensure_future(waiting))

    asyncio.run(main())


def test_who_stops_awaiting_does_not_stop_the_run(runner: LocalRunner, door: Door) -> None:
    async def main() -> Any:
        handle = runner.start(behind(door))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(awaited(handle), 0.01)
        assert handle.state is RunState.RUNNING
        door.open.set()
        return await patient(awaited(handle))

    assert asyncio.run(main()).value == "through"


def test_a_loop_that_is_gone_when_the_run_ends(runner: LocalRunner, door: Door) -> None:
    async def main(handle: RunHandle[Any]) -> None:
        await asyncio.wait([asyncio.create_task(awaited(handle))], timeout=0)

    handle = runner.start(behind(door))
    asyncio.run(main(handle))
    door.open.set()
    assert handle.wait(PATIENCE).value == "through"


def test_runs_inside_of_a_running_event_loop(runner: LocalRunner) -> None:
    """As in a notebook: blocking calls work as well as awaiting."""

    async def waits() -> int:
        await asyncio.sleep(0)
        return 2

    built = Workflow.builder("w").add(Task("one", one)).add(Task("waits", waits)).build()

    async def main() -> list[Any]:
        return [
            built.run(runner=runner).value,
            runner.start(built).wait(PATIENCE).value,
            (await patient(awaited(runner.start(built)))).value,
        ]

    assert asyncio.run(main()) == [2, 2, 2]


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def told(event: Event) -> tuple[str, str]:
    return type(event).__name__, getattr(event, "task", "")


def check_order(events: list[Event], edges: list[tuple[str, str]]) -> None:
    """Nothing before its cause, neither in the list nor by the clock, and the run around it all."""
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)
    place = {told(event): k for k, event in enumerate(events)}
    assert len(place) == len(events)  # nothing is told twice
    pairs = [(("RunStarted", ""), key) for key in place] + [(key, ("RunFinished", "")) for key in place]
    for name, id in place:
        if name in ("TaskSucceeded", "TaskFailed"):
            pairs.append((("TaskStarted", id), (name, id)))
    for u, d in edges:
        pairs.append((("TaskSucceeded", u), ("TaskStarted", d)))
        pairs.append((("TaskFailed", u), ("TaskSkipped", d)))
    for cause, effect in pairs:
        if effect in place and cause != effect and (effect[0] != "TaskSkipped" or cause in place):
            assert place[cause] < place[effect]
            assert events[place[cause]].at <= events[place[effect]].at


DIAMOND = (
    Workflow.builder("w")
    .add(top := Task("top", one))
    .add(left := Task("left", one), top.out)
    .add(right := Task("right", one), top.out)
    .add(Task("bottom", one), left.out, right.out)
    .add(bad := Task("bad", fail))
    .add(Task("needs", one), bad.out)
    .build()
)
EDGES = [("top", "left"), ("top", "right"), ("left", "bottom"), ("right", "bottom"), ("bad", "needs")]
TOLD = Counter(
    [(name, id) for id in ("top", "left", "right", "bottom") for name in ("TaskStarted", "TaskSucceeded")]
    + [("TaskStarted", "bad"), ("TaskFailed", "bad"), ("TaskSkipped", "needs"), ("RunStarted", ""), ("RunFinished", "")]
)


async def collected(handle: RunHandle[Any]) -> list[Event]:
    return [event async for event in handle.events()]


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("when", ["early", "late"])
def test_events_tell_the_whole_story_in_order(executor: Any, workers: int, when: str) -> None:
    handle = LocalRunner(executor, workers).start(DIAMOND, check=False)
    if when == "late":
        handle.wait(PATIENCE)
    events = list(handle.events())
    assert Counter(map(told, events)) == TOLD
    check_order(events, EDGES)
    # Whoever asks, and whenever: the same events, if perhaps not in the same order where there is none.
    again = asyncio.run(patient(collected(handle)))
    assert sorted(map(repr, again)) == sorted(map(repr, events))
    check_order(again, EDGES)
    finished = events[-1]
    assert isinstance(finished, RunFinished)
    assert (finished.run, finished.state) == (handle.id, RunState.FAILED)


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_events_agree_with_the_records(executor: Any) -> None:
    handle = LocalRunner(executor, 2).start(DIAMOND, check=False)
    events = list(handle.events())
    run = handle.wait(PATIENCE)
    for event in events:
        match event:
            case TaskStarted(task=id, attempt=attempt, at=at, worker=worker):
                record = run.tasks[id]
                assert (record.attempts, record.started, record.worker) == (attempt, at, worker)
            case TaskSucceeded(task=id, seconds=seconds):
                assert run.tasks[id].duration == seconds
            case TaskFailed(task=id, error=error):
                assert run.tasks[id].error is error
            case TaskSkipped(task=id, reason=reason):
                assert run.tasks[id].reason == reason == "task 'bad' failed"


def test_who_comes_in_the_middle_hears_the_same(runner: LocalRunner, door: Door) -> None:
    handle = runner.start(behind(door, other=one))
    early = iter(handle.events())
    first = [next(early)]
    door.wait_inside()
    heard: list[list[Event]] = []
    threads = [threading.Thread(target=lambda: heard.append(list(handle.events()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    door.open.set()
    for thread in threads:
        thread.join(PATIENCE)
    everything = first + list(early)
    check_order(everything, [("door", "next")])
    assert len(heard) == 3
    for events in heard:
        check_order(events, [("door", "next")])
        assert sorted(map(repr, events)) == sorted(map(repr, everything))


def test_async_listeners_hear_what_happens_while_it_happens(door: Door) -> None:
    async def main() -> list[Event]:
        handle = LocalRunner().start(behind(door))
        heard = []
        async for event in handle.events():
            heard.append(event)
            if told(event) == ("TaskStarted", "door"):
                assert handle.state is RunState.RUNNING
                door.open.set()
        assert (await handle).value == "through"
        return heard

    events = asyncio.run(patient(main()))
    assert [told(event)[0] for event in events] == [
        "RunStarted",
        "TaskStarted",
        "TaskSucceeded",
        "TaskStarted",
        "TaskSucceeded",
        "RunFinished",
    ]


@pytest.mark.parametrize("when", ["early", "late"])
def test_events_of_a_cancelled_run(door: Door, when: str) -> None:
    """Who comes late hears the same: also of tasks that had begun, and of the cancellation when it was."""
    inside = AsyncDoor()
    built = Workflow.builder("w").add(Task("door", door)).then(Task("next", one)).add(Task("waits", inside.__call__))
    handle = LocalRunner().start(built.build(), check=False)
    early = iter(handle.events())
    heard = [next(early)]
    door.wait_inside()
    assert inside.entered.wait(PATIENCE)
    handle.cancel("enough")
    assert inside.told.wait(PATIENCE)
    for event in early:
        heard.append(event)
        if told(event) == ("TaskCancelled", "waits"):
            door.open.set()  # so that this one ends after the other
    handle.wait(PATIENCE)
    events = heard if when == "early" else list(handle.events())
    assert sorted(map(told, events[1:3])) == [("TaskStarted", "door"), ("TaskStarted", "waits")]
    assert [told(event) for event in (events[0], *events[3:])] == [
        ("RunStarted", ""),
        ("CancelRequested", ""),
        ("TaskCancelled", "next"),
        ("TaskCancelled", "waits"),
        ("TaskSucceeded", "door"),
        ("RunFinished", ""),
    ]
    assert sorted(map(repr, events)) == sorted(map(repr, heard))
    assert isinstance(events[3], CancelRequested)
    assert events[3].reason == "enough"
    assert isinstance(events[5], TaskCancelled)


def test_who_stops_listening_harms_nobody(runner: LocalRunner, door: Door) -> None:
    handle = runner.start(behind(door))
    for event in handle.events():
        assert isinstance(event, RunStarted)
        break

    async def listen_a_little() -> None:
        async for event in handle.events():
            assert isinstance(event, RunStarted)
            break

    asyncio.run(listen_a_little())  # and its loop is gone before the run ends
    door.open.set()
    assert handle.wait(PATIENCE).value == "through"
    assert len(list(handle.events())) == 6


def test_records_can_be_read_while_everything_changes() -> None:
    """From another thread, while a failure skips many tasks: no state without what belongs to it."""
    release = threading.Event()

    def bad() -> None:
        assert release.wait(PATIENCE)
        fail()

    first = Task("bad", bad)
    needs = [Task(f"n{k:04}", one)(first.out) for k in range(3000)]
    handle = LocalRunner().start(Workflow.builder("w").add(first).add_all(needs).build(), check=False)
    release.set()
    while True:
        record = handle.tasks["n1500"]
        assert record.state in (TaskState.WAITING, TaskState.SKIPPED)
        if record.state is TaskState.SKIPPED:
            break
    assert record.reason == "task 'bad' failed"
    handle.wait(PATIENCE)


# ── a worker that breaks ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def others() -> set[threading.Thread]:
    """The threads there are before, such as one that another test left in a body without an end."""
    return set(threading.enumerate())


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, door: Door) -> RunHandle[Any]:
    """A run in which graflow itself fails, while other tasks are under way and wait."""
    commit = Execution.commit

    def break_one(execution: Execution, i: int, *rest: Any) -> None:
        if execution.plan.ids[i] == "door":
            raise RuntimeError("a bug")
        commit(execution, i, *rest)

    monkeypatch.setattr(Execution, "commit", break_one)
    return LocalRunner("threads", 2).start(behind(door, other=one), check=False)


def test_a_broken_worker_ends_the_run_for_who_waits(
    others: set[threading.Thread], broken: RunHandle[Any], door: Door
) -> None:
    door.open.set()
    with pytest.raises(InternalError, match=r"a worker of run .* broke: RuntimeError: a bug"):
        broken.wait(PATIENCE)
    assert broken.state is not RunState.RUNNING
    left = set(threading.enumerate()) - others
    assert not [thread.name for thread in left if thread.name.startswith("graflow")]


def test_a_broken_worker_ends_the_run_for_who_awaits(broken: RunHandle[Any], door: Door) -> None:
    async def main() -> None:
        waiting = asyncio.create_task(awaited(broken))
        await asyncio.sleep(0)
        door.open.set()
        for one in (waiting, awaited(broken)):  # also for who comes when all is over
            with pytest.raises(InternalError):
                await patient(one)

    asyncio.run(main())


def test_a_broken_worker_ends_the_run_for_who_listens(broken: RunHandle[Any], door: Door) -> None:
    events: list[Any] = []
    listener = threading.Thread(target=lambda: events.extend(broken.events()), daemon=True)
    listener.start()
    door.open.set()
    with pytest.raises(InternalError):
        broken.wait(PATIENCE)
    listener.join(PATIENCE)
    assert not listener.is_alive()


# ── an event loop that ends ─────────────────────────────────────────────────────────────────────────────────────────


def test_threads_that_an_async_task_used_end_with_the_loop() -> None:
    async def body() -> str:
        return await asyncio.to_thread(lambda: threading.current_thread().name)

    before = threading.active_count()
    assert Workflow.builder("w").add(Task("body", body)).build().run(runner=LocalRunner()).value.startswith("asyncio_")
    assert threading.active_count() == before


@task
async def leaves_a_generator_open() -> int:
    async def numbers() -> Any:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)

    generator = numbers()
    KEPT.append(generator)
    return await anext(generator)


KEPT: list[Any] = []


def test_an_async_generator_left_open_is_closed_with_the_loop() -> None:
    try:
        assert Workflow.builder("w").add(leaves_a_generator_open).build().run(runner=LocalRunner()).value == 1
    finally:
        KEPT.clear()


def test_async_tasks_that_a_body_left_behind_are_cancelled() -> None:
    """As `asyncio.run` does it: nobody is destroyed while pending."""
    ends: list[str] = []

    async def background() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    async def body() -> int:
        KEPT.append(asyncio.create_task(background()))
        await asyncio.sleep(0)
        return 1

    try:
        assert Workflow.builder("w").add(Task("body", body)).build().run(runner=LocalRunner()).value == 1
        assert ends == ["cancelled"]
    finally:
        KEPT.clear()
