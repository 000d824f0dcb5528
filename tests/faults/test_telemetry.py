"""What OpenTelemetry is told, with its own SDK listening."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from rxsdk import ApiService, CallRejected, CallTimeout, ConfigurationError, File, ReconnectPolicy
from rxsdk.emulator import Emulator
from tests.conftest import wait_until
from tests.faults.telemetry import Told, told
from tests.staff import album_doc

__all__ = ["told"]

FAST = ReconnectPolicy(base_s=0.01, cap_s=0.05)


def service(emulator: Emulator, **settings: Any) -> ApiService:
    return ApiService(emulator.config(telemetry=True, reconnect=FAST, **settings))


def test_a_call_is_a_span_under_the_callers(emulator: Emulator, told: Told) -> None:
    tracer = told.tracers.get_tracer("app")
    with service(emulator) as api:
        with tracer.start_as_current_span("order of the day") as parent:
            call = api.call("staff/read")
        call.result()
        (span,) = told.spans("staff/read")
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        "rpc.system": "limp",
        "rpc.method": "staff/read",
        "server.address": "127.0.0.1",
    }
    assert span.parent is not None
    assert span.parent.span_id == parent.get_span_context().span_id
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "rxsdk"


def test_a_failed_call_says_with_what(emulator: Emulator, told: Told) -> None:
    emulator.silence("staff/create")
    with service(emulator) as api:
        with pytest.raises(CallRejected):
            api.call("no/thing").result()
        with pytest.raises(CallTimeout):
            api.call("staff/create", timeout_s=0.05).result()
        (rejected,), (late,) = told.spans("no/thing"), told.spans("staff/create")
    assert (rejected.status.status_code, rejected.status.description) == (StatusCode.ERROR, "CORE_REQ_INVALID_MODULE")
    assert (rejected.attributes or {})["error.type"] == "CORE_REQ_INVALID_MODULE"
    assert (late.attributes or {})["error.type"] == "CallTimeout"
    assert rejected.events == late.events == ()


def test_a_watch_is_a_span_to_its_first_reply_and_uploads_make_none(emulator: Emulator, told: Told) -> None:
    with service(emulator, file_chunk_size=10) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        api.call("album/watch").result()
        assert len(told.spans("album/watch")) == 1
        api.call("album/create", doc=album_doc(cover=File(b"x" * 50, name="x.png"))).result()
    assert sorted(span.name for span in told.spans()) == ["album/create", "album/watch", "session/auth"]


def test_calls_that_end_with_the_service_end_their_spans(emulator: Emulator, told: Told) -> None:
    emulator.silence("staff/read")
    with service(emulator) as api:
        api.call("staff/read").subscribe(None, lambda error: None)
        emulator.wait_until(lambda e: e.received[-1].payload["endpoint"] == "staff/read")
    assert [(span.attributes or {})["error.type"] for span in told.spans()] == ["CallOutcomeUnknown"]


def test_reconnects_retries_drops_and_round_trips_are_counted(emulator: Emulator, told: Told) -> None:
    with service(emulator, heartbeat_interval_s=0.02) as api:
        for _ in range(2):
            emulator.silence("staff/read", times=1)
            count = len(emulator.received)
            read = api.call("staff/read")
            emulator.wait_until(
                lambda e, since=count: any(one.payload["endpoint"] == "staff/read" for one in e.received[since:])
            )
            emulator.drop_connections()
            assert read.result().status == 200
        emulator.push("{no json")
        emulator.push("[]")
        wait_until(lambda: told.points("rxsdk.drops") and told.points("rxsdk.drops")[0].value == 2)
        wait_until(lambda: told.points("rxsdk.heartbeat.round_trip"))
        (reconnects,), (retries,) = told.points("rxsdk.reconnects"), told.points("rxsdk.retries")
        assert (reconnects.value, retries.value) == (2, 2)
        (round_trips,) = told.points("rxsdk.heartbeat.round_trip")
        assert round_trips.count >= 1
        assert 0 < round_trips.max < 10
        assert dict(reconnects.attributes) == {"rpc.system": "limp", "server.address": "127.0.0.1"}


def test_without_the_config_nothing_is_told(emulator: Emulator, told: Told) -> None:
    with ApiService(emulator.config()) as api:
        api.call("staff/read").result()
    assert told.spans() == []


def test_without_a_provider_it_does_nothing(emulator: Emulator) -> None:
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    with service(emulator) as api:
        assert api.call("staff/read").result().status == 200


def test_without_the_package_it_is_a_mistake_in_the_config(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, no_thread_left: None
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    api = service(emulator)
    with pytest.raises(ConfigurationError, match=r"telemetry: needs: pip install 'rxsdk\[telemetry\]'"):
        api.init()
    assert api.state.name == "idle"
    assert not api.inited
