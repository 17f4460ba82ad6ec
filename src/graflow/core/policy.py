"""How a task is to be run: policies, as frozen values.

A policy says what a task asks for; a runner that cannot keep a policy refuses the workflow before anything runs.
"""

from __future__ import annotations

import reprlib
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Final, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, field_validator

from graflow.core._class_names import class_names
from graflow.errors import ConfigurationError, GraflowError, RemoteError

Executor = Literal["inline", "threads", "processes"]

_STOPS: Final = frozenset({"KeyboardInterrupt", "SystemExit", "GeneratorExit", "asyncio.exceptions.CancelledError"})
"""By name, because the last would load asyncio: who raises one of these wants to end, not to try again."""

_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def _seconds(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, timedelta) else value


# Strict, for pydantic would else read True as 1 and "3" as 3.
_Seconds = Annotated[float, BeforeValidator(_seconds), Field(strict=True, ge=0, allow_inf_nan=False)]
_PositiveSeconds = Annotated[float, BeforeValidator(_seconds), Field(strict=True, gt=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(strict=True, ge=1)]
_Name = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]


def _addresses(kinds: tuple[type[BaseException], ...]) -> list[str]:
    return [f"{kind.__module__}:{kind.__qualname__}" for kind in kinds]


_Kinds = Annotated[tuple[type[BaseException], ...], PlainSerializer(_addresses, when_used="json")]


class _Refusal(ValueError):
    """Why a value cannot be; pydantic wants a ``ValueError``."""


class _Complete(_Refusal):
    """A reason that names its own field."""


class _Value(BaseModel, frozen=True):
    model_config = ConfigDict(extra="forbid")

    _called: ClassVar[str] = ""

    def _fill(self, **fields: Any) -> None:
        """Validate and set the fields; errors name them as a task's policies are spelt, ``retry.attempts``."""
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ConfigurationError(_reasons(error, f"{self._called}.")) from None

    def __repr__(self) -> str:
        """As the user would write it: what has its default is left out."""
        said = [
            f"{name}={_spelling(getattr(self, name))}"
            for name, field in type(self).model_fields.items()
            if field.is_required() or getattr(self, name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(said)})"

    def __str__(self) -> str:
        return repr(self)


class Exponential(_Value, frozen=True):
    """A wait before the next attempt that grows by a factor each time.

    Args:
        initial: seconds after the first failed attempt.
        factor: how many times longer each further wait is, 1 or more.
        maximum: the longest wait in seconds.
        jitter: the share of a wait, from 0 to 1, that is taken off at random, so that tasks that failed together do
            not all come back at the same moment.

    Raises:
        ConfigurationError: a value out of its range.
    """

    _called = "backoff"

    initial: _Seconds = 1.0
    factor: Annotated[float, Field(strict=True, ge=1, allow_inf_nan=False)] = 2.0
    maximum: _Seconds = 60.0
    jitter: Annotated[float, Field(strict=True, ge=0, le=1)] = 0.1

    def __init__(
        self,
        initial: float | timedelta = 1.0,
        factor: float = 2.0,
        maximum: float | timedelta = 60.0,
        jitter: float = 0.1,
    ) -> None:
        self._fill(initial=initial, factor=factor, maximum=maximum, jitter=jitter)

    def delay(self, attempt: int, key: str) -> float:
        """Seconds to wait after a failed attempt.

        Args:
            attempt: the number of the attempt that failed, from 1.
            key: what the jitter is taken from: the same key and attempt give the same delay in every process, so that
                a resumed run waits as the first would have.
        """
        if self.initial == 0 or self.factor == 1:
            grown = self.initial
        else:
            try:
                grown = self.initial * self.factor ** (attempt - 1)
            except OverflowError:
                grown = self.maximum
        digest = sha256(f"{key}/{attempt}".encode(errors="surrogatepass")).digest()
        share = (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)  # as many bits as a float keeps: below 1
        return min(self.maximum, grown) * (1 - self.jitter * share)


