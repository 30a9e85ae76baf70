"""A Transformer whose input is vectors, not tokens: an image of a digit as 8 rows of 8 pixels.

Run with ``python examples/digits.py FOLDER``; needs scikit-learn, which ships the images. It writes the arrays that
``recipes/digits.toml`` names, trains the recipe, and shows which rows of one image the model looks at.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import clearhead

RECIPE = Path(__file__).parents[1] / "recipes" / "digits.toml"
PARTS = {"train": (0, 1257), "valid": (1257, 1437), "test": (1437, 1797)}


def write_arrays(folder: Path) -> None:
    """1,797 images, shuffled, in three parts: ``rows`` (N, 8, 8) and ``digits`` (N,)."""
    images, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    for part, (start, stop) in PARTS.items():
        chosen = order[start:stop]
        np.savez(folder / f"{part}.npz", rows=images[chosen].reshape(-1, 8, 8), digits=digits[chosen])


def main(folder: Path) -> None:
    """Train, score, predict, look."""
    folder.mkdir(parents=True, exist_ok=True)
    write_arrays(folder)
    recipe = clearhead.read_recipe(RECIPE, [f'data.folder="{folder.resolve().as_posix()}"'])
    for event in clearhead.train(recipe, folder / "run"):
        if event.kind == "scored":
            print(f"{event.split}: {event.scores['accuracy']:.1f} % of {event.count} images")

    model = clearhead.load(folder / "run")
    image = np.load(folder / "test.npz")["rows"][0]
    answer = model.predict([image])[0]
    print(f"this one is a {answer.text} (probability {answer.labelled.probabilities[0]:.2f}):")
    received = model.inspect(image).weights("encoder.1.self").mean(0).mean(0)
    for row, share in zip(image, received.tolist(), strict=True):
        print("  ", "".join(" .:*#"[int(pixel) // 4] for pixel in row), f"looked at with {share:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
