"""Types along the edges: reading annotations, comparing types, following projections, naming types."""

# ruff: noqa: UP006, UP007, UP035, UP044, UP045 - users still write the old forms

import collections
import contextlib
import dataclasses
import enum
import functools
import itertools
import sys
import textwrap
import types
import typing
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    MutableSequence,
    Sequence,
    Sized,
)
from collections.abc import Set as AbstractSet
from decimal import Decimal
from numbers import Real
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    List,
    Literal,
    LiteralString,
    NamedTuple,
    Never,
    NewType,
    NoReturn,
    NotRequired,
    Optional,
    ParamSpec,
    Protocol,
    Self,
    TypedDict,
    TypeGuard,
    TypeVar,
    TypeVarTuple,
    Union,
    Unpack,
    runtime_checkable,
)

import pydantic.dataclasses
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, PrivateAttr, computed_field
from typing_extensions import ReadOnly, TypeAliasType
from typing_extensions import TypedDict as ExtendedTypedDict

from graflow.core import _hints
from graflow.core._forms import fill, seen_as
from graflow.core._hints import NoSuchProjection, describe, hints_of, incompatible, item_of, project
from graflow.core._subtyping import Comparison

T = TypeVar("T")
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)


class Animal: ...


class Dog(Animal): ...


class Box(Generic[T]):
    value: T

    def __getitem__(self, index: int) -> T:
        raise NotImplementedError


class IntBox(Box[int]): ...


class DeepIntBox(IntBox): ...


class Source(Generic[T_co]): ...


class Sink(Generic[T_contra]): ...


class Piped(Generic[P, T]): ...


class Many(Generic[Unpack[Ts]]): ...


class Rows(list[int]): ...


class Words(str): ...


class Table(Mapping[str, T]): ...


class Row(BaseModel):
    """A model with everything a projection can meet."""

    name: str
    size: int | None = None
    tags: list[str] = []
    limit: ClassVar[int] = 3
    _secret: int = PrivateAttr(default=1)

    @computed_field
    @property
    def label(self) -> str:
        return self.name

    @property
    def length(self) -> int:
        return len(self.name)

    def upper(self) -> str:
        return self.name.upper()


class OpenRow(BaseModel, extra="allow"):
    name: str


class HookedRow(BaseModel):
    name: str

    def __getattr__(self, name: str) -> Any:
        return name


class Page(BaseModel, Generic[T]):
    items: list[T]


class IntPage(Page[int]): ...


class Point(TypedDict):
    x: int
    y: NotRequired[str]


class Point3(TypedDict):
    x: int
    z: float


class Text(TypedDict):
    x: str


class LaterPoint(ExtendedTypedDict):
    x: ReadOnly[int]
    y: "NotRequired[str]"


class Named(NamedTuple):
    count: int
    title: str


UserId = NewType("UserId", int)
OrderId = NewType("OrderId", int)


class Color(enum.Enum):
    RED = 1
    GREEN = 2


class Level(enum.StrEnum):
    LOW = "low"
    HIGH = "high"


@runtime_checkable
class Closes(Protocol):
    def close(self) -> None: ...


@runtime_checkable
class ClosesWithName(Protocol):
    name: str

    def close(self) -> None: ...


class Opens(Protocol):
    def open(self) -> None: ...


class File:
    def close(self) -> None: ...


class LazyFile:
    close: Callable[[], None]


class Proxy:
    def __getattr__(self, name: str) -> Any:
        return name


class Dynamic(Any): ...


class OldSequence:
    def __getitem__(self, index: int) -> str:
        raise IndexError


class Odd(type):
    def __subclasscheck__(cls, other: type) -> bool:
        raise RuntimeError("ask somebody else")


class OddClass(metaclass=Odd): ...


@dataclasses.dataclass
class Settings:
    path: str
    sizes: dict[str, int]
    later: "Animal | None" = None

    @functools.cached_property
    def depth(self) -> int:
        return 1


@dataclasses.dataclass(frozen=True, slots=True)
class Pair(Generic[T]):
    left: T
    right: T


@dataclasses.dataclass
class Growing:
    path: str

    def __post_init__(self) -> None:
        def later() -> None:
            self.grown = 1

        later()


@dataclasses.dataclass
class Free:
    path: str

    def absorb(self, **values: Any) -> None:
        self.__dict__.update(values)


@pydantic.dataclasses.dataclass(config={"extra": "allow"})
class Loose:
    path: str


class Shape(ABC):
    @abstractmethod
    def area(self) -> float: ...


Json = TypeAliasType("Json", "dict[str, Json] | list[Json] | str | int | None")
SameJson = TypeAliasType("SameJson", "dict[str, SameJson] | list[SameJson] | str | int | None")
Tree = TypeAliasType("Tree", "T | list[Tree[T]]", type_params=(T,))
Loop = TypeAliasType("Loop", "Loop")
Lost = TypeAliasType("Lost", "NoSuchName")  # noqa: F821
Growth = TypeAliasType("Growth", "list[Growth[list[T]]]", type_params=(T,))


