"""Kill a run of two thousand tasks at random instants, resume it, and count what was lost: nothing may be.

    python tests/chaos/kill_and_resume.py [--kills 200] [--tasks 2000] [--seed 1] [--naps]

A program runs the workflow in threads and processes, with a store. It is killed (SIGKILL, the whole of it) some
moments after it began, again and again, until the run ends; then the next run begins, until there were enough kills.
After every kill the store must pass ``PRAGMA integrity_check``. After every run each task must have exactly one
committed result, the right one, and no task may have begun before its upstreams were committed.

Every body writes a line to a diary when it ends. So it is known after each kill how old the oldest work is that was
done and not kept: the last line of the report says so.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from graflow import LocalRunner, RunState, Workflow, WorkflowBuilder, task
from graflow.engine import codec
from graflow.stores import SQLiteStore

RUN = "chaos"
LAYER = 50
READS = 3


def note(diary: str, line: str) -> None:
    """Append a line, from whatever process."""
    fd = os.open(diary, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(fd, f"{line}\n".encode())
    finally:
        os.close(fd)


@task
def work(diary: str, naps: bool, i: int, *before: int) -> int:
    """A millisecond of arithmetic or of waiting, and a line in the diary."""
    if naps:
        time.sleep(0.001)
    end = time.monotonic() + (0.0 if naps else 0.001)
    while time.monotonic() < end:
        pass
    value = result_of(i, *before)
    note(diary, f"{i} {time.time()}")
    return value


def result_of(i: int, *before: int) -> int:
    """What task ``i`` gives."""
    return (31 * i + sum(before)) % 1_000_003


def upstreams(i: int) -> list[int]:
    """Whose results task ``i`` reads: three of the layer before."""
    layer = i // LAYER
    return [] if not layer else [(layer - 1) * LAYER + (7 * i + k) % LAYER for k in range(READS)]


def make_workflow(tasks: int, diary: str, naps: bool) -> Workflow[Any, Any]:
    """Layers of tasks; every fifth task runs in a process."""
    made: list[Any] = []
    for i in range(tasks):
        executor = "processes" if i % 5 == 0 else "threads"
        bound = work(diary, naps, i, *(made[u].out for u in upstreams(i)))
        made.append(bound.named(f"t{i}").with_policy(executor=executor))
    builder: WorkflowBuilder[Any, Any] = Workflow.builder("chaos").add_all(made)
    return builder.build()


def expected(tasks: int) -> list[int]:
    """The right results."""
    values: list[int] = []
    for i in range(tasks):
        values.append(result_of(i, *(values[u] for u in upstreams(i))))
    return values


def run(folder: str, tasks: int, naps: bool) -> None:
    """The program that is killed."""
    workflow = make_workflow(tasks, f"{folder}/diary", naps)
    workflow.compile()
    print("ready", flush=True)
    ended = LocalRunner("threads", 4, store=f"{folder}/runs.db").run(workflow, run_id=RUN)
    assert ended.state is RunState.SUCCEEDED


def check_store(path: Path) -> None:
    """Does the file pass SQLite's own check?"""
    with sqlite3.connect(path) as connection:
        (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    assert answer == "ok", answer


def oldest_lost(folder: Path, began_at: float, killed_at: float) -> float:
    """Of the work that was done and not kept: how long before the kill the first of it was done, in seconds.

    What was done before the program began was done by a process that outlived the program before it, for a moment.
    """
    diary = folder / "diary"
    if not diary.exists():
        return 0.0
    done: dict[int, float] = {}
    for line in diary.read_text().splitlines():
        i, at = line.split()
        done.setdefault(int(i), float(at))
    store = SQLiteStore(folder / "runs.db")
    try:
        if store.find(RUN) is None:
            return 0.0
        stored = store.stored(RUN)
    finally:
        store.close()
    kept = {int(stored.ids[row.task][1:]) for row in stored.attempts if row.state == "succeeded"}
    # Of several times only the first counts, so a task that was lost once must not count again.
    lost = [killed_at - at for i, at in done.items() if i not in kept and at >= began_at]
    diary.write_text("".join(f"{i} {at}\n" for i, at in done.items() if i in kept))
    return max(lost, default=0.0)


def check_run(folder: Path, tasks: int) -> int:
    """Has every task exactly one committed result, the right one? How many attempts there were."""
    values = expected(tasks)
    store = SQLiteStore(folder / "runs.db")
    stored = store.stored(RUN)
    assert stored.row.state == "succeeded", stored.row
    committed = [row.task for row in stored.attempts if row.state == "succeeded"]
    assert sorted(committed) == list(range(tasks)), "a task has no committed result, or several"
    assert [row for row in stored.attempts if row.state == "running"] == []
    ended = {}
    for row in stored.attempts:
        i = int(stored.ids[row.task][1:])
        if row.state == "succeeded":
            payload = store.result(RUN, row.task)
            assert payload is not None
            assert codec.loads(payload) == values[i], f"task {i} has a wrong result"
            ended[i] = (row.started or 0.0) + (row.seconds or 0.0)
    for row in stored.attempts:
        i = int(stored.ids[row.task][1:])
        if row.state == "succeeded":
            for u in upstreams(i):
                assert ended[u] <= (row.started or 0.0) + 0.01, f"task {i} began before {u} had ended"
    store.close()
    return len(stored.attempts)


def kill_once(folder: Path, tasks: int, naps: bool, wait: float) -> tuple[float, float] | None:
    """Run the program and kill it so many seconds after it is ready: when it was, and when; None if it ended before."""
    command = [sys.executable, __file__, "--run", str(folder), "--tasks", str(tasks), *(["--naps"] if naps else [])]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    began = time.time()
    try:
        code = program.wait(wait)
    except subprocess.TimeoutExpired:
        at = time.time()
        program.send_signal(signal.SIGKILL)
        program.wait()
        return began, at
    finally:
        program.stdout.close()
    assert code == 0, f"the program ended with {code}"
    return None


def main() -> None:
    """Kill, resume, check, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=float, default=1.5, help="seconds from the start to the latest kill")
    parser.add_argument("--naps", action="store_true", help="bodies that wait, and let other threads run meanwhile")
    parser.add_argument("--run", metavar="FOLDER", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        run(given.run, given.tasks, given.naps)
        return
    chance = random.Random(given.seed)
    kills, runs, attempts, lost = 0, 0, 0, [0.0]
    began = time.monotonic()
    while kills < given.kills:
        with tempfile.TemporaryDirectory(prefix="graflow-chaos-") as name:
            folder = Path(name)
            while (at := kill_once(folder, given.tasks, given.naps, chance.uniform(0.0, given.longest))) is not None:
                kills += 1
                if (folder / "runs.db").exists():
                    check_store(folder / "runs.db")
                    lost.append(oldest_lost(folder, *at))
            check_store(folder / "runs.db")
            attempts += check_run(folder, given.tasks)
            runs += 1
            print(f"run {runs}: {kills} kills so far, every task once and right", flush=True)
    lost.sort()
    print(
        f"{kills} kills, {runs} runs of {given.tasks} tasks, {attempts - runs * given.tasks} attempts lost and made "
        f"again, 0 lost, 0 twice, 0 wrong; work lost at a kill: median {1000 * lost[len(lost) // 2]:.0f} ms, "
        f"99 % {1000 * lost[int(0.99 * (len(lost) - 1))]:.0f} ms, most {1000 * lost[-1]:.0f} ms; "
        f"{time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
