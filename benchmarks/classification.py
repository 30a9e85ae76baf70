"""Train a recipe of classification from scratch, and in the same run what a user would pick instead: TF-IDF, linear.

    python benchmarks/classification.py banking77 --data FOLDER --out RUN [--set key=value]…
    python benchmarks/classification.py goemotions --data FOLDER --out RUN [--set key=value]…

FOLDER holds the data (the recipe says where to get it). The run's report goes to benchmarks/results/, and with it the
scores and seconds of scikit-learn's linear model over TF-IDF of words (1 and 2 in a row) and of characters (2 to 5, as
they stand in words), trained on the very texts the recipe trains on, its strength of regularisation chosen on the same
validation texts, and for several labels its threshold, too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from duel import write_json
from numpy.typing import NDArray
from recipe_run import RECIPES, trained
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from clearhead.recipes.read import read_recipe
from clearhead.service.tasks.classification import HeldOutTexts, read_split
from clearhead.service.tasks.labelled_texts import training_rows
from clearhead.tasks.class_metrics import scores_of
from clearhead.tasks.classification import marked
from clearhead.tasks.thresholds import tune

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)  # C of both models: the larger, the less they are held back
Scores = dict[str, float]
Labels = list[tuple[str, ...]]


@dataclass(frozen=True)
class Texts:
    """One part of the data."""

    texts: Sequence[str]
    labels: Sequence[tuple[str, ...]]


def parts_of(recipe: Any) -> dict[str, Texts]:
    """The same texts that the recipe trains, validates and is tested on."""
    rows = training_rows(recipe).kept
    parts = {"train": Texts([row.text for row in rows], [row.labels for row in rows])}
    for split in ("valid", "test"):
        held: HeldOutTexts | None = read_split(recipe, split)
        assert held is not None
        parts[split] = Texts(held.texts, held.labels)
    return parts


def features(parts: dict[str, Texts]) -> dict[str, Any]:
    """TF-IDF of words beside TF-IDF of characters, learnt from the training part."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)
    for vectoriser in (words, characters):
        vectoriser.fit(parts["train"].texts)
    return {
        name: hstack([words.transform(part.texts), characters.transform(part.texts)]).tocsr()
        for name, part in parts.items()
    }


def one_label(parts: dict[str, Texts], names: Sequence[str]) -> dict[str, Any]:
    """A linear support vector machine, one against the rest."""
    matrices, wanted = features(parts), [row[0] for row in parts["train"].labels]

    def fit(strength: float) -> Callable[[str], Labels]:
        model = LinearSVC(C=strength).fit(matrices["train"], wanted)
        return lambda split: [(label,) for label in model.predict(matrices[split])]

    return _chosen(parts, names, fit, "exact_match", "linear support vector machine")


def any_labels(parts: dict[str, Texts], names: Sequence[str]) -> dict[str, Any]:
    """A logistic regression a label, given from a threshold that validation chose."""
    matrices, wanted = features(parts), marked(parts["train"].labels, names)

    def fit(strength: float) -> Callable[[str], Labels]:
        model = OneVsRestClassifier(LogisticRegression(C=strength, solver="liblinear")).fit(matrices["train"], wanted)
        likely = model.predict_proba(matrices["valid"])
        thresholds = tune(likely, marked(parts["valid"].labels, names), "shared", 0.5)
        return lambda split: _given(model.predict_proba(matrices[split]) >= thresholds, names)

    return _chosen(parts, names, fit, "micro_f1", "logistic regression a label, threshold tuned")


def _given(marks: NDArray[np.bool_], names: Sequence[str]) -> Labels:
    return [tuple(names[number] for number in np.flatnonzero(row)) for row in marks]


def _chosen(
    parts: dict[str, Texts],
    names: Sequence[str],
    fit: Callable[[float], Callable[[str], Labels]],
    watch: str,
    what: str,
) -> dict[str, Any]:
    """Scores on the test set of the strength that validates best, and the seconds of all strengths together."""
    began = time.perf_counter()
    tried = {strength: fit(strength) for strength in STRENGTHS}
    scores = {
        strength: scores_of(predict("valid"), parts["valid"].labels, names)[0] for strength, predict in tried.items()
    }
    best = max(scores, key=lambda strength: scores[strength][watch])
    return {
        "model": f"TF-IDF of words and characters, {what}",
        "C": best,
        "valid": scores[best],
        "test": scores_of(tried[best]("test"), parts["test"].labels, names)[0],
        "seconds": round(time.perf_counter() - began, 1),
    }


PEERS = {"banking77": one_label, "goemotions": any_labels}


def main() -> None:
    """Train both, then write benchmarks/results/NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data")
    parser.add_argument("--out", type=Path, required=True, help="run folder to make")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    file = f"{arguments.name}.toml"
    recipe = read_recipe(RECIPES / file, [f"data.folder={arguments.data.resolve()}"])
    parts = parts_of(recipe)
    names = sorted({label for row in parts["train"].labels for label in row})
    peer = PEERS[arguments.name](parts, names)
    report = trained(file, arguments.data, arguments.out, arguments.settings)
    write_json(arguments.name, {"instead": peer, **report})


if __name__ == "__main__":
    main()
