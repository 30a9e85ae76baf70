"""Sentences a second: Clearhead beside transformers' Marian, same sizes, same real sources, same forced output length.

    python benchmarks/generation_speed.py --data FOLDER [--size tiny] [--sentences 256] [--rounds 5]

Weights are random, so the output length is forced to 15 tokens for both (both searches run to the limit). Marian runs
in float32 and in bfloat16, with batches of 32, 64 and 128 sentences sorted by length; the best of these counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from duel import Answer, duel, serve, write_result
from peer_marian import marian
from real_batches import configuration, test_sources, training_text

from clearhead.generation.batches import generate
from clearhead.generation.settings import DecodingSettings
from clearhead.models.build import build_model
from clearhead.text.tokenizer import END, PAD

LENGTH = 15
Generate = Callable[[list[list[int]], int], int]


def clearhead_generator(size: str) -> Generate:
    """Sources and beam in, number of sentences out."""
    model = build_model(configuration(size), seed=1).eval()

    def run(sources: list[list[int]], beam: int) -> int:
        # The end symbol is forbidden up to the limit, so every hypothesis has LENGTH tokens.
        settings = DecodingSettings(beam=beam, max_length=LENGTH, min_length=LENGTH)
        return len(generate(model, sources, settings))

    return run


def marian_generator(size: str, precision: str, batch: int) -> Generate:
    """The same for Marian: length-sorted batches of ``batch`` sentences."""
    model = marian(configuration(size)).eval()
    autocast = torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext()

    def run(sources: list[list[int]], beam: int) -> int:
        ordered = sorted(sources, key=len)
        with torch.inference_mode(), autocast:
            for start in range(0, len(ordered), batch):
                rows = [torch.tensor([*ids, END]) for ids in ordered[start : start + batch]]
                ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)
                model.generate(
                    input_ids=ids,
                    attention_mask=(ids != PAD).long(),
                    num_beams=beam,
                    do_sample=False,
                    min_new_tokens=LENGTH,
                    max_new_tokens=LENGTH,
                )
        return len(ordered)

    return run


def worker(arguments: argparse.Namespace) -> None:
    """Answer each request with sentences a second."""
    _, tokenizer = training_text(arguments.data)
    sources = test_sources(arguments.data, tokenizer)[: arguments.sentences]
    run = (
        clearhead_generator(arguments.size)
        if arguments.peer == "clearhead"
        else marian_generator(arguments.size, arguments.precision, arguments.batch)
    )

    def handle(request: Answer) -> Answer:
        start = time.perf_counter()
        count = run(sources, request["beam"])
        return {"rate": count / (time.perf_counter() - start)}

    serve({"peer": arguments.peer}, handle)


def contest(arguments: argparse.Namespace, beam: int) -> dict[str, Any]:
    """One duel at one beam width."""
    common = ["--data", str(arguments.data), "--size", arguments.size, "--sentences", str(arguments.sentences)]
    contestants = {"clearhead": [*common, "--peer", "clearhead"]}
    for precision in ("float32", "bfloat16"):
        for batch in (32, 64, 128) if precision == "float32" else (64,):
            options = [*common, "--peer", "marian", "--precision", precision, "--batch", str(batch)]
            contestants[f"marian {precision} batch {batch}"] = options
    return duel(__file__, contestants, arguments.rounds, {"beam": beam})


def main() -> None:
    """Run as parent, or as worker when told so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the Multi30k files")
    parser.add_argument("--size", choices=("tiny", "base"), default="tiny")
    parser.add_argument("--sentences", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--peer", default="clearhead", help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="float32", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, default=64, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments)
        return
    result: dict[str, Any] = {"what": "sentences per second, 15 target tokens forced", "size": arguments.size}
    result["sentences"] = arguments.sentences
    for beam in (1, 5):
        result[f"beam {beam}"] = contest(arguments, beam)
    write_result(f"generation-{arguments.size}", result)


if __name__ == "__main__":
    main()
