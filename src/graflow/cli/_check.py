"""``graflow check``: build a workflow and report what it is, without running it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from graflow.cli._output import answer
from graflow.cli._trouble import Trouble, printable, short_path

if TYPE_CHECKING:
    from graflow.core.workflow import Workflow


class Report(NamedTuple):
    """What `check` finds out about a workflow that passed its checks."""

    workflow: str
    tasks: int
    edges: int
    levels: int
    inputs: str | None
    returns: str | None
    fingerprint: str
    obstacles: list[str]
    """Why it cannot travel to another process; empty if it can."""
    warnings: list[str]
    unresolved: list[dict[str, str]]
    """Annotations that could not be resolved, so edges there were not checked."""
    by_reference: list[dict[str, str]]
    """Constant inputs that every attempt shares, because they are too large to copy."""


@click.command(short_help="Check a workflow.")
@click.argument("target", metavar="WORKFLOW")
@click.option("--portable", is_flag=True, help="Exit with 1 if a task cannot travel to another process.")
@click.option("-v", "--verbose", is_flag=True, help="List what the checks could not see, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--app-dir", metavar="DIR", help="Look for MODULE in this directory, too; . is the working directory.")
@click.option("--traceback", is_flag=True, expose_value=False, help="Show errors with all their frames, ours included.")
@click.pass_context
def check(ctx: click.Context, target: str, portable: bool, verbose: bool, as_json: bool, app_dir: str | None) -> None:
    """Check WORKFLOW, which is FILE.py, FILE.py:NAME or MODULE:NAME. None of its tasks runs.

    Exit codes: 0 it is sound, 1 it cannot travel to another process and --portable asks for that, 2 it is wrong.
    """
    from graflow.cli._load import load

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            workflow = load(target, app_dir)
        except Trouble as error:
            if as_json:
                answer(json.dumps({"ok": False, "errors": _errors(error)}, indent=2))
            raise
        report = report_on(workflow)
    report.warnings.extend(_graflows(caught))
    if as_json:
        answer(json.dumps({"ok": True, "portable": not report.obstacles, **report._asdict()}, indent=2))
    else:
        answer(printable("\n".join(_lines(report, verbose=verbose))))
    ctx.exit(1 if portable and report.obstacles else 0)


def report_on(workflow: Workflow[Any, Any]) -> Report:
    """All that can be said about a workflow without running it."""
    plan = workflow.compile()
    tasks = list(workflow.tasks.values())
    return Report(
        workflow=workflow.name,
        tasks=len(tasks),
        edges=len(workflow.edges),
        levels=1 + max((plan.levels[i] for i in range(len(tasks))), default=-1),
        inputs=workflow.inputs.__name__ if workflow.inputs is not None else None,
        returns=workflow.returns,
        fingerprint=workflow.fingerprint,
        obstacles=_obstacles(workflow),
        warnings=[],
        unresolved=[
            {"task": task.id, "parameter": parameter, "reason": reason}
            for task in tasks
            for parameter, reason in task._definition.hints.unresolved
        ],
        by_reference=[
            {"task": task.id, "parameter": parameter, "what": what}
            for task in tasks
            for parameter, what in _kept_by_reference(task)
        ],
    )


def _obstacles(workflow: Workflow[Any, Any]) -> list[str]:
    from graflow.engine.travel import complaints

    return complaints(workflow)


def _kept_by_reference(task: Any) -> Iterator[tuple[str, str]]:
    """The constant inputs of a task that could change between attempts, and were not copied."""
    from graflow.core._inputs import CONTAINERS, _survey
    from graflow.core.plan import named_inputs

    for parameter, value in named_inputs(task):
        if type(value) in CONTAINERS:
            leaves, _, constant = _survey(value, task.id, parameter)
            if not constant:
                yield parameter, f"a {type(value).__name__} of {leaves:,} values"


def _graflows(caught: list[warnings.WarningMessage]) -> list[str]:
    """The warnings that graflow gave; others are passed on as Python shows them."""
    from graflow.errors import GraflowWarning

    own: list[str] = []
    for one in caught:
        if issubclass(one.category, GraflowWarning):
            own.append(f"{one.category.__name__}: {one.message}")
        else:
            click.echo(f"{short_path(one.filename)}:{one.lineno}: {one.category.__name__}: {one.message}", err=True)
    return list(dict.fromkeys(own))


def _errors(error: Trouble) -> list[dict[str, str]]:
    from graflow.cli._load import leaves
    from graflow.errors import DefinitionError

    cause = error.__cause__
    found = list(leaves(cause)) if isinstance(cause, DefinitionError) else [error]
    return [{"type": type(one).__name__, "message": str(one)} for one in found]


def _lines(report: Report, *, verbose: bool) -> Iterator[str]:
    sizes = [(report.tasks, "task"), (report.edges, "edge"), (report.levels, "level")]
    yield f"{report.workflow}: {', '.join(f'{count:,} {noun}' + 's' * (count != 1) for count, noun in sizes)}"
    yield f"  inputs       {report.inputs or 'none'}"
    yield f"  returns      {report.returns or 'nothing'}"
    yield f"  fingerprint  {report.fingerprint}"
    yield f"  portable     {'no' if report.obstacles else 'yes'}"
    yield from (f"    - {line}" for line in report.obstacles)
    yield from (f"  warning      {line}" for line in report.warnings)
    hidden = len(report.unresolved) + len(report.by_reference)
    if verbose:
        for one in report.unresolved:
            yield f"  unchecked    {one['parameter']!r} of task {one['task']!r}: its annotation gives {one['reason']}"
        for one in report.by_reference:
            yield (
                f"  shared       {one['parameter']!r} of task {one['task']!r} is {one['what']}, too many to "
                f"copy: all attempts share it"
            )
        if not hidden:
            yield "  nothing was left unchecked"
    elif hidden:
        yield f"  {hidden:,} {'note' if hidden == 1 else 'notes'} more with -v"
