"""An answer while it is written, as server-sent events (the WHATWG's ``text/event-stream``).

``token``: one more token of an alternative that goes its own way (greedy search, samples), with the text it brought.
``progress``: where hypotheses compete, how far they are and how the likeliest reads now; it may still change.
``result``: an input's whole answer, as it would stand in ``results``. ``error`` or ``done`` is the last.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from clearhead.generation.watch import Step
from clearhead.server.hosted import late
from clearhead.server.job import Job
from clearhead.service.tasks.task import Predictor, Speller

Event = tuple[str, dict[str, Any]]


class Stream:
    """The events of one request. ``listen`` is called by the model's threads, the rest by the loop's."""

    def __init__(self, predictor: Predictor, inputs: Sequence[Any]) -> None:
        self.spellers = [predictor.speller(each) for each in inputs]
        self.written: dict[tuple[int, int], Written] = {}
        self.loop = asyncio.get_running_loop()
        self.events: asyncio.Queue[Event | None] = asyncio.Queue()

    def listen(self, step: Step, row: int, number: int) -> None:
        """See ``job.Listener``."""
        if step.competing:
            self._tell(self._progress, number, step.likeliest(row))
        else:
            tokens = [None if token in step.live.ends else token for token in step.newest(row)]
            self._tell(self._tokens, number, tokens)

    def follow(self, job: Job) -> None:
        """End the events when the job is done."""
        job.answer.add_done_callback(lambda _: self._tell(self.events.put_nowait, None))

    async def until(self, job: Job) -> AsyncIterator[Event]:
        """All events up to the job's end.

        Raises:
            Refusal: the job was not done by its deadline.
            ClearheadError: what the job raised.
        """
        while (event := await self._next(job.deadline)) is not None:
            yield event
        for number, answer in enumerate(job.answer.result(timeout=0)):
            yield "result", {"input": number, "answer": answer.as_dict()}
        yield "done", {}

    async def _next(self, deadline: float) -> Event | None:
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await self.events.get()
        except TimeoutError:
            raise late() from None

    def _tell(self, what: Any, *values: Any) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(what, *values)

    def _tokens(self, number: int, newest: list[int | None]) -> None:
        for alternative, token in enumerate(newest):
            if token is not None:
                written = self.written.setdefault((number, alternative), Written(self.spellers[number]))
                facts = {"input": number, "alternative": alternative, "token": token, "text": written.add(token)}
                self.events.put_nowait(("token", facts))

    def _progress(self, number: int, tokens: list[int]) -> None:
        speller = self.spellers[number]
        text = speller(tokens) if speller else ""
        self.events.put_nowait(("progress", {"input": number, "tokens": len(tokens), "text": text}))


class Written:
    """One alternative so far."""

    def __init__(self, speller: Speller | None) -> None:
        self.speller = speller
        self.tokens: list[int] = []
        self.text = ""

    def add(self, token: int) -> str:
        """What the token adds to the text; nothing while a character is not whole."""
        self.tokens.append(token)
        text = self.speller(self.tokens) if self.speller else ""
        if not text.startswith(self.text):
            return ""
        added, self.text = text[len(self.text) :], text
        return added


def event_bytes(event: Event) -> bytes:
    """One event as it goes over the line."""
    name, facts = event
    return f"event: {name}\ndata: {json.dumps(facts, ensure_ascii=False)}\n\n".encode()
