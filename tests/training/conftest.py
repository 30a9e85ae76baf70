"""Tests in this folder save hundreds of checkpoints; none of them loses its power, so none waits for the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from clearhead.training import durable


class Hasty:
    """``os`` without waiting; tests of what fsync is for put a disk of their own in its place."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    @staticmethod
    def fsync(handle: int) -> None:
        """Nothing."""


@pytest.fixture(autouse=True, scope="session")
def hasty_disk() -> Iterator[None]:
    """Used by every run that a test of this folder makes in its own process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "os", Hasty())
        yield
