"""Score × normaliser × positions × norm × activation × sight × heads × architecture: every pair of options somewhere.

Each model learns a few steps with falling loss and finite gradients; then, in float64: cached = uncached, the future
changes nothing, padding is invisible, and without positions the order of the input means nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearhead.mechanism import paths
from clearhead.models.build import build_model
from clearhead.models.config import Activation, Architecture, ModelConfig, Norm, Normalizer, Positions, Score

from .models import ids, real

WORDS, CLASSES, S, T = 31, 5, 7, 6
LENGTHS = (7, 4, 2)
STEPS = 8
TIGHT = {"rtol": 1e-9, "atol": 1e-9}  # without norms a stream may be large

Options = tuple[dict[str, Any], ...]
AXES: dict[str, Options] = {
    "architecture": tuple({"architecture": name} for name in get_args(Architecture)),
    "score": tuple({"score": name} for name in get_args(Score)),
    "normalizer": tuple({"normalizer": name} for name in get_args(Normalizer)),
    "positions": tuple({"positions": name} for name in get_args(Positions)),
    "norm": tuple({"norm": name, "norm_order": order} for name in get_args(Norm) for order in ("pre", "post"))[:-1],
    "activation": tuple({"activation": name} for name in get_args(Activation)),
    "sight": ({}, {"window": 2}, {"mask_self": True}, {"window": 1, "mask_self": True}),
    "heads": ({}, {"key_value_heads": 1}, {"key_width": 4, "value_width": 5}),
}


def pairs_of(row: tuple[int, ...]) -> set[tuple[tuple[int, int], tuple[int, int]]]:
    """Which options of which two axes meet in a row."""
    return set(combinations(enumerate(row), 2))


def covering() -> list[tuple[int, ...]]:
    """Rows, one option of every axis each, in which every two options of different axes meet at least once."""
    sizes, random = [len(options) for options in AXES.values()], Random(0)
    missing = {
        ((a, i), (b, j))
        for a, b in combinations(range(len(sizes)), 2)
        for i in range(sizes[a])
        for j in range(sizes[b])
    }
    rows: list[tuple[int, ...]] = []
    while missing:
        wanted = min(missing)
        candidates = []
        for _ in range(60):
            row = [random.randrange(size) for size in sizes]
            for axis, option in wanted:
                row[axis] = option
            candidates.append(tuple(row))
        best = max(candidates, key=lambda row: len(pairs_of(row) & missing))
        missing -= pairs_of(best)
        rows.append(best)
    return rows


def changes(row: tuple[int, ...]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for options, choice in zip(AXES.values(), row, strict=True):
        merged |= options[choice]
    return merged


LSTMS: list[dict[str, Any]] = [{"body": "lstm", "architecture": name} for name in get_args(Architecture)]
ALL = [*(changes(row) for row in covering()), *LSTMS]


def named(options: dict[str, Any]) -> str:
    return "-".join(str(value) for value in options.values())


def model(options: dict[str, Any]) -> nn.Module:
    config = ModelConfig(
        width=12, heads=2, feedforward=13, encoder_layers=1, decoder_layers=2, max_positions=23, dropout=0.0,
        source_vocabulary=WORDS, target_vocabulary=WORDS, classes=CLASSES, **options,
    )  # fmt: skip
    return build_model(config, seed=1).double()


@dataclass(frozen=True)
class Kind:
    """How an architecture is fed: its logits for (source, target, mask), what they should be, and what is causal."""

    logits: Callable[[Any, Tensor, Tensor, Tensor], Tensor]
    classes: int
    causal: bool


KINDS = {
    "encoder-decoder": Kind(lambda m, source, target, mask: m.logits(source, target, mask=mask), WORDS, causal=True),
    "encoder": Kind(lambda m, source, target, mask: m.logits(source, mask=mask), CLASSES, causal=False),
    "decoder": Kind(lambda m, source, target, mask: m.logits(target), WORDS, causal=True),
}


def learn(network: nn.Module, kind: Kind) -> tuple[float, float]:
    """The loss on one batch before and after a few steps."""
    source, target, mask = ids(3, S), ids(3, T), real(*LENGTHS)
    wanted = torch.randint(kind.classes, kind.logits(network, source, target, mask).shape[:2])
    optimizer, losses = torch.optim.Adam(network.parameters(), lr=3e-3), []
    for _ in range(STEPS):
        loss = F.cross_entropy(kind.logits(network, source, target, mask).flatten(0, 1), wanted.flatten())
        optimizer.zero_grad()
        loss.backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


def test_every_two_options_meet() -> None:
    met = set().union(*(pairs_of(row) for row in covering()))
    sizes = [len(options) for options in AXES.values()]
    assert len(met) == sum(a * b for a, b in combinations(sizes, 2))


@pytest.mark.parametrize("options", ALL, ids=named)
def test_it_learns_and_keeps_the_laws(options: dict[str, Any]) -> None:
    network, kind = model(options), KINDS[options["architecture"]]
    before, after = learn(network.train(), kind)
    assert after < before
    network.eval()
    with torch.no_grad():
        _padding_is_invisible(network, kind)
        if kind.causal:
            _the_future_changes_nothing(network, kind)
            _cached_is_uncached(network, kind)
        if not kind.causal and options.get("positions") == "none" and "window" not in options:
            order = torch.randperm(S)
            source = ids(2, S)
            torch.testing.assert_close(network.logits(source[:, order]), network.logits(source)[:, order], **TIGHT)


def _padding_is_invisible(network: nn.Module, kind: Kind) -> None:
    source, target, mask = ids(3, S), ids(3, T), real(*LENGTHS)
    together = kind.logits(network, source, target, mask)
    other = kind.logits(network, torch.where(mask, source, ids(3, S)), target, mask)
    for row, length in enumerate(LENGTHS):
        alone = kind.logits(
            network, source[row : row + 1, :length], target[row : row + 1], mask[row : row + 1, :length]
        )
        told = slice(None) if kind.causal else slice(length)
        torch.testing.assert_close(together[row, told], alone[0], **TIGHT)
        assert torch.equal(together[row, told], other[row, told])


def _the_future_changes_nothing(network: nn.Module, kind: Kind) -> None:
    source, target, mask = ids(2, S), ids(2, T), real(S, 3)
    changed = target.clone()
    changed[:, 3] = (changed[:, 3] - 4 + 5) % 27 + 4
    first, second = (kind.logits(network, source, x, mask) for x in (target, changed))
    torch.testing.assert_close(first[:, :3], second[:, :3], **TIGHT)


def _cached_is_uncached(network: Any, kind: Kind) -> None:
    """Two hypotheses a sentence, which change places on the way; a language model has read a prompt before."""
    reads = kind.logits is KINDS["encoder-decoder"].logits
    source, mask, prefix = ids(2, S), real(S, 3), torch.empty(2, 2, 0, dtype=torch.int64)
    if not reads:
        mask = torch.ones_like(source, dtype=torch.bool)
        prefix = source[:, None].expand(2, 2, S)
    state = network.begin(source, mask, beam=2, max_length=T)
    for _ in range(4):
        tokens = ids(2, 2)
        prefix = torch.cat((prefix, tokens[..., None]), dim=2)
        cached = network.advance(tokens, state)
        twice_source, twice_mask = (x.repeat_interleave(2, 0) for x in (source, mask))
        anew = kind.logits(network, twice_source, prefix.flatten(0, 1), twice_mask)[:, -1]
        torch.testing.assert_close(cached, anew.view(2, 2, -1), **TIGHT)
        parents = torch.randint(2, (2, 2))
        state.reorder(parents)
        prefix = prefix.gather(1, parents[..., None].expand_as(prefix))


@pytest.mark.parametrize("way", [paths.products, paths.streamed], ids=lambda way: way.__name__)
@pytest.mark.parametrize("positions", get_args(Positions))
def test_positions_on_other_paths(positions: str, way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Biases and turned keys are the same by products and in blocks as on the path that is chosen."""
    network, kind = model({"architecture": "encoder-decoder", "positions": positions}).eval(), KINDS["encoder-decoder"]
    source, target, mask = ids(3, S), ids(3, T), real(*LENGTHS)
    wanted = kind.logits(network, source, target, mask)
    monkeypatch.setattr("clearhead.mechanism.multihead.choose", lambda problem: way)
    monkeypatch.setattr(paths, "TILE", 50)
    torch.testing.assert_close(kind.logits(network, source, target, mask), wanted, **TIGHT)
