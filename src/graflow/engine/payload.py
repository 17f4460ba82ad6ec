"""A result as bytes, for a store."""

from __future__ import annotations

import pickle
from typing import Any, Final, NamedTuple

#: Results of these types are pickled by the fast pickler; it knows no functions, and here it needs none.
_SCALARS: Final = frozenset({int, str, float, bool, type(None), bytes})
_PROTOCOL: Final = 5


class Unstorable(NamedTuple):
    """In place of the bytes of a result that cannot be written down."""

    why: str


def payload_of(value: Any) -> bytes | Unstorable:
    """A result as bytes for a store, or why it has none."""
    if type(value) in _SCALARS:
        return pickle.dumps(value, _PROTOCOL)
    from graflow.engine import codec
    from graflow.errors import SerializationError

    try:
        return codec.dumps(value)
    except SerializationError as error:
        return Unstorable(str(error))
