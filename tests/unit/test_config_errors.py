"""What is wrong with a configuration: the exact words, with file, line and key, all of one stage together."""

# ruff: noqa: E501 - a message is easier to compare unbroken

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable, Sequence
from os import getcwd as borrowed
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from pydantic import BaseModel, validate_call

from graflow import (
    CycleError,
    DefinitionError,
    DefinitionErrors,
    InvalidConfigError,
    Outcome,
    Task,
    UnboundParameterError,
    WiringError,
    Workflow,
    first_of,
    task,
)

assert borrowed is os.getcwd  # both stand in this module, and neither is of it


class Sales(BaseModel, frozen=True):
    path: str = "x"


@task
def extract(path: str) -> list[int]:
    return [1]


@task
def clean(rows: list[int], *, drop: bool = True) -> list[int]:
    return rows


@task
def publish(text: str, *more: str) -> str:
    return text


def generates() -> Any:
    yield 1


REGISTRY = {"extract": extract, "clean": clean, "publish": publish, "Sales": Sales, "generates": generates}
HERE = __name__


def errors_of(source: Any, **more: Any) -> list[DefinitionError]:
    """All errors of a configuration, after a trip through pickle."""
    with pytest.raises(DefinitionError) as caught:
        Workflow.from_config(source, REGISTRY, **more)
    errors = list(caught.value.exceptions) if isinstance(caught.value, DefinitionErrors) else [caught.value]
    for error in (caught.value, *errors):
        there = pickle.loads(pickle.dumps(error))
        assert type(there) is type(error)
        assert str(there) == str(error)
        assert vars(there).keys() == vars(error).keys()
    return [error for error in errors if isinstance(error, DefinitionError)]


class Case(NamedTuple):
    """A file, and what is wrong with it, without the file's name."""

    text: str | bytes
    said: list[str]
    suffix: str = "yaml"


TOO_DEEP = "w: containers lie more than 64 deep in each other; make it flatter"
BASE = "name: w\ninputs: Sales\ntasks:\n  extract: {inputs: {path: {inputs: path}}}\n"

