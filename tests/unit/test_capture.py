"""What a callable reads, captures and holds."""

import contextlib
import functools
import gc
import sys
import threading
import types
from collections import deque
from dataclasses import dataclass
from typing import Any

import pytest

from graflow.core._capture import EMPTY, MISSING, Snapshot, captured, holds, reads, snapshot
from graflow.core._code import functions_in, is_own, per_code

LIMIT = 10
TABLE = {"a": 1}


def seen(fn: Any) -> list[tuple[str, Any]]:
    """The variables of a snapshot, as a list."""
    snap = snapshot(fn)
    return [] if snap is None else list(snap.variables)


def run(source: str, **names: Any) -> dict[str, Any]:
    """A module made of source."""
    scope: dict[str, Any] = {"__name__": "made", **names}
    exec(compile(source, "made.py", "exec"), scope)
    return scope


def plain(x: int) -> int:
    return x + 1


def reader(x: int) -> int:
    return x + LIMIT + len([x])


# --- reads ---


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return x", ()),
        ("return b + a.c + b", ("b", "a")),
        ("return [a for _ in x]", ("a",)),
        ("return lambda: a + (lambda: b)", ("a", "b")),
        ("return {k: v for k in a for v in b}", ("a", "b")),
        ("return (y for y in a if y > b)", ("a", "b")),
        ("a = 1\n    return a", ()),
        ("def inner():\n        return len(a)\n    return inner", ("len", "a")),
        ("class Inner:\n        y = a\n        def method(self): return b\n    return Inner", ("__name__", "a", "b")),
        ("global a\n    a = 1\n    return b", ("b",)),
        ("return x.attribute.other", ()),
        ("import a\n    return a", ()),
    ],
)
def test_reads_are_the_globals_of_the_code_and_of_all_code_inside(body: str, expected: tuple[str, ...]) -> None:
    assert reads(run(f"def f(x):\n    {body}\n")["f"].__code__) == expected


def test_the_answer_is_kept_per_code_object_and_goes_with_it() -> None:
    asked: list[str] = []

    def ask(code: types.CodeType) -> str:
        asked.append(code.co_name)
        return code.co_name

    look_up = per_code(ask)
    functions = [run("def f(): return x")["f"] for _ in range(3)]
    assert functions[0].__code__ == functions[1].__code__  # equal, and still two
    assert [look_up(f.__code__) for f in functions * 2] == ["f"] * 6
    assert len(asked) == 3
    known: Any = look_up.__closure__[0].cell_contents  # type: ignore[attr-defined, index]
    assert len(known) == 3
    functions.clear()
    gc.collect()
    assert not known


# --- snapshot ---


def test_a_function_that_captures_nothing_has_no_snapshot() -> None:
    def only_builtins(x: list[int]) -> int:
        return sum(x) + len(x) + int(isinstance(x, list))

    assert snapshot(plain) is None
    assert snapshot(only_builtins) is None
    assert snapshot(len) is None
    assert snapshot(int) is None
    assert snapshot(functools.partial(plain, 1)) is None


def test_it_holds_what_cells_and_globals_held() -> None:
    x = ["x"]

    def f() -> Any:
        return x, later, LIMIT, UNKNOWN, len  # type: ignore[name-defined]  # noqa: F821

    snap = snapshot(f)
    assert isinstance(snap, Snapshot)
    x, later = ["changed"], 1
    assert list(snap.variables) == [("later", EMPTY), ("x", ["x"]), ("LIMIT", 10), ("UNKNOWN", MISSING)]
    with pytest.raises(AttributeError):
        snap.seen = ()  # type: ignore[misc]