# incompatible

FINE: list[tuple[Any, Any]] = [
    # classes and promotions
    (int, int),
    (int, float),
    (int, complex),
    (bool, float),
    (bool, int),
    (Dog, Animal),
    (Decimal, object),
    (int, Real),
    (bytearray, bytes),
    (Dynamic, Row),
    (Level, str),
    (Color, Color),
    (Row, BaseModel),
    (int, OddClass),
    # unknown
    (Any, int),
    (int, Any),
    (T, int),
    (int, T),
    (P, int),
    (int, Self),
    (int, "Later"),
    (int, 3),
    (None, [int]),
    (typing.ForwardRef("Later"), int),
    (list, list[int]),
    (list[Any], list[int]),
    (list[int], list[Any]),
    (list[T], list[int]),
    (tuple, tuple[int, int]),
    (dict[str, Any], dict[str, int]),
    (int, Lost),
    (int, Loop),
    # None, unions, literals
    (None, None),
    (type(None), None),
    (None, int | None),
    (int, Optional[int]),
    (bool | None, int | None),
    (int | str, Union[float, str]),
    (list[int] | None, Sequence[int] | None),
    (int | Any, int),
    (Literal["a"], str),
    (Literal[1], float),
    (Literal["a"], Literal["a", "b"]),
    (Literal["a", 1], Literal["a"] | int),
    (Literal[Color.RED], Color),
    (bool, Literal[True] | Literal[False]),
    (bool, Literal[True, False]),
    (Color, Literal[Color.RED, Color.GREEN]),
    (Level, Literal["low", "high"]),
    (None, Literal[None]),
    (NoReturn, int),
    (Never, list[int]),
    (LiteralString, str),
    (str, LiteralString),
    (int, TypeGuard[str] | int),
    # containers
    (list[int], list),
    (list[bool], list[int]),
    (list[int], list[float]),
    (list[int], Sequence[float]),
    (List[int], list[int]),
    (list[int], List),
    (list[int], Sized),
    (deque[int], MutableSequence[int]),
    (frozenset[int], AbstractSet[int]),
    (dict[str, int], Mapping[str, float]),
    (dict[str, int], Iterable[str]),
    (defaultdict[str, int], dict[str, int]),
    (OrderedDict[str, int], Mapping[str, int]),
    (Counter[str], Mapping[str, int]),
    (type({}.items()), Iterable[int]),
    (typing.ItemsView[str, int], Iterable[tuple[str, int]]),
    (typing.ValuesView[int], Iterable[int]),
    (Generator[int, None, None], Iterator[int]),
    (Generator[int, int | str, None], Generator[int, int, None]),
    (Coroutine[Any, Any, int], Awaitable[int]),
    (str, Sequence[str]),
    (str, Iterable[str]),
    (Words, Iterable[str]),
    (bytes, Sequence[int]),
    (OldSequence, Iterable[str]),
    (Rows, list[int]),
    (Rows, Sequence[float]),
    (Table[int], Mapping[str, int]),
    (list[list[int]], Sequence[Sequence[float]]),
    (list[int], list[int | str]),
    # tuples
    (tuple[int, str], tuple[int, str]),
    (tuple[int, int], tuple[int, ...]),
    (tuple[()], tuple[int, ...]),
    (tuple[int, int], Sequence[int]),
    (tuple[()], Sequence[int]),
    (tuple[Any, ...], tuple[int, int]),
    (tuple[int, Unpack[tuple[str, ...]]], tuple[int, str, str]),
    (tuple[int | str], tuple[int] | tuple[str]),
    (Named, tuple[int, str]),
    (Named, tuple),
    (Named, Sequence[int | str]),
    # generics, protocols, special forms
    (Box, Box[int]),
    (Box[int], Box),
    (Box[bool], Box[int]),
    (Box[int], Box[bool]),  # it may be a consumer of ints
    (IntBox, Box[int]),
    (DeepIntBox, Box[int]),
    (Source[Dog], Source[Animal]),
    (Sink[Animal], Sink[Dog]),
    (Piped[[int], str], Piped[[bytes], str]),
    (Many[int, str], Many[str]),
    (Page[int], Page),
    (Page, Page[int]),
    (Page[bool], Page[int]),
    (IntPage, Page[int]),
    (Point, dict),
    (Point, dict[str, Any]),
    (Point, Mapping[str, object]),
    (dict, Point),
    (dict[str, Any], Point),
    (dict[str, int], Point),
    (dict[str, object], Point),
    (Point, LaterPoint),
    (Point, TypedDict("Nothing", {})),
    (UserId, int),
    (int, UserId),
    (UserId, OrderId),
    (list[int], list[UserId]),
    (Annotated[int, "metres"], int),
    (list[Annotated[int, []]], list[int]),
    (File, Closes),
    (LazyFile, Closes),
    (Proxy, Closes),
    (File, ClosesWithName),
    (int, Opens),
    (int, typing.SupportsFloat),
    (Callable[[int], str], Callable),
    (Callable[[int], str], Callable[[int], object]),
    (Callable[[float], str], Callable[[int], str]),
    (Callable[..., str], Callable[[int], str]),
    (Callable[[int], str], Callable[..., None]),
    (Callable, Callable[[int], str]),
    (Callable[P, int], Callable[[str], int]),
    (type[int], Callable[..., int]),
    (type[Dog], type[Animal]),
    (type, type[Dog]),
    (type[int], type),
    (type[int], Hashable),
    (type[Color], Iterable[Color]),
    (type[int | str], type[int] | type[str]),
    # recursive aliases
    (Json, Json),
    (dict[str, list[int]], Json),
    (list[Json], Json),
    (Json, SameJson),
    (list[list[int]], Tree[int]),
    (Tree[bool], Tree[int]),
    (Growth[int], Growth[str]),
]

