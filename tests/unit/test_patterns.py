"""The patterns that pipelines are made of: lambdas, closures, loops, factories, classes, recursion, nesting, flags.

Each is written the way people write it, with a case where it goes well and, where there is a known trap, one where the
trap is refused.
"""

# ruff: noqa: B023 - late binding is a subject here

import functools
import itertools
import operator
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from pydantic import BaseModel

from graflow import (
    Block,
    DuplicateTaskError,
    LateBindingError,
    LocalRunner,
    PortabilityWarning,
    RunFailedError,
    SerializationError,
    Task,
    TemplateWarning,
    Workflow,
    task,
    workflow,
)
from graflow.core.task import TaskWrapper

INLINE = LocalRunner(executor="inline")
PROCESSES = LocalRunner(executor="processes", max_workers=2)
EVERYWHERE = pytest.mark.parametrize("executor", ["inline", "threads", "processes"])


def value_of(last: Task[..., Any], runner: LocalRunner = INLINE) -> Any:
    return Workflow.of("w", last, returns=last).run(runner=runner).value


# --- lambdas ---


def test_lambdas_are_tasks_and_chain() -> None:
    start = TaskWrapper("start", lambda: 41)
    increase = TaskWrapper("increase", lambda x: x + 1)
    halve = TaskWrapper("halve", lambda x: x / 2)
    assert value_of(start >> increase >> halve) == 21


def test_a_lambda_without_a_name_is_refused_with_the_cure() -> None:
    with pytest.raises(Exception, match=r"give one: Task\('name', lambda \.\.\.\)"):
        value_of(task(lambda: 1))


@EVERYWHERE
def test_lambdas_run_everywhere(executor: Any) -> None:
    offset = 100
    shifted = Task("shift", lambda x: x + offset)
    assert value_of(shifted(11), LocalRunner(executor)) == 111


def test_lambdas_made_in_a_comprehension_share_their_variable_and_are_refused() -> None:
    tasks = [Task(f"power_{n}", lambda x: x**n) for n in (2, 3)]
    with pytest.raises(LateBindingError) as caught:
        Workflow.builder("w").add_all(each(2) for each in tasks).build()
    assert "lambda n=n: ..." in str(caught.value)


def test_lambdas_that_bind_their_variable_do_what_they_say() -> None:
    tasks = [Task(f"power_{n}", lambda x, n=n: x**n)(2) for n in (2, 3)]
    run = Workflow.builder("w").add_all(tasks).build().run(runner=INLINE)
    assert [run[each] for each in tasks] == [4, 8]


# --- closures ---


def test_closures_keep_what_they_captured() -> None:
    def create_clamp(low: int, high: int) -> Task[[int], int]:
        @task(id=f"clamp_{low}_{high}")
        def clamp(x: int) -> int:
            return max(low, min(high, x))

        return clamp

    narrow, wide = create_clamp(0, 10), create_clamp(-100, 100)
    run = Workflow.builder("w").add(wide, 70).add(narrow, wide.out).build().run(runner=INLINE)
    assert (run[wide], run[narrow]) == (70, 10)


@EVERYWHERE
def test_closures_of_closures_run_everywhere(executor: Any) -> None:
    def scale(factor: int) -> Callable[[int], int]:
        return lambda x: x * factor

    def create(first: int, second: int) -> Task[[int], int]:
        inner, outer = scale(first), scale(second)
        return Task(f"both_{first}_{second}", lambda x: outer(inner(x)))

    assert value_of(create(2, 5)(7), LocalRunner(executor)) == 70


def test_a_closure_with_a_counter_keeps_counting_locally() -> None:
    def create_counter() -> Task[[], int]:
        count = 0

        @task
        def counter() -> int:
            nonlocal count
            count += 1
            return count

        return counter

    built = Workflow.builder("w").add(create_counter()).build()
    assert [built.run(runner=INLINE).value for _ in range(3)] == [1, 2, 3]


def test_factories_without_ids_of_their_own_collide() -> None:
    def create(factor: int) -> Task[[int], int]:
        @task
        def multiply(x: int) -> int:
            return x * factor

        return multiply

    with pytest.raises(DuplicateTaskError, match="'multiply'"):
        Workflow.builder("w").add(create(2), 1).add(create(3), 1).build()
    built = Workflow.builder("w").add_all(create(n)(1).named(f"times_{n}") for n in (2, 3)).build()
    assert built.run(runner=INLINE)["times_3"] == 3


# --- made from configuration ---


