"""`graflow runs`: what a store tells of its runs, and what it forgets."""

import io
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from graflow.cli._stored import tasks_of
from graflow.engine import codec
from graflow.stores import AttemptRow, LogRow, NewRun, RunRow, SQLiteStore, StoredRun

from .conftest import Call

DAY = 86_400.0
NOW = time.time()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SQLiteStore]:
    """The store of the working directory, for tests to write to."""
    monkeypatch.chdir(tmp_path)
    with closing(SQLiteStore()) as store:
        yield store


def new(id: str, ago: float = 0.0, *, workflow: str = "sales", ids: tuple[str, ...] = ("read", "send")) -> NewRun:
    return NewRun(
        id, workflow, NOW - ago, "fingerprint", "digest", b"", b"", ids, ("f",) * len(ids), "{}", '{"program": 1}'
    )


def row(
    task: int, attempt: int, state: str, *, at: float = 0.0, note: str | None = None, error: Exception | None = None
) -> AttemptRow:
    told = None if error is None else f"{type(error).__name__}: {error}"
    dumped = None if error is None else codec.dump_exception(error)
    seconds = 0.25 if attempt and state != "running" else None
    return AttemptRow(
        task, attempt, state, NOW + at, seconds, (attempt and "thread-1") or None, None, note, dumped, told
    )


def keep(store: SQLiteStore, run: NewRun, state: str | None, *rows: AttemptRow, logs: tuple[LogRow, ...] = ()) -> None:
    """Write a run that ended in a state, or with None one that was interrupted."""
    claim = store.create(run)
    store.write(claim, rows, logs)
    if state is None:
        store.release(claim)
    else:
        store.finish(claim, state, run.created + 90, "somebody asked" if state == "cancelled" else None)


@pytest.fixture
def three(store: SQLiteStore) -> SQLiteStore:
    failure = row(1, 2, "failed", at=2, error=ValueError("no\nmore"))
    keep(store, new("1f3a0000-0000-0000-0000-000000000000", 3 * DAY), "succeeded", row(0, 1, "succeeded"))
    keep(
        store,
        new("1f3b0000-0000-0000-0000-000000000000", 2 * DAY, workflow="mail"),
        "failed",
        row(0, 1, "succeeded", note="cached 3 h ago"),
        row(1, 1, "failed", at=1, error=OSError("slow")),
        failure,
        logs=(
            LogRow(1, 1, NOW + 1, "WARNING", "bank", "first"),
            LogRow(1, 2, NOW + 2, "ERROR", "bank", "second\nline \x1b[31m"),
            LogRow(0, 1, NOW, "INFO", "bank", "another task's"),
        ),
    )
    keep(store, new("monday", DAY), None, row(0, 1, "succeeded"), row(1, 1, "running", at=1))
    return store


