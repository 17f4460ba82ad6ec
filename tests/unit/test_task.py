"""A task is a frozen value: made, bound, renamed, ordered and joined, and never edited."""

import asyncio
import copy
import functools
import operator
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import cloudpickle
import numpy as np
import pytest

import graflow
from graflow import (
    ConfigurationError,
    Group,
    InvalidTaskError,
    InvalidTaskIdError,
    LocalRunner,
    Task,
    TaskWrapper,
    UnboundParameterError,
    WiringError,
    Workflow,
    task,
    workflow,
)

INLINE = LocalRunner(executor="inline")


@task
def one() -> int:
    return 1


@task
def two() -> int:
    return 2


@task
def double(x: int) -> int:
    return 2 * x


@task
def minus(x: int, y: int, *, scale: int = 1) -> int:
    return (x - y) * scale


@task
def collect(*parts: Any, **named: Any) -> Any:
    return parts, named


def value_of(last: Task[..., Any]) -> Any:
    """The result of a task and all it refers to."""
    return Workflow.of("w", last, returns=last).run(runner=INLINE).value


def edges_of(*tasks: Task[..., Any]) -> set[tuple[str, str, bool]]:
    """All edges of a workflow of these tasks."""
    return set(Workflow.of("w", *tasks, returns=tasks[-1]).edges)


# --- made ---


def test_the_decorator_takes_the_name_of_the_function() -> None:
    assert isinstance(one, Task)
    assert one.id == "one"


def test_the_decorator_takes_an_id_and_policies() -> None:
    @task(id="fetch-page", timeout=30, queue="io", executor="inline")
    def fetch(url: str) -> bytes:
        return b""

    assert fetch.id == "fetch-page"
    assert (fetch.policy.timeout, fetch.policy.queue, fetch.policy.executor) == (30.0, "io", "inline")


def test_a_task_asks_for_nothing_by_default() -> None:
    assert (one.policy.timeout, one.policy.queue, one.policy.executor) == (None, "default", None)


def test_a_timeout_may_be_a_timedelta() -> None:
    assert one.with_policy(timeout=timedelta(minutes=1)).policy.timeout == 60.0


@pytest.mark.parametrize(
    "fn", [lambda x: x + 10, functools.partial(lambda a, b: a + b, 10), (10).__add__], ids=range(3)
)
def test_any_callable_makes_a_task(fn: Any) -> None:
    add_ten = Task("add_ten", fn)
    assert value_of(add_ten(32)) == 42


def test_a_class_and_a_callable_object_make_tasks() -> None:
    class Adds:
        def __init__(self, n: int) -> None:
            self.n = n

        def __call__(self, x: int) -> int:
            return self.n + x

    assert value_of(Task("adds", Adds(10))(32)) == 42
    assert value_of(Task("make", Adds)(3)).n == 3


def test_task_wrapper_is_another_name_of_task() -> None:
    assert TaskWrapper is Task
    assert graflow.TaskWrapper("a", lambda: 1).id == "a"


def test_the_plain_function_is_there_for_unit_tests() -> None:
    assert double.fn(21) == 42
    assert double.fn.__name__ == "double"


def test_an_async_task_is_awaited_by_the_runner() -> None:
    @task(id="fetch-page")
    async def fetch(url: str) -> str:
        await asyncio.sleep(0)
        return url.upper()

    assert value_of(fetch("a")) == "A"
    assert asyncio.run(fetch.fn("b")) == "B"


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


