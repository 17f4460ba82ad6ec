"""The classes that are known not to travel to another process: why, and what to do instead.

An object of one of them is at fault as a whole; nobody wants to read about the locks inside a thread pool.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """Some classes that never travel, why, and what to do instead.

    Attributes:
        classes: their full names; their subclasses are meant too.
        why: half a sentence.
        cure: half a sentence.
    """

    classes: str
    why: str
    cure: str


_KINDS: Final = {
    name: kind
    for kind in (
        Kind(
            "_thread.lock _thread.RLock threading._RLock threading.Condition threading.Semaphore threading.Event "
            "threading.Barrier multiprocessing.synchronize.SemLock multiprocessing.synchronize.Condition "
            "multiprocessing.synchronize.Event",
            "a lock, condition, semaphore or event holds only within the process that made it",
            "create it inside the task; to count or collect across tasks, return values and combine them downstream",
        ),
        Kind(
            "_io.FileIO _io.TextIOWrapper _io.BufferedReader _io.BufferedWriter _io.BufferedRandom _io.BufferedRWPair "
            "tempfile._TemporaryFileWrapper zipfile.ZipFile tarfile.TarFile",
            "an open file belongs to the process that opened it",
            "pass the path and open it inside the task",
        ),
        Kind(
            "_socket.socket ssl.SSLObject _ssl._SSLContext select.epoll multiprocessing.connection._ConnectionBase",
            "a connection belongs to the process that opened it",
            "pass the address and connect inside the task",
        ),
        Kind(
            "sqlite3.Connection sqlite3.Cursor sqlite3.Blob psycopg.BaseConnection psycopg2.extensions.connection "
            "psycopg2.extensions.cursor pymysql.connections.Connection asyncpg.connection.Connection "
            "sqlalchemy.engine.base.Engine sqlalchemy.engine.base.Connection sqlalchemy.orm.session.Session "
            "pymongo.mongo_client.MongoClient redis.client.Redis redis.asyncio.client.Redis",
            "a database connection belongs to the process that opened it",
            "pass the connection string and connect inside the task",
        ),
        Kind(
            "builtins.generator builtins.async_generator",
            "a generator is a computation under way, in this process",
            "pass list(...) of it, or make it inside the task",
        ),
        Kind(
            "builtins.coroutine _asyncio.Future asyncio.futures.Future asyncio.events.AbstractEventLoop "
            "asyncio.runners.Runner",
            "it belongs to the event loop of this process",
            "make the task an async function and await inside it",
        ),
        Kind(
            "concurrent.futures._base.Executor concurrent.futures._base.Future threading.Thread "
            "multiprocessing.process.BaseProcess multiprocessing.pool.Pool subprocess.Popen",
            "it is work under way in this process",
            "start it inside the task, or make the work tasks of the workflow",
        ),
        Kind(
            "queue.Queue _queue.SimpleQueue multiprocessing.queues.Queue multiprocessing.queues.SimpleQueue",
            "a queue connects the threads and processes of one machine only",
            "pass the items as a list, and return the results",
        ),
        Kind(
            "weakref.ReferenceType weakref.WeakValueDictionary weakref.WeakKeyDictionary",
            "a weak reference does not keep what it refers to, so nothing would arrive",
            "pass the object itself",
        ),
        Kind(
            "_ctypes._Pointer _ctypes._SimpleCData _ctypes.CFuncPtr ctypes.CDLL",
            "an address means nothing in another process",
            "pass the data, and load the library or make the pointer inside the task",
        ),
        Kind("mmap.mmap", "a memory map belongs to this process", "pass the path and map the file inside the task"),
        Kind(
            "builtins.frame builtins.traceback",
            "it shows a call under way in this process",
            "pass its text, as traceback.format_exception gives it",
        ),
        Kind(
            "_contextvars.ContextVar _contextvars.Context _contextvars.Token _thread._local",
            "its value is known only to the thread or context that set it",
            "pass the value itself",
        ),
        Kind(
            "logging.Handler",
            "a log handler writes for this process",
            "set up logging inside the task; a logger travels by its name",
        ),
        Kind("re.Match", "a match cannot be pickled", "pass the text it matched, as match.group() gives it"),
    )
    for name in kind.classes.split()
}


def type_name(obj: object) -> str:
    """The full name of an object's class; of a builtin class the bare name."""
    cls = type(obj)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def find_kind(obj: object) -> Kind | None:
    """The entry for the nearest class of an object, found by name: nothing must be imported to recognise it."""
    for base in type(obj).__mro__:
        kind = _KINDS.get(f"{base.__module__}.{base.__qualname__}")
        if kind is not None:
            return kind
    return None
