"""The task "classification" as the service sees it: texts with a label each, a classifier, its scores.

What ``multilabel`` does likewise is a function here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from clearhead.data.label_settings import LabelledFile
from clearhead.data.labelled import LabelledText, meaning_of, name_of, read_labelled
from clearhead.data.ledger import Ledger
from clearhead.errors import ConfigurationError, DataError, RunError, nearest
from clearhead.models.config import ModelConfig
from clearhead.models.encoder_only import EncoderOnly
from clearhead.recipes.classification import TextRecipe
from clearhead.recipes.sentences import explain
from clearhead.service.events import Scored
from clearhead.service.run_folder import RunFolder
from clearhead.service.tasks import labelled_texts
from clearhead.service.tasks.classifier import Classifier
from clearhead.service.tasks.task import Prepared, Wrap
from clearhead.tasks.class_metrics import scores_of
from clearhead.tasks.classification import Classification, log_likelihood
from clearhead.training.classifying import classifying
from clearhead.training.events import Validation
from clearhead.training.protocol import Objective
from clearhead.training.signals import StopFlag, Stopped

EXAMPLES = 3
Logits = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOutTexts:
    """Texts that nothing was learnt from, with the wanted labels. ``name``: "valid", "test", or a file's.

    ``numbered``: labels may be numbers of those that the run knows, because the file of their names was not there.
    """

    name: str
    texts: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    numbered: bool = False


class ClassificationTask:
    """See ``task.Task``."""

    def prepare(self, recipe: TextRecipe, run: RunFolder, *, accept_changes: bool = False) -> Prepared:
        """Words or pieces, labels, the corpus, sizes."""
        return labelled_texts.prepare(recipe, run, accept_changes=accept_changes)

    def open(self, recipe: TextRecipe, run: RunFolder, config: ModelConfig) -> Wrap[Classifier]:
        """A classifier with the run's words and labels.

        Raises:
            RunError: they are missing, damaged, or of other sizes than the model.
        """
        task = open_texts(recipe, run, config)
        return lambda model: Classifier(cast(EncoderOnly, model), task)

    def objective(self, recipe: TextRecipe, prepared: Prepared) -> Objective:
        """Cross-entropy with the recipe's label weights and label smoothing."""
        return classifying(label_weights(recipe, prepared, balanced), recipe.training.label_smoothing)

    def read(self, recipe: TextRecipe, split: str) -> HeldOutTexts | None:
        """All texts of the recipe's ``split``; the part held out of the training data, where that is meant."""
        return read_split(recipe, split)

    def given(self, recipe: TextRecipe, data: Sequence[Path]) -> HeldOutTexts:
        """One table with the columns of the recipe's."""
        return read_given(recipe, data)

    def validate(self, predictor: Classifier, held_out: HeldOutTexts, stop: StopFlag) -> Validation:
        """Loss and scores from one pass."""
        return validation(predictor, held_out, logits_of(predictor, held_out, stop), named_scores)

    def settle(self, predictor: Classifier, valid: HeldOutTexts | None, run: RunFolder) -> None:
        """Nothing is left to decide."""

    def score(self, predictor: Classifier, held_out: HeldOutTexts, options: Mapping[str, Any]) -> Scored:
        """Loss and scores. There are no options.

        Raises:
            ConfigurationError: an option was given.
        """
        return scored(predictor, held_out, options, named_scores)


def named_scores(scores: dict[str, float]) -> dict[str, float]:
    """Where a text has one label, an exact match is what is called accuracy."""
    return {"accuracy": scores["exact_match"], "macro_f1": scores["macro_f1"], "micro_f1": scores["micro_f1"]}


def balanced(count: int, texts: int, classes: int) -> float:
    """N / (C n); a label that no text has weighs 1."""
    return texts / (classes * count) if count else 1.0


Named = Callable[[dict[str, float]], dict[str, float]]


def open_texts(recipe: TextRecipe, run: RunFolder, config: ModelConfig) -> Classification:
    """Words and labels of a run, checked against the model's sizes."""
    learnt = labelled_texts.read_learnt(recipe, run)
    names = learnt.labels.names
    wanted = (config.source_vocabulary, config.ngram_buckets, config.classes)
    found = (learnt.reader.size, learnt.reader.buckets, len(names))
    if wanted != found:
        raise RunError(
            f"{run.path}: by {run.card_file.name} there are {wanted[0]} pieces, {wanted[1]} n-gram buckets and "
            f"{wanted[2]} labels, but by the files in tokenizer/ {found[0]}, {found[1]} and {found[2]}; do they "
            "belong to another run?"
        )
    return Classification(names, learnt.reader, recipe.data.max_length)


def label_weights(recipe: TextRecipe, prepared: Prepared, rule: Callable[[int, int, int], float]) -> Tensor | None:
    """(C,) how much each label weighs; None where all weigh 1.

    Raises:
        ConfigurationError: a weight is given for a label that the training data lacks.
    """
    counts: dict[str, int] = prepared.facts["labels"]
    if recipe.weights.kind == "none":
        return None
    if recipe.weights.kind == "balanced":
        texts = len(prepared.corpus)
        return torch.tensor([rule(count, texts, len(counts)) for count in counts.values()])
    for label in recipe.weights.given:
        if label not in counts:
            raise ConfigurationError(
                f"weights.given: no text of the training data has the label {label!r}{nearest(label, counts)}"
            )
    return torch.tensor([recipe.weights.given.get(label, 1.0) for label in counts])


