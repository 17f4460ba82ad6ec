"""A workflow is a frozen value: it can be read, compared, hashed, fingerprinted, sent away and run."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
from pydantic import BaseModel, PositiveInt

from graflow import (
    ConfigurationError,
    DuplicateTaskError,
    Edge,
    LocalRunner,
    Run,
    RunFailedError,
    RunState,
    Task,
    UnknownTaskError,
    Workflow,
    inputs,
    task,
    workflow,
)

INLINE = LocalRunner(executor="inline")


class Sales(BaseModel, frozen=True):
    path: Path
    top: PositiveInt = 10


class Other(BaseModel, frozen=True):
    path: Path


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
def minus(x: int, y: int) -> int:
    return x - y


@task
def echo(value: Any) -> Any:
    return value


def of(*tasks: Task[..., Any], name: str = "w") -> Workflow[None, Any]:
    return Workflow.of(name, *tasks, returns=tasks[-1])


# --- Workflow.of ---


def test_of_collects_what_is_referenced() -> None:
    built = of(minus(double(one.out).out, two.out))
    assert set(built.tasks) == {"minus", "double", "one", "two"}
    assert built.run(runner=INLINE).value == 0


def test_of_takes_expressions() -> None:
    built = Workflow.of("w", one >> double >> echo, returns=double)
    assert built.returns == "double"
    assert built.run(runner=INLINE)["echo"] == 2


def test_returns_alone_is_enough() -> None:
    assert Workflow.of("w", returns=one >> double) == of(one >> double)


def test_versions_of_one_task_add_up() -> None:
    built = of(double, one >> double, double.after(two), echo(double.out))
    assert built.run(runner=INLINE).value == 2
    assert set(built.edges) == {
        Edge("one", "double", True), Edge("two", "double", False), Edge("double", "echo", True)
    }  # fmt: skip
    assert of(minus(x=one.out), minus(y=two.out)).run(runner=INLINE).value == -1


@pytest.mark.parametrize(
    "versions",
    [
        lambda: (double(1), double(2)), lambda: (double(1), double(True)), lambda: (one >> double, two >> double),
        lambda: (echo([one.out]), echo([two.out])), lambda: (double(1), Task("double", lambda x: x)(1)),
        lambda: (one.with_policy(queue="a"), one.with_policy(queue="b")),
        lambda: (double(1).with_policy(queue="a"), double(1)),
        lambda: (double(1).with_policy(queue="a"), echo(double.out)),
        lambda: (Task("m", max)(1, 2), Task("m", max)(1, 3)),
    ],
    ids=["constants", "types", "results", "containers", "callables", "policies", "a policy and none",
         "a policy and a reference without", "extra"],
)  # fmt: skip
def test_versions_that_contradict_each_other_are_refused(versions: Callable[[], tuple[Task[..., Any], ...]]) -> None:
    with pytest.raises(DuplicateTaskError):
        of(*versions())


def test_all_contradictions_are_reported() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        of(double(1), double(2), echo(1), echo(2), one)
    assert [type(error) for error in caught.value.exceptions] == [DuplicateTaskError] * 2


@pytest.mark.parametrize("what", [3, None, "one", one.fn, one | two], ids=range(5))
def test_of_takes_tasks(what: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^a workflow is made of tasks, not of "):
        Workflow.of("w", what, returns=one)


# --- reading ---


def test_tasks_come_in_plan_order() -> None:
    built = of(one.named("z") >> double.named("a") >> echo.named("m"))
    assert list(built.tasks) == ["z", "a", "m"]
    assert built.tasks["a"].id == "a"
    assert "nope" not in built.tasks


def test_edges_say_who_reads_whom() -> None:
    built = of(minus(one.out, y=two.out).after(echo(1), one))
    assert built.edges == (Edge("one", "minus", True), Edge("two", "minus", True), Edge("echo", "minus", False))


def test_edges_through_a_gate_are_those_between_tasks() -> None:
    group = (one | two) >> (echo(1) | double(1))
    assert set(of(*group.members).edges) == {
        Edge(u, d, False) for u in ("one", "two") for d in ("echo", "double")
    }  # fmt: skip


def test_the_name_the_inputs_and_the_returned_task() -> None:
    built = Workflow.builder("sales", inputs=Sales).add(echo, inputs(Sales).top).build()
    assert (built.name, built.inputs, built.returns) == ("sales", Sales, "echo")
    assert (of(one).inputs, repr(of(one))) == (None, "<workflow 'w', 1 tasks>")


def test_the_input_schema_is_json_schema() -> None:
    built = Workflow.builder("sales", inputs=Sales).add(echo, inputs(Sales).top).build()
    assert built.input_schema() == Sales.model_json_schema()
    assert of(one).input_schema()["properties"] == {}
    json.dumps(built.input_schema())


@pytest.mark.parametrize("name", ["name", "tasks", "_name", "_structure", "other"])
def test_a_workflow_is_frozen(name: str) -> None:
    built = of(one)
    with pytest.raises(AttributeError):
        setattr(built, name, "x")
    with pytest.raises(TypeError):
        built.tasks["one"] = two  # type: ignore[index]
    assert built == of(one)


# --- equality, hash, fingerprint ---

SAME: dict[str, tuple[Callable[[], Workflow[Any, Any]], Callable[[], Workflow[Any, Any]]]] = {
    "order of tasks": (lambda: of(one, two, minus(one.out, two.out)), lambda: of(two, one, minus(one.out, two.out))),
    "by name": (lambda: of(minus(1, 2)), lambda: of(minus(y=2, x=1))),
    "order of edges": (lambda: of(echo(1).after(one, two)), lambda: of(echo(1).after(two).after(one))),
    "order of a dict": (lambda: of(echo({"a": 1, "b": 2})), lambda: of(echo({"b": 2, "a": 1}))),
    "order of a dict inside": (lambda: of(echo([{"a": 1, "b": 2}])), lambda: of(echo([{"b": 2, "a": 1}]))),
    "order of a dict of results": (
        lambda: of(echo({"a": one.out, "b": 2})), lambda: of(echo({"b": 2, "a": one.out}))
    ),
    "order of a set": (lambda: of(echo({"a", "b", "c"})), lambda: of(echo({"c", "b", "a"}))),
    "a gate and its edges": (
        lambda: of(*((one | two) >> (echo(1) | double(1))).members),
        lambda: of(echo(1).after(one, two), double(1).after(two, one)),
    ),
    "a gate and an edge beside it": (
        lambda: of(*((one | two) >> (echo(1).after(one.named("z")) | double(1))).members),
        lambda: of(echo(1).after(one, two, one.named("z")), double(1).after(two, one)),
    ),
    "a gate of which one result is read": (
        lambda: of(*((one | two) >> (echo(two.out) | double(1))).members),
        lambda: of(echo(two.out).after(one), double(1).after(two, one)),
    ),
    "two gates": (
        lambda: of(
            *((one | two.named("y")) >> (echo(1) | double(1))).members,
            *((one.named("z") | two) >> (echo(1) | minus(1, 2))).members,
        ),
        lambda: of(
            echo(1).after(one, two.named("y"), one.named("z"), two), double(1).after(one, two.named("y")),
            minus(1, 2).after(one.named("z"), two),
        ),
    ),
    "order beside data": (lambda: of(double(one.out).after(one)), lambda: of(one >> double)),
    "spelling of a policy": (
        lambda: of(one.with_policy(timeout=30)), lambda: of(one.with_policy(timeout=10).with_policy(timeout=30.0))
    ),
    "extra inputs": (lambda: of(Task("d", dict)(a=1, b=2)), lambda: of(Task("d", dict)(b=2, a=1))),
}  # fmt: skip


@pytest.mark.parametrize("how", SAME)
def test_what_says_the_same_is_equal_in_every_respect(how: str) -> None:
    a, b = (make() for make in SAME[how])
    assert a == b
    assert hash(a) == hash(b)
    assert a.compile() == b.compile()
    assert a.fingerprint == b.fingerprint
    assert a.edges == b.edges
    assert list(a.tasks) == list(b.tasks)
    assert a.compile().to_json() == b.compile().to_json()
    assert not a.diff(b)


def make_other() -> Task[[], int]:
    return Task("one", lambda: 1)


BASE = of(one, two, double(1))
DIFFERENT: dict[str, Callable[[], Workflow[Any, Any]]] = {
    "name": lambda: of(one, two, double(1), name="v"),
    "a task less": lambda: of(one, double(1)),
    "a task more": lambda: of(one, two, echo(1), double(1)),
    "an id": lambda: of(one, two.named("x"), double(1)),
    "an input": lambda: of(one, two, double(2)),
    "type of an input": lambda: of(one, two, double(True)),
    "a result for a constant": lambda: of(one, two, double(one.out)),
    "an edge": lambda: of(one, two, double(1).after(one)),
    "a policy": lambda: of(one, two, double(1).with_policy(queue="io")),
    "what is returned": lambda: Workflow.of("w", one, two, double(1), returns=two),
    "inputs": lambda: Workflow.builder("w", inputs=Sales).add(one).add(two).add(double, 1).build(),
    "a callable": lambda: of(Task("one", lambda: 11), two, double(1)),
}


@pytest.mark.parametrize("how", DIFFERENT)
def test_what_differs_is_not_equal(how: str) -> None:
    other = DIFFERENT[how]()
    assert other != BASE
    assert other.fingerprint != BASE.fingerprint
    assert other.compile() != BASE.compile()


def test_an_edge_and_its_data_are_two_things() -> None:
    assert of(one >> echo) != of(echo(None).after(one))
    assert of(double(one.out)) != of(double(1).after(one))


def test_a_function_counts_by_identity_and_its_fingerprint_by_what_it_does() -> None:
    a, b = of(make_other()), of(make_other())
    assert a != b
    assert a.fingerprint == b.fingerprint


def test_a_workflow_is_no_other_thing() -> None:
    assert of(one) != one
    assert of(one) != "w"
    assert len({of(one), of(one), of(two)}) == 2


def test_awkward_inputs_do_not_disturb_equality() -> None:
    array = np.arange(3)
    assert of(echo(array)) == of(echo(array))
    assert of(echo([array])) == of(echo([array]))
    assert (of(echo(np.arange(3))) == of(echo(np.arange(3)))) in (True, False)
    assert of(echo(array)).fingerprint == of(echo(np.arange(3))).fingerprint


SCRIPT = """
import json

