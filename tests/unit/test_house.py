"""The rules of the house: who imports whom, how long a module may get, what no file says.

The tables are those of docs/contributing.md, read as data, so that the page and the code cannot tell two stories.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

REPO = Path(__file__).parents[2]
SRC = REPO / "src"
PACKAGE = SRC / "graflow"
MODULES = sorted(PACKAGE.rglob("*.py"))
DOORS = {"__init__", "__main__"}
MOST_LINES = 400


class Import(NamedTuple):
    """One imported name: `from graflow.core import task` is `graflow.core.task`."""

    line: int
    name: str


def table(header: str) -> dict[str, str]:
    """The rows of one table of the page, first column to second, without the backticks."""
    page = (REPO / "docs/contributing.md").read_text()
    rows = page.partition(f"{header}\n|---|---|\n")[2].partition("\n\n")[0].splitlines()
    cells = [[cell.strip().replace("`", "") for cell in row.strip("|").split("|")] for row in rows]
    return dict(cells)


def imports_of(source: str, module: str, *, is_package: bool = False) -> Iterator[Import]:
    """Every import in the source, at any depth and made absolute; a literal `import_module(...)` counts too."""
    here = module.split(".") if is_package else module.split(".")[:-1]
    for found in ast.walk(ast.parse(source)):
        match found:
            case ast.Import(names=names):
                yield from (Import(found.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=name, names=names, level=level):
                base = [*here[: len(here) - level + 1], *([name] if name else [])] if level else [name or ""]
                yield from (Import(found.lineno, ".".join([*base, alias.name])) for alias in names)
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield Import(found.lineno, name)


def imports_in(path: Path) -> Iterator[Import]:
    """Every import of a module of the package."""
    module = ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")
    return imports_of(path.read_text(), module, is_package=path.name == "__init__.py")


def room_of(name: str, rooms: list[str]) -> str | None:
    """The room a dotted name lies in; `graflow` for a name taken from the door; None outside the package."""
    first, _, rest = name.partition(".")
    if first != "graflow":
        return None
    room = rest.partition(".")[0]
    return room if room in rooms else "graflow"


def inside(path: Path, places: str) -> bool:
    """Whether the module lies in one of the places a table row allows."""
    own = path.relative_to(PACKAGE).as_posix()
    return any(own == place or (place.endswith("/") and own.startswith(place)) for place in places.split(", "))


def said(path: Path, found: Import) -> str:
    return f"{path.relative_to(REPO)}:{found.line} imports {found.name}"


ROOMS = list(table("| room | holds |"))
FENCES = table("| package | only in |")


def test_the_tables_are_there_and_every_module_has_its_place() -> None:
    assert ROOMS[0] == "errors"
    assert ROOMS[-3:] == ["cli", "contrib", "testing"]
    assert {"rustworkx", "cloudpickle", "redis", "pytest"} <= FENCES.keys()
    homeless = [
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if path.relative_to(PACKAGE).with_suffix("").parts[0] not in {*ROOMS, *DOORS}
    ]
    assert not homeless, "in no room of docs/contributing.md"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_room_imports_only_the_rooms_before_it(path: Path) -> None:
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if room in DOORS:
        return
    allowed = {*ROOMS[: ROOMS.index(room) + 1], None}
    wrong = [said(path, found) for found in imports_in(path) if room_of(found.name, ROOMS) not in allowed]
    assert not wrong


def test_contrib_stands_beside_the_other_rooms() -> None:
    own = [path for path in MODULES if PACKAGE / "contrib" in path.parents]
    assert own
    wrong = [
        said(path, found)
        for path in MODULES
        for found in imports_in(path)
        if (
            room_of(found.name, ROOMS) not in {"errors", "core", "contrib", None}
            if path in own
            else room_of(found.name, ROOMS) == "contrib"
        )
    ]
    assert not wrong


def test_runners_do_not_import_each_other() -> None:
    runners = PACKAGE / "runners"
    wrong = [
        said(path, found)
        for path in sorted(runners.rglob("*.py"))
        for found in imports_in(path)
        if (taken := re.match(r"graflow\.runners\.([a-z]\w*)", found.name))
        and (runners / taken[1]).with_suffix(".py").exists() | (runners / taken[1]).is_dir()
        and taken[1] != path.relative_to(runners).with_suffix("").parts[0]
        and path.parent != runners / taken[1]
    ]
    assert not wrong


@pytest.mark.parametrize(("package", "places"), FENCES.items())
def test_one_place_knows_each_heavy_package(package: str, places: str) -> None:
    wrong = [
        said(path, found)
        for path in MODULES
        for found in imports_in(path)
        if found.name.partition(".")[0] == package and not inside(path, places)
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import rustworkx as rx", "rustworkx"),
        ("def f():\n    import redis.asyncio", "redis.asyncio"),
        ("if TYPE_CHECKING:\n    from graflow.cli import main", "graflow.cli.main"),
        ("from . import task", "graflow.core.task"),
        ("from .task import Task", "graflow.core.task.Task"),
        ("from ..engine import codec", "graflow.engine.codec"),
        ("from .. import engine", "graflow.engine"),
        ("importlib.import_module('graflow.runners.local')", "graflow.runners.local"),
    ],
)
def test_the_walk_finds_every_form_of_import(source: str, expected: str) -> None:
    assert [found.name for found in imports_of(source, "graflow.core.plan")] == [expected]
    in_package = imports_of(source, "graflow.core", is_package=True)
    assert [found.name for found in in_package] == [expected]


def test_a_door_is_no_room() -> None:
    assert room_of("graflow.core.task.Task", ROOMS) == "core"
    assert room_of("graflow.Workflow", ROOMS) == "graflow"
    assert room_of("graflow", ROOMS) == "graflow"
    assert room_of("pydantic.BaseModel", ROOMS) is None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_module_is_longer_than_a_reader_likes(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES, "split it where the seams are"


# Each pattern has a bracket or a backslash that the text it looks for has not: this file does not find itself.
UNSAID = {
    "a path of one machine": re.compile(r"\.\./shared|/wor[k]/|/roo[t]/|/hom[e]/[a-z]"),
    "the host of a package registry": re.compile(r"pypi\.org|pythonhosted\.org|npmjs\.(org|com)"),
}
PLACES = ["src", "tests", "docs", "examples", "stubs", ".ci"]
TEXTS = sorted(
    path
    for path in [*REPO.glob("*"), *(path for place in PLACES for path in (REPO / place).rglob("*"))]
    if path.is_file()
    and path.suffix not in {".pyc", ".png"}
    and not any(part.startswith(".") for part in path.relative_to(REPO).parts[1:])  # caches of tools
)


@pytest.mark.parametrize("what", UNSAID)
def test_the_files_stand_alone(what: str) -> None:
    wrong = [
        f"{path.relative_to(REPO)}:{number}: {line.strip()[:100]}"
        for path in TEXTS
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if UNSAID[what].search(line)
    ]
    assert not wrong, f"names {what}"
