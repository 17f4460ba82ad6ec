"""A notebook that task bodies can write to from any process."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Diary:
    """Lines in a file; one write appends one line, so that none is torn or lost."""

    path: str

    def note(self, line: object) -> None:
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(fd, f"{line}\n".encode())
        finally:
            os.close(fd)

    @property
    def lines(self) -> list[str]:
        if not os.path.exists(self.path):
            return []
        with open(self.path, encoding="utf-8") as file:
            return file.read().splitlines()
