"""Type hints as values: what one means at run time, what it is made of, what to call it in a message.

One rule everywhere: what cannot be known is ``typing.Any``.
"""

from __future__ import annotations

import sys
import types
import typing
from collections import abc
from typing import Any, Literal, Never, Union, get_args, get_origin

if typing.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STANDARD = frozenset({"builtins", "collections", "collections.abc"})
"""The modules whose containers follow the same rules: their arguments are what they hold."""

_TRANSPARENT = frozenset({"Annotated", "ClassVar", "Final", "NotRequired", "ReadOnly", "Required"})
_ITEMS: dict[Any, type] = {str: str, bytes: int, bytearray: int, memoryview: int, range: int}
_LONGEST_NAME = 100


def bare(hint: Any) -> Any:
    """What a hint says about the values at run time.

    ``Annotated`` and its kin, aliases and ``NewType`` (the same values as its supertype) are taken off.

    Returns:
        A class, a subscripted class, a union, a ``Literal`` or ``Never``; ``Any`` for all that cannot be known.
    """
    for _ in range(32):  # an alias may stand for an alias; one that stands for itself is unknown
        if hint is None:
            return types.NoneType
        if isinstance(hint, type):
            return hint
        origin = get_origin(hint)
        mark, form = _special(origin), _special(hint)
        if mark in _TRANSPARENT:
            hint = get_args(hint)[0]
        elif getattr(hint, "__unpacked__", False):
            return Any
        elif isinstance(origin, type):
            return hint if hasattr(hint, "__args__") else origin  # `typing.List` alone has no arguments
        elif origin is Union or origin is Literal:
            return hint
        elif hasattr(hint, "__supertype__"):
            hint = hint.__supertype__
        elif _is_alias(hint):
            hint = _alias_value(hint)
        elif _is_alias(origin):
            hint = fill(_alias_value(origin), values_of(origin.__type_params__, get_args(hint)))
        else:
            forms = {"Never": Never, "NoReturn": Never, "LiteralString": str, "TypeGuard": bool, "TypeIs": bool}
            return forms.get(mark or form, Any)
    return Any


def _special(form: Any) -> str:
    """The name of a special form; ``typing`` and ``typing_extensions`` each have their own ``ReadOnly``."""
    known = getattr(form, "__module__", None) in ("typing", "typing_extensions")
    return getattr(form, "__name__", "") if known else ""


def _is_alias(hint: Any) -> bool:
    return type(hint).__name__ == "TypeAliasType"  # `type X = ...` since 3.12, typing_extensions before


def _alias_value(alias: Any) -> Any:
    try:
        return resolve({"it": alias.__value__}, _module_of(alias), {})["it"]  # before 3.12 it names itself in a string
    except Exception:  # noqa: BLE001 - evaluated on first use, in the user's module: it may fail in any way
        return Any


def is_union(hint: Any) -> bool:
    """Whether a hint is ``A | B``, ``Union[A, B]`` or ``Optional[A]``."""
    origin = get_origin(hint)
    return origin is Union or origin is types.UnionType


def either(hints: Iterable[Any]) -> Any:
    """The union of hints; ``Any`` if one of them is nothing a union can hold."""
    try:
        return Union[tuple(hints)]  # noqa: UP007 - their number is known at run time only
    except TypeError:
        return Any


def parts(hint: Any) -> tuple[Any, tuple[Any, ...] | None]:
    """The class of a hint and its arguments; None for the arguments of a class that was given none."""
    if not isinstance(hint, type):
        return get_origin(hint), get_args(hint)
    generic = hint.__dict__.get("__pydantic_generic_metadata__")  # Model[int] is a class of its own
    return (generic["origin"], generic["args"]) if generic and generic["origin"] else (hint, None)


def fill(hint: Any, values: Mapping[Any, Any]) -> Any:
    """The hint with its type variables replaced; ``Any`` for a variable without a value."""
    if isinstance(hint, typing.TypeVar):
        return values.get(hint, Any)
    variables = () if isinstance(hint, type) else getattr(hint, "__parameters__", ())
    if not variables:
        return hint
    generic: Any = hint
    try:
        return generic[tuple(values.get(variable, Any) for variable in variables)]
    except TypeError:  # a ParamSpec or a TypeVarTuple among them
        return Any


