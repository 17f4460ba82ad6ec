"""Whether the type of what feeds a parameter fits the parameter's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from graflow.core._hints import NoSuchProjection, describe, incompatible, project
from graflow.core._inputs import Template
from graflow.core.placeholder import InputSource, Placeholder

if TYPE_CHECKING:
    from graflow.core._structure import Structure
    from graflow.core.task import Task

#: Longer tuples are checked as tuples of any length.
_MAX_FIXED = 50


def misfit(task: Task[..., Any], parameter: str | None, value: Any, structure: Structure) -> tuple[str, str] | None:
    """Why an input certainly cannot feed a parameter: the name of its source, and the reason; None if it may fit.

    Args:
        task: the reader.
        parameter: the name under which its type is written, without stars.
        value: a placeholder, or a container of placeholders.
        structure: knows the tasks.
    """
    wanted = task._definition.hints.params.get(parameter or "", Any)
    source = ""
    try:
        for source, given in _given(value, structure):
            if incompatible(given, wanted):
                return source, f"{describe(given)} cannot feed {describe(wanted)}"
    except _NoSuchPart as error:
        return error.source, error.reason
    return None


class _NoSuchPart(Exception):
    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source = source
        self.reason = reason


def _given(value: Any, structure: Structure) -> Iterator[tuple[str, Any]]:
    """The types that an input has, one for each distinct result in it, with the name of that result."""
    if type(value) is Placeholder:
        yield _result(value, structure)
    elif type(value) is Template and value.refs:
        if value.kind is tuple and len(value.items) <= _MAX_FIXED:
            yield from _fixed(value, structure)
            return
        seen: set[Any] = set()
        for item in value.items:
            if type(item) is Placeholder and not item.__graflow_path__:
                source = item.__graflow_source__
                kind = source.model if isinstance(source, InputSource) else source._definition
                if kind in seen:
                    continue
                seen.add(kind)
            for source_name, given in _given(item, structure):
                yield source_name, _container(value.kind, given)


def _fixed(template: Template, structure: Structure) -> Iterator[tuple[str, Any]]:
    """A tuple of known length, each place with its own type."""
    places = [list(_given(item, structure)) for item in template.items]
    for k, candidates in enumerate(places):
        for source, given in candidates:
            yield source, tuple[tuple(given if other == k else Any for other in range(len(places)))]  # type: ignore[misc]


def _container(kind: type, item: Any) -> Any:
    if kind is dict:
        return dict[Any, item]
    return tuple[item, ...] if kind is tuple else list[item]


def _result(placeholder: Placeholder, structure: Structure) -> tuple[str, Any]:
    source, path = placeholder.__graflow_source__, placeholder.__graflow_path__
    if isinstance(source, InputSource):
        name, whole = f"inputs({source.model.__name__})", source.model
    else:
        name = source.id
        whole = structure.tasks[structure.index[name]]._definition.hints.result
    try:
        return name, project(whole, path) if path else whole
    except NoSuchProjection as error:
        raise _NoSuchPart(name, str(error)) from error
