"""The SVG drawing: well-formed, complete, self-contained, and the same each time."""

import re
from collections import Counter
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graflow.show.picture import Picture, PictureTask
from graflow.show.svg import to_svg

NS = "{http://www.w3.org/2000/svg}"
EVIL = "</script><img src=x onerror=alert(1)>"


def parsed(picture: Picture, **options: int) -> ElementTree.Element:
    return ElementTree.fromstring(to_svg(picture, **options))


def classes(root: ElementTree.Element) -> Counter[str]:
    return Counter(name for one in root.iter() for name in one.get("class", "").split())


def texts(root: ElementTree.Element, kind: str) -> list[str]:
    return [one.text or "" for one in root.iter(f"{NS}text") if one.get("class") == kind]


def chain(*ids: str, parameter: str = "x") -> Picture:
    tasks = tuple(
        PictureTask(id, id, "x: int -> int", i, tuple(id.split("/")[:-1]), critical=True) for i, id in enumerate(ids)
    )
    return Picture("chain", tasks, tuple((i, i + 1, parameter) for i in range(len(ids) - 1)))


def test_boxes_edges_and_parameters() -> None:
    root = parsed(chain("a", "b", "c", parameter="rows"))
    assert texts(root, "gf-label") == ["a", "b", "c"]
    assert texts(root, "gf-detail") == ["x: int -> int"] * 3
    assert texts(root, "gf-parameter") == ["rows", "rows"]
    found = classes(root)
    assert (found["gf-task"], found["gf-edge"], found["gf-head"]) == (3, 2, 2)
    assert found["gf-order"] == 0
    assert root.findtext(f"{NS}title") == "chain"
    assert [one.text for one in root.iter(f"{NS}desc")] == ["3 tasks, 2 edges, 3 levels"]


def test_an_edge_without_a_value_is_dashed() -> None:
    assert classes(parsed(chain("a", "b", parameter="")))["gf-order"] == 1


def test_a_gate_is_a_dot_without_text() -> None:
    tasks = (PictureTask("a", "a"), PictureTask("&0", "", kind="gate", level=1), PictureTask("b", "b", level=1))
    root = parsed(Picture("p", tasks, ((0, 1, ""), (1, 2, ""))))
    assert len(list(root.iter(f"{NS}circle"))) == 1
    assert texts(root, "gf-label") == ["a", "b"]
    assert classes(root)["gf-head"] == 1


def test_a_cluster_names_its_tasks_once() -> None:
    root = parsed(chain("load", "checks/values", "checks/deep/keys"))
    assert texts(root, "gf-label") == ["load", "values", "keys"]
    assert [one.text for one in root.iter(f"{NS}text") if one.get("class") is None] == ["checks", "deep"]


def test_a_task_whose_cluster_has_no_frame_has_its_full_name() -> None:
    root = parsed(chain("part/a", "b", "part/c"))
    assert classes(root)["gf-cluster"] == 0
    assert texts(root, "gf-label") == ["part/a", "b", "part/c"]


def test_a_run_shows_states_in_words_and_colour() -> None:
    tasks = (PictureTask("a", "a", state="succeeded", seconds=0.25), PictureTask("b", "b", state="failed"))
    root = parsed(Picture("p", tasks, ()))
    assert texts(root, "gf-detail") == ["succeeded · 250 ms", "failed"]
    assert classes(root)["gf-failed"] == 1


def test_five_hundred_tasks_of_one_family_are_one_stack() -> None:
    tasks = [PictureTask("split", "split"), *(PictureTask(f"batch_{i}", f"batch_{i}", level=1) for i in range(500))]
    picture = Picture("p", tuple(tasks), tuple((0, i, "part") for i in range(1, 501)))
    root = parsed(picture)
    assert texts(root, "gf-label") == ["split", "batch_* × 500"]
    assert (classes(root)["gf-stack"], classes(root)["gf-edge"]) == (1, 1)
    unfolded = parsed(picture, fold_above=0)
    assert len(texts(unfolded, "gf-label")) == 501
    assert (classes(unfolded)["gf-block"], classes(unfolded)["gf-edge"]) == (1, 1)
    assert 0.2 < float(unfolded.get("height", 0)) / float(unfolded.get("width", 1)) < 2


def test_long_names_fit_their_boxes() -> None:
    name = "normalise_the_customer_addresses_of_region_17"
    root = parsed(chain(name))
    [label] = texts(root, "gf-label")
    assert label.endswith("_17")
    assert "…" in label
    [box] = [one for one in root.iter(f"{NS}g") if one.get("data-task") == "0"]
    assert name in (box.findtext(f"{NS}title") or "")
    assert float(box.findall(f"{NS}rect")[0].get("width", 0)) > 0.602 * 13 * len(label) + 20


@pytest.mark.parametrize("evil", [EVIL, '" onload="alert(1)', "]]><script>", "&lt;", "\x00\x1b[31m"])
def test_text_stays_text(evil: str) -> None:
    tasks = (PictureTask(evil, evil, evil, 0, (evil,), state=evil, source=evil), PictureTask("b", "b", level=1))
    text = to_svg(Picture(evil, tasks, ((0, 1, evil),)))
    root = ElementTree.fromstring(text)
    assert {one.tag.removeprefix(NS) for one in root.iter()} <= {
        "svg", "title", "desc", "style", "rect", "g", "path", "text"
    }  # fmt: skip
    assert not [name for one in root.iter() for name in one.attrib if name.startswith("on") or name.endswith("href")]


def test_nothing_is_loaded() -> None:
    text = to_svg(chain("a", "b"))
    assert re.findall(r"https?://[^\"\s]+", text) == ["http://www.w3.org/2000/svg"]
    assert "url(" not in text
    assert "@import" not in text


@given(st.lists(st.text(max_size=10), min_size=1, max_size=5), st.text(max_size=5))
def test_any_text_gives_well_formed_xml(ids: list[str], parameter: str) -> None:
    picture = chain(*ids, parameter=parameter)
    text = to_svg(picture, fold_above=0)
    assert classes(ElementTree.fromstring(text))["gf-task"] == len(ids)
    text.encode()
    assert to_svg(picture, fold_above=0) == text