FILES = {
    "empty": Case(" \n", ["w: is empty; a configuration has at least a name and tasks"]),
    "only a comment": Case("# x\n", ["w: a configuration is a mapping with the keys name and tasks, not nothing"]),
    "a list": Case("- a\n", ["w: a configuration is a mapping with the keys name and tasks, not a list"]),
    "a number": Case("3", ["w: a configuration is a mapping with the keys name and tasks, not a int"], "json"),
    "not utf-8": Case(b"name: w\na: \xff", ["w:2: is not UTF-8: it has the byte 0xff; save it as UTF-8"]),
    "too large": Case("#" * (513 << 10), ["w: is larger than 512 KiB, the most for .yaml; split it, or pass a mapping"]),
    "another kind": Case(
        "x",
        ["w: a configuration is a file that ends in one of .yaml, .yml, .toml, .json; rename it, or pass a mapping"],
        "ini",
    ),
    "no yaml": Case("name: w\na: [\n", ["w:3: this is no YAML: expected the node content, but found '<stream end>'"]),
    "control characters": Case("a: \x01", ["w: this is no YAML: unacceptable character #x0001: special characters are not allowed"]),
    "tabs": Case("name: w\ntasks:\n\ta: 1\n", ["w:3: this is no YAML: there is a tab; indent with spaces"]),
    "two documents": Case("a: 1\n---\nb: 2\n", ["w:2: this is no YAML: but found another document"]),
    "no json": Case('{"name": "w",\n}', ["w:1: this is no JSON: Illegal trailing comma before end of object"], "json"),
    "no toml": Case('name = "w"\na = \n', ["w:2: this is no TOML: Invalid value"], "toml"),
    "a long number in json": Case(
        f'{{"a": {"9" * 5000}}}',
        ["w: this is no JSON: Exceeds the limit (4300 digits) for integer string conversion: value has 5000 digits"],
        "json",
    ),
    "a long number in yaml": Case(f"a: {'9' * 5000}", ["w:1: a: 99999999999999999999... is too long for a number; put it in quotes"]),
    "twice in yaml": Case(
        "name: w\ntasks:\n  a: {}\n  a: {}\nname: v\n",
        [
            "w:4: tasks.a: the key 'a' is there twice, on line 3 as well; remove one",
            "w:5: name: the key 'name' is there twice, on line 1 as well; remove one",
        ],
    ),
    "twice in json": Case(
        '{"name": "w", "tasks": {"a": {\n "task": "x",\n "task": [{}, {"k": 1, "k": 2}]}}}',
        [
            "w:3: tasks.a.task: the key 'task' is there twice, on line 2 as well; remove one",
            "w:3: tasks.a.task[1].k: the key 'k' is there twice, on line 3 as well; remove one",
        ],
        "json",
    ),
    "twice in toml": Case('name = "w"\nname = "v"\n', ["w:2: this is no TOML: Cannot overwrite a value"], "toml"),
    "merging": Case(
        "name: w\ntasks:\n  a: &a {}\n  b:\n    <<: *a\n",
        [
            "w:5: tasks.b['<<']: merging with << is no part of YAML 1.2; write the keys out, or use an alias for a whole value"
        ],
    ),
    "tags": Case(
        "name: !!python/object/apply:os.system ['true']\ntasks: !other {}\na: !!int x\nb: !!set {}\nc: !!binary eA==\n",
        [
            "w:1: name: the tag !!python/object/apply:os.system is not allowed; a configuration holds plain data",
            "w:2: tasks: the tag !other is not allowed; a configuration holds plain data",
            "w:3: a: 'x' is no int",
            "w:4: b: the tag !!set is not allowed; a configuration holds plain data",
            "w:5: c: the tag !!binary is not allowed; a configuration holds plain data",
        ],
    ),
    "keys": Case(
        "name: w\n1: x\ntasks:\n  ? [a]\n  : x\n",
        [
            "w:2: a key is a text, not 1; put it in quotes",
            "w:4: tasks: a key is a text, not ['a']; put it in quotes",
        ],
    ),
    "contains itself": Case("name: w\ntasks: &t\n  a: *t\n", ["w:2: tasks.a: this contains itself; write it out as far as it is needed"]),
    "aliases of aliases": Case(
        "name: w\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]\n" for k in range(1, 60)),
        ["w:5: a4[7]: aliases repeat more than 100,000 values; write less"],
    ),
    "too deep": Case("a: " + "[" * 2000, [TOO_DEEP]),
    "too deep for json": Case('{"a": ' + "[" * 100_000, [TOO_DEEP], "json"),
    "deep in json": Case('{"a":\n' + "[" * 70 + "]" * 70 + "}", ["w:2: a[0]: " + TOO_DEEP[3:]], "json"),
    "no number": Case(
        '{"name": "w", "tasks": {"a": {"inputs": {"x":\n [NaN,\n -Infinity, 1e999]}}}}',
        [
            "w:2: tasks.a.inputs.x[0]: a number is finite, not nan; leave it out, or let a task make it",
            "w:3: tasks.a.inputs.x[1]: a number is finite, not -inf; leave it out, or let a task make it",
            "w:3: tasks.a.inputs.x[2]: a number is finite, not inf; leave it out, or let a task make it",
        ],
        "json",
    ),
    "keys and types": Case(
        BASE
        + """\
  a:
    tsk: extract
    timeout: no
    retry: {attemps: 3}
    inputs: [1]
    enabled: 1
    limit: {name: "a b", at_once: 0}
    executor: thread
    matrix: {a: []}
  b: 3
task: {}
""",
        [
            "w:6: tasks.a.tsk: there is no key 'tsk' here; did you mean 'task'?",
            "w:7: tasks.a.timeout: input should be a valid number, not 'no'",
            "w:8: tasks.a.retry: the key 'attempts' is missing",
            "w:8: tasks.a.retry.attemps: there is no key 'attemps' here; did you mean 'attempts'?",
            "w:9: tasks.a.inputs: give a mapping, not [1]",
            "w:10: tasks.a.enabled: input should be a valid boolean, not 1",
            "w:11: tasks.a.limit.name: string should match pattern '^[A-Za-z0-9_][A-Za-z0-9_.-]*$', not 'a b'",
            "w:11: tasks.a.limit.at_once: input should be greater than or equal to 1, not 0",
            "w:12: tasks.a.executor: input should be 'inline', 'threads' or 'processes', not 'thread'",
            "w:13: tasks.a.matrix.a: there has to be one item at least",
            "w:14: tasks.b: give a mapping, not 3",
            "w:15: task: there is no key 'task' here; did you mean 'tasks'?",
        ],
    ),
    "missing keys": Case('a = 1\n[tasks.a]\n', ["w: the key 'name' is missing", "w:1: a: there is no key 'a' here; there are name, inputs, returns, tasks"], "toml"),
    "no name": Case("name: ' '\ntasks: {}\n", [r"w:1: name: string should match pattern '\S', not ' '"]),
    "names": Case(
        BASE
        + f"""\
  a: {{task: extrat}}
  b: {{task: "os:system"}}
  c: {{task: "{HERE}:borrowed"}}
  d: {{task: "{HERE}:extrakt"}}
  e: {{task: "{HERE}:extract.fn.__globals__"}}
  f: {{task: "{HERE}:os.getcwd"}}
  g: {{task: generates}}
  h: {{task: "os:sys tem"}}
  i: {{task: "{HERE}:HERE"}}
  nothing: {{}}
""",
        [
            "w:5: tasks.a.task: no task is registered as 'extrat'; did you mean 'extract'?",
            f"w:6: tasks.b.task: 'os:system' is not imported: only {HERE} and what lies below may be; allow it with modules=['os'], or register the task",
            f"w:7: tasks.c.task: '{HERE}:borrowed' was defined in module 'posix', which is not allowed; add it to modules=, or register it",
            f"w:8: tasks.d.task: module '{HERE}' has no 'extrakt'; did you mean 'extract'?",
            f"w:9: tasks.e.task: '{HERE}:extract.fn.__globals__' is not looked up: such names are kept for Python itself",
            f"w:10: tasks.f.task: 'os' in '{HERE}:os.getcwd' is a module; write its own name, os:...",
            "w:11: tasks.g.task: 'generates' cannot be a task: 'generates' is a generator function, so its result would be a generator that nobody has run yet; return a list instead",
            "w:12: tasks.h.task: 'os:sys tem' is not of the form module:name",
            f"w:13: tasks.i.task: '{HERE}:HERE' is neither a task nor callable, but {HERE!r}",
            "w:14: tasks.nothing: no task is registered as 'nothing'; there are extract, clean, publish, generates",
        ],
    ),
    "models and exceptions": Case(
        "name: w\ninputs: clean\ntasks:\n  extract:\n    retry: {attempts: 2, on: [OSError, int, Nothing]}\n",
        [
            "w:2: inputs: 'clean' is no pydantic model, which a workflow's inputs need, but <task 'clean'>",
            "w:5: tasks.extract.retry.on: no exception is registered as 'int'; write a builtin one, such as OSError, or module:name of an allowed module, or register it",
        ],
    ),
    "references": Case(
        BASE
        + """\
  a:
    task: clean
    inputs:
      rows: {from: extrct}
      drop: {from: extract, to: 3}
      rws: 1
  b:
    task: publish
    inputs:
      text: {from: extract, path: "x..y"}
      "*": [{matrix: x}, {each: {all: a}}, {inputs: pth}, {from: 3}, {from: a, path: .__class__}]
    after: [a, nobody]
    when: {all: a}
    unless: [false, 3]
  c:
    task: clean
    inputs: {"*": [1], rows: {literal: 1, path: x}}
  d:
    task: publish
    inputs: {"*": [x]}
returns: e
""",
        [
            "w:8: tasks.a.inputs.rows: there is no task 'extrct'; did you mean 'extract'?",
            "w:9: tasks.a.inputs.drop.to: {from: ...} stands for the result of a task and has no key 'to'; for a constant with the key 'from' write {literal: {...}}",
            "w:10: tasks.a.inputs.rws: task 'a' has no parameter 'rws'; did you mean 'rows'?",
            "w:14: tasks.b.inputs.text.path: cannot read '..y' of the path 'x..y'; write .name, [0] or [\"key\"], as in [0].price",
            "w:15: tasks.b.inputs.*[0]: {matrix: x} needs a matrix: write one beside the inputs",
            "w:16: tasks.b.after: there is no task 'nobody'; there are extract, a, b, c, d",
            "w:17: tasks.b.when: a flag is true, false, or a reference with from, outcome, inputs or matrix, not {'all': 'a'}",
            "w:18: tasks.b.unless[1]: a flag is true, false, or a reference with from, outcome, inputs or matrix, not 3",
            "w:21: tasks.c.inputs.*: task 'c' takes no further inputs by position",
            "w:21: tasks.c.inputs.rows.path: {literal: ...} stands for a constant as it stands and has no key 'path'; for a constant with the key 'literal' write {literal: {...}}",
            "w:24: tasks.d.inputs: task 'd' needs 'text' too, because inputs after it are given by position",
            "w:25: returns: there is no task 'e'; there are extract, a, b, c, d",
        ],
    ),
    "more references": Case(
        BASE
        + """\
  a: {task: publish, inputs: {text: {each: {all: a}}}}
  b: {task: publish, inputs: {text: {inputs: pth}}}
  c: {task: publish, inputs: {text: {from: 3}}}
  d: {task: publish, inputs: {text: {from: extract, path: .__class__}}}
  e: {task: publish, inputs: {text: {from: extract}, "*": x}}
  f: {task: publish, inputs: {text: {each: ''}}}
""",
        [
            "w:5: tasks.a.inputs.text.each: {each: ...} takes a task, or a reference with from, outcome or inputs, not {'all': 'a'}",
            "w:6: tasks.b.inputs.text: the input Sales has no field 'pth'; did you mean 'path'?",
            "w:7: tasks.c.inputs.text.from: input should be a valid string, not 3",
            "w:8: tasks.d.inputs.text.path: the path '.__class__' leads to '__class__', and such names are kept for Python itself",
            "w:9: tasks.e.inputs.*: '*' takes a list of further inputs, not 'x'",
            "w:10: tasks.f.inputs.text.each: {each: ...} takes a task, or a reference with from, outcome or inputs, not ''",
        ],
    ),
    "inputs without a model": Case(
        "name: w\ntasks:\n  extract: {inputs: {path: {inputs: path}}}\n",
        ["w:3: tasks.extract.inputs.path: the workflow takes no inputs; name their model at the top: inputs: module:Model"],
    ),
    "switched off": Case(
        BASE.replace("extract: {", "extract: {enabled: false, ")
        + """\
  clean: {inputs: {rows: {from: extract}}, after: [extract]}
  publish: {inputs: {text: {outcome: extract}}}
  all: {task: clean, inputs: {rows: {all: extract}}}
returns: extract
""",
        [
            "w:5: tasks.clean.inputs.rows: task 'extract' is switched off (enabled: false), but 'clean' needs its result; switch both off, or neither",
            "w:6: tasks.publish.inputs.text: task 'extract' is switched off (enabled: false), but 'publish' needs its outcome; switch both off, or neither",
            "w:7: tasks.all.inputs.rows: task 'extract' is switched off (enabled: false), but 'all' needs its results; switch both off, or neither",
            "w:8: returns: task 'extract' is switched off (enabled: false), but the workflow returns it; switch both off, or neither",
        ],
    ),
    "matrices": Case(
        BASE
        + """\
  a:
    task: clean
    matrix: {x: [1, 2], y: [a, a/b]}
    exclude: [{x: 1.0}, {z: 1}]
    id: "a-{y}"
  b: {task: clean, id: b}
  c: {task: clean, exclude: [{x: 1}]}
  d: {task: clean, matrix: {x: [[1]]}}
  e: {task: clean, matrix: {x: [1]}, exclude: [{x: 1}]}
  f: {task: clean, matrix: {x: [1]}, id: "f-{y}"}
  g: {task: clean, matrix: {x: [1]}, id: extract}
  h i: {task: clean}
""",
        [
            "w:8: tasks.a.exclude[0]: no combination that is left has {'x': 1.0}; remove it, or correct its values",
            "w:8: tasks.a.exclude[1].z: the matrix has no 'z'; there are x, y",
            "w:9: tasks.a.id: the task id 'a-a/b' contains '/', which is kept for paths into nested workflows; write letters, digits, '_', '-' and '.'",
            "w:9: tasks.a.id: the matrix makes two tasks 'a-a'; remove the value that is there twice, or tell them apart: id: a-{...}",
            "w:10: tasks.b.id: 'id' says something about a matrix, and there is none",
            "w:11: tasks.c.exclude: 'exclude' says something about a matrix, and there is none",
            "w:12: tasks.d.matrix: {x} in 'd-{x}' is [1]; only texts, numbers and booleans become part of an id",
            "w:13: tasks.e.exclude: every combination is excluded; use enabled: false to leave the task out",
            "w:14: tasks.f.id: 'f-{y}' names {y}, but the matrix has no 'y'; there is only x",
            "w:15: tasks.g.id: this makes a task 'extract', and so does tasks.extract; write another id",
            "w:16: tasks['h i']: the task id 'h i' contains ' '; write letters, digits, '_', '-' and '.'",
        ],
    ),
    "values of a matrix": Case(
        BASE
        + """\
  a: {task: publish, matrix: {x: [p, q]}, inputs: {text: {matrix: y}}}
  b: {task: publish, inputs: {text: {from: a}}}
""",
        [
            "w:5: tasks.a.inputs.text: the matrix has no 'y'; there is only x",
            "w:6: tasks.b.inputs.text: 'a' is 2 tasks (a-p, a-q); name one, or take all results: {all: a}",
        ],
    ),
    "a matrix that is too large": Case(
        'name = "w"\n[tasks.a]\nmatrix = {' + ", ".join(f"m{k} = [1, 2]" for k in range(40)) + "}\n",
        ["w:3: tasks.a.matrix: 1,099,511,627,776 combinations are too many: a configuration has up to 100,000 tasks"],
        "toml",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_the_words_of_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    case = FILES[name]
    monkeypatch.chdir(tmp_path)
    file = Path(f"w.{case.suffix}")
    file.write_bytes(case.text if isinstance(case.text, bytes) else case.text.encode())
    errors = errors_of(file, modules=[HERE])
    said = [str(error).replace(str(file), "w", 1) for error in errors]
    if name == "no json":  # Python 3.13 says more
        said = [
            re.sub(
                "Expecting property name enclosed in double quotes",
                "Illegal trailing comma before end of object",
                said[0],
            )
        ]
        said = [re.sub("^w:2", "w:1", said[0])]
    assert said == case.said
    for error in errors:
        assert isinstance(error, InvalidConfigError)
        assert error.file == str(file)
        line, path = re.match(r"\w+\.\w+(?::(\d+))?: (?:([\w.*<\[\]' -]+): )?", str(error)).groups()  # type: ignore[union-attr]
        assert error.line == (int(line) if line else None)
        assert error.path == (path or "") or error.path == ""


def test_several_mistakes_are_a_group_that_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "w.toml"
    file.write_text("a = 1\nb = 2\n")
    with pytest.raises(DefinitionErrors, match=f"^{file} has 4 errors"):
        Workflow.from_config(file)
    with pytest.raises(DefinitionErrors, match=r"^the configuration has 2 errors"):
        Workflow.from_config({})


def test_a_mapping_has_no_lines() -> None:
    (error,) = errors_of({"name": "w", "tasks": {"a": {"task": "extract", "inputs": {"path": float("nan")}}}})
    assert isinstance(error, InvalidConfigError)
    assert str(error) == "tasks.a.inputs.path: a number is finite, not nan; leave it out, or let a task make it"
    assert (error.file, error.line, error.path) == ("", None, "tasks.a.inputs.path")
    (error,) = errors_of({"name": "w"})
    assert str(error) == "the configuration: the key 'tasks' is missing"


def test_a_mapping_that_is_shared_over_and_over_is_refused() -> None:
    value: Any = ["x"] * 10
    for _ in range(40):
        value = [value] * 10
    (error,) = errors_of({"name": "w", "tasks": {"a": value}})
    assert str(error) == "tasks.a: aliases repeat more than 100,000 values; write less"
    own: list[Any] = []
    own.append(own)
    (error,) = errors_of({"name": "w", "tasks": own})
    assert str(error) == "tasks[0]: containers lie more than 64 deep in each other; make it flatter"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(), "Is a directory"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, make: Callable[[Path], object], reason: str) -> None:
    file = tmp_path / "w.json"
    make(file)
    (error,) = errors_of(file)
    assert str(error) == f"{file}: cannot be read: {reason}"


