"""The interpreter's switch interval while somebody writes."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from graflow.stores._haste import HASTY_SECONDS, haste


@pytest.fixture(autouse=True)
def _interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.004)
    yield
    sys.setswitchinterval(before)


def test_the_last_writer_sets_it_back() -> None:
    with haste():
        assert sys.getswitchinterval() == pytest.approx(HASTY_SECONDS)
        with haste():
            assert sys.getswitchinterval() == pytest.approx(HASTY_SECONDS)
        assert sys.getswitchinterval() == pytest.approx(HASTY_SECONDS)
    assert sys.getswitchinterval() == pytest.approx(0.004)


def test_it_is_set_back_after_an_error_too() -> None:
    with pytest.raises(ValueError, match="full"), haste():
        raise ValueError("full")
    assert sys.getswitchinterval() == pytest.approx(0.004)


def test_what_the_program_sets_meanwhile_stays() -> None:
    with haste():
        sys.setswitchinterval(0.001)
    assert sys.getswitchinterval() == pytest.approx(0.001)


def test_a_shorter_interval_is_left_alone() -> None:
    sys.setswitchinterval(HASTY_SECONDS / 2)
    with haste():
        assert sys.getswitchinterval() == pytest.approx(HASTY_SECONDS / 2)
    assert sys.getswitchinterval() == pytest.approx(HASTY_SECONDS / 2)
