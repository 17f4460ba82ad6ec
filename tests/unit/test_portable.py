"""Why something cannot travel: each trap, its path, and that nothing innocent is blamed."""

from __future__ import annotations

import ast
import asyncio
import collections
import contextvars
import ctypes
import functools
import io
import itertools
import logging
import mmap
import queue
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graflow.engine import codec, portable
from graflow.engine.portable import Cargo, Obstacle, cargo, explain, obstacles
from graflow.errors import SerializationError

LOCK = threading.Lock()
STATE = {"db": [1, 2, types.SimpleNamespace(lock=LOCK)]}
TABLE = list(range(10**9, 10**9 + 400_000))
POOL = ThreadPoolExecutor(1)


def paths(obj: Any) -> list[str]:
    return [" → ".join(obstacle.path) for obstacle in obstacles(obj)]


# -- where it may hide ------------------------------------------------------------------------------------------------


@dataclass
class Box:
    content: Any
    more: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Slotted:
    first: Any
    second: Any = None


class Pair(NamedTuple):
    left: Any
    right: Any


class Client:
    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def fetch(self) -> Any:
        return self._sock


class OldSlots:
    __slots__ = ("held",)

    def __init__(self, held: Any) -> None:
        self.held = held


def test_what_can_travel_has_no_obstacles() -> None:
    assert obstacles([1, "two", {"three": (3.0, None)}, Box(b"x"), len, sys, print, lambda: 0]) == []


def test_a_function_that_travels_by_name_may_read_what_cannot() -> None:
    assert obstacles(reads_global) == []


def reads_global() -> Any:
    return STATE


def test_closure_variable_and_attribute() -> None:
    conn = Client(LOCK)
    assert paths(lambda: conn) == ["closure variable 'conn' → attribute '_sock'"]


def test_closure_of_a_closure() -> None:
    def inner() -> Any:
        return held

    held = {"a": LOCK}
    assert paths(lambda: inner()) == ["closure variable 'inner' → closure variable 'held' → key 'a'"]


def test_global_read_by_the_code() -> None:
    assert paths(lambda: STATE) == ["global 'STATE' → key 'db' → item 2 → attribute 'lock'"]


def test_global_read_by_nested_code() -> None:
    def outer() -> Any:
        def inner() -> Any:
            return [LOCK for _ in range(3)]

        return inner

    assert paths(outer) == ["global 'LOCK'"]


def test_an_attribute_named_like_a_global_is_not_a_global() -> None:
    assert obstacles(lambda x: x.LOCK) == []


def test_defaults() -> None:
    def fn(a: int, pool: Any = LOCK, *, kept: Any = (1, POOL)) -> None: ...

    assert paths(fn) == ["default of 'pool'", "default of 'kept' → item 1"]


def test_annotation_and_attribute_of_a_function() -> None:
    def fn() -> None: ...

    fn.__annotations__["return"] = Slotted(LOCK)
    fn.cache = {"x": POOL}  # type: ignore[attr-defined]
    assert paths(fn) == ["annotation of 'return' → attribute 'first'", "attribute 'cache' → key 'x'"]


def test_partials_and_bound_methods() -> None:
    assert paths(functools.partial(print, LOCK)) == ["partial argument 0"]
    assert paths(functools.partial(print, 1, sep=LOCK)) == ["partial keyword 'sep'"]
    assert paths(functools.partial(lambda x: LOCK, 1)) == ["partial function → global 'LOCK'"]
    assert paths(Client(LOCK).fetch) == ["bound self → attribute '_sock'"]
    assert paths(LOCK.acquire) == ["bound self"]


def test_a_callable_object() -> None:
    class Call:
        def __init__(self) -> None:
            self.lock = LOCK

        def __call__(self) -> None: ...

    assert paths(Call()) == ["attribute 'lock'"]


