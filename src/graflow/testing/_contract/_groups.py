"""Groups that require something before what comes after them may start."""

from __future__ import annotations

from typing import Any

from graflow.core.requirement import at_least, critical
from graflow.core.run import Runner, RunState
from graflow.core.task import Task
from graflow.engine.events import TaskCancelled, TaskStarted, TaskSucceeded
from graflow.errors import GroupRuleError
from graflow.testing import _bodies as bodies
from graflow.testing import _growing as growing
from graflow.testing._contract._base import Contract, Watch, built, end, needs, states
from graflow.testing._notebook import PATIENCE, Notebook


def members(script: str, prefix: str = "") -> list[Any]:
    """Tasks ``a``, ``b``, ...: ``o`` succeeds, ``f`` fails."""
    return [
        Task(f"{prefix}{id}", bodies.give)(id) if letter == "o" else Task(f"{prefix}{id}", bodies.fail)(id)
        for id, letter in zip("abcdef", script, strict=False)
    ]


def group(tasks: list[Any]) -> Any:
    """``a | b | c``."""
    made: Any = tasks[0]
    for one in tasks[1:]:
        made = made | one
    return made


def reader(id: str, *tasks: Any) -> Any:
    """A task that tells how these ended."""
    return Task(id, bodies.outcome_of)(*(one.outcome for one in tasks))


def required(script: str, rule: Any, prefix: str = "") -> list[Any]:
    """These tasks, and last one that reads their outcomes once the rule is met."""
    tasks = members(script, prefix)
    return [*tasks, group(tasks).require(rule) >> reader(f"{prefix}reads", *tasks)]


#: Rule and members, where what comes after them runs.
MET: dict[str, tuple[Any, str]] = {
    "all": (all, "ooo"),
    "any": (any, "ffo"),
    "two": (at_least(2), "ofo"),
    "critical": (critical("critical.a"), "off"),
    "own": (growing.Majority(), "oof"),
}
#: And where it is skipped.
NOT_MET: dict[str, tuple[Any, str]] = {
    "all": (all, "oof"),
    "any": (any, "fff"),
    "two": (at_least(2), "off"),
    "critical": (critical("critical.a"), "foo"),
    "own": (growing.Majority(), "off"),
    "undecided": (growing.Undecided(), "ooo"),
}


