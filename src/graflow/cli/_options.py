"""Options that several commands share, and spans of time as users type them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from graflow.show.text import shorten

F = TypeVar("F", bound=Callable[..., Any])

_SPAN = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


if TYPE_CHECKING:
    _Seconds = click.ParamType[float]
else:
    _Seconds = click.ParamType  # which older versions of click do not know as generic


class Span(_Seconds):
    """A span of time in seconds: ``90``, ``90s``, ``5m``, ``2h``, ``30d``.

    Args:
        bare: whether a number without a unit means seconds; otherwise it is refused.
    """

    name = "span"

    def __init__(self, *, bare: bool) -> None:
        self._bare = bare

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read what the user typed."""
        found = _SPAN.fullmatch(str(value).strip())
        unit = found[2].lower() if found is not None else ""
        if found is None or (unit or "s") not in _SECONDS or (not unit and not self._bare):
            one = "90, 90s, 5m or 2h" if self._bare else "30s, 5m, 2h or 30d"
            self.fail(f"{shorten(str(value), 40)!r} is not a span of time; write it like {one}.", param, ctx)
        seconds = float(found[1]) * _SECONDS[unit or "s"]
        if not 0 < seconds < 1e11:  # beyond that, no date is left to go back to
            self.fail(f"{value} is not a span of time that anybody can wait.", param, ctx)
        return seconds


class Wishes(NamedTuple):
    """What the user of a run wants to be told, and how."""

    as_json: bool
    quiet: bool
    tracebacks: bool
    explain: bool


def told(command: F) -> F:
    """The options for what is told of a run: a command gets them as the fields of `Wishes`."""
    for option in reversed(
        [
            click.option("--explain", is_flag=True, help="Say of each task why it ran or did not."),
            click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON instead of the value."),
            click.option("-q", "--quiet", is_flag=True, help="Show no progress and no summary."),
            traceback_option("tracebacks"),
        ]
    ):
        command = option(command)
    return command


def traceback_option(name: str) -> Callable[[F], F]:
    """The option ``--traceback``."""
    return click.option("--traceback", name, is_flag=True, help="Show errors with all their frames, ours included.")


def workers(command: F) -> F:
    """The options for where tasks run."""
    executor = click.option(
        "--executor",
        type=click.Choice(["inline", "threads", "processes"]),
        help="Where tasks run that do not say so themselves; the default is threads.",
    )
    count = click.IntRange(min=1)
    return executor(
        click.option("--max-workers", type=count, metavar="N", help="How many threads, or processes.")(command)
    )


def timeout_option(help: str) -> Callable[[F], F]:
    """The option ``--timeout``."""
    return click.option("--timeout", type=Span(bare=True), metavar="SECONDS", help=help)


def app_dir_option(command: F) -> F:
    """The option ``--app-dir``."""
    return click.option(
        "--app-dir", metavar="DIR", help="Look for MODULE in this directory, too; . is the working directory."
    )(command)


def store_option(command: F) -> F:
    """The option ``--store``."""
    return click.option(
        "--store",
        "store_path",
        metavar="PATH",
        help="The file that keeps runs; the default is $GRAFLOW_STORE, or .graflow/runs.db in the working directory.",
    )(command)
