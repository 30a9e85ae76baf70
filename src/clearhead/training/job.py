"""What a training run is given: model, corpus, objective, settings, folder, seed, and who validates and stops it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor, nn

from clearhead.training.events import Validation
from clearhead.training.protocol import Corpus, Objective
from clearhead.training.settings import TrainingSettings
from clearhead.training.signals import StopFlag
from clearhead.training.weights import weights_of

Validate = Callable[[nn.Module], Validation]


@dataclasses.dataclass(frozen=True)
class TrainingJob:
    """One run.

    Attributes:
        model: on the device to train on, in float32.
        corpus: the training data, whose batches ``objective`` understands.
        objective: the loss of one batch, as this task and this model have it.
        settings: the course of the run.
        out: the run folder; checkpoints, metrics and final weights go there.
        seed: of the order of batches and of dropout.
        validate: called with the model in evaluation mode; None for no validation. It may look at ``stop`` and raise
            ``Stopped``; it is then repeated on resuming.
        stop: looked at before every batch.
        resume: go on from the newest complete checkpoint in ``out``; from the beginning where there is none yet.
        accept_changes: resume even where settings, data, versions or ``identity`` are not those of the checkpoint.
        final_weights: what is written when training is over, by name, of the model that then holds the kept weights.
        identity: anything else that must stay the same over a resume, such as fingerprints of tokenizer and model.
    """

    model: nn.Module
    corpus: Corpus
    objective: Objective
    settings: TrainingSettings
    out: Path
    seed: int
    validate: Validate | None = None
    stop: StopFlag = dataclasses.field(default_factory=StopFlag)
    resume: bool = False
    accept_changes: bool = False
    final_weights: Callable[[nn.Module], Mapping[str, Tensor]] = weights_of
    identity: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints and weights files lie."""
        return self.out / "checkpoints"
