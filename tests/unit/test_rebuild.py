"""What one process of a script wrote, read back by another process of the same script."""

import pickle
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from graflow.engine import codec
from graflow.engine.rebuild import rebuild
from graflow.errors import SerializationError

SCRIPT = """
    import enum, sys
    from dataclasses import dataclass
    from pathlib import Path

    from pydantic import BaseModel

    from graflow import LocalRunner, Workflow, inputs, task

    class Where(BaseModel, frozen=True):
        folder: Path

    class Size(enum.Enum):
        SMALL = 1

    @dataclass(frozen=True)
    class Row:
        size: Size

        def told(self) -> str:
            return "TOLD"

    @task(cache=True)
    def first(folder: Path) -> Row:
        (folder / "first ran").open("x").close()
        return Row(Size.SMALL)

    @task
    def second(row: Row, folder: Path) -> str:
        assert isinstance(row, Row)
        assert row.size is Size.SMALL
        assert row == Row(Size.SMALL)
        if not (folder / "go").exists():
            raise OSError("not yet")
        return row.told()

    if __name__ == "__main__":
        src = inputs(Where)
        flow = Workflow.builder("flow", inputs=Where).add(first, src.folder).add(second, first.out, src.folder)
        flow = flow.build(returns=second)
        runner = LocalRunner("inline", store="runs.db")
        match sys.argv[1:]:
            case ["resume"]:
                print(runner.resume("monday", flow).value)
            case ["resume", "keep"]:
                print(runner.resume("monday", flow, changed="keep").value)
            case ["resume", "stored"]:
                print(runner.resume("monday").value)
            case [name]:
                print(runner.run(flow, Where(folder=Path(".")), run_id=name, check=False).state)
"""


class Session:
    """A folder with the script."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("old")

    def write(self, word: str) -> None:
        (self.folder / "flow.py").write_text(dedent(SCRIPT).replace("TOLD", word))

    def __call__(self, *args: str) -> str:
        done = subprocess.run(
            [sys.executable, "flow.py", *args], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


@pytest.mark.parametrize("args", [["resume"], ["resume", "stored"]])
def test_a_script_goes_on_with_a_run_of_an_earlier_process(session: Session, args: list[str]) -> None:
    assert session("monday") == "failed"
    (session.folder / "go").touch()
    assert session(*args) == "old"


def test_a_cached_result_is_an_instance_of_the_class_of_today(session: Session) -> None:
    (session.folder / "go").touch()
    assert session("monday") == "succeeded"
    assert session("tuesday") == "succeeded"


def test_a_class_is_that_of_today_and_not_as_it_was_written_down(session: Session) -> None:
    assert session("monday") == "failed"
    (session.folder / "go").touch()
    session.write("new")
    assert session("resume", "keep") == "new"


def test_what_no_script_defines_is_made_as_ever() -> None:
    class Local:
        word = "local"

    assert rebuild(codec.dumps(Local)).word == "local"
    assert rebuild(codec.dumps({"a": (1, 2.5, None)})) == {"a": (1, 2.5, None)}


@pytest.mark.parametrize("data", [b"", b"nonsense", pickle.dumps(1)[:-1]])
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(SerializationError, match=f"cannot rebuild a value from {len(data)} bytes: "):
        rebuild(data)
