"""A placeholder stands for a result: it can be passed on and projected, and is no value in any other way."""

import copy
import math
import operator
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from pydantic import BaseModel

from graflow import ConfigurationError, LocalRunner, PlaceholderError, Task, UnknownTaskError, Workflow, inputs, task

INLINE = LocalRunner(executor="inline")


class Price(BaseModel, frozen=True):
    amount: float
    currency: str = "EUR"

    @property
    def shown(self) -> str:
        return f"{self.amount} {self.currency}"

    def doubled(self) -> float:
        return 2 * self.amount


class Sales(BaseModel, frozen=True):
    path: Path
    top: int = 10
    price: Price = Price(amount=1.0)


class Open(BaseModel, frozen=True, extra="allow"):
    known: int = 0


@task
def extract() -> list[Price]:
    return [Price(amount=3.0), Price(amount=4.0)]


@task
def table() -> dict[str, Any]:
    return {"a": [1, 2, 3], "name": "x", 5: "five", ("t", 1): "tuple"}


@task
def echo(value: Any) -> Any:
    return value


OUT: Any = extract.out
TEXT = (
    "the result of task 'extract' exists only while the workflow runs, so it cannot be {} now; "
    "pass it to a task instead"
)


def echoed(placeholder: Any) -> Any:
    """What a task that takes the placeholder gets."""
    last = echo(placeholder)
    return Workflow.of("w", last, returns=last).run(runner=INLINE).value


def refused(use: Callable[[Any], object], how: str, placeholder: Any = OUT) -> None:
    with pytest.raises(PlaceholderError) as caught:
        use(placeholder)
    assert str(caught.value) == TEXT.format(how)


# --- what is refused ---

BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift"]


@pytest.mark.parametrize("name", BINARY)
def test_operators_are_refused_on_both_sides_and_in_place(name: str) -> None:
    apply = getattr(operator, name)
    refused(lambda p: apply(p, 2), "computed with")
    refused(lambda p: apply(2, p), "computed with")
    refused(lambda p: apply(p, p), "computed with")
    refused(lambda p: getattr(operator, f"i{name.rstrip('_')}")(p, 2), "computed with")


@pytest.mark.parametrize(
    "use",
    [
        operator.neg, operator.pos, abs, operator.invert, round, math.trunc, math.floor, math.ceil, int, float, complex,
        operator.index, hex, range, lambda p: divmod(p, 2), lambda p: divmod(2, p), lambda p: pow(p, 2, 3),
        lambda p: round(p, 2), lambda p: [1, 2][p], lambda p: math.sqrt(p), lambda p: [1] * p, lambda p: "a" + p,
        lambda p: p + b"a", lambda p: sum([p]),
    ],
    ids=range(24),
)  # fmt: skip
def test_arithmetic_is_refused(use: Callable[[Any], object]) -> None:
    refused(use, "computed with")


@pytest.mark.parametrize("name", ["lt", "le", "eq", "ne", "gt", "ge"])
def test_comparison_is_refused(name: str) -> None:
    refused(lambda p: getattr(operator, name)(p, 2), "compared")
    refused(lambda p: getattr(operator, name)(2, p), "compared")


@pytest.mark.parametrize(
    ("use", "how"),
    [
        (lambda p: 2 in p, "compared"),
        (lambda p: p in [2], "compared"),
        (lambda p: sorted([p, p]), "compared"),
        (lambda p: max(p, 3), "compared"),
        (bool, "used as a truth value"),
        (operator.not_, "used as a truth value"),
        (lambda p: 1 if p else 2, "used as a truth value"),
        (lambda p: p and 1, "used as a truth value"),
        (any, "iterated or unpacked"),
        (hash, "hashed"),
        (lambda p: {p}, "hashed"),
        (lambda p: {p: 1}, "hashed"),
        (lambda p: {}.get(p), "hashed"),
        (len, "measured with len()"),
        (operator.length_hint, "measured with len()"),
        (reversed, "reversed"),
        (str, "turned into text"),
        (bytes, "turned into text"),
        (lambda p: f"{p}", "turned into text"),
        (lambda p: f"{p:>10}", "turned into text"),
        (lambda p: format(p, "d"), "turned into text"),
        (lambda p: f"{p!s}", "turned into text"),
        (lambda p: "%s" % p, "turned into text"),  # noqa: UP031
        (lambda p: "{}".format(p), "turned into text"),  # noqa: UP032
        (print, "turned into text"),
        (os.fspath, "used as a path"),
        (Path, "used as a path"),
        (open, "used as a path"),
        (lambda p: os.path.join("a", p), "used as a path"),
        (lambda p: p(), "called"),
        (lambda p: p(1, x=2), "called"),
        (lambda p: list(map(p, [1])), "called"),
        (lambda p: p.__enter__(), "entered"),
        (lambda p: p.__exit__(None, None, None), "entered"),
        (next, "advanced"),
        (lambda p: operator.setitem(p, 0, 1), "changed"),
        (lambda p: operator.delitem(p, 0), "changed"),
        (lambda p: setattr(p, "price", 1), "set its attribute 'price'"),
        (lambda p: delattr(p, "price"), "delete its attribute 'price'"),
    ],
    ids=range(39),
)  # fmt: skip
def test_every_other_use_is_refused(use: Callable[[Any], object], how: str) -> None:
    with pytest.raises(PlaceholderError) as caught:
        use(OUT)
    message = str(caught.value)
    assert message.startswith("the result of task 'extract' exists only while the workflow runs, so it cannot be ")
    assert "pass it to a task instead" in message
    if not how.startswith(("set", "delete")):
        assert f"cannot be {how} now" in message


