"""Blocks and the whole encoder–decoder against ``torch.nn`` with the same weights: outputs and every gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain

import pytest
import torch
from torch import Tensor, nn

from clearhead.layers.block import BlockSizes, DecoderBlock, EncoderBlock
from clearhead.mechanism.masks import as_mask, causal
from clearhead.mechanism.multihead import HeadSizes
from clearhead.models.config import ModelConfig
from clearhead.models.encoder_decoder import EncoderDecoder

from .torch_weights import (
    Pair,
    compare_cross_gradients,
    compare_gradients,
    copy,
    decoder_pairs,
    encoder_pairs,
    norm_pairs,
    randomise,
)

B, T, S, HEADS, WIDTH, HIDDEN = 3, 5, 7, 3, 33, 41
EPSILON = 1e-3  # large, so that a wrong one shows
REAL = torch.tensor([[True] * 7, [True] * 4 + [False] * 3, [True] + [False] * 6])
AHEAD = ~torch.ones(T, T, dtype=torch.bool).tril()
STYLES = [(order, activation) for order in ("pre", "post") for activation in ("relu", "gelu")]
TIGHT = {"rtol": 0, "atol": 1e-11}


def sizes(order: str, activation: str) -> BlockSizes:
    return BlockSizes(HeadSizes(WIDTH, HEADS, HEADS, 11, 11), HIDDEN, activation, order, EPSILON, 0.0, 0.0, 0.0)


def torch_layer(kind: type[nn.Module], order: str, activation: str) -> nn.Module:
    return kind(
        WIDTH, HEADS, HIDDEN, dropout=0.0, activation=activation, layer_norm_eps=EPSILON, batch_first=True,
        norm_first=order == "pre", dtype=torch.float64,
    )  # fmt: skip


def states(*shape: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    return x, x.detach().clone().requires_grad_()


def backward_both(ours: Tensor, theirs: Tensor) -> None:
    direction = torch.randn_like(ours)
    (ours * direction).sum().backward()
    (theirs * direction).sum().backward()


@pytest.mark.parametrize(("order", "activation"), STYLES)
@pytest.mark.parametrize("padded", [False, True])
def test_encoder_block(order: str, activation: str, padded: bool) -> None:
    ours = EncoderBlock(sizes(order, activation)).double()
    theirs = torch_layer(nn.TransformerEncoderLayer, order, activation)
    randomise(ours)
    copy(encoder_pairs(ours, theirs), theirs)
    x, y = states(B, S, WIDTH)
    output = ours(x, as_mask(REAL[:, None, None]) if padded else None)
    wanted = theirs(y, src_key_padding_mask=~REAL if padded else None)
    torch.testing.assert_close(output, wanted, **TIGHT)
    backward_both(output, wanted)
    torch.testing.assert_close(x.grad, y.grad, **TIGHT)
    compare_gradients(ours, encoder_pairs(ours, theirs))


@pytest.mark.parametrize(("order", "activation"), STYLES)
@pytest.mark.parametrize("padded", [False, True])
def test_decoder_block(order: str, activation: str, padded: bool) -> None:
    ours = DecoderBlock(sizes(order, activation)).double()
    theirs = torch_layer(nn.TransformerDecoderLayer, order, activation)
    randomise(ours)
    copy(decoder_pairs(ours, theirs), theirs)
    (x, y), (memory, other) = states(B, T, WIDTH), states(B, S, WIDTH)
    output = ours(x, causal(), ours.cross_attention.project(memory), as_mask(REAL[:, None, None]) if padded else None)
    wanted = theirs(y, other, tgt_mask=AHEAD, memory_key_padding_mask=~REAL if padded else None)
    torch.testing.assert_close(output, wanted, **TIGHT)
    backward_both(output, wanted)
    torch.testing.assert_close(x.grad, y.grad, **TIGHT)
    torch.testing.assert_close(memory.grad, other.grad, **TIGHT)
    compare_gradients(ours, decoder_pairs(ours, theirs))
    compare_cross_gradients(ours.cross_attention, theirs.multihead_attn)


class Torchs(nn.Module):
    """``torch.nn.Transformer`` with embeddings, positions and output matrix written out by the paper."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        encoder = torch_layer(nn.TransformerEncoderLayer, config.norm_order, config.activation)
        decoder = torch_layer(nn.TransformerDecoderLayer, config.norm_order, config.activation)
        norms = [nn.LayerNorm(WIDTH, EPSILON, dtype=torch.float64) for _ in range(2)]
        final = norms if config.norm_order == "pre" else [None, None]
        self.transformer = nn.Transformer(
            WIDTH, HEADS, batch_first=True, dtype=torch.float64,
            custom_encoder=nn.TransformerEncoder(encoder, config.encoder_layers, final[0], enable_nested_tensor=False),
            custom_decoder=nn.TransformerDecoder(decoder, config.decoder_layers, final[1]),
        )  # fmt: skip
        self.source = nn.Parameter(torch.empty(config.source_vocabulary, WIDTH, dtype=torch.float64))
        self.target = nn.Parameter(torch.empty(config.target_vocabulary, WIDTH, dtype=torch.float64))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        mixed = self.transformer(
            self.embed(self.source, source), self.embed(self.target, target),
            tgt_mask=AHEAD, src_key_padding_mask=~REAL, memory_key_padding_mask=~REAL,
        )  # fmt: skip
        return mixed @ self.target.t()

    def embed(self, matrix: Tensor, ids: Tensor) -> Tensor:
        return matrix[ids] * math.sqrt(WIDTH) + positions(ids.shape[1])


