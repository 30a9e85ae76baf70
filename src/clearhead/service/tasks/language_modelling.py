"""The task "language-model" as the service sees it: texts to learn from, a writer, the loss of held-out text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from clearhead.data.document_corpus import DocumentCorpus
from clearhead.data.document_settings import DocumentFiles
from clearhead.data.documents import Piece, document_paths, read_documents
from clearhead.data.ledger import Ledger
from clearhead.data.packing import Grid, TextBatch, collate_rows
from clearhead.data.prepare_documents import Counts, named_paths, part_pieces, prepare_documents, token_stream
from clearhead.errors import DataError, RunError
from clearhead.models.config import ModelConfig
from clearhead.models.decoder_only import DecoderOnly
from clearhead.recipes.language_modelling import LanguageModelRecipe
from clearhead.service.changes import refuse_other_files
from clearhead.service.events import Scored
from clearhead.service.run_folder import RunCard, RunFolder
from clearhead.service.start import Start
from clearhead.service.tasks.task import Prepared, Wrap
from clearhead.service.tasks.writer import Writer
from clearhead.tasks.language_modelling import LanguageModelling, text_scores
from clearhead.text.learn import learn_tokenizer
from clearhead.text.tokenizer import Tokenizer
from clearhead.training.evaluate import validation_loss
from clearhead.training.events import Validation
from clearhead.training.next_token import held_out_rows, next_token
from clearhead.training.protocol import Objective
from clearhead.training.signals import StopFlag

ROWS_OF_TOKENS = 4096  # of a batch of held-out rows
EXAMPLE = {"n_best": 1, "max_length": 80, "seed": 1}  # of what is written on the way


@dataclass(frozen=True)
class HeldOutText:
    """Text that nothing was learnt from. ``name`` says which: "valid", "test", or a file's."""

    name: str
    pieces: tuple[Piece, ...]


class LanguageModelTask:
    """See ``task.Task``."""

    def prepare(self, recipe: LanguageModelRecipe, run: RunFolder, *, accept_changes: bool = False) -> Prepared:
        """The tokenizer, one stream of tokens, the size of the vocabulary."""
        begun = run.card_file.is_file()
        tokenizer = run.tokenizers()[0] if begun else _tokenizer(recipe, run)
        model = recipe.with_vocabulary(tokenizer.size)
        if not begun:
            run.write_tokenizers((tokenizer, tokenizer), shared=True)
            run.write_card(RunCard(task=recipe.task, model=model))
        corpus = _corpus(recipe, run, tokenizer, accept_changes=accept_changes)
        return Prepared(
            model=model,
            corpus=corpus,
            vocabularies=(tokenizer.size,),
            identity={"tokenizer": tokenizer.fingerprint},
            unit="rows",
            counted="tokens",
            facts={**corpus.counts, "files": corpus.inputs},
        )

    def open(self, recipe: LanguageModelRecipe, run: RunFolder, config: ModelConfig) -> Wrap[Writer]:
        """A writer with the run's tokenizer.

        Raises:
            RunError: it is missing, damaged, or of another size than the model's.
        """
        tokenizer = run.tokenizers()[0]
        if tokenizer.size != config.target_vocabulary:
            raise RunError(
                f"{run.path}: by {run.card_file.name} the vocabulary has {config.target_vocabulary} entries, but the "
                f"tokenizer file has {tokenizer.size}; do they belong to another run?"
            )
        from_start = recipe.data.packing == "documents"
        task = LanguageModelling(tokenizer, recipe.decoding, recipe.data.length, from_start)
        return lambda model: Writer(cast(DecoderOnly, model), task)

    def objective(self, recipe: LanguageModelRecipe, prepared: Prepared) -> Objective:
        """The next token."""
        return next_token(recipe.training.label_smoothing)

    def read(self, recipe: LanguageModelRecipe, split: str) -> HeldOutText | None:
        """All text of the recipe's ``split``, from files of its own or from the end of the training text."""
        pieces = part_pieces(recipe.data, split, Ledger(strict=recipe.data.bad_lines == "refuse"))
        return None if pieces is None else _held_out(split, pieces)

    def given(self, recipe: LanguageModelRecipe, data: Sequence[Path]) -> HeldOutText:
        """Files of the kind the recipe trains on."""
        names = tuple(str(path.absolute()) for path in data)
        files = DocumentFiles.model_validate(recipe.data.train.model_dump() | {"files": names})
        ledger = Ledger(strict=recipe.data.bad_lines == "refuse")
        return _held_out(" and ".join(map(str, data)), read_documents(files, Path("/"), ledger))

    def validate(self, predictor: Writer, held_out: HeldOutText, stop: StopFlag) -> Validation:
        """The loss, and what the model writes of itself."""
        counts = Counts()
        loss = validation_loss(predictor.model, _rows(predictor, held_out, counts), held_out_rows, stop=stop)
        written = predictor.predict([""], **EXAMPLE)[0].alternatives[0].text
        return Validation(loss, _scores(loss, counts), (("", "", written),))

    def settle(self, predictor: Writer, valid: HeldOutText | None, run: RunFolder) -> None:
        """Nothing is left to decide."""

    def score(self, predictor: Writer, held_out: HeldOutText, options: Mapping[str, Any]) -> Scored:
        """The loss of every token but padding, each seeing what stands before it in its row.

        Raises:
            ConfigurationError: an option that is none of continuing a text.
        """
        predictor.settings(dict(options))
        began, counts = time.perf_counter(), Counts()
        loss = validation_loss(predictor.model, _rows(predictor, held_out, counts), held_out_rows)
        details = {name: value for name, value in asdict(counts).items() if name != "steps"}
        seconds = time.perf_counter() - began
        return Scored(0, held_out.name, counts.steps, "tokens", loss, _scores(loss, counts), details, seconds)


