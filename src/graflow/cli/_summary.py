"""What became of a run: a table for people, and JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from graflow.cli._store import log_lines
from graflow.cli._trouble import full_traceback, printable, user_traceback
from graflow.core.run import RunState, TaskState
from graflow.show.board import aside
from graflow.show.picture import item_counts
from graflow.show.progress import error_text
from graflow.show.text import cells, duration, one_line, shorten

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from graflow.core.plan import Plan
    from graflow.core.run import TaskRecord
    from graflow.runners._brief import Brief
    from graflow.runners._handle import LocalRun
    from graflow.stores.store import LogRow

MOST_ROWS = 30
"""Up to how many tasks each gets a row of its own."""
_SLOWEST, _MOST_FAILURES = 10, 10
_MOST_ITEMS = 3
"""How many failed items of a map are told of."""
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
    run: LocalRun[Any]
    """Knows of the items of its maps, and of many tasks at once."""
    had_ended: bool = False
    """It was in the store as a whole, and nothing ran now."""
    resumed: bool = False
    """It began before."""
    name: str = ""
    """How the command line calls it; empty if no store has it."""
    cure: str = ""
    """What to type to go on with it; empty if there is nothing left to do, or no store to do it with."""

    def briefs(self) -> list[Brief]:
        """What became of each task in brief, in plan order."""
        from graflow.runners._brief import briefs

        return briefs(self.run)

    def critical_path(self, told: Sequence[Brief]) -> tuple[str, ...]:
        """The ids along the chain of tasks that took longest; empty if none ran."""
        seconds = {brief.id: brief.duration for brief in told if brief.duration is not None}
        path = self.plan.critical_path(seconds) if seconds else ()
        return tuple(id for id in path if id in seconds)

    def failures(self) -> list[str]:
        """The tasks that failed, in plan order."""
        from graflow.runners._brief import failed_ids

        return failed_ids(self.run)

    def items(self, record: TaskRecord) -> dict[str, int]:
        """How many items of a map stand where; empty for other tasks."""
        counts = item_counts(self.run, record)
        return {str(state): counts[state] for state in TaskState if counts.get(state)}

    def failed_items(self, record: TaskRecord, most: int) -> list[TaskRecord]:
        """The first items of a map that failed; none of other tasks."""
        from graflow.runners._brief import items_of

        return list(islice(items_of(self.run, record.id).those(TaskState.FAILED), most)) if record.items else []


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

    told = summary.briefs()
    path = summary.critical_path(told)
    on_path = set(path)
    lines = [
        Line(brief.id, brief.state, brief.attempts, brief.duration, "*" if brief.id in on_path else "")
        for brief in told
    ]
    count = counts(told)
    if lines:
        console.print(table_of([_noted(summary, line) for line in outstanding(lines)]))
    if len(lines) > MOST_ROWS:
        console.print(Text(f"{OUTSTANDING}; in all {count}"))
    if path:
        took = sum(line.seconds or 0.0 for line in lines if line.mark)
        console.print(Text(f"* critical path, {duration(took)}: {' > '.join(_shortened(path))}"))
    console.print(Text(headline(summary, count), style=f"bold {run_colour(summary.state)}"))
    if summary.cure:
        console.print(Text(f"go on with it: {summary.cure}"), soft_wrap=True)


def _noted(summary: Summary, line: Line) -> Line:
    """The line, with what there is to say of the items of a map."""
    return line._replace(note=item_note(summary.items(summary.tasks[line.id])))


def run_colour(state: str) -> str:
    """The colour of a run in a state."""
    return _RUN_COLOURS.get(state, "yellow")


def run_state(state: str) -> str:
    """The state of a run in words."""
    return state.replace("_", " ")


def headline(summary: Summary, count: str) -> str:
    """The run in one line, with what `counts` says of its tasks."""
    name = one_line(summary.plan.name)
    which = f" (run {summary.name}{', which had ended before' if summary.had_ended else ''})" if summary.name else ""
    return f"{name} {run_state(summary.state)} in {duration(summary.seconds)}: {count}{which}"


def counts(told: Sequence[Brief]) -> str:
    """How many tasks ended how: ``21 succeeded (3 cached), 1 failed, 1 skipped``."""
    states, sources = Counter(brief.state for brief in told), Counter(brief.source for brief in told)
    apart = {TaskState.SUCCEEDED: aside(sources["cache"], sources["resumed"])}
    ended = (f"{states[state]:,} {state}{apart.get(state, '')}" for state in TaskState if states[state])
    return ", ".join(ended) or "no tasks"


def item_note(items: Mapping[str, int]) -> str:
    """How the items of a map stand: ``1,000 items``, or ``1,000 items: 998 succeeded, 2 failed``; empty without any."""
    total = sum(items.values())
    if not total:
        return ""
    whole = f"{total:,} item{'s' * (total != 1)}"
    if items.get(TaskState.SUCCEEDED) == total:
        return whole
    return f"{whole}: {', '.join(f'{count:,} {state}' for state, count in items.items())}"


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
    told = 0
    failures = summary.failures()
    for id in failures if tracebacks else failures[:_MOST_FAILURES]:
        record = summary.tasks[id]
        if record.error is None:
            continue
        told += 1
        items = [] if tracebacks else summary.failed_items(record, _MOST_ITEMS)
        texts += [
            _failure(one, one.error, tracebacks=tracebacks, logged=logged)
            for one in (items if len(items) == 1 else [record, *items])  # of one item, the error of the map is its own
            if one.error is not None
        ]
    if told < len(failures):
        texts.append(f"and {len(failures) - told:,} more tasks failed; --traceback shows them all")
    return texts


def _failure(
    record: TaskRecord, error: BaseException, *, tracebacks: bool, logged: Callable[[TaskRecord], list[LogRow]]
) -> str:
    where = f" in {record.worker}" if record.worker else ""
    text = f"task {record.id!r} failed{where}: {error_text(error)}"
    text += f"\n{full_traceback(error).rstrip()}" if tracebacks else user_traceback(error)
    return printable(text + log_text(logged(record)))


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
        "critical_path": list(summary.critical_path(summary.briefs())),
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
                **({"items": _items_as_dict(summary, record)} if record.items is not None else {}),
            }
            for record in summary.tasks.values()
        ],
    }


def _items_as_dict(summary: Summary, record: TaskRecord) -> dict[str, Any]:
    return {"count": record.items, **summary.items(record)}


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
