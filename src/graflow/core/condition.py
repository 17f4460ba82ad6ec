"""`Condition`: a flag that decides whether a task runs at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from graflow.core.placeholder import (
    InputSource,
    Placeholder,
    make_placeholder,
    source_spelling,
    takes_item,
    takes_outcome,
)
from graflow.errors import WiringError

if TYPE_CHECKING:
    from graflow.core.task import Task


class Condition:
    """One flag and the value that it must have. Lies among the edges of a task.

    Attributes:
        flag: a placeholder for a bool, or a bool.
        wanted: the value with which the task runs.
    """

    __slots__ = ("flag", "wanted")

    def __init__(self, flag: Any, wanted: bool) -> None:
        self.flag = flag
        self.wanted = wanted

    @property
    def source(self) -> Task[..., Any] | None:
        """The task that gives the flag; None if the workflow's inputs do, or the flag is known now."""
        if type(self.flag) is not Placeholder or isinstance(self.flag.__graflow_source__, InputSource):
            return None
        return self.flag.__graflow_source__

    @property
    def members(self) -> tuple[Task[..., Any], ...]:
        """The tasks that it mentions: the one that gives the flag, if one does."""
        source = self.source
        return () if source is None else (source,)

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two conditions the same."""
        source = self.source
        return "when", self.wanted, self.spelling, None if source is None else id(source._definition.fn)

    @property
    def spelling(self) -> str:
        """The flag, as a user would write it."""
        return source_spelling(self.flag) if type(self.flag) is Placeholder else repr(self.flag)

    @property
    def reason(self) -> str:
        """Why a task was skipped, if it was for this."""
        if type(self.flag) is bool:
            return f"it was made to run only {'when' if self.wanted else 'unless'}({self.flag})"
        source = self.source
        short = source is not None and not self.flag.__graflow_path__
        name = source.id if short and source is not None else self.spelling
        return f"`{name}` was {'false' if self.wanted else 'true'}"

    def moved(self, move: Callable[[Any], Any]) -> Condition:
        """The same condition on another flag."""
        return Condition(move(self.flag), self.wanted)

    def _bare(self) -> Condition:
        flag = self.flag
        if type(flag) is Placeholder and (source := self.source) is not None:
            flag = make_placeholder(source._bare(), flag.__graflow_path__)
        return Condition(flag, self.wanted)

    def __reduce__(self) -> tuple[Any, ...]:
        return Condition, (self.flag, self.wanted)


def condition(owner: str, flag: Any, wanted: bool) -> Condition:
    """Make a condition.

    Raises:
        WiringError: ``flag`` can never be a flag.
    """
    how = "when" if wanted else "unless"
    if type(flag) is not bool and type(flag) is not Placeholder:
        cure = f"its result, {flag.id}.out" if hasattr(flag, "_definition") else "a task's result, or True or False"
        raise WiringError(f"{owner}.{how}() takes a flag, not {flag!r}; pass {cure}")
    if type(flag) is Placeholder and (takes_item(flag) or takes_outcome(flag)):
        raise WiringError(
            f"{owner}.{how}({source_spelling(flag)}) takes one flag for the whole task; let a task make a bool of it"
        )
    return Condition(flag, wanted)