def read_split(recipe: TextRecipe, split: str) -> HeldOutTexts | None:
    """The held-out texts that the recipe calls ``split``."""
    data = recipe.data
    if split == "valid" and data.valid is not None and data.valid.share is not None:
        return _held_out(split, labelled_texts.training_rows(recipe).held_out)
    file = data.test if split == "test" else data.valid.as_file() if data.valid else None
    return None if file is None else _read(recipe, split, file, Path(data.folder))


def read_given(recipe: TextRecipe, data: Sequence[Path]) -> HeldOutTexts:
    """A table named by hand, with the columns of the recipe's."""
    if len(data) != 1:
        raise ConfigurationError(f"--data: expected one table of labelled texts, got {len(data)} files")
    file = (recipe.data.test or recipe.data.train).model_dump() | {"file": str(data[0].absolute())}
    try:
        return _read(recipe, str(data[0]), LabelledFile.model_validate(file), Path("/"))
    except ValidationError as error:
        raise ConfigurationError(explain(error, LabelledFile, "--data")) from None


def logits_of(predictor: Classifier, held_out: HeldOutTexts, stop: StopFlag | None = None) -> Logits:
    """(N, C) of all texts, blank ones too, which have no answer but count in no loss either."""

    def check() -> None:
        if stop:
            raise Stopped

    return predictor.task.logits(predictor.model, held_out.texts, check)


def validation(predictor: Classifier, held_out: HeldOutTexts, logits: Logits, named: Named) -> Validation:
    """What logits amount to, on the way."""
    loss, scores, _, answers = _measured(predictor, held_out, logits)
    triples = zip(held_out.texts, held_out.labels, answers, strict=True)
    examples = [(text, ", ".join(wanted), ", ".join(given)) for text, wanted, given in triples]
    return Validation(loss, named(scores), tuple(examples[:EXAMPLES]))


def scored(predictor: Classifier, held_out: HeldOutTexts, options: Mapping[str, Any], named: Named) -> Scored:
    """Loss and scores of finished weights, and the tables behind them."""
    if options:
        raise ConfigurationError(f"{next(iter(options))!r} is no option of a classification; there are none")
    began = time.perf_counter()
    logits = logits_of(predictor, held_out)
    seconds = time.perf_counter() - began
    loss, scores, tables, _ = _measured(predictor, held_out, logits)
    lengths = map(len, predictor.task.reader.begin().rows(held_out.texts))
    details = {
        "unseen": sum(tables["unseen_labels"].values()),
        "blank": sum(not text.strip() for text in held_out.texts),
        "truncated": sum(length > predictor.longest for length in lengths),
        "texts_per_second": len(held_out.texts) / seconds,
    }
    seconds = time.perf_counter() - began
    return Scored(0, held_out.name, len(held_out.texts), "texts", loss, named(scores), details, seconds, tables)


def _measured(
    predictor: Classifier, held_out: HeldOutTexts, logits: Logits
) -> tuple[float, dict[str, float], dict[str, Any], list[tuple[str, ...]]]:
    """Loss, scores, tables and answers.

    Raises:
        DataError: training has seen none of the labels.
    """
    task, wanted = predictor.task, known_by(held_out, predictor.task.names)
    read = [place for place, text in enumerate(held_out.texts) if text.strip()]
    loss = log_likelihood(logits[read], [wanted[place] for place in read], task.names, sets=task.thresholds is not None)
    seen = {label for row in wanted for label in row} & set(task.names)
    if loss is None or (not seen and any(wanted)):
        example = next((label for row in wanted for label in row), "")
        raise DataError(
            f"training has seen none of the labels of {held_out.name}, such as {example!r}; expected labels such as "
            f"{', '.join(map(repr, task.names[:5]))}: is it another set of labels, or another column?"
        )
    likely = task.probabilities(logits)
    answers: list[tuple[str, ...]] = [()] * len(wanted)
    for place in read:
        answers[place] = task.chosen(likely[place])
    scores, tables = scores_of(answers, wanted, task.names)
    return loss, scores, tables, answers


def known_by(held_out: HeldOutTexts, names: Sequence[str]) -> list[tuple[str, ...]]:
    """The wanted labels by name, where they are numbers because the file of their names was not there."""
    if not held_out.numbered:
        return list(held_out.labels)
    known = tuple(names)
    return [tuple(name_of(label, known) or label for label in row) for row in held_out.labels]


def _held_out(name: str, rows: Sequence[LabelledText], *, numbered: bool = False) -> HeldOutTexts:
    return HeldOutTexts(name, tuple(row.text for row in rows), tuple(row.labels for row in rows), numbered)


def _read(recipe: TextRecipe, name: str, file: LabelledFile, folder: Path) -> HeldOutTexts:
    """All texts, blank ones and long ones too: a test set is scored as it is."""
    gone = recipe.data.labels is not None and not (Path(recipe.data.folder) / recipe.data.labels).is_file()
    meaning = meaning_of(recipe.data, None if gone else labelled_texts.label_names(recipe))
    found = list(read_labelled(file, folder, meaning, Ledger(strict=recipe.data.bad_lines == "refuse")))
    if not found:
        raise DataError(f"{folder / file.file}: there is no labelled text to score")
    return _held_out(name, found, numbered=gone)
