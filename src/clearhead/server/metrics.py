"""What is measured, for Prometheus. Labels are names of models, templates of routes and numbers of statuses: never
anything a client chose.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one service; each has a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "clearhead_requests", "Requests by route and status.", ("route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "clearhead_request_seconds", "From a request's head to its last byte.", ("route",),
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.active = Gauge("clearhead_active_requests", "Requests in work or waiting.", registry=registry)
        self.waiting = Gauge("clearhead_queue_texts", "Inputs that wait for a model.", ("model",), registry=registry)
        self.waited = Histogram(
            "clearhead_queue_seconds", "How long a request waited for its model.", ("model",),
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.batch_texts = Histogram(
            "clearhead_batch_texts", "Inputs answered together.", ("model",), buckets=SIZES, registry=registry
        )
        self.batch_seconds = Histogram(
            "clearhead_batch_seconds", "How long a model took to answer them.", ("model",),
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.texts = Counter("clearhead_texts", "Inputs answered.", ("model",), registry=registry)
        self.tokens = Counter(
            "clearhead_tokens", "Tokens written, one an input and step however wide its beam.", ("model",),
            registry=registry,
        )  # fmt: skip

    def steps(self, model: str) -> Callable[[float], None]:
        """Counts tokens of a model."""
        increase: Callable[[float], None] = self.tokens.labels(model).inc
        return increase

    def batch(self, model: str, texts: int, seconds: float) -> None:
        """A model answered ``texts`` inputs."""
        self.batch_texts.labels(model).observe(texts)
        self.batch_seconds.labels(model).observe(seconds)
        self.texts.labels(model).inc(texts)

    def page(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
