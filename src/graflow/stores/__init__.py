"""Where runs are kept: what they were given, what became of each task, results, logs and the cache.

`MemoryStore` keeps them as long as the process lives, `SQLiteStore` in a file; both are a `Store`.
Importing this package is cheap: SQLite loads with the first use of `SQLiteStore`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graflow.stores.memory import MemoryStore
from graflow.stores.store import (
    ITEMS,
    AttemptRow,
    CacheRow,
    Claim,
    LogRow,
    NewRun,
    RunRow,
    Store,
    StoredRun,
    Successes,
)

if TYPE_CHECKING:
    from graflow.stores.sqlite import SQLiteStore

__all__ = [
    "ITEMS",
    "AttemptRow",
    "CacheRow",
    "Claim",
    "LogRow",
    "MemoryStore",
    "NewRun",
    "RunRow",
    "SQLiteStore",
    "Store",
    "StoredRun",
    "Successes",
]

if not TYPE_CHECKING:  # or a checker would let any misspelt name pass

    def __getattr__(name):
        if name != "SQLiteStore":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from graflow.stores.sqlite import SQLiteStore

        return SQLiteStore

    def __dir__():
        return sorted({*globals(), "SQLiteStore"})
