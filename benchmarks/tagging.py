"""Train recipes/ud-en-ewt.toml from scratch and record what it reached and how long it took, beside a plain baseline.

    python benchmarks/tagging.py --data FOLDER --out RUN [--set key=value]…

FOLDER holds the treebank's files (the recipe says where to get them). The run's report goes to benchmarks/results/,
with the scores of validation and test, of unknown words too, seconds of training, seed and machine. The baseline gives
every word its most frequent tag, and every unknown word the most frequent tag of words that training saw once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from duel import machine, write_json

from clearhead.data.ledger import Ledger
from clearhead.data.tagged import read_tagged
from clearhead.recipes.read import read_recipe
from clearhead.tasks.sequence_metrics import accuracy, accuracy_of_chosen

RECIPE = Path(__file__).parents[1] / "recipes" / "ud-en-ewt.toml"


def train(data: Path, out: Path, settings: list[str]) -> float:
    """Run ``clearhead train`` to its end; seconds of the whole command, preparation and scoring included."""
    chosen = [part for setting in (f"data.folder={data.resolve()}", *settings) for part in ("--set", setting)]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "clearhead", "train", str(RECIPE), "--out", str(out), *chosen], check=True)
    return time.perf_counter() - start


def most_frequent_tags(data: Path) -> dict[str, float | None]:
    """Accuracy on the test set, and on its unknown words, of the baseline."""
    settings = read_recipe(RECIPE).data
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sentence in read_tagged(settings, settings.train, data, Ledger()):
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            counts[word][tag] += 1
    rare = Counter(tag for tags in counts.values() if tags.total() == 1 for tag in tags).most_common(1)[0][0]
    likeliest = {word: tags.most_common(1)[0][0] for word, tags in counts.items()}
    test = list(read_tagged(settings, settings.test, data, Ledger()))
    predicted = [[likeliest.get(word, rare) for word in sentence.words] for sentence in test]
    wanted = [sentence.tags for sentence in test]
    unknown = [[word not in likeliest for word in sentence.words] for sentence in test]
    return {
        "accuracy": accuracy(predicted, wanted),
        "unknown_accuracy": accuracy_of_chosen(predicted, wanted, unknown),
    }


def without_folders(report: dict[str, Any]) -> dict[str, Any]:
    """The report with files named but not located: where somebody keeps them is nobody's business."""
    data = dict(report["data"])
    data["files"] = {Path(path).name: digest for path, digest in data["files"].items()}
    return {**report, "data": data}


def main() -> None:
    """Train, then write benchmarks/results/ud-en-ewt.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the treebank's files")
    parser.add_argument("--out", type=Path, required=True, help="run folder to make")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    seconds = train(arguments.data, arguments.out, arguments.settings)
    report = without_folders(json.loads((arguments.out / "report.json").read_text(encoding="utf-8")))
    first = {"whole_command_seconds": round(seconds, 1), "instructions": machine()["instructions"]}
    write_json("ud-en-ewt", {**first, "most_frequent_tag_of_each_word": most_frequent_tags(arguments.data), **report})


if __name__ == "__main__":
    main()
