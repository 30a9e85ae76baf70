"""Cuts pairs into tokens, once or in several random ways.

With dropout every stored segmentation of the training side is random (BPE-dropout); one that would be longer than
the limit gives way to the plain one, so that all segmentations hold the same rows. Policies are not known here.
"""

from __future__ import annotations

from collections.abc import Sequence

from clearhead.data.pair import Pair
from clearhead.errors import ConfigurationError
from clearhead.text.tokenizer import Tokenizer

Rows = list[list[int]]


class Segmenter:
    """Token rows for pairs, from a source and a target tokenizer."""

    def __init__(self, tokenizers: tuple[Tokenizer, Tokenizer], samples: int, dropout: float, seed: int) -> None:
        """``samples``: how many segmentations ``vary`` gives.

        Raises:
            ConfigurationError: several samples without dropout, or none at all.
        """
        if samples < 1 or (samples > 1 and not dropout):
            raise ConfigurationError(
                f"samples = {samples} with dropout = {dropout}: one sample, or several with dropout"
            )
        self._tokenizers = tokenizers
        self._samplers = [
            [tokenizer.sampler(dropout, stream_of(seed, sample, side)) for side, tokenizer in enumerate(tokenizers)]
            for sample in range(samples if dropout else 0)
        ]

    def plain(self, pairs: Sequence[Pair]) -> tuple[Rows, Rows]:
        """The segmentation without chance, of all sources and all targets."""
        source, target = self._tokenizers
        return source.encode([pair.source for pair in pairs]), target.encode([pair.target for pair in pairs])

    def vary(self, pairs: Sequence[Pair], plain: tuple[Rows, Rows], longest: int) -> list[tuple[Rows, Rows]]:
        """One entry per sample: the plain segmentation, or random ones with at most ``longest`` tokens."""
        if not self._samplers:
            return [plain]
        texts = [pair.source for pair in pairs], [pair.target for pair in pairs]
        return [
            (
                _bounded(source.encode(texts[0]), plain[0], longest),
                _bounded(target.encode(texts[1]), plain[1], longest),
            )
            for source, target in self._samplers
        ]


def stream_of(seed: int, sample: int, side: int) -> int:
    """One number for a stream of random numbers of its own."""
    return (seed << 16) + (sample << 1) + side


def _bounded(varied: Rows, plain: Rows, longest: int) -> Rows:
    return [row if len(row) <= longest else safe for row, safe in zip(varied, plain, strict=True)]
