"""Cuts pairs into tokens, once or in several random ways.

With dropout every stored segmentation of the training side is random (BPE-dropout); one that would be longer than
the limit gives way to the plain one, so that all segmentations hold the same rows. Policies are not known here.
"""

from __future__ import annotations

from collections.abc import Sequence

from clearhead.data.pair import Pair
from clearhead.errors import ConfigurationError
from clearhead.text.dropout import SubwordSampler
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
        self._samples = samples
        self._samplers = (
            [tokenizer.sampler(dropout, 2 * seed + side) for side, tokenizer in enumerate(tokenizers)]
            if dropout
            else []
        )

    def plain(self, pairs: Sequence[Pair]) -> tuple[Rows, Rows]:
        """The segmentation without chance, of all sources and all targets."""
        source, target = self._tokenizers
        return source.encode([pair.source for pair in pairs]), target.encode([pair.target for pair in pairs])

    def vary(
        self, pairs: Sequence[Pair], plain: tuple[Rows, Rows], longest: tuple[int, int]
    ) -> list[tuple[Rows, Rows]]:
        """One entry per sample: the plain segmentation, or random ones with at most ``longest`` tokens a side."""
        if not self._samplers:
            return [plain]
        texts = [pair.source for pair in pairs], [pair.target for pair in pairs]
        sources, targets = (
            self._varied(sampler, side, safe, most)
            for sampler, side, safe, most in zip(self._samplers, texts, plain, longest, strict=True)
        )
        return list(zip(sources, targets, strict=True))

    def _varied(self, sampler: SubwordSampler, texts: list[str], plain: Rows, longest: int) -> list[Rows]:
        words = sampler.words(texts)
        return [_bounded(sampler.cut(words), plain, longest) for _ in range(self._samples)]


def _bounded(varied: Rows, plain: Rows, longest: int) -> Rows:
    return [row if len(row) <= longest else safe for row, safe in zip(varied, plain, strict=True)]
