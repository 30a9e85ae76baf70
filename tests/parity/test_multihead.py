"""Multi-head attention against ``torch.nn.MultiheadAttention`` with the same weights, and against its own equation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from clearhead.mechanism import textbook
from clearhead.mechanism.masks import as_mask, causal
from clearhead.mechanism.multihead import CrossAttention, HeadSizes, SelfAttention, value_up

from .torch_weights import (
    compare_cross_gradients,
    compare_gradients,
    copy,
    cross_attention_pairs,
    randomise,
    self_attention_pairs,
)

B, T, S, HEADS, WIDTH = 3, 5, 7, 3, 33
SIZES = HeadSizes(WIDTH, HEADS, HEADS, 11, 11)
PADDING = torch.tensor([[True] * 7, [True] * 4 + [False] * 3, [True] + [False] * 6])  # real tokens (B, S)
TIGHT = {"rtol": 0, "atol": 1e-12}


def pair(kind: type[nn.Module]) -> tuple[nn.Module, nn.MultiheadAttention]:
    ours = kind(SIZES).double()
    theirs = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, dtype=torch.float64)
    randomise(ours)
    return ours, theirs


def inputs(*shapes: tuple[int, ...]) -> list[Tensor]:
    return [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("masking", ["none", "causal", "padding", "causal and padding"])
def test_self_attention(masking: str) -> None:
    ours, theirs = pair(SelfAttention)
    copy(self_attention_pairs(ours, theirs), theirs)
    (x,) = inputs((B, S, WIDTH))
    y = x.detach().clone().requires_grad_()
    padding = as_mask(PADDING[:, None, None])
    mask = {"none": None, "causal": causal(), "padding": padding, "causal and padding": causal() & padding}[masking]
    output = ours(x, mask)
    wanted, _ = theirs(
        y, y, y,
        attn_mask=~torch.ones(S, S, dtype=torch.bool).tril() if "causal" in masking else None,
        key_padding_mask=~PADDING if "padding" in masking else None,
        need_weights=False,
    )  # fmt: skip
    torch.testing.assert_close(output, wanted, **TIGHT)
    direction = torch.randn_like(output)
    (output * direction).sum().backward()
    (wanted * direction).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, **TIGHT)
    compare_gradients(ours, self_attention_pairs(ours, theirs))


@pytest.mark.parametrize("padded", [False, True])
def test_cross_attention(padded: bool) -> None:
    ours, theirs = pair(CrossAttention)
    copy(cross_attention_pairs(ours, theirs), theirs)
    x, memory = inputs((B, T, WIDTH), (B, S, WIDTH))
    y, other = (z.detach().clone().requires_grad_() for z in (x, memory))
    output = ours(x, ours.project(memory), as_mask(PADDING[:, None, None]) if padded else None)
    wanted, _ = theirs(y, other, other, key_padding_mask=~PADDING if padded else None, need_weights=False)
    torch.testing.assert_close(output, wanted, **TIGHT)
    direction = torch.randn_like(output)
    (output * direction).sum().backward()
    (wanted * direction).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, **TIGHT)
    torch.testing.assert_close(memory.grad, other.grad, **TIGHT)
    compare_gradients(ours, cross_attention_pairs(ours, theirs))
    compare_cross_gradients(ours, theirs)


def test_grouped_heads_are_heads_with_repeated_keys_and_values() -> None:
    """Six query heads over two key heads equal six over six whose projections are copies."""
    grouped = SelfAttention(HeadSizes(WIDTH, 6, 2, 5, 7)).double()
    full = SelfAttention(HeadSizes(WIDTH, 6, 6, 5, 7)).double()
    randomise(grouped)
    queries, keys, values = grouped.query_key_value.weight.split(grouped.sizes.projected)
    biases = grouped.query_key_value.bias.split(grouped.sizes.projected)
    with torch.no_grad():
        parts = [queries, *(x.unflatten(0, (2, -1)).repeat_interleave(3, 0).flatten(0, 1) for x in (keys, values))]
        full.query_key_value.weight.copy_(torch.cat(parts))
        parts = [biases[0], *(x.unflatten(0, (2, -1)).repeat_interleave(3, 0).flatten() for x in biases[1:])]
        full.query_key_value.bias.copy_(torch.cat(parts))
        full.output.load_state_dict(grouped.output.state_dict())
    (x,) = inputs((B, S, WIDTH))
    torch.testing.assert_close(grouped(x, causal()), full(x, causal()), **TIGHT)


def head_by_head(ours: SelfAttention, x: Tensor) -> Tensor:
    """Section 3.2.2 read aloud: one projection, one attention, one output matrix a head, and the sum."""
    sizes, weight, bias = ours.sizes, ours.query_key_value.weight, ours.query_key_value.bias
    starts = (0, sizes.projected[0], sizes.projected[0] + sizes.projected[1])
    total = ours.output.bias.expand(*x.shape[:2], -1)
    for head in range(sizes.heads):
        group = head // (sizes.heads // sizes.groups)
        places = zip(starts, (head, group, group), (sizes.key, sizes.key, sizes.value), strict=True)
        rows = [slice(start + index * width, start + (index + 1) * width) for start, index, width in places]
        q, k, v = ((x @ weight[row].t() + bias[row])[:, None] for row in rows)
        mixed = textbook.attention(q, k, v, mask=causal())[:, 0]
        total = total + mixed @ ours.output.weight[:, head * sizes.value : (head + 1) * sizes.value].t()
    return total


@pytest.mark.parametrize("sizes", [SIZES, HeadSizes(19, 6, 3, 5, 7), HeadSizes(13, 2, 1, 7, 3)], ids=str)
def test_the_module_is_its_equation_head_by_head(sizes: HeadSizes) -> None:
    ours = SelfAttention(sizes).double()
    randomise(ours)
    (x,) = inputs((B, T, sizes.width))
    torch.testing.assert_close(ours(x, causal()), head_by_head(ours, x), **TIGHT)


@pytest.mark.parametrize("sizes", [SIZES, HeadSizes(19, 6, 3, 5, 7)], ids=str)
def test_the_heads_additions_sum_to_the_output(sizes: HeadSizes) -> None:
    """W_o cut by head is the stack of the heads' value-up matrices (mechanisms, row 8)."""
    ours = SelfAttention(sizes).double()
    randomise(ours)
    heads: list[Tensor] = []
    ours.step.register_forward_hook(lambda module, given, mixed: heads.append(mixed))  # the seam, hooked from outside
    (x,) = inputs((B, T, sizes.width))
    output = ours(x)
    stack = value_up(ours.output, sizes.heads)
    assert stack.shape == (sizes.heads, sizes.value, sizes.width)
    additions = torch.einsum("bhtm,hmw->bhtw", heads[0], stack)
    torch.testing.assert_close(additions.sum(1) + ours.output.bias, output, **TIGHT)


def test_attention_dropout_acts_in_training_only() -> None:
    ours = SelfAttention(SIZES, dropout=0.5).double()
    (x,) = inputs((B, T, WIDTH))
    assert not torch.equal(ours(x), ours(x))
    ours.eval()
    assert torch.equal(ours(x), ours(x))
