"""`LocalRunner`: runs workflows on this machine, in threads, processes, the calling thread and an event loop."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from graflow.core import _ports
from graflow.core._options import RunOptions
from graflow.core.plan import Plan
from graflow.core.run import Changed, Runner
from graflow.core.workflow import Workflow
from graflow.engine.clock import Clock
from graflow.engine.drive import Execution
from graflow.engine.ledger import Keep
from graflow.engine.rules import SIGNALS
from graflow.engine.tracing import tracer
from graflow.errors import ConfigurationError
from graflow.runners._extras import Extras
from graflow.runners._handle import LocalHandle
from graflow.runners._lanes import ASYNC, INLINE, PROCESSES, THREADS
from graflow.runners._workers import Crew

if TYPE_CHECKING:
    from graflow.core.signal import Signal
    from graflow.runners._cached import Cached
    from graflow.stores.store import Claim, RunRow, Store, StoredRun

R = TypeVar("R")
T = TypeVar("T")
Executor = Literal["inline", "threads", "processes"]

_LANES = {"inline": INLINE, "threads": THREADS, "processes": PROCESSES}


class LocalRunner(Runner):
    """Runs workflows on this machine.

    Args:
        executor: where the bodies of plain functions run, unless a task asks for something else: ``threads``,
            ``processes``, or ``inline`` in the thread that calls `run`. Async tasks share one event loop.
        max_workers: how many threads, and how many processes, there may be; by default as many as processors for
            processes, and 4 more than that for threads.
        keep: ``all`` results until the run is forgotten; or only what ``returns`` gives, letting go of every other
            result as soon as no task can read it.
        store: keeps every run, so that it can be looked at later and resumed after a crash, and the results of cached
            tasks: a path of a file, or a store; see `graflow.stores`. None keeps nothing.
        isolate: give every body copies of what it reads, and pass on a copy of what it returns, as if it ran on
            another machine: a task that changes its inputs is found out here.
        clock: another clock than this machine's, for tests; see `graflow.testing.FakeClock`.

    Raises:
        ConfigurationError: an argument has an impossible value.
        StoreError: the store cannot be opened.
    """

    def __init__(
        self,
        executor: Executor = "threads",
        max_workers: int | None = None,
        *,
        keep: Keep = "all",
        store: Store | str | os.PathLike[str] | None = None,
        isolate: bool = False,
        clock: Clock | None = None,
    ) -> None:
        if executor not in _LANES:
            raise ConfigurationError(f"executor={executor!r} is unknown; choose one of {', '.join(_LANES)}")
        if max_workers is not None and (not isinstance(max_workers, int) or max_workers < 1):
            raise ConfigurationError(f"max_workers={max_workers!r} must be a whole number from 1 on")
        if keep not in get_args(Keep):
            raise ConfigurationError(f"keep={keep!r} is unknown; choose 'all' or 'returns'")
        self.executor: Executor = executor
        self.max_workers = max_workers
        self.keep: Keep = keep
        self.isolate = isolate
        self.clock = clock
        if store is not None and not isinstance(store, str | os.PathLike) and not hasattr(store, "create"):
            raise ConfigurationError(f"store={store!r} is neither a path nor a store; see graflow.stores")
        self.store: Store | None = _store_at(store) if isinstance(store, str | os.PathLike) else store

    def begin(self, workflow: Workflow[Any, Any], inputs: Any, options: RunOptions, *, wait: bool) -> LocalHandle[Any]:
        """Begin a run; with ``wait`` this thread runs the inline tasks, and returns when the run has ended.

        Ctrl-C meanwhile cancels the run: processes are ended, threads finish the task they run (a second Ctrl-C
        abandons them), and then the KeyboardInterrupt goes on.
        """
        handle = self.prepare(workflow, inputs, options)
        handle.drive() if wait else handle.go()
        return handle

    def prepare(
        self,
        workflow: Workflow[Any, Any],
        inputs: Any = None,
        options: RunOptions = RunOptions(),  # noqa: B008  # frozen
        *,
        target: str | None = None,
        given: Mapping[int, Any] | None = None,
    ) -> LocalHandle[Any]:
        """Check that this runner can run the workflow with these inputs; its `LocalHandle.drive` then runs it.

        For callers that want the handle before the run begins, and run it in their own thread.

        Args:
            workflow: as for `run`.
            inputs: as for `run`.
            options: everything else that `run` takes.
            target: where the workflow can be found again, for the store.
            given: task → its result, which is taken as it is: its body does not run.

        Raises:
            ConfigurationError: the inputs do not fit, or a task asks for what this runner cannot do.
            SerializationError: a task that is to run in a process cannot travel there.
            RunConflictError: as for `run`.
            StoreError: the store cannot be written.
        """
        if _ports.loads_code:
            raise ConfigurationError(
                "a module that a task's process imports begins a run, which would begin it again in another process, "
                "and so on; begin runs in a function, or under if __name__ == '__main__'"
            )
        if not isinstance(workflow, Workflow):
            raise ConfigurationError(f"a runner runs workflows, not {workflow!r}; build one, or take block.workflow")
        _check_inputs(workflow, inputs)
        if options.run_id is not None:
            found = self._need_store(f"run_id={options.run_id!r}").find(options.run_id, exact=True)
            if found is not None and found.id == options.run_id:
                return self._found(found, workflow, inputs, options)
        execution, crew = self._crew(workflow, inputs, options)
        if self.store is not None:
            from graflow.runners import _durable

            self._keep(execution, _durable.create(self.store, execution, inputs, target))
        for i, value in (given or {}).items():
            execution.give(i, value)
        return LocalHandle(execution, crew, options.check)

    def send(self, run_id: str, signal: Signal[T], value: T) -> None:
        """Send a signal to a run in this runner's store, whichever process runs it, or none.

        Args:
            run_id: the run, by its id or an unambiguous start of it.
            signal: the task that waits, or will wait; a process that runs it looks twice a second.
            value: its result; checked against the signal's type.

        Raises:
            SignalError: a value of another type, a second one, or the run has succeeded.
            StoreError: there is no such run, or the store cannot be read or written.
            UnknownTaskError: the run's workflow has no task of that id.
            ConfigurationError: this runner keeps no runs.
        """
        from graflow.runners import _durable

        _durable.send(self._need_store("send()"), run_id, signal, value)

    def begin_again(
        self, run_id: str, workflow: Workflow[Any, Any] | None, *, changed: Changed, check: bool
    ) -> LocalHandle[Any]:
        """Go on with a run, and lend it this thread; see `Runner.resume`."""
        handle = self.prepare_resume(run_id, workflow, changed=changed, check=check)
        handle.drive()
        return handle

    def prepare_resume(
        self,
        run_id: str,
        workflow: Workflow[Any, Any] | None = None,
        *,
        changed: Changed = "refuse",
        check: bool = True,
        timeout: float | None = None,
    ) -> LocalHandle[Any]:
        """All of `resume` but the run itself, which `LocalHandle.drive` does.

        Args:
            run_id: as for `resume`.
            workflow: as for `resume`.
            changed: as for `resume`.
            check: as for `resume`.
            timeout: seconds the rest may take; by default what the run was given.
        """
        from graflow.runners import _durable

        if changed not in get_args(Changed):
            raise ConfigurationError(f"changed={changed!r} is unknown; choose one of {', '.join(get_args(Changed))}")
        store = self._need_store("resume()")
        row = store.find(run_id)
        claim = store.claim(run_id if row is None else row.id)  # of one that does not exist: says so
        try:
            stored = store.stored(claim.run_id)
            if workflow is None:
                workflow = _durable.workflow_of(stored)
            inputs = _durable.inputs_of(stored)
            return self._go_on(workflow, inputs, stored, claim, changed, check, timeout)
        except BaseException:
            store.release(claim)
            raise

    def _go_on(
        self,
        workflow: Workflow[Any, Any],
        inputs: Any,
        stored: StoredRun,
        claim: Claim,
        changed: Changed,
        check: bool,
        timeout: float | None,
    ) -> LocalHandle[Any]:
        from graflow.runners import _durable, _restore

        assert self.store is not None
        _check_inputs(workflow, inputs)
        options = _durable.options_of(stored, check, timeout)
        execution, crew = self._crew(workflow, inputs, options)
        plan = execution.plan
        rest = _durable.remainder(stored, plan, changed)
        if stored.row.state == "succeeded" and not rest.again and len(rest.ids) == len(stored.ids):
            _restore.read_back(execution, self.store, stored, rest)
            self.store.release(claim)
            return LocalHandle(execution, crew, check)
        corrections = _restore.go_on(execution, self.store, claim, rest)
        fingerprint, fingerprints = _durable.fingerprints_at(rest, stored, plan)
        self.store.reopen(
            claim,
            execution.clock.wall(),
            _durable.code_of(plan),
            fingerprint,
            rest.ids,
            fingerprints,
        )
        if corrections:
            self.store.write(claim, corrections, [])
        self._keep(execution, claim, rest.places, has_code=True)
        return LocalHandle(execution, crew, check)

    def _found(self, row: RunRow, workflow: Workflow[Any, Any], inputs: Any, options: RunOptions) -> LocalHandle[Any]:
        """The run of this name: as it ended, or to go on with."""
        from graflow.runners import _durable, _restore

        assert self.store is not None
        plan = workflow.compile()
        stored = self.store.stored(row.id)
        _durable.check_same(stored, plan, inputs)
        if row.state in ("running", "interrupted"):
            return self.prepare_resume(row.id, workflow, check=options.check, timeout=options.timeout)
        execution, crew = self._crew(workflow, inputs, _durable.options_of(stored, options.check))
        _restore.read_back(execution, self.store, stored, _durable.remainder(stored, plan, "keep"))
        return LocalHandle(execution, crew, options.check)

    def _crew(self, workflow: Workflow[Any, Any], inputs: Any, options: RunOptions) -> tuple[Execution, Crew]:
        plan = workflow.compile()
        lanes = self._lanes(plan)
        execution = Execution(plan, inputs, lanes, self.keep, options, self.clock, self._item_lanes(plan))
        execution.isolates = self.isolate
        extras = Extras(execution, cached=self._cached(execution), isolate=self.isolate, tracing=tracer())
        processors = os.cpu_count() or 1
        threads = self.max_workers if self.max_workers is not None else processors + 4
        processes = self.max_workers if self.max_workers is not None else processors
        return execution, Crew(execution, lanes, threads, processes, extras)

    def _cached(self, execution: Execution) -> Cached | None:
        wanting = next((i for i, policy in execution.plan.policies.items() if policy.cache is not None), None)
        if wanting is None:
            return None
        store = self._need_store(f"the cache of task {execution.plan.ids[wanting]!r}")
        from graflow.runners._cached import Cached

        return Cached(execution, store)

    def _keep(
        self, execution: Execution, claim: Claim, places: Sequence[int] | None = None, *, has_code: bool = False
    ) -> None:
        from graflow.engine.logs import install
        from graflow.runners import _durable
        from graflow.stores.journal import Journal

        assert self.store is not None
        install()
        code = None if has_code else partial(_durable.code_of, execution.plan)
        execution.journal = Journal(self.store, claim, execution, code, places)

    def _need_store(self, what: str) -> Store:
        if self.store is None:
            raise ConfigurationError(
                f"{what} needs a store, and this runner keeps nothing; give it one, such as "
                f"LocalRunner(store='.graflow/runs.db')"
            )
        return self.store

    def _lanes(self, plan: Plan) -> bytes:
        lanes = bytearray([_LANES[self.executor]]) * len(plan.ids)
        if any(plan.is_async) or plan.policies:
            for i, number in enumerate(plan.function_of):
                lanes[i] = self._lane(plan, i, number)
        # What a map is mapped over is found out here, wherever its items run.
        for i in plan.maps:
            lanes[i] = INLINE if self.executor == "inline" else THREADS
        for i in plan.signals:
            lanes[i] = SIGNALS
        return bytes(lanes)

    def _item_lanes(self, plan: Plan) -> dict[int, int]:
        return {i: self._lane(plan, i, how.function) for i, how in plan.maps.items()}

    def _lane(self, plan: Plan, i: int, function: int) -> int:
        policy = plan.policies.get(i)
        executor = policy.executor if policy is not None else None
        if plan.is_async[function] and executor != "processes":
            return ASYNC
        return _LANES[executor if executor is not None else self.executor]

    def __repr__(self) -> str:
        store = f", store={self.store!r}" if self.store is not None else ""
        isolate = ", isolate=True" if self.isolate else ""
        return (
            f"LocalRunner(executor={self.executor!r}, max_workers={self.max_workers!r}, keep={self.keep!r}"
            f"{store}{isolate})"
        )


def _store_at(path: str | os.PathLike[str]) -> Store:
    from graflow.stores import SQLiteStore

    return SQLiteStore(path)


def _check_inputs(workflow: Workflow[Any, Any], inputs: Any) -> None:
    model = workflow.inputs
    if model is None:
        if inputs is not None:
            raise ConfigurationError(f"workflow {workflow.name!r} takes no inputs, but got {inputs!r}")
    elif inputs is None:
        raise ConfigurationError(f"workflow {workflow.name!r} takes {model.__name__}; run it with an instance of that")
    elif not isinstance(inputs, model):
        raise ConfigurationError(f"workflow {workflow.name!r} takes {model.__name__}, not {inputs!r}")


def _run_nested(workflow: Workflow[Any, Any], inputs: Any) -> Any:
    """Run a workflow that is called as a plain function; inside of an attempt, as a part of the run around it."""
    handle = LocalRunner(executor="inline").prepare(workflow, inputs)
    handle.join_run_around()
    handle.drive()
    return handle.handed_up()


_ports.default_runner = LocalRunner
_ports.run_nested = _run_nested
