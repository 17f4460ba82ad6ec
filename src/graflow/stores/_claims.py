"""Who runs what: a locked file for each run that a process has claimed.

The operating system gives up the lock when the process dies, however it dies, so no claim outlives its holder.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Final

# A lock belongs to the open file, not to the process: a second claim in this process conflicts as one elsewhere does.
# For the same reason a forked process would keep the locks of its parent alive; it closes them first of all.
_HELD: Final[weakref.WeakSet[RunLock]] = weakref.WeakSet()


class RunLock:
    """The lock of one run, held from `take` to `drop`; the collector drops one that was lost."""

    __slots__ = ("__weakref__", "_close", "_path")

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._close = weakref.finalize(self, os.close, descriptor)
        self._close.atexit = False  # the end of the process closes it anyway
        _HELD.add(self)

    @property
    def held(self) -> bool:
        """Whether it was not dropped yet."""
        return self._close.alive

    def drop(self, *, remove: bool = False) -> None:
        """Give it up; dropping twice is fine.

        Args:
            remove: the file as well. Only whoever keeps others from claiming may do so: who opened the file just
                before would lock one that nobody else can see.
        """
        if remove and self.held:
            with suppress(OSError):  # an empty file more; the lock is what counts
                self._path.unlink()
        self._close()


def take(path: Path) -> RunLock | None:
    """Lock a run for this process; None if a living process has it. The caller keeps others from claiming meanwhile.

    Raises:
        OSError: the file cannot be made or locked.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if _locked(descriptor):
            return RunLock(path, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _locked(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    # Somebody holds it, or only asks whether somebody does: those who ask share it, which a holder does not.
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return True
    return False


def is_held(path: Path) -> bool:
    """Whether a living process has locked a run.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _leave_to_parent() -> None:
    for lock in list(_HELD):
        lock.drop()


os.register_at_fork(after_in_child=_leave_to_parent)