WRONG: list[tuple[Any, Any]] = [
    (float, int),
    (int, str),
    (complex, float),
    (Animal, Dog),
    (Row, Animal),
    (object, int),
    (Color, int),
    (Decimal, float),
    (int | None, int),
    (None, int),
    (int, None),
    (int | str, float | bytes),
    (str, Literal["a"]),
    (Literal["a", "c"], Literal["a", "b"]),
    (Literal["a"], int),
    (Color, Literal[Color.RED]),
    (bool, Literal[True]),
    (int, LiteralString),
    (int, Never),
    (list[int], list[str]),
    (List[int], list[str]),
    (list[int], Iterable[str]),
    (list[int], Hashable),
    (list[list[int]], list[list[str]]),
    (list[int | str], list[int]),
    (list[int | str], list[int] | list[str]),
    (set[int], frozenset[int]),
    (Iterable[int], list[int]),
    (dict[str, int], Mapping[int, int]),
    (dict[str, int], Iterable[int]),
    (Counter[str], Mapping[str, str]),
    (typing.ItemsView[str, int], Iterable[str]),
    (Generator[int, None, None], Iterable[str]),
    (Generator[int, int, None], Generator[int, int | str, None]),
    (Coroutine[Any, Any, int], Awaitable[str]),
    (str, Iterable[int]),
    (str, list[str]),
    (Words, Iterable[int]),
    (Rows, list[str]),
    (Table[int], Mapping[str, str]),
    (tuple[int, str], tuple[int, int]),
    (tuple[int, str], tuple[int, str, int]),
    (tuple[int, str], tuple[int, ...]),
    (tuple[int, ...], tuple[int, int]),
    (tuple[int, str], Sequence[int]),
    (Named, tuple[int, int]),
    (Named, Sequence[int]),
    (Box[int], Box[str]),
    (IntBox, Box[str]),
    (DeepIntBox, Box[str]),
    (Source[Animal], Source[Dog]),
    (Sink[Dog], Sink[Animal]),
    (Page[int], Page[str]),
    (Page[int | None], Page[int]),
    (IntPage, Page[str]),
    (Point, Point3),
    (Point, Text),
    (Point, TypedDict("Both", {"x": int, "y": str})),
    (Point, TypedDict("Other", {"y": NotRequired[int]})),
    (Point, list),
    (Point, dict[str, str]),
    (dict[int, int], Point),
    (dict[str, bytes], Point),
    (Row, Point),
    (LaterPoint, Text),
    (UserId, str),
    (str, UserId),
    (int, Annotated[str, "name"]),
    (int, Closes),
    (int, ClosesWithName),
    (Callable[[int], str], Callable[[str], str]),
    (Callable[[int], str], Callable[[int, int], str]),
    (Callable[[int], str], Callable[[int], int]),
    (type[str], Callable[..., int]),
    (int, Callable[..., Any]),
    (type[Animal], type[Dog]),
    (type[int], int),
    (int, type[int]),
    (bytes, Json),
    (list[dict[str, bytes]], Json),
    (list[str], Tree[int]),
]


@pytest.mark.parametrize(("source", "target"), FINE, ids=describe)
def test_what_may_be_right_is_let_through(source: Any, target: Any) -> None:
    assert Comparison().wrong(source, target) is False
    assert incompatible(source, target) is False


@pytest.mark.parametrize(("source", "target"), WRONG, ids=describe)
def test_what_is_certainly_wrong_is_refused(source: Any, target: Any) -> None:
    assert Comparison().wrong(source, target) is True
    assert incompatible(source, target) is True


