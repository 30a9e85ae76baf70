"""Fine-tune a published encoder by one of the recipes minilm-*.toml, and record what it reached and how long it took.

    python benchmarks/finetuning.py ud-en-ewt|banking77|goemotions --data FOLDER --model DIR --out RUN [--lora]

FOLDER holds the data and DIR the model (the recipes say where to get both). With --lora, low-rank adapters and the head
are trained instead of everything. The run's report goes to benchmarks/results/; beside it stands what the same data
gives from scratch, and with TF-IDF and a linear model, where benchmarks/results/ has that.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from duel import RESULTS, write_json
from recipe_run import trained

LORA = [
    "model.lora.rank=8",
    'model.lora.targets=["query", "key", "value", "output", "feedforward"]',
    "training.learning_rate=0.001",
]


def main() -> None:
    """Train, then write benchmarks/results/minilm-NAME.json, or …-lora.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=("ud-en-ewt", "banking77", "goemotions"))
    parser.add_argument("--data", type=Path, required=True, help="folder with the data")
    parser.add_argument("--model", type=Path, required=True, help="directory of the published model")
    parser.add_argument("--out", type=Path, required=True, help="run folder to make")
    parser.add_argument("--lora", action="store_true", help="train adapters only")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    chosen = [*(LORA if arguments.lora else []), *arguments.settings]
    origin = f"model.from={arguments.model.resolve()}"
    report = trained(f"minilm-{arguments.name}.toml", arguments.data, arguments.out, [origin, *chosen])
    report |= {"settings": chosen, "started_from": {**report["started_from"], "origin": arguments.model.name}}
    write_json(f"minilm-{arguments.name}{'-lora' * arguments.lora}", {"beside": beside(arguments.name), **report})


def beside(name: str) -> dict[str, Any]:
    """Test scores on the same data without a published model, as far as they were recorded."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return {}
    recorded = json.loads(path.read_text(encoding="utf-8"))
    scores = {key: value for key, value in recorded["scores"]["test"].items() if isinstance(value, float)}
    told = {"from_scratch": {key: scores[key] for key in list(scores)[:4]}}
    return told | ({"linear": recorded["instead"]["test"]} if "instead" in recorded else {})


if __name__ == "__main__":
    main()