def masked(text: str) -> list[str]:
    """The lines of a text; dates and times of day do not count."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE", text)
    return re.sub(r"\d\d:\d\d:\d\d", "TIME", re.sub(r"by \S+:\d+", "by HOST", text)).splitlines()


class TestList:
    def test_the_newest_comes_first(self, three: SQLiteStore, call: Call) -> None:
        done = call("runs")
        assert (done.code, done.err) == (0, "")
        assert masked(done.out) == [
            "id      workflow  state        started                    took  done  failed",
            "monday  sales     interrupted  DATE               1/2",
            "1f3b    mail      failed       DATE  1 min 30 s   1/2       1",
            "1f3a    sales     succeeded    DATE  1 min 30 s   1/2",
        ]

    @pytest.mark.parametrize(
        ("args", "ids"),
        [
            (["--workflow", "sales"], ["monday", "1f3a"]),
            (["--state", "failed"], ["1f3b"]),
            (["--state", "interrupted"], ["monday"]),
            (["--since", "36h"], ["monday"]),
            (["--since", "1w", "--workflow", "mail"], ["1f3b"]),
            (["--limit", "2"], ["monday", "1f3b"]),
        ],
    )
    def test_some_of_them(self, three: SQLiteStore, call: Call, args: list[str], ids: list[str]) -> None:
        assert [line.split()[0] for line in call("runs", *args).out.splitlines()[1:]] == ids
        found = json.loads(call("runs", *args, "--json").out)
        assert [one["id"][: len(id)] for one, id in zip(found, ids, strict=True)] == ids

    def test_a_list_that_was_cut_says_so(self, three: SQLiteStore, call: Call) -> None:
        assert call("runs", "--limit", 2).err == "the newest 2; --limit shows more\n"
        assert call("runs", "--limit", 3).err == ""

    def test_json_says_all(self, three: SQLiteStore, call: Call) -> None:
        found = json.loads(call("runs", "--json").out)[0]
        assert found == {**three.runs()[0]._asdict(), "target": {"program": 1}}

    def test_one_that_runs_is_told_apart(self, store: SQLiteStore, call: Call) -> None:
        claim = store.create(new("monday", 7))
        [_, line] = masked(call("runs").out)
        assert re.fullmatch(r"monday  sales     running  DATE  .* s   0/2", line)
        store.release(claim)

    def test_nothing_to_list(self, store: SQLiteStore, call: Call) -> None:
        assert call("runs") == (0, "", "there are no runs\n")
        assert call("runs", "--state", "failed") == (0, "", "there is no such run\n")
        assert call("runs", "--json") == (0, "[]\n", "")

    def test_ids_grow_where_they_begin_alike(self, store: SQLiteStore, call: Call) -> None:
        ids = ["1f3a0000-0000-0000-0000-000000000000", "1f3a0100-0000-0000-0000-000000000000", "1f3a"]
        for id in ids:
            keep(store, new(id), "succeeded")
        assert sorted(line.split()[0] for line in call("runs").out.splitlines()[1:]) == ["1f3a", "1f3a00", "1f3a01"]
        assert call("runs", "show", "1f3a00").out.startswith(f"run       {ids[0]}\n")
        assert call("runs", "show", "1f3a").out.startswith("run       1f3a\n")

    def test_a_command_refuses_what_belongs_to_the_list(self, three: SQLiteStore, call: Call) -> None:
        done = call("runs", "--limit", 3, "show", "monday")
        assert (done.code, done.out) == (2, "")
        assert "--limit belongs to the list; it has no effect on a command." in done.err

    def test_the_store_may_be_named_before_the_command_or_after(
        self, three: SQLiteStore, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        before = call("runs", "--store", "../.graflow/runs.db", "show", "monday")
        assert before.code == 0
        assert before == call("runs", "show", "monday", "--store", "../.graflow/runs.db")


@pytest.mark.parametrize(
    "args", [[], ["show", "monday"], ["story", "monday", "read"], ["delete", "monday"], ["prune", "--older", "1d"]]
)
def test_reading_makes_no_store(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("runs", *args)
    assert done == (
        2,
        "",
        (
            "Error: no runs are kept in .graflow/runs.db: `graflow run` makes that file; for another one use --store "
            "PATH or set GRAFLOW_STORE\n"
        ),
    )
    assert list(tmp_path.iterdir()) == []


class TestShow:
    def test_a_run_that_failed(self, three: SQLiteStore, call: Call) -> None:
        done = call("runs", "show", "1f3b")
        assert (done.code, done.err) == (0, "")
        assert masked(done.out) == [
            "run       1f3b0000-0000-0000-0000-000000000000",
            "workflow  mail",
            "inputs    digest",
            "started   DATE by HOST",
            "ended     DATE",
            "  task  state      attempts    time  note",
            "  read  succeeded         1  250 ms  cached 3 h ago",
            "  send  failed            2  250 ms",
            "task 'send' failed: ValueError: no more",
            "look into it: graflow runs story 1f3b send",
            "mail failed in 1 min 30 s: 1 succeeded, 1 failed",
            "go on with it: graflow resume 1f3b",
        ]

    def test_one_that_was_interrupted(self, three: SQLiteStore, call: Call) -> None:
        assert masked(call("runs", "show", "monday").out)[4:] == [
            "  task  state      attempts    time",
            "  read  succeeded         1  250 ms",
            "  send  lost              1",
            "sales interrupted: 1 succeeded, 1 lost",
            "go on with it: graflow resume monday",
        ]

    def test_one_that_runs(self, store: SQLiteStore, call: Call) -> None:
        claim = store.create(new("monday"))
        store.write(claim, [row(1, 1, "running")], [])
        assert masked(call("runs", "show", "monday").out)[-3:] == [
            "  send  running         1",
            "  read  waiting         0",
            "sales running: 1 running, 1 waiting",
        ]
        store.release(claim)

    def test_one_that_was_cancelled_says_why(self, store: SQLiteStore, call: Call) -> None:
        keep(store, new("monday"), "cancelled", row(0, 0, "cancelled", note="the run was cancelled: somebody asked"))
        lines = masked(call("runs", "show", "monday").out)
        assert "reason    somebody asked" in lines
        assert "  read  cancelled         0        the run was cancelled: somebody asked" in lines

    def test_a_large_one_shows_what_stands_out(self, store: SQLiteStore, call: Call) -> None:
        ids = tuple(f"task_{place:03}" for place in range(200))
        rows = [row(place, 1, "succeeded") for place in range(150)]
        rows += [row(place, 1, "failed", error=ValueError("no")) for place in range(150, 200)]
        keep(store, new("monday", ids=ids), "failed", *rows)
        lines = call("runs", "show", "monday").out.splitlines()
        assert sum(line.startswith("  task_") for line in lines) == 20
        assert sum(line.startswith("task 'task_") for line in lines) == 10
        assert "shown: what failed, and the slowest; in all 150 succeeded, 50 failed" in lines

    def test_one_without_tasks(self, store: SQLiteStore, call: Call) -> None:
        keep(store, new("monday", ids=()), "succeeded")
        assert call("runs", "show", "monday").out.splitlines()[-2:] == [
            "no tasks",
            "sales succeeded in 1 min 30 s: no tasks",
        ]

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("mondey", r"there is no run 'mondey' in \S+; did you mean 'monday'\?"),
            ("1f3", r"there is no run '1f3' in \S+; did you mean '1f3[ab].*' or '1f3[ab].*'\?"),
        ],
    )
    def test_a_name_that_names_none(self, three: SQLiteStore, call: Call, name: str, said: str) -> None:
        done = call("runs", "show", name)
        assert (done.code, done.out) == (2, "")
        assert re.fullmatch(f"Error: {said}\n", done.err)

    def test_a_name_that_names_two(self, store: SQLiteStore, call: Call) -> None:
        for id in ("monday-1", "monday-2"):
            keep(store, new(id), "succeeded")
        done = call("runs", "show", "monday")
        assert done.code == 2
        assert "'monday-1', 'monday-2'" in done.err


class TestStory:
    def test_every_attempt(self, three: SQLiteStore, call: Call) -> None:
        done = call("runs", "story", "1f3b", "send")
        assert (done.code, done.err) == (0, "")
        assert masked(done.out) == [
            "task 'send' of run 1f3b (mail): failed after 2 attempts",
            "1  failed     started DATE  took 250 ms  in thread-1",
            "   OSError: slow",
            "   TIME WARNING bank: first",
            "2  failed     started DATE  took 250 ms  in thread-1",
            "   ValueError: no more",
            "   TIME ERROR   bank: second",
            "       line \N{REPLACEMENT CHARACTER}[31m",
        ]

    def test_tracebacks_only_if_asked(self, store: SQLiteStore, call: Call) -> None:
        try:
            raise KeyError("here")
        except KeyError as error:
            keep(store, new("monday"), "failed", row(0, 1, "failed", error=error))
        assert "test_runs.py" not in call("runs", "story", "monday", "read").out
        out = call("runs", "story", "monday", "read", "--traceback").out
        assert re.search(r'File ".*test_runs.py", line \d+, in test_tracebacks_only_if_asked', out)

    def test_a_task_that_did_not_run(self, store: SQLiteStore, call: Call) -> None:
        keep(store, new("monday"), "failed", row(1, 0, "skipped", note="task 'read' failed"))
        assert call("runs", "story", "monday", "send").out == (
            "task 'send' of run monday (sales): skipped after 0 attempts; task 'read' failed\n"
        )

    @pytest.mark.parametrize(("task", "hint"), [("sent", "did you mean 'send'?"), ("x", "it has read, send")])
    def test_an_unknown_task(self, three: SQLiteStore, call: Call, task: str, hint: str) -> None:
        assert call("runs", "story", "1f3b", task) == (2, "", f"Error: run 1f3b has no task {task!r}; {hint}\n")


class TestWhereATaskStands:
    def states(self, *rows: AttemptRow, alive: bool = False) -> tuple[str, str]:
        facts = RunRow("monday", "sales", "failed", NOW, None, "", "", 1, 0, 0, None, None, alive, "host:1")
        [task] = tasks_of(StoredRun(facts, b"", b"", ("read",), ("f",), "{}", list(rows)))
        return task.state, task.note

    def test_called_off_between_two_attempts(self) -> None:
        called_off = row(0, 0, "cancelled", at=5, note="the run was cancelled")
        assert self.states(called_off, row(0, 1, "failed", at=1)) == ("cancelled", "the run was cancelled")

    def test_called_off_and_run_when_the_run_went_on(self) -> None:
        called_off = row(0, 0, "cancelled", at=5, note="the run was cancelled")
        assert self.states(called_off, row(0, 1, "succeeded", at=9)) == ("succeeded", "")

    def test_under_way(self) -> None:
        assert self.states(row(0, 1, "running"), alive=True) == ("running", "")
        assert self.states(row(0, 1, "running")) == ("lost", "")


class TestDelete:
    def answer(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        monkeypatch.setattr(sys, "stdin", Terminal(text))

    def left(self, store: SQLiteStore) -> list[str]:
        return [one.id[:4] for one in store.runs()]

    def test_what_was_named(self, three: SQLiteStore, call: Call) -> None:
        done = call("runs", "delete", "1f3a", "monday", "mond", "--yes")
        assert (done.code, done.out) == (0, "")
        assert masked(done.err) == [
            "1f3a  sales, succeeded, started DATE",
            "monday  sales, interrupted, started DATE",
            "deleted 2 runs",
        ]
        assert self.left(three) == ["1f3b"]

    @pytest.mark.parametrize(("said", "code", "left"), [("y\n", 0, ["mond", "1f3a"]), ("n\n", 130, 3), ("", 130, 3)])
    def test_a_terminal_is_asked(
        self,
        three: SQLiteStore,
        call: Call,
        monkeypatch: pytest.MonkeyPatch,
        said: str,
        code: int,
        left: list[str] | int,
    ) -> None:
        self.answer(monkeypatch, said)
        done = call("runs", "delete", "1f3b")
        assert (done.code, done.out) == (code, "")
        assert "delete 1 run? [y/N]: " in done.err
        assert self.left(three) == (left if isinstance(left, list) else ["mond", "1f3b", "1f3a"])

    def test_without_a_terminal_nothing_goes(
        self, three: SQLiteStore, call: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
        done = call("runs", "delete", "1f3b")
        assert done.code == 2
        assert done.err.endswith("Error: add --yes to delete 1 run; there is no terminal to ask at\n")
        assert len(three.runs()) == 3

    def test_all_or_nothing(self, three: SQLiteStore, call: Call) -> None:
        assert call("runs", "delete", "1f3a", "tuesday", "--yes").code == 2
        claim = three.claim("monday")
        done = call("runs", "delete", "1f3a", "monday", "--yes")
        assert done.code == 2
        assert re.fullmatch(
            r"Error: process \S+ runs 'monday' now: wait until it has ended, or end it there\n", done.err
        )
        three.release(claim)
        assert len(three.runs()) == 3

    def test_what_is_old(self, store: SQLiteStore, call: Call) -> None:
        keep(store, new("old", 40 * DAY), "succeeded")
        keep(store, new("young", DAY), "succeeded")
        done = call("runs", "prune", "--older", "30d", "--yes")
        assert (done.code, done.out) == (0, "")
        assert masked(done.err) == ["old  sales, succeeded, started DATE", "deleted 1 run"]
        assert self.left(store) == ["youn"]
        assert call("runs", "prune", "--older", "30d") == (0, "", "deleted 0 runs\n")

    def test_a_number_alone_is_no_age(self, store: SQLiteStore, call: Call) -> None:
        keep(store, new("old", 40 * DAY), "succeeded")
        done = call("runs", "prune", "--older", "30", "--yes")
        assert done.code == 2
        assert "'30' is not a span of time; write it like 30s, 5m, 2h or 30d." in done.err
        assert self.left(store) == ["old"]


def test_a_terminal_gets_colours(three: SQLiteStore, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    from graflow.cli._output import drawn
    from graflow.cli._runs import _table

    text = drawn(_table(three, three.runs()))
    assert "\x1b[" in text
    assert all(len(re.sub(r"\x1b\[[\d;]*m", "", line)) <= 60 for line in text.splitlines())
