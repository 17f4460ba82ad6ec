"""``graflow run``: run a workflow, with its inputs as options."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from graflow.cli._output import answer, error_console
from graflow.cli._trouble import printable

if TYPE_CHECKING:
    from rich.console import Console

    from graflow.cli._inputs import Input
    from graflow.cli._summary import Summary
    from graflow.core.workflow import Workflow
    from graflow.runners.local import Executor

_WORKFLOW, _INPUTS, _OPTIONS = "graflow.workflow", "graflow.inputs", "graflow.options"


class RunCommand(click.Command):
    """Loads the workflow as soon as its name is read, to learn which further options there are."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Load the workflow, then read all options."""
        if not ctx.resilient_parsing:  # completion must not run anybody's code
            self._load(ctx, args)
        return super().parse_args(ctx, args)

    def _load(self, ctx: click.Context, args: list[str]) -> None:
        up_to_target, own_options = self.make_parser(ctx), self.make_parser(ctx)
        up_to_target.allow_interspersed_args = False
        own_options.ignore_unknown_options = True
        try:
            target = up_to_target.parse_args(list(args))[0].get("target")
        except click.NoSuchOption as error:
            message = f"No such option: {error.option_name}. Options of the inputs come after WORKFLOW."
            raise click.UsageError(message, ctx) from error
        if not isinstance(target, str):
            return  # there is none, and click will say so
        app_dir = own_options.parse_args(list(args))[0].get("app_dir")
        from graflow.cli._inputs import inputs_of, option_for
        from graflow.cli._load import load

        workflow = load(target, app_dir if isinstance(app_dir, str) else None)
        taken = [option for parameter in self.params for option in (*parameter.opts, *parameter.secondary_opts)]
        inputs = inputs_of(workflow.inputs, taken)
        ctx.meta[_WORKFLOW], ctx.meta[_INPUTS] = workflow, inputs
        ctx.meta[_OPTIONS] = [option for given in inputs if (option := option_for(given)) is not None]

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own parameters and the workflow's inputs."""
        return [*super().get_params(ctx), *ctx.meta.get(_OPTIONS, ())]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The inputs of the workflow first, then the command's own options."""
        if _WORKFLOW in ctx.meta:
            with formatter.section(f"Inputs of {ctx.meta[_WORKFLOW].name!r}"):
                _write_inputs(ctx, formatter, ctx.meta[_INPUTS])
        with formatter.section("Options"):
            options = (parameter for parameter in super().get_params(ctx) if isinstance(parameter, click.Option))
            records = (option.get_help_record(ctx) for option in options)
            formatter.write_dl([record for record in records if record is not None])


def _write_inputs(ctx: click.Context, formatter: click.HelpFormatter, inputs: list[Input]) -> None:
    records = [record for option in ctx.meta[_OPTIONS] if (record := option.get_help_record(ctx)) is not None]
    records += [
        (f"--inputs '{{\"{given.key or given.name}\": ...}}'", given.field.description or "")
        for given in inputs
        if given.option is None
    ]
    model = ctx.meta[_WORKFLOW].inputs
    if records:
        formatter.write_dl(records)
    else:
        formatter.write_text("none" if model is None else f"--inputs JSON, as {model.__name__} reads it")


@click.command(
    cls=RunCommand,
    short_help="Run a workflow, and print its value.",
    epilog="`graflow run WORKFLOW --help` lists the inputs of that workflow. Exit codes: 0 it succeeded, 1 a task "
    "failed, 2 the definition or the call is wrong, 130 interrupted.",
)
@click.argument("target", metavar="WORKFLOW")
@click.option(
    "--executor",
    type=click.Choice(["inline", "threads", "processes"]),
    default="threads",
    show_default=True,
    help="Where tasks run that do not say so themselves.",
)
@click.option("--max-workers", type=click.IntRange(min=1), metavar="N", help="How many threads, or processes.")
@click.option("--inputs", "inputs_text", metavar="JSON|@FILE", help="Inputs as a JSON object, or a file with one.")
@click.option("--app-dir", metavar="DIR", help="Look for MODULE in this directory, too; . is the working directory.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON instead of the value.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress and no summary.")
@click.option("--traceback", is_flag=True, help="Show errors with all their frames, ours included.")
@click.pass_context
def run(
    ctx: click.Context,
    /,
    executor: Executor,
    max_workers: int | None,
    inputs_text: str | None,
    as_json: bool,
    quiet: bool,
    traceback: bool,
    **values: Any,
) -> None:
    """Run WORKFLOW, and print its value.

    WORKFLOW is FILE.py, FILE.py:NAME or MODULE:NAME; its inputs are options that come after it.
    """
    from graflow.cli._inputs import read_inputs
    from graflow.cli._watch import Abandoned, Watch
    from graflow.show.progress import progress_on

    workflow: Workflow[Any, Any] = ctx.meta[_WORKFLOW]
    inputs = read_inputs(workflow.inputs, ctx.meta[_INPUTS], values, inputs_text)
    console = error_console()
    progress = None if quiet else progress_on(console, workflow.name, len(workflow.tasks))
    watch = Watch(workflow)
    try:
        summary = watch.run(inputs, executor, max_workers, progress=progress, spare_output=as_json)
    except Abandoned as error:
        error.show()
        sys.stdout.flush()
        os._exit(error.exit_code)  # a normal exit may wait for threads of the tasks
    _report(console, summary, quiet=quiet, tracebacks=traceback)
    if as_json:
        from graflow.cli._summary import as_dict

        answer(json.dumps(as_dict(summary, watch.value), indent=2))
    elif watch.value is not None:
        answer(value_text(watch.value))
    ctx.exit(watch.exit_code)


def _report(console: Console, summary: Summary, *, quiet: bool, tracebacks: bool) -> None:
    from graflow.cli._summary import draw_summary, failure_texts

    for text in failure_texts(summary, tracebacks=tracebacks):
        console.print(text, markup=False, soft_wrap=True)
    if not quiet:
        draw_summary(console, summary)


def value_text(value: Any) -> str:
    """How the value of a run is printed: text and paths as they are, everything else on one short line."""
    from graflow.cli._summary import short

    if isinstance(value, str):
        return printable(value)
    if isinstance(value, os.PathLike) and isinstance(path := os.fspath(value), str):
        return path
    return short(value)
