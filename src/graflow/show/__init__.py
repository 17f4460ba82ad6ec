"""Pictures of workflows: Mermaid, Graphviz, SVG, an HTML report, JSON.

All are drawn from one neutral model, the `Picture`; `picture_of` makes it from a workflow, a plan or a run.
Importing this package is cheap: each format loads its own code when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from graflow.core import _ports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graflow.core.plan import Plan
    from graflow.core.run import Run
    from graflow.core.workflow import Workflow
    from graflow.show.picture import Picture

__all__ = ["FORMATS", "Format", "notebook_html", "part_of", "picture_of", "render", "workflow_mermaid"]

Format = Literal["mermaid", "dot", "svg", "html", "json"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
"""What `render` can write."""


def picture_of(workflow: Workflow[Any, Any] | Plan, run: Run[Any] | None = None) -> Picture:
    """The picture of a workflow or its plan, or of one of its runs; see `graflow.show.picture.picture_of`."""
    from graflow.show import picture

    return picture.picture_of(workflow, run)


def part_of(picture: Picture, ids: Sequence[str]) -> Picture:
    """Some tasks of a picture, and those right before and after them; see `graflow.show.part.part_of`."""
    from graflow.show import part

    return part.part_of(picture, ids)


def render(picture: Picture, format: Format, *, fold_above: int | None = None) -> str:
    """Write a picture in one of the `FORMATS`.

    Args:
        picture: what to draw.
        format: ``mermaid``, ``dot``, ``svg``, ``html`` or ``json``.
        fold_above: draw families of more than this many similar tasks as one box; 0 draws every task.
            By default each format decides; JSON never folds.

    Raises:
        ConfigurationError: there is no such format, or a drawing would have too many boxes to look at.
    """
    options: dict[str, Any] = {} if fold_above is None else {"fold_above": fold_above}
    match format:
        case "mermaid":
            from graflow.show.mermaid import to_mermaid

            return to_mermaid(picture, **options)
        case "dot":
            from graflow.show.dot import to_dot

            return to_dot(picture, **options)
        case "svg":
            from graflow.show.svg import to_svg

            return to_svg(picture, **options)
        case "html":
            from graflow.show.html import to_html

            return to_html(picture, **options)
        case "json":
            from graflow.show.picture import to_json

            return to_json(picture)
        case _:
            from graflow.errors import ConfigurationError

            raise ConfigurationError(f"no picture format {format!r}; choose one of {', '.join(FORMATS)}")


def workflow_mermaid(workflow: Workflow[Any, Any]) -> str:
    """What `Workflow.to_mermaid` gives."""
    return render(picture_of(workflow), "mermaid")


def notebook_html(workflow: Workflow[Any, Any]) -> str:
    """What notebooks show for a workflow: its drawing, as wide as the page has room for, or why there is none."""
    from graflow.errors import ConfigurationError

    try:
        drawing = render(picture_of(workflow), "svg")
    except ConfigurationError as too_large:
        from html import escape

        drawing = f"<p>{escape(str(too_large))}</p>"
    return f'<div style="max-width: 100%; overflow-x: auto">{drawing}</div>'


_ports.mermaid = workflow_mermaid
_ports.html = notebook_html
