"""What goes in and what comes out."""

from __future__ import annotations

from typing import Any

import pytest

from graflow.core.outcome import Ok
from graflow.core.placeholder import inputs
from graflow.core.run import Runner, RunState, TaskState
from graflow.core.task import Task
from graflow.core.workflow import Workflow
from graflow.errors import ConfigurationError, ResultUnavailableError, TaskResultError, UnknownTaskError
from graflow.testing import _bodies as bodies
from graflow.testing._contract._base import Contract, built, end
from graflow.testing._models import Order
from graflow.testing._notebook import PATIENCE, Notebook

VALUES: dict[str, Any] = {
    "none": None,
    "zero": 0,
    "empty": "",
    "list": [],
    "not_implemented": NotImplemented,
    "dots": ...,
    "state": RunState.FAILED,
    "point": bodies.Point(1, [2]),
}


class Results(Contract):
    """What goes in comes out."""

    def test_the_value_is_that_of_the_returned_task(self, runner: Runner) -> None:
        """`Run.value` is the result of the task that the workflow returns; the others are read by task or by id."""
        first = Task("first", bodies.give)(1)
        second = Task("second", bodies.add)(first.out)
        run = runner.run(built(first, second))
        assert (run.value, run[first], run["first"], run[second]) == (111, 1, 1, 111)
        assert (run.state, run.outcome(second)) == (RunState.SUCCEEDED, Ok(111))
        run = runner.run(built(first, second, returns=first))
        assert run.value == 1
        with pytest.raises(UnknownTaskError, match="third"):
            run["third"]

    def test_each_run_has_an_id_of_its_own(self, runner: Runner) -> None:
        """A workflow can run again and again, also at the same time; each run knows its own results."""
        workflow = built(Task("one", bodies.give)(1))
        handles = [runner.start(workflow) for _ in range(3)]
        runs = [handle.wait(PATIENCE) for handle in reversed(handles)]
        assert [run.id for run in runs] == [handle.id for handle in reversed(handles)]
        assert len({run.id for run in runs}) == 3
        assert [run.value for run in runs] == [1, 1, 1]

    def test_inputs_reach_parameters_of_every_kind(self, runner: Runner) -> None:
        """Results and parts of them arrive inside of containers, by position and by name, and defaults stay."""
        one = Task("one", bodies.give)(1)
        point: Any = Task("point", bodies.give)(bodies.Point(3, [7, 8, 9]))
        add, collect = Task("add", bodies.add), Task("collect", bodies.collect)
        cases = {
            "defaults": (add(one.out), 111),
            "keyword": (add(b=one.out, a=2), 103),
            "rest": (add(1, 2, one.out, one.out), 105),
            "only": (add(one.out, c=one.out), 12),
            "more": (add(1, more=one.out, even=5), 117),
            "parts": (
                collect(point.out.x, [point.out.rows[1], 5, (one.out,)], {"rows": point.out.rows[-1]}, key=point.out),
                ((3, [8, 5, (1,)], {"rows": 9}), {"key": bodies.Point(3, [7, 8, 9])}),
            ),
        }
        run = end(runner, built(one, point, *(bound.named(id) for id, (bound, _) in cases.items())))
        assert {id: run[id] for id in cases} == {id: wanted for id, (_, wanted) in cases.items()}

    def test_inputs_of_the_workflow_reach_the_tasks(self, runner: Runner) -> None:
        """The workflow's inputs are there as a whole and in parts."""
        source = inputs(Order)
        workflow = (
            Workflow.builder("w", inputs=Order)
            .add(Task("whole", bodies.give), source)
            .add(Task("part", bodies.collect), source.sizes[1], name=source.name)
            .build()
        )
        run = runner.run(workflow, Order(name="a"))
        assert (run["whole"], run.value) == (Order(name="a"), ((2,), {"name": "a"}))
        assert runner.run(workflow, Order(name="b", sizes=(5, 6))).value == ((6,), {"name": "b"})

    def test_wrong_inputs_are_refused_before_anything_runs(self, runner: Runner, book: Notebook) -> None:
        """Inputs that are missing, too many or of another model are a `ConfigurationError`, and no task starts."""
        note = Task("note", bodies.noted)
        takes = Workflow.builder("takes", inputs=Order).add(note, book, "ran").build()
        plain = Workflow.builder("plain").add(note, book, "ran").build()
        wrong: Any = runner
        for begin in (wrong.run, wrong.start):
            for workflow, given in ((takes, None), (takes, 5), (plain, Order(name="a"))):
                with pytest.raises(ConfigurationError, match=workflow.name):
                    begin(workflow, given)
            with pytest.raises(ConfigurationError):
                begin(note)
        for options in ({"timeout": 0}, {"on_failure": "explode"}, {"run_id": "../up"}):
            with pytest.raises(ConfigurationError, match=next(iter(options))):
                wrong.run(plain, **options)
        assert book.lines == []

    def test_any_value_is_a_result(self, runner: Runner) -> None:
        """None, falsy values and singletons are results like all others."""
        tasks = [Task(id, bodies.give)(value) for id, value in VALUES.items()]
        last = Task("all", bodies.collect)(*(one.out for one in tasks))
        run = end(runner, built(*tasks, last))
        assert run.value == (tuple(VALUES.values()), {})
        assert {id: run[id] for id in VALUES} == VALUES

    def test_large_values_go_both_ways(self, runner: Runner) -> None:
        """A value may be larger than any pipe or message holds."""
        data = bytes(range(256)) * 8192 * 4
        there = Task("there", bodies.reverse)(data)
        back = Task("back", bodies.reverse)(there.out)
        assert end(runner, built(there, back)).value == data

    def test_a_nested_workflow_is_one_task_with_many_inside(self, runner: Runner) -> None:
        """A workflow inside of a workflow has its tasks under its own id, and passes its value on."""
        source = inputs(Order)
        inner = (
            Workflow.builder("inner", inputs=Order)
            .add(Task("size", bodies.total), source.sizes)
            .then(Task("more", bodies.increment))
            .build()
        )
        outer = (
            Workflow.builder("outer")
            .add(Task("order", bodies.give), Order(name="n", sizes=(3, 4)))
            .then(inner.as_task("nested"))
            .then(Task("last", bodies.increment))
            .build()
        )
        run = end(runner, outer)
        assert run.value == 9
        assert list(run.tasks) == ["order", "nested/size", "nested/more", "nested", "last"]

    def test_a_body_reads_its_upstreams_through_the_block(self, runner: Runner) -> None:
        """`Block.get_result` in a body gives the result of a direct upstream, also where only an order leads there."""
        block, last = bodies.batch()
        run = end(runner, block.workflow)
        assert run[last] == 6

    def test_async_tasks_give_what_they_await(self, runner: Runner, book: Notebook) -> None:
        """Coroutine functions, and plain functions that give a coroutine; async tasks do not hold each other up."""
        later = Task("later", bodies.give_later)(1)
        given: Any = Task("given", bodies.give_coroutine)(later.out)
        meet: Any = Task("meet", bodies.meet_later)
        pair = [meet(book, "a", "b").named("a"), meet(book, "b", "a").named("b")]
        last = Task("last", bodies.increment)(given.out)
        run = end(runner, built(later, given, *pair, last))
        assert [run[id] for id in ("later", "given", "a", "b", "last")] == [1, 1, "a", "b", 2]

    def test_a_definition_is_no_result(self, runner: Runner) -> None:
        """A body that returns a task in place of a value fails, and is told so."""
        run = end(runner, built(Task("bad", bodies.definition), Task("good", bodies.give)(1)))
        assert type(run.tasks["bad"].error) is TaskResultError
        assert run["good"] == 1

    def test_a_workflow_without_tasks_succeeds(self, runner: Runner) -> None:
        """It has no value and no records."""
        run = end(runner, Workflow.builder("empty").build())
        assert (run.value, run.state, dict(run.tasks)) == (None, RunState.SUCCEEDED, {})

    def test_records_tell_what_became_of_each_task(self, runner: Runner) -> None:
        """State, attempts, times, worker, error and reason, for tasks that ran and for one that did not."""
        first = Task("first", bodies.give)(1)
        bad = Task("bad", bodies.fail)("no luck").after(first)
        needs_bad = Task("needs", bodies.give)(bad.out)
        run = end(runner, built(first, bad, needs_bad, returns=first))
        assert list(run.tasks) == ["first", "bad", "needs"]
        good, failed, skipped = (run.tasks[id] for id in ("first", "bad", "needs"))
        for record, state in ((good, TaskState.SUCCEEDED), (failed, TaskState.FAILED)):
            assert (record.state, record.attempts, record.reason, record.source) == (state, 1, None, "run")
            assert record.started is not None
            assert record.duration is not None
            assert record.duration >= 0
            assert record.worker
            (only,) = record.history
            assert (only.number, only.state, only.error) == (1, state, record.error)
            assert (only.started, only.duration, only.worker) == (record.started, record.duration, record.worker)
        assert (skipped.state, skipped.attempts, skipped.history) == (TaskState.SKIPPED, 0, ())
        assert (skipped.started, skipped.duration, skipped.worker, skipped.error) == (None, None, None, None)
        assert skipped.reason == "task 'bad' failed"
        assert (run.value, run.duration >= 0) == (1, True)
        with pytest.raises(ResultUnavailableError, match="task 'bad' has no result: it failed with ValueError: no luc"):
            run[bad]
        with pytest.raises(ResultUnavailableError, match="task 'needs' has no result: task 'bad' failed"):
            run[needs_bad]
        with pytest.raises(KeyError):
            run.tasks["third"]