class Methods:
    def generator(self) -> Iterator[int]:
        yield 1

    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    "fn",
    [
        generator, async_generator, functools.partial(generator), Methods().generator, Methods(), (lambda: (yield)),
        classmethod(lambda cls: 1), staticmethod(lambda: 1), one, one.named("x"), one(), 3, None, "one", [one],
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_a_task_is_refused(fn: Any) -> None:
    with pytest.raises(InvalidTaskError):
        Task("t", fn)
    if fn is not None:
        with pytest.raises(InvalidTaskError):
            task(fn)
    with pytest.raises(InvalidTaskError):
        task(id="t")(fn)


@pytest.mark.parametrize("id", [3, None, b"x", ["x"]])
def test_an_id_is_text(id: Any) -> None:
    with pytest.raises(InvalidTaskIdError):
        Task(id, lambda: 1)
    with pytest.raises(InvalidTaskIdError):
        one.named(id)


def test_a_callable_without_a_name_needs_an_id() -> None:
    nameless = functools.partial(double.fn, 1)
    with pytest.raises(InvalidTaskIdError):
        task(nameless)
    assert task(id="named")(nameless).id == "named"


@pytest.mark.parametrize(
    "policy",
    [{"colour": "red"}, {"timeout": -1}, {"timeout": 0}, {"timeout": "soon"}, {"queue": ""}, {"executor": "gpu"}],
    ids=str,
)
def test_an_impossible_policy_is_refused_at_once(policy: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Task("t", lambda: 1, **policy)
    with pytest.raises(ConfigurationError):
        task(**policy)(lambda: 1)
    with pytest.raises(ConfigurationError):
        one.with_policy(**policy)


# --- frozen ---


@pytest.mark.parametrize("name", ["id", "fn", "out", "policy", "_id", "_bound", "anything"])
def test_nothing_of_a_task_can_be_set_or_deleted(name: str) -> None:
    before = repr(one)
    with pytest.raises(AttributeError):
        setattr(one, name, "x")
    with pytest.raises(AttributeError):
        delattr(one, name)
    assert repr(one) == before


def test_every_method_gives_a_new_task_and_leaves_the_old_one() -> None:
    fresh = Task("fresh", lambda x: x)
    twin = Task("fresh", fresh.fn)
    for new in (fresh(1), fresh.named("x"), fresh.after(one), fresh.with_policy(queue="io"), one >> fresh):
        assert new is not fresh
        assert new != fresh
    assert fresh == twin


def test_a_copy_of_a_task_is_the_task() -> None:
    bound = double([1])
    assert copy.copy(bound) is bound
    assert copy.deepcopy([bound])[0] is bound


def test_a_task_is_neither_true_nor_false() -> None:
    with pytest.raises(WiringError, match=r"^task 'one' is the definition of work, neither true nor false; "):
        bool(one)
    with pytest.raises(WiringError):
        not one
    with pytest.raises(WiringError):
        1 if one else 2


def test_the_repr_names_the_task_and_its_inputs() -> None:
    assert repr(one) == "<task 'one'>"
    assert repr(minus(1, y=two.out)) == "<task 'minus' with x=1, y=two.out>"


def test_a_repr_that_raises_does_no_harm() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert "double" in repr(double(Rude()))


# --- called ---


def test_calling_a_task_never_runs_it() -> None:
    calls = []

    @task
    def noisy(x: int) -> int:
        calls.append(x)
        return x

    bound = noisy(3)
    assert isinstance(bound, Task)
    assert bound.id == "noisy"
    assert calls == []
    assert value_of(bound) == 3
    assert calls == [3]


def test_inputs_may_be_bound_little_by_little() -> None:
    assert value_of(minus(5)(3)) == 2
    assert value_of(minus(y=5)(3)) == -2
    assert value_of(minus(y=5)(3)(scale=10)) == -20
    assert value_of(minus(scale=2)(x=1, y=2)) == -2


def test_extra_inputs_go_to_args_and_kwargs() -> None:
    assert value_of(collect(1, one.out, a=2, b=two.out)) == ((1, 1), {"a": 2, "b": 2})
    assert value_of(collect(1)(2, z=3)(y=4)) == ((1, 2), {"y": 4, "z": 3})


def test_parameters_of_every_kind_arrive() -> None:
    @task
    def every(a: int, /, b: int, c: int = 3, *rest: int, d: int, e: int = 5, **more: int) -> Any:
        return a, b, c, rest, d, e, more

    assert value_of(every(1, 2, d=4)) == (1, 2, 3, (), 4, 5, {})
    assert value_of(every(1, b=2, d=4, e=6, f=7, a=8)) == (1, 2, 3, (), 4, 6, {"f": 7, "a": 8})
    assert value_of(every(one.out, 2, 9, 10, two.out, d=4)) == (1, 2, 9, (10, 2), 4, 5, {})


def test_a_default_between_inputs_is_kept() -> None:
    @task
    def three(a: int, b: int = 20, c: int = 30) -> Any:
        return a, b, c

    assert value_of(three(1, c=one.out)) == (1, 20, 1)


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        (lambda: double(1, 2), "task 'double' takes 1 input by position, but 2 were given"),
        (lambda: one(1), "task 'one' takes no inputs by position, but 1 was given"),
        (lambda: minus(1, 2, 3), "task 'minus' takes 2 inputs by position, but 3 were given"),
        (lambda: minus(1, x=2), "parameter 'x' of task 'minus' has an input already; bind it once"),
        (lambda: minus(x=1)(x=1), "parameter 'x' of task 'minus' has an input already; bind it once"),
        (lambda: collect(a=1)(a=1), "parameter 'a' of task 'collect' has an input already; bind it once"),
        (lambda: minus(1, 2, scal=3), "task 'minus' has no parameter 'scal'; did you mean 'scale'?"),
        (lambda: minus(1, 2, q=3), "task 'minus' has no parameter 'q'; it has x, y, scale"),
        (lambda: one(q=3), "task 'one' has no parameter 'q'; it has no parameters"),
        (lambda: double(one), "input 'x' of task 'double' is task 'one' itself; pass its result, one.out"),
        (lambda: double([one]), "input 'x' of task 'double' is task 'one' itself; pass its result, one.out"),
        (
            lambda: double(one | two),
            "input 'x' of task 'double' is a group of tasks itself; pass the results one by one",
        ),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_refused_when_bound(bind: Any, message: str) -> None:
    with pytest.raises(WiringError) as caught:
        bind()
    assert str(caught.value) == message


def test_a_positional_only_parameter_is_not_given_by_name() -> None:
    @task
    def strict(value: int, /) -> int:
        return value

    with pytest.raises(WiringError) as caught:
        strict(value=1)
    assert (
        str(caught.value) == "task 'strict' has no parameter 'value'; 'value' is positional-only, give it by position"
    )


# --- named, after, policies ---


def test_named_changes_the_id_alone() -> None:
    other = double(4).named("other")
    assert other.id == "other"
    assert value_of(other) == 8
    assert other.fn is double.fn


def test_after_orders_without_data() -> None:
    ordered = two.after(one, double(3))
    assert edges_of(ordered) == {("one", "two", False), ("double", "two", False)}
    assert value_of(ordered) == 2


@pytest.mark.parametrize("what", ["one", None, one | two, one.out], ids=repr)
def test_after_takes_tasks_alone(what: Any) -> None:
    with pytest.raises(WiringError, match="can run after tasks, not after"):
        two.after(what)


def test_policies_add_up_and_the_last_word_counts() -> None:
    changed = one.with_policy(queue="io", timeout=5).with_policy(timeout=6)
    assert (changed.policy.queue, changed.policy.timeout) == ("io", 6.0)


# --- equality and hash ---


def test_a_task_equals_one_that_says_the_same() -> None:
    assert double(3) == double(3)
    assert hash(double(3)) == hash(double(3))
    assert double(3).named("a").after(one, two).with_policy(queue="io") == double.with_policy(queue="io").after(
        two, one
    ).named("a")(3)


def test_a_call_by_position_equals_the_same_call_by_name() -> None:
    assert minus(1, 2) == minus(x=1, y=2) == minus(y=2, x=1) == minus(y=2)(1)
    assert collect(a=1, b=2) == collect(b=2, a=1)


def test_the_order_of_adding_edges_does_not_count() -> None:
    assert two.after(one).after(double(1)) == two.after(double(1), one)
    assert two.after(one, one) == two.after(one)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, True), (1, 1.0), (0, False), ([1], [True]), ((1,), [1]), ({"a": 1}, {"a": 1.0}), ({1}, {True}),
        ({1: "x"}, {True: "x"}), ("1", b"1"), (None, 0), ([1], [1, 1]), ({1}, frozenset({1})), (1, one.out),
        ([one.out], [two.out]), ([one.out], (one.out,)), (one.out, one.out[0]), (one.out[0], one.out["0"]),
        (one.out[1], one.out[True]), ({"a": one.out}, {"b": one.out}), (one.out, one.named("x").out),
    ],
    ids=repr,
)  # fmt: skip
def test_equality_is_sensitive_to_types_and_content(a: Any, b: Any) -> None:
    assert double(a) != double(b)
    assert double(a) == double(a)
    hash(double(a)), hash(double(b))


