"""`Task`: one unit of work as a frozen value, and the operators that join tasks.

Calling a task never runs it: it gives the same task with its inputs bound.
Every method returns a new task, and nothing is ever edited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    NoReturn,
    ParamSpec,
    Self,
    TypeVar,
    TypeVarTuple,
    cast,
    overload,
)

from graflow.core._definition import UNBOUND, Definition, Extra, check_callable
from graflow.core._id_templates import check_id_type, filled
from graflow.core._inputs import ATOMS, prepare, prepare_extra, same_extra, same_input, spelling
from graflow.core._recording import RECORDER
from graflow.core.condition import condition
from graflow.core.placeholder import EACH, OUTCOME, Placeholder, make_placeholder
from graflow.errors import InvalidTaskError, WiringError

if TYPE_CHECKING:
    from graflow.core.block import Block
    from graflow.core.map_task import MapTask
    from graflow.core.outcome import Outcome
    from graflow.core.policy import Policy

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
Ts = TypeVarTuple("Ts")

#: Inputs of these types need no look inside: they neither change nor hide a placeholder.
_PLAIN: frozenset[type] = ATOMS | {Placeholder}


class _TaskFields:
    __slots__ = ("_bound", "_definition", "_edges", "_extra", "_id", "_policy")
    _id: str
    _definition: Definition
    _bound: tuple[Any, ...]
    _extra: Extra | None
    _edges: tuple[Edge, ...]
    _policy: Policy | None


class Task(_TaskFields, Generic[P, R_co]):
    """An id, a callable, the inputs bound so far, the edges drawn so far, and policies.

    Args:
        id: names the task in its workflow; letters, digits, ``_``, ``-`` and ``.``.
        fn: any callable but a generator function.
        policy: as for `task`.

    Two tasks are equal when id, callable (by identity), inputs, edges and policies are; an upstream counts as its id
    and callable, never recursively.

    Raises:
        InvalidTaskError: ``fn`` cannot be a task.
        ConfigurationError: a policy is unknown or has an impossible value.
    """

    __slots__ = ()

    def __init__(self, id: str, fn: Callable[P, R_co], **policy: Any) -> None:
        if isinstance(fn, Task):
            raise InvalidTaskError(f"{fn!r} is a task already; give it another id with .named({id!r})")
        check_callable(fn)
        check_id_type(id)
        definition = Definition(fn)
        put = object.__setattr__
        put(self, "_id", id)
        put(self, "_definition", definition)
        put(self, "_bound", definition.shape.blank)
        put(self, "_extra", None)
        put(self, "_edges", ())
        put(self, "_policy", _policy(id, policy))
        recorder = RECORDER.get()
        if recorder is not None:
            recorder.made(self, None, "defined")

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def id(self) -> str:
        """The id, unique in its workflow."""
        return self._id

    @property
    def fn(self) -> Callable[P, R_co]:
        """The plain function, for unit tests and for calling it from other functions."""
        return self._definition.fn

    @property
    def policy(self) -> Policy:
        """What the task asks of the runner."""
        from graflow.core.policy import Policy

        return self._policy if self._policy is not None else Policy()

    @property
    def out(self) -> R_co:
        """A placeholder for the result, typed as the result."""
        return cast(R_co, make_placeholder(self))

    @property
    def each(self: Task[..., Iterable[T]]) -> T:
        """A placeholder for one item of the result, for `map`; see `graflow.each`."""
        return cast(T, make_placeholder(self, EACH))

    @property
    def outcome(self) -> Outcome[R_co]:
        """A placeholder for how the task ends: `Ok`, `Failed` or `Skipped`.

        A task that takes it runs however this one ended, unless it also takes the result or is ordered after it.
        """
        return cast("Outcome[R_co]", make_placeholder(self, OUTCOME))

    # ── making new tasks ────────────────────────────────────────────────────────────────────────────────────────

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Task[[], R_co]:
        """The same task with inputs bound. Never runs it.

        Raises:
            WiringError: too many inputs, an unknown name, an input given twice, or a task in place of its result.
            PlaceholderError: a placeholder hides inside an object where it cannot be found again.
        """
        new = make_task(self._id, self._definition, *self._with(args, kwargs), self._edges, self._policy, type(self))
        recorder = RECORDER.get()
        if recorder is not None:
            recorder.made(new, self, "called")
        return new

    def map(self, *args: P.args, **kwargs: P.kwargs) -> MapTask[R_co]:
        """The same task, once for each item: ``score.map(row=clean.each, weight=2.0)``.

        Inputs that are items (`each`) change from one to the next, side by side where there are several; all others
        stay the same. The result is a list, in the order of the items. Policies hold for each item. If an item fails,
        the others go on, and the map fails; take its ``outcome`` to get the end of each item in place of that.

        Raises:
            WiringError: as for a call, or no input is an item.
        """
        from graflow.core.map_task import check_mappable, mapped

        check_mappable(self)
        return cast("MapTask[R_co]", mapped(self, *self._with(args, kwargs)))

    def named(self, id: str) -> Self:
        """The same task under another id.

        The id may name inputs that are bound: ``train(lr=0.1, depth=3).named("train-{lr}-{depth}")``.
        """
        if type(id) is not str or "{" in id:
            id = filled(self, id)
        new = changed(self, id=id)
        return cast(Self, _heard(new, self, "renamed"))

    def after(self, *upstream: Task[..., Any]) -> Self:
        """The same task, started only when these have succeeded; their results are not passed."""
        for one in upstream:
            if not isinstance(one, Task):
                raise WiringError(f"task {self._id!r} can run after tasks, not after {one!r}")
        return cast(Self, self._wired(upstream, upstream))

    def when(self, flag: bool) -> Self:
        """The same task, run only if the flag is true; else it is skipped, and so is what needs its result.

        Args:
            flag: the result of a task, ``is_big.out``, or a part of it; or True or False.

        Raises:
            WiringError: no flag.
        """
        return cast(Self, self._conditional(flag, True))

    def unless(self, flag: bool) -> Self:
        """The same task, run only if the flag is false; as `when`."""
        return cast(Self, self._conditional(flag, False))

    def with_policy(self, **policy: Any) -> Self:
        """The same task with these policies added to its own.

        Raises:
            ConfigurationError: a policy is unknown or has an impossible value.
        """
        own = dict(self._policy) if self._policy is not None else {}
        given = _policy(self._id, {**own, **policy})
        new = make_task(self._id, self._definition, self._bound, self._extra, self._edges, given, type(self))
        return cast(Self, _heard(new, self, "changed"))

    # ── joining ─────────────────────────────────────────────────────────────────────────────────────────────────

    @overload
    def __rshift__(self, right: Task[[], S]) -> Task[[], S]: ...
    @overload
    def __rshift__(self, right: Callable[[R_co], Task[[], S]]) -> Task[[], S]: ...
    @overload
    def __rshift__(self, right: Group[*Ts]) -> Group[*Ts]: ...
    @overload
    def __rshift__(self, right: Block) -> Block: ...
    def __rshift__(self, right: Any) -> Any:
        """Wire this result into the right side, or only order it where there is nothing to fill.

        Raises:
            WiringError: the right side cannot take the result.
        """
        return join((self,), right, self)

    def __or__(self, other: Task[Q, S]) -> Group[R_co, S]:
        """Both side by side."""
        return cast("Group[R_co, S]", beside(Group(None, self), other))

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self: Task[Concatenate[Any, Q], S], obj: object, owner: type) -> Task[Q, S]: ...
    def __get__(self, obj: object, owner: type | None = None) -> Any:
        """A task in a class body is a method: read through an object, it has that object as its first input."""
        if obj is None:
            return self
        bound = self._bound
        if not bound or bound[0] is not UNBOUND:
            raise InvalidTaskError(f"task {self._id!r} is read as a method, but has no free first parameter for self")
        new = changed(self, bound=(obj, *bound[1:]))
        return _heard(new, self, "read")

    # ── being a value ───────────────────────────────────────────────────────────────────────────────────────────

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"task {self._id!r} is frozen; its methods give a changed copy: .named(), .with_policy()")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"task {self._id!r} is frozen")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Task):
            return NotImplemented
        return (
            type(self) is type(other)
            and self._id == other._id
            and self._definition.fn is other._definition.fn
            and len(self._bound) == len(other._bound)
            and all(map(same_input, self._bound, other._bound))
            and same_extra(self._extra, other._extra)
            and same_edges(self._edges, other._edges)
            and self._policy == other._policy
        )

    def __hash__(self) -> int:
        return hash((self._id, id(self._definition.fn)))

    def __repr__(self) -> str:
        names = self._definition.shape.names
        given = [
            f"{name}={spelling(value)}"
            for name, value in zip(names, self._bound, strict=True)
            if value is not UNBOUND and name != "self"
        ]
        return f"<task {self._id!r}{' with ' + ', '.join(given) if given else ''}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        edges = tuple(edge._bare() for edge in self._edges)
        return make_task, (self._id, self._definition, self._bound, self._extra, edges, self._policy, type(self))

    def __graflow_digest__(self) -> Any:
        """What a digest sees of a task that a function's body mentions."""
        return self._id, self._definition.fn

    def __bool__(self) -> bool:  # not NoReturn: type checkers would skip all that follows `if task:`
        raise WiringError(f"task {self._id!r} is the definition of work, neither true nor false; pass .out to a task")

    # ── for the rest of core ────────────────────────────────────────────────────────────────────────────────────

    def _bare(self) -> Task[..., Any]:
        """Id, callable and policy, without inputs: all that a pickled reference to this task says."""
        blank = self._definition.shape.blank
        return make_task(self._id, self._definition, blank, None, (), self._policy, type(self))

    def _with(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], Extra | None]:
        """The inputs bound so far, with more."""
        shape = self._definition.shape
        extra = self._extra
        if not kwargs and self._bound is shape.blank and len(args) == len(shape.names) == shape.positional:
            bound: tuple[Any, ...] = args
        else:
            bound, extra = shape.bind(self._id, self._bound, extra, args, kwargs)
        for value in bound:
            if type(value) not in _PLAIN and value is not UNBOUND:
                bound = tuple(self._prepared(k, value) for k, value in enumerate(bound))
                break
        if extra is not None:
            extra = prepare_extra(self._id, shape.varargs, extra)
        return bound, extra

    def _conditional(self, flag: Any, wanted: bool) -> Task[..., Any]:
        given = condition(self._id, flag, wanted)
        return self._wired((given,), given.members)

    def _wired(self, edges: tuple[Edge, ...], mentioned: tuple[Task[..., Any], ...]) -> Task[..., Any]:
        recorder = RECORDER.get()
        if recorder is not None:
            recorder.joined(*mentioned)
        return _heard(changed(self, edges=(*self._edges, *edges)), self, "wired")

    def _prepared(self, k: int, value: Any) -> Any:
        if value is UNBOUND or value is self._bound[k]:
            return value
        return prepare(value, self._id, self._definition.shape.parameter(k))


