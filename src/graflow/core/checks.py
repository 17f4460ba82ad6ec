"""The build checks, in order; each is one function that returns all its offenders.

1. `unique_ids`, `legal_ids`
2. `references`
3. `sources`
4. `wiring`
5. `acyclic`
6. `late_binding`

A stage that finds anything ends the build: one error is raised as itself, several as `DefinitionErrors`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graflow.core._inputs import same_extra, same_input, spelling
from graflow.core._problems import Problems, Reference, compatible
from graflow.core._structure import Structure, arrange, link, sort
from graflow.core.placeholder import InputSource, KnownSource, Placeholder, source_spelling, takes_outcome
from graflow.errors import (
    CycleError,
    DefinitionError,
    DefinitionErrors,
    DuplicateTaskError,
    InvalidTaskIdError,
    LateBindingError,
    LateBindingWarning,
    UnboundParameterError,
    UnknownTaskError,
    WiringError,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

    from graflow.core.task import Task


class Mention(NamedTuple):
    """A reference to a task that is no edge, and how to say so."""

    target: Task[..., Any]
    what: str


#: Longest legal id: a path of three still fits a file name.
MAX_ID = 200
_LEGAL = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{MAX_ID - 1}}}")
# Any illegal character, or an id that starts with one that may not come first, in ids joined by line feeds.
_ILLEGAL_IN_LIST = re.compile(r"[^A-Za-z0-9_.\n-]|\n[.\n-]|\n$")
#: Suggestions compare against this many ids, and only for this many offenders: a long list of errors stays linear.
_COMPARED, _HELPED = 2000, 20


def checked(
    name: str,
    tasks: Sequence[Task[..., Any]],
    *,
    nested: Sequence[Task[..., Any]] = (),
    model: type[BaseModel] | None = None,
    aliases: Mapping[str, str] | None = None,
    mentions: Sequence[Mention] = (),
) -> Structure:
    """Run all checks and give the structure of what was checked.

    Args:
        name: of the workflow, for messages.
        tasks: those that carry the user's own ids.
        nested: tasks of included workflows, whose ids are paths and were checked when those were built.
        model: of the workflow's inputs.
        aliases: id of a nested workflow's task → id of the task whose result it passes on.
        mentions: references that are no edges.

    Raises:
        DefinitionError: the offenders of the first stage that found any.
    """
    end_stage(name, legal_ids([task._id for task in tasks], name) + unique_ids([*tasks, *nested], name))
    structure = arrange([*tasks, *nested])
    problems = link(structure, model, aliases or {})
    end_stage(name, references(structure, problems, name, mentions))
    end_stage(name, sources(structure, problems))
    end_stage(name, wiring(structure, problems, name, model))
    if not sort(structure):
        end_stage(name, acyclic(structure))
    end_stage(name, late_binding(structure))
    return structure


def check_returns(returns: object) -> None:
    """Refuse what is no task where one is to be returned."""
    from graflow.core.task import Task

    if returns is None or isinstance(returns, Task | str):
        return
    what = source_spelling(returns) if type(returns) is Placeholder else repr(returns)
    source = returns.__graflow_source__ if type(returns) is Placeholder else None
    cure = f"returns={source.id}" if isinstance(source, Task) else "the one whose result is the value of a run"
    raise WiringError(f"returns= takes a task, not {what}; name it: {cure}")


def end_stage(name: str, errors: list[DefinitionError]) -> None:
    """Raise the offenders of one stage, if there are any."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise DefinitionErrors(f"workflow {name!r} has {len(errors)} definition errors", errors)


def legal_ids(ids: Sequence[str], name: str) -> list[DefinitionError]:
    """Ids have a small alphabet: they become parts of paths, keys, options and diagrams."""
    text = "\n" + "\n".join(ids)
    if text.count("\n") == len(ids) and not _ILLEGAL_IN_LIST.search(text) and max(map(len, ids), default=0) <= MAX_ID:
        return []
    return [
        InvalidTaskIdError(f"workflow {name!r}: {reason}; {cure}")
        for id in dict.fromkeys(ids)
        if not _LEGAL.fullmatch(id)
        for reason, cure in [_illegal(id)]
    ]


def _illegal(id: str) -> tuple[str, str]:
    give = "give the task another with .named('...') or @task(id='...')"
    if not id:
        return "a task has an empty id", give
    if len(id) > MAX_ID:
        return f"the task id {id[:40]!r}... has {len(id):,} characters, and {MAX_ID} are allowed", give
    if id == "<lambda>":
        return "a task made from a lambda has no id of its own", "give one: Task('name', lambda ...)"
    if "/" in id:
        return f"the task id {id!r} contains '/', which is kept for paths into nested workflows", give
    if id[0] in ".-":
        return f"the task id {id!r} starts with {id[0]!r}", f"start it with a letter, a digit or '_': {give}"
    bad = sorted({c for c in id if not _LEGAL.fullmatch("x" + c)})
    return f"the task id {id!r} contains {', '.join(map(repr, bad))}", f"use letters, digits, '_', '-' and '.': {give}"


