"""Typed, immutable pipelines: checked by your type checker, checked again when built, run anywhere."""

import typing as _typing

from graflow import show as _show  # noqa: F401  # lets workflows draw themselves
from graflow.core._attempt import Current, current
from graflow.core.block import Block, QueueBackend, workflow
from graflow.core.builder import WorkflowBuilder
from graflow.core.channel import Channel
from graflow.core.group import Group
from graflow.core.map_task import MapTask, first_of
from graflow.core.outcome import Failed, Ok, Outcome, Skipped
from graflow.core.placeholder import each, inputs
from graflow.core.plan import Plan
from graflow.core.requirement import GroupRule, Standing, at_least, critical
from graflow.core.run import AttemptRecord, Run, RunHandle, Runner, RunState, TaskRecord, TaskState
from graflow.core.signal import Signal, signal
from graflow.core.task import Task, TaskWrapper, task
from graflow.core.turns import continue_with, stop_run
from graflow.core.workflow import Edge, Workflow
from graflow.errors import (
    CacheKeyError,
    CancelRun,
    ConfigurationError,
    ContinuationLimitError,
    CycleError,
    DefinitionError,
    DefinitionErrors,
    DuplicateTaskError,
    FlagError,
    GraflowError,
    GraflowWarning,
    GroupRuleError,
    InternalError,
    InvalidConfigError,
    InvalidTaskError,
    InvalidTaskIdError,
    LateBindingError,
    LateBindingWarning,
    MapError,
    PlaceholderError,
    PortabilityWarning,
    RemoteError,
    ResultUnavailableError,
    RunCancelledError,
    RunConflictError,
    RunError,
    RunFailedError,
    RunTimeoutError,
    SerializationError,
    SignalError,
    StoreError,
    TaskResultError,
    TaskTimeoutError,
    TemplateWarning,
    UnboundParameterError,
    UnknownTaskError,
    WiringError,
    WorkerLostError,
    WorkflowChangedError,
)
from graflow.runners.local import LocalRunner

if _typing.TYPE_CHECKING:
    from graflow.core.policy import Cache, Exponential, Limit, Retry

__all__ = [
    "AttemptRecord",
    "Block",
    "Cache",
    "CacheKeyError",
    "CancelRun",
    "Channel",
    "ConfigurationError",
    "ContinuationLimitError",
    "Current",
    "CycleError",
    "DefinitionError",
    "DefinitionErrors",
    "DuplicateTaskError",
    "Edge",
    "Exponential",
    "Failed",
    "FlagError",
    "GraflowError",
    "GraflowWarning",
    "Group",
    "GroupRule",
    "GroupRuleError",
    "InternalError",
    "InvalidConfigError",
    "InvalidTaskError",
    "InvalidTaskIdError",
    "LateBindingError",
    "LateBindingWarning",
    "Limit",
    "LocalRunner",
    "MapError",
    "MapTask",
    "Ok",
    "Outcome",
    "PlaceholderError",
    "Plan",
    "PortabilityWarning",
    "QueueBackend",
    "RemoteError",
    "ResultUnavailableError",
    "Retry",
    "Run",
    "RunCancelledError",
    "RunConflictError",
    "RunError",
    "RunFailedError",
    "RunHandle",
    "RunState",
    "RunTimeoutError",
    "Runner",
    "SerializationError",
    "Signal",
    "SignalError",
    "Skipped",
    "Standing",
    "StoreError",
    "Task",
    "TaskRecord",
    "TaskResultError",
    "TaskState",
    "TaskTimeoutError",
    "TaskWrapper",
    "TemplateWarning",
    "UnboundParameterError",
    "UnknownTaskError",
    "WiringError",
    "WorkerLostError",
    "Workflow",
    "WorkflowBuilder",
    "WorkflowChangedError",
    "at_least",
    "continue_with",
    "critical",
    "current",
    "each",
    "first_of",
    "inputs",
    "signal",
    "stop_run",
    "task",
    "workflow",
]


if not _typing.TYPE_CHECKING:  # or a checker would let any misspelt name pass
    # Policies are pydantic models, and pydantic takes longer to load than all of graflow: it comes with the first use.
    _POLICIES = ("Cache", "Exponential", "Limit", "Retry")

    def __getattr__(name):
        if name not in _POLICIES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from graflow.core import policy

        return getattr(policy, name)

    def __dir__():
        return sorted({*globals(), *_POLICIES})
