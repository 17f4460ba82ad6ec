"""The fingerprint of a workflow: what it is made of, and what its code does.

The structural part is the same on every Python version; the code part covers bytecode, which differs between minors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from graflow.core._definition import UNBOUND, Extra
from graflow.core._digest import Memo, digest_callable, digest_value
from graflow.core._digest_leaves import scalar
from graflow.core._inputs import Template, plain
from graflow.core._structure import Structure
from graflow.core.placeholder import InputSource, KnownSource, Placeholder
from graflow.core.task import Task

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

    from graflow.core.workflow import Workflow

_DIGITS = 32  # 128 bits for each part: collisions are out of the question, and the text stays readable
_ORDER_BITS = (1 << 256) - 1


def fingerprint(workflow: Workflow[Any, Any]) -> str:
    """``structure-code``; see `Workflow.fingerprint`."""
    structure = workflow._structure
    memo = Memo()
    shape = sha256()
    for part in _structural_parts(workflow, memo):
        shape.update(len(part).to_bytes(8, "big"))
        shape.update(part)
    code = sha256()
    codes: dict[int, bytes] = {}
    for task in structure.tasks:
        if id(task.fn) not in codes:
            codes[id(task.fn)] = _code_digest(task, memo)
        code.update(codes[id(task.fn)])
    for _, (rule, _) in sorted(structure.rules.items()):
        code.update(digest_callable(type(rule).decide, memo=memo).encode())
    return f"{shape.hexdigest()[:_DIGITS]}-{code.hexdigest()[:_DIGITS]}"


def task_fingerprints(structure: Structure) -> tuple[str, ...]:
    """What each task does with what, as 32 hex digits by index: its code, and the inputs bound to it.

    An upstream that feeds the task counts by its id, and so do flags and the rules of groups. Other edges without data
    and policies do not count: the result does not depend on them. A task that stands for a workflow passes on the
    result of another task, and is its id.
    """
    memo, heads, found = Memo(), _Heads(), []
    references: dict[int, bytes] = {}
    for i, task in enumerate(structure.tasks):
        if i in structure.aliases:
            found.append(sha256(b"alias " + structure.tasks[structure.aliases[i]].id.encode()).hexdigest()[:_DIGITS])
            continue
        names, head = heads.of(task, memo)
        parts: list[bytes] = []
        # One pass over all inputs of all tasks: what is plain is encoded here, a call for each would double the cost.
        for name, value in zip(names, task._bound, strict=True):
            if type(value) is Placeholder and not value.__graflow_path__:
                source = id(value.__graflow_source__)
                known = references.get(source) or references.setdefault(source, _input_digest(value, memo))
            elif value is UNBOUND:
                continue
            else:  # no scalar is encoded as ``is``, ``of`` or ``ref`` and a space
                known = scalar(value) or _input_digest(value, memo)
            parts.append(b"%b%d:%b" % (name, len(known), known))
        if task._extra is not None:
            parts += [b"%d:%b" % (len(known), known) for known in _extra_digests(task._extra, memo)]
        if i in structure.conditions or structure.rules:
            parts += _terms(structure, i, memo)
        whole = head.copy()
        whole.update(b"".join(parts))
        found.append(whole.hexdigest()[:_DIGITS])
    return tuple(found)


class _Heads:
    """What tasks of one callable have in common: the encoded names of its parameters, and a hash of its code."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[list[bytes], Hash]] = {}
        self._codes: dict[int, Hash] = {}

    def of(self, task: Task[..., Any], memo: Memo) -> tuple[list[bytes], Hash]:
        definition = task._definition
        known = self._known.get(id(definition))
        if known is None:
            code = self._codes.get(id(definition.fn))
            if code is None:
                code = self._codes[id(definition.fn)] = sha256(_code_digest(task, memo))
            names = [b"%d %b" % (len(encoded), encoded) for encoded in map(str.encode, definition.shape.names)]
            known = self._known[id(definition)] = names, code
        return known


def _extra_digests(extra: Extra, memo: Memo) -> Iterator[bytes]:
    for value in extra[0]:
        yield _input_digest(value, memo)
    for name, value in extra[1]:
        yield b"name " + name.encode()
        yield _input_digest(value, memo)


