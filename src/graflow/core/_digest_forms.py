"""How each kind of value is digested: what of it counts, and in which order.

Nothing here recurses. A value that holds others is digested by a generator that asks for their digests.
"""

from __future__ import annotations

import copyreg
import os
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator
from enum import Enum
from functools import partial
from hashlib import sha256
from operator import itemgetter
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, NamedTuple

from graflow.core._code import (
    EMPTY,
    attribute,
    attributes_of,
    cells_of,
    defaults_of,
    facts,
    globals_reached,
    is_own,
    is_own_function,
)
from graflow.core._digest_leaves import code_digest, join, name_of, scalar


class Want(NamedTuple):
    """Asks for the digest of a value; ``alone`` if what its siblings left open must not be seen."""

    value: Any
    code: bool
    alone: bool = False


# Yields what it wants digested, is sent the digests, returns its own.
Work = Generator[Want, bytes, bytes]


def work_on(value: Any, code: bool) -> Work:
    """The way to digest a value, by its type; ``code`` if the code of its class counts."""
    kind = type(value)
    if issubclass(kind, type):
        return (yield from _class(value)) if code and is_own(value.__module__) else name_of(value)
    work = _FORMS.get(kind)
    if work is not None:
        return (yield from work(value, code))
    stand_in = getattr(kind, "__graflow_digest__", None)
    if stand_in is not None:
        # One of ours may be of another class elsewhere: a block that was captured and travelled is.
        whose = None if kind.__module__.startswith("graflow.") else kind
        return (yield from _parts(b"stand-in", (whose, stand_in(value)), code))
    for base, work in _BASES:
        if issubclass(kind, base):
            return (yield from work(value, code))
    if kind.__name__ == "ndarray" and kind.__module__ == "numpy":
        return (yield from _array(value, code))
    if _pandas_kind(kind) is not None:
        return (yield from _table(value, code))
    if hasattr(kind, "model_fields"):
        return (yield from _model(value, code))
    if hasattr(kind, "__dataclass_fields__"):
        return (yield from _dataclass(value, code))
    return (yield from _object(value, code))


def _parts(tag: bytes, values: Iterable[Any], code: bool) -> Work:
    """Values in order."""
    parts = []
    for value in values:
        known = scalar(value)
        parts.append((yield Want(value, code)) if known is None else known)
    return join(tag, parts)


def _set(value: Any, code: bool) -> Work:
    parts = []
    for member in value:
        known = scalar(member)
        parts.append((yield Want(member, code, alone=True)) if known is None else known)
    return join(b"frozenset" if isinstance(value, frozenset) else b"set", sorted(parts))


def _dict(value: Any, code: bool) -> Work:
    keyed = []
    for key, item in value.items():
        known = scalar(key)
        keyed.append(((yield Want(key, code, alone=True)) if known is None else known, item))
    parts = []
    for key, item in sorted(keyed, key=itemgetter(0)):
        known = scalar(item)
        parts += [key, (yield Want(item, code)) if known is None else known]
    return join(b"dict", parts)


def _set_like(value: Any, code: bool) -> Work:
    members = yield from _set(value, code)
    rest = yield from _parts(b"rest", (type(value), dict(attributes_of(value))), code)
    return join(b"set-like", (members, rest))


def _dict_like(value: Any, code: bool) -> Work:
    in_order = isinstance(value, OrderedDict)
    items = (yield from _parts(b"items", list(value.items()), code)) if in_order else (yield from _dict(value, code))
    factory = getattr(value, "default_factory", None)
    rest = yield from _parts(b"rest", (type(value), factory, dict(attributes_of(value))), code)
    return join(b"dict-like", (items, rest))


def _method(value: MethodType, code: bool) -> Work:
    return (yield from _parts(b"method", (value.__func__, value.__self__), True))


def _builtin(value: BuiltinFunctionType, code: bool) -> Work:
    owner = value.__self__
    if owner is None or isinstance(owner, ModuleType):
        return name_of(value)
    return (yield from _parts(b"builtin", (value.__name__, owner), code))


def _array(value: Any, code: bool) -> Work:
    dtype = yield Want(value.dtype, code)
    shape = repr(value.shape).encode()
    if value.dtype.hasobject:
        return join(b"array", (dtype, shape, (yield Want(value.tolist(), code))))
    # Read where it lies, unless its items lie out of order; as plain bytes, for not every dtype shows its own.
    flat = (value if value.flags.c_contiguous else value.copy()).reshape(-1)
    content = flat.view("u1") if value.dtype.itemsize else b""
    return join(b"array", (dtype, shape, sha256(content).digest()))


