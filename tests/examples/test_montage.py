"""The Montage example: its numbers hold together, and its picture shows every task."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "07_real_world" / "montage.py"


def run(*arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLE), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_no_run_is_shorter_than_the_critical_path(tmp_path: Path) -> None:
    picture = tmp_path / "montage.svg"
    lines = run("--picture", str(picture))
    assert lines[:5] == [
        "montage, WfFormat 1.5",
        "tasks: 22, edges: 44, depth: 8, width: 7",
        "work: 94.6 s, critical path: 31.7 s",
        "makespan when recorded: 46.3 s",
        "at scale 0.01 the critical path takes 0.317 s",
    ]
    measured = [re.fullmatch(r"([1248]) workers: (\d+\.\d{3}) s", line) for line in lines[5:9]]
    seconds = [float(one[2]) for one in measured if one]
    assert len(seconds) == 4
    # A law, not a speed: tasks that sleep never sleep for less, and one worker runs them one after the other.
    assert all(one >= 0.317 for one in seconds)
    assert seconds[0] >= 0.946
    assert lines[9:] == [f"the last run is drawn in {picture}"]
    drawn = picture.read_text("utf-8")
    assert all(id in drawn for id in ("mProject_1", "mBgModel", "mViewer"))


def test_an_instance_of_your_own(tmp_path: Path) -> None:
    own = tmp_path / "one.json"
    tasks = [{"name": "only", "runtimeInSeconds": 2}]
    own.write_text(json.dumps({"name": "one", "schemaVersion": "1.4", "workflow": {"tasks": tasks}}))
    lines = run(str(own), "--scale", "0")
    assert lines[:2] == ["one, WfFormat 1.4", "tasks: 1, edges: 0, depth: 1, width: 1"]
    assert len(lines) == 9


def test_the_data_is_what_its_schema_asks_for() -> None:
    data = json.loads(EXAMPLE.with_name("montage.json").read_text("utf-8"))
    specification = data["workflow"]["specification"]
    known = {file["id"] for file in specification["files"]}
    assert all(known.issuperset([*task["inputFiles"], *task["outputFiles"]]) for task in specification["tasks"])
    written = {file: task["id"] for task in specification["tasks"] for file in task["outputFiles"]}
    for task in specification["tasks"]:
        assert {written[file] for file in task["inputFiles"] if file in written} == set(task["parents"]), task["id"]
    assert "invented" in data["description"]


@pytest.mark.parametrize("key", ["name", "description", "createdAt", "schemaVersion", "runtimeSystem", "workflow"])
def test_the_data_has_the_keys_of_the_schema(key: str) -> None:
    assert key in json.loads(EXAMPLE.with_name("montage.json").read_text("utf-8"))
