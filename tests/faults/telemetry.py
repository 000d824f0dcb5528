"""`told`: what OpenTelemetry's SDK is told in a test, kept in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

__all__ = ["Told", "told"]


class Told:
    """The spans that have ended, and the metrics as they stand."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider(metric_readers=[self._reader])

    def spans(self, name: str | None = None) -> list[ReadableSpan]:
        """All, or those of this name."""
        return [span for span in self._exporter.get_finished_spans() if name in (None, span.name)]

    def points(self, name: str) -> list[Any]:
        """The data points of one metric."""
        data = self._reader.get_metrics_data()
        found = [
            metric
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]
        return [point for metric in found for point in metric.data.data_points]

    def everything(self) -> list[str]:
        """All of it as text."""
        data = self._reader.get_metrics_data()
        return [*(span.to_json() for span in self.spans()), *([data.to_json()] if data else [])]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """Stands in for the application's providers."""
    told = Told()
    monkeypatch.setattr(trace, "get_tracer", told.tracers.get_tracer)
    monkeypatch.setattr(metrics, "get_meter", told.meters.get_meter)
    yield told
    told.tracers.shutdown()
    told.meters.shutdown()
