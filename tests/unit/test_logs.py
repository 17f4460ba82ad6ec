"""What becomes of the lines that bodies log."""

import logging
import pickle
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from graflow.core._attempt import ATTEMPT, current
from graflow.engine.logs import MOST_CHARACTERS, MOST_LINES, LogLine, LogLines, install, line_of


class FakeAttempt:
    """An attempt that keeps its lines."""

    run, workflow, task, number, cancelled = "r1", "sums", "load", 1, False

    def __init__(self) -> None:
        self.lines = LogLines()

    def knows(self, id: str) -> bool:
        return id == self.task

    def result_of(self, id: str) -> Any:
        raise AssertionError(id)

    def report(self, done: float, total: float | None) -> None:
        raise AssertionError(done)

    def note(self, record: logging.LogRecord) -> None:
        self.lines.note(record)

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self.lines.lines]


@pytest.fixture
def attempt() -> Iterator[FakeAttempt]:
    """The attempt that runs the test, in a program that keeps lines."""
    factory = logging.getLogRecordFactory()
    install()
    made = FakeAttempt()
    token = ATTEMPT.set(made)
    yield made
    ATTEMPT.reset(token)
    logging.setLogRecordFactory(factory)


def no_handler(_: logging.LogRecord) -> bool:
    return False


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger of the user that makes records from INFO on, and hands them to no handler."""
    logger = logging.getLogger("shop.rows")
    logger.setLevel(logging.INFO)
    logger.addFilter(no_handler)
    yield logger
    logger.removeFilter(no_handler)
    logger.setLevel(logging.NOTSET)


def record(msg: object = "text", *args: object, **more: Any) -> logging.LogRecord:
    """A record as a logger makes it."""
    return logging.LogRecord("shop", logging.INFO, "shop.py", 1, msg, args, more.pop("exc_info", None), **more)


class Refuses:
    """Something that cannot be made text."""

    def __str__(self) -> str:
        raise OSError("no text")


# ── the hook ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_body_s_lines_are_kept_whoever_logs_them(attempt: FakeAttempt, log: logging.Logger) -> None:
    log.info("%d rows of %s", 3, "sales")
    log.debug("below the level")
    logging.getLogger("another").warning("careful")
    current().logger.info("mine")
    lines = attempt.lines.lines
    assert [line[1:] for line in lines] == [
        ("INFO", "shop.rows", "3 rows of sales"),
        ("WARNING", "another", "careful"),
        ("INFO", "graflow.task", "mine"),
    ]
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert attempt.lines.dropped == 0


def test_lines_from_outside_of_bodies_are_nobody_s(attempt: FakeAttempt, log: logging.Logger) -> None:
    token = ATTEMPT.set(None)
    log.info("outside")
    ATTEMPT.reset(token)
    assert attempt.texts == []


def test_a_thread_of_a_body_is_heard_through_its_logger(attempt: FakeAttempt, log: logging.Logger) -> None:
    mine = current().logger

    def body() -> None:
        log.info("nobody knows whose this is")
        mine.info("the attempt's")

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert attempt.texts == ["the attempt's"]


def test_installing_again_changes_nothing(attempt: FakeAttempt, log: logging.Logger) -> None:
    factory = logging.getLogRecordFactory()
    install()
    assert logging.getLogRecordFactory() is factory
    log.info("once")
    assert attempt.texts == ["once"]


def test_the_program_s_own_factory_goes_on_making_the_records(attempt: FakeAttempt, log: logging.Logger) -> None:
    class Tagged(logging.LogRecord):
        def getMessage(self) -> str:
            return f"[shop] {super().getMessage()}"

    logging.setLogRecordFactory(Tagged)
    install()
    log.info("rows")
    assert attempt.texts == ["[shop] rows"]


def test_a_factory_that_calls_the_hook_does_not_make_two_lines_of_one(
    attempt: FakeAttempt, log: logging.Logger
) -> None:
    inner = logging.getLogRecordFactory()
    calls = []

    def foreign(*args: Any, **kwargs: Any) -> logging.LogRecord:
        calls.append(args[0])
        return inner(*args, **kwargs)

    logging.setLogRecordFactory(foreign)
    log.info("under the foreign one")
    install()
    log.info("above it")
    assert calls == ["shop.rows", "shop.rows"]
    assert attempt.texts == ["under the foreign one", "above it"]


def test_a_factory_that_raises_does_so_as_without_us(attempt: FakeAttempt, log: logging.Logger) -> None:
    def broken(*args: Any, **kwargs: Any) -> logging.LogRecord:
        raise RuntimeError("no record today")

    whole = logging.getLogRecordFactory()
    logging.setLogRecordFactory(broken)
    install()
    with pytest.raises(RuntimeError, match="no record today"):
        log.info("rows")
    logging.setLogRecordFactory(whole)
    log.info("better")
    assert attempt.texts == ["better"]


def test_a_record_that_is_rebuilt_from_another_is_no_line(attempt: FakeAttempt) -> None:
    copied = logging.makeLogRecord({"name": "remote", "msg": "came over a socket"})
    assert copied.getMessage() == "came over a socket"
    assert attempt.texts == []


def test_what_logs_while_it_is_made_text_ends(attempt: FakeAttempt, log: logging.Logger) -> None:
    class Chatty:
        def __str__(self) -> str:
            log.info("asked for %s", self)
            return "chatty"

    log.info("%s", Chatty())
    assert attempt.texts == ["chatty"]


def test_handlers_and_levels_stay_as_they_are() -> None:
    # The handler of last resort speaks only where no handler is found; ours must not be one.
    script = """
