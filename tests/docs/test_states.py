"""The page about the states of a task says, and shows, what the machine's table of transitions says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from graflow import RunState, TaskState
from graflow.engine.rules import STATES, TRANSITIONS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "guides" / "states.md").read_text("utf-8")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_states", DOCS / "make_states.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table(head: str) -> list[list[str]]:
    """The rows of the table with this head, without backticks."""
    found = re.search(rf"^{re.escape(head)}\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert found is not None
    return [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in found[1].splitlines()]


def test_the_picture_is_what_the_table_of_transitions_gives(maker: ModuleType) -> None:
    drawn = maker.TARGET.read_text("utf-8")
    assert drawn == maker.drawing(), "draw it again: python docs/make_states.py"


def test_the_picture_shows_every_state_and_every_reason(maker: ModuleType) -> None:
    root = ElementTree.fromstring(maker.drawing())
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert sorted(texts[-len(STATES) :]) == sorted(STATES)
    written = " ".join(re.sub(r"[– ]", "", text) for text in texts)
    for row in TRANSITIONS:
        assert row.what.replace(" ", "") in written


def test_everything_in_the_picture_lies_inside_it(maker: ModuleType) -> None:
    root = ElementTree.fromstring(maker.drawing())
    for path in root.iter(f"{SVG}path"):
        for x, y in re.findall(r"(-?\d+) (-?\d+)", path.attrib["d"]):
            assert 0 <= int(x) <= maker.WIDTH
            assert 0 <= int(y) <= maker.HEIGHT
    for line in root.iter(f"{SVG}tspan"):
        assert 0 < int(line.attrib["y"]) < maker.HEIGHT


def test_an_arrow_begins_and_ends_at_its_states(maker: ModuleType) -> None:
    def touches(point: tuple[int, int], box: tuple[int, int, int]) -> bool:
        x, y, width = box
        dx, dy = abs(point[0] - x), abs(point[1] - y)
        return (dx == width / 2 and dy <= maker.BOX / 2) or (dy == maker.BOX / 2 and dx <= width / 2)

    assert set(maker.ROUTES) == {(row.before, row.after) for row in TRANSITIONS}
    for (before, after), route in maker.ROUTES.items():
        assert touches(route.points[0], maker.BOXES[before])
        assert touches(route.points[-1], maker.BOXES[after])


def test_the_page_lists_every_transition() -> None:
    rows = [[STATES[row.before], row.what, STATES[row.after]] for row in TRANSITIONS]
    assert table("| from | because | to |") == rows


def test_the_page_explains_every_state() -> None:
    explained = [
        [row.split("|")[1].strip(" `") for row in found.splitlines()]
        for found in re.findall(r"^\| state \| meaning \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    ]
    assert explained == [list(STATES), list(RunState)]
    assert set(STATES) == set(TaskState)
