"""What stands above a picture, in one line, whatever the script; and pictures of long texts, which fit into memory."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from clearhead.service.picture import DOTS, TITLE, dots, saved, shortened


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


def test_a_picture_for_print_has_its_dots_and_a_huge_one_fewer() -> None:
    assert dots(11.0, 13.0) == DOTS
    assert 0 < dots(400.0, 300.0) < DOTS


def test_what_is_written_has_no_more_dots_than_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    monkeypatch.setattr("clearhead.service.picture.PIXELS", 200_000)
    assert saved(Figure(figsize=(20, 5)), tmp_path / "a.png", "png") == 0
    width, height = struct.unpack(">II", (tmp_path / "a.png").read_bytes()[16:24])
    assert 100_000 < width * height <= 200_000
    assert width == pytest.approx(4 * height, rel=0.02)
