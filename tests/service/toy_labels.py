"""Classification jobs of seconds: what fruit a sentence is about, and which of three things it names."""

from __future__ import annotations

import random
from pathlib import Path

FRUIT = ["apple", "pear", "plum"]
FILLERS = "I want some of that nice red old".split()
SIZES = {"train": 240, "valid": 40, "test": 40}

COMMON = """
[data]
train = { file = "train.csv", label = "about" }
valid = { file = "valid.csv", label = "about" }
test = { file = "test.csv", label = "about" }
max_length = 12

[input]
buckets = 100
longest = 3

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
checkpoint_every = 10
"""


def write_toy_labels(folder: Path, *, sets: bool = False) -> Path:
    """Write three tables and ``toy.toml``, of one label a text or of ``sets`` of them; returns the recipe's path."""
    chance = random.Random(3)
    folder.mkdir(parents=True, exist_ok=True)
    for split, size in SIZES.items():
        lines = ["text,about", *(_row(chance, sets=sets) for _ in range(size))]
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    task = "multilabel" if sets else "classification"
    (folder / "toy.toml").write_text(f'task = "{task}"\nseed = 2\n{COMMON}', encoding="utf-8")
    return folder / "toy.toml"


def _row(chance: random.Random, *, sets: bool) -> str:
    named = sorted(chance.sample(FRUIT, chance.randint(0, 3) if sets else 1))
    words = [*chance.choices(FILLERS, k=4), *named]
    chance.shuffle(words)
    return f'"{" ".join(words)}","{",".join(named)}"'
