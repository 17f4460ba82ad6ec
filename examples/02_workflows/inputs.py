"""A workflow with typed inputs: a pydantic model, checked before anything runs.

Run it with `python examples/02_workflows/inputs.py`,
or with inputs of your own: `graflow run examples/02_workflows/inputs.py --text "to be or not to be" --top 1`.
"""

from collections import Counter

from pydantic import BaseModel, PositiveInt

from graflow import Workflow, inputs, task


class WordsInput(BaseModel, frozen=True):
    text: str = "the quick brown fox jumps over the lazy dog and the cat"
    top: PositiveInt = 2


@task
def split(text: str) -> list[str]:
    return text.split()


@task
def count(words: list[str]) -> dict[str, int]:
    return dict(Counter(words))


@task
def rank(counts: dict[str, int], top: int) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:top]


src = inputs(WordsInput)
words = (
    Workflow.builder("words", inputs=WordsInput)
    .add(split, text=src.text)
    .add(count, words=split.out)
    .add(rank, counts=count.out, top=src.top)
    .build()
)

if __name__ == "__main__":
    print(words.run(WordsInput()).value)

# Output:
# [('the', 3), ('and', 1)]
