"""Mermaid text: structure, escaping, limits. What Mermaid makes of it was checked by hand with Mermaid itself."""

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from graflow.show.mermaid import MOST_EDGES, escape_mermaid, to_mermaid
from graflow.show.picture import Picture, PictureTask

LINE = re.compile(
    r"""flowchart\ (LR|TD)
    | \s+ subgraph\ g_\w+\["[^"]+"\]
    | \s+ end
    | \s+ t_\w+ (\["[^"]+"\] | \(\("\ "\)\))
    | \s+ t_\w+\ (-->\|"[^"]+"\||-\.->)\ t_\w+
    | \s+ classDef\ \w+\ [-\w:\#,]+
    | \s+ class\ t_\w+(,t_\w+)*\ \w+
    | \s+ linkStyle\ \d+(,\d+)*\ stroke-width:3px""",
    re.VERBOSE,
)


def test_a_whole_flowchart() -> None:
    tasks = (
        PictureTask("extract", "extract", critical=True),
        PictureTask("checks/values", "checks/values", cluster=("checks",), critical=True),
        PictureTask("checks/deep/keys", "checks/deep/keys", cluster=("checks", "deep")),
        PictureTask("&0", "", kind="gate"),
        PictureTask("load", "load"),
    )
    edges = ((0, 1, "rows"), (0, 2, "rows"), (1, 3, ""), (2, 3, ""), (3, 4, ""))
    assert to_mermaid(Picture("p", tasks, edges)) == (
        "flowchart LR\n"
        '    t_extract["extract"]\n'
        '    subgraph g_checks["checks"]\n'
        '        t_checks_values["values"]\n'
        '        subgraph g_checks_deep["deep"]\n'
        '            t_checks_deep_keys["keys"]\n'
        "        end\n"
        "    end\n"
        '    t_0((" "))\n'
        '    t_load["load"]\n'
        '    t_extract -->|"rows"| t_checks_values\n'
        '    t_extract -->|"rows"| t_checks_deep_keys\n'
        "    t_checks_values -.-> t_0\n"
        "    t_checks_deep_keys -.-> t_0\n"
        "    t_0 -.-> t_load\n"
        "    classDef critical stroke-width:3px\n"
        "    class t_extract,t_checks_values critical\n"
        "    linkStyle 0 stroke-width:3px\n"
    )


def test_a_run() -> None:
    text = to_mermaid(Picture("p", (PictureTask("a", "a", state="failed", seconds=1.5),), ()), direction="TD")
    assert text == (
        'flowchart TD\n    t_a["a<br/>failed · 1#46;5 s"]\n'
        "    classDef failed stroke:#c81e1e,color:#c81e1e\n    class t_a failed\n"
    )


def test_plain_labels_stay_readable() -> None:
    assert escape_mermaid("clean_rows2, batch-7") == "clean_rows2, batch-7"
    assert escape_mermaid("数据") == "数据"


def test_markup_becomes_entities() -> None:
    assert escape_mermaid('"<b>#;') == "#34;#60;b#62;#35;#59;"
    assert escape_mermaid("__init__") == "#95;#95;init#95;#95;"
    assert escape_mermaid("1. item") == "1#46; item"
    assert escape_mermaid("- item") == "#45; item"
    assert escape_mermaid("my direction LR") == "my direction#32;LR"


def test_ids_that_look_alike_get_names_of_their_own() -> None:
    ids = ["a-b", "a_b", "a.b", "a_b_1", "end", "数据", "据数"]
    text = to_mermaid(Picture("p", tuple(PictureTask(id, id) for id in ids), ()))
    names = re.findall(r"^    (\w+)\[", text, re.MULTILINE)
    assert len(set(names)) == len(ids)
    assert names[0] == "t_a_b"
    assert "t_end" in names


def test_a_new_task_changes_no_other_line() -> None:
    tasks = tuple(PictureTask(id, id) for id in ("a", "b", "c"))
    before = to_mermaid(Picture("p", tasks, ())).splitlines()
    after = to_mermaid(Picture("p", (PictureTask("0", "0"), *tasks), ())).splitlines()
    assert [line for line in after if line not in before] == ['    t_0["0"]']


@given(st.lists(st.text(max_size=12), min_size=1, max_size=6), st.text(max_size=6))
def test_any_text_gives_lines_of_the_known_forms(ids: list[str], parameter: str) -> None:
    tasks = tuple(PictureTask(id, id, cluster=tuple(id.split("/")[:-1]), critical=True) for id in ids)
    picture = Picture(parameter, tasks, tuple((i, i + 1, parameter) for i in range(len(ids) - 1)))
    lines = to_mermaid(picture, fold_above=0).split("\n")
    assert lines[-1] == ""
    for line in lines[:-1]:
        assert LINE.fullmatch(line), line
    assert sum(" subgraph " in line for line in lines) == sum(line.strip() == "end" for line in lines)


def test_more_than_mermaid_draws_is_folded() -> None:
    count = MOST_EDGES + 1
    tasks = [PictureTask("split", "split"), *(PictureTask(f"t_{i}", f"t_{i}") for i in range(count))]
    picture = Picture("p", tuple(tasks), tuple((0, i + 1, "x") for i in range(count)))
    assert to_mermaid(picture).count("\n") == 4
    assert to_mermaid(picture, fold_above=0).count("-->") == count
    fewer = replace(picture, edges=picture.edges[:-1])
    assert to_mermaid(fewer).count("-->") == MOST_EDGES
