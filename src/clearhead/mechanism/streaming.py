"""A long computation block by block, each block computed again in the backward pass instead of kept.

    out = concatenation over blocks of compute(rows of q, columns of k and v, rectangle of the bias)

as one step of autograd. Only the operands are remembered, results and gradients are written into buffers made once, and
nothing else outlives a block: thousands of small pieces of a graph between the blocks' large ones would leave holes in
the heap that grow with the number of blocks. Knows nothing of attention but which operand is cut which way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from clearhead.mechanism.masks import Span

Block = tuple[Span, Span]  # rows of queries, columns of keys
Compute = Callable[[Sequence[Tensor], Block], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Blocks that together make up all rows, and what to do in each.

    ``compute`` takes the parts of q (B, H, t, D), k (B, G, s, D), v (B, G, s, M) and of a bias, if there is one, to the
    block's result (B, H, t, M); asked twice it must answer the same. ``learned`` are leaves it knows of besides.
    """

    blocks: Sequence[Block]
    compute: Compute
    learned: Sequence[Tensor] = ()


def stream(plan: Plan, operands: Sequence[Tensor]) -> Tensor:
    """All blocks of q, k, v and perhaps a bias of four dimensions: (B, H, T, M)."""
    if not torch.is_grad_enabled():
        return _forward(plan, operands)
    streamed: Tensor = _Stream.apply(plan, len(operands), *operands, *plan.learned)  # type: ignore[no-untyped-call]
    return streamed


def leaves_behind(compute: Compute, operands: Sequence[Tensor], block: Block) -> list[Tensor]:
    """The leaves besides the operands that ``compute`` uses and that want a gradient.

    Found by computing a block's first row and walking back its graph: a user's callable need not say what it has.
    """
    (first, last), columns = block
    row = ((first, min(first + 1, last)), columns)
    output = compute([part.detach() for part in parts(operands, row)], row)
    found: list[Tensor] = []
    seen, ahead = set(), [output.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if (leaf := getattr(node, "variable", None)) is not None:  # only what accumulates a leaf's gradient has one
            found.append(leaf)
        ahead += [before for before, _ in node.next_functions]
    return found


def rectangle(full: Tensor, block: Block) -> Tensor:
    """A view of the block's part of something broadcastable to (B, H, T, S); dimensions of size 1 stay."""
    rows, columns = block
    full = full if full.shape[2] == 1 else full[:, :, slice(*rows)]
    return full if full.shape[3] == 1 else full[..., slice(*columns)]


def parts(operands: Sequence[Tensor], block: Block) -> list[Tensor]:
    """Views of a block's part of q, k, v and, if there is one, the bias."""
    return [_part(place, operand, block) for place, operand in enumerate(operands)]


def _part(place: int, operand: Tensor, block: Block) -> Tensor:
    if place > 2:
        return rectangle(operand, block)
    return operand[:, :, slice(*block[0 if place == 0 else 1])]


def _forward(plan: Plan, operands: Sequence[Tensor]) -> Tensor:
    first = plan.compute(parts(operands, plan.blocks[0]), plan.blocks[0])
    if len(plan.blocks) == 1:
        return first
    whole = first.new_empty(*operands[0].shape[:3], first.shape[3])
    whole[:, :, slice(*plan.blocks[0][0])] = first
    for block in plan.blocks[1:]:
        whole[:, :, slice(*block[0])] = plan.compute(parts(operands, block), block)
    return whole


class _Stream(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: Plan, count: int, *tensors: Tensor) -> Tensor:
        ctx.plan = plan
        ctx.save_for_backward(*tensors[:count])
        device = tensors[0].device.type
        ctx.autocast = (device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device))
        return _forward(plan, tensors[:count])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        operands = ctx.saved_tensors
        wanted = [*operands, *ctx.plan.learned]
        totals = [_zeros(x) if needed else None for x, needed in zip(wanted, ctx.needs_input_grad[2:], strict=True)]
        device, dtype, enabled = ctx.autocast
        for block in ctx.plan.blocks:
            with torch.enable_grad(), torch.autocast(device, dtype, enabled=enabled):
                _add_gradients(ctx.plan, block, operands, totals, gradient)
        sent = (None if total is None else total.to(x.dtype) for x, total in zip(wanted, totals, strict=True))
        return None, None, *sent


def _zeros(x: Tensor) -> Tensor:
    """What gradients are summed in: float32 at least, since a key gets a part from every block."""
    return torch.zeros(x.shape, dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)


def _add_gradients(
    plan: Plan, block: Block, operands: Sequence[Tensor], totals: Sequence[Tensor | None], gradient: Tensor
) -> None:
    """Compute a block again and add what it sends back to the parts of ``totals`` it concerns."""
    count = len(operands)
    given = [part.detach() for part in parts(operands, block)]
    leaves = [part.requires_grad_(total is not None) for part, total in zip(given, totals[:count], strict=True)]
    result = plan.compute(leaves, block)
    if not result.requires_grad:
        return
    sums = [None if x is None else _part(place, x, block) for place, x in enumerate(totals[:count])]
    asked = zip([*leaves, *plan.learned], [*sums, *totals[count:]], strict=True)
    pairs = [(x, total) for x, total in asked if total is not None]
    sent = torch.autograd.grad(
        result,
        [x for x, _ in pairs],
        gradient[:, :, slice(*block[0])],
        retain_graph=bool(plan.learned),  # a user's own callable may hang on a graph that the other blocks need, too
        allow_unused=True,
    )
    for (_, total), part in zip(pairs, sent, strict=True):
        if part is not None:
            total += part
