"""Runs the rows, holds them against their targets, and prints them as Markdown tables."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import graphs
import rows
from measure import Pair, fresh

WORK = {
    "L1": "define + build + compile",
    "L2": "memory of workflow + plan",
    "L3": "run inline",
    "L4": "run on 2 threads",
    "L5": "run async tasks",
}
#: The size whose cost per task growth is measured from and to.
GROWTH_FROM, GROWTH_TO = 10_000, 100_000


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Attributes:
        sizes: tasks of the graphs, with the repeats of each.
        shown: the sizes that have a line of their own; the others only count for growth.
        floors_up_to: threads and async tasks are held against their slow floors up to this size.
        memory_sizes: tasks of the graphs whose memory is measured.
        process_repeats: pairs of runs of the tasks that compute.
        repeats: of everything else.
    """

    sizes: dict[int, int]
    shown: Sequence[int]
    floors_up_to: int
    memory_sizes: Sequence[int]
    process_repeats: int
    repeats: int


class Target(NamedTuple):
    """What a row is to reach; at most one of the three."""

    ratio: float | None = None
    """At most this many times the floor."""
    most: float | None = None
    """At most this, in the row's unit."""
    speed: float | None = None
    """At least this part of the floor's speed."""

    def __str__(self) -> str:
        if self.ratio is not None:
            return f"≤ {self.ratio:g} ×"
        if self.most is not None:
            return f"≤ {self.most:,.0f}"
        return f"≥ {self.speed:g} ×" if self.speed is not None else ""


