"""The examples of shapes that grow while they run: by import, and with a process beside them."""

import math
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from graflow import ContinuationLimitError, LocalRunner, SignalError, TaskTimeoutError, Workflow

EXAMPLES = Path(__file__).parents[2] / "examples" / "09_dynamic"
sys.path.insert(0, str(EXAMPLES))

import approval  # noqa: E402
import recursion  # noqa: E402


def graflow(*arguments: str, store: Path) -> "subprocess.CompletedProcess[str]":
    where = ["--workflow", f"{EXAMPLES / 'approval.py'}:review", "--store", str(store)]
    command = [sys.executable, "-m", "graflow", *arguments, *where]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=False)


class TestApproval:
    @pytest.mark.parametrize("approved", [True, False])
    @pytest.mark.parametrize("executor", ["threads", "inline"])
    def test_the_decision_chooses_the_branch(self, approved: bool, executor: Any) -> None:
        handle = LocalRunner(executor).start(approval.review, approval.Article(title="Graphs"))
        handle.send(approval.approve, approval.Decision(approved=approved, by="Ada", comment="hm"))
        run = handle.wait(60)
        taken, other = (approval.published, approval.rejected) if approved else (approval.rejected, approval.published)
        assert run.value == run[taken]
        assert run.value.startswith("published" if approved else "sent")
        assert run.tasks[other.id].state == "skipped"
        assert run.tasks[other.id].reason == f"`approve.out.approved` was {str(approved).lower()}"

    def test_of_many_editors_one_is_heard(self) -> None:
        handle = LocalRunner().start(approval.review, approval.Article(title="Graphs"))
        heard: list[str] = []
        refused: list[str] = []

        def send(name: str) -> None:
            try:
                handle.send(approval.approve, approval.Decision(approved=True, by=name))
            except SignalError as error:
                refused.append(str(error))
            else:
                heard.append(name)

        editors = [threading.Thread(target=send, args=(f"editor{k}",)) for k in range(8)]
        for editor in editors:
            editor.start()
        for editor in editors:
            editor.join()
        assert len(heard) == 1
        assert len(refused) == 7
        assert refused[0].endswith("was sent before; the first value counts")
        assert handle.wait(60).value.endswith(f"approved by {heard[0]}")

    def test_what_is_sent_while_nothing_runs_is_heard_later(self, tmp_path: Path) -> None:
        store = tmp_path / "runs.db"
        runner = LocalRunner(store=store)
        handle = runner.start(approval.review, approval.Article(title="Graphs"), run_id="monday", check=False)
        for event in handle.events():
            if getattr(event, "task", None) == "approve":  # it waits
                handle.cancel("the office closes")
        assert handle.wait(60).state == "cancelled"
        sent = graflow("signal", "monday", "approve", '{"approved": true, "by": "Ada"}', store=store)
        assert "graflow resume monday" in sent.stderr
        again = graflow("signal", "monday", "approve", '{"approved": false, "by": "Bob"}', store=store)
        assert "was sent before; the first value counts" in again.stderr
        run = runner.resume("monday", approval.review)
        assert run.value == "published 'Graphs: the first draft', approved by Ada"
        assert run.tasks["draft"].source == "resumed"

    def test_nobody_answers(self) -> None:
        hurried = approval.approve.with_policy(timeout=0.01)
        review = Workflow.of("hurried", approval.draft("Graphs"), returns=hurried)
        record = review.run(check=False).tasks["approve"]
        assert record.state == "failed"
        assert isinstance(record.error, TaskTimeoutError)


class TestRecursion:
    @pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
    def test_every_page_is_fetched_once(self, executor: Any) -> None:
        run = Workflow.of("pages", returns=recursion.fetch("/rows")).run(runner=LocalRunner(executor))
        assert run.value == ("a", "b", "c", "d", "e")
        assert run.tasks["fetch"].attempts == 3

    def test_ranks_are_a_fixed_point(self) -> None:
        even = dict.fromkeys(recursion.LINKS, 0.25)
        ranks, turns = Workflow.of("ranks", returns=recursion.rank(even)).run().value
        assert math.isclose(sum(ranks.values()), 1)
        again = recursion.spread(ranks)
        assert all(math.isclose(ranks[page], again[page], abs_tol=1e-6) for page in ranks)
        assert turns > 1

    def test_a_workflow_goes_on_with_itself(self) -> None:
        root = recursion.bisect.run(recursion.Span(low=1, high=2)).value
        assert abs(recursion.cubic(root)) < 1e-4

    def test_the_end_of_what_has_none(self) -> None:
        run = Workflow.of("endless", returns=recursion.endless(0)).run(check=False)
        assert isinstance(run.tasks["endless"].error, ContinuationLimitError)
        assert run.tasks["endless"].attempts == 11
