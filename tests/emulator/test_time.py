"""Quotas, idle connections, expiry and delays on a clock that stands still until told."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed

from rxsdk.emulator import Emulator, ManualClock
from rxsdk.emulator.quotas import IpQuotas
from tests.emulator.wire import ANON_TOKEN, Wire, chunk, reauth_hash

SESSION_HIT = {"code": "CORE_REQ_SESSION_QUOTA_HIT"}


async def advance(clock: ManualClock, seconds: float) -> None:
    await asyncio.to_thread(clock.advance, seconds)


async def spend(wire: Wire, messages: int) -> list[int]:
    return [(await wire.call("heart/beat"))["status"] for _ in range(messages)]


def test_session_quota_stock_40_anonymous() -> None:
    clock = ManualClock()

    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            assert set(await spend(wire, 38)) == {200}
            hit = {"status": 429, "msg": "You have hit calls quota.", "args": {"call_id": "c51-40", **SESSION_HIT}}
            assert await wire.call("heart/beat", call_id="c51-40") == hit
            wire.key = "some other key"
            assert (await wire.call("heart/beat"))["args"]["code"] == "CORE_REQ_INVALID_TOKEN"
            wire.key = ANON_TOKEN
            for refused in (
                await wire.call("file/upload", chunk("120")),
                await wire.call("session/auth", {"email": "x", "hash": "y"}),
                await wire.call(..., call_id="x"),  # type: ignore[arg-type]
            ):
                assert (refused["status"], refused["args"]["code"]) == (429, "CORE_REQ_SESSION_QUOTA_HIT")
            await advance(clock, 59)
            assert await spend(wire, 1) == [429]
            await advance(clock, 1)
            assert await spend(wire, 40) == [200] * 39 + [429]

    with Emulator(quotas="stock", clock=clock) as emulator:
        asyncio.run(run(emulator))
        assert emulator.executed["file/upload"] == 0


def test_auth_raises_the_quota_when_the_window_resets() -> None:
    clock = ManualClock()

    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await wire.auth()
            assert await spend(wire, 38) == [200] * 37 + [429]
            await advance(clock, 60)
            assert await spend(wire, 100) == [200] * 99 + [429]

    with Emulator(quotas="stock", clock=clock) as emulator:
        asyncio.run(run(emulator))


def test_quota_hit_in_the_middle_of_an_upload() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await spend(wire, 37)
            parts = [chunk(part, chunk=number, total=3) for number, part in enumerate((b"ab", b"cd", b"ef"), 1)]
            answers = [await wire.call("file/upload", part) for part in parts]
            assert [answer["status"] for answer in answers] == [200, 429, 429]

    with Emulator(quotas="stock", clock=ManualClock()) as emulator:
        asyncio.run(run(emulator))


def test_ip_quota_stock_500_over_all_connections() -> None:
    clock = ManualClock()
    over = {"status": 429, "msg": "You have hit calls quota from this IP."}

    async def run(emulator: Emulator) -> None:
        for _ in range(12):
            async with await Wire.open(emulator.url) as wire:
                assert set(await spend(wire, 38)) == {200}
        async with await Wire.open(emulator.url) as wire:
            assert await spend(wire, 32) == [200] * 31 + [429]
        async with await Wire.open(emulator.url, verify=False) as late:
            assert (await late.receive())["msg"] == "Connection ready"
            refused = await late.call("conn/verify", call_id="c65-1")
            assert refused == {**over, "args": {"call_id": "c65-1", "code": "CORE_REQ_IP_QUOTA_HIT"}}
            url = f"{emulator.http_url}/staff/retrieve_file/000000000000000000000000/photo/a"
            async with aiohttp.ClientSession() as http, http.get(url) as answer:
                assert (answer.status, await answer.json()) == (
                    429,
                    {**over, "args": {"code": "CORE_REQ_IP_QUOTA_HIT"}},
                )
            await advance(clock, 60)
            assert (await late.call("conn/verify"))["args"]["code"] == "CORE_CONN_OK"

    with Emulator(quotas="stock", clock=clock) as emulator:
        asyncio.run(run(emulator))


def test_idle_connections_are_closed_between_120_and_180_seconds() -> None:
    clock = ManualClock()

    async def run(emulator: Emulator) -> None:
        idle, pinging, beating = [await Wire.open(emulator.url) for _ in range(3)]
        for _ in range(3):
            await advance(clock, 50)
            await (await pinging.socket.ping())
            assert (await beating.call("heart/beat"))["status"] == 200
        assert emulator.connections == 3
        await advance(clock, 30)
        assert await idle.closed() == (1000, "")
        assert await pinging.closed() == (1000, "")
        assert (await beating.call("heart/beat"))["status"] == 200
        await beating.socket.close()

    with Emulator(clock=clock) as emulator:
        asyncio.run(run(emulator))


def test_conn_timeout_s_is_the_time_without_a_message() -> None:
    clock = ManualClock()

    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await advance(clock, 60)
            assert await wire.closed() == (1000, "")

    with Emulator(clock=clock, conn_timeout_s=5) as emulator:
        asyncio.run(run(emulator))


async def _refused_reauth(url: str, session: dict[str, Any]) -> dict[str, Any]:
    async with await Wire.open(url) as wire:
        query = [{"_id": session["_id"], "hash": reauth_hash(session["token"])}]
        return (await wire.call("session/reauth", query=query))["args"]


def test_an_expired_session_is_refused_again_and_again_but_its_connection_lives_on() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await wire.auth()
            await asyncio.to_thread(emulator.expire_sessions)
            for _ in range(2):
                args = await _refused_reauth(emulator.url, wire.session)
                assert args["code"] == "CORE_SESSION_SESSION_EXPIRED"
            assert (await wire.call("staff/read"))["status"] == 200

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_a_session_can_be_made_to_expire_over_the_wire() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await wire.auth()
            query = [{"_id": wire.session["_id"]}]
            changed = await wire.call("session/update", {"expiry": "2020-01-01T00:00:00"}, query)
            assert changed["msg"] == "Updated 1 docs."
            args = await _refused_reauth(emulator.url, wire.session)
            assert args["code"] == "CORE_SESSION_SESSION_EXPIRED"

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_ip_windows_are_longer_over_http_and_forgotten_when_idle() -> None:
    ips = IpQuotas()
    assert [ips.spend("a", 0.0) for _ in range(501)] == [True] * 500 + [False]
    assert not ips.spend("a", 100.0, over_http=True)
    assert ips.spend("a", 260.0, over_http=True)
    assert [ips.spend("a", 261.0) for _ in range(500)] == [True] * 499 + [False]
    ips.forget_idle(300.0)
    assert not ips.spend("a", 300.0)
    ips.forget_idle(320.0)
    assert ips.spend("a", 320.0)


def test_reauth_prolongs_a_session_from_the_clock() -> None:
    clock = ManualClock()

    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await wire.auth()
            session = wire.session
        await advance(clock, 3600)
        query = [{"_id": session["_id"], "hash": reauth_hash(session["token"])}]
        expiries = []
        for _ in range(2):
            async with await Wire.open(emulator.url) as wire:
                again = (await wire.call("session/reauth", query=query))["args"]["session"]
                expiries.append(again["expiry"])
        assert expiries[0] == session["expiry"] < expiries[1]
        assert again["user"]["login_time"] > session["user"]["create_time"]

    with Emulator(clock=clock) as emulator:
        asyncio.run(run(emulator))


def test_a_token_expires_by_the_emulators_clock() -> None:
    clock = ManualClock()

    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            exp = int(time.time()) + 100
            assert (await wire.call("heart/beat", exp=exp))["status"] == 200
            await advance(clock, 110)
            assert (await wire.call("heart/beat", exp=exp))["status"] == 403

    with Emulator(clock=clock) as emulator:
        asyncio.run(run(emulator))


def test_a_delayed_call_holds_up_nothing_else() -> None:
    clock = ManualClock()

    async def run(emulator: Emulator) -> None:
        emulator.delay("staff/read", 5, times=1)
        async with await Wire.open(emulator.url) as wire, await Wire.open(emulator.url) as other:
            late = await wire.send("staff/read")
            assert (await wire.call("heart/beat"))["status"] == 200
            assert (await other.call("staff/read"))["status"] == 200
            await advance(clock, 4.9)
            assert await wire.hears_nothing()
            await advance(clock, 0.2)
            assert (await wire.receive())["args"]["call_id"] == late

    with Emulator(clock=clock) as emulator:
        asyncio.run(run(emulator))


def test_delays_run_out_in_real_time_too() -> None:
    async def run(emulator: Emulator) -> None:
        emulator.delay("heart/beat", 0.02)
        async with await Wire.open(emulator.url) as wire:
            before = time.monotonic()
            await wire.call("heart/beat")
            assert time.monotonic() - before >= 0.02

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_a_clock_with_the_two_times_only_will_do() -> None:
    class Fixed:
        def monotonic(self) -> float:
            return 1.0

        def wall(self) -> float:
            return 4_000_000_000.0

    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url, verify=False) as wire:
            await wire.receive()
            refused = await wire.call("conn/verify")
            assert refused["args"]["code"] == "CORE_REQ_INVALID_TOKEN"
            with pytest.raises(ConnectionClosed):
                await wire.receive()

    with Emulator(clock=Fixed()) as emulator:
        asyncio.run(run(emulator))


def test_a_clock_does_not_go_back_and_outlives_its_emulator() -> None:
    clock = ManualClock(wall=1000.0)
    with Emulator(clock=clock):
        pass
    clock.advance(61)
    assert (clock.monotonic(), clock.wall()) == (61.0, 1061.0)
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)
