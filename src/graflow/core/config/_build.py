"""From a configuration to a workflow: names looked up, references wired, the usual checks run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, assert_never

from graflow.core._definition import UNBOUND, Shape
from graflow.core._recording import RECORDER
from graflow.core.config import _projection
from graflow.core.config._document import Source, read
from graflow.core.config._expand import Entries, Entry, expand
from graflow.core.config._fit import inputs_of, intended, misfits, words
from graflow.core.config._keys import Keys, Mistake, Stage, suggestion
from graflow.core.config._located import Located, translated
from graflow.core.config._models import (
    POLICIES,
    All,
    AnyReference,
    Cell,
    Ending,
    Input,
    Item,
    Literal,
    Result,
    TaskConfig,
    WorkflowConfig,
    reference,
    validated,
)
from graflow.core.config._names import Names, Registry, lacks_library
from graflow.core.placeholder import Placeholder, each, inputs, takes_item
from graflow.core.task import Task, make_task
from graflow.core.workflow import Workflow, build_workflow, check_name
from graflow.errors import ConfigurationError, DefinitionError

AnyTask = Task[..., Any]


def from_config(source: Source, registry: Registry = None, *, modules: Iterable[str] = ()) -> Workflow[Any, Any]:
    """Build a workflow from configuration, with the same checks as by any other way. The file runs no code.

    Args:
        source: the path of a ``.yaml``, ``.yml``, ``.toml`` or ``.json`` file, or a mapping.
        registry: what the configuration may name: tasks, other callables and models, by name or by their own ids.
        modules: from which modules, and those below them, it may also name things, as ``module:name``. No other
            module is imported.

    Raises:
        DefinitionError: the configuration is wrong: an `InvalidConfigError`, or what a check found, with file, line
            and key; several as `DefinitionErrors`.
        ConfigurationError: an argument is wrong, or the library that reads YAML is not installed.
    """
    names = Names(registry, modules)
    document = read(source)
    stage = Stage(document.places)
    config, mistakes = validated(document.data)
    for mistake in mistakes:
        stage.take(mistake)
    stage.end()
    assert config is not None
    check_name(config.name)
    entries = expand(config, stage)
    stage.end()
    # A block that may be open around this call must not record the tasks that are made on the way.
    token = RECORDER.set(None)
    try:
        return _Wiring(config, entries, names, stage).build()
    finally:
        RECORDER.reset(token)


class _Wiring:
    """One configuration on its way to a workflow."""

    def __init__(self, config: WorkflowConfig, entries: Entries, names: Names, stage: Stage) -> None:
        self.config = config
        self.entries = entries
        self.names = names
        self.stage = stage
        self.model: Any = None
        self.bases: dict[str, AnyTask] = {}  # what references mean: id, callable and policies

    def build(self) -> Workflow[Any, Any]:
        with self._noted(("inputs",)):
            if self.config.inputs is not None:
                self.model = self.names.model(self.config.inputs, ("inputs",))
        for entry in self.entries.by_id.values():
            with self._noted(entry.keys):
                self.bases[entry.id] = self._base(entry)
        self._check_off()
        self.stage.end()
        tasks = [self._wired(entry) for entry in self.entries.by_id.values()]
        returns: AnyTask | None = tasks[-1] if tasks else None
        with self._noted(("returns",)):
            if self.config.returns is not None:
                returns = self.bases[self._known(self.config.returns, ("returns",), "the workflow returns it")]
        self.stage.end()
        try:
            return build_workflow(self.config.name, tasks, self.model, returns)
        except DefinitionError as error:
            raise Located(self.stage.places, self.entries).error(error) from None

    @contextmanager
    def _noted(self, keys: Keys) -> Iterator[None]:
        """What goes wrong inside goes to the stage."""
        try:
            yield
        except Mistake as mistake:
            self.stage.take(mistake)
        except (DefinitionError, ConfigurationError) as error:
            self.stage.add(keys, translated(str(error)))

    def _check_off(self) -> None:
        """What is switched off names a task that is there, so that it can be switched on."""
        for key, config in self.config.tasks.items():
            if config.enabled:
                continue
            keys: Keys = ("tasks", key)
            try:
                self._named(key, config, keys)
            except Mistake as mistake:
                if not lacks_library(mistake):  # which may be why it is switched off
                    self.stage.take(mistake)

    def _named(self, key: str, config: TaskConfig, keys: Keys) -> AnyTask:
        """The task that an entry names."""
        if config.task is None:
            return self.names.task(key, keys)
        return self.names.task(config.task, (*keys, "task"))

    def _base(self, entry: Entry) -> AnyTask:
        """The task under its id, with its policies and the inputs that the configuration leaves as they are."""
        task = _open(self._named(entry.key, entry.config, entry.keys), entry.config.inputs)
        return task.named(entry.id).with_policy(**self._policies(entry.config, entry.keys))

    def _policies(self, config: TaskConfig, keys: Keys) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for name in POLICIES:
            if name in config.model_fields_set:
                value = getattr(config, name)
                given[name] = value.model_dump() if hasattr(value, "model_dump") else value
        retry = given.get("retry")
        if retry is not None:
            place = (*keys, "retry", "on")
            retry["on"] = tuple(self.names.exception(name, place) for name in retry["on"])
        return given

    def _wired(self, entry: Entry) -> AnyTask:
        """The task with inputs and edges; what is wrong goes to the stage."""
        task, config, keys = self.bases[entry.id], entry.config, entry.keys
        given: dict[str, Any] = {}
        shape = task._definition.shape
        for name, value in config.inputs.items():
            place = (*keys, "inputs", name)
            with self._noted(place):
                _check_parameter(shape, entry.id, name, place)
                given[name] = self._value(value, entry, place)
                self._check_constants(task, name, value, place)
        with self._noted((*keys, "inputs")):
            if len(given) == len(config.inputs):
                task = _bound(task, given, (*keys, "inputs"))
        for name in config.after:
            with self._noted((*keys, "after")):
                task = task.after(*self._order(entry.filled(name, (*keys, "after")), (*keys, "after")))
        for how in ("when", "unless"):
            place = (*keys, how)
            if how in config.model_fields_set:
                flags = getattr(config, how)
                for k, flag in enumerate(flags if isinstance(flags, list) else [flags]):
                    inner = (*place, k) if isinstance(flags, list) else place
                    with self._noted(inner):
                        task = getattr(task, how)(self._flag(flag, entry, inner))
        return task

    # ── values ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _value(self, value: Any, entry: Entry, keys: Keys) -> Any:
        """A constant, or what stands for a value of the run."""
        found = reference(value, keys)
        if found is not None:
            return self._meant(found, entry, keys)
        if isinstance(value, dict):
            return {key: self._value(item, entry, (*keys, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._value(item, entry, (*keys, k)) for k, item in enumerate(value)]
        return value

    def _check_constants(self, task: AnyTask, name: str, value: Any, keys: Keys) -> None:
        """Refuse constants that certainly do not fit: mostly references that were written wrongly."""
        for parameter, item, place in inputs_of(task, name, value, keys):
            wanted = task._definition.hints.params.get(parameter, Any)
            for found in misfits(item, wanted, place, task.fn):
                self.stage.add(found.keys, words(found, parameter, self.bases))

    def _meant(self, found: AnyReference, entry: Entry, keys: Keys) -> Any:
        match found:
            case Result():
                return _projection.follow(self._task(found.task, entry, keys, "its result").out, found.path)
            case Ending():
                return _projection.follow(self._task(found.task, entry, keys, "its outcome").outcome, found.path)
            case Input():
                if self.model is None:
                    raise Mistake(
                        keys, "the workflow takes no inputs; name their model at the top: inputs: module:Model"
                    )
                return _projection.follow(inputs(self.model), found.path)
            case Item():
                return _projection.follow(each(self._list(found.of, entry, keys)), found.path)
            case All():
                return [_projection.follow(one.out, found.path) for one in self._family(found.task, entry, keys)]
            case Cell():
                return self._cell(found, entry, keys)
            case Literal():
                return found.value
            case _:
                assert_never(found)

    def _list(self, of: Any, entry: Entry, keys: Keys) -> Any:
        """What is mapped over."""
        inner = Result.model_validate({"from": of}) if isinstance(of, str) and of else reference(of, (*keys, "each"))
        if not isinstance(inner, Result | Ending | Input):
            reason = f"{{each: ...}} takes a task, or a reference with from, outcome or inputs, not {of!r}"
            raise Mistake((*keys, "each"), reason)
        return self._meant(inner, entry, keys if isinstance(of, str) else (*keys, "each"))

    def _flag(self, flag: Any, entry: Entry, keys: Keys) -> Any:
        found = reference(flag, keys)
        if not isinstance(flag, bool) and not isinstance(found, Result | Ending | Input | Cell):
            meant = intended(flag, self.bases)
            cure = f"; write {meant}" if meant else ""
            raise Mistake(
                keys, f"a flag is true, false, or a reference with from, outcome, inputs or matrix, not {flag!r}{cure}"
            )
        return flag if found is None else self._meant(found, entry, keys)

    def _cell(self, found: Cell, entry: Entry, keys: Keys) -> Any:
        if not entry.cells:
            raise Mistake(keys, f"{{matrix: {found.name}}} needs a matrix: write one beside the inputs")
        if found.name not in entry.cells:
            raise Mistake(keys, f"the matrix has no {found.name!r}; {suggestion(found.name, entry.cells)}")
        return entry.cells[found.name]

    # ── tasks ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _task(self, text: str, entry: Entry, keys: Keys, what: str) -> AnyTask:
        id = entry.filled(text, keys)
        return self.bases[self._known(id, keys, f"{entry.id!r} needs {what}")]

    def _known(self, id: str, keys: Keys, why: str) -> str:
        """The id of one task that is there."""
        if id in self.entries.by_id:
            return id
        if id in self.entries.families:
            made = [one.id for one in self.entries.families[id]]
            some = ", ".join(made[:3]) + ", ..." * (len(made) > 3)
            raise Mistake(keys, f"{id!r} is {len(made)} tasks ({some}); name one, or take all results: {{all: {id}}}")
        if id in self.entries.off:
            raise Mistake(keys, f"task {id!r} is switched off (enabled: false), but {why}; switch both off, or neither")
        known = dict.fromkeys((*self.entries.by_id, *self.entries.families, *self.entries.off))
        raise Mistake(keys, f"there is no task {id!r}; {suggestion(id, known)}")

    def _family(self, text: str, entry: Entry, keys: Keys) -> list[AnyTask]:
        id = entry.filled(text, keys)
        if id in self.entries.families:
            return [self.bases[one.id] for one in self.entries.families[id]]
        return [self.bases[self._known(id, keys, f"{entry.id!r} needs its results")]]

    def _order(self, id: str, keys: Keys) -> list[AnyTask]:
        """The tasks to come after: none, where they are switched off."""
        if id in self.entries.families and id not in self.entries.by_id:
            return [self.bases[one.id] for one in self.entries.families[id]]
        if id in self.entries.off and id not in self.entries.by_id:
            return []
        return [self.bases[self._known(id, keys, "it comes after it")]]


def _open(task: AnyTask, given: dict[str, Any]) -> AnyTask:
    """The task without the inputs of its own that others take the place of."""
    shape, extra = task._definition.shape, task._extra
    bound = tuple(UNBOUND if name in given else own for name, own in zip(shape.names, task._bound, strict=True))
    if extra is not None:
        left = () if "*" in given else extra[0], tuple(pair for pair in extra[1] if pair[0] not in given)
        extra = left if any(left) else None
    if extra is None and all(value is UNBOUND for value in bound):
        bound = shape.blank
    return make_task(task._id, task._definition, bound, extra, task._edges, task._policy, type(task))


def _check_parameter(shape: Shape, id: str, name: str, keys: Keys) -> None:
    if name in shape.index or shape.varkw is not None or (name == "*" and shape.varargs is not None):
        return
    if name == "*":
        raise Mistake(keys, f"task {id!r} takes no further inputs by position")
    raise Mistake(keys, f"task {id!r} has no parameter {name!r}; {suggestion(name, shape.names)}")


def _bound(task: AnyTask, given: dict[str, Any], keys: Keys) -> AnyTask:
    """The task with inputs; mapped, if one of them is an item."""
    shape = task._definition.shape
    named = dict(given)
    args: list[Any] = []
    surplus = named.pop("*", []) if shape.varargs is not None else []
    if not isinstance(surplus, list):
        raise Mistake((*keys, "*"), f"'*' takes a list of further inputs, not {surplus!r}")
    # What can be given by position only, and all before the further inputs, has to be given by position.
    for k in range(shape.positional if surplus else shape.positional_only):
        name = shape.names[k]
        if name in named:
            args.append(named.pop(name))
        elif task._bound[k] is UNBOUND and (
            surplus or any(one in named for one in shape.names[: shape.positional_only])
        ):
            raise Mistake(keys, f"task {task.id!r} needs {name!r} too, because inputs after it are given by position")
    args.extend(surplus)
    if any(map(_has_item, (*args, *named.values()))):
        return task.map(*args, **named)
    return task(*args, **named) if given else task


def _has_item(value: Any) -> bool:
    if type(value) is Placeholder:
        return takes_item(value)
    if isinstance(value, dict):
        return any(map(_has_item, value.values()))
    return isinstance(value, list) and any(map(_has_item, value))
