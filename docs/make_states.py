"""Draw the states of a task from the table that the machine obeys: ``python docs/make_states.py``.

What leads where and why comes from `graflow.engine.rules.TRANSITIONS`; this file only knows where to put it. A new way
from one state to another needs a route here, and a test fails until ``guides/states.svg`` is drawn again.
"""

from __future__ import annotations

import textwrap
from html import escape
from pathlib import Path
from typing import NamedTuple

from graflow.engine.rules import (
    CANCELLED,
    FAILED,
    READY,
    RETRYING,
    RUNNING,
    SKIPPED,
    STATES,
    SUCCEEDED,
    TRANSITIONS,
    WAITING,
)

TARGET = Path(__file__).parent / "guides" / "states.svg"
WIDTH, HEIGHT = 800, 470
BOX = 34  # how high a box is
LINE = 13  # from one line of text to the next
HEAD = 7  # how long the head of an arrow is

Point = tuple[int, int]


class Box(NamedTuple):
    """Where a state stands."""

    x: int
    """The middle."""
    y: int
    """The middle."""
    width: int = 112


class Route(NamedTuple):
    """How an arrow runs, and where the reasons for it are written."""

    points: tuple[Point, ...]
    text: Point
    """Where the first line begins; in the middle of it if ``anchor`` says so."""
    columns: int
    """How many characters fit into a line."""
    anchor: str = "start"


BOXES = {
    WAITING: Box(80, 150, 144),
    READY: Box(300, 150),
    RUNNING: Box(610, 150),
    RETRYING: Box(455, 250),
    SUCCEEDED: Box(610, 40),
    FAILED: Box(734, 270),
    SKIPPED: Box(70, 330),
    CANCELLED: Box(455, 430),
}

ROUTES = {
    (WAITING, SUCCEEDED): Route(((80, 133), (80, 40), (554, 40)), (92, 32), 60),
    (WAITING, READY): Route(((152, 150), (244, 150)), (198, 116), 16, "middle"),
    (WAITING, FAILED): Route(((146, 167), (146, 222), (700, 222), (700, 253)), (154, 214), 24),
    (WAITING, SKIPPED): Route(((30, 167), (30, 313)), (38, 190), 16),
    (WAITING, CANCELLED): Route(((136, 167), (136, 438), (399, 438)), (268, 453), 40),
    (READY, RUNNING): Route(((356, 144), (554, 144)), (455, 136), 40, "middle"),
    (READY, CANCELLED): Route(((262, 167), (262, 421), (399, 421)), (268, 414), 40),
    (RUNNING, SUCCEEDED): Route(((610, 133), (610, 57)), (618, 80), 28),
    (RUNNING, READY): Route(((554, 157), (356, 157)), (455, 172), 26, "middle"),
    (RUNNING, RETRYING): Route(((574, 167), (574, 250), (511, 250)), (518, 267), 18),
    (RUNNING, FAILED): Route(((666, 150), (734, 150), (734, 253)), (672, 129), 20),
    (RUNNING, CANCELLED): Route(((646, 167), (646, 430), (511, 430)), (654, 330), 24),
    (RETRYING, READY): Route(((399, 250), (310, 250), (310, 167)), (317, 267), 10),
    (RETRYING, CANCELLED): Route(((455, 267), (455, 413)), (462, 350), 40),
}

STYLE = """\
svg { --paper: #ffffff; --box: #f3f5f9; --ink: #1c2430; --soft: #566173; --line: #7f8a9c; }
@media (prefers-color-scheme: dark) {
  svg { --paper: #14181f; --box: #1e242e; --ink: #e6eaf0; --soft: #a3aebf; --line: #7f8b9d; }
}
.paper { fill: var(--paper); }
.box { fill: var(--box); stroke: var(--line); stroke-width: 1.3; }
.end { stroke-width: 3; }
.arrow { fill: none; stroke: var(--line); stroke-width: 1.4; }
.head { fill: var(--line); }
text { font-family: system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
.state { font-size: 14px; font-weight: 600; fill: var(--ink); text-anchor: middle; }
.why { font-size: 11px; fill: var(--soft); paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
"""


def drawing() -> str:
    """The picture as one SVG document.

    Raises:
        KeyError: the table has a way from one state to another that has no route here.
    """
    reasons: dict[tuple[int, int], list[str]] = {}
    for row in TRANSITIONS:
        reasons.setdefault((row.before, row.after), []).append(row.what)
    left = {row.before for row in TRANSITIONS}
    parts = [_arrow(ROUTES[ends], why) for ends, why in reasons.items()]
    parts += [_state(str(state), BOXES[number], final=number not in left) for number, state in enumerate(STATES)]
    body = "\n".join(parts)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">
<title>The states of a task</title>
<desc>{escape(_in_words(reasons))}</desc>
<style>
{STYLE}</style>
<rect class="paper" width="100%" height="100%"/>
{body}
</svg>
"""


def _in_words(reasons: dict[tuple[int, int], list[str]]) -> str:
    return " ".join(f"{STATES[a]} to {STATES[b]}: {'; '.join(why)}." for (a, b), why in reasons.items())


def _state(name: str, box: Box, *, final: bool) -> str:
    left, top = box.x - box.width // 2, box.y - BOX // 2
    return (
        f'<rect class="box{" end" if final else ""}" x="{left}" y="{top}" width="{box.width}" height="{BOX}" rx="7"/>'
        f'<text class="state" x="{box.x}" y="{box.y + 5}">{name}</text>'
    )


def _arrow(route: Route, reasons: list[str]) -> str:
    *_, (x0, y0), (x, y) = route.points
    dx, dy = (x > x0) - (x < x0), (y > y0) - (y < y0)
    line = "M" + "L".join(f"{a} {b}" for a, b in (*route.points[:-1], (x - dx * HEAD, y - dy * HEAD)))
    back = (x - dx * HEAD, y - dy * HEAD)
    head = f"M{x} {y}L{back[0] + 4 * dy} {back[1] + 4 * dx}L{back[0] - 4 * dy} {back[1] - 4 * dx}z"
    mark = "– " if len(reasons) > 1 else ""
    lines = [part for why in reasons for part in textwrap.wrap(mark + why, route.columns)]
    at = "".join(
        f'<tspan x="{route.text[0]}" y="{route.text[1] + k * LINE}">{escape(part)}</tspan>'
        for k, part in enumerate(lines)
    )
    text = f'<text class="why" text-anchor="{route.anchor}">{at}</text>'
    return f'<path class="arrow" d="{line}"/><path class="head" d="{head}"/>{text}'


if __name__ == "__main__":
    TARGET.write_text(drawing(), "utf-8")
