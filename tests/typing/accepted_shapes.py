"""What both type checkers must accept of workflows that grow while they run. It is also run: what is accepted works."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, assert_type

from graflow import (
    Channel,
    Failed,
    Group,
    LocalRunner,
    MapTask,
    Ok,
    Outcome,
    Run,
    RunHandle,
    Signal,
    Skipped,
    Standing,
    Task,
    TaskRecord,
    Workflow,
    WorkflowBuilder,
    at_least,
    continue_with,
    critical,
    each,
    first_of,
    signal,
    stop_run,
    task,
)

from .definitions import (
    Decision,
    Row,
    SalesInput,
    Scaled,
    approve,
    clean,
    extract,
    fetch,
    is_big,
    label,
    mean,
    names,
    ping,
    plain,
    progress,
    sales,
    score,
    shout,
    summary,
    total,
    weigh,
)

INLINE = LocalRunner(executor="inline")

# --- maps ---

scored = score.map(row=clean.each, weight=2.0)
assert_type(scored, MapTask[float])
as_task: Task[[], list[float]] = scored
assert_type(scored.out, list[float])
assert_type(scored.out[0], float)
assert_type(scored.outcome, list[Ok[float] | Failed | Skipped])
assert_type(scored.outcome[0], Ok[float] | Failed | Skipped)
assert_type(scored.named("other"), MapTask[float])
assert_type(scored.named("other").outcome, list[Ok[float] | Failed | Skipped])
assert_type(scored.after(ping).when(is_big.out).with_policy(max_items=10), MapTask[float])
assert_type(scored.each, float)
assert_type(clean.each, Row)
assert_type(clean(extract.out).each.price, float)
assert_type(each(clean.out), Row)
assert_type(each(summary.out.names), str)
assert_type(score.map(clean.each), MapTask[float])
assert_type(score.map(each(clean.out)), MapTask[float])
assert_type(score.map(row=clean.each, weight=scored.each), MapTask[float])
assert_type(label.map(row=clean.each, name=names.each), MapTask[str])
assert_type(label.map(clean.each, name=clean.each.name), MapTask[str])
assert_type(fetch.map(url=names.each), MapTask[bytes])
assert_type(fetch.map(url=names.each).out, list[bytes])
assert_type(Scaled(3).execute.map(total.map([clean.each]).each), MapTask[str])


@task
def add_up(parts: list[float], ends: list[Outcome[float]] | None = None) -> float:
    return sum(parts)


assert_type(scored >> add_up, Task[[], float])
assert_type(add_up(scored.out, ends=scored.outcome), Task[[], float])
assert_type((scored | names) >> ping, Task[[], None])
assert_type(scored | names, Group[list[float], list[str]])

builder = Workflow.builder("b").add(extract, Path("a")).add(clean, rows=extract.out)
assert_type(builder.map(score, row=clean.each, weight=2.0), WorkflowBuilder[None, list[float]])
assert_type(builder.map(score, clean.each).then(add_up), WorkflowBuilder[None, float])
assert_type(builder.map(score, clean.each).build(), Workflow[None, list[float]])
assert_type(builder.add(scored).build(), Workflow[None, list[float]])
assert_type(builder.add(scored).build(returns=scored), Workflow[None, list[float]])

# --- flags ---

assert_type(total(clean.out).when(is_big.out), Task[[], int])
assert_type(total.unless(is_big.out)(clean.out), Task[[], int])
assert_type(shout("x").when(True).unless(False), Task[[], str])
assert_type(shout("x").when(approve.out.approved), Task[[], str])
assert_type(approve.when(is_big.out), Signal[Decision])

# --- choices ---

assert_type(first_of(total, names), Task[[], int | list[str]])
assert_type(first_of(total, names, is_big), Task[[], int | list[str] | bool])
assert_type(first_of(total, names, is_big, score), Task[[], int | list[str] | bool | float])
assert_type(first_of(total, names, is_big, score, ping, shout), Task[[], Any])
assert_type(first_of(total(clean.out).when(is_big.out), total.named("t2"), id="either"), Task[[], int])
assert_type(first_of(scored, names).out, list[float] | list[str])
shout(first_of(shout, label).out)

# --- going on, stopping ---


@task(max_continuations=5000)
def countdown(n: int) -> int:
    return continue_with(countdown(n - 1)) if n else stop_run(0)


@task
async def poll(url: str) -> str:
    return continue_with(poll(url + "/")) if len(url) < 9 else url


@task
def hand_over(url: str) -> str:
    return continue_with(poll(url))


@task
def whole(path: Path) -> int:
    return continue_with(sales.as_task("sales")(SalesInput(path=path))) if path.name else continue_with(plain_task())


plain_task = plain.as_task("plain")
assert_type(continue_with(poll("u")), str)
assert_type(continue_with(score.map(row=clean([Row(name="a")]).each)), list[float])
assert_type(continue_with(plain_task), int)
assert_type(stop_run([1]), list[int])
assert_type(countdown(3), Task[[], int])
assert_type(poll("u"), Task[[], str])

# --- groups that require something ---


class TwoOrTheFirst:
    """A rule of one's own."""

    def decide(self, standing: Standing) -> bool | None:
        assert_type(standing.pending, frozenset[str])
        return None if standing.pending else len(standing.succeeded) > 1 or standing.members[0] in standing.succeeded


