"""The task "translation" as the service sees it: pairs to learn from, a translator, scores by real decoding."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydantic import ValidationError

from clearhead.data.batch import PairBatch, collate_pairs
from clearhead.data.ledger import Ledger
from clearhead.data.order import evaluation_batches
from clearhead.data.pair import Pair
from clearhead.data.pair_parts import part_files, read_part_pairs
from clearhead.data.read import data_paths, read_pairs
from clearhead.data.settings import PairFiles
from clearhead.errors import ConfigurationError, DataError, RunError
from clearhead.models.config import ModelConfig
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.recipes.sentences import explain
from clearhead.recipes.translation import TranslationRecipe
from clearhead.service.events import Scored
from clearhead.service.prediction import Prediction
from clearhead.service.run_folder import RunFolder
from clearhead.service.tasks import pairs
from clearhead.service.tasks.task import Prepared, Wrap
from clearhead.service.tasks.translator import Translator
from clearhead.tasks.translation import Translation, measure
from clearhead.training.evaluate import validation_loss
from clearhead.training.events import Validation
from clearhead.training.protocol import Objective
from clearhead.training.scheduled_sampling import scheduled_sampling
from clearhead.training.signals import StopFlag, Stopped
from clearhead.training.teacher_forcing import held_out_loss, teacher_forcing

TOKENS = 4096
AT_A_TIME = 512
EXAMPLES = 3
SCORES = TranslationRecipe.SCORES
GREEDY = {"beam": 1, "n_best": 1, "sample": False}  # what makes a decoding quick enough for validations on the way


@dataclass(frozen=True)
class HeldOutPairs:
    """Pairs that nothing was learnt from. ``name`` says which: "valid", "test", or a file's."""

    name: str
    sources: tuple[str, ...]
    references: tuple[str, ...]


class TranslationTask:
    """See ``task.Task``."""

    def prepare(self, recipe: TranslationRecipe, run: RunFolder, *, accept_changes: bool = False) -> Prepared:
        """Tokenizers, the corpus of pairs, sizes."""
        return pairs.prepare(recipe, run, accept_changes=accept_changes)

    def open(self, recipe: TranslationRecipe, run: RunFolder, config: ModelConfig) -> Wrap[Translator]:
        """A translator with the run's tokenizers.

        Raises:
            RunError: they are missing, damaged, or of other sizes than the model.
        """
        source, target = run.tokenizers()
        wanted, found = (config.source_vocabulary, config.target_vocabulary), (source.size, target.size)
        if wanted != found:
            raise RunError(
                f"{run.path}: by {run.card_file.name} the vocabularies have {wanted[0]} and {wanted[1]} entries, but "
                f"the tokenizer files have {found[0]} and {found[1]}; do they belong to another run?"
            )
        task = Translation(source, target, recipe.decoding, recipe.scoring.bleu_tokenizer)
        return lambda model: Translator(cast(EncoderDecoder, model), task)

    def objective(self, recipe: TranslationRecipe, prepared: Prepared) -> Objective:
        """Teacher forcing, or scheduled sampling where the recipe speaks of it."""
        smoothing = recipe.training.label_smoothing
        if recipe.scheduled_sampling is None:
            return teacher_forcing(smoothing)
        return scheduled_sampling(recipe.scheduled_sampling, smoothing)

    def read(self, recipe: TranslationRecipe, split: str) -> HeldOutPairs | None:
        """All pairs of the recipe's ``split``."""
        files, folder = part_files(recipe.data, split), Path(recipe.data.folder)
        if files is None:
            return None
        found = read_part_pairs(recipe.data, split, folder, Ledger(strict=recipe.data.bad_lines == "refuse"))
        return _held_out(split, found, data_paths(files, folder))

    def given(self, recipe: TranslationRecipe, data: Sequence[Path]) -> HeldOutPairs:
        """One table with the recipe's columns, or a file of source lines and one of target lines."""
        paths = [str(path.absolute()) for path in data]
        if len(paths) > 2:
            raise ConfigurationError(f"--data: expected one table, or source and target lines; got {len(paths)} files")
        try:
            files = _table(recipe, paths[0]) if len(paths) == 1 else PairFiles(source=paths[0], target=paths[1])
        except ValidationError as error:
            raise ConfigurationError(explain(error, PairFiles, "--data")) from None
        return read_held_out(" and ".join(map(str, data)), files, Path("/"))

    def validate(self, predictor: Translator, held_out: HeldOutPairs, stop: StopFlag) -> Validation:
        """The loss by teacher forcing, the scores by greedy search."""
        loss = validation_loss(predictor.model, loss_batches(predictor, held_out), held_out_loss, stop=stop)
        answers: list[Prediction] = []
        for start in range(0, len(held_out.sources), AT_A_TIME):
            if stop:
                raise Stopped
            answers += predictor.predict(held_out.sources[start : start + AT_A_TIME], **GREEDY)
        best = [answer.alternatives[0] for answer in answers]
        found = measure(best, held_out.references, tokenize=predictor.task.bleu_tokenizer)
        triples = zip(held_out.sources, held_out.references, map(str, answers), strict=True)
        examples = tuple(triple for triple, _ in zip(triples, range(EXAMPLES), strict=False))
        return Validation(loss, {name: float(found[name]) for name in SCORES}, examples)

    def settle(self, predictor: Translator, valid: HeldOutPairs | None, run: RunFolder) -> None:
        """Nothing is left to decide."""

    def score(self, predictor: Translator, held_out: HeldOutPairs, options: Mapping[str, Any]) -> Scored:
        """Loss and scores, decoded as the recipe says but for ``options``; "tokenize" is sacreBLEU's, for BLEU."""
        decoding = dict(options)
        tokenize = str(decoding.pop("tokenize", predictor.task.bleu_tokenizer))
        began = time.perf_counter()
        loss = validation_loss(predictor.model, loss_batches(predictor, held_out), held_out_loss)
        start = time.perf_counter()
        best = [answer.alternatives[0] for answer in predictor.predict(held_out.sources, **decoding)]
        per_second = len(best) / (time.perf_counter() - start)
        found = measure(best, held_out.references, tokenize=tokenize)
        scores = {name: float(found[name]) for name in SCORES}
        details = {name: value for name, value in found.items() if name not in SCORES and name != "sentences"}
        details |= {"sentences_per_second": per_second}
        return Scored(0, held_out.name, len(best), "pairs", loss, scores, details, time.perf_counter() - began)


