"""The cache, as one run uses it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from graflow.engine.cache import KeyMemo, explain, freshness, key_of
from graflow.engine.payload import Unstorable
from graflow.engine.rebuild import rebuild
from graflow.errors import SerializationError
from graflow.stores.store import CacheRow

if TYPE_CHECKING:
    from graflow.engine.drive import Execution
    from graflow.runners._extras import Prepared
    from graflow.stores.store import Store


class Cached:
    """Looks results up before their tasks run, and keeps those that had to be worked out.

    Attributes:
        tasks: the tasks that ask for it.
    """

    def __init__(self, execution: Execution, store: Store) -> None:
        self.tasks = {i for i, policy in execution.plan.policies.items() if policy.cache is not None}
        self._execution = execution
        self._store = store
        self._memo = KeyMemo(execution.plan)

    def wants(self, i: int) -> bool:
        """Does this attempt ask for the cache? A map itself keeps nothing, and a task that goes on is under way."""
        execution = self._execution
        goes_on = execution.function_of[i] >= len(execution.plan.functions)
        return i not in execution.plan.maps and execution.owner(i) in self.tasks and not goes_on

    def look_up(self, prepared: Prepared) -> None:
        """Find the key of an attempt, and its result if there is one; note why it runs or not.

        Raises:
            CacheKeyError: an input has no readable content.
            StoreError: the store cannot be read.
        """
        execution, i = self._execution, prepared.i
        plan, owner = execution.plan, execution.owner(i)
        key = key_of(plan, owner, (prepared.args, prepared.kwargs), self._memo, result_of=execution.result)
        prepared.key = key
        row = self._store.cached(key.key, execution.clock.wall())
        if row is None:
            last = self._store.last_cached(plan.name, plan.ids[owner])
            old: Any = json.loads(last.parts) if last is not None else None
            if last is not None and last.key == key.key and last.expires is not None:
                execution.notes[i] = freshness(last.created, execution.clock.wall(), last.expires)
            else:
                execution.notes[i] = "its cached result is gone" if old == key.parts else explain(old, key.parts)
            return
        try:
            prepared.value = rebuild(row.result)
        except SerializationError as error:
            execution.notes[i] = f"its cached result could not be read: {error}"
            return
        prepared.source, prepared.payload = "cache", row.result
        execution.notes[i] = freshness(row.created, execution.clock.wall())

    def keep(self, prepared: Prepared, payload: bytes | Unstorable | None) -> None:
        """Keep a result for the next run."""
        execution, i, key = self._execution, prepared.i, prepared.key
        assert key is not None
        if not isinstance(payload, bytes):
            why = payload.why if payload is not None else "it has no bytes"
            execution.notes[i] = f"{execution.notes.get(i, '')}; its result could not be cached: {why}".lstrip("; ")
            return
        plan, now = execution.plan, execution.clock.wall()
        policy = execution.policies[i].cache
        expires = now + policy.ttl if policy is not None and policy.ttl is not None else None
        self._store.keep(
            CacheRow(key.key, plan.name, plan.ids[execution.owner(i)], now, expires, json.dumps(key.parts), payload)
        )
