"""Digests of code and values: what changes them, what does not, and that every process finds the same."""

import builtins
import collections
import contextlib
import enum
import functools
import itertools
import os
import subprocess
import sys
import textwrap
import threading
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import graflow.core._digest as digest_module
from graflow.core._digest import Memo, digest_callable, digest_value


def run(source: str, file: str = "made.py", **names: Any) -> dict[str, Any]:
    """A module made of source."""
    scope: dict[str, Any] = {"__name__": "made", **names}
    exec(compile(textwrap.dedent(source), file, "exec"), scope)
    return scope


def of(source: str, name: str = "f", file: str = "made.py", **names: Any) -> str:
    """The digest of one function of a module made of source."""
    return digest_callable(run(source, file, **names)[name])


# --- code ---

PIPELINE = """
import functools
RATE = 2
def inner(x):
    return x * 3
def helper(x):
    return inner(x) + 1
class Tool:
    scale: int = 4
    def use(self, x):
        return helper(x) * self.scale
def f(x, y=1, *, z=2):
    "What it does."
    class Local:
        "Inside."
        def get(self):
            self.b, self.a = 1, 2
            return x
    if x in {"a", "b", "c"}:
        return [helper(n) * RATE for n in range(y)]
    return Tool().use(x), Local().get(), z, 1.5, None
"""


def test_a_digest_is_64_hex_digits() -> None:
    assert len(of(PIPELINE)) == 64
    assert int(of(PIPELINE), 16)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RATE = 2", "\n\n# a comment\n\nRATE = 2"),
        ('    "What it does."\n', ""),
        ('"What it does."', '"""What it\n    does, at length."""'),
        ('        "Inside."\n', ""),
        ("    return x * 3", "    # three\n    return (\n        x * 3\n    )"),
        ("def inner(x):", 'def inner(x):\n    "Times three."'),
        ('{"a", "b", "c"}', '{"c", "b", "a"}'),
        ("import functools", "import functools, json"),
        ("class Tool:", 'class Tool:\n    "A tool."'),
        ("y=1", "y = 1"),
    ],
)
def test_what_says_nothing_changes_nothing(old: str, new: str) -> None:
    assert old in PIPELINE
    assert of(PIPELINE.replace(old, new), file="elsewhere.py") == of(PIPELINE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x * 3", "x * 4"),
        ("x * 3", "x + 3"),
        ("inner(x) + 1", "inner(x) + 1.0"),
        ("inner(x) + 1", "inner(x) + True"),
        ("RATE = 2", "RATE = 3"),
        ("scale: int = 4", "scale: int = 5"),
        ("scale: int = 4", "scale: float = 4"),
        ("* self.scale", "+ self.scale"),
        ("y=1", "y=2"),
        ("z=2", "z=3"),
        ("*, z=2", "z=2"),
        ('"a", "b", "c"', '"a", "b", "d"'),
        ("range(y)", "range(y + 1)"),
        ("for n in range(y)]", "for n in range(y) if n]"),
        ("self.b, self.a = 1, 2", "self.b, self.a = 2, 1"),
        ("1.5, None", "1.5, True"),
        ("def f(x", "async def f(x"),
    ],
)
def test_what_changes_the_work_changes_the_digest(old: str, new: str) -> None:
    assert old in PIPELINE
    assert of(PIPELINE.replace(old, new)) != of(PIPELINE)


def test_its_own_name_and_module_do_not_count() -> None:
    assert of("def f(x): return x + 1") == of("def g(x): return x + 1", "g", __name__="other")
    assert of("f = lambda x: x + 1") == of("def f(x): return x + 1")


def test_adding_a_docstring_moves_no_constant() -> None:
    bare, documented = (
        "def f(x):\n    if x: return None\n    return 7",
        "def f(x):\n    'Doc.'\n    if x: return None\n    return 7",
    )
    assert run(bare)["f"].__code__.co_consts != run(documented)["f"].__code__.co_consts
    assert of(bare) == of(documented)


def test_closures_count_by_what_they_hold() -> None:
    def make(n: Any) -> Callable[[], Any]:
        return lambda: n

    assert digest_callable(make(1)) == digest_callable(make(1))
    assert digest_callable(make([1, {"a": {2}}])) == digest_callable(make([1, {"a": {2}}]))
    digests = [digest_callable(make(n)) for n in (1, 2, True, 1.0, "1", None, [1], (1,), make(1), make(2))]
    assert len(set(digests)) == len(digests)