def unique_ids(tasks: Sequence[Task[..., Any]], name: str) -> list[DefinitionError]:
    """Every id names one task."""
    first: dict[str, Task[..., Any]] = {}
    if len({task._id for task in tasks}) == len(tasks):
        return []
    again: dict[str, list[Task[..., Any]]] = {}
    for task in tasks:
        if first.setdefault(task._id, task) is not task:
            again.setdefault(task._id, []).append(task)
        elif task in again.get(task._id, ()):  # the very same object, added twice
            again[task._id].append(task)
    counts: dict[str, int] = {}
    for task in tasks:
        counts[task._id] = counts.get(task._id, 0) + 1
    return [
        DuplicateTaskError(duplicate_message(name, first[id], again.get(id, [first[id]])[0]))
        for id, count in counts.items()
        if count > 1
    ]


def duplicate_message(name: str, one: Task[..., Any], other: Task[..., Any]) -> str:
    """Why two tasks cannot share an id, and what to do."""
    sites = one._definition.site, other._definition.site
    if one._definition.fn is other._definition.fn:
        return (
            f"task {one.id!r} is in workflow {name!r} twice, defined at {sites[0]}; "
            f"give one of them another id, .named('...')"
        )
    return (
        f"two tasks of workflow {name!r} have the id {one.id!r}: one defined at {sites[0]}, the other at {sites[1]}; "
        f"give one of them another id, .named('...') or @task(id='...')"
    )


def references(
    structure: Structure, problems: Problems, name: str, mentions: Sequence[Mention] = ()
) -> list[DefinitionError]:
    """Every reference means a task that was added, and says nothing of it that is not so."""
    errors: list[DefinitionError] = []
    ids = list(structure.index)
    unknown = [Mention(reference.target, _reads(structure, reference)) for reference in problems.unknown]
    unknown += [mention for mention in mentions if mention.target.id not in structure.index]
    for count, mention in enumerate(unknown):
        hint = _close(mention.target.id, ids) if count < _HELPED else ""
        errors.append(
            UnknownTaskError(
                f"{mention.what}, but workflow {name!r} has no task {mention.target.id!r}; "
                f"{hint}add it, or correct the reference"
            )
        )
    clashing = [Mention(reference.target, _reads(structure, reference)) for reference in problems.clashing]
    clashing += [
        mention
        for mention in mentions
        if mention.target.id in structure.index
        and not compatible(mention.target, structure.tasks[structure.index[mention.target.id]])
    ]
    for mention in clashing:
        added = structure.tasks[structure.index[mention.target.id]]
        errors.append(
            DuplicateTaskError(
                f"{mention.what}, but means another task than the one of that id in workflow {name!r}: "
                f"{_difference(mention.target, added)}; give one of them another id, .named('...')"
            )
        )
    return errors


def _reads(structure: Structure, reference: Reference) -> str:
    reader = structure.tasks[reference.reader].id
    if reference.parameter.endswith("()"):
        return f"task {reader!r} takes its flag from {reference.target.id!r}"
    if reference.parameter:
        what = "outcome" if reference.outcome else "result"
        return f"task {reader!r} reads the {what} of {reference.target.id!r} for parameter {reference.parameter!r}"
    return f"task {reader!r} runs after {reference.target.id!r}"


def _difference(reference: Task[..., Any], added: Task[..., Any]) -> str:
    from graflow.core._definition import UNBOUND

    if reference._definition.fn is not added._definition.fn:
        return f"the reference was defined at {reference._definition.site}, the other at {added._definition.site}"
    for k, (carried, own) in enumerate(zip(reference._bound, added._bound, strict=True)):
        if carried is not UNBOUND and not same_input(carried, own):
            has = "nothing" if own is UNBOUND else spelling(own)
            parameter = added._definition.shape.parameter(k)
            return f"the reference has {parameter}={spelling(carried)}, the other {has}"
    return "they have different inputs for *args or **kwargs"


