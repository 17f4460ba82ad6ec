"""The inputs of a workflow as options."""

import io
import json
import sys
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    SecretStr,
    field_validator,
    model_validator,
)

from graflow.cli._inputs import inputs_of, option_for, read_inputs
from graflow.cli._trouble import Trouble

from .conftest import Call, Script

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(BaseModel):
    width: int
    names: list[str] = []


class Everything(BaseModel, frozen=True):
    path: Path = Field(description="Where it lies.")
    top: Annotated[int, Field(gt=0, le=10)] = 5
    mode: Literal["fast", "slow"] = "fast"
    colour: Colour = Colour.RED
    day: date | None = None
    numbers: tuple[int, ...] = (1, 2)
    tags: set[str] = Field(default_factory=set)
    size: Size = Size(width=1)
    table: dict[str, list[float]] = {}
    price: Decimal = Decimal("1.50")
    dry_run: bool = False
    maybe: bool | None = None
    text: str = ""


def read(model: type[BaseModel], *args: str, taken: tuple[str, ...] = (), text: str | None = None) -> Any:
    """What the options describe, by the way that `graflow run` goes."""
    inputs = inputs_of(model, taken)
    options: list[click.Parameter] = [option for one in inputs if (option := option_for(one)) is not None]
    context = click.Command("run", params=options).make_context("run", list(args))
    return read_inputs(model, inputs, context.params, text)


@pytest.mark.parametrize(
    ("args", "field", "value"),
    [
        (["--top", "7"], "top", 7),
        (["--mode", "slow"], "mode", "slow"),
        (["--colour", "blue"], "colour", Colour.BLUE),
        (["--day", "2024-02-29"], "day", date(2024, 2, 29)),
        (["--day", "null"], "day", None),
        (["--numbers", "[3, 4]"], "numbers", (3, 4)),
        (["--numbers", "3", "--numbers", "4"], "numbers", (3, 4)),
        (["--numbers", "[3]"], "numbers", (3,)),
        (["--tags", "a", "--tags", "b"], "tags", {"a", "b"}),
        (["--size", '{"width": 2, "names": ["x"]}'], "size", Size(width=2, names=["x"])),
        (["--table", '{"a": [1, 2.5]}'], "table", {"a": [1.0, 2.5]}),
        (["--price", "0.10"], "price", Decimal("0.10")),
        (["--dry-run"], "dry_run", True),
        (["--no-dry-run"], "dry_run", False),
        (["--maybe", "yes"], "maybe", True),
        (["--text", "[1, 2]"], "text", "[1, 2]"),
        (["--text", "null"], "text", "null"),
        (["--text", "-1"], "text", "-1"),
        (["--text", ""], "text", ""),
        (["--text=--dry-run"], "text", "--dry-run"),
        ([], "top", 5),
    ],
)
def test_each_kind_of_value_arrives_as_the_field_wants_it(args: list[str], field: str, value: object) -> None:
    assert getattr(read(Everything, "--path", "data", *args), field) == value


@given(TEXT)
def test_text_arrives_as_it_was_typed(text: str) -> None:
    model = read(Everything, "--path", "p", f"--text={text}")
    assert model.text == text


@given(st.recursive(st.none() | st.booleans() | st.integers() | TEXT, st.lists))
def test_json_arrives_as_it_was_typed(value: object) -> None:
    class Nested(BaseModel):
        value: list[Any]

    assert read(Nested, f"--value={json.dumps([value])}").value == [value]


def test_a_strict_model_takes_what_json_can_say() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(strict=True)
        path: Path
        day: date
        count: int
        pair: tuple[int, int]

    model = read(Strict, "--path", "a", "--day", "2024-02-29", "--count", "3", "--pair", "[1, 2]")
    assert model == Strict(path=Path("a"), day=date(2024, 2, 29), count=3, pair=(1, 2))


