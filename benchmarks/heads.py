"""What every head of a translator is worth, on loss and on BLEU, and what is left when heads go one after another.

    python benchmarks/heads.py --run RUN --name multi30k

RUN is a trained translation run whose validation data is where its recipe says (recipes/multi30k-en-de.toml, say).
Every head is silenced in turn: with zeros, with its mean, and on BLEU by greedy search. Then heads go in the order of
what they are worth on the loss, and in orders by chance to compare with. The result goes to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from duel import write_result

from clearhead.service.head_importance import HeadWorth, Question, Weighing, trial_of_run
from clearhead.service.load import load
from clearhead.service.prune import chosen_heads

ORDERS = 3
POINTS = (6, 12, 18, 24, 30, 36)


def main() -> None:
    """Measure, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--name", required=True, help="of the result: heads-NAME.json")
    arguments = parser.parse_args()
    began = time.perf_counter()
    predictor = load(arguments.run, device="cpu")
    trial = trial_of_run(arguments.run, predictor)

    def weighing(**question: Any) -> Weighing:
        return Weighing(predictor.model, trial, Question(**question))

    on_loss, on_mean, on_bleu = (
        weighing(slopes=True),
        weighing(replace="mean"),
        weighing(metric="bleu"),
    )
    worths = list(on_loss.heads())
    means, bleus = list(on_mean.heads()), list(on_bleu.heads())
    most = len(worths) - len(on_loss.places)
    order = chosen_heads(worths, most)
    report = {
        "run": arguments.run.name,
        "pairs": trial.count,
        "parameters": sum(parameter.numel() for parameter in predictor.model.parameters()),
        "intact": {"loss": vars_of(on_loss.intact), "greedy_bleu": vars_of(on_bleu.intact)},
        "heads": [one_head(*each) for each in zip(worths, means, bleus, strict=True)],
        "rank_correlations": {
            "loss and BLEU": ranks_agree(worths, bleus),
            "loss and first-order estimate": ranks_agree(
                worths, [replace(head, worth=head.slope or 0.0) for head in worths]
            ),
            "zero and mean": ranks_agree(worths, means),
        },
        "pruning_by_worth": curve(on_loss, on_bleu, order, most),
        "pruning_by_chance": [by_chance(on_loss, on_bleu, worths, most, seed) for seed in range(ORDERS)],
        "seconds": round(time.perf_counter() - began, 1),
    }
    write_result(f"heads-{arguments.name}", report)


def one_head(loss: HeadWorth, mean: HeadWorth, bleu: HeadWorth) -> dict[str, Any]:
    """What there is to say of one head."""
    return {
        "name": loss.name,
        "head": loss.head,
        "loss": vars_of(loss.difference),
        "loss_with_mean": vars_of(mean.difference),
        "greedy_bleu": vars_of(bleu.difference),
        "first_order": round(loss.slope or 0.0, 5),
        "entropy": round(loss.entropy, 3),
        "distance": round(loss.distance, 3),
        "peak": round(loss.peak, 3),
    }


def curve(on_loss: Weighing, on_bleu: Weighing, order: Sequence[HeadWorth], most: int) -> list[dict[str, Any]]:
    """Loss and BLEU without the first 1, 2, … heads of ``order``."""
    return [
        {
            "removed": loss.removed,
            "last": f"{loss.name} {loss.head}",
            "loss": round(loss.score, 4),
            "greedy_bleu": round(bleu.score, 2),
            "greedy_bleu_difference": vars_of(bleu.difference),
        }
        for loss, bleu in zip(on_loss.curve(order, most), on_bleu.curve(order, most), strict=True)
    ]


def by_chance(
    on_loss: Weighing, on_bleu: Weighing, worths: Sequence[HeadWorth], most: int, seed: int
) -> list[dict[str, Any]]:
    """The same at some points of an order by chance."""
    values = np.random.default_rng(seed).permutation(len(worths)).tolist()
    order = chosen_heads([replace(head, worth=float(value)) for head, value in zip(worths, values, strict=True)], most)
    found = []
    for point in (point for point in POINTS if point <= most):
        heads: dict[str, list[int]] = {}
        for head in order[:point]:
            heads.setdefault(head.name, []).append(head.head)
        loss, bleu = on_loss.without(heads), on_bleu.without(heads)
        found.append({"removed": point, "loss": round(loss[0], 4), "greedy_bleu": round(bleu[0], 2)})
    return found


def ranks_agree(first: Sequence[HeadWorth], second: Sequence[HeadWorth]) -> float:
    """Spearman's rank correlation of what heads are worth."""
    ranks = [np.argsort(np.argsort([head.worth for head in heads])) for heads in (first, second)]
    return round(float(np.corrcoef(*ranks)[0, 1]), 3)


def vars_of(interval: Any) -> dict[str, float]:
    """A value and its 95 % interval, rounded."""
    return {name: round(getattr(interval, name), 4) for name in ("value", "low", "high")}


if __name__ == "__main__":
    main()
