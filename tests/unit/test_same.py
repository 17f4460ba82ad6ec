"""Equality that is sensitive to types, never raises and never recurses."""

import copy
from collections import Counter, OrderedDict, deque, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graflow.core._same import rough_hash, same

NAN = float("nan")
Point = namedtuple("Point", "x y")


class Raises:
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compare me not")


class Agrees:
    """Answers every comparison, with something that is not a bool."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def __eq__(self, other: object) -> Any:
        return self.answer


@dataclass
class Config:
    name: str


@pytest.mark.parametrize(
    "value",
    [
        0, 1.5, True, None, "text", b"bytes", 2j, [], [1, [2, (3,)]], {"a": {1, 2}}, frozenset({(1, "x")}),
        Decimal("1.0"), Config("a"), Point(1, [2]), OrderedDict(a=1), Counter("aab"), deque([1, 2]), range(3),
        {None: []},
    ],
    ids=repr,
)  # fmt: skip
def test_a_copy_is_the_same(value: object) -> None:
    other = copy.deepcopy(value)
    assert same(value, other)
    assert same([value], [other])
    assert same({"k": value}, {"k": other})
    assert rough_hash([value]) == rough_hash([other])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, True), (1, 1.0), (0, False), (1.0, True), ("a", b"a"), (1, 2), ([1], (1,)), ([1], [1, 1]), ([1], [True]),
        ({1: "a"}, {True: "a"}), ({1: "a"}, {1.0: "a"}), ({1}, {True}), ({1}, {1.0}), ({1}, frozenset({1})),
        ({(1, 2)}, {(1, 2.0)}), ({"a": 1}, {"a": True}), ({"a": 1}, {"b": 1}), ({"a": 1}, {"a": 1, "b": 1}),
        ({"a": 1}, OrderedDict(a=1)), (frozenset({frozenset({1})}), frozenset({frozenset({True})})),
        (Point(1, 2), Point(1, True)), (Point(1, 2), (1, 2)), (Config("a"), Config("b")), (NAN, float("nan")),
        ([NAN], [float("nan")]), (object(), object()), ({1, 2}, {1, 3}), (Decimal(1), 1),
    ],
    ids=repr,
)  # fmt: skip
def test_what_differs_in_type_or_content_is_not_the_same(a: object, b: object) -> None:
    assert not same(a, b)
    assert not same(b, a)
    assert not same([a], [b])


def test_the_order_of_a_dict_does_not_count_but_that_of_an_ordered_one_does() -> None:
    assert same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert not same(OrderedDict(a=1, b=2), OrderedDict(b=2, a=1))


def test_identity_comes_before_equality() -> None:
    awkward = [NAN, Raises(), Agrees(False), np.arange(3)]
    for one in awkward:
        assert same(one, one)
        assert same([one, {"k": one}], [one, {"k": one}])


@pytest.mark.parametrize("answer", [1, "yes", np.True_, np.array([True]), NotImplemented, None])
def test_only_true_itself_counts_as_an_answer(answer: object) -> None:
    assert not same(Agrees(answer), Agrees(answer))
    assert same(Agrees(True), Agrees(True))


def test_an_exception_means_no() -> None:
    assert not same(Raises(), Raises())
    assert not same([1, Raises()], [1, Raises()])
    assert not same({"k": Raises()}, {"k": Raises()})
    assert not same(np.arange(3), np.arange(3))


def test_an_interrupt_is_not_swallowed() -> None:
    class Interrupts:
        def __eq__(self, other: object) -> bool:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        same(Interrupts(), Interrupts())


def cycle(last: object) -> list[Any]:
    ring: list[Any] = [1, {"self": None}, last]
    ring[1]["self"] = ring
    return ring


def test_cycles_end() -> None:
    assert same(cycle("x"), cycle("x"))
    assert not same(cycle("x"), cycle("y"))
    a: list[Any] = []
    b: list[Any] = [a]
    a.append(b)
    assert same(a, b)


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: (x,), lambda x: {"k": x}], ids=["list", "tuple", "dict"])
def test_depth_is_no_limit(wrap: Any) -> None:
    def nest(core: object) -> object:
        value = core
        for _ in range(100_000):
            value = wrap(value)
        return value

    assert same(nest(1), nest(1))
    assert not same(nest(1), nest(True))
    assert rough_hash(nest(1)) == rough_hash(nest(1))


def test_what_is_shared_many_times_is_compared_once() -> None:
    def lattice() -> list[Any]:
        value: list[Any] = [0]
        for _ in range(200):
            value = [value, value]
        return value

    assert same(lattice(), lattice())


def test_deep_objects_that_recurse_by_themselves_are_unequal() -> None:
    @dataclass
    class Link:
        next: "Link | None"

    def chain() -> Link | None:
        link = None
        for _ in range(100_000):
            link = Link(link)
        return link

    a, b = chain(), chain()
    try:
        assert not same(a, b)
    finally:
        for link in (a, b):  # a chain this long must be taken apart by hand
            while link is not None:
                link.next, link = None, link.next


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | st.binary(max_size=3)
)
keys = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4)
values = st.recursive(
    keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3) | st.sets(keys, max_size=3),
    max_leaves=8,
)


def typed(value: Any) -> Any:
    """A value in a form whose own equality tells the types apart."""
    if isinstance(value, (list, tuple)):
        return type(value), tuple(typed(item) for item in value)
    if isinstance(value, (set, frozenset)):
        return type(value), frozenset(typed(item) for item in value)
    if isinstance(value, dict):
        return dict, frozenset((typed(key), typed(item)) for key, item in value.items())
    return type(value), value


@given(values, values)
def test_it_agrees_with_an_equality_written_another_way(a: Any, b: Any) -> None:
    assert same(a, b) is (typed(a) == typed(b))
    assert same(a, copy.deepcopy(a))
    assert rough_hash(a) == rough_hash(copy.deepcopy(a))
    if same(a, b):
        assert a == b
        assert rough_hash(a) == rough_hash(b)
