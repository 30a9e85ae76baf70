"""One query of one head, step by step with the numbers of this very run: the equation walked through by hand.

    q · k  →  · scale  →  + bias  →  mask  →  weights  →  Σ weight · v = z  →  z W_o, added to the residual stream

(equation 1 and section 3.2.2, arXiv 1706.03762.) Recomputed from the q, k and v that passed, one row of T.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearhead.errors import ConfigurationError
from clearhead.inspection.record import AttentionRecord
from clearhead.mechanism.biases import as_bias
from clearhead.mechanism.multihead import value_up
from clearhead.mechanism.scores import score_map
from clearhead.mechanism.textbook import repeat_heads
from clearhead.service.looking.maps import rows_of

KEYS_SHOWN = 96

Numbers = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Steps:
    """The way of one query t through one head; n keys are shown, all S of them or those with the largest weights.

    Attributes:
        keys: which keys are shown, (n,), in their order.
        count: S, how many keys there are.
        q: the query (D,).
        k: the keys shown (n, D).
        raw: score of the query with each key before scaling (n,): q · k, unless ``score`` says otherwise.
        scale: the factor, 1/√D for the scaled dot product.
        scaled: raw · scale (n,).
        bias: what positions add (n,), zeros without.
        visible: whether the mask lets the query see the key (n,).
        weights: after the normaliser over all visible keys (n,).
        v: the values of the keys shown (n, M).
        z: Σ weight · v over all S keys (M,).
        added: z W_o of this head (W,), what this head adds to the residual stream.
        score: name of the score function.
        normalizer: name of the normaliser.
    """

    keys: NDArray[np.int32]
    count: int
    q: Numbers
    k: Numbers
    raw: Numbers
    scale: float
    scaled: Numbers
    bias: Numbers
    visible: NDArray[np.uint8]
    weights: Numbers
    v: Numbers
    z: Numbers
    added: Numbers
    score: str
    normalizer: str


def steps(record: AttentionRecord, head: int, query: int) -> Steps:
    """Every step of ``query`` in ``head``.

    Raises:
        ConfigurationError: there is no such head or query.
    """
    heads, queries, count = record.q.shape[1], record.q.shape[2], record.k.shape[2]
    check_place("head", head, heads)
    check_place("query", query, queries)
    with torch.inference_mode():
        q, k = record.q[:, :, query : query + 1], repeat_heads(record.k, heads)
        v = repeat_heads(record.v, heads)[0, head]
        raw = score_map(record.score, q, k)[0, head, 0]
        weights = rows_of(record, query, query + 1, head)[0, 0]
        bias, visible = _bias(record, head, query), _visible(record, head, query)
        shown = _largest(weights, KEYS_SHOWN)
        z = (weights.to(v.dtype) @ v.masked_fill(~torch.isfinite(v), 0)).float()
        added = record.mixed[0, head, query] @ value_up(record.output, heads)[head]
        factor = record.problem().factor
        return Steps(
            keys=shown.int().cpu().numpy(),
            count=count,
            q=_plain(record.q[0, head, query]),
            k=_plain(k[0, head, shown]),
            raw=_plain(raw[shown]),
            scale=factor,
            scaled=_plain(raw[shown] * factor),
            bias=_plain(bias[shown]),
            visible=visible[shown].to(torch.uint8).cpu().numpy(),
            weights=_plain(weights[shown]),
            v=_plain(v[shown]),
            z=_plain(z),
            added=_plain(added),
            score=name_of(record.score),
            normalizer=name_of(record.normalize),
        )


def check_place(what: str, number: int, count: int) -> None:
    """Refuse a number that is not from 0 to ``count`` − 1."""
    if not 0 <= number < count:
        raise ConfigurationError(f"{what}: expected a number from 0 to {count - 1}, got {number}")


def name_of(function: object) -> str:
    """A name as it is; of a callable the name of its class or its own."""
    if isinstance(function, str):
        return function
    return str(getattr(function, "__name__", type(function).__name__)).lower()


def _bias(record: AttentionRecord, head: int, query: int) -> Tensor:
    if record.bias is None:
        return record.q.new_zeros(record.k.shape[2])
    row = as_bias(record.bias).tile((query, query + 1), (0, record.k.shape[2]), record.q.device)
    return row.expand(1, record.q.shape[1], 1, record.k.shape[2])[0, head, 0]


def _visible(record: AttentionRecord, head: int, query: int) -> Tensor:
    keys = record.k.shape[2]
    if record.mask is None:
        return torch.ones(keys, dtype=torch.bool, device=record.q.device)
    row = record.mask.tile((query, query + 1), (0, keys), record.q.device)
    return row.expand(1, record.q.shape[1], 1, keys)[0, head, 0]


def _largest(weights: Tensor, most: int) -> Tensor:
    if weights.numel() <= most:
        return torch.arange(weights.numel(), device=weights.device)
    return weights.topk(most).indices.sort().values


def _plain(x: Tensor) -> Numbers:
    return x.float().cpu().numpy()
