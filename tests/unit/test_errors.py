"""Every error: where it hangs in the tree, its exact words, and that it survives a trip to another process.

Whoever changes a message changes it here as well: the words are part of what users get.
"""

# ruff: noqa: B023, E501 - late binding is a subject here, and a message is easier to compare unbroken

import functools
import os
import pickle
import re
import threading
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import cloudpickle
import pytest
from pydantic import BaseModel

import graflow
from graflow import (
    CacheKeyError,
    CancelRun,
    ConfigurationError,
    ContinuationLimitError,
    CycleError,
    DefinitionError,
    DefinitionErrors,
    DuplicateTaskError,
    Exponential,
    FlagError,
    GraflowError,
    GraflowWarning,
    GroupRuleError,
    InternalError,
    InvalidConfigError,
    InvalidTaskError,
    InvalidTaskIdError,
    LateBindingError,
    LateBindingWarning,
    Limit,
    LocalRunner,
    MapError,
    Outcome,
    PlaceholderError,
    PortabilityWarning,
    QueueBackend,
    RemoteError,
    ResultUnavailableError,
    Retry,
    RunCancelledError,
    RunConflictError,
    RunError,
    RunFailedError,
    RunTimeoutError,
    SerializationError,
    SignalError,
    Standing,
    StoreError,
    Task,
    TaskResultError,
    TaskTimeoutError,
    TemplateWarning,
    UnboundParameterError,
    UnknownTaskError,
    WiringError,
    WorkerLostError,
    Workflow,
    WorkflowBuilder,
    WorkflowChangedError,
    at_least,
    continue_with,
    critical,
    each,
    first_of,
    inputs,
    signal,
    task,
    workflow,
)
from graflow import errors as tree
from graflow.core._class_names import class_names
from graflow.stores import MemoryStore

INLINE = LocalRunner(executor="inline")


class Config(BaseModel, frozen=True):
    path: str = "p"


class Other(BaseModel, frozen=True):
    path: str = "p"


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
def double(x: int) -> int:
    return 2 * x


@task
def minus(x: int, y: int) -> int:
    return x - y


@task
def echo(value: Any) -> Any:
    return value


@task
def breaks() -> int:
    raise KeyError("broken")


@task
def fails() -> int:
    raise ValueError("also broken")


@task
def rows() -> list[int]:
    return [1, 2, 3]


@task
def both(a: Outcome[int], b: Outcome[int]) -> int:
    return 1


@task(max_continuations=3)
def endless(n: int) -> int:
    return continue_with(endless(n + 1))


@task
def cancels() -> int:
    raise CancelRun("no stock left")


approve = signal("approve", bool)


class Undecided:
    """A rule that knows no answer."""

    def decide(self, standing: Standing) -> bool | None:
        return "perhaps"  # type: ignore[return-value]

    def __repr__(self) -> str:
        return "Undecided()"


def numbers() -> Any:
    yield 1


def site(of: Task[..., Any]) -> str:
    return f"{__file__}:{of.fn.__code__.co_firstlineno}"


def build(*tasks: Task[..., Any], model: Any = None, **how: Any) -> Workflow[Any, Any]:
    return Workflow.builder("w", inputs=model).add_all(tasks).build(**how)


def block(body: Callable[[], object]) -> Any:
    with workflow("w") as wf:
        body()
    return wf


def workflow_of_an_open_block() -> object:
    with workflow("w") as wf:
        return wf.workflow


def nested(body: Callable[[Any], object]) -> None:
    with workflow("w"), workflow("inner") as inner:
        one()
        body(inner)


def loop() -> list[Task[..., Any]]:
    made: list[Task[..., Any]] = []
    for i in range(3):

        @task(id=f"batch_{i}")
        def process() -> int:
            return i

        made.append(process)
    return made


LOOP_LINE = loop.__code__.co_firstlineno + 4


class Case(NamedTuple):
    """An action, the error it raises, and the whole message; `RUN` and `PID` stand for what differs each time."""

    kind: type[BaseException]
    action: Callable[[], object]
    message: str


SAID = "exists only while the workflow runs, so it cannot be"

