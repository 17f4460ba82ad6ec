"""What running a workflow gives: `Run`, `RunHandle`, and what every `Runner` has in common.

The seam between values and runners: a workflow knows these types, and a runner makes them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from graflow.core._options import OnFailure, RunOptions, options
from graflow.core.outcome import Outcome
from graflow.core.records import AttemptRecord as AttemptRecord
from graflow.core.records import Origin as Origin
from graflow.core.records import RunState as RunState
from graflow.core.records import TaskRecord as TaskRecord
from graflow.core.records import TaskState as TaskState
from graflow.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from graflow.core.channel import Channel
    from graflow.core.map_task import MapTask
    from graflow.core.signal import Signal
    from graflow.core.task import Task
    from graflow.core.workflow import Workflow

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
M = TypeVar("M", bound="BaseModel")

Changed = Literal["refuse", "keep", "rerun"]


class Run(ABC, Generic[R_co]):
    """A run that has ended: its result, and what became of every task."""

    @property
    @abstractmethod
    def id(self) -> str:
        """The id of the run."""

    @property
    @abstractmethod
    def state(self) -> RunState:
        """How it ended."""

    @property
    @abstractmethod
    def duration(self) -> float:
        """Seconds from its start to its end."""

    @property
    @abstractmethod
    def value(self) -> R_co:
        """The result of the task that the workflow returns.

        Raises:
            ResultUnavailableError: that task did not succeed; the message says why.
        """

    @property
    @abstractmethod
    def tasks(self) -> Mapping[str, TaskRecord]:
        """What happened to each task, by id, in plan order."""

    @overload
    def __getitem__(self, task: Task[..., T]) -> T: ...
    @overload
    def __getitem__(self, task: str) -> Any: ...
    @abstractmethod
    def __getitem__(self, task: Task[..., Any] | str) -> Any:
        """The result of one task, given the task (typed by it) or its id.

        Raises:
            ResultUnavailableError: it did not succeed, or its result was released; the message says why.
            UnknownTaskError: there is no such task in the workflow.
        """

    @overload
    def outcome(self, task: MapTask[T]) -> list[Outcome[T]]: ...  # type: ignore[overload-overlap]  # the narrower first
    @overload
    def outcome(self, task: Task[..., T]) -> Outcome[T]: ...
    @abstractmethod
    def outcome(self, task: Any) -> Any:
        """How one task ended, as a value; of a map, a list of how its items did."""

    @abstractmethod
    def items(self, task: MapTask[Any] | str) -> Sequence[TaskRecord]:
        """What happened to each item of a map, in item order; empty if the items were never known.

        Raises:
            UnknownTaskError: there is no such map in the workflow.
        """

    @abstractmethod
    def channel(self, channel: Channel[T]) -> T:
        """The value that the run's tasks left in a channel; its default if none of them used it."""

    @abstractmethod
    def raise_for_failure(self) -> None:
        """Raise what `Runner.run` raises with ``check=True``; nothing if the run succeeded."""


class RunHandle(ABC, Generic[R]):
    """A run under way. Can be waited for, awaited, watched and cancelled, from any thread."""

    @property
    @abstractmethod
    def id(self) -> str:
        """The id of the run."""

    @property
    @abstractmethod
    def state(self) -> RunState:
        """Where the run stands now."""

    @property
    @abstractmethod
    def tasks(self) -> Mapping[str, TaskRecord]:
        """Where each task stands now."""

    @abstractmethod
    def wait(self, timeout: float | None = None) -> Run[R]:
        """Wait until the run has ended.

        Args:
            timeout: seconds to wait at most; None waits for ever.

        Raises:
            TimeoutError: the run goes on.
            RunFailedError: tasks failed, and the run was started with ``check=True``.
            RunCancelledError: the run was cancelled, and was started with ``check=True``.
        """

    @abstractmethod
    def cancel(self, reason: str = "cancelled by the caller") -> None:
        """Start no further task. Tasks that run are told, and end as they end. Cancelling twice is fine."""

    @abstractmethod
    def send(self, signal: Signal[T], value: T) -> None:
        """Send a signal that the run waits for, or will wait for.

        Args:
            signal: the task that waits.
            value: its result; checked against the signal's type.

        Raises:
            SignalError: a value of another type, a second one, or the run waits no more.
            UnknownTaskError: there is no such signal in the workflow.
        """

    @abstractmethod
    def channel(self, channel: Channel[T]) -> T:
        """The value of a channel now; its default if no task has used it."""

    @abstractmethod
    def events(self) -> Events:
        """What happens, from the start of the run to its end, for ``for`` and ``async for``."""

    @abstractmethod
    def __await__(self) -> Generator[Any, None, Run[R]]:
        """Wait without blocking the event loop; raises as `wait` does."""


class Events(ABC):
    """An iterator, also asynchronous, over the events of a run; see `graflow.engine.events`."""

    @abstractmethod
    def __iter__(self) -> Iterator[Any]: ...

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[Any]: ...


