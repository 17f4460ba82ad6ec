"""`graflow run` and its store: where runs are kept, under which name, and what happens where they cannot be."""

import json
import re
from pathlib import Path

import pytest

from graflow.errors import StoreError
from graflow.stores import LogRow, SQLiteStore

from .conftest import Call, Script

GIVES = """
    @task
    def give() -> int:
        with open("ran", "a") as ran:
            ran.write("x")
        return 1

    flow = Workflow.of("flow", returns=give)
"""
LOGS = """
    import logging

    @task(retry=Retry(2, Exponential(0)))
    def fails() -> None:
        for number in range(7):
            logging.getLogger("bank").warning("attempt %d, line %d\\nand more", current().attempt, number)
        raise ValueError("no")

    @task
    def ends() -> None:
        logging.getLogger("bank").warning("one")
        raise ValueError("no")

    flow = Workflow.builder("flow").add(fails).add(ends).build()
"""


def runs(call: Call, *args: object) -> list[str]:
    return [row["id"] for row in json.loads(call("runs", "--json", *args).out)]


class TestWhere:
    def test_in_the_working_directory(self, script: Script, call: Call) -> None:
        assert call("run", script(GIVES), "-q", "--run-id", "monday") == (0, "1\n", "")
        assert Path(".graflow/runs.db").is_file()
        assert Path(".graflow/.gitignore").read_text().splitlines()[-1] == "*"
        assert runs(call) == ["monday"]

    def test_where_the_environment_says(self, script: Script, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GRAFLOW_STORE", "there/runs.db")
        call("run", script(GIVES), "-q", "--run-id", "monday")
        assert not Path(".graflow").exists()
        assert runs(call) == ["monday"]
        call("run", "flow.py", "-q", "--run-id", "tuesday", "--store", "here.db")
        assert runs(call) == ["monday"]
        assert runs(call, "--store", "here.db") == ["tuesday"]

    def test_also_if_the_module_changes_the_directory(self, script: Script, call: Call) -> None:
        path = script("import os\nos.mkdir('other')\nos.chdir('other')\n" + GIVES.replace("\n    ", "\n"))
        folder = Path.cwd()
        assert call("run", path, "-q").code == 0
        assert (folder / ".graflow" / "runs.db").exists()
        assert not (folder / "other" / ".graflow").exists()

    def test_nowhere(self, script: Script, call: Call) -> None:
        done = call("run", script(GIVES), "--no-store")
        assert (done.code, done.out) == (0, "1\n")
        assert re.fullmatch(r"flow succeeded in \S+ \S+: 1 succeeded", done.err.splitlines()[-1])
        assert not Path(".graflow").exists()

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (["--store", "runs.db"], "--store and --no-store contradict each other"),
            (["--run-id", "monday"], "--run-id monday names a run in a store; leave out --no-store"),
            ([], "task 'give' is cached, which needs a store; leave out --no-store"),
        ],
    )
    def test_what_needs_a_store(self, script: Script, call: Call, args: list[str], said: str) -> None:
        path = script(GIVES.replace("@task", "@task(cache=True)"))
        assert call("run", path, "--no-store", *args) == (2, "", f"Error: {said}\n")


class TestNames:
    def test_a_run_is_shown_by_the_start_of_its_id(self, script: Script, call: Call) -> None:
        done = call("run", script(GIVES))
        [id] = runs(call)
        assert done.err.endswith(f": 1 succeeded (run {id[:4]})\n")

    def test_a_name_is_shown_whole(self, script: Script, call: Call) -> None:
        assert call("run", script(GIVES), "--run-id", "monday").err.endswith(": 1 succeeded (run monday)\n")

    def test_a_name_names_one_run(self, script: Script, call: Call) -> None:
        call("run", script(GIVES), "--run-id", "monday", "-q")
        assert call("run", "flow.py", "--run-id", "monday", "-q") == (0, "1\n", "")
        assert Path("ran").read_text() == "x"

    def test_of_one_workflow(self, script: Script, call: Call) -> None:
        call("run", script(GIVES), "--run-id", "monday", "-q")
        done = call("run", script(GIVES.replace('"flow"', '"other"')), "--run-id", "monday", "-q")
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("Error: run 'monday' is of workflow 'flow', not 'other'; ")

    def test_not_every_text_is_a_name(self, script: Script, call: Call) -> None:
        done = call("run", script(GIVES), "--run-id", "../monday", "-q")
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("Error: run_id='../monday' cannot name a run; ")


class TestTrouble:
    @pytest.mark.parametrize("path", ["file/runs.db", "folder", "text"])
    def test_a_store_that_cannot_be_opened_ends_the_call_before_anything_runs(
        self, script: Script, call: Call, path: str
    ) -> None:
        flow = script(GIVES)
        Path("file").touch()
        Path("folder").mkdir()
        Path("text").write_text("no database, but long enough to be looked at " * 100)
        done = call("run", flow, "--store", path)
        assert (done.code, done.out) == (2, "")
        first, cure = done.err.splitlines()
        assert first.startswith("Error: cannot open the store ")
        assert cure == "--store PATH keeps the run elsewhere, --no-store keeps nothing of it"
        assert not Path("ran").exists()

    def test_a_store_that_fails_midway(self, script: Script, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise StoreError("the disk is full")

        monkeypatch.setattr(SQLiteStore, "write", full)
        done = call("run", script(GIVES))
        assert done.code == 1
        assert done.err.endswith("Error: the run could not be kept: the disk is full\n")

    def test_a_store_that_cannot_be_read_at_the_end_hides_no_failure(
        self, script: Script, call: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> list[LogRow]:
            raise StoreError("the disk reports an error")

        monkeypatch.setattr(SQLiteStore, "logs", broken)
        done = call("run", script(LOGS), "-q")
        assert done.code == 1
        assert "task 'fails' failed in thread-" in done.err
        assert "logged" not in done.err


def test_a_failure_shows_the_last_lines_its_last_attempt_logged(script: Script, call: Call) -> None:
    done = call("run", script(LOGS), "-q")
    assert done.code == 1
    told = re.sub(r"\d\d:\d\d:\d\d", "HH:MM:SS", done.err[done.err.index("task 'ends'") :])
    assert re.sub(r"thread-\d", "thread-N", told).splitlines() == [
        "task 'ends' failed in thread-N: ValueError: no",
        "  flow.py:14 in ends",
        '      raise ValueError("no")',
        "  it logged:",
        "    HH:MM:SS WARNING bank: one",
        "task 'fails' failed in thread-N: ValueError: no",
        "  flow.py:9 in fails",
        '      raise ValueError("no")',
        "  the last 10 of 14 lines it logged:",
        *(
            line
            for number in range(2, 7)
            for line in (f"    HH:MM:SS WARNING bank: attempt 2, line {number}", "        and more")
        ),
    ]


def test_on_failure_stop_starts_nothing_more(script: Script, call: Call) -> None:
    body = """
        @task
        def fails() -> int:
            raise ValueError("no")

        @task(priority=-1)
        def other() -> int:
            return 1

        flow = Workflow.builder("flow").add(fails).add(other).build()
        """
    done = call("run", script(body), "--on-failure", "stop", "--executor", "inline", "--json", "-q")
    assert done.code == 1
    assert {one["id"]: one["state"] for one in json.loads(done.out)["tasks"]} == {
        "fails": "failed",
        "other": "cancelled",
    }
