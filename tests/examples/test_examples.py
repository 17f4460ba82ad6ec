"""Every example runs, and prints what its last lines say it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
ALL = sorted(path for path in EXAMPLES.rglob("[0-9]*/*.py"))


def promised(source: str) -> str | None:
    """What the comment at the end of an example says it prints."""
    found = re.search(r"^# Output:\n((?:#.*\n)+)\Z", source, re.MULTILINE)
    return None if found is None else "".join(line[2:] for line in found[1].splitlines(keepends=True))


SMALL = [path for path in ALL if promised(path.read_text("utf-8")) is not None]


def test_small_examples_are_found():
    assert len(SMALL) >= 10
    assert all(path in SMALL for path in ALL if "07_real_world" not in str(path))


@pytest.mark.parametrize("example", SMALL, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_an_example_prints_what_it_promises(example: Path):
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        line.rstrip() for line in (promised(example.read_text("utf-8")) or "").splitlines()
    ]
    assert "Warning" not in done.stderr, done.stderr