def test_the_callable_counts_by_identity() -> None:
    def make() -> Any:
        return lambda: 1

    first, second = make(), make()
    assert Task("t", first) == Task("t", first)
    assert Task("t", first) != Task("t", second)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (one, two), (one, one.named("x")), (one, one.after(two)), (two.after(one), two.after(one.named("x"))),
        (one, one.with_policy(queue="io")), (one.with_policy(timeout=1), one.with_policy(timeout=2)),
        (double(1), double), (collect(1), collect), (collect(1), collect(a=1)),
    ],
    ids=range(9),
)  # fmt: skip
def test_every_part_of_a_task_counts(a: Task[..., Any], b: Task[..., Any]) -> None:
    assert a != b


def test_a_policy_equals_its_other_spelling() -> None:
    assert (
        one.with_policy(timeout=30) == one.with_policy(timeout=30.0) == one.with_policy(timeout=timedelta(seconds=30))
    )
    assert one.with_policy() == one


def test_a_task_is_no_other_thing() -> None:
    assert one != "one"
    assert one != one.fn
    assert one is not None
    assert one == one


class Rude:
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compare me not")


ARRAY, NAN, RUDE = np.arange(3), float("nan"), Rude()


@pytest.mark.parametrize(
    "make",
    [
        lambda: ARRAY, lambda: NAN, lambda: RUDE, lambda: [ARRAY], lambda: {"a": NAN}, lambda: (RUDE, NAN),
        lambda: {"deep": [{"er": (ARRAY, [RUDE])}]},
    ],
    ids=range(7),
)  # fmt: skip
def test_awkward_inputs_equal_themselves(make: Any) -> None:
    assert double(make()) == double(make())
    assert hash(double(make())) == hash(double(make()))


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.arange(3), lambda: float("nan"), Rude, lambda: [np.arange(2)], lambda: {"x": [float("nan")]},
        lambda: np.ma.masked_array([1], [True]),
    ],
    ids=range(6),
)  # fmt: skip
def test_equality_never_raises_and_hash_never_fails(make: Any) -> None:
    a, b = double(make()), double(make())
    assert isinstance(a == b, bool)
    assert isinstance(a != b, bool)
    hash(a), hash(b)
    assert Workflow.of("w", a, returns=a) == Workflow.of("w", a, returns=a)


