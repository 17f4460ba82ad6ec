"""YAML as data: the core schema of YAML 1.2, no tags, no key twice. The only module that imports the library.

The library reads YAML 1.1, where ``no`` and ``on`` are booleans, ``1:30`` is ninety and ``1e-3`` is a text. So its
reader is used for the syntax alone, and what a scalar means is said here.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from graflow.core.config._keys import Keys, Mistake, twice

_TAG = "tag:yaml.org,2002:"
_FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
_CORE = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (_FLOAT, list("-+.0123456789")),
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012  # the library's own way to say it: none is inherited

    def __init__(self, text: str, deepest: int) -> None:
        super().__init__(text)
        self._left = deepest + 1

    def compose_node(self, parent: Any, index: Any) -> Any:  # the library's names
        # Deeper containers would end in a RecursionError, but only after each bracket had been compared with all
        # that are open.
        self._left -= 1
        if self._left < 0:
            raise RecursionError
        found = super().compose_node(parent, index)
        self._left += 1
        return found


for _name, (_pattern, _first) in _CORE.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})$"), _first)


def read_yaml(text: str, deepest: int) -> Yaml:
    """Read one document.

    Args:
        text: the document.
        deepest: how deep containers may lie in each other.

    Raises:
        Mistake: it is no YAML.
        RecursionError: it is deeper.
    """
    try:
        return Yaml(_Loader(text, deepest).get_single_node())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        problem = error.problem or error.context or ""
        if r"'\t'" in problem:
            problem = "there is a tab; indent with spaces"
        raise Mistake((), f"this is no YAML: {problem}", line) from None
    except yaml.YAMLError as error:
        raise Mistake((), f"this is no YAML: {str(error).splitlines()[0]}") from None


class Yaml:
    """One document as data; what an alias repeats is the same object again.

    Attributes:
        data: what it says.
        mistakes: what it says that no configuration may say.
    """

    def __init__(self, root: Any) -> None:
        self.mistakes: list[Mistake] = []
        self._made: dict[int, Any] = {}
        self._root = root
        self.data = None if root is None else self._value(root, ())

    def locate(self, keys: Keys) -> int | None:
        """The line on which a key stands."""
        place: Any = self._root
        line = None
        for key in keys:
            if isinstance(place, yaml.MappingNode):
                pair = next((pair for pair in place.value if pair[0].value == key), None)
                if pair is None:
                    return None
                place, line = pair[1], pair[0].start_mark.line + 1
            elif isinstance(place, yaml.SequenceNode) and isinstance(key, int) and key < len(place.value):
                place = place.value[key]
                line = place.start_mark.line + 1
            else:
                return None
        return line

    def _wrong(self, place: Any, keys: Keys, reason: str) -> None:
        self.mistakes.append(Mistake(keys, reason, place.start_mark.line + 1))

    def _value(self, place: Any, keys: Keys) -> Any:
        if id(place) in self._made:
            made = self._made[id(place)]
            if made is _Open:
                self._wrong(place, keys, "this contains itself; write it out as far as it is needed")
                return None
            return made
        self._made[id(place)] = _Open
        if isinstance(place, yaml.MappingNode) and place.tag == f"{_TAG}map":
            made = self._mapping(place, keys)
        elif isinstance(place, yaml.SequenceNode) and place.tag == f"{_TAG}seq":
            made = [self._value(item, (*keys, k)) for k, item in enumerate(place.value)]
        else:
            made = self._scalar(place, keys)
        self._made[id(place)] = made
        return made

    def _mapping(self, place: Any, keys: Keys) -> dict[str, Any]:
        made: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for name, value in place.value:
            key = self._value(name, keys)
            if not isinstance(key, str):
                self._wrong(name, keys, f"a key is a text, not {key!r}; put it in quotes")
            elif key in lines:
                self._wrong(name, (*keys, key), twice(key, lines[key]))
            elif key == "<<" and name.style is None:
                cure = "write the keys out, or use an alias for a whole value"
                self._wrong(name, (*keys, key), f"merging with << is no part of YAML 1.2; {cure}")
            else:
                lines[key] = name.start_mark.line + 1
                made[key] = self._value(value, (*keys, key))
        return made

    def _scalar(self, place: Any, keys: Keys) -> Any:
        kind, text = place.tag.removeprefix(_TAG), place.value
        if isinstance(place, yaml.ScalarNode) and kind in ("str", *_CORE):
            if kind == "str":
                return text
            if re.fullmatch(_CORE[kind][0], text):
                try:
                    return _READ[kind](text)
                except ValueError:  # a whole number of thousands of digits
                    self._wrong(place, keys, f"{text[:20]}... is too long for a number; put it in quotes")
                    return None
            self._wrong(place, keys, f"{text!r} is no {kind}")
            return None
        tag = f"!!{kind}" if kind != place.tag else place.tag
        self._wrong(place, keys, f"the tag {tag} is not allowed; a configuration holds plain data")
        return None


class _Open:
    """The mark of what is being made."""


def _whole(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


_READ: dict[str, Any] = {
    "null": lambda text: None,
    "bool": lambda text: text.lower() == "true",
    "int": _whole,
    "float": lambda text: float(re.sub(r"\.(?=[in])", "", text.lower())),
}
