"""`Task`: one unit of work as a frozen value, and the operators that join tasks.

Calling a task never runs it: it gives the same task with its inputs bound.
Every method returns a new task, and nothing is ever edited.
"""

from __future__ import annotations

from collections.abc import Callable
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
from graflow.core._inputs import ATOMS, prepare, prepare_extra, same_extra, same_input, spelling
from graflow.core._recording import RECORDER
from graflow.core.placeholder import OUTCOME, Placeholder, make_placeholder
from graflow.errors import InvalidTaskError, InvalidTaskIdError, WiringError

if TYPE_CHECKING:
    from graflow.core.block import Block
    from graflow.core.outcome import Outcome
    from graflow.core.policy import Policy

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
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
    _edges: tuple[Task[..., Any] | Gate, ...]
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
        _check_id_type(id)
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
        new = make_task(self._id, self._definition, bound, extra, self._edges, self._policy)
        recorder = RECORDER.get()
        if recorder is not None:
            recorder.made(new, self, "called")
        return new

    def named(self, id: str) -> Self:
        """The same task under another id."""
        if type(id) is not str:
            _check_id_type(id)
        new = make_task(id, self._definition, self._bound, self._extra, self._edges, self._policy)
        recorder = RECORDER.get()
        if recorder is not None:
            recorder.made(new, self, "renamed")
        return cast(Self, new)

    def after(self, *upstream: Task[..., Any]) -> Self:
        """The same task, started only when these have succeeded; their results are not passed."""
        for one in upstream:
            if not isinstance(one, Task):
                raise WiringError(f"task {self._id!r} can run after tasks, not after {one!r}")
        new = changed(self, edges=(*self._edges, *upstream))
        recorder = RECORDER.get()
        if recorder is not None:
            recorder.joined(*upstream)
            recorder.made(new, self, "wired")
        return cast(Self, new)

    def with_policy(self, **policy: Any) -> Self:
        """The same task with these policies added to its own.

        Raises:
            ConfigurationError: a policy is unknown or has an impossible value.
        """
        own = dict(self._policy) if self._policy is not None else {}
        new = make_task(
            self._id, self._definition, self._bound, self._extra, self._edges, _policy(self._id, {**own, **policy})
        )
        recorder = RECORDER.get()
        if recorder is not None:
            recorder.made(new, self, "changed")
        return cast(Self, new)

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
        recorder = RECORDER.get()
        if recorder is not None:
            recorder.made(new, self, "read")
        return new

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
            self._id == other._id
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
        return make_task, (self._id, self._definition, self._bound, self._extra, edges, self._policy)

    def __graflow_digest__(self) -> Any:
        """What a digest sees of a task that a function's body mentions."""
        return self._id, self._definition.fn

    def __bool__(self) -> bool:  # not NoReturn: type checkers would skip all that follows `if task:`
        raise WiringError(f"task {self._id!r} is the definition of work, neither true nor false; pass .out to a task")

    # ── for the rest of core ────────────────────────────────────────────────────────────────────────────────────

    def _bare(self) -> Task[..., Any]:
        """Id, callable and policy, without inputs: all that a pickled reference to this task says."""
        return make_task(self._id, self._definition, self._definition.shape.blank, None, (), self._policy)

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
) -> Task[..., Any]:
    """Make a task of its parts, nothing checked."""
    # Filling open slots and then switching the class costs half of setting attributes of a frozen object, and a
    # workflow of 100,000 tasks makes 200,000 of them.
    new = _TaskFields()
    new._id = id
    new._definition = definition
    new._bound = bound
    new._extra = extra
    new._edges = edges
    new._policy = policy
    new.__class__ = Task
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
    )


def _policy(owner: str, fields: dict[str, Any]) -> Policy | None:
    if not fields:
        return None
    from graflow.core.policy import make_policy

    return make_policy(owner, fields)


def _check_id_type(id: object) -> None:
    if not isinstance(id, str):
        raise InvalidTaskIdError(f"a task's id is text, not {id!r}")


# At the end, because each of these modules needs the other: this one is always imported first.
from graflow.core.decorator import TaskDecorator as TaskDecorator  # noqa: E402
from graflow.core.decorator import task as task  # noqa: E402
from graflow.core.group import Gate, Group, beside, join, same_edges  # noqa: E402