CASES: dict[str, Case] = {
    # --- InvalidTaskError ---
    "not callable": Case(
        InvalidTaskError, lambda: Task("t", 3),  # type: ignore[arg-type]
        "3 is not callable, so it cannot be a task; pass a function",
    ),
    "generator": Case(
        InvalidTaskError, lambda: task(numbers),
        "'numbers' is a generator function, so its result would be a generator that nobody has run yet; return a list "
        "instead",
    ),
    "classmethod": Case(
        InvalidTaskError, lambda: task(classmethod(numbers)),  # type: ignore[call-overload]
        "'numbers' is a classmethod object, which cannot be a task; make it a plain function, or a method and pass the "
        "object",
    ),
    "staticmethod": Case(
        InvalidTaskError, lambda: task(staticmethod(numbers)),
        "'numbers' is a staticmethod object, which cannot be a task; put @staticmethod above @task",
    ),
    "task of a task": Case(
        InvalidTaskError, lambda: Task("t", one),
        "<task 'one'> is a task already; give it another id with .named('t')",
    ),
    "decorated twice": Case(
        InvalidTaskError, lambda: task(one),
        "<task 'one'> is a task already; use .named() or .with_policy() for a variant of it",
    ),
    "no method": Case(
        InvalidTaskError, lambda: type("Cls", (), {"t": one})().t,
        "task 'one' is read as a method, but has no free first parameter for self",
    ),
    # --- InvalidTaskIdError ---
    "id no text": Case(InvalidTaskIdError, lambda: one.named(3), "a task's id is text, not 3"),  # type: ignore[arg-type]
    "id empty": Case(
        InvalidTaskIdError, lambda: build(one.named("")),
        "workflow 'w': a task has an empty id; give the task another with .named('...') or @task(id='...')",
    ),
    "id long": Case(
        InvalidTaskIdError, lambda: build(one.named("x" * 10_000)),
        f"workflow 'w': the task id '{'x' * 40}'... has 10,000 characters, and 200 are allowed; give the task another "
        "with .named('...') or @task(id='...')",
    ),
    "id lambda": Case(
        InvalidTaskIdError, lambda: build(task(lambda: 1)),
        "workflow 'w': a task made from a lambda has no id of its own; give one: Task('name', lambda ...)",
    ),
    "id path": Case(
        InvalidTaskIdError, lambda: build(one.named("a/b")),
        "workflow 'w': the task id 'a/b' contains '/', which is kept for paths into nested workflows; give the task "
        "another with .named('...') or @task(id='...')",
    ),
    "id dot": Case(
        InvalidTaskIdError, lambda: build(one.named(".a")),
        "workflow 'w': the task id '.a' starts with '.'; start it with a letter, a digit or '_': give the task another "
        "with .named('...') or @task(id='...')",
    ),
    "id characters": Case(
        InvalidTaskIdError, lambda: build(one.named("a b\n")),
        "workflow 'w': the task id 'a b\\n' contains '\\n', ' '; use letters, digits, '_', '-' and '.': give the task "
        "another with .named('...') or @task(id='...')",
    ),
    # --- DuplicateTaskError ---
    "twice": Case(
        DuplicateTaskError, lambda: build(one, one),
        f"task 'one' is in workflow 'w' twice, defined at {site(one)}; give one of them another id, .named('...')",
    ),
    "two functions": Case(
        DuplicateTaskError, lambda: build(one, two.named("one")),
        f"two tasks of workflow 'w' have the id 'one': one defined at {site(one)}, the other at {site(two)}; give one of "
        "them another id, .named('...') or @task(id='...')",
    ),
    "reference to another function": Case(
        DuplicateTaskError, lambda: build(one, echo(two.named("one").out)),
        "task 'echo' reads the result of 'one' for parameter 'value', but means another task than the one of that id in "
        f"workflow 'w': the reference was defined at {site(two)}, the other at {site(one)}; give one of them another id, "
        ".named('...')",
    ),
    "order after another function": Case(
        DuplicateTaskError, lambda: build(one, echo(1).after(two.named("one"))),
        f"task 'echo' runs after 'one', but means another task than the one of that id in workflow 'w': the reference was "
        f"defined at {site(two)}, the other at {site(one)}; give one of them another id, .named('...')",
    ),
    "reference with other inputs": Case(
        DuplicateTaskError, lambda: build(double(1), echo(double(2).out)),
        "task 'echo' reads the result of 'double' for parameter 'value', but means another task than the one of that id "
        "in workflow 'w': the reference has x=2, the other 1; give one of them another id, .named('...')",
    ),
    "reference with extra inputs": Case(
        DuplicateTaskError, lambda: build(Task("m", max)(1), echo(Task("m", max)(2).out)),
        "task 'echo' reads the result of 'm' for parameter 'value', but means another task than the one of that id in "
        "workflow 'w': they have different inputs for *args or **kwargs; give one of them another id, .named('...')",
    ),
    "returns another": Case(
        DuplicateTaskError, lambda: build(one, returns=two.named("one")),
        f"returns= names task 'one', but means another task than the one of that id in workflow 'w': the reference was "
        f"defined at {site(two)}, the other at {site(one)}; give one of them another id, .named('...')",
    ),
    "contradicting constants": Case(
        DuplicateTaskError, lambda: Workflow.of("w", double(1), double(True), returns=one),
        "parameter 'x' of task 'double' is fed twice in workflow 'w': 1 and True; give one of the two tasks another id, "
        ".named('...')",
    ),
    "fed twice": Case(
        DuplicateTaskError, lambda: block(lambda: (one >> double, two >> double)),
        "parameter 'x' of task 'double' is fed twice in workflow 'w': one.out and two.out; to give each result a "
        "parameter of its own write (a | b) >> double",
    ),
    "contradicting policies": Case(
        DuplicateTaskError,
        lambda: Workflow.of("w", one.with_policy(queue="a"), one.with_policy(queue="b"), returns=one),
        f"task 'one' is in workflow 'w' with different policies (defined at {site(one)}); give one of them another id, "
        ".named('...')",
    ),
    "two blocks": Case(
        DuplicateTaskError, lambda: block(lambda: [workflow("i").__enter__().__exit__(None) for _ in range(2)]),
        "two blocks inside 'w' are called 'i'; rename one of them",
    ),
    # --- UnknownTaskError ---
    "unknown, close": Case(
        UnknownTaskError, lambda: build(one.named("extract"), echo(one.named("extrct").out)),
        "task 'echo' reads the result of 'extrct' for parameter 'value', but workflow 'w' has no task 'extrct'; did you "
        "mean 'extract'? Else add it, or correct the reference",
    ),
    "unknown, far": Case(
        UnknownTaskError, lambda: build(echo(1).after(one)),
        "task 'echo' runs after 'one', but workflow 'w' has no task 'one'; add it, or correct the reference",
    ),
    "order of an unknown task": Case(
        UnknownTaskError, lambda: Workflow.builder("w").add(one).order(one, two).build(),
        "order() names task 'two', but workflow 'w' has no task 'two'; add it, or correct the reference",
    ),
    "returns unknown": Case(
        UnknownTaskError, lambda: build(one, returns=echo),
        "returns= names task 'echo', but workflow 'w' has no task 'echo'; add it, or correct the reference",
    ),
    "start_node": Case(
        UnknownTaskError, lambda: block(one).execute(start_node="onee", runner=INLINE),
        "workflow 'w' has no task 'onee' to start from; did you mean 'one'? Else add it",
    ),
    "no such task in a run": Case(
        UnknownTaskError, lambda: build(one).run(runner=INLINE)["two"],
        "workflow 'w' has no task 'two'; look at run.tasks for those it has",
    ),
    "another task in a run": Case(
        UnknownTaskError, lambda: build(one).run(runner=INLINE)[two.named("one")],
        f"workflow 'w' has a task 'one', but with another function: it was defined at {site(one)}, the one asked for at "
        f"{site(two)}",
    ),
    # --- UnboundParameterError ---
    "unbound, feeders": Case(
        UnboundParameterError, lambda: build(one, two, double),
        f"parameter 'x: int' of task 'double' has no input ({site(double)}); 'one' or 'two' could feed it: x=one.out",
    ),
    "unbound, no feeder": Case(
        UnboundParameterError, lambda: build(text, double),
        f"parameter 'x: int' of task 'double' has no input ({site(double)}); bind it in the call: x=...",
    ),
    # --- WiringError ---
    "too many": Case(WiringError, lambda: one(1), "task 'one' takes no inputs by position, but 1 was given"),
    "unknown name": Case(WiringError, lambda: minus(z=1), "task 'minus' has no parameter 'z'; it has x, y"),
    "misspelt": Case(WiringError, lambda: echo(valu=1), "task 'echo' has no parameter 'valu'; did you mean 'value'?"),
    "given twice": Case(
        WiringError, lambda: double(1)(x=2), "parameter 'x' of task 'double' has an input already; bind it once"
    ),
    "positional-only": Case(
        WiringError, lambda: Task("t", lambda x, /: x)(x=1),
        "task 't' has no parameter 'x'; 'x' is positional-only, give it by position",
    ),
    "task for its result": Case(
        WiringError, lambda: double(one), "input 'x' of task 'double' is task 'one' itself; pass its result, one.out"
    ),
    "group for results": Case(
        WiringError, lambda: double(one | two),
        "input 'x' of task 'double' is a group of tasks itself; pass the results one by one",
    ),
    "after no task": Case(WiringError, lambda: one.after(3), "task 'one' can run after tasks, not after 3"),  # type: ignore[arg-type]
    "truth": Case(
        WiringError, lambda: bool(one),
        "task 'one' is the definition of work, neither true nor false; pass .out to a task",
    ),
    "too many results": Case(
        WiringError, lambda: (one | two) >> double,
        "2 results cannot feed task 'double', which has 1 free parameter ('x'); name the inputs in a call, or use fewer",
    ),
    "wrong type": Case(
        WiringError, lambda: build(text, double(text.out)),
        f"'text' cannot feed parameter 'x' of task 'double': str cannot feed int ('text' at {site(text)}, 'double' at "
        f"{site(double)}); pass another result, or convert it between",
    ),
    "wrong projection": Case(
        WiringError, lambda: build(one, echo(one.out.y)),  # type: ignore[attr-defined]
        f"'one' cannot feed parameter 'value' of task 'echo': int has no attribute 'y' ('one' at {site(one)}, 'echo' at "
        f"{site(echo)}); pass another result, or convert it between",
    ),
    "wrong input": Case(
        WiringError, lambda: build(double(inputs(Config).path), model=Config),  # type: ignore[arg-type]
        "'inputs(Config)' cannot feed parameter 'x' of task 'double': str cannot feed int ('double' at "
        f"{site(double)}); pass another result, or convert it between",
    ),
    "other inputs": Case(
        WiringError, lambda: build(echo(inputs(Other)), model=Config),
        "parameter 'value' of task 'echo' reads inputs(Other), but workflow 'w' takes Config; declare them with "
        "inputs=Other",
    ),
    "no inputs": Case(
        WiringError, lambda: build(echo(inputs(Other))),
        "parameter 'value' of task 'echo' reads inputs(Other), but workflow 'w' takes no inputs; declare them with "
        "inputs=Other",
    ),
    "add no task": Case(
        WiringError, lambda: Workflow.builder("w").add(3),  # type: ignore[arg-type]
        "add() takes a task, not 3; make one with @task",
    ),
    "then first": Case(
        WiringError, lambda: Workflow.builder("w").then(double),
        "then(double) needs a task before it; start with .add(double, ...)",
    ),
    "include no workflow": Case(
        WiringError, lambda: Workflow.builder("w").include(one, prefix="p"),  # type: ignore[call-overload]
        "include() takes a workflow, not <task 'one'>; use .add() for a task",
    ),
    "include without inputs": Case(
        WiringError, lambda: Workflow.builder("w").include(build(echo(1), model=Config), prefix="p"),
        "workflow 'w' takes Config; give it: .include(..., inputs, prefix='p')",
    ),
    "block outside": Case(
        WiringError, lambda: one >> block(two),
        "a block can be ordered only inside the block around it: with workflow(...) as outer: ...",
    ),
    # --- CycleError ---
    "cycle": Case(
        CycleError, lambda: build(one.after(two), two.after(one)),
        "tasks wait for each other in a circle: one -> two -> one; remove one of these edges",
    ),
    # --- LateBindingError ---
    "loop": Case(
        LateBindingError, lambda: build(*loop()),
        "tasks 'batch_0', 'batch_1' and 'batch_2' share the loop variable 'i': when they were defined it was 0, 1 and 2, "
        f"when they run all of them would see 2 ({__file__.removeprefix(os.getcwd() + os.sep)}:{LOOP_LINE}). Bind the value when the task "
        "is made: give the function a parameter and call it, process(i), or keep the value as a default, def "
        "process(i=i).",
    ),
    # --- PlaceholderError ---
    "operator": Case(
        PlaceholderError, lambda: one.out + 1,
        f"the result of task 'one' {SAID} computed with now; pass it to a task instead",
    ),
    "unpacking": Case(
        PlaceholderError, lambda: list(echo.out),
        f"the result of task 'echo' {SAID} iterated or unpacked now; pass it to a task instead, or take one item with "
        "echo.out[0]",
    ),
    "index": Case(
        PlaceholderError, lambda: echo.out[one.out],
        "the result of task 'echo' cannot be indexed by the result of task 'one': the key is known only while the workflow "
        "runs; pass both to a task and index there",
    ),
    "hidden": Case(
        PlaceholderError, lambda: echo(Config.model_construct(path=one.out)),
        "the result of task 'one' hides in a Config, in input 'value' of task 'echo', where it cannot be replaced when the "
        "task runs; pass it as a parameter of its own, or in a list, tuple or dict value",
    ),
    "deep": Case(
        PlaceholderError, lambda: echo(functools.reduce(lambda x, _: [x], range(200), one.out)),
        "the result of task 'one' lies in a container that contains itself or is nested more than 100 deep, in input "
        "'value' of task 'echo'; pass it to the task directly",
    ),
    "typo": Case(
        PlaceholderError, lambda: inputs(Config).pth,  # type: ignore[attr-defined]
        "the input Config has no field 'pth'; did you mean 'path'?",
    ),
    # --- maps, flags, rules, signals, while a workflow is defined ---
    "map without each": Case(
        WiringError, lambda: minus.map(y=2),  # type: ignore[call-arg]
        "minus.map() has no input that is one item, such as x=rows.each; without one, call minus(...)",
    ),
    "map of a map": Case(
        WiringError, lambda: minus.map(x=rows.each).map(y=rows.each),  # type: ignore[call-arg]
        "task 'minus' is mapped already; map over its result in another task",
    ),
    "an item in a call": Case(
        WiringError, lambda: build(rows, double(rows.each)),
        f"'rows' cannot feed parameter 'x' of task 'double': one item is not a value ('rows' at {site(rows)}, 'double' at "
        f"{site(double)}); map over it: double.map(x=...)",
    ),
    "map over text": Case(
        WiringError, lambda: build(text, echo.map(text.each)),
        "'text' cannot feed parameter 'value' of task 'echo': str is text; return list(text) to map over its characters "
        f"('text' at {site(text)}, 'echo' at {site(echo)}); pass another result, or convert it between",
    ),
    "map over a number": Case(
        WiringError, lambda: build(one, echo.map(one.each)),  # type: ignore[misc]
        f"'one' cannot feed parameter 'value' of task 'echo': int has no items to map over ('one' at {site(one)}, 'echo' at "
        f"{site(echo)}); pass another result, or convert it between",
    ),
    "map over an item": Case(
        PlaceholderError, lambda: each(rows.each),  # type: ignore[arg-type]
        "one item of the result of task 'rows' cannot be mapped over as well; map a task that returns its items, and then "
        "over that",
    ),
    "a map's list for one": Case(
        WiringError, lambda: build(rows, double.map(x=rows.each), minus(1, double.map(x=rows.each).out)),  # type: ignore[arg-type]
        "'double' cannot feed parameter 'y' of task 'minus': list[int] cannot feed int "
        f"('double' at {site(double)}, 'minus' at {site(minus)}); to run it for each item: minus.map(y=double.each)",
    ),
    "flag of no bool": Case(
        WiringError, lambda: one.when(1),  # type: ignore[arg-type]
        "one.when() takes a flag, not 1; pass a task's result, or True or False",
    ),
    "flag of a task": Case(
        WiringError, lambda: one.unless(two),  # type: ignore[arg-type]
        "one.unless() takes a flag, not <task 'two'>; pass its result, two.out",
    ),
    "flag of an outcome": Case(
        WiringError, lambda: one.when(two.outcome),  # type: ignore[arg-type]
        "one.when(two.outcome) takes one flag for the whole task; let a task make a bool of it",
    ),
    "rule": Case(
        WiringError, lambda: (one | two).require(2),  # type: ignore[call-overload]
        "require() takes all, any, at_least(n), critical(task) or an object with a method decide(standing), not 2",
    ),
    "too much of a group": Case(
        WiringError, lambda: (one | two).require(at_least(3)),
        "at_least(3) of 2 tasks (one, two) can never be; ask for less",
    ),
    "critical stranger": Case(
        WiringError, lambda: (one | two).require(critical(text)),
        "critical task 'text' is not in the group one, two; add it with |",
    ),
    "more beside a rule": Case(
        WiringError, lambda: (one | two).require(all) | text,
        "a group that requires something is complete; write what follows: group.require(...) >> task",
    ),
    "rule on the right": Case(
        WiringError, lambda: text >> (one | two).require(all),
        "what a group requires is for what comes after it; write (a | b).require(...) >> task",
    ),
    "first of one": Case(
        WiringError, lambda: first_of(one),  # type: ignore[call-overload]
        "first_of() takes two or more tasks of different ids",
    ),
    "first of a number": Case(
        WiringError, lambda: first_of(one, 3),  # type: ignore[call-overload]
        "first_of() takes tasks, not 3",
    ),
    "go on with a missing input": Case(
        WiringError, lambda: continue_with(double),  # type: ignore[arg-type]
        "continue_with(double): parameter 'x' has no input; bind it: double(x=...)",
    ),
    "go on with a result": Case(
        WiringError, lambda: continue_with(one.out),  # type: ignore[arg-type]
        "continue_with() takes a task with its inputs, continue_with(step(n - 1)), not <the result of task 'one'>",
    ),
    "go on with a signal": Case(
        WiringError, lambda: continue_with(approve),
        "continue_with(approve) would wait for signal 'approve', which nobody can send there; put the signal into the "
        "workflow of this task, and the rest after it",
    ),
    "at least none": Case(ConfigurationError, lambda: at_least(0), "at_least(0): give a whole number from 1 on"),
    "critical of nothing": Case(
        ConfigurationError, critical, "critical() names the tasks that have to succeed; give at least one"
    ),
    "signal of a name": Case(
        ConfigurationError, lambda: signal("x", "int"),  # type: ignore[arg-type]
        "signal 'x' takes a type, not 'int'",
    ),
    "signal of nothing": Case(
        ConfigurationError, lambda: signal("x", None),  # type: ignore[arg-type]
        "signal 'x' takes a type, not None; give type(None) for a signal that carries nothing",
    ),
    "late signal at once": Case(
        ConfigurationError, lambda: signal("x", int, timeout=0),
        "task 'x': timeout=0: Input should be greater than 0",
    ),
    # --- and while it runs ---
    "map over text after all": Case(
        MapError, lambda: failure_of(echo(["a"]), value=double.map(x=each(echo.out[0]))),
        "echo.out[0] is text (str), and mapping over its characters is almost always a mistake; return list(text) to mean it",
    ),
    "map over what has no items": Case(
        MapError, lambda: failure_of(echo(2.5), value=double.map(x=echo.each)),
        "echo.out is of type float, which has no items to map over",
    ),
    "unequal": Case(
        MapError, lambda: failure_of(rows, echo([1, 2]), value=minus.map(x=rows.each, y=echo.each)),
        "what is mapped over side by side must have equally many items, but rows.out has 3, echo.out has 2",
    ),
    "too many items": Case(
        MapError, lambda: failure_of(rows, value=double.map(x=rows.each).with_policy(max_items=2)),
        "rows.out has more than 2 items; an endless iterator cannot be mapped over, and for more items raise the limit with "
        ".with_policy(max_items=...)",
    ),
    "no flag": Case(
        FlagError, lambda: failure_of(echo("no"), value=one.when(echo.out)),
        "task 'one' runs only if echo.out is true, but that is 'no', of type str; return a bool",
    ),
    "rule without an answer": Case(
        GroupRuleError, lambda: failure_of(one, two, value=(one | two).require(Undecided()) >> both),
        "rule Undecided() decided 'perhaps'; it has to be True, False or None",
    ),
    "endless": Case(
        ContinuationLimitError, lambda: failure_of(value=endless(0)),
        "task 'endless' went on with another task more than 3 times, the last with 'endless'; if it is to, raise the limit: "
        "@task(max_continuations=...)",
    ),
    "cancelled from within": Case(
        RunCancelledError, lambda: build(cancels).run(runner=INLINE),
        "run RUN of workflow 'w' was cancelled (no stock left) with 0 of 1 tasks done; run it with check=False to look at "
        "the others",
    ),
    "asked to cancel": Case(CancelRun, cancels.fn, "no stock left"),
    "signal of another type": Case(
        SignalError, lambda: sent("yes"), "signal 'approve' takes bool, not 'yes': Input should be a valid boolean"
    ),
    "signal twice": Case(
        SignalError, lambda: sent(True, False), "signal 'approve' of run RUN was sent before; the first value counts"
    ),
    "signal to nobody": Case(
        SignalError, lambda: approve.send_value(True),
        "signal 'approve' belongs to no run; send to one: handle.send(approve, True)",
    ),
    "send to a task": Case(
        SignalError, lambda: sent(1, to=one),  # type: ignore[arg-type]
        "send() takes a signal and a value, not <task 'one'>; make one with signal(id, type)",
    ),
    "signal read as a function": Case(
        ResultUnavailableError, approve.fn,
        "signal 'approve' has no body: its result arrives while the workflow runs, with handle.send() or `graflow signal`",
    ),
    "signal that does not come": Case(
        TaskTimeoutError, lambda: failure_of(value=signal("slow", int, timeout=0.01)),
        "signal 'slow' did not arrive within 0.01 s",
    ),
    "items of no map": Case(
        UnknownTaskError, lambda: build(one).run(runner=INLINE).items("one"),
        "task 'one' is no map, so it has no items",
    ),
    "wrong configuration": Case(
        InvalidConfigError, lambda: Workflow.from_config({"name": "w", "tasks": {"a": {}}, "input": {}}),
        "input: there is no key 'input' here; did you mean 'inputs'?",
    ),
    # --- RunError ---
    "one failure": Case(
        RunFailedError, lambda: Workflow.of("w", breaks, returns=breaks).run(runner=INLINE),
        "task 'breaks' of workflow 'w' failed: KeyError: 'broken' (run RUN)",
    ),
    "a failure and what needs it": Case(
        RunFailedError, lambda: Workflow.of("w", breaks >> double, returns=double).run(runner=INLINE),
        "task 'breaks' of workflow 'w' failed: KeyError: 'broken'; 1 task that needs it did not run (run RUN)",
    ),
    "two failures": Case(
        RunFailedError, lambda: build(breaks, fails).run(runner=INLINE),
        "tasks 'breaks', 'fails' of workflow 'w' failed (run RUN)",
    ),
    "many failures": Case(
        RunFailedError, lambda: build(*(breaks.named(f"b{k}") for k in range(7))).run(runner=INLINE),
        "tasks 'b0', 'b1', 'b2', 'b3', 'b4' and 2 more of workflow 'w' failed (run RUN)",
    ),
    "failed, no result": Case(
        ResultUnavailableError, lambda: build(breaks).run(runner=INLINE, check=False).value,
        "task 'breaks' has no result: it failed with KeyError: 'broken'",
    ),
    "released": Case(
        ResultUnavailableError,
        lambda: Workflow.of("w", one >> double, returns=double).run(runner=LocalRunner("inline", keep="returns"))[one],
        "the result of task 'one' was released when nobody needed it any more; run with keep='all' to read it afterwards",
    ),
    "not executed": Case(
        ResultUnavailableError, lambda: block(one).last_run, "block 'w' has not been executed; call .execute() first"
    ),
    "handle outside": Case(
        ResultUnavailableError, lambda: cloudpickle.loads(cloudpickle.dumps(block(one))).get_result("one"),
        "block 'w' can be read here only while one of its tasks runs",
    ),
    # --- ConfigurationError ---
    "unknown policy": Case(
        ConfigurationError, lambda: one.with_policy(colour="red"),
        "task 'one': there is no policy 'colour', only executor, queue, timeout, retry, cache, priority, limit, "
        "max_continuations, max_items",
    ),
    "misspelt policy": Case(
        ConfigurationError, lambda: one.with_policy(retries=3),
        "task 'one': there is no policy 'retries'; did you mean 'retry'? The others are executor, queue, timeout, cache, "
        "priority, limit, max_continuations, max_items",
    ),
    "impossible part of a policy": Case(
        ConfigurationError, lambda: one.with_policy(retry=0),
        "task 'one': retry.attempts=0: Input should be greater than or equal to 1",
    ),
    "impossible retry": Case(
        ConfigurationError, lambda: Retry(3, on=()),
        "retry.on=(): no exception would lead to another attempt; name one, or leave it out to mean all",
    ),
    "impossible policy": Case(
        ConfigurationError, lambda: one.with_policy(timeout=-1),
        "task 'one': timeout=-1: Input should be greater than 0",
    ),
    "inputs of no model": Case(
        ConfigurationError, lambda: inputs(int),  # type: ignore[type-var]
        "inputs() takes a pydantic model class, not <class 'int'>; declare one with BaseModel",
    ),
    "builder of no model": Case(
        ConfigurationError, lambda: Workflow.builder("w", inputs=int),  # type: ignore[type-var]
        "workflow 'w': inputs= takes a pydantic model class, not <class 'int'>",
    ),
    "no workflow name": Case(
        ConfigurationError, lambda: Workflow.builder(""), "a workflow needs a name, not ''"
    ),
    "builder constructed": Case(
        ConfigurationError, WorkflowBuilder, "a builder starts with Workflow.builder(name)"
    ),
    "workflow constructed": Case(
        ConfigurationError, Workflow,
        "a workflow is built, not constructed: use Workflow.builder(name), Workflow.of(name, ...) or `with "
        "workflow(name) as wf`",
    ),
    "workflow of no task": Case(
        ConfigurationError, lambda: Workflow.of("w", 3, returns=one),  # type: ignore[arg-type]
        "a workflow is made of tasks, not of 3; make one with @task",
    ),
    "opened twice": Case(
        ConfigurationError, lambda: block(one).__enter__(),
        "block 'w' was opened before; make a new one with workflow(...)",
    ),
    "nested inputs": Case(
        ConfigurationError, lambda: block(lambda: workflow("i", inputs=Config).__enter__()),
        "the nested block 'i' cannot take inputs of its own; declare them on the outer block",
    ),
    "never opened": Case(
        ConfigurationError, lambda: workflow("w").workflow,
        "block 'w' has no workflow: it was never opened; use it in a `with` statement",
    ),
    "still open": Case(
        ConfigurationError, lambda: workflow_of_an_open_block(),
        "block 'w' has no workflow: it is still open; its workflow is ready when the `with` statement ends",
    ),
    "part of another": Case(
        ConfigurationError, lambda: nested(lambda inner: inner.workflow),
        "block 'inner' has no workflow: it is part of the block 'w', which holds the workflow",
    ),
    "execute a part": Case(
        ConfigurationError, lambda: nested(lambda inner: inner.execute()), "block 'inner' is part of 'w'; execute that one"
    ),
    "add no task to a block": Case(
        ConfigurationError, lambda: workflow("w").add(3),  # type: ignore[arg-type]
        "block 'w' takes tasks, not 3; make one with @task",
    ),
    "add to a closed block": Case(
        ConfigurationError, lambda: block(one).add(two),
        "block 'w' is closed; add task 'two' inside its `with` statement",
    ),
    "foreign block": Case(
        ConfigurationError, lambda: nested(lambda inner: one >> FOREIGN),
        "block 'foreign' is ordered in 'inner', but was not opened inside it",
    ),
    "runner and backend": Case(
        ConfigurationError, lambda: block(one).execute(runner=INLINE, queue_backend=QueueBackend.LOCAL),
        "execute() takes a runner or a queue_backend, not both",
    ),
    "no redis": Case(
        ConfigurationError, lambda: block(one).execute(queue_backend=QueueBackend.REDIS),
        "QueueBackend.REDIS needs the Redis runner, which this version does not have; use QueueBackend.LOCAL",
    ),
    "run without inputs": Case(
        ConfigurationError, lambda: build(one, model=Config).run(runner=INLINE),
        "workflow 'w' takes Config; run it with an instance of that",
    ),
    "run with inputs": Case(
        ConfigurationError, lambda: build(one).run(3, runner=INLINE),  # type: ignore[arg-type]
        "workflow 'w' takes no inputs, but got 3",
    ),
    "run with other inputs": Case(
        ConfigurationError, lambda: build(one, model=Config).run(Other(), runner=INLINE),
        "workflow 'w' takes Config, not Other(path='p')",
    ),
    "executor": Case(
        ConfigurationError, lambda: LocalRunner("gpu"),  # type: ignore[arg-type]
        "executor='gpu' is unknown; choose one of inline, threads, processes",
    ),
    "max_workers": Case(
        ConfigurationError, lambda: LocalRunner(max_workers=0), "max_workers=0 must be a whole number from 1 on"
    ),
    "keep": Case(
        ConfigurationError, lambda: LocalRunner(keep="some"),  # type: ignore[arg-type]
        "keep='some' is unknown; choose 'all' or 'returns'",
    ),
    "run no workflow": Case(
        ConfigurationError, lambda: INLINE.run(one),  # type: ignore[call-overload]
        "a runner runs workflows, not <task 'one'>; build one, or take block.workflow",
    ),
    # --- while a run lasts, and about stored runs ---
    "late run": Case(
        RunTimeoutError, lambda: build(Task("waits", wait)).run(timeout=0.05),
        "run RUN of workflow 'w' took longer than its timeout of 0.05 s, with 0 of 1 tasks done; give it more time, or "
        "resume it if its runner has a store",
    ),
    "late task": Case(
        TaskTimeoutError, lambda: cause_of(build(Task("waits", wait, timeout=0.05))),
        "attempt 1 of task 'waits' took longer than its timeout of 0.05 s; its thread goes on, because nobody can end a "
        "thread: executor='processes' can be ended",
    ),
    "late task inline": Case(
        TaskTimeoutError, lambda: cause_of(build(Task("waits", nap, timeout=0.001)), INLINE),
        "attempt 1 of task 'waits' took longer than its timeout of 0.001 s; it held up the run until it came back, "
        "because it ran inline",
    ),
    "two limits": Case(
        ConfigurationError,
        lambda: build(one.with_policy(limit=Limit("db", 2)), one.named("two").with_policy(limit=Limit("db", 3))).run(),
        "limit 'db' allows 2 at once in task 'one' and 3 in task 'two'; give both the same Limit",
    ),
    "cache without a store": Case(
        ConfigurationError, lambda: build(one.with_policy(cache=True)).run(),
        "the cache of task 'one' needs a store, and this runner keeps nothing; give it one, such as "
        "LocalRunner(store='.graflow/runs.db')",
    ),
    "no store": Case(
        ConfigurationError, lambda: INLINE.resume("r"),
        "resume() needs a store, and this runner keeps nothing; give it one, such as "
        "LocalRunner(store='.graflow/runs.db')",
    ),
    "no such run": Case(
        StoreError, lambda: LocalRunner(store=MemoryStore()).resume("r"), "there is no run 'r' in this store; it has no runs"
    ),
    "another run of the name": Case(
        RunConflictError, lambda: twice(build(one), build(one, one.named("two"))),
        "run 'n' is of a workflow 'w' with other tasks; choose another run_id, or delete that run",
    ),
    "changed run of the name": Case(
        WorkflowChangedError, lambda: twice(build(Task("t", wait)), build(Task("t", nap)), check=False),
        "the code or the inputs of 't' changed since run 'n' began; choose another run_id, or go on with resume('n', "
        "workflow, changed='keep') or changed='rerun'",
    ),
    "no key": Case(
        CacheKeyError, lambda: cause_of(build(Task("t", repr, cache=True)(threading.Lock())), DURABLE),
        "task 't' cannot be cached: its input 'obj' holds a _thread.lock, whose content cannot be read; pass what "
        "identifies it instead, give its class a method __graflow_digest__, or take the cache off",
    ),
    "impossible on_failure": Case(
        ConfigurationError, lambda: build(one).run(on_failure="ask"),  # type: ignore[call-overload]
        "on_failure='ask' is unknown; choose 'continue' or 'stop'",
    ),
    "impossible run timeout": Case(
        ConfigurationError, lambda: build(one).run(timeout=-1), "timeout=-1 is not a number of seconds above 0"
    ),
    "impossible changed": Case(
        ConfigurationError, lambda: DURABLE.resume("r", changed="ask"),  # type: ignore[call-overload]
        "changed='ask' is unknown; choose one of refuse, keep, rerun",
    ),
}  # fmt: skip

