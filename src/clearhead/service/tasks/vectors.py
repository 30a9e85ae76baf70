"""The tasks "vector-tagging" and "vector-classification" as the service sees them: one class, one object for each."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

from clearhead.data.ledger import Ledger
from clearhead.data.vector_batch import Vectors
from clearhead.data.vector_corpus import Scale, VectorCorpus, measured, prepare_vectors
from clearhead.data.vector_settings import VectorFiles
from clearhead.data.vectors import read_vectors, vector_paths
from clearhead.errors import ConfigurationError, DataError, RunError
from clearhead.models.config import ModelConfig
from clearhead.models.encoder_only import EncoderOnly
from clearhead.recipes.vectors import VectorRecipe
from clearhead.service.changes import refuse_other_files
from clearhead.service.events import Scored
from clearhead.service.run_folder import RunCard, RunFolder, write_text
from clearhead.service.start import Start
from clearhead.service.tasks.labeller import VectorLabeller
from clearhead.service.tasks.task import Prepared, Wrap
from clearhead.strict_json import read_json
from clearhead.tasks.vectors import Labelled, VectorLabels
from clearhead.training.events import Validation
from clearhead.training.labelling import vector_labelling
from clearhead.training.protocol import Objective
from clearhead.training.signals import StopFlag, Stopped

LEARNT = "vectors.json"
EXAMPLES = 3


@dataclass(frozen=True)
class HeldOutVectors:
    """Sequences that nothing was learnt from, with the wanted labels. ``name``: "valid", "test", or a file's."""

    name: str
    rows: tuple[Vectors, ...]
    labels: tuple[tuple[str, ...], ...]
    first: str  # file and row where they begin
    skipped: int  # rows that could not be used


@dataclass(frozen=True)
class _Learnt:
    """What a run knows beside its weights: the scale of the features and the labels."""

    scale: Scale
    labels: tuple[str, ...]


