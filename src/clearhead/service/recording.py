"""What the heads of a run did while it was trained, as plain data: read from the run folder, for a page to play back.

    heads.jsonl                       one line a recording: update, measures of every head, tokens of the sentences
    maps/update-00001000.safetensors  the maps of that update, (H, T, S) float16; ``0.encoder.0.self`` of sentence 0

``recorder`` writes them. Files may come from anywhere, so all that is read is checked, and no name in them is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearhead.errors import ConfigurationError, RunError
from clearhead.service.run_folder import RunFolder
from clearhead.strict_json import parse_json
from clearhead.training.tensorfile import read_tensors

LINES, MAPS = "heads.jsonl", "maps"
MEASURES = ("entropy", "distance", "peak")
MAX_BYTES = 1 << 28
Measured = Mapping[str, Mapping[str, tuple[float, ...]]]


@dataclass(frozen=True, slots=True)
class Sentence:
    """The tokens of a sentence whose maps were kept. In a model with one side both are the same."""

    source: tuple[str, ...]
    target: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """What was recorded after ``update`` updates: ``measures[attention][measure]`` has a number a head."""

    update: int
    measures: Measured
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True)
class Recording:
    """All frames of a run, oldest first."""

    path: Path
    frames: tuple[Frame, ...]

    def maps(self, frame: int, sentence: int) -> dict[str, NDArray[np.float16]]:
        """The maps (H, T, S) of one sentence in one frame, by attention.

        Raises:
            ConfigurationError: there is no such frame or sentence.
            RunError: the file of maps is missing or damaged.
        """
        _check("frame", frame, len(self.frames))
        chosen = self.frames[frame]
        _check("sentence", sentence, len(chosen.sentences))
        prefix = f"{sentence}."
        tensors = read_tensors(maps_file(self.path, chosen.update))
        return {name.removeprefix(prefix): x.numpy() for name, x in tensors.items() if name.startswith(prefix)}

    def as_dict(self) -> dict[str, Any]:
        """Everything but the maps, as plain data."""
        return {
            "frames": [
                {
                    "update": frame.update,
                    "measures": {name: dict(each) for name, each in frame.measures.items()},
                    "sentences": [{"source": each.source, "target": each.target} for each in frame.sentences],
                }
                for frame in self.frames
            ]
        }


def read_recording(run: str | Path) -> Recording:
    """What was recorded while the run in ``run`` was trained, so far.

    Raises:
        RunError: it is no run, nothing was recorded, or a file is damaged; the message names it.
    """
    folder = RunFolder.open(run).path
    path = folder / LINES
    if not path.is_file():
        raise RunError(f"{folder} has no {LINES}: nothing was recorded; a recipe asks for it with a table [recording]")
    if path.stat().st_size > MAX_BYTES:
        raise RunError(f"{path}: expected at most {MAX_BYTES} bytes, but the file is larger")
    lines = path.read_bytes().split(b"\n")[:-1]  # what stands behind the last line end was never finished
    frames = [_frame(parse_json(line, f"{path}:{number}"), f"{path}:{number}") for number, line in enumerate(lines, 1)]
    return Recording(folder, tuple(frames))


def maps_file(folder: Path, update: int) -> Path:
    """Where the maps of one update lie."""
    return folder / MAPS / f"update-{update:08}.safetensors"


def _frame(table: dict[str, Any], where: str) -> Frame:
    try:
        measures = {
            str(name): {str(measure): tuple(float(x) for x in values) for measure, values in each.items()}
            for name, each in table["measures"].items()
        }
        sentences = tuple(Sentence(_tokens(each["source"]), _tokens(each["target"])) for each in table["sentences"])
        return Frame(int(table["update"]), measures, sentences)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{where} is damaged: expected update, measures and sentences, got {error!r}") from None


def _tokens(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise TypeError("tokens that are no list of strings")
    return tuple(values)


def _check(what: str, number: int, count: int) -> None:
    if number not in range(count):
        raise ConfigurationError(f"{what}: expected a number from 0 to {count - 1}, got {number}")
