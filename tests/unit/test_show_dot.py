"""DOT text: structure and quoting."""

import re

from hypothesis import given
from hypothesis import strategies as st

from graflow.show.dot import to_dot
from graflow.show.picture import Picture, PictureTask

STRING = r'"(?:[^"\\\n]|\\\\|\\"|\\n)*"'


def test_a_whole_graph() -> None:
    tasks = (
        PictureTask("extract", "extract", "-> list[Row]", critical=True),
        PictureTask("checks/deep/keys", "checks/deep/keys", cluster=("checks", "deep"), critical=True),
        PictureTask("&0", "", kind="gate"),
        PictureTask("load", "load", state="failed", seconds=2.0),
    )
    picture = Picture("p", tasks, ((0, 1, "rows"), (1, 2, ""), (2, 3, "")))
    frames = 'subgraph "cluster_checks" { label="checks"; subgraph "cluster_checks/deep" { label="deep"; '
    keys = '"checks/deep/keys" [label="keys", color="#b45309", penwidth=2]'
    assert to_dot(picture).splitlines()[4:] == [
        '    "extract" [label="extract", tooltip="-> list[Row]", color="#b45309", penwidth=2]',
        f"    {frames}{keys} }} }}",
        '    "&0" [shape=circle, label="", width=0.15]',
        '    "load" [label="load\\nfailed · 2 s", color="#c81e1e"]',
        '    "extract" -> "checks/deep/keys" [label="rows", color="#b45309", penwidth=2]',
        '    "checks/deep/keys" -> "&0" [style=dashed]',
        '    "&0" -> "load" [style=dashed]',
        "}",
    ]


@given(st.text(max_size=15), st.text(max_size=15))
def test_any_text_is_one_quoted_string(id: str, parameter: str) -> None:
    tasks = (PictureTask(id, id, parameter, cluster=(id,)), PictureTask("b", "b"))
    text = to_dot(Picture(parameter, tasks, ((0, 1, parameter),)))
    bare = re.sub(STRING, "S", text)
    assert '"' not in bare
    assert bare.count("{") == bare.count("}")
    text.encode()
    assert len(text.split("\n")) == 9
