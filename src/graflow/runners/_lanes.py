"""The workers of one kind: who waits, and how many there may be."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from graflow.runners._workers import Crew

INLINE: Final = 0
THREADS: Final = 1
PROCESSES: Final = 2
ASYNC: Final = 3


class Lane:
    """The workers of one kind: those that wait, and how many there may be. Guarded by the execution's lock."""

    def __init__(self, crew: Crew, number: int, limit: int) -> None:
        self.number = number
        self.crew = crew
        self.limit = limit
        self.ready = crew.execution.machine.ready[number]
        self.condition = threading.Condition(crew.execution.lock)
        self.idle = 0
        self.workers = 0
        self.begun = 0
        self.abandoned: set[int] = set()

    def spread(self, keep: int) -> None:
        """Wake or start workers for the ready tasks, of which the caller takes ``keep`` itself. With the lock held."""
        work = len(self.ready) - keep
        if work <= 0:
            return
        if self.idle:
            woken = min(work, self.idle)
            self.condition.notify(woken)
            # Counted as busy from now on, so that the next commit does not wake them again.
            self.idle -= woken
            work -= woken
        while work > 0 and self.workers < self.limit:
            self.workers += 1
            self.begun += 1
            work -= 1
            try:
                self.crew.start_thread(self, self.begun)
            except RuntimeError:  # the system has no more threads to give: go on with those that are there
                self.workers -= 1
                if not self.workers:
                    raise
                return

    def wait(self) -> None:
        """Sleep until there is work or the run ends. With the lock held."""
        self.idle += 1
        self.condition.wait()

    def wake_all(self) -> None:
        """Have every worker look again. With the lock held."""
        self.idle = 0
        self.condition.notify_all()

    def work(self, number: int) -> None:
        """What a worker of this lane does until the run ends."""
        self.crew.work_here(self, self.crew.execution.add_worker(f"thread-{number}"))

    def abandon(self, worker: int) -> None:
        """Count on a worker no more: its body does not end, and nobody can end a thread. With the lock held.

        It leaves when it comes back, and another takes its place.
        """
        self.abandoned.add(worker)
        self.workers -= 1
