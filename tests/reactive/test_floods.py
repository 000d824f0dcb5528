"""More comes than is delivered: when the reader rests for that, until when, and for whom it does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock

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


@contextmanager
def delivering(rest: Callable[[], None]) -> Iterator[Dispatcher]:
    """A dispatcher on a thread of its own, whose reader is to ``rest`` when that is called."""
    dispatcher = Dispatcher()
    dispatcher.policy = DeliveryPolicy(mailbox_size=100)
    dispatcher.run_on_thread("rxsdk test delivery", None, rest)
    try:
        yield dispatcher
    finally:
        dispatcher.close(lambda: None)
        dispatcher.join()


@contextmanager
def nothing_delivered(dispatcher: Dispatcher) -> Iterator[None]:
    gate = threading.Event()
    dispatcher.post(gate.wait, 10)
    try:
        yield
    finally:
        gate.set()


def test_from_half_of_a_mailbox_to_three_quarters_the_reader_rests_after_each_turn() -> None:
    rest, notes = Mock(), Notes()
    with delivering(rest) as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(notes)
        with nothing_delivered(dispatcher):
            for value in range(90):
                assert rest.call_count == min(25, max(0, value - 50))
                stream.emit(value)
                dispatcher.run_due()
        wait_until(lambda: len(notes.values) == 90)
        dispatcher.run_due()
        assert rest.call_count == 25
    assert notes.values == list(range(90))


def test_it_rests_until_a_quarter_is_left() -> None:
    def on_next(_: int) -> None:
        assert permits.acquire(timeout=10)

    rest, permits = Mock(), threading.Semaphore(0)
    with delivering(rest) as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        subscription = stream.subscribe(on_next)
        emit(stream, range(60))
        wait_until(lambda: subscription.lag == 59)  # the first has begun
        for left, rests in ((40, 1), (26, 2), (25, 2), (10, 2)):
            permits.release(subscription.lag - left)
            wait_until(lambda left=left: subscription.lag == left)  # type: ignore[misc]
            dispatcher.run_due()
            assert rest.call_count == rests
        permits.release(60)


def test_it_rests_for_who_is_behind_too() -> None:
    """He may be behind because of the reader: it takes the interpreter while his callback waits for a socket."""
    rest, slow, fast = Mock(), Sleeper(), Notes()
    with delivering(rest) as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(slow)
        stream.buffered(1000, on_overflow="error").subscribe(fast)
        with nothing_delivered(dispatcher):
            emit(stream, range(10))
            slow.permit(2)
        wait_until(lambda: len(fast.values) == 10 and len(slow.values) == 3)  # the third in a turn of its own
        emit(stream, range(10, 70))
        dispatcher.run_due()
        assert rest.call_count == 1
        slow.permit(1000)
        wait_until(lambda: len(slow.values) == 70)
        dispatcher.run_due()
        assert rest.call_count == 1
    assert fast.values == slow.values == list(range(70))


def test_nobody_rests_for_who_has_left_or_was_let_go() -> None:
    rest, notes, others = Mock(), Notes(), Notes()
    with delivering(rest) as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(notes)
        leaving = stream.subscribe(others)
        with nothing_delivered(dispatcher):
            emit(stream, range(60))
            dispatcher.run_due()
            assert rest.call_count == 1
            emit(stream, range(60, 101))
            leaving.dispose()
            dispatcher.run_due()
            assert rest.call_count == 1
        assert notes.over.wait(5)
    assert notes.values == list(range(100))
    assert isinstance(notes.error, DeliveryOverflow)


def test_while_the_reader_rests_a_flood_waits_at_the_transport(monkeypatch: pytest.MonkeyPatch) -> None:
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
    wait_until(lambda: len(notes.values) == 51)
    assert notes.values == [b"%d" % number for number in range(51)]
    life.close().result(5)
