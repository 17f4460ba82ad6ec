"""Workflows from configuration: what it says becomes what a builder would have built, and comes back as it went."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from graflow import (
    Cache,
    ConfigurationError,
    DefinitionError,
    Exponential,
    Limit,
    LocalRunner,
    Outcome,
    Retry,
    Task,
    Workflow,
    each,
    first_of,
    inputs,
    signal,
    task,
    workflow,
)
from graflow.core.config import schema
from graflow.core.config._lines import json_lines, toml_lines
from graflow.core.policy import Policy

HERE = [__name__]


class Day(BaseModel, frozen=True):
    start: str = "today"


class Sales(BaseModel, frozen=True):
    path: str = "sales.csv"
    publish: bool = False
    names: list[str] = []
    day: Day = Day()


class Row(BaseModel, frozen=True):
    price: float = 1.0


class Trouble(Exception):
    pass


@task
def extract(path: str) -> list[Row]:
    return [Row(price=len(path)), Row(price=2)]


@task(retry=2)
def clean(rows: list[Row], *, drop: bool = True) -> list[Row]:
    return rows


@task
def score(row: Row, weight: float = 1.0) -> float:
    return row.price * weight


@task
def total(scores: list[float], *more: float, bonus: float = 0) -> float:
    return sum(scores) + sum(more) + bonus


@task
def ended(outcome: Outcome[float]) -> bool:
    return True


@task
def both(first: Any, second: Any = None, /, third: Any = None, **rest: Any) -> Any:
    return first, second, third, rest


@task
def is_big(rows: list[Row]) -> bool:
    return len(rows) > 1


def plain(value: Any) -> Any:
    return value


TASKS = [extract, clean, score, total, ended, both, is_big, plain]


def of(tasks: dict[str, Any], **top: Any) -> Workflow[Any, Any]:
    return Workflow.from_config({"name": "w", "tasks": tasks, **top}, [*TASKS, Sales])


def there_and_back(built: Workflow[Any, Any]) -> dict[str, Any]:
    """What a workflow says as configuration, after a look that it comes back the same from memory and from a file."""
    config = built.to_config()
    assert Workflow.from_config(config, modules=HERE) == built
    assert Workflow.from_config(json.loads(json.dumps(config)), [*TASKS, Sales]) == built
    return config


# ── what it says ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_says_what_a_builder_says(tmp_path: Path) -> None:
    file = tmp_path / "sales.yaml"
    file.write_text(
        """\
name: sales
inputs: Sales
returns: total
tasks:
  extract: {inputs: {path: {inputs: path}}}
  clean:
    inputs:
      rows: {from: extract}
      drop: false
    timeout: 30
  total:
    inputs:
      scores: [{from: first}, 2.5]
  first:
    task: score
    inputs:
      row: {from: clean, path: "[0]"}
    after: extract
""",
        "utf-8",
    )
    src = inputs(Sales)
    first = score(clean.out[0]).named("first").after(extract)
    by_hand = (
        Workflow.builder("sales", inputs=Sales)
        .add(extract, src.path)
        .add(clean.with_policy(timeout=30), rows=extract.out, drop=False)
        .add(total, [first.out, 2.5])
        .add(first)
        .build(returns=total)
    )
    read = Workflow.from_config(file, [*TASKS, Sales])
    assert read == by_hand
    assert read.fingerprint == by_hand.fingerprint
    assert (
        Workflow.from_config(str(file), {"Sales": Sales, **{one.id: one for one in TASKS if isinstance(one, Task)}})
        == read
    )
    assert read.run(Sales(path="abc"), runner=LocalRunner("inline")).value == 5.5


FORMS = {
    "yaml": "name: w\ntasks:\n  a: {task: extract, inputs: {path: x}}\n  b: {task: clean, inputs: {rows: {from: a}}}\n",
    "yml": "{name: w, tasks: {a: {task: extract, inputs: {path: x}}, b: {task: clean, inputs: {rows: {from: a}}}}}",
    "toml": 'name = "w"\ntasks.a = {task = "extract", inputs = {path = "x"}}\n'
    '[tasks.b]\ntask = "clean"\ninputs.rows.from = "a"\n',
    "json": '{"name": "w", "tasks": {"a": {"task": "extract", "inputs": {"path": "x"}},'
    ' "b": {"task": "clean", "inputs": {"rows": {"from": "a"}}}}}',
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_say_the_same(tmp_path: Path, form: str) -> None:
    file = tmp_path / f"w.{form}"
    file.write_text(FORMS[form], "utf-8")
    a = extract("x").named("a")
    by_hand = Workflow.builder("w").add(a).add(clean.named("b"), a.out).build()
    assert Workflow.from_config(file, TASKS) == by_hand
    file.write_text("\ufeff" + FORMS[form], "utf-8")
    assert Workflow.from_config(str(file), TASKS) == by_hand


def test_yaml_is_read_as_version_1_2(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(
        """\