class Step(BaseModel, frozen=True):
    name: str
    kind: str
    amount: int = 0
    enabled: bool = True


KINDS: dict[str, Callable[[int, int], int]] = {"add": operator.add, "multiply": operator.mul}


def create_step(step: Step) -> Task[[int], int]:
    @task(id=step.name)
    def run_step(x: int) -> int:
        return KINDS[step.kind](x, step.amount)

    return run_step


CONFIG = [
    Step(name="plus", kind="add", amount=3),
    Step(name="off", kind="add", amount=1000, enabled=False),
    Step(name="times", kind="multiply", amount=10),
]


def test_a_chain_from_configuration_by_builder() -> None:
    builder: Any = Workflow.builder("configured").add(Task("start", lambda: 1))
    for step in CONFIG:
        if step.enabled:
            builder = builder.then(create_step(step))
    run = builder.build().run(runner=INLINE)
    assert run.value == 40
    assert list(run.tasks) == ["start", "plus", "times"]


def test_a_chain_from_configuration_by_block() -> None:
    with workflow("configured") as wf:
        tasks: list[Task[..., Any]] = [Task("start", lambda: 1)]
        tasks += [create_step(step) for step in CONFIG if step.enabled]
        for left, right in itertools.pairwise(tasks):
            left >> right
    assert wf.execute(runner=INLINE).value == 40


def test_a_task_called_with_a_configuration_is_bound_and_not_run() -> None:
    runs: list[str] = []

    @task
    def create_processor(config: dict[str, Any], scale: int = 1) -> int:
        runs.append(config["name"])
        return int(config["n"]) * scale

    configs = [{"name": name, "n": n} for n, name in enumerate("abc")]
    tasks = [create_processor(config).named(f"process_{config['name']}") for config in configs]
    configs[0]["n"] = 99
    assert runs == []
    run = Workflow.builder("w").add_all(tasks).build().run(runner=INLINE)
    assert [run[each] for each in tasks] == [0, 1, 2]
    assert sorted(runs) == ["a", "b", "c"]


# --- batches ---


def batches_of(items: list[int], size: int) -> Iterator[tuple[int, list[int]]]:
    for start in range(0, len(items), size):
        yield start // size, items[start : start + size]


@pytest.mark.parametrize(
    ("executor", "count"), [("inline", 1), ("inline", 7), ("threads", 1), ("threads", 7), ("processes", 7)]
)
def test_batches_and_their_sum(executor: Any, count: int) -> None:
    with workflow("batch") as wf:

        @task
        def process(batch: list[int]) -> int:
            return sum(batch)

        parts = [process(batch).named(f"batch_{k}") for k, batch in batches_of(list(range(count * 3)), 3)]

        @task
        def aggregate() -> int:
            return sum(wf.get_result(f"batch_{k}") for k in range(count))

        for part in parts:
            part >> aggregate
    run = wf.execute(runner=LocalRunner(executor, 2))
    assert run["aggregate"] == sum(range(count * 3))
    assert len(run.tasks) == count + 1


def test_no_batches_at_all_are_a_warning_and_a_sum_of_nothing() -> None:
    def write() -> Block:
        with workflow("batch") as wf:

            @task
            def process(batch: list[int]) -> int:
                return sum(batch)

            parts = [process(batch).named(f"batch_{k}") for k, batch in batches_of([], 3)]
            Task("aggregate", lambda: sum(wf.get_result(part) for part in parts))
        return wf

    with pytest.warns(TemplateWarning, match="'process'"):
        wf = write()
    assert wf.execute(runner=INLINE).value == 0


def test_batches_by_data_edges() -> None:
    @task
    def process(batch: list[int]) -> int:
        return sum(batch)

    @task
    def aggregate(parts: list[int]) -> int:
        return sum(parts)

    parts = [process(batch).named(f"batch_{k}") for k, batch in batches_of(list(range(1000)), 10)]
    built = Workflow.builder("batch").add_all(parts).add(aggregate, parts=[part.out for part in parts]).build()
    assert built.run(runner=LocalRunner(max_workers=3)).value == sum(range(1000))


def batch_in_a_loop(wf: Block, data: list[int], size: int) -> None:
    for i in range(3):

        @task(id=f"batch_{i}")
        def process_batch() -> int:
            return sum(data[i * size : (i + 1) * size])


