"""A run in front of the user, from its first task to what is told of it at the end: `run` and `resume` share it."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from graflow.cli._output import answer, error_console
from graflow.cli._store import short_id
from graflow.cli._stored import place_of
from graflow.cli._trouble import printable
from graflow.core.run import RunState
from graflow.errors import StoreError

if TYPE_CHECKING:
    from rich.console import Console

    from graflow.cli._options import Wishes
    from graflow.cli._summary import Summary
    from graflow.core.run import TaskRecord
    from graflow.core.workflow import Workflow
    from graflow.runners._handle import LocalHandle
    from graflow.stores.store import LogRow, Store


class Kept:
    """What the end of a run needs of its store.

    Args:
        store: has the run.
        options: to type behind a command so that it finds the store.
    """

    def __init__(self, store: Store, options: str = "") -> None:
        self._store = store
        self._options = options
        self._places: dict[str, int] | None = None

    def name(self, id: str) -> str:
        """The run in few characters."""
        return short_id(self._store, id)

    def cure(self, name: str) -> str:
        """What goes on with the run."""
        return f"graflow resume {name}{self._options}"

    def logged(self, run: str, record: TaskRecord) -> list[LogRow]:
        """What a task logged in its last attempt."""
        try:
            if self._places is None:
                self._places = {id: place for place, id in enumerate(self._store.stored(run).ids)}
            place = place_of(record.id, self._places)
            return [row for row in self._store.logs(run, place) if row.attempt == record.attempts]
        except StoreError:  # it is told of elsewhere, and what the task raised matters more
            return []


def in_foreground(
    workflow: Workflow[Any, Any],
    handle: LocalHandle[Any],
    wishes: Wishes,
    kept: Kept | None,
    *,
    resumed: bool = False,
) -> int:
    """Run to the end, tell how it went, and print what it gave.

    Args:
        workflow: what runs.
        handle: the run, which has not begun.
        wishes: what to tell.
        kept: its store, if it has one.
        resumed: it began before.

    Returns:
        The exit code.
    """
    from graflow.cli._watch import Abandoned, Watch
    from graflow.show.progress import progress_on

    console = error_console()
    progress = None if wishes.quiet else progress_on(console, workflow.name, len(workflow.tasks))
    watch = Watch(handle, workflow.compile())
    try:
        summary = watch.run(progress=progress, spare_output=wishes.as_json)
    except Abandoned as error:
        error.show()
        if kept is not None:
            click.echo(f"go on with it: {kept.cure(kept.name(handle.id))}", err=True)
        sys.stdout.flush()
        os._exit(error.exit_code)  # a normal exit may wait for threads of the tasks
    if kept is not None and watch.problem is None:
        name = kept.name(handle.id)
        cure = kept.cure(name) if summary.state is not RunState.SUCCEEDED else ""
        summary = summary._replace(name=name, cure=cure)
    _report(console, summary._replace(resumed=resumed), wishes, kept)
    if watch.problem is not None:
        click.echo(f"Error: the run could not be kept: {printable(str(watch.problem))}", err=True)
    if watch.no_value:
        click.echo(f"the run has no value: {printable(watch.no_value)}", err=True)
    if wishes.as_json:
        from graflow.cli._summary import as_dict

        answer(json.dumps(as_dict(summary, watch.value), indent=2))
    elif watch.value is not None:
        answer(value_text(watch.value))
    return watch.exit_code


def _report(console: Console, summary: Summary, wishes: Wishes, kept: Kept | None) -> None:
    from graflow.cli._summary import draw_summary, explanations, failure_texts

    def logged(record: TaskRecord) -> list[LogRow]:
        return kept.logged(summary.id, record) if kept is not None else []

    for text in failure_texts(summary, tracebacks=wishes.tracebacks, logged=logged):
        console.print(text, markup=False, soft_wrap=True)
    if wishes.explain:
        for text in explanations(summary):
            console.print(text, markup=False, soft_wrap=True)
    if not wishes.quiet:
        draw_summary(console, summary)


def value_text(value: Any) -> str:
    """How the value of a run is printed: text and paths as they are, everything else on one short line."""
    from graflow.cli._summary import short

    if isinstance(value, str):
        return printable(value)
    if isinstance(value, os.PathLike) and isinstance(path := os.fspath(value), str):
        return path
    return short(value)
