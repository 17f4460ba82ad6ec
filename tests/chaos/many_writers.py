"""Many processes write runs into one store at once: no run may be lost, and nobody may see an error.

    python tests/chaos/many_writers.py [--seconds 60] [--writers 24] [--killed 2]

Each writer begins a run, writes its tasks in a few batches, ends it, looks for it, and begins the next.
Some writers are killed now and then and replaced: what they had written must be there, whole, and free to be claimed.
Prints one line of figures; the exit code is 0 only if all promises were kept.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from graflow.stores import AttemptRow, LogRow, NewRun, SQLiteStore

TASKS = 40
BATCH = 10
IDS = tuple(f"task-{i}" for i in range(TASKS))
STATES = {"succeeded", "interrupted"}
READY = "ready"


def write_runs(path: str, writer: int, parent: Any) -> None:
    """What one process does until the time it is told; then it reports its runs, its longest call and any trouble."""
    runs = calls = 0
    longest = 0.0
    trouble = ""
    parent.send(READY)
    until = parent.recv()
    try:
        with contextlib.closing(SQLiteStore(path)) as store:
            while time.time() < until:
                id = f"{writer}-{os.getpid()}-{runs}"
                marks = [time.perf_counter()]
                new = NewRun(id, "chaos", time.time(), "f", "i", b"in", b"code" * 500, IDS, IDS, "{}", None)
                claim = store.create(new)
                marks.append(time.perf_counter())
                for start in range(0, TASKS, BATCH):
                    rows = [
                        AttemptRow(i, 1, "succeeded", time.time(), 0.1, "w", b"%d" % i, None, None, None)
                        for i in range(start, start + BATCH)
                    ]
                    store.write(claim, rows, [LogRow(start, 1, time.time(), "INFO", "chaos", id)])
                    marks.append(time.perf_counter())
                store.finish(claim, "succeeded", time.time(), None)
                marks.append(time.perf_counter())
                found = store.find(id)
                assert found is not None, f"run {id} is lost"
                assert (found.state, found.succeeded) == ("succeeded", TASKS), found
                calls += len(marks) - 1
                longest = max(longest, *(after - before for before, after in itertools.pairwise(marks)))
                runs += 1
    except BaseException:
        trouble = traceback.format_exc()
    parent.send((runs, calls, longest, trouble))


def check(path: str, at_least: int) -> list[str]:
    """Everything that is not as it must be."""
    wrong = []
    with contextlib.closing(sqlite3.connect(path)) as connection:
        if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            wrong.append("the database is damaged")
    with contextlib.closing(SQLiteStore(path, must_exist=True)) as store:
        listed = store.runs()
        ended = [run for run in listed if run.state == "succeeded"]
        if len(ended) < at_least:
            wrong.append(f"{at_least} runs were ended, and {len(ended)} are there")
        wrong += [f"{run.id} is {run.state}" for run in listed if run.state not in STATES]
        left = [run for run in listed if run.state != "succeeded"]
        for run in [*random.Random(0).sample(ended, min(len(ended), 200)), *left]:
            stored = store.stored(run.id)
            whole = TASKS if run.state == "succeeded" else len(stored.attempts) // BATCH * BATCH
            if len(stored.attempts) != whole or run.succeeded != whole:
                wrong.append(f"{run.id} has {len(stored.attempts)} tasks and counts {run.succeeded}, not {whole}")
            wrong += [f"{run.id}: result {i}" for i in range(whole) if store.result(run.id, i) != b"%d" % i]
        for run in left:
            store.finish(store.claim(run.id), "cancelled", time.time(), None)
    return wrong


def main() -> int:
    """Run the writers and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--writers", type=int, default=24)
    parser.add_argument("--killed", type=float, default=2, help="writers killed each second")
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / ".graflow" / "runs.db")

        def start(writer: int) -> tuple[Any, Any]:
            ours, theirs = context.Pipe()
            process = context.Process(target=write_runs, args=(path, writer, theirs))
            process.start()
            theirs.close()
            return process, ours

        writers = [start(writer) for writer in range(given.writers)]
        for _, pipe in writers:  # on a busy machine the last one starts long after the first
            pipe.recv()
        began = time.perf_counter()
        until = time.time() + given.seconds
        for _, pipe in writers:
            pipe.send(until)
        killed = 0
        chance = random.Random(1)
        while given.killed and time.time() < until - 1:
            time.sleep(1 / given.killed)
            victim = chance.randrange(len(writers))
            process, _ = writers[victim]
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
                killed += 1
            process.join()
            writers[victim] = start(victim)
            writers[victim][1].send(until)
        runs = calls = 0
        longest, troubles = 0.0, []
        for process, pipe in writers:
            try:
                while (told := pipe.recv()) == READY:
                    pass  # a writer that took the place of another
                ended, called, slowest, trouble = told
            except EOFError:
                ended, called, slowest, trouble = 0, 0, 0.0, f"writer {process.pid} died unasked"
            process.join()
            runs, calls, longest = runs + ended, calls + called, max(longest, slowest)
            troubles += [trouble] if trouble else []
        seconds = time.perf_counter() - began
        wrong = check(path, runs) if runs else ["nobody wrote anything"]
        size = Path(path).stat().st_size / 1e6
    print(
        f"{given.writers} writers, {seconds:.0f} s, {killed} killed: {runs} runs, {calls / seconds:.0f} writes/s, "
        f"longest {longest * 1e3:.0f} ms, {size:.0f} MB, {len(troubles)} errors, {len(wrong)} wrong"
    )
    for text in [*troubles[:3], *wrong[:10]]:
        print(text, file=sys.stderr)
    return bool(troubles or wrong)


if __name__ == "__main__":
    sys.exit(main())
