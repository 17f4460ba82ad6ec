"""Every error graflow raises, grouped by who must act.

::

    GraflowError
    ├── DefinitionError                 fix the workflow's definition
    │   ├── DefinitionErrors            several of them at once (also an ExceptionGroup)
    │   ├── InvalidTaskError            this cannot be a task
    │   ├── InvalidTaskIdError          an id outside the legal alphabet
    │   ├── DuplicateTaskError          one id, two different tasks
    │   ├── UnknownTaskError            a reference to an id that was not added
    │   ├── UnboundParameterError       a parameter without a source
    │   ├── WiringError                 an input that cannot fit: wrong type, misspelt, fed twice
    │   ├── CycleError                  a task that waits for itself
    │   ├── LateBindingError            a loop variable every task would see the last value of
    │   ├── PlaceholderError            a result used as a value before the workflow runs
    │   └── InvalidConfigError          configuration that makes no workflow: file, line, key, reason
    ├── RunError                        look at the tasks of this run
    │   ├── RunFailedError              tasks failed; their own exceptions are the cause
    │   ├── RunCancelledError           the run was cancelled before it could finish
    │   ├── RunTimeoutError             the run passed its deadline
    │   ├── RunConflictError            the run id is taken, or another process runs it now
    │   ├── WorkflowChangedError        the code of tasks that succeeded changed since
    │   ├── ResultUnavailableError      this task has no result to read
    │   ├── TaskResultError             a task returned something that cannot be a result
    │   ├── TaskTimeoutError            an attempt took longer than its timeout
    │   ├── CacheKeyError               an input of a cached task cannot be digested
    │   ├── MapError                    what a task was to be mapped over cannot be
    │   ├── FlagError                   a flag that is no bool
    │   ├── GroupRuleError              a rule of a group that gives no answer
    │   ├── ContinuationLimitError      a task went on with others without end
    │   ├── CancelRun                   raised by a body to cancel its run
    │   ├── SignalError                 a signal that cannot be sent
    │   ├── WorkerLostError             the process that ran a task died
    │   └── RemoteError                 stands for an exception that could not be brought to this process
    ├── SerializationError              a value cannot travel to another process
    ├── StoreError                      a store cannot be opened, read or written
    ├── ConfigurationError              fix the call, the option or the setting
    └── InternalError                   our bug: please report it

    GraflowWarning (UserWarning)
    ├── LateBindingWarning              a captured variable changed after the task was defined
    ├── TemplateWarning                 a task defined in a block that nothing ever used
    └── PortabilityWarning              a task that can travel, at a price

A message says what is wrong (with ids), why, and what to do.
Every error survives a pickle round trip with its message and attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self


class GraflowError(Exception):
    """The root of every error graflow raises."""


class DefinitionError(GraflowError):
    """The workflow's definition is wrong; nothing has run."""


class DefinitionErrors(ExceptionGroup[DefinitionError], DefinitionError):
    """Several definition errors of one build stage, so that one build shows them all."""

    def derive(self, excs: Any, /) -> Any:
        """Keep the type when ``except*`` or ``split`` take part of the group."""
        return DefinitionErrors(self.message, excs)


class InvalidTaskError(DefinitionError):
    """The object cannot be made a task: not callable, a generator function, a classmethod, already a task."""


class InvalidTaskIdError(DefinitionError):
    """An id is empty, too long, or has characters that ids may not have."""


class DuplicateTaskError(DefinitionError):
    """One id names two different tasks."""


class UnknownTaskError(DefinitionError):
    """A placeholder, an edge or a look-up names a task that is not in the workflow."""


class UnboundParameterError(DefinitionError):
    """A required parameter of a task has no source."""


class WiringError(DefinitionError):
    """An input does not fit its parameter: wrong type, unknown name, or fed twice."""


class CycleError(DefinitionError):
    """Tasks wait for each other in a circle."""


class LateBindingError(DefinitionError):
    """Tasks made in a loop share a variable, and all would see its last value."""


class PlaceholderError(DefinitionError):
    """A result was used as a value while the workflow was still being defined."""


class InvalidConfigError(DefinitionError):
    """The configuration that a workflow is made from is wrong.

    Attributes:
        file: where it was read from; empty for a mapping.
        line: the line in the file, where it is known.
        path: the key that is wrong, such as ``tasks.clean.inputs.rows``; empty for the whole.
    """

    def __init__(self, message: str, *, file: str = "", line: int | None = None, path: str = "") -> None:
        super().__init__(message)
        self.file = file
        self.line = line
        self.path = path


