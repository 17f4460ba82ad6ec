"""What a task's body learns from `current()`, and what its attempt hears."""

import asyncio
import logging
import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import FrozenInstanceError
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from graflow.core._attempt import ATTEMPT, current
from graflow.errors import ConfigurationError


class FakeAttempt:
    """An attempt that remembers what it heard."""

    def __init__(self, run: str = "r1", task: str = "clean/strip", number: int = 1) -> None:
        self.run = run
        self.workflow = "sums"
        self.task = task
        self.number = number
        self.cancelled = False
        self.reports: list[tuple[float, float | None]] = []
        self.records: list[logging.LogRecord] = []

    def knows(self, id: str) -> bool:
        return id == self.task

    def result_of(self, id: str) -> Any:
        raise AssertionError(id)

    def report(self, done: float, total: float | None) -> None:
        self.reports.append((done, total))

    def note(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def attempt() -> Iterator[FakeAttempt]:
    """The attempt that runs the test."""
    made = FakeAttempt()
    token = ATTEMPT.set(made)
    yield made
    ATTEMPT.reset(token)


@pytest.fixture
def task_logger() -> Iterator[logging.Logger]:
    """The logger of tasks as no program has touched it, without the handlers of the test runner."""
    root, graflow, logger = logging.getLogger(), logging.getLogger("graflow"), logging.getLogger("graflow.task")
    before = [(one, one.level, one.handlers[:]) for one in (root, graflow, logger)]
    root.setLevel(logging.WARNING)
    for one in (graflow, logger):
        one.setLevel(logging.NOTSET)
    for one, _, handlers in before:
        for handler in handlers:
            one.removeHandler(handler)
    yield logger
    for one, level, handlers in before:
        one.setLevel(level)
        one.handlers[:] = handlers


class Keeper(logging.Handler):
    """A handler of the user."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def in_a_thread(body: Callable[[], Any]) -> Any:
    """What the function gives or raises in a thread of its own."""
    ends: list[Any] = []

    def run() -> None:
        try:
            ends.append(body())
        except Exception as error:
            ends.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return ends[0]


NOWHERE = (
    "current() was called where no task runs; call it in a function that a runner runs as a task, and hand what it "
    "gives to the threads that the function starts, which do not inherit it"
)


# ── where ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_says_where_the_body_runs(attempt: FakeAttempt) -> None:
    here = current()
    assert (here.run, here.workflow, here.task, here.attempt) == ("r1", "sums", "clean/strip", 1)
    assert repr(here) == "Current(run='r1', workflow='sums', task='clean/strip', attempt=1)"
    assert here == current()


def test_it_is_frozen(attempt: FakeAttempt) -> None:
    with pytest.raises(FrozenInstanceError):
        current().task = "other"  # type: ignore[misc]
    with pytest.raises((TypeError, AttributeError)):
        vars(current())


def test_the_key_outlasts_the_attempt(attempt: FakeAttempt) -> None:
    first = current()
    attempt.number = 2
    second = current()
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.key == second.key == "r1/clean/strip"


def test_outside_of_a_body_it_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError) as caught:
        current()
    assert str(caught.value) == NOWHERE


def test_a_thread_of_the_body_gets_no_context_but_what_it_is_handed(attempt: FakeAttempt) -> None:
    assert str(in_a_thread(lambda: copy_context().get(ATTEMPT) or current())) == NOWHERE
    here = current()
    assert in_a_thread(lambda: here.key) == "r1/clean/strip"
    assert in_a_thread(lambda: here.progress(1)) is None
    assert attempt.reports == [(1.0, None)]


def test_async_bodies_and_their_threads_have_it(attempt: FakeAttempt) -> None:
    async def body() -> list[int]:
        attempt.number = 7
        return [
            current().attempt,
            await asyncio.create_task(inner()),
            await asyncio.to_thread(lambda: current().attempt),
        ]

    async def inner() -> int:
        return current().attempt

    assert asyncio.run(body()) == [7, 7, 7]


# ── cancelled ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_cancelled_is_looked_up_each_time(attempt: FakeAttempt) -> None:
    here = current()
    assert not here.cancelled
    attempt.cancelled = True
    assert here.cancelled


@pytest.mark.parametrize("change", [{"task": "other"}, {"number": 2}, {"run": "r2"}], ids=str)
def test_what_outlives_its_attempt_is_cancelled_and_speaks_for_no_other(
    attempt: FakeAttempt, change: dict[str, Any], task_logger: logging.Logger
) -> None:
    here, log = current(), current().logger
    vars(attempt).update(change)  # a worker uses one object for all its attempts in turn
    here.progress(5, 10)
    log.info("late")
    assert here.cancelled
    assert attempt.reports == []
    assert not current().cancelled


# ── progress ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ((3,), (3.0, None)),
        ((3, 10), (3.0, 10.0)),
        ((0, 0), (0.0, 0.0)),
        ((11, 10), (11.0, 10.0)),
        ((0.5, 1), (0.5, 1.0)),
        ((np.int64(3), np.float32(4)), (3.0, 4.0)),
        ((Decimal("1.5"), Fraction(1, 2)), (1.5, 0.5)),
        ((True, None), (1.0, None)),
    ],
)
def test_progress_reaches_the_attempt_as_it_is(
    attempt: FakeAttempt, said: tuple[Any, ...], heard: tuple[float, float | None]
) -> None:
    current().progress(*said)
    assert attempt.reports == [heard]
    assert [type(one) for one in attempt.reports[0] if one is not None] == [float] * sum(
        one is not None for one in heard
    )


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ((math.nan,), "progress(nan, None): done must be a finite number of at least 0"),
        ((math.inf, 3), "progress(inf, 3): done must be a finite number of at least 0"),
        ((-1, 3), "progress(-1, 3): done must be a finite number of at least 0"),
        ((1, -3), "progress(1, -3): total must be a finite number of at least 0"),
        ((1, math.nan), "progress(1, nan): total must be a finite number of at least 0"),
        (("1", 3), "progress('1', 3): done must be a finite number of at least 0"),
        ((b"1", 3), "progress(b'1', 3): done must be a finite number of at least 0"),
        ((None, 3), "progress(None, 3): done must be a finite number of at least 0"),
        ((1, [3]), "progress(1, [3]): total must be a finite number of at least 0"),
        ((1, Decimal("sNaN")), "progress(1, Decimal('sNaN')): total must be a finite number of at least 0"),
    ],
)
def test_progress_refuses_what_is_no_amount(attempt: FakeAttempt, said: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        current().progress(*said)
    assert str(caught.value) == f"task 'clean/strip': {words}"
    assert attempt.reports == []


def test_progress_refuses_a_number_too_large_for_a_float(attempt: FakeAttempt) -> None:
    with pytest.raises(ConfigurationError, match="done must be a finite number"):
        current().progress(10**400)


# ── logger ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_its_records_say_where_they_come_from(attempt: FakeAttempt, task_logger: logging.Logger) -> None:
    keeper = Keeper()
    logging.getLogger().addHandler(keeper)
    attempt.number = 2
    current().logger.info("%d rows", 3, extra={"table": "sales", "graflow_run": "another"})
    (record,) = keeper.records
    assert (record.name, record.levelname, record.getMessage()) == ("graflow.task", "INFO", "3 rows")
    found = vars(record)
    assert [found[f"graflow_{key}"] for key in ("run", "task", "attempt")] == ["r1", "clean/strip", 2]
    assert found["table"] == "sales"


def test_its_records_name_the_line_that_logged(attempt: FakeAttempt, task_logger: logging.Logger) -> None:
    keeper = Keeper()
    logging.getLogger().addHandler(keeper)
    log = current().logger

    def helper() -> None:
        log.warning("one up", stacklevel=2)

    log.info("here")
    log.log(logging.ERROR, "here")
    helper()
    try:
        raise ValueError("no such row")
    except ValueError:
        log.exception("here")
    assert {(record.filename, record.funcName) for record in keeper.records} == {
        ("test_current.py", "test_its_records_name_the_line_that_logged")
    }
    *_, last = keeper.records
    assert last.exc_info is not None
    assert repr(last.exc_info[1]) == "ValueError('no such row')"


@pytest.mark.parametrize(
    ("levels", "lets_through"),
    [
        ({}, "INFO"),
        ({"": "DEBUG"}, "DEBUG"),
        ({"": "ERROR"}, "INFO"),
        ({"graflow": "ERROR"}, "ERROR"),
        ({"graflow.task": "WARNING"}, "WARNING"),
        ({"graflow.task": "DEBUG"}, "DEBUG"),
    ],
)
def test_info_is_let_through_unless_the_program_chose(
    attempt: FakeAttempt, task_logger: logging.Logger, levels: dict[str, str], lets_through: str
) -> None:
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    assert logging.getLevelName(current().logger.getEffectiveLevel()) == lets_through


def output_of(script: str) -> tuple[str, str]:
    """What a program of its own prints, to its two streams."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout, done.stderr


def test_without_handlers_only_warnings_are_printed() -> None:
    # In a program of its own, because the test runner has handlers.
    script = """
from types import SimpleNamespace
from graflow.core._attempt import ATTEMPT, current
ATTEMPT.set(SimpleNamespace(run="r1", workflow="sums", task="load", number=1))
log = current().logger
log.info("quiet")
log.warning("loud")
print(log.isEnabledFor(20), log.isEnabledFor(10))
"""
    assert output_of(script) == ("True False\n", "loud\n")


def test_in_a_thread_of_the_body_it_still_speaks_for_the_attempt(
    attempt: FakeAttempt, task_logger: logging.Logger
) -> None:
    speakers: list[Any] = []

    def listen(_: logging.LogRecord) -> bool:
        speakers.append(ATTEMPT.get())
        return True

    def body() -> None:
        log.warning("from a thread")
        speakers.append(ATTEMPT.get())

    log = current().logger
    task_logger.addFilter(listen)
    try:
        in_a_thread(body)
        attempt.number = 2
        log.warning("late")
    finally:
        task_logger.removeFilter(listen)
    assert speakers == [attempt, None, None]


def test_importing_graflow_does_not_load_logging() -> None:
    script = (
        "import sys, graflow\nfrom graflow.core._attempt import current\n"
        "print([one for one in ('logging', 'opentelemetry') if one in sys.modules])"
    )
    assert output_of(script) == ("[]\n", "")
