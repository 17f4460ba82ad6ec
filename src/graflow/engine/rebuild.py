"""Reading back what an earlier process wrote, in the terms of this one.

What a script defines has no importable name, so its classes are written down whole, and a plain unpickler makes new
ones of them: a stored `Row` would be no instance of the `Row` that the script defines today. Here a class that the
script still has is taken from there, in its present form, as any importable class would be.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from graflow.engine.attempt import said
from graflow.errors import SerializationError

#: The names of the user's script as a module: as Python runs it, and as the command line and spawned processes load it.
_SCRIPTS: Final = ("__main__", "__mp_main__")


def rebuild(data: bytes) -> Any:
    """Rebuild what `graflow.engine.codec.dumps` wrote in an earlier process; the bytes must be trusted.

    A class that a function or another class defines is made anew all the same, for nobody can find it.

    Raises:
        SerializationError: the bytes are damaged, or this process lacks what they name.
    """
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except Exception as error:  # unpickling calls constructors, which may raise anything
        message = f"cannot rebuild a value from {len(data)} bytes: {type(error).__name__}: {said(error)}"
        raise SerializationError(message) from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        around = _AROUND.get(name) if module == "cloudpickle.cloudpickle" else None
        return found if around is None else partial(around, found)


def _class(make: Callable[..., Any], kind: Any, name: str, bases: Any, facts: dict[str, Any], *rest: Any) -> Any:
    """In place of the function that makes a class without a body."""
    return _present(facts.get("__module__"), name) or make(kind, name, bases, facts, *rest)


def _enum(make: Callable[..., Any], bases: Any, name: str, qualname: str, members: Any, module: str, *rest: Any) -> Any:
    """In place of the function that makes an enumeration."""
    return _present(module, qualname) or make(bases, name, qualname, members, module, *rest)


def _body(fill: Callable[..., Any], made: Any, state: Any) -> Any:
    """In place of the function that gives a class its body: one that was there has a newer one."""
    is_ours = _present(made.__module__, made.__qualname__) is made
    return made if is_ours else fill(made, state)


_AROUND: Final[dict[str, Callable[..., Any]]] = {
    "_make_skeleton_class": _class,
    "_make_skeleton_enum": _enum,
    "_class_setstate": _body,
}


def _present(module: str | None, qualname: str) -> type | None:
    """The class that the script defines under this name today."""
    if module not in _SCRIPTS:
        return None
    for name in (module, *_SCRIPTS):
        found = vars(sys.modules[name]).get(qualname) if name in sys.modules else None
        if isinstance(found, type) and found.__module__ in _SCRIPTS and found.__qualname__ == qualname:
            return found
    return None
