"""Stand-ins for values that exist only while a workflow runs.

``extract.out`` is typed as the result of ``extract``, ``extract.each`` as one item of it, ``extract.outcome`` as how it
ended, and ``inputs(Model)`` as an instance of ``Model``; at definition time all of them are a `Placeholder`. It can be
passed to a task, projected (``extract.out[0].price``) and nothing else: every other use raises `PlaceholderError`,
because a pipeline that computes with a result before there is one would compute something else than it says.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias, TypeVar, cast

from graflow.errors import ConfigurationError, PlaceholderError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from graflow.core.task import Task

    M = TypeVar("M", bound=BaseModel)
else:
    M = TypeVar("M")

T = TypeVar("T")

Steps: TypeAlias = tuple[tuple[Literal["attr", "item", "each"], Any], ...]
Path: TypeAlias = tuple[tuple[Literal["attr", "item", "each", "outcome"], Any], ...]

#: The path to how a task ended. It can only begin a path; the rest then starts from the `Outcome`.
OUTCOME: Path = (("outcome", None),)
#: The step from something with items to one of them: what is mapped over. There is at most one in a path.
EACH: Path = (("each", None),)


class InputSource:
    """The inputs of the whole workflow, as an instance of one pydantic model."""

    __slots__ = ("model",)

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model

    def __reduce__(self) -> tuple[Any, ...]:
        return InputSource, (self.model,)


class KnownSource(InputSource):
    """Something that is known already, in the place of inputs: to be mapped over, for that happens in the run."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        super().__init__(type(value))
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return KnownSource, (self.value,)


Source: TypeAlias = "Task[..., Any] | InputSource"


class _PlaceholderFields:
    # Dunder names cannot collide with a field of a user's model, so every other name stays free for projections.
    __slots__ = ("__graflow_path__", "__graflow_source__")
    __graflow_source__: Source
    __graflow_path__: Path


class Placeholder(_PlaceholderFields):
    """The result of a task, how it ended, or the inputs of a workflow, before there is one.

    Attribute access and indexing give another placeholder, a *projection*, resolved when the task runs.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Placeholder:
        if name.startswith(("__", "_repr_", "_ipython_")):
            # Protocol probes (copy, numpy, notebooks) ask for these; a projection would claim to support them.
            raise AttributeError(name)
        source, path = self.__graflow_source__, self.__graflow_path__
        if not path and isinstance(source, InputSource):
            _check_field(source.model, name)
        return make_placeholder(source, (*path, ("attr", name)))

    def __getitem__(self, key: Any) -> Placeholder:
        parts = (key.start, key.stop, key.step) if type(key) is slice else key if type(key) is tuple else (key,)
        hidden = next((part for part in parts if type(part) is Placeholder), None)
        if hidden is not None:
            raise PlaceholderError(
                f"{describe(self)} cannot be indexed by {describe(hidden)}: the key is known only while the workflow "
                f"runs; pass both to a task and index there"
            )
        return make_placeholder(self.__graflow_source__, (*self.__graflow_path__, ("item", key)))

    def __repr__(self) -> str:
        return f"<{describe(self)}>"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        _refuse(self, f"set its attribute {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        _refuse(self, f"delete its attribute {name!r}")

    def __iter__(self) -> Iterator[Any]:
        has_items = self.__graflow_path__ != OUTCOME
        if takes_item(self):
            raise PlaceholderError(
                f"{describe(self)} exists only while the workflow runs, so there is nothing to loop over now; pass it "
                f"to .map(), which runs the task for each item"
            )
        raise PlaceholderError(
            f"{describe(self)} exists only while the workflow runs, so it cannot be iterated or unpacked now; "
            f"pass it to a task instead{f', or take one item with {source_spelling(self)}[0]' * has_items}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        source = self.__graflow_source__
        bare = source if isinstance(source, InputSource) else source._bare()
        return make_placeholder, (bare, self.__graflow_path__)

    def __copy__(self) -> Placeholder:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Placeholder:
        return self


def make_placeholder(source: Source, path: Path = ()) -> Placeholder:
    """Make a placeholder. Filling open slots and then switching the class costs half of frozen attribute setting."""
    fields = _PlaceholderFields()
    fields.__graflow_source__ = source
    fields.__graflow_path__ = path
    fields.__class__ = Placeholder
    return cast(Placeholder, fields)


_USES = {
    "computed with": (
        "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift divmod neg pos abs invert round trunc "
        "floor ceil int float complex index"
    ),
    "compared": "lt le eq ne gt ge contains",
    "used as a truth value": "bool",
    "hashed": "hash",
    "measured with len()": "len length_hint",
    "reversed": "reversed",
    "turned into text": "str format bytes",
    "used as a path": "fspath",
    "called": "call",
    "awaited": "await aiter anext",
    "entered": "enter exit aenter aexit",
    "changed": "setitem delitem",
    "advanced": "next",
}


def _refusal(use: str) -> Callable[..., NoReturn]:
    def refuse(self: Placeholder, *_: Any, **__: Any) -> NoReturn:
        _refuse(self, use)

    return refuse


for _use, _names in _USES.items():
    for _name in _names.split():
        setattr(Placeholder, f"__{_name}__", _refusal(_use))
        if _use == "computed with":
            setattr(Placeholder, f"__r{_name}__", _refusal(_use))
            setattr(Placeholder, f"__i{_name}__", _refusal(_use))


def _refuse(placeholder: Placeholder, use: str) -> NoReturn:
    raise PlaceholderError(
        f"{describe(placeholder)} exists only while the workflow runs, so it cannot be {use} now; "
        f"pass it to a task instead"
    )


def takes_outcome(placeholder: Placeholder) -> bool:
    """Whether it stands for how a task ended, or for a part of that, and not for the task's result."""
    path = placeholder.__graflow_path__
    return bool(path) and path[0][0] == "outcome"


