"""All that one service holds: its settings, its models, its counters, and whether it is asked to stop."""

from __future__ import annotations

import time
from collections.abc import Sequence

from clearhead.server.bodies import Bodies
from clearhead.server.hosted import Hosted
from clearhead.server.metrics import Metrics
from clearhead.server.refusal import STOPPING, Refusal
from clearhead.server.settings import ServerSettings
from clearhead.service.serving import Served


class House:
    """Made once, started and stopped with the service."""

    def __init__(self, served: Sequence[Served], settings: ServerSettings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.bodies = Bodies(settings.limits)
        self.models = {each.name: Hosted(each, settings.limits, self.metrics) for each in served}
        self.stopping = False
        self.active = 0  # requests that came in and have not been answered to the end

    def model(self, name: str) -> Hosted:
        """The model of that name.

        Raises:
            Refusal: there is none.
        """
        if name not in self.models:
            raise Refusal(404, f"there is no model of that name here; there are {', '.join(self.models)}")
        return self.models[name]

    def admit(self, name: str, ahead: int = 0) -> Hosted:
        """The model of that name, if it takes requests now: asked before anything of a request is read.

        ``ahead`` others have just come in and have no place yet.

        Raises:
            Refusal: there is no such model, no room, or the service is stopping.
        """
        hosted = self.model(name)
        if self.stopping:
            raise STOPPING
        hosted.refuse_if_full(ahead)
        return hosted

    def crowded(self, ahead: int) -> bool:
        """Whether some request behind ``ahead`` others might find no room, or the service is stopping."""
        return self.stopping or any(hosted.line.full_for(1 + ahead) for hosted in self.models.values())

    def deadline(self) -> float:
        """By when a request that comes now is to be answered."""
        return time.monotonic() + self.settings.limits.deadline

    def start(self) -> None:
        """Start every model's thread."""
        for hosted in self.models.values():
            hosted.start()

    def stop(self) -> None:
        """Accept nothing more; what was accepted is answered."""
        self.stopping = True
        for hosted in self.models.values():
            hosted.stop()

    def join(self, seconds: float) -> None:
        """Wait, once stopped, until no thread uses a model any more, for so long at most."""
        end = time.monotonic() + seconds
        for hosted in self.models.values():
            hosted.join(max(0.0, end - time.monotonic()))
