"""Runs whose shape grows, where it matters that the runner is `LocalRunner`."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graflow import (
    CancelRun,
    Channel,
    ConfigurationError,
    Failed,
    GraflowWarning,
    LocalRunner,
    Ok,
    RunFailedError,
    RunState,
    SignalError,
    Task,
    TaskState,
    TaskTimeoutError,
    Workflow,
    continue_with,
    current,
    each,
    inputs,
    signal,
    stop_run,
)
from graflow import testing as graflow_testing


def give(value: Any) -> Any:
    return value


def double(x: int) -> int:
    return 2 * x


def add_up(numbers: list[int]) -> int:
    return sum(numbers)


def built(*tasks: Task[..., Any]) -> Workflow[None, Any]:
    return Workflow.builder("w").add_all(tasks).build()


SOURCE = Task("source", give)([1, 2])
DOUBLES = Task("double", double).map(SOURCE.each)
MAPS = built(SOURCE, DOUBLES, Task("ends", give)(DOUBLES.outcome), Task("total", add_up)(DOUBLES.out))


# ── sizes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_hundred_thousand_items() -> None:
    source = Task("source", give)(range(100_000))
    mapped = Task("mapped", double).map(source.each)
    run = LocalRunner("threads", 2).run(built(source, mapped, Task("total", add_up)(mapped.out)))
    assert run.value == 99_999 * 100_000
    assert (len(run.items(mapped)), run.items(mapped)[-1].id) == (100_000, "mapped[99999]")


# ── what a store cannot hold ────────────────────────────────────────────────────────────────────────────────────────


class Flaky:
    """Something that works only once it has been mended, and gives what no store can hold if it is told to."""

    def __init__(self) -> None:
        self.mended = False
        self.times = 0

    def rows(self) -> list[Any]:
        self.times += 1
        return [(threading.Lock(), self.times, k) for k in range(3)]

    def second_fails(self, row: Any) -> Any:
        if row[2] == 1 and not self.mended:
            raise ConnectionError("away")
        return row[1:]

    def locks(self, k: int) -> Any:
        if k == 1 and not self.mended:
            raise ConnectionError("away")
        return threading.Lock()


def test_items_of_a_source_that_runs_again_run_again(tmp_path: Path) -> None:
    """They may be others than before, so the results of before are of no use."""
    flaky = Flaky()
    source = Task("source", flaky.rows)()
    workflow = built(source, Task("mapped", flaky.second_fails).map(source.each))
    runner = LocalRunner("inline", store=tmp_path / "runs.db")
    before = runner.run(workflow, check=False)
    assert before.state is RunState.FAILED
    flaky.mended = True
    after = runner.resume(before.id, workflow)
    assert after.value == [(2, 0), (2, 1), (2, 2)]


def test_items_whose_results_are_not_stored_run_again(tmp_path: Path) -> None:
    flaky = Flaky()
    source = Task("source", give)([0, 1, 2])
    workflow = built(source, Task("mapped", flaky.locks).map(source.each))
    runner = LocalRunner("inline", store=tmp_path / "runs.db")
    before = runner.run(workflow, check=False)
    assert before.state is RunState.FAILED
    flaky.mended = True
    assert len(runner.resume(before.id, workflow).value) == 3


def test_the_value_of_an_item_that_ends_the_run_is_kept() -> None:
    """Also by a runner that keeps no other result."""
    source = Task("source", give)([1, 2, 3])
    mapped = Task("mapped", stop_run).map(source.each)
    run = LocalRunner("inline", keep="returns").run(built(source, mapped))
    assert (run.state, run.value) == (RunState.SUCCEEDED, 1)


def test_the_value_of_a_task_that_ends_the_run_is_kept() -> None:
    """Likewise, whether anybody was to read it or not."""
    stops = Task("stops", stop_run)(5)
    for last in (Task("reads", double)(stops.out), Task("after", double)(1).after(stops), Task("beside", double)(1)):
        run = LocalRunner("inline", keep="returns").run(built(stops, last))
        assert (run.state, run.value) == (RunState.SUCCEEDED, 5)


# ── graflow.testing.run ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", [DOUBLES, Task("double", double), "double"], ids=["map", "task", "id"])
def test_a_map_is_replaced_with_a_list(key: Any) -> None:
    run = graflow_testing.run(MAPS, overrides={key: [7, 8, 9]})
    assert (run.value, run["ends"]) == (24, [Ok(7), Ok(8), Ok(9)])
    assert (run.tasks["double"].attempts, list(run.items("double"))) == (0, [])


def test_a_replaced_map_may_fail() -> None:
    run = graflow_testing.run(MAPS, overrides={DOUBLES: Failed(OSError("no network"))}, check=False)
    assert (run.state, str(run.tasks["double"].error)) == (RunState.FAILED, "no network")


@pytest.mark.parametrize("value", [7, Ok(7), Ok("ab"), (1, 2)], ids=repr)
def test_a_map_gives_a_list(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="the result of a map is a list with one result for each item"):
        graflow_testing.run(MAPS, overrides={DOUBLES: value})
    with pytest.raises(ConfigurationError, match=r"the task returns list\[int\], and this is list\[str\]"):
        graflow_testing.run(MAPS, overrides={DOUBLES: ["a"]})


def test_the_source_of_a_map_is_replaced() -> None:
    assert graflow_testing.run(MAPS, overrides={SOURCE: [5]}).value == 10
    assert graflow_testing.run(MAPS, overrides={SOURCE: []})["ends"] == []


def test_a_map_over_what_was_replaced() -> None:
    told = Task("told", give).map(each(DOUBLES.outcome))
    run = graflow_testing.run(built(SOURCE, DOUBLES, told), overrides={DOUBLES: [7]})
    assert run.value == [Ok(7)]


APPROVAL = signal("approval", bool)
ASKS = built(APPROVAL, Task("after", give)(APPROVAL.out))


def test_a_signal_is_replaced() -> None:
    assert graflow_testing.run(ASKS, overrides={APPROVAL: True}).value is True
    wrong: Any = "yes"
    with pytest.raises(ConfigurationError, match="the task returns bool, and this is str"):
        graflow_testing.run(ASKS, overrides={APPROVAL: wrong})
    run = graflow_testing.run(ASKS, overrides={"approval": Failed(TimeoutError("nobody there"))}, check=False)
    assert (str(run.tasks["approval"].error), str(run.tasks["after"].state)) == ("nobody there", "skipped")


def test_a_signal_that_nobody_replaces_fails() -> None:
    """A test must not wait for what nobody sends."""
    with pytest.raises(RunFailedError) as caught:
        graflow_testing.run(ASKS)
    error = caught.value.failures["approval"]
    assert type(error) is SignalError
    assert "nobody sends while graflow.testing.run lasts; give it one: overrides={'approval': ...}" in str(error)


def test_a_signal_that_comes_too_late_takes_no_time() -> None:
    late = signal("late", bool, timeout=3600)
    run = graflow_testing.run(built(late), check=False)
    assert type(run.tasks["late"].error) is TaskTimeoutError


def test_a_flag_is_replaced() -> None:
    is_big = Task("is_big", give)(True)
    workflow = built(is_big, Task("big", double)(1).when(is_big.out))
    assert graflow_testing.run(workflow).value == 2
    run = graflow_testing.run(workflow, overrides={is_big: False})
    assert run.tasks["big"].reason == "`is_big` was false"


# ── going on ────────────────────────────────────────────────────────────────────────────────────────────────────────


def upper(text: str) -> str:
    return text.upper()


def over_known() -> list[str]:
    return continue_with(Task("upper", upper).map(each(["a", "b"])))


def switched_off() -> str:
    return continue_with(Task("upper", upper)("a").when(False))


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_a_task_goes_on_with_more_than_a_call(executor: Any) -> None:
    runner = LocalRunner(executor, 1)
    assert runner.run(built(Task("go", over_known))).value == ["A", "B"]
    error = runner.run(built(Task("go", switched_off)), check=False).tasks["go"].error
    assert str(error) == "task 'upper' has no result: it was made to run only when(False)"


class Levels(BaseModel, frozen=True):
    left: int


seen = Channel("seen", int, default=0)


def descend(left: int) -> int:
    seen.update(lambda n: n + 1)
    return continue_with(LEVELS.as_task("levels")(Levels(left=left - 1))) if left else 7


_DESCEND = Task("descend", descend)
LEVELS = Workflow.builder("levels", inputs=Levels).add(_DESCEND, left=inputs(Levels).left).build()


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_a_workflow_goes_on_with_itself_and_shares_all_with_the_run_around_it(executor: Any) -> None:
    """Deeper than the stack is, and with one channel."""
    run = LocalRunner(executor, 1).run(built(Task("start", descend)(400)))
    assert (run.value, run.tasks["start"].attempts, run.channel(seen)) == (7, 401, 401)


def stops() -> int:
    return stop_run(5)


def into_a_stop() -> int:
    return continue_with(built(Task("stops", stops)).as_task("inner")())


def test_a_stop_inside_of_a_workflow_that_a_task_went_on_with_ends_the_run() -> None:
    start = Task("start", into_a_stop)
    run = LocalRunner("inline").run(built(start, Task("after", double)(start.out)))
    assert (run.value, run.state) == (5, RunState.SUCCEEDED)
    assert run.tasks["after"].reason == "task 'start' stopped the run"


def test_a_workflow_that_a_task_went_on_with_is_called_off_with_the_run() -> None:
    began, ended = threading.Event(), threading.Event()

    def waits() -> None:
        began.set()
        while not current().cancelled:
            ended.wait(0.001)

    inner = built(Task("waits", waits), Task("never", ended.set).after(Task("waits", waits)))
    handle = LocalRunner("threads").start(
        built(Task("start", lambda: continue_with(inner.as_task("inner")()))), check=False
    )
    began.wait()
    handle.cancel()
    run = handle.wait()
    assert (run.state, run.tasks["start"].state) == (RunState.CANCELLED, TaskState.CANCELLED)
    assert not ended.is_set()


def test_a_cancellation_is_raised_and_not_returned() -> None:
    error = LocalRunner("inline").run(built(Task("ends", give)(CancelRun("enough"))), check=False).tasks["ends"].error
    assert str(error) == "task 'ends' returned CancelRun('enough'), which is to be raised: raise CancelRun(...)"


def test_a_timeout_of_the_next_task_holds_although_the_run_knew_none() -> None:
    def slow() -> None:
        while not current().cancelled:
            pass

    start = Task("start", lambda: continue_with(Task("slow", slow, timeout=0.05)()))
    error = LocalRunner("threads").run(built(start), check=False).tasks["start"].error
    assert isinstance(error, TaskTimeoutError)


@pytest.mark.parametrize("make", [lambda: continue_with(Task("upper", upper)("a")), lambda: stop_run(3)])
def test_a_turn_that_is_not_returned_is_told_of(make: Any) -> None:
    def forgets() -> int:
        make()
        return 1

    with pytest.warns(GraflowWarning, match="was made and not returned, so nothing comes of it; return it"):
        assert LocalRunner("inline").run(built(Task("forgets", forgets))).value == 1


@pytest.mark.parametrize("isolate", [False, True])
@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_a_turn_that_is_returned_is_not(executor: Any, isolate: bool, recwarn: pytest.WarningsRecorder) -> None:
    runner = LocalRunner(executor, 1, isolate=isolate)
    runner.run(built(Task("go", over_known)))
    runner.run(built(Task("start", descend)(3)))
    runner.run(built(Task("start", into_a_stop)))
    assert not [one for one in recwarn if isinstance(one.message, GraflowWarning)]
