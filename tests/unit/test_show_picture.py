"""The neutral model, and how a workflow, a plan or a run becomes one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from graflow import LocalRunner, RunFailedError, Workflow, task, workflow
from graflow.errors import ConfigurationError
from graflow.show import FORMATS, picture_of, render
from graflow.show.picture import Picture, PictureTask, to_data, to_json


def picture(*ids: str, edges: tuple[tuple[int, int, str], ...] = (), critical: str = "") -> Picture:
    return Picture("p", tuple(PictureTask(id, id, critical=id in critical.split()) for id in ids), edges)


@task
def extract(path: Path) -> list[int]:
    return [len(str(path))]


@task
def clean(rows: list[int], *, top: int = 3) -> list[int]:
    return rows[:top]


@task
def fails(rows: list[int]) -> int:
    raise ValueError("no")


@task
def make(i: int) -> int:
    return i


class TestPicture:
    @pytest.mark.parametrize("edge", [(1, 0, ""), (0, 0, ""), (0, 2, ""), (-1, 1, "")])
    def test_an_edge_that_does_not_lead_forward_is_refused(self, edge: tuple[int, int, str]) -> None:
        with pytest.raises(ConfigurationError) as caught:
            picture("a", "b", edges=(edge,))
        assert str(caught.value) == (
            f"cannot draw 'p': the edge ({edge[0]}, {edge[1]}) does not lead forward in its 2 tasks; "
            "list the tasks so that each comes after its upstreams"
        )

    def test_levels_are_longest_paths(self) -> None:
        assert picture("a", "b", "c", "d", edges=((0, 1, ""), (1, 3, ""), (0, 3, ""))).levels() == [0, 1, 0, 2]

    def test_critical_edges_join_one_critical_task_to_the_next(self) -> None:
        drawn = picture("a", "b", "c", edges=((0, 1, ""), (0, 2, ""), (1, 2, "")), critical="a b c")
        assert drawn.critical_edges() == {(0, 1), (1, 2)}

    def test_json_says_everything(self) -> None:
        one = PictureTask("g/é", "é", "x: int", 0, ("g",), "task", True, "failed", 1.5, "f.py:3")
        drawn = Picture("naïve", (one, PictureTask("&0", "", kind="gate")), ((0, 1, "x"),))
        text = to_json(drawn)
        assert text.isascii()
        assert json.loads(text) == to_data(drawn)
        assert json.loads(text) == {
            "format": "graflow-picture/1",
            "name": "naïve",
            "tasks": [
                {
                    "id": "g/é",
                    "label": "é",
                    "detail": "x: int",
                    "level": 0,
                    "cluster": ["g"],
                    "kind": "task",
                    "critical": True,
                    "state": "failed",
                    "seconds": 1.5,
                    "source": "f.py:3",
                },
                {
                    "id": "&0",
                    "label": "",
                    "detail": "",
                    "level": 0,
                    "cluster": [],
                    "kind": "gate",
                    "critical": False,
                    "state": None,
                    "seconds": None,
                    "source": "",
                },
            ],
            "edges": [{"from": 0, "to": 1, "parameter": "x"}],
        }


class TestPictureOf:
    def test_a_workflow(self) -> None:
        built = Workflow.builder("sales").add(extract, Path("x")).add(clean, rows=extract.out).build()
        drawn = picture_of(built)
        assert drawn.name == "sales"
        assert [(one.id, one.label, one.level, one.critical) for one in drawn.tasks] == [
            ("extract", "extract", 0, True),
            ("clean", "clean", 1, True),
        ]
        assert [one.detail for one in drawn.tasks] == [
            "path: Path -> list[int]",
            "rows: list[int], *, top: int -> list[int]",
        ]
        assert drawn.edges == ((0, 1, "rows"),)
        assert all(one.state is None and one.seconds is None for one in drawn.tasks)
        assert drawn == picture_of(built.compile())

    def test_where_a_function_is_stands_relative_to_the_current_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(Path(__file__).parent)
        [one] = picture_of(Workflow.of("w", make(1), returns=make(1))).tasks
        assert one.source == f"{Path(__file__).name}:{make.fn.__code__.co_firstlineno}"

    def test_numbers_in_ids_count_as_numbers(self) -> None:
        built = Workflow.builder("w").add_all(make(i).named(f"batch_{i}") for i in range(12)).build()
        assert [one.id for one in picture_of(built).tasks] == [f"batch_{i}" for i in range(12)]

    def test_an_included_workflow_is_a_cluster(self) -> None:
        inner = Workflow.builder("inner").add(make, 1).build()
        drawn = picture_of(Workflow.builder("outer").include(inner, prefix="part").build())
        assert [(one.id, one.cluster) for one in drawn.tasks] == [("part/make", ("part",))]

    def test_many_before_many_go_through_a_gate(self) -> None:
        with workflow("w") as block:
            (make(1).named("a") | make(2).named("b")) >> (make(3).named("c") | make(4).named("d"))
        drawn = picture_of(block.workflow)
        assert [(one.id, one.kind, one.level) for one in drawn.tasks] == [
            ("a", "task", 0),
            ("b", "task", 0),
            ("&0", "gate", 1),
            ("c", "task", 1),
            ("d", "task", 1),
        ]
        assert drawn.edges == ((0, 2, ""), (1, 2, ""), (2, 3, ""), (2, 4, ""))
        assert len(drawn.critical_edges()) == 2
        assert drawn.tasks[2].critical

    def test_a_run_adds_states_and_times(self) -> None:
        built = (
            Workflow.builder("w")
            .add(extract, Path("x"))
            .add(fails, rows=extract.out)
            .add(clean, rows=extract.out)
            .build()
        )
        run = built.run(runner=LocalRunner(executor="inline"), check=False)
        with pytest.raises(RunFailedError):
            run.raise_for_failure()
        drawn = {one.id: one for one in picture_of(built, run).tasks}
        assert {id: one.state for id, one in drawn.items()} == {
            "extract": "succeeded",
            "fails": "failed",
            "clean": "succeeded",
        }
        assert all(one.seconds == run.tasks[id].duration for id, one in drawn.items())
        assert drawn["fails"].fared.startswith("failed · ")

    def test_the_critical_path_of_a_run_is_the_one_that_took_longest(self) -> None:
        built = Workflow.builder("w").add(make(1).named("a")).add(make(1).named("b")).build()
        run = built.run(runner=LocalRunner(executor="inline"))
        longest = max(run.tasks.values(), key=lambda record: record.duration or 0.0).id
        assert [one.id for one in picture_of(built, run).tasks if one.critical] == [longest]


class TestDoor:
    def test_every_format_draws_an_empty_picture(self) -> None:
        assert all(render(Picture("empty", (), ()), format) for format in FORMATS)

    def test_an_unknown_format_is_refused(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            render(picture("a"), "png")  # type: ignore[arg-type]
        assert str(caught.value) == "no picture format 'png'; choose one of mermaid, dot, svg, html, json"

    @pytest.mark.parametrize("format", ["mermaid", "dot", "svg"])
    def test_folding_is_passed_on(self, format: str) -> None:
        many = picture(*(f"batch_{i}" for i in range(30)))
        assert "batch_17" in render(many, format, fold_above=0)  # type: ignore[arg-type]
        assert "batch_17" not in render(many, format, fold_above=5)  # type: ignore[arg-type]

    def test_a_workflow_draws_itself(self) -> None:
        built = Workflow.of("w", make(1), returns=make(1))
        assert built.to_mermaid() == render(picture_of(built), "mermaid")
        assert "<svg" in built._repr_html_()

    def test_importing_the_package_loads_no_format(self) -> None:
        script = "import sys, graflow.show; print(*[m for m in sys.modules if m.startswith('graflow.show.')])"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.split() == []