def _code_digest(task: Task[..., Any], memo: Memo) -> bytes:
    from graflow.core._nesting import nested_workflow

    nested = nested_workflow(task)
    text = nested.fingerprint if nested is not None else digest_callable(task.fn, memo=memo)
    return sha256(text.encode()).digest()


def _terms(structure: Structure, i: int, memo: Memo) -> Iterator[bytes]:
    """What decides whether a task runs: its flags, and the rules of the groups before it."""
    for condition in structure.conditions.get(i, ()):
        yield b"when %d " % condition.wanted + _input_digest(condition.flag, memo)
    for gate in structure.upstream[i]:
        if gate in structure.rules:
            rule, labels = structure.rules[gate]
            yield b"rule " + digest_value((rule, labels))


def _structural_parts(workflow: Workflow[Any, Any], memo: Memo) -> Iterator[bytes]:
    structure = workflow._structure
    yield workflow.name.encode("utf-8", "surrogatepass")
    yield json.dumps(workflow.input_schema(), sort_keys=True).encode()
    yield (workflow.returns or "").encode()
    order = _OrderDigests(structure)
    for i, task in enumerate(structure.tasks):
        yield task.id.encode()
        shape = task._definition.shape
        for name, value in zip(shape.names, task._bound, strict=True):
            if value is not UNBOUND:
                yield name.encode()
                yield _input_digest(value, memo)
        if task._extra is not None:
            for value in task._extra[0]:
                yield _input_digest(value, memo)
            for name, value in task._extra[1]:
                yield name.encode()
                yield _input_digest(value, memo)
        yield order.of(i)
        if i in structure.also_after:
            yield b"also after " + b" ".join(structure.tasks[u].id.encode() for u in structure.also_after[i])
        if type(task) is not Task:
            yield b"as " + type(task).__name__.encode()
        yield from _terms(structure, i, memo)
        if task._policy is not None:
            yield task._policy.model_dump_json(exclude_defaults=True).encode()


def _input_digest(value: Any, memo: Memo) -> bytes:
    if type(value) is Placeholder:
        source, path = value.__graflow_source__, value.__graflow_path__
        if isinstance(source, KnownSource):
            return b"known " + digest_value(source.value) + digest_value(path, memo=memo)
        whence = b"inputs" if isinstance(source, InputSource) else b"task " + source.id.encode()
        return b"ref " + whence + (digest_value(path, memo=memo) if path else b"")
    if type(value) is Template and value.refs:
        whole = sha256(value.kind.__name__.encode())
        items = [_input_digest(item, memo) for item in value.items]
        if value.keys is not None:  # the order of a dict does not count
            keys = (digest_value(key) for key in value.keys)
            items = sorted(key + sha256(item).digest() for key, item in zip(keys, items, strict=True))
        for item in items:
            whole.update(len(item).to_bytes(8, "big") + item)
        return b"of " + whole.digest()
    # Not through the memo: a container is put together anew here, and its identity means nothing afterwards.
    return b"is " + digest_value(plain(value))


class _OrderDigests:
    """Digests of sets of upstreams that are only ordered, whether drawn edge by edge or through a gate.

    A sum of the members' digests does not depend on order, and the sum of a gate serves all that come after it.
    """

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self.ids = [int.from_bytes(sha256(task.id.encode()).digest(), "big") for task in structure.tasks]
        self.gates = [frozenset(members) for members in structure.gates]
        self.sums = [sum(self.ids[m] for m in members) for members in structure.gates]

    def of(self, i: int) -> bytes:
        structure, n = self.structure, len(self.structure.tasks)
        ordered = structure.upstream[i][structure.reads[i] :]
        gates = [u - n for u in ordered if u >= n]
        if len(gates) <= 1:
            members = self.gates[gates[0]] if gates else frozenset()
            total = (self.sums[gates[0]] if gates else 0) + sum(
                self.ids[u] for u in ordered if u < n and u not in members
            )
            # What is read is not also ordered, however it was drawn.
            total -= sum(self.ids[u] for u in structure.upstream[i][: structure.reads[i]] if u in members)
        else:
            read = set(structure.upstream[i][: structure.reads[i]])
            total = sum(self.ids[u] for u in structure.task_upstream(i) if u not in read)
        return (total & _ORDER_BITS).to_bytes(32, "big")
