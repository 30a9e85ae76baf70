"""The loss of a language model against torch's own cross-entropy, and that packing changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from clearhead.data.packing import Grid, TokenStream, collate_rows
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.text.tokenizer import END
from clearhead.training.next_token import held_out_rows, next_token, row_loss

V = 17
DOCUMENTS = [[5, 6, 7, 8], [9], [10, 11, 12], [], [13, 4, 5]]


def model(**changes: object) -> nn.Module:
    sizes = {"architecture": "decoder", "width": 12, "heads": 3, "decoder_layers": 2, "feedforward": 10, "dropout": 0.0}
    return build_model(
        ModelConfig.model_validate(sizes | {"source_vocabulary": V, "target_vocabulary": V} | changes), seed=3
    ).double()


def stream(documents: list[list[int]]) -> TokenStream:
    starts = np.cumsum([0, *(len(document) + 1 for document in documents[:-1])])
    return TokenStream(np.array([token for each in documents for token in [*each, END]]), starts.astype(np.int64))


def test_it_is_the_mean_cross_entropy_of_the_real_targets() -> None:
    batch = collate_rows(stream(DOCUMENTS), Grid(16, 7), [0, 1, 2], masked=False)
    of = model()
    logits = of.logits(batch.ids)
    expected = nn.functional.cross_entropy(logits[batch.mask], batch.targets[batch.mask], reduction="sum")
    found = next_token(0.0)(of, batch, 1)
    assert found.count == batch.tokens == 16
    torch.testing.assert_close(found.total, expected)
    torch.testing.assert_close(held_out_rows(of, batch).nll, expected)
    smooth = nn.functional.cross_entropy(
        logits[batch.mask], batch.targets[batch.mask], reduction="sum", label_smoothing=0.1
    )
    torch.testing.assert_close(row_loss(of, batch, 0.1).total, smooth)


@pytest.mark.parametrize("body", ["transformer", "lstm"])
@pytest.mark.parametrize("positions", ["sinusoidal", "rotary", "alibi"])
def test_packed_documents_cost_what_they_cost_alone(body: str, positions: str) -> None:
    if body == "lstm" and positions != "sinusoidal":
        return
    of = model(body=body, **({"positions": positions} if body == "transformer" else {}))
    packed = collate_rows(stream(DOCUMENTS), Grid(16, 16), [0], masked=True)
    assert packed.documents is not None
    alone = sum(
        float(row_loss(of, collate_rows(stream([each]), Grid(len(each) + 1, 16), [0], masked=True)).nll)
        for each in DOCUMENTS
    )
    assert float(row_loss(of, packed).nll) == pytest.approx(alone, rel=1e-9)
    together = collate_rows(stream(DOCUMENTS), Grid(16, 16), [0], masked=False)
    assert float(row_loss(of, together).nll) != pytest.approx(alone, rel=1e-4)
