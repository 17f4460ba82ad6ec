"""Policies: what they accept, what they mean, and that they are values."""

import asyncio
import copy
import enum
import json
import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graflow import (
    Cache,
    ConfigurationError,
    Exponential,
    Limit,
    RemoteError,
    Retry,
    Task,
    WorkerLostError,
    Workflow,
    task,
)
from graflow.core._class_names import class_names
from graflow.core.policy import Policy, make_policy


class Odd(Exception):
    """Not of the standard library."""


def made(**fields: Any) -> Policy:
    policy = make_policy("t", fields)
    assert policy is not None
    return policy


VALUES: list[Any] = [
    Exponential(),
    Exponential(0.5, 3, timedelta(minutes=2), 0),
    Retry(3),
    Retry(3, Exponential(initial=0.1), ConnectionError),
    Retry(attempts=1, on=(OSError, Odd)),
    Cache(),
    Cache(timedelta(hours=1), "v2"),
    Limit("db", 4),
    made(max_continuations=5, max_items=7),
    made(retry=2, cache=True, limit=Limit("db", 1), priority=-3, timeout=1, queue="io", executor="threads"),
]


# --- spellings ---


def test_positions_and_names_mean_the_same() -> None:
    assert Retry(3) == Retry(attempts=3) == Retry(3, Exponential(), (Exception,)) == Retry(3, on=Exception)
    assert Limit("db", 4) == Limit(name="db", at_once=4)
    assert Cache(60) == Cache(ttl=60.0) == Cache(ttl=timedelta(minutes=1))
    assert Exponential(1, 2, 60, 0.1) == Exponential() == Exponential(maximum=timedelta(minutes=1))
    assert type(Exponential(1).initial) is float


def test_a_short_form_means_the_long_one() -> None:
    assert made(retry=3).retry == Retry(attempts=3)
    assert made(cache=True).cache == Cache()
    assert made(timeout=timedelta(seconds=3)).timeout == 3.0


@pytest.mark.parametrize("fields", [{}, {"cache": False}, {"retry": None}, {"priority": 0}, {"queue": "default"}])
def test_to_ask_for_the_defaults_is_to_ask_for_nothing(fields: dict[str, Any]) -> None:
    assert make_policy("t", fields) is None


def test_a_task_asks_for_nothing_by_itself() -> None:
    policy = Task("t", len).policy
    assert (policy.retry, policy.cache, policy.priority, policy.limit) == (None, None, 0, None)
    assert (policy.max_continuations, policy.max_items) == (None, None)


