"""A Transformer beside an LSTM on copying over growing distances: time per update, and how much is remembered.

    python benchmarks/recurrent.py [--lengths 16 32 64 128 256] [--updates 1000] [--threads 2]

The task (after Hochreiter & Schmidhuber 1997, and the copying memory of Arjovsky et al. 2016, arXiv 1511.06464): 8
random symbols, then LENGTH symbols that mean nothing, then a sign, then the 8 symbols again; only these count. Both are
language models of this library with about as many parameters, trained by the same loop on the same batches: a
Transformer reads a row at once, whatever its length; an LSTM reads it symbol by symbol and must carry what it has read.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from duel import write_result
from numpy.typing import NDArray
from torch import nn

from clearhead.data.packing import TextBatch
from clearhead.models.account import account
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.text.tokenizer import START
from clearhead.training.events import Progressed
from clearhead.training.job import TrainingJob
from clearhead.training.loop import run
from clearhead.training.next_token import next_token
from clearhead.training.settings import TrainingSettings

COPIED, SYMBOLS, NOISE = 8, 8, 8
FIRST = 4  # the first symbol; below are the special ones
SIGN = FIRST + SYMBOLS + NOISE
VOCABULARY = SIGN + 1
ROWS = 32
CHANCE = 1 / SYMBOLS
BODIES: dict[str, dict[str, Any]] = {
    "transformer": {"body": "transformer", "width": 64, "heads": 4, "decoder_layers": 2, "feedforward": 128},
    "lstm": {"body": "lstm", "width": 64, "decoder_layers": 2},
}
RATES = {"transformer": 0.003, "lstm": 0.005}


class CopyBatch(TextBatch):
    """Rows of which only the end counts, the masked-in copy: a part of the batch has all their steps."""

    def split(self, parts: int) -> list[TextBatch]:
        """At most ``parts`` batches of nearly equal numbers of rows, in order, none of them cut shorter."""
        size = -(-len(self) // parts)
        return [self._whole(slice(start, start + size)) for start in range(0, len(self), size)]

    def _whole(self, rows: slice) -> TextBatch:
        mask = self.mask[rows]
        return CopyBatch(self.ids[rows], self.targets[rows], mask, None, int(mask.sum()))


@dataclass(frozen=True)
class Copying:
    """Rows made when they are asked for, row n always the same: what training needs of a corpus."""

    distance: int
    rows: int
    samples: int = 1

    @property
    def fingerprint(self) -> str:
        """The task itself."""
        return f"copying {COPIED} over {self.distance}, {self.rows} rows"

    def __len__(self) -> int:
        """How many rows there are."""
        return self.rows

    @property
    def length(self) -> int:
        """Steps of a row."""
        return COPIED + self.distance + 1 + COPIED

    def lengths(self, sample: int = 0) -> NDArray[np.int32]:
        """(N, 1), all the same."""
        return np.full((self.rows, 1), self.length - 1, dtype=np.int32)

    def batch(self, rows: NDArray[np.int64], sample: int = 0) -> TextBatch:
        """These rows; only the copy counts."""
        targets = torch.from_numpy(np.stack([self._row(int(row)) for row in rows]))
        start = torch.full((len(rows), 1), START)
        mask = torch.zeros(targets.shape, dtype=torch.bool)
        mask[:, -COPIED:] = True
        return CopyBatch(torch.cat([start, targets[:, :-1]], dim=1), targets, mask, None, int(mask.sum()))

    def _row(self, number: int) -> NDArray[np.int64]:
        chance = np.random.default_rng((self.distance, number))
        symbols = chance.integers(FIRST, FIRST + SYMBOLS, COPIED)
        noise = chance.integers(FIRST + SYMBOLS, SIGN, self.distance)
        return np.concatenate([symbols, noise, [SIGN], symbols])


def accuracy(model: nn.Module, task: Copying, batches: int = 8) -> float:
    """The share of copied symbols that are the most probable at their place, on rows never trained on."""
    right = total = 0
    model.eval()
    with torch.inference_mode():
        for place in range(batches):
            batch = task.batch(np.arange(ROWS) + task.rows + place * ROWS)
            best = cast(Any, model).logits(batch.ids).argmax(-1)
            right += int((best == batch.targets)[batch.mask].sum())
            total += batch.tokens
    return right / total


def one_run(body: str, distance: int, updates: int, threads: int) -> dict[str, Any]:
    """Train one model on one distance."""
    task = Copying(distance, rows=ROWS * updates)
    sizes = {"source_vocabulary": VOCABULARY, "target_vocabulary": VOCABULARY, "dropout": 0.0}
    config = ModelConfig.model_validate({"architecture": "decoder", **sizes, **BODIES[body]})
    model = build_model(config, seed=1)
    settings = TrainingSettings(
        batch_tokens=ROWS * task.length,
        updates=updates,
        learning_rate=RATES[body],
        schedule="cosine",
        warmup=updates // 10,
        label_smoothing=0.0,
        log_every=updates,
        checkpoint_every=1 << 30,
        snapshot_every=1 << 30,
        keep="last",
        threads=threads,
        precision="float32",
    )
    job = TrainingJob(model, task, next_token(0.0), settings, Path(tempfile.mkdtemp()), seed=1)
    began, told = time.perf_counter(), None
    for event in run(job):
        told = event if isinstance(event, Progressed) else told
    assert told is not None
    seconds = time.perf_counter() - began
    return {
        "parameters": account(config).total,
        "accuracy": round(accuracy(model, task), 4),
        "loss": round(told.nll, 4),
        "milliseconds_per_update": round(1000 * told.tokens / told.tokens_per_second / updates, 2),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    """Both models, distance by distance, in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 32, 64, 128, 256])
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    rows = []
    for distance in arguments.lengths:
        row = {name: one_run(name, distance, arguments.updates, arguments.threads) for name in BODIES}
        rows.append({"distance": distance, **row})
        print(rows[-1])
    what = {"task": f"copy {COPIED} of {SYMBOLS} symbols over a distance", "chance": CHANCE, "rows_per_update": ROWS}
    write_result("recurrent", {**what, "updates": arguments.updates, "threads": arguments.threads, "distances": rows})


if __name__ == "__main__":
    main()
