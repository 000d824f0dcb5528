"""Calls of a machine that is READY: the queues, matching, what is kept from whom, and every deadline."""

from __future__ import annotations

import random

import pytest

from rxsdk.errors import CallNotSent, CallRejected, CallTimeout
from rxsdk.protocols.limp.events import (
    CallFailed,
    CallReplied,
    FrameRejected,
    MessageReceived,
    RequestWritten,
    SessionChanged,
)
from rxsdk.protocols.limp.request import Progress
from tests.protocols.harness import ANON_SID, ANON_TOKEN, SESSION, SID, TOKEN, WALL, Bench, authed, ready


def test_the_envelope() -> None:
    bench = ready()
    request = bench.call("staff/read", [{"$limit": 1}], {"a": 1}, await_auth=False)
    assert request.progress is Progress.WAITING
    payload = bench.one().payload
    assert payload == {
        "sid": ANON_SID,
        "token": ANON_TOKEN,
        "query": [{"$limit": 1}],
        "doc": {"a": 1},
        "awaitAuth": False,
        "endpoint": "staff/read",
        "call_id": request.call_id,
        "iat": int(WALL + bench.now),
        "exp": int(WALL + bench.now) + 86_400,
    }
    assert request.progress is Progress.WRITTEN
    assert bench.sent() == []


def test_a_reply_and_a_rejection() -> None:
    bench = ready()
    good, bad = bench.call(), bench.call()
    first, second = bench.sent()
    bench.answer(second, 400, "no", code="CORE_STAFF_MISSING_ATTR", more=1)
    error = bench.error(bad)
    assert isinstance(error, CallRejected)
    assert (error.status, error.code, error.msg, error.res.args.more) == (400, "CORE_STAFF_MISSING_ATTR", "no", 1)
    assert bench.is_open(good)
    bench.answer(first, 200, "Created 1 docs.", docs=[{"_id": "x"}], appStuff={"kept": True})
    end = bench.ends[good]
    assert isinstance(end, CallReplied)
    assert end.res.docs == [{"_id": "x"}]
    assert end.res.args.appStuff == {"kept": True}
    failed = bench.ends[bad]
    assert isinstance(failed, CallFailed)
    assert failed.res is error.res


def test_a_thousand_in_flight_are_told_apart_and_an_auth_loses_none() -> None:
    bench = ready(max_queued_calls=2_000)
    requests = [bench.call() for _ in range(500)]
    auth = bench.call("session/auth")
    requests += [bench.call() for _ in range(500)]
    frames = bench.sent()
    assert [frame.endpoint for frame in frames] == ["staff/create"] * 500 + ["session/auth"]
    chance = random.Random(7)
    chance.shuffle(frames)
    while frames:
        frame = frames.pop()
        bench.answer(frame, 200, frame.call_id, **({"session": SESSION} if frame.endpoint == "session/auth" else {}))
        later = bench.sent()
        chance.shuffle(later)
        frames += later
    for request in [*requests, auth]:
        assert bench.replies(request) == [request.call_id]
    bench.machine.close()
    bench.assert_all_ended()


def test_ids_are_never_the_same() -> None:
    bench = ready()
    for _ in range(50):
        bench.call()
    ids = [frame.call_id for frame in bench.sent()]
    assert len(set(ids)) == 50


def test_the_first_queue_waits_for_ready_and_keeps_its_order() -> None:
    bench = Bench()
    for number in range(5):
        bench.call("staff/read", doc={"n": number})
    assert bench.sent() == []
    bench.connect()
    assert [frame.doc["n"] for frame in bench.sent()] == [0, 1, 2, 3, 4]


def test_the_second_queue_waits_for_a_session_and_keeps_its_order() -> None:
    bench = ready()
    for number in range(6):
        bench.call("staff/read", doc={"n": number}, await_auth=number % 2 == 0)
    assert [frame.doc["n"] for frame in bench.sent()] == [1, 3, 5]
    bench.sign_in()
    frames = bench.sent()
    assert [frame.doc["n"] for frame in frames] == [0, 2, 4]
    assert {frame.signed_with for frame in frames} == {"session"}
    assert all(frame.payload["awaitAuth"] for frame in frames)
    bench.call("staff/read", await_auth=True)
    assert len(bench.sent()) == 1


