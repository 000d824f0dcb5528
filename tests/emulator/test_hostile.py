"""Malformed and huge frames, slow clients, a thousand at once: the emulator lives on."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import resource
import socket
import time
from typing import Any

import pytest
from aiohttp import ClientConnectionResetError, web
from websockets.exceptions import ConnectionClosed

from rxsdk.emulator import Emulator
from rxsdk.emulator.socket import Socket
from tests.emulator.wire import ANON_TOKEN, NAME, Wire, b64, jwt

SERVER_ERROR = {"status": 500, "msg": "Unexpected error has occured.", "args": {"code": "CORE_SERVER_ERROR"}}


def frame(**payload: Any) -> dict[str, Any]:
    return {"token": jwt({"sid": "x", **payload}, ANON_TOKEN), "call_id": payload.get("call_id")}


@pytest.mark.parametrize(
    "sent",
    ["", "nul", "17", '"text"', "null", "[]", "[" * 100_000, '{"a":', frame(endpoint=5), frame(endpoint=None)]
    + [frame(endpoint="staff/read", doc=doc) for doc in (None, 1, "x", [])]
    + [frame(endpoint="watch/delete", query=query) for query in ([], {}, [{}], None, [1])],
    ids=repr,
)
def test_what_the_server_cannot_take_apart_is_a_500_without_call_id(sent: Any) -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await wire.send_frame(sent)
            assert await wire.receive() == SERVER_ERROR
            assert await wire.hears_nothing()

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def _signed(payload: bytes, header: bytes = b'{"alg":"HS256"}') -> str:
    text = f"{b64(header)}.{b64(payload)}"
    return f"{text}.{b64(hmac.new(ANON_TOKEN.encode(), text.encode(), hashlib.sha256).digest())}"


@pytest.mark.parametrize(
    "token",
    [
        None,
        17,
        "",
        "a.b",
        "a.b.c",
        "é.b.c",
        {"a": 1},
        _signed(b"[]"),
        _signed(b"no json"),
        _signed(b"{}", b'{"alg":"HS512"}'),
        _signed(b"{}", b'{"alg":"none"}'),
        _signed(b"{}", b"[]"),
        _signed(b'{"exp": "soon"}'),
        _signed(b'{"exp": null}'),
        _signed(b'{"exp": Infinity}'),
        _signed(b'{"nbf": 99999999999}'),
        _signed(b'{"iat": "x"}'),
        _signed(b'{"aud": "somebody"}'),
        _signed(b"[" * 50_000),
        jwt({"endpoint": "heart/beat"}, ANON_TOKEN)[:-2] + "xx",
    ],
    ids=lambda token: repr(token)[:60],
)
def test_a_token_that_is_none_is_a_403_with_the_outer_call_id(token: Any) -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await wire.send_frame({"token": token, "call_id": "outer"})
            answer = await wire.receive()
            assert (answer["status"], answer["args"]["call_id"]) == (403, "outer")
            assert await wire.hears_nothing()

    with Emulator() as emulator:
        asyncio.run(run(emulator))


@pytest.mark.parametrize(
    "query",
    [5, True, {"a": 1}, [{"": 1}], [{"a": {"": 1}}], [{"__or": {"a": 1}}], [{"__or": 5}]]
    + [[{"a": {oper: value}}] for oper, value in {"$gt": [], "$bet": [1, None], "$all": [], "$regex": 5}.items()]
    + [[[{"a": {"$in": 1}}]], [{"__or_x": [{"a": {"$nosuch": 1}}]}]],
    ids=repr,
)
def test_queries_the_server_never_answers(query: Any) -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await wire.send("staff/read", query=query)
            await wire.send("staff/watch", query=query)
            assert await wire.hears_nothing()
            assert emulator.watches == 0

    with Emulator() as emulator:
        asyncio.run(run(emulator))


@pytest.mark.parametrize("query", ["text", "", [5, None, "x", True], [[]], [{}], [{"__or": []}], [[[]]]], ids=repr)
def test_queries_with_nothing_in_them(query: Any) -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            assert (await wire.call("staff/read", query=query))["msg"] == "Found 0 docs."

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_a_frame_over_4_mib_closes_its_connection_only() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as big, await Wire.open(emulator.url) as other:
            with contextlib.suppress(ConnectionClosed):  # perhaps while it is still being sent
                await big.send_frame("x" * (4 * 1024 * 1024 + 1))
            assert await big.closed() == (1009, "")
            assert (await other.call("heart/beat"))["status"] == 200
            await other.send_frame("[" + " " * (4 * 1024 * 1024 - 100) + "]")
            assert await other.receive() == SERVER_ERROR

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_bytes_that_are_no_websocket() -> None:
    async def run(emulator: Emulator) -> None:
        for rubbish in (b"\x00" * 1000, b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/9\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", emulator.port)
            writer.write(rubbish)
            assert (await reader.read(12)).startswith(b"HTTP/1.")
            writer.close()
            await writer.wait_closed()
        async with await Wire.open(emulator.url) as wire:
            wire.socket.transport.write(b"\xff\xff\xff\xff")
            assert (await wire.closed())[0] == 1002
        async with await Wire.open(emulator.url) as wire:
            assert (await wire.call("heart/beat"))["status"] == 200

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_a_client_that_does_not_read_hinders_nobody() -> None:
    async def run(emulator: Emulator) -> None:
        async with await Wire.open(emulator.url) as wire:
            await wire.auth()
            for _ in range(50):
                await wire.call("album/create", {"name": {"ar_AE": "x" * 2_000}})
            slow = await Wire.open(emulator.url, max_queue=1)
            slow.socket.transport.pause_reading()
            request = json.dumps(frame(endpoint="album/read", call_id="slow", exp=int(time.time()) + 600))
            for _ in range(300):
                await slow.send_frame(request)
            before = time.monotonic()
            for _ in range(20):
                assert (await wire.call("heart/beat"))["status"] == 200
            assert time.monotonic() - before < 10
            asked = sum(one.payload.get("call_id") == "slow" for one in emulator.received)
            assert 0 < asked < 300, "the emulator should stop reading from who does not read"
            slow.socket.transport.resume_reading()
            for _ in range(300):
                assert (await slow.receive())["args"]["total"] == 50
            await slow.socket.close()

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_a_client_drowning_in_events_is_dropped() -> None:
    async def run(emulator: Emulator) -> None:
        slow = await Wire.open(emulator.url, max_queue=1)
        assert (await slow.call("album/watch"))["status"] == 200
        slow.socket.transport.pause_reading()
        async with await Wire.open(emulator.url) as wire:
            await wire.auth()
            created = await wire.call("album/create", {"name": {"ar_AE": "x" * 1_000_000}})
            query = [{"_id": created["args"]["docs"][0]["_id"]}]
            for rank in range(1, 200):
                assert (await wire.call("album/update", {"rank": rank}, query))["status"] == 200
                if emulator.connections == 1:
                    break
            assert emulator.connections == 1
            assert (await wire.call("heart/beat"))["status"] == 200
        slow.socket.transport.abort()
        await slow.closed()

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_clients_that_vanish_in_the_middle_of_everything() -> None:
    async def run(emulator: Emulator) -> None:
        for _ in range(50):
            wire = await Wire.open(emulator.url)
            await wire.send("album/watch")
            await wire.send("session/auth", {"email": "x@y.z", "hash": "x"})
            for _ in range(20):
                await wire.send("album/read")
            wire.socket.transport.abort()
        await asyncio.to_thread(emulator.wait_until, lambda e: e.connections == 0)
        assert emulator.watches == 0

    with Emulator() as emulator:
        asyncio.run(run(emulator))


def test_1_000_clients_at_once() -> None:
    async def one(url: str, number: int, gate: asyncio.Event) -> int:
        async with await Wire.open(url, open_timeout=50) as wire:
            await wire.auth()
            assert (await wire.call("album/watch"))["status"] == 200
            await gate.wait()
            for _ in range(3):
                assert (await wire.call("heart/beat"))["status"] == 200
            if number == 0:
                await wire.send("album/create", {"name": NAME})
            while "oper" not in (answer := await wire.receive())["args"]:
                pass
            return int(answer["args"]["count"])

    async def run(emulator: Emulator) -> None:
        gate = asyncio.Event()
        tasks = [asyncio.create_task(one(emulator.url, number, gate)) for number in range(1000)]
        await asyncio.to_thread(emulator.wait_until, lambda e: e.watches == 1000, 50)
        assert emulator.connections == 1000
        for task in tasks[1:]:
            assert not task.done()
        gate.set()
        assert sum(await asyncio.gather(*tasks)) == 1000

    _, hard = _files_limit()
    if hard < 2500:
        pytest.skip("needs 2 500 open files")
    with Emulator() as emulator:
        asyncio.run(run(emulator))
        assert emulator.executed["session/auth"] == 1000


def _files_limit() -> tuple[int, int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2500 <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2500, hard))
    return soft, hard


def test_an_address_in_use_is_said_at_start() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            Emulator(port=taken.getsockname()[1]).start()


def test_a_client_that_leaves_within_its_handshake_is_no_error_of_the_server() -> None:
    class Gone(web.WebSocketResponse):
        async def prepare(self, request: Any) -> Any:
            raise ClientConnectionResetError("Cannot write to closing transport")

    with pytest.raises(web.HTTPBadRequest):  # which aiohttp, unlike other errors, does not print
        asyncio.run(Socket.accept(Gone(), None))  # type: ignore[arg-type]