with workflow("foreign") as FOREIGN:
    pass


DURABLE = LocalRunner(store=MemoryStore())
LEFT = threading.Event()


def wait() -> bool:
    """Longer than any timeout here."""
    return LEFT.wait(5)


def nap() -> None:
    threading.Event().wait(0.05)


def cause_of(workflow: Workflow[Any, Any], runner: LocalRunner | None = None) -> None:
    """Raise what its only task failed with."""
    run = (runner or LocalRunner()).run(workflow, check=False)
    (record,) = run.tasks.values()
    assert record.error is not None
    raise record.error


def failure_of(*before: Task[..., Any], value: Task[..., Any]) -> None:
    """Raise what the last of these tasks failed with."""
    with pytest.raises(RunFailedError) as caught:
        build(*before, value).run(runner=INLINE)
    raise caught.value.failures[value.id]


def sent(*values: Any, to: Any = approve) -> None:
    """Send these, one after the other, to a run that waits."""
    handle = LocalRunner().start(build(approve, one))
    try:
        for value in values:
            handle.send(to, value)
    finally:
        handle.cancel()


def twice(first: Workflow[Any, Any], second: Workflow[Any, Any], *, check: bool = True) -> None:
    """Run two workflows under one name."""
    runner = LocalRunner(store=MemoryStore())
    LEFT.set()
    runner.run(first, run_id="n", check=check)
    LEFT.clear()
    runner.run(second, run_id="n", check=check)


