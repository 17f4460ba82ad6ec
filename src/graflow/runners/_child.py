"""The other end of a process worker: reads attempts from a pipe, runs them, writes back what came out.

Started as a program of its own, so that the user's main module is not imported a second time: no
``if __name__ == "__main__"`` is needed around the code that runs a workflow.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import struct
import sys
from collections.abc import Callable
from types import CoroutineType
from typing import Any, Final

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


class ChildAttempt:
    """The context of an attempt in a process: the results of upstreams came along with it."""

    def __init__(self, id: str, results: dict[str, Any], ids: frozenset[str]) -> None:
        self.id = id
        self.results = results
        self.ids = ids

    def knows(self, id: str) -> bool:
        """Is there a task of this id?"""
        return id in self.ids

    def result_of(self, id: str) -> Any:
        """The result of a direct upstream; see `graflow.core._attempt.Attempt`."""
        from graflow.engine.attempt import no_upstream

        if id not in self.results:
            raise no_upstream(self.id, id, known=id in self.ids)
        return self.results[id]


def serve(inbox: int, outbox: int) -> None:
    """Run attempts until the other end is gone."""
    from graflow.core._attempt import ATTEMPT
    from graflow.core._recording import RECORDER
    from graflow.engine import codec
    from graflow.engine.attempt import noted, result_error
    from graflow.errors import GraflowError

    RECORDER.set(None)
    functions: dict[int, Any] = {}
    ids: frozenset[str] = frozenset()
    while (message := read_message(inbox)) is not None:
        id, number, blob, payload, upstream = codec.loads(message)
        try:
            if blob is not None:
                functions[number] = codec.loads(blob)
            args, kwargs = codec.loads(payload)
            if upstream is not None:
                results, known = codec.loads(upstream)
                if known is not None:
                    ids = known
                ATTEMPT.set(ChildAttempt(id, results, ids))
            else:
                ATTEMPT.set(ChildAttempt(id, {}, ids))
            value = functions[number](*args, **kwargs)
            if type(value) is CoroutineType:
                import asyncio

                value = asyncio.run(_await(value))
            error = result_error(id, value)
            if error is not None:
                raise error
            reply = b"+" + _result(codec, id, value)
        except BaseException as raised:  # noqa: BLE001  # the body of a task may raise anything
            if not isinstance(raised, GraflowError):
                noted(raised, id)
            reply = b"-" + codec.dump_exception(raised)
        value = args = kwargs = results = payload = upstream = message = None
        ATTEMPT.set(None)
        write_message(outbox, reply)


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
        serve(inbox, outbox)
    # As the interpreter does at its end, but without waiting for threads that a body left behind.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
