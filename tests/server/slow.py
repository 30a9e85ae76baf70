"""Models to be waited for: one that holds until it is let go, and a real one that writes a thousand tokens."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from clearhead.models.build import build_model
from clearhead.service.serving import Served

LONG = {"beam": 1, "min_length": 1000, "max_length": 1000}


@dataclass
class Echo:
    """An answer that says its input again."""

    text: str
    truncated: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {"input": self.text, "text": f"<{self.text}>"}


@dataclass(eq=False)
class Held:
    """A predictor that answers only while ``open`` is set, and counts what it is asked."""

    like: Any
    open: threading.Event = field(default_factory=threading.Event)
    calls: list[int] = field(default_factory=list)

    @property
    def config(self) -> Any:
        return self.like.config

    @property
    def longest(self) -> int:
        return int(self.like.longest)

    def predict(self, inputs: Sequence[Any], **decoding: Any) -> list[Echo]:
        self.calls.append(len(inputs))
        assert self.open.wait(60)
        return [Echo(each) for each in inputs]

    def speller(self, text: Any) -> None:
        """Nothing is written token by token."""


def held(toy: Served) -> tuple[Served, Held]:
    """A service's entry of the name "toy" that answers when it is let."""
    predictor = Held(toy.predictor)
    return replace(toy, predictor=predictor), predictor


def long_winded(toy: Served) -> Served:
    """The toy's words in a model without training that has room for long answers."""
    config = toy.predictor.config.model_copy(update={"max_positions": 1024})
    translator: Any = toy.predictor
    model = build_model(config, seed=0).eval()
    return replace(toy, predictor=replace(translator, model=model))
