"""The logger of a task's body; apart from `current`, so that only those who log load `logging`."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Final

from graflow.core._attempt import ATTEMPT

if TYPE_CHECKING:
    from graflow.core._attempt import Attempt, Current

NAME: Final = "graflow.task"


class TaskLogger(logging.LoggerAdapter[logging.Logger]):
    """The logger ``graflow.task``, whose records say which attempt they come from."""

    def __init__(self, attempt: Attempt, where: Current) -> None:
        self._attempt = attempt
        self._where = where
        logger = logging.getLogger(NAME)
        # INFO is what a body wants to have kept, and the default of the root is WARNING. Without handlers nothing is
        # printed for it all the same: the handler of last resort takes warnings only.
        chosen = logger.level or logging.getLogger("graflow").level
        if not chosen and logger.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)
        super().__init__(
            logger, {"graflow_run": where.run, "graflow_task": where.task, "graflow_attempt": where.attempt}
        )

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add what says where the record comes from to what the caller adds."""
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log in the name of the attempt, also from a thread that the body started."""
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # the record names the caller's line, not the one below
        token = ATTEMPT.set(None if self._where._over else self._attempt)
        try:
            super().log(level, msg, *args, **kwargs)
        finally:
            ATTEMPT.reset(token)
