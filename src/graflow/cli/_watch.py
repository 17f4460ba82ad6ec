"""One run in the foreground: progress while it lasts, and a clean end when Ctrl-C asks for one."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from graflow.cli._output import standard_output_kept
from graflow.cli._summary import Summary
from graflow.cli._trouble import Trouble
from graflow.core.run import RunState, TaskState
from graflow.errors import ConfigurationError, SerializationError
from graflow.runners.local import LocalHandle, LocalRunner
from graflow.show.progress import Progress, follow

if TYPE_CHECKING:
    from graflow.core.workflow import Workflow
    from graflow.runners.local import Executor

#: What a process exits with that a signal ended, by the convention of shells.
_SIGNALLED = 128


class Abandoned(click.ClickException):
    """A second Ctrl-C: tasks still run, in threads that nobody can end but by leaving the process."""

    exit_code = _SIGNALLED + signal.SIGINT


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a run as Ctrl-C does."""


class Watch:
    """A run, and what became of it.

    Attributes:
        exit_code: 0 if it succeeded, 1 if a task failed, 130 if Ctrl-C ended it, 143 if SIGTERM did.
        value: what it gave; None if it did not succeed.
    """

    def __init__(self, workflow: Workflow[Any, Any]) -> None:
        self.exit_code = 1
        self.value: Any = None
        self._workflow = workflow

    def run(
        self, inputs: Any, executor: Executor, max_workers: int | None, *, progress: Progress | None, spare_output: bool
    ) -> Summary:
        """Run to the end, or to the end that Ctrl-C makes.

        Args:
            inputs: an instance of the input model.
            executor: as for `LocalRunner`.
            max_workers: as for `LocalRunner`.
            progress: what tells how it goes.
            spare_output: keep what tasks print out of standard output.

        Raises:
            Trouble: the runner refuses the workflow.
            Abandoned: a second Ctrl-C came while tasks still ran.
        """
        try:
            handle = LocalRunner(executor, max_workers).prepare(self._workflow, inputs, check=False)
        except (ConfigurationError, SerializationError) as error:
            raise Trouble(str(error)) from error
        start = time.perf_counter()
        with contextlib.ExitStack() as stack:
            stack.enter_context(_sigterm_interrupts())
            if spare_output:
                stack.enter_context(standard_output_kept())
            if progress is not None:
                stack.enter_context(progress)
            teller = follow(handle, progress) if progress is not None else None
            self._drive(handle)
            if teller is not None:
                teller.join()
        seconds = time.perf_counter() - start
        return Summary(handle.id, self._workflow.compile(), handle.state, seconds, handle.tasks)

    def _drive(self, handle: LocalHandle[Any]) -> None:
        try:
            handle.drive()
            run = handle.wait()
        except KeyboardInterrupt as stop:
            self.exit_code = _SIGNALLED + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
            if handle.state is RunState.RUNNING:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end has come; a third Ctrl-C has nothing to add
                left = [record.id for record in handle.tasks.values() if record.state is TaskState.RUNNING]
                raise Abandoned(f"abandoned while {', '.join(left) or 'it ended'} still ran") from None
        else:
            if run.state is RunState.SUCCEEDED:
                self.exit_code = 0
                self.value = run.value


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # only the main thread may set a handler
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