def test_instances_of_all_shapes() -> None:
    assert paths(Box(1, [0, LOCK])) == ["attribute 'more' → item 1"]
    assert paths(Slotted(1, {"k": LOCK})) == ["attribute 'second' → key 'k'"]
    assert paths(OldSlots([LOCK])) == ["attribute 'held' → item 0"]
    assert paths(Pair(1, LOCK)) == ["attribute 'right'"]
    assert paths(ValueError("x", LOCK)) == ["constructor argument 1"]


def test_containers_of_all_shapes() -> None:
    assert paths({LOCK}) == ["item of the set"]
    assert paths({LOCK: 1}) == ["key of the dict"]
    assert paths({(1, LOCK): 1}) == ["key of the dict → item 1"]
    assert paths({Pair(1, 2): LOCK}) == [f"key of type {__name__}.Pair"]
    assert paths(collections.deque([0, LOCK])) == ["item 1"]
    assert paths(collections.OrderedDict(a=LOCK)) == ["key 'a'"]
    assert paths(collections.defaultdict(list, a=[LOCK])) == ["key 'a' → item 0"]
    assert paths(types.MappingProxyType({"a": LOCK})) == ["key 'a'"]
    assert paths({"a": LOCK}.values()) == ["item 0"]
    assert "item" in paths(np.array([1, [LOCK]], dtype=object))[0]


def test_a_class_with_a_lock_as_class_attribute() -> None:
    class Shared:
        guard = threading.RLock()

        def use(self) -> Any:
            return LOCK

        @property
        def held(self) -> Any:
            return POOL

    assert paths(lambda: Shared) == [
        "closure variable 'Shared' → class attribute 'guard'",
        "closure variable 'Shared' → method 'use' → global 'LOCK'",
        "closure variable 'Shared' → method 'held' → global 'POOL'",
    ]
    assert paths(Shared())[0] == "class 'Shared' → class attribute 'guard'"

    class Derived(Shared): ...

    assert paths(Derived)[0] == "base class 'Shared' → class attribute 'guard'"


def test_a_model_with_a_private_lock() -> None:
    class Settings(pydantic.BaseModel):
        name: str
        inner: Any = None
        _guard: Any = pydantic.PrivateAttr(default_factory=threading.Lock)

    assert paths(Settings(name="x")) == ["attribute '_guard'"]
    extra = pydantic.create_model("Extra", __config__={"extra": "allow"})
    assert paths(extra(socket=LOCK)) == ["attribute 'socket'"]


def test_cycles_do_not_spread_the_blame() -> None:
    first, second = types.SimpleNamespace(), types.SimpleNamespace()
    first.other, second.other = second, first
    first.lock = LOCK
    assert paths(first) == ["attribute 'lock'"]
    assert paths(second) == ["attribute 'other' → attribute 'lock'"]
    circle: list[Any] = [LOCK]
    circle.append(circle)
    assert paths(circle) == ["item 0"]


def test_several_culprits_are_all_named_each_once() -> None:
    conn, held = Client(LOCK), [LOCK, POOL, threading.Lock()]
    assert paths(lambda: (conn, held, STATE)) == [
        "closure variable 'conn' → attribute '_sock'",
        "closure variable 'held' → item 1",
        "closure variable 'held' → item 2",
    ]


def test_a_root_comes_first() -> None:
    assert obstacles([LOCK], root="input 'rows'")[0].path == ("input 'rows'", "item 0")
    assert obstacles(LOCK, root="the result")[0].path == ("the result",)


# -- who is to blame --------------------------------------------------------------------------------------------------


class Custom:
    """Holds a lock and travels without it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Custom, ()


class Dropping:
    """Takes its lock away when it is pickled."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Refusing:
    """Does not want to be pickled, in its own words."""

    def __init__(self) -> None:
        self.lock = LOCK

    def __reduce__(self) -> tuple[Any, ...]:
        raise PermissionError("this stays here.")


class Nameless:
    """Claims to be a global that does not exist."""

    def __reduce__(self) -> str:
        return "no_such_global"


class Malformed:
    """Gives what is no reduction."""

    def __reduce__(self) -> Any:
        return (1, 2)


