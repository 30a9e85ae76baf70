"""What a first-order look says a head is worth: how strongly the loss would change if its output were scaled a little.

    I_h = E_x | ∂L(x) / ∂ξ_h |,    MultiHead = Σ_h ξ_h z_h W_o^h,    ξ = 1

Equation 2 of Michel et al. 2019 (arXiv 1905.10650): one backward pass over the data for all heads at once, where trying
each head takes a forward pass each. A gate is a number a row and head, so one backward pass gives every row's own
gradient, and the absolute value is taken before the mean, as there. It is a slope at ξ = 1 and no promise about ξ = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from clearhead.inspection.capture import network_of
from clearhead.inspection.seams import seams
from clearhead.inspection.uncompiled import uncompiled

Gates = dict[str, list[Tensor]]


def head_slopes(model: nn.Module, losses: Iterable[Tensor]) -> dict[str, Tensor]:
    """I_h of every head, (H,) float64 by attention, in nats.

    Args:
        model: a network, in the mode it is to be judged in.
        losses: each batch's summed loss by row (B,), with a graph, made as it is asked for: row n of every attention
            belongs to row n of its losses. Parameters get no gradients.
    """
    sums: dict[str, Tensor] = {}
    rows = 0
    with gated(model) as gates:
        for loss in losses:
            names = [name for name, used in gates.items() for _ in used]
            used = [gate for calls in gates.values() for gate in calls]
            slopes = torch.autograd.grad(loss.sum(), used, allow_unused=True)
            by_name: dict[str, Tensor] = {}
            for name, slope in zip(names, slopes, strict=True):
                if slope is not None:
                    by_name[name] = by_name.get(name, 0.0) + slope.double()
            for name, slope in by_name.items():
                sums[name] = sums.get(name, 0.0) + slope.abs().sum((0, 2, 3))
            rows += len(loss)
            gates.clear()
    return {name: total / max(rows, 1) for name, total in sums.items()}


@contextmanager
def gated(model: nn.Module) -> Iterator[Gates]:
    """While open, every attention multiplies z (B, H, T, M) by gates (B, H, 1, 1) of 1, which are kept by name."""
    gates: Gates = {}

    def keeper(name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]:
        def keep(_: nn.Module, given: tuple[Any, ...], mixed: Tensor) -> Tensor:
            gate = torch.ones(*mixed.shape[:2], 1, 1, dtype=mixed.dtype, device=mixed.device, requires_grad=True)
            gates.setdefault(name, []).append(gate)
            return mixed * gate

        return keep

    with ExitStack() as stack:
        stack.enter_context(uncompiled())
        for name, seam in seams(network_of(model)).items():
            stack.callback(seam.step.register_forward_hook(keeper(name)).remove)
        yield gates
