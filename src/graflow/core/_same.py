"""Equality that is sensitive to types, never raises and never recurses.

Tasks compare their inputs with it: an input may be an array whose ``==`` gives an array, an object whose ``==``
raises, or a list that holds itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_SCALARS = frozenset({int, str, bytes, float, bool, complex, type(None)})

_Pairs = list[tuple[Any, Any]]


def same(a: object, b: object) -> bool:
    """Whether two values are one: of the same type and equal, all the way down.

    ``1``, ``True`` and ``1.0`` are three values, also as keys of a dict and members of a set. Builtin containers,
    and subclasses that compare as they do (named tuples), are compared item by item. Of any other object ``a == b``
    counts only if the answer is ``True`` itself; an array of answers or an exception means no. Identity always
    means yes, so a NaN is the same as itself and no other.
    """
    if a is b:
        return True
    kind = type(a)
    if kind is not type(b):
        return False
    if kind in _SCALARS:
        return a == b
    try:
        return _same(a, b)
    except Exception:  # noqa: BLE001 - a user's __eq__, __hash__ or __iter__ may raise anything; unequal is the safe answer
        return False


def rough_hash(value: Any, depth: int = 4) -> int:
    """A hash for anything, equal where `same` holds: it narrows down what has to be compared."""
    kind = type(value)
    if kind in (list, tuple, dict) and not depth:  # hashing a tuple recurses in C, without a limit
        return hash(kind)
    if kind in (list, tuple):
        return hash(tuple(rough_hash(item, depth - 1) for item in value[:100]))
    if kind is dict:
        return hash(frozenset((rough_hash(k, depth - 1), rough_hash(v, depth - 1)) for k, v in value.items()))
    method: Any = kind.__hash__
    if method is object.__hash__:  # by identity, which a kinder comparison than `same` may look through
        return hash(kind)
    try:
        return hash(value)
    except Exception:  # noqa: BLE001 - unhashable, or an object that refuses with an error of its own
        return hash(kind)


def _same(left: Any, right: Any) -> bool:
    todo: _Pairs = [(left, right)]
    # Two containers met a second time are equal unless the first comparison finds a difference: cycles end.
    met: set[tuple[int, int]] = set()
    while todo:
        a, b = todo.pop()
        if a is b:
            continue
        kind = type(a)
        if kind is not type(b):
            return False
        pairs_of = _CONTAINERS.get(kind.__eq__)
        if kind in _SCALARS or pairs_of is None:
            if (a == b) is not True:
                return False
            continue
        if len(a) != len(b):
            return False
        if (id(a), id(b)) not in met:
            met.add((id(a), id(b)))
            pairs = pairs_of(a, b)
            if pairs is None:
                return False
            todo.extend(pairs)
    return True


def _in_order(a: Any, b: Any) -> _Pairs:
    return list(zip(a, b, strict=True))


def _members(a: Any, b: Any) -> _Pairs | None:
    # A look-up in `b` says that an equal member exists; only the member itself can say whether it is the same.
    found = {member: member for member in b}
    return [(member, found[member]) for member in a] if all(member in found for member in a) else None


def _items(a: Any, b: Any) -> _Pairs | None:
    keys = _members(a, b)
    return None if keys is None else keys + [(a[key], b[key]) for key in a]


# By comparison method: a subclass that does not override it compares as its base does.
_CONTAINERS: dict[Any, Callable[[Any, Any], _Pairs | None]] = {
    list.__eq__: _in_order,
    tuple.__eq__: _in_order,
    set.__eq__: _members,
    frozenset.__eq__: _members,
    dict.__eq__: _items,
}
