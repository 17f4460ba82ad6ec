"""Runs the rows, holds them against their targets, and prints them as Markdown tables."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import graphs
import rows
from measure import Pair, fresh, ratio

WORK = {
    "L1": "define + build + compile",
    "L3": "run inline",
    "L4": "run on 2 threads",
    "L5": "run async tasks",
}
#: Growth is measured from the one to the other, and may be this much.
GROWTH_FROM, GROWTH_TO, GROWTH = 10_000, 100_000, 1.1


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Attributes:
        sizes: tasks of the graphs, each with how often a turn repeats it.
        turns: how often everything is measured, in turns.
        floors_up_to: threads and async tasks are held against their floors, which are slow, up to this size.
        async_up_to: async tasks are measured up to this size.
        memory_sizes: tasks of the graphs whose memory is measured.
        process_turns: how often the tasks that compute are run; they take seconds.
        only: the rows to measure; all of them if empty.
    """

    sizes: tuple[tuple[int, int], ...]
    turns: int
    floors_up_to: int
    async_up_to: int
    memory_sizes: tuple[int, ...]
    process_turns: int
    only: tuple[str, ...] = ()

    def wants(self, row: str) -> bool:
        """Whether a row is to be measured."""
        return not self.only or row in self.only


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
        most_ratio, most, speed = self.target
        if most_ratio is not None and self.ratio is not None:
            return self.ratio <= most_ratio
        if speed is not None and self.ratio is not None:
            return self.ratio >= speed
        return self.ours <= most if most is not None else None

    def cells(self) -> list[str]:
        """The line as text."""
        floor = number(self.floor) if self.floor is not None else ""
        times = f"{self.ratio:.2f} ×" if self.ratio is not None else ""
        return [self.name, self.work, self.unit, number(self.ours), floor, times, str(self.target), yes(self.met)]


def graph_target(row: str, shape: str) -> Target:
    """What a row on a graph is to reach."""
    if row == "L4":
        return Target(most=3.0 if shape == "chain" else 6.0)
    return {"L1": Target(ratio=3.0), "L3": Target(ratio=2.5), "L5": Target(ratio=1.5)}[row]


def graph_rows(settings: Settings) -> tuple[list[Row], list[list[str]]]:
    """L1, L3, L4 and L5: the rows, and the table of their growth."""
    lines: list[Row] = []
    sizes = [n for n, _ in settings.sizes]
    growth = [["row", "graph", *(f"{n:,}" for n in sizes), "growth", "floor's", "against the floor's", "target", "met"]]
    for row in filter(settings.wants, rows.GRAPH_WORK):
        largest = sizes[-1] if row in ("L1", "L3") else settings.floors_up_to
        own = tuple(size for size in settings.sizes if row != "L5" or size[0] <= settings.async_up_to)
        for shape in graphs.SHAPES:
            say(f"{row} {shape}")
            found = fresh(rows.measure_graph, row, shape, own, settings.turns, largest)
            by_size = dict(zip((n for n, _ in own), found, strict=True))
            for n in by_size:
                if n >= GROWTH_FROM and n <= largest:
                    ours, floor = by_size[n]
                    costs = median(ours) * 1e6, median(floor) * 1e6, ratio(ours, floor)
                    lines.append(
                        Row(row, f"{WORK[row]}, {shape} of {n:,}", "µs/task", *costs, graph_target(row, shape))
                    )
            costs_by_size = [f"{median(by_size[n][0]) * 1e6:.2f}" if n in by_size else "" for n in sizes]
            growth.append([row, f"{WORK[row]}, {shape}", *costs_by_size, *_growth(row, by_size)])
    return lines, growth


def _growth(row: str, by_size: dict[int, list[list[float]]]) -> list[str]:
    if GROWTH_TO not in by_size:
        return [""] * 5
    small, large = by_size[GROWTH_FROM], by_size[GROWTH_TO]
    ours = ratio(large[0], small[0])
    if len(large) == 1:
        return [f"{ours:.2f} ×", "", "", "", ""]
    floor = ratio(large[1], small[1])
    target, met = (f"≤ {GROWTH:g} ×", ours / floor <= GROWTH) if row == "L1" else ("", None)
    return [f"{ours:.2f} ×", f"{floor:.2f} ×", f"{ours / floor:.2f} ×", target, yes(met)]


def memory_rows(settings: Settings) -> Iterator[Row]:
    """L2."""
    for n in settings.memory_sizes if settings.wants("L2") else ():
        for shape in graphs.SHAPES:
            say(f"L2 {shape}")
            ours, floor = fresh(rows.measure_memory, shape, n)
            work = f"memory of workflow + plan, {shape} of {n:,}"
            yield Row("L2", work, "B/task", ours, floor, ours / floor, Target(most=1000))


