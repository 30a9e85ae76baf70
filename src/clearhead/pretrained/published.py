"""The settings of a published model as they are read: each by name and type, until none is left that nobody knows.

A setting that a family reads is thereby known. What decides nothing about the function a model computes is listed as
inert, here for all families and in a family's file for its own. Whatever is left then is refused by name, because a
setting that is passed over may change every number. This file knows names and types, and no model.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from clearhead.errors import ConfigurationError, nearest

# Bookkeeping, training, generation and output of another library: none of it changes what a forward pass computes.
INERT = frozenset(
    """
    _name_or_path _commit_hash _attn_implementation _num_labels architectures attn_implementation bad_words_ids
    begin_suppress_tokens bos_token_id chunk_size_feed_forward cls_token_id decoder_start_token_id
    diversity_penalty do_sample dtype early_stopping encoder_no_repeat_ngram_size eos_token_id
    exponential_decay_length_penalty finetuning_task forced_bos_token_id forced_eos_token_id gradient_checkpointing
    id2label initializer_factor initializer_range keys_to_ignore_at_inference label2id length_penalty mask_token_id
    max_length max_new_tokens min_length model_type no_repeat_ngram_size num_beam_groups num_beams num_labels
    num_return_sequences output_attentions output_hidden_states output_past output_scores pad_token_id prefix
    problem_type remove_invalid_values repetition_penalty return_dict return_dict_in_generate sep_token_id
    suppress_tokens task_specific_params temperature tf_legacy_loss tokenizer_class top_k top_p torch_dtype
    torchscript transformers.js_config transformers_version typical_p unk_token_id use_bfloat16 use_cache
    """.split()
)
# Settings that would change the function, with the one value at which they do not.
NEUTRAL: Mapping[str, object] = {
    "add_cross_attention": False,
    "cross_attention_hidden_size": None,
    "is_encoder_decoder": False,
    "is_decoder": False,
    "pruned_heads": {},
    "quantization_config": None,
    "tie_encoder_decoder": False,
}


Known = TypeVar("Known")


class Published:
    """The object in a ``config.json``, or one inside it; ``where`` opens every error."""

    def __init__(self, settings: Mapping[str, Any], where: str = "config.json") -> None:
        self.settings = settings
        self.where = where
        self.known: set[str] = set()

    def size(self, name: str, default: int | None = None) -> int:
        """A whole number of at least 1."""
        value = self._get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1 << 20:
            raise self._unexpected(name, "a whole number from 1 to 1048576", value)
        return value

    def count(self, name: str, default: int | None = None) -> int:
        """A whole number of at least 0."""
        value = self._get(name, default)
        return 0 if value == 0 and not isinstance(value, bool) else self.size(name, default)

    def number(self, name: str, default: float | None = None) -> float:
        """A finite number."""
        value = self._get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise self._unexpected(name, "a number", value)
        return float(value)

    def share(self, name: str, default: float | None = None) -> float:
        """A probability, below 1."""
        value = self.number(name, default)
        if not 0.0 <= value < 1.0:
            raise self._unexpected(name, "a probability in [0, 1)", value)
        return value

    def flag(self, name: str, default: bool | None = None) -> bool:
        """True or false."""
        value = self._get(name, default)
        if not isinstance(value, bool):
            raise self._unexpected(name, "true or false", value)
        return value

    def choice(self, name: str, known: Mapping[str, Known], default: str | None = None) -> Known:
        """One of the names in ``known``, as what it stands for."""
        value = self._get(name, default)
        if not isinstance(value, str) or value not in known:
            close = nearest(value, known) if isinstance(value, str) else ""
            raise self._unexpected(name, f"one of {', '.join(known)}", value, close)
        return known[value]

    def table(self, name: str) -> Published | None:
        """The object of this name, or None where it is missing or null."""
        self.known.add(name)
        value = self.settings.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._unexpected(name, "an object", value)
        return Published(value, f"{self.where}: {name}")

    def given(self, name: str) -> bool:
        """Whether the setting is there and not null."""
        self.known.add(name)
        return self.settings.get(name) is not None

    def must(self, name: str, value: object, why: str) -> None:
        """Refuse the setting at any other value than ``value``, at which it may also be missing."""
        self.known.add(name)
        if (found := self.settings.get(name, value)) != value:
            raise ConfigurationError(f"{self.where}: {name} = {found!r} is not supported, only {value!r}: {why}")

    def finish(self, inert: Collection[str] = ()) -> None:
        """Refuse what nobody has read and nobody knows to be without effect.

        Raises:
            ConfigurationError: naming the first such setting, and the nearest known one.
        """
        for name, value in NEUTRAL.items():
            if name not in self.known and name not in inert:
                self.must(name, value, "no model here is built that way")
        for name in self.settings:
            if name not in self.known and name not in INERT and name not in inert:
                raise ConfigurationError(
                    f"{self.where}: unknown setting {name!r}{nearest(name, self.known)}; it may change what the model "
                    "computes, so the model is not read"
                )

    def _get(self, name: str, default: object) -> object:
        self.known.add(name)
        value = self.settings.get(name)
        value = default if value is None else value
        if value is None:
            raise ConfigurationError(f"{self.where}: the setting {name!r} is missing")
        return value

    def _unexpected(self, name: str, expected: str, value: object, hint: str = "") -> ConfigurationError:
        return ConfigurationError(f"{self.where}: {name}: expected {expected}, got {value!r}{hint}")
