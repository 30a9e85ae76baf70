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

from clearhead.errors import ConfigurationError, ShapeError

CHUNK = 1 << 21  # logits held at a time


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """Sums over tokens: ``total`` is smoothed and carries the gradient, ``nll`` is plain and carries none."""

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
        ShapeError: states, matrix, bias and targets do not fit.
        ConfigurationError: a label smoothing or a chunk out of range.
    """
    _check(hidden, weight, targets, bias)
    if not 0.0 <= label_smoothing < 1.0:
        raise ConfigurationError(f"label_smoothing must lie in [0, 1), got {label_smoothing}")
    if chunk is not None and chunk < 1:
        raise ConfigurationError(f"chunk must be at least 1 row, got {chunk}")
    rows = chunk or max(16, CHUNK // weight.shape[0])
    inputs = (hidden, weight) if bias is None else (hidden, weight, bias)
    learns = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
    arguments = (hidden, weight, bias, targets, label_smoothing, rows, learns)
    total, nll = _ChunkedCrossEntropy.apply(*arguments)  # type: ignore[no-untyped-call]
    return Loss(total, nll, targets.shape[0])


def _check(hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None) -> None:
    fits = hidden.dim() == weight.dim() == 2 and hidden.shape[1] == weight.shape[1]
    if not fits or targets.shape != hidden.shape[:1]:
        raise ShapeError(
            "expected hidden (N, W), weight (V, W) and targets (N,), got "
            f"{tuple(hidden.shape)}, {tuple(weight.shape)} and {tuple(targets.shape)}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"bias must be (V,) = {tuple(weight.shape[:1])}, got {tuple(bias.shape)}")
    if targets.dtype != torch.int64:
        raise ShapeError(f"targets must be int64, got {targets.dtype}")
    if targets.numel() and targets.device.type == "cpu":  # elsewhere looking would wait for the device
        low, high = int(targets.min()), int(targets.max())
        if low < 0 or high >= weight.shape[0]:
            raise ShapeError(f"targets must lie in 0 … {weight.shape[0] - 1}, got {low} … {high}")


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        smoothing: float,
        rows: int,
        learns: bool,
    ) -> tuple[Tensor, Tensor]:
        work = _Work(hidden, weight, bias, targets, smoothing, learns)
        with torch.autocast(hidden.device.type, enabled=False):  # each product here has chosen its precision
            for start in range(0, hidden.shape[0], rows):
                work.chunk(slice(start, start + rows))
        ctx.save_for_backward(*work.gradients())
        ctx.dtypes = weight.dtype, None if bias is None else bias.dtype
        total, nll = work.total.sum(), work.nll.sum()
        ctx.mark_non_differentiable(nll)
        return total, nll

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Scale what the forward pass has made; the matrix in place, so a second pass through one graph is an error."""
        to_hidden, to_weight, *rest = ctx.saved_tensors
        for_weight, for_bias = ctx.dtypes
        to_bias = (rest[0] * gradient).to(for_bias) if rest else None
        to_hidden = to_hidden * gradient.to(to_hidden.dtype)
        return to_hidden, to_weight.mul_(gradient).to(for_weight), to_bias, None, None, None, None


class _Work:
    """The running sums of one pass over the chunks, in at least float32."""

    def __init__(
        self, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, smoothing: float, learns: bool
    ) -> None:
        dtype = torch.get_autocast_dtype(hidden.device.type) if _autocasts(hidden) else hidden.dtype
        exact = torch.promote_types(weight.dtype, torch.float32)
        self.hidden, self.targets, self.smoothing, self.bias = hidden.to(dtype), targets, smoothing, bias
        self.weight, self.out_dtype = weight.to(dtype), hidden.dtype
        self.buffer: Tensor | None = None
        self.weight_mean = weight.mean(0, dtype=exact)
        self.bias_mean = bias.mean(dtype=exact) if bias is not None else None
        self.learns = learns
        self.total = torch.empty(hidden.shape[0], dtype=exact, device=hidden.device)
        self.nll = torch.empty_like(self.total)
        self.to_hidden = torch.empty_like(hidden) if learns else hidden
        self.to_weight = torch.zeros_like(weight, dtype=exact) if learns else weight
        self.to_bias = torch.zeros_like(bias, dtype=exact) if learns and bias is not None else None

    def chunk(self, rows: slice) -> None:
        hidden, targets = self.hidden[rows], self.targets[rows]
        exact = self._logits(hidden)
        at_target = exact.gather(1, targets[:, None])[:, 0]
        top = exact.amax(1)
        exponentials = exact.sub_(top[:, None]).exp_()
        normalizer = exponentials.sum(1)
        log_normalizer = top + normalizer.log()
        mean = hidden.to(self.weight_mean.dtype) @ self.weight_mean
        mean = mean if self.bias_mean is None else mean + self.bias_mean
        self.nll[rows] = log_normalizer - at_target
        self.total[rows] = log_normalizer - (1 - self.smoothing) * at_target - self.smoothing * mean
        if self.learns:
            self._gradients(rows, exponentials.to(hidden.dtype), normalizer)

    def _logits(self, hidden: Tensor) -> Tensor:
        """The chunk's logits in at least float32, in a buffer all chunks share: fresh pages cost as much as a pass."""
        if self.buffer is None:
            self.buffer = hidden.new_empty(hidden.shape[0], self.weight.shape[0])
        logits = torch.mm(hidden, self.weight.t(), out=self.buffer[: hidden.shape[0]])
        exact = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
        return exact if self.bias is None else exact.add_(self.bias)

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
        if self.learns and self.smoothing:
            share = self.smoothing / self.weight.shape[0]
            self.to_weight.sub_(self.hidden.to(self.to_weight.dtype).sum(0), alpha=share)
            if self.to_bias is not None:
                self.to_bias.sub_(share * self.hidden.shape[0])
        if not self.learns:
            return ()
        parts = (self.to_hidden, self.to_weight)
        return parts if self.to_bias is None else (*parts, self.to_bias)


def _autocasts(hidden: Tensor) -> bool:
    return torch.is_autocast_enabled(hidden.device.type)
