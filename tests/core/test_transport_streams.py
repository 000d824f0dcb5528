"""What a server may send, good and bad, cut anywhere, is read as websockets' protocol alone reads it."""

from __future__ import annotations

import asyncio
import random
import struct
import time
from typing import Any, NamedTuple

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from rxsdk.core.transport import Handshake, Transport, has_picows
from rxsdk.core.with_websockets import _Opening, _WebSocketTransport
from rxsdk.errors import ConnectionLost
from tests.core.wire import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    TEXT,
    Ear,
    Library,
    accept,
    close_frame,
    frame,
    goodbye,
    meet,
    opener,
    read_request,
    run,
    tcp_server,
)

LIMIT = 70_000
URL = "ws://127.0.0.1/ws"
SIZES = [0, 1, 3, 40, 125, 126, 127, 300]
GREAT = [65_535, 65_536, LIMIT]
PONG = 10
AGAINST_THE_PROTOCOL = [
    b"\xc1\x01x",  # a reserved bit
    b"\x91\x01x",
    b"\x83\x01x",  # an opcode that nobody knows
    b"\x8b\x00",
    b"\x09\x01x",  # a ping in fragments
    b"\x89\x7e\x00\x7e" + b"x" * 126,  # and one that is too long
    b"\x81\x81\x01\x02\x03\x04x",  # masked
    b"\x81\x7f" + struct.pack("!Q", LIMIT + 1) + b"x",
    b"\x81\x7f" + struct.pack("!Q", 1 << 63) + b"x",
    frame(CONT, b"of what"),
    frame(TEXT, b"begun", fin=False) + frame(TEXT, b"another"),
    frame(TEXT, b"begun", fin=False) + frame(CLOSE, b"\x03\xe8"),
    frame(TEXT, b"x" * LIMIT, fin=False) + frame(CONT, b"xx"),
    frame(CLOSE, b"x"),
    close_frame(999),
    close_frame(1005),
    struct.pack("!BBH", 0x80 | CLOSE, 4, 1001) + b"\xff\xfe",
]
UNUSUAL = [b"\x81\x7e\x00\x01x", b"\x81\x7f" + struct.pack("!Q", 3) + b"xyz", b"\x89\x7e\x00\x01?"]  # lengths


class Heard(NamedTuple):
    messages: list[bytes]
    said: list[tuple[int, bytes]]
    code: int | None  # of the goodbye
    failure: str


def draw_stream(draw: random.Random, *, unusual: bool = False) -> bytes:
    data = b""
    for _ in range(draw.randint(1, 20)):
        message = draw.randbytes(draw.choice(SIZES if draw.random() < 0.95 else GREAT))
        kind = TEXT if draw.random() < 0.85 else BINARY
        if draw.random() < 0.7:
            data += frame(kind, message)
        else:
            cut = draw.randint(0, len(message))
            within = frame(PING, b"within") if draw.random() < 0.4 and len(message) < LIMIT // 2 else b""
            data += frame(kind, message[:cut], fin=False) + within + frame(CONT, message[cut:])
        if draw.random() < 0.3:
            data += frame(draw.choice([PING, PONG]), draw.randbytes(draw.choice([0, 1, 125])))
        if unusual and draw.random() < 0.1:
            data += draw.choice(UNUSUAL)
    if draw.random() < 0.4:
        data += draw.choice([*AGAINST_THE_PROTOCOL, close_frame(1000, "bye"), close_frame(4001), frame(CLOSE, b"")])
    elif draw.random() < 0.3:
        data = data[: draw.randrange(len(data))]
    return data + (draw.randbytes(30) + frame(TEXT, b"late") if draw.random() < 0.2 and unusual else b"")


