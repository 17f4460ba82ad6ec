"""Digests of what cached tasks are given: each value digested once, however many of them read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple

from graflow.core._digest import Memo, digest_value
from graflow.core._digest_leaves import scalar
from graflow.core._inputs import Template
from graflow.core._recipes import Gather, Projection, Recipe
from graflow.errors import CacheKeyError

if TYPE_CHECKING:
    from graflow.core.plan import Plan


#: Every reader looks again at a container that was digested before: at up to so many members.
_MOST_LOOKED_AT = 10_000


class _Held(NamedTuple):
    value: Any  # held, for an identity means nothing once its object is gone
    digest: bytes
    size: int
    members: list[Any] | None
    """What a container held when it was digested, if that is not too much to look at for every reader."""

    @property
    def is_as_it_was(self) -> bool:
        if _size(self.value) != self.size:
            return False
        return self.members is None or all(map(is_, _members(self.value) or (), self.members))


class InputDigests:
    """Digests of inputs; those that more than one cached task reads are kept until the last has read them."""

    def __init__(self, plan: Plan, slots: Callable[[int], Collection[int]]) -> None:
        # One value bound to many tasks lies in many slots.
        first: dict[int, int] = {}
        start = plan.inputs_slot + 1
        self._same = {slot: first.setdefault(id(value), slot) for slot, value in enumerate(plan.constants, start)}
        self._slots = {i: self._distinct(slots(i)) for i, policy in plan.policies.items() if policy.cache is not None}
        self._readers = Counter(slot for distinct in self._slots.values() for slot in distinct)
        # The items of a map read the same, and nobody knows which of them will be the last.
        self._lasting = {i for i in self._slots if i in plan.maps}
        for i in self._lasting:
            self._readers.update(self._slots[i])
        self._held: dict[int, dict[int, _Held]] = {}

    def digests(self, task: str, inputs: list[tuple[str, Any]], read: list[tuple[int, Any]]) -> list[bytes]:
        """The digests of a task's inputs; ``read`` says in which slots the values were found.

        Raises:
            CacheKeyError: an input has no readable content.
        """
        memo = Memo()
        anew: list[tuple[int, Any]] = []
        for slot, value in read:
            slot = self._same.get(slot, slot)
            held = self._held.get(slot, {}).get(id(value))
            if held is not None and held.is_as_it_was:
                memo.digests[id(value)] = held.digest
            elif self._readers[slot] > 1 and scalar(value) is None:
                anew.append((slot, value))
        found = [_digest(task, what, value, memo) for what, value in inputs]
        for slot, value in anew:
            # Of objects that lead to each other, each has a digest that depends on where one came in.
            if id(value) in memo.digests and id(value) not in memo.component:
                held = _Held(value, memo.digests[id(value)], _size(value), _members(value))
                self._held.setdefault(slot, {})[id(value)] = held
        return found

    def read_by(self, i: int) -> None:
        """A cached task has its key: let go of what no other needs."""
        for slot in () if i in self._lasting else self._slots.pop(i, ()):
            self._readers[slot] -= 1
            if not self._readers[slot]:
                self._held.pop(slot, None)

    def _distinct(self, slots: Collection[int]) -> list[int]:
        return list(dict.fromkeys(self._same.get(slot, slot) for slot in slots))


def _digest(task: str, what: str, value: Any, memo: Memo) -> bytes:
    known = scalar(value)
    if known is None:
        opaque: list[str] = []
        known = digest_value(value, opaque, memo)
        if opaque:
            kind, _, name = what.partition(" ")
            raise no_key(task, f"its input {name!r}" if kind == "input" else f"the result of {name!r}", opaque[0])
    return known


def _size(value: Any) -> int:
    return len(value) if type(value) in (list, dict, set) else 0


def _members(value: Any) -> list[Any] | None:
    if not 0 < _size(value) <= _MOST_LOOKED_AT:
        return None
    return [*value, *value.values()] if type(value) is dict else list(value)


def slots_of(recipe: Any) -> tuple[int, ...]:
    """The slots from which a task's arguments come, whole or in parts."""
    if not isinstance(recipe, Recipe):
        return tuple(recipe)
    return tuple(slot for part in (*recipe.args, *(part for _, part in recipe.kwargs)) for slot in _slots_of(part))


def _slots_of(part: Any) -> Iterator[int]:
    kind = type(part)
    if kind is int:
        yield part
    elif kind is Gather:
        yield from part.slots
    elif kind is Projection:
        yield part.slot
    elif kind is Template:
        for item in part.items:
            yield from _slots_of(item)


def in_slots(recipe: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[int, Any]]:
    """What of the arguments comes as it is from a slot, or from within: the slot and the value."""
    if not isinstance(recipe, Recipe):
        return list(zip(recipe, args, strict=False))
    found: list[tuple[int, Any]] = []
    todo = [*zip(recipe.args, args, strict=False), *((part, kwargs.get(name)) for name, part in recipe.kwargs)]
    while todo:
        part, value = todo.pop()
        kind = type(part)
        if kind is int or kind is Projection:
            found.append((part if kind is int else part.slot, value))
        elif kind is Gather and part.kind in (list, tuple):
            found += zip(part.slots, value, strict=False)
        elif kind is Template and part.keys is not None:
            todo += ((item, value.get(key)) for key, item in zip(part.keys, part.items, strict=True))
        elif kind is Template and part.kind in (list, tuple):
            todo += zip(part.items, value, strict=False)
    return found


def no_key(task: str, where: str, type_name: str) -> CacheKeyError:
    """The error for a task that reads something whose content cannot be read; says where it is and its class."""
    name = type_name.removeprefix("builtins.")
    article = "an" if name[0].lower() in "aeiou" else "a"
    return CacheKeyError(
        f"task {task!r} cannot be cached: {where} holds {article} {name}, whose content cannot be read; "
        f"pass what identifies it instead, give its class a method __graflow_digest__, or take the cache off"
    )
