"""Target tokens a second in training: Clearhead beside transformers' Marian, same sizes, same real batches.

    python benchmarks/training_speed.py --data FOLDER [--size tiny] [--updates 10] [--rounds 7]

Both get the same batches of Multi30k in the same order (4,096 tokens a batch), dropout 0.1, clipping, and fused AdamW.
Clearhead runs its own training loop, batching included, with label smoothing 0.1. Marian's step is the usual one, from
batches made beforehand and without label smoothing, which spares it a pass; its better precision counts as its rate.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from duel import Answer, duel, serve, write_result
from peer_marian import marian
from real_batches import configuration, training_text

from clearhead.data.batch import PairBatch, collate_pairs
from clearhead.data.corpus import PairCorpus
from clearhead.data.order import BatchOrder
from clearhead.models.build import build_model
from clearhead.training.events import Progressed
from clearhead.training.job import TrainingJob
from clearhead.training.loop import run
from clearhead.training.settings import TrainingSettings
from clearhead.training.teacher_forcing import teacher_forcing

SEED = 1
BATCH_TOKENS = 4096
Steps = Callable[[], tuple[int, float]]


def clearhead_steps(size: str, corpus: PairCorpus, updates: int) -> Steps:
    """Each call makes ``updates`` updates in Clearhead's own loop: target tokens, seconds."""
    model = build_model(configuration(size), seed=SEED)
    far = 1_000_000
    settings = TrainingSettings(
        batch_tokens=BATCH_TOKENS,
        log_every=updates,
        updates=far,
        validate_every=far,
        checkpoint_every=far,
        snapshot_every=far,
        precision="auto",
    )
    events = run(
        TrainingJob(model, corpus, teacher_forcing(settings.label_smoothing), settings, Path(tempfile.mkdtemp()), SEED)
    )

    def steps() -> tuple[int, float]:
        start, before = time.perf_counter(), steps.tokens  # type: ignore[attr-defined]
        event = next(event for event in events if isinstance(event, Progressed))
        steps.tokens = event.tokens  # type: ignore[attr-defined]
        return event.tokens - before, time.perf_counter() - start

    steps.tokens = 0  # type: ignore[attr-defined]
    return steps


def marian_steps(size: str, corpus: PairCorpus, updates: int, precision: str) -> Steps:
    """The same updates with Marian."""
    model = marian(configuration(size)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), fused=True)
    autocast = torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext()
    stream = all_batches(corpus)

    def steps() -> tuple[int, float]:
        batches = list(islice(stream, updates))
        start = time.perf_counter()
        for batch in batches:
            with autocast:
                output = model(
                    input_ids=batch.source,
                    attention_mask=batch.source_mask.long(),
                    decoder_input_ids=batch.target_in,
                    labels=batch.target_out.masked_fill(~batch.target_mask, -100),
                )
            output.loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        return sum(batch.tokens for batch in batches), time.perf_counter() - start

    return steps


def all_batches(corpus: PairCorpus) -> Iterator[PairBatch]:
    """The batches of all epochs, in Clearhead's order."""
    order, epoch = BatchOrder(corpus, BATCH_TOKENS, SEED), 0
    while True:
        for rows in order.epoch(epoch):
            yield collate_pairs(*corpus.rows(rows))
        epoch += 1


def worker(arguments: argparse.Namespace) -> None:
    """Answer each request with target tokens a second."""
    corpus, _ = training_text(arguments.data)
    steps = (
        clearhead_steps(arguments.size, corpus, arguments.updates)
        if arguments.peer == "clearhead"
        else marian_steps(arguments.size, corpus, arguments.updates, arguments.precision)
    )

    def handle(_: Answer) -> Answer:
        tokens, seconds = steps()
        return {"rate": tokens / seconds}

    serve({"peer": arguments.peer}, handle)


def main() -> None:
    """Run as parent, or as worker when told so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the Multi30k files")
    parser.add_argument("--size", choices=("tiny", "base"), default="tiny")
    parser.add_argument("--updates", type=int, default=10, help="updates a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--peer", default="clearhead", help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="float32", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments)
        return
    training_text(arguments.data)  # prepared once, before the contestants start
    common = ["--data", str(arguments.data), "--size", arguments.size, "--updates", str(arguments.updates)]
    contestants = {
        "clearhead": [*common, "--peer", "clearhead"],
        "marian float32": [*common, "--peer", "marian", "--precision", "float32"],
        "marian bfloat16": [*common, "--peer", "marian", "--precision", "bfloat16"],
    }
    result: dict[str, Any] = {"what": "target tokens per second in training", "size": arguments.size}
    write_result(f"training-{arguments.size}", {**result, **duel(__file__, contestants, arguments.rounds, {})})


if __name__ == "__main__":
    main()
