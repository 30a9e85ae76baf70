"""An encoder with a head: a label for every position (N → N), for every word, or for the whole (N → 1).

The input is tokens, or vectors that are the input already (``input_width``). The encoder is a Transformer's or an
LSTM's. The head may instead score the whole vocabulary at every position (masked language modelling), or be missing,
when states and what pools them are all there is. What the head reads is ``hidden``'s; what labels mean is the task's.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from clearhead.errors import ConfigurationError, ShapeError
from clearhead.layers.dropout import Dropout
from clearhead.layers.embedding import Embedding
from clearhead.layers.pooling import POOLING, WORD_POOLING
from clearhead.layers.transform import Transform
from clearhead.mechanism.masks import Mask
from clearhead.models.config import ModelConfig
from clearhead.models.encoder import Encoder
from clearhead.models.initialise import initialise
from clearhead.models.output import WithOutput
from clearhead.models.parts import block_sizes, embedding, relative_positions, sight, vectors
from clearhead.models.recurrent_encoder import RecurrentEncoder
from clearhead.models.rules import NONE, Rules
from clearhead.models.sight import check_ids, places_among, real_positions
from clearhead.shapes import FLOATS


class EncoderOnly(WithOutput):
    """ids (B, T) int64 or vectors (B, T, F) in, logits of C classes out: (B, T, C), (B, words, C) or (B, C).

    In every method ``mask`` (B, T) bool says which positions are real, ``ngrams`` (B, T, N) int64 spells the words
    where the configuration has ``ngram_buckets``, ``segments`` (B, T) int64 numbers each token's segment, all 0 when
    not given, and ``visible`` narrows who may look at whom (edges of a graph, …).
    """

    def __init__(self, config: ModelConfig, rules: Rules = NONE) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder(config, rules)
        self.pooling = None if config.pooling == "none" else POOLING[config.pooling](config.width)
        self.dropout = Dropout(config.dropout if config.head.kind == "classes" else 0.0)
        self.transform = transform(config) if config.head.kind == "vocabulary" else None
        if config.head.kind != "none":
            outputs = config.classes if config.head.kind == "classes" else config.source_vocabulary
            self.output = nn.Linear(config.width, outputs, bias=config.output_bias)
        initialise(self, config)
        if config.head.kind == "vocabulary" and config.output_is_embedding:
            self.output.weight = cast(Embedding, self.encoder.embedding).tokens.weight

    def states(
        self,
        inputs: Tensor,
        *,
        mask: Tensor | None = None,
        ngrams: Tensor | None = None,
        visible: Mask | None = None,
        segments: Tensor | None = None,
    ) -> Tensor:
        """The encoder's last layer: (B, T, W)."""
        real = real_positions(mask, inputs)
        return self.encoder.over(self._embedded(inputs, real, ngrams, segments), real, visible)

    def hidden(
        self,
        inputs: Tensor,
        *,
        mask: Tensor | None = None,
        ngrams: Tensor | None = None,
        words: Tensor | None = None,
        visible: Mask | None = None,
        segments: Tensor | None = None,
    ) -> Tensor:
        """What the head reads: (B, T, W); with ``words`` (B, T) int64, the number of each piece's word or −1 for none,
        (B, words, W); pooled, (B, W).

        Raises:
            ConfigurationError: ``words`` are given to a model that tells one label of the whole.
        """
        states = self.states(inputs, mask=mask, ngrams=ngrams, visible=visible, segments=segments)
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
        hidden: Tensor = self.dropout(states if self.transform is None else self.transform(states, real))
        return hidden

    def logits(
        self,
        inputs: Tensor,
        *,
        mask: Tensor | None = None,
        ngrams: Tensor | None = None,
        words: Tensor | None = None,
        visible: Mask | None = None,
        segments: Tensor | None = None,
    ) -> Tensor:
        """Scores of every class: (B, T, C), (B, words, C) or (B, C); of every vocabulary entry, (B, T, V).

        Raises:
            ConfigurationError: the model has no head.
        """
        if self.config.head.kind == "none":
            raise ConfigurationError('this encoder has no logits, as head.kind is "none": it has states and hidden')
        hidden = self.hidden(inputs, mask=mask, ngrams=ngrams, words=words, visible=visible, segments=segments)
        logits: Tensor = self.output(hidden)
        return logits

    forward = logits

    def _embedded(self, inputs: Tensor, real: Tensor | None, ngrams: Tensor | None, segments: Tensor | None) -> Tensor:
        features = self.config.input_width
        if features is None:
            check_ids("ids", inputs, self.config.source_vocabulary)
            places = places_among(real) if self.config.input.skip_padding and real is not None else None
            return cast(Tensor, self.encoder.embedding(inputs, places=places, ngrams=ngrams, segments=segments))
        if inputs.dim() != 3 or inputs.shape[2] != features or inputs.dtype not in FLOATS:
            raise ShapeError(
                f"vectors must be floats of shape (B, T, input_width = {features}), got {inputs.dtype} "
                f"{tuple(inputs.shape)}"
            )
        inputs = inputs if real is None else inputs.masked_fill(~real[..., None], 0.0)
        x: Tensor = self.encoder.embedding(inputs)
        return x


def transform(config: ModelConfig) -> Transform:
    """The map in front of a vocabulary's output matrix."""
    return Transform(config.width, config.head.activation, config.norm, config.norm_epsilon)


def encoder(config: ModelConfig, rules: Rules = NONE) -> Encoder | RecurrentEncoder:
    """The stack that the configuration's body names, with its way in."""
    tokens = None if config.input_width else nn.Embedding(config.source_vocabulary, config.width)
    into = vectors(config, rules) if tokens is None else embedding(config, tokens, rules)
    if config.body == "lstm":
        return RecurrentEncoder(into, config.width, config.encoder_layers, config.dropout)
    positions = relative_positions(config, causal=False, rules=rules)
    return Encoder(into, block_sizes(config, rules), config.encoder_layers, positions, sight(config, causal=False))
