"""What is asked on the page goes before what the run's settings say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from clearhead.generation.settings import ContinuationSettings
from clearhead.service.looking.request import Asked
from clearhead.service.looking.stories import continued
from clearhead.service.tasks.writer import Writer


class Settled(Writer):
    """Goes on with the settings it would have gone on with."""

    def predict(self, inputs: Any, **decoding: Any) -> Any:
        settings = self.settings(decoding)
        said = f"{settings.min_length} to {settings.max_length} of {settings.beam}"
        return [SimpleNamespace(alternatives=[SimpleNamespace(continuation=said)])]

    def view(self, text: str, target: str | None = None) -> Any:
        return target


def test_fewer_tokens_than_the_least_of_the_run_may_be_asked_for() -> None:
    task: Any = SimpleNamespace(decoding=ContinuationSettings(min_length=50, max_length=60))
    network: Any = None
    writer = Settled(network, task)
    assert continued(writer, Asked("a", "text", tokens=24)) == "24 to 24 of 1"
    assert continued(writer, Asked("a", "text", tokens=55, beam=3)) == "50 to 55 of 3"
