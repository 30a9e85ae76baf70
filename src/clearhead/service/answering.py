"""How a published model answers when nobody says otherwise: its settings for generation as tables of a recipe.

They stand in generation_config.json or, in models older than that file, in config.json among the others. What of them a
search here heeds becomes a setting; the rest that would change an answer is named, so that nobody wonders.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.errors import ConfigurationError
from clearhead.models.config import ModelConfig
from clearhead.pretrained.directory import CONFIG, ModelDirectory, inside_folder
from clearhead.pretrained.named import GENERATION
from clearhead.strict_json import read_json

LONGEST_ANSWER = 256
MODULES = ("Transformer", "Pooling", "Normalize")  # whose folders sentence-transformers calls 1_Pooling, 2_Normalize
POOLINGS = {"mean_tokens": "mean", "mean": "mean", "cls_token": "first", "cls": "first"}
RULES: Mapping[object, str] = {None: "steady", False: "steady", True: "first", "never": "patient"}
# Settings that no search here heeds, with the values at which they change nothing.
UNHEEDED: Mapping[str, tuple[object, ...]] = {
    "repetition_penalty": (None, 1, 1.0),
    "encoder_repetition_penalty": (None, 1, 1.0),
    "encoder_no_repeat_ngram_size": (None, 0),
    "exponential_decay_length_penalty": (None,),
    "begin_suppress_tokens": (None, []),
    "diversity_penalty": (None, 0, 0.0),
    "num_beam_groups": (None, 1),
    "penalty_alpha": (None, 0, 0.0),
    "typical_p": (None, 1, 1.0),
    "epsilon_cutoff": (None, 0, 0.0),
    "eta_cutoff": (None, 0, 0.0),
    "min_p": (None, 0, 0.0),
    "sequence_bias": (None,),
}
UNHEEDED_BY: Mapping[str, Mapping[str, tuple[object, ...]]] = {  # architectures, each by its own search
    "decoder": {"min_length": (None, 0)},
    "encoder-decoder": {"do_sample": (None, False)},
}


def answering(directory: ModelDirectory, config: ModelConfig) -> dict[str, Any]:
    """The tables of a recipe that say how the model in ``directory`` answers.

    Raises:
        ConfigurationError: a setting has a value that cannot be; it is named with its file.
    """
    if config.architecture == "encoder":
        return {"embedding": _pooling(directory)}
    try:
        return {"decoding": _searched(_given(directory), config)}
    except ConfigurationError as error:
        file = GENERATION if directory.has(GENERATION) else CONFIG
        raise ConfigurationError(f"{directory.path / file}: {error}") from None


def _searched(given: Mapping[str, Any], config: ModelConfig) -> dict[str, Any]:
    """The table "decoding"."""
    room = config.max_positions
    if config.architecture == "decoder":
        longest = _whole(given, "max_new_tokens", LONGEST_ANSWER, 1 << 20)
        longest = min(longest, room)
        shortest = min(_whole(given, "min_new_tokens", 0, 1 << 20, least=0), longest)
        return {"max_length": longest, "min_length": shortest, **_beams(given), **_draws(given)}
    longest = _whole(given, "max_length", LONGEST_ANSWER, 1 << 20)
    longest = min(_whole(given, "max_new_tokens", longest, 1 << 20), room)
    shortest = max(0, _whole(given, "min_length", 1, 1 << 20, least=0) - 1)  # the start symbol counts there
    shortest = min(max(shortest, _whole(given, "min_new_tokens", 0, 1 << 20, least=0)), longest)
    table: dict[str, Any] = {"beam": _whole(given, "num_beams", 1, 64), "max_length": longest, "min_length": shortest}
    table |= {"max_ratio": 1000.0, "max_extra": longest, "length_penalty": _penalty(given)}
    return table | {"end_at_limit": given.get("forced_eos_token_id") is not None} | _beams(given)


def unheeded(directory: ModelDirectory, config: ModelConfig) -> dict[str, Any]:
    """What the settings for generation ask for that is not done here, by name."""
    given = {} if config.architecture == "encoder" else _given(directory)
    known = {**UNHEEDED, **UNHEEDED_BY.get(config.architecture, {})}
    return {name: given[name] for name, idle in known.items() if name in given and given[name] not in idle}


def _given(directory: ModelDirectory) -> Mapping[str, Any]:
    return directory.json(GENERATION) if directory.has(GENERATION) else directory.config


def _beams(given: Mapping[str, Any]) -> dict[str, Any]:
    """When a beam ends, and which tokens may not come again."""
    early = given.get("early_stopping")
    if not isinstance(early, bool | str | None) or early not in RULES:
        raise ConfigurationError(f'early_stopping: expected true, false or "never", got {early!r:.80}')
    return {"beam_rule": RULES[early], "no_repeat_ngram": _whole(given, "no_repeat_ngram_size", 0, 1 << 20, least=0)}


def _draws(given: Mapping[str, Any]) -> dict[str, Any]:
    """How a decoder goes on: by search, or how tokens are drawn; what is not given then is as that library has it."""
    beam = _whole(given, "num_beams", 1, 64)
    if given.get("do_sample") is False or (beam > 1 and not given.get("do_sample")):
        return {"sample": False, "beam": beam, "length_penalty": _penalty(given)}
    if given.get("do_sample") is not True:
        return {}  # nothing is said: the house's own way
    table: dict[str, Any] = {"top_k": _whole(given, "top_k", 50, 1 << 20, least=0)}
    for name, least, largest in (("temperature", 1e-6, 1e6), ("top_p", 1e-6, 1.0)):
        value = given.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and least <= value <= largest):
            raise ConfigurationError(f"{name}: expected a number from {least:g} to {largest:g}, got {value!r:.80}")
        table[name] = 1.0 if value is None else float(value)
    return table


def _whole(given: Mapping[str, Any], name: str, default: int, largest: int, *, least: int = 1) -> int:
    """A whole number that generation's settings give, or the default where they give none."""
    value = given.get(name)
    if value is None:
        return default
    if type(value) is not int or not least <= value <= largest:
        raise ConfigurationError(f"{name}: expected a whole number from {least} to {largest}, got {value!r:.80}")
    return value


def _penalty(given: Mapping[str, Any]) -> float:
    """The exponent of the length; longer outputs cannot be punished here, as a negative one would."""
    value = given.get("length_penalty")
    if value is None:
        return 1.0
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 10:
        raise ConfigurationError(f"length_penalty: expected a number from 0 to 10, got {value!r:.80}")
    return float(value)


def _pooling(directory: ModelDirectory) -> dict[str, Any]:
    """How sentences become vectors, where sentence-transformers' settings lie beside: mean over tokens otherwise.

    Raises:
        ConfigurationError: they ask for what is not had here.
    """
    for entry in sorted(directory.path.iterdir()):
        number, _, module = entry.name.partition("_")
        if number.isdecimal() and entry.is_dir() and module not in MODULES:
            raise ConfigurationError(
                f"{entry}: expected only {', '.join(MODULES)} behind an encoder, got {module}, which would "
                "change every vector and is not had here"
            )
    path = inside_folder(directory.path, "1_Pooling", "config.json")
    if path is None:
        return {}
    table = read_json(path)
    asked = [name.removeprefix("pooling_mode_") for name, value in table.items() if value is True and "_mode_" in name]
    asked = asked or [str(table.get("pooling_mode", "mean"))]
    if len(asked) != 1 or asked[0] not in POOLINGS:
        raise ConfigurationError(f"{path}: expected one pooling of {', '.join(POOLINGS)}, got {', '.join(asked)}")
    return {"pooling": POOLINGS[asked[0]]}
