"""Corners of runs in which something was wrong once."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.contract.diary import Diary

from graflow import (
    ConfigurationError,
    Exponential,
    Failed,
    LocalRunner,
    Outcome,
    Retry,
    RunCancelledError,
    RunConflictError,
    RunFailedError,
    RunState,
    RunTimeoutError,
    StoreError,
    Task,
    TaskState,
    Workflow,
    current,
)
from graflow.runners._workers import Crew
from graflow.stores import AttemptRow, Claim, LogRow, MemoryStore, Successes


def alone(task: Task[..., Any]) -> Workflow[None, Any]:
    return Workflow.builder("alone").add(task).build()


def one() -> int:
    return 1


#: Lets the bodies go that were left hanging: their threads must not outlive the test.
LEAVE = threading.Event()


@pytest.fixture(autouse=True)
def _leave() -> Iterator[None]:
    LEAVE.clear()
    yield
    LEAVE.set()


def hang() -> int:
    LEAVE.wait(60)
    return 0


async def later() -> str:
    await asyncio.sleep(0)
    logging.getLogger("corner").warning("awaited")
    return "later"


def gives_later() -> Any:
    logging.getLogger("corner").warning("called")
    return later()


def test_a_coroutine_from_a_plain_function_is_logged_and_cached_like_any_result() -> None:
    store = MemoryStore()
    for source in ("run", "cache"):
        run = LocalRunner("threads", 1, store=store).run(alone(Task("t", gives_later, cache=True)))
        assert (run.value, run.tasks["t"].source) == ("later", source)
        lines = [line.text for line in store.logs(run.id)]
        assert lines == (["called", "awaited"] if source == "run" else [])


def test_a_thread_that_is_stuck_in_a_later_attempt_does_not_hold_the_others() -> None:
    def first_awaits() -> Any:
        return asyncio.sleep(60) if current().attempt == 1 else hang()

    stuck = Task("a", first_awaits, timeout=0.1, retry=Retry(2, Exponential(initial=0)))
    tasks = [stuck, *(Task(f"t{i}", one) for i in range(20))]
    run = LocalRunner("threads", 1).run(Workflow.builder("w").add_all(tasks).build(), check=False)
    assert [run.tasks["a"].state, run.tasks["a"].attempts] == [TaskState.FAILED, 2]
    assert sum(record.state is TaskState.SUCCEEDED for record in run.tasks.values()) == 20


def test_a_process_that_is_ended_for_its_time_takes_no_other_task_along() -> None:
    several: list[Task[..., Any]] = []
    for i in range(10):
        several += [Task(f"late-{i}", hang, timeout=0.05), Task(f"well-{i}", one)]
    run = LocalRunner("processes", 2).run(Workflow.builder("w").add_all(several).build(), check=False)
    assert {id: record.state for id, record in run.tasks.items() if "well" in id} == {
        f"well-{i}": TaskState.SUCCEEDED for i in range(10)
    }


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_a_body_that_heeds_the_cancellation_runs_again_when_the_run_is_resumed(tmp_path: Path, executor: Any) -> None:
    diary = Diary(str(tmp_path / "diary"))

    def heeds() -> str:
        diary.note("begun")
        if len(diary.lines) > 1:
            return "whole"
        while not current().cancelled:
            threading.Event().wait(0.01)
        raise RunCancelledError("half of it")

    runner = LocalRunner(executor, store=MemoryStore())
    handle = runner.start(alone(Task("t", heeds)), check=False)
    while not diary.lines:
        threading.Event().wait(0.01)
    handle.cancel()
    run = handle.wait(60)
    assert (run.state, run.tasks["t"].state) == (RunState.CANCELLED, TaskState.CANCELLED)
    assert runner.resume(run.id, alone(Task("t", heeds))).value == "whole"


def test_an_ended_run_is_given_again_whatever_it_ended_as() -> None:
    runner = LocalRunner(store=MemoryStore())
    late = alone(Task("t", hang))
    with pytest.raises(RunTimeoutError, match=r"its timeout of 0\.05 s"):
        runner.run(late, run_id="late", timeout=0.05)
    with pytest.raises(RunTimeoutError, match=r"its timeout of 0\.05 s"):
        runner.run(late, run_id="late")


def test_a_nested_failure_is_the_same_when_it_is_read_back() -> None:
    def bad() -> int:
        raise ValueError("inside")

    def look(ended: Outcome[int]) -> bool:
        return isinstance(ended, Failed)

    inner = Workflow.builder("inner").add(Task("bad", bad)).build().as_task("nested")
    workflow = Workflow.builder("w").add(inner).add(Task("look", look), inner.outcome).build()
    runner = LocalRunner(store=MemoryStore())
    for _ in range(2):
        run = runner.run(workflow, run_id="n")
        assert run.value is True
        assert isinstance(run.outcome(inner), Failed)
        assert [type(event).__name__ for event in runner.start(workflow, run_id="n").events()][-1] == "RunFinished"


def test_a_run_goes_on_with_its_own_workflow_only() -> None:
    runner = LocalRunner(store=MemoryStore())
    runner.run(alone(Task("t", one)), run_id="n")
    with pytest.raises(RunConflictError, match="run 'n' is of workflow 'alone', not 'other'; resume it with that one"):
        runner.resume("n", Workflow.builder("other").add(Task("t", one)).build())


def test_a_run_that_succeeded_runs_the_tasks_that_came_to_its_workflow() -> None:
    runner = LocalRunner(store=MemoryStore())
    runner.run(alone(Task("t", one)), run_id="n")
    grown = Workflow.builder("alone").add(Task("t", one)).add(Task("new", gives)).build()
    assert runner.resume("n", grown).value == "new"


def gives() -> str:
    return "new"


def test_what_is_no_store_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="store=5 is neither a path nor a store"):
        LocalRunner(store=5)  # type: ignore[arg-type]


class Broken(MemoryStore):
    """Every write fails, in a way that nobody expects."""

    def write(
        self,
        claim: Claim,
        attempts: Sequence[AttemptRow],
        logs: Sequence[LogRow],
        successes: Successes | None = None,
    ) -> None:
        raise MemoryError("no memory")


def test_a_journal_that_breaks_is_told_each_time_and_with_what_failed_besides() -> None:
    def bad() -> None:
        raise ValueError("the real trouble")

    handle = LocalRunner(store=Broken()).start(alone(Task("bad", bad)))
    for _ in range(2):
        with pytest.raises(StoreError, match="MemoryError: no memory") as raised:
            handle.wait(60)
        assert "the real trouble" in "".join(raised.value.__notes__)


def test_a_run_cancelled_before_it_begins_is_kept_as_cancelled() -> None:
    store = MemoryStore()
    handle = LocalRunner(store=store).prepare(alone(Task("t", one)))
    handle.cancel("never mind")
    handle.drive()
    with pytest.raises(RunCancelledError):
        handle.wait(60)
    assert [(row.state, row.reason) for row in store.runs()] == [("cancelled", "never mind")]


def test_another_exception_than_ctrl_c_ends_the_run_too(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()

    def struck(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    runner = LocalRunner("threads", 1, store=store)
    handle = runner.prepare(alone(Task("t", one)))
    monkeypatch.setattr(Crew, "start_thread", struck)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        handle.drive()
    (row,) = store.runs()
    assert (row.state, row.alive) == ("cancelled", False)


def test_isolated_bodies_read_copies_through_their_block() -> None:
    from graflow import task, workflow

    with workflow("w") as block:

        @task
        def make() -> list[int]:
            return [1]

        @task
        def spoil() -> None:
            block.get_result(make).append(2)

        @task
        def read() -> list[int]:
            return block.get_result(make)

        make >> spoil >> read
        make >> read
    assert LocalRunner("inline", isolate=True).run(block.workflow)["read"] == [1]


def test_who_stops_listening_is_told_nothing_more() -> None:
    handle = LocalRunner().prepare(alone(Task("t", one)))
    events = iter(handle.events())
    next(events)
    assert len(handle._execution._listeners) == 1
    events.close()  # type: ignore[attr-defined]
    assert handle._execution._listeners == []
    handle.drive()


PROGRAM = {
    "jobs.py": """
        from graflow import LocalRunner, Task, Workflow

        def one():
            return 1

        print(LocalRunner("processes", 1).run(Workflow.builder("w").add(Task("one", one)).build()).value)
    """,
    "main.py": "import jobs",
}


def test_a_module_that_begins_a_run_when_it_is_imported_begins_no_chain_of_processes(tmp_path: Path) -> None:
    for name, text in PROGRAM.items():
        (tmp_path / name).write_text(textwrap.dedent(text))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "main.py")], capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode == 1
    assert "begin runs in a function, or under if __name__ == '__main__'" in done.stderr
    assert RunFailedError.__name__ in done.stderr


def test_an_async_body_that_does_not_heed_its_timeout_leaves_no_mess(capfd: pytest.CaptureFixture[str]) -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    run = LocalRunner().run(alone(Task("t", stubborn, timeout=0.05)), check=False)
    assert run.tasks["t"].state is TaskState.FAILED
    del run
    assert capfd.readouterr().err == ""


def test_what_a_long_attempt_logs_is_kept_while_it_lasts() -> None:
    store, leave = MemoryStore(), threading.Event()

    def tells() -> None:
        current().logger.info("begun")
        assert leave.wait(60)
        current().logger.info("done")

    handle = LocalRunner(store=store).start(alone(Task("t", tells)))
    while not store.logs(handle.id):
        threading.Event().wait(0.01)
    assert [line.text for line in store.logs(handle.id)] == ["begun"]
    leave.set()
    handle.wait(60)
    assert [line.text for line in store.logs(handle.id)] == ["begun", "done"]
