"""Runs whose shape grows: what the command line tells of maps, flags and tasks that go on with others."""

import io
import json
import re
import sys

import pytest

from graflow import LocalRunner, Task, Workflow, each
from graflow.cli._stored import items_of, place_of, tasks_of
from graflow.core.run import TaskRecord, TaskState
from graflow.engine.drive import Execution
from graflow.engine.events import (
    Event,
    MapOpened,
    RunStarted,
    TaskCancelled,
    TaskContinued,
    TaskFailed,
    TaskProgress,
    TaskRetrying,
    TaskStarted,
    TaskSucceeded,
)
from graflow.runners._handle import ItemRecords
from graflow.show.board import Board
from graflow.show.progress import MOST_ITEM_LINES, Lines
from graflow.stores.store import ITEMS, AttemptRow, RunRow, StoredRun

from .conftest import Call, Script

FLOW = """
    @task
    def rows() -> list[int]:
        return list(range(6))

    @task
    def score(row: int) -> int:
        if row in (2, 4):
            raise ValueError(f"no {row}")
        return row

    @task
    def down(n: int) -> int:
        return continue_with(down(n - 1)) if n else 0

    @task
    def is_big(rows: list[int]) -> bool:
        return len(rows) > 10

    @task
    def total(scores: object, n: int) -> int:
        return n

    scored = score.map(row=rows.each)
    big = is_big(rows.out)
    down_3 = down(3)
    only = total(scored.outcome, down_3.out).when(big.out)
    flow = Workflow.builder("flow").add_all([rows, scored, big, down_3]).add(only).build()
"""


def test_items_are_counted_without_a_record_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    def score(row: int) -> int:
        if row % 3 == 0:
            raise ValueError(row)
        return row

    scored = Task("score", score).map(each(range(100)))
    run = LocalRunner("inline").run(Workflow.builder("flow").add(scored).build(), check=False)
    items = run.items(scored)
    assert isinstance(items, ItemRecords)
    failed = [one for one in items if one.state is TaskState.FAILED]
    made: list[int] = []
    record = Execution.record

    def counted(self: Execution, i: int) -> TaskRecord:
        made.append(i)
        return record(self, i)

    monkeypatch.setattr(Execution, "record", counted)
    assert items.counts() == {TaskState.SUCCEEDED: 66, TaskState.FAILED: 34}
    assert made == []
    those = items.those(TaskState.FAILED)
    assert [next(those).id for _ in range(2)] == ["score[0]", "score[3]"]
    assert len(made) == 2
    assert list(items.those(TaskState.FAILED)) == failed
    assert list(items.those(TaskState.SKIPPED)) == []


def test_a_run_with_a_map(script: Script, call: Call) -> None:
    done = call("run", script(FLOW), "--run-id", "monday")
    assert (done.code, done.out) == (0, "")
    assert done.err.endswith("the run has no value: task 'total' has no result: `is_big` was false\n")
    assert "task 'score' failed in thread-" in done.err
    assert "ExceptionGroup: 2 of 6 items of task 'score' failed" in done.err
    assert re.search(r"task 'score\[2\]' failed in thread-\d: ValueError: no 2\n  flow.py:\d+ in score", done.err)
    assert re.search(r"score +failed +1 +\S+ \S+ +6 items: 4 succeeded, 2 failed\n", done.err)
    assert re.search(r"^score\[4\] failed after .*: ValueError: no 4$", done.err, re.M)
    assert "score[0]" not in done.err


def test_the_summary_for_programs(script: Script, call: Call) -> None:
    done = call("run", script(FLOW), "--json", "-q")
    tasks = {one["id"]: one for one in json.loads(done.out)["tasks"]}
    assert tasks["score"]["items"] == {"count": 6, "succeeded": 4, "failed": 2}
    assert tasks["total"]["reason"] == "`is_big` was false"
    assert "items" not in tasks["rows"]


