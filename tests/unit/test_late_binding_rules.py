"""Late binding: which variables that changed after the definition are an error, which a warning, which are fine."""

# ruff: noqa: B023 - what the rule warns of is the subject here

import functools
import types
from collections.abc import Callable
from typing import Any

import pytest

from graflow.core._capture import EMPTY, MISSING, Late, LateCandidate, describe_late, late_bindings, snapshot


class Task:
    """As much of a task as late binding knows: an id, a callable, its inputs, what it saw when it was made."""

    def __init__(self, fn: Callable[..., Any], id: str = "", inputs: object = None) -> None:
        self.fn = fn
        self.id = id
        self.inputs = inputs
        self.snapshot = snapshot(fn)


class Definitions:
    """Makes tasks and keeps them in order."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def __call__(self, fn: Callable[..., Any], id: str | None = None, inputs: object = None) -> Task:
        made = Task(fn, f"t{len(self.tasks)}" if id is None else id, inputs)
        self.tasks.append(made)
        return made

    def late(self, **how: Any) -> list[Late]:
        return late_bindings([LateCandidate(t.id, t.fn, t.snapshot, t.inputs) for t in self.tasks], **how)

    def found(self) -> list[tuple[str, str, tuple[str, ...]]]:
        return [(late.kind, late.variable, late.tasks) for late in self.late()]


@pytest.fixture
def task() -> Definitions:
    return Definitions()


def module(source: str, task: Definitions, **names: Any) -> dict[str, Any]:
    """Run source as a module of its own, as a script or a notebook cell."""
    scope: dict[str, Any] = {"__name__": "made", "task": task, **names}
    exec(compile(source, "made.py", "exec"), scope)
    return scope


ALL = ("t0", "t1", "t2")

# --- loops ---


@pytest.mark.parametrize("turns", [0, 1])
def test_a_loop_of_no_turn_or_one_is_fine(task: Definitions, turns: int) -> None:
    for i in range(turns):
        task(lambda: i)
    assert task.found() == []


@pytest.mark.parametrize("turns", [2, 3])
def test_a_loop_of_more_turns_is_an_error(task: Definitions, turns: int) -> None:
    for i in range(turns):

        @task
        def f() -> int:
            return i

    [late] = task.late()
    assert (late.kind, late.variable, late.tasks) == ("error", "i", ALL[:turns])
    assert (late.seen, late.current) == (tuple(range(turns)), turns - 1)
    assert (late.function, late.file) == ("f", __file__)
    assert late.line == f.fn.__code__.co_firstlineno


def test_a_loop_on_module_level_is_an_error(task: Definitions) -> None:
    module("for i in range(3):\n    @task\n    def f(): return i\n", task)
    assert task.found() == [("error", "i", ALL)]


def test_a_while_loop_is_an_error(task: Definitions) -> None:
    i = 0
    while i < 2:
        task(lambda: i)
        i += 1
    [late] = task.late()
    assert (late.kind, late.seen, late.current) == ("error", (0, 1), 2)


def test_all_variables_of_a_loop_are_found(task: Definitions) -> None:
    for i, name in enumerate("ab"):
        path = name * 2
        task(lambda: (i, path))
    assert task.found() == [("error", "i", ("t0", "t1")), ("error", "path", ("t0", "t1"))]


def test_a_variable_read_by_code_inside_is_found(task: Definitions) -> None:
    for i in range(2):

        @task
        def f() -> list[int]:
            return [i + x for x in range(3)]

        @task
        def g() -> Callable[[], int]:
            def inner() -> int:
                return (lambda: i)()

            return inner

    assert task.found() == [("error", "i", ("t0", "t2")), ("error", "i", ("t1", "t3"))]


def test_comprehensions_are_loops(task: Definitions) -> None:
    assert [task(lambda: i) for i in range(3)]
    assert task.found() == [("error", "i", ALL)]
    other = Definitions()
    assert {k: other(lambda: k) for k in range(3)}
    assert all(other(lambda: j) for j in range(2))
    assert other.found() == [("error", "k", ALL), ("error", "j", ("t3", "t4"))]


def test_comprehensions_on_module_level_are_loops(task: Definitions) -> None:
    module("tasks = [task(lambda: i) for i in range(3)]\n", task)
    assert task.found() == [("error", "i", ALL)]


def test_a_comprehension_over_a_cured_loop_is_fine(task: Definitions) -> None:
    assert [task(lambda i=i: i) for i in range(3)]
    assert [task((lambda n: lambda: n)(i)) for i in range(3)]
    assert task.found() == []


def test_a_deleted_loop_variable_is_an_error(task: Definitions) -> None:
    module("for i in range(2):\n    @task\n    def f(): return i\ndel i\n", task)
    for j in range(2):
        task(lambda: j)  # noqa: F821
    del j
    assert [(late.kind, late.variable, late.current) for late in task.late()] == [
        ("error", "i", MISSING),
        ("error", "j", EMPTY),
    ]


def test_a_deleted_variable_of_one_task_is_a_warning(task: Definitions) -> None:
    j = 1
    task(lambda: j)  # noqa: F821
    del j
    assert task.found() == [("warning", "j", ("t0",))]


def test_two_loops_may_use_one_name(task: Definitions) -> None:
    for i in range(2):
        task(lambda: i)
    for i in "ab":
        task(lambda: i * 2)
    for i in ["last"]:
        task(lambda: i * 3)
    assert task.found() == [("error", "i", ("t0", "t1")), ("error", "i", ("t2", "t3"))]


def test_a_loop_over_equal_values_is_fine(task: Definitions) -> None:
    for rows in ([1, 2], [1, 2]):
        task(lambda: rows)
    assert task.found() == []


def test_true_and_one_are_two_values(task: Definitions) -> None:
    for flag in (True, 1):
        task(lambda: flag)
    assert task.found() == [("error", "flag", ("t0", "t1"))]


# --- cures ---


def test_a_default_cures(task: Definitions) -> None:
    for i in range(3):

        @task
        def f(i: int = i) -> int:
            return i

        @task
        def g(*, i: int = i) -> int:
            return i

    assert task.found() == []


def test_a_factory_cures(task: Definitions) -> None:
    def make(n: int) -> Callable[[], int]:
        return lambda: n

    for i in range(3):
        task(make(i))
    assert task.found() == []


def test_a_partial_of_one_shared_function_cures(task: Definitions) -> None:
    def f(n: int) -> int:
        return n

    for i in range(3):
        task(functools.partial(f, i))
    assert task.found() == []


def test_one_function_with_several_inputs_is_fine(task: Definitions) -> None:
    def f(n: int) -> int:
        return n

    for i in range(3):
        task(f, inputs=(i,))
    assert task.found() == []


CURED = {
    "default": "def f(i=i): return data[i]\n    task(f)",
    "keyword default": "def f(*, i=i): return data[i]\n    task(f)",
    "inputs": "def f(i): return data[i]\n    task(f, inputs=(i,))",
    "partial": "def f(i): return data[i]\n    task(partial(f, i))",
    "factory": "def make(i):\n        def f(): return data[i]\n        return f\n    task(make(i))",
    "decorated": "@wrap\n    def f(i=i): return data[i]\n    task(f)",
}


@pytest.mark.parametrize("cure", CURED)
def test_in_a_cured_loop_shared_data_that_is_rebound_is_a_warning(task: Definitions, cure: str) -> None:
    def wrap(fn: Any) -> Any:
        return lambda *args: fn(*args)

    source = f"data = [1, 2, 3]\nfor i in range(3):\n    {CURED[cure]}\n"
    scope = module(source, task, partial=functools.partial, wrap=wrap)
    assert task.found() == []
    scope["data"] = [1, 2, 3]
    assert task.found() == []
    scope["data"] = [4, 5, 6]
    assert task.found() == [("warning", "data", ALL)]


def test_one_variable_cured_and_another_forgotten_is_an_error_where_nothing_differs(task: Definitions) -> None:
    for i in range(2):
        for j in range(2):

            @task
            def f(i: int = i) -> int:
                return i * j

    assert task.found() == [("error", "j", ("t0", "t1")), ("error", "j", ("t2", "t3"))]


def test_inputs_are_compared_by_type_and_may_be_anything(task: Definitions) -> None:
    class Refuses:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("compare me not")

        def __hash__(self) -> int:
            raise RuntimeError("hash me not")

    for i, inputs in enumerate([1, True, [Refuses()], {"k": [1]}, {"k": [1]}]):
        task(lambda: i, inputs=inputs)
    assert task.found() == [("error", "i", ("t3", "t4")), ("warning", "i", ALL)]


def test_the_caller_may_say_how_inputs_are_compared(task: Definitions) -> None:
    class StandIn:
        """Compared by identity."""

    for i in range(2):
        task(lambda: i, inputs=(StandIn(),))
    assert task.found() == [("warning", "i", ("t0",))]
    [late] = task.late(same_inputs=lambda a, b: type(a[0]) is type(b[0]))
    assert late.kind == "error"


def test_a_thousand_tasks_that_no_hash_tells_apart_stay_cheap(task: Definitions) -> None:
    compared = 0

    def same_inputs(a: object, b: object) -> bool:
        nonlocal compared
        compared += 1
        return a is b

    for i in range(1000):
        task(lambda: i, inputs={i})
    [late] = task.late(same_inputs=same_inputs)
    assert (late.kind, len(late.tasks)) == ("warning", 999)
    assert compared <= 8 * 1000


# --- several functions of one code object ---


def test_a_single_task_is_a_warning(task: Definitions) -> None:
    data = 1
    task(lambda: data)
    data = 2
    [late] = task.late()
    assert (late.kind, late.variable, late.seen, late.current) == ("warning", "data", (1,), 2)


def test_several_tasks_of_one_function_are_a_warning(task: Definitions) -> None:
    data = 1

    def f(n: int) -> int:
        return data + n

    snap = task(f).snapshot
    task(f).snapshot = snap
    data = 2
    assert task.found() == [("warning", "data", ("t0", "t1"))]


def test_tasks_of_different_code_are_warnings_each(task: Definitions) -> None:
    data = 1
    task(lambda: data)
    task(lambda: data + 1)
    data = 2
    assert task.found() == [("warning", "data", ("t0",)), ("warning", "data", ("t1",))]


def test_tasks_of_a_factory_that_differ_in_nothing_share_what_changed(task: Definitions) -> None:
    scope = module("SCALE = 1\ndef make():\n    return lambda: SCALE\ntask(make())\ntask(make())\n", task)
    assert task.found() == []
    scope["SCALE"] = 2
    assert task.found() == [("error", "SCALE", ("t0", "t1"))]


def test_a_variable_changed_between_two_definitions_is_an_error(task: Definitions) -> None:
    module(
        "def make():\n    return lambda: path\npath = 'a'\ntask(make(), 'first')\npath = 'b'\ntask(make(), 'second')\n",
        task,
    )
    assert task.found() == [("error", "path", ("first", "second"))]


def test_a_decorator_hides_nothing(task: Definitions) -> None:
    def silent(fn: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: fn(*args)

    def honest(fn: Callable[..., Any]) -> Callable[..., Any]:
        return functools.wraps(fn)(lambda *args: fn(*args))

    def labelled(label: str) -> Callable[..., Any]:
        return lambda fn: lambda *args: (label, fn(*args))

    for i in range(2):

        @task
        @silent
        def f() -> int:
            return i

        @task
        @honest
        def g() -> int:
            return i

        @task
        @labelled(f"h{i}")
        def h() -> int:
            return i

    assert task.found() == [("error", "i", ("t0", "t3")), ("error", "i", ("t1", "t4")), ("error", "i", ("t2", "t5"))]


def test_functions_under_one_decorator_are_told_apart_by_what_they_do(task: Definitions) -> None:
    scope = module(
        "client = None\n"
        "def timed(fn):\n    def wrapper(): return client, fn()\n    return wrapper\n"
        "@task\n@timed\ndef a(): return 1\n"
        "@task\n@timed\ndef b(): return 2\n",
        task,
    )
    scope["client"] = object()
    assert task.found() == [("warning", "client", ("t0", "t1"))]


def test_one_task_decorated_twice_is_one_task(task: Definitions) -> None:
    scope = module(
        "client = None\n"
        "def timed(fn):\n    def wrapper(): return client, fn()\n    return wrapper\n"
        "@task\n@timed\n@timed\ndef a(): return 1\n",
        task,
    )
    scope["client"] = object()
    assert task.found() == [("warning", "client", ("t0",))]


def test_bound_methods_and_callable_objects_share_one_function(task: Definitions) -> None:
    class Made:
        def __init__(self, n: int) -> None:
            self.n = n

        def method(self) -> Any:
            return self.n, data

        def __call__(self) -> Any:
            return self.n, data

    data = 1
    for i in range(2):
        task(Made(i).method)
        task(Made(i))
    assert task.found() == []
    data = 2
    assert task.found() == [("warning", "data", ("t0", "t2")), ("warning", "data", ("t1", "t3"))]


def test_a_method_of_a_class_made_in_a_loop_is_an_error(task: Definitions) -> None:
    for i in range(2):

        class Made:
            def method(self) -> int:
                return i

        task(Made().method)
    assert task.found() == [("error", "i", ("t0", "t1"))]


# --- what is fine ---


def test_a_variable_filled_after_the_definition_is_fine(task: Definitions) -> None:
    for _ in range(2):
        task(lambda: later)
    later = 1
    assert task.found() == []
    scope = module("for n in range(2):\n    @task\n    def f(): return helper()\ndef helper(): return 1\n", task)
    assert "helper" in scope
    assert task.found() == []


def test_a_variable_filled_in_each_turn_is_an_error(task: Definitions) -> None:
    for i in range(2):
        task(lambda: value)
        value = i
    [late] = task.late()
    assert (late.kind, late.seen, late.current) == ("error", (EMPTY, 0), 1)


def test_a_function_may_refer_to_itself(task: Definitions) -> None:
    @task
    def cell(n: int) -> int:
        return n and cell(n - 1)  # type: ignore[operator, no-any-return]

    def bare(n: int) -> int:
        return n and bare(n - 1)

    bare_again = bare
    bare = task(bare_again)  # type: ignore[assignment]
    module("def f(): return f\nf = task(f)\n@task\ndef g(): return g\n", task)
    assert cell
    assert task.found() == []


@pytest.mark.parametrize("turns", [1, 2, 4])
def test_recursion_in_a_loop_is_fine_where_nothing_differs(task: Definitions, turns: int) -> None:
    for _ in range(turns):

        @task
        def f(n: int) -> int:
            return n and f(n - 1)  # type: ignore[operator, no-any-return]

    assert task.found() == []


def test_recursion_in_a_loop_whose_functions_differ_is_a_warning(task: Definitions) -> None:
    for i in range(3):

        @task
        def f(n: int, i: int = i) -> int:
            return n and f(n - 1)  # type: ignore[operator, no-any-return]

    assert task.found() == [("warning", "f", ("t1",))]


def test_the_caller_may_say_what_a_function_itself_is(task: Definitions) -> None:
    class Named:
        def __init__(self, function: Callable[..., Any]) -> None:
            self.function = function

    def f() -> Any:
        return f

    plain = f
    task(f)
    f = Named(plain)  # type: ignore[assignment]
    assert [late.kind for late in task.late()] == ["warning"]
    assert task.late(is_self=lambda value, fn: isinstance(value, Named) and value.function is fn) == []


def test_a_change_inside_an_object_is_not_seen(task: Definitions) -> None:
    data, settings = [1], types.SimpleNamespace(path="a")
    for _ in range(2):
        task(lambda: (data, settings.path))
        data.append(2)
        settings.path = "b"
    assert task.found() == []


def test_an_attribute_of_a_module_is_not_a_variable(task: Definitions) -> None:
    settings = types.ModuleType("settings")
    scope = module("for n in range(2):\n    @task\n    def f(): return settings.PATH\n", task, settings=settings)
    scope["settings"].PATH = "changed"
    assert task.found() == []


def test_a_builtin_is_not_a_variable(task: Definitions) -> None:
    scope = module("for n in range(2):\n    @task\n    def f(): return len([])\n", task)
    scope["len"] = sum
    assert task.found() == []


def test_state_that_the_tasks_assign_themselves_is_not_a_surprise(task: Definitions) -> None:
    count = 0
    for _ in range(2):

        @task
        def f() -> None:
            nonlocal count
            count += 1

    f.fn()
    assert count == 1
    assert task.found() == []


CELL = "def f(): return helper()\ntask(f)\n"
HELPER = "def helper(): return {}\n"


def test_a_notebook_cell_that_runs_again_makes_other_functions(task: Definitions) -> None:
    scope: dict[str, Any] = {"__name__": "__main__", "task": task}
    for n in range(3):
        scope["n"] = n
        exec(compile("@task\ndef f(): return n\n", "<cell>", "exec"), scope)
    assert task.found() == [("warning", "n", ("t0",)), ("warning", "n", ("t1",))]
    del task.tasks[:2]  # the ones that the last run of the cell has replaced
    assert task.found() == []


def test_a_helper_that_is_defined_again_as_it_was_is_fine(task: Definitions) -> None:
    scope = module(HELPER.format(1) + CELL, task)
    exec(compile(HELPER.format(1), "made.py", "exec"), scope)
    assert task.found() == []


def test_a_helper_that_is_defined_anew_is_a_warning(task: Definitions) -> None:
    scope = module(HELPER.format(1) + CELL, task)
    exec(compile(HELPER.format(2), "made.py", "exec"), scope)
    assert task.found() == [("warning", "helper", ("t0",))]


def test_a_helper_made_in_the_loop_is_an_error(task: Definitions) -> None:
    """Its code is the same in each turn, what it reads is not."""
    module(
        "for i in range(3):\n    def helper(): return i\n    @task\n    def f(): return helper()\n",
        task,
    )
    assert task.found() == [("error", "helper", ALL)]


def test_tasks_without_snapshot_are_skipped(task: Definitions) -> None:
    task(len)
    task(lambda: 1)
    assert [t.snapshot for t in task.tasks] == [None, None]
    assert task.found() == []


# --- messages ---


def test_the_message_of_an_error(task: Definitions) -> None:
    source = "for i in range(3):\n    @task\n    def process_batch(): return i\n"
    module(source, task)
    for t in task.tasks:
        t.id = t.id.replace("t", "batch_")
    [message] = [describe_late(late) for late in task.late()]
    assert message == (
        "tasks 'batch_0', 'batch_1' and 'batch_2' share the loop variable 'i': when they were defined it was 0, 1 and "
        "2, when they run all of them would see 2 (made.py:2). Bind the value when the task is made: give the function "
        "a parameter and call it, process_batch(i), or keep the value as a default, def process_batch(i=i)."
    )


def test_the_message_for_a_lambda_and_a_deleted_variable(task: Definitions) -> None:
    module("for i in range(2):\n    task(lambda: i)\ndel i\n", task)
    [message] = [describe_late(late) for late in task.late()]
    assert message == (
        "tasks 't0' and 't1' share the loop variable 'i': when they were defined it was 0 and 1, when they run it no "
        "longer exists (made.py:2). Bind the value when the task is made: give the function a parameter and call the "
        "task with i, or keep the value as a default, 'lambda i=i: ...'."
    )


def test_the_message_of_a_warning(task: Definitions) -> None:
    scope = module("data = 1\n@task\ndef load(): return data\n", task)
    scope["data"] = 2
    [message] = [describe_late(late) for late in task.late()]
    assert message == (
        "task 't0' reads the variable 'data': when it was defined it was 1, when it runs it would see 2 (made.py:2). "
        "Bind the value when the task is made: give the function a parameter and call it, load(data), or keep the "
        "value as a default, def load(data=data)."
    )


def test_the_message_names_a_few_of_many_tasks(task: Definitions) -> None:
    for i in range(100):
        task(lambda: i)
    [message] = [describe_late(late) for late in task.late()]
    assert message.startswith(
        "tasks 't0', 't1', 't2' and 97 more share the loop variable 'i': when they were defined it was 0, 1, 2 and 97 "
        "more, when they run all of them would see 99 ("
    )


def test_the_message_survives_any_value(task: Definitions) -> None:
    class list:  # reprlib goes by the name
        def __repr__(self) -> str:
            raise RuntimeError("show me not")

    for value in ("x" * 1000, list(), {"k": list()}):
        task(lambda: value)
    [message] = [describe_late(late) for late in task.late()]
    assert len(message) < 700
    assert "xxx...xxx" in message


def test_the_message_shows_a_variable_without_a_value(task: Definitions) -> None:
    for i in range(2):
        task(lambda: value)
        value = i
    [message] = [describe_late(late) for late in task.late()]
    assert "when they were defined it was not set and 0, when they run both of them would see 1" in message
