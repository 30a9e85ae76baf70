"""Who has the processor and the interpreter when: the loop that speaks to clients before the threads that compute.

CPython lets one thread at a time run Python, and looks through all it has ever made for garbage while no other runs.
The loop gives the interpreter up at every system call and has to win it back from models that are busy; what it has to
do is little, and somebody waits for it.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 0.0005  # seconds a thread waits for its turn before it takes it; CPython's own is 0.005
NICENESS = 5  # by which threads that compute stand behind the loop


@contextmanager
def undisturbed() -> Iterator[None]:
    """Settings of the whole interpreter while a service runs.

    What has been loaded so far stays loaded, so the garbage collector need not look at it again: with torch and a model
    that stopped the loop for 0.14 s of its own time, now and then, and longer where it has to share a processor.
    """
    patience = sys.getswitchinterval()
    sys.setswitchinterval(PATIENCE)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(patience)


def stand_back() -> None:
    """Lower the priority of the calling thread and of those it starts; Linux only, where threads have their own."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS))
