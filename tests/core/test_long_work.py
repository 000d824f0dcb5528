"""Long work in short turns: messages in pieces on a WebSocket, and steps."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.frames import apply_mask  # type: ignore[attr-defined]

from rxsdk.core import long_work
from rxsdk.core.long_work import in_turns
from rxsdk.core.transport import WRITE_HIGH_WATER, Transport
from tests.core.fakes import until
from tests.core.wire import (
    CLOSE,
    CONT,
    PING,
    TEXT,
    Ear,
    close_frame,
    frame,
    meet,
    opener,
    run,
    until_lost,
    websocket_server,
)

PONG = 10
PIECE = 64 * 1024
MORE_THAN_FITS = 64 * 1024 * 1024  # into the buffers of both ends


@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing takes any time, so that each turn does one step."""
    monkeypatch.setattr(long_work, "perf_counter", lambda: 5.0)


def in_pieces(message: bytes, seed: int = 1) -> list[bytes]:
    """Pieces of all lengths."""
    chance = random.Random(seed)
    pieces, start = [], 0
    while start < len(message):
        size = chance.choice([0, 1, 2, 3, 5, 1000, 20_001, 66_000, 150_000])
        pieces.append(message[start : start + size])
        start += size
    return pieces


async def next_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Like `read_frame`, for long ones."""
    head = await reader.readexactly(2)
    assert head[0] & 0x70 == 0
    assert head[1] & 0x80, "a client masks"
    more = {126: 2, 127: 8}.get(head[1] & 0x7F)
    size = int.from_bytes(await reader.readexactly(more), "big") if more else head[1] & 0x7F
    mask = await reader.readexactly(4)
    return head[0], apply_mask(await reader.readexactly(size), mask)


class Server:
    """Reads when it may, and notes the frames: their first byte and the payload."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.may_read = asyncio.Event()

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.say = writer.write
        await self.may_read.wait()
        while not self.frames or self.frames[-1][0] != 0x80 | CLOSE:
            self.frames.append(await next_frame(reader))
        writer.write(close_frame(1000))


Scene = Callable[[Transport, Ear, Server], Any]


def act(scene: Scene, **settings: Any) -> tuple[Server, Ear]:
    """Let ``scene`` use a connection to a `Server`."""
    server = Server()

    async def with_server(transport: Transport, ear: Ear) -> None:
        await scene(transport, ear, server)

    return server, meet(server.play, with_server, **settings)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 2_400_003])
def test_a_message_in_pieces_arrives_whole_between_others(size: int) -> None:
    message = random.Random(size).randbytes(size)

    async def scene(transport: Transport, ear: Ear, server: Server) -> None:
        server.may_read.set()
        for first in ([], [b"1"], [b"1", b"2"]):
            transport.write([*first, in_pieces(message) or [b""]])
            assert not transport.writable
            await ear.until(lambda: transport.writable)
        transport.write([b"last"])

    server, ear = act(scene)
    assert ear.writable_again == 3
    assert [first for first, _ in server.frames] == [0x80 | TEXT] * (len(server.frames) - 1) + [0x80 | CLOSE]
    wanted = [message, b"1", message, b"1", b"2", message, b"last"]
    assert [payload for _, payload in server.frames[:-1]] == wanted


