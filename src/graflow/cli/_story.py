"""What became of a stored run, and of each attempt at one of its tasks, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING

from graflow.cli._output import drawn
from graflow.cli._store import Launch, date, log_lines, short_id
from graflow.cli._stored import AWAITING, StoredTask, items_of, tasks_of
from graflow.cli._summary import MOST_ROWS, OUTSTANDING, Line, item_note, outstanding, run_colour, run_state, table_of
from graflow.cli._trouble import Trouble, full_traceback, short_path
from graflow.core.run import RunState, TaskState
from graflow.show.text import duration, one_line, shorten

if TYPE_CHECKING:
    from rich.console import RenderableType

    from graflow.stores.store import AttemptRow, LogRow, RunRow, Store

_MOST_FAILURES = 10
_ERROR_WIDTH = 200


def overview(store: Store, row: RunRow) -> str:
    """A run: its facts, the table of its tasks, what failed, and how to go on with it."""
    from rich.text import Text

    tasks = tasks_of(store.stored(row.id), store.signals(row.id))
    name = short_id(store, row.id)
    lines = [Line(task.id, task.state, task.attempt, task.seconds, note=_note(task)) for task in tasks]
    parts: list[RenderableType] = [Text(fact) for fact in _facts(row)]
    parts.append(table_of(outstanding(lines)) if lines else Text("no tasks"))
    if len(tasks) > MOST_ROWS:
        parts.append(Text(f"{OUTSTANDING}; in all {_counts(tasks)}"))
    failed = [task for task in tasks if task.error is not None]
    parts += [
        Text(shorten(f"task {task.id!r} failed: {one_line(task.error or '')}", _ERROR_WIDTH))
        for task in failed[:_MOST_FAILURES]
    ]
    if failed:
        parts.append(Text(f"look into it: graflow runs story {name} {quote(failed[0].id)}"))
    parts += [Text(line) for task in tasks if task.state == AWAITING and (line := _awaited(task, name))]
    parts.append(Text(_headline(row, tasks), style=f"bold {run_colour(row.state)}"))
    if row.state not in (RunState.SUCCEEDED, RunState.RUNNING):
        parts.append(Text(f"go on with it: graflow resume {name}"))
    return drawn(*parts)


def _note(task: StoredTask) -> str:
    """What the table says of a task beside its state."""
    items = item_note(Counter(item.state for item in items_of(task)))
    if task.error or not task.note:
        return items
    return f"{items}; {task.note}" if items else task.note


def _awaited(task: StoredTask, name: str) -> str:
    """Since when a signal waits, and how to send it; empty if it has arrived."""
    if task.note:
        return ""
    since = f" since {date(task.last.started)}" if task.last is not None and task.last.started is not None else ""
    return f"{task.id!r} waits for a signal{since}; send it: graflow signal {name} {quote(task.id)} JSON"


def _facts(row: RunRow) -> Iterator[str]:
    yield f"run       {row.id}"
    yield f"workflow  {one_line(row.workflow)}{_source(row)}"
    yield f"inputs    {row.inputs_digest}"
    yield f"started   {date(row.created)} by {one_line(row.owner)}"
    if row.ended is not None:
        yield f"ended     {date(row.ended)}"
    if row.reason is not None:
        yield f"reason    {one_line(row.reason)}"


def _source(row: RunRow) -> str:
    launch = Launch.read(row.target)
    return f", from {one_line(short_path(launch.workflow))}" if launch is not None else ""


def _headline(row: RunRow, tasks: list[StoredTask]) -> str:
    seconds = f" in {duration(max(0.0, row.ended - row.created))}" if row.ended is not None else ""
    return f"{one_line(row.workflow)} {run_state(row.state)}{seconds}: {_counts(tasks)}"


def _counts(tasks: list[StoredTask]) -> str:
    """How many tasks stand where, those that ended first."""
    found: dict[str, int] = {}
    for task in tasks:
        found[task.state] = found.get(task.state, 0) + 1
    ended = [str(state) for state in (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED)]
    ordered = sorted(found, key=lambda state: ended.index(state) if state in ended else len(ended))
    return ", ".join(f"{found[state]:,} {state}" for state in ordered) or "no tasks"


# ── one task ────────────────────────────────────────────────────────────────────────────────────────────────────────


def story_of(store: Store, row: RunRow, id: str, *, tracebacks: bool) -> Iterator[str]:
    """Every attempt at a task, with what it logged.

    Args:
        store: has the run.
        row: the run.
        id: of the task.
        tracebacks: the errors with all their frames, which rebuilds them: that runs code which the store names.

    Raises:
        Trouble: the run has no such task.
    """
    tasks = {task.id: task for task in tasks_of(store.stored(row.id), store.signals(row.id))}
    name = short_id(store, row.id)
    task = tasks.get(id) or _item(tasks, id)
    if task is None:
        raise Trouble(f"run {name} has no task {id!r}; {_close(id, list(tasks))}")
    logs = store.logs(row.id, task.place)
    yield (
        f"task {task.id!r} of run {name} ({row.workflow}): {task.state} after {_counted(task.attempt, 'attempt')}"
        + (f"; {one_line(task.note)}" if task.note else "")
    )
    if task.state == AWAITING and (line := _awaited(task, name)):
        yield line
    before = 0
    for attempt in task.attempts:
        if attempt.attempt > before + 1:  # so short that nobody wrote them down
            yield f"{_span(before + 1, attempt.attempt - 1)}  continued with another task"
        before = attempt.attempt
        yield from _attempt(attempt, [line for line in logs if line.attempt == attempt.attempt], tracebacks=tracebacks)
    if task.items:
        yield from _items(task, name)


def _item(tasks: dict[str, StoredTask], id: str) -> StoredTask | None:
    """An item of a map, such as ``score[17]``.

    Raises:
        Trouble: there is such a map, and the item has not begun.
    """
    found, bracket, number = id.rpartition("[")
    task = tasks.get(found)
    if task is None or not bracket or not number.removesuffix("]").isdecimal():
        return None
    if not task.items:
        raise Trouble(f"{found!r} has no items; it is {task.state}")
    item = next((item for item in items_of(task) if item.id == id), None)
    if item is None:
        raise Trouble(
            f"item {id} has not begun; of {found!r} {_counted(len(task.items), 'item')} have, up to {max(task.items)}"
        )
    return item


def _items(task: StoredTask, name: str) -> Iterator[str]:
    """How many items of a map stand where, and what the first that failed raised."""
    items = list(items_of(task))
    failed = [item for item in items if item.error is not None]
    yield f"items: {_counts(items)}"
    for item in failed[:_MOST_FAILURES]:
        what = one_line(item.error or "")
        yield f"   {shorten(f'{item.id}: {what}', _ERROR_WIDTH)}"
    if len(failed) > _MOST_FAILURES:
        yield f"   and {len(failed) - _MOST_FAILURES:,} more"
    if failed:
        yield f"look into one: graflow runs story {name} {quote(failed[0].id)}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _span(first: int, last: int) -> str:
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


def _attempt(row: AttemptRow, logs: list[LogRow], *, tracebacks: bool) -> Iterator[str]:
    facts = [f"{row.attempt}  {row.state:<{len(TaskState.SUCCEEDED)}}"]
    if row.started is not None:
        facts.append(f"started {date(row.started)}")
    if row.seconds is not None:
        facts.append(f"took {duration(row.seconds)}")
    if row.worker:
        facts.append(f"in {row.worker}")
    yield "  ".join(facts)
    if tracebacks and row.error is not None:
        yield from (f"   {line}" for line in _traceback(row.error).rstrip().split("\n"))
    elif row.error_text:
        yield f"   {one_line(row.error_text)}"
    yield from (f"   {line}" for line in log_lines(logs))


def _traceback(error: bytes) -> str:
    from graflow.engine import codec

    return full_traceback(codec.load_exception(error))


def _close(id: str, ids: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(id, ids, n=3)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return f"it has {', '.join(ids[:10])}{', ...' if len(ids) > 10 else ''}" if ids else "it has none"