def test_what_the_function_assigns_itself_is_state_and_left_out() -> None:
    count = 0

    def counts() -> None:
        nonlocal count
        count += 1

    def counts_deep() -> None:
        def inner() -> None:
            nonlocal count
            count += 1

        inner()

    def shadows() -> int:
        def inner() -> int:
            count = 1
            return count

        return inner() + count

    assert seen(counts) == []
    assert seen(counts_deep) == []
    assert seen(shadows) == [("count", 0)]
    made = run("n = 0\ndef f():\n    global n\n    n += 1\ndef g():\n    return n\n")
    assert seen(made["f"]) == []
    assert seen(made["g"]) == [("n", 0)]


class Called:
    def __call__(self) -> int:
        return LIMIT

    def method(self) -> int:
        return LIMIT

    @staticmethod
    def static() -> int:
        return LIMIT


def through_wraps(fn: Any) -> Any:
    @functools.wraps(fn)
    def wrapper(*args: Any) -> Any:
        return fn(*args)

    return wrapper


def without_wraps(fn: Any) -> Any:
    return lambda *args: fn(*args)


@pytest.mark.parametrize(
    "fn",
    [
        reader,
        functools.partial(reader, 1),
        functools.partial(functools.partial(reader), x=1),
        Called(),
        Called().method,
        Called.static,
        Called.__dict__["static"],
        functools.lru_cache(reader),
        through_wraps(reader),
        without_wraps(reader),
        through_wraps(without_wraps(functools.partial(reader, 1))),
        without_wraps(Called().method),
    ],
    ids=range(12),
)
def test_it_looks_through_what_wraps_a_function(fn: Any) -> None:
    assert ("LIMIT", 10) in seen(fn)


def test_layers_that_hold_each_other_end() -> None:
    reader_too = types.FunctionType(reader.__code__, globals())
    reader_too.__wrapped__ = reader_too  # type: ignore[attr-defined]
    assert functions_in(reader_too) == [reader_too]
    assert seen(reader_too) == [("LIMIT", 10)]


def test_the_globals_of_a_library_are_its_own_business() -> None:
    @contextlib.contextmanager
    def block() -> Any:
        yield LIMIT

    assert seen(block) == [("func", block.__wrapped__), ("LIMIT", 10)]  # type: ignore[attr-defined]
    assert not is_own("contextlib")
    assert not is_own("pytest")
    assert not is_own("graflow.core.task")
    assert not is_own("builtins")
    assert is_own(__name__)
    assert is_own("__main__")
    assert is_own("not.imported")


# --- captured ---


def test_captured_names_what_a_function_holds() -> None:
    x = 1

    def f(a: int, b: int = 2, *, c: int = 3) -> Any:
        return a, x, TABLE, UNKNOWN, len  # type: ignore[name-defined]  # noqa: F821

    f.cache = {}  # type: ignore[attr-defined]
    assert list(captured(f)) == [
        ("closure variable 'x'", 1),
        ("default of 'b'", 2),
        ("default of 'c'", 3),
        ("attribute 'cache'", {}),
        ("global 'TABLE'", TABLE),
    ]


def test_captured_names_what_a_callable_holds() -> None:
    class Slotted:
        __slots__ = ("__secret", "empty")

        def __init__(self) -> None:
            self.__secret = 5

        def __call__(self) -> Any:
            return TABLE

    bound = Called().method
    assert list(captured(functools.partial(reader, 1, y=2))) == [
        ("argument 0 of partial", 1),
        ("argument 'y' of partial", 2),
        ("global 'LIMIT'", 10),
    ]
    assert list(captured(bound)) == [("bound self", bound.__self__), ("global 'LIMIT'", 10)]  # type: ignore[attr-defined]
    assert list(captured(Slotted())) == [("attribute '_Slotted__secret'", 5), ("global 'TABLE'", TABLE)]
    assert list(captured(Called.__dict__["static"])) == [("global 'LIMIT'", 10)]
    assert list(captured(len)) == list(captured(int)) == []


# --- holds ---


class Block:
    """What is looked for."""


BLOCK = Block()


def is_block(value: object) -> bool:
    return isinstance(value, Block)


def reads_block() -> Any:
    return BLOCK


def calls_reader() -> Any:
    return reads_block()


