"""Train a tiny translator from Python and look at its cross-attention: spelled digits, said backwards.

"three one four" becomes "4 1 3", so a model that has understood looks from right to left. Run with
``python examples/train_and_look.py [FOLDER]``; it takes about ten seconds.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import clearhead

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
RECIPE = """
task = "translation"
[data]
train = { file = "train.tsv", source = "said", target = "written" }
valid = { file = "valid.tsv", source = "said", target = "written" }
[tokenizer]
kind = "words"
shared = false
[model]
width = 32
encoder_layers = 1
decoder_layers = 1
heads = 2
feedforward = 64
dropout = 0.0
tie = "target"
[training]
batch_tokens = 500
updates = 800
learning_rate = 0.005
schedule = "cosine"
warmup = 50
label_smoothing = 0.0
validate_every = 200
watch = "exact_match"
[decoding]
beam = 1
"""


def write_corpus(folder: Path) -> Path:
    """Write the recipe and its two tables; the path of the recipe."""
    chance = random.Random(1)
    for name, size in (("train.tsv", 4000), ("valid.tsv", 200)):
        rows = ["said\twritten"]
        for _ in range(size):
            digits = [chance.randrange(10) for _ in range(chance.randrange(2, 8))]
            rows.append(" ".join(WORDS[d] for d in digits) + "\t" + " ".join(str(d) for d in reversed(digits)))
        (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    recipe = folder / "backwards.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    return recipe


def main(folder: Path) -> None:
    """Train, say what happens, translate one line and draw where the model looked."""
    for event in clearhead.train(write_corpus(folder), folder / "run"):
        if event.kind == "validated":
            print(f"update {event.update}: {event.scores['exact_match']:.1f} % exactly right")
    model = clearhead.load(folder / "run")
    said = "three one four one five"
    print(f"{said} -> {model.predict([said])[0].text}\n")
    seen = model.inspect(said)
    mean_TS = seen.weights("decoder.0.cross").mean(0)
    print(" " * 10, *(f"{piece.strip('▁'):>6}" for piece in seen.source))
    for piece, row in zip(seen.target, mean_TS.tolist(), strict=True):
        print(f"{piece.strip('▁'):>10}", *(f"{weight:6.2f}" for weight in row))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
