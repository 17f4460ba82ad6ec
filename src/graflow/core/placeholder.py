"""Stand-ins for values that exist only while a workflow runs.

``extract.out`` is typed as the result of ``extract``, ``extract.outcome`` as how it ended, and ``inputs(Model)`` as an
instance of ``Model``; at definition time all three are a `Placeholder`. It can be passed to a task, projected
(``extract.out[0].price``) and nothing else: every other use raises `PlaceholderError`, because a pipeline that computes
with a result before there is one would compute something else than it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias, TypeVar, cast

from graflow.errors import ConfigurationError, PlaceholderError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from graflow.core.task import Task

    M = TypeVar("M", bound=BaseModel)
else:
    M = TypeVar("M")

Steps: TypeAlias = tuple[tuple[Literal["attr", "item"], Any], ...]
Path: TypeAlias = tuple[tuple[Literal["attr", "item", "outcome"], Any], ...]

#: The path to how a task ended. It can only begin a path; the rest then starts from the `Outcome`.
OUTCOME: Path = (("outcome", None),)


class InputSource:
    """The inputs of the whole workflow, as an instance of one pydantic model."""

    __slots__ = ("model",)

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model

    def __reduce__(self) -> tuple[Any, ...]:
        return InputSource, (self.model,)


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


def spelling_of_path(path: Path) -> str:
    """``.name[0]``, as a user would write it."""
    return "".join(f".{key}" if kind == "attr" else f"[{key!r}]" for kind, key in path)


def describe(placeholder: Placeholder) -> str:
    """What it stands for, for messages."""
    source, path = placeholder.__graflow_source__, projection_of(placeholder)
    if isinstance(source, InputSource):
        whole = f"the input {source.model.__name__}"
    else:
        whole = f"the {'outcome' if takes_outcome(placeholder) else 'result'} of task {source.id!r}"
    return f"{spelling_of_path(path)} of {whole}" if path else whole


def source_spelling(placeholder: Placeholder) -> str:
    """How a user would write it."""
    source = placeholder.__graflow_source__
    if isinstance(source, InputSource):
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
