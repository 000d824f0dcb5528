"""`Dispatcher`: jobs in order, on a loop in slices or on a thread, from anywhere, to the end and after it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import rxsdk
from rxsdk.core.loop import SdkThread
from rxsdk.reactive.call import Call
from rxsdk.reactive.delivery import Dispatcher, report_unhandled
from rxsdk.reactive.streams import Multicast
from tests.reactive.helpers import Notes, delivery_thread, drained, drained_here, subscription_of


def ignore(_: object) -> None:
    """A job that does nothing."""


# -- order and place


def test_jobs_run_in_order_on_one_thread_of_ours() -> None:
    ran: list[int] = []
    places: set[threading.Thread] = set()

    def job(number: int) -> None:
        ran.append(number)
        places.add(threading.current_thread())

    with delivery_thread() as dispatcher:
        assert dispatcher.loop is None
        for number in range(1000):
            dispatcher.post(job, number)
    assert ran == list(range(1000))
    [place] = places
    assert isinstance(place, SdkThread)
    assert place.name == "rxsdk test delivery"


def test_jobs_run_in_order_on_the_callers_loop() -> None:
    async def scene() -> None:
        dispatcher = Dispatcher()
        dispatcher.run_on_loop(asyncio.get_running_loop())
        assert dispatcher.loop is asyncio.get_running_loop()
        ran: list[int] = []
        for number in range(1000):
            dispatcher.post(ran.append, number)
        assert ran == []  # never within the call that posts
        await drained_here(dispatcher)
        assert ran == list(range(1000))
        dispatcher.join()

    asyncio.run(scene())


def test_what_was_posted_before_there_was_a_place_comes_first() -> None:
    ran: list[int] = []
    dispatcher = Dispatcher()
    dispatcher.post(ran.append, 1)
    dispatcher.run_if_closed()
    assert ran == []
    with delivery_thread(dispatcher):
        dispatcher.post(ran.append, 2)
    assert ran == [1, 2]

    async def scene() -> None:
        dispatcher = Dispatcher()
        dispatcher.post(ran.append, 3)
        dispatcher.run_on_loop(asyncio.get_running_loop())
        dispatcher.post(ran.append, 4)
        await drained_here(dispatcher)

    asyncio.run(scene())
    assert ran == [1, 2, 3, 4]


def test_jobs_posted_by_jobs_come_after_those_posted_before() -> None:
    ran: list[str] = []
    with delivery_thread() as dispatcher:
        gate = threading.Event()
        dispatcher.post(lambda _: gate.wait(5), None)
        dispatcher.post(lambda _: dispatcher.post(ran.append, "c"), None)
        dispatcher.post(ran.append, "b")
        gate.set()
        drained(dispatcher)
    assert ran == ["b", "c"]


@pytest.mark.parametrize("on_thread", [True, False])
def test_threads_post_at_once_and_each_ones_jobs_stay_in_order(on_thread: bool) -> None:
    ran: list[tuple[int, int]] = []

    def post_many(dispatcher: Dispatcher, who: int) -> None:
        for number in range(2000):
            dispatcher.post(ran.append, (who, number))

    def start(dispatcher: Dispatcher) -> list[threading.Thread]:
        posting = [threading.Thread(target=post_many, args=(dispatcher, who)) for who in range(4)]
        for thread in posting:
            thread.start()
        return posting

    async def on_this_loop() -> None:
        dispatcher = Dispatcher()
        dispatcher.run_on_loop(asyncio.get_running_loop())
        for thread in start(dispatcher):
            await asyncio.to_thread(thread.join)
        await drained_here(dispatcher)

    if on_thread:
        with delivery_thread() as dispatcher:
            for thread in start(dispatcher):
                thread.join()
    else:
        asyncio.run(on_this_loop())
    assert len(ran) == 8000
    for who in range(4):
        assert [number for one, number in ran if one == who] == list(range(2000))


def test_the_loop_breathes_while_many_jobs_wait() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        dispatcher = Dispatcher()
        dispatcher.run_on_loop(loop)
        ran: list[int] = []

        def job(number: int) -> None:
            time.sleep(0.0005)
            ran.append(number)

        for number in range(500):
            dispatcher.post(job, number)
        done_when_it_rang: list[int] = []
        loop.call_later(0.001, lambda: done_when_it_rang.append(len(ran)))
        await drained_here(dispatcher)
        assert ran == list(range(500))
        assert done_when_it_rang[0] <= 2 * 5 / 0.5, "the timer had to wait for more than two slices of 5 ms"

    asyncio.run(scene())


# -- at once, between two pieces of what was read


def test_what_is_due_may_be_run_before_the_turn_ends() -> None:
    async def scene() -> None:
        dispatcher = Dispatcher()
        dispatcher.run_on_loop(asyncio.get_running_loop())
        ran: list[int] = []
        dispatcher.run_due()
        dispatcher.post(ran.append, 1)
        dispatcher.run_due()
        assert ran == [1]
        dispatcher.post(lambda _: dispatcher.run_due(), None)  # within a callback it does nothing
        dispatcher.post(ran.append, 2)
        dispatcher.run_due()
        assert ran == [1, 2]
        dispatcher.post(ran.append, 3)
        await drained_here(dispatcher)
        assert ran == [1, 2, 3]

    asyncio.run(scene())


def test_all_that_runs_in_one_turn_has_one_slice() -> None:
    async def scene() -> None:
        dispatcher = Dispatcher()
        dispatcher.run_on_loop(asyncio.get_running_loop())
        ran: list[int] = []

        def job(number: int) -> None:
            time.sleep(0.006)
            ran.append(number)

        for number in range(3):
            dispatcher.post(job, number)
            dispatcher.run_due()
        assert ran == [0]
        await asyncio.sleep(0)
        assert ran == [0, 1]
        dispatcher.run_due()  # a slice of this turn has been, and was not enough
        assert ran == [0, 1]
        await drained_here(dispatcher)
        assert ran == [0, 1, 2]

    asyncio.run(scene())


def test_a_thread_runs_its_jobs_alone() -> None:
    with delivery_thread() as dispatcher:
        gate, places = threading.Event(), list[threading.Thread]()
        dispatcher.post(lambda _: gate.wait(5), None)
        dispatcher.post(lambda _: places.append(threading.current_thread()), None)
        dispatcher.run_due()
        gate.set()
        drained(dispatcher)
    assert [type(place) for place in places] == [SdkThread]


def test_ctrl_c_between_two_pieces_reaches_the_loop_and_not_the_reader() -> None:
    loop = asyncio.new_event_loop()
    dispatcher = Dispatcher()
    dispatcher.run_on_loop(loop)
    stream: Multicast[int] = Multicast(dispatcher)
    notes = Notes()
    stream.subscribe(raising(KeyboardInterrupt))
    stream.subscribe(notes)

    def read() -> None:
        for number in range(2):
            stream.emit(number)
            dispatcher.run_due()

    loop.call_soon(read)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
    loop.run_until_complete(drained_here(dispatcher))
    assert notes.values == [0, 1]
    loop.close()


# -- at once, while it is handed up


def watched(dispatcher: Dispatcher, *observers: Any) -> Call[Any]:
    """A watch that was made, with observers."""
    watch: Call[Any] = Call("staff/watch", dispatcher, lambda call, asked: None)
    watch.reply("made", final=False)
    for observer in observers:
        watch.subscribe(observer)
    return watch


def test_what_is_handed_up_is_delivered_there_and_then() -> None:
    async def scene() -> None:
        dispatcher, notes = Dispatcher(), Notes()
        dispatcher.run_on_loop(asyncio.get_running_loop())
        watch = watched(dispatcher, notes)
        await drained_here(dispatcher)
        heard: list[list[Any]] = []

        def hand_up() -> None:
            for number in range(3):
                watch.reply(number, final=False)
                heard.append(notes.values[1:])

        dispatcher.deliver_during(hand_up)
        assert heard == [[0], [0, 1], [0, 1, 2]]
        watch.reply(3, final=False)
        assert notes.values == ["made", 0, 1, 2], "nobody is handing up"
        dispatcher.deliver_during(lambda: watch.reply(4, final=False))
        assert notes.values == ["made", 0, 1, 2, 3, 4]

    asyncio.run(scene())


def test_what_is_handed_up_waits_for_what_waits() -> None:
    async def scene() -> None:
        dispatcher = Dispatcher()
        dispatcher.run_on_loop(asyncio.get_running_loop())
        ran: list[Any] = []
        watch = watched(dispatcher, ran.append)
        await drained_here(dispatcher)

        def hand_up() -> None:
            watch.reply(1, final=False)
            dispatcher.post(ran.append, "job")
            watch.reply(2, final=False)
            ran.append("handed up")

        dispatcher.deliver_during(hand_up)
        assert ran == ["made", 1, "handed up", "job", 2]

    asyncio.run(scene())


def test_what_comes_within_a_callback_is_delivered_after_it() -> None:
    async def scene() -> None:
        dispatcher = Dispatcher()
        dispatcher.run_on_loop(asyncio.get_running_loop())
        ran: list[Any] = []
        watch = watched(dispatcher)
        other = watched(dispatcher, ran.append)

        def on_next(value: Any) -> None:
            other.reply(f"because of {value}", final=False)
            ran.append(value)

        watch.subscribe(on_next)
        await drained_here(dispatcher)
        ran.clear()
        dispatcher.deliver_during(lambda: watch.reply(1, final=False))
        assert ran == [1, "because of 1"]

    asyncio.run(scene())


def test_a_callback_that_takes_long_ends_the_slice_and_goes_on_by_itself() -> None:
    async def scene() -> None:
        dispatcher, notes = Dispatcher(), Notes()
        dispatcher.run_on_loop(asyncio.get_running_loop())
        watch = watched(dispatcher)
        slow = watch.subscribe(lambda value: time.sleep(0.006 if value != "made" else 0))
        watch.subscribe(notes)
        await drained_here(dispatcher)

        def hand_up() -> None:
            for number in range(3):
                watch.reply(number, final=False)

        dispatcher.deliver_during(hand_up)
        assert notes.values == ["made", 0]
        await drained_here(dispatcher)
        assert notes.values == ["made", 0, 1, 2]
        assert slow.place is not None, "it was not found out"

    asyncio.run(scene())


def test_ctrl_c_in_what_is_delivered_at_once_reaches_the_loop_and_not_the_reader() -> None:
    loop = asyncio.new_event_loop()
    dispatcher, notes = Dispatcher(), Notes()
    dispatcher.run_on_loop(loop)
    watch = watched(dispatcher, notes)
    loop.run_until_complete(drained_here(dispatcher))
    watch.subscribe(raising(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):  # the latest, by a job
        loop.run_forever()

    def hand_up() -> None:
        for number in range(2):
            watch.reply(number, final=False)

    loop.call_soon(dispatcher.deliver_during, hand_up)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
    loop.run_until_complete(drained_here(dispatcher))
    assert notes.values == ["made", 0, 1]
    loop.close()


def test_beside_a_thread_nothing_is_delivered_at_once() -> None:
    with delivery_thread() as dispatcher:
        notes = Notes()
        watch = watched(dispatcher, notes)
        dispatcher.deliver_during(lambda: watch.reply(1, final=False))
        drained(dispatcher)
    assert notes.values == ["made", 1]
    assert {type(thread) for thread in notes.threads} == {SdkThread}


# -- the end


def test_closing_runs_what_waits_and_then_the_last_word() -> None:
    ran: list[str] = []
    dispatcher = Dispatcher()
    dispatcher.run_on_thread("rxsdk test delivery")
    gate = threading.Event()
    dispatcher.post(lambda _: gate.wait(5), None)
    for name in "abc":
        dispatcher.post(ran.append, name)
    dispatcher.close(lambda: ran.append("end"))
    gate.set()
    dispatcher.join()
    assert ran == ["a", "b", "c", "end"]


def test_closing_on_the_delivery_thread_itself_does_not_wait_for_itself() -> None:
    dispatcher = Dispatcher()
    dispatcher.run_on_thread("rxsdk test delivery")
    joined = threading.Event()

    def close(_: None) -> None:
        dispatcher.close(lambda: None)
        dispatcher.join()
        joined.set()

    dispatcher.post(close, None)
    dispatcher.join()
    assert joined.is_set()


def test_after_the_end_whoever_posts_runs_it() -> None:
    with delivery_thread() as dispatcher:
        pass
    ran: list[threading.Thread] = []
    dispatcher.post(lambda _: ran.append(threading.current_thread()), None)
    assert ran == []
    dispatcher.run_if_closed()
    assert ran == [threading.current_thread()]


def test_after_the_end_late_subscribers_on_many_threads_keep_the_contract() -> None:
    """Two late subscribers must not run each other's notifications, one value here, its end there, at once."""
    with delivery_thread() as dispatcher:
        pass
    heard: list[Notes] = []
    failures: list[str] = []

    class Slow(Notes):
        def on_next(self, value: Any) -> None:
            super().on_next(value)
            tick.wait(0.0005)

    def subscribe() -> None:
        for _ in range(30):
            notes = Slow()
            heard.append(notes)
            subscription = subscription_of(notes)
            with dispatcher.lock:
                for number in range(3):
                    dispatcher.post(subscription.next, number)
                dispatcher.post(lambda one: one.complete(), subscription)
            dispatcher.run_if_closed()
            if not notes.over.wait(5):
                failures.append("never told of the end")

    tick = threading.Event()
    threads = [threading.Thread(target=subscribe) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert all(notes.values == [0, 1, 2] and notes.completed for notes in heard)


def test_after_the_end_a_notification_is_not_run_inside_another() -> None:
    with delivery_thread() as dispatcher:
        pass
    order: list[str] = []

    def first(_: None) -> None:
        dispatcher.post(lambda _: order.append("inner"), None)
        dispatcher.run_if_closed()
        order.append("outer ends")

    dispatcher.post(first, None)
    dispatcher.run_if_closed()
    assert order == ["outer ends", "inner"]


def test_after_the_end_on_a_loop_all_that_is_left_runs_in_one_go() -> None:
    async def scene() -> None:
        dispatcher = Dispatcher()
        dispatcher.run_on_loop(asyncio.get_running_loop())
        ran: list[int] = []

        def last_word() -> None:
            for number in range(20_000):
                dispatcher.post(ran.append, number)
            asyncio.get_running_loop().call_soon(lambda: seen.set_result(len(ran)))

        seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        dispatcher.close(last_word)
        assert await seen == 20_000

    asyncio.run(scene())


def test_a_loop_that_has_closed_is_let_be() -> None:
    dispatcher = Dispatcher()

    async def bind() -> None:
        dispatcher.run_on_loop(asyncio.get_running_loop())

    asyncio.run(bind())
    dispatcher.post(ignore, None)


def test_abandoned_it_forgets_what_waited_and_runs_what_comes() -> None:
    dispatcher = Dispatcher()
    ran: list[str] = []
    with dispatcher.lock:
        dispatcher.post(ran.append, "lost")
        dispatcher.abandon()
    dispatcher.join()
    dispatcher.post(ran.append, "late")
    dispatcher.run_if_closed()
    assert ran == ["late"]


def test_after_the_end_each_thread_runs_its_own_and_is_kept_by_no_other() -> None:
    dispatcher = Dispatcher()
    dispatcher.run_on_thread("delivery")
    dispatcher.close(lambda: None)
    dispatcher.join()
    ran: list[str] = []
    gate, begun = threading.Event(), threading.Event()

    def wait(_: None) -> None:
        begun.set()
        gate.wait(10)
        dispatcher.post(ran.append, "nested")
        dispatcher.run_if_closed()  # not now: an observer is not called from within another's callback
        ran.append("first")

    def subscribe_late() -> None:
        dispatcher.post(wait, None)
        dispatcher.run_if_closed()

    other = threading.Thread(target=subscribe_late)
    other.start()
    assert begun.wait(10)
    dispatcher.post(ran.append, "mine")
    dispatcher.run_if_closed()
    assert ran == ["mine"]
    gate.set()
    other.join()
    assert ran == ["mine", "first", "nested"]


# -- what raises


def test_a_job_that_raises_is_reported_and_the_next_runs(unhandled: list[BaseException]) -> None:
    ran: list[str] = []

    def fail(_: None) -> None:
        raise KeyError("k")

    with delivery_thread() as dispatcher:
        dispatcher.post(fail, None)
        dispatcher.post(ran.append, "next")
    assert ran == ["next"]
    assert [type(error) for error in unhandled] == [KeyError]


def test_unhandled_errors_are_logged_and_told(unhandled: list[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("v")
    report_unhandled(error, "a test")
    assert unhandled == [error]
    [record] = caplog.records
    assert (record.name, record.levelno) == ("rxsdk", logging.ERROR)
    assert record.getMessage() == "unhandled in a test: ValueError"
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_a_hook_that_raises_is_logged_and_harms_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(error: BaseException) -> None:
        raise RuntimeError("in the hook")

    monkeypatch.setattr(rxsdk, "on_unhandled", hook)
    report_unhandled(ValueError("v"), "a test")
    assert [record.getMessage() for record in caplog.records] == [
        "unhandled in a test: ValueError",
        "rxsdk.on_unhandled itself raised",
    ]


def test_without_a_hook_it_is_only_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delattr(rxsdk, "on_unhandled")
    report_unhandled(ValueError("v"), "a test")
    assert len(caplog.records) == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exit_from_the_hook_goes_through_on_the_callers_thread_only(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hook(error: BaseException) -> None:
        raise kind

    monkeypatch.setattr(rxsdk, "on_unhandled", hook)
    with pytest.raises(kind):
        report_unhandled(ValueError("v"), "a test")
    ran: list[str] = []
    with delivery_thread() as dispatcher:
        dispatcher.post(lambda _: report_unhandled(ValueError("v"), "a test"), None)
        dispatcher.post(ran.append, "next")
    assert ran == ["next"]


def raising(kind: type[BaseException]) -> Callable[..., None]:
    def callback(*_: object) -> None:
        raise kind("raised by a subscriber")

    return callback


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_nothing_a_callback_raises_ends_the_delivery_thread(
    kind: type[BaseException], unhandled: list[BaseException]
) -> None:
    notes = Notes()
    with delivery_thread() as dispatcher:
        stream: Multicast[int] = Multicast(dispatcher)
        stream.subscribe(raising(kind), raising(kind), raising(kind))
        stream.subscribe(notes)
        stream.emit(1)
        stream.complete()
        assert notes.over.wait(5)
    assert notes.values == [1]
    assert [type(error) for error in unhandled] == [kind, kind]


def test_a_cancelled_error_in_a_callback_harms_nobody_on_a_loop(unhandled: list[BaseException]) -> None:
    async def scene() -> None:
        dispatcher = Dispatcher()
        dispatcher.run_on_loop(asyncio.get_running_loop())
        stream: Multicast[int] = Multicast(dispatcher)
        notes = Notes()
        stream.subscribe(raising(asyncio.CancelledError))
        stream.subscribe(notes)
        stream.emit(1)
        await drained_here(dispatcher)
        assert notes.values == [1]
        assert len(unhandled) == 1

    asyncio.run(scene())


def test_ctrl_c_in_a_callback_reaches_the_callers_loop(unhandled: list[BaseException]) -> None:
    loop = asyncio.new_event_loop()
    dispatcher = Dispatcher()
    dispatcher.run_on_loop(loop)
    ran: list[str] = []
    subscription = subscription_of(Notes())
    subscription._next = raising(KeyboardInterrupt)
    dispatcher.post(subscription.next, 1)
    dispatcher.post(ran.append, "later")
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert (ran, unhandled) == ([], [])
    loop.run_until_complete(drained_here(dispatcher))  # whoever goes on misses nothing
    assert ran == ["later"]
    loop.close()


def test_what_a_late_subscriber_is_told_may_raise_too(unhandled: list[BaseException]) -> None:
    with delivery_thread() as dispatcher:
        pass
    ran: list[str] = []
    dispatcher.post(raising(KeyError), None)
    dispatcher.post(ran.append, "next")
    dispatcher.run_if_closed()
    assert ran == ["next"]
    assert [type(error) for error in unhandled] == [KeyError]
