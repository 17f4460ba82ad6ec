"""What a run does, handed to a store from a thread of its own, in small batches.

Workers only append to a list. Every `WINDOW_SECONDS` the thread turns what has come into rows and writes them in one
transaction, so a kill costs at most the work of one window, and a run of ten thousand short tasks waits for no disk.
"""

from __future__ import annotations

import threading
import time
from operator import sub
from typing import TYPE_CHECKING, Any, Final

from graflow.core.run import RunState
from graflow.engine import codec
from graflow.engine.attempt import said
from graflow.engine.payload import Unstorable
from graflow.engine.rebuild import rebuild
from graflow.engine.rules import CANCELLED, RETRYING, RUNNING, SKIPPED, STATES, SUCCEEDED
from graflow.errors import StoreError
from graflow.stores._haste import haste
from graflow.stores.store import ITEMS, AttemptRow, LogRow, Successes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graflow.engine.drive import Execution
    from graflow.engine.journal import Ended
    from graflow.engine.logs import LogLines
    from graflow.stores.store import Claim, Store

#: How long what happened may wait for more to happen.
WINDOW_SECONDS: Final = 0.005
#: How often to look whether a signal has arrived.
HEAR_SECONDS: Final = 0.5
#: When a run has lasted so long, or failed, its workflow is written down as well; a small one sooner.
SMALL: Final = 200
SOON_SECONDS: Final = 0.1
LONG_SECONDS: Final = 0.5

#: The note of an attempt that went on with another task.
WENT_ON: Final = "it went on with another task"

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
        self._hear_at = 0.0
        self._under_way: list[tuple[int, AttemptRow]] = []
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

    def arrives(self, i: int, value: Any) -> bool:
        """Keep what arrives for a signal; False if something arrived before.

        Raises:
            SerializationError: the value cannot be stored.
            StoreError: the store could not be written.
        """
        execution = self._execution
        at = execution.clock.wall()
        return self._store.put_signal(execution.id, execution.ids[i], codec.dumps(value), at)

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
                self._hear_signals()
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

    def _hear_signals(self) -> None:
        """Look now and then whether another process has sent a signal."""
        execution = self._execution
        signals = execution.plan.signals
        if len(signals) == len(execution.arrived) or time.monotonic() < self._hear_at:
            return
        self._hear_at = time.monotonic() + HEAR_SECONDS
        for id, payload in self._store.signals(execution.id).items():
            i = execution.plan.index.get(id, -1)
            if i in signals and i not in execution.arrived:
                execution.arrive(i, rebuild(payload))

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
        changed = self._execution.channels.changed()
        if changed:
            self._store.put_channels(self._claim, changed)
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
        rows += self._gone_on(past)
        for i, attempt, at, worker in under_way:
            row = AttemptRow(place(i), attempt, "running", books.epoch + at, None, worker, None, None, None, None)
            self._under_way.append((i, row))
            rows.append(row)
        self._store.write(self._claim, rows, logs, self._columns(plain))

    def _gone_on(self, past: Sequence[Ended]) -> list[AttemptRow]:
        """What becomes of attempts that were written down as under way, and went on with another task.

        Only of these: a task may go on a million times.
        """
        if not self._under_way:
            return []
        ended = {entry[:2] for entry in past}
        left: list[tuple[int, AttemptRow]] = []
        gone: list[AttemptRow] = []
        for i, row in self._under_way:
            if (i, row.attempt) in ended:
                continue
            if self._execution.is_current(i, row.attempt):
                left.append((i, row))
            else:
                gone.append(row._replace(state="cancelled", note=WENT_ON))
        self._under_way = left
        return gone

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
            tasks if places is None and not self._execution.machine.items else list(map(self._place, tasks)),
            attempts,
            [epoch + at for at in started],
            list(map(sub, ended, started)),
            [workers[k] for k in worker],
            results,
        )

    def _place(self, i: int) -> int:
        if i < len(self._execution.plan.ids):
            return i if self._places is None else self._places[i]
        items = self._execution.machine.items
        return self._place(items.owner(i)) + (items.number(i) + 1) * ITEMS

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
