"""The commented starter recipes: one TOML file a task, with every key explained, shipped in ``starters``."""

from __future__ import annotations

from importlib import resources

from clearhead.errors import ConfigurationError, nearest
from clearhead.recipes.schema import TASKS


def starter(task: str) -> str:
    """The text of the starter recipe for ``task``.

    Raises:
        ConfigurationError: there is no such task; the message says which there are.
    """
    if task not in TASKS:
        raise ConfigurationError(f"expected a task, one of {', '.join(TASKS)}; got {task!r}{nearest(task, TASKS)}")
    return resources.files("clearhead.recipes.starters").joinpath(f"{task}.toml").read_text(encoding="utf-8")
