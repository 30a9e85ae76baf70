"""Scheduled sampling for Transformers in two passes (Mihaylova & Martins 2019, arXiv 1906.07651).

A Transformer reads all target positions at once, so its own words cannot be fed one by one as in Bengio et al. 2015.
Instead the decoder runs twice: the first pass reads the truth and says, at each position, which word it would have
written; the second reads a mixture of these and the true words, and its loss against the truth is learnt from. The
encoder runs once, and nothing is learnt through the first pass (the paper found no gain in it). The authors call the
result close to teacher forcing; what it costs is a decoder pass. Where the share of the model's words is 0 there is no
first pass, and the loss is that of teacher forcing to the bit.

Dimensions: B rows, T target positions, N = B * T, V vocabulary.
"""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from clearhead.data.batch import PairBatch
from clearhead.mechanism.dropout import draw_seed, seeded
from clearhead.symbols import Symbols
from clearhead.training.loss import Loss
from clearhead.training.protocol import Objective
from clearhead.training.sampling_schedule import ScheduledSampling, true_share
from clearhead.training.teacher_forcing import TeacherForced, sentence_loss, states_loss

LOGITS = 1 << 21  # held at a time


class TwoPass(TeacherForced, Protocol):
    """What two passes ask of a model: encoder and decoder apart."""

    def states(self, ids: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """The encoder's states (B, S, W)."""

    def decode(self, target: Tensor, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """Decoder states (B, T, W) for target input (B, T) over the encoder's."""


def scheduled_sampling(settings: ScheduledSampling, label_smoothing: float) -> Objective:
    """The objective that feeds the decoder its own words for a share of positions that ``settings`` let grow."""

    def objective(model: nn.Module, batch: PairBatch, update: int) -> Loss:
        share = 1 - true_share(settings, update)
        if share <= 0:
            return sentence_loss(cast(TeacherForced, model), batch, label_smoothing)
        return two_pass_loss(cast(TwoPass, model), batch, share, settings, label_smoothing)

    return objective


def two_pass_loss(
    model: TwoPass, batch: PairBatch, share: float, settings: ScheduledSampling, label_smoothing: float = 0.0
) -> Loss:
    """The summed loss where ``share`` of the decoder's input are the model's words; what always opens it is not."""
    generator = seeded(draw_seed(), batch.target_in.device)
    source = model.states(batch.source, mask=batch.source_mask)
    with torch.no_grad():
        hidden = model.decode(batch.target_in, source, batch.source_mask)
        drawing = generator if settings.choice == "sample" else None
        words = own_words(model, hidden.flatten(0, 1), batch.symbols, drawing)
    mixed = mix(batch, words.view(batch.target_in.shape), share, generator)
    return states_loss(model, model.decode(mixed, source, batch.source_mask), batch, label_smoothing)


def own_words(model: TeacherForced, hidden: Tensor, symbols: Symbols, generator: torch.Generator | None) -> Tensor:
    """The word (N,) that the model would write at each of N states (N, W): drawn, or the best without a generator.

    Never padding, start or end: no decoder is fed these behind what opens its input.
    """
    rows = max(1, LOGITS // model.output_weight.shape[0])
    return torch.cat([_words(model, part, symbols, generator) for part in torch.split(hidden, rows)])


def mix(batch: PairBatch, words: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Decoder input (B, T): position t + 1 reads ``words[:, t]`` with probability ``share``, else what truth says.

    The start symbol stays, and so do what always stands behind it and padding.
    """
    truth = batch.target_in
    draws = torch.rand(words.shape, generator=generator, device=truth.device)
    own = (draws[:, 1:] < share) & batch.target_mask[:, 1:]
    own[:, : len(batch.symbols.opening)] = False
    return torch.cat([truth[:, :1], torch.where(own, words[:, :-1], truth[:, 1:])], dim=1)


def _words(model: TeacherForced, hidden: Tensor, symbols: Symbols, generator: torch.Generator | None) -> Tensor:
    logits = nn.functional.linear(hidden, model.output_weight.to(hidden.dtype), model.output_bias)
    logits[:, symbols.framing] = -torch.inf
    if generator is None:
        return logits.argmax(1)
    # The largest of logits with Gumbel noise is a draw from their softmax (Gumbel 1954): e / noise is that in one pass.
    noise = torch.empty_like(logits, dtype=torch.float32).exponential_(generator=generator)
    return (logits.softmax(1, dtype=torch.float32) / noise).argmax(1)