class RunError(GraflowError):
    """A run, or one of its tasks, did not end well."""


class RunFailedError(RunError):
    """Tasks of a run failed.

    The error's cause is the task's own exception; where several tasks failed, it is an exception group of them.

    Attributes:
        failures: the exception of each failed task, by task id, in plan order.
    """

    def __init__(self, message: str, failures: Mapping[str, BaseException] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.failures: Mapping[str, BaseException] = MappingProxyType(dict(failures))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_failed, (type(self), self.args[0], dict(self.failures))

    def with_cause(self) -> Self:
        """Set the failures as the cause, as ``raise ... from`` would, and return the error."""
        own = list(self.failures.values())
        if own:
            self.__cause__ = own[0] if len(own) == 1 else BaseExceptionGroup(f"{len(own)} tasks failed", own)
        return self


def _restore_failed(cls: type[RunFailedError], message: str, failures: dict[str, BaseException]) -> RunFailedError:
    return cls(message, failures).with_cause()


class RunCancelledError(RunError):
    """The run was cancelled before every task had ended."""


class RunTimeoutError(RunError):
    """The run passed its deadline before every task had ended."""


class RunConflictError(RunError):
    """A run id is taken: by a run of other inputs or another workflow, or by a process that runs it now."""


class WorkflowChangedError(RunError):
    """The code of tasks that had succeeded changed since, so that the run cannot go on as it began.

    Attributes:
        changed: the ids of these tasks, in plan order.
    """

    def __init__(self, message: str, changed: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.changed: tuple[str, ...] = tuple(changed)


class ResultUnavailableError(RunError):
    """A result was asked for that does not exist: the task did not succeed, or its result was released."""


class TaskResultError(RunError):
    """A task returned a task, a placeholder or a builder: the definition of work instead of its result."""


class TaskTimeoutError(RunError):
    """An attempt at a task took longer than the task's timeout."""


class CacheKeyError(RunError):
    """An input of a cached task has no digest of its content, so the task's earlier results cannot be looked up."""


class MapError(RunError):
    """What a task was to be mapped over cannot be: text, nothing with items, too many, or not equally many."""


class FlagError(RunError):
    """The flag that decides whether a task runs is no bool."""


class GroupRuleError(RunError):
    """The rule of a group of tasks raised, or decided something else than true or false."""


class ContinuationLimitError(RunError):
    """A task went on with another one more often than its policy ``max_continuations`` allows."""


class CancelRun(RunError):
    """Raise this in a body to cancel the run.

    Args:
        reason: why; the run's own error will say so.
    """

    def __init__(self, reason: str = "a task asked for it") -> None:
        super().__init__(reason)
        self.reason = reason


class SignalError(RunError):
    """A signal cannot be sent: it was sent before, its value has the wrong type, or the run does not wait for it."""


class WorkerLostError(RunError):
    """The process that ran a task died before the task ended."""


class RemoteError(RunError):
    """Stands for an exception of another process that could not be rebuilt here; its notes hold the traceback's text.

    Attributes:
        type_name: the full name of the exception's class.
        message: what the exception said.
        bases: the full names of the exception's classes, most derived first; empty if they are not known.
    """

    def __init__(self, type_name: str, message: str, bases: Iterable[str] = ()) -> None:
        super().__init__(type_name, message)
        self.type_name = type_name
        self.message = message
        self.bases: tuple[str, ...] = tuple(bases)

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}"


class SerializationError(GraflowError):
    """A function, an input or a result cannot travel to another process."""


class StoreError(GraflowError):
    """A store cannot be opened, read or written: the disk is full, the file is damaged, or a newer graflow wrote it."""


class ConfigurationError(GraflowError):
    """A call, an option or a setting is wrong."""


class InternalError(GraflowError):
    """graflow broke one of its own rules: a bug of ours."""


class GraflowWarning(UserWarning):
    """The root of every warning graflow gives."""


class LateBindingWarning(GraflowWarning):
    """A variable that a task captures was rebound after the task was defined."""


class TemplateWarning(GraflowWarning):
    """A task with required parameters was defined in a block, and nothing was made from it."""


class PortabilityWarning(GraflowWarning):
    """A task can travel to another process, but at a price worth knowing."""
