"""What a failed run tells: independent work goes on, and the error names the task and carries its own exception.

Run it with `python examples/03_running/failures.py`.
"""

from graflow import RunFailedError, Workflow, task


@task
def read() -> list[str]:
    return ["1", "2", "x"]


@task
def parse(lines: list[str]) -> list[int]:
    return [int(line) for line in lines]


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
def length(lines: list[str]) -> int:
    return len(lines)


pipeline = (
    Workflow.builder("pipeline")
    .add(read)
    .add(parse, read.out)
    .add(total, parse.out)
    .add(length, read.out)
    .build(returns=total)
)

if __name__ == "__main__":
    try:
        pipeline.run()
    except RunFailedError as error:
        print(type(error.__cause__).__name__, "in", *error.failures)

    run = pipeline.run(check=False)
    for record in run.tasks.values():
        print(f"{record.id}: {record.state}", f"({record.reason})" if record.reason else "")
    print("lines:", run[length])

# Output:
# ValueError in parse
# read: succeeded
# length: succeeded
# parse: failed
# total: skipped (task 'parse' failed)
# lines: 3
