"""What values need from rooms above theirs: a runner to run on, a codec to ask, a picture to draw.

`core` imports none of those rooms. They fill in these functions when the package is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from graflow.errors import ConfigurationError

if TYPE_CHECKING:
    from graflow.core.run import Runner
    from graflow.core.workflow import Workflow

loads_code = False
"""This process belongs to a runner and is importing what a task needs. A run that such an import begins would wait for
processes that begin it again."""

default_runner: Callable[[], Runner]
"""The runner of `Workflow.run` where the caller names none."""

run_nested: Callable[[Workflow[Any, Any], Any], Any]
"""Runs a workflow that is called as a plain function, in the caller's thread: its value, or what the run around it is
to do in its place."""


def _no_redis_runner() -> Runner:
    raise ConfigurationError(
        "QueueBackend.REDIS needs the Redis runner, which this version does not have; use QueueBackend.LOCAL"
    )


redis_runner: Callable[[], Runner] = _no_redis_runner
"""The runner of `QueueBackend.REDIS`."""

check_portable: Callable[[Workflow[Any, Any]], None]
"""Raises `SerializationError` for what cannot travel to another process."""

mermaid: Callable[[Workflow[Any, Any]], str]
"""The workflow as Mermaid text."""

html: Callable[[Workflow[Any, Any]], str]
"""The workflow as HTML for a notebook."""
