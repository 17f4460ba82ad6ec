"""Key paths, ``tasks.clean.inputs.rows``: where in a configuration something stands, and what is wrong there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TypeAlias

from graflow.errors import DefinitionErrors, InvalidConfigError

Keys: TypeAlias = tuple[str | int, ...]

_PLAIN = re.compile(r"[\w*-]+")


def shown(keys: Keys) -> str:
    """A key path, as messages show it."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        elif _PLAIN.fullmatch(key):
            text += f".{key}" if text else key
        else:
            text += f"[{key!r}]"
    return text


class Mistake(Exception):
    """Something wrong at one place.

    Args:
        keys: the place.
        reason: what is wrong, and the cure.
        line: the line, where it is not that of the key.
    """

    def __init__(self, keys: Keys, reason: str, line: int | None = None) -> None:
        super().__init__(keys, reason, line)
        self.keys = keys
        self.reason = reason
        self.line = line


class Places:
    """A configuration's name, and the lines on which its keys stand.

    Args:
        file: where it was read from; empty for a mapping.
        locate: the line of a key, if it is known.
    """

    def __init__(self, file: str = "", locate: Callable[[Keys], int | None] | None = None) -> None:
        self.file = file
        self._locate = locate

    def line(self, keys: Keys) -> int | None:
        """The line of a key, or of the nearest one around it."""
        if self._locate is None:
            return None
        for length in range(len(keys), 0, -1):
            line = self._locate(keys[:length])
            if line is not None:
                return line
        return None

    def where(self, keys: Keys, line: int | None = None) -> str:
        """How a message about a key begins: ``pipeline.yaml:12: tasks.clean``."""
        line = line if line is not None else self.line(keys)
        file = f"{self.file}:{line}" if line is not None else self.file
        return ": ".join(part for part in (file, shown(keys)) if part) or "the configuration"

    def error(self, mistake: Mistake) -> InvalidConfigError:
        """What is wrong, as users get it."""
        keys, line = mistake.keys, mistake.line if mistake.line is not None else self.line(mistake.keys)
        message = f"{self.where(keys, line)}: {mistake.reason}"
        return InvalidConfigError(message, file=self.file, line=line, path=shown(keys))


class Stage:
    """Gathers what is wrong, so that the user sees all of it at once."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self._mistakes: dict[tuple[Keys, str], Mistake] = {}  # what all tasks of a matrix have wrong is told once

    def add(self, keys: Keys, reason: str) -> None:
        """Note something wrong."""
        self.take(Mistake(keys, reason))

    def take(self, mistake: Mistake) -> None:
        """Note something wrong."""
        self._mistakes.setdefault((mistake.keys, mistake.reason), mistake)

    def end(self) -> None:
        """Raise what was gathered.

        Raises:
            DefinitionError: one `InvalidConfigError`, or a `DefinitionErrors` of several.
        """
        errors = [self.places.error(mistake) for mistake in self._mistakes.values()]
        errors.sort(key=lambda error: error.line or 0)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise DefinitionErrors(f"{self.places.file or 'the configuration'} has {len(errors)} errors", errors)


def twice(key: object, first: int) -> str:
    """What is wrong with a key that is there twice."""
    return f"the key {key!r} is there twice, on line {first} as well; remove one"


def suggestion(name: str, known: Iterable[str]) -> str:
    """What was probably meant, or all that there is."""
    names = list(known)
    close = get_close_matches(name, names[:2000], n=3)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    few = ", ".join(names[:10]) + ", ..." * (len(names) > 10)
    return f"there {'is only' if len(names) == 1 else 'are'} {few}" if names else "there are none"
