"""What a block records, and the hook through which an open block hears of every task that is made.

No block is open by default, and none while a task's body runs: the variable belongs to the current context.
"""

from __future__ import annotations

import itertools
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

    def taken(self, *tasks: Task[..., Any]) -> None:
        """These tasks went into a workflow of their own."""

    def ordered(self, left: Task[..., Any] | Group[*tuple[Any, ...]] | Recorder, right: Any) -> None:
        """An order in which at least one side is a block, to be resolved when the block's tasks are known."""


RECORDER: ContextVar[Recorder | None] = ContextVar("graflow_open_block", default=None)

_NUMBERS = itertools.count()


class _Everything(set[int]):
    def __contains__(self, one: object) -> bool:
        return True


#: For `graflow.core._collect.referenced`: leave all gates out.
EVERY_GATE: set[int] = _Everything()


class Record:
    """One task that an open block has heard of, and what became of it.

    Attributes:
        task: the value.
        origin: the record it was made from, if that is in a block too.
        how: ``defined``, ``called``, ``renamed``, ``wired``, ``changed``;
            ``joined`` or ``added`` for one made elsewhere.
        used: it was wired, referenced or added, so it stays whatever is made from it.
        superseded: another id or policy was given to it.
        made_from: something was made from it.
        number: grows with every record, over all blocks.
    """

    __slots__ = ("how", "made_from", "number", "origin", "superseded", "task", "used")

    def __init__(self, task: Task[..., Any], origin: Record | None, how: str) -> None:
        self.task = task
        self.origin = origin
        self.how = how
        self.used = how in ("wired", "joined")
        self.superseded = False
        self.made_from = False
        self.number = next(_NUMBERS)

    @property
    def live(self) -> bool:
        """Whether it counts as a version of its task."""
        return self.used or not self.superseded
