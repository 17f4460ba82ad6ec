"""How everything is measured: in turns, the median of several, each comparison in a process of its own."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

HERE = Path(__file__).parent


class Pair(NamedTuple):
    """Two ways to do the same: seconds of each, and how many times the second the first takes."""

    ours: float
    floor: float
    ratio: float


def seconds(work: Callable[[], Any]) -> float:
    """How long one call takes, with the garbage collector on, as users have it, and no garbage left from before.

    Letting go of what the call returns is not measured.
    """
    gc.collect()
    begin = time.perf_counter()
    kept = work()
    took = time.perf_counter() - begin
    del kept
    return took


def alone(work: Callable[[], Any], repeats: int) -> float:
    """The median of several calls."""
    return median(seconds(work) for _ in range(repeats))


def in_turns(ours: Callable[[], float], floor: Callable[[], float], repeats: int) -> Pair:
    """Two measurements in turns, so that whatever slows the machine down meets both.

    The ratio is the median of the turns' ratios, not the ratio of the medians.
    """
    turns: list[tuple[float, float]] = []
    for turn in range(repeats):
        if turn % 2:
            b = floor()
            a = ours()
        else:
            a = ours()
            b = floor()
        turns.append((a, b))
    return Pair(median(a for a, _ in turns), median(b for _, b in turns), median(a / b for a, b in turns))


def paired(ours: Callable[[], Any], floor: Callable[[], Any], repeats: int) -> Pair:
    """The seconds of two ways to do the same, in turns."""
    return in_turns(lambda: seconds(ours), lambda: seconds(floor), repeats)


def allocated(make: Callable[[], Any]) -> int:
    """How many bytes live on in what a call returns, as tracemalloc counts them."""
    gc.collect()
    tracemalloc.start()
    try:
        kept = make()
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
        del kept
    finally:
        tracemalloc.stop()
    return size


def fresh(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of one of these files in a new Python, so that nothing measured before is in its memory.

    Arguments and result travel as JSON.
    """
    program = (
        f"import json, sys; from {function.__module__} import {function.__name__} as call; "
        "print(json.dumps(call(*json.loads(sys.argv[1]))))"
    )
    return json.loads(_python(program, json.dumps(arguments)).splitlines()[-1])


def import_seconds(program: str) -> float:
    """How long a new Python takes for some statements, without its own start."""
    timed = f"import time\nbegin = time.perf_counter()\n{program}\nprint(time.perf_counter() - begin)"
    return float(_python(timed))


def process_seconds(program: str) -> float:
    """How long a new Python takes for some statements, from its start to its end."""
    begin = time.perf_counter()
    _python(program)
    return time.perf_counter() - begin


def _python(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=HERE, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout
