"""What waits for a subscriber: the policies to the letter, and that only who lags is hurt by lagging."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice
from operator import length_hint
from typing import Any

import pytest

from rxsdk.core.mailbox import DeliveryPolicy, OnOverflow
from rxsdk.errors import ConfigurationError, DeliveryOverflow
from rxsdk.reactive import delivery, fanout
from rxsdk.reactive.delivery import Dispatcher
from rxsdk.reactive.streams import Multicast, Stream
from rxsdk.reactive.subscription import Place
from tests.conftest import wait_until
from tests.reactive.helpers import Notes, Table, delivery_thread, drained, drained_here


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


def test_what_was_kept_for_a_newcomer_comes_first_even_if_it_is_let_go_at_once() -> None:
    notes = Notes()
    with delivery_thread() as dispatcher:
        dispatcher.policy = DeliveryPolicy(mailbox_size=3)
        stream: Multicast[int] = Multicast(dispatcher, keep_latest=True, initial=0)
        with held(dispatcher):
            stream.subscribe(notes)
            emit(stream, range(1, 10))
        assert notes.over.wait(5)
    assert notes.values == [0, 1, 2, 3]
    assert isinstance(notes.error, DeliveryOverflow)


def test_who_waits_for_the_others_to_reach_its_place_hears_the_end_too() -> None:
    early, late = Notes(), Notes()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(early)
        with held(dispatcher):
            stream.emit(1)
            waiting = stream.subscribe(late)
            assert waiting.lag == 0
            stream.complete()
    assert (early.values, early.completed) == ([1], True)
    assert (late.values, late.completed) == ([], True)


def test_who_has_left_is_no_longer_behind() -> None:
    slow, fast = Sleeper(), Notes()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        subscription = stream.subscribe(slow)
        stream.subscribe(fast)
        with held(dispatcher):
            emit(stream, range(10))
            slow.permit(2)
        wait_until(lambda: len(fast.values) == 10)
        subscription.dispose()
        assert (subscription.lag, stream._log) == (0, None)
        slow.permit(10)
        stream.emit(10)
        stream.complete()
    assert slow.values in ([0, 1], [0, 1, 2])
    assert not slow.over.is_set()
    assert fast.values == list(range(11))


def test_who_is_behind_may_drop_so_much_that_the_others_have_yet_to_reach_it() -> None:
    slow, fast = Sleeper(), Notes()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        subscription = stream.buffered(5, on_overflow="drop_oldest").subscribe(slow)
        stream.subscribe(fast)
        with held(dispatcher):
            emit(stream, range(3))
            slow.permit(2)
        slow.asleep.clear()
        wait_until(lambda: len(slow.values) == 3)  # in a turn of its own
        emit(stream, range(3, 20))
        assert (subscription.lag, subscription.dropped) == (5, 12)
        slow.permit(20)
        stream.complete()
    assert slow.values == [0, 1, 2, 15, 16, 17, 18, 19]
    assert slow.completed
    assert fast.values == list(range(20))


def test_there_is_a_limit_to_what_waits_because_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "_HELD_UP", 20)
    sleeper, victim = Sleeper(), Notes()
    with delivery_thread() as dispatcher:
        dispatcher.policy = DeliveryPolicy(mailbox_size=10)
        stream: Multicast[int] = Multicast(dispatcher)
        other: Multicast[int] = Multicast(dispatcher)
        other.subscribe(sleeper)
        stream.subscribe(victim)
        other.emit(0)
        assert sleeper.asleep.wait(5)
        emit(stream, range(30))
        assert stream.has_observers
        stream.emit(30)
        assert not stream.has_observers
        sleeper.permit(1)
        assert victim.over.wait(5)
    assert victim.values == list(range(10))
    assert isinstance(victim.error, DeliveryOverflow)


def test_who_is_called_when_little_came_since_is_not_to_blame() -> None:
    """It waited for somebody else, who is done: it is only just being called."""
    first, second = Sleeper(), Sleeper()
    with delivery_thread() as dispatcher:
        dispatcher.policy = DeliveryPolicy(mailbox_size=10)
        stream: Multicast[int] = Multicast(dispatcher)
        other: Multicast[int] = Multicast(dispatcher)
        other.subscribe(first)
        stream.subscribe(second)
        other.emit(0)
        assert first.asleep.wait(5)
        emit(stream, range(9))
        first.permit(1)
        assert second.asleep.wait(5)
        emit(stream, range(9, 13))
        assert stream.has_observers
        second.permit(20)
        stream.complete()
    assert second.values == list(range(13))
    assert second.completed


# -- who is told when all were handed a value


def test_who_emits_is_told_after_those_who_lag_too() -> None:
    slow, fast, told = Sleeper(), Notes(), list[bool]()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(slow)
        stream.subscribe(fast)
        with held(dispatcher):
            for value in range(4):
                stream.emit(value, told.append)
            slow.permit(2)
        wait_until(lambda: len(fast.values) == 4)
        assert told == [True, True]
        slow.permit(10)
        wait_until(lambda: told == [True] * 4)
    assert slow.values == fast.values == [0, 1, 2, 3]


# -- iterating


@pytest.mark.parametrize(("on_overflow", "heard"), [("error", [0, 1, 2]), ("drop_oldest", [5, 6, 7]), ("latest", [7])])
def test_the_inbox_of_an_iteration_is_bounded_by_the_same_policy(on_overflow: OnOverflow, heard: list[int]) -> None:
    async def scene() -> None:
        dispatcher = Dispatcher()
        dispatcher.run_on_loop(asyncio.get_running_loop())
        stream: Multicast[int] = Multicast(dispatcher)
        iteration = aiter(stream.buffered(3, on_overflow=on_overflow))
        for value in range(8):
            stream.emit(value)
            await drained_here(dispatcher)
        assert iteration.lag == len(heard)
        assert iteration.dropped == (0 if on_overflow == "error" else 8 - len(heard))
        assert [await anext(iteration) for _ in heard] == heard
        if on_overflow == "error":
            with pytest.raises(DeliveryOverflow):
                await anext(iteration)
        await iteration.aclose()

    asyncio.run(scene())


# -- who raises


@pytest.mark.parametrize("on_raise", ["keep", "detach"])
@pytest.mark.parametrize("derived", [False, True])
def test_who_raises_is_kept_or_detached(on_raise: Any, derived: bool, unhandled: list[BaseException]) -> None:
    heard: list[int] = []

    def raise_it(value: int) -> None:
        heard.append(value)
        raise KeyError(value)

    notes = Notes()
    with delivery_thread() as dispatcher:
        dispatcher.policy = DeliveryPolicy(on_raise=on_raise)
        stream: Multicast[int] = Multicast(dispatcher)
        subscription = (stream.map(lambda value: value) if derived else stream).subscribe(raise_it)
        stream.subscribe(notes)
        emit(stream, range(3))
        stream.complete()
    assert heard == ([0, 1, 2] if on_raise == "keep" else [0])
    assert len(unhandled) == len(heard)
    assert subscription.is_stopped
    assert notes.values == [0, 1, 2]


def test_who_raises_harms_no_other_behind_the_same_operators(unhandled: list[BaseException]) -> None:
    def raise_it(_: Any) -> None:
        raise KeyError

    notes = Notes()
    with delivery_thread() as dispatcher:
        source: Multicast[int] = Multicast(dispatcher)
        shared = source.map(lambda value: value).share()
        shared.subscribe(raise_it, raise_it, raise_it)
        shared.subscribe(notes)
        emit(source, range(3))
        source.complete()
    assert (notes.values, notes.completed) == ([0, 1, 2], True)
    assert len(unhandled) == 4


def test_ctrl_c_in_a_callback_keeps_nothing_from_the_others() -> None:
    loop = asyncio.new_event_loop()
    dispatcher = Dispatcher()
    dispatcher.run_on_loop(loop)
    stream: Multicast[int] = Multicast(dispatcher)
    notes = Notes()

    def interrupt(_: Any = None) -> None:
        raise KeyboardInterrupt

    for derive in (lambda: stream, lambda: stream.map(lambda value: value)):
        derive().subscribe(interrupt, None, interrupt)  # type: ignore[no-untyped-call]
    stream.subscribe(notes)
    emit(stream, range(2))
    stream.complete()
    dispatcher.post(lambda _: loop.stop(), None)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
    loop.run_forever()
    assert (notes.values, notes.completed) == ([0, 1], True)
    loop.close()


# -- mailboxes after operators


def test_a_mailbox_after_operators_tells_the_end() -> None:
    complete, failed, late = Notes(), Notes(), Notes()
    error = ValueError("the end")
    with delivery_thread() as dispatcher:
        for notes in (complete, failed):
            source: Multicast[int] = Multicast(dispatcher)
            source.map(lambda value: value).buffered(5, on_overflow="error").subscribe(notes)
            source.emit(1)
            if notes is complete:
                source.complete()
            else:
                source.fail(error)
    source.map(lambda value: value).buffered(5, on_overflow="error").subscribe(late)
    assert (complete.values, complete.completed) == ([1], True)
    assert (failed.values, failed.error) == ([1], error)
    assert late.error is error


def test_the_lag_after_operators_is_that_of_the_source() -> None:
    with delivery_thread() as dispatcher:
        stream: Any = Multicast[int](dispatcher).map(lambda value: value)
        subscription = stream.subscribe(Notes())
        assert not stream._take_turn(subscription, Place())
        assert (subscription.lag, subscription.dropped) == (0, 0)
        assert not subscription.take_turn()
        assert not subscription.is_stopped
        subscription.dispose()
        assert subscription.is_stopped


def test_who_disposes_itself_in_a_callback_that_took_long_is_not_set_apart() -> None:
    stream: Multicast[int]

    def slow_and_gone(value: int) -> None:
        time.sleep(0.006)
        if value == 1:
            subscription.dispose()

    notes = Notes()
    with delivery_thread() as dispatcher:
        stream = Multicast(dispatcher)
        subscription = stream.subscribe(slow_and_gone)
        stream.subscribe(notes)
        with held(dispatcher):
            emit(stream, range(5))
        wait_until(lambda: len(notes.values) == 5)
        assert len(stream._in_step) == 1
        assert stream._apart == ()
    assert notes.values == list(range(5))


def test_a_laggard_whose_mailbox_is_full_is_told_so() -> None:
    slow, fast = Sleeper(), Notes()
    with delivery_thread() as dispatcher:
        dispatcher.policy = DeliveryPolicy(mailbox_size=10)
        stream: Multicast[int] = Multicast(dispatcher)
        subscription = stream.subscribe(slow)
        stream.subscribe(fast)
        with held(dispatcher):
            emit(stream, range(3))
            slow.permit(2)
        wait_until(lambda: len(slow.values) == 3)  # in a turn of its own
        emit(stream, range(3, 20))
        assert subscription.lag == 10
        slow.permit(20)
        assert slow.over.wait(5)
        wait_until(lambda: len(fast.values) == 20)
    assert slow.values == list(range(13))
    assert isinstance(slow.error, DeliveryOverflow)
    assert fast.values == list(range(20))


@pytest.mark.parametrize("then", ["leaves", "emits"])
def test_what_a_laggard_does_in_a_turn_of_its_own(then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "_TURN_S", 5.0)  # one turn is enough
    heard: list[int] = []

    def on_next(value: int) -> None:
        heard.append(value)
        if value < 2:
            time.sleep(0.05)  # is set apart, behind by one value
        elif value == 2 and then == "leaves":
            subscription.dispose()
        elif value == 2:
            emit(stream, range(4, 20))

    notes = Notes()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        subscription = stream.buffered(5, on_overflow="drop_oldest").subscribe(on_next)
        stream.subscribe(notes)
        with held(dispatcher):
            emit(stream, range(4))
        wait_until(lambda: len(notes.values) == (4 if then == "leaves" else 20))
    assert heard == ([0, 1, 2] if then == "leaves" else [0, 1, 2, 15, 16, 17, 18, 19])
    assert subscription.dropped == (0 if then == "leaves" else 12)


def test_a_loop_breathes_less_often_rather_than_let_mailboxes_run_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that brings more in a turn of the loop than a slice of 5 ms takes."""
    ticks = count()
    monkeypatch.setattr(delivery.time, "perf_counter", lambda: next(ticks) * 0.001)  # each look takes a millisecond

    async def scene() -> None:
        dispatcher = Dispatcher()
        dispatcher.policy = DeliveryPolicy(mailbox_size=100)
        dispatcher.run_on_loop(loop := asyncio.get_running_loop())
        stream: Multicast[int] = Multicast(dispatcher)
        notes = Notes()
        stream.subscribe(notes)
        came = iter(range(600))

        def read() -> None:
            for value in islice(came, 20):
                stream.emit(value)
            if length_hint(came):
                loop.call_soon(read)
            else:
                stream.complete()

        read()
        while not notes.over.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert notes.values == list(range(600))
        assert notes.error is None
        assert dispatcher._slice_s == delivery.SLICE_S

    asyncio.run(scene())


