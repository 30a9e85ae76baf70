"""The log: whole lines of JSON, those of one turn of the loop in one write."""

from __future__ import annotations

import asyncio
import json
import logging

from clearhead.server.log import JsonLines, Together


class Written(list[str]):
    """A stream that keeps each write by itself."""

    def write(self, text: str) -> int:
        self.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""


def test_lines_of_one_turn_are_written_together_and_others_at_once() -> None:
    written = Written()
    handler = Together(written)  # type: ignore[arg-type]
    handler.setFormatter(JsonLines())

    def say(*numbers: int) -> None:
        for number in numbers:
            handler.handle(logging.makeLogRecord({"msg": "request", "facts": {"number": number}}))

    async def turns() -> list[int]:
        counts = []
        for numbers in ((2, 3), (4,)):
            say(*numbers)
            counts.append(len(written))
            await asyncio.sleep(0)
            counts.append(len(written))
        say(5)
        await asyncio.to_thread(say, 6)  # no loop runs there: nothing waits any longer
        counts.append(len(written))
        say(7)
        return counts

    say(1)
    assert len(written) == 1
    assert asyncio.run(turns()) == [1, 2, 2, 3, 4]
    say(8)
    assert [json.loads(line)["number"] for text in written for line in text.splitlines()] == [*range(1, 9)]
    assert all(text.endswith("\n") for text in written)


def test_what_waits_is_written_when_logging_ends() -> None:
    written = Written()
    handler = Together(written)  # type: ignore[arg-type]
    handler.lines = ["a line\n"]
    handler.flush()
    handler.flush()
    assert written == ["a line\n"]
