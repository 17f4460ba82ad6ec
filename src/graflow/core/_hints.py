"""What the annotations of a callable say about the edges of a workflow.

Reading is all this file does; its neighbours compare (`incompatible`) and follow (`project`) what was read.
"""

from __future__ import annotations

import functools
import re
import sys
import types
import typing
import weakref
from collections import abc
from typing import Any, NamedTuple, get_args, get_origin

from graflow.core._forms import bare, describe, either, item_of, resolve, type_parameters
from graflow.core._project import NoSuchProjection, project
from graflow.core._subtyping import incompatible

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["Hints", "NoSuchProjection", "describe", "hints_of", "incompatible", "item_of", "project"]

_VARARGS, _VARKWARGS, _ASYNC = 0x04, 0x08, 0x80 | 0x100  # flags of `inspect`, which is slow to load
_WORD = re.compile(r"\w+")


class Hints(NamedTuple):
    """What the annotations of a callable say."""

    params: dict[str, Any]
    """The type of each parameter, ``Any`` where unknown; of ``*args`` and ``**kwargs``, the type of one of them."""
    result: Any
    """The type of the value a run gets: what ``async def`` and an annotated awaitable give when awaited."""
    unresolved: tuple[tuple[str, str], ...]
    """The parameters (or ``"return"``) whose annotation could not be resolved, each with the reason."""


class _Known(NamedTuple):
    """The hints of one function, and what another with the same code must have in common with it to share them."""

    code: weakref.ref[types.CodeType]
    annotations: dict[str, Any]
    module: int
    """The identity of its globals: a reference would keep the code, and so this entry, alive."""
    optional: tuple[str, ...]
    missing: tuple[str, ...]
    """Names that no annotation could resolve so far."""
    hints: Hints


_known: dict[int, _Known] = {}
"""By identity of the code: its hash and equality walk all its constants, and call equal what differs by file."""


def hints_of(fn: Callable[..., Any]) -> Hints:
    """What the annotations of a callable say.

    A bad annotation never raises: its own type is unknown, and ``unresolved`` says why.
    Functions made from one piece of code share one answer, unless it depends on their closures.
    """
    if type(fn) is not types.FunctionType or hasattr(fn, "__wrapped__") or hasattr(fn, "__signature__"):
        return _of_callable(fn)
    known = _known.get(id(fn.__code__))
    return known.hints if known is not None and _shares(known, fn) else _of_function(fn)


def _shares(known: _Known, fn: types.FunctionType) -> bool:
    if known.code() is not fn.__code__ or known.module != id(fn.__globals__):
        return False
    if (fn.__defaults__ or fn.__kwdefaults__ or known.optional) and known.optional != _optional(fn):
        return False
    if known.missing and any(name in fn.__globals__ for name in known.missing):
        return False
    try:
        return known.annotations == fn.__annotations__
    except Exception:  # noqa: BLE001 - what stands in Annotated compares as it likes: an array raises
        return False


def _of_function(fn: types.FunctionType) -> Hints:
    code = fn.__code__
    extras = bool(code.co_flags & _VARARGS) + bool(code.co_flags & _VARKWARGS)
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + extras]
    optional = _optional(fn)
    annotations = dict(fn.__annotations__)
    raw = {name: annotations.get(name, Any) for name in (*names, "return")}
    hints, failed = _read(raw, fn.__globals__, _cells(fn), optional, is_async=bool(code.co_flags & _ASYNC))
    missing = [error.name for error in failed if isinstance(error, NameError) and error.name]
    evaluated = raw == {**hints.params, "return": hints.result}
    words = set(_WORD.findall(repr(annotations))) if code.co_freevars and not evaluated else set()
    if len(missing) == len(failed) and words.isdisjoint(code.co_freevars):
        key = id(code)
        reference = weakref.ref(code, lambda _: _known.pop(key, None))
        _known[key] = _Known(reference, annotations, id(fn.__globals__), optional, tuple(missing), hints)
    return hints