def steady(message: str) -> str:
    """The message without what differs from run to run."""
    message = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "RUN", message)
    return re.sub(r"process \d+", "process PID", message)


def there_and_back(error: BaseException) -> BaseException:
    """The error after a trip, which its words, its class and its attributes must survive."""
    there: BaseException = pickle.loads(pickle.dumps(error))
    assert type(there) is type(error)
    assert str(there) == str(error)
    assert there.args == error.args or isinstance(error, ExceptionGroup)
    return there


@pytest.mark.parametrize("name", CASES)
def test_the_words_of_an_error(name: str) -> None:
    case = CASES[name]
    with pytest.raises(case.kind) as caught:
        case.action()
    assert type(caught.value) is case.kind
    assert steady(str(caught.value)) == case.message
    there_and_back(caught.value)


def test_an_attribute_of_a_frozen_value_is_an_attribute_error() -> None:
    said = {
        one: "task 'one' is frozen; its methods give a changed copy: .named(), .with_policy()",
        build(one): "workflow 'w' is frozen; build another one",
        Workflow.builder("w"): "the builder of 'w' is frozen; its methods give a new builder",
    }
    for value, message in said.items():
        with pytest.raises(AttributeError) as caught:
            value._name = "x"  # type: ignore[attr-defined]
        assert str(caught.value) == message
    with pytest.raises(AttributeError, match=r"^task 'one' is frozen$"):
        del one.id  # type: ignore[misc]


