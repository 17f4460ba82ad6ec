"""What a checked run raises when it did not succeed."""

from __future__ import annotations

from graflow.core.run import RunState
from graflow.engine.attempt import said
from graflow.engine.drive import Execution
from graflow.engine.rules import SKIPPED, SUCCEEDED
from graflow.errors import RunCancelledError, RunFailedError, RunTimeoutError


def run_error(execution: Execution) -> RunFailedError | RunCancelledError | RunTimeoutError | None:
    """What a checked run raises; None if it succeeded."""
    plan, state = execution.plan, execution.machine.outcome
    if state is RunState.CANCELLED:
        done = sum(execution.machine.states[i] == SUCCEEDED for i in range(len(plan.ids)))
        return RunCancelledError(
            f"run {execution.id} of workflow {plan.name!r} was cancelled ({execution.machine.cancel_reason}) with "
            f"{done} of {len(plan.ids)} tasks done; run it with check=False to look at the others"
        )
    if state is RunState.TIMED_OUT:
        done = sum(execution.machine.states[i] == SUCCEEDED for i in range(len(plan.ids)))
        timeout = execution.options.timeout
        bound = "" if timeout is None else f" of {timeout:g} s"
        return RunTimeoutError(
            f"run {execution.id} of workflow {plan.name!r} took longer than its timeout{bound}, with {done} of "
            f"{len(plan.ids)} tasks done; give it more time, or resume it if its runner has a store"
        )
    if state is not RunState.FAILED:
        return None
    is_handled = execution.machine.is_handled
    failures = {plan.ids[i]: execution.errors[i] for i in plan.order if i in execution.errors and not is_handled(i)}
    names = list(failures)
    shown = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    first = plan.index[names[0]]
    items = execution.machine.items.of.get(first, range(0))
    failed = [k for k, j in enumerate(items) if j in execution.errors]
    if len(names) == 1 and len(failed) == 1:
        shown = f"{shown} (item {failed[0]})"
    skipped = sum(state == SKIPPED for state in execution.machine.states[: len(plan.ids)])
    one = failures[names[0]]
    what = f": {type(one).__name__}: {said(one)}" if len(names) == 1 else ""
    return RunFailedError(
        f"{'task' if len(names) == 1 else 'tasks'} {shown} of workflow {plan.name!r} failed{what}"
        + (f"; {skipped} {'task that needs' if skipped == 1 else 'tasks that need'} it did not run" if skipped else "")
        + f" (run {execution.id})",
        failures,
    ).with_cause()
