"""mypy --strict and pyright accept one half of the files here, and refuse exactly the marked lines of the other.

No plugin takes part.

One run of each checker serves all tests here.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ACCEPTED = ["definitions.py", "accepted.py", "accepted_shapes.py"]
REJECTED = ["rejected.py", "rejected_shapes.py"]
FILES = [HERE / name for name in (*ACCEPTED, *REJECTED)]
MARKED = {
    file: {
        number: found[1]
        for number, line in enumerate((HERE / file).read_text().splitlines(), 1)
        if (found := re.search(r"# E ([a-z-]+): \S", line))
    }
    for file in REJECTED
}

Complaints = dict[str, dict[int, list[tuple[str, str]]]]
"""By file name and line: what a checker says, as code and message."""


def mypy() -> Complaints:
    """What mypy --strict says."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-pretty", "--no-error-summary", "--show-absolute-path"]
    done = subprocess.run([*command, *map(str, FILES)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: Complaints = defaultdict(lambda: defaultdict(list))
    for line in done.stdout.splitlines():
        matched = re.match(r"(.+?):(\d+): error: (.*?)(?:  \[([a-z-]+)\])?$", line)
        if matched:
            file, number, message, code = matched.groups()
            found[Path(file).name][int(number)].append((code or "", message))
    return found


def pyright() -> Complaints:
    """What pyright says."""
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, *map(str, FILES)]
    environment = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: Complaints = defaultdict(lambda: defaultdict(list))
    for one in json.loads(done.stdout)["generalDiagnostics"]:
        if one["severity"] == "error":
            line = one["range"]["start"]["line"] + 1
            found[Path(one["file"]).name][line].append((one.get("rule", ""), one["message"]))
    return found


@pytest.fixture(scope="module", params=[mypy, pyright], ids=["mypy", "pyright"])
def said(request: pytest.FixtureRequest) -> Complaints:
    """The complaints of one checker."""
    pytest.importorskip(request.param.__name__)
    check: Callable[[], Complaints] = request.param
    return check()


def shown(file: str, complaints: dict[int, list[tuple[str, str]]]) -> str:
    lines = (HERE / file).read_text().splitlines()
    return "\n".join(f"{file}:{n}: {lines[n - 1]}\n    {complaints.get(n)}" for n in sorted(complaints))


@pytest.mark.parametrize("file", ACCEPTED)
def test_right_code_is_accepted(said: Complaints, file: str) -> None:
    assert not said[file], shown(file, said[file])


@pytest.mark.parametrize("file", REJECTED)
def test_exactly_the_marked_lines_are_refused(said: Complaints, file: str) -> None:
    refused, marked = said[file], MARKED[file]
    lines = (HERE / file).read_text().splitlines()
    missed = [f"{n}: {lines[n - 1]}" for n in marked if n not in refused]
    assert not missed, "accepted, but should not be:\n" + "\n".join(missed)
    extra = {n: what for n, what in refused.items() if n not in marked}
    assert not extra, shown(file, extra)


@pytest.mark.parametrize("file", REJECTED)
def test_mypy_gives_the_reason_that_is_marked(request: pytest.FixtureRequest, said: Complaints, file: str) -> None:
    if "mypy" not in request.node.callspec.id:
        return
    codes = {n: {code for code, _ in what} for n, what in said[file].items()}
    wrong = {n: (why, codes[n]) for n, why in MARKED[file].items() if n in codes and why not in codes[n]}
    assert not wrong


@pytest.mark.parametrize(("file", "least"), [("rejected.py", 70), ("rejected_shapes.py", 50)])
def test_there_is_something_to_refuse(file: str, least: int) -> None:
    assert len(MARKED[file]) > least
    assert sum("  # E " in line for line in (HERE / file).read_text().splitlines()) == len(MARKED[file])


def test_what_is_accepted_works() -> None:
    accepted = importlib.import_module("tests.typing.accepted")
    assert accepted.run.value == 2
    assert accepted.outer.last_run[accepted.total] == 2


def test_what_is_accepted_of_shapes_works() -> None:
    accepted = importlib.import_module("tests.typing.accepted_shapes")
    assert accepted.run.value == [4.0, 2.0]
    assert [record.id for record in accepted.run.items("score")] == ["score[0]", "score[1]"]
    assert accepted.run.channel(accepted.progress) == 2
