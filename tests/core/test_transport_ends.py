"""Every way an open WebSocket can end, and closing it."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from rxsdk.core.transport import Transport
from rxsdk.errors import ConnectionLost
from tests.core.wire import (
    CLOSE,
    CONT,
    TEXT,
    Ear,
    close_frame,
    frame,
    lost_with,
    meet,
    opener,
    read_frame,
    run,
    sending,
    until_lost,
    websocket_server,
)

pytestmark = pytest.mark.usefixtures("library")

# -- how it ends


def test_the_servers_close_code_and_reason_are_told() -> None:
    error = lost_with(frame(TEXT, b"bye") + close_frame(1001, "going away"))
    assert error.code == 1001
    assert str(error) == "connection lost: the server closed it (1001 going away)"
    assert lost_with(close_frame(1000)).code == 1000
    assert str(lost_with(frame(CLOSE, b""))) == "connection lost: the server closed it (1005)"


def test_closed_by_the_server_it_is_lost_at_once_though_the_socket_stays_open() -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(close_frame(1012))
        assert (await read_frame(reader))[0] == CLOSE
        assert await reader.read() == b""  # the client hangs up by itself
        hung_up.set()

    async def scene(transport: Transport, ear: Ear) -> None:
        await ear.until(lambda: ear.lost, timeout_s=0.5)
        await asyncio.wait_for(hung_up.wait(), 0.5)

    hung_up = asyncio.Event()
    meet(play, scene)


def test_nothing_is_heard_after_the_end() -> None:
    ear = meet(sending(frame(TEXT, b"1") + close_frame(1000) + frame(TEXT, b"2")), until_lost)
    assert ear.frames == [b"1"]


def test_a_server_that_just_hangs_up() -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(TEXT, b"1"))
        writer.close()
        await writer.wait_closed()

    ear = meet(play, until_lost)
    assert ear.frames == [b"1"]
    assert str(ear.lost) == "connection lost: the server closed it without a word"


@pytest.mark.parametrize("library", ["websockets"], indirect=True)  # picows closes its end in the same callback
def test_a_server_that_hangs_up_half_takes_no_frame_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the end of the stream and the loss nothing may count as written."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_frame(reader)
        writer.write_eof()
        await reader.read()

    async def both() -> None:
        async with websocket_server(play) as port:
            transport: Any = await opener(f"ws://127.0.0.1:{port}/ws")()
            writable_after_eof: list[bool] = []
            told = type(transport).eof_received

            def eof_received(self: Any) -> None:
                told(self)
                writable_after_eof.append(self.writable)

            monkeypatch.setattr(type(transport), "eof_received", eof_received)
            ear = Ear()
            transport.start(ear)
            transport.write([b"go"])
            await ear.until(lambda: ear.lost)
            assert writable_after_eof == [False]
            await transport.close()

    run(both())


@pytest.mark.parametrize("library", ["websockets"], indirect=True)
def test_lost_before_anybody_could_take_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came and how it ended are told to whoever takes over then."""

    async def connect_late(*arguments: Any, **settings: Any) -> Any:
        opened = await connect(*arguments, **settings)
        await asyncio.shield(opened.connection_lost_waiter)
        return opened

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(TEXT, b"1") + close_frame(1001))
        writer.close()
        await writer.wait_closed()

    monkeypatch.setattr("rxsdk.core.with_websockets.connect", connect_late)
    ear = meet(play, until_lost)
    assert ear.frames == [b"1"]
    assert ear.lost is not None
    assert ear.lost.code == 1001


def test_a_reset() -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_frame(reader)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    async def scene(transport: Transport, ear: Ear) -> None:
        transport.write([b"now"])
        await until_lost(transport, ear)
        assert "reset" in str(ear.lost).lower()
        assert isinstance(ear.lost, ConnectionLost)
        assert isinstance(ear.lost.__cause__, ConnectionResetError)

    meet(play, scene)


def test_a_message_that_is_too_large() -> None:
    error = lost_with(frame(TEXT, b"x" * 101), max_message_bytes=100)
    assert "exceeds limit of 100 bytes" in str(error)
    assert error.code is None
    fragments = [frame(TEXT, b"x" * 60, fin=False), frame(CONT, b"x" * 60)]
    assert "exceeds limit" in str(lost_with(*fragments, max_message_bytes=100))


def test_a_frame_against_the_protocol() -> None:
    assert "reserved bits" in str(lost_with(b"\xf1\x00"))
    assert "continuation" in str(lost_with(frame(CONT, b"of what")))


# -- closing


def test_closing_says_goodbye_and_the_server_hears_it() -> None:
    codes: list[int | None] = []

    async def play(server: ServerConnection) -> None:
        await server.wait_closed()
        codes.append(server.close_code)

    async def both() -> None:
        async with serve(play, "127.0.0.1", 0) as server:
            transport = await opener(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")()
            ear = Ear()
            transport.start(ear)
            transport.write([b"last"])
            await transport.close()
            await transport.close()
            assert not transport.writable

    run(both())
    assert codes == [1000]


def test_what_the_server_still_says_while_we_close_does_not_cut_the_goodbye_short() -> None:
    heard: list[tuple[int, bytes]] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await read_frame(reader))
        heard.append(await read_frame(reader))
        writer.write(frame(TEXT, b"late"))
        await writer.drain()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)  # it still waits for our goodbye
        writer.write(close_frame(1000))
        assert await asyncio.wait_for(reader.read(), 0.5) == b""

    async def scene(transport: Transport, ear: Ear) -> None:
        transport.write([b"last"])

    meet(play, scene)
    assert [opcode for opcode, _ in heard] == [TEXT, CLOSE]


def test_closing_takes_a_second_at_most() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await forever.wait()

    async def scene(transport: Transport, ear: Ear) -> None:
        while transport.writable:
            transport.write([b"x" * 1_000_000])
            await asyncio.sleep(0)
        started = time.monotonic()
        await transport.close()
        assert 0.9 < time.monotonic() - started < 2.0

    forever = asyncio.Event()
    meet(deaf, scene)


def test_cancelled_while_closing_it_leaves_no_socket_open() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(6)
        await asyncio.Event().wait()

    async def both() -> None:
        async with websocket_server(deaf) as port:
            transport: Any = await opener(f"ws://127.0.0.1:{port}/ws")()
            transport.start(Ear())
            closing = asyncio.ensure_future(transport.close())
            await asyncio.sleep(0)
            closing.cancel()
            await asyncio.wait([closing])
            assert closing.cancelled()
            assert not transport.writable
            await transport.close()

    run(both())


def test_writing_after_the_end_is_harmless() -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await read_frame(reader))[0] == CLOSE
        writer.write(close_frame(1000))
        assert await reader.read() == b""

    async def scene(transport: Transport, ear: Ear) -> None:
        closing = asyncio.ensure_future(transport.close())
        await asyncio.sleep(0)
        assert not transport.writable
        transport.write([b"too late"])
        await closing
        transport.write([b"much too late"])

    meet(play, scene)
