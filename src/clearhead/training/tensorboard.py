"""The numbers of a run for TensorBoard, one scalar each; needs the package ``tensorboard`` (extra of the same name)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clearhead.errors import need
from clearhead.training.events import Event, Progressed, Validated

SHOWN = ("loss", "nll", "learning_rate", "gradient_norm", "tokens_per_second", "padding")


class TensorBoardLog:
    """Writes events as scalars under ``folder``."""

    def __init__(self, folder: Path, *, after: int | None = None) -> None:
        """Go on after update ``after``: later points of an interrupted run are hidden.

        Raises:
            MissingExtraError: the package is not installed.
        """
        need("tensorboard", "tensorboard")
        writer = need("torch.utils.tensorboard", "tensorboard").SummaryWriter
        self._writer: Any = writer(str(folder), purge_step=None if after is None else after + 1)

    def add(self, event: Event) -> None:
        """Write the numbers of ``event``, where it has any."""
        for name, value in scalars(event):
            self._writer.add_scalar(name, value, event.update)

    def close(self) -> None:
        """Write what is left and let go of the files."""
        self._writer.close()


def scalars(event: Event) -> Iterator[tuple[str, float]]:
    """Names and values of the curves that ``event`` adds a point to."""
    match event:
        case Progressed():
            yield from ((f"training/{name}", getattr(event, name)) for name in SHOWN)
        case Validated():
            yield from (("validation/loss", event.loss), ("validation/perplexity", event.perplexity))
            yield from ((f"validation/{name}", value) for name, value in event.scores.items())
