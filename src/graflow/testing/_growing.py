"""The tasks that the contract runs to see a run change its shape: importable, as those of `_bodies`.

As there, what is slow to load, such as models and policies, is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, NoReturn

from graflow.core._attempt import current
from graflow.core.channel import Channel
from graflow.core.outcome import Ok, Outcome
from graflow.core.requirement import Standing
from graflow.core.task import Task
from graflow.core.turns import continue_with, stop_run
from graflow.errors import CancelRun
from graflow.testing import _bodies as bodies
from graflow.testing._notebook import Notebook

FOUND: Final = Channel("found", int, default=0)


# ── items ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Endless:
    """Something with more items than anybody can take."""

    def __iter__(self) -> Iterator[int]:
        return iter(count())


def pair(a: Any, b: Any) -> str:
    """Both, as text."""
    return f"{a}-{b}"


def scale(x: int, by: int = 10) -> int:
    """So many times as much."""
    return x * by


async def scale_later(x: int, by: int = 10) -> int:
    """The same in an async task, after the others had their turn."""
    import asyncio

    for _ in range(x % 3):
        await asyncio.sleep(0)
    return x * by


async def last_first(book: Notebook, k: int, total: int) -> int:
    """Take so long that the one that comes later ends before."""
    if k < total - 1:
        await bodies.meet_later(book, f"began-{k}", f"ended-{k + 1}")
    book.mark(f"ended-{k}")
    return k


def tried(book: Notebook, item: Any, bad: Any) -> Any:
    """Note the item; fail with the bad one until somebody mends it."""
    book.note(f"tries {item}")
    if item == bad and not book.is_marked("mended"):
        raise ConnectionError(f"{item} is away")
    return item


def fails_first(item: Any, bad: Any) -> str:
    """Fail at the first attempt with the bad item."""
    attempt = current().attempt
    if item == bad and attempt == 1:
        raise bodies.Busy(attempt)
    return f"{item} at {attempt}"


def dawdles_first(book: Notebook, item: Any, slow: Any) -> str:
    """At the first attempt with the slow item, take until it is over."""
    attempt = current().attempt
    if item == slow and attempt == 1:
        bodies.until_told(book, "slow")
    return f"{item} at {attempt}"


def crowded_item(book: Notebook, item: int, at_once: int) -> str:
    """`crowded` for an item, which needs a seat of its own."""
    import os
    import time
    from pathlib import Path

    from graflow.testing._notebook import LOOK_AGAIN

    room = Path(book.folder, "room-items")
    room.mkdir(exist_ok=True)
    seat = room / str(item)
    seat.touch()
    try:
        most = 0
        for _ in range(4):
            most = max(most, len(os.listdir(room)))
            if most > at_once:
                break
            time.sleep(LOOK_AGAIN)
        book.note(most)
    finally:
        seat.unlink()
    return str(item)


def dies_first(item: int, bad: int) -> str:
    """At the first attempt with the bad item, end the process."""
    attempt = current().attempt
    if item == bad and attempt == 1:
        bodies.die("killed")
    return f"{item} at {attempt}"


def locked_at(item: int, bad: int) -> Any:
    """With the bad item, give something that cannot leave its process."""
    return bodies.lock() if item == bad else item


def spoil_shared(item: list[int], shared: list[int]) -> int:
    """Change an input that all items have, and say how long it is now."""
    return bodies.spoil(shared)


def where(item: Any) -> tuple[str, int, str]:
    """What `current` says of the attempt at an item."""
    now = current()
    return now.task, now.attempt, now.key.removeprefix(now.run)


def one_of_two(book: Notebook, item: int) -> int:
    """Come in, and stay until somebody opens; only the first item does."""
    book.note(f"does {item}")
    if item == 1:
        bodies.door(book, "door")
    return item


# ── turns ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def countdown(n: int, total: int = 0) -> int:
    """Go on with itself until nothing is left."""
    if n == 0:
        return total
    return continue_with(Task("countdown", countdown)(n - 1, total=total + n))


async def countdown_later(n: int) -> Any:
    """The same in an async task."""
    if n == 0:
        return f"attempt {current().attempt}"
    return continue_with(Task("countdown_later", countdown_later)(n - 1))


def hands_over(n: int) -> int:
    """Go on with a task of another kind."""
    return continue_with(Task("other", bodies.increment)(n))


def hands_over_to_later(n: int) -> Any:
    """Go on with an async task."""
    return continue_with(Task("other", scale_later)(n))


async def later_hands_over(n: int) -> int:
    """From an async task, go on with a plain one."""
    return continue_with(Task("other", bodies.increment)(n))


def goes_on_behind_another(n: int) -> int:
    """Go on with a task that reads the result of another one."""
    first = Task("first", bodies.increment)(n)
    return continue_with(Task("second", scale)(first.out, by=100))


def goes_on_with_a_workflow(n: int) -> int:
    """Go on with a workflow that takes inputs."""
    from graflow.core.placeholder import inputs
    from graflow.core.workflow import Workflow
    from graflow.testing._models import Order

    source = inputs(Order)
    sizes = Task("sizes", bodies.total)
    builder = Workflow.builder("inner", inputs=Order).add(sizes, source.sizes)
    inner = builder.then(Task("more", bodies.increment)).build()
    return continue_with(inner.as_task("inner")(Order(name="n", sizes=(n, n))))


def goes_on_shakily(book: Notebook, n: int) -> str:
    """Go on with a task that has attempts of its own."""
    from graflow.core.policy import Exponential, Retry

    return continue_with(Task("shaky", shaky, retry=Retry(3, Exponential(0.001)))(book, n))


def shaky(book: Notebook, n: int) -> str:
    """Fail twice."""
    attempt = current().attempt
    book.note(f"shaky {n}: {attempt}")
    if attempt < n:
        raise bodies.Busy(attempt)
    return f"attempt {attempt}"


def goes_on_too_slowly(book: Notebook) -> str:
    """Go on with a task that may not take long, and does."""
    return continue_with(Task("slow", bodies.until_told, timeout=0.05)(book, "slow"))


def goes_on_for_ever(n: int = 0) -> int:
    """Never end."""
    return continue_with(Task("on", goes_on_for_ever)(n + 1))


def goes_on_to_fail() -> int:
    """Go on with a task that fails."""
    return continue_with(Task("bad", bodies.fail)("no luck in the second turn"))


def goes_on_when_told(book: Notebook) -> str:
    """Come in, stay until somebody opens, and go on."""
    bodies.door(book, "door")
    return continue_with(Task("second", bodies.noted)(book, "second turn"))


def goes_on_to_mend(book: Notebook, n: int) -> int:
    """Take some turns, of which the last fails until somebody mends it."""
    book.note(f"turn {n}")
    if n:
        return continue_with(Task("turn", goes_on_to_mend)(book, n - 1))
    return int(bodies.fail_unless(book, "mended", 7))


def stops(value: Any) -> Any:
    """End the run."""
    return stop_run(value)


async def stops_later(value: Any) -> Any:
    """End the run from an async task."""
    return stop_run(value)


def stops_behind(book: Notebook, mark: str, value: Any) -> Any:
    """End the run once somebody is there."""
    book.wait(mark)
    return stop_run(value)


def stops_at(item: int, at: int) -> int:
    """End the run at one of the items."""
    return stop_run(item * 100) if item == at else item


def calls_off(reason: str) -> NoReturn:
    """Cancel the run."""
    raise CancelRun(reason)


def calls_off_behind(book: Notebook, mark: str, reason: str) -> NoReturn:
    """Cancel the run once somebody is there."""
    book.wait(mark)
    raise CancelRun(reason)


def calls_off_at(item: int, at: int) -> int:
    """Cancel the run at one of the items."""
    if item == at:
        raise CancelRun(f"item {item} is enough")
    return item


# ── rules ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Majority:
    """More than half have to succeed."""

    def decide(self, standing: Standing) -> bool | None:
        """Not known as long as those that have not ended could change it."""
        half = len(standing.members) / 2
        if len(standing.succeeded) > half:
            return True
        return False if len(standing.lost) >= half else None


@dataclass(frozen=True)
class Undecided:
    """Cannot make up its mind."""

    def decide(self, standing: Standing) -> bool | None:
        """Not known, whatever happens."""
        return None


@dataclass(frozen=True)
class Raises:
    """Breaks at the first end of a member."""

    def decide(self, standing: Standing) -> bool | None:
        """No answer."""
        if standing.succeeded or standing.lost:
            raise LookupError("no such rule")
        return None


@dataclass(frozen=True)
class Mumbles:
    """Gives something else than an answer."""

    def decide(self, standing: Standing) -> Any:
        """No answer."""
        return "perhaps" if standing.succeeded else None


# ── channels ────────────────────────────────────────────────────────────────────────────────────────────────────────


def counts(times: int) -> int:
    """Add to what all others add to."""
    for _ in range(times):
        FOUND.update(bodies.increment)
    return times


async def counts_later(times: int) -> int:
    """The same in an async task."""
    return counts(times)


def names() -> Channel[list[str]]:
    """A channel whose values pydantic checks."""
    return Channel("names", list[str], default=[])


def writes_name(name: str) -> list[str]:
    """Add a name to those of the others."""
    return names().update(lambda known: [*known, name])


def sets_found(value: int) -> int:
    """Leave a value, whatever was there."""
    FOUND.set(value)
    return FOUND.get()


def counts_and_waits(book: Notebook, name: str) -> str:
    """Leave something to be read while the run lasts."""
    FOUND.set(5)
    return bodies.door(book, name)


def sets_wrongly() -> None:
    """Leave something of another type."""
    value: Any = "five"
    FOUND.set(value)


def three_outcomes(a: Outcome[Any], b: Outcome[Any], c: Outcome[Any]) -> list[Any]:
    """What three tasks gave."""
    return [one.value for one in (a, b, c) if isinstance(one, Ok)]


def waits(book: Notebook, mark: str) -> str:
    """Wait until somebody is there."""
    book.wait(mark)
    return mark
