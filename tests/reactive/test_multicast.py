"""`Multicast`: who is given what, and when; late subscribers; those who fall behind."""

from __future__ import annotations

import threading

import pytest
from reactivex import Observer

from rxsdk.core.mailbox import DeliveryPolicy
from rxsdk.errors import DeliveryOverflow
from rxsdk.reactive.delivery import Dispatcher
from rxsdk.reactive.streams import Multicast
from tests.reactive.helpers import Notes, delivery_thread, drained

FAILURE = ValueError("the end")


def fail(*_: object) -> None:
    raise KeyError("raised by a subscriber")


def test_everybody_subscribed_at_that_moment_is_given_each_value() -> None:
    first, second = Notes(), Notes()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        assert not stream.has_observers
        stream.emit(0)
        stream.subscribe(first)
        assert stream.has_observers
        stream.emit(1)
        stream.subscribe(Observer(second.on_next, second.on_error, second.on_completed))
        stream.emit(2)
        stream.complete()
        assert not stream.has_observers
        stream.emit(3)
    assert (first.values, second.values) == ([1, 2], [2])
    assert first.completed
    assert second.completed


def test_who_emits_is_told_once_everybody_has_been_handed_it() -> None:
    order: list[object] = []
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        assert not stream.emit(0, order.append)  # to nobody: never told
        stream.subscribe(order.append)
        stream.subscribe(fail)  # it was handed over, whatever became of it
        stream.subscribe(order.append)
        assert stream.emit(1, order.append)
        drained(dispatcher)
        assert order == [1, 1, True]
        stream.complete()
        assert not stream.emit(2, order.append)
    assert order == [1, 1, True]


def test_the_owner_is_told_of_each_who_comes() -> None:
    seen: list[bool] = []
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher, joined=lambda: seen.append(stream.has_observers))
        stream.subscribe(Notes())
        stream.subscribe(Notes()).dispose()
    assert seen == [True, True]


def test_who_emits_is_told_when_everybody_left_before() -> None:
    told: list[bool] = []
    dispatcher = Dispatcher()
    stream: Multicast[int] = Multicast(dispatcher)
    notes = Notes()
    subscription = stream.subscribe(notes)
    assert stream.emit(1, told.append)
    subscription.dispose()
    with delivery_thread(dispatcher):
        drained(dispatcher)
    assert (told, notes.values) == ([False], [])


def test_the_latest_is_kept_for_whoever_comes() -> None:
    early, late = Notes(), Notes()
    with delivery_thread() as dispatcher:
        stream: Multicast[bool] = Multicast(dispatcher, keep_latest=True, initial=False)
        stream.subscribe(early)
        stream.emit(True)
        stream.subscribe(late)
        stream.emit(False)
    assert early.values == [False, True, False]
    assert late.values == [True, False]


def test_without_an_initial_value_there_is_none() -> None:
    notes = Notes()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher, keep_latest=True)
        stream.subscribe(notes)
        stream.emit(1)
    assert notes.values == [1]


@pytest.mark.parametrize("error", [None, FAILURE])
def test_after_the_end_everybody_is_told_that_end(error: Exception | None) -> None:
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher, keep_latest=True, initial=1)
        if error is None:
            stream.complete()
        else:
            stream.fail(error)
        stream.complete()  # one end is enough
        stream.fail(KeyError())
        before = Notes()
        stream.subscribe(before)
    after = Notes()
    stream.subscribe(after)  # now nobody delivers any more: inline
    for notes in (before, after):
        assert notes.over.is_set()
        assert notes.values == [1]
        assert (notes.error, notes.completed) == (error, error is None)


def test_subscribed_before_there_is_a_place_to_deliver() -> None:
    dispatcher, notes = Dispatcher(), Notes()
    stream: Multicast[int] = Multicast(dispatcher, keep_latest=True, initial=0)
    stream.subscribe(notes)
    stream.emit(1)
    assert notes.values == []
    with delivery_thread(dispatcher):
        pass
    assert notes.values == [0, 1]


