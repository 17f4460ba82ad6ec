"""Plain and async functions in one pipeline: async tasks share one event loop, plain ones run in threads beside it.

Run it with `python examples/01_basics/async_tasks.py`.
"""

import asyncio

from graflow import Workflow, task

PAGES = {"/a": "alpha", "/b": "beta", "/c": "gamma"}


@task
async def fetch(path: str) -> str:
    await asyncio.sleep(0.01)  # a request to a server
    return PAGES[path]


@task
def join(pages: list[str]) -> str:
    return " ".join(pages)


fetches = [fetch(path).named(f"fetch{path.replace('/', '_')}") for path in PAGES]
site = Workflow.builder("site").add_all(fetches).add(join, [one.out for one in fetches]).build()

if __name__ == "__main__":
    print(site.run().value)

# Output:
# alpha beta gamma
