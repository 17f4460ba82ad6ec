"""`Signal`: a task whose result arrives from outside, from a person or another system."""

from __future__ import annotations

import builtins
from datetime import timedelta
from types import UnionType
from typing import Any, Generic, NoReturn, TypeVar, cast

from graflow.core._forms import describe
from graflow.core._inputs import spelling
from graflow.core._recording import RECORDER
from graflow.core.task import Task, make_task
from graflow.errors import ConfigurationError, ResultUnavailableError, SignalError

T = TypeVar("T")


class Arrival:
    """The callable of a signal. One for each id and type, so that a signal is the same wherever it is made."""

    __slots__ = ("__graflow_result__", "id")

    def __init__(self, id: str, type: Any) -> None:
        self.id = id
        self.__graflow_result__ = type

    def __call__(self) -> NoReturn:
        """Not to be called: what is called is no signal that somebody sent."""
        raise ResultUnavailableError(
            f"signal {self.id!r} has no body: its result arrives while the workflow runs, with handle.send() or "
            f"`graflow signal`"
        )

    def __graflow_digest__(self) -> Any:
        kind = self.__graflow_result__
        return self.id, getattr(kind, "__module__", ""), getattr(kind, "__qualname__", repr(kind))

    def __reduce__(self) -> tuple[Any, ...]:
        return arrival, (self.id, self.__graflow_result__)


_KNOWN: dict[tuple[str, Any], Arrival] = {}


def arrival(id: str, type: Any) -> Arrival:
    """The callable of the signal with this id and type."""
    try:
        known = _KNOWN.get((id, type))
    except TypeError:  # an annotation that cannot be hashed: this one is the same as no other
        return Arrival(id, type)
    return known if known is not None else _KNOWN.setdefault((id, type), Arrival(id, type))


class Signal(Task[[], T], Generic[T]):
    """A task whose result arrives from outside. Make one with `signal`.

    Invariant in its type, so that a type checker checks what `RunHandle.send` is given.
    """

    __slots__ = ()

    @property
    def type(self) -> Any:
        """The type of what may arrive."""
        return cast(Any, self.fn).__graflow_result__

    def send_value(self, value: T) -> None:
        """Not here: a signal is a value, and a run is needed to send to; this types what may be sent.

        Raises:
            SignalError: always; says how to send.
        """
        how = f"handle.send({self.id}, {spelling(value)})"
        raise SignalError(f"signal {self.id!r} belongs to no run; send to one: {how}")


def signal(id: str, type: type[T], *, timeout: float | timedelta | None = None) -> Signal[T]:
    """A task that waits, for minutes or days, until a value arrives from outside; the value is its result.

    It arrives with ``handle.send(signal, value)``, or with ``graflow signal RUN ID JSON`` for a run in a store. What
    arrives before the task is reached counts when it is. Nothing runs meanwhile; the run can be stopped and resumed.

    Args:
        id: of the task.
        type: of the value: a class, or anything that pydantic can check.
        timeout: seconds to wait, from the moment the task is reached; then the task fails with `TaskTimeoutError`.

    Raises:
        ConfigurationError: ``type`` is no type, or an impossible timeout.
    """
    if not _is_type(type):
        hint = "" if type is not None else "; give type(None) for a signal that carries nothing"
        raise ConfigurationError(f"signal {id!r} takes a type, not {type!r}{hint}")
    made: Task[..., Any] = _quietly(id, arrival(id, type))
    if timeout is not None:
        from graflow.core.policy import make_policy

        policy = make_policy(id, {"timeout": timeout})
    else:
        policy = None
    new = make_task(id, made._definition, (), None, (), policy, Signal)
    recorder = RECORDER.get()
    if recorder is not None:
        recorder.made(new, None, "defined")
    return cast("Signal[T]", new)


def _is_type(form: Any) -> bool:
    """Can this be the type of what arrives: a class, or a form such as ``list[int]``, ``int | None`` or ``Any``?"""
    if isinstance(form, builtins.type | UnionType) or form is Any or hasattr(form, "__origin__"):
        return True
    return type(form).__module__ in ("typing", "typing_extensions")  # an alias, or a new type


def _quietly(id: str, fn: Arrival) -> Task[..., Any]:
    token = RECORDER.set(None)
    try:
        return Task(id, fn)
    finally:
        RECORDER.reset(token)


def check_value(signal: Signal[T], value: Any) -> T:
    """A value as the signal takes it.

    Raises:
        SignalError: no signal, or a value of another type.
    """
    if not isinstance(signal, Signal):
        raise SignalError(f"send() takes a signal and a value, not {signal!r}; make one with signal(id, type)")
    kind = signal.type
    from pydantic import TypeAdapter, ValidationError

    try:
        checked = TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        why = f"{where}: {first['msg']}" if where else first["msg"]
        raise SignalError(f"signal {signal.id!r} takes {describe(kind)}, not {spelling(value)}: {why}") from None
    except Exception as error:  # a class that pydantic knows nothing of
        if not isinstance(kind, type) or isinstance(value, kind):
            return cast(T, value)
        raise SignalError(f"signal {signal.id!r} takes {describe(kind)}, not {spelling(value)}") from error
    return cast(T, checked)


def parse_value(signal: Signal[T], text: str) -> T:
    """A value written as JSON, as the signal takes it.

    Raises:
        SignalError: no JSON, or a value of another type.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return cast(T, TypeAdapter(signal.type).validate_json(text))
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'value'}: {one['msg']}" for one in error.errors(include_url=False)
        )
        raise SignalError(f"signal {signal.id!r} takes {describe(signal.type)}, not {text}: {reasons}") from None
