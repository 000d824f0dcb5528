"""More comes than is delivered: when the reader rests for that, until when, and for whom it does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rxsdk.core import connection
from rxsdk.core.mailbox import DeliveryPolicy
from rxsdk.core.reconnect import ReconnectPolicy
from rxsdk.core.transport import MemoryServer, Transport, memory_pair
from rxsdk.errors import DeliveryOverflow
from rxsdk.reactive.delivery import Dispatcher
from rxsdk.reactive.life import Life
from rxsdk.reactive.streams import Multicast
from tests.conftest import wait_until
from tests.core.fakes import ScriptedMachine
from tests.reactive.helpers import Notes
from tests.reactive.test_mailboxes import Sleeper, emit


class Reader:
    """Notes when it is to rest, and when to read on."""

    def __init__(self) -> None:
        self.rests = 0
        self.reads_on = threading.Event()

    def rest(self) -> None:
        self.rests += 1

    def read_on(self) -> None:
        self.reads_on.set()


@contextmanager
def delivering(reader: Reader) -> Iterator[Dispatcher]:
    """A dispatcher on a thread of its own, for the ``reader`` on a loop that runs on another."""
    dispatcher, loop = Dispatcher(), asyncio.new_event_loop()
    dispatcher.policy = DeliveryPolicy(mailbox_size=100)
    reading = threading.Thread(target=loop.run_forever)
    reading.start()
    dispatcher.run_on_thread("rxsdk test delivery", loop, reader)
    try:
        yield dispatcher
    finally:
        dispatcher.close(lambda: None)
        dispatcher.join()
        loop.call_soon_threadsafe(loop.stop)
        reading.join()
        loop.close()


@contextmanager
def nothing_delivered(dispatcher: Dispatcher) -> Iterator[None]:
    gate = threading.Event()
    dispatcher.post(gate.wait, 10)
    try:
        yield
    finally:
        gate.set()


def test_when_a_mailbox_is_half_full_the_reader_rests_until_all_is_delivered() -> None:
    reader, notes = Reader(), Notes()
    with delivering(reader) as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(notes)
        with nothing_delivered(dispatcher):
            emit(stream, range(50))
            dispatcher.run_due()
            assert reader.rests == 0
            emit(stream, range(50, 52))
            dispatcher.run_due()
            dispatcher.run_due()  # after the next turn
            assert reader.rests == 2
            assert not reader.reads_on.is_set()
        assert reader.reads_on.wait(5)
        dispatcher.run_due()
        assert reader.rests == 2
    assert notes.values == list(range(52))


def test_if_a_mailbox_goes_on_filling_the_reader_rests_no_more() -> None:
    reader, notes = Reader(), Notes()
    with delivering(reader) as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(notes)
        with nothing_delivered(dispatcher):
            for value in range(90):
                stream.emit(value)
                dispatcher.run_due()
        assert reader.rests == 25  # from 51 to 75
        assert reader.reads_on.wait(5)
    assert notes.values == list(range(90))


def test_the_reader_rests_for_who_is_behind_too() -> None:
    """He may be behind because of the reader: it takes the interpreter while his callback waits for a socket."""
    reader, slow, fast = Reader(), Sleeper(), Notes()
    with delivering(reader) as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(slow)
        stream.buffered(1000, on_overflow="error").subscribe(fast)
        with nothing_delivered(dispatcher):
            emit(stream, range(10))
            slow.permit(2)
        wait_until(lambda: len(fast.values) == 10 and len(slow.values) == 3)  # the third in a turn of its own
        emit(stream, range(10, 70))
        dispatcher.run_due()
        assert reader.rests == 1
        slow.permit(1)
        wait_until(lambda: len(fast.values) == 70)
        assert not reader.reads_on.is_set()
        slow.permit(1000)
        assert reader.reads_on.wait(10)
        assert len(slow.values) == 70
    assert fast.values == slow.values == list(range(70))


def test_nobody_rests_for_who_has_left_or_was_let_go() -> None:
    reader, notes, others = Reader(), Notes(), Notes()
    with delivering(reader) as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(notes)
        leaving = stream.subscribe(others)
        with nothing_delivered(dispatcher):
            emit(stream, range(60))
            dispatcher.run_due()
            assert reader.rests == 1
            emit(stream, range(60, 101))
            leaving.dispose()
            dispatcher.run_due()
            assert reader.rests == 1
        assert notes.over.wait(5)
        assert reader.reads_on.wait(5)
    assert notes.values == list(range(100))
    assert isinstance(notes.error, DeliveryOverflow)


def test_a_flood_waits_at_the_transport_and_is_heard_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    class Telling(ScriptedMachine):
        def receive(self, frame: bytes, now: float) -> None:
            self.happened.append(frame)

    async def connect() -> Transport:
        transport, server = memory_pair()
        servers.append(server)
        return transport

    async def flood() -> None:
        for number in range(500):
            servers[0].send(b"%d" % number)
            await asyncio.sleep(0)

    monkeypatch.setattr(connection, "_REST_S", 60.0)
    servers: list[MemoryServer] = []
    machine, life, notes = Telling(), Life(), Notes()
    stream: Multicast[bytes] = life.stream()
    stream.subscribe(notes)
    settings: Any = {"policy": ReconnectPolicy(), "delivery": DeliveryPolicy(mailbox_size=100), "clock": None}
    handlers = {bytes: Multicast.emit}
    life.open(life, machine, connect, inside=stream, handlers=handlers, end_rest=list, loop="own", **settings)
    wait_until(lambda: "connected" in machine.verbs)
    with nothing_delivered(life.dispatcher):
        asyncio.run_coroutine_threadsafe(flood(), life.lease.loop).result(10)
        client: Any = servers[0].client
        assert len(client._waiting) == 500 - 51
    wait_until(lambda: len(notes.values) == 500)
    assert notes.values == [b"%d" % number for number in range(500)]
    assert notes.error is None
    life.close().result(5)
