"""The builder: each call gives a new one, `build` checks and freezes."""

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graflow import (
    ConfigurationError,
    DefinitionError,
    DefinitionErrors,
    DuplicateTaskError,
    Edge,
    InvalidTaskIdError,
    LocalRunner,
    SerializationError,
    Task,
    UnboundParameterError,
    UnknownTaskError,
    WiringError,
    Workflow,
    WorkflowBuilder,
    inputs,
    task,
)

INLINE = LocalRunner(executor="inline")


class Sales(BaseModel, frozen=True):
    path: Path
    top: int = 10


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
def minus(x: int, y: int = 0, *, scale: int = 1) -> int:
    return (x - y) * scale


@task
def read(path: Path) -> list[str]:
    return path.name.split(".")


@task
def first(rows: list[str], top: int) -> list[str]:
    return rows[:top]


def new(name: str = "w") -> WorkflowBuilder[None, None]:
    return Workflow.builder(name)


# --- the flow ---


def test_the_whole_flow() -> None:
    src = inputs(Sales)
    sales = (
        Workflow.builder("sales", inputs=Sales)
        .add(read, path=src.path)
        .add(first, rows=read.out, top=src.top)
        .then(Task("count", len))
        .build(returns=first)
    )
    assert isinstance(sales, Workflow)
    assert (sales.name, sales.inputs, sales.returns) == ("sales", Sales, "first")
    run = sales.run(Sales(path=Path("a.b.c"), top=2), runner=INLINE)
    assert run.value == ["a", "b"]
    assert run["count"] == 2


def test_add_takes_inputs_as_the_function_does_or_a_bound_task() -> None:
    by_name = new().add(minus, x=5, y=3).build()
    by_position = new().add(minus, 5, 3).build()
    bound = new().add(minus(5, y=3)).build()
    partly = new().add(minus(y=3), 5).build()
    assert by_name == by_position == bound == partly
    assert by_name.run(runner=INLINE).value == 2


def test_the_value_is_that_of_the_task_added_last() -> None:
    assert new().add(one).add(two).build().run(runner=INLINE).value == 2
    assert new().add_all([two, one]).build().run(runner=INLINE).value == 1
    assert new().add(one).add_all([]).build().run(runner=INLINE).value == 1
    assert new().add(two).add(one).order(one, two).build().run(runner=INLINE).value == 1


def test_the_order_of_adding_does_not_count() -> None:
    forth = new().add(one).add(double, one.out).build(returns=double)
    back = new().add(double, one.out).add(one).build(returns=double)
    assert forth == back
    assert hash(forth) == hash(back)
    assert forth.fingerprint == back.fingerprint
    assert forth.compile().to_json() == back.compile().to_json()


def test_then_feeds_the_first_parameter() -> None:
    built = new().add(two).then(double).then(minus, 1, scale=10).build()
    assert built.run(runner=INLINE).value == 30
    assert built == new().add(two).add(double, two.out).add(minus, double.out, 1, scale=10).build()


def test_then_follows_what_was_added_last() -> None:
    assert new().add_all([one, two]).then(double).build().run(runner=INLINE).value == 4
    inner = new("inner").add(two).add(one).build()
    assert new().add(two.named("x")).include(inner, prefix="p").then(double).build().run(runner=INLINE).value == 2


def test_then_needs_a_task_before_it() -> None:
    with pytest.raises(WiringError) as caught:
        new().then(double)
    assert str(caught.value) == "then(double) needs a task before it; start with .add(double, ...)"


def test_then_refuses_a_task_whose_first_parameter_is_taken() -> None:
    with pytest.raises(WiringError):
        new().add(one).then(double(3))


def test_add_all_takes_any_iterable_once() -> None:
    built = new().add_all(double(k).named(f"d{k}") for k in range(5)).build()
    assert list(built.run(runner=INLINE)[f"d{k}"] for k in range(5)) == [0, 2, 4, 6, 8]  # noqa: C400
    assert built.returns == "d4"


def test_order_runs_one_after_the_other() -> None:
    a, b, c = (one.named(name) for name in "abc")
    built = new().add(c).add(b).add(a).order(a, b, c).build()
    assert built.edges == (Edge("a", "b", False), Edge("b", "c", False))
    assert list(built.tasks) == ["a", "b", "c"]


def test_order_may_come_before_the_tasks_and_repeat() -> None:
    before = new().order(one, two).add(two).add(one)
    after = new().add(two).add(one).order(one, two).order(one, two)
    assert before.build() == after.build()
    assert new().add(one).order().order(one).build() == new().add(one).build()


