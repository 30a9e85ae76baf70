"""What stands above a picture: in one line, whatever the script."""

from __future__ import annotations

import pytest

from clearhead.service.picture import TITLE, shortened


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("two\nlines \t and", "two lines and"),
        ("字" * TITLE, "字" * TITLE),
        ("字" * 120, "字" * (TITLE - 1) + "…"),
        ("a " + "字" * 120, "a " + "字" * (TITLE - 3) + "…"),
        ("word " * 30, "word " * 17 + "…"),
    ],
)
def test_a_long_text_is_cut_to_a_line(text: str, line: str) -> None:
    assert shortened(text) == line
    assert len(line) <= TITLE
