"""The inputs of a workflow as options: made from its pydantic model, and read back into an instance of it.

What the user types is handed to pydantic as JSON strings first, which pydantic converts as the fields ask. Where a
field refuses the text as it stands and it is JSON, the field gets what the JSON says.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin

import click

from graflow.cli._trouble import Trouble, user_traceback
from graflow.show.progress import error_text
from graflow.show.text import one_line, shorten

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic.fields import FieldInfo

_TYPE_WIDTH, _DEFAULT_WIDTH, _GIVEN_WIDTH = 32, 60, 60
#: What pydantic says of a text where it wants several values.
_WANTS_ITEMS = ("list_type", "tuple_type", "set_type", "frozen_set_type")
_LIMITS = (("gt", "> "), ("ge", ">= "), ("lt", "< "), ("le", "<= "), ("multiple_of", "a multiple of "))


class Input(NamedTuple):
    """One field of the input model, and how it is given."""

    name: str
    key: str | None
    """What validation calls it: its alias, if it has one; None if that is no single word."""
    option: str | None
    """``--top``; None if it can only be given with --inputs."""
    field: FieldInfo

    @property
    def spelling(self) -> str:
        """How to call it in a message."""
        return self.option or f"--inputs: {self.key or self.name}"

    @property
    def parameter(self) -> str:
        """The name of click's parameter; fields of models do not start with ``_``, so it meets no other."""
        return f"_{self.name}"


def inputs_of(model: type[BaseModel] | None, taken: Iterable[str]) -> list[Input]:
    """The fields of a model with their options.

    The field ``min_arrivals`` becomes ``--min-arrivals``. Where the command has an option of that name, it keeps it,
    and the field becomes ``--input-min-arrivals``.

    Args:
        model: the input model.
        taken: the command's own options.
    """
    if model is None or getattr(model, "__pydantic_root_model__", False):
        return []
    used = {"--help", *taken}
    found: list[Input] = []
    for name, field in model.model_fields.items():
        words = name.strip("_").replace("_", "-")
        key = _key(name, field)
        free = [option for option in (f"--{words}", f"--input-{words}") if option not in used]
        option = free[0] if free and key is not None else None
        if option is not None:
            used.update({option, _negation(option)} if _is_switch(field) else {option})
        found.append(Input(name, key, option, field))
    return found


def _key(name: str, field: FieldInfo) -> str | None:
    alias = field.validation_alias or field.alias or name
    if isinstance(alias, str):
        return alias
    # AliasChoices has `choices`; AliasPath leads into a nested value, which an option cannot name.
    return next((choice for choice in getattr(alias, "choices", ()) if isinstance(choice, str)), None)


def _is_switch(field: FieldInfo) -> bool:
    return field.annotation is bool


def _negation(option: str) -> str:
    return f"--no-{option.removeprefix('--')}"


def option_for(given: Input) -> click.Option | None:
    """The click option of an input; its help says type, limits, description and default."""
    if given.option is None:
        return None
    names, text = [given.option, given.parameter], _help(given.field)
    if _is_switch(given.field):
        names[0] = f"{given.option}/{_negation(given.option)}"
        return click.Option(names, default=None, help=text, show_default=False)
    return click.Option(names, multiple=True, metavar=type_text(given.field), help=text, show_default=False)


def type_text(field: FieldInfo) -> str:
    """The type of a field in a few words: ``int``, ``fast|slow``, ``list[dict]``."""
    from graflow.core._hints import describe

    annotation = field.annotation
    if get_origin(annotation) is Literal:
        return shorten("|".join(map(str, get_args(annotation))), _TYPE_WIDTH)
    members = getattr(annotation, "__members__", None)
    if members:
        return shorten("|".join(str(member.value) for member in members.values()), _TYPE_WIDTH)
    return shorten(one_line(describe(annotation)), _TYPE_WIDTH)


def _help(field: FieldInfo) -> str:
    from pydantic_core import PydanticUndefined

    limits = [
        f"{sign}{getattr(part, name)}"
        for part in field.metadata
        for name, sign in _LIMITS
        if getattr(part, name, None) is not None
    ]
    if field.is_required():
        notes = ["required"]
    elif field.default_factory is not None:
        made = getattr(field.default_factory, "__name__", "a function")
        notes = [f"default: {made}()" if made not in ("<lambda>", "a function") else "has a default"]
    else:
        notes = ["default: " + shorten(one_line(_default(field.default)), _DEFAULT_WIDTH)]
        assert field.default is not PydanticUndefined
    notes[:0] = limits
    description = one_line(field.description or "")
    return f"{description}  [{'; '.join(notes)}]".strip()


