"""What a run tells while it lasts, and what bodies can ask it."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import Any

import pytest

from graflow.core._attempt import current
from graflow.core.policy import Retry
from graflow.core.run import Run, RunHandle, Runner, RunState
from graflow.core.task import Task
from graflow.engine.events import (
    CancelRequested,
    RunFinished,
    RunStarted,
    TaskCancelled,
    TaskFailed,
    TaskProgress,
    TaskRetrying,
    TaskSkipped,
    TaskStarted,
    TaskSucceeded,
)
from graflow.errors import ConfigurationError, RunFailedError
from graflow.testing import _bodies as bodies
from graflow.testing._contract._base import AT_ONCE, Contract, Watch, built, end
from graflow.testing._notebook import PATIENCE, Notebook

#: The journal of one task: the number of each attempt (0 where there was none), and what became of it.
Story = list[tuple[int, str]]

_TOLD: dict[type[Any], str] = {
    TaskStarted: "started",
    TaskSucceeded: "succeeded",
    TaskRetrying: "retrying",
    TaskFailed: "failed",
    TaskSkipped: "skipped",
    TaskCancelled: "cancelled",
}


def stories(events: list[Any]) -> dict[str, Story]:
    """The journal of each task, as its events tell it."""
    told: dict[str, Story] = {}
    for event in events:
        if type(event) in _TOLD:
            told.setdefault(event.task, []).append((getattr(event, "attempt", 0), _TOLD[type(event)]))
    return told


class Script:
    """A workflow whose tasks do what their scripts say, and what has to become of them.

    The expectation is worked out here, task by task, without any of the machinery that runs workflows.
    """

    def __init__(self, seed: int, count: int) -> None:
        dice = random.Random(seed)
        scripted, later, outcome_of = Task("s", bodies.scripted), Task("l", bodies.scripted_later), bodies.outcome_of
        self.tasks: list[Any] = []
        self.edges: list[tuple[str, str]] = []
        self.expected: dict[str, Story] = {}
        self.unhandled = False
        good: dict[str, bool] = {}
        needed_by: dict[str, list[str]] = {}
        taken_by: dict[str, list[str]] = {}
        for k in range(count):
            id = f"t{k:02}"
            upstreams = dice.sample(self.tasks, min(len(self.tasks), dice.choice([0, 1, 1, 2])))
            ids = [one.id for one in upstreams]
            self.edges += [(u, id) for u in ids]
            if upstreams and dice.random() < 0.3:
                task = Task(id, outcome_of)(*(one.outcome for one in upstreams))
                script, needs_all = "o", False
                for u in ids:
                    taken_by.setdefault(u, []).append(id)
            else:
                script, needs_all = dice.choice(["o", "o", "o", "fo", "ffo", "fff", "fb"]), True
                kind = later if not upstreams and dice.random() < 0.3 else scripted
                given = [script] if kind is later else [script, *(one.out for one in upstreams)]
                task = kind(*given).named(id).with_policy(retry=Retry(len(script), AT_ONCE))
                for u in ids:
                    needed_by.setdefault(u, []).append(id)
            self.tasks.append(task)
            if needs_all and not all(good[u] for u in ids):
                self.expected[id], good[id] = [(0, "skipped")], False
                continue
            self.expected[id], good[id] = _story(script), script.endswith("o")
        handled: dict[str, bool] = {}
        for id in reversed([one.id for one in self.tasks]):  # every way down ends at one that takes an outcome
            ways = [handled[d] for d in needed_by.get(id, ())] + [True for _ in taken_by.get(id, ())]
            handled[id] = bool(ways) and all(ways)
        self.failed = [id for id, story in self.expected.items() if story[-1][1] == "failed" and not handled[id]]


def _story(script: str) -> Story:
    """The journal of a task that runs and does what its script says."""
    told: Story = []
    for number, letter in enumerate(script, 1):
        told.append((number, "started"))
        told.append((number, "succeeded" if letter == "o" else "failed" if number == len(script) else "retrying"))
    return told


class EventRules(Contract):
    """What a run tells while it lasts, and what bodies can ask."""

    @pytest.mark.parametrize("seed", range(3))
    def test_every_runner_writes_the_same_journal(self, runner: Runner, seed: int) -> None:
        """The same outcomes lead to the same attempts and states, whatever the runner; no end before its start."""
        script = Script(seed, 30)
        handle = runner.start(built(*script.tasks), check=False)
        watch = Watch(handle)
        run = handle.wait(PATIENCE)
        events = watch.all()
        assert stories(events) == script.expected
        assert run.state is (RunState.FAILED if script.failed else RunState.SUCCEEDED)
        assert (type(events[0]), type(events[-1])) == (RunStarted, RunFinished)
        assert (events[-1].state, {events[0].run, events[-1].run}) == (run.state, {run.id})
        place: dict[str, list[int]] = {}
        for k, event in enumerate(events):
            if type(event) in _TOLD:
                place.setdefault(event.task, []).append(k)
        ran = {id for id, story in script.expected.items() if story[0][1] == "started"}
        assert all(place[u][-1] < place[d][0] for u, d in script.edges if d in ran)
        for id, story in script.expected.items():
            record = run.tasks[id]
            assert (str(record.state), record.attempts) == (story[-1][1], story[-1][0])
            assert [(one.number, str(one.state)) for one in record.history] == [
                (number, "failed" if what == "retrying" else what) for number, what in story if what in _ENDS
            ]
        assert stories(list(handle.events())) == script.expected  # told again to whoever comes late
        if script.failed:
            with pytest.raises(RunFailedError) as caught:
                run.raise_for_failure()
            assert sorted(caught.value.failures) == script.failed

    def test_events_say_when_and_where(self, runner: Runner) -> None:
        """The events of a task are in the order of their times, and agree with its record."""
        task = Task("task", bodies.scripted, retry=Retry(2, AT_ONCE))("fo")
        handle = runner.start(built(task), check=False)
        watch = Watch(handle)
        run = handle.wait(PATIENCE)
        record = run.tasks["task"]
        events = watch.all()
        times = [event.at for event in events]
        assert all(later >= earlier - 1e-5 for earlier, later in pairwise(times))  # sums of floats of this size
        started = [event for event in events if isinstance(event, TaskStarted)]
        assert [event.at for event in started] == [one.started for one in record.history]
        assert [event.worker for event in started] == [one.worker for one in record.history]
        (succeeded,) = (event for event in events if isinstance(event, TaskSucceeded))
        assert succeeded.seconds == pytest.approx(record.duration)
        assert succeeded.source == "run"

    def test_a_run_can_be_awaited_and_watched_without_blocking(self, runner: Runner, book: Notebook) -> None:
        """``await handle`` and ``async for event in handle.events()``."""
        workflow = built(Task("door", bodies.door)(book, "door"), Task("one", bodies.give)(1))

        async def watch() -> tuple[Run[Any], list[Any]]:
            handle = runner.start(workflow)
            told = []
            async for event in handle.events():
                told.append(type(event))
                if isinstance(event, TaskStarted) and event.task == "door":
                    book.mark("door-open")
            return await handle, told

        run, told = asyncio.run(asyncio.wait_for(watch(), PATIENCE))
        assert (run["door"], run["one"]) == ("door", 1)
        assert (told[0], told[-1], told.count(TaskSucceeded)) == (RunStarted, RunFinished, 2)

    def test_waiting_too_short_harms_nothing(self, runner: Runner, book: Notebook) -> None:
        """`RunHandle.wait` raises a `TimeoutError`, and the run goes on."""
        handle: RunHandle[Any] = runner.start(built(Task("door", bodies.door)(book, "door")))
        for seconds in (0, 0.001):
            with pytest.raises(TimeoutError, match=f"run {handle.id} has not ended"):
                handle.wait(seconds)
        book.wait("door-in")
        assert handle.state == "running"
        record = handle.tasks["door"]
        assert (str(record.state), record.attempts, record.duration) == ("running", 1, None)
        book.mark("door-open")
        assert handle.wait(PATIENCE).value == handle.wait(0).value == "door"
        assert handle.state is RunState.SUCCEEDED

    def test_a_cancelled_run_tells_so(self, runner: Runner, book: Notebook) -> None:
        """The request, then what it ended, then the end."""
        door = Task("door", bodies.door)(book, "door")
        handle = runner.start(built(door, Task("next", bodies.give)(door.out)), check=False)
        book.wait("door-in")
        handle.cancel("enough")
        book.mark("door-open")
        handle.wait(PATIENCE)
        events = Watch(handle).all()
        assert stories(events) == {"door": [(1, "started"), (1, "succeeded")], "next": [(0, "cancelled")]}
        assert [event.reason for event in events if isinstance(event, CancelRequested)] == ["enough"]
        assert events[-1].state is RunState.CANCELLED

    # ── what a body can ask ─────────────────────────────────────────────────────────────────────────────────────

    def test_a_body_knows_where_it_runs(self, runner: Runner, book: Notebook) -> None:
        """`current` gives the run, workflow, task and attempt, also in async tasks and nested workflows."""
        inner = built(Task("here", bodies.here), name="inner").as_task("nested")
        tasks = [Task("plain", bodies.here), Task("later", bodies.here_later), inner]
        again = Task("again", bodies.here_at_second, retry=Retry(2, AT_ONCE))(book)
        run = end(runner, built(*tasks, again))
        for id, path, attempt in (
            ("plain", "plain", 1),
            ("later", "later", 1),
            ("nested", "nested/here", 1),
            ("again", "again", 2),
        ):
            assert run[id] == {
                "run": run.id,
                "workflow": "w",
                "task": path,
                "attempt": attempt,
                "key": f"{run.id}/{path}",
                "cancelled": False,
            }
        assert book.lines == [f"{run.id}/again"] * 2
        with pytest.raises(ConfigurationError, match="where no task runs"):
            current()

    def test_progress_is_told_while_it_is_made(self, runner: Runner, book: Notebook) -> None:
        """The last report always; those before may be held back, but never come out of order."""
        handle = runner.start(built(Task("counts", bodies.report)(book, 50)))
        watch = Watch(handle)
        watch.until(TaskStarted, task="counts")
        book.mark("listening")
        last = watch.until(TaskProgress, task="counts", done=50)
        assert (last.attempt, last.total) == (1, 50)
        assert handle.wait(PATIENCE).value == 50
        done = [event.done for event in watch.all() if isinstance(event, TaskProgress)]
        assert done == sorted(done)


_ENDS = ("succeeded", "failed", "retrying")
