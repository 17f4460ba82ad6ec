"""What a function saw when its task was defined, and whether that has changed: late binding.

A function made in a loop reads the loop's variable when it is called, not when it is made; of three tasks made in
three turns all would see the last value. `snapshot` remembers what the variables held at the definition, and
`late_bindings` compares when the workflow is built.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from reprlib import Repr
from types import CodeType, FunctionType, MethodType
from typing import Any, Final, Literal, NamedTuple

from graflow.core._code import (
    EMPTY,
    LAYERS,
    MISSING,
    captured,
    cells_of,
    content,
    defaults_of,
    facts,
    functions_in,
    holds,
    reads,
)
from graflow.core._same import rough_hash, same

__all__ = [
    "EMPTY",
    "MISSING",
    "Late",
    "LateCandidate",
    "Snapshot",
    "captured",
    "describe_late",
    "holds",
    "late_bindings",
    "reads",
    "refers_to",
    "snapshot",
]

_BUILTIN: Final = object()
_BUILTINS: Final = vars(builtins)


class Seen(NamedTuple):
    """What the variables of one function held: its closure's first, then its globals, as `facts` lists them."""

    fn: Any  # a FunctionType; a checker would take one in a class body for a method
    code: CodeType
    values: tuple[Any, ...]


class Snapshot(NamedTuple):
    """What the functions of a callable saw when its task was defined.

    A record of this process: it holds cells and module dictionaries, so it stays behind when a task travels.
    """

    seen: tuple[Seen, ...]

    @property
    def variables(self) -> Iterator[tuple[str, Any]]:
        """The variables by name, with what they held: a value, `EMPTY` or `MISSING`."""
        for part in self.seen:
            yield from ((name, value) for name, _, value, _ in _variables(part))


def snapshot(fn: Callable[..., Any]) -> Snapshot | None:
    """Remember what a callable's variables hold now; None if it captures and reads nothing that could change.

    Builtins are left out, and so are variables that the function itself assigns: they are state, not inputs.
    """
    if type(fn) is FunctionType and getattr(fn, "__wrapped__", None) is None:
        closure = fn.__closure__
        if closure is None and not facts(fn.__code__).watched:
            return None
        for cell in closure or ():
            if type(content(cell)) in LAYERS:
                break
        else:
            part = _see(fn)
            return None if part is None else Snapshot((part,))
    seen = tuple(part for part in map(_see, functions_in(fn)) if part is not None)
    return Snapshot(seen) if seen else None


def _see(fn: FunctionType) -> Seen | None:
    code = fn.__code__
    known = facts(code)
    values = []
    if known.cells:
        closure = fn.__closure__ or ()
        values = [content(closure[k]) for k, _ in known.cells]
    seen = bool(values)
    if known.watched:
        scope = fn.__globals__
        for name in known.watched:
            value = scope.get(name, MISSING)
            if value is MISSING and name in _BUILTINS:
                value = _BUILTIN
            else:
                seen = True
            values.append(value)
    return Seen(fn, code, tuple(values)) if seen else None


#: Where a variable lives: a cell by identity, or a name in a module's dictionary.
_Place = tuple[int, str]


def _variables(part: Seen) -> list[tuple[str, _Place, Any, Any]]:
    """The variables of a function: name, place, what it held then, what it holds now."""
    known, values = facts(part.code), part.values
    found: list[tuple[str, _Place, Any, Any]] = []
    if known.cells:
        closure = part.fn.__closure__
        for (k, name), value in zip(known.cells, values, strict=False):
            found.append((name, (id(closure[k]), ""), value, content(closure[k])))
    if known.watched:
        scope = part.fn.__globals__
        for name, value in zip(known.watched, values[len(known.cells) :], strict=True):
            if value is not _BUILTIN:
                found.append((name, (id(scope), name), value, scope.get(name, MISSING)))
    return found


class LateCandidate(NamedTuple):
    """A task to be checked.

    Attributes:
        task_id: its id.
        fn: its callable.
        snapshot: of the callable, from the time of the definition.
        inputs_key: the inputs bound to it; tasks whose inputs differ are told apart by them.
    """

    task_id: str
    fn: Callable[..., Any]
    snapshot: Snapshot | None
    inputs_key: object = None


