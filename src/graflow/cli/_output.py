"""Where output goes: the answer to standard output, everything about the run to standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from graflow.cli._trouble import Trouble

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: How wide lines may get where there is no terminal to say so.
_PLAIN_WIDTH = 160
_OUT, _ERR = 1, 2


def answer(text: str) -> None:
    """Write to standard output. A reader that has gone away, such as ``head``, is no error.

    Raises:
        Trouble: it cannot be written, for instance because the disk is full.
    """
    try:
        click.echo(text, nl=not text.endswith("\n"))
        sys.stdout.flush()
    except BrokenPipeError:
        discard()
    except OSError as error:
        discard()
        raise Trouble(f"cannot write to standard output: {error.strerror}") from error


def discard() -> None:
    """Send the rest of standard output nowhere, so that the interpreter does not trip over it as it exits."""
    with contextlib.suppress(OSError, ValueError):  # no real file: nothing is left in it
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def standard_output_kept() -> Iterator[None]:
    """Have whatever is printed meanwhile, in this process or in those it starts, go to standard error."""
    sys.stdout.flush()
    kept = os.dup(_OUT)
    os.dup2(_ERR, _OUT)  # for processes, and for libraries that know nothing of Python's streams
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, _OUT)
        os.close(kept)


class _Lasting:
    """A stream that goes on in silence when its reader has gone away: a run must not fail because nobody watches it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._broken = False

    def write(self, text: str) -> int:
        """Write, as long as somebody reads."""
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, as long as somebody reads."""
        self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        if not self._broken:
            try:
                action()
            except (BrokenPipeError, ValueError):  # closed by its reader, or here
                self._broken = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def drawn(*parts: RenderableType) -> str:
    """Tables and texts as they look on standard output: in colour on a terminal, plain and wide elsewhere."""
    from rich.console import Console

    console = Console(highlight=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PLAIN_WIDTH
    with console.capture() as capture:
        for part in parts:
            console.print(part, soft_wrap=not hasattr(part, "columns"))
    return "\n".join(line.rstrip() for line in capture.get().split("\n"))


def error_console() -> Console:
    """Standard error, to draw on."""
    from rich.console import Console

    console = Console(file=cast(TextIO, _Lasting(sys.stderr)), highlight=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PLAIN_WIDTH
    return console