def test_a_closure_variable_without_value_counts() -> None:
    def make(fill: bool) -> Callable[[], Any]:
        if fill:
            later = 1
        return lambda: later

    assert digest_callable(make(True)) != digest_callable(make(False))


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        ("1", "2", True),
        ("'a'", "'b'", True),
        ("(1, 'a')", "(1, 'b')", True),
        ("frozenset({1})", "frozenset({2})", True),
        ("Decimal('1')", "Decimal('2')", True),
        ("Path('data/a')", "Path('data/b')", True),
        ("re.compile('a')", "re.compile('b')", True),
        ("'/api/users'", "'/api/posts'", True),
        ("[1]", "[2]", False),  # state, as far as anybody can tell
        ("{'a': 1}", "{'a': 2}", False),
        ("object()", "object()", False),
        ("HERE", "HERE + '/data'", False),  # where, not what
        ("Path(HERE).parent", "Path(HERE)", False),
        ("[one]", "[two]", True),
        ("{'a': one}", "{'a': two}", True),
        ("(one, [])", "(two, [])", True),
        ("{one, two}", "{two, three}", True),
        ("{one, two}", "{two, one}", False),
        ("partial(one, 1)", "partial(one, 2)", True),
        ("lru_cache(one)", "lru_cache(two)", True),
        ("one", "two", True),
        ("Made", "Other", True),
        ("Made()", "Other()", True),
        ("Made().method", "Other().method", True),
        ("print", "len", True),
        ("json", "re", True),
    ],
)
def test_globals_count_if_they_are_code_or_constants(before: str, after: str, differs: bool, tmp_path: Path) -> None:
    source = """
        import json, re
        from decimal import Decimal
        from functools import lru_cache, partial
        from pathlib import Path
        def one(x=None): return 1
        def two(x=None): return 2
        def three(x=None): return 3
        class Made:
            def method(self): return 1
        class Other:
            def method(self): return 2
        VALUE = {}
        def f(): return VALUE
    """
    file = str(tmp_path / "made.py")
    first, second = (of(source.format(value), file=file, HERE=str(tmp_path)) for value in (before, after))
    assert (first != second) is differs


def test_dunder_globals_and_those_it_assigns_do_not_count() -> None:
    source = "n = 0\ndef f():\n    global n\n    n += 1\n    return __file__"
    assert of(source, __file__="a.py") == of(source.replace("n = 0", "n = 5"), __file__="b.py")


def test_a_helper_reached_through_a_module_of_the_users_own_counts() -> None:
    def digest(constant: int, used: str = "helper", name: str = "tools") -> str:
        tools, package = types.ModuleType(name), types.ModuleType("package")
        tools.__dict__.update(run(f"def helper(): return {constant}\ndef other(): return 1", __name__=name))
        package.tools = tools  # type: ignore[attr-defined]
        return of(f"def f(): return package.tools.{used}()", package=package)

    assert digest(1) == digest(1)
    assert digest(1) != digest(2)
    assert digest(1, used="other") == digest(2, used="other")
    assert digest(1, name="json") == digest(2, name="json")


def test_a_module_in_a_closure_counts_as_one_among_the_globals() -> None:
    def digest(constant: int) -> str:
        tools = types.ModuleType("tools")
        tools.helper = run(f"def helper(): return {constant}")["helper"]  # type: ignore[attr-defined]
        return digest_callable(lambda: tools.helper())

    assert digest(1) == digest(1) != digest(2)


def test_recursion_ends() -> None:
    source = """
        def f(n): return n and g(n - {0})
        def g(n): return n and h(n - {1})
        def h(n): return n and (f(n - 1) or g(n - 1) or h(n - 1))
    """
    digests = {(a, b, name): of(source.format(a, b), name) for a in (1, 2) for b in (1, 2) for name in "fgh"}
    assert len(set(digests.values())) == len(digests)
    assert digests == {(a, b, name): of(source.format(a, b), name) for a in (1, 2) for b in (1, 2) for name in "fgh"}


