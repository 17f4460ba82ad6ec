"""Runs that a store keeps: read back, resumed, found again under their name, and what happens when keeping fails."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.contract.diary import Diary

from graflow import (
    ConfigurationError,
    Failed,
    LocalRunner,
    Ok,
    Outcome,
    Retry,
    RunConflictError,
    RunFailedError,
    RunState,
    SerializationError,
    StoreError,
    Task,
    TaskState,
    Workflow,
    WorkflowChangedError,
    current,
    task,
)
from graflow.stores import AttemptRow, Claim, LogRow, MemoryStore, SQLiteStore, Store, Successes


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "runs.db")
    yield made
    made.close()


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(str(tmp_path / "diary"))


class Body:
    """A body that writes down that it ran, and fails as often as it is told to."""

    def __init__(self, diary: Diary, name: str, *, fails: int = 0, adds: int = 1) -> None:
        self.diary = diary
        self.name = name
        self.fails = fails
        self.adds = adds

    def __call__(self, *before: int) -> int:
        self.diary.note(self.name)
        if self.diary.lines.count(self.name) <= self.fails:
            raise ValueError(f"{self.name} cannot")
        return sum(before) + self.adds


def chain(diary: Diary, **more: Any) -> Workflow[None, Any]:
    """a >> b >> c, where b fails the first time."""
    bodies = {"a": {}, "b": {"fails": 1}, "c": {}} | more
    a, b, c = (Task(name, Body(diary, name, **how)) for name, how in bodies.items())
    return Workflow.builder("chain").add(a).add(b, a.out).add(c, b.out).build(returns=c)


def sources(run: Any) -> dict[str, str]:
    return {record.id: record.source for record in run.tasks.values()}


def test_a_failed_run_is_resumed_where_it_failed(store: Store, diary: Diary) -> None:
    runner, workflow = LocalRunner(store=store), chain(diary)
    first = runner.run(workflow, check=False)
    assert first.state is RunState.FAILED
    again = runner.resume(first.id, workflow)
    assert (again.state, again.value, again.id) == (RunState.SUCCEEDED, 3, first.id)
    assert diary.lines == ["a", "b", "b", "c"]
    assert sources(again) == {"a": "resumed", "b": "run", "c": "run"}
    assert [attempt.state for attempt in again.tasks["b"].history] == [TaskState.FAILED, TaskState.SUCCEEDED]
    assert [attempt.number for attempt in again.tasks["b"].history] == [1, 2]
    (row,) = store.runs()
    assert (row.state, row.succeeded, row.failed, row.tasks) == ("succeeded", 3, 0, 3)


def test_a_run_is_resumed_by_its_id_alone_and_by_the_start_of_it(store: Store) -> None:
    workflow = Workflow.builder("w").add(Task("sometimes", sometimes)).build()
    runner = LocalRunner(store=store)
    PASSES.clear()
    first = runner.run(workflow, check=False)
    PASSES.set()
    assert runner.resume(first.id[:6]).value == "passed"


PASSES = threading.Event()


def sometimes() -> str:
    if not PASSES.is_set():
        raise OSError("not now")
    return "passed"


def test_a_run_that_succeeded_is_read_back_and_not_run(store: Store, diary: Diary) -> None:
    workflow = chain(diary, b={})
    first = LocalRunner(store=store).run(workflow)
    back = LocalRunner(store=store).resume(first.id, workflow)
    assert (back.value, back["a"], back.state) == (3, 1, RunState.SUCCEEDED)
    assert diary.lines == ["a", "b", "c"]
    assert back.duration == pytest.approx(first.duration, abs=0.05)
    for id in ("a", "b", "c"):
        assert back.tasks[id].worker == first.tasks[id].worker
        assert back.tasks[id].started == pytest.approx(first.tasks[id].started, abs=1e-3)


def test_what_changed_is_named_and_the_user_chooses(store: Store, diary: Diary) -> None:
    runner = LocalRunner(store=store)
    first = runner.run(chain(diary), check=False)
    changed = chain(diary, a={"adds": 100})
    with pytest.raises(WorkflowChangedError) as raised:
        runner.resume(first.id, changed)
    assert raised.value.changed == ("a",)
    assert str(raised.value) == (
        f"the code or the inputs of 'a' changed since run {first.id!r}, in which it succeeded; resume with "
        f"changed='rerun' to run it and what depends on it again, or with changed='keep' to keep the results"
    )
    assert runner.resume(first.id, changed, changed="keep").value == 3
    assert diary.lines == ["a", "b", "b", "c"]
    assert runner.resume(first.id, changed, changed="rerun").value == 102
    assert diary.lines == ["a", "b", "b", "c", "a", "b", "c"]
    again = runner.resume(first.id, changed)
    assert (again.value, again.tasks["a"].attempts) == (102, 2)


def test_why_a_task_runs_again_is_told(store: Store, diary: Diary) -> None:
    runner = LocalRunner(store=store)
    first = runner.run(chain(diary), check=False)
    again = runner.resume(first.id, chain(diary, a={"adds": 5}), changed="rerun")
    assert again.tasks["a"].reason == "run again: its code or its inputs changed"
    story = [(row.task, row.attempt, row.state, row.note) for row in store.stored(first.id).attempts]
    assert story[:2] == [
        (0, 1, "cancelled", "run again: its code or its inputs changed"),
        (0, 2, "succeeded", "run again: its code or its inputs changed"),
    ]


def test_a_resumed_run_may_have_other_tasks(store: Store, diary: Diary) -> None:
    runner = LocalRunner(store=store)
    first = runner.run(chain(diary), check=False)
    a, z = Task("a", Body(diary, "a")), Task("0-first", Body(diary, "z", adds=7))
    other = Workflow.builder("chain").add(z).add(a).add(Task("d", Body(diary, "d")), a.out, z.out).build()
    again = runner.resume(first.id, other)
    assert again.value == 9
    assert diary.lines == ["a", "b", "z", "d"]
    assert LocalRunner(store=store).resume(first.id, other).value == 9
    stored = store.stored(first.id)
    assert stored.ids == ("a", "b", "c", "0-first", "d")


def test_the_same_name_and_inputs_are_the_same_run(store: Store, diary: Diary) -> None:
    runner = LocalRunner(store=store)
    with pytest.raises(RunFailedError, match="b cannot"):
        runner.run(chain(diary), run_id="nightly")
    with pytest.raises(RunFailedError, match="b cannot"):  # the run as it ended, not another one
        runner.run(chain(diary), run_id="nightly")
    assert diary.lines == ["a", "b"]
    assert runner.resume("nightly", chain(diary)).value == 3
    assert runner.run(chain(diary), run_id="nightly").value == 3
    assert diary.lines == ["a", "b", "b", "c"]
    assert [row.id for row in store.runs()] == ["nightly"]


def test_a_name_that_begins_another_is_a_name_of_its_own(store: Store, diary: Diary) -> None:
    runner = LocalRunner(store=store)
    for name in ("nightly-1", "nightly-2", "nightly"):
        assert runner.run(chain(diary, b={}), run_id=name).id == name


def test_a_name_is_refused_to_another_run(store: Store, diary: Diary) -> None:
    runner = LocalRunner(store=store)
    runner.run(chain(diary, b={}), run_id="n")
    other = Workflow.builder("other").add(Task("a", Body(diary, "a"))).build()
    with pytest.raises(RunConflictError, match=r"run 'n' is of workflow 'chain', not 'other'; choose another run_id"):
        runner.run(other, run_id="n")
    more = Workflow.builder("chain").add(Task("a", Body(diary, "a"))).build()
    with pytest.raises(RunConflictError, match="run 'n' is of a workflow 'chain' with other tasks"):
        runner.run(more, run_id="n")
    with pytest.raises(
        WorkflowChangedError, match="the code or the inputs of 'c' changed since run 'n' began"
    ) as raised:
        runner.run(chain(diary, b={}, c={"adds": 2}), run_id="n")
    assert raised.value.changed == ("c",)


def test_other_inputs_are_another_run(store: Store) -> None:
    from pydantic import BaseModel

    from graflow import inputs

    class Given(BaseModel, frozen=True):
        n: int

    @task
    def double(n: int) -> int:
        return 2 * n

    workflow = Workflow.builder("w", inputs=Given).add(double, inputs(Given).n).build()
    runner = LocalRunner(store=store)
    assert runner.run(workflow, Given(n=2), run_id="n").value == 4
    assert runner.run(workflow, Given(n=2), run_id="n").value == 4
    with pytest.raises(RunConflictError, match="run 'n' has other inputs; choose another run_id, or delete that run"):
        runner.run(workflow, Given(n=3), run_id="n")


def test_two_cannot_run_it_at_once(store: Store, diary: Diary) -> None:
    inside, leave = threading.Event(), threading.Event()

    def wait() -> int:
        inside.set()
        assert leave.wait(30)
        return 1

    workflow = Workflow.builder("w").add(Task("wait", wait)).build()
    runner = LocalRunner(store=store)
    handle = runner.start(workflow, run_id="n")
    assert inside.wait(30)
    for again in (
        lambda: runner.resume("n", workflow),
        lambda: runner.run(workflow, run_id="n"),
        lambda: store.delete("n"),
    ):
        with pytest.raises(RunConflictError, match="runs 'n' now"):
            again()
    leave.set()
    assert handle.wait(30).value == 1
    assert runner.resume("n", workflow).value == 1


def test_what_needs_a_store_says_so(diary: Diary) -> None:
    cure = r"needs a store, and this runner keeps nothing; give it one, such as LocalRunner\(store='.graflow/runs.db'\)"
    with pytest.raises(ConfigurationError, match=rf"run_id='n' {cure}"):
        LocalRunner().run(chain(diary), run_id="n")
    with pytest.raises(ConfigurationError, match=rf"resume\(\) {cure}"):
        LocalRunner().resume("n")
    cached = Workflow.builder("w").add(Task("a", Body(diary, "a"), cache=True)).build()
    with pytest.raises(ConfigurationError, match=rf"the cache of task 'a' {cure}"):
        cached.run()
    assert diary.lines == []


@pytest.mark.parametrize("name", ["", "a b", "-a", "../x", "a" * 201, 7])
def test_impossible_names_are_refused(store: Store, diary: Diary, name: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a run"):
        LocalRunner(store=store).run(chain(diary), run_id=name)


def test_a_run_nobody_knows(store: Store) -> None:
    with pytest.raises(StoreError, match="there is no run 'nothing'"):
        LocalRunner(store=store).resume("nothing")


def test_a_result_that_cannot_be_stored_is_no_failure_and_runs_again_when_it_is_needed(
    store: Store, diary: Diary
) -> None:
    def make() -> Any:
        diary.note("make")
        return threading.Lock()

    def use(lock: Any) -> bool:
        diary.note("use")
        if diary.lines.count("use") == 1:
            raise ValueError("once")
        with lock:
            return True

    made = Task("make", make)
    workflow = Workflow.builder("w").add(made).add(Task("use", use), made.out).build()
    runner = LocalRunner(store=store)
    first = runner.run(workflow, check=False)
    assert [first.tasks[id].state for id in ("make", "use")] == ["succeeded", "failed"]
    note = next(row.note for row in store.stored(first.id).attempts if row.task == 0)
    assert note is not None
    assert note.startswith("its result could not be stored: ")
    again = runner.resume(first.id, workflow)
    assert again.value is True
    assert diary.lines == ["make", "use", "make", "use"]
    assert again.tasks["make"].reason == "run again: its result could not be stored"


def test_inputs_that_cannot_be_stored_are_refused_before_anything_runs(store: Store, diary: Diary) -> None:
    from pydantic import BaseModel

    class Given(BaseModel, frozen=True, arbitrary_types_allowed=True):
        lock: Any

    workflow = Workflow.builder("w", inputs=Given).add(Task("a", Body(diary, "a"))).build()
    with pytest.raises(SerializationError, match="the inputs of workflow 'w' cannot be stored"):
        LocalRunner(store=store).run(workflow, Given(lock=threading.Lock()))
    assert diary.lines == []
    assert store.runs() == []


def test_a_task_that_took_an_outcome_runs_again_with_the_task_it_took_it_of(store: Store, diary: Diary) -> None:
    def read(ended: Outcome[int]) -> str:
        diary.note("read")
        return type(ended).__name__

    risky, last = Task("risky", Body(diary, "risky", fails=1)), Task("last", Body(diary, "last", fails=1))
    reads = Task("read", read)
    workflow = Workflow.builder("w").add(risky).add(reads, risky.outcome).add(last).build(returns=reads)
    runner = LocalRunner("inline", store=store)
    first = runner.run(workflow, check=False)
    assert (first.state, first.value) == (RunState.FAILED, "Failed")
    again = runner.resume(first.id, workflow)
    assert (again.state, again.value) == (RunState.SUCCEEDED, "Ok")
    assert again.tasks["read"].reason == "run again: a task whose outcome it takes runs again"


def test_a_run_that_ended_is_read_back_with_its_failures(store: Store, diary: Diary) -> None:
    workflow, runner = chain(diary), LocalRunner(store=store)
    runner.run(workflow, run_id="n", check=False)
    back = runner.run(workflow, run_id="n", check=False)
    assert back.state is RunState.FAILED
    assert back["a"] == 1
    assert isinstance(back.outcome(workflow.tasks["a"]), Ok)
    failed = back.outcome(workflow.tasks["b"])
    assert isinstance(failed, Failed)
    assert str(failed.error) == "b cannot"
    assert back.tasks["c"].reason == "task 'b' failed"
    with pytest.raises(RunFailedError, match="task 'b' of workflow 'chain' failed: ValueError: b cannot; 1 task"):
        back.raise_for_failure()


def test_retries_start_anew_when_a_run_is_resumed(store: Store, diary: Diary) -> None:
    body = Task("a", Body(diary, "a", fails=3), retry=Retry(2, backoff={"initial": 0}))
    workflow = Workflow.builder("w").add(body).build()
    runner = LocalRunner(store=store)
    first = runner.run(workflow, check=False)
    assert first.tasks["a"].attempts == 2
    again = runner.resume(first.id, workflow)
    assert again.tasks["a"].attempts == 4
    assert [attempt.number for attempt in again.tasks["a"].history] == [1, 2, 3, 4]


def test_the_journal_has_it_all(store: Store, diary: Diary) -> None:
    def tells(n: int) -> int:
        current().logger.info("first %d of attempt %d", n, current().attempt)
        if current().attempt == 1:
            raise KeyError("x")
        return n

    told = Task("tells", tells, retry=Retry(2, backoff={"initial": 0}))
    workflow = Workflow.builder("w").add(told, 5).add(Task("bad", Body(diary, "bad", fails=1))).build(returns=told)
    run = LocalRunner(store=store).run(workflow, check=False)
    stored = store.stored(run.id)
    rows = {(stored.ids[row.task], row.attempt): row for row in stored.attempts}
    assert {key: (row.state, row.error_text) for key, row in rows.items()} == {
        ("bad", 1): ("failed", "ValueError: bad cannot"),
        ("tells", 1): ("failed", "KeyError: 'x'"),
        ("tells", 2): ("succeeded", None),
    }
    assert all(row.started and row.seconds is not None and row.worker for row in rows.values())
    lines = [(stored.ids[line.task], line.attempt, line.level, line.text) for line in store.logs(run.id)]
    assert lines == [("tells", 1, "INFO", "first 5 of attempt 1"), ("tells", 2, "INFO", "first 5 of attempt 2")]


class Full(MemoryStore):
    """A store whose disk is full after so many writes."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.left = writes
        self.refused = threading.Event()

    def write(
        self,
        claim: Claim,
        attempts: Sequence[AttemptRow],
        logs: Sequence[LogRow],
        successes: Successes | None = None,
    ) -> None:
        if not self.left:
            self.refused.set()
            raise StoreError("cannot write to 'runs.db': the disk is full; make room")
        self.left -= 1
        super().write(claim, attempts, logs, successes)


