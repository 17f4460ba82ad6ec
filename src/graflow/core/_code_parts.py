"""The digest of a callable in parts, each with a name its author knows: what changed, and not only that it did.

A part is a function or a class of the user's own, or a constant of a module. It counts what it holds itself; of the
other parts that it uses it counts the names. So an edit changes the part it is in, and none of those that call it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from graflow.core._code import attribute, captured, cells_of, is_own, is_own_function
from graflow.core._digest import Digester, Memo
from graflow.core._digest_forms import Want, Work, environment
from graflow.core._digest_leaves import code_digest, join, scalar

#: The name of the part that is the callable itself.
ITSELF = "code"

_DIGITS = 16  # tells what changed; whether anything did is for the digest of the whole
_MOST_LAYERS = 32


def code_parts(fn: Callable[..., Any]) -> dict[str, str]:
    """The digests of a callable's parts by name, as 16 hex digits, the nearest first.

    The names are ``code`` for the callable itself, with what a decorator, a partial or a method wraps;
    ``helper strip`` for a function or class of the same module, ``helper clean.strip`` for one of the module ``clean``;
    ``constant RATE`` and ``constant clean.RATE``. Parts that would have the same name are one.

    What counts is what counts for `graflow.core._digest.digest_callable`: where that differs, a part differs here, or
    there is another one. A set's members are not parts: they belong to what holds the set.

    Never raises.
    """
    walk = _Walk(fn)
    digests: dict[str, list[bytes]] = {}
    for part in walk.parts():
        digests.setdefault(part.name, []).append(walk.digest(part))
    return {name: sha256(b"".join(held)).hexdigest()[:_DIGITS] for name, held in digests.items()}


class Unreadable(NamedTuple):
    """Something that code captured and whose content no digest can cover."""

    variable: str
    """For messages: ``closure variable 'conn'``, ``default of 'x'``, ``attribute 'conn'``."""
    part: str
    """The part that holds it, as `code_parts` names it."""
    type: str
    """The full name of its class."""


def unreadable(fn: Callable[..., Any]) -> Unreadable | None:
    """The first thing a callable or its helpers captured whose content cannot be read; None if there is none."""
    walk = _Walk(fn)
    for part in walk.parts():
        opaque: list[str] = []
        walk.digest(part, opaque)
        if opaque:
            for variable, value in _held(part.value):
                found: list[str] = []
                Digester(found, None).digest(value, code=True)
                if found:
                    return Unreadable(variable, part.name, found[0])
            return Unreadable("value", part.name, opaque[0])
    return None


def _held(value: Any) -> Iterator[tuple[str, Any]]:
    """What a part holds, described for messages. Only what counts: a global that is state is no obstacle."""
    if type(value) is not FunctionType:
        for what, held in captured(value):
            if not what.startswith("global "):
                yield what.replace("bound self", "bound object"), held
        return
    words = {"cell": "closure variable", "default": "default of", "global": "global"}
    for label, held in environment(value):
        kind, _, name = label.partition(" ")
        yield f"{words[kind]} {name!r}", held


class _Part(NamedTuple):
    name: str
    value: Any


class _Walk:
    """Finds the parts from the callable outwards, giving each its name when it is first met."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.memo = Memo()  # of digests in which parts count by name: of no use to anybody else
        self.whole = Memo()
        self._names: dict[object, bytes] = {}
        self._taken: dict[str, int] = {}
        self._todo: deque[_Part] = deque()
        layers = list(_layers(fn))
        self.home = _module(layers)
        self._add(id(fn), ITSELF, fn)
        for layer in layers[1:]:
            if type(layer) is FunctionType and is_own_function(layer):
                self._add(id(layer), ITSELF, layer)

    def parts(self) -> Iterator[_Part]:
        """All parts; each must be digested before the next is asked for, since that is how the next is found."""
        while self._todo:
            yield self._todo.popleft()

    def digest(self, part: _Part, opaque: list[str] | None = None) -> bytes:
        return _PartDigester(self, opaque).digest(part.value, code=True)

    def named(self, value: Any) -> bytes | None:
        """What a value counts as in the parts that use it; None if it is no part."""
        kind = type(value)
        if kind is FunctionType:
            known = self._names.get(id(value))
            if known is not None:
                return known
            name = value.__code__.co_name
            # Special methods belong to their class: half of them were written by a decorator, not by the user.
            if not is_own_function(value) or (name.startswith("__") and name.endswith("__")):
                return None
            label = self._label("helper", value.__globals__.get("__name__"), value.__code__.co_qualname)
            return self._add(id(value), label, value)
        if issubclass(kind, type) and is_own(value.__module__):
            label = self._label("helper", value.__module__, value.__qualname__)
            return self._names.get(id(value)) or self._add(id(value), label, value)
        return None

    def named_global(self, reader: FunctionType, name: str, value: Any) -> bytes | None:
        """What a global counts as in a function that reads it; None if its value tells more than its name."""
        *modules, last = name.split(".")
        scope = reader.__globals__
        for k, module in enumerate(modules):
            cell = dict(cells_of(reader)).get(module) if k == 0 else None
            scope = vars(scope.get(module) if cell is None else cell)
        key = id(scope), last
        kind = type(value)
        if kind is FunctionType and value.__code__.co_name == "<lambda>" and is_own_function(value):
            label = self._label("helper", scope.get("__name__"), last)
            return self._names.get(id(value)) or self._add(id(value), label, value)
        if issubclass(kind, (FunctionType, type, ModuleType, BuiltinFunctionType)):
            return None
        word = "helper" if any("__call__" in vars(base) for base in kind.__mro__) else "constant"
        label = self._label(word, scope.get("__name__"), last)
        return self._names.get(key) or self._add(key, label, value)

    def _add(self, key: object, name: str, value: Any) -> bytes:
        taken = self._taken[name] = self._taken.get(name, 0) + 1
        reference = self._names[key] = join(b"part", (name.encode(), b"%d" % taken))
        self._todo.append(_Part(name, value))
        self.memo.kept.append(value)  # an identity means nothing once its object is gone
        return reference

    def _label(self, word: str, module: object, name: str) -> str:
        short = name.replace("<locals>.", "")
        if module == self.home or not isinstance(module, str):
            return f"{word} {short}"
        return f"{word} {module.rpartition('.')[2]}.{short}"


