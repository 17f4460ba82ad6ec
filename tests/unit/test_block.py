"""The block form: what is recorded, what is frozen at the exit, and how tasks read results of their upstreams."""

import asyncio
import threading
import warnings
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest
from pydantic import BaseModel

from graflow import (
    Block,
    ConfigurationError,
    CycleError,
    DefinitionError,
    DefinitionErrors,
    DuplicateTaskError,
    Edge,
    InvalidTaskIdError,
    LocalRunner,
    QueueBackend,
    ResultUnavailableError,
    RunFailedError,
    RunState,
    Task,
    TemplateWarning,
    UnboundParameterError,
    UnknownTaskError,
    WiringError,
    Workflow,
    inputs,
    task,
    workflow,
)

INLINE = LocalRunner(executor="inline")
RUNNERS = {
    "inline": INLINE,
    "threads": LocalRunner(executor="threads", max_workers=2),
    "processes": LocalRunner(executor="processes", max_workers=2),
}


class Sales(BaseModel, frozen=True):
    top: int = 3


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


def edges(wf: Block) -> set[tuple[str, str]]:
    return {(edge.upstream, edge.downstream) for edge in wf.workflow.edges}


def ids(wf: Block) -> set[str]:
    return set(wf.workflow.tasks)


# --- what is recorded ---


def test_a_block_records_what_is_defined_made_called_and_joined() -> None:
    def factory() -> Task[[], int]:
        @task(id="made")
        def make() -> int:
            return 1

        return make

    with workflow("w") as wf:

        @task
        def defined() -> int:
            return 1

        Task("constructed", lambda: 1)
        factory()
        double(2)
        one >> two
        echo.named("left")(1) | echo.named("right")(2)
    assert ids(wf) == {"defined", "constructed", "made", "double", "one", "two", "left", "right"}


def test_what_is_outside_and_not_mentioned_is_not_recorded() -> None:
    with workflow("w") as wf:
        one()
    double(3)
    assert ids(wf) == {"one"}


def test_what_is_referenced_is_collected() -> None:
    with workflow("w") as wf:
        echo([one.out, {"a": double(two.out).out}])
    assert ids(wf) == {"echo", "one", "double", "two"}
    assert wf.execute(runner=INLINE).value == [1, {"a": 4}]


def test_after_is_recorded() -> None:
    with workflow("w") as wf:
        one.after(two)
    assert edges(wf) == {("two", "one")}


def test_edges_and_inputs_of_one_task_add_up() -> None:
    with workflow("w") as wf:
        late = double.named("late")(1)
        one >> minus
        minus(y=two.out)
        late >> minus(y=two.out, x=one.out)
    assert edges(wf) == {("one", "minus"), ("two", "minus"), ("late", "minus")}
    assert [(edge.upstream, edge.data) for edge in wf.workflow.edges] == [("one", True), ("two", True), ("late", False)]
    assert wf.execute(runner=INLINE)[minus] == -1


def test_a_definition_and_what_is_made_of_it_are_one_task() -> None:
    with workflow("w") as wf:

        @task
        def extract() -> int:
            return 5

        @task
        def clean(rows: int) -> int:
            return rows + 1

        extract >> clean
        clean(rows=extract.out)
        echo(clean.out)
    assert ids(wf) == {"extract", "clean", "echo"}
    assert wf.execute(runner=INLINE).value == 6


def test_calling_twice_with_one_input_is_one_task() -> None:
    with workflow("w") as wf:
        double(1)
        double(x=1)
    assert ids(wf) == {"double"}


@pytest.mark.parametrize(("x", "y"), [(1, 2), (1, True), (1, 1.0), ([1], [True]), (None, 0)])
def test_contradicting_inputs_are_refused(x: Any, y: Any) -> None:
    with pytest.raises(DuplicateTaskError) as caught:
        with workflow("w"):
            double(x)
            double(y)
    assert str(caught.value).startswith("parameter 'x' of task 'double' is fed twice in workflow 'w': ")


