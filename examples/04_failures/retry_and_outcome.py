"""A retry for what passes, an outcome for what does not: the report is written either way.

Run it with `python examples/04_failures/retry_and_outcome.py`.
"""

from graflow import Exponential, Failed, Ok, Outcome, Retry, Skipped, Workflow, current, task


@task(retry=Retry(3, Exponential(initial=0.01), on=ConnectionError))
def fetch() -> list[str]:
    if current().attempt < 3:
        raise ConnectionError("the server is busy")
    return ["1", "2", "x"]


@task
def parse(lines: list[str]) -> list[int]:
    return [int(line) for line in lines]


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
def report(total: Outcome[int]) -> str:
    match total:
        case Ok(value=value):
            return f"the total is {value}"
        case Failed(error=error):
            return f"adding up failed: {error}"
        case Skipped(reason=reason):
            return f"there is no total, because {reason}"


pipeline = (
    Workflow.builder("reported")
    .add(fetch)
    .add(parse, fetch.out)
    .add(total, parse.out)
    .add(report, total.outcome)
    .build(returns=report)
)

if __name__ == "__main__":
    run = pipeline.run()
    for record in run.tasks.values():
        print(f"{record.id}: {record.state}, attempts: {record.attempts}")
    print(run.state, "-", run.value)

# Output:
# fetch: succeeded, attempts: 3
# parse: failed, attempts: 1
# total: skipped, attempts: 0
# report: succeeded, attempts: 1
# succeeded - there is no total, because task 'parse' failed