class Helper:
    def go(self) -> Any:
        return BLOCK


@dataclass(slots=True)
class Slot:
    inner: Any


def capturing(value: Any) -> Any:
    return lambda: value


def with_default(value: Any) -> Any:
    def f(x: Any = value) -> None: ...

    return f


HOLDING: dict[str, Any] = {
    "closure": capturing(BLOCK),
    "default": with_default(BLOCK),
    "global": reads_block,
    "helper": calls_reader,
    "list": capturing([1, [BLOCK]]),
    "dict key": capturing({BLOCK: 1}),
    "dict value": capturing({"a": (BLOCK,)}),
    "set": capturing({1, BLOCK}),
    "deque": capturing(deque([BLOCK])),
    "mapping": capturing(types.MappingProxyType({"a": BLOCK})),
    "object": capturing(types.SimpleNamespace(x=BLOCK)),
    "slot": capturing(Slot(BLOCK)),
    "function": capturing(capturing(BLOCK)),
    "partial": functools.partial(plain, BLOCK),
    "partial keyword": functools.partial(plain, x=functools.partial(plain, BLOCK)),
    "bound": types.MethodType(plain, Slot(BLOCK)),
    "bound method of a class": Helper().go,
    "instance": capturing(Helper()),
    "class": capturing(Helper),
    "cached": functools.lru_cache(reads_block),
    "library wrapper": capturing(contextlib.contextmanager(capturing(BLOCK))),
}


@pytest.mark.parametrize("how", HOLDING)
def test_holds_finds_what_is_captured(how: str) -> None:
    assert holds(HOLDING[how], is_block)


@pytest.mark.parametrize(
    "fn",
    [
        plain,
        reader,
        len,
        capturing([1, 2, {"a": (3, "x")}]),
        capturing(sys),
        capturing(threading.Lock()),
        capturing(list(range(200_000))),
        functools.partial(plain, 1),
        Called(),
        Called().method,
    ],
    ids=range(10),
)
def test_holds_nothing(fn: Any) -> None:
    assert not holds(fn, is_block)


def test_holds_reads_through_a_module_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("made")
    module.block, module.other = BLOCK, 1  # type: ignore[attr-defined]
    yes = run("def f(): return made.block", made=module)["f"]
    no = run("def f(): return made.other", made=module)["f"]
    assert holds(yes, is_block)
    assert not holds(no, is_block)
    module.__name__ = "json"
    assert not holds(yes, is_block)


def test_cycles_end_and_a_large_search_ends_on_the_safe_side() -> None:
    ring: list[Any] = []
    ring.append({"ring": ring, "fn": capturing(ring)})
    assert not holds(capturing(ring), is_block)
    assert holds(capturing([[k] for k in range(20_000)]), is_block)
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    assert not holds(capturing(deep), is_block)


def test_what_was_found_clean_is_not_opened_again() -> None:
    asked: list[Any] = []

    def asks(value: object) -> bool:
        asked.append(value)
        return is_block(value)

    shared = [[k] for k in range(100)]
    clean: dict[int, Any] = {}
    assert not holds(capturing(shared), asks, clean=clean)
    first = len(asked)
    assert not holds(capturing(shared), asks, clean=clean)
    assert len(asked) - first == 1  # the second function, and nothing in it
    assert holds(capturing([shared, BLOCK]), asks, clean=clean)


def test_objects_that_refuse_to_be_looked_at_do_no_harm() -> None:
    class Proxy:
        @property
        def __class__(self) -> Any:
            raise RuntimeError("no context")

        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise RuntimeError("no context")

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("no context")

    proxy = Proxy()
    fn = capturing(proxy)
    assert not holds(fn, lambda value: type(value) is Block)
    assert [label for label, _ in captured(fn)] == ["closure variable 'value'"]
    assert [name for name, _ in seen(fn)] == ["value"]
    assert not holds(run("def f(): return p.x", p=proxy)["f"], lambda value: type(value) is Block)