def read_held_out(name: str, files: PairFiles, folder: Path, *, lenient: bool = False) -> HeldOutPairs:
    """Read all pairs of ``files``, blank ones included: a test set is scored as it is.

    Raises:
        DataError: a file is missing, broken (unless ``lenient``) or misaligned, or holds no pair.
    """
    return _held_out(name, read_pairs(files, folder, Ledger(strict=not lenient)), data_paths(files, folder))


def _held_out(name: str, pairs: Iterable[Pair], paths: Sequence[Path]) -> HeldOutPairs:
    found = list(pairs)
    if not found:
        raise DataError(f"{' and '.join(map(str, paths))}: there is no sentence pair to score")
    return HeldOutPairs(name, tuple(pair.source for pair in found), tuple(pair.target for pair in found))


def loss_batches(translator: Translator, held_out: HeldOutPairs) -> list[PairBatch]:
    """The pairs as batches of similar length; what is longer than the model's positions is cut."""
    sources, targets = pieces_of(translator, held_out)
    lengths = np.array([[len(a), len(b)] for a, b in zip(sources, targets, strict=True)], dtype=np.int32)
    budget = max(TOKENS, int(lengths.max()) + 1)
    return [
        collate_pairs([sources[row] for row in rows], [targets[row] for row in rows], translator.task.sides)
        for rows in evaluation_batches(lengths, budget)
    ]


def pieces_of(translator: Translator, held_out: HeldOutPairs) -> tuple[list[list[int]], list[list[int]]]:
    """Ids of sources and of references, without special tokens, as long as the model has room for them."""
    task, positions = translator.task, translator.config.max_positions
    sources = [ids[: task.longest(positions)] for ids in task.source.encode(held_out.sources)]
    return sources, [ids[: task.longest_target(positions)] for ids in task.target.encode(held_out.references)]


def _table(recipe: TranslationRecipe, path: str) -> PairFiles:
    """A table with the columns of the recipe's, or "source" and "target"."""
    for files in (recipe.data.test, recipe.data.valid, recipe.data.train):
        if files is not None and files.file:
            return PairFiles(file=path, source=files.source, target=files.target, header=files.header)
    return PairFiles(file=path, source="source", target="target")
