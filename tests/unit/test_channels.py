"""State that the tasks of one run share: nothing is lost, nothing is shared by accident, and errors say what to do."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Protocol

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from graflow import Exponential, LocalRunner, Retry, RunState, TaskState, Workflow, current, task
from graflow.core.channel import Channel
from graflow.core.task import Task
from graflow.engine.channels import Channels, DistantChannels, read
from graflow.errors import ConfigurationError, SerializationError, WorkerLostError
from graflow.runners._processes import Child

pytestmark = pytest.mark.timeout(90)

LARGE = bytes(range(256)) * 4096
"""More than a pipe holds."""

RUNNERS: dict[str, Callable[[], LocalRunner]] = {
    "inline": lambda: LocalRunner("inline"),
    "threads": lambda: LocalRunner("threads", 4),
    "isolated threads": lambda: LocalRunner("threads", 2, isolate=True),
    "processes": lambda: LocalRunner("processes", 2),
}
everywhere = pytest.mark.parametrize("make_runner", RUNNERS.values(), ids=RUNNERS)


class Fleet(Protocol):
    ships: int


class Movie(TypedDict):
    title: str


class Row(BaseModel):
    n: int


@dataclass(frozen=True)
class Point:
    x: int


class Ticket:
    """A class that pydantic does not know."""


UserId = NewType("UserId", int)


def flow(*tasks: Task[..., Any]) -> Workflow[Any, Any]:
    return Workflow.of("shared", *tasks, returns=tasks[-1])


# ── no update is lost ───────────────────────────────────────────────────────────────────────────────────────────────


@everywhere
def test_no_update_is_lost(make_runner: Callable[[], LocalRunner]) -> None:
    count = Channel("count", int, default=0)

    @task
    def add(times: int) -> None:
        for _ in range(times):
            count.update(lambda n: n + 1)

    @task
    def total() -> int:
        return count.get()

    adders = [add(50).named(f"add{k}") for k in range(6)]
    run = make_runner().run(flow(*adders, total.after(*adders)))
    assert run.value == 300


def test_no_update_is_lost_between_threads_processes_and_the_event_loop() -> None:
    count = Channel("count", int, default=0)

    def work() -> None:
        for _ in range(30):
            count.update(lambda n: n + 1)

    @task(executor="threads")
    def in_a_thread() -> None:
        work()

    @task(executor="processes")
    def in_a_process() -> None:
        work()

    @task
    async def in_the_loop() -> None:
        for _ in range(30):
            count.update(lambda n: n + 1)
            await asyncio.sleep(0)

    @task
    def total() -> int:
        return count.get()

    kinds = (in_a_thread, in_a_process, in_the_loop)
    adders = [kind.named(f"{kind.id}{k}") for kind in kinds for k in range(2)]
    assert LocalRunner("threads", 3).run(flow(*adders, total.after(*adders))).value == 180


def test_the_function_runs_again_where_another_update_came_first() -> None:
    pairs = Channel("pairs", list[str], default=[])
    both_have_read = threading.Barrier(2)
    seen: dict[str, list[list[str]]] = {"a": [], "b": []}

    @task
    def add(name: str) -> list[str]:
        def change(names: list[str]) -> list[str]:
            seen[name].append(list(names))
            if len(seen[name]) == 1:
                both_have_read.wait()
            return [*names, name]

        return pairs.update(change)

    run = LocalRunner("threads", 2).run(flow(add("a").named("first"), add("b").named("second")))
    (quick, slow) = sorted(seen, key=lambda name: len(seen[name]))
    assert seen[quick] == [[]]
    assert seen[slow] == [[], [quick]]
    assert sorted([run["first"], run["second"]], key=len) == [[quick], [quick, slow]]


def test_the_function_runs_again_in_its_process(tmp_path: Path) -> None:
    names = Channel("names", list[str], default=[])
    meeting = str(tmp_path / "meeting")
    os.mkfifo(meeting)

    @task
    def add(name: str, flags: int) -> list[str]:
        calls: list[int] = []

        def change(found: list[str]) -> list[str]:
            calls.append(os.getpid())
            if len(calls) == 1:
                os.close(os.open(meeting, flags))  # opens when the other process opens the other end
            return [*found, name]

        assert sorted(names.update(change)) in ([name], ["a", "b"])
        assert set(calls) == {os.getpid()}
        return [name] * len(calls)

    @task
    def both() -> list[str]:
        return names.get()

    adders = (add("a", os.O_RDONLY).named("one"), add("b", os.O_WRONLY).named("two"))
    run = LocalRunner("processes", 2).run(flow(*adders, both.after(*adders)))
    assert sorted(run.value) == ["a", "b"]
    assert sorted([len(run["one"]), len(run["two"])]) == [1, 2]


def test_threads_of_a_body_in_a_process_take_turns() -> None:
    count = Channel("count", int, default=0)

    @task
    def body() -> int:
        here = current()

        def work() -> None:
            for _ in range(20):
                count.update(lambda n: n + 1)
                assert not here.cancelled

        threads = [threading.Thread(target=copy_context().run, args=(work,)) for _ in range(4)]
        for one in threads:
            one.start()
        work()
        for one in threads:
            one.join()
        return count.get()

    assert LocalRunner("processes", 1).run(flow(body)).value == 100


@everywhere
def test_set_replaces_and_every_run_begins_with_the_default(make_runner: Callable[[], LocalRunner]) -> None:
    best = Channel("best", float | None, default=None)

    @task
    def body() -> list[float | None]:
        before = best.get()
        best.set(1.5)
        return [before, best.get(), best.update(lambda old: None), best.get()]

    runner = make_runner()
    assert [runner.run(flow(body)).value for _ in range(2)] == [[None, 1.5, None, None]] * 2


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@everywhere
def test_what_bodies_get_and_set_are_copies(make_runner: Callable[[], LocalRunner]) -> None:
    seen = Channel("seen", dict[str, list[int]], default={"rows": []})

    @task
    def body() -> list[object]:
        seen.get()["rows"].append(1)
        mine = {"rows": [2]}
        unchanged = seen.get()
        seen.set(mine)
        mine["rows"].append(3)
        made = seen.update(lambda old: {"rows": [*old["rows"], 4]})
        made["rows"].append(5)
        return [unchanged, seen.get()]

    assert make_runner().run(flow(body)).value == [{"rows": []}, {"rows": [2, 4]}]
    assert seen.default == {"rows": []}


@everywhere
def test_values_of_classes_of_the_program_keep_their_class(make_runner: Callable[[], LocalRunner]) -> None:
    @dataclass(frozen=True)
    class Local:
        x: int

    here = Channel("here", Local, default=Local(1))
    there = Channel("there", Point, default=Point(1))

    @task
    def one() -> None:
        here.update(lambda p: Local(p.x + 1))
        there.update(lambda p: Point(p.x + 1))

    @task
    def two() -> tuple[int, int]:
        return here.update(lambda p: Local(p.x + 1)).x, there.update(lambda p: Point(p.x + 1)).x

    assert make_runner().run(flow(one, two.after(one))).value == (3, 3)


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        (int, True, True),
        (float, 3, 3.0),
        (complex, 2.5, 2.5 + 0j),
        (object, "x", "x"),
        (Any, [1], [1]),
        (None, None, None),
        (int | None, None, None),
        (list[int], [1, 2], [1, 2]),
        (dict[str, tuple[int, ...]], {"a": (1, 2)}, {"a": (1, 2)}),
        (Sequence[int], (1, 2), (1, 2)),
        (Literal["slow", "fast"], "fast", "fast"),
        (UserId, 3, 3),
        (Movie, {"title": "Alien"}, {"title": "Alien"}),
        (Row, Row(n=1), Row(n=1)),
        (list[Row], [Row(n=1)], [Row(n=1)]),
        (Point, Point(1), Point(1)),
        (Annotated[int, Field(ge=0)], 0, 0),
        (Annotated[int, ["metadata without a hash"]], 4, 4),
    ],
    ids=str,
)
def test_values_of_the_type_are_taken(kind: Any, value: Any, kept: Any) -> None:
    channel = Channel("c", kind, value)
    assert channel.default == kept
    assert type(channel.default) is type(kept)


def test_classes_that_pydantic_does_not_know_may_stand_in_a_list() -> None:
    tickets = [Ticket()]
    assert Channel("tickets", list[Ticket], tickets).default[0] is tickets[0]


NOT_TAKEN: list[tuple[Any, Any, str]] = [
    (int, "3", "channel 'c' holds int, and its default is '3', of type str"),
    (int, 3.0, "channel 'c' holds int, and its default is 3.0, of type float"),
    (str, None, "channel 'c' holds str, and its default is None, of type NoneType"),
    (float, "3", "channel 'c' holds float, and its default is '3', of type str"),
    (Point, (1,), "channel 'c' holds Point, and its default is (1,), of type tuple"),
    (Row, {"n": 1}, "channel 'c' holds Row, and its default is {'n': 1}, of type dict"),
    (
        list[int],
        [1, "3"],
        (
            "channel 'c' holds list[int], and its default is [1, '3'], of type list: at [1]: Input should be a valid "
            "integer"
        ),
    ),
    (
        dict[str, int],
        {"a": "1", "b": "2"},
        (
            "channel 'c' holds dict[str, int], and its default is {'a': '1', 'b': '2'}, of type dict: at ['a']: Input "
            "should be a valid integer (and 1 more)"
        ),
    ),
    (
        UserId,
        "7",
        "channel 'c' holds UserId, and its default is '7', of type str: Input should be a valid integer",
    ),
    (
        Movie,
        {"title": 3},
        (
            "channel 'c' holds Movie, and its default is {'title': 3}, of type dict: at ['title']: Input should be a "
            "valid string"
        ),
    ),
    (
        Annotated[int, Field(ge=0)],
        -1,
        "channel 'c' holds int, and its default is -1, of type int: Input should be greater than or equal to 0",
    ),
]


@pytest.mark.parametrize(("kind", "value", "words"), NOT_TAKEN)
def test_a_default_that_is_not_of_the_type_is_refused(kind: Any, value: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Channel("c", kind, value)
    assert str(caught.value) == words


@everywhere
def test_a_body_may_set_only_what_is_of_the_type(make_runner: Callable[[], LocalRunner]) -> None:
    rows: Channel[Any] = Channel("rows", list[int], default=[])

    def problem_of(call: Callable[[], Any]) -> str:
        with pytest.raises(ConfigurationError) as caught:
            call()
        return str(caught.value)

    @task
    def body() -> tuple[list[str], list[int]]:
        texts = [
            problem_of(lambda: rows.set("3")),
            problem_of(lambda: rows.update(lambda old: old.append(1))),
        ]
        return texts, rows.get()

    texts, left = make_runner().run(flow(body)).value
    assert texts == [
        "channel 'rows' holds list[int], and set() was given '3', of type str: Input should be a valid list",
        (
            "channel 'rows' holds list[int], and the function of update() returned None, of type NoneType; return the "
            "new value: Input should be a valid list"
        ),
    ]
    assert left == []


@everywhere
def test_values_must_pickle(make_runner: Callable[[], LocalRunner]) -> None:
    held = Channel("held", object, default=None)

    @task
    def body() -> str:
        with pytest.raises(SerializationError) as caught:
            held.set([threading.Lock()])
        assert held.get() is None
        return str(caught.value)

    words = make_runner().run(flow(body)).value
    assert words.startswith("a value of channel 'held' cannot be kept: ")
    assert "lock" in words


# ── definitions ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["", "a b", "a/b", "-a", "ä", "x" * 201, None, 3], ids=repr)
def test_a_name_is_made_of_what_ids_are_made_of(name: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Channel(name, int, 0)
    assert str(caught.value) == (
        f"{name!r} is no name for a channel; use letters, digits, '_', '-' and '.', and start with a letter, a digit "
        f"or '_'"
    )


def test_a_type_that_nobody_can_check_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^channel 'c': nobody can check the type 3: "):
        Channel("c", 3, 0)
    with pytest.raises(ConfigurationError, match=r"^channel 'c': nobody can check the type Fleet: "):
        Channel("c", Fleet, Ticket())


def test_it_is_a_frozen_value() -> None:
    one, other = Channel("c", list[int], default=[1]), Channel("c", list[int], default=[1])
    assert one == other
    assert hash(one) == hash(other)
    assert one != Channel("c", list[int], default=[2])
    assert one != Channel("c", list[str], default=[])
    assert one != Channel("d", list[int], default=[1])
    assert Channel("c", object, 1) != Channel("c", object, True)
    assert one != "c"
    assert pickle.loads(pickle.dumps(one)) == one
    assert repr(Channel("c", int, default=0)) == "Channel(name='c', type=<class 'int'>, default=0)"
    with pytest.raises(AttributeError):
        one.default = []  # type: ignore[misc]


@everywhere
def test_two_channels_of_one_name_are_refused(make_runner: Callable[[], LocalRunner]) -> None:
    one = Channel("count", int, default=0)
    others: list[Channel[Any]] = [Channel("count", int, default=1), Channel("count", list[int], default=[])]

    @task
    def define() -> None:
        one.set(5)

    @task
    def clash() -> list[str]:
        texts = []
        for other in others:
            for call in (other.get, lambda other=other: other.set(other.default)):
                with pytest.raises(ConfigurationError) as caught:
                    call()
                texts.append(str(caught.value))
        assert one.get() == 5
        return texts

    texts = make_runner().run(flow(define, clash.after(define))).value
    told = "two channels of one run are named 'count': Channel('count', int, default=0) and Channel('count', {}); "
    cure = "define it once, or give one of them another name"
    assert texts == [(told + cure).format(other) for other in ["int, default=1"] * 2 + ["list[int], default=[]"] * 2]


@everywhere
def test_equal_channels_of_one_name_are_one(make_runner: Callable[[], LocalRunner]) -> None:
    @task
    def write() -> None:
        Channel("c", dict[str, int], default={"a": 1, "b": 2}).update(lambda old: {**old, "a": 5})

    @task
    def look() -> int:
        return Channel("c", dict[str, int], default={"b": 2, "a": 1}).get()["a"]

    assert make_runner().run(flow(write, look.after(write))).value == 5


# ── where it works ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["get", "set", "update"])
def test_outside_of_a_body_it_says_what_to_do(method: str) -> None:
    count = Channel("count", int, default=0)
    calls: dict[str, Callable[[], Any]] = {
        "get": count.get,
        "set": lambda: count.set(1),
        "update": lambda: count.update(lambda n: n + 1),
    }
    with pytest.raises(ConfigurationError) as caught:
        calls[method]()
    assert str(caught.value) == (
        f"channel 'count': {method}() was called where no task runs; call it in a function that a runner runs as a "
        f"task, and start threads of that function with contextvars.copy_context().run, because they do not inherit "
        f"where they are"
    )


@everywhere
def test_the_function_of_an_update_must_not_change_the_same_channel(make_runner: Callable[[], LocalRunner]) -> None:
    count = Channel("count", int, default=0)
    other = Channel("other", int, default=0)

    @task
    def body() -> tuple[list[str], int, int]:
        texts: list[str] = []

        def change(n: int) -> int:
            for call in (lambda: count.set(9), lambda: count.update(lambda n: 9)):
                with pytest.raises(ConfigurationError) as caught:
                    call()
                texts.append(str(caught.value))
            return n + 1 + count.get() + other.update(lambda n: n + 1)

        return texts, count.update(change), count.update(lambda n: n + 1)

    texts, *values = make_runner().run(flow(body)).value
    assert texts == [
        f"channel 'count': {method}() was called in the function of an update() of the same channel; return the new "
        f"value instead"
        for method in ("set", "update")
    ]
    assert values == [2, 3]


@everywhere
def test_what_a_failed_attempt_changed_stays(make_runner: Callable[[], LocalRunner]) -> None:
    count = Channel("count", int, default=0)

    @task(retry=Retry(2, Exponential(0)))
    def body() -> int:
        n = count.update(lambda n: n + 1)
        if current().attempt == 1:
            raise ValueError("once")
        return n

    assert make_runner().run(flow(body)).value == 2


TOO_LATE = (
    "a channel was used by an attempt at task 'body' that is over: it took too long, its run was given up, or a thread "
    "that it started outlived it; wait for such threads in the body"
)


def test_an_attempt_that_took_too_long_changes_nothing() -> None:
    count = Channel("count", int, default=0)
    late, done = threading.Event(), threading.Event()
    texts: list[str] = []

    @task(timeout=0.05)
    def body() -> None:
        late.wait(60)
        for call in (count.get, lambda: count.set(1), lambda: count.update(lambda n: n + 1)):
            try:
                call()
            except ConfigurationError as error:
                texts.append(str(error))
        done.set()

    run = LocalRunner("threads", 1).run(flow(body), check=False)
    late.set()
    assert done.wait(60)
    assert run.state is RunState.FAILED
    assert texts == [TOO_LATE] * 3


LEFT: dict[str, Any] = {}
"""What one attempt leaves to the next one in the same process."""


def test_a_thread_that_outlives_its_attempt_in_a_process_is_told_so() -> None:
    large = Channel("large", bytes, default=b"")

    @task
    def body() -> None:
        from tests.unit import test_channels

        started = threading.Event()

        def work() -> None:
            try:
                while True:
                    assert large.update(lambda old: LARGE) == LARGE
                    started.set()
            except ConfigurationError as error:
                test_channels.LEFT["text"] = str(error)

        thread = threading.Thread(target=copy_context().run, args=(work,), daemon=True)
        test_channels.LEFT["thread"] = thread
        thread.start()
        started.wait()

    @task
    def after() -> tuple[str, bool]:
        from tests.unit import test_channels

        test_channels.LEFT["thread"].join()
        return test_channels.LEFT["text"], large.get() == LARGE

    assert LocalRunner("processes", 1).run(flow(body, after.after(body))).value == (TOO_LATE, True)


def test_a_process_that_a_body_forks_cannot_use_it() -> None:
    count = Channel("count", int, default=0)

    @task
    def body() -> str:
        told, tell = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                count.update(lambda n: n + 1)
            except BaseException as error:
                os.write(tell, str(error).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        os.close(tell)
        with os.fdopen(told) as answer:
            return answer.read()

    words = LocalRunner("processes", 1).run(flow(body)).value
    assert words == (
        "channel 'count' was used in a process that the task's body started, where nobody hears of it; have that "
        "process return what it knows, and use the channel in the body"
    )


# ── processes that die, are cancelled, are interrupted ──────────────────────────────────────────────────────────────


def test_a_process_killed_in_the_middle_of_an_update_leaves_the_channel_usable() -> None:
    count = Channel("count", int, default=0)

    @task
    def dies() -> None:
        count.update(lambda n: n + 1)
        count.update(lambda n: os.kill(os.getpid(), signal.SIGKILL) or n + 100)

    @task
    def lives() -> int:
        return count.update(lambda n: n + 1)

    run = LocalRunner("processes", 1).run(flow(dies, lives), check=False)
    assert isinstance(run.tasks["dies"].error, WorkerLostError)
    assert run["lives"] == 2


def test_a_process_killed_while_it_asks_leaves_the_channel_usable() -> None:
    count = Channel("count", int, default=0)
    large = Channel("large", bytes, default=b"")

    @task
    def dies() -> None:
        large.set(LARGE)
        asks = threading.Thread(target=copy_context().run, args=(lambda: [large.get() for _ in range(1000)],))
        asks.start()
        count.update(lambda n: n + 1)
        os.kill(os.getpid(), signal.SIGKILL)

    @task
    def lives() -> tuple[int, int]:
        return count.update(lambda n: n + 1), len(large.get())

    run = LocalRunner("processes", 1).run(flow(dies, lives), check=False)
    assert isinstance(run.tasks["dies"].error, WorkerLostError)
    assert run["lives"] == (2, len(LARGE))


def test_a_cancelled_run_is_heard_between_answers() -> None:
    large = Channel("large", bytes, default=b"")

    @task
    def body() -> None:
        large.set(LARGE)
        while not current().cancelled:
            assert large.get() == LARGE
            current().progress(1, 1)

    handle = LocalRunner("processes", 2).start(flow(body.named("one"), body.named("two")), check=False)
    for event in handle.events():
        if type(event).__name__ == "TaskProgress":
            handle.cancel()
    run = handle.wait()
    assert run.state is RunState.CANCELLED
    assert [record.state for record in run.tasks.values()] == [TaskState.SUCCEEDED] * 2


def test_a_cancellation_in_the_middle_of_an_answer_comes_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    large = Channel("large", bytes, default=b"")
    ready = Child._ready

    def cancelled_meanwhile(child: Child, pipe: Any) -> bool:
        if pipe is child._room:  # before each part of a message
            child.cancel()
        return ready(child, pipe)

    @task
    def body() -> tuple[bool, bool]:
        large.set(LARGE)
        return large.get() == LARGE, current().cancelled

    monkeypatch.setattr(Child, "_ready", cancelled_meanwhile)
    assert LocalRunner("processes", 1).run(flow(body)).value == (True, True)


def test_a_signal_handler_that_raises_leaves_the_channel_usable() -> None:
    count = Channel("count", int, default=0)

    @task
    def body() -> bool:
        class Alarm(BaseException):
            pass

        def ring(*_: object) -> None:
            raise Alarm

        signal.signal(signal.SIGALRM, ring)
        for _ in range(20):
            mine = count.get()
            signal.setitimer(signal.ITIMER_REAL, 0.003)
            try:
                while True:
                    mine = count.update(lambda n: n + 1)
            except Alarm:
                # What was under way when the bell rang may have counted.
                if count.get() - mine not in (0, 1):
                    return False
        return True

    @task
    def after() -> bool:
        n = count.get()
        return count.update(lambda n: n + 1) == n + 1

    run = LocalRunner("processes", 1).run(flow(body, after.after(body)))
    assert (run["body"], run.value) == (True, True)


# ── from outside of the run ─────────────────────────────────────────────────────────────────────────────────────────


def test_those_who_watch_read_what_a_run_holds() -> None:
    channels, count = Channels(), Channel("count", int, default=3)
    assert read(channels, count) == 3
    assert channels.write(Channel("count", int, default=3), 5, 0)
    assert read(channels, count) == 5
    with pytest.raises(ConfigurationError, match="two channels of one run are named 'count'"):
        read(channels, Channel("count", str, default=""))


def test_reading_from_outside_does_not_decide_what_a_name_stands_for() -> None:
    channels = Channels()
    assert read(channels, Channel("count", str, default="")) == ""
    assert channels.write(Channel("count", int, default=0), 1, None)


def test_what_changed_is_told_once() -> None:
    channels, count, names = Channels(), Channel("count", int, 0), Channel("names", list[str], [])
    assert channels.changed() == {}
    channels.read(count)
    assert channels.changed() == {}
    channels.write(count, 1, None)
    channels.write(count, 2, None)
    channels.write(names, ["a"], 0)
    assert not channels.write(names, ["b"], 0)
    changed = channels.changed()
    assert {name: pickle.loads(payload) for name, payload in changed.items()} == {"count": 2, "names": ["a"]}
    assert channels.changed() == {}

    resumed = Channels()
    resumed.restore(changed)
    assert resumed.changed() == {}
    assert read(resumed, count) == 2
    assert resumed.write(count, 7, 0)
    assert read(resumed, count) == 7


def test_a_kept_value_of_another_type_is_refused() -> None:
    channels, names = Channels(), Channel("names", list[str], default=[])
    channels.restore({"names": pickle.dumps(3)})
    with pytest.raises(ConfigurationError) as caught:
        channels.read(names)
    assert str(caught.value) == (
        "channel 'names' holds list[str], and the run kept 3, of type int: Input should be a valid list"
    )


def test_a_value_that_cannot_be_rebuilt_is_an_error_of_its_own() -> None:
    channels, names = Channels(), Channel("names", list[str], default=[])
    channels.restore({"names": b"not a pickle"})
    with pytest.raises(SerializationError, match=r"^the value of channel 'names' cannot be rebuilt here: "):
        channels.read(names)


def test_at_a_distance_the_same_is_asked_with_bytes_alone() -> None:
    near, count = Channels(), Channel("count", int, default=0)

    def ask(method: str, *arguments: Any) -> Any:
        return getattr(near, method)(*pickle.loads(pickle.dumps(arguments)))

    far = DistantChannels(ask)
    assert far.read(count) == (0, 0)
    assert far.write(count, 4, 0)
    assert not far.write(count, 5, 0)
    assert near.read(count) == far.read(count) == (4, 1)