def test_order_equals_after() -> None:
    assert new().add(one).add(two).order(one, two).build() == new().add(one).add(two.after(one)).build()


def test_an_order_beside_data_adds_nothing() -> None:
    wired = new().add(one).add(double, one.out)
    assert wired.order(one, double).build().edges == wired.build().edges == (Edge("one", "double", True),)


def test_order_of_a_task_that_was_not_added_is_refused() -> None:
    with pytest.raises(UnknownTaskError) as caught:
        new().add(one).order(one, two).build()
    assert (
        str(caught.value)
        == "order() names task 'two', but workflow 'w' has no task 'two'; add it, or correct the reference"
    )


@pytest.mark.parametrize("turned", [False, True])
def test_order_means_the_very_task_that_was_added(turned: bool) -> None:
    other = Task("two", lambda: 3)
    names = (other, one) if turned else (one, other)
    with pytest.raises(DuplicateTaskError):
        new().add(one).add(two).order(*names).build()


@pytest.mark.parametrize("turned", [False, True])
def test_order_must_not_contradict_the_inputs_of_what_was_added(turned: bool) -> None:
    names = (double(2), one) if turned else (one, double(2))
    with pytest.raises(DuplicateTaskError):
        new().add(one).add(double(1)).order(*names).build()


# --- references ---


def test_a_reference_means_the_task_added_under_its_id() -> None:
    assert new().add(double, 3).add(minus, double.out).build().run(runner=INLINE).value == 6
    assert new().add(double(3)).add(minus, double(3).out).build().run(runner=INLINE).value == 6


def test_a_reference_that_carries_other_inputs_is_refused() -> None:
    with pytest.raises(DuplicateTaskError) as caught:
        new().add(double, 3).add(minus, double(4).out).build()
    assert "the reference has x=4, the other 3" in str(caught.value)
    with pytest.raises(DuplicateTaskError, match=r"the reference has x=True, the other 1"):
        new().add(double, 1).add(minus, double(True).out).build()


def test_a_reference_to_an_unbound_task_may_not_carry_inputs() -> None:
    @task
    def optional(x: int = 1) -> int:
        return x

    with pytest.raises(DuplicateTaskError, match=r"the reference has x=5, the other nothing"):
        new().add(optional).add(double, optional(5).out).build()


def test_a_reference_with_another_callable_is_refused() -> None:
    other = Task("one", lambda: 5)
    for added in (double(other.out), double(1).after(other), double([other.out])):
        with pytest.raises(DuplicateTaskError, match=r"means another task than the one of that id in workflow 'w'"):
            new().add(one).add(added).build()


def test_returns_means_the_very_task_that_was_added() -> None:
    with pytest.raises(DuplicateTaskError, match=r"^returns= names task 'one', but means another"):
        new().add(one).build(returns=Task("one", lambda: 5))
    with pytest.raises(DuplicateTaskError):
        new().add(double, 1).build(returns=double(2))
    assert new().add(double, 1).add(one).build(returns=double(1)).returns == "double"


# --- immutable ---


def test_each_call_gives_a_new_builder() -> None:
    base = new().add(one)
    for other in (base.add(two), base.then(double), base.add_all([two]), base.order(one)):
        assert other is not base
    assert list(base.build().tasks) == ["one"]


def test_a_half_built_builder_is_a_template() -> None:
    template = new().add(one)
    doubled, reduced = template.then(double), template.then(minus, 5)
    assert doubled.build().run(runner=INLINE).value == 2
    assert reduced.build().run(runner=INLINE).value == -4
    assert template.build() == template.build() == new().add(one).build()


def test_a_builder_may_build_many_times() -> None:
    builder = new().add_all(iter([one, two]))
    assert builder.build() == builder.build()


@pytest.mark.parametrize("name", ["_name", "_item", "name", "tasks"])
def test_a_builder_cannot_be_edited(name: str) -> None:
    builder = new().add(one)
    with pytest.raises(AttributeError):
        setattr(builder, name, "x")
    assert list(builder.build().tasks) == ["one"]


def test_a_list_given_to_add_all_may_be_edited_later() -> None:
    tasks: list[Task[..., Any]] = [one]
    builder = new().add_all(tasks)
    tasks.append(two)
    assert list(builder.build().tasks) == ["one"]


def test_a_call_costs_the_same_however_long_the_workflow_is() -> None:
    def calls(builder: WorkflowBuilder[Any, Any]) -> int:
        count = 0

        def profile(_frame: Any, event: str, _arg: Any) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(profile)
        try:
            builder.add(one).then(double).order(one, two).add_all([two])
        finally:
            sys.setprofile(None)
        return count

    short, long = new().add(one), new().add_all(one.named(f"t{k}") for k in range(5_000))
    for k in range(5_000):
        long = long.add(one.named(f"u{k}"))
    assert calls(long) == calls(short)


def test_a_long_builder_overflows_nothing() -> None:
    builder: WorkflowBuilder[Any, Any] = new().add(one.named("t0"))
    for k in range(1, 5_000):
        builder = builder.then(double.named(f"t{k}"))
    assert len(builder.build().tasks) == 5_000
    del builder


# --- what is refused at once ---


@pytest.mark.parametrize("what", [3, None, "one", one.fn, one | two, one.out], ids=range(6))
@pytest.mark.parametrize("method", ["add", "then", "order", "add_all"])
def test_every_call_takes_tasks(method: str, what: Any) -> None:
    builder = new().add(one)
    with pytest.raises(WiringError, match=rf"^{method}\(\) takes a task, not .*; make one with @task$"):
        getattr(builder, method)([what] if method == "add_all" else what)


def test_inputs_that_do_not_fit_are_refused_by_the_call() -> None:
    with pytest.raises(WiringError):
        new().add(one, 5)
    with pytest.raises(WiringError):
        new().add(double, y=5)
    with pytest.raises(WiringError):
        new().add(double(1), 2)


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_a_workflow_needs_a_name(name: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^a workflow needs a name, not "):
        Workflow.builder(name)
    with pytest.raises(ConfigurationError):
        Workflow.of(name, one, returns=one)


@pytest.mark.parametrize("model", [int, dict, 3, "Sales", Sales(path=Path("a"))], ids=range(5))
def test_inputs_are_a_model_class(model: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^workflow 'w': inputs= takes a pydantic model class, not "):
        Workflow.builder("w", inputs=model)


def test_builders_and_workflows_are_not_constructed() -> None:
    with pytest.raises(ConfigurationError):
        WorkflowBuilder()
    with pytest.raises(ConfigurationError):
        Workflow()


# --- build ---


def test_an_empty_workflow_is_one() -> None:
    empty = new().build()
    assert (dict(empty.tasks), empty.edges, empty.returns) == ({}, (), None)
    assert empty.run(runner=INLINE).value is None
    assert empty == new().build()


def test_nothing_is_checked_before_build() -> None:
    broken = new().add(one).add(one).add(double).add(minus, two.out).add(one.named("a/b"))
    with pytest.raises(DefinitionError) as caught:
        broken.build()
    assert caught.type is DefinitionErrors


def test_build_may_ask_for_portability() -> None:
    import threading

    lock = threading.Lock()

    @task
    def locked() -> int:
        with lock:
            return 1

    builder = new().add(locked)
    assert builder.build().run(runner=INLINE).value == 1
    with pytest.raises(SerializationError) as caught:
        builder.build(portable=True)
    assert "'locked'" in str(caught.value)
    assert "closure variable 'lock'" in str(caught.value)
    assert new().add(one).build(portable=True) == new().add(one).build()


def test_definition_errors_come_before_portability() -> None:
    import threading

    lock = threading.Lock()
    with pytest.raises(UnboundParameterError):
        new().add(double).add(Task("locked", lambda: lock)).build(portable=True)


# --- include ---


def test_include_adds_all_tasks_under_a_prefix() -> None:
    inner = new("inner").add(one).add(double, one.out).build()
    built = new().include(inner, prefix="p").include(inner, prefix="q").build()
    assert list(built.tasks) == ["p/one", "q/one", "p/double", "q/double"]
    assert built.returns == "q/double"


@pytest.mark.parametrize("prefix", ["", "a/b", ".a", "a b"])
def test_a_prefix_is_one_legal_id(prefix: str) -> None:
    inner = new("inner").add(one).build()
    with pytest.raises(InvalidTaskIdError):
        new().include(inner, prefix=prefix)


@pytest.mark.parametrize("what", [one, None, "inner", new().add(one)], ids=range(4))
def test_include_takes_a_workflow(what: Any) -> None:
    with pytest.raises(WiringError, match=r"^include\(\) takes a workflow, not "):
        new().include(what, prefix="p")


@pytest.mark.parametrize("wrong", [double.out, double.fn, 3], ids=["result", "function", "number"])
def test_what_is_returned_is_a_task(wrong: Any) -> None:
    with pytest.raises(WiringError, match=r"^returns= takes a task, not "):
        new().add(double, 1).build(returns=wrong)
    with pytest.raises(WiringError, match=r"^returns= takes a task, not "):
        Workflow.of("w", double(1), returns=wrong)
