"""The batch example: small folders by hand, and the standard library against a count of its own."""

import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from graflow import LocalRunner

EXAMPLE = Path(__file__).parents[2] / "examples" / "07_real_world"
sys.path.insert(0, str(EXAMPLE))

import batch  # noqa: E402
from batch import Longest, Module  # noqa: E402

SOURCE = """\
class A:
    def short(self): ...

    async def long(self):
        return [
            1,
        ]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text(SOURCE)
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\ndef caf\xe9(): ...\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "apart.py").write_text("def nobody_looks_here(:")
    return tmp_path


def run(*folders: Path, executor: Any = "threads", limit: int | None = None) -> Any:
    return batch.batch.run(batch.Batch(folders=folders, limit=limit), runner=LocalRunner(executor, max_workers=2))


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_each_file_is_measured(folder: Path, executor: str) -> None:
    done = run(folder, executor=executor)
    assert done[batch.measured] == [
        Module(folder / "a.py", 7, 2, 1, Longest(4, "long")),
        Module(folder / "empty.py", 0, 0, 0, None),
        Module(folder / "latin.py", 2, 1, 0, Longest(1, "café")),
    ]
    assert done.value[:4] == (3, 9, 3, 1)
    assert done.value.longest == [(Longest(4, "long"), folder / "a.py"), (Longest(1, "café"), folder / "latin.py")]
    assert done.value.broken == {}


def test_a_broken_file_is_named_and_the_others_count(folder: Path) -> None:
    (folder / "broken.py").write_text("def half(:\n")
    (folder / "binary.py").write_bytes(b"\xff\xfe")
    done = run(folder)
    assert done.state == "succeeded"
    assert done.value.files == 3
    assert list(done.value.broken) == [folder / "binary.py", folder / "broken.py"]
    states = [item.state for item in done.items(batch.measured)]
    assert states == ["succeeded", "failed", "failed", "succeeded", "succeeded"]


def test_no_files_and_a_limit(folder: Path) -> None:
    assert run(folder / "nowhere").value == (0, 0, 0, 0, [], {})
    assert [one.path.name for one in run(folder, limit=2)[batch.measured]] == ["a.py", "empty.py"]


@pytest.mark.slow
def test_the_standard_library_agrees_with_a_plain_count() -> None:
    library = Path(sysconfig.get_path("stdlib"))
    report = run(library, executor="processes").value
    files = [path for path in library.rglob("*.py") if batch.APART.isdisjoint(path.relative_to(library).parts)]
    assert report.files == len(files) > 400
    assert report.broken == {}
    assert report.lines == sum(path.read_bytes().count(b"\n") for path in files)
    assert report.longest[0][0].lines > 200


def script(*arguments: str) -> list[str]:
    command = [sys.executable, "-W", "error", str(EXAMPLE / "batch.py"), *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_the_script_on_a_part_of_the_standard_library(executor: str) -> None:
    lines = script("--limit", "30", "--executor", executor)
    assert lines[0].split() == ["files", "29"]
    assert lines[4] == "longest functions:"
    assert lines[10] == "broken: broken.py: invalid syntax (<unknown>, line 1)"
    assert f"with {executor}" in lines[11]


def test_the_script_on_a_folder_of_ones_own(folder: Path) -> None:
    lines = script(str(folder), "--executor", "threads", "--workers", "1")
    assert lines[:3] == ["files             3", "lines             9", "functions         3"]
    assert "workers 1, slowest item measure[" in lines[-1]
