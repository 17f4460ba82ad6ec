"""Write a picture as a Mermaid flowchart, which GitHub, GitLab, notebooks and many editors draw."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from graflow.show.fold import FOLD, fold
from graflow.show.picture import Picture, PictureTask
from graflow.show.text import one_line

MOST_EDGES = 500
MOST_CHARACTERS = 50_000
"""What Mermaid draws unless the page that shows it raises its own limits (``maxEdges``, ``maxTextSize``)."""

_LEAST_CHARACTERS = len('    t_["a"]\n')
"""What one task takes, and most take more."""
_LINES = ("-->", "-.->")
"""An edge that passes a result, and one that does not."""
_NOT_IN_NAME = re.compile("[^A-Za-z0-9]+")
# What Mermaid, its Markdown and HTML could take for more than text: everything but letters, digits, and a few signs
# between two of them.
_MARKUP = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=[0-9])\.|[^\w .,*×·…-]|^[-*.]|(?<= )[-*.]")
_SHAPES = {"task": ("[", "]"), "map": ("[[", "]]"), "signal": ("{{", "}}"), "gate": ("(", ")")}
# Inside a label as well as outside, Mermaid reads these words as a statement.
_KEYWORD = re.compile(r"(direction)\s+(?=TB|BT|RL|LR|TD)", re.IGNORECASE)


def to_mermaid(picture: Picture, *, direction: Literal["LR", "TD"] = "LR", fold_above: int | None = None) -> str:
    """Write a picture as a Mermaid flowchart.

    Nested workflows become subgraphs, edges that pass a value carry the parameter's name, edges that only order, decide
    or pass an outcome are dotted, and the critical path has thick lines. Maps have doubled sides, signals are hexagons.

    Args:
        picture: what to write.
        direction: from left to right, or from the top down.
        fold_above: draw families of more than this many similar tasks as one; 0 draws every task.
            By default tasks are folded only where Mermaid would otherwise refuse to draw the picture.

    Returns:
        Text that is the same for equal pictures, with a line break at its end.
    """
    if fold_above is not None:
        return _written(fold(picture, fold_above, 0).picture, direction)
    if len(picture.edges) <= MOST_EDGES and len(picture.tasks) <= MOST_CHARACTERS // _LEAST_CHARACTERS:
        text = _written(fold(picture, 0, 0).picture, direction)
        if len(text) <= MOST_CHARACTERS:
            return text
    return _written(fold(picture, FOLD, 0).picture, direction)


def is_drawn(text: str) -> bool:
    """Whether Mermaid draws what `to_mermaid` wrote, even if the page does not raise its limits."""
    return len(text) <= MOST_CHARACTERS and sum(map(text.count, _LINES)) <= MOST_EDGES


def _written(picture: Picture, direction: str) -> str:
    names = _names([task.id for task in picture.tasks], "t")
    lines = [f"flowchart {direction}", *_boxes(picture, names)]
    critical = picture.critical_edges()
    thick: list[str] = []
    for place, edge in enumerate(picture.edges):
        a, b, parameter = edge
        line = _LINES[0] if picture.passes_result(edge) else _LINES[1]
        label = f'|"{escape_mermaid(picture.edge_label(edge))}"|' if parameter else ""
        lines.append(f"    {names[a]} {line}{label} {names[b]}")
        if (a, b) in critical:
            thick.append(str(place))
    lines += _styles(picture, names)
    if thick:
        lines.append(f"    linkStyle {','.join(thick)} stroke-width:3px")
    return "\n".join(lines) + "\n"


def _boxes(picture: Picture, names: list[str]) -> Iterator[str]:
    """The tasks, each in the subgraph of its cluster; a cluster stands where its first task stands."""
    inside: dict[tuple[str, ...], list[int | tuple[str, ...]]] = {(): []}
    for i, task in enumerate(picture.tasks):
        for depth in range(1, len(task.cluster) + 1):
            if task.cluster[:depth] not in inside:
                inside[task.cluster[:depth]] = []
                inside[task.cluster[: depth - 1]].append(task.cluster[:depth])
        inside[task.cluster].append(i)
    graphs = dict(zip(inside, _names(["/".join(path) for path in inside], "g"), strict=True))
    # a stack instead of recursion: nothing limits how deep workflows nest
    stack: list[Iterator[int | tuple[str, ...]]] = [iter(inside[()])]
    while stack:
        item = next(stack[-1], None)
        indent = "    " * len(stack)
        if item is None:
            stack.pop()
            if stack:
                yield "    " * len(stack) + "end"
        elif isinstance(item, int):
            yield indent + _box(picture.tasks[item], names[item])
        else:
            yield f'{indent}subgraph {graphs[item]}["{escape_mermaid(one_line(item[-1])) or " "}"]'
            stack.append(iter(inside[item]))


def _box(task: PictureTask, name: str) -> str:
    if task.kind == "gate" and not task.label:
        return f'{name}((" "))'
    lines = (task.short_label + task.mark, one_line(task.condition), task.fared, one_line(task.reason))
    label = "<br/>".join(escape_mermaid(line) for line in lines if line) or " "
    opened, closed = _SHAPES[task.kind]
    return f'{name}{opened}"{label}"{closed}'


def _styles(picture: Picture, names: list[str]) -> Iterator[str]:
    """A class for critical tasks, and one for each state that stands out."""
    looks = {
        "critical": "stroke-width:3px",
        "succeeded": "stroke:#17803d",
        "failed": "stroke:#c81e1e,color:#c81e1e",
        "running": "stroke:#1d4ed8",
    }
    for look, style in looks.items():
        members = [
            name
            for task, name in zip(picture.tasks, names, strict=True)
            if (task.critical if look == "critical" else task.state == look)
        ]
        if members:
            yield f"    classDef {look} {style}"
            yield f"    class {','.join(members)} {look}"


def _names(ids: list[str], prefix: str) -> list[str]:
    """A distinct name for each id in letters, digits and ``_`` that is no word of Mermaid's.

    It depends on the id alone where it can, so that a new task changes no other line.
    """
    names: list[str] = []
    taken: set[str] = set()
    for place, text in enumerate(ids):
        name = f"{prefix}_{_NOT_IN_NAME.sub('_', text).strip('_')[:60]}"
        if name in taken or name == f"{prefix}_":
            name = f"{name}_{place}"
        while name in taken:
            name += "_"
        taken.add(name)
        names.append(name)
    return names


def escape_mermaid(text: str) -> str:
    """Text for a quoted label: what is not plain becomes an entity such as ``#35;``."""
    text = _MARKUP.sub(lambda found: "".join(f"#{ord(character)};" for character in found[0]), text)
    return _KEYWORD.sub(r"\1#32;", text)
