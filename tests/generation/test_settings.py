"""What decoding settings refuse, and that the special symbols are those of the tokenizers."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from clearhead.generation.settings import DecodingSettings
from clearhead.symbols import HOUSE
from clearhead.text.tokenizer import END, PAD, START, UNKNOWN


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"beam": 0}, "greater than or equal to 1"),
        ({"beam": 2, "n_best": 3}, "n_best 3 .* beam of 2"),
        ({"min_length": 9, "max_length": 8}, "min_length 9 is above max_length 8"),
        ({"temperature": 0.0}, "greater than or equal to 0.000001"),
        ({"top_p": 1.5}, "less than or equal to 1"),
        ({"length_penalty": float("nan")}, "finite"),
        ({"beams": 5}, "Extra inputs"),
        ({"beam": "5"}, "valid integer"),
    ],
)
def test_impossible_settings_are_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DecodingSettings.model_validate(given)


def test_samples_need_no_beam() -> None:
    assert DecodingSettings(sample=True, n_best=9).width == 9
    assert DecodingSettings(beam=4, n_best=2).width == 4


def test_the_limit_leaves_room_for_the_shortest_wanted_output_and_its_end() -> None:
    settings = DecodingSettings(max_ratio=1.0, max_extra=0, min_length=5, max_length=20)
    assert [settings.limit(length) for length in (0, 5, 6, 7, 50)] == [6, 6, 6, 7, 20]


def test_special_symbols_are_the_tokenizers() -> None:
    assert (HOUSE.pad, HOUSE.unknown, HOUSE.start) == (PAD, UNKNOWN, START)
    assert (HOUSE.before, HOUSE.after, HOUSE.ends, HOUSE.forced) == ((), (END,), (END,), ())
    assert (HOUSE.never, HOUSE.silent) == ((PAD, START), (PAD, START, END))
