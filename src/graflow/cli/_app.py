"""The commands, gathered; and what becomes of errors."""

from __future__ import annotations

import contextlib
import io
import sys

import click

from graflow.cli._check import check
from graflow.cli._output import discard
from graflow.cli._resume import resume
from graflow.cli._run import run
from graflow.cli._runs import runs
from graflow.cli._schema import schema
from graflow.cli._show import show
from graflow.cli._signal import send
from graflow.cli._trouble import full_traceback, printable

INTERRUPTED = 130


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("graflow")
    except PackageNotFoundError:  # run from its source, without being installed
        number = "(not installed)"
    click.echo(f"graflow {number}, Python {'.'.join(map(str, sys.version_info[:3]))}")
    ctx.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit."
)
def app() -> None:
    """Run, check and draw workflows; look at runs, go on with them, and send them what they wait for.

    Each command takes WORKFLOW as FILE.py, FILE.py:NAME or MODULE:NAME, where NAME is a workflow, a block, or a
    function without parameters that gives one. A file or module that holds exactly one workflow needs no NAME.
    """


app.add_command(run)
app.add_command(resume)
app.add_command(runs)
app.add_command(send)
app.add_command(check)
app.add_command(show)
app.add_command(schema)


def run_app(args: list[str]) -> int:
    """Run the command that the arguments name.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that the terminal cannot show must not end a run
            stream.reconfigure(errors="backslashreplace")
    try:
        code = int(app.main(args, prog_name="graflow", standalone_mode=False) or 0)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the help has seen enough
        discard()
        code = 0
    except (click.Abort, click.ClickException) as error:
        code = error.exit_code if isinstance(error, click.ClickException) else INTERRUPTED
        with contextlib.suppress(BrokenPipeError):  # nobody reads what went wrong; the exit code still says so
            _tell(error, tracebacks="--traceback" in args)
    except Exception as error:  # the last place where anything can be told
        if "--traceback" in args:
            raise
        code = 1
        what = f"{type(error).__name__}: {error}"
        with contextlib.suppress(BrokenPipeError):
            click.echo(f"Error: graflow itself failed: {what}; add --traceback to see where", err=True)
    return code


def _tell(error: click.Abort | click.ClickException, *, tracebacks: bool) -> None:
    if not isinstance(error, click.ClickException):
        click.echo("interrupted", err=True)
        return
    if tracebacks and error.__cause__ is not None:
        click.echo(printable(full_traceback(error.__cause__)), err=True)
    error.show()