name: w
tasks:
  plain:
    inputs:
      value: [no, on, 1:30, 1e-3, 0o17, 0x1f, 012, 2024-01-01, ~, null, True, "true", .5, 1_000, =]
    retry: {attempts: 2, on: [OSError]}
""",
        "utf-8",
    )
    read = Workflow.from_config(file, TASKS)
    wanted = ["no", "on", "1:30", 0.001, 15, 31, 12, "2024-01-01", None, None, True, "true", 0.5, "1_000", "="]
    assert read == Workflow.builder("w").add(Task("plain", plain, retry=Retry(2, on=OSError)), wanted).build()


def test_an_alias_says_a_thing_again(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(
        "name: w\ntasks:\n  a: &a {task: plain, inputs: {value: &v [1]}}\n  b: *a\n"
        "  c: {task: plain, inputs: {value: *v}}\n"
    )
    read = Workflow.from_config(file, TASKS)
    assert list(read.tasks) == ["a", "b", "c"]
    assert read.tasks["b"] == Task("b", plain)([1])


def test_a_name_is_registered_or_allowed() -> None:
    by_id = of({"a": {"task": "extract", "inputs": {"path": "x"}}})
    by_key = of({"extract": {"inputs": {"path": "x"}}})
    by_address = Workflow.from_config(
        {"name": "w", "tasks": {"a": {"task": f"{__name__}:extract", "inputs": {"path": "x"}}}}, modules=HERE
    )
    package = __name__.rpartition(".")[0]
    below = Workflow.from_config(
        {"name": "w", "tasks": {"a": {"task": f"{__name__}:extract", "inputs": {"path": "x"}}}},
        modules=[package or __name__],
    )
    assert by_id == by_address == below
    assert by_key.tasks.keys() == {"extract"}


def test_a_module_that_is_not_allowed_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("users_evil:run", "users_evil.sub:run"):
        with pytest.raises(DefinitionError, match="is not imported: only users_ev and what lies below may be"):
            Workflow.from_config({"name": "w", "tasks": {"a": {"task": name}}}, modules=["users_ev"])
    assert "users_evil" not in sys.modules


def test_policies() -> None:
    built = Workflow.from_config(
        {
            "name": "w",
            "tasks": {
                "plain": {
                    "inputs": {"value": 1},
                    "retry": {"attempts": 3, "backoff": {"initial": 0.5}, "on": ["OSError", f"{__name__}:Trouble"]},
                    "timeout": 5,
                    "cache": {"ttl": 60, "version": "2"},
                    "queue": "io",
                    "priority": 3,
                    "limit": {"name": "db", "at_once": 4},
                    "executor": "threads",
                },
                "clean": {"inputs": {"rows": []}},
                "once": {"task": "clean", "inputs": {"rows": []}, "retry": None, "cache": True},
            },
        },
        TASKS,
        modules=HERE,
    )
    policy = built.tasks["plain"].policy
    assert policy.retry == Retry(3, backoff=Exponential(0.5), on=(OSError, Trouble))
    assert policy.cache == Cache(60, "2")
    assert policy.limit == Limit("db", 4)
    assert (policy.timeout, policy.queue, policy.priority, policy.executor) == (5, "io", 3, "threads")
    assert built.tasks["clean"].policy == Policy(retry=Retry(2))
    assert built.tasks["once"].policy == Policy(cache=Cache())
    config = built.to_config()
    assert config["tasks"]["once"] == {
        "task": f"{__name__}:clean",
        "inputs": {"rows": []},
        "retry": None,
        "cache": True,
    }
    assert Workflow.from_config(config, modules=HERE) == built


def test_every_policy_can_be_written() -> None:
    assert set(Policy.model_fields) <= set(schema()["$defs"]["TaskConfig"]["properties"])


def test_inputs_take_the_place_of_those_a_registered_task_has() -> None:
    mine = {"halves": total([1.0], 0.5, bonus=2), "rest": both(1, name="a", other="b")}
    built = Workflow.from_config(
        {
            "name": "w",
            "tasks": {
                "a": {"task": "halves"},
                "b": {"task": "halves", "inputs": {"bonus": 3}},
                "c": {"task": "halves", "inputs": {"scores": [{"from": "b"}], "*": [{"from": "a"}]}},
                "d": {"task": "rest", "inputs": {"name": {"from": "c"}}},
            },
        },
        mine,
    )
    a, b = total([1.0], 0.5, bonus=2).named("a"), total([1.0], 0.5, bonus=3).named("b")
    c = total([b.out], a.out, bonus=2).named("c")
    assert built == Workflow.builder("w").add_all([a, b, c, both(1, name=c.out, other="b").named("d")]).build()
    assert Workflow.from_config(built.to_config(mine), mine) == built


def test_inputs_by_position_and_further_ones() -> None:
    built = of(
        {
            "a": {"task": "both", "inputs": {"second": 2, "first": 1, "third": 3, "extra": [4]}},
            "b": {"task": "total", "inputs": {"*": [{"from": "c"}, 2.0], "scores": []}},
            "c": {"task": "score", "inputs": {"row": {"literal": None}}},
            "d": {"task": "both", "inputs": {"first": 1}},
        }
    )
    c = score(None).named("c")  # type: ignore[arg-type]  # a constant is not checked when it is bound
    by_hand = Workflow.builder("w").add_all(
        [both(1, 2, 3, extra=[4]).named("a"), total([], c.out, 2.0).named("b"), c, both(1).named("d")]
    )
    assert built == by_hand.build()
    there_and_back(built)


def test_references() -> None:
    built = of(
        {
            "extract": {"inputs": {"path": {"inputs": "names[0]"}}},
            "score": {
                "inputs": {
                    "row": {"from": "extract", "path": "[-1]"},
                    "weight": {"from": "extract", "path": "[0].price"},
                }
            },
            "ended": {"inputs": {"outcome": {"outcome": "score"}}},
            "deep": {
                "task": "plain",
                "inputs": {
                    "value": {"list": [1, {"from": "score"}], "whole": {"inputs": "."}, "day": {"inputs": "day.start"}}
                },
            },
            "keys": {"task": "plain", "inputs": {"value": {"from": "deep", "path": '["a.b"][\'c d\']["\\""].e'}}},
        },
        inputs="Sales",
    )
    src = inputs(Sales)
    one = extract(src.names[0])
    two = score(one.out[-1], one.out[0].price)
    deep = Task("deep", plain)({"list": [1, two.out], "whole": src, "day": src.day.start})
    by_hand = Workflow.builder("w", inputs=Sales).add_all(
        [one, two, ended(two.outcome), deep, Task("keys", plain)(deep.out["a.b"]["c d"]['"'].e)]
    )
    assert built == by_hand.build()
    there_and_back(built)


def test_a_constant_with_the_key_of_a_reference_is_literal() -> None:
    built = of(
        {"a": {"task": "plain", "inputs": {"value": {"range": {"literal": {"from": {"from": "x"}, "to": [3]}}}}}}
    )
    assert built == Workflow.builder("w").add(Task("a", plain), {"range": {"from": {"from": "x"}, "to": [3]}}).build()
    there_and_back(built)


def test_maps() -> None:
    built = of(
        {
            "extract": {"inputs": {"path": "x"}},
            "score": {"inputs": {"row": {"each": "extract"}, "weight": 2}},
            "prices": {"task": "plain", "inputs": {"value": {"each": "extract", "path": ".price"}}},
            "names": {"task": "plain", "inputs": {"value": {"each": {"inputs": "names"}}}},
            "parts": {"task": "plain", "inputs": {"value": {"each": {"from": "deep", "path": ".rows"}, "path": "[0]"}}},
            "deep": {"task": "plain", "inputs": {"value": 1}},
            "ends": {"task": "plain", "inputs": {"value": {"each": {"outcome": "score"}}}},
        },
        inputs="Sales",
    )
    one, deep = extract("x"), Task("deep", plain)(1)
    mapped = score.map(one.each, weight=2)
    by_hand = Workflow.builder("w", inputs=Sales).add_all(
        [
            one,
            mapped,
            Task("prices", plain).map(one.each.price),
            Task("names", plain).map(each(inputs(Sales).names)),
            Task("parts", plain).map(each(deep.out.rows)[0]),
            deep,
            Task("ends", plain).map(each(mapped.outcome)),
        ]
    )
    assert built == by_hand.build()
    config = there_and_back(built)
    assert config["tasks"]["score"]["inputs"]["row"] == {"each": "extract"}
    assert config["tasks"]["parts"]["inputs"]["value"] == {"each": {"from": "deep", "path": ".rows"}, "path": "[0]"}


def test_conditions() -> None:
    built = of(
        {
            "extract": {"inputs": {"path": "x"}},
            "is_big": {"inputs": {"rows": {"from": "extract"}}},
            "a": {"task": "plain", "inputs": {"value": 1}, "when": {"from": "is_big"}, "unless": {"inputs": "publish"}},
            "b": {"task": "plain", "inputs": {"value": 1}, "when": [{"inputs": "publish"}, {"from": "is_big"}]},
            "c": {"task": "plain", "inputs": {"value": 1}, "when": False, "after": ["a"]},
        },
        inputs="Sales",
    )
    src = inputs(Sales)
    one = extract("x")
    big = is_big(one.out)
    a = Task("a", plain)(1).when(big.out).unless(src.publish)
    b = Task("b", plain)(1).when(src.publish).when(big.out)
    by_hand = Workflow.builder("w", inputs=Sales).add_all([one, big, a, b, Task("c", plain)(1).when(False).after(a)])
    assert built == by_hand.build()
    there_and_back(built)


def test_a_task_that_is_switched_off_is_left_out() -> None:
    built = of(
        {
            "a": {"task": "plain", "inputs": {"value": 1}, "enabled": False},
            "f": {"task": "plain", "matrix": {"n": [1, 2]}, "inputs": {"value": {"matrix": "n"}}, "enabled": False},
            "b": {"task": "plain", "inputs": {"value": 1}, "after": ["a", "f", "f-1"]},
        }
    )
    assert built == Workflow.builder("w").add(Task("b", plain), 1).build()


def test_a_matrix_makes_a_task_of_each_combination() -> None:
    built = of(
        {
            "train": {
                "task": "both",
                "matrix": {"lr": [0.1, 0.01], "deep": [True, False]},
                "exclude": [{"lr": 0.1, "deep": True}],
                "inputs": {"first": {"matrix": "lr"}, "second": [{"matrix": "deep"}]},
                "when": {"matrix": "deep"},
            },
            "test": {
                "task": "plain",
                "matrix": {"lr": [0.1, 0.01]},
                "id": "test.{lr}",
                "inputs": {"value": {"from": "train-{lr}-false"}},
                "after": ["train-0.01-true"],
            },
            "best": {"task": "plain", "inputs": {"value": {"all": "test", "path": ".score"}}, "after": "train"},
            "one": {"task": "plain", "inputs": {"value": {"all": "best"}}},
        }
    )
    trained = {
        (lr, deep): both(lr, [deep]).named(f"train-{lr}-{str(deep).lower()}").when(deep)
        for lr, deep in [(0.1, False), (0.01, True), (0.01, False)]
    }
    tests = [Task(f"test.{lr}", plain)(trained[lr, False].out).after(trained[0.01, True]) for lr in (0.1, 0.01)]
    best = Task("best", plain)([one.out.score for one in tests]).after(*trained.values())
    one = Task("one", plain)([best.out])
    assert built == Workflow.builder("w").add_all([*trained.values(), *tests, best, one]).build()
    there_and_back(built)


def test_the_last_task_is_returned_by_default() -> None:
    assert of({"a": {"task": "extract", "inputs": {"path": "x"}}, "clean": {"inputs": {"rows": []}}}).returns == "clean"
    assert of({}) == Workflow.builder("w").build()
    there_and_back(of({}))


def test_an_open_block_does_not_record_what_is_read() -> None:
    with workflow("outer") as outer:

        @task
        def own() -> int:
            return 1

        inner = of({"extract": {"inputs": {"path": "x"}}})
    assert list(outer.workflow.tasks) == ["own"]
    assert list(inner.tasks) == ["extract"]


def test_constants_of_a_mapping_may_be_anything() -> None:
    thing = object()
    assert (
        of({"a": {"task": "plain", "inputs": {"value": thing}}})
        == Workflow.builder("w").add(Task("a", plain), thing).build()
    )


# ── there and back ──────────────────────────────────────────────────────────────────────────────────────────────────

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(max_codepoint=0xD7FF), max_size=4) | st.sampled_from(["{lr}", "~", "no", "from", "each"])
SIMPLE = st.none() | st.booleans() | st.integers() | FINITE | TEXTS


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)


CONSTANTS: st.SearchStrategy[Any] = st.recursive(SIMPLE | st.text(max_size=4), _containers, max_leaves=8)


@st.composite
def workflows(draw: st.DrawFn) -> Workflow[Any, Any]:
    """Workflows of importable functions and plain constants."""
    tasks: list[Task[..., Any]] = []
    for k in range(draw(st.integers(0, 5))):
        made: Any = Task(f"t{k}", plain)
        parts: list[Any] = [draw(CONSTANTS)]
        for other in tasks:
            match draw(st.integers(0, 5)):
                case 0:
                    parts.append(other.out[draw(st.integers(-2, 2))].a[draw(st.text(max_size=3))])
                case 1:
                    parts.append({"k": other.outcome})
                case 2:
                    made = made.after(other)
                case 3:
                    made = made.when(other.out[0].flag).unless(draw(st.booleans()))
                case _:
                    continue
        source = tasks[0].out[0] if draw(st.booleans()) and tasks else None
        made = made(parts) if source is None else made.map([*parts, each(source.rows).name])
        timeout = draw(st.none() | st.integers(1, 9))
        tasks.append(made.with_policy(timeout=timeout, retry=draw(st.none() | st.integers(1, 3))))
    builder: Any = Workflow.builder("w").add_all(tasks)
    return builder.build(returns=draw(st.sampled_from(tasks)) if tasks else None)  # type: ignore[no-any-return]


@given(workflows())
def test_a_workflow_comes_back_as_it_went(built: Workflow[Any, Any]) -> None:
    config = built.to_config()
    again = Workflow.from_config(json.loads(json.dumps(config)), modules=HERE)
    assert again == built
    assert again.to_config() == config


# JSON writes characters above these as two that YAML takes one by one.
@given(st.recursive(SIMPLE, _containers, max_leaves=8))
def test_a_file_says_what_the_mapping_says(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    config = {"name": "w", "tasks": {"plain": {"inputs": {"value": {"literal": value}}}}}
    folder = tmp_path_factory.mktemp("config")
    for suffix in ("json", "yaml"):  # YAML reads all of JSON
        file = folder / f"w.{suffix}"
        file.write_text(json.dumps(config), "utf-8")
        assert Workflow.from_config(file, TASKS) == Workflow.builder("w").add(Task("plain", plain), value).build()


def test_the_names_of_a_registry_are_written() -> None:
    registry = {"double": Task("x", lambda n: 2 * n, priority=3), "Sales": Sales}
    config: dict[str, Any] = {
        "name": "w",
        "inputs": "Sales",
        "returns": "b",
        "tasks": {
            "a": {"task": "double", "inputs": {"n": 1}, "priority": 3},
            "b": {"task": "double", "inputs": {"n": {"from": "a"}}, "priority": 0},
        },
    }
    built = Workflow.from_config(config, registry)
    assert built.to_config(registry) == config
    assert [one.policy.priority for one in built.tasks.values()] == [3, 0]


def test_dates_come_back(tmp_path: Path) -> None:
    file = tmp_path / "w.toml"
    file.write_text('name = "w"\n[tasks.plain.inputs]\nvalue = [2024-01-02, 2024-01-02T03:04:05]\n')
    built = Workflow.from_config(file, TASKS)
    assert (
        built
        == Workflow.builder("w").add(Task("plain", plain), [date(2024, 1, 2), datetime(2024, 1, 2, 3, 4, 5)]).build()
    )
    assert Workflow.from_config(built.to_config(), TASKS) == built


# ── lines ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_lines_of_a_toml_file() -> None:
    text = '''\
name = "w" # [x]
a.'b c'."d" = [1, # ]
  [2], {e = 3, f.g = """
