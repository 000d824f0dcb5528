"""Which library opens a WebSocket, and what picows leaves to us."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest

from rxsdk.core.transport import Handshake, Transport, WebSocketLibrary, has_picows, websocket_connect
from rxsdk.errors import ConnectFailed, ConnectionLost
from tests.core.fakes import until
from tests.core.wire import (
    BINARY,
    CONT,
    TEXT,
    Ear,
    Library,
    accept,
    frame,
    goodbye,
    opener,
    read_frame,
    read_request,
    run,
    tcp_server,
    websocket_server,
)

_LOOPS: list[Any] = [asyncio.SelectorEventLoop]
if find_spec("uvloop") is not None:
    import uvloop

    _LOOPS.append(uvloop.Loop)

if has_picows():
    from rxsdk.core.with_picows import _PicowsTransport

pytestmark = pytest.mark.skipif(not has_picows(), reason="picows is not installed: the extra `fast`")


def handshake(url: str, **settings: Any) -> Handshake:
    return Handshake(
        **{
            "url": url,
            "is_text": True,
            "subprotocols": (),
            "timeout_s": 5.0,
            "max_message_bytes": 1000,
            "ssl_context": None,
            "proxy": False,
            "extra_headers": None,
            "origin": None,
            "user_agent": None,
            **settings,
        }
    )


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await goodbye(reader, writer)


def opened_by(library: WebSocketLibrary, credentials: str = "", **settings: Any) -> str:
    """The module of the transport that ``library`` comes to."""
    found: list[str] = []

    async def scene() -> None:
        async with websocket_server(_silent) as port:
            url = f"ws://{credentials}127.0.0.1:{port}/ws"
            transport = await websocket_connect(handshake(url, **settings), library)()
            found.append(type(transport).__module__.rpartition(".")[2])
            await transport.close()

    run(scene())
    return found[0]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "socks_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_auto_takes_picows_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened_by("auto") == "with_picows"
    assert opened_by("auto", proxy=True) == "with_picows"
    assert opened_by("picows") == "with_picows"
    assert opened_by("websockets") == "with_websockets"
    assert opened_by("auto", credentials="user:pass@") == "with_websockets"
    monkeypatch.setattr("rxsdk.core.transport.find_spec", lambda name: None)
    assert opened_by("auto") == "with_websockets"


def test_a_proxy_of_the_environment_is_for_websockets(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await read_request(reader))[""])
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.write(accept(await read_request(reader)))
        await goodbye(reader, writer)

    async def scene() -> None:
        async with tcp_server(serve) as port:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
            transport = await websocket_connect(handshake("ws://limp.example/ws", proxy=True))()
            await transport.close()

    run(scene())
    assert requests == ["CONNECT limp.example:80 HTTP/1.1"]


@pytest.mark.parametrize("settings", [{"proxy": "http://127.0.0.1:1"}, {"url": "ws://u:p@127.0.0.1/ws"}])
def test_picows_alone_says_what_it_cannot_do(settings: dict[str, Any]) -> None:
    async def scene() -> None:
        with pytest.raises(ConnectFailed, match="picows takes no proxy and no credentials of the URL") as caught:
            await websocket_connect(handshake(**({"url": "ws://127.0.0.1/ws"} | settings)), "picows")()
        assert caught.value.fatal

    run(scene())


# -- what picows leaves to us


@pytest.fixture
def _by_picows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Library, "name", "picows")


def lost_to(data: bytes, **settings: Any) -> ConnectionLost:
    """How a connection is lost to a server that sends ``data``."""
    ear = Ear()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await goodbye(reader, writer)

    async def scene() -> None:
        async with websocket_server(play) as port:
            transport = await opener(f"ws://127.0.0.1:{port}/ws", **settings)()
            transport.start(ear)
            await ear.until(lambda: ear.lost)
            await transport.close()

    run(scene())
    assert isinstance(ear.lost, ConnectionLost)
    return ear.lost


@pytest.mark.usefixtures("_by_picows")
def test_fragments_and_reserved_bits_are_looked_at() -> None:
    assert "expected a continuation frame" in str(lost_to(frame(TEXT, b"a", fin=False) + frame(TEXT, b"b")))
    assert "expected a continuation frame" in str(lost_to(frame(TEXT, b"a", fin=False) + frame(BINARY, b"b")))
    assert "unexpected continuation frame" in str(lost_to(frame(CONT, b"a")))
    assert "reserved bits" in str(lost_to(b"\xd1\x00"))
    assert "opcode" in str(lost_to(b"\x83\x00"))


@pytest.mark.usefixtures("_by_picows")
@pytest.mark.parametrize("header", ["Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: other"])
def test_an_answer_to_what_was_not_asked_is_no_handshake(header: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(await read_request(reader), header))
        await reader.read()

    async def scene() -> None:
        async with tcp_server(serve) as port:
            with pytest.raises(ConnectFailed, match="no WebSocket handshake"):
                await opener(f"ws://127.0.0.1:{port}/ws", subprotocols=["mine"])()

    run(scene())


@pytest.mark.usefixtures("_by_picows")
def test_messages_of_every_size_written_together_arrive_whole() -> None:
    sizes = (0, 1, 125, 126, 65_535, 65_536, 100_000)
    heard: list[tuple[int, bytes]] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while len(heard) < len(sizes) + 1:
            heard.append(await read_big_frame(reader))
        await goodbye(reader, writer)

    async def scene() -> None:
        async with websocket_server(play) as port:
            transport = await opener(f"ws://127.0.0.1:{port}/ws")()
            transport.start(Ear())
            transport.write([])
            transport.write([b"alone"])
            transport.write([bytes([size % 251]) * size for size in sizes])
            await until(lambda: len(heard) == len(sizes) + 1)
            await transport.close()

    run(scene())
    assert heard == [(TEXT, b"alone"), *((TEXT, bytes([size % 251]) * size) for size in sizes)]


async def read_big_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """As `read_frame`, of any size."""
    first, size = await reader.readexactly(2)
    size &= 0x7F
    if size >= 126:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    mask = int.from_bytes(await reader.readexactly(4) * (size // 4 + 1), "big")
    masked = (await reader.readexactly(size)) + b"\0" * (4 - size % 4)
    return first & 0x0F, (int.from_bytes(masked, "big") ^ mask).to_bytes(len(masked), "big")[:size]


@pytest.mark.usefixtures("_by_picows")
def test_given_up_impolitely_it_says_no_goodbye() -> None:
    said: list[bytes] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.append(await reader.read())

    async def scene() -> None:
        async with websocket_server(play) as port:
            transport = await opener(f"ws://127.0.0.1:{port}/ws")()
            await transport.close(politely=False)
            assert not transport.writable

    run(scene())
    assert said == [b""]


@pytest.mark.usefixtures("_by_picows")
def test_a_mistake_of_the_receiver_ends_the_connection_and_is_told() -> None:
    class Clumsy(Ear):
        def frames_received(self, frames: Any) -> None:
            raise LookupError("clumsy")

    ear = Clumsy()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_frame(reader)
        writer.write(frame(TEXT, b"1"))
        await goodbye(reader, writer)

    async def scene() -> None:
        async with websocket_server(play) as port:
            transport = await opener(f"ws://127.0.0.1:{port}/ws")()
            transport.start(ear)
            transport.write([b"go"])
            await ear.until(lambda: ear.lost)
            assert str(ear.lost) == "connection lost: LookupError: clumsy"
            await transport.close()

    run(scene())


@pytest.mark.usefixtures("_by_picows")
def test_the_first_address_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a name with several addresses, as of `localhost`, the server may listen at the second alone."""

    async def scene() -> None:
        async with websocket_server(_silent) as port:
            loop = asyncio.get_running_loop()
            with socket.create_server(("127.0.0.1", 0)) as closed:
                nobody = closed.getsockname()

            async def two_addresses(*_: Any, **__: Any) -> Any:
                kind = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
                return [(*kind, nobody), (*kind, ("127.0.0.1", port))]

            monkeypatch.setattr(loop, "getaddrinfo", two_addresses)
            transport: Transport = await opener(f"ws://limp.example:{port}/ws")()
            await transport.close()

            async def no_address(*_: Any, **__: Any) -> Any:
                return []

            monkeypatch.setattr(loop, "getaddrinfo", no_address)
            with pytest.raises(ConnectFailed, match=r"limp\.example has no address"):
                await opener(f"ws://limp.example:{port}/ws")()

    run(scene())


