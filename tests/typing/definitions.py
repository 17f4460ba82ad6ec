"""Tasks that `accepted.py` and `rejected.py` share."""

from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from graflow import Channel, Outcome, Task, Workflow, inputs, signal, task


class Row(BaseModel, frozen=True):
    name: str
    price: float = 1.0


class SalesInput(BaseModel, frozen=True):
    path: Path
    top: int = 10


class OtherInput(BaseModel, frozen=True):
    name: str


class Stats(NamedTuple):
    size: int
    names: list[str]


@task
def extract(path: Path) -> list[Row]:
    return [Row(name=path.name, price=2.0), Row(name="b")]


@task(id="clean-rows", timeout=None, queue="io")
def clean(rows: list[Row], *, drop_empty: bool = True) -> list[Row]:
    return [row for row in rows if row.name or not drop_empty]


@task
def total(rows: list[Row]) -> int:
    return len(rows)


@task
def mean(total: int, rows: list[Row]) -> float:
    return sum(row.price for row in rows) / total


@task
def shout(name: str) -> str:
    return name.upper()


@task
def ping() -> None:
    return None


@task
def sources() -> Path:
    return Path("rows.csv")


@task
def summary() -> Stats:
    return Stats(1, ["a"])


@task
async def fetch(url: str) -> bytes:
    return url.encode()


@task(id="fetch-again")
async def fetch_again(url: str, retries: int = 0) -> bytes:
    return url.encode() * (retries + 1)


class Decision(BaseModel, frozen=True):
    approved: bool


@task
def score(row: Row, weight: float = 1.0) -> float:
    return row.price * weight


@task
def label(row: Row, name: str) -> str:
    return f"{row.name} of {name}"


@task
def names() -> list[str]:
    return ["x", "y"]


@task
def is_big(total: int) -> bool:
    return total > 1


@task
def weigh(total: Outcome[int], name: Outcome[str]) -> str:
    return f"{total} and {name}"


approve = signal("approve", Decision)
progress = Channel("progress", int, default=0)


class Scaled:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    @task
    def execute(self, x: int) -> str:
        return str(self.factor * x)


square: Task[[int], int] = Task("square", lambda x: x * x)

src = inputs(SalesInput)
sales = (
    Workflow.builder("sales", inputs=SalesInput)
    .add(extract, path=src.path)
    .add(clean, rows=extract.out, drop_empty=False)
    .add(total, rows=clean.out)
    .add(mean, total=total.out, rows=clean.out)
    .build(returns=total)
)
plain = Workflow.builder("plain").add(extract, Path("a")).then(clean, drop_empty=True).then(total).build()
