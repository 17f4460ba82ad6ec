"""Maps, flags, choices, group rules and signals as values: equal, hashed, pickled, shown, compared, nested, merged."""

# ruff: noqa: E501, ISC004 - a table is easier to read, and a message easier to compare, unbroken

from __future__ import annotations

import copy
import itertools
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from pydantic import BaseModel

from graflow import (
    ConfigurationError,
    DefinitionError,
    DuplicateTaskError,
    LocalRunner,
    MapTask,
    Outcome,
    Signal,
    SignalError,
    Standing,
    Task,
    UnknownTaskError,
    WiringError,
    Workflow,
    at_least,
    continue_with,
    critical,
    each,
    first_of,
    inputs,
    signal,
    stop_run,
    task,
    workflow,
)
from graflow.core.requirement import FirstOf

INLINE = LocalRunner(executor="inline")


class Order(BaseModel, frozen=True):
    sizes: tuple[int, ...] = (4, 5)
    urgent: bool = True


@task
def one() -> int:
    return 1


@task
def two() -> int:
    return 2


@task
def yes() -> bool:
    return True


@task
def flags() -> list[bool]:
    return [False, True]


@task
def rows() -> list[int]:
    return [1, 2, 3]


@task
def more() -> list[int]:
    return [10, 20, 30]


@task
def double(x: int) -> int:
    return 2 * x


@task
def plus(x: int, y: int) -> int:
    return x + y


@task
def count(a: Outcome[int], b: Outcome[int]) -> list[str]:
    return [type(a).__name__, type(b).__name__]


@task
def total(of: list[int]) -> int:
    return sum(of)


@task
def gather(*parts: Any) -> list[Any]:
    return list(parts)


@dataclass(frozen=True)
class Most:
    """A rule of one's own."""

    out_of: int

    def decide(self, standing: Standing) -> bool | None:
        if 2 * len(standing.succeeded) > self.out_of:
            return True
        return None if standing.pending else False


approve = signal("approve", int)

#: Tasks that end in the one that the workflow returns, and what that gives; None where somebody has to send first.
SHAPES: dict[str, tuple[Callable[[], list[Task[..., Any]]], Any]] = {
    "call": (lambda: [rows(), double(3)], 6),
    "map": (lambda: [rows(), double.map(x=rows.each)], [2, 4, 6]),
    "map of an item's part": (lambda: [rows(), double.map(x=rows.each.real)], [2, 4, 6]),
    "map of a part": (lambda: [rows(), double.map(x=each(rows.out[1:]))], [4, 6]),
    "map with a constant": (lambda: [rows(), plus.map(x=rows.each, y=5)], [6, 7, 8]),
    "map with a result": (lambda: [rows(), one(), plus.map(x=rows.each, y=one.out)], [2, 3, 4]),
    "map side by side": (lambda: [rows(), more(), plus.map(rows.each, y=more.each)], [11, 22, 33]),
    "map with itself": (lambda: [rows(), plus.map(rows.each, y=rows.each)], [2, 4, 6]),
    "map of a map": (lambda: [rows(), d := double.map(x=rows.each), plus.map(d.each, 1)], [3, 5, 7]),
    "map of values": (lambda: [double.map(x=each([1, 2]))], [2, 4]),
    "map of other values": (lambda: [double.map(x=each([1, 3]))], [2, 6]),
    "map that is limited": (lambda: [rows(), double.map(x=rows.each).with_policy(max_items=5)], [2, 4, 6]),
    "map read as a whole": (lambda: [rows(), m := double.map(x=rows.each), gather(m.out)], [[2, 4, 6]]),
    "ends of a map": (lambda: [rows(), m := double.map(x=rows.each), gather(m.outcome[0].value, m.out)], [2, [2, 4, 6]]),  # type: ignore[union-attr]
    "when": (lambda: [yes(), double(4).when(yes.out)], 8),
    "when, of a part": (lambda: [flags(), double(4).when(flags.out[1])], 8),
    "unless": (lambda: [flags(), double(4).unless(flags.out[0])], 8),
    "when and unless": (lambda: [yes(), flags(), double(4).when(yes.out).unless(flags.out[0])], 8),
    "when it is true": (lambda: [double(4).when(True)], 8),
    "after": (lambda: [yes(), double(4).after(yes)], 8),
    "map with a flag": (lambda: [rows(), yes(), double.map(x=rows.each).when(yes.out)], [2, 4, 6]),
    "flag before the map": (lambda: [rows(), yes(), double.unless(False).map(x=rows.each)], [2, 4, 6]),
    "all": (lambda: [one(), two(), (one | two).require(all) >> count], ["Ok", "Ok"]),
    "one of them": (lambda: [one(), two(), (one | two).require(any) >> count], ["Ok", "Ok"]),
    "one of them, call off the rest": (
        lambda: [one(), two().after(one), (one | two).require(at_least(1, cancel_rest=True)) >> count], ["Ok", "Skipped"]
    ),
    "critical": (lambda: [one(), two(), (one | two).require(critical(two)) >> count], ["Ok", "Ok"]),
    "a rule of one's own": (lambda: [one(), two(), (one | two).require(Most(2)) >> count], ["Ok", "Ok"]),
    "the same rule with another number": (lambda: [one(), two(), (one | two).require(Most(1)) >> count], ["Ok", "Ok"]),
    "rule that orders only": (lambda: [one(), two(), (one | two).require(all) >> double(4)], 8),
    "outcomes": (lambda: [one(), two(), count(one.outcome, two.outcome)], ["Ok", "Ok"]),
    "first": (lambda: [one(), two(), first_of(one, two)], 1),
    "first, the other way round": (lambda: [one(), two(), first_of(two, one)], 2),
    "first of branches": (
        lambda: [yes(), a := double(4).unless(yes.out), b := plus(1, 2).when(yes.out), first_of(a, b, id="either")], 3
    ),
    "signal": (lambda: [approve, double(approve.out)], None),
    "signal of another type": (lambda: [s := signal("approve", bool), double(s.out)], None),
    "signal that may be late": (lambda: [s := signal("approve", int, timeout=60), double(s.out)], None),
}  # fmt: skip

