"""The logit lens: what the model would answer if it stopped at this layer ("interpreting GPT", nostalgebraist 2020).

The residual stream at every station is put through the final norm and the output matrix, as the last one is. In a
pre-norm stack this reads the stream in the basis it is read in at the end; in a post-norm stack it is normed already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.errors import ConfigurationError

Readout = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Lens:
    """L stations by T positions: the likeliest answers there, and how likely the model's final answer is there.

    ``top_ids`` and ``top_probabilities`` (L, T, K), likeliest first; ``final_ids`` (T,) what the model answers in the
    end; ``final_log_probabilities`` and ``final_ranks`` (L, T) its log-probability (nats) and rank, from 0, on the way.
    """

    stations: tuple[str, ...]
    top_ids: Tensor
    top_probabilities: Tensor
    final_ids: Tensor
    final_log_probabilities: Tensor
    final_ranks: Tensor


def blocks_of(residual: Mapping[str, Tensor], stack: str = "decoder") -> list[str]:
    """The stations between the blocks of a stack, in order: ``decoder.embedding``, ``decoder.0``, …, ``decoder.11``."""
    numbered = [name for name in residual if name.startswith(f"{stack}.") and name.split(".")[1].isdecimal()]
    blocks = [name for name in numbered if name.count(".") == 1]
    return [name for name in residual if name == f"{stack}.embedding"] + sorted(
        blocks, key=lambda x: int(x.split(".")[1])
    )


def logit_lens(residual: Mapping[str, Tensor], readout: Readout, stations: Sequence[str], *, top_k: int = 5) -> Lens:
    """Read the stream (T, W) at ``stations``; the last of them counts as the end.

    ``readout`` takes a stream to logits: the final norm and the output matrix.

    Raises:
        ConfigurationError: no station is named, or one that was not kept.
    """
    for station in stations:
        if station not in residual:
            raise ConfigurationError(f"the stream at {station!r} was not kept; there are {', '.join(residual)}")
    if not stations:
        raise ConfigurationError("there is no station to read the stream at: was a stack without layers looked at?")
    with torch.no_grad():
        logits = [readout(residual[station]).float().log_softmax(-1) for station in stations]
    final = logits[-1].argmax(-1)
    tops = [each.topk(min(top_k, each.shape[-1]), dim=-1) for each in logits]
    on_the_way = [each.gather(-1, final[:, None]) for each in logits]
    ranks = [(each > chosen).sum(-1) for each, chosen in zip(logits, on_the_way, strict=True)]
    return Lens(
        tuple(stations),
        torch.stack([top.indices for top in tops]),
        torch.stack([top.values.exp() for top in tops]),
        final,
        torch.stack(on_the_way)[..., 0],
        torch.stack(ranks),
    )