class TestOptionsOfModels:
    def test_the_commands_own_options_stay_and_the_field_gets_a_prefix(self) -> None:
        class Clash(BaseModel):
            json_: int = Field(0, alias="json")
            quiet: bool = False
            no_quiet: int = 0
            executor: str = ""
            input_executor: str = ""
            help: str = ""

        taken = ("--json", "--quiet", "--executor")
        options = {one.name: one.option for one in inputs_of(Clash, taken)}
        assert options == {
            "json_": "--input-json",
            "quiet": "--input-quiet",
            "no_quiet": "--no-quiet",
            "executor": "--input-executor",
            "input_executor": "--input-input-executor",
            "help": "--input-help",
        }
        model = read(Clash, "--input-json", "3", "--input-quiet", "--no-quiet", "4", taken=taken)
        assert (model.json_, model.quiet, model.no_quiet) == (3, True, 4)

    def test_the_other_half_of_a_switch_is_taken_as_well(self) -> None:
        class Switch(BaseModel):
            run: bool = True
            no_run: bool = True

        assert [one.option for one in inputs_of(Switch, ())] == ["--run", "--input-no-run"]

    def test_aliases_are_what_validation_calls_a_field(self) -> None:
        class Aliased(BaseModel):
            a: int = Field(validation_alias="alpha")
            b: int = Field(validation_alias=AliasChoices("beta", "bee"))
            c: int = Field(0, validation_alias=AliasPath("deep", 0))

        inputs = inputs_of(Aliased, ())
        assert [(one.key, one.option) for one in inputs] == [("alpha", "--a"), ("beta", "--b"), (None, None)]
        model = read(Aliased, "--a", "1", "--b", "2", text='{"deep": [3]}')
        assert (model.a, model.b, model.c) == (1, 2, 3)

    def test_a_root_model_is_given_whole(self) -> None:
        class Numbers(RootModel[list[int]]):
            pass

        assert read(Numbers, text="[1, 2]").root == [1, 2]
        assert inputs_of(Numbers, ()) == []

    def test_a_workflow_without_inputs_has_none(self) -> None:
        assert inputs_of(None, ()) == []
        assert read_inputs(None, [], {}, None) is None
        with pytest.raises(Trouble, match="takes no inputs"):
            read_inputs(None, [], {}, "{}")


class TestInputsAsJson:
    def test_options_go_before_the_object(self) -> None:
        model = read(Everything, "--top", "2", text='{"path": "p", "top": 1, "text": "x"}')
        assert (model.path, model.top, model.text) == (Path("p"), 2, "x")

    def test_a_file_may_hold_it(self, tmp_path: Path) -> None:
        file = tmp_path / "inputs.json"
        file.write_text('{"path": "p"}')
        assert read(Everything, text=f"@{file}").path == Path("p")

    def test_standard_input_may_hold_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO('{"path": "p"}'))
        assert read(Everything, text="@-").path == Path("p")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "--inputs: not valid JSON: Expecting property name"),
            ("[1]", "--inputs takes a JSON object with the fields of Everything"),
            ("@nowhere.json", "--inputs @nowhere.json: cannot read the file: No such file or directory"),
            ('{"path": "p", "tpo": 1}', "--inputs: Everything has no field 'tpo'; did you mean 'top'?"),
        ],
    )
    def test_what_it_cannot_be(self, text: str, message: str) -> None:
        with pytest.raises(Trouble) as caught:
            read(Everything, text=text)
        assert caught.value.message.startswith(message)

    def test_a_file_that_is_no_text(self, tmp_path: Path) -> None:
        file = tmp_path / "inputs.json"
        file.write_bytes(b"\xff\xfe")
        with pytest.raises(Trouble, match="cannot read the file: it is not UTF-8 text"):
            read(Everything, text=f"@{file}")

    def test_a_model_that_takes_more_gets_more(self) -> None:
        class Open(BaseModel):
            model_config = ConfigDict(extra="allow")
            a: int = 0

        assert read(Open, text='{"b": 2}').model_extra == {"b": 2}

    def test_a_field_with_an_alias_answers_to_its_name_only_if_the_model_says_so(self) -> None:
        class Aliased(BaseModel):
            name: int = Field(0, alias="alias")

        class Both(Aliased):
            model_config = ConfigDict(populate_by_name=True)

        with pytest.raises(Trouble, match="has no field 'name'; it has alias"):
            read(Aliased, text='{"name": 1}')
        assert read(Both, text='{"name": 1}').name == 1


