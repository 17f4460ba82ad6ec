"""The build checks: in stages, all offenders of a stage at once, and each form of definition meets the same ones."""

# ruff: noqa: B023 - late binding is a subject here

import functools
import pickle
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graflow import (
    CycleError,
    DefinitionError,
    DefinitionErrors,
    DuplicateTaskError,
    InvalidTaskIdError,
    LateBindingError,
    LateBindingWarning,
    LocalRunner,
    PortabilityWarning,
    SerializationError,
    Task,
    UnboundParameterError,
    UnknownTaskError,
    WiringError,
    Workflow,
    inputs,
    task,
    workflow,
)

INLINE = LocalRunner(executor="inline")
FILE = __file__


class Row(BaseModel, frozen=True):
    name: str
    price: float = 1.0


class Config(BaseModel, frozen=True):
    path: Path
    row: Row = Row(name="a")


class Other(BaseModel, frozen=True):
    path: Path


@task
def one() -> int:
    return 1


@task
def two() -> int:
    return 2


@task
def text() -> str:
    return "x"


@task
def rows() -> list[Row]:
    return [Row(name="a")]


@task
def double(x: int) -> int:
    return 2 * x


@task
def shout(line: str) -> str:
    return line.upper()


@task
def echo(value: Any) -> Any:
    return value


def line_of(one_task: Task[..., Any]) -> str:
    return f"{FILE}:{one_task.fn.__code__.co_firstlineno}"


def build(*tasks: Task[..., Any], returns: Task[..., Any] | None = None, model: Any = None) -> Workflow[Any, Any]:
    """All of them, through the builder: what is not added is missing."""
    builder = Workflow.builder("w", inputs=model).add_all(tasks)
    return builder.build() if returns is None else builder.build(returns=returns)


def errors_of(action: Callable[[], object]) -> list[DefinitionError]:
    """The definition errors an action raises, one by one."""
    try:
        action()
    except DefinitionErrors as group:
        return list(group.exceptions)
    except DefinitionError as error:
        return [error]
    raise AssertionError("nothing was refused")


def kinds(action: Callable[[], object]) -> list[str]:
    return [type(error).__name__ for error in errors_of(action)]


# --- ids ---

LEGAL = ["a", "A1", "_x", "0", "a-b", "a.b", "a_b", "x" * 200, "batch_17", "1.2-3"]


@pytest.mark.parametrize("id", LEGAL)
def test_legal_ids(id: str) -> None:
    assert build(one.named(id)).run(runner=INLINE).value == 1


ILLEGAL = {
    "": "a task has an empty id",
    "a/b": "the task id 'a/b' contains '/', which is kept for paths into nested workflows",
    "/": "the task id '/' contains '/', which is kept for paths into nested workflows",
    "x" * 201: f"the task id '{'x' * 40}'... has 201 characters, and 200 are allowed",
    "y" * 10_000: f"the task id '{'y' * 40}'... has 10,000 characters, and 200 are allowed",
    "käse": "the task id 'käse' contains 'ä'",
    "数据": "the task id '数据' contains '据', '数'",
    "a b": "the task id 'a b' contains ' '",
    "a\nb": "the task id 'a\\nb' contains '\\n'",
    "a\n": "the task id 'a\\n' contains '\\n'",
    "\n": "the task id '\\n' contains '\\n'",
    "a\0b": "the task id 'a\\x00b' contains '\\x00'",
    "a:b": "the task id 'a:b' contains ':'",
    "\ud800": "the task id '\\ud800' contains '\\ud800'",
    "²": "the task id '²' contains '²'",
    ".hidden": "the task id '.hidden' starts with '.'",
    "-option": "the task id '-option' starts with '-'",
    "<lambda>": "a task made from a lambda has no id of its own",
    "..": "the task id '..' starts with '.'",
}


@pytest.mark.parametrize("id", ILLEGAL, ids=lambda id: ascii(id[:12]))
def test_illegal_ids(id: str) -> None:
    with pytest.raises(InvalidTaskIdError) as caught:
        build(two, one.named(id))
    assert str(caught.value).startswith(f"workflow 'w': {ILLEGAL[id]}; ")


def test_a_lambda_by_decorator_needs_an_id() -> None:
    with pytest.raises(InvalidTaskIdError, match=r"give one: Task\('name', lambda \.\.\.\)$"):
        build(task(lambda: 1))


