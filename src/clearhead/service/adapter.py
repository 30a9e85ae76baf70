"""An adapter by itself: one small file to hand on, and the run it comes to beside the model it was trained for.

``adapter.safetensors`` holds A and B of every adapter and the new head; in its header stand the recipe, the sizes, the
checksum of the weights it belongs to, and what the task learnt beside weights, such as the names of labels. Merging is
``models.lora``'s; the outcome is a run like any other, to the byte the one that training ended with.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import nn

from clearhead.errors import ConfigurationError, RunError
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.models.lora import HEAD, adapt, adapter_weights, load_adapter, merged_weights
from clearhead.recipes.read import parse_recipe
from clearhead.recipes.schema import Recipe
from clearhead.recipes.write import recipe_to_toml
from clearhead.service.room import refuse_too_large
from clearhead.service.run_folder import RunCard, RunFolder, write_text
from clearhead.service.start import Start, bring
from clearhead.strict_json import parse_json
from clearhead.training.durable import Digest, digest_of, replace_file
from clearhead.training.tensorfile import read_tensors, tensor_pieces

FILE, FORMAT = "adapter.safetensors", "clearhead-adapter 1"
LEARNT = ("thresholds.json",)  # beside the files in tokenizer/


def head_of(config: ModelConfig) -> tuple[str, ...]:
    """The parts of a model that are trained whole beside its adapters: what is new with every task."""
    return HEAD if config.architecture == "encoder" else ()


def adapted(model: nn.Module, recipe: Recipe, config: ModelConfig) -> nn.Module:
    """``model`` with the adapters that ``recipe`` asks for, if it does."""
    if recipe.model.lora is not None:
        adapt(model, recipe.model.lora, seed=recipe.seed, head=head_of(config))
    return model


def write_adapter(recipe: Recipe, run: RunFolder, config: ModelConfig, model: nn.Module) -> Path:
    """Write ``adapter.safetensors`` into ``run``, whose files are otherwise complete.

    Raises:
        RunError: it cannot be written.
    """
    start = Start.of(run)
    assert start is not None  # adapters are put into a model that was started from
    metadata = {
        "format": FORMAT,
        "base_sha256": str(start.facts["weights_sha256"]),
        "recipe": recipe_to_toml(recipe),
        "model": json.dumps(config.model_dump(exclude_none=True)),
        "files": json.dumps(_learnt(run, start), ensure_ascii=False),
    }
    path = run.path / FILE
    try:
        replace_file(path, tensor_pieces(adapter_weights(model, head_of(config)), metadata))
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from None
    return path


def merge_adapter(adapter: str | Path, origin: str, out: str | Path) -> RunFolder:
    """Make the run that ``adapter`` comes to with the model in ``origin``, a run folder or a published model's.

    When that fails, what was begun in ``out`` is removed again.

    Raises:
        RunError: a file is missing or damaged, the model is not the one that the adapter was trained for (both
            checksums are given), or ``out`` is not empty.
        ConfigurationError: the adapter does not fit by its shapes.
    """
    path = Path(adapter)
    said = _metadata(path)
    recipe = parse_recipe(_toml(said["recipe"], path), where=f"{path}, the recipe in its header")
    config = _config(said["model"], path)
    with RunFolder.made(out, recipe) as run:
        _merge(path, said, origin, run, recipe, config)
    return run


def _merge(
    path: Path, said: Mapping[str, str], origin: str, run: RunFolder, recipe: Recipe, config: ModelConfig
) -> None:
    """Fill ``run``, which was begun."""
    start = bring(origin, run, recipe.task)
    if (found := start.facts["weights_sha256"]) != said["base_sha256"]:
        raise RunError(
            f"{path} was trained for weights with SHA-256 {said['base_sha256'][:12]}…, but those in {origin} have "
            f"{found[:12]}…: expected the very model that model.from named, {recipe.model.origin}"
        )
    refuse_too_large(config, training=False)
    model = build_model(config, seed=recipe.seed)
    start.fill(model, config)
    load_adapter(adapted(model, recipe, config), read_tensors(path), path, head=head_of(config))
    _write_learnt(run, start, parse_json(said["files"].encode(), f"{path}, the files in its header"))
    digest = write_merged(run, model)
    run.write_card(RunCard(task=recipe.task, model=config, weights_sha256=digest.sha256))
    start.forget()


def write_merged(run: RunFolder, model: nn.Module) -> Digest:
    """Write the weights of the ordinary model that ``model`` comes to."""
    try:
        return replace_file(run.weights_file, tensor_pieces(merged_weights(model)))
    except OSError as error:
        raise RunError(f"{run.weights_file} cannot be written: {error.strerror or error}") from None


def _learnt(run: RunFolder, start: Start) -> dict[str, dict[str, str]]:
    """The small files of ``run`` by name: their text, or which file of the model it started from they equal."""
    theirs = {digest_of(file): file.name for file in sorted((start.path / "tokenizer").iterdir())}
    own = [*sorted((run.path / "tokenizer").iterdir()), *(run.path / name for name in LEARNT)]
    found: dict[str, dict[str, str]] = {}
    for file in own:
        if file.is_file():
            same = theirs.get(digest_of(file))
            found[file.relative_to(run.path).as_posix()] = (
                {"text": file.read_text(encoding="utf-8")} if same is None else {"same": same}
            )
    return found


def _write_learnt(run: RunFolder, start: Start, files: Mapping[str, Any]) -> None:
    (run.path / "tokenizer").mkdir(exist_ok=True)
    for name, entry in files.items():
        folder, _, last = name.rpartition("/")
        plain = folder in ("", "tokenizer") and last.endswith(".json") and last == Path(last).name and "\\" not in last
        if not (plain and isinstance(entry, dict) and all(isinstance(text, str) for text in entry.values())):
            raise RunError(f"the adapter's header is damaged: {name!r} is no file that a run has")
        if "same" in entry:
            text = (start.path / "tokenizer" / Path(entry["same"]).name).read_text(encoding="utf-8")
        else:
            text = str(entry.get("text", ""))
        write_text(run.path / name, text)


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, "pt") as file:
            said: dict[str, str] = file.metadata() or {}
    except FileNotFoundError:
        raise RunError(f"{path}: there is no such adapter") from None
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read as an adapter: {error}") from None
    lacking = {"base_sha256", "recipe", "model", "files"} - said.keys()
    if said.get("format") != FORMAT or lacking:
        raise RunError(
            f"{path}: expected {FORMAT!r} in its header, got {said.get('format')!r}: it is no adapter of ours"
        )
    return said


def _toml(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RunError(f"{path} is damaged: the recipe in its header is no TOML: {error}") from None


def _config(text: str, path: Path) -> ModelConfig:
    try:
        return ModelConfig.model_validate(parse_json(text.encode(), f"{path}, the model in its header"))
    except ValidationError as error:
        raise ConfigurationError(f"{path}: the model in its header: {error.errors()[0]['msg']}") from None
