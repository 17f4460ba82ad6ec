"""Pictures of maps, flags, group rules and signals, in every format."""

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from pydantic import BaseModel

from graflow import LocalRunner, Outcome, Workflow, at_least, critical, first_of, inputs, signal, task
from graflow.core.requirement import Standing
from graflow.show import FORMATS, picture_of, render
from graflow.show.fold import fold
from graflow.show.html import to_html
from graflow.show.picture import Picture, PictureTask

NS = "{http://www.w3.org/2000/svg}"


class Wishes(BaseModel):
    deep: bool = False


@task
def rows() -> list[int]:
    return [1, 2, 3]


@task
def score(row: int) -> int:
    if row == 2:
        raise ValueError("two")
    return row


@task
def is_big(rows: list[int]) -> bool:
    return len(rows) > 10


@task
def big(rows: list[int]) -> int:
    return 1


@task
def small(rows: list[int]) -> int:
    return 2


@task
def deep() -> int:
    return 3


@task
def end(scores: object, one: int, ok: bool) -> int:
    return 7


def flow() -> Workflow[Wishes, int]:
    scored = score.map(row=rows.each)
    flag = is_big(rows.out)
    left, right = big(rows.out).when(flag.out), small(rows.out).unless(flag.out)
    one = first_of(left, right, id="one")
    approve = signal("approve", bool)
    last = end(scored.outcome, one.out, approve.out)
    looked = deep.when(inputs(Wishes).deep)
    parts = [rows, scored, flag, left, right, one, approve, looked]
    return Workflow.builder("flow", inputs=Wishes).add_all(parts).add(last).build(returns=last)


def drawn_of(*tasks: Any) -> Picture:
    return picture_of(Workflow.builder("w").add_all(tasks).build())


def by_id(picture: Picture) -> dict[str, PictureTask]:
    return {one.id: one for one in picture.tasks}


@pytest.fixture(scope="module")
def plan() -> Picture:
    return picture_of(flow())


@pytest.fixture(scope="module")
def run() -> Picture:
    handle = LocalRunner("inline").start(flow(), Wishes(), check=False)
    handle.send(signal("approve", bool), True)
    return picture_of(flow(), handle.wait())


class TestModel:
    def test_kinds(self, plan: Picture) -> None:
        kinds = {id: one.kind for id, one in by_id(plan).items() if one.kind != "task"}
        assert kinds == {"score": "map", "approve": "signal", "&0": "gate"}
        assert by_id(plan)["&0"].label == "one of 2"
        assert by_id(plan)["score"].mark == " × items"

    def test_flags_are_edges_of_their_own(self, plan: Picture) -> None:
        ids = [one.id for one in plan.tasks]
        assert {(ids[a], ids[b], label) for a, b, label in plan.flags} == {
            ("is_big", "big", "when"),
            ("is_big", "small", "unless"),
        }
        assert not any((a, b, "") in plan.edges for a, b, _ in plan.flags)
        assert not any(map(plan.passes_result, plan.flags))

    def test_flags_of_the_inputs_and_constants_stand_in_the_box(self, plan: Picture) -> None:
        assert by_id(plan)["deep"].condition == "when inputs(Wishes).deep"
        drawn = drawn_of(deep.unless(False))
        assert drawn.tasks[0].condition == "unless False"

    def test_a_part_of_a_result_is_named(self) -> None:
        @task
        def flags() -> dict[str, bool]:
            return {"on": True}

        drawn = drawn_of(flags, deep.when(flags.out["on"]))
        assert drawn.edges == ((0, 1, "when ['on']"),)

    def test_a_parameter_of_the_same_name_stays_apart(self) -> None:
        @task
        def late(when: bool) -> bool:
            return when

        drawn = drawn_of(rows, is_big(rows.out), late(is_big.out).when(is_big(rows.out).out))
        labels = [drawn.edge_label(edge) for edge in drawn.edges if drawn.tasks[edge[1]].id == "late"]
        assert labels == ["when", "when (flag)"]

    def test_rules(self) -> None:
        @task
        def join(a: Outcome[list[int]], b: Outcome[int]) -> int:
            return 1

        class Mine:
            def decide(self, standing: Standing) -> bool | None:
                return True

        def label(rule: Any) -> str:
            joined = (rows | deep).require(rule) >> join
            return next(one.label for one in drawn_of(rows, deep, joined).tasks if one.kind == "gate")

        assert label(all) == "all of 2"
        assert label(any) == "at least 1 of 2"
        assert label(at_least(2)) == "at least 2 of 2"
        assert label(critical("deep")) == "'deep' of them"
        assert label(Mine()) == "Mine"

    def test_a_run_says_how_its_items_fared_and_why_tasks_were_skipped(self, run: Picture) -> None:
        found = by_id(run)
        assert (found["score"].items, found["score"].failed_items, found["score"].mark) == (3, 1, " × 3 items")
        assert found["score"].fared.endswith(" · 1 item failed")
        assert found["big"].reason == "`is_big` was false"
        assert found["deep"].reason == "`inputs(Wishes).deep` was false"
        assert found["deep"].tooltip.split("\n")[:4] == [
            "deep",
            "-> int",
            "when inputs(Wishes).deep",
            "`inputs(Wishes).deep` was false",
        ]
        assert found["small"].reason == ""

    def test_a_map_of_nothing_and_one_of_one(self) -> None:
        made = PictureTask("m", "m", kind="map")
        assert [replace(made, items=n).mark for n in (0, 1, 1200)] == [" × 0 items", " × 1 item", " × 1,200 items"]


