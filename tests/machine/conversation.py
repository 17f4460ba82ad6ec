"""What the tests of the machine share: machines made in one line, and all that can be seen of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graflow.core.requirement import GroupRule
from graflow.engine.machine import Machine
from graflow.engine.rules import STATES, TRANSITIONS, Decider, Rules

#: One letter for each state: Waiting, Ready, rUnning, reTrying, Succeeded, Failed, sKipped, Cancelled.
LETTERS = "WRUTSFKC"

Edge = tuple[int, int]


class Noted(list[int]):
    """The states of a machine, and every change of one: (index, before, after)."""

    def __init__(self, states: Iterable[int]) -> None:
        super().__init__(states)
        self.changes: list[tuple[int, int, int]] = []

    def __setitem__(self, i: Any, state: Any) -> None:
        self.changes.append((i, self[i], state))
        super().__setitem__(i, state)


def made(
    tasks: int,
    *edges: Edge,
    outcomes: Iterable[Edge] = (),
    gates: int = 0,
    lanes: Sequence[int] | None = None,
    rules: Mapping[int, Rules] | None = None,
    limits: Mapping[str, int] | None = None,
    stop: bool = False,
    returns: int | None = None,
    maps: Mapping[int, int] | Iterable[int] = (),
    groups: Mapping[int, GroupRule] | None = None,
    unawaited: Iterable[Edge] = (),
    first_item: int = 0,
) -> Machine:
    """A machine that has not started; an edge goes from upstream to downstream, gates have the highest indexes.

    Along the edges in ``outcomes`` the downstream takes nothing but the outcome, and along those in ``unawaited`` it
    does not even wait for that. The rules in ``groups`` are those of gates, and call members by their indexes. A map
    may come with the lane of its items.
    """
    outcomes, unawaited = [*outcomes, *unawaited], list(unawaited)
    upstream: list[list[int]] = [[] for _ in range(tasks + gates)]
    downstream: list[list[int]] = [[] for _ in range(tasks + gates)]
    tolerated: dict[int, set[int]] = {}
    for u, d in (*edges, *outcomes):
        upstream[d].append(u)
        downstream[u].append(d)
    for u, d in outcomes:
        tolerated.setdefault(d, set()).add(u)
    machine = Machine(
        tasks,
        upstream,
        downstream,
        bytes(lanes if lanes is not None else [0] * tasks),
        rules=rules,
        limits=limits,
        tolerated={d: frozenset(ups) for d, ups in tolerated.items()},
        returns=returns,
        stop_on_failure=stop,
        maps=maps if isinstance(maps, Mapping) else dict.fromkeys(maps, 0),
        first_item=first_item,
        deciders=deciders_for(groups or {}, upstream),
        unawaited={d: frozenset(u for u, reader in unawaited if reader == d) for _, d in unawaited},
    )
    machine.states = Noted(machine.states)
    return machine


def gate(lefts: Iterable[int], number: int, rights: Iterable[int]) -> list[Edge]:
    """The edges of a gate between each left and each right."""
    return [(left, number) for left in lefts] + [(number, right) for right in rights]


def deciders_for(groups: Mapping[int, GroupRule], upstream: Sequence[Sequence[int]]) -> dict[int, Decider]:
    """The rules of gates, which call members by their indexes."""
    return {gate: Decider(rule, tuple(map(str, upstream[gate])), upstream[gate]) for gate, rule in groups.items()}


def begun(tasks: int, *edges: Edge, **others: Any) -> Machine:
    """A machine that has started."""
    machine = made(tasks, *edges, **others)
    machine.start()
    machine.validate()
    return machine


def states(machine: Machine) -> str:
    """A letter for each index, gates after tasks, items last."""
    return "".join(LETTERS[state] for state in machine.states)


def changes(machine: Machine, tasks: int) -> list[tuple[int, int]]:
    """Every change of a task's state so far, as (before, after)."""
    assert isinstance(machine.states, Noted)
    return [(before, after) for i, before, after in machine.states.changes if i < tasks]


def assert_lawful(machine: Machine, tasks: int) -> None:
    """Every change of a task's state stands in the table."""
    table = {(row.before, row.after) for row in TRANSITIONS}
    for before, after in changes(machine, tasks):
        assert (before, after) in table, f"from {STATES[before]} to {STATES[after]}"


def lanes(machine: Machine) -> list[list[int]]:
    """Who can be taken, per lane that a worker can see."""
    return [list(lane) for lane in machine.ready][:-1]


def take_all(machine: Machine, lane: int = 0, now: float = 0.0) -> list[int]:
    """Take whatever a lane holds, and say in which order it came."""
    return [machine.take(lane, now) for _ in range(len(machine.ready[lane]))]


def heard(machine: Machine) -> list[tuple[int, str]]:
    """What the listener is told from now on."""
    told: list[tuple[int, str]] = []
    machine.listener = lambda i, state: told.append((i, LETTERS[state]))
    return told


def everything(machine: Machine) -> dict[str, Any]:
    """All that can be seen of a machine."""
    return {
        "states": states(machine),
        "attempts": list(machine.attempts),
        "ready": [list(lane) for lane in machine.ready],
        "parked": machine._limits.parked,
        "places": dict(machine._limits._free),
        "open": machine.open,
        "failed": list(machine.failed),
        "skipped_for": dict(machine.skipped_for),
        "closed": machine.closed,
        "cancel_reason": machine.cancel_reason,
        "stopped_for": machine.stopped_for,
        "stopped_by": machine.stopped_by,
        "items": dict(machine.items.of),
        "items left": dict(machine.items.left),
        "settled": list(machine.items.settled),
        "ends of maps": {i: machine.items.end_of(i) for i in machine.items.of},
        "dropped": list(machine.dropped),
        "broken": list(machine.broken),
        "expired": machine.expired,
        "outcome": machine.outcome,
        "running": machine.running(),
        "next_due": machine.next_due,
        "retry_at": [machine.retry_at(i) for i in range(len(machine.states))],
        "waiting": list(machine._waiting),
    }