RUNNABLE = [name for name, (_, value) in SHAPES.items() if value is not None]


def tasks_of(name: str) -> list[Task[..., Any]]:
    return SHAPES[name][0]()


def built(name: str) -> Workflow[Any, Any]:
    return Workflow.builder("w").add_all(tasks_of(name)).build()


def travelled(value: Any) -> Any:
    return pickle.loads(cloudpickle.dumps(value))


def same(a: Workflow[Any, Any], b: Workflow[Any, Any]) -> bool:
    """Whether two workflows are the same, which all the ways to ask must agree on."""
    answers = {
        "==": a == b,
        "fingerprint": a.fingerprint == b.fingerprint,
        "diff": not a.diff(b),
        "json": a.compile().to_json() == b.compile().to_json(),
        "plan": a.compile() == b.compile(),
    }
    assert len(set(answers.values())) == 1, answers
    assert not answers["=="] or hash(a) == hash(b)
    return answers["=="]


def shape_of(workflow: Workflow[Any, Any], prefix: str = "") -> dict[str, Any]:
    """What the workflow has of the things of this page, by ids without their prefix."""
    structure = workflow._structure
    ids = [task.id.removeprefix(prefix) for task in structure.tasks]
    own = [i for i, id in enumerate(ids) if structure.tasks[i].id.startswith(prefix)]
    return {
        "kinds": {ids[i]: type(structure.tasks[i]) for i in own},
        "flags": {
            ids[i]: [(one.spelling.removeprefix(prefix), one.wanted) for one in found]
            for i, found in structure.conditions.items()
        },
        "rules": [
            ([ids[m] for m in structure.gates[gate - len(ids)]], rule, labels)
            for gate, (rule, labels) in structure.rules.items()
        ],
        "unawaited": {ids[i]: [ids[m] for m in sorted(members)] for i, members in structure.unawaited.items()},
    }


# --- one value, however it is written ---


@pytest.mark.parametrize("name", RUNNABLE)
def test_it_gives_what_it_says(name: str) -> None:
    assert built(name).run(runner=INLINE).value == SHAPES[name][1]


