"""Quotas: a 429 was not processed; the policy may pace; repeats after a lost connection have a budget."""

from __future__ import annotations

import pytest

from rxsdk.errors import CallNotSent, CallOutcomeUnknown, CallRejected, ConfigurationError
from rxsdk.protocols.limp.events import HeartbeatAnswered, RequestRepeated
from rxsdk.protocols.limp.machine import LimpMachine
from rxsdk.protocols.limp.quota import Pace, QuotaPolicy, TokenBucket
from tests.protocols.harness import SESSION, Bench, Sent, authed, ready


def refuse(bench: Bench, *frames: Sent) -> None:
    for frame in frames:
        bench.answer(frame, 429, "You have hit calls quota.", code="CORE_REQ_SESSION_QUOTA_HIT")


def test_a_429_is_sent_again_after_the_servers_minute_in_order() -> None:
    bench = ready()
    calls = [bench.call("album/create", doc={"rank": rank}) for rank in range(3)]
    frames = bench.sent()
    bench.answer(frames[0])
    refuse(bench, *frames[1:])
    later = bench.call("album/create", doc={"rank": 3})
    assert bench.sent() == []
    assert bench.machine.next_deadline() == bench.now + 30, "the heartbeat"
    bench.wait(59.9)
    assert bench.endpoints() == ["heart/beat"]
    bench.wait(0.1)
    again = bench.sent()
    assert [frame.doc["rank"] for frame in again] == [1, 2, 3]
    assert not {frame.call_id for frame in again} & {frame.call_id for frame in frames}
    for frame in again:
        bench.answer(frame)
    bench.wait(0)
    assert all(not bench.is_open(call) for call in [*calls, later])
    assert len(bench.seen(RequestRepeated)) == 2


def test_the_next_time_to_write_is_a_deadline() -> None:
    bench = ready(heartbeat_interval_s=1e6)
    bench.call(queue_timeout_s=None)
    refuse(bench, bench.one())
    assert bench.sent() == []
    assert bench.machine.next_deadline() == bench.now + 60


def test_a_429_that_cannot_wait_so_long_is_the_last_word() -> None:
    bench = ready()
    call = bench.call(queue_timeout_s=50)
    refuse(bench, bench.one())
    assert isinstance(bench.error(call), CallRejected)


@pytest.mark.parametrize("queue_timeout_s", [10.0, None])
def test_without_retry_a_429_is_the_last_word_and_holds_nothing_back(queue_timeout_s: float | None) -> None:
    bench = ready(quota=QuotaPolicy(retry=False))
    call = bench.call(queue_timeout_s=queue_timeout_s)
    refuse(bench, bench.one())
    assert isinstance(bench.error(call), CallRejected)
    bench.call()
    assert len(bench.sent()) == 1


def test_a_call_held_back_by_the_quota_still_has_its_queue_time() -> None:
    bench = ready()
    bench.call()
    refuse(bench, bench.one())
    waiting = bench.call(queue_timeout_s=10)
    bench.wait(10)
    assert isinstance(bench.error(waiting), CallNotSent)


def test_a_watch_to_be_made_anew_outlives_the_quota() -> None:
    bench = ready(heartbeat_interval_s=1e6)
    watch = bench.call("staff/watch")
    bench.answer(bench.one(), watch=watch.call_id, code="CORE_WATCH_OK")
    bench.wait(10_000)
    bench.reconnect()
    refuse(bench, bench.one())
    bench.wait(60)
    renewed = bench.one()
    assert (renewed.endpoint, renewed.call_id) == ("staff/watch", watch.call_id)
    bench.answer(renewed, watch=watch.call_id, code="CORE_WATCH_OK")
    bench.say(200, "Detected 1 docs.", call_id=watch.call_id, watch=watch.call_id, oper="create")
    assert bench.replies(watch)[-1] == "Detected 1 docs."


def test_an_auth_refused_by_the_quota_goes_first_when_it_may() -> None:
    bench = ready(heartbeat_interval_s=1e6)
    auth = bench.call("session/auth", doc={"email": "a@b.c", "hash": "h"})
    later = bench.call("staff/create")
    refuse(bench, bench.one())
    bench.wait(60)
    bench.answer(bench.one(), session=SESSION)
    assert not bench.is_open(auth)
    assert bench.one().signed_with == "session"
    assert bench.is_open(later)


def test_a_heartbeat_refused_by_the_quota_is_an_answer() -> None:
    bench = ready()
    bench.wait(30)
    refuse(bench, bench.one())
    assert len(bench.seen(HeartbeatAnswered)) == 1


def test_a_new_connection_has_a_new_quota() -> None:
    bench = ready()
    bench.call()
    refuse(bench, bench.one())
    bench.reconnect()
    assert len(bench.sent()) == 1


