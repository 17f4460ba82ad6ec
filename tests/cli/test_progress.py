"""Progress: what the events of a run add up to, and how it is told."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console

from graflow import LocalRunner, RunState, Task, TaskState, Workflow
from graflow.engine.events import (
    CancelRequested,
    Event,
    RunFinished,
    RunStarted,
    TaskCancelled,
    TaskFailed,
    TaskProgress,
    TaskRetrying,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
)
from graflow.errors import RemoteError
from graflow.show.board import Board, amount
from graflow.show.progress import MOST_LINES, MOST_RUNNING, Lines, Screen, error_text, follow, progress_on

STORY: list[Event] = [
    RunStarted("id", 100.0),
    TaskStarted("a", 1, 100.0, "thread-1"),
    TaskStarted("b", 1, 100.5, "thread-2"),
    TaskSucceeded("a", 1, 102.0, 2.0),
    TaskStarted("c", 1, 102.0, "thread-1"),
    TaskFailed("b", 1, 103.0, 2.5, ValueError("two\nlines")),
    TaskSkipped("d", "task 'b' failed", 103.0),
    CancelRequested("interrupted", 103.5),
    TaskCancelled("e", 103.5),
    TaskSucceeded("c", 1, 104.0, 2.0),
    RunFinished("id", RunState.CANCELLED, 104.0),
]


def test_the_board_adds_up() -> None:
    board = Board("flow", 5)
    said = []
    for event in STORY:
        board.see(event)
        said.append((board.ended, [task for task, _ in board.running]))
    assert said[5:7] == [(2, ["c"]), (3, ["c"])]
    assert said[-1] == (5, [])
    assert {state: board.count(state) for state in TaskState if board.count(state)} == {
        TaskState.SUCCEEDED: 2,
        TaskState.FAILED: 1,
        TaskState.SKIPPED: 1,
        TaskState.CANCELLED: 1,
    }
    assert board.words() == "5 of 5 tasks, 1 failed, 1 skipped, 1 cancelled"
    assert (board.state, board.seconds(999.0)) == (RunState.CANCELLED, 4.0)


def test_a_board_that_has_seen_nothing() -> None:
    board = Board("flow", 3)
    assert (board.words(), board.seconds(5.0), board.state) == ("0 of 3 tasks", 0.0, RunState.RUNNING)


def told(total: int, events: list[Event]) -> list[str]:
    stream = io.StringIO()
    with Lines(stream, "flow", total) as lines:
        for event in events:
            lines.see(event)
    return stream.getvalue().splitlines()


def test_each_task_of_a_small_run_gets_a_line() -> None:
    assert told(5, STORY) == [
        "[1/5] a succeeded in 2 s",
        "[2/5] b failed after 2.5 s: ValueError: two lines",
        "[3/5] d skipped: task 'b' failed",
        "interrupted: waiting for c to end; press Ctrl-C again to abandon it",
        "[5/5] c succeeded in 2 s",
    ]


def test_a_large_run_gets_a_line_for_each_tenth_and_each_failure() -> None:
    events: list[Event] = [TaskSucceeded(f"t{i}", 1, 0.0, 0.0) for i in range(1200)]
    events[500] = TaskFailed("t500", 1, 0.0, 0.001, ValueError("no"))
    lines = told(1200, events)
    assert lines[:2] == ["flow: 120 of 1,200 tasks", "flow: 240 of 1,200 tasks"]
    assert lines[4] == "[  501/1,200] t500 failed after 1 ms: ValueError: no"
    assert lines[-1] == "flow: 1,200 of 1,200 tasks, 1 failed"
    assert len(lines) == 11


def test_failures_without_end_do_not_flood() -> None:
    lines = told(1200, [TaskFailed(f"t{i}", 1, 0.0, 0.001, ValueError("no")) for i in range(1200)])
    assert sum(" failed after " in line for line in lines) == MOST_LINES
    assert lines.count("more tasks fail, without a line each") == 1
    assert lines[-1] == "flow: 1,200 of 1,200 tasks, 1,200 failed"
    few = told(MOST_LINES, [TaskFailed(f"t{i}", 1, 0.0, 0.001, ValueError("no")) for i in range(MOST_LINES)])
    assert sum(" failed after " in line for line in few) == len(few) == MOST_LINES


SLOW = OSError("two\nlines")


def test_a_retry_gets_a_line() -> None:
    assert told(
        2,
        [
            RunStarted("id", 100.0),
            TaskStarted("clean", 1, 100.0, "thread-1"),
            TaskRetrying("clean", 1, 101.0, 1.0, SLOW, 102.5),
            TaskStarted("clean", 2, 102.5, "thread-1"),
            TaskSucceeded("clean", 2, 103.5, 1.0),
        ],
    ) == ["retry clean (attempt 2 in 1.5 s): OSError: two lines", "[1/2] clean succeeded in 1 s"]


def test_a_task_that_waits_for_its_next_attempt_is_no_running_one() -> None:
    board = Board("flow", 2)
    for event in (RunStarted("id", 100.0), TaskStarted("clean", 1, 100.0, "w"), TaskStarted("load", 1, 100.0, "w")):
        board.see(event)
    board.see(TaskRetrying("clean", 1, 101.0, 1.0, SLOW, 102.5))
    assert board.words() == "0 of 2 tasks, 1 running, 1 retrying"
    assert board.retrying == [("clean", 2, 102.5, SLOW)]
    board.see(TaskStarted("clean", 2, 102.5, "w"))
    assert board.words() == "0 of 2 tasks, 2 running"
    board.see(TaskRetrying("clean", 2, 103.0, 1.0, SLOW, 110.0))
    board.see(TaskCancelled("clean", 104.0))
    assert board.words() == "1 of 2 tasks, 1 running, 1 cancelled"


def test_retries_without_end_do_not_flood() -> None:
    events: list[Event] = [RunStarted("id", 0.0)]
    events += [TaskRetrying("clean", attempt, 1.0, 1.0, SLOW, 2.0) for attempt in range(1, 1000)]
    lines = told(1, events)
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == "more retries follow, without a line each"


def test_cached_and_kept_tasks_are_counted_apart() -> None:
    board = Board("flow", 5)
    events: list[Event] = [
        TaskStarted("a", 1, 50.0, "w"),
        TaskSucceeded("a", 1, 51.0, 1.0, "resumed"),
        TaskStarted("b", 1, 51.0, "w"),
        TaskRetrying("b", 1, 52.0, 1.0, SLOW, 52.0),
        TaskStarted("c", 1, 52.0, "w"),
        RunStarted("id", 100.0),
        TaskStarted("c", 2, 100.0, "w"),
        TaskSucceeded("c", 2, 101.0, 1.0, "cache"),
    ]
    for event in events:
        board.see(event)
    assert board.words() == "2 of 5 tasks (1 cached, 1 kept)"
    assert board.seconds(101.0) == 1.0
    assert told(5, events) == ["flow: kept 1 of 5 tasks, which had succeeded", "[2/5] c cached"]


def test_a_large_run_that_goes_on_tells_what_it_kept_once() -> None:
    events: list[Event] = [TaskSucceeded(f"t{i}", 1, 1.0, 0.0, "resumed") for i in range(600)]
    events.append(RunStarted("id", 100.0))
    events += [TaskSucceeded(f"t{i}", 1, 101.0, 0.0) for i in range(600, 1200)]
    lines = told(1200, events)
    assert lines[0] == "flow: kept 600 of 1,200 tasks, which had succeeded"
    assert lines[-1] == "flow: 1,200 of 1,200 tasks (600 kept)"
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("done", "total", "shown"),
    [
        (340.0, 1000.0, "340/1,000"),
        (340.0, None, "340"),
        (0.25, 1.0, "0.25/1"),
        (0.0, 0.0, "0/0"),
        (12.0, 10.0, "12/10"),
    ],
)
def test_how_far_a_task_is(done: float, total: float | None, shown: str) -> None:
    assert amount(done, total) == shown


def test_a_run_whose_time_was_up() -> None:
    board = Board("flow", 1)
    for event in (RunStarted("id", 0.0), TaskCancelled("a", 5.0), RunFinished("id", RunState.TIMED_OUT, 5.0)):
        board.see(event)
    assert (board.state, board.words()) == (RunState.TIMED_OUT, "1 of 1 tasks, 1 cancelled")


def screen(width: int = 80, height: int = 24) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, force_terminal=True, width=width, height=height, color_system=None), stream


def picture(live: Screen, console: Console) -> list[str]:
    with console.capture() as capture:
        console.print(live._drawn())
    return capture.get().splitlines()


@pytest.mark.parametrize(("width", "height", "shown"), [(80, 24, MOST_RUNNING), (40, 24, MOST_RUNNING), (80, 6, 3)])
def test_the_screen_never_grows_out_of_its_terminal(width: int, height: int, shown: int) -> None:
    console, _ = screen(width, height)
    live = Screen(console, "flow", 1000)
    for i in range(100):
        live.see(TaskStarted(f"task_with_quite_a_long_name_{i}", 1, 0.0, "w"))
    lines = picture(live, console)
    assert len(lines) == 1 + shown + 1 <= height
    assert all(len(line) <= width for line in lines)
    assert lines[1].startswith("  task_with_quite_a_long_name_0")
    assert lines[-1] == f"  and {100 - shown} more"


def test_the_screen_shows_how_far_tasks_are_and_which_ones_wait() -> None:
    console, _ = screen()
    live = Screen(console, "flow", 1000)
    for event in (
        RunStarted("id", 100.0),
        TaskStarted("score", 1, 100.0, "w"),
        TaskProgress("score", 1, 340, 1000, 101.0),
        TaskStarted("clean", 1, 100.0, "w"),
        TaskRetrying("clean", 1, 101.0, 1.0, SLOW, 102.5),
        TaskProgress("clean", 1, 5, None, 101.5),
    ):
        live.see(event)
    head, *lines = picture(live, console)
    assert "0 of 1,000 tasks, 1 running, 1 retrying" in head
    assert lines[0].startswith("  score  340/1,000  ")
    assert lines[1:] == ["  clean  attempt 2 is due: OSError: two lines"]


def test_events_alone_draw_nothing_however_many() -> None:
    console, stream = screen()
    live = Screen(console, "flow", 1000)
    for i in range(1000):
        live.see(TaskStarted(f"task_{i}", 1, 0.0, "w"))
        live.see(TaskSucceeded(f"task_{i}", 1, 0.0, 0.0))
    assert stream.getvalue() == ""
    assert live._live.refresh_per_second == 10


def test_the_screen_is_gone_when_the_run_has_ended() -> None:
    console, stream = screen()
    with Screen(console, "flow", 5, keep_prints=False) as live:
        for event in STORY:
            live.see(event)
    assert stream.getvalue().endswith("\x1b[2K")
    assert "interrupted: waiting for c to end; press Ctrl-C again to abandon it" in stream.getvalue()


def test_markup_in_names_stays_text() -> None:
    console, _ = screen()
    assert picture(Screen(console, "[red]x[/red]", 1), console)[0].startswith("[red]x[/red]")


@contextmanager
def environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> Iterator[None]:
    with monkeypatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield


def test_only_a_terminal_that_can_move_its_cursor_gets_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(progress_on(Console(file=io.StringIO()), "flow", 1), Lines)
    with environment(monkeypatch, TERM="xterm"):
        assert isinstance(progress_on(Console(file=io.StringIO(), force_terminal=True), "flow", 1), Screen)
    with environment(monkeypatch, TERM="dumb"):
        assert isinstance(progress_on(Console(file=io.StringIO(), force_terminal=True), "flow", 1), Lines)


def test_following_a_run_tells_all_of_it() -> None:
    go = threading.Event()
    stream = io.StringIO()
    waits = Task("waits", lambda: go.wait(60))
    workflow = Workflow.builder("flow").add(waits).build(returns=waits)
    handle = LocalRunner().start(workflow)
    thread = follow(handle, Lines(stream, "flow", 1))
    go.set()
    assert handle.wait().value
    thread.join(60)
    assert not thread.is_alive()
    assert stream.getvalue().startswith("[1/1] waits succeeded in ")


def test_errors_are_told_whatever_they_do() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert error_text(ValueError("no")) == "ValueError: no"
    assert error_text(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert error_text(MuteError()) == "MuteError: (its __str__ raised ValueError)"
    assert error_text(RemoteError("module.Type", "far away")) == "module.Type: far away"
