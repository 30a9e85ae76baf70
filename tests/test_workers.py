"""Batches side by side: in order, each thread on one core, and nothing left changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from clearhead.workers import side_by_side, useful_workers


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_workers_run_side_by_side_on_one_core_each_and_answers_keep_their_order() -> None:
    meeting = threading.Barrier(2, timeout=20)

    def work(item: int) -> tuple[int, int]:
        if item < 2:
            meeting.wait()  # breaks, and the test with it, if one must end before the other begins
        time.sleep(0.01 * (5 - item))
        return item, torch.get_num_threads()

    assert side_by_side(work, range(5), 2) == [(item, 1) for item in range(5)]
    assert torch.get_num_threads() == 3
    assert side_by_side(lambda _: torch.get_num_threads(), [0, 0], 1) == [3, 3]


@pytest.mark.usefixtures("three_threads")
def test_an_error_ends_the_work_and_leaves_the_threads_as_they_were() -> None:
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        time.sleep(0.02)
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        side_by_side(work, range(1000), 2)
    assert len(begun) < 100
    assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("three_threads")
def test_as_many_workers_as_threads_but_only_where_that_helps() -> None:
    assert useful_workers("cpu") == useful_workers(torch.device("cpu")) == 3
    assert useful_workers("cuda:0") == 1
    with torch.autocast("cpu", torch.bfloat16):
        assert useful_workers("cpu") == 1
