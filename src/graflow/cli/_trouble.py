"""What goes wrong on the user's side, told in the user's terms: messages, and the frames of the user's own code."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator
from typing import NamedTuple

import click

from graflow.show.progress import error_text
from graflow.show.text import clean

#: Of a long traceback, how many frames are shown from its start and from its end.
_FIRST, _LAST = 3, 5
_FRAME = re.compile(r'^ *(?:\| +)?File "(?P<file>.*)", line (?P<line>\d+), in (?P<name>.*)$')
#: Files in which nobody looks for the cause: the import system's, and ours.
_UNTOLD = re.compile(r"^<frozen |[/\\]graflow[/\\]")
_REMOTE = "raised in process "


class Trouble(click.ClickException):
    """The call, the workflow's file or its definition is wrong; exits with 2 and without a traceback of ours."""

    exit_code = 2

    def format_message(self) -> str:
        """The message, without control characters that a terminal would obey."""
        return printable(self.message)


def printable(text: str) -> str:
    """The text with control characters replaced, line by line."""
    return "\n".join(map(clean, text.split("\n")))


class Frame(NamedTuple):
    """One frame of a traceback, as text."""

    file: str
    line: str
    name: str
    source: str

    @property
    def is_users(self) -> bool:
        """Whether it lies in the user's own code: not installed, not the standard library's, not ours."""
        from graflow.core._code import _in_library

        return not _in_library(self.file)


def user_frames(error: BaseException) -> list[str]:
    """The lines of a short traceback: the user's frames, and where it was raised if that is in a library."""
    frames = list(_frames(error))
    own = [frame for frame in frames if frame.is_users]
    shown = own if len(own) <= _FIRST + _LAST else [*own[:_FIRST], None, *own[-_LAST:]]
    lines: list[str] = []
    for frame in shown:
        if frame is None:
            lines.append(f"... {len(own) - _FIRST - _LAST} more frames")
            continue
        lines.append(f"{short_path(frame.file)}:{frame.line} in {frame.name}")
        if frame.source:
            lines.append(f"    {frame.source}")
    if frames and not frames[-1].is_users and not _UNTOLD.search(frames[-1].file):
        lines.append(f"raised in {short_path(frames[-1].file)}:{frames[-1].line} in {frames[-1].name}")
    return [clean(line) for line in lines]


def user_traceback(error: BaseException, indent: str = "  ") -> str:
    """The short traceback of an exception and of what caused it, as lines that each start with a line feed."""
    lines = user_frames(error)
    seen = {id(error)}
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        lines.append(f"because of {error_text(cause)}")
        lines.extend(f"  {line}" for line in user_frames(cause))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "".join(f"\n{indent}{line}" for line in lines)


def full_traceback(error: BaseException) -> str:
    """Everything that Python knows of an exception; of one from another process, that process's traceback."""
    return "".join(traceback.format_exception(error))


def short_path(file: str) -> str:
    """A path as the user would type it: from the working directory, if it lies in there."""
    inside = os.path.join(os.getcwd(), "")
    return file.removeprefix(inside)


def _frames(error: BaseException) -> Iterator[Frame]:
    """The frames of an exception, outermost first; of one from another process, as its note tells them."""
    notes: list[object] = list(getattr(error, "__notes__", None) or ())
    remote = [note for note in notes if isinstance(note, str) and note.startswith(_REMOTE)]
    if not remote:
        for summary in traceback.extract_tb(error.__traceback__):
            yield Frame(summary.filename, str(summary.lineno), summary.name, summary.line or "")
        return
    # The last exception of the text is this one; those before are its causes.
    lines = remote[-1].rpartition("Traceback (most recent call last):\n")[2].splitlines()
    for place, line in enumerate(lines):
        found = _FRAME.match(line)
        if found:
            after = lines[place + 1].strip() if place + 1 < len(lines) else ""
            yield Frame(found["file"], found["line"], found["name"], "" if _FRAME.match(after) else after)
