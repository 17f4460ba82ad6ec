"""A batch over a folder of real files: every module of Python's own standard library, parsed and measured.

How many files there are is known only when the run looks, so `measure` is *mapped* over what `list_files` finds.
A file that cannot be parsed does not end the batch: the report takes the outcome of every file, and names it.

Run it with `python examples/07_real_world/batch.py`, or over files of your own:
`python examples/07_real_world/batch.py src tests --executor threads --limit 100`.
"""

import argparse
import ast
import sysconfig
import tempfile
import tokenize
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from pydantic import BaseModel, PositiveInt

from graflow import Failed, LocalRunner, Ok, Outcome, Workflow, inputs, task

Executor = Literal["inline", "threads", "processes"]

#: Folders in which there are no modules of the library itself.
APART = frozenset({"__pycache__", "idlelib", "lib2to3", "site-packages", "test", "tests", "turtledemo"})


class Batch(BaseModel, frozen=True):
    """Which files to measure."""

    folders: tuple[Path, ...]
    limit: PositiveInt | None = None


class Longest(NamedTuple):
    """The longest function of a file."""

    lines: int
    name: str


class Module(NamedTuple):
    """What one file holds."""

    path: Path
    lines: int
    functions: int
    classes: int
    longest: Longest | None


class Report(NamedTuple):
    """What all files hold."""

    files: int
    lines: int
    functions: int
    classes: int
    longest: list[tuple[Longest, Path]]
    broken: dict[Path, str]

    def __str__(self) -> str:
        counts = {what: getattr(self, what) for what in ("files", "lines", "functions", "classes")}
        return "\n".join(
            [
                *(f"{what:<10}{count:>9,}" for what, count in counts.items()),
                "longest functions:",
                *(f"{one.lines:>7,}  {one.name} in {path.name}" for one, path in self.longest),
                *(f"broken: {path.name}: {why}" for path, why in self.broken.items()),
            ]
        )


@task
def list_files(folders: tuple[Path, ...], limit: int | None) -> list[Path]:
    found = [
        path
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
        if APART.isdisjoint(path.relative_to(folder).parts)
    ]
    return found[:limit]


@task
def measure(path: Path) -> Module:
    with tokenize.open(path) as file:  # in the encoding that the file says it has
        source = file.read()
    with warnings.catch_warnings(action="ignore"):  # old files have old habits
        tree = ast.parse(source)
    found = list(ast.walk(tree))
    functions = [one for one in found if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    sizes = [Longest((one.end_lineno or one.lineno) - one.lineno + 1, one.name) for one in functions]
    classes = sum(isinstance(one, ast.ClassDef) for one in found)
    return Module(path, source.count("\n"), len(functions), classes, max(sizes, default=None))


@task
def add_up(files: list[Path], measured: list[Outcome[Module]]) -> Report:
    modules = [one.value for one in measured if isinstance(one, Ok)]
    broken = {path: str(one.error) for path, one in zip(files, measured, strict=True) if isinstance(one, Failed)}
    longest = sorted(((one.longest, one.path) for one in modules if one.longest), reverse=True)
    return Report(
        len(modules),
        sum(one.lines for one in modules),
        sum(one.functions for one in modules),
        sum(one.classes for one in modules),
        longest[:5],
        broken,
    )


src = inputs(Batch)
measured = measure.map(list_files.each)  # one attempt for each file

batch = (
    Workflow.builder("batch", inputs=Batch)
    .add(list_files, src.folders, src.limit)
    .add(measured)
    .add(add_up, list_files.out, measured.outcome)
    .build(returns=add_up)
)


@contextmanager
def standard_library() -> Iterator[tuple[Path, ...]]:
    """The folders to measure where none are given: one file that is no Python, and the standard library."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "broken.py").write_text("def half(:\n")
        yield Path(folder), Path(sysconfig.get_path("stdlib"))


def main(given: argparse.Namespace, folders: tuple[Path, ...]) -> None:
    runner = LocalRunner(given.executor, max_workers=given.workers)
    run = batch.run(Batch(folders=folders, limit=given.limit), runner=runner)
    print(run.value)
    slowest = max(run.items(measured), key=lambda one: one.duration or 0, default=None)
    if slowest is not None:
        workers = len({one.worker for one in run.items(measured)})
        print(f"{run.duration:.2f} s with {given.executor}: workers {workers}, slowest item {slowest.id}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure Python files, many at once.")
    parser.add_argument("folders", type=Path, nargs="*", help="where they are; by default the standard library")
    parser.add_argument("--limit", type=int, help="measure no more files than this")
    parser.add_argument("--executor", choices=get_args(Executor), default="processes")
    parser.add_argument("--workers", type=int, help="how many at once; by default one for each processor")
    given = parser.parse_args()
    if given.folders:
        main(given, tuple(given.folders))
    else:
        with standard_library() as folders:
            main(given, folders)