def test_a_path_that_no_file_can_have() -> None:
    (error,) = errors_of("a\0.json")
    assert str(error) == "a\0.json: cannot be read: embedded null byte"


def test_a_module_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_broken.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    config = {"name": "w", "tasks": {"a": {"task": "users_broken:run"}, "b": {"task": "users_nowhere:run"}}}
    said = [str(error) for error in errors_of(config, modules=["users_broken", "users_nowhere"])]
    assert said == [
        "tasks.a.task: module 'users_broken' cannot be imported: ZeroDivisionError: division by zero",
        "tasks.b.task: module 'users_nowhere' cannot be imported: ModuleNotFoundError: No module named 'users_nowhere'",
    ]


# ── the checks of every workflow ────────────────────────────────────────────────────────────────────────────────────


def test_definition_errors_name_their_place(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(
        BASE
        + """\
  one:
    task: publish
    inputs:
      text: {from: extract}
  two:
    task: publish
    inputs:
      text: {from: extract}
"""
    )
    one, two = errors_of(file)
    assert type(one) is type(two) is WiringError
    assert str(one).startswith(
        f"{file}:8: tasks.one.inputs.text: 'extract' cannot feed parameter 'text' of task 'one': list[int] cannot feed str ("
    )
    assert str(two).startswith(f"{file}:12: tasks.two.inputs.text: 'extract' cannot feed ")


class Report(BaseModel, frozen=True):
    lines: int = 0


def report(rows: list[int], about: Path | None = None) -> Report:
    return Report(lines=len(rows))


def send(report: Report, times: int = 1, *more: float, to: Sequence[str] = (), **rest: Literal["a", "b"]) -> bool:
    return True


def ended(how: Outcome[int]) -> int:
    return 1


def listed(text: str) -> list[str]:
    return [text]


class Page(BaseModel, frozen=True):
    lines: list[str] = []


def pages() -> Page:
    return Page()


@validate_call
def converted(report: Report, times: int = 1) -> bool:
    return report.lines == times


MORE = [extract, clean, publish, Sales, report, send, ended, listed, converted, pages]


def said_of(tasks: dict[str, Any], **top: Any) -> list[str]:
    """All errors of some tasks, without the places where functions stand."""
    with pytest.raises(DefinitionError) as caught:
        Workflow.from_config({"name": "w", "tasks": tasks, **top}, MORE)
    errors = caught.value.exceptions if isinstance(caught.value, DefinitionErrors) else (caught.value,)
    return [re.sub(r" \(['/][^)]*\);", ";", str(error)) for error in errors]


def test_a_flag_that_is_none_is_at_the_flag(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(
        BASE
        + """\
  clean:
    inputs: {rows: [1]}
    when: {from: number}
  publish:
    inputs: {text: x}
    unless:
      - {from: flag}
      - {from: number}
  flag: {task: send, inputs: {report: {from: report}}}
  report: {inputs: {rows: {from: extract}}}
  number: {task: ended, inputs: {how: {outcome: number0}}}
  number0: {task: ended, inputs: {how: {literal: 1}}}
"""
    )
    with pytest.raises(DefinitionErrors) as caught:
        Workflow.from_config(file, MORE)
    one, other = map(str, caught.value.exceptions)
    assert one.startswith(f"{file}:7: tasks.clean.when: 'number' cannot be the flag of clean.when(): int cannot feed ")
    assert other.startswith(f"{file}:12: tasks.publish.unless[1]: 'number' cannot be the flag of publish.unless(): ")


def test_advice_is_in_the_notation_of_a_file() -> None:
    some = {"extract": {"inputs": {"path": "x"}}, "one": {"task": "ended", "inputs": {"how": {"literal": 1}}}}
    assert said_of({**some, "d": {"task": "clean"}}) == [
        "tasks.d: parameter 'rows: list[int]' of task 'd' has no input; 'extract' could feed it: rows: {from: extract}"
    ]
    assert said_of(
        {
            **some,
            "a": {"task": "ended", "inputs": {"how": {"from": "one"}}},
            "b": {"task": "clean", "inputs": {"rows": {"outcome": "extract"}}},
            "c": {"task": "publish", "inputs": {"text": {"from": "listed"}}},
            "listed": {"inputs": {"text": "x"}},
        }
    ) == [
        "tasks.a.inputs.how: 'one' cannot feed parameter 'how' of task 'a': int cannot feed Ok[int] | Failed | Skipped; pass how it ended, {outcome: one}",
        "tasks.b.inputs.rows: {outcome: extract} cannot feed parameter 'rows' of task 'b': Ok[list[int]] | Failed | Skipped cannot feed list[int]; pass its result, {from: extract}",
        "tasks.c.inputs.text: 'listed' cannot feed parameter 'text' of task 'c': list[str] cannot feed str; to run it for each item: {each: listed}",
    ]
    parts = {"from": "pages", "path": "lines"}
    assert said_of({"pages": {}, "c": {"task": "publish", "inputs": {"text": parts}}}) == [
        "tasks.c.inputs.text: 'pages' cannot feed parameter 'text' of task 'c': list[str] cannot feed str; to run it for each item: {each: {from: pages, path: '.lines'}}"
    ]
    assert said_of({"extract": {}}) == [
        "tasks.extract: parameter 'path: str' of task 'extract' has no input; write it under inputs: path: ..."
    ]
    assert said_of({**some, "a": {"task": "publish", "inputs": {"text": "x"}, "when": {"outcome": "one"}}}) == [
        "tasks.a.when: when: {outcome: one} takes one flag for the whole task; let a task make a bool of it"
    ]


CURE = "correct it, or pass it unchecked: {literal: ...}"


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"report": "report"}, "report: 'report' does not fit parameter 'report: Report'; for a reference write {from: report}"),
        ({"report": {"form": "report"}}, "report: {'form': 'report'} does not fit parameter 'report: Report'; for a reference write {from: report}"),
        ({"report": {"From": "report"}}, "report: {'From': 'report'} does not fit parameter 'report: Report'; for a reference write {from: report}"),
        ({"report": {"task": "report", "path": ".x"}}, "report: {'path': '.x', 'task': 'report'} does not fit parameter 'report: Report'; for a reference write {from: report, path: .x}"),
        ({"report": {"input": "path"}}, "report: {'input': 'path'} does not fit parameter 'report: Report'; for a reference write {inputs: path}"),
        ({"report": {"lines": 1}}, f"report: {{'lines': 1}} does not fit parameter 'report: Report'; {CURE}"),
        ({"report": {"literal": 1}, "times": "three"}, f"times: 'three' does not fit parameter 'times: int'; {CURE}"),
        ({"report": {"literal": 1}, "times": "3"}, f"times: '3' does not fit parameter 'times: int'; {CURE}"),
        ({"report": {"literal": 1}, "to": ["x", 1]}, f"to: ['x', 1] does not fit parameter 'to: Sequence[str]', at [1]: input should be a valid string; {CURE}"),
        ({"report": {"literal": 1}, "times": 1, "*": [1, "report"]}, "*[1]: 'report' does not fit parameter 'more: float'; for a reference write {from: report}"),
        ({"report": {"literal": 1}, "other": "c"}, f"other: 'c' does not fit parameter 'rest: Literal['a', 'b']'; {CURE}"),
        ({"report": "report", "times": {"each": "extract"}}, "report: 'report' does not fit parameter 'report: Report'; for a reference write {from: report}"),
    ],
)  # fmt: skip
def test_a_constant_that_does_not_fit_is_no_constant(inputs: dict[str, Any], said: str) -> None:
    some = {"extract": {"inputs": {"path": "x"}}, "report": {"inputs": {"rows": {"from": "extract"}}}}
    assert said_of({**some, "send": {"inputs": inputs}}) == [f"tasks.send.inputs.{said}"]


