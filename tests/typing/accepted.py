"""What both type checkers must accept, with the types they must infer. It is also run: what is accepted works."""

from datetime import timedelta
from pathlib import Path
from typing import Any, assert_type

from graflow import (
    Block,
    Cache,
    Exponential,
    Failed,
    Group,
    Limit,
    LocalRunner,
    Ok,
    Outcome,
    Plan,
    QueueBackend,
    Retry,
    Run,
    RunHandle,
    Skipped,
    Task,
    TaskWrapper,
    Workflow,
    WorkflowBuilder,
    inputs,
    task,
    workflow,
)

from .definitions import (
    Row,
    SalesInput,
    Scaled,
    Stats,
    clean,
    extract,
    fetch,
    fetch_again,
    mean,
    ping,
    plain,
    sales,
    shout,
    sources,
    square,
    summary,
    total,
)

INLINE = LocalRunner(executor="inline")

# --- a call binds, and is checked as the function's own ---

assert_type(extract(Path("a")), Task[[], list[Row]])
assert_type(extract(path=Path("a")), Task[[], list[Row]])
assert_type(clean(rows=extract.out), Task[[], list[Row]])
assert_type(clean(extract.out, drop_empty=False), Task[[], list[Row]])
assert_type(mean(total.out, rows=clean.out), Task[[], float])
assert_type(ping(), Task[[], None])
assert_type(extract.fn(Path("a")), list[Row])
assert_type(extract.id, str)
made: Task[[int], int] = TaskWrapper("made", lambda x: x + 10)
assert_type(made(32).out, int)
assert_type(square(3), Task[[], int])

# --- a placeholder is typed as the value, and so are its projections ---

assert_type(extract.out, list[Row])
assert_type(extract.out[0], Row)
assert_type(extract.out[0].price, float)
assert_type(extract.out[0].name, str)
assert_type(extract.out[1:], list[Row])
assert_type(extract(Path("a")).out[0].name, str)
assert_type(summary.out, Stats)
assert_type(summary.out.names[0], str)
assert_type(summary.out.size, int)
shout(extract.out[0].name)
shout(name=summary.out.names[0])
assert_type(inputs(SalesInput), SalesInput)
assert_type(inputs(SalesInput).path, Path)
extract(inputs(SalesInput).path)
clean([extract.out[0], Row(name="b")])

# --- how a task ends is an input like any other ---


@task
def report(end: Outcome[list[Row]], ends: list[Outcome[int]] | None = None) -> str:
    match end:
        case Ok(value):
            assert_type(value, list[Row])
        case Failed(error):
            assert_type(error, BaseException)
        case Skipped(reason):
            assert_type(reason, str)
    return type(end).__name__


assert_type(extract.outcome, Ok[list[Row]] | Failed | Skipped)
assert_type(fetch.outcome, Ok[bytes] | Failed | Skipped)
assert_type(ping.outcome, Ok[None] | Failed | Skipped)
assert_type(plain.as_task("inner").outcome, Ok[int] | Failed | Skipped)
assert_type(report(extract.outcome), Task[[], str])
assert_type(report(end=clean.outcome, ends=[total.outcome, square(3).outcome]), Task[[], str])
started_end = Workflow.builder("end").add(extract, Path("a")).then(clean)
assert_type(started_end.add(report, end=clean.outcome), WorkflowBuilder[None, str])

# --- async tasks give what they are awaited for ---

assert_type(fetch("u"), Task[[], bytes])
assert_type(fetch.out, bytes)
assert_type(fetch_again("u", retries=2).out, bytes)

# --- variants of a task keep its type ---

assert_type(extract.named("x")(Path("a")), Task[[], list[Row]])
assert_type(total.named("x").out, int)
assert_type(total(clean.out).after(ping, extract), Task[[], int])
assert_type(total.with_policy(queue="io")(rows=clean.out), Task[[], int])

# --- policies ---

assert_type(Retry(3), Retry)
assert_type(Retry(attempts=3, backoff=Exponential(initial=0.1), on=ConnectionError).covers(OSError()), bool)
assert_type(Retry(3, on=(OSError, ValueError)).attempts, int)
assert_type(Exponential(timedelta(seconds=1), factor=3, maximum=10).delay(1, "key"), float)
assert_type(Limit("db", 4).at_once, int)
assert_type(Limit(name="db", at_once=4).name, str)
assert_type(Cache(ttl=timedelta(hours=1), version=2), Cache)
assert_type(Cache(60, "a"), Cache)


@task(retry=3, cache=True, priority=2, limit=Limit("db", 4), timeout=timedelta(minutes=1))
def stubborn(n: int) -> int:
    return n


@task(retry=Retry(2), cache=Cache(ttl=60))
async def stubborn_too(n: int) -> int:
    return n


assert_type(stubborn(stubborn_too.out), Task[[], int])
assert_type(stubborn_too(3).with_policy(retry=None).out, int)

# --- methods ---

assert_type(Scaled(3).execute(4), Task[[], str])
assert_type(Scaled(3).execute(x=4).out, str)
assert_type(Scaled(3).execute.named("other")(5), Task[[], str])
assert_type(Scaled.execute(Scaled(3), 4), Task[[], str])
square(2) >> Scaled(3).execute


@task
def shapes(a: int, /, b: str = "", *rest: float, c: bool, **more: int) -> dict[str, int]:
    return {"a": a, **more}


