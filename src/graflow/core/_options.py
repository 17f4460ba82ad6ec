"""What a caller may ask of one run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from typing import Literal, get_args

from graflow.errors import ConfigurationError

OnFailure = Literal["continue", "stop"]

#: Run ids also name files beside the store.
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How one run is to be run; see `Runner.run`."""

    check: bool = True
    run_id: str | None = None
    on_failure: OnFailure = "continue"
    timeout: float | None = None


def options(check: bool, run_id: str | None, on_failure: OnFailure, timeout: float | timedelta | None) -> RunOptions:
    """Check what a caller asks for.

    Raises:
        ConfigurationError: an impossible value.
    """
    if on_failure not in get_args(OnFailure):
        raise ConfigurationError(f"on_failure={on_failure!r} is unknown; choose 'continue' or 'stop'")
    if run_id is not None and not (isinstance(run_id, str) and _RUN_ID.fullmatch(run_id)):
        raise ConfigurationError(
            f"run_id={run_id!r} cannot name a run; use up to 200 letters, digits, '_', '-', '.' and ':', and start "
            f"with a letter or a digit"
        )
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if seconds is not None and (type(seconds) not in (int, float) or not 0 < seconds < inf):
        raise ConfigurationError(f"timeout={timeout!r} is not a number of seconds above 0")
    return RunOptions(check, run_id, on_failure, seconds)
