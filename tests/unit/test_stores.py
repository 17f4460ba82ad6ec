"""What every store does: the same expectations of the one in memory and the one in a file."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.stored import TASKS, entry, item, line, new_run, put, row, successes

from graflow import RunConflictError, StoreError
from graflow.stores import ITEMS, MemoryStore, SQLiteStore, Store
from graflow.stores._common import Tally
from graflow.stores.store import Successes


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "runs.db")
    yield made
    made.close()


def ids(store: Store, **which: object) -> list[str]:
    return [found.id for found in store.runs(**which)]  # type: ignore[arg-type]


def state_of(store: Store, id: str = "run-1") -> str:
    found = store.find(id)
    assert found is not None
    return found.state


class TestARun:
    def test_reads_back_as_it_was_begun(self, store: Store) -> None:
        run = new_run(target='{"target": "flow.py:nightly"}')
        claim = store.create(run)
        stored = store.stored("run-1")
        assert stored[1:] == (run.inputs, run.code, run.ids, run.fingerprints, run.options, [])
        found = stored.row
        assert found._replace(owner="") == (
            ("run-1", "nightly", "running", 1000.0, None, "f-1", "i-1", 3, 0, 0, None, run.target, True, "")
        )
        assert found.owner.rpartition(":")[2].isdigit()
        assert store.find("run-1") == found
        assert store.runs() == [found]
        assert claim.run_id == "run-1"

    def test_written_in_several_goes_reads_back_whole(self, store: Store) -> None:
        claim = store.create(new_run())
        failed = row(1, 1, "failed", error=b"\x00pickle", error_text="ValueError: no")
        store.write(claim, [row(0, result=b"zero"), row(1, 1, "running", seconds=None)], [line(0, 1.0, "one")])
        store.write(claim, [failed], [])
        store.write(claim, [row(1, 2, result=b"")], [line(1, 3.0, "three", 2), line(1, 2.0, "two")])
        store.write(claim, [row(2, 0, "skipped", started=None, seconds=None, worker=None, note="why")], [])
        assert store.stored("run-1").attempts == [
            row(0),
            failed,
            row(1, 2),
            row(2, 0, "skipped", started=None, seconds=None, worker=None, note="why"),
        ]
        assert [store.result("run-1", task) for task in range(3)] == [b"zero", b"", None]
        assert [found.text for found in store.logs("run-1")] == ["one", "two", "three"]
        assert store.logs("run-1", 1) == [line(1, 2.0, "two"), line(1, 3.0, "three", 2)]

    def test_many_rows_in_one_go(self, store: Store) -> None:
        names = tuple(f"t{i}" for i in range(2500))
        claim = store.create(new_run(ids=names, fingerprints=names))
        rows = [row(i, result=b"%d" % i, note=None if i % 3 else "noted") for i in reversed(range(2500))]
        store.write(claim, rows, [line(i, float(i), f"line {i}") for i in range(1111)])
        assert store.stored("run-1").attempts == [found._replace(result=None) for found in reversed(rows)]
        assert all(store.result("run-1", i) == b"%d" % i for i in range(0, 2500, 97))
        assert len(store.logs("run-1")) == 1111
        found = store.find("run-1")
        assert found is not None
        assert (found.tasks, found.succeeded, found.failed) == (2500, 2500, 0)

    def test_a_row_replaces_all_of_the_earlier_one(self, store: Store) -> None:
        claim = store.create(new_run())
        store.write(claim, [row(0, result=b"old", note="old", error=b"old", error_text="old")], [])
        store.write(claim, [row(0, 1, "cancelled", note="new")], [])
        assert store.stored("run-1").attempts == [row(0, 1, "cancelled", note="new")]
        assert store.result("run-1", 0) is None

    def test_of_two_rows_in_one_go_the_later_counts(self, store: Store) -> None:
        claim = store.create(new_run())
        store.write(claim, [row(0, note="long"), row(0, result=b"short")], [])
        store.write(claim, [row(1, result=b"short"), row(1, note="long")], [])
        assert store.stored("run-1").attempts == [row(0), row(1, note="long")]
        assert [store.result("run-1", 0), store.result("run-1", 1)] == [b"short", None]

    def test_a_new_attempt_takes_back_the_end_without_one(self, store: Store) -> None:
        claim = store.create(new_run())
        store.write(claim, [row(0, 1, "failed"), row(0, 0, "cancelled"), row(1, 0, "skipped"), row(1, 1)], [])
        assert store.stored("run-1").attempts == [row(0, 0, "cancelled"), row(0, 1, "failed"), row(1)]
        store.release(claim)
        claim = store.claim("run-1")
        store.write(claim, [row(0, 2, "running")], [])
        assert store.stored("run-1").attempts == [row(0, 1, "failed"), row(0, 2, "running"), row(1)]

    def test_states_are_as_they_are_written(self, store: Store) -> None:
        claim = store.create(new_run())
        waiting = row(0, 1, "awaiting", seconds=None, worker=None)
        store.write(claim, [waiting, row(1, 1, "of a later graflow"), row(2, 1, "failed")], [])
        store.release(claim)
        claim = store.claim("run-1")
        assert [found.state for found in store.stored("run-1").attempts] == ["awaiting", "of a later graflow", "failed"]
        assert store.stored("run-1").attempts[0] == waiting
        assert store.result("run-1", 0) is None
        found = store.find("run-1")
        assert found is not None
        assert (found.succeeded, found.failed) == (0, 1)
        store.write(claim, [row(0, result=b"signal")], [])
        assert store.stored("run-1").attempts[0] == row(0)
        store.finish(claim, "a state of a later graflow", 1010.0, None)
        assert state_of(store) == "a state of a later graflow"

    def test_texts_that_are_no_whole_characters_can_be_logged(self, store: Store) -> None:
        claim = store.create(new_run())
        odd = "caf\udce9\0.txt ✓"
        store.write(claim, [row(0, 1, "failed", error_text=odd)], [line(0, 1.0, odd)])
        store.finish(claim, "failed", 1.0, odd)
        (found,) = store.logs("run-1")
        assert found.text in (odd, "caf\\udce9\0.txt ✓")
        assert store.stored("run-1").attempts[0].error_text == found.text

    def test_the_code_may_come_later(self, store: Store) -> None:
        claim = store.create(new_run(code=b""))
        store.set_code(claim, b"late")
        assert store.stored("run-1").code == b"late"

    def test_an_id_that_is_taken(self, store: Store) -> None:
        claim = store.create(new_run())
        with pytest.raises(RunConflictError) as caught:
            store.create(new_run(code=b"other"))
        assert str(caught.value) == "there is a run 'run-1' already: resume it, or choose another id"
        store.write(claim, [row(0)], [])
        assert store.stored("run-1").code == b"code"

    def test_a_task_that_is_none_leaves_nothing(self, store: Store) -> None:
        claim = store.create(new_run())
        with pytest.raises(IndexError):
            store.write(claim, [row(0), row(3)], [line(0, 1.0, "one")])
        assert store.stored("run-1").attempts == []
        assert store.logs("run-1") == []


class TestSuccesses:
    def test_read_back_as_rows(self, store: Store) -> None:
        claim = store.create(new_run())
        store.write(claim, [row(0, 1, "running"), row(1, 0, "skipped")], [], None)
        store.write(claim, [row(2, 1, "failed")], [], successes((0, 1, b"zero"), (1, 1, b"")))
        store.write(claim, [], [], successes((2, 2, b"x" * (1 << 20) + b"large")))
        assert store.stored("run-1").attempts == [row(0), row(1), row(2, 1, "failed"), row(2, 2)]
        assert [store.result("run-1", task) for task in range(3)] == [b"zero", b"", b"x" * (1 << 20) + b"large"]
        found = store.find("run-1")
        assert found is not None
        assert (found.succeeded, found.failed) == (3, 0)

    def test_can_be_replaced_once_the_run_is_claimed_anew(self, store: Store) -> None:
        claim = store.create(new_run())
        store.write(claim, [], [], successes((0, 1, b"zero"), (1, 1, b"one"), (2, 1, b"two")))
        assert store.result("run-1", 0) == b"zero"
        store.release(claim)
        claim = store.claim("run-1")
        assert [store.result("run-1", task) for task in range(3)] == [b"zero", b"one", b"two"]
        store.write(claim, [row(0, 1, "cancelled"), row(1, 0, "skipped")], [], successes((2, 2, b"new")))
        assert [store.result("run-1", task) for task in range(3)] == [None, b"one", b"new"]
        attempts = [row(0, 1, "cancelled"), row(1, 0, "skipped"), row(1), row(2), row(2, 2)]
        assert store.stored("run-1").attempts == attempts
        store.finish(claim, "failed", 1.0, None)
        claim = store.claim("run-1")
        assert store.stored("run-1").attempts == attempts
        found = store.find("run-1")
        assert found is not None
        assert (found.succeeded, found.failed) == (1, 0)
        store.release(claim)

    def test_go_with_their_run(self, store: Store) -> None:
        claim = store.create(new_run())
        store.write(claim, [], [], successes((0, 1, b"zero")))
        store.finish(claim, "succeeded", 1.0, None)
        store.delete("run-1")
        put(store)
        assert store.result("run-1", 0) is None
        assert store.stored("run-1").attempts == []


class TestItems:
    """Those of maps: attempts like those of tasks, of which no count of tasks knows."""

    def test_are_kept_like_tasks(self, store: Store) -> None:
        claim = store.create(new_run())
        first, last = item(1, 0), item(1, 100_000)
        store.write(claim, [row(first, 1, "failed", error=b"e"), row(last, 1, "running")], [line(last, 1.0, "l", 2)])
        store.write(claim, [row(1, 1, "running")], [line(1, 2.0, "of the map")], successes((last, 1, b"last")))
        store.write(claim, [row(first, 2, result=b"first", note="noted")], [], successes((item(2, 7), 3, b"seven")))
        expected = [
            row(1, 1, "running"),
            row(first, 1, "failed", error=b"e"),
            row(first, 2, note="noted"),
            row(item(2, 7), 3),
            row(last),
        ]
        for _ in range(2):
            assert store.stored("run-1").attempts == expected
            assert [store.result("run-1", number) for number in (1, first, last)] == [None, b"first", b"last"]
            assert store.logs("run-1", last) == [line(last, 1.0, "l", 2)]
            assert [found.text for found in store.logs("run-1", 1)] == ["of the map"]
            assert len(store.logs("run-1")) == 2
            store.release(claim)
            claim = store.claim("run-1")
        store.write(claim, [row(last, 1, "cancelled")], [])
        assert store.result("run-1", last) is None
        store.release(claim)
        store.delete("run-1")
        put(store)
        assert store.stored("run-1").attempts == []

    def test_count_not(self, store: Store) -> None:
        claim = store.create(new_run())
        store.write(claim, [row(item(0, 0), 1, "failed"), row(item(0, 1)), row(0, 1, "failed")], [])
        store.write(claim, [], [], successes((item(0, 2), 1, b""), (1, 1, b""), (item(0, 0), 2, b"")))
        for _ in range(2):
            found = store.find("run-1")
            assert found is not None
            assert (found.tasks, found.succeeded, found.failed) == (3, 1, 1)
            assert store.runs() == [found]
            store.release(claim)
            claim = store.claim("run-1")
            store.reopen(claim, 1020.0, b"code", "f-1", TASKS, TASKS)

    def test_that_begin_anew_have_not_ended_without_an_attempt(self, store: Store) -> None:
        claim = store.create(new_run())
        numbers = [item(1, k) for k in range(5)]
        store.write(claim, [row(number, 0, "cancelled") for number in numbers], [])
        store.write(claim, [row(numbers[0], 1, "running")], [], successes((numbers[1], 1, b"one")))
        assert store.result("run-1", numbers[1]) == b"one"
        store.release(claim)
        claim = store.claim("run-1")
        store.reopen(claim, 1020.0, b"code", "f-1", TASKS, TASKS)
        store.write(claim, [row(numbers[2], 1, "running"), row(numbers[3], 1, "failed")], [])
        store.write(claim, [row(numbers[2], 0, "cancelled")], [])
        assert store.stored("run-1").attempts == [
            row(numbers[0], 1, "running"),
            row(numbers[1]),
            row(numbers[2], 0, "cancelled"),
            row(numbers[2], 1, "running"),
            row(numbers[3], 1, "failed"),
            row(numbers[4], 0, "cancelled"),
        ]

    def test_come_in_any_number(self, store: Store) -> None:
        claim = store.create(new_run())
        numbers = [item(2, k) for k in range(20_000)]
        for start in range(0, len(numbers), 5000):
            store.write(claim, [], [], successes(*((n, 1, b"%d" % n) for n in numbers[start : start + 5000])))
        store.release(claim)
        store.release(store.claim("run-1"))
        assert [found.task for found in store.stored("run-1").attempts] == numbers
        assert all(store.result("run-1", number) == b"%d" % number for number in numbers[::997])


class TestSignals:
    def test_reach_a_run_that_another_holds(self, store: Store) -> None:
        claim = store.create(new_run())
        assert store.signals("run-1") == {}
        assert store.put_signal("run-1", "load", b"\0payload", 1001.0)
        assert store.put_signal("run-1", "clean", b"", 1002.0)
        assert list(store.signals("run-1").items()) == [("clean", b""), ("load", b"\0payload")]
        store.write(claim, [row(0)], [])
        store.finish(claim, "succeeded", 1010.0, None)

    def test_the_first_counts(self, store: Store) -> None:
        put(store, state=None)
        put(store, "run-2")
        assert [store.put_signal("run-1", "load", b"%d" % i, 1001.0 - i) for i in range(3)] == [True, False, False]
        assert store.signals("run-1") == {"load": b"0"}
        assert store.put_signal("run-2", "load", b"other", 1001.0)
        assert (store.signals("run-1"), store.signals("run-2")) == ({"load": b"0"}, {"load": b"other"})

    def test_are_taken_after_the_end_and_stay_when_the_run_goes_on(self, store: Store) -> None:
        put(store)
        before = store.find("run-1")
        assert store.put_signal("run-1", "load", b"late", 1020.0)
        assert store.find("run-1") == before
        claim = store.claim("run-1")
        store.reopen(claim, 1030.0, b"code", "f-1", TASKS, TASKS)
        assert store.signals("run-1") == {"load": b"late"}
        assert not store.put_signal("run-1", "load", b"later", 1040.0)

    def test_are_not_part_of_what_is_given_out(self, store: Store) -> None:
        put(store)
        store.put_signal("run-1", "load", b"kept", 1.0)
        store.signals("run-1")["load"] = b"changed"
        assert store.signals("run-1") == {"load": b"kept"}

    def test_of_many_threads_one_is_first(self, store: Store) -> None:
        put(store, state=None)
        ready = threading.Barrier(6)
        first: list[bytes] = []

        def send(payload: bytes) -> None:
            ready.wait()
            if store.put_signal("run-1", "load", payload, 1.0):
                first.append(payload)

        threads = [threading.Thread(target=send, args=(b"%d" % i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [store.signals("run-1")["load"]] == first


class TestChannels:
    def test_hold_what_was_put_last(self, store: Store) -> None:
        claim = store.create(new_run())
        assert store.channels("run-1") == {}
        store.put_channels(claim, {"progress": b"1", "best": b""})
        store.put_channels(claim, {"progress": b"2", "a": b"\0"})
        store.put_channels(claim, {})
        assert list(store.channels("run-1").items()) == [("a", b"\0"), ("best", b""), ("progress", b"2")]
        store.finish(claim, "succeeded", 1010.0, None)
        put(store, "run-2")
        assert store.channels("run-2") == {}
        store.channels("run-1")["progress"] = b"changed"
        assert store.channels("run-1")["progress"] == b"2"

    def test_are_written_by_who_holds_the_run(self, store: Store) -> None:
        claim = store.create(new_run())
        store.put_channels(claim, {"progress": b"1"})
        store.release(claim)
        with pytest.raises(StoreError, match="run 'run-1' is not claimed any more"):
            store.put_channels(claim, {"progress": b"2"})
        assert store.channels("run-1") == {"progress": b"1"}


class TestCounts:
    def counts(self, store: Store) -> tuple[int, int]:
        found = store.find("run-1")
        assert found is not None
        return found.succeeded, found.failed

    def test_follow_the_last_word_on_each_task(self, store: Store) -> None:
        claim = store.create(new_run())
        store.write(claim, [row(0, 1, "running"), row(1, 1, "failed")], [])
        assert self.counts(store) == (0, 1)
        store.write(claim, [row(0), row(1, 2, "running")], [])
        assert self.counts(store) == (1, 0)
        store.write(claim, [row(1, 1, "failed"), row(2, 0, "skipped")], [])
        assert self.counts(store) == (1, 0)
        store.write(claim, [row(1, 2, "failed")], [])
        store.release(claim)
        claim = store.claim("run-1")
        store.write(claim, [row(1, 3), row(2, 1)], [])
        assert self.counts(store) == (3, 0)

    def test_a_write_that_fails_counts_nothing(self, store: Store) -> None:
        claim = store.create(new_run())
        with pytest.raises(IndexError):
            store.write(claim, [row(0), row(7)], [])
        store.write(claim, [row(1, 1, "failed")], [])
        assert self.counts(store) == (0, 1)

    _ROWS = st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.sampled_from(["running", "succeeded", "failed"]))
    )

    @given(_ROWS, st.integers(0, 5))
    def test_come_out_the_same_however_they_are_read_back(self, heads: list[tuple[int, int, str]], cut: int) -> None:
        """Kept row by row and in two goes, they are what the rows that remain say."""
        once, _ = Tally(3).after(heads)
        first, _ = Tally(3).after(heads[:cut])
        twice, _ = first.after(heads[cut:])
        left: dict[tuple[int, int], str] = {}
        for task, attempt, state in heads:
            if attempt:
                left.pop((task, 0), None)
            left[task, attempt] = state
        stand = {}
        for (task, _), state in sorted(left.items(), key=lambda item: (item[0][1] == 0, item[0][1])):
            stand[task] = state
        expected = (list(stand.values()).count("succeeded"), list(stand.values()).count("failed"))
        assert (once.succeeded, once.failed) == (twice.succeeded, twice.failed) == expected

    @given(_ROWS, st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3))))
    def test_count_many_successes_as_they_count_one_by_one(
        self, heads: list[tuple[int, int, str]], many: list[tuple[int, int]]
    ) -> None:
        tasks, attempts = [task for task, _ in many], [attempt for _, attempt in many]
        nothing: list[Any] = [None] * len(many)
        at_once, _ = Tally(3).after(heads, Successes(tasks, attempts, nothing, nothing, nothing, nothing))
        singly, _ = Tally(3).after([*heads, *((task, attempt, "succeeded") for task, attempt in many)])
        assert (at_once.succeeded, at_once.failed) == (singly.succeeded, singly.failed)

    _NUMBERS = st.integers(0, 2) | st.builds(item, st.integers(0, 2), st.integers(0, 2))
    _MIXED = st.lists(
        st.tuples(_NUMBERS, st.integers(0, 3), st.sampled_from(["running", "awaiting", "succeeded", "failed"]))
    )
    _MANY = st.lists(st.tuples(_NUMBERS, st.integers(1, 3)))

    @given(_MIXED, _MIXED, _MANY)
    def test_are_the_same_without_the_items(
        self, past: list[tuple[int, int, str]], heads: list[tuple[int, int, str]], many: list[tuple[int, int]]
    ) -> None:
        def packed(pairs: list[tuple[int, int]]) -> Successes:
            nothing: list[Any] = [None] * len(pairs)
            return Successes([n for n, _ in pairs], [a for _, a in pairs], nothing, nothing, nothing, nothing)

        mixed, begun = Tally(3).after(past)[0].grown(4).after(heads, packed(many))
        past, only = ([head for head in some if head[0] < ITEMS] for some in (past, heads))
        without, expected = (
            Tally(3).after(past)[0].grown(4).after(only, packed([pair for pair in many if pair[0] < ITEMS]))
        )
        assert (mixed.succeeded, mixed.failed) == (without.succeeded, without.failed)
        assert [number for number in begun if number < ITEMS] == expected

    @given(_MIXED, _MIXED, _MANY)
    def test_of_items_the_end_without_an_attempt_is_taken_back_as_that_of_tasks(
        self, past: list[tuple[int, int, str]], heads: list[tuple[int, int, str]], many: list[tuple[int, int]]
    ) -> None:
        def as_task(number: int) -> int:
            return number % ITEMS + number // ITEMS * 3

        def successes_of(numbers: list[int]) -> Successes:
            nothing: list[Any] = [None] * len(many)
            return Successes(numbers, [attempt for _, attempt in many], nothing, nothing, nothing, nothing)

        numbers = [number for number, _ in many]
        _, begun = Tally(3).after(past)[0].after(heads, successes_of(numbers))
        past, heads = ([(as_task(head[0]), *head[1:]) for head in some] for some in (past, heads))
        _, expected = Tally(12).after(past)[0].after(heads, successes_of(list(map(as_task, numbers))))
        assert list(map(as_task, begun)) == expected


class TestAClaim:
    def test_is_held_by_one_at_a_time(self, store: Store) -> None:
        claim = store.create(new_run())
        for _ in range(2):
            with pytest.raises(RunConflictError) as caught:
                store.claim("run-1")
            owner = store.runs()[0].owner
            assert str(caught.value) == f"process {owner} runs 'run-1' now: wait until it has ended, or end it there"
        store.release(claim)
        claim = store.claim("run-1")
        assert (claim.run_id, repr(claim).endswith("of run 'run-1'>")) == ("run-1", True)

    def test_given_back_writes_nothing(self, store: Store) -> None:
        claim = store.create(new_run())
        store.release(claim)
        store.release(claim)
        for use in (
            lambda: store.write(claim, [row(0)], []),
            lambda: store.finish(claim, "failed", 1.0, None),
            lambda: store.set_code(claim, b""),
            lambda: store.reopen(claim, 1.0, b"", "", TASKS, TASKS),
        ):
            with pytest.raises(StoreError) as caught:
                use()
            assert str(caught.value) == "run 'run-1' is not claimed any more: claim it again before you write"
        newer = store.claim("run-1")
        with pytest.raises(StoreError, match="not claimed any more"):
            store.write(claim, [row(0)], [])
        store.release(claim)
        store.write(newer, [row(0)], [])
        assert len(store.stored("run-1").attempts) == 1

    def test_that_was_lost_is_free_again(self, store: Store) -> None:
        claim = store.create(new_run())
        del claim
        gc.collect()
        assert state_of(store) == "interrupted"
        store.release(store.claim("run-1"))

    def test_of_a_run_that_is_none(self, store: Store) -> None:
        for call in (
            *(store.claim, store.stored, store.logs, store.delete, store.signals, store.channels),
            lambda id: store.result(id, 0),
            lambda id: store.put_signal(id, "load", b"", 1.0),
        ):
            with pytest.raises(StoreError, match=r"there is no run 'nightly-7' in .*; it has no runs"):
                call("nightly-7")
        put(store, "zebra")
        with pytest.raises(StoreError, match=r"there is no run 'nightly-7' in .*; the newest is 'zebra'"):
            store.claim("nightly-7")
        put(store, "nightly-8")
        with pytest.raises(StoreError, match=r"there is no run 'nightly-7' in .*; did you mean 'nightly-8'\?"):
            store.claim("nightly-7")
        with pytest.raises(StoreError, match=r"there is no run 'zeb' in .*; did you mean 'zebra'\?"):
            store.claim("zeb")

    def test_one_of_many_threads_gets_it(self, store: Store) -> None:
        put(store, state=None)
        got, refused = [], []
        ready = threading.Barrier(8)

        def claim() -> None:
            ready.wait()
            try:
                got.append(store.claim("run-1"))
            except RunConflictError as error:
                refused.append(error)

        threads = [threading.Thread(target=claim) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(got), len(refused)) == (1, 7)


class TestTheEnd:
    def test_is_written_and_gives_the_claim_back(self, store: Store) -> None:
        claim = store.create(new_run())
        store.finish(claim, "cancelled", 1012.5, "Ctrl-C")
        store.release(claim)
        (found,) = store.runs()
        assert (found.state, found.ended, found.reason, found.alive) == ("cancelled", 1012.5, "Ctrl-C", False)

    def test_of_a_process_that_went_away_is_an_interruption(self, store: Store) -> None:
        put(store, state=None)
        found = store.stored("run-1").row
        assert (found.state, found.alive, found.ended) == ("interrupted", False, None)
        assert store.runs() == [found]
        claim = store.claim("run-1")
        assert state_of(store) == "running"
        store.release(claim)

    def test_may_be_taken_back(self, store: Store) -> None:
        claim = store.create(new_run())
        store.write(claim, [row(0, result=b"kept"), row(1, 1, "failed")], [])
        store.finish(claim, "failed", 1010.0, "a reason")
        claim = store.claim("run-1")
        assert state_of(store) == "failed"
        more = (*TASKS, "report")
        store.reopen(claim, 1020.0, b"new code", "f-2", more, ("x", "y2", "z", "w"))
        store.write(claim, [row(3)], [])
        stored = store.stored("run-1")
        assert (stored.code, stored.ids, stored.fingerprints) == (b"new code", more, ("x", "y2", "z", "w"))
        assert stored.attempts == [row(0), row(1, 1, "failed"), row(3)]
        found = stored.row
        assert (found.state, found.ended, found.reason, found.fingerprint) == ("running", None, None, "f-2")
        assert (found.created, found.tasks, found.succeeded, found.failed) == (1000.0, 4, 2, 1)
        assert store.result("run-1", 0) == b"kept"


class TestFinding:
    def test_by_the_first_characters(self, store: Store) -> None:
        for id in ("abcd", "abcd-1", "abxy-%_"):
            put(store, id)
        assert [getattr(store.find(id), "id", None) for id in ("abcd", "abcd-", "abxy", "abx", "ABXY", "abxy-_")] == [
            *("abcd", "abcd-1", "abxy-%_"),
            *(None, None, None),
        ]
        assert store.find("abcd-", exact=True) is None
        assert store.find("abcd", exact=True) is not None
        put(store, "abcd-2")
        with pytest.raises(StoreError) as caught:
            store.find("abcd-")
        assert "2 runs in " in str(caught.value)
        assert str(caught.value).endswith(" begin with 'abcd-': 'abcd-1', 'abcd-2'; give more characters of the id")
        assert store.find("abcd-", exact=True) is None

    def test_lists_are_newest_first_and_can_be_narrowed(self, store: Store) -> None:
        put(store, "old", created=1.0)
        put(store, "new", "failed", created=3.0)
        put(store, "lost", None, created=2.0, workflow="hourly")
        put(store, "twin", created=3.0)
        claim = store.create(new_run("now", created=2.5))
        assert ids(store) == ["twin", "new", "now", "lost", "old"]
        assert ids(store, limit=2) == ["twin", "new"]
        assert ids(store, limit=0) == []
        assert ids(store, since=2.5) == ["twin", "new", "now"]
        assert ids(store, workflow="hourly") == ["lost"]
        assert ids(store, workflow="none") == []
        assert ids(store, state="succeeded") == ["twin", "old"]
        assert ids(store, state="interrupted") == ["lost"]
        assert ids(store, state="running", limit=1) == ["now"]
        assert ids(store, state="failed", since=3.0, workflow="nightly", limit=5) == ["new"]
        store.release(claim)


class TestForgetting:
    def test_a_run(self, store: Store) -> None:
        claim = store.create(new_run())
        store.write(claim, [row(0, result=b"r")], [line(0, 1.0, "t")])
        store.put_signal("run-1", "load", b"signal", 1.0)
        store.put_channels(claim, {"progress": b"1"})
        with pytest.raises(RunConflictError, match="runs 'run-1' now"):
            store.delete("run-1")
        store.finish(claim, "succeeded", 1010.0, None)
        put(store, "run-2")
        store.delete("run-1")
        assert ids(store) == ["run-2"]
        with pytest.raises(StoreError, match="there is no run 'run-1'"):
            store.result("run-1", 0)
        assert store.stored("run-2").code == b"code"
        put(store, "run-1", code=b"code 2")
        assert store.stored("run-1").attempts == []
        assert store.logs("run-1") == []
        assert (store.signals("run-1"), store.channels("run-1")) == ({}, {})

    def test_runs_that_ended_long_ago(self, store: Store) -> None:
        put(store, "b", at=20.0, created=12.0)
        put(store, "a", at=15.0, created=11.0)
        put(store, "c", at=30.0, created=10.0)
        put(store, "left", None, created=19.0)
        put(store, "left later", None, created=29.0)
        claim = store.create(new_run("alive", created=1.0))
        reading = store.claim("a")
        assert store.prune(20.0) == ["left"]
        store.release(reading)
        assert store.prune(21.0) == ["a", "b"]
        assert sorted(ids(store)) == ["alive", "c", "left later"]
        assert store.stored("alive").code == b"code"
        store.release(claim)
        assert store.prune(20.0) == ["alive"]

    def test_many_at_once(self, store: Store) -> None:
        for i in range(120):
            put(store, f"run-{i}", created=float(i), at=float(i))
        assert store.prune(115.0) == [f"run-{i}" for i in range(115)]
        assert len(ids(store)) == 5


class TestTheCache:
    def test_gives_back_what_was_kept(self, store: Store) -> None:
        assert store.cached("k", 1000.0) is None
        store.keep(entry())
        store.keep(entry("other", result=b"2"))
        assert store.cached("k", 1000.0) == entry()
        store.keep(entry(created=1005.0, result=b"newer"))
        assert store.cached("k", 2000.0) == entry(created=1005.0, result=b"newer")

    def test_an_entry_holds_until_it_expires(self, store: Store) -> None:
        store.keep(entry(expires=1010.0))
        assert [store.cached("k", now) is None for now in (999.0, 1000.0, 1009.9, 1010.0)] == [True, False, False, True]

    def test_an_entry_of_the_future_does_not_hold_and_stays(self, store: Store) -> None:
        store.keep(entry(created=1000.0))
        assert store.cached("k", 999.0) is None
        assert store.cached("k", 1000.0) == entry()

    def test_tells_what_a_task_kept_last(self, store: Store) -> None:
        assert store.last_cached("nightly", "clean") is None
        store.keep(entry("newest", created=1002.0))
        store.keep(entry("older", created=1001.0))
        store.keep(entry("other", created=1003.0, task="load"))
        assert store.last_cached("nightly", "clean") == entry("newest", created=1002.0, result=b"")
        store.keep(entry("twin", created=1002.0))
        assert store.last_cached("nightly", "clean") == entry("twin", created=1002.0, result=b"")

    def test_loses_what_expired_when_runs_are_pruned(self, store: Store) -> None:
        now = time.time()
        store.keep(entry("gone", expires=now - 1))
        store.keep(entry("young", expires=now + 1000))
        store.keep(entry("for ever"))
        put(store, "run-1")
        assert store.prune(2000.0) == ["run-1"]
        assert [store.cached(key, now - 10) is not None for key in ("gone", "young", "for ever")] == [False, True, True]


def test_a_closed_store_says_so(store: Store) -> None:
    claim = store.create(new_run())
    store.close()
    store.close()
    for use in (
        lambda: store.find("run-1"),
        lambda: store.create(new_run("run-2")),
        lambda: store.keep(entry()),
        lambda: store.prune(1.0),
    ):
        with pytest.raises(StoreError, match="closed"):
            use()
    with pytest.raises(StoreError):
        store.write(claim, [row(0)], [])
    store.release(claim)


def test_importing_the_package_loads_no_sqlite() -> None:
    code = "import sys, graflow.stores as s; assert 'sqlite3' not in sys.modules; s.SQLiteStore; sys.modules['sqlite3']"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
