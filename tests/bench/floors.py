"""The least that Python needs for the same work, written by hand without any checks, records or errors.

Each function does the work once. What a floor may know beforehand, such as who reads whom, it gets as an argument:
preparing that is not measured.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from typing import Any

Functions = Sequence[Callable[..., Any]]
Reads = Sequence[Sequence[int]]


def ordered(graph: dict[str, tuple[str, ...]]) -> list[str]:
    """Define and build: graphlib's order, with its cycle check, of a graph that is at hand."""
    return list(TopologicalSorter(graph).static_order())


def tuples(upstream: Reads) -> list[tuple[str, tuple[int, ...]]]:
    """Memory: an id and the indexes of the upstreams."""
    return [(f"t{i}", (*reads,)) for i, reads in enumerate(upstream)]


def counted(upstream: Reads, downstream: Reads, functions: Functions) -> list[Any]:
    """Run, inline: call what is ready, and count down what waits for it."""
    waiting = [len(reads) for reads in upstream]
    ready = deque(i for i, left in enumerate(waiting) if not left)
    results: list[Any] = [None] * len(waiting)
    while ready:
        i = ready.popleft()
        results[i] = functions[i](*[results[u] for u in upstream[i]])
        for d in downstream[i]:
            waiting[d] -= 1
            if not waiting[d]:
                ready.append(d)
    return results


def pooled(upstream: Reads, functions: Functions, workers: int) -> list[Any]:
    """Run, threads: the loop that the documentation of graphlib suggests, around a thread pool."""
    sorter = TopologicalSorter(dict(enumerate(upstream)))
    sorter.prepare()
    results: list[Any] = [None] * len(upstream)
    index: dict[Any, int] = {}
    with ThreadPoolExecutor(workers) as pool:
        while sorter.is_active():
            for i in sorter.get_ready():
                index[pool.submit(functions[i], *[results[u] for u in upstream[i]])] = i
            ended, _ = wait(index, return_when=FIRST_COMPLETED)
            for future in ended:
                i = index.pop(future)
                results[i] = future.result()
                sorter.done(i)
    return results


def awaited(upstream: Reads, downstream: Reads, functions: Functions) -> list[Any]:
    """Run, async: one asyncio task for each task, created when its last upstream has ended."""
    waiting = [len(reads) for reads in upstream]
    results: list[Any] = [None] * len(waiting)

    async def everything() -> None:
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        alive: dict[int, asyncio.Task[None]] = {}  # the loop itself holds tasks weakly
        left = len(waiting)

        async def attempt(i: int) -> None:
            nonlocal left
            results[i] = await functions[i](*[results[u] for u in upstream[i]])
            for d in downstream[i]:
                waiting[d] -= 1
                if not waiting[d]:
                    begin(d)
            del alive[i]
            left -= 1
            if not left:
                ended.set_result(None)

        def begin(i: int) -> None:
            alive[i] = loop.create_task(attempt(i))

        for i in [i for i, count in enumerate(waiting) if not count]:
            begin(i)
        await ended

    asyncio.run(everything())
    return results


def process_pool(function: Callable[[int], Any], arguments: Sequence[int], workers: int) -> list[Any]:
    """Run, processes: independent calls in a process pool that is made for them."""
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(function, arguments))


def sleepers(tasks: int, seconds: float, workers: int) -> None:
    """Run, threads that wait: each of some bare threads sleeps its share of the naps."""

    def sleep(naps: int) -> None:
        for _ in range(naps):
            time.sleep(seconds)

    shares = [tasks // workers + (k < tasks % workers) for k in range(workers)]
    threads = [threading.Thread(target=sleep, args=(naps,)) for naps in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
