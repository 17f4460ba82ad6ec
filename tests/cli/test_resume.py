"""`graflow resume`: what is kept, what runs, and what is refused."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from graflow import LocalRunner, Task, Workflow

from .conftest import Call, Script

GRAFLOW = [sys.executable, "-m", "graflow"]
PATIENCE = 60.0

#: `first` leaves a mark each time it runs, `second` waits for a file or fails without one.
FLOW = """
    import os, time

    @task
    def first() -> int:
        with open("marks", "a") as marks:
            marks.write("first ")
        return 1

    @task
    def second(number: int) -> int:
        with open("marks", "a") as marks:
            marks.write("second ")
        while os.environ.get("WAIT") and not os.path.exists("go"):
            time.sleep(0.01)
        if not os.path.exists("go"):
            raise OSError("not yet")
        return number + 1

    flow = Workflow.builder("flow").add(first).add(second, first.out).build(returns=second)
"""


def marks() -> list[str]:
    path = Path("marks")
    return path.read_text().split() if path.exists() else []


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def failed(script: Script, call: Call) -> str:
    """A run that failed, by its id."""
    done = call("run", script(FLOW), "--run-id", "monday", "-q")
    assert done.code == 1
    return "monday"


def test_what_succeeded_is_kept(failed: str, call: Call) -> None:
    Path("go").touch()
    done = call("resume", failed)
    assert (done.code, done.out) == (0, "2\n")
    assert marks() == ["first", "second", "second"]
    lines = done.err.splitlines()
    assert lines[0] == "flow: kept 1 of 2 tasks, which had succeeded"
    assert re.fullmatch(r"\[2/2\] second succeeded in .*", lines[1])
    assert re.fullmatch(r"flow succeeded in .*: 2 succeeded \(1 kept\) \(run monday\)", lines[-1])


def test_a_run_that_fails_again_can_be_resumed_again(failed: str, call: Call) -> None:
    done = call("resume", failed)
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("go on with it: graflow resume monday\n")
    assert marks() == ["first", "second", "second"]


def test_a_run_that_succeeded_only_tells_it_again(failed: str, call: Call) -> None:
    Path("go").touch()
    call("resume", failed)
    done = call("resume", failed)
    assert (done.code, done.out) == (0, "2\n")
    assert done.err.splitlines()[-1].endswith(": 2 succeeded (run monday, which had ended before)")
    assert marks() == ["first", "second", "second"]


def test_so_does_a_run_of_the_same_name(failed: str, call: Call) -> None:
    done = call("run", "flow.py", "--run-id", failed)
    assert (done.code, done.out) == (1, "")
    assert "task 'second' failed in thread-1: OSError: not yet" in done.err
    assert done.err.splitlines()[-2].endswith(": 1 succeeded, 1 failed (run monday, which had ended before)")
    assert marks() == ["first", "second"]


@pytest.mark.parametrize("executor", ["threads", "inline"])
def test_a_killed_run_goes_on(script: Script, call: Call, executor: str) -> None:
    path = script(FLOW)
    process = subprocess.Popen(
        [*GRAFLOW, "run", str(path), "--executor", executor, "--run-id", "monday"],
        env={**os.environ, "WAIT": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # Kept, and not only ended: a kill may cost what the store has not been told yet.
        until(lambda: marks() == ["first", "second"] and '"succeeded": 1' in call("runs", "--json").out)
        busy = call("resume", "monday")
        assert (busy.code, busy.out) == (2, "")
        assert re.fullmatch(r"Error: process \S+ runs 'monday' now: wait until it has ended, or .*\n", busy.err)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    [row] = json.loads(call("runs", "--json").out)
    assert (row["state"], row["alive"], row["succeeded"], row["ended"]) == ("interrupted", False, 1, None)
    assert "1  lost       started " in call("runs", "story", "monday", "second").out
    Path("go").touch()
    done = subprocess.run([*GRAFLOW, "resume", "mond"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (0, "2\n")
    assert marks() == ["first", "second", "second"]
    story = call("runs", "story", "monday", "second").out.splitlines()
    assert story[0] == "task 'second' of run monday (flow): succeeded after 2 attempts"
    assert [line.split()[:2] for line in story[1:]] == [["1", "lost"], ["2", "succeeded"]]


class TestChanged:
    @pytest.fixture
    def changed(self, failed: str) -> str:
        """A run whose first task has another body since."""
        path = Path("flow.py")
        path.write_text(path.read_text().replace("return 1", "return 10"))
        Path("go").touch()
        return failed

    def test_it_is_refused(self, changed: str, call: Call) -> None:
        done = call("resume", changed)
        assert (done.code, done.out) == (2, "")
        assert done.err == (
            "Error: the code or the inputs of 'first' changed since run monday began; choose:\n"
            "- graflow resume monday --changed rerun   runs again what changed, and what depends on it\n"
            "- graflow resume monday --changed keep    keeps all that succeeded\n"
        )
        assert marks() == ["first", "second"]

    def test_so_is_a_run_of_the_same_name(self, changed: str, call: Call) -> None:
        done = call("run", "flow.py", "--run-id", changed)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("Error: the code or the inputs of 'first' changed since run monday began; choose:\n")
        assert done.err.endswith("\n- another --run-id begins anew\n")

    @pytest.mark.parametrize(
        ("choice", "value", "ran"), [("rerun", "11\n", ["first", "second"]), ("keep", "2\n", ["second"])]
    )
    def test_the_user_chooses(self, changed: str, call: Call, choice: str, value: str, ran: list[str]) -> None:
        done = call("resume", changed, "--changed", choice, "-q")
        assert (done.code, done.out) == (0, value)
        assert marks() == ["first", "second", *ran]

    def test_a_mended_task_that_had_failed_is_not_asked_about(self, failed: str, call: Call) -> None:
        path = Path("flow.py")
        path.write_text(path.read_text().replace('raise OSError("not yet")', "return 7"))
        assert call("resume", failed, "-q") == (0, "7\n", "")


class TestWhereItWasBegun:
    def test_it_goes_on_there(self, failed: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "go").touch()
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        done = call("resume", failed, "--store", "../.graflow/runs.db")
        assert (done.code, done.out) == (0, "2\n")
        assert done.err.startswith(f"in {tmp_path}, where the run was begun\n")

    def test_a_file_that_is_gone_is_named_anew(self, failed: str, call: Call) -> None:
        Path("go").touch()
        Path("flow.py").rename("moved.py")
        done = call("resume", failed)
        assert (done.code, done.out) == (2, "")
        assert done.err == (
            f"Error: there is no file {Path.cwd() / 'flow.py'}\n"
            "Mend that, or name where it is now: graflow resume monday WORKFLOW\n"
        )
        assert call("resume", failed, "moved.py", "-q") == (0, "2\n", "")

    def test_the_name_in_the_file_counts(self, script: Script, call: Call) -> None:
        script(FLOW + "    other = Workflow.of('other', returns=first)\n")
        assert call("run", "flow.py:flow", "-q", "--run-id", "monday").code == 1
        Path("go").touch()
        assert call("resume", "monday", "-q") == (0, "2\n", "")

    def test_a_module_is_found_again(self, script: Script, call: Call, tmp_path: Path) -> None:
        script(FLOW, "modules/users_flow.py")
        assert call("run", "users_flow", "--app-dir", "modules", "-q", "--run-id", "monday").code == 1
        Path("go").touch()
        elsewhere = subprocess.run(
            [*GRAFLOW, "resume", "monday", "-q", "--store", str(tmp_path / ".graflow" / "runs.db")],
            cwd="/",
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (elsewhere.returncode, elsewhere.stdout, elsewhere.stderr) == (0, "2\n", "")

    def test_the_executor_stays(self, script: Script, call: Call) -> None:
        call("run", script(FLOW), "--executor", "inline", "-q", "--run-id", "monday")
        done = call("resume", "monday", "--json", "-q")
        assert [one["worker"] for one in json.loads(done.out)["tasks"]] == ["inline", "inline"]
        done = call("resume", "monday", "--json", "-q", "--executor", "threads")
        assert [one["worker"] for one in json.loads(done.out)["tasks"]] == ["inline", "thread-1"]

    def test_a_program_may_have_begun_it(self, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

        def fails() -> str:
            if not (tmp_path / "go").exists():
                raise OSError("not yet")
            return "done"

        flow = Workflow.of("flow", returns=Task("fails", fails))
        runner = LocalRunner("inline", store=".graflow/runs.db")
        runner.run(flow, run_id="monday", check=False)
        assert runner.store is not None
        runner.store.close()
        (tmp_path / "go").touch()
        assert call("resume", "monday", "-q") == (0, "done\n", "")


class TestTime:
    def test_a_run_whose_time_was_up_goes_on(self, script: Script, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WAIT", "1")
        done = call("run", script(FLOW), "--timeout", "200ms", "--run-id", "monday")
        assert (done.code, done.out) == (124, "")
        assert re.fullmatch(r"flow timed out in .*: 1 succeeded, 1 cancelled \(run monday\)", done.err.splitlines()[-2])
        assert done.err.endswith("go on with it: graflow resume monday\n")
        again = call("resume", "monday", "-q", "--timeout", "100ms")
        assert (again.code, again.out) == (124, "")
        Path("go").touch()
        done = call("resume", "monday", "--timeout", "1h", "-q")
        assert (done.code, done.out) == (0, "2\n")

    def test_a_run_without_a_limit_may_be_given_one(
        self, failed: str, call: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WAIT", "1")
        done = call("resume", failed, "-q", "--timeout", "100ms")
        assert (done.code, done.out) == (124, "")
        Path("go").touch()
        assert call("resume", failed, "-q") == (0, "2\n", "")

    @pytest.mark.parametrize("text", ["soon", "0", "5 parsecs", "-1", "1e400"])
    def test_what_no_span_of_time_is(self, failed: str, call: Call, text: str) -> None:
        done = call("resume", failed, f"--timeout={text}")
        assert (done.code, done.out) == (2, "")
        assert "Invalid value for '--timeout'" in done.err


def test_the_cure_names_the_store(script: Script, call: Call) -> None:
    done = call("run", script(FLOW), "--store", "my runs.db", "--run-id", "monday")
    assert done.err.endswith("go on with it: graflow resume monday --store 'my runs.db'\n")
    Path("go").touch()
    assert call("resume", "monday", "--store", "my runs.db", "-q") == (0, "2\n", "")


def test_an_unknown_run(failed: str, call: Call) -> None:
    done = call("resume", "mondey")
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch(r"Error: there is no run 'mondey' in .*runs.db; did you mean 'monday'\?\n", done.err)


def test_no_store(script: Script, call: Call) -> None:
    script("")
    done = call("resume", "monday")
    assert done.code == 2
    assert done.err.startswith("Error: no runs are kept in .graflow/runs.db: ")
    assert not Path(".graflow").exists()
