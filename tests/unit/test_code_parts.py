"""The parts of a callable's digest: each edit changes the part it is in, and no other."""

import functools
import importlib
import itertools
import os
import pickle
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

from graflow.core._code_parts import Unreadable, code_parts, unreadable
from graflow.core._digest import digest_callable

MODULES = {
    "tasks": """
        import functools
        import clean
        import lib.text as text
        from clean import lower

        RATE = 3
        FACTOR = 4.5
        LIMIT = 10
        HANDLERS = {"strip": clean.strip, "round": round}

        def rows(n: int = 2):
            "Make rows."
            return [n * RATE, helper(n)]

        def helper(n):
            return n + FACTOR

        def cleaned(text):
            return clean.strip(lower(text))

        def described(x):
            return text.title(x) + clean.MARK

        def even(n):
            return n == 0 or odd(n - 1)

        def odd(n):
            return n != 0 and even(n - 1)

        def handled(name, x):
            return HANDLERS[name](x)

        square = lambda x: x * LIMIT

        def squared(x):
            return square(x)

        def wrapped_call(x):
            return clean.wrapped(x)

        def uses_class(x):
            return clean.Tool(x).use()

        @clean.noted
        def decorated(x):
            return x + helper(1)

        def make(n):
            def inner(x):
                return helper(x) + n
            return inner

        made = make(7)
        part = functools.partial(rows, n=5)
        tool = clean.Tool(5)
        bound = tool.use
    """,
    "clean": """
        import functools
        from dataclasses import dataclass
        from lib.text import squeeze

        MARK = "!"
        DEPTH = 2

        def strip(x):
            return squeeze(x.strip())

        def lower(x):
            return x.lower()[:DEPTH]

        def noted(fn):
            @functools.wraps(fn)
            def wrapper(*args):
                return fn(*args)
            return wrapper

        @noted
        def wrapped(x):
            return x - 1

        @dataclass
        class Base:
            n: int

            def shared(self):
                return self.n

        class Tool(Base):
            scale = 4

            def use(self):
                return self.shared() * self.scale

            def idle(self):
                return 0

            def __len__(self):
                return 5
    """,
    "lib/__init__": "",
    "lib/text": """
        WIDTH = 80

        def squeeze(x):
            return " ".join(x.split())[:WIDTH]

        def title(x):
            return x.title()
    """,
}
NAMES = ["tasks", "clean", "lib", "lib.text"]
TASKS = [
    "rows", "cleaned", "described", "even", "handled", "squared", "wrapped_call", "uses_class", "decorated", "made",
    "part", "tool.use", "bound",
]  # fmt: skip


@contextmanager
def modules(folder: Path, *edits: tuple[str, str, str]) -> Iterator[ModuleType]:
    """The modules, edited, imported from a folder; gone again afterwards."""
    sources = {name: textwrap.dedent(source) for name, source in MODULES.items()}
    for module, old, new in edits:
        assert sources[module].count(old) == 1, (module, old)
        sources[module] = sources[module].replace(old, new)
    for name, source in sources.items():
        file = folder / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield importlib.import_module("tasks")
    finally:
        sys.dont_write_bytecode = writes
        sys.path.remove(str(folder))
        for name in NAMES:
            sys.modules.pop(name, None)


def found(folder: Path, *edits: tuple[str, str, str]) -> dict[str, tuple[str, dict[str, str]]]:
    """Per task, the digest of the whole and of the parts."""
    with modules(folder, *edits) as tasks:
        fns = {name: functools.reduce(getattr, name.split("."), tasks) for name in TASKS}
        return {name: (digest_callable(fn), code_parts(fn)) for name, fn in fns.items()}


def changes(before: Any, after: Any) -> dict[str, set[str]]:
    """Per task with another digest, the names of the parts that differ; the two always go together."""
    changed = {}
    for name, (digest, parts) in after.items():
        old_digest, old_parts = before[name]
        differing = {part for part in {*parts, *old_parts} if parts.get(part) != old_parts.get(part)}
        assert bool(differing) is (digest != old_digest), name
        if differing:
            changed[name] = differing
    return changed