from graflow import Workflow, task

@task
def load(path: str) -> set[str]:
    return {path}

@task
def save(names: set[str], how: object) -> int:
    "Counts."
    return len(names) + LIMIT

LIMIT = 3
built = (
    Workflow.builder("w").add(load, "a").add(save, load.out, {"x": {"b", "c", "a"}, "y": frozenset({1, "q"})}).build()
)
plan = built.compile()
print(json.dumps({"fingerprint": built.fingerprint, "plan": plan.to_json(), "order": list(built.tasks)}))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What processes with different hash seeds say of the same script."""
    script = tmp_path_factory.mktemp("process") / "script.py"
    script.write_text(SCRIPT)
    answers = []
    for seed in ("0", "1", "77"):
        done = subprocess.run(
            [sys.executable, str(script)],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        )
        answers.append(json.loads(done.stdout))
    return answers


@pytest.mark.parametrize("what", ["fingerprint", "plan", "order"])
def test_it_is_the_same_in_every_process(said: list[dict[str, Any]], what: str) -> None:
    first, *others = [answer[what] for answer in said]
    assert others == [first, first]


def test_the_fingerprint_follows_the_code() -> None:
    def compiled(body: str) -> Workflow[Any, Any]:
        scope: dict[str, Any] = {"task": task, "__name__": "made"}
        exec(f"LIMIT = 1\n@task\ndef f(x=1):\n    {body}\n", scope)
        return of(scope["f"])

    base = compiled("return x + LIMIT").fingerprint
    assert compiled("return x + LIMIT").fingerprint == base
    assert compiled("# a comment\n\n    return x + LIMIT").fingerprint == base
    assert compiled("'says'; return x + LIMIT").fingerprint == base
    for other in ("return x - LIMIT", "return x + 1", "return x + LIMIT + 0", "return LIMIT"):
        assert compiled(other).fingerprint != base


# --- diff ---


def test_a_diff_lists_what_changed() -> None:
    before = of(one, two, double(1), echo(0))
    after = of(
        make_two(), minus(1, 2), double(2).with_policy(queue="io"), echo(0).after(double.with_policy(queue="io"))
    )
    diff = before.diff(after)
    assert (diff.added, diff.removed) == (("minus",), ("one",))
    assert diff.rewired == ("double", "echo")
    assert diff.code_changed == ("two",)
    assert diff.policies_changed == ("double",)
    assert bool(diff)
    assert str(diff) == (
        "added: minus\nremoved: one\nrewired: double, echo\ncode changed: two\npolicies changed: double"
    )


def make_two() -> Task[[], int]:
    return Task("two", lambda: 22)


def test_a_diff_of_equals_is_empty() -> None:
    diff = of(one >> double).diff(of(one >> double))
    assert not diff
    assert str(diff) == "no difference"
    assert not of(make_other()).diff(of(make_other()))


def test_a_diff_looks_at_ids_upstream_not_at_their_code() -> None:
    diff = of(make_other() >> double).diff(of(Task("one", lambda: 11) >> double))
    assert (diff.code_changed, diff.rewired) == (("one",), ())


# --- travelling ---


def travelled(value: Any) -> Any:
    return cloudpickle.loads(cloudpickle.dumps(value))


def test_a_workflow_survives_a_trip() -> None:
    src = inputs(Sales)
    built = Workflow.builder("w", inputs=Sales).add(one).add(minus, src.top, one.out).then(echo).build(returns=minus)
    there = travelled(built)
    assert (there.name, there.inputs, there.returns) == ("w", Sales, "minus")
    assert (list(there.tasks), there.edges) == (list(built.tasks), built.edges)
    assert there.fingerprint == built.fingerprint
    assert there.run(Sales(path=Path("x"), top=5), runner=INLINE).value == 4


def test_gates_survive_a_trip() -> None:
    group = (one | two) >> (echo(1) | double(1))
    built = of(*group.members)
    assert travelled(built).edges == built.edges
    assert len(list(travelled(built).compile().links())) == 4


# --- running ---


def test_run_gives_values_by_task_and_by_id() -> None:
    built = of(one, two >> double, minus(double.out, y=one.out))
    run = built.run(runner=INLINE)
    assert isinstance(run, Run)
    assert (run.value, run[minus], run["minus"], run[double], run["two"]) == (3, 3, 3, 4, 2)
    assert run.state == RunState.SUCCEEDED
    assert built.run(runner=INLINE).id != run.id


def test_run_is_the_runner_running_the_workflow() -> None:
    built = Workflow.builder("w", inputs=Sales).add(echo, inputs(Sales).top).build()
    given = Sales(path=Path("x"), top=5)
    assert built.run(given, runner=INLINE).value == INLINE.run(built, given).value == built.run(given).value == 5


@pytest.mark.parametrize(
    ("built", "given", "message"),
    [
        (of(one), Sales(path=Path("a")), "workflow 'w' takes no inputs, but got "),
        (Workflow.builder("w", inputs=Sales).add(one).build(), None, "workflow 'w' takes Sales; run it with "),
        (Workflow.builder("w", inputs=Sales).add(one).build(), Other(path=Path("a")), "workflow 'w' takes Sales, not "),
        (Workflow.builder("w", inputs=Sales).add(one).build(), {"path": "a"}, "workflow 'w' takes Sales, not "),
    ],
    ids=range(4),
)  # fmt: skip
def test_inputs_that_do_not_fit_are_refused(built: Any, given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        built.run(given, runner=INLINE)
    assert str(caught.value).startswith(message)


def test_a_failure_is_raised_with_its_cause() -> None:
    @task
    def breaks() -> int:
        raise KeyError("broken")

    built = of(breaks >> double)
    with pytest.raises(RunFailedError) as caught:
        built.run(runner=INLINE)
    assert isinstance(caught.value.__cause__, KeyError)
    assert built.run(runner=INLINE, check=False).state == RunState.FAILED


def test_a_task_that_is_not_there_is_not_found() -> None:
    run = of(one).run(runner=INLINE)
    for name in (two, "two", Task("one", lambda: 1)):
        with pytest.raises(UnknownTaskError):
            run[name]


def test_a_workflow_is_compiled_once() -> None:
    built = of(one >> double)
    assert built.compile() is built.compile()


def test_definitions_in_a_task_are_refused_as_results() -> None:
    with workflow("w") as wf:
        Task("task", lambda: double(1))
        Task("placeholder", lambda: one.out)
        Task("group", lambda: one | two)
    run = wf.execute(runner=INLINE, check=False)
    assert {record.id: type(record.error).__name__ for record in run.tasks.values()} == {
        "group": "TaskResultError", "placeholder": "TaskResultError", "task": "TaskResultError"
    }  # fmt: skip