def test_one_constant_among_references_is_looked_at() -> None:
    some = {"one": {"task": "ended", "inputs": {"how": {"literal": 1}}}}
    assert said_of({**some, "clean": {"inputs": {"rows": [{"from": "one"}, 2, "one", {"literal": "one"}]}}}) == [
        "tasks.clean.inputs.rows[2]: 'one' does not fit parameter 'rows: int'; for a reference write {from: one}"
    ]


@pytest.mark.parametrize(
    "tasks",
    [
        {"report": {"inputs": {"rows": [1], "about": "x.csv"}}},  # a text for a path
        {"send": {"inputs": {"report": {"literal": "report"}, "to": "abc", "x": "a"}}},
        {"converted": {"inputs": {"report": {"lines": 3}, "times": "3"}}},  # it converts them itself
        {"publish": {"inputs": {"text": "publish"}}},
    ],
)
def test_a_constant_that_may_fit_passes(tasks: dict[str, Any]) -> None:
    assert [*Workflow.from_config({"name": "w", "tasks": tasks}, MORE).tasks] == [*tasks]


def test_what_does_not_fit_is_written_down_as_a_literal() -> None:
    wrong: Any = "three"
    first = Task("ended", ended)(wrong)
    built = Workflow.builder("w").add_all([first, clean([first.out, wrong])]).build()
    config = built.to_config(MORE)
    assert config["tasks"]["ended"]["inputs"] == {"how": {"literal": "three"}}
    assert config["tasks"]["clean"]["inputs"] == {"rows": [{"from": "ended"}, {"literal": "three"}]}
    assert Workflow.from_config(config, MORE) == built


