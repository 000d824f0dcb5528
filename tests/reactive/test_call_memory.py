"""`Call`: replies of the wrong shape, the failure that nobody saw, and that nothing is kept alive."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from rxsdk.errors import CallCancelled, CallRejected, CallTimeout
from rxsdk.reactive.call import Call
from tests.conftest import wait_until
from tests.reactive.helpers import Notes, Table, rejected

# -- decoding


def test_replies_are_made_into_what_was_asked_for(table: Table) -> None:
    call = table.call(decode=int)
    call.reply("5", final=True)
    assert call.result(1) == 5


@pytest.mark.parametrize("error", [CallTimeout("staff/read", 1.0), KeyError("in __post_init__")])
def test_a_reply_that_does_not_fit_ends_the_call(table: Table, error: Exception) -> None:
    def decode(answer: Any) -> Any:
        raise error

    call = table.call(decode)
    call.reply("answer", final=True)
    with pytest.raises(type(error)):
        call.result(1)
    assert table.cancelled == []


def test_a_change_that_does_not_fit_ends_the_watch_on_the_server_too(table: Table) -> None:
    notes = Notes()
    watch = table.call(decode=int)
    watch.subscribe(notes)
    watch.reply("1", final=False)
    watch.reply("one", final=False)
    watch.reply("2", final=False)
    table.drained()
    assert notes.values == [1]
    assert isinstance(notes.error, ValueError)
    assert table.cancelled == [False]


# -- the failure that nobody saw


def unseen(caplog: pytest.LogCaptureFixture) -> list[str]:
    gc.collect()
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_failure_nobody_saw_is_logged_once_with_endpoint_and_code(
    table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    call = table.call()
    call.fail(rejected())
    assert unseen(caplog) == []
    del call
    [message] = unseen(caplog)
    assert "staff/read" in message
    assert "403 CORE_SESSION_FORBIDDEN" in message


def see_by_subscribing_before(call: Call[Any], error: Exception) -> None:
    call.subscribe(on_error=lambda _: None)
    call.fail(error)


def see_by_subscribing_after(call: Call[Any], error: Exception) -> None:
    call.fail(error)
    call.subscribe(on_error=lambda _: None)


def see_by_result(call: Call[Any], error: Exception) -> None:
    call.fail(error)
    with pytest.raises(CallRejected):
        call.result(1)


def see_by_await(call: Call[Any], error: Exception) -> None:
    async def wait() -> None:
        await call

    call.fail(error)
    with pytest.raises(CallRejected):
        asyncio.run(wait())


def see_by_cancelling(call: Call[Any], error: Exception) -> None:
    call.cancel()
    call.fail(CallCancelled("staff/read", written=True))


@pytest.mark.parametrize(
    "see",
    [see_by_subscribing_before, see_by_subscribing_after, see_by_result, see_by_await, see_by_cancelling],
)
def test_a_failure_that_somebody_saw_is_not_logged(
    see: Callable[[Call[Any], Exception], None], table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    see(table.call(), rejected())
    table.drained()
    assert unseen(caplog) == []


def test_an_await_given_up_before_the_failure_saw_nothing(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        call = table.call()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call, 0.001)
        call.fail(rejected())

    asyncio.run(scene())
    assert len(unseen(caplog)) == 1


# -- nothing is kept alive


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def settled(call: Call[Any], how: str) -> None:
    if how == "reply":
        call.reply("answer", final=True)
    elif how == "watch":
        call.reply("made", final=False)
        call.complete()
    else:
        call.fail(rejected())


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("how", ["reply", "watch", "failure"])
def test_an_ended_call_is_gone_with_its_last_reference(table: Table, how: str) -> None:
    call = table.call()
    subscription = call.subscribe(lambda _: None, lambda _: None)
    settled(call, how)
    table.drained()
    gone = weakref.ref(call)
    del call
    wait_until(lambda: gone() is None)
    subscription.dispose()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("how", ["reply", "failure"])
@pytest.mark.parametrize("wait", ["await", "result"])
def test_a_call_that_was_waited_for_is_gone_too(table: Table, how: str, wait: str) -> None:
    """Without care an error's traceback would hold the call, and the call the error."""

    def make() -> Call[Any]:
        call = table.call()
        seen.append(weakref.ref(call))
        settled(call, how)
        return call

    async def awaited() -> Any:
        return await make()

    seen: list[weakref.ref[Any]] = []
    with suppress(CallRejected):
        asyncio.run(awaited()) if wait == "await" else make().result(1)
    assert seen[0]() is None