# --- refusals ---


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"retry": 0}, "retry.attempts=0: Input should be greater than or equal to 1"),
        ({"retry": True}, "retry=True: give a number of attempts, or a Retry(...)"),
        ({"retry": "3"}, "retry='3': give a number of attempts, or a Retry(...)"),
        ({"retry": {"tries": 3}}, "retry={'tries': 3}: 'tries' is unknown"),
        ({"retry": {}}, "retry={}: 'attempts' is missing"),
        ({"cache": 60}, "cache=60: give True, False, or a Cache(...)"),
        ({"limit": ("db", 4)}, "limit=('db', 4): give a Limit(name, at_once)"),
        ({"priority": True}, "priority=True: Input should be a valid integer"),
        ({"priority": 1.5}, "priority=1.5: Input should be a valid integer"),
        ({"timeout": -1}, "timeout=-1: Input should be greater than 0"),
        ({"timeout": timedelta(0)}, "timeout=datetime.timedelta(0): Input should be greater than 0"),
        ({"timeout": math.nan}, "timeout=nan: Input should be greater than 0"),
        ({"timeout": math.inf}, "timeout=inf: Input should be a finite number"),
        ({"timeout": True}, "timeout=True: Input should be a valid number"),
        ({"timeout": "3"}, "timeout='3': Input should be a valid number"),
        ({"queue": "a b"}, "queue='a b': String should match pattern '^[A-Za-z0-9_][A-Za-z0-9_.-]*$'"),
        (
            {"executor": "gpu", "retry": 0},
            (
                "executor='gpu': Input should be 'inline', 'threads' or 'processes'; "
                "retry.attempts=0: Input should be greater than or equal to 1"
            ),
        ),
        (
            {"retires": 3},
            (
                "there is no policy 'retires'; did you mean 'retry'? The others are executor, queue, timeout, cache, "
                "priority, limit, max_continuations, max_items"
            ),
        ),
        (
            {"colour": None},
            (
                "there is no policy 'colour', only executor, queue, timeout, retry, cache, priority, limit, "
                "max_continuations, max_items"
            ),
        ),
        (
            {"max_item": 3},
            (
                "there is no policy 'max_item'; did you mean 'max_items'? The others are executor, queue, timeout, "
                "retry, cache, priority, limit, max_continuations"
            ),
        ),
        ({"max_continuations": 0}, "max_continuations=0: Input should be greater than or equal to 1"),
        ({"max_continuations": "3"}, "max_continuations='3': Input should be a valid integer"),
        ({"max_items": True}, "max_items=True: Input should be a valid integer"),
        ({"max_items": math.inf}, "max_items=inf: Input should be a valid integer"),
    ],
    ids=str,
)
def test_an_impossible_policy_of_a_task(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_policy("t", fields)
    assert str(caught.value) == f"task 't': {message}"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Retry(0), "retry.attempts=0: Input should be greater than or equal to 1"),
        (lambda: Retry(2.0), "retry.attempts=2.0: Input should be a valid integer"),  # type: ignore[arg-type]
        (lambda: Retry(True), "retry.attempts=True: Input should be a valid integer"),
        (lambda: Retry(2, on=int), "retry.on=<class 'int'>: <class 'int'> is no exception class"),  # type: ignore[arg-type]
        (lambda: Retry(2, on=(OSError, "x")), "retry.on=(<class 'OSError'>, 'x'): 'x' is no exception class"),  # type: ignore[arg-type]
        (lambda: Retry(2, backoff=3), "retry.backoff=3: give an Exponential(...)"),  # type: ignore[arg-type]
        (lambda: Exponential(-1), "backoff.initial=-1: Input should be greater than or equal to 0"),
        (lambda: Exponential(maximum=math.inf), "backoff.maximum=inf: Input should be a finite number"),
        (lambda: Exponential(jitter=math.nan), "backoff.jitter=nan: Input should be less than or equal to 1"),
        (
            lambda: Exponential(factor=0.5, jitter=2),
            (
                "backoff.factor=0.5: Input should be greater than or equal to 1; "
                "backoff.jitter=2: Input should be less than or equal to 1"
            ),
        ),
        (lambda: Cache(0), "cache.ttl=0: Input should be greater than 0"),
        (lambda: Cache(timedelta(days=-1)), "cache.ttl=datetime.timedelta(days=-1): Input should be greater than 0"),
        (lambda: Cache(version=True), "cache.version=True: give a whole number or a text"),
        (lambda: Limit("", 1), "limit.name='': String should match pattern '^[A-Za-z0-9_][A-Za-z0-9_.-]*$'"),
        (lambda: Limit("db", 0), "limit.at_once=0: Input should be greater than or equal to 1"),
    ],
    ids=str,
)
def test_an_impossible_part_of_a_policy(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert str(caught.value) == message
    assert str(pickle.loads(pickle.dumps(caught.value))) == message


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_policy("t", {"queue": "x" * 100_000})
    assert len(str(caught.value)) < 200


# --- values ---


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_policy_is_a_value(value: Any) -> None:
    for same in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value), value.model_copy()):
        assert same == value
        assert hash(same) == hash(value)
        assert same.model_dump_json() == value.model_dump_json()
    assert [other for other in VALUES if other == value] == [value]
    name = next(iter(type(value).model_fields))
    with pytest.raises(ValueError, match="frozen"):
        setattr(value, name, getattr(value, name))


