"""What the checks of every workflow found, in the terms of a file: its places, and its way to write references."""

from __future__ import annotations

import re
from typing import Final, cast

from graflow.core.config._expand import Entries, Entry
from graflow.core.config._keys import Keys, Places
from graflow.errors import DefinitionError, DefinitionErrors

_PARAMETER: Final = re.compile(r"parameter '(?P<name>\w+)[^']*' of task '(?P<id>[^']+)'")
_FLAG: Final = re.compile(r"'(?P<source>[^']+)' cannot be the flag of (?P<id>[\w./-]+)\.(?P<how>when|unless)\(\)")
_ID: Final = r"(?P<id>\w(?:[\w.-]*\w)?)"
_PATH: Final = r"(?P<path>[.\[][^\s();,'\"]*)"
#: Python's way to write what a message advises, and the file's.
_SPELLINGS: Final = (
    (rf"(?P<cure>for each item: )[\w.-]+\.map\(\w+=each\({_ID}\.out{_PATH}\)\)",
     r"\g<cure>{each: {from: \g<id>, path: '\g<path>'}}"),
    (rf"(?P<cure>for each item: )[\w.-]+\.map\(\w+={_ID}\.each\)", r"\g<cure>{each: \g<id>}"),
    (rf"(?P<cure>pass how it ended, ){_ID}\.outcome\b", r"\g<cure>{outcome: \g<id>}"),
    (rf"(?P<cure>pass its result, ){_ID}\.out\b", r"\g<cure>{from: \g<id>}"),
    (rf"(?P<cure>could feed it: )(?P<name>\w+)={_ID}\.outcome$", r"\g<cure>\g<name>: {outcome: \g<id>}"),
    (rf"(?P<cure>could feed it: )(?P<name>\w+)={_ID}\.out$", r"\g<cure>\g<name>: {from: \g<id>}"),
    (r"bind it in the call: (?P<name>[\w*]+)=\.\.\.$", r"write it under inputs: \g<name>: ..."),
    (rf"^'{_ID}\.outcome'(?P<rest> cannot )", r"{outcome: \g<id>}\g<rest>"),
    (rf"^[\w.-]+\.(?P<how>when|unless)\({_ID}\.outcome\)", r"\g<how>: {outcome: \g<id>}"),
    (rf"(?P<what>takes a flag, not .*; pass its result, ){_ID}\.out$", r"\g<what>{from: \g<id>}"),
)  # fmt: skip


def translated(message: str) -> str:
    """A message with references as a file writes them, where it has them as Python does."""
    for python, file in _SPELLINGS:
        message = re.sub(python, file, message)
    return message


class Located:
    """Tells where in the configuration the tasks of a definition error are."""

    def __init__(self, places: Places, entries: Entries) -> None:
        self.places = places
        self.entries = entries

    def error(self, error: DefinitionError) -> DefinitionError:
        """The same error, with the place before its words."""
        if isinstance(error, DefinitionErrors):
            return DefinitionErrors(error.message, [self.error(cast(DefinitionError, one)) for one in error.exceptions])
        message = str(error)
        return type(error)(f"{self.places.where(self._keys(message))}: {translated(message)}")

    def _keys(self, message: str) -> Keys:
        """The place of the flag or parameter, or else of the first task, that a message names."""
        flag = _FLAG.search(message)
        if flag is not None and flag["id"] in self.entries.by_id:
            return _flag(self.entries.by_id[flag["id"]], flag["how"], flag["source"].removesuffix(".outcome"))
        reads = _PARAMETER.search(message)
        if reads is not None and reads["id"] in self.entries.by_id:
            entry = self.entries.by_id[reads["id"]]
            known = reads["name"] in entry.config.inputs
            return (*entry.keys, "inputs", reads["name"]) if known else entry.keys
        for id in re.findall(r"[\w.-]+", message):
            if id in self.entries.by_id and re.search(rf"(?:'|: |-> ){re.escape(id)}(?:'| ->|;)", message):
                return self.entries.by_id[id].keys
        return ()


def _flag(entry: Entry, how: str, source: str) -> Keys:
    """The place of one flag; of several, of the one that names the source."""
    if how not in entry.config.model_fields_set:
        return entry.keys
    place = (*entry.keys, how)
    flags = getattr(entry.config, how)
    if not isinstance(flags, list):
        return place
    for k, flag in enumerate(flags):
        text = flag.get("from", flag.get("outcome")) if isinstance(flag, dict) else None
        if isinstance(text, str) and entry.filled(text, place) == source:
            return (*place, k)
    return place
