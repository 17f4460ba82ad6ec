"""Every runner: `get_result` inside a task reads a direct upstream of the current run, through a captured block."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graflow import Block, LocalRunner, ResultUnavailableError, RunFailedError, Task, task, workflow

pytestmark = pytest.mark.timeout(60)


def test_through_a_captured_block(every_runner: LocalRunner) -> None:
    with workflow("batch") as wf:
        square = Task("square", lambda i: i * i)
        parts = [square(i).named(f"part_{i}") for i in range(4)]

        @task
        def total() -> int:
            return sum(wf.get_result(f"part_{i}") for i in range(4))

        for part in parts:
            part >> total
    assert wf.execute(runner=every_runner).value == 14
    assert wf.get_result("total") == 14  # outside of a task: of the last run


def test_of_a_data_upstream_by_task_and_through_a_gate(runner: LocalRunner) -> None:
    with workflow("w") as wf:
        a, b = Task("a", lambda: "a"), Task("b", lambda: "b")

        @task
        def one(given: str) -> Any:
            return given, wf.get_result(a), wf.get_result("b")

        @task
        def two() -> Any:
            return wf.get_result(a), wf.get_result(b)

        @task
        def last(first: Any, second: Any) -> Any:
            return first, second

        rights = (a | b) >> (one(a.out) | two)
        rights >> last
    assert wf.execute(runner=runner).value == (("a", "a", "b"), ("a", "b"))


def test_from_a_nested_block(runner: LocalRunner) -> None:
    with workflow("outer") as outer:
        first = Task("first", lambda: 1)
        with workflow("inner") as inner:

            @task
            def value() -> int:
                return 2

            @task
            def both() -> tuple[int, int]:
                return inner.get_result("value"), outer.get_result("inner/value")

            value >> both
        first >> inner
    assert outer.execute(runner=runner)["inner/both"] == (2, 2)


@pytest.mark.parametrize("wanted", ["far", "beside", "after"])
def test_another_task_than_a_direct_upstream_is_refused(runner: LocalRunner, wanted: str) -> None:
    with workflow("w") as wf:
        far, near, beside = (Task(id, lambda: 1) for id in ("far", "near", "beside"))

        @task
        def reader() -> Any:
            return wf.get_result(wanted)

        after = Task("after", lambda: 1)
        far >> near >> reader >> after
        wf.add(beside)
    with pytest.raises(RunFailedError) as caught:
        wf.execute(runner=runner)
    cause = caught.value.__cause__
    assert isinstance(cause, ResultUnavailableError)
    assert f"task 'reader' reads the result of {wanted!r}, which is no direct upstream of it" in str(cause)


def test_an_unknown_task_is_named_as_unknown(runner: LocalRunner) -> None:
    with workflow("w") as wf:

        @task
        def reader() -> Any:
            return wf.get_result("nowhere")

        wf.add(reader)
    with pytest.raises(RunFailedError, match="task 'reader' reads the result of 'nowhere', which is not in its work"):
        wf.execute(runner=runner)


def test_in_async_tasks_side_by_side(runner: LocalRunner) -> None:
    with workflow("w") as wf:
        a, b = Task("a", lambda: "a"), Task("b", lambda: "b")

        async def read(id: str) -> str:
            return str(wf.get_result(id))

        reads = [Task(f"read_{one.id}", read)(one.id).after(one) for one in (a, b)]
    run = wf.execute(runner=runner)
    assert [run[one] for one in reads] == ["a", "b"]


def test_a_block_may_come_as_an_input(runner: LocalRunner) -> None:
    with workflow("w") as wf:

        @task
        def first() -> int:
            return 7

        @task
        def reader(block: Block) -> Any:
            return block.get_result("first")

        first >> reader(wf)
    assert wf.execute(runner=runner)["reader"] == 7


MODULE = """
    from graflow import task, workflow

    with workflow("pipeline") as wf:

        @task
        def first() -> int:
            return 7

        @task
        def direct() -> int:
            return wf.get_result("first")

        @task
        def through_a_helper() -> int:
            return helper()

        first >> (direct | through_a_helper)


    def helper() -> int:
        return wf.get_result(first) + 1
"""


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module that can be imported here and in every process, with a block at its top level."""
    (tmp_path / "pipeline_with_block.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.syspath_prepend(tmp_path)
    import pipeline_with_block

    yield pipeline_with_block
    del sys.modules["pipeline_with_block"]


def test_from_a_block_at_the_top_of_a_module(runner: LocalRunner, pipeline: Any) -> None:
    """Importable functions travel by name; their block is then a global of a module imported over there."""
    run = pipeline.wf.execute(runner=runner)
    assert (run["direct"], run["through_a_helper"]) == (7, 8)
