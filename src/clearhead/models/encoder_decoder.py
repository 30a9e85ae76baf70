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
from clearhead.mechanism.masks import Mask, as_mask
from clearhead.models.config import ModelConfig
from clearhead.models.decoder import CrossDecoder, Memory
from clearhead.models.encoder import Encoder
from clearhead.models.initialise import initialise
from clearhead.models.parts import block_sizes, embedding


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


class EncoderDecoder(nn.Module):
    """Source ids in, target logits out.

    Ids are (B, S) and (B, T) int64; a mask is bool (B, S), True = real token. The target is as it is fed to the
    decoder, that is, it begins with the start symbol.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        sizes = block_sizes(config)
        source = nn.Embedding(config.source_vocabulary, config.width)
        target = source if config.tie == "all" else nn.Embedding(config.target_vocabulary, config.width)
        self.encoder = Encoder(embedding(config, source), sizes, config.encoder_layers)
        self.decoder = CrossDecoder(embedding(config, target), sizes, config.decoder_layers)
        self.output = nn.Linear(config.width, config.target_vocabulary, bias=False)
        initialise(self, config)
        if config.tie != "none":
            self.output.weight = target.weight

    @property
    def output_weight(self) -> Tensor:
        """The output matrix (V, W); the target embedding itself when tied."""
        return self.output.weight

    @property
    def output_bias(self) -> Tensor | None:
        """The output bias (V,), where there is one."""
        return self.output.bias

    def states(self, ids: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """The encoder's last layer: (B, S) → (B, S, W)."""
        check_ids("ids", ids, self.config.source_vocabulary)
        states: Tensor = self.encoder(ids, key_mask(mask, ids))
        return states

    def decode(self, target: Tensor, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """Teacher forcing: target (B, T) over encoder states (B, S, W) → decoder states (B, T, W)."""
        check_ids("target_ids", target, self.config.target_vocabulary)
        decoded: Tensor = self.decoder(target, self.decoder.project(states), key_mask(mask, states))
        return decoded

    def hidden(self, source: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """The decoder's states before the output matrix: (B, T, W)."""
        return self.decode(target, self.states(source, mask=mask), mask)

    def logits(self, ids: Tensor, target_ids: Tensor | None = None, *, mask: Tensor | None = None) -> Tensor:
        """Scores of every vocabulary entry at every target position: (B, T, V)."""
        if target_ids is None:
            raise ShapeError("an encoder-decoder model needs target_ids (B, T), beginning with the start symbol")
        logits: Tensor = self.output(self.hidden(ids, target_ids, mask=mask))
        return logits

    forward = logits

    def begin(self, source: Tensor, mask: Tensor, *, beam: int, max_length: int) -> DecodingState:
        """Encode B sentences (B, S) once; make a cache for ``beam`` hypotheses of some ``max_length`` tokens."""
        states, config = self.states(source, mask=mask), self.config
        room = (config.decoder_layers, source.shape[0] * beam, config.kv_heads, min(max_length, 64))
        cache = KeyValueCache(
            states.new_empty(*room, config.head_width), states.new_empty(*room, config.value_head_width)
        )
        return DecodingState(self.decoder.project(states), mask, cache, beam)

    def advance(self, tokens: Tensor, state: DecodingState) -> Tensor:
        """Feed one token to each hypothesis, (B, K) int64 → logits of the next, (B, K, V); the state moves on."""
        expected = (state.allowed.shape[0], state.beam)
        if tokens.shape != expected:
            raise ShapeError(f"tokens must be (sentences, hypotheses) = {expected}, got {tuple(tokens.shape)}")
        hidden = self.decoder.advance(tokens, state.memory, key_mask(state.allowed, state.allowed), state.cache)
        return F.linear(hidden, self.output_weight, self.output_bias)


def key_mask(mask: Tensor | None, like: Tensor) -> Mask | None:
    """A padding mask (B, S), True = real, as a mask over keys; nothing when every position is real."""
    if mask is None:
        return None
    if mask.dtype != torch.bool or mask.shape != like.shape[:2]:
        raise ShapeError(
            f"mask must be boolean of shape {tuple(like.shape[:2])}, True = real token, "
            f"got {mask.dtype} {tuple(mask.shape)}"
        )
    return None if bool(mask.all()) else as_mask(mask[:, None, None, :])


def check_ids(name: str, ids: Tensor, vocabulary: int) -> None:
    """Refuse anything but (B, T) int64 with entries below the vocabulary size."""
    if ids.dim() != 2 or ids.dtype != torch.int64:
        raise ShapeError(f"{name} must be int64 of shape (B, T), got {ids.dtype} {tuple(ids.shape)}")
    if ids.numel() and ids.device.type == "cpu":
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= vocabulary:
            raise ShapeError(f"{name} must lie in 0 … {vocabulary - 1} (the vocabulary), got {low} … {high}")