def test_the_loop_that_reads_its_variable_is_refused_before_anything_runs() -> None:
    with pytest.raises(LateBindingError) as caught:
        with workflow("batch") as wf:
            batch_in_a_loop(wf, list(range(9)), 3)
    for part in ("'batch_0', 'batch_1' and 'batch_2'", "variable 'i'", "process_batch(i)", "process_batch(i=i)"):
        assert part in str(caught.value)


def test_the_loop_is_refused_by_execute_inside_the_block() -> None:
    ran: list[int] = []
    with pytest.raises(LateBindingError):
        with workflow("w") as wf:
            for i in range(100):

                @task(id=f"worker_task_{i}")
                def process() -> None:
                    ran.append(i)

            wf.execute(start_node="worker_task_0", runner=INLINE)
    assert ran == []


def test_a_loop_with_its_variable_as_default_runs_from_one_of_its_tasks() -> None:
    with workflow("w") as wf:
        for i in range(20):

            @task(id=f"worker_task_{i}")
            def process(i: int = i) -> int:
                return i * i

    run = wf.execute(start_node="worker_task_7", runner=INLINE)
    assert {id: run[id] for id in run.tasks} == {"worker_task_7": 49}
    assert wf.execute(runner=INLINE)["worker_task_19"] == 361


# --- factories ---


def test_a_factory_of_callers() -> None:
    def create_caller(endpoint: str, method: str = "GET") -> Task[[], str]:
        @task(id=f"call{endpoint.replace('/', '_')}")
        def call() -> str:
            return f"{method} {endpoint}"

        return call

    with workflow("api") as wf:
        users, posts = create_caller("/api/users"), create_caller("/api/posts", "POST")

        @task
        def both(a: str, b: str) -> list[str]:
            return [a, b]

        (users | posts) >> both
    assert wf.execute(runner=INLINE).value == ["GET /api/users", "POST /api/posts"]
    assert users.id == "call_api_users"


def test_variants_of_an_experiment() -> None:
    def create_variant(name: str, lift: float) -> Task[[float], float]:
        @task(id=f"test_{name}")
        def run_variant(base: float) -> float:
            return base * lift

        return run_variant

    lifts = {"control": 1.0, "green": 1.5, "large": 2.0}
    with workflow("experiment") as wf:
        base = Task("measure", lambda: 10.0)
        variants = [create_variant(name, lift) for name, lift in lifts.items()]

        @task
        def best(*results: float) -> float:
            return max(results)

        best(*[(base >> variant).out for variant in variants])
    assert wf.execute(runner=INLINE).value == 20.0


def test_a_task_for_each_tenant() -> None:
    @task
    def fetch(tenant: str) -> list[int]:
        return [len(tenant)] * 3

    @task
    def process(rows: list[int]) -> int:
        return sum(rows)

    with workflow("tenants") as wf:
        for tenant in ("acme", "umbrella"):
            fetch.named(f"fetch_{tenant}")(tenant) >> process.named(f"process_{tenant}")
    run = wf.execute(runner=INLINE)
    assert (run["process_acme"], run["process_umbrella"]) == (12, 24)


@pytest.mark.parametrize("validation", [True, False])
@pytest.mark.parametrize("enrichment", [True, False])
def test_flags_decide_the_chain(validation: bool, enrichment: bool) -> None:
    seen: list[str] = []

    @task
    def stage(name: str) -> None:
        seen.append(name)

    with workflow("conditional") as wf:
        last = stage("extract").named("extract")
        for name, enabled in (("validate", validation), ("enrich", enrichment)):
            if enabled:
                last = last >> stage(name).named(name)
        last >> stage("save").named("save")
    wf.execute(runner=INLINE)
    assert seen == ["extract", *["validate"] * validation, *["enrich"] * enrichment, "save"]


# --- recursion ---


@pytest.mark.parametrize("depth", [0, 1, 30])
def test_tasks_made_recursively(depth: int) -> None:
    seen: list[int] = []

    def create(level: int) -> Task[[], int]:
        @task(id=f"level_{level}")
        def at_level() -> int:
            seen.append(level)
            return level

        if level < depth:
            at_level >> create(level + 1)
        return at_level

    with workflow("recursive") as wf:
        create(0)
    wf.execute(runner=INLINE)
    assert seen == list(range(depth + 1))


def test_a_tree_made_recursively() -> None:
    @task
    def leaf(n: int) -> int:
        return n

    @task
    def add(x: int, y: int) -> int:
        return x + y

    def tree(low: int, high: int) -> Task[[], int]:
        if high - low == 1:
            return leaf(low).named(f"leaf_{low}")
        middle = (low + high) // 2
        return (tree(low, middle) | tree(middle, high)) >> add.named(f"add_{low}_{high}")

    built = Workflow.of("tree", returns=tree(0, 33))
    assert built.run(runner=INLINE).value == sum(range(33))
    assert len(built.tasks) == 65


