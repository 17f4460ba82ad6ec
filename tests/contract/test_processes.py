"""Tasks in processes: what travels, what cannot, and what happens when a process dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graflow import (
    LocalRunner,
    RemoteError,
    RunFailedError,
    RunState,
    SerializationError,
    Task,
    TaskState,
    WorkerLostError,
    Workflow,
    task,
)
from graflow.engine.events import TaskFailed

pytestmark = pytest.mark.timeout(60)

PROCESSES = LocalRunner("processes", 2)
ONE_PROCESS = LocalRunner("processes", 1)


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie whose end nobody looked at counts as there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


# ── what travels ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_large_values_go_both_ways() -> None:
    """Far more than a pipe holds, so that a side that writes without being read from would block."""
    blob = os.urandom(1 << 20) * 8
    flip = Task("flip", lambda data: data[::-1])
    built = Workflow.builder("w").add(flip, blob).add(flip.named("back"), flip.out).build()
    assert built.run(runner=PROCESSES).value == blob


def test_a_process_serves_many_tasks_and_functions() -> None:
    tasks = [Task(f"t{k}", lambda k=k: (k, os.getpid())) for k in range(20)]
    run = Workflow.builder("w").add_all(tasks).build().run(runner=ONE_PROCESS)
    assert [run[one][0] for one in tasks] == list(range(20))
    assert len({run[one][1] for one in tasks}) == 1
    assert os.getpid() not in {run[one][1] for one in tasks}


def test_a_task_cannot_change_what_others_see() -> None:
    rows = [1, 2]

    def spoil(given: list[int]) -> int:
        given.append(3)
        return len(given)

    source = Task("source", lambda: rows)
    tasks = [Task("spoil", spoil)(source.out).named(f"spoil_{k}") for k in range(3)]
    run = Workflow.builder("w").add(source).add_all(tasks).build().run(runner=ONE_PROCESS)
    assert [run[one] for one in tasks] == [3, 3, 3]
    assert run[source] == [1, 2]


def test_the_search_path_and_the_directory_are_those_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here_for_this_test.py").write_text("VALUE = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONLY_HERE", "yes")

    def body() -> Any:
        import only_here_for_this_test

        return only_here_for_this_test.VALUE, os.getcwd(), os.environ["ONLY_HERE"]

    run = Workflow.builder("w").add(Task("body", body)).build().run(runner=ONE_PROCESS)
    assert run.value == (42, str(tmp_path), "yes")


def test_bodies_read_nothing_from_the_callers_input_and_may_print(capfd: pytest.CaptureFixture[str]) -> None:
    def body() -> str:
        print("hello from the body")
        return sys.stdin.read()

    assert Workflow.builder("w").add(Task("body", body)).build().run(runner=ONE_PROCESS).value == ""
    assert "hello from the body" in capfd.readouterr().out


# ── what cannot travel ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_function_that_cannot_travel_is_named_before_anything_runs() -> None:
    lock, ran = threading.Lock(), []

    def query() -> None:
        with lock:
            ran.append(1)

    built = Workflow.builder("w").add(Task("first", lambda: 1, executor="threads")).add(Task("query", query)).build()
    before = threading.active_count()
    with pytest.raises(SerializationError, match="task 'query' cannot run in a process: ") as caught:
        built.run(runner=PROCESSES)
    assert "lock" in str(caught.value)
    assert not ran
    assert threading.active_count() == before


def test_an_input_that_cannot_travel_fails_its_task_only() -> None:
    source = Task("source", threading.Lock, executor="threads")
    built = (
        Workflow.builder("w")
        .add(source)
        .add(Task("takes", lambda given: given), source.out)
        .add(Task("reads", lambda given: given), 5)
        .build()
    )
    run = built.run(runner=PROCESSES, check=False)
    error = run.tasks["takes"].error
    assert type(error) is SerializationError
    assert str(error).startswith("an input of task 'takes' cannot travel to its process: ")
    assert run["reads"] == 5


def test_a_result_that_cannot_travel_fails_its_task_and_spares_its_process() -> None:
    def body(good: bool) -> Any:
        return os.getpid() if good else threading.Lock()

    one = Task("body", body)
    tasks = [one(True).named("a"), one(False).named("b"), one(True).named("c")]
    run = Workflow.builder("w").add_all(tasks).build().run(runner=ONE_PROCESS, check=False)
    error = run.tasks["b"].error
    assert type(error) is SerializationError
    assert str(error).startswith("the result of task 'b' cannot travel back from its process: ")
    assert run["a"] == run["c"]


class Rude(Exception):
    """An exception that cannot be pickled."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.lock = threading.Lock()