import logging
from types import SimpleNamespace
from graflow.core._attempt import ATTEMPT
from graflow.engine.logs import LogLines, install
lines = LogLines()
install()
ATTEMPT.set(SimpleNamespace(note=lines.note))
log = logging.getLogger("shop")
log.info("quiet")
log.warning("loud")
print(logging.getLogger().handlers, log.level, [line.text for line in lines.lines])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("[] 0 ['loud']\n", "loud\n")


# ── records as text ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_line_is_the_record_as_it_was_logged(attempt: FakeAttempt, log: logging.Logger) -> None:
    rows = [1]
    log.info("rows: %s", rows)
    rows.append(2)
    assert attempt.texts == ["rows: [1]"]


def test_an_exception_comes_with_its_traceback(attempt: FakeAttempt, log: logging.Logger) -> None:
    def body() -> None:
        raise ValueError("no such row")

    try:
        body()
    except ValueError:
        log.exception("reading failed")
    (text,) = attempt.texts
    first, *frames, last = text.split("\n")
    assert (first, frames[0], last) == (
        "reading failed",
        "Traceback (most recent call last):",
        "ValueError: no such row",
    )
    assert any(frame.endswith("in body") for frame in frames)


def test_an_exception_that_is_none_adds_nothing() -> None:
    assert line_of(record("fine", exc_info=(None, None, None))).text == "fine"


def test_a_stack_is_part_of_the_line() -> None:
    assert line_of(record("here", sinfo="Stack (most recent call last):\n  ...")).text == (
        "here\nStack (most recent call last):\n  ..."
    )


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (record("%d rows", "three"), "%d rows (could not be formatted: TypeError: "),
        (record("one %s", 1, 2), "one %s (could not be formatted: TypeError: not all arguments converted"),
        (record("%s", Refuses()), "%s (could not be formatted: OSError: no text)"),
        (record(Refuses()), "<Refuses whose __str__ raised OSError> (could not be formatted: OSError: no text)"),
        (record("x", exc_info=(OSError, OSError(Refuses()), None)), "x\nOSError: <exception str() failed>"),
        (record(None), "None"),
        (record({"rows": 3}), "{'rows': 3}"),
        (record("half a character: \udc80"), "half a character: \\udc80"),
        (record("größer ✓"), "größer ✓"),
    ],
)
def test_whatever_a_record_holds_becomes_text(made: logging.LogRecord, text: str) -> None:
    line = line_of(made)
    assert line.text.startswith(text)
    assert [type(one) for one in line] == [float, str, str, str]
    with sqlite3.connect(":memory:") as connection:
        assert connection.execute("SELECT ?", (line.text,)).fetchone() == (line.text,)
    connection.close()


def test_an_exception_whose_notes_cannot_be_read_is_named_at_least() -> None:
    class Odd(ValueError):
        def __getattribute__(self, name: str) -> Any:
            if name == "__cause__":
                raise RuntimeError("no cause")
            return super().__getattribute__(name)

    assert line_of(record("x", exc_info=(Odd, Odd("y"), None))).text == "x\nOdd: y"


def test_a_subclass_of_str_does_not_travel() -> None:
    class Secret(str):
        def __str__(self) -> str:
            return self

        def __reduce__(self) -> Any:
            raise TypeError("stays here")

    line = line_of(record(Secret("text")))
    assert type(line.text) is str
    assert pickle.loads(pickle.dumps(line)) == line


@pytest.mark.parametrize("over", [0, 1, 90_000])
def test_a_long_line_is_cut_and_says_so(over: int) -> None:
    text = line_of(record("%s", "x" * (MOST_CHARACTERS + over))).text
    assert text == "x" * MOST_CHARACTERS + (f"... ({MOST_CHARACTERS + over:,} characters)" if over else "")


# ── the lines of an attempt ─────────────────────────────────────────────────────────────────────────────────────────


def test_an_attempt_keeps_the_first_lines_and_counts_the_others(attempt: FakeAttempt, log: logging.Logger) -> None:
    for number in range(MOST_LINES + 1234):
        log.info("line %d", number)
    *kept, last = attempt.lines.lines
    assert [line.text for line in kept] == [f"line {number}" for number in range(MOST_LINES)]
    assert last[1:] == ("WARNING", "graflow", "1,234 more lines were not kept: an attempt keeps the first 1,000")
    assert last.at >= kept[-1].at
    assert attempt.lines.dropped == 1234


def test_what_is_not_kept_is_not_made_text(attempt: FakeAttempt, log: logging.Logger) -> None:
    asked = []

    class Counts:
        def __str__(self) -> str:
            asked.append(self)
            return "x"

    attempt.lines = LogLines(most=2)
    for _ in range(5):
        log.info("%s", Counts())
    assert len(asked) == 2
    assert attempt.lines.dropped == 3


def test_lines_of_another_process_are_kept_under_the_same_rule() -> None:
    lines = LogLines(most=2)
    for number in range(3):
        lines.keep(LogLine(float(number), "INFO", "shop", f"line {number}"))
    lines.drop(4)
    assert lines.lines == [
        LogLine(0.0, "INFO", "shop", "line 0"),
        LogLine(1.0, "INFO", "shop", "line 1"),
        LogLine(2.0, "WARNING", "graflow", "5 more lines were not kept: an attempt keeps the first 2"),
    ]


def test_threads_together_keep_no_more_than_one_alone() -> None:
    lines = LogLines(most=50)
    start = threading.Barrier(4)

    def body() -> None:
        start.wait()
        for number in range(50):
            lines.note(record("line %d", number))

    threads = [threading.Thread(target=body) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines.lines) == 51
    assert lines.dropped == 150


def test_a_line_that_a_signal_logs_meanwhile_does_not_wait_for_itself() -> None:
    lines = LogLines()
    with lines._guard:
        lines.note(record("from the handler"))
    assert [line.text for line in lines.lines] == ["from the handler"]
