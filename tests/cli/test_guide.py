"""The sessions that docs/guides/command-line.md shows, held against what the command says."""

import re
import shlex
from pathlib import Path

import pytest

from .conftest import Call, Script

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "command-line.md").read_text(encoding="utf-8")
SESSIONS = [
    (command, lines.splitlines())
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    for command, lines in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, flags=re.MULTILINE)
]
_TIME = re.compile(r"(\\ )*[\d.\\]+\\ (µs|ms|s)\b")


def pattern(lines: list[str]) -> str:
    """What the page shows as a regular expression: times may differ, and ``...`` stands for anything."""
    parts = []
    for line in lines:
        if line == "...":
            parts.append(r"(.*\n)*?")
        else:
            text = _TIME.sub(r" *[\\d.]+ (µs|ms|s)", re.escape(line)).replace(re.escape("..."), ".*")
            parts.append(re.sub(r"attempts(\\ )+time", r"attempts +time", text) + r"\n")
    return "".join(parts)


def test_the_page_has_sessions() -> None:
    assert len(SESSIONS) == 7


@pytest.mark.parametrize(("command", "lines"), SESSIONS, ids=[command for command, _ in SESSIONS])
def test_the_command_says_what_the_page_says(script: Script, call: Call, command: str, lines: list[str]) -> None:
    [code] = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    script(code, "sales.py", head="")
    Path("sales.txt").write_text("3\n9\n5\n7\n")
    command, _, target = command.partition(" > ")
    done = call(*shlex.split(command)[1:])
    assert done.code == (2 if any(line.startswith("Error") for line in lines) else 0)
    said = done.err + done.out
    assert target or re.fullmatch(pattern(lines), said), f"{pattern(lines)}\n{said}"