class Groups(Contract):
    """``(a | b | c).require(rule) >> reader``."""

    def test_a_rule_that_is_met(self, runner: Runner) -> None:
        """What comes after the group runs with the outcomes, and failures of members are made up for."""
        tasks = [one for case, (rule, script) in MET.items() for one in required(script, rule, f"{case}.")]
        run = end(runner, built(*tasks))
        assert run.state is RunState.SUCCEEDED
        for case, (_, script) in MET.items():
            for id, letter, said in zip("abc", script, run[f"{case}.reads"], strict=True):
                wanted = f"ok {id}" if letter == "o" else f"failed ValueError: {id}"
                assert said == wanted or said.startswith("skipped: not waited for: ")

    def test_a_rule_that_is_not_met(self, runner: Runner) -> None:
        """What comes after the group is skipped, and says what the group would have had to do."""
        tasks: list[Any] = []
        for case, (rule, script) in NOT_MET.items():
            tasks += required(script, rule, f"{case}.")
            tasks.append(Task(f"{case}.next", bodies.give)(tasks[-1].out))
        run = end(runner, built(*tasks))
        assert run.state is RunState.FAILED
        for case in NOT_MET:
            assert {states(run)[f"{case}.{id}"] for id in ("reads", "next")} == {"skipped"}
            reason = str(run.tasks[f"{case}.reads"].reason)
            assert f"of '{case}.a', '{case}.b', '{case}.c' had to succeed" in reason
            assert run.tasks[f"{case}.next"].reason

    def test_a_rule_that_is_not_met_fails_the_run(self, runner: Runner) -> None:
        """As a failure of a member alone would, whether a task needs it in between or not."""
        bad, good = Task("bad", bodies.fail)(), Task("good", bodies.give)(1)
        behind: Any = Task("behind", bodies.give)(bad.out)
        near: Any = (good | bad).require(all) >> reader("near", good, bad)
        far: Any = (good | behind).require(all) >> reader("far", good, behind)
        for last in (near, far):
            run = end(runner, built(bad, good, behind, last, returns=good))
            assert (run.state, states(run)[last.id]) == (RunState.FAILED, "skipped")

    def test_the_members_are_fed_by_position(self, runner: Runner) -> None:
        """``group.require(all) >> task`` fills its free parameters with outcomes, in order."""
        tasks = members("ooo")
        reads: Any = Task("reads", growing.three_outcomes)
        run = end(runner, built(*tasks, group(tasks).require(all) >> reads))
        assert run.value == ["a", "b", "c"]

    def test_members_may_be_skipped(self, runner: Runner) -> None:
        """For a flag, or for an upstream that failed: either is lost."""
        off = Task("off", bodies.give)(False)
        good: Any = Task("good", bodies.give)("good")
        spare: Any = Task("spare", bodies.give)("spare")
        flagged: Any = Task("flagged", bodies.give)("flagged").when(off.out)
        bad = Task("bad", bodies.fail)()
        behind: Any = Task("behind", bodies.give)(bad.out)
        two: Any = (good | flagged | behind | spare).require(at_least(2)) >> Task("two", bodies.collect)
        both: Any = (good | flagged).require(all) >> Task("both", bodies.collect)
        run = end(runner, built(off, good, spare, flagged, bad, behind, two, both, returns=off))
        assert (states(run)["two"], states(run)["both"]) == ("succeeded", "skipped")
        assert run.state is RunState.SUCCEEDED

    def test_several_readers_of_one_group(self, runner: Runner) -> None:
        """Each is fed, or each is skipped."""
        tasks = members("of")
        readers = reader("x", *tasks) | reader("y", *tasks)
        wired = group(tasks).require(any) >> readers
        run = end(runner, built(*tasks, *wired.members))
        assert {id: str(run.tasks[id].state) for id in ("x", "y")} == dict.fromkeys("xy", "succeeded")

    @needs("runs_side_by_side")
    def test_it_starts_before_the_slow_ones_have_ended(self, runner: Runner, book: Notebook) -> None:
        """Those that have not ended count as skipped, and go on."""
        quick = [Task(f"quick_{k}", bodies.give)(k) for k in range(2)]
        slow = Task("slow", bodies.door)(book, "door")
        early: Any = (quick[0] | quick[1] | slow).require(at_least(2)) >> reader("early", *quick, slow)
        late: Any = Task("late", bodies.outcome_of)(slow.outcome)
        handle = runner.start(built(slow, *quick, early, late))
        watch = Watch(handle)
        try:
            watch.until(TaskSucceeded, task="early")
            assert handle.state == "running"
        finally:
            book.mark("door-open")
        run = handle.wait(PATIENCE)
        assert run["early"][:2] == ["ok 0", "ok 1"]
        assert run["early"][2] == "skipped: not waited for: at least 2 was enough"
        assert (run["slow"], states(run)["slow"], run.state) == ("door", "succeeded", RunState.SUCCEEDED)
        order = [(type(event), event.task) for event in watch.all() if isinstance(event, TaskStarted | TaskSucceeded)]
        assert order.index((TaskSucceeded, "early")) < order.index((TaskSucceeded, "slow"))

    @needs("runs_side_by_side")
    def test_it_is_skipped_before_the_slow_ones_have_ended(self, runner: Runner, book: Notebook) -> None:
        """As soon as the rule can no longer be met; who takes the outcome of what is skipped makes up for it."""
        bad, slow = Task("bad", bodies.fail)(), Task("slow", bodies.door)(book, "door")
        reads: Any = (bad | slow).require(all) >> reader("reads", bad, slow)
        told: Any = Task("told", bodies.outcome_of)(reads.outcome)
        handle = runner.start(built(bad, slow, reads, told), check=False)
        watch = Watch(handle)
        try:
            watch.until(TaskSucceeded, task="told")
        finally:
            book.mark("door-open")
        run = handle.wait(PATIENCE)
        assert (run["slow"], states(run)["reads"], run.state) == ("door", "skipped", RunState.SUCCEEDED)

    @needs("runs_side_by_side")
    def test_the_rest_can_be_cancelled(self, runner: Runner, book: Notebook) -> None:
        """What nobody else needs is called off, plain or async; the run does not wait for it."""
        ready = Task("ready", growing.waits)(book, "slow-in")
        quick = Task("quick", bodies.give)(1).after(ready)
        slow: Any = Task("slow", bodies.until_told)(book, "slow")
        later: Any = Task("later", bodies.too_long_later)(book)
        group = (quick | slow | later).require(at_least(1, cancel_rest=True))
        reads: Any = group >> reader("reads", quick, slow, later)
        handle = runner.start(built(ready, quick, slow, later, reads))
        watch = Watch(handle)
        run = handle.wait(PATIENCE)
        assert (run.state, states(run)["slow"], states(run)["later"]) == (
            RunState.SUCCEEDED,
            "cancelled",
            "cancelled",
        )
        assert run["reads"][0] == "ok 1"
        assert run.tasks["slow"].reason == "nobody needs it any more: its group has what it requires"
        assert {event.task for event in watch.all() if isinstance(event, TaskCancelled)} == {"slow", "later"}

    @needs("runs_side_by_side")
    def test_what_somebody_else_needs_is_not_cancelled(self, runner: Runner, book: Notebook) -> None:
        """It ends as it ends."""
        quick, slow = Task("quick", bodies.give)(1), Task("slow", bodies.door)(book, "door")
        reads: Any = (quick | slow).require(at_least(1, cancel_rest=True)) >> reader("reads", quick, slow)
        opens = Task("opens", bodies.open_door)(book, "door", reads.out)
        other = Task("other", bodies.give)(slow.out)
        run = end(runner, built(quick, slow, reads, opens, other))
        assert (run.state, run["other"]) == (RunState.SUCCEEDED, "door")

    def test_a_broken_rule_fails_what_comes_after(self, runner: Runner) -> None:
        """With its own error, without an attempt; the members and all else are untouched."""
        raises = required("oo", growing.Raises(), "raises.")
        mumbles = required("oo", growing.Mumbles(), "mumbles.")
        after = Task("next", bodies.give)(raises[-1].out)
        run = end(runner, built(*raises, *mumbles, after, Task("other", bodies.give)(1)))
        assert run.state is RunState.FAILED
        assert states(run) == {
            **{f"{case}.{id}": "succeeded" for case in ("raises", "mumbles") for id in ("a", "b")},
            "raises.reads": "failed",
            "mumbles.reads": "failed",
            "next": "skipped",
            "other": "succeeded",
        }
        raised: Any = run.outcome(raises[-1])
        mumbled: Any = run.outcome(mumbles[-1])
        assert (type(raised.error), str(raised.error)) == (LookupError, "no such rule")
        assert type(mumbled.error) is GroupRuleError
        assert "decided 'perhaps'; it has to be True, False or None" in str(mumbled.error)
        assert run.tasks["raises.reads"].attempts == run.tasks["mumbles.reads"].attempts == 0

    def test_groups_inside_of_a_nested_workflow(self, runner: Runner) -> None:
        """A rule knows the members by the ids that they had when the group was made."""
        rules = {"least": at_least(1), "critical": critical("a"), "own": growing.Majority()}
        nested = [built(*required("oof", rule), name="inner").as_task(id) for id, rule in rules.items()]
        run = end(runner, built(*nested))
        assert run.state is RunState.SUCCEEDED
        for id in rules:
            assert states(run)[f"{id}/reads"] == "succeeded"
            assert run[id][0] in {"ok a", "skipped: not waited for: at least 1 was enough"}
