"""A linear map of some of the rows or columns of another, with a bias where that has one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clearhead.errors import ConfigurationError


def rows_of(linear: nn.Linear, rows: Tensor) -> nn.Linear:
    """The map to these outputs alone: rows (n,) int64 of the weight (out, in), and of the bias."""
    _check(linear)
    bias: Tensor | None = linear.bias
    return _linear(linear.weight[rows], None if bias is None else bias[rows], linear)


def columns_of(linear: nn.Linear, columns: Tensor) -> nn.Linear:
    """The map from these inputs alone: columns (n,) int64 of the weight (out, in); the bias stays."""
    _check(linear)
    return _linear(linear.weight[:, columns], linear.bias, linear)


def _check(linear: nn.Linear) -> None:
    if type(linear) is not nn.Linear:
        raise ConfigurationError(
            f"expected a plain linear map to take rows or columns of, got {type(linear).__name__}: is an adapter on it "
            "that should be merged first?"
        )


def _linear(weight: Tensor, bias: Tensor | None, like: nn.Linear) -> nn.Linear:
    """One with these values, which are copied, learning where ``like`` does."""
    with torch.device("meta"):
        new = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    new = new.to_empty(device=weight.device).to(weight.dtype)
    with torch.no_grad():
        new.weight.copy_(weight)
        new.weight.requires_grad_(like.weight.requires_grad)
        if bias is not None:
            new.bias.copy_(bias)
            new.bias.requires_grad_(like.bias.requires_grad)
    return new
