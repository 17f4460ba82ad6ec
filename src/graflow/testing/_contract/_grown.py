"""Runs whose shape grew, kept in a store: read back, and gone on with."""

from __future__ import annotations

from typing import Any

import pytest

from graflow.core.outcome import Failed, Ok
from graflow.core.placeholder import each
from graflow.core.policy import Limit
from graflow.core.requirement import at_least
from graflow.core.run import RunState
from graflow.core.task import Task
from graflow.testing import _bodies as bodies
from graflow.testing import _growing as growing
from graflow.testing._contract._base import Contract, built, end, needs, states
from graflow.testing._contract._kept import Make, sources
from graflow.testing._contract._maps import ends, given
from graflow.testing._notebook import PATIENCE, Notebook


class Grown(Contract):
    """For runners with a store: `keeps_runs`."""

    # ── maps ────────────────────────────────────────────────────────────────────────────────────────────────────

    @needs("keeps_runs")
    @pytest.mark.parametrize("where", ["same", "new"])
    def test_only_the_items_that_failed_run_again(self, make: Make, book: Notebook, where: str) -> None:
        """The others keep their results, whoever resumes the run; attempts count on."""
        source = given([1, 2, 3])
        mapped = Task("mapped", growing.tried).map(book, source.each, 2)
        workflow = built(source, mapped, Task("total", bodies.total)(mapped.out))
        runner = make()
        before = end(runner, workflow)
        assert (before.state, sorted(book.lines)) == (RunState.FAILED, ["tries 1", "tries 2", "tries 3"])
        book.mark("mended")
        after = (runner if where == "same" else make()).resume(before.id)
        assert (after.value, after["mapped"], after.state) == (6, [1, 2, 3], RunState.SUCCEEDED)
        assert sorted(book.lines) == ["tries 1", "tries 2", "tries 2", "tries 3"]
        assert [one.source for one in after.items("mapped")] == ["resumed", "run", "resumed"]
        assert [one.attempts for one in after.items("mapped")] == [1, 2, 1]
        assert sources(after) == {"source": "resumed", "mapped": "run", "total": "run"}
        again = end(make(), workflow, run_id=before.id)
        assert (again.value, again["mapped"], len(again.items("mapped"))) == (6, [1, 2, 3], 3)
        assert len(book.lines) == 4

    @needs("keeps_runs")
    def test_a_run_that_was_stopped_in_the_middle_of_a_map_goes_on(self, make: Make, book: Notebook) -> None:
        """The items that had ended do not run again."""
        source = given([0, 1, 2, 3])
        mapped = Task("mapped", growing.one_of_two, limit=Limit("alone", 1)).map(book, source.each)
        workflow = built(source, mapped, Task("total", bodies.total)(mapped.out))
        handle = make().start(workflow, check=False)
        book.wait("door-in")
        handle.cancel("enough")
        book.mark("door-open")
        run = handle.wait(PATIENCE)
        assert ends(run, mapped) == ["succeeded", "succeeded", "cancelled", "cancelled"]
        read = end(make(), workflow, run_id=handle.id)
        assert (read.state, ends(read, mapped)) == (RunState.CANCELLED, ends(run, mapped))
        assert (read.tasks["mapped"].items, read.tasks["mapped"].state) == (4, "cancelled")
        after = make().resume(handle.id)
        assert (after.value, after["mapped"]) == (6, [0, 1, 2, 3])
        assert book.lines == ["does 0", "does 1", "does 2", "does 3"]
        assert [one.source for one in after.items("mapped")] == ["resumed", "resumed", "run", "run"]

    @needs("keeps_runs")
    def test_a_map_is_read_back(self, make: Make) -> None:
        """Its result, its items and their errors, and the ends of the items."""
        source = given(["o", "b", "o"])
        mapped: Any = Task("mapped", bodies.scripted).map(source.each)
        empty_source = given([], "empty_source")
        empty = Task("empty", bodies.give).map(empty_source.each)
        reads = Task("reads", bodies.give)(mapped.outcome)
        workflow = built(source, mapped, empty_source, empty, reads)
        run = end(make(), workflow, run_id="mine")
        read = end(make(), workflow, run_id="mine")
        for one in (run, read):
            assert (one.state, states(one)["mapped"], one["empty"]) == (RunState.SUCCEEDED, "failed", [])
            assert ends(one, mapped) == ["succeeded", "failed", "succeeded"]
            assert [record.id for record in one.items(mapped)] == ["mapped[0]", "mapped[1]", "mapped[2]"]
            assert (one.tasks["mapped"].items, one.tasks["empty"].items) == (3, 0)
            assert type(one.items(mapped)[1].error) is bodies.Busy
            outcomes: Any = one.outcome(mapped)
            assert (outcomes[0], type(outcomes[1]), outcomes[2]) == (Ok("attempt 1"), Failed, Ok("attempt 1"))
            assert one["reads"][0] == Ok("attempt 1")

    @needs("keeps_runs")
    def test_the_outcome_of_a_map_is_read_again(self, make: Make, book: Notebook) -> None:
        """By a task that runs when the run goes on: a list, as before."""
        source = given([1, 2])
        mapped = Task("mapped", bodies.increment).map(source.each)
        fails = Task("fails", bodies.fail_unless)(book, "mended", mapped.outcome)
        told = Task("told", bodies.outcome_of).map(each(mapped.outcome)).after(fails)
        run = end(make(), built(source, mapped, fails, told))
        assert run.state is RunState.FAILED
        book.mark("mended")
        after = make().resume(run.id)
        assert after["fails"] == [Ok(2), Ok(3)]
        assert after["told"] == [["ok 2"], ["ok 3"]]

    @needs("keeps_runs")
    def test_a_map_whose_source_changed_begins_anew(self, make: Make, book: Notebook) -> None:
        """``changed="rerun"``: items of other inputs are other items."""

        def workflow(items: list[int]) -> Any:
            source = given(items)
            mapped = Task("mapped", growing.tried).map(book, source.each, items[1])
            return built(source, mapped)

        before = end(make(), workflow([1, 2, 3]))
        assert before.state is RunState.FAILED
        book.mark("mended")
        after = make().resume(before.id, workflow([7, 8]), changed="rerun")
        assert (after.value, len(after.items("mapped"))) == ([7, 8], 2)
        read = end(make(), workflow([7, 8]), run_id=before.id)
        assert (read.value, len(read.items("mapped")), read.tasks["mapped"].items) == ([7, 8], 2, 2)

    # ── turns ───────────────────────────────────────────────────────────────────────────────────────────────────

    @needs("keeps_runs")
    def test_a_task_that_goes_on_is_kept(self, make: Make) -> None:
        """Its last result is its own."""
        task = Task("count", growing.countdown)(20)
        workflow = built(task, Task("next", bodies.increment)(task.out))
        for _ in range(2):
            run = end(make(), workflow, run_id="mine")
            assert (run["count"], run.value, run.tasks["count"].attempts) == (210, 211, 21)

    @needs("keeps_runs")
    def test_a_task_that_failed_in_a_later_turn_runs_again(self, make: Make, book: Notebook) -> None:
        """From its first turn on; tasks that had gone on to their end do not."""
        done = Task("done", growing.countdown)(3)
        turns = Task("turns", growing.goes_on_to_mend)(book, 2)
        last = Task("last", bodies.collect)(done.out, turns.out)
        run = end(make(), built(done, turns, last))
        assert run.state is RunState.FAILED
        book.mark("mended")
        after = make().resume(run.id)
        assert (after.value, after.state) == (((6, 7), {}), RunState.SUCCEEDED)
        assert sources(after)["done"] == "resumed"
        assert book.lines == ["turn 2", "turn 1", "turn 0", "tries mended"] * 2

    @needs("keeps_runs")
    def test_a_run_that_a_task_ended_is_read_back(self, make: Make) -> None:
        """With its value, and the states of the others; an item may have ended it."""
        stops = Task("stops", growing.stops)({"found": 5})
        source = given(list(range(6)))
        mapped = Task("mapped", growing.stops_at, limit=Limit("alone", 1)).map(source.each, 3)
        cases = {
            "task": (built(stops, Task("next", bodies.give)(stops.out)), {"found": 5}),
            "item": (built(source, mapped, Task("next", bodies.give)(mapped.out)), 300),
        }
        for name, (workflow, value) in cases.items():
            seen = []
            for _ in range(2):
                run = end(make(), workflow, run_id=name)
                assert (run.state, run.value) == (RunState.SUCCEEDED, value)
                seen.append({id: (state, run.tasks[id].reason) for id, state in states(run).items()})
            assert seen[0] == seen[1]

    @needs("keeps_runs")
    def test_a_run_that_a_task_cancelled_is_read_back(self, make: Make) -> None:
        """With its reason."""
        asks = Task("asks", growing.calls_off)("no more money")
        workflow = built(asks, Task("next", bodies.give)(asks.out))
        for _ in range(2):
            run = end(make(), workflow, run_id="mine")
            assert (run.state, states(run)) == (RunState.CANCELLED, {"asks": "cancelled", "next": "cancelled"})
            assert run.tasks["next"].reason == "the run was cancelled: no more money"

    # ── flags and groups ────────────────────────────────────────────────────────────────────────────────────────

    @needs("keeps_runs")
    def test_flags_are_kept(self, make: Make, book: Notebook) -> None:
        """Skipped is skipped for the same reason, read back or gone on with; what follows later asks again."""
        off, mends = given(False, "off"), Task("mends", bodies.fail_unless)(book, "mended", 1)
        near = Task("near", bodies.noted)(book, "near").when(off.out)
        far = Task("far", bodies.noted)(book, "far", near.out)
        late = Task("late", bodies.noted)(book, "late", mends.out).unless(off.out)
        workflow = built(off, mends, near, far, late)
        run = end(make(), workflow)
        read = end(make(), workflow, run_id=run.id)
        book.mark("mended")
        after = make().resume(run.id)
        for one in (run, read, after):
            assert (states(one)["near"], states(one)["far"]) == ("skipped", "skipped")
            assert one.tasks["near"].reason == "`off` was false"
            assert one.tasks["far"].reason == "task 'near' was skipped: `off` was false"
        assert (run.state, read.state, after.state) == (RunState.FAILED, RunState.FAILED, RunState.SUCCEEDED)
        assert (after.value, [line for line in book.lines if "tries" not in line]) == ("late", ["late"])

    @needs("keeps_runs")
    def test_groups_are_kept(self, make: Make, book: Notebook) -> None:
        """Their verdicts are the same when the run is read back; what failed may succeed when it goes on."""
        good, bad = given("good", "good"), Task("bad", bodies.fail_unless)(book, "mended", "bad")
        one = (good | bad).require(at_least(1)) >> Task("one", bodies.collect)
        two = (good | bad).require(at_least(2)) >> Task("two", bodies.collect)
        workflow = built(good, bad, one, two)
        run = end(make(), workflow)
        read = end(make(), workflow, run_id=run.id)
        for seen in (run, read):
            assert (seen.state, states(seen)["one"], states(seen)["two"]) == (RunState.FAILED, "succeeded", "skipped")
            assert seen.tasks["two"].reason == run.tasks["two"].reason
        book.mark("mended")
        after = make().resume(run.id)
        assert (after.state, states(after)["two"], sources(after)["one"]) == (
            RunState.SUCCEEDED,
            "succeeded",
            "resumed",
        )