def _table(value: Any, code: bool) -> Work:
    """A frame, series or index of pandas by its columns: its own state holds caches, and how it was put together."""
    kind = _pandas_kind(type(value))
    if kind == "DataFrame":
        columns = [_column(value.iloc[:, k]) for k in range(value.shape[1])]
        return (yield from _parts(b"frame", (type(value), value.columns, value.index, value.attrs, columns), code))
    if kind == "Series":
        parts = (type(value), value.name, value.index, value.attrs, _column(value))
        return (yield from _parts(b"series", parts, code))
    levels = [value] if value.nlevels == 1 else [value.get_level_values(k) for k in range(value.nlevels)]
    names = list(value.names), attribute(value, "freqstr")
    return (yield from _parts(b"index", (*names, *map(_column, levels)), code))


def _pandas_kind(kind: type) -> str | None:
    """Whether a class of pandas is one of its tables, whatever its version calls the module."""
    if str(kind.__module__).partition(".")[0] != "pandas":
        return None
    return next((base.__name__ for base in kind.__mro__ if base.__name__ in ("DataFrame", "Series", "Index")), None)


def _column(values: Any) -> list[Any]:
    dtype, name = values.dtype, str(values.dtype)
    if type(dtype).__module__.partition(".")[0] == "numpy":
        return [values.to_numpy()]
    array = values.array
    if name == "category":
        return [name, array.ordered, array.codes, array.categories]
    if hasattr(array, "asi8"):  # points in time, spans and periods
        return [name, array.asi8]
    return [name, values.to_numpy(dtype=object).tolist()]  # text, and integers with gaps


def _memory(value: memoryview, code: bool) -> Work:
    yield from ()
    return join(b"memory", (value.format.encode(), repr(value.shape).encode(), value.tobytes()))


def _enum(value: Enum, code: bool) -> Work:
    return (yield from _parts(b"enum", (type(value), value.name, value.value), code))


def _path(value: PurePath, code: bool) -> Work:
    yield from ()
    return join(b"path", (value.as_posix().encode("utf-8", "surrogateescape"),))


def _model(value: Any, code: bool) -> Work:
    # What pydantic compares; the rest (which fields were set, cached properties) may differ between equal models.
    fields = {name: vars(value).get(name) for name in type(value).model_fields}
    extra = getattr(value, "__pydantic_extra__", None)
    private = getattr(value, "__pydantic_private__", None)
    return (yield from _parts(b"model", (type(value), fields, extra, private), code))


def _dataclass(value: Any, code: bool) -> Work:
    from dataclasses import fields

    held = {field.name: getattr(value, field.name, EMPTY) for field in fields(value)}
    return (yield from _parts(b"dataclass", (type(value), held), code))


def _object(value: Any, code: bool) -> Work:
    """Any other object: what pickle would store of it."""
    kind = type(value)
    reduce = copyreg.dispatch_table.get(kind)
    stored: Any = value.__reduce_ex__(4) if reduce is None else reduce(value)
    inner = attribute(value, "__wrapped__") if callable(value) else None
    parts: list[Any] = [kind, inner if callable(inner) else None]
    if isinstance(stored, str):
        parts.append(stored)
    else:
        make, args, state, items, pairs = (tuple(stored) + (None,) * 3)[:5]
        parts += [make, args, state, None if items is None else list(items), None if pairs is None else dict(pairs)]
    return (yield from _parts(b"object", parts, code))


def _function(fn: FunctionType, code: bool) -> Work:
    own = is_own_function(fn)
    # The names that functools.wraps may have copied from another function are no use here.
    library = (str(fn.__globals__.get("__name__")).encode(), fn.__code__.co_qualname.encode())
    parts = [code_digest(fn.__code__) if own else join(b"library", library)]
    for label, value in environment(fn) if own else ((f"cell {name}", held) for name, held in cells_of(fn)):
        known = scalar(value)
        parts += [label.encode(), (yield Want(value, True)) if known is None else known]
    return join(b"function", parts)


def environment(fn: FunctionType) -> Iterator[tuple[str, Any]]:
    """What a user's function depends on besides its code, in the order of the code."""
    yield from ((f"cell {name}", held) for name, held in cells_of(fn))
    yield from ((f"default {name}", value) for name, value in defaults_of(fn))
    watched = {*facts(fn.__code__).watched, *fn.__code__.co_freevars}
    for name, value in globals_reached(fn):
        path = name.split(".")
        if path[0] in watched and not path[-1].startswith("__"):
            yield from ((f"global {name}", relevant) for relevant in _relevant(value, fn.__code__))


