"""Bodies that have the run take another turn: going on with other tasks, and ending the run."""

from __future__ import annotations

from typing import Any

import pytest

from graflow.core.policy import Limit, Retry
from graflow.core.run import Runner, RunState
from graflow.core.task import Task
from graflow.engine.events import TaskContinued, TaskStarted
from graflow.errors import ContinuationLimitError, RunCancelledError, TaskTimeoutError
from graflow.testing import _bodies as bodies
from graflow.testing import _growing as growing
from graflow.testing._contract._base import AT_ONCE, Contract, Watch, built, end, needs, states
from graflow.testing._contract._maps import ends, given
from graflow.testing._notebook import PATIENCE, Notebook

#: What goes on with what, and what comes out.
GOING_ON: dict[str, tuple[Any, Any]] = {
    "itself": (Task("t", growing.countdown)(10), 55),
    "another": (Task("t", growing.hands_over)(1), 2),
    "later": (Task("t", growing.hands_over_to_later)(2), 20),
    "from_later": (Task("t", growing.later_hands_over)(1), 2),
    "upstream": (Task("t", growing.goes_on_behind_another)(1), 200),
    "workflow": (Task("t", growing.goes_on_with_a_workflow)(4), 9),
    "async": (Task("t", growing.countdown_later)(5), "attempt 6"),
}


