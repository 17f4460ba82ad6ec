"""Draw a picture as SVG: one piece of text, no script, nothing to load."""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files

from graflow.show.drawing import HEAD, POINT, Drawing, draw, label, second_line
from graflow.show.fold import FOLD, fold
from graflow.show.grid import Point
from graflow.show.layout import Rect
from graflow.show.picture import Picture, PictureTask
from graflow.show.text import clean, one_line, shorten

_TITLE_LIMIT = 48


def to_svg(picture: Picture, *, fold_above: int = FOLD, details: bool | None = None) -> str:
    """Draw a picture as one SVG document, from left to right.

    Args:
        picture: what to draw.
        fold_above: draw families of more than this many similar tasks as one stack; 0 draws every task.
        details: write signatures and parameter names; by default if there are not too many boxes to read them.

    Returns:
        Text that starts with ``<svg``; it fits into a file of its own and into an HTML page.
    """
    drawing = draw(fold(picture, fold_above), details=details)
    width, height = _n(drawing.layout.width), _n(drawing.layout.height)
    style = files("graflow.show").joinpath("assets/picture.css").read_text("utf-8")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="gf-picture" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">\n'
        f"<title>{xml(picture.name)}</title>\n<desc>{xml(describe(picture))}</desc>\n<style>\n{style}</style>\n"
        f'<rect class="gf-paper" width="100%" height="100%"/>\n{body(drawing)}\n</svg>\n'
    )


def describe(picture: Picture) -> str:
    """The size of a picture in words."""
    tasks = sum(task.kind != "gate" for task in picture.tasks)
    depth = 1 + max((task.level for task in picture.tasks), default=-1)
    return f"{_count(tasks, 'task')}, {_count(len(picture.edges), 'edge')}, {_count(depth, 'level')}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def body(drawing: Drawing) -> str:
    """Everything inside the ``<svg>`` element: clusters, then edges, then boxes.

    Boxes carry ``data-unit``, their place in the drawn picture, and if they stand for one task ``data-task``, its place
    in the original picture; edges carry ``data-from`` and ``data-to``, the units they join, and ``data-end``, the arrow
    head they share.
    """
    parts = [_cluster(path, rect) for path, rect in drawing.layout.clusters]
    parts += [_frame(drawing, at) for at in sorted(drawing.folded.blocks)]
    parts += _edges(drawing)
    for at, (task, members) in enumerate(zip(drawing.shown, drawing.folded.members, strict=True)):
        if at in drawing.folded.blocks:
            for i, member, rect in drawing.block_cells(at):
                parts.append(_box(member, rect, f'data-unit="{at}" data-task="{i}"', details=drawing.details))
        elif drawing.folded.is_stack(at):
            rect = drawing.layout.boxes[at]
            parts.append(_box(task, rect, f'data-unit="{at}"', details=drawing.details, stacked=True))
        else:
            place = f'data-unit="{at}" data-task="{members[0]}"'
            parts.append(_box(task, drawing.layout.boxes[at], place, details=drawing.details))
    return "\n".join(parts)


def _cluster(path: tuple[str, ...], rect: Rect) -> str:
    odd = "" if len(path) % 2 else " gf-odd"
    title = shorten(one_line(path[-1]), _TITLE_LIMIT)
    return (
        f'<g class="gf-cluster{odd}"><title>{xml("/".join(path))}</title><rect {_rect(rect)} rx="10"/>'
        f'<text x="{_n(rect.left + 12)}" y="{_n(rect.top + 18)}">{xml(title)}</text></g>'
    )


def _frame(drawing: Drawing, at: int) -> str:
    count = len(drawing.folded.members[at])
    title = f"{count} tasks with the same upstream and downstream tasks"
    return f'<g class="gf-block"><title>{title}</title><rect {_rect(drawing.layout.boxes[at])} rx="8"/></g>'


def _edges(drawing: Drawing) -> list[str]:
    """Lines, arrow heads and parameter names; critical lines last, so that they lie on top."""
    critical = drawing.picture.critical_edges()
    lines: tuple[list[str], list[str]] = [], []
    heads: dict[tuple[int, int], str] = {}
    outcomes, flags = drawing.picture.outcomes, drawing.picture.flags
    for edge, route in zip(drawing.picture.edges, drawing.layout.routes, strict=True):
        a, b, parameter = edge
        is_critical = (a, b) in critical
        marks = "gf-edge" + " gf-order" * (not parameter) + " gf-outcome" * (edge in outcomes)
        marks += " gf-flag" * (edge in flags)
        marks += " gf-critical" * is_critical
        port = drawing.port(b, parameter)
        ends = f'data-from="{a}" data-to="{b}" data-end="{b}:{port}"'
        lines[is_critical].append(f'<path class="{marks}" {ends} d="{_path(route)}"/>')
        if not _is_dot(drawing.picture.tasks[b]) and ((b, port) not in heads or is_critical):
            name = drawing.port_label(b, drawing.ports[b][port])
            heads[b, port] = f'<g class="gf-end" data-end="{b}:{port}">{_head(route[-1], name, is_critical)}</g>'
    return lines[False] + lines[True] + list(heads.values())


