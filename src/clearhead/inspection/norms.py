"""Attention weighted by what is fetched: ‖α f(x)‖ instead of α (Kobayashi et al. 2020, arXiv 2004.10102).

A large weight on a key whose value is small moves little; how much a key really adds to the residual stream is the
length of the vector it sends. With f_h(x_s) = (x_s W_v^h + b_v^h) W_o^h, one head's is α_hts ‖f_h(x_s)‖, and all heads'
together ‖Σ_h α_hts f_h(x_s)‖. W_o's bias belongs to no key and is left out, as there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clearhead.inspection.record import AttentionRecord
from clearhead.mechanism.multihead import value_up
from clearhead.mechanism.textbook import repeat_heads


def sent(record: AttentionRecord) -> Tensor:
    """f of every head and key: what a weight of 1 would add to the residual stream, (B, H, S, W)."""
    with torch.no_grad():
        return repeat_heads(record.v, record.heads) @ value_up(record.output, record.heads)


def norms_by_head(record: AttentionRecord) -> Tensor:
    """α ‖f(x)‖ of every head: (B, H, T, S)."""
    lengths: Tensor = sent(record).norm(dim=-1)
    return record.weights() * lengths[:, :, None, :]


def norms_together(record: AttentionRecord) -> Tensor:
    """‖Σ_h α f(x)‖, all heads of the attention together: (B, T, S).

    By the inner products of what the heads send, (B, S, H, H), so that no vector a pair of positions is made.
    """
    vectors_BSHW = sent(record).transpose(1, 2)
    products_BSHH = vectors_BSHW @ vectors_BSHW.transpose(-2, -1)
    weights_BSTH = record.weights().permute(0, 3, 2, 1)
    squares_BST = ((weights_BSTH @ products_BSHH) * weights_BSTH).sum(-1)
    return squares_BST.clamp(min=0).sqrt().transpose(1, 2)