def positions(count: int) -> Tensor:
    """Section 3.5, number by number."""
    table = torch.zeros(count, WIDTH, dtype=torch.float64)
    for position in range(count):
        for column in range(WIDTH):
            angle = position / 10000 ** (2 * (column // 2) / WIDTH)
            table[position, column] = math.sin(angle) if column % 2 == 0 else math.cos(angle)
    return table


def pairs(ours: EncoderDecoder, theirs: Torchs) -> Iterator[Pair]:
    encoder, decoder = theirs.transformer.encoder, theirs.transformer.decoder
    for index, (block, layer) in enumerate(zip(ours.encoder.blocks, encoder.layers, strict=True)):
        yield from encoder_pairs(block, layer, f"encoder.{index}")
    for index, (block, layer) in enumerate(zip(ours.decoder.blocks, decoder.layers, strict=True)):
        yield from decoder_pairs(block, layer, f"decoder.{index}")
    if encoder.norm is not None:
        yield from chain(norm_pairs(ours.encoder.norm, encoder.norm, "encoder.norm"))
        yield from chain(norm_pairs(ours.decoder.norm, decoder.norm, "decoder.norm"))
    yield "source embedding", ours.encoder.embedding.tokens.weight, theirs.source
    yield "target embedding and output", ours.output_weight, theirs.target


@pytest.mark.parametrize(("order", "activation"), STYLES)
def test_the_whole_model(order: str, activation: str) -> None:
    config = ModelConfig(
        width=WIDTH, heads=HEADS, feedforward=HIDDEN, encoder_layers=2, decoder_layers=3, norm_order=order,
        activation=activation, norm_epsilon=EPSILON, dropout=0.0, tie="target", source_vocabulary=23,
        target_vocabulary=29, max_positions=17,
    )  # fmt: skip
    ours, theirs = EncoderDecoder(config).double(), Torchs(config)
    # The table was made in float32 and only then widened; here the comparison goes to the last digits.
    for side in (ours.encoder, ours.decoder):
        side.embedding.positions.table = positions(config.max_positions)
    randomise(ours)
    copy(pairs(ours, theirs), theirs)
    source, target = torch.randint(23, (B, S)), torch.randint(29, (B, T))
    logits, wanted = ours.logits(source, target, mask=REAL), theirs(source, target)
    torch.testing.assert_close(logits, wanted, rtol=0, atol=1e-9)
    backward_both(logits, wanted)
    compare_gradients(ours, pairs(ours, theirs), tolerance=1e-7)
    for block, layer in zip(ours.decoder.blocks, theirs.transformer.decoder.layers, strict=True):
        compare_cross_gradients(block.cross_attention, layer.multihead_attn, tolerance=1e-7)
