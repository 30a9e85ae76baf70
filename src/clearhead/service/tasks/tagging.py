"""The task "tagging" as the service sees it: tagged sentences to learn from, a tagger, scores of its tags."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from clearhead.data.ledger import Ledger
from clearhead.data.tagged import read_tagged
from clearhead.errors import ConfigurationError, DataError, RunError
from clearhead.models.config import ModelConfig
from clearhead.models.encoder_only import EncoderOnly
from clearhead.recipes.tagging import TaggingRecipe
from clearhead.service.events import Scored
from clearhead.service.run_folder import RunFolder
from clearhead.service.tasks import tagged
from clearhead.service.tasks.tagger import Tagger
from clearhead.service.tasks.task import Prepared, Wrap
from clearhead.tasks.tagging import Tagging
from clearhead.training.events import Validation
from clearhead.training.labelling import labelling
from clearhead.training.protocol import Objective
from clearhead.training.signals import StopFlag, Stopped

EXAMPLES = 3


@dataclass(frozen=True)
class HeldOutTags:
    """Sentences that nothing was learnt from, with the wanted tags. ``name``: "valid", "test", or a file's."""

    name: str
    sentences: tuple[tuple[str, ...], ...]
    tags: tuple[tuple[str, ...], ...]
    skipped: int = 0  # sentences that could not be read


class TaggingTask:
    """See ``task.Task``."""

    def prepare(self, recipe: TaggingRecipe, run: RunFolder, *, accept_changes: bool = False) -> Prepared:
        """Words, tags, the corpus, sizes."""
        return tagged.prepare(recipe, run, accept_changes=accept_changes)

    def open(self, recipe: TaggingRecipe, run: RunFolder, config: ModelConfig) -> Wrap[Tagger]:
        """A tagger with the run's words and tags.

        Raises:
            RunError: they are missing, damaged, or of other sizes than the model.
        """
        learnt = tagged.read_learnt(recipe, run)
        wanted = (config.source_vocabulary, config.ngram_buckets, config.classes)
        found = (learnt.reader.size, learnt.reader.buckets, len(learnt.tags))
        if wanted != found:
            raise RunError(
                f"{run.path}: by {run.card_file.name} there are {wanted[0]} pieces, {wanted[1]} n-gram buckets and "
                f"{wanted[2]} tags, but by the files in tokenizer/ {found[0]}, {found[1]} and {found[2]}; do they "
                "belong to another run?"
            )
        marks_spans = recipe.data.scheme == "bio"
        task = Tagging(learnt.reader, learnt.tags, recipe.data.max_length, frozenset(learnt.seen), marks_spans)
        return lambda model: Tagger(cast(EncoderOnly, model), task)

    def objective(self, recipe: TaggingRecipe, prepared: Prepared) -> Objective:
        """Cross-entropy over words with the recipe's label smoothing."""
        return labelling(recipe.training.label_smoothing)

    def read(self, recipe: TaggingRecipe, split: str) -> HeldOutTags | None:
        """All sentences of the recipe's ``split``."""
        name = recipe.data.files.get(split)
        return None if name is None else _read(recipe, split, name, Path(recipe.data.folder))

    def given(self, recipe: TaggingRecipe, data: Sequence[Path]) -> HeldOutTags:
        """One file of tagged sentences, read as the recipe's are."""
        if len(data) != 1:
            raise ConfigurationError(f"--data: expected one file of tagged sentences, got {len(data)}")
        name = str(data[0].absolute())
        try:
            recipe.data.format_of(name)
        except ValueError as error:
            raise ConfigurationError(f"--data: {error}") from None
        return _read(recipe, str(data[0]), name, Path("/"))

    def validate(self, predictor: Tagger, held_out: HeldOutTags, stop: StopFlag) -> Validation:
        """The loss and the scores, from one pass."""
        loss, scores, _, answers = _measure(predictor, held_out, _checking(stop))
        examples = zip(held_out.sentences, held_out.tags, answers, strict=True)
        lines = [(" ".join(words), " ".join(tags), " ".join(found)) for words, tags, found in examples]
        return Validation(loss, scores, tuple(lines[:EXAMPLES]))

    def settle(self, predictor: Tagger, valid: HeldOutTags | None, run: RunFolder) -> None:
        """Nothing is left to decide."""

    def score(self, predictor: Tagger, held_out: HeldOutTags, options: Mapping[str, Any]) -> Scored:
        """Loss and scores. There are no options.

        Raises:
            ConfigurationError: an option was given.
        """
        if options:
            raise ConfigurationError(f"tagging has no option {next(iter(options))!r}")
        began = time.perf_counter()
        loss, scores, tables, _ = _measure(predictor, held_out, lambda: None)
        seconds = time.perf_counter() - began
        words = sum(map(len, held_out.sentences))
        details = {
            "words": words,
            "skipped": held_out.skipped,
            "unknown_words": sum(word not in predictor.task.seen for row in held_out.sentences for word in row),
            "unseen": sum(tables["unseen_tags"].values()),
            "sentences_in_parts": tables.pop("sentences_in_parts"),
            "words_per_second": words / seconds,
        }
        return Scored(0, held_out.name, len(held_out.sentences), "sentences", loss, scores, details, seconds, tables)


def _measure(
    tagger: Tagger, held_out: HeldOutTags, check: Callable[[], None]
) -> tuple[float, dict[str, float], dict[str, Any], list[tuple[str, ...]]]:
    found, loss = tagger.task.tag_and_measure(tagger.model, held_out.sentences, held_out.tags, check)
    scores, tables = tagger.task.measure(found, held_out.tags)
    tables["sentences_in_parts"] = sum(each.parts > 1 for each in found)
    return loss, scores, tables, [each.tags for each in found]


def _checking(stop: StopFlag) -> Callable[[], None]:
    def check() -> None:
        if stop:
            raise Stopped

    return check


def _read(recipe: TaggingRecipe, name: str, file: str, folder: Path) -> HeldOutTags:
    """All sentences, long ones too: a test set is scored as it is."""
    ledger = Ledger(strict=recipe.data.bad_lines == "refuse")
    found = list(read_tagged(recipe.data, file, folder, ledger))
    if not found:
        raise DataError(f"{folder / file}: there is no tagged sentence to score")
    words, tags = tuple(each.words for each in found), tuple(each.tags for each in found)
    return HeldOutTags(name, words, tags, ledger.read - len(found))
