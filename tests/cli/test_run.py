"""`graflow run`: what it prints where, and what it exits with."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graflow import Exponential, LocalRunner, Retry, Task, Workflow, each, task
from graflow.cli._foreground import value_text
from graflow.cli._summary import MOST_ROWS, Summary, draw_summary, failure_texts, plain
from graflow.core.run import TaskRecord, TaskState
from graflow.engine.drive import Execution
from graflow.runners._brief import briefs, failed_ids
from graflow.runners._handle import LocalRun

from .conftest import Call, Script

FAILS = """
    import json, os, sys

    def helper(text):
        return json.loads(text)

    @task
    def reads() -> int:
        try:
            return helper("{")
        except ValueError as error:
            raise RuntimeError("cannot read [red]it[/red]") from error

    @task
    def fine() -> int:
        return 1

    @task
    def after(number: int) -> int:
        return number

    @task
    def exits() -> int:
        sys.exit(4)

    @task
    def interrupts() -> int:
        raise KeyboardInterrupt

    @task(executor="processes")
    def dies() -> int:
        os._exit(9)

    @task(executor="processes")
    def far() -> int:
        return helper("{")

    flow = (
        Workflow.builder("flow").add_all([reads, fine, exits, interrupts, dies, far]).add(after, reads.out).build()
    )
