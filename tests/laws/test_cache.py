"""Cached = uncached: a token at a time through the cache gives the logits of the whole prefix at once.

The hypotheses are reordered, multiplied and dropped at random on the way, and each is checked by its prefix run anew.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from clearhead.mechanism.cache import KeyValueCache
from clearhead.models.encoder_decoder import DecodingState, EncoderDecoder

from .models import DEVICES, VARIANTS, ids, model, real

LENGTHS = (7, 4, 1, 5)


class Replay:
    """A decoding state beside the prefixes (B, K, t) it stands for."""

    def __init__(self, network: EncoderDecoder, beam: int, max_length: int = 9, device: str = "cpu") -> None:
        self.network = network
        self.source, self.mask = ids(len(LENGTHS), 7).to(device), real(*LENGTHS).to(device)
        self.state: DecodingState = network.begin(self.source, self.mask, beam=beam, max_length=max_length)
        self.prefixes = torch.empty(len(LENGTHS), beam, 0, dtype=torch.int64, device=device)

    def feed(self) -> Tensor:
        """One random token each; the cached logits."""
        sentences, beam, _ = self.prefixes.shape
        tokens = ids(sentences, beam).to(self.prefixes.device)
        self.prefixes = torch.cat((self.prefixes, tokens[..., None]), dim=2)
        return self.network.advance(tokens, self.state)

    def anew(self) -> Tensor:
        """The same logits without a cache: each prefix with its source, from the beginning."""
        sentences, beam, _ = self.prefixes.shape
        source, mask = (x.repeat_interleave(beam, 0) for x in (self.source, self.mask))
        logits = self.network.logits(source, self.prefixes.flatten(0, 1), mask=mask)[:, -1]
        return logits.view(sentences, beam, -1)

    def reorder(self, parents: Tensor) -> None:
        self.state.reorder(parents)
        self.prefixes = self.prefixes.gather(1, parents[..., None].expand(-1, -1, self.prefixes.shape[2]))

    def keep(self, sentences: Tensor) -> None:
        self.state.keep(sentences)
        self.source, self.mask, self.prefixes = (x[sentences] for x in (self.source, self.mask, self.prefixes))

    def check(self, tolerance: float) -> None:
        cached, anew = self.feed(), self.anew()
        assert cached.shape == anew.shape
        assert (cached - anew).abs().max() <= tolerance
        assert self.state.length == self.prefixes.shape[2]
        assert self.state.beam == self.prefixes.shape[1]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_reordered_at_random_and_kept_at_random(variant: str, device: str) -> None:
    replay = Replay(model(variant).double().to(device), beam=3, device=device)
    for _ in range(3):
        replay.check(1e-11)
        replay.reorder(torch.randint(3, (4, 3), device=device))
    replay.keep(torch.tensor([3, 0, 1], device=device))  # one gone, the others in another order
    for _ in range(2):
        replay.check(1e-11)
        replay.reorder(torch.randint(3, (3, 3), device=device))
    replay.keep(torch.tensor([2], device=device))
    replay.check(1e-11)


@torch.no_grad()
def test_one_hypothesis_may_become_several_and_several_fewer() -> None:
    replay = Replay(model().double(), beam=1)
    replay.check(1e-11)
    replay.reorder(torch.zeros(4, 5, dtype=torch.int64))
    replay.check(1e-11)
    replay.reorder(torch.randint(5, (4, 2)))
    replay.check(1e-11)


@torch.no_grad()
def test_more_tokens_than_were_announced() -> None:
    replay = Replay(model("grouped").double(), beam=2, max_length=1)
    for _ in range(7):
        replay.check(1e-11)
        replay.reorder(torch.randint(2, (4, 2)))
    assert replay.state.cache.capacity >= 7


@torch.no_grad()
def test_a_hundred_tokens_in_float32() -> None:
    """Past the first buffer of 64 positions."""
    replay = Replay(model(), beam=1, max_length=100)
    for step in range(100):
        cached = replay.feed()
        if step in (0, 62, 63, 64, 65, 99):
            assert (cached - replay.anew()).abs().max() <= 2e-5


@pytest.mark.parametrize("device", DEVICES)
@torch.no_grad()
def test_bfloat16_model_and_autocast(device: str) -> None:
    for automatic in (False, True):
        network = model().to(device)
        network = network if automatic else network.bfloat16()
        with torch.autocast(device, torch.bfloat16, enabled=automatic):
            replay = Replay(network, beam=2, device=device)
            for _ in range(4):
                cached, anew = replay.feed().float(), replay.anew().float()
                assert (cached - anew).abs().max() <= 0.05 * anew.abs().max()
                replay.reorder(torch.randint(2, (4, 2), device=device))


def test_inference_mode_from_beginning_to_end() -> None:
    with torch.inference_mode():
        replay = Replay(model(), beam=2)
        replay.check(2e-5)
        replay.reorder(torch.tensor([[1, 0]] * 4))
        replay.check(2e-5)


@torch.no_grad()
def test_the_source_is_projected_once() -> None:
    network = model()
    calls: list[int] = []
    for block in network.decoder.blocks:
        block.cross_attention.key_value.register_forward_hook(lambda *_: calls.append(1))
    replay = Replay(network, beam=2)
    for _ in range(5):
        replay.feed()
    assert len(calls) == len(network.decoder.blocks)


@torch.no_grad()
def test_the_memory_is_not_copied_per_hypothesis() -> None:
    replay = Replay(model(), beam=5)
    assert all(k.shape[0] == v.shape[0] == len(LENGTHS) for k, v in replay.state.memory)


class TestBuffers:
    """The cache by itself: what is written is read back, in every order and after every growth."""

    def filled(self, rows: int, positions: int, capacity: int) -> tuple[KeyValueCache, Tensor, Tensor]:
        cache = KeyValueCache(*(torch.full((2, rows, 3, capacity, width), torch.nan) for width in (5, 7)))
        keys, values = torch.randn(2, rows, 3, positions, 5), torch.randn(2, rows, 3, positions, 7)
        for position in range(positions):
            cache.reserve(1)
            for layer in range(2):
                at = slice(position, position + 1)
                k, v = cache.layer(layer).append(keys[layer, :, :, at], values[layer, :, :, at])
                assert torch.equal(k, keys[layer, :, :, : position + 1])
                assert torch.equal(v, values[layer, :, :, : position + 1])
            cache.length += 1
        return cache, keys, values

    def test_growing_keeps_what_is_there_and_doubles(self) -> None:
        cache, keys, values = self.filled(2, 9, capacity=2)
        assert cache.capacity == 16
        assert torch.equal(cache.keys[:, :, :, :9], keys)
        assert torch.equal(cache.values[:, :, :, :9], values)

    def test_several_positions_at_once(self) -> None:
        cache, keys, values = self.filled(2, 3, capacity=3)
        cache.reserve(4)
        more_keys, more_values = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 7)
        k, v = cache.layer(1).append(more_keys, more_values)
        assert torch.equal(k, torch.cat((keys[1], more_keys), dim=2))
        assert torch.equal(v, torch.cat((values[1], more_values), dim=2))

    def test_taking_rows(self) -> None:
        cache, keys, values = self.filled(4, 3, capacity=8)
        rows = torch.tensor([3, 3, 0, 1, 2])
        cache.take(rows)
        assert cache.capacity == 8
        assert torch.equal(cache.keys[:, :, :, :3], keys[:, rows])
        assert torch.equal(cache.values[:, :, :, :3], values[:, rows])
