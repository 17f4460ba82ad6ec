"""How a task ends, as an input of another: the value, the checks, the plan and the pictures. Running it comes later."""

import copy
import json
import pickle
import typing
from typing import Any, Generic, TypeVar

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from graflow import (
    DefinitionError,
    Failed,
    Ok,
    Outcome,
    PlaceholderError,
    Plan,
    Skipped,
    Task,
    UnboundParameterError,
    UnknownTaskError,
    WiringError,
    Workflow,
    inputs,
    task,
    workflow,
)
from graflow.core._digest import digest_value
from graflow.core._inputs import same_input
from graflow.core.plan import Link
from graflow.engine.attempt import arguments
from graflow.show import picture_of, render
from graflow.show.fold import fold
from graflow.show.picture import Picture, PictureTask, to_data

T = TypeVar("T")


class Row(BaseModel, frozen=True):
    name: str


class Asked(BaseModel, frozen=True):
    n: int = 1


@task
def extract() -> list[Row]:
    return [Row(name="a")]


@task
def other() -> list[Row]:
    return []


@task
def count() -> int:
    return 1


@task
def nothing() -> None:
    return None


@task
def echo(value: Any) -> Any:
    return value


@task
def pair(x: Any, y: Any = None) -> Any:
    return x, y


@task
def report(end: Outcome[list[Row]]) -> str:
    return type(end).__name__


@task
def summary(ends: list[Outcome[list[Row]]]) -> int:
    return len(ends)


@task
def size(rows: list[Row]) -> int:
    return len(rows)


def plan_of(*tasks: Task[..., Any]) -> Plan:
    return Workflow.of("w", *tasks, returns=tasks[-1]).compile()


def tolerated(plan: Plan) -> dict[str, set[str]]:
    """What each reader tolerates, by id."""
    return {plan.ids[i]: {plan.ids[u] for u in ups} for i, ups in plan.tolerated.items()}


def refusal(kind: type[DefinitionError], *tasks: Task[..., Any]) -> str:
    with pytest.raises(kind) as caught:
        Workflow.of("w", *tasks, returns=tasks[-1])
    return str(caught.value)


def site(one: Task[..., Any]) -> str:
    return one._definition.site


def filled(plan: Plan, reader: str, **ends: Any) -> Any:
    """The arguments of a task, given how its upstreams ended."""
    slots: list[Any] = [f"result of {id}" for id in plan.ids] + [None] * (plan.inputs_slot - len(plan)) + ["inputs"]
    slots += plan.constants
    for id, end in ends.items():
        slots[plan.outcome_slots[plan.index[id]]] = end
    return arguments(plan.recipes[plan.index[reader]], slots)


# --- the value ---


def test_it_says_what_it_stands_for() -> None:
    assert repr(extract.outcome) == "<the outcome of task 'extract'>"
    part: Any = extract.outcome
    assert repr(part.value[0].name) == "<.value[0].name of the outcome of task 'extract'>"
    assert repr(echo(part.value[0])) == "<task 'echo' with value=extract.outcome.value[0]>"
    assert repr(echo([part, extract.out])) == "<task 'echo' with value=a list with extract.outcome, extract.out>"


def test_it_differs_from_the_result_and_from_an_attribute_of_that_name() -> None:
    a, b = Task("a", lambda: None), Task("b", lambda: None)
    attribute: Any = typing.cast(Any, a.out).outcome
    readers = [echo(a.out), echo(a.outcome), echo(attribute), echo(b.outcome)]
    for k, one in enumerate(readers):
        for m, two in enumerate(readers):
            assert (one == two) == (k == m)
    assert len({Workflow.of("w", one, a, b, returns=echo).fingerprint for one in readers}) == 4


def test_it_equals_itself_however_it_was_made_and_travels() -> None:
    again = echo([extract.outcome, {"a": extract.outcome}])
    assert again == echo([extract.outcome, {"a": extract.outcome}])
    assert hash(again) == hash(echo(0))
    travelled = pickle.loads(cloudpickle.dumps(again))
    assert [repr(ref) for ref in travelled._bound[0].refs] == 2 * ["<the outcome of task 'extract'>"]
    assert same_input(copy.deepcopy(extract.outcome), extract.outcome)
    built = Workflow.of("w", extract >> size, echo(extract.outcome), returns=size)
    assert pickle.loads(cloudpickle.dumps(built)).fingerprint == built.fingerprint
    assert pickle.loads(cloudpickle.dumps(built)).compile().tolerated == built.compile().tolerated != {}


