"""What every test stands on: few threads (tests are small and run beside each other) and the same random state."""

from __future__ import annotations

import os

import pytest
import torch

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes tests start
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(autouse=True)
def same_random_state() -> None:
    """Each test starts from one state, so that it means the same alone and among others."""
    torch.manual_seed(0)