def process_rows(settings: Settings) -> Iterator[Row]:
    """L7."""
    if settings.wants("L7"):
        say("L7")
        pair = Pair(*fresh(rows.measure_processes, 64, 50, settings.process_turns))
        work = "64 tasks of 50 ms on 2 processes, speed against ProcessPoolExecutor"
        yield Row("L7", work, "s", pair.ours, pair.floor, 1 / pair.ratio, Target(speed=0.97))


def nap_rows(settings: Settings) -> Iterator[Row]:
    """L8."""
    if settings.wants("L8"):
        say("L8")
        tasks, workers = 1_000, 16
        pair = Pair(*fresh(rows.measure_naps, tasks, workers, settings.turns))
        naps = tasks * 0.001 / workers
        ours, work = pair.ours * 1e3, f"{tasks:,} tasks sleeping 1 ms on {workers} threads, against"
        yield Row("L8", f"{work} the naps alone", "ms", ours, naps * 1e3, pair.ours / naps, Target(ratio=1.3))
        yield Row("L8", f"{work} bare threads", "ms", ours, pair.floor * 1e3, pair.ratio)


def durable_rows(settings: Settings) -> Iterator[Row]:
    """L10."""
    for shape in graphs.SHAPES if settings.wants("L10") else ():
        for first in (False, True):
            say(f"L10 {shape}")
            n = 10_000
            pair = Pair(*fresh(rows.measure_durable, shape, n, settings.turns, first))
            what = "built and run once" if first else "run"
            work = f"{what} on 2 threads, durable, {shape} of {n:,}, against not durable"
            yield Row("L10", work, "µs/task", pair.ours / n * 1e6, pair.floor / n * 1e6, pair.ratio, Target(ratio=3.0))


def first_use_rows(settings: Settings) -> Iterator[Row]:
    """U2 to U4."""
    say("U2 to U4")
    if settings.wants("U2"):
        work = "installing the checkout, without extras"
        yield Row("U2", work, "packages", rows.installed_packages(), target=Target(most=12))
    if settings.wants("U3"):
        pair = rows.importing(max(10, settings.turns))
        work = "import graflow, against pydantic with a first model"
        yield Row("U3", work, "ms", pair.ours * 1e3, pair.floor * 1e3, pair.ratio, Target(ratio=1.5))
    if settings.wants("U4"):
        pair = rows.hello(settings.turns)
        work = "hello, whole process, against one that only prints"
        yield Row("U4", work, "ms", pair.ours * 1e3, pair.floor * 1e3, pair.ratio, Target(most=400))


def report(settings: Settings, more: Callable[[Settings], Iterable[Row]] | None = None) -> None:
    """Measure and print everything; ``more`` gives further rows."""
    print(versions())
    lines, growth = graph_rows(settings)
    lines += [*memory_rows(settings), *process_rows(settings), *nap_rows(settings), *durable_rows(settings)]
    if more is not None:
        lines += more(settings)
    lines.sort(key=lambda line: (line.name[0], int(line.name[1:])))
    lines += first_use_rows(settings)
    say("")
    print_table(
        [["row", "what", "unit", "graflow", "floor", "ratio", "target", "met"], *(line.cells() for line in lines)]
    )
    if len(growth) > 1:
        print(f"\nµs per task by size, and growth from {GROWTH_FROM:,} to {GROWTH_TO:,} tasks:")
        print_table(growth)
    judged = [line.met for line in lines if line.met is not None]
    print(f"\n{sum(judged)} of the {len(judged)} targets of the first table met")


def number(value: float) -> str:
    """A number with as many digits as say something."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def yes(met: bool | None) -> str:
    """Whether a target is met, for a table."""
    return "" if met is None else "yes" if met else "NO"


def print_table(table: list[list[str]]) -> None:
    """Print rows of cells, the first of them the head, as a Markdown table."""
    widths = [max(len(line[k]) for line in table) for k in range(len(table[0]))]
    print()
    for line in [table[0], ["-" * width for width in widths], *table[1:]]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")


def say(what: str) -> None:
    """What is being measured, for somebody who waits."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


def versions() -> str:
    """What was measured, and with what."""
    python = ".".join(map(str, sys.version_info[:3]))
    packages = " · ".join(f"{name} {importlib.metadata.version(name)}" for name in ("graflow", "pydantic"))
    return f"Python {python} · {packages} · {os.cpu_count()} processors"