def test_feeding_a_parameter_twice_is_refused_with_the_cure() -> None:
    with pytest.raises(DuplicateTaskError) as caught:
        with workflow("w"):
            one >> double
            two >> double
    assert str(caught.value) == (
        "parameter 'x' of task 'double' is fed twice in workflow 'w': one.out and two.out; to give each result a "
        "parameter of its own write (a | b) >> double"
    )


def test_the_cure_works() -> None:
    with workflow("w") as wf:
        (two | one) >> minus
    assert wf.execute(runner=INLINE).value == 1


def test_the_same_join_twice_is_one_edge() -> None:
    with workflow("w") as wf:
        one >> two
        one >> two
    assert wf.workflow.edges == (Edge("one", "two", False),)


def test_contradicting_policies_are_refused() -> None:
    with pytest.raises(DuplicateTaskError) as caught:
        with workflow("w") as wf:
            wf.add(one.with_policy(queue="io"))
            wf.add(one.with_policy(queue="cpu"))
    assert "task 'one' is in workflow 'w' with different policies" in str(caught.value)


def test_contradicting_extra_inputs_are_refused() -> None:
    many = Task("many", lambda *parts, **named: parts)
    with pytest.raises(DuplicateTaskError):
        with workflow("w"):
            many(1)
            many(2)


def test_a_function_of_another_task_under_the_same_id_is_refused() -> None:
    with pytest.raises(DuplicateTaskError, match=r"^two tasks of workflow 'w' have the id 'one': one defined at "):
        with workflow("w"):
            one >> double.named("x")
            two.named("one") >> double.named("y")


# --- templates ---


def test_a_definition_that_nothing_uses_is_a_template_and_a_warning() -> None:
    unused = Task("unused", lambda x: x)

    def write() -> Block:
        with workflow("w") as wf:
            one()
            Task("unused", unused.fn)
        return wf

    with pytest.warns(TemplateWarning) as caught:
        wf = write()
    assert ids(wf) == {"one"}
    line = unused.fn.__code__.co_firstlineno
    assert len(caught) == 1
    assert str(caught[0].message) == (
        f"task 'unused' ({__file__}:{line}) in block 'w' has parameters without inputs, and nothing was made from it, "
        f"so it will not run; call it, wire it, or remove it"
    )
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "use",
    [
        lambda t: t(1), lambda t: t.named("other")(1), lambda t: t(1).named("other"), lambda t: one >> t,
        lambda t: t(one.out), lambda t: [t(k).named(f"t{k}") for k in range(3)], lambda t: t.with_policy(queue="io")(1),
    ],
    ids=range(7),
)  # fmt: skip
def test_a_template_that_is_used_gives_no_warning(use: Callable[[Any], object]) -> None:
    with workflow("w") as wf:

        @task
        def template(x: int) -> int:
            return x

        use(template)
    wf.execute(runner=INLINE)


def test_the_template_itself_is_not_recorded() -> None:
    with workflow("w") as wf:

        @task
        def process(i: int) -> int:
            return i

        for i in range(3):
            process(i).named(f"batch_{i}")
    assert ids(wf) == {"batch_0", "batch_1", "batch_2"}


def test_a_definition_without_required_parameters_is_no_template() -> None:
    with workflow("w") as wf:

        @task
        def ready(x: int = 1, *more: int) -> int:
            return x

    assert ids(wf) == {"ready"}


@pytest.mark.parametrize("use", [lambda t: t >> two, lambda t: t | two, lambda t: echo(t.out), lambda t: two.after(t)])
def test_a_definition_that_is_wired_or_referenced_needs_its_inputs(use: Callable[[Any], object]) -> None:
    with pytest.raises(UnboundParameterError, match="of task 'template'"):
        with workflow("w"):

            @task
            def template(x: int) -> int:
                return x

            use(template)


def test_a_called_task_needs_all_its_inputs() -> None:
    with pytest.raises(UnboundParameterError, match=r"parameter 'y: int' of task 'minus' has no input"):
        with workflow("w"):
            minus(1)


def test_a_class_with_task_methods_may_be_defined_in_a_block() -> None:
    with workflow("w") as wf:

        class Scaled:
            def __init__(self, n: int) -> None:
                self.n = n

            @task
            def execute(self) -> int:
                return self.n

        for n in (1, 2):
            Scaled(n).execute().named(f"execute_{n}")
    assert ids(wf) == {"execute_1", "execute_2"}


