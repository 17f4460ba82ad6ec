"""A run whose process dies half-way goes on in another one: what was done is not done again.

Run it with `python examples/05_durable/resume.py`.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from graflow import LocalRunner, Workflow, current, task
from graflow.stores import SQLiteStore


@task
def download() -> list[int]:
    print("download", flush=True)
    return [3, 1, 2]


@task
def analyse(rows: list[int]) -> int:
    here = current()
    print("analyse, attempt", here.attempt, flush=True)
    if here.attempt == 1:
        cut_the_power(here.run)
    return sum(rows)


pipeline = Workflow.builder("nightly").add(download).then(analyse).build()


def cut_the_power(run: str) -> None:
    """Kill this process, once the journal has both tasks: a kill costs the last hundredths of a second."""
    store = SQLiteStore(sys.argv[1])
    while len(store.stored(run).attempts) < 2:
        time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        LocalRunner(store=sys.argv[1]).run(pipeline, run_id="monday")
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "runs.db"
            died = subprocess.run([sys.executable, __file__, str(path)], check=False)
            print("killed" if died.returncode == -signal.SIGKILL else "not killed")

            run = LocalRunner(store=path).resume("monday", pipeline)
            for record in run.tasks.values():
                print(f"{record.id}: {record.source}, {[str(attempt.state) for attempt in record.history]}")
            print(run.value)

# Output:
# download
# analyse, attempt 1
# killed
# analyse, attempt 2
# download: resumed, ['succeeded']
# analyse: run, ['cancelled', 'succeeded']
# 6
