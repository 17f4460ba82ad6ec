"""Tasks side by side, and what ``>>`` and ``|`` do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeAlias, TypeVar, TypeVarTuple, cast, overload

from graflow.core._definition import UNBOUND
from graflow.core._inputs import Template
from graflow.core._recording import RECORDER
from graflow.core.condition import Condition
from graflow.core.placeholder import OUTCOME, make_placeholder
from graflow.core.requirement import GroupRule, Requirement, check_rule
from graflow.errors import WiringError

if TYPE_CHECKING:
    from graflow.core.outcome import Outcome

Q = ParamSpec("Q")
S = TypeVar("S")
Ts = TypeVarTuple("Ts")
Us = TypeVarTuple("Us")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")


#: What `Group.require` takes: a rule, or the builtins ``all`` and ``any``.
Rule: TypeAlias = "GroupRule | Callable[[Iterable[object]], bool]"


class Gate:
    """One order of every right after every left: n + m edges in the plan instead of n × m."""

    __slots__ = ("key", "members")

    def __init__(self, members: tuple[Task[..., Any], ...]) -> None:
        self.members = members
        self.key = frozenset(edge_key(member) for member in members)

    def _bare(self) -> Gate:
        return Gate(tuple(member._bare() for member in self.members))

    def __reduce__(self) -> tuple[Any, ...]:
        return Gate, (self._bare().members,)


_COMPLETE = "a group that requires something is complete; write what follows: group.require(...) >> task"

#: What an order edge can be.
Edge: TypeAlias = "Task[..., Any] | Gate | Condition | Requirement"


def same_edges(a: tuple[Edge, ...], b: tuple[Edge, ...]) -> bool:
    """Do two tuples of edges order after the same tasks, in whatever order and whether through gates or not?"""
    return a is b or {edge_key(e) for e in a} == {edge_key(e) for e in b} or _flat(a) == _flat(b)


def _flat(edges: tuple[Edge, ...]) -> set[Any]:
    return {key for e in edges for key in (e.key if isinstance(e, Gate) else (edge_key(e),))}


def edge_key(edge: Edge) -> Any:
    """What makes two order edges the same: id and callable of the upstream, or of all members of a gate."""
    if isinstance(edge, Task):
        return edge._id, id(edge._definition.fn)
    return edge.key


class Group(Generic[*Ts]):
    """Tasks side by side: what ``a | b`` gives, for use with ``>>``."""

    # A chain of `|` over n tasks makes n groups: each holds the one before and its last member, flattened on demand.
    __slots__ = ("_before", "_flat", "_last", "_rule")

    def __init__(self, before: Group[*tuple[Any, ...]] | None, last: Any, rule: GroupRule | None = None) -> None:
        self._before = before
        self._last = last
        self._flat: tuple[Any, ...] | None = None
        self._rule = rule

    @staticmethod
    def of(tasks: Iterable[Task[..., Any]]) -> Group[*tuple[Any, ...]]:
        """Many tasks side by side, as ``|`` would join them: for a list of them.

        Raises:
            WiringError: no tasks, or something else among them.
        """
        group: Group[*tuple[Any, ...]] | None = None
        for one in tasks:
            if not isinstance(one, Task):
                raise WiringError(f"a group is made of tasks, not of {one!r}")
            group = Group(None, one) if group is None else beside(group, one)
        if group is None:
            raise WiringError("a group needs a task")
        return group

    @property
    def members(self) -> tuple[Any, ...]:
        """The tasks (and, inside a block, blocks) in the order in which they were joined."""
        if self._flat is None:
            reverse: list[Any] = []
            group: Group[*tuple[Any, ...]] | None = self
            while group is not None:
                if group._flat is not None:
                    reverse.extend(reversed(group._flat))
                    break
                reverse.append(group._last)
                group = group._before
            self._flat = tuple(reversed(reverse))
        return self._flat

    def __or__(self, other: Task[Q, S]) -> Group[*Ts, S]:
        """One more beside the others."""
        return cast("Group[*Ts, S]", beside(self, other))

    @overload
    def __rshift__(self, right: Task[[], S]) -> Task[[], S]: ...
    @overload
    def __rshift__(self, right: Callable[[*Ts], Task[[], S]]) -> Task[[], S]: ...
    @overload
    def __rshift__(self, right: Group[*Us]) -> Group[*Us]: ...
    def __rshift__(self, right: Any) -> Any:
        """Fill the right side's parameters in order, or order it after every member.

        Raises:
            WiringError: more results than free parameters.
        """
        return join(self.members, right, self, self._rule)

    @overload
    def require(self: Group[A, B], rule: Rule) -> Group[Outcome[A], Outcome[B]]: ...
    @overload
    def require(self: Group[A, B, C], rule: Rule) -> Group[Outcome[A], Outcome[B], Outcome[C]]: ...
    @overload
    def require(self: Group[A, B, C, D], rule: Rule) -> Group[Outcome[A], Outcome[B], Outcome[C], Outcome[D]]: ...
    @overload
    def require(
        self: Group[A, B, C, D, E], rule: Rule
    ) -> Group[Outcome[A], Outcome[B], Outcome[C], Outcome[D], Outcome[E]]: ...
    @overload
    def require(self, rule: Rule) -> Group[*tuple[Any, ...]]: ...
    def require(self, rule: Any) -> Any:
        """The same group, with a rule for what has to succeed before what comes after it may start.

        ``(a | b | c).require(at_least(2)) >> merge``: as soon as two have a result, ``merge`` starts, with the outcomes
        of all three: those that have not ended count as `Skipped`. Once there cannot be two, it is skipped. A task
        with one free parameter gets all outcomes as a list.

        Args:
            rule: ``all``, ``any``, `at_least`, `critical`, or a `GroupRule` of your own.

        Raises:
            WiringError: no rule, or one that these tasks can never fulfil.
        """
        if self._rule is not None:
            raise WiringError(_COMPLETE)
        members = self.members
        group: Group[*tuple[Any, ...]] | None = None
        for one in members[:-1]:
            group = Group(group, one)
        return Group(group, members[-1], check_rule(rule, members))

    def __repr__(self) -> str:
        return f"<group of {', '.join(repr(getattr(m, 'id', m)) for m in self.members)}>"


def beside(group: Group[*tuple[Any, ...]], other: Any) -> Any:
    """``group | other``."""
    recorder = RECORDER.get()
    if group._rule is not None or (isinstance(other, Group) and other._rule is not None):
        raise WiringError(_COMPLETE)
    if isinstance(other, Group):
        for member in other.members:
            group = Group(group, member)
    elif isinstance(other, Task) or is_block(other):
        group = Group(group, other)
    else:
        return NotImplemented
    if recorder is not None:
        recorder.joined(group._last, *([group._before._last] if group._before is not None else []))
    return group


def is_block(value: object) -> bool:
    """Is this a block? Asked without importing `graflow.core.block`, which imports this module."""
    return hasattr(type(value), "__graflow_block__")


def join(lefts: tuple[Any, ...], right: Any, left: Any, rule: GroupRule | None = None) -> Any:
    """``left >> right``, where ``lefts`` are the tasks or blocks of the left side, and ``rule`` what they require."""
    recorder = RECORDER.get()
    if isinstance(right, Task):
        members: tuple[Any, ...] = (right,)
    elif isinstance(right, Group):
        if right._rule is not None:
            raise WiringError("what a group requires is for what comes after it; write (a | b).require(...) >> task")
        members = right.members
    elif is_block(right):
        members = ()
    else:
        return NotImplemented
    if is_block(right) or any(map(is_block, members)) or any(map(is_block, lefts)):
        if recorder is None:
            raise WiringError(
                "a block can be ordered only inside the block around it: with workflow(...) as outer: ..."
            )
        recorder.ordered(left, right)
        return right
    if recorder is not None:
        recorder.joined(*lefts, *members)
    if isinstance(right, Task):
        return _fed(lefts, right, recorder, rule)
    if len(lefts) == 1 or rule is not None:
        wired = [_fed(lefts, member, recorder, rule) for member in members]
    else:
        gate: tuple[Any, ...] = (Gate(lefts),) if len(members) > 1 else lefts
        wired = [changed(member, edges=(*member._edges, *gate)) for member in members]
        if recorder is not None:
            for old, new in zip(members, wired, strict=True):
                recorder.made(new, old, "wired")
    group: Group[*tuple[Any, ...]] | None = None
    for one in wired:
        group = Group(group, one)
    return group


def _fed(lefts: tuple[Any, ...], right: Task[..., Any], recorder: Any, rule: GroupRule | None) -> Task[..., Any]:
    bound = right._bound
    edges: tuple[Any, ...] = lefts if rule is None else (Requirement(lefts, rule),)
    free = [k for k in right._definition.shape.feedable if bound[k] is UNBOUND]
    if not free:
        new = changed(right, edges=(*right._edges, *edges))
    elif len(lefts) > len(free) == 1 and rule is not None:
        gathered = Template(list, tuple(make_placeholder(left, OUTCOME) for left in lefts))
        values = tuple(gathered if k == free[0] else value for k, value in enumerate(bound))
        new = changed(right, bound=values, edges=(*right._edges, *edges))
    elif len(lefts) > len(free):
        names = ", ".join(repr(right._definition.shape.names[k]) for k in free)
        raise WiringError(
            f"{len(lefts)} results cannot feed task {right._id!r}, which has {len(free)} free "
            f"{'parameter' if len(free) == 1 else 'parameters'} ({names}); name the inputs in a call, or use fewer"
        )
    else:
        fed = list(bound)
        for k, left in zip(free, lefts, strict=False):
            fed[k] = make_placeholder(left) if rule is None else make_placeholder(left, OUTCOME)
        new = changed(right, bound=tuple(fed), edges=right._edges if rule is None else (*right._edges, *edges))
    if recorder is not None:
        recorder.made(new, right, "wired")
    return new


# At the end, because each of the two modules needs the other: `graflow.core.task` is always imported first.
from graflow.core.task import Task, changed  # noqa: E402
