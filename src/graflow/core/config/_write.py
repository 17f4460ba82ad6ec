"""From a workflow back to configuration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from typing import Any

from graflow.core._class_names import class_names
from graflow.core._definition import UNBOUND
from graflow.core._inputs import Template, plain
from graflow.core.condition import Condition
from graflow.core.config import _projection
from graflow.core.config._document import MAX_DEPTH
from graflow.core.config._fit import Misfit, inputs_of, misfits
from graflow.core.config._keys import Keys, Mistake, Places, Stage
from graflow.core.config._models import REFERENCES
from graflow.core.config._names import Registry, importable, registered
from graflow.core.group import Gate
from graflow.core.placeholder import InputSource, Placeholder, projection_of, split_at_item, takes_item, takes_outcome
from graflow.core.policy import Policy
from graflow.core.task import Task
from graflow.core.workflow import Workflow

AnyTask = Task[..., Any]

_SCALARS = frozenset({str, int, bool, type(None), date, datetime, time})


def to_config(workflow: Workflow[Any, Any], registry: Registry = None) -> dict[str, Any]:
    """Write a workflow down, as a mapping that `from_config` reads.

    Args:
        workflow: of importable functions, or of registered ones, whose constants are plain data.
        registry: names for functions, as for `from_config`; all others are written as ``module:name``.

    Raises:
        DefinitionError: names each task and input that cannot be written down, and why.
    """
    stage = Stage(Places())
    writer = _Writer(registry)
    config: dict[str, Any] = {"name": workflow.name}
    if workflow.inputs is not None:
        try:
            config["inputs"] = writer.name(workflow.inputs, ("inputs",))[0]
        except Mistake as mistake:
            stage.take(mistake)
    if workflow.returns is not None:
        config["returns"] = workflow.returns
    config["tasks"] = {}
    for task in workflow.tasks.values():
        try:
            config["tasks"][task.id] = writer.task(task)
        except Mistake as mistake:
            stage.take(mistake)
    stage.end()
    return config


class _Writer:
    def __init__(self, registry: Registry) -> None:
        self._registered: dict[int, tuple[str, Any]] = {}
        for name, thing in registered(registry).items():
            self._registered.setdefault(id(thing.fn if isinstance(thing, Task) else thing), (name, thing))

    def name(self, thing: Any, keys: Keys) -> tuple[str, Any]:
        """The name of a callable, and what it names."""
        known = self._registered.get(id(thing))
        if known is None:
            known = importable(thing)
        if known is None:
            raise Mistake(
                keys,
                f"{_called(thing)} cannot be written down: it is not importable by name; pass a registry that has it",
            )
        return known

    def task(self, task: AnyTask) -> dict[str, Any]:
        """One task, without its id.

        Raises:
            Mistake: something of it cannot be written down.
        """
        keys: Keys = ("tasks", task.id)
        if "/" in task.id:
            raise Mistake(keys, "belongs to a workflow inside this one, which configuration cannot say")
        name, base = self.name(task.fn, keys)
        if not isinstance(base, Task):
            base = None
        written: dict[str, Any] = {"task": name}
        inputs = self._inputs(task, base, (*keys, "inputs"))
        if inputs:
            written["inputs"] = inputs
        written.update(self._edges(task, base, keys))
        written.update(self._policies(task, base, keys))
        return written

    def _inputs(self, task: AnyTask, base: AnyTask | None, keys: Keys) -> dict[str, Any]:
        shape = task._definition.shape
        written: dict[str, Any] = {}
        for k, value in enumerate(task._bound):
            name = shape.names[k]
            if value is not UNBOUND:
                written[name] = _value(value, (*keys, name))
            elif base is not None and base._bound[k] is not UNBOUND:
                raise Mistake((*keys, name), f"is open here, but has a value in the task that {base.id!r} names")
        if task._extra is not None:
            surplus, named = task._extra
            if surplus:
                written["*"] = [_value(value, (*keys, "*", k)) for k, value in enumerate(surplus)]
            written.update({name: _value(value, (*keys, name)) for name, value in named})
        for found in [one for name, value in written.items() for one in _misfits(task, name, value)]:
            _put(written, found.keys, {"literal": found.value})
        return written

    def _edges(self, task: AnyTask, base: AnyTask | None, keys: Keys) -> dict[str, Any]:
        after: list[str] = []
        flags: dict[str, list[Any]] = {"when": [], "unless": []}
        own = {id(edge) for edge in task._edges}
        if base is not None and any(id(edge) not in own for edge in base._edges):
            raise Mistake(keys, f"the task that {base.id!r} names has edges of its own")
        for edge in task._edges:
            if isinstance(edge, Condition):
                how = "when" if edge.wanted else "unless"
                flags[how].append(_value(edge.flag, (*keys, how)))
            elif isinstance(edge, Task | Gate):
                after += [edge.id] if isinstance(edge, Task) else [member.id for member in edge.members]
            else:
                raise Mistake(keys, "waits for a rule of a group (require, first_of), which configuration cannot say")
        written: dict[str, Any] = {"after": sorted(set(after))} if after else {}
        for how, given in flags.items():
            if given:
                written[how] = given[0] if len(given) == 1 else given
        return written

    def _policies(self, task: AnyTask, base: AnyTask | None, keys: Keys) -> dict[str, Any]:
        written: dict[str, Any] = {}
        given, default = task.policy, base.policy if base is not None else Policy()
        for name, info in Policy.model_fields.items():
            value = getattr(given, name)
            if value != info.default or value != getattr(default, name):
                written[name] = value.model_dump(exclude_defaults=True) if hasattr(value, "model_dump") else value
        if written.get("cache") == {}:
            written["cache"] = True
        if given.retry is not None and "on" in written["retry"]:
            written["retry"]["on"] = [self._exception(kind, (*keys, "retry", "on")) for kind in given.retry.on]
        return written

    def _exception(self, kind: type[BaseException], keys: Keys) -> str:
        return kind.__name__ if kind.__module__ == "builtins" else self.name(kind, keys)[0]


def _misfits(task: AnyTask, name: str, value: Any) -> Iterator[Misfit]:
    """The constants of an input that only pass as literals."""
    for parameter, item, keys in inputs_of(task, name, value, (name,)):
        yield from misfits(item, task._definition.hints.params.get(parameter, Any), keys, task.fn)


def _put(written: Any, keys: Keys, value: Any) -> None:
    for key in keys[:-1]:
        written = written[key]
    written[keys[-1]] = value


def _called(thing: Any) -> str:
    name = getattr(thing, "__qualname__", None)
    module = getattr(thing, "__module__", None)
    return f"{module}:{name}" if isinstance(name, str) and isinstance(module, str) else repr(thing)


def _value(value: Any, keys: Keys) -> Any:
    """An input as configuration.

    Raises:
        Mistake: it cannot be written down.
    """
    if len(keys) > MAX_DEPTH:
        raise Mistake(keys[:4], "lies too deep in itself to be written down")
    kind = type(value)
    if kind is Placeholder:
        return _reference(value, keys)
    if kind is Template:
        if value.kind not in (list, dict):
            raise _unwritable(value.kind, keys)
        if value.kind is list:
            return _list(value.items, keys)
        return _mapping(dict(zip(value.keys, value.items, strict=True)), value, keys)
    if kind is list:
        return _list(value, keys)
    if kind is dict:
        return _mapping(value, value, keys)
    if kind in _SCALARS or (kind is float and math.isfinite(value)):
        return value
    raise _unwritable(kind, keys) if kind is not float else Mistake(keys, f"{value} is no finite number")


def _unwritable(kind: type, keys: Keys) -> Mistake:
    return Mistake(
        keys,
        f"a {class_names(kind)[0]} cannot be written down; only texts, numbers, booleans, null, dates, lists and "
        f"mappings can: let a task make it",
    )


def _list(items: Iterable[Any], keys: Keys) -> list[Any]:
    return [_value(item, (*keys, k)) for k, item in enumerate(items)]


def _mapping(parts: dict[Any, Any], whole: Any, keys: Keys) -> dict[str, Any]:
    for key in parts:
        if type(key) is not str:
            raise Mistake(keys, f"the key {key!r} cannot be written down; keys are texts")
    written = {key: _value(item, (*keys, key)) for key, item in parts.items()}
    word = next((key for key in parts if key in REFERENCES), None)
    if word is None:
        return written
    if type(whole) is Template and whole.refs:
        raise Mistake(keys, f"cannot be written down: its key {word!r} would make a reference of it; rename the key")
    return {"literal": plain(whole)}


def _reference(value: Placeholder, keys: Keys) -> dict[str, Any]:
    if takes_item(value):
        before, after = split_at_item(projection_of(value))
        whole = _whole(value, before, keys)
        if whole.keys() == {"from"}:
            return {"each": whole["from"], **_path(after, keys)}
        return {"each": whole, **_path(after, keys)}
    return _whole(value, projection_of(value), keys)


def _whole(value: Placeholder, parts: Any, keys: Keys) -> dict[str, Any]:
    source = value.__graflow_source__
    if isinstance(source, InputSource):
        return {"inputs": _path(parts, keys).get("path", ".").removeprefix(".") or "."}
    return {"outcome" if takes_outcome(value) else "from": source.id, **_path(parts, keys)}


def _path(parts: Any, keys: Keys) -> dict[str, str]:
    try:
        return {"path": _projection.write(parts)} if parts else {}
    except ValueError as error:
        raise Mistake(keys, f"the part {error}, so it cannot be written down") from None
