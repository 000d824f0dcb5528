"""An open WebSocket transport: messages both ways, and a full buffer."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from websockets.asyncio.server import ServerConnection, serve

from rxsdk.core.transport import MESSAGES_AT_ONCE, Transport
from tests.core.fakes import until
from tests.core.wire import (
    BINARY,
    CONT,
    LOOPS,
    PING,
    TEXT,
    Ear,
    LoopFactory,
    Serve,
    accept,
    close_frame,
    frame,
    goodbye,
    meet,
    opener,
    read_frame,
    read_request,
    run,
    sending,
    tcp_server,
    websocket_server,
)

pytestmark = pytest.mark.usefixtures("library")

# -- messages


@pytest.mark.parametrize("is_text", [True, False])
def test_messages_go_both_ways_whole(is_text: bool) -> None:
    ours, theirs = [b"1", b"", "é🗝".encode(), b"x" * 70_000], [b"a", b"", b"y" * 66_000]
    received: list[str | bytes] = []

    async def play(server: ServerConnection) -> None:
        for message in theirs:
            await server.send(message, text=is_text)
        async for message in server:
            received.append(message)

    async def both() -> None:
        async with serve(play, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            transport = await opener(f"ws://127.0.0.1:{port}", is_text=is_text)()
            ear = Ear()
            transport.start(ear)
            transport.write(ours[:1])
            transport.write(ours[1:])
            await ear.until(lambda: ear.frames == theirs)
            await transport.close()

    run(both())
    assert received == ([message.decode() for message in ours] if is_text else ours)


def test_a_message_in_the_segment_of_the_handshake_is_kept_for_the_start() -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        writer.write(accept(request) + frame(TEXT, b"first") + frame(TEXT, b"second"))
        await goodbye(reader, writer)

    async def both() -> None:
        async with tcp_server(play) as port:
            transport = await opener(f"ws://127.0.0.1:{port}/ws")()
            await asyncio.sleep(0)
            ear = Ear()
            transport.start(ear)
            assert ear.frames == [b"first", b"second"]
            await transport.close()

    run(both())


@pytest.mark.parametrize("cut", [1, 40, -10, -4, -1])
def test_the_answer_and_the_first_message_may_come_in_any_pieces(cut: int) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = accept(await read_request(reader))
        data = answer + frame(TEXT, b"first" * 100)
        cuts = [0, cut % len(answer), len(answer) + 1 if cut % 2 else len(answer) + 100, len(data)]
        for begin, stop in pairwise(cuts):
            writer.write(data[begin:stop])
            await writer.drain()
            await asyncio.sleep(0.01)
        await goodbye(reader, writer)

    async def both() -> None:
        async with tcp_server(play) as port:
            transport = await opener(f"ws://127.0.0.1:{port}/ws")()
            ear = Ear()
            transport.start(ear)
            await ear.until(lambda: ear.frames == [b"first" * 100])
            await transport.close()

    run(both())


def test_what_was_said_before_hanging_up_is_heard_though_nobody_had_taken_over() -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        writer.write(accept(request) + frame(TEXT, b"first") + frame(TEXT, b"second")[:3])
        writer.close()

    async def both() -> None:
        async with tcp_server(play) as port:
            ear = Ear()
            transport = await opener(f"ws://127.0.0.1:{port}/ws")()
            transport.start(ear)
            await ear.until(lambda: ear.lost is not None)
            assert (ear.frames, str(ear.lost)) == ([b"first"], "connection lost: the server closed it without a word")
            await transport.close()

    run(both())


def test_lost_before_the_start_the_messages_come_first_and_the_loss_after() -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        writer.write(accept(request) + frame(TEXT, b"go away") + close_frame(1008, "no"))
        await reader.read()
        gone.set()

    async def both() -> None:
        async with tcp_server(play) as port:
            transport = await opener(f"ws://127.0.0.1:{port}/ws")()
            await gone.wait()
            ear = Ear()
            transport.start(ear)
            assert ear.frames == [b"go away"]
            assert str(ear.lost) == "connection lost: the server closed it (1008 no)"
            await transport.close()

    gone = asyncio.Event()
    run(both())


@pytest.mark.parametrize("seed", range(6))
def test_messages_stay_whole_wherever_the_stream_of_bytes_is_cut(seed: int) -> None:
    draw = random.Random(seed)
    messages, data, in_heads = [], b"", []
    for size in draw.sample([0, 1, 125, 126, 127, 300, 65_535, 65_536, 70_000, 140_000] * 3, 30):
        message = draw.randbytes(size)
        in_heads.append(len(data) + draw.randint(1, 3))
        if draw.random() < 0.7:
            data += frame(TEXT, message)
        else:
            cut = draw.randint(0, size)
            data += frame(TEXT, message[:cut], fin=False) + frame(PING, b"?") + frame(CONT, message[cut:])
        data += draw.choice([b"", b"", frame(PING, b"!"), frame(BINARY, b"not for us")])
        messages.append(message)
    cuts = sorted({*in_heads, *draw.sample(range(len(data)), 20)} & set(range(1, len(data))))
    pieces = [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = accept(await read_request(reader))
        await sending(answer + pieces[0], *pieces[1:])(reader, writer)

    async def both() -> None:
        async with tcp_server(play) as port:
            transport = await opener(f"ws://127.0.0.1:{port}/ws")()
            ear = Ear()
            transport.start(ear)
            await ear.until(lambda: len(ear.frames) == len(messages))
            assert ear.frames == messages
            await transport.close()

    run(both())


def test_what_two_loops_read_at_the_same_time_does_not_mix() -> None:
    def read(letter: bytes) -> None:
        messages = [letter * 50_000] * 800

        async def scene(transport: Transport, ear: Ear) -> None:
            await ear.until(lambda: len(ear.frames) == len(messages))
            assert ear.frames == messages

        meet(sending(*(frame(TEXT, message) for message in messages)), scene)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(read, (b"a", b"b")))


def test_a_message_in_fragments_is_put_together() -> None:
    data = [
        frame(TEXT, b"a", fin=False),
        frame(CONT, b"b", fin=False),
        frame(PING, b"between"),
        frame(CONT, b"c"),
        frame(TEXT, b"", fin=False),
        frame(CONT, b""),
        frame(TEXT, b"whole"),
    ]

    async def scene(transport: Transport, ear: Ear) -> None:
        await ear.until(lambda: ear.frames == [b"abc", b"", b"whole"])

    meet(sending(*data), scene)
    assert meet(sending(b"".join(data)), scene).reads == [3]  # what comes in one piece is heard together
    meet(sending(*(bytes([byte]) for byte in b"".join(data))), scene)


def asked_for(messages: list[bytes]) -> Serve:
    """Once the client has said something, all of ``messages`` at once; then wait for it to go."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_frame(reader)
        writer.write(b"".join(frame(TEXT, message) for message in messages))
        await goodbye(reader, writer)

    return play


