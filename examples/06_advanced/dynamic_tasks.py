"""Tasks made in a loop: from data, from configuration, from feature flags.

The loop variable is bound by calling the task, `process(i)`.
A function that only *reads* the loop variable would see its last value in every task; such a workflow is refused.

Run it with `python examples/06_advanced/dynamic_tasks.py`.
"""

from graflow import LateBindingError, Task, task, workflow

DATA = list(range(1000))
BATCH = 100


@task
def process(i: int) -> int:
    return sum(DATA[i * BATCH : (i + 1) * BATCH])


def step(name: str) -> Task[[], str]:
    @task(id=name)
    def run_step() -> str:
        return name

    return run_step


with workflow("batches") as batches:
    parts = [process(i).named(f"batch_{i}") for i in range(len(DATA) // BATCH)]

    @task
    def aggregate() -> int:
        return sum(batches.get_result(part) for part in parts)

    for part in parts:
        part >> aggregate

FLAGS = {"validate": True, "enrich": False, "publish": True}

with workflow("features") as features:
    last = step("extract")
    for name, enabled in FLAGS.items():
        if enabled:
            last = last >> step(name)

if __name__ == "__main__":
    print("total:", batches.execute().value, "=", sum(DATA))
    print(" -> ".join(features.execute().tasks))

    try:
        with workflow("mistake"):
            for i in range(3):

                @task(id=f"batch_{i}")
                def late() -> int:
                    return i * 100  # noqa: B023  # the mistake this example is about
    except LateBindingError as error:
        print("refused:", str(error).split(":")[0])

# Output:
# total: 499500 = 499500
# extract -> validate -> publish
# refused: tasks 'batch_0', 'batch_1' and 'batch_2' share the loop variable 'i'
