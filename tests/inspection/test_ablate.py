"""Silenced heads: what is replaced is z and nothing else, whatever the path; and it is all as before afterwards."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from clearhead.errors import ConfigurationError, ShapeError
from clearhead.generation.batches import generate
from clearhead.generation.settings import DecodingSettings
from clearhead.inspection.ablate import head_means, without_heads
from clearhead.inspection.capture import capture
from clearhead.inspection.seams import seams
from clearhead.mechanism import multihead, paths
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig

TIGHT = {"rtol": 0, "atol": 1e-12}
KINDS: dict[str, dict[str, Any]] = {
    "grouped": {"key_value_heads": 2, "key_width": 5, "value_width": 7},
    "additive, alibi, post": {"score": "additive", "positions": "alibi", "norm_order": "post", "heads": 3},
    "encoder": {"architecture": "encoder", "positions": "t5", "normalizer": "sparsemax", "heads": 3},
    "decoder": {"architecture": "decoder", "positions": "rotary", "heads": 3, "score": "bilinear"},
}
PATHS = {"chosen": paths.choose, "products": lambda problem: paths.products, "streamed": lambda problem: paths.streamed}


def model(**changes: Any) -> Any:
    settings: dict[str, Any] = {"width": 12, "heads": 4, "feedforward": 13, "encoder_layers": 1, "decoder_layers": 2}
    config = ModelConfig(**settings | changes, source_vocabulary=31, target_vocabulary=31, dropout=0.0)
    network = build_model(config, seed=1).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return network


IDS = torch.randint(4, 31, (2, 7), generator=torch.Generator().manual_seed(3))


def run(network: Any) -> Tensor:
    both = network.config.architecture == "encoder-decoder"
    logits: Tensor = network.logits(IDS, IDS.flip(1)) if both else network.logits(IDS)
    return logits


def rows_of_output(network: Any, name: str, head: int) -> Tensor:
    """The columns of W_o's weight (out, in) that head's z meets: what the paper calls its rows."""
    seam = seams(network)[name]
    width = seam.output.in_features // seam.heads
    return seam.output.weight[:, head * width : (head + 1) * width]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_silenced_head_is_one_whose_part_of_the_output_matrix_is_zero(
    kind: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multihead, "choose", PATHS[path])
    network = model(**KINDS[kind])
    name = list(seams(network))[-1]
    with without_heads(network, {name: [2, 0]}):
        silenced = run(network)
    intact = run(network)
    for head in (0, 2):
        rows_of_output(network, name, head).zero_()
    torch.testing.assert_close(silenced, run(network), **TIGHT)
    assert (silenced - intact).abs().max() > 1e-3


@torch.no_grad()
def test_all_heads_of_a_block_silenced_leave_it_its_bias() -> None:
    network, outputs = model(), []
    network.decoder.blocks[1].cross_attention.register_forward_hook(lambda *given: outputs.append(given[2]))
    with without_heads(network, {"decoder.1.cross": range(4)}):
        run(network)
    bias = network.decoder.blocks[1].cross_attention.output.bias
    assert torch.equal(outputs[0], bias.expand_as(outputs[0]))


@torch.no_grad()
def test_silencing_none_changes_no_bit_and_adds_no_hook() -> None:
    network = model()
    before = run(network)
    with without_heads(network, {"decoder.1.cross": [], "encoder.0.self": ()}):
        assert not any(seam.step._forward_hooks for seam in seams(network).values())
        assert torch.equal(run(network), before)


@torch.no_grad()
def test_what_is_not_a_number_is_silenced_too() -> None:
    network = model()
    seam = seams(network)["decoder.0.self"]
    handle = seam.step.register_forward_hook(lambda module, given, z: z.index_fill(1, torch.tensor([1]), torch.nan))
    assert run(network).isnan().any()
    handle.remove()
    with without_heads(network, {"decoder.0.self": [1]}):
        clean = run(network)
        handle = seam.step.register_forward_hook(
            lambda module, given, z: z.index_fill(1, torch.tensor([1]), torch.nan), prepend=True
        )
        assert torch.equal(run(network), clean)
        handle.remove()


@pytest.mark.parametrize("beam", [1, 3])
def test_generation_with_a_cache_is_that_of_the_model_with_zeros_in_it(beam: int) -> None:
    network, settings = model(), DecodingSettings(beam=beam, max_length=9, min_length=5)
    sources = [[5, 9, 11, 30], [7, 8]]

    def tokens() -> list[tuple[tuple[int, ...], float]]:
        found = generate(network, sources, settings, device=torch.device("cpu"))
        return [(tuple(best[0].tokens), round(best[0].score, 9)) for best in found]

    with torch.inference_mode():
        intact = tokens()
        with without_heads(network, {"decoder.0.self": [0, 1, 3], "decoder.1.cross": [2, 3]}):
            silenced = tokens()
    assert tokens() == intact != silenced
    with torch.no_grad():
        for name, heads in {"decoder.0.self": [0, 1, 3], "decoder.1.cross": [2, 3]}.items():
            for head in heads:
                rows_of_output(network, name, head).zero_()
        assert tokens() == silenced


def test_in_training_silenced_heads_get_no_gradient_and_the_others_do() -> None:
    network = model().train()
    with without_heads(network, {"encoder.0.self": [1]}):
        run(network).square().sum().backward()
    rows = network.encoder.blocks[0].self_attention.query_key_value.weight.grad.view(3, 4, 3, 12)  # q k v, H, D, W
    assert not rows[:, 1].any()
    assert rows[:, [0, 2, 3]].flatten(1).any(1).all()
    assert not rows_of_grad(network, "encoder.0.self", 1).any()
    assert rows_of_grad(network, "encoder.0.self", 2).any()


def rows_of_grad(network: Any, name: str, head: int) -> Tensor:
    seam = seams(network)[name]
    assert seam.output.weight.grad is not None
    return seam.output.weight.grad.chunk(seam.heads, dim=1)[head]


@torch.no_grad()
def test_nested_contexts_add_up_and_the_outermost_decides() -> None:
    network, name = model(), "decoder.1.self"
    means = {name: torch.full((4, 3), 0.5, dtype=torch.float64)}
    outer, inner = without_heads(network, {name: [1]}), without_heads(network, {name: [1, 3]}, means=means)
    with outer, inner, capture(network, [name]) as seen:
        run(network)
    mixed = seen[name].mixed
    assert not mixed[:, 1].any()
    assert (mixed[:, 3] == 0.5).all()
    assert mixed[:, 0].any()


@torch.no_grad()
def test_everything_is_restored_after_an_exception() -> None:
    network = model()
    before = run(network)
    with pytest.raises(RuntimeError, match="halfway"), without_heads(network, {"decoder.0.self": [0]}):
        raise RuntimeError("halfway")
    assert torch.equal(run(network), before)
    assert not any(seam.step._forward_hooks for seam in seams(network).values())


@torch.no_grad()
def test_means_are_over_all_positions_and_take_the_heads_place() -> None:
    network, name = model(), "encoder.0.self"
    with capture(network, [name]) as seen:
        run(network)
        first = seen[name].mixed
        network.logits(IDS[:1, :3], IDS)
        second = seen[name].mixed

    def sample() -> None:
        run(network)
        network.logits(IDS[:1, :3], IDS)

    means = head_means(network, sample)
    by_hand = torch.cat([first.transpose(0, 1).flatten(1, 2), second.transpose(0, 1).flatten(1, 2)], dim=1).mean(1)
    torch.testing.assert_close(means[name], by_hand, **TIGHT)
    with without_heads(network, {name: [2]}, means=means), capture(network, [name]) as seen:
        run(network)
    torch.testing.assert_close(seen[name].mixed[:, 2], by_hand[2].expand(2, 7, 3), **TIGHT)
    torch.testing.assert_close(seen[name].mixed[:, :2], first[:, :2], **TIGHT)


@torch.no_grad()
def test_it_works_on_what_load_returns_and_on_the_attention_of_recurrent_translation() -> None:
    network = model(body="lstm")
    predictor: Any = SimpleNamespace(model=network)
    with without_heads(predictor, {"decoder.0.cross": [0]}), capture(network) as seen:
        run(network)
    assert not seen["decoder.0.cross"].mixed.any()


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"decoder.1.cros": [0]}, r"no attention 'decoder.1.cros' \(did you mean 'decoder.1.cross'\?\)"),
    "head": ({"decoder.1.cross": [4]}, "decoder.1.cross has 4 heads, so expected a number from 0 to 3, got 4"),
    "negative": ({"decoder.1.cross": [-1]}, "from 0 to 3, got -1"),
    "fraction": ({"decoder.1.cross": [0.5]}, "from 0 to 3, got 0.5"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_not_there_is_refused_by_name(wrong: str) -> None:
    heads, sentence = WRONG[wrong]
    with pytest.raises(ConfigurationError, match=sentence), without_heads(model(), heads):
        pass


def test_means_that_do_not_fit_are_refused() -> None:
    network = model()
    missing: Callable[[], Any] = lambda: without_heads(network, {"decoder.1.self": [0]}, means={})  # noqa: E731
    with pytest.raises(ConfigurationError, match=r"expected one for decoder.1.self"), missing():
        pass
    wrong = {"decoder.1.self": torch.zeros(3, 3)}
    with (
        pytest.raises(ShapeError, match=r"\(H, M\) with 4 heads"),
        without_heads(network, {"decoder.1.self": [0]}, means=wrong),
    ):
        pass
    wrong = {"decoder.1.self": torch.zeros(4, 2)}
    with (
        pytest.raises(ShapeError, match=r"\(H, M\) = \(4, 3\) for decoder.1.self, got \(4, 2\)"),
        without_heads(network, {"decoder.1.self": [0]}, means=wrong),
    ):
        run(network)
    with pytest.raises(ConfigurationError, match=r"nothing passed through encoder.0.self"):
        head_means(network, lambda: None)


def test_means_taken_in_inference_serve_in_training() -> None:
    network = model().train()
    with torch.inference_mode():
        means = head_means(network, lambda: run(network))
    with without_heads(network, {"encoder.0.self": [1]}, means=means):
        run(network).square().sum().backward()
    assert not rows_of_values(network, 1).any()
    assert rows_of_values(network, 2).any()
    assert rows_of_grad(network, "encoder.0.self", 1).any()  # W_o still learns from what stands there


def rows_of_values(network: Any, head: int) -> Tensor:
    rows: Tensor = network.encoder.blocks[0].self_attention.query_key_value.weight.grad.view(3, 4, 3, 12)
    return rows[2, head]
