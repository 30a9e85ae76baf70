"""A language model of seconds: two lines of verse over and over, which it can know by heart."""

from __future__ import annotations

from pathlib import Path

VERSE = "two households, both alike in dignity,\nin fair verona, where we lay our scene,\n"
RECIPE = """
task = "language-model"
seed = 2

[data]
train = { files = ["verse.txt"] }
split = { valid = 0.1 }
length = 32
packing = "continuous"
offsets = 4

[tokenizer]
kind = "characters"
min_frequency = 1

[model]
width = 32
heads = 4
decoder_layers = 2
feedforward = 64
positions = "rotary"
dropout = 0.0

[training]
batch_tokens = 512
updates = 150
learning_rate = 0.01
schedule = "cosine"
warmup = 10
precision = "float32"
threads = 1
validate_every = 75
checkpoint_every = 50
snapshot_every = 50
"""


def write_verse(folder: Path) -> Path:
    """Write ``verse.txt`` and ``verse.toml`` to ``folder``; returns the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verse.txt").write_text(VERSE * 40, encoding="utf-8", newline="\n")
    (folder / "verse.toml").write_text(RECIPE, encoding="utf-8")
    return folder / "verse.toml"