def projection_of(placeholder: Placeholder) -> Steps:
    """The way from the result, the outcome or the inputs to what is meant."""
    path = placeholder.__graflow_path__
    return cast(Steps, path[1:] if takes_outcome(placeholder) else path)


def takes_item(placeholder: Placeholder) -> bool:
    """Whether it stands for one item of what is mapped over, or for a part of one."""
    return any(kind == "each" for kind, _ in placeholder.__graflow_path__)


def split_at_item(steps: Steps) -> tuple[Steps, Steps]:
    """The way to what is mapped over, and from one of its items to what is meant."""
    k = next(k for k, (kind, _) in enumerate(steps) if kind == "each")
    return steps[:k], steps[k + 1 :]


def spelling_of_path(path: Path) -> str:
    """``.name[0]``, as a user would write it."""
    return "".join(f".{key}" if kind == "attr" else f"[{key!r}]" for kind, key in path)


def describe(placeholder: Placeholder) -> str:
    """What it stands for, for messages."""
    source, path = placeholder.__graflow_source__, projection_of(placeholder)
    if takes_item(placeholder):
        _, path = split_at_item(path)
        whole = f"one item of {describe(make_placeholder(source, placeholder.__graflow_path__[: -len(path) - 1]))}"
        return f"{spelling_of_path(path)} of {whole}" if path else whole
    if isinstance(source, KnownSource):
        whole = f"a {source.model.__name__} that is known"
    elif isinstance(source, InputSource):
        whole = f"the input {source.model.__name__}"
    else:
        whole = f"the {'outcome' if takes_outcome(placeholder) else 'result'} of task {source.id!r}"
    return f"{spelling_of_path(path)} of {whole}" if path else whole


def source_spelling(placeholder: Placeholder) -> str:
    """How a user would write it."""
    source = placeholder.__graflow_source__
    if takes_item(placeholder):
        _, after = split_at_item(projection_of(placeholder))
        whole = make_placeholder(source, placeholder.__graflow_path__[: -len(after) - 1])
        plain = isinstance(source, InputSource) or whole.__graflow_path__
        start = f"each({source_spelling(whole)})" if plain else f"{cast(Any, source).id}.each"
        return start + spelling_of_path(after)
    if isinstance(source, KnownSource):
        start = reprlib.repr(source.value)
    elif isinstance(source, InputSource):
        start = f"inputs({source.model.__name__})"
    else:
        start = f"{source.id}.{'outcome' if takes_outcome(placeholder) else 'out'}"
    return start + spelling_of_path(projection_of(placeholder))


def _check_field(model: type[BaseModel], name: str) -> None:
    fields = model.model_fields
    if name in fields or hasattr(model, name) or model.model_config.get("extra") == "allow":
        return
    from difflib import get_close_matches

    close = get_close_matches(name, list(fields), n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"its fields are {', '.join(fields) or 'none'}"
    raise PlaceholderError(f"the input {model.__name__} has no field {name!r}; {hint}")


def inputs(model: type[M]) -> M:
    """A placeholder for the inputs of a workflow, typed as an instance of ``model``.

    Args:
        model: a pydantic model class; the workflow is then run with an instance of it.

    Raises:
        ConfigurationError: ``model`` is not a pydantic model class.
        PlaceholderError: (from the placeholder) a field is asked for that the model does not have.
    """
    if not (isinstance(model, type) and hasattr(model, "model_fields")):
        raise ConfigurationError(f"inputs() takes a pydantic model class, not {model!r}; declare one with BaseModel")
    return cast(M, make_placeholder(InputSource(model)))


def each(items: Iterable[T]) -> T:
    """A placeholder for one item of something, to map over it.

    ``score.map(row=each(clean.out.rows))`` runs ``score`` once for each row; ``clean.each`` is short for
    ``each(clean.out)``. Dictionaries give their keys, as they do in a loop.

    Args:
        items: a placeholder for anything that can be iterated, but text; or a collection of values that are known.

    Raises:
        PlaceholderError: an item already, or a collection with placeholders in it.
        WiringError: text, or nothing that can be iterated more than once.
    """
    if type(items) is not Placeholder:
        return cast(T, make_placeholder(KnownSource(_known(items)), EACH))
    if takes_item(items):
        raise PlaceholderError(
            f"{describe(items)} cannot be mapped over as well; map a task that returns its items, and then over that"
        )
    return cast(T, make_placeholder(items.__graflow_source__, (*items.__graflow_path__, *EACH)))


def _known(items: Any) -> Any:
    """A collection of values, as it is now."""
    from graflow.core._inputs import prepare
    from graflow.errors import WiringError

    if isinstance(items, str | bytes | bytearray):
        raise WiringError(f"each({items!r}) would map over characters; write each(list(text)) to mean it")
    if not hasattr(items, "__iter__") or hasattr(items, "__next__"):
        own = getattr(items, "id", None) if hasattr(items, "_definition") else None
        cure = "each(list(...))" if hasattr(items, "__next__") else f"{own}.each" if own else f"each([{items!r}])"
        raise WiringError(f"each() takes a collection, not {items!r}; write {cure}")
    from graflow.core._digest import digest_value

    values = tuple(items)
    hidden = getattr(prepare(values, "each", "items"), "refs", ())
    if hidden:
        raise PlaceholderError(
            f"{describe(hidden[0])} lies in a collection to map over; let a task put the collection together, and map "
            f"over its result"
        )
    # A set in an order that is the same in every process.
    return tuple(sorted(values, key=digest_value)) if isinstance(items, set | frozenset) else values
