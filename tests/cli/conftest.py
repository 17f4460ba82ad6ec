"""Scripts written on the spot, and the command line called in this process."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

from graflow.cli import main


class Done(NamedTuple):
    """How a call of the command line ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Done]
Script = Callable[..., Path]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Write a Python file into an empty working directory; every name of graflow is imported in it."""
    monkeypatch.chdir(tmp_path)

    def write(body: str, name: str = "flow.py", head: str = "from graflow import *\n") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + dedent(body), encoding="utf-8")
        return Path(name)

    return write


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Call the command line; afterwards forget what it loaded."""
    path, modules = list(sys.path), set(sys.modules)

    def run(*args: object) -> Done:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(arg) for arg in args])
        out, err = capfd.readouterr()
        assert isinstance(end.value.code, int)
        return Done(end.value.code, out, err)

    yield run
    sys.path[:] = path
    for name in ("__mp_main__", *(name for name in set(sys.modules) - modules if name.startswith("users_"))):
        sys.modules.pop(name, None)
