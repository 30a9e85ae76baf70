"""The task "multilabel" as the service sees it: texts with any number of labels, and thresholds for giving them.

Tuned thresholds are part of the run: they are chosen on validation data when the weights are final, and lie in
``thresholds.json``. On the way every validation tunes its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from clearhead.errors import RunError
from clearhead.models.config import ModelConfig
from clearhead.models.encoder_only import EncoderOnly
from clearhead.recipes.classification import MultilabelRecipe
from clearhead.service.events import Scored
from clearhead.service.run_folder import RunFolder, write_text
from clearhead.service.tasks import labelled_texts
from clearhead.service.tasks.classification import (
    HeldOutTexts,
    Logits,
    known_by,
    label_weights,
    logits_of,
    open_texts,
    read_given,
    read_split,
    scored,
    validation,
)
from clearhead.service.tasks.classifier import Classifier
from clearhead.service.tasks.task import Prepared, Wrap
from clearhead.strict_json import read_json
from clearhead.tasks.classification import marked
from clearhead.tasks.thresholds import tune
from clearhead.training.classifying import classifying
from clearhead.training.events import Validation
from clearhead.training.protocol import Objective
from clearhead.training.signals import StopFlag

FILE = "thresholds.json"
LARGEST = 1 << 26
BEST_FIRST = ("micro_f1", "macro_f1", "exact_match")


class MultilabelTask:
    """See ``task.Task``."""

    def prepare(self, recipe: MultilabelRecipe, run: RunFolder, *, accept_changes: bool = False) -> Prepared:
        """Words or pieces, labels, the corpus, sizes."""
        return labelled_texts.prepare(recipe, run, accept_changes=accept_changes)

    def open(self, recipe: MultilabelRecipe, run: RunFolder, config: ModelConfig) -> Wrap[Classifier]:
        """A classifier with the run's words, labels and thresholds, which are the recipe's until they are tuned.

        Raises:
            RunError: they are missing, damaged, or of other sizes than the model.
        """
        task, asked = open_texts(recipe, run, config), recipe.prediction
        thresholds = _read(run, task.names) or (asked.threshold,) * len(task.names)
        task = replace(task, thresholds=thresholds, at_least_one=asked.at_least_one, tuning=asked.thresholds)
        return lambda model: Classifier(cast(EncoderOnly, model), task, recipe.data.separator)

    def objective(self, recipe: MultilabelRecipe, prepared: Prepared) -> Objective:
        """Binary cross-entropy a label with the recipe's label weights and label smoothing."""
        return classifying(label_weights(recipe, prepared, balanced), recipe.training.label_smoothing)

    def read(self, recipe: MultilabelRecipe, split: str) -> HeldOutTexts | None:
        """All texts of the recipe's ``split``; the part held out of the training data, where that is meant."""
        return read_split(recipe, split)

    def given(self, recipe: MultilabelRecipe, data: Sequence[Path]) -> HeldOutTexts:
        """One table with the columns of the recipe's."""
        return read_given(recipe, data)

    def validate(self, predictor: Classifier, held_out: HeldOutTexts, stop: StopFlag) -> Validation:
        """Loss and scores from one pass; thresholds to be tuned are tuned on these very texts."""
        logits = logits_of(predictor, held_out, stop)
        return validation(_tuned(predictor, held_out, logits), held_out, logits, named_scores)

    def settle(self, predictor: Classifier, valid: HeldOutTexts | None, run: RunFolder) -> None:
        """Tune the thresholds on the validation data, and write them to the run."""
        if valid is not None:
            predictor = _tuned(predictor, valid, logits_of(predictor, valid))
        table = dict(zip(predictor.task.names, predictor.task.thresholds or (), strict=True))
        write_text(run.path / FILE, json.dumps(table, ensure_ascii=False, indent=0) + "\n")

    def score(self, predictor: Classifier, held_out: HeldOutTexts, options: Mapping[str, Any]) -> Scored:
        """Loss and scores at the run's thresholds, which stand in a table. There are no options.

        Raises:
            ConfigurationError: an option was given.
        """
        found = scored(predictor, held_out, options, named_scores)
        thresholds = dict(zip(predictor.task.names, predictor.task.thresholds or (), strict=True))
        return replace(found, tables={**found.tables, "thresholds": thresholds})


def named_scores(scores: dict[str, float]) -> dict[str, float]:
    """What matters first, first."""
    return {name: scores[name] for name in BEST_FIRST}


def balanced(count: int, texts: int, classes: int) -> float:
    """(N − n) / n; a label that no text has, or every one, weighs 1."""
    return (texts - count) / count if 0 < count < texts else 1.0


def _tuned(predictor: Classifier, held_out: HeldOutTexts, logits: Logits) -> Classifier:
    """The same classifier at the thresholds that suit ``held_out`` best; blank texts have no say."""
    task = predictor.task
    read = [place for place, text in enumerate(held_out.texts) if text.strip()]
    wanted = marked(known_by(held_out, task.names), task.names)[read]
    fixed = (task.thresholds or (0.5,))[0]
    thresholds = tune(task.probabilities(logits[read]), wanted, task.tuning, fixed)
    return replace(predictor, task=replace(task, thresholds=tuple(thresholds.tolist())))


def _read(run: RunFolder, names: Sequence[str]) -> tuple[float, ...] | None:
    """The run's thresholds, in the order of the labels; None before they are settled."""
    path = run.path / FILE
    if not path.is_file():
        return None
    table = read_json(path, max_bytes=LARGEST)
    if table.keys() != set(names) or not all(isinstance(each, float) and each > 0 for each in table.values()):
        raise RunError(f"{path} is damaged: expected a threshold above 0 for every label of the run, and for no other")
    return tuple(table[name] for name in names)
