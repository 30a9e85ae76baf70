"""The decoder as an LSTM that looks at the encoder's states while it writes.

Attention is additive (``layers.additive_attention``). What was seen and the LSTM's
state s make h̃ = tanh(W_c c + W_s s), from which the next token is told and which is read again with the next one (input
feeding, Luong et al., arXiv 1508.04025, section 3.3). The recurrence begins from the mean of the encoder's states.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clearhead.layers.additive_attention import AdditiveAttention
from clearhead.layers.dropout import Dropout
from clearhead.layers.embedding import Embedding
from clearhead.layers.lstm import LSTMStack
from clearhead.mechanism.masks import Mask

Recurrence = tuple[Tensor, Tensor, Tensor]  # (h, c) of the layers, (L, N, W) each, and h̃ (N, W)


class RecurrentDecoder(nn.Module):
    """target ids (B, T) and the projected source → states h̃ (B, T, W), one position after the other."""

    def __init__(self, embedding: Embedding, width: int, layers: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.embedding = embedding
        self.start = nn.Linear(width, layers * width)
        self.lstm = LSTMStack(width, layers, dropout, input_width=2 * width)
        self.cross_attention = AdditiveAttention(width, attention_dropout)
        self.own = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def begin(self, states: Tensor, real: Tensor | None) -> Recurrence:
        """The recurrence before the first token, from the mean of the real states (B, S, W)."""
        if real is None:
            mean = states.mean(1)
        else:
            mean = states.masked_fill(~real[..., None], 0.0).sum(1) / real.sum(1, keepdim=True).clamp(min=1)
        hidden = torch.tanh(self.start(mean)).view(len(states), -1, states.shape[2]).transpose(0, 1)
        hidden = hidden.to(self.lstm.dtype).contiguous()
        return hidden, torch.zeros_like(hidden), torch.zeros_like(hidden[0])

    def forward(self, ids: Tensor, memory: tuple[Tensor, Tensor], mask: Mask | None, first: Recurrence) -> Tensor:
        """Teacher forcing: ids (B, T) → (B, T, W), by as many steps."""
        x, now, written = self.embedding(ids), first, []
        for place in range(ids.shape[1]):
            state, now = self.step(x[:, place], memory, mask, now)
            written.append(state)
        return torch.stack(written, dim=1) if written else x.new_zeros(*ids.shape, x.shape[-1])

    def advance(
        self, ids: Tensor, memory: tuple[Tensor, Tensor], mask: Mask | None, now: Recurrence, length: int
    ) -> tuple[Tensor, Recurrence]:
        """One new token for each of K hypotheses of B sentences: ids (B, K) → (B · K, W), after ``length`` others."""
        x = self.embedding(ids.reshape(-1, 1), start=length)[:, 0]
        return self.step(x, memory, mask, now)

    def step(
        self, x: Tensor, memory: tuple[Tensor, Tensor], mask: Mask | None, now: Recurrence
    ) -> tuple[Tensor, Recurrence]:
        """One position: x (N, W), N a multiple of the sentences in ``memory`` → h̃ (N, W)."""
        *state, fed = now
        y, (hidden, cell) = self.lstm.step(torch.cat((x.to(fed.dtype), fed), dim=-1), (state[0], state[1]))
        sentences = memory[0].shape[0]
        seen = self.cross_attention(y.view(sentences, -1, y.shape[-1]), memory, mask).flatten(0, 1)
        told = self.dropout(torch.tanh(seen + self.own(y))).to(fed.dtype)
        return told, (hidden, cell, told)