# --- classes ---


class Configurable:
    def __init__(self, config: dict[str, int]) -> None:
        self.config = config

    @task
    def execute(self, bonus: int = 0) -> int:
        return self.process() + bonus

    def process(self) -> int:
        return self.config["n"] * 2


@EVERYWHERE
def test_tasks_of_objects(executor: Any) -> None:
    tasks = [Configurable({"n": n}).execute(bonus=n).named(f"execute_{n}") for n in (1, 2, 3)]
    run = Workflow.builder("classes").add_all(tasks).build().run(runner=LocalRunner(executor, 2))
    assert [run[each] for each in tasks] == [3, 6, 9]


def test_tasks_of_objects_without_names_collide() -> None:
    tasks = [Configurable({"n": n}).execute() for n in (1, 2)]
    with pytest.raises(DuplicateTaskError, match=r"'execute' .* \.named\('\.\.\.'\)"):
        Workflow.builder("classes").add_all(tasks).build()


def test_a_subclass_brings_its_own_behaviour() -> None:
    class Tripled(Configurable):
        def process(self) -> int:
            return self.config["n"] * 3

    assert value_of(Tripled({"n": 5}).execute()) == 15


# --- memory ---


def test_a_cache_in_a_closure_is_kept_between_local_runs() -> None:
    calls: list[tuple[int, ...]] = []

    def create_memoized(expensive: Callable[..., int]) -> Task[..., int]:
        cache: dict[tuple[int, ...], int] = {}

        @task
        def memoized(*args: int) -> int:
            if args not in cache:
                cache[args] = expensive(*args)
            return cache[args]

        return memoized

    def slow(*args: int) -> int:
        calls.append(args)
        return sum(args)

    memoized = create_memoized(slow)
    first, second = (Workflow.of("w", memoized(*args), returns=memoized(*args)) for args in ((1, 2), (3,)))
    assert [built.run(runner=INLINE).value for built in (first, second, first, second)] == [3, 3, 3, 3]
    assert calls == [(1, 2), (3,)]


def test_a_cached_function_is_a_task() -> None:
    calls: list[int] = []

    @task
    @functools.lru_cache
    def square(x: int) -> int:
        calls.append(x)
        return x * x

    run = Workflow.builder("w").add_all(square(k % 2).named(f"s{k}") for k in range(6)).build().run(runner=INLINE)
    assert (run["s5"], sorted(calls)) == (1, [0, 1])


# --- nesting ---


def test_nested_blocks_in_order() -> None:
    seen: list[str] = []

    def mark(name: str) -> Task[[], None]:
        return Task(name, lambda: seen.append(name))

    with workflow("processing") as wf:
        load = mark("load")
        with workflow("validation") as validation:
            mark("schema") >> mark("values")
        with workflow("transformation") as transformation:
            mark("normalize") >> mark("enrich")
        load >> validation >> transformation >> mark("save")
    run = wf.execute(runner=INLINE)
    assert seen == ["load", "schema", "values", "normalize", "enrich", "save"]
    assert list(run.tasks) == [
        "load", "validation/schema", "validation/values", "transformation/normalize", "transformation/enrich", "save"
    ]  # fmt: skip


def test_one_workflow_used_in_several_places() -> None:
    class Limits(BaseModel, frozen=True):
        low: int
        high: int

    from graflow import inputs

    @task
    def spread(low: int, high: int) -> int:
        return high - low

    src = inputs(Limits)
    inner = Workflow.builder("inner", inputs=Limits).add(spread, src.low, src.high).build()
    outer = (
        Workflow.builder("outer")
        .add(inner.as_task("north"), Limits(low=1, high=4))
        .add(inner.as_task("south"), Limits(low=5, high=15))
        .include(inner, Limits(low=0, high=1), prefix="west")
        .build()
    )
    run = outer.run(runner=INLINE)
    assert (run["north"], run["south"], run["west/spread"]) == (3, 10, 1)


# --- travelling ---


class Holder:
    def __init__(self, n: int) -> None:
        self.n = n


