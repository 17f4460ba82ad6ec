"""What can travel to another process, and how graflow names what cannot before anything runs.

Run it with `python examples/06_advanced/custom_serialization.py`.
"""

import sqlite3

from graflow import LocalRunner, SerializationError, Task, Workflow, task


def create_counter(connection: sqlite3.Connection) -> Task[[], int]:
    @task(id="count_in_place")
    def count() -> int:
        return int(connection.execute("select 1 + 1").fetchone()[0])

    return count


def create_portable_counter(path: str) -> Task[[], int]:
    @task(id="count_anywhere")
    def count() -> int:
        with sqlite3.connect(path) as connection:
            return int(connection.execute("select 1 + 1").fetchone()[0])

    return count


here = Workflow.builder("here").add(create_counter(sqlite3.connect(":memory:"))).build()
anywhere = Workflow.builder("anywhere").add(create_portable_counter(":memory:")).build(portable=True)

if __name__ == "__main__":
    print(here.run(runner=LocalRunner(executor="inline")).value)
    try:
        here.check_portable()
    except SerializationError as error:
        print("closure variable 'connection'" in str(error))
    print(anywhere.run(runner=LocalRunner(executor="processes")).value)

# Output:
# 2
# True
# 2
