"""Fine-tuning a published encoder for Banking77: Clearhead beside transformers' own Trainer, examples a second.

    python benchmarks/finetuning_peer.py --data FOLDER --model DIR [--updates 50] [--rounds 5] [--settings SETTING…]
    python benchmarks/finetuning_peer.py --data FOLDER --model DIR --quality

Both start from the same weights, leave the table of pieces as it is, read the same training texts cut at the same
length, and take updates of as many texts on average, with AdamW, label smoothing and a linear schedule. The Trainer has
fused AdamW, pads a batch to its longest text, and runs in float32 and bfloat16, with batches at random and grouped by
length, on all cores and on one, which can be quicker; its best counts. It is timed from its first step to its last,
batching included, as Clearhead is. With --quality the Trainer, at its best setting, takes as many updates as
recipes/minilm-banking77.toml, and is scored on the test set; that is kept when the speed is measured again. Needs the
extra "peers".
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from duel import RESULTS, Answer, duel, machine, serve, write_json, write_result
from recipe_run import RECIPES

from clearhead.recipes.read import read_recipe
from clearhead.service.tasks.classification import read_split
from clearhead.service.tasks.labelled_texts import training_rows
from clearhead.service.train import train
from clearhead.training.events import Progressed

RECIPE = RECIPES / "minilm-banking77.toml"
TEXTS = 64  # an update; what the recipe's token budget comes to on average
NAME = "finetuning-speed"
SETTINGS = {  # of the Trainer: precision, order of batches, threads (0: as many as there are)
    "trainer float32": ("float32", "random", 0),
    "trainer bfloat16": ("bfloat16", "random", 0),
    "trainer float32, grouped": ("float32", "group_by_length", 0),
    "trainer bfloat16, grouped": ("bfloat16", "group_by_length", 0),
    "trainer float32, grouped, one thread": ("float32", "group_by_length", 1),
    "trainer bfloat16, grouped, one thread": ("bfloat16", "group_by_length", 1),
}


def recipe_of(arguments: argparse.Namespace, *settings: str) -> Any:
    """The recipe on this data and this model."""
    where = [f"data.folder={arguments.data.resolve()}", f"model.from={arguments.model.resolve()}"]
    return read_recipe(RECIPE, [*where, *settings])


def clearhead_rounds(arguments: argparse.Namespace) -> Iterator[Answer]:
    """Each round is ``updates`` updates in Clearhead's own training."""
    far = 1_000_000
    quiet = [f"training.{name}={far}" for name in ("validate_every", "checkpoint_every", "snapshot_every", "updates")]
    recipe = recipe_of(arguments, *quiet, f"training.log_every={arguments.updates}")
    before, start = 0, time.perf_counter()
    for event in train(recipe, Path(tempfile.mkdtemp()) / "run"):
        if isinstance(event, Progressed):
            texts, seconds = event.tokens - before, time.perf_counter() - start
            yield {"rate": texts / seconds, "texts": texts, "padding": event.padding}
            before, start = event.tokens, time.perf_counter()
        elif event.kind == "started":
            start = time.perf_counter()


