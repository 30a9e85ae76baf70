"""A run of every kind of model that can be looked into, trained for a moment: real files, useless answers.

The translator's heads were recorded while it was trained, and it reads up to 2,100 words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from clearhead.service.train import train

from .toy import write_toy
from .toy_labels import write_toy_labels
from .toy_tags import write_toy_tags
from .verse import write_verse

MOMENT = {"updates": 6, "warmup": 2, "validate_every": 3, "checkpoint_every": 6, "snapshot_every": 6, "log_every": 2}
WRITERS: dict[str, Callable[[Path], Path]] = {
    "translation": write_toy,
    "language-model": write_verse,
    "tagging": write_toy_tags,
    "classification": write_toy_labels,
    "multilabel": lambda folder: write_toy_labels(folder, sets=True),
}
RECORDING = """
[recording]
sentences = ["3 1 4\\tdrei eins vier"]
"""
TEXTS = {
    "translation": "3 1 4 1",
    "language-model": "two households",
    "tagging": "twenty one cats and thirty two",
    "classification": "some of that nice apple",
    "multilabel": "some of that nice apple and pear",
}


def train_kinds(folder: Path) -> dict[str, Path]:
    """Run folders by task."""
    runs = {}
    for task, write in WRITERS.items():
        recipe = write(folder / task)
        text = recipe.read_text(encoding="utf-8")
        for name, value in MOMENT.items():
            text = re.sub(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.MULTILINE)
        if task == "translation":
            text = text.replace("max_positions = 32", "max_positions = 2100") + RECORDING
        recipe.write_text(text, encoding="utf-8")
        runs[task] = folder / f"{task}-run"
        for _ in train(recipe, runs[task]):
            pass
    return runs