def test_a_flag_that_is_the_name_of_a_task() -> None:
    flags = "a flag is true, false, or a reference with from, outcome, inputs or matrix"
    some = {"send": {"inputs": {"report": {"literal": 1}}}}
    assert said_of({**some, "publish": {"inputs": {"text": "x"}, "when": "send", "unless": ["sent"]}}) == [
        f"tasks.publish.when: {flags}, not 'send'; write {{from: send}}",
        f"tasks.publish.unless[0]: {flags}, not 'sent'",
    ]


def test_what_is_switched_off_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert said_of(
        {
            "archive": {"task": "extrct", "enabled": False},
            "nothing": {"enabled": False},
            "publish": {"inputs": {"text": "x"}},
        }
    ) == [
        "tasks.archive.task: no task is registered as 'extrct'; did you mean 'extract'?",
        "tasks.nothing: no task is registered as 'nothing'; there are extract, clean, publish, report, send, ended, listed, converted, pages",
    ]
    assert said_of(
        {"archive": {"task": "extract", "enabled": False}, "publish": {"after": ["archiv"], "inputs": {"text": "x"}}}
    ) == ["tasks.publish.after: there is no task 'archiv'; did you mean 'archive'?"]
    (tmp_path / "users_heavy.py").write_text("import users_heavy_library")  # which may be why it is switched off
    monkeypatch.syspath_prepend(tmp_path)
    off: dict[str, Any] = {"task": "users_heavy:run", "enabled": False}
    config = {"name": "w", "tasks": {"a": off, "publish": {"inputs": {"text": "x"}}}}
    assert [*Workflow.from_config(config, MORE, modules=["users_heavy"]).tasks] == ["publish"]
    off["task"] = "users_heavi:run"
    (error,) = errors_of(config, modules=["users_heavi"])
    assert "module 'users_heavi' cannot be imported: ModuleNotFoundError" in str(error)


