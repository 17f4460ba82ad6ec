"""Runs that are kept: their names, resuming, and the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from graflow.core.placeholder import inputs
from graflow.core.policy import Cache
from graflow.core.run import Runner, RunState
from graflow.core.task import Task
from graflow.core.workflow import Workflow
from graflow.errors import RunConflictError, RunFailedError, StoreError, WorkflowChangedError
from graflow.testing import _bodies as bodies
from graflow.testing._contract._base import Contract, built, end, needs, states
from graflow.testing._models import Order
from graflow.testing._notebook import PATIENCE, Notebook

Make = Callable[[], Runner]


def sources(run: Any) -> dict[str, str]:
    """Where the result of each task came from."""
    return {id: record.source for id, record in run.tasks.items()}


def flaky(book: Notebook, value: Any = 1) -> Workflow[None, Any]:
    """Three tasks in a row; the second fails until it is mended."""
    first = Task("first", bodies.noted)(book, f"first {value}")
    second = Task("second", bodies.fail_unless)(book, "second", first.out)
    third = Task("third", bodies.noted)(book, "third", second.out)
    return built(first, second, third)


class Kept(Contract):
    """For runners with a store: `keeps_runs`."""

    # ── names ───────────────────────────────────────────────────────────────────────────────────────────────────

    @needs("keeps_runs")
    def test_the_same_name_gives_the_same_run(self, make: Make, book: Notebook) -> None:
        """Run again under its name, also by another runner, a run that has ended gives its results once more."""
        first = Task("first", bodies.noted)(book, "first")
        workflow = built(first, Task("second", bodies.collect)(first.out, 5))
        one = make().run(workflow, run_id="nightly-7")
        other = make().run(workflow, run_id="nightly-7")
        assert (one.id, one.value) == (other.id, other.value) == ("nightly-7", (("first", 5), {}))
        assert (other.state, other["first"], states(other)) == (RunState.SUCCEEDED, "first", states(one))
        assert book.lines == ["first"]

    @needs("keeps_runs")
    def test_a_run_that_failed_is_not_tried_again_under_its_name(self, make: Make, book: Notebook) -> None:
        """It gives its failure once more; `Runner.resume` tries again."""
        workflow = flaky(book)
        for _ in range(2):
            with pytest.raises(RunFailedError) as caught:
                make().run(workflow, run_id="nightly-7")
            assert type(caught.value.failures["second"]) is ConnectionError
        assert book.lines == ["first 1", "tries second"]

    @needs("keeps_runs")
    def test_a_name_stands_for_one_run_only(self, make: Make) -> None:
        """Other inputs, other wiring or another workflow under a name that is taken are a `RunConflictError`."""
        source = inputs(Order)
        give = Task("give", bodies.give)
        workflow = Workflow.builder("w", inputs=Order).add(give, source.name).build()
        runner = make()
        assert runner.run(workflow, Order(name="a"), run_id="mine").value == "a"
        with pytest.raises(RunConflictError, match="run 'mine' has other inputs"):
            make().run(workflow, Order(name="b"), run_id="mine")
        with pytest.raises(RunConflictError, match="run 'mine' is of workflow 'w', not 'other'"):
            runner.run(built(give("a"), name="other"), run_id="mine")
        assert runner.run(workflow, Order(name="a"), run_id="mine").value == "a"

    @needs("keeps_runs")
    def test_a_run_under_way_belongs_to_one(self, make: Make, book: Notebook) -> None:
        """Its name cannot be run or resumed by another as long as it lasts."""
        runner, workflow = make(), built(Task("door", bodies.door)(book, "door"))
        handle = runner.start(workflow, run_id="mine")
        book.wait("door-in")
        try:
            for other in (runner, make()):
                with pytest.raises(RunConflictError, match="mine"):
                    other.run(workflow, run_id="mine")
                with pytest.raises(RunConflictError, match="mine"):
                    other.resume("mine", workflow)
        finally:
            book.mark("door-open")
        assert handle.wait(PATIENCE).value == "door"
        assert make().run(workflow, run_id="mine").value == "door"

    # ── resuming ────────────────────────────────────────────────────────────────────────────────────────────────

    @needs("keeps_runs")
    @pytest.mark.parametrize("given", [True, False], ids=["workflow", "name"])
    def test_a_run_that_failed_goes_on_where_it_failed(self, make: Make, book: Notebook, given: bool) -> None:
        """What succeeded does not run again, its results are those of before; attempts count on."""
        workflow = flaky(book)
        before = end(make(), workflow)
        assert (before.state, states(before)["third"]) == (RunState.FAILED, "skipped")
        with pytest.raises(RunFailedError):
            make().resume(before.id, workflow)
        book.mark("second")
        after = make().resume(before.id, workflow if given else None)
        assert (after.id, after.state, after.value) == (before.id, RunState.SUCCEEDED, "third")
        assert (after["first"], after["second"]) == ("first 1", "first 1")
        assert sources(after) == {"first": "resumed", "second": "run", "third": "run"}
        assert after.tasks["second"].attempts == 3
        assert book.lines == ["first 1", "tries second", "tries second", "tries second", "third"]
        assert make().resume(before.id, workflow).value == "third"
        assert len(book.lines) == 5

    @needs("keeps_runs")
    def test_a_run_that_was_cancelled_goes_on(self, make: Make, book: Notebook) -> None:
        """What had not started runs now."""
        door = Task("door", bodies.door)(book, "door")
        workflow = built(door, Task("next", bodies.noted)(book, "next", door.out))
        handle = make().start(workflow, check=False)
        book.wait("door-in")
        handle.cancel()
        book.mark("door-open")
        assert handle.wait(PATIENCE).state is RunState.CANCELLED
        run = make().resume(handle.id)
        assert (run.value, sources(run)) == ("next", {"door": "resumed", "next": "run"})

    @needs("keeps_runs")
    def test_a_task_that_changed_meanwhile_is_not_passed_over(self, make: Make, book: Notebook) -> None:
        """``changed`` decides: refuse and name it, keep its result, or run it and what depends on it again."""
        run_id = end(make(), flaky(book)).id
        book.mark("second")
        changed = flaky(book, 2)
        with pytest.raises(WorkflowChangedError) as caught:
            make().resume(run_id, changed)
        assert caught.value.changed == ("first",)
        kept = make().resume(run_id, changed, changed="keep")
        assert (kept["first"], kept["second"], sources(kept)["first"]) == ("first 1", "first 1", "resumed")
        rerun = make().resume(run_id, changed, changed="rerun")
        assert (rerun["first"], rerun["second"]) == ("first 2", "first 2")
        assert set(sources(rerun).values()) == {"run"}
        again = make().resume(run_id, changed)
        assert (again["first"], again["second"]) == ("first 2", "first 2")

    @needs("keeps_runs")
    def test_a_run_that_nobody_knows_cannot_be_resumed(self, runner: Runner) -> None:
        """The error names it."""
        with pytest.raises(StoreError, match="nowhere"):
            runner.resume("nowhere")

    # ── the cache ───────────────────────────────────────────────────────────────────────────────────────────────

    @needs("keeps_runs")
    def test_a_cached_result_is_taken_where_code_and_inputs_are_the_same(self, make: Make, book: Notebook) -> None:
        """The body does not run, in this workflow or another; the record says where the result came from."""
        cached = Task("cached", bodies.noted, cache=True)
        workflow = built(cached(book, "a"), Task("next", bodies.give)(cached.out))
        first, second = end(make(), workflow), end(make(), workflow)
        assert (first.value, second.value, book.lines) == ("a", "a", ["a"])
        assert (sources(first), sources(second)) == (
            {"cached": "run", "next": "run"},
            {"cached": "cache", "next": "run"},
        )
        other = end(make(), built(cached(book, "a").named("other"), name="another"))
        assert (other.value, book.lines) == ("a", ["a"])

    @needs("keeps_runs")
    def test_a_cached_result_is_not_taken_where_something_differs(self, make: Make, book: Notebook) -> None:
        """Another input, also one that a task gives, or another version; and what failed is not kept."""
        cached = Task("cached", bodies.noted, cache=True)
        for version, line in ((0, "a"), (0, "b"), (1, "a"), (1, "a")):
            source = Task("source", bodies.give)(line)
            task = cached(book, source.out).with_policy(cache=Cache(version=version))
            assert end(make(), built(source, task)).value == line
        assert book.lines == ["a", "b", "a"]
        fails = Task("fails", bodies.fail_unless, cache=True)(book, "mended", 5)
        assert end(make(), built(fails)).state is RunState.FAILED
        book.mark("mended")
        assert end(make(), built(fails)).value == 5
        assert end(make(), built(fails)).value == 5
        assert book.lines[3:] == ["tries mended", "tries mended"]
