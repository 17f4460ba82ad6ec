"""A plan: order, indexes, levels, one copy of each function, a stable JSON form."""

import json
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from pydantic import BaseModel

from graflow import LocalRunner, Plan, Task, Workflow, inputs, task

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
def minus(x: int, y: int, *, scale: int = 1) -> int:
    return (x - y) * scale


@task
def echo(value: Any) -> Any:
    return value


def plan_of(*tasks: Task[..., Any]) -> Plan:
    return Workflow.of("w", *tasks, returns=tasks[-1]).compile()


def test_indexes_are_the_ranks_of_the_ids() -> None:
    plan = plan_of(one.named("z") >> double.named("b") >> echo.named("m"))
    assert plan.ids == ("b", "m", "z")
    assert dict(plan.index) == {"b": 0, "m": 1, "z": 2}
    assert len(plan) == 3
    assert [plan.task(k).id for k in range(3)] == ["b", "m", "z"]
    assert plan.returns == 1


def test_every_upstream_comes_before_its_downstreams() -> None:
    tasks: list[Task[..., Any]] = [echo(0).named("t0")]
    for k in range(1, 60):
        tasks.append(echo([tasks[(k * 7) % k].out, tasks[k // 2].out]).named(f"t{k}").after(tasks[k - 1 - k % 3]))
    plan = plan_of(*tasks)
    place = {i: p for p, i in enumerate(plan.order)}
    assert sorted(place) == list(range(60))
    for i in range(60):
        assert all(place[u] < place[i] for u in plan.upstream[i])
        assert all(i in plan.downstream[u] for u in plan.upstream[i])
        assert plan.levels[i] == max((plan.levels[u] + 1 for u in plan.upstream[i]), default=0)


def test_the_upstreams_that_are_read_come_first() -> None:
    plan = plan_of(minus(two.out, y=two.out).after(one))
    i = plan.index["minus"]
    assert plan.upstream[i] == (plan.index["two"], plan.index["one"])
    assert plan.reads[i] == 1


def test_links_name_the_parameters() -> None:
    pair = Task("pair", lambda x, y, *more, **named: 0)
    plan = plan_of(pair(two.out, [two.out, one.out], one.out, z=two.out).after(echo(1)))
    named = {(plan.ids[link.upstream], link.parameter) for link in plan.links() if plan.ids[link.downstream] == "pair"}
    assert named == {("two", "x"), ("two", "y"), ("one", "y"), ("one", "*more"), ("two", "z"), ("echo", "")}


def test_a_gate_stands_between_groups() -> None:
    group = (one | two) >> (echo(1) | double(1))
    plan = plan_of(*group.members)
    assert list(plan.gates) == [(plan.index["one"], plan.index["two"])]
    gate = len(plan)
    assert plan.upstream[gate] == plan.gates[0]
    assert {i for i in range(len(plan)) if gate in plan.upstream[i]} == {plan.index["echo"], plan.index["double"]}
    assert plan.levels[plan.index["echo"]] == 1
    assert len(list(plan.links())) == 4


def test_one_gate_serves_all_that_wait_for_the_same_tasks() -> None:
    forth = (one | two) >> (echo(1).named("a") | echo(2).named("b"))
    back = (two | one) >> (echo(3).named("c") | echo(4).named("d"))
    assert len(plan_of(*forth.members, *back.members).gates) == 1


def test_distinct_functions_are_kept_once() -> None:
    plan = plan_of(*(double(k).named(f"d{k}") for k in range(50)), *(echo(k).named(f"e{k}") for k in range(50)))
    assert len(plan.functions) == 2
    assert {plan.functions[plan.function_of[k]] for k in range(100)} == {double.fn, echo.fn}


def test_the_critical_path_is_the_longest_way() -> None:
    a, b, c, d = (echo(k).named(k) for k in "abcd")
    plan = plan_of(b.after(a), c.after(b), d.after(a), echo(0).named("e").after(c, d))
    assert plan.critical_path() == ("a", "b", "c", "e")
    assert plan.critical_path({"a": 1, "b": 1, "c": 1, "d": 9, "e": 1}) == ("a", "d", "e")
    assert Workflow.builder("empty").build().compile().critical_path() == ()


def test_the_critical_path_leads_through_gates() -> None:
    group = (one | double(1) >> echo) >> (minus(1, 2) | two)
    assert plan_of(*group.members).critical_path()[:2] == ("double", "echo")


def test_equal_workflows_have_equal_plans() -> None:
    assert plan_of(one, two >> double) == plan_of(two >> double, one, double)
    assert hash(plan_of(one, two)) == hash(plan_of(one, two))
    assert plan_of(one) != plan_of(two)
    assert plan_of(one) != "plan"
    assert repr(plan_of(one, two)) == "<plan of 'w', 2 tasks>"


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (minus(5, 3), 2), (minus(5, y=3, scale=2), 4), (minus(y=3, x=5), 2), (minus(one.out, two.out), -1),
        (minus(two.out, two.out, scale=two.out), 0), (echo([1, one.out, [two.out]]), [1, 1, [2]]),
        (echo((one.out, two.out)), (1, 2)), (echo({"a": {"b": one.out}}), {"a": {"b": 1}}), (echo(None), None),
        (echo({1, 2}), {1, 2}), (echo(echo([1, 2, 3]).out[1]).named("second"), 2),
        (Task("d", dict)(a=1, b=two.out), {"a": 1, "b": 2}), (Task("m", max)(one.out, two.out, 0), 2),
        (Task("defaults", lambda a=1, b=2, c=3: (a, b, c))(c=two.out), (1, 2, 2)),
    ],
    ids=range(14),
)  # fmt: skip
def test_every_kind_of_input_finds_its_way(built: Task[..., Any], expected: Any) -> None:
    plan = plan_of(built)
    assert plan.workflow.run(runner=INLINE).value == expected


def test_the_json_form() -> None:
    src = inputs(Sales)
    built = (
        Workflow.builder("sales", inputs=Sales)
        .add(one)
        .add(minus, src.top, one.out, scale=3)
        .add(echo(value={"all": [minus.out, src.path.name, 7]}).after(one).with_policy(queue="io"))
        .build()
    )
    plan = built.compile()
    told = plan.to_dict()
    assert json.loads(plan.to_json()) == told
    assert (told["format"], told["workflow"], told["returns"]) == (1, "sales", "echo")
    assert told["fingerprint"] == built.fingerprint == plan.fingerprint
    assert told["inputs"] == Sales.model_json_schema()
    assert [each["id"] for each in told["tasks"]] == ["one", "minus", "echo"]
    assert told["tasks"][1] == {
        "id": "minus", "function": f"{__name__}:minus", "level": 1, "after": [], "policy": {},
        "inputs": {"x": {"input": "Sales", "path": ".top"}, "y": {"task": "one"}, "scale": {"value": 3}},
    }  # fmt: skip
    assert told["tasks"][2] == {
        "id": "echo", "function": f"{__name__}:echo", "level": 2, "after": ["one"], "policy": {"queue": "io"},
        "inputs": {"value": {"dict": {"'all'": {"list": [{"task": "minus"}, {"input": "Sales", "path": ".path.name"},
                                                         {"value": 7}]}}}},
    }  # fmt: skip


def test_json_shows_small_constants_and_digests_of_others() -> None:
    def shown(value: Any) -> Any:
        return plan_of(echo(value)).to_dict()["tasks"][0]["inputs"]["value"]

    assert shown([1, "a", None, True]) == {"value": [1, "a", None, True]}
    assert shown([[1, 2], [3]]) == {"value": [[1, 2], [3]]}
    assert shown({"a": {"b": [1]}}) == {"value": {"a": {"b": [1]}}}
    large = shown("x" * 5_000)
    assert large["type"] == "builtins.str"
    assert len(large["digest"]) == 64
    assert shown({1, 2})["type"] == "builtins.set"
    assert shown({1, 2}) == shown({2, 1})
    assert shown(object)["type"] == "builtins.type"
    assert shown(["x" * 5_000])["type"] == "builtins.list"


def test_json_is_json_whatever_the_inputs_are() -> None:
    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is not JSON")

    for value in (float("nan"), float("inf"), [float("-inf")], object, b"bytes", {1: 2}, "\ud800", 10**400):
        json.loads(plan_of(echo(value)).to_json(), parse_constant=refuse)


def test_json_names_every_kind_of_function() -> None:
    from functools import partial

    class Callable:
        def __call__(self) -> int:
            return 1

    def named(fn: Any) -> str:
        return str(plan_of(Task("t", fn)).to_dict()["tasks"][0]["function"])

    assert named(dict) == "builtins:dict"
    assert named(partial(double.fn, 1)) == f"{__name__}:double"
    assert named(partial(partial(double.fn), 1)) == f"{__name__}:double"
    assert named(Callable()).startswith(f"{__name__}:")
    assert named(lambda: 1).endswith("<lambda>")


def test_a_plan_survives_a_trip() -> None:
    built = Workflow.of("w", one >> double, two, echo([double.out, {"a": two.out}]), returns=echo)
    plan = built.compile()
    there: Plan = cloudpickle.loads(cloudpickle.dumps(plan))
    assert there.ids == plan.ids
    assert list(there.order) == list(plan.order)
    assert there.to_json() == plan.to_json()
    assert there.workflow.run(runner=INLINE).value == [2, {"a": 2}]


def test_an_empty_plan() -> None:
    plan = Workflow.builder("empty").build().compile()
    assert (len(plan), plan.ids, list(plan.order), plan.returns, list(plan.links())) == (0, (), [], None, [])
    assert plan.to_dict()["tasks"] == []


def test_the_shape_does_not_depend_on_the_order_of_writing() -> None:
    a, b, c, d, e = (echo(k).named(k) for k in "abcde")
    forth = plan_of(a, b, c.after(a, b), d.after(b), e.after(c, d))
    back = plan_of(d.after(b), c.after(b, a), b, a, e.after(d, c))
    for name in ("ids", "order", "levels", "upstream", "reads", "downstream", "gates", "recipes"):
        assert list(getattr(forth, name)) == list(getattr(back, name)), name


def test_a_gate_changes_neither_order_nor_levels() -> None:
    a, b, c, d, z = (echo(k).named(k) for k in "abcdz")
    gated = plan_of(*((a | b) >> (c.after(z) | d)).members)
    drawn = plan_of(c.after(z, a, b), d.after(a, b))
    n = len(drawn)
    assert [i for i in gated.order if i < n] == list(drawn.order)
    assert list(gated.levels[:n]) == list(drawn.levels)
