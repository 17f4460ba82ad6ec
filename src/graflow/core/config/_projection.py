"""The way from a result to a part of it, as text: ``[0].price``."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

_NAME = re.compile(r"[^\W\d]\w*")
_PART = re.compile(
    r"""\.(?P<name>[^\W\d]\w*)
      | \[(?P<index>-?\d{1,18})\]
      | \[(?P<key>"(?:[^"\\]|\\.)*")\]
      | \[(?P<raw>'[^'\\]*')\]""",
    re.VERBOSE,
)

Parts = tuple[tuple[str, Any], ...]


@lru_cache(maxsize=1000)
def parse(text: str) -> Parts:
    """The parts of a way: ``("attr", name)`` and ``("item", key)``.

    Raises:
        ValueError: it cannot be read; says how to write it.
    """
    parts: list[tuple[str, Any]] = []
    if text == ".":  # the whole
        return ()
    rest = f".{text}" if _NAME.match(text) else text
    while rest:
        found = _PART.match(rest)
        if found is None:
            raise ValueError(f'cannot read {rest!r} of the path {text!r}; write .name, [0] or ["key"], as in [0].price')
        name, index, key, raw = found.group("name", "index", "key", "raw")
        if name is not None:
            if name.startswith("__"):
                raise ValueError(f"the path {text!r} leads to {name!r}, and such names are kept for Python itself")
            parts.append(("attr", name))
        else:
            parts.append(("item", int(index) if index else json.loads(key, strict=False) if key else raw[1:-1]))
        rest = rest[found.end() :]
    return tuple(parts)


def write(parts: Parts) -> str:
    """The text of a way.

    Raises:
        ValueError: one of its keys is neither text nor a whole number.
    """
    text = ""
    for kind, key in parts:
        if kind == "attr":
            text += f".{key}"
        elif type(key) in (int, str):
            text += f"[{json.dumps(key)}]"
        else:
            raise ValueError(f"[{key!r}] is neither a text nor a whole number")
    return text


def follow(value: Any, text: str) -> Any:
    """The part of a placeholder that a path leads to.

    Raises:
        PlaceholderError: there is certainly no such part.
    """
    for kind, key in parse(text):
        value = getattr(value, key) if kind == "attr" else value[key]
    return value
