"""Who runs when: cancelling, stopping, priorities and limits."""

from __future__ import annotations

from typing import Any

import pytest

from graflow.core.outcome import Skipped
from graflow.core.policy import Exponential, Limit, Retry
from graflow.core.run import Runner, RunState
from graflow.core.task import Task
from graflow.engine.events import CancelRequested, TaskRetrying, TaskStarted
from graflow.errors import ConfigurationError, RunCancelledError
from graflow.testing import _bodies as bodies
from graflow.testing._contract._base import AT_ONCE, Contract, Watch, built, end, states
from graflow.testing._notebook import PATIENCE, Notebook

#: One after the other, whatever the number of workers.
ALONE = Limit("alone", 1)


class Control(Contract):
    """Who runs when, and when nobody runs any more."""

    def test_cancelling_tells_what_runs_and_starts_nothing_more(self, runner: Runner, book: Notebook) -> None:
        """A body hears of it through `current`, and ends as it ends; there is one reason, and no way back."""
        runs = Task("runs", bodies.until_told)(book, "runs")
        waits = Task("waits", bodies.noted)(book, "waits", runs.out)
        handle = runner.start(built(runs, waits))
        assert handle.state == "running"
        book.wait("runs-in")
        assert states(handle) == {"runs": "running", "waits": "waiting"}
        handle.cancel("enough")
        handle.cancel("more than enough")
        with pytest.raises(RunCancelledError) as caught:
            handle.wait(PATIENCE)
        assert str(caught.value).startswith(
            f"run {handle.id} of workflow 'w' was cancelled (enough) with 1 of 2 tasks done; "
        )
        assert book.lines == ["runs told"]
        assert states(handle) == {"runs": "succeeded", "waits": "cancelled"}
        record = handle.tasks["waits"]
        assert (record.attempts, record.reason) == (0, "the run was cancelled: enough")
        handle.cancel("too late")
        assert handle.state is RunState.CANCELLED

    def test_cancelling_ends_async_tasks_and_waits_between_attempts(self, runner: Runner, book: Notebook) -> None:
        """Neither holds up the end of the run, and a failure after the cancelling is not tried again."""
        forever = Task("forever", bodies.too_long_later)(book)
        hour = Exponential(3600, maximum=3600)
        patient = Task("patient", bodies.fail, retry=Retry(2, hour), priority=1)()
        runs = Task("runs", bodies.until_told)(book, "runs")
        handle = runner.start(built(forever, patient, runs), check=False)
        watch = Watch(handle)
        book.wait("runs-in")
        watch.until(TaskRetrying, task="patient")
        watch.until(TaskStarted, task="forever")
        handle.cancel("enough")
        assert watch.until(CancelRequested).reason == "enough"
        run = handle.wait(PATIENCE)
        assert run.state is RunState.CANCELLED
        assert states(run) == {"forever": "cancelled", "patient": "cancelled", "runs": "succeeded"}
        assert run.tasks["patient"].attempts == 1

    def test_a_run_that_stops_on_failure_starts_nothing_more(self, runner: Runner, book: Notebook) -> None:
        """``on_failure="stop"`` cancels what has not started, and the run has failed; ``continue`` runs the rest."""
        bad = Task("bad", bodies.fail, limit=ALONE, priority=1)()
        others = [Task(f"t{k}", bodies.noted, limit=ALONE)(book, f"t{k}") for k in range(3)]
        needs_bad = Task("needs", bodies.give)(bad.out)
        workflow = built(bad, *others, needs_bad)
        run = end(runner, workflow, on_failure="stop")
        assert (run.state, book.lines) == (RunState.FAILED, [])
        assert states(run) == {"bad": "failed", **dict.fromkeys(("needs", "t0", "t1", "t2"), "cancelled")}
        assert run.tasks["t0"].reason == "the run stopped when task 'bad' failed"
        assert run.outcome(others[0]) == Skipped("the run stopped when task 'bad' failed")
        run = end(runner, workflow, on_failure="continue")
        assert (run.state, sorted(book.lines)) == (RunState.FAILED, ["t0", "t1", "t2"])

    def test_a_handled_failure_does_not_stop_the_run(self, runner: Runner, book: Notebook) -> None:
        """Nor does a failure that is followed by another attempt."""
        bad: Any = Task("bad", bodies.fail, limit=ALONE, priority=2)()
        again = Task("again", bodies.scripted, limit=ALONE, priority=1, retry=Retry(2, AT_ONCE))("fo")
        other = Task("other", bodies.noted, limit=ALONE)(book, "other")
        reads = Task("reads", bodies.outcome_of)(bad.outcome)
        run = end(runner, built(bad, again, other, reads), on_failure="stop")
        assert (run.state, book.lines) == (RunState.SUCCEEDED, ["other"])

    def test_a_higher_priority_starts_first(self, runner: Runner, book: Notebook) -> None:
        """Of the tasks that could start, at the beginning and whenever others became ready, whatever their ids."""
        ranks = {"a": -1, "b": 0, "c": 5, "d": 7}
        tasks = [Task(id, bodies.noted, limit=ALONE, priority=rank)(book, id) for id, rank in ranks.items()]
        behind = [Task(f"behind_{rank}", bodies.noted, limit=ALONE, priority=rank) for rank in (8, 9)]
        fed = [one(book, one.id, tasks[1].out) for one in behind]
        run = end(runner, built(*tasks, *fed))
        assert run.state is RunState.SUCCEEDED
        assert book.lines == ["d", "c", "b", "behind_9", "behind_8", "a"]

    def test_a_limit_is_never_passed(self, runner: Runner, book: Notebook) -> None:
        """At most so many tasks with the name run at once, also where some fail; others are not held up."""
        crowd = [
            Task(f"{name}_{k}", bodies.crowded, limit=Limit(name, at_once))(book, name, at_once)
            for name, at_once in (("one", 1), ("two", 2))
            for k in range(6)
        ]
        failing = [Task(f"bad_{k}", bodies.fail, limit=Limit("one", 1), retry=Retry(2, AT_ONCE))() for k in range(2)]
        free = Task("free", bodies.give)(1)
        run = end(runner, built(*crowd, *failing, free))
        assert {str(run.tasks[one.id].state) for one in crowd} == {"succeeded"}
        assert (run["free"], {str(run.tasks[one.id].state) for one in failing}) == (1, {"failed"})
        inside = [tuple(line.split()) for line in book.lines]
        assert {count for name, count in inside if name == "one"} == {"1"}
        assert {count for name, count in inside if name == "two"} <= {"1", "2"}
        assert len(inside) == len(crowd)

    def test_limits_that_contradict_each_other_are_refused(self, runner: Runner, book: Notebook) -> None:
        """Before anything runs."""
        note = Task("note", bodies.noted)
        tasks = [note(book, f"t{k}").named(f"t{k}").with_policy(limit=Limit("db", k + 1)) for k in range(2)]
        with pytest.raises(ConfigurationError, match="limit 'db' allows 1 at once in task 't0' and 2 in task 't1'"):
            runner.run(built(*tasks))
        assert book.lines == []
