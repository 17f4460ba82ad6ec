"""What the user types, and which workflow that means; and what is said where it means none."""

import sys
from pathlib import Path

import pytest

from graflow.cli._load import Target, parse

from .conftest import Call, Script

NEVER_BUILT = "is a builder that was never built; add .build()\n"
ONE = """
    @task
    def hello() -> str:
        return "hello"

    flow = Workflow.of("flow", hello, returns=hello)
"""


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("flow.py", Target("flow.py", True, "")),
        ("flow.py:main", Target("flow.py", True, "main")),
        ("a:b.py", Target("a:b.py", True, "")),
        ("./dir/flow", Target("./dir/flow", True, "")),
        ("package.module:name", Target("package.module", False, "name")),
        ("module:Class.name", Target("module", False, "Class.name")),
        ("module", Target("module", False, "")),
    ],
)
def test_the_text_is_taken_apart(text: str, target: Target) -> None:
    assert parse(text) == target


def test_a_file_with_one_workflow_needs_no_name(script: Script, call: Call) -> None:
    done = call("run", script(ONE))
    assert (done.code, done.out) == (0, "hello\n")


@pytest.mark.parametrize(
    ("definition", "name"),
    [
        ("flow = Workflow.of('flow', hello, returns=hello)", "flow"),
        ("def make():\n    return Workflow.of('flow', hello, returns=hello)", "make"),
        ("def make(often: int = 1):\n    return Workflow.of('flow', hello, returns=hello)", "make"),
        ("with workflow('flow') as wf:\n    wf.add(hello)", "wf"),
        ("def make():\n    with workflow('flow') as wf:\n        wf.add(hello)\n    return wf", "make"),
        ("class Flows:\n    main = Workflow.of('flow', hello, returns=hello)", "Flows.main"),
        ("flow = Workflow.of('flow', hello, returns=hello)\nother = Workflow.of('x', hello, returns=hello)", "flow"),
    ],
)
def test_a_name_may_mean_a_workflow_a_block_or_a_function_that_gives_one(
    script: Script, call: Call, definition: str, name: str
) -> None:
    script(f"@task\ndef hello():\n    return 'hello'\n{definition}\n")
    assert call("run", "-q", f"flow.py:{name}") == (0, "hello\n", "")


def test_a_block_and_its_workflow_count_once(script: Script, call: Call) -> None:
    script("with workflow('flow') as wf:\n    @task\n    def one():\n        return 1\nflow = wf.workflow\n")
    assert call("run", "-q", "flow.py") == (0, "1\n", "")


def test_the_main_part_of_a_file_does_not_run_and_its_own_imports_work(script: Script, call: Call) -> None:
    script("WORD = 'hello'", "sub/helper.py", head="")
    script(
        """
        from helper import WORD

        @task
        def hello() -> str:
            return WORD

        flow = Workflow.of("flow", hello, returns=hello)
        if __name__ == "__main__":
            raise SystemExit("the main part ran")
        """,
        "sub/flow.py",
    )
    try:
        assert call("run", "-q", "sub/flow.py") == (0, "hello\n", "")
    finally:
        sys.modules.pop("helper", None)


def test_what_a_file_prints_while_it_loads_stays_out_of_the_answer(script: Script, call: Call) -> None:
    done = call("show", script(f"print('loading')\n{ONE}".replace("\n    ", "\n")))
    assert done.out.startswith("flowchart")
    assert done.err == "loading\n"


def test_what_a_file_defines_travels_to_processes_and_back(script: Script, call: Call) -> None:
    path = script(
        """
        import os
        from dataclasses import dataclass
        from pydantic import BaseModel

        @dataclass
        class Box:
            item: "Item"

        class Item(BaseModel):
            size: int

        def grown(item: Item) -> Item:
            return Item(size=item.size + 1)

        @task
        def make() -> Box:
            return Box(Item(size=1))

        @task(executor="processes")
        def grow(box: Box) -> tuple[Box, int]:
            return Box(grown(box.item)), os.getpid()

        @task
        def judge(grown: tuple[Box, int]) -> bool:
            return type(grown[0]) is Box and type(grown[0].item) is Item and grown[1] != os.getpid()

        flow = Workflow.builder("flow").add(make).add(grow, make.out).add(judge, grow.out).build()
        """,
        head="from __future__ import annotations\nfrom graflow import *\n",
    )
    done = call("run", "-q", path)
    assert (done.code, done.out) == (0, "True\n"), done.err


