"""What a task keeps of the values bound to it: containers by copy, all else by reference."""

import functools
import sys
from collections import OrderedDict, deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, PrivateAttr, RootModel
from pydantic.dataclasses import dataclass as pydantic_dataclass

from graflow import LocalRunner, PlaceholderError, Task, WiringError, Workflow, inputs, task

INLINE = LocalRunner(executor="inline")


@task
def one() -> int:
    return 1


@task
def two() -> int:
    return 2


@task
def echo(value: Any) -> Any:
    return value


@task
def many(*parts: Any, **named: Any) -> Any:
    return parts, named


def value_of(last: Task[..., Any], runner: LocalRunner = INLINE) -> Any:
    return Workflow.of("w", last, returns=last).run(runner=runner).value


def nest(depth: int, innermost: Any) -> Any:
    """A list in a list in a list ..."""
    return functools.reduce(lambda inner, _: [inner], range(depth), innermost)


# --- copied ---


@pytest.mark.parametrize(
    ("container", "edit"),
    [
        ([1, 2], lambda c: c.append(3)),
        ({"a": 1}, lambda c: c.update(b=2)),
        ({1, 2}, lambda c: c.add(3)),
        ([[1], {"a": [2]}], lambda c: (c[0].append(9), c[1]["a"].append(9))),
        (([1],), lambda c: c[0].append(9)),
        ({"a": {"b": {1}}}, lambda c: c["a"]["b"].add(9)),
        ([], lambda c: c.append(1)),
        ({}, lambda c: c.update(a=1)),
        (set(), lambda c: c.add(1)),
    ],
    ids=range(9),
)
def test_editing_yours_later_changes_nothing(container: Any, edit: Callable[[Any], object]) -> None:
    import copy

    before = copy.deepcopy(container)
    bound, extra = echo(container), many(container, x=container)
    same = echo(copy.deepcopy(container))
    edit(container)
    assert bound == same
    assert bound != echo(container)
    assert value_of(bound) == before
    assert value_of(extra) == ((before,), {"x": before})


def test_editing_what_a_task_got_changes_no_later_attempt() -> None:
    @task
    def spoils(rows: list[Any], table: dict[str, list[int]]) -> Any:
        seen = [*rows], {**table}
        rows.append("spoilt")
        rows[0].append("spoilt")
        table["a"].append(9)
        return str(seen[0][0][:-1]), len(seen[0])

    bound = spoils([["row"]], {"a": [1]})
    built = Workflow.of("w", bound, returns=bound)
    assert [built.run(runner=INLINE).value for _ in range(3)] == [("['row']", 1)] * 3


def test_two_tasks_with_one_container_get_one_each() -> None:
    shared = [1]
    first, second = echo(shared).named("first"), echo(shared).named("second")
    run = Workflow.builder("w").add(first).add(second).build().run(runner=INLINE)
    assert run[first] == run[second] == [1]
    assert run[first] is not run[second]
    assert run[first] is not shared


def test_the_types_of_containers_are_kept() -> None:
    value = [(1, [2]), {3}, frozenset({4}), {"a": (5,), 6: [7]}]
    got = value_of(echo(value))
    assert got == value
    assert [type(part) for part in got] == [tuple, set, frozenset, dict]
    assert list(got[3]) == ["a", 6]


def test_other_objects_are_kept_by_reference() -> None:
    class Thing:
        pass

    things = [Thing(), np.arange(3), deque([1]), OrderedDict(a=1), bytearray(b"x"), Thing]
    for thing in things:
        assert value_of(echo(thing)) is thing
        assert value_of(echo([thing]))[0] is thing


def test_a_constant_without_anything_mutable_needs_no_copy() -> None:
    constant = (1, ("a", frozenset({2})), b"x", None)
    assert value_of(echo(constant)) is constant


# --- placeholders inside ---


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ([one.out, two.out], [1, 2]),
        ((one.out, 5), (1, 5)),
        ({"a": one.out, "b": [two.out, {"c": (one.out,)}]}, {"a": 1, "b": [2, {"c": (1,)}]}),
        ([[[one.out]]], [[[1]]]),
        ([one.out, one.out], [1, 1]),
        ([{1}, one.out], [{1}, 1]),
        ({1: one.out, (2, 3): "x"}, {1: 1, (2, 3): "x"}),
    ],
    ids=range(7),
)
def test_placeholders_are_found_in_lists_tuples_and_dict_values(container: Any, expected: Any) -> None:
    assert value_of(echo(container)) == expected
    assert value_of(many(container, x=container)) == ((expected,), {"x": expected})


def test_a_placeholder_inside_is_an_edge_with_data() -> None:
    last = echo([one.out, {"x": two.out}])
    edges = Workflow.of("w", last, returns=last).edges
    assert {(edge.upstream, edge.data) for edge in edges} == {("one", True), ("two", True)}


def test_a_thousand_placeholders_in_one_list() -> None:
    parts = [echo(k).named(f"p{k}") for k in range(1000)]
    last = echo([part.out for part in parts])
    assert value_of(last) == list(range(1000))