@pytest.mark.usefixtures("_by_picows")
def test_cancelled_before_it_is_connected_it_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        begun = asyncio.Event()

        async def never(sock: socket.socket, address: Any) -> None:
            begun.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(loop, "sock_connect", never)
        opening = asyncio.ensure_future(opener("ws://127.0.0.1:9/ws")())
        await begun.wait()
        opening.cancel()
        await asyncio.wait([opening])
        assert opening.cancelled()

    run(scene())


@pytest.mark.usefixtures("_by_picows")
def test_a_socket_that_picows_does_not_take_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    sockets: list[socket.socket] = []

    async def reset(*_: Any, socket_factory: Any, **__: Any) -> None:
        sockets.append(await socket_factory(SimpleNamespace(host="127.0.0.1", port=ports[0])))
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    async def scene() -> None:
        async with websocket_server(_silent) as port:
            ports.append(port)
            monkeypatch.setattr("picows.ws_connect", reset)
            with pytest.raises(ConnectFailed, match="reset"):
                await opener(f"ws://127.0.0.1:{port}/ws")()
            assert sockets[0].fileno() == -1

    ports: list[int] = []
    run(scene())


@pytest.mark.usefixtures("_by_picows")
@pytest.mark.parametrize("kind", _LOOPS)
def test_a_connection_that_is_reset_before_the_handshake_is_closed_once(kind: type[Any]) -> None:
    sockets: list[socket.socket] = []

    class ResettingLoop(kind):  # type: ignore[misc]
        async def create_connection(self, *arguments: Any, sock: socket.socket, **settings: Any) -> Any:
            sockets.append(sock)
            peer, _ = server.accept()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()  # with a RST
            return await super().create_connection(*arguments, sock=sock, **settings)

    async def scene() -> None:
        with pytest.raises(ConnectFailed):
            await opener(f"ws://127.0.0.1:{server.getsockname()[1]}/ws")()
        assert sockets[0].fileno() == -1

    with socket.create_server(("127.0.0.1", 0)) as server, asyncio.Runner(loop_factory=ResettingLoop) as runner:
        runner.run(scene())


@pytest.mark.usefixtures("_by_picows")
@pytest.mark.parametrize("kind", _LOOPS)
def test_an_attempt_cancelled_in_the_moment_it_succeeds_leaves_nothing_behind(
    kind: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[asyncio.Future[Transport]] = []
    connected = _PicowsTransport.on_ws_connected

    def cancel(self: _PicowsTransport, transport: Any) -> None:
        connected(self, transport)
        attempts[0].cancel()

    async def scene() -> None:
        async with websocket_server(_silent) as port:
            attempts.append(asyncio.ensure_future(opener(f"ws://127.0.0.1:{port}/ws")()))
            await asyncio.wait(attempts)
            assert attempts[0].cancelled()
            assert not any("_until_disconnected" in repr(task) for task in asyncio.all_tasks())

    monkeypatch.setattr(_PicowsTransport, "on_ws_connected", cancel)
    with asyncio.Runner(loop_factory=kind) as runner:
        runner.run(scene())
