"""Attention three times: with plain Python numbers, as the equation in float64, and by the path that is fast here.

Run with ``python examples/attention_by_hand.py``. Two queries, three keys, one head of width 2.
"""

from __future__ import annotations

import math

import torch

import clearhead
from clearhead import masks, textbook

QUERIES = [[1.0, 0.0], [0.0, 2.0]]
KEYS = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
VALUES = [[10.0, 0.0], [0.0, 10.0], [5.0, 5.0]]


def attend(query: list[float], keys: list[list[float]], values: list[list[float]]) -> list[float]:
    """One query: score every key, make the scores weights that add up to 1, mix the values by them."""
    scores = [sum(q * k for q, k in zip(query, key, strict=True)) / math.sqrt(len(query)) for key in keys]
    exponentials = [math.exp(score) for score in scores]
    weights = [e / sum(exponentials) for e in exponentials]
    return [sum(w * value[m] for w, value in zip(weights, values, strict=True)) for m in range(len(values[0]))]


def main() -> None:
    """Print the three results, and the largest difference between them."""
    by_hand = torch.tensor([attend(query, KEYS, VALUES) for query in QUERIES], dtype=torch.float64)
    q, k, v = (torch.tensor(rows, dtype=torch.float64)[None, None] for rows in (QUERIES, KEYS, VALUES))  # (1, 1, ·, 2)
    equation = textbook.attention(q, k, v)
    fast = clearhead.attention(q.float(), k.float(), v.float())
    print("by hand  ", by_hand.tolist())
    print("equation ", equation[0, 0].tolist())
    print("fast     ", fast[0, 0].tolist())
    print(f"largest difference: equation {(equation[0, 0] - by_hand).abs().max():.0e}", end=", ")
    print(f"fast {(fast[0, 0] - by_hand).abs().max():.0e}")

    weights = clearhead.attention_weights(q, k, mask=masks.causal())
    print("weights when query i sees keys 0 … i only:")
    for row in weights[0, 0].tolist():
        print("  ", "  ".join(f"{weight:.3f}" for weight in row))


if __name__ == "__main__":
    main()
