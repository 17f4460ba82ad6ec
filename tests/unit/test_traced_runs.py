"""Runs as traces, with a tracer that keeps its spans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from graflow import Exponential, LocalRunner, Retry, Task, Workflow, current


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


def plain(n: int) -> int:
    with trace.get_tracer("mine").start_as_current_span(f"inside {current().task}"):
        return n + 1


async def awaited(n: int) -> int:
    with trace.get_tracer("mine").start_as_current_span("inside awaited"):
        return n + 1


def flaky(n: int) -> int:
    if current().attempt == 1:
        raise OSError("once")
    return n


def workflow() -> Workflow[None, Any]:
    first = Task("first", plain)
    second = Task("awaited", awaited)
    third = Task("flaky", flaky, retry=Retry(2, Exponential(initial=0)))
    return Workflow.builder("traced").add(first, 1).add(second, first.out).add(third, second.out).build(returns=third)


def parents(found: tuple[ReadableSpan, ...]) -> set[tuple[str, str | None]]:
    """Each span's name with the name of the one around it."""
    names = {span.context.span_id: span.name for span in found if span.context is not None}
    return {(span.name, names[span.parent.span_id] if span.parent is not None else None) for span in found}


@pytest.mark.parametrize("executor", ["inline", "threads"])
def test_spans_of_a_run(spans: InMemorySpanExporter, executor: Any) -> None:
    with trace.get_tracer("mine").start_as_current_span("request"):
        run = LocalRunner(executor).run(workflow())
    found = spans.get_finished_spans()
    assert parents(found) == {
        ("request", None),
        ("run traced", "request"),
        *((f"task {id}", "run traced") for id in ("first", "awaited", "flaky")),
        *((f"attempt {id}", f"task {id}") for id in ("first", "awaited", "flaky")),
        ("inside first", "attempt first"),
        ("inside awaited", "attempt awaited"),
    }
    attempts = [span for span in found if span.name == "attempt flaky"]
    assert [span.attributes and span.attributes["graflow.attempt"] for span in attempts] == [1, 2]
    assert [span.status.status_code for span in attempts] == [trace.StatusCode.ERROR, trace.StatusCode.UNSET]
    assert {span.attributes and span.attributes["graflow.run"] for span in found if "attempt" in span.name} == {run.id}
    assert all(span.end_time is not None and span.start_time is not None for span in found)


def carried(n: int) -> str:
    """In another process no tracer is configured; the trace goes along all the same."""
    return format(trace.get_current_span().get_span_context().trace_id, "032x")


def test_a_process_goes_on_with_the_trace(spans: InMemorySpanExporter) -> None:
    run = LocalRunner("processes").run(Workflow.builder("w").add(Task("carried", carried), 1).build())
    (span,) = [span for span in spans.get_finished_spans() if span.name == "run w"]
    assert span.context is not None
    assert run.value == format(span.context.trace_id, "032x")


def test_a_failed_run_says_so(spans: InMemorySpanExporter) -> None:
    def bad() -> None:
        raise ValueError("no")

    LocalRunner().run(Workflow.builder("w").add(Task("bad", bad)).build(), check=False)
    found = {span.name: span.status.status_code for span in spans.get_finished_spans()}
    assert found == dict.fromkeys(("run w", "task bad", "attempt bad"), trace.StatusCode.ERROR)


def test_without_a_tracer_nothing_is_traced() -> None:
    from graflow.engine.tracing import tracer

    assert tracer() is None
