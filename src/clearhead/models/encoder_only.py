"""An encoder with a head: a label for every position (N → N), for every word, or for the whole (N → 1).

The input is tokens, or vectors that are the input already (``input_width``). The encoder is a Transformer's or an
LSTM's. What the head reads is ``hidden``'s; what the labels mean is the task's affair.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from clearhead.errors import ConfigurationError, ShapeError
from clearhead.layers.dropout import Dropout
from clearhead.layers.pooling import POOLING, WORD_POOLING
from clearhead.mechanism.masks import Mask
from clearhead.models.config import ModelConfig
from clearhead.models.encoder import Encoder
from clearhead.models.initialise import initialise
from clearhead.models.output import WithOutput
from clearhead.models.parts import block_sizes, embedding, relative_positions, sight, vectors
from clearhead.models.recurrent_encoder import RecurrentEncoder
from clearhead.models.rules import NONE, Rules
from clearhead.models.sight import check_ids, real_positions
from clearhead.shapes import FLOATS


class EncoderOnly(WithOutput):
    """ids (B, T) int64 or vectors (B, T, F) in, logits of C classes out: (B, T, C), (B, words, C) or (B, C).

    In every method ``mask`` (B, T) bool says which positions are real, ``ngrams`` (B, T, N) int64 spells the words
    where the configuration has ``ngram_buckets``, and ``visible`` narrows who may look at whom (edges of a graph, …).
    """

    def __init__(self, config: ModelConfig, rules: Rules = NONE) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder(config, rules)
        self.pooling = None if config.pooling == "none" else POOLING[config.pooling](config.width)
        self.dropout = Dropout(config.dropout)
        self.output = nn.Linear(config.width, config.classes)
        initialise(self, config)

    def states(
        self,
        inputs: Tensor,
        *,
        mask: Tensor | None = None,
        ngrams: Tensor | None = None,
        visible: Mask | None = None,
    ) -> Tensor:
        """The encoder's last layer: (B, T, W)."""
        real = real_positions(mask, inputs)
        return self.encoder.over(self._embedded(inputs, real, ngrams), real, visible)

    def hidden(
        self,
        inputs: Tensor,
        *,
        mask: Tensor | None = None,
        ngrams: Tensor | None = None,
        words: Tensor | None = None,
        visible: Mask | None = None,
    ) -> Tensor:
        """What the head reads: (B, T, W); with ``words`` (B, T) int64, the number of each piece's word or −1 for none,
        (B, words, W); pooled, (B, W).

        Raises:
            ConfigurationError: ``words`` are given to a model that tells one label of the whole.
        """
        states = self.states(inputs, mask=mask, ngrams=ngrams, visible=visible)
        real = real_positions(mask, inputs)
        if self.pooling is not None:
            if words is not None:
                raise ConfigurationError(
                    f'words are for a label each, but pooling = "{self.config.pooling}" makes one vector of the whole'
                )
            states = self.pooling(states, real)
        elif words is not None:
            words = words if real is None else words.masked_fill(~real, -1)
            states = WORD_POOLING[self.config.word_pooling](states, words)
        hidden: Tensor = self.dropout(states)
        return hidden

    def logits(
        self,
        inputs: Tensor,
        *,
        mask: Tensor | None = None,
        ngrams: Tensor | None = None,
        words: Tensor | None = None,
        visible: Mask | None = None,
    ) -> Tensor:
        """Scores of every class: (B, T, C), (B, words, C) or (B, C)."""
        logits: Tensor = self.output(self.hidden(inputs, mask=mask, ngrams=ngrams, words=words, visible=visible))
        return logits

    forward = logits

    def _embedded(self, inputs: Tensor, real: Tensor | None, ngrams: Tensor | None) -> Tensor:
        features = self.config.input_width
        if features is None:
            check_ids("ids", inputs, self.config.source_vocabulary)
            return cast(Tensor, self.encoder.embedding(inputs, ngrams=ngrams))
        if inputs.dim() != 3 or inputs.shape[2] != features or inputs.dtype not in FLOATS:
            raise ShapeError(
                f"vectors must be floats of shape (B, T, input_width = {features}), got {inputs.dtype} "
                f"{tuple(inputs.shape)}"
            )
        inputs = inputs if real is None else inputs.masked_fill(~real[..., None], 0.0)
        x: Tensor = self.encoder.embedding(inputs)
        return x


def encoder(config: ModelConfig, rules: Rules = NONE) -> Encoder | RecurrentEncoder:
    """The stack that the configuration's body names, with its way in."""
    tokens = None if config.input_width else nn.Embedding(config.source_vocabulary, config.width)
    into = vectors(config, rules) if tokens is None else embedding(config, tokens, rules)
    if config.body == "lstm":
        return RecurrentEncoder(into, config.width, config.encoder_layers, config.dropout)
    positions = relative_positions(config, causal=False, rules=rules)
    return Encoder(into, block_sizes(config, rules), config.encoder_layers, positions, sight(config, causal=False))