def test_a_callable_without_a_name() -> None:
    nameless = functools.partial(max, 1)
    with pytest.raises(InvalidTaskIdError) as caught:
        task(nameless)
    assert str(caught.value) == f"{nameless!r} has no name to take the task's id from; give one, @task(id='...')"
    there_and_back(caught.value)


def test_several_errors() -> None:
    with pytest.raises(DefinitionErrors) as caught:
        build(double, minus(1))
    assert str(caught.value) == "workflow 'w' has 2 definition errors (2 sub-exceptions)"
    there = there_and_back(caught.value)
    assert isinstance(there, DefinitionErrors)
    assert [(type(e), str(e)) for e in there.exceptions] == [(type(e), str(e)) for e in caught.value.exceptions]
    part = caught.value.subgroup(UnboundParameterError)
    assert type(part) is DefinitionErrors
    assert caught.value.split(CycleError)[0] is None


# --- runs ---


def test_a_failed_run_carries_the_failures() -> None:
    with pytest.raises(RunFailedError) as caught:
        build(breaks, fails, double(1)).run(runner=INLINE)
    there = there_and_back(caught.value)
    assert isinstance(there, RunFailedError)
    for error in (caught.value, there):
        assert list(error.failures) == ["breaks", "fails"]
        assert [type(each) for each in error.failures.values()] == [KeyError, ValueError]
        assert isinstance(error.__cause__, BaseExceptionGroup)
        assert str(error.__cause__) == "2 tasks failed (2 sub-exceptions)"
    with pytest.raises(TypeError):
        caught.value.failures["x"] = KeyError()  # type: ignore[index]