def test_the_diff_tells_a_result_from_an_outcome() -> None:
    one, two = (Workflow.of("w", extract, echo(end), returns=echo) for end in (extract.out, extract.outcome))
    assert one != two
    assert one.diff(two).rewired == ("echo",)
    assert digest_value(extract.out) != digest_value(extract.outcome)


def test_the_uses_of_a_value_are_refused() -> None:
    end: Any = extract.outcome
    text = "the outcome of task 'extract' exists only while the workflow runs, so it cannot be"
    for use, how in ((bool, "used as a truth value"), (len, "measured with len()"), (str, "turned into text")):
        with pytest.raises(PlaceholderError) as caught:
            use(end)
        assert str(caught.value) == f"{text} {how} now; pass it to a task instead"
    with pytest.raises(PlaceholderError) as caught:
        _ = [*end]
    assert str(caught.value) == f"{text} iterated or unpacked now; pass it to a task instead"
    with pytest.raises(PlaceholderError) as caught:
        _ = [*end.value]
    assert str(caught.value).endswith("pass it to a task instead, or take one item with extract.outcome.value[0]")
    with pytest.raises(PlaceholderError, match="the outcome of task 'extract' hides in a Ok, in input 'value'"):
        echo(Ok(end))


def test_it_is_no_task_to_return() -> None:
    with pytest.raises(WiringError) as caught:
        Workflow.of("w", extract, returns=extract.outcome)  # type: ignore[arg-type]
    assert str(caught.value) == "returns= takes a task, not extract.outcome; name it: returns=extract"


# --- the checks ---


def test_what_takes_every_end_is_accepted() -> None:
    @task
    def typed(a: Ok[list[Row]] | Failed | Skipped, b: Any, c: object, d, *more: Outcome[Any]) -> None: ...  # type: ignore[no-untyped-def]

    end: Any = extract.outcome
    plan_of(typed(end, end, end, end, end, count.outcome))
    plan_of(report(end), report.named("b")(end=end))
    plan_of(summary([extract.outcome, other.outcome]))
    plan_of(echo(nothing.outcome), echo.named("b")({"a": [end, (end, 3)]}))


def test_types_of_generic_results_are_compared() -> None:
    class Box(Generic[T]):
        pass

    @task
    def boxed() -> Box[int]:
        return Box()

    @task
    def right(end: Outcome[Box[int]]) -> None: ...

    @task
    def wrong(end: Outcome[Box[str]]) -> None: ...

    plan_of(right(boxed.outcome))
    text = refusal(WiringError, wrong(boxed.outcome))  # type: ignore[arg-type]
    assert "Ok[Box[int]] | Failed | Skipped cannot feed Ok[Box[str]] | Failed | Skipped" in text


def test_an_outcome_for_a_result_is_refused_and_the_result_suggested() -> None:
    reader: Any = size
    assert refusal(WiringError, reader(extract.outcome)) == (
        "'extract.outcome' cannot feed parameter 'rows' of task 'size': Ok[list[Row]] | Failed | Skipped cannot feed "
        f"list[Row] ('extract' at {site(extract)}, 'size' at {site(size)}); pass its result, extract.out"
    )


def test_a_result_for_an_outcome_is_refused_and_the_outcome_suggested() -> None:
    assert refusal(WiringError, extract >> report) == (  # type: ignore[operator]
        "'extract' cannot feed parameter 'end' of task 'report': list[Row] cannot feed Ok[list[Row]] | Failed | "
        f"Skipped ('extract' at {site(extract)}, 'report' at {site(report)}); pass how it ended, extract.outcome"
    )
    text = refusal(WiringError, summary([extract.out, other.out]))  # type: ignore[list-item]
    assert "list[list[Row]] cannot feed list[Ok[list[Row]] | Failed | Skipped]" in text
    assert text.endswith("pass how it ended, extract.outcome")


