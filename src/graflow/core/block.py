"""``with workflow("name") as wf``: a workflow written down as a block that records the tasks made in it.

The same values as with the builder come out: at the end of the outermost block everything is checked and frozen as
``wf.workflow``.
"""

from __future__ import annotations

import enum
from contextvars import Token
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, cast, overload

from graflow.core import _ports
from graflow.core._attempt import ATTEMPT, Attempt
from graflow.core._collect import referenced
from graflow.core._recording import EVERY_GATE, RECORDER, Record, Recorder
from graflow.core.group import Group, beside, join
from graflow.core.task import Task
from graflow.core.workflow import Workflow, check_name
from graflow.errors import ConfigurationError, ResultUnavailableError, UnknownTaskError

if TYPE_CHECKING:
    from datetime import timedelta

    from pydantic import BaseModel

    from graflow.core._options import OnFailure
    from graflow.core.run import Run, Runner

P = ParamSpec("P")
Q = ParamSpec("Q")
S = TypeVar("S")
T = TypeVar("T")


class QueueBackend(enum.Enum):
    """Short for a runner, in `Block.execute`."""

    LOCAL = "local"
    """`LocalRunner`: this machine."""
    REDIS = "redis"
    """Many machines, through a Redis server."""


class Block:
    """What ``with workflow(name) as wf`` gives: records tasks, then holds the frozen workflow.

    In the block of another one it is a part of it, with an id scope of its own (``inner/task``), and takes part in
    ``>>`` and ``|`` like a group of its tasks.
    """

    __graflow_block__ = True

    def __init__(self, name: str, inputs: type[BaseModel] | None = None) -> None:
        check_name(name)
        self._name = name
        self._model = inputs
        self._outer: Block | None = None
        self._records: dict[int, Record] = {}
        # All records of the outermost block and the blocks inside it, with their home, by identity of the task.
        self._homes: dict[int, tuple[Block, Record]] = {}
        self._inner: list[Block] = []
        self._orders: list[tuple[Any, Any]] = []
        self._token: Token[Recorder | None] | None = None
        self._closed = False
        self._workflow: Workflow[Any, Any] | None = None
        self._last_run: Run[Any] | None = None

    # ── opening and closing ─────────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Self:
        if self._token is not None or self._closed:
            raise ConfigurationError(f"block {self._name!r} was opened before; make a new one with workflow(...)")
        outer = RECORDER.get()
        if isinstance(outer, Block):
            if self._model is not None:
                raise ConfigurationError(
                    f"the nested block {self._name!r} cannot take inputs of its own; declare them on the outer block"
                )
            self._outer = outer
            self._homes = outer._homes
            outer._inner.append(self)
        self._token = RECORDER.set(self)
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *exc: object) -> None:
        assert self._token is not None
        RECORDER.reset(self._token)
        self._closed = True
        if exc_type is None and self._outer is None:
            self._workflow = self._freeze()

    def _freeze(self) -> Workflow[Any, Any]:
        from graflow.core._scopes import build_block

        return build_block(self)

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def name(self) -> str:
        """The name of the workflow."""
        return self._name

    @property
    def path(self) -> str:
        """What goes before the ids of the block's tasks: empty for the outermost block, else ``outer/inner/``."""
        return f"{self._outer.path}{self._name}/" if self._outer is not None else ""

    @property
    def workflow(self) -> Workflow[Any, Any]:
        """The frozen workflow.

        Raises:
            ConfigurationError: the block is still open, is part of another one, or ended with an error.
        """
        if self._workflow is None:
            if self._outer is not None:
                reason = f"is part of the block {self._outer._name!r}, which holds the workflow"
            elif self._token is None:
                reason = "was never opened; use it in a `with` statement"
            elif not self._closed:
                reason = "is still open; its workflow is ready when the `with` statement ends"
            else:
                reason = "ended with an error"
            raise ConfigurationError(f"block {self._name!r} has no workflow: it {reason}")
        return self._workflow

    @property
    def last_run(self) -> Run[Any]:
        """The run of the last `execute`.

        Raises:
            ResultUnavailableError: the block has not been executed.
        """
        if self._last_run is None:
            raise ResultUnavailableError(f"block {self._name!r} has not been executed; call .execute() first")
        return self._last_run

    @overload
    def get_result(self, task: Task[..., T]) -> T: ...
    @overload
    def get_result(self, task: str) -> Any: ...
    def get_result(self, task: Task[..., Any] | str) -> Any:
        """The result of another task.

        Inside a task: of a direct upstream in the current run. Outside: of the last `execute`.

        Raises:
            ResultUnavailableError: the task is no direct upstream, or there is no run to read from.
        """
        attempt = ATTEMPT.get()
        if attempt is not None:
            return read(attempt, self.path, task)
        outermost = self
        while outermost._outer is not None:
            outermost = outermost._outer
        return outermost.last_run[self._path_id(task) if isinstance(task, Task) else self.path + task]

    # ── recording ───────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, task: Task[P, S]) -> Task[P, S]:
        """Keep a task as it is, whatever is made from it."""
        if not isinstance(task, Task):
            raise ConfigurationError(f"block {self._name!r} takes tasks, not {task!r}; make one with @task")
        if self._closed:
            raise ConfigurationError(
                f"block {self._name!r} is closed; add task {task.id!r} inside its `with` statement"
            )
        found = self._homes.get(id(task))
        record = found[1] if found is not None else self._record(task, None, "added")
        record.used = True
        self._mark_referenced(task)
        return task

    def made(self, task: Task[..., Any], origin: Task[..., Any] | None, how: str) -> None:
        """A task was made in this block; called by tasks."""
        home, old = self, None
        if origin is not None:
            found = self._homes.get(id(origin))
            if found is not None:
                old = found[1]
                old.made_from = True
                if how == "wired":
                    home = found[0]
        record = home._record(task, old, how)
        if how == "read":
            record.superseded = True  # a method that was looked up counts only if something is done with it
        elif how in ("renamed", "changed"):
            while old is not None and not old.used:
                old.superseded = True
                old = old.origin
        else:
            self._mark_referenced(task)

    def joined(self, *members: Any) -> None:
        """Tasks take part in ``>>`` or ``|``; called by tasks."""
        for member in members:
            if isinstance(member, Task):
                found = self._homes.get(id(member))
                if found is not None:
                    found[1].used = True
                else:
                    self._record(member, None, "joined")

    def taken(self, *tasks: Task[..., Any]) -> None:
        """Tasks went into a workflow of their own; called by builders."""
        for task in tasks:
            found = self._homes.get(id(task))
            if found is not None:
                found[1].superseded = True

    def ordered(self, left: Any, right: Any) -> None:
        """A block is ordered before or after something; called by tasks and blocks."""
        for side in (left, right):
            for member in side.members if isinstance(side, Group) else (side,):
                self.joined(member)
                if isinstance(member, Block) and member not in self._inner:
                    raise ConfigurationError(
                        f"block {member._name!r} is ordered in {self._name!r}, but was not opened inside it"
                    )
        self._orders.append((left, right))

    def _record(self, task: Task[..., Any], origin: Record | None, how: str) -> Record:
        record = Record(task, origin, how)
        self._records[id(task)] = record
        self._homes[id(task)] = self, record
        return record

    def _path_id(self, task: Task[..., Any]) -> str:
        home = self._homes.get(id(task))
        return (home[0].path if home is not None else self.path) + task.id

    def _mark_referenced(self, task: Task[..., Any]) -> None:
        # Gates are left out: whoever joined their members has marked them.
        for source in referenced(task, EVERY_GATE):
            found = self._homes.get(id(source))
            if found is not None:
                found[1].used = True

    # ── joining ─────────────────────────────────────────────────────────────────────────────────────────────────

    @overload
    def __rshift__(self, right: Task[P, S]) -> Task[P, S]: ...
    @overload
    def __rshift__(self, right: Block) -> Block: ...
    def __rshift__(self, right: Any) -> Any:
        """Order the right side after every task of this block."""
        return join((self,), right, self)

    def __or__(self, other: Task[Q, S] | Block) -> Group[Any, Any]:
        """Both side by side."""
        return cast("Group[Any, Any]", beside(Group(None, self), other))

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────────────

    def execute(
        self,
        *,
        inputs: BaseModel | None = None,
        runner: Runner | None = None,
        start_node: str | Task[..., Any] | None = None,
        queue_backend: QueueBackend | None = None,
        check: bool = True,
        run_id: str | None = None,
        on_failure: OnFailure = "continue",
        timeout: float | timedelta | None = None,
    ) -> Run[Any]:
        """Run the workflow, after the block or at the end of it.

        Args:
            inputs: an instance of the block's input model.
            runner: where to run; `LocalRunner` by default.
            start_node: run only this task, all that follows from it, and every upstream these need.
            queue_backend: short for a runner.
            check: raise if the run did not succeed.
            run_id: as for `Runner.run`.
            on_failure: as for `Runner.run`.
            timeout: as for `Runner.run`.

        Raises:
            DefinitionError: called inside the block, and a check failed.
            UnknownTaskError: there is no task ``start_node``.
            ConfigurationError: both a runner and a queue backend are given, or the block is part of another one.
            RunFailedError: a task failed, unless ``check=False``.
        """
        if runner is not None and queue_backend is not None:
            raise ConfigurationError("execute() takes a runner or a queue_backend, not both")
        if self._outer is not None:
            raise ConfigurationError(f"block {self._name!r} is part of {self._outer._name!r}; execute that one")
        workflow = self.workflow if self._closed or self._token is None else self._freeze()
        if start_node is not None:
            workflow = _from(workflow, start_node if isinstance(start_node, str) else self._path_id(start_node))
        if runner is None:
            runner = _ports.redis_runner() if queue_backend is QueueBackend.REDIS else _ports.default_runner()
        run: Run[Any] = runner.run(workflow, inputs, check=False, run_id=run_id, on_failure=on_failure, timeout=timeout)
        self._last_run = run
        if check:
            run.raise_for_failure()
        return run

    def __repr__(self) -> str:
        return f"<block {self._name!r}>"

    def __graflow_digest__(self) -> Any:
        """What a digest sees of a block that a function's body mentions: its path, not what it has recorded."""
        return self._name, self.path

    def __reduce__(self) -> tuple[Any, ...]:
        # A task body that captures its block reads results through the attempt that runs it, wherever that is.
        return BlockHandle, (self._name, self.path)