@pytest.mark.parametrize("name", SHAPES)
def test_builder_expression_and_block_say_the_same(name: str) -> None:
    by_builder = built(name)
    tasks = tasks_of(name)
    assert same(Workflow.of("w", *tasks, returns=tasks[-1]), by_builder)
    with workflow("w") as recorded:
        tasks_of(name)
    assert same(recorded.workflow, by_builder)
    with workflow("w") as added:
        for one_task in tasks:
            added.add(one_task)
    assert same(added.workflow, by_builder)


@pytest.mark.parametrize("name", SHAPES)
def test_the_order_of_writing_does_not_count(name: str) -> None:
    tasks = tasks_of(name)
    assert same(Workflow.builder("w").add_all(tasks[::-1]).build(returns=tasks[-1]), built(name))


def test_every_shape_is_another_workflow() -> None:
    every = {name: built(name) for name in SHAPES}
    for a, b in itertools.combinations(SHAPES, 2):
        assert not same(every[a], every[b]), (a, b)


@pytest.mark.parametrize("name", SHAPES)
def test_the_parts_are_values(name: str) -> None:
    for a, b in zip(tasks_of(name), tasks_of(name), strict=True):
        assert a == b
        assert hash(a) == hash(b)
        assert copy.deepcopy(a) is copy.copy(a) is a
        back = travelled(a)
        assert type(back) is type(a)
        assert (back.id, back.policy) == (a.id, a.policy)
        with pytest.raises(AttributeError, match=f"^task '{a.id}' is frozen"):
            a.id = "x"  # type: ignore[misc]


@pytest.mark.parametrize("name", SHAPES)
def test_it_travels(name: str) -> None:
    here = built(name)
    there = travelled(here)
    assert there.fingerprint == here.fingerprint
    assert not here.diff(there)
    assert there.compile().to_json() == here.compile().to_json()
    assert shape_of(there) == shape_of(here)
    plan = travelled(here.compile())
    assert plan.to_json() == here.compile().to_json()
    if name in RUNNABLE:
        assert there.run(runner=INLINE).value == SHAPES[name][1]


# --- inside another workflow ---


@pytest.mark.parametrize("name", SHAPES)
def test_it_stays_the_same_under_a_prefix(name: str) -> None:
    inner = built(name)
    last = f"p/{inner.returns}"
    included = Workflow.builder("outer").include(inner, prefix="p").build()
    renamed = inner.renamed("p")
    nested = Workflow.builder("outer").add(inner.as_task("p")).build()
    for outer in (included, renamed, nested, travelled(included), nested.renamed("q").renamed("r")):
        prefix = next(id for id in outer.tasks if "/" in id).rpartition("/")[0] + "/"
        assert shape_of(outer, prefix) == shape_of(inner)
        if name in RUNNABLE:
            run = outer.run(runner=INLINE)
            assert run[last if last in outer.tasks else f"r/q/{last}"] == run.value == SHAPES[name][1]


def test_a_flag_and_a_map_take_the_inputs_that_a_nested_workflow_gets() -> None:
    source = inputs(Order)
    inner = (
        Workflow.builder("inner", inputs=Order)
        .map(double, x=each(source.sizes))
        .add(plus(1, 2).when(source.urgent))
        .add(one)
        .add(first_of(plus, one, id="either"))
        .add(gather, first_of(plus, one, id="either").out, double.out)
        .build(returns=gather)
    )
    assert inner.run(Order(urgent=False), runner=INLINE).value == [1, [8, 10]]
    known = Workflow.builder("outer").include(inner, Order(sizes=(7,)), prefix="p").build()
    assert known.run(runner=INLINE)["p/gather"] == [3, [14]]

    @task
    def order() -> Order:
        return Order(sizes=(1, 2), urgent=False)

    placed = Workflow.builder("outer").add(order).add(inner.as_task("p"), order.out).build()
    run = placed.run(runner=INLINE)
    assert run.value == [1, [2, 4]]
    assert run.tasks["p/plus"].reason == "`order.out.urgent` was false"


def test_a_condition_of_a_nested_workflow_is_one_of_each_of_its_tasks() -> None:
    inner = Workflow.builder("inner").add(rows).map(double, x=rows.each).build()
    outer = Workflow.builder("outer").add(yes).add(inner.as_task("p").unless(yes.out)).build()
    run = outer.run(runner=INLINE)
    assert {id: str(record.state) for id, record in run.tasks.items()} == {
        "yes": "succeeded", "p/rows": "skipped", "p/double": "skipped", "p": "skipped"
    }  # fmt: skip
    assert {len(found) for found in outer._structure.conditions.values()} == {1}


