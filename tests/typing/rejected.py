"""What both type checkers must refuse: exactly the lines marked `# E`, with mypy's code. Never run."""

from pathlib import Path

from graflow import (
    Cache,
    Exponential,
    Limit,
    LocalRunner,
    Outcome,
    Retry,
    Skipped,
    Task,
    Workflow,
    inputs,
    task,
    workflow,
)

from .definitions import (
    OtherInput,
    Row,
    SalesInput,
    Scaled,
    clean,
    extract,
    fetch,
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

# --- a call ---

extract(3)  # E arg-type: wrong type
extract()  # E call-arg: missing
extract(pth=Path("a"))  # E call-arg: misspelt
extract(Path("a"), 2)  # E call-arg: too many
total(rows=extract)  # E arg-type: the task for its result
total(rows=total.out)  # E arg-type: int where list[Row] is wanted
total(row=extract.out)  # E call-arg: misspelt
mean(total.out)  # E call-arg: one is missing
clean(extract.out, drop_empty="yes")  # E arg-type: wrong constant
clean(extract.out, False)  # E call-arg: keyword-only
fetch(Path("a"))  # E arg-type: an async task is checked as well
ping(1)  # E call-arg: takes nothing
square("3")  # E arg-type: a lambda of a declared type
extract.fn("a")  # E arg-type: the plain function
extract(Path("a"))(Path("b"))  # E call-arg: bound already

# --- placeholders ---

shout(extract.out[0])  # E arg-type: Row is no str
shout(extract.out[0].price)  # E arg-type: float is no str
shout(extract.out[0].nme)  # E attr-defined: misspelt
shout(summary.out.size)  # E arg-type: int is no str
total.out[0]  # E index: an int has no items
inputs(SalesInput).pth  # E attr-defined: misspelt
extract(inputs(SalesInput).top)  # E arg-type: int is no Path
inputs(int)  # E type-var: no model
text: str = total.out  # E assignment: int is no str

# --- how a task ends ---


@task
def report(end: Outcome[list[Row]]) -> str:
    return type(end).__name__


total(extract.outcome)  # E arg-type: how it ended is not its result
report(total.outcome)  # E arg-type: Outcome[int] is no Outcome[list[Row]]
report(extract.out)  # E arg-type: the result is not how it ended
total(extract.outcome.value)  # E union-attr: it may have failed
extract.outcome = Skipped("")  # E misc: frozen

# --- frozen ---

extract.id = "other"  # E misc: frozen
extract.out = []  # E misc: frozen

# --- variants ---

total.named(3)  # E arg-type: an id is text
total.after("extract")  # E arg-type: a task, not its id
total.named("x")(extract)  # E arg-type: still checked
total.with_policy(queue="io")()  # E call-arg: still checked

# --- policies ---

Limit("db")  # E call-arg: how many at once?
Limit(4, "db")  # E arg-type: the name comes first
Retry()  # E call-arg: how many attempts?
Retry(attempts="3")  # E arg-type: a number
Retry(3, on="OSError")  # E arg-type: an exception class
Retry(3, on=OSError())  # E arg-type: the class, not an instance of it
Retry(3, backoff=1.5)  # E arg-type: an Exponential
Exponential(initial="1s")  # E arg-type: seconds
Cache(version=1.5)  # E arg-type: a whole number or a text
Retry(3).attempts = 4  # E misc: frozen


@task(retry="3")  # E call-overload: a number or a Retry
def stubborn() -> None: ...


@task(limit=("db", 4))  # E call-overload: a Limit
def limited() -> None: ...


# --- methods ---

Scaled(3).execute("4")  # E arg-type: wrong type
Scaled(3).execute()  # E call-arg: missing
Scaled(3).execute(1, 2)  # E call-arg: too many
total(Scaled(3).execute(4).out)  # E arg-type: str is no list[Row]

# --- >> and | ---

total >> clean  # E operator: int into list[Row]
extract >> mean  # E operator: two are wanted
total >> extract  # E operator: int into Path
sources >> total  # E operator: Path into list[Row]
extract(Path("a")) >> clean >> extract  # E operator: at the end of a chain
(clean | total) >> mean  # E operator: swapped
(total | clean | ping) >> mean  # E operator: one too many
(total | total) >> mean  # E operator: the second is wrong
total >> 3  # E operator: no task
total | 3  # E operator: no task

# --- the builder ---

Workflow.builder("a").add(extract, path=3)  # E arg-type: wrong type
Workflow.builder("a").add(extract)  # E call-arg: missing
Workflow.builder("a").add(extract, pth=Path("a"))  # E call-arg: misspelt
Workflow.builder("a").add(extract.fn, Path("a"))  # E arg-type: a function is no task
Workflow.builder("a").add(extract, Path("a")).then(mean, rows=clean.out)  # E arg-type: list[Row] into int
Workflow.builder("a").add(extract, Path("a")).then(clean, drop_empty=3)  # E arg-type: wrong constant
Workflow.builder("a").add(ping).then(total)  # E arg-type: None into list[Row]
Workflow.builder("a").add(fetch, url=Path("a"))  # E arg-type: wrong type for an async task
Workflow.builder("a").add_all([extract])  # E list-item: not bound
Workflow.builder("a").order("extract", "clean")  # E arg-type: ids are no tasks
Workflow.builder("a", inputs=int)  # E type-var: no model
Workflow.builder("a").include(sales, prefix="p")  # E arg-type: inputs missing
Workflow.builder("a").include(sales, OtherInput(name="a"), prefix="p")  # E misc: other inputs
Workflow.builder("a").include(plain, SalesInput(path=Path("a")), prefix="p")  # E misc: takes none
Workflow.builder("a").build(returns="extract")  # E call-overload: a task, not its id
value: str = Workflow.builder("a").add(total, [Row(name="a")]).build().run().value  # E assignment: int is no str
Workflow.of("a", extract(Path("a")), returns=3)  # E arg-type: no task

# --- running ---

plain.run(SalesInput(path=Path("a")))  # E arg-type: takes no inputs
sales.run()  # E call-arg: inputs missing
sales.run(OtherInput(name="a"))  # E arg-type: other inputs
sales.run({"path": "a"})  # E arg-type: no model
number: str = plain.run()[total]  # E assignment: int is no str
rows: list[int] = plain.run()[clean]  # E index: list[Row]
LocalRunner("gpu")  # E arg-type: no such executor
sales.as_task("s")(OtherInput(name="a"))  # E arg-type: other inputs
sales.as_task("s")()  # E call-arg: inputs missing
plain.as_task("s")(3)  # E call-arg: takes none
shout(plain.as_task("s").out)  # E arg-type: int is no str

# --- blocks ---

with workflow("w") as wf:
    wf.add(3)  # E arg-type: no task
    wf >> 3  # E operator: no task
names: list[str] = wf.get_result(total)  # E arg-type: int is no list[str]
wf.execute(start_node=3)  # E arg-type: an id or a task
workflow("w", inputs=SalesInput(path=Path("a")))  # E arg-type: the class, not an instance

# --- making tasks ---


@task(timeout="soon")  # E call-overload: seconds
def late() -> None: ...


Task("t", 3)  # E arg-type: not callable
wrong: Task[[str], int] = Task("t", len)(3)  # E assignment: bound
