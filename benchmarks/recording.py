"""What recording costs: the share of a training run that is spent looking at heads after its validations.

    python benchmarks/recording.py --data FOLDER --out RUN [--set key=value]…

Trains recipes/multi30k-en-de.toml for a while with [recording] at its defaults (FOLDER and RUN as for multi30k.py) and
takes the time from each validation's event to the recording's, which is all that recording adds. As every stretch
between two validations is alike, the share is that of the whole run. The result goes to benchmarks/results/.
"""

from __future__ import annotations

import time

from duel import write_result
from recipe_run import RECIPES, arguments_of

from clearhead.recipes.read import read_recipe
from clearhead.service.recorder import HeadsRecorded
from clearhead.service.recording import LINES, MAPS
from clearhead.service.train import train
from clearhead.training.events import Finished, Started, Validated

RECIPE = "multi30k-en-de.toml"
WATCHED = ["recording.examples=3", "training.patience=0"]


def main() -> None:
    """Train with an eye on the clock, then write benchmarks/results/recording.json."""
    arguments = arguments_of(__doc__, "the files of the recipe")
    chosen = [f"data.folder={arguments.data.resolve()}", *WATCHED, *arguments.settings]
    recipe = read_recipe(RECIPES / RECIPE, chosen)
    began = validated = time.perf_counter()
    costs: list[float] = []
    seconds = 0.0
    for event in train(recipe, arguments.out):
        now = time.perf_counter()
        match event:
            case Started():
                began = now
            case Validated():
                validated = now
            case HeadsRecorded():
                costs.append(now - validated)
                seconds = now - began  # up to the last recording: whole stretches only
            case Finished():
                break
    size = sum(path.stat().st_size for path in [arguments.out / LINES, *(arguments.out / MAPS).iterdir()])
    write_result(
        "recording",
        {
            "recipe": RECIPE,
            "settings": [*WATCHED, *arguments.settings],
            "updates_between_validations": recipe.training.validate_every,
            "recordings": len(costs),
            "seconds_each": [round(cost, 3) for cost in costs],
            "seconds_of_training": round(seconds, 1),
            "share_percent": round(100 * sum(costs) / seconds, 2),
            "bytes_a_recording": size // max(len(costs), 1),
        },
    )


if __name__ == "__main__":
    main()
