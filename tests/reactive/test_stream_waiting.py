"""`Stream`: awaited, iterated and blocked on, from any loop and thread, also after operators."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.internal.exceptions import SequenceContainsNoElementsError

from rxsdk.core.loop import choose_loop, wake
from rxsdk.core.mailbox import DeliveryPolicy
from rxsdk.errors import DeliveryOverflow, WrongThreadError
from rxsdk.reactive.delivery import Dispatcher
from rxsdk.reactive.streams import Multicast, Stream
from tests.conftest import wait_until
from tests.reactive.helpers import Notes, delivery_thread, drained, drained_here

Derive = Callable[[Stream[Any]], Any]

DERIVED: dict[str, Derive] = {
    "itself": lambda stream: stream,
    "pipe without operators": lambda stream: stream.pipe(),
    "pipe": lambda stream: stream.pipe(ops.map(lambda value: value + 1), ops.filter(bool)),
    "fluent": lambda stream: stream.map(lambda value: value + 1).filter(bool).take(2),
    "share": lambda stream: stream.share(),
    "ref_count": lambda stream: stream.pipe(ops.publish(), ops.ref_count()),
    "fluent ref_count": lambda stream: stream.publish().ref_count(),
    "ref_count operator": lambda stream: stream.publish().pipe(ops.ref_count()),
    "auto_connect": lambda stream: stream.publish().auto_connect(),
    "connected": lambda stream: connected(stream.publish()),
    "buffered": lambda stream: stream.map(lambda value: value).buffered(5, on_overflow="error"),
    "after buffered": lambda stream: stream.buffered(5, on_overflow="error").map(lambda value: value),
    "slice": lambda stream: stream[0:2],
    "plus": lambda stream: stream + reactivex.of(3),
    "sum": lambda stream: stream.sum(),
    "sum by key": lambda stream: stream.sum(lambda value: value * 2),
    "partition": lambda stream: stream.partition(lambda value: value > 1)[0],
    "partition_indexed": lambda stream: stream.partition_indexed(lambda value, index: index == 1)[0],
    "pluck": lambda stream: stream.map(lambda value: {"a": value}).pluck("a"),
    "switch_latest": lambda stream: stream.map(reactivex.of).switch_latest(),
    "exclusive": lambda stream: stream.map(reactivex.of).exclusive(),
    "dematerialize": lambda stream: stream.materialize().dematerialize(),
    "merge": lambda stream: stream.merge(reactivex.empty()),
    "take_while": lambda stream: stream.take_while(lambda value: value < 5),
    "with_latest_from": lambda stream: stream.with_latest_from(reactivex.of(9)),
    "delay": lambda stream: stream.delay(0.001),
}


def connected(stream: Any) -> Any:
    assert stream.connect() is stream.connect()
    return stream


def added_to(stream: Stream[Any]) -> Any:
    stream += reactivex.of(3)
    return stream


DERIVED["plus equals"] = added_to


@pytest.mark.parametrize("derive", DERIVED.values(), ids=DERIVED)
def test_awaited_on_a_loop_while_another_thread_delivers(derive: Derive) -> None:
    """reactivex' own await stalls here: it sets a future without waking its loop."""

    async def wait(stream: Stream[Any]) -> Any:
        waiting = asyncio.ensure_future(derived_wait(stream))
        await asyncio.to_thread(wait_until, lambda: source.has_observers)
        for value in (1, 2):
            source.emit(value)
        source.complete()
        return await asyncio.wait_for(waiting, 5)

    async def derived_wait(stream: Stream[Any]) -> Any:
        return await stream

    with delivery_thread() as dispatcher:
        source: Multicast[int] = Multicast(dispatcher)
        derived = derive(source)
        assert isinstance(derived, Stream)
        expected = {"pipe": 3, "fluent": 3, "plus": 3, "plus equals": 3, "sum": 3, "sum by key": 6}
        name = next(name for name, one in DERIVED.items() if one is derive)
        wanted = (2, 9) if name == "with_latest_from" else expected.get(name, 2)
        assert asyncio.run(wait(derived)) == wanted


def test_operators_keep_what_they_make_themselves() -> None:
    stream: Multicast[int] = Multicast(Dispatcher())
    published = stream.pipe(ops.publish())
    assert isinstance(published, reactivex.ConnectableObservable)
    assert isinstance(published, Stream)
    assert stream.pipe(lambda source: 5) == 5


