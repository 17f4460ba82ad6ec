"""Random graphs, written down in random order as a builder, a block and an expression, are one and the same workflow.

Each is run, inline and in threads, and must give what a naive evaluator gives that knows nothing of the library.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from graflow import LocalRunner, Task, Workflow, WorkflowBuilder, task, workflow

INLINE = LocalRunner(executor="inline")
THREADS = LocalRunner(executor="threads", max_workers=3)


# --- what is drawn ---


@dataclass(frozen=True)
class Spec:
    """One task: its function, where its inputs come from, what it runs after."""

    id: str
    shape: str
    """The name of a function in `FUNCTIONS`."""
    reads: tuple[int, ...]
    """Indexes of earlier tasks, one for each input."""
    after: tuple[int, ...]
    constant: int


def source(constant: int) -> int:
    return constant


def unary(x: int, constant: int) -> int:
    return 3 * x + constant


def binary(x: int, y: int, constant: int = 0) -> int:
    return 5 * x - 7 * y + constant


def gather(parts: list[int], *, constant: int) -> int:
    return sum(k * part for k, part in enumerate(parts, 1)) + constant


def keyed(parts: dict[str, int], constant: int) -> int:
    return sum(len(name) * part for name, part in parts.items()) - constant


def spread(*parts: int, constant: int = 0, **named: int) -> int:
    return sum(parts) * 2 + sum(named.values()) + constant


FUNCTIONS: dict[str, Callable[..., int]] = {
    each.__name__: each for each in (source, unary, binary, gather, keyed, spread)
}
TASKS: dict[str, Task[..., int]] = {name: task(fn) for name, fn in FUNCTIONS.items()}
COUNTS = {"source": 0, "unary": 1, "binary": 2}


@st.composite
def graphs(draw: st.DrawFn) -> list[Spec]:
    """Tasks in an order in which each reads only earlier ones; their ids are in no such order."""
    n = draw(st.integers(1, 9))
    names = draw(st.permutations([f"t{k}" for k in range(n)]))
    specs = []
    for k in range(n):
        earlier = st.integers(0, k - 1) if k else st.nothing()
        shape = draw(st.sampled_from(sorted(FUNCTIONS))) if k else "source"
        count = COUNTS.get(shape, draw(st.integers(0, 3)))
        reads = tuple(draw(st.lists(earlier, min_size=count, max_size=count)) if k else ())
        after = tuple(draw(st.lists(earlier, max_size=3)) if k else ())
        specs.append(Spec(names[k], shape, reads, after, draw(st.integers(-5, 5))))
    return specs


# --- what must come out ---


def evaluated(specs: list[Spec]) -> dict[str, int]:
    """The results, by plain calls."""
    values: list[int] = []
    for spec in specs:
        given_ = [values[k] for k in spec.reads]
        args, kwargs = inputs_of(spec, given_)
        values.append(FUNCTIONS[spec.shape](*args, **kwargs))
    return {spec.id: value for spec, value in zip(specs, values, strict=True)}


def edges_of(specs: list[Spec]) -> set[tuple[str, str, bool]]:
    data = {(specs[u].id, spec.id, True) for spec in specs for u in spec.reads}
    order = {(specs[u].id, spec.id, False) for spec in specs for u in spec.after}
    return data | {(u, d, False) for u, d, _ in order if (u, d, True) not in data}


def inputs_of(spec: Spec, given_: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    match spec.shape:
        case "gather":
            return (given_,), {"constant": spec.constant}
        case "keyed":
            return ({"x" * (k + 1): one for k, one in enumerate(given_)}, spec.constant), {}
        case "spread":
            return tuple(given_[:-1]), {"constant": spec.constant, **({"last": given_[-1]} if given_ else {})}
    return (*given_, spec.constant), {}


# --- the three forms ---


def references(specs: list[Spec]) -> list[Task[..., int]]:
    """The bare tasks, by which others refer to them."""
    return [TASKS[spec.shape].named(spec.id) for spec in specs]


def bind(spec: Spec, bare: list[Task[..., int]], pick: Callable[[int], int]) -> Task[..., int]:
    """The task with its inputs, spelt in one of several equal ways."""
    own = TASKS[spec.shape].named(spec.id)
    args, kwargs = inputs_of(spec, [bare[k].out for k in spec.reads])
    way = pick(4)
    if spec.shape == "unary" and way == 0:
        return own(constant=spec.constant, x=args[0])
    if spec.shape == "binary" and way == 0:
        return own(y=args[1])(args[0])(constant=args[2])
    if spec.shape == "binary" and way == 1 and spec.reads[0] != spec.reads[1]:
        fed: Task[..., int] = (bare[spec.reads[0]] | bare[spec.reads[1]]) >> own(constant=spec.constant)
        return fed
    if spec.shape == "unary" and way == 1:
        wired: Task[..., int] = bare[spec.reads[0]] >> own(constant=spec.constant)
        return wired
    if spec.shape == "keyed" and way == 0:
        return own({key: args[0][key] for key in reversed(list(args[0]))}, constant=args[1])
    return own(*args, **kwargs)


def by_builder(specs: list[Spec], order: list[int], pick: Callable[[int], int]) -> Workflow[None, int]:
    bare = references(specs)
    builder: WorkflowBuilder[Any, Any] = Workflow.builder("w")
    orders: list[tuple[int, int]] = []
    for k in order:
        bound = bind(specs[k], bare, pick)
        for u in specs[k].after:
            if pick(2):
                bound = bound.after(bare[u])
            else:
                orders.append((u, k))
        builder = builder.add_all([bound]) if pick(2) else builder.add(bound)
    for u, d in orders:
        builder = builder.order(bare[u], bare[d])
    return builder.build(returns=bare[-1])


def by_expression(specs: list[Spec], order: list[int], pick: Callable[[int], int]) -> Workflow[None, int]:
    bare = references(specs)
    versions: list[Task[..., int]] = []
    for k in order:
        bound = bind(specs[k], bare, pick)
        for u in specs[k].after:
            if pick(2):
                versions.append(bare[k].after(bare[u]))
            else:
                bound = bound.after(bare[u])
        versions.append(bound)
    return Workflow.of("w", *versions, returns=bare[-1])


def by_block(specs: list[Spec], order: list[int], pick: Callable[[int], int]) -> Workflow[None, int]:
    bare = references(specs)
    with workflow("w") as wf:
        for k in order:
            bound = bind(specs[k], bare, pick)
            for u in specs[k].after:
                if pick(2):
                    bare[u] >> bound  # every required parameter has its input: this only orders
                else:
                    bound = bound.after(bare[u])
            wf.add(bound)
        # The task added last is what the block returns.
        _ = wf.add(bind(specs[-1], bare, pick).named(specs[-1].id))
    return wf.workflow


def same(a: Workflow[Any, Any], b: Workflow[Any, Any]) -> None:
    """Equal in every respect in which workflows can be compared."""
    assert a == b
    assert hash(a) == hash(b)
    assert a.fingerprint == b.fingerprint
    assert a.edges == b.edges
    assert list(a.tasks.items()) == list(b.tasks.items())
    assert not a.diff(b)
    mine, theirs = a.compile(), b.compile()
    assert mine == theirs
    for part in ("ids", "returns", "function_of"):
        assert _plain(getattr(mine, part)) == _plain(getattr(theirs, part)), part
    assert mine.to_json() == theirs.to_json()
    assert [mine.ids[i] for i in mine.order if i < len(mine)] == [
        theirs.ids[i] for i in theirs.order if i < len(theirs)
    ]


def _plain(part: Any) -> Any:
    return part if isinstance(part, int | str) else list(part)


@given(specs=graphs(), data=st.data())
def test_every_form_in_every_order_is_the_same_workflow(specs: list[Spec], data: st.DataObject) -> None:
    def pick(n: int) -> int:
        return data.draw(st.integers(0, n - 1))

    plain = by_builder(specs, list(range(len(specs))), lambda n: n - 1)
    assert {(edge.upstream, edge.downstream, edge.data) for edge in plain.edges} == edges_of(specs)
    for form in (by_builder, by_expression, by_block):
        order = data.draw(st.permutations(range(len(specs))))
        same(form(specs, order, pick), plain)


@given(specs=graphs())
def test_a_run_gives_what_plain_calls_give(specs: list[Spec]) -> None:
    expected = evaluated(specs)
    built = by_builder(specs, list(range(len(specs))), lambda n: n - 1)
    for runner in (INLINE, THREADS):
        run = built.run(runner=runner)
        assert {id: run[id] for id in run.tasks} == expected
        assert run.value == expected[specs[-1].id]


@given(specs=graphs(), data=st.data())
def test_nothing_runs_before_what_it_waits_for(specs: list[Spec], data: st.DataObject) -> None:
    seen: list[str] = []
    tasks: list[Task[..., Any]] = []
    for spec in specs:
        marked = Task(spec.id, (lambda id: lambda: seen.append(id))(spec.id))
        tasks.append(marked.after(*(tasks[u] for u in (*spec.reads, *spec.after))))
    order = data.draw(st.permutations(range(len(specs))))
    built = Workflow.builder("w").add_all(tasks[k] for k in order).build()
    built.run(runner=data.draw(st.sampled_from([INLINE, THREADS])))
    assert sorted(seen) == sorted(spec.id for spec in specs)
    for spec in specs:
        for u in (*spec.reads, *spec.after):
            assert seen.index(specs[u].id) < seen.index(spec.id)


@given(specs=graphs(), data=st.data())
def test_what_is_changed_is_not_the_same(specs: list[Spec], data: st.DataObject) -> None:
    k = data.draw(st.integers(0, len(specs) - 1))
    spec = specs[k]
    changes = [Spec(spec.id, spec.shape, spec.reads, spec.after, spec.constant + 1)]
    unused = [u for u in range(k) if u not in spec.after and u not in spec.reads]
    changes += [Spec(spec.id, spec.shape, spec.reads, (*spec.after, u), spec.constant) for u in unused[:1]]
    if spec.reads and k > 1:
        other = next((u for u in range(k) if u != spec.reads[0]), None)
        assert other is not None
        changes.append(Spec(spec.id, spec.shape, (other, *spec.reads[1:]), spec.after, spec.constant))
    plain = by_builder(specs, list(range(len(specs))), lambda n: n - 1)
    for change in changes:
        changed = by_builder([*specs[:k], change, *specs[k + 1 :]], list(range(len(specs))), lambda n: n - 1)
        assert changed != plain
        assert changed.fingerprint != plain.fingerprint
        assert changed.diff(plain).rewired == (spec.id,)


LAYERS = st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=4, unique=True), min_size=2, max_size=4)


@given(layers=LAYERS, extra=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("ABCDEFGH")), max_size=4))
@example(layers=[["a", "b"], ["c", "d"]], extra=[("h", "C")])
def test_a_gate_is_the_same_as_its_edges(layers: list[list[str]], extra: list[tuple[str, str]]) -> None:
    """Groups after groups: every left before every right, however it is drawn."""
    tick = Task("tick", lambda: None)

    def name(depth: int, letter: str) -> str:
        return f"{letter}{depth}"

    gated: list[Task[..., Any]] = []
    drawn: dict[str, Task[..., Any]] = {}
    for depth, layer in enumerate(layers):
        members = [tick.named(name(depth, letter)) for letter in layer]
        for one in members:
            drawn[one.id] = one
        if depth:
            lefts = [tick.named(name(depth - 1, letter)) for letter in layers[depth - 1]]
            gated += joined(lefts, members)
            for one in members:
                drawn[one.id] = drawn[one.id].after(*lefts)
        else:
            gated += members
    ids = sorted(drawn)
    for low, high in extra:  # edges beside the gates, always from a task that sorts and lies before
        left, right = tick.named(f"{low}x"), tick.named(ids[ord(high) % len(ids)])
        gated.append(right.after(left))
        drawn[right.id] = drawn[right.id].after(left)
    last = tick.named(ids[-1])
    same(Workflow.of("w", *gated, returns=last), Workflow.of("w", *drawn.values(), returns=last))


def joined(lefts: list[Task[..., Any]], rights: list[Task[..., Any]]) -> list[Task[..., Any]]:
    """``(a | b) >> (c | d)`` for lists."""

    def side(tasks: list[Task[..., Any]]) -> Any:
        group: Any = tasks[0]
        for one in tasks[1:]:
            group = group | one
        return group

    right = side(lefts) >> side(rights)
    return list(right.members) if len(rights) > 1 else [right]


@pytest.mark.parametrize("form", [by_builder, by_expression, by_block])
def test_a_single_task(form: Callable[..., Workflow[None, int]]) -> None:
    spec = Spec("t", "source", (), (), 3)
    built = form([spec], [0], lambda n: n - 1)
    same(built, Workflow.of("w", TASKS["source"].named("t")(3), returns=TASKS["source"].named("t")(3)))
    assert built.run(runner=INLINE).value == 3
