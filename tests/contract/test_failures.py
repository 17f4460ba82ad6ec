"""Every runner: a task that fails takes along what needs it and nothing else, and its exception arrives whole."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.contract.diary import Diary

from graflow import (
    Failed,
    LocalRunner,
    Ok,
    RunFailedError,
    RunState,
    Skipped,
    Task,
    TaskResultError,
    TaskState,
    Workflow,
    inputs,
    task,
    workflow,
)

pytestmark = pytest.mark.timeout(60)


class Refused(Exception):
    """An exception with attributes of its own."""

    def __init__(self, code: int, *, hint: str = "") -> None:
        super().__init__(f"refused with {code}")
        self.code = code
        self.hint = hint


@dataclass(frozen=True)
class Frozen(Exception):
    """An exception that lets nobody add a note."""

    code: int


class Unspeakable(Exception):
    """An exception that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def fail(error: BaseException | None = None) -> Any:
    raise error if error is not None else ValueError("no luck")


def failing(make: Callable[[], BaseException]) -> Callable[[], Any]:
    def body() -> Any:
        raise make()

    return body


def ended(run: Any) -> dict[str, str]:
    return {id: str(record.state) for id, record in run.tasks.items()}


def run_to_end(built: Workflow[Any, Any], runner: LocalRunner, **options: Any) -> Any:
    """Run in the background, where a KeyboardInterrupt of a body is that body's failure."""
    return runner.start(built, **options).wait(20)


# ── what a failure does to the others ───────────────────────────────────────────────────────────────────────────────


def test_downstreams_are_skipped_and_others_go_on(every_runner: LocalRunner, diary: Diary) -> None:
    def write(line: str, *_: Any) -> str:
        diary.note(line)
        return line

    written = Task("written", write)
    bad, good = Task("bad", fail), written("good").named("good")
    reads = written("reads", bad.out).named("reads")
    ordered = written("ordered").named("ordered").after(bad)
    far = written("far", reads.out).named("far").after(ordered)
    mixed = written("mixed", good.out).named("mixed").after(far)
    after_good = written("after_good", good.out).named("after_good")
    tasks = [bad, good, reads, ordered, far, mixed, after_good]
    run = Workflow.builder("w").add_all(tasks).build().run(runner=every_runner, check=False)
    assert run.state is RunState.FAILED
    assert ended(run) == {
        "bad": "failed",
        "good": "succeeded",
        "reads": "skipped",
        "ordered": "skipped",
        "far": "skipped",
        "mixed": "skipped",
        "after_good": "succeeded",
    }
    assert sorted(diary.lines) == ["after_good", "good"]
    for skipped in (reads, ordered, far, mixed):
        record = run.tasks[skipped.id]
        assert (record.reason, record.attempts, record.error) == ("task 'bad' failed", 0, None)
        assert run.outcome(skipped) == Skipped("task 'bad' failed")


def test_a_failure_skips_through_a_group(runner: LocalRunner) -> None:
    a, bad = Task("a", lambda: 1), Task("bad", fail)
    rights = (a | bad) >> (Task("c", lambda: 1) | Task("d", lambda: 1))
    run = Workflow.of("w", a, bad, *rights.members, returns=a).run(runner=runner, check=False)
    assert ended(run) == {"a": "succeeded", "bad": "failed", "c": "skipped", "d": "skipped"}
    assert run.value == 1


def test_a_failure_in_a_nested_workflow_names_the_inner_task(runner: LocalRunner) -> None:
    inner = Workflow.builder("inner").add(Task("bad", fail)).then(Task("use", lambda x: x)).build()
    outer = Workflow.builder("outer").add(inner.as_task("part")).then(Task("last", lambda x: x)).build()
    run = outer.run(runner=runner, check=False)
    assert ended(run) == {"part/bad": "failed", "part/use": "skipped", "part": "skipped", "last": "skipped"}


# ── what the caller gets ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_cause_is_the_exception_itself(every_runner: LocalRunner) -> None:
    built = Workflow.builder("w").add(Task("bad", fail)).then(Task("next", lambda x: x)).build()
    with pytest.raises(RunFailedError) as caught:
        built.run(runner=every_runner)
    error = caught.value
    assert type(error.__cause__) is ValueError
    assert error.__cause__.args == ("no luck",)
    assert dict(error.failures) == {"bad": error.__cause__}
    message, _, rest = str(error).partition(" (run ")
    assert message == ("task 'bad' of workflow 'w' failed: ValueError: no luck; 1 task that needs it did not run")
    assert rest.endswith(")")


def test_several_failures_are_a_group(runner: LocalRunner) -> None:
    bad = Task("bad", fail)
    tasks: list[Any] = [bad(Refused(k)).named(f"bad_{k}") for k in range(3)] + [Task("good", lambda: 1)]
    with pytest.raises(RunFailedError) as caught:
        Workflow.builder("w").add_all(tasks).build().run(runner=runner)
    error = caught.value
    assert isinstance(error.__cause__, BaseExceptionGroup)
    assert [one.code for one in error.__cause__.exceptions if isinstance(one, Refused)] == [0, 1, 2]
    assert list(error.failures) == ["bad_0", "bad_1", "bad_2"]
    assert str(error).startswith("tasks 'bad_0', 'bad_1', 'bad_2' of workflow 'w' failed (run ")


