"""What is known about a task's callable: its parameters, where it was defined, what it captured then.

A `Shape` is worked out once per code object, so that ten thousand functions made by one factory share one.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from graflow.core._capture import snapshot
from graflow.errors import InvalidTaskError, WiringError

if TYPE_CHECKING:
    from graflow.core._capture import Snapshot
    from graflow.core._hints import Hints


class _Unbound:
    """The mark of a parameter that has no input yet."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNBOUND"

    def __reduce__(self) -> str:
        return "UNBOUND"


UNBOUND: Final = _Unbound()

#: On a function made by `Workflow.as_task`: the workflow it stands for.
NESTED_ATTRIBUTE: Final = "__graflow_workflow__"

#: Inputs for ``*args`` and ``**kwargs``: positional surplus, then (name, value) pairs in order of name.
Extra = tuple[tuple[Any, ...], tuple[tuple[str, Any], ...]]

_VARARGS, _VARKEYWORDS, _GENERATOR, _COROUTINE, _ITERABLE_COROUTINE, _ASYNC_GENERATOR = 4, 8, 0x20, 0x80, 0x100, 0x200


class Shape:
    """The parameters of a callable, as indexes into a task's tuple of inputs.

    Attributes:
        names: the named parameters, keyword-only ones last.
        positional: how many of them may be given by position.
        positional_only: how many of them may not be given by name.
        required: the indexes of those without a default.
        feedable: the indexes that ``>>`` fills: required and positional.
        varargs: name of ``*args``, or None.
        varkw: name of ``**kwargs``, or None.
        blank: the inputs of a task nothing is bound to.
    """

    __slots__ = ("blank", "feedable", "index", "names", "positional", "positional_only", "required", "varargs", "varkw")

    def __init__(
        self,
        names: tuple[str, ...],
        positional: int,
        positional_only: int,
        required: tuple[int, ...],
        varargs: str | None,
        varkw: str | None,
    ) -> None:
        self.names = names
        self.positional = positional
        self.positional_only = positional_only
        self.required = required
        self.feedable = tuple(k for k in required if k < positional)
        self.varargs = varargs
        self.varkw = varkw
        self.blank: tuple[Any, ...] = (UNBOUND,) * len(names)
        self.index: dict[str, int] = {name: k for k, name in enumerate(names)}

    def bind(
        self, owner: str, bound: tuple[Any, ...], extra: Extra | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], Extra | None]:
        """Add inputs to those of a task: positional ones fill what is unbound, in order.

        Raises:
            WiringError: too many inputs, an unknown name, or a parameter that has an input already.
        """
        values = list(bound)
        surplus = list(extra[0]) if extra else []
        named = dict(extra[1]) if extra else {}
        free = [k for k in range(self.positional) if values[k] is UNBOUND]
        for k, value in zip(free, args, strict=False):
            values[k] = value
        if len(args) > len(free):
            if self.varargs is None:
                if len(free) < sum(1 for k in range(self.positional)) and not free:
                    raise WiringError(
                        f"every input of task {owner!r} is bound already, so it takes no more; bind it once"
                    )
                given = f"{len(args)} {'was' if len(args) == 1 else 'were'} given"
                raise WiringError(f"task {owner!r} takes {self._count(len(free))} by position, but {given}")
            surplus.extend(args[len(free) :])
        for name, value in kwargs.items():
            k = self.index.get(name, -1)
            if k >= self.positional_only:
                if values[k] is not UNBOUND:
                    raise WiringError(f"parameter {name!r} of task {owner!r} has an input already; bind it once")
                values[k] = value
            elif self.varkw is None:
                raise WiringError(f"task {owner!r} has no parameter {name!r}; {self._hint(name)}")
            elif name in named:
                raise WiringError(f"parameter {name!r} of task {owner!r} has an input already; bind it once")
            else:
                named[name] = value
        more = (tuple(surplus), tuple(sorted(named.items()))) if surplus or named else None
        return tuple(values), more

    def parameter(self, k: int) -> str:
        """The name of an input, for messages; indexes past the named parameters belong to ``*args``."""
        return self.names[k] if k < len(self.names) else f"*{self.varargs}"

    def _count(self, n: int) -> str:
        return {0: "no inputs", 1: "1 input"}.get(n, f"{n} inputs")

    def _hint(self, name: str) -> str:
        from difflib import get_close_matches

        close = get_close_matches(name, self.names, n=1)
        if close and self.index[close[0]] < self.positional_only:
            return f"{close[0]!r} is positional-only, give it by position"
        return f"did you mean {close[0]!r}?" if close else f"it has {', '.join(self.names) or 'no parameters'}"


