"""What a group of tasks has to achieve before what comes after it may start."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from graflow.errors import ConfigurationError, WiringError

if TYPE_CHECKING:
    from graflow.core.task import Task


@dataclass(frozen=True, slots=True)
class Standing:
    """How the tasks of a group stand: what a `GroupRule` decides by."""

    members: tuple[str, ...]
    """The ids of all of them, sorted."""
    succeeded: frozenset[str]
    """Of those that have a result."""
    lost: frozenset[str]
    """Of those that will never have one: failed, skipped or cancelled."""

    @property
    def pending(self) -> frozenset[str]:
        """Of those that have not ended."""
        return frozenset(self.members) - self.succeeded - self.lost


@runtime_checkable
class GroupRule(Protocol):
    """Decides for `Group.require`. Write a frozen value with this one method for a rule of your own.

    If it also has a true attribute ``cancel_rest``, the members that nobody else needs are called off once it is
    decided.
    """

    def decide(self, standing: Standing) -> bool | None:
        """Whether the group has done what it has to.

        Called after each end of a member, under the run's lock: it must be quick, and depend on nothing else.

        Returns:
            True: what comes after may start; False: it is skipped; None: not known yet. None when all members have
            ended counts as False.
        """
        ...


@dataclass(frozen=True, slots=True)
class AtLeast:
    """See `at_least`."""

    count: int
    cancel_rest: bool = False

    def decide(self, standing: Standing) -> bool | None:
        """True with enough results, False when there cannot be enough."""
        if len(standing.succeeded) >= self.count:
            return True
        return False if len(standing.members) - len(standing.lost) < self.count else None

    def __str__(self) -> str:
        return f"at least {self.count}"


@dataclass(frozen=True, slots=True)
class Every:
    """All members have to succeed; decided with the first that does not."""

    def decide(self, standing: Standing) -> bool | None:
        """True when all have a result, False when one is lost."""
        if standing.lost:
            return False
        return True if len(standing.succeeded) == len(standing.members) else None

    def __str__(self) -> str:
        return "all"


@dataclass(frozen=True, slots=True)
class Critical:
    """See `critical`."""

    ids: frozenset[str]

    def decide(self, standing: Standing) -> bool | None:
        """False when a critical one is lost, True when all have ended otherwise."""
        if self.ids & standing.lost:
            return False
        return None if standing.pending else True

    def __str__(self) -> str:
        return f"{', '.join(map(repr, sorted(self.ids)))} of them"


@dataclass(frozen=True, slots=True)
class FirstOf:
    """Decided with the first, in this order, that has a result."""

    ids: tuple[str, ...]

    def decide(self, standing: Standing) -> bool | None:
        """True once the first that is not lost has succeeded, False when all are lost."""
        left = [id for id in self.ids if id not in standing.lost]
        if not left:
            return False
        return True if left[0] in standing.succeeded else None

    def __str__(self) -> str:
        return "one"


def at_least(count: int, *, cancel_rest: bool = False) -> AtLeast:
    """A rule for `Group.require`: so many members have to succeed.

    Args:
        count: how many, from 1 on.
        cancel_rest: call off the members that have not ended then, if nobody else needs them.

    Raises:
        ConfigurationError: no whole number from 1 on.
    """
    if type(count) is not int or count < 1:
        raise ConfigurationError(f"at_least({count!r}): give a whole number from 1 on")
    return AtLeast(count, bool(cancel_rest))


def critical(*tasks: Task[..., Any] | str) -> Critical:
    """A rule for `Group.require`: these members have to succeed, the others may fail. Waits for all of them.

    Raises:
        ConfigurationError: no tasks.
    """
    if not tasks:
        raise ConfigurationError("critical() names the tasks that have to succeed; give at least one")
    for one in tasks:
        if not isinstance(one, str) and not hasattr(type(one), "_definition"):
            raise ConfigurationError(f"critical() takes tasks of the group, or their ids, not {one!r}")
    return Critical(frozenset(one if isinstance(one, str) else one.id for one in tasks))


class Requirement:
    """A gate that opens when a rule says so. Lies among the edges of a task, which then takes the members' outcomes.

    Attributes:
        members: the tasks of the group.
        rule: decides.
        labels: what the rule calls the members: their ids when the group was made, wherever it was moved since.
    """

    __slots__ = ("key", "labels", "members", "rule")

    def __init__(
        self, members: tuple[Task[..., Any], ...], rule: GroupRule, labels: tuple[str, ...] | None = None
    ) -> None:
        self.members = members
        self.rule = rule
        self.labels = tuple(one._id for one in members) if labels is None else labels
        self.key = ("require", frozenset((one._id, id(one._definition.fn)) for one in members), rule_key(rule))

    def moved(self, move: Callable[[Task[..., Any]], Task[..., Any]]) -> Requirement:
        """The same of other members."""
        return Requirement(tuple(map(move, self.members)), self.rule, self.labels)

    def _bare(self) -> Requirement:
        return self.moved(lambda member: member._bare())

    def __reduce__(self) -> tuple[Any, ...]:
        return Requirement, (self._bare().members, self.rule, self.labels)


def rule_key(rule: GroupRule) -> Any:
    """What makes two rules the same."""
    try:
        hash(rule)
    except TypeError:  # a rule that is not frozen is only equal to itself
        return id(rule)
    return rule


_BUILTIN: dict[Callable[..., Any], GroupRule] = {builtins.all: Every(), builtins.any: AtLeast(1)}


def check_rule(rule: Any, members: tuple[Any, ...]) -> GroupRule:
    """What `Group.require` was given, as a rule for these members.

    Raises:
        WiringError: no rule, a block among the members, or a rule that these members can never fulfil.
    """
    if any(not hasattr(one, "_definition") for one in members):
        raise WiringError("a group with a block in it cannot be required; require its tasks")
    ids = list(dict.fromkeys(one.id for one in members))
    try:
        found: Any = _BUILTIN.get(rule, rule)
    except TypeError:
        found = rule
    if isinstance(found, type) or not callable(getattr(found, "decide", None)):
        raise WiringError(
            f"require() takes all, any, at_least(n), critical(task) or an object with a method decide(standing), "
            f"not {rule!r}"
        )
    if isinstance(found, AtLeast) and found.count > len(ids):
        raise WiringError(f"at_least({found.count}) of {len(ids)} tasks ({', '.join(ids)}) can never be; ask for less")
    if isinstance(found, Critical) and (others := sorted(found.ids - set(ids))):
        raise WiringError(f"critical task {others[0]!r} is not in the group {', '.join(ids)}; add it with |")
    return found  # type: ignore[no-any-return]  # asked for above


def shown(rule: GroupRule) -> str:
    """A rule, for messages."""
    return str(rule) if isinstance(rule, AtLeast | Every | Critical | FirstOf) else type(rule).__name__