def test_exceptions_keep_type_arguments_attributes_notes_and_causes(runner: LocalRunner) -> None:
    def body() -> None:
        try:
            try:
                raise KeyError("context")
            except KeyError:
                raise LookupError("cause")  # noqa: B904  # leaves a context and no cause
        except LookupError as cause:
            error = Refused(7, hint="try again")
            error.add_note("from the body")
            raise error from cause

    run = Workflow.builder("w").add(Task("bad", body)).build().run(runner=runner, check=False)
    error = run.tasks["bad"].error
    assert type(error) is Refused
    assert (error.args, error.code, error.hint) == (("refused with 7",), 7, "try again")
    assert error.__notes__[:2] == ["from the body", "in task 'bad'"]
    assert type(error.__cause__) is LookupError
    assert type(error.__cause__.__context__) is KeyError
    assert run.outcome(run_task := Task("bad", body)) == Failed(error)
    with pytest.raises(RunFailedError) as caught:
        run.raise_for_failure()
    assert caught.value.__cause__ is error
    assert run_task.id == "bad"


def test_an_exception_group_stays_one(runner: LocalRunner) -> None:
    def body() -> None:
        raise ExceptionGroup("both", [Refused(1), ExceptionGroup("inner", [OSError(2, "gone")])])

    run = Workflow.builder("w").add(Task("bad", body)).build().run(runner=runner, check=False)
    error = run.tasks["bad"].error
    assert isinstance(error, ExceptionGroup)
    first, second = error.exceptions
    assert isinstance(first, Refused)
    assert isinstance(second, ExceptionGroup)
    assert (first.code, second.exceptions[0].args) == (1, (2, "gone"))


@pytest.mark.parametrize("check", [True, False])
def test_check_decides_whether_it_is_raised(runner: LocalRunner, check: bool) -> None:
    built = Workflow.builder("w").add(Task("bad", fail)).build()
    with pytest.raises(RunFailedError) if check else contextlib.nullcontext():
        run = built.run(runner=runner, check=check)
        assert run.state is RunState.FAILED
        with pytest.raises(RunFailedError):
            run.raise_for_failure()


def test_a_block_keeps_the_run_that_failed(runner: LocalRunner) -> None:
    with workflow("w") as wf:

        @task
        def good() -> int:
            return 1

        @task
        def bad() -> None:
            fail()

        wf.add(good)
        wf.add(bad)
    with pytest.raises(RunFailedError):
        wf.execute(runner=runner)
    assert wf.last_run.state is RunState.FAILED
    assert wf.get_result("good") == 1


# ── exceptions that are not like others ─────────────────────────────────────────────────────────────────────────────

