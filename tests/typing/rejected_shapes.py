"""What both type checkers must refuse of workflows that grow while they run: the lines marked `# E`. Never run."""

from pathlib import Path

from graflow import (
    Channel,
    LocalRunner,
    MapTask,
    Outcome,
    RunHandle,
    Signal,
    Task,
    Workflow,
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
    approve,
    clean,
    extract,
    fetch,
    is_big,
    names,
    ping,
    plain,
    progress,
    sales,
    score,
    shout,
    square,
    total,
    weigh,
)

# --- maps ---

score.map()  # E call-arg: missing
score.map(weight=2.0)  # E call-arg: missing
score.map(rwo=clean.each)  # E call-arg: misspelt
score.map(row=clean.out)  # E arg-type: the list for one item
score.map(row=clean)  # E arg-type: the task for one item
score.map(row=names.each)  # E arg-type: str is no Row
score.map(row=clean.each.price)  # E arg-type: float is no Row
score.map(row=clean.each, weight=names.each)  # E arg-type: the second is wrong
score.map(row=clean.each, weight="2")  # E arg-type: wrong constant
fetch.map(url=clean.each)  # E arg-type: an async task is checked as well
shout.map(name=clean.each.nme)  # E attr-defined: misspelt
square.map(total.each)  # E misc: an int has no items
each(total.out)  # E arg-type: an int has no items
each(3)  # E arg-type: no items
each(names)  # E arg-type: the task for its result
total(clean.each)  # E arg-type: one item for the list
scored = score.map(row=clean.each)
scored()(3)  # E call-arg: bound already
shout(scored.out)  # E arg-type: a list, not one result
weigh(scored.outcome, name=shout.outcome)  # E arg-type: a list of ends
scored.outcome.value  # E attr-defined: a list of ends has no value
same_length: MapTask[int] = scored  # E assignment: it gives floats
Workflow.builder("a").map(score, row=clean.out)  # E arg-type: the list for one item
Workflow.builder("a").map(score)  # E call-arg: missing
Workflow.builder("a").map(score, clean.each, weight="2")  # E arg-type: wrong constant
Workflow.builder("a").map(score.fn, clean.each)  # E arg-type: a function is no task
Workflow.builder("a").map(score, clean.each).then(total)  # E arg-type: list[float] into list[Row]

# --- flags ---

total.when(is_big)  # E arg-type: the task for its result
total.when(total.out)  # E arg-type: an int is no flag
total.when(is_big.outcome)  # E arg-type: how it ended is no flag
total.when(1)  # E arg-type: a number is no flag
total.when("is_big")  # E arg-type: an id is no flag
total.unless(names.out)  # E arg-type: a list is no flag
total.unless(is_big)  # E arg-type: the task for its result
total.when(approve.out)  # E arg-type: a part of it is a flag, but not the whole
total.when(is_big.out)()  # E call-arg: still checked

# --- choices ---

first_of()  # E call-overload: at least two
first_of(total)  # E call-overload: at least two
first_of(total, "shout")  # E call-overload: an id is no task
first_of(total.out, shout.out)  # E call-overload: tasks, not results
shout(first_of(shout, total).out)  # E arg-type: it may be an int
first_of(total, shout, id=3)  # E call-overload: an id is text

# --- going on, stopping ---


@task
def wrong_type(n: int) -> str:
    return continue_with(total([]))  # E return-value: int is no str


@task
async def wrong_type_later(url: str) -> str:
    return continue_with(fetch(url))  # E return-value: bytes are no str


@task
def wrong_workflow(path: Path) -> str:
    return continue_with(sales.as_task("s")(SalesInput(path=path)))  # E return-value: int is no str


@task
def list_for_one(n: int) -> float:
    return continue_with(scored)  # E return-value: list[float] is no float


@task
def stops(n: int) -> str:
    return stop_run(n)  # E return-value: int is no str


continue_with(total)  # E arg-type: an input is missing
continue_with(shout("x").out)  # E arg-type: the task, not its result
continue_with(shout.fn)  # E arg-type: a function is no task
continue_with(plain)  # E arg-type: a workflow is no task yet