class TestModules:
    @pytest.fixture
    def module(self, script: Script, request: pytest.FixtureRequest) -> str:
        name = f"users_{abs(hash(request.node.name))}"
        script(ONE, f"{name}.py")
        return name

    def test_the_working_directory_is_searched_only_if_asked(self, call: Call, module: str) -> None:
        done = call("run", f"{module}:flow")
        assert done.code == 2
        assert done.err == f"Error: there is no module '{module}'; did you mean the file {module}.py?\n"
        assert call("run", "-q", f"{module}:flow", "--app-dir", ".") == (0, "hello\n", "")

    def test_the_directory_may_be_named_before_the_module(self, call: Call, module: str) -> None:
        assert call("run", "-q", "--app-dir", ".", module) == (0, "hello\n", "")

    def test_a_directory_that_is_not_there(self, call: Call, module: str) -> None:
        done = call("check", module, "--app-dir", "nowhere")
        assert (done.code, done.err) == (2, "Error: --app-dir nowhere: there is no such directory\n")


@pytest.mark.parametrize("command", ["run", "check", "show"])
@pytest.mark.parametrize(
    ("body", "target", "message"),
    [
        ("", "missing.py", "Error: there is no file missing.py\n"),
        ("", ".", "Error: '.' is neither a file nor the name of a module\n"),
        ("", "./", "Error: ./ is a directory; name a file in it\n"),
        (
            "",
            "users_nowhere:flow",
            "Error: there is no module 'users_nowhere'; install it, or say where it lies with --app-dir DIR\n",
        ),
        (
            "",
            "flow.py",
            "Error: flow.py has no workflow; define one at its top level: flow = Workflow.builder(...)....build()\n",
        ),
        (
            "def make() -> Workflow[None, None]: ...",
            "flow.py",
            "Error: flow.py has no workflow; name the function that makes one: flow.py:make\n",
        ),
        (
            "pipeline = Workflow.builder('x')",
            "flow.py",
            "Error: flow.py has no workflow; 'pipeline' is a builder that was never built; add .build()\n",
        ),
        (
            "pipeline = Workflow.builder('x')",
            "flow.py:pipeline",
            "Error: flow.py:pipeline is a builder that was never built; add .build()\n",
        ),
        ("def make():\n    return 5", "flow.py:make", "Error: flow.py:make() gave an int, not a workflow\n"),
        (
            "def make():\n    return Workflow.builder('x')",
            "flow.py:make",
            f"Error: flow.py:make() gave a WorkflowBuilder, not a workflow: it {NEVER_BUILT}",
        ),
        (
            "def make(a, b, c=1): ...",
            "flow.py:make",
            "Error: flow.py:make is a function that needs a, b; name one without parameters, or a workflow\n",
        ),
        ("five = 5", "flow.py:five", "Error: flow.py:five is an int\n"),
        (
            "a = Workflow.builder('a').build()\nb = Workflow.builder('b').build()",
            "flow.py",
            "Error: flow.py has 2 workflows: a, b; name one, such as flow.py:a\n",
        ),
        (
            "first = Workflow.builder('a').build()\nsecond = Workflow.builder('b').build()",
            "flow.py:frist",
            "Error: flow.py has no 'frist'; did you mean flow.py:first?\n",
        ),
        (
            "first = Workflow.builder('a').build()\nsecond = Workflow.builder('b').build()",
            "flow.py:other",
            "Error: flow.py has no 'other'; its workflows are: first, second\n",
        ),
    ],
)
def test_what_means_no_workflow_says_why(
    script: Script, call: Call, command: str, body: str, target: str, message: str
) -> None:
    script(body)
    assert call(command, target) == (2, "", message)