class TestStored:
    @pytest.fixture(autouse=True)
    def monday(self, script: Script, call: Call) -> None:
        assert call("run", script(FLOW), "--run-id", "monday", "-q").code == 0

    def test_the_run(self, call: Call) -> None:
        shown = call("runs", "show", "monday").out
        assert re.search(r"score +failed +1 +\S+ \S+ +6 items: 4 succeeded, 2 failed\n", shown)
        assert re.search(r"down +succeeded +4 ", shown)
        assert re.search(r"total +skipped +0 +`is_big` was false\n", shown)
        assert shown.splitlines()[-1].endswith(": 3 succeeded, 1 failed, 1 skipped")
        assert "score[" not in shown

    def test_the_map(self, call: Call) -> None:
        story = call("runs", "story", "monday", "score").out.splitlines()
        assert story[0] == "task 'score' of run monday (flow): failed after 1 attempt"
        assert story[-4:] == [
            "items: 4 succeeded, 2 failed",
            "   score[2]: ValueError: no 2",
            "   score[4]: ValueError: no 4",
            "look into one: graflow runs story monday 'score[2]'",
        ]

    def test_one_item(self, call: Call) -> None:
        story = call("runs", "story", "monday", "score[4]").out.splitlines()
        assert story[0] == "task 'score[4]' of run monday (flow): failed after 1 attempt"
        assert story[1].startswith("1  failed     started ")
        assert story[2:] == ["   ValueError: no 4"]

    @pytest.mark.parametrize(
        ("task", "said"),
        [
            ("score[6]", "item score[6] has not begun; of 'score' 6 items have, up to 5"),
            ("rows[0]", "'rows' has no items; it is succeeded"),
            ("score[x]", "run monday has no task 'score[x]'; did you mean 'score'?"),
        ],
    )
    def test_no_such_item(self, call: Call, task: str, said: str) -> None:
        done = call("runs", "story", "monday", task)
        assert (done.code, done.out, done.err) == (2, "", f"Error: {said}\n")

    def test_a_task_that_went_on_counts_its_turns(self, call: Call) -> None:
        story = call("runs", "story", "monday", "down").out
        assert story.startswith("task 'down' of run monday (flow): succeeded after 4 attempts\n")
        assert "\n4  succeeded  started " in story
        assert "continued with another task\n" in story or "  continued  started " in story


def stored(*rows: tuple[int, int, str, str], alive: bool = False) -> StoredRun:
    """A run with these attempts: number, attempt, state and worker."""
    row = RunRow("monday", "w", "running", 0.0, None, "", "", 2, 0, 0, None, None, alive, "host:1")
    attempts = [AttemptRow(n, a, state, 1.0, None, worker, None, None, None, None) for n, a, state, worker in rows]
    return StoredRun(row, b"", b"", ("score", "approve"), ("", ""), "", attempts)


class TestRows:
    def test_items_are_no_tasks(self) -> None:
        of_items = [(ITEMS, 1, "succeeded", "w"), (3 * ITEMS, 1, "running", "w"), (3 * ITEMS, 2, "failed", "w")]
        score, approve = tasks_of(stored((0, 1, "running", "w"), *of_items, alive=True))
        assert [(item.id, item.place, item.state) for item in items_of(score)] == [
            ("score[0]", ITEMS, "succeeded"),
            ("score[2]", 3 * ITEMS, "failed"),
        ]
        assert (score.state, approve.state, list(items_of(approve))) == ("running", "waiting", [])

    def test_places(self) -> None:
        places = {"score": 5, "odd[3]": 6}
        assert place_of("score", places) == 5
        assert place_of("odd[3]", places) == 6
        assert place_of("score[0]", places) == 5 + ITEMS
        assert place_of("score[17]", places) == 5 + 18 * ITEMS
        with pytest.raises(KeyError):
            place_of("other[1]", places)

    @pytest.mark.parametrize("alive", [True, False])
    def test_a_signal_that_waits_is_not_lost_with_its_process(self, alive: bool) -> None:
        run = stored((1, 1, "running", ""), alive=alive)
        first = tasks_of(run)[0]
        assert (first.id, first.state, first.note) == ("approve", "awaiting", "")
        assert tasks_of(run, {"approve"})[0].note == "a value has arrived for it"


# ── progress ────────────────────────────────────────────────────────────────────────────────────────────────────────

NO = ValueError("no")


def opened(items: int) -> list[Event]:
    return [RunStarted("id", 0.0), TaskStarted("score", 1, 0.0, "w"), MapOpened("score", items, 0.0)]


