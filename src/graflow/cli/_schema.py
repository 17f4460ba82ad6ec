"""``graflow schema``: what a configuration may say, for editors and other programs."""

from __future__ import annotations

import json

import click

from graflow.cli._output import answer


@click.command(short_help="Print the JSON Schema of a configuration.")
def schema() -> None:
    """Print the JSON Schema of what Workflow.from_config() reads.

    An editor that knows it completes keys and marks mistakes while you write.
    """
    from graflow.core.config import schema as schema_of_config

    answer(json.dumps(schema_of_config(), indent=2, ensure_ascii=False))