def test_an_exception_that_cannot_travel_comes_back_by_name() -> None:
    def body() -> None:
        raise Rude("very")

    run = Workflow.builder("w").add(Task("body", body)).build().run(runner=ONE_PROCESS, check=False)
    error = run.tasks["body"].error
    assert type(error) is RemoteError
    assert (error.type_name.rpartition(".")[2], error.message) == ("Rude", "very")
    notes = "\n".join(error.__notes__)
    assert "in task 'body'" in notes
    assert 'raise Rude("very")' in notes


class Bomb:
    """Can be pickled, but not back."""

    def __reduce__(self) -> Any:
        return exploding, ()


def exploding() -> None:
    raise RuntimeError("boom")


def test_a_value_that_cannot_be_rebuilt_fails_its_task_only() -> None:
    source = Task("source", Bomb, executor="threads")
    built = (
        Workflow.builder("w")
        .add(source)
        .add(Task("takes", lambda given: 1), source.out)
        .add(Task("gives", Bomb))
        .add(Task("good", lambda: 5))
        .build()
    )
    run = built.run(runner=ONE_PROCESS, check=False)
    for id in ("takes", "gives"):
        assert type(run.tasks[id].error) is SerializationError
        assert "RuntimeError: boom" in str(run.tasks[id].error)
    assert run["good"] == 5


# ── processes that die ──────────────────────────────────────────────────────────────────────────────────────────────


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


DEATHS: dict[str, tuple[Callable[[], Any], str]] = {
    "exit": (lambda: os._exit(7), "exit code 7"),
    "exit 0": (lambda: os._exit(0), "exit code 0"),
    "killed": (kill_myself, "killed by SIGKILL"),
}


@pytest.mark.parametrize("workers", [1, 4])
def test_a_process_that_dies_takes_along_its_own_task_only(workers: int) -> None:
    builder = Workflow.builder("w")
    for k, (id, (death, _)) in enumerate(DEATHS.items()):
        id = id.replace(" ", "-")
        builder = builder.add(Task(f"before_{k}", lambda: "alive")).add(Task(id, death))
        builder = builder.then(Task(f"needs_{k}", lambda x: x)).add(Task(f"beside_{k}", lambda: "alive"))
    run = builder.build().run(runner=LocalRunner("processes", workers), check=False)
    assert run.state is RunState.FAILED
    for k, (id, (_, how)) in enumerate(DEATHS.items()):
        id = id.replace(" ", "-")
        record = run.tasks[id]
        assert (record.state, type(record.error)) == (TaskState.FAILED, WorkerLostError)
        pid = (record.worker or "").removeprefix("process-")
        assert str(record.error) == (
            f"the process {pid} that ran task {id!r} died ({how}); look for os._exit(), a crash in compiled code, or "
            f"the system running out of memory"
        )
        assert run.tasks[f"needs_{k}"].state is TaskState.SKIPPED
        assert run[f"before_{k}"] == run[f"beside_{k}"] == "alive"


