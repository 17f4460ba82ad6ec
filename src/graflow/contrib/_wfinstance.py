"""Reads and checks workflow instances of the WfCommons format; `graflow.contrib.wfformat` makes workflows of them."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError as FoundCycle
from graphlib import TopologicalSorter
from os import PathLike, fsdecode
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from graflow.core.checks import end_stage
from graflow.errors import (
    ConfigurationError,
    CycleError,
    DefinitionError,
    DefinitionErrors,
    DuplicateTaskError,
    UnknownTaskError,
)

Source = str | PathLike[str] | Mapping[str, Any]

#: In these versions `workflow` holds one list, of tasks with their runtimes; the first three call it `jobs`.
FLAT: Final = ("1.0", "1.1", "1.2", "1.3", "1.4")
#: In these `workflow.specification` says what there is to do, and `workflow.execution` how long it took.
SPLIT: Final = ("1.5", "1.6")

_Id = Annotated[str, Field(min_length=1)]
_Name = Annotated[str, Field(pattern=r"\S")]
# Strict, for pydantic would else read True as 1 and "3" as 3.
_Seconds = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]

#: What is said of these kinds of pydantic's errors.
_REASONS: Final = {
    "missing": "is missing",
    "string_too_short": "is empty",
    "string_pattern_mismatch": "is empty",
    "too_short": "is empty: an instance has at least one task",
}


class _Specified(BaseModel):
    id: _Id
    upstream: list[str] = Field(alias="parents")
    downstream: list[str] = Field(alias="children")


class _Specification(BaseModel):
    tasks: Annotated[list[_Specified], Field(min_length=1)]


class _Executed(BaseModel):
    id: _Id
    seconds: _Seconds | None = Field(None, alias="runtimeInSeconds")


class _Execution(BaseModel):
    tasks: list[_Executed]
    makespan: _Seconds | None = Field(None, alias="makespanInSeconds")


class _Split(BaseModel):
    specification: _Specification
    execution: _Execution | None = None


class _SplitInstance(BaseModel):
    name: _Name
    workflow: _Split


class _FlatTask(BaseModel):
    name: _Id
    id: str | None = None
    upstream: list[str] = Field([], alias="parents")
    downstream: list[str] = Field([], alias="children")
    seconds: _Seconds | None = Field(None, validation_alias=AliasChoices("runtimeInSeconds", "runtime"))


class _Flat(BaseModel):
    tasks: Annotated[list[_FlatTask], Field(min_length=1, validation_alias=AliasChoices("tasks", "jobs"))]
    makespan: _Seconds | None = Field(None, validation_alias=AliasChoices("makespanInSeconds", "makespan"))


class _FlatInstance(BaseModel):
    name: _Name
    workflow: _Flat


class Instance(NamedTuple):
    """A checked instance: ids are those of the file."""

    where: str
    """The file, for messages."""
    name: str
    version: str
    upstream: Mapping[str, tuple[str, ...]]
    """id → ids; every upstream before its downstreams."""
    seconds: Mapping[str, float]
    makespan: float | None


class _Named(NamedTuple):
    """One task as the file has it, and the key it has there."""

    key: str
    id: str
    upstream: Sequence[str]
    downstream: Sequence[str]


def read(source: Source, default_runtime: float | None) -> Instance:
    """Read an instance and check it; see `graflow.contrib.wfformat.load` for what can be wrong."""
    where, data = _data(source)
    version = _version(where, data)
    return (_read_split if version in SPLIT else _read_flat)(where, version, data, default_runtime)


def _data(source: Source) -> tuple[str, Mapping[str, Any]]:
    if isinstance(source, Mapping):
        return "the instance", source
    if not isinstance(source, str | PathLike):
        raise ConfigurationError(f"an instance is a path or a mapping, not {source!r}")
    where = fsdecode(source)
    try:
        text = Path(where).read_bytes()
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"cannot read {where!r}: {reason}") from error
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DefinitionError(f"{where}: not JSON: {error}") from None
    if not isinstance(data, dict):
        raise DefinitionError(f"{where}: an instance is a JSON object, not {reprlib.repr(data)}")
    return where, data


def _version(where: str, data: Mapping[str, Any]) -> str:
    known = ", ".join((*FLAT, *SPLIT))
    if "schemaVersion" not in data:
        raise DefinitionError(f"{where}: schemaVersion is missing; instances of WfFormat {known} can be read")
    version = data["schemaVersion"]
    if version not in FLAT and version not in SPLIT:
        raise DefinitionError(f"{where}: schemaVersion is {version!r}; instances of WfFormat {known} can be read")
    return str(version)


def _read_split(where: str, version: str, data: Mapping[str, Any], default: float | None) -> Instance:
    try:
        given = _SplitInstance.model_validate(dict(data))
    except ValidationError as error:
        raise _refused(where, error) from None
    name, execution = given.name, given.workflow.execution
    place = "workflow.specification.tasks"
    tasks = [
        _Named(f"{place}[{k}]", task.id, task.upstream, task.downstream)
        for k, task in enumerate(given.workflow.specification.tasks)
    ]
    ran = [(f"workflow.execution.tasks[{k}]", task) for k, task in enumerate(execution.tasks if execution else ())]
    keys = {task.id: task.key for task in tasks}
    again = [*_repeated(where, ((task.key, task.id) for task in tasks))]
    again += _repeated(where, ((key, task.id) for key, task in ran))
    end_stage(name, again)
    unknown = [*_unknown(where, tasks, keys, place)]
    unknown += (
        UnknownTaskError(f"{where}: {key}.id is {task.id!r}, and no task in {place} has that id")
        for key, task in ran
        if task.id not in keys
    )
    end_stage(name, unknown)
    end_stage(name, [*_disagreements(where, tasks, keys)])
    if execution is None and default is None:
        raise DefinitionError(f"{where}: workflow.execution is missing; give default_runtime= as each task's seconds")
    executed = {task.id: (f"{key}.runtimeInSeconds", task.seconds) for key, task in ran}
    recorded = {task.id: executed.get(task.id, (None, None)) for task in tasks}
    seconds = _all_seconds(where, name, recorded, default)
    upstream = {task.id: tuple(dict.fromkeys(task.upstream)) for task in tasks}
    return Instance(
        where, name, version, _sorted(where, upstream, place), seconds, execution.makespan if execution else None
    )


def _read_flat(where: str, version: str, data: Mapping[str, Any], default: float | None) -> Instance:
    try:
        given = _FlatInstance.model_validate(dict(data))
    except ValidationError as error:
        raise _refused(where, error) from None
    name = given.name
    place = "workflow.tasks" if "tasks" in data["workflow"] else "workflow.jobs"
    tasks = [
        _Named(f"{place}[{k}]", task.name, task.upstream, task.downstream)
        for k, task in enumerate(given.workflow.tasks)
    ]
    end_stage(name, [*_repeated(where, ((task.key, task.id) for task in tasks), "name")])
    # Tasks refer to each other by name, some writers did so by id; and they say an edge at one of its ends.
    called = {task.id: task.name for task in given.workflow.tasks if task.id}
    called.update((task.id, task.id) for task in tasks)
    end_stage(name, [*_unknown(where, tasks, called, place, "name")])
    upstream: dict[str, dict[str, None]] = {
        task.id: dict.fromkeys(called[one] for one in task.upstream) for task in tasks
    }
    for task in tasks:
        for one in task.downstream:
            upstream[called[one]].setdefault(task.id)
    field = "runtimeInSeconds" if version == "1.4" else "runtime"
    recorded = {
        task.id: (f"{task.key}.{field}", one.seconds) for task, one in zip(tasks, given.workflow.tasks, strict=True)
    }
    seconds = _all_seconds(where, name, recorded, default)
    ordered = _sorted(where, {id: tuple(ups) for id, ups in upstream.items()}, place)
    return Instance(where, name, version, ordered, seconds, given.workflow.makespan)


def _refused(where: str, error: ValidationError) -> DefinitionError:
    """What pydantic found, each with its key in the file."""
    found = [
        DefinitionError(f"{where}: {_key(one['loc'])} {_reason(one['type'], one['msg'], one['input'])}")
        for one in error.errors(include_url=False)
    ]
    return found[0] if len(found) == 1 else DefinitionErrors(f"{where} has {len(found)} definition errors", found)


def _key(path: Iterable[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _reason(kind: str, message: str, value: object) -> str:
    if kind in _REASONS:
        return _REASONS[kind]
    # What pydantic says of the type goes by names that are in no file.
    should = "should be an object" if kind == "model_type" else message.removeprefix("Input ")
    return f"{should}, not {reprlib.repr(value)}"


def _repeated(where: str, ids: Iterable[tuple[str, str]], field: str = "id") -> Iterator[DefinitionError]:
    first: dict[str, str] = {}
    for key, id in ids:
        if first.setdefault(id, key) != key:
            yield DuplicateTaskError(f"{where}: {key}.{field} is {id!r}, as is {first[id]}.{field}")


def _unknown(
    where: str, tasks: Sequence[_Named], known: Mapping[str, str], place: str, field: str = "id"
) -> Iterator[DefinitionError]:
    for task in tasks:
        for side, ids in (("parents", task.upstream), ("children", task.downstream)):
            for k, id in enumerate(ids):
                if id not in known:
                    yield UnknownTaskError(
                        f"{where}: {task.key}.{side}[{k}] is {id!r}, and no task in {place} has that {field}"
                    )


def _disagreements(where: str, tasks: Sequence[_Named], keys: Mapping[str, str]) -> Iterator[DefinitionError]:
    """Every edge is written down at both ends, or the file contradicts itself."""
    upstream = {task.id: frozenset(task.upstream) for task in tasks}
    downstream = {task.id: frozenset(task.downstream) for task in tasks}
    for task in tasks:
        for sides, other, mine, theirs in (
            (task.upstream, downstream, "parents", "children"),
            (task.downstream, upstream, "children", "parents"),
        ):
            for id in dict.fromkeys(sides):
                if task.id not in other[id]:
                    yield DefinitionError(
                        f"{where}: {task.key}.{mine} names {id!r}, but {keys[id]}.{theirs} does not name {task.id!r}"
                    )


def _all_seconds(
    where: str, name: str, recorded: Mapping[str, tuple[str | None, float | None]], default: float | None
) -> dict[str, float]:
    """The runtime of every task: what the file says, else the default."""
    if default is None:
        missing = [
            DefinitionError(
                f"{where}: {f'{key} is missing' if key else f'workflow.execution.tasks has no task {id!r}'}; "
                f"give default_runtime= as its seconds"
            )
            for id, (key, seconds) in recorded.items()
            if seconds is None
        ]
        end_stage(name, list(missing))
    return {id: seconds if seconds is not None else default or 0.0 for id, (_, seconds) in recorded.items()}


def _sorted(where: str, upstream: Mapping[str, tuple[str, ...]], place: str) -> dict[str, tuple[str, ...]]:
    try:
        return {id: upstream[id] for id in TopologicalSorter(upstream).static_order()}
    except FoundCycle as error:
        raise CycleError(f"{where}: tasks in {place} wait for each other: {' -> '.join(error.args[1])}") from None
