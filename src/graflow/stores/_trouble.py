"""What SQLite and the operating system raise, said as a `StoreError`: what, why, and the cure."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from graflow.errors import StoreError

_FULL: Final = ("the disk is full", "free some space, prune old runs, or name a store on another disk")
_READ_ONLY: Final = ("the file or its directory is read-only", "make both writable, or name another store")
_GONE: Final = ("a file or directory of the store is gone", "open the store anew, or name another one")
_DAMAGED: Final = (
    "the database is damaged",
    "restore it from a copy, or move it and what lies beside it away to begin anew",
)
_LOCKED: Final = ("another program keeps it locked", "close whatever else has the file open, and try again")
_NO_LOCKS: Final = ("its file system has no locks", "name a store on a local disk")
_DISK: Final = ("the disk reports an error", "look at the system's log, and name a store on another disk")
_CANNOT_OPEN: Final = ("SQLite cannot open the file", "check that it and its directory exist and are writable")
_TOO_LARGE: Final = ("one value is larger than SQLite can hold", "return a path in place of the value itself")
_OPEN_FILES: Final = ("this process has too many open files", "raise the limit (ulimit -n), or run fewer at once")

# By the primary result code, which is the low byte of what SQLite gives.
_BY_CODE: Final = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _CANNOT_OPEN,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: ("it is not a graflow store", "name another file"),
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_PROTOCOL: _LOCKED,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_TOOBIG: _TOO_LARGE,
}
_BY_ERRNO: Final = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.EROFS: _READ_ONLY,
    errno.ENOENT: _GONE,
    errno.ENOTDIR: ("a part of its path is a file where a directory should be", "name another store"),
    errno.EEXIST: ("a part of its path is a file where a directory should be", "name another store"),
    errno.EISDIR: ("a directory lies where a file should be", "name another store"),
    errno.ENOLCK: _NO_LOCKS,
    errno.ENOSYS: _NO_LOCKS,
    errno.EOPNOTSUPP: _NO_LOCKS,
    errno.EIO: _DISK,
    errno.EMFILE: _OPEN_FILES,
    errno.ENFILE: _OPEN_FILES,
}


def failed(doing: str, path: Path, reason: str, cure: str) -> StoreError:
    """The error that says all three."""
    return StoreError(f"cannot {doing} the store {path}: {reason}; {cure}")


class DamagedError(Exception):
    """What was read is not what was written; the message says what. Leaves the stores as a `StoreError`."""


@contextmanager
def told(doing: str, path: Path) -> Iterator[None]:
    """Raise what the block raises as a `StoreError`; ``doing`` is what it does: ``open``, ``read``, ``write to``."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)  # absent from errors of the module itself
        known = _BY_CODE.get(code & 0xFF) if code is not None else None
        if (
            known is None
            and isinstance(error, sqlite3.DataError | sqlite3.OperationalError)
            and "too big" in str(error)
        ):
            known = _TOO_LARGE
        if known is None and "decode to UTF-8" in str(error):
            known = _DAMAGED
        reason, cure = known or (str(error), "name another store if this goes on")
        raise failed(doing, path, f"{reason} ({error})" if known else reason, cure) from error
    except OSError as error:
        known = _BY_ERRNO.get(error.errno or 0)
        reason, cure = known or (error.strerror or str(error), "name another store if this goes on")
        at = f" ({error.filename})" if error.filename is not None else ""
        raise failed(doing, path, f"{reason}{at}", cure) from error
    except UnicodeDecodeError as error:
        raise failed(doing, path, *_DAMAGED) from error
    except DamagedError as error:
        raise failed(doing, path, str(error), _DAMAGED[1]) from None
    except UnicodeEncodeError as error:
        raise failed(doing, path, f"a text has half a character in it ({error})", "use whole ones in ids") from error
    except OverflowError as error:  # what Python raises before SQLite sees a value of 2 GiB or more
        raise failed(doing, path, *_TOO_LARGE) from error
