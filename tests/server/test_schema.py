"""The OpenAPI document and the service say the same: requests made from the document by schemathesis, good and bad."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from .running import Service

schemathesis = pytest.importorskip("schemathesis")
conformance = importlib.import_module("schemathesis.specs.openapi.checks")

CHECKS = [
    schemathesis.checks.not_a_server_error,
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_schema_conformance,
]
WITH_BODY = ("/v1/models/{name}/predict", "/v1/models/{name}/inspect")
WITHOUT = ("/health/live", "/health/ready", "/metrics", "/v1/models")
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


def try_cases(service: Service, path: str, mode: Any, count: int) -> list[int]:
    """``count`` requests of one route, each answer held against the document; their statuses."""
    document = schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")
    operation = document[path]["POST" if path in WITH_BODY else "GET"]
    statuses: list[int] = []

    @settings(
        max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        statuses.append(case.call_and_validate(checks=CHECKS).status_code)

    check()
    return statuses


@pytest.mark.parametrize("path", WITHOUT)
def test_routes_without_a_body(service: Service, path: str) -> None:
    assert set(try_cases(service, path, MODES[0], 5)) == {200}


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("path", WITH_BODY)
def test_a_few_hundred_cases(service: Service, path: str, mode: Any) -> None:
    statuses = try_cases(service, path, mode, 60)
    assert len(statuses) >= 60 and (mode is MODES[1] or 200 in statuses)


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("path", WITH_BODY)
def test_five_thousand_cases(service: Service, path: str, mode: Any) -> None:
    assert len(try_cases(service, path, mode, 1250)) >= 1250
