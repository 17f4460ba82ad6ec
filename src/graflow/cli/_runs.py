"""``graflow runs``: list, look at and delete the runs that a store keeps."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from graflow.cli._options import Span, store_option, traceback_option
from graflow.cli._output import answer, drawn
from graflow.cli._store import date, find, path_of, short_id, store_to_read
from graflow.cli._trouble import Trouble, printable
from graflow.core.run import RunState
from graflow.show.text import duration, one_line, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.table import Table

    from graflow.stores.store import RunRow, Store

_MOST_NAMED = 10


class _Runs(click.Group):
    """Options before a command are those of the list, but for --store."""

    def invoke(self, ctx: click.Context) -> Any:
        """Refuse what a command would not heed."""
        if ctx._protected_args or ctx.args:
            for name in ctx.params:
                source = ctx.get_parameter_source(name)
                if name != "store_path" and source is click.core.ParameterSource.COMMANDLINE:
                    option = next(one.opts[0] for one in self.params if one.name == name)
                    raise click.UsageError(f"{option} belongs to the list; it has no effect on a command.", ctx)
        return super().invoke(ctx)


def _path(ctx: click.Context, given: str | None) -> str:
    """Where the store lies; the option may stand before the command, too."""
    if given is None and ctx.parent is not None:
        given = ctx.parent.params.get("store_path")
    return path_of(given, os.getcwd())


@click.group(
    cls=_Runs,
    invoke_without_command=True,
    short_help="List, look at and delete runs.",
    epilog="Exit codes: 0, or 2 if there is no such store or run.",
)
@click.option("--workflow", metavar="NAME", help="Only runs of this workflow.")
@click.option("--state", type=click.Choice([str(state) for state in RunState]), help="Only runs in this state.")
@click.option("--since", type=Span(bare=False), metavar="SPAN", help="Only runs that began in the last 2h, 3d, 1w.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="At most so many."
)
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@store_option
@click.pass_context
def runs(
    ctx: click.Context,
    workflow: str | None,
    state: str | None,
    since: float | None,
    limit: int,
    as_json: bool,
    store_path: str | None,
) -> None:
    """List the runs that are kept, newest first; the commands tell more of one, or delete some.

    A run is named by its id, or by as much of its start as names no other.
    """
    if ctx.invoked_subcommand is not None:
        return
    with store_to_read(_path(ctx, store_path)) as store:
        first = None if since is None else time.time() - since
        rows = store.runs(workflow=workflow, state=state, since=first, limit=limit + 1)
        if as_json:
            answer(json.dumps([as_dict(row) for row in rows[:limit]], indent=2))
            return
        if rows:
            answer(drawn(_table(store, rows[:limit])))
        else:
            click.echo("there is no such run" if workflow or state or since else "there are no runs", err=True)
        if len(rows) > limit:
            click.echo(f"the newest {limit:,}; --limit shows more", err=True)


def _table(store: Store, rows: Iterable[RunRow]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from graflow.cli._summary import run_colour, run_state

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("id", "workflow", "state", "started"):
        table.add_column(name, header_style="bold", no_wrap=True, overflow="ellipsis")
    for name in ("took", "done", "failed"):
        table.add_column(name, header_style="bold", no_wrap=True, justify="right")
    for row in rows:
        table.add_row(
            Text(short_id(store, row.id)),
            Text(shorten(one_line(row.workflow), 40)),
            Text(run_state(row.state), style=run_colour(row.state)),
            date(row.created),
            took(row),
            f"{row.succeeded:,}/{row.tasks:,}",
            f"{row.failed:,}" if row.failed else "",
        )
    return table


def took(row: RunRow) -> str:
    """From the beginning of a run to its end, or until now; empty if nobody knows."""
    if row.ended is None and not row.alive:
        return ""
    return duration(max(0.0, (row.ended if row.ended is not None else time.time()) - row.created))


def as_dict(row: RunRow) -> dict[str, Any]:
    """A run for programs."""
    try:
        target = json.loads(row.target) if row.target is not None else None
    except ValueError:
        target = row.target
    return {**row._asdict(), "target": target}


@runs.command("show", short_help="What became of each task of a run.")
@click.argument("run")
@store_option
@click.pass_context
def show(ctx: click.Context, run: str, store_path: str | None) -> None:
    """Show a run: where it stands, and what became of each task."""
    from graflow.cli._story import overview

    with store_to_read(_path(ctx, store_path)) as store:
        answer(overview(store, find(store, run)))


@runs.command("story", short_help="Every attempt at a task of a run.")
@click.argument("run")
@click.argument("task")
@store_option
@traceback_option("tracebacks")
@click.pass_context
def story(ctx: click.Context, run: str, task: str, store_path: str | None, tracebacks: bool) -> None:
    """Tell every attempt at TASK: how it ended, when, how long it took, where it ran, and what it logged."""
    from graflow.cli._story import story_of

    with store_to_read(_path(ctx, store_path)) as store:
        answer(printable("\n".join(story_of(store, find(store, run), task, tracebacks=tracebacks))))


_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@runs.command("delete", short_help="Delete runs.")
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@_yes
@store_option
@click.pass_context
def delete(ctx: click.Context, names: tuple[str, ...], yes: bool, store_path: str | None) -> None:
    """Delete runs, with their results and logs. What the cache keeps of them stays."""
    with store_to_read(_path(ctx, store_path)) as store:
        rows = list({row.id: row for row in (find(store, name) for name in names)}.values())
        alive = next((row for row in rows if row.alive), None)
        if alive is not None:
            raise Trouble(f"process {alive.owner} runs {alive.id!r} now: wait until it has ended, or end it there")
        _ask(store, rows, yes)
        for row in rows:
            store.delete(row.id)
        click.echo(f"deleted {_count(len(rows))}", err=True)


@runs.command("prune", short_help="Delete the runs that ended long ago.")
@click.option("--older", type=Span(bare=False), metavar="SPAN", required=True, help="How long ago: 12h, 30d, 8w.")
@_yes
@store_option
@click.pass_context
def prune(ctx: click.Context, older: float, yes: bool, store_path: str | None) -> None:
    """Delete the runs that ended, or were interrupted, longer ago than that; and what has expired in the cache."""
    with store_to_read(_path(ctx, store_path)) as store:
        before = time.time() - older
        rows = [row for row in store.runs() if not row.alive and (row.ended or row.created) < before]
        if rows:
            _ask(store, rows, yes)
        gone = store.prune(before)  # once none is left, for the sake of the cache
        click.echo(f"deleted {_count(len(gone))}", err=True)


def _count(runs: int) -> str:
    return f"{runs:,} run{'s' * (runs != 1)}"


def _ask(store: Store, rows: list[RunRow], yes: bool) -> None:
    """Say what is to go, and ask whether it may.

    Raises:
        Trouble: there is nobody to ask.
        click.Abort: it may not.
    """
    for line in _going(store, rows):
        click.echo(line, err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise Trouble(f"add --yes to delete {_count(len(rows))}; there is no terminal to ask at")
    click.confirm(f"delete {_count(len(rows))}?", abort=True, err=True)


def _going(store: Store, rows: list[RunRow]) -> Iterator[str]:
    from graflow.cli._summary import run_state

    for row in rows[:_MOST_NAMED]:
        name = shorten(one_line(row.workflow), 40)
        yield printable(f"{short_id(store, row.id)}  {name}, {run_state(row.state)}, started {date(row.created)}")
    if len(rows) > _MOST_NAMED:
        yield f"and {len(rows) - _MOST_NAMED:,} more"