@task
def of_three(a: Outcome[int], b: Outcome[str], c: Outcome[float]) -> bool:
    return isinstance(a, Ok)


@task
def of_four(a: Outcome[int], b: Outcome[str], c: Outcome[float], d: Outcome[None]) -> bool:
    return isinstance(a, Ok)


@task
def of_five(a: Outcome[int], b: Outcome[str], c: Outcome[float], d: Outcome[None], e: Outcome[bool]) -> bool:
    return isinstance(a, Ok)


@task
def of_any(*ends: Outcome[int]) -> int:
    return len(ends)


assert_type((total | shout).require(all), Group[Outcome[int], Outcome[str]])
assert_type((total | shout).require(any) >> weigh, Task[[], str])
assert_type((total | shout).require(at_least(1, cancel_rest=True)) >> weigh, Task[[], str])
assert_type((total | shout).require(critical(total)) >> weigh, Task[[], str])
assert_type((total | shout).require(critical("total")) >> weigh, Task[[], str])
assert_type((total | shout).require(TwoOrTheFirst()) >> weigh, Task[[], str])
assert_type((total | shout).require(all) >> ping, Task[[], None])
assert_type((total | shout | mean).require(at_least(2)) >> of_three, Task[[], bool])
assert_type((total | shout | mean | ping).require(at_least(2)) >> of_four, Task[[], bool])
assert_type((total | shout | mean | ping | is_big).require(any) >> of_five, Task[[], bool])
assert_type((total | shout).require(any) >> (weigh | ping), Group[str, None])
assert_type((total | shout | mean | ping | is_big | label).require(any), Group[*tuple[Any, ...]])

# --- signals ---

assert_type(approve, Signal[Decision])
assert_type(approve.out, Decision)
assert_type(approve.out.approved, bool)
assert_type(approve.outcome, Ok[Decision] | Failed | Skipped)
assert_type(approve.named("again"), Signal[Decision])
assert_type(signal("rows", list[Row]), Signal[list[Row]])
assert_type(signal("n", int, timeout=60), Signal[int])
assert_type(score.map(row=signal("rows", list[Row]).each), MapTask[float])
waits: Task[[], Decision] = approve


def steer(handle: RunHandle[int], by_hand: Signal[float]) -> None:
    handle.send(approve, Decision(approved=True))
    handle.send(approve.named("again"), Decision(approved=False))
    handle.send(by_hand, 1)
    handle.send(signal("rows", list[Row]), [Row(name="a")])
    assert_type(handle.channel(progress), int)


# --- channels ---

assert_type(progress, Channel[int])
assert_type(Channel("rows", list[Row], default=[]), Channel[list[Row]])
assert_type(Channel("maybe", int | None, None), Channel[None])
maybe: Channel[int | None] = Channel("maybe", int | None, default=None)


@task
def count(row: Row) -> int:
    assert_type(progress.get(), int)
    assert_type(progress.update(lambda n: n + 1), int)
    progress.set(progress.get())
    maybe.set(None)
    maybe.set(3)
    return 1


# --- running ---

run = builder.map(count, row=clean.each).map(score, row=clean.each, weight=2.0).build(returns=scored).run(runner=INLINE)
assert_type(run, Run[list[float]])
assert_type(run.value, list[float])
assert_type(run[scored], list[float])
assert_type(run.items(scored), Sequence[TaskRecord])
assert_type(run.items("score"), Sequence[TaskRecord])
assert_type(run.channel(progress), int)
assert_type(run.tasks["score"].items, int | None)

# --- from configuration ---

configured = Workflow.from_config(
    {"name": "c", "tasks": {"shout": {"task": "shout", "inputs": {"name": "x"}}}}, {"shout": shout}
)
assert_type(configured, Workflow[Any, Any])
assert_type(configured.run(runner=INLINE), Run[Any])
assert_type(configured.to_config({"shout": shout}), dict[str, Any])
typed: Workflow[SalesInput, int] = configured