def test_the_parts_have_names_that_their_author_knows(tmp_path: Path) -> None:
    parts = {name: list(parts) for name, (_, parts) in found(tmp_path).items()}
    assert parts["rows"] == ["code", "constant RATE", "helper helper", "constant FACTOR"]
    assert parts["cleaned"] == [
        "code", "helper clean.lower", "helper clean.strip", "constant clean.DEPTH", "helper text.squeeze",
        "constant text.WIDTH",
    ]  # fmt: skip
    assert parts["described"] == ["code", "helper text.title", "constant clean.MARK"]
    assert parts["even"] == ["code", "helper odd"]
    assert parts["handled"][:3] == ["code", "constant HANDLERS", "helper clean.strip"]
    assert parts["squared"] == ["code", "helper square", "constant LIMIT"]
    assert parts["wrapped_call"] == ["code", "helper clean.noted.wrapper", "helper clean.wrapped"]
    assert parts["uses_class"][:2] == ["code", "helper clean.Tool"]
    assert {"helper clean.Tool.use", "helper clean.Base", "helper clean.Base.shared"} < set(parts["uses_class"])
    assert parts["decorated"] == ["code", "helper helper", "constant FACTOR"]
    assert parts["made"] == ["code", "helper helper", "constant FACTOR"]
    assert parts["part"] == ["code", "constant RATE", "helper helper", "constant FACTOR"]
    assert parts["bound"][:1] == ["code"]


def of_class(part: str) -> dict[str, set[str]]:
    """A change seen by all that use the class; a method's own module needs no prefix."""
    return {"uses_class": {f"helper clean.{part}"}, "tool.use": {f"helper {part}"}, "bound": {f"helper {part}"}}


@pytest.mark.parametrize(
    ("module", "old", "new", "expected"),
    [
        ("tasks", "n * RATE", "RATE * n", {"rows": {"code"}, "part": {"code"}}),
        ("tasks", "RATE = 3", "RATE = 4", {"rows": {"constant RATE"}, "part": {"constant RATE"}}),
        ("tasks", "n: int = 2", "n: int = 3", {"rows": {"code"}, "part": {"code"}}),
        ("tasks", "n=5", "n=6", {"part": {"code"}}),
        (
            "tasks", "n + FACTOR", "n - FACTOR",
            {name: {"helper helper"} for name in ("rows", "decorated", "made", "part")},
        ),
        (
            "tasks", "FACTOR = 4.5", "FACTOR = 4.0",
            {name: {"constant FACTOR"} for name in ("rows", "decorated", "made", "part")},
        ),
        ("tasks", "n != 0", "n > 0", {"even": {"helper odd"}}),
        ("tasks", "n == 0", "n <= 0", {"even": {"code"}}),
        ("tasks", '"round": round', '"round": abs', {"handled": {"constant HANDLERS"}}),
        ("tasks", "x * LIMIT", "x + LIMIT", {"squared": {"helper square"}}),
        ("tasks", "LIMIT = 10", "LIMIT = 11", {"squared": {"constant LIMIT"}}),
        ("tasks", "return x + helper(1)", "return x - helper(1)", {"decorated": {"code"}}),
        ("tasks", "helper(x) + n", "helper(x) - n", {"made": {"code"}}),
        ("tasks", "make(7)", "make(8)", {"made": {"code"}}),
        ("clean", "squeeze(x.strip())", "squeeze(x.rstrip())",
         {"cleaned": {"helper clean.strip"}, "handled": {"helper clean.strip"}}),
        ("clean", "DEPTH = 2", "DEPTH = 3", {"cleaned": {"constant clean.DEPTH"}}),
        ("clean", 'MARK = "!"', 'MARK = "?"', {"described": {"constant clean.MARK"}}),
        ("clean", "x - 1", "x - 2", {"wrapped_call": {"helper clean.wrapped"}}),
        ("clean", "return fn(*args)", "return fn(*args) + 1",
         {"wrapped_call": {"helper clean.noted.wrapper"}, "decorated": {"code"}}),
        ("clean", "self.shared() * self", "self.shared() + self",
         {"uses_class": {"helper clean.Tool.use"}, "tool.use": {"code"}, "bound": {"code"}}),
        ("clean", "scale = 4", "scale = 5",
         of_class("Tool")),
        ("clean", "return 5", "return 6", of_class("Tool")),
        ("clean", "return self.n", "return -self.n",
         of_class("Base.shared")),
        ("clean", "n: int", "n: float", of_class("Base")),
        ("lib/text", "WIDTH = 80", "WIDTH = 79",
         {"cleaned": {"constant text.WIDTH"}, "handled": {"constant text.WIDTH"}}),
        ("lib/text", "x.title()", "x.upper()", {"described": {"helper text.title"}}),
        ("tasks", "clean.Tool(5)", "clean.Tool(6)", {"tool.use": {"code"}, "bound": {"code"}}),
    ],
)  # fmt: skip
def test_an_edit_changes_the_part_it_is_in_of_the_tasks_that_use_it(
    module: str, old: str, new: str, expected: dict[str, set[str]], tmp_path: Path
) -> None:
    before = found(tmp_path / "before")
    assert changes(before, found(tmp_path / "after", (module, old, new))) == expected


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("tasks", "RATE = 3", "# a comment\n\n\nRATE = 3"),
        ("tasks", '"Make rows."', '"""Make\n    many rows."""'),
        ("tasks", "(n: int = 2)", "(n: float = 2) -> list"),
        ("tasks", "import functools", "import functools\nimport json"),
        ("clean", "def lower(x):", "def unused(): return 1\n\ndef lower(x: str) -> str:\n    'Low.'"),
        ("clean", "class Tool(Base):", "class Tool(Base):\n    'A tool.'\n"),
        ("lib/text", "def title", "\n\ndef other():\n    return WIDTH + 1\n\ndef title"),
    ],
)
def test_what_says_nothing_changes_no_part(module: str, old: str, new: str, tmp_path: Path) -> None:
    assert changes(found(tmp_path / "before"), found(tmp_path / "after", (module, old, new))) == {}