def test_await_auth_goes_on_waiting_after_a_signout_that_came_first() -> None:
    bench = authed()
    bench.call("session/signout")
    waiting = bench.call("staff/read", await_auth=True)
    signout = bench.one()
    bench.answer(signout, session={"_id": ANON_SID})
    assert bench.sent() == []
    assert waiting.progress is Progress.WAITING
    bench.sign_in()
    assert bench.one().signed_with == "session"


def test_the_bound_of_both_queues_together() -> None:
    bench = ready(max_queued_calls=3)
    fine = [bench.call(), bench.call(await_auth=True), bench.call()]
    over = bench.call()
    error = bench.error(over)
    assert isinstance(error, CallNotSent)
    assert str(error) == "staff/create: not sent: the queue is full (max_queued_calls=3)"
    assert len(bench.sent()) == 2
    assert bench.is_open(bench.call())
    assert all(bench.is_open(request) for request in fine)


def test_a_sid_and_a_token_of_ones_own() -> None:
    bench = authed()
    bench.keys["mine"] = "my token"
    bench.call("staff/read", sid="my sid", token="my token")
    bench.call("staff/read", sid="my sid")
    bench.call("staff/read", token="my token")
    shown = [(frame.payload["sid"], frame.payload["token"], frame.signed_with) for frame in bench.sent()]
    assert shown == [("my sid", "my token", "mine"), ("my sid", TOKEN, "session"), (SID, "my token", "mine")]
    anon = ready()
    anon.call("staff/read", sid="my sid")
    frame = anon.one()
    assert (frame.payload["sid"], frame.payload["token"], frame.signed_with) == ("my sid", ANON_TOKEN, "anon")


def test_the_trace_names_each_written_request() -> None:
    bench = Bench(trace=True)
    bench.connect()
    request = bench.call()
    bench.sent()
    written = [event.request for event in bench.seen(RequestWritten)]
    assert [each.endpoint for each in written] == ["conn/verify", "staff/create"]
    assert written[1] is request
    assert ready().seen(RequestWritten) == []


# -- what belongs to nobody


@pytest.mark.parametrize("call_id", [None, "", "nosuch", 17, ["id1"], {"a": 1}, True])
def test_a_message_for_no_call_touches_none(call_id: object) -> None:
    bench = ready()
    request = bench.call()
    bench.sent()
    (event,) = bench.say(200, "hello", call_id=call_id)
    assert isinstance(event, MessageReceived)
    assert event.res.msg == "hello"
    assert bench.is_open(request)


def test_a_second_reply_goes_to_nobody() -> None:
    bench = ready()
    request = bench.call()
    frame = bench.one()
    bench.answer(frame, 200, "first")
    assert [type(event) for event in bench.answer(frame, 400, "second")] == [MessageReceived]
    assert bench.replies(request) == ["first"]


def test_a_frame_that_is_no_message_is_dropped_and_said() -> None:
    bench = ready()
    request = bench.call()
    frame = bench.one()
    (event,) = bench.hear(b"not json")
    assert isinstance(event, FrameRejected)
    assert str(event.error) == "a frame of 8 bytes is not JSON"
    bench.answer(frame)
    assert not bench.is_open(request)


# -- deadlines


def test_not_answered_in_time() -> None:
    bench = ready()
    request = bench.call(timeout_s=5.0)
    bench.wait(3)
    frame = bench.one()
    assert bench.machine.next_deadline() == bench.now + 5  # from the writing on
    bench.wait(4.9)
    assert bench.is_open(request)
    bench.wait(0.1)
    error = bench.error(request)
    assert isinstance(error, CallTimeout)
    assert (error.timeout_s, error.unmatched) == (5.0, None)
    assert [type(event) for event in bench.answer(frame)] == [MessageReceived]


