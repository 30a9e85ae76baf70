"""``clearhead train RECIPE``: a recipe in, a run folder out, progress on stderr."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from clearhead.errors import ConfigurationError


@dataclass(frozen=True)
class TrainOptions:
    """What to train, where to, and whether to go on."""

    recipe: Annotated[Path, typer.Argument(help="A recipe file; with --resume, a run folder will do.")]
    out: Annotated[Path | None, typer.Option(help="The run folder (default: runs/NAME-OF-THE-RECIPE).")] = None
    overrides: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as training.updates=500.")
    ] = field(default_factory=list)
    resume: Annotated[bool, typer.Option("--resume", help="Go on exactly where the run in the folder stopped.")] = False
    accept_changes: Annotated[
        bool,
        typer.Option("--accept-changes", help="With --resume: even where recipe, data or versions have changed."),
    ] = False


def train(options: TrainOptions) -> None:
    """Train with a live progress display; Ctrl-C saves, and --resume goes on exactly."""
    from clearhead.cli.progress import show_training

    recipe, out = _recipe_and_folder(options)
    from clearhead.recipes.read import read_recipe
    from clearhead.service.train import train as train_run

    if options.accept_changes and not options.resume:
        raise ConfigurationError("--accept-changes is about going on with a run: give --resume with it")
    checked = read_recipe(recipe, options.overrides)
    show_training(train_run(checked, out, resume=options.resume, accept_changes=options.accept_changes), out)


def _recipe_and_folder(options: TrainOptions) -> tuple[Path, Path]:
    if not options.recipe.is_dir():
        return options.recipe, options.out or Path("runs") / options.recipe.stem
    if not options.resume:
        raise ConfigurationError(f"{options.recipe} is a folder: expected a recipe file, or a run folder with --resume")
    return options.recipe / "recipe.toml", options.out or options.recipe
