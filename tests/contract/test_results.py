"""Every runner: what goes in, what comes out, and that nothing runs early, twice or not at all."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel
from tests.contract.diary import Diary

from graflow import LocalRunner, RunState, Task, Workflow, inputs, task, workflow

pytestmark = pytest.mark.timeout(60)


CALLER: ContextVar[str] = ContextVar("caller", default="nobody")


def add(a: int, b: int = 10, *rest: int, c: int = 100, **more: int) -> int:
    return a + b + sum(rest) + c + sum(more.values())


def one() -> int:
    return 1


def describe(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


@dataclass(frozen=True)
class Point:
    x: int
    rows: list[int]


class Order(BaseModel, frozen=True):
    name: str
    sizes: tuple[int, ...] = (1, 2)


def test_the_value_is_that_of_the_returned_task(every_runner: LocalRunner) -> None:
    first, second = Task("first", one), Task("second", add)
    built = Workflow.builder("w").add(first).add(second, first.out).build(returns=first)
    assert built.run(runner=every_runner).value == 1
    built = Workflow.builder("w").add(first).add(second, first.out).build()
    run = built.run(runner=every_runner)
    assert (run.value, run.state) == (111, RunState.SUCCEEDED)


def test_inputs_arrive_as_they_were_bound(runner: LocalRunner) -> None:
    source = Task("source", lambda: Point(3, [7, 8, 9]))
    sink = Task("sink", describe)
    bound = sink(
        source.out.x,
        [source.out.rows[1], 5, (source.out,)],
        {"rows": source.out.rows[-1], "same": source.out.rows},
        key=source.out,
        plain={"a": [1, 2]},
    )
    args, kwargs = Workflow.builder("w").add(source).add(bound).build().run(runner=runner).value
    assert args == (3, [8, 5, (Point(3, [7, 8, 9]),)], {"rows": 9, "same": [7, 8, 9]})
    assert kwargs == {"key": Point(3, [7, 8, 9]), "plain": {"a": [1, 2]}}


def test_parameters_of_every_kind_are_filled(runner: LocalRunner) -> None:
    source = Task("source", one)
    cases = {
        "defaults": (Task("defaults", add)(source.out), 111),
        "keyword": (Task("keyword", add)(b=source.out, a=2), 103),
        "rest": (Task("rest", add)(1, 2, source.out, source.out), 105),
        "only": (Task("only", add)(source.out, c=source.out), 12),
        "more": (Task("more", add)(1, more=source.out, even=5), 117),
    }
    builder = Workflow.builder("w").add(source).add_all([bound for bound, _ in cases.values()])
    run = builder.build().run(runner=runner)
    assert {id: run[id] for id in cases} == {id: wanted for id, (_, wanted) in cases.items()}


@pytest.mark.parametrize("value", [None, 0, "", [], NotImplemented, ..., ValueError("a value"), RunState.FAILED])
def test_any_value_is_a_result(near_runner: LocalRunner, value: Any) -> None:
    source, sink = Task("source", lambda: value), Task("sink", lambda given: given is value)
    run = Workflow.builder("w").add(source).add(sink, source.out).build().run(runner=near_runner)
    assert run[source] is value
    assert run.value is True


class Sly:
    """A stand-in that has no class to show yet, as lazy proxies have not; nor can it be compared or tested."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("not loaded")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not comparable")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise RuntimeError("neither true nor false")


def test_an_object_that_answers_nothing_is_a_result(near_runner: LocalRunner) -> None:
    sly = Sly()
    source, sink = Task("source", lambda: sly), Task("sink", lambda given: given is sly)
    run = Workflow.builder("w").add(source).add(sink, source.out).build().run(runner=near_runner)
    assert run[source] is sly
    assert run.value is True


def test_values_pass_by_reference_within_the_process(near_runner: LocalRunner) -> None:
    box: list[int] = []
    source, sink = Task("source", lambda: box), Task("sink", lambda given: given)
    assert Workflow.builder("w").add(source).add(sink, source.out).build().run(runner=near_runner).value is box


# ── order ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def written(diary: Diary, id: str) -> Any:
    """A task that writes down its start and its end, and takes whatever it is given."""

    def body(*given: Any) -> str:
        diary.note(f"start {id}")
        diary.note(f"end {id}")
        return id

    return Task(id, body)


def in_order(diary: Diary, edges: list[tuple[str, str]], ids: list[str]) -> bool:
    """Each task ran once, and none before the end of an upstream."""
    lines = diary.lines
    assert Counter(lines) == Counter(f"{what} {id}" for id in ids for what in ("start", "end"))
    at = {line: k for k, line in enumerate(lines)}
    return all(at[f"end {u}"] < at[f"start {d}"] for u, d in edges)


def test_a_diamond_runs_once_after_both_sides(every_runner: LocalRunner, diary: Diary) -> None:
    top, left, right, bottom = (written(diary, id) for id in ("top", "left", "right", "bottom"))
    builder = Workflow.builder("w").add(top).add(left, top.out).add(right, top.out)
    assert builder.add(bottom, left.out, right.out).build().run(runner=every_runner).value == "bottom"
    edges = [("top", "left"), ("top", "right"), ("left", "bottom"), ("right", "bottom")]
    assert in_order(diary, edges, ["top", "left", "right", "bottom"])


def test_groups_order_every_right_after_every_left(runner: LocalRunner, diary: Diary) -> None:
    lefts = [written(diary, f"left{k}") for k in range(3)]
    rights = [written(diary, f"right{k}") for k in range(3)]
    group = (lefts[0] | lefts[1] | lefts[2]) >> (rights[0] | rights[1] | rights[2])
    last = written(diary, "last")
    built = Workflow.of("w", *group.members, returns=last.after(*group.members))
    assert built.run(runner=runner).value == "last"
    ids = [one.id for one in lefts + rights]
    edges = [(u.id, d.id) for u in lefts for d in rights] + [(d.id, "last") for d in rights]
    assert in_order(diary, edges, [*ids, "last"])


def test_random_layers_keep_the_order(runner: LocalRunner, diary: Diary) -> None:
    dice = random.Random(5)
    layers = [[f"t{layer}_{k}" for k in range(5)] for layer in range(6)]
    edges = [
        (u, d)
        for above, below in itertools.pairwise(layers)
        for d in below
        for u in dice.sample(above, dice.randint(0, 3))
    ]
    tasks = {id: written(diary, id) for layer in layers for id in layer}
    # Half of the edges carry a result, all of them are an order.
    carrying = [edge for edge in edges if dice.random() < 0.5]
    bound = [
        one(*(tasks[u].out for u, d in carrying if d == id)).after(*(tasks[u] for u, d in edges if d == id))
        for id, one in tasks.items()
    ]
    run = Workflow.builder("w").add_all(bound).build().run(runner=runner)
    assert in_order(diary, edges, list(tasks))
    assert [run[id] for id in tasks] == list(tasks)


def test_a_long_chain_and_a_wide_fan(every_runner: LocalRunner) -> None:
    increment = Task("increment", lambda x: x + 1)
    chain = [increment(0).named("c0")]
    for k in range(1, 300):
        chain.append(increment(chain[-1].out).named(f"c{k}"))
    fan = [increment(chain[-1].out).named(f"f{k}") for k in range(100)]
    total = Task("total", lambda numbers: sum(numbers))
    built = Workflow.builder("w").add_all([*chain, *fan]).add(total, [one.out for one in fan]).build()
    assert built.run(runner=every_runner).value == 301 * 100


def test_a_workflow_without_tasks_has_no_value(runner: LocalRunner) -> None:
    run = Workflow.builder("w").build().run(runner=runner)
    assert (run.value, run.state, dict(run.tasks)) == (None, RunState.SUCCEEDED, {})


def test_bodies_see_the_context_variables_of_the_caller(near_runner: LocalRunner) -> None:
    async def waits() -> str:
        return CALLER.get()

    plain, waiting, given = Task("plain", CALLER.get), Task("waiting", waits), Task("given", lambda: waits())
    built = Workflow.builder("w").add_all([plain, waiting, given]).build()
    token = CALLER.set("the caller")
    try:
        run = built.run(runner=near_runner)
    finally:
        CALLER.reset(token)
    assert [run["plain"], run["waiting"], run["given"]] == ["the caller"] * 3


def test_a_workflow_can_run_again(runner: LocalRunner) -> None:
    built = Workflow.builder("w").add(Task("one", one)).build()
    runs = [built.run(runner=runner) for _ in range(2)]
    assert [run.value for run in runs] == [1, 1]
    assert runs[0].id != runs[1].id


# ── workflow inputs, nested workflows ───────────────────────────────────────────────────────────────────────────────


def test_inputs_of_the_workflow_reach_the_tasks(runner: LocalRunner) -> None:
    source = inputs(Order)
    built = (
        Workflow.builder("w", inputs=Order)
        .add(Task("whole", lambda order: order.name), source)
        .add(Task("part", lambda size, name: (size, name)), source.sizes[1], name=source.name)
        .build()
    )
    assert built.run(Order(name="a"), runner=runner).value == (2, "a")
    assert built.run(Order(name="b", sizes=(5, 6)), runner=runner).value == (6, "b")


def test_a_nested_workflow_is_one_task_with_many_inside(every_runner: LocalRunner) -> None:
    source = inputs(Order)
    size = Task("size", lambda sizes: sum(sizes))
    inner = (
        Workflow.builder("inner", inputs=Order).add(size, source.sizes).then(Task("double", lambda x: x * 2)).build()
    )
    middle = Workflow.builder("middle", inputs=Order).add(inner.as_task("deep"), source).build()
    outer = (
        Workflow.builder("outer")
        .add(Task("order", lambda: Order(name="n", sizes=(3, 4))))
        .then(middle.as_task("nested"))
        .then(Task("last", lambda x: x + 1))
        .build()
    )
    run = outer.run(runner=every_runner)
    assert run.value == 15
    assert list(run.tasks) == ["order", "nested/deep/size", "nested/deep/double", "nested/deep", "nested", "last"]


def test_a_run_inside_a_task_does_not_disturb_it(runner: LocalRunner) -> None:
    inner = Workflow.builder("inner").add(Task("one", one)).build()
    with workflow("outer") as wf:

        @task
        def before() -> int:
            return 5

        @task
        def around() -> tuple[int, int, int]:
            first = wf.get_result("before")
            nested = inner.run(runner=LocalRunner("inline")).value
            return first, nested, wf.get_result("before")

        before >> around
    assert wf.execute(runner=runner).value == (5, 1, 5)


def test_no_block_is_open_while_a_body_runs(runner: LocalRunner) -> None:
    """Also if the run begins inside of the block: what a body makes is no part of the workflow around it."""
    with workflow("outer") as wf:

        @task
        def plain() -> int:
            Task("stray-plain", one)
            return 1

        @task
        async def waits() -> int:
            Task("stray-async", one)
            return 2

        run = wf.execute(runner=runner)
    assert set(run.tasks) == {"plain", "waits"}
    assert set(wf.workflow.tasks) == {"plain", "waits"}
