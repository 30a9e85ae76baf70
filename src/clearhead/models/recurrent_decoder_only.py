"""A language model as an LSTM (Mikolov et al. 2010; Sundermeyer et al. 2012): it answers to ``DecoderOnly``'s names."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearhead.layers.dropout import Dropout
from clearhead.layers.lstm import LSTMStack
from clearhead.models.causal_decoder import places_within
from clearhead.models.config import ModelConfig
from clearhead.models.decoder_only import check_documents, check_fed, check_prompt, followed, kept
from clearhead.models.initialise import initialise
from clearhead.models.output import WithOutput
from clearhead.models.parts import embedding
from clearhead.models.rules import NONE, Rules
from clearhead.models.sight import check_ids


@dataclass(slots=True)
class RecurrentLanguageState:
    """What generation carries from token to token: (h, c) of all layers, (L, B · K, W) each."""

    now: tuple[Tensor, Tensor]
    sentences: int
    beam: int
    length: int

    def reorder(self, parents: Tensor) -> None:
        """Hypothesis k of sentence b goes on from what was hypothesis ``parents[b, k]``; parents (B, K) int64."""
        self._take(followed(parents, self.beam))
        self.beam = parents.shape[1]

    def keep(self, sentences: Tensor) -> None:
        """Only these sentences go on: (B′,) int64 indices into the present ones, in any order, repeated or not."""
        self._take(kept(sentences, self.beam))
        self.sentences = len(sentences)

    def _take(self, rows: Tensor) -> None:
        self.now = (self.now[0][:, rows], self.now[1][:, rows])


class RecurrentStack(nn.Module):
    """ids → states by one LSTM: the decoder's part of a language model."""

    def __init__(self, embedding: nn.Module, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.embedding = embedding
        self.lstm = LSTMStack(width, layers, dropout)
        self.dropout = Dropout(dropout)

    def forward(self, ids: Tensor, documents: Tensor | None = None) -> Tensor:
        """ids (B, T) → (B, T, W); the recurrence begins anew where ``documents`` (B, T) changes."""
        if documents is None:
            return self.dropout(self.lstm(self.embedding(ids)))  # type: ignore[no-any-return]
        places = places_within(documents)
        begins = (places.flatten() == 0).nonzero()[:, 0]
        lengths = torch.diff(begins, append=begins.new_tensor([ids.numel()])).tolist()
        rows = self.lstm.over(self.embedding(ids, places=places).flatten(0, 1), lengths)
        states: Tensor = self.dropout(rows).view(*ids.shape, -1)
        return states


class RecurrentDecoderOnly(WithOutput):
    """ids (B, T) int64 in, logits (B, T, V) of what comes next out."""

    def __init__(self, config: ModelConfig, rules: Rules = NONE) -> None:
        super().__init__()
        self.config = config
        tokens = nn.Embedding(config.target_vocabulary, config.width)
        self.decoder = RecurrentStack(embedding(config, tokens), config.width, config.decoder_layers, config.dropout)
        self.output = nn.Linear(config.width, config.target_vocabulary, bias=False)
        initialise(self, config)
        if config.output_is_embedding:
            self.output.weight = tokens.weight

    def hidden(self, ids: Tensor, *, documents: Tensor | None = None) -> Tensor:
        """The states before the output matrix: (B, T, W); nothing is remembered from one document to the next."""
        check_ids("ids", ids, self.config.target_vocabulary)
        check_documents(documents, ids)
        hidden: Tensor = self.decoder(ids, documents)
        return hidden

    def logits(self, ids: Tensor, *, documents: Tensor | None = None) -> Tensor:
        """Scores of every vocabulary entry as the next token at every position: (B, T, V)."""
        logits: Tensor = self.output(self.hidden(ids, documents=documents))
        return logits

    forward = logits

    def begin(self, source: Tensor, mask: Tensor, *, beam: int, max_length: int) -> RecurrentLanguageState:
        """Read prompts (B, S) of one length, S of 0 or more; make ready for ``beam`` hypotheses of each."""
        check_prompt(source, mask, self.config.target_vocabulary)
        rows, length = source.shape
        stack = self.decoder.lstm
        now = stack.read(self.decoder.embedding(source)) if length else stack.nothing(rows)
        state = RecurrentLanguageState(now, rows, 1, length)
        if beam > 1:
            state.reorder(source.new_zeros(rows, beam))
        return state

    def advance(self, tokens: Tensor, state: RecurrentLanguageState) -> Tensor:
        """Feed one token to each hypothesis, (B, K) int64 → logits of the next, (B, K, V); the state moves on."""
        check_fed(tokens, (state.sentences, state.beam))
        x = self.decoder.embedding(tokens.reshape(-1, 1), start=state.length)[:, 0]
        told, state.now = self.decoder.lstm.step(x, state.now)
        state.length += 1
        logits = F.linear(self.decoder.dropout(told), self.output_weight, self.output_bias)
        return logits.view(*tokens.shape, -1)
