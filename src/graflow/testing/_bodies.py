"""The tasks that the contract runs: importable, so that they reach every worker by name.

A worker that is a new process imports this file, so what is slow to load is imported where it is used.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from graflow.core._attempt import current
from graflow.core.block import Block, workflow
from graflow.core.outcome import Failed, Ok, Outcome, Skipped
from graflow.core.task import Task
from graflow.testing._notebook import LOOK_AGAIN, PATIENCE, Notebook, wait_until


@dataclass(frozen=True)
class Point:
    """A value with parts."""

    x: int
    rows: list[int]


class Refused(Exception):
    """An exception with an attribute of its own."""

    def __init__(self, code: int, *, hint: str = "") -> None:
        super().__init__(f"refused with {code}")
        self.code = code
        self.hint = hint


class Busy(Refused):
    """A kind of it."""


class Unpicklable(Exception):
    """An exception that cannot be pickled."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.lock = threading.Lock()


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def give(value: Any) -> Any:
    """What it is given."""
    return value


def increment(x: int) -> int:
    """One more."""
    return x + 1


def add(a: int, b: int = 10, *rest: int, c: int = 100, **more: int) -> int:
    """A sum; it has parameters of every kind."""
    return a + b + sum(rest) + c + sum(more.values())


def collect(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """All that it is given."""
    return args, kwargs


def total(numbers: Sequence[int]) -> int:
    """A sum of many."""
    return sum(numbers)


def reverse(data: bytes) -> bytes:
    """The bytes the other way round."""
    return data[::-1]


def spoil(rows: list[int]) -> int:
    """Change what it is given, and say how long it is now."""
    rows.append(99)
    return len(rows)


def definition() -> Any:
    """A definition of work in place of a result."""
    return Task("inner", increment)


def lock() -> Any:
    """Something that cannot leave its process."""
    return threading.Lock()


def outcome_of(outcome: Outcome[Any], *others: Outcome[Any]) -> Any:
    """How tasks ended, as text."""
    told: list[str] = []
    for one in (outcome, *others):
        match one:
            case Ok(value=value):
                told.append(f"ok {value}")
            case Failed(error=error):
                told.append(f"failed {type(error).__name__}: {error}")
            case Skipped(reason=reason):
                told.append(f"skipped: {reason}")
    return told


async def give_later(value: Any) -> Any:
    """What it is given, after others had their turn."""
    import asyncio

    await asyncio.sleep(0)
    return value


def give_coroutine(value: Any) -> Coroutine[Any, Any, Any]:
    """A coroutine that gives what it is given."""
    return give_later(value)


def batch() -> tuple[Block, Task[..., Any]]:
    """A block whose last task reads results through it, and that task."""
    with workflow("batch") as block:
        parts = [Task("part", increment)(k).named(f"part_{k}") for k in range(3)]

        def read() -> int:
            return sum(block.get_result(f"part_{k}") for k in range(3))

        last = Task("read", read).after(*parts)
    return block, last


# ── notes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def noted(book: Notebook, line: str, *given: Any) -> str:
    """Write a line."""
    book.note(line)
    return line


def around(book: Notebook, id: str, *given: Any) -> str:
    """Write a line at the start and one at the end."""
    book.note(f"start {id}")
    book.note(f"end {id}")
    return id


def door(book: Notebook, name: str) -> str:
    """Come in, and stay until somebody opens."""
    book.mark(f"{name}-in")
    book.wait(f"{name}-open")
    return name


def open_door(book: Notebook, name: str, *given: Any) -> str:
    """Let somebody out."""
    book.mark(f"{name}-open")
    return name


def meet(book: Notebook, own: str, other: str) -> str:
    """Wait for another body, which waits for this one."""
    book.mark(own)
    book.wait(other)
    return own


async def meet_later(book: Notebook, own: str, other: str) -> str:
    """Wait for another body without holding it up."""
    import asyncio

    book.mark(own)
    for _ in range(int(PATIENCE / LOOK_AGAIN)):
        if book.is_marked(other):
            return own
        await asyncio.sleep(LOOK_AGAIN)
    raise TimeoutError(f"{other!r} did not come")


def until_told(book: Notebook, name: str) -> str:
    """Go on until the runner says that the attempt is to stop."""
    book.mark(f"{name}-in")
    here = current()
    wait_until(lambda: here.cancelled, "current().cancelled")
    book.note(f"{name} told")
    return "stopped"


def crowded(book: Notebook, name: str, at_once: int) -> str:
    """Stay for a moment in a room that holds a number of bodies, and note how many there were at most."""
    room = Path(book.folder, f"room-{name}")
    room.mkdir(exist_ok=True)
    seat = room / current().task
    seat.touch()
    try:
        most = 0
        for _ in range(8):
            most = max(most, len(os.listdir(room)))
            if most > at_once:
                break
            time.sleep(LOOK_AGAIN)
        book.note(f"{name} {most}")
    finally:
        seat.unlink()
    return name


def here() -> dict[str, Any]:
    """What `current` says."""
    now = current()
    now.logger.info("here")
    return {
        "run": now.run,
        "workflow": now.workflow,
        "task": now.task,
        "attempt": now.attempt,
        "key": now.key,
        "cancelled": now.cancelled,
    }


async def here_later() -> dict[str, Any]:
    """What `current` says in an async task."""
    import asyncio

    await asyncio.sleep(0)
    return here()


def here_at_second(book: Notebook) -> dict[str, Any]:
    """Note the key, fail once, and say where it is then."""
    book.note(current().key)
    if current().attempt == 1:
        raise ConnectionError("not yet")
    return here()


def report(book: Notebook, total: int) -> int:
    """Report progress once somebody listens."""
    book.wait("listening")
    for done in range(1, total + 1):
        current().progress(done, total)
    return total


# ── failures ────────────────────────────────────────────────────────────────────────────────────────────────────────


def fail(text: str = "no luck") -> NoReturn:
    """A failure."""
    raise ValueError(text)


def fail_unless(book: Notebook, name: str, value: Any) -> Any:
    """A failure until somebody mends it."""
    book.note(f"tries {name}")
    if not book.is_marked(name):
        raise ConnectionError(f"{name} is away")
    return value


def refuse(code: int) -> NoReturn:
    """A failure that carries a cause, a context and a note."""
    try:
        try:
            raise KeyError("context")
        except KeyError:
            raise LookupError("cause")  # noqa: B904  # leaves a context and no cause
    except LookupError as cause:
        error = Refused(code, hint="try again")
        error.add_note("from the body")
        raise error from cause


def strange(kind: str) -> NoReturn:
    """An exception unlike others."""
    import asyncio

    kinds: dict[str, Callable[[], BaseException]] = {
        "SystemExit": lambda: SystemExit(3),
        "KeyboardInterrupt": KeyboardInterrupt,
        "GeneratorExit": GeneratorExit,
        "CancelledError": asyncio.CancelledError,
        "StopIteration": lambda: StopIteration(5),
        "TimeoutError": TimeoutError,
        "ExceptionGroup": lambda: ExceptionGroup("both", [ValueError("a"), OSError(2, "b")]),
    }
    raise kinds[kind]()


def scripted(script: str, *given: Any) -> str:
    """Do what one letter per attempt says: ``o`` succeeds, ``f`` fails, ``b`` is busy, ``u`` cannot be pickled."""
    attempt = current().attempt
    match script[attempt - 1]:
        case "o":
            return f"attempt {attempt}"
        case "f":
            raise Refused(attempt)
        case "b":
            raise Busy(attempt)
        case "u":
            raise Unpicklable(f"attempt {attempt}")
        case letter:
            raise ValueError(letter)


async def scripted_later(script: str, *given: Any) -> str:
    """The same, in an async task."""
    import asyncio

    await asyncio.sleep(0)
    return scripted(script)


def too_long_at_first(book: Notebook) -> str:
    """At the first attempt, take until it is over, and then give a result that comes too late."""
    attempt = current().attempt
    if attempt == 1:
        until_told(book, "slow")
    return f"attempt {attempt}"


async def too_long_later(book: Notebook) -> str:
    """At the first attempt, wait for ever."""
    import asyncio

    if current().attempt == 1:
        await asyncio.Event().wait()
    return f"attempt {current().attempt}"


def deaf(book: Notebook) -> None:
    """Say which process this is, and then hear nothing any more."""
    book.note(os.getpid())
    book.wait("never")


def die(how: str) -> NoReturn:
    """End the process at the first attempt."""
    match how:
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()
        case code:
            os._exit(int(code))
    raise AssertionError("still alive")


def die_once() -> str:
    """End the process at the first attempt, succeed at the second."""
    if current().attempt == 1:
        die("killed")
    return f"attempt {current().attempt}"


def wait_and_die(book: Notebook, name: str) -> NoReturn:
    """End the process while another body is under way."""
    book.wait(name)
    die("killed")