class Turns(Contract):
    """A body may return what is to happen in place of a result."""

    # ── going on ────────────────────────────────────────────────────────────────────────────────────────────────

    def test_a_task_goes_on_with_another(self, runner: Runner) -> None:
        """Itself, another one, one behind others, a workflow, plain or async: the last result is the task's own."""
        tasks = [task.named(id) for id, (task, _) in GOING_ON.items()]
        last = Task("all", bodies.collect)(*(one.out for one in tasks))
        run = end(runner, built(*tasks, last))
        assert {id: run[id] for id in GOING_ON} == {id: wanted for id, (_, wanted) in GOING_ON.items()}
        assert run.value == (tuple(wanted for _, wanted in GOING_ON.values()), {})
        assert run.state is RunState.SUCCEEDED

    def test_a_thousand_turns(self, runner: Runner) -> None:
        """As many as a task may take unless it says otherwise; each is an attempt."""
        task = Task("count", growing.countdown)(1000)
        run = end(runner, built(task, Task("next", bodies.increment)(task.out)))
        assert run.value == 1000 * 1001 // 2 + 1
        assert run.tasks["count"].attempts == 1001

    def test_too_many_turns_fail_the_task(self, runner: Runner) -> None:
        """With a `ContinuationLimitError` that names the policy; a retry does not help."""
        task = Task("count", growing.goes_on_for_ever, max_continuations=5, retry=Retry(3, AT_ONCE))()
        exactly = Task("exactly", growing.countdown, max_continuations=5)(5)
        run = end(runner, built(task, exactly, Task("next", bodies.give)(task.out)))
        assert states(run) == {"count": "failed", "exactly": "succeeded", "next": "skipped"}
        error = run.tasks["count"].error
        assert type(error) is ContinuationLimitError
        assert "task 'count' went on with another task more than 5 times, the last with 'on'" in str(error)
        assert "max_continuations" in str(error)
        assert run.tasks["count"].attempts == 6
        exactly = Task("count", growing.countdown, max_continuations=5)(5)
        assert end(runner, built(exactly)).value == 15

    def test_turns_are_told(self, runner: Runner, book: Notebook) -> None:
        """`TaskContinued` says with what; each turn is an attempt with a start."""
        handle = runner.start(built(Task("one", growing.goes_on_when_told)(book)))
        watch = Watch(handle)
        watch.until(TaskStarted, task="one", attempt=1)
        book.mark("door-open")
        run = handle.wait(PATIENCE)
        events = watch.all()
        (told,) = (event for event in events if isinstance(event, TaskContinued))
        assert (told.task, told.attempt, told.following, told.item) == ("one", 1, "second", None)
        starts = [event for event in events if isinstance(event, TaskStarted)]
        assert [event.attempt for event in starts] == [1, 2]
        assert events.index(starts[0]) < events.index(told) < events.index(starts[1])
        assert (run.tasks["one"].attempts, run.tasks["one"].state) == (2, "succeeded")

    def test_a_turn_has_its_own_attempts(self, runner: Runner, book: Notebook) -> None:
        """The retry of the task that follows counts, though no task of the workflow has one."""
        tasks = [Task(id, growing.goes_on_shakily)(book, n) for id, n in (("enough", 4), ("too_few", 5))]
        run = end(runner, built(*tasks, returns=tasks[0]))
        assert (run.value, states(run)) == ("attempt 4", {"enough": "succeeded", "too_few": "failed"})
        assert sorted(book.lines) == [f"shaky {n}: {attempt}" for n in (4, 5) for attempt in (2, 3, 4)]

    def test_a_turn_has_its_own_timeout(self, runner: Runner, book: Notebook) -> None:
        """Though no task of the workflow has one."""
        run = end(runner, built(Task("one", growing.goes_on_too_slowly)(book)))
        assert (run.state, type(run.tasks["one"].error)) == (RunState.FAILED, TaskTimeoutError)

    def test_a_turn_that_fails_fails_the_task(self, runner: Runner) -> None:
        """With the error of that turn."""
        run = end(runner, built(Task("one", growing.goes_on_to_fail)()))
        error = run.tasks["one"].error
        assert (run.state, type(error), str(error)) == (RunState.FAILED, ValueError, "no luck in the second turn")

    def test_items_take_turns(self, runner: Runner) -> None:
        """Each its own."""
        source = given([3, 0, 1])
        mapped = Task("mapped", growing.countdown).map(source.each)
        run = end(runner, built(source, mapped))
        assert (run.value, [one.attempts for one in run.items(mapped)]) == ([6, 0, 1], [4, 1, 2])

    def test_many_take_turns_at_once(self, runner: Runner) -> None:
        """Tasks that go on do not lose each other's results."""
        tasks = [Task(f"t{k}", growing.countdown)(k) for k in range(12)]
        later: list[Any] = [Task(f"l{k}", growing.countdown_later)(k) for k in range(12)]
        run = end(runner, built(*tasks, *later))
        assert [run[one] for one in tasks] == [k * (k + 1) // 2 for k in range(12)]
        assert [run[one] for one in later] == [f"attempt {k + 1}" for k in range(12)]

    def test_cancelling_between_turns(self, runner: Runner, book: Notebook) -> None:
        """The next one does not start."""
        task = Task("one", growing.goes_on_when_told)(book)
        handle = runner.start(built(task, Task("next", bodies.give)(task.out)), check=False)
        book.wait("door-in")
        handle.cancel("enough")
        book.mark("door-open")
        run = handle.wait(PATIENCE)
        assert (run.state, book.lines) == (RunState.CANCELLED, [])
        assert states(run) == {"one": "cancelled", "next": "cancelled"}

    # ── ending the run ──────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("body", [growing.stops, growing.stops_later], ids=["plain", "later"])
    def test_a_task_ends_the_run(self, runner: Runner, book: Notebook, body: Any) -> None:
        """Successfully, with a value of its own; what has not started is cancelled, and says why."""
        stops = Task("stops", body)({"found": 5})
        behind = Task("behind", bodies.noted)(book, "behind", stops.out)
        run = runner.run(built(stops, behind))
        assert (run.state, run.value, book.lines) == (RunState.SUCCEEDED, {"found": 5}, [])
        assert states(run) == {"stops": "succeeded", "behind": "cancelled"}
        assert run["stops"] == {"found": 5}
        assert run.tasks["behind"].reason == "task 'stops' stopped the run"
        assert run.tasks["stops"].reason == "it stopped the run"

    @needs("runs_side_by_side")
    def test_what_runs_is_told_that_the_run_ends(self, runner: Runner, book: Notebook) -> None:
        """And waited for; its failure then changes nothing."""
        runs = Task("runs", bodies.until_told)(book, "runs")
        stops = Task("stops", growing.stops_behind)(book, "runs-in", None)
        run = end(runner, built(runs, stops, Task("next", bodies.give)(runs.out)))
        assert (run.state, run.value, book.lines) == (RunState.SUCCEEDED, None, ["runs told"])
        assert states(run) == {"runs": "succeeded", "stops": "succeeded", "next": "cancelled"}

    def test_an_item_ends_the_run(self, runner: Runner) -> None:
        """The value is that of the item; the map is cancelled, and so are its items that had not started."""
        source = given(list(range(6)))
        mapped = Task("mapped", growing.stops_at, limit=Limit("alone", 1)).map(source.each, 3)
        run = end(runner, built(source, mapped, Task("next", bodies.give)(mapped.out)))
        assert (run.state, run.value) == (RunState.SUCCEEDED, 300)
        assert states(run) == {"source": "succeeded", "mapped": "cancelled", "next": "cancelled"}
        assert ends(run, mapped) == ["succeeded"] * 4 + ["cancelled"] * 2
        assert run.tasks["next"].reason == "task 'mapped[3]' stopped the run"

    def test_a_task_that_ends_the_run_makes_up_for_failures(self, runner: Runner) -> None:
        """It had its say after them; their tasks have failed all the same."""
        bad: Any = Task("bad", bodies.fail)()
        told: Any = Task("told", bodies.outcome_of)(bad.outcome)
        needs_bad: Any = Task("needs", bodies.give)(bad.out)
        stops = Task("stops", growing.stops)(1).after(told)
        run = end(runner, built(bad, told, needs_bad, stops, returns=stops))
        assert (run.state, run.value, states(run)["bad"]) == (RunState.SUCCEEDED, 1, "failed")

    def test_a_task_cancels_the_run(self, runner: Runner, book: Notebook) -> None:
        """`CancelRun` carries the reason; nothing is tried again."""
        asks = Task("asks", growing.calls_off, retry=Retry(3, AT_ONCE))("no more money")
        workflow = built(asks, Task("next", bodies.noted)(book, "next", asks.out))
        run = end(runner, workflow)
        assert (run.state, book.lines) == (RunState.CANCELLED, [])
        assert states(run) == {"asks": "cancelled", "next": "cancelled"}
        assert run.tasks["asks"].attempts == 1
        assert run.tasks["next"].reason == "the run was cancelled: no more money"
        with pytest.raises(RunCancelledError, match=r"was cancelled \(no more money\)"):
            runner.run(workflow)

    @needs("runs_side_by_side")
    def test_what_runs_is_told_that_a_task_cancelled(self, runner: Runner, book: Notebook) -> None:
        """As if the caller had."""
        runs = Task("runs", bodies.until_told)(book, "runs")
        asks = Task("asks", growing.calls_off_behind)(book, "runs-in", "enough")
        run = end(runner, built(runs, asks))
        assert (run.state, book.lines) == (RunState.CANCELLED, ["runs told"])
        assert states(run) == {"runs": "succeeded", "asks": "cancelled"}

    def test_an_item_cancels_the_run(self, runner: Runner) -> None:
        """The map is cancelled with it."""
        source = given(list(range(6)))
        mapped = Task("mapped", growing.calls_off_at, limit=Limit("alone", 1)).map(source.each, 3)
        run = end(runner, built(source, mapped))
        assert (run.state, states(run)["mapped"]) == (RunState.CANCELLED, "cancelled")
        assert ends(run, mapped) == ["succeeded"] * 3 + ["cancelled"] * 3
        assert run.tasks["mapped"].reason == "the run was cancelled: item 3 is enough"
