"""How a task ended, as a value: `Ok`, `Failed` or `Skipped`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Ok(Generic[R_co]):
    """The task succeeded."""

    value: R_co
    """What it returned."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The task failed."""

    error: BaseException
    """What it raised."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """The task did not run."""

    reason: str
    """Why: which upstream failed, or that the run was cancelled."""


Outcome: TypeAlias = Ok[R_co] | Failed | Skipped
