"""The HTML report as text: self-contained, escaped, complete without a script. What it does is tested in a browser."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from graflow.show.html import to_html
from graflow.show.picture import Picture, PictureTask

EVIL = "</script><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """A page taken apart: its elements with their attributes, and the text right inside each, by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {}
        self.open: list[tuple[str, int]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside.setdefault(tag, []).append("")
        if tag not in {"meta", "input"}:
            self.open.append((tag, len(self.inside[tag]) - 1))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            tag, place = self.open[-1]
            self.inside[tag][place] += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.elements if name == tag]


def picture(*ids: str, **facts: str) -> Picture:
    tasks = tuple(PictureTask(id, id, "x: int -> int", i, source="flow.py:7", **facts) for i, id in enumerate(ids))
    return Picture("sales", tasks, tuple((i, i + 1, "x") for i in range(len(ids) - 1)))


def batches(count: int) -> Picture:
    tasks = [PictureTask("split", "split"), *(PictureTask(f"b_{i}", f"b_{i}", level=1) for i in range(count))]
    return Picture("p", tuple(tasks), tuple((0, i, "x") for i in range(1, count + 1)))


def test_the_page_loads_and_sends_nothing() -> None:
    text = to_html(picture("a", "b"))
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag not in {"img", "iframe", "object", "embed", "form", "base", "audio", "video", "link"}
        assert not {"src", "srcset", "style", "action"} & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp|localStorage|innerHTML|eval\(", text)


def test_the_policy_allows_this_script_and_this_style_only() -> None:
    page = Page(to_html(picture("a", "b")))
    [policy] = [one["content"] or "" for one in page.attributes("meta") if one.get("http-equiv")]

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    _data, script = page.inside["script"]
    [style] = page.inside["style"]
    assert policy == (
        f"default-src 'none'; style-src {digest(style)}; script-src {digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


@pytest.mark.parametrize("evil", [EVIL, '"><script>alert(1)</script>', "{{script}}", "<!--<script>", "\u2028'\"&amp;"])
def test_text_stays_text(evil: str) -> None:
    tasks = (
        PictureTask(evil, evil, evil, 0, (evil,), state=evil, source=evil),
        PictureTask("b", "b", level=1),
    )
    page = Page(to_html(Picture(evil, tasks, ((0, 1, evil),))))
    harmless = Page(
        to_html(Picture("p", (PictureTask("a", "a", "d", 0, ("c",), state="s", source="f"), tasks[1]), ((0, 1, "x"),)))
    )
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in harmless.elements]
    assert page.inside["title"][0] == " ".join(evil.split())
    data = json.loads(page.inside["script"][0])
    assert data["tasks"][0]["id"] == " ".join(evil.split())
    assert data["edges"] == [[0, 1, " ".join(evil.split())]]


def test_the_table_says_what_the_picture_shows() -> None:
    page = Page(to_html(picture("a", "b")))
    # signature, source, level, upstream, downstream; most of the text is in links and code
    assert page.inside["td"] == ["", "", "0", "", " (x)", "", "", "1", " (x)", ""]
    assert page.inside["a"][1:] == ["a", "b", "b", "a"]
    assert page.inside["code"] == ["x: int -> int", "flow.py:7"] * 2
    assert page.inside["th"][:6] == ["Task", "Signature", "Defined in", "Level", "Upstream", "Downstream"]
    assert {one["href"] for one in page.attributes("a")} == {"#table", "#picture", "#row-0", "#row-1"}
    assert {"row-0", "row-1"} <= {one.get("id") for one in page.attributes("tr")}


def test_the_table_of_a_run_has_states_and_times() -> None:
    page = Page(to_html(picture("a", state="failed")))
    assert page.inside["th"][6:8] == ["State", "Time"]
    assert page.inside["td"][-2:] == ["failed", ""]


def test_folded_and_unfolded_drawings() -> None:
    page = Page(to_html(batches(20)))
    drawings = [one for one in page.attributes("svg") if one.get("class") == "drawing"]
    assert ["hidden" in one for one in drawings] == [False, True]
    data = json.loads(page.inside["script"][0])
    assert data["drawings"][0]["labels"] == ["split", "b_* × 20"]
    assert data["drawings"][0]["units"][1] == list(range(1, 21))
    [unfold] = [one for one in page.attributes("button") if one.get("id") == "unfold"]
    assert "hidden" not in unfold
    assert len(page.attributes("tr")) == 22


def test_without_families_there_is_one_drawing() -> None:
    page = Page(to_html(picture("a", "b")))
    assert len([one for one in page.attributes("svg") if one.get("class") == "drawing"]) == 1
    [unfold] = [one for one in page.attributes("button") if one.get("id") == "unfold"]
    assert "hidden" in unfold


def test_too_many_boxes_stay_folded_and_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graflow.show.html.MOST_BOXES", 19)
    text = to_html(batches(20))
    assert len([one for one in Page(text).attributes("svg") if one.get("class") == "drawing"]) == 1
    assert "The table below lists all 21 tasks" in text


def test_controls_have_names() -> None:
    page = Page(to_html(batches(20)))
    labels = dict(zip([one.get("id") for one in page.attributes("button")], page.inside["button"], strict=True))
    for one in page.attributes("button"):
        assert one.get("aria-label") or labels[one.get("id")].strip()
    [search] = page.attributes("input")
    assert search["aria-label"] == "Find a task"
    assert page.attributes("html")[0]["lang"] == "en"


def test_equal_pictures_give_equal_pages() -> None:
    assert to_html(batches(20)) == to_html(batches(20))