def _close(id: str, ids: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = [other for other in ids[:_COMPARED] if other.endswith(f"/{id}")]
    close += [other for other in get_close_matches(id, ids[:_COMPARED], n=3) if other not in close]
    close = close[:3]
    return f"did you mean {' or '.join(map(repr, close))}? Else " if close else ""


def sources(structure: Structure, problems: Problems) -> list[DefinitionError]:
    """Every required parameter has a source."""
    errors: list[DefinitionError] = []
    for count, (i, k) in enumerate(problems.unbound):
        task = structure.tasks[i]
        parameter = task._definition.shape.parameter(k)
        typed, feeders = _typed(task, parameter), _feeders(structure, i, parameter) if count < _HELPED else []
        if feeders:
            ids = [feeder.rpartition(".")[0] for feeder in feeders]
            cure = f"{' or '.join(map(repr, ids))} could feed it: {parameter}={feeders[0]}"
        else:
            cure = f"bind it in the call: {parameter}=..."
        errors.append(
            UnboundParameterError(
                f"parameter {typed!r} of task {task.id!r} has no input ({task._definition.site}); {cure}"
            )
        )
    return errors


def _typed(task: Task[..., Any], parameter: str) -> str:
    from graflow.core._hints import describe

    hint = task._definition.hints.params.get(parameter, Any)
    return parameter if hint is Any else f"{parameter}: {describe(hint)}"


def _feeders(structure: Structure, reader: int, parameter: str) -> list[str]:
    """What could feed a parameter: ``extract.out``, or ``extract.outcome`` where no result fits."""
    from graflow.core._hints import incompatible
    from graflow.core._wiring import end_type, result_type

    wanted = structure.tasks[reader]._definition.hints.params.get(parameter, Any)
    if wanted is Any:
        return []
    results: list[str] = []
    outcomes: list[str] = []
    for i, task in enumerate(structure.tasks[:_COMPARED]):
        given = result_type(task)
        if i == reader or given in (Any, None, type(None)):
            continue
        if not incompatible(given, wanted):
            results.append(f"{task.id}.out")
            if len(results) == 3:
                break
        elif not incompatible(end_type(task), wanted):
            outcomes.append(f"{task.id}.outcome")
    return results or outcomes[:3]


def wiring(structure: Structure, problems: Problems, name: str, model: type[BaseModel] | None) -> list[DefinitionError]:
    """Types fit along every edge, and inputs() means the model of this workflow."""
    errors: list[DefinitionError] = []
    for i, parameter, other in problems.foreign_inputs:
        task = structure.tasks[i]
        takes = f"takes {model.__name__}" if model is not None else "takes no inputs"
        errors.append(
            WiringError(
                f"parameter {parameter!r} of task {task.id!r} reads inputs({other.__name__}), but workflow {name!r} "
                f"{takes}; declare them with inputs={other.__name__}"
            )
        )
    for misfit in problems.misfits:
        task, source = structure.tasks[misfit.reader], misfit.source.__graflow_source__
        if isinstance(source, InputSource):
            is_known = isinstance(source, KnownSource)
            what = source_spelling(misfit.source) if is_known else f"inputs({source.model.__name__})"
            whence = ""
        else:
            what = f"{source.id}.outcome" if takes_outcome(misfit.source) else source.id
            whence = f"{source.id!r} at {structure.tasks[structure.index[source.id]]._definition.site}, "
        is_flag = misfit.parameter.endswith("()")
        how = f"be the flag of {task.id}.{misfit.parameter}"
        errors.append(
            WiringError(
                f"{what!r} cannot {how if is_flag else f'feed parameter {misfit.parameter!r} of task {task.id!r}'}: "
                f"{misfit.reason} "
                f"({whence}{task.id!r} at {task._definition.site}); {misfit.cure}"
            )
        )
    return errors


def acyclic(structure: Structure) -> list[DefinitionError]:
    """No task waits for itself."""
    from graflow.core._graph import cycles

    n = len(structure.tasks)
    errors: list[DefinitionError] = []
    for cycle in cycles(structure.upstream):
        ids = [structure.tasks[i].id for i in cycle if i < n]
        errors.append(
            CycleError(
                f"tasks wait for each other in a circle: {' -> '.join([*ids, ids[0]])}; remove one of these edges"
            )
        )
    return errors


def late_binding(structure: Structure) -> list[DefinitionError]:
    """No two tasks of one loop share a variable that changed while the loop ran."""
    from graflow.core._capture import LateCandidate, describe_late, late_bindings

    first: dict[int, Task[..., Any]] = {}
    for task in structure.tasks:
        if task._definition.snapshot is not None:
            first.setdefault(id(task._definition.fn), task)
    candidates = [
        LateCandidate(task.id, task._definition.fn, task._definition.snapshot, (task._bound, task._extra))
        for task in first.values()
    ]
    errors: list[DefinitionError] = []
    for late in late_bindings(candidates, same_inputs=_same_inputs) if candidates else []:
        if late.kind == "error":
            errors.append(LateBindingError(describe_late(late)))
        else:
            warnings.warn(describe_late(late), LateBindingWarning, stacklevel=caller_level())
    return errors


def _same_inputs(a: Any, b: Any) -> bool:
    return len(a[0]) == len(b[0]) and all(map(same_input, a[0], b[0])) and same_extra(a[1], b[1])


def caller_level() -> int:
    """How many frames up the first frame outside this package is, so that a warning points at the user's own line."""
    import sys

    level, frame = 1, sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("graflow."):
        level += 1
        if frame.f_back is None:
            break
        frame = frame.f_back
    return level
