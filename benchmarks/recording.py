"""What recording costs: the share of a training run that is spent looking at heads after its validations.

    python benchmarks/recording.py --data FOLDER --out RUN [--set key=value]…

Trains recipes/multi30k-en-de.toml (FOLDER and RUN as for multi30k.py) for two stretches with [recording] at its
defaults, and takes the time of the updates, of the validation, and from the validation's event to the recording's,
which is all that recording adds. Stretches are alike, so with the recipe's own number of updates between validations
the share follows from these three. The result goes to benchmarks/results/.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict

from duel import write_result
from recipe_run import RECIPES, arguments_of

from clearhead.recipes.read import read_recipe
from clearhead.service.recording import LINES, MAPS
from clearhead.service.train import train

RECIPE = "multi30k-en-de.toml"
STRETCH = 20  # updates, here
QUICK = [
    "recording.examples=3",
    f"training.updates={2 * STRETCH}",
    f"training.validate_every={STRETCH}",
    f"training.log_every={STRETCH}",
    "training.keep=last",
    "training.warmup=4",
]


def main() -> None:
    """Train with an eye on the clock, then write benchmarks/results/recording.json."""
    arguments = arguments_of(__doc__, "the files of the recipe")
    settings = [f"data.folder={arguments.data.resolve()}", *QUICK, *arguments.settings]
    times: defaultdict[str, list[float]] = defaultdict(list)
    before = time.perf_counter()
    for event in train(read_recipe(RECIPES / RECIPE, settings), arguments.out):
        now = time.perf_counter()
        if event.kind in ("progressed", "validated", "heads"):
            times[event.kind].append(now - before)
        if event.kind in ("started", "progressed", "validated", "heads", "saved"):
            before = now
        if len(times["heads"]) == 2:
            break  # what is left is scoring
    update, validation, recording = (
        statistics.mean(times[kind]) / share
        for kind, share in (("progressed", STRETCH), ("validated", 1), ("heads", 1))
    )
    between = read_recipe(RECIPES / RECIPE, settings[:1]).training.validate_every
    files = [arguments.out / LINES, *(arguments.out / MAPS).iterdir()]
    write_result(
        "recording",
        {
            "recipe": RECIPE,
            "seconds_an_update": round(update, 3),
            "seconds_a_validation": round(validation, 2),
            "seconds_a_recording": round(recording, 3),
            "updates_between_validations": between,
            "share_percent": round(100 * recording / (between * update + validation + recording), 3),
            "bytes_a_recording": sum(path.stat().st_size for path in files) // len(times["heads"]),
        },
    )


if __name__ == "__main__":
    main()
