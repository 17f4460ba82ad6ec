"""Every runner: what can be read from a run afterwards, and what is said where there is nothing to read."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from graflow import (
    LocalRunner,
    Ok,
    ResultUnavailableError,
    RunState,
    Task,
    TaskState,
    UnknownTaskError,
    Workflow,
    task,
    workflow,
)

pytestmark = pytest.mark.timeout(60)


@task
def first() -> int:
    return 1


@task
def second(x: int) -> int:
    return x + 1


@task
def bad(x: int) -> int:
    raise ValueError(f"cannot use {x}")


@task
def needs(x: int) -> int:
    return x


SMALL = Workflow.builder("small").add(first).add(second, first.out).build()
BROKEN = Workflow.builder("broken").add(first).add(bad, first.out).add(needs, bad.out).build(returns=first)


def test_results_by_task_and_by_id(runner: LocalRunner) -> None:
    run = SMALL.run(runner=runner)
    assert (run.value, run[first], run["first"], run[second], run["second"]) == (2, 1, 1, 2, 2)
    assert run[first.named("second").named("first")] == 1
    assert run[second(first.out)] == 2
    assert run.outcome(second) == Ok(2)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", run.id)


def test_records_tell_the_story_of_each_task(every_runner: LocalRunner) -> None:
    before = time.time()
    run = SMALL.run(runner=every_runner)
    after = time.time()
    assert list(run.tasks) == ["first", "second"]
    assert len(run.tasks) == 2
    for id in ("first", "second"):
        record = run.tasks[id]
        assert (record.id, record.state, record.attempts) == (id, TaskState.SUCCEEDED, 1)
        assert (record.error, record.reason) == (None, None)
        assert record.started is not None
        assert record.duration is not None
        assert record.duration >= 0
        assert before - 1 < record.started < after + 1  # the two clocks may differ a little
        assert re.fullmatch(r"inline|thread-[1-9]\d*|process-[1-9]\d*", record.worker or "")
        assert (record.worker or "").startswith(
            {"inline": "inline", "threads": "thread-", "processes": "process-"}[every_runner.executor]
        )
    one, two = run.tasks["first"], run.tasks["second"]
    assert one.started is not None
    assert one.duration is not None
    assert two.started is not None
    # Sums of floats around 1e9 are good to a microsecond.
    assert one.started + one.duration <= two.started + 1e-5
    with pytest.raises(KeyError):
        run.tasks["third"]


def test_records_of_a_failed_run(runner: LocalRunner) -> None:
    run = BROKEN.run(runner=runner, check=False)
    assert run.state is RunState.FAILED
    states = {id: record.state for id, record in run.tasks.items()}
    assert states == {"first": TaskState.SUCCEEDED, "bad": TaskState.FAILED, "needs": TaskState.SKIPPED}
    failed, skipped = run.tasks["bad"], run.tasks["needs"]
    assert type(failed.error) is ValueError
    assert (failed.attempts, failed.reason) == (1, None)
    assert failed.duration is not None
    assert (skipped.attempts, skipped.started, skipped.duration, skipped.worker) == (0, None, None, None)
    assert (skipped.error, skipped.reason) == (None, "task 'bad' failed")


def test_a_failed_run_still_has_its_value(runner: LocalRunner) -> None:
    assert BROKEN.run(runner=runner, check=False).value == 1


def refusal(run: Any, wanted: Any) -> str:
    with pytest.raises((ResultUnavailableError, UnknownTaskError)) as caught:
        run[wanted]
    return f"{type(caught.value).__name__}: {caught.value}"


def test_results_that_do_not_exist_say_why(runner: LocalRunner) -> None:
    run = BROKEN.run(runner=runner, check=False)
    failed = "ResultUnavailableError: task 'bad' has no result: it failed with ValueError: cannot use 1"
    assert refusal(run, bad) == refusal(run, "bad") == failed
    with pytest.raises(ResultUnavailableError) as caught:
        run["bad"]
    assert caught.value.__cause__ is run.tasks["bad"].error
    skipped = "ResultUnavailableError: task 'needs' has no result: task 'bad' failed"
    assert refusal(run, needs) == refusal(run, "needs") == skipped
    unknown = "UnknownTaskError: workflow 'broken' has no task 'third'; look at run.tasks for those it has"
    assert refusal(run, "third") == unknown
    assert refusal(run, first.named("third")) == unknown


def test_the_value_of_a_run_whose_returned_task_failed(runner: LocalRunner) -> None:
    run = Workflow.builder("w").add(first).add(bad, first.out).build().run(runner=runner, check=False)
    with pytest.raises(ResultUnavailableError, match="task 'bad' has no result: it failed with ValueError: cannot us"):
        run.value


def test_another_task_of_the_same_id_is_not_taken_for_this_one(near_runner: LocalRunner) -> None:
    run = SMALL.run(runner=near_runner)
    other = Task("first", lambda: 2)
    message = refusal(run, other)
    assert message.startswith("UnknownTaskError: workflow 'small' has a task 'first', but with another function: ")
    assert f"{__file__}:{first._definition.site.rpartition(':')[2]}" in message
    with pytest.raises(UnknownTaskError):
        run.outcome(other)


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_released_results_say_so(executor: Any) -> None:
    run = SMALL.run(runner=LocalRunner(executor, keep="returns"))
    assert run.value == run[second] == 2
    assert refusal(run, first) == (
        "ResultUnavailableError: the result of task 'first' was released when nobody needed it any more; "
        "run with keep='all' to read it afterwards"
    )
    assert run.tasks["first"].state is TaskState.SUCCEEDED


# ── start_node ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_start_node_runs_it_what_follows_and_what_these_need(runner: LocalRunner) -> None:
    with workflow("w") as wf:
        ids = ("a", "b", "c", "d", "side", "also_needed", "unrelated")
        a, b, c, d, side, also_needed, unrelated = (Task(id, lambda id=id: id) for id in ids)
        a >> b >> c
        also_needed >> c >> d
        b >> side
        wf.add(unrelated)
    run = wf.execute(runner=runner, start_node="c")
    assert list(run.tasks) == ["a", "also_needed", "b", "c", "d"]
    assert {id: run[id] for id in run.tasks} == {id: id for id in run.tasks}
    assert set(wf.execute(runner=runner, start_node=side).tasks) == {"a", "b", "side"}
    assert set(wf.execute(runner=runner).tasks) == set(ids)


def test_an_unknown_start_node_is_refused() -> None:
    with workflow("w") as wf:
        wf.add(first)
    with pytest.raises(UnknownTaskError, match="workflow 'w' has no task 'frist' to start from"):
        wf.execute(start_node="frist")
