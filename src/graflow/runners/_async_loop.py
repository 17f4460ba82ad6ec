"""Async tasks of one local run: they share one event loop, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from graflow.core._attempt import ATTEMPT
from graflow.core._recipes import Recipe
from graflow.core.turns import Turn
from graflow.engine.attempt import SPECIAL, noted, result_error
from graflow.engine.context import LocalAttempt
from graflow.engine.payload import payload_of
from graflow.engine.shapes import commit_turn

if TYPE_CHECKING:
    from graflow.engine.tracing import AttemptSpan
    from graflow.runners._extras import Prepared
    from graflow.runners._workers import Crew

#: At most this many async tasks are under way at once: enough to hide any latency, few enough for the open sockets
#: that most systems allow.
MAX_IN_FLIGHT: Final = 1000
_LAST_SECONDS: Final = 1.0


class AsyncLane:
    """The event loop and the tasks that wait for it."""

    def __init__(self, crew: Crew, number: int) -> None:
        self.crew = crew
        self.execution = crew.execution
        # A coroutine can also come from a plain function, in a run that has no lane for async tasks.
        lanes = self.execution.machine.ready
        self.ready = lanes[number] if number < len(lanes) - 1 else None
        self.number = number
        self.worker = self.execution.add_worker("async")
        self.loop = asyncio.new_event_loop()
        self.pump_planned = False
        self.in_flight: dict[tuple[int, int], asyncio.Task[None]] = {}
        self.expected = 0
        self.ended = self.gave_up = False
        self.finished = False
        self.stopped = False
        crew.spawn(self._main, "graflow-async")

    # ── from other threads ──────────────────────────────────────────────────────────────────────────────────────

    def pump_soon(self) -> None:
        """Have the loop start the ready tasks. With the lock held."""
        if self.ready and not self.pump_planned and len(self.in_flight) < MAX_IN_FLIGHT:
            self.pump_planned = True
            self.loop.call_soon_threadsafe(self._pump, context=self.crew.context)

    def adopt(self, i: int, number: int, coroutine: Coroutine[Any, Any, Any], prepared: Prepared | None) -> None:
        """Await a coroutine that a plain function gave."""
        with self.execution.lock:
            self.expected += 1
        self.loop.call_soon_threadsafe(self._begin_adopted, i, number, coroutine, prepared, context=self.crew.context)

    def abandon(self, i: int, number: int) -> None:
        """Cancel an attempt that counts no more, and wait for it no longer. With the lock held."""
        self.gave_up = True
        if not self.stopped:
            self.loop.call_soon_threadsafe(self._abandon, (i, number))

    def cancel_all(self) -> None:
        """Cancel every async task that is under way."""
        with self.execution.lock:
            if not self.stopped:
                self.loop.call_soon_threadsafe(self._cancel_all)

    def run_ended(self) -> None:
        """The run has ended, or was cancelled. With the lock held."""
        if self.ended and not self.execution.machine.closed:
            return
        self.ended = True
        if not self.stopped:
            self.loop.call_soon_threadsafe(self._after_end)

    # ── in the loop's thread ────────────────────────────────────────────────────────────────────────────────────

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            while not self.finished:
                # SystemExit and KeyboardInterrupt in something a task awaits end the loop as well as that task.
                with contextlib.suppress(SystemExit, KeyboardInterrupt):
                    self.loop.run_forever()
        finally:
            with self.execution.lock:
                self.stopped = True
            with contextlib.suppress(SystemExit, KeyboardInterrupt):  # from what bodies left behind
                self._clean_up()
            self.loop.close()

    def _clean_up(self) -> None:
        left = asyncio.all_tasks(self.loop)  # what bodies started and left behind
        for task in left:
            task.cancel()
        if left:  # a body that does not heed its cancellation must not hold up the run
            seconds = 0.0 if self.gave_up else _LAST_SECONDS  # those that were given up had their time
            done, pending = self.loop.run_until_complete(asyncio.wait(left, timeout=seconds))
            for task in pending:
                setattr(task, "_log_destroy_pending", False)  # noqa: B010  # asyncio would complain; we know
            for task in done:  # looked at, or asyncio complains that nobody did
                _ = task.cancelled() or task.exception()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        if self.gave_up:  # a thread of the attempt that was given up may go on for ever
            executor = getattr(self.loop, "_default_executor", None)
            if executor is not None:
                executor.shutdown(wait=False)
        else:
            self.loop.run_until_complete(self.loop.shutdown_default_executor())

    def _pump(self) -> None:
        with self.execution.lock:
            self.pump_planned = False
            taken = self._take(self.execution.clock.now())
        self._begin_taken(taken)

    def _take(self, now: float) -> list[tuple[int, int]]:
        """Take ready tasks, up to as many as may be under way. With the lock held."""
        execution = self.execution
        taken: list[tuple[int, int]] = []
        while self.ready and len(self.in_flight) + len(taken) < MAX_IN_FLIGHT:
            i = execution.machine.take(self.number, now)
            execution.started[i] = now
            execution.worker[i] = self.worker
            if execution.journal is not None:
                execution.journal.begun.append((i, execution.machine.attempts[i]))
            if execution.watched:
                execution.announce(i)
            taken.append((i, execution.machine.attempts[i]))
        if taken and self.crew.timekeeper is not None:
            self.crew.timekeeper.look()
        return taken

    def _begin_taken(self, taken: list[tuple[int, int]]) -> None:
        books, slots, special = self.execution, self.execution.slots, self.crew.extras.special
        for i, number in taken:
            attempt = LocalAttempt(self.execution, i, number)
            prepared: Prepared | None = None
            try:
                function, recipe = books.functions[books.function_of[i]], books.recipes[i]
                if special is not None and special[i]:
                    prepared = self.crew.extras.prepare(i, attempt)
                    coroutine = _known(prepared) if prepared.source is not None else self._traced(prepared, function)
                elif isinstance(recipe, Recipe):
                    args, kwargs = recipe.arguments(slots)
                    coroutine = function(*args, **kwargs)
                else:
                    coroutine = function(*[slots[slot] for slot in recipe])
            except BaseException as raised:  # noqa: BLE001  # resolving an input, or the call, may raise anything
                self._begin(attempt, self._refuse(attempt, noted(raised, books.ids[i])))
            else:
                self._begin(attempt, self._await(attempt, coroutine, prepared))

    async def _traced(self, prepared: Prepared, function: Any) -> Any:
        """Call and await a body where its context is its own."""
        extras = self.crew.extras
        if extras.isolate and prepared.key is not None:
            extras.copy_inputs(prepared)
        if prepared.span is None:
            return await function(*prepared.args, **prepared.kwargs)
        with prepared.span.context():
            return await function(*prepared.args, **prepared.kwargs)

    def _begin(self, attempt: LocalAttempt, body: Coroutine[Any, Any, None]) -> None:
        # A context of its own, because the task that commits before it may be the one that begins it.
        context = self.crew.context.copy()
        key = attempt.index, attempt.number
        # The loop itself holds tasks only weakly, so that a forgotten one could vanish half-way.
        self.in_flight[key] = self.loop.create_task(body, name=attempt.task, context=context)
        if self.execution.machine.closed:
            self._cancel(key)

    def _begin_adopted(
        self, i: int, number: int, coroutine: Coroutine[Any, Any, Any], prepared: Prepared | None
    ) -> None:
        with self.execution.lock:
            self.expected -= 1
            is_current = self.execution.is_current(i, number)
        if not is_current:  # given up on the way here
            coroutine.close()
            self._stop_if_done()
            return
        attempt = LocalAttempt(self.execution, i, number)
        if prepared is not None and prepared.span is not None:
            coroutine = _within(prepared.span, coroutine)
        self._begin(attempt, self._await(attempt, coroutine, prepared))

    def _cancel_all(self) -> None:
        for key in list(self.in_flight):
            self._cancel(key)

    def _cancel(self, key: tuple[int, int]) -> None:
        # After its first step, which is planned already: a task that is cancelled before it would not even commit.
        self.loop.call_soon(self.in_flight[key].cancel, "the run was cancelled")

    def _abandon(self, key: tuple[int, int]) -> None:
        task = self.in_flight.pop(key, None)
        if task is not None:
            self.loop.call_soon(task.cancel, "it took longer than its timeout")
        self._pump()
        self._stop_if_done()

    def _after_end(self) -> None:
        if self.execution.machine.closed:
            self._cancel_all()
        self._stop_if_done()

    def _stop_if_done(self) -> None:
        if self.execution.done.is_set() and not (self.in_flight or self.expected or self.finished):
            self.finished = True
            self.loop.stop()

    async def _refuse(self, attempt: LocalAttempt, error: BaseException) -> None:
        """In place of a task whose inputs or call raised."""
        self._commit(attempt, None, error)

    async def _await(
        self, attempt: LocalAttempt, coroutine: Coroutine[Any, Any, Any], prepared: Prepared | None
    ) -> None:
        execution = self.execution
        ATTEMPT.set(attempt)
        value: Any = None
        error: BaseException | None = None
        payload: Any = None
        try:
            value = await coroutine
            if type(value) in SPECIAL:
                error = result_error(attempt.task, value)
            elif prepared is not None:
                value, payload = self.crew.extras.finish(prepared, value)
            elif execution.journal is not None:
                payload = payload_of(value)
        except asyncio.CancelledError as raised:
            if execution.machine.closed:
                self._commit(attempt, None, None, prepared=prepared, gave_up=True)
                return
            error = noted(raised, attempt.task)
        except BaseException as raised:  # the body of a task may raise anything
            if self.stopped and isinstance(raised, GeneratorExit):
                raise  # the loop is gone, and this was given up long ago
            error = noted(raised, attempt.task)
        self._commit(attempt, value, error, payload, prepared)

    def _commit(
        self,
        attempt: LocalAttempt,
        value: Any,
        error: BaseException | None,
        payload: Any = None,
        prepared: Prepared | None = None,
        *,
        gave_up: bool = False,
    ) -> None:
        execution, i, number = self.execution, attempt.index, attempt.number
        self.in_flight.pop((i, number), None)
        with execution.lock:
            now = execution.clock.now()
            if attempt.lines is not None:
                attempt.hand_over()
            if gave_up:
                execution.commit_cancelled(i, number, now)
            elif error is not None:
                execution.commit_failure(i, number, error, now)
            elif isinstance(value, Turn):
                commit_turn(execution, i, number, value, now)
            else:
                source = prepared.source if prepared is not None else None
                execution.commit(i, number, value, now, payload, source)
            if prepared is not None:
                self.crew.extras.told(prepared, error)
            if self.crew.lanes or self.crew.timekeeper is not None:
                self.crew.spread(self)
            # Here rather than by way of the loop: a task that is ready begins at once, and the loop need not be woken.
            taken = self._take(now) if self.ready else []
        if taken:
            self._begin_taken(taken)
        if self.ended:
            self._stop_if_done()


async def _known(prepared: Prepared) -> Any:
    return prepared.value


async def _within(span: AttemptSpan, coroutine: Coroutine[Any, Any, Any]) -> Any:
    with span.context():
        return await coroutine
