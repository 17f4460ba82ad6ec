"""Following ``.name`` and ``[key]`` through a type hint: the type of a part of a value.

What cannot be known is ``typing.Any``; only what is certainly missing is an error.
"""

from __future__ import annotations

import types
import typing
from collections import abc
from typing import Any, Literal, get_args, get_origin

from graflow.core._forms import (
    STANDARD,
    annotated,
    bare,
    describe,
    either,
    is_a,
    is_one,
    is_typed_dict,
    is_union,
    item_of,
    parts,
    result_of,
    seen_as,
    typed_dict_fields,
)

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Path = tuple[tuple[Literal["attr", "item", "each"], Any], ...]
"""The way from a value to a part of it, such as ``(("attr", "rows"), ("item", 0))`` for ``.rows[0]``."""

_HOOKS = ("__getattr__", "__getattribute__")


class NoSuchProjection(Exception):
    """A type certainly has no such attribute or item; the message says which, and what comes close."""


def project(hint: Any, path: Path) -> Any:
    """The type of a part of a value: ``project(list[Row], (("item", 0), ("attr", "name")))``.

    Args:
        hint: The type of the value.
        path: The attributes and items on the way to the part.

    Returns:
        The type of the part; ``Any`` where it is unknown.

    Raises:
        NoSuchProjection: A value of this type certainly has no such part.
    """
    for how, key in path:
        if how == "each":
            hint = _each(hint)
            continue
        try:
            hint = _step(hint, how, key)
        except NoSuchProjection:
            raise
        except Exception:  # noqa: BLE001 - a metaclass may answer questions as it likes; what cannot be asked is unknown
            return Any
    return hint


def _each(hint: Any) -> Any:
    """The type of one item; text certainly is no collection of items, nor is what cannot be iterated."""
    whole = bare(hint)
    cls = parts(whole)[0]
    if cls in (str, bytes, bytearray):
        raise NoSuchProjection(f"{describe(whole)} is text; return list(text) to map over its characters")
    is_closed = isinstance(cls, type) and cls not in (object, Any) and not is_union(whole) and not is_abstract(cls)
    if is_closed and not hasattr(cls, "__iter__") and not hasattr(cls, "__getitem__"):
        raise NoSuchProjection(f"{describe(whole)} has no items to map over")
    try:
        return item_of(whole)
    except Exception:  # noqa: BLE001 - as below: what cannot be asked is unknown
        return Any


def _step(hint: Any, how: Literal["attr", "item"], key: Any) -> Any:
    hint = bare(hint)
    if is_union(hint):
        return _step_of_one([member for member in get_args(hint) if member is not types.NoneType], how, key)
    if get_origin(hint) is Literal:
        kinds = {type(value) for value in get_args(hint)}
        hint = kinds.pop() if len(kinds) == 1 else Any
    cls = parts(hint)[0]
    if hint is Any or not isinstance(cls, type) or cls in (object, type, abc.Callable):
        return Any
    if is_typed_dict(cls):
        return _key(hint, key) if how == "item" else _attribute(dict, dict, key)
    return _attribute(hint, cls, key) if how == "attr" else _item(hint, cls, key)


def _step_of_one(members: list[Any], how: Literal["attr", "item"], key: Any) -> Any:
    """The type of a part of a value that has one of several types."""
    found: list[Any] = []
    missing: list[NoSuchProjection] = []
    for member in members:
        try:
            found.append(_step(member, how, key))
        except NoSuchProjection as error:
            missing.append(error)
    if not missing:
        return either(found)
    if found:  # the value may be of the other type, the one that has it
        return Any
    raise max(missing, key=lambda error: len(str(error)))  # the longest is the one that knows a close name


def _attribute(hint: Any, cls: Any, name: str) -> Any:
    if is_model(cls) and name in cls.model_fields:
        owner: Any = hint if isinstance(hint, type) else cls  # Model[int] knows what its type variables stand for
        return owner.model_fields[name].annotation
    found = annotated(hint, name)
    if found is not Any or hasattr(cls, name) or not _is_closed(cls, name):
        return found
    public = [*getattr(cls, "model_fields", ()), *getattr(cls, "__dataclass_fields__", ()), *dir(cls)]
    near = _close(name, [known for known in dict.fromkeys(public) if not known.startswith("_")])
    raise NoSuchProjection(f"{describe(hint)} has no attribute {name!r}{near}")


