"""Which weights a finished run keeps: the average of its last snapshots, its best, or its last, compared where asked.

Reads and writes weights files and asks the run's own validation; it takes no step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from clearhead.errors import RunError
from clearhead.training.averaging import average
from clearhead.training.course import Course
from clearhead.training.durable import Digest, replace_file
from clearhead.training.job import TrainingJob
from clearhead.training.keeper import Keeper
from clearhead.training.scoring import better, watched
from clearhead.training.tensorfile import tensor_pieces
from clearhead.training.weights import load_weights

WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class Ending:
    """The kind of weights kept, and the watched score of each kind that was compared."""

    kept: str
    candidates: Mapping[str, float]


def choose_weights(job: TrainingJob, course: Course, keeper: Keeper) -> Ending:
    """Leave the weights that ``job.settings.keep`` asks for in the model.

    Raises:
        RunError: a weights file is damaged.
        Stopped: the validation was stopped; the model may then hold other weights than the last.
    """
    keep = job.settings.keep
    mean = _average(course, keeper) if keep in ("auto", "average") else None
    best = course.best if keep in ("auto", "best") else None
    if mean is not None:
        load_weights(job.model, mean, "the average")
    if mean is not None and best is not None and job.validate is not None:
        score = watched(job.settings.watch, job.validate(job.model))
        scores = {"average": score, "best": best.score}
        if not better(job.settings.watch, best.score, score):
            return Ending("average", scores)
        return _best(job, course, keeper, scores)
    if mean is not None:
        return Ending("average", {})
    return _best(job, course, keeper, {"best": best.score}) if best is not None else Ending("last", {})


def write_final_weights(job: TrainingJob) -> Digest:
    """Write the model's weights into the run folder, whole or not at all.

    Raises:
        RunError: they cannot be written; the message says why.
    """
    try:
        return replace_file(job.out / WEIGHTS, tensor_pieces(job.final_weights(job.model)))
    except OSError as error:
        raise RunError(
            f"{job.out / WEIGHTS} cannot be written: {error.strerror or error}; resume when it can"
        ) from error


def _best(job: TrainingJob, course: Course, keeper: Keeper, scores: Mapping[str, float]) -> Ending:
    assert course.best is not None
    load_weights(job.model, keeper.read_weights(course, course.best.update), "the best weights")
    return Ending("best", scores)


def _average(course: Course, keeper: Keeper) -> dict[str, Tensor] | None:
    """The mean of the snapshots; none where there are fewer than two."""
    if len(course.snapshots) < 2:
        return None
    return average(keeper.read_weights(course, update) for update in course.snapshots)
