"""What the service asks of a task, whichever it is: data, an objective, predictions, scores. ``table`` lists the tasks.

Training, loading, evaluating, predicting and looking are written once, against this page. R is the task's recipe, H
its held-out data, P the face of its models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from clearhead.inspection.inspection import MAX_FULL, Inspection
from clearhead.models.config import ModelConfig
from clearhead.service.events import Scored
from clearhead.service.run_folder import RunFolder
from clearhead.training.events import Validation
from clearhead.training.protocol import Objective, PreparedCorpus
from clearhead.training.signals import StopFlag


@dataclass(frozen=True)
class Prepared:
    """Everything between the recipe and the model.

    Attributes:
        model: the configuration with every size that was counted from the data.
        corpus: the training data.
        vocabularies: the sizes of what was learnt from it, to be told; one that is shared stands once.
        identity: fingerprints of the same, which must not change over a resume.
        unit: what a row of the data is, in the plural: "pairs".
        counted: what the loss counts: "target_tokens".
        facts: what the report says of the data beside its ledger.
        labels: the names of what the model's head tells apart, where it has such.
    """

    model: ModelConfig
    corpus: PreparedCorpus
    vocabularies: tuple[int, ...]
    identity: Mapping[str, str]
    unit: str
    counted: str
    facts: Mapping[str, Any]
    labels: tuple[str, ...] = ()


class Answer(Protocol):
    """What comes out for one input."""

    @property
    def text(self) -> str:
        """The answer as one line."""

    @property
    def truncated(self) -> bool:
        """Whether the input was longer than the model reads, and lost its end."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON, the input under "input", the answer's line under "text"."""


@dataclass(frozen=True, eq=False)
class View:
    """One input looked at: its text, the answer's, and every attention; ``shown`` says which kind tells the story."""

    text: str
    answer: str
    inspection: Inspection
    shown: str


INCOMPLETE = "\ufffd"  # how a tokenizer decodes the bytes of a character that is not whole yet
Speller = Callable[[Sequence[int]], str]
"""The tokens of an answer so far as text; what a character's missing bytes leave open is left out."""


class Predictor(Protocol):
    """A trained model with a face, as ``clearhead.load`` returns it."""

    @property
    def model(self) -> nn.Module:
        """The network itself."""

    @property
    def config(self) -> ModelConfig:
        """Its sizes and choices."""

    @property
    def device(self) -> torch.device:
        """Where it lives."""

    @property
    def longest(self) -> int:
        """The most pieces of an input that are read."""

    def parse(self, line: str) -> Any:
        """One line of text as an input of ``predict``."""

    def predict(self, inputs: Sequence[Any], **decoding: Any) -> Sequence[Answer]:
        """An answer to each input, in the same order."""

    def speller(self, text: Any) -> Speller | None:
        """How an answer to ``text`` reads while it is written; None where answers are not written token by token."""

    def logits(self, ids: Tensor, target_ids: Tensor | None = None, *, mask: Tensor | None = None) -> Tensor:
        """The scores before any softmax."""

    def states(self, ids: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """The last layer (B, T, W)."""

    def inspect(
        self,
        text: Any,
        target: str | None = None,
        *,
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        max_full: int = MAX_FULL,
    ) -> Inspection:
        """Every attention behind one answer, by name; see ``inspection.inspection.Choice`` for what can be chosen."""

    def view(self, text: str, target: str | None = None) -> View:
        """The same, with the answer and which attentions to show."""


class HeldOut(Protocol):
    """Data that nothing was learnt from."""

    @property
    def name(self) -> str:
        """Which: "valid", "test", or a file's."""


R = TypeVar("R", contravariant=True)
H = TypeVar("H", bound=HeldOut)
P = TypeVar("P", bound=Predictor)
Wrap = Callable[[nn.Module], P]


class Task(Protocol[R, H, P]):
    """One task: a class without state, one object of it in the table."""

    def prepare(self, recipe: R, run: RunFolder, *, accept_changes: bool = False) -> Prepared:
        """Learn what is learnt from the training data, write it and ``config.json``, prepare the corpus.

        What is there already is used as it is, after the data files proved to be the same; with ``accept_changes``
        the corpus is prepared anew from the files as they now are.
        """

    def open(self, recipe: R, run: RunFolder, config: ModelConfig) -> Wrap[P]:
        """Read from the run what ``prepare`` wrote, check it against ``config``, and give a model its face."""

    def objective(self, recipe: R, prepared: Prepared) -> Objective:
        """What training makes small."""

    def read(self, recipe: R, split: str) -> H | None:
        """The held-out data that the recipe calls ``split`` ("valid" or "test"); None where it names none."""

    def given(self, recipe: R, data: Sequence[Path]) -> H:
        """Held-out data in files named by hand."""

    def validate(self, predictor: P, held_out: H, stop: StopFlag) -> Validation:
        """Loss and scores on the way; raises ``Stopped`` when the flag is set."""

    def settle(self, predictor: P, valid: H | None, run: RunFolder) -> None:
        """What is decided on validation data once the weights are final, such as thresholds, is written to the run."""

    def score(self, predictor: P, held_out: H, options: Mapping[str, Any]) -> Scored:
        """Loss and scores of finished weights; ``options`` override the recipe's way of answering."""