def _optional(fn: types.FunctionType) -> tuple[str, ...]:
    """The parameters that are None by default, and so may be None whatever their annotation says."""
    positional, keyword = fn.__defaults__ or (), fn.__kwdefaults__ or {}
    if not [True for default in (*positional, *keyword.values()) if default is None]:
        return ()
    code = fn.__code__
    names = code.co_varnames[code.co_argcount - len(positional) : code.co_argcount]
    pairs = (*zip(names, positional, strict=True), *keyword.items())
    return tuple([name for name, default in pairs if default is None])


def _cells(fn: types.FunctionType) -> dict[str, Any]:
    """The names an annotation may use besides those of the module: the closure's and the type parameters."""
    names = type_parameters(fn)
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not assigned yet: as good as not there
            continue
    return names


def _read(
    raw: Mapping[str, Any],
    globalns: dict[str, Any],
    localns: Mapping[str, Any],
    optional: Collection[str],
    *,
    is_async: bool,
) -> tuple[Hints, list[Exception]]:
    """Resolves annotations so that one that fails spoils no other; also gives what was raised."""
    failed: dict[str, Exception] = {}
    try:
        read = resolve(raw, globalns, localns)
    except Exception:  # noqa: BLE001 - evaluating an annotation may raise anything
        read = dict.fromkeys(raw, Any)
        for name, annotation in raw.items():
            try:
                read |= resolve({name: annotation}, globalns, localns)
            except Exception as error:  # noqa: BLE001 - as above; this one is told
                failed[name] = error
    for name in optional:
        read[name] = Any if read[name] is Any else either((read[name], None))
    result = read.pop("return")
    unresolved = tuple((name, f"{type(error).__name__}: {error}") for name, error in failed.items())
    return Hints(read, result if is_async else _awaited(result), unresolved), list(failed.values())


def _awaited(result: Any) -> Any:
    """What a task that returns this gives: the runner awaits coroutines."""
    kind = bare(result)
    if kind in (abc.Coroutine, abc.Awaitable):
        return Any
    return get_args(kind)[-1] if get_origin(kind) in (abc.Coroutine, abc.Awaitable) else result


def _of_callable(fn: Any) -> Hints:
    """The slow way, for all that is no plain function; ``inspect.signature`` knows their parameters."""
    import inspect

    called = fn
    while isinstance(called, functools.partial):
        called = called.func
    makes = called if isinstance(get_origin(called) or called, type) else None
    try:
        signature = inspect.signature(fn)
    except Exception:  # noqa: BLE001 - a builtin does not say, a metaclass may answer as it likes
        return Hints({}, makes or Any, ())
    owner = _owner(called)
    raw = {name: Any if p.annotation is p.empty else p.annotation for name, p in signature.parameters.items()}
    optional = [name for name, parameter in signature.parameters.items() if parameter.default is None]
    returned = Any if signature.return_annotation is signature.empty else signature.return_annotation
    module = vars(sys.modules.get(getattr(makes, "__module__", ""), types.ModuleType("none")))
    globalns = {**owner.__globals__, **module} if owner else module
    is_async = owner is not None and bool(owner.__code__.co_flags & _ASYNC)
    raw["return"] = Any if makes else returned
    hints, _ = _read(raw, globalns, _cells(owner) if owner else {}, optional, is_async=is_async)
    if makes is not None:
        return hints._replace(result=makes)
    if hints.result is typing.Self and isinstance(called, types.MethodType):
        bound = called.__self__
        return hints._replace(result=bound if isinstance(bound, type) else type(bound))
    return hints


def _owner(callable_: Any) -> types.FunctionType | None:
    """The function whose module and closure give the annotations of a callable their meaning."""
    import inspect

    fn: Any = callable_
    for _ in range(32):  # a wrapper may wrap a method of a partial; one that wraps itself has no owner
        if hasattr(fn, "__wrapped__"):
            fn = getattr(fn, "__wrapped__")  # noqa: B009 - pyright knows no function that has it
        elif isinstance(fn, types.FunctionType):
            return fn
        elif isinstance(fn, types.MethodType):
            fn = fn.__func__
        elif isinstance(fn, functools.partial):
            fn = fn.func
        elif isinstance(fn, type):
            makers = [name for base in fn.__mro__ for name in ("__init__", "__new__") if name in vars(base)]
            fn = getattr(fn, makers[0])
        else:
            fn = inspect.getattr_static(type(fn), "__call__", None)
            if not isinstance(fn, types.FunctionType):
                return None
    return None