def _head(tip: Point, name: str, is_critical: bool) -> str:
    x, y = tip
    shape = f"M{_n(x - HEAD)} {_n(y - 3.5)}L{_n(x)} {_n(y)}L{_n(x - HEAD)} {_n(y + 3.5)}z"
    head = f'<path class="gf-head{" gf-critical" * is_critical}" d="{shape}"/>'
    text = f'<text class="gf-parameter" x="{_n(x - HEAD - 3)}" y="{_n(y - 4)}">{xml(name)}</text>' if name else ""
    return head + text


def _path(route: list[Point]) -> str:
    """A line that is horizontal at every point of the route."""
    x, y = route[0]
    parts = [f"M{_n(x)} {_n(y)}"]
    for x1, y1 in route[1:]:
        if abs(y1 - y) >= 0.3:
            turn = (x + x1) / 2
            parts.append(f"C{_n(turn)} {_n(y)} {_n(turn)} {_n(y1)} {_n(x1)} {_n(y1)}")
            y = y1
        elif parts[-1].startswith("H"):
            parts[-1] = f"H{_n(x1)}"
        else:
            parts.append(f"H{_n(x1)}")
        x = x1
    return "".join(parts)


def _box(task: PictureTask, rect: Rect, place: str, *, details: bool, stacked: bool = False) -> str:
    marks = "gf-task" + " gf-critical" * task.critical + " gf-stack" * stacked
    marks += f" gf-{re.sub('[^a-z]', '', task.state.lower())}" if task.state is not None else ""
    marks += f" gf-{task.kind}" * (task.kind in ("map", "signal") or (task.kind == "gate" and not _is_dot(task)))
    inside = _dot(rect) if _is_dot(task) else _text_box(task, rect, details=details, stacked=stacked)
    return f'<g class="{marks}" {place}><title>{xml(task.tooltip)}</title>{inside}</g>'


def _is_dot(task: PictureTask) -> bool:
    """A gate without a rule, which has nothing to say."""
    return task.kind == "gate" and not task.label


def _dot(rect: Rect) -> str:
    x, y = rect.left + rect.width / 2, rect.top + rect.height / 2
    return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(rect.width / 2)}"/>'


def _text_box(task: PictureTask, rect: Rect, *, details: bool, stacked: bool) -> str:
    text = "".join(
        _outline(task, Rect(rect.left + shift, rect.top + shift, rect.width, rect.height))
        for shift in ((6, 3, 0) if stacked else (0,))
    )
    if task.state is not None:
        text += f'<rect class="gf-mark" {_rect(Rect(rect.left + 5, rect.top + 7, 3.5, rect.height - 14))} rx="1.7"/>'
    second = second_line(task, details=details)
    middle, left = rect.top + rect.height / 2, _n(rect.left + (14 if task.kind != "gate" else 10))
    first_y = middle - 4 if second else middle + 4.5
    text += f'<text class="gf-label" x="{left}" y="{_n(first_y)}">{xml(label(task))}</text>'
    if second:
        text += f'<text class="gf-detail" x="{left}" y="{_n(middle + 13)}">{xml(second)}</text>'
    return text


def _outline(task: PictureTask, rect: Rect) -> str:
    """The rim of a box: doubled for a map, pointed for a signal, round for a gate with a rule."""
    if task.kind == "signal":
        left, top, right, bottom = rect.left, rect.top, rect.left + rect.width, rect.top + rect.height
        upper, tip, lower = (right - POINT, top), (right, (top + bottom) / 2), (right - POINT, bottom)
        points = ((left, top), upper, tip, lower, (left, bottom))
        return f'<polygon points="{" ".join(f"{_n(x)},{_n(y)}" for x, y in points)}"/>'
    outline = f'<rect {_rect(rect)} rx="{"12" if task.kind == "gate" else "6"}"/>'
    if task.kind == "map":
        inner = Rect(rect.left + 3, rect.top + 3, rect.width - 6, rect.height - 6)
        outline += f'<rect class="gf-inner" {_rect(inner)} rx="4"/>'
    return outline


def _rect(rect: Rect) -> str:
    return f'x="{_n(rect.left)}" y="{_n(rect.top)}" width="{_n(rect.width)}" height="{_n(rect.height)}"'


def xml(text: str) -> str:
    """Text that is safe inside an element or an attribute of SVG and HTML."""
    return escape(clean(text))


def _n(number: float) -> str:
    """A coordinate: a tenth of a pixel is enough."""
    return f"{number:.1f}".removesuffix(".0")
