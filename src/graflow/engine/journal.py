"""What a run needs of whoever keeps its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from graflow.engine.logs import LogLines


#: A task, the number of its attempt, the state it is in now, when the attempt started and ended (as the clock tells
#: it), its worker, its result as `graflow.engine.payload.payload_of` gives it, its error.
Ended: TypeAlias = tuple[int, int, int, float, float, int, Any, BaseException | None]


class Journal(Protocol):
    """Keeps what happened; `graflow.stores.journal.Journal` does.

    The lists are appended to with the execution's lock held. Whoever keeps the journal empties them, and looks at them
    often enough; nobody tells it.
    """

    begun: list[tuple[int, int]]
    """Of the attempts that began: task and number."""
    past: list[Ended]
    """What ended."""

    def open(self) -> None:
        """The run begins."""

    def close(self) -> None:
        """The run has ended: wait until everything is kept.

        Raises:
            StoreError: it could not be kept.
        """

    def logs(self, i: int, attempt: int, lines: LogLines) -> None:
        """An attempt begins to write to its log; called from any thread."""

    def arrives(self, i: int, value: Any) -> bool:
        """Keep at once what arrives for a signal; False if something arrived before. Called from any thread.

        Raises:
            SerializationError: the value cannot be stored.
            StoreError: it could not be kept.
        """
        ...
