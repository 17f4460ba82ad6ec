"""Bytes and back: what travels by name, what by value, what is refused, and what becomes of exceptions."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graflow.engine import codec
from graflow.errors import RemoteError, RunFailedError, SerializationError

SHOP = '''
import threading

class Held:
    """What a decorator leaves in place of a function."""

    def __init__(self, fn):
        self.fn = fn

    def __get__(self, obj, owner):
        return self if obj is None else Held(self.fn.__get__(obj))

    def __reduce__(self):
        return Held, (self.fn,)

LOCK = threading.Lock()
LOADED = []

@Held
def price(x):
    with LOCK:
        return x * 2

class Till:
    @Held
    def total(self, rows):
        with LOCK:
            return sum(rows)

    @staticmethod
    @Held
    def rounded(x):
        with LOCK:
            return round(x)

    class Drawer:
        @Held
        def count(self):
            with LOCK:
                return 7

def plain(x):
    with LOCK:
        return x + 1

class Unhelpful:
    def __getattr__(self, name):
        raise RuntimeError("no attributes today")

def hidden(x):
    return x - 1

HIDDEN = hidden
hidden = Unhelpful()

class CodeError(Exception):
    def __init__(self, code, *, hint="none"):
        super().__init__(f"code {code}")
        self.code, self.hint = code, hint

class KeywordError(Exception):
    def __init__(self, *, url):
        super().__init__(url)
        self.url = url
'''

FAR_AWAY = """
import os, pickle, sys
from graflow.engine import codec
{body}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An importable module, which other processes started by the test can import too."""
    (tmp_path / "little_shop.py").write_text(SHOP)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "little_shop", raising=False)
    module = __import__("little_shop")
    yield module
    sys.modules.pop("little_shop", None)


def far_away(body: str, given: bytes = b"", *path: Path) -> bytes:
    """Run code in a fresh process that reads `given` on stdin; gives what it writes to stdout."""
    paths = os.pathsep.join(map(str, (*path, *sys.path)))
    done = subprocess.run(
        [sys.executable, "-c", FAR_AWAY.format(body=body)],
        input=given,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


SEND = "sys.stdout.buffer.write(codec.dump_exception(error))"


# -- values -----------------------------------------------------------------------------------------------------------

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(plain_values)
def test_values_come_back_equal(value: Any) -> None:
    assert codec.loads(codec.dumps(value)) == value


def test_arrays_come_back_equal() -> None:
    array = np.arange(12).reshape(3, 4)
    assert np.array_equal(codec.loads(codec.dumps(array)), array)


def test_the_protocol_is_five() -> None:
    assert codec.dumps(1)[:2] == b"\x80\x05"


def test_weigh_tells_the_size_without_the_bytes() -> None:
    for value in (1, "x" * 100_000, b"y" * 1_000_000, [list(range(1000))] * 3, np.zeros(50_000)):
        assert codec.weigh(value) == len(codec.dumps(value))


# -- functions --------------------------------------------------------------------------------------------------------


def test_closures_and_lambdas_travel_by_value() -> None:
    factor = 3

    def scale(x: int) -> int:
        return x * factor

    assert codec.loads(codec.dumps(scale))(2) == 6
    assert codec.loads(codec.dumps(lambda x: scale(x) + 1))(2) == 7


@pytest.mark.parametrize(
    "pick",
    [
        lambda shop: shop.price.fn,
        lambda shop: vars(shop.Till)["total"].fn,
        lambda shop: vars(shop.Till)["rounded"].__func__.fn,
        lambda shop: vars(shop.Till.Drawer)["count"].fn,
        lambda shop: shop.plain,
    ],
    ids=["task", "method", "static method", "method of a nested class", "plain function"],
)
def test_an_importable_function_travels_by_name(shop: Any, pick: Callable[[Any], Any]) -> None:
    fn = pick(shop)
    data = codec.dumps(fn)  # by value it would take the module's lock along, and fail
    assert codec.loads(data) is fn
    assert len(data) < 150


def test_another_process_imports_the_task_function(shop: Any, tmp_path: Path) -> None:
    data = codec.dumps([shop.price.fn, vars(shop.Till)["total"].fn])
    body = "price, total = codec.loads(sys.stdin.buffer.read()); print(price(21), total(None, [1, 2]))"
    assert far_away(body, data, tmp_path).split() == [b"42", b"3"]


def test_a_task_that_another_function_calls_travels_by_name(shop: Any) -> None:
    price = shop.price

    def twice(x: int) -> int:
        return price.fn(price.fn(x))  # type: ignore[no-any-return]

    assert codec.loads(codec.dumps(twice))(1) == 4


def test_a_task_that_is_gone_is_named(shop: Any) -> None:
    data = codec.dumps(shop.price.fn)
    del shop.price
    with pytest.raises(SerializationError, match=r"module 'little_shop' has no task 'price'.*same version") as caught:
        codec.loads(data)
    assert isinstance(caught.value.__cause__, LookupError)


def test_a_name_that_holds_something_else_is_no_address(shop: Any) -> None:
    copy = codec.loads(codec.dumps(shop.HIDDEN))  # shop.hidden raises on every attribute
    assert copy is not shop.HIDDEN
    assert copy(1) == 0


def test_a_task_of_main_travels_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    main = ModuleType("__main__")
    exec("class Held:\n  def __init__(self, fn): self.fn = fn\n@Held\ndef f(): return 5", vars(main))
    monkeypatch.setitem(sys.modules, "__main__", main)
    fn = vars(main)["f"].fn
    copy = codec.loads(codec.dumps(fn))
    assert copy is not fn
    assert copy() == 5


def test_modules_registered_by_value_stay_by_value(shop: Any) -> None:
    cloudpickle.register_pickle_by_value(shop)
    try:
        with pytest.raises(SerializationError, match="global 'LOCK'"):
            codec.dumps(shop.price.fn)
    finally:
        cloudpickle.unregister_pickle_by_value(shop)


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["r", "w", "rb", "wb", "r+b"])
def test_open_files_are_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "data.txt"
    path.write_text("secret")
    with path.open(mode) as file, pytest.raises(SerializationError, match="Pass the path and open it inside"):
        codec.dumps({"file": file})


def test_what_only_looks_like_a_file_travels() -> None:
    assert codec.loads(codec.dumps(io.BytesIO(b"abc"))).read() == b"abc"
    assert codec.loads(codec.dumps(io.StringIO("abc"))).read() == "abc"
    assert codec.loads(codec.dumps(logging.getLogger("a.b"))) is logging.getLogger("a.b")


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_standard_streams_travel_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO()))
    data = codec.dumps(getattr(sys, name))
    replaced = io.StringIO()
    monkeypatch.setattr(sys, name, replaced)
    assert codec.loads(data) is replaced
    assert codec.loads(codec.dumps(replaced)) is replaced


def test_handles_that_pickle_as_a_bare_number_are_refused() -> None:
    near, far = multiprocessing.Pipe()
    with near, far:
        pickle.loads(cloudpickle.dumps(near))._handle = None  # passes, and would have closed our pipe in the end
        with pytest.raises(SerializationError, match="Connection"):
            codec.dumps(near)
    with pytest.raises(SerializationError, match="and load the library"):
        codec.dumps(ctypes.CDLL(None))


def test_a_local_model_leaves_its_neighbours_behind() -> None:
    lock = threading.Lock()

    class Line(pydantic.BaseModel):
        amount: int

    class Order(pydantic.BaseModel):
        lines: list[Line]

    with pytest.raises(TypeError, match="lock"):  # pydantic remembers the variables around a model
        cloudpickle.dumps(Order)
    assert lock is not None
    copy = codec.loads(codec.dumps(Order(lines=[Line(amount=2)])))
    assert copy.lines[0].amount == 2


def test_nesting_too_deep_is_an_error_of_ours() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(SerializationError, match="nested too deeply") as caught:
        codec.dumps(deep)
    assert isinstance(caught.value.__cause__, pickle.PicklingError | RecursionError)


def test_pickling_errors_have_path_and_cause() -> None:
    lock = threading.Lock()
    with pytest.raises(SerializationError) as caught:
        codec.dumps({"db": [1, lock]})
    assert str(caught.value) == (
        "cannot pickle a value of type dict: key 'db' → item 1 (_thread.lock) cannot travel to another process: a "
        "lock, condition, semaphore or event holds only within the process that made it. Create it inside the task; to "
        "count or collect across tasks, return values and combine them downstream."
    )
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("data", [b"", b"junk", b"\x80\x05cno_such_module\nthing\n.", codec.dumps([1, 2])[:-3]])
def test_bytes_that_cannot_be_read(data: bytes) -> None:
    with pytest.raises(SerializationError, match=f"cannot rebuild a value from {len(data)} bytes") as caught:
        codec.loads(data)
    assert caught.value.__cause__ is not None


@given(st.data())
def test_a_damaged_byte_is_an_error_of_ours_or_harmless(data: st.DataObject) -> None:
    good = codec.dumps({"a": [1, "two", 3.0], "b": (None, True)})
    # Opcodes that could import and call things are left out: damage, not attack, is what this is about.
    bad = bytearray(good)
    bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.sampled_from(b"\x00\x01N.)]}(\xff\x80a"))
    with contextlib.suppress(SerializationError):
        codec.loads(bytes(bad))


# -- exceptions -------------------------------------------------------------------------------------------------------


def travelled(error: BaseException) -> BaseException:
    return codec.load_exception(codec.dump_exception(error))


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def notes(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", []))


def test_an_exception_keeps_type_arguments_and_notes() -> None:
    error = raised(KeyError("x", 3))
    error.add_note("while counting")
    copy = travelled(error)
    assert type(copy) is KeyError
    assert copy.args == ("x", 3)
    first, second = notes(copy)
    assert first == "while counting"
    assert second.startswith(f"raised in process {os.getpid()}:\nTraceback (most recent call last):")
    assert "raise error from cause" in second
    assert notes(error) == ["while counting"]  # the original is as it was


def test_an_exception_says_which_process_raised_it() -> None:
    packed = far_away(
        f"try: [].pop()\nexcept IndexError as caught: error = caught\nprint(os.getpid(), file=sys.stderr)\n{SEND}"
    )
    copy = codec.load_exception(packed)
    assert isinstance(copy, IndexError)
    assert str(os.getpid()) not in notes(copy)[0].splitlines()[0]
    assert "IndexError: pop from empty list" in notes(copy)[0]


def test_the_chain_of_causes_travels() -> None:
    root = raised(OSError(2, "No such file", "a.csv"))
    copy = travelled(raised(ValueError("bad"), raised(RuntimeError("middle"), root)))
    middle = copy.__cause__
    assert isinstance(middle, RuntimeError)
    assert isinstance(middle.__cause__, FileNotFoundError)
    assert middle.__cause__.filename == "a.csv"
    assert copy.__suppress_context__
    assert notes(middle) == []  # the text of the whole chain is with the outermost


def test_contexts_travel() -> None:
    try:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")  # noqa: B904
    except ValueError as error:
        copy = travelled(error)
    assert isinstance(copy.__context__, KeyError)
    assert copy.__cause__ is None
    assert not copy.__suppress_context__


def test_a_circle_of_causes_ends() -> None:
    one, two = ValueError("one"), KeyError("two")
    one.__cause__, two.__cause__ = two, one
    copy = travelled(one)
    assert copy.__cause__ is not None
    assert copy.__cause__.__cause__ is copy


def test_a_composed_message_is_not_composed_twice(shop: Any) -> None:
    error = shop.CodeError(5, hint="retry")
    assert str(pickle.loads(pickle.dumps(error))) == "code code 5"  # what pickle alone makes of it
    copy = travelled(error)
    assert type(copy) is shop.CodeError
    assert str(copy) == "code 5"
    assert (copy.code, copy.hint) == (5, "retry")  # type: ignore[attr-defined]


def test_a_constructor_with_keywords_only_becomes_a_remote_error(shop: Any) -> None:
    error = shop.KeywordError(url="http://a")
    error.add_note("page 3")
    copy = travelled(error)
    assert isinstance(copy, RemoteError)
    assert (copy.type_name, copy.message) == ("little_shop.KeywordError", "http://a")
    assert str(copy) == "little_shop.KeywordError: http://a"
    first, second, third = notes(copy)
    assert first == "page 3"
    assert second.startswith("the exception itself could not be rebuilt here: TypeError: ")
    assert third.startswith("raised in process ")


def test_an_unknown_class_becomes_a_remote_error(tmp_path: Path, shop: Any) -> None:
    packed = far_away(
        f"import little_shop\nerror = little_shop.CodeError(9)\nerror.__cause__ = ValueError('why')\n{SEND}",
        b"",
        tmp_path,
    )
    assert type(codec.load_exception(packed)) is shop.CodeError
    sys.modules["little_shop"] = None  # type: ignore[assignment]  # from now on its import fails
    copy = codec.load_exception(packed)
    assert isinstance(copy, RemoteError)
    assert str(copy) == "little_shop.CodeError: code 9"
    assert copy.bases == ("little_shop.CodeError", "Exception", "BaseException")
    assert isinstance(copy.__cause__, ValueError)
    assert isinstance(again := travelled(copy), RemoteError)
    assert again.bases == copy.bases


def test_an_exception_that_holds_a_lock_becomes_a_remote_error() -> None:
    error = RuntimeError("stuck", threading.Lock())
    copy = travelled(error)
    assert isinstance(copy, RemoteError)
    assert copy.type_name == "RuntimeError"
    assert copy.bases == ("RuntimeError", "Exception", "BaseException")
    assert "it cannot be pickled: TypeError" in notes(copy)[0]


class Frozen(Exception):
    """An exception whose attributes cannot be set, like that of a frozen dataclass."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


