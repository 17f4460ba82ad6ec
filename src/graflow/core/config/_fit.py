"""Whether a constant certainly does not fit the parameter it is written for.

Nothing is converted: a task gets its constants as the file has them. So a text for a number does not fit, though
pydantic would read it. What tasks may well cope with passes: a text for a path, a list for a tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

from graflow.core._forms import is_union
from graflow.core._hints import describe, incompatible
from graflow.core.config._keys import Keys
from graflow.core.config._models import REFERENCES, brief
from graflow.core.task import Task

_SCALARS: Final = frozenset({str, int, float, complex, bool, type(None)})
#: How many types' validators are kept.
_MOST_KEPT: Final = 256


class Misfit(NamedTuple):
    """A constant that certainly does not fit."""

    keys: Keys
    value: Any
    wanted: Any
    problem: str
    """Where in the value, and what is wrong there; empty for the value itself."""


def misfits(value: Any, wanted: Any, keys: Keys, fn: Callable[..., Any]) -> Iterator[Misfit]:
    """The constants in an input, as it is written, that certainly do not fit.

    Args:
        value: the input; references in it are left alone.
        wanted: the annotation of the parameter.
        keys: the place of the input.
        fn: the callable that takes it.
    """
    if wanted is Any or _is_reference(value):
        return
    if not _has_reference(value):
        problem = _problem(value, wanted, own=hasattr(fn, "raw_function"))  # pydantic's mark: it validates itself
        if problem is not None:
            yield Misfit(keys, value, wanted, problem)
    elif get_origin(wanted) in (list, dict) and isinstance(value, get_origin(wanted)):
        of = get_args(wanted)[-1]
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from misfits(item, of, (*keys, key), fn)


def inputs_of(task: Task[..., Any], name: str, value: Any, keys: Keys) -> Iterator[tuple[str, Any, Keys]]:
    """What is given for a name: one input, or those of ``*``; each with the parameter whose annotation it has."""
    shape = task._definition.shape
    if name in shape.index:
        yield name, value, keys
    elif name == "*" and shape.varargs is not None:
        for k, item in enumerate(value if isinstance(value, list) else ()):
            yield shape.varargs, item, (*keys, k)
    elif shape.varkw is not None:
        yield shape.varkw, value, keys


def words(found: Misfit, parameter: str, tasks: Container[str]) -> str:
    """What is wrong with a misfit, and the cure."""
    said = f"{brief(found.value)} does not fit parameter '{parameter}: {describe(found.wanted)}'{found.problem}"
    meant = intended(found.value, tasks)
    escape = "correct it, or pass it unchecked: {literal: ...}"
    return f"{said}; for a reference write {meant}" if meant else f"{said}; {escape}"


def intended(value: Any, tasks: Container[str]) -> str | None:
    """The reference that a constant was probably meant to be; None if it looks like none."""
    if isinstance(value, str):
        return f"{{from: {value}}}" if value in tasks else None
    keys = [key for key in value if key != "path"] if isinstance(value, dict) else []
    if len(keys) != 1 or _is_reference(value):
        return None
    (key,) = keys
    close = get_close_matches(key.lower(), list(REFERENCES), n=1)
    target = value[key]
    word = close[0] if close else "from" if isinstance(target, str) and target in tasks else None
    if word is None:
        return None
    path = f", path: {value['path']}" if "path" in value else ""
    return f"{{{word}: {target if isinstance(target, str) else '...'}{path}}}"


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict) and any(word in value for word in REFERENCES)


def _has_reference(value: Any) -> bool:
    if isinstance(value, dict):
        return _is_reference(value) or any(map(_has_reference, value.values()))
    return isinstance(value, list) and any(map(_has_reference, value))


def _problem(value: Any, wanted: Any, *, own: bool) -> str | None:
    """Why a value certainly does not fit; None if it may."""
    from pydantic import ValidationError

    if not own and _is_other(value, wanted):
        return ""
    try:
        adapter = _adapter_of(wanted)
    except Exception:  # noqa: BLE001 - a type that pydantic knows nothing of, or that raises what it likes: unknown
        return None
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if found["type"] == "sequence_str":  # a text is a sequence of texts, as type checkers see it
            return None
        loc = found["loc"]
        if is_union(wanted) or not loc or not all(isinstance(key, int | str) for key in loc):
            return ""
        reason = found["msg"].partition(", unable to")[0]
        return f", at {''.join(f'[{key!r}]' for key in loc)}: {reason[:1].lower()}{reason[1:]}"
    except Exception:  # noqa: BLE001 - a user's validator may raise anything
        return None
    return None


def _is_other(value: Any, wanted: Any) -> bool:
    """Is a value of another type than wanted, where converting would be all that helps?"""
    if type(value) is dict:
        return incompatible(dict, wanted)
    members = get_args(wanted) if is_union(wanted) else (wanted,)
    if type(value) not in _SCALARS or not all(isinstance(member, type) and member in _SCALARS for member in members):
        return False
    return incompatible(type(value) if type(value) is float else Literal[value], wanted)


@lru_cache(maxsize=_MOST_KEPT)
def _adapter_of(kind: Any) -> Any:
    from pydantic import PydanticUserError, TypeAdapter

    try:
        return TypeAdapter(kind, config={"arbitrary_types_allowed": True})
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
        return TypeAdapter(kind)
