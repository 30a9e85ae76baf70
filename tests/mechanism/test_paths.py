"""Every path computes what the textbook computes: output and gradients, in each precision, layout, mask and setting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import clearhead
from clearhead.mechanism import masks, paths, textbook
from clearhead.mechanism.masks import as_mask
from clearhead.mechanism.normalizers import NORMALIZERS
from clearhead.mechanism.paths import Problem
from clearhead.mechanism.scores import Additive, Bilinear

from .problems import (
    DEVICES,
    LAYOUTS,
    PATHS,
    TOLERANCE,
    B,
    D,
    G,
    H,
    S,
    T,
    agree,
    cast,
    expected,
    gradients,
    largest_difference,
    mask_cases,
    queries_keys_values,
    tensor,
)

DTYPES = list(TOLERANCE)


def names(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamed blocks of two or three rows, so that every problem here has several, the last one uneven."""
    monkeypatch.setattr(paths, "TILE", B * H * S * 2)


def compare(path: str, inputs: tuple[Tensor, ...], tolerance: float, **settings: Any) -> None:
    """One path against the textbook; ``inputs`` are q, k, v and perhaps bias. ``written`` is the mask as a map."""
    written, mask = settings.pop("written", None), settings.pop("mask", None)
    bias = inputs[3] if len(inputs) > 3 else None
    output = PATHS[path](Problem(*inputs[:3], mask=mask, bias=bias, **settings))
    agree((output, gradients(output, inputs)), expected(inputs, mask=written, **settings), tolerance)
    assert output.dtype == inputs[0].dtype


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES, ids=names)
@pytest.mark.parametrize("path", PATHS)
def test_plain(path: str, dtype: torch.dtype, device: str) -> None:
    compare(path, cast(queries_keys_values(), dtype, device), TOLERANCE[dtype])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("groups", [1, G, H])
@pytest.mark.parametrize("path", PATHS)
def test_layouts_and_grouped_heads(path: str, groups: int, layout: str) -> None:
    inputs = queries_keys_values(groups=groups, layout=layout)
    mask = masks.causal(2)
    written = mask.full(T, S)
    leaves = tuple(x.detach().requires_grad_() for x in inputs)
    if layout != "dense":
        assert not all(x.is_contiguous() for x in leaves)
    compare(path, leaves, 1e-12, mask=mask, written=written)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES, ids=names)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", mask_cases())
def test_masks(name: str, path: str, dtype: torch.dtype, device: str) -> None:
    case = mask_cases()[name]
    inputs = cast(queries_keys_values(case.queries, case.keys), dtype, device)
    compare(path, inputs, TOLERANCE[dtype], mask=case.expression, written=case.written_out())


@pytest.mark.parametrize("shape", [(B, H, T, S), (B, 1, 1, S), (1, H, T, 1), (T, S), (S,), (B, 1, T, 1), ()], ids=str)
@pytest.mark.parametrize("path", PATHS)
def test_boolean_tensors_of_every_broadcastable_shape(path: str, shape: tuple[int, ...]) -> None:
    given = (tensor((*(1,) * (4 - len(shape)), *shape), 11) > -0.3).reshape(shape)
    inputs = cast(queries_keys_values(), torch.float64)
    compare(path, inputs, 1e-12, mask=as_mask(given), written=given.expand(B, H, T, S))


