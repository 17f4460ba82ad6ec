"""What is measured: for each row of the report our way and the floor's.

The functions called ``measure_...`` run in a process of their own (`measure.fresh`) and give plain numbers.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import floors
import graphs
from measure import Pair, allocated, import_seconds, in_turns, paired, process_seconds, seconds

from graflow import LocalRunner, Workflow, task

CHECKOUT = Path(__file__).parents[2]
WORKERS = 2

Work = Callable[[], Any]

# ── one graph: define, build and run ────────────────────────────────────────────────────────────────────────────────


def building(upstream: graphs.Upstream) -> tuple[Work, Work]:
    """L1: define, build with all checks and compile; against graphlib's order and cycle check."""
    return partial(build, upstream), partial(floors.ordered, graphs.by_id(upstream))


def build(upstream: graphs.Upstream) -> Workflow[None, int]:
    """A workflow with its plan."""
    workflow = graphs.define(upstream)
    workflow.compile()
    return workflow


def running_inline(upstream: graphs.Upstream) -> tuple[Work, Work]:
    """L3: run in the calling thread; against a bare loop with counters."""
    run = partial(LocalRunner("inline").run, build(upstream))
    return run, partial(floors.counted, upstream, graphs.downstream_of(upstream), graphs.functions(upstream))


def running_threads(upstream: graphs.Upstream) -> tuple[Work, Work]:
    """L4: run on 2 threads; against a thread pool of 2 around graphlib."""
    run = partial(LocalRunner("threads", WORKERS).run, build(upstream))
    return run, partial(floors.pooled, upstream, graphs.functions(upstream), WORKERS)


def running_async(upstream: graphs.Upstream) -> tuple[Work, Work]:
    """L5: run async tasks; against one asyncio task for each."""
    workflow = graphs.define(upstream, graphs.ASYNC)
    workflow.compile()
    functions = graphs.functions(upstream, graphs.ASYNC)
    return partial(LocalRunner().run, workflow), partial(
        floors.awaited, upstream, graphs.downstream_of(upstream), functions
    )


GRAPH_WORK: dict[str, Callable[[graphs.Upstream], tuple[Work, Work]]] = {
    "L1": building,
    "L3": running_inline,
    "L4": running_threads,
    "L5": running_async,
}


def measure_graph(
    row: str, shape: str, sizes: list[tuple[int, int]], turns: int, floors_up_to: int
) -> list[list[list[float]]]:
    """Per size (with its calls in a turn) what a task costs us in each turn, and the floor; in seconds.

    All sizes take part in each turn, so that growth does not depend on when a size was measured.
    """
    GRAPH_WORK[row](graphs.SHAPES[shape](200))[0]()  # loads and looks up what is needed once
    measurements: list[Callable[[], float]] = []
    for n, times in sizes:
        ours, floor = GRAPH_WORK[row](graphs.SHAPES[shape](n))
        measurements.append(partial(seconds, ours, times))
        if n <= floors_up_to:
            measurements.append(partial(seconds, floor, times))
    found = iter(in_turns(measurements, turns))
    return [[[value / n for value in next(found)] for _ in range(2 if n <= floors_up_to else 1)] for n, _ in sizes]


def measure_memory(shape: str, n: int) -> list[float]:
    """L2: bytes per task of workflow and plan, and of the bare tuples."""
    build(graphs.SHAPES[shape](200))
    upstream = graphs.SHAPES[shape](n)
    return [allocated(partial(build, upstream)) / n, allocated(partial(floors.tuples, upstream)) / n]


def measure_large(shape: str, n: int) -> list[float]:
    """L12: seconds to define, build and compile, to run inline, and the most memory the process had, in bytes."""
    upstream = graphs.SHAPES[shape](n)
    begin = time.perf_counter()
    workflow = build(upstream)
    built = time.perf_counter()
    LocalRunner("inline").run(workflow)
    ran = time.perf_counter()
    unit = 1 if sys.platform == "darwin" else 1024
    return [built - begin, ran - built, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit]


# ── processes, and threads that wait ────────────────────────────────────────────────────────────────────────────────


