"""Whether the type of what feeds a parameter fits the parameter's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from graflow.core._forms import either
from graflow.core._hints import NoSuchProjection, describe, incompatible, project
from graflow.core._inputs import Template
from graflow.core.outcome import Failed, Ok, Skipped
from graflow.core.placeholder import (
    EACH,
    OUTCOME,
    InputSource,
    Path,
    Placeholder,
    make_placeholder,
    projection_of,
    source_spelling,
    takes_item,
    takes_outcome,
)
from graflow.core.task import Task

if TYPE_CHECKING:
    from graflow.core._structure import Structure

#: Longer tuples are checked as tuples of any length.
_MAX_FIXED = 50
_CURE = "pass another result, or convert it between"


class Finding(NamedTuple):
    """Why an input certainly cannot feed a parameter."""

    source: Placeholder
    reason: str
    cure: str


def misfit(task: Task[..., Any], parameter: str | None, value: Any, structure: Structure) -> Finding | None:
    """Why an input certainly cannot feed a parameter; None if it may fit.

    Args:
        task: the reader.
        parameter: the name under which its type is written, without stars.
        value: a placeholder, or a container of placeholders.
        structure: knows the tasks.
    """
    wanted = task._definition.hints.params.get(parameter or "", Any)
    if not _is_map(task) and (item := _item_in(value)) is not None:
        return Finding(item, "one item is not a value", f"map over it: {task.id}.map({parameter}=...)")
    found = flawed(value, wanted, structure)
    if found is not None and found.cure == _CURE and _fits_by_item(value, wanted, structure):
        spelt = source_spelling(make_placeholder(value.__graflow_source__, (*value.__graflow_path__, *EACH)))
        return found._replace(cure=f"to run it for each item: {task.id}.map({parameter}={spelt})")
    return found


def _fits_by_item(value: Any, wanted: Any, structure: Structure) -> bool:
    """Has an input, which does not fit as a whole, items that do?"""
    if type(value) is not Placeholder or takes_item(value) or takes_outcome(value):
        return False
    try:
        item = _type_of(make_placeholder(value.__graflow_source__, (*value.__graflow_path__, *EACH)), structure)
    except _NoSuchPart:
        return False
    return item is not Any and not incompatible(item, wanted)


def flawed(value: Any, wanted: Any, structure: Structure) -> Finding | None:
    """Why an input certainly has not the wanted type; None if it may have."""
    try:
        for source, given in _given(value, structure):
            if incompatible(given, wanted):
                reason = f"{describe(given)} cannot feed {describe(wanted)}"
                return Finding(source, reason, _cure(source, value, wanted, structure))
    except _NoSuchPart as error:
        return Finding(error.source, error.reason, _CURE)
    return None


def result_type(task: Task[..., Any]) -> Any:
    """The type of the result of a task: of a map, a list of what its body gives."""
    return _listed(task, task._definition.hints.result)


def end_type(task: Task[..., Any]) -> Any:
    """The type of how a task ends: of a map, a list of the ends of its items."""
    return _listed(task, outcome_type(task._definition.hints.result))


def _listed(task: Task[..., Any], one: Any) -> Any:
    """The type of all that a task gives: of a map, a list with one for each item."""
    return list[one] if _is_map(task) else one


def _is_map(task: Task[..., Any]) -> bool:
    from graflow.core.map_task import MapTask

    return isinstance(task, MapTask)


def outcome_type(result: Any) -> Any:
    """The type of how a task ends whose result has this type."""
    kind: Any = Ok
    try:
        ok = kind[result]
    except TypeError:  # no type that a class can be subscripted with
        ok = kind[Any]
    return either((ok, Failed, Skipped))


def _item_in(value: Any) -> Placeholder | None:
    refs: tuple[Any, ...] = value.refs if type(value) is Template else (value,)
    return next((ref for ref in refs if type(ref) is Placeholder and takes_item(ref)), None)


class _NoSuchPart(Exception):
    def __init__(self, source: Placeholder, reason: str) -> None:
        super().__init__(source, reason)
        self.source = source
        self.reason = reason


def _given(value: Any, structure: Structure) -> Iterator[tuple[Placeholder, Any]]:
    """The types that an input has, one for each distinct result in it, with that result."""
    if type(value) is Placeholder:
        yield value, _type_of(value, structure)
    elif type(value) is Template and value.refs:
        if value.kind is tuple and len(value.items) <= _MAX_FIXED:
            yield from _fixed(value, structure)
            return
        seen: set[Any] = set()
        for item in value.items:
            if type(item) is Placeholder and not projection_of(item):
                source = item.__graflow_source__
                kind = source.model if isinstance(source, InputSource) else source._definition
                key = kind, takes_outcome(item), isinstance(source, Task) and _is_map(_added(source, structure))
                if key in seen:
                    continue
                seen.add(key)
            for placeholder, given in _given(item, structure):
                yield placeholder, _container(value.kind, given)


def _fixed(template: Template, structure: Structure) -> Iterator[tuple[Placeholder, Any]]:
    """A tuple of known length, each place with its own type."""
    places = [list(_given(item, structure)) for item in template.items]
    for k, candidates in enumerate(places):
        for source, given in candidates:
            yield source, tuple[tuple(given if other == k else Any for other in range(len(places)))]  # type: ignore[misc]


def _container(kind: type, item: Any) -> Any:
    if kind is dict:
        return dict[Any, item]
    return tuple[item, ...] if kind is tuple else list[item]


def _type_of(placeholder: Placeholder, structure: Structure) -> Any:
    source, path = placeholder.__graflow_source__, projection_of(placeholder)
    if isinstance(source, InputSource):
        whole: Any = source.model
    else:
        added = _added(source, structure)
        whole = end_type(added) if takes_outcome(placeholder) else result_type(added)
    try:
        return project(whole, path) if path else whole
    except NoSuchProjection as error:
        raise _NoSuchPart(placeholder, str(error)) from error


def _added(source: Task[..., Any], structure: Structure) -> Task[..., Any]:
    return structure.tasks[structure.index[source.id]]


def _cure(source: Placeholder, value: Any, wanted: Any, structure: Structure) -> str:
    """What to pass instead: the result in place of the outcome, or the other way round, where that fits."""
    if isinstance(source.__graflow_source__, InputSource) or projection_of(source):
        return _CURE
    path: Path = () if takes_outcome(source) else OUTCOME
    try:
        if any(incompatible(given, wanted) for _, given in _given(_turned(value, path), structure)):
            return _CURE
    except _NoSuchPart:  # another part of the same container
        return _CURE
    what = "how it ended" if path else "its result"
    return f"pass {what}, {source_spelling(make_placeholder(source.__graflow_source__, path))}"


def _turned(value: Any, path: Path) -> Any:
    """An input that takes outcomes in place of results, or results in place of outcomes."""
    if type(value) is Template:
        return value.map(lambda item: _turned(item, path))
    is_task = type(value) is Placeholder and not isinstance(value.__graflow_source__, InputSource)
    return make_placeholder(value.__graflow_source__, path) if is_task and not projection_of(value) else value
