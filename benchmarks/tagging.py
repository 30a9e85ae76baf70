"""Train recipes/ud-en-ewt.toml from scratch and record what it reached and how long it took, beside a plain baseline.

    python benchmarks/tagging.py --data FOLDER --out RUN [--set key=value]…

FOLDER holds the treebank's files (the recipe says where to get them). The run's report goes to benchmarks/results/,
with the scores of validation and test, of unknown words too, seconds of training, seed and machine. The baseline gives
every word its most frequent tag, and every unknown word the most frequent tag of words that training saw once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from duel import write_json
from recipe_run import RECIPES, arguments_of, trained

from clearhead.data.ledger import Ledger
from clearhead.data.tagged import read_tagged
from clearhead.recipes.read import read_recipe
from clearhead.tasks.sequence_metrics import accuracy, accuracy_of_chosen

RECIPE = RECIPES / "ud-en-ewt.toml"


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


def main() -> None:
    """Train, then write benchmarks/results/ud-en-ewt.json."""
    arguments = arguments_of(__doc__, "the treebank's files")
    report = trained(RECIPE.name, arguments.data, arguments.out, arguments.settings)
    write_json("ud-en-ewt", {"most_frequent_tag_of_each_word": most_frequent_tags(arguments.data), **report})


if __name__ == "__main__":
    main()