def test_nothing_is_suggested_that_would_not_fit() -> None:
    @task
    def takes(a: str = "", b: Ok[int] | Failed | None = None, c: tuple[int, str] = (0, "")) -> None: ...

    reader: Any = takes
    for given_ in ({"a": count.outcome}, {"b": count.outcome}, {"c": (count.outcome, count.outcome)}):
        assert refusal(WiringError, reader(**given_)).endswith("; pass another result, or convert it between")
    assert "Skipped cannot feed Ok[int] | Failed | None " in refusal(WiringError, reader(b=count.outcome))


def test_an_unknown_result_is_an_outcome_still() -> None:
    reader: Any = size
    assert "Ok[Any] | Failed | Skipped cannot feed list[Row]" in refusal(WiringError, reader(echo(1).outcome))


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (lambda end: end.vlaue, "Ok[list[Row]] has no attribute 'vlaue'; did you mean 'value'?"),
        (lambda end: end.eror, "Failed has no attribute 'eror'; did you mean 'error'?"),
        (lambda end: end[0], "Ok[list[Row]] has no items, so there is no [0]"),
    ],
)
def test_a_part_that_no_end_has_is_refused(part: Any, reason: str) -> None:
    assert refusal(WiringError, echo(part(extract.outcome))) == (
        f"'extract.outcome' cannot feed parameter 'value' of task 'echo': {reason} "
        f"('extract' at {site(extract)}, 'echo' at {site(echo)}); pass another result, or convert it between"
    )


@pytest.mark.parametrize("part", [lambda end: end.value, lambda end: end.value[0].name, lambda end: end.error.args[0]])
def test_a_part_that_some_end_has_is_accepted(part: Any) -> None:
    assert tolerated(plan_of(size(part(extract.outcome)))) == {"size": {"extract"}}


def test_an_outcome_of_a_task_that_is_not_there() -> None:
    with pytest.raises(UnknownTaskError) as caught:
        Workflow.builder("w").add(report, end=extract.outcome).build()
    assert str(caught.value) == (
        "task 'report' reads the outcome of 'extract' for parameter 'end', but workflow 'w' has no task 'extract'; "
        "add it, or correct the reference"
    )


def test_an_open_parameter_for_an_outcome_is_told_what_could_feed_it() -> None:
    assert refusal(UnboundParameterError, extract, count, report) == (
        f"parameter 'end: Ok[list[Row]] | Failed | Skipped' of task 'report' has no input ({site(report)}); "
        f"'extract' could feed it: end=extract.outcome"
    )


def test_a_task_cannot_wait_for_its_own_end() -> None:
    loop = Workflow.builder("w").add(echo.named("a"), echo.named("b").outcome).add(echo.named("b"), echo.named("a").out)
    with pytest.raises(DefinitionError, match="in a circle: a -> b -> a"):
        loop.build()


# --- what is tolerated ---


def test_a_reader_of_nothing_but_outcomes_tolerates() -> None:
    plan = plan_of(echo([extract.outcome, other.outcome]), pair.named("p")(extract.outcome, {"a": (count.outcome, 3)}))
    assert tolerated(plan) == {"echo": {"extract", "other"}, "p": {"extract", "count"}}


def test_a_part_of_an_outcome_is_tolerated_too() -> None:
    end: Any = extract.outcome
    assert tolerated(plan_of(echo(end.value[0]))) == {"echo": {"extract"}}


@pytest.mark.parametrize(
    "reader",
    [
        pair(extract.outcome, extract.out),
        pair([extract.outcome, {"a": extract.out[0].name}]),
        pair(extract.out, extract.outcome),
        pair(extract.outcome).after(extract),
        extract >> pair(extract.outcome, 3),
        Task("rest", lambda *all, **named: 0)(extract.outcome, b=[extract.out]),
    ],
    ids=["result", "part of it", "result first", "after", "wired", "*args and **kwargs"],
)
def test_the_result_or_an_order_beside_the_outcome_counts(reader: Task[..., Any]) -> None:
    plan = plan_of(extract, reader)
    assert tolerated(plan) == {}
    assert list(plan.outcome_slots) == [plan.index["extract"]]


