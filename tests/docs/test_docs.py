"""Every Python block of the documentation runs, and prints what the page says it prints.

The blocks of one page run one after the other, as one script in a process of its own.
Three things change that:

- ``<!-- not run: reason -->`` on the line above a block: it is only compiled.
- A block that is quoted word for word from a file in ``examples/`` is left out, because that file has a test.
- A ``text`` block after a Python block is what that block prints; ``...`` stands for any text within a line.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

REPO = Path(__file__).parents[2]
DOCS = REPO / "docs"
PAGES = [REPO / "README.md", *sorted(DOCS.rglob("*.md"))]
EXAMPLES = [path.read_text("utf-8") for path in sorted((REPO / "examples").rglob("*.py"))]

_BLOCK = re.compile(r"^```(?P<language>[\w-]*)[^\n]*\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_LONG = 80  # characters that two authors do not write alike by chance
_NOT_RUN = re.compile(r"<!-- not run: \S[^>]* -->\n\Z")
_FIXED = [
    (re.compile(r"[^\s()']*pipeline\.py:\d+"), "pipeline.py:N"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "RUN"),
]


class Block(NamedTuple):
    """One fenced block of Python."""

    line: int
    """Of the first line of code."""
    code: str
    quoted: bool
    """It stands in an example."""
    runs: bool
    output: str | None
    """What the page says it prints."""


def blocks_of(page: str) -> list[Block]:
    """The Python blocks of a page."""
    found = list(_BLOCK.finditer(page))
    blocks = []
    for match, after in zip(found, [*found[1:], None], strict=False):
        if match["language"] != "python":
            continue
        code = match["code"]
        quoted = len(code) >= _LONG and any(code.strip("\n") in example for example in EXAMPLES)
        runs = not _NOT_RUN.search(page[: match.start()]) and not quoted
        follows = after is not None and after["language"] == "text" and not page[match.end() : after.start()].strip()
        blocks.append(
            Block(
                page.count("\n", 0, match.start("code")) + 1,
                code,
                quoted,
                runs,
                after["code"] if runs and after is not None and follows else None,
            )
        )
    return blocks


def script_of(blocks: list[Block]) -> str:
    """The blocks that run as one script, each on the lines it has on the page, and a mark printed after each."""
    lines: list[str] = []
    for number, block in enumerate(blocks):
        if block.runs:
            lines += [""] * (block.line - 1 - len(lines))
            lines += [*block.code.splitlines(), f"print('\\x1e{number}\\x1e', end='', flush=True)"]
    return "\n".join(lines) + "\n"


def printed(blocks: list[Block], output: str) -> dict[int, str]:
    """What each block printed, by its number."""
    parts = re.split(r"\x1e(\d+)\x1e", output)
    return {int(number): text for text, number in zip(parts[::2], parts[1::2], strict=False)}


def agrees(expected: str, actual: str) -> bool:
    """Is this what the page promises? Places, run ids and trailing blanks do not count."""
    for pattern, fixed in _FIXED:
        expected, actual = pattern.sub(fixed, expected), pattern.sub(fixed, actual)
    wanted, got = expected.strip("\n").split("\n"), actual.strip("\n").split("\n")
    return len(wanted) == len(got) and all(
        re.fullmatch(".*".join(map(re.escape, one.rstrip().split("..."))), other.rstrip())
        for one, other in zip(wanted, got, strict=True)
    )


def name(page: Path) -> str:
    return page.relative_to(REPO).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_compiles(page: Path) -> None:
    for block in blocks_of(page.read_text("utf-8")):
        if not block.quoted:
            compile("\n" * (block.line - 1) + block.code, name(page), "exec")


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(block.runs for block in blocks_of(page.read_text("utf-8")))], ids=name
)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    blocks = blocks_of(page.read_text("utf-8"))
    (tmp_path / "pipeline.py").write_text(script_of(blocks), "utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "pipeline.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"line numbers are those of {name(page)}\n{done.stderr}"
    outputs = printed(blocks, done.stdout)
    for number, block in enumerate(blocks):
        if block.output is not None:
            assert agrees(block.output, outputs[number]), (
                f"{name(page)}:{block.line} prints\n{outputs[number]}\nand not\n{block.output}"
            )


def test_a_promise_is_compared_line_by_line() -> None:
    assert agrees("a ... c\n", "a b c\n")
    assert agrees("at pipeline.py:1\n", "at /some/where/pipeline.py:37\n")
    assert not agrees("a\n", "a\nb\n")
    assert not agrees("a\n", "ab\n")


def test_blocks_are_found_with_what_they_promise() -> None:
    fence = "`" * 3
    page = (
        f"{fence}python\nprint(1)\n{fence}\n\n{fence}text\n1\n{fence}\n"
        f"<!-- not run: needs a server -->\n{fence}python\nserve()\n{fence}\n"
    )
    shown, marked = blocks_of(page)
    assert (shown.line, shown.runs, shown.output) == (2, True, "1\n")
    assert (marked.line, marked.runs, marked.output) == (10, False, None)


def anchors_of(page: Path) -> set[str]:
    """The anchors that the headings of a page make."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page.read_text("utf-8")), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", page.read_text("utf-8")))
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        place = (page.parent / file).resolve() if file else page
        if not place.exists() or (anchor and place.suffix == ".md" and anchor not in anchors_of(place)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"(?:examples|tests|docs|src)/[\w./-]+\.\w+", page.read_text("utf-8"))
    assert [path for path in dict.fromkeys(named) if not (REPO / path).exists()] == []


def test_the_reference_names_all_that_is_public() -> None:
    import graflow

    page = (DOCS / "reference/graflow.md").read_text("utf-8")
    assert sorted({one for one in re.findall(r"`([A-Za-z_]+)`", page) if one != "graflow"}) == sorted(graflow.__all__)


def test_the_errors_guide_tells_of_every_error_and_warning() -> None:
    import graflow

    page = (DOCS / "guides/errors.md").read_text("utf-8")
    kinds = [one for one in graflow.__all__ if one.endswith(("Error", "Errors", "Warning"))]
    assert [one for one in kinds if one not in page] == []


def test_every_decision_is_listed() -> None:
    folder = DOCS / "decisions"
    listed = re.findall(r"\]\(([\w-]+\.md)\)", (folder / "README.md").read_text("utf-8"))
    assert sorted(dict.fromkeys(listed)) == sorted(path.name for path in folder.glob("*.md") if path.stem != "README")