def test_many_messages_are_handed_over_a_few_at_a_time() -> None:
    messages = [b"%d" % number for number in range(500)]

    async def scene(transport: Transport, ear: Ear) -> None:
        transport.write([b"begin"])
        await ear.until(lambda: len(ear.frames) == 500)

    ear = meet(asked_for(messages), scene)
    assert ear.frames == messages
    assert max(ear.reads) == MESSAGES_AT_ONCE


@pytest.mark.parametrize("loop", LOOPS)
def test_in_a_turn_of_the_loop_a_buffer_is_read_once(loop: LoopFactory) -> None:
    turns = [0]
    payload = b"x" * 1000

    class Turns(Ear):
        def frames_received(self, frames: Sequence[bytes]) -> None:
            super().frames_received(frames)
            turns[-1] += len(frames)

    async def scene(transport: Transport, ear: Ear) -> None:
        loop, going_on = asyncio.get_running_loop(), True

        def turn() -> None:
            turns.append(0)
            if going_on:
                loop.call_soon(turn)

        transport.write([b"begin"])
        turn()
        while len(ear.frames) < 4_000:
            time.sleep(0.001)  # noqa: ASYNC251 - what comes is to wait, as it does while an application computes
            await asyncio.sleep(0)
        going_on = False

    meet(asked_for([payload] * 4_000), scene, ear=Turns(), loop=loop)
    assert max(turns) <= 64 * 1024 // len(payload) + 1


@pytest.mark.parametrize("loop", LOOPS)
def test_while_reading_is_paused_nothing_comes(loop: LoopFactory) -> None:
    """But for what had been read, when it was paused in the middle of a turn."""
    messages = [b"%d" % number * 1000 for number in range(1000)]

    class Tired(Ear):
        def frames_received(self, frames: Sequence[bytes]) -> None:
            if not self.frames:
                transports[0].pause_reading()
            super().frames_received(frames)

    transports: list[Transport] = []

    async def scene(transport: Transport, ear: Ear) -> None:
        transports.append(transport)
        transport.write([b"begin"])
        await ear.until(lambda: ear.frames)
        for _ in range(100):
            await asyncio.sleep(0)
        assert sum(map(len, ear.frames)) <= 64 * 1024
        transport.resume_reading()
        await ear.until(lambda: len(ear.frames) == len(messages))

    assert meet(asked_for(messages), scene, ear=Tired(), loop=loop).frames == messages


def test_messages_of_the_other_kind_are_dropped() -> None:
    data = [
        frame(BINARY, b"no"),
        frame(TEXT, b"1"),
        frame(BINARY, b"no", fin=False),
        frame(CONT, b"no"),
        frame(TEXT, b"2"),
    ]

    async def scene(transport: Transport, ear: Ear) -> None:
        await ear.until(lambda: ear.frames[-1:] == [b"2"])

    assert meet(sending(*data), scene).frames == [b"1", b"2"]


def test_pings_are_answered() -> None:
    answers: list[tuple[int, bytes]] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(PING, b"are you there") + frame(10, b"a pong nobody asked for"))
        answers.append(await read_frame(reader))
        writer.write(frame(TEXT, b"thanks"))
        await goodbye(reader, writer)

    async def scene(transport: Transport, ear: Ear) -> None:
        await ear.until(lambda: ear.frames == [b"thanks"])

    meet(play, scene)
    assert answers == [(10, b"are you there")]


# -- a full buffer


def test_a_full_buffer_is_told_and_its_emptying_too() -> None:
    may_read = asyncio.Event()
    size = 0

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal size
        await may_read.wait()
        while data := await reader.read(1 << 20):
            size += len(data)

    async def scene(transport: Transport, ear: Ear) -> None:
        written = 0
        while transport.writable:
            transport.write([b"x" * 1_000_000])
            written += 1_000_000
            await asyncio.sleep(0)
            assert written < 200_000_000
        assert ear.writable_again == 0
        may_read.set()
        await ear.until(lambda: ear.writable_again)
        assert transport.writable
        await asyncio.wait_for(transport.close(), 5)
        assert size > written

    meet(play, scene)


def test_a_buffer_that_empties_before_the_start_is_told_to_nobody() -> None:
    may_read = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await may_read.wait()
        while await reader.read(1 << 20):
            pass

    async def both() -> None:
        async with websocket_server(play) as port:
            transport = await opener(f"ws://127.0.0.1:{port}/ws")()
            while transport.writable:
                transport.write([b"x" * 1_000_000])
                await asyncio.sleep(0)
            may_read.set()
            await until(lambda: transport.writable)
            await transport.close()

    run(both())