@pytest.mark.parametrize("writes", [0, 1])
def test_a_full_disk_ends_the_run_with_that_and_loses_nothing(diary: Diary, writes: int) -> None:
    store = Full(writes)

    def waits(n: int) -> int:
        diary.note("waits")
        if diary.lines.count("waits") == 1:
            assert store.refused.wait(30) or writes
            if writes:  # until what came before is written
                assert store.refused.wait(30)
        return n

    first, second = Task("first", Body(diary, "first")), Task("waits", waits)
    last = Task("last", Body(diary, "last"))
    workflow = Workflow.builder("w").add(first).add(second, first.out).add(last, second.out).build()
    runner = LocalRunner(store=store)
    handle = runner.start(workflow, run_id="n", check=False)
    if writes:
        _wait_for(lambda: store.left == 0)
        # Something more has to be written: the end of `waits`, which waits for the refusal, so this cannot be it.
        handle.cancel("to have something to write")
    with pytest.raises(StoreError, match="the disk is full; make room"):
        handle.wait(30)
    row = store.find("n")
    assert row is not None
    assert (row.state, row.alive) == ("interrupted", False)
    store.left = 1000
    assert runner.resume("n", workflow).value == 2


def _wait_for(condition: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(3000):
        if condition():
            return
        waited.wait(0.01)
    raise AssertionError("it did not come")


PROGRAM = """
    import os, sys
    from graflow import LocalRunner, Task, Workflow

    def note(line):
        fd = os.open({diary!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, line.encode() + b"\\n")
        os.close(fd)

    def a():
        note("a")
        return 1

    def b(x):
        note("b")
        if sys.argv[1] == "hang":
            print("inside", flush=True)
            sys.stdin.read()
        return x + 1

    first = Task("a", a)
    workflow = Workflow.builder("w").add(first).add(Task("b", b), first.out).build()
    run = LocalRunner({executor!r}, store={store!r}).run(workflow, run_id="n")
    print(run.state, run.value, {{t.id: (str(t.state), t.attempts, t.source) for t in run.tasks.values()}})
"""


@pytest.mark.parametrize("executor", ["inline", "threads"])
def test_a_program_that_was_killed_goes_on_where_it_was(tmp_path: Path, executor: str) -> None:
    diary, path = Diary(str(tmp_path / "diary")), tmp_path / "runs.db"
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM).format(diary=diary.path, store=str(path), executor=executor))
    hanging = subprocess.Popen(
        [sys.executable, str(program), "hang"], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert hanging.stdout is not None
    assert hanging.stdin is not None
    assert hanging.stdout.readline() == "inside\n"
    store = SQLiteStore(path)
    _wait_for(lambda: [row.state for row in store.stored("n").attempts] == ["succeeded", "running"])
    row = store.find("n")
    assert row is not None
    assert (row.state, row.alive) == ("running", True)
    hanging.send_signal(signal.SIGKILL)
    hanging.wait(30)
    hanging.stdout.close()
    hanging.stdin.close()
    row = store.find("n")
    assert row is not None
    assert (row.state, row.alive, row.succeeded) == ("interrupted", False, 1)
    store.close()
    done = subprocess.run([sys.executable, str(program), "go"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "succeeded 2 {'a': ('succeeded', 1, 'resumed'), 'b': ('succeeded', 2, 'run')}\n"
    assert diary.lines == ["a", "b", "b"]


def test_a_damaged_result_is_made_again_and_never_served(tmp_path: Path, diary: Diary) -> None:
    def large() -> bytes:
        diary.note("large")
        return b"x" * 2_000_000

    def length(data: bytes) -> int:
        diary.note("length")
        if diary.lines.count("length") == 1:
            raise ValueError("once")
        return len(data)

    store = SQLiteStore(tmp_path / "runs.db")
    first = Task("large", large)
    workflow = Workflow.builder("w").add(first).add(Task("length", length), first.out).build()
    runner = LocalRunner(store=store)
    run = runner.run(workflow, check=False)
    (file,) = [path for path in (tmp_path / "runs.db.files").rglob("*") if path.is_file()]
    data = bytearray(file.read_bytes())
    data[1_000_000] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)
    again = runner.resume(run.id, workflow)
    assert again.value == 2_000_000
    assert diary.lines == ["large", "length", "large", "length"]
    reason = again.tasks["large"].reason
    assert reason is not None
    assert reason.startswith("run again: its stored result cannot be read: ")


def test_the_events_of_a_run_that_was_read_back(store: Store, diary: Diary) -> None:
    workflow, runner = chain(diary, b={}), LocalRunner(store=store)
    runner.run(workflow, run_id="n")
    events = [
        (type(event).__name__, getattr(event, "task", "")) for event in runner.start(workflow, run_id="n").events()
    ]
    started_and_ended = [(what, id) for id in "abc" for what in ("TaskStarted", "TaskSucceeded")]
    assert events == [("RunStarted", ""), *started_and_ended, ("RunFinished", "")]


def test_the_events_of_a_resumed_run(store: Store, diary: Diary) -> None:
    workflow, runner = chain(diary), LocalRunner(store=store)
    first = runner.run(workflow, check=False)
    handle = runner.prepare_resume(first.id, workflow)
    handle.drive()
    events = [(type(event).__name__, getattr(event, "task", "")) for event in handle.events()]
    assert events == [
        ("TaskSucceeded", "a"),  # in an earlier part
        ("RunStarted", ""),
        *((what, id) for id in "bc" for what in ("TaskStarted", "TaskSucceeded")),
        ("RunFinished", ""),
    ]


def test_a_handle_that_is_never_driven_gives_its_run_back(store: Store, diary: Diary) -> None:
    import gc

    handle = LocalRunner(store=store).prepare(chain(diary))
    run_id = handle.id
    del handle
    gc.collect()
    row = store.find(run_id)
    assert row is not None
    assert (row.state, row.alive) == ("interrupted", False)