def _tokenizer(recipe: LanguageModelRecipe, run: RunFolder) -> Tokenizer:
    start = Start.of(run)
    return learn_tokenizer(recipe.cutting, _texts(recipe)) if start is None else start.tokenizer()


def _texts(recipe: LanguageModelRecipe) -> Iterator[str]:
    """The training text, piece by piece."""
    pieces = part_pieces(recipe.data, "train", Ledger(strict=recipe.data.bad_lines == "refuse"))
    return (piece.text for piece in pieces or ())


def _corpus(
    recipe: LanguageModelRecipe, run: RunFolder, tokenizer: Tokenizer, *, accept_changes: bool
) -> DocumentCorpus:
    out = run.corpus / "train"
    if not (out / "corpus.json").is_file():
        return prepare_documents(recipe.data, tokenizer, out)
    paths = document_paths(recipe.data.train, Path(recipe.data.folder), missing=True)
    if accept_changes and all(path.is_file() for path in paths):
        return prepare_documents(recipe.data, tokenizer, out)
    corpus = DocumentCorpus.open(out)
    refuse_other_files(corpus.inputs, named_paths(paths))
    return corpus


def _held_out(name: str, pieces: Iterator[Piece]) -> HeldOutText:
    found = tuple(pieces)
    if not found:
        raise DataError(f"the {name} data holds no text to score")
    return HeldOutText(name, found)


def _rows(predictor: Writer, held_out: HeldOutText, counts: Counts) -> list[TextBatch]:
    """The text in rows as in training, none of them overlapping, in batches."""
    task, symbols = predictor.task, predictor.task.tokenizer.symbols
    stream = token_stream(held_out.pieces, predictor.task.tokenizer, counts)
    grid = Grid(len(stream.targets), predictor.task.context)
    size = max(1, ROWS_OF_TOKENS // predictor.task.context)
    return [
        collate_rows(stream, grid, range(first, min(first + size, len(grid))), masked=task.from_start, symbols=symbols)
        for first in range(0, len(grid), size)
    ]


def _scores(loss: float, counts: Counts) -> dict[str, float]:
    return text_scores(loss, counts.steps, counts.characters, counts.bytes)
