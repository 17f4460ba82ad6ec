"""Whether values of one type certainly cannot be used as another.

The rules:

1. A type is the set of values it stands for at run time.
   A source is wrong if some of its values are certainly none of the target's: ``str`` for ``int``,
   ``int | None`` for ``int``, ``Animal`` for ``Dog``, ``str`` for ``Literal["a"]``.
2. PEP 484's promotions hold: an ``int`` is a ``float``, and a ``float`` is a ``complex``.
3. What cannot be known is let through: ``Any``, type variables, a bare ``list``, protocols that cannot be asked.
4. So is what type checkers refuse although it may go well at run time: a ``list[bool]`` for a ``list[int]``
   (the consumer may only read it), an ``int`` for a ``NewType`` of it (the values are the same), a ``dict`` for a
   ``TypedDict`` (its keys are unknown).

Why no library decides this: docs/decisions/subtyping.md.
"""

from __future__ import annotations

import enum
import itertools
import types
import typing
from collections import abc
from typing import Any, Literal, Never, get_args, get_origin

from graflow.core._forms import (
    STANDARD,
    bare,
    is_a,
    is_one,
    is_typed_dict,
    is_union,
    parts,
    seen_as,
    typed_dict_fields,
    variables_of,
)

if typing.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PROMOTIONS: dict[Any, tuple[type, ...]] = {
    float: (int,),
    complex: (int, float),
    bytes: (bytearray, memoryview),  # no longer in the type system, but it works
}
_SENT = {abc.Generator: 1, abc.Coroutine: 1, abc.AsyncGenerator: 1}
"""The argument that goes into the object, not out of it."""
_NOT_ASKED_FOR = frozenset({"__init__", "__new__", "__subclasshook__", "__class_getitem__"})
_DEEPEST = 50
_MOST_ALTERNATIVES = 256


def incompatible(source: Any, target: Any) -> bool:
    """Whether a value of the source type certainly cannot be used where the target type is asked for.

    Args:
        source: The hint of the value that is given.
        target: The hint of the parameter that takes it.

    Returns:
        True if that is certainly wrong; False if it is right, and also if it cannot be known.
    """
    if source is target or target is Any or source is Any or target is object:
        return False
    if type(target) is type and isinstance(source, type):  # two classes, neither ABC nor protocol nor TypedDict
        return not _is_kind_of(source, target)
    try:
        return bool(source != target) and Comparison().wrong(source, target)
    except Exception:  # noqa: BLE001 - a metaclass may answer questions as it likes; what cannot be asked is unknown
        return False


def _is_kind_of(source: type, target: Any) -> bool:
    """Whether instances of one class can be used as instances of the other, as far as is known."""
    try:
        if issubclass(source, target):
            return True
    except Exception:  # noqa: BLE001 - the target's metaclass may answer as it likes: then it is unknown
        return True
    if issubclass(source, _PROMOTIONS.get(target, ())):
        return True
    if target is abc.Iterable and hasattr(source, "__getitem__"):  # iter() still takes the old protocol
        return True
    return Any in source.__mro__  # a class that derives from Any may be anything