@pytest.mark.parametrize("slow", [True, False])
def test_what_comes_in_one_turn_is_nobodys_lag_on_a_thread_either(slow: bool) -> None:
    """One message of the server may tell of thousands of changes."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        dispatcher.policy = DeliveryPolicy(mailbox_size=10)
        stream: Multicast[int] = Multicast(dispatcher)
        for observer in (sleeper, notes):
            stream.subscribe(observer)
        emit(stream, range(1))
        assert await loop.run_in_executor(None, sleeper.asleep.wait, 5)
        emit(stream, range(1, 100))
        for value in range(100, 111 if slow else 105):  # each in a turn of its own: only a mailbox of these may wait
            await asyncio.sleep(0)
            stream.emit(value)
        sleeper.permit(200)
        stream.complete()
        assert await loop.run_in_executor(None, sleeper.over.wait, 10)

    sleeper, notes, dispatcher = Sleeper(), Notes(), Dispatcher()

    async def main() -> None:
        dispatcher.run_on_thread("rxsdk test delivery", asyncio.get_running_loop())
        try:
            await scene()
        finally:
            dispatcher.close(lambda: None)
            await asyncio.to_thread(dispatcher.join)

    asyncio.run(main())
    if slow:
        assert isinstance(sleeper.error, DeliveryOverflow)
        assert sleeper.values == list(range(11))  # the one it was given, and what its mailbox held
    else:
        assert (sleeper.values, sleeper.completed) == (list(range(105)), True)
    assert notes.values == list(range(111 if slow else 105))


def test_what_comes_in_one_turn_of_the_loop_is_nobodys_lag() -> None:
    async def scene() -> None:
        dispatcher = Dispatcher()
        dispatcher.policy = DeliveryPolicy(mailbox_size=100)
        dispatcher.run_on_loop(asyncio.get_running_loop())
        stream: Multicast[int] = Multicast(dispatcher)
        notes = Notes()
        subscription = stream.subscribe(notes)
        emit(stream, range(5000))
        assert subscription.lag == 5000
        await drained_here(dispatcher)
        assert notes.values == list(range(5000))
        assert not subscription.is_stopped

    asyncio.run(scene())
