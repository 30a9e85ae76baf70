"""A language model: a causal decoder and an output matrix, usually the embedding itself (Radford et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearhead.errors import ShapeError
from clearhead.mechanism.cache import KeyValueCache
from clearhead.models.causal_decoder import CausalDecoder
from clearhead.models.config import ModelConfig
from clearhead.models.initialise import initialise
from clearhead.models.output import WithOutput
from clearhead.models.parts import block_sizes, embedding, needs_padding, new_cache, relative_positions, sight
from clearhead.models.rules import NONE, Rules
from clearhead.models.sight import PADDING, check_ids, real_positions


@dataclass(slots=True)
class LanguageState:
    """What generation carries from token to token: the cache of B sentences of K hypotheses each."""

    cache: KeyValueCache
    sentences: int
    beam: int

    @property
    def length(self) -> int:
        """Tokens fed so far, the prompt included."""
        return self.cache.length

    def reorder(self, parents: Tensor) -> None:
        """Hypothesis k of sentence b goes on from what was hypothesis ``parents[b, k]``; parents (B, K) int64."""
        self.cache.take(followed(parents, self.beam))
        self.beam = parents.shape[1]

    def keep(self, sentences: Tensor) -> None:
        """Only these sentences go on: (B′,) int64 indices into the present ones, in any order, repeated or not."""
        self.cache.take(kept(sentences, self.beam))
        self.sentences = len(sentences)


class DecoderOnly(WithOutput):
    """ids (B, T) int64 in, logits (B, T, V) of what comes next out. Vocabulary and layers are the target's."""

    def __init__(self, config: ModelConfig, rules: Rules = NONE) -> None:
        super().__init__()
        self.config = config
        tokens = nn.Embedding(config.target_vocabulary, config.width)
        positions = relative_positions(config, causal=True, rules=rules)
        self.decoder = CausalDecoder(
            embedding(config, tokens, rules),
            block_sizes(config, rules),
            config.decoder_layers,
            positions,
            sight(config, causal=True),
        )
        self.output = nn.Linear(config.width, config.target_vocabulary, bias=config.output_bias)
        initialise(self, config)
        if config.output_is_embedding:
            self.output.weight = tokens.weight

    def hidden(self, ids: Tensor, *, documents: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """The states before the output matrix: (B, T, W).

        ``documents`` (B, T) int64 numbers the documents that are packed into a row; they do not see each other.
        ``mask`` (B, T) bool says which positions are real; padding may stand on either side, as positions are counted
        over the real ones. Without it only what stands behind a text may be padding, which no text then sees.
        """
        check_ids("ids", ids, self.config.target_vocabulary)
        check_documents(documents, ids)
        real = real_positions(mask, ids)
        counted = ids != PADDING if real is None and needs_padding(self.config) else real
        hidden: Tensor = self.decoder(ids, documents, counted, shown=real)
        return self.scaled(hidden, self.config.head.scale)

    def logits(self, ids: Tensor, *, documents: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Scores of every vocabulary entry as the next token at every position: (B, T, V)."""
        logits: Tensor = self.output(self.hidden(ids, documents=documents, mask=mask))
        return logits

    def states(self, ids: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """The last layer's states: (B, T) → (B, T, W)."""
        check_ids("ids", ids, self.config.target_vocabulary)
        real = real_positions(mask, ids)
        states: Tensor = self.decoder(ids, None, real, shown=real)
        return states

    forward = logits

    def begin(self, source: Tensor, mask: Tensor, *, beam: int, max_length: int) -> LanguageState:
        """Read prompts (B, S) of one length, S of 0 or more; make ready for ``beam`` hypotheses of each."""
        check_prompt(source, mask, self.config.target_vocabulary)
        rows, length = source.shape
        state = LanguageState(new_cache(self.config, rows, length + max_length, self.output_weight), rows, 1)
        if length:
            self.decoder.extend(source, state.cache)
        if beam > 1:
            state.reorder(source.new_zeros(rows, beam))
        return state

    def advance(self, tokens: Tensor, state: LanguageState) -> Tensor:
        """Feed one token to each hypothesis, (B, K) int64 → logits of the next, (B, K, V); the state moves on."""
        check_fed(tokens, (state.sentences, state.beam))
        hidden = self.decoder.extend(tokens.reshape(-1, 1), state.cache).view(*tokens.shape, -1)
        hidden = self.scaled(hidden, self.config.head.scale)
        return F.linear(hidden, self.output_weight, self.output_bias)


def followed(parents: Tensor, beam: int) -> Tensor:
    """The rows of a state of ``beam`` hypotheses a sentence that ``parents`` (B, K) names, (B · K,)."""
    return (parents + torch.arange(parents.shape[0], device=parents.device)[:, None] * beam).flatten()


def kept(sentences: Tensor, beam: int) -> Tensor:
    """The rows of these sentences (B′,) in a state of ``beam`` hypotheses a sentence, (B′ · K,)."""
    return (sentences[:, None] * beam + torch.arange(beam, device=sentences.device)).flatten()


def check_documents(documents: Tensor | None, ids: Tensor) -> None:
    """Refuse document numbers that do not stand one beside each token."""
    if documents is not None and (documents.shape != ids.shape or documents.dtype != torch.int64):
        raise ShapeError(
            f"documents must be int64 of shape {tuple(ids.shape)}, one number a token, "
            f"got {documents.dtype} {tuple(documents.shape)}"
        )


def check_prompt(source: Tensor, mask: Tensor, vocabulary: int) -> None:
    """Refuse prompts that are no ids, or of unequal length: a row with padding would be read as if it were text."""
    check_ids("source", source, vocabulary)
    if real_positions(mask, source) is not None:
        raise ShapeError(f"the prompts of one batch must be of one length, but mask {tuple(mask.shape)} marks padding")


def check_fed(tokens: Tensor, expected: tuple[int, int]) -> None:
    """Refuse anything but one token a hypothesis."""
    if tuple(tokens.shape) != expected:
        raise ShapeError(f"tokens must be (sentences, hypotheses) = {expected}, got {tuple(tokens.shape)}")