_BACKOFF: Final = Exponential()


class Retry(_Value, frozen=True):
    """How often a task is attempted, after which exceptions, and how long to wait between.

    Args:
        attempts: how many attempts the task gets in all, the first included.
        backoff: the wait after each failed attempt.
        on: the exceptions, with their subclasses, that lead to another attempt. Every ``Exception`` by default; a
            timeout of the attempt and the death of its process are among them.

    Raises:
        ConfigurationError: no attempts at all, or something else than exception classes in ``on``.
    """

    _called = "retry"

    attempts: _Count
    backoff: Exponential = _BACKOFF
    on: _Kinds = (Exception,)

    def __init__(
        self,
        attempts: int,
        backoff: Exponential = _BACKOFF,
        on: type[BaseException] | tuple[type[BaseException], ...] = (Exception,),
    ) -> None:
        self._fill(attempts=attempts, backoff=backoff, on=on)

    @field_validator("backoff", mode="before")
    @classmethod
    def _is_backoff(cls, value: Any) -> Any:
        return _instance(Exponential, value, "give an Exponential(...)")

    @field_validator("on", mode="before")
    @classmethod
    def _are_exceptions(cls, value: Any) -> Any:
        kinds = value if isinstance(value, tuple | list) else (value,)
        if not kinds:
            raise _Refusal("no exception would lead to another attempt; name one, or leave it out to mean all")
        for kind in kinds:
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise _Refusal(f"{_SHORT.repr(kind)} is no exception class")
        return tuple(kinds)

    def covers(self, error: BaseException) -> bool:
        """Whether the error leads to another attempt, if there is one left.

        An error that stands for one of another process counts as what it stands for. What ends a task on purpose
        (``KeyboardInterrupt``, ``SystemExit``, ``asyncio.CancelledError``) counts only if ``on`` names it.
        """
        if isinstance(error, RemoteError) and error.bases:
            bases = error.bases
            found = [
                kind
                for kind in self.on
                if class_names(kind)[0] in bases or (issubclass(kind, GraflowError) and isinstance(error, kind))
            ]
        else:
            bases = class_names(type(error))
            found = [kind for kind in self.on if isinstance(error, kind)]
        if not _STOPS.isdisjoint(bases):
            found = [kind for kind in found if not _STOPS.isdisjoint(class_names(kind))]
        return bool(found)


