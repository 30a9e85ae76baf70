"""The run folder: what lies where, how a new one is begun, and what makes a folder no run.

It knows names, formats and checks; it trains nothing and builds no model.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from clearhead.errors import RunError, nearest
from clearhead.models.config import ModelConfig
from clearhead.recipes.read import read_recipe
from clearhead.recipes.schema import Recipe
from clearhead.recipes.sentences import explain
from clearhead.recipes.table import IMPORTED, TASKS
from clearhead.recipes.write import recipe_to_toml
from clearhead.settings import Settings
from clearhead.strict_json import read_json
from clearhead.text.foreign import load_tokenizer
from clearhead.text.tokenizer import Tokenizer
from clearhead.training.durable import remove, replace_file
from clearhead.training.lock import NAME as LOCK
from clearhead.training.lock import only_user

PREPARATION = {"recipe.toml", "config.json", "tokenizer", "corpus", "start", LOCK}
FORMAT_VERSION = 1  # the newest that this version reads


class RunCard(Settings):
    """``config.json``: what the folder holds. ``weights_sha256`` is absent until the weights are written."""

    format: Literal["clearhead-run"] = "clearhead-run"
    format_version: Literal[1] = 1
    task: str
    model: ModelConfig
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None

    @field_validator("task")
    @classmethod
    def _known(cls, task: str) -> str:
        if task not in TASKS and task not in IMPORTED:
            raise ValueError(f"expected one of {', '.join(TASKS)}, got {task!r}{nearest(task, TASKS)}")
        return task


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run; every file is read through here, so that a damaged one is named."""

    path: Path

    @property
    def recipe_file(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.toml"

    @property
    def card_file(self) -> Path:
        """Task, model configuration, checksum of the weights."""
        return self.path / "config.json"

    @property
    def weights_file(self) -> Path:
        """The final weights; there only once training has finished."""
        return self.path / "model.safetensors"

    @property
    def report_file(self) -> Path:
        """Scores, times, machine, versions, data ledger."""
        return self.path / "report.json"

    @property
    def metrics_file(self) -> Path:
        """One JSON object per training event."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """What ``--resume`` goes on from."""
        return self.path / "checkpoints"

    @property
    def corpus(self) -> Path:
        """The prepared training data; may be deleted once the run has finished."""
        return self.path / "corpus"

    @classmethod
    def create(cls, path: str | Path, recipe: Recipe) -> RunFolder:
        """Begin a run in ``path``, which must be absent, empty, or hold a run that never came to its training.

        Raises:
            RunError: there is something in the folder, or it cannot be made.
        """
        run = cls(Path(path))
        if run._never_trained():
            run._forget_preparation()
        elif run.path.is_dir() and any(run.path.iterdir()):
            hint = "go on with --resume, or choose" if run.recipe_file.exists() else "choose"
            raise RunError(f"{run.path} is not empty; {hint} another folder with --out (nothing was changed)")
        try:
            run.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{run.path} cannot be made a folder: {error.strerror or error}") from None
        write_text(run.recipe_file, recipe_to_toml(recipe))
        return run

    @classmethod
    @contextmanager
    def made(cls, path: str | Path, recipe: Recipe) -> Iterator[RunFolder]:
        """As ``create``, for a run that is whole when the block ends; should that fail, what was begun is removed."""
        run = cls.create(path, recipe)
        try:
            yield run
        except BaseException:
            for entry in list(run.path.iterdir()):
                remove(entry)
            raise

    def _never_trained(self) -> bool:
        """Whether all there is was made on the way to a training that did not begin, as when data is refused."""
        if not (self.corpus / LOCK).is_file():
            return False
        return {entry.name for entry in self.path.iterdir()} <= PREPARATION

    def _forget_preparation(self) -> None:
        with only_user(self.corpus):
            self.card_file.unlink(missing_ok=True)
            for name in ("tokenizer", "start"):
                shutil.rmtree(self.path / name, ignore_errors=True)
            for prepared in self.corpus.iterdir():
                if prepared.is_dir():
                    shutil.rmtree(prepared)

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """The run in ``path``, finished or not.

        Raises:
            RunError: ``path`` is no folder or no run; the message names what is missing.
        """
        run = cls(Path(path))
        if not run.path.is_dir():
            raise RunError(f"{path} is not a run folder: there is no such folder")
        if not run.recipe_file.is_file():
            raise RunError(f"{path} is not a run folder: it has no {run.recipe_file.name}")
        return run

    def recipe(self) -> Recipe:
        """The resolved recipe this run was started with."""
        return read_recipe(self.recipe_file)

    def card(self) -> RunCard:
        """What ``config.json`` says.

        Raises:
            RunError: the file is missing, damaged, or written by a newer version.
        """
        if not self.card_file.is_file():
            raise RunError(f"{self.path} has no {self.card_file.name}: its training stopped before the model was built")
        table = read_json(self.card_file)
        version = table.get("format_version")
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise RunError(f"{self.card_file} has format {version}, but this clearhead reads up to {FORMAT_VERSION}")
        try:
            return RunCard.model_validate(table)
        except ValidationError as error:
            raise RunError(explain(error, RunCard, str(self.card_file))) from None

    def write_card(self, card: RunCard) -> None:
        """Write ``config.json``."""
        write_text(self.card_file, json.dumps(card.model_dump(exclude_none=True), indent=2) + "\n")

    def write_report(self, report: dict[str, Any]) -> None:
        """Write ``report.json``."""
        write_text(self.report_file, json.dumps(report, indent=2, ensure_ascii=False) + "\n")

    def report(self) -> dict[str, Any]:
        """What ``report.json`` says."""
        return read_json(self.report_file)

    def family(self) -> str | None:
        """The family of published models that it came from, by its report; None where it came from none."""
        report = self.report() if self.report_file.is_file() else {}
        told = report.get("imported") or report.get("started_from")
        family = told.get("family") if isinstance(told, dict) else None
        return family if isinstance(family, str) else None

    def write_tokenizers(self, tokenizers: tuple[Tokenizer, Tokenizer], *, shared: bool) -> None:
        """Save ``tokenizer/shared.json``, or one file a side."""
        folder = self.path / "tokenizer"
        folder.mkdir(exist_ok=True)
        for tokenizer, name in zip(tokenizers, self._tokenizer_names(shared), strict=True):
            tokenizer.save(folder / name)

    def tokenizers(self) -> tuple[Tokenizer, Tokenizer]:
        """The tokenizers of source and target, one and the same when shared."""
        folder = self.path / "tokenizer"
        source, target = self._tokenizer_names((folder / "shared.json").exists())
        first = load_tokenizer(folder / source)
        return first, first if source == target else load_tokenizer(folder / target)

    @staticmethod
    def _tokenizer_names(shared: bool) -> tuple[str, str]:
        return ("shared.json", "shared.json") if shared else ("source.json", "target.json")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        RunError: the disk refuses; what stood there before is intact.
    """
    try:
        replace_file(path, [text.encode()])
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from None
