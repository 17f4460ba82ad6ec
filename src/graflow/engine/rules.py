"""The states of a task, every way from one to another, and what a task may ask of the machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from graflow.core.run import TaskState
from graflow.errors import CacheKeyError, ConfigurationError, TaskResultError

if TYPE_CHECKING:
    from graflow.core.plan import Plan
    from graflow.core.policy import Policy

WAITING: Final = 0
READY: Final = 1
RUNNING: Final = 2
RETRYING: Final = 3
SUCCEEDED: Final = 4
FAILED: Final = 5
SKIPPED: Final = 6
CANCELLED: Final = 7

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
    Transition(WAITING, "the run is called off", CANCELLED),
    Transition(READY, "a worker takes it", RUNNING),
    Transition(READY, "the run is called off", CANCELLED),
    Transition(RUNNING, "its attempt succeeds", SUCCEEDED),
    Transition(RUNNING, "its attempt fails, another follows at once", READY),
    Transition(RUNNING, "its attempt fails, another follows later", RETRYING),
    Transition(RUNNING, "its attempt fails, no other follows", FAILED),
    Transition(RUNNING, "it gives up, for the run is called off", CANCELLED),
    Transition(RUNNING, "the run's time is up", CANCELLED),
    Transition(RETRYING, "its time has come", READY),
    Transition(RETRYING, "the run is called off", CANCELLED),
)

#: What `Machine.attempt_failed` answers: news of the past; another attempt follows; the task has failed.
IGNORED: Final = 0
AGAIN: Final = 1
FINAL: Final = 2


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
        retry, limit = policy.retry, policy.limit
        if limit is not None:
            owner = owners.setdefault(limit.name, plan.ids[i])
            if limits.setdefault(limit.name, limit.at_once) != limit.at_once:
                raise ConfigurationError(
                    f"limit {limit.name!r} allows {limits[limit.name]} at once in task {owner!r} and {limit.at_once} "
                    f"in task {plan.ids[i]!r}; give both the same Limit"
                )
        if retry is not None or policy.timeout is not None or policy.priority or limit is not None:
            rules[i] = Rules(
                retry.attempts if retry is not None else 1,
                partial(retry.backoff.delay, key=f"{run}/{plan.ids[i]}") if retry is not None else None,
                policy.timeout,
                policy.priority,
                limit.name if limit is not None else None,
            )
    return rules, limits


def is_retried(policy: Policy | None, error: BaseException) -> bool:
    """Is this an error after which the task may be tried again?"""
    if policy is None or policy.retry is None or isinstance(error, CacheKeyError | TaskResultError):
        return False  # the last two would come again
    return policy.retry.covers(error)