def test_what_can_travel() -> None:
    factor, holder, table = 3, Holder(4), {"a": [1, 2]}

    def helper(x: int) -> int:
        return x + factor

    tasks = [
        Task("lambda", lambda: factor), Task("closure", lambda: helper(1)), Task("instance", lambda: holder.n),
        Task("table", lambda: table["a"][1]), Task("partial", functools.partial(helper, 5)),
        Task("builtin", len)("abc"),
        Task("method", Configurable({"n": 1}).process), Task("class", Holder)(3),
    ]  # fmt: skip
    built = Workflow.builder("w").add_all(tasks).build(portable=True)
    run = built.run(runner=PROCESSES)
    assert [run[each] for each in tasks[:7]] == [3, 4, 4, 2, 8, 3, 2]
    assert run["class"].n == 3
    assert cloudpickle.loads(cloudpickle.dumps(built)).run(runner=INLINE)["partial"] == 8


def unportable(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "file.txt").write_text("x")
    return {
        "file": (tmp_path / "file.txt").open(), "connection": sqlite3.connect(":memory:"), "socket": socket.socket(),
        "lock": threading.Lock(), "thread": threading.Thread(), "generator": (x for x in [1]),
    }  # fmt: skip


def test_what_cannot_travel_is_named_with_path_and_cure(tmp_path: Path) -> None:
    things = unportable(tmp_path)
    try:
        for name, thing in things.items():
            captured = {"deep": [thing]}
            built = Workflow.builder("w").add(Task(f"uses_{name}", lambda: captured)).build()
            with pytest.raises(SerializationError) as caught:
                built.check_portable()
            message = str(caught.value)
            assert f"'uses_{name}'" in message, name
            assert "closure variable 'captured'" in message, name
    finally:
        things["file"].close()
        things["connection"].close()
        things["socket"].close()


def test_the_cure_opens_in_the_task(tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table rows (n int)")
        connection.execute("insert into rows values (1), (2)")
    connection.close()

    def create_task(database: str) -> Task[[], int]:
        @task
        def query() -> int:
            connection = sqlite3.connect(database)
            try:
                return int(connection.execute("select sum(n) from rows").fetchone()[0])
            finally:
                connection.close()

        return query

    built = Workflow.builder("w").add(create_task(str(path))).build(portable=True)
    assert built.run(runner=PROCESSES).value == 3


def test_a_large_capture_is_a_warning_and_a_path_is_the_cure(tmp_path: Path) -> None:
    large = bytes(2 << 20)
    (tmp_path / "large").write_bytes(large)
    path = str(tmp_path / "large")
    with pytest.warns(PortabilityWarning, match="'large'"):
        Workflow.builder("w").add(Task("bad", lambda: len(large))).build(portable=True)
    good = Workflow.builder("w").add(Task("good", lambda: len(Path(path).read_bytes()))).build(portable=True)
    assert good.run(runner=PROCESSES).value == 2 << 20


# --- many ---


def test_a_thousand_dynamic_tasks_each_run_once() -> None:
    hits: list[int] = []

    def create(k: int) -> Task[[], int]:
        @task(id=f"work_{k}")
        def work() -> int:
            hits.append(k)
            return k

        return work

    with workflow("many") as wf:
        tasks = [create(k) for k in range(1000)]

        @task
        def total(parts: list[int]) -> int:
            return sum(parts)

        total([each.out for each in tasks])
    assert wf.execute(runner=LocalRunner(max_workers=4)).value == sum(range(1000))
    assert sorted(hits) == list(range(1000))


def test_a_join_runs_once_and_after_all_it_waits_for() -> None:
    seen: list[str] = []

    def mark(name: str) -> Task[[], None]:
        return Task(name, lambda: seen.append(name))

    with workflow("joins") as wf:
        a, b, c, d, e = (mark(name) for name in "abcde")
        a >> (b | c) >> d >> e
        a >> e
        (b | c) >> e
    wf.execute(runner=LocalRunner(max_workers=4))
    assert sorted(seen) == list("abcde")
    assert (seen[0], seen[3:]) == ("a", ["d", "e"])


def test_one_failure_leaves_independent_work_alone() -> None:
    with workflow("w") as wf:

        @task
        def breaks() -> int:
            raise ZeroDivisionError

        fine = Task("fine", lambda: 1)
        breaks >> Task("needs", lambda x: x)
        fine >> Task("follows", lambda x: x + 1)
    with pytest.raises(RunFailedError) as caught:
        wf.execute(runner=INLINE)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    states = {id: str(record.state) for id, record in wf.last_run.tasks.items()}
    assert states == {"breaks": "failed", "needs": "skipped", "fine": "succeeded", "follows": "succeeded"}
    assert wf.last_run["follows"] == 2