class TestFormats:
    @pytest.mark.parametrize("format", FORMATS)
    def test_equal_pictures_give_equal_text(self, plan: Picture, format: str) -> None:
        assert render(plan, format) == render(picture_of(flow()), format)  # type: ignore[arg-type]

    def test_mermaid(self, run: Picture) -> None:
        lines = [line.strip() for line in render(run, "mermaid").splitlines()]
        assert any(line.startswith('t_score[["score × 3 items<br/>failed · ') for line in lines)
        assert any(line.startswith('t_approve{{"approve<br/>') for line in lines)
        assert 't_is_big -.->|"when"| t_big' in lines
        assert 't_is_big -.->|"unless"| t_small' in lines
        assert 't_0("one of 2")' in lines
        assert any(
            line.startswith('t_deep["deep<br/>when inputs#40;Wishes#41;.deep<br/>skipped<br/>') for line in lines
        )

    def test_dot(self, run: Picture) -> None:
        text = render(run, "dot")
        assert '"score" [label="score × 3 items\\nfailed · ' in text
        assert "peripheries=2" in text
        assert '"approve" [label="approve\\nsucceeded' in text
        assert "shape=hexagon" in text
        assert '"is_big" -> "big" [label="when", style=dashed]' in text
        assert 'tooltip="rows: list[int] -> int, `is_big` was false"' in text
        assert '"&0" [label="one of 2"' in text

    def test_json(self, run: Picture) -> None:
        data = json.loads(render(run, "json"))
        found = {one["id"]: one for one in data["tasks"]}
        assert (found["score"]["kind"], found["score"]["items"], found["score"]["failed_items"]) == ("map", 3, 1)
        assert found["deep"]["condition"] == "when inputs(Wishes).deep"
        assert found["big"]["reason"] == "`is_big` was false"
        assert sum("flag" in edge for edge in data["edges"]) == 2

    def test_svg(self, plan: Picture) -> None:
        root = ElementTree.fromstring(render(plan, "svg"))
        boxes = {
            box.findtext(f"{NS}title", "").split("\n")[0]: box for box in root.iter(f"{NS}g") if box.get("data-unit")
        }
        assert len(boxes["score × items"].findall(f"{NS}rect")) == 2
        assert len(boxes["rows"].findall(f"{NS}rect")) == 1
        assert len(boxes["approve"].findall(f"{NS}polygon")) == 1
        assert boxes["&0"].findtext(f"{NS}text") == "one of 2"
        assert [text.text for text in boxes["deep"].iter(f"{NS}text")] == ["deep", "when inputs(Wishes).deep"]
        assert sum("gf-flag" in line.get("class", "") for line in root.iter(f"{NS}path")) == 2
        assert root.findtext(f"{NS}desc", "").startswith("9 tasks, ")

    def test_html(self, run: Picture) -> None:
        page = to_html(run)
        assert ">score × 3 items</a>" in page
        assert "<td>failed, 1 of 3 items failed</td>" in page
        assert "<td>skipped: `is_big` was false</td>" in page
        assert "<br>when inputs(Wishes).deep</th>" in page
        assert '"kind":"Runs once for each item: 3 items."' in page
        assert '"kind":"Waits for a value from outside."' in page
        assert '"kind":"Lets what comes after it start by a rule: one of 2."' in page


class TestFolding:
    def test_a_family_of_maps_stays_a_map(self) -> None:
        maps = tuple(PictureTask(f"m_{i}", f"m_{i}", kind="map", items=10, failed_items=i % 2) for i in range(20))
        [one] = fold(Picture("p", maps, ())).picture.tasks
        assert (one.label, one.kind, one.items, one.failed_items) == ("m_* × 20", "map", 200, 10)

    def test_other_kinds_and_conditions_are_other_families(self) -> None:
        tasks = tuple(
            PictureTask(f"t_{i}", f"t_{i}", kind="map" if i % 2 else "task", condition="when True" if i % 4 < 2 else "")
            for i in range(80)
        )
        assert [one.label for one in fold(Picture("p", tasks, ())).picture.tasks] == ["t_* × 20"] * 4

    def test_flags_that_fall_together_stay_flags(self) -> None:
        tasks = (PictureTask("flag", "flag"), *(PictureTask(f"t_{i}", f"t_{i}", level=1) for i in range(20)))
        edges = tuple((0, i, "when") for i in range(1, 21))
        assert fold(Picture("p", tasks, edges, flags=frozenset(edges))).picture.flags == {(0, 1, "when")}
        mixed = Picture("p", tasks, edges, flags=frozenset(edges[1:]))
        assert fold(mixed).picture.flags == frozenset()
