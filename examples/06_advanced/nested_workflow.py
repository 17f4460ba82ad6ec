"""Workflows inside workflows: blocks with scopes of their own, and a workflow used as a task, twice.

Run it with `python examples/06_advanced/nested_workflow.py`.
"""

from pydantic import BaseModel

from graflow import Workflow, inputs, task, workflow

with workflow("data_processing") as outer:

    @task
    def load() -> list[int]:
        return [3, -1, 2]

    with workflow("validation") as validation:

        @task
        def check_values() -> str:
            return "ok"

    with workflow("transformation") as transformation:

        @task
        def normalize() -> str:
            return "done"

    load >> validation >> transformation


class Limits(BaseModel, frozen=True):
    low: int
    high: int


@task
def span(low: int, high: int) -> list[int]:
    return list(range(low, high))


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
def difference(a: int, b: int) -> int:
    return a - b


limits = inputs(Limits)
range_sum = Workflow.builder("range_sum", inputs=Limits).add(span, limits.low, limits.high).add(total, span.out).build()

small = range_sum.as_task("small")
large = range_sum.as_task("large")
compare = (
    Workflow.builder("compare")
    .add(small, Limits(low=0, high=10))
    .add(large, Limits(low=0, high=100))
    .add(difference, large.out, small.out)
    .build()
)

if __name__ == "__main__":
    print(*outer.execute().tasks)
    run = compare.run()
    print(*sorted(run.tasks))
    print(run.value)

# Output:
# load validation/check_values transformation/normalize
# difference large large/span large/total small small/span small/total
# 4905
