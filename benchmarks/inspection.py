"""What it costs that somebody looks: a forward pass with every attention and the whole stream kept, beside one without.

    python benchmarks/inspection.py [--rounds 10] [--threads N]

"idle" is a pass of a model that was looked at, while nobody looks, beside a copy that nothing was ever attached to,
over the same ratio before anybody looked: two copies differ in speed by where they lie in memory.
"open" is a pass inside ``with clearhead.inspecting(model)``: references to every q, k, v and the stream are kept,
nothing is asked of them; what it costs is Python's for each part, and memory that cannot be used again at once.
"attached" is the whole ``with`` around one pass, hooks put on and taken off. Passes go in turn, without, with, …;
what counts is the median of the ratios of neighbours, and "nothing" is that of two passes alike: the measure's own
error.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from duel import write_result

from clearhead.inspection.capture import inspecting
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig

MODELS: dict[str, dict[str, Any]] = {
    "tiny": {"width": 128, "heads": 4, "feedforward": 256, "encoder_layers": 4, "decoder_layers": 4},
    "base": {"width": 512, "heads": 8, "feedforward": 2048, "encoder_layers": 6, "decoder_layers": 6},
}
SHAPES = {"tiny": [(1, 20), (128, 20), (8, 512)], "base": [(1, 20), (32, 20), (1, 512)]}  # sentences, length


SECONDS = 3.0  # that passes of one kind take together, at least


def median_of_ratios(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float]:
    """The median time of ``first`` in seconds, and that of ``second`` over its neighbour of ``first``."""
    times, ratios = [], []
    for _ in range(rounds):
        took = []
        for act in (first, second):
            began = time.perf_counter()
            act()
            took.append(time.perf_counter() - began)
        times.append(took[0])
        ratios.append(took[1] / took[0])
    return statistics.median(times), statistics.median(ratios)


def row(name: str, sentences: int, length: int, rounds: int) -> dict[str, Any]:
    """One model at one shape."""
    model: Any = build_model(ModelConfig(**MODELS[name], source_vocabulary=8000, target_vocabulary=8000), seed=0).eval()
    source, target = torch.randint(4, 8000, (sentences, length)), torch.randint(4, 8000, (sentences, length))

    untouched = copy.deepcopy(model)

    def plain() -> object:
        return model.hidden(source, target)

    def attached() -> object:
        with inspecting(model):
            return model.hidden(source, target)

    with torch.inference_mode():
        for _ in range(3):
            began = time.perf_counter()
            plain(), untouched.hidden(source, target)
        rounds = max(rounds, int(2 * SECONDS / (time.perf_counter() - began)))
        _, never = median_of_ratios(lambda: untouched.hidden(source, target), plain, rounds)
        attached(), attached()
        seconds, nothing = median_of_ratios(plain, plain, rounds)
        _, whole = median_of_ratios(plain, attached, rounds)
        _, idle = median_of_ratios(lambda: untouched.hidden(source, target), plain, rounds)
        opened = _open(model, plain, rounds)
    found = {"model": name, "sentences": sentences, "length": length, "rounds": rounds, "forward_ms": 1000 * seconds}
    costs = {
        "idle_percent": idle / never,
        "open_percent": opened,
        "attached_percent": whole,
        "nothing_percent": nothing,
    }
    return found | {key: round(100 * (ratio - 1), 2) for key, ratio in costs.items()}


def _open(model: Any, plain: Callable[[], object], rounds: int) -> float:
    """The median ratio of a pass inside an open inspection to one outside, hooks being put on and off unmeasured."""
    ratios = []
    for _ in range(rounds):
        began = time.perf_counter()
        plain()
        without = time.perf_counter() - began
        with inspecting(model):
            began = time.perf_counter()
            plain()
            ratios.append((time.perf_counter() - began) / without)
    return statistics.median(ratios)


def main() -> None:
    """Print and keep a row a shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="at least; more where a pass is short")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for name, shapes in SHAPES.items():
        for sentences, length in shapes:
            rows.append(row(name, sentences, length, options.rounds))
            print(rows[-1], flush=True)
    print(write_result("inspection", {"threads": options.threads, "rows": rows}))


if __name__ == "__main__":
    main()
