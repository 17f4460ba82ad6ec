"""What changes the shape of a run while it runs: maps that open, tasks that go on, flags, signals, early ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graflow.core._inputs import spelling
from graflow.core._recipes import Given, Item, Recipe
from graflow.core.outcome import Skipped
from graflow.core.placeholder import InputSource, Placeholder, projection_of
from graflow.core.requirement import shown
from graflow.core.turns import (
    MAX_CONTINUATIONS,
    Columns,
    Continuation,
    Stop,
    Turn,
    await_step,
    run_step,
)
from graflow.engine.events import MapOpened, TaskContinued, TaskSucceeded
from graflow.engine.ledger import PENDING, RELEASED, Stored
from graflow.engine.payload import payload_of
from graflow.engine.rules import AGAIN, FAILED, FINAL, SIGNALS, STATES, SUCCEEDED, WAITING, Rules, rules_for
from graflow.errors import ContinuationLimitError, FlagError, GraflowError, ResultUnavailableError, SignalError

if TYPE_CHECKING:
    from graflow.core.condition import Condition
    from graflow.core.plan import Plan
    from graflow.core.policy import Policy
    from graflow.engine._commits import Commits

#: The note of a task that ended its run before the others had ended.
STOPPED = "it stopped the run"
#: The note of a signal that waits.
AWAITED = "it waits for a signal"
#: The note of a task that was called off by the rule of a group.
NOT_NEEDED = "nobody needs it any more: its group has what it requires"
#: Of so many items that failed, the errors are kept in the error of their map.
MOST_ERRORS = 20


class _Gone(Recipe):
    """The arguments of an item that has ended; a worker that was given up may still ask for them."""

    __slots__ = ()

    def arguments(self, slots: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        raise ResultUnavailableError("the attempt is over, and what it was to work on is gone")


GONE = _Gone(())


class Earlier:
    """What an earlier part of a run knows of the items of one map.

    Attributes:
        attempts: item → how often it was started, and whether its result is known.
        load: gives the result of an item.
    """

    __slots__ = ("attempts", "load")

    def __init__(self, attempts: Mapping[int, tuple[int, bool]], load: Callable[[int], Any]) -> None:
        self.attempts = attempts
        self.load = load


def commit_turn(run: Commits, i: int, attempt: int, turn: Turn, now: float) -> None:
    """An attempt returned something else than a result. With the lock held."""
    if isinstance(turn, Columns):
        open_map(run, i, attempt, turn.rows, now)
    elif isinstance(turn, Continuation):
        turn.is_taken = True
        go_on(run, i, attempt, turn, now)
    elif isinstance(turn, Stop):
        turn.is_taken = True
        if run.is_current(i, attempt):
            run.notes[i] = STOPPED
            run.commit(i, attempt, turn.value, now, _payload(run, turn.value), stops=True)


def _payload(run: Commits, value: Any) -> Any:
    return payload_of(value) if run.journal is not None else None


# ── maps ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def open_map(run: Commits, i: int, attempt: int, rows: Sequence[tuple[Any, ...]], now: float) -> None:
    """The items of a map are known."""
    machine, plan = run.machine, run.plan.maps[i]
    if not run.is_current(i, attempt) or i in machine.items.of:
        return
    policy, id = run.policies.get(i), run.ids[i]
    rules = [rules_for(policy, f"{run.id}/{id}[{k}]") for k in range(len(rows))] if policy is not None else []
    earlier = run.earlier.get(i)
    known = {k: one for k, one in earlier.attempts.items() if k < len(rows)} if earlier is not None else {}
    count = len(rows)
    run.recipes += [Item(plan.recipe, row) for row in rows]
    run.function_of += [plan.function] * count
    assert isinstance(run.ids, list)
    run.ids += [f"{id}[{k}]" for k in range(count)]
    run.slots += [PENDING] * count
    for books in (run.started, run.ended):
        books += [0.0] * count
    run.worker += [0] * count
    if policy is not None:
        first = machine.items.first + len(machine.items)
        run.policies.update(dict.fromkeys(range(first, first + count), policy))
    run.grew(i, count)
    items = machine.opened(i, attempt, count, rules, known)
    assert items is not None
    for k, (_, is_known) in sorted(known.items()):
        j = items[k]
        run.started[j] = run.ended[j] = now
        if is_known:
            assert earlier is not None
            run.sources[j] = "resumed"
            run.slots[j] = Stored(lambda k=k: earlier.load(k))  # type: ignore[misc]
    run.tell(MapOpened(id, count, run.epoch + now))
    for k, (number, is_known) in sorted(known.items()):
        if is_known:
            run.tell(TaskSucceeded(id, number, run.epoch + now, 0.0, "resumed", k))
    if not count:
        machine.items.settled.append(i)
    settle(run, now)


def settle(run: Commits, now: float) -> None:
    """End the maps all of whose items have ended. With the lock held."""
    machine = run.machine
    while machine.items.settled:
        i = machine.items.settled.pop()
        attempt, items = machine.attempts[i], machine.items.of[i]
        if not run.is_current(i, attempt):
            continue
        end = machine.items.end_of(i)
        if end == FAILED:
            run.fail_for_good(i, attempt, _failure(run, i, [j for j in items if j in run.errors]), now)
        elif end == SUCCEEDED:
            _gather(run, i, attempt, items, now)
        else:
            run.commit_cancelled(i, attempt, now)
        for j in items if run.readers is not None else ():
            run.recipes[j] = GONE
            if run.slots[j] is not PENDING and j != machine.stopped_by:
                run.slots[j] = RELEASED


def _gather(run: Commits, i: int, attempt: int, items: range, now: float) -> None:
    try:
        value = [run.result(j) for j in items]
    except GraflowError as error:  # a result of an earlier part of the run cannot be read any more
        run.fail_for_good(i, attempt, error, now)
    else:
        run.commit(i, attempt, value, now, _payload(run, value))


def _failure(run: Commits, i: int, failed: Sequence[int]) -> BaseException:
    """The error of a map: that of the item that failed, or all of them in a group."""
    errors = [run.errors[j] for j in failed]
    if len(errors) == 1:
        return errors[0]
    total = len(run.machine.items.of[i])
    more = f"; these are the first {MOST_ERRORS}" if len(errors) > MOST_ERRORS else ""
    return BaseExceptionGroup(
        f"{len(errors)} of {total} items of task {run.ids[i]!r} failed{more}", errors[:MOST_ERRORS]
    )


# ── going on ────────────────────────────────────────────────────────────────────────────────────────────────────────


def go_on(run: Commits, i: int, attempt: int, turn: Continuation, now: float) -> None:
    """A task goes on with another one."""
    if not run.is_current(i, attempt):
        return
    if run.machine.closed:
        run.commit_cancelled(i, attempt, now)
        return
    if run.hands_up and i == run.plan.returns and not run.plan.downstream[i]:
        # Not here, one run inside of the other: a workflow that goes on with itself may do so a thousand times.
        run.commit(i, attempt, turn, now)
        return
    policy = run.policies.get(i)
    most = (
        policy.max_continuations if policy is not None and policy.max_continuations is not None else MAX_CONTINUATIONS
    )
    verdict = run.machine.continued(i, attempt, most, _new_rules(run, i, turn.task._policy))
    if verdict == FINAL:
        error = ContinuationLimitError(
            f"task {run.ids[i]!r} went on with another task more than {most:,} times, the last with "
            f"{turn.task.id!r}; if it is to, raise the limit: @task(max_continuations=...)"
        )
        run.fail_for_good(i, attempt, error, now)
    elif verdict == AGAIN:
        run.begun.setdefault(i, run.started[i])
        step(run, i, await_step if run.awaits(i) else run_step, Given((turn,)))
        if run.is_heard:
            id, item = run.name(i)
            run.tell(TaskContinued(id, attempt, turn.task.id, run.epoch + now, item))
        run.follow(now)


def _new_rules(run: Commits, i: int, own: Policy | None) -> Rules | None:
    """What a task asks for from now on, where the one that it goes on with asks for something else; else None."""
    policy = run.policies.get(i)
    if own is None or (own.retry is None and own.timeout is None):
        return None
    if policy is not None and own.retry in (None, policy.retry) and own.timeout in (None, policy.timeout):
        return None
    from graflow.core.policy import Policy

    changed = {name: value for name in ("retry", "timeout") if (value := getattr(own, name)) is not None}
    new = policy.model_copy(update=changed) if policy is not None else Policy(**changed)
    run.policies[i] = new
    run.keep_time()
    return rules_for(new, f"{run.id}/{run.ids[i]}")


def step(run: Commits, i: int, function: Callable[..., Any], recipe: Recipe) -> None:
    """From now on, a task calls this."""
    if function not in run.functions[len(run.plan.functions) :]:
        run.functions.append(function)
    run.function_of[i] = run.functions.index(function, len(run.plan.functions))
    run.recipes[i] = recipe


# ── flags ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def flags_of(plan: Plan) -> dict[int, list[int]]:
    """Task → the tasks that it gives a flag to."""
    flags: dict[int, list[int]] = {}
    for i, conditions in sorted(plan.conditions.items()):
        for u in sorted({plan.index[source.id] for one in conditions for source in one.members}):
            flags.setdefault(u, []).append(i)
    return flags


def decide(run: Commits, tasks: Sequence[int], now: float, just: int = -1) -> None:
    """Look at the flags of tasks that wait, as far as they are known. With the lock held.

    Args:
        run: the run.
        tasks: those whose flags to look at.
        now: the time.
        just: the task whose result has just come, and lies in its slot.
    """
    refused: list[int] = []
    broken: list[int] = []
    # All of them first: what follows from one may be that another is ready.
    for i in tasks:
        if run.machine.states[i] != WAITING:
            continue
        for condition in run.plan.conditions[i]:
            try:
                flag = _flag(run, condition, just)
                if flag is not PENDING and not _is_bool(flag):
                    raise FlagError(
                        f"task {run.ids[i]!r} runs only if {condition.spelling} is {str(condition.wanted).lower()}, "
                        f"but that is {spelling(flag)}, of type {type(flag).__name__}; return a bool"
                    )
            except Exception as error:  # noqa: BLE001  # following .name and [key] through a result may raise anything
                run.errors[i] = error
                run.started[i] = run.ended[i] = now
                broken.append(i)
                break
            if flag is not PENDING and bool(flag) is not condition.wanted:
                run.notes[i] = condition.reason
                run.ended[i] = now
                refused.append(i)
                break
    if refused:
        run.machine.refused(*refused)
    if broken:
        run.machine.undecided(*broken)
        for i in broken:
            if run.machine.states[i] == FAILED:
                run.told_undecided(i, run.errors[i])
            else:  # the failure of another has stopped the run
                del run.errors[i]


def _is_bool(flag: Any) -> bool:
    kind = type(flag)
    return kind is bool or (kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_"))


def _flag(run: Commits, condition: Condition, just: int) -> Any:
    """What a flag is; `PENDING` if the task that gives it has not succeeded."""
    if type(condition.flag) is not Placeholder:
        return condition.flag
    source = condition.flag.__graflow_source__
    if isinstance(source, InputSource):
        value = run.slots[run.plan.inputs_slot]
    else:
        u = run.plan.index[source.id]
        if u != just and run.machine.states[u] != SUCCEEDED:
            return PENDING
        value = run.slots[u] if u == just else run.result(u)
    for kind, key in projection_of(condition.flag):
        value = getattr(value, key) if kind == "attr" else value[key]
    return value


# ── outcomes that nobody waits for ──────────────────────────────────────────────────────────────────────────────────


def open_gates(run: Commits, now: float) -> None:
    """Where a rule has let a reader start, members that have not ended count as skipped. With the lock held."""
    for gate, (rule, _) in run.plan.rules.items():
        if run.machine.states[gate] != SUCCEEDED or gate in run.opened:
            continue
        run.opened.add(gate)
        for u in run.plan.upstream[gate]:
            slot = run.plan.outcome_slots.get(u)
            if slot is not None and run.slots[slot] is PENDING:
                run.slots[slot] = _outcome_now(run, u, Skipped(f"not waited for: {shown(rule)} was enough"))
    while run.machine.broken:
        i, gate = run.machine.broken.pop(0)
        error = run.deciders[gate].error
        assert error is not None
        run.errors[i] = error
        run.started[i] = run.ended[i] = now
        run.told_undecided(i, error)


def _outcome_now(run: Commits, u: int, open_end: Skipped) -> Any:
    """How a task stands; of a map, a list of how its items do."""
    machine = run.machine
    if machine.states[u] >= SUCCEEDED:
        return run.outcome(u)
    if u not in run.plan.maps:
        return open_end
    items = machine.items.of.get(u, range(0))
    return [run.outcome(j) if machine.states[j] >= SUCCEEDED else open_end for j in items]


# ── signals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def await_signals(run: Commits, now: float) -> None:
    """Signals that are reached wait; those that have arrived are taken. With the lock held."""
    machine = run.machine
    while run.plan.signals and machine.ready[SIGNALS]:
        i = machine.take(SIGNALS, now)
        run.started[i], run.worker[i] = now, 0
        if run.journal is not None:
            run.journal.begun.append((i, machine.attempts[i]))
        if i in run.arrived:
            receive(run, i)
        else:
            run.notes[i] = AWAITED
            run.announce(i)


def sent_before(run: Commits, i: int) -> SignalError:
    """The error for a signal that is sent twice."""
    return SignalError(f"signal {run.ids[i]!r} of run {run.id} was sent before; the first value counts")


def check_waits(run: Commits, i: int) -> None:
    """Make sure that a value can still arrive for a signal. With the lock held.

    Raises:
        SignalError: one arrived before, or the signal has ended.
    """
    machine, id = run.machine, run.ids[i]
    if i in run.arrived or machine.states[i] == SUCCEEDED:
        raise sent_before(run, i)
    if machine.states[i] >= SUCCEEDED or not machine.open or machine.closed:
        why = run.reason(i) or f"it is {STATES[machine.states[i]]}"
        raise SignalError(f"signal {id!r} of run {run.id} does not wait any more: {why}")


def receive(run: Commits, i: int) -> None:
    """A signal that waits takes what has arrived; one that is not reached takes it when it is."""
    attempt = run.machine.attempts[i]
    if run.is_current(i, attempt):
        run.notes.pop(i, None)
        run.commit(i, attempt, run.arrived[i], run.clock.now(), _payload(run, run.arrived[i]))