def test_a_single_failure_is_the_cause_itself() -> None:
    with pytest.raises(RunFailedError) as caught:
        build(breaks).run(runner=INLINE)
    assert type(caught.value.__cause__) is KeyError
    assert type(there_and_back(caught.value).__cause__) is KeyError
    assert caught.value.__cause__.__notes__ == ["in task 'breaks'"]


def test_a_cancelled_run() -> None:
    started, go = threading.Event(), threading.Event()

    def waits() -> int:
        started.set()
        assert go.wait(30)
        return 1

    handle = LocalRunner("threads", 1).start(build(Task("waits", waits), one, two, double(1)))
    assert started.wait(30)
    handle.cancel("enough")
    go.set()
    with pytest.raises(RunCancelledError) as caught:
        handle.wait(30)
    done = sum(record.state == "succeeded" for record in handle.tasks.values())
    assert steady(str(caught.value)) == (
        f"run RUN of workflow 'w' was cancelled (enough) with {done} of 4 tasks done; run it with check=False to look at "
        "the others"
    )
    there_and_back(caught.value)


@pytest.mark.parametrize(
    ("returned", "what", "cure"),
    [
        (lambda: one, "task 'one'", "return its result, or wire the two tasks together"),
        (
            lambda: one.out,
            "<the result of task 'one'>",
            "a placeholder stands for a result only while a workflow is defined",
        ),
        (lambda: one | two, "<group of 'one', 'two'>", "return a value"),
        (lambda: Workflow.builder("b"), "<builder of workflow 'b', 0 calls>", "return a value"),
    ],
    ids=["task", "placeholder", "group", "builder"],
)  # fmt: skip
def test_a_definition_in_place_of_a_result(returned: Callable[[], object], what: str, cure: str) -> None:
    run = build(Task("t", returned)).run(runner=INLINE, check=False)
    error = run.tasks["t"].error
    assert type(error) is TaskResultError
    assert str(error) == f"task 't' returned {what}, which is the definition of work and not a result; {cure}"
    there_and_back(error)


