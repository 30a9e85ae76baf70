"""The one score that decides which validation was better: the loss, where less is more, or a named score."""

from __future__ import annotations

from clearhead.errors import ConfigurationError, nearest
from clearhead.training.events import Validation


def watched(watch: str, validation: Validation) -> float:
    """The score to compare.

    Raises:
        ConfigurationError: the validation does not give it; the message says what it gives.
    """
    if watch == "loss":
        return validation.loss
    if watch not in validation.scores:
        given = ["loss", *sorted(validation.scores)]
        raise ConfigurationError(
            f"training.watch is {watch!r}{nearest(watch, given)}, but this validation gives only {', '.join(given)}"
        )
    return validation.scores[watch]


def better(watch: str, new: float, old: float) -> bool:
    """Whether ``new`` is strictly better than ``old``; NaN never is."""
    return new < old if watch == "loss" else new > old
