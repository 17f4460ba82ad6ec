"""Runs as traces: which spans there are, how they hang together, and that they cost nothing where nobody asked."""

import asyncio
import logging
import os
import subprocess
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from types import SimpleNamespace

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from graflow.engine import tracing as module
from graflow.engine.tracing import Tracing, attach, tracer

AT = 1_700_000_000.5


class Traced:
    """A program that has a tracer, and what it traced."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.shop = self.provider.get_tracer("shop")

    def __call__(self) -> dict[str, list[ReadableSpan]]:
        """The spans by name, in the order they ended."""
        found: dict[str, list[ReadableSpan]] = {}
        for span in self._exporter.get_finished_spans():
            found.setdefault(span.name, []).append(span)
        return found


@pytest.fixture
def spans() -> Traced:
    return Traced()


@pytest.fixture
def tracing(spans: Traced) -> Tracing:
    return Tracing(spans.provider.get_tracer("graflow"))


def current_span() -> int:
    """The id of the span that is current here; 0 if there is none."""
    return trace.get_current_span().get_span_context().span_id


def ids(span: ReadableSpan) -> tuple[int, int]:
    """A span's own id, and that of the one it is a part of; 0 if that is none."""
    assert span.context is not None
    return span.context.span_id, span.parent.span_id if span.parent is not None else 0


# ── the tracer ──────────────────────────────────────────────────────────────────────────────────────────────────────


def output_of(script: str, **environment: str) -> str:
    """What a program of its own prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")} | environment
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


CONFIGURE = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
"""
ASK = (
    "import sys\nfrom graflow.engine.tracing import tracer\nprint(tracer() is not None, 'opentelemetry' in sys.modules)"
)


@pytest.mark.parametrize(
    ("program", "environment", "printed"),
    [
        ("", {}, "False False\n"),
        ("from opentelemetry import trace\n", {}, "False True\n"),
        (
            "from opentelemetry import trace\ntrace.set_tracer_provider(trace.NoOpTracerProvider())\n",
            {},
            "False True\n",
        ),
        (CONFIGURE, {}, "True True\n"),
        (CONFIGURE, {"OTEL_SDK_DISABLED": "true"}, "False True\n"),
    ],
    ids=["no import", "no provider", "one that does nothing", "configured", "switched off"],
)
def test_runs_are_traced_where_the_program_has_a_tracer(
    program: str, environment: dict[str, str], printed: str
) -> None:
    assert output_of(program + ASK, **environment) == printed


def test_attaching_nothing_imports_nothing() -> None:
    script = """
import sys
from graflow.engine.tracing import attach
for carrier in (None, {}):
    with attach(carrier):
        pass
print('opentelemetry' in sys.modules)
"""
    assert output_of(script) == "False\n"


def test_it_asks_the_provider_that_is_set_when_a_run_begins(spans: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: spans.provider)
    assert isinstance(tracer(), Tracing)
    monkeypatch.setattr(trace, "get_tracer_provider", trace.NoOpTracerProvider)
    assert tracer() is None


