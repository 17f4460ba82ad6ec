"""What became of a run: a table for people, and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graflow.cli._store import log_lines
from graflow.cli._trouble import full_traceback, printable, user_traceback
from graflow.core.run import RunState, TaskState
from graflow.show.board import aside
from graflow.show.progress import error_text
from graflow.show.text import cells, duration, one_line, shorten

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from graflow.core.plan import Plan
    from graflow.core.run import TaskRecord
    from graflow.stores.store import LogRow

MOST_ROWS = 30
"""Up to how many tasks each gets a row of its own."""
_SLOWEST, _MOST_FAILURES = 10, 10
_MOST_ON_PATH = 12
_COLOURS: dict[str, str] = {
    TaskState.SUCCEEDED: "green",
    TaskState.FAILED: "red",
    TaskState.SKIPPED: "yellow",
    TaskState.CANCELLED: "yellow",
    TaskState.RUNNING: "blue",
}
_RUN_COLOURS: dict[str, str] = {RunState.SUCCEEDED: "green", RunState.FAILED: "red", RunState.RUNNING: "blue"}
_MOST_LOGGED = 10
"""How many of its last log lines a failure shows."""
OUTSTANDING = "shown: what failed, and the slowest"


class Summary(NamedTuple):
    """A run that has ended, or was abandoned."""

    id: str
    plan: Plan
    state: RunState
    seconds: float
    tasks: Mapping[str, TaskRecord]
    had_ended: bool = False
    """It was in the store as a whole, and nothing ran now."""
    resumed: bool = False
    """It began before."""
    name: str = ""
    """How the command line calls it; empty if no store has it."""
    cure: str = ""
    """What to type to go on with it; empty if there is nothing left to do, or no store to do it with."""

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


class Line(NamedTuple):
    """A row of the table."""

    id: str
    state: str
    attempts: int
    seconds: float | None
    mark: str = ""
    note: str = ""


def table_of(lines: Sequence[Line]) -> Table:
    """The table of the tasks of a run, with the column of notes if there is one."""
    from rich.table import Table
    from rich.text import Text

    notes = any(line.note for line in lines)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, side in (("", "left"), ("task", "left"), ("state", "left"), ("attempts", "right"), ("time", "right")):
        table.add_column(name, justify=side, header_style="bold")  # type: ignore[arg-type]  # a literal, read from a row
    if notes:
        table.add_column("note", header_style="bold", no_wrap=True, overflow="ellipsis")
    for line in lines:
        table.add_row(
            line.mark,
            Text(shorten(line.id, 72, keep_end=True), no_wrap=True),
            Text(line.state, style=_COLOURS.get(line.state, "")),
            str(line.attempts),
            duration(line.seconds) if line.seconds is not None else "",
            *([Text(one_line(line.note))] if notes else ()),
        )
    return table


def draw_summary(console: Console, summary: Summary) -> None:
    """Draw the table: a row for each task of a small run; what stands out of a large one."""
    from rich.text import Text

    records = list(summary.tasks.values())
    path = summary.critical_path
    on_path = set(path)
    lines = [
        Line(record.id, str(record.state), record.attempts, record.duration, "*" if record.id in on_path else "")
        for record in records
    ]
    if records:
        console.print(table_of(outstanding(lines)))
    if len(records) > MOST_ROWS:
        console.print(Text(f"{OUTSTANDING}; in all {counts(records)}"))
    if path:
        took = sum(summary.tasks[id].duration or 0.0 for id in path)
        console.print(Text(f"* critical path, {duration(took)}: {' > '.join(_shortened(path))}"))
    console.print(Text(headline(summary), style=f"bold {run_colour(summary.state)}"))
    if summary.cure:
        console.print(Text(f"go on with it: {summary.cure}"), soft_wrap=True)


def run_colour(state: str) -> str:
    """The colour of a run in a state."""
    return _RUN_COLOURS.get(state, "yellow")


def run_state(state: str) -> str:
    """The state of a run in words."""
    return state.replace("_", " ")


def headline(summary: Summary) -> str:
    """The run in one line."""
    name, count = one_line(summary.plan.name), counts(list(summary.tasks.values()))
    which = f" (run {summary.name}{', which had ended before' if summary.had_ended else ''})" if summary.name else ""
    return f"{name} {run_state(summary.state)} in {duration(summary.seconds)}: {count}{which}"


def counts(records: Sequence[TaskRecord]) -> str:
    """How many tasks ended how: ``21 succeeded (3 cached), 1 failed, 1 skipped``."""
    tally = [(sum(record.state is state for record in records), state) for state in TaskState]
    cached, kept = (sum(record.source == source for record in records) for source in ("cache", "resumed"))
    apart = {TaskState.SUCCEEDED: aside(cached, kept)}
    return ", ".join(f"{count:,} {state}{apart.get(state, '')}" for count, state in tally if count) or "no tasks"


def outstanding(lines: list[Line]) -> list[Line]:
    """All lines, or of many those that stand out: what failed, and the slowest."""
    if len(lines) <= MOST_ROWS:
        return lines
    failed = [line for line in lines if line.state == TaskState.FAILED][:_MOST_FAILURES]
    ran = [line for line in lines if line.state != TaskState.FAILED and line.seconds is not None]
    return failed + sorted(ran, key=lambda line: -(line.seconds or 0.0))[:_SLOWEST]


def _shortened(path: tuple[str, ...]) -> list[str]:
    if len(path) <= _MOST_ON_PATH:
        return list(path)
    half = _MOST_ON_PATH // 2
    return [*path[:half], f"... {len(path) - 2 * half} more ...", *path[-half:]]


def failure_texts(
    summary: Summary, *, tracebacks: bool, logged: Callable[[TaskRecord], list[LogRow]] = lambda record: []
) -> list[str]:
    """What each failed task raised, with the frames of the user's own code, or with all of them.

    Args:
        summary: the run.
        tracebacks: all frames.
        logged: what a task logged in its last attempt.
    """
    texts: list[str] = []
    failures = summary.failures
    for record in failures if tracebacks else failures[:_MOST_FAILURES]:
        error = record.error
        if error is None:
            continue
        text = f"task {record.id!r} failed in {record.worker}: {error_text(error)}"
        text += f"\n{full_traceback(error).rstrip()}" if tracebacks else user_traceback(error)
        text += log_text(logged(record))
        texts.append(printable(text))
    if len(texts) < len(failures):
        texts.append(f"and {len(failures) - len(texts):,} more tasks failed; --traceback shows them all")
    return texts


def log_text(rows: list[LogRow]) -> str:
    """The last lines that a task logged, each after a line feed; empty if there are none."""
    if not rows:
        return ""
    lines = list(log_lines(rows))
    head = "it logged:" if len(lines) <= _MOST_LOGGED else f"the last {_MOST_LOGGED} of {len(lines):,} lines it logged:"
    return "".join(f"\n  {line}" for line in [head, *(f"  {line}" for line in lines[-_MOST_LOGGED:])])


def explanations(summary: Summary) -> list[str]:
    """For each task a line: whether it ran, and why."""
    records = list(summary.tasks.values())
    resumed = summary.resumed or any(record.source == "resumed" for record in records)
    said = [(record.id, *_explanation(summary, record, resumed=resumed)) for record in records]
    wide, verbs = (max((cells(each[column]) for each in said), default=0) for column in (0, 1))
    return [f"{id}{' ' * (wide - cells(id))}  {verb:<{verbs}}  {one_line(why)}".rstrip() for id, verb, why in said]


def _explanation(summary: Summary, record: TaskRecord, *, resumed: bool) -> tuple[str, str]:
    if summary.had_ended:
        return "kept", "the run had ended before"
    if record.state in (TaskState.SKIPPED, TaskState.CANCELLED):
        return str(record.state), record.reason or ""
    if record.source == "resumed":
        return "kept", record.reason or "succeeded in the run that was resumed"
    if record.source == "cache":
        return "cached", record.reason or ""
    if record.started is None:
        return str(record.state), record.reason or ""
    if record.reason is not None:
        return "ran", record.reason
    policy = summary.plan.policies.get(summary.plan.index[record.id])
    cached = policy is not None and policy.cache is not None
    return "ran", "had not succeeded" if resumed else "" if cached else "no cache policy"


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
                "source": record.source,
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
