"""From a file or a mapping to plain data of bounded size, and the lines on which its keys stand."""

from __future__ import annotations

import json
import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from graflow.core.config._keys import Keys, Mistake, Places, Stage, twice
from graflow.core.config._lines import json_lines, toml_lines
from graflow.errors import ConfigurationError

#: The largest file by kind: YAML is read in pure Python, some four seconds for so much.
MAX_BYTES: Final = {".json": 16 << 20, ".toml": 4 << 20, ".yaml": 512 << 10, ".yml": 512 << 10}
#: How deep containers may lie in each other.
MAX_DEPTH: Final = 64
#: How many values may come from repeating others, as an alias in YAML does. Without a bound ten short lines make
#: billions of values.
MAX_REPEATED: Final = 100_000


class Document(NamedTuple):
    """What was read."""

    data: dict[str, Any]
    places: Places


Source: TypeAlias = Mapping[str, Any] | str | os.PathLike[str]


def read(source: Source) -> Document:
    """Read a configuration.

    Args:
        source: a mapping, or the path of a ``.yaml``, ``.yml``, ``.toml`` or ``.json`` file.

    Raises:
        DefinitionError: it cannot be read, is no mapping, or says something that no configuration may say.
        ConfigurationError: ``source`` is neither, or the library that reads YAML is not installed.
    """
    if isinstance(source, Mapping):
        return _bounded(source, Places())
    if not isinstance(source, str | os.PathLike):
        raise ConfigurationError(f"from_config() takes a mapping or the path of a file, not {source!r}")
    path = Path(source)
    places = Places(str(path))
    try:
        text = _text(path)
        return _READERS[path.suffix.lower()](text, places)
    except Mistake as mistake:
        raise places.error(mistake) from None
    except RecursionError:
        raise places.error(Mistake((), _TOO_DEEP)) from None


_TOO_DEEP = f"containers lie more than {MAX_DEPTH} deep in each other; make it flatter"


def _text(path: Path) -> str:
    kind = path.suffix.lower()
    if kind not in _READERS:
        kinds = ", ".join(_READERS)
        raise Mistake((), f"a configuration is a file that ends in one of {kinds}; rename it, or pass a mapping")
    most = MAX_BYTES[kind]
    try:
        with path.open("rb") as stream:
            raw = stream.read(most + 1)
    except (OSError, ValueError) as error:  # a path with a null character is a ValueError
        raise Mistake((), f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(raw) > most:
        raise Mistake((), f"is larger than {most >> 10:,} KiB, the most for {kind}; split it, or pass a mapping")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Mistake((), f"is not UTF-8: it has the byte 0x{raw[error.start]:02x}; save it as UTF-8", line) from None
    if not text.strip():
        raise Mistake((), "is empty; a configuration has at least a name and tasks")
    return text


def _read_json(text: str, places: Places) -> Document:
    repeats: list[bool] = []

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            repeats.append(True)
        return made

    try:
        data = json.loads(text, object_pairs_hook=mapping)  # NaN is read, so that it can be refused by its key
    except json.JSONDecodeError as error:
        raise Mistake((), f"this is no JSON: {error.msg}", error.lineno) from None
    except ValueError as error:  # a whole number of thousands of digits
        raise Mistake((), f"this is no JSON: {str(error).partition(';')[0]}") from None
    lines = cache(lambda: json_lines(text))
    places = Places(places.file, lambda keys: lines().lines.get(keys))
    if repeats:
        stage = Stage(places)
        for again in lines().again:
            stage.take(Mistake(again.keys, twice(again.keys[-1], again.first), again.line))
        stage.end()
    return _bounded(data, places)


def _read_toml(text: str, places: Places) -> Document:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.fullmatch(r"(.*) \(at line (\d+), column \d+\)", str(error), re.DOTALL)
        reason = found[1] if found is not None else str(error)
        line = int(found[2]) if found is not None else text.count("\n") + 1
        raise Mistake((), f"this is no TOML: {reason}", line) from None
    except ValueError as error:  # a date that is none, a whole number of thousands of digits
        raise Mistake((), f"this is no TOML: {str(error).partition(';')[0]}") from None
    lines = cache(lambda: toml_lines(text))
    return _bounded(data, Places(places.file, lambda keys: lines().get(keys)))


def _read_yaml(text: str, places: Places) -> Document:
    try:
        from graflow.core.config._yaml import read_yaml
    except ModuleNotFoundError as error:
        if error.name != "yaml":
            raise
        raise ConfigurationError(
            f"{places.file}: reading YAML needs PyYAML, which is not installed; in a checkout of graflow run: "
            f"pip install '.[yaml]' (elsewhere: pip install pyyaml), or write the file as TOML or JSON"
        ) from None
    found = read_yaml(text, MAX_DEPTH)
    places = Places(places.file, found.locate)
    stage = Stage(places)
    for mistake in found.mistakes:
        stage.take(mistake)
    stage.end()
    return _bounded(found.data, places)


_READERS: dict[str, Callable[[str, Places], Document]] = {
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
    ".toml": _read_toml,
    ".json": _read_json,
}


def _bounded(data: Any, places: Places) -> Document:
    """The data as plain dicts and lists of our own, if it is not too much."""
    if not isinstance(data, Mapping):
        what = "nothing" if data is None else f"a {type(data).__name__}"
        raise places.error(Mistake((), f"a configuration is a mapping with the keys name and tasks, not {what}"))
    stage = Stage(places)
    try:
        made = _Copy(stage).mapping(data, (), repeated=False)
    except Mistake as mistake:
        raise places.error(mistake) from None
    stage.end()
    return Document(made, places)


class _Copy:
    """A copy in which nothing is shared, so that what was written once and repeated counts each time."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.seen: dict[int, Any] = {}
        self.repeated = 0

    def mapping(self, value: Mapping[Any, Any], keys: Keys, *, repeated: bool) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, item in value.items():
            if isinstance(key, str):
                made[key] = self.value(item, (*keys, key), repeated=repeated)
            else:
                self.stage.add(keys, f"a key is a text, not {key!r}; put it in quotes")
        return made

    def value(self, value: Any, keys: Keys, *, repeated: bool) -> Any:
        if repeated:
            self.repeated += 1
            if self.repeated > MAX_REPEATED:
                raise Mistake(keys[:2], f"aliases repeat more than {MAX_REPEATED:,} values; write less")
        if isinstance(value, float):
            if not math.isfinite(value):
                self.stage.add(keys, f"a number is finite, not {value}; leave it out, or let a task make it")
            return value
        if not isinstance(value, Mapping) and type(value) is not list:
            return value
        if len(keys) > MAX_DEPTH:
            raise Mistake(keys[:2], _TOO_DEEP)
        repeated = repeated or id(value) in self.seen
        self.seen[id(value)] = value
        if isinstance(value, Mapping):
            return self.mapping(value, keys, repeated=repeated)
        return [self.value(item, (*keys, k), repeated=repeated) for k, item in enumerate(value)]