def test_functions_that_all_call_each_other_cost_no_more_than_they_are() -> None:
    names = [f"f{k}" for k in range(40)]
    body = "(" + ", ".join(names) + ")"
    assert of("\n".join(f"def {name}(): return {body}" for name in names), "f0")


def test_a_memo_changes_no_digest_in_whatever_order() -> None:
    """A round of functions has as many digests as ways into it; a kept one must not leak into another."""
    source = """
        def leaf(): return 1
        def f(n): return leaf(), g(n - 1)
        def g(n): return h, k, n - 2
        def h(n): return f, {f, g, k}, n - 3
        def k(n): return k, leaf
        PAIR = {f, g, h, k}
        def user(n): return PAIR, f, h
    """
    scope = run(source)
    functions = [scope[name] for name in ("f", "g", "h", "k", "user")]
    alone = [digest_callable(fn) for fn in functions]
    assert len(set(alone)) == len(alone)
    for order in itertools.permutations(range(len(functions))):
        memo = Memo()
        assert {k: digest_callable(functions[k], memo=memo) for k in order} == dict(enumerate(alone))


def test_a_memo_saves_work(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    work = digest_module.work_on
    monkeypatch.setattr(digest_module, "work_on", lambda value, code: started.append(value) or work(value, code))
    shared = [[k] for k in range(100)]
    memo = Memo()
    for n in range(3):
        digest_callable(lambda n=n: (n, shared), memo=memo)
    assert len(started) == 101 + 3


class Processor:
    """Has state and methods."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, x: int) -> int:
        return self.scaled(x)

    def scaled(self, x: int) -> int:
        return x * self.factor

    @classmethod
    def make(cls) -> "Processor":
        return cls(1)

    @staticmethod
    def static() -> int:
        return 1


def plain(x: int = 0) -> int:
    return x


def with_wraps(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def wrapper(*args: Any) -> Any:
        return fn(*args)

    return wrapper


CALLABLES: dict[str, Callable[[], Any]] = {
    "function": lambda: plain,
    "partial": lambda: functools.partial(plain, 1),
    "partial of another value": lambda: functools.partial(plain, 2),
    "partial by name": lambda: functools.partial(plain, x=1),
    "object": lambda: Processor(1),
    "object with other state": lambda: Processor(2),
    "bound method": lambda: Processor(1).scaled,
    "bound method of other state": lambda: Processor(2).scaled,
    "unbound method": lambda: Processor.scaled,
    "class": lambda: Processor,
    "class method": lambda: Processor.make,
    "static method": lambda: Processor.static,
    "wrapped": lambda: with_wraps(plain),
    "wrapped by a library": lambda: contextlib.contextmanager(plain),
    "cached": lambda: functools.lru_cache(plain),
    "builtin": lambda: len,
    "another builtin": lambda: sum,
    "builtin method": lambda: "abc".upper,
    "builtin method of another value": lambda: "abd".upper,
    "method of a builtin type": lambda: str.upper,
    "builtin type": lambda: int,
    "library function": lambda: os.path.join,
    "library class": lambda: Path,
    "ufunc": lambda: np.add,
    "another ufunc": lambda: np.subtract,
}


def test_every_kind_of_callable_has_a_digest_of_its_own() -> None:
    first = {name: digest_callable(make()) for name, make in CALLABLES.items()}
    assert first == {name: digest_callable(make()) for name, make in CALLABLES.items()}
    assert len(set(first.values())) == len(first)


def test_the_code_of_a_class_counts_where_its_object_is_called() -> None:
    source = """
        class Base:
            def get(self): return self.value * {0}
        class Made(Base):
            def __init__(self): self.value = 1
            def __call__(self): return self.get()
            @property
            def prop(self): return {1}
            @staticmethod
            def static(): return {2}
            @classmethod
            def make(cls): return {3}
        f = Made()
        bound = f.get
    """
    for name in ("f", "Made", "bound"):
        digests = [
            of(source.format(*changed), name) for changed in ((1, 1, 1, 1), *itertools.permutations((1, 1, 1, 2)))
        ]
        assert len(set(digests)) == 5


def test_the_fields_of_models_and_dataclasses_count() -> None:
    source = """
        from dataclasses import dataclass, field
        from enum import Enum
        from pydantic import BaseModel
        class Model(BaseModel):
            a: {0} = {1}
        @dataclass
        class Data:
            a: {0} = {1}
            b: list = field(default_factory=list)
        class Color(Enum):
            RED = {1}
        def f(): return Model, Data, Color
    """
    for name in ("f", "Model", "Data"):
        assert len({of(source.format(*how), name) for how in (("int", 1), ("int", 2), ("float", 1))}) == 3
        assert of(source.format("int", 1), name) == of(source.format("int", 1), name)
    assert of(source.format("int", 1), "Color") != of(source.format("int", 2), "Color")


def test_a_stand_in_speaks_for_an_object() -> None:
    class Handle:
        def __init__(self, name: str) -> None:
            self.name, self.lock = name, threading.Lock()

        def __graflow_digest__(self) -> object:
            return self.name

    opaque: list[str] = []
    assert digest_value(Handle("a"), opaque) == digest_value(Handle("a"), opaque) != digest_value(Handle("b"), opaque)
    assert opaque == []
    first, second = (of("def f(): return wf", wf=Handle(name)) for name in "ab")
    assert first != second


def test_code_that_nothing_can_be_said_about_is_reported() -> None:
    lock = threading.Lock()
    opaque: list[str] = []
    digest_callable(lambda: lock, opaque)
    assert opaque == ["_thread.lock"]


class Proxy:
    """Refuses every question but for its type."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("no context")

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no context")


def test_a_global_that_refuses_to_be_looked_at_hides_nothing_else() -> None:
    first, second = (of(f"def f(): return proxy, {n}", proxy=Proxy()) for n in (1, 2))
    assert first != second


# --- values ---


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Point:
    x: int
    y: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Slotted:
    x: int


class Model(BaseModel):
    a: int = 1
    b: list[int] = []


class Stored:
    def __init__(self, x: object) -> None:
        self.x = x


class Table(dict[str, int]):
    pass


Pair = collections.namedtuple("Pair", "a b")

DISTINCT: list[Callable[[], Any]] = [
    lambda: None, lambda: True, lambda: False, lambda: 0, lambda: 1, lambda: -1, lambda: 10**5000, lambda: 1.0,
    lambda: 0.0, lambda: float("nan"), lambda: float("inf"), lambda: 1j, lambda: "", lambda: "1", lambda: "\ud800",
    lambda: b"", lambda: b"1", lambda: bytearray(b"1"), lambda: memoryview(b"1"), lambda: ..., lambda: NotImplemented,
    list, tuple, dict, set, frozenset, lambda: [1], lambda: (1,), lambda: {1}, lambda: frozenset({1}),
    lambda: {1: None}, lambda: [[1]], lambda: [1, 2], lambda: [2, 1], lambda: [[1], 2], lambda: [[1, 2]],
    lambda: {"a": 1}, lambda: {"a": 2},
    lambda: {"a": 1, "b": 2}, lambda: {"a": 2, "b": 1}, lambda: {1: "a"}, lambda: {True: "a"}, lambda: {(1, 2), "a"},
    lambda: types.MappingProxyType({"a": 1}), lambda: collections.OrderedDict(a=1), lambda: Table(a=1),
    lambda: collections.defaultdict(list, a=1), lambda: collections.defaultdict(int, a=1),
    lambda: collections.Counter("a"), lambda: collections.deque([1]), lambda: collections.deque([1], maxlen=3),
    lambda: Pair(1, 2), lambda: range(3), lambda: slice(3), lambda: Color.RED, lambda: Color.BLUE, lambda: Color,
    lambda: Access.READ | Access.WRITE, lambda: Access.READ, lambda: Point(1), lambda: Point(1, [2]),
    lambda: Slotted(1), lambda: Model(), lambda: Model(a=2), lambda: Model(b=[1]),
    lambda: Stored(1), lambda: Stored(2), lambda: Stored,
    lambda: Path("a"), lambda: Path("b"), lambda: Decimal("1"), lambda: Decimal("1.0"), lambda: timedelta(1),
    lambda: datetime(2024, 1, 1), lambda: datetime(2024, 1, 1, tzinfo=UTC), lambda: plain, lambda: len,
    lambda: os, lambda: int, lambda: list[int], lambda: int | None, lambda: ValueError("a"), lambda: ValueError("b"),
    lambda: np.arange(4), lambda: np.arange(4.0), lambda: np.arange(4).reshape(2, 2), lambda: np.arange(8)[::2],
    lambda: np.array(["2024-01-01"], dtype="M8[D]"), lambda: np.array([1, "a"], dtype=object), lambda: np.float64(1),
    lambda: np.array([1, "b"], dtype=object), lambda: np.ma.masked_array([1, 2], [True, False]), lambda: np.dtype("i4"),
    lambda: functools.partial(plain, 1), lambda: Processor(1).scaled, lambda: plain.__code__,
]  # fmt: skip


def test_values_that_differ_have_digests_that_differ_and_copies_the_same() -> None:
    opaque: list[str] = []
    seen: dict[bytes, Any] = {}
    for make in DISTINCT:
        digest = digest_value(make(), opaque)
        assert len(digest) == 32
        assert digest == digest_value(make()), make()
        assert digest not in seen, (make(), seen[digest])
        seen[digest] = make()
    assert opaque == []


def test_the_order_of_sets_and_dicts_does_not_count() -> None:
    mixed: list[Any] = [1, "a", (2, "b"), frozenset({3, "c"}), None, b"d", Color.RED, plain]
    for turn in range(len(mixed)):
        turned = mixed[turn:] + mixed[:turn]
        assert digest_value(set(turned)) == digest_value(set(mixed))
        assert digest_value(dict.fromkeys(turned, 1)) == digest_value(dict.fromkeys(mixed, 1))
        assert digest_value(collections.Counter(turned)) == digest_value(collections.Counter(mixed))
    ordered = collections.OrderedDict
    assert digest_value(ordered(a=1, b=2)) != digest_value(ordered(b=2, a=1))


def test_sharing_does_not_count() -> None:
    shared = [1, {"a": 2}]
    assert digest_value([shared, shared]) == digest_value([[1, {"a": 2}], [1, {"a": 2}]])
    once = Stored(shared)
    assert digest_value({"a": once, "b": once}) == digest_value({"a": Stored([1, {"a": 2}]), "b": Stored(shared)})


def test_what_pydantic_leaves_out_of_a_comparison_does_not_count() -> None:
    assert Model() == Model(a=1)
    assert digest_value(Model()) == digest_value(Model(a=1))


def test_strides_and_places_in_memory_do_not_count() -> None:
    assert digest_value(np.arange(8)[::2]) == digest_value(np.array([0, 2, 4, 6]))
    assert digest_value(np.asfortranarray(np.arange(4).reshape(2, 2))) == digest_value(np.arange(4).reshape(2, 2))
    assert digest_value([object()]) == digest_value([object()])


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: (x,), lambda x: {"k": x}, lambda x: frozenset([x]), Stored])
def test_depth_is_no_limit(wrap: Callable[[Any], Any]) -> None:
    def nest(core: object) -> Any:
        value = core
        for _ in range(5_000):
            value = wrap(value)
        return value

    kept = [nest(1), nest(1), nest(True)]
    first, second, other = map(digest_value, kept)
    assert first == second != other
    while kept:  # objects this deep must be taken apart by hand
        value = kept.pop()
        while isinstance(value, Stored):
            value.x, value = None, value.x