def test_the_lock_is_made_once_and_only_when_wanted() -> None:
    stream: Stream[int] = Multicast(Dispatcher())
    assert stream._lock is None
    lock = stream.lock
    assert stream.lock is lock


def test_awaited_on_the_loop_that_delivers() -> None:
    async def scene() -> None:
        dispatcher = Dispatcher()
        dispatcher.run_on_loop(asyncio.get_running_loop())
        stream: Multicast[int] = Multicast(dispatcher)
        waiting = asyncio.ensure_future(stream._wait_for_last())
        await asyncio.sleep(0)
        stream.emit(1)
        stream.emit(2)
        stream.complete()
        assert await waiting == 2
        assert await stream.pipe(ops.default_if_empty(5)) == 5

    asyncio.run(scene())


def test_an_error_is_raised_by_await_and_result_and_iteration() -> None:
    error = ValueError("the end")

    async def scene(stream: Stream[int]) -> None:
        with pytest.raises(ValueError, match="the end"):
            await stream
        with pytest.raises(ValueError, match="the end"):
            async for _ in stream:
                pass

    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.fail(error)
        with pytest.raises(ValueError, match="the end"):
            stream.result(5)
        asyncio.run(scene(stream))


def test_an_empty_stream_has_no_last_value() -> None:
    async def scene(stream: Stream[int]) -> list[int]:
        with pytest.raises(SequenceContainsNoElementsError):
            await stream
        return [value async for value in stream]

    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.complete()
        with pytest.raises(SequenceContainsNoElementsError):
            stream.result(5)
        assert asyncio.run(scene(stream)) == []


def test_a_cancelled_await_lets_go() -> None:
    async def scene(stream: Multicast[int]) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stream, 0.01)
        assert not stream.has_observers

    with delivery_thread() as dispatcher:
        asyncio.run(scene(Multicast(dispatcher)))


# -- blocking


def test_result_waits_for_the_last_value() -> None:
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher, keep_latest=True, initial=1)
        assert stream.pipe(ops.first()).result(5) == 1
        threading.Timer(0.01, lambda: (stream.emit(2), stream.complete())).start()
        assert stream.run() == 2


def test_result_that_comes_too_late_lets_go() -> None:
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        with pytest.raises(TimeoutError, match=r"not complete within 0\.01 s"):
            stream.result(0.01)
        assert not stream.has_observers


def test_result_refuses_where_it_would_hang() -> None:
    errors: list[Exception] = []

    def ask(_: Any = None) -> None:
        try:
            stream.result(5)
        except WrongThreadError as error:
            errors.append(error)

    async def on_a_loop() -> None:
        ask()

    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        asyncio.run(on_a_loop())
        dispatcher.post(ask, None)
        drained(dispatcher)
        lease = choose_loop("own")
        asyncio.run_coroutine_threadsafe(on_a_loop(), lease.loop).result(5)
        lease.release()
        lease.join()
    assert len(errors) == 3


# -- iterating


def test_iteration_gives_every_value_and_ends() -> None:
    async def scene(stream: Multicast[int]) -> None:
        iteration = aiter(stream)
        assert aiter(iteration) is iteration
        for value in range(3):
            stream.emit(value)
        assert await anext(iteration) == 0
        waiting = asyncio.ensure_future(collect(iteration))
        await asyncio.to_thread(drained, stream._dispatcher)
        await asyncio.sleep(0)
        stream.emit(3)
        stream.complete()
        assert await asyncio.wait_for(waiting, 5) == [1, 2, 3]
        with pytest.raises(StopAsyncIteration):
            await anext(iteration)

    async def collect(iteration: Any) -> list[int]:
        return [value async for value in iteration]

    with delivery_thread() as dispatcher:
        asyncio.run(scene(Multicast(dispatcher)))


@pytest.mark.parametrize("deliver_here", [True, False])
def test_leaving_the_iteration_disposes(deliver_here: bool) -> None:
    async def scene(dispatcher: Dispatcher) -> None:
        if deliver_here:
            dispatcher.run_on_loop(asyncio.get_running_loop())
        stream: Multicast[int] = Multicast(dispatcher, keep_latest=True, initial=1)
        async for value in stream:
            assert value == 1
            assert stream.has_observers
            break
        assert not stream.has_observers
        iteration = aiter(stream)
        assert await anext(iteration) == 1
        stream.emit(2)
        await iteration.aclose()
        assert not stream.has_observers
        with pytest.raises(StopAsyncIteration):
            await anext(iteration)

    if deliver_here:
        asyncio.run(scene(Dispatcher()))
    else:
        with delivery_thread() as dispatcher:
            asyncio.run(scene(dispatcher))


