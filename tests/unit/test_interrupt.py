"""Ctrl-C: whenever it strikes, the run ends, nothing stays behind, and the KeyboardInterrupt goes on."""

from __future__ import annotations

import _thread
import os
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pytest

import graflow
from graflow import LocalRunner, Task, TaskState, Workflow

pytestmark = pytest.mark.timeout(90)

PATIENCE = 15
HOME = str(Path(graflow.__file__).parent)


# ── a real program, a real signal ───────────────────────────────────────────────────────────────────────────────────

PRELUDE = """
    import asyncio, os, signal, subprocess, sys, threading, time
    from graflow import LocalRunner, Task, Workflow

    def say(*words):
        os.write(1, (" ".join(map(str, words)) + "\\n").encode())

    def run(*tasks, **options):
        built = Workflow.builder("w").add_all(tasks).build()
        try:
            return built.run(runner=LocalRunner(**options))
        except KeyboardInterrupt:
            say("interrupted", *sorted(one.name for one in threading.enumerate() if one.name.startswith("graflow")))
            raise

    def say_when_cancelled():
        from graflow.runners.local import LocalHandle

        begin = LocalHandle.__init__

        def watch(handle):
            if any(type(event).__name__ == "CancelRequested" for event in handle.events()):
                say("cancelled")

        def begin_and_watch(handle, *args):
            begin(handle, *args)
            threading.Thread(target=watch, args=(handle,), daemon=True).start()

        LocalHandle.__init__ = begin_and_watch
"""