def test_ids_are_checked_in_every_form() -> None:
    bad = one.named("a/b")
    with pytest.raises(InvalidTaskIdError):
        Workflow.of("w", bad, returns=bad)
    with pytest.raises(InvalidTaskIdError):
        with workflow("w"):
            one.named("a/b")
    with pytest.raises(InvalidTaskIdError):
        with workflow("w"):
            with workflow("inner"):
                one.named("a/b")
    with pytest.raises(InvalidTaskIdError):
        with workflow("w"):
            with workflow("in/ner"):
                one.named("a")


def test_a_newline_in_one_id_does_not_hide_that_of_another() -> None:
    assert kinds(lambda: build(one.named("a\nb"), one.named("c d"), one.named("ok"))) == ["InvalidTaskIdError"] * 2


# --- duplicates ---


def test_an_object_added_twice_is_a_duplicate() -> None:
    with pytest.raises(DuplicateTaskError) as caught:
        build(one, two, one)
    assert str(caught.value) == (
        f"task 'one' is in workflow 'w' twice, defined at {line_of(one)}; give one of them another id, .named('...')"
    )


def test_a_function_added_twice_under_one_id_is_a_duplicate() -> None:
    for tasks in ((double(1), double(2)), (double(1), double(1)), (one, one.after(two), two)):
        with pytest.raises(DuplicateTaskError, match=r"^task '\w+' is in workflow 'w' twice, defined at "):
            build(*tasks)


def test_two_functions_under_one_id_are_a_duplicate() -> None:
    with pytest.raises(DuplicateTaskError) as caught:
        build(one, two.named("one"))
    assert str(caught.value) == (
        f"two tasks of workflow 'w' have the id 'one': one defined at {line_of(one)}, the other at {line_of(two)}; "
        "give one of them another id, .named('...') or @task(id='...')"
    )


def test_every_duplicate_id_is_reported_once() -> None:
    found = errors_of(lambda: build(one, one, one, two, double(1), two, double(1)))
    assert [type(error) for error in found] == [DuplicateTaskError] * 3
    assert ["'one'" in str(found[0]), "'two'" in str(found[1]), "'double'" in str(found[2])] == [True] * 3


def test_illegal_and_duplicate_ids_are_one_stage() -> None:
    found = kinds(lambda: build(one, one, two.named("a/b")))
    assert sorted(found) == ["DuplicateTaskError", "InvalidTaskIdError"]


# --- references ---


def test_an_unknown_reference_names_reader_and_close_matches() -> None:
    with pytest.raises(UnknownTaskError) as caught:
        build(one.named("extract_rows"), echo(one.named("extract_row").out))
    assert str(caught.value) == (
        "task 'echo' reads the result of 'extract_row' for parameter 'value', but workflow 'w' has no task "
        "'extract_row'; did you mean 'extract_rows'? Else add it, or correct the reference"
    )


def test_an_unknown_reference_without_close_matches() -> None:
    with pytest.raises(UnknownTaskError) as caught:
        build(echo(one.out))
    assert str(caught.value) == (
        "task 'echo' reads the result of 'one' for parameter 'value', but workflow 'w' has no task 'one'; add it, or "
        "correct the reference"
    )


@pytest.mark.parametrize(
    "reader",
    [
        echo(one.out[0].x), echo([one.out]), echo({"a": (1, one.out)}), echo(3).after(one), echo(3).after(two, one),
        Task("many", lambda *a, **k: 0)(one.out), Task("many", lambda *a, **k: 0)(k=[one.out]),
    ],
    ids=range(7),
)  # fmt: skip
def test_every_kind_of_reference_is_followed(reader: Task[..., Any]) -> None:
    with pytest.raises(UnknownTaskError, match=r"has no task 'one'"):
        build(two, reader)


def test_an_unknown_task_before_a_group_is_found() -> None:
    group = (one | two) >> (echo(1) | double(1))
    with pytest.raises(UnknownTaskError, match=r"^task '(double|echo)' runs after 'two', but workflow 'w' has no task"):
        build(one, *group.members)


def test_all_unknown_references_are_reported() -> None:
    found = errors_of(lambda: build(echo(one.out), double(two.out), shout(text.out).after(one)))
    assert len(found) == 4
    assert all(isinstance(error, UnknownTaskError) for error in found)


