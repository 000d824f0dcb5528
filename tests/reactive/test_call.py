"""`Call`: one outcome kept for everybody, watches, cancelling, and the failure that nobody saw."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from reactivex.internal.exceptions import SequenceContainsNoElementsError

from rxsdk.errors import CallCancelled, CallOutcomeUnknown, CallRejected, CallTimeout, WrongThreadError
from rxsdk.reactive.call import Call
from rxsdk.reactive.delivery import Dispatcher
from tests.reactive.helpers import Notes, Table, delivery_thread, rejected

# -- an ordinary call


def test_the_reply_is_kept_for_every_subscriber(table: Table) -> None:
    early, second, late = Notes(), Notes(), Notes()
    call = table.call()
    call.subscribe(early)
    call.subscribe(second)
    call.reply("answer", final=True)
    call.reply("another", final=True)
    call.fail(rejected())
    call.complete()
    call.subscribe(late)
    table.drained()
    for notes in (early, second, late):
        assert notes.values == ["answer"]
        assert notes.completed
    assert table.cancelled == []


def test_the_error_is_kept_for_every_subscriber(table: Table) -> None:
    early, late = Notes(), Notes()
    call, error = table.call(), rejected()
    call.subscribe(early)
    assert call.error is None
    call.fail(error)
    assert call.error is error
    call.fail(CallTimeout("staff/read", 1.0))
    call.subscribe(late)
    table.drained()
    for notes in (early, late):
        assert (notes.values, notes.error) == ([], error)


def test_disposing_does_not_take_it_back_but_says_that_nobody_listens(table: Table) -> None:
    notes, other = Notes(), Notes()
    call = table.call()
    first, second = call.subscribe(notes), call.subscribe(other)
    first.dispose()
    assert table.cancelled == []
    second.dispose()
    assert table.cancelled == [False]  # the service decides: for an upload under way it matters
    call.reply("answer", final=True)
    table.drained()
    assert notes.values == other.values == []
    assert call.result(1) == "answer"


def test_cancel_asks_in_so_many_words(table: Table) -> None:
    call = table.call()
    call.cancel()
    assert table.cancelled == [True]


def test_subscribed_after_the_service_ended(table: Table) -> None:
    notes = Notes()
    dispatcher = Dispatcher()
    call = Table(dispatcher).call()
    with delivery_thread(dispatcher):
        call.reply("answer", final=True)
    call.subscribe(notes)
    assert (notes.values, notes.completed) == (["answer"], True)


def test_it_shows_where_it_is(table: Table) -> None:
    call = table.call()
    assert repr(call) == "<Call staff/read pending>"
    call.reply(1, final=False)
    assert repr(call) == "<Call staff/read watching>"
    call.complete()
    assert repr(call) == "<Call staff/read done>"
    failed = table.call()
    failed.cancel()
    failed.fail(CallCancelled("staff/read", written=False))
    assert repr(failed) == "<Call staff/read CallCancelled>"


# -- await, result, iterate


def test_await_gives_the_first_reply_to_everybody(table: Table) -> None:
    async def scene() -> list[Any]:
        call = table.call()
        waiting = [asyncio.ensure_future(awaited(call)) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.to_thread(call.reply, "answer", final=True)
        return [*await asyncio.gather(*waiting), await call]

    async def awaited(call: Call[Any]) -> Any:
        return await call

    assert asyncio.run(scene()) == ["answer"] * 4
    assert table.cancelled == []


def test_await_raises_the_same_error_to_everybody(table: Table) -> None:
    async def scene() -> list[Any]:
        call = table.call()
        waiting = [asyncio.ensure_future(awaited(call)) for _ in range(3)]
        await asyncio.sleep(0)
        call.fail(error)
        return await asyncio.gather(*waiting, awaited(call), return_exceptions=True)

    async def awaited(call: Call[Any]) -> Any:
        return await call

    error = rejected()
    assert asyncio.run(scene()) == [error] * 4


def test_cancelling_an_await_does_not_cancel_the_call(table: Table) -> None:
    async def scene() -> Any:
        call = table.call()
        for _ in range(50):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(call, 0.0001)
        assert call._waiters == (), "who waits no longer is forgotten"
        call.reply("answer", final=True)
        return await call

    assert asyncio.run(scene()) == "answer"
    assert table.cancelled == []


def test_an_await_cancelled_in_the_moment_of_the_reply(table: Table) -> None:
    async def scene() -> None:
        call = table.call()
        waiting = asyncio.ensure_future(awaited(call))
        await asyncio.sleep(0)
        call.reply("answer", final=True)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert await call == "answer"

    async def awaited(call: Call[Any]) -> Any:
        return await call

    asyncio.run(scene())


def test_who_awaited_on_a_loop_that_has_closed_harms_nobody(table: Table) -> None:
    call = table.call()

    async def begin() -> None:
        call.__await__().send(None)

    asyncio.run(begin())
    call.reply("answer", final=True)
    assert call.result(1) == "answer"


def test_result_blocks_for_the_first_reply(table: Table) -> None:
    call = table.call()
    threading.Timer(0.01, lambda: call.reply("answer", final=True)).start()
    assert call.result(5) == "answer"
    assert call.result() == "answer"
    error = rejected()
    call = table.call()
    threading.Timer(0.01, lambda: call.fail(error)).start()
    with pytest.raises(CallRejected) as caught:
        call.result(5)
    assert caught.value is error


def test_result_that_comes_too_late_leaves_the_call_going(table: Table) -> None:
    call = table.call()
    with pytest.raises(TimeoutError, match=r"staff/read: no reply within 0\.01 s"):
        call.result(0.01)
    assert call._waiters == ()
    call.reply("answer", final=True)
    assert call.result(1) == "answer"
    assert table.cancelled == []


def test_result_refuses_where_it_would_hang(table: Table) -> None:
    async def on_a_loop() -> None:
        with pytest.raises(WrongThreadError):
            call.result(1)

    refused: list[Exception] = []

    def on_delivery(_: Any) -> None:
        try:
            call.result(1)
        except WrongThreadError as error:
            refused.append(error)

    call = table.call()
    asyncio.run(on_a_loop())
    table.dispatcher.post(on_delivery, None)
    table.drained()
    assert len(refused) == 1


def test_iterating_gives_every_reply_and_leaving_disposes(table: Table) -> None:
    async def scene() -> None:
        watch = table.call()
        watch.reply(1, final=False)
        seen = []
        async for value in watch:
            seen.append(value)
            if value == 1:
                watch.reply(2, final=False)
            else:
                break
        assert seen == [1, 2]
        assert table.cancelled == [False]

    asyncio.run(scene())


def test_a_reply_just_before_the_waiter_is_there(table: Table) -> None:
    call = table.call()
    call.reply("answer", final=True)
    told: list[str] = []
    call.when_settled(lambda: told.append("told"))
    assert told == ["told"]


# -- watches


def test_a_watch_gives_what_comes_and_keeps_the_latest(table: Table) -> None:
    early, late, after = Notes(), Notes(), Notes()
    watch = table.call()
    watch.subscribe(early)
    watch.reply("made", final=False)
    watch.reply("change 1", final=False)
    watch.subscribe(late)
    watch.reply("change 2", final=False)
    watch.complete()
    watch.complete()
    watch.subscribe(after)
    table.drained()
    assert early.values == ["made", "change 1", "change 2"]
    assert late.values == ["change 1", "change 2"]
    assert after.values == ["change 2"]
    assert all(notes.completed for notes in (early, late, after))
    assert watch.result(1) == "made"  # the first, whatever came since


def test_what_can_be_made_again_is_not_kept_and_who_comes_late_is_given_it_all_the_same(table: Table) -> None:
    early, late, after = Notes(), Notes(), Notes()
    call = table.call(lambda answer: answer + "!")
    call.subscribe(early)
    call.reply("made", final=False)
    call.reply("change", final=False, again=bytes.decode, of=b"change")
    call.subscribe(late)
    call.reply("another", final=False, again=bytes.decode, of=b"another")
    table.drained()
    call.complete()
    call.subscribe(after)
    table.drained()
    assert early.values == ["made!", "change!", "another!"]
    assert late.values == ["change!", "another!"]
    assert after.values == ["another!"]
    assert early.completed
    assert after.completed
    assert call.result() == "made!"


def test_a_watch_that_fails_late_gave_its_first_reply_all_the_same(table: Table) -> None:
    notes = Notes()
    watch = table.call()
    watch.reply("made", final=False)
    watch.subscribe(notes)
    watch.fail(error := rejected())
    table.drained()
    assert (notes.values, notes.error) == (["made"], error)
    assert watch.result(1) == "made"


def test_the_last_to_leave_a_watch_ends_it(table: Table) -> None:
    watch = table.call()
    watch.reply("made", final=False)
    first, second = watch.subscribe(Notes()), watch.subscribe(Notes())
    first.dispose()
    first.dispose()
    assert table.cancelled == []
    second.dispose()
    assert table.cancelled == [False]


def test_left_before_it_was_made_it_ends_as_soon_as_it_is(table: Table) -> None:
    watch = table.call()
    watch.subscribe(Notes()).dispose()
    assert table.cancelled == [False]  # too early: the service can do nothing yet
    watch.reply("made", final=False)
    assert table.cancelled == [False, False]


def test_left_before_it_was_made_and_subscribed_again_it_goes_on(table: Table) -> None:
    watch, notes = table.call(), Notes()
    watch.subscribe(Notes()).dispose()
    watch.subscribe(notes)
    watch.reply("made", final=False)
    table.drained()
    assert table.cancelled == [False]
    assert notes.values == ["made"]


def test_a_watch_that_ended_before_it_was_made_has_nothing_to_give(table: Table) -> None:
    async def wait() -> None:
        await watch

    watch, notes = table.call(), Notes()
    watch.complete()
    with pytest.raises(SequenceContainsNoElementsError):
        watch.result(1)
    with pytest.raises(SequenceContainsNoElementsError):
        asyncio.run(wait())
    watch.subscribe(notes)
    table.drained()
    assert (notes.values, notes.completed) == ([], True)


def test_none_is_a_reply_like_others(table: Table) -> None:
    call, early, late = table.call(), Notes(), Notes()
    call.subscribe(early)
    call.reply(None, final=True)
    assert call.result(1) is None
    call.subscribe(late)
    table.drained()
    assert early.values == late.values == [None]


def test_a_watch_that_ends_with_a_reply_gives_all_before_it(table: Table) -> None:
    watch, notes = table.call(), Notes()
    watch.subscribe(notes)
    watch.reply(1, final=False)
    watch.reply(2, final=True)
    table.drained()
    assert (notes.values, notes.completed) == ([1, 2], True)


def test_leaving_after_the_end_does_nothing(table: Table) -> None:
    watch = table.call()
    subscription = watch.subscribe(Notes())
    watch.complete()
    subscription.dispose()
    table.drained()
    assert table.cancelled == []


def test_who_waits_in_the_process_that_this_was_forked_from_is_not_called() -> None:
    dispatcher, waited = Dispatcher(), threading.Event()
    call: Call[str] = Call("staff/read", dispatcher, lambda call, asked: None)
    call.when_settled(waited.set)
    dispatcher.abandon()
    call.fail(CallCancelled("staff/read", written=False))
    assert call.error is not None
    assert not waited.is_set()


def left_behind() -> tuple[Call[str], Notes]:
    """A call that was in nobody's hands as the process was forked, and who had subscribed to it before."""
    dispatcher, before = Dispatcher(), Notes()
    call: Call[str] = Call("staff/read", dispatcher, lambda call, asked: None)
    call.subscribe(before)
    dispatcher.abandon()
    return call, before


