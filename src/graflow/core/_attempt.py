"""How a task's body reaches the attempt that runs it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol


class Attempt(Protocol):
    """What the runner tells a task's body."""

    def knows(self, id: str) -> bool:
        """Is there a task of this id in the running workflow?"""
        ...

    def result_of(self, id: str) -> Any:
        """The result of a direct upstream of the running task.

        Raises:
            ResultUnavailableError: the task is no direct upstream of this one.
        """


ATTEMPT: ContextVar[Attempt | None] = ContextVar("graflow_attempt", default=None)
