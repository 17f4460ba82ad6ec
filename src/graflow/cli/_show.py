"""``graflow show``: draw a workflow, without running it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Literal

import click

from graflow.cli._output import answer
from graflow.cli._trouble import Trouble
from graflow.errors import ConfigurationError, UnknownTaskError
from graflow.show.text import one_line

if TYPE_CHECKING:
    from graflow.core.workflow import Workflow

    Format = Literal["mermaid", "dot", "svg", "html", "json"]

_MANY = 1000
"""Pictures of more tasks than this get a word on how they are drawn."""
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
@click.option(
    "-s",
    "--select",
    "ids",
    metavar="TASK",
    multiple=True,
    help="Draw this task and what comes right before and after it; a pattern such as 'load_*' selects several. May be "
    "given many times.",
)
@click.option("--app-dir", metavar="DIR", help="Look for MODULE in this directory, too; . is the working directory.")
@click.option("--traceback", is_flag=True, expose_value=False, help="Show errors with all their frames, ours included.")
def show(target: str, wanted: Format | None, output: str | None, ids: tuple[str, ...], app_dir: str | None) -> None:
    """Draw WORKFLOW, which is FILE.py, FILE.py:NAME or MODULE:NAME. None of its tasks runs.

    Of very many tasks, those that are alike are drawn as one.
    """
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
    text = _drawn(workflow, chosen, ids, on_terminal=output is None and sys.stdout.isatty())
    if output is None or output == "-":
        answer(text)
        return
    try:
        with open(output, "w", encoding="utf-8") as stream:
            stream.write(text if text.endswith("\n") else f"{text}\n")
    except OSError as error:
        raise Trouble(f"cannot write {output}: {error.strerror}") from error


def _drawn(workflow: Workflow[Any, Any], chosen: Format, ids: tuple[str, ...], *, on_terminal: bool) -> str:
    """The picture, with a word about it on standard error if it is large.

    Raises:
        Trouble: there are no such tasks, or more than can be looked at.
    """
    from graflow.show import part_of, picture_of, render
    from graflow.show.mermaid import is_drawn

    part = "--select TASK draws a part"
    try:
        picture = picture_of(workflow)
        picture = part_of(picture, ids) if ids else picture
        text = render(picture, chosen)
    except UnknownTaskError as error:
        raise Trouble(str(error)) from error
    except ConfigurationError as error:
        raise Trouble(f"{error}; {part}") from error
    large = f"{one_line(picture.name)} has {len(picture.tasks):,} tasks"
    if chosen == "mermaid" and not is_drawn(text):
        if on_terminal:
            raise Trouble(f"{large}, which is too much for a terminal; {part}, --output FILE writes them all")
        click.echo(f"{large}, which Mermaid draws only where its limits are raised; {part}", err=True)
    elif chosen in ("mermaid", "svg", "html") and len(picture.tasks) > _MANY:
        click.echo(f"{large}; those that are alike are drawn as one; {part}", err=True)
    return text
