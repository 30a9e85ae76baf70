"""One input looked at, as the page shows it: symbols on both sides, probabilities, and what every attention was given.

The symbols stand once, by side: "source" is what was read, "target" what was written, "fed" what the decoder had before
it when it wrote (the start symbol, then all but the last). Every attention says whose rows and columns it has.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from clearhead.errors import ConfigurationError
from clearhead.inspection.ablate import without_heads
from clearhead.inspection.inspection import Inspection
from clearhead.inspection.record import AttentionRecord
from clearhead.service.look import readable
from clearhead.service.looking.request import Asked
from clearhead.service.looking.stories import PLAIN, STORIES, Story, Written
from clearhead.service.tasks.task import Predictor, View

EMBEDDED = "tokens"


@dataclass(frozen=True)
class AttentionFacts:
    """One attention: its name, its heads, whose rows (queries) and columns (keys) it has, and how many."""

    name: str
    heads: int
    queries: str
    keys: str
    rows: int
    columns: int


@dataclass(frozen=True, eq=False)
class Seen:
    """What is kept of one input.

    ``rows`` holds what tokens are as vectors (T, W): by side under ``EMBEDDED`` the rows of the token embedding, where
    the input is made of tokens; then the residual stream by station (``inspection.stream``).
    """

    asked: Asked
    text: str
    answer: str
    shown: str
    sides: dict[str, tuple[str, ...]]
    written: tuple[Written, ...]
    attentions: tuple[AttentionFacts, ...]
    records: dict[str, AttentionRecord]
    rows: dict[str, dict[str, Tensor]]
    seconds: float
    cache: dict[Any, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the tensors kept."""
        kept = [x for record in self.records.values() for x in (record.q, record.k, record.v, record.mixed)]
        return sum(x.nbytes for x in (*kept, *(x for sides in self.rows.values() for x in sides.values())))

    def attention(self, name: str) -> AttentionRecord:
        """The record of one attention.

        Raises:
            ConfigurationError: there is none of that name.
        """
        if name not in self.records:
            raise ConfigurationError(f"attention: expected one of {', '.join(self.records)}, got {name!r}")
        return self.records[name]


def see(predictor: Predictor, task: str, asked: Asked) -> Seen:
    """Answer what was ``asked``, some heads perhaps silenced, and keep what every attention saw.

    Raises:
        ConfigurationError: the model has no attention or no such head, or the task no such answer.
        DataError: the text is no input of this task.
    """
    began = time.perf_counter()
    story: Story = STORIES.get(task, PLAIN)
    silence = without_heads(predictor.model, asked.silenced)
    with torch.inference_mode(), silence, embedding_rows(predictor.model) as rows:
        view = story.view(predictor, asked)
    seen = view.inspection
    if not seen.attentions:
        raise ConfigurationError(f"there is no attention to look at: this model's body is {predictor.config.body!r}")
    sides = _sides(view)
    attentions = tuple(_facts(name, record, two="target" in sides) for name, record in seen.attentions.items())
    return Seen(
        asked,
        view.text,
        view.answer,
        view.shown,
        sides,
        story.written(predictor, view),
        attentions,
        dict(seen.attentions),
        {EMBEDDED: _by_side(rows, sides), **_stations(seen, sides)},
        time.perf_counter() - began,
    )


@contextmanager
def embedding_rows(model: nn.Module) -> Iterator[list[Tensor]]:
    """What the token embeddings of ``model`` gave in their last two calls, (B, T, W) each, while this is open."""
    kept: list[Tensor] = []

    def keep(module: nn.Module, given: tuple[Any, ...], rows: Tensor) -> None:
        kept.append(rows.detach())
        del kept[:-2]

    handles = [module.register_forward_hook(keep) for module in model.modules() if isinstance(module, nn.Embedding)]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def _sides(view: View) -> dict[str, tuple[str, ...]]:
    seen = view.inspection
    sides = {"source": tuple(readable(seen.source))}
    if any(name.endswith("cross") for name in seen.attentions):
        sides["target"] = tuple(readable(seen.target))
        sides["fed"] = tuple(readable(seen.fed))
    return sides


def _facts(name: str, record: AttentionRecord, *, two: bool) -> AttentionFacts:
    queries, keys = "source", "source"
    if name.endswith("cross"):
        queries = "target"
    elif two and name.startswith("decoder"):
        queries, keys = "target", "fed"
    return AttentionFacts(name, record.q.shape[1], queries, keys, record.q.shape[2], record.k.shape[2])


def _by_side(rows: list[Tensor], sides: dict[str, tuple[str, ...]]) -> dict[str, Tensor]:
    """The rows that belong to each side, found by their number: the last calls are the ones looked at."""
    wanted = ["source", "fed"] if "fed" in sides else ["source"]
    found = dict(zip(wanted, rows[-len(wanted) :], strict=False))
    return {side: x[0].float() for side, x in found.items() if x.dim() == 3 and x.shape[:2] == (1, len(sides[side]))}


def _stations(seen: Inspection, sides: dict[str, tuple[str, ...]]) -> dict[str, dict[str, Tensor]]:
    """The residual stream behind every block, whose rows are one side's."""
    decoded = "fed" if "fed" in sides else "source"
    found = {}
    for name, x in seen.residual.items():
        side = decoded if name.startswith("decoder") else "source"
        if name.count(".") == 1 and len(x) == len(sides[side]):
            found[name] = {side: x.float()}
    return found


def told(seen: Seen) -> dict[str, Any]:
    """Everything of ``seen`` but the maps, as plain data."""
    return {
        "key": seen.asked.key,
        "model": seen.asked.model,
        "text": seen.text,
        "answer": seen.answer,
        "shown": seen.shown,
        "sides": seen.sides,
        "written": [asdict(each) for each in seen.written],
        "attentions": [asdict(each) for each in seen.attentions],
        "seconds": round(seen.seconds, 4),
    }
