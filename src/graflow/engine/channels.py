"""The channels of one run: what they hold, and how bodies here and in other processes read and change it.

Values are kept as bytes: whoever reads one gets a copy, whoever is in another process gets the same, and a store can
keep them.
"""

from __future__ import annotations

import os
import pickle
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from graflow.core._forms import describe
from graflow.core._inputs import spelling
from graflow.core._same import same
from graflow.engine.attempt import said
from graflow.engine.payload import Unstorable, payload_of
from graflow.errors import ConfigurationError, SerializationError

if TYPE_CHECKING:
    from graflow.core.channel import Channel

T = TypeVar("T")

_ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")


class Definition(NamedTuple):
    """A channel, such that it can be compared with one that another process defined."""

    name: str
    kind: str
    """Its type in full: with modules, without addresses."""
    default: bytes
    text: str
    """The channel as a message names it."""


class Entry(NamedTuple):
    """What a channel holds."""

    payload: bytes
    version: int
    """0 as long as no body of this run changed it."""


class Access(ABC):
    """How bodies reach the channels of their run; see `graflow.core.channel.ChannelView`."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._known: dict[str, tuple[Channel[Any], Definition]] = {}

    def read(self, channel: Channel[T]) -> tuple[T, int]:
        """The value of a channel and its version."""
        entry = self.entry(self._definition(channel))
        return _loaded(channel, entry), entry.version

    def write(self, channel: Channel[T], value: T, version: int | None) -> bool:
        """Give a channel a value if it still has this version, or whatever its version is."""
        return self.compare_and_set(self._definition(channel), version, _dumped(channel.name, value))

    @abstractmethod
    def entry(self, definition: Definition) -> Entry:
        """What a channel holds.

        Raises:
            ConfigurationError: the run uses another channel of this name.
        """

    @abstractmethod
    def compare_and_set(self, definition: Definition, version: int | None, payload: bytes) -> bool:
        """Replace what a channel holds if it still has this version (None: in any case); False if it has not.

        Raises:
            ConfigurationError: the run uses another channel of this name.
        """

    def _definition(self, channel: Channel[Any]) -> Definition:
        if os.getpid() != self._pid:
            raise ConfigurationError(
                f"channel {channel.name!r} was used in a process that the task's body started, where nobody hears of "
                f"it; have that process return what it knows, and use the channel in the body"
            )
        known = self._known.get(channel.name)
        if known is None or known[0] is not channel:
            known = self._known[channel.name] = channel, definition_of(channel)
        return known[1]


class Channels(Access):
    """The channels of one run. Any thread may use it, without another lock."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._definitions: dict[str, Definition] = {}
        self._changed: dict[str, bytes] = {}

    def entry(self, definition: Definition) -> Entry:
        """What a channel holds; see `Access.entry`."""
        return self._entries.get(self._admit(definition), Entry(definition.default, 0))

    def compare_and_set(self, definition: Definition, version: int | None, payload: bytes) -> bool:
        """Replace what a channel holds; see `Access.compare_and_set`."""
        name = self._admit(definition)
        with self._lock:
            old = self._entries.get(name)
            now = old.version if old is not None else 0
            if version is not None and version != now:
                return False
            self._entries[name] = Entry(payload, now + 1)
            self._changed[name] = payload
            return True

    def restore(self, values: Mapping[str, bytes]) -> None:
        """Begin with what a store kept of an earlier part of the run."""
        with self._lock:
            self._entries.update({name: Entry(payload, 0) for name, payload in values.items()})

    def changed(self) -> dict[str, bytes]:
        """What channels hold that changed since this was last asked, by name, for a store to keep."""
        if not self._changed:
            return {}
        with self._lock:
            changed, self._changed = self._changed, {}
        return changed

    def look(self, channel: Channel[T]) -> T:
        """What a channel holds, for somebody outside of the run, who does not decide what the name stands for."""
        definition = definition_of(channel)
        first = self._definitions.get(channel.name)
        if first is not None:
            _compare(first, definition)
        return _loaded(channel, self._entries.get(channel.name, Entry(definition.default, 0)))

    def _admit(self, definition: Definition) -> str:
        first = self._definitions.get(definition.name)
        if first is None:
            first = self._definitions.setdefault(definition.name, definition)
        if first is not definition:
            _compare(first, definition)
        return definition.name


class DistantChannels(Access):
    """The channels of a run that is in another process.

    Args:
        ask: has the other process call a method of its `Channels`, and gives what that returned.
    """

    def __init__(self, ask: Callable[..., Any]) -> None:
        super().__init__()
        self._ask = ask

    def entry(self, definition: Definition) -> Entry:
        """What a channel holds; see `Access.entry`."""
        entry: Entry = self._ask("entry", definition)
        return entry

    def compare_and_set(self, definition: Definition, version: int | None, payload: bytes) -> bool:
        """Replace what a channel holds; see `Access.compare_and_set`."""
        done: bool = self._ask("compare_and_set", definition, version, payload)
        return done


def read(channels: Channels, channel: Channel[T]) -> T:
    """What a channel of a run holds: its default if no body has changed it.

    Raises:
        ConfigurationError: the run used another channel of this name.
        SerializationError: the value cannot be rebuilt here.
    """
    return channels.look(channel)


def too_late(id: str) -> ConfigurationError:
    """The error for a channel used by an attempt that is over."""
    return ConfigurationError(
        f"a channel was used by an attempt at task {id!r} that is over: it took too long, its run was given up, or a "
        f"thread that it started outlived it; wait for such threads in the body"
    )


def definition_of(channel: Channel[Any]) -> Definition:
    """A channel, such that it can be compared with one that another process defined.

    Raises:
        SerializationError: its default cannot be pickled.
    """
    kind = channel.type
    full = f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else _ADDRESS.sub("", repr(kind))
    text = f"Channel({channel.name!r}, {describe(kind)}, default={spelling(channel.default)})"
    return Definition(channel.name, full, _dumped(channel.name, channel.default), text)


def _compare(first: Definition, second: Definition) -> None:
    if first.kind == second.kind and (first.default == second.default or _same_default(first, second)):
        return
    raise ConfigurationError(
        f"two channels of one run are named {first.name!r}: {first.text} and {second.text}; define it once, or give "
        f"one of them another name"
    )


def _same_default(first: Definition, second: Definition) -> bool:
    """Are two defaults equal whose bytes differ, as those of two dicts may?"""
    try:
        return same(pickle.loads(first.default), pickle.loads(second.default))
    except Exception:  # noqa: BLE001  # of a class that this process does not know: it cannot be the one it knows
        return False


def _dumped(name: str, value: Any) -> bytes:
    payload = payload_of(value)
    if isinstance(payload, Unstorable):
        raise SerializationError(f"a value of channel {name!r} cannot be kept: {payload.why}")
    return payload


def _loaded(channel: Channel[T], entry: Entry) -> T:
    try:
        value: T = pickle.loads(entry.payload)
    except Exception as error:  # unpickling calls constructors, which may raise anything
        raise SerializationError(
            f"the value of channel {channel.name!r} cannot be rebuilt here: {type(error).__name__}: {said(error)}"
        ) from error
    # Nobody checked what a store kept: the channel may have had another type then.
    return value if entry.version else channel._checked(value, "the run kept {}")