def test_subscribers_that_raise_never_harm_the_others(unhandled: list[BaseException]) -> None:
    notes = [Notes() for _ in range(100)]
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        for one in notes:
            stream.subscribe(fail, fail, fail)
            stream.subscribe(one)
        for value in range(3):
            stream.emit(value)
        stream.complete()
    assert all(one.values == [0, 1, 2] and one.completed for one in notes)
    assert len(unhandled) == 100 * (3 + 1)


def test_a_subscriber_that_comes_in_the_middle_of_a_value_is_given_the_next() -> None:
    late = Notes()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(lambda value: stream.subscribe(late) if value == 1 else None)
        stream.emit(1)
        drained(dispatcher)
        stream.emit(2)
    assert late.values == [2]


def test_a_subscriber_may_end_the_stream_it_hears() -> None:
    notes = Notes()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(lambda _: stream.complete())
        stream.subscribe(notes)
        stream.emit(1)
        drained(dispatcher)
        stream.emit(2)
    assert notes.values == [1]
    assert notes.completed


def test_many_threads_subscribe_and_dispose_while_values_come() -> None:
    failures: list[BaseException] = []

    def come_and_go() -> None:
        try:
            for _ in range(100):
                notes = Notes()
                subscription = stream.subscribe(notes)
                subscription.dispose()
                assert notes.values == sorted(notes.values)
        except BaseException as error:
            failures.append(error)

    steady = Notes()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(steady)
        threads = [threading.Thread(target=come_and_go) for _ in range(4)]
        for thread in threads:
            thread.start()
        for value in range(2000):
            stream.emit(value)
        for thread in threads:
            thread.join()
    assert failures == []
    assert steady.values == list(range(2000))
    assert len(stream._in_step) + len(stream._apart) == 1


# -- falling behind


SMALL = DeliveryPolicy(mailbox_size=4)


def test_who_falls_a_mailbox_behind_is_told_so_and_let_go() -> None:
    early, late = Notes(), Notes()
    gate = threading.Event()
    with delivery_thread() as dispatcher:
        dispatcher.policy = SMALL
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(early)
        stream.emit(0)
        drained(dispatcher)
        dispatcher.post(lambda _: gate.wait(5), None)
        for value in (1, 2):
            stream.emit(value)
        stream.subscribe(late)  # misses what was before, so it is not as far behind
        for value in (3, 4, 5, 6):
            stream.emit(value)
        gate.set()
        drained(dispatcher)
        stream.emit(7)
    assert early.values == [0, 1, 2, 3, 4]
    assert isinstance(early.error, DeliveryOverflow)
    assert early.error.size == 4
    assert late.values == [3, 4, 5, 6, 7]
    assert late.error is None


def test_a_stream_that_lost_all_its_subscribers_goes_on() -> None:
    slow, new = Notes(), Notes()
    gate = threading.Event()
    with delivery_thread() as dispatcher:
        dispatcher.policy = SMALL
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(slow)
        dispatcher.post(lambda _: gate.wait(5), None)
        for value in range(10):
            stream.emit(value)
        assert not stream.has_observers
        stream.subscribe(new)
        gate.set()
        drained(dispatcher)
        stream.emit(10)
    assert slow.values == [0, 1, 2, 3]
    assert isinstance(slow.error, DeliveryOverflow)
    assert new.values == [10]


def test_a_mailbox_holds_what_the_design_says() -> None:
    assert DeliveryPolicy().mailbox_size == 16_384
    notes, gate = Notes(), threading.Event()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(notes)
        dispatcher.post(lambda _: gate.wait(5), None)
        for value in range(16_384):
            stream.emit(value)
        gate.set()
    assert notes.values == list(range(16_384))
    assert notes.error is None


def test_printed_it_says_what_it_is() -> None:
    assert repr(Multicast(Dispatcher())) == "<Stream>"
