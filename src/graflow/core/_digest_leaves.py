"""Digests that need no others: of values without parts, and of code.

Equal in every process, for every hash seed, on every machine; code differs between minor versions of Python.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from hashlib import sha256
from types import CodeType
from typing import Any

from graflow.core._code import EMPTY, per_code


def scalar(value: Any) -> bytes | None:
    """An encoding of values that hold no others, each kind with a tag of its own; None for all other values."""
    kind = type(value)
    encoded: bytes | None = None
    if kind is str:
        encoded = b"s" + value.encode("utf-8", "surrogatepass")
    elif kind is int:
        encoded = b"i%x" % value
    elif kind is bool or value is None or value is Ellipsis or value is NotImplemented or value is EMPTY:
        encoded = b"c%a" % value
    elif kind is float:
        encoded = b"f" + (struct.pack(">d", value) if value == value else b"nan")
    elif kind is bytes:
        encoded = b"b" + value
    elif kind is complex:
        encoded = b"z" + struct.pack(">dd", value.real, value.imag)
    return encoded


def join(tag: bytes, parts: Iterable[bytes]) -> bytes:
    """One encoding of many: hashed, so that the size of what holds it does not depend on its own."""
    whole = sha256(tag)
    for part in parts:
        whole.update(len(part).to_bytes(8))
        whole.update(part)
    return b"#" + whole.digest()


def name_of(value: Any) -> bytes:
    """How a function, class or module of a library is called; a script is one module whatever runs it."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    module = "__main__" if module == "__mp_main__" else module
    # Some classes written in C answer with descriptors, whose text holds an address.
    return join(b"name", (part.encode() for part in (module, name) if isinstance(part, str)))


# What a class body notes about itself: where it stands and how it is called.
_CLASS_NOTES = frozenset({"__doc__", "__qualname__", "__firstlineno__", "__static_attributes__"})
_LAYOUT = frozenset({"EXTENDED_ARG", "NOP", "CACHE"})
# Of the flags: *args, **kwargs, generator, coroutine, iterable coroutine, asynchronous generator.
_FLAGS = 0x4 | 0x8 | 0x20 | 0x80 | 0x100 | 0x200


@per_code
def code_digest(code: CodeType) -> bytes:
    """What a code object does: its instructions with their constants and names, nested code included.

    Constants are taken where they are used, not from their table: a docstring stands in the table only.
    """
    import dis

    kept: list[dis.Instruction] = []
    ordinal: dict[int, int] = {}
    for instruction in dis.get_instructions(code):
        ordinal[instruction.offset] = len(kept)
        if instruction.opname == "STORE_NAME" and instruction.argval in _CLASS_NOTES:
            kept.pop()  # the constant that would be stored
        elif instruction.opname not in _LAYOUT:
            kept.append(instruction)
    jumps = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
    named = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 0x4) + bool(code.co_flags & 0x8)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _FLAGS)
    head = (counts, code.co_varnames[:named], code.co_freevars, code.co_cellvars, code.co_exceptiontable)
    parts = [_constant(head)]
    for instruction in kept:
        argument = instruction.argval
        if instruction.opcode in jumps:
            argument = ordinal.get(argument, argument)
        parts += [instruction.opname.encode(), _constant(argument)]
    return join(b"code", parts)


def _constant(value: Any) -> bytes:
    # Constants nest as deep as the parser allows, which is not deep.
    if isinstance(value, CodeType):
        return code_digest(value)
    if isinstance(value, tuple):
        return join(b"tuple", map(_constant, value))
    if isinstance(value, frozenset):
        return join(b"set", sorted(map(_constant, value)))
    known = scalar(value)
    return join(b"other", (repr(value).encode(),)) if known is None else known
