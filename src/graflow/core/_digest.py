"""Stable digests of code and values: equal in every process, for every hash seed, on every machine.

The digest of a function covers what it does: its instructions and constants, its defaults, what its closure holds,
the constants of its module that it reads, and the user's own functions and classes it uses, transitively. It leaves
out where it stands: names of files, line numbers, comments, docstrings, its own name. Libraries count by name.

Two minor versions of Python compile to different instructions, so their digests differ; so do those of
``python -O``. A function imported inside another's body is not seen before the body runs, hence not covered.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from graflow.core._digest_forms import Want, Work, work_on
from graflow.core._digest_leaves import join, name_of, scalar


class Memo:
    """Digests to be shared by several calls, so that what their values have in common is digested once.

    It keeps what was digested alive, and knows nothing of changes: use it for one pass over unchanging values.
    A shared object that could not be read is reported as opaque by the first call only.
    """

    __slots__ = ("component", "digests", "kept")

    def __init__(self) -> None:
        self.digests: dict[int, bytes] = {}
        self.component: dict[int, int] = {}
        self.kept: list[Any] = []  # an identity means nothing once its object is gone


def digest_callable(fn: Callable[..., Any], opaque: list[str] | None = None, memo: Memo | None = None) -> str:
    """The digest of a callable as 64 hex digits.

    Of the globals that the code reads count functions, classes and constants, also those used as an attribute of one
    of the user's modules. Of the user's objects and of mutable containers count the class and the functions in them,
    not the content: it is state, and each process has its own. Paths around the code's own folder do not count.

    Never raises.

    Args:
        fn: a function, partial, bound method, class, builtin, or an object with ``__call__``.
        opaque: receives the qualified names of the types whose content could not be read: of such objects the digest
            covers the type alone.
        memo: shares work with other calls; see `Memo`.
    """
    return sha256(Digester(opaque, memo).digest(fn, code=True)).hexdigest()


def digest_value(value: object, opaque: list[str] | None = None, memo: Memo | None = None) -> bytes:
    """The digest of a value as 32 bytes.

    Values that differ in type or content have different digests; ``1``, ``True`` and ``1.0`` differ. The order of
    sets and dicts does not count. Classes count by name, functions by their code. A few values that compare equal
    differ here, such as ``0.0`` and ``-0.0``. An object whose class has a method ``__graflow_digest__`` counts as
    what that returns.

    Never raises, whatever the value: it may be deep, shared or cyclic.

    Args:
        value: anything.
        opaque: as in `digest_callable`; if it stays empty, the digest covers everything.
        memo: as in `digest_callable`.
    """
    known = scalar(value)
    return sha256(Digester(opaque, memo).digest(value, code=False) if known is None else known).digest()


class _Frame:
    """A value being digested: its place in the order of visits, and the earliest visit it leads back to."""

    __slots__ = ("alone", "depth", "index", "key", "low", "members", "open", "value", "work")

    def __init__(self, want: Want, key: int, work: Work, depth: int, index: int, open_: int, members: int) -> None:
        self.value, _, self.alone = want
        self.key = key
        self.work = work
        self.depth = depth
        self.index = self.low = index
        self.open = open_
        self.members = members


class Digester:
    """Digests a graph of objects without recursion.

    A value met again is not digested again; one met inside itself counts as the number of levels up to it. A digest
    that counts levels to something not finished yet is *open* and good only until that is finished: then a round of
    objects that lead to each other is complete (Tarjan's strongly connected component), and the digest of the first
    of them, which no longer depends on the way there, is kept. Whoever enters the same round elsewhere starts anew,
    so that no digest depends on the order of visits.
    """

    def __init__(self, opaque: list[str] | None, memo: Memo | None) -> None:
        self._opaque = opaque
        self._memo = Memo() if memo is None else memo
        self._open: dict[int, tuple[int, bytes]] = {}  # by key: the visit, the digest
        self._members: list[int] = []  # finished, of rounds that are not complete
        self._active: dict[int, _Frame] = {}
        self._entered: dict[int, int] = {}  # by round: how many frames are in it
        self._frames: list[_Frame] = []
        self._visits = 0

    def digest(self, value: Any, *, code: bool) -> bytes:
        reply = self._start(Want(value, code))
        while self._frames:
            frame = self._frames[-1]
            try:
                wanted = frame.work.send(reply)  # type: ignore[arg-type]  # a generator that starts is sent None
            except StopIteration as end:
                reply = self._finish(end.value)
            except Exception:  # noqa: BLE001 - a user's __reduce__, property or iterator may raise anything
                reply = self._finish(self._give_up(frame.value))
            else:
                reply = self._start(wanted)
        assert reply is not None  # the first frame ended with one
        return reply

    def _start(self, want: Want) -> bytes | None:
        """The digest, if it is at hand; None after pushing a frame that will find it."""
        known = scalar(want.value)
        if known is not None:
            return known
        memo, key = self._memo, ~id(want.value) if want.code else id(want.value)
        if key in self._active:
            frame = self._active[key]
            self._frames[-1].low = min(self._frames[-1].low, frame.index)
            return b"^%d" % (len(self._frames) - frame.depth)
        if key in self._open:
            index, digest = self._open[key]
            self._frames[-1].low = min(self._frames[-1].low, index)
            return digest
        component = memo.component.get(key)
        if key in memo.digests and not self._entered.get(component or 0):
            return memo.digests[key]
        if component is not None:
            self._entered[component] = self._entered.get(component, 0) + 1
        self._visits += 1
        work = self._work(want)
        frame = _Frame(want, key, work, len(self._frames), self._visits, len(self._open), len(self._members))
        self._active[key] = frame
        self._frames.append(frame)
        memo.kept.append(want.value)
        return None

    def _work(self, want: Want) -> Work:
        return work_on(want.value, want.code)

    def _finish(self, digest: bytes) -> bytes:
        frame, memo = self._frames.pop(), self._memo
        key = frame.key
        del self._active[key]
        if key in memo.component:
            self._entered[memo.component[key]] -= 1
        if frame.low < frame.index:
            self._open[key] = frame.index, digest
            self._members.append(key)
            self._frames[-1].low = min(self._frames[-1].low, frame.low)
        else:
            if len(self._members) > frame.members and key not in memo.component:
                members = [key, *self._members[frame.members :]]
                known = next((memo.component[k] for k in members if k in memo.component), len(memo.component) + 1)
                memo.component.update(dict.fromkeys(members, known))
            del self._members[frame.members :]
            memo.digests.setdefault(key, digest)
        while len(self._open) > frame.open and (frame.alone or frame.low == frame.index):
            self._open.popitem()
        return digest

    def _give_up(self, value: Any) -> bytes:
        kind = type(value)
        if self._opaque is not None:
            self._opaque.append(f"{kind.__module__}.{kind.__qualname__}")
        return join(b"opaque", (name_of(kind),))