def test_cycles_end() -> None:
    def ring(last: object) -> list[Any]:
        value: list[Any] = [1, {"self": None}, last]
        value[1]["self"] = value
        return value

    assert digest_value(ring("a")) == digest_value(ring("a")) != digest_value(ring("b"))
    stored = Stored(1)
    stored.x = {stored, (stored,)}
    other = Stored(1)
    other.x = {(other,), other}
    assert digest_value(stored) == digest_value(other)


def test_what_is_shared_many_times_is_digested_once() -> None:
    value: Any = 0
    for _ in range(200):
        value = (value, value)
    assert digest_value(value)


class Refuses:
    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError("store me not")


class Lies:
    def __reduce_ex__(self, protocol: Any) -> Any:
        return 1, 2, 3, 4, 5, 6, 7, 8


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (threading.Lock, "_thread.lock"),
        (lambda: (k for k in ()), "builtins.generator"),
        (Refuses, f"{__name__}.Refuses"),
        (Lies, f"{__name__}.Lies"),
        (Proxy, f"{__name__}.Proxy"),
        (lambda: sys._getframe(), "builtins.frame"),
    ],
)
def test_what_cannot_be_read_counts_as_its_type_and_is_reported(make: Callable[[], Any], name: str) -> None:
    opaque: list[str] = []
    first = digest_value([make(), 1], opaque)
    assert opaque == [name]
    assert first == digest_value([make(), 1])
    assert first != digest_value([make(), 2])
    assert first != digest_value([object(), 1])


