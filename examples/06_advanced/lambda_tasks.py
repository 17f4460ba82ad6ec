"""Tasks from lambdas, closures and factories.

Run it with `python examples/06_advanced/lambda_tasks.py`.
"""

from graflow import Task, Workflow, task


def create_multiplier(factor: int) -> Task[[int], int]:
    """Each call makes a function with a `factor` of its own."""

    @task(id=f"multiply_by_{factor}")
    def multiply(x: int) -> int:
        return x * factor

    return multiply


add_ten: Task[[int], int] = Task("add_ten", lambda x: x + 10)
double, tenfold = create_multiplier(2), create_multiplier(10)

pipeline = (
    Workflow.builder("lambdas").add(add_ten, 32).add(double, add_ten.out).add(tenfold, double.out).build(portable=True)
)

if __name__ == "__main__":
    run = pipeline.run()
    for record in run.tasks.values():
        print(record.id, "->", run[record.id])

# Output:
# add_ten -> 42
# multiply_by_2 -> 84
# multiply_by_10 -> 840