def item(k: int, *, fails: bool = False) -> list[Event]:
    end: Event = TaskFailed("score", 1, 0.0, 0.0, NO, k) if fails else TaskSucceeded("score", 1, 0.0, 0.0, "run", k)
    return [TaskStarted("score", 1, 0.0, "w", k), end]


def seen(*events: Event, total: int = 3) -> Board:
    board = Board("flow", total)
    for event in events:
        board.see(event)
    return board


def test_the_items_of_a_map_are_one_line_and_no_tasks() -> None:
    board = seen(*opened(100_000), *item(0), *item(1, fails=True), TaskCancelled("score", 0.0, 2))
    assert board.words() == "0 of 3 tasks, 1 running"
    assert board.running == [("score", 0.0)]
    assert board.told("score") == "3/100,000 items, 1 failed"


def test_what_else_items_do_is_counted_or_left_out() -> None:
    board = seen(
        *opened(1),
        TaskRetrying("score", 1, 0.0, 0.0, NO, 1.0, 0),
        TaskProgress("score", 1, 3.0, 4.0, 0.0, 0),
        TaskContinued("score", 1, "other", 0.0, 0),
    )
    assert board.told("score") == "0/1 item, 1 retry"
    assert board.retrying == []


def test_a_map_that_has_ended_is_a_task_that_has() -> None:
    board = seen(*opened(1), *item(0), TaskSucceeded("score", 1, 0.0, 0.0))
    assert board.words() == "1 of 3 tasks"
    assert board.running == []


def test_an_item_of_an_unknown_map_disturbs_nothing() -> None:
    assert seen(*item(0)).words() == "0 of 3 tasks"


def test_a_board_does_not_grow_with_the_items() -> None:
    board = Board("flow", 1)
    for event in opened(2_000):
        board.see(event)

    def size() -> int:
        return sum(sys.getsizeof(value) for value in vars(board).values())

    before = size()
    for k in range(2_000):
        for event in item(k, fails=k % 2 == 0):
            board.see(event)
    assert size() == before


def test_a_task_that_goes_on_runs_again() -> None:
    board = seen(TaskStarted("a", 1, 0.0, "w"), TaskContinued("a", 1, "b", 1.0))
    assert board.words() == "0 of 3 tasks"
    board.see(TaskStarted("a", 2, 2.0, "w"))
    assert board.running == [("a", 2.0)]


def test_a_signal_waits_and_does_not_run() -> None:
    board = seen(TaskStarted("approve", 1, 5.0, ""), TaskStarted("a", 1, 5.0, "w"))
    assert board.words() == "0 of 3 tasks, 1 running, 1 awaiting a signal"
    assert (board.awaited, board.running) == ([("approve", 5.0)], [("a", 5.0)])
    board.see(TaskSucceeded("approve", 1, 6.0, 1.0))
    assert board.words() == "1 of 3 tasks, 1 running"
    assert board.awaited == []


def told(*events: Event) -> list[str]:
    stream = io.StringIO()
    with Lines(stream, "flow", 3) as lines:
        for event in events:
            lines.see(event)
    return stream.getvalue().splitlines()


def test_plain_lines_tell_tenths_of_many_items() -> None:
    lines = told(*opened(1_000), *(event for k in range(1_000) for event in item(k)))
    assert lines[:2] == ["score has 1,000 items", "score: 100/1,000 items"]
    assert lines[-1] == "score: 1,000/1,000 items"
    assert len(lines) == 11


def test_plain_lines_tell_nothing_of_few_items_that_succeed() -> None:
    assert told(*opened(100), *(event for k in range(100) for event in item(k))) == []


def test_plain_lines_tell_the_first_failures_of_items() -> None:
    lines = told(*opened(50), *(event for k in range(50) for event in item(k, fails=True)))
    assert lines[0] == "score[0] failed after 0 µs: ValueError: no"
    assert lines[-1] == "more items fail or are tried again, without a line each"
    assert len(lines) == MOST_ITEM_LINES + 1


def test_plain_lines_say_that_a_signal_is_waited_for() -> None:
    assert told(TaskStarted("approve", 1, 0.0, "")) == ["approve waits for a signal"]
