"""Servers of a few lines on loopback, good ones and bad ones, and the ear that notes what a transport says."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any, ClassVar, Literal

import pytest

from rxsdk.core.transport import Handshake, Transport, websocket_connect
from rxsdk.emulator.listener import stop_listening
from rxsdk.errors import ConnectionLost, TransportError
from tests.core.fakes import until

TEXT, BINARY, CONT, CLOSE, PING = 1, 2, 0, 8, 9

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
LOOPS: list[Any] = [pytest.param(asyncio.new_event_loop, id="asyncio")]
if find_spec("uvloop") is not None:
    import uvloop

    LOOPS.append(pytest.param(uvloop.new_event_loop, id="uvloop"))

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Ear:
    """A receiver that notes what it hears, and that it hears nothing after the end."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.reads: list[int] = []  # how many of them came together
        self.writable_again = 0
        self.lost: TransportError | None = None
        self.changed = asyncio.Event()

    def frames_received(self, frames: Sequence[bytes]) -> None:
        assert self.lost is None, "a frame after the end"
        assert frames
        self.reads.append(len(frames))
        self.frames.extend(frames)
        self.changed.set()

    def transport_writable(self) -> None:
        self.writable_again += 1
        self.changed.set()

    def transport_lost(self, error: TransportError) -> None:
        assert self.lost is None, "lost twice"
        self.lost = error
        self.changed.set()

    async def until(self, condition: Callable[[], object], timeout_s: float = 5.0) -> None:
        """Wait until ``condition()`` holds, looked at whenever something was heard."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


class Library:
    """What opens the WebSockets of a test; see the fixture `library`."""

    name: ClassVar[Literal["websockets", "picows"]] = "websockets"


def opener(url: str, **settings: Any) -> Callable[[], Awaitable[Transport]]:
    """`websocket_connect` with defaults that suit a test."""
    defaults: dict[str, Any] = {
        "is_text": True,
        "subprotocols": (),
        "timeout_s": 5.0,
        "max_message_bytes": 1 << 20,
        "ssl_context": None,
        "proxy": False,
        "extra_headers": None,
        "origin": None,
        "user_agent": None,
    }
    library = Library.name if not settings.get("proxy") else "auto"  # picows takes none, so another is taken
    return websocket_connect(Handshake(url=url, **(defaults | settings)), library)


@asynccontextmanager
async def tcp_server(serve: Serve, **settings: Any) -> AsyncIterator[int]:
    """A TCP server; its port. ``serve`` may do as it likes, the connection is closed after it."""
    done: list[asyncio.Task[Any]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        done.append(task)
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, **settings)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        await stop_listening(server)
        for task in done:
            task.cancel()
        await asyncio.gather(*done, return_exceptions=True)
        await server.wait_closed()


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A WebSocket frame as a server sends it."""
    size = len(payload)
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        return head + bytes([size]) + payload
    return head + (struct.pack("!BH", 126, size) if size < 65536 else struct.pack("!BQ", 127, size)) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())


async def read_request(reader: asyncio.StreamReader) -> dict[str, str]:
    """The headers of the opening handshake, names in lower case; the request line under ``""``."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    return {"": lines[0], **headers}


def accept(request: dict[str, str], *more: str) -> bytes:
    """The answer that opens a WebSocket."""
    key = request["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    token = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    return "\r\n".join([*head, f"Sec-WebSocket-Accept: {token}", *more, "", ""]).encode()


def websocket_server(play: Serve) -> Any:
    """A server that opens each WebSocket and then does ``play``."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(await read_request(reader)))
        await play(reader, writer)

    return tcp_server(serve)


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Opcode and payload of the client's next frame."""
    first, size = await reader.readexactly(2)
    assert size & 0x80, "a client masks"
    size &= 0x7F
    if size == 126:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
    elif size == 127:
        (size,) = struct.unpack("!Q", await reader.readexactly(8))
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(size)
    return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


async def goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hear the client out, answer its goodbye, and wait until it is gone."""
    while (await read_frame(reader))[0] != CLOSE:
        pass
    writer.write(close_frame(1000))
    await reader.read()


def run(scene: Awaitable[None], loop: LoopFactory = asyncio.new_event_loop) -> None:
    """Run ``scene``; no task of ours is left at its end, and nothing is left open."""

    async def main() -> None:
        await scene
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
    gc.collect()  # an open socket would warn, and a warning is an error


Scene = Callable[[Transport, Ear], Awaitable[None]]


def meet(
    play: Serve, scene: Scene, *, ear: Ear | None = None, loop: LoopFactory = asyncio.new_event_loop, **settings: Any
) -> Ear:
    """Open a WebSocket to a server that does ``play``, and let ``scene`` use it; returns the ``ear`` that it had."""
    ear = ear or Ear()

    async def both() -> None:
        async with websocket_server(play) as port:
            transport = await opener(f"ws://127.0.0.1:{port}/ws", **settings)()
            transport.start(ear)
            await scene(transport, ear)
            await transport.close()

    run(both(), loop)
    return ear


def sending(*data: bytes) -> Serve:
    """Send ``data``, one TCP segment each as far as that can be had, and then wait for the client to go."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in data:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        await goodbye(reader, writer)

    return play


async def until_lost(transport: Transport, ear: Ear) -> None:
    await ear.until(lambda: ear.lost)
    assert not transport.writable
    transport.write([b"into the void"])  # harmless


def lost_with(*data: bytes, **settings: Any) -> ConnectionLost:
    """How a connection is lost to a server that sends ``data``."""
    error = meet(sending(*data), until_lost, **settings).lost
    assert isinstance(error, ConnectionLost)
    return error
