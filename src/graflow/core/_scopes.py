"""From the records of a block, and the blocks inside it, to one flat list of tasks with path ids.

A reference looks in its own block, then in the enclosing ones; a task of a nested block can be read from the block
around it, one of a sibling cannot.
A task that was made outside all blocks is collected into the block that mentions it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from graflow.core._collect import merge_all, referenced
from graflow.core._definition import UNBOUND
from graflow.core._inputs import Template
from graflow.core.checks import caller_level, end_stage, legal_ids
from graflow.core.condition import Condition
from graflow.core.group import Gate, Group, is_block
from graflow.core.placeholder import InputSource, Placeholder, make_placeholder
from graflow.core.requirement import Requirement
from graflow.core.task import Task, changed, make_task
from graflow.errors import DefinitionError, DuplicateTaskError, TemplateWarning, UnknownTaskError

if TYPE_CHECKING:
    from graflow.core._recording import Record
    from graflow.core.block import Block
    from graflow.core.workflow import Workflow

AnyTask = Task[..., Any]


class Scope:
    """One block while it is resolved: its tasks by local id, its path, the scopes around and inside it."""

    def __init__(self, block: Block, outer: Scope | None) -> None:
        self.block = block
        self.outer = outer
        self.path = block.path
        self.versions: dict[str, list[AnyTask]] = {}
        self.tasks: dict[str, AnyTask] = {}
        self.last: str | None = None
        self.inner = [Scope(one, self) for one in block._inner]

    def all(self) -> Iterator[Scope]:
        """This scope and all inside it."""
        yield self
        for scope in self.inner:
            yield from scope.all()


def build_block(block: Block) -> Workflow[Any, Any]:
    """Check what a block has recorded and freeze it.

    Raises:
        DefinitionError: a check failed.
    """
    from graflow.core.workflow import build_workflow

    root = Scope(block, None)
    scopes = list(root.all())
    homes = {id(record.task): scope for scope in scopes for record in scope.block._records.values()}
    for scope in scopes:
        _take_live(scope)
    for scope in scopes:
        _collect_references(scope, homes)
    for scope in scopes:
        scope.tasks = merge_all(scope.path.rstrip("/") or block.name, scope.versions)
    check_names(root, scopes)
    if len(scopes) > 1:
        _write_paths(scopes, homes)
    flat = {task.id: task for scope in scopes for task in scope.tasks.values()}
    # Inner orders first: they decide where a block begins and ends.
    errors = [error for scope in reversed(scopes) for error in _draw_orders(scope, flat, homes)]
    end_stage(block.name, errors)
    returns = _last(scopes)
    own = [flat[task.id] for task in root.tasks.values()]
    nested = [flat[task.id] for scope in scopes[1:] for task in scope.tasks.values()]
    return build_workflow(block.name, own, block._model, returns, paths=nested)


def _take_live(scope: Scope) -> None:
    """The versions that count, without templates."""
    records: dict[str, list[Record]] = {}
    for record in scope.block._records.values():
        if record.live:
            records.setdefault(record.task.id, []).append(record)
    for id, live in records.items():
        if all(record.how == "joined" for record in live) and _around(scope, live[0].task) is not None:
            continue  # made elsewhere and only mentioned here: it means the task of a block around this one
        if _is_template(live):
            if not any(record.made_from for record in live):
                warnings.warn(
                    f"task {id!r} ({live[0].task._definition.site}) in block {scope.block.name!r} has parameters "
                    f"without inputs, and nothing was made from it, so it will not run; call it, wire it, or remove it",
                    TemplateWarning,
                    stacklevel=caller_level(),
                )
            continue
        scope.versions[id] = [record.task for record in live]


def _is_template(records: list[Record]) -> bool:
    return all(
        record.how == "defined"
        and not record.used
        and any(record.task._bound[k] is UNBOUND for k in record.task._definition.shape.required)
        for record in records
    )


def _around(scope: Scope, task: AnyTask) -> Scope | None:
    """The nearest enclosing scope with a task of this id and callable."""
    around = scope.outer
    while around is not None:
        if any(version._definition.fn is task._definition.fn for version in around.versions.get(task.id, ())):
            return around
        around = around.outer
    return None


def _scope_of(scope: Scope, task: AnyTask, homes: dict[int, Scope]) -> Scope | None:
    """Where a reference of a task in ``scope`` leads: own block, enclosing ones, or a block nested in the own one."""
    around: Scope | None = scope
    while around is not None:
        if task.id in around.versions:
            return around
        around = around.outer
    home = homes.get(id(task))
    return home if home is not None and home.path.startswith(scope.path) and task.id in home.versions else None


def _collect_references(scope: Scope, homes: dict[int, Scope]) -> None:
    seen: set[int] = set()
    gates: set[int] = set()
    stack = [task for versions in scope.versions.values() for task in versions]
    while stack:
        for mentioned in referenced(stack.pop(), gates):
            if id(mentioned) in seen:
                continue
            seen.add(id(mentioned))
            target = _scope_of(scope, mentioned, homes)
            if target is None:
                if id(mentioned) in homes:
                    continue  # a task of a sibling block: the check of references reports it
                target = scope
            versions = target.versions.setdefault(mentioned.id, [])
            if not any(mentioned is version for version in versions[-1:]) and id(mentioned) not in homes:
                versions.append(mentioned)
                stack.append(mentioned)


def check_names(root: Scope, scopes: list[Scope]) -> None:
    """Names of nested blocks are parts of ids."""
    name = root.block.name
    names = [scope.block.name for scope in scopes[1:]]
    local = [id for scope in scopes[1:] for id in scope.tasks]
    errors = legal_ids([*names, *local], name)
    for scope in scopes:
        taken: set[str] = set()
        for inner in scope.inner:
            if inner.block.name in taken:
                errors.append(
                    DuplicateTaskError(
                        f"two blocks inside {scope.block.name!r} are called {inner.block.name!r}; rename one of them"
                    )
                )
            taken.add(inner.block.name)
    end_stage(name, errors)


def _write_paths(scopes: list[Scope], homes: dict[int, Scope]) -> None:
    """Give every task its path id, and every reference the path id of what it means."""
    bare: dict[str, AnyTask] = {}
    gates: dict[tuple[str, int], Gate] = {}

    def target(scope: Scope, task: AnyTask) -> AnyTask:
        home = _scope_of(scope, task, homes)
        if home is None or not home.path:
            return task
        id = home.path + task.id
        if id not in bare:
            blank = task._definition.shape.blank
            bare[id] = make_task(id, task._definition, blank, None, (), None, type(task))
        return bare[id]

    def move(scope: Scope, value: Any) -> Any:
        if type(value) is Placeholder:
            source = value.__graflow_source__
            if isinstance(source, InputSource):
                return value
            new = target(scope, source)
            return value if new is source else make_placeholder(new, value.__graflow_path__)
        if type(value) is Template and value.refs:
            return value.map(lambda part: move(scope, part))
        return value

    def edge(scope: Scope, value: Any) -> Any:
        if isinstance(value, Task):
            return target(scope, value)
        if isinstance(value, Condition):
            return value.moved(lambda flag: move(scope, flag))
        if isinstance(value, Requirement):
            return value.moved(lambda member: target(scope, member))
        key = scope.path, id(value)
        if key not in gates:
            gates[key] = Gate(tuple(target(scope, member) for member in value.members))
        return gates[key]

    for scope in scopes:
        for task_id, task in scope.tasks.items():
            extra = task._extra
            if extra is not None:
                extra = (
                    tuple(move(scope, value) for value in extra[0]),
                    tuple((name, move(scope, value)) for name, value in extra[1]),
                )
            scope.tasks[task_id] = changed(
                task,
                id=scope.path + task_id,
                bound=tuple(move(scope, value) for value in task._bound),
                extra=extra,
                edges=tuple(edge(scope, value) for value in task._edges),
            )


def _draw_orders(scope: Scope, flat: dict[str, AnyTask], homes: dict[int, Scope]) -> list[DefinitionError]:
    """Turn orders between blocks into edges between the last tasks of one and the first of the other."""
    inner = {id(one.block): one for one in scope.inner}
    unknown: dict[str, DefinitionError] = {}

    def members(side: Any) -> tuple[Any, ...]:
        return side.members if isinstance(side, Group) else (side,)

    def is_empty(one: Any) -> bool:
        return is_block(one) and not any(s.tasks for s in inner[id(one)].all())

    def ids(one: Any, end: int) -> list[str]:
        if is_block(one):
            return [] if is_empty(one) else _ends(inner[id(one)], flat)[end]
        home = _scope_of(scope, one, homes)
        path_id = (home.path if home is not None else scope.path) + one.id
        if path_id in flat:
            return [path_id]
        unknown[path_id] = UnknownTaskError(
            f"block {scope.block.name!r} orders task {one.id!r}, which is neither in it nor in a block around it; "
            f"make the task there, or draw the order in a block around both"
        )
        return []

    before_empty: dict[int, list[Any]] = {}
    for left, right in scope.block._orders:
        for one in members(right):
            if is_empty(one):
                before_empty.setdefault(id(one), []).extend(members(left))

    def last(side: Iterable[Any]) -> Iterator[str]:
        seen: set[int] = set()
        stack = list(side)[::-1]
        while stack:
            one = stack.pop()
            if not is_empty(one):
                yield from ids(one, 1)
            elif id(one) not in seen:  # nothing runs there: what comes after it comes after what is before it
                seen.add(id(one))
                stack.extend(reversed(before_empty.get(id(one), ())))

    for left, right in scope.block._orders:
        lefts = tuple(flat[task_id] for task_id in dict.fromkeys(last(members(left))))
        rights = [task_id for one in members(right) for task_id in ids(one, 0)]
        edges: tuple[Any, ...] = (Gate(lefts),) if len(lefts) > 1 and len(rights) > 1 else lefts
        for task_id in rights:
            flat[task_id] = changed(flat[task_id], edges=(*flat[task_id]._edges, *edges))
    return list(unknown.values())


def _ends(scope: Scope, flat: dict[str, AnyTask]) -> tuple[list[str], list[str]]:
    """The ids of the tasks of a block that nothing in it comes before, and of those that nothing in it follows."""
    ids = sorted({task.id for one in scope.all() for task in one.tasks.values()})
    own = set(ids)
    inside: dict[int, bool] = {}  # gate → whether one of its members is in the block
    leads: set[str] = set()
    first: list[str] = []
    for task_id in ids:
        task = flat[task_id]
        ups = {u.id for u in referenced(task, set(_gates(task)))} & own
        for edge in task._edges:
            if isinstance(edge, Gate) and id(edge) not in inside:
                members = {member.id for member in edge.members} & own
                inside[id(edge)] = bool(members)
                leads |= members
        leads |= ups
        if not ups and not any(inside[gate] for gate in _gates(task)):
            first.append(task_id)
    return first, [task_id for task_id in ids if task_id not in leads]


def _gates(task: AnyTask) -> list[int]:
    return [id(edge) for edge in task._edges if isinstance(edge, Gate)]


def _last(scopes: list[Scope]) -> str | None:
    """The path id of the task recorded last."""
    best: tuple[int, str] | None = None
    for scope in scopes:
        for record in scope.block._records.values():
            if record.live and record.task.id in scope.versions and (best is None or record.number > best[0]):
                best = record.number, scope.path + record.task.id
    return best[1] if best is not None else None
