"""Recorded while searching = teacher-forced afterwards: q, k, v, weights, the stream and logits of every hypothesis
kept.

Hypotheses are reordered, ended and dropped by a real beam search with the cache on; each that was ever in a beam is
read anew, at once, and looked at. And the search finds what it finds when nobody records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from clearhead.generation.batches import generate
from clearhead.generation.prompts import continue_prompts
from clearhead.generation.settings import ContinuationSettings, DecodingSettings
from clearhead.inspection.capture import Capture, inspecting
from clearhead.inspection.search import Search, recording
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig

from .models import SOURCE_WORDS, START, VARIANTS, config, model

END = 3
BEAM = DecodingSettings(beam=3, n_best=3, max_length=6, batch_tokens=1 << 12)
TOLERANCE = {"rtol": 0, "atol": 1e-10}


def sources(*lengths: int) -> list[list[int]]:
    return [torch.randint(4, SOURCE_WORDS, (length,)).tolist() for length in lengths]


def languages(**changes: Any) -> Any:
    sizes = {"width": 12, "heads": 2, "feedforward": 13, "decoder_layers": 2, "target_vocabulary": SOURCE_WORDS}
    network = build_model(ModelConfig(architecture="decoder", **sizes, **changes), seed=2).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return network


def compare(search: Search, sentence: int, fed: Sequence[int], seen: Capture, logits: torch.Tensor, skip: int) -> None:
    """One hypothesis of a search beside the same read at once; ``skip`` tokens were a prompt's."""
    records = search.records(sentence, fed)
    assert records.keys() == seen.records.keys()
    for name, record in records.items():
        wanted = seen.records[name]
        for part in ("q", "k", "v", "mixed"):
            torch.testing.assert_close(getattr(record, part), getattr(wanted, part), **TOLERANCE)
        torch.testing.assert_close(record.weights(), wanted.weights(), **TOLERANCE)
        torch.testing.assert_close(record.additions(), wanted.additions(), **TOLERANCE)
    streams = search.residual(sentence, fed)
    for found, expected in zip(streams, (seen.residual, seen.networks), strict=True):
        assert found.keys() == expected.keys()
        for station, stream in found.items():
            torch.testing.assert_close(stream, expected[station][0], **TOLERANCE)
    torch.testing.assert_close(search.logits(sentence, fed), logits[0, skip:], **TOLERANCE)


@pytest.mark.parametrize("variant", [*VARIANTS, "lstm"])
@torch.no_grad()
def test_every_hypothesis_of_a_beam(variant: str) -> None:
    torch.manual_seed(11)
    small = {"body": "lstm", "heads": 4, "norm": "layer"} if variant == "lstm" else {}
    network = (
        build_model(config(**small), seed=1).eval() if variant == "lstm" else model(variant, decoder_layers=2)
    ).double()
    given = sources(5, 4, 3, 1)
    before = generate(network, given, BEAM, workers=1)
    with recording(network, network) as recorder:
        found = generate(recorder, given, BEAM, workers=1)
    assert found == before
    (search,) = recorder.searches
    looked_at = 0
    for sentence, source in enumerate(given):
        finished = [[START, *hypothesis.tokens] for hypothesis in found[sentence]]
        kept = [fed for step in search.kept(sentence) for fed in step]
        assert all(tuple(fed) in kept for fed in finished if len(fed) <= BEAM.max_length)
        for fed in kept:
            with inspecting(network) as seen:
                logits = network.logits(torch.tensor([[*source, END]]), torch.tensor([fed]))
            if sentence:  # its source was padded in the search
                seen.records = {name: record for name, record in seen.records.items() if name.startswith("decoder")}
                seen.residual = {name: x for name, x in seen.residual.items() if name.startswith("decoder")}
                seen.networks = {name: x for name, x in seen.networks.items() if name.startswith("decoder")}
                check_decoder(search, sentence, fed, seen, logits, len(source) + 1)
            else:
                compare(search, sentence, fed, seen, logits, 0)
            looked_at += 1
    assert looked_at > 20


def check_decoder(
    search: Search, sentence: int, fed: Sequence[int], seen: Capture, logits: torch.Tensor, real: int
) -> None:
    records = search.records(sentence, fed)
    for name, wanted in seen.records.items():
        found = records[name]
        torch.testing.assert_close(found.q, wanted.q, **TOLERANCE)
        keys = real if found.kind == "cross" else len(fed)
        torch.testing.assert_close(found.weights()[..., :keys], wanted.weights(), **TOLERANCE)
        assert (found.weights()[..., keys:] == 0).all()
        torch.testing.assert_close(found.mixed, wanted.mixed, **TOLERANCE)
    torch.testing.assert_close(search.logits(sentence, fed), logits[0], **TOLERANCE)


@pytest.mark.parametrize(
    "changes", [{}, {"positions": "t5"}, {"positions": "alibi", "window": 3, "key_value_heads": 1}], ids=str
)
@pytest.mark.parametrize("prompt", [[2], [2, 5, 9, 7, 6]], ids=["start", "prompt"])
@pytest.mark.parametrize("search_for", [{"beam": 3, "sample": False}, {"sample": True}], ids=["beam", "samples"])
@torch.no_grad()
def test_every_continuation_of_a_prompt(changes: dict[str, Any], prompt: list[int], search_for: dict[str, Any]) -> None:
    torch.manual_seed(12)
    network = languages(**changes)
    settings = ContinuationSettings(n_best=3, max_length=6, seed=1, **search_for)
    before = continue_prompts(network, [prompt], settings, context=16, workers=1)
    with recording(network, network) as recorder:
        found = continue_prompts(recorder, [prompt], settings, context=16, workers=1)
    assert found == before
    (search,) = recorder.searches
    read = search.prompts[0]
    assert list(read) == prompt[:-1]
    kept = [fed for step in search.kept(0) for fed in step]
    assert len(kept) >= 8
    for fed in kept:
        with inspecting(network) as seen:
            logits = network.logits(torch.tensor([[*read, *fed]]))
        compare(search, 0, fed, seen, logits, len(read))