class VectorTask:
    """See ``task.Task``. ``per_vector``: every vector has a label, otherwise every sequence."""

    def __init__(self, *, per_vector: bool) -> None:
        self.per_vector = per_vector

    def prepare(self, recipe: VectorRecipe, run: RunFolder, *, accept_changes: bool = False) -> Prepared:
        """Scale, labels, the corpus, sizes."""
        begun = run.card_file.is_file()
        learnt = _read_learnt(run) if begun else self._learn(recipe, run)
        model = recipe.model_of(len(learnt.scale.mean), len(learnt.labels))
        if not begun:
            run.write_card(RunCard(task=recipe.task, model=model))
        corpus = self._corpus(recipe, run, learnt, accept_changes=accept_changes)
        identity = hashlib.sha256(json.dumps([learnt.scale, learnt.labels]).encode()).hexdigest()
        return Prepared(
            model=model,
            corpus=corpus,
            vocabularies=(len(learnt.labels),),
            identity={"labels": identity},
            unit="sequences",
            counted="vectors" if self.per_vector else "sequences",
            facts={
                "vectors": corpus.vectors,
                "width": len(learnt.scale.mean),
                "labels": list(learnt.labels),
                "files": corpus.inputs,
            },
            labels=learnt.labels,
        )

    def open(self, recipe: VectorRecipe, run: RunFolder, config: ModelConfig) -> Wrap[VectorLabeller]:
        """A labeller with the run's scale and labels.

        Raises:
            RunError: they are missing, damaged, or of other sizes than the model.
        """
        learnt = _read_learnt(run)
        found = (len(learnt.scale.mean), len(learnt.labels))
        if (config.input_width, config.classes) != found:
            raise RunError(
                f"{run.path}: by {run.card_file.name} vectors have {config.input_width} numbers and there are "
                f"{config.classes} labels, but by tokenizer/{LEARNT} {found[0]} and {found[1]}; do they belong to "
                "another run?"
            )
        task = VectorLabels(learnt.labels, learnt.scale.apply, found[0], recipe.data.max_length, self.per_vector)
        return lambda model: VectorLabeller(cast(EncoderOnly, model), task)

    def objective(self, recipe: VectorRecipe, prepared: Prepared) -> Objective:
        """Cross-entropy with the recipe's label smoothing."""
        return vector_labelling(recipe.training.label_smoothing)

    def read(self, recipe: VectorRecipe, split: str) -> HeldOutVectors | None:
        """All sequences of the recipe's ``split``."""
        files = recipe.data.parts.get(split)
        return None if files is None else self._read(recipe, split, files, Path(recipe.data.folder))

    def given(self, recipe: VectorRecipe, data: Sequence[Path]) -> HeldOutVectors:
        """One .npz or Parquet file with the recipe's names, or .npy files in the order vectors, labels, lengths."""
        names = [str(path.absolute()) for path in data]
        train = recipe.data.train
        if len(names) == 1 and train.file is not None:
            files = VectorFiles(vectors=train.vectors, labels=train.labels, lengths=train.lengths, file=names[0])
        elif 2 <= len(names) <= 3 and train.file is None:
            files = VectorFiles(vectors=names[0], labels=names[1], lengths=names[2] if len(names) == 3 else None)
        else:
            expected = "vectors, labels and lengths as .npy files" if train.file is None else "one file with both"
            raise ConfigurationError(f"--data: expected {expected}, as in the recipe; got {len(names)} files")
        return self._read(recipe, " and ".join(map(str, data)), files, Path("/"))

    def validate(self, predictor: VectorLabeller, held_out: HeldOutVectors, stop: StopFlag) -> Validation:
        """The loss and the scores, from one pass."""

        def check() -> None:
            if stop:
                raise Stopped

        found, loss = predictor.task.label_and_measure(predictor.model, held_out.rows, held_out.labels, check)
        scores, _ = predictor.task.measure(found, held_out.labels)
        return Validation(loss, scores, _examples(held_out, found))

    def settle(self, predictor: VectorLabeller, valid: HeldOutVectors | None, run: RunFolder) -> None:
        """Nothing is left to decide."""

    def score(self, predictor: VectorLabeller, held_out: HeldOutVectors, options: Mapping[str, Any]) -> Scored:
        """Loss and scores. There are no options.

        Raises:
            ConfigurationError: an option was given.
        """
        if options:
            raise ConfigurationError(f"{next(iter(options))!r} is no option here: the likeliest label is taken")
        began = time.perf_counter()
        _check_width(predictor, held_out)
        found, loss = predictor.task.label_and_measure(predictor.model, held_out.rows, held_out.labels)
        scores, tables = predictor.task.measure(found, held_out.labels)
        seconds = time.perf_counter() - began
        details = {
            "skipped": held_out.skipped,
            "unseen": sum(tables["unseen_labels"].values()),
            "truncated": sum(each.truncated for each in found),
            "sequences_per_second": len(found) / seconds,
        }
        return Scored(0, held_out.name, len(found), "sequences", loss, scores, details, seconds, tables)

    def _learn(self, recipe: VectorRecipe, run: RunFolder) -> _Learnt:
        ledger, folder = Ledger(strict=recipe.data.bad_lines == "refuse"), Path(recipe.data.folder)
        rows = read_vectors(recipe.data.train, folder, ledger, per_vector=self.per_vector)
        scale, labels = measured(rows, standardise=recipe.data.standardise)
        if not labels:
            raise DataError(f"no usable row in {vector_paths(recipe.data.train, folder)[0]}: {ledger.read} read")
        if (start := Start.of(run)) is not None:
            scale = _known_scale(start, len(scale.mean))
        names = tuple(sorted(labels, key=_numbers_by_size))
        table = {"mean": scale.mean, "deviation": scale.deviation, "labels": names}
        (run.path / "tokenizer").mkdir(exist_ok=True)
        write_text(run.path / "tokenizer" / LEARNT, json.dumps(table, ensure_ascii=False) + "\n")
        return _Learnt(scale, names)

    def _corpus(self, recipe: VectorRecipe, run: RunFolder, learnt: _Learnt, *, accept_changes: bool) -> VectorCorpus:
        folder, out = Path(recipe.data.folder), run.corpus / "train"
        paths = {str(path.relative_to(folder)): path for path in vector_paths(recipe.data.train, folder)}
        there = all(path.is_file() for path in paths.values())
        if (out / "corpus.json").is_file() and not (accept_changes and there):
            corpus = VectorCorpus.open(out)
            refuse_other_files(corpus.inputs, paths)
            return corpus
        numbers = {label: number for number, label in enumerate(learnt.labels)}
        return prepare_vectors(recipe.data, learnt.scale, numbers, out, per_vector=self.per_vector)

    def _read(self, recipe: VectorRecipe, name: str, files: VectorFiles, folder: Path) -> HeldOutVectors:
        """All sequences, long ones too: a test set is scored as it is."""
        ledger, width = Ledger(strict=recipe.data.bad_lines == "refuse"), self._width(recipe)
        found = list(read_vectors(files, folder, ledger, per_vector=self.per_vector, width=width))
        path = vector_paths(files, folder)[0]
        if not found:
            raise DataError(f"{path}: there is no labelled sequence to score")
        rows, labels = tuple(row.vectors for row in found), tuple(row.labels for row in found)
        return HeldOutVectors(name, rows, labels, f"{path}:{found[0].row}", ledger.read - len(found))

    def _width(self, recipe: VectorRecipe) -> int | None:
        """That of the training data, while it is there, so that other data is compared with it before training."""
        folder, train = Path(recipe.data.folder), recipe.data.train
        if not all(path.is_file() for path in vector_paths(train, folder)):
            return None
        first = next(read_vectors(train, folder, Ledger(strict=False), per_vector=self.per_vector), None)
        return None if first is None else first.vectors.shape[1]