class Endless:
    """Never gets to the end of itself."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Endless, (Endless(),)


class Fickle:
    """Fails the first time only."""

    failed = False

    def __reduce__(self) -> tuple[Any, ...]:
        if not Fickle.failed:
            Fickle.failed = True
            raise OSError("not yet")
        return Fickle, ()


def test_objects_that_travel_without_their_locks_are_not_blamed() -> None:
    assert obstacles([Custom(), Dropping(), logging.getLogger("x"), sys.stdout]) == []
    assert paths([Custom(), Dropping(), LOCK]) == ["item 2"]


def test_an_object_that_refuses_is_blamed_in_its_own_words() -> None:
    assert obstacles({"key": Refusing()}) == [
        Obstacle(
            path=("key 'key'",),
            type_name=f"{__name__}.Refusing",
            why="pickling it raises PermissionError: this stays here",
            cure="build it inside the task",
        )
    ]


@pytest.mark.parametrize("culprit", [Nameless(), Malformed()])
def test_wrong_reductions_are_blamed_on_their_object(culprit: Any) -> None:
    assert paths([0, culprit]) == ["item 1"]


def test_without_a_smaller_culprit_the_object_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portable, "_MOST_OBJECTS", 500)
    found = obstacles(Endless())
    assert len(found) == 1
    assert found[0].type_name == f"{__name__}.Endless"


def test_nesting_too_deep_is_blamed_on_the_variable() -> None:
    tree: list[Any] = []
    for _ in range(100_000):
        tree = [tree]
    found = obstacles(lambda: tree)
    assert [(obstacle.path, obstacle.why) for obstacle in found] == [
        (("closure variable 'tree'",), "it is nested too deeply")
    ]


def test_a_search_cut_short_still_follows_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portable, "_MOST_OBJECTS", 10)
    nested: Any = LOCK
    for _ in range(20):
        nested = [[], nested]
    assert paths(nested) == [" → ".join(["item 1"] * 20)]


def test_an_object_that_fails_once_is_reported_by_what_it_raised() -> None:
    Fickle.failed = False
    with pytest.raises(SerializationError, match=r"cannot pickle a value of type .*Fickle: OSError: not yet"):
        codec.dumps(Fickle())


# -- kinds and cures --------------------------------------------------------------------------------------------------


def generator() -> Iterator[int]:
    yield 1


async def coroutine() -> None: ...


def culprits() -> Iterator[tuple[Any, str, Callable[[], object]]]:
    """One object of each known kind, a word of its cure, and how to be done with it."""
    nothing = lambda: None  # noqa: E731
    for made in (threading.Lock(), threading.RLock(), threading.Condition(), threading.Semaphore(), threading.Event()):
        yield made, "create it inside the task", nothing
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the test
    yield file, "pass the path and open it inside the task", file.close
    named = tempfile.NamedTemporaryFile()  # noqa: SIM115 - closed by the test
    yield named, "pass the path", named.close
    sock = socket.socket()
    yield sock, "connect inside the task", sock.close
    database = sqlite3.connect(":memory:")
    yield database.cursor(), "pass the connection string and connect inside the task", nothing
    yield database, "pass the connection string and connect inside the task", database.close
    yield generator(), "pass list(...)", nothing
    waiting = coroutine()
    yield waiting, "async function", waiting.close
    loop = asyncio.new_event_loop()
    yield loop.create_future(), "async function", nothing
    yield loop, "async function", loop.close
    pool = ThreadPoolExecutor(1)
    yield pool, "start it inside the task", pool.shutdown
    yield Future(), "start it inside the task", nothing
    yield threading.Thread(), "start it inside the task", nothing
    process = subprocess.Popen([sys.executable, "-c", ""])
    yield process, "start it inside the task", process.wait
    yield queue.Queue(), "pass the items as a list", nothing
    yield queue.SimpleQueue(), "pass the items as a list", nothing
    yield weakref.ref(generator), "pass the object itself", nothing
    yield weakref.WeakValueDictionary(), "pass the object itself", nothing
    yield ctypes.pointer(ctypes.c_int(1)), "pass the data", nothing
    yield ctypes.c_void_p(1), "pass the data", nothing
    yield ctypes.CDLL(None), "load the library", nothing
    mapped = mmap.mmap(-1, 10)
    yield mapped, "map the file inside the task", mapped.close
    yield sys._getframe(), "format_exception", nothing
    yield contextvars.ContextVar("x"), "pass the value itself", nothing
    yield threading.local(), "pass the value itself", nothing
    yield logging.StreamHandler(), "logging inside the task", nothing
    yield re.match("a", "a"), "match.group()", nothing
    yield type("FancyConnection", (Refusing,), {})(), "connect inside the task", nothing
    yield Refusing(), "build it inside the task", nothing


def test_every_kind_is_one_obstacle_with_its_cure() -> None:
    for culprit, cure, close in culprits():
        found = obstacles(lambda culprit=culprit: culprit)
        assert [obstacle.path for obstacle in found] == [("default of 'culprit'",)], culprit
        assert cure in found[0].cure, culprit
        close()


def test_kinds_are_known_by_their_base_classes() -> None:
    class Own(threading.Thread):
        pass

    found = obstacles(Own())
    assert [obstacle.cure for obstacle in found] == ["start it inside the task, or make the work tasks of the workflow"]


# -- words ------------------------------------------------------------------------------------------------------------


def test_explain() -> None:
    obstacle = Obstacle(("closure variable 'conn'", "attribute '_sock'"), "socket.socket", "it is bound", "make one")
    assert explain(obstacle) == (
        "closure variable 'conn' → attribute '_sock' (socket.socket) cannot travel to another process: "
        "it is bound. Make one."
    )
    assert explain(Obstacle((), "x.Y", "so it is", "do this")).startswith("the object itself (x.Y) cannot travel")


def test_the_message_lists_a_few_and_counts_the_rest() -> None:
    with pytest.raises(SerializationError) as caught:
        codec.dumps([threading.Lock() for _ in range(8)])
    lines = str(caught.value).splitlines()
    assert lines[0] == "cannot pickle a value of type list, for 8 reasons:"
    assert [line[:10] for line in lines[1:6]] == [f"  - item {number}" for number in range(5)]
    assert lines[6:] == ["  - and 3 more"]


# -- cargo ------------------------------------------------------------------------------------------------------------


def test_light_functions_have_no_cargo() -> None:
    small = [1, 2, 3]
    assert cargo(lambda: small) == []
    assert cargo(reads_table) == []  # travels by name


def reads_table() -> Any:
    return TABLE


def test_cargo_names_the_heavy_variables_heaviest_first() -> None:
    image, small = np.zeros(1_000_000), [1]
    found = cargo(lambda: (image, TABLE, small))
    assert [one.variable for one in found] == ["closure variable 'image'", "global 'TABLE'"]
    assert [one.size for one in found] == [codec.weigh(image), codec.weigh(TABLE)] or found[0].size > 8_000_000
    assert found[1].size > 1 << 20


def test_cargo_looks_into_partials_and_methods() -> None:
    data = b"x" * 3000
    assert cargo(functools.partial(lambda x: data, 1), limit=2000) == [
        Cargo("partial function → closure variable 'data'", codec.weigh((lambda: data).__closure__[0]))  # type: ignore[index]
    ]
    assert [one.variable for one in cargo(functools.partial(print, data), limit=2000)] == ["partial argument 0"]
    assert [one.variable for one in cargo(Client(data).fetch, limit=2000)] == ["bound self"]


def test_many_small_variables_add_up() -> None:
    def fn(a: bytes = b"a" * 600, b: bytes = b"b" * 700, c: bytes = b"c" * 500) -> None: ...

    weight = codec.weigh(fn)
    assert cargo(fn, limit=weight) == []
    assert [one.variable for one in cargo(fn, limit=weight - 1)] == ["default of 'b'"]
    assert [one.variable for one in cargo(fn, limit=weight - 1000)] == ["default of 'b'", "default of 'a'"]


def test_shared_data_is_named_with_every_variable_that_holds_it() -> None:
    data = b"x" * 5000
    one, two = [data], [data]
    assert len(cargo(lambda: (one, two), limit=4000)) == 2


def test_what_cannot_travel_has_no_cargo() -> None:
    data = b"x" * 5000
    assert cargo(lambda: (data, LOCK), limit=100) == []


# -- any nesting ------------------------------------------------------------------------------------------------------

names = st.text("abcxyz_", min_size=1, max_size=5).filter(lambda name: not name.startswith("__"))
innocent = st.recursive(
    st.none() | st.integers(-9, 9) | st.text("ab", max_size=3) | st.builds(Custom) | st.builds(io.BytesIO),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3) | st.builds(Box, inner),
    max_leaves=6,
)


def closed_over(value: Any) -> Callable[[], Any]:
    return lambda: value


def given_as_default(value: Any) -> Callable[..., Any]:
    return lambda given=value: given


@st.composite
def wrapped(draw: st.DrawFn, inner: Any) -> Any:
    """Put an object into something, beside innocent neighbours."""
    before, after = draw(st.lists(innocent, max_size=2)), draw(st.lists(innocent, max_size=2))
    name = draw(names)
    return draw(
        st.sampled_from(
            [
                [*before, inner, *after],
                (*before, inner, *after),
                collections.deque([*before, inner, *after]),
                {**dict(zip("ABC", before, strict=False)), name: inner, **dict(zip("DEF", after, strict=False))},
                collections.OrderedDict({name: inner}),
                Box(inner, after),
                Slotted(before, inner),
                Pair(inner, after),
                OldSlots(inner),
                types.SimpleNamespace(**{name: inner}),
                functools.partial(print, *before, inner),
                functools.partial(print, *before, sep=inner),
                closed_over(inner),
                given_as_default(inner),
                Client(inner).fetch,
            ]
        )
    )


@st.composite
def planted(draw: st.DrawFn) -> tuple[Any, Any]:
    lock = threading.Lock()
    whole: Any = lock
    for _ in range(draw(st.integers(0, 6))):
        whole = draw(wrapped(whole))
    return whole, lock


def follow(obj: Any, step: str) -> Any:
    """Take one step of a path, as a reader of the report would."""
    if step == "bound self":
        return obj.__self__
    what, _, name = step.rpartition(" ")
    literal = ast.literal_eval(name)
    match what:
        case "item":
            return obj[literal]
        case "key":
            return obj[literal]
        case "attribute":
            return getattr(obj, literal)
        case "partial argument":
            return obj.args[literal]
        case "partial keyword":
            return obj.keywords[literal]
        case "closure variable":
            return dict(zip(obj.__code__.co_freevars, obj.__closure__, strict=True))[literal].cell_contents
        case "default of":
            return obj.__defaults__[obj.__code__.co_varnames.index(literal)]
        case _:
            raise AssertionError(f"no way to follow {step!r}")


@given(planted())
def test_the_path_leads_to_the_planted_lock(case: tuple[Any, Any]) -> None:
    whole, lock = case
    (found,) = obstacles(whole)
    assert found.type_name == "_thread.lock"
    assert functools.reduce(follow, found.path, whole) is lock


@given(innocent)
def test_innocent_nestings_have_no_obstacles(value: Any) -> None:
    assert obstacles(value) == []


@given(planted(), planted())
def test_two_planted_locks_are_both_found(one: tuple[Any, Any], two: tuple[Any, Any]) -> None:
    whole = (one[0], two[0])
    reached = [functools.reduce(follow, obstacle.path, whole) for obstacle in obstacles(whole)]
    assert sorted(map(id, reached)) == sorted((id(one[1]), id(two[1])))


def test_long_keys_are_cut() -> None:
    (path,) = paths({"k" * 1000: LOCK})
    assert len(path) < 50
    assert path.startswith("key 'kkk")


def test_a_wide_container_is_searched_to_its_end() -> None:
    rows: list[Any] = [(number, "x") for number in itertools.islice(itertools.count(), 50_000)]
    rows.append(LOCK)
    assert paths(rows) == ["item 50000"]