@pytest.mark.parametrize("value", [value for value in VALUES if type(value) is not Policy], ids=str)
def test_a_policy_reads_as_it_is_written(value: Any) -> None:
    names = {"Exponential": Exponential, "Retry": Retry, "Cache": Cache, "Limit": Limit, f"{__name__}.Odd": Odd}
    text = repr(value)
    assert str(value) == text
    assert eval(text.replace(f"{__name__}.Odd", "Odd"), {**names, "Odd": Odd}) == value


def test_the_words_of_a_policy() -> None:
    assert repr(Retry(3)) == "Retry(attempts=3)"
    retry = Retry(3, Exponential(initial=0.1), (OSError, ValueError))
    assert repr(retry) == "Retry(attempts=3, backoff=Exponential(initial=0.1), on=(OSError, ValueError))"
    assert repr(made(cache=True, timeout=3)) == "Policy(timeout=3.0, cache=Cache())"
    assert repr(made(max_items=3)) == "Policy(max_items=3)"
    assert repr(Policy()) == "Policy()"


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_policy_is_json(value: Any) -> None:
    assert json.loads(value.model_dump_json()) == json.loads(json.dumps(value.model_dump(mode="json")))


def test_exceptions_are_json_by_name() -> None:
    dumped = made(retry=Retry(2, on=(OSError, asyncio.CancelledError))).model_dump(mode="json", exclude_defaults=True)
    assert dumped == {"retry": {"attempts": 2, "on": ["builtins:OSError", "asyncio.exceptions:CancelledError"]}}
    assert made(retry=2, cache=True).model_dump_json(exclude_defaults=True) == '{"retry":{"attempts":2},"cache":{}}'


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_dumped_policy_can_be_made_again(value: Any) -> None:
    for dumped in (value.model_dump(), value.model_dump(exclude_unset=True), value.model_dump(exclude_defaults=True)):
        assert type(value).model_validate(dumped) == value


# --- on a task ---


def test_policies_add_up_on_a_task() -> None:
    retry = Retry(4, Exponential(initial=0.1), (Odd, OSError))
    t = Task("t", len, retry=retry).with_policy(timeout=3).with_policy(cache=Cache(60), limit=Limit("db", 2))
    assert t.policy == made(retry=retry, timeout=3, cache=Cache(60), limit=Limit("db", 2))
    assert t.with_policy(retry=None, cache=False).policy == made(timeout=3, limit=Limit("db", 2))
    assert t.with_policy(retry=None, cache=None, timeout=None, limit=None) == Task("t", t.fn)
    assert t.with_policy(retry=2).policy.retry == Retry(2)


def test_the_decorator_takes_every_policy() -> None:
    asked: dict[str, Any] = {
        "executor": "inline", "queue": "io", "timeout": 3, "retry": 2, "cache": True, "priority": 1,
        "limit": Limit("db", 2), "max_continuations": 5, "max_items": 7,
    }  # fmt: skip
    assert set(asked) == set(Policy.model_fields)
    assert task(**asked)(len).policy == made(**asked) == Task("len", len, **asked).policy
    for name, value in asked.items():
        assert task(**{name: value})(len).policy == made(**{name: value})


def test_policies_count_in_the_fingerprint_and_show_in_the_plan() -> None:
    t = Task("t", lambda: 1)
    plain, stubborn, again = (
        Workflow.of("w", one, returns=one) for one in (t, t.with_policy(retry=3), t.with_policy(retry=Retry(3)))
    )
    assert stubborn.fingerprint == again.fingerprint
    assert stubborn.fingerprint != plain.fingerprint
    assert json.loads(json.dumps(stubborn.compile().to_dict()))["tasks"][0]["policy"] == {"retry": {"attempts": 3}}


# --- which errors lead to another attempt ---


