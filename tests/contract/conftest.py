"""The configurations of `LocalRunner` that must all keep the same contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.contract.diary import Diary

from graflow import LocalRunner

KINDS: dict[str, dict[str, Any]] = {
    "inline": {"executor": "inline"},
    "threads-1": {"executor": "threads", "max_workers": 1},
    "threads-4": {"executor": "threads", "max_workers": 4},
    "processes-1": {"executor": "processes", "max_workers": 1},
    "processes-4": {"executor": "processes", "max_workers": 4},
}
EVERY = {f"{name}-{keep}": {**options, "keep": keep} for keep in ("all", "returns") for name, options in KINDS.items()}


#: One process takes a fifth of a second to start, so most tests start only a few.
FEW = {**{name: KINDS[name] for name in ("inline", "threads-1", "threads-4")}, "processes": {"executor": "processes"}}


@pytest.fixture(params=FEW)
def runner(request: pytest.FixtureRequest) -> LocalRunner:
    """Each executor; all results are kept."""
    options = {"max_workers": 2, **FEW[request.param]}
    return LocalRunner(**options)


@pytest.fixture(params=EVERY)
def every_runner(request: pytest.FixtureRequest) -> LocalRunner:
    """Every configuration, also those that let go of results; only ``run.value`` can be read afterwards."""
    return LocalRunner(**EVERY[request.param])


@pytest.fixture(params=["inline", "threads-4"])
def near_runner(request: pytest.FixtureRequest) -> LocalRunner:
    """Runners whose tasks share this process, and so its objects."""
    return LocalRunner(**KINDS[request.param])


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    """What bodies write down, in the order in which they did, whatever process they ran in."""
    return Diary(str(tmp_path / "diary"))
