"""The lines on which the keys of a JSON or TOML text stand, which the standard library's readers do not tell.

Both scanners run only when there is something to complain of, on a text that was read without complaint: what they
need not understand they skip.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import NamedTuple

from graflow.core.config._keys import Keys


class Again(NamedTuple):
    """A key that is there twice."""

    keys: Keys
    first: int
    """The line of the first."""
    line: int
    """The line of the second."""


class Lines(NamedTuple):
    """Where keys stand."""

    lines: dict[Keys, int]
    again: list[Again]


_JSON = re.compile(r'(?P<line>\n)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<mark>[{}\[\],:])|(?P<other>[^\s{}\[\],:"]+)')


def json_lines(text: str) -> Lines:
    """The lines of a JSON text's keys and items, and what is there twice."""
    found = Lines({}, [])
    path: list[str | int] = []  # one entry for each open container: the key or index that is being read
    is_list: list[bool] = []
    wants_key, number = False, 1
    for token in _JSON.finditer(text):
        kind, what = token.lastgroup, token[0]
        if kind == "line":
            number += 1
        elif what in ("}", "]"):
            path.pop()
            is_list.pop()
            wants_key = False
        elif what == ",":
            wants_key = not is_list[-1]
            if is_list[-1]:
                path[-1] = int(path[-1]) + 1
        elif wants_key and kind == "text":
            path[-1], wants_key = json.loads(what), False
            keys = tuple(path)
            if keys in found.lines:
                found.again.append(Again(keys, found.lines[keys], number))
            else:
                found.lines[keys] = number
        elif what != ":":
            if is_list and is_list[-1]:
                found.lines.setdefault(tuple(path), number)
            if what in ("{", "["):
                path.append(0 if what == "[" else "")
                is_list.append(what == "[")
                wants_key = what == "{"
    return found


_TOML = re.compile(
    r'''(?P<text>"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')
      | (?P<line>\n) | \#[^\n]* | (?P<mark>[\[\]{}=,.]) | (?P<word>[^\s\[\]{}=,."'\#]+)''',
    re.VERBOSE | re.DOTALL,
)


class _Toml:
    """One pass over the tokens of a TOML text."""

    def __init__(self, text: str) -> None:
        self.tokens = list(self._split(text))
        self.at = 0
        self.lines: dict[Keys, int] = {}
        self.counts: dict[Keys, int] = {}  # of each array of tables, its last index

    @staticmethod
    def _split(text: str) -> Iterator[tuple[str, int]]:
        number = 1
        for token in _TOML.finditer(text):
            if token.lastgroup is not None:
                yield token[0], number
            number += token[0].count("\n")
        yield "\n", number

    def scan(self) -> None:
        around: Keys = ()
        while self.at < len(self.tokens):
            what, _ = self.tokens[self.at]
            if what == "\n":
                self.at += 1
            elif what == "[":
                around = self._header()
            else:
                self._entry(around)

    def _header(self) -> Keys:
        many = self.tokens[self.at + 1][0] == "["
        self.at += 1 + many
        names = self._names("]")
        self.at += many
        around: Keys = ()
        for name in names[:-1]:
            around = self._current((*around, name))
        last = (*around, names[-1])
        if not many:
            return self._current(self._note(last))
        self.counts[last] = self.counts.get(last, -1) + 1
        return self._note((*self._note(last), self.counts[last]))

    def _current(self, keys: Keys) -> Keys:
        return (*keys, self.counts[keys]) if keys in self.counts else keys

    def _note(self, keys: Keys) -> Keys:
        self.lines.setdefault(keys, self.tokens[self.at - 1][1])
        return keys

    def _names(self, end: str) -> list[str]:
        """The parts of a dotted key, and go past what ends it."""
        names: list[str] = []
        while (what := self.tokens[self.at][0]) != end:
            self.at += 1
            if what != ".":
                names.append(next(iter(tomllib.loads(f"{what} = 0"))))
        self.at += 1
        return names

    def _entry(self, around: Keys) -> None:
        for name in self._names("="):
            around = self._note((*around, name))
        self._value(around)

    def _value(self, keys: Keys) -> None:
        what, _ = self.tokens[self.at]
        if what == "[":
            self._many(keys, "]")
        elif what == "{":
            self._many(keys, "}")
        else:
            while self.tokens[self.at][0] not in ("\n", ",", "]", "}"):
                self.at += 1

    def _many(self, keys: Keys, end: str) -> None:
        self.at += 1
        index = 0
        while (what := self.tokens[self.at][0]) != end:
            if what in ("\n", ","):
                self.at += 1
            elif end == "}":
                self._entry(keys)
            else:
                self.lines.setdefault((*keys, index), self.tokens[self.at][1])
                self._value((*keys, index))
                index += 1
        self.at += 1


def toml_lines(text: str) -> dict[Keys, int]:
    """The lines of a TOML text's keys and items."""
    scan = _Toml(text)
    scan.scan()
    return scan.lines
