"""What a failure does, and what it does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from graflow.core.outcome import Failed, Skipped
from graflow.core.run import Runner, RunState, TaskState
from graflow.core.task import Task
from graflow.errors import RunFailedError
from graflow.testing import _bodies as bodies
from graflow.testing._contract._base import Contract, built, end, states
from graflow.testing._notebook import PATIENCE, Notebook

STRANGE = {
    "SystemExit": SystemExit,
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "CancelledError": asyncio.CancelledError,
    "StopIteration": StopIteration,
    "TimeoutError": TimeoutError,
    "ExceptionGroup": ExceptionGroup,
}


class Failures(Contract):
    """A failure takes along what needs it, and nothing else."""

    def test_what_needs_a_failed_task_is_skipped_and_all_else_runs(self, runner: Runner, book: Notebook) -> None:
        """Data and order pass a failure on, over any distance; the reason names the task that failed."""
        note: Any = Task("note", bodies.noted)
        bad: Any = Task("bad", bodies.fail)()
        good = note(book, "good").named("good")
        reads = note(book, "reads", bad.out).named("reads")
        ordered = note(book, "ordered").named("ordered").after(bad)
        far = note(book, "far", reads.out).named("far").after(ordered)
        mixed = note(book, "mixed", good.out).named("mixed").after(far)
        after_good = note(book, "after_good", good.out).named("after_good")
        run = end(runner, built(bad, good, reads, ordered, far, mixed, after_good))
        skipped = ("reads", "ordered", "far", "mixed")
        assert run.state is RunState.FAILED
        assert states(run) == {
            "bad": "failed",
            "good": "succeeded",
            "after_good": "succeeded",
            **dict.fromkeys(skipped, "skipped"),
        }
        assert sorted(book.lines) == ["after_good", "good"]
        for id, task in zip(skipped, (reads, ordered, far, mixed), strict=True):
            assert (run.tasks[id].reason, run.tasks[id].attempts) == ("task 'bad' failed", 0)
            assert run.outcome(task) == Skipped("task 'bad' failed")

    def test_a_failure_passes_through_groups_and_nested_workflows(self, runner: Runner) -> None:
        """The hidden gate of a group skips what is behind it; inside of a nested workflow the inner task is named."""
        a, bad = Task("a", bodies.give)(1), Task("bad", bodies.fail)()
        rights = (a | bad) >> (Task("c", bodies.give)(1) | Task("d", bodies.give)(1))
        inner = built(Task("bad", bodies.fail)(), name="inner").as_task("part")
        last = Task("last", bodies.give)(inner.out)
        run = end(runner, built(a, bad, *rights.members, inner, last, returns=a))
        assert states(run) == {
            "a": "succeeded",
            "bad": "failed",
            "c": "skipped",
            "d": "skipped",
            "part/bad": "failed",
            "part": "skipped",
            "last": "skipped",
        }
        assert run.tasks["last"].reason == "task 'part/bad' failed"
        assert run.value == 1

    def test_the_cause_is_what_the_task_raised(self, runner: Runner) -> None:
        """With its type, arguments, attributes, notes and causes; `Run.raise_for_failure` and ``check`` raise it."""
        bad = Task("bad", bodies.refuse)(7)
        workflow = built(bad, Task("next", bodies.give)(bad.out))
        with pytest.raises(RunFailedError) as caught:
            runner.run(workflow)
        cause: Any = caught.value.__cause__
        assert (type(cause), cause.args, cause.code, cause.hint) == (
            bodies.Refused,
            ("refused with 7",),
            7,
            "try again",
        )
        assert cause.__notes__[:2] == ["from the body", "in task 'bad'"]
        assert type(cause.__cause__) is LookupError
        assert type(cause.__cause__.__context__) is KeyError
        assert dict(caught.value.failures) == {"bad": cause}
        assert str(caught.value).startswith(
            "task 'bad' of workflow 'w' failed: Refused: refused with 7; 1 task that needs it did not run (run "
        )
        run = runner.run(workflow, check=False)
        assert run.state is RunState.FAILED
        error: Any = run.tasks["bad"].error
        assert (type(error), error.code) == (bodies.Refused, 7)
        assert run.outcome(bad) == Failed(error)
        with pytest.raises(RunFailedError) as caught:
            run.raise_for_failure()
        assert caught.value.__cause__ is error

    def test_several_failures_are_a_group(self, runner: Runner) -> None:
        """In plan order; a checked run that is waited for raises them as well."""
        tasks = [Task("bad", bodies.refuse)(k).named(f"bad_{k}") for k in range(3)]
        handle = runner.start(built(*tasks, Task("good", bodies.give)(1)))
        with pytest.raises(RunFailedError) as caught:
            handle.wait(PATIENCE)
        assert isinstance(caught.value.__cause__, BaseExceptionGroup)
        found: Any = caught.value.__cause__.exceptions
        assert [one.code for one in found] == [0, 1, 2]
        assert list(caught.value.failures) == ["bad_0", "bad_1", "bad_2"]

    def test_strange_exceptions_fail_their_own_task_only(self, runner: Runner) -> None:
        """Exits, interrupts, groups and the exceptions of loops and generators are failures like all others."""
        bad = [Task(kind, bodies.strange)(kind) for kind in STRANGE]
        needy = [Task(f"needs_{one.id}", bodies.give)(one.out) for one in bad]
        good = Task("good", bodies.give)(1)
        later = Task("later", bodies.increment)(good.out)
        run = end(runner, built(*bad, *needy, good, later))
        assert (run["good"], run["later"], run.state) == (1, 2, RunState.FAILED)
        assert {kind: type(run.tasks[kind].error) for kind in STRANGE} == STRANGE
        assert {str(run.tasks[one.id].state) for one in needy} == {"skipped"}

    def test_an_exception_that_cannot_be_pickled_arrives(self, runner: Runner) -> None:
        """As itself, or as one that says the same and names its class."""
        run = end(runner, built(Task("bad", bodies.scripted)("u"), Task("good", bodies.give)(1)))
        error = run.tasks["bad"].error
        assert "attempt 1" in str(error)
        assert "Unpicklable" in f"{type(error).__name__}: {error}"
        assert run["good"] == 1

    def test_an_input_that_cannot_be_resolved_fails_its_reader_only(self, runner: Runner) -> None:
        """A part that the result does not have fails the task that reads it."""
        source: Any = Task("source", bodies.give)({"a": 1})
        give = Task("give", bodies.give)
        tasks = [
            give(source.out["b"]).named("key"),
            give(source.out.nowhere).named("attribute"),
            give(source.out["a"]).named("good"),
        ]
        run = end(runner, built(source, *tasks))
        assert states(run) == {"source": "succeeded", "key": "failed", "attribute": "failed", "good": "succeeded"}
        assert isinstance(run.tasks["key"].error, KeyError)
        assert isinstance(run.tasks["attribute"].error, AttributeError)

    # ── outcomes ────────────────────────────────────────────────────────────────────────────────────────────────

    def test_who_takes_an_outcome_runs_however_it_ended(self, runner: Runner) -> None:
        """``.outcome`` gives ``Ok``, ``Failed`` or ``Skipped``; a failure that is handled so does not fail the run."""
        good = Task("good", bodies.give)(1)
        bad: Any = Task("bad", bodies.refuse)(7)
        skipped = Task("skipped", bodies.give)(bad.out)
        reads = Task("reads", bodies.outcome_of)(good.outcome, bad.outcome, skipped.outcome)
        last = Task("last", bodies.give)(reads.out)
        run = end(runner, built(good, bad, skipped, reads, last))
        assert run.value == ["ok 1", "failed Refused: refused with 7", "skipped: task 'bad' failed"]
        assert run.state is RunState.SUCCEEDED
        run.raise_for_failure()
        assert run.tasks["bad"].state is TaskState.FAILED

    def test_a_failure_with_one_way_out_that_is_not_handled_fails_the_run(self, runner: Runner) -> None:
        """Every way down has to end at a task that takes an outcome."""
        bad: Any = Task("bad", bodies.fail)()
        other: Any = Task("other", bodies.fail)()
        handled = Task("handled", bodies.outcome_of)(bad.outcome, other.outcome)
        loose = Task("loose", bodies.give)(bad.out)
        run = end(runner, built(bad, other, handled, loose, returns=handled))
        assert run.state is RunState.FAILED
        assert run.value == ["failed ValueError: no luck"] * 2
        with pytest.raises(RunFailedError) as caught:
            run.raise_for_failure()
        assert list(caught.value.failures) == ["bad"]
