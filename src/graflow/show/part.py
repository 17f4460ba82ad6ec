"""A part of a picture: some tasks, and what they hang on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate

from graflow.errors import UnknownTaskError
from graflow.show.picture import Picture

_MOST_COMPARED = 1000
"""Among how many ids one that was mistyped is looked for."""


def part_of(picture: Picture, ids: Sequence[str]) -> Picture:
    """Some tasks of a picture, with the tasks right before and right after them and the edges among all these.

    Args:
        picture: the whole.
        ids: the tasks, by id or by a pattern such as ``price_*``, which is that of file names.

    Raises:
        UnknownTaskError: no task has such an id.
    """
    chosen = _chosen(picture, ids)
    before, after = set(chosen), set(chosen)
    # A gate stands for edges from all before it to all after it, so whoever comes to one goes on to its other side.
    gates = {i for i, task in enumerate(picture.tasks) if task.kind == "gate"}
    for a, b, _ in sorted(picture.edges):
        if a in chosen or (a in gates and a in after):
            after.add(b)
    for a, b, _ in sorted(picture.edges, key=lambda edge: -edge[1]):
        if b in chosen or (b in gates and b in before):
            before.add(a)
    kept = sorted(before | after)
    place = {i: at for at, i in enumerate(kept)}

    def left(edges: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
        return [(place[a], place[b], name) for a, b, name in edges if a in place and b in place]

    return Picture(
        picture.name,
        tuple(picture.tasks[i] for i in kept),
        tuple(left(picture.edges)),
        frozenset(left(picture.outcomes)),
        frozenset(left(picture.flags)),
    )


def _chosen(picture: Picture, ids: Sequence[str]) -> set[int]:
    chosen: set[int] = set()
    for id in ids:
        matches = re.compile(translate(id)).match
        found = [
            i for i, task in enumerate(picture.tasks) if task.kind != "gate" and (task.id == id or matches(task.id))
        ]
        if not found:
            raise UnknownTaskError(f"workflow {picture.name!r} has no task {id!r}{_hint(picture, id)}")
        chosen.update(found)
    return chosen


def _hint(picture: Picture, id: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(id, [task.id for task in picture.tasks if task.kind != "gate"][:_MOST_COMPARED], n=3)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
