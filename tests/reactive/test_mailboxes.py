"""What waits for a subscriber: the policies to the letter, and that only who lags is hurt by lagging."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rxsdk.core.mailbox import DeliveryPolicy, OnOverflow
from rxsdk.errors import ConfigurationError, DeliveryOverflow
from rxsdk.reactive.delivery import Dispatcher
from rxsdk.reactive.streams import Multicast, Stream
from tests.conftest import wait_until
from tests.reactive.helpers import Notes, Table, delivery_thread, drained


class Sleeper(Notes):
    """Each of its ``on_next`` takes long, and ends only when there is a permit for it."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = threading.Event()
        self._permits = threading.Semaphore(0)

    def on_next(self, value: Any) -> None:
        super().on_next(value)
        self.asleep.set()
        time.sleep(0.1 if len(self.values) <= 3 else 0.001)  # much longer than a slice
        assert self._permits.acquire(timeout=10)

    def permit(self, callbacks: int) -> None:
        self._permits.release(callbacks)


@contextmanager
def held(dispatcher: Dispatcher) -> Iterator[None]:
    """Nothing is delivered meanwhile, and it is no subscriber's fault."""
    gate, holds = threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        holds.set()
        assert gate.wait(10)

    dispatcher.post(hold, None)
    assert holds.wait(10)
    try:
        yield
    finally:
        gate.set()
    drained(dispatcher)


def emit(stream: Multicast[int], values: range) -> None:
    for value in values:
        stream.emit(value)


# -- the policies, each to the letter


@pytest.mark.parametrize(
    ("on_overflow", "heard"),
    [("error", [0, 1, 2, 3]), ("drop_oldest", [6, 7, 8, 9]), ("latest", [9])],
)
def test_what_is_heard_of_ten_when_four_may_wait(on_overflow: OnOverflow, heard: list[int]) -> None:
    notes, others = Notes(), Notes()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(others)
        subscription = stream.buffered(4, on_overflow=on_overflow).subscribe(notes)
        with held(dispatcher):
            emit(stream, range(10))
            assert subscription.lag == len(heard)
        wait_until(lambda: notes.values == heard)
        assert subscription.dropped == (0 if on_overflow == "error" else 10 - len(heard))
        assert subscription.lag == 0
        if on_overflow == "error":
            assert notes.over.wait(5)
            assert isinstance(notes.error, DeliveryOverflow)
            assert notes.error.size == 4
            assert subscription.is_stopped
        for value in (10, 11):
            stream.emit(value)
            drained(dispatcher)
        stream.complete()
    assert notes.values == (heard if on_overflow == "error" else [*heard, 10, 11])
    assert notes.completed == (on_overflow != "error")
    assert others.values == list(range(12))


@pytest.mark.parametrize("on_overflow", ["error", "drop_oldest"])
def test_a_mailbox_that_is_just_full_loses_nothing(on_overflow: OnOverflow) -> None:
    notes = Notes()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        subscription = stream.buffered(4, on_overflow=on_overflow).subscribe(notes)
        for start in (0, 4, 8):
            with held(dispatcher):
                emit(stream, range(start, start + 4))
                assert subscription.lag == 4
        assert (subscription.lag, subscription.dropped) == (0, 0)
        stream.complete()
    assert notes.values == list(range(12))
    assert notes.completed


def test_the_policy_of_the_service_is_everybodys_without_one_of_his_own() -> None:
    notes, patient = Notes(), Notes()
    with delivery_thread() as dispatcher:
        dispatcher.policy = DeliveryPolicy(mailbox_size=2, on_overflow="drop_oldest")
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(notes)
        stream.buffered(100, on_overflow="error").subscribe(patient)
        with held(dispatcher):
            emit(stream, range(10))
    assert notes.values == [8, 9]
    assert patient.values == list(range(10))


def test_a_watch_is_bounded_too_and_ends_on_the_server_with_its_last_subscriber(table: Table) -> None:
    table.dispatcher.policy = DeliveryPolicy(mailbox_size=4)
    watch, notes = table.call(), Notes()
    watch.subscribe(notes)
    with held(table.dispatcher):
        for number in range(10):
            watch.reply(number, final=False)
        assert table.cancelled == []
    assert notes.over.wait(5)
    wait_until(lambda: table.cancelled == [False])
    assert notes.values == [0, 1, 2, 3]
    assert isinstance(notes.error, DeliveryOverflow)


def test_a_mailbox_after_operators_bounds_what_they_give() -> None:
    notes = Notes()
    with delivery_thread() as dispatcher:
        source: Multicast[int] = Multicast(dispatcher)
        stream: Stream[int] = source.map(lambda value: value * 10).buffered(2, on_overflow="drop_oldest")
        subscription = stream.subscribe(notes)
        with held(dispatcher):
            dispatcher.post(lambda _: None, None)
            emit(source, range(6))
        wait_until(lambda: notes.values == [40, 50])
        assert subscription.dropped == 4
        source.emit(6)
        wait_until(lambda: notes.values[2:] == [60])
        subscription.dispose()
        assert not source.has_observers


@pytest.mark.parametrize(
    ("size", "on_overflow", "wrong"),
    [(0, "error", "size"), (1.5, "error", "size"), (True, "latest", "size"), (1, "newest", "on_overflow")],
)
def test_what_makes_no_mailbox_is_refused(size: Any, on_overflow: Any, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=wrong) as caught:
        Multicast[int](Dispatcher()).buffered(size, on_overflow=on_overflow)
    assert caught.value.field == wrong


# -- lagging is one's own matter


def test_only_who_sleeps_overflows_and_a_hundred_others_get_everything() -> None:
    sleeper, others = Sleeper(), [Notes() for _ in range(100)]
    with delivery_thread() as dispatcher:
        dispatcher.policy = DeliveryPolicy(mailbox_size=100)
        stream: Multicast[int] = Multicast(dispatcher)
        for one in others[:50]:
            stream.subscribe(one)
        lagging = stream.subscribe(sleeper)
        subscriptions = [stream.subscribe(one) for one in others[50:]]
        stream.emit(0)
        assert sleeper.asleep.wait(5)
        emit(stream, range(1, 101))
        assert lagging.lag == 100
        emit(stream, range(101, 900))
        assert lagging.lag == 100
        assert subscriptions[0].lag == 899
        sleeper.permit(900)
        assert sleeper.over.wait(10)
    assert all(one.values == list(range(900)) and one.error is None for one in others)
    assert sleeper.values == list(range(101))
    assert isinstance(sleeper.error, DeliveryOverflow)


def test_who_is_slow_every_time_keeps_the_others_waiting_for_two_callbacks_at_most() -> None:
    slow, fast, elsewhere = Sleeper(), Notes(), Notes()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        other: Multicast[int] = Multicast(dispatcher)
        subscription = stream.subscribe(slow)
        stream.subscribe(fast)
        other.subscribe(elsewhere)
        with held(dispatcher):
            emit(stream, range(200))
            emit(other, range(200))
            slow.permit(2)
        wait_until(lambda: len(fast.values) == len(elsewhere.values) == 200)
        assert slow.values in ([0, 1], [0, 1, 2])
        assert subscription.lag == 200 - len(slow.values)
        stream.complete()
        slow.permit(1)
        assert fast.over.wait(5)
        assert not slow.over.is_set()
        slow.permit(200)
        assert slow.over.wait(10)
    assert slow.values == list(range(200))
    assert slow.completed
    assert fast.values == elsewhere.values == list(range(200))
    assert subscription.dropped == 0
