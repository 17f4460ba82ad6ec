"""Text that is safe to draw: nothing a format cannot hold, and no wider than there is room for."""

from __future__ import annotations

import re
import unicodedata

_UNDRAWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_SPACE = re.compile(r"\s+")


def clean(text: str) -> str:
    """The text with every character replaced that XML or UTF-8 cannot hold, such as control characters."""
    return _UNDRAWABLE.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Clean text, with line breaks and runs of white space made one space."""
    if text.isascii() and text.isprintable() and "  " not in text:  # as nearly all are, and much faster
        return text.strip()
    return _SPACE.sub(" ", clean(text)).strip()


def cells(text: str) -> int:
    """How many cells of a monospaced font the text takes: East Asian wide characters take two."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def shorten(text: str, limit: int, *, keep_end: bool = False) -> str:
    """The text in at most ``limit`` cells, with an ellipsis for what was left out.

    Args:
        text: one line.
        limit: in cells; at least 2.
        keep_end: leave out the middle rather than the end; ids often differ at the end only.
    """
    if cells(text) <= limit:
        return text
    tail = ""
    if keep_end:
        tail = _fit(text[::-1], limit // 2 - 1)[::-1]
    return _fit(text, limit - 1 - cells(tail)) + "…" + tail


def _fit(text: str, limit: int) -> str:
    """As much of the start as fits."""
    taken = 0
    for place, character in enumerate(text):
        taken += cells(character)
        if taken > limit:
            return text[:place]
    return text


def duration(seconds: float) -> str:
    """Seconds as people write them: ``28 µs``, ``850 ms``, ``12.3 s``, ``4 min 05 s``, ``2 h 03 min``."""
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