_CODE = (FunctionType, MethodType, BuiltinFunctionType, partial, type)


def _relevant(value: Any, reader: CodeType) -> list[Any]:
    """What of a global counts: code and constants, but not state. Asks the type only; a proxy may refuse the rest."""
    kind = type(value)
    if _is_constant(value, reader) or issubclass(kind, (*_CODE, ModuleType)) or hasattr(kind, "__graflow_digest__"):
        return [value]
    if kind in (list, tuple):
        return [[member for member in value if issubclass(type(member), _CODE)]]
    if kind in (set, frozenset):
        return [frozenset(member for member in value if issubclass(type(member), _CODE))]
    if kind is dict:
        return [{key: member for key, member in value.items() if issubclass(type(member), _CODE)}]
    inner = attribute(value, "__wrapped__") if callable(value) else None
    return [*([inner] if issubclass(type(inner), _CODE) else []), *([kind] if is_own(kind.__module__) else [])]


_CONSTANT_MODULES = frozenset({"decimal", "fractions", "re"})


def _is_constant(value: Any, reader: CodeType) -> bool:
    """Whether a value cannot change and means the same on every machine."""
    todo = [value]
    while todo:
        part = todo.pop()
        kind = type(part)
        if kind in (tuple, frozenset):
            todo.extend(part)
        elif kind is str or issubclass(kind, PurePath):
            if _is_place(os.fspath(part), reader):
                return False
        elif scalar(part) is None and not (issubclass(kind, (Enum, range)) or kind.__module__ in _CONSTANT_MODULES):
            return False
    return True


def _is_place(text: str, reader: CodeType) -> bool:
    """Whether text names the folder of the code, one above or something inside: where it lies, not what it does."""
    if len(text) < 2 or not os.path.isabs(text):
        return False
    folder = os.path.join(os.path.dirname(os.path.abspath(reader.co_filename)), "")
    return text.startswith(folder) or folder.startswith(os.path.join(text, ""))


_KEPT_DUNDERS = frozenset({"__slots__", "__match_args__"})


def _class(cls: type) -> Work:
    """A class of the user's own: its bases, members and annotations. Its module is no part: a script has several."""
    members: dict[str, Any] = {}
    is_enum = issubclass(cls, Enum)
    cases: dict[str, Enum] = getattr(cls, "__members__", {}) if is_enum else {}
    for name, value in vars(cls).items():
        dunder, code = name.startswith("__"), isinstance(value, (FunctionType, classmethod, staticmethod, property))
        if isinstance(value, (GetSetDescriptorType, MemberDescriptorType)) or name == "_abc_impl":
            continue
        if (dunder and not code and name not in _KEPT_DUNDERS) or (is_enum and (name.startswith("_") and not code)):
            continue
        if name not in cases:
            members[name] = value
    notes = vars(cls).get("__annotations__", {})
    fields = {  # pydantic moves the defaults there
        name: [attribute(field, part) for part in ("default", "default_factory", "alias", "metadata")]
        for name, field in vars(cls).get("__pydantic_fields__", {}).items()
    }
    values = [(name, case.value) for name, case in cases.items()]
    return (yield from _parts(b"class", (cls.__qualname__, cls.__bases__, notes, fields, values, members), True))


def _module(value: ModuleType, code: bool) -> Work:
    yield from ()
    return join(b"module", (value.__name__.encode(),))


def _code_object(value: CodeType, code: bool) -> Work:
    yield from ()
    return code_digest(value)


_Form = Callable[[Any, bool], Work]

_FORMS: dict[type, _Form] = {
    list: lambda value, code: _parts(b"list", value, code),
    tuple: lambda value, code: _parts(b"tuple", value, code),
    set: _set,
    frozenset: _set,
    dict: _dict,
    MappingProxyType: lambda value, code: _parts(b"mapping proxy", (dict(value),), code),
    FunctionType: _function,
    MethodType: _method,
    BuiltinFunctionType: _builtin,
    partial: lambda value, code: _parts(b"partial", (value.func, value.args, value.keywords), True),
    staticmethod: lambda value, code: _parts(b"static", (value.__func__,), True),
    classmethod: lambda value, code: _parts(b"class method", (value.__func__,), True),
    property: lambda value, code: _parts(b"property", (value.fget, value.fset, value.fdel), True),
    ModuleType: _module,
    CodeType: _code_object,
    memoryview: _memory,
}

#: For subclasses, in this order.
_BASES: list[tuple[type, _Form]] = [
    (Enum, _enum),
    (PurePath, _path),
    (dict, _dict_like),
    (set, _set_like),
    (frozenset, _set_like),
]
