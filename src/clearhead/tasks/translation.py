"""The task of translating: texts in, texts out, and how good they are. The consumer of generation, text and metrics.

What it does with odd input is declared here: a blank line translates to a blank line without asking the model; a text
longer than the model's positions loses its end, is marked ``truncated`` and counted; a translation is one line. Knows a
model only by the protocol below, and nothing of files or training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from clearhead.generation.batches import generate
from clearhead.generation.hypothesis import Hypothesis
from clearhead.generation.protocol import AnyState, Decodable
from clearhead.generation.settings import DecodingSettings
from clearhead.symbols import Symbols
from clearhead.tasks.metrics import chrf, exact_match, multi_bleu_lowercased_tokenised, sacre_bleu, signatures
from clearhead.text.tokenizer import Tokenizer

Report = dict[str, float | int | str]


class Limits(Protocol):
    """What the task asks of a model's configuration."""

    @property
    def max_positions(self) -> int:
        """The longest input or output, special symbols included."""


class Translator(Decodable[AnyState], Protocol[AnyState]):
    """What the task asks of a model beyond being searchable."""

    training: bool

    @property
    def config(self) -> Limits:
        """Its sizes."""

    @property
    def output_weight(self) -> Tensor:
        """The output matrix; where it lives, the model lives."""

    def train(self, mode: bool = True) -> object:
        """Switch between training and evaluation."""


@dataclass(frozen=True, slots=True)
class Translated:
    """One translation. ``pieces`` are its tokens in readable form, see ``Hypothesis`` for the numbers.

    ``truncated`` says that the end of the source was not read, ``finished`` that the length limit did not cut it off.
    """

    text: str
    score: float
    log_probability: float
    pieces: tuple[str, ...]
    token_log_probabilities: tuple[float, ...]
    finished: bool
    truncated: bool


BLANK = Translated("", 0.0, 0.0, (), (), finished=True, truncated=False)


@dataclass(frozen=True)
class Translation:
    """From the ``source`` tokenizer's language to the ``target`` tokenizer's, decoded as ``decoding`` says.

    ``bleu_tokenizer`` is sacreBLEU's, with which translations into this language are scored.
    """

    source: Tokenizer
    target: Tokenizer
    decoding: DecodingSettings
    bleu_tokenizer: str = "13a"

    @property
    def symbols(self) -> Symbols:
        """What surrounds a source, and what begins and ends a translation."""
        return self.target.symbols.after_reading(self.source.symbols)

    @property
    def sides(self) -> tuple[Symbols, Symbols]:
        """The special symbols of what is read and of what is written."""
        return self.source.symbols, self.target.symbols

    def longest(self, positions: int) -> int:
        """The most pieces of a source that a model with so many positions reads: what surrounds it needs room too."""
        return positions - len(self.symbols.surrounded(()))

    def longest_target(self, positions: int) -> int:
        """The most pieces of a given translation that such a model is fed, behind the start and what opens it."""
        return positions - 1 - len(self.target.symbols.opening)

    def translate(
        self, model: Translator[AnyState], texts: Sequence[str], decoding: DecodingSettings | None = None
    ) -> list[list[Translated]]:
        """The ``n_best`` translations of each text, best first; as many answers as texts, in the same order."""
        settings = bounded(decoding or self.decoding, model.config.max_positions)
        longest = self.longest(model.config.max_positions)
        rows = self.source.encode(texts)
        asked = [place for place, text in enumerate(texts) if text.strip()]
        with evaluating(model):
            sources = [rows[place][:longest] for place in asked]
            found = generate(
                model,
                sources,
                settings,
                device=model.output_weight.device,
                numbers=asked,
                symbols=self.symbols,
            )
        answers = [[BLANK] * settings.n_best for _ in texts]
        for place, hypotheses in zip(asked, found, strict=True):
            answers[place] = self._readable(hypotheses, truncated=len(rows[place]) > longest)
        return answers

    def _readable(self, hypotheses: Sequence[Hypothesis], *, truncated: bool) -> list[Translated]:
        texts = self.target.decode([hypothesis.tokens for hypothesis in hypotheses])
        return [
            Translated(
                text=one_line(text),
                score=hypothesis.score,
                log_probability=hypothesis.log_probability,
                pieces=tuple(self.target.pieces(hypothesis.tokens)),
                token_log_probabilities=hypothesis.token_log_probabilities,
                finished=hypothesis.finished,
                truncated=truncated,
            )
            for text, hypothesis in zip(texts, hypotheses, strict=True)
        ]


def measure(best: Sequence[Translated], references: Sequence[str], *, tokenize: str = "13a") -> Report:
    """Compare the best translation of each text with its reference.

    Returns measures from 0 to 100 (``bleu``, ``chrf``, ``multi_bleu_lowercased``, ``exact_match``), their signatures
    (``bleu_signature``, …), ``sentences`` and how many of them were ``truncated`` or ``unfinished``. ``tokenize`` is
    sacreBLEU's tokenizer for ``bleu``.

    Raises:
        DataError: there are no sentences, or not as many translations as references.
    """
    hypotheses = [translated.text for translated in best]
    return {
        "bleu": sacre_bleu(hypotheses, references, tokenize=tokenize),
        "chrf": chrf(hypotheses, references),
        "multi_bleu_lowercased": multi_bleu_lowercased_tokenised(hypotheses, references),
        "exact_match": exact_match(hypotheses, references),
        **{f"{name}_signature": signature for name, signature in signatures(tokenize=tokenize).items()},
        "sentences": len(references),
        "truncated": sum(translated.truncated for translated in best),
        "unfinished": sum(not translated.finished for translated in best),
    }


def bounded(settings: DecodingSettings, positions: int) -> DecodingSettings:
    """The same settings with no output longer than the model's ``positions``."""
    if settings.max_length <= positions:
        return settings
    changes = {"max_length": positions, "min_length": min(settings.min_length, positions)}
    return settings.model_copy(update=changes)


def one_line(text: str) -> str:
    """Line ends, which a model can spell in bytes, as spaces: so many lines in, so many lines out."""
    return text.replace("\r\n", " ").replace("\n", " ").replace("\r", " ")


@contextmanager
def evaluating(model: Translator[AnyState]) -> Iterator[None]:
    """Dropout off inside, and as it was afterwards."""
    before = model.training
    model.train(False)
    try:
        yield
    finally:
        model.train(before)
