"""What a run does, handed to a store from a thread of its own, in small batches.

Workers only append to a list. Every `WINDOW_SECONDS` the thread turns what has come into rows and writes them in one
transaction, so a kill costs at most the work of one window, and a run of ten thousand short tasks waits for no disk.
"""

from __future__ import annotations

import threading
from operator import sub
from typing import TYPE_CHECKING, Any, Final

from graflow.core.run import RunState
from graflow.engine import codec
from graflow.engine.attempt import said
from graflow.engine.payload import Unstorable
from graflow.engine.rules import CANCELLED, RETRYING, RUNNING, SKIPPED, STATES, SUCCEEDED
from graflow.errors import StoreError
from graflow.stores._haste import haste
from graflow.stores.store import AttemptRow, LogRow, Successes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graflow.engine.drive import Execution
    from graflow.engine.journal import Ended
    from graflow.engine.logs import LogLines
    from graflow.stores.store import Claim, Store

#: How long what happened may wait for more to happen.
WINDOW_SECONDS: Final = 0.005
#: When a run has lasted so long, or failed, its workflow is written down as well; a small one sooner.
SMALL: Final = 200
SOON_SECONDS: Final = 0.1
LONG_SECONDS: Final = 0.5

_NAMES: Final = tuple(str(state) if number != RETRYING else "failed" for number, state in enumerate(STATES))


class _Log:
    """The log of an attempt, and how much of it is written."""

    def __init__(self, i: int, attempt: int, lines: LogLines) -> None:
        self.i = i
        self.attempt = attempt
        self.lines = lines
        self.written = 0


