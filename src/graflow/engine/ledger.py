"""What is known of one run: results, errors, times, and what can be told from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from graflow.core._recipes import Recipe
from graflow.core.outcome import Failed, Ok, Skipped
from graflow.core.plan import Plan
from graflow.core.run import AttemptRecord, Origin, RunState, TaskRecord, TaskState
from graflow.engine.attempt import said
from graflow.engine.channels import Channels
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
        begun: task that went on with another → when its first turn started.
        worker: per task, the number of the worker that ran it.
        workers: the names of workers, by number.
        epoch: what to add to these times to get seconds since the epoch.
        fatal: an error in graflow itself that ended the run before its time.
        ids: per index, what a task or an item is called: those of the plan, and ``score[3]``.
        functions: those of the plan, and what a task goes on with.
        function_of: per index, the number of its callable.
        recipes: per index, where its arguments come from.
        policies: index → policy, of the tasks and items that have one.
        channels: what its tasks share.
    """

    def __init__(self, id: str, plan: Plan, inputs: Any, machine: Machine) -> None:
        # In a plan with maps, indexes from the number of slots on are items, and those between are nothing.
        n = machine.items.first if plan.maps else len(plan.ids)
        blank = n - len(plan.ids)
        self.ids: Sequence[str] = [*plan.ids, *[""] * blank] if plan.maps else plan.ids
        # Copies, because what a run does with a task may change while it runs.
        self.functions = plan.functions[:]
        self.function_of = plan.function_of + [0] * blank
        self.recipes: list[tuple[int, ...] | Recipe] = [*plan.recipes, *[()] * blank]
        self.policies = dict(plan.policies)
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
        self.begun: dict[int, float] = {}
        self.worker = [0] * n
        self.workers: list[str] = [""]
        self.epoch = 0.0
        self.fatal: BaseException | None = None
        self.channels = Channels()

    def name(self, i: int) -> tuple[str, int | None]:
        """The id of a task; of an item, the id of its map and its number."""
        items = self.machine.items
        if i < items.first or not items:
            return self.ids[i], None
        return self.ids[items.owner(i)], items.number(i)

    def owner(self, i: int) -> int:
        """The map of an item; a task itself."""
        items = self.machine.items
        return items.owner(i) if items and i >= items.first else i

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
            id=self.ids[i],
            state=STATES[state],
            attempts=machine.attempts[i],
            started=last.started if last is not None else None,
            duration=last.duration if last is not None else None,
            worker=last.worker if last is not None else None,
            error=last.error if last is not None else self.errors.get(i),
            reason=self.reason(i),
            history=(*self.past.get(i, ()), *((last,) if last is not None and state != RETRYING else ())),
            source=self.sources.get(i, "run"),
            items=len(machine.items.of[i]) if i in machine.items.of else None,
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
        machine, ids = self.machine, self.ids
        state = machine.states[i]
        if i in self.notes or state not in (SKIPPED, CANCELLED):
            return self.notes.get(i)
        if state == SKIPPED:
            rules = self.plan.rules
            refused = (gate for gate in self.plan.upstream[i] if gate in rules and machine.states[gate] == SKIPPED)
            return skip_reason(self, next(refused, machine.skipped_for[i]))
        if machine.expired:
            return "the run's time was up"
        if machine.cancel_reason is not None:
            return f"the run was cancelled: {machine.cancel_reason}"
        if machine.stopped_by is not None:
            return f"task {ids[machine.stopped_by]!r} stopped the run"
        if machine.stopped_for is None:
            return "the run ended before it started"
        return f"the run stopped when task {ids[machine.stopped_for]!r} failed"

    def result(self, i: int) -> Any:
        """The result of a task.

        Raises:
            ResultUnavailableError: there is none; says why.
        """
        id, state = self.ids[i], self.machine.states[i]
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

    def success(self, i: int, value: Any) -> Any:
        """How a task ended that has this result; of a map, a list of how its items did."""
        return list(map(Ok, value)) if i in self.plan.maps else Ok(value)

    def outcome(self, i: int) -> Any:
        """How a task ended, as a value; of a map that was opened, a list of how its items did."""
        state = self.machine.states[i]
        if state != SUCCEEDED and i in self.machine.items.of:
            return [self.outcome(j) for j in self.machine.items.of[i]]
        if state == SUCCEEDED:
            return self.success(i, self.result(i))
        error = self.errors.get(i if state == FAILED else self._inner_failure(i))
        return Failed(error) if error is not None else Skipped(self.reason(i) or "")

    def _inner_failure(self, i: int) -> int:
        """Of a task that stands for a nested workflow: the task of that workflow for which it was skipped; or -1."""
        cause = self.machine.skipped_for.get(i, -1)
        if cause < 0 or i not in self.plan.workflow._structure.aliases:
            return -1
        return cause if cause in self.errors and self.ids[cause].startswith(f"{self.ids[i]}/") else -1


def skip_reason(books: Ledger, cause: int) -> str:
    """Why something was skipped for the sake of this: a task that failed or was skipped, or a gate with a rule."""
    if cause >= len(books.plan.ids):
        from graflow.core.requirement import shown

        members = books.plan.upstream[cause]
        lost = [books.ids[u] for u in members if books.machine.states[u] in (FAILED, SKIPPED)]
        names, without = (", ".join(map(repr, ids)) for ids in ([books.ids[u] for u in members], lost))
        return f"{shown(books.plan.rules[cause][0])} of {names} had to succeed, and {without or 'too few'} did not"
    id = books.ids[cause]
    if books.machine.states[cause] == FAILED:
        return f"task {id!r} failed"
    return f"task {id!r} was skipped: {books.reason(cause)}"


def readers(plan: Plan) -> list[int]:
    """Per task, how many others may still read its result, as an input or by `Block.get_result`."""
    count = [0] * len(plan.ids)
    for i in range(len(plan.ids)):
        for u in plan.workflow._structure.task_upstream(i):
            count[u] += 1
    if plan.returns is not None:
        count[plan.returns] += 1  # never read off, so never released
    return count
