"""The sessions that docs/guides/command-line.md shows, held against what the command says."""

import re
import shlex
import shutil
from pathlib import Path

from .conftest import Call, Script

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "command-line.md").read_text(encoding="utf-8")
SESSIONS = [
    re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, flags=re.MULTILINE)
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
]
_TIME = re.compile(r"(\\ )*(?:\d+\\ min\\ \d\d|[\d.\\]+)\\ (?:µs|ms|s)\b")
_DATE = re.compile(r"\d{4}\\-\d\d\\-\d\d\\ \d\d:\d\d:\d\d")


def pattern(lines: list[str]) -> str:
    """What the page shows as a regular expression.

    Times, dates, run ids, numbers of threads and the room between columns may differ, and ``...`` stands for anything.
    """
    parts = []
    for line in lines:
        if line == "...":
            parts.append(r"(.*\n)*?")
        else:
            text = _TIME.sub(r" *[\\d.]+ (µs|ms|s)", re.escape(line)).replace(re.escape("..."), ".*")
            text = _DATE.sub(r"\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d", text)
            text = re.sub(r"run\\ [0-9a-f]{4}\b", "run [0-9a-f]{4,}", text)
            text = re.sub(r"thread\\-\d", r"thread-\\d+", text)
            parts.append(re.sub(r"(\\ ){2,}", " +", text) + r" *\n")
    return "".join(parts)


def code_of(lines: list[str]) -> int:
    """The exit code that goes with what the page shows."""
    if any(line.startswith("Error") for line in lines):
        return 2
    if any(re.match(r"\w+ timed out in ", line) for line in lines):
        return 124
    return int(any(re.match(r"\w+ failed in ", line) for line in lines))


def test_the_page_has_sessions() -> None:
    assert [len(session) for session in SESSIONS] == [1, 1, 1, 1, 3, 3, 3, 1, 1, 3, 1]


def test_the_commands_say_what_the_page_says(script: Script, call: Call) -> None:
    files = re.findall(r"`(\w+\.py)`[^\n]*:\n\n```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == ["sales.py", "release.py"]
    for name, code in files:
        script(code, name, head="")
    Path("sales.txt").write_text("3\n9\n5\n7\n")
    for command, shown in (each for session in SESSIONS for each in session):
        name, *args = shlex.split(command.partition(" > ")[0])
        if name == "cp":
            shutil.copy(*args)
            continue
        lines = shown.splitlines()
        done = call(*args)
        assert done.code == code_of(lines), f"{command}\n{done.err}"
        said = done.err + done.out
        assert " > " in command or re.fullmatch(pattern(lines), said), f"{command}\n{pattern(lines)}\n{said}"