def test_where_helpers_are_swapped_the_part_that_refers_to_them_changes(tmp_path: Path) -> None:
    """Each part is what it was: only what refers to them can tell."""
    before = found(tmp_path / "before")
    after = found(tmp_path / "after", ("tasks", '"strip": clean.strip', '"strip": clean.lower'))
    differing = changes(before, after)
    assert set(differing) == {"handled"}
    assert "constant HANDLERS" in differing["handled"]


SAME_NAMES = """
    def one():
        def inner(x): return x + {0}
        return inner
    def other():
        def inner(x): return x + {1}
        return inner
    def make(k):
        return lambda x: x * k * {2}
    first, second = make({3}), make({4})
    def f(x, a=one(), b=other()):
        return first(x), second(x), a, b
"""


def test_parts_of_one_name_are_one_part() -> None:
    def parts(*values: int) -> tuple[str, dict[str, str]]:
        scope: dict[str, Any] = {"__name__": "made"}
        exec(textwrap.dedent(SAME_NAMES).format(*values), scope)
        return digest_callable(scope["f"]), code_parts(scope["f"])

    every = [parts(*values) for values in itertools.product((1, 2), repeat=5)]
    assert len({digest for digest, _ in every}) == len({tuple(p.items()) for _, p in every}) == 32
    assert list(every[0][1]) == ["code", "helper one.inner", "helper other.inner", "helper first", "helper second"]
    assert parts(1, 1, 1, 1, 2)[1]["helper second"] != parts(1, 1, 1, 1, 1)[1]["helper second"]
    assert parts(1, 1, 1, 1, 2)[1]["helper first"] == parts(1, 1, 1, 1, 1)[1]["helper first"]


