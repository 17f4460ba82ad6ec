"""What the parts of the contract have in common: the runner, its flags, and ways to run and to watch."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import pytest

from graflow.core.policy import Exponential
from graflow.core.run import Run, RunHandle, Runner
from graflow.core.task import Task
from graflow.core.workflow import Workflow
from graflow.testing._flags import Flag, Never, NotDone, NotPossible
from graflow.testing._notebook import PATIENCE, Notebook

F = TypeVar("F", bound=Callable[..., Any])

#: No waits between attempts.
AT_ONCE: Final = Exponential(0)


class Contract(ABC):
    """What the tests of a runner say of it.

    A flag is True, or says why the runner does not keep that part: `graflow.testing.NotDone`, ``NotPossible`` or
    ``Never``.
    """

    runs_side_by_side: ClassVar[Flag] = True
    """Two plain functions can be under way at the same time."""

    ends_overrunning: ClassVar[Flag] = True
    """A plain function that takes longer than its timeout is ended, and not left to itself."""

    survives_its_workers: ClassVar[Flag] = True
    """A body that ends its process ends one worker and nothing else."""

    copies_values: ClassVar[Flag] = True
    """Every body reads values of its own: what one does to them, no other sees."""

    keeps_runs: ClassVar[Flag] = True
    """It has a store: runs have names, can be resumed, and results can be cached."""

    takes_signals: ClassVar[Flag] = True
    """Values from outside reach a run while it lasts."""

    shares_channels: ClassVar[Flag] = True
    """Tasks of a run share typed state."""

    most_tasks: ClassVar[int] = 10_000
    """How many tasks the largest workflow of the contract has."""

    most_items: ClassVar[int] = 1_000
    """How many items the largest map of the contract has."""

    @abstractmethod
    def make_runner(self, folder: Path) -> Runner:
        """A new runner.

        Args:
            folder: for what the runner keeps; empty at the start of each test. Runners that are made with the same
                folder keep their runs in the same store.
        """

    def close_runner(self, runner: Runner) -> None:  # noqa: B027  # nothing to do is the usual case
        """Called with each runner at the end of the test that used it; by default this does nothing."""

    # ── fixtures ────────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.fixture(autouse=True)
    def _keep_to_the_flags(self, request: pytest.FixtureRequest) -> None:
        for name in getattr(request.function, "needs_flags", ()):
            flag: Flag = getattr(self, name)
            match flag:
                case True:
                    continue
                case Never(reason=reason):
                    pytest.skip(f"{name}: never, because {reason}")
                case NotDone(reason=reason):
                    request.applymarker(pytest.mark.xfail(strict=True, reason=f"{name}: not done yet: {reason}"))
                case NotPossible(reason=reason):
                    request.applymarker(pytest.mark.xfail(strict=True, reason=f"{name}: not possible yet: {reason}"))

    @pytest.fixture
    def make(self, tmp_path: Path) -> Iterator[Callable[[], Runner]]:
        """Makes runners that share what they keep, and closes them at the end."""
        folder = tmp_path / "kept"
        folder.mkdir()
        made: list[Runner] = []

        def make() -> Runner:
            made.append(self.make_runner(folder))
            return made[-1]

        yield make
        for runner in made:
            self.close_runner(runner)

    @pytest.fixture
    def runner(self, make: Callable[[], Runner]) -> Runner:
        """The runner that has to keep the contract."""
        return make()

    @pytest.fixture
    def book(self, tmp_path: Path) -> Notebook:
        """Where bodies write down what they do."""
        folder = tmp_path / "notes"
        folder.mkdir()
        return Notebook(str(folder))


def needs(*flags: str) -> Callable[[F], F]:
    """Mark a test as one that asks for more than every runner can do."""

    def mark(test: F) -> F:
        vars(test)["needs_flags"] = flags
        return test

    return mark


def built(*tasks: Task[..., Any], name: str = "w", returns: Task[..., Any] | None = None) -> Workflow[None, Any]:
    """A workflow of these tasks, which gives the result of the last one unless told otherwise."""
    return Workflow.builder(name).add_all(tasks).build(returns=returns if returns is not None else tasks[-1])


def end(runner: Runner, workflow: Workflow[Any, Any], inputs: Any = None, **how: Any) -> Run[Any]:
    """Run to the end without raising for failures; a run that hangs fails the test."""
    return runner.start(workflow, inputs, check=False, **how).wait(PATIENCE)


def states(run: Run[Any] | RunHandle[Any]) -> dict[str, str]:
    """The state of each task."""
    return {id: str(record.state) for id, record in run.tasks.items()}


class Watch:
    """Listens to a run from a thread, so that a test can wait for what happens, and give up."""

    def __init__(self, handle: RunHandle[Any]) -> None:
        self._seen: list[Any] = []
        self._news = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._listen, args=(handle.events(),), daemon=True)
        self._thread.start()

    def _listen(self, events: Iterable[Any]) -> None:
        try:
            for event in events:
                with self._news:
                    self._seen.append(event)
                    self._news.notify_all()
        finally:
            with self._news:
                self._ended = True
                self._news.notify_all()

    def until(self, kind: type[Any], **fields: Any) -> Any:
        """The first event of this kind and with these fields, whether it happened already or not."""

        def find() -> Any:
            fitting = (
                event
                for event in self._seen
                if isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items())
            )
            return next(fitting, None)

        with self._news:
            self._news.wait_for(lambda: find() is not None or self._ended, PATIENCE)
            found = find()
        assert found is not None, f"no {kind.__name__} with {fields}, but {self._seen}"
        return found

    def all(self) -> list[Any]:
        """All events, once the run has ended."""
        with self._news:
            assert self._news.wait_for(lambda: self._ended, PATIENCE), f"the events do not end after {self._seen[-3:]}"
            return list(self._seen)
