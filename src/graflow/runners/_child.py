"""The other end of a process worker: reads attempts from a pipe, runs them, writes back what came out.

Started as a program of its own, so that the user's main module is not imported a second time: no
``if __name__ == "__main__"`` is needed around the code that runs a workflow.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import select
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from logging import LogRecord

    from graflow.core.channel import ChannelView

HEADER: Final = struct.Struct("!Q")


def read_exactly(fd: int, size: int, has_more: Callable[[], bool]) -> bytes | None:
    """Read a number of bytes; None if the other end is gone."""
    parts = []
    while size:
        part = os.read(fd, min(size, 1 << 20)) if has_more() else b""
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def read_message(fd: int, has_more: Callable[[], bool] = lambda: True) -> bytes | None:
    """Read one message; None if the other end is gone.

    Args:
        fd: the pipe.
        has_more: waits until there is something to read; False if there will never be.
    """
    header = read_exactly(fd, HEADER.size, has_more)
    return None if header is None else read_exactly(fd, HEADER.unpack(header)[0], has_more)


def write_message(fd: int, message: bytes, has_room: Callable[[], bool] = lambda: True) -> bool:
    """Write one message, whatever its length; False if nobody will read it.

    Args:
        fd: the pipe.
        message: what to write.
        has_room: waits until something can be written; False if there is nobody to read it.
    """
    view = memoryview(HEADER.pack(len(message)) + message)
    while view:
        if not has_room():
            return False
        view = view[os.write(fd, view) :]
    return True


#: What the runner sends while an attempt is under way: the run was called off.
CANCEL: Final = b"c"
#: What a process sends before the end of an attempt: how far it is, a line of its log, how many lines it dropped.
PROGRESS: Final = b"p"
LINE: Final = b"l"
DROPPED: Final = b"d"
#: And what it asks for and waits for, and what the runner answers.
ASK: Final = b"?"
ANSWER: Final = b"!"
#: And at its end: the result, or the error.
RESULT: Final = b"+"
ERROR: Final = b"-"
#: And before the first one: it is ready.
READY: Final = b"h"

AMOUNTS: Final = struct.Struct("!dd")
NO_TOTAL: Final = -1.0


class ChildAttempt:
    """The context of an attempt in a process: the results of upstreams came along with it.

    It says while the body runs what must not be lost if the process dies with it: the lines of its log.
    """

    def __init__(self, server: Server, task: str, number: int, results: dict[str, Any]) -> None:
        from graflow.engine.channels import DistantChannels

        self._server = server
        self._results = results
        self._cancelled = self._reads = False
        self._lines = 0
        self._told_at = -1.0
        self.run = server.run
        self.workflow = server.workflow
        self.task = task
        self.number = number
        self.channels: ChannelView = DistantChannels(self._ask)

    @property
    def cancelled(self) -> bool:
        """Was the run called off, or is the runner gone?"""
        if not self._cancelled and select.select([self._server.inbox], [], [], 0)[0]:
            self._in_turn(self._look)
        return self._cancelled

    def _ask(self, *question: Any) -> Any:
        """Have the runner do something, and wait for what came of it."""
        found, error = self._in_turn(partial(self._exchange, pickle.dumps(question)))
        if error is not None:
            raise error
        return found

    def _in_turn(self, act: Callable[[], Any]) -> Any:
        """Have the thread that reads for bodies do something: threads of a body take turns.

        And where a signal handler of the body raises here, the message that was under way is read to its end.
        """
        self._reads = True
        ended: SimpleQueue[Any] = SimpleQueue()
        self._server.acts.put((act, ended))
        return ended.get()

    def _look(self) -> None:
        while self.number and not self._cancelled and select.select([self._server.inbox], [], [], 0)[0]:
            self._cancelled = read_message(self._server.inbox) in (CANCEL, None)

    def _exchange(self, question: bytes) -> tuple[Any, Exception | None]:
        if not self.number:
            from graflow.engine.channels import too_late

            return None, too_late(self.task)
        try:
            self._server.send(ASK + question)
            while (message := read_message(self._server.inbox)) == CANCEL:
                self._cancelled = True
        except OSError as gone:
            return None, gone
        if message is None:
            return None, BrokenPipeError("the runner is gone")
        answer: tuple[Any, Exception | None] = pickle.loads(message[1:])
        return answer

    def report(self, done: float, total: float | None) -> None:
        """Tell how far the body is, at most a few times a second."""
        from graflow.engine.context import PROGRESS_SECONDS

        now = time.monotonic()
        if now - self._told_at >= PROGRESS_SECONDS or done == total:
            self._told_at = now
            self._server.send(PROGRESS + AMOUNTS.pack(done, NO_TOTAL if total is None else total))

    def note(self, record: LogRecord) -> None:
        """Send a line of the log, up to the most that is kept."""
        from graflow.engine.logs import MOST_LINES, line_of

        self._lines += 1
        if self._lines <= MOST_LINES:
            with contextlib.suppress(OSError):  # the runner is gone
                self._server.send(LINE + pickle.dumps(tuple(line_of(record))))

    def end(self) -> None:
        """Say what was dropped, and nothing more: what the body left behind would speak for the next attempt."""
        self.number = 0
        if self._reads:  # a thread that the body left behind may wait for an answer
            self._in_turn(lambda: None)
        if self._lines:
            from graflow.engine.logs import MOST_LINES

            if self._lines > MOST_LINES:
                self._server.send(DROPPED + str(self._lines - MOST_LINES).encode())

    def knows(self, id: str) -> bool:
        """Is there a task of this id?"""
        return id in self._server.ids

    def result_of(self, id: str) -> Any:
        """The result of a direct upstream; see `graflow.core._attempt.Attempt`."""
        from graflow.engine.attempt import no_upstream

        if id not in self._results:
            raise no_upstream(self.task, id, known=id in self._server.ids)
        return self._results[id]


class Order(NamedTuple):
    """One attempt, as the runner sends it; what a process keeps comes once."""

    run: tuple[str, str, bool] | None
    """Once: the id of the run, the name of its workflow, and whether anybody keeps what bodies log."""
    task: str
    number: int
    function: int
    code: bytes | None
    inputs: bytes
    upstream: bytes | None
    carrier: dict[str, str] | None


class Server:
    """Runs attempts until the other end is gone."""

    def __init__(self, inbox: int, outbox: int) -> None:
        self.inbox = inbox
        self._outbox = outbox
        self._sending = threading.Lock()  # threads of a body may log
        self.acts: SimpleQueue[tuple[Callable[[], Any], SimpleQueue[Any]]] = SimpleQueue()
        self._busy = False
        self.run = ""
        self.workflow = ""
        self.ids: frozenset[str] = frozenset()
        self._functions: dict[int, Any] = {}

    def send(self, message: bytes) -> None:
        """Write one message."""
        with self._sending:
            write_message(self._outbox, message)

    def watch(self) -> None:
        """End a body whose runner is gone: nobody waits for it, and a run that is resumed starts it anew."""
        hangs_up = select.poll()
        hangs_up.register(self.inbox, 0)
        hangs_up.poll()
        if self._busy:
            os._exit(1)

    def act(self) -> None:
        """Read for bodies, while their attempt is under way."""
        while True:
            act, ended = self.acts.get()
            ended.put(act())

    def serve(self) -> None:
        """Read attempts, run them, write back what came out."""
        from graflow.core._recording import RECORDER
        from graflow.engine import codec

        RECORDER.set(None)
        from graflow.engine import attempt, channels, tracing  # noqa: F401  # loaded now, not in the time of the first task

        threading.Thread(target=self.watch, daemon=True, name="graflow-watch").start()
        threading.Thread(target=self.act, daemon=True, name="graflow-act").start()
        self.send(READY)
        while (message := read_message(self.inbox)) is not None:
            if message == CANCEL:  # of an attempt that ended meanwhile
                continue
            self._busy = True
            reply = self._attempt(codec.loads(message))
            del message
            self.send(reply)
            self._busy = False

    def _attempt(self, order: Order) -> bytes:
        from graflow.core import _ports
        from graflow.core._attempt import ATTEMPT
        from graflow.engine import codec
        from graflow.engine.attempt import noted, result_error
        from graflow.engine.tracing import attach
        from graflow.errors import GraflowError

        if order.run is not None:
            self.run, self.workflow, keeps_lines = order.run
            if keeps_lines:
                from graflow.engine.logs import install

                install()
        attempt: ChildAttempt | None = None
        try:
            _ports.loads_code = True
            if order.code is not None:
                self._functions[order.function] = codec.loads(order.code)
            args, kwargs = codec.loads(order.inputs)
            results: dict[str, Any] = {}
            if order.upstream is not None:
                results, known = codec.loads(order.upstream)
                self.ids = known if known is not None else self.ids
            _ports.loads_code = False
            attempt = ChildAttempt(self, order.task, order.number, results)
            ATTEMPT.set(attempt)
            with attach(order.carrier):
                value = self._functions[order.function](*args, **kwargs)
                if type(value) is CoroutineType:
                    import asyncio

                    value = asyncio.run(_await(value))
            error = result_error(order.task, value)
            if error is not None:
                raise error
            return RESULT + _result(codec, order.task, value)
        except BaseException as raised:  # noqa: BLE001  # the body of a task may raise anything
            if not isinstance(raised, GraflowError):
                noted(raised, order.task)
            return ERROR + codec.dump_exception(raised)
        finally:
            _ports.loads_code = False
            ATTEMPT.set(None)
            if attempt is not None:
                attempt.end()


async def _await(coroutine: Any) -> Any:
    return await coroutine


def _result(codec: Any, id: str, value: Any) -> bytes:
    from graflow.errors import SerializationError

    try:
        data: bytes = codec.dumps(value)
    except SerializationError as error:
        raise SerializationError(f"the result of task {id!r} cannot travel back from its process: {error}") from error
    return data


def main() -> None:
    """The program: file descriptors of the pipe as arguments, then the parent's module search path as first message."""
    inbox, outbox = int(sys.argv[1]), int(sys.argv[2])
    # Ctrl-C reaches the whole process group; the runner decides what becomes of its processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    path = read_message(inbox)
    if path is None:
        return
    sys.path[:] = path.decode("utf-8", "surrogateescape").split("\0")
    # What a body starts must not keep the pipe open when this process is gone.
    os.set_inheritable(inbox, False)
    os.set_inheritable(outbox, False)
    with contextlib.suppress(BrokenPipeError):  # the runner is gone, and nobody waits for the answer
        Server(inbox, outbox).serve()
    # As the interpreter does at its end, but without waiting for threads that a body left behind.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