def test_returns_is_a_reference() -> None:
    with pytest.raises(UnknownTaskError) as caught:
        build(one, returns=two)
    assert "'two'" in str(caught.value)
    assert "'w'" in str(caught.value)
    with pytest.raises(UnknownTaskError, match=r"did you mean 'extract_rows'\?"):
        build(one.named("extract_rows"), returns=one.named("extract_row"))


def test_returns_is_checked_with_the_other_references() -> None:
    assert kinds(lambda: build(one, echo(two.out), returns=text)) == ["UnknownTaskError"] * 2
    assert kinds(lambda: build(one.after(two), two.after(one), returns=text)) == ["UnknownTaskError"]
    assert kinds(lambda: build(one, double, returns=Task("one", lambda: 1))) == ["DuplicateTaskError"]


def test_order_is_checked_with_the_other_references() -> None:
    builder = Workflow.builder("w").add(one)
    assert kinds(builder.add(one).order(one, two).build) == ["DuplicateTaskError"]
    assert kinds(builder.add(echo(text.out)).order(one, two).build) == ["UnknownTaskError"] * 2


# --- sources ---


def test_an_unbound_parameter_names_its_type_and_what_could_feed_it() -> None:
    with pytest.raises(UnboundParameterError) as caught:
        build(one, text, two, double)
    assert str(caught.value) == (
        f"parameter 'x: int' of task 'double' has no input ({line_of(double)}); 'one' or 'two' could feed it: x=one.out"
    )


def test_an_unbound_parameter_that_nothing_feeds() -> None:
    with pytest.raises(UnboundParameterError) as caught:
        build(text, double)
    assert str(caught.value) == (
        f"parameter 'x: int' of task 'double' has no input ({line_of(double)}); bind it in the call: x=..."
    )


def test_an_unbound_parameter_without_a_type() -> None:
    bare = Task("bare", lambda x, y=1, *, z: 0)
    found = [str(error) for error in errors_of(lambda: build(one, bare))]
    assert [message.split(" of task")[0] for message in found] == ["parameter 'x'", "parameter 'z'"]


def test_what_has_a_default_or_takes_anything_needs_no_source() -> None:
    @task
    def easy(x: int = 1, *args: int, y: int = 2, **kwargs: int) -> int:
        return x + y

    assert build(easy).run(runner=INLINE).value == 3


def test_all_unbound_parameters_are_reported() -> None:
    assert kinds(lambda: build(double, shout, Task("three", lambda a, b, c: 0))) == ["UnboundParameterError"] * 5


# --- wiring ---


def test_a_wrong_type_names_both_tasks_types_and_places() -> None:
    with pytest.raises(WiringError) as caught:
        build(text, double(text.out))
    assert str(caught.value) == (
        f"'text' cannot feed parameter 'x' of task 'double': str cannot feed int ('text' at {line_of(text)}, 'double' "
        f"at {line_of(double)}); pass another result, or convert it between"
    )


@dataclass
class Pair:
    left: int
    right: str


@task
def pair() -> Pair:
    return Pair(1, "r")


@task
def table() -> dict[str, list[int]]:
    return {"a": [1]}


@task
def flags(*values: int, **named: int) -> int:
    return sum(values) + sum(named.values())


@task
def lines(of: list[str]) -> int:
    return len(of)


@task
def both(of: tuple[int, str]) -> str:
    return f"{of[0]}{of[1]}"


@task
def lookup(of: dict[str, str]) -> int:
    return len(of)


@pytest.mark.parametrize(
    ("upstream", "reader", "reason"),
    [
        (text, double(text.out), "str cannot feed int"),
        (rows, double(rows.out[0].price), "float cannot feed int"),
        (rows, shout(rows.out[0]), "Row cannot feed str"),
        (rows, shout(rows.out), "list[Row] cannot feed str"),
        (pair, double(pair.out.right), "str cannot feed int"),
        (table, shout(table.out["a"][0]), "int cannot feed str"),
        (rows, echo(rows.out[0].nme), "has no attribute 'nme'; did you mean 'name'?"),
        (rows, echo(rows.out["name"]), "takes a position, not 'name'"),
        (one, echo(one.out[0]), "int has no items"),
        (pair, echo(pair.out.middle), "has no attribute 'middle'"),
        (one, lines([one.out]), "cannot feed list[str]"),
        (one, lookup({"a": one.out}), "cannot feed dict[str, str]"),
    ],
    ids=range(12),
)  # fmt: skip
def test_what_is_certainly_wrong_is_refused(upstream: Task[..., Any], reader: Task[..., Any], reason: str) -> None:
    with pytest.raises(WiringError) as caught:
        build(upstream, reader)
    assert reason in str(caught.value)
    assert f"'{upstream.id}'" in str(caught.value)
    assert f"of task '{reader.id}'" in str(caught.value)


