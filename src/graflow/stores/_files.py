"""Large results, each in a file of its own, named by the digest of what it holds.

A file is written under another name, flushed to the disk and then renamed: a name stands for whole contents only.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from graflow.stores._trouble import DamagedError

LARGE: Final = 1 << 20
"""Results of more bytes than this get a file: in the database they would be written twice and slow its reading."""
GRACE: Final = 3600.0
"""Seconds for which a file may lie unused: it may be under way, and its run not written yet."""

_NAME: Final = re.compile(r"[0-9a-f]{64}")


class ResultFiles:
    """The folder of files beside a database.

    Args:
        folder: where they are; made with the first file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> str:
        """Write a file, if there is none with these contents, and return its name.

        Raises:
            OSError: it cannot be written; then nothing is left of it.
        """
        name = sha256(data).hexdigest()
        target = self._folder / name
        if self._is(target, data):
            return name
        self._folder.mkdir(exist_ok=True)
        part = self._folder / f"{name}.{os.urandom(8).hex()}.part"
        try:
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        self._flush_folder()
        return name

    def ensure(self, name: str, data: bytes) -> None:
        """Write a file again if it was swept away since `put`."""
        if not (self._folder / name).exists():
            self.put(data)

    def get(self, name: str) -> bytes:
        """Read a file.

        Raises:
            DamagedError: it is gone, or does not hold what was written.
            OSError: it cannot be read.
        """
        if not _NAME.fullmatch(name):
            raise DamagedError("the name of a result file is garbled")
        try:
            data = (self._folder / name).read_bytes()
        except FileNotFoundError:
            raise DamagedError(f"the result file {name} is gone") from None
        if sha256(data).hexdigest() != name:
            raise DamagedError(f"the result file {name} is damaged")
        return data

    def remove(self, names: Iterable[str]) -> None:
        """Remove files that nobody refers to."""
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    def sweep(self, used: Callable[[], frozenset[str]]) -> None:
        """Remove every file that is not in use and old enough not to be under way.

        Args:
            used: says which are in use; asked if there is any file at all.
        """
        try:
            files = sorted(self._folder.iterdir())
        except FileNotFoundError:
            return
        in_use = used()
        old = time.time() - GRACE
        for file in files:
            with suppress(FileNotFoundError):  # another process sweeps too
                if file.name not in in_use and file.stat().st_mtime < old:
                    file.unlink()

    def _is(self, target: Path, data: bytes) -> bool:
        try:
            if target.stat().st_size != len(data) or target.read_bytes() != data:
                return False
            os.utime(target)  # young again, so that no sweep takes it
        except FileNotFoundError:
            return False
        return True

    def _flush_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
