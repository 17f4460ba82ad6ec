"""Runs as OpenTelemetry traces, for programs that have a tracer.

::

    run sums                             graflow.run, graflow.workflow
    ├── task load                        from its first attempt to its end; graflow.run, graflow.task
    │   ├── attempt load                 + graflow.attempt, graflow.worker
    │   └── attempt load
    └── task total
        └── attempt total

The program chooses and configures the tracer. Without one nothing here imports OpenTelemetry, and `tracer` gives None.
Runners hold a `Tracing` or None for each run, and ask no further.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graflow.engine.attempt import said

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import Span, Tracer


def tracer() -> Tracing | None:
    """How to trace a run that begins now; None if the program has configured no tracer."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    provider = trace.get_tracer_provider()
    if isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
        return None
    made = provider.get_tracer("graflow")
    return None if isinstance(made, trace.NoOpTracer) else Tracing(made)  # a provider that is switched off


class RunSpan:
    """The span of a run, and those of its tasks that have begun."""

    __slots__ = ("around", "id", "span", "tasks")

    def __init__(self, id: str, span: Span, around: Context) -> None:
        self.id = id
        self.span = span
        self.around = around
        self.tasks: dict[str, Span] = {}


class AttemptSpan:
    """The span of an attempt."""

    __slots__ = ("run", "span", "task")

    def __init__(self, run: RunSpan, task: str, span: Span) -> None:
        self.run = run
        self.task = task
        self.span = span

    def context(self) -> contextlib.AbstractContextManager[None]:
        """Have what the body traces belong to this attempt: to be entered where the body's context variables are."""
        return _Within(_holding(self.span, self.run))


class Tracing:
    """What happens in runs, told to the program's tracer. Its methods may be called from any thread.

    All times are seconds since the epoch; None is now.
    """

    __slots__ = ("_tracer",)

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def run(self, name: str, id: str, at: float | None = None) -> RunSpan:
        """A run begins, as a part of whatever the caller's context traces."""
        from opentelemetry.context import get_current

        around = get_current()
        facts = {"graflow.run": id, "graflow.workflow": name}
        return RunSpan(id, self._tracer.start_span(f"run {name}", around, attributes=facts, start_time=_ns(at)), around)

    def attempt(
        self, run: RunSpan, task: str, number: int, at: float | None = None, *, worker: str | None = None
    ) -> AttemptSpan:
        """An attempt begins, and its task with the first one."""
        facts: dict[str, str | int] = {"graflow.run": run.id, "graflow.task": task}
        start = _ns(at)
        whole = run.tasks.get(task)
        if whole is None:
            whole = self._tracer.start_span(f"task {task}", _holding(run.span, run), attributes=facts, start_time=start)
            run.tasks[task] = whole
        facts["graflow.attempt"] = number
        if worker is not None:
            facts["graflow.worker"] = worker
        span = self._tracer.start_span(f"attempt {task}", _holding(whole, run), attributes=facts, start_time=start)
        return AttemptSpan(run, task, span)

    def end(
        self,
        ended: RunSpan | AttemptSpan,
        error: BaseException | None = None,
        attributes: Mapping[str, str | int | float | bool] | None = None,
        *,
        at: float | None = None,
        again: bool = False,
    ) -> None:
        """A run or an attempt ended.

        Args:
            ended: which.
            error: what it ended with: recorded on its span, and the span's status.
            attributes: what else to say on its span.
            at: when.
            again: the task is to be tried again, so only the attempt ended.
        """
        spans = [ended.span]
        if isinstance(ended, RunSpan):
            # Tasks that waited for another attempt when the run was cancelled.
            for whole in list(ended.tasks.values()):
                whole.end(_ns(at))
            ended.tasks.clear()
        elif not again and (of_task := ended.run.tasks.pop(ended.task, None)) is not None:
            spans.append(of_task)
        ended.span.set_attributes(attributes or {})
        if error is not None:
            _record(ended.span, error, at)
        for span in spans:
            if error is not None:
                _blame(span, error)
            span.end(_ns(at))

    def carrier(self, attempt: AttemptSpan) -> dict[str, str]:
        """What `attach` needs in the process that runs the attempt: the headers of W3C Trace Context."""
        carrier: dict[str, str] = {}
        # The default setter is for every mapping, and a type checker asks for one of dicts.
        _propagator().inject(carrier, _holding(attempt.span, attempt.run))  # pyright: ignore[reportArgumentType]
        return carrier


def attach(carrier: Mapping[str, str] | None) -> contextlib.AbstractContextManager[None]:
    """In another process: have what the body traces belong to the attempt that the carrier comes from.

    Without a carrier this does nothing, and imports nothing.
    """
    return _Within(_propagator().extract(carrier)) if carrier else contextlib.nullcontext()


class _Within:
    """A trace's context made current. No generator: it would leave its frames in the traceback of a body."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._token: Any = None

    def __enter__(self) -> None:
        from opentelemetry.context import attach

        self._token = attach(self._context)

    def __exit__(self, *_: object) -> None:
        from opentelemetry.context import detach

        detach(self._token)


def _propagator() -> TextMapPropagator:
    """What writes and reads carriers.

    Not the program's own: that one speaks to the outside world, and the other process may not have configured it.
    """
    from opentelemetry.baggage.propagation import W3CBaggagePropagator
    from opentelemetry.propagators.composite import CompositePropagator
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])


def _holding(span: Span, run: RunSpan) -> Context:
    """What was current when the run began, with this span in it: baggage goes along."""
    from opentelemetry.trace import set_span_in_context

    return set_span_in_context(span, run.around)


def _record(span: Span, error: BaseException, at: float | None) -> None:
    try:
        span.record_exception(error, timestamp=_ns(at))
    except Exception:  # noqa: BLE001  # it asks the exception what it says, which may raise anything
        span.add_event("exception", {"exception.type": type(error).__name__, "exception.message": said(error)}, _ns(at))


def _blame(span: Span, error: BaseException) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {said(error)}"))


def _ns(at: float | None) -> int | None:
    return None if at is None else int(at * 1e9)
