"""What some bodies need besides being called: a look into the cache, copies of their inputs, a trace."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from graflow.engine.attempt import arguments
from graflow.engine.context import LocalAttempt
from graflow.engine.drive import Execution
from graflow.engine.payload import Unstorable, payload_of
from graflow.engine.rules import SUCCEEDED
from graflow.errors import SerializationError

if TYPE_CHECKING:
    from graflow.core.run import Origin
    from graflow.engine.cache import CacheKey
    from graflow.engine.tracing import AttemptSpan, RunSpan, Tracing
    from graflow.runners._cached import Cached


class Prepared:
    """One attempt that needs more than a call.

    Attributes:
        i: the task.
        args: what to call its function with.
        kwargs: what to call it with, by name.
        key: under which its result is cached; None if it is not.
        source: ``cache`` if that had the result, which is then in ``value``.
    """

    __slots__ = ("args", "i", "key", "kwargs", "payload", "source", "span", "value")

    def __init__(self, i: int, args: Any, kwargs: Any) -> None:
        self.i = i
        self.args = args
        self.kwargs = kwargs
        self.key: CacheKey | None = None
        self.source: Origin | None = None
        self.value: Any = None
        self.payload: bytes | None = None
        self.span: AttemptSpan | None = None


class Extras:
    """The extras of one run.

    Args:
        execution: the run.
        cached: knows the cache; None if no task asks for one.
        isolate: give every body copies of its inputs, and keep a copy of its result.
        tracing: the program's tracer, if it has one.

    Attributes:
        special: per task, whether it needs any of this; None if none does.
    """

    def __init__(
        self,
        execution: Execution,
        *,
        cached: Cached | None = None,
        isolate: bool = False,
        tracing: Tracing | None = None,
    ) -> None:
        self._execution = execution
        self._cached = cached
        self.isolate = isolate
        self._tracing = tracing
        self._span: RunSpan | None = None
        self._over: deque[tuple[AttemptSpan, BaseException | None, bool, float]] = deque()
        n = len(execution.function_of)
        self.special: bytearray | None = None
        if isolate or tracing is not None:
            self.special = bytearray(b"\1") * n
        elif cached is not None:
            self.special = bytearray(i in cached.tasks for i in range(n))
        execution.grew = self._grew

    def _grew(self, i: int, count: int) -> None:
        if self.special is not None:
            self.special += bytes([self.special[i]]) * count

    def run_begins(self) -> None:
        """Begin the run's trace, as a part of what the caller traces."""
        if self._tracing is not None:
            self._span = self._tracing.run(self._execution.plan.name, self._execution.id)

    def run_ended(self) -> None:
        """End the run's trace, if that has not happened."""
        with self._execution.lock:  # whoever committed the last attempt tells of it before giving up the lock
            span, self._span = self._span, None
        self._end_spans()
        if self._tracing is not None and span is not None:
            from graflow.engine.verdict import run_error

            self._tracing.end(span, run_error(self._execution), {"graflow.state": str(self._execution.state)})

    def prepare(self, i: int, attempt: LocalAttempt, *, travels: bool = False) -> Prepared:
        """Find the arguments of an attempt, and the result in the cache if it is there.

        Args:
            i: the task.
            attempt: the attempt.
            travels: it runs in another process, which copies its arguments anyway.
        """
        execution = self._execution
        prepared = Prepared(i, *arguments(execution.recipes[i], execution.slots))
        if self._tracing is not None and self._span is not None:
            self._end_spans()
            worker = execution.workers[execution.worker[i]]
            prepared.span = self._tracing.attempt(self._span, attempt.task, attempt.number, worker=worker)
        try:
            if self._cached is not None and self._cached.wants(i):
                self._cached.look_up(prepared)
            elif self.isolate and not travels:
                self.copy_inputs(prepared)
        except BaseException as error:
            if prepared.span is not None and self._tracing is not None:
                self._tracing.end(prepared.span, error)
            raise
        return prepared

    def call(self, prepared: Prepared, function: Callable[..., Any]) -> Any:
        """Call the task's function, unless its result is known."""
        if prepared.source is not None:
            return prepared.value
        if self.isolate and prepared.key is not None:
            self.copy_inputs(prepared)
        if prepared.span is None:
            return function(*prepared.args, **prepared.kwargs)
        with prepared.span.context():
            return function(*prepared.args, **prepared.kwargs)

    def finish(self, prepared: Prepared, value: Any, payload: bytes | None = None) -> tuple[Any, Any]:
        """After the call: the result, and its bytes where somebody keeps them.

        Args:
            prepared: the attempt.
            value: what the body returned.
            payload: its bytes, if they are known.
        """
        prepared.args = prepared.kwargs = None
        if prepared.source is not None:
            return prepared.value, prepared.payload
        known: bytes | Unstorable | None = payload
        if known is None and (self.isolate or prepared.key is not None or self._execution.journal is not None):
            known = payload_of(value)
        if prepared.key is not None and self._cached is not None:
            self._cached.keep(prepared, known)
        if self.isolate and payload is None:
            if isinstance(known, Unstorable):
                id = self._execution.ids[prepared.i]
                raise SerializationError(
                    f"the result of task {id!r} cannot be copied, as isolate=True asks: {known.why}"
                )
            from graflow.engine import codec

            assert known is not None
            value = codec.loads(known)
        return value, known

    def told(self, prepared: Prepared, error: BaseException | None) -> None:
        """The end of the attempt has been committed. With the execution's lock held, so its trace ends later."""
        if prepared.span is not None:
            again = self._execution.machine.states[prepared.i] < SUCCEEDED
            self._over.append((prepared.span, error, again, self._execution.clock.wall()))
            prepared.span = None
            if self._execution.done.is_set():  # the last of the run, or one that was given up: nobody comes after it
                self.run_ended()

    def _end_spans(self) -> None:
        """End the traces of attempts that are over; whoever exports them may take its time."""
        while self._tracing is not None and self._over:
            try:
                span, error, again, at = self._over.popleft()
            except IndexError:  # another worker was quicker
                return
            self._tracing.end(span, error, at=at, again=again)

    def carrier(self, prepared: Prepared) -> dict[str, str] | None:
        """What another process needs to go on with the attempt's trace."""
        if self._tracing is None or prepared.span is None:
            return None
        return self._tracing.carrier(prepared.span)

    def copy_inputs(self, prepared: Prepared) -> None:
        """Replace the arguments of an attempt by copies."""
        from graflow.engine import codec

        try:
            prepared.args, prepared.kwargs = codec.loads(codec.dumps((prepared.args, prepared.kwargs)))
        except SerializationError as error:
            id = self._execution.ids[prepared.i]
            raise SerializationError(
                f"an input of task {id!r} cannot be copied, as isolate=True asks: {error}"
            ) from error
