"""Workflows from configuration: YAML, TOML, JSON or a mapping in; a checked workflow, or places and reasons, out.

What is written down is read as data and never run. Its way in: `_document` reads and bounds it, `_models` validates
it, `_expand` makes one task of each combination of a matrix, `_names` finds the callables, `_build` wires and builds.
`_write` is the way back.
"""

from graflow.core.config._build import from_config
from graflow.core.config._schema import schema
from graflow.core.config._write import to_config

__all__ = ["from_config", "schema", "to_config"]
