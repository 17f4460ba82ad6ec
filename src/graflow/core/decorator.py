"""``@task``: the way from a function to a `graflow.core.task.Task`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from graflow.core._definition import check_callable
from graflow.errors import InvalidTaskError, InvalidTaskIdError

if TYPE_CHECKING:
    from graflow.core.policy import Cache, Executor, Limit, Retry

P = ParamSpec("P")
R = TypeVar("R")


class TaskDecorator:
    """What ``@task(...)`` with arguments gives."""

    __slots__ = ("_id", "_policy")

    def __init__(self, id: str | None, policy: dict[str, Any]) -> None:
        self._id = id
        self._policy = policy

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Task[P, R]: ...
    def __call__(self, fn: Any, /) -> Any:
        """Make the function a task."""
        if isinstance(fn, Task):
            raise InvalidTaskError(f"{fn!r} is a task already; use .named() or .with_policy() for a variant of it")
        check_callable(fn)
        id = self._id
        if id is None:
            id = getattr(fn, "__name__", None)
            if id is None:
                raise InvalidTaskIdError(f"{fn!r} has no name to take the task's id from; give one, @task(id='...')")
        return Task(id, fn, **self._policy)


_NO_POLICY = TaskDecorator(None, {})


@overload
def task(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    id: str | None = None,
    timeout: float | timedelta | None = None,
    queue: str = ...,
    executor: Literal["inline", "threads", "processes"] | None = None,
    retry: Retry | int | None = None,
    cache: Cache | bool | None = None,
    priority: int | None = None,
    limit: Limit | None = None,
    max_continuations: int | None = None,
    max_items: int | None = None,
    **policy: Any,
) -> TaskDecorator: ...
def task(
    fn: Any = None,
    /,
    *,
    id: str | None = None,
    timeout: float | timedelta | None = None,
    queue: str | None = None,
    executor: Executor | None = None,
    retry: Retry | int | None = None,
    cache: Cache | bool | None = None,
    priority: int | None = None,
    limit: Limit | None = None,
    max_continuations: int | None = None,
    max_items: int | None = None,
    **policy: Any,
) -> Any:
    """Make a function a `Task`, typed by the function's own signature.

    Use it bare, or with arguments::

        @task
        def extract(path: Path) -> list[Row]: ...

        @task(id="fetch-page", executor="inline")
        async def fetch(url: str) -> bytes: ...

    Args:
        fn: the function; a coroutine function is awaited by the runner.
        id: the task's id; the function's name by default.
        timeout: seconds one attempt may take.
        queue: which workers may take the task; runners on one machine serve every queue.
        executor: where the body runs; the runner's own executor by default.
        retry: how often the task is attempted and when; a number stands for ``Retry(attempts=...)``.
        cache: whether an earlier result of the same code and inputs is taken; True stands for ``Cache()``.
        priority: of the tasks that could start, those with a higher number start first; 0 by default.
        limit: how many of the tasks that share the limit's name run at once.
        max_continuations: how often the task may go on with another one, by `continue_with`; 1000 times by default.
        max_items: how many items there may be where the task is mapped, by `Task.map`; a million by default.
        policy: no others so far; an unknown name is an error.

    Raises:
        InvalidTaskError: not callable, a generator function, a classmethod, or a task already.
        InvalidTaskIdError: no id given, and the callable has no name.
        ConfigurationError: a policy is unknown or has an impossible value.
    """
    own = {
        "timeout": timeout,
        "queue": queue,
        "executor": executor,
        "retry": retry,
        "cache": cache,
        "priority": priority,
        "limit": limit,
        "max_continuations": max_continuations,
        "max_items": max_items,
    }
    fields = {**{name: value for name, value in own.items() if value is not None}, **policy}
    if fn is None:
        return TaskDecorator(id, fields)
    return TaskDecorator(id, fields)(fn)


# At the end, because each of the two modules needs the other: `graflow.core.task` is always imported first.
from graflow.core.task import Task  # noqa: E402