@pytest.mark.parametrize("hidden", [False, True], ids=["finite", "with -inf"])
@pytest.mark.parametrize("shape", [(B, H, T, S), (H, T, S), (B, 1, 1, S), (1, 1, T, 1), (S,)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=names)
@pytest.mark.parametrize("path", PATHS)
def test_bias(path: str, dtype: torch.dtype, shape: tuple[int, ...], hidden: bool) -> None:
    bias = tensor((*(1,) * (4 - len(shape)), *shape), 12).reshape(shape).clone()
    if hidden:
        bias[..., 0] = -torch.inf
    *leaves, bias = cast((*queries_keys_values(groups=G), bias), dtype)
    inputs = (*leaves, bias if path != "fused" else bias.detach())  # torch's kernel has no gradient for it
    settings = {"mask": masks.causal(2), "written": masks.causal(2).full(T, S)}
    if path != "fused":
        compare(path, inputs, TOLERANCE[dtype], **settings)
        return
    problem = Problem(*leaves, mask=settings["mask"], bias=bias.detach())
    output = paths.fused(problem)
    wanted, wanted_gradients = expected(inputs, mask=settings["written"])
    agree((output, gradients(output, tuple(leaves))), (wanted, wanted_gradients[:3]), TOLERANCE[dtype])


@pytest.mark.parametrize("settings", [{"scale": 0.17}, {"scale": -1.3}, {"score": "dot"}, {"scale": 0.0}], ids=str)
@pytest.mark.parametrize("path", PATHS)
def test_scales(path: str, settings: dict[str, Any]) -> None:
    compare(path, cast(queries_keys_values(), torch.float64), 1e-12, **settings)


@pytest.mark.parametrize("path", ["products", "streamed", "chosen"])
@pytest.mark.parametrize("dtype", DTYPES, ids=names)
def test_softcap_with_bias_and_mask(path: str, dtype: torch.dtype) -> None:
    inputs = cast((*queries_keys_values(groups=G), tensor((H, T, S), 13)), dtype)
    compare(
        path, inputs, TOLERANCE[dtype], softcap=1.5, mask=~masks.window(0, 1), written=~masks.window(0, 1).full(T, S)
    )


@pytest.mark.parametrize("path", ["products", "streamed", "chosen"])
def test_callables(path: str) -> None:
    settings = {"score": lambda q, k: -torch.cdist(q, k), "normalize": lambda s: torch.softmax(s, -1)}
    inputs = cast(queries_keys_values(groups=G), torch.float64)
    compare(path, inputs, 1e-11, **settings, mask=masks.causal(2), written=masks.causal(2).full(T, S))


SCORES = {
    "dot": lambda: "dot",
    "additive": lambda: Additive(D, 3, H).double(),
    "bilinear": lambda: Bilinear(D).double(),
}


@pytest.mark.parametrize("normalize", NORMALIZERS)
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("path", ["products", "streamed", "chosen"])
def test_every_score_with_every_normaliser(path: str, score: str, normalize: str) -> None:
    """Output and gradients, those of the score's own weights included."""
    made: Any = SCORES[score]()
    weights = tuple(made.parameters()) if isinstance(made, torch.nn.Module) else ()
    mask = masks.window(1, 3) & masks.where(lambda i, j: i != 2)  # row 2 sees nothing
    leaves = (*cast(queries_keys_values(groups=G), torch.float64), *weights)
    settings: dict[str, Any] = {"mask": mask, "score": made, "normalize": normalize}
    output, wanted = PATHS[path](Problem(*leaves[:3], **settings)), textbook.attention(*leaves[:3], **settings)
    assert largest_difference(output, wanted) < 1e-12
    for ours, right in zip(gradients(output, leaves), gradients(wanted, leaves), strict=True):
        assert largest_difference(ours, right) < 1e-11
    assert (output[:, :, 2] == 0).all()


@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (1, S), (T, 1), (0, S), (T, 0)])
@pytest.mark.parametrize("path", ["products", "fused", "chosen"])
def test_smallest_shapes(path: str, queries: int, keys: int) -> None:
    inputs = cast(queries_keys_values(queries, keys), torch.float64)
    compare(path, inputs, 1e-12)
    compare(path, inputs, 1e-12, mask=masks.causal(1), written=masks.causal(1).full(queries, keys))


def test_no_sentences_at_all() -> None:
    q, k, v = (x[:0] for x in queries_keys_values())
    assert clearhead.attention(q, k, v, mask=masks.causal()).shape == (0, H, T, 13)


@pytest.mark.parametrize("learns", [("q",), ("k",), ("v",), ("q", "v")], ids=str)
@pytest.mark.parametrize("path", PATHS)
def test_gradients_reach_whoever_asks_and_nobody_else(path: str, learns: tuple[str, ...]) -> None:
    tensors = dict(zip("qkv", queries_keys_values(), strict=True))
    leaves = {name: x.detach().requires_grad_(name in learns) for name, x in tensors.items()}
    output = PATHS[path](Problem(**leaves, mask=masks.causal(2)))
    wanted = dict(zip("qkv", expected(tuple(tensors.values()), mask=masks.causal(2).full(T, S))[1], strict=True))
    got = gradients(output, tuple(leaves[name] for name in learns))
    for name, gradient in zip(learns, got, strict=True):
        assert largest_difference(gradient, wanted[name]) < 1e-11


