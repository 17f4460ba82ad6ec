"""A run in the background: watch its events, wait for it, or await it.

Run it with `python examples/03_running/watching.py`.
"""

from graflow import LocalRunner, Workflow, task
from graflow.engine.events import TaskSucceeded


@task
def load() -> list[int]:
    return [3, 1, 2]


@task
def order(values: list[int]) -> list[int]:
    return sorted(values)


@task
def largest(values: list[int]) -> int:
    return values[-1]


pipeline = Workflow.builder("watched").add(load).then(order).then(largest).build()

if __name__ == "__main__":
    handle = LocalRunner().start(pipeline)
    for event in handle.events():
        if isinstance(event, TaskSucceeded):
            print("done:", event.task)
    print(handle.wait().value)

# Output:
# done: load
# done: order
# done: largest
# 3
