"""The search example: the same seed gives the same candidates, and a good one ends the search."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from graflow import LocalRunner, Run

EXAMPLE = Path(__file__).parents[2] / "examples" / "07_real_world"
sys.path.insert(0, str(EXAMPLE))

import search  # noqa: E402
from search import Score, Search  # noqa: E402


def run(wanted: Search, workers: int = 1) -> Run[Score]:
    return search.search.run(wanted, runner=LocalRunner("threads", max_workers=workers))


class TestWithoutTraining:
    """What does not depend on the model: each candidate does as well as its place in the row says."""

    @pytest.fixture(autouse=True)
    def _accuracy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        candidates = search.draw.fn(8, 1)
        monkeypatch.setattr(search, "accuracy", lambda candidate, seed: (candidates.index(candidate) + 1) / 10)

    def test_candidates_come_from_the_seed(self) -> None:
        assert search.draw.fn(8, 1) == search.draw.fn(8, 1) != search.draw.fn(8, 2)

    def test_the_first_good_one_ends_the_search(self) -> None:
        done = run(Search(candidates=8, goal=0.3, seed=1))
        assert done.state == "succeeded"
        assert done.value == Score(0.3, search.draw.fn(8, 1)[2])
        assert [item.state for item in done.items(search.evaluated)] == ["succeeded"] * 3 + ["cancelled"] * 5
        assert done.channel(search.best_so_far) == 0.3
        assert done.tasks["choose"].reason == "task 'evaluate[2]' stopped the run"

    def test_without_a_good_one_all_are_tried_and_the_best_is_chosen(self) -> None:
        done = run(Search(candidates=8, goal=2, seed=1), workers=4)
        assert done.value == Score(0.8, search.draw.fn(8, 1)[7])
        assert {item.state for item in done.items(search.evaluated)} == {"succeeded"}
        assert done.channel(search.best_so_far) == 0.8


@pytest.mark.slow
@pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn is not installed")
class TestRealDigits:
    def test_the_script_reaches_its_goal_and_stops(self) -> None:
        command = [sys.executable, "-W", "error", str(EXAMPLE / "search.py"), "--goal", "0.97", "--candidates", "8"]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        best, tried, reached = done.stdout.splitlines()
        assert re.fullmatch(r"accuracy 0\.9[789]\d\d with C=[\d.]+, gamma=[\d.e-]+", best)
        count = re.fullmatch(r"tried (\d) of 8 candidates, best so far (0\.9[789]\d\d)", tried)
        assert count is not None
        assert int(count[1]) < 8
        assert reached == "the goal is reached"
