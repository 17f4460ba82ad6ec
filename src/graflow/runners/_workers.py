"""The workers of one local run: threads that take ready tasks, run them, and commit what came out.

A worker that commits a task runs on with a successor it made ready, in place; it wakes another worker only for the
work it leaves over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

from graflow.core._attempt import ATTEMPT
from graflow.core._recipes import Recipe
from graflow.core._recording import RECORDER
from graflow.core.turns import Turn
from graflow.engine.attempt import SPECIAL, TURNS, noted, result_error
from graflow.engine.context import LocalAttempt
from graflow.engine.drive import Execution
from graflow.engine.payload import payload_of
from graflow.engine.rules import SIGNALS
from graflow.engine.shapes import commit_turn
from graflow.errors import InternalError
from graflow.runners._lanes import ASYNC, INLINE, PROCESSES, THREADS, Lane
from graflow.runners._timekeeper import Timekeeper

if TYPE_CHECKING:
    from graflow.runners._async_loop import AsyncLane
    from graflow.runners._extras import Extras, Prepared
    from graflow.runners._processes import ProcessLane

#: More than any runner has workers.
_MANY: Final = 1 << 30
#: How often a crew that ends waits for a worker thread before it lets go of it, in seconds.
_JOIN_SECONDS: Final = 5.0


def owned(lock: Any) -> bool:
    """Does this thread hold the lock?

    `threading.Condition` asks a reentrant lock the same way; a plain lock cannot say whose it is, and after an
    interrupt that is the only thing that matters.
    """
    return bool(lock._is_owned())


class Crew:
    """All workers of one run."""

    def __init__(
        self, execution: Execution, lanes: bytes, max_threads: int, max_processes: int, extras: Extras
    ) -> None:
        self.execution = execution
        self.extras = extras
        self.threads: list[threading.Thread] = []
        self.thread_of: dict[int, threading.Thread] = {}
        self.stuck: set[threading.Thread] = set()
        # Bodies see the context variables of whoever started the run, except that no block is open.
        self.context = copy_context()
        self.context.run(RECORDER.set, None)
        self.processes: ProcessLane | None = None
        self.asynchronous: AsyncLane | None = None
        self.adopted: set[tuple[int, int]] = set()
        self._async_guard = threading.Lock()
        # Of the items of maps nobody knows how many there will be.
        item_lanes = set(execution.item_lanes.values())
        counts = [lanes.count(number) + (_MANY if number in item_lanes else 0) for number in range(4)]
        self.lanes: list[Lane] = []
        self.inline = Lane(self, INLINE, 0) if counts[INLINE] else None
        if self.inline is not None:
            self.lanes.append(self.inline)
        if counts[THREADS]:
            self.lanes.append(Lane(self, THREADS, min(max_threads, counts[THREADS])))
        if counts[PROCESSES]:
            from graflow.runners._processes import ProcessLane

            plan = execution.plan
            used = {plan.function_of[i]: i for i, lane in enumerate(lanes) if lane == PROCESSES}
            used |= {plan.maps[i].function: i for i, lane in execution.item_lanes.items() if lane == PROCESSES}
            self.processes = ProcessLane(self, PROCESSES, min(max_processes, counts[PROCESSES]), used)
            self.lanes.append(self.processes)
        self._has_async = bool(counts[ASYNC]) or ASYNC in item_lanes
        self.timekeeper: Timekeeper | None = None
        if execution.options.timeout is not None or any(
            policy.timeout is not None or policy.retry is not None for policy in execution.plan.policies.values()
        ):
            self.timekeeper = Timekeeper(self)
        execution.overrun = self._overrun
        execution.drop = self.give_up
        execution.wake = lambda: self.spread(None)
        execution.keep_time = self._keep_time
        execution.awaits = lambda i: execution.machine.lane_of(i) == ASYNC
        execution.on_end(self._wake_everybody)

    def start(self) -> None:
        """Make the roots ready and give them to workers."""
        if self._has_async:
            self._async_lane()
        keeps_time = self.timekeeper is not None  # asked first: a task that goes on may begin to, and starts it then
        self.execution.start()
        with self.execution.lock:
            self.spread(None)
        if keeps_time:
            assert self.timekeeper is not None
            self.spawn(self.timekeeper.main, "graflow-time")

    def _keep_time(self) -> None:
        """Time matters from now on, if it did not: a task went on with one that has a timeout. With the lock held."""
        if self.timekeeper is None:
            self.timekeeper = Timekeeper(self)
            self.spawn(self.timekeeper.main, "graflow-time")

    def spread(self, own: Lane | AsyncLane | None) -> None:
        """Give the ready tasks to workers, but those of ``own`` that the caller takes itself. With the lock held."""
        for lane in self.lanes:
            lane.spread(1 if lane is own else 0)
        if self.asynchronous is not None and self.asynchronous is not own:
            self.asynchronous.pump_soon()
        if self.timekeeper is not None:
            self.timekeeper.look()

    def give_up(self, attempts: Sequence[tuple[int, int]]) -> None:
        """End attempts that count no more, as far as they can be ended. With the lock held."""
        for i, number in attempts:
            kind = self.execution.machine.lane_of(i)
            worker = self.execution.worker[i]
            if kind == SIGNALS:
                continue
            if kind == ASYNC or (i, number) in self.adopted:
                self._async_lane().abandon(i, number)
            elif kind == PROCESSES:
                assert self.processes is not None
                self.processes.end_attempt(i)
            else:
                if kind == THREADS:
                    next(lane for lane in self.lanes if lane.number == THREADS).abandon(worker)
                thread = self.thread_of.get(worker)
                if thread is not None:
                    self.stuck.add(thread)

    def _overrun(self, i: int) -> str:
        """What becomes of an attempt that took too long, for its error."""
        if (i, self.execution.machine.attempts[i]) in self.adopted:
            return ""
        if self.execution.machine.lane_of(i) == THREADS:
            return "; its thread goes on, because nobody can end a thread: executor='processes' can be ended"
        if self.execution.machine.lane_of(i) == INLINE:
            return "; it held up the run until it came back, because it ran inline"
        return ""

    def start_thread(self, lane: Lane, number: int) -> None:
        """Start a worker of a lane."""
        self.spawn(lambda: lane.work(number), f"graflow-{lane.number}-{number}")

    def spawn(self, body: Callable[[], None], name: str) -> None:
        """Start a thread whose unexpected end ends the run with an error instead of hanging it."""

        def guarded() -> None:
            try:
                self.context.copy().run(body)
            except BaseException as error:  # noqa: BLE001  # whatever it is, somebody waits for this run
                self.broken(error)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self.threads.append(thread)
        thread.start()

    def broken(self, error: BaseException) -> None:
        """Graflow itself failed in a worker: end the run with that."""
        fatal = InternalError(f"a worker of run {self.execution.id} broke: {type(error).__name__}: {error}")
        fatal.__cause__ = error
        self.execution.abort(fatal)

    def drive(self) -> None:
        """What the thread that runs the workflow does until the end: inline tasks, or wait."""
        if self.inline is not None:
            self.inline.limit = self.inline.workers = 1
            self.context.copy().run(self.work_here, self.inline, self.execution.add_worker("inline"))
        self.execution.wait()

    def end(self) -> None:
        """Wait for the workers to leave, once the run has ended."""
        with self.execution.lock:  # an attempt may just be given up, and its thread with it
            threads = [thread for thread in self.threads if thread not in (threading.current_thread(), *self.stuck)]
        for thread in threads:
            if thread.ident is not None:
                thread.join(_JOIN_SECONDS)
        self.execution.dissolve()
        if not any(thread.is_alive() for thread in self.threads):
            # A kept exception keeps the frames of its thread, and these know the crew: it must not know the results.
            vars(self).clear()

    def interrupt(self, stop: BaseException) -> None:
        """End the run after Ctrl-C or another exception struck the thread that drives it, at whatever line.

        Only Ctrl-C lets tasks in threads end, which nobody can end; others want the thread back. Raises what ends that
        wait: a second Ctrl-C.
        """
        execution = self.execution
        while owned(execution.lock):  # struck before it could be released
            execution.lock.release()
        with execution.lock:
            for i in execution.machine.running():
                number = execution.machine.attempts[i]
                if (
                    self.execution.machine.lane_of(i) == INLINE and (i, number) not in self.adopted
                ):  # nobody is left to run it
                    execution.commit_failure(i, number, noted(stop, execution.ids[i]), execution.clock.now())
        execution.cancel("interrupted" if isinstance(stop, KeyboardInterrupt) else f"{type(stop).__name__} struck")
        if self.processes is not None:
            self.processes.kill()
        if self.asynchronous is not None:
            self.asynchronous.cancel_all()
        if not isinstance(stop, KeyboardInterrupt):
            with execution.lock:
                self.give_up(execution.give_up())
        self.execution.wait()

    def adopt(self, i: int, number: int, coroutine: Any, prepared: Prepared | None) -> None:
        """A plain function gave a coroutine: the event loop awaits it. The task stays running meanwhile."""
        with self.execution.lock:
            if not self.execution.is_current(i, number):  # the function came back too late
                coroutine.close()
                return
            self.adopted.add((i, number))
        self._async_lane().adopt(i, number, coroutine, prepared)

    def _async_lane(self) -> AsyncLane:
        with self._async_guard:
            if self.asynchronous is None:
                from graflow.runners._async_loop import AsyncLane

                self.asynchronous = AsyncLane(self, ASYNC)
            return self.asynchronous

    def _wake_everybody(self) -> None:
        for lane in self.lanes:
            lane.wake_all()
        if self.asynchronous is not None:
            self.asynchronous.run_ended()
        if self.processes is not None and self.execution.machine.closed:
            self.processes.tell_cancelled()

    def work_here(self, lane: Lane, worker: int) -> None:
        """Take tasks of a lane and run them in this thread, until the run ends.

        One loop without helper functions: for tasks of a microsecond, each call here is a tenth of the cost.
        """
        execution, extras = self.execution, self.extras
        machine, lock, slots = execution.machine, execution.lock, execution.slots
        functions: Sequence[Callable[..., Any]] = execution.functions
        function_of, recipes, special = execution.function_of, execution.recipes, extras.special
        started, worker_of, ready, number = execution.started, execution.worker, lane.ready, lane.number
        alone = self.lanes == [lane]
        attempt, clock, journal = LocalAttempt(execution), execution.clock.now, execution.journal
        around = execution.around
        begun = journal.begun if journal is not None else None
        abandoned = lane.abandoned
        self.thread_of[worker] = threading.current_thread()
        ATTEMPT.set(attempt)  # in a context of this worker's own
        # Nobody keeps what happens, and no body needs more than a call.
        plain = begun is None and special is None
        value: Any = None
        args: Any = None
        kwargs: Any = None
        error: BaseException | Turn | None = None
        payload: Any = None
        prepared: Prepared | None = None
        lock.acquire()
        try:
            now = clock()
            while True:
                if not ready:
                    if not machine.open or machine.closed or worker in abandoned:
                        return
                    lane.wait()
                    now = clock()
                    continue
                if around is not None and around.cancelled:
                    execution.cancel("the run around it was called off")
                    continue
                i = machine.take(number, now)
                attempt.index = i
                attempt.number = this = machine.attempts[i]
                started[i] = now
                worker_of[i] = worker
                if begun is not None:
                    begun.append((i, this))
                if execution.watched:
                    execution.announce(i)
                if self.timekeeper is not None:
                    self.timekeeper.look()
                lock.release()
                try:
                    function, recipe = functions[function_of[i]], recipes[i]
                    if special is not None and special[i]:
                        prepared = extras.prepare(i, attempt)
                        value = extras.call(prepared, function)
                    elif isinstance(recipe, Recipe):
                        args, kwargs = recipe.arguments(slots)
                        value = function(*args, **kwargs)
                    elif len(recipe) == 1:  # a call with its arguments spelled out costs half of one with a list
                        value = function(slots[recipe[0]])
                    elif len(recipe) == 2:
                        value = function(slots[recipe[0]], slots[recipe[1]])
                    elif len(recipe) == 3:
                        value = function(slots[recipe[0]], slots[recipe[1]], slots[recipe[2]])
                    else:
                        value = function(*[slots[slot] for slot in recipe])
                    if type(value) in SPECIAL:
                        if type(value) in TURNS:
                            error, value = value, None
                        else:
                            error = result_error(execution.ids[i], value)
                        if error is None:
                            self.adopt(i, this, value, prepared)
                            value = prepared = None
                            lock.acquire()
                            if attempt.lines is not None:
                                attempt.hand_over()
                            if worker in abandoned:
                                return
                            now = clock()
                            continue
                    if prepared is not None and error is None:
                        value, payload = extras.finish(prepared, value)
                    elif begun is not None:
                        payload = payload_of(value)
                except BaseException as raised:  # noqa: BLE001  # the body of a task may raise anything
                    error = noted(raised, execution.ids[i])
                lock.acquire()
                now = clock()  # with the lock held, so that the times of all workers are in the order of the events
                if plain and error is None:
                    execution.commit(i, this, value, now)
                else:
                    if attempt.lines is not None:
                        attempt.hand_over()
                    if error is None:
                        source = prepared.source if prepared is not None else None
                        execution.commit(i, this, value, now, payload, source)
                    elif isinstance(error, Turn):
                        commit_turn(execution, i, this, error, now)
                        error = None
                    else:
                        execution.commit_failure(i, this, error, now)
                    if prepared is not None:
                        extras.told(prepared, error)
                    if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                        raise error
                    error = payload = prepared = None
                # Neither a result nor an input may live on in this frame while the worker waits.
                value = args = kwargs = None
                if abandoned and worker in abandoned:
                    return
                if not alone or self.asynchronous is not None or self.timekeeper is not None:
                    self.spread(lane)
                elif len(ready) > 1 and (lane.idle or lane.workers < lane.limit):
                    lane.spread(1)
        finally:
            if owned(lock):
                lock.release()
            # This frame lives as long as an exception that a body raised; what it knows of the run must not.
            del around, execution, machine, slots, recipes, function_of, functions, attempt, extras, journal