class Rude(Exception):
    """An exception that cannot even be printed."""

    def __str__(self) -> str:
        raise ZeroDivisionError


class Loud(str):
    """A string that pickle cannot have."""

    __slots__ = ()

    def __reduce__(self) -> str:
        raise ValueError("not me")


@dataclass
class FakeError:
    """What an exception's reduction may wrongly give."""


class Changeling(Exception):
    """An exception that unpickles as something else."""

    def __reduce__(self) -> tuple[Any, ...]:
        return FakeError, ()


class SaysLoud(Exception):
    def __str__(self) -> str:
        return Loud("loud")


def test_exceptions_that_cannot_be_written_to_still_get_their_notes() -> None:
    copy = travelled(Frozen("cold"))
    assert type(copy) is Frozen
    assert copy.args == ("cold",)
    assert notes(copy)[0].startswith("raised in process ")


def test_nothing_an_exception_does_makes_dumping_raise() -> None:
    rude, changeling, loud = travelled(Rude(1)), travelled(Changeling("who")), travelled(SaysLoud(threading.Lock()))
    assert type(rude) is Rude
    assert isinstance(changeling, RemoteError)
    assert isinstance(loud, RemoteError)
    assert loud.message == "loud"


@pytest.mark.parametrize("data", [b"", b"junk", pickle.dumps(("", [])), pickle.dumps(7)])
def test_loading_never_raises(data: bytes) -> None:
    error = codec.load_exception(data)
    assert isinstance(error, RemoteError)
    assert error.type_name == "unknown"


