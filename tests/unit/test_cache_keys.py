"""The keys of cached results: equal for equal code and inputs, another for anything else, and why."""

import functools
import os
import pickle
import sqlite3
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import graflow.core._digest as digest_module
from graflow import Task, Workflow, inputs, task, workflow
from graflow.core._fingerprint import task_fingerprints
from graflow.core.plan import Plan, compile_plan
from graflow.engine.attempt import arguments
from graflow.engine.cache import CacheKey, KeyMemo, explain, freshness, key_of
from graflow.errors import CacheKeyError, ResultUnavailableError

AnyTask = Task[..., Any]


def plan_of(*tasks: AnyTask) -> Plan:
    return compile_plan(Workflow.of("made", *tasks, returns=tasks[-1]))


def key(one: AnyTask, memo: KeyMemo | None = None) -> CacheKey:
    """The key of a task all of whose inputs are constants."""
    plan = plan_of(one)
    return keys(plan, {}, memo)[one.id]


def keys(plan: Plan, results: dict[str, Any], memo: KeyMemo | None = None) -> dict[str, CacheKey]:
    """The keys of the tasks that have a cache policy, given the results of the others."""
    slots: list[Any] = [results.get(id) for id in plan.ids]
    slots += [None] * (plan.inputs_slot - len(slots)) + [results.get("inputs"), *plan.constants]
    return {
        plan.ids[i]: key_of(plan, i, arguments(plan.recipes[i], slots), memo, result_of=slots.__getitem__)
        for i in sorted(plan.policies)
    }


def called(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    return key(Task("t", fn, cache=True)(*args, **kwargs)).key


def join(a: object, b: object = 2, *more: object, c: object = 3, **named: object) -> object:
    return a, b, more, c, named


# --- what a key covers ---


def test_a_key_is_64_hex_digits_and_its_parts_are_short() -> None:
    found = key(Task("t", join, cache=True)(1, c="x"))
    assert len(found.key) == 64
    assert int(found.key, 16)
    assert list(found.parts) == ["code", "python", "version", "input a", "input c"]
    assert found.parts["version"] == "0"
    assert found.parts["python"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}")
    assert {len(found.parts[part]) for part in ("code", "input a", "input c")} == {16}


def test_ids_and_names_of_workflows_do_not_count() -> None:
    one, other = Task("one", join, cache=True)(1), Task("other", join, cache=True)(1)
    first = compile_plan(Workflow.of("first", one, returns=one))
    second = compile_plan(Workflow.of("second", other, returns=other))
    assert keys(first, {})["one"] == keys(second, {})["other"]


def test_a_call_spelt_otherwise_has_the_same_key() -> None:
    assert called(join, 1, 5) == called(join, 1, b=5) == called(join, b=5, a=1) == called(join, a=1, b=5)
    assert called(join, 1, y=1, x=2) == called(join, 1, x=2, y=1)
    assert len({called(join, 1, 5), called(join, 5, 1), called(join, 1, c=5), called(join, 1, 2, 5)}) == 4
    assert len({called(join, 1, 2, 3, 4), called(join, 1, 2, 4, 3), called(join, 1, 2, 3, c=4)}) == 3


def test_a_name_given_twice_over_counts_twice() -> None:
    def positional(x: object, /, **named: object) -> object:
        return x, named

    found = {called(positional, a, x=b) for a in (1, 2) for b in (1, 2)}
    assert len(found) == 4


def test_a_changed_default_is_changed_code() -> None:
    def made(default: int) -> Callable[..., Any]:
        def fn(x: int, y: int = default) -> int:
            return x + y

        return fn

    assert called(made(1), 0) == called(made(1), 0) != called(made(2), 0)
    # What was given does not matter to a default, but nobody can tell from outside.
    assert called(made(1), 0, 5) != called(made(2), 0, 5)


def test_the_version_counts() -> None:
    from graflow.core.policy import Cache

    found = [key(Task("t", join, cache=Cache(version=version))(1)) for version in (0, 1, "0", "a")]
    assert len({one.key for one in found}) == 4
    assert [one.parts["version"] for one in found] == ["0", "1", "'0'", "'a'"]


@dataclass
class Point:
    x: int
    y: list[int]


class Model(BaseModel):
    a: int = 1
    b: list[str] = []


class Named:
    def __init__(self, name: str) -> None:
        self.name, self.lock = name, threading.Lock()

    def __graflow_digest__(self) -> object:
        return self.name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Point(1, [2]), Point(1, [3])),
        (Model(), Model(a=2)),
        (Path("a"), Path("b")),
        (Named("a"), Named("b")),
        (np.arange(3), np.arange(3.0)),
        (np.arange(4).reshape(2, 2), np.arange(4)),
        (np.arange(4), np.array([0, 1, 2, 4])),
        (np.array(["2024-01-01"], "M8[D]"), np.array(["2024-01-02"], "M8[D]")),
        (np.zeros(0), np.zeros(0, int)),
        (np.zeros((2, 0)), np.zeros((0, 2))),
        ({"a": [1, {2}]}, {"a": [1, {3}]}),
        (join, called),
        (functools.partial(join, 1), functools.partial(join, 2)),
        (1, True),
        ([1], (1,)),
        (None, ...),
    ],
)
def test_the_content_of_inputs_counts(one: Any, other: Any) -> None:
    def copy(value: Any) -> Any:
        return value if isinstance(value, Named) or callable(value) else pickle.loads(pickle.dumps(value))

    assert called(join, one) == called(join, copy(one)) != called(join, other)