@pytest.mark.parametrize("tile", [1, 50, 10**9])
def test_the_size_of_blocks_changes_nothing(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "TILE", tile)
    case = mask_cases()["~(documents | graph) & causal"]
    inputs = cast(queries_keys_values(S, S), torch.float64)
    compare("streamed", inputs, 1e-12, mask=case.expression, written=case.written_out())


@pytest.mark.parametrize("path", ["products", "streamed"])
def test_dropout_sets_weights_to_zero_and_scales_the_others(path: str) -> None:
    q, k, _ = queries_keys_values()
    ones = torch.eye(S, dtype=torch.float64).expand(B, H, S, S)  # the output is then the dropped map itself
    weights = clearhead.attention_weights(q, k)
    dropped = PATHS[path](Problem(q, k, ones, dropout=0.25))
    kept = dropped != 0
    assert largest_difference(dropped[kept], weights[kept] / 0.75) < 1e-12
    assert 0.65 < kept.double().mean() < 0.85


def test_dropout_is_the_same_when_a_block_is_recomputed() -> None:
    q, k, v = cast(queries_keys_values(), torch.float64)
    state = torch.random.get_rng_state()
    output = paths.streamed(Problem(q, k, v, dropout=0.4))
    (gradient,) = torch.autograd.grad(output.sum(), v)
    torch.random.set_rng_state(state)
    with torch.no_grad():  # the gradient of a sum to v is the sum of the dropped weights over queries
        ones = torch.eye(S, dtype=torch.float64).expand(B, H, S, S)
        weights = paths.streamed(Problem(q, k, ones, dropout=0.4))
    assert largest_difference(gradient, weights.sum(2)[..., None].expand_as(v)) < 1e-12


class TestChoice:
    """The path is chosen by shape, device and direction."""

    def problem(self, length: int, *, trains: bool, **settings: Any) -> Problem:
        x = torch.zeros(1, 1, 1, 1).expand(1, 1, length, 1)
        return replace(Problem(x.detach().requires_grad_(trains), x, x), **settings)

    @pytest.fixture(autouse=True)
    def real_tiles(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(paths, "TILE", 1 << 22)

    @pytest.mark.parametrize("tiles", [False, True])
    def test_only_short_reduced_training_rows_on_bfloat16_hardware_go_by_products(
        self, monkeypatch: pytest.MonkeyPatch, tiles: bool
    ) -> None:
        monkeypatch.setattr(paths, "multiplies_bfloat16", lambda device: tiles)
        q, k = torch.zeros(1, 1, 20, 4, dtype=torch.bfloat16, requires_grad=True), torch.zeros(1, 1, 20, 4)
        reduced = Problem(q, k.bfloat16(), k.bfloat16())
        assert paths.choose(reduced) is (paths.products if tiles else paths.fused)
        assert paths.choose(self.problem(20, trains=True)) is paths.fused
        assert paths.choose(replace(reduced, q=q.detach())) is paths.fused

    @pytest.mark.parametrize("trains", [False, True])
    def test_long_rows_never_make_a_map(self, trains: bool) -> None:
        for mask in (None, masks.causal()):
            assert paths.choose(self.problem(1 << 15, trains=trains, mask=mask)) is paths.fused
        for settings in ({"mask": masks.window(3, 3)}, {"softcap": 2.0}, {"dropout": 0.1}, {"mask": ~masks.causal()}):
            assert paths.choose(self.problem(1 << 15, trains=trains, **settings)) is paths.streamed

    @pytest.mark.parametrize("trains", [False, True])
    def test_a_padding_mask_has_one_row_and_goes_with_the_kernel_at_any_length(self, trains: bool) -> None:
        padding = masks.lengths(torch.tensor([5]))
        given = as_mask(torch.ones(1, 1, 1, 1 << 15, dtype=torch.bool))
        for mask in (padding, given, padding & given, ~given | padding):
            assert paths.choose(self.problem(1 << 15, trains=trains, mask=mask)) is paths.fused
        for mask in (padding & masks.causal(), masks.where(lambda i, j: j < 5)):
            assert paths.choose(self.problem(1 << 15, trains=trains, mask=mask)) is paths.streamed

    def test_a_learned_bias_never_goes_where_it_gets_no_gradient(self) -> None:
        bias = torch.zeros(300, 300, requires_grad=True)
        assert paths.choose(self.problem(300, trains=True, bias=bias)) is paths.products
        with torch.no_grad():
            assert paths.choose(self.problem(300, trains=False, bias=bias)) is paths.fused
