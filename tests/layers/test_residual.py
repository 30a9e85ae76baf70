"""Add & Norm in both orders and the feed-forward network, each against its formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from clearhead.layers.feedforward import ACTIVATIONS, GATES, FeedForward, GatedFeedForward, feedforward
from clearhead.layers.norm import NORMS
from clearhead.layers.residual import AROUND

WIDTH, HIDDEN = 7, 13


def normalise(x: Tensor, epsilon: float) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    variance = (x - mean).square().mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + epsilon)


def test_both_orders() -> None:
    x, epsilon = torch.randn(3, 5, WIDTH, dtype=torch.float64), 1e-3
    pre, post = (AROUND[order](WIDTH, epsilon, 0.0).double() for order in ("pre", "post"))
    torch.testing.assert_close(pre(x, torch.sin), x + torch.sin(normalise(x, epsilon)))
    torch.testing.assert_close(post(x, torch.sin), normalise(x + torch.sin(x), epsilon))


@pytest.mark.parametrize("order", AROUND)
def test_dropout_acts_on_the_sublayer_only(order: str) -> None:
    block = AROUND[order](WIDTH, 1e-6, 0.999)
    x = torch.randn(3, 5, WIDTH)
    branch = [torch.full_like(x, 1.0)]
    out = block(x, lambda y: branch[0])
    untouched = x if order == "pre" else normalise(x, 1e-6)
    assert ((out - untouched).abs() < 1e-5).double().mean() > 0.5
    block.eval()
    right = x + 1 if order == "pre" else normalise(x + 1, 1e-6)
    torch.testing.assert_close(block(x, lambda y: branch[0]), right, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("activation", "formula"),
    [
        ("relu", lambda z: z.clamp(min=0)),
        ("gelu", lambda z: z * 0.5 * (1 + torch.erf(z / 2**0.5))),
        ("gelu_tanh", lambda z: z * 0.5 * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (z + 0.044715 * z**3)))),
        ("silu", lambda z: z / (1 + torch.exp(-z))),
    ],
)
def test_feed_forward(activation: str, formula) -> None:
    network = FeedForward(WIDTH, HIDDEN, activation, 0.0).double()
    x = torch.randn(3, 5, WIDTH, dtype=torch.float64)
    into, out = network.into, network.out
    wanted = formula(x @ into.weight.t() + into.bias) @ out.weight.t() + out.bias
    torch.testing.assert_close(network(x), wanted)
    assert set(ACTIVATIONS) == {"relu", "gelu", "gelu_tanh", "silu"}


@pytest.mark.parametrize(("gate", "activation"), list(zip(GATES, ACTIVATIONS, strict=True)))
def test_gated_feed_forward(gate: str, activation: str) -> None:
    """Equation 6 of arXiv 2002.05202: the activated half multiplies the other."""
    network = feedforward(WIDTH, HIDDEN, gate, 0.0).double()
    assert isinstance(network, GatedFeedForward)
    x = torch.randn(3, 5, WIDTH, dtype=torch.float64)
    weights, biases = network.gate_into.weight.split(HIDDEN), network.gate_into.bias.split(HIDDEN)
    gates, into = (x @ weight.t() + bias for weight, bias in zip(weights, biases, strict=True))
    wanted = (ACTIVATIONS[activation](gates) * into) @ network.out.weight.t() + network.out.bias
    torch.testing.assert_close(network(x), wanted)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("order", AROUND)
def test_every_norm_in_both_orders(order: str, norm: str) -> None:
    x, real = torch.randn(3, 5, WIDTH), torch.arange(5) < torch.tensor([[5], [3], [1]])
    block, alone = AROUND[order](WIDTH, 1e-3, 0.0, norm), NORMS[norm](WIDTH, 1e-3)
    wanted = x + torch.sin(alone(x, real)) if order == "pre" else alone(x + torch.sin(x), real)
    torch.testing.assert_close(block(x, torch.sin, real), wanted)


def test_feed_forward_dropout_stands_between_its_two_maps() -> None:
    network = FeedForward(WIDTH, HIDDEN, "relu", 0.5)
    seen: list[Tensor] = []
    network.out.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    network(torch.randn(50, WIDTH))
    network.eval()(torch.randn(50, WIDTH))
    dropping, keeping = (float((x == 0).double().mean()) for x in seen)
    assert dropping > keeping + 0.15