@dataclass
class Plain:
    x: Any
    y: Any = None


@dataclass(slots=True, frozen=True)
class Slotted:
    x: Any


@pydantic_dataclass(config={"arbitrary_types_allowed": True})
class Checked:
    x: Any


class Model(BaseModel):
    x: Any


class More(BaseModel, extra="allow"):
    pass


class Secret(BaseModel):
    _x: Any = PrivateAttr(None)

    @classmethod
    def of(cls, x: Any) -> "Secret":
        made = cls()
        made._x = x
        return made


class Inherited(Plain):
    pass


Point = namedtuple("Point", "x y")


class Rows(list[Any]):
    pass


HIDING: dict[str, tuple[Callable[[Any], Any], str]] = {
    "dataclass": (Plain, "a Plain"),
    "second field": (lambda p: Plain(1, p), "a Plain"),
    "inherited dataclass": (Inherited, "a Inherited"),
    "slotted dataclass": (Slotted, "a Slotted"),
    "pydantic dataclass": (Checked, "a Checked"),
    "model": (lambda p: Model(x=p), "a Model"),
    "root model": (lambda p: RootModel[Any](p), "a RootModel[Any]"),
    "extra field of a model": (lambda p: More(x=p), "a More"),
    "private attribute of a model": (Secret.of, "a Secret"),
    "list in a dataclass": (lambda p: Plain([{"a": p}]), "a Plain"),
    "dataclass in a list": (lambda p: [{"a": (Plain(p),)}], "a Plain"),
    "model in a dataclass": (lambda p: Plain(Model(x=p)), "a Model"),
    "dataclass as a dict key": (lambda p: {Slotted(1): p} and {"k": Plain(p)}, "a Plain"),
    "named tuple": (lambda p: Point(1, p), "a Point"),
    "list of the users own": (lambda p: Rows([p]), "a Rows"),
    "ordered dict": (lambda p: OrderedDict(a=p), "a OrderedDict"),
}


@pytest.mark.parametrize("how", HIDING)
@pytest.mark.parametrize("placeholder", [one.out, one.out[0].x], ids=["result", "projection"])
def test_a_hidden_placeholder_is_refused_when_bound(how: str, placeholder: Any) -> None:
    hide, where = HIDING[how]
    with pytest.raises(PlaceholderError) as caught:
        echo(hide(placeholder))
    name = repr(placeholder)[1:-1]
    assert str(caught.value) == (
        f"{name} hides in {where}, in input 'value' of task 'echo', where it cannot be replaced when the task runs; "
        f"pass it as a parameter of its own, or in a list, tuple or dict value"
    )


class ByIdentity:
    """Holds a placeholder and can still be hashed."""

    def __init__(self, x: Any) -> None:
        self.x = x


@dataclass(eq=False)
class Hashable:
    x: Any


@pytest.mark.parametrize(
    "hide", [lambda p: {Hashable(p)}, lambda p: frozenset({Hashable(p)}), lambda p: {Hashable(p): 1}], ids=range(3)
)
def test_a_placeholder_hidden_in_a_set_or_a_key_is_refused(hide: Callable[[Any], Any]) -> None:
    with pytest.raises(PlaceholderError, match="hides in "):
        echo(hide(one.out))


def test_a_set_or_key_that_is_a_placeholder_is_refused_by_the_set_itself() -> None:
    for make in (lambda p: {p}, lambda p: frozenset([p]), lambda p: {p: 1}):
        with pytest.raises(PlaceholderError, match="cannot be hashed now"):
            echo(make(one.out))


@pytest.mark.parametrize(
    "hide", [lambda t: [t], lambda t: {"a": (t,)}, Plain, lambda t: {t}, lambda t: {t: 1}], ids=range(5)
)
def test_a_task_in_place_of_its_result_is_refused_wherever_it_is(hide: Callable[[Any], Any]) -> None:
    with pytest.raises(WiringError, match=r"is task 'one' itself; pass its result, one\.out$"):
        echo(hide(one))
    with pytest.raises(WiringError, match=r"of task 'many' is task 'one' itself"):
        many(hide(one))


def test_hidden_inputs_are_refused_in_args_and_kwargs_too() -> None:
    with pytest.raises(PlaceholderError, match=r"in input '\*parts' of task 'many'"):
        many(Plain(one.out))
    with pytest.raises(PlaceholderError, match=r"in input 'x' of task 'many'"):
        many(x=Plain(one.out))


# --- large, deep, cyclic ---


def test_a_container_up_to_the_limit_is_copied() -> None:
    rows = list(range(10_000))
    bound = echo(rows)
    rows[0] = -1
    assert value_of(bound)[0] == 0


def test_a_container_above_the_limit_is_kept_by_reference() -> None:
    rows = list(range(10_001))
    assert value_of(echo(rows)) is rows
    deep = {"a": [rows]}
    assert value_of(echo(deep)) is deep