def test_an_interrupt_is_not_swallowed() -> None:
    class Interrupts:
        def __reduce_ex__(self, protocol: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        digest_value([Interrupts()])


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | st.binary(max_size=2)
)
keys = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4)
values = st.recursive(
    keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3) | st.sets(keys, max_size=3),
    max_leaves=8,
)


def written(value: Any) -> Any:
    """A value in a canonical form made another way: text, which tells 1 from True and 0.0 from -0.0."""
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}({sorted(map(written, value))})"
    if isinstance(value, dict):
        return f"dict({sorted((written(k), written(v)) for k, v in value.items())})"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({[written(item) for item in value]})"
    return repr(value)


@given(values, values)
def test_it_agrees_with_a_canonical_form_written_another_way(a: Any, b: Any) -> None:
    assert (digest_value(a) == digest_value(b)) is (written(a) == written(b))


# --- other processes ---

SCRIPT = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
from graflow.core._digest import digest_callable, digest_value
if sys.argv[3] == "script":
    scope = {"__name__": "__main__", "__file__": sys.argv[2] + "/pipeline.py"}
    exec(compile(open(scope["__file__"]).read(), scope["__file__"], "exec"), scope)
    functions = [scope[name] for name in ("main", "load", "made")]
else:
    import pipeline
    functions = [pipeline.main, pipeline.load, pipeline.made]
