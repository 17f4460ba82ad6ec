"""``graflow show``: draw a workflow, without running it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Literal

import click

from graflow.cli._output import answer
from graflow.cli._trouble import Trouble

if TYPE_CHECKING:
    Format = Literal["mermaid", "dot", "svg", "html", "json"]

#: Which format a file name asks for.
_SUFFIXES: dict[str, Format] = {
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".dot": "dot",
    ".gv": "dot",
    ".svg": "svg",
    ".html": "html",
    ".htm": "html",
    ".json": "json",
}


@click.command(short_help="Draw a workflow.")
@click.argument("target", metavar="WORKFLOW")
@click.option(
    "-f",
    "--format",
    "wanted",
    type=click.Choice(["mermaid", "dot", "svg", "html", "json"]),
    help="The default is what the name of the output ends in, or mermaid.",
)
@click.option("-o", "--output", metavar="FILE", help="Where to write it; the default is standard output.")
@click.option("--app-dir", metavar="DIR", help="Look for MODULE in this directory, too; . is the working directory.")
@click.option("--traceback", is_flag=True, expose_value=False, help="Show errors with all their frames, ours included.")
def show(target: str, wanted: Format | None, output: str | None, app_dir: str | None) -> None:
    """Draw WORKFLOW, which is FILE.py, FILE.py:NAME or MODULE:NAME. None of its tasks runs."""
    from graflow.cli._load import load

    suffix = os.path.splitext(output or "")[1].lower()
    if wanted is None and suffix and suffix not in _SUFFIXES:
        raise Trouble(
            f"{output} does not say which format to write, for it ends in none of {', '.join(_SUFFIXES)}; "
            f"name one with --format"
        )
    chosen = wanted or _SUFFIXES.get(suffix, "mermaid")
    if output is None and chosen in ("svg", "html") and sys.stdout.isatty():
        raise Trouble(f"{chosen} is not for a terminal; name a file with --output FILE.{chosen}")
    workflow = load(target, app_dir)
    from graflow.show import picture_of, render

    text = render(picture_of(workflow), chosen)
    if output is None or output == "-":
        answer(text)
        return
    try:
        with open(output, "w", encoding="utf-8") as stream:
            stream.write(text if text.endswith("\n") else f"{text}\n")
    except OSError as error:
        raise Trouble(f"cannot write {output}: {error.strerror}") from error
