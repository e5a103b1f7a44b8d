"""What the server counts, for Prometheus. Nothing of a picture is among it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class Metrics:
    """The counters of one server, apart from those of any other in the process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Counter(
            "rsfiqa_requests",
            "Requests by path and status",
            ["path", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "rsfiqa_request_seconds",
            "From the first byte of a request to the last of its answer",
            ["path"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._pictures = Counter(
            "rsfiqa_pictures",
            "Pictures by what became of them",
            ["outcome"],
            registry=self._registry,
        )
        self._batches = Histogram(
            "rsfiqa_batch_pictures",
            "Pictures that went through the model together",
            buckets=(1, 2, 3, 4, 6, 8, 16),
            registry=self._registry,
        )
        self._model_seconds = Counter(
            "rsfiqa_model_seconds", "Seconds in which the model worked", registry=self._registry
        )
        self._decoders = Counter(
            "rsfiqa_decoders_replaced",
            "Decoder processes that broke, were ended or were left",
            registry=self._registry,
        )

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Show a value that is asked for whenever somebody looks."""
        Gauge(f"rsfiqa_{name}", what, registry=self._registry).set_function(value)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def picture(self, outcome: str) -> None:
        """Count one picture: `assessed`, `refused`, `failed`, `late` or `left`."""
        self._pictures.labels(outcome).inc()

    def batch(self, pictures: int, seconds: float) -> None:
        """Count one run of the model."""
        self._batches.observe(pictures)
        self._model_seconds.inc(seconds)

    def decoder_replaced(self) -> None:
        """Count a decoder that had to go."""
        self._decoders.inc()

    def text(self) -> bytes:
        """All of them, in the format of Prometheus."""
        return generate_latest(self._registry)
