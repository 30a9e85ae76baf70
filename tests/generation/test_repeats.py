"""No n-gram twice: against a plain search of the text, at every size."""

from __future__ import annotations

import pytest
import torch

from clearhead.generation.repeats import forbid_repeats

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
            for word in range(WORDS):
                again = length >= size and tuple([*text[length - size + 1 :], word]) in grams
                wanted = -torch.inf if again else float(logits[sentence, hypothesis, word])
                assert float(found[sentence, hypothesis, word]) == wanted
