"""Train recipes/tiny-shakespeare.toml from scratch; record the validation loss, the time, and some of what it writes.

    python benchmarks/shakespeare.py --data FOLDER --out RUN [--set key=value]…

FOLDER holds input.txt. The figure to beat is nanoGPT's for a CPU: 1.88 nats a character, of the mean cross-entropy over
rows of 64 characters of the last tenth, after 2,000 updates of 12 such rows (about 3 minutes, by its readme).
"""

from __future__ import annotations

from duel import write_json
from recipe_run import arguments_of, trained

from clearhead.service.load import load

GOAL = {"loss": 1.88, "seconds": 180.0}


def main() -> None:
    """Train, then write benchmarks/results/tiny-shakespeare.json."""
    arguments = arguments_of(__doc__, "input.txt")
    report = trained("tiny-shakespeare.toml", arguments.data, arguments.out, arguments.settings)
    found = {"loss": report["scores"]["valid"]["loss"], "seconds": report["training"]["seconds"]}
    reached = {
        name: {"goal": goal, "found": found[name], "reached": found[name] <= goal} for name, goal in GOAL.items()
    }
    sample = str(load(arguments.out).predict(["ROMEO:"], seed=1, max_length=300)[0])
    write_json("tiny-shakespeare", {"goals": reached, "sample": sample.split("\n"), **report})


if __name__ == "__main__":
    main()
