"""The LSTM translator by its equations, its laws, and that it can be searched and looked into like a Transformer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from clearhead.generation.batches import generate
from clearhead.generation.settings import DecodingSettings
from clearhead.inspection.capture import capture
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.models.recurrent_encoder_decoder import RecurrentEncoderDecoder
from clearhead.text.tokenizer import END, PAD, START

WORDS, WIDTH, S, T = 31, 12, 7, 5
REAL = torch.arange(S) < torch.tensor([[7], [4], [1]])
TIGHT = {"rtol": 0, "atol": 1e-12}


def model(layers: int = 2) -> RecurrentEncoderDecoder:
    config = ModelConfig(
        body="lstm", width=WIDTH, encoder_layers=layers, decoder_layers=layers, source_vocabulary=WORDS,
        target_vocabulary=WORDS, max_positions=41, dropout=0.0,
    )  # fmt: skip
    built = build_model(config, seed=1).double().eval()
    assert isinstance(built, RecurrentEncoderDecoder)
    return built


def ids(rows: int, columns: int) -> Tensor:
    return torch.randint(4, WORDS, (rows, columns))


@torch.no_grad()
def test_a_sentence_by_the_equations() -> None:
    """Bahdanau's attention and Luong's input feeding, position by position, for one layer."""
    network, source, target = model(layers=1), ids(1, S), ids(1, T)
    decoder, states = network.decoder, network.states(source)[0]
    attention, lstm = decoder.cross_attention, decoder.lstm.blocks[0]
    hidden = torch.tanh(decoder.start(states.mean(0)))
    cell, told = torch.zeros(WIDTH).double(), torch.zeros(WIDTH).double()
    keys = states @ attention.key.weight.t() + attention.key.bias
    for place in range(T):
        x = torch.cat((network.decoder.embedding(target)[0, place], told))
        gates = lstm.weight_ih_l0 @ x + lstm.bias_ih_l0 + lstm.weight_hh_l0 @ hidden + lstm.bias_hh_l0
        into, forget, new, out = gates.chunk(4)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(into) * torch.tanh(new)
        hidden = torch.sigmoid(out) * torch.tanh(cell)
        scores = torch.stack(
            [attention.step.score.weight @ torch.tanh(attention.query.weight @ hidden + key) for key in keys]
        )
        context = torch.softmax(scores, 0) @ states
        told = torch.tanh(attention.output.weight @ context + decoder.own(hidden))
        logits = network.logits(source, target)[0, place]
        torch.testing.assert_close(logits, network.output_weight @ told, **TIGHT)


@torch.no_grad()
def test_padding_is_invisible() -> None:
    network, source, target = model(), ids(3, S), ids(3, T)
    together = network.logits(source, target, mask=REAL)
    for row, length in enumerate((7, 4, 1)):
        alone = network.logits(source[row : row + 1, :length], target[row : row + 1])
        torch.testing.assert_close(together[row], alone[0], **TIGHT)


def test_every_parameter_learns_with_a_sentence_of_padding_among_them() -> None:
    network = model().train()
    mask = REAL & torch.tensor([[True], [True], [False]])
    network.logits(ids(3, S), ids(3, T), mask=mask).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@torch.no_grad()
def test_cached_is_uncached_reordered_and_kept() -> None:
    network, source = model(), ids(3, S)
    state = network.begin(source, REAL, beam=2, max_length=9)
    prefixes, mask = torch.empty(3, 2, 0, dtype=torch.int64), REAL
    for step in range(5):
        tokens = ids(len(source), 2)
        prefixes = torch.cat((prefixes, tokens[..., None]), dim=2)
        cached = network.advance(tokens, state)
        twice, twice_mask = (x.repeat_interleave(2, 0) for x in (source, mask))
        anew = network.logits(twice, prefixes.flatten(0, 1), mask=twice_mask)[:, -1]
        torch.testing.assert_close(cached, anew.view_as(cached), **TIGHT)
        parents = torch.randint(2, (len(source), 2))
        state.reorder(parents)
        prefixes = prefixes.gather(1, parents[..., None].expand_as(prefixes))
        if step == 2:
            rows = torch.tensor([2, 0])
            state.keep(rows)
            source, mask, prefixes = source[rows], mask[rows], prefixes[rows]
    assert state.length == 5


@torch.no_grad()
def test_greedy_search_takes_the_best_next_token() -> None:
    network, sources = model(), ids(4, S)
    settings = DecodingSettings(beam=1, max_length=9)
    found = generate(network, [row.tolist() for row in sources], settings, device=torch.device("cpu"))
    sources = torch.cat((sources, torch.full((4, 1), END)), dim=1)  # as generation feeds it
    for row, answers in enumerate(found):
        written = [START]
        for token in answers[0].tokens:
            logits = network.logits(sources[row : row + 1], torch.tensor([written]))[0, -1]
            logits[[PAD, START]] = -torch.inf
            assert token == int(logits.argmax())
            written.append(token)
        assert len(written) > 1


@pytest.mark.parametrize("automatic", [False, True])
def test_looking_shows_every_step_of_the_cross_attention(automatic: bool) -> None:
    network, source, target = model().float(), ids(3, S), ids(3, T)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=automatic):
        before = network.logits(source, target, mask=REAL)
        with capture(network) as seen:
            assert torch.equal(network.logits(source, target, mask=REAL), before)
            first = seen["decoder.0.cross"]
            network.logits(source, target[:, :2], mask=REAL)  # another sentence begins anew
        assert seen["decoder.0.cross"].q.shape[2] == 2
    weights = first.weights()
    assert list(seen.records) == ["decoder.0.cross"]
    assert weights.shape == (3, 1, T, S)
    assert (weights[~REAL[:, None, None].expand_as(weights)] == 0).all()
    torch.testing.assert_close(weights.float().sum(-1), torch.ones(3, 1, T), rtol=0, atol=1e-2)
    states = network.states(source, mask=REAL)
    torch.testing.assert_close(first.mixed[:, 0].float(), weights[:, 0].float() @ states.float(), rtol=0, atol=2e-2)
