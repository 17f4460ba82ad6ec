"""How a task's body reaches the attempt that runs it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol, SupportsFloat

from graflow.errors import ConfigurationError

if TYPE_CHECKING:
    import logging

    from graflow.core.channel import ChannelView


class Attempt(Protocol):
    """What the runner tells a task's body, and what it hears from it.

    A runner may use one object for several attempts in turn, so what has to last is read when the body asks for it.
    """

    def knows(self, id: str) -> bool:
        """Is there a task of this id in the running workflow?"""
        ...

    def result_of(self, id: str) -> Any:
        """The result of a direct upstream of the running task.

        Raises:
            ResultUnavailableError: the task is no direct upstream of this one.
        """

    @property
    def run(self) -> str:
        """The id of the run."""
        ...

    @property
    def workflow(self) -> str:
        """The name of the workflow."""
        ...

    @property
    def task(self) -> str:
        """The id of the task."""
        ...

    @property
    def number(self) -> int:
        """Which attempt at the task this is, from 1 on."""
        ...

    @property
    def cancelled(self) -> bool:
        """Should the body stop as soon as it can? Once true, it stays true."""
        ...

    def report(self, done: float, total: float | None) -> None:
        """How far the body says it is; may be called a million times, so it holds back most of them.

        Both are finite and not negative; ``total`` may be 0, and ``done`` may be above it.
        """
        ...

    def note(self, record: logging.LogRecord) -> None:
        """Keep a line that the body logged. Never raises: the line was logged for other reasons than this."""
        ...

    @property
    def channels(self) -> ChannelView:
        """The channels of the run.

        Raises:
            ConfigurationError: the attempt is over, so that nothing it changes counts.
        """
        ...


ATTEMPT: ContextVar[Attempt | None] = ContextVar("graflow_attempt", default=None)


@dataclass(frozen=True, slots=True)
class Current:
    """Where a task's body runs: which run, which task, which attempt; made by `current`."""

    run: str
    """The id of the run."""
    workflow: str
    """The name of the workflow."""
    task: str
    """The id of the task; inside a nested workflow with the path that leads there: ``clean/strip``."""
    attempt: int
    """Which attempt at the task this is: 1, and one more after each retry."""
    _attempt: Attempt = field(repr=False, compare=False)

    @property
    def key(self) -> str:
        """The same for every attempt at this task in this run, and for no other task or run.

        Hand it to a service that takes idempotency keys, and a retry will not charge a card twice.
        """
        return f"{self.run}/{self.task}"

    @property
    def cancelled(self) -> bool:
        """Should the body stop as soon as it can?

        True from the moment the run is cancelled, or this attempt is over: a thread that outlives it should stop too.
        Nothing ends a plain function that does not look.
        """
        return self._over or self._attempt.cancelled

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """The logger ``graflow.task``, bound to this attempt.

        Its records carry ``graflow_run``, ``graflow_task`` and ``graflow_attempt`` for the formatters of your handlers.
        It lets INFO through unless you set a level of ``graflow`` or ``graflow.task`` yourself. It may be used from any
        thread.
        """
        from graflow.core._task_logger import TaskLogger

        return TaskLogger(self._attempt, self)

    def progress(self, done: float, total: float | None = None) -> None:
        """Tell those who watch the run how far this attempt is.

        Cheap enough to be called for every item: most calls are held back. A ``done`` above ``total`` is told as it
        is, because an estimate that was too low is no reason to fail. Nothing happens once the attempt is over.

        Args:
            done: how much is done, in whatever unit.
            total: how much there is to do, in the same unit; None if that is not known.

        Raises:
            ConfigurationError: one of them is not a number, not finite, or negative.
        """
        call = f"task {self.task!r}: progress({done!r}, {total!r})"
        done = _amount(done, "done", call)
        total = None if total is None else _amount(total, "total", call)
        if not self._over:
            self._attempt.report(done, total)

    @property
    def _over(self) -> bool:
        """Does the runner use the attempt's object for another attempt by now?"""
        now = self._attempt
        return now.task != self.task or now.number != self.attempt or now.run != self.run


def _amount(value: SupportsFloat, name: str, call: str) -> float:
    try:
        number = -1.0 if isinstance(value, (str, bytes)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    if not (isfinite(number) and number >= 0):
        raise ConfigurationError(f"{call}: {name} must be a finite number of at least 0")
    return number


def current() -> Current:
    """What the body of a task can ask and tell about the attempt that runs it.

    Works in plain functions and in async ones, whatever the executor; the values stay right when the body passes them
    on to a thread of its own.

    Raises:
        ConfigurationError: no task runs here: nobody runs the function as a task, or a thread that a body started
            asks, which does not inherit the body's context.
    """
    attempt = ATTEMPT.get()
    if attempt is None:
        raise ConfigurationError(
            "current() was called where no task runs; call it in a function that a runner runs as a task, and hand "
            "what it gives to the threads that the function starts, which do not inherit it"
        )
    return Current(attempt.run, attempt.workflow, attempt.task, attempt.number, attempt)
