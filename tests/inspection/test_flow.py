"""Rollout and flow over layers: by hand, by the formula of two layers, and against another solver."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clearhead.errors import ConfigurationError, ShapeError
from clearhead.inspection.rollout import flow, rollout, with_residual

EXACT = {"rtol": 0, "atol": 1e-12}


def layers(count: int, length: int, heads: int = 2) -> list[torch.Tensor]:
    torch.manual_seed(count)
    return [torch.randn(heads, length, length, dtype=torch.float64).mul(2).softmax(-1) for _ in range(count)]


def test_two_layers_by_hand() -> None:
    """Â₁ = [1 0; ¼ ¾], Â₂ = [½ ½; 0 1] from A₂ = [0 1; 0 1]; R₂ = Â₂ Â₁ = [⅝ ⅜; ¼ ¾]."""
    first, second = torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])
    assert rollout([first, second])[1].tolist() == [[0.625, 0.375], [0.25, 0.75]]
    # from 0: through 0 at most ½ into input 0, through 1 at most ¼ into input 0 and ½ into input 1
    assert flow([first, second]).tolist() == [[0.75, 0.5], [0.25, 0.75]]


def test_one_layer_is_itself_and_two_have_a_formula() -> None:
    one, two = layers(2, 7)
    torch.testing.assert_close(flow([one]), with_residual(one), **EXACT)
    lower, upper = with_residual(one), with_residual(two)
    expected = torch.minimum(upper[:, :, None], lower[None]).sum(1)
    torch.testing.assert_close(flow([one, two]), expected, **EXACT)


def test_rows_of_a_rollout_sum_to_one_and_the_future_stays_out() -> None:
    causal = [layer.tril() / layer.tril().sum(-1, keepdim=True) for layer in layers(4, 9)]
    for found in rollout(causal):
        torch.testing.assert_close(found.sum(-1), torch.ones(9, dtype=torch.float64), **EXACT)
        assert found.triu(1).eq(0).all()
    assert flow(causal, rows=[3])[0, 4:].eq(0).all()


def test_flow_is_what_another_solver_finds() -> None:
    """SciPy's maximum_flow, with capacities in parts of 2²⁴."""
    graphs = pytest.importorskip("scipy.sparse.csgraph")
    sparse = pytest.importorskip("scipy.sparse")
    given, length = layers(4, 6), 6
    nodes = np.zeros((5 * length, 5 * length))
    for depth, layer in enumerate(reversed(given)):
        nodes[depth * length : (depth + 1) * length, (depth + 1) * length : (depth + 2) * length] = with_residual(layer)
    whole = sparse.csr_matrix(np.round(nodes * (1 << 24)).astype(np.int32))
    expected = [graphs.maximum_flow(whole, 2, 4 * length + s).flow_value / (1 << 24) for s in range(length)]
    assert flow(given, rows=[2])[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_map_that_is_not_square_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(H, T, T\) or \(T, T\), got \(2, 3, 4\)"):
        rollout([torch.ones(2, 3, 4)])


def test_without_layers_there_is_no_flow() -> None:
    with pytest.raises(ConfigurationError, match="at least one layer"):
        flow([])
