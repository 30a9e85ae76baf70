"""The Transformer of the paper: an encoder, a decoder that looks at it, and an output matrix (arXiv 1706.03762).

This file says what the model computes and which weights are shared. It knows nothing of training, of search, or of
whoever looks inside; whoever generates brings ids and keeps the ``DecodingState``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearhead.errors import ShapeError
from clearhead.mechanism.cache import KeyValueCache
from clearhead.models.config import ModelConfig
from clearhead.models.decoder import CrossDecoder, Memory
from clearhead.models.encoder import Encoder
from clearhead.models.initialise import initialise
from clearhead.models.output import SourceToTarget
from clearhead.models.parts import block_sizes, embedding, needs_padding, new_cache, relative_positions, sight
from clearhead.models.rules import NONE, Rules
from clearhead.models.sight import PADDING, check_ids, keys_of, real_positions


@dataclass(slots=True)
class DecodingState:
    """What generation carries from token to token: the projected source, its mask, and the decoder's cache."""

    memory: Memory
    allowed: Tensor
    cache: KeyValueCache
    beam: int

    @property
    def length(self) -> int:
        """Tokens fed so far."""
        return self.cache.length

    def reorder(self, parents: Tensor) -> None:
        """Hypothesis k of sentence b goes on from what was hypothesis ``parents[b, k]``; parents (B, K) int64."""
        first = torch.arange(parents.shape[0], device=parents.device)[:, None] * self.beam
        self.cache.take((parents + first).flatten())
        self.beam = parents.shape[1]

    def keep(self, sentences: Tensor) -> None:
        """Only these sentences go on: (B′,) int64 indices into the present ones."""
        self.memory = [(k[sentences], v[sentences]) for k, v in self.memory]
        self.allowed = self.allowed[sentences]
        hypotheses = torch.arange(self.beam, device=sentences.device)
        self.cache.take((sentences[:, None] * self.beam + hypotheses).flatten())


class EncoderDecoder(SourceToTarget):
    """Source ids in, target logits out.

    Ids are (B, S) and (B, T) int64; a mask is bool (B, S), True = real token. The target is as it is fed to the
    decoder, that is, it begins with the start symbol.
    """

    def __init__(self, config: ModelConfig, rules: Rules = NONE) -> None:
        super().__init__()
        self.config = config
        sizes = block_sizes(config, rules)
        source = nn.Embedding(config.source_vocabulary, config.width)
        target = source if config.one_embedding else nn.Embedding(config.target_vocabulary, config.width)
        ahead, back = (relative_positions(config, causal=causal, rules=rules) for causal in (False, True))
        self.encoder = Encoder(
            embedding(config, source, rules), sizes, config.encoder_layers, ahead, sight(config, causal=False)
        )
        self.decoder = CrossDecoder(
            embedding(config, target, rules), sizes, config.decoder_layers, back, sight(config, causal=True)
        )
        self.output = nn.Linear(config.width, config.target_vocabulary, bias=config.output_bias)
        initialise(self, config)
        if config.output_is_embedding:
            self.output.weight = target.weight

    def states(self, ids: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """The encoder's last layer: (B, S) → (B, S, W)."""
        check_ids("ids", ids, self.config.source_vocabulary)
        states: Tensor = self.encoder(ids, real_positions(mask, ids))
        return states

    def decode(self, target: Tensor, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """Teacher forcing: target (B, T) over encoder states (B, S, W) → what the output matrix reads (B, T, W)."""
        check_ids("target_ids", target, self.config.target_vocabulary)
        real = target != PADDING if needs_padding(self.config) else None
        memory, memory_mask = self.decoder.project(states), keys_of(real_positions(mask, states))
        return self.scaled(self.decoder(target, memory, memory_mask, real), self.config.head.scale)

    def begin(self, source: Tensor, mask: Tensor, *, beam: int, max_length: int) -> DecodingState:
        """Encode B sentences (B, S) once; make a cache for ``beam`` hypotheses of some ``max_length`` tokens."""
        states = self.states(source, mask=mask)
        cache = new_cache(self.config, source.shape[0] * beam, max_length, states)
        return DecodingState(self.decoder.project(states), mask, cache, beam)

    def advance(self, tokens: Tensor, state: DecodingState) -> Tensor:
        """Feed one token to each hypothesis, (B, K) int64 → logits of the next, (B, K, V); the state moves on."""
        expected = (state.allowed.shape[0], state.beam)
        if tokens.shape != expected:
            raise ShapeError(f"tokens must be (sentences, hypotheses) = {expected}, got {tuple(tokens.shape)}")
        memory_mask = keys_of(real_positions(state.allowed, state.allowed))
        hidden = self.decoder.advance(tokens, state.memory, memory_mask, state.cache)
        hidden = self.scaled(hidden, self.config.head.scale)
        return F.linear(hidden, self.output_weight, self.output_bias)
