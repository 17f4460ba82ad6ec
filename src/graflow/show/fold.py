"""Put many similar tasks together, so that a picture of 500 tasks is as readable as one of 50.

A *stack* is one box for a family of tasks: ``batch_0`` ... ``batch_99`` become "batch_* × 100".
A *block* shows every task, but draws those with equal neighbours side by side, with one line to each neighbour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from graflow.show.picture import Edge, Picture, PictureTask

FOLD = 12
"""Fold families with more tasks than this, unless the caller says otherwise."""

_LAST_NUMBER = re.compile(r"(.*?)\d+(\D*)", re.DOTALL)
_WORST_FIRST = ("failed", "cancelled", "running", "skipped")


@dataclass(frozen=True, slots=True)
class Folded:
    """A picture in which some tasks stand for several."""

    picture: Picture
    members: tuple[tuple[int, ...], ...]
    """For each task of ``picture`` the places of those it stands for, in the original."""
    original: Picture
    blocks: frozenset[int]
    """The tasks of ``picture`` to draw as a block of boxes; others with several members are stacks."""

    def is_stack(self, at: int) -> bool:
        """Whether this one stands for tasks that are not drawn."""
        return len(self.members[at]) > 1 and at not in self.blocks


def fold(picture: Picture, stacks_above: int = FOLD, blocks_above: int = FOLD) -> Folded:
    """Make stacks of large families, and blocks of other large sets of tasks with equal neighbours.

    A family has the same level, cluster and signature, and ids that differ in their last number only.

    Args:
        picture: the picture to fold; it may not have been folded before.
        stacks_above: the largest family to leave alone; 0 makes no stacks.
        blocks_above: the largest set of equal neighbours to leave alone; 0 makes no blocks.
    """
    level = picture.levels() if stacks_above or blocks_above else []
    stacks = _groups(_families(picture, level), stacks_above) if stacks_above else []
    stacked = {i for members in stacks for i in members}
    equals = _groups(_equals(picture, level), blocks_above) if blocks_above else []
    return _merged(picture, level, stacks, [members for members in equals if stacked.isdisjoint(members)])


def _groups(keys: list[object], more_than: int) -> list[list[int]]:
    """The places with equal keys, where there are enough of them."""
    groups: dict[object, list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    return [members for members in groups.values() if len(members) > max(more_than, 1)]


def _families(picture: Picture, level: list[int]) -> list[object]:
    """A key per task, equal within a family."""
    stems = [_stem(task) for task in picture.tasks]
    return [
        i if stem is None else (stem, level[i], task.cluster, task.detail, task.kind, task.condition)
        for i, (task, stem) in enumerate(zip(picture.tasks, stems, strict=True))
    ]


def _equals(picture: Picture, level: list[int]) -> list[object]:
    """A key per task, equal for tasks that no edge tells apart."""
    upstreams: list[list[tuple[int, str, bool, bool]]] = [[] for _ in picture.tasks]
    downstreams: list[list[tuple[int, str, bool, bool]]] = [[] for _ in picture.tasks]
    for edge in picture.edges:
        a, b, parameter = edge
        kind = edge in picture.outcomes, edge in picture.flags
        upstreams[b].append((a, parameter, *kind))
        downstreams[a].append((b, parameter, *kind))
    return [
        (level[i], task.cluster, task.kind, task.condition, tuple(sorted(upstreams[i])), tuple(sorted(downstreams[i])))
        for i, task in enumerate(picture.tasks)
    ]


def _merged(picture: Picture, level: list[int], stacks: list[list[int]], blocks: list[list[int]]) -> Folded:
    """The picture with one task in place of each group."""
    if not (stacks or blocks):
        own = tuple((i,) for i in range(len(picture.tasks)))
        return Folded(replace(picture, edges=tuple(dict.fromkeys(picture.edges))), own, picture, frozenset())
    groups = {members[0]: members for members in (*stacks, *blocks)}
    first_of = {i: first for first, members in groups.items() for i in members}
    # in order of their levels, tasks of one level can be merged and every edge still leads forward
    kept = [i for i in sorted(range(len(level)), key=level.__getitem__) if first_of.get(i, i) == i]
    place = {i: at for at, i in enumerate(kept)}
    tasks = tuple(_one_for_all(picture, groups[i]) if i in groups else picture.tasks[i] for i in kept)
    # Where lines fall together, one that passes a result shows: of what it leads to, not all takes outcomes only.
    outcomes: dict[Edge, bool] = {}
    flags: dict[Edge, bool] = {}
    for edge in picture.edges:
        a, b, name = edge
        merged = place[first_of.get(a, a)], place[first_of.get(b, b)], name
        outcomes[merged] = outcomes.get(merged, True) and edge in picture.outcomes
        flags[merged] = flags.get(merged, True) and edge in picture.flags
    marked = (frozenset(edge for edge, only in kind.items() if only) for kind in (outcomes, flags))
    return Folded(
        Picture(picture.name, tasks, tuple(outcomes), *marked),
        tuple(tuple(groups.get(i, (i,))) for i in kept),
        picture,
        frozenset(place[members[0]] for members in blocks),
    )


def _stem(task: PictureTask) -> str | None:
    """The id with its last number replaced, or None for an id that belongs to no family."""
    match = _LAST_NUMBER.fullmatch(task.id)
    return f"{match[1]}*{match[2]}" if match and task.kind != "gate" else None


def _one_for_all(picture: Picture, members: list[int]) -> PictureTask:
    """One task that stands for all of ``members``."""
    tasks = [picture.tasks[i] for i in members]
    first = tasks[0]
    stem = _stem(first) or f"{first.id} …"
    states = [task.state for task in tasks if task.state is not None]
    seconds = [task.seconds for task in tasks if task.seconds is not None]
    return replace(
        first,
        id=stem,
        label=f"{stem} × {len(tasks)}",
        critical=any(task.critical for task in tasks),
        state=next((worst for worst in _WORST_FIRST if worst in states), states[0] if states else None),
        seconds=max(seconds, default=None),
        items=sum(items) if (items := [task.items for task in tasks if task.items is not None]) else None,
        failed_items=sum(task.failed_items for task in tasks),
        reason="",
    )
