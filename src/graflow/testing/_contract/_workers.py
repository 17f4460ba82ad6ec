"""Workers: what they share, and what happens when they die."""

from __future__ import annotations

from typing import Any

from graflow.core.policy import Retry
from graflow.core.run import Runner, RunState
from graflow.core.task import Task
from graflow.errors import SerializationError, WorkerLostError
from graflow.testing import _bodies as bodies
from graflow.testing._contract._base import AT_ONCE, Contract, built, end, needs, states
from graflow.testing._notebook import Notebook

DEATHS = {"exit_7": "7", "exit_0": "0", "killed": "killed"}


class Workers(Contract):
    """What bodies can do to each other: nothing."""

    @needs("copies_values")
    def test_a_body_that_changes_what_it_reads_changes_its_own_copy(self, runner: Runner) -> None:
        """Neither another reader, nor the result, nor the next run sees it; a constant input is safe as well."""
        rows = Task("rows", bodies.give)([1, 2])
        spoilt = [Task("spoil", bodies.spoil)(rows.out).named(f"spoil_{k}") for k in range(3)]
        constant = Task("constant", bodies.spoil)([1, 2, 3, 4])
        workflow = built(rows, *spoilt, constant)
        for _ in range(2):
            run = end(runner, workflow)
            assert [run[one] for one in spoilt] == [3, 3, 3]
            assert (run[rows], run[constant]) == ([1, 2], 5)

    @needs("copies_values")
    def test_a_value_that_cannot_be_copied_fails_its_task_only(self, runner: Runner) -> None:
        """With a `SerializationError` that names the task."""
        bad, good = Task("bad", bodies.lock), Task("good", bodies.give)(1)
        run = end(runner, built(bad, good, Task("next", bodies.give)(bad.out)))
        assert states(run) == {"bad": "failed", "good": "succeeded", "next": "skipped"}
        assert type(run.tasks["bad"].error) is SerializationError
        assert "'bad'" in str(run.tasks["bad"].error)

    @needs("survives_its_workers")
    def test_a_worker_that_dies_takes_along_its_own_task_only(self, runner: Runner) -> None:
        """The task fails with a `WorkerLostError`; what needs it is skipped, and all else runs."""
        tasks: list[Any] = []
        for id, how in DEATHS.items():
            dies = Task(id, bodies.die)(how)
            tasks += [Task(f"before_{id}", bodies.give)(1), dies, Task(f"needs_{id}", bodies.give)(dies.out)]
            tasks.append(Task(f"beside_{id}", bodies.give)(2))
        run = end(runner, built(*tasks))
        assert run.state is RunState.FAILED
        for id in DEATHS:
            assert type(run.tasks[id].error) is WorkerLostError
            assert f"{id!r}" in str(run.tasks[id].error)
            assert (run[f"before_{id}"], run[f"beside_{id}"]) == (1, 2)
            assert str(run.tasks[f"needs_{id}"].state) == "skipped"

    @needs("survives_its_workers", "runs_side_by_side")
    def test_a_neighbour_under_way_is_untouched(self, runner: Runner, book: Notebook) -> None:
        """A body that began before the death of another worker ends after it, and was started once."""
        neighbour = Task("neighbour", bodies.door)(book, "door")
        dies = Task("dies", bodies.wait_and_die)(book, "door-in")
        opens = Task("opens", bodies.open_door)(book, "door", dies.outcome)
        run = end(runner, built(neighbour, dies, opens))
        assert (run[neighbour], run.tasks["neighbour"].attempts) == ("door", 1)
        assert type(run.tasks["dies"].error) is WorkerLostError

    @needs("survives_its_workers")
    def test_a_task_whose_worker_died_is_tried_again(self, runner: Runner) -> None:
        """The death is a failure like others, and the attempt is on record."""
        again = Task("again", bodies.die_once, retry=Retry(2, AT_ONCE))
        run = end(runner, built(again, Task("next", bodies.give)(again.out)))
        assert (run.value, run.tasks["again"].attempts) == ("attempt 2", 2)
        first, second = run.tasks["again"].history
        assert (type(first.error), second.error) == (WorkerLostError, None)
