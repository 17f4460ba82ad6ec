"""The JSON Schema of a configuration."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from graflow.core.config._models import REFERENCES, Cell, Ending, Input, Result, WorkflowConfig

#: pydantic leaves bounds that stand behind a validator under their own names.
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def schema() -> dict[str, Any]:
    """The JSON Schema of a configuration, for editors and other programs."""
    _, parts = models_json_schema(
        [(kind, "validation") for kind in (WorkflowConfig, *REFERENCES.values())], ref_template="#/$defs/{model}"
    )
    defs: dict[str, Any] = _tidy(parts["$defs"])
    text = {"type": "string", "minLength": 1}
    defs["Item"]["properties"]["each"]["anyOf"] = [text, _ref(Result), _ref(Ending), _ref(Input)]
    value = {"$ref": "#/$defs/Value"}
    defs["Value"] = {
        "description": "A constant, a reference, or a list or mapping of these.",
        "anyOf": [
            *map(_ref, REFERENCES.values()),
            {"type": ["string", "number", "boolean", "null"]},
            {"type": "array", "items": value},
            {"type": "object", "propertyNames": {"not": {"enum": list(REFERENCES)}}, "additionalProperties": value},
        ],
    }
    flag = {"$ref": "#/$defs/Flag"}
    defs["Flag"] = {
        "description": "True or false, known now or when the workflow runs.",
        "anyOf": [{"type": "boolean"}, *map(_ref, (Result, Ending, Input, Cell))],
    }
    task = defs["TaskConfig"]["properties"]
    task["inputs"]["additionalProperties"] = value
    for name in ("when", "unless"):
        task[name]["anyOf"] = [flag, {"type": "array", "items": flag}]
    task["retry"]["anyOf"].insert(0, {"type": "integer", "minimum": 1})
    task["cache"]["anyOf"].insert(0, {"type": "boolean"})
    for names in (task["after"], defs["Retry"]["properties"]["on"]):
        names["anyOf"] = [text, {"type": names.pop("type"), "items": names.pop("items")}]
    whole = defs.pop(WorkflowConfig.__name__)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A graflow workflow",
        **whole,
        "$defs": dict(sorted(defs.items())),
    }


def _ref(kind: type[Any]) -> dict[str, str]:
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _tidy(part: Any) -> Any:
    """Without the titles that pydantic makes of names; bounds under their names in JSON Schema."""
    if isinstance(part, list):
        return [_tidy(item) for item in part]
    if not isinstance(part, dict):
        return part
    is_schema = not isinstance(part.get("title"), dict)  # else a mapping of schemas, one of them called title
    return {
        _BOUNDS.get(key, key) if not isinstance(item, dict) else key: _tidy(item)
        for key, item in part.items()
        if not (is_schema and key == "title" and isinstance(item, str))
    }