def test_a_class_counts_by_its_name() -> None:
    assert called(join, Point) == called(join, Point) != called(join, Model)


def test_an_array_counts_by_what_it_shows() -> None:
    grid = np.arange(12).reshape(3, 4)
    assert called(join, grid) == called(join, np.asfortranarray(grid)) == called(join, grid.T.copy().T)
    assert called(join, grid[::2]) == called(join, grid[::2].copy()) != called(join, grid[1:])
    assert called(join, np.array(5)) == called(join, np.array(5)) != called(join, np.array([5]))
    assert called(join, np.zeros(2, "V0")) != called(join, np.zeros(3, "V0"))


def test_frames_count_by_their_content() -> None:
    pd = pytest.importorskip("pandas")
    columns = {
        "i": [1, 2, 3],
        "s": ["a", "b", None],
        "c": pd.Categorical(["u", "v", "u"]),
        "t": pd.to_datetime(["2024-01-01", "2024-01-02", None]),
        "z": pd.to_datetime(["2024-01-01", "2024-01-02", None]).tz_localize("UTC"),
        "n": pd.array([1, None, 3], dtype="Int64"),
    }
    frame = pd.DataFrame(columns)
    first = called(join, frame)
    piecemeal = pd.DataFrame(index=frame.index)
    for name in columns:
        piecemeal[name] = frame[name]
    for look in (frame.describe, frame["s"].unique, lambda: frame.index.is_unique, lambda: frame.columns.get_loc("s")):
        look()
    for same in (frame, frame.copy(), piecemeal, pickle.loads(pickle.dumps(frame))):
        assert called(join, same) == first
    changed = {
        called(join, frame.assign(i=[1, 2, 4])),
        called(join, frame.assign(s=["a", "b", "c"])),
        called(join, frame.assign(c=pd.Categorical(["u", "v", "v"]))),
        called(join, frame.assign(c=pd.Categorical(["u", "v", "u"], categories=["v", "u"]))),
        called(join, frame.assign(t=frame["t"] + pd.Timedelta("1s"))),
        called(join, frame.assign(z=frame["z"].dt.tz_convert("Europe/Berlin"))),
        called(join, frame.assign(n=pd.array([1, 2, 3], dtype="Int64"))),
        called(join, frame.astype({"i": float})),
        called(join, frame.rename(columns={"i": "j"})),
        called(join, frame.set_index("s")),
        called(join, frame.set_index(["i", "s"])),
        called(join, frame[["s", "i", "c", "t", "z", "n"]]),
        called(join, frame.iloc[:2]),
        called(join, frame["i"]),
        called(join, frame["i"].rename("j")),
        called(join, frame.index),
        called(join, frame.set_index(["i", "s"]).index),
    }
    assert first not in changed
    assert len(changed) == 17


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)
bodies = st.sampled_from(["a + 1", "a + 2", "a + 1.0", "helper(a)", "[a, RATE]"])