def test_setting_an_attribute_is_refused_in_words() -> None:
    with pytest.raises(PlaceholderError, match=r"its attribute 'price'"):
        OUT.price = 1


def test_with_and_await_are_refused() -> None:
    with pytest.raises(PlaceholderError, match="cannot be entered now"):
        with OUT:
            raise AssertionError

    async def waits() -> None:
        await OUT

    async def loops() -> None:
        async for _ in OUT:
            raise AssertionError

    async def enters() -> None:
        async with OUT:
            raise AssertionError

    for coroutine in (waits, loops, enters):
        with pytest.raises(PlaceholderError, match="exists only while the workflow runs"):
            coroutine().send(None)


@pytest.mark.parametrize(
    "use",
    [
        iter,
        list,
        tuple,
        set,
        dict,
        sum,
        enumerate,
        zip,
        lambda p: [*p],
        lambda p: dict.fromkeys(p),
        lambda p: max(*p),
    ],
    ids=range(11),
)
def test_iteration_suggests_one_item(use: Callable[[Any], object]) -> None:
    with pytest.raises(PlaceholderError) as caught:
        use(OUT)
    message = str(caught.value)
    if use is not dict:  # dict() asks for .keys first, and gets a projection
        assert message == (
            "the result of task 'extract' exists only while the workflow runs, so it cannot be iterated or unpacked "
            "now; pass it to a task instead, or take one item with extract.out[0]"
        )


def test_unpacking_suggests_one_item() -> None:
    with pytest.raises(PlaceholderError, match=r"take one item with extract\.out\[0\]$"):
        _a, _b = OUT
    with pytest.raises(PlaceholderError, match=r"take one item with extract\.out\.rows\[1\]\[0\]$"):
        _a, *_b = OUT.rows[1]


def test_a_projection_is_refused_by_its_own_name() -> None:
    with pytest.raises(PlaceholderError) as caught:
        OUT[0].amount + 1
    assert str(caught.value) == (
        "[0].amount of the result of task 'extract' exists only while the workflow runs, so it cannot be computed with "
        "now; pass it to a task instead"
    )


def test_a_method_of_a_result_cannot_be_called() -> None:
    with pytest.raises(PlaceholderError, match=r"^\.split of the result of task 'extract' .* cannot be called now"):
        OUT.split(",")


def test_inputs_are_refused_by_the_name_of_their_model() -> None:
    with pytest.raises(PlaceholderError, match=r"^\.top of the input Sales exists only .* cannot be computed with now"):
        inputs(Sales).top + 1
    with pytest.raises(PlaceholderError, match=r"take one item with inputs\(Sales\)\.path\[0\]$"):
        list(inputs(Sales).path)  # type: ignore[call-overload]


def test_a_placeholder_as_an_index_is_refused() -> None:
    with pytest.raises(PlaceholderError) as caught:
        OUT[table.out]
    assert str(caught.value) == (
        "the result of task 'extract' cannot be indexed by the result of task 'table': the key is known only while the "
        "workflow runs; pass both to a task and index there"
    )


def test_a_slice_with_a_placeholder_is_refused() -> None:
    with pytest.raises(PlaceholderError):
        OUT[: table.out]


# --- what it can do ---


def test_isinstance_and_repr_work() -> None:
    assert not isinstance(OUT, list)
    assert repr(OUT) == "<the result of task 'extract'>"
    assert repr(OUT[0].price["a"]) == "<[0].price['a'] of the result of task 'extract'>"
    assert f"{OUT!r}" == "<the result of task 'extract'>"
    assert repr(inputs(Sales).path) == "<.path of the input Sales>"


def test_a_placeholder_has_no_public_attributes() -> None:
    assert [name for name in dir(type(OUT)) if not name.startswith("_")] == []