def _default(value: Any) -> str:
    if value is None:
        return "none"
    try:
        return str(getattr(value, "value", value)) if not isinstance(value, str) else value or "''"
    except Exception as error:  # noqa: BLE001 - a user's own __str__ may raise anything
        return f"a {type(value).__name__} ({type(error).__name__})"


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_inputs(
    model: type[BaseModel] | None,
    inputs: list[Input],
    values: Mapping[str, Any],
    text: str | None,
) -> BaseModel | None:
    """The instance of the model that the options describe.

    Args:
        model: the input model.
        inputs: its fields.
        values: what click read, by parameter.
        text: what --inputs was given: JSON, or ``@`` and a file with JSON.

    Raises:
        Trouble: the values do not fit; names every option at fault.
    """
    base = _read_json(text) if text is not None else {}
    if model is None:
        if text is not None:
            raise Trouble("the workflow takes no inputs, so there is nothing for --inputs to set")
        return None
    if not isinstance(base, dict):
        if not getattr(model, "__pydantic_root_model__", False):
            raise Trouble(f"--inputs takes a JSON object with the fields of {model.__name__}")
        return _validated(model, base, [], {})
    _check_keys(model, base, inputs)
    typed: dict[str, str | list[str]] = {}
    for given in inputs:
        value = values.get(given.parameter)
        if given.key is None or value is None or value == ():
            continue
        if isinstance(value, bool):
            base[given.key] = value
        else:
            typed[given.key] = value[0] if len(value) == 1 else list(value)
    return _validated(model, base, inputs, typed)


def _read_json(text: str) -> Any:
    where = "--inputs"
    if text.startswith("@"):
        where = f"--inputs {text}"
        try:
            if text == "@-":
                text = sys.stdin.read()
            else:
                with open(text[1:], encoding="utf-8") as stream:
                    text = stream.read()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise Trouble(f"{where}: cannot read the file: {reason}") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Trouble(f"{where}: not valid JSON: {error}") from error


def _check_keys(model: type[BaseModel], base: Mapping[str, Any], inputs: list[Input]) -> None:
    """A misspelt key must not pass for a default that was meant."""
    if model.model_config.get("extra") == "allow" or any(given.key is None for given in inputs):
        return
    by_name = model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name")
    known: list[Any] = []
    for given in inputs:
        known += [given.key, *getattr(given.field.validation_alias, "choices", ())]
        known += [given.name] if by_name else []
    for key in base:
        if key not in known:
            from difflib import get_close_matches

            close = get_close_matches(key, [word for word in known if isinstance(word, str)], n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(str(given.key) for given in inputs)}"
            raise Trouble(f"--inputs: {model.__name__} has no field {key!r}; {hint}")


def _validated(model: type[BaseModel], base: Any, inputs: list[Input], typed: dict[str, Any]) -> BaseModel:
    from pydantic import ValidationError

    try:
        try:
            return _validate(model, base, typed)
        except ValidationError as error:
            refused = {str(one["loc"][0]): one["type"] for one in error.errors(include_url=False) if one["loc"]}
            read = {key: _reread(value, refused[key]) if key in refused else value for key, value in typed.items()}
            if read == typed:
                raise
            return _validate(model, base, read)
    except ValidationError as error:
        raise Trouble(_complaint(model, error, inputs, typed)) from error
    except Exception as error:  # a validator or a default factory of the user may raise anything
        raise Trouble(f"{model.__name__} failed on these inputs: {error_text(error)}{user_traceback(error)}") from error


def _validate(model: type[BaseModel], base: Any, typed: Mapping[str, Any]) -> BaseModel:
    # As JSON, strict models too take a path or a date from a string, and a tuple from a list.
    return model.model_validate_json(json.dumps({**base, **typed} if typed else base))


def _reread(value: str | list[str], problem: str) -> Any:
    """A refused text as JSON; and where items are wanted, one that is no list of them as the only item."""
    read = _as_json(value)
    return [value] if problem in _WANTS_ITEMS and isinstance(value, str) and not isinstance(read, list) else read


def _as_json(value: str | list[str]) -> Any:
    if isinstance(value, list):
        return [_as_json(part) for part in value]
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _complaint(model: type[BaseModel], error: ValidationError, inputs: list[Input], typed: Mapping[str, Any]) -> str:
    """Every error of the validation, in the words of the command line."""
    spelt = {word: given for given in inputs for word in (given.key, given.name) if word is not None}
    lines: list[str] = []
    for one in error.errors(include_url=False):
        first, *rest = one["loc"] or ("",)
        given = spelt.get(str(first))
        if given is None:
            lines.append(f"{'.'.join(map(str, one['loc']))}: {one['msg']}".removeprefix(": "))
        elif one["type"] == "missing" and not rest:
            description = one_line(given.field.description or "")
            lines.append(f"{given.spelling} is missing ({type_text(given.field)}{description and ': '}{description})")
        else:
            inner = f" {'.'.join(map(str, rest))}:" if rest else ""
            secret = "Secret" in type_text(given.field)
            value = "" if secret else _what_was_given(one["input"], typed.get(str(first)))
            lines.append(f"{given.spelling}:{inner} {one['msg']}{value}")
    return f"the inputs do not fit {model.__name__}:" + "".join(f"\n- {line}" for line in lines)


def _what_was_given(value: Any, text: str | list[str] | None) -> str:
    shown = shorten(one_line(value if isinstance(value, str) else json.dumps(value, default=str)), _GIVEN_WIDTH)
    if isinstance(text, str) and text.lstrip()[:1] in ("{", "[") and isinstance(value, str):
        try:
            json.loads(text)
        except ValueError as error:
            return f" (given {shown}, which is not valid JSON: {error})"
    if isinstance(text, list) and isinstance(value, list):
        return f" (given {len(text)} times)"
    return f" (given {shown})"
