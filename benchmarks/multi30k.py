"""Train recipes/multi30k-en-de.toml from scratch and record what it reached and how long it took.

    python benchmarks/multi30k.py --data FOLDER --out RUN [--set key=value]…

FOLDER holds the Multi30k files (the recipe says where to get them). The run's report goes to benchmarks/results/, with
the scores of validation and test by beam search, both BLEU measures, seconds of training, seed and machine.
"""

from __future__ import annotations

from duel import write_json
from recipe_run import arguments_of, trained


def main() -> None:
    """Train, then write benchmarks/results/multi30k-en-de.json."""
    arguments = arguments_of(__doc__, "the Multi30k files")
    report = trained("multi30k-en-de.toml", arguments.data, arguments.out, arguments.settings)
    write_json("multi30k-en-de", report)


if __name__ == "__main__":
    main()
