"""`graflow signal`: what it sends, to runs under way and to others, and what it refuses."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from graflow import LocalRunner, Task, Workflow
from graflow import signal as signal_of
from graflow.stores import SQLiteStore

from .conftest import Call, Script

GRAFLOW = [sys.executable, "-m", "graflow"]
PATIENCE = 60.0

FLOW = """
    from pydantic import BaseModel

    class Verdict(BaseModel):
        ok: bool
        by: str = "nobody"

    approve = signal("approve", Verdict)
    note = signal("note", str)

    @task
    def start() -> int:
        return 1

    @task
    def total(one: int, verdict: Verdict, note: str) -> str:
        assert isinstance(verdict, Verdict)
        return f"{one} {verdict.ok} {verdict.by} {note}"

    end = total(start.out, approve.out, note.out)
    flow = Workflow.builder("flow").add_all([start, approve, note]).add(end).build(returns=end)
"""


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def started(script: Script, call: Call) -> Iterator[subprocess.Popen[str]]:
    """A run that waits for two signals, in a process of its own."""
    path = script(FLOW)
    process = subprocess.Popen(
        [*GRAFLOW, "run", str(path), "--run-id", "monday"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: Path(".graflow/runs.db").exists() and call("runs", "show", "monday").out.count("awaiting  ") == 2)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_run_under_way_gets_what_is_sent(started: subprocess.Popen[str], call: Call) -> None:
    shown = call("runs", "show", "monday").out
    assert re.search(
        r"^'approve' waits for a signal since .*; send it: graflow signal monday approve JSON$", shown, re.M
    )
    done = call("signal", "mond", "approve", '{"ok": true, "by": "Ann"}')
    assert done == (0, "", 'sent \'approve\' to run monday: {"ok": true, "by": "Ann"}\n')
    assert call("signal", "monday", "note", '"fine"').code == 0
    out, err = started.communicate(timeout=PATIENCE)
    assert (started.returncode, out) == (0, "1 True Ann fine\n")
    assert "approve waits for a signal\n" in err
    over = call("signal", "monday", "note", '"again"')
    assert (over.code, over.err) == (2, "Error: run monday has succeeded, and waits for nothing any more\n")


def test_the_first_value_counts(started: subprocess.Popen[str], call: Call) -> None:
    assert call("signal", "monday", "note", '"first"').code == 0
    again = call("signal", "monday", "note", '"second"')
    assert (again.code, again.err) == (
        2,
        "Error: signal 'note' of run monday was sent before; the first value counts\n",
    )
    assert call("signal", "monday", "approve", '{"ok": false}').code == 0
    out, _ = started.communicate(timeout=PATIENCE)
    assert out == "1 False nobody first\n"


def test_a_run_that_was_killed_gets_it_when_it_goes_on(started: subprocess.Popen[str], call: Call) -> None:
    started.send_signal(signal.SIGKILL)
    started.wait()
    assert "awaiting" in call("runs", "show", "monday").out  # nothing of a wait is lost
    sent = call("signal", "monday", "approve", '{"ok": true}')
    assert sent.err.splitlines()[1] == "nothing runs it now; go on with it: graflow resume monday"
    assert "; a value has arrived for it" in call("runs", "story", "monday", "approve").out
    assert call("signal", "monday", "note", '"late"').code == 0
    assert call("resume", "monday", "-q") == (0, "1 True nobody late\n", "")
    story = call("runs", "story", "monday", "note").out.splitlines()
    assert [line.split()[:2] for line in story[1:]] == [["1", "interrupted"], ["2", "succeeded"]]


@pytest.mark.parametrize(
    ("id", "value", "said"),
    [
        ("aprove", "true", "run monday has no signal 'aprove'; did you mean 'approve'?"),
        ("zzz", "true", "run monday has no signal 'zzz'; it has approve, note"),
        ("start", "1", "task 'start' of run monday is no signal; it has approve, note"),
        ("approve", "{ok", "signal 'approve' takes Verdict, not {ok: value: Invalid JSON: "),
        (
            "approve",
            '{"ok": 3}',
            "signal 'approve' takes Verdict, not {\"ok\": 3}: ok: Input should be a valid boolean",
        ),
        ("note", "fine", "; text needs the quotes of JSON: '\"fine\"'"),
        ("note", "3", "signal 'note' takes str, not 3: value: Input should be a valid string"),
    ],
)
def test_what_it_does_not_take(script: Script, call: Call, id: str, value: str, said: str) -> None:
    waiting(script, call)
    done = call("signal", "monday", id, value)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err
    with closing(SQLiteStore(".graflow/runs.db")) as store:
        assert store.signals("monday") == {}


def waiting(script: Script, call: Call) -> None:
    """A run whose time was up while it waited."""
    assert call("run", script(FLOW), "--run-id", "monday", "--timeout", "200ms", "-q").code == 124


def test_a_run_that_ended_without_success_can_be_gone_on_with(script: Script, call: Call) -> None:
    waiting(script, call)
    assert call("signal", "monday", "note", '"a"').code == 0
    assert call("signal", "monday", "approve", '{"ok": true}').code == 0
    assert call("resume", "monday", "-q", "--timeout", "60") == (0, "1 True nobody a\n", "")


def test_a_signal_that_is_no_longer_waited_for(script: Script, call: Call) -> None:
    script(
        """
        import os, time
        soon = signal("soon", int, timeout=0.05)

        @task
        def busy() -> None:
            while not os.path.exists("go"):
                time.sleep(0.01)

        flow = Workflow.builder("flow").add(soon).add(busy).build()
        """
    )
    process = subprocess.Popen([*GRAFLOW, "run", "flow.py", "--run-id", "monday", "-q"], stderr=subprocess.DEVNULL)
    try:
        until(lambda: Path(".graflow/runs.db").exists() and " failed" in call("runs", "show", "monday").out)
        done = call("signal", "monday", "soon", "1")
        said = "Error: run monday does not wait for signal 'soon' any more: it is failed\n"
        assert (done.code, done.err) == (2, said)
    finally:
        Path("go").touch()
        process.wait(PATIENCE)


def test_a_file_that_is_gone_is_named_anew(script: Script, call: Call) -> None:
    waiting(script, call)
    os.rename("flow.py", "moved.py")
    done = call("signal", "monday", "note", '"a"')
    assert done.code == 2
    assert done.err.endswith("Mend that, or name where it is now: --workflow WORKFLOW\n")
    assert call("signal", "monday", "note", '"a"', "--workflow", "moved.py").code == 0


def program(path: str) -> None:
    """A run that a program began, whose time was up while it waited for a number."""
    number = signal_of("number", int)
    flow = Workflow.of("flow", number, returns=Task("double", lambda n: 2 * n)(number.out))
    runner = LocalRunner("inline", store=path)
    runner.run(flow, run_id="monday", check=False, timeout=0.2)
    assert runner.store is not None
    runner.store.close()


def test_a_program_may_have_begun_it(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program(".graflow/runs.db")
    assert call("signal", "monday", "number", "21").code == 0
    assert call("resume", "monday", "-q", "--timeout", "60") == (0, "42\n", "")


def test_a_program_whose_workflow_could_not_be_stored(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graflow.runners import _durable

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_durable, "code_of", lambda plan: b"")
    program(".graflow/runs.db")
    done = call("signal", "monday", "number", "21")
    assert done.code == 2
    assert done.err == (
        "Error: a program began run monday, and the store has no workflow that says what its signals take; name where "
        "it is: --workflow WORKFLOW\n"
    )


def test_a_type_that_no_text_can_give(script: Script, call: Call) -> None:
    script(
        """
        class Odd: pass
        odd = signal("odd", Odd)
        flow = Workflow.of("flow", odd, returns=odd)
        """
    )
    assert call("run", "flow.py", "--run-id", "monday", "--timeout", "200ms", "-q").code == 124
    done = call("signal", "monday", "odd", "1")
    said = "signal 'odd' takes something that cannot be written as JSON; send it from a program, with handle.send()"
    assert (done.code, done.err) == (2, f"Error: {said}\n")


def test_an_unknown_run(script: Script, call: Call) -> None:
    waiting(script, call)
    done = call("signal", "mondey", "note", '"a"')
    assert done.code == 2
    assert "there is no run 'mondey'" in done.err
