"""A pipeline that a YAML file puts together: flags switch tasks on and off, a matrix makes several of one.

Run it with `python examples/08_configuration/feature_flags.py`.
"""

from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from graflow import Workflow, task

FILE = Path(__file__).with_suffix(".yaml")


class Sales(BaseModel, frozen=True):
    text: str
    publish: bool = False


class Candidate(NamedTuple):
    error: float
    window: int
    weighted: bool


def average(values: list[float], weighted: bool) -> float:
    weights = range(1, len(values) + 1) if weighted else [1] * len(values)
    return sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(weights)


@task
def load(text: str) -> list[float]:
    return [float(word) for word in text.split()]


@task
def evaluate(sales: list[float], window: int, weighted: bool) -> Candidate:
    days = range(window, len(sales))
    error = sum(abs(average(sales[day - window : day], weighted) - sales[day]) for day in days) / len(days)
    return Candidate(round(error, 3), window, weighted)


@task
def choose(candidates: list[Candidate]) -> Candidate:
    return min(candidates)


@task
def audit(sales: list[float]) -> None:
    print("auditing", len(sales), "days")


@task
def report(sales: list[float], best: Candidate) -> str:
    forecast = average(sales[-best.window :], best.weighted)
    return f"tomorrow {forecast:.2f}, give or take {best.error} (window {best.window}, weighted {best.weighted})"


@task
def publish(text: str) -> None:
    print("published:", text)


forecast = Workflow.from_config(FILE, [Sales, load, evaluate, choose, audit, report, publish])

if __name__ == "__main__":
    print(*forecast.tasks)
    for wanted in (False, True):
        run = forecast.run(Sales(text="3 5 4 6 5 7 6 8", publish=wanted))
        print(run.value)
        record = run.tasks["publish"]
        print("publish", record.state, f"because {record.reason}" if record.reason else "")

# Output:
# load evaluate-2-false evaluate-2-true evaluate-3-false evaluate-3-true evaluate-5-false choose report publish
# tomorrow 7.00, give or take 0.75 (window 2, weighted False)
# publish skipped because `inputs(Sales).publish` was false
# published: tomorrow 7.00, give or take 0.75 (window 2, weighted False)
# tomorrow 7.00, give or take 0.75 (window 2, weighted False)
# publish succeeded
