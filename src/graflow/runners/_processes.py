"""Tasks in processes of their own: each worker is a thread that owns one process.

A process runs one attempt at a time, so when it dies it is known which task it took along; its neighbours are
untouched, and the worker starts another.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graflow.core._code import holds
from graflow.core.block import Block, BlockHandle
from graflow.core.turns import Turn
from graflow.engine import codec
from graflow.engine.attempt import arguments as arguments_of
from graflow.engine.attempt import noted
from graflow.engine.context import LocalAttempt
from graflow.engine.rules import SUCCEEDED
from graflow.engine.shapes import commit_turn
from graflow.errors import SerializationError, WorkerLostError
from graflow.runners import _child
from graflow.runners._child import (
    CANCEL,
    ERROR,
    RESULT,
    Order,
    read_message,
    write_message,
)
from graflow.runners._lanes import Lane
from graflow.runners._requests import hear

if TYPE_CHECKING:
    from graflow.runners._extras import Prepared
    from graflow.runners._workers import Crew


#: How often to ask whether a silent process is still there, in milliseconds.
_LOOK_AGAIN_MS: Final = 200
_HANDLE: Final = BlockHandle.__name__.encode()


class Child:
    """One process, and the functions it has been sent."""

    def __init__(self) -> None:
        inbox, self._to_child = os.pipe()
        self._from_child, outbox = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(_child.__file__)), str(inbox), str(outbox)],
                pass_fds=(inbox, outbox),
                stdin=subprocess.DEVNULL,
                process_group=0,  # whatever a body starts ends with the process; Ctrl-C reaches the runner alone
            )
        except OSError:
            os.close(self._to_child)
            os.close(self._from_child)
            raise
        finally:
            os.close(inbox)
            os.close(outbox)
        self.pid = self._process.pid
        self._more, self._room = select.poll(), select.poll()
        self._more.register(self._from_child, select.POLLIN)
        self._room.register(self._to_child, select.POLLOUT)
        os.set_blocking(self._to_child, False)  # a large message must not block on a process that dies meanwhile
        self.has: set[int] = set()
        self.knows_run = self.knows_ids = False
        self._guard = threading.Lock()
        self._listens = self._is_cancelled = self._is_doomed = False
        # The first message; a process that died already is noticed at the first call.
        with contextlib.suppress(BrokenPipeError):
            write_message(self._to_child, "\0".join(sys.path).encode("utf-8", "surrogateescape"))

    def call(self, message: bytes, hear: Callable[[bytes], bytes | None]) -> bytes | None:
        """Send one attempt and wait for its end; None if the process died.

        Args:
            message: the attempt.
            hear: given what the body says meanwhile; what it returns is sent to the body, which waits for it.
        """
        try:
            self._is_cancelled = False
            if not self._send(message):
                return None
            while True:
                reply = read_message(self._from_child, lambda: self._ready(self._more))
                if reply is None or reply[:1] in (RESULT, ERROR):
                    return reply
                answer = hear(reply)
                if answer is not None and not self._send(answer):
                    return None
        except BrokenPipeError:
            return None
        finally:
            with self._guard:
                self._listens = False

    def _send(self, message: bytes) -> bool:
        with self._guard:
            self._listens = False  # no other message may come in the middle of this one
        if not write_message(self._to_child, message, lambda: self._ready(self._room)):
            return False
        with self._guard:
            self._listens = True
            if self._is_cancelled:
                self._write_cancel()
        return True

    def cancel(self) -> None:
        """Tell the body that runs that its run was called off."""
        with self._guard:
            self._is_cancelled = True
            if self._listens:
                self._write_cancel()

    def _write_cancel(self) -> None:
        with contextlib.suppress(BrokenPipeError, BlockingIOError):  # gone; or not reading, so not listening
            write_message(self._to_child, CANCEL)

    def wait_until_ready(self) -> None:
        """Wait until the process has loaded what it needs, so that its first task does not pay for that."""
        read_message(self._from_child, lambda: self._ready(self._more))  # None if it died: the first call notices

    def _ready(self, pipe: select.poll) -> bool:
        """Wait until a pipe can be used; False if the process died before that.

        A program that the process started may hold the pipe open beyond its death, so its end alone is no sign.
        """
        while True:
            dead = self._process.poll() is not None  # asked first: what it wrote before its death counts
            if pipe.poll(0 if dead else _LOOK_AGAIN_MS) and not (dead and pipe is self._room):
                return True
            if dead:
                return False

    def gone(self) -> bool:
        """Has the process ended, or been told to?"""
        return self._is_doomed or self._process.poll() is not None

    def kill(self) -> None:
        """End the process now, with whatever it started."""
        self._is_doomed = True  # it may be between two tasks, and must not get the next one
        if self._process.returncode is None:  # else its number may be somebody else's by now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def end(self) -> str:
        """Let the process go, wait for it, and say how it ended."""
        os.close(self._to_child)
        code = self._process.wait()
        os.close(self._from_child)
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}"


class _Ended(NamedTuple):
    """How an attempt ended, and whether its process is still there."""

    value: Any
    error: BaseException | None
    alive: bool = True
    payload: Any = None
    prepared: Prepared | None = None


def _not_started(id: str, problem: OSError | None) -> WorkerLostError:
    lost = WorkerLostError(f"no process could be started for task {id!r}: {problem}; use fewer with max_workers")
    lost.__cause__ = problem
    return lost


class ProcessLane(Lane):
    """The workers that own processes."""

    def __init__(self, crew: Crew, number: int, limit: int, functions: Mapping[int, int]) -> None:
        """Args beside those of `Lane`: the numbers of the functions that run here, each with a task that has it."""
        super().__init__(crew, number, limit)
        plan = crew.execution.plan
        self._blobs: dict[int, bytes] = {}
        self._children: set[Child] = set()
        self._running: dict[int, Child] = {}
        self._guard = threading.Lock()
        self._killed = False
        for function, i in functions.items():
            try:
                self._blobs[function] = codec.dumps(plan.functions[function])
            except SerializationError as error:
                raise SerializationError(f"task {plan.ids[i]!r} cannot run in a process: {error}") from error
        # Through a captured block the body may read any direct upstream, so those results travel with the attempt. A
        # block that is captured by value became a handle; one that is found in the function's module did not travel.
        self._reads_block = {
            number
            for number, blob in self._blobs.items()
            if _HANDLE in blob or holds(plan.functions[number], lambda one: isinstance(one, Block))
        }

    def kill(self) -> None:
        """End every process now; the tasks they run count as lost, and no further process is started."""
        with self._guard:
            self._killed = True
            for child in self._children:
                child.kill()

    def end_attempt(self, i: int) -> None:
        """End the process that runs a task; its worker starts another."""
        child = self._running.get(i)
        if child is not None:
            child.kill()

    def tell_cancelled(self) -> None:
        """Tell the bodies that run that their run was called off. With the execution's lock held."""
        for child in self._running.values():
            child.cancel()

    def work(self, number: int) -> None:
        """Take tasks and send them to the process of this worker, until the run ends."""
        execution = self.crew.execution
        machine, lock = execution.machine, execution.lock
        child: Child | None = None
        worker = 0
        lock.acquire()
        try:
            while True:
                if not self.ready:
                    if not machine.open or machine.closed:
                        return
                    self.wait()
                    continue
                if child is not None and child.gone():  # it died with nothing to do: no task is lost
                    self._let_go(child)
                    child = None
                problem: OSError | None = None
                if child is None:  # before a task is taken, so that its time is its own
                    lock.release()
                    try:
                        child = self._start()
                    except OSError as error:
                        problem = error
                    finally:
                        lock.acquire()
                    worker = execution.add_worker(f"process-{child.pid}") if child is not None else 0
                    if not self.ready:
                        continue
                now = execution.clock.now()
                i = machine.take(self.number, now)
                attempt = LocalAttempt(execution, i, machine.attempts[i])
                execution.started[i] = now
                execution.worker[i] = worker
                if execution.journal is not None:
                    execution.journal.begun.append((i, attempt.number))
                if execution.watched:
                    execution.announce(i)
                if child is not None:
                    self._running[i] = child
                if self.crew.timekeeper is not None:
                    self.crew.timekeeper.look()
                lock.release()
                try:
                    if child is None:
                        end = _Ended(None, _not_started(execution.ids[i], problem), alive=False)
                    else:
                        end = self._attempt(child, attempt)
                finally:
                    lock.acquire()
                    if self._running.get(i) is child:
                        self._running.pop(i, None)
                if not end.alive:
                    child = None
                attempt.hand_over()
                if isinstance(end.value, Turn):
                    commit_turn(execution, i, attempt.number, end.value, execution.clock.now())
                elif end.error is None:
                    source = end.prepared.source if end.prepared is not None else None
                    execution.commit(i, attempt.number, end.value, execution.clock.now(), end.payload, source)
                else:
                    execution.commit_failure(i, attempt.number, end.error, execution.clock.now())
                if end.prepared is not None:
                    self.crew.extras.told(end.prepared, end.error)
                del end  # a finished result must not live on in this frame while the worker waits
                self.crew.spread(self)
        finally:
            lock.release()
            if child is not None:
                self._let_go(child)

    def _start(self) -> Child:
        child = Child()
        with self._guard:
            self._children.add(child)
            if self._killed:
                child.kill()
        child.wait_until_ready()
        return child

    def _let_go(self, child: Child) -> str:
        with self._guard:
            self._children.discard(child)
        return child.end()

    def _attempt(self, child: Child, attempt: LocalAttempt) -> _Ended:
        execution, extras, i = self.crew.execution, self.crew.extras, attempt.index
        id, number = execution.ids[i], execution.function_of[i]
        prepared: Prepared | None = None
        try:
            if extras.special is not None and extras.special[i]:
                prepared = extras.prepare(i, attempt, travels=True)
                if prepared.source is not None:
                    return _Ended(prepared.value, None, payload=prepared.payload, prepared=prepared)
                inputs = self._payload(id, (list(prepared.args), prepared.kwargs))
            else:
                args, kwargs = arguments_of(execution.recipes[i], execution.slots)
                inputs = self._payload(id, (list(args), kwargs))
            message = codec.dumps(
                Order(
                    None if child.knows_run else (execution.id, execution.plan.name, execution.journal is not None),
                    id,
                    attempt.number,
                    number,
                    None if number in child.has else self._blob(number),
                    inputs,
                    self._upstream(child, i) if number in self._reads_block or _HANDLE in inputs else None,
                    extras.carrier(prepared) if prepared is not None else None,
                )
            )
        except Exception as raised:  # noqa: BLE001  # resolving an input may raise anything
            return _Ended(None, noted(raised, id), prepared=prepared)
        reply = child.call(message, lambda said: hear(attempt, said))
        if reply is None:
            how = self._let_go(child)
            return _Ended(None, self._lost(id, child.pid, how), alive=False, prepared=prepared)
        child.knows_run = True
        if reply[:1] == RESULT:  # else it may be the function itself that could not be loaded
            child.has.add(number)
        try:
            if reply[:1] == ERROR:
                return _Ended(None, codec.load_exception(reply[1:]), prepared=prepared)
            payload: Any = reply[1:]
            value = codec.loads(payload)
            if prepared is not None and not isinstance(value, Turn):
                value, payload = extras.finish(prepared, value, payload)
            return _Ended(value, None, payload=payload, prepared=prepared)
        except SerializationError as raised:
            return _Ended(None, noted(raised, id), prepared=prepared)

    def _blob(self, number: int) -> bytes:
        """A function as bytes; of one that a task goes on with, made when it is met."""
        blob = self._blobs.get(number)
        if blob is None:
            blob = self._blobs[number] = codec.dumps(self.crew.execution.functions[number])
        return blob

    def _upstream(self, child: Child, i: int) -> bytes:
        """The results that the body may read through a block, and once for each process all ids, for its messages."""
        plan, owner = self.crew.execution.plan, self.crew.execution.owner(i)
        execution = self.crew.execution
        states = execution.machine.states  # of the others a body may take the outcome
        upstream = [u for u in plan.workflow._structure.task_upstream(owner) if states[u] == SUCCEEDED]
        results = {plan.ids[u]: execution.result(u) for u in upstream}
        known = None if child.knows_ids else frozenset(plan.ids)
        child.knows_ids = True
        return self._payload(plan.ids[owner], (results, known))

    def _payload(self, id: str, inputs: tuple[Any, ...]) -> bytes:
        try:
            return codec.dumps(inputs)
        except SerializationError as error:
            raise SerializationError(f"an input of task {id!r} cannot travel to its process: {error}") from error

    def _lost(self, id: str, pid: int, how: str) -> WorkerLostError:
        if self._killed:
            return WorkerLostError(f"task {id!r} was ended with its process {pid}, because the run was interrupted")
        return WorkerLostError(
            f"the process {pid} that ran task {id!r} died ({how}); look for os._exit(), a crash in compiled code, or "
            f"the system running out of memory"
        )