def test_a_reply_without_call_id_is_a_hint() -> None:
    bench = ready()
    bench.say(500, "before", code="X")
    bench.wait(1)
    request = bench.call()
    bench.one()
    bench.say(500, "Unexpected error has occured.", code="CORE_SERVER_ERROR")
    assert bench.is_open(request)
    bench.wait(30)
    error = bench.error(request)
    assert isinstance(error, CallTimeout)
    assert error.unmatched.code == "CORE_SERVER_ERROR"
    assert "a reply without call_id came: 500 CORE_SERVER_ERROR 'Unexpected error has occured.'" in str(error)


def test_a_hint_is_of_the_time_the_call_waited() -> None:
    bench = ready()
    bench.say(500, "before", call_id=None)
    bench.wait(1)
    request = bench.call()
    bench.one()
    bench.say(500, "another's", call_id="other")
    bench.wait(29)
    bench.wait(1)
    error = bench.error(request)
    assert isinstance(error, CallTimeout)
    assert error.unmatched is None


def test_not_written_in_time() -> None:
    bench = Bench()
    request = bench.call(queue_timeout_s=2.0)
    loss = RuntimeError("no route")
    bench.machine.connected(bench.now, None)
    bench.lose(loss)
    bench.wait(2)
    error = bench.error(request)
    assert isinstance(error, CallNotSent)
    assert error.reason == "no connection within 2 s (disconnected)"
    assert error.__cause__ is loss
    bench.connect()
    assert bench.sent() == []


def test_nobody_signed_in_in_time() -> None:
    bench = ready()
    request = bench.call(queue_timeout_s=2.0, await_auth=True)
    bench.wait(2)
    error = bench.error(request)
    assert isinstance(error, CallNotSent)
    assert error.reason == "nobody signed in within 2 s"
    assert error.__cause__ is None


def test_held_back_for_too_long() -> None:
    bench = ready()
    bench.call("session/auth", timeout_s=None)
    bench.one()
    request = bench.call(queue_timeout_s=2.0)
    assert bench.sent() == []
    bench.wait(2)
    assert str(bench.error(request)) == "staff/create: not sent: not written within 2 s"


def test_no_limits() -> None:
    bench = Bench(heartbeat_interval_s=1e9)
    request = bench.call(timeout_s=None, queue_timeout_s=None)
    assert bench.machine.next_deadline() is None
    bench.wait(1e6)
    bench.connect()
    bench.one()
    bench.wait(1e6)
    assert bench.is_open(request)


def test_without_a_queue_time_the_answer_has_one() -> None:
    bench = Bench()
    request = bench.call(queue_timeout_s=None, timeout_s=30.0)
    bench.wait(1e6)
    bench.connect()
    bench.one()
    bench.wait(30)
    assert isinstance(bench.error(request), CallTimeout)


def test_looking_early_or_twice_does_no_harm() -> None:
    bench = ready()
    request = bench.call(timeout_s=5.0)
    bench.sent()
    for _ in range(3):
        assert bench.wait(0) == []
    bench.wait(5)
    assert bench.wait(0) == []
    assert isinstance(bench.error(request), CallTimeout)


def test_several_deadlines_at_once_each_end_once() -> None:
    bench = ready()
    written = [bench.call(timeout_s=seconds) for seconds in (3.0, 1.0, 2.0)]
    bench.sent()
    waiting = [bench.call(queue_timeout_s=1.5, await_auth=True)]
    bench.wait(10)
    order = [event.request for event in bench.seen(CallFailed)]
    assert order == [written[1], waiting[0], written[2], written[0]]


# -- sessions that come with any reply


def test_any_reply_may_carry_a_session() -> None:
    bench = ready()
    bench.call("staff/create")
    events = bench.answer(bench.one(), session=SESSION)
    assert [type(event) for event in events] == [SessionChanged, CallReplied]  # authed before its own subscriber hears
    assert bench.machine.session == SESSION
    bench.call()
    frame = bench.one()
    assert (frame.signed_with, frame.payload["sid"], frame.payload["token"]) == ("session", SID, TOKEN)


def test_a_failed_reply_changes_no_session() -> None:
    bench = ready()
    bench.call()
    bench.answer(bench.one(), 400, session=SESSION)
    assert bench.machine.session is None
