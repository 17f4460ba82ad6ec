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
from graflow.core.run import Run, RunState, TaskState
from graflow.errors import ResultUnavailableError, StoreError
from graflow.runners._handle import LocalHandle
from graflow.show.progress import Progress, follow

if TYPE_CHECKING:
    from graflow.core.plan import Plan

#: What a process exits with that a signal ended, by the convention of shells.
_SIGNALLED = 128
#: By the state of a run that nobody interrupted; 124 is what the command ``timeout`` exits with.
_EXIT_CODES = {RunState.SUCCEEDED: 0, RunState.FAILED: 1, RunState.TIMED_OUT: 124}


class Abandoned(click.ClickException):
    """A second Ctrl-C: tasks still run, in threads that nobody can end but by leaving the process."""

    exit_code = _SIGNALLED + signal.SIGINT


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a run as Ctrl-C does."""


class Watch:
    """A run, and what became of it.

    Attributes:
        exit_code: 0 if it succeeded, 1 if a task failed, 124 if its time was up, 130 if Ctrl-C ended it, 143 if SIGTERM
            did.
        value: what it gave; None if it did not succeed.
        no_value: why it gave none although it succeeded; empty if it gave one.
        problem: why the store does not have all of it; None if it has.
        had_ended: the store had the whole run, so that nothing is left to do.
    """

    def __init__(self, handle: LocalHandle[Any], plan: Plan) -> None:
        self.exit_code = 1
        self.value: Any = None
        self.no_value = ""
        self.problem: StoreError | None = None
        self._handle = handle
        self._plan = plan
        self._seconds: float | None = None
        self.had_ended = _has_ended(handle)

    def run(self, *, progress: Progress | None, spare_output: bool) -> Summary:
        """Run to the end, or to the end that Ctrl-C makes.

        Args:
            progress: what tells how it goes.
            spare_output: keep what tasks print out of standard output.

        Raises:
            Abandoned: a second Ctrl-C came while tasks still ran.
        """
        handle = self._handle
        start = time.perf_counter()
        with contextlib.ExitStack() as stack:
            stack.enter_context(_sigterm_interrupts())
            if spare_output:
                stack.enter_context(standard_output_kept())
            teller = None
            if progress is not None and not self.had_ended:
                stack.enter_context(progress)
                teller = follow(handle, progress)
            self._drive(handle)
            if teller is not None:
                teller.join()
        seconds = time.perf_counter() - start
        if self.had_ended and self._seconds is not None:
            seconds = self._seconds
        return Summary(handle.id, self._plan, handle.state, seconds, handle.tasks, handle.run, had_ended=self.had_ended)

    def _drive(self, handle: LocalHandle[Any]) -> None:
        try:
            handle.drive()
            run = self._end(handle)
        except KeyboardInterrupt as stop:
            self._interrupted(handle, stop)
        except StoreError as problem:  # while Ctrl-C ended the run
            if not isinstance(problem.__context__, KeyboardInterrupt):
                raise
            self.problem = problem
            self._interrupted(handle, problem.__context__)
        else:
            self._seconds = run.duration
            self.exit_code = _EXIT_CODES.get(run.state, 1)
            if run.state is RunState.SUCCEEDED:
                try:
                    self.value = run.value
                except ResultUnavailableError as why:  # a flag had the task that gives it skipped
                    self.no_value = str(why)
            if self.problem is not None:
                self.exit_code = self.exit_code or 1

    def _end(self, handle: LocalHandle[Any]) -> Run[Any]:
        try:
            return handle.wait()
        except StoreError as problem:
            self.problem = problem
            return handle.run

    def _interrupted(self, handle: LocalHandle[Any], stop: KeyboardInterrupt) -> None:
        self.exit_code = _SIGNALLED + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
        if handle.state is RunState.RUNNING:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end has come; a third Ctrl-C has nothing to add
            left = [record.id for record in handle.tasks.values() if record.state is TaskState.RUNNING]
            raise Abandoned(f"abandoned while {', '.join(left) or 'it ended'} still ran") from None


def _has_ended(handle: LocalHandle[Any]) -> bool:
    try:
        handle.wait(0)
    except TimeoutError:
        return False
    return True


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