def made_of(body: str, rate: int) -> Callable[..., Any]:
    scope: dict[str, Any] = {"__name__": "made", "RATE": rate, "helper": None}
    exec(f"def helper(a): return a * RATE\ndef fn(a, b=1): return {body}", scope)
    fn: Callable[..., Any] = scope["fn"]
    return fn


def canonical(value: Any) -> str:
    """The value as text that tells 1 from True and 0.0 from -0.0, and does not depend on the order of a dict."""
    if isinstance(value, dict):
        return f"dict({sorted((k, canonical(v)) for k, v in value.items())})"
    return f"list({[canonical(item) for item in value]})" if isinstance(value, list) else repr(value)


@given(bodies, bodies, st.integers(0, 2), st.integers(0, 2), json_like, json_like)
def test_keys_are_equal_exactly_if_code_and_inputs_are(
    body: str, other_body: str, rate: int, other_rate: int, value: Any, other: Any
) -> None:
    def meaning(body: str, rate: int, value: Any) -> Any:
        return body, rate if "RATE" in body or "helper" in body else None, canonical(value)

    same = meaning(body, rate, value) == meaning(other_body, other_rate, other)
    assert (called(made_of(body, rate), value) == called(made_of(other_body, other_rate), other)) is same
    assert called(made_of(body, rate), value) == called(made_of(body, rate), a=pickle.loads(pickle.dumps(value)))


@given(json_like, json_like)
def test_a_gathered_list_has_the_key_of_the_list_itself(a: Any, b: Any) -> None:
    """However an argument comes about, and whether or not its parts were digested before."""
    one, two = Task("one", lambda: 1), Task("two", lambda: 2)
    whole = Task("whole", lambda: [1])
    gathered = Task("gathered", join, cache=True)([one.out, two.out], {"k": one.out, "l": [two.out, 5]})
    listed = Task("listed", join, cache=True)(whole.out["list"], whole.out["dict"])
    warm = [Task(f"a{k}", join, cache=True)(one.out, two.out) for k in range(2)]
    plan = plan_of(gathered, listed, *warm)
    results = {"one": a, "two": b, "whole": {"list": [a, b], "dict": {"l": [b, 5], "k": a}}}
    found = keys(plan, results, KeyMemo(plan))
    assert found["gathered"].key == found["listed"].key
    assert found["a0"].key == found["a1"].key == called(join, a, b)


# --- results that several tasks read ---


