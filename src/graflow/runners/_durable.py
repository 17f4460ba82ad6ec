"""Runs that a store keeps: begun, found again under their name, read back, and gone on with."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from graflow.core._digest import digest_value
from graflow.core._options import RunOptions
from graflow.core.signal import check_value
from graflow.engine import codec
from graflow.engine.rebuild import rebuild
from graflow.errors import (
    RunConflictError,
    SerializationError,
    SignalError,
    StoreError,
    UnknownTaskError,
    WorkflowChangedError,
)
from graflow.stores.store import ITEMS, NewRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graflow.core.plan import Plan
    from graflow.core.run import Changed
    from graflow.core.signal import Signal
    from graflow.core.workflow import Workflow
    from graflow.engine.drive import Execution
    from graflow.stores.store import AttemptRow, Claim, Store, StoredRun

_MOST_NAMED = 10


def create(store: Store, execution: Execution, inputs: Any, target: str | None) -> Claim:
    """Have the store keep a new run.

    Raises:
        RunConflictError: its id is taken.
        SerializationError: the inputs cannot be stored.
        StoreError: the store cannot be written.
    """
    plan, options = execution.plan, execution.options
    try:
        written = codec.dumps(inputs)
    except SerializationError as error:
        raise SerializationError(f"the inputs of workflow {plan.name!r} cannot be stored: {error}") from error
    return store.create(
        NewRun(
            id=execution.id,
            workflow=plan.name,
            created=execution.clock.wall(),
            fingerprint=plan.results_fingerprint,
            inputs_digest=digest_value(inputs).hex(),
            inputs=written,
            code=b"",  # the journal writes it, once the run has lasted a while or failed
            ids=plan.ids,
            fingerprints=plan.task_fingerprints,
            options=json.dumps({"on_failure": options.on_failure, "timeout": options.timeout}),
            target=target,
        )
    )


def code_of(plan: Plan) -> bytes:
    """The workflow as bytes; empty if it cannot be written down, and then `Runner.resume` has to be given it."""
    try:
        return codec.dumps(plan.workflow)
    except SerializationError:
        return b""


def fingerprints_at(rest: Remainder, stored: StoredRun, plan: Plan) -> tuple[str, tuple[str, ...]]:
    """The fingerprints as the store is to have them: of tasks that are gone or whose result is kept, those it had."""
    found = [*stored.fingerprints, *([""] * (len(rest.ids) - len(stored.ids)))]
    for i, (place, fingerprint) in enumerate(zip(rest.places, plan.task_fingerprints, strict=True)):
        if i not in rest.kept:
            found[place] = fingerprint
    return stored.row.fingerprint if rest.kept else plan.results_fingerprint, tuple(found)


def workflow_of(stored: StoredRun) -> Workflow[Any, Any]:
    """The workflow that a run was begun with; what it imports is of today.

    Raises:
        StoreError: it was not stored, or cannot be rebuilt here.
    """
    run_id = stored.row.id
    if not stored.code:
        raise StoreError(f"run {run_id!r} has no workflow, for it could not be stored; give it to resume() as well")
    try:
        workflow: Workflow[Any, Any] = rebuild(stored.code)
    except SerializationError as error:
        raise StoreError(f"the workflow of run {run_id!r} cannot be rebuilt: {error}; give it to resume()") from error
    return workflow


def inputs_of(stored: StoredRun) -> Any:
    """The inputs of a run.

    Raises:
        StoreError: they cannot be rebuilt here.
    """
    try:
        return rebuild(stored.inputs)
    except SerializationError as error:
        raise StoreError(f"the inputs of run {stored.row.id!r} cannot be rebuilt: {error}") from error


def options_of(stored: StoredRun, check: bool, timeout: float | None = None) -> RunOptions:
    """How the run was begun; its time starts anew, or is what the caller gives it."""
    given = json.loads(stored.options)
    seconds = given["timeout"] if timeout is None else timeout
    return RunOptions(check, stored.row.id, given["on_failure"], seconds)


def check_same(stored: StoredRun, plan: Plan, inputs: Any) -> None:
    """Refuse to take a run for another one of the same name.

    Raises:
        RunConflictError: it runs another workflow, or has other inputs.
        WorkflowChangedError: the code of the workflow is not what it was.
    """
    row = stored.row
    what: str | None = None
    if row.workflow != plan.name:
        what = f"is of workflow {row.workflow!r}, not {plan.name!r}"
    elif row.inputs_digest != digest_value(inputs).hex():
        what = "has other inputs"
    elif stored.ids != plan.ids:
        what = f"is of a workflow {row.workflow!r} with other tasks"
    if what is not None:
        raise RunConflictError(f"run {row.id!r} {what}; choose another run_id, or delete that run")
    if row.fingerprint != plan.results_fingerprint:
        pairs = zip(stored.ids, stored.fingerprints, plan.task_fingerprints, strict=True)
        names = tuple(id for id, was, now in pairs if was != now)
        shown = f"of {_listed(names)}" if names else f"of workflow {plan.name!r}"
        raise WorkflowChangedError(
            f"the code or the inputs {shown} changed since run {row.id!r} began; choose another run_id, or go on with "
            f"resume({row.id!r}, workflow, changed='keep') or changed='rerun'",
            names,
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(map(repr, names[:_MOST_NAMED])) + more


class Remainder(NamedTuple):
    """What is left to do of a stored run."""

    places: list[int]
    """Per task, its index in the store."""
    ids: tuple[str, ...]
    """The ids as the store is to have them: those it had, and new ones."""
    rows: dict[int, list[AttemptRow]]
    """Task → its attempts so far, in order."""
    again: dict[int, str]
    """Tasks whose result is known and that run all the same, with the reason."""
    kept: set[int]
    """Tasks that changed and whose result is kept all the same."""
    items: dict[int, dict[int, list[AttemptRow]]]
    """Map → item → its attempts so far, in order."""
    touched: frozenset[int]
    """What runs again, or depends on what does."""


def remainder(stored: StoredRun, plan: Plan, changed: Changed) -> Remainder:
    """Compare a stored run with the workflow as it is now.

    Raises:
        RunConflictError: it is a run of another workflow.
        WorkflowChangedError: tasks that succeeded changed since, and ``changed`` is ``refuse``.
    """
    if stored.row.workflow != plan.name:
        raise RunConflictError(
            f"run {stored.row.id!r} is of workflow {stored.row.workflow!r}, not {plan.name!r}; resume it with that one"
        )
    place_of = {id: place for place, id in enumerate(stored.ids)}
    ids = (*stored.ids, *(id for id in plan.ids if id not in place_of))
    place_of = {id: place for place, id in enumerate(ids)}
    places = [place_of[id] for id in plan.ids]
    task_at = {place: i for i, place in enumerate(places)}
    rows: dict[int, list[AttemptRow]] = {}
    items: dict[int, dict[int, list[AttemptRow]]] = {}
    for row in stored.attempts:
        if row.task in task_at:
            rows.setdefault(task_at[row.task], []).append(row)
        elif (i := task_at.get(row.task % ITEMS)) is not None and row.task >= ITEMS and i in plan.maps:
            items.setdefault(i, {}).setdefault(row.task // ITEMS - 1, []).append(row)
    done = [i for i in sorted(rows) if rows[i][-1].state == "succeeded"]
    now = plan.task_fingerprints
    other = [i for i in sorted({*done, *items}) if stored.fingerprints[places[i]] != now[i]]
    if other and changed == "refuse":
        names = [plan.ids[i] for i in other]
        raise WorkflowChangedError(
            f"the code or the inputs of {_listed(names)} changed since run {stored.row.id!r}, in which "
            f"{'it' if len(names) == 1 else 'they'} succeeded; resume with changed='rerun' to run "
            f"{'it' if len(names) == 1 else 'them'} and what depends on {'it' if len(names) == 1 else 'them'} again, "
            f"or with changed='keep' to keep the results",
            tuple(names),
        )
    again: dict[int, str] = {}
    if changed == "rerun":
        again = dict.fromkeys(other, "its code or its inputs changed")
    # Who took the outcome of a task that did not succeed was told of an end that this run will replace.
    known = set(done)
    was = dict(enumerate(stored.fingerprints))
    redone = _redone(plan, rows, known, {i for i, place in enumerate(places) if was.get(place) != now[i]})
    for reader, upstreams in sorted(plan.tolerated.items()):
        if reader in known and any(redone[u] for u in upstreams - plan.unawaited.get(reader, frozenset())):
            again.setdefault(reader, "a task whose outcome it takes runs again")
    touched = frozenset(_spread(again, known, plan))
    return Remainder(places, ids, rows, again, {i for i in other if i not in again}, items, touched)


def _redone(plan: Plan, rows: dict[int, list[AttemptRow]], known: set[int], changed: set[int]) -> list[bool]:
    """Per index: will it end anew? What a flag skipped will be skipped again, if what it depends on stays."""
    redone = [False] * len(plan.upstream)
    for i in plan.order:
        if i not in known:
            is_skipped = i in rows and rows[i][0].state == "skipped" and i not in changed
            redone[i] = (i < len(plan.ids) and not is_skipped) or any(redone[u] for u in plan.upstream[i])
    return redone


def _spread(again: dict[int, str], known: set[int], plan: Plan) -> list[int]:
    """What depends on a task that runs again runs again as well: all these tasks and gates."""
    stack = sorted(again)
    cause = {i: i for i in stack}
    while stack:
        u = stack.pop()
        for d in plan.downstream[u]:
            if d in cause:
                continue
            cause[d] = cause[u]
            stack.append(d)
            if d in known:
                again[d] = f"it depends on {plan.ids[cause[u]]!r}, which runs again"
    return list(cause)


def known_value(store: Store, run_id: str, place: int) -> tuple[bool, Any, str]:
    """The result that a store has: whether it can be used, the result, and if not, why."""
    try:
        payload = store.result(run_id, place)
        if payload is None:
            return False, None, "its result could not be stored"
        return True, rebuild(payload), ""
    except (StoreError, SerializationError) as error:
        return False, None, f"its stored result cannot be read: {error}"


def send(store: Store, run_id: str, signal: Signal[Any], value: Any) -> None:
    """Keep what arrives for a signal of a stored run; see `graflow.LocalRunner.send`."""
    checked = check_value(signal, value)
    row = store.find(run_id)
    stored = store.stored(run_id if row is None else row.id)  # of one that does not exist: says so
    if signal.id not in stored.ids:
        raise UnknownTaskError(f"run {stored.row.id!r} of workflow {stored.row.workflow!r} has no task {signal.id!r}")
    if stored.row.state == "succeeded":
        raise SignalError(f"run {stored.row.id!r} has succeeded, and waits for nothing any more")
    if not store.put_signal(stored.row.id, signal.id, codec.dumps(checked), time.time()):
        raise SignalError(f"signal {signal.id!r} of run {stored.row.id} was sent before; the first value counts")