def pieces_of(data: bytes, draw: random.Random) -> list[bytes]:
    cuts = sorted(draw.randint(0, len(data)) for _ in range(draw.choice([0, 1, 3, 20])))
    if draw.random() < 0.1:
        cuts = list(range(min(len(data), 2000)))
    return [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def frames_said(data: bytes) -> list[tuple[int, bytes]]:
    server = ServerProtocol(state=State.OPEN, max_size=None)
    server.receive_data(data)
    return [(event.opcode, bytes(event.data)) for event in server.events_received() if isinstance(event, Frame)]


def read_by_the_protocol(data: bytes) -> Heard:
    """All at once, by websockets alone; then the server hangs up."""
    protocol = ClientProtocol(parse_uri(URL), state=State.OPEN, max_size=LIMIT)
    protocol.receive_data(data)
    protocol.receive_eof()
    messages, parts, is_wanted = [], b"", False
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        if event.opcode in (TEXT, BINARY):
            parts, is_wanted = b"", event.opcode == TEXT
        if event.opcode in (TEXT, BINARY, CONT):
            parts += event.data
            if event.fin and is_wanted:
                messages.append(parts)
    return heard_by(protocol, messages, b"".join(protocol.data_to_send()))


def heard_by(protocol: ClientProtocol, messages: list[bytes], said: bytes) -> Heard:
    code = None if protocol.close_rcvd is None else protocol.close_rcvd.code
    failure = protocol.parser_exc
    text = "" if failure is None else "hung up" if isinstance(failure, EOFError) else str(failure)
    return Heard(messages, frames_said(said), code, text)


class Socket(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self._is_closing = False

    def write(self, data: Any) -> None:
        assert not self._is_closing
        self.written += data

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Who is told what comes is known here."""

    def pause_reading(self) -> None:
        """What comes next is known here too."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits here."""

    def can_write_eof(self) -> bool:
        return False


def read_by_the_transport(data: bytes, draw: random.Random) -> Heard:
    """In pieces, some of which come before the transport has taken over; what they were in is overwritten."""
    protocol, socket, ear = ClientProtocol(parse_uri(URL), max_size=LIMIT), Socket(), Ear()
    opening = _Opening(protocol, ping_interval=None)
    opening.connection_made(socket)
    request = protocol.connect()
    protocol.send_request(request)
    protocol.data_to_send()
    pieces = pieces_of(data, draw)
    answer = accept({"sec-websocket-key": request.headers["Sec-WebSocket-Key"]})
    if draw.random() < 0.5:
        answer += pieces.pop(0)
    cut = draw.choice([0, 10, len(answer) // 2])
    opening.data_received(answer[:cut])
    opening.data_received(answer[cut:])
    while pieces and draw.random() < 0.4:
        opening.data_received(pieces.pop(0))
    has_hung_up = not pieces and draw.random() < 0.5
    if has_hung_up:
        opening.eof_received()
        opening.connection_lost(None)
    settings: dict[str, Any] = dict.fromkeys(Handshake.__struct_fields__)
    settings |= {"url": URL, "is_text": True, "max_message_bytes": LIMIT}
    transport = _WebSocketTransport(opening, Handshake(**settings))
    starts_at = draw.choice([0, 0, 1, 5])
    for number, piece in enumerate([*pieces, b""]):
        if number == min(starts_at, len(pieces)):
            transport.start(ear)
        buffer = transport.get_buffer(-1)
        for start in range(0, len(piece), len(buffer)):
            part = piece[start : start + len(buffer)]
            if not socket.is_closing():
                buffer[: len(part)] = part
                transport.buffer_updated(len(part))
                buffer[: len(part)] = b"\xee" * len(part)
    if not has_hung_up:
        if not socket.is_closing():
            transport.eof_received()
        transport.connection_lost(None)
    heard = heard_by(protocol, ear.frames, socket.written)
    assert isinstance(ear.lost, ConnectionLost)
    assert ear.lost.code == heard.code
    return heard


@pytest.mark.parametrize("first_seed", [0, 1000, 2000])
def test_a_stream_of_bytes_means_what_the_protocol_says_it_means(first_seed: int) -> None:
    async def read_them_all() -> None:
        for seed in range(first_seed, first_seed + 200):
            draw = random.Random(seed)
            data = draw_stream(draw, unusual=True)
            assert read_by_the_transport(data, draw) == read_by_the_protocol(data), seed

    run(read_them_all())


@pytest.mark.parametrize("bad", AGAINST_THE_PROTOCOL)
def test_what_is_against_the_protocol_is_so_wherever_it_is_cut(bad: bytes) -> None:
    async def read_them_all() -> None:
        for seed in range(20):
            data = frame(TEXT, b"before") * (seed % 3) + bad + frame(TEXT, b"after")
            heard = read_by_the_transport(data, random.Random(seed))
            assert heard == read_by_the_protocol(data)
            assert heard.failure or heard.code
            assert heard.messages == [b"before"] * (seed % 3)

    run(read_them_all())


async def heard_by_socket(*pieces: bytes) -> Ear:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(await read_request(reader)))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
        await reader.read()

    ear = Ear()
    async with tcp_server(play) as port:
        transport = await opener(f"ws://127.0.0.1:{port}/ws", max_message_bytes=LIMIT)()
        transport.start(ear)
        await ear.until(lambda: ear.lost)
        await transport.close()
    return ear


@pytest.mark.skipif(not has_picows(), reason="picows is not installed: the extra `fast`")
def test_picows_hears_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Library, "name", "picows")

    async def read_them_all() -> None:
        for seed in range(150):
            draw = random.Random(seed)
            data = draw_stream(draw)
            ear, expected = await heard_by_socket(*pieces_of(data, draw)), read_by_the_protocol(data)
            assert ear.frames == expected.messages, seed
            assert isinstance(ear.lost, ConnectionLost)
            if not expected.failure:
                assert ear.lost.code == expected.code, seed
            assert ("without a word" in str(ear.lost)) == (expected.failure == "hung up"), seed

    run(read_them_all())


def test_what_came_before_a_breach_of_the_protocol_counts(library: str) -> None:
    async def read_them_all() -> None:
        for bad in AGAINST_THE_PROTOCOL:
            ear = await heard_by_socket(frame(TEXT, b"1") + frame(TEXT, b"2") + bad)
            assert ear.frames == [b"1", b"2"]
        ear = await heard_by_socket(close_frame(4001) + b"\xf1\x00")
        assert isinstance(ear.lost, ConnectionLost)
        assert ear.lost.code == 4001

    run(read_them_all())


def test_a_message_in_very_many_fragments_takes_no_longer_than_its_fragments(library: str) -> None:
    count = 20_000
    data = frame(TEXT, b"", fin=False) + frame(CONT, b"x", fin=False) * count + frame(CONT, b"")

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await goodbye(reader, writer)

    async def scene(transport: Transport, ear: Ear) -> None:
        began_at = time.process_time()
        await ear.until(lambda: ear.frames)
        took.append(time.process_time() - began_at)

    took: list[float] = []
    assert meet(play, scene).frames == [b"x" * count]
    assert took[0] < 1.0  # with the square of them: seconds
