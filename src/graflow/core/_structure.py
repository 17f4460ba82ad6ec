"""The graph of a workflow as arrays over integer indexes.

A task's index is the rank of its id among all ids in sorted order, so two workflows that hold the same tasks have the
same indexes, edges and order, in whatever order they were written down.
Gates (see `graflow.core.task.Gate`) have the indexes after the tasks.

`link` makes one pass over all inputs and edges: it notes what is wrong as it goes, and `graflow.core.checks` turns
the notes into errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graflow.core._definition import UNBOUND
from graflow.core._inputs import Template
from graflow.core._problems import AnyTask, Misfit, Problems, Reference, compatible
from graflow.core.condition import Condition
from graflow.core.group import Edge, Gate
from graflow.core.placeholder import InputSource, Placeholder, takes_outcome
from graflow.core.requirement import GroupRule, Requirement, rule_key
from graflow.core.task import Task

if TYPE_CHECKING:
    from pydantic import BaseModel


class Structure:
    """Tasks and edges, by index.

    Attributes:
        tasks: the tasks, sorted by id.
        index: id → index.
        gates: the members of each gate, as indexes; gate k has index ``len(tasks) + k``.
        upstream: per index, the distinct upstreams: those whose result is read first, then the others.
        reads: per index, how many of its upstreams are read.
        downstream: per index, the distinct downstreams; ascending.
        order: all indexes, every upstream before its downstreams; shorter than the rest if there is a cycle.
        levels: per index, the longest way from a root; gates add none.
        aliases: index of a nested workflow's task → index of the task whose result it passes on.
        outcomes: reader → the upstreams whose outcome it takes; ascending.
        tolerated: reader → those of them that may fail: it takes nothing but their outcome, and no order names them.
        also_after: reader → those of them whose result it does not take, but that an order names; ascending.
        conditions: task → the flags that decide whether it runs.
        rules: gate → the rule that opens it, and what that calls its members; a gate without opens when all succeeded.
        unawaited: reader → those whose outcome it takes without waiting for it: a rule says when there was enough.
    """

    __slots__ = (
        "aliases",
        "also_after",
        "conditions",
        "downstream",
        "gates",
        "index",
        "levels",
        "order",
        "outcomes",
        "reads",
        "rules",
        "tasks",
        "tolerated",
        "unawaited",
        "upstream",
    )

    def __init__(self, tasks: tuple[AnyTask, ...], index: dict[str, int]) -> None:
        self.tasks = tasks
        self.index = index
        self.gates: list[tuple[int, ...]] = []
        self.upstream: list[tuple[int, ...]] = []
        self.reads: list[int] = []
        self.downstream: list[Sequence[int]] = []
        self.order: list[int] = []
        self.levels: list[int] = []
        self.aliases: dict[int, int] = {}
        self.outcomes: dict[int, list[int]] = {}
        self.tolerated: dict[int, frozenset[int]] = {}
        self.also_after: dict[int, tuple[int, ...]] = {}
        self.conditions: dict[int, tuple[Condition, ...]] = {}
        self.rules: dict[int, tuple[GroupRule, tuple[str, ...]]] = {}
        self.unawaited: dict[int, frozenset[int]] = {}

    def sources(self, condition: Condition) -> tuple[int, ...]:
        """The task that gives a flag, if one does."""
        return tuple(self.index[source._id] for source in condition.members)

    def task_upstream(self, i: int) -> tuple[int, ...]:
        """The upstream tasks of a task, with gates replaced by their members."""
        n = len(self.tasks)
        if all(u < n for u in self.upstream[i]):
            return self.upstream[i]
        data = self.upstream[i][: self.reads[i]]
        ordered = {m for u in self.upstream[i][self.reads[i] :] for m in ((u,) if u < n else self.gates[u - n])}
        return (*data, *sorted(ordered.difference(data)))


def arrange(tasks: Iterable[AnyTask]) -> Structure:
    """A structure that knows its tasks and their indexes, and no edges yet. Ids must be unique."""
    by_id = {task._id: task for task in tasks}
    ids = sorted(by_id)
    return Structure(tuple([by_id[id] for id in ids]), {id: i for i, id in enumerate(ids)})


def link(structure: Structure, model: type[BaseModel] | None, aliases: Mapping[str, str]) -> Problems:
    """Fill in the edges, and note what is wrong with inputs and references.

    One loop for all tasks: this is the hot path of building, and a function call per input would double its cost.
    """
    problems = Problems()
    tasks, index = structure.tasks, structure.index
    upstream, reads = structure.upstream, structure.reads
    gates = _Gates(structure, problems)
    definition: Any = None
    required: tuple[int, ...] = ()
    seen: list[set[Any]] = []
    accepted: dict[int, list[set[Any]]] = {}
    for i, task in enumerate(tasks):
        if task._definition is not definition:
            definition = task._definition
            required = definition.shape.required
            seen = accepted.get(id(definition)) or accepted.setdefault(
                id(definition), [set() for _ in range(len(definition.shape.names))]
            )
        ups: list[int] = []
        for k, value in enumerate(task._bound):
            cls = type(value)
            if cls is Placeholder:
                source = value.__graflow_source__
                if isinstance(source, InputSource):
                    name = definition.shape.names[k]
                    _link_one(problems, structure, i, (name, name), value, model, ups)
                    continue
                u = index.get(source._id, -1)
                if u < 0:
                    problems.unknown.append(Reference(i, definition.shape.names[k], source, takes_outcome(value)))
                    continue
                producer = tasks[u]
                if producer is not source and not compatible(source, producer):
                    problems.clashing.append(Reference(i, definition.shape.names[k], source, takes_outcome(value)))
                elif producer._definition not in seen[k] or value.__graflow_path__ or type(producer) is not Task:
                    name = definition.shape.names[k]
                    before = len(problems.misfits)
                    _link_one(problems, structure, i, (name, name), value, model, ups)
                    if len(problems.misfits) == before and not value.__graflow_path__ and type(producer) is Task:
                        seen[k].add(producer._definition)
                if u not in ups:
                    ups.append(u)
            elif cls is Template:
                name = definition.shape.names[k]
                _link_one(problems, structure, i, (name, name), value, model, ups)
            elif value is UNBOUND and k in required:
                problems.unbound.append((i, k))
        if task._extra is not None:
            _link_extra(problems, structure, i, task, model, ups)
        if aliases and task._id in aliases:
            target = index[aliases[task._id]]
            structure.aliases[i] = target
            ups = [target, *(u for u in ups if u != target)]
            reads.append(1)
        else:
            ups.sort()
            reads.append(len(ups))
        if task._edges:
            have = set(ups)
            for edge in task._edges:
                for u in (gates.index_of(i, edge),) if type(edge) is not Condition else _flag(gates, i, edge, model):
                    if u >= 0 and u not in have:
                        have.add(u)
                        ups.append(u)
            # Edges come in the order in which they were drawn; the structure does not depend on it.
            ups[reads[-1] :] = sorted(ups[reads[-1] :])
        upstream.append(tuple(ups))
    gates.close()
    if structure.outcomes or structure.rules:
        from graflow.core._outcomes import weigh

        weigh(structure)
    return problems


class _Gates:
    """Gives each distinct gate an index, and looks each reference of an edge up once."""

    def __init__(self, structure: Structure, problems: Problems) -> None:
        self.structure = structure
        self.problems = problems
        self.by_gate: dict[int, int] = {}
        #: The members of a gate, and what tells its rule from others; plain gates have none.
        self.by_members: dict[tuple[tuple[int, ...], Any], int] = {}
        self.rules: dict[int, tuple[GroupRule, tuple[str, ...]]] = {}

    def index_of(self, reader: int, edge: Edge) -> int:
        if isinstance(edge, Gate | Requirement):
            known = self.by_gate.get(id(edge))
            if known is None:
                known = self.by_gate[id(edge)] = self._gate(reader, edge)
            return known
        assert isinstance(edge, Task)
        return self._task(reader, edge)

    def _gate(self, reader: int, edge: Gate | Requirement) -> int:
        new = len(self.structure.tasks) + len(self.by_members)
        found = [self._task(reader, member) for member in edge.members]
        members = tuple(sorted(set(found) - {-1}))
        if isinstance(edge, Gate):
            return self.by_members.setdefault((members, ()), new)
        by_index = dict(zip(found, edge.labels, strict=True))
        labels = tuple(by_index[m] for m in members)
        known = self.by_members.setdefault((members, (rule_key(edge.rule), labels)), new)
        self.rules.setdefault(known, (edge.rule, labels))
        return known

    def _task(self, reader: int, target: AnyTask) -> int:
        u = self.structure.index.get(target._id, -1)
        if u < 0:
            self.problems.unknown.append(Reference(reader, "", target))
        elif not compatible(target, self.structure.tasks[u]):
            self.problems.clashing.append(Reference(reader, "", target))
        return u

    def close(self) -> None:
        """Number the gates by their members, so that the numbers do not depend on who mentioned a gate first."""
        structure, n = self.structure, len(self.structure.tasks)
        if not self.by_members:
            return
        ordered = sorted(self.by_members, key=lambda key: (key[0], repr(key[1])))
        structure.gates = [members for members, _ in ordered]
        renumbered = {self.by_members[key]: n + k for k, key in enumerate(ordered)}
        structure.rules = {renumbered[gate]: rule for gate, rule in self.rules.items()}
        for i, ups in enumerate(structure.upstream):
            if any(u >= n for u in ups):
                data = structure.reads[i]
                rest = sorted(renumbered.get(u, u) for u in ups[data:])
                structure.upstream[i] = (*ups[:data], *rest)
        structure.upstream.extend(structure.gates)
        structure.reads.extend([0] * len(structure.gates))


def _flag(gates: _Gates, i: int, condition: Condition, model: type[BaseModel] | None) -> list[int]:
    """Link a condition, and check that its flag may be one; the task that gives it, if one does."""
    structure, problems = gates.structure, gates.problems
    said = {(one.spelling, one.wanted): one for one in (*structure.conditions.get(i, ()), condition)}
    structure.conditions[i] = tuple(said[key] for key in sorted(said))
    ups: list[int] = []
    if type(condition.flag) is Placeholder:
        what = "when()" if condition.wanted else "unless()"  # no parameter can be called so
        before = len(problems.unknown) + len(problems.clashing) + len(problems.foreign_inputs)
        _link_refs(problems, structure, i, what, [condition.flag], model, ups)
        if len(problems.unknown) + len(problems.clashing) + len(problems.foreign_inputs) == before:
            from graflow.core._wiring import flawed

            found = flawed(condition.flag, bool, structure)
            if found is not None:
                problems.misfits.append(Misfit(i, what, *found))
    return ups


def _link_refs(
    problems: Problems,
    structure: Structure,
    i: int,
    parameter: str,
    refs: Iterable[Placeholder],
    model: type[BaseModel] | None,
    ups: list[int],
) -> None:
    tasks, index = structure.tasks, structure.index
    have = dict.fromkeys(ups)
    for ref in refs:
        source = ref.__graflow_source__
        if isinstance(source, InputSource):
            if type(source) is InputSource and (model is None or not issubclass(model, source.model)):
                problems.foreign_inputs.append((i, parameter, source.model))
            continue
        u = index.get(source._id, -1)
        if u < 0:
            problems.unknown.append(Reference(i, parameter, source, takes_outcome(ref)))
            continue
        if tasks[u] is not source and not compatible(source, tasks[u]):
            problems.clashing.append(Reference(i, parameter, source, takes_outcome(ref)))
        have[u] = None
        if ref.__graflow_path__ and takes_outcome(ref):
            structure.outcomes.setdefault(i, []).append(u)
    ups[:] = have


def _link_extra(
    problems: Problems,
    structure: Structure,
    i: int,
    task: AnyTask,
    model: type[BaseModel] | None,
    ups: list[int],
) -> None:
    assert task._extra is not None
    shape = task._definition.shape
    surplus, named = task._extra
    for value in surplus:
        _link_one(problems, structure, i, (f"*{shape.varargs}", shape.varargs), value, model, ups)
    for name, value in named:
        _link_one(problems, structure, i, (name, shape.varkw), value, model, ups)


def _link_one(
    problems: Problems,
    structure: Structure,
    i: int,
    parameter: tuple[str, str | None],
    value: Any,
    model: type[BaseModel] | None,
    ups: list[int],
) -> None:
    """Link one input that is no plain result: what it is called, and the name under which its type is written."""
    refs = value.refs if type(value) is Template else (value,) if type(value) is Placeholder else ()
    if not refs:
        return
    before = len(problems.unknown) + len(problems.clashing) + len(problems.foreign_inputs)
    _link_refs(problems, structure, i, parameter[0], refs, model, ups)
    if len(problems.unknown) + len(problems.clashing) + len(problems.foreign_inputs) == before:
        from graflow.core._wiring import misfit

        found = misfit(structure.tasks[i], parameter[1], value, structure)
        if found is not None:
            problems.misfits.append(Misfit(i, parameter[0], *found))


def sort(structure: Structure) -> bool:
    """Fill in downstream, order and levels; False if there is a cycle (the order is then incomplete)."""
    n, total = len(structure.tasks), len(structure.upstream)
    empty: tuple[int, ...] = ()
    downstream: list[Any] = [empty] * total
    waiting = [0] * total
    order: list[int] = []
    for i, ups in enumerate(structure.upstream):
        if ups:
            waiting[i] = len(ups)
            for u in ups:
                if downstream[u]:
                    downstream[u].append(i)
                else:
                    downstream[u] = [i]
        else:
            order.append(i)
    levels = [0] * total
    for i in order:  # grows while it is read: first in, first out, so levels never go down along it
        below = downstream[i]
        if below:
            level = levels[i] + (i < n)
            for d in below:
                left = waiting[d] - 1
                waiting[d] = left
                if level > levels[d]:
                    levels[d] = level
                if not left:
                    order.append(d)
    # Level by level, and by id within one: as canonical as the indexes, whether tasks are ordered through gates or not.
    order.sort()
    order.sort(key=[2 * level + (i < n) for i, level in enumerate(levels)].__getitem__)
    structure.downstream = downstream
    structure.order = order
    structure.levels = levels
    return len(order) == total
