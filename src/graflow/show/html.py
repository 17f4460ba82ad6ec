"""Write a picture as one HTML page: to look at, to search, to click through. It loads nothing and sends nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

from graflow.show.drawing import Drawing, draw
from graflow.show.fold import FOLD, fold
from graflow.show.picture import Picture, PictureTask
from graflow.show.svg import body, describe, xml
from graflow.show.text import duration, one_line

MOST_BOXES = 3000
"""Where folding helps, pictures of more boxes than this are drawn folded only: browsers get slow."""

_SLOT = re.compile(r"\{\{(\w+)\}\}")
_MOST_LINKS = 8


def to_html(picture: Picture, *, fold_above: int = FOLD) -> str:
    """Write a picture as one HTML page that works from a file, without a network.

    The page has the drawing (drag, zoom, search, click or arrow keys to follow edges) and a table with the same facts.
    Its content security policy lets nothing run but its own script.

    Args:
        picture: what to write.
        fold_above: draw families of more than this many similar tasks as one stack, until the reader unfolds them; 0
            draws every task at once.
    """
    drawings = _drawings(picture, fold_above)
    style, script = asset("picture.css") + asset("report.css"), asset("report.js")
    slots = {
        "title": xml(one_line(picture.name)),
        "summary": xml(describe(picture)),
        "policy": f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'",
        "style": style,
        "script": script,
        "data": _for_script(_data(picture, drawings)),
        "drawings": "\n".join(_drawing(drawing, hidden=place > 0) for place, drawing in enumerate(drawings)),
        "unfold": "" if len(drawings) > 1 else " hidden",
        "left_out": "" if len(drawings) > 1 or not _has_stacks(drawings[0]) else _left_out(picture),
        "head": _table_head(picture),
        "rows": "\n".join(_rows(picture)),
    }
    return _SLOT.sub(lambda slot: slots[slot[1]], asset("report.html"))


@cache
def asset(name: str) -> str:
    """The text of a file beside this module."""
    return files("graflow.show").joinpath("assets", name).read_text("utf-8")


def _drawings(picture: Picture, fold_above: int) -> list[Drawing]:
    """The folded drawing, and the one with every task if it differs and a browser can show it."""
    first = draw(fold(picture, fold_above))
    if not _has_stacks(first) or len(picture.tasks) > MOST_BOXES:
        return [first]
    return [first, draw(fold(picture, 0))]


def _has_stacks(drawing: Drawing) -> bool:
    return any(drawing.folded.is_stack(at) for at in range(len(drawing.shown)))


def _left_out(picture: Picture) -> str:
    return (
        f"<p>Stacks stand for many similar tasks. "
        f"The table below lists all {len(picture.tasks):,} tasks; a drawing of them all would be too large.</p>"
    )


def _drawing(drawing: Drawing, *, hidden: bool) -> str:
    width, height = f"{drawing.layout.width:.0f}", f"{drawing.layout.height:.0f}"
    return (
        f'<svg class="drawing" viewBox="0 0 {width} {height}" data-width="{width}" data-height="{height}" tabindex="0" '
        f'role="application" aria-label="Drawing of the workflow" aria-describedby="keys"{" hidden" * hidden}>\n'
        f"{body(drawing)}\n</svg>"
    )


def _data(picture: Picture, drawings: list[Drawing]) -> dict[str, Any]:
    """What the script needs to know; short keys, because there is one of each for every task."""
    return {
        "tasks": [
            {
                "id": _name(task),
                "detail": one_line(task.detail),
                "level": task.level,
                "source": one_line(task.source),
                "fared": task.fared,
                "critical": task.critical,
                "gate": task.kind == "gate",
                "kind": _kind(task),
                "condition": one_line(task.condition),
                "reason": one_line(task.reason),
            }
            for task in picture.tasks
        ],
        "edges": [[*edge[:2], picture.edge_label(edge)] for edge in picture.edges],
        "drawings": [
            {"units": drawing.folded.members, "labels": [task.label for task in drawing.picture.tasks]}
            for drawing in drawings
        ],
    }


def _name(task: PictureTask) -> str:
    if task.kind == "gate":
        return f"gate {task.id}{f': {one_line(task.label)}' if task.label else ''}"
    return one_line(task.id)


def _kind(task: PictureTask) -> str:
    """What it is, in a sentence; empty for a task like most."""
    match task.kind:
        case "map":
            count = "" if task.items is None else f": {task.items:,} item{'s' * (task.items != 1)}"
            return f"Runs once for each item{count}."
        case "signal":
            return "Waits for a value from outside."
        case "gate" if task.label:
            return f"Lets what comes after it start by a rule: {one_line(task.label)}."
        case "gate":
            return "Everything before it ends before anything after it starts."
        case "task":
            return ""


def _for_script(data: dict[str, Any]) -> str:
    """JSON that cannot end the element it stands in, whatever its strings hold."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(text: str) -> str:
    """The source expression of a content security policy that allows exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _table_head(picture: Picture) -> str:
    names = ["Task", "Signature", "Defined in", "Level", "Upstream", "Downstream"]
    if any(task.state is not None for task in picture.tasks):
        names += ["State", "Time"]
    return "".join(f'<th scope="col">{name}</th>' for name in names)


def _rows(picture: Picture) -> list[str]:
    upstreams: list[list[tuple[int, str]]] = [[] for _ in picture.tasks]
    downstreams: list[list[tuple[int, str]]] = [[] for _ in picture.tasks]
    for edge in picture.edges:
        a, b, _ = edge
        upstreams[b].append((a, picture.edge_label(edge)))
        downstreams[a].append((b, picture.edge_label(edge)))
    with_states = any(task.state is not None for task in picture.tasks)
    rows: list[str] = []
    for i, task in enumerate(picture.tasks):
        said = f"<br>{xml(one_line(task.condition))}" if task.condition else ""
        critical = ' <span class="critical">critical</span>' if task.critical else ""
        name = f'<a href="#picture" data-task="{i}">{xml(_name(task) + task.mark)}</a>'
        cells = [
            f'<th scope="row">{name}{critical}{said}</th>',
            f"<td><code>{xml(one_line(task.detail))}</code></td>" if task.detail else "<td></td>",
            f"<td><code>{xml(one_line(task.source))}</code></td>" if task.source else "<td></td>",
            f"<td>{task.level}</td>",
            f"<td>{_links(picture, upstreams[i])}</td>",
            f"<td>{_links(picture, downstreams[i])}</td>",
        ]
        if with_states:
            state = ": ".join(one_line(part) for part in (task.state or "", task.reason) if part)
            cells.append(f"<td>{xml(state)}{_failed_items(task)}</td>")
            cells.append(f"<td>{'' if task.seconds is None else duration(task.seconds)}</td>")
        rows.append(f'<tr id="row-{i}">{"".join(cells)}</tr>')
    return rows


def _failed_items(task: PictureTask) -> str:
    return f", {task.failed_items:,} of {task.items or 0:,} items failed" if task.failed_items else ""


def _links(picture: Picture, ends: list[tuple[int, str]]) -> str:
    """Links to other rows; many of them fold away."""
    parts = [
        f'<a href="#row-{i}">{xml(_name(picture.tasks[i]))}</a>{f" ({xml(name)})" if name else " (order)"}'
        for i, name in ends
    ]
    text = ", ".join(parts)
    return f"<details><summary>{len(parts)} tasks</summary>{text}</details>" if len(parts) > _MOST_LINKS else text