class _PartDigester(Digester):
    """Digests one part: the other parts that it meets count by name."""

    def __init__(self, walk: _Walk, opaque: list[str] | None) -> None:
        super().__init__(opaque, walk.memo)
        self._walk = walk

    def _start(self, want: Want) -> bytes | None:
        if self._frames:  # the first is the part itself
            if want.alone and scalar(want.value) is None:
                # Names are given in the order of meeting, and a set has none.
                return join(b"whole", (Digester(self._opaque, self._walk.whole).digest(want.value, code=want.code),))
            name = self._walk.named(want.value) if want.code else None
            if name is not None:
                return name
        return super()._start(want)

    def _work(self, want: Want) -> Work:
        if type(want.value) is FunctionType and is_own_function(want.value):
            return self._function(want.value)
        return super()._work(want)

    def _function(self, fn: FunctionType) -> Work:
        parts = [code_digest(fn.__code__)]
        for label, value in environment(fn):
            kind, _, name = label.partition(" ")
            known = self._walk.named_global(fn, name, value) if kind == "global" else None
            if known is None:
                known = scalar(value)
            parts += [label.encode(), (yield Want(value, True)) if known is None else known]
        return join(b"function", parts)


def _layers(fn: Any) -> Iterator[Any]:
    """A callable and what it wraps, the outermost first: partials, methods, and what names its ``__wrapped__``."""
    for _ in range(_MOST_LAYERS):
        yield fn
        if isinstance(fn, partial):
            fn = fn.func
        elif isinstance(fn, MethodType):
            fn = fn.__func__
        else:
            inner = None if isinstance(fn, type) else attribute(fn, "__wrapped__")
            if not callable(inner):
                return
            fn = inner


def _module(layers: list[Any]) -> object:
    """The module whose names need no prefix: that of the innermost function of the user's own."""
    own = [fn.__globals__.get("__name__") for fn in layers if type(fn) is FunctionType and is_own_function(fn)]
    return own[-1] if own else attribute(layers[-1], "__module__")
