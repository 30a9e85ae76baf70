"""Weights by what they fetch: the length of the vector that each key really sends."""

from __future__ import annotations

import torch

from clearhead.inspection.capture import capture
from clearhead.inspection.contributions import additions_by_key
from clearhead.inspection.norms import norms_by_head, norms_together, sent

from .models import model, words

EXACT = {"rtol": 0, "atol": 1e-12}


@torch.no_grad()
def test_they_are_the_lengths_of_what_each_key_sends() -> None:
    network = model(heads=6, key_value_heads=2, key_width=3, value_width=5)
    with capture(network) as seen:
        network.logits(words(2, 7), words(2, 4))
    record = seen["decoder.1.cross"]
    by_head, together = norms_by_head(record), norms_together(record)
    assert by_head.shape == (2, 6, 4, 7) and together.shape == (2, 4, 7)
    for query in range(4):
        vectors = torch.stack([additions_by_key(record, head, query) for head in range(6)], dim=1)
        torch.testing.assert_close(by_head[:, :, query], vectors.norm(dim=-1), **EXACT)
        torch.testing.assert_close(together[:, query], vectors.sum(1).norm(dim=-1), **EXACT)


@torch.no_grad()
def test_a_large_weight_on_a_small_value_moves_little() -> None:
    network = model(encoder_layers=1)
    with capture(network, ["encoder.0.self"]) as seen:
        network.logits(words(1, 3), words(1, 2))
    record = seen["encoder.0.self"]
    record.v[:, :, 1] = 0.0
    record.v[0, 1, 2] = torch.tensor([3.0, 0, 0, 0, 0, 0])
    record.output.weight.copy_(torch.eye(12))
    assert norms_by_head(record)[..., 1].eq(0).all() and record.weights()[..., 1].gt(0).all()
    assert sent(record)[0, 1, 2].norm() == 3.0
    torch.testing.assert_close(norms_by_head(record)[0, 1, :, 2], 3 * record.weights()[0, 1, :, 2], **EXACT)
