"""The JSON form of a plan."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from graflow.core._digest import digest_value
from graflow.core._inputs import Template, plain, spelling
from graflow.core.placeholder import (
    InputSource,
    KnownSource,
    Placeholder,
    projection_of,
    spelling_of_path,
    split_at_item,
    takes_item,
    takes_outcome,
)
from graflow.core.plan import function_name, named_inputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graflow.core.condition import Condition
    from graflow.core.plan import Plan

#: Version of the JSON form; a reader refuses one it does not know.
JSON_FORMAT = 1
#: JSON shows constants up to this many bytes, and only the digest of larger ones.
MAX_SHOWN = 1024


def shown(plan: Plan) -> dict[str, Any]:
    """See `Plan.to_dict`."""
    structure = plan.workflow._structure
    tasks = []
    for i in plan.order:
        if i >= len(plan.ids):
            continue
        task = structure.tasks[i]
        after = {*structure.task_upstream(i)[plan.reads[i] :], *structure.also_after.get(i, ())}
        tasks.append(
            {
                "id": task.id,
                "function": function_name(task.fn),
                "level": plan.levels[i],
                "inputs": {name: _shown(value) for name, value in named_inputs(task)},
                "after": [plan.ids[u] for u in sorted(after)],
                **({"when": flags} if (flags := _flags(structure.conditions.get(i, ()))) else {}),
                **({"require": rules} if (rules := _rules(plan, i)) else {}),
                **({"map": True} if i in plan.maps else {}),
                "policy": task.policy.model_dump(mode="json", exclude_defaults=True),
            }
        )
    return {
        "format": JSON_FORMAT,
        "workflow": plan.name,
        "fingerprint": plan.fingerprint,
        "inputs": plan.workflow.input_schema(),
        "returns": plan.workflow.returns,
        "tasks": tasks,
    }


def _rules(plan: Plan, i: int) -> list[dict[str, Any]]:
    gates = [gate for gate in plan.upstream[i] if gate in plan.rules]
    return [{"of": [plan.ids[u] for u in plan.upstream[gate]], "rule": repr(plan.rules[gate][0])} for gate in gates]


def _flags(conditions: Sequence[Condition]) -> list[dict[str, Any]]:
    return [{"flag": _shown(one.flag), "is": one.wanted} for one in conditions]


def _shown(value: Any) -> Any:
    if type(value) is Placeholder:
        source, path = value.__graflow_source__, projection_of(value)
        what: dict[str, Any]
        if isinstance(source, KnownSource):
            what = _shown(source.value)
        else:
            what = {"input": source.model.__name__} if isinstance(source, InputSource) else {"task": source.id}
        if takes_outcome(value):
            what["outcome"] = True
        if takes_item(value):
            before, path = split_at_item(path)
            what["each"] = spelling_of_path(before) or True
        return {**what, "path": spelling_of_path(path)} if path else what
    if type(value) is Template and value.refs:
        parts = [_shown(item) for item in value.items]
        if value.keys is None:
            return {value.kind.__name__: parts}
        return {"dict": dict(sorted((spelling(key), part) for key, part in zip(value.keys, parts, strict=True)))}
    constant = plain(value)
    try:
        text = json.dumps(constant, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError):  # nothing that JSON knows, or keys of several types
        text = None
    if text is not None and len(text) <= MAX_SHOWN and json.loads(text) == constant:
        return {"value": json.loads(text)}
    kind = type(constant)
    return {"type": f"{kind.__module__}.{kind.__qualname__}", "digest": digest_value(constant).hex()}
