"""The keys of cached results: what they cover, why one is another, and what cannot have one.

A key covers the task's code, the version its policy names, and the content of every input by the name of its
parameter. Ids do not count: two tasks of equal code and inputs share a result.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from graflow.core._code import holds
from graflow.core._code_parts import ITSELF, code_parts, unreadable
from graflow.core._definition import shape_of
from graflow.core._digest import digest_callable
from graflow.core._digest_leaves import join, scalar
from graflow.core.block import Block, BlockHandle
from graflow.engine._input_digests import InputDigests, in_slots, no_key, slots_of
from graflow.errors import CacheKeyError, ResultUnavailableError

if TYPE_CHECKING:
    from graflow.core._definition import Shape
    from graflow.core.plan import Plan

#: Changes when the same code and inputs get other keys than before.
_FORMAT = b"1"
_DIGITS = 16  # of the digests of parts, which only explain; the key has them all
_MOST_PARTS = 100
_MOST_REASONS = 4
_OTHERS = "helper (others)"
_NOT_THERE = join(b"no result", ())
_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}{' -O' if sys.flags.optimize else ''}"


class CacheKey(NamedTuple):
    """Under which a result is kept, and the parts the key is made of, so that the next key can be compared."""

    key: str
    """64 hex digits."""
    parts: dict[str, str]
    """``code``, ``python``, ``version``, ``helper clean.strip``, ``constant RATE``, ``input rows``: what each is."""


def key_of(
    plan: Plan,
    i: int,
    arguments: tuple[Sequence[Any], Mapping[str, Any]],
    memo: KeyMemo | None = None,
    *,
    result_of: Callable[[int], Any] | None = None,
) -> CacheKey:
    """The key of the result that a cached task would give for these arguments.

    Args:
        plan: of the workflow.
        i: index of the task.
        arguments: what its function would be called with.
        memo: shares work between the tasks of one run; see `KeyMemo`.
        result_of: gives the result of a task by its index; asked where a body may read results through its block.

    Raises:
        CacheKeyError: something that the key must cover has no readable content; names the task and where it is.
    """
    memo = KeyMemo(plan) if memo is None else memo
    with memo._lock:
        try:
            return memo._key_of(i, arguments[0], arguments[1], result_of)
        finally:  # without a key it asks for none again
            memo._values.read_by(i)


class _Code(NamedTuple):
    """What all tasks of one function share."""

    digest: bytes
    parts: dict[str, str]
    shape: Shape


class KeyMemo:
    """What the keys of one run share: digests of code, and of values that several cached tasks read.

    A value is digested once, when the first of its readers needs its key, and held until the last one has it. So a
    key says what the value was then. A list, dict or set that has since been given other members is digested again;
    of one with more than 10,000, the length is looked at. A change further inside is not seen, nor one in an array: a
    task that changes what it is given makes the results of the others depend on their order, cached or not, and
    should change a copy.

    Several threads may use it.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lock = Lock()
        self._codes: dict[int, _Code] = {}
        self._body_reads: dict[int, bool] = {}
        self._values = InputDigests(plan, self._slots)

    def forget(self, i: int) -> None:
        """A cached task needs no key any more, as it was skipped: let go of what was held for it."""
        with self._lock:
            self._values.read_by(i)

    def _key_of(
        self, i: int, args: Sequence[Any], kwargs: Mapping[str, Any], result_of: Callable[[int], Any] | None
    ) -> CacheKey:
        plan, code = self._plan, self._code(i)
        policy = plan.policies.get(i)
        version = policy.cache.version if policy is not None and policy.cache is not None else 0
        inputs = _named(code.shape, args, kwargs)
        read = in_slots(self._recipe(i), args, kwargs)
        if self._reads_in_body(i):
            for u, result in self._read_in_body(i, result_of):
                inputs.append((f"result {plan.ids[u]}", result))
                read.append((u, result))
        parts = {**code.parts, "version": repr(version)}
        whole = [_FORMAT, code.digest, _encoded(version)]
        for (what, _), digest in zip(inputs, self._values.digests(plan.ids[i], inputs, read), strict=True):
            whole += [what.encode(), digest]
            parts[what] = sha256(digest).hexdigest()[:_DIGITS]
        return CacheKey(join(b"cache key", whole)[1:].hex(), parts)

    def _code(self, i: int) -> _Code:
        plan = self._plan
        number = self._number(i)
        known = self._codes.get(number)
        if known is None:
            fn, opaque = plan.functions[number], list[str]()
            digest = digest_callable(fn, opaque)
            if opaque:
                raise no_key(plan.ids[i], *_captured(fn, opaque[0]))
            shape = shape_of(fn) if i in plan.workflow._structure.aliases else plan.task(i)._definition.shape
            parts = {**_folded(code_parts(fn)), "python": _PYTHON}
            known = self._codes[number] = _Code(bytes.fromhex(digest), parts, shape)
        return known

    def _slots(self, i: int) -> Collection[int]:
        """The slots that a task reads, from its arguments or from its body."""
        found = slots_of(self._recipe(i))
        return (*found, *self._plan.workflow._structure.task_upstream(i)) if self._reads_in_body(i) else found

    def _reads_in_body(self, i: int) -> bool:
        number = self._number(i)
        known = self._body_reads.get(number)
        if known is None:
            known = self._body_reads[number] = holds(self._plan.functions[number], _is_block)
        return known

    def _number(self, i: int) -> int:
        """The number of a task's callable; of a map, of what runs for its items."""
        maps = self._plan.maps
        return maps[i].function if i in maps else self._plan.function_of[i]

    def _recipe(self, i: int) -> Any:
        maps = self._plan.maps
        return maps[i].recipe if i in maps else self._plan.recipes[i]

    def _read_in_body(self, i: int, result_of: Callable[[int], Any] | None) -> Iterator[tuple[int, Any]]:
        for u in self._plan.workflow._structure.task_upstream(i):
            if result_of is None:
                raise CacheKeyError(
                    f"task {self._plan.ids[i]!r} cannot be cached: its body may read the result of "
                    f"{self._plan.ids[u]!r} through its block, and that is not at hand; pass it as an input"
                )
            try:
                yield u, result_of(u)
            except ResultUnavailableError:  # the body cannot read it either
                yield u, _NOT_THERE


