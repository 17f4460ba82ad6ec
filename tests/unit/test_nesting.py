"""A workflow inside a workflow: as one task, included under a prefix, renamed, and as a block in a block."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from pydantic import BaseModel

from graflow import (
    Block,
    ConfigurationError,
    DefinitionError,
    DefinitionErrors,
    DuplicateTaskError,
    InvalidTaskIdError,
    LocalRunner,
    RunFailedError,
    Task,
    UnboundParameterError,
    UnknownTaskError,
    WiringError,
    Workflow,
    inputs,
    task,
    workflow,
)

INLINE = LocalRunner(executor="inline")


class Config(BaseModel, frozen=True):
    n: int = 1
    names: list[str] = []


class Outer(BaseModel, frozen=True):
    inner: Config
    path: Path = Path("p")


@task
def one() -> int:
    return 1


@task
def two() -> int:
    return 2


@task
def double(x: int) -> int:
    return 2 * x


@task
def minus(x: int, y: int) -> int:
    return x - y


@task
def echo(value: Any) -> Any:
    return value


@task
def configure() -> Config:
    return Config(n=5, names=["a", "b"])


def flat(prefix: str = "") -> Workflow[None, int]:
    """one -> double, two -> minus, returning x - y."""
    return Workflow.builder("flat").add(one).add(two).add(double, one.out).add(minus, double.out, two.out).build()


def configured() -> Workflow[Config, int]:
    src = inputs(Config)
    return Workflow.builder("configured", inputs=Config).add(double, src.n).add(minus, double.out, src.n).build()


def edges(built: Workflow[Any, Any]) -> set[tuple[str, str]]:
    return {(edge.upstream, edge.downstream) for edge in built.edges}


# --- as_task ---


def test_a_workflow_is_one_task_of_another() -> None:
    inner = flat().as_task("sub")
    assert inner.id == "sub"
    run = Workflow.builder("w").add(inner).then(echo).build().run(runner=INLINE)
    assert run.value == 0
    assert list(run.tasks) == ["sub/one", "sub/two", "sub/double", "sub/minus", "sub", "echo"]


def test_a_nested_workflow_can_be_called_as_a_function() -> None:
    assert flat().as_task("sub").fn() == 0
    assert configured().as_task("sub").fn(Config(n=4)) == 4


def test_a_nested_workflow_may_stand_there_twice() -> None:
    inner = flat()
    built = Workflow.builder("w").add(inner.as_task("a")).add(inner.as_task("b")).add(minus, 1, 2).build()
    assert len(built.tasks) == 11
    assert {"a/one", "b/one", "a", "b"} <= set(built.tasks)
    assert built.run(runner=INLINE)["b"] == 0


def test_a_nested_workflow_may_be_nested_again() -> None:
    middle = Workflow.builder("middle").add(flat().as_task("inner")).then(double).build()
    outer = Workflow.builder("outer").add(middle.as_task("middle")).add(middle.as_task("again")).build()
    run = outer.run(runner=INLINE)
    assert {"middle/inner/one", "middle/inner", "middle/double", "middle", "again/inner/one"} <= set(run.tasks)
    assert run.value == 0


def test_constants_reach_the_inner_tasks() -> None:
    sub = configured().as_task("sub")
    run = Workflow.builder("w").add(sub, Config(n=7)).build().run(runner=INLINE)
    assert (run.value, run["sub/double"]) == (7, 14)


def test_a_result_reaches_the_inner_tasks_as_inputs() -> None:
    sub = configured().as_task("sub")
    built = Workflow.builder("w").add(configure).add(sub, configure.out).build()
    assert built.run(runner=INLINE).value == 5
    assert ("configure", "sub/double") in edges(built)
    assert ("configure", "sub/minus") in edges(built)
    assert Workflow.of("w", configure >> sub, returns=sub).run(runner=INLINE).value == 5


def test_outer_inputs_reach_the_inner_tasks() -> None:
    sub = configured().as_task("sub")
    built = Workflow.builder("w", inputs=Outer).add(sub, inputs(Outer).inner).build()
    assert built.run(Outer(inner=Config(n=3)), runner=INLINE).value == 3
    same = Workflow.builder("w", inputs=Config).add(sub, inputs(Config)).build()
    assert same.run(Config(n=9), runner=INLINE).value == 9


def test_inner_tasks_may_take_the_inputs_whole_and_in_containers() -> None:
    src = inputs(Config)
    inner = Workflow.builder("inner", inputs=Config).add(echo, [src, {"n": src.n}, src.names[0]]).build()
    sub = inner.as_task("sub")
    given = Config(n=5, names=["a", "b"])
    for built in (
        Workflow.builder("w").add(sub, given).build(),
        Workflow.builder("w").add(configure).add(sub, configure.out).build(),
    ):
        assert built.run(runner=INLINE).value == [given, {"n": 5}, "a"]


def test_a_container_of_the_given_inputs_is_copied() -> None:
    src = inputs(Config)

    @task
    def spoils(names: list[str]) -> int:
        names.append("spoilt")
        return len(names)

    given = Config(names=["a"])
    inner = Workflow.builder("inner", inputs=Config).add(spoils, src.names).build()
    built = Workflow.builder("w").add(inner.as_task("sub"), given).build()
    assert [built.run(runner=INLINE).value for _ in range(2)] == [2, 2]
    assert given.names == ["a"]


def test_a_nested_workflow_needs_its_inputs() -> None:
    with pytest.raises(UnboundParameterError, match=r"parameter 'inputs: Config' of task 'sub' has no input"):
        Workflow.builder("w").add(configured().as_task("sub")).build()
    with pytest.raises(UnboundParameterError):
        Workflow.builder("w", inputs=Config).add(configured().as_task("sub")).build()


def test_a_nested_workflow_takes_its_own_model() -> None:
    with pytest.raises(DefinitionError) as caught:
        Workflow.builder("w").add(one).add(configured().as_task("sub"), one.out).build()
    errors = getattr(caught.value, "exceptions", (caught.value,))
    assert {type(error) for error in errors} == {WiringError}
    assert "'one' cannot feed parameter 'inputs' of task 'sub': int cannot feed Config" in str(errors[0])


def test_the_result_of_a_nested_workflow_has_its_type() -> None:
    with pytest.raises(WiringError, match=r"'sub' cannot feed parameter 'line' of task 'shout': int cannot feed str"):

        @task
        def shout(line: str) -> str:
            return line

        Workflow.builder("w").add(flat().as_task("sub")).then(shout).build()


def test_what_comes_before_a_nested_workflow_comes_before_its_roots() -> None:
    sub = flat().as_task("sub")
    first = echo(0)
    built = Workflow.builder("w").add(first).add(sub.after(first)).add(two.named("last")).order(sub, two.named("last"))
    found = edges(built.build())
    assert {("echo", "sub/one"), ("echo", "sub/two"), ("sub", "last")} <= found
    assert ("echo", "sub/double") not in found


def test_what_comes_after_a_nested_workflow_comes_after_all_of_it() -> None:
    done: list[str] = []
    side = Task("side", lambda: done.append("side"))
    inner = Workflow.builder("inner").add(side).add(one).build(returns=one)
    last = Task("last", lambda x: [*done, x])
    built = Workflow.builder("w").add(inner.as_task("sub")).then(last).build()
    assert built.run(runner=INLINE).value == ["side", 1]


def test_an_empty_nested_workflow_gives_nothing() -> None:
    empty = Workflow.builder("empty").build().as_task("sub")
    built = Workflow.builder("w").add(one).add(empty.after(one)).add(echo, empty.out).build()
    assert built.run(runner=INLINE).value is None
    assert edges(built) == {("one", "sub"), ("sub", "echo")}


def test_a_nested_workflow_is_a_value() -> None:
    inner = flat()
    assert inner.as_task("a") == inner.as_task("a")
    assert inner.as_task("a").named("b") == inner.as_task("b")
    assert (
        Workflow.builder("w").add(inner.as_task("a").named("b")).build()
        == Workflow.builder("w").add(inner.as_task("b")).build()
    )


def test_nested_workflows_fail_as_their_tasks_do() -> None:
    @task
    def breaks() -> int:
        raise KeyError("broken")

    inner = Workflow.of("inner", breaks, returns=breaks)
    built = Workflow.builder("w").add(inner.as_task("sub")).then(double).build()
    with pytest.raises(RunFailedError) as caught:
        built.run(runner=INLINE)
    assert list(caught.value.failures) == ["sub/breaks"]
    assert isinstance(caught.value.__cause__, KeyError)
    run = built.run(runner=INLINE, check=False)
    assert [run.tasks[id].state for id in ("sub", "double")] == ["skipped", "skipped"]


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_nested_workflows_run_everywhere(executor: Any) -> None:
    built = Workflow.builder("w").add(configured().as_task("a"), Config(n=3)).then(double).build()
    assert built.run(runner=LocalRunner(executor, 2)).value == 6


def test_an_inner_task_may_be_started_from() -> None:
    sub = flat().as_task("sub")
    with workflow("w") as wf:
        sub >> echo
        two()
    run = wf.execute(start_node="sub/two", runner=INLINE)
    assert set(run.tasks) == {"sub/one", "sub/two", "sub/double", "sub/minus", "sub", "echo"}
    assert run["echo"] == 0


def test_a_workflow_with_a_nested_one_survives_a_trip() -> None:
    built = Workflow.builder("w").add(configured().as_task("sub"), Config(n=3)).then(double).build()
    there: Workflow[None, int] = cloudpickle.loads(cloudpickle.dumps(built))
    assert list(there.tasks) == list(built.tasks)
    assert there.edges == built.edges
    assert there.run(runner=INLINE).value == 6


def test_the_id_of_a_nested_workflow_is_checked() -> None:
    with pytest.raises(InvalidTaskIdError):
        Workflow.builder("w").add(flat().as_task("a/b")).build()


def test_a_workflow_built_in_a_block_is_no_part_of_it_before_it_is_used() -> None:
    with workflow("w") as wf:
        inner = Workflow.builder("inner").add(double, 3).then(double.named("again")).build()
        inner.as_task("sub") >> echo
    assert set(wf.workflow.tasks) == {"sub/double", "sub/again", "sub", "echo"}


# --- include ---


def test_include_with_two_prefixes() -> None:
    inner = flat()
    built = Workflow.builder("w").include(inner, prefix="a").include(inner, prefix="b").build()
    assert set(built.tasks) == {f"{p}/{id}" for p in "ab" for id in inner.tasks}
    run = built.run(runner=INLINE)
    assert (run["a/minus"], run["b/minus"]) == (0, 0)


def test_one_prefix_twice_is_a_duplicate() -> None:
    inner = flat()
    with pytest.raises(DefinitionErrors) as caught:
        Workflow.builder("w").include(inner, prefix="a").include(inner, prefix="a").build()
    assert [type(error) for error in caught.value.exceptions] == [DuplicateTaskError] * 4
    single = Workflow.of("single", one, returns=one)
    with pytest.raises(DuplicateTaskError, match=r"^task 'a/one' is in workflow 'w' twice"):
        Workflow.builder("w").include(single, prefix="a").add(single.as_task("a")).build()


def test_included_tasks_are_wired_by_their_renamed_workflow() -> None:
    inner = flat()
    renamed = inner.renamed("a")
    built = Workflow.builder("w").include(inner, prefix="a").add(echo, renamed.tasks["a/double"].out).build()
    assert built.run(runner=INLINE).value == 2
    assert ("a/double", "echo") in edges(built)


@pytest.mark.parametrize("given", [Config(n=4), configure.out], ids=["constant", "result"])
def test_included_tasks_with_inputs_are_wired_by_their_renamed_workflow(given: Any) -> None:
    inner = configured()
    builder = Workflow.builder("w").add(configure).include(inner, given, prefix="a")
    for id in ("a/double", "a/minus"):
        assert builder.add(echo, inner.renamed("a").tasks[id].out).build().run(runner=INLINE)["echo"] in (4, 5, 8, 10)


def test_include_gives_inputs() -> None:
    inner = configured()
    assert Workflow.builder("w").include(inner, Config(n=6), prefix="a").build().run(runner=INLINE).value == 6
    built = Workflow.builder("w").add(configure).include(inner, configure.out, prefix="a").build()
    assert built.run(runner=INLINE).value == 5
    outer = Workflow.builder("w", inputs=Outer).include(inner, inputs(Outer).inner, prefix="a").build()
    assert outer.run(Outer(inner=Config(n=8)), runner=INLINE).value == 8


def test_include_asks_for_inputs() -> None:
    with pytest.raises(WiringError) as caught:
        Workflow.builder("w").include(configured(), prefix="a")  # type: ignore[call-overload]
    assert str(caught.value) == "workflow 'configured' takes Config; give it: .include(..., inputs, prefix='a')"


def test_included_workflows_may_hold_nested_ones() -> None:
    middle = Workflow.builder("middle").add(flat().as_task("inner")).build()
    built = Workflow.builder("w").include(middle, prefix="a").build()
    assert {"a/inner/one", "a/inner"} <= set(built.tasks)
    assert built.run(runner=INLINE).value == 0


def test_order_may_name_included_tasks() -> None:
    inner = Workflow.of("inner", one, returns=one)
    renamed = inner.renamed("a").tasks["a/one"]
    built = Workflow.builder("w").include(inner, prefix="a").add(two).order(two, renamed).build()
    assert edges(built) == {("two", "a/one")}


# --- renamed ---


def test_renamed_puts_a_prefix_before_every_id() -> None:
    inner = flat()
    renamed = inner.renamed("p")
    assert set(renamed.tasks) == {f"p/{id}" for id in inner.tasks}
    assert edges(renamed) == {(f"p/{u}", f"p/{d}") for u, d in edges(inner)}
    assert (renamed.name, renamed.returns) == (inner.name, "p/minus")
    assert renamed.run(runner=INLINE).value == 0
    assert set(inner.tasks) == {"one", "two", "double", "minus"}


def test_renamed_twice_and_with_inputs() -> None:
    twice = configured().renamed("a").renamed("b")
    assert set(twice.tasks) == {"b/a/double", "b/a/minus"}
    assert twice.inputs is Config
    assert twice.run(Config(n=2), runner=INLINE).value == 2
    assert configured().renamed("a") == configured().renamed("a")


@pytest.mark.parametrize("prefix", ["", "a/b", "-a", "a b"])
def test_a_prefix_is_one_legal_id(prefix: str) -> None:
    with pytest.raises(InvalidTaskIdError):
        flat().renamed(prefix)


def test_renamed_keeps_gates() -> None:
    group = (one | two) >> (echo(1) | double(1))
    built = Workflow.of("w", *group.members, returns=group.members[0])
    assert edges(built.renamed("p")) == {(f"p/{u}", f"p/{d}") for u, d in edges(built)}
    assert len(list(built.renamed("p").compile().links())) == 4


# --- blocks in blocks ---


def test_a_nested_block_has_an_id_scope_of_its_own() -> None:
    with workflow("w") as wf:
        one()
        with workflow("validation"):
            one()
            two()
            with workflow("deeper"):
                one()
    assert set(wf.workflow.tasks) == {"one", "validation/one", "validation/two", "validation/deeper/one"}


def test_a_nested_block_has_no_workflow_of_its_own() -> None:
    with workflow("w") as wf:
        with workflow("inner") as inner:
            one()
    for use in (lambda: inner.workflow, lambda: inner.execute(runner=INLINE)):
        with pytest.raises(ConfigurationError, match=r"^block 'inner' (has no workflow: it )?is part of "):
            use()
    assert wf.execute(runner=INLINE).value == 1


def test_a_nested_block_takes_no_inputs() -> None:
    with workflow("w"):
        one()
        with pytest.raises(ConfigurationError, match=r"^the nested block 'inner' cannot take inputs of its own; "):
            workflow("inner", inputs=Config).__enter__()


def test_two_nested_blocks_of_one_name_are_refused() -> None:
    with pytest.raises(DuplicateTaskError) as caught:
        with workflow("w"):
            with workflow("inner"):
                one()
            with workflow("inner"):
                two()
    assert str(caught.value) == "two blocks inside 'w' are called 'inner'; rename one of them"


def test_blocks_of_one_name_in_different_blocks_are_fine() -> None:
    with workflow("w") as wf:
        for name in "ab":
            with workflow(name):
                with workflow("inner"):
                    one()
    assert set(wf.workflow.tasks) == {"a/inner/one", "b/inner/one"}


def test_a_reference_looks_in_its_own_block_first() -> None:
    with workflow("w") as wf:
        one()
        with workflow("inner"):
            one()
            echo(one.out)
    assert edges(wf.workflow) == {("inner/one", "inner/echo")}


@pytest.mark.parametrize(
    "refer",
    [lambda: echo(one.out), lambda: echo([one.out]), lambda: echo(1).after(one), lambda: one >> echo],
    ids=["data", "in list", "after", "feed"],
)
def test_a_reference_looks_in_the_enclosing_blocks_then(refer: Callable[[], object]) -> None:
    with workflow("w") as wf:
        one()
        with workflow("inner"):
            with workflow("deeper"):
                refer()
    assert edges(wf.workflow) == {("one", "inner/deeper/echo")}
    assert set(wf.workflow.tasks) == {"one", "inner/deeper/echo"}


def test_a_reference_never_looks_in_siblings() -> None:
    with pytest.raises(UnknownTaskError) as caught:
        with workflow("w"):
            with workflow("first"):

                @task
                def hidden() -> int:
                    return 1

            with workflow("second"):
                echo(hidden.out)
    assert "'second/echo'" in str(caught.value)
    assert "'hidden'" in str(caught.value)


def test_a_task_from_outside_is_collected_into_each_block_that_mentions_it() -> None:
    with workflow("w") as wf:
        for name in "ab":
            with workflow(name):
                echo(one.out)
    assert set(wf.workflow.tasks) == {"a/one", "a/echo", "b/one", "b/echo"}


@pytest.mark.parametrize(
    "join",
    [
        lambda inner, outer: outer(inner.out), lambda inner, outer: inner >> outer,
        lambda inner, outer: outer(1).after(inner), lambda inner, outer: inner >> outer(1),
        lambda inner, outer: outer([inner.out]), lambda inner, outer: (inner | two) >> minus,
    ],
    ids=["data", "feed", "after", "order", "in list", "group"],
)  # fmt: skip
def test_a_task_of_a_nested_block_can_be_used_around_it_and_stays_one_task(join: Callable[..., Any]) -> None:
    runs = []
    with workflow("w") as wf:
        with workflow("inner"):

            @task
            def source() -> int:
                runs.append(1)
                return 3

        join(source, echo)
    assert "source" not in wf.workflow.tasks
    assert [edge.upstream for edge in wf.workflow.edges if edge.downstream in ("echo", "minus")][0] == "inner/source"  # noqa: RUF015
    wf.execute(runner=INLINE)
    assert runs == [1]


def test_wiring_from_outside_into_a_nested_block_is_no_template() -> None:
    with workflow("w") as wf:
        with workflow("inner"):

            @task
            def sink(x: int) -> int:
                return x

        one >> sink
    assert wf.execute(runner=INLINE).value == 1


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_get_result_by_the_handle_of_a_nested_block(executor: Any) -> None:
    with workflow("w") as wf:
        with workflow("inner") as inner:
            one()

            @task
            def reads() -> int:
                return int(inner.get_result("one")) + int(inner.get_result(one))

            one >> reads

            @task
            def outer_handle() -> int:
                return int(wf.get_result("inner/one"))

            one >> outer_handle
    assert wf.execute(runner=LocalRunner(executor, 2)).value == 1
    assert wf.get_result("inner/reads") == inner.get_result("reads") == 2


def test_get_result_looks_in_the_enclosing_blocks_too() -> None:
    with workflow("w") as wf:
        one()
        with workflow("inner") as inner:

            @task
            def reads() -> int:
                return int(inner.get_result(one))

            one >> reads
    assert wf.execute(runner=INLINE)["inner/reads"] == 1


# --- blocks in >> and | ---


def two_tasks(name: str) -> Block:
    """A nested block with one root and one leaf."""
    with workflow(name) as block:
        one.named("first") >> two.named("last")
    return block


def test_a_block_is_ordered_by_its_roots_and_leaves() -> None:
    with workflow("w") as wf:
        a, b = two_tasks("a"), two_tasks("b")
        one >> a >> b >> two
    assert edges(wf.workflow) == {
        ("one", "a/first"), ("a/first", "a/last"), ("a/last", "b/first"), ("b/first", "b/last"), ("b/last", "two")
    }  # fmt: skip


def test_all_roots_and_all_leaves() -> None:
    with workflow("w") as wf:
        with workflow("a") as a:
            (one | two) >> minus
            echo(1)
        one.named("before") >> a >> one.named("after")
    before = {(u, d) for u, d in edges(wf.workflow) if u == "before"}
    after = {(u, d) for u, d in edges(wf.workflow) if d == "after"}
    assert before == {("before", "a/one"), ("before", "a/two"), ("before", "a/echo")}
    assert after == {("a/minus", "after"), ("a/echo", "after")}


def test_blocks_and_tasks_stand_side_by_side() -> None:
    with workflow("w") as wf:
        a, b = two_tasks("a"), two_tasks("b")
        (a | one) >> (b | two)
    between = {(u, d) for u, d in edges(wf.workflow) if u.split("/")[0] != d.split("/")[0]}
    assert between == {("a/last", "b/first"), ("a/last", "two"), ("one", "b/first"), ("one", "two")}


def test_a_block_beside_a_block_before_a_task() -> None:
    with workflow("w") as wf:
        a, b = two_tasks("a"), two_tasks("b")
        (a | b) >> one
    assert {(u, d) for u, d in edges(wf.workflow) if d == "one"} == {("a/last", "one"), ("b/last", "one")}


def test_large_blocks_are_ordered_through_a_gate() -> None:
    with workflow("w") as wf:
        blocks = []
        for name in "ab":
            with workflow(name) as block:
                for k in range(100):
                    echo(k).named(f"t{k}")
            blocks.append(block)
        blocks[0] >> blocks[1]
    assert len(list(wf.workflow.compile().links())) == 200
    assert len(wf.workflow.edges) == 10_000


def test_inner_orders_decide_where_a_block_begins() -> None:
    with workflow("w") as wf:
        with workflow("a") as a:
            with workflow("x") as x:
                one()
            with workflow("y") as y:
                two()
            x >> y
        echo(1) >> a
        a >> double(1)
    assert edges(wf.workflow) == {("echo", "a/x/one"), ("a/x/one", "a/y/two"), ("a/y/two", "double")}


def test_an_order_in_a_nested_block_may_name_a_task_around_it() -> None:
    with workflow("w") as wf:
        first = one.named("first")()
        with workflow("outer"):
            with workflow("inner") as inner:
                two()
            first >> inner
            inner >> echo(1)
    assert edges(wf.workflow) == {("first", "outer/inner/two"), ("outer/inner/two", "outer/echo")}


def test_the_order_of_a_renamed_or_bound_task_holds() -> None:
    with workflow("w") as wf:
        with workflow("a") as a:
            one()
        late = echo.named("late")(5)
        late >> a
    assert edges(wf.workflow) == {("late", "a/one")}


def empty(name: str) -> Block:
    with workflow(name) as block:
        pass
    return block


def hollow(name: str) -> Block:
    """A block with nothing but empty blocks in it."""
    with workflow(name) as block:
        empty("x")
        empty("y")
    return block


@pytest.mark.parametrize("make", [empty, hollow], ids=["empty", "hollow"])
def test_an_order_goes_through_an_empty_block(make: Callable[[str], Block]) -> None:
    with workflow("w") as wf:
        nothing, again = make("nothing"), make("again")
        one >> nothing >> again >> two
    assert edges(wf.workflow) == {("one", "two")}


def test_an_empty_block_beside_others() -> None:
    with workflow("w") as wf:
        nothing = empty("nothing")
        one >> (nothing | echo(1)) >> two
    assert edges(wf.workflow) == {("one", "two"), ("one", "echo"), ("echo", "two")}


def test_an_order_goes_through_a_thousand_empty_blocks() -> None:
    with workflow("w") as wf:
        last: Any = one
        for k in range(1_000):
            last = last >> empty(f"empty_{k}")
        last >> two
    assert edges(wf.workflow) == {("one", "two")}


def test_an_empty_block_at_the_ends_orders_nothing() -> None:
    with workflow("w") as wf:
        nothing = empty("nothing")
        nothing >> one
        two >> empty("other")
        nothing >> nothing
    assert wf.workflow.edges == ()
    assert set(wf.workflow.tasks) == {"one", "two"}


def test_a_block_of_empty_blocks_is_an_empty_workflow() -> None:
    with workflow("w") as wf:
        hollow("a") >> hollow("b")
    assert dict(wf.workflow.tasks) == {}


def test_a_block_that_was_not_opened_here_is_refused() -> None:
    with workflow("other") as other:
        one()
    with workflow("w"):
        two()
        with pytest.raises(
            ConfigurationError, match=r"^block 'other' is ordered in 'w', but was not opened inside it$"
        ):
            two >> other


def test_a_failed_nested_block_is_not_masked() -> None:
    with pytest.raises(KeyError, match="mine"):
        with workflow("w"):
            with workflow("inner"):
                double(1)
                double(2)
                raise KeyError("mine")


def test_errors_of_nested_blocks_come_at_the_exit_of_the_outermost() -> None:
    reached = False
    with pytest.raises(DuplicateTaskError, match="'inner'"):
        with workflow("w"):
            with workflow("inner"):
                double(1)
                double(2)
            reached = True
    assert reached


def test_the_value_of_nested_blocks_is_that_of_the_task_added_last() -> None:
    with workflow("w") as wf:
        one()
        with workflow("inner"):
            two()
    assert wf.workflow.returns == "inner/two"
    assert wf.execute(runner=INLINE).value == 2


def test_a_block_equals_the_builder_that_says_the_same() -> None:
    part = Workflow.of("part", one, two.after(one), returns=two.after(one))
    with workflow("w") as wf:
        with workflow("part"):
            one >> two
        echo(5)
    assert wf.workflow == Workflow.builder("w").include(part, prefix="part").add(echo, 5).build()


def test_a_nested_block_may_order_many_after_many() -> None:
    with workflow("w") as wf, workflow("inner"):
        (one.named("a") | one.named("b")) >> (one.named("c") | one.named("d"))
    assert [(edge.upstream, edge.downstream) for edge in wf.workflow.edges] == [
        ("inner/a", "inner/c"), ("inner/b", "inner/c"), ("inner/a", "inner/d"), ("inner/b", "inner/d"),
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [{"n": 3}, 3], ids=["dict", "number"])
def test_constant_inputs_of_a_nested_workflow_are_its_model(wrong: Any) -> None:
    with pytest.raises(WiringError, match=r"takes Config, not "):
        Workflow.builder("w").add(configured().as_task("sub"), wrong).build()
    with pytest.raises(WiringError, match=r"takes Config, not "):
        Workflow.builder("w").include(configured(), wrong, prefix="p")
