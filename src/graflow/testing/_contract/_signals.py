"""What reaches a run from outside, and what its tasks share: signals and channels."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from graflow.core.run import Runner, RunState
from graflow.core.signal import Signal, signal
from graflow.core.task import Task
from graflow.engine import codec
from graflow.engine.events import TaskStarted, TaskSucceeded
from graflow.errors import ConfigurationError, SignalError, TaskTimeoutError, UnknownTaskError
from graflow.stores import Store
from graflow.testing import _bodies as bodies
from graflow.testing import _growing as growing
from graflow.testing._contract._base import Contract, Watch, built, end, needs, states
from graflow.testing._contract._kept import Make
from graflow.testing._models import Order
from graflow.testing._notebook import PATIENCE, Notebook, wait_until

APPROVAL = signal("approval", bool)
ORDER = signal("order", Order)


class Signals(Contract):
    """A signal is a task whose result arrives from outside; `takes_signals`."""

    @needs("takes_signals")
    def test_a_signal_that_is_waited_for(self, runner: Runner) -> None:
        """It runs until the value is there, says what it waits for, and keeps no worker busy."""
        first = Task("first", bodies.give)(1)
        waits = [signal(f"s{k}", int).after(first) for k in range(5)]
        last = Task("all", bodies.collect)(*(one.out for one in waits))
        others = [Task(f"t{k}", bodies.give)(k).after(first) for k in range(5)]
        handle = runner.start(built(first, *waits, last, *others, returns=last))
        watch = Watch(handle)
        for k in range(5):
            watch.until(TaskStarted, task=f"s{k}")
            watch.until(TaskSucceeded, task=f"t{k}")
        record = handle.tasks["s0"]
        assert (record.state, record.reason, handle.state) == ("running", "it waits for a signal", "running")
        for k in (3, 0, 4, 1, 2):
            handle.send(waits[k], k)
        run = handle.wait(PATIENCE)
        assert (run.value, run["s3"]) == (((0, 1, 2, 3, 4), {}), 3)
        assert (str(run.tasks["s0"].state), run.tasks["s0"].reason) == ("succeeded", None)

    @needs("takes_signals")
    def test_a_signal_that_is_sent_early(self, runner: Runner, book: Notebook) -> None:
        """Before it is reached; it is taken then."""
        door = Task("door", bodies.door)(book, "door")
        late = APPROVAL.after(door)
        handle = runner.start(built(door, late, Task("reads", bodies.give)(late.out)))
        book.wait("door-in")
        handle.send(late, True)
        assert states(handle)["approval"] == "waiting"
        book.mark("door-open")
        assert handle.wait(PATIENCE).value is True

    @needs("takes_signals")
    def test_the_first_value_counts(self, runner: Runner, book: Notebook) -> None:
        """A second one is a `SignalError`, before the signal is reached, after it, and when the run has ended."""
        door = Task("door", bodies.door)(book, "door").after(ORDER)
        handle = runner.start(built(ORDER, door, returns=ORDER))
        watch = Watch(handle)
        handle.send(ORDER, Order(name="first"))
        for _ in range(2):
            with pytest.raises(SignalError, match=f"signal 'order' of run {handle.id} was sent before; the first"):
                handle.send(ORDER, Order(name="second"))
            watch.until(TaskSucceeded, task="order")
        book.mark("door-open")
        assert handle.wait(PATIENCE).value == Order(name="first")
        with pytest.raises(SignalError):
            handle.send(ORDER, Order(name="third"))

    @needs("takes_signals")
    def test_what_cannot_be_sent(self, runner: Runner) -> None:
        """A value of another type, or to what is no signal of this run; the right one can still be sent."""
        handle: Any = runner.start(built(ORDER, Task("one", bodies.give)(1), returns=ORDER))
        for wrong in ("yes", 1, None, {"names": "a"}):
            with pytest.raises(SignalError, match="signal 'order' takes Order, not"):
                handle.send(ORDER, wrong)
        with pytest.raises(UnknownTaskError, match="approval"):
            handle.send(APPROVAL, True)
        with pytest.raises(SignalError, match=r"send\(\) takes a signal"):
            handle.send(Task("one", bodies.give)(1), 1)
        handle.send(ORDER, Order(name="right"))
        assert handle.wait(PATIENCE).value == Order(name="right")

    @needs("takes_signals")
    def test_a_signal_that_does_not_come_in_time(self, runner: Runner) -> None:
        """A `TaskTimeoutError`; what needs it is skipped, and it can no longer be sent."""
        late = signal("late", bool, timeout=0.02)
        handle = runner.start(built(late, Task("next", bodies.give)(late.out)), check=False)
        run = handle.wait(PATIENCE)
        error = run.tasks["late"].error
        assert (type(error), str(error)) == (TaskTimeoutError, "signal 'late' did not arrive within 0.02 s")
        assert (run.state, states(run)["next"]) == (RunState.FAILED, "skipped")
        with pytest.raises(SignalError, match="does not wait any more"):
            handle.send(late, True)

    @needs("takes_signals")
    def test_cancelling_while_a_signal_is_waited_for(self, runner: Runner) -> None:
        """The run ends at once."""
        handle = runner.start(built(APPROVAL, Task("next", bodies.give)(APPROVAL.out)), check=False)
        Watch(handle).until(TaskStarted, task="approval")
        handle.cancel("enough")
        run = handle.wait(PATIENCE)
        assert (run.state, states(run)) == (RunState.CANCELLED, {"approval": "cancelled", "next": "cancelled"})
        with pytest.raises(SignalError, match="does not wait any more: the run was cancelled: enough"):
            handle.send(APPROVAL, True)

    @needs("takes_signals")
    def test_a_run_whose_time_is_up_waits_for_no_signal(self, runner: Runner) -> None:
        """Nor does one that a task has stopped or cancelled, or whose failure stops it."""
        assert end(runner, built(APPROVAL), timeout=0.05).state is RunState.TIMED_OUT
        beside = {
            RunState.SUCCEEDED: Task("stops", growing.stops)(1),
            RunState.CANCELLED: Task("asks", growing.calls_off)("enough"),
            RunState.FAILED: Task("bad", bodies.fail)(),
        }
        for state, task in beside.items():
            run = end(runner, built(APPROVAL, task), on_failure="stop")
            assert (run.state, states(run)["approval"]) == (state, "cancelled")

    @needs("takes_signals")
    def test_a_signal_as_a_flag(self, runner: Runner, book: Notebook) -> None:
        """Nothing runs before somebody says yes."""
        tasks = [Task("yes", bodies.noted)(book, "yes").when(APPROVAL.out)]
        tasks.append(Task("no", bodies.noted)(book, "no").unless(APPROVAL.out))
        handle = runner.start(built(APPROVAL, *tasks, returns=APPROVAL))
        handle.send(APPROVAL, False)
        run = handle.wait(PATIENCE)
        assert (book.lines, states(run)["yes"], run.tasks["yes"].reason) == (
            ["no"],
            "skipped",
            "`approval` was false",
        )

    @needs("takes_signals")
    def test_a_signal_that_nobody_reaches(self, runner: Runner) -> None:
        """It is skipped like any task."""
        off = Task("off", bodies.give)(False)
        flagged = APPROVAL.when(off.out)
        handle = runner.start(built(off, flagged, returns=off))
        run = handle.wait(PATIENCE)
        assert (run.state, states(run)["approval"]) == (RunState.SUCCEEDED, "skipped")

    @needs("takes_signals", "keeps_runs")
    @pytest.mark.parametrize("sent", ["before", "between"])
    def test_a_run_that_was_stopped_gets_its_signal(self, make: Make, book: Notebook, sent: str) -> None:
        """What was sent before the stop is not lost, and what somebody sends before it goes on is taken then."""
        door = Task("door", bodies.door)(book, "door")
        late = ORDER.after(door)
        handle = make().start(built(door, late, Task("reads", bodies.give)(late.out)), check=False)
        book.wait("door-in")
        if sent == "before":
            handle.send(late, Order(name="a"))
        handle.cancel()
        book.mark("door-open")
        assert handle.wait(PATIENCE).state is RunState.CANCELLED
        if sent == "between":
            self.send_to_store(make(), handle.id, late, Order(name="a"))
        run = make().resume(handle.id)
        assert (run.value, run.tasks["door"].source) == (Order(name="a"), "resumed")

    @needs("takes_signals", "keeps_runs")
    def test_a_run_under_way_gets_what_the_store_does(self, make: Make) -> None:
        """Whoever sent it, from whatever process."""
        handle = make().start(built(ORDER, Task("reads", bodies.give)(ORDER.out)))
        Watch(handle).until(TaskStarted, task="order")
        self.send_to_store(make(), handle.id, ORDER, Order(name="a"))
        assert handle.wait(PATIENCE).value == Order(name="a")

    def send_to_store(self, runner: Runner, run_id: str, signal: Signal[Any], value: Any) -> None:
        """Send a value as ``graflow signal`` does; for runners with an attribute ``store``, else to be overridden."""
        store: Store = cast(Any, runner).store
        assert store.put_signal(run_id, signal.id, codec.dumps(value), time.time())


class Channels(Contract):
    """The tasks of a run share typed state; `shares_channels`."""

    @needs("shares_channels")
    def test_no_update_is_lost(self, runner: Runner) -> None:
        """Of many tasks, plain and async; the value can be read after the run."""
        tasks = [Task(f"t{k}", growing.counts)(25) for k in range(6)]
        later = [Task(f"l{k}", growing.counts_later)(25) for k in range(2)]
        run = end(runner, built(*tasks, *later))
        assert (run.state, run.channel(growing.FOUND)) == (RunState.SUCCEEDED, 200)

    @needs("shares_channels")
    def test_items_update_as_well(self, runner: Runner) -> None:
        """Each once."""
        source = Task("source", bodies.give)([f"n{k}" for k in range(20)])
        run = end(runner, built(source, Task("mapped", growing.writes_name).map(source.each)))
        names = run.channel(growing.names())
        assert sorted(names) == sorted(f"n{k}" for k in range(20))

    @needs("shares_channels")
    def test_each_run_has_its_own(self, runner: Runner) -> None:
        """It begins with the default; what one run leaves, no other sees."""
        runs = [end(runner, built(Task("sets", growing.sets_found)(k))) for k in (5, 6)]
        assert [run.channel(growing.FOUND) for run in runs] == [5, 6]
        assert end(runner, built(Task("one", bodies.give)(1))).channel(growing.FOUND) == 0

    @needs("shares_channels")
    def test_it_can_be_read_while_the_run_lasts(self, runner: Runner, book: Notebook) -> None:
        """By who holds the handle."""
        handle = runner.start(built(Task("waits", growing.counts_and_waits)(book, "door")))
        book.wait("door-in")
        try:
            wait_until(lambda: handle.channel(growing.FOUND) == 5, "the value")
        finally:
            book.mark("door-open")
        assert handle.wait(PATIENCE).channel(growing.FOUND) == 5

    @needs("shares_channels")
    def test_a_wrong_value_fails_the_task(self, runner: Runner) -> None:
        """And what was there stays."""
        run = end(runner, built(Task("wrong", growing.sets_wrongly)()))
        assert (run.state, run.channel(growing.FOUND)) == (RunState.FAILED, 0)
        assert type(run.tasks["wrong"].error) is ConfigurationError

    @needs("shares_channels", "keeps_runs")
    def test_it_is_kept_with_the_run(self, make: Make, book: Notebook) -> None:
        """Read back under the run's name, and gone on with when it is resumed."""
        counts = Task("counts", growing.counts)(3)
        workflow = built(counts, Task("fails", bodies.fail_unless)(book, "mended", 1).after(counts))
        run = end(make(), workflow, run_id="mine")
        assert run.channel(growing.FOUND) == 3
        assert end(make(), workflow, run_id="mine").channel(growing.FOUND) == 3
        book.mark("mended")
        assert make().resume("mine").channel(growing.FOUND) == 3
