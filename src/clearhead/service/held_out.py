"""Held-out pairs, and how a model does on them: loss by teacher forcing, scores by real decoding."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from clearhead.data.batch import PairBatch, collate_pairs
from clearhead.data.ledger import Ledger
from clearhead.data.order import evaluation_batches
from clearhead.data.read import data_paths, read_pairs
from clearhead.data.settings import PairFiles
from clearhead.errors import DataError
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.service.events import Scored
from clearhead.service.load import Translator
from clearhead.tasks.metrics import chrf, exact_match, sacre_bleu
from clearhead.training.evaluate import validation_loss
from clearhead.training.events import Validation
from clearhead.training.signals import StopFlag, Stopped

TOKENS = 4096
AT_A_TIME = 512
EXAMPLES = 3
SCORES = ("bleu", "chrf", "multi_bleu_lowercased", "exact_match")  # of 0 to 100, out of the task's report
WATCHABLE: dict[str, Callable[[Sequence[str], Sequence[str]], float]] = {
    "bleu": sacre_bleu,
    "chrf": chrf,
    "exact_match": exact_match,
}
GREEDY = {"beam": 1, "n_best": 1, "sample": False}  # what makes a decoding quick enough for validations on the way


@dataclass(frozen=True)
class HeldOut:
    """Pairs that nothing was learnt from. ``name`` says which: "valid", "test", or a file's."""

    name: str
    sources: tuple[str, ...]
    references: tuple[str, ...]


def read_held_out(name: str, files: PairFiles, folder: Path, *, lenient: bool = False) -> HeldOut:
    """Read all pairs of ``files``, blank ones included: a test set is scored as it is.

    Raises:
        DataError: a file is missing, broken (unless ``lenient``) or misaligned, or holds no pair.
    """
    pairs = list(read_pairs(files, folder, Ledger(strict=not lenient)))
    if not pairs:
        raise DataError(f"{' and '.join(map(str, data_paths(files, folder)))}: there is no sentence pair to score")
    return HeldOut(name, tuple(pair.source for pair in pairs), tuple(pair.target for pair in pairs))


@dataclass(frozen=True, eq=False)
class Validator:
    """Scores a model on ``held_out``; what training calls at each validation."""

    held_out: HeldOut
    translator: Translator
    decoding: Mapping[str, Any] = field(default_factory=dict)
    stop: StopFlag = field(default_factory=StopFlag)

    def __call__(self, model: nn.Module) -> Validation:
        """Loss and scores of ``model`` as it now is.

        Raises:
            Stopped: the flag was set on the way.
        """
        translator = self.translator.with_model(cast(EncoderDecoder, model))
        loss = validation_loss(model, loss_batches(translator, self.held_out), stop=self.stop)
        outputs = self._decode(translator)
        scores = {name: metric(outputs, self.held_out.references) for name, metric in WATCHABLE.items()}
        return Validation(loss, scores, self._examples(outputs))

    def _decode(self, translator: Translator) -> list[str]:
        outputs: list[str] = []
        for start in range(0, len(self.held_out.sources), AT_A_TIME):
            if self.stop:
                raise Stopped
            part = self.held_out.sources[start : start + AT_A_TIME]
            outputs += [str(each) for each in translator.predict(part, **self.decoding)]
        return outputs

    def _examples(self, outputs: Sequence[str]) -> tuple[tuple[str, str, str], ...]:
        triples = zip(self.held_out.sources, self.held_out.references, outputs, strict=True)
        return tuple(triple for triple, _ in zip(triples, range(EXAMPLES), strict=False))


def score(
    translator: Translator, held_out: HeldOut, decoding: Mapping[str, Any] | None = None, *, tokenize: str = "13a"
) -> Scored:
    """Loss and scores of a translator on ``held_out``, decoded as its recipe says but for ``decoding``.

    ``tokenize`` is sacreBLEU's tokenizer for BLEU, such as "zh" for Chinese references.
    """
    began = time.perf_counter()
    loss = validation_loss(translator.model, loss_batches(translator, held_out))
    settings = translator.settings(dict(decoding or {}))
    pairs = zip(held_out.sources, held_out.references, strict=True)
    with torch.inference_mode():
        found = translator.task.evaluate(translator.model, pairs, settings, tokenize=tokenize)
    scores = {name: float(found[name]) for name in SCORES}
    details = {name: value for name, value in found.items() if name not in SCORES and name != "sentences"}
    return Scored(0, held_out.name, len(held_out.sources), loss, scores, details, time.perf_counter() - began)


def loss_batches(translator: Translator, held_out: HeldOut) -> list[PairBatch]:
    """The pairs as batches of similar length; what is longer than the model's positions is cut."""
    room = translator.longest
    sources = [ids[:room] for ids in translator.task.source.encode(held_out.sources)]
    targets = [ids[:room] for ids in translator.task.target.encode(held_out.references)]
    lengths = np.array([[len(a), len(b)] for a, b in zip(sources, targets, strict=True)], dtype=np.int32)
    budget = max(TOKENS, int(lengths.max()) + 1)
    return [
        collate_pairs([sources[row] for row in rows], [targets[row] for row in rows])
        for rows in evaluation_batches(lengths, budget)
    ]
