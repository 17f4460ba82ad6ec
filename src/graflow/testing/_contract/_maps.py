"""Maps: a task that runs once for each item of something that is known only while the workflow runs."""

from __future__ import annotations

from typing import Any

import pytest

from graflow.core.map_task import MapTask
from graflow.core.outcome import Failed, Ok, Skipped
from graflow.core.placeholder import each, inputs
from graflow.core.policy import Limit
from graflow.core.run import Runner, RunState
from graflow.core.task import Task
from graflow.core.workflow import Workflow
from graflow.engine.events import MapOpened, TaskStarted, TaskSucceeded
from graflow.errors import MapError, RunFailedError, UnknownTaskError
from graflow.testing import _bodies as bodies
from graflow.testing import _growing as growing
from graflow.testing._contract._base import Contract, Watch, built, end, states
from graflow.testing._models import Order
from graflow.testing._notebook import PATIENCE, Notebook

#: What can be mapped over, and what its items are.
ITERABLES: dict[str, tuple[Any, list[Any]]] = {
    "list": ([3, 1, 2], [3, 1, 2]),
    "tuple": ((3, 1, 2), [3, 1, 2]),
    "dict": ({"a": 1, "b": 2}, ["a", "b"]),
    "set": ({7}, [7]),
    "frozenset": (frozenset({7}), [7]),
    "range": (range(3), [0, 1, 2]),
    "bag": (bodies.Point(1, [4, 5]).rows, [4, 5]),
    "empty": ([], []),
    "nested": ([[1], [2, 3]], [[1], [2, 3]]),
    "nothing": ([None, None], [None, None]),
}


def given(value: Any, id: str = "source") -> Any:
    """A task that gives something to map over."""
    return Task(id, bodies.give)(value)


def over(source: Any, fn: Any, id: str = "mapped", **more: Any) -> Any:
    """A map over the result of a task, the items being the first parameter."""
    task: Any = Task(id, fn, **more)
    return task.map(source.each)


def ends(run: Any, mapped: Any) -> list[str]:
    """How the items of a map ended."""
    return [str(record.state) for record in run.items(mapped)]


