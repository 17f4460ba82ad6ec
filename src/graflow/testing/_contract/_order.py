"""No task starts before all that it waits for, and none runs twice."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from typing import Any

from graflow.core.run import Runner, RunState
from graflow.core.task import Task
from graflow.testing import _bodies as bodies
from graflow.testing._contract._base import Contract, built, end, needs
from graflow.testing._notebook import Notebook


def keeps_order(book: Notebook, edges: list[tuple[str, str]], ids: list[str]) -> bool:
    """Each task ran once, and none before the end of an upstream."""
    lines = book.lines
    assert Counter(lines) == Counter(f"{what} {id}" for id in ids for what in ("start", "end"))
    at = {line: k for k, line in enumerate(lines)}
    return all(at[f"end {u}"] < at[f"start {d}"] for u, d in edges)


class OrderRules(Contract):
    """No task starts before all that it waits for, and none runs twice."""

    def test_a_diamond_runs_once_after_both_sides(self, runner: Runner, book: Notebook) -> None:
        """A task that two others feed starts once, after both have ended."""
        around: Any = Task("around", bodies.around)
        top = around(book, "top").named("top")
        sides = [around(book, id, top.out).named(id) for id in ("left", "right")]
        bottom = around(book, "bottom", *(side.out for side in sides)).named("bottom")
        assert end(runner, built(top, *sides, bottom)).value == "bottom"
        edges = [("top", "left"), ("top", "right"), ("left", "bottom"), ("right", "bottom")]
        assert keeps_order(book, edges, ["top", "left", "right", "bottom"])

    def test_groups_order_every_right_after_every_left(self, runner: Runner, book: Notebook) -> None:
        """``(a | b) >> (c | d)`` starts c and d after both a and b."""
        around: Any = Task("around", bodies.around)
        lefts = [around(book, f"left{k}").named(f"left{k}") for k in range(3)]
        rights = [around(book, f"right{k}").named(f"right{k}") for k in range(3)]
        group = (lefts[0] | lefts[1] | lefts[2]) >> (rights[0] | rights[1] | rights[2])
        last = around(book, "last").named("last").after(*group.members)
        assert end(runner, built(*lefts, *group.members, last)).value == "last"
        ids = [one.id for one in (*lefts, *rights)]
        edges = [(u.id, d.id) for u in lefts for d in rights] + [(d.id, "last") for d in rights]
        assert keeps_order(book, edges, [*ids, "last"])

    def test_random_layers_keep_the_order(self, runner: Runner, book: Notebook) -> None:
        """The same for a graph that nobody thought of, where half of the edges carry results."""
        dice = random.Random(5)
        layers = [[f"t{layer}_{k}" for k in range(5)] for layer in range(6)]
        edges = [
            (u, d)
            for above, below in itertools.pairwise(layers)
            for d in below
            for u in dice.sample(above, dice.randint(0, 3))
        ]
        ids = [id for layer in layers for id in layer]
        around: Any = Task("around", bodies.around)
        tasks: dict[str, Any] = {id: around(book, id).named(id) for id in ids}
        carrying = {edge for edge in edges if dice.random() < 0.5}
        for id in ids:
            own = [edge for edge in edges if edge[1] == id]
            fed = around(book, id, *(tasks[u].out for u, d in own if (u, d) in carrying)).named(id)
            tasks[id] = fed.after(*(tasks[u] for u, _ in own)) if own else fed
        run = end(runner, built(*tasks.values()))
        assert keeps_order(book, edges, ids)
        assert [run[id] for id in ids] == ids

    def test_a_long_chain(self, runner: Runner) -> None:
        """Thousands of tasks in a row, each fed by the one before it."""
        increment = Task("increment", bodies.increment)
        chain = [increment(0).named("c0")]
        for k in range(1, self.most_tasks):
            chain.append(increment(chain[-1].out).named(f"c{k}"))
        run = end(runner, built(*chain))
        assert run.value == self.most_tasks

    def test_a_wide_fan(self, runner: Runner) -> None:
        """Thousands of tasks side by side, between one that feeds them and one that they feed."""
        source = Task("source", bodies.give)(1)
        fan = [Task("increment", bodies.increment)(source.out).named(f"f{k}") for k in range(self.most_tasks - 2)]
        last = Task("total", bodies.total)([one.out for one in fan])
        run = end(runner, built(source, *fan, last))
        assert run.value == 2 * len(fan)
        assert Counter(str(record.state) for record in run.tasks.values()) == {"succeeded": self.most_tasks}

    @needs("runs_side_by_side")
    def test_two_bodies_are_under_way_at_once(self, runner: Runner, book: Notebook) -> None:
        """Each waits for the other, so one after the other would never end."""
        meet: Any = Task("meet", bodies.meet)
        run = end(runner, built(meet(book, "a", "b").named("a"), meet(book, "b", "a").named("b")))
        assert (run.state, run["a"], run["b"]) == (RunState.SUCCEEDED, "a", "b")