def test_groups_keep_their_members_and_lose_only_the_bad() -> None:
    good, bad = raised(ValueError("good"), KeyError("why")), RuntimeError("bad", threading.Lock())
    group = BaseExceptionGroup("several", [good, bad, ExceptionGroup("inner", [TypeError("deep")])])
    group.add_note("of three")
    copy = travelled(group)
    assert isinstance(copy, ExceptionGroup)
    assert copy.message == "several"
    assert notes(copy)[0] == "of three"
    first, second, third = copy.exceptions
    assert isinstance(first, ValueError)
    assert isinstance(first.__cause__, KeyError)
    assert isinstance(second, RemoteError)
    assert isinstance(third, ExceptionGroup)
    assert isinstance(third.exceptions[0], TypeError)


def test_a_huge_group_says_what_it_lost() -> None:
    copy = travelled(ExceptionGroup("many", [ValueError(number) for number in range(2000)]))
    assert isinstance(copy, ExceptionGroup)
    assert len(copy.exceptions) == 999
    assert notes(copy)[0] == "only the first 1000 exceptions travelled"


def test_errors_of_graflow_travel() -> None:
    error = RunFailedError("one task failed", {"load": ValueError("x")})
    copy = travelled(error)
    assert isinstance(copy, RunFailedError)
    assert list(copy.failures) == ["load"]
    assert isinstance(copy.failures["load"], ValueError)


def test_a_second_trip_adds_no_second_traceback() -> None:
    once = travelled(raised(ValueError("x")))
    assert notes(travelled(raised(once))) == notes(once)


def test_a_remote_error_survives_pickle() -> None:
    error = pickle.loads(pickle.dumps(RemoteError("lib.Error", "went wrong")))
    assert (error.type_name, error.message, str(error)) == ("lib.Error", "went wrong", "lib.Error: went wrong")
