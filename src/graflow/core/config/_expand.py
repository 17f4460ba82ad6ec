"""From what is written down to the tasks there will be: matrices expanded, switched-off tasks left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any, Final

from graflow.core._same import same
from graflow.core.checks import _LEGAL, _illegal
from graflow.core.config._keys import Keys, Mistake, Stage, suggestion
from graflow.core.config._models import TaskConfig, WorkflowConfig

#: How many tasks one file may make: three lines of matrix can ask for billions.
MAX_TASKS: Final = 100_000

_NAME = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One task to be."""

    id: str
    key: str
    """What it is written under."""
    config: TaskConfig
    cells: dict[str, Any]
    """Its values of the matrix, by name."""

    @property
    def keys(self) -> Keys:
        """Where it is written."""
        return "tasks", self.key

    def filled(self, text: str, keys: Keys) -> str:
        """A text with the matrix's values put in, ``train-{lr}``.

        Raises:
            Mistake: the matrix has no such value.
        """

        def cell(found: re.Match[str]) -> str:
            name = found[1]
            if name not in self.cells:
                raise Mistake(
                    keys, f"{text!r} names {found[0]}, but the matrix has no {name!r}; {suggestion(name, self.cells)}"
                )
            value = self.cells[name]
            if not isinstance(value, str | int | float):
                raise Mistake(
                    keys, f"{found[0]} in {text!r} is {value!r}; only texts, numbers and booleans become part of an id"
                )
            return str(value).lower() if isinstance(value, bool) else str(value)

        return _NAME.sub(cell, text) if self.cells else text


@dataclass(slots=True)
class Entries:
    """All tasks to be."""

    by_id: dict[str, Entry] = field(default_factory=dict)
    families: dict[str, list[Entry]] = field(default_factory=dict)
    """What each matrix makes, by the key it is written under."""
    off: dict[str, str] = field(default_factory=dict)
    """The ids and keys of tasks that are switched off, with the key each is written under."""


def expand(config: WorkflowConfig, stage: Stage) -> Entries:
    """All tasks of a configuration; what is wrong goes to the stage."""
    found = Entries()
    for key, task in config.tasks.items():
        try:
            made = _made(key, task, len(found.by_id), stage)
        except Mistake as mistake:
            stage.take(mistake)
            continue
        if not task.enabled:
            found.off.update(dict.fromkeys((key, *(entry.id for entry in made)), key))
            continue
        if task.matrix:
            found.families[key] = made
        for entry in made:
            _add(entry, found, stage)
    return found


def _add(entry: Entry, found: Entries, stage: Stage) -> None:
    place = (*entry.keys, "id") if entry.config.id is not None else entry.keys
    other = found.by_id.setdefault(entry.id, entry)
    if not _LEGAL.fullmatch(entry.id):
        stage.add(place, f"{_illegal(entry.id)[0]}; write letters, digits, '_', '-' and '.'")
    elif other is not entry and other.key == entry.key:
        cure = f"remove the value that is there twice, or tell them apart: id: {entry.key}-{{...}}"
        stage.add(place, f"the matrix makes two tasks {entry.id!r}; {cure}")
    elif other is not entry:
        stage.add(place, f"this makes a task {entry.id!r}, and so does tasks.{other.key}; write another id")


def _made(key: str, task: TaskConfig, before: int, stage: Stage) -> list[Entry]:
    keys: Keys = ("tasks", key)
    if not task.matrix:
        for name in ("exclude", "id"):
            if getattr(task, name):
                raise Mistake((*keys, name), f"{name!r} says something about a matrix, and there is none")
        return [Entry(key, key, task, {})]
    count = prod(map(len, task.matrix.values()))
    if before + count > MAX_TASKS:
        raise Mistake(
            (*keys, "matrix"), f"{count:,} combinations are too many: a configuration has up to {MAX_TASKS:,} tasks"
        )
    cells = [dict(zip(task.matrix, values, strict=True)) for values in product(*task.matrix.values())]
    for k, rule in enumerate(task.exclude):
        if not _check_rule(rule, task, (*keys, "exclude", k), stage):
            continue
        left = [one for one in cells if not all(name in one and same(one[name], rule[name]) for name in rule)]
        if len(left) == len(cells):
            stage.add(
                (*keys, "exclude", k), f"no combination that is left has {rule}; remove it, or correct its values"
            )
        cells = left
    if not cells:
        stage.add((*keys, "exclude"), "every combination is excluded; use enabled: false to leave the task out")
    text = task.id if task.id is not None else "-".join([key, *(f"{{{name}}}" for name in task.matrix)])
    place = (*keys, "id") if task.id is not None else (*keys, "matrix")
    return [Entry(Entry("", key, task, one).filled(text, place), key, task, one) for one in cells]


def _check_rule(rule: dict[str, Any], task: TaskConfig, keys: Keys, stage: Stage) -> bool:
    for name in rule:
        if name not in task.matrix:
            stage.add((*keys, name), f"the matrix has no {name!r}; {suggestion(name, task.matrix)}")
    return all(name in task.matrix for name in rule)
