"""The commented starter recipes: one TOML file a task, with every key explained, shipped in ``starters``.

What reads the same for every task stands once, in ``starters/sections``, and is put in where a task's file says
``$blocks`` or ``$training``.
"""

from __future__ import annotations

from importlib import resources
from string import Template

from clearhead.errors import ConfigurationError, nearest
from clearhead.recipes.table import RECIPES, TASKS

HOME = "clearhead.recipes.starters"
SPACE = 33  # where the comments begin


def starter(task: str) -> str:
    """The text of the starter recipe for ``task``.

    Raises:
        ConfigurationError: there is no such task; the message says which there are.
    """
    if task not in TASKS:
        raise ConfigurationError(f"expected a task, one of {', '.join(TASKS)}; got {task!r}{nearest(task, TASKS)}")
    scores = RECIPES[task].SCORES
    offered = [*scores, "loss"]
    watch = f'watch = "{offered[0]}"'.ljust(SPACE) + f'# what "better" means: {", ".join(offered)}'
    sections = {
        "blocks": _section("sections", "blocks.toml", {}),
        "training": _section(
            "sections", "training.toml", {"watch": watch, "smoothing": f"label_smoothing = {RECIPES[task].SMOOTHING}"}
        ),
    }
    return _section("", f"{task}.toml", sections) + "\n"


def _section(folder: str, name: str, values: dict[str, str]) -> str:
    text = resources.files(HOME).joinpath(folder, name).read_text(encoding="utf-8")
    return Template(text).substitute(values).rstrip("\n")
