"""What is known of one run: results, errors, times, and what can be told from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from graflow.core.outcome import Failed, Ok, Skipped
from graflow.core.plan import Plan
from graflow.core.run import AttemptRecord, Origin, RunState, TaskRecord, TaskState
from graflow.engine.attempt import said
from graflow.engine.machine import Machine
from graflow.engine.rules import CANCELLED, FAILED, RETRYING, RUNNING, SKIPPED, STATES, SUCCEEDED
from graflow.errors import ResultUnavailableError

Keep = Literal["all", "returns"]


class _Mark:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


#: In the slot of a result that nobody can need any more.
RELEASED: Final = _Mark("RELEASED")
#: In the slot of a result that does not exist yet.
PENDING: Final = _Mark("PENDING")


class Stored:
    """In the slot of a result that lies in a store, and is fetched when somebody asks for it."""

    __slots__ = ("load",)

    def __init__(self, load: Callable[[], Any]) -> None:
        self.load = load


class Ledger:
    """The books of one run; `graflow.engine.drive.Execution` keeps them.

    Attributes:
        id: of the run.
        plan: what runs.
        machine: says what follows.
        slots: results, inputs, constants and outcomes; see `graflow.core.plan`.
        errors: task → what its last attempt raised, of tasks that failed.
        past: task → its attempts before the last one.
        sources: task → where its result came from, if no body of this run gave it.
        notes: task → what else is to be said of it: why it ran or not where a cache or a store knew a result.
        started: per task, when its last attempt started.
        ended: per task, when it ended.
        worker: per task, the number of the worker that ran it.
        workers: the names of workers, by number.
        epoch: what to add to these times to get seconds since the epoch.
        fatal: an error in graflow itself that ended the run before its time.
    """

    def __init__(self, id: str, plan: Plan, inputs: Any, machine: Machine) -> None:
        n = len(plan.ids)
        self.id = id
        self.plan = plan
        self.machine = machine
        self.slots: list[Any] = [PENDING] * plan.inputs_slot
        self.slots.append(inputs)
        self.slots.extend(plan.constants)
        self.errors: dict[int, BaseException] = {}
        self.past: dict[int, list[AttemptRecord]] = {}
        self.sources: dict[int, Origin] = {}
        self.notes: dict[int, str] = {}
        self.started = [0.0] * n
        self.ended = [0.0] * n
        self.worker = [0] * n
        self.workers: list[str] = [""]
        self.epoch = 0.0
        self.fatal: BaseException | None = None

    @property
    def state(self) -> RunState:
        """Where the run stands."""
        return RunState.FAILED if self.fatal is not None else self.machine.outcome

    def is_current(self, i: int, attempt: int) -> bool:
        """Is this the attempt whose end will count?"""
        return self.machine.states[i] == RUNNING and self.machine.attempts[i] == attempt

    def record(self, i: int) -> TaskRecord:
        """What became of a task so far."""
        machine = self.machine
        state = machine.states[i]
        last = self.last_attempt(i)
        return TaskRecord(
            id=self.plan.ids[i],
            state=STATES[state],
            attempts=machine.attempts[i],
            started=last.started if last is not None else None,
            duration=last.duration if last is not None else None,
            worker=last.worker if last is not None else None,
            error=last.error if last is not None else None,
            reason=self.reason(i),
            history=(*self.past.get(i, ()), *((last,) if last is not None and state != RETRYING else ())),
            source=self.sources.get(i, "run"),
        )

    def last_attempt(self, i: int) -> AttemptRecord | None:
        """The attempt that runs, or ran last; None if no body of this run was started."""
        state, number, past = self.machine.states[i], self.machine.attempts[i], self.past.get(i)
        if past and (state < RUNNING or state == RETRYING or past[-1].number == number):
            return past[-1]
        if not number or state < RUNNING:
            return None
        ended = state >= SUCCEEDED
        return AttemptRecord(
            number=number,
            state=STATES[state] if ended else TaskState.RUNNING,
            started=self.epoch + self.started[i],
            duration=max(0.0, self.ended[i] - self.started[i]) if ended else None,
            worker=self.workers[self.worker[i]] or None,
            error=self.errors.get(i),
        )

    def reason(self, i: int) -> str | None:
        """Why a task did not run, or ran where a result was known."""
        machine, ids = self.machine, self.plan.ids
        state = machine.states[i]
        if i in self.notes or state not in (SKIPPED, CANCELLED):
            return self.notes.get(i)
        if state == SKIPPED:
            return f"task {ids[machine.skipped_for[i]]!r} failed"
        if machine.expired:
            return "the run's time was up"
        if machine.cancel_reason is not None:
            return f"the run was cancelled: {machine.cancel_reason}"
        if machine.stopped_for is None:
            return "the run ended before it started"
        return f"the run stopped when task {ids[machine.stopped_for]!r} failed"

    def result(self, i: int) -> Any:
        """The result of a task.

        Raises:
            ResultUnavailableError: there is none; says why.
        """
        id, state = self.plan.ids[i], self.machine.states[i]
        if state == SUCCEEDED:
            value = self.slots[i]
            if type(value) is Stored:
                value = self.slots[i] = value.load()
            if value is RELEASED:
                raise ResultUnavailableError(
                    f"the result of task {id!r} was released when nobody needed it any more; run with keep='all' to "
                    f"read it afterwards"
                )
            return value
        if state == FAILED:
            error = self.errors[i]
            raise ResultUnavailableError(
                f"task {id!r} has no result: it failed with {type(error).__name__}: {said(error)}"
            ) from error
        why = self.reason(i) or f"it is {STATES[state]}"
        raise ResultUnavailableError(f"task {id!r} has no result: {why}")

    def outcome(self, i: int) -> Ok[Any] | Failed | Skipped:
        """How a task ended, as a value."""
        state = self.machine.states[i]
        if state == SUCCEEDED:
            return Ok(self.result(i))
        error = self.errors.get(i if state == FAILED else self._inner_failure(i))
        return Failed(error) if error is not None else Skipped(self.reason(i) or "")

    def _inner_failure(self, i: int) -> int:
        """Of a task that stands for a nested workflow: the task of that workflow for which it was skipped; or -1."""
        cause = self.machine.skipped_for.get(i, -1)
        if cause < 0 or i not in self.plan.workflow._structure.aliases:
            return -1
        return cause if self.plan.ids[cause].startswith(f"{self.plan.ids[i]}/") else -1


def readers(plan: Plan) -> list[int]:
    """Per task, how many others may still read its result, as an input or by `Block.get_result`."""
    count = [0] * len(plan.ids)
    for i in range(len(plan.ids)):
        for u in plan.workflow._structure.task_upstream(i):
            count[u] += 1
    if plan.returns is not None:
        count[plan.returns] += 1  # never read off, so never released
    return count
