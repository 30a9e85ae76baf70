"""What the maps of a model's heads look like over some held-out examples, each run alone so that no padding counts."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from clearhead.inspection.capture import capture
from clearhead.inspection.glance import glance
from clearhead.service.trials.trial import Rows, Trial

Look = tuple[float, float, float]  # entropy, distance, peak


def looks_of(network: nn.Module, trial: Trial, rows: Rows) -> dict[str, list[Look]]:
    """Entropy (nats), distance (positions) and peak of every head by attention, means over examples.

    Examples of which the model reads nothing, such as blank texts, do not count; without any other there is nothing.
    ``network`` is the trial's, in evaluation mode. See ``inspection.glance``.
    """
    sums: dict[str, Tensor] = {}
    read = 0
    for row in rows:
        with capture(network) as seen:
            run_alone(trial, np.array([row]))
        read += bool(seen.records)
        for name, record in seen.records.items():
            look = glance(record.weights()[0])
            found = torch.stack([look.entropy, look.distance, look.peak], dim=1)
            sums[name] = sums[name] + found if name in sums else found
    return {name: [(e, d, p) for e, d, p in (total / read).tolist()] for name, total in sums.items()}


def run_alone(trial: Trial, rows: Rows) -> None:
    """Run the model over each of these examples by itself."""
    with torch.inference_mode():
        for row in rows:
            for _ in trial.losses(np.array([row])):
                pass