def spin(turns: int) -> int:
    """Pure Python that holds the interpreter lock."""
    total = 0
    for k in range(turns):
        total += k & 7
    return total


@task
def nap() -> None:
    time.sleep(0.001)


def turns_for(milliseconds: int) -> int:
    """How many turns of `spin` take so long here and now."""
    return int(1_000 * milliseconds / seconds(partial(spin, 1_000_000)))


def measure_processes(tasks: int, milliseconds: int, turns: int) -> Pair:
    """L7: independent tasks that compute, on 2 processes; against a process pool. Both start their processes."""
    amount = turns_for(milliseconds)
    several = [task(spin)(amount).named(f"t{i}") for i in range(tasks)]
    workflow = Workflow.builder("spin").add_all(several).build(returns=several[-1])
    workflow.compile()
    ours = partial(LocalRunner("processes", WORKERS).run, workflow)
    floor = partial(floors.process_pool, spin, [amount] * tasks, WORKERS)
    return paired(partial(seconds, ours), partial(seconds, floor), turns)


def measure_naps(tasks: int, workers: int, turns: int) -> Pair:
    """L8: tasks that sleep a millisecond; against bare threads that do nothing else."""
    several = [nap.named(f"t{i}") for i in range(tasks)]
    workflow = Workflow.builder("naps").add_all(several).build()
    workflow.compile()
    ours = partial(LocalRunner("threads", workers).run, workflow)
    floor = partial(floors.sleepers, tasks, 0.001, workers)
    return paired(partial(seconds, ours), partial(seconds, floor), turns)


def measure_durable(shape: str, n: int, turns: int, first: bool) -> Pair:
    """L10: run on 2 threads and keep everything in an SQLite store; against the same run that keeps nothing.

    With ``first``, each workflow is built and run once, as by a program that runs it and ends: what a store wants to
    know of a workflow, its fingerprint, is found out with its first run.
    """
    upstream = graphs.SHAPES[shape](n)
    LocalRunner("threads", WORKERS).run(build(graphs.SHAPES[shape](200)))
    once = build(upstream)
    with tempfile.TemporaryDirectory() as folder:
        durable, plain = LocalRunner("threads", WORKERS, store=f"{folder}/runs.db"), LocalRunner("threads", WORKERS)
        durable.run(once)

        def measured(runner: LocalRunner) -> float:
            return seconds(lambda: runner.run(build(upstream) if first else once))

        return paired(partial(measured, durable), partial(measured, plain), turns)


# ── first use ───────────────────────────────────────────────────────────────────────────────────────────────────────

GRAFLOW = "import graflow"
FIRST_MODEL = "from pydantic import BaseModel\nclass First(BaseModel):\n    a: int\n    b: str = ''\nFirst(a=1)"
HELLO = """
from graflow import Workflow, task

@task
def hello(name: str) -> str:
    return f"hello, {name}"

print(Workflow.builder("hello").add(hello, "world").build().run().value)
"""


def importing(turns: int) -> Pair:
    """U3: a first import in a new Python, byte code at hand; against pydantic and a first model."""
    ours, floor = partial(import_seconds, GRAFLOW), partial(import_seconds, FIRST_MODEL)
    paired(ours, floor, 1)  # writes the byte code
    return paired(ours, floor, turns)


def hello(turns: int) -> Pair:
    """U4: a program of one task, from the start of Python to its end; against a program that only prints."""
    return paired(partial(process_seconds, HELLO), partial(process_seconds, "print('hello, world')"), turns)


def installed_packages() -> int:
    """U2: how many packages an installer would put into an empty environment, graflow among them.

    Raises:
        RuntimeError: they cannot be counted; says why.
    """
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise RuntimeError("counting the packages takes uv, which is among the development dependencies")
    with tempfile.TemporaryDirectory() as empty:
        where = ["--python", sys.executable, "--target", empty]
        command = [uv, "pip", "install", "--dry-run", "--no-build-isolation", *where, str(CHECKOUT)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the packages cannot be counted: {done.stderr.strip()}")
    return sum(line.startswith(" + ") for line in done.stderr.splitlines())