def reads(id: str) -> BaseException | None:
    with workflow("w") as wf:
        one()
        Task("reads", lambda: wf.get_result(id))
    return wf.execute(runner=INLINE, check=False).tasks["reads"].error


@pytest.mark.parametrize(
    ("id", "reason"),
    [
        (
            "one",
            "is no direct upstream of it, so it may not have run yet; draw the edge, one >> reads, or pass the result as an input",
        ),
        ("nope", "is not in its workflow"),
    ],
)
def test_reading_what_is_not_upstream(id: str, reason: str) -> None:
    error = reads(id)
    assert type(error) is ResultUnavailableError
    assert str(error) == f"task 'reads' reads the result of {id!r}, which {reason}"
    there_and_back(error)


def test_a_result_that_a_skipped_task_does_not_have() -> None:
    run = Workflow.of("w", breaks >> double, returns=double).run(runner=INLINE, check=False)
    with pytest.raises(ResultUnavailableError, match=r"^task 'double' has no result: .*'breaks'") as caught:
        run["double"]
    there_and_back(caught.value)


def test_a_process_that_dies() -> None:
    error = (
        build(Task("dies", functools.partial(os._exit, 3)))
        .run(runner=LocalRunner("processes"), check=False)
        .tasks["dies"]
        .error
    )
    assert type(error) is WorkerLostError
    assert steady(str(error)) == (
        "the process PID that ran task 'dies' died (exit code 3); look for os._exit(), a crash in compiled code, or the "
        "system running out of memory"
    )
    there_and_back(error)


def test_an_exception_of_another_process() -> None:
    error = RemoteError("lib.Odd", "it broke")
    assert str(error) == "lib.Odd: it broke"
    there = there_and_back(error)
    assert isinstance(there, RemoteError)
    assert (there.type_name, there.message, there.bases) == ("lib.Odd", "it broke", ())


def test_the_classes_of_an_exception_of_another_process() -> None:
    names = class_names(ConnectionResetError)
    assert names == ("ConnectionResetError", "ConnectionError", "OSError", "Exception", "BaseException")
    assert class_names(RunTimeoutError)[0] == "graflow.errors.RunTimeoutError"
    there = there_and_back(RemoteError(names[0], "it broke", names))
    assert isinstance(there, RemoteError)
    assert there.bases == names


def test_a_workflow_that_changed() -> None:
    there = there_and_back(WorkflowChangedError("tasks changed", ("b", "a")))
    assert isinstance(there, WorkflowChangedError)
    assert there.changed == ("b", "a")
    assert WorkflowChangedError("tasks changed").changed == ()


def test_cancelling_says_why() -> None:
    there = there_and_back(CancelRun("no stock left"))
    assert isinstance(there, CancelRun)
    assert there.reason == "no stock left"
    assert str(CancelRun()) == CancelRun().reason == "a task asked for it"


def test_wrong_configuration_says_where() -> None:
    there = there_and_back(InvalidConfigError("a.yaml:3: tasks: none", file="a.yaml", line=3, path="tasks"))
    assert isinstance(there, InvalidConfigError)
    assert (there.file, there.line, there.path) == ("a.yaml", 3, "tasks")


def test_a_signal_with_another_attempt_waits_again() -> None:
    late = signal("late", int, timeout=0.02).with_policy(retry=Retry(2, Exponential(initial=0.01)))
    handle = LocalRunner().start(build(late), check=False)
    try:
        record = handle.wait(30).tasks["late"]
    finally:
        handle.cancel()
    assert (record.state, record.attempts, type(record.error)) == ("failed", 2, TaskTimeoutError)


