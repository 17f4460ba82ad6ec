"""`graflow.contrib.wfformat`: recorded workflows as workflows."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graflow import (
    ConfigurationError,
    CycleError,
    DefinitionError,
    DefinitionErrors,
    DuplicateTaskError,
    GraflowError,
    LocalRunner,
    UnknownTaskError,
    Workflow,
    task,
    workflow,
)
from graflow.contrib import wfformat
from graflow.contrib.wfformat import Timing
from graflow.engine.events import TaskStarted

MONTAGE = Path(__file__).parents[2] / "examples/07_real_world/montage.json"
inline = LocalRunner("inline")


def instance(
    upstream: Mapping[str, Sequence[str]],
    seconds: Mapping[str, float] | None = None,
    *,
    version: str = "1.5",
    **execution: Any,
) -> dict[str, Any]:
    """An instance of 1.5 from the upstreams of each task; without an execution if there are no seconds."""
    tasks = [
        {"name": id, "id": id, "parents": list(ups), "children": [one for one in upstream if id in upstream[one]]}
        for id, ups in upstream.items()
    ]
    data: dict[str, Any] = {"name": "made", "schemaVersion": version, "workflow": {"specification": {"tasks": tasks}}}
    if seconds is not None:
        ran = [{"id": id, "runtimeInSeconds": one} for id, one in seconds.items()]
        data["workflow"]["execution"] = {"makespanInSeconds": 9, "executedAt": "then", "tasks": ran, **execution}
    return data


def flat(tasks: list[dict[str, Any]], version: str = "1.4", key: str = "tasks", **more: Any) -> dict[str, Any]:
    return {"name": "old", "schemaVersion": version, "workflow": {key: tasks, **more}}


DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
SECONDS = {"a": 1, "b": 2.5, "c": 4, "d": 0.5}


def edges(loaded: Workflow[Any, Any]) -> set[tuple[str, str]]:
    return {(edge.upstream, edge.downstream) for edge in loaded.edges}


class TestMontage:
    def test_it_is_described(self) -> None:
        found = wfformat.describe(MONTAGE)
        assert (found.name, found.version, found.tasks, found.edges) == ("montage", "1.5", 22, 44)
        assert (found.depth, found.width, found.makespan) == (8, 7, 46.3)
        assert found.seconds == pytest.approx(94.6)
        assert found.critical_seconds == pytest.approx(31.7)
        assert found.critical_path == (
            "mProject_2",
            "mDiffFit_1_2",
            "mConcatFit",
            "mBgModel",
            "mBackground_2",
            "mImgtbl",
            "mAdd",
            "mViewer",
        )
        assert str(found) == (
            "montage, WfFormat 1.5\n"
            "tasks: 22, edges: 44, depth: 8, width: 7\n"
            "work: 94.6 s, critical path: 31.7 s\n"
            "makespan when recorded: 46.3 s"
        )

    def test_the_edges_are_those_of_the_file(self) -> None:
        tasks = json.loads(MONTAGE.read_text())["workflow"]["specification"]["tasks"]
        loaded = wfformat.load(MONTAGE, scale=0)
        assert loaded.name == "montage"
        assert set(loaded.tasks) == {task["id"] for task in tasks}
        assert edges(loaded) == {(up, task["id"]) for task in tasks for up in task["parents"]}
        assert not any(edge.data for edge in loaded.edges)

    def test_graflow_finds_the_same_critical_path(self) -> None:
        ran = json.loads(MONTAGE.read_text())["workflow"]["execution"]["tasks"]
        seconds = {one["id"]: one["runtimeInSeconds"] for one in ran}
        plan = wfformat.load(MONTAGE).compile()
        assert plan.critical_path(seconds) == wfformat.describe(MONTAGE).critical_path
        assert 1 + max(plan.levels) == wfformat.describe(MONTAGE).depth

    @pytest.mark.parametrize("executor", ["inline", "threads"])
    def test_a_run_keeps_the_order(self, executor: Any) -> None:
        loaded = wfformat.load(MONTAGE, scale=0.0005)
        run = LocalRunner(executor, max_workers=4).run(loaded)
        for before, after in edges(loaded):
            first, second = run.tasks[before], run.tasks[after]
            assert first.started is not None
            assert first.duration is not None
            assert second.started is not None
            assert first.started + first.duration <= second.started + 1e-6, (before, after)
        assert run.value.id == "mViewer"

    def test_it_is_drawn(self) -> None:
        assert "mProject_1" in wfformat.load(MONTAGE).to_mermaid()

    def test_it_travels(self) -> None:
        loaded = wfformat.load(MONTAGE, scale=0)
        loaded.check_portable()
        assert pickle.loads(pickle.dumps(loaded)) == loaded
        assert LocalRunner("processes", max_workers=1).run(loaded).value.id == "mViewer"

    def test_the_same_file_gives_an_equal_workflow(self) -> None:
        assert wfformat.load(MONTAGE) == wfformat.load(str(MONTAGE))
        assert wfformat.load(MONTAGE).fingerprint == wfformat.load(json.loads(MONTAGE.read_text())).fingerprint
        assert wfformat.load(MONTAGE).fingerprint != wfformat.load(MONTAGE, scale=2).fingerprint


class TestLoad:
    def test_a_task_asks_for_its_runtime_times_the_scale(self) -> None:
        loaded = wfformat.load(instance(DIAMOND, SECONDS), scale=0.002)
        run = loaded.run(runner=inline)
        timings: dict[str, Timing] = {id: run[id] for id in loaded.tasks}
        assert {id: one.asked for id, one in timings.items()} == {id: one * 0.002 for id, one in SECONDS.items()}
        assert all(one.taken >= one.asked and one.id == id for id, one in timings.items())

    def test_the_value_is_the_end_of_the_critical_path(self) -> None:
        data = instance({"a": [], "long": ["a"], "short": ["a"]}, {"a": 1, "long": 3, "short": 2})
        run = wfformat.load(data, scale=0).run(runner=inline)
        assert run.value == Timing("long", 0.0, run.value.taken)

    def test_tasks_of_no_seconds_still_belong_to_the_path(self) -> None:
        data = instance(DIAMOND, dict.fromkeys(DIAMOND, 0))
        assert wfformat.describe(data).critical_path[-1] == "d"

    def test_spinning_takes_processor_time(self) -> None:
        data = instance({"a": []}, {"a": 1})
        timing = wfformat.load(data, scale=0.25, body="spin").run(runner=inline).value
        assert timing.asked == 0.25
        assert timing.taken > 0

    def test_a_cancelled_sleep_ends(self) -> None:
        loaded = wfformat.load(instance({"a": []}, {"a": 3600}))
        handle = LocalRunner("threads", max_workers=1).start(loaded, check=False)
        for event in handle.events():
            if isinstance(event, TaskStarted):
                handle.cancel()
        # The thread ends as well, or pytest would wait for it: nobody kills a thread.
        assert handle.wait(timeout=60).state == "cancelled"

    def test_another_name(self) -> None:
        assert wfformat.load(instance(DIAMOND, SECONDS), name="mine").name == "mine"

    def test_any_mapping_will_do(self) -> None:
        assert wfformat.load(MappingProxyType(instance(DIAMOND, SECONDS))).name == "made"

    def test_a_task_named_twice_as_an_upstream_is_one_edge(self) -> None:
        data = instance({"a": [], "b": ["a", "a"]}, {"a": 0, "b": 0})
        assert edges(wfformat.load(data)) == {("a", "b")}
        assert wfformat.describe(data).edges == 1

    def test_a_default_runtime_fills_the_gaps(self) -> None:
        data = instance(DIAMOND, {"a": 1, "b": 2})
        assert wfformat.describe(data, default_runtime=10).seconds == 23
        assert wfformat.describe(data, default_runtime=0).seconds == 3
        assert wfformat.describe(instance(DIAMOND), default_runtime=1).critical_seconds == 3
        assert wfformat.describe(instance(DIAMOND), default_runtime=1).makespan is None
        assert str(wfformat.describe(instance(DIAMOND), default_runtime=1)).endswith("not recorded")

    def test_an_open_block_takes_none_of_its_tasks(self) -> None:
        @task
        def own() -> int:
            return 1

        with workflow("around") as wf:
            wfformat.load(instance(DIAMOND, SECONDS))
            own()
        assert list(wf.workflow.tasks) == ["own"]

    def test_it_goes_into_another_workflow(self) -> None:
        inner = wfformat.load(instance(DIAMOND, SECONDS), scale=0)
        outer = Workflow.builder("outer").add(inner.as_task("inner")).build()
        assert outer.run(runner=inline).value.id == "d"


class TestIds:
    def test_legal_ids_stay(self) -> None:
        data = instance({"mProject_ID01": [], "a.b-c": ["mProject_ID01"]}, {"mProject_ID01": 0, "a.b-c": 0})
        assert set(wfformat.load(data).tasks) == {"mProject_ID01", "a.b-c"}

    def test_others_are_spelt_anew_and_never_meet(self) -> None:
        ids = ["NF:ALIGN__s1__#task/9e7c", "a b", "a_b", "a/b", "a_b-2", ".x", "é", "x" * 300, "x" * 300 + "y"]
        loaded = wfformat.load(instance({id: [] for id in ids}, dict.fromkeys(ids, 0)))
        run = loaded.run(runner=inline)
        assert {run[id].id: id for id in loaded.tasks} == {
            "NF:ALIGN__s1__#task/9e7c": "NF_ALIGN__s1___task_9e7c",
            "a b": "a_b-3",
            "a_b": "a_b",
            "a/b": "a_b-4",
            "a_b-2": "a_b-2",
            ".x": "_.x",
            "é": "_",
            "x" * 300: "x" * 190,
            "x" * 300 + "y": "x" * 190 + "-2",
        }


class TestOlderVersions:
    TASKS = (
        {"name": "a_ID1", "id": "ID1", "parents": [], "children": ["b_ID2"], "runtimeInSeconds": 1},
        {"name": "b_ID2", "id": "ID2", "parents": [], "runtimeInSeconds": 2},
        {"name": "c_ID3", "id": "ID3", "parents": ["b_ID2", "ID1"], "children": [], "runtimeInSeconds": 3},
    )

    def test_edges_are_said_at_one_end_by_name_or_id(self) -> None:
        data = flat([*self.TASKS], makespanInSeconds=7)
        assert edges(wfformat.load(data)) == {("a_ID1", "b_ID2"), ("a_ID1", "c_ID3"), ("b_ID2", "c_ID3")}
        found = wfformat.describe(data)
        assert (found.version, found.seconds, found.critical_seconds, found.makespan) == ("1.4", 6, 6, 7)

    @pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1.3"])
    def test_before_that_runtimes_and_jobs_had_other_keys(self, version: str) -> None:
        data = flat(
            [{"name": "a", "runtime": 1}, {"name": "b", "runtime": 2, "parents": ["a"]}],
            version,
            "tasks" if version == "1.3" else "jobs",
            makespan=4,
        )
        found = wfformat.describe(data)
        assert (found.edges, found.seconds, found.makespan) == (1, 3, 4)

    def test_the_newest_reads_as_the_one_before(self) -> None:
        data = instance(DIAMOND, SECONDS, version="1.6")
        data["workflow"]["specification"]["metrics"] = {"numberOfTasks": 4}
        assert wfformat.describe(data).tasks == 4


def broken(path: str, value: Any, **more: Any) -> dict[str, Any]:
    """A diamond with one value of another kind; `...` removes it."""
    data: Any = instance(DIAMOND, SECONDS, **more)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = data
    for part in way:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return dict(data)


SPEC, RAN = "workflow.specification.tasks", "workflow.execution.tasks"
REFUSED: list[tuple[Any, type[GraflowError], str]] = [
    (
        broken("schemaVersion", ...),
        DefinitionError,
        "schemaVersion is missing; instances of WfFormat 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6 can be read",
    ),
    (
        broken("schemaVersion", "2.0"),
        DefinitionError,
        "schemaVersion is '2.0'; instances of WfFormat 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6 can be read",
    ),
    (
        broken("schemaVersion", 1.5),
        DefinitionError,
        "schemaVersion is 1.5; instances of WfFormat 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6 can be read",
    ),
    (broken("name", ...), DefinitionError, "name is missing"),
    (broken("name", " "), DefinitionError, "name is empty"),
    (broken("workflow", []), DefinitionError, "workflow should be an object, not []"),
    (broken("workflow.specification", ...), DefinitionError, "workflow.specification is missing"),
    (broken(SPEC, []), DefinitionError, f"{SPEC} is empty: an instance has at least one task"),
    (broken(SPEC, 3), DefinitionError, f"{SPEC} should be a valid list, not 3"),
    (broken(f"{SPEC}.0", "a"), DefinitionError, f"{SPEC}[0] should be an object, not 'a'"),
    (broken(f"{SPEC}.2.children", ...), DefinitionError, f"{SPEC}[2].children is missing"),
    (broken(f"{SPEC}.1.parents", [1]), DefinitionError, f"{SPEC}[1].parents[0] should be a valid string, not 1"),
    (broken(f"{SPEC}.1.id", ""), DefinitionError, f"{SPEC}[1].id is empty"),
    (broken(f"{SPEC}.1.id", "a"), DuplicateTaskError, f"{SPEC}[1].id is 'a', as is {SPEC}[0].id"),
    (broken(f"{RAN}.1.id", "a"), DuplicateTaskError, f"{RAN}[1].id is 'a', as is {RAN}[0].id"),
    (
        broken(f"{SPEC}.3.parents", ["b", "x"]),
        UnknownTaskError,
        f"{SPEC}[3].parents[1] is 'x', and no task in {SPEC} has that id",
    ),
    (
        broken(f"{SPEC}.0.children", ["b", "c", "x"]),
        UnknownTaskError,
        f"{SPEC}[0].children[2] is 'x', and no task in {SPEC} has that id",
    ),
    (broken(f"{RAN}.1.id", "x"), UnknownTaskError, f"{RAN}[1].id is 'x', and no task in {SPEC} has that id"),
    (
        broken(f"{SPEC}.3.parents", ["b"]),
        DefinitionError,
        f"{SPEC}[2].children names 'd', but {SPEC}[3].parents does not name 'c'",
    ),
    (
        broken(f"{SPEC}.0.children", ["b"]),
        DefinitionError,
        f"{SPEC}[2].parents names 'a', but {SPEC}[0].children does not name 'c'",
    ),
    (
        broken(f"{RAN}.0.runtimeInSeconds", -1.5),
        DefinitionError,
        f"{RAN}[0].runtimeInSeconds should be greater than or equal to 0, not -1.5",
    ),
    (
        broken(f"{RAN}.0.runtimeInSeconds", float("nan")),
        DefinitionError,
        f"{RAN}[0].runtimeInSeconds should be a finite number, not nan",
    ),
    (
        broken(f"{RAN}.0.runtimeInSeconds", float("inf")),
        DefinitionError,
        f"{RAN}[0].runtimeInSeconds should be a finite number, not inf",
    ),
    (
        broken(f"{RAN}.0.runtimeInSeconds", "3"),
        DefinitionError,
        f"{RAN}[0].runtimeInSeconds should be a valid number, not '3'",
    ),
    (
        broken(f"{RAN}.0.runtimeInSeconds", True),
        DefinitionError,
        f"{RAN}[0].runtimeInSeconds should be a valid number, not True",
    ),
    (
        broken(f"{RAN}.2.runtimeInSeconds", ...),
        DefinitionError,
        f"{RAN}[2].runtimeInSeconds is missing; give default_runtime= as its seconds",
    ),
    (broken(f"{RAN}.2", ...), DefinitionError, f"{RAN} has no task 'c'; give default_runtime= as its seconds"),
    (
        broken("workflow.execution", ...),
        DefinitionError,
        "workflow.execution is missing; give default_runtime= as each task's seconds",
    ),
    (
        broken("workflow.execution.makespanInSeconds", -1),
        DefinitionError,
        "workflow.execution.makespanInSeconds should be greater than or equal to 0, not -1",
    ),
    (
        instance({"a": ["c"], "b": ["a"], "c": ["b"]}, {"a": 0, "b": 0, "c": 0}),
        CycleError,
        f"tasks in {SPEC} wait for each other: a -> b -> c -> a",
    ),
    (instance({"a": ["a"]}, {"a": 0}), CycleError, f"tasks in {SPEC} wait for each other: a -> a"),
    (
        flat([{"name": "a"}]),
        DefinitionError,
        "workflow.tasks[0].runtimeInSeconds is missing; give default_runtime= as its seconds",
    ),
    (
        flat([{"name": "a"}], "1.2", "jobs"),
        DefinitionError,
        "workflow.jobs[0].runtime is missing; give default_runtime= as its seconds",
    ),
    (
        flat([{"name": "a", "parents": ["b"], "runtimeInSeconds": 1}]),
        UnknownTaskError,
        "workflow.tasks[0].parents[0] is 'b', and no task in workflow.tasks has that name",
    ),
    (
        flat([{"name": "a"}, {"name": "a"}]),
        DuplicateTaskError,
        "workflow.tasks[1].name is 'a', as is workflow.tasks[0].name",
    ),
    (
        flat([{"name": "a", "runtime": -1}], "1.3"),
        DefinitionError,
        "workflow.tasks[0].runtime should be greater than or equal to 0, not -1",
    ),
]


class TestRefused:
    @pytest.mark.parametrize(("data", "kind", "message"), REFUSED, ids=[message[:60] for *_, message in REFUSED])
    def test_a_wrong_instance_names_the_key(self, data: Any, kind: type[GraflowError], message: str) -> None:
        for read in (wfformat.load, wfformat.describe):
            with pytest.raises(DefinitionError) as caught:
                read(data)
            assert type(caught.value) is kind
            assert str(caught.value) == f"the instance: {message}"

    def test_a_file_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "made.json"
        path.write_text(json.dumps(broken(f"{RAN}.0.runtimeInSeconds", float("nan"))))
        with pytest.raises(DefinitionError) as caught:
            wfformat.load(path)
        assert str(caught.value) == f"{path}: {RAN}[0].runtimeInSeconds should be a finite number, not nan"

    def test_all_wrong_values_are_named_at_once(self) -> None:
        data = instance(DIAMOND, {"a": -1, "b": "2", "c": 3, "d": 4})  # type: ignore[dict-item]
        with pytest.raises(DefinitionErrors) as caught:
            wfformat.load(data)
        assert [str(one) for one in caught.value.exceptions] == [
            f"the instance: {RAN}[0].runtimeInSeconds should be greater than or equal to 0, not -1",
            f"the instance: {RAN}[1].runtimeInSeconds should be a valid number, not '2'",
        ]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (b"", "not JSON: Expecting value: line 1 column 1 (char 0)"),
            (b"\xff\xfe\xfd", "not JSON: "),
            (b"[" * 100_000, "not JSON: "),
            (b"[1]", "an instance is a JSON object, not [1]"),
        ],
    )
    def test_a_file_that_is_no_instance(self, tmp_path: Path, text: bytes, message: str) -> None:
        path = tmp_path / "made.json"
        path.write_bytes(text)
        with pytest.raises(DefinitionError) as caught:
            wfformat.load(path)
        assert str(caught.value).startswith(f"{path}: {message}")

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as caught:
            wfformat.load(tmp_path / "none.json")
        assert str(caught.value) == f"cannot read '{tmp_path / 'none.json'}': No such file or directory"

    def test_a_path_that_cannot_be(self) -> None:
        with pytest.raises(ConfigurationError, match=r"cannot read .*null"):
            wfformat.load("a\0b")

    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ({"scale": -1}, "scale=-1 is not a number from 0 on"),
            ({"scale": float("nan")}, "scale=nan is not a number from 0 on"),
            ({"scale": True}, "scale=True is not a number from 0 on"),
            ({"default_runtime": float("inf")}, "default_runtime=inf is not a number from 0 on"),
            ({"body": "dance"}, "body='dance' is unknown; choose 'sleep' or 'spin'"),
            ({"name": " "}, "a workflow needs a name, not ' '"),
            ({"source": 3}, "an instance is a path or a mapping, not 3"),
        ],
    )
    def test_an_impossible_call(self, how: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            wfformat.load(**{"source": instance(DIAMOND, SECONDS), **how})
        assert str(caught.value) == message


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    """Upstreams by id, in any order of tasks, with ids that graflow refuses among them."""
    ids = draw(st.lists(st.text("aB1_.-/:# é", min_size=1, max_size=3), unique=True, min_size=1, max_size=12))
    upstream = {id: draw(st.lists(st.sampled_from(ids[:k]), unique=True)) if k else [] for k, id in enumerate(ids)}
    return {id: upstream[id] for id in draw(st.permutations(ids))}


@given(graphs(), st.sampled_from([*wfformat.VERSIONS]))
def test_the_workflow_has_the_edges_of_the_instance(upstream: dict[str, list[str]], version: str) -> None:
    seconds = {id: float(k) for k, id in enumerate(upstream)}
    if version < "1.5":
        data = flat([{"name": id, "parents": ups, "runtime": seconds[id]} for id, ups in upstream.items()], version)
    else:
        data = instance(upstream, seconds, version=version)
    loaded = wfformat.load(json.loads(json.dumps(data)), scale=0)
    own = {id: inputs["id"] for id, inputs in ((id, given_to(loaded, id)) for id in loaded.tasks)}
    assert sorted(own.values()) == sorted(upstream)
    assert {(own[a], own[b]) for a, b in edges(loaded)} == {(a, b) for b, ups in upstream.items() for a in ups}
    found = wfformat.describe(data)
    assert found.edges == len(loaded.edges)
    assert found.critical_seconds == sum(seconds[id] for id in found.critical_path)
    plan = loaded.compile()
    by_task = {id: seconds[own[id]] for id in loaded.tasks}
    assert found.critical_seconds == sum(by_task[id] for id in plan.critical_path(by_task))
    assert run_order_holds(loaded)


def given_to(loaded: Workflow[Any, Any], id: str) -> dict[str, Any]:
    from graflow.core.plan import named_inputs

    return dict(named_inputs(loaded.tasks[id]))


def run_order_holds(loaded: Workflow[Any, Any]) -> bool:
    places = {id: place for place, id in enumerate(loaded.tasks)}
    return all(places[before] < places[after] for before, after in edges(loaded))


def test_graflow_does_not_load_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import graflow, sys; print([m for m in sys.modules if 'contrib' in m])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
