"""``graflow run``: run a workflow, with its inputs as options."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from graflow.cli._options import Wishes, app_dir_option, store_option, timeout_option, told, workers
from graflow.cli._store import Launch, choices, launch, option_for, path_of, refusals, store_to_write
from graflow.cli._trouble import Trouble
from graflow.core._options import OnFailure, RunOptions, options
from graflow.errors import WorkflowChangedError

if TYPE_CHECKING:
    from graflow.cli._inputs import Input
    from graflow.core.workflow import Workflow
    from graflow.runners.local import Executor
    from graflow.stores.store import Store

_WORKFLOW, _INPUTS, _OPTIONS = "graflow.workflow", "graflow.inputs", "graflow.options"
#: The working directory of the call, which the user's module may change while it loads.
_FOLDER = "graflow.folder"


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

        ctx.meta[_FOLDER] = os.getcwd()
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
    "failed, 2 the definition or the call is wrong, 124 its time was up, 130 interrupted.",
)
@click.argument("target", metavar="WORKFLOW")
@workers
@click.option("--inputs", "inputs_text", metavar="JSON|@FILE", help="Inputs as a JSON object, or a file with one.")
@timeout_option("How long the run may take: 90, 90s, 5m or 2h.")
@click.option(
    "--on-failure",
    type=click.Choice(["continue", "stop"]),
    default="continue",
    help="When a task fails, continue with what does not need it (the default), or start nothing more.",
)
@click.option("--run-id", metavar="NAME", help="A name for the run. Under the same name it goes on, and runs once.")
@store_option
@click.option("--no-store", is_flag=True, help="Keep nothing of this run.")
@app_dir_option
@told
@click.pass_context
def run(
    ctx: click.Context,
    /,
    target: str,
    executor: Executor | None,
    max_workers: int | None,
    inputs_text: str | None,
    timeout: float | None,
    on_failure: OnFailure,
    run_id: str | None,
    store_path: str | None,
    no_store: bool,
    app_dir: str | None,
    as_json: bool,
    quiet: bool,
    tracebacks: bool,
    explain: bool,
    **values: Any,
) -> None:
    """Run WORKFLOW, and print its value.

    WORKFLOW is FILE.py, FILE.py:NAME or MODULE:NAME; its inputs are options that come after it.
    """
    from graflow.cli._inputs import read_inputs

    workflow: Workflow[Any, Any] = ctx.meta[_WORKFLOW]
    if no_store:
        _need_no_store(workflow, run_id, store_path)
    with refusals():
        wanted = options(False, run_id, on_failure, timeout)
    inputs = read_inputs(workflow.inputs, ctx.meta[_INPUTS], values, inputs_text)
    wishes = Wishes(as_json, quiet, tracebacks, explain)
    where = launch(target, app_dir, ctx.meta[_FOLDER], executor, max_workers)
    if no_store:
        ctx.exit(_run(workflow, inputs, wanted, wishes, where, None, None))
    with store_to_write(path_of(store_path, ctx.meta[_FOLDER])) as store:
        code = _run(workflow, inputs, wanted, wishes, where, store, store_path)
    ctx.exit(code)


def _run(
    workflow: Workflow[Any, Any],
    inputs: Any,
    wanted: RunOptions,
    wishes: Wishes,
    where: Launch,
    store: Store | None,
    store_path: str | None,
) -> int:
    from graflow.cli._foreground import Kept, in_foreground
    from graflow.runners.local import LocalRunner

    runner = LocalRunner(where.executor or "threads", where.max_workers, store=store)
    try:
        with refusals():
            handle = runner.prepare(workflow, inputs, wanted, target=where.text())
    except WorkflowChangedError as error:  # of a run of this name
        raise Trouble(
            choices(str(wanted.run_id), error.changed, option_for(store_path)) + "\n- another --run-id begins anew"
        ) from error
    kept = Kept(store, option_for(store_path)) if store is not None else None
    return in_foreground(workflow, handle, wishes, kept)


def _need_no_store(workflow: Workflow[Any, Any], run_id: str | None, store_path: str | None) -> None:
    """Refuse what only a store can give.

    Raises:
        Trouble: something needs a store.
    """
    if store_path is not None:
        raise Trouble("--store and --no-store contradict each other")
    if run_id is not None:
        raise Trouble(f"--run-id {run_id} names a run in a store; leave out --no-store")
    plan = workflow.compile()
    for i, policy in sorted(plan.policies.items()):
        if policy.cache is not None:
            raise Trouble(f"task {plan.ids[i]!r} is cached, which needs a store; leave out --no-store")