class Definition:
    """A callable and what is known of it; shared by all tasks that were made from one definition.

    Attributes:
        fn: the callable.
        shape: its parameters.
        snapshot: what it captured when the task was defined, or None if it captures nothing.
        is_async: calling it gives a coroutine, which the runner awaits.
    """

    __slots__ = ("_hints", "fn", "is_async", "shape", "snapshot")

    def __init__(self, fn: Callable[..., Any]) -> None:
        self._hints: Hints | None = None
        self.fn = fn
        self.shape: Shape = shape_of(fn)
        self.snapshot: Snapshot | None = snapshot(fn)
        self.is_async: bool = bool(_flags(fn) & (_COROUTINE | _ITERABLE_COROUTINE))

    @property
    def hints(self) -> Hints:
        """The resolved annotations; looked up when a workflow is built, not before."""
        if self._hints is None:
            from graflow.core._hints import Hints, hints_of

            known = getattr(type(self.fn), "__graflow_result__", None)
            self._hints = hints_of(self.fn) if known is None else Hints({}, known.__get__(self.fn), ())
        return self._hints

    def __reduce__(self) -> tuple[Any, ...]:
        return Definition, (self.fn,)

    @property
    def site(self) -> str:
        """Where it was defined, as ``file:line``, as far as Python knows."""
        nested = getattr(self.fn, NESTED_ATTRIBUTE, None)
        if nested is not None:
            return f"workflow {nested.name!r}"
        code = code_of(self.fn)
        if code is not None:
            return f"{code.co_filename}:{code.co_firstlineno}"
        kind = self.fn if isinstance(self.fn, type) else type(self.fn)
        return f"{kind.__module__}.{kind.__qualname__}"


_SHAPES: dict[int, tuple[types.CodeType, int, tuple[str, ...], Shape]] = {}


def shape_of(fn: Callable[..., Any]) -> Shape:
    """The parameters of a callable; cached for plain functions, by code object."""
    if type(fn) is not types.FunctionType or fn.__dict__:
        return _inspected(fn)
    code = fn.__code__
    defaults = len(fn.__defaults__) if fn.__defaults__ else 0
    keywords = tuple(fn.__kwdefaults__) if fn.__kwdefaults__ else ()
    known = _SHAPES.get(id(code))
    if known is not None and known[0] is code and known[1] == defaults and known[2] == keywords:
        return known[3]
    positional, keyword_only = code.co_argcount, code.co_kwonlyargcount
    names = code.co_varnames
    named = positional + keyword_only
    required = tuple(range(positional - defaults)) + tuple(
        k for k in range(positional, named) if names[k] not in keywords
    )
    has_varargs = bool(code.co_flags & _VARARGS)
    shape = Shape(
        names[:named],
        positional,
        code.co_posonlyargcount,
        required,
        names[named] if has_varargs else None,
        names[named + has_varargs] if code.co_flags & _VARKEYWORDS else None,
    )
    # The entry holds the code object, so its id cannot be given to another one.
    _SHAPES[id(code)] = (code, defaults, keywords, shape)
    return shape


def _inspected(fn: Callable[..., Any]) -> Shape:
    import inspect

    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (ValueError, TypeError):  # some builtins do not tell their signature: take whatever comes
        return Shape((), 0, 0, (), "args", "kwargs")
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    named = by_position + [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    varargs = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]
    varkw = [p.name for p in parameters if p.kind is p.VAR_KEYWORD]
    return Shape(
        tuple(p.name for p in named),
        len(by_position),
        sum(p.kind is p.POSITIONAL_ONLY for p in by_position),
        tuple(k for k, p in enumerate(named) if p.default is p.empty),
        varargs[0] if varargs else None,
        varkw[0] if varkw else None,
    )


def code_of(fn: Any) -> types.CodeType | None:
    """The code object behind a callable, looking through partials, methods and callable objects."""
    for _ in range(100):  # a partial of a partial ...; the bound guards against an object that is its own `func`
        if isinstance(fn, types.FunctionType):
            return fn.__code__
        if isinstance(fn, partial):
            fn = fn.func
        elif isinstance(fn, types.MethodType):
            fn = fn.__func__
        elif not isinstance(fn, type) and isinstance(call := _call_of(type(fn)), types.FunctionType):
            fn = call
        else:
            return None
    return None


def _call_of(cls: type) -> Any:
    return next((vars(base)["__call__"] for base in cls.__mro__ if "__call__" in vars(base)), None)


def _flags(fn: Any) -> int:
    code = code_of(fn)
    return code.co_flags if code is not None else 0


def check_callable(fn: Any) -> None:
    """Refuse what cannot be a task.

    Raises:
        InvalidTaskError: with the reason and the cure.
    """
    name = getattr(fn, "__qualname__", None) or repr(fn)
    if isinstance(fn, classmethod | staticmethod):
        kind = type(fn).__name__
        wrapped = fn.__func__.__qualname__
        cure = (
            "put @staticmethod above @task"
            if kind == "staticmethod"
            else "make it a plain function, or a method and pass the object"
        )
        raise InvalidTaskError(f"{wrapped!r} is a {kind} object, which cannot be a task; {cure}")
    if not callable(fn):
        raise InvalidTaskError(f"{fn!r} is not callable, so it cannot be a task; pass a function")
    if _flags(fn) & (_GENERATOR | _ASYNC_GENERATOR):
        raise InvalidTaskError(
            f"{name!r} is a generator function, so its result would be a generator that nobody has run yet; "
            f"return a list instead"
        )