def _known_scale(start: Start, width: int) -> Scale:
    """The scale that the model to start from was trained on: its weights know no other."""
    scale = _read_learnt(RunFolder(start.path)).scale
    if len(scale.mean) != width:
        raise DataError(
            f"the training data has vectors of {width} numbers, but the model in {start.facts['origin']} reads vectors "
            f"of {len(scale.mean)}"
        )
    return scale


def _check_width(predictor: VectorLabeller, held_out: HeldOutVectors) -> None:
    """All rows of one file are of the same width, so the first one tells."""
    if (width := held_out.rows[0].shape[1]) != predictor.task.width:
        raise DataError(f"{held_out.first}: the vectors have {width} numbers, this model reads {predictor.task.width}")


def _read_learnt(run: RunFolder) -> _Learnt:
    path = run.path / "tokenizer" / LEARNT
    table = read_json(path, max_bytes=1 << 26)
    mean, deviation, labels = (table.get(name) for name in ("mean", "deviation", "labels"))
    for name, value, kind in (("mean", mean, float), ("deviation", deviation, float), ("labels", labels, str)):
        if not (isinstance(value, list) and value and all(isinstance(each, kind) for each in value)):
            raise RunError(f"{path} is damaged: expected {name!r} to be a list of {kind.__name__}s")
    if len(mean or ()) != len(deviation or ()):
        raise RunError(f"{path} is damaged: as many deviations as means are expected")
    return _Learnt(Scale(tuple(mean or ()), tuple(deviation or ())), tuple(labels or ()))


def _numbers_by_size(label: str) -> tuple[bool, int, str]:
    """Whole numbers first and in their order, then the rest by alphabet."""
    whole = label.removeprefix("-").isdecimal() and label.isascii()
    return not whole, int(label) if whole else 0, label


def _examples(held_out: HeldOutVectors, found: Sequence[Labelled]) -> tuple[tuple[str, str, str], ...]:
    rows = zip(held_out.rows, held_out.labels, found, strict=True)
    texts = ((f"{len(row)} vectors", " ".join(wanted), " ".join(each.labels)) for row, wanted, each in rows)
    return tuple(islice(texts, EXAMPLES))
