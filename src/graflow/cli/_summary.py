"""What became of a run: a table for people, and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graflow.cli._trouble import full_traceback, printable, user_traceback
from graflow.core.run import RunState, TaskState
from graflow.show.progress import error_text
from graflow.show.text import duration, one_line, shorten

if TYPE_CHECKING:
    from rich.console import Console

    from graflow.core.plan import Plan
    from graflow.core.run import TaskRecord

MOST_ROWS = 30
"""Up to how many tasks each gets a row of its own."""
_SLOWEST, _MOST_FAILURES = 10, 10
_MOST_ON_PATH = 12
_COLOURS = {
    TaskState.SUCCEEDED: "green",
    TaskState.FAILED: "red",
    TaskState.SKIPPED: "yellow",
    TaskState.CANCELLED: "yellow",
    TaskState.RUNNING: "blue",
}


class Summary(NamedTuple):
    """A run that has ended, or was abandoned."""

    id: str
    plan: Plan
    state: RunState
    seconds: float
    tasks: Mapping[str, TaskRecord]

    @property
    def critical_path(self) -> tuple[str, ...]:
        """The ids along the chain of tasks that took longest; empty if none ran."""
        seconds = {id: record.duration for id, record in self.tasks.items() if record.duration is not None}
        path = self.plan.critical_path(seconds) if seconds else ()
        return tuple(id for id in path if id in seconds)

    @property
    def failures(self) -> list[TaskRecord]:
        """The tasks that failed, in plan order."""
        return [record for record in self.tasks.values() if record.state is TaskState.FAILED]


def draw_summary(console: Console, summary: Summary) -> None:
    """Draw the table: a row for each task of a small run; what stands out of a large one."""
    from rich.table import Table
    from rich.text import Text

    records = list(summary.tasks.values())
    path = summary.critical_path
    on_path = set(path)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, side in (("", "left"), ("task", "left"), ("state", "left"), ("attempts", "right"), ("time", "right")):
        table.add_column(name, justify=side, header_style="bold")  # type: ignore[arg-type]  # a literal, read from a row
    for record in _rows(records):
        table.add_row(
            "*" if record.id in on_path else "",
            Text(shorten(record.id, 72, keep_end=True), no_wrap=True),
            Text(record.state, style=_COLOURS.get(record.state, "")),
            str(record.attempts),
            duration(record.duration) if record.duration is not None else "",
        )
    if records:
        console.print(table)
    if len(records) > MOST_ROWS:
        console.print(Text(f"shown: what failed, and the slowest; in all {counts(records)}"))
    if path:
        took = sum(summary.tasks[id].duration or 0.0 for id in path)
        console.print(Text(f"* critical path, {duration(took)}: {' > '.join(_shortened(path))}"))
    colour = {RunState.SUCCEEDED: "green", RunState.FAILED: "red"}.get(summary.state, "yellow")
    console.print(Text(headline(summary), style=f"bold {colour}"))


def headline(summary: Summary) -> str:
    """The run in one line."""
    name, count = one_line(summary.plan.name), counts(list(summary.tasks.values()))
    return f"{name} {summary.state} in {duration(summary.seconds)}: {count}"


def counts(records: Sequence[TaskRecord]) -> str:
    """How many tasks ended how: ``21 succeeded, 1 failed, 1 skipped``."""
    tally = [(sum(record.state is state for record in records), state) for state in TaskState]
    return ", ".join(f"{count:,} {state}" for count, state in tally if count) or "no tasks"


def _rows(records: list[TaskRecord]) -> list[TaskRecord]:
    if len(records) <= MOST_ROWS:
        return records
    failed = [record for record in records if record.state is TaskState.FAILED][:_MOST_FAILURES]
    ran = [record for record in records if record.state is not TaskState.FAILED and record.duration is not None]
    slowest = sorted(ran, key=lambda record: -(record.duration or 0.0))[:_SLOWEST]
    return failed + slowest


def _shortened(path: tuple[str, ...]) -> list[str]:
    if len(path) <= _MOST_ON_PATH:
        return list(path)
    half = _MOST_ON_PATH // 2
    return [*path[:half], f"... {len(path) - 2 * half} more ...", *path[-half:]]


def failure_texts(summary: Summary, *, tracebacks: bool) -> list[str]:
    """What each failed task raised, with the frames of the user's own code, or with all of them."""
    texts: list[str] = []
    failures = summary.failures
    for record in failures if tracebacks else failures[:_MOST_FAILURES]:
        error = record.error
        if error is None:
            continue
        text = f"task {record.id!r} failed in {record.worker}: {error_text(error)}"
        text += f"\n{full_traceback(error).rstrip()}" if tracebacks else user_traceback(error)
        texts.append(printable(text))
    if len(texts) < len(failures):
        texts.append(f"and {len(failures) - len(texts):,} more tasks failed; --traceback shows them all")
    return texts


def as_dict(summary: Summary, value: Any) -> dict[str, Any]:
    """The summary for programs; ``value`` is the run's value, as far as JSON can say it."""
    return {
        "workflow": summary.plan.name,
        "run": summary.id,
        "state": str(summary.state),
        "seconds": round(summary.seconds, 6),
        "value": plain(value),
        "critical_path": list(summary.critical_path),
        "tasks": [
            {
                "id": record.id,
                "state": str(record.state),
                "attempts": record.attempts,
                "started": record.started,
                "seconds": record.duration,
                "worker": record.worker,
                "error": None if record.error is None else error_text(record.error),
                "reason": record.reason,
            }
            for record in summary.tasks.values()
        ],
    }


def plain(value: Any) -> Any:
    """A value as JSON can say it; what it cannot say becomes a short text."""
    from pydantic_core import to_json

    try:
        return json.loads(to_json(value, fallback=short, inf_nan_mode="strings"))
    except Exception:  # noqa: BLE001 - a value may contain itself, or fail as it is read
        return short(value)


def short(value: Any) -> str:
    """A value on one line, cut where it gets long."""
    from reprlib import Repr

    brief = Repr()
    brief.maxstring = brief.maxother = 200
    brief.maxlist = brief.maxtuple = brief.maxset = brief.maxfrozenset = brief.maxdict = 20
    try:
        return one_line(brief.repr(value))
    except Exception as error:  # noqa: BLE001 - a user's own __repr__ may raise anything
        return f"<{type(value).__name__}, whose repr() raised {type(error).__name__}>"