def test_an_order_through_a_gate_counts() -> None:
    left = extract | other
    group = left >> (pair.named("p")(extract.outcome, count.outcome) | echo.named("q")(3))
    plan = plan_of(*group.members, count)
    assert len(plan.gates) == 1
    assert tolerated(plan) == {"p": {"count"}}


def test_extra_inputs_are_seen() -> None:
    rest = Task("rest", lambda *all, **named: 0)
    assert tolerated(plan_of(rest(extract.outcome, named=count.outcome))) == {"rest": {"extract", "count"}}


def test_an_order_beside_the_outcome_makes_another_workflow() -> None:
    free, bound = echo(extract.outcome), echo(extract.outcome).after(extract)
    gated = ((extract | other) >> (echo(extract.outcome) | count)).members
    plain, drawn = (Workflow.of("w", one, returns=echo) for one in (free, bound))
    assert plain != drawn
    assert plain.fingerprint != drawn.fingerprint
    assert plain.diff(drawn).rewired == ("echo",)
    through = Workflow.of("w", *gated, returns=echo)
    by_edges = Workflow.of("w", bound.after(other), count.named("count").after(extract, other), returns=echo)
    assert through == by_edges
    assert through.fingerprint == by_edges.fingerprint
    assert not through.diff(by_edges)


def test_workflows_without_outcomes_have_none() -> None:
    structure = Workflow.of("w", extract >> size, returns=size)._structure
    assert (structure.outcomes, structure.tolerated, structure.also_after) == ({}, {}, {})
    assert plan_of(extract >> size).outcome_slots == {}


KINDS = ("out", "outcome", "after", "gate")


@given(st.lists(st.sets(st.sampled_from(KINDS)), min_size=1, max_size=5))
def test_tolerance_is_outcome_and_nothing_else(ways: list[set[str]]) -> None:
    ups = [count.named(f"u{k}") for k in range(len(ways))]
    taken = {how: [up for up, way in zip(ups, ways, strict=True) if how in way] for how in KINDS}
    reader = pair([up.out for up in taken["out"]], [up.outcome for up in taken["outcome"]]).after(*taken["after"])
    aside = nothing
    for k, up in enumerate(taken["gate"]):
        group = (up | aside.named(f"x{k}")) >> (reader | aside.named(f"y{k}"))
        reader = group.members[0]
    plan = plan_of(*ups, reader)
    only = {up.id for up, way in zip(ups, ways, strict=True) if way == {"outcome"}}
    assert tolerated(plan) == ({"pair": only} if only else {})
    assert [plan.ids[u] for u in plan.outcome_slots] == [up.id for up in taken["outcome"]]


# --- the plan ---


def test_the_slots_of_outcomes_lie_between_results_and_inputs() -> None:
    plan = plan_of(echo([extract.outcome, 3]), pair(other.outcome, "constant"))
    assert plan.outcome_slots == {plan.index["extract"]: len(plan), plan.index["other"]: len(plan) + 1}
    assert plan.inputs_slot == len(plan) + 2
    assert plan.constants == [3, "constant"]


def test_the_slots_come_after_the_gates() -> None:
    plan = plan_of(*((extract | other) >> (echo.named("a")(1) | echo.named("b")(count.outcome))).members)
    assert plan.outcome_slots == {plan.index["count"]: len(plan.upstream)}
    assert filled(plan, "b", count=Ok(3)) == ([Ok(3)], {})


def test_recipes_stay_plain_and_fill_in_the_outcome() -> None:
    plan = plan_of(report(extract.outcome), echo(extract.out), pair(x=extract.outcome, y=extract.out))
    assert plan.recipes[plan.index["report"]] == (plan.outcome_slots[plan.index["extract"]],)
    assert filled(plan, "report", extract=Skipped("no")) == ([Skipped("no")], {})
    assert filled(plan, "echo", extract=Skipped("no")) == (["result of extract"], {})
    assert filled(plan, "pair", extract=Ok(1)) == ([Ok(1), "result of extract"], {})