class Late(NamedTuple):
    """A variable that changed after the tasks that read it were defined.

    Attributes:
        kind: "error" if several tasks that differ in nothing else share it, "warning" otherwise.
        variable: its name.
        tasks: the ids of the tasks, in the order given.
        seen: what it held when each was defined: a value, `EMPTY` or `MISSING`.
        current: what it holds now, which is what all of them would see.
        function: the name of the function that reads it.
        file: where that function was defined.
        line: the line in the file.
    """

    kind: Literal["error", "warning"]
    variable: str
    tasks: tuple[str, ...]
    seen: tuple[Any, ...]
    current: Any
    function: str
    file: str
    line: int


def refers_to(value: object, fn: object) -> bool:
    """Whether a value is the function, or a task made of it: then reading it is recursion."""
    if value is fn:
        return True
    try:
        return getattr(value, "fn", None) is fn
    except Exception:  # noqa: BLE001 - any object may be captured, and its attributes may raise anything
        return False


class _Reader(NamedTuple):
    candidate: LateCandidate
    part: Seen
    name: str
    value: Any
    now: Any


def late_bindings(
    candidates: Sequence[LateCandidate],
    *,
    is_self: Callable[[object, object], bool] = refers_to,
    same_inputs: Callable[[Any, Any], bool] = same,
) -> list[Late]:
    """Find the variables that changed after the tasks that read them were defined.

    An **error**: several tasks made of distinct functions of one code object share the variable, at least one saw
    another value than it holds now, and nothing tells the tasks apart: neither bound inputs, nor defaults, nor plain
    values in closures of their own. Otherwise, and for a single task, a **warning**. No finding at all: a variable
    filled for the first time after the definition, a function that refers to itself, and a change inside an object.

    The cost is linear in the number of candidates. A candidate without a snapshot is skipped.

    Args:
        candidates: the tasks, in the order findings shall name them.
        is_self: whether a value stands for a function; see `refers_to`.
        same_inputs: compares two ``inputs_key``; may be kinder than `same` to objects that are compared by identity.

    Returns:
        The findings, in the order of their first task.
    """
    changed: set[tuple[int, _Place]] = set()
    for part in _distinct(c.snapshot for c in candidates if c.snapshot is not None):
        for _, place, value, now in _variables(part):
            if now is value or value is EMPTY or value is MISSING:
                continue
            if (id(part.code), place) not in changed and not same(value, now):
                changed.add((id(part.code), place))
    if not changed:
        return []
    readers: dict[tuple[int, _Place], list[_Reader]] = {}
    for candidate in candidates:
        for part in candidate.snapshot.seen if candidate.snapshot is not None else ():
            for name, place, value, now in _variables(part):
                if (id(part.code), place) in changed:
                    readers.setdefault((id(part.code), place), []).append(_Reader(candidate, part, name, value, now))
    found: list[Late] = []
    for group in readers.values():
        found.extend(_judge(group, is_self, same_inputs))
    return found


def _distinct(snapshots: Iterable[Snapshot]) -> Iterator[Seen]:
    """The parts of each snapshot once; ten thousand tasks may be bound from one definition."""
    met: set[int] = set()
    for snap in snapshots:
        if id(snap) not in met:
            met.add(id(snap))
            yield from snap.seen


def _judge(
    group: list[_Reader],
    is_self: Callable[[object, object], bool],
    same_inputs: Callable[[Any, Any], bool],
) -> Iterator[Late]:
    name, now = group[0].name, group[0].now

    def is_late(reader: _Reader) -> bool:
        return reader.value is not EMPTY and reader.value is not MISSING and not same(reader.value, now)

    def is_own(reader: _Reader) -> bool:
        return is_self(now, reader.candidate.fn) or is_self(now, reader.part.fn)

    rest: list[_Reader] = []
    for alike in _alike(group, same_inputs):
        # Calling a twin that differs in nothing is calling oneself: recursion in a task that was made in a loop.
        if any(is_own(reader) for reader in alike):
            continue
        tasks = {reader.candidate.task_id for reader in alike}
        functions = {id(reader.part.fn) for reader in alike}
        late = [reader for reader in alike if is_late(reader)]
        if late and len(tasks) > 1 and len(functions) > 1:
            yield _finding("error", name, alike, now)
        else:
            rest.extend(late)
    if len({id(reader.part.fn) for reader in rest}) == 1:
        rest = [reader for reader in rest if not _redefined(reader.value, now)]
    if rest:
        yield _finding("warning", name, rest, now)


def _redefined(then: object, now: object) -> bool:
    """Whether a helper function was defined again as it was, as a notebook does when a cell runs twice."""
    return (
        isinstance(then, FunctionType)
        and isinstance(now, FunctionType)
        and then.__code__ == now.__code__
        and then.__closure__ is now.__closure__ is None
        and same(defaults_of(then), defaults_of(now))
    )


