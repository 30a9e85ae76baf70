"""The encoder–decoder before Transformers: LSTMs on both sides and additive attention between (arXiv 1409.0473).

It answers to the same names as ``EncoderDecoder``, so the same training, search and inspection serve both; what differs
is what a step costs and how far back a state can remember.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from clearhead.models.config import ModelConfig
from clearhead.models.decoder_only import check_fed, followed, kept
from clearhead.models.initialise import initialise
from clearhead.models.output import SourceToTarget
from clearhead.models.parts import embedding
from clearhead.models.recurrent_decoder import Recurrence, RecurrentDecoder
from clearhead.models.recurrent_encoder import RecurrentEncoder
from clearhead.models.rules import NONE, Rules
from clearhead.models.sight import check_ids, keys_of, real_positions


@dataclass(slots=True)
class RecurrentState:
    """What generation carries from token to token: the projected source, its mask, and the recurrence."""

    memory: tuple[Tensor, Tensor]
    allowed: Tensor
    now: Recurrence
    beam: int
    length: int = 0

    def reorder(self, parents: Tensor) -> None:
        """Hypothesis k of sentence b goes on from what was hypothesis ``parents[b, k]``; parents (B, K) int64."""
        self._take(followed(parents, self.beam))
        self.beam = parents.shape[1]

    def keep(self, sentences: Tensor) -> None:
        """Only these sentences go on: (B′,) int64 indices into the present ones."""
        self.memory = (self.memory[0][sentences], self.memory[1][sentences])
        self.allowed = self.allowed[sentences]
        self._take(kept(sentences, self.beam))

    def _take(self, rows: Tensor) -> None:
        hidden, cell, told = self.now
        self.now = (hidden[:, rows], cell[:, rows], told[rows])


class RecurrentEncoderDecoder(SourceToTarget):
    """Source ids in, target logits out; shapes as in ``EncoderDecoder``."""

    def __init__(self, config: ModelConfig, rules: Rules = NONE) -> None:
        super().__init__()
        self.config = config
        source = nn.Embedding(config.source_vocabulary, config.width)
        target = source if config.one_embedding else nn.Embedding(config.target_vocabulary, config.width)
        width, dropout = config.width, config.dropout
        self.encoder = RecurrentEncoder(embedding(config, source), width, config.encoder_layers, dropout)
        self.decoder = RecurrentDecoder(
            embedding(config, target), width, config.decoder_layers, dropout, config.attention_dropout
        )
        self.output = nn.Linear(width, config.target_vocabulary, bias=False)
        initialise(self, config)
        if config.output_is_embedding:
            self.output.weight = target.weight

    def states(self, ids: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """The encoder's last layer: (B, S) → (B, S, W)."""
        check_ids("ids", ids, self.config.source_vocabulary)
        states: Tensor = self.encoder(ids, real_positions(mask, ids))
        return states

    def decode(self, target: Tensor, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """Teacher forcing: target (B, T) over encoder states (B, S, W) → decoder states (B, T, W)."""
        check_ids("target_ids", target, self.config.target_vocabulary)
        real = real_positions(mask, states)
        memory = self.decoder.cross_attention.project(states)
        decoded: Tensor = self.decoder(target, memory, keys_of(real), self.decoder.begin(states, real))
        return decoded

    def begin(self, source: Tensor, mask: Tensor, *, beam: int, max_length: int) -> RecurrentState:
        """Encode B sentences (B, S) once; make ready for ``beam`` hypotheses of each, of any length."""
        states, real = self.states(source, mask=mask), real_positions(mask, source)
        memory = self.decoder.cross_attention.project(states)
        state = RecurrentState(memory, mask, self.decoder.begin(states, real), 1)
        if beam > 1:
            state.reorder(source.new_zeros(source.shape[0], beam))
        return state

    def advance(self, tokens: Tensor, state: RecurrentState) -> Tensor:
        """Feed one token to each hypothesis, (B, K) int64 → logits of the next, (B, K, V); the state moves on."""
        check_fed(tokens, (state.allowed.shape[0], state.beam))
        mask = keys_of(real_positions(state.allowed, state.allowed))
        told, state.now = self.decoder.advance(tokens, state.memory, mask, state.now, state.length)
        state.length += 1
        logits: Tensor = F.linear(told, self.output_weight, self.output_bias)
        return logits.view(*tokens.shape, -1)
