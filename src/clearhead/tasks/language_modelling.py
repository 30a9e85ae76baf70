"""The task of going on with a text: prompts in, continuations out; and what a loss says about a text.

What it does with odd input is declared here: an empty prompt begins a text; of a prompt longer than the model's context
the last tokens are read, and the rest is counted as ``unread``. Knows a model only as something that can be fed, and
nothing of files or training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from clearhead.generation.hypothesis import Hypothesis
from clearhead.generation.prompts import continue_prompts
from clearhead.generation.protocol import AnyState, Decodable
from clearhead.generation.settings import ContinuationSettings
from clearhead.text.tokenizer import Tokenizer

LARGEST = 700.0  # nats whose exponential is a number


@dataclass(frozen=True, slots=True)
class Continued:
    """One continuation; ``text`` is the prompt and it. ``pieces`` are its tokens, see ``Hypothesis`` for the numbers.

    ``finished`` says that the text came to its end, and was not cut off at the length limit.
    """

    text: str
    continuation: str
    score: float
    log_probability: float
    pieces: tuple[str, ...]
    token_log_probabilities: tuple[float, ...]
    finished: bool
    unread: int


@dataclass(frozen=True)
class LanguageModelling:
    """Texts cut by ``tokenizer``, continued as ``decoding`` says, looking back at ``context`` tokens at most.

    ``from_start``: every prompt begins a text, as in training where documents are told apart; else it may come from
    the middle of one, and only an empty prompt is given the start symbol.
    """

    tokenizer: Tokenizer
    decoding: ContinuationSettings
    context: int
    from_start: bool

    def prompt(self, ids: Sequence[int]) -> list[int]:
        """What the model reads of a prompt."""
        return [self.tokenizer.symbols.start, *ids] if self.from_start or not ids else list(ids)

    def continue_texts(
        self,
        model: Decodable[AnyState],
        texts: Sequence[str],
        decoding: ContinuationSettings | None = None,
        *,
        device: torch.device | str = "cpu",
    ) -> list[list[Continued]]:
        """The ``n_best`` continuations of each text, as many answers as texts, in the same order."""
        settings = decoding or self.decoding
        rows = self.tokenizer.encode(texts)
        prompts = [self.prompt(row) for row in rows]
        symbols = self.tokenizer.symbols
        found = continue_prompts(model, prompts, settings, context=self.context, device=device, symbols=symbols)
        unread = [max(0, len(prompt) - self.context) for prompt in prompts]
        return [self._readable(*each) for each in zip(texts, rows, found, unread, strict=True)]

    def _readable(self, text: str, row: Sequence[int], found: Sequence[Hypothesis], unread: int) -> list[Continued]:
        """A continuation is what decoding makes of prompt and continuation together, beyond the prompt."""
        (head,) = self.tokenizer.decode([row])
        wholes = self.tokenizer.decode([[*row, *hypothesis.tokens] for hypothesis in found])
        return [
            Continued(
                text=text + whole.removeprefix(head),
                continuation=whole.removeprefix(head),
                score=hypothesis.score,
                log_probability=hypothesis.log_probability,
                pieces=tuple(self.tokenizer.pieces(hypothesis.tokens)),
                token_log_probabilities=hypothesis.token_log_probabilities,
                finished=hypothesis.finished,
                unread=unread,
            )
            for whole, hypothesis in zip(wholes, found, strict=True)
        ]


def text_scores(loss: float, tokens: int, characters: int, size: int) -> dict[str, float]:
    """What a mean loss of ``loss`` nats over ``tokens`` tokens says about a text of ``size`` bytes.

    ``perplexity`` is e^loss, per token, and so only comparable between models that cut text alike; bits per byte and
    per character are the loss of the whole text in bits over its length, and comparable between any that can write
    every character.
    """
    bits = loss * tokens / math.log(2)
    return {
        "perplexity": math.exp(loss) if loss < LARGEST else math.inf,
        "bits_per_byte": bits / size,
        "bits_per_character": bits / characters,
    }
