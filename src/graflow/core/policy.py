"""How a task is to be run: policies, as frozen values.

A policy says what a task asks for; a runner that cannot keep a policy refuses the workflow before anything runs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from graflow.errors import ConfigurationError

Executor = Literal["inline", "threads", "processes"]


class Policy(BaseModel, frozen=True):
    """What a task asks of the runner.

    Source of the defaults: a task asks for nothing, and the runner decides.
    """

    model_config = ConfigDict(extra="forbid")

    executor: Executor | None = None
    """Where the task's body runs: in the thread that drives the run, in a thread, in a process. None: as the runner."""

    queue: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)] = "default"
    """Which workers may take the task; runners on one machine serve every queue."""

    timeout: Annotated[float, Field(gt=0)] | None = None
    """Seconds one attempt may take."""

    @field_validator("timeout", mode="before")
    @classmethod
    def _seconds(cls, value: Any) -> Any:
        return value.total_seconds() if isinstance(value, timedelta) else value


def make_policy(owner: str, fields: dict[str, Any]) -> Policy | None:
    """Validate the policies given to a task; None if there are none.

    Raises:
        ConfigurationError: an unknown policy, or a value it cannot have; names the task, the policy and the reason.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    if not given:
        return None
    try:
        policy = Policy(**given)
    except ValidationError as error:
        reasons = "; ".join(
            f"there is no policy {problem['loc'][0]!r}, only {', '.join(Policy.model_fields)}"
            if problem["type"] == "extra_forbidden"
            else f"{problem['loc'][0]}={problem['input']!r}: {problem['msg']}"
            for problem in error.errors()
        )
        raise ConfigurationError(f"task {owner!r}: {reasons}") from None
    return policy if policy != Policy() else None
