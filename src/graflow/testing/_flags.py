"""What a runner says about the parts of the contract that it does not keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class NotDone:
    """We have not built it yet. Its tests have to fail: one that passes is news, and fails the suite."""

    reason: str
    """What is missing."""


@dataclass(frozen=True, slots=True)
class NotPossible:
    """What the runner builds upon cannot do it yet. Its tests have to fail, as for `NotDone`."""

    reason: str
    """What cannot do it, and where that is said."""


@dataclass(frozen=True, slots=True)
class Never:
    """It makes no sense here, and will not. Its tests are skipped, because trying might do harm or wait for ever."""

    reason: str
    """Why."""


Flag: TypeAlias = Literal[True] | NotDone | NotPossible | Never
"""True where the runner keeps a part of the contract; otherwise the reason why it does not."""
