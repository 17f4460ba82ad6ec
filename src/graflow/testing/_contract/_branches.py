"""Tasks that run or do not: flags, and what joins branches."""

from __future__ import annotations

from typing import Any

import pytest

from graflow.core.map_task import first_of
from graflow.core.outcome import Skipped
from graflow.core.placeholder import inputs
from graflow.core.run import Runner, RunState
from graflow.core.task import Task
from graflow.core.workflow import Workflow
from graflow.engine.events import TaskFailed, TaskSkipped
from graflow.errors import FlagError, ResultUnavailableError
from graflow.testing import _bodies as bodies
from graflow.testing import _growing as growing
from graflow.testing._contract._base import Contract, Watch, built, end, states
from graflow.testing._contract._maps import given
from graflow.testing._models import Order
from graflow.testing._notebook import PATIENCE, Notebook


def noted(book: Notebook, id: str, *of: Any) -> Any:
    """A task that writes its id down."""
    return Task(id, bodies.noted)(book, id, *of)


class Branches(Contract):
    """A task with a flag runs only if the flag is what it asks for."""

    # ── flags ───────────────────────────────────────────────────────────────────────────────────────────────────

    def test_a_flag_decides(self, runner: Runner, book: Notebook) -> None:
        """``when`` runs the task if it is true, ``unless`` if it is false; to be skipped is no failure."""
        is_big, is_new = given(True, "is_big"), given(False, "is_new")
        big, small = noted(book, "big").when(is_big.out), noted(book, "small").unless(is_big.out)
        new, old = noted(book, "new").when(is_new.out), noted(book, "old").unless(is_new.out)
        run = end(runner, built(is_big, is_new, big, small, new, old, returns=is_big))
        assert (run.state, sorted(book.lines)) == (RunState.SUCCEEDED, ["big", "old"])
        for task, reason in ((small, "`is_big` was true"), (new, "`is_new` was false")):
            record = run.tasks[task.id]
            assert (record.state, record.reason) == ("skipped", reason)
            assert (record.attempts, record.started, record.error, record.history) == (0, None, None, ())
            assert run.outcome(task) == Skipped(reason)
            with pytest.raises(ResultUnavailableError, match=f"task '{task.id}' has no result: {reason}"):
                run[task]

    def test_what_needs_a_skipped_task_is_skipped(self, runner: Runner, book: Notebook) -> None:
        """It says why, however far away; who takes the outcome runs, and an order counts as a need."""
        is_big = given(False, "is_big")
        big = noted(book, "big").when(is_big.out)
        near = noted(book, "near", big.out)
        far = noted(book, "far", near.out)
        ordered = noted(book, "ordered").after(big)
        told: Any = Task("told", bodies.outcome_of)(big.outcome, far.outcome)
        handle = runner.start(built(is_big, big, near, far, ordered, told), check=True)
        watch = Watch(handle)
        run = handle.wait(PATIENCE)
        assert (run.state, book.lines) == (RunState.SUCCEEDED, [])
        assert {id: run.tasks[id].reason for id in ("big", "near", "far", "ordered")} == {
            "big": "`is_big` was false",
            "near": "task 'big' was skipped: `is_big` was false",
            "far": "task 'big' was skipped: `is_big` was false",
            "ordered": "task 'big' was skipped: `is_big` was false",
        }
        assert run.value == [
            "skipped: `is_big` was false",
            "skipped: task 'big' was skipped: `is_big` was false",
        ]
        for events in (watch.all(), list(handle.events())):
            assert {e.task: e.reason for e in events if isinstance(e, TaskSkipped)}["near"] == run.tasks["near"].reason

    def test_a_part_of_a_result_is_a_flag(self, runner: Runner, book: Notebook) -> None:
        """Also a part of the workflow's inputs, and a constant; the reason spells it as the user did."""
        facts = given({"is_new": True, "sizes": [False]}, "facts")
        source = inputs(Order)
        tasks = {
            "new": noted(book, "new").when(facts.out["is_new"]),
            "old": noted(book, "old").unless(facts.out["is_new"]),
            "first": noted(book, "first").when(facts.out["sizes"][0]),
            "gift": noted(book, "gift").when(source.gift),
            "plain": noted(book, "plain").unless(source.gift),
            "always": noted(book, "always").when(True),
            "never": noted(book, "never").unless(True),
        }
        workflow = Workflow.builder("w", inputs=Order).add_all([facts, *tasks.values()]).build(returns=facts)
        run = runner.run(workflow, Order(name="a", gift=True))
        assert sorted(book.lines) == ["always", "gift", "new"]
        reasons = {id: run.tasks[id].reason for id in ("old", "first", "plain")}
        assert reasons == {
            "old": "`facts.out['is_new']` was true",
            "first": "`facts.out['sizes'][0]` was false",
            "plain": "`inputs(Order).gift` was true",
        }
        assert "unless(True)" in str(run.tasks["never"].reason)
        assert states(runner.run(workflow, Order(name="a")))["plain"] == "succeeded"

    def test_several_flags_have_to_agree(self, runner: Runner, book: Notebook) -> None:
        """One that is not as asked for is enough to skip the task, without waiting for its other upstreams."""
        yes, no = given(True, "yes"), given(False, "no")
        tasks = [
            noted(book, "both").when(yes.out).unless(no.out),
            noted(book, "one").when(yes.out).when(no.out),
            noted(book, "none").unless(yes.out).when(no.out),
        ]
        run = end(runner, built(yes, no, *tasks, returns=yes))
        assert book.lines == ["both"]
        assert {one.id: states(run)[one.id] for one in tasks} == {
            "both": "succeeded",
            "one": "skipped",
            "none": "skipped",
        }

    def test_a_task_may_read_its_own_flag(self, runner: Runner) -> None:
        """As an input like any other."""
        flag = given(True, "flag")
        run = end(runner, built(flag, Task("reads", bodies.give)(flag.out).when(flag.out)))
        assert run.value is True

    def test_a_flag_that_is_no_bool_fails_the_task(self, runner: Runner, book: Notebook) -> None:
        """With a `FlagError`, without an attempt; the task that gave it has succeeded, and others run."""
        values = {"one": 1, "zero": 0, "text": "yes", "none": None, "list": [True]}
        flags = {id: given(value, f"flag_{id}") for id, value in values.items()}
        bad = {id: noted(book, id).when(flag.out) for id, flag in flags.items()}
        after = noted(book, "after", bad["one"].out)
        handle = runner.start(built(*flags.values(), *bad.values(), after, noted(book, "other")), check=False)
        watch = Watch(handle)
        run = handle.wait(PATIENCE)
        assert (run.state, book.lines) == (RunState.FAILED, ["other"])
        assert (states(run)["after"], run.tasks["after"].reason) == ("skipped", "task 'one' failed")
        for id, value in values.items():
            assert (states(run)[f"flag_{id}"], states(run)[id], run.tasks[id].attempts) == ("succeeded", "failed", 0)
            outcome: Any = run.outcome(bad[id])
            assert type(outcome.error) is FlagError
            text = f"task '{id}' runs only if flag_{id}.out is true, but that is {value!r}"
            assert text in str(outcome.error)
        told = {event.task: type(event.error) for event in watch.all() if isinstance(event, TaskFailed)}
        assert told == dict.fromkeys(values, FlagError)

    def test_a_part_that_is_not_there_fails_the_task(self, runner: Runner, book: Notebook) -> None:
        """With the error of looking for it; who takes the outcome handles that."""
        facts = given({}, "facts")
        bad = noted(book, "bad").when(facts.out["is_new"])
        told = Task("told", bodies.outcome_of)(bad.outcome)
        run = end(runner, built(facts, bad, told))
        assert (run.state, run.value, book.lines) == (RunState.SUCCEEDED, ["failed KeyError: 'is_new'"], [])

    def test_a_task_whose_flag_failed_is_skipped(self, runner: Runner, book: Notebook) -> None:
        """The failure of what gives the flag is the reason."""
        flag = Task("flag", bodies.fail)()
        run = end(runner, built(flag, noted(book, "task").when(flag.out)))
        assert (states(run), book.lines) == ({"flag": "failed", "task": "skipped"}, [])
        assert run.tasks["task"].reason == "task 'flag' failed"

    def test_a_flag_of_a_skipped_task_skips(self, runner: Runner, book: Notebook) -> None:
        """Flags in a row."""
        outer = given(False, "outer")
        inner = Task("inner", bodies.give)(True).when(outer.out)
        run = end(runner, built(outer, inner, noted(book, "task").when(inner.out), returns=outer))
        assert (run.state, book.lines) == (RunState.SUCCEEDED, [])
        assert run.tasks["task"].reason == "task 'inner' was skipped: `outer` was false"

    def test_a_map_with_a_flag(self, runner: Runner, book: Notebook) -> None:
        """All of its items run, or none; a flag can come from what is mapped over."""
        source = given([1, 2])
        flags = {id: given(value, id) for id, value in (("yes", True), ("no", False))}
        maps = [Task(f"map_{id}", bodies.increment).map(source.each).when(flag.out) for id, flag in flags.items()]
        run = end(runner, built(source, *flags.values(), *maps, returns=source))
        assert (run["map_yes"], states(run)["map_no"], list(run.items("map_no"))) == ([2, 3], "skipped", [])

    # ── nested workflows ────────────────────────────────────────────────────────────────────────────────────────

    def test_a_nested_workflow_with_a_flag(self, runner: Runner, book: Notebook) -> None:
        """If it is skipped, none of its tasks runs, whether they are roots or not."""
        flags = {"yes": given(True, "is_yes"), "no": given(False, "is_no")}
        tasks: list[Any] = []
        for id, flag in flags.items():
            first = noted(book, "first").named("first")
            inner = built(first, noted(book, "beside"), noted(book, "second", first.out), name="inner")
            nested = inner.as_task(id).when(flag.out)
            tasks += [flag, nested, noted(book, f"after_{id}", nested.out)]
        run = end(runner, built(*tasks, returns=tasks[0]))
        assert (run.state, sorted(book.lines)) == (RunState.SUCCEEDED, ["after_yes", "beside", "first", "second"])
        for id, state in (("yes", "succeeded"), ("no", "skipped")):
            inside = (id, f"{id}/first", f"{id}/beside", f"{id}/second", f"after_{id}")
            assert {states(run)[one] for one in inside} == {state}
        assert run.tasks["no"].reason == "`is_no` was false"
        assert run.tasks["after_no"].reason == "task 'no' was skipped: `is_no` was false"

    def test_flags_inside_of_a_nested_workflow(self, runner: Runner, book: Notebook) -> None:
        """They are those of its own inputs and tasks."""
        source = inputs(Order)
        gift, plain = noted(book, "gift").when(source.gift), noted(book, "plain").unless(source.gift)
        joined = first_of(gift, plain, id="joined")
        inner = Workflow.builder("inner", inputs=Order).add_all([gift, plain, joined]).build()
        order = given(Order(name="a", gift=True), "order")
        fed: Any = inner.as_task("fed")
        known = inner.as_task("known")(Order(name="b"))
        both = Task("both", bodies.collect)(fed(order.out).out, known.out)
        run = end(runner, built(order, fed(order.out), known, both))
        assert (run.value, sorted(book.lines)) == ((("gift", "plain"), {}), ["gift", "plain"])
        assert (states(run)["fed/plain"], states(run)["known/gift"]) == ("skipped", "skipped")

    # ── joining ─────────────────────────────────────────────────────────────────────────────────────────────────

    def test_branches_are_joined(self, runner: Runner) -> None:
        """`first_of` gives the result of the branch that ran."""
        tasks: list[Any] = []
        for flag, id in ((True, "yes"), (False, "no")):
            is_big = given(flag, f"is_{id}")
            big = Task(f"big_{id}", growing.scale)(1, by=1000).when(is_big.out)
            small = Task(f"small_{id}", growing.scale)(1, by=10).unless(is_big.out)
            joined = first_of(big, small, id=f"joined_{id}")
            tasks += [is_big, big, small, joined, Task(f"last_{id}", bodies.increment)(joined.out)]
        run = end(runner, built(*tasks))
        assert (run["joined_yes"], run["last_yes"], run["joined_no"], run["last_no"]) == (1000, 1001, 10, 11)
        assert run.state is RunState.SUCCEEDED

    def test_the_first_in_order_is_taken(self, runner: Runner, book: Notebook) -> None:
        """Whichever ends first: that of the earliest that has a result."""
        slow = Task("slow", bodies.door)(book, "door")
        quick = Task("quick", bodies.open_door)(book, "door")
        joined = first_of(slow, quick, id="joined")
        if self.runs_side_by_side is not True:  # one after the other: open before anybody comes in
            book.mark("door-open")
        run = end(runner, built(slow, quick, joined))
        assert run.value == "door"
        assert run.tasks["joined"].started is not None

    def test_nobody_waits_for_the_others(self, runner: Runner, book: Notebook) -> None:
        """With the first that counts the join runs, while another is under way."""
        if self.runs_side_by_side is not True:
            pytest.skip("bodies run one after the other")
        quick = Task("quick", bodies.give)("quick")
        slow = Task("slow", bodies.door)(book, "door")
        joined = first_of(quick, slow, id="joined")
        run = end(runner, built(quick, slow, joined, Task("opens", bodies.open_door)(book, "door", joined.out)))
        assert (run["joined"], run["slow"], run.state) == ("quick", "door", RunState.SUCCEEDED)

    def test_a_failure_is_made_up_for(self, runner: Runner) -> None:
        """By the success of another; the run succeeds."""
        bad = Task("bad", bodies.fail)()
        spare = Task("spare", bodies.give)("spare")
        joined = first_of(bad, spare, id="joined")
        run = end(runner, built(bad, spare, joined))
        assert (run.state, run.value, states(run)["bad"]) == (RunState.SUCCEEDED, "spare", "failed")

    def test_a_join_of_nothing_is_skipped(self, runner: Runner, book: Notebook) -> None:
        """If none has a result; a failure among them fails the run then."""
        off = given(False, "off")
        pair = [noted(book, id).when(off.out) for id in ("a", "b")]
        joined = first_of(*pair, id="joined")
        run = end(runner, built(off, *pair, joined, noted(book, "next", joined.out), returns=off))
        assert (run.state, book.lines) == (RunState.SUCCEEDED, [])
        assert (states(run)["joined"], states(run)["next"]) == ("skipped", "skipped")
        assert "'a', 'b'" in str(run.tasks["joined"].reason)
        bad: Any = Task("bad", bodies.fail)()
        run = end(runner, built(off, pair[0], bad, first_of(pair[0], bad, id="joined"), returns=off))
        assert (run.state, states(run)["joined"]) == (RunState.FAILED, "skipped")

    def test_maps_are_joined(self, runner: Runner, book: Notebook) -> None:
        """The result of the first map all of whose items succeeded; else that of another branch."""
        source = given([1, 2])
        bad = Task("bad", growing.tried).map(book, source.each, 2)
        good = Task("good", bodies.increment).map(source.each)
        spare = Task("spare", bodies.give)([])
        run = end(
            runner,
            built(source, bad, good, spare, first_of(bad, good, id="one"), first_of(good, spare, id="two")),
        )
        assert (run["one"], run["two"], run.state) == ([2, 3], [2, 3], RunState.SUCCEEDED)
