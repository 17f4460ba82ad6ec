"""For tests: of your workflows (`run`, `FakeClock`), and of your own runner (`RunnerContract`).

`RunnerContract` needs pytest, and loads it with its first use; the others need nothing more than graflow itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graflow.testing._clock import FakeClock
from graflow.testing._flags import Flag, Never, NotDone, NotPossible
from graflow.testing._run import run

__all__ = ["FakeClock", "Flag", "Never", "NotDone", "NotPossible", "RunnerContract", "run"]

if TYPE_CHECKING:
    from graflow.testing._contract import RunnerContract
else:  # type checkers would take this to mean that every name exists

    def __getattr__(name: str) -> object:
        if name != "RunnerContract":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import pytest

        # Before its modules load: an assertion of the contract that fails then shows both sides, as in any test.
        pytest.register_assert_rewrite("graflow.testing._contract")
        from graflow.testing._contract import RunnerContract

        return RunnerContract


def __dir__() -> list[str]:
    return sorted({*globals(), "RunnerContract"})
