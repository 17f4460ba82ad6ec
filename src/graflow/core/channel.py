"""Typed state that the tasks of one run share: `Channel`."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, overload

from graflow.core._attempt import ATTEMPT, Attempt
from graflow.core._forms import describe, is_typed_dict
from graflow.core._inputs import spelling
from graflow.core._same import rough_hash, same
from graflow.core.checks import legal_ids
from graflow.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

#: Whose instances a type checker takes for the class: an int is a float.
_TAKEN_FOR: Final[dict[Any, tuple[type, ...]]] = {float: (int,), complex: (int, float)}
#: Adapters that are kept, because making one takes a millisecond.
_MOST_ADAPTERS: Final = 256

#: The run and the name of each channel that the caller's `Channel.update` is about to change.
_changing: ContextVar[frozenset[tuple[str, str]]] = ContextVar("graflow_changing", default=frozenset())


class ChannelView(Protocol):
    """The channels of one run, as the body of a task reaches them.

    What it takes and gives are copies: a body that changes what it was given changes nothing that others see.
    """

    def read(self, channel: Channel[T]) -> tuple[T, int]:
        """The value of a channel and its version, which every change makes another.

        Raises:
            ConfigurationError: the run uses another channel of this name.
        """
        ...

    def write(self, channel: Channel[T], value: T, version: int | None) -> bool:
        """Give a channel a value if it still has this version, or whatever its version is; False if it has another.

        Raises:
            ConfigurationError: the run uses another channel of this name.
            SerializationError: the value cannot be pickled.
        """
        ...


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Channel(Generic[T]):
    """A value that the tasks of one run share, whatever runs them; use it where an edge will not do.

    An edge says who waits for whom, and the same inputs give the same result.
    A channel says neither: what a body reads depends on who was faster.
    It is right for what no result depends on, such as how much is done, or whether others may stop.

    Each run has a value of its own, which starts as the default.
    What a body gets is a copy, and what it sets is copied: to change a value, `set` or `update` it.
    What an attempt changed stays changed when that attempt fails, and a retry may change it once more.

    Example:
        ::

            found = Channel("found", int, default=0)


            @task
            def search(page: str) -> list[str]:
                hits = look_through(page)
                found.update(lambda n: n + len(hits))
                return hits
    """

    name: str
    """The same in all of a run; made of what ids of tasks are made of."""
    type: Any
    """What its values are: a class, or any type that pydantic can check."""
    default: T
    """Its value until somebody changes it."""

    @overload
    def __init__(self, name: str, type: builtins.type[T], default: T) -> None: ...
    @overload
    def __init__(self, name: str, type: Any, default: T) -> None: ...
    def __init__(self, name: str, type: Any, default: T) -> None:
        """Define a channel; it need not be told to a workflow.

        Args:
            name: the same in all of a run.
            type: what its values are: of a class its instances, checked by ``isinstance``; of ``list[int]``,
                ``int | None`` and their kin what pydantic takes in its strict mode, in which ``"3"`` is no int.
            default: its value until somebody changes it.

        Raises:
            ConfigurationError: the name is not legal, nobody can check the type, or the default is not of it.
        """
        if not isinstance(name, str) or legal_ids([name], ""):
            raise ConfigurationError(
                f"{name!r} is no name for a channel; use letters, digits, '_', '-' and '.', and start with a letter, "
                f"a digit or '_'"
            )
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "type", type)
        object.__setattr__(self, "default", self._checked(default, "its default is {}"))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Channel):
            return NotImplemented
        return self.name == other.name and same((self.type, self.default), (other.type, other.default))

    def __hash__(self) -> int:
        return hash((self.name, rough_hash(self.default)))

    def get(self) -> T:
        """Its value now, for the body of a task; a copy.

        Raises:
            ConfigurationError: no task runs here, or the run uses another channel of this name.
            SerializationError: the value cannot be rebuilt here.
        """
        return self._attempt("get").channels.read(self)[0]

    def set(self, value: T) -> None:
        """Give it a value, from the body of a task; what others set meanwhile is lost, so see `update`.

        Raises:
            ConfigurationError: no task runs here, the value is not of the channel's type, the run uses another
                channel of this name, or the function of an `update` calls it.
            SerializationError: the value cannot be pickled.
        """
        attempt = self._attempt("set")
        self._refuse_nested(attempt, "set")
        attempt.channels.write(self, self._checked(value, "set() was given {}"), None)

    def update(self, change: Callable[[T], T]) -> T:
        """Replace its value by what a function makes of it; no update of others is lost.

        The function runs where the body runs, with a copy of the value.
        If another body changed the channel meanwhile, it runs again with what is there then: let it be quick, and do
        nothing but return the new value.

        Returns:
            The new value.

        Raises:
            ConfigurationError: no task runs here, the new value is not of the channel's type, the run uses another
                channel of this name, or the function changes the same channel.
            SerializationError: the new value cannot be pickled.
        """
        attempt = self._attempt("update")
        self._refuse_nested(attempt, "update")
        token = _changing.set(_changing.get() | {(attempt.run, self.name)})
        try:
            while True:
                value, version = attempt.channels.read(self)
                made = self._checked(change(value), "the function of update() returned {}; return the new value")
                if attempt.channels.write(self, made, version):
                    return made
        finally:
            _changing.reset(token)

    def _attempt(self, method: str) -> Attempt:
        attempt = ATTEMPT.get()
        if attempt is None:
            raise ConfigurationError(
                f"channel {self.name!r}: {method}() was called where no task runs; call it in a function that a "
                f"runner runs as a task, and start threads of that function with contextvars.copy_context().run, "
                f"because they do not inherit where they are"
            )
        return attempt

    def _refuse_nested(self, attempt: Attempt, method: str) -> None:
        # The outer update would find another version, and run its function again for ever.
        if (attempt.run, self.name) in _changing.get():
            raise ConfigurationError(
                f"channel {self.name!r}: {method}() was called in the function of an update() of the same channel; "
                f"return the new value instead"
            )

    def _checked(self, value: T, told: str) -> T:
        """The value, as one of the channel's type.

        Raises:
            ConfigurationError: it is not, or nobody can tell.
        """
        kind, problem = self.type, ""
        if kind is Any or type(value) is kind:
            return value
        if _is_plain(kind):
            if isinstance(value, kind):
                return value
            if isinstance(value, _TAKEN_FOR.get(kind, ())):
                made: T = kind(value)
                return made
        else:
            adapter = self._adapter()
            from pydantic import ValidationError

            try:
                made = adapter.validate_python(value, strict=True)
                return made
            except ValidationError as error:
                problem = _first(error)
        said = told.format(f"{spelling(value)}, of type {type(value).__name__}")
        raise ConfigurationError(f"channel {self.name!r} holds {describe(kind)}, and {said}{problem}")

    def _adapter(self) -> TypeAdapter[Any]:
        try:
            try:
                return _adapter_of(self.type)
            except TypeError:  # a type with metadata that cannot be hashed
                return _adapter_of.__wrapped__(self.type)
        except Exception as error:
            raise ConfigurationError(
                f"channel {self.name!r}: nobody can check the type {describe(self.type)}: {str(error).splitlines()[0]}"
            ) from error


def _is_plain(kind: Any) -> bool:
    """Does ``isinstance`` know the instances of this class?"""
    if not isinstance(kind, type) or is_typed_dict(kind):
        return False
    return not getattr(kind, "_is_protocol", False) or getattr(kind, "_is_runtime_protocol", False)


@lru_cache(maxsize=_MOST_ADAPTERS)
def _adapter_of(kind: Any) -> TypeAdapter[Any]:
    """What checks values of a type."""
    from pydantic import PydanticUserError, TypeAdapter

    try:  # classes that pydantic does not know, in a list say, are checked by isinstance
        return TypeAdapter(kind, config={"arbitrary_types_allowed": True})
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
        return TypeAdapter(kind)


def _first(error: ValidationError) -> str:
    """What is wrong with a value, and where in it."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    where = "".join(f"[{key!r}]" for key in found[0]["loc"] if isinstance(key, int | str))
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f": {f'at {where}: ' if where else ''}{found[0]['msg']}{more}"