class BlockHandle:
    """What a captured `Block` becomes in another process: enough to read results of upstreams."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = path

    def get_result(self, task: Task[..., Any] | str) -> Any:
        """The result of a direct upstream of the running task.

        Raises:
            ResultUnavailableError: the task is no direct upstream, or no task is running.
        """
        attempt = ATTEMPT.get()
        if attempt is None:
            raise ResultUnavailableError(f"block {self.name!r} can be read here only while one of its tasks runs")
        return read(attempt, self.path, task)

    def __graflow_digest__(self) -> Any:
        """The same as the block's own."""
        return self.name, self.path

    def __reduce__(self) -> tuple[Any, ...]:
        return BlockHandle, (self.name, self.path)


def read(attempt: Attempt, path: str, task: Task[..., Any] | str) -> Any:
    """The result of an upstream, looked up in a block and then in those around it, as references are."""
    id = task.id if isinstance(task, Task) else task
    around = path
    while around and not attempt.knows(around + id):
        around = around[: around.rstrip("/").rfind("/") + 1]
    return attempt.result_of(around + id if around or attempt.knows(id) else path + id)


def _from(workflow: Workflow[Any, Any], start: str) -> Workflow[Any, Any]:
    """The part of a workflow that runs from one task on."""
    from graflow.core._graph import ancestors, descendants
    from graflow.core.checks import _close
    from graflow.core.workflow import rebuilt

    structure = workflow._structure
    i = structure.index.get(start)
    if i is None:
        hint = _close(start, list(structure.index))
        raise UnknownTaskError(f"workflow {workflow.name!r} has no task {start!r} to start from; {hint}add it")
    after = descendants(structure.upstream, [i])
    wanted = ancestors(structure.upstream, after) | after
    tasks = [task for k, task in enumerate(structure.tasks) if k in wanted]
    ids = {task.id for task in tasks}
    aliases = {outer: target for outer, target in workflow._aliases.items() if outer in ids}
    returns = workflow.returns if workflow.returns in ids else start
    return rebuilt(workflow.name, tasks, workflow.inputs, returns, aliases)


def workflow(name: str, *, inputs: type[BaseModel] | None = None) -> Block:
    """Open a block that records tasks.

    Use it in a ``with`` statement::

        with workflow("report") as wf:
            extract(path) >> clean >> write

        wf.execute()

    Args:
        name: of the workflow; for a nested block also what goes before its tasks' ids.
        inputs: a pydantic model; the workflow is then executed with an instance of it.
    """
    return Block(name, inputs)