class Stop(enum.Enum):
    INTERRUPT = KeyboardInterrupt
    EXIT = SystemExit
    GENERATOR = GeneratorExit
    CANCELLED = asyncio.CancelledError


def far(error: BaseException) -> RemoteError:
    """The error as a process sees it that cannot rebuild it."""
    names = class_names(type(error))
    return RemoteError(names[0], str(error), names)


@pytest.mark.parametrize("seen", [lambda error: error, far], ids=["here", "far"])
@pytest.mark.parametrize(
    ("on", "error", "covered"),
    [
        (Exception, ValueError(), True),
        (Exception, Odd(), True),
        (Odd, Odd(), True),
        (Odd, ValueError(), False),
        (ConnectionError, ConnectionResetError(), True),
        (ConnectionResetError, ConnectionError(), False),
        ((ValueError, OSError), TimeoutError(), True),
        (Exception, WorkerLostError("died"), True),
        (BaseException, BaseExceptionGroup("several", [ValueError()]), True),
        *((Exception, stop.value(), False) for stop in Stop),
        *((BaseException, stop.value(), False) for stop in Stop),
        *((stop.value, stop.value(), True) for stop in Stop),
        ((BaseException, SystemExit), KeyboardInterrupt(), False),
    ],
    ids=repr,
)
def test_what_a_retry_covers(
    seen: Callable[[BaseException], BaseException], on: Any, error: BaseException, covered: bool
) -> None:
    assert Retry(2, on=on).covers(seen(error)) is covered


def test_an_error_of_another_process_can_be_named_itself() -> None:
    assert Retry(2, on=RemoteError).covers(far(Odd()))
    assert Retry(2).covers(RemoteError("lib.Odd", "whose classes are not known"))
    assert not Retry(2, on=OSError).covers(RemoteError("lib.Odd", "whose classes are not known"))


# --- backoff ---

SECONDS = st.floats(0, 1e12)
FACTORS = st.floats(1, 1e9)
ATTEMPTS = st.integers(1, 10_000)


@given(SECONDS, FACTORS, SECONDS, ATTEMPTS, st.text())
def test_waits_grow_up_to_the_maximum(initial: float, factor: float, maximum: float, attempt: int, key: str) -> None:
    backoff = Exponential(initial, factor, maximum, jitter=0)
    first, this, following = (backoff.delay(n, key) for n in (1, attempt, attempt + 1))
    assert first == min(initial, maximum)
    assert first <= this <= following <= maximum


@given(SECONDS, FACTORS, SECONDS, st.floats(0, 1), ATTEMPTS, st.text())
def test_jitter_takes_off_its_share_at_most(
    initial: float, factor: float, maximum: float, jitter: float, attempt: int, key: str
) -> None:
    full = Exponential(initial, factor, maximum, 0).delay(attempt, key)
    backoff = Exponential(initial, factor, maximum, jitter)
    delay = backoff.delay(attempt, key)
    assert full * (1 - jitter) <= delay <= full
    assert backoff.delay(attempt, key) == delay


def test_no_attempt_is_too_late() -> None:
    for backoff, delay in (
        (Exponential(jitter=0), 60.0),
        (Exponential(0, 10, jitter=0), 0.0),
        (Exponential(3, 1, jitter=0), 3.0),
        (Exponential(5e-324, 1e308, 1e308, jitter=0), 1e308),
    ):
        assert [backoff.delay(attempt, "k") for attempt in (10_000, 10**400)] == [delay, delay]


def test_tasks_that_failed_together_come_back_apart() -> None:
    backoff = Exponential(jitter=0.5)
    delays = {backoff.delay(1, f"run/t{k}") for k in range(100)}
    assert len(delays) == 100
    assert min(delays) < 0.6 < 0.9 < max(delays)


def test_every_process_waits_as_long() -> None:
    script = "from graflow import Exponential\nprint([Exponential().delay(n, 'run/\\u00e4') for n in (1, 2, 3)])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == [Exponential().delay(n, "run/ä") for n in (1, 2, 3)]
