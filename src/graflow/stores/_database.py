"""One SQLite database: opened, shared by threads, by processes and across a fork.

Every use goes through `Database.reading`, `Database.exclusive` or `Database.writing`.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from graflow.errors import StoreError
from graflow.stores import _schema
from graflow.stores._trouble import failed, told

BUSY_SECONDS: Final = 60.0
"""How long to wait for another program that has locked the database; processes of graflow queue for a file lock."""

_OPEN: Final[weakref.WeakSet[Database]] = weakref.WeakSet()
_PAUSED: Final[list[Database]] = []
_FORKING: Final = threading.Lock()


class Database:
    """A connection that threads share, and the lock for which the processes that write it queue.

    SQLite alone would let writers poll for their turn, and give up; a file lock wakes them.

    Args:
        path: where the database lies, absolute.
        must_exist: refuse to make it.

    Raises:
        StoreError: it cannot be opened.
    """

    def __init__(self, path: Path, *, must_exist: bool) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._queue = -1
        self._shut: Callable[[], object] | None = None
        self._inode: tuple[int, int] | None = None
        self._closed = False
        _OPEN.add(self)
        with self._lock, told("open", path):
            self._look(must_exist=must_exist)
            self._connected(may_create=not must_exist)

    @contextmanager
    def reading(self, *, snapshot: bool = False) -> Iterator[sqlite3.Connection]:
        """Read; with a snapshot, every statement sees the same state of the database."""
        with self._lock, told("read", self.path):
            connection = self._connected()
            if not snapshot:
                yield connection
                return
            with transaction(connection, "BEGIN"):
                yield connection

    @contextmanager
    def exclusive(self) -> Iterator[sqlite3.Connection]:
        """Keep every other writer out, of this process or another."""
        with self._lock, told("write to", self.path):
            connection = self._connected()
            with self._turn():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Write in one transaction, which an exception undoes."""
        with self.exclusive() as connection, transaction(connection):
            yield connection

    def close(self) -> None:
        """Close it; closing twice is fine."""
        with self._lock:
            self._closed = True
            self._disconnect()

    def pause(self) -> None:
        """Wait until no thread uses it, close it, and keep threads from using it until `go_on`.

        For a fork: SQLite keeps the books of its locks in memory. A copy of them in another process would be wrong, and
        a connection that believed them would not be locked at all.
        """
        self._lock.acquire()
        with suppress(StoreError):  # who uses it next is told
            self._disconnect()

    def go_on(self) -> None:
        """Open it anew with its next use, in this process or the forked one."""
        self._lock.release()

    def _disconnect(self) -> None:
        shut, self._shut, self._connection = self._shut, None, None
        if shut is not None:
            with told("close", self.path):
                fcntl.flock(self._queue, fcntl.LOCK_EX)  # nobody opens it while the last one clears up
                shut()

    def _look(self, *, must_exist: bool) -> None:
        """Find what is certainly in the way, for SQLite would say less about it."""
        path = self.path
        if path.is_dir():
            raise failed("open", path, "it is a directory", "name a file")
        if must_exist and not path.exists():
            raise failed("open", path, "there is no such file", "start a run with this store, or name another one")
        folder = path.parent
        if not folder.exists():
            folder.mkdir(parents=True)
            if folder.name == ".graflow":
                (folder / ".gitignore").write_text("*\n")
        for place in (folder, path) if path.exists() else (folder,):
            if not os.access(place, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
                raise failed("open", path, f"{place} is read-only", "make it writable, or name another store")

    def _connected(self, *, may_create: bool = False) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        if self._closed:
            raise failed("use", self.path, "it is closed", "open it again")
        if self._inode is not None:
            self._check_place()
        queue = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(queue, fcntl.LOCK_EX)
            connection = _connect(self.path, may_create=may_create)
            fcntl.flock(queue, fcntl.LOCK_UN)
            status = self.path.stat()
        except BaseException:
            os.close(queue)
            raise
        self._inode = (status.st_dev, status.st_ino)
        self._queue, self._connection = queue, connection
        self._shut = shut = weakref.finalize(self, _shut, connection, queue)
        shut.atexit = False  # a thread may be writing until the very end
        return connection

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for the file lock, in the order of arrival, and hold it."""
        fcntl.flock(self._queue, fcntl.LOCK_EX)
        try:
            self._check_place()
            yield
        finally:
            fcntl.flock(self._queue, fcntl.LOCK_UN)

    def _check_place(self) -> None:
        """Refuse to write where nobody reads: SQLite goes on happily after its file was deleted."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            raise failed("write to", self.path, "the file was deleted", "open the store anew") from None
        if (status.st_dev, status.st_ino) != self._inode:
            raise failed("write to", self.path, "another file took its place", "open the store anew")


def _connect(path: Path, *, may_create: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA cell_size_check=ON")
        _schema.prepare(connection, path, may_create=may_create)
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
        connection.execute("PRAGMA synchronous=NORMAL")  # with such a log a power cut costs moments, and harms nothing
    except BaseException:
        connection.close()
        raise
    return connection


def _shut(connection: sqlite3.Connection, queue: int) -> None:
    try:
        connection.close()  # the last one moves the log into the database
    finally:
        os.close(queue)


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All of the block or nothing."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk or an I/O error has undone it already
            connection.execute("ROLLBACK")
        raise


def _before_fork() -> None:
    _FORKING.acquire()
    for database in list(_OPEN):
        _PAUSED.append(database)
        database.pause()


def _after_fork() -> None:
    while _PAUSED:
        _PAUSED.pop().go_on()
    _FORKING.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
