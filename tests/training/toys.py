"""A small model, a small corpus in memory, and a run of them, for tests that need a real training loop.

The task is to copy a row of letters backwards; a few dozen updates of a model of width 32 go through several epochs.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from clearhead.data.batch import PairBatch, collate_pairs
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.training.evaluate import validation_loss
from clearhead.training.events import Event, Validation
from clearhead.training.job import TrainingJob
from clearhead.training.loop import run
from clearhead.training.settings import TrainingSettings
from clearhead.training.teacher_forcing import held_out_loss, teacher_forcing

VOCABULARY = 29
CONFIG = ModelConfig(
    width=32,
    heads=4,
    feedforward=37,
    encoder_layers=1,
    decoder_layers=1,
    dropout=0.1,
    max_positions=64,
    source_vocabulary=VOCABULARY,
    target_vocabulary=VOCABULARY,
)
SETTINGS = TrainingSettings(
    batch_tokens=160,
    updates=24,
    learning_rate=0.01,
    warmup=6,
    schedule="cosine",
    log_every=1,
    validate_every=5,
    checkpoint_every=3,
    snapshot_every=2,
    average=3,
    watch="loss",
    threads=1,
    precision="float32",
)
NO_TIME = {"seconds", "seconds_left", "tokens_per_second"}


class Letters:
    """A corpus in memory: rows of letters, and the same rows backwards."""

    def __init__(self, count: int = 130, seed: int = 5, samples: int = 1, longest: int = 11) -> None:
        chance = np.random.default_rng(seed)
        self.samples = samples
        self.sources = [
            chance.integers(4, VOCABULARY, chance.integers(1, longest + 1)).astype(np.int32) for _ in range(count)
        ]
        self.targets = [row[::-1].copy() for row in self.sources]
        self.fingerprint = hashlib.sha256(b"".join(row.tobytes() + b"|" for row in self.sources)).hexdigest()
        self.seen: list[list[int]] = []

    def lengths(self, sample: int = 0) -> np.ndarray:
        return np.array([(len(s), len(t)) for s, t in zip(self.sources, self.targets, strict=True)], dtype=np.int32)

    def rows(self, indices: Any, sample: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
        self.seen.append([int(index) for index in indices])
        return [self.sources[i] for i in indices], [self.targets[i] for i in indices]

    def batch(self, rows: Any, sample: int = 0) -> PairBatch:
        return collate_pairs(*self.rows(rows, sample))


def model(seed: int = 3, **changes: Any) -> nn.Module:
    return build_model(CONFIG.model_copy(update=changes), seed=seed)


def batches(letters: Letters, size: int) -> Iterator[PairBatch]:
    for start in range(0, len(letters.sources), size):
        yield collate_pairs(letters.sources[start : start + size], letters.targets[start : start + size])


HELD_OUT = Letters(20, seed=6)


def validate(trained: nn.Module) -> Validation:
    return Validation(
        validation_loss(trained, batches(HELD_OUT, 10), held_out_loss), {"exact_match": 0.5}, (("a", "b", "c"),)
    )


def job(out: Path, **changes: Any) -> TrainingJob:
    """A run with fresh weights; keywords of ``TrainingJob`` replace its parts, other keywords its settings."""
    parts = {field.name for field in dataclasses.fields(TrainingJob)}
    chosen = {name: value for name, value in changes.items() if name not in parts}
    settings = TrainingSettings.model_validate(SETTINGS.model_dump() | chosen)
    given = {name: value for name, value in changes.items() if name in parts}
    made: dict[str, Any] = {"settings": settings, "out": out, "seed": 11, "validate": validate}
    made["objective"] = teacher_forcing(settings.label_smoothing)
    return TrainingJob(**({"model": model(), "corpus": Letters()} | made | given))


def train(out: Path, **changes: Any) -> list[Event]:
    return list(run(job(out, **changes)))


def untimed(events: list[Any]) -> list[dict[str, Any]]:
    """Events, or lines of a metrics file, without what the clock says."""
    tables = [event if isinstance(event, dict) else event.as_dict() for event in events]
    return [{name: value for name, value in table.items() if name not in NO_TIME} for table in tables]


def history(events: list[Any]) -> list[dict[str, Any]]:
    """The recorded ones among ``events``, without what the clock says."""
    return untimed([event for event in events if event.recorded])


def fingerprint(trained: nn.Module) -> str:
    """SHA-256 over all weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(trained.state_dict().items()):
        digest.update(name.encode() + tensor.detach().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