assert_type(shapes(1, c=True), Task[[], dict[str, int]])
shapes(1, "b", 2.0, 3.0, c=False, d=4)

# --- >> and | ---

assert_type(extract(Path("a")) >> clean, Task[[], list[Row]])
assert_type(extract(Path("a")) >> clean >> total, Task[[], int])
assert_type(extract(Path("a")) >> ping, Task[[], None])
assert_type(extract(Path("a")) >> total(clean.out), Task[[], int])
assert_type(ping >> extract(Path("a")), Task[[], list[Row]])
assert_type(sources >> extract, Task[[], list[Row]])
assert_type(total | clean, Group[int, list[Row]])
assert_type(total | clean | ping, Group[int, list[Row], None])
assert_type((total | clean) >> mean, Task[[], float])
assert_type((total | clean) >> ping, Task[[], None])
assert_type(extract(Path("a")) >> (total | clean), Group[int, list[Row]])
assert_type(extract(Path("a")) >> (total | clean) >> mean, Task[[], float])
assert_type((total | clean) >> (ping | ping.named("ping-2")), Group[None, None])
assert_type(extract >> clean(drop_empty=False, rows=extract.out), Task[[], list[Row]])

# --- the builder ---

builder = Workflow.builder("b", inputs=SalesInput)
assert_type(builder, WorkflowBuilder[SalesInput, None])
assert_type(builder.add(extract, path=inputs(SalesInput).path), WorkflowBuilder[SalesInput, list[Row]])
assert_type(builder.add(extract(inputs(SalesInput).path)), WorkflowBuilder[SalesInput, list[Row]])
assert_type(Workflow.builder("b"), WorkflowBuilder[None, None])
started = Workflow.builder("b").add(extract, Path("a"))
assert_type(started.then(clean, drop_empty=False), WorkflowBuilder[None, list[Row]])
assert_type(started.then(total), WorkflowBuilder[None, int])
assert_type(started.add(fetch, url="u"), WorkflowBuilder[None, bytes])
assert_type(started.add_all([ping(), total(extract.out)]), WorkflowBuilder[None, list[Row]])
assert_type(started.add(ping).order(extract, ping), WorkflowBuilder[None, None])
assert_type(started.build(), Workflow[None, list[Row]])
assert_type(started.add(ping).build(returns=extract), Workflow[None, list[Row]])
assert_type(started.build(portable=False), Workflow[None, list[Row]])
assert_type(sales, Workflow[SalesInput, int])
assert_type(plain, Workflow[None, int])
started.include(plain, prefix="p").build()
started.include(sales, SalesInput(path=Path("a")), prefix="p").build()
started.include(sales, prefix="p", inputs=SalesInput(path=Path("a"))).build()
assert_type(Workflow.of("of", extract(Path("a")) >> clean >> total, returns=total), Workflow[None, int])
assert_type(Workflow.of("of", returns=ping), Workflow[None, None])

# --- workflows as tasks ---

assert_type(plain.as_task("inner"), Task[[], int])
assert_type(sales.as_task("inner"), Task[[SalesInput], int])
assert_type(sales.as_task("inner")(SalesInput(path=Path("a"))), Task[[], int])
assert_type(plain.renamed("p"), Workflow[None, int])
assert_type(plain.compile(), Plan)
assert_type(plain.fingerprint, str)

# --- running ---

run = sales.run(SalesInput(path=Path("sales.csv")), runner=INLINE)
assert_type(run, Run[int])
assert_type(run.value, int)
assert_type(run[total], int)
assert_type(run[clean], list[Row])
assert_type(run[mean], float)
assert_type(run["clean-rows"], Any)
assert_type(run.outcome(total), Ok[int] | Failed | Skipped)
assert_type(plain.run(runner=INLINE).value, int)
assert_type(plain.run(runner=INLINE, check=False), Run[int])
assert_type(INLINE.run(plain).value, int)
assert_type(INLINE.run(sales, SalesInput(path=Path("a"))), Run[int])
assert_type(INLINE.start(plain), RunHandle[int])
assert_type(INLINE.start(sales, SalesInput(path=Path("a"))).wait(), Run[int])
match run.outcome(total):
    case Ok(value):
        assert_type(value, int)
    case Failed(error):
        assert_type(error, BaseException)
    case Skipped(reason):
        assert_type(reason, str)


async def waits() -> int:
    finished = await INLINE.start(plain)
    assert_type(finished, Run[int])
    return finished.value


# --- blocks ---

with workflow("outer", inputs=SalesInput) as outer:
    assert_type(outer, Block)
    with workflow("inner") as inner:
        pinged = ping()
    first = extract(inputs(SalesInput).path)
    assert_type(first >> inner, Block)
    assert_type(inner >> ping.named("ping-2"), Task[[], None])
    assert_type(outer.add(total(first.out)), Task[[], int])
    kept = first >> clean
    inner | kept

assert_type(outer.workflow, Workflow[Any, Any])
outer.execute(inputs=SalesInput(path=Path("a")), runner=INLINE)
assert_type(outer.get_result(total), int)
assert_type(outer.get_result(clean), list[Row])
assert_type(outer.get_result("total"), Any)
assert_type(outer.last_run[total], int)
outer.execute(inputs=SalesInput(path=Path("a")), queue_backend=QueueBackend.LOCAL, start_node="extract")
outer.execute(inputs=SalesInput(path=Path("a")), start_node=extract, check=False)
