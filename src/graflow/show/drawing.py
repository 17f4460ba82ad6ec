"""Give every box of a picture its size, its text and its place."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from graflow.errors import ConfigurationError
from graflow.show.fold import Folded
from graflow.show.layout import Box, Edge, Layout, Rect, arrange
from graflow.show.picture import Picture, PictureTask, parameter_label
from graflow.show.text import cells, one_line, shorten

ROOMY = 60
"""Pictures of more boxes than this leave out signatures and parameter names."""
MOST_DRAWN = 20_000
"""Drawings of more boxes than this are refused: they take minutes, and nobody can look at them."""
HEAD = 7.0
"""Length of an arrow head."""
POINT = 10.0
"""How far the right side of a signal is pointed."""

_LABEL_CELL, _DETAIL_CELL = (
    7.85,
    6.35,
)  # px per character at 13px and 10.5px; the widest of the usual fonts has 0.604 em
_LABEL_LIMIT, _DETAIL_LIMIT, _PARAMETER_LIMIT = 34, 34, 18
_PORT = 15.0
_MOST_PORTS = 6
_GATE = 12.0
_CELL_GAP = 8.0
_BLOCK_PADDING = 12.0
_CRITICAL_WEIGHT = 4.0


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture with the place of everything in it, ready to be written."""

    folded: Folded
    shown: tuple[PictureTask, ...]
    """The tasks of the folded picture as drawn: in a cluster, labels go without the name of the cluster."""
    ports: tuple[tuple[str, ...], ...]
    """For each of them the parameters that have a place of their own on its left side."""
    layout: Layout
    details: bool
    outcome_ports: frozenset[tuple[int, str]] = frozenset()
    """The ports, by task and parameter, that nothing but outcomes arrives at."""

    @property
    def picture(self) -> Picture:
        """The picture as drawn, with one task for each stack or block."""
        return self.folded.picture

    def port(self, at: int, parameter: str) -> int:
        """The place among the ports of a task where the edges that feed this parameter end."""
        return _port(self.ports[at], parameter)

    def port_label(self, at: int, parameter: str) -> str:
        """What to write where edges end at this port of a task."""
        return parameter_label(parameter_name(parameter), outcome=(at, parameter) in self.outcome_ports)

    def block_cells(self, at: int) -> list[tuple[int, PictureTask, Rect]]:
        """The boxes in a block: their place in the original picture, what to write, and where."""
        rect = self.layout.boxes[at]
        members = [(i, self._member(at, i)) for i in self.folded.members[at]]
        width, height, columns = _cell_size([task for _, task in members], details=self.details)
        left, top = rect.left + _BLOCK_PADDING, rect.top + _BLOCK_PADDING
        return [
            (
                i,
                task,
                Rect(
                    left + place % columns * (width + _CELL_GAP),
                    top + place // columns * (height + _CELL_GAP),
                    width,
                    height,
                ),
            )
            for place, (i, task) in enumerate(members)
        ]

    def _member(self, at: int, i: int) -> PictureTask:
        return _short(self.folded.original.tasks[i], self.shown[at].cluster)


def draw(folded: Folded, *, details: bool | None = None) -> Drawing:
    """Find a place for everything.

    Args:
        folded: what to draw.
        details: write signatures and parameter names; by default if there are not too many boxes to read them.

    Raises:
        ConfigurationError: there are more than `MOST_DRAWN` boxes.
    """
    picture = folded.picture
    boxes = sum(len(members) if at in folded.blocks else 1 for at, members in enumerate(folded.members))
    if boxes > MOST_DRAWN:
        raise ConfigurationError(
            f"cannot draw {picture.name!r}: it takes {boxes:,} boxes, and more than {MOST_DRAWN:,} are too many to "
            f"look at; draw a part of it, or write it as dot or json"
        )
    if details is None:
        details = boxes <= ROOMY
    shown = tuple(_short(task, task.cluster) for task in picture.tasks)
    drawing = _arranged(folded, shown, _ports(picture, details=details), details=details)
    framed = {path for path, _ in drawing.layout.clusters}
    if any(task.cluster and task.cluster not in framed for task in shown):
        # some clusters cannot be drawn as frames: their tasks need the full id
        shown = tuple(_short(task, _framed(task.cluster, framed)) for task in picture.tasks)
        drawing = _arranged(folded, shown, drawing.ports, details=details)
    ports = _sorted_ports(drawing)
    return drawing if ports == drawing.ports else _arranged(folded, shown, ports, details=details)


def label(task: PictureTask) -> str:
    """The first line in a box."""
    return shorten(one_line(task.label), _LABEL_LIMIT, keep_end=True) + task.mark


def second_line(task: PictureTask, *, details: bool) -> str:
    """The other line: how the task fared, in the picture of a run; its condition or signature, in that of a plan."""
    plan = one_line(task.condition) or (one_line(task.detail) if details else "")
    return task.fared or shorten(plan, _DETAIL_LIMIT)


