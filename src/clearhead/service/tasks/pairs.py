"""From a translation recipe to what training needs: tokenizers learnt from the training side only, or brought by the
model that is started from; the corpus, sizes.

On resuming, what is already in the run folder is used as it is, after the data files proved to be the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clearhead.data.corpus import PairCorpus
from clearhead.data.ledger import Ledger
from clearhead.data.pair_parts import read_part_pairs, split_in_numbers
from clearhead.data.prepare import named_inputs, prepare_pairs
from clearhead.data.read import data_paths
from clearhead.recipes.translation import TranslationRecipe
from clearhead.service.changes import refuse_other_files
from clearhead.service.run_folder import RunCard, RunFolder
from clearhead.service.start import Start
from clearhead.service.tasks.task import Prepared
from clearhead.text.learn import learn_tokenizer
from clearhead.text.tokenizer import Tokenizer

Tokenizers = tuple[Tokenizer, Tokenizer]


def prepare(recipe: TranslationRecipe, run: RunFolder, *, accept_changes: bool) -> Prepared:
    """Learn tokenizers, prepare the training corpus and write ``config.json``, as far as that is not done yet.

    Raises:
        DataError: a data file is missing, broken or misaligned.
        RunError: a data file is no longer the one that the corpus in the run folder was made from.
    """
    begun = run.card_file.is_file()
    tokenizers = run.tokenizers() if begun else _tokenizers(recipe, run)
    if not begun:
        run.write_tokenizers(tokenizers, shared=tokenizers[0] is tokenizers[1])
    model = recipe.with_vocabularies(tokenizers[0].size, tokenizers[1].size)
    if not begun:
        run.write_card(RunCard(task=recipe.task, model=model))
    corpus = _corpus(recipe, run, tokenizers, accept_changes=accept_changes)
    source, target = tokenizers
    tokens = corpus.tokens()
    return Prepared(
        model=model,
        corpus=corpus,
        vocabularies=(source.size,) if source is target else (source.size, target.size),
        identity={"tokenizers": _sha256(tokenizers)},
        unit="pairs",
        counted="target_tokens",
        facts={"source_tokens": tokens[0], "target_tokens": tokens[1], "files": corpus.inputs, **_split(recipe)},
    )


def _split(recipe: TranslationRecipe) -> dict[str, Any]:
    """What each part of a split holds, where there is one and its file is still there."""
    folder = Path(recipe.data.folder)
    there = all(path.is_file() for path in data_paths(recipe.data.train, folder))
    return {"split": split_in_numbers(recipe.data, folder)} if recipe.data.split and there else {}


def _tokenizers(recipe: TranslationRecipe, run: RunFolder) -> Tokenizers:
    start = Start.of(run)
    return _learn(recipe) if start is None else start.tokenizers


def _learn(recipe: TranslationRecipe) -> Tokenizers:
    settings = recipe.cutting
    if settings.shared:
        tokenizer = learn_tokenizer(settings, _lines(recipe, (0, 1)))
        return tokenizer, tokenizer
    return learn_tokenizer(settings, _lines(recipe, (0,))), learn_tokenizer(settings, _lines(recipe, (1,)))


def _lines(recipe: TranslationRecipe, sides: tuple[int, ...]) -> Iterator[str]:
    """The training text of one side, or of both in turn."""
    ledger = Ledger(strict=recipe.data.bad_lines == "refuse")
    for pair in read_part_pairs(recipe.data, "train", Path(recipe.data.folder), ledger):
        texts = (pair.source, pair.target)
        yield from (texts[side] for side in sides)


def _corpus(recipe: TranslationRecipe, run: RunFolder, tokenizers: Tokenizers, *, accept_changes: bool) -> PairCorpus:
    folder, out, files = Path(recipe.data.folder), run.corpus / "train", recipe.data.train
    anew = accept_changes and all(path.is_file() for path in data_paths(files, folder))
    if (out / "corpus.json").is_file() and not anew:
        corpus = PairCorpus.open(out)
        refuse_other_files(corpus.inputs, named_inputs(files, folder))
        return corpus
    return prepare_pairs(
        recipe.data,
        files,
        folder,
        tokenizers,
        out,
        samples=recipe.cutting.subword_samples,
        dropout=recipe.cutting.subword_dropout,
        seed=recipe.seed,
    )


def _sha256(tokenizers: Tokenizers) -> str:
    """One fingerprint of both tokenizers."""
    return hashlib.sha256("".join(tokenizer.fingerprint for tokenizer in tokenizers).encode()).hexdigest()
