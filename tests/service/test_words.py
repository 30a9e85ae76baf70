"""Pieces as words."""

from __future__ import annotations

import pytest

from clearhead.service.words import words_of


@pytest.mark.parametrize(
    ("pieces", "numbers", "texts"),
    [
        (["▁der", "▁Hund", "e", "</s>"], (0, 1, 1, -1), ("der", "Hunde")),
        (["▁", "d", "a", "▁", "<s>"], (0, 0, 0, 1, -1), ("da", "")),
        (["▁il", "-", "Ġimgħa", "▁ĠIMGĦA"], (0, 0, 0, 1), ("il-Ġimgħa", "ĠIMGĦA")),
        (["<0xE2>", "▁x"], (0, 1), ("<0xE2>", "x")),
        ([], (), ()),
    ],
)
def test_words_begin_where_a_piece_has_a_space_in_front(
    pieces: list[str], numbers: tuple[int, ...], texts: tuple[str, ...]
) -> None:
    found = words_of(pieces)
    assert (found.numbers, found.texts) == (numbers, texts)