def test_an_object_that_refuses_every_question_can_be_bound() -> None:
    class Proxy:
        @property
        def __class__(self) -> Any:
            raise RuntimeError("no context")

    proxy = Proxy()
    assert double(proxy) == double(proxy)
    assert double(proxy) != double(Proxy())
    hash(double(proxy))


def test_a_container_of_the_users_own_that_cannot_be_iterated_can_be_bound() -> None:
    class Lazy(list[int]):
        def __iter__(self) -> Iterator[int]:
            raise RuntimeError("not loaded")

    lazy = Lazy([1])
    assert double(lazy) == double(lazy)


def test_an_upstream_counts_as_its_id_and_callable() -> None:
    assert double(minus(1, 2).out) == double(minus(3, 4).out)
    assert two.after(minus(1, 2)) == two.after(minus)


# --- travelling ---


def travelled(value: Any) -> Any:
    return cloudpickle.loads(cloudpickle.dumps(value))


def test_a_task_survives_a_trip() -> None:
    before = minus(one.out, y=[two.out, 3], scale=2).named("m").after(two).with_policy(queue="io")
    after = travelled(before)
    assert (after.id, after.policy) == (before.id, before.policy)
    assert repr(after) == repr(before)


def test_a_trip_keeps_what_was_equal_together() -> None:
    a, b, c = travelled((double(1), double(1), double(2)))
    assert a == b
    assert hash(a) == hash(b)
    assert a != c