class TestComplaints:
    def test_every_error_names_its_option_and_what_was_given(self) -> None:
        with pytest.raises(Trouble) as caught:
            read(
                Everything,
                *("--top", "11", "--colour", "green", "--numbers", "a", "--size", '{"width": "b"}', "--day", "x"),
                *("--mode", "fast", "--mode", "slow"),
            )
        assert caught.value.message.splitlines() == [
            "the inputs do not fit Everything:",
            "- --path is missing (Path: Where it lies.)",
            "- --top: Input should be less than or equal to 10 (given 11)",
            "- --mode: Input should be 'fast' or 'slow' (given 2 times)",
            "- --colour: Input should be 'red' or 'blue' (given green)",
            "- --day: Input should be a valid date or datetime, input is too short (given x)",
            "- --numbers: 0: Input should be a valid integer, unable to parse string as an integer (given a)",
            "- --size: width: Input should be a valid integer, unable to parse string as an integer (given b)",
        ]

    def test_json_that_is_none_says_where(self) -> None:
        with pytest.raises(Trouble) as caught:
            read(Everything, "--path", "p", "--size", '{"width": }')
        assert caught.value.message.splitlines()[1] == (
            '- --size: Input should be an object (given {"width": }, which is not valid JSON: '
            "Expecting value: line 1 column 11 (char 10))"
        )

    def test_a_secret_is_not_told(self) -> None:
        class Keys(BaseModel):
            key: SecretStr = Field(min_length=9)

        with pytest.raises(Trouble) as caught:
            read(Keys, "--key", "geheim")
        assert "geheim" not in caught.value.message

    def test_a_rule_of_the_whole_model(self) -> None:
        class Range(BaseModel):
            low: int
            high: int

            @model_validator(mode="after")
            def ordered(self) -> "Range":
                if self.low > self.high:
                    raise ValueError("low lies above high")
                return self

        with pytest.raises(Trouble) as caught:
            read(Range, "--low", "3", "--high", "2")
        assert caught.value.message == "the inputs do not fit Range:\n- Value error, low lies above high"

    def test_a_validator_that_fails_is_the_users(self) -> None:
        class Broken(BaseModel):
            a: int

            @field_validator("a")
            @classmethod
            def fails(cls, value: int) -> int:
                raise KeyError(value)

        with pytest.raises(Trouble) as caught:
            read(Broken, "--a", "3")
        assert caught.value.message.startswith("Broken failed on these inputs: KeyError: 3\n")
        assert "in fails" in caught.value.message


SALES = """
    from pathlib import Path
    from typing import Literal
    from pydantic import BaseModel, Field

    class Sales(BaseModel, frozen=True):
        path: Path = Field(description="The file with the sales.")
        top: int = Field(2, gt=0, description="How many to keep.")
        mode: Literal["fast", "slow"] = "fast"
        output: Path = Field(default_factory=Path.cwd)
        quiet: bool = False

    src = inputs(Sales)

    @task
    def show(path: Path, top: int, quiet: bool) -> str:
        return f"{path} {top} {quiet}"

    flow = Workflow.builder("sales", inputs=Sales).add(show, src.path, src.top, src.quiet).build(returns=show)
"""


class TestTheCommand:
    def test_options_may_surround_the_inputs(self, script: Script, call: Call) -> None:
        path = script(SALES)
        done = call("run", "-q", path, "--path", "x.csv", "--executor", "inline", "--input-quiet", "--top", 5)
        assert done == (0, "x.csv 5 True\n", "")

    def test_help_lists_type_limits_default_and_description(self, script: Script, call: Call) -> None:
        done = call("run", script(SALES), "--help")
        assert done.code == 0
        words = " ".join(done.out.split())
        assert "Inputs of 'sales': --path Path The file with the sales. [required] " in words
        assert "--top int How many to keep. [> 0; default: 2] --mode fast|slow [default: fast] " in words
        assert "--output Path [default: cwd()] " in words
        assert "--input-quiet / --no-input-quiet [default: False] Options: " in words

    def test_help_of_a_workflow_without_inputs(self, script: Script, call: Call) -> None:
        done = call("run", script("flow = Workflow.builder('empty').build()"), "--help")
        assert "Inputs of 'empty':\n  none\n" in done.out

    def test_a_misspelt_option_gets_a_suggestion(self, script: Script, call: Call) -> None:
        done = call("run", script(SALES), "--pth", "x")
        assert done.code == 2
        assert "No such option '--pth'" in done.err or "No such option: --pth" in done.err
        assert "--path" in done.err

    def test_an_input_before_the_workflow_is_explained(self, script: Script, call: Call) -> None:
        done = call("run", "--top", "5", script(SALES))
        assert done.code == 2
        assert "No such option: --top. Options of the inputs come after WORKFLOW." in done.err

    def test_missing_inputs(self, script: Script, call: Call) -> None:
        assert call("run", script(SALES)) == (
            2,
            "",
            "Error: the inputs do not fit Sales:\n- --path is missing (Path: The file with the sales.)\n",
        )
