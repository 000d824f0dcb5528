"""What a lost connection leaves: accounts that come back by themselves, calls that end with a reason."""

from __future__ import annotations

import gc
import io
import logging
import warnings

import pytest

from rxsdk import (
    CallNotSent,
    CallOutcomeUnknown,
    ConfigurationError,
    ReconnectPolicy,
    SylkAccount,
    SylkConfig,
    SylkService,
)
from rxsdk.emulator.sylk import SylkEmulator
from rxsdk.testing import FaultProxy
from tests.conftest import wait_until
from tests.sylk.conftest import FAST
from tests.sylk.people import Watcher, sign_in


def test_accounts_come_back_by_themselves(sylk: SylkEmulator, ada: SylkAccount, bob: SylkAccount) -> None:
    states, inbox = Watcher(ada.registration_stream), Watcher(ada.messages)
    sylk.drop_connections()
    wait_until(lambda: states.names[-3:] == ["unregistered", "registering", "registered"])
    wait_until(lambda: bob.registration.name == "registered")
    assert "connection lost" in str(states.values[1].reason)
    bob.send_message("ada@example.com", "are you there?").result(10)
    assert inbox.first().content == "are you there?"


def test_the_server_restarts_with_another_password(sylk: SylkEmulator, ada: SylkAccount) -> None:
    states = Watcher(ada.registration_stream)
    sylk.users["ada@example.com"] = "changed"
    sylk.restart()
    states.wait("failed")
    assert states.values[-1].reason == "401 Unauthorized"


@pytest.mark.parametrize("reach", ["requested", "ringing", "established"])
def test_lost_in_the_middle_of_a_call(sylk: SylkEmulator, ada: SylkAccount, bob: SylkAccount, reach: str) -> None:
    arriving = Watcher(bob.incoming)
    if reach == "requested":
        sylk.silence("session-create")
    going = ada.call("bob@example.com", "offer")
    if reach == "established":
        arriving.first().answer("answer").result(10)
    wait_until(lambda: going.state.name == reach)
    if reach == "requested":
        sylk.wait_until(lambda emulator: emulator.received[-1].payload["sylkrtc"] == "session-create")
    sylk.drop_connections()
    assert "connection lost" in str(going.state_stream.result(10).reason)
    for coming in arriving.values:
        assert coming.state_stream.result(10).name == "terminated"
    wait_until(lambda: ada.registration.name == "registered")
    assert ada._life._machine.book.sessions == {}


def test_the_other_side_hears_of_a_lost_connection(ada: SylkAccount, bob: SylkAccount) -> None:
    arriving = Watcher(bob.incoming)
    going = ada.call("bob@example.com", "offer")
    arriving.first().answer("answer").result(10)
    wait_until(lambda: going.state.name == "established")
    bob._life.life.close().result(10)
    assert going.state_stream.result(10).reason == "200 OK"
    assert arriving.first().state.reason == "the service was closed"


def test_rooms_end_too(sylk: SylkEmulator, ada: SylkAccount) -> None:
    room = ada.join("tea@example.com", "offer")
    wait_until(lambda: room.state.name == "established")
    sylk.drop_connections()
    assert "connection lost" in str(room.state_stream.result(10).reason)


def test_pings_notice_a_dead_road(sylk: SylkEmulator) -> None:
    with FaultProxy(sylk.url) as proxy:
        config = sylk.config(url=proxy.url, heartbeat_interval_s=0.05, heartbeat_timeout_s=0.3, reconnect=FAST)
        with SylkService(config) as service:
            account = sign_in(sylk, service, "ada")
            states, pings = Watcher(service.state_stream), Watcher(service.round_trip_stream)
            assert pings.first() < 10
            proxy.half_open()
            wait_until(lambda: "reconnecting" in states.names)
            proxy.heal()
            wait_until(lambda: account.registration.name == "registered" and service.inited)
            names = states.names
            assert names.index("reconnecting") < len(names) - 1 - names[::-1].index("authenticating")


@pytest.mark.parametrize("version", [1, 2])
def test_both_versions(version: int) -> None:
    with SylkEmulator(versions=(version,)) as emulator, SylkService(emulator.config()) as service:
        sign_in(emulator, service, "ada")


