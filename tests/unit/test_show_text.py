"""Text that is safe to draw."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graflow.show.text import cells, clean, duration, one_line, shorten


def test_what_no_format_can_hold_is_replaced() -> None:
    assert clean("a\x00b\x1bc\ud800d\x85e\uffff") == "a�b�c�d�e�"


def test_line_breaks_become_spaces() -> None:
    assert one_line(" a\n\tb  c ") == "a b c"


@given(st.text(st.characters(max_codepoint=300)) | st.text(" ab\t\n", max_size=8))
def test_one_line_is_clean_text_with_single_spaces(text: str) -> None:
    assert one_line(text) == " ".join(clean(text).split())


def test_wide_and_combining_characters_are_counted_as_drawn() -> None:
    assert [cells(text) for text in ("abc", "数据", "é", "e\u0301")] == [3, 4, 1, 1]


@pytest.mark.parametrize(
    ("text", "limit", "keep_end", "short"),
    [
        ("short", 5, False, "short"),
        ("a_long_name", 6, False, "a_lon…"),
        ("batch_of_rows_0017", 10, True, "batch…0017"),
        ("数据清洗", 5, False, "数据…"),
    ],
)
def test_shortening(text: str, limit: int, keep_end: bool, short: str) -> None:
    assert shorten(text, limit, keep_end=keep_end) == short


@given(st.text(), st.integers(2, 20), st.booleans())
def test_shortened_text_fits(text: str, limit: int, keep_end: bool) -> None:
    assert cells(shorten(text, limit, keep_end=keep_end)) <= limit


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 µs"),
        (0.0000276, "28 µs"),
        (0.0123, "12.3 ms"),
        (0.9996, "1 s"),
        (12.34, "12.3 s"),
        (59.96, "1 min 00 s"),
        (245, "4 min 05 s"),
        (7380, "2 h 03 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
