"""Async tasks of one local run: they share one event loop, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from graflow.core._attempt import ATTEMPT
from graflow.core.plan import Recipe
from graflow.engine.attempt import SPECIAL, LocalAttempt, noted, result_error
from graflow.engine.drive import clock

if TYPE_CHECKING:
    from graflow.runners._workers import Crew

#: At most this many async tasks are under way at once: enough to hide any latency, few enough for the open sockets
#: that most systems allow.
MAX_IN_FLIGHT: Final = 1000


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
        self.in_flight: dict[int, asyncio.Task[None]] = {}
        self.expected = 0
        self.ended = False
        self.finished = False
        self.stopped = False
        crew.spawn(self._main, "graflow-async")

    # ── from other threads ──────────────────────────────────────────────────────────────────────────────────────

    def pump_soon(self) -> None:
        """Have the loop start the ready tasks. With the lock held."""
        if self.ready and not self.pump_planned and len(self.in_flight) < MAX_IN_FLIGHT:
            self.pump_planned = True
            self.loop.call_soon_threadsafe(self._pump, context=self.crew.context)

    def adopt(self, i: int, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Await a coroutine that a plain function gave."""
        with self.execution.lock:
            self.expected += 1
        self.loop.call_soon_threadsafe(self._begin_adopted, i, coroutine, context=self.crew.context)

    def cancel_all(self) -> None:
        """Cancel every async task that is under way."""
        with self.execution.lock:
            if not self.stopped:
                self.loop.call_soon_threadsafe(self._cancel_all)

    def run_ended(self) -> None:
        """The run has ended, or was cancelled. With the lock held."""
        if self.ended and not self.execution.machine.cancel_reason:
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
            left = asyncio.all_tasks(self.loop)  # what bodies started and left behind
            for task in left:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()

    def _pump(self) -> None:
        with self.execution.lock:
            self.pump_planned = False
            taken = self._take(clock())
        self._begin_taken(taken)

    def _take(self, now: float) -> list[int]:
        """Take ready tasks, up to as many as may be under way. With the lock held."""
        execution = self.execution
        taken: list[int] = []
        while self.ready and len(self.in_flight) + len(taken) < MAX_IN_FLIGHT:
            i = execution.machine.take(self.number)
            execution.started[i] = now
            execution.worker[i] = self.worker
            if execution.watched:
                execution.announce(i)
            taken.append(i)
        return taken

    def _begin_taken(self, taken: list[int]) -> None:
        plan, slots = self.execution.plan, self.execution.slots
        for i in taken:
            try:
                function, recipe = plan.functions[plan.function_of[i]], plan.recipes[i]
                if isinstance(recipe, Recipe):
                    args, kwargs = recipe.arguments(slots)
                    coroutine = function(*args, **kwargs)
                else:
                    coroutine = function(*[slots[slot] for slot in recipe])
            except BaseException as raised:  # noqa: BLE001  # resolving an input, or the call, may raise anything
                self._begin(i, self._refuse(i, noted(raised, plan.ids[i])))
            else:
                self._begin(i, self._await(i, coroutine))

    def _begin(self, i: int, body: Coroutine[Any, Any, None]) -> None:
        # A context of its own, because the task that commits before it may be the one that begins it.
        context = self.crew.context.copy()
        # The loop itself holds tasks only weakly, so that a forgotten one could vanish half-way.
        self.in_flight[i] = self.loop.create_task(body, name=self.execution.plan.ids[i], context=context)
        if self.execution.machine.cancel_reason is not None:
            self._cancel(i)

    def _begin_adopted(self, i: int, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.expected -= 1
        self._begin(i, self._await(i, coroutine))

    def _cancel_all(self) -> None:
        for i in list(self.in_flight):
            self._cancel(i)

    def _cancel(self, i: int) -> None:
        # After its first step, which is planned already: a task that is cancelled before it would not even commit.
        self.loop.call_soon(self.in_flight[i].cancel, "the run was cancelled")

    def _after_end(self) -> None:
        if self.execution.machine.cancel_reason is not None:
            self._cancel_all()
        self._stop_if_done()

    def _stop_if_done(self) -> None:
        if self.execution.done.is_set() and not (self.in_flight or self.expected or self.finished):
            self.finished = True
            self.loop.stop()

    async def _refuse(self, i: int, error: BaseException) -> None:
        """In place of a task whose inputs or call raised."""
        self._commit(i, None, error)

    async def _await(self, i: int, coroutine: Coroutine[Any, Any, Any]) -> None:
        execution = self.execution
        ATTEMPT.set(LocalAttempt(execution.plan, execution.result, i))
        value: Any = None
        error: BaseException | None = None
        try:
            value = await coroutine
            if type(value) in SPECIAL:
                error = result_error(execution.plan.ids[i], value)
        except asyncio.CancelledError as raised:
            if execution.machine.cancel_reason is not None:
                self._commit(i, None, None, gave_up=True)
                return
            error = noted(raised, execution.plan.ids[i])
        except BaseException as raised:  # noqa: BLE001  # the body of a task may raise anything
            error = noted(raised, execution.plan.ids[i])
        self._commit(i, value, error)

    def _commit(self, i: int, value: Any, error: BaseException | None, *, gave_up: bool = False) -> None:
        execution = self.execution
        self.in_flight.pop(i, None)
        with execution.lock:
            now = clock()
            if gave_up:
                execution.commit_cancelled(i, now)
            elif error is not None:
                execution.commit_failure(i, error, now)
            else:
                execution.commit(i, value, now)
            if self.crew.lanes:
                self.crew.spread(self)
            # Here rather than by way of the loop: a task that is ready begins at once, and the loop need not be woken.
            taken = self._take(now) if self.ready else []
        if taken:
            self._begin_taken(taken)
        if self.ended:
            self._stop_if_done()
