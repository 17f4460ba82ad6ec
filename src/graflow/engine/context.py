"""What the body of a task can ask of the attempt that runs it, where the run is in the same process."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Final

from graflow.engine.attempt import no_upstream

if TYPE_CHECKING:
    from logging import LogRecord

    from graflow.engine.channels import Channels
    from graflow.engine.drive import Execution
    from graflow.engine.logs import LogLine, LogLines

#: How long a body's progress is kept to itself before it is told again.
PROGRESS_SECONDS: Final = 0.1


class LocalAttempt:
    """The context of the attempt that one worker runs; see `graflow.core._attempt.Attempt`.

    One object serves all attempts of a thread in turn; only ``index`` and ``number`` change.
    """

    __slots__ = ("_execution", "_readable", "_told_at", "_told_of", "index", "lines", "number")

    def __init__(self, execution: Execution, index: int = -1, number: int = 0) -> None:
        self._execution = execution
        self._readable: tuple[int, frozenset[int]] = (-1, frozenset())
        self._told_at = -inf
        self._told_of = (-1, 0)
        self.index = index
        self.number = number
        self.lines: LogLines | None = None

    @property
    def run(self) -> str:
        """The id of the run."""
        return self._execution.id

    @property
    def workflow(self) -> str:
        """The name of the workflow."""
        return self._execution.plan.name

    @property
    def task(self) -> str:
        """The id of the task."""
        return self._execution.ids[self.index]

    @property
    def cancelled(self) -> bool:
        """Is the run called off, or did the attempt pass its timeout?"""
        execution = self._execution
        if execution.machine.closed or not execution.is_current(self.index, self.number):
            return True
        return execution.around is not None and execution.around.cancelled

    def report(self, done: float, total: float | None) -> None:
        """Tell how far the body is, at most a few times a second."""
        now, this = self._execution.clock.now(), (self.index, self.number)
        if now - self._told_at >= PROGRESS_SECONDS or done == total or this != self._told_of:
            self._told_at, self._told_of = now, this
            self._execution.progressed(self.index, self.number, done, total)

    def note(self, record: LogRecord) -> None:
        """Keep a line of the log, if anybody keeps it."""
        if self._execution.journal is not None:
            self._log().note(record)

    def keep(self, line: LogLine) -> None:
        """Keep a line that comes from another process."""
        self._log().keep(line)

    def drop(self, count: int) -> None:
        """That many further lines were not kept."""
        self._log().drop(count)

    def _log(self) -> LogLines:
        if self.lines is None:
            from graflow.engine.logs import LogLines

            self.lines = lines = LogLines()
            if self._execution.journal is not None:
                self._execution.journal.logs(self.index, self.number, lines)
        return self.lines

    def hand_over(self) -> None:
        """Close the log; at the end of the attempt, with the execution's lock held."""
        if self.lines is not None:
            self.lines.done, self.lines = True, None

    @property
    def channels(self) -> Channels:
        """The channels of the run; see `graflow.core._attempt.Attempt`."""
        if not self._execution.is_current(self.index, self.number):
            from graflow.engine.channels import too_late

            raise too_late(self.task)
        return self._execution.channels

    def knows(self, id: str) -> bool:
        """Is there a task of this id?"""
        return id in self._execution.plan.index

    def result_of(self, id: str) -> Any:
        """The result of a direct upstream."""
        plan = self._execution.plan
        reader, i = self.task, plan.index.get(id)
        if self._readable[0] != self.index:  # once for each task that reads: gates are flattened here
            owner = self._execution.owner(self.index)
            self._readable = self.index, frozenset(plan.workflow._structure.task_upstream(owner))
        if i is None or i not in self._readable[1]:
            raise no_upstream(reader, id, known=i is not None)
        result = self._execution.result(i)
        if self._execution.isolates:
            from graflow.engine import codec

            return codec.loads(codec.dumps(result))
        return result