class Journal:
    """The journal of one run; see `graflow.engine.journal.Journal`.

    Args:
        store: keeps it.
        claim: on the run.
        execution: the run.
        code: gives the workflow as bytes, which takes a while; None if the store has it.
        places: per task, its index in the store; None if that is its own.

    Attributes:
        problem: what the store raised; the run was cancelled for it.
    """

    def __init__(
        self,
        store: Store,
        claim: Claim,
        execution: Execution,
        code: Callable[[], bytes] | None,
        places: Sequence[int] | None = None,
    ) -> None:
        self.problem: StoreError | None = None
        self._store = store
        self._claim = claim
        self._execution = execution
        self._places = places
        self.begun: list[tuple[int, int]] = []
        self.past: list[Ended] = []
        self._logs: list[_Log] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._main, name="graflow-journal", daemon=True)
        self._code = code
        self._code_thread: threading.Thread | None = None

    # ── with the execution's lock held ──────────────────────────────────────────────────────────────────────────

    def logs(self, i: int, attempt: int, lines: LogLines) -> None:
        """An attempt begins to write to its log."""
        self._logs.append(_Log(i, attempt, lines))

    # ── from outside ────────────────────────────────────────────────────────────────────────────────────────────

    def open(self) -> None:
        """Begin to write."""
        self._execution.on_end(self._notice_end)  # first: Ctrl-C may strike while the thread starts
        self._thread.start()

    def close(self) -> None:
        """Wait until everything is written and the claim on the run is given back.

        Raises:
            StoreError: the store could not be written.
        """
        if self._thread.ident is None:
            self._store.release(self._claim)
            return
        self._thread.join()
        if self.problem is not None:
            raise self.problem

    # ── in the thread ───────────────────────────────────────────────────────────────────────────────────────────

    def _notice_end(self) -> None:
        if self._execution.done.is_set():
            self._end.set()

    def _main(self) -> None:
        execution = self._execution
        try:
            while not (self._end.is_set() or execution.done.is_set()):
                self._end.wait(WINDOW_SECONDS)
                self._write()
                if self._code is not None and self._code_thread is None and self._is_worth_its_code():
                    # Not here: pickling ten thousand tasks takes longer than anything may wait to be written.
                    self._code_thread = threading.Thread(target=self._write_code, name="graflow-code", daemon=True)
                    self._code_thread.start()
            self._write()
            if self._code_thread is not None:
                self._code_thread.join()
            elif execution.state is not RunState.SUCCEEDED:
                self._write_code()
            if execution.fatal is None:
                at = execution.epoch + (execution.finished_at or execution.began)
                self._store.finish(self._claim, str(execution.state), at, execution.machine.cancel_reason)
        except Exception as problem:  # noqa: BLE001  # whatever it is, the run must not end as if it were kept
            self._fail(problem)
            execution.wait()  # as long as bodies run, nobody else may run them
        finally:
            self._store.release(self._claim)

    def _is_worth_its_code(self) -> bool:
        """Is the run long enough, or its workflow small enough, to write down what it takes to resume it by its id?"""
        execution = self._execution
        least = SOON_SECONDS if len(execution.plan.ids) <= SMALL else LONG_SECONDS
        return execution.clock.now() - execution.began >= least

    def _write_code(self) -> None:
        code = self._code() if self._code is not None else b""
        if code:
            try:
                self._store.set_code(self._claim, code)
            except Exception as problem:  # noqa: BLE001  # as in `_main`
                self._fail(problem)

    def _fail(self, error: Exception) -> None:
        problem = error if isinstance(error, StoreError) else StoreError(f"{type(error).__name__}: {said(error)}")
        if problem is not error:
            problem.__cause__ = error
        self.problem = problem
        self._execution.cancel(f"its journal cannot be written: {problem}")

    def _write(self) -> None:
        logs = self._new_lines()
        if not (self.begun or self.past or logs):
            return
        with haste():
            self._write_down(logs)

    def _write_down(self, logs: list[LogRow]) -> None:
        books, place = self._execution, self._place
        with books.lock:
            # Emptied rather than replaced: those who append have them at hand.
            begun, past = self.begun[:], self.past[:]
            for emptied in (self.begun, self.past):
                emptied.clear()
            states, attempts = books.machine.states, books.machine.attempts
            under_way = [
                (i, attempt, books.started[i], books.workers[books.worker[i]])
                for i, attempt in begun
                if states[i] == RUNNING and attempts[i] == attempt
            ]
        notes = books.notes
        plain: list[Ended] = []
        rows: list[AttemptRow] = []
        for ended in past:
            if ended[2] == SUCCEEDED and type(ended[6]) is bytes and ended[0] not in notes:
                plain.append(ended)
            else:
                rows.append(self._row(*ended))
        rows += [
            AttemptRow(place(i), attempt, "running", books.epoch + at, None, worker, None, None, None, None)
            for i, attempt, at, worker in under_way
        ]
        self._store.write(self._claim, rows, logs, self._columns(plain))

    def _new_lines(self) -> list[LogRow]:
        """What attempts logged since this was asked last: a kill must not cost the lines of a long attempt."""
        found: list[LogRow] = []
        for log in self._logs[:]:
            done = log.lines.done  # asked first: what comes after it is no line
            lines = log.lines.lines[log.written :] if done else log.lines.after(log.written)
            log.written += len(lines)
            place = self._place(log.i)
            found += [LogRow(place, log.attempt, line.at, line.level, line.logger, line.text) for line in lines]
            if done:
                self._logs.remove(log)
        return found

    def _columns(self, plain: list[Ended]) -> Successes | None:
        """The many that succeeded, with nothing else to tell."""
        if not plain:
            return None
        books, places = self._execution, self._places
        epoch, workers = books.epoch, books.workers
        tasks, attempts, _, started, ended, worker, results, _ = zip(*plain, strict=True)
        return Successes(
            tasks if places is None else [places[i] for i in tasks],
            attempts,
            [epoch + at for at in started],
            list(map(sub, ended, started)),
            [workers[k] for k in worker],
            results,
        )

    def _place(self, i: int) -> int:
        return i if self._places is None else self._places[i]

    def _row(
        self,
        i: int,
        attempt: int,
        state: int,
        started: float,
        ended: float,
        worker: int,
        payload: Any,
        error: BaseException | None,
    ) -> AttemptRow:
        books = self._execution
        note = books.reason(i) if state in (SKIPPED, CANCELLED) else books.notes.get(i)
        if type(payload) is Unstorable:
            payload, note = None, f"its result could not be stored: {payload.why}"
            books.notes.setdefault(i, note)
        if state in (SKIPPED, CANCELLED) and not self._ran(i, attempt):
            return AttemptRow(self._place(i), 0, _NAMES[state], books.epoch + ended, None, None, None, note, None, None)
        return AttemptRow(
            self._place(i),
            attempt,
            _NAMES[state],
            books.epoch + started,
            max(0.0, ended - started),
            books.workers[worker],
            payload,
            note,
            None if error is None else codec.dump_exception(error),
            None if error is None else f"{type(error).__name__}: {said(error)}",
        )

    def _ran(self, i: int, attempt: int) -> bool:
        """Was a task that was called off under way, rather than waiting for its first or next attempt?"""
        past = self._execution.past.get(i)
        return attempt > 0 and not (past and past[-1].number == attempt)
