"""The names by which exceptions are recognised where their classes cannot be."""

from __future__ import annotations


def class_names(kind: type[BaseException]) -> tuple[str, ...]:
    """The full names of an exception class and its bases, most derived first; of builtin classes the bare names."""
    return tuple(
        base.__qualname__ if base.__module__ == "builtins" else f"{base.__module__}.{base.__qualname__}"
        for base in kind.__mro__[:-1]  # all but object
    )
