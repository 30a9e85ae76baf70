"""What must not change between a checkpoint and its continuation, and the sentences that say what did.

A continuation equals the uninterrupted run to the bit on the same machine, with the same build of torch, the same
number of threads, the same data and the same settings. Settings that only say when to speak or to save may change.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from clearhead.training.job import TrainingJob

FREE = frozenset(
    {"log_every", "checkpoint_every", "checkpoints", "save_attempts", "tensorboard", "threads", "precision"}
)


def identity(job: TrainingJob, precision: str) -> dict[str, Any]:
    """Everything that decides the numbers of ``job``, as plain values."""
    settings = job.settings.model_dump(mode="json", exclude=set(FREE))
    return {f"training.{name}": value for name, value in settings.items()} | {
        "precision": precision,
        "threads": torch.get_num_threads(),
        "seed": job.seed,
        "training data": job.corpus.fingerprint,
        "clearhead": _version(),
        "torch": str(torch.__version__),
        **dict(job.identity),
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """A phrase for each thing that was one and is another now."""
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield f"{name} was {_short(before.get(name))} and is now {_short(now.get(name))}"


def _short(value: Any) -> str:
    text = "not given" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"


def _version() -> str:
    try:
        return importlib.metadata.version("clearhead")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
