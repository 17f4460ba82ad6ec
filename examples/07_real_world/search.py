"""Hyper-parameter search on handwritten digits: candidates side by side, until one is good enough.

Each candidate is cross-validated on the 1,797 digits that come with scikit-learn.
The first that reaches the goal stops the run: its score is the run's value, and those that wait are not tried.
If none reaches it, the run ends with the best of all.

Run it with `python examples/07_real_world/search.py --goal 0.988`; it needs `pip install scikit-learn`.
Candidates and folds come from the seed alone, so with `--workers 1` each run is the same as the one before.
With more workers the run is shorter, and which of two good candidates comes first depends on who was faster.
"""

import argparse
from random import Random
from typing import Any, NamedTuple

from pydantic import BaseModel, PositiveInt

from graflow import Channel, LocalRunner, Workflow, inputs, stop_run, task


class Search(BaseModel, frozen=True):
    """What to search."""

    candidates: PositiveInt = 16
    goal: float = 0.985
    seed: int = 2


class Candidate(NamedTuple):
    """Parameters of a support vector machine."""

    c: float
    gamma: float


class Score(NamedTuple):
    """How well a candidate does."""

    accuracy: float
    candidate: Candidate

    def __str__(self) -> str:
        return f"accuracy {self.accuracy:.4f} with C={self.candidate.c:.3g}, gamma={self.candidate.gamma:.3g}"


#: The best accuracy so far, for those who watch; no result depends on it.
best_so_far = Channel("best_so_far", float, default=0.0)


@task
def draw(count: int, seed: int) -> list[Candidate]:
    """Candidates at random: each parameter over several powers of ten."""
    random = Random(seed)
    return [Candidate(10 ** random.uniform(-1, 2), 10 ** random.uniform(-5, -1.5)) for _ in range(count)]


def accuracy(candidate: Candidate, seed: int) -> float:
    """The mean accuracy over three folds."""
    # Here, so that the workflow can be looked at without scikit-learn, which has no types of its own.
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]
    from sklearn.model_selection import StratifiedKFold, cross_val_score  # type: ignore[import-untyped]
    from sklearn.svm import SVC  # type: ignore[import-untyped]

    images, digits = load_digits(return_X_y=True)
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    gamma: Any = candidate.gamma  # by its default, `SVC` looks to a type checker as if it took only a str
    model = SVC(C=candidate.c, gamma=gamma)
    return float(cross_val_score(model, images, digits, cv=folds).mean())


@task
def evaluate(candidate: Candidate, goal: float, seed: int) -> Score:
    score = Score(accuracy(candidate, seed), candidate)
    best_so_far.update(lambda best: max(best, score.accuracy))
    return stop_run(score) if score.accuracy >= goal else score


@task
def choose(scores: list[Score]) -> Score:
    return max(scores)


src = inputs(Search)
evaluated = evaluate.map(draw.each, src.goal, src.seed)

search = (
    Workflow.builder("search", inputs=Search)
    .add(draw, src.candidates, src.seed)
    .add(evaluated)
    .add(choose, evaluated.out)
    .build(returns=choose)
)

if __name__ == "__main__":
    defaults = Search()
    parser = argparse.ArgumentParser(description="Search good parameters for a support vector machine.")
    parser.add_argument("--candidates", type=int, default=defaults.candidates, help="how many to try at most")
    parser.add_argument("--goal", type=float, default=defaults.goal, help="the accuracy at which the search stops")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--workers", type=int, default=2, help="how many candidates to try at once")
    given = parser.parse_args()

    wanted = Search(candidates=given.candidates, goal=given.goal, seed=given.seed)
    run = search.run(wanted, runner=LocalRunner("threads", max_workers=given.workers))
    tried = sum(one.state == "succeeded" for one in run.items(evaluated))
    print(run.value)
    print(f"tried {tried} of {len(run.items(evaluated))} candidates, best so far {run.channel(best_so_far):.4f}")
    print("the goal is reached" if run.value.accuracy >= given.goal else "the goal is not reached")