def _is_block(value: Any) -> bool:
    return type(value) in (Block, BlockHandle)


def _named(shape: Shape, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The arguments by parameter, in an order that does not depend on how the call is spelt."""
    named = {
        shape.names[k] if k < shape.positional else f"*{shape.varargs}[{k - shape.positional}]": value
        for k, value in enumerate(args)
    }
    # Beside a positional-only parameter, **kwargs may have one of the same name.
    named.update({f"**{name}" if name in named else name: value for name, value in kwargs.items()})
    return [(f"input {name}", named[name]) for name in sorted(named)]


def _encoded(version: int | str) -> bytes:
    encoded = scalar(version)
    return repr(version).encode() if encoded is None else encoded


def _folded(parts: dict[str, str]) -> dict[str, str]:
    """The parts with the farthest put together: an entry of the cache names them all."""
    if len(parts) <= _MOST_PARTS:
        return parts
    items = list(parts.items())
    rest = sha256(repr(sorted(items[_MOST_PARTS:])).encode())
    return {**dict(items[:_MOST_PARTS]), _OTHERS: rest.hexdigest()[:_DIGITS]}


# ── messages ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _captured(fn: Callable[..., Any], type_name: str) -> tuple[str, str]:
    """Where code holds what cannot be read, for messages, and of which class that is."""
    found = unreadable(fn)
    if found is None:
        return "its code", type_name
    if found.part == ITSELF:
        return f"its {found.variable}", found.type
    word, _, name = found.part.partition(" ")
    return f"the {found.variable} of its {word} {name!r}", found.type


def explain(old: Mapping[str, str] | None, new: Mapping[str, str]) -> str:
    """Why a task has another key than its newest cached result.

    Args:
        old: the parts of the cached result's key; None if there is none.
        new: the parts of the task's key.

    Returns:
        For example ``helper 'clean.strip' changed, input 'rows' changed``.
    """
    if old is None:
        return "never cached before"
    reasons = list(_reasons(old, new))
    more = len(reasons) - _MOST_REASONS
    if more > 1:
        reasons[_MOST_REASONS:] = [f"{more} more"]
    return ", ".join(reasons) or "nothing changed"


def _reasons(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    differing = [part for part in (*new, *(part for part in old if part not in new)) if old.get(part) != new.get(part)]
    if "python" in differing:  # whose versions compile the same code to different instructions
        yield f"Python changed from {old.get('python')} to {new.get('python')}"
    else:
        code = [part for part in differing if part == ITSELF or part.startswith(("helper ", "constant "))]
        # A helper that came or went did so because the code that uses it changed.
        edited = [part for part in code if part in old and part in new]
        yield from (_difference(part, old, new) for part in edited or code)
    if "version" in differing:
        yield f"version changed from {old.get('version')} to {new.get('version')}"
    yield from (_difference(part, old, new) for part in differing if part.startswith(("input ", "result ")))


def _difference(part: str, old: Mapping[str, str], new: Mapping[str, str]) -> str:
    if part == ITSELF:
        return "its code changed"
    return f"{_spelt(part)} {'is new' if part not in old else 'is gone' if part not in new else 'changed'}"


def _spelt(part: str) -> str:
    if part == _OTHERS:
        return "a helper of its helpers"
    word, _, name = part.partition(" ")
    return f"result of {name!r}" if word == "result" else f"{word} {name!r}"


def freshness(created: float, now: float, expires: float | None = None) -> str:
    """How old a cached result is: ``cached 3 h ago``, and where it is no longer good, since when."""
    text = f"cached {_span(now - created)} ago"
    return text if expires is None or now < expires else f"{text}, expired {_span(now - expires)} ago"


def _span(seconds: float) -> str:
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds // unit:.0f} {name}"
    return f"{max(seconds, 0) // 1:.0f} s"