def test_the_pace_keeps_under_the_quota_heartbeats_first() -> None:
    bench = authed(quota=QuotaPolicy(messages_per_minute=5), heartbeat_interval_s=45.0)
    for _ in range(20):
        bench.call("album/create")
    assert len(bench.sent()) == 3, "verify and auth counted"
    bench.wait(45)
    assert bench.endpoints() == ["heart/beat"]
    bench.wait(15)
    assert len(bench.sent()) == 4
    bench.wait(45)
    assert len(bench.sent()) <= 2


@pytest.mark.parametrize("limit", [0, 3, 2.5, True, "40"])
def test_a_policy_that_cannot_work(limit: object) -> None:
    with pytest.raises(ConfigurationError, match=r"quota\.messages_per_minute"):
        QuotaPolicy(messages_per_minute=limit)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"quota\.retry"):
        QuotaPolicy(retry=None)  # type: ignore[arg-type]


def test_the_pace_by_itself() -> None:
    pace = Pace(QuotaPolicy(messages_per_minute=4))
    for now in (0, 10, 20, 30):
        assert pace.opens_at <= now
        pace.written(now)
    assert pace.opens_at == 60
    pace.written(60)
    assert pace.opens_at == 70
    pace.written(61)  # in spite of it
    assert pace.opens_at == 80
    assert pace.refused(61) == 121
    pace.written(62)
    assert pace.opens_at == 121
    pace.connected()
    assert pace.opens_at < 0


@pytest.mark.parametrize("code", ["CORE_REQ_SESSION_QUOTA_HIT", "CORE_REQ_INVALID_TOKEN"])
def test_a_call_that_was_lost_once_and_then_refused_may_have_run(code: str) -> None:
    bench = ready()
    call = bench.call("staff/read")
    bench.one()
    bench.reconnect()
    frame = bench.one()
    if code == "CORE_REQ_INVALID_TOKEN":
        bench.sign_in()
    bench.answer(frame, 429 if code.endswith("HIT") else 403, code=code)
    assert bench.is_open(call)
    bench.machine.close()
    assert isinstance(bench.error(call), CallOutcomeUnknown)


def test_repeats_after_a_loss_have_a_budget() -> None:
    bench = ready(max_queued_calls=10_000)
    calls = [bench.call("staff/read") for _ in range(2_100)]
    assert len(bench.sent()) == 2_100
    bench.lose()
    lost = [call for call in calls if not bench.is_open(call)]
    assert len(lost) == 100
    assert isinstance(bench.error(lost[0]), CallOutcomeUnknown)
    assert "too many calls are being sent again" in str(bench.error(lost[0]))
    bench.connect()
    assert len(bench.sent()) == 2_000


def test_the_budget_by_itself() -> None:
    bucket = TokenBucket(2, 1.0)
    assert [bucket.take(0), bucket.take(0), bucket.take(0)] == [True, True, False]
    assert [bucket.take(1), bucket.take(1)] == [True, False]
    assert [bucket.take(100), bucket.take(100), bucket.take(100)] == [True, True, False]


def test_heartbeats_wait_for_an_auth_but_not_for_ever() -> None:
    bench = ready()
    bench.call("session/auth", timeout_s=None)
    bench.one()
    bench.wait(30)
    assert bench.sent() == []
    bench.wait(9.9)
    given_up = [type(event).__name__ for event in bench.events if type(event).__name__ == "ConnectionGivenUp"]
    assert given_up == []
    bench.wait(0.2)
    bench.wait(10)
    given_up = [type(event).__name__ for event in bench.events if type(event).__name__ == "ConnectionGivenUp"]
    assert given_up == ["ConnectionGivenUp"]


def test_the_round_trip_is_from_the_writing() -> None:
    bench = ready()
    bench.wait(30)
    bench.now += 5  # the transport was full
    frame = bench.one()
    bench.now += 0.25
    bench.answer(frame, code="CORE_HEARTBEAT_OK")
    assert [event.round_trip_s for event in bench.seen(HeartbeatAnswered)] == [0.25]


def test_the_defaults_are_the_stock_policy() -> None:
    assert LimpMachine.__init__.__kwdefaults__["quota"] == QuotaPolicy()


def test_a_probe_is_a_heartbeat_at_once() -> None:
    bench = Bench()
    bench.machine.probe(bench.now)
    bench.connect()
    assert bench.sent() == []
    bench.machine.probe(bench.now)
    bench.machine.probe(bench.now)
    frame = bench.one()
    assert frame.endpoint == "heart/beat"
    bench.wait(10)
    assert [type(event).__name__ for event in bench.events][-1] == "ConnectionGivenUp"


def test_an_auth_without_a_limit_goes_on_holding_when_it_is_cancelled() -> None:
    bench = ready(heartbeat_interval_s=1e6)
    auth = bench.call("session/auth", timeout_s=None)
    frame = bench.one()
    bench.cancel(auth)
    bench.call()
    bench.wait(1_000)
    assert bench.sent() == []
    bench.answer(frame, session=SESSION)
    assert bench.machine.session is not None