class Program:
    """A program that runs a workflow, in a process group of its own as a shell would give it."""

    def __init__(self, source: str, errors: IO[bytes]) -> None:
        self.errors = errors
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PRELUDE) + textwrap.dedent(source)],
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def line(self) -> list[str]:
        """The words of the next line it prints."""
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], PATIENCE)[0], "the program says nothing"
        # Read byte by byte: a buffered reader would take more than the line, which `select` could not see.
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self.process.stdout.fileno(), 1)
            assert byte, f"the program ended: {self.complaints()}"
            line += byte
        return line.decode().split()

    def interrupt(self) -> None:
        """Ctrl-C: every process of the group gets the signal."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> str:
        """Wait for its end, by the signal as the shell expects it; what it wrote to stderr."""
        assert self.process.wait(PATIENCE) == -signal.SIGINT
        return self.complaints()

    def left_nobody(self) -> bool:
        """Whether all that it started, and what that started, has ended: all of them hold its output open."""
        assert self.process.stdout is not None
        ended = select.select([self.process.stdout], [], [], PATIENCE)[0]
        return bool(ended) and os.read(self.process.stdout.fileno(), 1) == b""

    def complaints(self) -> str:
        self.errors.seek(0)
        return self.errors.read().decode()


@contextmanager
def program(source: str) -> Iterator[Program]:
    with tempfile.TemporaryFile() as errors:
        one = Program(source, errors)
        with one.process:
            try:
                yield one
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(one.process.pid, signal.SIGKILL)


def test_inline_the_body_is_interrupted() -> None:
    with program("""
        def body():
            say("inside")
            time.sleep(600)

        body = Task("body", body)
        run(body, Task("next", say)("never").after(body), executor="inline")
    """) as one:
        assert one.line() == ["inside"]
        one.interrupt()
        assert one.line() == ["interrupted"]
        errors = one.end()
        assert "KeyboardInterrupt" in errors
        assert "Exception ignored" not in errors
        assert one.left_nobody()


def test_threads_end_the_task_they_run() -> None:
    with program("""
        def body():
            say("inside")
            signal.sigwait({signal.SIGUSR1})
            say("through")

        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        say_when_cancelled()
        body = Task("body", body)
        run(body, Task("next", say)("never").after(body), max_workers=2)
    """) as one:
        assert one.line() == ["inside"]
        one.interrupt()
        assert one.line() == ["cancelled"]
        os.kill(one.process.pid, signal.SIGUSR1)
        assert one.line() == ["through"]
        assert one.line() == ["interrupted"]
        one.end()


def test_a_second_interrupt_abandons_a_thread_that_hangs() -> None:
    with program("""
        def body():
            say("inside")
            threading.Event().wait()

        say_when_cancelled()
        run(Task("body", body), max_workers=2)
    """) as one:
        assert one.line() == ["inside"]
        one.interrupt()
        assert one.line() == ["cancelled"]
        one.interrupt()
        assert one.line() == ["interrupted", "graflow-1-1"]
        one.end()


def test_processes_are_ended_and_what_they_started_with_them() -> None:
    """Ctrl-C goes to the whole group; a program that a body started must not be deaf to it."""
    with program("""
        def body(k):
            other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            say("inside", os.getpid(), other.pid)
            other.wait()

        one = Task("body", body)
        run(one(0).named("a"), one(1).named("b"), executor="processes", max_workers=2)
    """) as one:
        pids = [word for words in (one.line(), one.line()) for word in words[1:]]
        assert len(set(pids)) == 4
        one.interrupt()
        assert one.line() == ["interrupted"]
        errors = one.end()
        assert "Exception ignored" not in errors
        assert one.left_nobody()


def test_async_tasks_are_cancelled() -> None:
    with program("""
        async def body():
            say("inside")
            try:
                await asyncio.Event().wait()
            finally:
                say("cleaned")

        run(Task("body", body))
    """) as one:
        assert one.line() == ["inside"]
        one.interrupt()
        assert one.line() == ["cleaned"]
        assert one.line() == ["interrupted"]
        assert "Task was destroyed" not in one.end()


def test_all_kinds_at_once() -> None:
    with program("""
        go = threading.Event()

        async def waits():
            say("async")
            try:
                await asyncio.Event().wait()
            finally:
                go.set()  # the cancellation came this far

        def remote():
            say("process")
            time.sleep(600)

        def thread():
            say("thread")
            go.wait()

        def inline():
            say("inline")
            time.sleep(600)

        run(Task("waits", waits), Task("remote", remote, executor="processes"), Task("thread", thread),
            Task("inline", inline, executor="inline"), max_workers=2)
    """) as one:
        assert sorted(one.line()[0] for _ in range(4)) == ["async", "inline", "process", "thread"]
        one.interrupt()
        assert one.line() == ["interrupted"]
        one.end()
        assert one.left_nobody()


# ── at any point ────────────────────────────────────────────────────────────────────────────────────────────────────


class Striker:
    """Raises KeyboardInterrupt where a real one can strike: at a call, and when a C function returns to our code.

    Counted from the moment at which the workers start: what comes before has nobody to tell.
    """

    def __init__(self, number: int) -> None:
        self.left = number
        self.begun = False
        self.where = ""

    def __call__(self, frame: Any, event: str, arg: Any) -> None:
        code = frame.f_code
        room, _, file = code.co_filename.removeprefix(HOME).strip("/").partition("/")
        if event not in ("call", "c_return") or room not in ("runners", "engine"):
            return
        self.begun = self.begun or (file, code.co_name) == ("_workers.py", "start")
        self.left -= self.begun
        if self.left == 0:
            self.where = f"{file}:{frame.f_lineno} {code.co_name} ({event})"
            sys.setprofile(None)
            raise KeyboardInterrupt


@contextmanager
def rescue(seconds: float) -> Iterator[list[str]]:
    """If the code inside hangs, strike once more, as an impatient user would; the list then is not empty."""
    struck: list[str] = []

    def strike() -> None:
        struck.append("it took a second Ctrl-C")
        _thread.interrupt_main()

    timer = threading.Timer(seconds, strike)
    timer.start()
    try:
        yield struck
    finally:
        timer.cancel()
        timer.join()


@pytest.mark.parametrize("kind", ["inline", "mixed"])
def test_at_any_point_of_an_inline_run(kind: str) -> None:
    a = Task("a", lambda: 1)
    b = Task("b", lambda x: [x], executor="threads" if kind == "mixed" else None)(a.out)
    c = Task("c", lambda x, y: 1)([a.out], y=b.out)
    built = Workflow.builder("w").add_all([a, b, c]).build()
    runner = LocalRunner("inline", 1)
    faults: list[str] = []
    number, striker = 0, Striker(0)
    while (striker.where or not number) and len(faults) < 3:  # until one did not strike any more
        number += 1
        striker, before = Striker(number), set(threading.enumerate())
        with rescue(3) as struck:
            try:
                sys.setprofile(striker)
                built.run(runner=runner)
            except BaseException as error:
                if type(error) is not KeyboardInterrupt:
                    faults.append(f"{striker.where} raises {error!r}")
            finally:
                sys.setprofile(None)
        faults += [f"{striker.where}: {what}" for what in struck]
        for thread in set(threading.enumerate()) - before:
            thread.join(1)
            if thread.is_alive():
                faults.append(f"{striker.where} leaves {thread.name}")
    assert not faults
    assert number > 20


def test_a_body_that_raises_it_ends_the_run_too() -> None:
    ran: list[str] = []

    def body() -> None:
        ran.append("body")
        raise KeyboardInterrupt

    bad = Task("bad", body)
    built = Workflow.builder("w").add(bad).add(Task("later", ran.append)("later").after(bad)).build()
    with pytest.raises(KeyboardInterrupt):
        built.run(runner=LocalRunner("inline"))
    assert ran == ["body"]


def test_in_the_background_it_is_the_failure_of_one_task() -> None:
    def body() -> None:
        raise KeyboardInterrupt

    built = Workflow.builder("w").add(Task("bad", body)).add(Task("good", lambda: 1)).build()
    run = LocalRunner("inline").start(built, check=False).wait(PATIENCE)
    assert (run.tasks["bad"].state, run["good"]) == (TaskState.FAILED, 1)
