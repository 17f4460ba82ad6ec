"""The store of the command line: where it lies, how runs are found in it, and what it says where it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

from graflow.cli._trouble import Trouble, short_path
from graflow.errors import ConfigurationError, RunConflictError, SerializationError, StoreError
from graflow.show.text import clean
from graflow.stores.store import LogRow, RunRow, Store

if TYPE_CHECKING:
    from graflow.runners.local import Executor

VARIABLE = "GRAFLOW_STORE"
_SHORTEST = 4
_MOST_NAMED = 10
#: Ids of this length and shape are ours; a user who names a run wants to see the whole name.
_OURS = (36, 4)


def path_of(given: str | None, folder: str) -> str:
    """Where the store lies: what the user typed, or the environment says, or the usual place; absolute.

    Args:
        given: the option.
        folder: the working directory in which the command was called.
    """
    from graflow.stores.sqlite import DEFAULT_PATH

    return os.path.join(folder, given or os.environ.get(VARIABLE) or DEFAULT_PATH)


def option_for(given: str | None) -> str:
    """What to type behind another command so that it finds this store."""
    return f" --store {quote(given)}" if given else ""


@contextlib.contextmanager
def store_to_write(path: str) -> Iterator[Store]:
    """Open the store, and make it if there is none.

    Raises:
        Trouble: it cannot be opened or written.
    """
    from graflow.stores import SQLiteStore

    try:
        store = SQLiteStore(path)
    except StoreError as error:
        raise Trouble(f"{error}\n--store PATH keeps the run elsewhere, --no-store keeps nothing of it") from error
    with contextlib.closing(store):
        yield store


@contextlib.contextmanager
def store_to_read(path: str) -> Iterator[Store]:
    """Open a store that exists; reading makes no file.

    Raises:
        Trouble: there is none, or it cannot be read, now or later in the block.
    """
    from graflow.stores import SQLiteStore

    if not os.path.exists(path):
        raise Trouble(
            f"no runs are kept in {short_path(path)}: `graflow run` makes that file; for another one use --store PATH "
            f"or set {VARIABLE}"
        )
    with refusals(), contextlib.closing(SQLiteStore(path, must_exist=True)) as store:
        yield store


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """What a store or a runner refuses is the user's trouble.

    Raises:
        Trouble: in place of what they raise.
    """
    try:
        yield
    except (ConfigurationError, SerializationError, RunConflictError, StoreError) as error:
        raise Trouble(str(error)) from error


# ── runs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def find(store: Store, text: str) -> RunRow:
    """The run of this id, or the only one whose id begins so.

    Raises:
        StoreError: there is none, or there are several.
    """
    row = store.find(text)
    return store.stored(text).row if row is None else row  # which says what comes close


def short_id(store: Store, id: str) -> str:
    """How to name a run in as few characters as name no other; a name that the user gave is kept whole."""
    if (len(id), id.count("-")) != _OURS:
        return id
    for length in range(_SHORTEST, len(id)):
        try:
            row = store.find(id[:length])
        except StoreError:  # several begin so
            continue
        if row is not None and row.id == id:
            return id[:length]
    return id


def choices(name: str, changed: tuple[str, ...], elsewhere: str) -> str:
    """What the user may do where tasks changed since a run began.

    Args:
        name: of the run.
        changed: the tasks; none says that the workflow as a whole did.
        elsewhere: to type behind a command so that it finds the store.
    """
    shown = ", ".join(map(repr, changed[:_MOST_NAMED]))
    more = f" and {len(changed) - _MOST_NAMED:,} more" if len(changed) > _MOST_NAMED else ""
    what = f"the code or the inputs of {shown}{more}" if changed else "the workflow"
    return (
        f"{what} changed since run {name} began; choose:\n"
        f"- graflow resume {name} --changed rerun{elsewhere}   runs again what changed, and what depends on it\n"
        f"- graflow resume {name} --changed keep{elsewhere}    keeps all that succeeded"
    )


class Launch(NamedTuple):
    """What `run` was told and `resume` needs again."""

    workflow: str
    """As it was typed; of a file, the absolute path."""
    app_dir: str | None
    folder: str
    """The working directory."""
    executor: Executor | None
    max_workers: int | None

    @classmethod
    def read(cls, target: str | None) -> Launch | None:
        """What the store has; None if a program started the run, or something else than this command wrote it."""
        try:
            fields = json.loads(target or "null")
        except ValueError:
            return None
        if not isinstance(fields, dict) or not all(name in fields for name in cls._fields):
            return None
        return cls(**{name: fields[name] for name in cls._fields})

    def text(self) -> str:
        """For the store."""
        return json.dumps(self._asdict())


def launch(
    workflow: str, app_dir: str | None, folder: str, executor: Executor | None, max_workers: int | None
) -> Launch:
    """Note down a call so that it holds from every working directory."""
    from graflow.cli._load import parse

    target = parse(workflow)
    if target.is_file:
        source = os.path.join(folder, target.source)
        workflow = target._replace(source=source).with_name(target.name) if target.name else source
    return Launch(workflow, app_dir and os.path.join(folder, app_dir), folder, executor, max_workers)


# ── times and logs ──────────────────────────────────────────────────────────────────────────────────────────────────


def date(at: float) -> str:
    """A moment as the clock on the wall showed it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def clock(at: float) -> str:
    """The time of day of a moment."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def log_lines(rows: list[LogRow]) -> Iterator[str]:
    """What a task logged; the further lines of a text are indented."""
    for row in rows:
        first, *rest = clean(row.text).split("\n")
        yield f"{clock(row.at)} {row.level:<7} {row.logger}: {first}"
        yield from (f"    {line}" for line in rest)
