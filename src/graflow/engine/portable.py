"""Why an object cannot travel to another process: the path to each culprit, the reason, and the cure.

Pickling decides whether anything is wrong. Only then the object is taken apart the way the pickler would do it, breadth
first, and every piece is tried with its own parts left out: what still fails is a culprit, however it is nested, and an
object whose ``__reduce__`` or ``__getstate__`` leaves the bad part out is never blamed for it.
"""

from __future__ import annotations

import functools
import reprlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from pickle import PickleBuffer
from types import BuiltinMethodType, CellType, FunctionType, MappingProxyType, MethodType, MethodWrapperType
from typing import Any, Final

from graflow.engine import codec
from graflow.engine._kinds import find_kind, type_name
from graflow.engine.attempt import said

_MOST_OBJECTS: Final = 1_000_000
_MOST_SECONDS: Final = 10.0
_MOST_SHOWN: Final = 5
_FEW: Final = 32

_ATOMS: Final = frozenset(
    (type(None), bool, int, float, complex, str, bytes, bytearray, PickleBuffer, type(...), type(NotImplemented))
)
_CONTAINERS: Final = (list, tuple, set, frozenset, dict)
_VIEWS: Final[tuple[type, ...]] = (type({}.keys()), type({}.values()))
_WRAPPERS: Final[tuple[type, ...]] = (CellType, MappingProxyType, staticmethod, classmethod, property, *_VIEWS)
"""Types whose constructor arguments are all there is to them: the path passes them by."""
_CARRIERS: Final = (FunctionType, MethodType, functools.partial, CellType)
"""Types whose parts are the variables of a function."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that keeps an object from travelling.

    Attributes:
        path: how to get from the object to the culprit, such as ``("closure variable 'conn'", "attribute '_sock'")``;
            empty if the object itself is at fault.
        type_name: the full name of the culprit's class.
        why: what is wrong with it, half a sentence.
        cure: what to do instead, half a sentence.
    """

    path: tuple[str, ...]
    type_name: str
    why: str
    cure: str


@dataclass(frozen=True, slots=True)
class Cargo:
    """A captured variable that makes a function heavy.

    Attributes:
        variable: where the function has it from, such as ``closure variable 'table'``.
        size: how many bytes it pickles to.
    """

    variable: str
    size: int


@dataclass(frozen=True, slots=True)
class _Place:
    """An object met on the way, and the place one step nearer to the start."""

    obj: Any
    label: str
    before: _Place | None

    def path(self) -> tuple[str, ...]:
        labels: list[str] = []
        place: _Place | None = self
        while place is not None:
            if place.label:
                labels.append(place.label)
            place = place.before
        return tuple(reversed(labels))


def obstacles(obj: Any, *, root: str = "") -> list[Obstacle]:
    """List everything that keeps an object, usually a task's function, from travelling to another process.

    The answer is empty exactly if the object can be pickled. Each culprit is named once, by its shortest path. If no
    smaller culprit is found, the object itself is named.

    Args:
        obj: the object to examine; pickling runs the code its classes define for that.
        root: what to call the object: the first element of each path, if given.
    """
    failure = codec.failure(obj)
    if failure is None:
        return []
    found = _search(obj) or [_narrow(obj, failure)]
    return [_obstacle(place, error, root) for place, error in found]


def cargo(fn: Callable[..., Any], *, limit: int = 1 << 20) -> list[Cargo]:
    """List the captured variables that make a function heavier than the limit, heaviest first.

    The list has every variable above the limit and, where many small ones add up, as many as must go to get below it.
    It is empty for a function within the limit, one that travels by name, and one that cannot travel at all.

    Args:
        fn: the function, bound method or ``functools.partial`` to weigh.
        limit: how many bytes may travel without a word.
    """
    if codec.failure(fn) is not None:
        return []
    rest = codec.weigh(fn)
    if rest <= limit:
        return []
    weighed = [Cargo(" → ".join(path), codec.weigh(value)) for path, value in _captured(fn)]
    heavy: list[Cargo] = []
    for one in sorted(weighed, key=lambda one: -one.size):
        if rest <= limit and one.size <= limit:
            break
        heavy.append(one)
        rest -= one.size
    return heavy


def explain(obstacle: Obstacle) -> str:
    """Say in two sentences what cannot travel, why, and what to do instead."""
    where = " → ".join(obstacle.path) or "the object itself"
    cure = obstacle.cure[:1].upper() + obstacle.cure[1:]
    return f"{where} ({obstacle.type_name}) cannot travel to another process: {obstacle.why}. {cure}."


