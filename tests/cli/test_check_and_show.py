"""`graflow check` and `graflow show`."""

import json
import re
from pathlib import Path

import pytest

from .conftest import Call, Script

SOUND = """
    import threading
    LOCK = threading.Lock()

    @task
    def rows() -> list[int]:
        return [1]

    @task
    def total(rows: "list[int]", table: list[int], word: "Unknown" = 1) -> int:
        with LOCK:
            return sum(rows) + len(table)

    flow = (
        Workflow.builder("flow").add(rows).add(total, rows.out, list(range(20_000))).build(returns=total)
    )
"""
PLAIN = """
    @task
    def rows() -> list[int]:
        return [1]

    flow = Workflow.of("flow", rows, returns=rows)
"""
WRONG = """
    @task
    def number() -> int: return 1

    @task
    def one(text: str) -> str: return text

    @task
    def two(text: str) -> str: return text

    flow = Workflow.builder("flow").add(number).add(one, number.out).add(two, number.out).build()
"""


class TestCheck:
    def test_a_sound_workflow(self, script: Script, call: Call) -> None:
        done = call("check", script(PLAIN), "--portable")
        lines = [line.split() for line in done.out.splitlines()]
        assert (done.code, done.err) == (0, "")
        assert lines[0] == ["flow:", "1", "task,", "0", "edges,", "1", "level"]
        assert lines[1:3] == [["inputs", "none"], ["returns", "rows"]]
        assert lines[4] == ["portable", "yes"]

    def test_what_cannot_travel_is_named_and_is_an_error_only_if_asked(self, script: Script, call: Call) -> None:
        done = call("check", script(SOUND))
        assert done.code == 0
        assert "  portable     no\n    - task 'total': " in done.out
        assert "LOCK" in done.out
        assert "  2 notes more with -v\n" in done.out
        assert call("check", "--portable", "flow.py").code == 1

    def test_verbose_lists_what_the_checks_could_not_see(self, script: Script, call: Call) -> None:
        done = call("check", script(SOUND), "-v")
        assert "  unchecked    'word' of task 'total': its annotation gives NameError: name 'Unknown'" in done.out
        assert "  shared       'table' of task 'total' is a list of 20,000 values, too many to copy" in done.out
        assert "  nothing was left unchecked\n" in call("check", script(PLAIN), "-v").out

    def test_warnings_are_listed(self, script: Script, call: Call) -> None:
        script(
            """
            import warnings
            warnings.warn("one of the user's own")

            with workflow("flow") as wf:
                @task
                def fine() -> int: return 1

                @task
                def unused(a: int) -> int: return a
            """
        )
        done = call("check", "flow.py")
        assert done.code == 0
        assert "  warning      TemplateWarning: " in done.out
        assert done.err == "flow.py:4: UserWarning: one of the user's own\n"

    def test_json(self, script: Script, call: Call) -> None:
        done = call("check", script(SOUND), "--json")
        report = json.loads(done.out)
        assert (done.code, report["ok"], report["portable"], report["tasks"]) == (0, True, False, 2)
        assert [(one["task"], one["parameter"]) for one in report["unresolved"]] == [("total", "word")]
        assert [(one["task"], one["parameter"]) for one in report["by_reference"]] == [("total", "table")]
        assert len(report["obstacles"]) == 1

    def test_json_of_definition_errors(self, script: Script, call: Call) -> None:
        done = call("check", script(WRONG), "--json")
        report = json.loads(done.out)
        assert (done.code, report["ok"]) == (2, False)
        assert [error["type"] for error in report["errors"]] == ["WiringError", "WiringError"]
        assert "Error: flow.py has 2 definition errors:" in done.err

    def test_json_of_a_file_that_is_not_there(self, script: Script, call: Call) -> None:
        script("")
        done = call("check", "missing.py", "--json")
        assert (done.code, json.loads(done.out)["errors"][0]["message"]) == (2, "there is no file missing.py")


MANY = """
    @task
    def score(n: int) -> int:
        return n

    @task
    def total(parts: list[int]) -> int:
        return sum(parts)

    scored = [score(n).named("score_{n:04}") for n in range(1200)]
    flow = Workflow.builder("flow").add_all(scored).add(total, [one.out for one in scored]).build()
"""
LONG = """
    @task
    def more(n: int) -> int:
        return n + 1

    tasks = [more(0).named("more_0")]
    for k in range(1, 601):
        tasks.append(more(tasks[-1].out).named(f"more_{k}"))
    flow = Workflow.builder("flow").add_all(tasks).build()
"""


