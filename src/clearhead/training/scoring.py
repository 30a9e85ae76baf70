"""The one score that decides which validation was better: the loss, where less is more, or a named score."""

from __future__ import annotations

from clearhead.errors import ConfigurationError
from clearhead.training.events import Validation
from clearhead.training.settings import Watch


def watched(watch: Watch, validation: Validation) -> float:
    """The score to compare.

    Raises:
        ConfigurationError: the validation does not give it; the message says what it gives.
    """
    if watch == "loss":
        return validation.loss
    if watch not in validation.scores:
        given = ", ".join(["loss", *sorted(validation.scores)])
        raise ConfigurationError(f"training.watch is {watch!r}, but this validation gives only {given}")
    return validation.scores[watch]


def better(watch: Watch, new: float, old: float) -> bool:
    """Whether ``new`` is strictly better than ``old``; NaN never is."""
    return new < old if watch == "loss" else new > old
