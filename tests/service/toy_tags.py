"""A tagging job of seconds: numbers such as twenty one are spans, so that a wrong answer is seen at once."""

from __future__ import annotations

import random
from pathlib import Path

TENS, ONES, OTHERS = "twenty thirty forty".split(), "one two three four".split(), ["and", ",", "cats"]
SIZES = {"train": 400, "valid": 40, "test": 40}

RECIPE = """
task = "tagging"
seed = 3

[data]
train = "train.tsv"
valid = "valid.tsv"
test = "test.tsv"
scheme = "bio"
max_length = 12

[input]
buckets = 100
longest = 2

[model]
width = 32
encoder_layers = 1
heads = 2
feedforward = 64
max_positions = 12
dropout = 0.0

[training]
batch_tokens = 400
updates = 60
learning_rate = 0.01
schedule = "cosine"
warmup = 10
label_smoothing = 0.0
precision = "float32"
threads = 1
log_every = 20
validate_every = 30
checkpoint_every = 20
snapshot_every = 10
"""


def write_toy_tags(folder: Path) -> Path:
    """Write three files and ``tags.toml`` to ``folder``; returns the recipe's path."""
    chance = random.Random(2)
    folder.mkdir(parents=True, exist_ok=True)
    for split, size in SIZES.items():
        sentences = [[word for _ in range(chance.randint(1, 4)) for word in phrase(chance)] for _ in range(size)]
        write_sentences(folder / f"{split}.tsv", sentences)
    (folder / "tags.toml").write_text(RECIPE, encoding="utf-8")
    return folder / "tags.toml"


def write_sentences(path: Path, sentences: list[list[str]]) -> None:
    """Sentences with the tags that a perfect tagger gives."""
    blocks = ("".join(f"{word}\t{tag}\n" for word, tag in zip(each, tags(each), strict=True)) for each in sentences)
    path.write_text("\n".join(blocks), encoding="utf-8", newline="\n")


def phrase(chance: random.Random) -> list[str]:
    """A number of two words, or something else."""
    return [chance.choice(TENS), chance.choice(ONES)] if chance.random() < 0.5 else [chance.choice(OTHERS)]


def tags(words: list[str]) -> list[str]:
    """What a perfect tagger says: tens begin a span, ones are inside."""
    return ["B-N" if word in TENS else "I-N" if word in ONES else "O" for word in words]