# ── spans ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_has_tasks_and_these_have_attempts(tracing: Tracing, spans: Traced) -> None:
    with spans.shop.start_as_current_span("request"):
        run = tracing.run("sums", "r1", AT)
    first = tracing.attempt(run, "load", 1, AT + 1, worker="thread-1")
    tracing.end(first, OSError("no disk"), at=AT + 2, again=True)
    second = tracing.attempt(run, "load", 2, AT + 3, worker="thread-2")
    tracing.end(second, attributes={"graflow.cached": True}, at=AT + 4)
    only = tracing.attempt(run, "total", 1, AT + 5)
    tracing.end(only, at=AT + 6)
    tracing.end(run, attributes={"graflow.state": "succeeded"}, at=AT + 7)

    found = spans()
    (request,), (whole,), (load,), (total,) = (
        found[name] for name in ("request", "run sums", "task load", "task total")
    )
    attempts = found["attempt load"]
    assert ids(whole)[1] == ids(request)[0]
    assert ids(load)[1] == ids(total)[1] == ids(whole)[0]
    assert [ids(one)[1] for one in attempts] == [ids(load)[0]] * 2
    assert ids(found["attempt total"][0])[1] == ids(total)[0]
    assert len({one.context.trace_id for all in found.values() for one in all}) == 1

    assert dict(whole.attributes or {}) == {
        "graflow.run": "r1",
        "graflow.workflow": "sums",
        "graflow.state": "succeeded",
    }
    assert dict(load.attributes or {}) == {"graflow.run": "r1", "graflow.task": "load"}
    assert [dict(one.attributes or {}) for one in attempts] == [
        {"graflow.run": "r1", "graflow.task": "load", "graflow.attempt": 1, "graflow.worker": "thread-1"},
        {
            "graflow.run": "r1",
            "graflow.task": "load",
            "graflow.attempt": 2,
            "graflow.worker": "thread-2",
            "graflow.cached": True,
        },
    ]

    def seconds(span: ReadableSpan) -> tuple[float, float]:
        assert span.start_time is not None
        assert span.end_time is not None
        return span.start_time / 1e9 - AT, span.end_time / 1e9 - AT

    assert [seconds(one) for one in (whole, load, *attempts, total)] == [(0, 7), (1, 4), (1, 2), (3, 4), (5, 6)]


def test_a_failure_is_recorded_once_and_marks_task_and_run(tracing: Tracing, spans: Traced) -> None:
    run = tracing.run("sums", "r1")
    attempt = tracing.attempt(run, "load", 1)
    tracing.end(attempt, ValueError("no such row"), at=AT)
    tracing.end(run, RuntimeError("task 'load' failed"))
    found = {name: one for name, (one,) in spans().items()}
    assert {name: (one.status.status_code, one.status.description) for name, one in found.items()} == {
        "attempt load": (StatusCode.ERROR, "ValueError: no such row"),
        "task load": (StatusCode.ERROR, "ValueError: no such row"),
        "run sums": (StatusCode.ERROR, "RuntimeError: task 'load' failed"),
    }
    (event,) = found["attempt load"].events
    assert (event.name, event.timestamp) == ("exception", AT * 1e9)
    assert (event.attributes or {})["exception.message"] == "no such row"
    assert found["task load"].events == ()


def test_a_failure_that_is_tried_again_marks_the_attempt_alone(tracing: Tracing, spans: Traced) -> None:
    run = tracing.run("sums", "r1")
    tracing.end(tracing.attempt(run, "load", 1), ValueError("no such row"), again=True)
    assert "task load" not in spans()
    tracing.end(tracing.attempt(run, "load", 2))
    tracing.end(run)
    assert {one.status.status_code for one in (*spans()["task load"], *spans()["run sums"])} == {StatusCode.UNSET}


def test_a_task_that_waits_for_another_attempt_ends_with_its_run(tracing: Tracing, spans: Traced) -> None:
    run = tracing.run("sums", "r1")
    tracing.end(tracing.attempt(run, "load", 1), ValueError("no such row"), again=True)
    tracing.end(run, at=AT)
    (load,) = spans()["task load"]
    assert load.end_time == AT * 1e9


def test_an_attempt_that_ends_after_its_task_ends_alone(
    tracing: Tracing, spans: Traced, caplog: pytest.LogCaptureFixture
) -> None:
    run = tracing.run("sums", "r1")
    late = tracing.attempt(run, "load", 1)
    tracing.end(tracing.attempt(run, "load", 2))
    tracing.end(run)
    tracing.end(late)
    assert [len(spans()[name]) for name in ("attempt load", "task load", "run sums")] == [2, 1, 1]
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


def test_an_exception_that_cannot_say_what_it_is_is_recorded_all_the_same(tracing: Tracing, spans: Traced) -> None:
    class Silent(ValueError):
        def __str__(self) -> str:
            raise OSError("no text")

    tracing.end(tracing.attempt(tracing.run("sums", "r1"), "load", 1), Silent())
    (attempt,) = spans()["attempt load"]
    assert attempt.status.description == "Silent: (its __str__ raised OSError)"
    (event,) = attempt.events
    assert dict(event.attributes or {}) == {
        "exception.type": "Silent",
        "exception.message": "(its __str__ raised OSError)",
    }


