"""Everything the mechanism refuses, and that the sentence says what was expected and what came."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import clearhead
from clearhead.errors import ConfigurationError, ShapeError
from clearhead.mechanism import masks

from .problems import B, D, H, M, S, T, queries_keys_values

Q, K, V = queries_keys_values()
FULL = f"({B}, {H}, {T}, {S})"
CASES: list[tuple[dict[str, Any], type[Exception], list[str]]] = [
    ({"q": Q[0]}, ShapeError, ["q must have 4 dimensions (B, H, T, D)", f"({H}, {T}, {D})"]),
    ({"k": K[0]}, ShapeError, ["k must have 4 dimensions (B, G, S, D)", f"({H}, {S}, {D})"]),
    ({"v": V[0]}, ShapeError, ["v must have 4 dimensions (B, G, S, M)", f"({H}, {S}, {M})"]),
    ({"q": Q.long()}, ShapeError, ["q must be float64, float32, bfloat16 or float16", "torch.int64"]),
    ({"q": Q[:1]}, ShapeError, ["same batch size", f"q (1, {H}", f"k ({B}, {H}"]),
    ({"q": Q[..., :3]}, ShapeError, ["same width per head", f"q ({B}, {H}, {T}, 3)", f"k ({B}, {H}, {S}, {D})"]),
    ({"k": K[:, :4], "v": V[:, :4]}, ShapeError, ["key heads must divide", f"q ({B}, {H}", f"k ({B}, 4"]),
    ({"k": K[:, :0], "v": V[:, :0]}, ShapeError, ["key heads must divide", f"k ({B}, 0"]),
    ({"v": V[:, :, :4]}, ShapeError, ["agree in batch, heads and length", f"k ({B}, {H}, {S}", f"v ({B}, {H}, 4"]),
    ({"v": V[:, :3]}, ShapeError, ["agree in batch, heads and length", f"v ({B}, 3"]),
    ({"q": Q.float()}, ShapeError, ["q and k must have one dtype", "torch.float32", "torch.float64"]),
    ({"v": V.bfloat16()}, ShapeError, ["k and v must have one dtype", "torch.float64", "torch.bfloat16"]),
    ({"q": Q.to("meta")}, ShapeError, ["q and k must be on one device", "meta", "cpu"]),
    ({"v": V.to("meta")}, ShapeError, ["k and v must be on one device", "cpu", "meta"]),
    ({"mask": torch.ones(T, S)}, ShapeError, ["mask must be boolean", "torch.float32", "bias"]),
    ({"mask": torch.ones(S, T, dtype=torch.bool)}, ShapeError, ["mask must broadcast to (B, H, T, S)", FULL]),
    ({"mask": torch.ones(1, B, H, T, S, dtype=torch.bool)}, ShapeError, ["mask must broadcast", FULL]),
    ({"mask": torch.ones(T, S, dtype=torch.bool, device="meta")}, ShapeError, ["mask", "meta", "cpu"]),
    ({"mask": "causal"}, ShapeError, ["boolean", "clearhead.masks", "str"]),
    ({"bias": torch.ones(S, T)}, ShapeError, ["bias must broadcast to (B, H, T, S)", FULL, f"({S}, {T})"]),
    ({"bias": torch.ones(1, B, H, T, S)}, ShapeError, ["bias must broadcast", FULL]),
    ({"bias": torch.ones(T, S, dtype=torch.bool)}, ShapeError, ["bias must be float", "torch.bool", "mask"]),
    ({"bias": torch.ones(T, S, device="meta")}, ShapeError, ["bias", "meta", "cpu"]),
    ({"softcap": 0.0}, ConfigurationError, ["softcap must be a positive number", "0.0"]),
    ({"softcap": -3.0}, ConfigurationError, ["softcap must be a positive number", "-3.0"]),
    ({"softcap": math.nan}, ConfigurationError, ["softcap must be a positive number", "nan"]),
    ({"softcap": math.inf}, ConfigurationError, ["softcap must be a positive number", "inf"]),
    ({"scale": math.nan}, ConfigurationError, ["scale must be a finite number", "nan"]),
    ({"dropout": 1.0}, ConfigurationError, ["dropout must be a probability in [0, 1)", "1.0"]),
    ({"dropout": -0.1}, ConfigurationError, ["dropout must be a probability in [0, 1)", "-0.1"]),
    ({"dropout": math.nan}, ConfigurationError, ["dropout must be a probability in [0, 1)", "nan"]),
    ({"score": "scaled-dot"}, ConfigurationError, ["score must be one of dot", "'scaled-dot'", "mean 'scaled_dot'"]),
    ({"score": lambda q, k: q}, ShapeError, ["score", FULL, f"({B}, {H}, {T}, {D})"]),
    ({"normalize": "soft-max"}, ConfigurationError, ["normalize must be one of", "'soft-max'", "mean 'softmax'"]),
    ({"normalize": lambda s: s.sum(-1)}, ShapeError, ["normalize", FULL, f"({B}, {H}, {T})"]),
]  # fmt: skip
NOT_OF_MAPS = {"v", "dropout"}  # what attention_weights does not take
NOT_OF_SCORES = NOT_OF_MAPS | {"mask", "normalize"}


@pytest.mark.parametrize(("wrong", "error", "words"), CASES, ids=lambda x: ",".join(x) if isinstance(x, dict) else "")
def test_refused_with_both_sides(wrong: dict[str, Any], error: type[Exception], words: list[str]) -> None:
    given = {"q": Q, "k": K, "v": V} | wrong
    with pytest.raises(error) as caught:
        clearhead.attention(given.pop("q"), given.pop("k"), given.pop("v"), **given)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, clearhead.ClearheadError)


@pytest.mark.parametrize(("wrong", "error", "words"), CASES, ids=lambda x: ",".join(x) if isinstance(x, dict) else "")
def test_the_maps_refuse_the_same(wrong: dict[str, Any], error: type[Exception], words: list[str]) -> None:
    for call, not_taken in ((clearhead.attention_weights, NOT_OF_MAPS), (clearhead.attention_scores, NOT_OF_SCORES)):
        if not_taken & set(wrong):
            continue
        given = {"q": Q, "k": K} | wrong
        with pytest.raises(error) as caught:
            call(given.pop("q"), given.pop("k"), **given)
        assert words[0] in str(caught.value)


def test_what_is_asked_for_by_name_only_cannot_be_given_by_place() -> None:
    with pytest.raises(TypeError):
        clearhead.attention(Q, K, V, masks.causal())  # type: ignore[misc]
