"""A cached task: its result is taken again where its code and its inputs are the same, in any later run.

Run it with `python examples/05_durable/cache.py`.
"""

import tempfile
from pathlib import Path

from pydantic import BaseModel

from graflow import Cache, LocalRunner, Workflow, inputs, task


class Words(BaseModel, frozen=True):
    text: str


@task
def split(text: str) -> list[str]:
    return sorted(set(text.split()))


@task(cache=Cache(ttl=3600))
def weigh(words: list[str]) -> dict[str, int]:
    print("weighing", len(words), "words")
    return {word: len(word) for word in words}


src = inputs(Words)
pipeline = Workflow.builder("weights", inputs=Words).add(split, src.text).add(weigh, split.out).build(returns=weigh)

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        runner = LocalRunner(store=Path(folder) / "runs.db")
        for text in ("to be or not to be", "not to be or to be", "to be is to do"):
            run = runner.run(pipeline, Words(text=text))
            record = run.tasks["weigh"]
            why = "" if record.source == "cache" else f" ({record.reason})"
            print(f"{run.value} from {record.source}{why}")

# Output:
# weighing 4 words
# {'be': 2, 'not': 3, 'or': 2, 'to': 2} from run (never cached before)
# {'be': 2, 'not': 3, 'or': 2, 'to': 2} from cache
# weighing 4 words
# {'be': 2, 'do': 2, 'is': 2, 'to': 2} from run (input 'words' changed)
