"""No n-gram twice: against a plain search of the text, at every size; and a text that is left without any token."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from clearhead.generation.batches import generate
from clearhead.generation.repeats import forbid_repeats
from clearhead.generation.settings import DecodingSettings
from clearhead.symbols import HOUSE

from ..laws.models import TARGET_WORDS, model

WORDS = 5


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 9, 17])
def test_what_would_come_again_is_forbidden(size: int, length: int) -> None:
    texts = torch.randint(0, WORDS, (3, 2, length), generator=torch.Generator().manual_seed(size * 100 + length))
    logits = torch.randn(3, 2, WORDS)
    found = forbid_repeats(logits.clone(), texts, size)
    for sentence in range(3):
        for hypothesis in range(2):
            text = texts[sentence, hypothesis].tolist()
            grams = {tuple(text[at : at + size]) for at in range(length - size + 1)}
            end = text[length - size + 1 :]
            again = [length >= size and (*end, word) in grams for word in range(WORDS)]
            for word in range(WORDS):
                forbidden = again[word] and not all(again)
                wanted = -torch.inf if forbidden else float(logits[sentence, hypothesis, word])
                assert float(found[sentence, hypothesis, word]) == wanted


@pytest.mark.parametrize(
    "search", [{"beam": 1}, {"beam": 3}, {"beam": 3, "beam_rule": "steady"}, {"sample": True}], ids=str
)
def test_a_text_that_has_used_every_token_goes_on(search: dict[str, Any]) -> None:
    network = model("pre", decoder_layers=1)
    few = DecodingSettings(
        no_repeat_ngram=1, min_length=TARGET_WORDS, max_length=2 * TARGET_WORDS, max_ratio=20.0, n_best=1, **search
    )
    ((found,),) = generate(network, [[5, 6, 7]], few, workers=1)
    words = TARGET_WORDS - len({*HOUSE.never, *HOUSE.ends})
    assert len(found.tokens) >= TARGET_WORDS
    assert len(set(found.tokens[:words])) == words
