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
        if not parameter or edge in drawn.outcomes:
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
    if task.kind == "gate":
        return 'shape=circle, label="", width=0.15'
    label = f"{task.short_label}\n{task.fared}".rstrip("\n")
    looks = [f"label={_quoted(label)}"]
    if task.detail:
        looks.append(f"tooltip={_quoted(one_line(task.detail))}")
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