@pytest.mark.parametrize(
    ("upstream", "reader"),
    [
        (text, flags(text.out)), (text, flags(1, text.out)), (text, flags(a=text.out)),
        (rows, lines([rows.out[0]])), (rows, lines([rows.out[0].price])), (rows, echo([rows.out[0].nme])),
        (rows, echo({"deep": [rows.out[0].nme]})), (rows, flags(rows.out[0].name)), (one, both((one.out, one.out))),
        (one, lines(("a", one.out))),
    ],
    ids=["args", "second of args", "kwargs", "item in list", "projection in list", "typo in list", "typo deep in dict",
         "projection in args", "fixed tuple", "tuple for list"],
)  # fmt: skip
def test_types_are_checked_along_every_edge(upstream: Task[..., Any], reader: Task[..., Any]) -> None:
    with pytest.raises(WiringError):
        build(upstream, reader)


@task
def fraction() -> float:
    return 0.5


@task
def wants_float(x: float) -> float:
    return x


@task
def wants_list(x: list) -> int:  # type: ignore[type-arg]
    return len(x)


@task
def bad_annotation(x: "NoSuchName") -> "NeitherThis":  # type: ignore[name-defined]  # noqa: F821
    return x


@task
def maybe() -> int | None:
    return None


@task
def wants_maybe(x: int | None) -> int:
    return x or 0


@pytest.mark.parametrize(
    ("upstream", "reader"),
    [
        (one, wants_float(one.out)), (rows, wants_list(rows.out)), (one, bad_annotation(one.out)),
        (bad_annotation(1), double(bad_annotation.out)), (echo(1), double(echo.out)), (one, wants_maybe(one.out)),
        (one, echo(one.out)), (one, flags(one.out, a=one.out)), (one, Task("any", lambda x: x)(one.out)),
        (text, lines([text.out, "b"])), (text, lookup({"a": text.out})), (rows, shout(rows.out[0].name)),
    ],
    ids=range(12),
)  # fmt: skip
def test_what_may_be_right_is_let_through(upstream: Task[..., Any], reader: Task[..., Any]) -> None:
    build(upstream, reader)


def test_none_where_a_value_is_wanted_is_wrong() -> None:
    with pytest.raises(WiringError, match="cannot feed int"):
        build(maybe, double(maybe.out))


def test_a_tuple_of_several_results_is_checked_place_by_place() -> None:
    built = build(one, text, both((one.out, text.out)))
    assert built.run(runner=INLINE).value == "1x"
    with pytest.raises(WiringError):
        build(one, text, both((text.out, one.out)))


def test_an_order_is_not_a_matter_of_types() -> None:
    assert build(text, double(1).after(text)).run(runner=INLINE).value == 2


def test_inputs_are_checked_as_results_are() -> None:
    src = inputs(Config)
    with pytest.raises(
        WiringError, match=r"'inputs\(Config\)' cannot feed parameter 'x' of task 'double': Path cannot"
    ):
        build(double(src.path), model=Config)
    with pytest.raises(WiringError, match=r"has no attribute 'nme'; did you mean 'name'\?"):
        build(echo(src.row.nme), model=Config)  # type: ignore[attr-defined]
    assert build(shout(src.row.name), model=Config).run(Config(path=Path("x")), runner=INLINE).value == "A"


@pytest.mark.parametrize("wrap", [lambda p: p, lambda p: [p], lambda p: {"a": p}], ids=["plain", "list", "dict"])
def test_inputs_mean_the_model_of_this_workflow(wrap: Callable[[Any], Any]) -> None:
    with pytest.raises(WiringError) as caught:
        build(echo(wrap(inputs(Other).path)), model=Config)
    assert str(caught.value) == (
        "parameter 'value' of task 'echo' reads inputs(Other), but workflow 'w' takes Config; declare them with "
        "inputs=Other"
    )
    with pytest.raises(WiringError, match=r"but workflow 'w' takes no inputs; declare them with inputs=Other$"):
        build(echo(wrap(inputs(Other).path)))


