"""How everything is measured: in turns, the median of several, each comparison in a process of its own."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

HERE = Path(__file__).parent


class Pair(NamedTuple):
    """Our way and the floor's: the median of each, and how many times the floor ours takes."""

    ours: float
    floor: float
    ratio: float


def seconds(work: Callable[[], Any], times: int = 1) -> float:
    """How long one call takes, on average of some.

    The garbage collector is on, as users have it, and finds no garbage from before.
    Letting go of what a call returns is not measured.
    """
    total = 0.0
    for _ in range(times):
        gc.collect()
        begin = time.perf_counter()
        kept = work()
        total += time.perf_counter() - begin
        del kept
    return total / times


def in_turns(measurements: Sequence[Callable[[], float]], turns: int) -> list[list[float]]:
    """What each measurement gives in each turn: whatever slows the machine down for a while meets them all.

    Every other turn goes backwards, so that none profits from always being the second.
    """
    found: list[list[float]] = [[] for _ in measurements]
    for turn in range(turns):
        order = list(range(len(measurements)))
        for k in order if turn % 2 == 0 else reversed(order):
            found[k].append(measurements[k]())
    return found


def ratio(ours: Sequence[float], floor: Sequence[float]) -> float:
    """The median of the turns' ratios, which is steadier than the ratio of the medians."""
    return median(a / b for a, b in zip(ours, floor, strict=True))


def paired(ours: Callable[[], float], floor: Callable[[], float], turns: int) -> Pair:
    """Two measurements in turns."""
    a, b = in_turns([ours, floor], turns)
    return Pair(median(a), median(b), ratio(a, b))


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
    return float(_python(timed).splitlines()[-1])


def process_seconds(program: str) -> float:
    """How long a new Python takes for some statements, from its start to its end."""
    begin = time.perf_counter()
    _python(program)
    return time.perf_counter() - begin


def _python(program: str, *arguments: str) -> str:
    # Users import from byte code; where writing it is switched off, every start would compile graflow anew.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=HERE, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout
