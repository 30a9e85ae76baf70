"""Every node case of the ONNX ``Attention`` operator, opsets 23 to 25, against ``clearhead.attention``.

The package ``onnx`` brings the cases with their own inputs and outputs. What differs is only how things are written:
the operator packs heads into three dimensions, gives an additive map where a boolean one is meant, hands over the cache
beside the new keys, and counts the keys that are no padding. Each case once more with its function body written out is
the same data without the operator, and left aside; nothing else is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor

import clearhead
from clearhead.mechanism import masks
from clearhead.mechanism.masks import Mask, as_mask

node = pytest.importorskip("onnx.backend.test.case.node", reason="onnx brings the cases")
with pytest.MonkeyPatch.context() as patch, numpy.errstate(all="ignore"):
    patch.setattr(node, "function_testcase_helper", lambda *_, **__: ([], 0))  # the bodies written out: slow to make
    import onnx.backend.test.case.node.attention  # noqa: F401 (importing it makes the cases)

CASES = {case.name: case for case in node._NodeTestCases if "test_attention" in case.name}
LEFT_OUT: dict[str, str] = {}  # name → why
INPUTS = ("q", "k", "v", "attn_mask", "past_key", "past_value", "nonpad")
OUTPUTS = ("y", "present_key", "present_value", "qk")
BEFORE, CAPPED, BIASED, WEIGHTS = range(4)  # what qk_matmul_output_mode asks for
TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}


def tensor(array: Any) -> Tensor:
    """An array of the package as a tensor; numpy's own bfloat16 is foreign to torch."""
    array = numpy.asarray(array)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.astype(numpy.float32)).bfloat16()
    return torch.from_numpy(array.copy())


@dataclass(frozen=True)
class Call:
    """A case in this house's words: q, k, v with the cache in them, settings, and what of q k it asks for."""

    q: Tensor
    k: Tensor
    v: Tensor
    bias: Tensor | None
    mask: Mask | None
    settings: dict[str, float | None]
    mode: int

    def scores(self) -> Tensor:
        """What ``qk_matmul_output_mode`` asks for, (B, H, T, S)."""
        if self.mode == WEIGHTS:
            return clearhead.attention_weights(self.q, self.k, mask=self.mask, bias=self.bias, **self.settings)
        bias = self.bias if self.mode == BIASED else None
        scores = clearhead.attention_scores(self.q, self.k, bias=bias, **self.settings)
        if self.mode != BIASED or self.mask is None:
            return scores
        return scores.masked_fill(~self.mask.full(*scores.shape[2:]), -math.inf)


def split(x: Tensor, heads: int) -> Tensor:
    """(B, T, H·D) → (B, H, T, D)."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def call(inputs: dict[str, Tensor], attributes: dict[str, Any]) -> Call:
    """Translate a node's inputs and attributes."""
    q, k, v = inputs["q"], inputs["k"], inputs["v"]
    if q.dim() == 3:
        groups = attributes["kv_num_heads"]
        q, k, v = split(q, attributes["q_num_heads"]), split(k, groups), split(v, groups)
    past = 0
    if "past_key" in inputs:
        past = inputs["past_key"].shape[2]
        k, v = torch.cat((inputs["past_key"], k), 2), torch.cat((inputs["past_value"], v), 2)
    offset = inputs["nonpad"] - q.shape[2] if "nonpad" in inputs else torch.tensor([past])
    allowed = [masks.lengths(inputs["nonpad"])] if "nonpad" in inputs else []
    allowed += places(attributes, offset[:, None, None, None])
    bias = None
    if "attn_mask" in inputs:
        given = inputs["attn_mask"]
        boolean = given.dtype == torch.bool
        missing = (0, k.shape[2] - given.shape[-1])  # keys it does not name are hidden
        given = torch.nn.functional.pad(given, missing, value=False if boolean else -math.inf)
        allowed += [as_mask(given)] if boolean else []
        bias = None if boolean else given
    mask = None
    for part in allowed:
        mask = part if mask is None else mask & part
    settings = {"scale": attributes.get("scale"), "softcap": attributes.get("softcap") or None}
    return Call(q, k, v, bias, mask, settings, attributes.get("qk_matmul_output_mode", BEFORE))


def places(attributes: dict[str, Any], offset: Tensor) -> list[Mask]:
    """Causal and window masks whose first query stands at ``offset`` (B or 1, 1, 1, 1)."""
    left, right = (attributes.get(f"{side}_window_size", -1) for side in ("left", "right"))
    found = [masks.where(lambda i, j: j <= i + offset)] if attributes.get("is_causal") else []
    found += [masks.where(lambda i, j: j >= i + offset - left)] if left >= 0 else []
    return found + ([masks.where(lambda i, j: j <= i + offset + right)] if right >= 0 else [])


def test_every_case_is_here_or_left_out_for_a_reason() -> None:
    assert len(CASES) == 93
    assert set(LEFT_OUT) <= set(CASES)
    assert all(LEFT_OUT.values())


@pytest.mark.parametrize("name", sorted(set(CASES) - set(LEFT_OUT)))
def test_case(name: str) -> None:
    (operator,) = CASES[name].model.graph.node
    assert operator.op_type == "Attention"
    given, wanted = CASES[name].data_sets[0]
    present = [word for word, place in zip(INPUTS, operator.input, strict=False) if place]
    inputs = dict(zip(present, map(tensor, given), strict=True))
    attributes = {a.name: a.f if a.type == a.FLOAT else a.i for a in operator.attribute}
    ours = call(inputs, attributes)
    mixed = clearhead.attention(ours.q, ours.k, ours.v, mask=ours.mask, bias=ours.bias, **ours.settings)
    results = {
        "y": mixed.transpose(1, 2).flatten(2) if inputs["q"].dim() == 3 else mixed,
        "present_key": ours.k,
        "present_value": ours.v,
    }
    asked = [word for word, place in zip(OUTPUTS, operator.output, strict=False) if place]
    if "qk" in asked:
        results["qk"] = ours.scores()
    for word, array in zip(asked, wanted, strict=True):
        right = tensor(array)
        assert results[word].dtype == right.dtype, word
        tolerance = TOLERANCE[right.dtype]
        torch.testing.assert_close(results[word].double(), right.double(), rtol=tolerance, atol=tolerance, msg=word)
