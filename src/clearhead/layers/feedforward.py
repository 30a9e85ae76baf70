"""The position-wise feed-forward network: W, out to ``hidden``, back to W (section 3.3, arXiv 1706.03762).

Plain: activation(x W_in + b_in) W_out + b_out. Gated: (activation(x W_gate + b_gate) · (x W_in + b_in)) W_out + b_out,
the GLU variants of arXiv 2002.05202, which have three matrices where the plain network has two. Biases are optional.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from clearhead.layers.dropout import Dropout

gelu_tanh = partial(F.gelu, approximate="tanh")  # x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))), arXiv 1606.08415
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": gelu_tanh,
    "silu": F.silu,
}
GATES: dict[str, Callable[[Tensor], Tensor]] = {
    "reglu": F.relu,
    "geglu": F.gelu,
    "geglu_tanh": gelu_tanh,
    "swiglu": F.silu,
}


class FeedForward(nn.Module):
    """activation(x W_in + b_in) W_out + b_out, each position by itself: (…, W) → (…, W)."""

    def __init__(self, width: int, hidden: int, activation: str, dropout: float, bias: bool = True) -> None:
        super().__init__()
        self.into = nn.Linear(width, hidden, bias=bias)
        self.activation = ACTIVATIONS[activation]
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.out(self.dropout(self.activation(self.into(x))))
        return y


class GatedFeedForward(nn.Module):
    """One half of a packed projection, activated, gates the other half: (…, W) → (…, W)."""

    def __init__(self, width: int, hidden: int, activation: str, dropout: float, bias: bool = True) -> None:
        super().__init__()
        self.gate_into = nn.Linear(width, 2 * hidden, bias=bias)
        self.activation = GATES[activation]
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        gate, into = self.gate_into(x).chunk(2, dim=-1)
        y: Tensor = self.out(self.dropout(self.activation(gate) * into))
        return y


def feedforward(width: int, hidden: int, activation: str, dropout: float, bias: bool = True) -> nn.Module:
    """The network that has this activation."""
    return (GatedFeedForward if activation in GATES else FeedForward)(width, hidden, activation, dropout, bias)