"""}]

[[tasks]]
x = 1
[tasks.sub]
y = \'\'\'
[no]
\'\'\'
[[tasks]]
x = 2
z = 2024-01-01T00:00:00Z
[h."i.j"]
'''
    assert toml_lines(text) == {
        ("name",): 1,
        ("a",): 2,
        ("a", "b c"): 2,
        ("a", "b c", "d"): 2,
        ("a", "b c", "d", 0): 2,
        ("a", "b c", "d", 1): 3,
        ("a", "b c", "d", 1, 0): 3,
        ("a", "b c", "d", 2): 3,
        ("a", "b c", "d", 2, "e"): 3,
        ("a", "b c", "d", 2, "f"): 3,
        ("a", "b c", "d", 2, "f", "g"): 3,
        ("tasks",): 6,
        ("tasks", 0): 6,
        ("tasks", 0, "x"): 7,
        ("tasks", 0, "sub"): 8,
        ("tasks", 0, "sub", "y"): 9,
        ("tasks", 1): 12,
        ("tasks", 1, "x"): 13,
        ("tasks", 1, "z"): 14,
        ("h", "i.j"): 15,
    }


def _paths(value: Any, keys: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items: list[Any] = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [path for key, item in items for path in ((*keys, key), *_paths(item, (*keys, key)))]


@given(CONSTANTS)
def test_every_key_of_a_json_text_has_its_line(value: Any) -> None:
    text = json.dumps({"x": value}, indent=1)
    lines = json_lines(text)
    assert list(lines.lines) == _paths({"x": value})
    assert lines.again == []
    shown = text.splitlines()
    for keys, line in lines.lines.items():
        if isinstance(keys[-1], str):
            assert shown[line - 1].strip().startswith(json.dumps(keys[-1]))


# ── the rest ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_schema_describes_every_key() -> None:
    found = schema()
    assert found["required"] == ["name", "tasks"]
    assert found["additionalProperties"] is False
    assert set(found["properties"]) == {"name", "inputs", "returns", "tasks"}
    words = {"from", "outcome", "inputs", "each", "all", "matrix", "literal"}
    assert set(found["$defs"]["Value"]["anyOf"][-1]["propertyNames"]["not"]["enum"]) == words
    text = json.dumps(found)
    named = {part.partition('"')[0] for part in text.split('"$ref": "#/$defs/')[1:]}
    assert named <= set(found["$defs"])
    assert '"gt"' not in text
    assert '"ge"' not in text


def test_reading_yaml_without_its_library_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "graflow.core.config._yaml", raising=False)
    monkeypatch.setitem(sys.modules, "yaml", None)
    file = tmp_path / "w.yaml"
    file.write_text(FORMS["yaml"])
    with pytest.raises(ConfigurationError) as caught:
        Workflow.from_config(file, TASKS)
    assert str(caught.value) == (
        f"{file}: reading YAML needs PyYAML, which is not installed; in a checkout of graflow run: "
        f"pip install '.[yaml]' (elsewhere: pip install pyyaml), or write the file as TOML or JSON"
    )


CALLS: dict[str, tuple[Callable[[], object], str]] = {
    "source": (
        lambda: Workflow.from_config(cast(Any, 3)),
        "from_config() takes a mapping or the path of a file, not 3",
    ),
    "registry": (
        lambda: Workflow.from_config({}, "x"),
        "registry= takes a mapping from names to tasks, or tasks, not 'x'",
    ),
    "nameless": (
        lambda: Workflow.from_config({}, [3]),
        "3 has no name to be registered under; pass a mapping: {'name': ...}",
    ),
    "twice": (
        lambda: Workflow.from_config({}, [extract, clean.named("extract")]),
        "two things of the registry have the name 'extract'; pass a mapping, {'name': ...}",
    ),
    "modules": (
        lambda: Workflow.from_config({}, modules="shop"),
        "modules= takes several names, not the text 'shop'; pass ['shop']",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_is_wrong(name: str) -> None:
    call, message = CALLS[name]
    with pytest.raises(ConfigurationError) as caught:
        call()
    assert str(caught.value) == message


def test_a_registered_signal_and_a_first_of_can_be_used() -> None:
    go, fast, slow = signal("go", bool), Task("fast", plain), Task("slow", plain)
    either = first_of(fast(1), slow(2))
    tasks = {
        "fast": {"inputs": {"value": 1}},
        "slow": {"inputs": {"value": 2}},
        either.id: {},
        "go": {},
        "both": {"inputs": {"first": {"from": either.id}, "second": {"from": "go"}}},
    }
    built = Workflow.from_config({"name": "w", "tasks": tasks}, [fast, slow, either, go, both])
    by_hand = Workflow.builder("w").add_all([fast(1), slow(2), either, go, both(either.out, go.out)]).build()
    assert built == by_hand
