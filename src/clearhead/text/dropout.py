"""Random segmentations for training: BPE-dropout (Provilkov et al. 2020, arXiv 1910.13267), repeatable from a seed.

A word is cut as byte-pair encoding does it, but at every step each possible merge is left out with probability
``rate``. A word's first ``_VARIANTS`` occurrences draw a segmentation each; later ones pick among these, which costs
a look-up and keeps the distribution. This file knows merges and pieces, not files or epochs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import pairwise

import tokenizers

from clearhead.errors import ConfigurationError

_VARIANTS = 32
_WORDS_REMEMBERED = 30_000


class SubwordSampler:
    """Cuts texts differently at every call; two samplers of one tokenizer, rate and seed give the same sequence."""

    def __init__(self, backend: tokenizers.Tokenizer, rate: float, seed: int) -> None:
        """``rate``: the share of merges left out, at least 0 and below 1.

        Raises:
            ConfigurationError: the rate is out of range, or the tokenizer is not byte-pair encoding.
        """
        model = json.loads(backend.to_str())["model"]
        if not 0 <= rate < 1 or model["type"] != "BPE":
            raise ConfigurationError(
                f'subword dropout needs a rate in [0, 1) and a "bpe" tokenizer; got rate {rate} and {model["type"]}'
            )
        self._backend = backend
        self._rate = rate
        self._random = random.Random(seed)
        self._vocabulary: dict[str, int] = model["vocab"]
        self._unknown: int = model["vocab"][model["unk_token"]]
        self._byte_fallback: bool = model["byte_fallback"]
        self._ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
        self._variants: dict[str, list[list[int]]] = {}

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """One random segmentation of each text, as token ids without special tokens."""
        return self.cut(self.words(texts))

    def words(self, texts: Sequence[str]) -> list[list[str]]:
        """The words of each text, which no piece crosses; to be cut once or several times."""
        normalize, split = self._backend.normalizer.normalize_str, self._backend.pre_tokenizer.pre_tokenize_str
        return [[word for word, _ in split(normalize(text))] for text in texts]

    def cut(self, texts: Sequence[Sequence[str]]) -> list[list[int]]:
        """One random segmentation of each text, given as its words."""
        draw, variants = self._random.random, self._variants
        rows: list[list[int]] = []
        for words in texts:
            row: list[int] = []
            for word in words:
                known = variants.get(word, ())
                row += known[int(draw() * _VARIANTS)] if len(known) == _VARIANTS else self._new_variant(word)
            rows.append(row)
        return rows

    def _new_variant(self, word: str) -> list[int]:
        if word not in self._variants and len(self._variants) >= _WORDS_REMEMBERED:
            self._variants.clear()
        ids = self._ids(self._merge(list(word)))
        self._variants.setdefault(word, []).append(ids)
        return ids

    def _merge(self, symbols: list[str]) -> list[str]:
        while True:
            allowed = [
                (rank, place)
                for place, pair in enumerate(pairwise(symbols))
                if (rank := self._ranks.get(pair)) is not None and self._random.random() >= self._rate
            ]
            if not allowed:
                return symbols
            place = min(allowed)[1]
            symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]

    def _ids(self, symbols: list[str]) -> list[int]:
        ids: list[int] = []
        for symbol in symbols:
            known = self._vocabulary.get(symbol)
            ids.extend([known] if known is not None else self._fallback(symbol))
        return ids

    def _fallback(self, symbol: str) -> list[int]:
        if not self._byte_fallback:
            return [self._unknown]
        return [self._vocabulary[f"<0x{byte:02X}>"] for byte in symbol.encode("utf-8")]