def test_an_upstream_travels_as_its_id_and_callable() -> None:
    heavy = double("heavy" * 10_000)
    assert len(cloudpickle.dumps(two.after(heavy))) < 5_000
    assert len(cloudpickle.dumps(minus(heavy.out, heavy.out[0]))) < 5_000


# --- methods ---


class Scaled:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    @task
    def execute(self, x: int) -> int:
        return self.factor * x

    @task(id="other")
    def plain(self) -> int:
        return self.factor

    @staticmethod
    @task
    def static(x: int) -> int:
        return x


def test_a_method_task_has_its_object_bound() -> None:
    assert Scaled(3).execute.id == "execute"
    assert value_of(Scaled(3).execute(4)) == 12
    assert value_of(Scaled(3).plain()) == 3
    assert value_of(Scaled(5).plain) == 5
    assert value_of(Scaled.static(4)) == 4


def test_a_method_task_on_the_class_is_the_definition() -> None:
    assert Scaled.execute is Scaled.__dict__["execute"]
    assert value_of(Scaled.execute(Scaled(3), 4)) == 12


def test_method_tasks_of_several_objects_are_named_apart() -> None:
    tasks = [Scaled(n).execute(1).named(f"execute_{n}") for n in (1, 2)]
    run = Workflow.builder("w").add_all(tasks).build().run(runner=INLINE)
    assert [run[each] for each in tasks] == [1, 2]


def test_a_method_task_is_fed_after_self() -> None:
    assert value_of(one >> Scaled(7).execute) == 7


def test_a_method_task_equals_that_of_the_same_object() -> None:
    scaled = Scaled(3)
    assert scaled.execute(1) == scaled.execute(1)
    assert scaled.execute(1) != Scaled(3).execute(1)


def test_a_task_without_a_free_first_parameter_is_no_method() -> None:
    class Wrong:
        none = one
        taken = double(3)

    with pytest.raises(InvalidTaskError):
        _ = Wrong().none
    with pytest.raises(InvalidTaskError):
        _ = Wrong().taken


# --- joined ---


def test_a_result_fills_the_parameter() -> None:
    assert value_of(one >> double >> double.named("again")) == 4
    assert edges_of(one >> double) == {("one", "double", True)}


def test_what_is_bound_already_is_not_fed_again() -> None:
    assert value_of(one >> minus(10)) == 9
    assert value_of(one >> minus(y=10)) == -9


def test_nothing_to_fill_is_only_an_order() -> None:
    assert edges_of(one >> two) == {("one", "two", False)}
    assert edges_of(one >> double(7)) == {("one", "double", False)}


def test_defaults_and_args_are_never_fed() -> None:
    @task
    def cured(i: int = 5) -> int:
        return i

    assert value_of(one >> cured) == 5
    assert value_of(one >> collect) == ((), {})


