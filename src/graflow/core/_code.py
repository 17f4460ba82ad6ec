"""What a callable is made of: the functions in it, the variables its code reads, the values it holds.

The other modules of this package ask here instead of looking into code objects themselves.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from types import (
    CellType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, Final, NamedTuple, TypeVar
from weakref import ref

T = TypeVar("T")


class _Mark:
    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


#: A closure variable without a value: not assigned yet, or deleted.
EMPTY: Final = _Mark("EMPTY")
#: A global without a value: not assigned yet, or deleted.
MISSING: Final = _Mark("MISSING")

#: Values that hold nothing.
ATOMS: Final = frozenset({int, float, complex, bool, str, bytes, bytearray, type(None), type(Ellipsis), _Mark})

#: Callables that hold a function: found in a closure, they are looked into.
LAYERS: Final = frozenset({FunctionType, MethodType, partial})

_OURS = __name__.partition(".")[0]
_OUR_FOLDER = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
_STDLIB_FOLDER = os.path.join(os.path.dirname(os.__file__), "")
_LIBRARY_FOLDERS = frozenset({"site-packages", "dist-packages"})
_MOST_LAYERS = 32
_MOST_VISITED = 10_000


def per_code(make: Callable[[CodeType], T]) -> Callable[[CodeType], T]:
    """Remember the answer of ``make`` for each code object, as long as that object lives.

    Keyed by identity: a code object can be hashed and compared, but by content, which costs more than most answers.
    A weak reference drops the entry before the identity can be given to another object.
    """
    known: dict[int, tuple[ref[CodeType], T]] = {}

    def look_up(code: CodeType) -> T:
        entry = known.get(id(code))
        if entry is not None:
            return entry[1]
        answer, key = make(code), id(code)
        known[key] = (ref(code, lambda _: known.pop(key, None)), answer)
        return answer

    return look_up


class Facts(NamedTuple):
    """What a code object says about itself and the code nested in it.

    Attributes:
        reads: the globals it reads, in order of first use.
        watched: those whose later change would surprise: not assigned by the code itself, no dunder names, and none
            where the code belongs to a library, whose own globals are its own business.
        cells: the index and name of the closure variables it does not assign itself.
        attributes: the names it may use as attributes (and, harmlessly, all others it knows).
        assigned_globals: the globals it assigns or deletes.
        assigned_cells: the closure variables it assigns or deletes.
    """

    reads: tuple[str, ...]
    watched: tuple[str, ...]
    cells: tuple[tuple[int, str], ...]
    attributes: frozenset[str]
    assigned_globals: frozenset[str]
    assigned_cells: frozenset[str]


_READS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_ASSIGNS_GLOBAL = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})
_ASSIGNS_CELL = frozenset({"STORE_DEREF", "DELETE_DEREF"})


@per_code
def facts(code: CodeType) -> Facts:
    """Read a code object, once."""
    read: dict[str, None] = {}
    stored_globals: set[str] = set()
    stored_cells: set[str] = set()
    if code.co_names or code.co_freevars:
        import dis  # costs several times this module, and code without names does without

        for instruction in dis.get_instructions(code):
            if instruction.opname in _READS:
                read[instruction.argval] = None
            elif instruction.opname in _ASSIGNS_GLOBAL:
                stored_globals.add(instruction.argval)
            elif instruction.opname in _ASSIGNS_CELL:
                stored_cells.add(instruction.argval)
    attributes = set(code.co_names)
    for inner in nested_code(code):
        known = facts(inner)
        read.update(dict.fromkeys(known.reads))
        stored_globals |= known.assigned_globals
        stored_cells |= known.assigned_cells
        attributes |= known.attributes
    stored_cells &= set(code.co_freevars)  # the others are variables of this code, made anew by each call
    theirs = _in_library(code.co_filename)
    return Facts(
        reads=tuple(read),
        watched=() if theirs else tuple(n for n in read if n not in stored_globals and not n.startswith("__")),
        cells=tuple((k, name) for k, name in enumerate(code.co_freevars) if name not in stored_cells),
        attributes=frozenset(attributes),
        assigned_globals=frozenset(stored_globals),
        assigned_cells=frozenset(stored_cells),
    )


def nested_code(code: CodeType) -> list[CodeType]:
    """The code of the functions, classes and comprehensions written inside."""
    return [const for const in code.co_consts if isinstance(const, CodeType)]


def reads(code: CodeType) -> tuple[str, ...]:
    """The names of the globals that the code reads, nested code included, in order of first use."""
    return facts(code).reads


@lru_cache(maxsize=4096)
def _in_library(file: str) -> bool:
    installed = not _LIBRARY_FOLDERS.isdisjoint(file.replace("\\", "/").split("/"))
    return installed or file.startswith(("<frozen ", _STDLIB_FOLDER, _OUR_FOLDER))


def is_own(module: object) -> bool:
    """Whether a module, given by name, is the user's own: neither the standard library's, nor installed, nor ours."""
    # A function of a script still says "__main__" on the worker that received it, whatever that is over there.
    if module in (None, "__main__", "__mp_main__"):
        return True
    if not isinstance(module, str):  # some classes written in C answer with a descriptor
        return False
    top = module.partition(".")[0]
    if top == _OURS or top in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    return not (isinstance(file, str) and _in_library(file))


def is_own_function(fn: FunctionType) -> bool:
    """Whether a function was written by the user; ``__module__`` is no witness, for ``functools.wraps`` copies it."""
    return is_own(fn.__globals__.get("__name__"))


def content(cell: CellType) -> Any:
    """What a closure variable holds now, or `EMPTY`."""
    try:
        return cell.cell_contents
    except ValueError:
        return EMPTY


def cells_of(fn: FunctionType) -> list[tuple[str, Any]]:
    """The closure variables of a function, by name, with what they hold now or `EMPTY`."""
    return [(name, content(cell)) for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True)]


def defaults_of(fn: FunctionType) -> list[tuple[str, Any]]:
    """The parameters that have a default, by name, with that default."""
    values = fn.__defaults__ or ()
    names = fn.__code__.co_varnames[: fn.__code__.co_argcount]
    return [*zip(names[len(names) - len(values) :], values, strict=False), *(fn.__kwdefaults__ or {}).items()]


def functions_in(fn: object) -> list[FunctionType]:
    """The plain functions a callable is made of, the outermost first.

    Looks through partials, bound methods, callable objects, ``__wrapped__`` and functions held in closures, which is
    how a decorator without ``functools.wraps`` holds the function it decorates.
    """
    found: list[FunctionType] = []
    met: list[object] = []
    todo: deque[object] = deque([fn])
    while todo and len(met) < _MOST_LAYERS:
        layer = todo.popleft()
        if any(layer is other for other in met):
            continue
        met.append(layer)
        if isinstance(layer, FunctionType):
            found.append(layer)
            todo.extend(held for _, held in cells_of(layer) if type(held) in LAYERS)
            todo.extend(_wrapped(layer))
        elif isinstance(layer, partial):
            todo.append(layer.func)
        elif isinstance(layer, (MethodType, staticmethod)):
            todo.append(layer.__func__)
        elif not isinstance(layer, type):
            todo.extend([*_wrapped(layer), *_call_of(layer)])
    return found


def _wrapped(layer: object) -> list[object]:
    inner = attribute(layer, "__wrapped__")
    return [inner] if callable(inner) else []


def _call_of(value: object) -> list[FunctionType]:
    call = next((vars(kind)["__call__"] for kind in type(value).__mro__ if "__call__" in vars(kind)), None)
    return [call] if isinstance(call, FunctionType) else []


def attribute(value: object, name: str) -> Any:
    """An attribute of anything, or None."""
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - a proxy or a property of the user's may raise anything
        return None


def attributes_of(value: object) -> Iterator[tuple[str, Any]]:
    """The attributes an object stores itself, in its ``__dict__`` and its slots, by name."""
    own = attribute(value, "__dict__")
    if isinstance(own, dict):
        yield from list(own.items())
    for kind in type(value).__mro__:
        if kind.__module__ == "builtins":
            continue
        for name, member in list(kind.__dict__.items()):
            if isinstance(member, MemberDescriptorType):
                try:
                    held = member.__get__(value, kind)
                except AttributeError:  # a slot that was never filled
                    continue
                yield name, held


def globals_reached(fn: FunctionType) -> Iterator[tuple[str, Any]]:
    """The globals that a function's code reads, builtins left out, with their values now.

    Where a module of the user's own is read (as a global or a closure variable), the attributes of it that the code
    may use follow as ``module.attribute``.
    """
    known, scope = facts(fn.__code__), fn.__globals__
    todo = deque((name, scope[name], True) for name in known.reads if name in scope)
    todo.extend((name, held, False) for name, held in cells_of(fn) if issubclass(type(held), ModuleType))
    met: set[int] = set()
    while todo:
        name, value, is_global = todo.popleft()
        if is_global:
            yield name, value
        if issubclass(type(value), ModuleType) and id(value) not in met and is_own(value.__name__):
            met.add(id(value))
            members = vars(value)
            todo.extend((f"{name}.{k}", members[k], True) for k in sorted(known.attributes & members.keys()))


def captured(fn: object) -> Iterator[tuple[str, Any]]:
    """What a callable holds now, as pairs of a description and the value.

    The descriptions are written for messages: ``closure variable 'conn'``, ``default of 'x'``, ``global 'data'``,
    ``argument 0 of partial``, ``argument 'x' of partial``, ``bound self``, ``attribute 'cache'``.
    """
    if isinstance(fn, FunctionType):
        yield from ((f"closure variable {name!r}", held) for name, held in cells_of(fn) if held is not EMPTY)
        yield from ((f"default of {name!r}", value) for name, value in defaults_of(fn))
        yield from ((f"attribute {name!r}", value) for name, value in list(fn.__dict__.items()))
        scope = fn.__globals__
        yield from ((f"global {name!r}", scope[name]) for name in reads(fn.__code__) if name in scope)
    elif isinstance(fn, partial):
        yield from ((f"argument {k} of partial", value) for k, value in enumerate(fn.args))
        yield from ((f"argument {name!r} of partial", value) for name, value in fn.keywords.items())
        yield from captured(fn.func)
    elif isinstance(fn, MethodType):
        yield "bound self", fn.__self__
        yield from captured(fn.__func__)
    elif isinstance(fn, staticmethod):
        yield from captured(fn.__func__)
    elif not isinstance(fn, type):
        yield from ((f"attribute {name!r}", value) for name, value in attributes_of(fn))
        for call in _call_of(fn):
            yield from captured(call)


def holds(fn: object, predicate: Callable[[Any], bool], *, clean: dict[int, Any] | None = None) -> bool:
    """Whether a callable holds, through whatever it captures, an object that satisfies the predicate.

    Looks into functions, partials, bound objects, builtin containers, the attributes of objects and the user's own
    classes. Of a library's function it looks at what it was given, not at the globals it reads; our own objects and
    modules are not opened.

    Args:
        fn: a callable.
        predicate: is asked about everything found, except numbers, text and the like.
        clean: what earlier calls with the same predicate found to hold nothing; kept up to date, and not opened
            again. It holds the objects, so their identities stay theirs; drop it when a mutable one may have changed.

    Returns:
        True also where more than 10,000 objects would have to be looked at: the safe side.
    """
    clean = {} if clean is None else clean
    met: dict[int, Any] = {}
    todo: list[Any] = [fn]
    while todo:
        value = todo.pop()
        key = id(value)
        if type(value) in ATOMS or key in met or key in clean:
            continue
        if predicate(value) or len(met) == _MOST_VISITED:
            return True
        met[key] = value
        todo.extend(inner for inner in _inside(value) if type(inner) not in ATOMS)
    clean.update(met)
    return False


def _inside(value: Any) -> Iterator[Any]:
    kind = type(value)  # isinstance would ask the value, and a proxy may refuse
    if issubclass(kind, FunctionType):
        yield from (held for _, held in [*cells_of(value), *defaults_of(value), *value.__dict__.items()])
        if is_own_function(value):
            yield from (held for _, held in globals_reached(value))
    elif issubclass(kind, (dict, MappingProxyType)):
        yield from list(value.keys())
        yield from list(value.values())
    elif issubclass(kind, (list, tuple, set, frozenset, deque)):
        yield from list(value)
    elif issubclass(kind, (staticmethod, classmethod)):
        yield value.__func__
    elif issubclass(kind, property):
        yield from (value.fget, value.fset, value.fdel)
    elif issubclass(kind, type):
        if is_own(value.__module__):
            yield from [*vars(value).values(), *value.__bases__]
    elif issubclass(kind, partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif issubclass(kind, MethodType):
        yield from (value.__func__, value.__self__)
    if not issubclass(kind, (FunctionType, type, ModuleType)) and str(kind.__module__).partition(".")[0] != _OURS:
        yield from (held for _, held in attributes_of(value))
        if is_own(kind.__module__):
            yield kind