@pytest.fixture
def visits(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What had to be opened to be digested."""
    seen: list[Any] = []
    work = digest_module.work_on
    monkeypatch.setattr(digest_module, "work_on", lambda value, code: seen.append(value) or work(value, code))
    return seen


def fan(n: int) -> tuple[Plan, list[str]]:
    source = Task("source", list)
    readers = [Task(f"r{k}", join, cache=True)(source.out, k) for k in range(n)]
    return plan_of(source, *readers), [reader.id for reader in readers]


def test_a_result_that_many_read_is_digested_once(visits: list[Any]) -> None:
    plan, readers = fan(20)
    rows = [[k] for k in range(50)]
    found = keys(plan, {"source": rows}, KeyMemo(plan))
    assert sum(value is rows for value in visits) == 1
    assert sum(value is rows[7] for value in visits) == 1
    alone = {id: called(join, [[k] for k in range(50)], k) for k, id in enumerate(readers)}
    assert {id: one.key for id, one in found.items()} == alone


def test_a_part_of_a_result_that_many_read_is_digested_once(visits: list[Any]) -> None:
    source = Task("source", dict)
    readers = [Task(f"r{k}", join, cache=True)(source.out["rows"], k) for k in range(5)]
    plan, rows = plan_of(*readers), [[1], [2]]
    keys(plan, {"source": {"rows": rows}}, KeyMemo(plan))
    assert sum(value is rows for value in visits) == 1


def test_a_constant_bound_to_many_is_digested_once(visits: list[Any]) -> None:
    table = np.arange(5)
    readers = [Task(f"r{k}", join, cache=True)(table, k) for k in range(5)]
    plan = plan_of(*readers[:-1], readers[-1].after(*readers[:-1]))
    keys(plan, {}, KeyMemo(plan))
    assert sum(value is table for value in visits) == 1


@pytest.mark.parametrize(
    ("rows", "change"),
    [
        ([[1]], lambda rows: rows.append([2])),
        ([[2], [1]], lambda rows: rows.reverse()),
        ([[1]], lambda rows: rows.__setitem__(0, [3])),
        ({"a": 1}, lambda rows: rows.update(a=2)),
        ({"a": 1}, lambda rows: rows.update(b=2)),
        ({1}, lambda rows: rows.add(2)),
        (list(range(20_000)), lambda rows: rows.append(2)),
    ],
)
def test_members_that_changed_since_are_seen(rows: Any, change: Callable[[Any], None]) -> None:
    plan, readers = fan(3)
    memo, slots = KeyMemo(plan), [None] * len(plan.ids)
    slots = [rows if id == "source" else None for id in plan.ids] + [None] * (plan.inputs_slot - len(plan.ids) + 1)
    slots += plan.constants

    def next_key(k: int) -> str:
        i = plan.index[readers[k]]
        return key_of(plan, i, arguments(plan.recipes[i], slots), memo).key

    assert next_key(0) == called(join, rows, 0)
    change(rows)
    assert next_key(1) == called(join, rows, 1)
    assert next_key(2) == called(join, rows, 2)


def test_a_value_held_for_one_is_looked_at_again_inside_another() -> None:
    """What is held counts where it was looked at; a list around it that was given anew may hold it changed."""
    source, around = Task("source", list), Task("around", list)
    readers = [Task(f"r{k}", join, cache=True)(source.out, k) for k in range(3)]
    last = Task("s", join, cache=True)(around.out)
    plan = plan_of(*readers, last)
    memo, rows = KeyMemo(plan), [1]
    slots: list[Any] = [{"source": rows, "around": [rows]}.get(id) for id in plan.ids]
    slots += [None] * (plan.inputs_slot - len(slots) + 1) + plan.constants
    key_of(plan, plan.index["r0"], arguments(plan.recipes[plan.index["r0"]], slots), memo)
    rows.append(2)
    found = key_of(plan, plan.index["s"], arguments(plan.recipes[plan.index["s"]], slots), memo)
    assert found.key == called(join, [[1, 2]])


class Result(list[int]):
    """A list that can be watched going."""


@pytest.mark.parametrize("skipped", [False, True])
def test_a_result_is_let_go_with_its_last_reader(skipped: bool) -> None:
    plan, readers = fan(3)
    memo = KeyMemo(plan)
    result = Result([1])
    gone = weakref.ref(result)
    for k, id in enumerate(readers):
        i = plan.index[id]
        assert gone() is not None
        if skipped and k == 2:
            del result
            memo.forget(i)
        else:
            key_of(plan, i, ([result, k], {}), memo)
    if not skipped:
        del result
    assert gone() is None


def test_objects_that_lead_to_each_other_have_the_key_they_have_alone() -> None:
    def ring() -> tuple[dict[str, Any], dict[str, Any]]:
        a: dict[str, Any] = {"name": "a"}
        b: dict[str, Any] = {"name": "b", "a": a}
        a["b"] = b
        return a, b

    one, two = Task("one", dict), Task("two", dict)
    readers = [
        Task(f"r{k}", join, cache=True)(*pair)
        for k, pair in enumerate([(one.out, 1), (two.out, 1), (one.out, two.out)])
    ]
    plan = plan_of(*readers)
    a, b = ring()
    found = keys(plan, {"one": a, "two": b}, KeyMemo(plan))
    again = {id: one.key for id, one in keys(plan, dict(zip(("one", "two"), ring(), strict=True))).items()}
    assert {id: one.key for id, one in found.items()} == again


# --- results that a body reads by itself ---


def test_results_that_a_body_reads_through_its_block_count() -> None:
    with workflow("w") as wf:

        @task
        def extract() -> int:
            return 1

        @task(cache=True)
        def load(x: int = 1) -> int:
            return wf.get_result(extract) + x

        extract >> load  # type: ignore[operator]

    plan = compile_plan(wf.workflow)
    first, again, other = (keys(plan, {"extract": value})["load"] for value in (1, 1, 2))
    assert first == again
    assert first.key != other.key
    assert explain(first.parts, other.parts) == "result of 'extract' changed"

    def unavailable(i: int) -> Any:
        raise ResultUnavailableError("skipped")

    i = plan.index["load"]
    assert key_of(plan, i, ([], {}), result_of=unavailable).key not in (first.key, other.key)
    with pytest.raises(CacheKeyError) as caught:
        key_of(plan, i, ([], {}))
    assert str(caught.value) == (
        "task 'load' cannot be cached: its body may read the result of 'extract' through its block, and that is not "
        "at hand; pass it as an input"
    )


# --- what cannot be digested ---


@contextmanager
def connection() -> Iterator[sqlite3.Connection]:
    conn = sqlite3.connect(":memory:")
    try:
        yield conn
    finally:
        conn.close()


CURE = (
    "whose content cannot be read; pass what identifies it instead, give its class a method __graflow_digest__, "
    "or take the cache off"
)


def refusal(one: AnyTask) -> str:
    with pytest.raises(CacheKeyError) as caught:
        key(one)
    return str(caught.value)


def test_an_input_without_readable_content_is_refused() -> None:
    def load(conn: Any, x: int = 0) -> int:
        return x

    with connection() as conn:
        for value in (conn, [1, {"c": conn}]):
            assert refusal(Task("x", load, cache=True)(value)) == (
                f"task 'x' cannot be cached: its input 'conn' holds a sqlite3.Connection, {CURE}"
            )
    numbers = (k for k in range(3))
    assert refusal(Task("x", load, cache=True)(1, numbers)) == (
        f"task 'x' cannot be cached: its input 'x' holds a generator, {CURE}"
    )


def test_every_reader_of_such_an_input_is_refused() -> None:
    plan, readers = fan(3)
    memo, lock = KeyMemo(plan), [threading.Lock()]
    for id in readers:
        with pytest.raises(CacheKeyError, match=r"input 'a' holds a _thread\.lock"):
            key_of(plan, plan.index[id], ([lock, 1], {}), memo)


def test_code_that_captured_such_a_thing_is_refused() -> None:
    with connection() as conn:

        def query() -> Any:
            return conn

        def load(x: int, db: Any = conn) -> Any:
            return db

        def outer() -> Any:
            return query()

        head = "task 'x' cannot be cached:"
        assert refusal(Task("x", query, cache=True)) == (
            f"{head} its closure variable 'conn' holds a sqlite3.Connection, {CURE}"
        )
        assert (
            refusal(Task("x", load, cache=True)(1)) == f"{head} its default of 'db' holds a sqlite3.Connection, {CURE}"
        )
        assert refusal(Task("x", outer, cache=True)) == (
            f"{head} the closure variable 'conn' of its helper "
            f"'test_code_that_captured_such_a_thing_is_refused.query' holds a sqlite3.Connection, {CURE}"
        )
        assert refusal(Task("x", conn.execute, cache=True)("select 1")).startswith(f"{head} its ")


# --- why ---


def test_why_a_key_is_another() -> None:
    parts = {"code": "1", "python": "3.11", "version": "0", "helper clean.strip": "1", "input rows": "1"}
    changed = {"helper clean.strip": "2"}
    assert explain(None, parts) == "never cached before"
    assert explain(parts, parts) == "nothing changed"
    assert explain(parts, {**parts, **changed}) == "helper 'clean.strip' changed"
    assert explain(parts, {**parts, "code": "2"}) == "its code changed"
    assert explain(parts, {**parts, "version": "1"}) == "version changed from 0 to 1"
    assert explain(parts, {**parts, "input rows": "2"}) == "input 'rows' changed"
    assert explain(parts, {**parts, "input more": "2"}) == "input 'more' is new"
    assert explain({**parts, "input more": "2"}, parts) == "input 'more' is gone"
    assert explain(parts, {**parts, "constant RATE": "2"}) == "constant 'RATE' is new"
    assert explain({**parts, "constant RATE": "2"}, parts) == "constant 'RATE' is gone"
    assert explain(parts, {**parts, "code": "2", "constant RATE": "2"}) == "its code changed"
    assert explain(parts, {**parts, "helper (others)": "2"}) == "a helper of its helpers is new"
    assert explain(parts, {**parts, **changed, "version": "1", "input rows": "2"}) == (
        "helper 'clean.strip' changed, version changed from 0 to 1, input 'rows' changed"
    )
    assert explain(parts, {**parts, "python": "3.12", "code": "2", "input rows": "2"}) == (
        "Python changed from 3.11 to 3.12, input 'rows' changed"
    )
    many = {f"input a{k}": "1" for k in range(9)}
    assert explain(parts, {**parts, **many}) == (
        "input 'a0' is new, input 'a1' is new, input 'a2' is new, input 'a3' is new, 5 more"
    )


def test_a_key_of_many_helpers_names_the_nearest() -> None:
    def parts(last: int) -> dict[str, str]:
        scope: dict[str, Any] = {"__name__": "made"}
        names = [f"h{k}" for k in range(150)]
        for k, name in enumerate(names):
            following = names[k + 1] if k + 1 < len(names) else str(last)
            exec(f"def {name}(): return {following}", scope)
        return key(Task("t", scope["h0"], cache=True)).parts

    before, after = parts(1), parts(2)
    assert "helper h50" in before
    assert len(before) < 110
    assert explain(before, after) == "a helper of its helpers changed"


@pytest.mark.parametrize(
    ("created", "now", "expires", "text"),
    [
        (0, 0.5, None, "cached 0 s ago"),
        (10, 5, None, "cached 0 s ago"),
        (0, 59.9, 60, "cached 59 s ago"),
        (0, 150, None, "cached 2 min ago"),
        (0, 3 * 3600 + 3599, 86_400, "cached 3 h ago"),
        (0, 3 * 86_400, None, "cached 3 d ago"),
        (0, 3 * 3600, 3600, "cached 3 h ago, expired 2 h ago"),
    ],
)
def test_how_old_a_result_is(created: float, now: float, expires: float | None, text: str) -> None:
    assert freshness(created, now, expires) == text


# --- other processes ---

PIPELINE = """
import cleaning
from graflow import Task
RATE = {rate}
KINDS = {{"a", "b", "c"}}
def load(n, names=None):
    return cleaning.clean(n) * RATE
def count(names):
    return len(KINDS & names)
def plain(x):
    return x
"""
CLEANING = """
import strings
def clean(n):
    return strings.strip(n)
def unused(n):
    return n
"""
STRINGS = """
WIDTH = {width}
def strip(n):
    return n{op}WIDTH
"""
SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import pipeline
from graflow import Task, Workflow
from graflow.core.plan import compile_plan
from graflow.core._fingerprint import task_fingerprints
from graflow.engine.cache import key_of
names = {"x", "y", ("z", 1), frozenset({"p", "q"})}
tasks = [
    Task("load", pipeline.load, cache=True)(1, names), Task("count", pipeline.count, cache=True)(names),
    Task("plain", pipeline.plain, cache=True)({"b": {1, "k"}, "a": 2}),
]
workflow = Workflow.of("w", *tasks, returns=tasks[0])
plan = compile_plan(workflow)
values = {"load": [1, names], "count": [names], "plain": [{"a": 2, "b": {"k", 1}}]}
print(json.dumps({
    "keys": {id: list(key_of(plan, i, (values[id], {}))) for i, id in enumerate(plan.ids)},
    "fingerprints": dict(zip(plan.ids, task_fingerprints(workflow._structure))),
}, sort_keys=True))
"""


def in_process(folder: Path, seed: int = 0, rate: int = 2, width: int = 3, op: str = "+", comment: str = "") -> Any:
    import json

    for name, source in {"pipeline": PIPELINE, "cleaning": CLEANING, "strings": STRINGS}.items():
        text = textwrap.dedent(source)
        text = text if name == "cleaning" else text.format(rate=rate, width=width, op=op)
        (folder / f"{name}.py").write_text(comment + text)
    done = subprocess.run(
        [sys.executable, "-B", "-c", SCRIPT, str(folder)],
        env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_processes_agree_and_an_edit_two_calls_away_changes_the_tasks_that_use_it(tmp_path: Path) -> None:
    first = in_process(tmp_path)
    assert in_process(tmp_path, seed=7, comment='"""A module."""\n# moved\n\n') == first

    def difference(**edit: Any) -> dict[str, str]:
        now = in_process(tmp_path, **edit)
        moved = {id for id in now["fingerprints"] if now["fingerprints"][id] != first["fingerprints"][id]}
        found = {
            id: explain(first["keys"][id][1], now["keys"][id][1])
            for id in now["keys"]
            if now["keys"][id][0] != first["keys"][id][0]
        }
        assert set(found) == moved
        return found

    assert difference(width=4) == {"load": "constant 'strings.WIDTH' changed"}
    assert difference(op="-") == {"load": "helper 'strings.strip' changed"}
    assert difference(rate=5) == {"load": "constant 'RATE' changed"}


# --- which tasks changed since a run was stored ---


def prints(*tasks: AnyTask) -> dict[str, str]:
    built = Workflow.of("made", *tasks, returns=tasks[-1])
    return dict(zip(built._structure.index, task_fingerprints(built._structure), strict=True))


def test_a_task_fingerprint_covers_code_and_bindings() -> None:
    source = Task("source", lambda: 1)
    rows = Task("rows", lambda: 1)
    bound: list[Callable[[AnyTask], AnyTask]] = [
        lambda t: t(1),
        lambda t: t(2),
        lambda t: t(1, 2),
        lambda t: t(True),
        lambda t: t([1]),
        lambda t: t(source.out),
        lambda t: t(rows.out),
        lambda t: t(source.out[0]),
        lambda t: t(source.out.name),
        lambda t: t([source.out]),
        lambda t: t((source.out,)),
        lambda t: t({"a": source.out}),
        lambda t: t({"b": source.out}),
        lambda t: t(1, 2, 3),
        lambda t: t(1, 2, source.out),
        lambda t: t(1, d=3),
        lambda t: t(1, e=3),
        lambda t: t(inputs(Model)),
        lambda t: t(inputs(Model).a),
    ]

    def of(make: Callable[[AnyTask], AnyTask]) -> str:
        one = make(Task("t", join))
        built = Workflow.builder("made", inputs=Model).add_all([source, rows, one]).build()
        return dict(zip(built._structure.index, task_fingerprints(built._structure), strict=True))["t"]

    found = [of(make) for make in bound]
    assert len(set(found)) == len(found)
    assert found == [of(make) for make in bound]
    assert {len(one) for one in found} == {32}
    assert of(lambda t: t(1).after(source)) == of(lambda t: t(1).with_policy(timeout=3)) == found[0]


def test_a_changed_task_changes_its_own_fingerprint_only() -> None:
    def made(n: int, k: int) -> dict[str, str]:
        first = Task("first", lambda: n)
        second = Task("second", join)(first.out, k)
        return prints(first, second)

    before = made(1, 1)
    assert made(1, 1) == before
    assert {id for id, one in made(2, 1).items() if one != before[id]} == {"first"}
    assert {id for id, one in made(1, 2).items() if one != before[id]} == {"second"}


def test_to_need_a_success_and_to_take_an_outcome_are_two_things() -> None:
    source, reader = Task("source", lambda: 1), Task("reader", join)
    either = Workflow.of("made", source, reader(source.outcome), returns=reader)
    success = Workflow.of("made", source, reader(source.outcome).after(source), returns=reader)
    result = Workflow.of("made", source, reader(source.out), returns=reader)
    assert len({either.fingerprint, success.fingerprint, result.fingerprint}) == 3
    prints = [task_fingerprints(one._structure) for one in (either, success, result)]
    assert prints[0] == prints[1] != prints[2]  # it makes the same of what it gets


def test_a_task_inside_a_nested_workflow_changes_alone() -> None:
    def made(n: int) -> dict[str, str]:
        inner = Task("inner", lambda: n)
        nested = Workflow.of("nested", inner, returns=inner).as_task("nested")
        return prints(nested, Task("after", join)(nested.out))

    before, after = made(1), made(2)
    assert {id for id in before if before[id] != after[id]} == {"nested/inner"}


def test_the_bindings_of_tasks_that_share_a_function_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import graflow.core._fingerprint as module

    asked: list[Any] = []
    digest = module.digest_callable
    monkeypatch.setattr(module, "digest_callable", lambda fn, **kw: asked.append(fn) or digest(fn, **kw))
    source, shared = Task("source", lambda: 1), Task("shared", join)
    tasks = [shared.named(f"t{k}")(source.out, k) for k in range(50)]
    assert len(set(prints(source, *tasks).values())) == 51
    assert len(asked) == 2
