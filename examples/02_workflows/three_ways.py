"""The builder, an expression and a block say the same thing, and give equal workflows.

Run it with `python examples/02_workflows/three_ways.py`.
"""

from graflow import Workflow, task, workflow


@task
def numbers(n: int) -> list[int]:
    return list(range(1, n + 1))


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
def mean(total: int, values: list[int]) -> float:
    return total / len(values)


built = (
    Workflow.builder("statistics")
    .add(numbers, 10)
    .add(total, values=numbers.out)
    .add(mean, total=total.out, values=numbers.out)
    .build()
)

source = numbers(10)
expressed = Workflow.of("statistics", source, (source >> total | source) >> mean, returns=mean)

with workflow("statistics") as block:
    first = numbers(10)
    (first >> total | first) >> mean

if __name__ == "__main__":
    print(built == expressed == block.workflow)
    print(built.run().value)

# Output:
# True
# 5.5