def test_a_neighbour_under_way_is_untouched(tmp_path: Path) -> None:
    """The neighbour begins before the death and ends after it, in the same process all the while."""
    running, dead = tmp_path / "running", tmp_path / "dead"
    for pipe in (running, dead):
        os.mkfifo(pipe)  # opening one end waits for the other

    @task
    def neighbour() -> tuple[int, int]:
        before = os.getpid()
        running.write_text("yes")
        dead.read_text()
        return before, os.getpid()

    @task
    def dies() -> None:
        running.read_text()
        os._exit(1)

    handle = PROCESSES.start(Workflow.builder("w").add(neighbour).add(dies).build(), check=False)
    assert any(isinstance(event, TaskFailed) and event.task == "dies" for event in handle.events())
    assert handle.tasks["neighbour"].state is TaskState.RUNNING
    dead.write_text("yes")
    run = handle.wait(50)
    before, after = run[neighbour]
    assert before == after
    assert type(run.tasks["dies"].error) is WorkerLostError


@pytest.mark.parametrize("leaves_a_fork", [False, True])
def test_a_process_that_dies_between_two_tasks_takes_along_none(leaves_a_fork: bool) -> None:
    """Also if a process that a body forked still holds the pipe that the next task is to go through."""

    def first() -> tuple[int, int]:
        if leaves_a_fork and (fork := os.fork()) == 0:
            signal.pause()
        return os.getpid(), fork if leaves_a_fork else 0

    forks: list[int] = []

    @task(executor="threads")
    def kills(pids: tuple[int, int]) -> None:
        forks.append(pids[1])
        os.kill(pids[0], signal.SIGKILL)
        os.waitid(os.P_PID, pids[0], os.WEXITED | os.WNOWAIT)

    source, second = Task("first", first), Task("second", lambda data: len(data))
    large = b"x" * (1 << 20)  # more than the pipe holds
    built = Workflow.builder("w").add(source).add(kills, source.out).add(second(large).after(kills)).build()
    handle = ONE_PROCESS.start(built, check=False)
    try:
        run = handle.wait(10)
    finally:
        if leaves_a_fork:
            os.kill(forks[0], signal.SIGKILL)
            handle.wait(30)
    assert run["second"] == len(large)


def test_a_program_left_behind_does_not_hide_the_death(tmp_path: Path) -> None:
    """A background program must not inherit the pipe: while it held it open, the end would go unnoticed."""

    @task
    def leaves_a_program() -> None:
        os.system("sleep 600 & echo $! > " + str(tmp_path / "pid"))
        os._exit(3)

    check_death_is_noticed(leaves_a_program, tmp_path)


def test_a_forked_process_left_behind_does_not_hide_the_death(tmp_path: Path) -> None:
    """As a pool of `multiprocessing` does whose owner runs out of memory."""

    @task
    def leaves_a_fork() -> None:
        pid = os.fork()
        if pid == 0:
            signal.pause()
        (tmp_path / "pid").write_text(str(pid))
        os.kill(os.getpid(), signal.SIGKILL)

    check_death_is_noticed(leaves_a_fork, tmp_path)


def check_death_is_noticed(body: Task[[], None], tmp_path: Path) -> None:
    handle = ONE_PROCESS.start(Workflow.builder("w").add(body).build(), check=False)
    try:
        error = handle.wait(10).tasks[body.id].error
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        handle.wait(30)
    assert type(error) is WorkerLostError


def test_a_thread_left_behind_does_not_keep_the_process(tmp_path: Path) -> None:
    def body() -> int:
        threading.Thread(target=threading.Event().wait, daemon=False).start()
        return os.getpid()

    pid = Workflow.builder("w").add(Task("body", body)).build().run(runner=ONE_PROCESS).value
    try:
        assert gone(pid)
    finally:
        if not gone(pid):
            os.kill(pid, signal.SIGKILL)


def test_a_process_that_cannot_be_started_fails_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise OSError(11, "no more processes")

    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", refuse)
        handle = ONE_PROCESS.start(
            Workflow.builder("w")
            .add(Task("remote", lambda: 1))
            .add(Task("near", lambda: 2, executor="threads"))
            .build()
        )
        with pytest.raises(RunFailedError) as caught:
            handle.wait(20)
    assert isinstance(caught.value.failures["remote"], OSError | WorkerLostError)
    assert handle.tasks["near"].state is TaskState.SUCCEEDED
    if descriptors:
        assert len(os.listdir("/proc/self/fd")) == descriptors
