"""``clearhead recipe TASK``: a commented starter recipe on stdout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer


@dataclass(frozen=True)
class RecipeOptions:
    """Which task."""

    task: Annotated[str, typer.Argument(help="What to train, such as translation or classification.")]


def recipe(options: RecipeOptions) -> None:
    """Print a commented starter recipe; redirect it to a file and change what you like."""
    from clearhead.recipes.starter import starter

    typer.echo(starter(options.task), nl=False)
