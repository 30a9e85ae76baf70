"""What families of published models add to a configuration: each on its own, by hand or against what it means."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from clearhead.layers.embedding import SinusoidalHalves, SinusoidalPositions
from clearhead.layers.feedforward import ACTIVATIONS
from clearhead.mechanism.head_norm import HeadNorm
from clearhead.mechanism.positions import bucket, frequencies
from clearhead.mechanism.stretch import linear, llama3
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.models.sight import places_among

WORDS = 31
TIGHT = {"rtol": 0, "atol": 1e-11}


def model(architecture: str, **changes: Any) -> Any:
    sizes: dict[str, Any] = {"width": 12, "heads": 2, "feedforward": 13, "encoder_layers": 2, "decoder_layers": 2}
    sizes |= {"max_positions": 41, "source_vocabulary": WORDS, "target_vocabulary": WORDS, "dropout": 0.0}
    return build_model(ModelConfig(architecture=architecture, **sizes | changes), seed=1).double().eval()


def ids(rows: int, columns: int) -> torch.Tensor:
    return torch.randint(4, WORDS, (rows, columns))


def test_a_configuration_written_before_these_settings_is_read_as_it_was() -> None:
    """The model of a run's config.json from before there were tables in it."""
    written = """{"architecture": "decoder", "body": "transformer", "width": 384, "encoder_layers": 4,
        "decoder_layers": 6, "heads": 6, "score": "scaled_dot", "normalizer": "softmax", "mask_self": false,
        "feedforward": 1024, "activation": "swiglu", "norm": "rms", "norm_order": "pre", "norm_epsilon": 1e-06,
        "positions": "rotary", "max_positions": 256, "dropout": 0.2, "attention_dropout": 0.0,
        "feedforward_dropout": 0.0, "token_dropout": 0.0, "pooling": "none", "word_pooling": "first",
        "ngram_buckets": 0, "tie": "all", "initialisation": "xavier_uniform", "initial_std": 0.02,
        "source_vocabulary": 66, "target_vocabulary": 66, "classes": 2}"""
    config = ModelConfig.model_validate(json.loads(written))
    assert config.ends_in_norm and not config.output_bias and config.input.scale is None
    assert ModelConfig.model_validate(json.loads(json.dumps(config.model_dump(exclude_none=True)))) == config


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"input": {"segments": 2}}, 'input.segments needs architecture = "encoder"'),
        ({"input": {"first_position": 2}}, "input.first_position is about learned positions"),
        ({"input": {"norm": True}, "norm": "batch"}, "input.norm goes by single positions"),
        ({"rotary": {"base": 500.0}}, 'rotary needs positions = "rotary", got "sinusoidal": leave rotary out'),
        ({"buckets": {"count": 8}}, 'buckets needs positions = "t5"'),
        ({"buckets": {"count": 8, "farthest": 4}}, "farthest must be above half of count"),
        ({"rotary": {"scaling": "llama3", "slow": 4.0}}, "slow must be below fast"),
        ({"head": {"kind": "vocabulary"}}, 'head.kind needs architecture = "encoder"'),
        ({"architecture": "encoder", "head": {"scale": 0.5}}, "head.scale is for an output over words"),
        ({"architecture": "encoder", "head": {"kind": "vocabulary"}, "pooling": "mean"}, "scores tokens"),
        ({"body": "lstm", "biases": {"feedforward": False}}, 'biases belongs to Transformers, but body is "lstm"'),
        ({"query_key_norm": True, "score": "additive"}, "query_key_norm is for scores that are products"),
    ],
)
def test_settings_that_mean_nothing_together_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said.replace("(", r"\(")):
        ModelConfig(**settings)


def test_marians_sinusoids_are_the_papers_in_another_order() -> None:
    """Width 5: sines of planes 0, 1, 2, then cosines of planes 0 and 1."""
    paper, halves = SinusoidalPositions(7, 5).table, SinusoidalHalves(7, 5).table
    assert torch.equal(halves, paper[:, [0, 2, 4, 1, 3]])