def test_inputs_of_a_base_model_are_fine() -> None:
    class More(Other):
        n: int = 1

    built = build(echo(inputs(Other).path), model=More)
    assert built.run(More(path=Path("x")), runner=INLINE).value == Path("x")


def test_all_misfits_are_reported() -> None:
    found = kinds(lambda: build(text, one, double(text.out), shout(one.out), echo(inputs(Other))))
    assert found == ["WiringError"] * 3


# --- cycles ---


def test_a_cycle_is_shown_as_a_path() -> None:
    a, b, c = (one.named(name) for name in "abc")
    with pytest.raises(CycleError) as caught:
        build(a.after(c), b.after(a), c.after(b))
    assert str(caught.value) == ("tasks wait for each other in a circle: a -> b -> c -> a; remove one of these edges")


def test_a_task_that_waits_for_itself() -> None:
    with pytest.raises(CycleError, match=r"circle: one -> one; "):
        build(one.after(one))
    with pytest.raises(CycleError, match=r"circle: double -> double; "):
        build(double(double.out))


def test_a_cycle_through_data_and_order() -> None:
    with pytest.raises(CycleError, match=r"circle: double -> one -> double; "):
        build(one.after(double), double(one.out))


def test_a_cycle_through_a_gate_shows_the_tasks_alone() -> None:
    a, b, c, d = (one.named(name) for name in "abcd")
    group = (a | b) >> (c | d)
    with pytest.raises(CycleError) as caught:
        build(a.after(group.members[0]), b, *group.members)
    assert "a -> c -> a" in str(caught.value)


def test_every_circle_is_reported_once() -> None:
    a, b, c, d, e = (one.named(name) for name in "abcde")
    found = errors_of(lambda: build(a.after(b), b.after(a), c.after(d, b), d.after(c), e.after(e, d)))
    assert [type(error) for error in found] == [CycleError] * 3
    assert [str(error).split("circle: ")[1].split(";")[0] for error in found] == [
        "a -> b -> a", "c -> d -> c", "e -> e"
    ]  # fmt: skip


def test_a_cycle_in_every_form() -> None:
    with pytest.raises(CycleError):
        with workflow("w"):
            a, b = one.named("a"), one.named("b")
            a >> b
            b >> a
    forth, back = one.named("a").after(one.named("b")), one.named("b").after(one.named("a"))
    with pytest.raises(CycleError):
        Workflow.of("w", forth, back, returns=back)
    with pytest.raises(CycleError):
        Workflow.builder("w").add(one).add(two).order(one, two, one).build()


def test_a_long_cycle_overflows_nothing() -> None:
    tasks = [one.named(f"t{k}") for k in range(5_000)]
    with pytest.raises(CycleError):
        build(*(tasks[k].after(tasks[k - 1]) for k in range(5_000)))


# --- late binding ---


def test_a_loop_in_a_builder_is_refused_with_the_cure() -> None:
    builder = Workflow.builder("w")
    for i in range(3):

        @task(id=f"batch_{i}")
        def process() -> int:
            return i * 100

        builder = builder.add(process)
    with pytest.raises(LateBindingError) as caught:
        builder.build()
    message = str(caught.value)
    for part in ("'i'", "'batch_0'", "'batch_1'", "'batch_2'", "0, 1 and 2", "see 2", "process(i)", "def process(i=i)"):
        assert part in message


def test_a_loop_in_a_block_is_refused() -> None:
    with pytest.raises(LateBindingError, match="'i'"):
        with workflow("w"):
            for i in range(3):

                @task(id=f"batch_{i}")
                def process() -> int:
                    return i * 100


def test_a_loop_over_a_global_is_refused() -> None:
    source = (
        "builder = Workflow.builder('w')\n"
        "for name in ['a', 'b']:\n"
        "    @task(id=name)\n"
        "    def visit() -> str:\n"
        "        return name\n"
        "    builder = builder.add(visit)\n"
    )
    scope: dict[str, Any] = {"Workflow": Workflow, "task": task, "__name__": "__main__"}
    exec(source, scope)
    with pytest.raises(LateBindingError, match="'name'"):
        scope["builder"].build()


def test_the_order_of_adding_does_not_hide_it() -> None:
    made = []
    for i in range(2):
        made.append(Task(f"t{i}", lambda: i))
    for tasks in (made, made[::-1]):
        with pytest.raises(LateBindingError):
            build(*tasks)


