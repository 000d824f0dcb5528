"""Telemetry: spans and counters through the OpenTelemetry API, when the config asks for them; and the wire's trace.

A leaf of floor 3, used by the services. The API package is the extra ``rxsdk[telemetry]``; without an SDK configured by
the application it does nothing. Names and counts are told, never queries, docs or tokens.

    span       a call, from its making to its first reply, named by its endpoint
    counters   rxsdk.reconnects, rxsdk.retries, rxsdk.drops
    histogram  rxsdk.heartbeat.round_trip, seconds
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from rxsdk.errors import CallRejected, ConfigurationError

if TYPE_CHECKING:
    from rxsdk.reactive.call import Call

__all__ = ["OpenTelemetry", "Silence", "Telemetry", "show_wire", "telemetry_for"]


class Telemetry(Protocol):
    """What a service tells of itself."""

    def call_made(self, call: Call[Any]) -> None:
        """A call is on its way."""
        ...

    def reconnecting(self) -> None:
        """The connection was lost, or could not be made."""
        ...

    def retried(self) -> None:
        """A call is sent again."""
        ...

    def dropped(self) -> None:
        """A frame was no message."""
        ...

    def round_trip(self, seconds: float) -> None:
        """A heartbeat was answered."""
        ...


class Silence:
    """Tells nothing."""

    def call_made(self, call: Call[Any]) -> None:
        """See `Telemetry`."""

    def reconnecting(self) -> None:
        """See `Telemetry`."""

    def retried(self) -> None:
        """See `Telemetry`."""

    def dropped(self) -> None:
        """See `Telemetry`."""

    def round_trip(self, seconds: float) -> None:
        """See `Telemetry`."""


class OpenTelemetry:
    """Tells the application's OpenTelemetry providers.

    Raises:
        ConfigurationError: the API package is not installed.
    """

    def __init__(self, system: str, api: str) -> None:
        try:
            from opentelemetry import metrics, trace  # noqa: PLC0415 - an extra
        except ImportError:
            raise ConfigurationError("telemetry", "needs: pip install 'rxsdk[telemetry]'") from None
        self._trace = trace
        self._tracer = trace.get_tracer("rxsdk")
        self._server = {"rpc.system": system, "server.address": urlsplit(api).hostname or ""}
        meter = metrics.get_meter("rxsdk")
        self._reconnects = meter.create_counter("rxsdk.reconnects", description="connections lost or not made")
        self._retries = meter.create_counter("rxsdk.retries", description="calls sent again")
        self._drops = meter.create_counter("rxsdk.drops", description="frames that were no message")
        self._round_trips = meter.create_histogram("rxsdk.heartbeat.round_trip", unit="s")

    def call_made(self, call: Call[Any]) -> None:
        """See `Telemetry`; the span's parent is the caller's."""
        span = self._tracer.start_span(
            call.endpoint, kind=self._trace.SpanKind.CLIENT, attributes={**self._server, "rpc.method": call.endpoint}
        )
        call.when_settled(partial(self._end, span, call))

    def _end(self, span: Any, call: Call[Any]) -> None:
        error = call.error
        if error is not None:
            kind = (error.code if isinstance(error, CallRejected) else None) or type(error).__name__
            span.set_attribute("error.type", kind)
            span.set_status(self._trace.StatusCode.ERROR, kind)
        span.end()

    def reconnecting(self) -> None:
        """See `Telemetry`."""
        self._reconnects.add(1, self._server)

    def retried(self) -> None:
        """See `Telemetry`."""
        self._retries.add(1, self._server)

    def dropped(self) -> None:
        """See `Telemetry`."""
        self._drops.add(1, self._server)

    def round_trip(self, seconds: float) -> None:
        """See `Telemetry`."""
        self._round_trips.record(seconds, self._server)


def telemetry_for(wanted: bool, system: str, api: str) -> Telemetry:
    """What a service with this config tells; ``system`` names what it speaks."""
    return OpenTelemetry(system, api) if wanted else Silence()


def show_wire() -> None:
    """The trace was asked for, so it is shown even where the application has not set up logging."""
    log = logging.getLogger("rxsdk.wire")
    log.setLevel(logging.DEBUG)
    if not log.hasHandlers():
        log.addHandler(logging.StreamHandler())
        log.propagate = False  # what the application sets up later shows it no second time
