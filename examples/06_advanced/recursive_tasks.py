"""Tasks made by recursion, methods as tasks, and a cache in a closure.

Run it with `python examples/06_advanced/recursive_tasks.py`.
"""

from collections.abc import Callable

from graflow import LocalRunner, Task, Workflow, task, workflow


def create_levels(depth: int, max_depth: int = 3) -> Task[[], int]:
    @task(id=f"level_{depth}")
    def level() -> int:
        return depth

    if depth < max_depth:
        level >> create_levels(depth + 1, max_depth)
    return level


class Scaled:
    """A class whose method is a task: configuration in the object, work in the method."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    @task
    def scale(self, value: int) -> int:
        return self.factor * value


def remembered(expensive: Callable[[int], int]) -> Task[[int], int]:
    cache: dict[int, int] = {}

    @task
    def look_up(n: int) -> int:
        if n not in cache:
            cache[n] = expensive(n)
        return cache[n]

    return look_up


with workflow("levels") as levels:
    create_levels(0)

calls: list[int] = []


def square(n: int) -> int:
    calls.append(n)
    return n * n


scaled = [Scaled(factor).scale(7).named(f"scale_{factor}") for factor in (1, 2, 3)]
methods = Workflow.builder("methods").add_all(scaled).build()
memo = Workflow.builder("memo").add(remembered(square), 9).build()

if __name__ == "__main__":
    inline = LocalRunner(executor="inline")
    print(" -> ".join(levels.execute(runner=inline).tasks))
    run = methods.run(runner=inline)
    print([run[one] for one in scaled])
    print(memo.run(runner=inline).value, memo.run(runner=inline).value, "computed", len(calls), "time")

# Output:
# level_0 -> level_1 -> level_2 -> level_3
# [7, 14, 21]
# 81 81 computed 1 time
