"""What the bodies of the contract and its tests tell each other, through files in a folder that all of them see."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: How long one side waits for the other, in seconds; reached only where a rule is broken.
PATIENCE: Final = 30.0
#: How long one side sleeps before it looks again.
LOOK_AGAIN: Final = 0.002


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Wait for a condition that only files or other processes can tell.

    Raises:
        TimeoutError: it did not come true.
    """
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE:g} s for {what}")
        time.sleep(LOOK_AGAIN)


@dataclass(frozen=True)
class Notebook:
    """A folder in which bodies write down what they do, from whatever process."""

    folder: str

    def note(self, line: object) -> None:
        """Add a line. One write adds one line, so that none is torn or lost."""
        file = os.open(Path(self.folder, "lines"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, f"{line}\n".encode())
        finally:
            os.close(file)

    @property
    def lines(self) -> list[str]:
        """All lines so far."""
        path = Path(self.folder, "lines")
        return path.read_text("utf-8").splitlines() if path.exists() else []

    def mark(self, name: str) -> None:
        """Raise a flag that `wait` sees."""
        Path(self.folder, f"mark-{name}").touch()

    def is_marked(self, name: str) -> bool:
        """Is the flag up?"""
        return Path(self.folder, f"mark-{name}").exists()

    def wait(self, name: str) -> None:
        """Wait for a flag."""
        wait_until(lambda: self.is_marked(name), f"the mark {name!r}")
