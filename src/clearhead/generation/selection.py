"""The best continuations of all hypotheses of a sentence, found without normalising or sorting the vocabulary.

Two facts carry it. The normaliser of a row of logits shifts the whole row, so it can be added to K numbers instead of
K x V. And the n largest of many numbers lie in the n blocks with the largest maxima, so one cheap pass for block
maxima leaves a few hundred candidates to sort; the result is exact. Knows nothing of beams, sentence ends or models.

Legend: B sentences, K hypotheses a sentence, V vocabulary, N continuations asked for, C entries of one block.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

LOG2E = math.log2(math.e)
PORTION = 1 << 19  # logits normalised at a time: their copy fits a cache, and the allocator need not ask for memory
VECTOR = 32  # blocks come in multiples of this, which lets one vector operation take the maxima of neighbouring blocks


class Continuations(NamedTuple):
    """The N best of a sentence, best first, each (B, N): which hypothesis is continued, with which token; the score."""

    parents: Tensor
    tokens: Tensor
    scores: Tensor


def log_normalizer(logits: Tensor) -> Tensor:
    """log sum exp over the vocabulary: (B, K, V) -> (B, K) float32.

    In powers of two, because torch's exp2 costs half of its exp on a CPU, and with the shift and the change of base in
    one pass: about half the time of ``torch.logsumexp``.
    """
    rows = max(1, PORTION // logits[0].numel())
    return torch.cat([_log_normalizer(portion) for portion in torch.split(logits, rows)])


def _log_normalizer(logits: Tensor) -> Tensor:
    shift = logits.amax(-1, keepdim=True).float().mul_(-LOG2E)
    powers = torch.add(shift, logits, alpha=LOG2E).exp2_()
    return powers.sum(-1, dtype=torch.float32).log2_().sub_(shift.squeeze(-1)).div_(LOG2E)


def log_probabilities(logits: Tensor, normalizer: Tensor, parents: Tensor, tokens: Tensor) -> Tensor:
    """log p of token ``tokens[b, n]`` after hypothesis ``parents[b, n]``, which are (B, N) like the result; float32."""
    chosen = logits.flatten(1).gather(1, parents * logits.shape[-1] + tokens)
    return chosen.float() - normalizer.gather(1, parents)


def best_continuations(logits: Tensor, offsets: Tensor, count: int) -> Continuations:
    """The ``count`` pairs (k, v) with the largest score ``logits[b, k, v] + offsets[b, k]``; fewer if K x V has fewer.

    ``logits`` (B, K, V) contiguous and ``offsets`` (B, K) may hold -inf; what has score -inf means nothing, its pair
    may occur twice. NaN must not occur.
    """
    vocabulary = logits.shape[-1]
    parents, tokens = _in_best_blocks(logits, offsets, count)
    known = tokens.clamp(max=vocabulary - 1)
    scores = logits.flatten(1).gather(1, parents * vocabulary + known) + offsets.gather(1, parents)
    scores.masked_fill_(tokens != known, -torch.inf)
    scores, best = scores.topk(min(count, logits[0].numel()), dim=1)
    return Continuations(parents.gather(1, best), known.gather(1, best), scores)


def _in_best_blocks(logits: Tensor, offsets: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Pairs (k, v), each (B, N·C), of all entries of the ``count`` blocks with the largest maxima; v may be beyond V.

    The entries of a block are not neighbours but stand ``blocks`` apart; the last is missing in blocks late in the row.
    """
    vocabulary = logits.shape[-1]
    blocks = min(vocabulary, VECTOR * math.ceil(math.isqrt(8 * vocabulary) / VECTOR))
    whole = vocabulary - vocabulary % blocks
    maxima = logits[..., :whole].view(*logits.shape[:2], -1, blocks).amax(-2)
    last = maxima[..., : vocabulary - whole]
    torch.maximum(last, logits[..., whole:], out=last)
    scores = (maxima + offsets[..., None]).flatten(1)
    best = scores.topk(min(count, scores.shape[1]), dim=1, sorted=False).indices[:, :, None]
    tokens = best % blocks + torch.arange(0, vocabulary, blocks, device=logits.device)
    return (best // blocks).expand_as(tokens).flatten(1), tokens.flatten(1)
