"""Calls over a real socket: matching, outcomes, typed docs, subscribers that misbehave."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import threading
import weakref
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec
import pytest
import reactivex
from reactivex import operators as ops

from rxsdk import (
    ApiService,
    Call,
    CallCancelled,
    CallNotSent,
    CallRejected,
    CallTimeout,
    DocTypeMismatch,
    InvalidCall,
    Session,
)
from rxsdk.emulator import Emulator
from tests.conftest import wait_until
from tests.staff import album_doc


def answer_in_random_order(emulator: Emulator, endpoint: str, calls: int) -> None:
    for _ in range(calls):
        emulator.delay(endpoint, random.uniform(0, 0.1), times=1)


def test_a_thousand_in_flight_answered_in_random_order_each_get_their_own(
    signed_in: ApiService, emulator: Emulator
) -> None:
    for rank in range(10):
        signed_in.call("album/create", doc=album_doc(rank=rank)).result()
    order: list[int] = []
    answer_in_random_order(emulator, "album/read", 1_000)
    calls = [signed_in.call("album/read", query=[{"rank": number % 10}]) for number in range(1_000)]
    for number, call in enumerate(calls):
        call.subscribe(lambda res, number=number: order.append(number))
    ranks = [call.result().docs[0]["rank"] for call in calls]
    assert ranks == [number % 10 for number in range(1_000)]
    wait_until(lambda: len(order) == 1_000)
    assert sorted(order) == list(range(1_000))
    assert order != sorted(order), "the emulator was told to answer in another order"


def test_an_auth_in_the_middle_of_a_thousand_loses_none(api: ApiService, emulator: Emulator) -> None:
    answer_in_random_order(emulator, "staff/read", 1_000)
    before = [api.call("staff/read") for _ in range(500)]
    auth = api.auth("email", emulator.admin_email, emulator.admin_password)
    after = [api.call("staff/read") for _ in range(500)]
    assert {call.result().status for call in [*before, auth, *after]} == {200}


def test_a_reply_without_call_id_ends_with_the_timeout_and_says_what_came(api: ApiService, emulator: Emulator) -> None:
    emulator.without_call_id("staff/read")
    emulator.refuse_next("staff/read", 500, "CORE_SERVER_ERROR")
    with pytest.raises(CallTimeout, match=r"no answer within 0\.2 s .*without call_id came: 500 CORE_SERVER_ERROR"):
        api.call("staff/read", timeout_s=0.2).result()
    assert api.call("staff/read").result().status == 200


def test_a_call_that_is_never_answered_times_out(api: ApiService) -> None:
    with pytest.raises(CallTimeout) as caught:  # "an unknown operator" is never answered by the server
        api.call("staff/read", query=[{"name": {"$nosuch": 1}}], timeout_s=0.2).result()
    assert (caught.value.endpoint, caught.value.timeout_s) == ("staff/read", 0.2)
    assert api.call("staff/read").result().status == 200


def test_a_late_reply_to_a_call_that_timed_out_goes_nowhere(api: ApiService, emulator: Emulator) -> None:
    emulator.delay("staff/read", 0.15)
    late = api.call("staff/read", timeout_s=0.05)
    with pytest.raises(CallTimeout):
        late.result()
    on_time = api.call("staff/read", timeout_s=5)
    assert on_time.result().args.call_id != ""
    with pytest.raises(CallTimeout):
        late.result()


def test_await_auth_waits_and_says_so_when_nobody_signs_in(api: ApiService, emulator: Emulator) -> None:
    with pytest.raises(CallNotSent, match=r"nobody signed in within 0\.1 s"):
        api.call("staff/read", await_auth=True, queue_timeout_s=0.1).result()
    waiting = api.call("staff/read", await_auth=True)
    api.auth("email", emulator.admin_email, emulator.admin_password).result()
    assert waiting.result().status == 200
    assert emulator.executed["staff/read"] == 1


def test_a_rejection_carries_the_whole_reply(api: ApiService) -> None:
    with pytest.raises(CallRejected) as caught:
        api.call("staff/create", doc={}).result()
    error = caught.value
    assert (error.status, error.code) == (403, "CORE_SESSION_FORBIDDEN")
    assert error.res.args.code == error.code
    assert error.msg in str(error)


def test_a_subscriber_that_raises_harms_nobody(api: ApiService, unhandled: list[BaseException]) -> None:
    call = api.call("staff/read")
    seen: list[str] = []

    def bad(_: object) -> None:
        raise ValueError("mine")

    call.subscribe(bad)
    call.subscribe(lambda res: seen.append(res.msg), on_completed=lambda: seen.append("completed"))
    wait_until(lambda: len(seen) == 2)
    assert [str(error) for error in unhandled] == ["mine"]
    assert api.call("staff/read").result().status == 200


def test_a_failure_nobody_looked_at_is_logged_once(api: ApiService, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "rxsdk"):
        api.call("staff/nosuch")
        wait_until(lambda: caplog.records)
    assert [record.getMessage() for record in caplog.records] == [
        "a failed call that nobody looked at: staff/nosuch: 400 CORE_REQ_INVALID_METHOD 'Endpoint method is invalid.'"
    ]


def test_cancel_takes_a_waiting_call_back(api: ApiService, emulator: Emulator) -> None:
    call = api.call("staff/read", await_auth=True)
    call.cancel()
    with pytest.raises(CallCancelled, match="before it was sent"):
        call.result()
    assert emulator.executed["staff/read"] == 0


class Album(msgspec.Struct):
    rank: int
    tags: list[str]


@dataclass
class AlbumData:
    rank: int


class AlbumDict(TypedDict):
    rank: int


def test_a_threads_call_cancelled_on_the_loop_at_once_says_whether_it_was_sent(emulator: Emulator) -> None:
    async def scene() -> None:
        async with ApiService(emulator.config()) as api:
            calls: list[Call[Any]] = []
            thread = threading.Thread(target=lambda: calls.append(api.call("staff/read")))
            thread.start()
            thread.join()  # the loop has not come to it yet
            calls[0].cancel()
            with pytest.raises(CallCancelled) as caught:
                await calls[0]
            for _ in range(2):  # the first may go out before what the thread has left, the second does not
                with pytest.raises(CallRejected):
                    await api.call("staff/create")
            assert emulator.executed["staff/read"] == caught.value.written

    asyncio.run(scene())


def test_a_call_that_a_slow_thread_makes_while_the_service_closes_is_told_its_end(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ApiService(emulator.config()), ApiService(emulator.config()) as api:  # the loop goes on for the other
        on_loop, told = api._life.on_loop, threading.Event()

        def close_and_go_on(job: Any, argument: Any) -> None:
            monkeypatch.undo()
            call = argument.listener
            call.subscribe(None, lambda _: told.set())
            api.close().result()
            on_loop(job, argument)

        monkeypatch.setattr(api._life, "on_loop", close_and_go_on)
        call = api.call("staff/read")
        with pytest.raises(CallNotSent, match="the service is closed"):
            call.result(10)
        assert told.wait(10)


def test_docs_in_the_callers_type(signed_in: ApiService) -> None:
    signed_in.call("album/create", doc=album_doc(rank=3, tags=["a"])).result()
    assert signed_in.call("album/read", doc_type=Album).result().docs == [Album(3, ["a"])]
    assert signed_in.call("album/read", doc_type=AlbumData).result().args.docs == [AlbumData(3)]
    assert signed_in.call("album/read", doc_type=AlbumDict).result().docs == [{"rank": 3}]


def test_a_doc_that_does_not_fit_names_the_path(signed_in: ApiService) -> None:
    class Wrong(msgspec.Struct):
        rank: str

    signed_in.call("album/create", doc=album_doc(rank=3)).result()
    with pytest.raises(DocTypeMismatch, match=r"args\.docs\[0\]\.rank") as caught:
        signed_in.call("album/read", doc_type=Wrong).result()
    assert caught.value.res.docs[0]["rank"] == 3


def test_the_callers_query_and_doc_are_not_changed(signed_in: ApiService) -> None:
    query = [{"$limit": 5}]
    doc = album_doc(tags=["x"])
    signed_in.call("album/create", query=query, doc=doc).result()
    assert (query, doc) == ([{"$limit": 5}], album_doc(tags=["x"]))


def test_the_doc_is_taken_as_it_was_when_the_call_was_made(api: ApiService, emulator: Emulator) -> None:
    doc = album_doc(rank=1)
    waiting = api.call("album/create", doc=doc, await_auth=True)
    doc["rank"] = 2
    api.auth("email", emulator.admin_email, emulator.admin_password).result()
    waiting.result()
    assert api.call("album/read").result().docs[0]["rank"] == 1


def test_a_call_with_another_sessions_token(emulator: Emulator, signed_in: ApiService) -> None:
    with ApiService(emulator.config()) as other:
        session = signed_in.session
        assert isinstance(session, Session)
        # The server checks against the session of the connection, so a foreign token is refused, and not repeated.
        with pytest.raises(CallRejected) as caught:
            other.call("staff/read", sid=session["_id"], token=session["token"]).result()
        assert caught.value.code == "CORE_REQ_INVALID_TOKEN"
        assert other.call("staff/read").result().status == 200


@pytest.mark.parametrize("awaited", ["pipe", "merge", "flat_map"])
def test_calls_compose_with_reactivex(awaited: str, api: ApiService) -> None:
    if awaited == "pipe":
        assert api.call("staff/read").pipe(ops.map(lambda res: res.status), ops.to_list()).result() == [200]
    elif awaited == "merge":
        merged = reactivex.merge(*(api.call("staff/read") for _ in range(3))).pipe(ops.count())
        done = threading.Event()
        counts: list[int] = []
        merged.subscribe(counts.append, on_completed=done.set)
        assert done.wait(5)
        assert counts == [3]
    else:
        chained = api.call("staff/read").pipe(ops.flat_map(lambda res: api.call("album/read")))
        assert chained.result().status == 200


def test_a_call_is_shown_by_name_and_state(api: ApiService) -> None:
    call: Call[object] = api.call("staff/read", await_auth=True)
    assert repr(call) == "<Call staff/read pending>"
    call.cancel()
    with pytest.raises(CallCancelled):
        call.result()
    assert repr(call) == "<Call staff/read CallCancelled>"


def test_before_init_and_after_close_a_call_says_so(emulator: Emulator) -> None:
    api = ApiService(emulator.config())
    with pytest.raises(CallNotSent, match=r"init\(\) has not been called"):
        api.call("staff/read").result()
    with api:
        pass
    with pytest.raises(CallNotSent, match="the service is closed"):
        api.call("staff/read").result()
    errors: list[Exception] = []
    api.call("staff/read").subscribe(on_error=errors.append)
    assert [type(error) for error in errors] == [CallNotSent]


def test_the_timeouts_of_a_call_are_checked(api: ApiService) -> None:
    for name in ("timeout_s", "queue_timeout_s"):
        with pytest.raises(InvalidCall, match=name):
            api.call("staff/read", **{name: 0})


def ended(api: ApiService, how: str) -> Call[Any]:
    """A call that is bound to end so."""
    if how == "never answered":
        return api.call("staff/read", query=[{"name": {"$nosuch": 1}}], timeout_s=0.05)
    if how == "watch deleted":
        watch: Call[Any] = api.call("staff/watch", gaps=True)
        watch.result()
        watch.cancel()
        return watch
    call = api.call("staff/create" if how == "refused" else "staff/read", await_auth=how == "cancelled")
    if how == "cancelled":
        call.cancel()
    return call


@pytest.mark.parametrize("how", ["answered", "refused", "never answered", "cancelled", "watch deleted"])
def test_an_ended_call_is_gone_with_its_last_reference(how: str, api: ApiService) -> None:
    """The collector does not look at requests, so it could not part one from its call."""
    over = threading.Event()
    gc.collect()
    gc.disable()
    try:
        call = ended(api, how)
        call.subscribe(None, lambda _: over.set(), over.set)
        assert over.wait(10)
        gone = weakref.ref(call)
        del call
        wait_until(lambda: gone() is None)
    finally:
        gc.enable()