def test_the_limit_counts_leaves_at_any_depth() -> None:
    rows = [[k] * 100 for k in range(101)]
    assert value_of(echo(rows)) is rows
    few = [[k] * 100 for k in range(100)]
    assert value_of(echo(few)) == few
    assert value_of(echo(few)) is not few


@pytest.mark.parametrize("place", [0, 7_000, -1])
def test_a_large_container_is_still_searched(place: int) -> None:
    rows: list[Any] = list(range(20_000))
    rows[place] = one.out
    got = value_of(echo(rows))
    assert got[place] == 1
    assert len(got) == 20_000
    with pytest.raises(PlaceholderError, match="hides in a Plain"):
        echo([*rows, Plain(one.out)])


def test_a_container_in_itself_is_kept() -> None:
    ring: list[Any] = [1]
    ring.append(ring)
    table: dict[str, Any] = {}
    table["self"] = table
    assert value_of(echo(ring)) is ring
    assert value_of(echo(table)) is table
    assert echo(ring) == echo(ring)
    hash(echo(ring))


def test_two_rings_of_one_shape_compare_without_end() -> None:
    def ring() -> list[Any]:
        made: list[Any] = [1]
        made.append([made])
        return made

    assert echo(ring()) == echo(ring())


def test_a_placeholder_in_a_container_in_itself_is_refused() -> None:
    ring: list[Any] = [one.out]
    ring.append(ring)
    with pytest.raises(PlaceholderError) as caught:
        echo(ring)
    assert str(caught.value) == (
        "the result of task 'one' lies in a container that contains itself or is nested more than 100 deep, in input "
        "'value' of task 'echo'; pass it to the task directly"
    )


def test_a_deep_container_overflows_nothing() -> None:
    deep = nest(50_000, 1)
    bound = echo(deep)
    assert value_of(bound) is deep
    assert bound == echo(deep)
    assert isinstance(bound == echo(nest(50_000, 1)), bool)
    hash(bound)
    repr(bound)
    # Taking apart what is this deep overflows the interpreter itself, where it happens in one go.
    while isinstance(deep, list):
        deep = deep.pop()


def test_a_placeholder_may_lie_a_hundred_deep() -> None:
    got = value_of(echo(nest(50, one.out)))
    assert got == nest(50, 1)
    with pytest.raises(PlaceholderError, match="nested more than 100 deep"):
        echo(nest(200, one.out))


def test_lists_that_share_each_other_over_and_over_end() -> None:
    layered: list[Any] = [1]
    for _ in range(60):
        layered = [layered, layered]
    assert value_of(echo(layered)) is layered


def calls_during(action: Callable[[], object]) -> int:
    """How many Python calls an action makes: a measure that no other program on the machine disturbs."""
    calls = 0

    def count(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    return calls


def test_a_large_container_is_searched_once() -> None:
    @task
    def reads(rows: Any, x: int, y: int) -> Any:
        return rows

    rows = [[k] for k in range(20_000)]
    bound = reads(rows)
    assert calls_during(lambda: reads(rows)) >= 20_000
    assert calls_during(lambda: one >> bound.named("other").after(two)(y=2)) < 2_000
    assert value_of(one >> bound(y=2)) is rows


# --- equality of containers ---


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"a": 1, "b": one.out}, {"b": one.out, "a": 1}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({3, 1, 2}, {2, 3, 1}),
        ([one.out[0]], [one.out[0]]),
        ([{"a": {1, 2}}], [{"a": {2, 1}}]),
        (inputs(Model).x, inputs(Model).x),
    ],
    ids=range(6),
)
def test_equal_containers_make_equal_tasks(a: Any, b: Any) -> None:
    assert echo(a) == echo(b)
    assert hash(echo(a)) == hash(echo(b))
    assert many(a, k=a) == many(b, k=b)


def test_one_bound_container_is_compared_by_content_and_by_order() -> None:
    assert echo([1, 2]) != echo([2, 1])
    assert echo({"a": one.out}) != echo({"a": two.out})
    assert echo({"a": one.out, "b": 1}) != echo({"a": one.out, "b": True})
    assert echo({1: one.out}) != echo({True: one.out})


@dataclass
class Rude:
    x: int = 0
    more: list[int] = field(default_factory=list)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    __hash__ = None  # type: ignore[assignment]


def test_rude_members_of_containers_harm_nobody() -> None:
    rude = Rude()
    assert echo([rude]) == echo([rude])
    assert echo([Rude()]) != echo([Rude()])
    assert echo([one.out, Rude()]) != echo([one.out, Rude()])
    assert echo({"a": Rude(), "b": one.out}) != echo({"a": Rude(), "b": one.out})


# --- where it runs ---


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_containers_arrive_wherever_the_task_runs(executor: Any) -> None:
    value = {"rows": [one.out, (two.out, {"x": [1]})], "plain": {1, 2}}
    assert value_of(echo(value), LocalRunner(executor, 2)) == {"rows": [1, (2, {"x": [1]})], "plain": {1, 2}}
