"""A user's own functions inside a model, which no configuration can name: they are given to ``build_model``.

They are code and stay with whoever wrote it: a run folder does not hold them, so the same rules are given again when
its weights are loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from clearhead.errors import ConfigurationError
from clearhead.mechanism.biases import ByDistance
from clearhead.mechanism.normalizers import NormalizerFunction
from clearhead.mechanism.scores import ScoreFunction
from clearhead.models.config import ModelConfig


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """Each stands for what the configuration says, and None leaves it at that.

    ``added``: places (n,) int64 → rows (n, W) added to the embedding, asked once for all ``max_positions``.
    ``by_distance``: distances key − query (n,) int64 → numbers (H, n) added to the scores of self-attention.
    ``score``: q (B, H, T, D), k (B, H, S, D) → (B, H, T, S), and ``normalize``: masked scores → weights, in every
    attention; a score with weights of its own shares them among all.
    """

    added: Callable[[Tensor], Tensor] | None = None
    by_distance: ByDistance | None = None
    score: ScoreFunction | None = None
    normalize: NormalizerFunction | None = None


NONE = Rules()


def check_rules(config: ModelConfig, rules: Rules) -> None:
    """Refuse rules for positions where the configuration has positions of its own, and any for an LSTM.

    Raises:
        ConfigurationError: with what the configuration says.
    """
    given = [name for name in ("added", "by_distance", "score", "normalize") if getattr(rules, name) is not None]
    if given and config.body == "lstm":
        raise ConfigurationError(f'rules are for Transformers, but body is "lstm": leave out {", ".join(given)}')
    placing = [name for name in given if name in ("added", "by_distance")]
    if placing and config.positions != "none":
        raise ConfigurationError(
            f'the rule {placing[0]!r} stands for positions, so positions must be "none", got "{config.positions}"'
        )
