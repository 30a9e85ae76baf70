"""What a run's heads added to the residual stream, and which position each addition came from.

    block's output at t = Σ_h Σ_s A_hts (x_s W_down^h + b^h) W_up^h + b_o

so every head, and within a head every key, has its own addend, and they sum to what the block added, exactly. By head
that is ``AttentionRecord.additions``; here it is worked out from the weights of the model and of the run, and by key.
"""

from __future__ import annotations

from torch import Tensor, nn

from clearhead.inspection.record import AttentionRecord
from clearhead.mechanism.multihead import HeadSizes, value_up
from clearhead.mechanism.projections import value_down
from clearhead.mechanism.textbook import repeat_heads


def additions_by_weights(
    weights: Tensor, x: Tensor, projection: nn.Linear, output: nn.Linear, sizes: HeadSizes
) -> Tensor:
    """Each head's addition (B, H, T, W) from attention weights (B, H, T, S) and what was attended to, x (B, S, W)."""
    down, bias = value_down(projection, sizes)
    return weights @ (x[:, None] @ down + bias) @ value_up(output, sizes.heads)


def additions_by_key(record: AttentionRecord, head: int, query: int) -> Tensor:
    """What each key sends to one query through one head, (B, S, W); over keys, that head's addition."""
    values = repeat_heads(record.v, record.q.shape[1])[:, head]
    up = value_up(record.output, record.q.shape[1])[head]
    return record.weights()[:, head, query, :, None] * (values @ up)