class Cache(_Value, frozen=True):
    """A task whose result is kept, and taken again where its code and its inputs are the same.

    Args:
        ttl: how many seconds a result stays good; None: for ever.
        version: part of what must be the same; change it to drop the results so far.

    Raises:
        ConfigurationError: a value out of its range.
    """

    _called = "cache"

    ttl: _PositiveSeconds | None = None
    version: int | str = 0

    def __init__(self, ttl: float | timedelta | None = None, version: int | str = 0) -> None:
        self._fill(ttl=ttl, version=version)

    @field_validator("version", mode="before")
    @classmethod
    def _is_version(cls, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise _Refusal("give a whole number or a text")
        return value


class Limit(_Value, frozen=True):
    """How many of the tasks that share a name may run at once.

    Args:
        name: what they share, a database for instance.
        at_once: how many of them may run at the same time.

    Raises:
        ConfigurationError: a name with other characters than letters, digits, ``_``, ``-`` and ``.``, or a number
            below 1.
    """

    _called = "limit"

    name: _Name
    at_once: _Count

    def __init__(self, name: str, at_once: int) -> None:
        self._fill(name=name, at_once=at_once)


class Policy(_Value, frozen=True):
    """What a task asks of the runner.

    Source of the defaults: a task asks for nothing, and the runner decides.
    """

    executor: Executor | None = None
    """Where the task's body runs: in the thread that drives the run, in a thread, in a process. None: as the runner."""

    queue: _Name = "default"
    """Which workers may take the task; runners on one machine serve every queue."""

    timeout: _PositiveSeconds | None = None
    """Seconds one attempt may take."""

    retry: Retry | None = None
    """How often the task is attempted; None: once. A number in its place is the number of attempts."""

    cache: Cache | None = None
    """Whether an earlier result of the same code and inputs is taken; None: never. True in its place: for ever."""

    priority: Annotated[int, Field(strict=True)] = 0
    """Of the tasks that could start, those with a higher number start first."""

    limit: Limit | None = None
    """How many tasks that share a name may run at once."""

    max_continuations: _Count | None = None
    """How often the task may go on with another one, by `continue_with`; None: 1000 times."""

    max_items: _Count | None = None
    """How many items there may be where the task is mapped; None: a million."""

    @field_validator("retry", mode="before")
    @classmethod
    def _is_retry(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return _made(Retry, {"attempts": value})
        return value if value is None else _instance(Retry, value, "give a number of attempts, or a Retry(...)")

    @field_validator("cache", mode="before")
    @classmethod
    def _is_cache(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return Cache() if value else None
        return value if value is None else _instance(Cache, value, "give True, False, or a Cache(...)")

    @field_validator("limit", mode="before")
    @classmethod
    def _is_limit(cls, value: Any) -> Any:
        return value if value is None else _instance(Limit, value, "give a Limit(name, at_once)")


def make_policy(owner: str, fields: dict[str, Any]) -> Policy | None:
    """Validate the policies given to a task; None if there are none.

    Raises:
        ConfigurationError: an unknown policy, or a value it cannot have; names the task, the policy and the reason.
    """
    # None is what a policy has that was not given; an unknown one is an error even so.
    given: dict[str, Any] = {
        name: value for name, value in fields.items() if value is not None or name not in Policy.model_fields
    }
    if not given:
        return None
    try:
        policy = Policy(**given)
    except ValidationError as error:
        raise ConfigurationError(f"task {owner!r}: {_reasons(error)}") from None
    return policy if policy != Policy() else None


def _instance(kind: type[_Value], value: Any, cure: str) -> Any:
    if isinstance(value, dict):  # what model_dump() gives
        return _made(kind, value)
    if not isinstance(value, kind):
        raise _Refusal(cure)
    return value


def _made(kind: type[_Value], fields: dict[Any, Any]) -> _Value:
    """Make a part of a policy while the whole is validated."""
    unknown = [name for name in fields if name not in kind.model_fields]
    missing = [name for name, field in kind.model_fields.items() if field.is_required() and name not in fields]
    if unknown or missing:
        raise _Refusal(f"{unknown[0]!r} is unknown" if unknown else f"{missing[0]!r} is missing")
    try:
        return kind(**fields)
    except ConfigurationError as error:
        raise _Complete(str(error)) from None


def _reasons(error: ValidationError, prefix: str = "") -> str:
    reasons: list[str] = []
    for problem in error.errors():
        name = str(problem["loc"][0])
        cause = cast("dict[str, Any]", problem).get("ctx", {}).get("error")
        if problem["type"] == "extra_forbidden":
            reasons.append(_unknown(name))
        elif isinstance(cause, _Complete):
            reasons.append(str(cause))
        else:
            reason = problem["msg"] if cause is None else str(cause)
            reasons.append(f"{prefix}{name}={_SHORT.repr(problem['input'])}: {reason}")
    return "; ".join(reasons)


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, list(Policy.model_fields), n=1)
    hint = f"; did you mean {close[0]!r}? The others are" if close else ", only"
    others = [other for other in Policy.model_fields if other not in close]
    return f"there is no policy {name!r}{hint} {', '.join(others)}"


def _spelling(value: Any) -> str:
    if isinstance(value, tuple):  # exception classes, the only tuple in a policy
        names = [class_names(kind)[0] for kind in value]
        return names[0] if len(names) == 1 else f"({', '.join(names)})"
    return repr(value)