class Comparison:
    """One question and the questions it leads to; remembers them, so that recursive aliases come to an end."""

    def __init__(self) -> None:
        self._answers: dict[Any, bool] = {}
        self._depth = 0

    def wrong(self, source: Any, target: Any) -> bool:
        """As `incompatible`; a question that leads back to itself finds nothing wrong there."""
        source, target = bare(source), bare(target)
        if source is Any or target is Any or target is object or source is Never or self._depth > _DEEPEST:
            return False
        if target is Never:
            return True
        question = (source, target)
        try:
            known = self._answers.get(question)
        except TypeError:  # unhashable: what stands in Annotated deep inside may be anything
            return self._compare(source, target)
        if known is None:
            self._answers[question] = False
            known = self._answers[question] = self._compare(source, target)
        return known

    def _compare(self, source: Any, target: Any) -> bool:
        self._depth += 1
        try:
            if is_union(source):
                return any(self.wrong(member, target) for member in get_args(source))
            if is_union(target):
                return self._wrong_for_all(source, get_args(target))
            if get_origin(target) is Literal:
                return _is_other_value(source, get_args(target))
            if get_origin(source) is Literal:
                return any(self.wrong(type(value), target) for value in get_args(source))
            return self._classes(source, target)
        finally:
            self._depth -= 1

    def _wrong_for_all(self, source: Any, targets: tuple[Any, ...]) -> bool:
        if not all(self.wrong(source, target) for target in targets):
            return False
        # bool is Literal[True] | Literal[False]: no member needs to take all of it
        found = list(itertools.islice(_alternatives(source), _MOST_ALTERNATIVES + 1))
        if len(found) > _MOST_ALTERNATIVES:
            return False
        return found == [source] or any(all(self.wrong(one, target) for target in targets) for one in found)

    def _classes(self, source: Any, target: Any) -> bool:
        kind, args = parts(source)
        wanted, wanted_args = parts(target)
        if is_typed_dict(wanted):
            return self._typed_dicts(source, target)
        if getattr(wanted, "_is_protocol", False):
            return _lacks_method(kind, wanted)
        if wanted is abc.Callable:
            return self._callables(kind, args, wanted_args)
        if kind is type and args:
            if wanted is type:
                return wanted_args is not None and self.wrong(args[0], wanted_args[0])
            kind = type(args[0]) if isinstance(args[0], type) else type  # an enum class is iterable
        if not _is_kind_of(kind, wanted):
            return True
        if wanted_args is None or wanted is type:
            return False
        if wanted is tuple:
            return self._tuples(seen_as(source, tuple), wanted_args)
        found = seen_as(source, wanted)
        if found is None or len(found) != len(wanted_args):
            return False
        return any(self._argument(wanted, i, *pair) for i, pair in enumerate(zip(found, wanted_args, strict=True)))

    def _argument(self, cls: Any, i: int, source: Any, target: Any) -> bool:
        """Whether one type argument is wrong, by the variance its class declares."""
        if cls.__module__ in STANDARD:
            return self.wrong(target, source) if _SENT.get(cls) == i else self.wrong(source, target)
        variables = variables_of(cls)
        variable = variables[i] if i < len(variables) else None
        if hasattr(cls, "model_fields") or getattr(variable, "__covariant__", False):  # a model only holds values
            return self.wrong(source, target)
        if getattr(variable, "__contravariant__", False):
            return self.wrong(target, source)
        return self._strangers(source, target)  # it may go in or out: refuse what fits neither way

    def _strangers(self, one: Any, other: Any) -> bool:
        return self.wrong(one, other) and self.wrong(other, one)

    def _tuples(self, source: tuple[Any, ...] | None, target: tuple[Any, ...]) -> bool:
        if source is None or not all(map(is_one, (*source, *target))):
            return False
        if target[-1:] == (...,):
            return any(self.wrong(item, target[0]) for item in source if item is not ...)
        if source[-1:] == (...,):
            return bare(source[0]) is not Any  # of any length, the wanted one among them
        if len(source) != len(target):
            return True
        return any(itertools.starmap(self.wrong, zip(source, target, strict=True)))

    def _typed_dicts(self, source: Any, target: Any) -> bool:
        kind = parts(source)[0]
        wanted = typed_dict_fields(target)
        if is_typed_dict(kind):
            given = typed_dict_fields(source)
            for key, (hint, required) in wanted.items():
                found, always = given.get(key, (Never, False))
                if (required and not always) or self.wrong(found, hint):
                    return True
            return False
        if not _is_kind_of(kind, dict):
            return True
        key_and_value = seen_as(source, dict)
        if key_and_value is None or len(key_and_value) != 2:
            return False
        needed = [hint for hint, required in wanted.values() if required]
        return bool(needed) and (
            self._strangers(key_and_value[0], str) or any(self._strangers(key_and_value[1], hint) for hint in needed)
        )

    def _callables(self, kind: Any, args: tuple[Any, ...] | None, wanted: tuple[Any, ...] | None) -> bool:
        if kind is type:
            params, result = ..., args[0] if args else Any
        elif kind is not abc.Callable:
            return not _is_kind_of(kind, abc.Callable)
        else:
            params, result = args or (..., Any)
        wanted_params, wanted_result = wanted or (..., Any)
        if bare(wanted_result) is not types.NoneType and self.wrong(result, wanted_result):  # None: nobody looks at it
            return True
        if not isinstance(params, list) or not isinstance(wanted_params, list):
            return False
        if not all(map(is_one, (*params, *wanted_params))):
            return False
        return len(params) != len(wanted_params) or any(map(self.wrong, wanted_params, params))


def _alternatives(source: Any) -> Iterator[Any]:
    """Types that make up a type together; the type itself if it cannot be split."""
    source = bare(source)
    kind, args = parts(source) if source is not Any else (Any, None)
    if is_union(source):
        yield from itertools.chain.from_iterable(map(_alternatives, get_args(source)))
    elif (values := _values(source)) is not None:
        yield from (Literal[value] for value in values)
    elif kind is type and args:
        yield from (type[one] for one in _alternatives(args[0]))
    elif kind is tuple and args and ... not in args:
        yield from (types.GenericAlias(tuple, items) for items in itertools.product(*map(_alternatives, args)))
    else:
        yield source


def _values(source: Any) -> tuple[Any, ...] | None:
    """All the values of a type, if these are few and known."""
    members: Mapping[str, Any] | None = getattr(source, "__members__", None)
    if get_origin(source) is Literal:
        return get_args(source)
    if source is types.NoneType:
        return (None,)
    if source is bool:
        return (True, False)
    if members is not None and is_a(source, enum.Enum) and not issubclass(source, enum.Flag):
        return tuple(members.values())
    return None


def _is_other_value(source: Any, allowed: tuple[Any, ...]) -> bool:
    values = _values(source)
    if values is None:
        return True
    return not all(any(value == one and isinstance(value, type(one)) for one in allowed) for value in values)


def _lacks_method(cls: Any, protocol: Any) -> bool:
    """Whether instances of a class certainly lack a method that a protocol demands."""
    if not getattr(protocol, "_is_runtime_protocol", False) or hasattr(cls, "__getattr__"):
        return False
    for base in protocol.__mro__:
        if not getattr(base, "_is_protocol", False):
            continue
        for name, value in vars(base).items():
            if isinstance(value, types.FunctionType) and name not in _NOT_ASKED_FOR and not _may_have(cls, name):
                return True
    return False


def _may_have(cls: Any, name: str) -> bool:
    import inspect

    # an annotation announces an attribute of the instance, which may be callable
    announced = any(name in inspect.get_annotations(base) for base in cls.__mro__)
    return announced or getattr(cls, name, None) is not None
