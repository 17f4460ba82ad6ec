"""An article waits for an editor: what arrives from outside decides whether it is published.

The run can wait for days and costs nothing meanwhile; with a store, its process may end and the run be resumed.
The first decision below comes from another thread of this program, the second from another process, which says

    graflow signal RUN approve '{"approved": false, "by": "Grace", "comment": "too short"}' --store runs.db

Run it with `python examples/09_dynamic/approval.py`.
"""

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from pydantic import BaseModel

from graflow import LocalRunner, RunHandle, Workflow, first_of, inputs, signal, task


class Article(BaseModel, frozen=True):
    title: str


class Decision(BaseModel, frozen=True):
    approved: bool
    by: str
    comment: str = ""


@task
def draft(title: str) -> str:
    return f"{title}: the first draft"


@task
def publish(text: str, decision: Decision) -> str:
    return f"published {text!r}, approved by {decision.by}"


@task
def reject(text: str, decision: Decision) -> str:
    return f"sent {text!r} back to its author: {decision.comment}"


src = inputs(Article)
approve = signal("approve", Decision, timeout=3 * 24 * 3600).after(draft)
published = publish(draft.out, approve.out).when(approve.out.approved)
rejected = reject(draft.out, approve.out).unless(approve.out.approved)

review = (
    Workflow.builder("review", inputs=Article)
    .add(draft, src.title)
    .add_all([approve, published, rejected])
    .add(first_of(published, rejected, id="decided"))
    .build()
)


def show(handle: RunHandle[str]) -> None:
    """Wait for the end, and tell what became of the branches."""
    run = handle.wait()
    print(run.value)
    for branch in (published, rejected):
        record = run.tasks[branch.id]
        print(f"  {record.id}: {record.state}{f', because {record.reason}' if record.reason else ''}")


def main(store: Path) -> None:
    runner = LocalRunner(store=store)

    handle = runner.start(review, Article(title="Graphs"), run_id="graphs")
    editor = threading.Thread(target=handle.send, args=(approve, Decision(approved=True, by="Ada")))
    editor.start()
    show(handle)
    editor.join()

    handle = runner.start(review, Article(title="Trees"), run_id="trees")
    decision = Decision(approved=False, by="Grace", comment="too short")
    graflow = [sys.executable, "-m", "graflow"]
    command = ["signal", "trees", approve.id, decision.model_dump_json(), "--store", str(store)]
    subprocess.run([*graflow, *command], check=True)
    show(handle)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder) / "runs.db")

# Output:
# published 'Graphs: the first draft', approved by Ada
#   publish: succeeded
#   reject: skipped, because `approve.out.approved` was true
# sent 'Trees: the first draft' back to its author: too short
#   publish: skipped, because `approve.out.approved` was false
#   reject: succeeded
