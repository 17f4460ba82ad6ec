"""Stacks of families, and blocks of tasks with equal neighbours."""

from graflow.show.fold import fold
from graflow.show.picture import Picture, PictureTask


def fan(ids: list[str], **facts: str) -> Picture:
    """One task before and one after all of ``ids``."""
    names = ["split", *ids, "join"]
    last = len(names) - 1
    edges = [(0, i, "part") for i in range(1, last)] + [(i, last, "parts") for i in range(1, last)]
    return Picture("fan", tuple(PictureTask(id, id, **facts) for id in names), tuple(edges))


BATCHES = [f"batch_{i}" for i in range(20)]


def test_a_family_becomes_a_stack() -> None:
    folded = fold(fan(BATCHES))
    assert [task.label for task in folded.picture.tasks] == ["split", "batch_* × 20", "join"]
    assert folded.picture.edges == ((0, 1, "part"), (1, 2, "parts"))
    assert folded.members == ((0,), tuple(range(1, 21)), (21,))
    assert [folded.is_stack(at) for at in range(3)] == [False, True, False]


def test_a_small_family_is_left_alone() -> None:
    drawn = fan(BATCHES[:12])
    assert fold(drawn).picture == drawn


def test_only_the_last_number_may_differ() -> None:
    folded = fold(fan([f"part{i}_of_20" for i in range(20)]), blocks_above=0)
    assert not any(folded.is_stack(at) for at in range(len(folded.picture.tasks)))
    assert fold(fan([f"v2_part{i}x" for i in range(20)])).picture.tasks[1].label == "v2_part*x × 20"


def test_other_signatures_levels_and_clusters_are_other_families() -> None:
    tasks = [PictureTask(f"t_{i}", f"t_{i}", detail="int" if i % 2 else "str") for i in range(10)]
    assert [task.label for task in fold(Picture("p", tuple(tasks), ()), 3).picture.tasks] == ["t_* × 5", "t_* × 5"]
    chain = Picture(
        "p", tuple(PictureTask(f"t_{i}", f"t_{i}") for i in range(10)), tuple((i, i + 1, "") for i in range(9))
    )
    assert fold(chain, 3).picture == chain
    parted = Picture("p", tuple(PictureTask(f"t_{i}", f"t_{i}", cluster=(str(i % 2),)) for i in range(10)), ())
    assert len(fold(parted, 3).picture.tasks) == 2


def test_tasks_with_equal_neighbours_become_a_block() -> None:
    names = [f"{a}{b}" for a in "abcd" for b in "vwxyz"]
    folded = fold(fan(names))
    assert folded.blocks == {1}
    assert folded.members[1] == tuple(range(1, 21))
    assert folded.picture.edges == ((0, 1, "part"), (1, 2, "parts"))
    assert not folded.is_stack(1)


def test_without_stacks_a_family_is_a_block() -> None:
    assert fold(fan(BATCHES), 0).blocks == {1}
    assert fold(fan(BATCHES), 0, 0).picture == fan(BATCHES)


def test_merged_tasks_keep_every_edge_leading_forward() -> None:
    # load_i before clean_i, listed pair by pair: merging must reorder
    tasks, edges = [], []
    for i in range(20):
        tasks += [PictureTask(f"load_{i}", "l"), PictureTask(f"clean_{i}", "c")]
        edges.append((2 * i, 2 * i + 1, "rows"))
    folded = fold(Picture("pairs", tuple(tasks), tuple(edges)))
    assert [task.id for task in folded.picture.tasks] == ["load_*", "clean_*"]
    assert folded.picture.edges == ((0, 1, "rows"),)


def test_a_stack_fares_as_its_worst_member_and_takes_as_long_as_its_slowest() -> None:
    states = ["succeeded"] * 18 + ["failed", "skipped"]
    tasks = [PictureTask(f"t_{i}", "t", state=state, seconds=float(i)) for i, state in enumerate(states)]
    [stack] = fold(Picture("p", tuple(tasks), ())).picture.tasks
    assert (stack.state, stack.seconds) == ("failed", 19.0)
    tasks = [PictureTask(f"t_{i}", "t", state="running" if i else "succeeded", critical=i == 7) for i in range(20)]
    [stack] = fold(Picture("p", tuple(tasks), ())).picture.tasks
    assert (stack.state, stack.seconds, stack.critical) == ("running", None, True)