def is_model(cls: Any) -> bool:
    """Whether this is a pydantic model; asks without loading pydantic."""
    return hasattr(cls, "__pydantic_decorators__") and hasattr(cls, "model_fields")


def _is_closed(cls: Any, name: str) -> bool:
    """Whether instances of a class certainly have no attributes but those the class shows."""
    if is_abstract(cls):
        return False
    if is_model(cls):
        base = next(base for base in cls.__mro__ if base.__module__ == "pydantic.main")
        hooked = any(getattr(cls, hook, None) is not getattr(base, hook, None) for hook in _HOOKS)
        return not hooked and cls.model_config.get("extra") != "allow" and name not in cls.__private_attributes__
    if any(isinstance(getattr(cls, hook, None), types.FunctionType) for hook in _HOOKS):
        return False
    if all("__slots__" in vars(base) or base.__module__ in (*STANDARD, "typing") for base in cls.__mro__):
        return bool(cls.__dictoffset__ == 0)  # no room for attributes: int, list, named tuples, slots
    extra = getattr(cls, "__pydantic_config__", {}).get("extra")  # a dataclass of pydantic may take more
    return hasattr(cls, "__dataclass_fields__") and extra != "allow" and not _may_set(cls, name)


def is_abstract(cls: Any) -> bool:
    """Whether values of this type are of other classes, which may have more: an ABC or a protocol."""
    return bool(getattr(cls, "__abstractmethods__", None)) or getattr(cls, "_is_protocol", False)


def _may_set(cls: type, name: str) -> bool:
    """Whether a method written by hand might give instances this attribute besides their fields."""
    ways = {name, "__dict__", "__setattr__", "setattr", "vars"}
    return any(not ways.isdisjoint(code.co_names) for base in cls.__mro__ for code in _codes(vars(base).values()))


def _codes(values: Iterable[Any]) -> Iterator[types.CodeType]:
    for value in values:
        for function in (getattr(value, how, None) for how in ("__self__", "fget", "fset", "func", "__func__")):
            yield from _codes([function]) if isinstance(function, types.FunctionType) else ()
        code = value if isinstance(value, types.CodeType) else getattr(value, "__code__", None)
        if code is not None and code.co_filename != "<string>":  # generated by dataclasses: sets the fields only
            yield code
            yield from _codes(const for const in code.co_consts if isinstance(const, types.CodeType))


def _close(name: Any, names: Iterable[str]) -> str:
    from difflib import get_close_matches

    matches = get_close_matches(name, list(names), n=3) if isinstance(name, str) else []
    return f"; did you mean {' or '.join(map(repr, matches))}?" if matches else ""


def _key(hint: Any, key: Any) -> Any:
    fields = typed_dict_fields(hint)
    if key not in fields:
        raise NoSuchProjection(f"{describe(hint)} has no key {key!r}{_close(key, fields)}")
    return fields[key][0]


def _item(hint: Any, cls: Any, key: Any) -> Any:
    method: Callable[..., Any] | None = getattr(cls, "__getitem__", None)
    if method is None:
        if is_abstract(cls):
            return Any
        raise NoSuchProjection(f"{describe(hint)} has no items, so there is no [{key!r}]")
    if is_a(cls, abc.Mapping):
        found = seen_as(hint, abc.Mapping)
        return found[1] if found and len(found) == 2 else Any
    if isinstance(method, types.FunctionType) and cls.__module__ not in STANDARD:
        return result_of(hint, "__getitem__")  # written by the user, who may take any key
    if issubclass(cls, (list, tuple, str, bytes)) and isinstance(key, str):
        raise NoSuchProjection(f"{describe(hint)} takes a position, not {key!r}")
    if issubclass(cls, tuple):
        return _tuple_item(hint, key)
    if isinstance(key, slice):
        return hint if cls in (list, str, bytes, abc.Sequence) else Any
    found = seen_as(hint, abc.Sequence) if isinstance(key, int) and is_a(cls, abc.Sequence) else None
    return found[0] if found else Any


def _tuple_item(hint: Any, key: Any) -> Any:
    items = seen_as(hint, tuple)
    if items is None or not all(map(is_one, items)):
        return Any
    if items[-1:] == (...,):
        return hint if isinstance(key, slice) else items[0]
    if isinstance(key, slice):
        return types.GenericAlias(tuple, items[key])
    if not isinstance(key, int):
        return Any
    if not -len(items) <= key < len(items):
        raise NoSuchProjection(f"{describe(hint)} has {len(items)} items, none of them at [{key}]")
    return items[key]