# --- renaming ---


def test_renaming_supersedes() -> None:
    with workflow("w") as wf:
        one().named("first").named("second")
    assert ids(wf) == {"second"}


@pytest.mark.parametrize(
    "use",
    [
        lambda t: t >> two, lambda t: two >> t, lambda t: t | two, lambda t: echo(t.out), lambda t: echo([t.out]),
        lambda t: two.after(t),
    ],
    ids=range(6),
)  # fmt: skip
@pytest.mark.parametrize("order", ["use first", "rename first"])
def test_what_was_wired_or_referenced_stays(use: Callable[[Any], object], order: str) -> None:
    with workflow("w") as wf:
        old = one()
        if order == "use first":
            use(old)
            old.named("renamed")
        else:
            old.named("renamed")
            use(old)
    assert {"one", "renamed"} <= ids(wf)


def test_a_placeholder_that_was_passed_to_nothing_is_no_reference() -> None:
    with workflow("w") as wf:
        old = one()
        _ = old.out
        old.named("renamed")
    assert ids(wf) == {"renamed"}


def test_add_keeps_both() -> None:
    with workflow("w") as wf:
        old = wf.add(one())
        old.named("renamed")
    assert ids(wf) == {"one", "renamed"}


def test_add_afterwards_keeps_both_too() -> None:
    with workflow("w") as wf:
        old = one()
        old.named("renamed")
        assert wf.add(old) is old
    assert ids(wf) == {"one", "renamed"}


def test_a_policy_supersedes_what_it_was_taken_from() -> None:
    with workflow("w") as wf:
        one().with_policy(queue="io")
    assert wf.workflow.tasks["one"].policy.queue == "io"


def test_renaming_before_the_call_and_after_it_say_the_same() -> None:
    with workflow("w") as before:
        double.named("x")(1)
    with workflow("w") as after:
        double(1).named("x")
    assert before.workflow == after.workflow


def test_renaming_what_was_defined_in_the_block() -> None:
    with workflow("w") as wf:

        @task
        def original() -> int:
            return 1

        original.named("copy")
    assert ids(wf) == {"copy"}


# --- the same as the other forms ---


def test_every_form_gives_an_equal_workflow() -> None:
    with workflow("same") as wf:
        doubled = one >> double
        doubled >> echo
        two.after(doubled)
        final = minus(echo.out, y=two.out)
    block = wf.workflow
    of = Workflow.of(
        "same", minus(y=two.out, x=echo.out), one >> double, double >> echo, two.after(double), returns=final
    )
    built = (
        Workflow.builder("same")
        .add(minus, echo.out, y=two.out)
        .add(two)
        .add(echo, value=double.out)
        .add(double, one.out)
        .add(one)
        .order(double, two)
        .build(returns=minus)
    )
    assert block == of == built
    assert hash(block) == hash(of) == hash(built)
    assert block.fingerprint == of.fingerprint == built.fingerprint
    assert block.compile().to_json() == of.compile().to_json() == built.compile().to_json()


def test_the_value_is_that_of_the_task_added_last() -> None:
    with workflow("w") as wf:
        one()
        two()
    assert wf.execute(runner=INLINE).value == 2
    with workflow("w") as wf:
        (one | two) >> minus
        echo(7)
    assert wf.execute(runner=INLINE).value == 7


def test_a_block_may_take_inputs() -> None:
    with workflow("w", inputs=Sales) as wf:
        echo(inputs(Sales).top)
    assert wf.execute(inputs=Sales(top=5), runner=INLINE).value == 5
    assert wf.workflow.inputs is Sales
    with pytest.raises(ConfigurationError):
        wf.execute(runner=INLINE)


def test_inputs_that_were_not_declared_are_refused() -> None:
    with pytest.raises(WiringError, match="takes no inputs"):
        with workflow("w"):
            echo(inputs(Sales).top)