@pytest.mark.parametrize("kind", [FlagError, GroupRuleError])
def test_a_task_that_failed_without_an_attempt_has_its_error(kind: type[GraflowError]) -> None:
    before = echo("no") if kind is FlagError else two
    last = one.when(echo.out) if kind is FlagError else (one | two).require(Undecided()) >> both
    run = (build(before, last) if kind is FlagError else build(one, before, last)).run(runner=INLINE, check=False)
    record = run.tasks[last.id]
    assert (record.state, record.attempts, type(record.error)) == ("failed", 0, kind)


@pytest.mark.parametrize(
    "kind", [RunTimeoutError, TaskTimeoutError, RunConflictError, WorkflowChangedError, CacheKeyError, StoreError]
)
def test_an_error_keeps_its_words_and_notes(kind: type[GraflowError]) -> None:
    error = kind("what happened")
    error.add_note("seen at noon")
    assert str(error) == "what happened"
    assert there_and_back(error).__notes__ == ["seen at noon"]


# --- travelling ---


def test_what_cannot_travel() -> None:
    lock = threading.Lock()

    @task
    def locked() -> bool:
        return lock.locked()

    with pytest.raises(SerializationError) as caught:
        build(locked).check_portable()
    assert str(caught.value).startswith(
        "workflow 'w' cannot travel to another process: task 'locked': closure variable 'lock' "
    )
    assert "_thread.lock" in str(caught.value)
    there_and_back(caught.value)
    with pytest.raises(SerializationError, match=r"^task 'locked' cannot run in a process: ") as caught:
        build(locked).run(runner=LocalRunner("processes"))
    there_and_back(caught.value)


@pytest.mark.parametrize(
    ("make", "start"),
    [
        (lambda: echo(threading.Lock()), "an input of task 'echo' cannot travel to its process: "),
        (lambda: Task("gives", threading.Lock), "the result of task 'gives' cannot travel back from its process: "),
    ],
    ids=["input", "result"],
)
def test_what_cannot_travel_during_a_run(make: Callable[[], Task[..., Any]], start: str) -> None:
    last = make()
    error = Workflow.of("w", last, returns=last).run(runner=LocalRunner("processes"), check=False).tasks[last.id].error
    assert type(error) is SerializationError
    assert str(error).startswith(start)
    there_and_back(error)


def test_our_own_bugs_say_so() -> None:
    error = InternalError("a worker of run 1 broke: KeyError: 3")
    assert isinstance(error, GraflowError)
    assert not isinstance(error, DefinitionError | RunError | ConfigurationError)
    there_and_back(error)


# --- warnings ---


def warned(action: Callable[[], object]) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    return caught


def test_the_words_of_the_template_warning() -> None:
    made: list[Task[..., Any]] = []
    (warning,) = warned(lambda: block(lambda: made.append(Task("unused", lambda x: x))))
    assert warning.category is TemplateWarning
    assert str(warning.message) == (
        f"task 'unused' ({site(made[0])}) in block 'w' has parameters without inputs, and nothing was made from it, so it "
        "will not run; call it, wire it, or remove it"
    )


def test_the_words_of_the_late_binding_warning() -> None:
    limit = 1

    @task
    def limited() -> int:
        return limit

    limit = 2
    (warning,) = warned(lambda: build(limited))
    assert warning.category is LateBindingWarning
    assert str(warning.message).startswith(
        "task 'limited' reads the variable 'limit': when it was defined it was 1, when it runs it would see 2 "
    )
    assert "limited(limit)" in str(warning.message)


def test_the_words_of_the_portability_warning() -> None:
    ballast = b"x" * (3 << 20)

    @task
    def heavy() -> int:
        return len(ballast)

    (warning,) = warned(build(heavy).check_portable)
    assert warning.category is PortabilityWarning
    assert "'heavy'" in str(warning.message)
    assert "closure variable 'ballast'" in str(warning.message)


def test_warnings_have_one_root() -> None:
    for kind in (LateBindingWarning, TemplateWarning, PortabilityWarning):
        assert issubclass(kind, GraflowWarning)
        assert issubclass(kind, UserWarning)
        assert pickle.loads(pickle.dumps(kind("said"))).args == ("said",)


# --- the tree ---

ALL = {name: kind for name, kind in vars(tree).items() if isinstance(kind, type) and issubclass(kind, Exception)} | {
    name: kind for name, kind in vars(tree).items() if isinstance(kind, type) and issubclass(kind, Warning)
}
BELOW = {
    DefinitionError: [
        DefinitionErrors, InvalidTaskError, InvalidTaskIdError, DuplicateTaskError, UnknownTaskError,
        UnboundParameterError, WiringError, CycleError, LateBindingError, PlaceholderError, InvalidConfigError,
    ],
    RunError: [
        RunFailedError, RunCancelledError, RunTimeoutError, RunConflictError, WorkflowChangedError,
        ResultUnavailableError, TaskResultError, TaskTimeoutError, CacheKeyError, MapError, FlagError, GroupRuleError,
        ContinuationLimitError, CancelRun, SignalError, WorkerLostError, RemoteError,
    ],
    GraflowError: [DefinitionError, RunError, SerializationError, StoreError, ConfigurationError, InternalError],
}  # fmt: skip


def test_every_error_hangs_in_the_tree() -> None:
    for root, kinds in BELOW.items():
        for kind in kinds:
            assert issubclass(kind, root)
            assert issubclass(kind, GraflowError)
    known = {GraflowError, GraflowWarning, LateBindingWarning, TemplateWarning, PortabilityWarning}
    known |= {kind for kinds in BELOW.values() for kind in kinds}
    assert known == {kind for kind in ALL.values() if kind.__module__ == tree.__name__}


def test_every_error_is_public_and_documented() -> None:
    for name, kind in ALL.items():
        assert getattr(graflow, name) is kind
        assert kind.__doc__
        assert name in (tree.__doc__ or "")


def test_every_kind_of_error_has_its_words_above() -> None:
    met = {case.kind for case in CASES.values()}
    elsewhere = {
        DefinitionErrors, TaskResultError, WorkerLostError, RemoteError, SerializationError, InternalError,
    }  # fmt: skip
    roots = {GraflowError, DefinitionError, RunError}
    errors = {kind for kind in ALL.values() if not issubclass(kind, Warning)}
    assert errors - roots == met | elsewhere


def test_a_group_is_caught_as_a_definition_error() -> None:
    try:
        build(double, minus)
    except DefinitionError as error:
        caught: BaseException = error
    assert isinstance(caught, ExceptionGroup)
    assert isinstance(caught, GraflowError)


def test_thousands_of_errors_are_all_there() -> None:
    with pytest.raises(DefinitionErrors) as caught:
        build(one, *(double.named(f"d{k}") for k in range(3_000)))
    assert len(caught.value.exceptions) == 3_000
