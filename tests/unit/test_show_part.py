"""A part of a picture, and pictures that are too large to draw whole."""

import pytest

from graflow import Workflow, task
from graflow.errors import ConfigurationError, UnknownTaskError
from graflow.show import notebook_html, part_of, picture_of, render
from graflow.show.mermaid import MOST_EDGES, is_drawn, to_mermaid
from graflow.show.picture import Picture, PictureTask


def chain(count: int) -> Picture:
    tasks = tuple(PictureTask(f"t_{i}", f"t_{i}", level=i) for i in range(count))
    return Picture("chain", tasks, tuple((i, i + 1, "n") for i in range(count - 1)))


def ids(picture: Picture) -> list[str]:
    return [one.id for one in picture.tasks]


def test_a_task_comes_with_what_is_right_before_and_after_it() -> None:
    part = part_of(chain(9), ["t_4"])
    assert ids(part) == ["t_3", "t_4", "t_5"]
    assert part.edges == ((0, 1, "n"), (1, 2, "n"))
    assert part.name == "chain"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["t_0", "t_8"], ["t_0", "t_1", "t_7", "t_8"]),
        (["t_[01]"], ["t_0", "t_1", "t_2"]),
        (["*"], [f"t_{i}" for i in range(9)]),
    ],
)
def test_patterns_and_several_ids(given: list[str], shown: list[str]) -> None:
    assert ids(part_of(chain(9), given)) == shown


def test_an_id_that_looks_like_a_pattern_is_itself() -> None:
    odd = Picture("p", (PictureTask("a[1]", "a[1]"), PictureTask("a1", "a1")), ())
    assert ids(part_of(odd, ["a[1]"])) == ["a[1]", "a1"]


def test_what_edges_pass_stays_what_it_was() -> None:
    tasks = tuple(PictureTask(id, id) for id in "abcd")
    edges = ((0, 1, "x"), (1, 2, "when b"), (2, 3, "y"))
    whole = Picture("p", tasks, edges, frozenset({edges[0]}), frozenset({edges[1]}))
    part = part_of(whole, ["b"])
    assert (part.outcomes, part.flags) == (frozenset({(0, 1, "x")}), frozenset({(1, 2, "when b")}))
    assert part_of(whole, ["*"]) == whole


def test_a_gate_does_not_hide_what_is_beyond_it() -> None:
    tasks = (
        PictureTask("a", "a"),
        PictureTask("b", "b"),
        PictureTask("&0", "", kind="gate"),
        PictureTask("c", "c"),
        PictureTask("d", "d"),
        PictureTask("e", "e"),
    )
    whole = Picture("p", tasks, ((0, 2, ""), (1, 2, ""), (2, 3, ""), (2, 4, ""), (4, 5, "x")))
    assert ids(part_of(whole, ["c"])) == ["a", "b", "&0", "c"]
    assert ids(part_of(whole, ["a"])) == ["a", "&0", "c", "d"]


@pytest.mark.parametrize(("wrong", "hint"), [("t_44", "; did you mean 't_4'?"), ("nothing", ""), ("&0", "")])
def test_an_id_that_no_task_has(wrong: str, hint: str) -> None:
    with pytest.raises(UnknownTaskError) as caught:
        part_of(chain(5), ["t_1", wrong])
    assert str(caught.value).startswith(f"workflow 'chain' has no task '{wrong}'{hint}")


@pytest.mark.parametrize("format", ["svg", "html"])
def test_more_boxes_than_anybody_can_look_at_are_refused(monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    monkeypatch.setattr("graflow.show.drawing.MOST_DRAWN", 30)
    monkeypatch.setattr("graflow.show.html.MOST_BOXES", 30)
    with pytest.raises(ConfigurationError, match="cannot draw 'chain': it takes 31 boxes, and more than 30 are"):
        render(chain(31), format)  # type: ignore[arg-type]  # one of the formats
    assert "t_29" in render(chain(30), format)  # type: ignore[arg-type]  # one of the formats
    alike = Picture("loop", tuple(PictureTask(f"t_{i}", f"t_{i}") for i in range(31)), ())
    assert "t_* × 31" in render(alike, format)  # type: ignore[arg-type]  # one of the formats


def test_a_notebook_shows_why_there_is_no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    @task
    def one() -> int:
        return 1

    monkeypatch.setattr("graflow.show.drawing.MOST_DRAWN", 1)
    html = notebook_html(Workflow.builder("<two>").add(one).add(one.named("two")).build())
    assert "<p>cannot draw &#x27;&lt;two&gt;&#x27;: it takes 2 boxes" in html


def test_mermaid_says_what_it_draws() -> None:
    assert is_drawn(to_mermaid(chain(MOST_EDGES + 1), fold_above=0))
    assert not is_drawn(to_mermaid(chain(MOST_EDGES + 2)))
    assert not is_drawn(to_mermaid(Picture("p", tuple(PictureTask("é" * k, "é" * k) for k in range(1, 700)), ())))


def test_tasks_of_one_function_share_their_description() -> None:
    @task
    def score(n: int) -> int:
        return n

    def total(parts: list[int], *, top: int = 1) -> int:
        return sum(parts) * top

    scored = [score(k).named(f"score_{k}") for k in range(3)]
    drawn = picture_of(Workflow.builder("p").add_all(scored).add(task(total), [one.out for one in scored]).build())
    assert [(one.detail, one.source.rpartition(":")[0] != "") for one in drawn.tasks] == [
        *[("n: int -> int", True)] * 3,
        ("parts: list[int], *, top: int -> int", True),
    ]
