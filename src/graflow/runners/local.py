"""`LocalRunner`: runs workflows on this machine, in threads, processes, the calling thread and an event loop."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args

from graflow.core import _ports
from graflow.core.outcome import Outcome
from graflow.core.plan import Plan
from graflow.core.run import Events, Run, RunHandle, Runner, RunState, TaskRecord
from graflow.core.task import Task
from graflow.core.workflow import Workflow
from graflow.engine.drive import Execution, Keep
from graflow.engine.events import Event
from graflow.engine.verdict import run_error
from graflow.errors import ConfigurationError, UnknownTaskError
from graflow.runners._workers import ASYNC, INLINE, PROCESSES, THREADS, Crew

if TYPE_CHECKING:
    import asyncio

R = TypeVar("R")
T = TypeVar("T")
Executor = Literal["inline", "threads", "processes"]

_LANES = {"inline": INLINE, "threads": THREADS, "processes": PROCESSES}


class LocalRunner(Runner):
    """Runs workflows on this machine.

    Args:
        executor: where the bodies of plain functions run, unless a task asks for something else: ``threads``,
            ``processes``, or ``inline`` in the thread that calls `run`. Async tasks share one event loop.
        max_workers: how many threads, and how many processes, there may be; by default as many as processors for
            processes, and 4 more than that for threads.
        keep: ``all`` results until the run is forgotten; or only what ``returns`` gives, letting go of every other
            result as soon as no task can read it.

    Raises:
        ConfigurationError: an argument has an impossible value.
    """

    def __init__(self, executor: Executor = "threads", max_workers: int | None = None, *, keep: Keep = "all") -> None:
        if executor not in _LANES:
            raise ConfigurationError(f"executor={executor!r} is unknown; choose one of {', '.join(_LANES)}")
        if max_workers is not None and (not isinstance(max_workers, int) or max_workers < 1):
            raise ConfigurationError(f"max_workers={max_workers!r} must be a whole number from 1 on")
        if keep not in get_args(Keep):
            raise ConfigurationError(f"keep={keep!r} is unknown; choose 'all' or 'returns'")
        self.executor: Executor = executor
        self.max_workers = max_workers
        self.keep: Keep = keep

    def begin(self, workflow: Workflow[Any, Any], inputs: Any, *, check: bool, wait: bool) -> LocalHandle[Any]:
        """Begin a run; with ``wait`` this thread runs the inline tasks, and returns when the run has ended.

        Ctrl-C meanwhile cancels the run: processes are ended, threads finish the task they run (a second Ctrl-C
        abandons them), and then the KeyboardInterrupt goes on.
        """
        handle = self.prepare(workflow, inputs, check=check)
        handle.drive() if wait else handle.go()
        return handle

    def prepare(self, workflow: Workflow[Any, Any], inputs: Any = None, *, check: bool = True) -> LocalHandle[Any]:
        """Check that this runner can run the workflow with these inputs; its `LocalHandle.drive` then runs it.

        For callers that want the handle before the run begins, and run it in their own thread.

        Raises:
            ConfigurationError: the inputs do not fit, or a task asks for what this runner cannot do.
            SerializationError: a task that is to run in a process cannot travel there.
        """
        if not isinstance(workflow, Workflow):
            raise ConfigurationError(f"a runner runs workflows, not {workflow!r}; build one, or take block.workflow")
        _check_inputs(workflow, inputs)
        plan = workflow.compile()
        lanes = self._lanes(plan)
        execution = Execution(plan, inputs, lanes, self.keep)
        processors = os.cpu_count() or 1
        threads = self.max_workers if self.max_workers is not None else processors + 4
        processes = self.max_workers if self.max_workers is not None else processors
        return LocalHandle(execution, Crew(execution, lanes, threads, processes), check)

    def _lanes(self, plan: Plan) -> bytes:
        lanes = bytearray([_LANES[self.executor]]) * len(plan.ids)
        if any(plan.is_async):
            for i, number in enumerate(plan.function_of):
                if plan.is_async[number]:
                    lanes[i] = ASYNC
        for i, policy in plan.policies.items():
            if policy.timeout is not None:
                raise ConfigurationError(
                    f"task {plan.ids[i]!r} has a timeout of {policy.timeout:g} s, which LocalRunner cannot keep yet; "
                    f"remove it, or bound the time inside the task"
                )
            if policy.executor == "processes" or (policy.executor is not None and lanes[i] != ASYNC):
                lanes[i] = _LANES[policy.executor]
        return bytes(lanes)

    def __repr__(self) -> str:
        return f"LocalRunner(executor={self.executor!r}, max_workers={self.max_workers!r}, keep={self.keep!r})"


def _check_inputs(workflow: Workflow[Any, Any], inputs: Any) -> None:
    model = workflow.inputs
    if model is None:
        if inputs is not None:
            raise ConfigurationError(f"workflow {workflow.name!r} takes no inputs, but got {inputs!r}")
    elif inputs is None:
        raise ConfigurationError(f"workflow {workflow.name!r} takes {model.__name__}; run it with an instance of that")
    elif not isinstance(inputs, model):
        raise ConfigurationError(f"workflow {workflow.name!r} takes {model.__name__}, not {inputs!r}")


class LocalHandle(RunHandle[R]):
    """A run under way on this machine."""

    def __init__(self, execution: Execution, crew: Crew, check: bool) -> None:
        self._execution = execution
        self._crew = crew
        self._check = check
        self._over = False
        self._ending = threading.Lock()
        self._run = LocalRun[R](execution)

    @property
    def id(self) -> str:
        """The id of the run."""
        return self._execution.id

    @property
    def state(self) -> RunState:
        """Where the run stands now."""
        return self._execution.state

    @property
    def tasks(self) -> Mapping[str, TaskRecord]:
        """Where each task stands now."""
        return self._run.tasks

    def wait(self, timeout: float | None = None) -> Run[R]:
        """Wait for the end; see `RunHandle.wait`."""
        if timeout is None and not self._over:
            self._execution.wait()
        elif not self._execution.done.wait(timeout):
            raise TimeoutError(f"run {self.id} has not ended within {timeout:g} s; it goes on")
        self._end()
        if self._execution.fatal is not None:
            raise self._execution.fatal
        if self._check:
            self._run.raise_for_failure()
        return self._run

    def cancel(self, reason: str = "cancelled by the caller") -> None:
        """Start nothing more; see `RunHandle.cancel`. Async tasks under way are cancelled."""
        self._execution.cancel(reason)

    def events(self) -> LocalEvents:
        """What happens, from the start of the run to its end."""
        return LocalEvents(self._execution)

    def __await__(self) -> Generator[Any, None, Run[R]]:
        """Wait without blocking the event loop."""
        import asyncio

        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            if not ended.done():
                ended.set_result(None)

        _when_done(self._execution, loop, tell)
        yield from ended
        return self.wait()

    def go(self) -> None:
        """Begin the run, and leave it to threads of its own."""
        self._crew.start()
        if self._crew.inline is not None:
            self._crew.spawn(self._crew.drive, "graflow-inline")

    def drive(self) -> None:
        """Begin the run, lend it this thread, and return when it has ended; Ctrl-C as for `LocalRunner.begin`."""
        try:
            self._crew.start()
            self._crew.drive()
        except KeyboardInterrupt as stop:
            self._crew.interrupt(stop)
            self._end()
            raise

    def _end(self) -> None:
        with self._ending:
            if not self._over:
                self._over = True
                self._crew.end()


def _when_done(execution: Execution, loop: asyncio.AbstractEventLoop, tell: Callable[[], None]) -> None:
    def ended() -> None:
        if execution.done.is_set():
            _tell_loop(loop, tell)

    execution.on_end(ended)


def _tell_loop(loop: asyncio.AbstractEventLoop, tell: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:
        if not loop.is_closed():  # a closed loop has nobody left who waits
            raise


class LocalRun(Run[R], Generic[R]):
    """The records and results of a run on this machine."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    @property
    def id(self) -> str:
        """The id of the run."""
        return self._execution.id

    @property
    def state(self) -> RunState:
        """How it ended."""
        return self._execution.state

    @property
    def value(self) -> R:
        """The result of the task that the workflow returns; see `Run.value`."""
        i = self._execution.plan.returns
        return self._execution.result(i) if i is not None else None  # type: ignore[return-value]  # no tasks at all

    @property
    def duration(self) -> float:
        """Seconds from the start of the run to its end."""
        end = self._execution.finished_at
        return end - self._execution.began if end is not None else 0.0

    @property
    def tasks(self) -> Mapping[str, TaskRecord]:
        """What happened to each task, by id, in plan order."""
        return Records(self._execution)

    def __getitem__(self, task: Task[..., Any] | str) -> Any:
        """The result of one task; see `Run.__getitem__`."""
        return self._execution.result(self._index(task))

    def outcome(self, task: Task[..., T]) -> Outcome[T]:
        """How one task ended, as a value."""
        return self._execution.outcome(self._index(task))

    def raise_for_failure(self) -> None:
        """Raise if the run did not succeed."""
        error = run_error(self._execution)
        if error is not None:
            raise error

    def _index(self, task: Task[..., Any] | str) -> int:
        plan = self._execution.plan
        id = task if isinstance(task, str) else task.id
        i = plan.index.get(id)
        if i is None:
            raise UnknownTaskError(f"workflow {plan.name!r} has no task {id!r}; look at run.tasks for those it has")
        if isinstance(task, Task) and task.fn is not plan.task(i).fn:
            raise UnknownTaskError(
                f"workflow {plan.name!r} has a task {id!r}, but with another function: it was defined at "
                f"{plan.task(i)._definition.site}, the one asked for at {task._definition.site}"
            )
        return i

    def __repr__(self) -> str:
        return f"<run {self.id} of {self._execution.plan.name!r}: {self.state}>"


class Records(Mapping[str, TaskRecord]):
    """The records of all tasks, each made when it is asked for."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def __getitem__(self, id: str) -> TaskRecord:
        return self._execution.record(self._execution.plan.index[id])

    def __iter__(self) -> Iterator[str]:
        plan = self._execution.plan
        return (plan.ids[i] for i in plan.order if i < len(plan.ids))

    def __len__(self) -> int:
        return len(self._execution.plan.ids)

    def __repr__(self) -> str:
        return repr(dict(self))


class LocalEvents(Events):
    """The events of one run, from its start; every iteration begins anew."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def __iter__(self) -> Iterator[Event]:
        arrived: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._execution.listen(arrived.put)
        while (event := arrived.get()) is not None:
            yield event

    async def __aiter__(self) -> AsyncIterator[Event]:
        import asyncio

        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[Event | None] = asyncio.Queue()
        self._execution.listen(lambda event: _tell_loop(loop, lambda: arrived.put_nowait(event)))
        while (event := await arrived.get()) is not None:
            yield event


_ports.default_runner = LocalRunner
_ports.inline_runner = lambda: LocalRunner(executor="inline")
