"""What the policies of a map mean: they hold for each item."""

from __future__ import annotations

from typing import Any

import pytest

from graflow.core.policy import Limit, Retry
from graflow.core.run import Runner, RunState
from graflow.core.task import Task
from graflow.engine.events import MapOpened, TaskRetrying
from graflow.errors import TaskTimeoutError
from graflow.testing import _bodies as bodies
from graflow.testing import _growing as growing
from graflow.testing._contract._base import AT_ONCE, Contract, Watch, built, end, needs, states
from graflow.testing._contract._maps import ends, given
from graflow.testing._contract._retries import GROWING
from graflow.testing._notebook import PATIENCE, Notebook


class ItemPolicies(Contract):
    """Retry, timeout, limit, priority and cache of a map are those of each item."""

    def test_one_item_is_tried_again(self, runner: Runner) -> None:
        """The others are not; the map itself has one attempt."""
        source = given(["a", "b", "c"])
        mapped = Task("mapped", growing.fails_first, retry=Retry(2, AT_ONCE)).map(source.each, "b")
        handle = runner.start(built(source, mapped))
        watch = Watch(handle)
        run = handle.wait(PATIENCE)
        assert run.value == ["a at 1", "b at 2", "c at 1"]
        assert (run.tasks["mapped"].attempts, [one.attempts for one in run.items(mapped)]) == (1, [1, 2, 1])
        assert [(one.number, str(one.state)) for one in run.items(mapped)[1].history] == [
            (1, "failed"),
            (2, "succeeded"),
        ]
        (told,) = (event for event in watch.all() if isinstance(event, TaskRetrying))
        assert (told.task, told.item, told.attempt, type(told.error)) == ("mapped", 1, 1, bodies.Busy)

    def test_an_item_fails_after_its_last_attempt(self, runner: Runner, book: Notebook) -> None:
        """It alone is tried so often."""
        source = given([1, 2])
        mapped = Task("mapped", growing.tried, retry=Retry(3, AT_ONCE)).map(book, source.each, 2)
        run = end(runner, built(source, mapped))
        assert sorted(book.lines) == ["tries 1", "tries 2", "tries 2", "tries 2"]
        assert (run.state, ends(run, mapped)) == (RunState.FAILED, ["succeeded", "failed"])

    def test_an_item_that_takes_too_long_is_given_up(self, runner: Runner, book: Notebook) -> None:
        """The timeout is that of one item, not of all; its next attempt counts."""
        for seconds in GROWING:
            source = given(["a", "b", "c"])
            mapped: Any = Task("mapped", growing.dawdles_first, timeout=seconds, retry=Retry(2, AT_ONCE))
            run = end(runner, built(source, mapped.map(book, source.each, "b")))
            if run.state is RunState.SUCCEEDED and [one.attempts for one in run.items("mapped")] == [1, 2, 1]:
                break
        else:
            pytest.fail("other attempts took too long as well")
        assert run.value == ["a at 1", "b at 2", "c at 1"]
        first, second = run.items("mapped")[1].history
        assert (type(first.error), second.error) == (TaskTimeoutError, None)
        assert "attempt 1 of task 'mapped[1]' took longer than its timeout" in str(first.error)

    def test_a_limit_holds_across_the_items(self, runner: Runner, book: Notebook) -> None:
        """At most so many run at once, whatever the number of workers."""
        source = given(list(range(8)))
        mapped = Task("mapped", growing.crowded_item, limit=Limit("items", 2)).map(book, source.each, 2)
        assert end(runner, built(source, mapped)).state is RunState.SUCCEEDED
        assert {int(line) for line in book.lines} <= {1, 2}
        assert len(book.lines) == 8

    def test_a_limit_is_shared_with_other_tasks(self, runner: Runner, book: Notebook) -> None:
        """Items take their places among the tasks of the same name."""
        source = given(list(range(4)))
        alone = Limit("alone", 1)
        items = Task("items", growing.crowded_item, limit=alone).map(book, source.each, 1)
        others = [Task(f"t{k}", growing.crowded_item, limit=alone)(book, 10 + k, 1) for k in range(3)]
        assert end(runner, built(source, items, *others)).state is RunState.SUCCEEDED
        assert book.lines == ["1"] * 7

    def test_items_start_before_what_matters_less(self, runner: Runner, book: Notebook) -> None:
        """Than other tasks that could start; among themselves they start in order."""
        alone = Limit("alone", 1)
        source = given(["a", "b"])
        door = Task("door", bodies.door, limit=alone, priority=-1)(book, "door").after(source)
        low = [Task(f"low_{k}", bodies.noted, limit=alone, priority=-2)(book, "low").after(source) for k in range(2)]
        items: Any = Task("items", bodies.noted, limit=alone, priority=5)
        handle = runner.start(built(source, door, *low, items.map(book, source.each)))
        Watch(handle).until(MapOpened, task="items")  # now its items compete for the place, if they do not have it
        book.mark("door-open")
        assert handle.wait(PATIENCE).state is RunState.SUCCEEDED
        assert book.lines == ["a", "b", "low", "low"]

    def test_a_map_of_async_tasks(self, runner: Runner) -> None:
        """Retries and limits work for these as well."""
        source = given(["o", "fo", "ffo"])
        mapped = Task("mapped", bodies.scripted_later, retry=Retry(3, AT_ONCE), limit=Limit("one", 1))
        run = end(runner, built(source, mapped.map(source.each)))
        assert run.value == ["attempt 1", "attempt 2", "attempt 3"]

    @needs("survives_its_workers")
    def test_an_item_whose_worker_died_is_tried_again(self, runner: Runner) -> None:
        """The death is a failure of that item."""
        source = given([1, 2])
        mapped = Task("mapped", growing.dies_first, retry=Retry(2, AT_ONCE)).map(source.each, 2)
        run = end(runner, built(source, mapped))
        assert (run.value, [one.attempts for one in run.items(mapped)]) == (["1 at 1", "2 at 2"], [1, 2])

    @needs("copies_values")
    def test_an_item_that_cannot_be_copied_fails_alone(self, runner: Runner) -> None:
        """The items that can be are there."""
        source = given([1, 2])
        mapped = Task("mapped", growing.locked_at).map(source.each, 2)
        run = end(runner, built(source, mapped))
        assert (states(run)["mapped"], ends(run, mapped)) == ("failed", ["succeeded", "failed"])
        assert "'mapped[1]'" in str(run.items(mapped)[1].error)

    @needs("copies_values")
    def test_items_get_copies(self, runner: Runner) -> None:
        """What one body does to its item, or to an input of all, no other sees."""
        source = given([[1], [2, 3]])
        shared = given([0], "shared")
        own = Task("own", bodies.spoil).map(source.each)
        same = Task("same", growing.spoil_shared).map(source.each, shared.out)
        run = end(runner, built(source, shared, own, same, Task("last", bodies.give)(source.out).after(own, same)))
        assert (run["own"], run["same"], run.value) == ([2, 3], [2, 2], [[1], [2, 3]])

    @needs("keeps_runs")
    def test_each_item_is_cached_for_itself(self, runner: Runner, book: Notebook) -> None:
        """Items that were there before do not run; the records say where their results came from."""
        mapped = Task("mapped", growing.tried, cache=True)
        for items in ([1, 2], [2, 3, 1], [4]):
            source = given(items)
            run = end(runner, built(source, mapped.map(book, source.each, None)))
            assert run.value == items
        assert sorted(book.lines) == ["tries 1", "tries 2", "tries 3", "tries 4"]
        source = given([5, 1])
        run = end(runner, built(source, mapped.map(book, source.each, None)))
        assert [one.source for one in run.items("mapped")] == ["run", "cache"]
