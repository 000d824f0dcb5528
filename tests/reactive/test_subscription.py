"""`Subscription`: what one observer hears, in whose context, and when it stops."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest
from reactivex import Observer

from rxsdk.reactive.streams import Multicast
from rxsdk.reactive.subscription import Subscription, callbacks_of
from tests.reactive.helpers import Notes, Nowhere, delivery_thread, drained, subscription_of

who: ContextVar[str] = ContextVar("who", default="nobody")


def fail(*_: object) -> None:
    raise KeyError("raised by a subscriber")


def test_values_then_one_end_then_nothing() -> None:
    notes = Notes()
    subscription = subscription_of(notes)
    subscription.next(1)
    subscription.next(None)
    subscription.complete()
    subscription.next(2)
    subscription.complete()
    subscription.fail(ValueError())
    assert (notes.values, notes.completed, notes.error) == ([1, None], True, None)
    assert subscription.is_stopped


def test_an_error_is_an_end_too() -> None:
    notes = Notes()
    subscription = subscription_of(notes)
    error = ValueError("v")
    subscription.fail(error)
    subscription.complete()
    assert (notes.error, notes.completed) == (error, False)


def test_callbacks_that_are_not_there_are_not_missed(unhandled: list[BaseException]) -> None:
    subscription = Subscription(None, None, None, Nowhere())
    subscription.next(1)
    subscription.complete()
    assert unhandled == []


def test_an_error_that_nobody_takes_is_unhandled(unhandled: list[BaseException]) -> None:
    error = ValueError("v")
    Subscription(print, None, None, Nowhere()).fail(error)
    assert unhandled == [error]


def test_a_callback_that_raises_is_reported_each_time_and_stays(unhandled: list[BaseException]) -> None:
    subscription = Subscription(fail, fail, fail, Nowhere())
    subscription.next(1)
    subscription.next(2)
    subscription.complete()
    Subscription(fail, fail, fail, Nowhere()).fail(ValueError())
    assert [type(error) for error in unhandled] == [KeyError] * 4


def test_disposing_detaches_once() -> None:
    nowhere = Nowhere()
    notes = Notes()
    subscription = Subscription(notes.on_next, notes.on_error, notes.on_completed, nowhere)
    subscription.dispose()
    subscription.dispose()
    subscription.next(1)
    subscription.complete()
    assert nowhere.detached == [subscription]
    assert (notes.values, notes.completed) == ([], False)


def test_an_ended_subscription_need_not_be_detached() -> None:
    nowhere = Nowhere()
    subscription = Subscription(None, None, None, nowhere)
    subscription.complete()
    subscription.dispose()
    assert nowhere.detached == []


def test_an_observer_counts_as_its_methods() -> None:
    notes = Notes()
    assert callbacks_of(notes, None, None) == (notes.on_next, notes.on_error, notes.on_completed)
    observer: Any = Observer(print)
    assert callbacks_of(observer, None, None)[0] == observer.on_next
    assert callbacks_of(print, repr, None) == (print, repr, None)


async def _tell(*_: object) -> None:
    """Would never run."""


async def _yield(*_: object) -> AsyncIterator[None]:
    yield


class _Teller:
    async def __call__(self, value: object) -> None:
        """Would never run."""

    async def tell(self, value: object) -> None:
        """Would never run."""


@pytest.mark.parametrize("callback", [_tell, _yield, _Teller(), _Teller().tell, partial(_tell, 1)])
def test_what_nobody_would_await_is_refused(callback: Any) -> None:
    with pytest.raises(TypeError, match=r"^on_next must not be async, .*write: async for value in stream: await …$"):
        callbacks_of(callback, None, None)
    with pytest.raises(TypeError, match=r"^on_completed must not be async"):
        callbacks_of(print, None, callback)


@pytest.mark.parametrize("callback", [3, "print", []])
def test_what_cannot_be_called_is_refused_where_it_is_given(callback: Any) -> None:
    with pytest.raises(TypeError, match=rf"^on_next must be callable, not {type(callback).__name__}$"):
        callbacks_of(callback, None, None)
    with pytest.raises(TypeError, match=r"^on_error must be callable"):
        callbacks_of(None, callback, None)


def test_callbacks_run_in_the_context_of_the_subscriber() -> None:
    heard: list[str] = []

    def hear(*_: object) -> None:
        heard.append(who.get())

    with delivery_thread() as dispatcher:
        one: Multicast[int] = Multicast(dispatcher)
        other: Multicast[int] = Multicast(dispatcher)
        token = who.set("anna")
        one.subscribe(hear, hear, hear)
        one.map(lambda value: value).subscribe(hear)
        who.set("berta")
        other.subscribe(hear, hear, hear)
        who.reset(token)
        one.emit(1)
        one.complete()
        other.emit(1)
        other.fail(ValueError())
    assert heard == ["anna", "anna", "anna", "berta", "berta"]


@pytest.mark.parametrize("where", ["callback", "another thread"])
def test_disposed_in_the_middle_it_hears_no_more(where: str) -> None:
    heard: list[int] = []
    gate = threading.Event()

    def hear(value: int) -> None:
        heard.append(value)
        if value == 2 and where == "callback":
            subscription.dispose()

    notes = Notes()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        subscription = stream.subscribe(hear)
        stream.subscribe(notes)
        for value in (1, 2):
            stream.emit(value)
        drained(dispatcher)
        dispatcher.post(lambda _: gate.wait(5), None)
        for value in (3, 4):
            stream.emit(value)
        if where == "another thread":
            thread = threading.Thread(target=subscription.dispose)
            thread.start()
            thread.join()
        gate.set()
    assert heard == [1, 2]
    assert notes.values == [1, 2, 3, 4]


def test_one_subscriber_can_dispose_another_in_the_middle_of_a_value() -> None:
    first, second = Notes(), Notes()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(first)
        stream.subscribe(lambda _: later.dispose())
        later = stream.subscribe(second)
        stream.emit(1)
    assert (first.values, second.values) == ([1], [])
