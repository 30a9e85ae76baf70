"""The demo's corpus and recipe: dates as people write them in some fifty languages, to be read as ISO 8601.

Each day of 1900 … 2099 stands in one split only, written once, in one language and one pattern drawn at random; so no
date of the held-out sets occurs in training, and no pair occurs twice. A pure function of the seed. Needs no download.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from clearhead.recipes.dates import languages

FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
SPLITS = {"train": 40_000, "valid": 1_000, "test": 1_000}

RECIPE = """\
# Dates as people write them in {languages} languages -> ISO 8601.
# Written by `clearhead demo`; change it and train again.
task = "translation"
seed = {seed}

[data]
train = {{ file = "train.tsv", source = "source", target = "target" }}
valid = {{ file = "valid.tsv", source = "source", target = "target" }}
test = {{ file = "test.tsv", source = "source", target = "target" }}
max_length = 64

[tokenizer]
kind = "characters"                # one symbol per character: every digit can be looked at
shared = false

[model]
width = 96
encoder_layers = 2
decoder_layers = 1                 # one place where it looks at the date: four heads, one picture
heads = 4
feedforward = 256
dropout = 0.0                      # 40,000 dates, seen about three times: nothing is learnt by heart
tie = "target"

[training]
batch_tokens = 1200
updates = 1600
learning_rate = 0.004
schedule = "cosine"
warmup = 100
label_smoothing = 0.0
validate_every = 400
watch = "exact_match"

[decoding]
beam = 1                           # the answer is certain: greedy search finds it
"""


def write_demo(folder: Path, *, seed: int) -> Path:
    """Write ``train.tsv``, ``valid.tsv``, ``test.tsv`` and ``demo.toml`` to ``folder`` (made when missing).

    The files have a header and three columns: source (the written date), target (ISO 8601), language (its tag).
    Returns the path of the recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    days = _shuffled_days(chance)
    for split, size in SPLITS.items():
        rows = ("\t".join(row) for row in _rows(days[:size], chance))
        _write(folder / f"{split}.tsv", ("source\ttarget\tlanguage", *rows))
        days = days[size:]
    recipe = folder / "demo.toml"
    recipe.write_text(RECIPE.format(seed=seed, languages=len(languages())), encoding="utf-8")
    return recipe


def _shuffled_days(chance: random.Random) -> list[datetime.date]:
    days = [datetime.date.fromordinal(n) for n in range(FIRST.toordinal(), LAST.toordinal() + 1)]
    chance.shuffle(days)
    return days


def _rows(days: Sequence[datetime.date], chance: random.Random) -> Iterator[tuple[str, str, str]]:
    table = languages()
    tags = sorted(table)
    for day in days:
        tag = chance.choice(tags)
        yield table[tag].write(day, chance.choice(table[tag].patterns)), day.isoformat(), tag


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