class Peer:
    """transformers' Trainer on the recipe's data and model."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        import torch
        import transformers

        torch.set_num_threads(SETTINGS[arguments.peer][2] or torch.get_num_threads())
        self.threads = torch.get_num_threads()
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        self.library, self.arguments = transformers, arguments
        self.recipe = recipe_of(arguments)
        rows = training_rows(self.recipe).kept
        self.names = sorted({row.labels[0] for row in rows})
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model)
        self.rows = self._encoded([row.text for row in rows], [row.labels[0] for row in rows])
        self.model = transformers.AutoModelForSequenceClassification.from_pretrained(
            arguments.model, num_labels=len(self.names)
        )
        self.model.get_input_embeddings().weight.requires_grad_(False)  # as the recipe's freeze

    def train(self, updates: int) -> Answer:
        """So many updates: texts a second between the first step's beginning and the last one's end."""
        clock = _clock(self.library.TrainerCallback)
        trainer = self.library.Trainer(
            model=self.model,
            args=self._settings(updates),
            train_dataset=self.rows,
            data_collator=self.library.DataCollatorWithPadding(self.tokenizer),
            callbacks=[clock],
        )
        trainer.remove_callback(self.library.PrinterCallback)  # it writes where this process answers
        trainer.train()
        return {"rate": updates * TEXTS / clock.seconds, "texts": updates * TEXTS, "seconds": clock.seconds}

    def accuracy(self) -> float:
        """On the test set, in percent."""
        import torch

        test = read_split(self.recipe, "test")
        assert test is not None
        rows = self._encoded(list(test.texts), [row[0] for row in test.labels])
        collate, right = self.library.DataCollatorWithPadding(self.tokenizer), 0
        self.model.eval()
        for first in range(0, len(rows), 64):
            batch = collate(rows[first : first + 64])
            wanted = batch.pop("labels")
            with torch.inference_mode():
                right += int((self.model(**batch).logits.argmax(-1) == wanted).sum())
        return 100 * right / len(rows)

    def _encoded(self, texts: list[str], labels: list[str]) -> list[dict[str, Any]]:
        found = self.tokenizer(texts, truncation=True, max_length=self.recipe.data.max_length)["input_ids"]
        return [{"input_ids": ids, "labels": self.names.index(label)} for ids, label in zip(found, labels, strict=True)]

    def _settings(self, updates: int) -> Any:
        ours, (precision, order, _) = self.recipe.training, SETTINGS[self.arguments.peer]
        return self.library.TrainingArguments(
            output_dir=tempfile.mkdtemp(),
            per_device_train_batch_size=TEXTS,
            max_steps=updates,
            learning_rate=ours.learning_rate,
            lr_scheduler_type=ours.schedule,
            warmup_steps=min(ours.warmup, updates // 2),
            weight_decay=ours.weight_decay,
            adam_beta2=ours.betas[1],
            label_smoothing_factor=ours.label_smoothing,
            max_grad_norm=ours.clip,
            bf16=precision == "bfloat16",
            train_sampling_strategy=order,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            seed=self.recipe.seed,
        )


def _clock(callback: type) -> Any:
    """A callback that notes the seconds from the first step's beginning to the last one's end."""

    class Clock(callback):  # type: ignore[misc, valid-type]
        began, seconds = 0.0, 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = self.began or time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.seconds = time.perf_counter() - self.began

    return Clock()


def worker(arguments: argparse.Namespace) -> None:
    """Answer each request with texts a second."""
    if arguments.peer == "clearhead":
        rounds = clearhead_rounds(arguments)
        serve({"peer": "clearhead"}, lambda _: next(rounds))
        return
    peer = Peer(arguments)
    serve({"peer": arguments.peer}, lambda _: peer.train(arguments.updates))


def quality(arguments: argparse.Namespace) -> None:
    """Train the Trainer to the end, and add its accuracy and time to the result."""
    path = RESULTS / f"{NAME}.json"
    result = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"machine": machine()}
    peers = {name: entry["rate"]["median"] for name, entry in result.items() if name in SETTINGS and "rounds" in entry}
    arguments.peer = max(peers, key=lambda name: peers[name], default="trainer bfloat16, grouped")
    peer = Peer(arguments)
    answer = peer.train(peer.recipe.training.updates)
    found = {"setting": arguments.peer, "threads": peer.threads, "updates": peer.recipe.training.updates}
    found |= {"test_accuracy": peer.accuracy(), "seconds": round(answer["seconds"], 1)}
    write_json(NAME, {**result, "trainer_to_the_end": found})


def main() -> None:
    """Run as parent, or as worker when told so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data")
    parser.add_argument("--model", type=Path, required=True, help="directory of the published model")
    parser.add_argument("--updates", type=int, default=50, help="a round; the Trainer sorts 50 batches at a time")
    parser.add_argument("--settings", nargs="+", choices=tuple(SETTINGS), default=tuple(SETTINGS), metavar="SETTING")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quality", action="store_true", help="train the Trainer to the end and score it")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--peer", default="clearhead", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments)
    elif arguments.quality:
        quality(arguments)
    else:
        common = ["--data", str(arguments.data), "--model", str(arguments.model), "--updates", str(arguments.updates)]
        contestants = {name: [*common, "--peer", name] for name in ("clearhead", *arguments.settings)}
        path, kept = RESULTS / f"{NAME}.json", "trainer_to_the_end"
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        result: dict[str, Any] = {"what": "texts a second in fine-tuning on Banking77", "texts_an_update": TEXTS}
        result |= {kept: before[kept]} if kept in before else {}
        write_result(NAME, {**result, **duel(__file__, contestants, arguments.rounds, {})})


if __name__ == "__main__":
    main()
