"""Cross-entropy with label smoothing whose logits never exist all at once.

    loss = Σ_n [ lse(z_n) − (1 − ε) z_n,y − ε mean(z_n) ],    z = h Wᵀ + b

Label smoothing as in Szegedy et al. 2016. Rows go through in chunks small enough for the processor's cache: logits,
softmax, and both gradients (to the states and to the matrix) of a chunk are computed while it is there, so the backward
pass only scales what the forward pass has made. What smoothing and the target add to the gradient is of low rank and
never touches the chunk: it goes straight into the small matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clearhead.errors import ShapeError

CHUNK = 1 << 21  # logits held at a time


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """Sums over tokens: ``total`` is smoothed and carries the gradient, ``nll`` is the plain negative log-likelihood."""

    total: Tensor
    nll: Tensor
    count: int


def chunked_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    label_smoothing: float = 0.0,
    chunk: int | None = None,
) -> Loss:
    """The summed loss of N states against their targets.

    Args:
        hidden: states before the output matrix (N, W).
        weight: the output matrix (V, W).
        targets: int64 (N,), each in 0 … V − 1.
        bias: (V,) or none.
        label_smoothing: ε, the mass spread evenly over the vocabulary.
        chunk: rows at a time; by default as many as give about two million logits.

    Raises:
        ShapeError: states, matrix and targets do not fit.
    """
    if hidden.dim() != 2 or targets.shape != hidden.shape[:1] or weight.shape[-1] != hidden.shape[-1]:
        raise ShapeError(
            "expected hidden (N, W), weight (V, W) and targets (N,), got "
            f"{tuple(hidden.shape)}, {tuple(weight.shape)} and {tuple(targets.shape)}"
        )
    rows = chunk or max(16, CHUNK // weight.shape[0])
    total, nll = _ChunkedCrossEntropy.apply(hidden, weight, bias, targets, label_smoothing, rows)  # type: ignore[no-untyped-call]
    return Loss(total, nll, targets.shape[0])


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, smoothing: float, rows: int
    ) -> tuple[Tensor, Tensor]:
        work = _Work(hidden, weight, bias, targets, smoothing)
        for start in range(0, hidden.shape[0], rows):
            work.chunk(slice(start, start + rows))
        ctx.save_for_backward(*work.gradients())
        ctx.has_bias = bias is not None
        return work.total.sum(), work.nll.sum()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        to_hidden, to_weight, to_bias = (*ctx.saved_tensors, None)[:3]
        scale = gradient.to(to_weight.dtype)
        hidden_gradient = to_hidden * gradient.to(to_hidden.dtype)
        return hidden_gradient, to_weight.mul_(scale), to_bias * scale if ctx.has_bias else None, None, None, None


class _Work:
    """The running sums of one pass over the chunks."""

    def __init__(self, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, smoothing: float) -> None:
        dtype = torch.get_autocast_dtype(hidden.device.type) if _autocasts(hidden) else hidden.dtype
        self.hidden, self.targets, self.smoothing, self.bias = hidden.to(dtype), targets, smoothing, bias
        self.weight, self.out_dtype = weight.to(dtype), hidden.dtype
        exact = weight.dtype
        self.weight_mean = weight.mean(0)
        self.bias_mean = bias.mean() if bias is not None else None
        self.needs_gradient = hidden.requires_grad or weight.requires_grad
        self.total = torch.empty(hidden.shape[0], dtype=exact, device=hidden.device)
        self.nll = torch.empty_like(self.total)
        self.to_hidden = torch.empty_like(hidden) if self.needs_gradient else hidden
        self.to_weight = torch.zeros_like(weight) if self.needs_gradient else weight
        self.to_bias = torch.zeros_like(bias) if self.needs_gradient and bias is not None else None

    def chunk(self, rows: slice) -> None:
        hidden, targets = self.hidden[rows], self.targets[rows]
        logits = torch.nn.functional.linear(
            hidden, self.weight, None if self.bias is None else self.bias.to(hidden.dtype)
        )
        exact = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
        at_target = exact.gather(1, targets[:, None])[:, 0]
        top = exact.amax(1)
        exponentials = torch.sub(exact, top[:, None], out=exact).exp_()
        normalizer = exponentials.sum(1)
        log_normalizer = top + normalizer.log()
        mean = hidden.to(self.weight_mean.dtype) @ self.weight_mean
        mean = mean if self.bias_mean is None else mean + self.bias_mean
        self.nll[rows] = log_normalizer - at_target
        self.total[rows] = log_normalizer - (1 - self.smoothing) * at_target - self.smoothing * mean
        if self.needs_gradient:
            self._gradients(rows, exponentials.to(hidden.dtype), normalizer)

    def _gradients(self, rows: slice, exponentials: Tensor, normalizer: Tensor) -> None:
        """d total / d z = softmax(z) − (1 − ε) onehot(y) − ε / V, applied to both matrices without forming it."""
        hidden, targets, kept = self.hidden[rows], self.targets[rows], 1 - self.smoothing
        exact = self.to_weight.dtype
        scaled = (hidden.to(exact) / normalizer[:, None]).to(hidden.dtype)
        to_hidden = (exponentials @ self.weight).to(exact).div_(normalizer[:, None])
        to_hidden.sub_(self.weight[targets].to(exact), alpha=kept).sub_(self.weight_mean, alpha=self.smoothing)
        self.to_hidden[rows] = to_hidden.to(self.out_dtype)
        if hidden.dtype == exact:
            self.to_weight.addmm_(exponentials.t(), scaled)
        else:
            self.to_weight.add_(exponentials.t() @ scaled)
        self.to_weight.index_add_(0, targets, hidden.to(exact), alpha=-kept)
        if self.to_bias is not None:
            self.to_bias.add_((exponentials.to(exact) / normalizer[:, None]).sum(0))
            self.to_bias.index_add_(0, targets, torch.full_like(normalizer, -kept))

    def gradients(self) -> tuple[Tensor, ...]:
        """Gradients of the total to states, matrix and bias; the smoothing's even part is added once for all rows."""
        if self.needs_gradient and self.smoothing:
            share = self.smoothing / self.weight.shape[0]
            self.to_weight.sub_(self.hidden.to(self.to_weight.dtype).sum(0), alpha=share)
            if self.to_bias is not None:
                self.to_bias.sub_(share * self.hidden.shape[0])
        parts = (self.to_hidden, self.to_weight) if self.needs_gradient else (self.hidden[:0], self.weight[:0])
        return (*parts, self.to_bias) if self.to_bias is not None else parts


def _autocasts(hidden: Tensor) -> bool:
    return torch.is_autocast_enabled(hidden.device.type)
