"""One fixture for the laws: a whole model by each path in turn."""

from __future__ import annotations

import pytest

from clearhead.mechanism import multihead, paths

PATHS = {
    "chosen": paths.choose,  # which goes by machine, so each path is also taken by force
    "products": lambda problem: paths.products,
    "fused": lambda problem: paths.fused,
    "streamed": lambda problem: paths.streamed,
}


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every attention of a model by one path; the streamed one in blocks of a few rows."""
    monkeypatch.setattr(multihead, "choose", PATHS[request.param])
    monkeypatch.setattr(paths, "TILE", 1000)