# ── the body's context ──────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_body_traces_is_part_of_its_attempt(tracing: Tracing, spans: Traced) -> None:
    attempt = tracing.attempt(tracing.run("sums", "r1"), "load", 1)

    def body() -> None:
        with attempt.context(), spans.shop.start_as_current_span("query"):
            pass
        assert current_span() == 0

    thread = threading.Thread(target=copy_context().run, args=(body,))
    thread.start()
    thread.join()
    tracing.end(attempt)
    (query,), (load,) = spans()["query"], spans()["attempt load"]
    assert ids(query)[1] == ids(load)[0]
    assert current_span() == 0


def test_async_bodies_side_by_side_have_a_context_each(tracing: Tracing) -> None:
    run = tracing.run("sums", "r1")

    async def body(task: str, here: asyncio.Event, there: asyncio.Event) -> bool:
        attempt = tracing.attempt(run, task, 1)
        with attempt.context():
            here.set()
            await there.wait()
            return current_span() == attempt.span.get_span_context().span_id

    async def both() -> list[bool]:
        one, two = asyncio.Event(), asyncio.Event()
        return list(await asyncio.gather(body("one", one, two), body("two", two, one)))

    assert asyncio.run(both()) == [True, True]


def test_baggage_of_the_caller_reaches_the_body(tracing: Tracing) -> None:
    token = context.attach(baggage.set_baggage("shop", "7"))
    run = tracing.run("sums", "r1")
    context.detach(token)
    with tracing.attempt(run, "load", 1).context():
        assert baggage.get_baggage("shop") == "7"
    assert baggage.get_baggage("shop") is None


def test_the_context_leaves_no_frame_in_a_traceback(tracing: Tracing) -> None:
    attempt = tracing.attempt(tracing.run("sums", "r1"), "load", 1)
    depths = []
    managers: list[AbstractContextManager[None]] = [nullcontext(), attempt.context()]
    for manager in managers:
        try:
            with manager:
                raise ValueError("no such row")
        except ValueError as error:
            frame, depth = error.__traceback__, 0
            while frame is not None:
                frame, depth = frame.tb_next, depth + 1
            depths.append(depth)
    assert depths == [1, 1]


# ── other processes ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_carrier_takes_the_attempt_to_another_process(tracing: Tracing) -> None:
    token = context.attach(baggage.set_baggage("shop", "7"))
    attempt = tracing.attempt(tracing.run("sums", "r1"), "load", 1)
    context.detach(token)
    carrier = tracing.carrier(attempt)
    own = attempt.span.get_span_context()
    assert carrier == {
        "traceparent": f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}",
        "baggage": "shop=7",
    }
    script = f"""
from opentelemetry import baggage, trace
from graflow.engine.tracing import attach
with attach({carrier!r}):
    here = trace.get_current_span().get_span_context()
    print(here.trace_id, here.span_id, here.is_remote, baggage.get_baggage("shop"))
print(trace.get_current_span().get_span_context().is_valid)
"""
    assert output_of(script) == f"{own.trace_id} {own.span_id} True 7\nFalse\n"


def test_a_carrier_does_not_depend_on_how_the_program_speaks_to_others(
    tracing: Tracing, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = SimpleNamespace(inject=lambda *a, **k: None, extract=lambda *a, **k: context.Context())
    monkeypatch.setattr(propagate, "propagator", nothing)
    attempt = tracing.attempt(tracing.run("sums", "r1"), "load", 1)
    with attach(tracing.carrier(attempt)):
        assert current_span() == attempt.span.get_span_context().span_id


def test_a_carrier_that_is_damaged_is_as_none() -> None:
    with attach({"traceparent": "00-nothing-01"}):
        assert current_span() == 0


def test_the_module_draws_the_spans_it_makes(tracing: Tracing, spans: Traced) -> None:
    run = tracing.run("sums", "r1")
    for task in ("load", "total"):
        tracing.end(tracing.attempt(run, task, 1))
    tracing.end(run)
    drawn = {line.strip("│├└─ ").split("  ")[0] for line in (module.__doc__ or "").splitlines() if "─" in line}
    assert drawn | {"run sums"} == set(spans())
