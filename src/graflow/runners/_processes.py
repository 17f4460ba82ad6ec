"""Tasks in processes of their own: each worker is a thread that owns one process.

A process runs one attempt at a time, so when it dies it is known which task it took along; its neighbours are
untouched, and the worker starts another.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graflow.engine import codec
from graflow.engine.attempt import arguments as arguments_of
from graflow.engine.attempt import noted
from graflow.engine.drive import clock
from graflow.errors import SerializationError, WorkerLostError
from graflow.runners import _child
from graflow.runners._child import read_message, write_message
from graflow.runners._workers import Lane

if TYPE_CHECKING:
    from graflow.runners._workers import Crew


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
            )
        finally:
            os.close(inbox)
            os.close(outbox)
        self.pid = self._process.pid
        self.has: set[int] = set()
        # The first message; a process that died already is noticed at the first call.
        with contextlib.suppress(BrokenPipeError):
            write_message(self._to_child, "\0".join(sys.path).encode("utf-8", "surrogateescape"))

    def call(self, message: bytes) -> bytes | None:
        """Send one attempt and wait for its end; None if the process died."""
        try:
            write_message(self._to_child, message)
            return read_message(self._from_child)
        except BrokenPipeError:
            return None

    def kill(self) -> None:
        """End the process now."""
        self._process.kill()

    def end(self) -> str:
        """Let the process go, wait for it, and say how it ended."""
        os.close(self._to_child)
        code = self._process.wait()
        os.close(self._from_child)
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}"


class ProcessLane(Lane):
    """The workers that own processes."""

    def __init__(self, crew: Crew, number: int, limit: int, tasks: Sequence[int]) -> None:
        super().__init__(crew, number, limit)
        plan = crew.execution.plan
        self._blobs: dict[int, bytes] = {}
        self._children: set[Child] = set()
        self._guard = threading.Lock()
        self._killed = False
        for i in tasks:
            function = plan.function_of[i]
            if function not in self._blobs:
                try:
                    self._blobs[function] = codec.dumps(plan.functions[function])
                except SerializationError as error:
                    raise SerializationError(f"task {plan.ids[i]!r} cannot run in a process: {error}") from error
        # A captured block became a handle, through which the body may read any direct upstream.
        self._reads_block = {number for number, blob in self._blobs.items() if b"BlockHandle" in blob}

    def kill(self) -> None:
        """End every process now; the tasks they run count as lost, and no further process is started."""
        with self._guard:
            self._killed = True
            for child in self._children:
                child.kill()

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
                    if not machine.open or machine.cancel_reason is not None:
                        return
                    self.wait()
                    continue
                i = machine.take(self.number)
                lock.release()
                try:
                    if child is None:
                        child = self._start()
                        worker = execution.add_worker(f"process-{child.pid}")
                    execution.started[i] = clock()
                    execution.worker[i] = worker
                    if execution.watched:
                        with lock:
                            execution.announce(i)
                    value, error, alive = self._attempt(child, i)
                    if not alive:
                        child = None
                finally:
                    lock.acquire()
                now = clock()
                if error is None:
                    execution.commit(i, value, now)
                else:
                    execution.commit_failure(i, error, now)
                value = None
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
        return child

    def _let_go(self, child: Child) -> str:
        with self._guard:
            self._children.discard(child)
        return child.end()

    def _attempt(self, child: Child, i: int) -> tuple[Any, BaseException | None, bool]:
        """Run one attempt: its result, its error, and whether the process is still there."""
        execution = self.crew.execution
        plan = execution.plan
        id, number = plan.ids[i], plan.function_of[i]
        try:
            args, kwargs = arguments_of(plan.recipes[i], execution.slots)
            results = None
            if number in self._reads_block:
                upstream = plan.workflow._structure.task_upstream(i)
                results = {plan.ids[u]: execution.result(u) for u in upstream}
            blob = None if number in child.has else self._blobs[number]
            message = codec.dumps((id, number, blob, self._payload(id, (list(args), kwargs, results))))
        except Exception as raised:  # noqa: BLE001  # resolving an input may raise anything
            return None, noted(raised, id), True
        reply = child.call(message)
        if reply is None:
            how = self._let_go(child)
            return None, self._lost(id, child.pid, how), False
        child.has.add(number)
        try:
            if reply[:1] == b"+":
                return codec.loads(reply[1:]), None, True
            return None, codec.load_exception(reply[1:]), True
        except SerializationError as raised:
            return None, noted(raised, id), True

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