def _finding(kind: Literal["error", "warning"], name: str, readers: list[_Reader], now: Any) -> Late:
    first: dict[str, _Reader] = {}
    for reader in readers:
        first.setdefault(reader.candidate.task_id, reader)
    code = readers[0].part.code
    return Late(
        kind=kind,
        variable=name,
        tasks=tuple(first),
        seen=tuple(reader.value for reader in first.values()),
        current=now,
        function=code.co_name,
        file=code.co_filename,
        line=code.co_firstlineno,
    )


def _alike(group: list[_Reader], same_inputs: Callable[[Any, Any], bool]) -> list[list[_Reader]]:
    """The readers, sorted into classes that nothing but the variable tells apart."""
    classes: list[tuple[Any, Any, list[_Reader]]] = []
    buckets: dict[int, list[int]] = {}
    for reader in group:
        own, inputs = _own_values(reader), reader.candidate.inputs_key
        bucket = buckets.setdefault(rough_hash((own, inputs)), [])
        # Values that no hash tells apart are compared with the last few only, which keeps the whole linear.
        for k in bucket[-8:]:
            if same(classes[k][0], own) and same_inputs(classes[k][1], inputs):
                classes[k][2].append(reader)
                break
        else:
            bucket.append(len(classes))
            classes.append((own, inputs, [reader]))
    return [readers for _, _, readers in classes]


def _own_values(reader: _Reader) -> list[Any]:
    """What tells a function from others of its code: its defaults, partial arguments, plain values in its closure."""
    given: list[Any] = []
    layer: object = reader.candidate.fn
    while isinstance(layer, (partial, MethodType)):
        given += [layer.args, layer.keywords] if isinstance(layer, partial) else []
        layer = layer.func if isinstance(layer, partial) else layer.__func__
    fn = reader.part.fn
    return [given, defaults_of(fn), [_plain(held) for _, held in cells_of(fn)]]


def _plain(held: object) -> object:
    # A decorator keeps a fresh function, and perhaps a fresh lock, for each turn of a loop; they tell nothing apart.
    if isinstance(held, FunctionType):
        return id(held.__code__), defaults_of(held)
    return held if isinstance(held, (int, float, complex, str, bytes)) else None


_REPR = Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 60
_NAMED = 3


def describe_late(late: Late) -> str:
    """What happened and how to cure it, for a message.

    Names at most three tasks and values, and shortens long values; a ``repr`` that raises does no harm.
    """
    several = len(late.tasks) > 1
    tasks = _listed([repr(task) for task in late.tasks])
    then = [_shown(value) for value in late.seen]
    was = then[0] if all(shown == then[0] for shown in then) else _listed(then)
    gone = late.current is EMPTY or late.current is MISSING
    where = f"({_site(late.file)}:{late.line})"
    if late.kind == "error":
        sharing = f"tasks {tasks} share the {'loop ' if was != then[0] else ''}variable {late.variable!r}"
        all_see = f"{'both' if len(late.tasks) == 2 else 'all'} of them would"
    else:
        sharing = f"task{'s' if several else ''} {tasks} read{'' if several else 's'} the variable {late.variable!r}"
        all_see = "they would" if several else "it would"
    run = "when they run" if several else "when it runs"
    will = f"{run} it no longer exists" if gone else f"{run} {all_see} see {_shown(late.current)}"
    told = f"{sharing}: when {'they were' if several else 'it was'} defined it was {was}, {will} {where}."
    return f"{told} {_cure(late.function, late.variable)}"


def _cure(function: str, name: str) -> str:
    if function == "<lambda>":
        called, kept = f"the task with {name}", f"'lambda {name}={name}: ...'"
    else:
        called, kept = f"it, {function}({name})", f"def {function}({name}={name})"
    return (
        f"Bind the value when the task is made: give the function a parameter and call {called}, "
        f"or keep the value as a default, {kept}."
    )


def _listed(words: list[str]) -> str:
    if len(words) > _NAMED + 1:
        words = [*words[:_NAMED], f"{len(words) - _NAMED} more"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _shown(value: object) -> str:
    if value is EMPTY or value is MISSING:
        return "not set"
    try:
        return _REPR.repr(value)
    except Exception:  # noqa: BLE001 - whoever reads an error must not meet another one
        return f"<{type(value).__qualname__} object>"


def _site(file: str) -> str:
    return file.removeprefix(os.path.join(os.getcwd(), ""))
