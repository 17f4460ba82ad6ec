"""``graflow schema``."""

import json

from graflow.core.config import schema

from .conftest import Call


def test_the_schema_is_json(call: Call) -> None:
    done = call("schema")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == schema()