"""


def value_of(body: str) -> str:
    return f"@task\ndef give():\n    return {body}\nflow = Workflow.of('flow', give, returns=give)\n"


class TestValue:
    @pytest.mark.parametrize(
        ("value", "printed"),
        [
            ("'two\\nlines'", "two\nlines\n"),
            ("__import__('pathlib').Path('a/b')", "a/b\n"),
            ("None", ""),
            ("{'a': 1}", "{'a': 1}\n"),
            ("0", "0\n"),
            ("'\\x1b[31mred'", "\N{REPLACEMENT CHARACTER}[31mred\n"),
        ],
    )
    def test_it_alone_goes_to_standard_output(self, script: Script, call: Call, value: str, printed: str) -> None:
        done = call("run", script(value_of(value)))
        assert (done.code, done.out) == (0, printed)
        assert "flow succeeded in " in done.err

    def test_large_values_are_cut(self) -> None:
        assert len(value_text(list(range(10_000)))) < 200
        assert value_text("x" * 10_000) == "x" * 10_000

    def test_a_value_that_cannot_be_shown_is_named(self) -> None:
        class Shy:
            def __repr__(self) -> str:
                raise ValueError

        assert value_text(Shy()).startswith("<Shy ")

    def test_a_workflow_without_tasks(self, script: Script, call: Call) -> None:
        done = call("run", script("flow = Workflow.builder('empty').build()"))
        assert (done.code, done.out) == (0, "")
        assert re.fullmatch(r"empty succeeded in \S+ \S+: no tasks \(run [0-9a-f]{4}\)\n", done.err)


class TestFailures:
    @pytest.fixture
    def failed(self, script: Script, call: Call) -> tuple[str, ...]:
        done = call("run", script(FAILS))
        assert (done.code, done.out) == (1, "")
        return tuple(done.err.splitlines())

    def test_each_is_told_with_the_users_frames(self, failed: tuple[str, ...]) -> None:
        start = next(place for place, line in enumerate(failed) if line.startswith("task 'reads' failed in thread-"))
        assert failed[start].endswith(": RuntimeError: cannot read [red]it[/red]")
        end = next(place for place in range(start + 1, len(failed)) if not failed[place].startswith(" "))
        frames = failed[start + 1 : end]
        assert frames[0] == "  flow.py:13 in reads"
        assert "  because of JSONDecodeError: Expecting property name" in frames[2]
        assert "    flow.py:11 in reads" in frames
        assert "    flow.py:6 in helper" in frames
        assert sum("raised in" in line and "decoder.py" in line for line in frames) == 1
        assert not any(str(Path("graflow", "runners")) in line for line in failed)

    def test_so_is_one_from_another_process(self, failed: tuple[str, ...]) -> None:
        start = next(place for place, line in enumerate(failed) if line.startswith("task 'far' failed in process-"))
        assert [line for line in failed[start : start + 6] if line.startswith("  flow.py")] == [
            "  flow.py:37 in far",
            "  flow.py:6 in helper",
        ]

    @pytest.mark.parametrize(
        "start",
        [
            "task 'exits' failed in thread-",
            "task 'interrupts' failed in thread-",
            "task 'dies' failed in process-",
        ],
    )
    def test_what_should_end_a_process_fails_a_task(self, failed: tuple[str, ...], start: str) -> None:
        assert any(line.startswith(start) for line in failed)

    def test_the_last_lines_count_and_say_how_to_go_on(self, failed: tuple[str, ...]) -> None:
        assert re.fullmatch(r"flow failed in .*: 1 succeeded, 5 failed, 1 skipped \(run [0-9a-f]{4}\)", failed[-2])
        assert re.fullmatch(r"go on with it: graflow resume [0-9a-f]{4}", failed[-1])

    def test_quiet_still_tells_them(self, script: Script, call: Call) -> None:
        done = call("run", "-q", script("@task\ndef fails():\n    1 / 0\nflow = Workflow.of('flow', returns=fails)"))
        assert done == (
            1,
            "",
            "task 'fails' failed in thread-1: ZeroDivisionError: division by zero\n  flow.py:4 in fails\n      1 / 0\n",
        )

    def test_traceback_tells_all(self, script: Script, call: Call) -> None:
        body = "@task\ndef fails():\n    1 / 0\nflow = Workflow.of('flow', returns=fails)"
        done = call("run", "-q", script(body), "--traceback")
        assert done.code == 1
        assert "Traceback (most recent call last):" in done.err
        assert 'flow.py", line 4, in fails' in done.err

    def test_a_task_that_the_runner_refuses(self, script: Script, call: Call) -> None:
        body = """
            import threading
            LOCK = threading.Lock()

            @task(executor="processes")
            def locks() -> int:
                with LOCK:
                    return 1

            flow = Workflow.of("flow", returns=locks)
            """
        done = call("run", "-q", script(body))
        assert done.code == 2
        assert done.err.startswith("Error: task 'locks' cannot run in a process: ")
        assert "LOCK" in done.err


class TestOptions:
    @pytest.mark.parametrize(("executor", "worker"), [("inline", "inline"), ("threads", "thread-1")])
    def test_the_executor(self, script: Script, call: Call, executor: str, worker: str) -> None:
        done = call("run", script(value_of("1")), "--executor", executor, "--max-workers", 1, "--json")
        assert json.loads(done.out)["tasks"][0]["worker"] == worker

    @pytest.mark.parametrize(
        "args", [["--executor", "rockets"], ["--max-workers", "0"], ["--max-workers", "many"], ["5"], ["--max-workers"]]
    )
    def test_what_they_cannot_be(self, script: Script, call: Call, args: list[str]) -> None:
        done = call("run", script(value_of("1")), *args)
        assert (done.code, done.out) == (2, "")
        assert "Error: " in done.err

    def test_json_is_all_there_is_on_standard_output(self, script: Script, call: Call) -> None:
        body = """
            import os
            from pathlib import Path

            @task
            def here() -> int:
                print("printed here")
                return 1

            @task(executor="processes")
            def there(number: int) -> dict[str, object]:
                print("printed there")
                os.write(1, b"written there")
                return {"path": Path("a"), "number": number, "odd": object()}

            flow = Workflow.builder("flow").add(here).add(there, here.out).build(returns=there)
            """
        done = call("run", script(body), "--json", "-q")
        answer = json.loads(done.out)
        assert (done.code, answer["workflow"], answer["state"]) == (0, "flow", "succeeded")
        assert answer["value"]["path"] == "a"
        assert answer["value"]["number"] == 1
        assert answer["value"]["odd"].startswith("<object object")
        assert answer["critical_path"] == ["here", "there"]
        assert [(one["id"], one["state"], one["attempts"]) for one in answer["tasks"]] == [
            ("here", "succeeded", 1),
            ("there", "succeeded", 1),
        ]
        assert "written there" in done.err

    def test_json_of_a_run_that_failed(self, script: Script, call: Call) -> None:
        done = call("run", script(FAILS), "--json", "-q")
        answer = json.loads(done.out)
        assert (done.code, answer["state"], answer["value"]) == (1, "failed", None)
        tasks = {one["id"]: one for one in answer["tasks"]}
        assert tasks["reads"]["error"] == "RuntimeError: cannot read [red]it[/red]"
        assert tasks["after"]["reason"] == "task 'reads' failed"

    @pytest.mark.parametrize("value", [float("nan"), {1: {2}}, b"\xff", object()])
    def test_any_value_can_be_put_into_json(self, value: Any) -> None:
        json.dumps(plain(value), allow_nan=False)

    def test_a_value_that_contains_itself_can(self) -> None:
        value: list[Any] = []
        value.append(value)
        assert plain(value).startswith("[[")


def summary_of(*functions: Callable[..., Any]) -> Summary:
    tasks = [Task(f"task_{place}", function) for place, function in enumerate(functions)]
    workflow = Workflow.builder("flow").add_all(tasks).build()
    run = LocalRunner("inline").run(workflow, check=False)
    assert isinstance(run, LocalRun)
    return Summary(run.id, workflow.compile(), run.state, 1.5, run.tasks, run)


def test_briefs_say_what_records_say(tmp_path: Path) -> None:
    tries: list[int] = []

    def flaky() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise OSError
        return 1

    def fails(n: int) -> None:
        raise ValueError

    def known() -> int:
        return 1

    def size(n: int) -> int:
        return abs(n)

    def late(value: None) -> None:
        raise AssertionError

    twice, kept = task(retry=Retry(2, Exponential(initial=0.001)))(flaky), task(cache=True)(known)
    broken = task(fails)(twice.out)
    after = task(late)(broken.out)
    mapped = task(size).map(each([1, -2]))
    workflow = Workflow.builder("flow").add_all([kept, twice, broken, after, mapped]).build()
    for _ in range(2):
        run = LocalRunner("inline", store=tmp_path / "runs.db").run(workflow, check=False)
        assert isinstance(run, LocalRun)
        told = briefs(run)
        assert [one._replace(duration=None) for one in told] == [
            (one.id, one.state, one.attempts, None, one.source) for one in run.tasks.values()
        ]
        for brief, record in zip(told, run.tasks.values(), strict=True):
            begun = [one.started for one in record.history if one.state is not TaskState.SUCCEEDED]
            if begun and record.source == "run" and record.state is TaskState.SUCCEEDED:  # with the waits between
                assert record.started is not None
                assert record.duration is not None
                assert brief.duration == pytest.approx(record.started + record.duration - begun[0], abs=1e-4)
            else:
                assert brief.duration == record.duration
        assert failed_ids(run) == ["fails"]


class TestSummary:
    def drawn(self, summary: Summary, width: int = 100) -> list[str]:
        from rich.console import Console

        console = Console(width=width, record=True, file=io.StringIO(), color_system=None)
        draw_summary(console, summary)
        return [line.rstrip() for line in console.export_text().splitlines()]

    def test_a_small_run_has_a_row_for_each_task(self) -> None:
        lines = self.drawn(summary_of(*[int] * MOST_ROWS))
        assert lines[0].split() == ["task", "state", "attempts", "time"]
        assert sum(line.replace("*", " ").split()[0].startswith("task_") for line in lines[1:-2]) == MOST_ROWS
        assert sum(line.startswith("*  task_") for line in lines) == 1
        assert lines[-2].startswith("* critical path, ")
        assert lines[-1] == f"flow succeeded in 1.5 s: {MOST_ROWS} succeeded"

    def test_a_large_run_shows_what_failed_and_the_slowest(self) -> None:
        def fails() -> None:
            raise ValueError

        summary = summary_of(*[int] * 100, *[fails] * 50)
        lines = self.drawn(summary)
        assert sum(" failed " in line for line in lines[1:-2]) == 10
        assert sum(" succeeded " in line for line in lines[1:-3]) == 10
        assert "shown: what failed, and the slowest; in all 100 succeeded, 50 failed" in lines
        texts = failure_texts(summary, tracebacks=False)
        assert len(texts) == 11
        assert texts[-1] == "and 40 more tasks failed; --traceback shows them all"
        assert len(failure_texts(summary, tracebacks=True)) == 50

    def test_a_large_run_is_told_without_a_record_of_each_task(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fails() -> None:
            raise ValueError

        summary = summary_of(*[int] * 300, *[fails] * 200)
        made: list[int] = []
        record = Execution.record

        def counted(self: Execution, i: int) -> TaskRecord:
            made.append(i)
            return record(self, i)

        monkeypatch.setattr(Execution, "record", counted)
        failure_texts(summary, tracebacks=False)
        self.drawn(summary)
        assert len(made) == 30  # ten errors, and twenty rows

    def test_a_narrow_terminal_keeps_each_task_on_one_line(self) -> None:
        summary = summary_of(int, int)
        assert len(self.drawn(summary, width=30)) >= 5
        assert all(len(line) <= 30 for line in self.drawn(summary, width=30))
