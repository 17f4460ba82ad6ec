"""The stub of cloudpickle says what the installed package does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STUBS = ROOT / "stubs"


def stubtest(stubs: Path) -> subprocess.CompletedProcess[str]:
    """Compare the stub in a folder with the package that is installed."""
    command = [sys.executable, "-m", "mypy.stubtest", "cloudpickle", "--allowlist", str(STUBS / "allowlist.txt")]
    environment = {**os.environ, "MYPYPATH": str(stubs)}
    return subprocess.run(command, cwd=stubs, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", autouse=True)
def _mypy() -> None:
    pytest.importorskip("mypy.stubtest")


def test_the_stub_matches_the_package() -> None:
    checked = stubtest(STUBS)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_stub_that_lies_is_caught(tmp_path: Path) -> None:
    stub = (STUBS / "cloudpickle" / "__init__.pyi").read_text()
    lie = stub.replace("def dumps(obj: Any, protocol:", "def dumps(obj: Any, level:")
    assert lie != stub
    (tmp_path / "cloudpickle").mkdir()
    (tmp_path / "cloudpickle" / "__init__.pyi").write_text(lie)
    checked = stubtest(tmp_path)
    assert checked.returncode == 1
    assert "cloudpickle.dumps" in checked.stdout
