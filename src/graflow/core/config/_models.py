"""What a configuration may say, as pydantic models: they validate it, and they give its JSON Schema."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeAlias, cast, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from graflow.core import policy as policies
from graflow.core.config import _projection
from graflow.core.config._keys import Keys, Mistake, suggestion

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def brief(value: Any) -> str:
    """A value as messages show it."""
    return _SHORT.repr(value)


def _path(text: str) -> str:
    _projection.parse(text)
    return text


def _many(value: Any) -> Any:
    return [value] if isinstance(value, str) else list(value) if isinstance(value, tuple) else value


Name = Annotated[str, Field(min_length=1)]
PathText = Annotated[str, AfterValidator(_path)]
Names = Annotated[list[Name], BeforeValidator(_many)]


class Part(BaseModel):
    """A part of a configuration: no other keys than its own, and no value taken for one of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


# ── references ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Reference(Part):
    """What stands for a value that exists only while the workflow runs. Its first key says what kind it is."""

    word: ClassVar[str]
    about: ClassVar[str]


class Result(Reference):
    """The result of a task, or a part of it."""

    word = "from"
    about = "the result of a task"

    task: Name = Field(alias="from", description="The task.")
    path: PathText = Field("", description="The way to a part of it, such as [0].price.")


class Ending(Reference):
    """How a task ended: the reader runs whether it succeeded, failed or was skipped."""

    word = "outcome"
    about = "how a task ended"

    task: Name = Field(alias="outcome", description="The task.")
    path: PathText = Field("", description="The way to a part of the outcome.")


class Input(Reference):
    """A field of the workflow's inputs, or a part of it."""

    word = "inputs"
    about = "the workflow's inputs"

    path: PathText = Field(alias="inputs", description="The field, such as region or window.start; '.' for all of it.")


class Item(Reference):
    """One item of a list that exists only while the workflow runs: the task runs once for each of them."""

    word = "each"
    about = "one item of a result"

    of: Any = Field(alias="each", description="The task whose result is the list, or a reference to a list.")
    path: PathText = Field("", description="The way from one item to a part of it.")


class All(Reference):
    """The results of all tasks that a matrix makes, as a list."""

    word = "all"
    about = "the results of all tasks of a matrix"

    task: Name = Field(alias="all", description="The key of the matrix.")
    path: PathText = Field("", description="The way to a part of each result.")


class Cell(Reference):
    """The value that the task has in its matrix."""

    word = "matrix"
    about = "a value of the matrix"

    name: Name = Field(alias="matrix", description="One of the matrix's names.")


class Literal(Reference):
    """A constant as it stands, whatever its keys look like."""

    word = "literal"
    about = "a constant as it stands"

    value: Any = Field(alias="literal", description="The constant.")


AnyReference: TypeAlias = Result | Ending | Input | Item | All | Cell | Literal
REFERENCES: Final[Mapping[str, type[AnyReference]]] = {kind.word: kind for kind in get_args(AnyReference)}


def reference(value: Any, keys: Keys) -> AnyReference | None:
    """The reference that a mapping stands for; None for anything else.

    Raises:
        Mistake: the mapping has the key of a reference, and is none.
    """
    if not isinstance(value, dict):
        return None
    kind = next((REFERENCES[word] for word in REFERENCES if word in value), None)
    if kind is None:
        return None
    own = [field.alias or name for name, field in kind.model_fields.items()]
    foreign = next((key for key in value if key not in own), None)
    if foreign is not None:
        raise Mistake(
            (*keys, foreign),
            f"{{{kind.word}: ...}} stands for {kind.about} and has no key {foreign!r}; for a constant with the key "
            f"{kind.word!r} write {{literal: {{...}}}}",
        )
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise mistakes(error, kind, keys)[0] from None


# ── policies ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _shaped(name: str, kind: type[BaseModel], doc: str, **changed: Any) -> type[Part]:
    """A part with the fields of a policy; the policy's own class raises, and a part tells the place."""
    fields: dict[str, Any] = {
        field: (info.annotation, _field(info)) for field, info in kind.model_fields.items() if field not in changed
    }
    return create_model(name, __base__=Part, __doc__=doc, **fields, **changed)


def _field(info: FieldInfo) -> Any:
    plain = Field() if info.is_required() else Field(default=info.default)
    plain.metadata = [*info.metadata]
    return plain


def _attempts(value: Any) -> Any:
    return {"attempts": value} if isinstance(value, int) and not isinstance(value, bool) else value


def _switch(value: Any) -> Any:
    return {} if value is True else None if value is False else value


if TYPE_CHECKING:
    TaskPolicies = Part