def test_left_behind_by_a_fork_it_ends_when_somebody_blocks_on_it() -> None:
    call, before = left_behind()
    with pytest.raises(CallOutcomeUnknown, match="this process was forked"):
        call.result(5)
    assert (before.error, before.completed) == (None, False)


def test_left_behind_by_a_fork_it_ends_when_somebody_awaits_it() -> None:
    call, _ = left_behind()

    async def scene() -> None:
        async with asyncio.timeout(5):
            await call

    with pytest.raises(CallOutcomeUnknown, match="this process was forked"):
        asyncio.run(scene())


def test_left_behind_by_a_fork_it_ends_when_somebody_subscribes() -> None:
    call, before = left_behind()
    late, later = Notes(), Notes()
    call.subscribe(late)
    call.map(str.upper).subscribe(later)
    assert isinstance(late.error, CallOutcomeUnknown)
    assert later.error is late.error
    assert (before.error, before.completed) == (None, False)


def test_left_behind_by_a_fork_a_watch_that_was_made_completes() -> None:
    dispatcher, late = Dispatcher(), Notes()
    watch: Call[str] = Call("staff/read", dispatcher, lambda call, asked: None)
    watch.reply("made", final=False)
    dispatcher.abandon()
    watch.subscribe(late)
    assert (late.values, late.completed) == (["made"], True)


def test_what_is_told_stands_in_its_place_and_is_not_kept() -> None:
    """See `Call.tell`."""
    dispatcher = Dispatcher()
    call: Call[Any] = Call("a/watch", dispatcher, lambda _call, _asked: None)
    call.tell("to nobody")
    seen: list[Any] = []
    call.subscribe(seen.append)
    call.tell("early")
    call.reply(1, final=False)
    call.tell("gap")
    call.reply(2, final=True)
    call.tell("late")
    dispatcher.close(lambda: None)
    dispatcher.run_now()
    assert seen == ["early", 1, "gap", 2]