def test_a_group_fills_the_parameters_in_order() -> None:
    assert value_of((one | two) >> minus) == -1
    assert value_of((two | one) >> minus) == 1


def test_too_few_results_leave_a_parameter_without_source() -> None:
    with pytest.raises(UnboundParameterError):
        value_of(one >> minus)


def test_more_results_than_free_parameters_are_refused() -> None:
    with pytest.raises(WiringError) as caught:
        (one | two) >> double
    assert str(caught.value) == (
        "2 results cannot feed task 'double', which has 1 free parameter ('x'); name the inputs in a call, or use fewer"
    )
    with pytest.raises(
        WiringError, match=r"^3 results cannot feed task 'minus', which has 2 free parameters \('x', 'y'\)"
    ):
        (one | two | double) >> minus


def test_a_task_fans_out() -> None:
    group = one >> (double | double.named("again"))
    assert isinstance(group, Group)
    assert edges_of(*group.members) == {("one", "double", True), ("one", "again", True)}
    assert value_of(group >> minus) == 0


def test_a_group_before_a_group_orders_every_pair() -> None:
    group = (one | two) >> (double(1) | minus(1, 2))
    assert edges_of(*group.members) == {
        ("one", "double", False), ("two", "double", False), ("one", "minus", False), ("two", "minus", False)
    }  # fmt: skip


def test_a_group_before_what_needs_nothing_is_an_order() -> None:
    assert edges_of((one | two) >> double(1)) == {("one", "double", False), ("two", "double", False)}


def test_groups_are_flat_and_keep_their_order() -> None:
    group = one | two | double
    assert group.members == (one, two, double)
    assert (one | (two | double)).members == (one, two, double)
    assert ((one | two) | (double | minus)).members == (one, two, double, minus)
    assert (one | two).members == (one, two)


def test_a_group_is_not_changed_by_what_is_made_from_it() -> None:
    group = one | two
    _ = group | double, group >> minus
    assert group.members == (one, two)


@pytest.mark.parametrize("other", [3, None, "two", lambda: 1, one.fn], ids=range(5))
def test_tasks_are_joined_with_tasks_alone(other: Any) -> None:
    for join in (lambda: one >> other, lambda: one | other, lambda: (one | two) >> other, lambda: (one | two) | other):
        with pytest.raises(TypeError):
            join()


def test_a_thousand_after_a_thousand_cost_their_sum() -> None:
    lefts = [Task(f"a{k}", one.fn) for k in range(1000)]
    rights = [Task(f"b{k}", one.fn) for k in range(1000)]
    left, right = functools.reduce(lambda x, y: x | y, lefts), functools.reduce(lambda x, y: x | y, rights)  # type: ignore[arg-type, return-value]
    group = left >> right
    built = Workflow.of("wide", *group.members, returns=group.members[-1])
    plan = built.compile()
    assert len(plan) == 2000
    assert len(list(plan.links())) == 2000
    run = built.run(runner=INLINE)
    assert len(run.tasks) == 2000
    latest = max(run.tasks[each.id].started or 0.0 for each in lefts)
    assert latest <= min(run.tasks[each.id].started or 0.0 for each in rights)