# --- versions of one task add up ---


@pytest.mark.parametrize("turn", [1, -1])
def test_a_map_and_other_versions_of_the_task_are_the_map(turn: int) -> None:
    versions: list[Task[..., Any]] = [plus.map(x=rows.each), plus(y=5), plus.when(yes.out), gather(plus.out)][::turn]  # type: ignore[call-arg]
    merged = Workflow.of("w", *versions, returns=gather)
    assert type(merged.tasks["plus"]) is MapTask
    assert merged.run(runner=INLINE).value == [[6, 7, 8]]
    assert same(merged, Workflow.of("w", plus.map(x=rows.each, y=5).when(yes.out), gather(plus.out), returns=gather))


def test_a_map_and_a_call_with_another_input_contradict_each_other() -> None:
    with pytest.raises(DuplicateTaskError) as caught:
        Workflow.of("w", double.map(x=rows.each), double(3), returns=double)
    assert str(caught.value) == (
        "parameter 'x' of task 'double' is fed twice in workflow 'w': rows.each and 3; give one of the two tasks another "
        "id, .named('...')"
    )


def test_saying_it_twice_is_saying_it_once() -> None:
    assert same(
        Workflow.of("w", double(4).when(yes.out).when(yes.out), returns=double),
        Workflow.of("w", double(4).when(yes.out), returns=double),
    )
    group = (one | two).require(all)
    assert same(
        Workflow.of("w", group >> (group >> count), returns=count), Workflow.of("w", group >> count, returns=count)
    )
    assert same(
        Workflow.of("w", double(4).after(yes).when(yes.out), returns=double),
        Workflow.of("w", double(4).when(yes.out), returns=double),
    )


def test_a_flag_that_is_known_says_so() -> None:
    run = Workflow.of("w", double(4).when(False), one.unless(True), returns=double).run(runner=INLINE)
    assert [record.reason for record in run.tasks.values()] == [
        "it was made to run only when(False)", "it was made to run only unless(True)"
    ]  # fmt: skip


def test_a_flag_both_ways_lets_nothing_run() -> None:
    both = Workflow.of("w", double(4).when(yes.out).unless(yes.out), returns=double)
    record = both.run(runner=INLINE).tasks["double"]
    assert (record.state, record.reason) == ("skipped", "`yes` was true")


# --- what a reader sees ---


def test_how_they_are_shown() -> None:
    assert repr(double.map(x=rows.each)) == "<task 'double' with x=rows.each>"
    assert repr(plus.map(x=each(rows.out[1:]), y=2)) == "<task 'plus' with x=each(rows.out[slice(1, None, None)]), y=2>"
    assert repr(rows.each) == "<one item of the result of task 'rows'>"
    assert repr(rows.each.real) == "<.real of one item of the result of task 'rows'>"
    assert repr(double.map(x=rows.each).outcome) == "<the outcome of task 'double'>"
    assert repr(first_of(one, two)) == "<task 'first_of-one-two'>"
    assert repr((one | two).require(all)) == "<group of 'one', 'two'>"
    assert repr(continue_with(double(3))) == "<continue with <task 'double' with x=3>>"
    assert repr(stop_run([1])) == "<stop the run with [1]>"
    assert repr(approve) == "<task 'approve'>"
    assert [str(rule) for rule in (at_least(2), FirstOf(("a",)), critical("b", "a"))] == [
        "at least 2", "one", "'a', 'b' of them"
    ]  # fmt: skip


