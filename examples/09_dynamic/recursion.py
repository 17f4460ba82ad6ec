"""Work whose length nobody knows before: a task that goes on with another one, which may be itself.

`return continue_with(other(args))` means: what `other` gives is what this task gives.
Each turn is an attempt of its own, so nothing piles up on the stack, and `max_continuations` ends what does not end.

Run it with `python examples/09_dynamic/recursion.py`.
"""

import math
from typing import NamedTuple

from pydantic import BaseModel

from graflow import ContinuationLimitError, Workflow, continue_with, inputs, task

# ── pages, until there is no next one ───────────────────────────────────────────────────────────────────────────────


class Page(NamedTuple):
    rows: tuple[str, ...]
    next: str | None


#: What a server would answer.
PAGES = {"/rows": Page(("a", "b"), "/rows?from=b"), "/rows?from=b": Page(("c", "d"), "/rows?from=d")}
PAGES["/rows?from=d"] = Page(("e",), None)


@task(retry=3, timeout=30)  # both count for each page
def fetch(url: str, before: tuple[str, ...] = ()) -> tuple[str, ...]:
    page = PAGES[url]
    rows = before + page.rows
    return rows if page.next is None else continue_with(fetch(page.next, rows))


# ── a calculation, until it changes no more ─────────────────────────────────────────────────────────────────────────

#: Which page links to which.
LINKS = {"home": ["docs", "blog"], "docs": ["home"], "blog": ["docs", "home"], "old": ["docs"]}

Ranks = dict[str, float]


def spread(ranks: Ranks) -> Ranks:
    """One turn of PageRank: each page gives its rank to those that it links to."""
    new = dict.fromkeys(LINKS, 0.15 / len(LINKS))
    for page, targets in LINKS.items():
        for target in targets:
            new[target] += 0.85 * ranks[page] / len(targets)
    return new


@task(max_continuations=100)
def rank(ranks: Ranks, turns: int = 1) -> tuple[Ranks, int]:
    new = spread(ranks)
    if all(math.isclose(new[page], ranks[page], abs_tol=1e-6) for page in LINKS):
        return new, turns
    return continue_with(rank(new, turns + 1))


# ── a whole workflow, again and again ───────────────────────────────────────────────────────────────────────────────


class Span(BaseModel, frozen=True):
    """Somewhere from `low` to `high` the function below changes its sign."""

    low: float
    high: float


def cubic(x: float) -> float:
    return x**3 - x - 2


@task
def middle(low: float, high: float) -> float:
    return (low + high) / 2


@task
def halve(low: float, middle: float, high: float) -> Span:
    return Span(low=low, high=middle) if cubic(low) * cubic(middle) <= 0 else Span(low=middle, high=high)


@task
def narrow(span: Span) -> float:
    if span.high - span.low < 1e-6:
        return span.low
    return continue_with(bisect.as_task("bisect")(span))


src = inputs(Span)
bisect = (
    Workflow.builder("bisect", inputs=Span)
    .add(middle, src.low, src.high)
    .add(halve, src.low, middle.out, src.high)
    .then(narrow)
    .build()
)


@task(max_continuations=10)
def endless(n: int) -> int:
    return continue_with(endless(n + 1))


if __name__ == "__main__":
    run = Workflow.of("pages", returns=fetch("/rows")).run()
    print("".join(run.value), "in", run.tasks["fetch"].attempts, "pages")

    even = dict.fromkeys(LINKS, 1 / len(LINKS))
    ranks, turns = Workflow.of("ranks", returns=rank(even)).run().value
    print({page: round(ranks[page], 3) for page in ranks}, "after", turns, "turns")

    root = bisect.run(Span(low=1, high=2)).value
    print(f"{root:.4f} is a root: {abs(cubic(root)) < 1e-4}")

    error = Workflow.of("endless", returns=endless(0)).run(check=False).tasks["endless"].error
    assert isinstance(error, ContinuationLimitError)
    print(str(error).partition(";")[0])

# Output:
# abcde in 3 pages
# {'home': 0.414, 'docs': 0.336, 'blog': 0.213, 'old': 0.037} after 20 turns
# 1.5214 is a root: True
# task 'endless' went on with another task more than 10 times, the last with 'endless'