@pytest.mark.parametrize(("args", "code"), [(["rnu"], 2), (["run"], 2), (["-h"], 0)])
def test_calls_that_name_nothing(call: Call, args: list[str], code: int) -> None:
    assert call(*args).code == code


class TestCodeThatFails:
    def test_an_error_while_loading_shows_the_users_frames_and_no_others(self, script: Script, call: Call) -> None:
        script("def helper():\n    return 1 / 0\n\nhelper()\n", head="")
        assert call("run", "flow.py").err == (
            "Error: flow.py failed while it was loaded: ZeroDivisionError: division by zero\n"
            "  flow.py:4 in <module>\n      helper()\n  flow.py:2 in helper\n      return 1 / 0\n"
        )

    def test_an_error_in_a_library_says_where_it_was_raised(self, script: Script, call: Call) -> None:
        script("import json\njson.loads('{')\n", head="")
        err = call("run", "flow.py").err
        assert "JSONDecodeError" in err
        assert "flow.py:2 in <module>\n" in err
        assert "decoder.py" in err.splitlines()[-1]

    def test_what_caused_an_error_is_told(self, script: Script, call: Call) -> None:
        script("try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise RuntimeError('no') from e\n", head="")
        err = call("run", "flow.py").err
        assert "failed while it was loaded: RuntimeError: no\n" in err
        assert "because of ZeroDivisionError: division by zero\n" in err

    def test_a_missing_import_of_the_file(self, script: Script, call: Call) -> None:
        done = call("run", script("import users_nowhere\n", head=""))
        assert done.code == 2
        assert "ModuleNotFoundError: No module named 'users_nowhere'\n  flow.py:1 in <module>" in done.err

    def test_a_syntax_error(self, script: Script, call: Call) -> None:
        done = call("check", script("def f(:\n    pass\n", head=""))
        assert done.code == 2
        assert done.err.startswith("Error: flow.py:1: SyntaxError: invalid syntax\n    def f(:\n          ^\n")

    def test_a_file_that_exits(self, script: Script, call: Call) -> None:
        done = call("run", script("import sys\nsys.exit(3)\n", head=""))
        assert done.code == 2
        assert done.err.startswith("Error: flow.py failed while it was loaded: SystemExit: 3\n")

    def test_ctrl_c_while_loading(self, script: Script, call: Call) -> None:
        assert call("run", script("raise KeyboardInterrupt\n", head="")).code == 130

    def test_a_function_that_fails(self, script: Script, call: Call) -> None:
        script("def make():\n    raise ValueError('not today')\n", head="")
        done = call("run", "flow.py:make")
        assert (done.code, done.err.splitlines()[0]) == (
            2,
            "Error: flow.py:make failed while it was loaded: ValueError: not today",
        )

    def test_every_definition_error_is_listed(self, script: Script, call: Call) -> None:
        script(
            """
            @task
            def number() -> int: return 1

            @task
            def one(text: str) -> str: return text

            @task
            def two(text: str) -> str: return text

            flow = (
                Workflow.builder("flow").add(number).add(one, number.out).add(two, number.out).build()
            )
            """
        )
        done = call("run", "flow.py")
        lines = done.err.splitlines()
        assert (done.code, lines[0]) == (2, "Error: flow.py has 2 definition errors:")
        assert lines[1].startswith(
            "- WiringError: 'number' cannot feed parameter 'text' of task 'one': int cannot feed"
        )
        assert lines[2].startswith(
            "- WiringError: 'number' cannot feed parameter 'text' of task 'two': int cannot feed"
        )
        assert lines[3] == "  flow.py:13 in <module>"

    def test_what_cannot_be_a_task(self, script: Script, call: Call) -> None:
        done = call("run", script("flow = Workflow.of('flow', returns=Task('five', 5))\n"))
        assert done.code == 2
        assert "InvalidTaskError: 5 is not callable" in done.err

    def test_traceback_shows_everything(self, script: Script, call: Call) -> None:
        script("def helper():\n    return 1 / 0\n\nhelper()\n", head="")
        done = call("run", "flow.py", "--traceback")
        assert done.code == 2
        assert "Traceback (most recent call last):" in done.err
        assert str(Path("graflow", "cli", "_load.py")) in done.err
