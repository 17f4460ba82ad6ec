"""The hook through which an open block hears of every task that is made.

No block is open by default, and none while a task's body runs: the variable belongs to the current context.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from graflow.core.group import Group
    from graflow.core.task import Task


class Recorder(Protocol):
    """What an open block listens to."""

    def made(self, task: Task[..., Any], origin: Task[..., Any] | None, how: str) -> None:
        """A task was made: ``defined``; or ``called``, ``renamed``, ``wired``, ``changed`` or ``read`` from another."""

    def joined(self, *members: Any) -> None:
        """These tasks or blocks take part in ``>>`` or ``|``."""

    def ordered(self, left: Task[..., Any] | Group[*tuple[Any, ...]] | Recorder, right: Any) -> None:
        """An order in which at least one side is a block, to be resolved when the block's tasks are known."""


RECORDER: ContextVar[Recorder | None] = ContextVar("graflow_open_block", default=None)