opaque = []
digests = [digest_callable(fn, opaque) for fn in functions]
names = {"alpha", "beta", "gamma", ("delta", 1), frozenset({"x", "y", "z"}), None}
value = {name: {"names": set(names), "other": [name]} for name in names}
print(digests, digest_value(value, opaque).hex(), digest_value(functions).hex(), opaque)
"""

MODULE = """
import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
import helpers
HERE = Path(__file__).parent
DATA = HERE / "data"
KINDS = frozenset({"a", "b", "c", "d"})
HANDLERS = {helpers.one, helpers.two, len}
class Mode(Enum):
    FAST = "fast"
    SLOW = "slow"
@dataclass
class Options:
    mode: Mode = Mode.FAST
    names: set[str] = field(default_factory=lambda: {"x", "y", "z"})
    def run(self):
        self.zeta = self.alpha = self.beta = 1
        return recursive(3), helpers.one()
def recursive(n):
    return n and other(n - 1)
def other(n):
    return n and recursive(n - 1)
def load(path=DATA / "a.csv" if False else "a.csv"):
    class Local:
        def get(self):
            self.b, self.a, self.c = 1, 2, 3
    return json.loads((DATA / path).read_text()), KINDS, HANDLERS, Local
def main(x):
    return Options().run(), load(), x in {"p", "q", "r"}, helpers.two(), recursive
def make(captured):
    return lambda: captured
made = make({"options": {"k", "l", "m"}, "call": main, "mode": Mode.SLOW, "o": Options(names={"u", "v", "w"})})
"""
HELPERS = "def one(): return two\ndef two(): return one, {'s', 't', 'u'}\n"


def test_every_process_finds_the_same(tmp_path: Path) -> None:
    source = str(Path(digest_module.__file__).parents[2])
    answers = []
    for place, seed, how in [("a", "0", "module"), ("b/c", "1", "module"), ("d", "4242", "script")]:
        folder = tmp_path / place
        folder.mkdir(parents=True)
        # The second place has the same code, moved and commented.
        (folder / "pipeline.py").write_text(MODULE if place == "a" else f"# moved\n\n\n{MODULE}")
        (folder / "helpers.py").write_text(HELPERS)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, source, str(folder), how],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        answers.append(done.stdout)
    assert answers[0].strip().endswith("[]")  # nothing was opaque
    assert len(set(answers)) == 1


def test_builtins_that_are_shadowed_count() -> None:
    assert of("def f(): return len") == of("def f(): return len", __builtins__=builtins)
    assert of("def f(): return len") != of("def len(): return 1\ndef f(): return len")