def parameter_name(name: str) -> str:
    """What to write at the end of an edge."""
    return shorten(one_line(name), _PARAMETER_LIMIT)


def _short(task: PictureTask, cluster: tuple[str, ...]) -> PictureTask:
    """The task as it looks inside the frame of a cluster."""
    framed = replace(task, cluster=cluster)
    return replace(framed, label=framed.short_label)


def _framed(cluster: tuple[str, ...], framed: set[tuple[str, ...]]) -> tuple[str, ...]:
    """The innermost frame around a task of this cluster."""
    return next((cluster[:depth] for depth in range(len(cluster), 0, -1) if cluster[:depth] in framed), ())


def _ports(picture: Picture, *, details: bool) -> tuple[tuple[str, ...], ...]:
    """The parameters of each task that are fed by edges, unless there are too many to tell apart."""
    fed: list[dict[str, None]] = [{} for _ in picture.tasks]
    for _, b, parameter in picture.edges:
        fed[b][parameter] = None
    return tuple(tuple(names) if details and 0 < len(names) <= _MOST_PORTS else ("",) for names in fed)


def _sorted_ports(drawing: Drawing) -> tuple[tuple[str, ...], ...]:
    """The ports of each task in the order in which their lines arrive, so that these do not cross."""
    heights: list[dict[str, list[float]]] = [{name: [] for name in names} for names in drawing.ports]
    for (_, b, parameter), route in zip(drawing.picture.edges, drawing.layout.routes, strict=True):
        name = drawing.ports[b][drawing.port(b, parameter)]
        heights[b][name].append(route[-3].y)  # the last two points lie before the port; this one in the column before
    return tuple(
        tuple(sorted(names, key=lambda name, ys=ys: sum(ys[name]) / max(len(ys[name]), 1)))  # type: ignore[misc]
        for names, ys in zip(drawing.ports, heights, strict=True)
    )


def _port(names: tuple[str, ...], parameter: str) -> int:
    return names.index(parameter) if parameter in names else 0


def _arranged(
    folded: Folded, shown: tuple[PictureTask, ...], ports: tuple[tuple[str, ...], ...], *, details: bool
) -> Drawing:
    drawing = Drawing(folded, shown, ports, Layout(), details, _outcome_ports(folded.picture))
    boxes = [_box(drawing, at) for at in range(len(shown))]
    critical = folded.picture.critical_edges()
    edges = [
        Edge(a, b, _port(ports[b], parameter), _CRITICAL_WEIGHT if (a, b) in critical else 1.0)
        for a, b, parameter in folded.picture.edges
    ]
    return replace(drawing, layout=arrange(boxes, edges))


def _outcome_ports(picture: Picture) -> frozenset[tuple[int, str]]:
    results = {edge[1:] for edge in picture.edges if edge not in picture.outcomes}
    return frozenset(edge[1:] for edge in picture.outcomes if edge[1:] not in results)


def _box(drawing: Drawing, at: int) -> Box:
    task, names = drawing.shown[at], drawing.ports[at]
    if task.kind == "gate" and not task.label:
        return Box(_GATE, _GATE, task.cluster, stretch=False)
    places = tuple(_PORT * (i - (len(names) - 1) / 2) for i in range(len(names)))
    lead = max(_DETAIL_CELL * cells(drawing.port_label(at, name)) for name in names) + HEAD + 8
    if at in drawing.folded.blocks:
        members = [drawing.folded.original.tasks[i] for i in drawing.folded.members[at]]
        width, height, columns = _cell_size([_short(m, task.cluster) for m in members], details=drawing.details)
        rows = math.ceil(len(members) / columns)
        return Box(
            columns * (width + _CELL_GAP) - _CELL_GAP + 2 * _BLOCK_PADDING,
            rows * (height + _CELL_GAP) - _CELL_GAP + 2 * _BLOCK_PADDING,
            task.cluster,
            places,
            lead,
            stretch=False,
        )
    width, height = _size(task, details=drawing.details)
    return Box(width, max(height, _PORT * len(names) + 8), task.cluster, places, lead)


def _size(task: PictureTask, *, details: bool) -> tuple[float, float]:
    """Width and height of a box that holds the text of this task."""
    second = second_line(task, details=details)
    first = _DETAIL_CELL if task.kind == "gate" else _LABEL_CELL
    text = max(first * cells(label(task)), _DETAIL_CELL * cells(second))
    if task.kind == "gate":
        return text + 20, 24.0
    return max(text + 28 + POINT * (task.kind == "signal"), 60.0), 48.0 if second else 34.0


def _cell_size(tasks: list[PictureTask], *, details: bool) -> tuple[float, float, int]:
    """Width and height of the boxes of a block, and how many to put side by side."""
    sizes = [_size(task, details=details) for task in tasks]
    width, height = max(w for w, _ in sizes), max(h for _, h in sizes)
    return width, height, max(1, round(math.sqrt(1.3 * len(tasks) * (height + _CELL_GAP) / (width + _CELL_GAP))))
