"""From a tagging recipe to what training needs: the words, the tags, the corpus, sizes; learnt from training data only.

On resuming, what is already in the run folder is used as it is, after the data file proved to be the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clearhead.data.ledger import Ledger
from clearhead.data.prepare_tagged import prepare_tagged
from clearhead.data.tag_corpus import TagCorpus
from clearhead.data.tagged import read_tagged
from clearhead.data.tagged_sentence import TaggedSentence
from clearhead.data.word_table import PieceReader, WholeWordReader, WordReader
from clearhead.errors import DataError, RunError
from clearhead.recipes.tagging import TaggingRecipe
from clearhead.service.changes import refuse_other_files
from clearhead.service.run_folder import RunCard, RunFolder, write_text
from clearhead.service.start import Start
from clearhead.service.tasks.task import Prepared
from clearhead.strict_json import read_json
from clearhead.text.foreign import load_tokenizer
from clearhead.text.learn import learn_tokenizer
from clearhead.text.words import WordVocabulary

WORDS, PIECES, TAGS = "words.json", "pieces.json", "tags.json"
LARGEST = 1 << 28  # bytes of the list of all words


@dataclass(frozen=True)
class Learnt:
    """What a run knows beside its weights: how words are read, which tags there are, which words it has seen."""

    reader: WordReader
    tags: tuple[str, ...]
    seen: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """sha256 of what decides the numbers of words and tags."""
        return hashlib.sha256(json.dumps([self.reader.fingerprint, self.tags]).encode()).hexdigest()


def prepare(recipe: TaggingRecipe, run: RunFolder, *, accept_changes: bool) -> Prepared:
    """Learn words and tags, prepare the training corpus and write ``config.json``, as far as that is not done yet.

    Raises:
        DataError: the data file is missing or broken.
        RunError: it is no longer the one that the corpus in the run folder was made from.
    """
    begun = run.card_file.is_file()
    learnt = read_learnt(recipe, run) if begun else _learn(recipe, run)
    model = recipe.model_of(learnt.reader.size, len(learnt.tags))
    if not begun:
        run.write_card(RunCard(task=recipe.task, model=model))
    corpus = _corpus(recipe, run, learnt, accept_changes=accept_changes)
    return Prepared(
        model=model,
        corpus=corpus,
        vocabularies=(learnt.reader.size, len(learnt.tags)),
        identity={"words": learnt.reader.fingerprint, "tags": learnt.fingerprint},
        unit="sentences",
        counted="words",
        facts={
            "words": corpus.words,
            "positions": corpus.positions,
            "distinct_words": len(learnt.seen),
            "tags": list(learnt.tags),
            "files": corpus.inputs,
        },
        labels=learnt.tags,
    )


def read_learnt(recipe: TaggingRecipe, run: RunFolder) -> Learnt:
    """What ``prepare`` wrote into the run.

    Raises:
        RunError: a file is missing or damaged; the message names it.
    """
    folder = run.path / "tokenizer"
    table = read_json(folder / TAGS, max_bytes=LARGEST)
    tags, seen = table.get("tags"), table.get("seen")
    for name, value in (("tags", tags), ("seen", seen)):
        if not (isinstance(value, list) and value and all(isinstance(each, str) for each in value)):
            raise RunError(f"{folder / TAGS} is damaged: expected {name!r} to be a list of strings")
    return Learnt(_reader(recipe, folder), tuple(tags or ()), tuple(seen or ()))


def _reader(recipe: TaggingRecipe, folder: Path) -> WordReader:
    if recipe.input.kind == "words":
        return WholeWordReader(WordVocabulary.load(folder / WORDS))
    return PieceReader(load_tokenizer(folder / PIECES))


def _learn(recipe: TaggingRecipe, run: RunFolder) -> Learnt:
    folder = run.path / "tokenizer"
    seen = {word for sentence in _sentences(recipe) for word in sentence.words}
    tags = {tag for sentence in _sentences(recipe) for tag in sentence.tags}
    if not tags:
        raise DataError(f"no usable sentence in {Path(recipe.data.folder) / recipe.data.train}")
    words = (word for sentence in _sentences(recipe) for word in sentence.words)
    reader: WordReader
    start = Start.of(run)
    if recipe.input.kind == "words":
        vocabulary = WordVocabulary.learn(words, recipe.input) if start is None else start.words()
        vocabulary.save(folder / WORDS)
        reader = WholeWordReader(vocabulary)
    else:
        tokenizer = learn_tokenizer(recipe.cutting, words) if start is None else start.tokenizer()
        tokenizer.save(folder / PIECES)
        reader = PieceReader(tokenizer)
    learnt = Learnt(reader, tuple(sorted(tags)), tuple(sorted(seen)))
    table = {"tags": learnt.tags, "seen": learnt.seen}
    write_text(folder / TAGS, json.dumps(table, ensure_ascii=False, indent=0) + "\n")
    return learnt


def _sentences(recipe: TaggingRecipe) -> Iterator[TaggedSentence]:
    """The training data; what is wrong with it is counted when the corpus is made."""
    ledger = Ledger(strict=recipe.data.bad_lines == "refuse")
    return read_tagged(recipe.data, recipe.data.train, Path(recipe.data.folder), ledger)


def _corpus(recipe: TaggingRecipe, run: RunFolder, learnt: Learnt, *, accept_changes: bool) -> TagCorpus:
    path, out = Path(recipe.data.folder) / recipe.data.train, run.corpus / "train"
    if (out / "corpus.json").is_file() and not (accept_changes and path.is_file()):
        corpus = TagCorpus.open(out)
        refuse_other_files(corpus.inputs, {path.name: path})
        return corpus
    numbers = {tag: number for number, tag in enumerate(learnt.tags)}
    return prepare_tagged(recipe.data, learnt.reader, numbers, out)