def test_members_of_a_set_belong_to_what_holds_the_set() -> None:
    source = "def a(): return {0}\ndef b(): return {1}\nBOTH = {{a, b}}\ndef f(): return BOTH, a"

    def parts(*values: int) -> dict[str, str]:
        scope: dict[str, Any] = {"__name__": "made"}
        exec(source.format(*values), scope)
        return code_parts(scope["f"])

    first, second = parts(1, 1), parts(1, 2)
    assert list(first) == ["code", "constant BOTH", "helper a"]
    assert {name for name in first if first[name] != second[name]} == {"constant BOTH"}


def test_a_callable_of_a_library_is_its_name() -> None:
    assert list(code_parts(len)) == list(code_parts(os.path.join)) == list(code_parts(Path)) == ["code"]
    assert code_parts(len) != code_parts(sum)


def test_a_function_that_travelled_has_the_same_parts(tmp_path: Path) -> None:
    with modules(tmp_path) as tasks:
        for name in NAMES:
            cloudpickle.register_pickle_by_value(sys.modules[name])
        sent = {name: cloudpickle.dumps(getattr(tasks, name)) for name in ("rows", "cleaned", "made", "decorated")}
        here = {name: (digest_callable(fn), code_parts(fn)) for name in sent if (fn := getattr(tasks, name))}
        for name in NAMES:
            cloudpickle.unregister_pickle_by_value(sys.modules[name])
    there = {name: (digest_callable(fn), code_parts(fn)) for name in sent if (fn := pickle.loads(sent[name]))}
    assert there == here


SCRIPT = """
import sys
sys.path[:0] = [sys.argv[1]]
import tasks
from graflow.core._code_parts import code_parts
names = {{"x", "y", ("z", 1)}}
def local(x): return x in names
print([list(code_parts(fn).items()) for fn in (tasks.rows, tasks.cleaned, tasks.handled, tasks.uses_class, local)])
"""


def test_every_process_finds_the_same(tmp_path: Path) -> None:
    with modules(tmp_path):
        pass
    seen = set()
    for seed in ("0", "1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.replace("{{", "{").replace("}}", "}"), str(tmp_path)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        seen.add(done.stdout)
    assert len(seen) == 1
    assert "constant text.WIDTH" in seen.pop()


# --- what cannot be read ---


class Query:
    def __init__(self, conn: object) -> None:
        self.conn = conn

    def run(self) -> int:
        return 1

    def __call__(self) -> int:
        return 1


def made(conn: object) -> Callable[[], Any]:
    return lambda: conn


def calls(inner: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: inner()


@pytest.mark.parametrize(
    ("make", "variable", "part"),
    [
        (made, "closure variable 'conn'", "code"),
        (lambda conn: Query(conn), "attribute 'conn'", "code"),
        (lambda conn: Query(conn).run, "bound object", "code"),
        (lambda conn: functools.partial(print, conn), "argument 0 of partial", "code"),
        (lambda conn: functools.partial(print, end=conn), "argument 'end' of partial", "code"),
        (lambda conn: calls(made(conn)), "closure variable 'conn'", "helper made.<lambda>"),
        (lambda conn: made([{"deep": conn}]), "closure variable 'conn'", "code"),
    ],
)
def test_what_cannot_be_read_is_found_with_its_variable(make: Callable[[Any], Any], variable: str, part: str) -> None:
    lock = threading.Lock()
    assert unreadable(make(lock)) == Unreadable(variable, part, "_thread.lock")
    opaque: list[str] = []
    digest_callable(make(lock), opaque)
    assert opaque
    assert unreadable(make(1)) is None


def test_a_default_that_cannot_be_read_is_named() -> None:
    conn = sqlite3.connect(":memory:")
    try:

        def reads(x: int, db: Any = conn) -> int:
            return x

        assert unreadable(reads) == Unreadable("default of 'db'", "code", "sqlite3.Connection")
    finally:
        conn.close()


def test_a_global_that_is_state_is_no_obstacle() -> None:
    scope: dict[str, Any] = {"__name__": "made", "lock": threading.Lock()}
    exec("def f(): return lock", scope)
    assert unreadable(scope["f"]) is None
    assert list(code_parts(scope["f"])) == ["code"]
