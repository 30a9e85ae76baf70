"""The tasks of models that were not trained here: they answer, are looked at and scored, and have nothing to learn.

Each gives a model the face of its architecture. To train such a model further, a recipe with data names its run as
``[model] from``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

from pydantic import ValidationError

from clearhead.data.document_settings import DocumentFiles
from clearhead.data.documents import read_documents
from clearhead.data.ledger import Ledger
from clearhead.data.settings import PairFiles
from clearhead.errors import ConfigurationError, RunError
from clearhead.models.config import ModelConfig
from clearhead.models.decoder_only import DecoderOnly
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.models.encoder_only import EncoderOnly
from clearhead.recipes.imported import ContinuationRecipe, EmbeddingRecipe, ImportedRecipe, TextToTextRecipe
from clearhead.recipes.sentences import explain
from clearhead.service.events import Scored
from clearhead.service.run_folder import RunFolder
from clearhead.service.tasks.embedder import Embedder
from clearhead.service.tasks.language_modelling import HeldOutText, LanguageModelTask
from clearhead.service.tasks.task import HeldOut, Prepared, Wrap
from clearhead.service.tasks.translation import HeldOutPairs, TranslationTask, read_held_out
from clearhead.service.tasks.translator import Translator
from clearhead.service.tasks.writer import Writer
from clearhead.tasks.language_modelling import LanguageModelling
from clearhead.tasks.translation import Translation
from clearhead.text.tokenizer import Tokenizer
from clearhead.training.events import Validation
from clearhead.training.protocol import Objective
from clearhead.training.signals import StopFlag

Tokenizers = tuple[Tokenizer, Tokenizer]


class Untrained:
    """What none of these tasks has: data to learn from, and whatever belongs to learning."""

    def prepare(self, recipe: ImportedRecipe, run: RunFolder, *, accept_changes: bool = False) -> Prepared:
        """Refused."""
        self._refuse(recipe)

    def objective(self, recipe: ImportedRecipe, prepared: Prepared) -> Objective:
        """Refused."""
        self._refuse(recipe)

    def read(self, recipe: ImportedRecipe, split: str) -> None:
        """There is no held-out data of its own."""

    def validate(self, predictor: Any, held_out: Any, stop: StopFlag) -> Validation:
        """Refused."""
        raise ConfigurationError("an imported model is not trained, so there is nothing to validate on the way")

    def settle(self, predictor: Any, valid: Any, run: RunFolder) -> None:
        """Nothing is left to decide."""

    def _refuse(self, recipe: ImportedRecipe) -> NoReturn:
        raise ConfigurationError(
            f'task = "{recipe.task}" is that of an imported model, which has no data to learn from: to train it '
            "further, write a recipe with data and name this run as [model] from"
        )


class EmbeddingTask(Untrained):
    """See ``task.Task``."""

    def open(self, recipe: EmbeddingRecipe, run: RunFolder, config: ModelConfig) -> Wrap[Embedder]:
        """An embedder with the run's tokenizer."""
        return self.face(recipe, _fitting(run, config), config)

    def face(self, recipe: EmbeddingRecipe, tokenizers: Tokenizers, config: ModelConfig) -> Wrap[Embedder]:
        """An embedder with this tokenizer."""
        return lambda model: Embedder(cast(EncoderOnly, model), tokenizers[0], recipe.embedding)

    def given(self, recipe: EmbeddingRecipe, data: Sequence[Path]) -> HeldOut:
        """Refused: there is no right vector to compare with."""
        raise ConfigurationError("an embedding has no reference to be scored against: use predict for the vectors")

    def score(self, predictor: Embedder, held_out: HeldOut, options: Mapping[str, Any]) -> Scored:
        """Refused, as ``given``."""
        raise ConfigurationError("an embedding has no reference to be scored against: use predict for the vectors")


class TextToTextTask(Untrained):
    """See ``task.Task``."""

    def open(self, recipe: TextToTextRecipe, run: RunFolder, config: ModelConfig) -> Wrap[Translator]:
        """A translator with the run's tokenizers."""
        return self.face(recipe, _fitting(run, config), config)

    def face(self, recipe: TextToTextRecipe, tokenizers: Tokenizers, config: ModelConfig) -> Wrap[Translator]:
        """A translator with these tokenizers."""
        task = Translation(*tokenizers, recipe.decoding)
        return lambda model: Translator(cast(EncoderDecoder, model), task)

    def given(self, recipe: TextToTextRecipe, data: Sequence[Path]) -> HeldOutPairs:
        """A table with the columns "source" and "target", or a file of source lines and one of target lines."""
        paths = [str(path.absolute()) for path in data]
        if len(paths) > 2:
            raise ConfigurationError(f"--data: expected one table, or source and target lines; got {len(paths)} files")
        names = {"source": paths[0], "target": paths[-1]}
        table = {"file": paths[0], "source": "source", "target": "target"}
        try:
            files = PairFiles.model_validate(table if len(paths) == 1 else names)
        except ValidationError as error:
            raise ConfigurationError(explain(error, PairFiles, "--data")) from None
        return read_held_out(" and ".join(map(str, data)), files, Path("/"))

    def score(self, predictor: Translator, held_out: HeldOutPairs, options: Mapping[str, Any]) -> Scored:
        """As a translation is scored."""
        return TranslationTask().score(predictor, held_out, options)


class ContinuationTask(Untrained):
    """See ``task.Task``."""

    def open(self, recipe: ContinuationRecipe, run: RunFolder, config: ModelConfig) -> Wrap[Writer]:
        """A writer with the run's tokenizer."""
        return self.face(recipe, _fitting(run, config), config)

    def face(self, recipe: ContinuationRecipe, tokenizers: Tokenizers, config: ModelConfig) -> Wrap[Writer]:
        """A writer with this tokenizer, whose texts begin as it begins them."""
        tokenizer = tokenizers[0]
        from_start = bool(tokenizer.symbols.before)
        task = LanguageModelling(tokenizer, recipe.decoding, config.max_positions, from_start)
        return lambda model: Writer(cast(DecoderOnly, model), task)

    def given(self, recipe: ContinuationRecipe, data: Sequence[Path]) -> HeldOutText:
        """Files of plain text, each one document."""
        try:
            files = DocumentFiles(files=tuple(str(path.absolute()) for path in data))
        except ValidationError as error:
            raise ConfigurationError(explain(error, DocumentFiles, "--data")) from None
        return HeldOutText(" and ".join(map(str, data)), tuple(read_documents(files, Path("/"), Ledger(strict=True))))

    def score(self, predictor: Writer, held_out: HeldOutText, options: Mapping[str, Any]) -> Scored:
        """The loss of every token, as of any language model."""
        return LanguageModelTask().score(predictor, held_out, options)


def _fitting(run: RunFolder, config: ModelConfig) -> Tokenizers:
    """The run's tokenizers, of the sizes that the model has.

    Raises:
        RunError: they are missing, damaged, or of other sizes.
    """
    source, target = run.tokenizers()
    written = config.source_vocabulary if config.architecture == "encoder" else config.target_vocabulary
    read = written if config.architecture == "decoder" else config.source_vocabulary
    if (source.size, target.size) != (read, written):
        raise RunError(
            f"{run.path}: by {run.card_file.name} the vocabularies have {read} and {written} entries, but the "
            f"tokenizer files have {source.size} and {target.size}; do they belong to another run?"
        )
    return source, target
