"""What a task keeps of the values that are bound to it, and when two of them are equal.

A container that is bound to a task becomes a `Template`: a private copy, with the placeholders inside found, from
which each attempt gets a container of its own.
Whatever else is bound is kept by reference.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from graflow.core._definition import Extra
from graflow.core._same import same
from graflow.core.placeholder import InputSource, KnownSource, Placeholder, Source, describe, source_spelling
from graflow.errors import PlaceholderError, WiringError

#: Above this many leaves a constant container is kept by reference: copying it for every attempt would cost more
#: than the protection is worth.
MAX_COPIED_LEAVES = 10_000
#: Deeper containers are kept by reference as well.
MAX_COPIED_DEPTH = 100

#: Types that neither change nor hide a placeholder.
ATOMS: frozenset[type] = frozenset({int, str, float, bool, type(None), bytes, complex, type(...), type, range})
CONTAINERS: frozenset[type] = frozenset({list, tuple, dict, set, frozenset})


class Template:
    """A container bound to a task: its own copy of the structure, filled anew for each attempt.

    Attributes:
        kind: list, tuple, dict, set or frozenset.
        items: the parts, in order; each a value, a `Placeholder` or another template.
        keys: the keys, for a dict; they are constants.
        refs: all placeholders inside, at any depth.
    """

    __slots__ = ("items", "keys", "kind", "refs")

    def __init__(self, kind: type, items: tuple[Any, ...], keys: tuple[Any, ...] | None = None) -> None:
        self.kind = kind
        self.items = items
        self.keys = keys
        if all(type(item) is Placeholder for item in items):
            self.refs: tuple[Placeholder, ...] = items
        else:
            self.refs = tuple(_refs(items))

    def filled(self, fill: Callable[[Any], Any]) -> Any:
        """A fresh container, each part passed through ``fill``."""
        parts = [fill(item) for item in self.items]
        return dict(zip(self.keys, parts, strict=True)) if self.keys is not None else self.kind(parts)

    def map(self, change: Callable[[Any], Any]) -> Template:
        """The same template with other parts."""
        return Template(self.kind, tuple(change(item) for item in self.items), self.keys)

    def __reduce__(self) -> tuple[Any, ...]:
        return Template, (self.kind, self.items, self.keys)


def _refs(items: Iterable[Any]) -> Iterator[Placeholder]:
    for item in items:
        if type(item) is Placeholder:
            yield item
        elif type(item) is Template:
            yield from item.refs


def prepare(value: Any, owner: str, parameter: str) -> Any:
    """What a task keeps of a value that is bound to it.

    Args:
        value: what the user passed.
        owner: id of the task, for messages.
        parameter: name of the parameter, for messages.

    Raises:
        PlaceholderError: a placeholder hides where it cannot be found again: in a set, a dict key, a
            dataclass, a model.
        WiringError: a task was passed where its result is meant.
    """
    cls = type(value)
    if cls in ATOMS or cls is Placeholder:
        return value
    leaves, found, constant = _survey(value, owner, parameter)
    if cls not in CONTAINERS or (constant and found is None) or (leaves > MAX_COPIED_LEAVES and found is None):
        return value
    try:
        return _template(value, [max(10 * leaves, MAX_COPIED_LEAVES)])
    except _TooDeepError:
        if found is None:
            return value
        raise PlaceholderError(
            f"{describe(found)} lies in a container that contains itself or is nested more than {MAX_COPIED_DEPTH} "
            f"deep, in input {parameter!r} of task {owner!r}; pass it to the task directly"
        ) from None


def prepare_extra(owner: str, varargs: str | None, extra: Extra) -> Extra:
    """What a task keeps of its inputs for ``*args`` and ``**kwargs``; as `prepare`."""
    return (
        tuple(prepare(value, owner, f"*{varargs}") for value in extra[0]),
        tuple((name, prepare(value, owner, name)) for name, value in extra[1]),
    )


class _TooDeepError(Exception):
    pass


def _template(value: Any, budget: list[int], depth: int = 0) -> Any:
    cls = type(value)
    if cls not in CONTAINERS:
        return value
    budget[0] -= len(value)
    if depth > MAX_COPIED_DEPTH or budget[0] < 0:  # the budget stops lists that share each other over and over
        raise _TooDeepError
    items = value.values() if cls is dict else value
    parts = tuple(item if type(item) in ATOMS else _template(item, budget, depth + 1) for item in items)
    return Template(cls, parts, tuple(value) if cls is dict else None)


def _survey(root: Any, owner: str, parameter: str) -> tuple[int, Placeholder | None, bool]:
    """Look through a value once, without recursion: its leaves, a placeholder in it, are all containers immutable?"""
    from graflow.core.group import Group
    from graflow.core.map_task import MapTask
    from graflow.core.task import Task

    leaves, found, constant = 0, None, True
    seen: dict[int, Any] = {}
    stack: list[tuple[Any, str]] = [(root, "")]
    while stack:
        value, hiding = stack.pop()
        cls = type(value)
        if cls in ATOMS:
            leaves += 1
        elif cls is Placeholder:
            leaves += 1
            if hiding:
                raise PlaceholderError(
                    f"{describe(value)} hides in {hiding}, in input {parameter!r} of task {owner!r}, where it "
                    f"cannot be replaced when the task runs; pass it as a parameter of its own, or in a list, tuple "
                    f"or dict value"
                )
            found = value
        elif issubclass(cls, Task | Group):
            what = f"task {value.id!r}" if issubclass(cls, Task) else "a group of tasks"
            cure = f"pass its result, {value.id}.out" if issubclass(cls, Task) else "pass the results one by one"
            if issubclass(cls, MapTask):  # a type checker takes the task's own .out for the result of one item
                cure = f"pass the result of the map: mapped = {value.id}.map(...), and then mapped.out"
            raise WiringError(f"input {parameter!r} of task {owner!r} is {what} itself; {cure}")
        elif (inside := _inside(value, hiding)) is None:
            leaves += 1
        elif id(value) not in seen:
            seen[id(value)] = value
            constant = constant and cls in (tuple, frozenset)
            stack.extend(inside)
    return leaves, found, constant


def _inside(value: Any, hiding: str) -> Iterable[tuple[Any, str]] | None:
    """What lies in a value, with the reason why a placeholder there would be lost; None for a leaf.

    Asks types only, and iterates as the builtin types do: a user's own methods may do anything.
    """
    cls = type(value)
    if cls is list or cls is tuple:
        return ((item, hiding) for item in value)
    if cls is dict:
        return [*((item, hiding) for item in value.values()), *((key, "a dict key") for key in value)]
    for base in (set, frozenset):
        if issubclass(cls, base):
            return ((item, "a set") for item in base.__iter__(value))
    where = f"a {cls.__name__}"
    if issubclass(cls, list):
        return ((item, where) for item in list.__iter__(value))
    if issubclass(cls, tuple):
        return ((item, where) for item in tuple.__iter__(value))
    if issubclass(cls, dict):
        return ((item, where) for pair in dict.items(value) for item in pair)
    if cls is slice:
        return ((item, where) for item in (value.start, value.stop, value.step))
    if issubclass(cls, type):
        return None
    if _has(cls, "__dataclass_fields__"):
        return ((_field(value, name), where) for name in cls.__dataclass_fields__)
    if _has(cls, "__pydantic_fields__"):
        parts = (_field(value, f"__pydantic_{part}__") for part in ("extra", "private"))
        fields = (*object.__getattribute__(value, "__dict__").values(), *(part for part in parts if part))
        return ((item, where) for item in fields)
    return None


def _has(cls: type, name: str) -> bool:
    return any(name in base.__dict__ for base in cls.__mro__)


def _field(value: Any, name: str) -> Any:
    try:
        return object.__getattribute__(value, name)
    except Exception:  # noqa: BLE001  # a field that was never set, or a descriptor that refuses: nothing hides there
        return None


# ── equality ────────────────────────────────────────────────────────────────────────────────────────────────────────


def same_source(a: Source, b: Source, *, by_id: bool = False) -> bool:
    """Do two placeholders mean the same task (its id and callable; or its id alone) or the same inputs?"""
    if a is b:
        return True
    if isinstance(a, InputSource) or isinstance(b, InputSource):
        if isinstance(a, KnownSource) and isinstance(b, KnownSource):
            return same(a.value, b.value)
        if isinstance(a, KnownSource) or isinstance(b, KnownSource):
            return False
        return isinstance(a, InputSource) and isinstance(b, InputSource) and a.model is b.model
    return a.id == b.id and (by_id or a.fn is b.fn)


def same_input(a: Any, b: Any, *, by_id: bool = False) -> bool:
    """Are two bound inputs equal? Never raises and never compares an upstream by more than its id and callable."""
    stack = [(a, b)]
    while stack:
        a, b = stack.pop()
        if a is b:
            continue
        if type(a) is not type(b):
            return False
        if type(a) is Placeholder:
            if not same_source(a.__graflow_source__, b.__graflow_source__, by_id=by_id):
                return False
            if not same(a.__graflow_path__, b.__graflow_path__):
                return False
        elif type(a) is Template:
            if a.kind is not b.kind or len(a.items) != len(b.items):
                return False
            if a.keys is not None and b.keys is not None:
                if not a.refs and not b.refs:
                    if not same(a.filled(plain), b.filled(plain)):
                        return False
                    continue
                if not same(frozenset(a.keys), frozenset(b.keys)):
                    return False
                by_key = dict(zip(b.keys, b.items, strict=True))
                stack.extend((item, by_key[key]) for key, item in zip(a.keys, a.items, strict=True))
            elif a.kind in (set, frozenset):
                if not same(a.filled(plain), b.filled(plain)):
                    return False
            else:
                stack.extend(zip(a.items, b.items, strict=True))
        elif not same(a, b):
            return False
    return True


def same_extra(a: Extra | None, b: Extra | None, *, by_id: bool = False) -> bool:
    """Are the inputs for ``*args`` and ``**kwargs`` equal?"""
    if a is None or b is None:
        return a is b
    return (
        len(a[0]) == len(b[0])
        and [name for name, _ in a[1]] == [name for name, _ in b[1]]
        and all(same_input(x, y, by_id=by_id) for x, y in zip(a[0], b[0], strict=True))
        and all(same_input(x, y, by_id=by_id) for (_, x), (_, y) in zip(a[1], b[1], strict=True))
    )


def plain(part: Any) -> Any:
    """A constant input as the user passed it."""
    return part.filled(plain) if type(part) is Template else part


def spelling(part: object) -> str:
    """How a user would write this input: ``extract.out[0]``, ``inputs(Sales).path`` or a short repr of a value."""
    if isinstance(part, Placeholder):
        return source_spelling(part)
    if isinstance(part, Template):
        if part.refs:
            return f"a {part.kind.__name__} with {', '.join(map(source_spelling, part.refs[:3]))}"
        part = plain(part)
    try:
        return reprlib.repr(part)
    except Exception:  # noqa: BLE001  # a user's own __repr__ may fail, and must not hide the message around it
        return f"a {type(part).__name__}"
