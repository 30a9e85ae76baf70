"""A translation job of seconds: digits to German words, so that a wrong answer is seen at once."""

from __future__ import annotations

import random
from pathlib import Path

WORDS = "null eins zwei drei vier fünf sechs sieben acht neun".split()
SIZES = {"train": 800, "valid": 40, "test": 40}

RECIPE = """
task = "translation"
seed = 5

[data]
train = { source = "train.src", target = "train.tgt" }
valid = { source = "valid.src", target = "valid.tgt" }
test = { source = "test.src", target = "test.tgt" }
max_length = 32

[tokenizer]
kind = "words"
shared = false

[model]
width = 32
encoder_layers = 2
decoder_layers = 2
heads = 4
feedforward = 64
max_positions = 32
dropout = 0.0
tie = "target"

[training]
batch_tokens = 640
updates = 200
learning_rate = 0.01
schedule = "cosine"
warmup = 20
precision = "float32"
threads = 1
log_every = 10
validate_every = 100
checkpoint_every = 10
snapshot_every = 20
watch = "exact_match"

[decoding]
beam = 2
"""


def write_toy(folder: Path) -> Path:
    """Write the six files and ``toy.toml`` to ``folder``; returns the recipe's path."""
    chance = random.Random(1)
    folder.mkdir(parents=True, exist_ok=True)
    for split, size in SIZES.items():
        rows = [[chance.randrange(10) for _ in range(chance.randint(1, 4))] for _ in range(size)]
        write_lines(folder / f"{split}.src", [" ".join(map(str, row)) for row in rows])
        write_lines(folder / f"{split}.tgt", [translate(row) for row in rows])
    (folder / "toy.toml").write_text(RECIPE, encoding="utf-8")
    return folder / "toy.toml"


def translate(digits: list[int]) -> str:
    """What a perfect translator says."""
    return " ".join(WORDS[digit] for digit in digits)


def write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
