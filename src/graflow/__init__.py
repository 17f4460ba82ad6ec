"""Typed, immutable pipelines: checked by your type checker, checked again when built, run anywhere."""

from graflow import show as _show  # noqa: F401  # lets workflows draw themselves
from graflow.core.block import Block, QueueBackend, workflow
from graflow.core.builder import WorkflowBuilder
from graflow.core.group import Group
from graflow.core.outcome import Failed, Ok, Outcome, Skipped
from graflow.core.placeholder import inputs
from graflow.core.plan import Plan
from graflow.core.run import Run, RunHandle, Runner, RunState, TaskRecord, TaskState
from graflow.core.task import Task, TaskWrapper, task
from graflow.core.workflow import Edge, Workflow
from graflow.errors import (
    ConfigurationError,
    CycleError,
    DefinitionError,
    DefinitionErrors,
    DuplicateTaskError,
    GraflowError,
    GraflowWarning,
    InternalError,
    InvalidTaskError,
    InvalidTaskIdError,
    LateBindingError,
    LateBindingWarning,
    PlaceholderError,
    PortabilityWarning,
    RemoteError,
    ResultUnavailableError,
    RunCancelledError,
    RunError,
    RunFailedError,
    SerializationError,
    TaskResultError,
    TemplateWarning,
    UnboundParameterError,
    UnknownTaskError,
    WiringError,
    WorkerLostError,
)
from graflow.runners.local import LocalRunner

__all__ = [
    "Block",
    "ConfigurationError",
    "CycleError",
    "DefinitionError",
    "DefinitionErrors",
    "DuplicateTaskError",
    "Edge",
    "Failed",
    "GraflowError",
    "GraflowWarning",
    "Group",
    "InternalError",
    "InvalidTaskError",
    "InvalidTaskIdError",
    "LateBindingError",
    "LateBindingWarning",
    "LocalRunner",
    "Ok",
    "Outcome",
    "PlaceholderError",
    "Plan",
    "PortabilityWarning",
    "QueueBackend",
    "RemoteError",
    "ResultUnavailableError",
    "Run",
    "RunCancelledError",
    "RunError",
    "RunFailedError",
    "RunHandle",
    "RunState",
    "Runner",
    "SerializationError",
    "Skipped",
    "Task",
    "TaskRecord",
    "TaskResultError",
    "TaskState",
    "TaskWrapper",
    "TemplateWarning",
    "UnboundParameterError",
    "UnknownTaskError",
    "WiringError",
    "WorkerLostError",
    "Workflow",
    "WorkflowBuilder",
    "inputs",
    "task",
    "workflow",
]