def test_several_loops_are_reported_together() -> None:
    made = []
    for i in range(2):
        made.append(Task(f"t{i}", lambda: i))
    for j in range(2):
        made.append(Task(f"u{j}", lambda: j))
    assert kinds(lambda: build(*made)) == ["LateBindingError"] * 2


def test_a_bound_loop_variable_is_fine() -> None:
    @task
    def process(i: int) -> int:
        return i * 100

    built = build(*(process(i).named(f"batch_{i}") for i in range(3)))
    assert [record.id for record in built.run(runner=INLINE).tasks.values()] == ["batch_0", "batch_1", "batch_2"]
    assert built.run(runner=INLINE)["batch_1"] == 100


def test_a_default_cures_the_loop() -> None:
    made = []
    for i in range(3):

        @task(id=f"batch_{i}")
        def process(i: int = i) -> int:
            return i * 100

        made.append(process)
    run = build(*made).run(runner=INLINE)
    assert [run[each] for each in made] == [0, 100, 200]


def test_a_default_that_cures_is_not_overwritten_by_wiring() -> None:
    made: list[Task[..., Any]] = []
    for i in range(3):

        @task(id=f"batch_{i}")
        def process(i: int = i) -> int:
            return i * 100

        made.append(one >> process)
    run = build(one, *made).run(runner=INLINE)
    assert [run[each] for each in made] == [0, 100, 200]


def test_a_factory_cures_the_loop() -> None:
    def make(i: int) -> Task[[], int]:
        @task(id=f"batch_{i}")
        def process() -> int:
            return i * 100

        return process

    assert build(*(make(i) for i in range(3))).run(runner=INLINE)["batch_1"] == 100


def test_a_loop_whose_tasks_differ_in_inputs_is_a_warning() -> None:
    made = []
    for i in range(2):

        @task(id=f"t{i}")
        def process(x: int) -> int:
            return x + i

        made.append(process(i))
    with pytest.warns(LateBindingWarning, match="'i'"):
        build(*made)


def test_a_single_task_whose_variable_changed_is_a_warning_at_the_callers_line() -> None:
    limit = 1

    @task
    def reads() -> int:
        return limit

    limit = 2
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        build(reads)
    assert [(entry.category, entry.filename) for entry in caught] == [(LateBindingWarning, FILE)]
    assert "'limit'" in str(caught[0].message)


def test_a_notebook_cell_that_runs_again_is_fine() -> None:
    cell = (
        "factor = 3\n"
        "@task\n"
        "def scale(x: int) -> int:\n"
        "    return x * factor\n"
        "built = Workflow.builder('w').add(scale, 2).build()\n"
    )
    scope: dict[str, Any] = {"Workflow": Workflow, "task": task, "__name__": "__main__"}
    exec(cell, scope)
    exec(cell, scope)
    exec(cell.replace("factor = 3", "factor = 5"), scope)
    assert scope["built"].run(runner=INLINE).value == 10


def test_recursion_and_late_definition_are_fine() -> None:
    @task
    def countdown(n: int) -> int:
        return later(n) if n < 0 else countdown.fn(n - 1)

    def later(n: int) -> int:
        return n * 10

    assert build(countdown(3)).run(runner=INLINE).value == -10


# --- stages ---


def unportable() -> Task[..., Any]:
    lock = threading.Lock()

    @task(id="locked")
    def locked() -> bool:
        return lock.locked()

    return locked


def late() -> list[Task[..., Any]]:
    made = []
    for i in range(2):
        made.append(Task(f"late_{i}", lambda: i))
    return made


STAGES: list[tuple[str, Callable[[], list[Task[..., Any]]]]] = [
    ("DuplicateTaskError", lambda: [one, one]),
    ("UnknownTaskError", lambda: [echo(two.out)]),
    ("UnboundParameterError", lambda: [double]),
    ("WiringError", lambda: [text, shout(rows.out), rows]),
    ("CycleError", lambda: [one.named("c").after(one.named("d")), one.named("d").after(one.named("c"))]),
    ("LateBindingError", late),
    ("SerializationError", lambda: [unportable()]),
]


@pytest.mark.parametrize("first", range(len(STAGES)))
def test_the_first_stage_that_finds_something_ends_the_build(first: int) -> None:
    tasks = [each for _, make in STAGES[first:] for each in make()]
    builder = Workflow.builder("w").add_all(tasks)
    expected = STAGES[first][0]
    with pytest.raises((DefinitionError, SerializationError)) as caught:
        builder.build(portable=True)
    assert caught.type.__name__ == expected
    if expected == "SerializationError":
        builder.build()


