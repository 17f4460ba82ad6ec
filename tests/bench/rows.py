"""What is measured: for each row of the report our way and the floor's.

The functions called ``measure_...`` run in a process of their own (`measure.fresh`) and give plain numbers.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import floors
import graphs
from measure import Pair, allocated, alone, import_seconds, in_turns, paired, process_seconds

from graflow import LocalRunner, Workflow, task

CHECKOUT = Path(__file__).parents[2]
WORKERS = 2

Work = Callable[[], Any]

# ── one graph: define, build and run ────────────────────────────────────────────────────────────────────────────────


def building(shape: str, n: int) -> tuple[Work, Work]:
    """Define, build with all checks and compile; against graphlib's order and cycle check."""
    upstream = graphs.SHAPES[shape](n)
    graph = graphs.by_id(upstream)

    def build() -> Workflow[None, int]:
        workflow = graphs.define(upstream)
        workflow.compile()
        return workflow

    return build, lambda: floors.ordered(graph)


def running_inline(shape: str, n: int) -> tuple[Work, Work]:
    """Run in the calling thread; against a bare loop with counters."""
    upstream = graphs.SHAPES[shape](n)
    downstream, functions = graphs.downstream_of(upstream), graphs.functions(upstream)
    run = _runs(graphs.define(upstream), LocalRunner("inline"))
    return run, lambda: floors.counted(upstream, downstream, functions)


def running_threads(shape: str, n: int) -> tuple[Work, Work]:
    """Run on 2 threads; against a thread pool of 2 around graphlib."""
    upstream = graphs.SHAPES[shape](n)
    functions = graphs.functions(upstream)
    run = _runs(graphs.define(upstream), LocalRunner("threads", WORKERS))
    return run, lambda: floors.pooled(upstream, functions, WORKERS)


def running_async(shape: str, n: int) -> tuple[Work, Work]:
    """Run async tasks; against one asyncio task for each."""
    upstream = graphs.SHAPES[shape](n)
    downstream, functions = graphs.downstream_of(upstream), graphs.functions(upstream, graphs.ASYNC)
    run = _runs(graphs.define(upstream, graphs.ASYNC), LocalRunner())
    return run, lambda: floors.awaited(upstream, downstream, functions)


def _runs(workflow: Workflow[None, int], runner: LocalRunner) -> Work:
    workflow.compile()
    return lambda: runner.run(workflow)


GRAPH_WORK: dict[str, Callable[[str, int], tuple[Work, Work]]] = {
    "L1": building,
    "L3": running_inline,
    "L4": running_threads,
    "L5": running_async,
}


def measure_graph(row: str, shape: str, n: int, repeats: int, with_floor: bool) -> list[float]:
    """Seconds of ours, of the floor, and the ratio; without the floor only the first."""
    GRAPH_WORK[row](shape, 200)[0]()  # loads and looks up what is needed once
    ours, floor = GRAPH_WORK[row](shape, n)
    return list(paired(ours, floor, repeats)) if with_floor else [alone(ours, repeats)]


def measure_memory(shape: str, n: int) -> list[int]:
    """Bytes of workflow and plan, and of the bare tuples."""
    building(shape, 200)[0]()
    upstream = graphs.SHAPES[shape](n)
    build, _ = building(shape, n)
    return [allocated(build), allocated(lambda: floors.tuples(upstream))]


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


def measure_processes(tasks: int, milliseconds: int, repeats: int) -> list[float]:
    """Independent tasks that compute, on 2 processes; against a process pool."""
    begin = time.perf_counter()
    spin(1_000_000)
    turns = int(1_000 * milliseconds / (time.perf_counter() - begin))
    spinning = task(spin)(turns)
    several = [spinning.named(f"t{i}") for i in range(tasks)]
    run = _runs(Workflow.builder("spin").add_all(several).build(returns=several[-1]), LocalRunner("processes", WORKERS))
    return list(paired(run, lambda: floors.process_pool(spin, [turns] * tasks, WORKERS), repeats))


def measure_naps(tasks: int, workers: int, repeats: int) -> list[float]:
    """Tasks that sleep a millisecond; against bare threads that do nothing else."""
    several = [nap.named(f"t{i}") for i in range(tasks)]
    workflow = Workflow.builder("naps").add_all(several).build()
    workflow.compile()
    runner = LocalRunner("threads", workers)
    return list(paired(lambda: runner.run(workflow), lambda: floors.sleepers(tasks, 0.001, workers), repeats))


# ── first use ───────────────────────────────────────────────────────────────────────────────────────────────────────

FIRST_MODEL = "from pydantic import BaseModel\nclass First(BaseModel):\n    a: int\n    b: str = ''\nFirst(a=1)"
HELLO = """
from graflow import Workflow, task

@task
def hello(name: str) -> str:
    return f"hello, {name}"

print(Workflow.builder("hello").add(hello, "world").build().run().value)
"""


def importing(repeats: int) -> Pair:
    """A first import in a new Python, byte code at hand; against pydantic and a first model."""
    ours, floor = (lambda: import_seconds("import graflow")), (lambda: import_seconds(FIRST_MODEL))
    in_turns(ours, floor, 1)  # writes the byte code
    return in_turns(ours, floor, repeats)


def hello(repeats: int) -> Pair:
    """A program of one task, from the start of Python to its end; against a program that only prints."""
    return in_turns(lambda: process_seconds(HELLO), lambda: process_seconds("print('hello, world')"), repeats)


def installed_packages() -> int:
    """How many packages an installer would put into an empty environment, graflow among them."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise FileNotFoundError("counting packages takes uv, which `make bench-quick` installs")
    command = [uv, "pip", "install", "--dry-run", "--no-build-isolation", "--python", sys.executable]
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [*command, "--target", empty, str(CHECKOUT)], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(f"the packages cannot be counted: {done.stderr.strip()}")
    return sum(line.startswith(" + ") for line in done.stderr.splitlines())
