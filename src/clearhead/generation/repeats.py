"""No n-gram twice: what would repeat one that a text holds already is forbidden (arXiv 1705.04304, section 2.5).

Knows nothing of hypotheses or scores.

Legend: B sentences, C hypotheses a sentence, T tokens so far, V vocabulary, N length of the n-gram.
"""

from __future__ import annotations

import torch
from torch import Tensor


def forbid_repeats(logits: Tensor, texts: Tensor, size: int) -> Tensor:
    """``logits`` (B, C, V), changed in place: −inf for what would end an n-gram of ``size`` that ``texts`` (B, C, T)
    hold already; nothing is forbidden to a text that would have no token left."""
    if texts.shape[2] < size:
        return logits
    grams = texts.unfold(2, size, 1)  # (B, C, T − N + 1, N)
    beginning = texts[:, :, None, texts.shape[2] - size + 1 :]
    same = (grams[..., :-1] == beginning).all(-1)
    again = torch.zeros_like(logits).scatter_reduce_(2, grams[..., -1], same.to(logits.dtype), "amax") > 0
    stuck = logits.masked_fill(again, -torch.inf).amax(-1, keepdim=True) == -torch.inf
    return logits.masked_fill_(again & ~stuck, -torch.inf)
