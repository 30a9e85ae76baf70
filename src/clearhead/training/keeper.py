"""Keeps a run on the disk: checkpoints and weights files, the removal of old ones, and patience with a disk that fails.

A write that fails costs nothing but itself: what was there stays, an event tells, and only several failures in a row
end the run. Old files go only after the new checkpoint has been read back.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor, nn

from clearhead.errors import RunError
from clearhead.training import checkpoint, durable
from clearhead.training.checkpoint import Checkpoint
from clearhead.training.course import Course
from clearhead.training.durable import Digest
from clearhead.training.events import Saved, SaveFailed
from clearhead.training.tensorfile import read_tensors, tensor_pieces
from clearhead.training.weights import weights_of


class Keeper:
    """Writes under ``folder``; keeps ``checkpoints`` of them; gives up after ``attempts`` failures in a row."""

    def __init__(self, folder: Path, checkpoints: int, attempts: int) -> None:
        self.folder = folder
        self.checkpoints = checkpoints
        self.attempts = attempts
        self.failures = 0
        self.newest: Path | None = None
        self.saved_at: int | None = None

    def keep_checkpoint(self, whole: Checkpoint) -> Saved | SaveFailed:
        """Save ``whole``; then, and only then, remove what it makes superfluous.

        Raises:
            RunError: that was one failure too many; it names the last good checkpoint.
        """
        began = time.perf_counter()

        def write() -> None:
            self.newest = checkpoint.save(self.folder, whole)

        if failed := self._try(write, whole.update):
            return failed
        self.failures, self.saved_at = 0, whole.update
        with contextlib.suppress(OSError):  # what could not be removed now is removed after the next save
            checkpoint.retire(self.folder, whole.update, self.checkpoints)
            checkpoint.sweep(self.folder, frozenset(whole.beside))
        return Saved(whole.update, str(self.newest), time.perf_counter() - began)

    def keep_weights(self, course: Course, model: nn.Module) -> SaveFailed | None:
        """Write the weights as they are after ``course.update``, and note their digest in ``course``."""
        update = course.update
        if update in course.weights:
            return None

        def write() -> None:
            course.weights[update] = self.write_weights(checkpoint.weights_name(update), weights_of(model))

        return self._try(write, update)

    def write_weights(self, name: str, tensors: Mapping[str, Tensor]) -> Digest:
        """Write a weights file, whole or not at all."""
        path = self.folder / name
        durable.make_folder(path.parent)
        return durable.replace_file(path, tensor_pieces(tensors))

    def read_weights(self, course: Course, update: int) -> dict[str, Tensor]:
        """The weights kept after ``update``, checked."""
        return read_tensors(self.folder / checkpoint.weights_name(update), course.weights[update])

    def sweep(self, course: Course) -> None:
        """Remove weights files that neither a checkpoint nor ``course`` needs; a failure to remove is no harm."""
        with contextlib.suppress(OSError):
            checkpoint.sweep(self.folder, frozenset(beside(course)))

    def last_good(self) -> str:
        """The end of a sentence about how to go on."""
        return f"the last good checkpoint is {self.newest}" if self.newest else "there is no checkpoint yet"

    def _try(self, write: Callable[[], None], update: int) -> SaveFailed | None:
        try:
            write()
        except (OSError, RunError) as error:
            self.failures += 1
            if self.failures >= self.attempts:
                raise RunError(
                    f"training stopped after update {update}: {self.failures} attempts to save failed in a row, "
                    f"the last with: {error}; {self.last_good()}"
                ) from error
            return SaveFailed(update, str(error), self.failures)
        return None


def beside(course: Course) -> dict[str, Digest]:
    """The weights files that ``course`` needs, by name, as a checkpoint lists them."""
    return {checkpoint.weights_name(update): digest for update, digest in sorted(course.weights.items())}