def test_gelu_by_tanh_is_the_formula() -> None:
    """Hendrycks & Gimpel, arXiv 1606.08415, section 2."""
    x = torch.linspace(-4, 4, 41, dtype=torch.float64)
    wanted = 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    torch.testing.assert_close(ACTIVATIONS["gelu_tanh"](x), wanted, **TIGHT)
    assert (ACTIVATIONS["gelu"](x) - wanted).abs().max() > 1e-5


def test_frequencies_slowed_down_by_one_factor() -> None:
    turning = frequencies(8, torch.device("cpu"), 100.0)
    torch.testing.assert_close(turning, torch.tensor([1.0, 0.1**0.5, 0.1, 0.1**1.5], dtype=torch.float64))
    assert torch.equal(linear(4.0)(turning), turning / 4)


def test_llama_3_slows_down_slow_planes_only() -> None:
    """By hand: turns = 128 θ / 2π. Fast ones (at least 4) stay, slow ones (at most 1) are divided by 8."""
    theta = torch.tensor([4.5, 2.5, 0.5], dtype=torch.float64) * 2 * math.pi / 128
    found = llama3(8.0, 1.0, 4.0, 128)(theta) / theta
    torch.testing.assert_close(found, torch.tensor([1.0, 0.5 + 0.5 / 8, 1 / 8], dtype=torch.float64))


def test_a_smaller_table_of_buckets() -> None:
    """8 buckets both ways: 4 back and 4 ahead, of which 2 hold one distance each; from 16 on all share the last."""
    distances = torch.tensor([0, -1, -2, -5, -6, -16, -99, 1, 2, 99])
    assert bucket(distances, False, 8, 16).tolist() == [0, 1, 2, 2, 3, 3, 3, 5, 6, 7]
    assert bucket(torch.tensor([3, 0, -3, -4, -99]), True, 8, 16).tolist() == [0, 0, 3, 4, 7]


def test_queries_and_keys_normalised_by_head() -> None:
    """RMS of (3, 4) is √12.5; gains 1 and 2."""
    norm = HeadNorm(2, 1e-12).double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0]))
    x = torch.tensor([3.0, 4.0], dtype=torch.float64).expand(1, 3, 5, 2)
    wanted = torch.tensor([3.0, 8.0], dtype=torch.float64) / math.sqrt(12.5)
    torch.testing.assert_close(norm(x), wanted.expand(1, 3, 5, 2))


def test_scores_do_not_grow_with_normalised_queries_and_keys() -> None:
    network, tokens = model("decoder", query_key_norm=True, positions="rotary"), ids(2, 7)
    before = network.logits(tokens)
    with torch.no_grad():
        for block in network.decoder.blocks:
            for tensor in block.self_attention.query_key_value.parameters():
                tensor[: 2 * 12] *= 7.0
    torch.testing.assert_close(network.logits(tokens), before, rtol=0, atol=1e-5)  # but for epsilon


def test_biases_are_where_they_are_asked_for() -> None:
    without = {"query_key_value": False, "attention_output": False, "feedforward": False}
    names = [name for name, _ in model("encoder-decoder", biases=without).named_parameters() if "bias" in name]
    assert names and all("norm" in name for name in names)
    named = dict(model("encoder-decoder", biases={"output": True}).named_parameters())
    assert named["output.bias"].shape == (WORDS,)


def test_a_head_over_the_vocabulary_is_tied_and_scores_every_position() -> None:
    network = model("encoder", head={"kind": "vocabulary"}, input={"norm": True, "segments": 2, "scale": 1.0})
    assert network.output.weight is network.encoder.embedding.tokens.weight
    tokens, mask = ids(2, 7), torch.arange(7) < torch.tensor([[7], [4]])
    logits = network.logits(tokens, mask=mask)
    assert logits.shape == (2, 7, WORDS)
    states = network.states(tokens, mask=mask)
    transform = network.transform
    y = transform.norm(torch.nn.functional.gelu(transform.dense(states)))
    torch.testing.assert_close(logits, y @ network.output.weight.t() + network.output.bias, **TIGHT)