def test_one_error_is_raised_as_itself() -> None:
    assert kinds(lambda: build(double)) == ["UnboundParameterError"]
    with pytest.raises(UnboundParameterError):
        build(double)


def test_several_errors_are_a_group_that_is_a_definition_error() -> None:
    with pytest.raises(DefinitionError) as caught:
        build(double, shout)
    group = caught.value
    assert type(group) is DefinitionErrors
    assert isinstance(group, ExceptionGroup)
    assert [type(error) for error in group.exceptions] == [UnboundParameterError] * 2
    assert str(group) == "workflow 'w' has 2 definition errors (2 sub-exceptions)"


def test_a_group_can_be_taken_apart() -> None:
    met = []
    try:
        build(one, one, two.named("a/b"))
    except* DuplicateTaskError as group:
        met.append(type(group))
    except* InvalidTaskIdError as group:
        met.append(type(group))
    assert met == [DefinitionErrors, DefinitionErrors]


def test_a_group_survives_a_trip() -> None:
    with pytest.raises(DefinitionErrors) as caught:
        build(double, shout)
    there = pickle.loads(pickle.dumps(caught.value))
    assert type(there) is DefinitionErrors
    assert str(there) == str(caught.value)
    assert [str(error) for error in there.exceptions] == [str(error) for error in caught.value.exceptions]


def test_hundreds_of_offenders_are_all_there() -> None:
    assert len(errors_of(lambda: build(*(double.named(f"d{k}") for k in range(500))))) == 500
    assert len(errors_of(lambda: build(*(echo(one.named(f"x{k}").out).named(f"e{k}") for k in range(500))))) == 500


# --- portability ---


def test_check_portable_names_the_task_the_path_and_the_cure() -> None:
    lock = threading.Lock()

    @task
    def query() -> int:
        with lock:
            return 1

    built = build(query)
    with pytest.raises(SerializationError) as caught:
        built.check_portable()
    for part in ("'query'", "closure variable 'lock'"):
        assert part in str(caught.value)


def test_an_input_that_cannot_travel_is_named() -> None:
    with pytest.raises(SerializationError) as caught:
        build(echo({"deep": [threading.Lock()]})).check_portable()
    assert "'echo'" in str(caught.value)
    assert "input 'value'" in str(caught.value)
    assert build(echo(threading.Lock())).run(runner=INLINE).state == "succeeded"


def test_every_task_that_cannot_travel_is_named() -> None:
    first, second = unportable().named("first"), unportable().named("second")
    with pytest.raises(SerializationError) as caught:
        build(first, one, second).check_portable()
    assert "'first'" in str(caught.value)
    assert "'second'" in str(caught.value)
    assert "'one'" not in str(caught.value)


def test_heavy_cargo_is_a_warning_that_names_the_variable() -> None:
    table_of_bytes = b"x" * (2 << 20)

    @task
    def heavy() -> int:
        return len(table_of_bytes)

    with pytest.warns(PortabilityWarning, match="table_of_bytes"):
        build(heavy).check_portable()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(heavy)


# --- every form meets the checks ---

FORMS = {
    "unbound": (UnboundParameterError, lambda: double >> shout.named("s")),
    "wiring": (WiringError, lambda: text >> double),
    "illegal id": (InvalidTaskIdError, lambda: one >> echo.named("a b")),
    "cycle": (CycleError, lambda: one.after(two.after(one))),
    "duplicate": (DuplicateTaskError, lambda: one >> double.named("one")),
}


@pytest.mark.parametrize("how", FORMS)
def test_every_form_meets_the_checks(how: str) -> None:
    expected, make = FORMS[how]
    with pytest.raises(expected):
        with workflow("w"):
            make()
    last = make()
    with pytest.raises(expected):
        Workflow.of("w", last, returns=last)


def test_functions_that_hide_their_signature_are_let_through() -> None:
    @functools.wraps(double.fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return double.fn(*args, **kwargs)

    with pytest.raises(UnboundParameterError):
        build(Task("wrapped", wrapped))
    assert build(Task("wrapped", wrapped)(3)).run(runner=INLINE).value == 6
    assert build(Task("biggest", max)(3, 5)).run(runner=INLINE).value == 5
