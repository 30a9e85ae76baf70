"""Each head's addition, from the weights and from a run, sums to what the block wrote into the residual stream."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clearhead.inspection.capture import capture
from clearhead.inspection.contributions import additions_by_key, additions_by_weights
from clearhead.mechanism.masks import causal
from clearhead.mechanism.multihead import CrossAttention, HeadSizes, SelfAttention, Weighting

SIZES = HeadSizes(width=13, heads=6, groups=3, key=5, value=7)
WEIGHTINGS = [Weighting(), Weighting("additive", "entmax15"), Weighting("bilinear", "relu")]
EXACT = {"rtol": 0, "atol": 1e-13}


class Alone(nn.Module):
    """An attention with a name, as a capture looks for it."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.self_attention = attention


@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=lambda w: f"{w.score}, {w.normalize}")
@pytest.mark.parametrize("kind", ["self", "cross"])
def test_additions_sum_to_the_output(kind: str, weighting: Weighting) -> None:
    x, memory = (torch.randn(2, length, 13, dtype=torch.float64) for length in (4, 9))
    if kind == "self":
        attention: nn.Module = SelfAttention(SIZES, 0.0, weighting).double()
        seen_from, projection, run = x, attention.query_key_value, lambda: attention(x, causal())
    else:
        attention = CrossAttention(SIZES, 0.0, weighting).double()
        seen_from, projection = memory, attention.key_value
        run = lambda: attention(x, attention.project(memory), None)  # noqa: E731
    with torch.no_grad(), capture(Alone(attention)) as seen:
        output = run()
    (record,) = seen.records.values()
    with torch.no_grad():
        from_run = record.additions()
        from_weights = additions_by_weights(record.weights(), seen_from, projection, attention.output, SIZES)
        torch.testing.assert_close(from_weights, from_run, **EXACT)
        torch.testing.assert_close(from_run.sum(1) + attention.output.bias, output, **EXACT)
        for head in (0, 5):
            sent = additions_by_key(record, head, 2)
            assert sent.shape == (2, seen_from.shape[1], 13)
            torch.testing.assert_close(sent.sum(1), from_run[:, head, 2], **EXACT)
