"""Write a picture in the DOT language, for Graphviz and everything else that reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from graflow.show.fold import fold
from graflow.show.picture import Picture, PictureTask
from graflow.show.text import clean, one_line

_HEAD = """\
    graph [rankdir={direction}, label={title}, labelloc=t, fontname="Helvetica"]
    node [shape=box, style=rounded, fontname="Helvetica", fontsize=11]
    edge [fontname="Helvetica", fontsize=9, color="#8a95a6", arrowsize=0.7]
"""
_COLOURS = {"succeeded": "#17803d", "failed": "#c81e1e", "running": "#1d4ed8"}
_SHAPES = {"task": (), "map": ("peripheries=2",), "signal": ("shape=hexagon",), "gate": ("fontsize=9", "height=0.3")}
_CRITICAL = "#b45309"


def to_dot(picture: Picture, *, direction: Literal["LR", "TB"] = "LR", fold_above: int = 0) -> str:
    """Write a picture as a Graphviz graph.

    Args:
        picture: what to write.
        direction: from left to right, or from top to bottom.
        fold_above: draw families of more than this many similar tasks as one; 0 draws every task.

    Returns:
        Text that is the same for equal pictures, with a line break at its end.
    """
    drawn = fold(picture, fold_above, 0).picture
    critical = drawn.critical_edges()
    title = _quoted(one_line(picture.name))
    lines = [f"digraph {title} {{", _HEAD.format(direction=direction, title=title).rstrip(), *_boxes(drawn)]
    for edge in drawn.edges:
        a, b, parameter = edge
        looks = [f"label={_quoted(drawn.edge_label(edge))}"] if parameter else []
        if not drawn.passes_result(edge):
            looks.append("style=dashed")
        if (a, b) in critical:
            looks.append(f'color="{_CRITICAL}", penwidth=2')
        lines.append(f"    {_quoted(drawn.tasks[a].id)} -> {_quoted(drawn.tasks[b].id)} [{', '.join(looks)}]")
    return "\n".join(lines) + "\n}\n"


def _boxes(picture: Picture) -> Iterator[str]:
    """The tasks, each in the subgraph of its cluster; Graphviz merges what is said twice of one subgraph."""
    for task in picture.tasks:
        opened = ""
        for depth, name in enumerate(task.cluster, 1):
            frame = _quoted("cluster_" + "/".join(task.cluster[:depth]))
            opened += f"subgraph {frame} {{ label={_quoted(one_line(name))}; "
        yield f"    {opened}{_quoted(task.id)} [{_looks(task)}]{' }' * len(task.cluster)}"


def _looks(task: PictureTask) -> str:
    if task.kind == "gate" and not task.label:
        return 'shape=circle, label="", width=0.15'
    lines = (task.short_label + task.mark, one_line(task.condition), task.fared)
    label = "\n".join(line for line in lines if line)
    looks = [f"label={_quoted(label)}", *_SHAPES[task.kind]]
    if tooltip := ", ".join(one_line(part) for part in (task.detail, task.reason) if part):
        looks.append(f"tooltip={_quoted(tooltip)}")
    if task.state in _COLOURS:
        looks.append(f'color="{_COLOURS[task.state]}"')
    elif task.critical:
        looks.append(f'color="{_CRITICAL}"')
    if task.critical:
        looks.append("penwidth=2")
    return ", ".join(looks)


def _quoted(text: str) -> str:
    r"""A string of the DOT language; it holds no escapes but ``\\`` for a backslash, ``\"`` and ``\n``."""
    escaped = clean(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
