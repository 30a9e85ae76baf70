"""From a recipe of labelled texts to what training needs: vocabulary, labels, corpus, sizes; from training data only.

On resuming, what is already in the run folder is used as it is, after the data file proved to be the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clearhead.data.label_split import held_out_rows
from clearhead.data.labelled import LabelledText, meaning_of, read_labelled
from clearhead.data.labels import Labels, read_label_names
from clearhead.data.ledger import Ledger
from clearhead.data.prepare_texts import Variety, prepare_texts, without_blanks
from clearhead.data.text_corpus import TextCorpus
from clearhead.data.text_reader import PieceReader, TextReader, WholeWordReader
from clearhead.errors import DataError, RunError
from clearhead.recipes.classification import TextRecipe
from clearhead.service.changes import refuse_other_files
from clearhead.service.run_folder import RunCard, RunFolder, write_text
from clearhead.service.start import Start
from clearhead.service.tasks.task import Prepared
from clearhead.strict_json import read_json
from clearhead.text.foreign import load_tokenizer
from clearhead.text.learn import learn_tokenizer
from clearhead.text.running_words import running_words
from clearhead.text.words import WordVocabulary

WORDS, PIECES, LABELS = "words.json", "pieces.json", "labels.json"
LARGEST = 1 << 26  # bytes of the list of all labels


@dataclass(frozen=True)
class Learnt:
    """What a run knows beside its weights: how texts are read, and which labels there are."""

    reader: TextReader
    labels: Labels


@dataclass(frozen=True)
class TrainingRows:
    """The training file, read: what is learnt from, what is held out of it, and what became of every row."""

    kept: list[LabelledText]
    held_out: list[LabelledText]
    ledger: Ledger


def prepare(recipe: TextRecipe, run: RunFolder, *, accept_changes: bool) -> Prepared:
    """Learn words or pieces, and labels; prepare the training corpus and write ``config.json``, unless that is done.

    Raises:
        DataError: a data file is missing or broken.
        RunError: it is no longer the one that the corpus in the run folder was made from.
    """
    begun, path = run.card_file.is_file(), Path(recipe.data.folder) / recipe.data.train.file
    there = (run.corpus / "train" / "corpus.json").is_file() and not (accept_changes and path.is_file())
    rows = None if begun and there else training_rows(recipe)
    learnt = read_learnt(recipe, run) if begun or rows is None else _learn(recipe, run, rows.kept)
    model = recipe.model_of(learnt.reader.size, len(learnt.labels.names))
    if not begun:
        run.write_card(RunCard(task=recipe.task, model=model))
    corpus = _corpus(recipe, run, learnt, rows)
    refuse_other_files(corpus.inputs, {path.name: path})
    return Prepared(
        model=model,
        corpus=corpus,
        vocabularies=(learnt.reader.size, len(learnt.labels.names)),
        identity={"texts": learnt.reader.fingerprint, "labels": learnt.labels.fingerprint},
        unit="texts",
        counted="texts",
        facts={
            "positions": corpus.positions,
            "labels": dict(zip(learnt.labels.names, learnt.labels.counts, strict=True)),
            "held_out": None if recipe.data.valid is None else recipe.data.valid.model_dump(include={"share", "seed"}),
            "files": corpus.inputs,
        },
        labels=learnt.labels.names,
    )


def training_rows(recipe: TextRecipe) -> TrainingRows:
    """The training file without its blank texts, and without what is held out for validation, if anything is."""
    data, folder = recipe.data, Path(recipe.data.folder)
    ledger = Ledger(strict=data.bad_lines == "refuse")
    meaning = meaning_of(data, label_names(recipe))
    kept = without_blanks(data, read_labelled(data.train, folder, meaning, ledger), ledger)
    if data.valid is None or data.valid.share is None:
        return TrainingRows(kept, [], ledger)
    if not kept:
        raise DataError(f"no usable text in {folder / data.train.file}: {ledger.read} read")
    marks = held_out_rows(kept, data.valid.share, data.valid.seed)
    for row, held in zip(kept, marks, strict=True):
        if held:
            ledger.drop("a text held out for validation", folder / data.train.file, row.line)
    pairs = list(zip(kept, marks, strict=True))
    return TrainingRows([row for row, held in pairs if not held], [row for row, held in pairs if held], ledger)


def label_names(recipe: TextRecipe) -> tuple[str, ...] | None:
    """The names in the recipe's file of labels, where it has one."""
    return None if recipe.data.labels is None else read_label_names(Path(recipe.data.folder) / recipe.data.labels)


def read_learnt(recipe: TextRecipe, run: RunFolder) -> Learnt:
    """What ``prepare`` wrote into the run.

    Raises:
        RunError: a file is missing or damaged; the message names it.
    """
    folder = run.path / "tokenizer"
    table = read_json(folder / LABELS, max_bytes=LARGEST)
    names, counts = table.get("labels"), table.get("counts")
    if not (isinstance(names, list) and names and all(isinstance(each, str) for each in names)):
        raise RunError(f"{folder / LABELS} is damaged: expected 'labels' to be a list of strings")
    if not (isinstance(counts, list) and len(counts) == len(names) and all(type(each) is int for each in counts)):
        raise RunError(f"{folder / LABELS} is damaged: expected 'counts' to be a whole number for every label")
    reader: TextReader
    if recipe.input.kind == "words":
        reader = WholeWordReader(WordVocabulary.load(folder / WORDS))
    else:
        reader = PieceReader(load_tokenizer(folder / PIECES))
    return Learnt(reader, Labels(tuple(names), tuple(counts)))


def _learn(recipe: TextRecipe, run: RunFolder, rows: list[LabelledText]) -> Learnt:
    folder = run.path / "tokenizer"
    if not rows:
        raise DataError(f"no usable text in {Path(recipe.data.folder) / recipe.data.train.file}")
    labels = Labels.of((row.labels for row in rows), label_names(recipe))
    if len(labels.names) < 2 and recipe.data.between is None:
        raise DataError(
            f"{Path(recipe.data.folder) / recipe.data.train.file}: every text has the label {labels.names[0]!r}; "
            "expected at least two labels, or there is nothing to tell apart"
        )
    reader: TextReader
    start = Start.of(run)
    if recipe.input.kind == "words":
        words = (word for row in rows for word in running_words(row.text))
        vocabulary = WordVocabulary.learn(words, recipe.input) if start is None else start.words()
        vocabulary.save(folder / WORDS)
        reader = WholeWordReader(vocabulary)
    else:
        texts = (row.text for row in rows)
        tokenizer = learn_tokenizer(recipe.cutting, texts) if start is None else start.tokenizer()
        tokenizer.save(folder / PIECES)
        reader = PieceReader(tokenizer)
    write_text(folder / LABELS, labels.to_json())
    return Learnt(reader, labels)


def _corpus(recipe: TextRecipe, run: RunFolder, learnt: Learnt, rows: TrainingRows | None) -> TextCorpus:
    out = run.corpus / "train"
    if rows is None:
        return TextCorpus.open(out)
    unknown = {label for row in rows.kept for label in row.labels} - set(learnt.labels.names)
    if unknown:
        raise RunError(
            f"the training data has labels that this run was begun without, such as {min(unknown)!r}, and its model "
            "has no place for them: train anew into another folder"
        )
    cutting = recipe.cutting
    variety = Variety(cutting.subword_samples, cutting.subword_dropout, recipe.seed)
    return prepare_texts(recipe.data, rows.kept, learnt.labels, learnt.reader, variety, rows.ledger, out)
