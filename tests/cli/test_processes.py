"""The command as a program of its own: signals, terminals, closed pipes, and what it loads."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from .conftest import Script

GRAFLOW = [sys.executable, "-m", "graflow"]
PATIENCE = 60.0

WAITS = """
    import os, pathlib, time
    from pydantic import BaseModel

    class Where(BaseModel, frozen=True):
        folder: pathlib.Path

    src = inputs(Where)

    def wait(folder: pathlib.Path, name: str) -> str:
        (folder / f"{name}.{os.getpid()}").touch()
        while not (folder / "go").exists():
            time.sleep(0.01)
        return name

    @task
    def one(folder: pathlib.Path) -> str:
        return wait(folder, "one")

    @task
    def two(folder: pathlib.Path) -> str:
        return wait(folder, "two")

    @task
    def last(one: str, two: str) -> str:
        return one + two

    flow = Workflow.builder("flow", inputs=Where).add(one, src.folder).add(two, src.folder).add(last, one.out, two.out)
    flow = flow.build(returns=last)
"""


def graflow(*args: object, code: str | None = None, **options: object) -> subprocess.CompletedProcess[str]:
    """Call the command line in a new process."""
    command = GRAFLOW if code is None else [sys.executable, "-c", code]
    return subprocess.run(  # type: ignore[call-overload, no-any-return]  # options as they come
        [*command, *map(str, args)], text=True, timeout=PATIENCE, **{"capture_output": True, **options}
    )


class Session:
    """A run in a pseudo-terminal, whose Ctrl-C reaches the whole process group, as with a real one."""

    def __init__(self, script: Script, tmp_path: Path, executor: str) -> None:
        self.folder = tmp_path / "marks"
        self.folder.mkdir()
        self.output = b""
        self._master, terminal = pty.openpty()
        self.process = subprocess.Popen(
            [*GRAFLOW, "run", str(script(WAITS)), "--executor", executor, "--folder", str(self.folder)],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
        )
        os.close(terminal)

    def until(self, happened: Callable[[], bool]) -> None:
        """Read what the terminal shows until something has happened."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            ended = self.process.poll() is not None
            self.read()
            assert happened() or not ended, self.output.decode()
            assert time.monotonic() < deadline, self.output.decode()

    def read(self) -> None:
        if select.select([self._master], [], [], 0.01)[0]:
            try:
                self.output += os.read(self._master, 65536)
            except OSError:  # Linux says so when nobody holds the other end any more
                assert self.process.wait(PATIENCE) is not None

    def shown(self, *words: str) -> Callable[[], bool]:
        return lambda: all(word.encode() in self.output for word in words)

    @property
    def pids(self) -> dict[str, int]:
        """Which process each task runs in."""
        return {mark.stem: int(mark.suffix[1:]) for mark in self.folder.iterdir() if mark.suffix}

    def interrupt(self, *, until_it_ends: bool = False) -> None:
        """Press Ctrl-C; or press it once a second, as an impatient user does."""
        os.killpg(self.process.pid, signal.SIGINT)
        pressed = time.monotonic()
        while until_it_ends and self.process.poll() is None:
            self.read()
            if time.monotonic() > pressed + 1:
                os.killpg(self.process.pid, signal.SIGINT)
                pressed = time.monotonic()

    def end(self) -> int:
        self.until(lambda: self.process.poll() is not None)
        return self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._master)


@pytest.fixture
def session(script: Script, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Session]:
    session = Session(script, tmp_path, request.param)
    yield session
    session.close()


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("session", ["threads"], indirect=True)
class TestThreads:
    def test_a_terminal_shows_what_runs_and_in_the_end_the_summary(self, session: Session) -> None:
        session.until(session.shown("0 of 3 tasks, 2 running", "  one  ", "  two  "))
        (session.folder / "go").touch()
        assert session.end() == 0
        last = session.output.rpartition(b"\x1b[2K")[2].decode()
        assert "flow succeeded in" in last
        assert last.rstrip().endswith("onetwo")

    def test_ctrl_c_waits_for_what_runs_and_starts_nothing_more(self, session: Session) -> None:
        session.until(lambda: len(session.pids) == 2)
        session.interrupt()
        session.until(session.shown("interrupted: waiting for one, two to end; press Ctrl-C again to abandon them"))
        (session.folder / "go").touch()
        assert session.end() == 130
        assert b"flow cancelled in" in session.output
        assert b"2 succeeded, 1 cancelled" in session.output
        assert b"Traceback" not in session.output

    def test_a_second_ctrl_c_abandons_it(self, session: Session) -> None:
        session.until(lambda: len(session.pids) == 2)
        session.interrupt()
        session.until(session.shown("press Ctrl-C again"))
        session.interrupt(until_it_ends=True)
        assert session.end() == 130
        assert b"Error: abandoned while one, two still ran" in session.output
        assert b"Traceback" not in session.output

    def test_sigterm_does_the_same_as_ctrl_c(self, session: Session) -> None:
        session.until(lambda: len(session.pids) == 2)
        session.process.terminate()
        session.until(session.shown("interrupted: waiting for"))
        (session.folder / "go").touch()
        assert session.end() == 143


