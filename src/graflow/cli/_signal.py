"""``graflow signal``: send a value to a run that waits for one."""

from __future__ import annotations

import json
import os
import time
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from graflow.cli._options import app_dir_option, store_option
from graflow.cli._store import Launch, find, option_for, path_of, short_id, store_to_read
from graflow.cli._trouble import Trouble
from graflow.core.run import RunState, TaskState
from graflow.errors import SerializationError, SignalError, StoreError
from graflow.show.text import one_line, shorten

if TYPE_CHECKING:
    from graflow.core.signal import Signal
    from graflow.core.workflow import Workflow
    from graflow.stores.store import RunRow, Store

_SHOWN = 60
_MOST_NAMED = 10
_LOST = (TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED)


@click.command(
    "signal",
    short_help="Send a value to a run that waits for one.",
    epilog="Exit codes: 0 it is sent; 2 there is no such run or signal, or it takes no such value, or none any more.",
)
@click.argument("run")
@click.argument("id")
@click.argument("value", metavar="JSON")
@click.option(
    "--workflow",
    "target",
    metavar="WORKFLOW",
    help="Where the workflow is now, if it is not where the run was begun.",
)
@store_option
@app_dir_option
@click.option("--traceback", is_flag=True, expose_value=False, help="Show errors with all their frames, ours included.")
def send(run: str, id: str, value: str, target: str | None, store_path: str | None, app_dir: str | None) -> None:
    """Send the value JSON to the signal ID of RUN: true, 3, '"some text"', or '{"approved": true}'.

    RUN is the id of a run, or as much of its start as names no other. The first value that is sent counts. A run under
    way gets it within a second; one that does not run now gets it when it is resumed.
    """
    from graflow.cli._stored import tasks_of

    with store_to_read(path_of(store_path, os.getcwd())) as store:
        row = find(store, run)
        name = short_id(store, row.id)
        if row.state == RunState.SUCCEEDED:
            raise Trouble(f"run {name} has succeeded, and waits for nothing any more")
        signal = _signal(_load(store, row, target, app_dir), id, name)
        payload = _payload(signal, value)
        state = next((task.state for task in tasks_of(store.stored(row.id)) if task.id == id), None)
        if row.alive and state in _LOST:
            raise Trouble(f"run {name} does not wait for signal {id!r} any more: it is {state}")
        if state == TaskState.SUCCEEDED or not store.put_signal(row.id, id, payload, time.time()):
            raise Trouble(f"signal {id!r} of run {name} was sent before; the first value counts")
        click.echo(f"sent {id!r} to run {name}: {shorten(one_line(value), _SHOWN)}", err=True)
        if not row.alive:
            click.echo(f"nothing runs it now; go on with it: graflow resume {name}{option_for(store_path)}", err=True)


def _load(store: Store, row: RunRow, target: str | None, app_dir: str | None) -> Workflow[Any, Any]:
    """The workflow of the run, which knows what the signal takes.

    Raises:
        Trouble: it cannot be loaded.
    """
    from graflow.cli._load import load

    where = Launch.read(row.target)
    again = "or name where it is now: --workflow WORKFLOW"
    if target is not None:
        return load(target, app_dir)
    if where is not None:
        try:
            return load(where.workflow, app_dir or where.app_dir)
        except Trouble as error:
            raise Trouble(f"{error.message}\nMend that, {again}") from error.__cause__
    from graflow.runners._durable import workflow_of

    try:
        return workflow_of(store.stored(row.id))
    except (StoreError, SerializationError) as error:
        raise Trouble(
            f"a program began run {short_id(store, row.id)}, and the store has no workflow that says what its signals "
            f"take; name where it is: --workflow WORKFLOW"
        ) from error


def _signal(workflow: Workflow[Any, Any], id: str, name: str) -> Signal[Any]:
    """The signal with this id.

    Raises:
        Trouble: there is none.
    """
    from difflib import get_close_matches

    from graflow.core.signal import Signal

    tasks = workflow.tasks
    found = tasks.get(id)
    if isinstance(found, Signal):
        return found
    signals = [one for one, task in tasks.items() if isinstance(task, Signal)]
    close = get_close_matches(id, signals, n=3)
    what = f"run {name} has no signal {id!r}" if found is None else f"task {id!r} of run {name} is no signal"
    if not signals:
        raise Trouble(f"{what}; workflow {workflow.name!r} waits for none")
    if close:
        raise Trouble(f"{what}; did you mean {' or '.join(map(repr, close))}?")
    raise Trouble(f"{what}; it has {', '.join(signals[:_MOST_NAMED])}{', ...' if len(signals) > _MOST_NAMED else ''}")


def _payload(signal: Signal[Any], text: str) -> bytes:
    """The value that the user typed, as the store keeps it.

    Raises:
        Trouble: it is no JSON, of another type, or cannot be kept.
    """
    from pydantic.errors import PydanticUserError

    from graflow.core.signal import parse_value
    from graflow.engine import codec

    try:
        return codec.dumps(parse_value(signal, text))
    except PydanticUserError as error:
        what = f"signal {signal.id!r} takes something that cannot be written as JSON"
        raise Trouble(f"{what}; send it from a program, with handle.send()") from error
    except SignalError as error:
        raise Trouble(f"{error}{_quotes(signal, text)}") from error
    except SerializationError as error:
        raise Trouble(f"the value of signal {signal.id!r} cannot be stored: {error}") from error


def _quotes(signal: Signal[Any], text: str) -> str:
    """What to type where somebody typed text as it is, and the signal would take it."""
    from graflow.core.signal import parse_value

    try:
        parse_value(signal, quoted := json.dumps(text))
    except SignalError:
        return ""
    return f"; text needs the quotes of JSON: {quote(quoted)}"