def variables_of(cls: Any) -> tuple[Any, ...]:
    """The type variables of a generic class."""
    found = getattr(cls, "__parameters__", None)
    if isinstance(found, tuple):  # on the class of generic aliases it is a descriptor
        return found
    bases = vars(cls).get("__orig_bases__", ())  # Mapping[str, T] as a base makes a class generic without Generic
    return tuple(dict.fromkeys(variable for base in bases for variable in getattr(base, "__parameters__", ())))


def type_parameters(definition: Any) -> dict[str, Any]:
    """The names that the brackets of ``def f[T]`` and ``class C[T]`` define."""
    return {parameter.__name__: parameter for parameter in getattr(definition, "__type_params__", ())}


def values_of(variables: Iterable[Any], args: Iterable[Any] | None) -> dict[Any, Any]:
    return dict(zip(variables, args or (), strict=False))


def resolve(
    annotations: Mapping[str, Any], globalns: dict[str, Any], localns: Mapping[str, Any], *, marks: bool = False
) -> dict[str, Any]:
    """The hints that annotations stand for: forward references followed, ``Annotated`` and its kin taken off.

    Args:
        annotations: What the source says, evaluated or still strings.
        globalns: The module's names.
        localns: Names that come before these.
        marks: Leave ``Annotated``, ``Required`` and their kin on.

    Raises:
        Exception: Whatever evaluating one of them raises.
    """
    holder = types.SimpleNamespace(__annotations__=annotations)
    return typing.get_type_hints(holder, globalns, dict(localns), include_extras=marks)


def _module_of(definition: Any) -> dict[str, Any]:
    return vars(sys.modules.get(definition.__module__, types.ModuleType("none")))


def resolve_in(cls: type, annotation: Any, *, marks: bool = False) -> Any:
    """An annotation of a class body; ``Any`` if it cannot be resolved."""
    names = {**vars(cls), **_module_of(cls), **type_parameters(cls)}  # a field `date: date = ...` means the class
    try:
        return resolve({"it": annotation}, names, {}, marks=marks)["it"]
    except Exception:  # noqa: BLE001 - evaluating somebody else's annotation may raise anything: the type is unknown
        return Any


def is_one(argument: Any) -> bool:
    """Whether a type argument stands for one type: not ``*tuple[int, ...]``, nor a variable for several."""
    several = getattr(argument, "__unpacked__", False) or isinstance(argument, typing.TypeVarTuple)
    return not several and _special(get_origin(argument)) != "Unpack"


def is_typed_dict(cls: Any) -> bool:
    """Whether this is a ``TypedDict``, of ``typing`` or of ``typing_extensions``."""
    return isinstance(cls, type) and issubclass(cls, dict) and hasattr(cls, "__required_keys__")


def typed_dict_fields(hint: Any) -> dict[str, tuple[Any, bool]]:
    """The keys of a ``TypedDict``: the type of each, and whether it is always there."""
    cls, args = parts(hint)
    fields = {}
    for key, annotation in cls.__annotations__.items():
        found = resolve_in(cls, annotation, marks=True)
        required = key in cls.__required_keys__
        while (mark := _special(get_origin(found))) in _TRANSPARENT:
            # the class itself misses a mark inside a string annotation
            required = mark == "Required" or (required and mark != "NotRequired")
            found = get_args(found)[0]
        fields[key] = (fill(found, values_of(variables_of(cls), args)), required)
    return fields


def seen_as(hint: Any, target: type) -> tuple[Any, ...] | None:
    """The type arguments of a hint when it is looked at as one of its superclasses.

    ``dict[str, int]`` as ``Iterable`` has ``(str,)``; ``class Rows(list[Row])`` as ``Sequence`` has ``(Row,)``.

    Returns:
        The arguments, or None where they are unknown.
    """
    cls, args = parts(hint)
    if is_typed_dict(cls) and cls is not target:
        cls, args = dict, (str, either(kind for kind, required in typed_dict_fields(hint).values() if required))
    elif issubclass(cls, tuple) and cls is not target and (fields := getattr(cls, "_fields", ())):
        cls, args = tuple, tuple(annotated(hint, name) for name in fields)
    if cls is target:
        return args
    if args is not None and cls.__module__ in STANDARD:
        return _standard(cls, args, target)
    if cls in _ITEMS:
        return (_ITEMS[cls],)
    values = values_of(variables_of(cls), args)
    for base in (*cls.__dict__.get("__orig_bases__", ()), *cls.__mro__[1:]):
        base_class, base_args = parts(base)
        known = base_args is not None or base_class in _ITEMS or hasattr(base_class, "__orig_bases__")
        if known and isinstance(base_class, type) and is_a(base_class, target):
            return seen_as(fill(base, values), target)
    return None