def test_recipes_reach_into_containers_and_projections() -> None:
    end: Any = extract.outcome
    plan = plan_of(
        summary([extract.outcome, other.outcome]), pair({"a": [end.value[0], count.out]}, (end, 3)), echo(end.value[0])
    )
    error = ValueError("boom")
    assert filled(plan, "summary", extract=Ok(1), other=Failed(error)) == ([[Ok(1), Failed(error)]], {})
    first, second = filled(plan, "pair", extract=Ok(["row"]), other=None)[0]
    assert (first, second) == ({"a": ["row", "result of count"]}, (Ok(["row"]), 3))
    assert filled(plan, "echo", extract=Ok(["row"])) == (["row"], {})


def test_the_upstream_is_read_so_that_its_result_is_kept() -> None:
    plan = plan_of(pair(extract.outcome, 1).after(count))
    i = plan.index["pair"]
    assert plan.upstream[i] == (plan.index["extract"], plan.index["count"])
    assert plan.reads[i] == 1
    assert [(edge.upstream, edge.data) for edge in plan.workflow.edges] == [("extract", True), ("count", False)]


def test_json_says_which_inputs_are_outcomes() -> None:
    end: Any = extract.outcome
    plan = plan_of(
        pair(extract.outcome, [extract.out, end.value[0]]).after(count), echo(extract.outcome).after(extract)
    )
    shown = {one["id"]: one for one in json.loads(plan.to_json())["tasks"]}
    assert shown["pair"]["inputs"] == {
        "x": {"task": "extract", "outcome": True},
        "y": {"list": [{"task": "extract"}, {"task": "extract", "outcome": True, "path": ".value[0]"}]},
    }
    assert shown["pair"]["after"] == ["count"]
    assert shown["echo"]["after"] == ["extract"]


def test_links_say_which_edges_pass_outcomes() -> None:
    plan = plan_of(pair(extract.outcome, [extract.out, extract.outcome]), echo(extract.outcome).after(extract))
    e, one, two = (plan.index[id] for id in ("extract", "pair", "echo"))
    assert set(plan.links()) == {
        Link(e, one, "x", outcome=True),
        Link(e, one, "y"),
        Link(e, two, "value", outcome=True),
        Link(e, two, ""),
    }


def test_slots_do_not_depend_on_the_order_of_definition() -> None:
    tasks = [extract(), other(), report(extract.outcome), summary([other.outcome])]
    one, two = (Workflow.builder("w").add_all(order).build(returns=report) for order in (tasks, tasks[::-1]))
    assert one.fingerprint == two.fingerprint
    assert one.compile().outcome_slots == two.compile().outcome_slots
    assert one.compile().to_json() == two.compile().to_json()


# --- other forms ---


def test_a_block_collects_the_upstream_of_an_outcome() -> None:
    with workflow("w") as wf:
        with workflow("inner"):
            inside = extract()
        report(inside.outcome)
        report.named("also")(inside.outcome).after(inside)
    plan = wf.workflow.compile()
    assert tolerated(plan) == {"report": {"inner/extract"}}
    assert plan.ids == ("also", "inner/extract", "report")


def test_included_and_renamed_workflows_keep_what_is_tolerated() -> None:
    both = [report(extract.outcome), echo(extract.outcome).after(extract)]
    gated = ((extract | other) >> (pair(extract.outcome, other.outcome) | count)).members
    inner = Workflow.of("inner", *both, *gated, returns=report)
    included = Workflow.builder("w").include(inner, prefix="p").build()
    as_task = Workflow.builder("w").add(inner.as_task("p")).build()
    assert tolerated(inner.compile()) == {"report": {"extract"}}
    for built in (included, inner.renamed("p"), as_task):
        assert tolerated(built.compile()) == {"p/report": {"p/extract"}}
        assert built._structure.also_after.keys() == {
            built._structure.index["p/echo"],
            built._structure.index["p/pair"],
        }
    assert "extract" in {edge.upstream.rpartition("/")[2] for edge in included.edges if edge.downstream == "p/echo"}


def test_the_outcome_of_a_nested_workflow() -> None:
    nested = Workflow.of("inner", extract, returns=extract).as_task("etl")
    plan = Workflow.of("w", report(nested.outcome), returns=report).compile()
    assert tolerated(plan) == {"report": {"etl"}}
    assert list(plan.outcome_slots) == [plan.index["etl"]]
    assert refusal(WiringError, size(typing.cast(Any, nested).outcome)).endswith("pass its result, etl.out")