@pytest.mark.usefixtures("library", "no_time")
def test_no_turn_writes_more_than_a_piece() -> None:
    left: list[int] = []
    message = [b"x" * 10_000] * 240

    async def scene(transport: Transport, ear: Ear, server: Server) -> None:
        server.may_read.set()
        transport.write([message])
        while not transport.writable:
            left.append(len(message))
            await asyncio.sleep(0)

    act(scene)
    steps = [before - after for before, after in pairwise(left)]
    assert max(steps) == -(-PIECE // 10_000)
    assert len([step for step in steps if step]) >= 240 // 7 - 1


async def until_stuck(message: list[bytes]) -> None:
    """Until nothing of it has gone out for some turns."""
    left = -1
    while left != len(message):
        left = len(message)
        for _ in range(20):
            await asyncio.sleep(0)
    assert left


@pytest.mark.usefixtures("library")
def test_a_full_buffer_holds_the_pieces_back() -> None:
    message = [b"x" * PIECE] * (MORE_THAN_FITS // PIECE)

    async def scene(transport: Transport, ear: Ear, server: Server) -> None:
        transport.write([message])
        await until_stuck(message)
        assert ear.writable_again == 0
        server.may_read.set()
        await ear.until(lambda: transport.writable, 20)
        assert not message
        assert ear.writable_again == 1

    server, _ = act(scene)
    assert [len(payload) for _, payload in server.frames[:-1]] == [MORE_THAN_FITS]
    assert WRITE_HIGH_WATER < MORE_THAN_FITS / 4


def stuck() -> list[bytes]:
    """More than goes out while the server does not read."""
    return [b"x" * 100_000] * (MORE_THAN_FITS // 100_000)


@pytest.mark.usefixtures("library")
def test_pings_in_the_middle_are_answered_behind() -> None:
    async def scene(transport: Transport, ear: Ear, server: Server) -> None:
        transport.write([stuck()])
        server.say(frame(PING, b"first") + frame(PING, b"last") + frame(TEXT, b"heard"))
        await ear.until(lambda: ear.frames)
        server.may_read.set()
        await ear.until(lambda: transport.writable, 20)
        transport.write([b"next"])

    server, _ = act(scene)
    long, *pongs, following, _ = server.frames
    assert long[0] == following[0] == 0x80 | TEXT
    assert pongs[-1] == (0x80 | PONG, b"last")
    assert {first for first, _ in pongs} == {0x80 | PONG}
    assert following[1] == b"next"


def test_a_goodbye_in_the_middle_is_said_behind(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"rxsdk.core.with_{library}.CLOSE_TIMEOUT_S", 20.0)  # that the message may take

    async def scene(transport: Transport, ear: Ear, server: Server) -> None:
        transport.write([stuck()])
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(transport.close())
        await asyncio.sleep(0)
        assert not transport.writable
        server.may_read.set()
        await closing

    server, _ = act(scene)
    assert [first for first, _ in server.frames] == [0x80 | TEXT, 0x80 | CLOSE]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("word", "reason"),
    [
        (close_frame(1001, "enough"), "the server closed it (1001 enough)"),
        (frame(CONT, b"of what?"), "unexpected continuation frame"),
        (b"", "the server closed it without a word"),
    ],
)
def test_a_loss_in_the_middle_ends_it_and_nothing_is_added(
    word: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_work, "os", SimpleNamespace(urandom=lambda size: b"x" * size))  # "x" masked is 0
    came: list[int] = []
    is_stuck = asyncio.Event()
    message = stuck()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(14)
        await is_stuck.wait()
        if word:
            writer.write(word)
        else:
            writer.write_eof()
        while data := await reader.read(1 << 20):
            came.append(len(data))
            assert not data.strip(b"\0"), "something else within the frame"

    async def scene(transport: Transport, ear: Ear) -> None:
        transport.write([message])
        await until_stuck(message)
        is_stuck.set()
        await until_lost(transport, ear)
        await until(lambda: not message)  # let go of

    ear = meet(play, scene)
    assert str(ear.lost) == f"connection lost: {reason}"
    assert sum(came) < MORE_THAN_FITS


@pytest.mark.usefixtures("library")
def test_a_message_that_goes_out_before_the_start_is_told_to_nobody() -> None:
    server = Server()

    async def both() -> None:
        async with websocket_server(server.play) as port:
            transport = await opener(f"ws://127.0.0.1:{port}/ws")()
            server.may_read.set()
            transport.write([[b"long"]])
            await until(lambda: transport.writable)
            await transport.close()

    run(both())
    assert server.frames[0] == (0x80 | TEXT, b"long")


@pytest.mark.usefixtures("no_time")
def test_steps_let_everything_else_go_first() -> None:
    done: list[str] = []

    def steps(line: socket.socket) -> Iterator[None]:
        for number in range(3):
            done.append(f"step {number}")
            line.send(b"x")
            yield

    async def listen(line: socket.socket) -> None:
        line.setblocking(False)
        for number in range(3):
            await asyncio.get_running_loop().sock_recv(line, 1)  # heard in one turn, and gone on with in the next
            done.append(f"other {number}")

    async def both() -> None:
        here, there = socket.socketpair()
        with here, there:
            await asyncio.gather(listen(here), in_turns(steps(there)))

    asyncio.run(both())
    assert done == ["step 0", "other 0", "step 1", "other 1", "step 2", "other 2"]


@pytest.mark.parametrize(("others_take_us", "in_a_turn"), [(0, 1), (100, 1), (400, 1), (900, 3), (5000, 3)])
def test_steps_take_their_part_of_long_turns(
    others_take_us: int, in_a_turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, taken, together = 5_000, 0, []

    async def others_first() -> None:
        nonlocal now, taken
        now += others_take_us
        together.append(taken)
        taken = 0

    def steps() -> Iterator[None]:
        nonlocal now, taken
        for _ in range(10):
            now += 100
            taken += 1
            yield

    monkeypatch.setattr(long_work, "perf_counter", lambda: now / 1e6)
    monkeypatch.setattr(long_work, "_others_first", others_first)
    asyncio.run(in_turns(steps()))
    assert together[0] == 1
    assert set(together[1:]) == {in_a_turn}


def test_steps_can_be_cancelled_and_what_goes_wrong_in_one_is_raised() -> None:
    def steps() -> Iterator[None]:
        yield
        yield
        raise KeyError("k")

    async def scene() -> None:
        work = asyncio.ensure_future(in_turns(steps()))
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        with pytest.raises(KeyError):
            await in_turns(steps())

    run(scene())