class TestShow:
    @pytest.mark.parametrize(
        ("wanted", "start"),
        [("mermaid", "flowchart"), ("dot", "digraph"), ("svg", "<svg"), ("html", "<!doctype html>"), ("json", "{")],
    )
    def test_every_format_goes_to_standard_output(self, script: Script, call: Call, wanted: str, start: str) -> None:
        done = call("show", script(PLAIN), "--format", wanted)
        assert (done.code, done.err) == (0, "")
        assert done.out.lower().startswith(start)
        assert "rows" in done.out

    def test_the_default_is_mermaid(self, script: Script, call: Call) -> None:
        assert call("show", script(PLAIN)).out == call("show", "flow.py", "-f", "mermaid").out

    @pytest.mark.parametrize(
        ("name", "start"), [("a.svg", "<svg"), ("a.GV", "digraph"), ("a.html", "<!"), ("a", "flow")]
    )
    def test_the_name_of_the_output_chooses_the_format(self, script: Script, call: Call, name: str, start: str) -> None:
        assert call("show", script(PLAIN), "--output", name) == (0, "", "")
        assert Path(name).read_text(encoding="utf-8").lower().startswith(start)

    def test_a_format_that_is_asked_for_comes_first(self, script: Script, call: Call) -> None:
        assert call("show", script(PLAIN), "-o", "a.svg", "-f", "dot").code == 0
        assert Path("a.svg").read_text(encoding="utf-8").startswith("digraph")

    @pytest.mark.parametrize(
        ("output", "reason"), [("nowhere/a.svg", "No such file or directory"), (".", "Is a directory")]
    )
    def test_an_output_that_cannot_be_written(self, script: Script, call: Call, output: str, reason: str) -> None:
        done = call("show", script(PLAIN), "--output", output)
        assert done == (2, "", f"Error: cannot write {output}: {reason}\n")

    def test_an_unknown_format(self, script: Script, call: Call) -> None:
        assert call("show", script(PLAIN), "-f", "png").code == 2

    def test_a_part_of_a_workflow(self, script: Script, call: Call) -> None:
        script(MANY)
        done = call("show", "flow.py", "--select", "score_0017", "-s", "score_01?0")
        assert (done.code, done.err) == (0, "")
        boxes = re.findall(r'\["score_(\d+)"\]', done.out)
        assert boxes == ["0017", *(f"01{k}0" for k in range(10))]
        assert 'total["total"]' in done.out

    def test_a_part_that_is_not_there(self, script: Script, call: Call) -> None:
        done = call("show", script(PLAIN), "--select", "nothing")
        assert (done.code, done.out) == (2, "")
        assert re.match(r"Error: workflow '\w+' has no task 'nothing'", done.err)

    def test_very_many_tasks_get_a_word_on_how_they_are_drawn(self, script: Script, call: Call) -> None:
        done = call("show", script(MANY))
        assert (done.code, '"score#95;* × 1200"' in done.out) == (0, True)
        assert done.err == ("flow has 1,201 tasks; those that are alike are drawn as one; --select TASK draws a part\n")
        assert call("show", "flow.py", "-f", "json").err == ""

    def test_what_mermaid_does_not_draw(self, script: Script, call: Call) -> None:
        script(LONG)
        done = call("show", "flow.py")
        assert (done.code, done.out.count("-->")) == (0, 600)
        assert done.err == (
            "flow has 601 tasks, which Mermaid draws only where its limits are raised; --select TASK draws a part\n"
        )

    def test_what_nobody_can_look_at(self, script: Script, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("graflow.show.drawing.MOST_DRAWN", 600)
        done = call("show", script(LONG), "-f", "svg")
        assert (done.code, done.out) == (2, "")
        assert done.err == (
            "Error: cannot draw 'flow': it takes 601 boxes, and more than 600 are too many to look at; draw a part of "
            "it, or write it as dot or json; --select TASK draws a part\n"
        )

    def test_no_task_runs(self, script: Script, call: Call) -> None:
        script("@task\ndef boom():\n    raise SystemExit('it ran')\nflow = Workflow.of('flow', returns=boom)")
        assert call("show", "flow.py").code == 0
        assert call("check", "flow.py").code == 0
