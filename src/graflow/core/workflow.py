"""`Workflow`: tasks and edges as one frozen value, checked when it is built; and the builder that builds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    NamedTuple,
    NoReturn,
    ParamSpec,
    Self,
    TypeVar,
    cast,
    overload,
)

from graflow.core import _ports
from graflow.core._equal import same_order, same_task
from graflow.core._nesting import as_function, expand, moved
from graflow.core._recording import RECORDER
from graflow.core._structure import Structure, arrange, link, sort
from graflow.core.checks import Mention, check_returns, checked, end_stage, legal_ids
from graflow.core.task import Task
from graflow.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from graflow.core._diff import WorkflowDiff
    from graflow.core._options import OnFailure
    from graflow.core.builder import WorkflowBuilder
    from graflow.core.config._document import Source
    from graflow.core.config._names import Registry
    from graflow.core.plan import Plan
    from graflow.core.run import Run, Runner

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
A = TypeVar("A")
R_co = TypeVar("R_co", covariant=True)
In = TypeVar("In")
M = TypeVar("M", bound="BaseModel")


class Edge(NamedTuple):
    """One task before another."""

    upstream: str
    """Id of the task that comes first."""
    downstream: str
    """Id of the task that waits for it."""
    data: bool
    """Whether the downstream task reads the result; otherwise it is only ordered."""


class Workflow(Generic[In, R_co]):
    """Tasks, wired and checked. Make one with `Workflow.builder`, `Workflow.of` or ``with workflow(...)``.

    Two workflows are equal when their names, inputs, tasks, edges and returned task are, in whatever order they were
    written down.
    """

    __slots__ = ("_aliases", "_as_function", "_fingerprint", "_model", "_name", "_plan", "_returns", "_structure")
    _name: str
    _model: type[BaseModel] | None
    _structure: Structure
    _aliases: Mapping[str, str]
    _returns: str | None
    _plan: Plan | None
    _fingerprint: str | None
    _as_function: Any

    def __init__(self) -> None:
        raise ConfigurationError(
            "a workflow is built, not constructed: use Workflow.builder(name), Workflow.of(name, ...) or "
            "`with workflow(name) as wf`"
        )

    # ── building ────────────────────────────────────────────────────────────────────────────────────────────────

    @staticmethod
    def of(name: str, *tasks: Task[..., Any], returns: Task[..., S]) -> Workflow[None, S]:
        """Build a workflow from tasks and all that they refer to.

        Several versions of one task, such as ``clean`` and ``extract >> clean``, add up.

        Raises:
            DefinitionError: a check failed; see `graflow.core.checks`.
        """
        from graflow.core._collect import collect, reachable

        check_name(name)
        check_returns(returns)
        merged = collect(name, [*tasks, returns])
        recorder = RECORDER.get()
        if recorder is not None:
            recorder.taken(*reachable([*tasks, returns]))
        return cast("Workflow[None, S]", build_workflow(name, list(merged.values()), None, returns))

    @overload
    @staticmethod
    def builder(name: str) -> WorkflowBuilder[None, None]: ...
    @overload
    @staticmethod
    def builder(name: str, *, inputs: type[M]) -> WorkflowBuilder[M, None]: ...
    @staticmethod
    def builder(name: str, *, inputs: Any = None) -> WorkflowBuilder[Any, Any]:
        """An empty builder.

        Args:
            name: of the workflow.
            inputs: a pydantic model; the workflow is then run with an instance of it.
        """
        check_name(name)
        if inputs is not None and not (isinstance(inputs, type) and hasattr(inputs, "model_fields")):
            raise ConfigurationError(f"workflow {name!r}: inputs= takes a pydantic model class, not {inputs!r}")
        from graflow.core.builder import make_builder

        return make_builder(name, inputs, None, None, None)

    @staticmethod
    def from_config(source: Source, registry: Registry = None, *, modules: Iterable[str] = ()) -> Workflow[Any, Any]:
        """Build a workflow from a YAML, TOML or JSON file, or from a mapping.

        Args:
            source: a path, or a mapping.
            registry: the tasks, callables and models that it may name: by name, or tasks that are named by their id.
            modules: packages and modules of which it may name any other as ``module:attribute``.

        Raises:
            ConfigurationError: it cannot be read, or says something that cannot be; names file, line and key.
            DefinitionError: what it says is no workflow, as for `WorkflowBuilder.build`; says where, too.
        """
        from graflow.core.config import from_config

        return from_config(source, registry, modules=modules)

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def name(self) -> str:
        """The name."""
        return self._name

    @property
    def inputs(self) -> type[BaseModel] | None:
        """The pydantic model of the inputs, or None if there are none."""
        return self._model

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]:
        """The tasks by id, in plan order: every upstream before its downstreams."""
        structure = self._structure
        n = len(structure.tasks)
        return MappingProxyType({structure.tasks[i].id: structure.tasks[i] for i in structure.order if i < n})

    @property
    def edges(self) -> tuple[Edge, ...]:
        """All edges, in the order of the ids of their downstream tasks."""
        structure = self._structure
        return tuple(
            Edge(structure.tasks[u].id, task.id, k < structure.reads[i])
            for i, task in enumerate(structure.tasks)
            for k, u in enumerate(structure.task_upstream(i))
        )

    @property
    def returns(self) -> str | None:
        """The id of the task whose result is the run's value; None for a workflow without tasks."""
        return self._returns

    @property
    def fingerprint(self) -> str:
        """A digest of names, structure, inputs and code: equal across processes, hash seeds and machines.

        The part before the dash covers the structure, and is the same on every Python version; the part after it
        covers the code, whose bytecode differs between Python minor versions.
        """
        if self._fingerprint is None:
            from graflow.core._fingerprint import fingerprint

            object.__setattr__(self, "_fingerprint", fingerprint(self))
        return cast(str, self._fingerprint)

    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of the inputs."""
        if self._model is None:
            return {"type": "object", "properties": {}, "additionalProperties": False}
        return self._model.model_json_schema()

    def check_portable(self) -> None:
        """Check that every task can travel to another process.

        Raises:
            SerializationError: names each task that cannot, the path to the culprit, why, and the cure.
        """
        _ports.check_portable(self)

    def diff(self, other: Workflow[Any, Any]) -> WorkflowDiff:
        """What has to change in this workflow to become the other one."""
        from graflow.core._diff import diff

        return diff(self, other)

    def to_mermaid(self) -> str:
        """The workflow as a Mermaid flowchart."""
        return _ports.mermaid(self)

    def _repr_html_(self) -> str:
        return _ports.html(self)

    # ── deriving ────────────────────────────────────────────────────────────────────────────────────────────────

    @overload
    def as_task(self: Workflow[None, S], id: str) -> Task[[], S]: ...
    @overload
    def as_task(self: Workflow[M, S], id: str) -> Task[[M], S]: ...
    def as_task(self, id: str) -> Any:
        """This workflow as one task of another: its input is the model, its result the value of this workflow.

        In the workflow around it the inner tasks appear as ``id/inner`` and run side by side with the others.
        """
        if self._as_function is None:
            object.__setattr__(self, "_as_function", as_function(self))
        return Task(id, cast(Any, self._as_function))

    def to_config(self, registry: Registry = None) -> dict[str, Any]:
        """The workflow as a mapping that `from_config` takes.

        Args:
            registry: as for `from_config`; what it has is written by its name there, all else as ``module:attribute``.

        Raises:
            ConfigurationError: a function that nobody can import, or an input that is no plain data.
        """
        from graflow.core.config import to_config

        return to_config(self, registry)

    def renamed(self, prefix: str) -> Self:
        """The same workflow with ``prefix/`` before every id.

        Raises:
            InvalidTaskIdError: the prefix is not a legal id.
        """
        end_stage(self._name, legal_ids([prefix], self._name))
        tasks = moved(self._structure, prefix)
        aliases = {f"{prefix}/{outer}": f"{prefix}/{target}" for outer, target in self._aliases.items()}
        returns = tasks[self._returns].id if self._returns is not None else None
        return cast(Self, rebuilt(self._name, list(tasks.values()), self._model, returns, aliases))

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────────────

    def compile(self) -> Plan:
        """The plan: all that a runner needs. Compiled once and kept."""
        if self._plan is None:
            from graflow.core.plan import compile_plan

            object.__setattr__(self, "_plan", compile_plan(self))
        return cast("Plan", self._plan)

    @overload
    def run(
        self: Workflow[None, S],
        *,
        runner: Runner | None = None,
        check: bool = True,
        run_id: str | None = None,
        on_failure: OnFailure = "continue",
        timeout: float | timedelta | None = None,
    ) -> Run[S]: ...
    @overload
    def run(
        self: Workflow[M, S],
        inputs: M,
        *,
        runner: Runner | None = None,
        check: bool = True,
        run_id: str | None = None,
        on_failure: OnFailure = "continue",
        timeout: float | timedelta | None = None,
    ) -> Run[S]: ...
    def run(self, inputs: Any = None, *, runner: Runner | None = None, **how: Any) -> Run[Any]:
        """Run to the end.

        Args:
            inputs: an instance of the input model.
            runner: where to run; `LocalRunner` by default.
            how: ``check``, ``run_id``, ``on_failure`` and ``timeout``, as for `graflow.Runner.run`.
        """
        chosen = runner if runner is not None else _ports.default_runner()
        return chosen.run(cast("Workflow[Any, Any]", self), inputs, **how)

    # ── being a value ───────────────────────────────────────────────────────────────────────────────────────────

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"workflow {self._name!r} is frozen; build another one")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Workflow):
            return NotImplemented
        mine, theirs = self._structure, other._structure
        return (
            self._name == other._name
            and self._model is other._model
            and self._returns == other._returns
            and mine.index == theirs.index
            and mine.reads[: len(mine.tasks)] == theirs.reads[: len(theirs.tasks)]
            and mine.tolerated == theirs.tolerated
            and all(map(same_task, mine.tasks, theirs.tasks))
            and same_order(mine, theirs)
        )

    def __hash__(self) -> int:
        return hash((self._name, self._returns, len(self._structure.tasks), tuple(self._structure.index)))

    def __repr__(self) -> str:
        return f"<workflow {self._name!r}, {len(self._structure.tasks)} tasks>"

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuilt, (self._name, list(self._structure.tasks), self._model, self._returns, dict(self._aliases))


def _new_workflow(
    name: str,
    structure: Structure,
    model: type[BaseModel] | None,
    returns: str | None,
    aliases: Mapping[str, str],
) -> Workflow[Any, Any]:
    new: Workflow[Any, Any] = object.__new__(Workflow)
    put = object.__setattr__
    put(new, "_name", name)
    put(new, "_structure", structure)
    put(new, "_model", model)
    put(new, "_returns", returns)
    put(new, "_aliases", aliases)
    put(new, "_plan", None)
    put(new, "_fingerprint", None)
    put(new, "_as_function", None)
    return new


def rebuilt(
    name: str,
    tasks: list[Task[..., Any]],
    model: type[BaseModel] | None,
    returns: str | None,
    aliases: Mapping[str, str],
) -> Workflow[Any, Any]:
    """A workflow from tasks that were checked before: unpickled, or under new ids."""
    structure = arrange(tasks)
    link(structure, model, aliases)
    sort(structure)
    return _new_workflow(name, structure, model, returns, aliases)


def build_workflow(
    name: str,
    tasks: list[Task[..., Any]],
    model: type[BaseModel] | None,
    returns: Task[..., Any] | str | None,
    *,
    paths: Iterable[Task[..., Any]] = (),
    included: Iterable[Task[..., Any]] = (),
    aliases: Mapping[str, str] | None = None,
    mentioned: Sequence[Task[..., Any]] = (),
    portable: bool = False,
) -> Workflow[Any, Any]:
    """Check and freeze: ``tasks`` carry ids to be checked, those of ``paths`` and ``included`` were checked before.

    The tasks of ``included`` come from workflows that were built, so nested workflows among them are expanded already.
    """
    check_returns(returns)
    own, inner, found = expand(tasks)
    paths, inner_paths, found_paths = expand(paths)
    all_aliases = {**(aliases or {}), **found, **found_paths}
    nested = [*paths, *included, *inner, *inner_paths]
    outside = [Mention(task, f"order() names task {task.id!r}") for task in mentioned]
    if isinstance(returns, Task):
        outside.append(Mention(returns, f"returns= names task {returns.id!r}"))
    structure = checked(name, own, nested=nested, model=model, aliases=all_aliases, mentions=outside)
    workflow = _new_workflow(name, structure, model, returns.id if isinstance(returns, Task) else returns, all_aliases)
    if portable:
        workflow.check_portable()
    return workflow


def check_name(name: object) -> None:
    """Refuse a workflow without a name."""
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(f"a workflow needs a name, not {name!r}")
