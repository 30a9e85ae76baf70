"""Small attention problems for tests: tensors of unequal prime sizes, and masks beside maps written out by rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.mechanism import masks, paths, textbook
from clearhead.mechanism.masks import Mask
from clearhead.mechanism.paths import Problem

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
# Largest absolute difference from float64 allowed for outputs and gradients of unit-variance problems.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 8e-2}
B, H, G, T, S, D, M = 2, 6, 3, 5, 7, 11, 13

PATHS: dict[str, Callable[[Problem], Tensor]] = {
    "products": paths.products,
    "fused": paths.fused,
    "streamed": paths.streamed,
    "chosen": lambda problem: paths.choose(problem)(problem),
}
LAYOUTS = ("dense", "heads last", "strided", "broadcast")

Rule = Callable[[int, int, int], bool]  # (sentence, query row, key column) -> may look


@dataclass(frozen=True)
class MaskCase:
    """An expression of the library beside the same thing said as a rule."""

    expression: Mask
    rule: Rule
    queries: int = T
    keys: int = S

    def written_out(self, batch: int = B) -> Tensor:
        """The map (B, 1, T, S), built entry by entry from the rule."""
        rows = range(self.queries)
        cells = [[[self.rule(b, i, j) for j in range(self.keys)] for i in rows] for b in range(batch)]
        return torch.tensor(cells, dtype=torch.bool).reshape(batch, 1, self.queries, self.keys)


EDGES = [(0, 6), (3, 3), (3, 1), (6, 0), (2, 5), (0, 0), (6, 0)]
DOCUMENTS = [[0, 0, 0, 1, 1, 2, 2], [5, 5, 5, 5, 5, 5, 3]]
LENGTHS = [3, 7]
GIVEN = torch.tensor([[[True, False, True, True, False, False, True]]] * B)[:, None]  # (B, 1, 1, S)


def mask_cases() -> dict[str, MaskCase]:
    """Every expression alone and in compositions."""
    causal, window, lengths = masks.causal(), masks.window(1, 2), masks.lengths(torch.tensor(LENGTHS))
    graph, documents = masks.graph(torch.tensor(EDGES), S), masks.documents(torch.tensor(DOCUMENTS))
    every_third = masks.where(lambda i, j: (i + j) % 3 != 0)

    def in_window(i: int, j: int) -> bool:
        return i - 1 <= j <= i + 2

    return {
        "causal": MaskCase(causal, lambda b, i, j: j <= i),
        "causal, square": MaskCase(causal, lambda b, i, j: j <= i, S, S),
        "causal, more queries": MaskCase(causal, lambda b, i, j: j <= i, S, T),
        "causal(2)": MaskCase(masks.causal(2), lambda b, i, j: j <= i + 2),
        "causal(-2)": MaskCase(masks.causal(-2), lambda b, i, j: j <= i - 2),
        "causal(2), square": MaskCase(masks.causal(2), lambda b, i, j: j <= i + 2, S, S),
        "causal(-2), square": MaskCase(masks.causal(-2), lambda b, i, j: j <= i - 2, S, S),
        "causal(-9)": MaskCase(masks.causal(-9), lambda b, i, j: False),
        "causal(9)": MaskCase(masks.causal(9), lambda b, i, j: True),
        "window": MaskCase(window, lambda b, i, j: in_window(i, j)),
        "window(0, 0)": MaskCase(masks.window(0, 0), lambda b, i, j: i == j),
        "window(99, 0)": MaskCase(masks.window(99, 0), lambda b, i, j: j <= i),
        "window beyond the keys": MaskCase(masks.window(1, 0), lambda b, i, j: i - 1 <= j <= i, 11, 5),
        "lengths": MaskCase(lengths, lambda b, i, j: j < LENGTHS[b]),
        "lengths with 0": MaskCase(masks.lengths(torch.tensor([0, 4])), lambda b, i, j: j < (0, 4)[b]),
        "graph": MaskCase(graph, lambda b, i, j: (i, j) in EDGES, S, S),
        "documents": MaskCase(documents, lambda b, i, j: DOCUMENTS[b][i] == DOCUMENTS[b][j], S, S),
        "not_self": MaskCase(masks.not_self(), lambda b, i, j: i != j),
        "where": MaskCase(every_third, lambda b, i, j: (i + j) % 3 != 0),
        "given": MaskCase(masks.as_mask(GIVEN), lambda b, i, j: bool(GIVEN[b, 0, 0, j])),
        "causal & lengths": MaskCase(causal & lengths, lambda b, i, j: j <= i and j < LENGTHS[b]),
        "causal & ~window": MaskCase(causal & ~window, lambda b, i, j: j <= i and not in_window(i, j)),
        "window | where": MaskCase(window | every_third, lambda b, i, j: in_window(i, j) or (i + j) % 3 != 0),
        "~causal": MaskCase(~causal, lambda b, i, j: j > i),
        "window & causal(-3)": MaskCase(window & masks.causal(-3), lambda b, i, j: in_window(i, j) and j <= i - 3),
        "given & not_self": MaskCase(
            masks.not_self() & GIVEN, lambda b, i, j: bool(GIVEN[b, 0, 0, j]) and i != j
        ),
        "~(documents | graph) & causal": MaskCase(
            ~(documents | graph) & causal,
            lambda b, i, j: not (DOCUMENTS[b][i] == DOCUMENTS[b][j] or (i, j) in EDGES) and j <= i,
            S,
            S,
        ),
    }  # fmt: skip


def tensor(shape: tuple[int, ...], seed: int, layout: str = "dense") -> Tensor:
    """Float64 normal values of a shape, in one of several memory layouts with the same meaning."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*sizes: int) -> Tensor:
        return torch.randn(*sizes, dtype=torch.float64, generator=generator)

    if layout == "heads last":  # as a projection leaves them: (B, T, H, D) seen as (B, H, T, D)
        return draw(shape[0], shape[2], shape[1], shape[3]).transpose(1, 2)
    if layout == "strided":
        return draw(*shape[:2], 2 * shape[2], 3 * shape[3])[:, :, ::2, ::3]
    if layout == "broadcast":
        return draw(1, *shape[1:]).expand(*shape)
    return draw(*shape)