else:
    _Backoff = _shaped("Backoff", policies.Exponential, "How the wait before the next attempt grows.")
    _Retry = _shaped(
        "Retry",
        policies.Retry,
        "How often a task is attempted, and after which exceptions. A number stands for `attempts`.",
        backoff=(_Backoff, _Backoff()),
        on=(Names, Field(["Exception"], description="Builtin exceptions by name, others as module:name.")),
    )
    _Cache = _shaped("Cache", policies.Cache, "How long a result is kept. `true` keeps it for ever.")
    _Limit = _shaped("Limit", policies.Limit, "How many of the tasks that share a name run at once.")
    TaskPolicies = _shaped(
        "TaskPolicies",
        policies.Policy,
        "What a task asks of the runner.",
        retry=(Annotated[_Retry | None, BeforeValidator(_attempts)], None),
        cache=(Annotated[_Cache | None, BeforeValidator(_switch)], None),
        limit=(_Limit | None, None),
    )


# ── the whole ───────────────────────────────────────────────────────────────────────────────────────────────────────


class TaskConfig(TaskPolicies):
    """One task, or one of each combination of a matrix."""

    task: Name | None = Field(
        None, description="What runs: a registered name, or module:name from an allowed module. By default the key."
    )
    inputs: dict[str, Any] = Field({}, description="Constants and references, by parameter; '*' for further ones.")
    after: Names = Field([], description="Tasks that must succeed first, without passing a result.")
    when: Any = Field(True, description="A flag, or several: the task runs only if all are true.")
    unless: Any = Field(False, description="A flag, or several: the task runs only if all are false.")
    enabled: bool = Field(True, description="false leaves the task out.")
    matrix: dict[Name, Annotated[list[Any], Field(min_length=1)]] = Field(
        {}, description="Values by name: there is one task for each combination."
    )
    exclude: list[dict[str, Any]] = Field([], description="Combinations of the matrix to leave out, given in part.")
    id: Name | None = Field(None, description="The ids of a matrix's tasks, such as train-{lr}-{depth}.")


class WorkflowConfig(Part):
    """A workflow."""

    name: str = Field(pattern=r"\S", description="The workflow's name.")
    inputs: Name | None = Field(None, description="The model of its inputs: a registered name, or module:name.")
    returns: Name | None = Field(None, description="The task whose result is the run's value; by default the last.")
    tasks: dict[Name, TaskConfig] = Field(description="The tasks by id.")


POLICIES: Final = tuple(policies.Policy.model_fields)


def validated(data: Mapping[str, Any]) -> tuple[WorkflowConfig | None, list[Mistake]]:
    """The configuration as models, or all that is wrong with it."""
    try:
        return WorkflowConfig.model_validate(data), []
    except ValidationError as error:
        return None, mistakes(error, WorkflowConfig, ())


def mistakes(error: ValidationError, kind: type[BaseModel], keys: Keys) -> list[Mistake]:
    """What pydantic found, in our words."""
    found: list[Mistake] = []
    for problem in error.errors(include_url=False):
        loc = tuple(part for part in problem["loc"] if part != "[key]")
        place = (*keys, *loc)
        if problem["type"] == "extra_forbidden":
            hint = suggestion(str(loc[-1]), _names_at(kind, loc[:-1]))
            found.append(Mistake(place, f"there is no key {loc[-1]!r} here; {hint}"))
        elif problem["type"] == "missing":
            found.append(Mistake(place[:-1], f"the key {loc[-1]!r} is missing"))
        elif problem["type"] in ("dict_type", "model_type", "list_type"):
            kind_of = "list" if problem["type"] == "list_type" else "mapping"
            found.append(Mistake(place, f"give a {kind_of}, not {brief(problem['input'])}"))
        elif problem["type"] == "too_short":
            found.append(Mistake(place, "there has to be one item at least"))
        else:
            cause = cast("dict[str, Any]", problem).get("ctx", {}).get("error")
            reason = str(cause) if cause is not None else f"{problem['msg']}, not {brief(problem['input'])}"
            found.append(Mistake(place, reason[:1].lower() + reason[1:]))
    return found


def _names_at(kind: type[BaseModel], loc: Keys) -> list[str]:
    """The keys that a mapping may have."""
    here: Any = kind
    for key in loc:
        model = _model_in(here)
        if model is not None:
            field = next(f for name, f in model.model_fields.items() if (f.alias or name) == key)
            here = field.annotation
        else:
            here = get_args(here)[-1]  # the items of a dict or a list
    model = _model_in(here)
    return [] if model is None else [field.alias or name for name, field in model.model_fields.items()]


def _model_in(hint: Any) -> type[BaseModel] | None:
    """The model that a value of this type is, or may be."""
    choices = (hint,) if get_origin(hint) is None else () if get_origin(hint) in (dict, list) else get_args(hint)
    return next((one for one in choices if isinstance(one, type) and issubclass(one, BaseModel)), None)
