"""The states of a task, every way from one to another, and what a task may ask of the machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from graflow.core.requirement import Standing
from graflow.core.run import TaskState
from graflow.errors import (
    CacheKeyError,
    CancelRun,
    ConfigurationError,
    ContinuationLimitError,
    GroupRuleError,
    MapError,
    TaskResultError,
)

if TYPE_CHECKING:
    from graflow.core.plan import Plan
    from graflow.core.policy import Policy
    from graflow.core.requirement import GroupRule

WAITING: Final = 0
READY: Final = 1
RUNNING: Final = 2
RETRYING: Final = 3
SUCCEEDED: Final = 4
FAILED: Final = 5
SKIPPED: Final = 6
CANCELLED: Final = 7

#: The lane of signals, which nobody takes but the run itself.
SIGNALS: Final = 4

#: The public name of each state, by its number here.
STATES: Final = (
    TaskState.WAITING,
    TaskState.READY,
    TaskState.RUNNING,
    TaskState.RETRYING,
    TaskState.SUCCEEDED,
    TaskState.FAILED,
    TaskState.SKIPPED,
    TaskState.CANCELLED,
)


class Transition(NamedTuple):
    """One way in which a task may change its state."""

    before: int
    what: str
    after: int


TRANSITIONS: Final = (
    Transition(WAITING, "its result is known from before", SUCCEEDED),
    Transition(WAITING, "every upstream it waits for has ended", READY),
    Transition(WAITING, "an upstream whose result it needs has none", SKIPPED),
    Transition(WAITING, "its flag, or the rule of a group, says so", SKIPPED),
    Transition(WAITING, "its flag is no bool", FAILED),
    Transition(WAITING, "the run is called off", CANCELLED),
    Transition(READY, "a worker takes it", RUNNING),
    Transition(READY, "the run is called off", CANCELLED),
    Transition(RUNNING, "its attempt succeeds", SUCCEEDED),
    Transition(RUNNING, "all items of the map have succeeded", SUCCEEDED),
    Transition(RUNNING, "it goes on with another task", READY),
    Transition(RUNNING, "its attempt fails, another follows at once", READY),
    Transition(RUNNING, "its attempt fails, another follows later", RETRYING),
    Transition(RUNNING, "its attempt fails, no other follows", FAILED),
    Transition(RUNNING, "it gives up, for the run is called off", CANCELLED),
    Transition(RUNNING, "the run's time is up", CANCELLED),
    Transition(RUNNING, "a group has what it requires, and nobody else needs this", CANCELLED),
    Transition(RETRYING, "its time has come", READY),
    Transition(RETRYING, "the run is called off", CANCELLED),
)

#: What `Machine.attempt_failed` answers: news of the past; another attempt follows; the task has failed.
IGNORED: Final = 0
AGAIN: Final = 1
FINAL: Final = 2


class Decide(Protocol):
    """The rule of a gate."""

    @property
    def cancel_rest(self) -> bool:
        """Whether members that have not ended when it opens are called off."""
        ...

    @property
    def is_broken(self) -> bool:
        """Whether it could not decide, and said no for that."""
        ...

    def decide(self, succeeded: list[int], lost: list[int]) -> bool | None:
        """Whether the gate opens, now that these members stand so; None if that is not known yet."""
        ...


class Rules(NamedTuple):
    """What one task asks of the machine."""

    attempts: int = 1
    """How often it may be started."""
    delay: Callable[[int], float] | None = None
    """How long to wait after the failure of an attempt, by its number; None starts the next one at once."""
    timeout: float | None = None
    """How long one attempt may take."""
    priority: int = 0
    """Among ready tasks of one lane, the highest goes first."""
    limit: str | None = None
    """The limit under which it runs."""


def rules_of(plan: Plan, run: str) -> tuple[dict[int, Rules], dict[str, int]]:
    """What the tasks of a plan ask of the machine, and how many may run at once under each limit.

    The delay before another attempt depends on the run, the task and the attempt alone, so a replay agrees.

    Raises:
        ConfigurationError: two tasks give one limit different sizes.
    """
    rules: dict[int, Rules] = {}
    limits: dict[str, int] = {}
    owners: dict[str, str] = {}
    for i, policy in plan.policies.items():
        limit = policy.limit
        if limit is not None:
            owner = owners.setdefault(limit.name, plan.ids[i])
            if limits.setdefault(limit.name, limit.at_once) != limit.at_once:
                raise ConfigurationError(
                    f"limit {limit.name!r} allows {limits[limit.name]} at once in task {owner!r} and {limit.at_once} "
                    f"in task {plan.ids[i]!r}; give both the same Limit"
                )
        one = rules_for(policy, f"{run}/{plan.ids[i]}")
        if one is not None and i in plan.maps:  # a map's policies hold for its items
            one = Rules(priority=policy.priority) if policy.priority else None
        if one is not None:
            rules[i] = one
    return rules, limits


def rules_for(policy: Policy | None, key: str) -> Rules | None:
    """What a task with this policy asks of the machine; None if nothing.

    Args:
        policy: of the task.
        key: what the jitter of its delays is taken from.
    """
    if policy is None:
        return None
    retry, limit = policy.retry, policy.limit
    if retry is None and policy.timeout is None and not policy.priority and limit is None:
        return None
    return Rules(
        retry.attempts if retry is not None else 1,
        partial(retry.backoff.delay, key=key) if retry is not None else None,
        policy.timeout,
        policy.priority,
        limit.name if limit is not None else None,
    )


class Decider:
    """The rule of a gate, asked with indexes.

    Attributes:
        error: what the rule raised; the gate does not open then.
    """

    def __init__(self, rule: GroupRule, labels: tuple[str, ...], members: Sequence[int]) -> None:
        self._rule = rule
        self._label = dict(zip(members, labels, strict=True))
        self._members = tuple(sorted(labels))
        self.cancel_rest = bool(getattr(rule, "cancel_rest", False))
        self.error: BaseException | None = None

    @property
    def is_broken(self) -> bool:
        """Whether the rule raised."""
        return self.error is not None

    def decide(self, succeeded: list[int], lost: list[int]) -> bool | None:
        """Whether the gate opens; see `Decide`."""
        label = self._label
        standing = Standing(self._members, frozenset(label[u] for u in succeeded), frozenset(label[u] for u in lost))
        try:
            verdict = self._rule.decide(standing)
        except Exception as error:  # noqa: BLE001  # a rule of the user's own may raise anything
            self.error = error
            return False
        if verdict is None or type(verdict) is bool:
            return verdict
        self.error = GroupRuleError(f"rule {self._rule!r} decided {verdict!r}; it has to be True, False or None")
        return False


def deciders_of(plan: Plan) -> dict[int, Decider]:
    """The rules of the gates that have one."""
    return {gate: Decider(rule, labels, plan.upstream[gate]) for gate, (rule, labels) in plan.rules.items()}


#: Errors that would come again.
_LASTING: Final = (CacheKeyError, TaskResultError, MapError, ContinuationLimitError, CancelRun)


def is_retried(policy: Policy | None, error: BaseException) -> bool:
    """Is this an error after which the task may be tried again?"""
    if policy is None or policy.retry is None or isinstance(error, _LASTING):
        return False
    return policy.retry.covers(error)