def queries_keys_values(
    queries: int = T, keys: int = S, *, heads: int = H, groups: int = H, layout: str = "dense"
) -> tuple[Tensor, Tensor, Tensor]:
    """q, k, v in float64."""
    shapes = (B, heads, queries, D), (B, groups, keys, D), (B, groups, keys, M)
    q, k, v = (tensor(shape, seed, layout) for seed, shape in enumerate(shapes))
    return q, k, v


def cast(tensors: tuple[Tensor, ...], dtype: torch.dtype, device: str = "cpu") -> tuple[Tensor, ...]:
    """Copies in another precision and place that keep strides where the dtype stays, ready to receive gradients."""
    return tuple(x.detach().to(device=device, dtype=dtype).requires_grad_() for x in tensors)


def gradients(output: Tensor, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """Gradients of one fixed random projection of the output."""
    direction = torch.randn(output.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(99))
    return list(torch.autograd.grad((output * direction.to(output)).sum(), inputs, allow_unused=False))


def expected(inputs: tuple[Tensor, ...], **settings: object) -> tuple[Tensor, list[Tensor]]:
    """Output and gradients of the textbook in float64 for the values that ``inputs`` (q, k, v, maybe bias) hold."""
    exact = tuple(x.detach().cpu().double().requires_grad_() for x in inputs)
    bias = exact[3] if len(exact) > 3 else None
    output = textbook.attention(*exact[:3], bias=bias, **settings)  # type: ignore[arg-type]
    return output, gradients(output, exact)


def largest_difference(a: Tensor, b: Tensor) -> float:
    """max |a − b| in float64; infinite where shapes differ or either holds a NaN."""
    if a.shape != b.shape:
        return float("inf")
    difference = (a.detach().cpu().double() - b.detach().cpu().double()).abs()
    return float(difference.nan_to_num(nan=float("inf")).max()) if difference.numel() else 0.0


def agree(got: tuple[Tensor, list[Tensor]], wanted: tuple[Tensor, list[Tensor]], tolerance: float) -> None:
    """Output and gradients agree; the message names what does not."""
    assert largest_difference(got[0], wanted[0]) <= tolerance, f"output by {largest_difference(got[0], wanted[0])}"
    for name, ours, theirs in zip(("q", "k", "v", "bias"), got[1], wanted[1], strict=False):
        difference = largest_difference(ours, theirs)
        assert difference <= tolerance * 8, f"gradient of {name} by {difference}"
