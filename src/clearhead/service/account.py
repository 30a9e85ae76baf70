"""What a recipe's, a run's or a preset's model costs: from the configuration alone, nothing is built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clearhead.errors import ConfigurationError
from clearhead.models.account import Account, account
from clearhead.models.config import ModelConfig
from clearhead.models.presets import PRESETS, preset
from clearhead.recipes.read import read_recipe
from clearhead.recipes.schema import Recipe
from clearhead.service.origin import open_origin
from clearhead.service.run_folder import RunFolder
from clearhead.service.start import complete, config_for

MAX_LENGTH = 1 << 24


@dataclass(frozen=True)
class Costs:
    """The account of one configuration, and where that came from."""

    name: str
    config: ModelConfig
    account: Account


def costs(what: str, *, vocabulary: int | None = None, length: int = 128) -> Costs:
    """The costs of ``what``: a run folder, a recipe file, or the name of a preset.

    A recipe's vocabulary is taken to be as large as it may become. ``vocabulary`` overrides it, on both sides;
    ``length`` is that of one sequence, in tokens, on both sides.

    Raises:
        ConfigurationError: there is no such recipe, run or preset, or a number is out of range.
    """
    if not 1 <= length <= MAX_LENGTH:
        raise ConfigurationError(f"length: expected a number from 1 to {MAX_LENGTH}, got {length}")
    config = _config(what)
    if vocabulary is not None:
        if not 4 < vocabulary <= 1 << 20:
            raise ConfigurationError(f"vocabulary: expected a number from 5 to {1 << 20}, got {vocabulary}")
        config = config.model_copy(update={"source_vocabulary": vocabulary, "target_vocabulary": vocabulary})
    return Costs(what, config, account(config, length=length))


def _config(what: str) -> ModelConfig:
    path = Path(what)
    if path.is_dir():
        return RunFolder.open(path).card().model
    if path.is_file() or path.suffix == ".toml":
        return _of_recipe(complete(read_recipe(path)))
    try:
        return preset(what)
    except ConfigurationError:
        raise ConfigurationError(
            f"expected a recipe file, a run folder, or a preset ({', '.join(PRESETS)}); {what!r} is none of these"
        ) from None


def _of_recipe(recipe: Recipe) -> ModelConfig:
    """The largest model it may come to; one that starts from another has that one's vocabularies."""
    config, origin = recipe.largest_model(), recipe.model.origin
    if origin is None:
        return config
    source = config_for(open_origin(origin).config, config.architecture, "this recipe", origin)
    return config.model_copy(update=source.model_dump(include={"source_vocabulary", "target_vocabulary"}))
