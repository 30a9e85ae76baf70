"""The end: at SIGTERM nothing more is accepted, what was accepted is answered, the process ends with 0."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clearhead.service.serving import Served

from .running import Reply, exchange, post, running, until
from .slow import held


@contextmanager
def process(*words: object) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """``clearhead serve`` on a free port, and which."""
    command = [sys.executable, "-m", "clearhead", "serve", "--port", "0", *map(str, words)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    ) as running_process:
        assert running_process.stdout is not None
        try:
            address = running_process.stdout.readline()
            yield running_process, int(address.rpartition(":")[2])
        finally:
            running_process.kill()


def test_sigterm_under_load_answers_what_was_accepted_and_exits_0(toy_run: Path) -> None:
    with process(toy_run) as (server, port):

        async def load() -> list[Reply | OSError | asyncio.IncompleteReadError]:
            body = {"inputs": ["1 2 3"] * 40, "decoding": {"beam": 16}}
            asked = [asyncio.create_task(exchange(port, post("/v1/models/toy/predict", body))) for _ in range(12)]
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            server.send_signal(signal.SIGTERM)
            return await asyncio.gather(*asked, return_exceptions=True)  # type: ignore[return-value]

        for reply in asyncio.run(load()):
            assert isinstance(reply, Reply) and reply.status in {200, 503}
            if reply.status == 200:
                assert [each["text"] for each in reply.json["results"]] == ["eins zwei drei"] * 40
        assert server.wait(30) == 0
        assert server.stderr is not None
        lines = [json.loads(line) for line in server.stderr.read().splitlines()]
        assert lines[-1]["event"] == "stopped"
        assert "eins" not in json.dumps(lines) and "1 2 3" not in json.dumps(lines)


def test_from_the_signal_on_ready_says_503_and_nothing_new_is_accepted(toy: Served) -> None:
    entry, model = held(toy)
    with running([entry]) as service:

        async def stop_while_busy() -> Reply:
            accepted = asyncio.create_task(exchange(service.port, post("/v1/models/toy/predict", {"inputs": ["x"]})))
            await asyncio.to_thread(until, lambda: model.calls)
            service.server.handle_exit(signal.SIGTERM, None)
            ready = await asyncio.to_thread(service.ask, "GET", "/health/ready")
            late = await asyncio.to_thread(service.predict, ["y"])
            live = await asyncio.to_thread(service.ask, "GET", "/health/live")
            assert (ready.status, late.status, live.status) == (503, 503, 200)
            assert ready.json["error"]["code"] == "stopping" and "retry-after" in late.headers
            model.open.set()
            return await accepted

        reply = asyncio.run(stop_while_busy())
        assert reply.json["results"] == [{"input": "x", "text": "<x>"}]
        with pytest.raises(OSError):
            until(lambda: service.ask("GET", "/health/live").status != 200)


def test_an_address_others_reach_refuses_to_start_without_a_token(toy_run: Path) -> None:
    command = [sys.executable, "-m", "clearhead", "serve", str(toy_run), "--host", "0.0.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "can be reached from other machines, which needs a token" in done.stderr
    assert len(done.stderr.splitlines()) == 1
