"""How the arguments of a task are found when it runs: from the slots of the run; see `graflow.core.plan`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graflow.core._definition import UNBOUND
from graflow.core._inputs import Template
from graflow.core.map_task import MapTask, references
from graflow.core.placeholder import (
    InputSource,
    KnownSource,
    Placeholder,
    Steps,
    make_placeholder,
    projection_of,
    source_spelling,
    split_at_item,
    takes_item,
    takes_outcome,
)

if TYPE_CHECKING:
    from graflow.core._structure import Structure
    from graflow.core.task import Task


class Projection(NamedTuple):
    """A part of what a slot holds."""

    slot: int
    path: Steps


class Gather(NamedTuple):
    """A list, tuple, set or frozenset of slots."""

    kind: type
    slots: tuple[int, ...]


class Column(NamedTuple):
    """A part of the item that an attempt of a map is for."""

    number: int
    """Of the thing that is mapped over, among those of the map."""
    path: Steps


class Recipe:
    """The arguments of a task whose inputs are more than plain slots by position.

    Attributes:
        args: where those by position come from.
        kwargs: where those by name come from.
    """

    __slots__ = ("args", "kwargs")

    def __init__(self, args: tuple[Any, ...], kwargs: tuple[tuple[str, Any], ...] = ()) -> None:
        self.args = args
        self.kwargs = kwargs

    def arguments(self, slots: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """What to call the function with."""
        return self.arguments_for((), slots)

    def arguments_for(self, row: tuple[Any, ...], slots: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """What to call the function with for one item of a map."""
        args = [_fill(part, slots, row) for part in self.args]
        return args, {name: _fill(part, slots, row) for name, part in self.kwargs}


class Item(Recipe):
    """The arguments of a map's body for one item.

    Attributes:
        row: what the item is: a value for each thing that is mapped over.
    """

    __slots__ = ("_recipe", "row")

    def __init__(self, recipe: Recipe, row: tuple[Any, ...]) -> None:
        super().__init__(recipe.args, recipe.kwargs)
        self._recipe = recipe
        self.row = row

    def arguments(self, slots: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """What to call the function with."""
        return self._recipe.arguments_for(self.row, slots)


class Given(Recipe):
    """Arguments that are values, whatever the slots hold."""

    __slots__ = ()

    def arguments(self, slots: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """What to call the function with."""
        return list(self.args), dict(self.kwargs)


class MapPlan(NamedTuple):
    """How a map goes on, once what it is mapped over is known."""

    function: int
    """The number of the callable that runs for each item."""
    recipe: Recipe
    """The arguments for an item, where `Column` stands for parts of it."""
    sources: tuple[str, ...]
    """What is mapped over, as a user would write it."""


def _fill(part: Any, slots: Sequence[Any], row: tuple[Any, ...] = ()) -> Any:
    # No closure that calls itself: each call would leave a cycle behind that keeps all results until a collection.
    cls = type(part)
    if cls is int:
        return slots[part]
    if cls is Gather:
        return part.kind([slots[slot] for slot in part.slots])
    if cls is Template:
        return part.filled(lambda inner: _fill(inner, slots, row))
    value = row[part.number] if cls is Column else slots[part.slot]
    for kind, key in part.path:
        value = getattr(value, key) if kind == "attr" else value[key]
    return value


def recipes_of(
    structure: Structure,
    inputs_slot: int,
    outcome_slots: Mapping[int, int],
    constants: list[Any],
    maps: dict[int, tuple[Recipe, tuple[str, ...]]],
) -> list[tuple[int, ...] | Recipe]:
    """Per task, slots of its arguments by position, or a `Recipe`; of maps, the recipe to open them.

    Args:
        structure: of the workflow.
        inputs_slot: the slot of the workflow's inputs.
        outcome_slots: index → the slot of its outcome.
        constants: gets what the slots after that of the inputs hold.
        maps: gets for each map the recipe for its items, and what it is mapped over.
    """
    index, aliases = structure.index, structure.aliases
    first_constant = inputs_slot + 1
    recipes: list[tuple[int, ...] | Recipe] = []
    for i, task in enumerate(structure.tasks):
        bound = task._bound
        if i in aliases:
            recipes.append((aliases[i],))
            continue
        if type(task) is MapTask:
            opening, maps[i] = _map(task, structure, inputs_slot, outcome_slots, constants)
            recipes.append(opening)
            continue
        slots: list[int] = []
        for value in bound:
            cls = type(value)
            if cls is Placeholder:
                if value.__graflow_path__:
                    break
                source = value.__graflow_source__
                slots.append(inputs_slot if type(source) is InputSource else index[source._id])
            elif cls is Template or value is UNBOUND:
                break
            else:
                slots.append(first_constant + len(constants))
                constants.append(value)
        if task._extra is None and len(slots) == len(bound) == task._definition.shape.positional:
            ups = structure.upstream[i]
            recipe = tuple(slots)
            recipes.append(ups if ups == recipe else recipe)
        else:
            recipes.append(_recipe(task, index, inputs_slot, outcome_slots, constants))
    return recipes


def _is_shared(whole: Placeholder, structure: Structure) -> bool:
    """Does more than one task read this, or may somebody read it after the run?"""
    source = whole.__graflow_source__
    if isinstance(source, InputSource):
        return True
    i = structure.index[source.id]
    return len(structure.downstream[i]) > 1


def _map(
    task: Task[..., Any],
    structure: Structure,
    inputs_slot: int,
    outcome_slots: Mapping[int, int],
    constants: list[Any],
) -> tuple[Recipe, tuple[Recipe, tuple[str, ...]]]:
    """How a map is opened; and the arguments for one of its items, with what it is mapped over."""
    from graflow.core.turns import MAX_ITEMS

    index = structure.index
    wholes: list[Placeholder] = []
    columns: dict[tuple[Any, str], int] = {}
    for ref in references(task._bound, task._extra):
        if takes_item(ref):
            _, after = split_at_item(projection_of(ref))
            whole = make_placeholder(ref.__graflow_source__, ref.__graflow_path__[: -len(after) - 1])
            key = id(ref.__graflow_source__), source_spelling(whole)
            if key not in columns:
                columns[key] = len(wholes)
                wholes.append(whole)

    def part(value: Any) -> Any:
        if type(value) is not Placeholder or not takes_item(value):
            return _part(value, index, inputs_slot, outcome_slots, constants, part)
        _, after = split_at_item(projection_of(value))
        whole = make_placeholder(value.__graflow_source__, value.__graflow_path__[: -len(after) - 1])
        return Column(columns[id(value.__graflow_source__), source_spelling(whole)], after)

    names = tuple(source_spelling(make_placeholder(one.__graflow_source__, one.__graflow_path__)) for one in wholes)
    most = task._policy.max_items if task._policy is not None and task._policy.max_items is not None else MAX_ITEMS
    shared = tuple(_is_shared(one, structure) for one in wholes)
    constants += [names, shared, most]
    first = inputs_slot + len(constants) - 2
    args, kwargs = _parts(task, part)
    sources = [_part(whole, index, inputs_slot, outcome_slots, constants, part) for whole in wholes]
    return Recipe((first, first + 1, first + 2, *sources)), (Recipe(tuple(args), tuple(kwargs)), names)


def _recipe(
    task: Task[..., Any],
    index: Mapping[str, int],
    inputs_slot: int,
    outcome_slots: Mapping[int, int],
    constants: list[Any],
) -> Any:
    def part(value: Any) -> Any:
        return _part(value, index, inputs_slot, outcome_slots, constants, part)

    args, kwargs = _parts(task, part)
    if not kwargs and all(type(one) is int for one in args):
        return tuple(args)
    return Recipe(tuple(args), tuple(kwargs))


def _part(
    value: Any,
    index: Mapping[str, int],
    inputs_slot: int,
    outcome_slots: Mapping[int, int],
    constants: list[Any],
    part: Callable[[Any], Any],
) -> Any:
    """Where an input comes from; ``part`` says that of its own parts."""
    if type(value) is Placeholder:
        source, path = value.__graflow_source__, projection_of(value)
        if isinstance(source, KnownSource):
            constants.append(source.value)
            return Projection(inputs_slot + len(constants), path) if path else inputs_slot + len(constants)
        slot = inputs_slot if isinstance(source, InputSource) else index[source.id]
        if takes_outcome(value):
            slot = outcome_slots[slot]
        return Projection(slot, path) if path else slot
    if type(value) is Template:
        filled = value.map(part)
        if filled.keys is None and all(type(item) is int for item in filled.items):
            return Gather(filled.kind, filled.items)
        return filled
    constants.append(value)
    return inputs_slot + len(constants)


def _parts(task: Task[..., Any], part: Callable[[Any], Any]) -> tuple[list[Any], list[tuple[str, Any]]]:
    """Where the arguments of a task's function come from, by position and by name."""
    shape = task._definition.shape
    args: list[Any] = []
    kwargs: list[tuple[str, Any]] = []
    for k, value in enumerate(task._bound):
        if value is UNBOUND:
            continue
        if k == len(args) and k < shape.positional:
            args.append(part(value))
        else:  # after a parameter that keeps its default
            kwargs.append((shape.names[k], part(value)))
    if task._extra is not None:
        args.extend(part(value) for value in task._extra[0])
        kwargs.extend((name, part(value)) for name, value in task._extra[1])
    return args, kwargs
