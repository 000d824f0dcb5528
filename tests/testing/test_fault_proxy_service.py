"""What each fault of `FaultProxy` means for an `ApiService` behind it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from rxsdk import ApiService, CallOutcomeUnknown, ConnectionLost, HeartbeatTimeout, ReconnectPolicy
from rxsdk.emulator import Emulator
from rxsdk.testing import FaultProxy
from tests.conftest import wait_until

THANKS = {"status": 200, "msg": "Thank you."}


class Line:
    """A service connected through a proxy, and why its connections ended."""

    def __init__(self, api: ApiService, emulator: Emulator, proxy: FaultProxy) -> None:
        self.api, self.emulator, self.proxy = api, emulator, proxy
        self.reasons: list[Exception] = []
        emulator.reply_to("shop/order", THANKS)
        emulator.reply_to("shop/read", THANKS)
        api.state_stream.subscribe(lambda state: self.reasons.append(state.reason) if state.reason else None)

    def ready_again(self) -> bool:
        return bool(self.reasons) and self.api.inited


@contextlib.contextmanager
def a_line(emulator: Emulator, **settings: Any) -> Iterator[Line]:
    config = {"reconnect": ReconnectPolicy(base_s=0.01, cap_s=0.05), **settings}
    with FaultProxy(emulator.url) as proxy, ApiService(emulator.config(api=proxy.url, **config)) as api:
        yield Line(api, emulator, proxy)


def test_a_bad_line_without_a_break_is_only_slow(emulator: Emulator) -> None:
    with FaultProxy(emulator.url, seed=3) as proxy:
        proxy.latency(0.002, jitter_s=0.004)
        proxy.tiny_segments(16)
        with ApiService(emulator.config(api=proxy.url)) as api:
            emulator.reply_to("shop/order", THANKS)
            calls = [api.call("shop/order", doc={"n": n}) for n in range(5)]
            assert [call.result().msg for call in calls] == ["Thank you."] * 5
            received = [one.payload["doc"] for one in emulator.received if one.payload["endpoint"] == "shop/order"]
            assert received == [{"n": n} for n in range(5)]


def test_a_cut_in_mid_frame_leaves_the_outcome_unknown_and_a_read_is_repeated(emulator: Emulator) -> None:
    with a_line(emulator) as line:
        line.proxy.cut_after(10, "down", times=1)
        order, read = line.api.call("shop/order"), line.api.call("shop/read")
        with pytest.raises(CallOutcomeUnknown):
            order.result()
        assert read.result().msg == "Thank you."
        assert isinstance(line.reasons[0], ConnectionLost)


def test_a_call_cut_on_its_way_to_the_server_never_runs(emulator: Emulator) -> None:
    with a_line(emulator) as line:
        line.proxy.cut_after(50, "up", times=1)
        with pytest.raises(CallOutcomeUnknown):
            line.api.call("shop/order").result()
        wait_until(line.ready_again)
        assert "shop/order" not in [one.payload["endpoint"] for one in line.emulator.received]


def test_a_reset_leaves_the_outcome_unknown(emulator: Emulator) -> None:
    with a_line(emulator) as line:
        line.emulator.silence("shop/order")
        order = line.api.call("shop/order")
        line.emulator.wait_until(lambda e: [one for one in e.received if one.payload["endpoint"] == "shop/order"])
        line.proxy.reset()
        with pytest.raises(CallOutcomeUnknown):
            order.result()
        wait_until(line.ready_again)
        assert line.proxy.accepted == 2


@pytest.mark.parametrize("fault", [FaultProxy.black_hole, FaultProxy.half_open])
def test_a_silent_line_is_noticed_by_the_heartbeat(emulator: Emulator, fault: Any) -> None:
    with a_line(emulator, heartbeat_interval_s=0.05, heartbeat_timeout_s=0.5) as line:
        fault(line.proxy)
        wait_until(lambda: line.reasons)
        assert isinstance(line.reasons[0], HeartbeatTimeout)
        order = line.api.call("shop/order")
        line.proxy.heal()
        assert order.result().msg == "Thank you."
        wait_until(lambda: line.emulator.connections == line.proxy.connections == 1)


def test_a_slow_close_is_noticed_when_it_arrives(emulator: Emulator) -> None:
    with a_line(emulator) as line:
        line.proxy.slow_close(60)
        line.emulator.drop_connections()
        wait_until(lambda: line.emulator.connections == 0)
        assert (line.api.inited, line.reasons) == (True, [])
        line.proxy.slow_close(0)
        wait_until(line.ready_again)


def test_refused_connections_are_tried_until_it_is_healed(emulator: Emulator) -> None:
    with a_line(emulator) as line:
        line.proxy.refuse()
        line.proxy.reset()
        wait_until(lambda: line.proxy.accepted >= 3)
        order = line.api.call("shop/order")
        line.proxy.heal()
        assert order.result().msg == "Thank you."


def test_a_thousand_calls_through_a_fault_every_few_all_end(emulator: Emulator) -> None:
    with a_line(emulator) as line:
        calls = []
        faults = [line.proxy.reset, lambda: line.proxy.cut_after(40, times=1), line.proxy.black_hole, line.proxy.heal]
        for number in range(1000):
            calls.append(line.api.call("shop/read" if number % 2 else "shop/order"))
            if number % 100 == 50:
                faults[number // 100 % len(faults)]()
        line.proxy.heal()
        outcomes = []
        for call in calls:
            try:
                outcomes.append(call.result(timeout_s=20).msg)
            except CallOutcomeUnknown:
                outcomes.append("unknown")
        assert set(outcomes[::2]) <= {"Thank you.", "unknown"}
        assert outcomes[1::2] == ["Thank you."] * 500
        wait_until(lambda: line.proxy.connections == 1)