class Row(NamedTuple):
    """One line of the report."""

    name: str
    work: str
    unit: str
    ours: float
    floor: float | None = None
    ratio: float | None = None
    target: Target = Target()

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None if there is none."""
        ratio, most, speed = self.target
        if ratio is not None and self.ratio is not None:
            return self.ratio <= ratio
        if speed is not None and self.ratio is not None:
            return self.ratio >= speed
        return self.ours <= most if most is not None else None


@dataclass
class Graphs:
    """The rows on graphs, each measured once at each size."""

    settings: Settings
    measured: dict[tuple[str, str, int], list[float]] = field(default_factory=dict)

    def measure(self) -> None:
        """Measure everything; each row, shape and size in a process of its own."""
        for row in rows.GRAPH_WORK:
            for shape in graphs.SHAPES:
                for n, repeats in self.settings.sizes.items():
                    with_floor = row in ("L1", "L3") or n <= self.settings.floors_up_to
                    say(f"{row} {shape} of {n:,}")
                    self.measured[row, shape, n] = fresh(rows.measure_graph, row, shape, n, repeats, with_floor)

    def lines(self) -> Iterator[Row]:
        """The rows at the sizes that are shown."""
        for (row, shape, n), seconds in self.measured.items():
            if n in self.settings.shown and len(seconds) == 3:
                pair, micro = Pair(*seconds), 1e6 / n
                work = f"{WORK[row]}, {shape} of {n:,}"
                yield Row(row, work, "µs/task", pair.ours * micro, pair.floor * micro, pair.ratio, _target(row, shape))

    def growth(self) -> Iterator[list[str]]:
        """Cost per task at every size, and how it grows; the floor's growth is that of the machine's caches."""
        sizes = list(self.settings.sizes)
        yield ["row", "graph", *(f"{n:,}" for n in sizes), "growth", "floor's growth", "target", "met"]
        for row in rows.GRAPH_WORK:
            for shape in graphs.SHAPES:
                cost = {n: self.measured[row, shape, n][0] / n for n in sizes}
                floor = {n: s[1] / n for n in sizes if len(s := self.measured[row, shape, n]) == 3}
                grown = cost[GROWTH_TO] / cost[GROWTH_FROM]
                yield [
                    row,
                    f"{WORK[row]}, {shape}",
                    *(f"{each * 1e6:.2f}" for each in cost.values()),
                    f"{grown:.2f} ×",
                    f"{floor[GROWTH_TO] / floor[GROWTH_FROM]:.2f} ×" if GROWTH_TO in floor else "",
                    "≤ 1.1 ×" if row == "L1" else "",
                    _yes(grown <= 1.1) if row == "L1" else "",
                ]


def _target(row: str, shape: str) -> Target:
    if row == "L4":
        return Target(most=3.0 if shape == "chain" else 6.0)
    return {"L1": Target(ratio=3.0), "L3": Target(ratio=2.5), "L5": Target(ratio=1.5)}[row]


def memory_lines(settings: Settings) -> Iterator[Row]:
    """L2."""
    for n in settings.memory_sizes:
        for shape in graphs.SHAPES:
            say(f"L2 {shape} of {n:,}")
            ours, floor = fresh(rows.measure_memory, shape, n)
            work = f"{WORK['L2']}, {shape} of {n:,}"
            yield Row("L2", work, "B/task", ours / n, floor / n, ours / floor, Target(most=1000))


def process_lines(settings: Settings) -> Iterator[Row]:
    """L7 and L8."""
    say("L7")
    ours, floor, ratio = fresh(rows.measure_processes, 64, 50, settings.process_repeats)
    work = "64 tasks of 50 ms on 2 processes, speed against ProcessPoolExecutor"
    yield Row("L7", work, "s", ours, floor, 1 / ratio, Target(speed=0.97))
    say("L8")
    tasks, workers = 1_000, 16
    ours, floor, ratio = fresh(rows.measure_naps, tasks, workers, settings.repeats)
    work = f"{tasks:,} tasks sleeping 1 ms on {workers} threads, against"
    naps = tasks * 0.001 / workers
    yield Row("L8", f"{work} the naps alone", "ms", ours * 1e3, naps * 1e3, ours / naps, Target(ratio=1.3))
    yield Row("L8", f"{work} bare threads", "ms", ours * 1e3, floor * 1e3, ratio)


def first_use_lines(settings: Settings) -> Iterator[Row]:
    """U2 to U4."""
    say("U2 to U4")
    yield Row("U2", "installing the checkout, without extras", "packages", rows.installed_packages(), target=_PACKAGES)
    pair = rows.importing(2 * settings.repeats)
    work = "import graflow, against pydantic with a first model"
    yield Row("U3", work, "ms", pair.ours * 1e3, pair.floor * 1e3, pair.ratio, Target(ratio=1.5))
    pair = rows.hello(settings.repeats)
    work = "hello, whole process, against one that only prints"
    yield Row("U4", work, "ms", pair.ours * 1e3, pair.floor * 1e3, pair.ratio, Target(most=400))


_PACKAGES = Target(most=12)


def report(settings: Settings, more: Iterable[Row] = ()) -> None:
    """Measure and print everything."""
    print(_versions())
    measured = Graphs(settings)
    measured.measure()
    lines = sorted([*measured.lines(), *memory_lines(settings), *process_lines(settings)], key=lambda line: line.name)
    lines += [*first_use_lines(settings), *more]
    print_table([["row", "what", "unit", "graflow", "floor", "ratio", "target", "met"], *map(_cells, lines)])
    print("\nCost in µs per task by size, and its growth " + f"from {GROWTH_FROM:,} to {GROWTH_TO:,} tasks:")
    print_table(list(measured.growth()))
    judged = [line.met for line in lines if line.met is not None]
    print(f"\n{sum(judged)} of {len(judged)} targets met (growth apart)")


def _cells(line: Row) -> list[str]:
    return [
        line.name,
        line.work,
        line.unit,
        _number(line.ours),
        _number(line.floor) if line.floor is not None else "",
        f"{line.ratio:.2f} ×" if line.ratio is not None else "",
        str(line.target),
        "" if line.met is None else _yes(line.met),
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def _yes(met: bool) -> str:
    return "yes" if met else "NO"


def print_table(table: list[list[str]]) -> None:
    """Print rows of cells, the first of them the head, as a Markdown table."""
    widths = [max(len(line[k]) for line in table) for k in range(len(table[0]))]
    table.insert(1, ["-" * width for width in widths])
    print()
    for line in table:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")


def say(what: str) -> None:
    """What is being measured, for those who wait."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="\r", file=sys.stderr, flush=True)


def _versions() -> str:
    python = ".".join(map(str, sys.version_info[:3]))
    packages = " · ".join(f"{name} {importlib.metadata.version(name)}" for name in ("graflow", "pydantic"))
    return f"Python {python} · {packages} · {os.cpu_count()} processors"
