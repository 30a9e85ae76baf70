"""Building: seeds, ties, first weights; and what the model refuses to be fed."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from clearhead.errors import ShapeError
from clearhead.models.build import MODELS, build_model
from clearhead.models.config import Architecture, Body, ModelConfig
from clearhead.models.encoder_decoder import EncoderDecoder

SMALL = ModelConfig(
    width=24, heads=3, feedforward=29, encoder_layers=2, decoder_layers=3, source_vocabulary=31, target_vocabulary=31,
    max_positions=13,
)  # fmt: skip


def changed(**changes: Any) -> ModelConfig:
    return ModelConfig(**SMALL.model_dump() | changes)


def same(a: nn.Module, b: nn.Module) -> bool:
    mine, theirs = a.state_dict(), b.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_the_seed_alone_decides_and_leaves_no_trace() -> None:
    before = torch.get_rng_state()
    first = build_model(SMALL, seed=7)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert same(first, build_model(SMALL, seed=7))
    assert not same(first, build_model(SMALL, seed=8))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_building_leaves_the_devices_generator_alone() -> None:
    before = torch.cuda.get_rng_state()
    build_model(SMALL, seed=7)
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_without_a_seed_torchs_generator_decides() -> None:
    torch.manual_seed(3)
    first = build_model(SMALL)
    torch.manual_seed(3)
    assert same(first, build_model(SMALL))
    assert not same(first, build_model(SMALL))


@pytest.mark.parametrize("place", MODELS, ids=" ".join)
def test_every_architecture_has_every_body(place: tuple[str, str]) -> None:
    architecture, body = place
    assert {name for name, _ in MODELS} == set(get_args(Architecture))
    assert {name for _, name in MODELS} == set(get_args(Body))
    assert build_model(changed(architecture=architecture, body=body)).config.body == body


@pytest.mark.parametrize("tie", ["all", "target", "none"])
def test_tied_weights_are_one_parameter(tie: str) -> None:
    model = EncoderDecoder(changed(tie=tie))
    source, target = model.encoder.embedding.tokens.weight, model.decoder.embedding.tokens.weight
    assert (source is target) == (tie == "all")
    assert (model.output_weight is target) == (tie != "none")
    names = [name for name, _ in model.named_parameters() if "tokens" in name or name.startswith("output")]
    assert len(names) == {"all": 1, "target": 2, "none": 3}[tie]
    assert model.output_bias is None


@pytest.mark.parametrize("tie", ["all", "target", "none"])
def test_ties_survive_loading_and_moving(tie: str) -> None:
    model, other = EncoderDecoder(changed(tie=tie)), EncoderDecoder(changed(tie=tie))
    other.load_state_dict(model.state_dict())
    assert same(model, other)
    other = other.double()
    assert (other.output_weight is other.decoder.embedding.tokens.weight) == (tie != "none")


class TestFirstWeights:
    """One visible place says how everything begins; here each rule is measured."""

    def matrices(self, initialisation: str) -> dict[str, Tensor]:
        config = ModelConfig(width=64, heads=4, feedforward=256, encoder_layers=1, decoder_layers=4,
                             initialisation=initialisation, tie="none")  # fmt: skip
        model = build_model(config, seed=1)
        return {name: p.detach() for name, p in model.named_parameters() if p.dim() == 2}

    def xavier(self, matrix: Tensor) -> float:
        return math.sqrt(2 / sum(matrix.shape))

    @pytest.mark.parametrize("initialisation", ["xavier_uniform", "xavier_normal"])
    def test_xavier_part_by_part(self, initialisation: str) -> None:
        matrices = self.matrices(initialisation)
        for part in matrices["encoder.blocks.0.self_attention.query_key_value.weight"].split(64):
            assert part.std().item() == pytest.approx(self.xavier(part), rel=0.05)
        for part in matrices["decoder.blocks.0.cross_attention.key_value.weight"].split(64):
            assert part.std().item() == pytest.approx(self.xavier(part), rel=0.05)
        into = matrices["encoder.blocks.0.feedforward.into.weight"]
        assert into.std().item() == pytest.approx(self.xavier(into), rel=0.05)
        bounded = into.abs().max() <= math.sqrt(3) * self.xavier(into)
        assert bool(bounded) == (initialisation == "xavier_uniform")

    def test_normal(self) -> None:
        for name, matrix in self.matrices("normal").items():
            if "tokens" not in name:
                assert matrix.std().item() == pytest.approx(0.02, rel=0.05), name

    def test_depth_scaled_falls_with_the_root_of_the_layer(self) -> None:
        matrices = self.matrices("depth_scaled")
        for layer in range(4):
            matrix = matrices[f"decoder.blocks.{layer}.feedforward.out.weight"]
            assert matrix.std().item() == pytest.approx(self.xavier(matrix) / math.sqrt(layer + 1), rel=0.05)
        matrix = matrices["encoder.blocks.0.feedforward.out.weight"]
        assert matrix.std().item() == pytest.approx(self.xavier(matrix), rel=0.05)
        matrix = matrices["output.weight"]
        assert matrix.std().item() == pytest.approx(self.xavier(matrix), rel=0.05)

    def test_embeddings_leave_with_unit_variance(self) -> None:
        model = build_model(ModelConfig(positions="none", dropout=0.0), seed=1)
        assert model.encoder.embedding(torch.arange(8000).view(8, 1000)).std().item() == pytest.approx(1.0, rel=0.02)

    def test_biases_are_zero_and_gains_one(self) -> None:
        for name, parameter in build_model(SMALL, seed=1).named_parameters():
            if parameter.dim() == 1:
                assert (parameter == float("norm.weight" in name)).all(), name


IDS = torch.zeros(2, 5, dtype=torch.int64)
REAL = torch.ones(2, 5, dtype=torch.bool)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.logits(IDS), ["needs target_ids (B, T)", "start symbol"]),
        (lambda m: m.logits(IDS[0], IDS), ["ids must be int64 of shape (B, T)", "(5,)"]),
        (lambda m: m.logits(IDS.int(), IDS), ["ids must be int64", "torch.int32"]),
        (lambda m: m.logits(IDS, IDS.float()), ["target_ids must be int64", "torch.float32"]),
        (lambda m: m.logits(IDS + 31, IDS), ["ids must lie in 0 … 30", "31 … 31"]),
        (lambda m: m.logits(IDS, IDS - 1), ["target_ids must lie in 0 … 30", "-1 … -1"]),
        (lambda m: m.logits(IDS, IDS, mask=REAL[:1]), ["mask must be boolean of shape (2, 5)", "(1, 5)"]),
        (lambda m: m.logits(IDS, IDS, mask=REAL.float()), ["mask must be boolean", "torch.float32"]),
        (lambda m: m.logits(IDS[:, :0].expand(2, 0), torch.zeros(2, 14).long()), ["13 positions", "needs 14"]),
        (lambda m: m.advance(IDS[:, :2], m.begin(IDS, REAL, beam=3, max_length=4)), ["(2, 3)", "(2, 2)"]),
        (lambda m: m.advance(IDS[:1, :3], m.begin(IDS, REAL, beam=3, max_length=4)), ["(2, 3)", "(1, 3)"]),
    ],
)
def test_refusals_say_both_sides(call: Any, words: list[str]) -> None:
    with pytest.raises(ShapeError) as caught:
        call(build_model(SMALL, seed=1))
    for word in words:
        assert word in str(caught.value)
