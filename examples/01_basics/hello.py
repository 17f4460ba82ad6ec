"""The smallest pipeline: two tasks and the edge between them.

Run it with `python examples/01_basics/hello.py`.
"""

from graflow import Workflow, task


@task
def name() -> str:
    return "world"


@task
def greet(name: str) -> str:
    return f"Hello, {name}!"


hello = Workflow.builder("hello").add(name).add(greet, name=name.out).build()

if __name__ == "__main__":
    print(hello.run().value)

# Output:
# Hello, world!
