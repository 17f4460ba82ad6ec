"""`LocalRunner` keeps the contract in every configuration."""

from __future__ import annotations

from pathlib import Path

from graflow import LocalRunner, Runner
from graflow.testing import Never, RunnerContract


class NearContract(RunnerContract):
    """What holds wherever bodies share the process of the caller."""

    ends_overrunning = Never("nobody can end a thread")
    survives_its_workers = Never("a body that ends its process ends the runner with it")


class TestInline(NearContract):
    def make_runner(self, folder: Path) -> Runner:
        return LocalRunner("inline")

    runs_side_by_side = Never("one thread runs one body at a time")
    copies_values = Never("values pass by reference")
    keeps_runs = Never("it has no store")


class TestThreads(NearContract):
    def make_runner(self, folder: Path) -> Runner:
        return LocalRunner("threads", 2)

    copies_values = Never("values pass by reference")
    keeps_runs = Never("it has no store")


class TestIsolatedThreads(NearContract):
    def make_runner(self, folder: Path) -> Runner:
        return LocalRunner("threads", 2, isolate=True)

    keeps_runs = Never("it has no store")


class TestProcesses(RunnerContract):
    def make_runner(self, folder: Path) -> Runner:
        return LocalRunner("processes", 2)

    keeps_runs = Never("it has no store")


class TestDurableThreads(NearContract):
    def make_runner(self, folder: Path) -> Runner:
        return LocalRunner("threads", 2, store=folder / "runs.db")

    copies_values = Never("values pass by reference")

    def close_runner(self, runner: Runner) -> None:
        assert isinstance(runner, LocalRunner)
        assert runner.store is not None
        runner.store.close()