def test_a_server_of_another_protocol() -> None:
    with SylkEmulator(versions=(3,)) as emulator, pytest.raises(Exception, match="406"):
        SylkService(emulator.config(connect_timeout_s=5.0)).__enter__()


def test_closed_and_not_open(sylk: SylkEmulator) -> None:
    service = SylkService(sylk.config())
    with pytest.raises(CallNotSent, match="init"):
        service.add_account("ada@example.com", "x").result(10)
    with service:
        account = sign_in(sylk, service, "ada")
        sylk.silence("lookup-public-key")
        pending = service.lookup_public_key("bob@example.com")
        streams = [Watcher(stream) for stream in (account.events, account.incoming, account.registration_stream)]
    with pytest.raises(CallOutcomeUnknown):
        pending.result(10)
    wait_until(lambda: all(stream.ends == [None] for stream in streams))
    assert account.registration.name == "removed"
    call = account.call("bob@example.com", "offer")
    assert call.state_stream.result(10).reason == "the service is closed"
    room = account.join("tea@example.com", "offer")
    assert room.state_stream.result(10).name == "terminated"
    assert room.attach("p").state_stream.result(10).name == "detached"
    with service:  # anew, without the accounts of before
        assert service.lookup_public_key("bob@example.com").error is None
        assert sign_in(sylk, service, "ada").registration.name == "registered"


def test_a_cancelled_call_is_taken_back(sylk: SylkEmulator, ada: SylkAccount) -> None:
    sylk.silence("session-create", times=1)
    call = ada.call("eve@example.com", "offer")
    sylk.wait_until(lambda emulator: emulator.received[-1].payload["sylkrtc"] == "session-create")
    assert call.created is not None
    call.created.cancel()
    assert "cancelled" in str(call.state_stream.result(10).reason)
    sylk.wait_until(lambda emulator: emulator.received[-1].payload["sylkrtc"] == "session-terminate")


def test_nothing_secret_is_shown(sylk: SylkEmulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = io.StringIO()
    with SylkService(sylk.config(debug=True)) as service:
        account = sign_in(sylk, service, "ada")
        account.set_device_token("t0ken", platform="ios", device="d", app="a").result(10)
        call = account.call("bob@example.com", "the offer's keys")
        call.state_stream.result(10)
        service.lookup_public_key("bob@example.com").result(10)
        things = (service, account, call, account._thing, vars(account._thing), service._inside._machine.book)
        print(*things, vars(service), vars(service._inside), file=shown)
    secret = sylk.received[0].payload["password"]
    text = shown.getvalue() + caplog.text
    assert "→ account-add" in caplog.text
    assert "← Ack" in caplog.text
    for hidden in ("swordfish", secret, "t0ken", "the offer's keys", "-----BEGIN"):
        assert hidden not in text


def test_a_service_that_is_dropped_is_closed(sylk: SylkEmulator) -> None:
    service = SylkService(sylk.config())
    service.init()
    states = Watcher(service.state_stream)
    states.wait("ready")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del service
        gc.collect()
        wait_until(lambda: states.ends == [None])
    assert [str(one.message) for one in caught] == [
        "an open SylkService was dropped: use it in a `with`, or end it with close()"
    ]


def test_the_config() -> None:
    config = SylkConfig("wss://sylk.example.com/webrtcgateway/ws?key=s3cret", extra_headers={"X-A": "b"})
    assert (config.heartbeat_interval_s, config.heartbeat_timeout_s) == (5.0, 30.0)
    assert repr(config) == "SylkConfig(url='wss://sylk.example.com/webrtcgateway/ws', …)"
    assert repr(SylkService(config)) == "<SylkService wss://sylk.example.com/webrtcgateway/ws idle>"
    assert repr(SylkService()) == "<SylkService None idle>"
    assert config.headers_sent == {"X-A": "b"}
    for field, value in (("url", "http://x"), ("debug", 1), ("extra_headers", 5), ("reconnect", 5)):
        with pytest.raises(ConfigurationError, match=field):
            SylkConfig(**{"url": "ws://localhost", field: value})
    with pytest.raises(ConfigurationError, match="SylkConfig"):
        SylkService(ReconnectPolicy())  # type: ignore[arg-type]
