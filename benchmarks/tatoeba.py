"""Train recipes/tatoeba-en-zh.toml from scratch; record BLEU over Chinese characters on sentences never trained on.

    python benchmarks/tatoeba.py --data FOLDER --out RUN [--set key=value]…

FOLDER holds cmn.txt.gz. The report says how many pairs and different sentences each part of the split holds, and how
many test sentences also stand in the training part on either side, which must be none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from duel import write_json
from recipe_run import arguments_of, trained

from clearhead.data.ledger import Ledger
from clearhead.data.pair_parts import read_part_pairs
from clearhead.recipes.read import read_recipe


def shared_sentences(run: Path) -> dict[str, Any]:
    """How many held-out sentences, as they are written, also stand in the training part."""
    data = read_recipe(run / "recipe.toml").data
    parts = {
        part: list(read_part_pairs(data, part, Path(data.folder), Ledger())) for part in ("train", "valid", "test")
    }
    texts = {part: ({pair.source for pair in pairs}, {pair.target for pair in pairs}) for part, pairs in parts.items()}
    return {part: sum(len(texts["train"][side] & texts[part][side]) for side in (0, 1)) for part in ("valid", "test")}


def main() -> None:
    """Train, then write benchmarks/results/tatoeba-en-zh.json."""
    arguments = arguments_of(__doc__, "cmn.txt.gz")
    report = trained("tatoeba-en-zh.toml", arguments.data, arguments.out, arguments.settings)
    write_json("tatoeba-en-zh", {"sentences_shared_with_training": shared_sentences(arguments.out), **report})


if __name__ == "__main__":
    main()
