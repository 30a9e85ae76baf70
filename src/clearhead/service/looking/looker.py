"""Looking into one or several models: a request is answered once, kept, and then asked for maps, rows and steps.

What the page shows comes from here; ``server.page_routes`` puts it on the wire. Only ``look`` uses a model itself, and
whoever shares a model among threads calls it where nobody else does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clearhead.errors import ClearheadError, ConfigurationError, nearest
from clearhead.inspection.capture import attention_names
from clearhead.models.account import account
from clearhead.service.head_file import read_heads
from clearhead.service.looking.history import Series, history
from clearhead.service.looking.maps import Floats, small_maps
from clearhead.service.looking.positions import Picture, pictures
from clearhead.service.looking.request import Asked
from clearhead.service.looking.seen import Seen, see
from clearhead.service.looking.store import Store
from clearhead.service.recording import LINES, read_recording
from clearhead.service.run_folder import RunFolder
from clearhead.service.tasks.task import Predictor


class Gone(ClearheadError):
    """What was looked at is no longer kept; the same request brings it back."""


class Lookable(Protocol):
    """A model that can be looked into."""

    @property
    def name(self) -> str:
        """By which it is asked for."""

    @property
    def task(self) -> str:
        """What it does."""

    @property
    def predictor(self) -> Predictor:
        """Its face."""

    @property
    def run(self) -> Path:
        """Its folder."""


@dataclass(frozen=True, eq=False)
class Looker:
    """Models by name, and what was looked at lately."""

    models: Mapping[str, Lookable]
    store: Store = field(default_factory=Store)

    def model(self, name: str) -> Lookable:
        """One model.

        Raises:
            ConfigurationError: there is none of that name.
        """
        if name not in self.models:
            raise ConfigurationError(
                f"model: expected one of {', '.join(self.models)}, got {name!r}{nearest(name, self.models)}"
            )
        return self.models[name]

    def kept(self, asked: Asked) -> Seen | None:
        """What is kept of the same request."""
        return self.store.get(asked.key)

    def look(self, asked: Asked) -> Seen:
        """Answer ``asked``, from what is kept where it was asked before.

        Raises:
            ConfigurationError, DataError: the model, a head, or the text is not as it must be.
        """
        kept = self.kept(asked)
        if kept is not None:
            return kept
        model = self.model(asked.model)
        seen = see(model.predictor, model.task, asked)
        self.store.put(seen)
        return seen

    def seen(self, key: str) -> Seen:
        """What was looked at under ``key``.

        Raises:
            Gone: it is no longer kept.
        """
        seen = self.store.get(key)
        if seen is None:
            raise Gone("what you look at is no longer kept: ask for it again")
        return seen

    def small(self, key: str, attention: str, size: int) -> Floats:
        """All heads of one attention as small maps, computed once."""
        seen = self.seen(key)
        name = (attention, size)
        if name not in seen.cache:
            seen.cache[name] = small_maps(seen.attention(attention), size)
        found: Floats = seen.cache[name]
        return found

    def history(self, name: str) -> list[Series]:
        """How the training of a model went."""
        return history(RunFolder(self.model(name).run).metrics_file)

    def recording(self, name: str) -> dict[str, Any]:
        """What was recorded of a model's heads while it was trained, without the maps; no frames where nothing was."""
        run = self.model(name).run
        return read_recording(run).as_dict() if has_recording(run) else {"frames": []}

    def worths(self, name: str) -> dict[str, Any]:
        """What ``clearhead heads`` found about a model's heads, as plain data; no heads where nobody asked it."""
        return worths_of(self.model(name).run)

    def moment(self, name: str, frame: int, sentence: int) -> dict[str, NDArray[np.float16]]:
        """The maps (H, T, S) of one sentence at one moment of that recording, by attention.

        Raises:
            ConfigurationError: nothing was recorded, or there is no such moment or sentence.
        """
        run = self.model(name).run
        if not has_recording(run):
            raise ConfigurationError(f"nothing was recorded while {name} was trained")
        return read_recording(run).maps(frame, sentence)

    def positions(self, name: str) -> list[Picture]:
        """How a model tells places apart."""
        predictor = self.model(name).predictor
        return pictures(predictor.model, predictor.config)

    def facts(self) -> list[dict[str, Any]]:
        """What there is to look into, as plain data."""
        return [facts_of(model) for model in self.models.values()]


def has_recording(run: Path) -> bool:
    """Whether the heads of this run were recorded while it was trained."""
    return (run / LINES).is_file()


def worths_of(run: Path) -> dict[str, Any]:
    """What is kept in a run folder about the worth of its heads, as plain data; no heads where nothing is.

    Raises:
        RunError: the file is damaged.
    """
    report = read_heads(run)
    return {"heads": []} if report is None else asdict(report)


def facts_of(model: Lookable) -> dict[str, Any]:
    """What the page is told of a model."""
    config = model.predictor.config
    return {
        "name": model.name,
        "task": model.task,
        "architecture": config.architecture,
        "body": config.body,
        "parameters": account(config).total,
        "width": config.width,
        "heads": config.heads,
        "positions": config.positions,
        "longest": model.predictor.longest,
        "attentions": attention_names(model.predictor.model),
        "trained": RunFolder(model.run).metrics_file.is_file(),
        "recorded": has_recording(model.run),
    }