def test_the_json_form_says_what_decides() -> None:
    def shown(name: str) -> dict[str, Any]:
        plan = json.loads(built(name).compile().to_json())
        return {one_task["id"]: one_task for one_task in plan["tasks"]}

    mapped = shown("map with a constant")["plus"]
    assert mapped["map"] is True
    assert mapped["inputs"] == {"x": {"task": "rows", "each": True}, "y": {"value": 5}}
    assert shown("map of a part")["double"]["inputs"] == {"x": {"task": "rows", "each": "[slice(1, None, None)]"}}
    assert shown("when and unless")["double"]["when"] == [
        {"flag": {"task": "flags", "path": "[0]"}, "is": False},
        {"flag": {"task": "yes"}, "is": True},
    ]
    assert shown("all")["count"]["require"] == [{"of": ["one", "two"], "rule": "Every()"}]
    assert shown("a rule of one's own")["count"]["require"] == [{"of": ["one", "two"], "rule": "Most(out_of=2)"}]
    assert "require" not in shown("outcomes")["count"]


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("call", "map", "rewired: double"),
        ("map of values", "map of other values", "rewired: double"),
        ("after", "when", "rewired: double"),
        ("when", "when it is true", "removed: yes\nrewired: double"),
        ("outcomes", "all", "rewired: count"),
        ("all", "one of them", "rewired: count"),
        ("a rule of one's own", "the same rule with another number", "rewired: count"),
        ("map", "map that is limited", "policies changed: double"),
        ("signal", "signal of another type", "code changed: approve"),
        ("signal", "signal that may be late", "policies changed: approve"),
    ],
)
def test_what_changed(before: str, after: str, text: str) -> None:
    assert str(built(before).diff(built(after))) == text


def test_a_rule_without_a_repr_has_the_same_fingerprint_in_every_process() -> None:
    script = (
        "from graflow import *\n"
        "class Rule:\n    def decide(self, standing): return True\n"
        "@task\ndef a() -> int: return 1\n"
        "@task\ndef b() -> int: return 2\n"
        "@task\ndef c(x: Outcome[int], y: Outcome[int]) -> int: return 3\n"
        "pad = [object() for _ in range(SIZE)]\n"
        "print(Workflow.of('w', (a | b).require(Rule()) >> c, returns=c).fingerprint)"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", script.replace("SIZE", size)], capture_output=True, text=True, timeout=60, check=True
        ).stdout
        for size in ("1", "9999")
    }
    assert len(said) == 1


def test_the_code_of_a_rule_counts_in_the_fingerprint() -> None:
    def rule_of(source: str) -> Any:
        scope: dict[str, Any] = {}
        exec(source, scope)
        return scope["Rule"]()

    wanted = "class Rule:\n def decide(self, standing):\n  return {}\n def __repr__(self): return 'Rule()'"
    found = {
        Workflow.of("w", (one | two).require(rule_of(wanted.format(how))) >> count, returns=count).fingerprint
        for how in ("True", "True", "not standing.pending or None")
    }
    assert len(found) == 2


# --- wrong uses that the words of errors do not cover; as text, because type checkers refuse most of them ---

