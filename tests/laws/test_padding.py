"""Padding is invisible: a sentence alone, padded, or in any batch has the same states and logits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from .models import PAD, VARIANTS, ids, model, real

ALONE = 1e-5


def padded(rows: list[Tensor], width: int = 0) -> tuple[Tensor, Tensor]:
    """Sentences (n,) as one batch (B, S) and its mask."""
    longest = max(width, *(len(row) for row in rows))
    batch, mask = torch.full((len(rows), longest), PAD), torch.zeros(len(rows), longest, dtype=torch.bool)
    for index, row in enumerate(rows):
        batch[index, : len(row)] = row
        mask[index, : len(row)] = True
    return batch, mask


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("trains", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_more_padding_changes_nothing(variant: str, trains: bool) -> None:
    network, source, target = model(variant), ids(2, 7), ids(2, 5)
    with torch.set_grad_enabled(trains):
        states, logits = network.states(source), network.logits(source, target)
        for more in (1, 5, 97):
            wider, mask = padded(list(source), 7 + more)
            wide_target, _ = padded(list(target), 5 + more)
            torch.testing.assert_close(network.states(wider, mask=mask)[:, :7], states, rtol=0, atol=ALONE)
            got = network.logits(wider, wide_target, mask=mask)[:, :5]
            torch.testing.assert_close(got, logits, rtol=0, atol=ALONE)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("variant", VARIANTS)
def test_what_stands_in_the_padding_does_not_matter_by_a_bit(variant: str) -> None:
    network, source, target, mask = model(variant), ids(3, 7), ids(3, 5), real(7, 4, 1)
    other = torch.where(mask, source, ids(3, 7))
    assert not torch.equal(source, other)
    first, second = (network.logits(x, target, mask=mask) for x in (source, other))
    assert torch.equal(first, second)


@pytest.mark.usefixtures("path")
def test_padding_gets_no_gradient() -> None:
    network, source, mask = model(tie="none"), ids(3, 7), real(7, 4, 1)
    source[~mask] = PAD
    network.logits(source, ids(3, 5), mask=mask).square().sum().backward()
    gradient = network.encoder.embedding.tokens.weight.grad
    assert gradient is not None
    assert (gradient[PAD] == 0).all()
    assert (gradient[source[mask]] != 0).any(-1).all()


def test_a_mask_of_all_real_is_no_mask() -> None:
    network, source, target = model(), ids(3, 7), ids(3, 5)
    everything = torch.ones_like(source, dtype=torch.bool)
    assert torch.equal(network.logits(source, target), network.logits(source, target, mask=everything))


@pytest.mark.usefixtures("path")
def test_a_sentence_of_padding_only_is_finite_and_harms_nobody() -> None:
    network, source, target = model(), ids(3, 7), ids(3, 5)
    mask = real(7, 4, 0)
    logits = network.logits(source, target, mask=mask)
    logits.square().sum().backward()
    assert torch.isfinite(logits).all()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    pair = network.logits(source[:2], target[:2], mask=mask[:2])
    torch.testing.assert_close(logits[:2], pair, rtol=0, atol=ALONE)


def test_a_thousand_sentences_alone_and_in_random_batches() -> None:
    """Row 32 of the reliability list: the same best token everywhere, logits within 1e-5 in float32."""
    network = model(encoder_layers=1, decoder_layers=1)
    sources = [ids(1, int(n))[0] for n in torch.randint(1, 19, (1000,))]
    targets = [ids(1, int(n))[0] for n in torch.randint(1, 13, (1000,))]
    with torch.no_grad():
        alone = [network.logits(s[None], t[None])[0] for s, t in zip(sources, targets, strict=True)]
        for chosen in torch.randperm(1000).split(37):
            source, mask = padded([sources[i] for i in chosen])
            target, _ = padded([targets[i] for i in chosen])
            together = network.logits(source, target, mask=mask)
            for row, index in enumerate(chosen.tolist()):
                logits, right = together[row, : len(targets[index])], alone[index]
                assert (logits - right).abs().max() <= ALONE
                assert torch.equal(logits.argmax(-1), right.argmax(-1))