def test_exceptions_are_suggested_where_exceptions_are_meant() -> None:
    def of(name: str) -> list[str]:
        return said_of({"publish": {"inputs": {"text": "x"}, "retry": {"attempts": 2, "on": [name]}}})

    place = "tasks.publish.retry.on: no exception is registered as"
    assert of("OSErr") == [f"{place} 'OSErr'; did you mean 'OSError' or 'EOFError'?"]
    assert of("Strange") == [
        f"{place} 'Strange'; write a builtin one, such as OSError, or module:name of an allowed module, or register it"
    ]


def test_a_missing_input_names_the_task(tmp_path: Path) -> None:
    file = tmp_path / "w.toml"
    file.write_text('name = "w"\n[tasks.extract]\n')
    (error,) = errors_of(file)
    assert type(error) is UnboundParameterError
    assert str(error).startswith(f"{file}:2: tasks.extract: parameter 'path: str' of task 'extract' has no input (")


def test_a_cycle_names_its_first_task(tmp_path: Path) -> None:
    file = tmp_path / "w.json"
    file.write_text(
        '{"name": "w", "tasks": {\n"clean": {"inputs": {"rows": {"from": "b"}}},\n"b": {"task": "clean", "inputs": {"rows": {"from": "clean"}}}}}'
    )
    (error,) = errors_of(file)
    assert type(error) is CycleError
    assert (
        str(error)
        == f"{file}:3: tasks.b: tasks wait for each other in a circle: b -> clean -> b; remove one of these edges"
    )