@pytest.mark.parametrize("session", ["processes"], indirect=True)
def test_ctrl_c_ends_the_processes_of_a_run(session: Session) -> None:
    session.until(lambda: len(session.pids) == 2)
    pids = session.pids
    assert session.process.pid not in pids.values()
    session.interrupt()
    assert session.end() == 130
    assert all(is_gone(pid) for pid in pids.values())
    assert b"Traceback" not in session.output


@pytest.mark.parametrize("session", ["inline"], indirect=True)
def test_ctrl_c_ends_a_task_that_runs_in_the_calling_thread(session: Session) -> None:
    session.until(lambda: len(session.pids) == 1)
    assert list(session.pids.values()) == [session.process.pid]
    session.interrupt()
    assert session.end() == 130
    assert b"failed in inline: KeyboardInterrupt" in session.output
    assert b"Traceback" not in session.output


SMALL = "@task\ndef give():\n    return 'value'\nflow = Workflow.of('flow', give, returns=give)\n"


class TestPipes:
    @pytest.mark.parametrize(("command", "both"), [("show", False), ("run", False), ("run", True)])
    def test_a_reader_that_has_gone_away_is_no_error(self, script: Script, command: str, both: bool) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            stderr = writer if both else subprocess.PIPE
            done = graflow(command, script(SMALL), capture_output=False, stdout=writer, stderr=stderr)
        finally:
            os.close(writer)
        assert done.returncode == 0
        assert "Error" not in (done.stderr or "")
        assert "Traceback" not in (done.stderr or "")

    @pytest.mark.parametrize(("args", "code"), [(["flow.py", "--json"], 1), (["missing.py"], 2), (["--rnu"], 2)])
    def test_a_call_that_nobody_watches_fails_all_the_same(
        self, script: Script, args: Sequence[str], code: int
    ) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        script("@task\ndef fails():\n    1 / 0\nflow = Workflow.of('flow', returns=fails)\n")
        try:
            done = graflow("run", *args, capture_output=False, stdout=writer, stderr=writer)
        finally:
            os.close(writer)
        assert done.returncode == code

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
    def test_a_full_disk_is_an_error(self, script: Script) -> None:
        with open("/dev/full", "w") as full:
            done = graflow("show", script(SMALL), capture_output=False, stdout=full, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr) == (
            2,
            "Error: cannot write to standard output: No space left on device\n",
        )

    def test_streams_may_be_closed(self, script: Script) -> None:
        command = ["sh", "-c", '"$@" >&- 2>&-', "sh", *GRAFLOW, "run", str(script(SMALL))]
        assert subprocess.run(command, timeout=PATIENCE).returncode == 0

    def test_progress_is_plain_lines_and_the_value_alone_is_on_standard_output(self, script: Script) -> None:
        done = graflow("run", script(SMALL))
        assert (done.returncode, done.stdout) == (0, "value\n")
        assert done.stderr.startswith("[1/1] give succeeded in ")
        assert "\x1b" not in done.stderr


class TestWhatItLoads:
    def loaded(self, *args: str) -> set[str]:
        code = (
            "import sys\nfrom graflow.cli import main\ntry:\n    main()\n"
            "finally:\n    print(*sys.modules, sep='\\n', file=sys.stderr)"
        )
        done = graflow(*args, code=code)
        assert done.returncode == 0, done.stderr
        return set(done.stderr.splitlines())

    @pytest.mark.parametrize("args", [["--help"], ["run", "--help"]])
    def test_help_loads_nothing_heavy(self, args: Sequence[str]) -> None:
        heavy = {"asyncio", "beartype", "cloudpickle", "numpy", "pydantic", "redis", "rich", "rustworkx"}
        assert self.loaded(*args) & heavy == set()

    @pytest.mark.parametrize("package", ["click", "rich"])
    def test_without_the_extra_it_says_what_to_install(self, package: str) -> None:
        code = f"import sys\nsys.modules[{package!r}] = None\nfrom graflow.cli import main\nmain()"
        done = graflow("--help", code=code)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"graflow: the command line needs {package}, which is not installed; in a checkout of graflow run: "
            f"pip install '.[cli]'   (elsewhere: pip install {package})\n"
        )

    def test_the_working_directory_is_not_searched_whichever_way_it_is_called(self, script: Script) -> None:
        script(SMALL, "users_module.py")
        done = graflow("run", "users_module:flow")
        assert done.returncode == 2
        assert "did you mean the file users_module.py?" in done.stderr

    def test_the_version(self) -> None:
        done = graflow("--version")
        assert done.stdout.startswith("graflow ")
        assert done.stdout.endswith(f", Python {'.'.join(map(str, sys.version_info[:3]))}\n")


def test_an_error_of_ours_says_how_to_see_it(script: Script) -> None:
    code = (
        "import graflow.cli._load as load\n"
        "def broken(*args): raise TypeError('ours')\n"
        "load.parse = broken\nfrom graflow.cli import main\nmain()"
    )
    done = graflow("show", script(SMALL), code=code)
    assert (done.returncode, done.stderr) == (
        1,
        "Error: graflow itself failed: TypeError: ours; add --traceback to see where\n",
    )
    assert "Traceback" in graflow("show", script(SMALL), "--traceback", code=code).stderr