class Maps(Contract):
    """A map runs its body once for each item, and gives a list."""

    # ── what can be mapped over ─────────────────────────────────────────────────────────────────────────────────

    def test_a_map_gives_a_result_for_each_item(self, runner: Runner) -> None:
        """Of whatever can be iterated, in the order in which it gives its items; dictionaries give their keys."""
        tasks: list[Any] = []
        for id, (value, _) in ITERABLES.items():
            source = given(value, f"source_{id}")
            tasks += [source, over(source, bodies.give, id)]
        run = end(runner, built(*tasks))
        assert {id: run[id] for id in ITERABLES} == {id: items for id, (_, items) in ITERABLES.items()}
        assert {id: run.tasks[id].items for id in ITERABLES} == {id: len(items) for id, (_, items) in ITERABLES.items()}
        assert run.state is RunState.SUCCEEDED

    def test_several_things_are_mapped_over_side_by_side(self, runner: Runner) -> None:
        """Item by item, with inputs that stay the same, and with results of tasks among these."""
        left, right, by = given([1, 2, 3], "left"), given(("a", "b", "c"), "right"), given(100, "by")
        pair: Any = Task("pairs", growing.pair)
        pairs = pair.map(left.each, b=right.each)
        same = pair.map(left.each, left.each).named("same")
        constant = pair.map("x", right.each).named("constant")
        scaled: Any = Task("scaled", growing.scale)
        fed = scaled.map(left.each, by=by.out)
        run = end(runner, built(left, right, by, pairs, same, constant, fed))
        assert run["pairs"] == ["1-a", "2-b", "3-c"]
        assert run["same"] == ["1-1", "2-2", "3-3"]
        assert run["constant"] == ["x-a", "x-b", "x-c"]
        assert run["scaled"] == [100, 200, 300]

    def test_parts_are_mapped_over_and_parts_of_items_are_taken(self, runner: Runner) -> None:
        """``each(task.out.rows)``, ``task.each.x``, ``task.each["key"]``, and an item inside of a container."""
        point: Any = given(bodies.Point(1, [5, 6]), "point")
        points: Any = given([bodies.Point(1, [2]), bodies.Point(3, [4])], "points")
        rows: Any = given([{"price": 1, "name": "a"}, {"price": 2, "name": "b"}], "rows")
        collect: Any = Task("collect", bodies.collect)
        tasks = [
            Task("row", bodies.increment).map(each(point.out.rows)),
            Task("x", bodies.increment).map(points.each.x),
            Task("deep", bodies.increment).map(points.each.rows[0]),
            Task("both", growing.pair).map(rows.each["price"], rows.each["name"]),
            collect.map([rows.each["price"], 0], key={"of": rows.each["name"]}),
        ]
        run = end(runner, built(point, points, rows, *tasks))
        assert (run["row"], run["x"], run["deep"]) == ([6, 7], [2, 4], [3, 5])
        assert run["both"] == ["1-a", "2-b"]
        assert run["collect"] == [(([1, 0],), {"key": {"of": "a"}}), (([2, 0],), {"key": {"of": "b"}})]

    def test_the_inputs_of_the_workflow_are_mapped_over(self, runner: Runner) -> None:
        """``each(source.sizes)``, at the first task and inside of a nested workflow."""
        source = inputs(Order)
        increment = Task("increment", bodies.increment)
        workflow = Workflow.builder("w", inputs=Order).map(increment, each(source.sizes)).build()
        assert runner.run(workflow, Order(name="a", sizes=(1, 2, 3))).value == [2, 3, 4]
        assert runner.run(workflow, Order(name="a", sizes=())).value == []
        outer = (
            Workflow.builder("outer")
            .add(Task("order", bodies.give), Order(name="n", sizes=(5, 6)))
            .then(workflow.as_task("nested"))
            .then(Task("total", bodies.total))
            .build()
        )
        run = end(runner, outer)
        assert (run.value, run["nested"], run["nested/increment"]) == (13, [6, 7], [6, 7])
        assert [record.id for record in run.items("nested/increment")] == [
            "nested/increment[0]",
            "nested/increment[1]",
        ]

    def test_a_map_is_mapped_over(self, runner: Runner) -> None:
        """Its result is a list like any other, for a map or for a plain task."""
        source = given([1, 2, 3])
        one = over(source, bodies.increment, "one")
        two = over(one, growing.scale, "two")
        last = Task("total", bodies.total)(two.out)
        part = Task("part", bodies.give)(two.out[-1])
        run = end(runner, built(source, one, two, last, part, returns=last))
        assert (run["two"], run.value, run["part"]) == ([20, 30, 40], 90, 40)

    def test_a_nested_workflow_is_mapped_inside_of_another(self, runner: Runner) -> None:
        """Two uses of a workflow with a map inside have items of their own."""
        source = inputs(Order)
        sizes = Task("size", growing.scale).map(each(source.sizes))
        inner = Workflow.builder("inner", inputs=Order).add(sizes).then(Task("total", bodies.total)).build()
        first = inner.as_task("first")(Order(name="a", sizes=(1, 2)))
        second = inner.as_task("second")(Order(name="b", sizes=(3,)))
        run = end(runner, built(first, second, Task("both", bodies.collect)(first.out, second.out)))
        assert run.value == ((30, 30), {})
        assert (len(run.items("first/size")), len(run.items("second/size"))) == (2, 1)

    # ── what cannot ─────────────────────────────────────────────────────────────────────────────────────────────

    def test_what_cannot_be_mapped_over_fails_the_map(self, runner: Runner, book: Notebook) -> None:
        """With a `MapError` that says how the user would write it; no item runs, and no attempt follows."""
        wrong = {
            "text": ("abc", "source_text.out is text (str), and mapping over its characters is almost always"),
            "bytes": (b"abc", "source_bytes.out is text (bytes)"),
            "number": (5, "source_number.out is of type int, which has no items to map over"),
            "none": (None, "source_none.out is of type NoneType, which has no items"),
            "endless": (growing.Endless(), "source_endless.out has more than 4 items; an endless iterator cannot be"),
            "many": (range(5), "source_many.out has more than 4 items; an endless iterator cannot be mapped over"),
        }
        tasks: list[Any] = []
        noted: Any = Task("noted", bodies.noted, max_items=4, retry=3)
        for id, (value, _) in wrong.items():
            source = given(value, f"source_{id}")
            mapped = noted.map(book, source.each).named(id)
            tasks += [source, mapped, Task(f"reads_{id}", bodies.give)(mapped.outcome)]
        run = end(runner, built(*tasks))
        assert (run.state, book.lines) == (RunState.FAILED, [])
        for id, (_, text) in wrong.items():
            error = run.tasks[id].error
            assert type(error) is MapError
            assert text in str(error)
            assert (run.tasks[id].attempts, len(run.items(id)), run.tasks[id].items) == (1, 0, None)
            assert str(run.tasks[f"reads_{id}"].state) == "skipped"

    def test_as_many_items_as_allowed_are_allowed(self, runner: Runner) -> None:
        """``max_items`` is the most that there may be."""
        source = given(range(4))
        assert end(runner, built(source, over(source, bodies.give, max_items=4))).value == [0, 1, 2, 3]

    def test_unequal_lengths_fail_the_map(self, runner: Runner) -> None:
        """The error counts both, so that the user sees which one is wrong."""
        left, right = given([1, 2, 3], "left"), given([1, 2], "right")
        mapped = Task("pairs", growing.pair).map(left.each, right.each)
        run = end(runner, built(left, right, mapped))
        error = run.tasks["pairs"].error
        assert type(error) is MapError
        assert "equally many items, but left.out has 3, right.out has 2" in str(error)

    def test_a_map_whose_source_failed_is_skipped(self, runner: Runner) -> None:
        """And so is who takes its outcome, for there is no list of items."""
        bad = Task("bad", bodies.fail)()
        mapped = over(bad, bodies.give)
        reads = Task("reads", bodies.give)(mapped.outcome)
        run = end(runner, built(bad, mapped, reads))
        assert states(run) == {"bad": "failed", "mapped": "skipped", "reads": "skipped"}
        assert (run.state, run.tasks["mapped"].reason) == (RunState.FAILED, "task 'bad' failed")
        assert list(run.items(mapped)) == []

    # ── items ───────────────────────────────────────────────────────────────────────────────────────────────────

    def test_results_come_in_item_order_whatever_the_order_of_the_ends(self, runner: Runner) -> None:
        """Of plain and async tasks, also of those that end in another order than they started in."""
        source = given(list(range(50)))
        later = over(source, growing.scale_later, "later")
        plain = over(source, growing.scale, "plain")
        run = end(runner, built(source, later, plain))
        assert run["later"] == run["plain"] == [10 * k for k in range(50)]

    def test_async_items_do_not_hold_each_other_up(self, runner: Runner, book: Notebook) -> None:
        """Each waits for the one after it, so one after the other would never end."""
        source = given([0, 1, 2, 3])
        mapped = Task("chain", growing.last_first).map(book, source.each, 4)
        assert end(runner, built(source, mapped)).value == [0, 1, 2, 3]

    def test_an_empty_map_runs_nothing_and_gives_an_empty_list(self, runner: Runner) -> None:
        """It succeeds, and what reads it or its outcome runs."""
        source = given([])
        mapped = over(source, bodies.fail)
        reads = Task("reads", bodies.give)(mapped.outcome)
        last = Task("total", bodies.total)(mapped.out)
        run = end(runner, built(source, mapped, reads, last))
        assert (run[mapped], run["reads"], run.value, run.state) == ([], [], 0, RunState.SUCCEEDED)
        assert run.tasks["mapped"].items == len(run.items("mapped")) == 0

    def test_many_items(self, runner: Runner) -> None:
        """As many as the contract asks for."""
        source = given(range(self.most_items))
        mapped = over(source, bodies.increment)
        run = end(runner, built(source, mapped, Task("total", bodies.total)(mapped.out)))
        assert run.value == sum(range(1, self.most_items + 1))
        assert len(run.items(mapped)) == self.most_items

    def test_items_have_records_and_events(self, runner: Runner) -> None:
        """`Run.items` tells of each; events name the map and the item; counts of tasks do not count items."""
        source = given(["a", "b"])
        mapped = over(source, growing.where, "where")
        handle = runner.start(built(source, mapped))
        watch = Watch(handle)
        run = handle.wait(PATIENCE)
        assert run.value == [("where[0]", 1, "/where[0]"), ("where[1]", 1, "/where[1]")]
        records = run.items("where")
        assert [record.id for record in records] == ["where[0]", "where[1]"]
        assert [(str(one.state), one.attempts, one.error, one.items) for one in records] == [
            ("succeeded", 1, None, None)
        ] * 2
        assert all(one.worker and one.started is not None and one.duration is not None for one in records)
        assert (len(records[:1]), len(run.tasks), list(run.tasks)) == (1, 2, ["source", "where"])
        assert run.tasks["where"].items == 2
        for events in (watch.all(), list(handle.events())):
            assert [event.items for event in events if isinstance(event, MapOpened)] == [2]
            for kind in (TaskStarted, TaskSucceeded):
                of_items = [event.item for event in events if isinstance(event, kind) and event.task == "where"]
                assert sorted(of_items, key=lambda item: -1 if item is None else item) == [None, 0, 1]
        with pytest.raises(UnknownTaskError, match="task 'source' is no map, so it has no items"):
            run.items("source")

    # ── failures ────────────────────────────────────────────────────────────────────────────────────────────────

    def test_a_failed_item_fails_the_map_and_the_others_run(self, runner: Runner, book: Notebook) -> None:
        """With the error of the item; what needs the map is skipped."""
        source = given([1, 2, 3])
        mapped = Task("mapped", growing.tried).map(book, source.each, 2)
        run = end(runner, built(source, mapped, Task("next", bodies.give)(mapped.out)))
        assert (run.state, sorted(book.lines)) == (RunState.FAILED, ["tries 1", "tries 2", "tries 3"])
        assert states(run) == {"source": "succeeded", "mapped": "failed", "next": "skipped"}
        assert ends(run, mapped) == ["succeeded", "failed", "succeeded"]
        error = run.tasks["mapped"].error
        assert (type(error), str(error)) == (ConnectionError, "2 is away")
        assert type(run.items(mapped)[1].error) is ConnectionError
        with pytest.raises(RunFailedError) as caught:
            run.raise_for_failure()
        assert list(caught.value.failures) == ["mapped"]

    def test_several_failed_items_fail_the_map_with_a_group(self, runner: Runner) -> None:
        """Their errors in item order, of many the first twenty."""
        source = given([f"luck {k:02}" for k in range(25)])
        run = end(runner, built(source, over(source, bodies.fail)))
        error: Any = run.tasks["mapped"].error
        assert isinstance(error, ExceptionGroup)
        assert "25 of 25 items of task 'mapped' failed" in str(error)
        assert [str(one) for one in error.exceptions] == [f"luck {k:02}" for k in range(20)]

    def test_the_outcome_of_a_map_is_the_end_of_each_item(self, runner: Runner, book: Notebook) -> None:
        """Who takes it runs, and the failures are handled."""
        source = given([1, 2, 3])
        mapped: MapTask[Any] = Task("mapped", growing.tried).map(book, source.each, 2)
        reads = Task("reads", bodies.give)(mapped.outcome)
        told = Task("told", bodies.outcome_of).map(each(mapped.outcome))
        run = end(runner, built(source, mapped, reads, told))
        assert (run.state, states(run)["mapped"]) == (RunState.SUCCEEDED, "failed")
        first, second, third = run["reads"]
        assert (first, third) == (Ok(1), Ok(3))
        assert isinstance(second, Failed)
        assert str(second.error) == "2 is away"
        assert run["told"] == [["ok 1"], ["failed ConnectionError: 2 is away"], ["ok 3"]]

    def test_the_outcome_of_a_map_that_succeeded(self, runner: Runner) -> None:
        """A list as well."""
        source = given([1, 2])
        mapped = over(source, bodies.increment)
        run = end(runner, built(source, mapped, Task("reads", bodies.give)(mapped.outcome)))
        assert run.value == [Ok(2), Ok(3)]

    def test_a_failed_item_stops_a_run_that_stops_on_failure(self, runner: Runner, book: Notebook) -> None:
        """Items that have not started are cancelled, once the map has failed nothing more starts."""
        source = given([1, 2, 3])
        mapped = Task("mapped", growing.tried).map(book, source.each, 2)
        behind = Task("behind", bodies.noted)(book, "behind", mapped.out)
        other = Task("other", bodies.noted)(book, "other").after(behind)
        run = end(runner, built(source, mapped, behind, other), on_failure="stop")
        assert run.state is RunState.FAILED
        assert states(run)["mapped"] == "failed"
        assert {states(run)[id] for id in ("behind", "other")} <= {"skipped", "cancelled"}
        assert set(book.lines) <= {"tries 1", "tries 2", "tries 3"}

    def test_cancelling_in_the_middle_of_a_map(self, runner: Runner, book: Notebook) -> None:
        """Items that ran end as they end, those that had not started never do, and the map is cancelled."""
        source = given([1, 2, 3])
        mapped = Task("mapped", growing.one_of_two, limit=Limit("alone", 1)).map(book, source.each)
        handle = runner.start(built(source, mapped, Task("next", bodies.give)(mapped.out)), check=False)
        book.wait("door-in")
        assert (handle.tasks["mapped"].state, handle.tasks["mapped"].items) == ("running", 3)
        handle.cancel("enough")
        book.mark("door-open")
        run = handle.wait(PATIENCE)
        assert (run.state, book.lines) == (RunState.CANCELLED, ["does 1"])
        assert ends(run, mapped) == ["succeeded", "cancelled", "cancelled"]
        assert states(run) == {"source": "succeeded", "mapped": "cancelled", "next": "cancelled"}
        assert run.items(mapped)[2].reason == run.tasks["next"].reason == "the run was cancelled: enough"
        outcomes: Any = run.outcome(mapped)
        assert outcomes[1] == Skipped("the run was cancelled: enough")