def test_a_registered_task_with_edges_of_its_own() -> None:
    with pytest.raises(DefinitionError) as caught:
        Workflow.from_config({"name": "w", "tasks": {"a": {}}}, {"a": clean([1]).after(extract("x"))})
    assert str(caught.value) == (
        "tasks.a: task 'a' runs after 'extract', but workflow 'w' has no task 'extract'; add it, or correct the reference"
    )


# ── writing down ────────────────────────────────────────────────────────────────────────────────────────────────────


def unwritable(*tasks: Task[..., Any], registry: Any = None) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        Workflow.builder("w").add_all(tasks).build().to_config(registry)
    errors = caught.value.exceptions if isinstance(caught.value, DefinitionErrors) else (caught.value,)
    assert all(isinstance(error, InvalidConfigError) for error in errors)
    return [str(error) for error in errors]


def test_what_cannot_be_written_down() -> None:
    def local(value: Any) -> Any:
        return value

    there = extract("x")
    said = unwritable(
        there,
        Task("a", local)(1),
        Task("b", keep)((1, 2)),
        Task("c", keep)({"k": [{3}]}),
        Task("d", keep)(float("inf")),
        Task("e", keep)({1: 2}),
        Task("f", keep)({"from": there.out}),
        Task("g", keep)(there.out[1:2]),
        Task("h", keep)("x", Path("y")),
    )
    plain = "only texts, numbers, booleans, null, dates, lists and mappings can: let a task make it"
    name = f"{HERE}:test_what_cannot_be_written_down.<locals>.local"
    assert said == [
        f"tasks.a: {name} cannot be written down: it is not importable by name; pass a registry that has it",
        f"tasks.b.inputs.value: a tuple cannot be written down; {plain}",
        f"tasks.c.inputs.value.k[0]: a set cannot be written down; {plain}",
        "tasks.d.inputs.value: inf is no finite number",
        "tasks.e.inputs.value: the key 1 cannot be written down; keys are texts",
        f"tasks.h.inputs.*[0]: a {type(Path()).__module__}.{type(Path()).__name__} cannot be written down; {plain}",
        "tasks.f.inputs.value: cannot be written down: its key 'from' would make a reference of it; rename the key",
        "tasks.g.inputs.value: the part [slice(1, 2, None)] is neither a text nor a whole number, so it cannot be written down",
    ]
    assert (
        Workflow.builder("w").add(Task("a", local), 1).build().to_config({"mine": local})["tasks"]["a"]["task"]
        == "mine"
    )


def keep(value: Any, *more: Any) -> Any:
    return value


def test_rules_and_nested_workflows_cannot_be_written_down() -> None:
    a, b = extract("a").named("a"), extract("b").named("b")
    assert unwritable(a, b, first_of(a, b, id="one")) == [
        "tasks.one: waits for a rule of a group (require, first_of), which configuration cannot say"
    ]
    inner = Workflow.builder("inner").add(a).build()
    said = unwritable(inner.as_task("outer"))
    assert "tasks['outer/a']: belongs to a workflow inside this one, which configuration cannot say" in said


def test_a_registered_task_that_says_more_cannot_be_meant() -> None:
    def bonus(value: int = 1) -> int:
        return value

    registered = Task("bonus", bonus)
    assert unwritable(registered, registry=[registered(2)]) == [
        "tasks.bonus.inputs.value: is open here, but has a value in the task that 'bonus' names"
    ]
    assert unwritable(registered, registry=[registered.after(extract("x"))]) == [
        "tasks.bonus: the task that 'bonus' names has edges of its own"
    ]
