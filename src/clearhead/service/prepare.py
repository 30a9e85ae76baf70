"""From a recipe to what training needs: tokenizers learnt from the training side only, the prepared corpus, the sizes.

On resuming, what is already in the run folder is used as it is, after the data files proved to be the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clearhead.data.corpus import PairCorpus
from clearhead.data.ledger import Ledger
from clearhead.data.prepare import prepare_pairs, sha256
from clearhead.data.read import data_paths, read_pairs
from clearhead.errors import RunError
from clearhead.models.config import ModelConfig
from clearhead.recipes.schema import Recipe
from clearhead.service.run_folder import RunCard, RunFolder
from clearhead.text.learn import learn_tokenizer
from clearhead.text.tokenizer import Tokenizer

Tokenizers = tuple[Tokenizer, Tokenizer]


@dataclass(frozen=True)
class Prepared:
    """Everything between the recipe and the model."""

    tokenizers: Tokenizers
    corpus: PairCorpus
    model: ModelConfig


def prepare(recipe: Recipe, run: RunFolder) -> Prepared:
    """Learn tokenizers, prepare the training corpus and write ``config.json``, as far as that is not done yet.

    Raises:
        DataError: a data file is missing, broken or misaligned.
        RunError: a data file is no longer the one that the corpus in the run folder was made from.
    """
    begun = run.card_file.is_file()
    tokenizers = run.tokenizers() if begun else _learn(recipe)
    if not begun:
        run.write_tokenizers(tokenizers, shared=recipe.tokenizer.shared)
    model = recipe.with_vocabularies(tokenizers[0].size, tokenizers[1].size)
    if not begun:
        run.write_card(RunCard(task=recipe.task, model=model))
    return Prepared(tokenizers, _corpus(recipe, run, tokenizers), model)


def _learn(recipe: Recipe) -> Tokenizers:
    if recipe.tokenizer.shared:
        tokenizer = learn_tokenizer(recipe.tokenizer, _lines(recipe, (0, 1)))
        return tokenizer, tokenizer
    return learn_tokenizer(recipe.tokenizer, _lines(recipe, (0,))), learn_tokenizer(
        recipe.tokenizer, _lines(recipe, (1,))
    )


def _lines(recipe: Recipe, sides: tuple[int, ...]) -> Iterator[str]:
    """The training text of one side, or of both in turn."""
    ledger = Ledger(strict=recipe.data.bad_lines == "refuse")
    for pair in read_pairs(recipe.data.train, Path(recipe.data.folder), ledger):
        texts = (pair.source, pair.target)
        yield from (texts[side] for side in sides)


def _corpus(recipe: Recipe, run: RunFolder, tokenizers: Tokenizers) -> PairCorpus:
    folder, out = Path(recipe.data.folder), run.corpus / "train"
    if (out / "corpus.json").is_file():
        corpus = PairCorpus.open(out)
        _refuse_changed(recipe, corpus)
        return corpus
    return prepare_pairs(
        recipe.data,
        recipe.data.train,
        folder,
        tokenizers,
        out,
        samples=recipe.tokenizer.subword_samples,
        dropout=recipe.tokenizer.subword_dropout,
        seed=recipe.seed,
    )


def _refuse_changed(recipe: Recipe, corpus: PairCorpus) -> None:
    """Training files that are still there must be the ones the corpus was made from; absent ones are not missed."""
    for path in data_paths(recipe.data.train, Path(recipe.data.folder)):
        if path.is_file() and corpus.inputs.get(path.name) != sha256(path):
            raise RunError(
                f"{path} is not the file this run was begun with: its contents have changed; put the old file back, "
                "or train anew into another folder"
            )


def tokenizers_sha256(tokenizers: Tokenizers) -> str:
    """One fingerprint of both tokenizers."""
    return hashlib.sha256("".join(tokenizer.fingerprint for tokenizer in tokenizers).encode()).hexdigest()
