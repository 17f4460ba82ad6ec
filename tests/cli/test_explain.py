"""`graflow run --explain`: for each task, whether it ran and why."""

import json
import re
from pathlib import Path
from textwrap import dedent

import pytest

from .conftest import Call, Script

FLOW = """
    from pydantic import BaseModel

    class Given(BaseModel, frozen=True):
        rows: int = 1

    src = inputs(Given)

    @task(cache=True)
    def clean(rows: int) -> int:
        return rows + 1

    @task(cache=Cache(ttl=3600))
    def load(broken: bool) -> bool:
        return broken

    @task
    def report(clean: int, load: bool) -> int:
        if load:
            raise ValueError("no")
        return clean

    @task
    def send(report: int) -> int:
        return report

    flow = Workflow.builder("flow", inputs=Given).add(clean, src.rows).add(load, False)
    flow = flow.add(report, clean.out, load.out).add(send, report.out).build(returns=send)
"""


def explained(err: str) -> list[str]:
    """The lines that explain; how old a cached result is does not count."""
    return [re.sub(r"cached \d+ s ago", "cached N s ago", line) for line in err.splitlines()]


@pytest.fixture
def flow(script: Script) -> Path:
    return script(FLOW)


def test_each_task_gets_a_line(flow: Path, call: Call) -> None:
    first = call("run", flow, "--explain", "-q")
    assert (first.code, first.out) == (0, "2\n")
    assert explained(first.err) == [
        "clean   ran  never cached before",
        "load    ran  never cached before",
        "report  ran  no cache policy",
        "send    ran  no cache policy",
    ]
    second = call("run", flow, "--rows", 5, "--explain", "-q")
    assert (second.code, second.out) == (0, "6\n")
    assert explained(second.err) == [
        "clean   ran     input 'rows' changed",
        "load    cached  cached N s ago",
        "report  ran     no cache policy",
        "send    ran     no cache policy",
    ]
    flow.write_text(flow.read_text().replace("rows + 1", "rows + 2"))
    assert (
        explained(call("run", flow, "--explain", "-q").err)[0]
        == "clean   ran     its code changed, input 'rows' changed"
    )


def test_what_did_not_run_says_why(script: Script, call: Call) -> None:
    head, _, _ = FLOW.partition("    flow = ")
    build = """
        flow = Workflow.builder("flow").add(clean, 1).add(load, True).add(report, clean.out, load.out)
        flow = flow.add(send, report.out).build(returns=send)
        """
    done = call("run", script(dedent(head) + dedent(build)), "--explain", "--run-id", "monday")
    assert done.code == 1
    assert "report  ran      no cache policy" in done.err.splitlines()
    assert "send    skipped  task 'report' failed" in done.err.splitlines()
    assert explained(call("resume", "monday", "--explain", "-q").err)[-4:] == [
        "clean   kept     succeeded in the run that was resumed",
        "load    kept     succeeded in the run that was resumed",
        "report  ran      had not succeeded",
        "send    skipped  task 'report' failed",
    ]
    assert explained(call("run", "flow.py", "--explain", "--run-id", "monday", "-q").err)[-4:] == [
        "clean   kept  the run had ended before",
        "load    kept  the run had ended before",
        "report  kept  the run had ended before",
        "send    kept  the run had ended before",
    ]


def test_cached_tasks_are_counted_apart(flow: Path, call: Call) -> None:
    call("run", flow, "-q")
    done = call("run", flow)
    assert "[1/4] clean cached" in done.err.splitlines() or "[2/4] clean cached" in done.err.splitlines()
    assert re.fullmatch(
        r"flow succeeded in .*: 4 succeeded \(2 cached\) \(run [0-9a-f]{4}\)", done.err.splitlines()[-1]
    )


def test_json_says_it_too(flow: Path, call: Call) -> None:
    call("run", flow, "-q")
    tasks = json.loads(call("run", flow, "-q", "--json").out)["tasks"]
    assert [(one["id"], one["source"]) for one in tasks] == [
        ("clean", "cache"),
        ("load", "cache"),
        ("report", "run"),
        ("send", "run"),
    ]
    assert re.fullmatch(r"cached \d+ s ago", tasks[0]["reason"])
