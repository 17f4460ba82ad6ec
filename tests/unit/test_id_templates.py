"""Ids that name the inputs of their task."""

from __future__ import annotations

import re

import pytest

from graflow import InvalidTaskIdError, Workflow, task


@task
def train(lr: float, depth: int = 2, **more: object) -> float:
    return lr * depth


@task
def rate() -> float:
    return 0.1


def test_an_id_names_inputs() -> None:
    assert train(lr=0.1, depth=3).named("train-{lr}-{depth}").id == "train-0.1-3"
    assert train(lr=0.25, seed=7).named("{lr:.1f}.{seed}").id == "0.2.7"
    assert train(lr=0.1).named("plain").id == "plain"


def test_many_tasks_from_a_loop() -> None:
    grid = [train(lr=lr, depth=depth).named("train-{lr}-{depth}") for lr in (0.1, 0.2) for depth in (1, 2)]
    built = Workflow.builder("grid").add_all(grid).build()
    assert list(built.tasks) == ["train-0.1-1", "train-0.1-2", "train-0.2-1", "train-0.2-2"]
    assert built.run()["train-0.2-2"] == 0.4


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "train-{depth}",
            (
                "the id template 'train-{depth}' names 'depth', but of the inputs of task 'train' these are bound: "
                "'lr'; bind it first, train(depth=...).named(...)"
            ),
        ),
        ("train-{", "the id template 'train-{' cannot be read: Single '{' encountered in format string"),
        (
            "{}",
            (
                "the id template '{}' names '', but of the inputs of task 'train' these are bound: 'lr'; bind it "
                "first, train(x=...).named(...)"
            ),
        ),
    ],
)
def test_a_template_that_cannot_be_filled(template: str, message: str) -> None:
    with pytest.raises(InvalidTaskIdError, match=f"^{re.escape(message)}$"):
        train(lr=0.1).named(template)


def test_a_result_is_no_part_of_an_id() -> None:
    message = (
        "the id template '{lr}' names 'lr', which is rate.out and no plain value; name an input that is a number or a "
        "text"
    )
    with pytest.raises(InvalidTaskIdError, match=f"^{re.escape(message)}$"):
        train(lr=rate.out).named("{lr}")


def test_what_it_gives_must_be_legal() -> None:
    with pytest.raises(InvalidTaskIdError, match="contains '/'"):
        Workflow.builder("w").add(train(lr=0.1, path="a/b").named("{path}")).build()
