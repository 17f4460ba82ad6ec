"""Attempts: how many, after what, and how long one may take."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import pytest

from graflow.core.policy import Exponential, Retry
from graflow.core.run import Runner, RunState, TaskState
from graflow.core.task import Task
from graflow.engine.events import RunFinished, TaskRetrying
from graflow.errors import RunTimeoutError, TaskTimeoutError
from graflow.testing import _bodies as bodies
from graflow.testing._contract._base import AT_ONCE, Contract, Watch, built, end, needs, states
from graflow.testing._notebook import PATIENCE, Notebook, wait_until

#: Timeouts in seconds, for what has to be slower than that, while all else has to be faster: the first that fits.
GROWING = (0.1, 0.5, 2.5, 12.0)


def retried(id: str, fn: Any, attempts: int, **more: Any) -> Any:
    """A task with so many attempts and no waits between them."""
    return Task(id, fn, retry=Retry(attempts, AT_ONCE, **more))


def ends_of(run: Any, id: str) -> list[tuple[int, str]]:
    """The number of each attempt at a task, and how it ended."""
    return [(one.number, str(one.state)) for one in run.tasks[id].history]


def is_gone(pid: int) -> bool:
    """Has the process ended?"""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return False
    return True


class Retries(Contract):
    """A task is attempted as often as it asks for, and an attempt takes as long as it may."""

    def test_a_task_is_tried_until_it_succeeds(self, runner: Runner, book: Notebook) -> None:
        """Each attempt is on record; what waits for the task runs once, and a success needs no second."""
        third = retried("third", bodies.scripted, 5)("ffo")
        first = retried("first", bodies.scripted, 5)("o")
        later = retried("later", bodies.scripted_later, 2)("fo")
        after = Task("after", bodies.noted)(book, "after", third.out, later.out)
        run = end(runner, built(third, first, later, after))
        assert (run["third"], run["first"], run["later"]) == ("attempt 3", "attempt 1", "attempt 2")
        assert (run.state, book.lines) == (RunState.SUCCEEDED, ["after"])
        assert ends_of(run, "third") == [(1, "failed"), (2, "failed"), (3, "succeeded")]
        assert ends_of(run, "first") == [(1, "succeeded")]
        record: Any = run.tasks["third"]
        assert (record.attempts, record.error) == (3, None)
        assert [one.error.code for one in record.history[:2]] == [1, 2]
        assert [(one.started, one.duration) for one in record.history][-1] == (record.started, record.duration)
        starts = [one.started for one in record.history]
        assert starts == sorted(starts)

    def test_the_last_failure_is_the_task_s(self, runner: Runner) -> None:
        """After as many attempts as it has, the task fails with the error of the last, and skips what needs it."""
        bad = retried("bad", bodies.scripted, 3)("fffo")
        run = end(runner, built(bad, Task("next", bodies.give)(bad.out)))
        assert ends_of(run, "bad") == [(1, "failed"), (2, "failed"), (3, "failed")]
        error: Any = run.tasks["bad"].error
        assert (error.code, states(run)) == (3, {"bad": "failed", "next": "skipped"})

    def test_only_the_errors_that_are_named_lead_to_another_attempt(self, runner: Runner) -> None:
        """``on=`` covers subclasses, and errors that cannot be pickled; exits are no errors."""
        tasks = [
            retried("covered", bodies.scripted, 3, on=bodies.Refused)("fbo"),
            retried("narrow", bodies.scripted, 3, on=(bodies.Busy, OSError))("bfo"),
            retried("unpicklable", bodies.scripted, 3, on=bodies.Unpicklable)("uuo"),
            retried("exits", bodies.strange, 3)("SystemExit"),
        ]
        run = end(runner, built(*tasks))
        assert {one.id: (str(run.tasks[one.id].state), run.tasks[one.id].attempts) for one in tasks} == {
            "covered": ("succeeded", 3),
            "narrow": ("failed", 2),
            "unpicklable": ("succeeded", 3),
            "exits": ("failed", 1),
        }

    def test_the_next_attempt_waits_as_long_as_the_policy_says(self, runner: Runner) -> None:
        """A wait grows with each attempt; the same run and task would wait as long again."""
        backoff = Exponential(0.01, factor=2, jitter=0.5)
        bad = Task("bad", bodies.scripted, retry=Retry(4, backoff))("fffo")
        handle = runner.start(built(bad), check=False)
        watch = Watch(handle)
        run = handle.wait(PATIENCE)
        history: Any = run.tasks["bad"].history
        told = [event for event in watch.all() if isinstance(event, TaskRetrying)]
        assert [event.attempt for event in told] == [1, 2, 3]
        for event, before, after in zip(told, history[:-1], history[1:], strict=True):
            delay = backoff.delay(event.attempt, f"{run.id}/bad")
            assert event.next_at == pytest.approx(before.started + before.duration + delay, abs=1e-5)
            assert after.started >= event.next_at - 1e-5  # sums of floats of this size
        assert run.tasks["bad"].state is TaskState.SUCCEEDED
        again = [event for event in handle.events() if isinstance(event, TaskRetrying)]
        assert [event.next_at for event in again] == pytest.approx([event.next_at for event in told], abs=1e-5)

    # ── timeouts ────────────────────────────────────────────────────────────────────────────────────────────────

    def test_an_attempt_that_takes_too_long_is_given_up(self, runner: Runner, book: Notebook) -> None:
        """The next one counts, whatever the first still gives; no other task suffers."""
        for seconds in GROWING:
            policy: Any = {"timeout": seconds, "retry": Retry(2, AT_ONCE)}
            slow = Task("slow", bodies.too_long_at_first, **policy)(book)
            later = Task("later", bodies.too_long_later, **policy)(book)
            beside = Task("beside", bodies.give)(1)
            run = end(runner, built(slow, later, beside, Task("after", bodies.give)(slow.out)))
            assert run["beside"] == 1
            if run.state is RunState.SUCCEEDED:
                break
        else:
            pytest.fail("the second attempts took too long as well")
        assert (run["slow"], run["later"], run.value) == ("attempt 2", "attempt 2", "attempt 2")
        for id in ("slow", "later"):
            first, second = run.tasks[id].history
            assert (type(first.error), first.state) == (TaskTimeoutError, TaskState.FAILED)
            assert (second.error, second.state) == (None, TaskState.SUCCEEDED)

    def test_a_task_whose_last_attempt_takes_too_long_fails(self, runner: Runner, book: Notebook) -> None:
        """With a `TaskTimeoutError` that names the task and the timeout."""
        slow = Task("slow", bodies.until_told, timeout=0.05)(book, "slow")
        run = end(runner, built(slow, Task("next", bodies.give)(slow.out), Task("good", bodies.give)(1)))
        assert states(run) == {"slow": "failed", "next": "skipped", "good": "succeeded"}
        error = run.tasks["slow"].error
        assert type(error) is TaskTimeoutError
        assert "attempt 1 of task 'slow' took longer than its timeout of 0.05 s" in str(error)

    @needs("ends_overrunning")
    def test_a_body_that_takes_too_long_is_ended(self, runner: Runner, book: Notebook) -> None:
        """Its process does not go on, and others do the work that is left."""
        for seconds in GROWING:
            deaf = Task("deaf", bodies.deaf, timeout=seconds)(book)
            others = [Task(f"good_{k}", bodies.give)(k) for k in range(3)]
            run = end(runner, built(deaf, *others))
            assert type(run.tasks["deaf"].error) is TaskTimeoutError
            assert [run[one] for one in others] == [0, 1, 2]
            if book.lines:  # it got as far as to say which process it is
                break
        else:
            pytest.fail("the body did not begin in time")
        wait_until(lambda: all(is_gone(int(pid)) for pid in book.lines), "the end of a process")

    def test_a_run_that_takes_too_long_ends_though_a_body_hangs(self, runner: Runner, book: Notebook) -> None:
        """The run has timed out when its time is up; what has not ended is cancelled, and says why."""
        for seconds in GROWING:
            hangs = Task("hangs", bodies.door)(book, f"door-{seconds}")
            handle = runner.start(built(hangs, Task("next", bodies.give)(hangs.out)), timeout=seconds)
            try:
                finished = Watch(handle).until(RunFinished)
                assert (finished.state, handle.state) == (RunState.TIMED_OUT, RunState.TIMED_OUT)
                was_inside = book.is_marked(f"door-{seconds}-in")
            finally:
                book.mark(f"door-{seconds}-open")
            with pytest.raises(RunTimeoutError, match=f"run {handle.id} of workflow 'w' took longer than its timeout"):
                handle.wait(PATIENCE)
            if was_inside:
                break
        else:
            pytest.fail("the body did not begin in time")
        assert states(handle) == {"hangs": "cancelled", "next": "cancelled"}
        assert handle.tasks["next"].reason == handle.tasks["hangs"].reason == "the run's time was up"

    def test_a_run_in_time_is_not_disturbed_by_its_timeouts(self, runner: Runner) -> None:
        """A timeout that is not reached changes nothing."""
        tasks = [Task("one", bodies.give, timeout=PATIENCE)(1), Task("two", bodies.give_later, timeout=PATIENCE)(2)]
        run = runner.run(built(*tasks), timeout=PATIENCE)
        assert (run["one"], run["two"], run.state) == (1, 2, RunState.SUCCEEDED)
