"""Records what the heads do while a run is trained: at each validation their measures, and the maps of some sentences.

It attaches from outside, between two steps of the run: the model is looked at in evaluation mode, nothing is drawn from
the run's random numbers, and so training takes the very steps it would have taken. A resumed run forgets what was
recorded after the update it goes on from, and records that again. Files are as ``recording`` reads them.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from clearhead.errors import ConfigurationError, DataError
from clearhead.inspection.inspection import Inspection
from clearhead.recipes.recording import RecordingSettings
from clearhead.service.head_looks import looks_of
from clearhead.service.recording import LINES, MAPS, MEASURES, maps_file
from clearhead.service.tasks.task import Predictor
from clearhead.service.trials.trial import Trial, as_in_use
from clearhead.training import durable
from clearhead.training.events import Event
from clearhead.training.metrics import MetricsFile
from clearhead.training.settings import TrainingSettings
from clearhead.training.tensorfile import tensor_pieces

DIGITS = 5


@dataclass(frozen=True, slots=True)
class HeadsRecorded(Event):
    """What the heads did was recorded: a line of ``heads.jsonl``. ``failed`` says why its maps could not be written."""

    kind: ClassVar[str] = "heads"

    measures: Mapping[str, Mapping[str, tuple[float, ...]]]
    sentences: tuple[Mapping[str, tuple[str, ...]], ...]
    failed: str = ""


class Recorder:
    """Records into the folder of a run, ``after`` the update it goes on from; None for one that begins.

    Raises:
        ConfigurationError: one of the sentences cannot be looked at.
    """

    def __init__(
        self, folder: Path, settings: RecordingSettings, predictor: Predictor, trial: Trial, after: int | None
    ) -> None:
        self.folder, self.settings = folder, settings
        self.predictor, self.trial = predictor, trial
        self.rows = trial.rows(settings.measured)
        _forget(folder, -1 if after is None else after)
        self._try_sentences()
        self.lines = MetricsFile(folder / LINES, after=after)

    def _try_sentences(self) -> None:
        """Look at each once, so that one that cannot be looked at ends no training that is under way."""
        for number, text in enumerate(self.settings.sentences, start=1):
            try:
                with as_in_use(self.predictor.model), _own_chance(self.predictor.device):
                    self._view(text)
            except (ConfigurationError, DataError) as error:
                raise ConfigurationError(f"recording.sentences: number {number}, {text[:60]!r}: {error}") from None

    def record(self, update: int) -> HeadsRecorded:
        """Look at the model as it is after ``update`` updates; a disk that refuses costs nothing but this."""
        with as_in_use(self.predictor.model), _own_chance(self.predictor.device):
            measures = self._measures() if self.settings.measures else {}
            views = list(self._views())
        failed = self._write_maps(update, views)
        tokens = () if failed else tuple(_tokens(view, self.settings.longest) for view in views)
        event = HeadsRecorded(update, measures, tokens, failed)
        self.lines.add(event)
        return event

    def close(self) -> None:
        """Write what is left and let go of the files."""
        self.lines.close()

    def _measures(self) -> dict[str, dict[str, tuple[float, ...]]]:
        looks = looks_of(self.predictor.model, self.trial, self.rows)
        return {
            name: {
                measure: tuple(round(values, DIGITS) for values in column)
                for measure, column in zip(MEASURES, zip(*heads, strict=True), strict=True)
            }
            for name, heads in looks.items()
        }

    def _views(self) -> Iterator[Inspection]:
        for text in self.settings.sentences:
            yield self._view(text)
        if not self.settings.sentences:
            yield from itertools.islice(self._examples(), self.settings.examples)

    def _view(self, text: str) -> Inspection:
        """The maps of one of the sentences."""
        source, tab, target = text.partition("\t")
        return self.predictor.inspect(self.predictor.parse(source), target if tab else None)

    def _examples(self) -> Iterator[Inspection]:
        """The validation examples in order, without those that have nothing in them."""
        for row in range(self.trial.count):
            with contextlib.suppress(ConfigurationError):
                yield self.trial.look(row)

    def _write_maps(self, update: int, views: list[Inspection]) -> str:
        """Write the maps, whole or not at all; why that failed, where it did."""
        if not views:
            return ""
        longest = self.settings.longest
        maps: dict[str, Tensor] = {}
        for number, view in enumerate(views):
            for name, record in view.attentions.items():
                maps[f"{number}.{name}"] = record.weights()[0, :, :longest, :longest].to(torch.float16).cpu()
        try:
            durable.make_folder(self.folder / MAPS)
            durable.replace_file(maps_file(self.folder, update), tensor_pieces(maps))
        except OSError as error:
            return error.strerror or str(error)
        return ""


def is_due(settings: RecordingSettings, training: TrainingSettings, update: int) -> bool:
    """Whether the validation after ``update`` updates is one of the at most ``most`` that are recorded."""
    number, between = divmod(update, training.validate_every)
    every = math.ceil(training.updates / training.validate_every / settings.most)
    return number % every == 0 or between > 0 or update == training.updates


def _tokens(view: Inspection, longest: int) -> dict[str, tuple[str, ...]]:
    return {"source": tuple(view.source[:longest]), "target": tuple(view.target[:longest])}


def _forget(folder: Path, after: int) -> None:
    """Remove the maps of updates that will be done again, and what a kill left half written."""
    if (folder / MAPS).is_dir():
        durable.remove_leftovers(folder / MAPS)
        for path in sorted((folder / MAPS).glob("update-*.safetensors")):
            if after < 0 or path > maps_file(folder, after):
                durable.remove(path)


@contextlib.contextmanager
def _own_chance(device: torch.device) -> Iterator[None]:
    """Whatever is drawn inside, the random numbers outside go on as if nothing had been."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