def test_an_empty_block_is_a_workflow() -> None:
    with workflow("w") as wf:
        pass
    assert dict(wf.workflow.tasks) == {}
    run = wf.execute(runner=INLINE)
    assert (run.value, run.state, dict(run.tasks)) == (None, RunState.SUCCEEDED, {})
    assert wf.workflow == Workflow.builder("w").build()


# --- opening and closing ---


def test_a_block_is_opened_once() -> None:
    with workflow("w") as wf:
        with pytest.raises(ConfigurationError, match=r"^block 'w' was opened before; make a new one with workflow"):
            wf.__enter__()
    with pytest.raises(ConfigurationError, match="was opened before"):
        wf.__enter__()


@pytest.mark.parametrize("name", ["", " ", None, 3])
def test_a_block_needs_a_name(name: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^a workflow needs a name, not "):
        workflow(name)


def test_the_workflow_is_there_when_the_block_has_ended() -> None:
    with workflow("w") as wf:
        with pytest.raises(ConfigurationError, match=r"^block 'w' has no workflow: it is still open; "):
            wf.workflow
        one()
    assert isinstance(wf.workflow, Workflow)
    assert wf.workflow is wf.workflow
    assert wf.workflow.name == wf.name == "w"


def test_errors_are_raised_at_the_exit() -> None:
    reached = False
    with pytest.raises(DefinitionErrors) as caught:
        with workflow("w"):
            double(1)
            double(2)
            echo(1)
            echo(2)
            reached = True
    assert reached
    assert [type(error) for error in caught.value.exceptions] == [DuplicateTaskError] * 2


def test_an_exception_of_the_body_is_not_masked() -> None:
    with pytest.raises(KeyError, match="mine") as caught:
        with workflow("w") as wf:
            double(1)
            double(2)
            minus(1)
            raise KeyError("mine")
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    with pytest.raises(ConfigurationError, match=r"it ended with an error$"):
        wf.workflow


def test_a_block_that_failed_leaves_nothing_open() -> None:
    with pytest.raises(KeyError):
        with workflow("w"):
            with workflow("inner"):
                raise KeyError
    with workflow("next") as wf:
        one()
    assert ids(wf) == {"one"}
    with pytest.raises(DefinitionError):
        with workflow("w"):
            minus(1)
    with workflow("after") as wf:
        two()
    assert ids(wf) == {"two"}


def test_adding_to_a_closed_block_is_refused() -> None:
    with workflow("w") as wf:
        one()
    with pytest.raises(ConfigurationError, match=r"^block 'w' is closed; add task 'two' inside its `with` statement$"):
        wf.add(two)


def test_add_takes_tasks() -> None:
    with workflow("w") as wf:
        for what in (3, one | two, one.fn, None):
            with pytest.raises(ConfigurationError, match=r"^block 'w' takes tasks, not "):
                wf.add(what)  # type: ignore[arg-type]
        one()


def test_threads_do_not_see_each_others_blocks() -> None:
    start = threading.Barrier(4)
    blocks: dict[int, Block] = {}

    def body(n: int) -> None:
        with workflow(f"w{n}") as wf:
            start.wait(10)
            for k in range(50):
                echo(k).named(f"t{n}_{k}")
            start.wait(10)
        blocks[n] = wf

    threads = [threading.Thread(target=body, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for n in range(4):
        assert ids(blocks[n]) == {f"t{n}_{k}" for k in range(50)}


def test_a_thread_started_in_a_block_records_nothing() -> None:
    with workflow("w") as wf:
        one()
        thread = threading.Thread(target=lambda: echo(1))
        thread.start()
        thread.join(10)
    assert ids(wf) == {"one"}


def test_coroutines_do_not_see_each_others_blocks() -> None:
    async def body(n: int) -> set[str]:
        with workflow(f"w{n}") as wf:
            for k in range(5):
                echo(k).named(f"t{n}_{k}")
                await asyncio.sleep(0)
        return ids(wf)

    async def all_of_them() -> list[set[str]]:
        return await asyncio.gather(*(body(n) for n in range(3)))

    assert asyncio.run(all_of_them()) == [{f"t{n}_{k}" for k in range(5)} for n in range(3)]


@pytest.mark.parametrize("how", ["inline", "threads"])
def test_no_block_is_open_while_a_task_runs(how: str) -> None:
    @task
    def makes_tasks() -> int:
        double(1)
        one >> two
        with workflow("inside") as inside:
            echo(5)
        return int(inside.execute(runner=INLINE).value)

    @task
    async def makes_tasks_too() -> int:
        double(2)
        return 0

    with workflow("w") as wf:
        makes_tasks()
        makes_tasks_too()
        run = wf.execute(runner=RUNNERS[how])
    assert run[makes_tasks] == 5
    assert ids(wf) == {"makes_tasks", "makes_tasks_too"}


# --- executing ---


def test_everything_runs_whatever_the_number_of_roots() -> None:
    seen = []

    def mark(name: str) -> Task[[], None]:
        return Task(name, lambda: seen.append(name))

    with workflow("w") as wf:
        a, b, c, d, e = (mark(name) for name in "abcde")
        a >> b
        (c | d) >> e
    run = wf.execute(runner=INLINE)
    assert sorted(seen) == list("abcde")
    assert set(run.tasks) == set("abcde")


def test_execute_inside_the_block_and_after_it() -> None:
    with workflow("w") as wf:
        one >> double
        inside = wf.execute(runner=INLINE)
        assert wf.last_run is inside
        double >> echo
    after = wf.execute(runner=INLINE)
    assert (inside.value, set(inside.tasks)) == (2, {"one", "double"})
    assert (after.value, set(after.tasks)) == (2, {"one", "double", "echo"})
    assert wf.last_run is after


def test_execute_inside_the_block_meets_the_checks() -> None:
    with pytest.raises(UnboundParameterError):
        with workflow("w") as wf:
            minus(1)
            wf.execute(runner=INLINE)


def test_execute_runs_again_and_again() -> None:
    with workflow("w") as wf:
        one >> double
    assert wf.execute(runner=INLINE).id != wf.execute(runner=INLINE).id


def test_a_run_that_fails_is_raised_and_kept() -> None:
    with workflow("w") as wf:

        @task
        def breaks() -> int:
            raise KeyError("broken")

        breaks >> double
    with pytest.raises(RunFailedError) as caught:
        wf.execute(runner=INLINE)
    assert isinstance(caught.value.__cause__, KeyError)
    assert wf.last_run.state == RunState.FAILED
    assert wf.execute(runner=INLINE, check=False).state == RunState.FAILED


def test_there_is_no_last_run_before_the_first() -> None:
    with workflow("w") as wf:
        one()
    for read in (lambda: wf.last_run, lambda: wf.get_result("one"), lambda: wf.get_result(one)):
        with pytest.raises(
            ResultUnavailableError, match=r"^block 'w' has not been executed; call \.execute\(\) first$"
        ):
            read()


def test_the_local_backend_is_short_for_the_local_runner() -> None:
    with workflow("w") as wf:
        one >> double
    assert wf.execute(queue_backend=QueueBackend.LOCAL).value == 2
    assert wf.execute().value == 2


def test_a_runner_and_a_backend_are_too_much() -> None:
    with workflow("w") as wf:
        one()
    with pytest.raises(ConfigurationError, match=r"^execute\(\) takes a runner or a queue_backend, not both$"):
        wf.execute(runner=INLINE, queue_backend=QueueBackend.LOCAL)


# --- start_node ---


@pytest.fixture
def diamond() -> Block:
    with workflow("w") as wf:
        a, b, c, d, e, f, lonely = (one.named(name) for name in ["a", "b", "c", "d", "e", "f", "lonely"])
        a >> (b | c) >> d >> e
        f >> e
        wf.add(lonely)
    return wf


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("a", "abcdef"), ("b", "abcdef"), ("c", "abcdef"), ("d", "abcdef"), ("e", "abcdef"), ("f", "abcdef"),
        ("lonely", ["lonely"]),
    ],
)  # fmt: skip
def test_start_node_runs_what_follows_and_what_that_needs(diamond: Block, start: str, expected: Any) -> None:
    assert set(diamond.execute(start_node=start, runner=INLINE).tasks) == set(expected)


def test_start_node_leaves_out_what_it_does_not_need() -> None:
    with workflow("w") as wf:
        a, b, c, d, e = (one.named(name) for name in "abcde")
        a >> b >> c
        a >> d
        e >> d
    assert set(wf.execute(start_node="b", runner=INLINE).tasks) == set("abc")
    assert set(wf.execute(start_node="d", runner=INLINE).tasks) == set("ade")
    assert set(wf.execute(start_node=e, runner=INLINE).tasks) == set("ade")
    assert set(wf.execute(start_node="a", runner=INLINE).tasks) == set("abcde")


def test_start_node_through_a_gate() -> None:
    with workflow("w") as wf:
        a, b, c, d, e = (one.named(name) for name in "abcde")
        (a | b) >> (c | d)
        c >> e
    assert set(wf.execute(start_node="c", runner=INLINE).tasks) == set("abce")
    assert set(wf.execute(start_node="a", runner=INLINE).tasks) == set("abcde")


def test_the_value_of_a_part_is_the_usual_one_if_it_ran() -> None:
    with workflow("w") as wf:
        one >> double
        two >> echo
    assert wf.execute(start_node="two", runner=INLINE).value == 2
    assert wf.execute(start_node="one", runner=INLINE)["double"] == 2


def test_an_unknown_start_node_is_refused() -> None:
    with workflow("w") as wf:
        one.named("extract")()
    with pytest.raises(UnknownTaskError) as caught:
        wf.execute(start_node="extrct", runner=INLINE)
    assert str(caught.value) == ("workflow 'w' has no task 'extrct' to start from; did you mean 'extract'? Else add it")
    with pytest.raises(UnknownTaskError, match=r"has no task 'zzz' to start from; add it$"):
        wf.execute(start_node="zzz", runner=INLINE)


def test_start_node_may_be_a_task_of_a_nested_block() -> None:
    with workflow("w") as wf:
        with workflow("inner"):
            deep = one.named("deep")
        two()
    assert set(wf.execute(start_node="inner/deep", runner=INLINE).tasks) == {"inner/deep"}
    assert set(wf.execute(start_node=deep, runner=INLINE).tasks) == {"inner/deep"}


# --- get_result ---


@pytest.mark.parametrize("how", RUNNERS)
def test_get_result_reads_a_direct_upstream(how: str) -> None:
    with workflow("w") as wf:

        @task
        def part(i: int) -> int:
            return i * i

        parts = [part(i).named(f"part_{i}") for i in range(4)]

        @task
        def total() -> int:
            return sum(wf.get_result(f"part_{i}") for i in range(3)) + wf.get_result(parts[3])

        for each in parts:
            each >> total
    assert wf.execute(runner=RUNNERS[how]).value == 14


@pytest.mark.parametrize("how", RUNNERS)
def test_get_result_reads_a_data_upstream_and_none(how: str) -> None:
    with workflow("w") as wf:

        @task
        def nothing() -> None:
            return None

        @task
        def reads(x: Any) -> Any:
            return x, wf.get_result("nothing"), wf.get_result("one")

        reads(one.out).after(nothing)
    assert wf.execute(runner=RUNNERS[how]).value == (1, None, 1)


@pytest.mark.parametrize("how", RUNNERS)
def test_get_result_reads_direct_upstreams_only(how: str) -> None:
    with workflow("w") as wf:

        @task
        def far() -> int:
            return 1

        @task
        def near(x: int) -> int:
            return x

        @task
        def reads(x: int) -> int:
            return x + int(wf.get_result("far"))

        far >> near >> reads
    run = wf.execute(runner=RUNNERS[how], check=False)
    error = run.tasks["reads"].error
    assert isinstance(error, ResultUnavailableError)
    assert str(error) == (
        "task 'reads' reads the result of 'far', which is no direct upstream of it, so it may not have run yet; draw "
        "the edge, far >> reads, or pass the result as an input"
    )


@pytest.mark.parametrize("how", ["inline", "threads"])
def test_get_result_of_an_unknown_task_is_an_error(how: str) -> None:
    with workflow("w") as wf:

        @task
        def reads() -> Any:
            return wf.get_result("nowhere")

        one >> reads
    error = wf.execute(runner=RUNNERS[how], check=False).tasks["reads"].error
    assert isinstance(error, ResultUnavailableError)
    assert "'nowhere'" in str(error)


@pytest.mark.parametrize("how", RUNNERS)
def test_get_result_reads_through_a_gate(how: str) -> None:
    with workflow("w") as wf:

        @task
        def reads() -> int:
            return int(wf.get_result("one")) - int(wf.get_result(two))

        (one | two) >> (reads | echo(1))
    assert wf.execute(runner=RUNNERS[how])["reads"] == -1


def test_get_result_in_an_async_task() -> None:
    with workflow("w") as wf:

        @task
        async def reads() -> int:
            await asyncio.sleep(0)
            return int(wf.get_result("two")) + 1

        two >> reads
    assert wf.execute(runner=INLINE).value == 3


@pytest.mark.parametrize("how", ["inline", "processes"])
def test_results_are_kept_until_a_reader_has_ended(how: str) -> None:
    runner = LocalRunner(RUNNERS[how].executor, 2, keep="returns")
    with workflow("w") as wf:

        @task
        def reads() -> int:
            return int(wf.get_result("one")) + int(wf.get_result("two"))

        (one | two) >> reads
    assert wf.execute(runner=runner).value == 3


def test_get_result_after_the_run_reads_the_last_one() -> None:
    with workflow("w") as wf:
        one >> double
    run = wf.execute(runner=INLINE)
    assert wf.get_result("double") == wf.get_result(double) == run.value == 2
    with pytest.raises(UnknownTaskError):
        wf.get_result("nowhere")


def test_get_result_means_the_current_run() -> None:
    values = iter([1, 2])
    with workflow("w") as wf:

        @task
        def draws() -> int:
            return next(values)

        @task
        def reads() -> int:
            return int(wf.get_result("draws"))

        draws >> reads
    assert [wf.execute(runner=INLINE).value for _ in range(2)] == [1, 2]


def test_a_run_inside_a_task_does_not_disturb_reading() -> None:
    with workflow("w") as wf:

        @task
        def reads() -> int:
            Workflow.of("nested", two, returns=two).run(runner=INLINE)
            return int(wf.get_result("one"))

        one >> reads
    assert wf.execute(runner=INLINE).value == 1


def test_a_captured_block_travels_as_a_handle() -> None:
    with workflow("w") as wf:
        one()
    handle = cloudpickle.loads(cloudpickle.dumps(wf))
    with pytest.raises(ResultUnavailableError) as caught:
        handle.get_result("one")
    assert str(caught.value) == "block 'w' can be read here only while one of its tasks runs"
    assert len(cloudpickle.dumps(wf)) < 200


# --- operators with things that are not tasks ---


@pytest.mark.parametrize("other", [3, None, "x", one.fn], ids=range(4))
def test_blocks_are_joined_with_tasks_groups_and_blocks(other: Any) -> None:
    with workflow("w"):
        one()
        with workflow("inner") as inner:
            two()
        for join in (lambda: inner >> other, lambda: inner | other):
            with pytest.raises(TypeError):
                join()


def test_a_block_is_ordered_inside_the_block_around_it() -> None:
    with workflow("w") as wf:
        one()
    with pytest.raises(WiringError, match=r"^a block can be ordered only inside the block around it: "):
        one >> wf
    with pytest.raises(WiringError):
        wf >> one


def test_ids_of_nested_blocks_are_legal() -> None:
    with pytest.raises(InvalidTaskIdError):
        with workflow("the outer name may be anything / really"):
            with workflow("not this"):
                one()


def test_a_cycle_of_blocks_is_refused() -> None:
    with pytest.raises(CycleError, match=r"i/one -> j/two -> i/one"):
        with workflow("w"):
            with workflow("i") as i:
                one()
            with workflow("j") as j:
                two()
            i >> j >> i


def test_nothing_warns_without_a_reason() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with workflow("w") as wf:
            one >> double >> (echo | minus(y=1))
        wf.execute(runner=INLINE)
