"""Getting the interpreter back quickly, where threads that compute hold it.

A transaction gives up the GIL half a dozen times: at each lock and each step of SQLite. A thread that computes gives
it back after the *switch interval*, 5 ms by default, and often to another thread that computes; so a transaction of a
millisecond takes a tenth of a second, and that is what a kill would cost.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Final

#: The switch interval while somebody writes: short enough to be of use, long enough not to be all that is done.
HASTY_SECONDS: Final = 0.0002

_guard = threading.Lock()
_writers = 0
_before = 0.0


@contextlib.contextmanager
def haste() -> Iterator[None]:
    """Have threads hand over the interpreter sooner for a while; the last writer sets the interval back.

    An interval that the program itself sets meanwhile stays.
    """
    global _writers, _before  # the interval is one for the whole process
    with _guard:
        _writers += 1
        if _writers == 1 and (now := sys.getswitchinterval()) > HASTY_SECONDS:
            _before = now
            sys.setswitchinterval(HASTY_SECONDS)
    try:
        yield
    finally:
        with _guard:
            _writers -= 1
            if not _writers and _before:
                if abs(sys.getswitchinterval() - HASTY_SECONDS) < HASTY_SECONDS / 10:
                    sys.setswitchinterval(_before)
                _before = 0.0