def complaint(obj: Any, error: Exception) -> str:
    """Compose the message for an object that did not pickle, with the first few obstacles."""
    name = getattr(obj, "__qualname__", None)
    subject = f"cannot pickle {name if isinstance(name, str) else f'a value of type {type_name(obj)}'}"
    found = obstacles(obj)
    if not found:  # it failed then, and does not fail now
        return f"{subject}: {type(error).__name__}: {said(error)}"
    lines = [explain(obstacle) for obstacle in found[:_MOST_SHOWN]]
    if len(found) == 1:
        return f"{subject}: {lines[0]}"
    if len(found) > _MOST_SHOWN:
        lines.append(f"and {len(found) - _MOST_SHOWN} more")
    return f"{subject}, for {len(found)} reasons:" + "".join(f"\n  - {line}" for line in lines)


# -- the search -------------------------------------------------------------------------------------------------------


def _search(obj: Any) -> list[tuple[_Place, Exception]]:
    """Find the culprits, nearest first; stops where the object turns out endless, with those found so far."""
    places = [_Place(obj, "", None)]  # keeps all it has met alive, or an id in `seen` could come back as another object
    seen = {id(obj)}
    found: list[tuple[_Place, Exception]] = []
    known: dict[type, bool] = {}
    deadline = time.monotonic() + _MOST_SECONDS
    for count, place in enumerate(places):  # grows while it is read
        if count >= _MOST_OBJECTS or (count % 256 == 255 and time.monotonic() > deadline):
            break
        cls: type = type(place.obj)
        if cls not in known:
            known[cls] = find_kind(place.obj) is not None
        error = codec.failure(place.obj) if known[cls] else _own_failure(place.obj)
        if error is not None:
            found.append((place, error))
        elif not known[cls]:
            for label, part in _suspects(_parts(place.obj)):
                if type(part) not in _ATOMS and id(part) not in seen:
                    seen.add(id(part))
                    places.append(_Place(part, label, place))
    return found