@pytest.mark.parametrize("name", ["out", "id", "source", "path", "items", "keys", "name", "model", "count", "_private"])
def test_every_attribute_is_a_projection(name: str) -> None:
    assert repr(getattr(OUT, name)) == f"<.{name} of the result of task 'extract'>"


@pytest.mark.parametrize("name", ["__array__", "__wrapped__", "__deepcopy_me__", "_repr_html_", "_ipython_display_"])
def test_it_supports_no_protocol(name: str) -> None:
    assert not hasattr(OUT, name)


def test_a_copy_of_a_placeholder_is_the_placeholder() -> None:
    assert copy.copy(OUT) is OUT
    assert copy.deepcopy([OUT])[0] is OUT


@pytest.mark.parametrize("dumps", [cloudpickle.dumps, pickle.dumps], ids=["cloudpickle", "pickle"])
def test_a_placeholder_survives_a_trip(dumps: Callable[[Any], bytes]) -> None:
    source = Task("list", list)
    for placeholder in (source.out, source(()).out[0].x, inputs(Sales).price.amount):
        assert repr(pickle.loads(dumps(placeholder))) == repr(placeholder)


@pytest.mark.parametrize(
    ("projection", "expected"),
    [
        (table.out["a"], [1, 2, 3]), (table.out["a"][0], 1), (table.out["a"][-1], 3), (table.out["a"][1:], [2, 3]),
        (table.out["a"][::-1], [3, 2, 1]), (table.out[5], "five"), (table.out["t", 1], "tuple"),
        (extract.out[1].amount, 4.0), (extract.out[0].currency, "EUR"), (extract.out[0].shown, "3.0 EUR"),
        (extract.out[-1], Price(amount=4.0)),
    ],
    ids=range(11),
)  # fmt: skip
def test_projections_are_resolved_when_the_task_runs(projection: Any, expected: Any) -> None:
    assert echoed(projection) == expected
    assert echoed([projection, (projection,), {"k": projection}]) == [expected, (expected,), {"k": expected}]


def test_an_attribute_of_a_result_may_have_any_name() -> None:
    class Everything:
        out, id, fn, items, keys, _x = range(6)

    @task
    def made() -> Any:
        return Everything()

    out: Any = made.out
    assert echoed([out.out, out.id, out.fn, out.items, out.keys, out._x]) == [0, 1, 2, 3, 4, 5]


def test_a_method_of_a_result_may_be_passed() -> None:
    assert echoed(extract.out[0].doubled)() == 6.0


def test_a_placeholder_of_a_bound_task_and_of_its_definition_mean_one_task() -> None:
    assert echo(echo(1).out) == echo(echo.out)


def test_a_task_that_is_only_mentioned_must_be_added() -> None:
    with pytest.raises(UnknownTaskError):
        Workflow.builder("w").add(echo, extract.out).build()


# --- inputs ---


def test_inputs_are_projected() -> None:
    src = inputs(Sales)
    built = (
        Workflow.builder("w", inputs=Sales)
        .add(echo, [src.path, src.top, src.price.amount, src.price.shown, {"all": src}])
        .build()
    )
    given = Sales(path=Path("a"), price=Price(amount=2.5))
    assert built.run(given, runner=INLINE).value == [Path("a"), 10, 2.5, "2.5 EUR", {"all": given}]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pth", "the input Sales has no field 'pth'; did you mean 'path'?"),
        ("qqq", "the input Sales has no field 'qqq'; its fields are path, top, price"),
    ],
)
def test_a_typo_in_a_field_is_refused_at_once(name: str, message: str) -> None:
    with pytest.raises(PlaceholderError) as caught:
        getattr(inputs(Sales), name)
    assert str(caught.value) == message


def test_a_model_without_fields_says_so() -> None:
    class Empty(BaseModel):
        pass

    with pytest.raises(PlaceholderError, match=r"^the input Empty has no field 'x'; its fields are none$"):
        _ = inputs(Empty).x  # type: ignore[attr-defined]


def test_a_model_that_allows_more_takes_any_name() -> None:
    built = Workflow.builder("w", inputs=Open).add(echo, inputs(Open).anything).build()  # type: ignore[attr-defined]
    assert built.run(Open(anything=3), runner=INLINE).value == 3  # type: ignore[call-arg]


@pytest.mark.parametrize("model", [3, int, dict, "Sales", None, Sales(path=Path("a"))], ids=range(6))
def test_inputs_takes_a_model_class(model: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^inputs\(\) takes a pydantic model class, not "):
        inputs(model)


def test_inputs_of_one_model_are_the_same_wherever_they_are_asked_for() -> None:
    assert echo(inputs(Sales).path) == echo(inputs(Sales).path)
    assert echo(inputs(Sales).path) != echo(inputs(Sales).top)