#: The name that the reference documentation of comparable libraries uses.
TaskWrapper = Task


def make_task(
    id: str,
    definition: Definition,
    bound: tuple[Any, ...],
    extra: Extra | None,
    edges: tuple[Any, ...],
    policy: Policy | None,
    kind: type[Task[..., Any]] | None = None,
) -> Task[..., Any]:
    """Make a task of its parts, nothing checked; ``kind`` is its class, where that is not `Task`."""
    # Filling open slots and then switching the class costs half of setting attributes of a frozen object, and a
    # workflow of 100,000 tasks makes 200,000 of them.
    new = _TaskFields()
    new._id = id
    new._definition = definition
    new._bound = bound
    new._extra = extra
    new._edges = edges
    new._policy = policy
    new.__class__ = Task if kind is None else kind
    return cast("Task[..., Any]", new)


def changed(
    task: Task[..., Any],
    *,
    id: str | None = None,
    bound: tuple[Any, ...] | None = None,
    extra: Extra | None = None,
    edges: tuple[Any, ...] | None = None,
) -> Task[..., Any]:
    """The same task with some parts changed, nothing checked."""
    return make_task(
        task._id if id is None else id,
        task._definition,
        task._bound if bound is None else bound,
        task._extra if extra is None else extra,
        task._edges if edges is None else edges,
        task._policy,
        type(task),
    )


def _heard(new: Task[..., Any], origin: Task[..., Any], how: str) -> Task[..., Any]:
    """A new task, of which a block that is open has been told."""
    recorder = RECORDER.get()
    if recorder is not None:
        recorder.made(new, origin, how)
    return new


def _policy(owner: str, fields: dict[str, Any]) -> Policy | None:
    if not fields:
        return None
    from graflow.core.policy import make_policy

    return make_policy(owner, fields)


# At the end, because each of these modules needs the other: this one is always imported first.
from graflow.core.decorator import TaskDecorator as TaskDecorator  # noqa: E402
from graflow.core.decorator import task as task  # noqa: E402
from graflow.core.group import Edge, Group, beside, join, same_edges  # noqa: E402