@task(max_continuations="many")  # E call-overload: a number
def runaway() -> None: ...


@task(max_items=1.5)  # E call-overload: a whole number
def half() -> None: ...


# --- groups that require something ---


@task
def of_results(a: int, b: str) -> bool:
    return a > len(b)


@task
def of_three(a: Outcome[int], b: Outcome[str], c: Outcome[bytes]) -> bool:
    return True


class NoRule:
    def decide(self, standing: int) -> bool | None:
        return True


(total | shout).require(all) >> of_results  # E operator: outcomes, not results
(total | shout) >> weigh  # E operator: nothing is required: results, not outcomes
(shout | total).require(all) >> weigh  # E operator: swapped
(total | shout | names).require(all) >> of_three  # E operator: the third is wrong
(total | shout).require(all) >> of_three  # E operator: one too few
(total | shout | fetch).require(all) >> weigh  # E operator: one too many
(total | shout | fetch | ping).require(all) >> of_three  # E operator: one too many
(total | shout | fetch | ping | names).require(all) >> of_three  # E operator: two too many
(total | shout).require(2)  # E call-overload: no rule
(total | shout).require("all")  # E call-overload: no rule
(total | shout).require(at_least)  # E arg-type: how many?
(total | shout).require(NoRule())  # E call-overload: it decides by something else
total.require(all)  # E attr-defined: one task is no group
at_least("2")  # E arg-type: a number
at_least(1, True)  # E call-arg: by name
critical(total.out)  # E arg-type: the task, not its result
critical(3)  # E arg-type: no task

# --- signals ---

signal("approve")  # E call-arg: a signal of what?
signal("approve", "bool")  # E arg-type: the class, not its name
signal(bool, "approve")  # E arg-type: the id comes first
signal("approve", Decision, timeout="1h")  # E arg-type: seconds
approve(Decision(approved=True))  # E call-arg: it takes no inputs
shout(approve.out)  # E arg-type: a Decision is no str
wider: Signal[object] = approve  # E assignment: what is sent would not be checked
narrower: Signal[bool] = signal("n", int)  # E arg-type: any int may come
other: Task[[], bool] = approve  # E assignment: it gives a Decision


def steer(handle: RunHandle[int]) -> None:
    handle.send(approve, True)  # E misc: a bool is no Decision
    handle.send(approve, Row(name="a"))  # E misc: a Row is no Decision
    handle.send(approve, {"approved": True})  # E misc: a dict is no Decision
    handle.send(approve)  # E call-arg: nothing to send
    handle.send(total, 3)  # E arg-type: a task is no signal
    handle.send("approve", Decision(approved=True))  # E arg-type: an id is no signal
    handle.channel("progress")  # E arg-type: a name is no channel
    shout(handle.channel(progress))  # E arg-type: int is no str


# --- channels ---

Channel("progress", int)  # E call-overload: no default
Channel(int, "progress", 0)  # E call-overload: the name comes first
whole: Channel[int] = Channel("w", list[int], [])  # E arg-type: a list is no int
progress.set("3")  # E arg-type: int is no str
progress.set()  # E call-arg: nothing to set
progress.update(3)  # E arg-type: a function of the value
progress.update(lambda n: n.upper())  # E attr-defined: an int has no upper()
progress.update(str)  # E arg-type: it gives a str
shout(progress.get())  # E arg-type: int is no str
progress.default = 3  # E misc: frozen

# --- running ---

run = Workflow.builder("a").add(extract, Path("a")).map(score, row=extract.each).build().run(runner=LocalRunner())
value: float = run.value  # E assignment: a list of them
run.items(score)  # E arg-type: the map, not what is mapped
run.items(3)  # E arg-type: no map
text: str = run.channel(progress)  # E assignment: int is no str

# --- from configuration ---

Workflow.from_config(3)  # E arg-type: a path or a mapping
Workflow.from_config("a.yaml", 3)  # E arg-type: no registry
Workflow.from_config("a.yaml", modules=3)  # E arg-type: names of modules
name: int = Workflow.from_config("a.yaml").name  # E assignment: str is no int