class Runner(ABC):
    """Where workflows run. All runners follow the same rules; they differ in where the work is done."""

    @overload
    def start(
        self,
        workflow: Workflow[None, R],
        inputs: None = None,
        *,
        check: bool = True,
        run_id: str | None = None,
        on_failure: OnFailure = "continue",
        timeout: float | timedelta | None = None,
    ) -> RunHandle[R]: ...
    @overload
    def start(
        self,
        workflow: Workflow[M, R],
        inputs: M,
        *,
        check: bool = True,
        run_id: str | None = None,
        on_failure: OnFailure = "continue",
        timeout: float | timedelta | None = None,
    ) -> RunHandle[R]: ...
    def start(
        self,
        workflow: Workflow[Any, Any],
        inputs: Any = None,
        *,
        check: bool = True,
        run_id: str | None = None,
        on_failure: OnFailure = "continue",
        timeout: float | timedelta | None = None,
    ) -> RunHandle[Any]:
        """Start a run in the background and return at once.

        Args:
            workflow: what to run.
            inputs: an instance of the workflow's input model; None if it has none.
            check: have `RunHandle.wait` raise if the run did not succeed.
            run_id: as for `run`.
            on_failure: as for `run`.
            timeout: as for `run`.

        Raises:
            ConfigurationError: the inputs do not fit, or a task asks for what this runner cannot do.
            SerializationError: a task has to travel to another process, and cannot.
            RunConflictError: as for `run`.
        """
        return self.begin(workflow, inputs, options(check, run_id, on_failure, timeout), wait=False)

    @overload
    def run(
        self,
        workflow: Workflow[None, R],
        inputs: None = None,
        *,
        check: bool = True,
        run_id: str | None = None,
        on_failure: OnFailure = "continue",
        timeout: float | timedelta | None = None,
    ) -> Run[R]: ...
    @overload
    def run(
        self,
        workflow: Workflow[M, R],
        inputs: M,
        *,
        check: bool = True,
        run_id: str | None = None,
        on_failure: OnFailure = "continue",
        timeout: float | timedelta | None = None,
    ) -> Run[R]: ...
    def run(
        self,
        workflow: Workflow[Any, Any],
        inputs: Any = None,
        *,
        check: bool = True,
        run_id: str | None = None,
        on_failure: OnFailure = "continue",
        timeout: float | timedelta | None = None,
    ) -> Run[Any]:
        """Run to the end.

        Args:
            workflow: what to run.
            inputs: an instance of the workflow's input model; None if it has none.
            check: raise if the run did not succeed; otherwise look at ``run.state``.
            run_id: a name of your own for the run, in the runner's store. Running again under the same name with the
                same inputs gives the same run: its results if it has ended, the rest of it if it was interrupted.
            on_failure: ``continue`` with what does not need the failed task, or ``stop``: start nothing more.
            timeout: seconds the whole run may take.

        Raises:
            RunFailedError: tasks failed; its cause is the task's own exception, or a group of several.
            RunCancelledError: the run was cancelled.
            RunTimeoutError: the run took longer than its timeout.
            RunConflictError: the name is that of a run with other inputs, or of one that another process runs now.
            ConfigurationError: the inputs do not fit, or a task asks for what this runner cannot do.
            StoreError: the runner's store cannot be read or written.
        """
        return self.begin(workflow, inputs, options(check, run_id, on_failure, timeout), wait=True).wait()

    @abstractmethod
    def begin(self, workflow: Workflow[Any, Any], inputs: Any, options: RunOptions, *, wait: bool) -> RunHandle[Any]:
        """Begin a run: all that a runner has to define.

        Args:
            workflow: what to run.
            inputs: as for `run`.
            options: everything else that `run` takes.
            wait: the caller waits for the end at once, so the run may use its thread, and should return at the end.
        """

    @overload
    def resume(
        self, run_id: str, workflow: Workflow[Any, R], *, changed: Changed = "refuse", check: bool = True
    ) -> Run[R]: ...
    @overload
    def resume(
        self, run_id: str, workflow: None = None, *, changed: Changed = "refuse", check: bool = True
    ) -> Run[Any]: ...
    def resume(
        self,
        run_id: str,
        workflow: Workflow[Any, Any] | None = None,
        *,
        changed: Changed = "refuse",
        check: bool = True,
    ) -> Run[Any]:
        """Go on with a run that was interrupted, cancelled, timed out or failed; what succeeded does not run again.

        Args:
            run_id: the run, by its id or an unambiguous start of it.
            workflow: the workflow as it is now; by default as the run was begun with, where functions that can be
                imported are those of today.
            changed: if the code or the inputs of tasks that succeeded changed since: ``refuse`` and name them, ``keep``
                their results all the same, or ``rerun`` them and what depends on them.
            check: raise if the run does not succeed.

        Raises:
            WorkflowChangedError: tasks changed, and ``changed`` is ``refuse``.
            RunConflictError: another process runs it now.
            StoreError: there is no such run, or the store cannot be read.
            ConfigurationError: this runner keeps no runs.
        """
        return self.begin_again(run_id, workflow, changed=changed, check=check).wait()

    def begin_again(
        self, run_id: str, workflow: Workflow[Any, Any] | None, *, changed: Changed, check: bool
    ) -> RunHandle[Any]:
        """Go on with a stored run until it ends; for runners that keep runs. Arguments as for `resume`."""
        raise ConfigurationError(f"{self!r} keeps no runs, so it has none to resume")