def test_a_nested_workflow_that_is_given_a_part_of_an_outcome_needs_the_result() -> None:
    asked = Workflow.builder("inner", inputs=Asked).add(echo, inputs(Asked).n).build()
    make = Task("make", Asked)
    end: Any = make(n=3).outcome
    plan = Workflow.of("w", make(n=3), asked.as_task("sub")(end.value), returns=make).compile()
    assert tolerated(plan) == {}
    assert filled(plan, "sub/echo", make=Ok(Asked(n=3))) == ([3], {})


def test_inputs_may_have_a_field_called_outcome() -> None:
    class Ended(BaseModel):
        outcome: int

    built = Workflow.builder("w", inputs=Ended).add(echo, inputs(Ended).outcome).build()
    assert built.compile().outcome_slots == {}
    assert built.compile().to_dict()["tasks"][0]["inputs"] == {"value": {"input": "Ended", "path": ".outcome"}}


# --- pictures ---


def test_pictures_draw_it_dashed_and_say_outcome() -> None:
    built = Workflow.of("w", pair(extract.outcome, extract.out), report(extract.outcome).after(count), returns=pair)
    mermaid, dot = render(picture_of(built), "mermaid"), render(picture_of(built), "dot")
    assert '    t_extract -.->|"end · outcome"| t_report\n' in mermaid
    assert '    t_extract -.->|"x · outcome"| t_pair\n    t_extract -->|"y"| t_pair\n' in mermaid
    assert "    t_count -.-> t_report\n" in mermaid
    assert '"extract" -> "report" [label="end · outcome", style=dashed' in dot
    assert '"extract" -> "pair" [label="y"' in dot
    svg = render(picture_of(built), "svg")
    assert svg.count('class="gf-edge gf-outcome') == 2
    assert svg.count('class="gf-edge gf-order') == 1
    assert ">end · outcome</text>" in svg
    assert ">y</text>" in svg
    page = render(picture_of(built), "html")
    assert '<path class="gf-edge gf-outcome" d="M0 5H30"/></svg> outcome</li>' in page
    assert '<a href="#row-1">extract</a> (end · outcome)' in page


def test_picture_data_marks_them() -> None:
    built = Workflow.of("w", pair(extract.outcome, extract.out), returns=pair)
    assert to_data(picture_of(built))["edges"] == [
        {"from": 0, "to": 1, "parameter": "x", "outcome": True},
        {"from": 0, "to": 1, "parameter": "y"},
    ]


def test_one_line_stands_for_result_and_outcome_of_one_parameter() -> None:
    rest = Task("rest", lambda *all: 0)
    for reader in (rest(extract.out, extract.outcome), echo([extract.outcome, extract.out])):
        drawn = picture_of(Workflow.of("w", reader, returns=reader))
        assert drawn.outcomes == frozenset()
        assert "dash" not in render(drawn, "dot")


def test_folding_keeps_outcomes_apart() -> None:
    names = [PictureTask(f"{name}_{k}", f"{name}_{k}") for name in ("a", "b") for k in range(3)]
    ends = [(k, k + 3, "end") for k in range(3)]
    all_of_them = fold(Picture("p", tuple(names), tuple(ends), frozenset(ends)), 2).picture
    assert (all_of_them.edges, all_of_them.outcomes) == (((0, 1, "end"),), frozenset({(0, 1, "end")}))
    some = fold(Picture("p", tuple(names), tuple(ends), frozenset(ends[:2])), 2).picture
    assert (some.edges, some.outcomes) == (((0, 1, "end"),), frozenset())
    # all read one task: those that take its outcome are no block with those that take its result
    star = (PictureTask("a", "a"), *(PictureTask(name, name) for name in "wxyz"))
    lines = tuple((0, k, "end") for k in range(1, 5))
    assert fold(Picture("p", star, lines), 0, 2).blocks == {1}
    assert fold(Picture("p", star, lines, frozenset(lines[:2])), 0, 2).blocks == frozenset()