def calls_during(action: Callable[[], object]) -> int:
    """How many Python calls an action makes: a measure that no other program on the machine disturbs."""
    calls = 0

    def count(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    return calls


def wide(n: int) -> Group[*tuple[Any, ...]]:
    """As many tasks after as many tasks."""
    tick = Task("tick", lambda: None)
    sides: list[Any] = [
        functools.reduce(operator.or_, (tick.named(f"{side}{k}") for k in range(n))) for side in ("a", "b")
    ]
    group: Group[*tuple[Any, ...]] = sides[0] >> sides[1]
    return group


def by_expression(n: int) -> Workflow[Any, Any]:
    members = wide(n).members
    return Workflow.of("wide", *members, returns=members[0])


def by_block(n: int) -> Workflow[Any, Any]:
    with workflow("wide") as wf:
        wide(n)
    return wf.workflow


def by_builder(n: int) -> Workflow[Any, Any]:
    lefts = [one.named(f"a{k}") for k in range(n)]
    return Workflow.builder("wide").add_all([*lefts, *wide_rights(lefts)]).build()


def wide_rights(lefts: list[Task[..., Any]]) -> tuple[Any, ...]:
    rights: Any = functools.reduce(operator.or_, (one.named(f"b{k}") for k in range(len(lefts))))
    members: tuple[Any, ...] = (functools.reduce(operator.or_, lefts) >> rights).members
    return members


@pytest.mark.parametrize("form", [by_expression, by_block, by_builder])
def test_groups_after_groups_cost_their_sum_to_build(form: Callable[[int], Workflow[Any, Any]]) -> None:
    form(10)  # what the first call loads is not part of the cost
    small, large = calls_during(lambda: form(30)), calls_during(lambda: form(240))
    assert large < 12 * small


@pytest.mark.parametrize("what", ["compile", "fingerprint", "compare", "hash", "renamed"])
def test_groups_after_groups_cost_their_sum_to_use(what: str) -> None:
    def use(pair: list[Workflow[Any, Any]]) -> object:
        a, b = pair
        match what:
            case "compile":
                return a.compile()
            case "fingerprint":
                return a.fingerprint
            case "compare":
                return a == b
            case "hash":
                return hash(a)
        return a.renamed("p")

    def fresh(n: int) -> list[Workflow[Any, Any]]:
        return [by_expression(n), by_expression(n)]

    use(fresh(10))
    small, large = fresh(30), fresh(240)
    assert calls_during(lambda: use(large)) < 12 * calls_during(lambda: use(small))


# --- long chains ---


@pytest.fixture(scope="module")
def chain() -> tuple[list[Task[..., Any]], Workflow[None, Any]]:
    """A hundred thousand tasks, each fed by the one before."""
    add = Task("add", lambda x: x + 1)
    tasks: list[Task[..., Any]] = [Task("t0", lambda: 0)]
    for k in range(1, 100_000):
        tasks.append(tasks[-1] >> add.named(f"t{k}"))
    return tasks, Workflow.of("chain", tasks[-1], returns=tasks[-1])


def test_a_long_chain_hashes_compares_and_pickles(chain: tuple[list[Task[..., Any]], Any]) -> None:
    tasks, _ = chain
    last = tasks[-1]
    add = last.named("add")
    assert hash(last) == hash(tasks[-2] >> Task("t99999", last.fn))
    assert last == tasks[-2] >> Task("t99999", last.fn)
    assert last != add
    assert len(cloudpickle.dumps(last)) < 5_000
    assert len({*tasks}) == 100_000
    assert "t99998.out" in repr(last)
    assert copy.deepcopy(last) is last


def test_a_long_chain_is_built_compared_and_run(chain: tuple[list[Task[..., Any]], Workflow[None, Any]]) -> None:
    tasks, built = chain
    again = Workflow.builder("chain").add_all(tasks).build()
    assert again == built
    assert hash(again) == hash(built)
    assert len(built.edges) == 99_999
    assert built.run(runner=INLINE).value == 99_999


def test_a_long_chain_travels(chain: tuple[list[Task[..., Any]], Workflow[None, Any]]) -> None:
    _, built = chain
    there: Workflow[None, Any] = travelled(built)
    assert len(there.tasks) == 100_000
    assert there.edges == built.edges


def test_a_long_chain_of_order_alone() -> None:
    tick = Task("tick", lambda: None)
    last = tick.named("t0")
    for k in range(1, 20_000):
        last = last >> tick.named(f"t{k}")
    built = Workflow.of("ticks", last, returns=last)
    assert max(built.compile().levels) == 19_999
    assert built.run(runner=INLINE).value is None