def test_an_error_comes_after_the_values_before_it_and_once() -> None:
    async def scene(stream: Multicast[int]) -> None:
        iteration = aiter(stream)
        stream.emit(1)
        stream.fail(ValueError("the end"))
        assert await anext(iteration) == 1
        with pytest.raises(ValueError, match="the end"):
            await anext(iteration)
        with pytest.raises(StopAsyncIteration):
            await anext(iteration)

    with delivery_thread() as dispatcher:
        asyncio.run(scene(Multicast(dispatcher)))


def test_an_iteration_that_falls_behind_is_told_so() -> None:
    async def scene() -> None:
        dispatcher = Dispatcher()
        dispatcher.policy = DeliveryPolicy(mailbox_size=4)
        dispatcher.run_on_loop(asyncio.get_running_loop())
        stream: Multicast[int] = Multicast(dispatcher)
        iteration = aiter(stream)
        for value in range(8):
            stream.emit(value)
            await drained_here(dispatcher)
        stream.fail(ValueError("too late to matter"))
        await drained_here(dispatcher)
        assert [await anext(iteration) for _ in range(4)] == [0, 1, 2, 3]
        with pytest.raises(DeliveryOverflow):
            await anext(iteration)

    asyncio.run(scene())


def test_an_iteration_cancelled_while_waiting_goes_on_later() -> None:
    async def scene() -> None:
        dispatcher = Dispatcher()
        dispatcher.run_on_loop(asyncio.get_running_loop())
        stream: Multicast[int] = Multicast(dispatcher)
        iteration = aiter(stream)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(iteration), 0.01)
        stream.emit(1)
        assert await asyncio.wait_for(anext(iteration), 5) == 1

    asyncio.run(scene())


def test_a_value_that_comes_just_before_the_wait_is_not_slept_over() -> None:
    async def scene() -> None:
        dispatcher = Dispatcher()
        dispatcher.run_on_loop(loop := asyncio.get_running_loop())
        iteration = aiter(Multicast[int](dispatcher))
        make_future = loop.create_future

        def come_in_between() -> Any:
            iteration._inbox.on_next(5)  # as the delivery thread may at this very moment
            return make_future()

        loop.create_future = come_in_between  # type: ignore[method-assign]
        try:
            value = await anext(iteration)
        finally:
            loop.create_future = make_future  # type: ignore[method-assign]
        assert value == 5

    asyncio.run(scene())


def test_an_iteration_outside_a_loop_is_refused_and_leaves_nothing() -> None:
    stream: Multicast[int] = Multicast(Dispatcher())
    with pytest.raises(RuntimeError, match="no running event loop"):
        aiter(stream)
    gc.collect()
    assert not stream.has_observers


def test_collected_in_the_middle_of_a_subscription_it_does_not_hang() -> None:
    """The garbage collector may dispose an iteration while this very thread holds the lock."""

    async def scene() -> None:
        dispatcher = Dispatcher()
        stream: Multicast[int] = Multicast(dispatcher)
        iteration = aiter(stream)
        ring: list[Any] = [iteration]
        ring.append(ring)
        del iteration, ring
        with dispatcher.lock:
            gc.collect()
        assert not stream.has_observers

    asyncio.run(scene())


# -- waking


def test_waking_a_loop_that_has_closed_harms_nobody() -> None:
    async def make() -> tuple[asyncio.AbstractEventLoop, Any]:
        loop = asyncio.get_running_loop()
        return loop, loop.create_future()

    wake(*asyncio.run(make()))


def test_waking_twice_or_too_late_changes_nothing() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        wake(loop, future)
        wake(loop, future)
        await asyncio.to_thread(wake, loop, future)
        await asyncio.sleep(0)
        assert future.done()

    asyncio.run(scene())


def test_subscribers_of_what_operators_make_are_isolated_too(unhandled: list[BaseException]) -> None:
    def fail(_: Any) -> None:
        raise KeyError("raised by a subscriber")

    notes = Notes()
    error = ValueError("the end")
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.map(lambda value: value).subscribe(fail)
        stream.map(lambda value: value).subscribe(notes)
        stream.emit(1)
        stream.fail(error)
    assert (notes.values, notes.error) == ([1], error)
    assert [type(one) for one in unhandled] == [KeyError, ValueError]