def test_numpy_classes_follow_the_same_rules() -> None:
    np = pytest.importorskip("numpy")
    npt = pytest.importorskip("numpy.typing")
    assert not incompatible(np.float64, float)
    assert not incompatible(npt.NDArray[np.float64], np.ndarray)
    assert not incompatible(npt.NDArray[np.float64], npt.NDArray[np.floating])
    assert not incompatible(np.ndarray, npt.ArrayLike)
    assert not incompatible(np.ndarray, Iterable[float])
    assert incompatible(np.ndarray, list[float])


def test_a_type_that_cannot_be_compared_or_asked_is_unknown() -> None:
    class Unequal(type):
        def __eq__(cls, other: object) -> bool:
            raise ValueError("the truth is ambiguous")

        __hash__ = type.__hash__

    class Strange(metaclass=Unequal): ...

    assert not incompatible(list[Strange], list[int])


ODDITIES: list[Any] = [
    *(
        3,
        "text",
        [],
        [int],
        ...,
        object(),
        Union,
        Optional,
        Literal,
        Generic,
        Protocol,
        Callable,
        TypedDict,
        NamedTuple,
    ),
    *(Annotated, Ts, P, P.args, Unpack[Ts], typing.Concatenate[int, P], typing.List, typing.Tuple, typing.Type),
    *(type(list[int]), type(int | str), Box[T], Many[Unpack[Ts]], tuple[Unpack[Ts]], types.SimpleNamespace(), int),
]


@pytest.mark.parametrize("odd", ODDITIES, ids=repr)
def test_no_annotation_breaks_the_comparison(odd: Any) -> None:
    for other in ODDITIES:
        assert Comparison().wrong(odd, other) in (True, False)
    assert isinstance(describe(odd), str)


@pytest.mark.parametrize("odd", ODDITIES, ids=repr)
@pytest.mark.parametrize("step", [("attr", "name"), ("item", 0), ("item", "name")], ids=str)
def test_no_annotation_breaks_a_projection(odd: Any, step: tuple[Literal["attr", "item"], Any]) -> None:
    part = None
    with contextlib.suppress(NoSuchProjection):  # rightly, for the few of which something is known
        part = project(odd, (step,))
    assert isinstance(describe(part), str)


# The exact meaning, checked against values: a source is wrong if and only if one of its values is not the target's.

LEAVES: dict[Any, list[Any]] = {
    int: [7],
    float: [7.5],
    bool: [True, False],
    str: ["text"],
    type(None): [None],
    Animal: [Animal(), Dog()],
    Dog: [Dog()],
    Color: [Color.RED, Color.GREEN],
    UserId: [7],
    Literal["ab"]: ["ab"],
    Literal["ab", "cd"]: ["ab", "cd"],
    Literal[Color.RED]: [Color.RED],
    Literal[True]: [True],
    Annotated[int, "metres"]: [7],
    Named: [Named(7, "text")],
}
MANY = 300


def runs(items: list[Any]) -> Iterator[tuple[Any, ...]]:
    """Some contents of a container: none, each item alone, all together, and different lengths."""
    yield from [(), *((item,) for item in items), tuple(items), *((items[0],) * n for n in (2, 3))]


def witnesses(hint: Any) -> list[Any]:
    """Values of a type, chosen so that a target that takes them all takes every value."""
    if not isinstance(hint, type(list[int])) and hint in LEAVES:
        return LEAVES[hint]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and ... not in args:
        found = itertools.product(*map(witnesses, args))
    elif origin is tuple:
        found = runs(witnesses(args[0]))
    elif origin is list:
        found = map(list, runs(witnesses(args[0])))
    elif origin is Sequence:
        found = (make(run) for run in runs(witnesses(args[0])) for make in (list, tuple, deque))
    elif origin in (dict, Mapping):
        makes = (dict,) if origin is dict else (dict, collections.UserDict)
        found = (make(enumerated(run)) for run in runs(witnesses(args[1])) for make in makes)
    else:
        found = itertools.chain.from_iterable(map(witnesses, args))
    values = list(itertools.islice(found, MANY + 1))
    assume(len(values) <= MANY)
    return values


def enumerated(values: Iterable[Any]) -> dict[str, Any]:
    return {f"key {index}": value for index, value in enumerate(values)}