def _suspects(parts: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Of many parts, leave out whole stretches that pickle: that is far faster than a look at each."""
    if len(parts) <= _FEW:
        return parts
    stretch = -(-len(parts) // _FEW)
    suspects: list[tuple[str, Any]] = []
    for start in range(0, len(parts), stretch):
        some = parts[start : start + stretch]
        if codec.failure([part for _, part in some]) is not None:
            suspects.extend(_suspects(some))
    return suspects


def _own_failure(obj: Any) -> Exception | None:
    return None if type(obj) in _CONTAINERS else codec.own_failure(obj)


def _narrow(obj: Any, error: Exception) -> tuple[_Place, Exception]:
    """Follow what fails as a whole though each piece is fine, such as a structure nested too deeply."""
    place = _Place(obj, "", None)
    seen = {id(obj)}
    deadline = time.monotonic() + _MOST_SECONDS
    # What is too deep is named by the variable that holds it, not followed to where the depth becomes bearable.
    while not _too_deep(error) or isinstance(place.obj, _CARRIERS):
        for label, part in _parts(place.obj):
            if type(part) in _ATOMS or id(part) in seen or time.monotonic() > deadline:
                continue
            seen.add(id(part))
            failure = codec.failure(part)
            if failure is not None:
                place, error = _Place(part, label, place), failure
                break
        else:
            break
    return place, error


def _obstacle(place: _Place, error: Exception, root: str) -> Obstacle:
    path = (root, *place.path()) if root else place.path()
    name = type_name(place.obj)
    kind = find_kind(place.obj)
    if kind is not None:
        return Obstacle(path, name, kind.why, kind.cure)
    if _too_deep(error):
        return Obstacle(path, name, "it is nested too deeply", "flatten it, or write it to a file and pass the path")
    why = f"pickling it raises {type(error).__name__}: {said(error).rstrip('.')}"
    if name.lower().endswith(("connection", "cursor", "session", "client")):
        return Obstacle(path, name, why, "pass what is needed to connect, and connect inside the task")
    return Obstacle(path, name, why, "build it inside the task")


def _too_deep(error: Exception) -> bool:
    return isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError)


# -- taking apart -----------------------------------------------------------------------------------------------------

_Parts = Iterator[tuple[str, Any]]


def _is(obj: Any, classes: Any) -> bool:
    """``isinstance`` that leaves the type checker's ``Any`` alone: these objects may be anything, in any shape."""
    return isinstance(obj, classes)


def _parts(obj: Any) -> list[tuple[str, Any]]:
    """What an object consists of for the pickler, each part with its step of the path; atoms may be left out."""
    try:
        return list(_iter_parts(obj))
    except Exception:  # noqa: BLE001 - a __reduce__ that fails now and did not before: no parts to offer
        return []


def _iter_parts(obj: Any) -> _Parts:
    if type(obj) in (list, tuple):
        yield from ((f"item {index}", item) for index, item in enumerate(obj) if type(item) not in _ATOMS)
    elif type(obj) in (set, frozenset):
        yield from (("item of the set", item) for item in obj)
    elif type(obj) is dict:
        yield from _entries(obj.items())
    else:
        reduced = codec.reduction(obj)
        if reduced is not None:
            yield from _reduced_parts(obj, (*reduced, None, None, None))


def _entries(items: Any) -> _Parts:
    for key, value in items:
        if type(key) not in _ATOMS:
            yield "key of the dict", key
        if type(value) not in _ATOMS:
            yield _key(key), value


def _key(key: Any) -> str:
    return f"key {reprlib.repr(key)}" if type(key) in _ATOMS else f"key of type {type_name(key)}"


def _reduced_parts(obj: Any, reduced: codec.Reduction) -> _Parts:
    rebuild, args, state, items, entries, *_ = reduced
    if _is(obj, FunctionType) and _is(state, tuple):
        yield from _function_parts(obj, *state)
    elif _is(obj, type) and _is(state, tuple):
        yield from _class_parts(obj, state[0])
    elif _is(obj, MethodType):
        yield from (("", obj.__func__), ("bound self", obj.__self__))
    elif _is(obj, BuiltinMethodType | MethodWrapperType):
        yield "bound self", obj.__self__
    elif _is(obj, functools.partial):
        yield "partial function", obj.func
        yield from ((f"partial argument {index}", value) for index, value in enumerate(obj.args))
        yield from ((f"partial keyword {name!r}", value) for name, value in obj.keywords.items())
        yield from _attributes(obj, vars(obj))
    elif _is(obj, _WRAPPERS):
        yield from (("", arg) for arg in args)
    else:
        yield "function that rebuilds it", rebuild
        yield from _arguments(obj, args)
        yield from _attributes(obj, state)
        yield from ((f"item {index}", item) for index, item in enumerate(items or ()))
        yield from _entries(entries or ())


def _function_parts(fn: FunctionType, attributes: dict[str, Any], slots: dict[str, Any]) -> _Parts:
    """The parts of a function that travels by value, as cloudpickle lists them."""
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        yield f"closure variable {name!r}", cell
    yield from ((f"global {name!r}", value) for name, value in slots["__globals__"].items())
    defaults = fn.__defaults__ or ()
    positional = fn.__code__.co_varnames[: fn.__code__.co_argcount]
    names = positional[len(positional) - len(defaults) :]
    yield from ((f"default of {name!r}", value) for name, value in zip(names, defaults, strict=True))
    yield from ((f"default of {name!r}", value) for name, value in (fn.__kwdefaults__ or {}).items())
    yield from ((f"annotation of {name!r}", value) for name, value in fn.__annotations__.items())
    yield from ((f"attribute {name!r}", value) for name, value in attributes.items())


def _class_parts(cls: type, namespace: dict[str, Any]) -> _Parts:
    """The parts of a class that travels by value."""
    yield from ((f"base class {base.__name__!r}", base) for base in cls.__bases__)
    yield f"metaclass {type(cls).__name__!r}", type(cls)
    for name, value in namespace.items():
        method = _is(value, FunctionType | staticmethod | classmethod | property)
        yield f"{'method' if method else 'class attribute'} {name!r}", value


def _arguments(obj: Any, args: tuple[Any, ...]) -> _Parts:
    names = getattr(type(obj), "_fields", ()) if _is(obj, tuple) else ()
    count = 0
    for arg in args:
        if _is(arg, type):
            yield f"class {arg.__name__!r}", arg
            continue
        yield f"attribute {names[count]!r}" if count < len(names) else f"constructor argument {count}", arg
        count += 1


def _attributes(obj: Any, state: Any) -> _Parts:
    """The parts of an instance's state, in the shapes that object, dataclasses and pydantic give it."""
    if _is(state, dict):
        for name, value in state.items():
            if _is(name, str) and name.startswith("__") and _is(value, dict):
                yield from _attributes(obj, value)  # pydantic: the fields, the private and the extra attributes
            else:
                yield f"attribute {name!r}" if _is(name, str) else _key(name), value
    elif _is(state, tuple) and len(state) == 2 and all(_is(half, dict | None) for half in state):
        for half in state:  # the instance's dict, and its slots
            yield from _attributes(obj, half)
    elif _is(state, list) and is_dataclass(obj) and len(state) == len(fields(obj)):
        yield from ((f"attribute {field.name!r}", value) for field, value in zip(fields(obj), state, strict=True))
    elif state is not None:
        yield "state", state


def _captured(fn: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The variables a function, a bound method or a partial takes along, each with its path."""
    for label, part in _parts(fn):
        below = (*path, label) if label else path
        if _is(fn, MethodType | functools.partial) and _is(part, FunctionType | MethodType | functools.partial):
            yield from _captured(part, below)
        else:
            yield below, part
