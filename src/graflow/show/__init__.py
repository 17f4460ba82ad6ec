"""Pictures of workflows: Mermaid, Graphviz, SVG, an HTML report, JSON.

All are drawn from one neutral model, the `Picture`; `picture_of` makes it from a workflow, a plan or a run.
Importing this package is cheap: each format loads its own code when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from graflow.core import _ports

if TYPE_CHECKING:
    from graflow.core.plan import Plan
    from graflow.core.run import Run
    from graflow.core.workflow import Workflow
    from graflow.show.picture import Picture

__all__ = ["FORMATS", "Format", "notebook_html", "picture_of", "render", "workflow_mermaid"]

Format = Literal["mermaid", "dot", "svg", "html", "json"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
"""What `render` can write."""


def picture_of(workflow: Workflow[Any, Any] | Plan, run: Run[Any] | None = None) -> Picture:
    """The picture of a workflow or its plan, or of one of its runs; see `graflow.show.picture.picture_of`."""
    from graflow.show import picture

    return picture.picture_of(workflow, run)


def render(picture: Picture, format: Format, *, fold_above: int | None = None) -> str:
    """Write a picture in one of the `FORMATS`.

    Args:
        picture: what to draw.
        format: ``mermaid``, ``dot``, ``svg``, ``html`` or ``json``.
        fold_above: draw families of more than this many similar tasks as one box; 0 draws every task.
            By default each format decides; JSON never folds.

    Raises:
        ConfigurationError: there is no such format.
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
    """What notebooks show for a workflow: its drawing, as wide as the page has room for."""
    return f'<div style="max-width: 100%; overflow-x: auto">{render(picture_of(workflow), "svg")}</div>'


_ports.mermaid = workflow_mermaid
_ports.html = notebook_html
