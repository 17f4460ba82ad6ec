"""A run on this machine: the handle while it lasts, its records and results afterwards."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from graflow.core._forms import describe
from graflow.core.outcome import Outcome
from graflow.core.run import Events, Run, RunHandle, RunState, TaskRecord, TaskState
from graflow.core.signal import Signal, check_value
from graflow.core.task import Task
from graflow.core.turns import Stop
from graflow.engine.channels import read
from graflow.engine.drive import Execution
from graflow.engine.events import Event
from graflow.engine.rules import STATES
from graflow.engine.shapes import check_waits, sent_before
from graflow.engine.verdict import run_error
from graflow.errors import RunFailedError, SignalError, StoreError, UnknownTaskError
from graflow.runners._workers import Crew

if TYPE_CHECKING:
    import asyncio

    from graflow.core.channel import Channel
    from graflow.core.map_task import MapTask
    from graflow.engine.channels import Channels

R = TypeVar("R")
T = TypeVar("T")


class LocalHandle(RunHandle[R]):
    """A run under way on this machine."""

    def __init__(self, execution: Execution, crew: Crew, check: bool) -> None:
        self._execution = execution
        self._crew = crew
        self._check = check
        self._over = False
        self._problem: StoreError | None = None
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

    @property
    def run(self) -> LocalRun[R]:
        """The records and results so far, whatever `wait` would raise."""
        return self._run

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

    def send(self, signal: Signal[T], value: T) -> None:
        """Send a signal; see `RunHandle.send`."""
        execution = self._execution
        checked = check_value(signal, value)
        own = execution.plan.workflow.tasks.get(signal.id)
        if isinstance(own, Signal) and own.fn is not signal.fn:
            raise SignalError(
                f"signal {signal.id!r} of workflow {execution.plan.name!r} takes {describe(own.type)}, and the one "
                f"that was sent takes {describe(signal.type)}; use one signal for both"
            )
        i = self._run._index(signal)
        journal = execution.journal
        with execution.lock:
            check_waits(execution, i)
        if journal is not None and not journal.arrives(i, checked):  # before anybody reads it: it must not be lost
            raise sent_before(execution, i)
        if not execution.arrive(i, checked) and journal is None:
            raise sent_before(execution, i)

    def channel(self, channel: Channel[T]) -> T:
        """The value of a channel now; see `RunHandle.channel`."""
        return read(self._execution.channels, channel)

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

    def join_run_around(self) -> None:
        """Before the start: be a part of the run in whose body this one is made, if it is made in one."""
        around = self._execution.around
        if around is not None:
            self._execution.hands_up = True
            self._execution.channels = cast("Channels", around.channels)  # nobody keeps them but the run around

    def handed_up(self) -> Any:
        """The value of a run that has ended; or, for the run around it, how that is to go on, or that it is to stop."""
        value = self.wait().value
        is_stop = self._execution.hands_up and self._execution.machine.stopped_by is not None
        return Stop(value) if is_stop else value

    def go(self) -> None:
        """Begin the run, and leave it to threads of its own."""
        with self._unless_struck():
            if self._start() and self._crew.inline is not None:
                self._crew.spawn(self._crew.drive, "graflow-inline")

    def drive(self) -> None:
        """Begin the run, lend it this thread, and return when it has ended; Ctrl-C as for `LocalRunner.begin`."""
        with self._unless_struck():
            if self._start():
                self._crew.drive()

    @contextlib.contextmanager
    def _unless_struck(self) -> Iterator[None]:
        try:
            yield
        except BaseException as stop:  # Ctrl-C; what a signal handler raises; no more threads to be had
            self._crew.interrupt(stop)
            self._end()
            raise

    def _start(self) -> bool:
        """Begin the run, unless it has ended: it was read back from a store, or cancelled before."""
        journal = self._execution.journal
        if self._execution.done.is_set():
            if journal is not None:
                journal.open()
            return False
        self._crew.extras.run_begins()
        if journal is not None:
            journal.open()
        self._crew.start()
        return True

    def _end(self) -> None:
        with self._ending:
            if not self._over:
                self._over = True
                journal = self._execution.journal
                self._crew.extras.run_ended()
                try:
                    if journal is not None:
                        journal.close()
                except StoreError as problem:
                    failed = run_error(self._execution)
                    if isinstance(failed, RunFailedError):
                        problem.add_note(f"besides, {failed}")
                    self._problem = problem
                finally:
                    self._crew.end()
        if self._problem is not None:
            raise self._problem


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
        stopped_by = self._execution.machine.stopped_by
        i = self._execution.plan.returns if stopped_by is None else stopped_by
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

    @overload
    def outcome(self, task: MapTask[T]) -> list[Outcome[T]]: ...  # type: ignore[overload-overlap]  # the narrower first
    @overload
    def outcome(self, task: Task[..., T]) -> Outcome[T]: ...
    def outcome(self, task: Any) -> Any:
        """How one task ended, as a value; of a map, a list of how its items did."""
        return self._execution.outcome(self._index(task))

    def items(self, task: MapTask[Any] | str) -> Sequence[TaskRecord]:
        """What happened to each item of a map; see `Run.items`."""
        i = self._index(task)
        if i not in self._execution.plan.maps:
            raise UnknownTaskError(f"task {self._execution.ids[i]!r} is no map, so it has no items")
        return ItemRecords(self._execution, i)

    def channel(self, channel: Channel[T]) -> T:
        """The value of a channel; see `Run.channel`."""
        return read(self._execution.channels, channel)

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


class ItemRecords(Sequence[TaskRecord]):
    """The records of the items of a map, each made when it is asked for."""

    def __init__(self, execution: Execution, i: int) -> None:
        self._execution = execution
        self._items = execution.machine.items.of.get(i, range(0))

    @overload
    def __getitem__(self, k: int) -> TaskRecord: ...
    @overload
    def __getitem__(self, k: slice) -> list[TaskRecord]: ...
    def __getitem__(self, k: int | slice) -> TaskRecord | list[TaskRecord]:
        if isinstance(k, slice):
            return [self._execution.record(j) for j in self._items[k]]
        return self._execution.record(self._items[k])

    def __len__(self) -> int:
        return len(self._items)

    def counts(self) -> dict[TaskState, int]:
        """How many items stand where, of the states in which any do; makes no record."""
        items, states = self._items, self._execution.machine.states
        found = Counter(states[items.start : items.stop])
        return {STATES[state]: found[state] for state in sorted(found)}

    def those(self, state: TaskState) -> Iterator[TaskRecord]:
        """The records of the items in a state, each made as it is reached."""
        execution, states = self._execution, self._execution.machine.states
        number = STATES.index(state)
        return (execution.record(j) for j in self._items if states[j] == number)

    def __repr__(self) -> str:
        return f"<{len(self)} items>"


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
        try:
            while (event := arrived.get()) is not None:
                yield event
        finally:
            self._execution.unlisten(arrived.put)

    async def __aiter__(self) -> AsyncIterator[Event]:
        import asyncio

        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[Event | None] = asyncio.Queue()

        def hear(event: Event | None) -> None:
            _tell_loop(loop, lambda: arrived.put_nowait(event))

        self._execution.listen(hear)
        try:
            while (event := await arrived.get()) is not None:
                yield event
        finally:
            self._execution.unlisten(hear)
