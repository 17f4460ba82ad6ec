"""``graflow resume``: go on with a run that did not come to its end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from graflow.cli._options import Wishes, app_dir_option, store_option, timeout_option, told, workers
from graflow.cli._store import (
    Launch,
    choices,
    find,
    option_for,
    path_of,
    refusals,
    short_id,
    store_to_read,
)
from graflow.cli._trouble import Trouble
from graflow.errors import SerializationError, StoreError, WorkflowChangedError

if TYPE_CHECKING:
    from graflow.core.run import Changed
    from graflow.core.workflow import Workflow
    from graflow.runners.local import Executor
    from graflow.stores.store import RunRow, Store


@click.command(
    short_help="Go on with a run that failed or was interrupted.",
    epilog="Exit codes are those of `graflow run`; 2 also says that there is no such run, or that tasks changed.",
)
@click.argument("run")
@click.argument("target", metavar="[WORKFLOW]", required=False)
@click.option(
    "--changed",
    type=click.Choice(["refuse", "keep", "rerun"]),
    default="refuse",
    help="If the code or the inputs of tasks that succeeded changed since: refuse and name them (the default), keep "
    "their results, or run them again, and what depends on them.",
)
@workers
@timeout_option("How long the rest may take: 90, 90s, 5m or 2h; the default is what the run was given.")
@store_option
@app_dir_option
@told
@click.pass_context
def resume(
    ctx: click.Context,
    run: str,
    target: str | None,
    changed: Changed,
    executor: Executor | None,
    max_workers: int | None,
    timeout: float | None,
    store_path: str | None,
    app_dir: str | None,
    as_json: bool,
    quiet: bool,
    tracebacks: bool,
    explain: bool,
) -> None:
    """Go on with RUN: what succeeded is kept, all the rest runs.

    RUN is the id of a run, or as much of its start as names no other. WORKFLOW is loaded anew, from where the run was
    begun or from what you name, so what you mended counts.
    """
    from graflow.cli._foreground import Kept, in_foreground
    from graflow.runners.local import LocalRunner

    folder = os.getcwd()
    with store_to_read(path_of(store_path, folder)) as store:
        row = find(store, run)
        where = Launch.read(row.target)
        workflow = _load(store, row, where, target, app_dir, quiet=quiet)
        if where is not None:
            executor, max_workers = executor or where.executor, max_workers or where.max_workers
        runner = LocalRunner(executor or "threads", max_workers, store=store)
        elsewhere = option_for(store_path)
        try:
            with refusals():
                handle = runner.prepare_resume(row.id, workflow, changed=changed, check=False, timeout=timeout)
        except WorkflowChangedError as error:
            raise Trouble(choices(short_id(store, row.id), error.changed, elsewhere)) from error
        kept = Kept(store, elsewhere)
        code = in_foreground(workflow, handle, Wishes(as_json, quiet, tracebacks, explain), kept, resumed=True)
    ctx.exit(code)


def _load(
    store: Store, row: RunRow, where: Launch | None, target: str | None, app_dir: str | None, *, quiet: bool
) -> Workflow[Any, Any]:
    """The workflow of the run as it is now, in the directory in which the run was begun.

    Raises:
        Trouble: it cannot be loaded.
    """
    from graflow.cli._load import load

    if target is not None:
        workflow = load(target, app_dir)
        _go_to(where, quiet=quiet)
        return workflow
    if where is not None:
        _go_to(where, quiet=quiet)
        try:
            return load(where.workflow, app_dir or where.app_dir)
        except Trouble as error:
            again = f"or name where it is now: graflow resume {short_id(store, row.id)} WORKFLOW"
            raise Trouble(f"{error.message}\nMend that, {again}") from error.__cause__
    from graflow.runners._durable import workflow_of

    try:
        return workflow_of(store.stored(row.id))
    except (StoreError, SerializationError) as error:
        again = f"name where it is: graflow resume {short_id(store, row.id)} WORKFLOW"
        raise Trouble(f"a program began the run, and the store has no workflow to go on with; {again}") from error


def _go_to(where: Launch | None, *, quiet: bool) -> None:
    """Change to the directory in which the run was begun, for its inputs may be paths from there."""
    if where is None or where.folder == os.getcwd():
        return
    try:
        os.chdir(where.folder)
    except OSError as error:
        raise Trouble(f"the run was begun in {where.folder}, where it cannot go on: {error.strerror}") from error
    if not quiet:
        click.echo(f"in {where.folder}, where the run was begun", err=True)
