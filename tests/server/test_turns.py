"""What a service changes of the interpreter, and that it is as before when the service is over."""

from __future__ import annotations

import gc
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from clearhead.server.turns import NICENESS, PATIENCE, stand_back, undisturbed
from clearhead.service.serving import Served

from .running import running


def test_the_interpreter_is_as_it_was_when_the_service_is_over(toy: Served) -> None:
    before = sys.getswitchinterval()
    with running([toy]) as service:
        assert sys.getswitchinterval() == pytest.approx(PATIENCE) and gc.get_freeze_count() > 1000
        assert service.predict(["1 2"]).status == 200
    assert sys.getswitchinterval() == before and gc.get_freeze_count() == 0


def test_it_is_as_it_was_after_a_failure_too() -> None:
    before = sys.getswitchinterval()
    with pytest.raises(RuntimeError), undisturbed():
        raise RuntimeError
    assert sys.getswitchinterval() == before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority for each thread")
def test_a_thread_stands_back_alone_and_those_it_starts_with_it() -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def below() -> tuple[int, int]:
        stand_back()
        with ThreadPoolExecutor(1) as inner:
            return priority(), inner.submit(priority).result()

    before = priority()
    with ThreadPoolExecutor(1) as pool:
        own, inherited = pool.submit(below).result()
    assert own == inherited == min(19, before + NICENESS)
    assert priority() == before