def is_a(cls: Any, target: Any) -> bool:
    """``issubclass`` that answers False where that raises."""
    try:
        return issubclass(cls, target)
    except TypeError:
        return False


def _standard(cls: type, args: tuple[Any, ...], target: type) -> tuple[Any, ...] | None:
    """The arguments of a container of the standard library, looked at as one of the ABCs it implements."""
    if target.__module__ not in STANDARD:
        return None
    if issubclass(target, abc.Mapping):
        return (args[0], int) if cls.__name__ == "Counter" else args
    if target is abc.Awaitable:
        return args[2:] or None
    if cls is tuple:
        items = [arg if is_one(arg) else Any for arg in args if arg is not ...]
        return (either(items) if items else Never,)
    if issubclass(cls, abc.ItemsView):
        return (types.GenericAlias(tuple, args),)
    return args[:1]


def item_of(hint: Any) -> Any:
    """The type of what a ``for`` loop over a value of this type gives; ``Any`` where unknown."""
    hint = bare(hint)
    if is_union(hint):
        return either(item_of(member) for member in get_args(hint))
    cls = parts(hint)[0]
    found = seen_as(hint, abc.Iterable) if isinstance(cls, type) and is_a(cls, abc.Iterable) else None
    return found[0] if found else Any


def annotated(hint: Any, name: str) -> Any:
    """The type that a class body, or one it inherits from, gives an attribute; ``Any`` if none does."""
    import inspect

    for base in parts(hint)[0].__mro__:
        annotation = inspect.get_annotations(base).get(name)
        if annotation is None and name in base.__dict__:
            value = base.__dict__[name]
            value = getattr(value, "wrapped", value)  # a computed field of pydantic holds a property
            value = getattr(value, "fget", None) or getattr(value, "func", None)
            found = _returned(value)
        elif annotation is None:
            continue
        else:
            found = resolve_in(base, annotation)
        while _special(get_origin(found)) in _TRANSPARENT:
            found = get_args(found)[0]
        return _filled(found, hint, base)
    return Any


def result_of(hint: Any, method: str) -> Any:
    """The type a method of a class returns, by its annotation; ``Any`` if there is none."""
    for base in parts(hint)[0].__mro__:
        if method in base.__dict__:
            return _filled(_returned(base.__dict__[method]), hint, base)
    return Any


def _filled(found: Any, hint: Any, base: type) -> Any:
    """A type from a class body, its type variables replaced by what the hint, a subclass, has for them."""
    variables = variables_of(base)
    return fill(found, values_of(variables, seen_as(hint, base)) if variables else {})


def _returned(function: Any) -> Any:
    try:
        return resolve({"it": function.__annotations__["return"]}, function.__globals__, {})["it"]
    except Exception:  # noqa: BLE001 - no function, no annotation, or one that cannot be evaluated: unknown
        return Any


# Naming hints


def describe(hint: Any) -> str:
    """A short name for messages: ``list[Row]``, ``int | None``."""
    text = _name(hint)
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"


def _name(hint: Any) -> str:
    if hint is None or hint is types.NoneType:
        return "None"
    if hint is ...:
        return "..."
    if isinstance(hint, list):
        return f"[{', '.join(map(_name, hint))}]"
    if isinstance(hint, type):
        return hint.__qualname__.rpartition("<locals>.")[2]
    origin, args = get_origin(hint), get_args(hint)
    if is_union(hint):
        return " | ".join(map(_name, args))
    if origin is Literal:
        return f"Literal[{', '.join(map(_literal_name, args))}]"
    if _special(origin) in _TRANSPARENT:
        return _name(args[0])
    if origin is not None and hasattr(hint, "__args__"):
        return f"{_name(origin)}[{', '.join(map(_name, args)) or '()'}]"
    plain = origin or hint
    name = getattr(plain, "__name__", None) or getattr(plain, "__forward_arg__", None)
    return str(name or plain).removeprefix("typing.")


def _literal_name(value: Any) -> str:
    return f"{type(value).__name__}.{value.name}" if hasattr(value, "name") else repr(value)
