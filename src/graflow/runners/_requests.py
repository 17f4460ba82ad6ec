"""What the body of a task in another process says while it runs, and what it asks for and waits for."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from graflow.engine.logs import LogLine
from graflow.errors import GraflowError
from graflow.runners._child import AMOUNTS, ANSWER, ASK, DROPPED, LINE, NO_TOTAL, PROGRESS

if TYPE_CHECKING:
    from graflow.engine.context import LocalAttempt


def hear(attempt: LocalAttempt, said: bytes) -> bytes | None:
    """Take note of what a body says; the answer, if it asks for something."""
    kind, what = said[:1], said[1:]
    if kind == ASK:
        return _answer(attempt, what)
    if kind == PROGRESS:
        done, total = AMOUNTS.unpack(what)
        attempt.report(done, None if total == NO_TOTAL else total)
    elif kind == LINE:
        attempt.keep(LogLine(*pickle.loads(what)))
    elif kind == DROPPED:
        attempt.drop(int(what))
    return None


def _answer(attempt: LocalAttempt, asked: bytes) -> bytes:
    """Read or change a channel. Values of users stay the bytes they are."""
    method, *arguments = pickle.loads(asked)
    found: Any = None
    error: GraflowError | None = None
    try:
        channels = attempt.channels
        call: Any = channels.entry if method == "entry" else channels.compare_and_set
        found = call(*arguments)
    except GraflowError as raised:
        error = raised
    return ANSWER + pickle.dumps((found, error))