NO_RULE = "require() takes all, any, at_least(n), critical(task) or an object with a method decide(standing), not"
COMPLETE = "a group that requires something is complete; write what follows: group.require(...) >> task"


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("one.map()", WiringError, "one.map() has no input that is one item, such as rows.each; without one, call one(...)"),
        ("approve.map()", WiringError, "signal 'approve' has no function to map"),
        ("double.map(x=rows.out)", WiringError, "double.map() has no input that is one item, such as x=rows.each; without one, call double(...)"),
        ("double.map(x=rows.each)(x=3)", WiringError, "parameter 'x' of task 'double' has an input already; bind it once"),
        ("each('abc')", WiringError, "each('abc') would map over characters; write each(list(text)) to mean it"),
        ("each(rows)", WiringError, "each() takes a collection, not <task 'rows'>; write rows.each"),
        ("each(3)", WiringError, "each() takes a collection, not 3; write each([3])"),
        ("double.map(x=[1, 2])", WiringError, "double.map() has no input that is one item, such as x=each([...]); without one, call double(...)"),
        ("total(double.map(x=rows.each))", WiringError, "input 'of' of task 'total' is task 'double' itself; pass the result of the map: mapped = double.map(...), and then mapped.out"),
        ("one.when(rows.each)", WiringError, "one.when(rows.each) takes one flag for the whole task; let a task make a bool of it"),
        ("(one | one).require(at_least(2))", WiringError, "at_least(2) of 1 tasks (one) can never be; ask for less"),
        ("(one | two).require(all).require(any)", WiringError, COMPLETE),
        ("(one | two).require(all) | two", WiringError, COMPLETE),
        ("(one | two).require(at_least)", WiringError, f"{NO_RULE} {at_least!r}"),
        ("(one | two).require(Most)", WiringError, f"{NO_RULE} {Most!r}"),
        ("(one | two).require([])", WiringError, f"{NO_RULE} []"),
        ("critical(3)", ConfigurationError, "critical() takes tasks of the group, or their ids, not 3"),
        ("critical(one.out)", ConfigurationError, "critical() takes tasks of the group, or their ids, not <the result of task 'one'>"),
        ("at_least(True)", ConfigurationError, "at_least(True): give a whole number from 1 on"),
        ("first_of()", WiringError, "first_of() takes two or more tasks of different ids"),
        ("first_of(one, one(), two.named('one'))", WiringError, "first_of() takes two or more tasks of different ids"),
        ("first_of(one.out, two.out)", WiringError, "first_of() takes tasks, not <the result of task 'one'>"),
        ("signal('x', 3)", ConfigurationError, "signal 'x' takes a type, not 3"),
        ("signal('x', len)", ConfigurationError, "signal 'x' takes a type, not <built-in function len>"),
        ("approve(3)", WiringError, "task 'approve' takes no inputs by position, but 1 was given"),
        ("continue_with(built('call'))", WiringError, "continue_with() takes a task with its inputs, continue_with(step(n - 1)), not <workflow 'w', 2 tasks>"),
    ],
)  # fmt: skip
def test_a_wrong_use_is_refused_where_it_is_written(code: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        eval(code, globals())
    assert type(caught.value) is kind
    assert str(caught.value) == message
    assert str(pickle.loads(pickle.dumps(caught.value))) == message


def site(of: Task[..., Any]) -> str:
    return f"{Path(__file__)}:{of.fn.__code__.co_firstlineno}"


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (
            lambda: [one(), two.when(one.out)],  # type: ignore[arg-type]
            WiringError,
            f"'one' cannot be the flag of two.when(): int cannot feed bool ('one' at {site(one)}, 'two' at "
            f"{site(two)}); pass another result, or convert it between",
        ),
        (
            lambda: [one.when(yes.out)],
            UnknownTaskError,
            "task 'one' takes its flag from 'yes', but workflow 'w' has no task 'yes'; add it, or "
            "correct the reference",
        ),
        (
            lambda: [one.when(inputs(Order).urgent)],
            WiringError,
            "parameter 'when()' of task 'one' reads inputs(Order), but workflow 'w' takes no inputs; declare them with "
            "inputs=Order",
        ),
        (
            lambda: [yes.when(yes.out)],
            DefinitionError,
            "tasks wait for each other in a circle: yes -> yes; remove one of these edges",
        ),
        (
            lambda: [one(), (one | two).require(all) >> double(4)],
            UnknownTaskError,
            "task 'double' runs after 'two', but workflow 'w' has no task 'two'; add it, or correct the reference",
        ),
        (
            lambda: [rows(), total([rows.each])],
            WiringError,
            f"'rows' cannot feed parameter 'of' of task 'total': one item is not a value ('rows' at {site(rows)}, "
            f"'total' at {site(total)}); map over it: total.map(of=...)",
        ),
    ],
)  # fmt: skip
def test_a_wrong_reference_is_refused_when_the_workflow_is_built(
    make: Callable[[], list[Task[..., Any]]], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        Workflow.builder("w").add_all(make()).build()
    assert str(caught.value) == message


def test_a_signal_is_the_same_wherever_it_is_made() -> None:
    again = signal("approve", int)
    assert again == approve
    assert again.fn is approve.fn
    assert type(again.named("x")) is Signal
    assert approve != signal("approve", float)
    assert travelled(approve).fn is approve.fn
    assert signal("rows", list[int]) == signal("rows", list[int])
    assert signal("maybe", int | None).type == (int | None)  # type: ignore[arg-type]


def test_a_signal_of_a_huge_value_is_refused_in_few_words() -> None:
    handle = LocalRunner().start(Workflow.of("w", double(approve.out), returns=double))
    try:
        with pytest.raises(SignalError) as caught:
            handle.send(approve, "x" * 1_000_000)  # type: ignore[misc]
        assert len(str(caught.value)) < 300
        handle.send(approve, 4)
        assert handle.wait(30).value == 8
    finally:
        handle.cancel()