STRANGE: dict[str, Callable[[], BaseException]] = {
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "CancelledError": asyncio.CancelledError,
    "StopIteration": lambda: StopIteration(5),
    "StopAsyncIteration": StopAsyncIteration,
    "TimeoutError": TimeoutError,
    "Frozen": lambda: Frozen(3),
    "Unspeakable": Unspeakable,
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_strange_exception_fails_its_task_and_no_other(near_runner: LocalRunner, kind: str) -> None:
    check_strange(near_runner, [kind])


@pytest.mark.parametrize("workers", [1, 4])
def test_strange_exceptions_fail_their_tasks_and_no_other_in_processes(workers: int) -> None:
    check_strange(LocalRunner("processes", workers), [kind for kind in STRANGE if kind != "Frozen"])


def test_a_frozen_exception_comes_back_from_a_process() -> None:
    check_strange(LocalRunner("processes", 1), ["Frozen"])


def check_strange(runner: LocalRunner, kinds: list[str]) -> None:
    builder = Workflow.builder("w").add(Task("good", lambda: 1)).add(Task("later", lambda x: x + 1), 1)
    for kind in kinds:
        builder = builder.add(Task(kind, failing(STRANGE[kind]))).then(Task(f"needs_{kind}", lambda x: x))
    handle = runner.start(builder.build(), check=False)
    run = handle.wait(20)
    assert run["good"] == 1
    assert run["later"] == 2
    for kind in kinds:
        record = run.tasks[kind]
        assert (record.state, type(record.error)) == (TaskState.FAILED, type(STRANGE[kind]()))
        assert run.tasks[f"needs_{kind}"].state is TaskState.SKIPPED
    with pytest.raises(RunFailedError) as caught:
        run.raise_for_failure()
    assert list(caught.value.failures) == sorted(kinds)


@pytest.mark.parametrize("kind", [kind for kind in STRANGE if kind not in ("StopIteration", "StopAsyncIteration")])
def test_a_strange_exception_in_an_async_task(kind: str) -> None:
    make = STRANGE[kind]

    async def bad() -> None:
        await asyncio.sleep(0)
        raise make()

    async def good() -> int:
        for _ in range(10):
            await asyncio.sleep(0)
        return 1

    built = Workflow.builder("w").add(Task("bad", bad)).add(Task("good", good)).build()
    run = run_to_end(built, LocalRunner(), check=False)
    assert ended(run) == {"bad": "failed", "good": "succeeded"}
    assert type(run.tasks["bad"].error) is type(make())


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt"])
def test_an_exit_inside_of_what_an_async_task_awaits(kind: str) -> None:
    """asyncio lets these two through to whoever runs the event loop; other tasks on that loop must not suffer."""
    make = STRANGE[kind]

    async def inner() -> None:
        raise make()

    async def bad() -> None:
        await asyncio.wait_for(asyncio.create_task(inner()), 20)

    async def good() -> int:
        for _ in range(10):
            await asyncio.sleep(0)
        return 1

    built = Workflow.builder("w").add(Task("bad", bad)).add(Task("good", good)).build()
    run = run_to_end(built, LocalRunner(), check=False)
    assert ended(run) == {"bad": "failed", "good": "succeeded"}
    assert type(run.tasks["bad"].error) is type(make())


def test_one_exception_object_raised_by_two_tasks(near_runner: LocalRunner) -> None:
    shared = Refused(1)
    bad = Task("bad", fail)
    built = Workflow.builder("w").add_all([bad(shared).named("a"), bad(shared).named("b")]).build()
    with pytest.raises(RunFailedError) as caught:
        built.run(runner=near_runner)
    assert list(caught.value.failures.values()) == [shared, shared]


# ── failures before and after the body ──────────────────────────────────────────────────────────────────────────────


def test_an_input_that_cannot_be_resolved_fails_the_task_that_reads_it(runner: LocalRunner) -> None:
    source: Any = Task("source", lambda: {"a": 1})
    built = (
        Workflow.builder("w")
        .add(source)
        .add(Task("key", lambda x: x), source.out["b"])
        .add(Task("attribute", lambda x: x), source.out.nowhere)
        .add(Task("good", lambda x: x), source.out["a"])
        .build()
    )
    run = built.run(runner=runner, check=False)
    assert ended(run) == {"source": "succeeded", "key": "failed", "attribute": "failed", "good": "succeeded"}
    for id, kind in (("key", KeyError), ("attribute", AttributeError)):
        error = run.tasks[id].error
        assert type(error) is kind
        assert f"in task {id!r}" in error.__notes__


def test_an_async_task_whose_input_cannot_be_resolved(runner: LocalRunner) -> None:
    async def body(x: Any) -> Any:
        return x

    source: Any = Task("source", lambda: {"a": 1})
    built = Workflow.builder("w").add(source).add(Task("bad", body), source.out["b"]).build()
    run = built.run(runner=runner, check=False)
    assert type(run.tasks["bad"].error) is KeyError


def definitions() -> dict[str, Any]:
    other = Task("other", lambda: 1)
    return {
        "task": other,
        "placeholder": other.out,
        "inputs": inputs_of_a_model(),
        "group": other | other.named("another"),
        "builder": Workflow.builder("inner"),
        "block": workflow("inner"),
    }


def inputs_of_a_model() -> Any:
    from pydantic import BaseModel

    class Model(BaseModel, frozen=True):
        x: int

    return inputs(Model)


@pytest.mark.parametrize("kind", definitions())
def test_the_definition_of_work_is_no_result(near_runner: LocalRunner, kind: str) -> None:
    value = definitions()[kind]

    async def waits() -> Any:
        return value

    async def made() -> Any:
        return value

    tasks = [Task("plain", lambda: value), Task("waits", waits), Task("gives", lambda: made())]
    run = Workflow.builder("w").add_all(tasks).build().run(runner=near_runner, check=False)
    for id in ("plain", "waits", "gives"):
        error = run.tasks[id].error
        assert type(error) is TaskResultError
        assert str(error).startswith(f"task {id!r} returned ")
        assert "which is the definition of work and not a result; " in str(error)


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_a_task_that_returns_a_task(executor: Any) -> None:
    def plain() -> Any:
        return Task("other", lambda: 1)

    async def waits() -> Any:
        return Task("other", lambda: 1)

    tasks = [Task("plain", plain), Task("waits", waits, executor=executor), Task("gives", lambda: waits())]
    run = Workflow.builder("w").add_all(tasks).build().run(runner=LocalRunner(executor), check=False)
    for id in ("plain", "waits", "gives"):
        assert str(run.tasks[id].error) == (
            f"task {id!r} returned task 'other', which is the definition of work and not a result; "
            f"return its result, or wire the two tasks together"
        )


def test_outcomes_are_values(runner: LocalRunner) -> None:
    good, bad = Task("good", lambda: 5), Task("bad", fail)
    needs = Task("needs", lambda x: x)(bad.out)
    run = Workflow.builder("w").add_all([good, bad, needs]).build().run(runner=runner, check=False)
    assert run.outcome(good) == Ok(5)
    assert run.outcome(needs) == Skipped("task 'bad' failed")
    match run.outcome(bad):
        case Failed(ValueError(args=("no luck",))):
            pass
        case other:
            pytest.fail(f"not a failure: {other}")