def belongs(value: Any, hint: Any) -> bool:
    """Whether a value is one of a type's, by looking at all of it."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is UserId or hint is float:
        return isinstance(value, int if hint is UserId else (int, float))
    if origin is Annotated:
        return belongs(value, args[0])
    if origin is Literal:
        return any(value == one and isinstance(value, type(one)) for one in args)
    if origin is None:
        return isinstance(value, hint)
    if not isinstance(origin, type) or origin is type(int | str):
        return any(belongs(value, arg) for arg in args)
    if not isinstance(value, origin):
        return False
    if origin is tuple and ... not in args:
        return len(value) == len(args) and all(map(belongs, value, args))
    if issubclass(origin, Mapping):
        return all(belongs(key, args[0]) and belongs(item, args[1]) for key, item in value.items())
    # a text is made of texts, for ever
    return all(belongs(item, args[0]) for item in (value if not isinstance(value, str) else value[:1]))


def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        inner.map(lambda a: list[a]),
        inner.map(lambda a: Sequence[a]),
        inner.map(lambda a: tuple[a, ...]),
        inner.map(lambda a: dict[str, a]),
        inner.map(lambda a: Mapping[str, a]),
        st.lists(inner, max_size=2).map(lambda some: tuple[tuple(some)] if some else tuple[()]),
        st.tuples(inner, inner).map(lambda both: Union[both]),
    )


HINTS = st.recursive(st.sampled_from(list(LEAVES)), larger, max_leaves=5)


@settings(max_examples=300, deadline=None)
@given(HINTS, HINTS)
def test_a_source_is_wrong_exactly_if_one_of_its_values_is(source: Any, target: Any) -> None:
    stray = [value for value in witnesses(source) if not belongs(value, target)]
    assert incompatible(source, target) is bool(stray), stray[:1]


@settings(deadline=None)
@given(HINTS)
def test_every_type_fits_itself_and_what_is_wider(hint: Any) -> None:
    for wider in (hint, hint | None, Annotated[hint, "same"], Any, object):
        assert not Comparison().wrong(hint, wider)
    assert not incompatible(list[hint], Iterable[hint])


# hints_of


def plain(a: int, b: "str", /, c: float = 1.0, *rest: bytes, d: list["Row"], e, **more: Dog) -> "dict[str, Row]":
    raise NotImplementedError


def test_a_function() -> None:
    hints = hints_of(plain)
    expected = dict(a=int, b=str, c=float, d=list[Row], e=Any, rest=bytes, more=Dog)  # noqa: C408 - shorter
    assert hints.params == expected
    assert hints.result == dict[str, Row]
    assert hints.unresolved == ()


def test_without_annotations_nothing_is_known() -> None:
    assert hints_of(lambda x, *y: x) == ({"x": Any, "y": Any}, Any, ())


def test_none_as_result_is_its_type() -> None:
    def nothing() -> None: ...

    assert hints_of(nothing).result is type(None)


def test_annotated_is_taken_off() -> None:
    def f(x: Annotated[int, "m"], y: list[Annotated[int, "m"]]) -> Annotated[str, "m"]:
        raise NotImplementedError

    assert hints_of(f) == ({"x": int, "y": list[int]}, str, ())


def test_a_default_of_none_may_stay_none() -> None:
    def f(a, x: int = None, *, y: "Row" = None, z: Any = None, n: int = 0) -> None: ...  # noqa: RUF013

    assert hints_of(f).params == {"a": Any, "x": int | None, "y": Row | None, "z": Any, "n": int}


def test_what_a_coroutine_gives_when_awaited() -> None:
    async def plain_async() -> int:
        return 1

    async def gives_awaitable() -> Awaitable[int]:
        raise NotImplementedError

    async def stream() -> AsyncIterator[int]:
        yield 1

    def by_hand() -> Coroutine[Any, Any, int]:
        raise NotImplementedError

    def any_awaitable() -> "Awaitable[Row]":
        raise NotImplementedError

    def bare() -> typing.Coroutine:
        raise NotImplementedError

    assert hints_of(plain_async).result is int
    assert hints_of(functools.partial(plain_async)).result is int
    assert hints_of(gives_awaitable).result == Awaitable[int]
    assert hints_of(stream).result == AsyncIterator[int]
    assert hints_of(by_hand).result is int
    assert hints_of(any_awaitable).result is Row
    assert hints_of(bare).result is Any


class Service:
    def run(self, x: "Row") -> int:
        raise NotImplementedError

    async def __call__(self, y: "Row", z: int = 0) -> str:
        raise NotImplementedError

    @classmethod
    def make(cls, size: int) -> Self:
        raise NotImplementedError

    @staticmethod
    def help(topic: str) -> list[str]:
        raise NotImplementedError


def test_methods_and_callable_objects() -> None:
    assert hints_of(Service().run) == ({"x": Row}, int, ())
    assert hints_of(Service()) == ({"y": Row, "z": int}, str, ())
    assert hints_of(Service.make) == ({"size": int}, Service, ())
    assert hints_of(Service.help) == ({"topic": str}, list[str], ())
    assert hints_of(Service.run).params == {"self": Any, "x": Row}


def test_a_partial_has_the_parameters_it_left_open() -> None:
    hints = hints_of(functools.partial(plain, 1, e=2))
    assert "a" not in hints.params
    assert hints.params["b"] is str
    assert hints.result == dict[str, Row]
    assert hints_of(functools.partial(Service().run)) == ({"x": Row}, int, ())
    assert hints_of(functools.partial(Settings, "/")).result is Settings


def test_classes() -> None:
    assert hints_of(Settings) == ({"path": str, "sizes": dict[str, int], "later": Animal | None}, Settings, ())
    assert hints_of(Named) == ({"count": int, "title": str}, Named, ())
    assert hints_of(Row).result is Row
    assert hints_of(Row).params == {"name": str, "size": int | None, "tags": list[str]}
    assert hints_of(Animal) == ({}, Animal, ())
    assert hints_of(list[int]).result == list[int]


def test_builtins_say_little() -> None:
    assert hints_of(print).result is Any
    assert hints_of(dict) == ({}, dict, ())
    assert hints_of(min) == ({}, Any, ())
    assert hints_of(3) == ({}, Any, ())


def test_decorated_functions() -> None:
    def loud(fn: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(fn)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            return fn(*args, **kwargs)

        return wrapper

    def quiet(fn: Callable[..., Any]) -> Any:
        return lambda *args: fn(*args)

    def inner(x: "Row") -> int:
        raise NotImplementedError

    async def slow(x: int) -> "Row":
        raise NotImplementedError

    def other(x: "Dog") -> str:
        raise NotImplementedError

    assert hints_of(loud(inner)) == ({"x": Row}, int, ())
    assert hints_of(loud(loud(other))) == ({"x": Dog}, str, ())  # the same wrapper code, another function
    assert hints_of(loud(slow)) == ({"x": int}, Row, ())
    assert hints_of(quiet(inner)) == ({"args": Any}, Any, ())
    assert hints_of(functools.lru_cache(inner)) == ({"x": Row}, int, ())


def test_names_of_the_closure_are_found_and_local_ones_reported() -> None:
    class Local: ...

    def uses(x: "Local", y: "list[Local]") -> "Local":
        return Local()

    def cannot(x: "Local", y: "list[Row]", z: "Nowhere.deep") -> "dict[str, Missing]":  # noqa: F821
        raise NotImplementedError

    assert hints_of(uses) == ({"x": Local, "y": list[Local]}, Local, ())
    hints = hints_of(cannot)
    assert hints.params == {"x": Any, "y": list[Row], "z": Any}
    assert hints.result is Any
    assert hints.unresolved == (
        ("x", "NameError: name 'Local' is not defined"),
        ("z", "NameError: name 'Nowhere' is not defined"),
        ("return", "NameError: name 'Missing' is not defined"),
    )


def test_broken_annotations_hurt_only_themselves() -> None:
    def f(a: "int or", b: "1 / 0", c: "Row.nothing", d: int) -> "print('x'":  # noqa: F722
        raise NotImplementedError

    hints = hints_of(f)
    assert hints.params == {"a": Any, "b": Any, "c": Any, "d": int}
    assert [name for name, _ in hints.unresolved] == ["a", "b", "c", "return"]
    assert all(reason for _, reason in hints.unresolved)


def module_of(source: str) -> dict[str, Any]:
    """The names of a module with this source."""
    names: dict[str, Any] = {"__name__": "made_up"}
    exec(compile(textwrap.dedent(source), "made_up.py", "exec"), names)
    return names


def test_postponed_annotations() -> None:
    made = module_of("""
        from __future__ import annotations
        from dataclasses import dataclass
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from somewhere import Unknown
        def f(x: Later, y: Unknown, z: list[Later] | None) -> Later: ...
        class Later: ...
        def factory(kind):
            def made(x: kind) -> list[kind]: return kind
            return made
    """)
    later = made["Later"]
    hints = hints_of(made["f"])
    assert hints.params == {"x": later, "y": Any, "z": list[later] | None}
    assert hints.result is later
    assert [name for name, _ in hints.unresolved] == ["y"]
    # one piece of code, but the annotation is a variable of the closure
    assert hints_of(made["factory"](int)) == ({"x": int}, list[int], ())
    assert hints_of(made["factory"](str)) == ({"x": str}, list[str], ())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax came with Python 3.12")
@pytest.mark.parametrize("postponed", ["", "from __future__ import annotations"])
def test_type_parameters_and_alias_statements(postponed: str) -> None:
    made = module_of(f"""
        {postponed}
        type Rows = list[dict[str, Rows]] | int
        type Several[K] = list[K]
        class Held[K]:
            held: K
        def same[K](x: K, y: list[K], z: Several[int]) -> Rows: ...
    """)
    hints = hints_of(made["same"])
    assert hints.unresolved == ()
    assert isinstance(hints.params["x"], TypeVar)
    assert not incompatible(list[int], hints.params["y"])
    assert not incompatible(list[int], hints.params["z"])
    assert incompatible(list[str], hints.params["z"])
    assert not incompatible(hints.result, hints.result)
    assert incompatible(list[dict[str, str]], hints.result)
    assert project(made["Held"][int], (("attr", "held"),)) is int
    assert not incompatible(made["Held"][int], made["Held"][bool])
    assert incompatible(made["Held"][int], made["Held"][str])


def test_functions_of_one_code_share_the_answer() -> None:
    def make(kind: Any, default: Any = 0) -> Any:
        def made(x: kind, y: "Row", z: int = default) -> list[kind]:
            return [kind]

        return made

    first, same, other = make(int), make(int), make(str)
    assert hints_of(first) is hints_of(same)
    assert hints_of(other) == ({"x": str, "y": Row, "z": int}, list[str], ())
    assert hints_of(make(int)).params["x"] is int
    assert hints_of(make(int, None)).params["z"] == int | None
    assert hints_of(make(int)).params["z"] is int


def test_the_same_code_in_another_module_means_other_names() -> None:
    def f(x: "Row") -> int:
        raise NotImplementedError

    moved = types.FunctionType(f.__code__, {"Row": Dog})
    moved.__annotations__ = f.__annotations__
    assert hints_of(f).params == {"x": Row}
    assert hints_of(moved).params == {"x": Dog}


def test_a_name_that_appears_later_is_found_then() -> None:
    made = module_of("def f(x: 'Later') -> int: ...")
    assert hints_of(made["f"]).unresolved
    assert hints_of(made["f"]) is hints_of(made["f"])
    made["Later"] = Row
    assert hints_of(made["f"]) == ({"x": Row}, int, ())


def test_a_function_that_dies_leaves_nothing_behind() -> None:
    made = module_of("def f(x: int) -> int: ...")
    key = id(made["f"].__code__)
    hints_of(made["f"])
    assert key in _hints._known
    made.clear()
    assert key not in _hints._known


# project

FOUND: list[tuple[Any, tuple[Any, ...], Any]] = [
    (Row, (".name",), str),
    (Row, (".size",), int | None),
    (Row, (".label",), str),
    (Row, (".length",), int),
    (Row, (".limit",), int),
    (Row, (".upper",), Any),
    (Row, ("._secret",), int),
    (Row, (".model_fields_set",), set[str]),
    (OpenRow, (".name",), str),
    (OpenRow, (".more",), Any),
    (HookedRow, (".more",), Any),
    (Page[int], (".items",), list[int]),
    (Page[int], (".items", 0), int),
    (IntPage, (".items", 0), int),
    (Settings, (".sizes", "a"), int),
    (Settings, (".later",), Animal | None),
    (Settings, (".depth",), int),
    (Pair[int], (".left",), int),
    (Growing, (".grown",), Any),
    (Free, (".more",), Any),
    (Loose, (".more",), Any),
    (Animal, (".more",), Any),
    (Shape, (".more",), Any),
    (Closes, (".more",), Any),
    (IntBox, (".value",), int),
    (DeepIntBox, (".value",), int),
    (Box[str], (".value",), str),
    (Color, (".value",), Any),
    (Named, (".count",), int),
    (Named, (1,), str),
    (Named, (-2,), int),
    (Point, ("x",), int),
    (Point, ("y",), str),
    (LaterPoint, ("y",), str),
    (Point, (".keys",), Any),
    (list[Row], (0, ".name"), str),
    (list[Row], (slice(1, 3),), list[Row]),
    (list, (0,), Any),
    (Sequence[int], (0,), int),
    (Sequence[int], (slice(2),), Sequence[int]),
    (Rows, (0,), int),
    (deque[int], (0,), int),
    (tuple[int, str], (1,), str),
    (tuple[int, str], (-1,), str),
    (tuple[int, str, float], (slice(1, None),), tuple[str, float]),
    (tuple[int, ...], (5,), int),
    (tuple[int, Unpack[tuple[str, ...]]], (5,), Any),
    (dict[str, list[int]], ("a", 0), int),
    (Mapping[str, int], ("a",), int),
    (Counter[str], ("a",), int),
    (Table[int], ("a",), int),
    (str, (0,), str),
    (str, (slice(3),), str),
    (bytes, (0,), int),
    (OldSequence, ("any",), str),
    (Box[int], (0,), int),
    (Row | None, (".name",), str),
    (Row | Named, (".name",), Any),
    (Named | Pair[str], (".title",), Any),
    (Table[int] | Counter[int], ("a",), int),
    (list[int] | tuple[str, ...], (0,), int | str),
    (Literal["a"], (0,), str),
    (UserId, (".real",), Any),
    (Annotated[Row, "first"], (".name",), str),
    (TypeAliasType("Short", Row), (".name",), str),
    (Any, (".a", 0, "b"), Any),
    (T, (".a",), Any),
    (object, (".a",), Any),
    (type[Row], (".a",), Any),
    (Callable[[], int], (".a",), Any),
    (Iterable[int], (0,), Any),
]


def path_of(steps: tuple[Any, ...]) -> Any:
    """``(".name", 0)`` in short for an attribute and an item."""
    return tuple(
        ("attr", step[1:]) if isinstance(step, str) and step.startswith(".") else ("item", step) for step in steps
    )


@pytest.mark.parametrize(("hint", "steps", "expected"), FOUND, ids=str)
def test_the_type_of_a_part(hint: Any, steps: tuple[Any, ...], expected: Any) -> None:
    assert project(hint, path_of(steps)) == expected


MISSING: list[tuple[Any, tuple[Any, ...], str]] = [
    (Row, (".nmae",), "Row has no attribute 'nmae'; did you mean 'name'?"),
    (Row, ("name",), "Row has no items, so there is no ['name']"),
    (Page[int], (".itms",), "Page[int] has no attribute 'itms'; did you mean 'items'?"),
    (Settings, (".pth",), "Settings has no attribute 'pth'; did you mean 'path' or 'depth'?"),
    (Pair[int], (".lft",), "Pair[int] has no attribute 'lft'; did you mean 'left'?"),
    (Growing, (".shrunk",), "Growing has no attribute 'shrunk'"),
    (Named, (".titel",), "Named has no attribute 'titel'; did you mean 'title'?"),
    (Named, (2,), "Named has 2 items, none of them at [2]"),
    (Point, ("z",), "Point has no key 'z'"),
    (Point, (".x",), "dict has no attribute 'x'"),
    (list[Row], (".name",), "list[Row] has no attribute 'name'"),
    (list[Row], ("name",), "list[Row] takes a position, not 'name'"),
    (tuple[int, str], (2,), "tuple[int, str] has 2 items, none of them at [2]"),
    (tuple[int, str], (-3,), "tuple[int, str] has 2 items, none of them at [-3]"),
    (set[int], (0,), "set[int] has no items, so there is no [0]"),
    (int, (0,), "int has no items, so there is no [0]"),
    (None, (".name",), "None has no attribute 'name'"),
    (list[Row], (0, ".nmae"), "Row has no attribute 'nmae'; did you mean 'name'?"),
]


@pytest.mark.parametrize(("hint", "steps", "message"), MISSING, ids=str)
def test_what_is_certainly_missing(hint: Any, steps: tuple[Any, ...], message: str) -> None:
    with pytest.raises(NoSuchProjection) as caught:
        project(hint, path_of(steps))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("hint", "item"),
    [
        (list[Row], Row),
        (dict[str, int], str),
        (tuple[int, str], int | str),
        (str, str),
        (Generator[int, None, None], int),
        (Rows, int),
        (list[int] | tuple[str, ...], int | str),
        (list, Any),
        (Any, Any),
        (Animal, Any),
    ],
    ids=describe,
)
def test_the_type_of_one_item(hint: Any, item: Any) -> None:
    assert item_of(hint) == item


def test_type_arguments_seen_from_a_superclass() -> None:
    assert seen_as(dict[str, int], Iterable) == (str,)
    assert seen_as(Table[bytes], Mapping) == (str, bytes)
    assert seen_as(list, Iterable) is None
    assert fill(dict[str, T], {T: int}) == dict[str, int]
    assert fill(list[T], {}) == list[Any]


# describe


@pytest.mark.parametrize(
    ("hint", "name"),
    [
        (int, "int"),
        (None, "None"),
        (Any, "Any"),
        (int | None, "int | None"),
        (Optional[Row], "Row | None"),
        (list[Row], "list[Row]"),
        (List[int], "list[int]"),
        (dict[str, list[int]], "dict[str, list[int]]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (tuple[()], "tuple[()]"),
        (Callable[[int], str], "Callable[[int], str]"),
        (Callable[..., Any], "Callable[..., Any]"),
        (Literal["a", 1], "Literal['a', 1]"),
        (Literal[Color.RED], "Literal[Color.RED]"),
        (Annotated[int, "m"], "int"),
        (UserId, "UserId"),
        (T, "T"),
        (Json, "Json"),
        (Tree[int], "Tree[int]"),
        (Page[int], "Page[int]"),
        (Box[Dog], "Box[Dog]"),
        (type[Row], "type[Row]"),
        (Self, "Self"),
        ("Later", "Later"),
        (typing.ForwardRef("Later"), "Later"),
    ],
    ids=str,
)
def test_names(hint: Any, name: str) -> None:
    assert describe(hint) == name


def test_a_local_class_has_a_short_name_and_a_long_type_is_cut() -> None:
    class Local: ...

    assert describe(list[Local]) == "list[Local]"
    assert len(describe(Literal[tuple(range(100))])) == 100