def test_a_segment_adds_its_row_before_the_norm() -> None:
    network, tokens = (
        model("encoder", input={"norm": True, "segments": 3, "scale": 1.0}, positions="learned"),
        ids(1, 4),
    )
    embedding = network.encoder.embedding
    segments = torch.tensor([[0, 0, 2, 1]])
    sums = embedding.tokens(tokens) + embedding.positions.weight[:4] + embedding.segments(segments)
    torch.testing.assert_close(embedding(tokens, segments=segments), embedding.norm(sums), **TIGHT)
    assert torch.equal(network.states(tokens), network.states(tokens, segments=torch.zeros_like(segments)))
    for wrong, said in ((segments[:, 1:], "int64 of shape"), (segments + 1, "must lie in 0 … 2")):
        with pytest.raises(ValueError, match=said):
            network.states(tokens, segments=wrong)
    with pytest.raises(ValueError, match="no segments"):
        model("encoder").states(tokens, segments=segments)


def test_rows_in_front_of_the_first_place_belong_to_nobody() -> None:
    network, tokens = model("encoder", positions="learned", input={"first_position": 3}), ids(2, 41)
    before = network.states(tokens)
    positions = network.encoder.embedding.positions
    assert positions.weight.shape == (44, 12)
    with torch.no_grad():
        positions.weight[:3] = torch.nan
    assert torch.equal(network.states(tokens), before)


def test_places_are_counted_over_real_tokens() -> None:
    mask = torch.tensor([[False, True, True, False, True], [True, True, False, False, False]])
    assert places_among(mask).tolist() == [[0, 0, 1, 1, 2], [0, 1, 1, 1, 1]]


@pytest.mark.parametrize("skips", [True, False])
def test_padding_on_the_left_is_invisible_where_places_skip_it(skips: bool) -> None:
    network = model("encoder", positions="learned", input={"skip_padding": skips})
    text, padded = ids(1, 5), torch.nn.functional.pad(ids(1, 5), (3, 0))
    padded[:, 3:] = text
    states = network.states(padded, mask=torch.arange(8)[None] >= 3)[:, 3:]
    same = torch.allclose(states, network.states(text), **TIGHT)
    assert same == skips


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary", "alibi", "t5"])
def test_a_language_models_padding_may_stand_on_either_side(positions: str) -> None:
    network, text = model("decoder", positions=positions), ids(1, 5)
    for left, right in ((3, 0), (0, 2), (2, 1)):
        mask = torch.nn.functional.pad(torch.ones(1, 5, dtype=torch.bool), (left, right))
        padded = torch.where(mask, torch.nn.functional.pad(text, (left, right)), 7)
        for found in (network.logits, network.states):
            torch.testing.assert_close(found(padded, mask=mask)[mask], found(text)[0], **TIGHT)


def test_what_the_output_matrix_reads_may_be_scaled() -> None:
    plain, scaled = (model("encoder-decoder", head={"scale": scale}) for scale in (1.0, 0.25))
    source, target = ids(2, 5), ids(2, 4)
    torch.testing.assert_close(scaled.logits(source, target), plain.logits(source, target) / 4, **TIGHT)
    state = scaled.begin(source, torch.ones_like(source, dtype=torch.bool), beam=1, max_length=4)
    steps = [scaled.advance(target[:, t : t + 1], state) for t in range(4)]
    torch.testing.assert_close(torch.cat(steps, 1), scaled.logits(source, target), **TIGHT)


def test_an_encoder_without_head_has_states_and_no_logits() -> None:
    network, tokens = model("encoder", head={"kind": "none"}, pooling="first_tanh"), ids(2, 5)
    assert not any(name.startswith("output") for name, _ in network.named_parameters())
    dense = network.pooling.dense
    wanted = torch.tanh(dense(network.states(tokens)[:, 0]))
    torch.testing.assert_close(network.hidden(tokens), wanted, **TIGHT)
    with pytest.raises(ValueError, match="no logits"):
        network.logits(tokens)
